//! The ways in which servers differ.

use std::time::{Duration, Instant, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{self, RequestChecksumCalculation};
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, Delete, ObjectCannedAcl, ObjectIdentifier};

use super::{config, refusal, setup, text};
use crate::support::s3::{Acls, ChecksumSupport, ETags, Need, ObjectSpec, Region, Support};

#[tokio::test]
async fn opaque_etags() {
    let (server, bucket, client) = setup();
    let md5 = bucket.put("a", "1");
    server.quirks(|quirks| quirks.etags = ETags::OpaqueMultipart);
    assert_eq!(bucket.put("a", "1"), md5);
    let spec = ObjectSpec { part_size: Some(1), ..ObjectSpec::default() };
    assert_ne!(bucket.put_with("a", "12", spec.clone()), bucket.put_with("a", "12", spec));
    server.quirks(|quirks| quirks.etags = ETags::Opaque);
    let put = client.put_object().bucket("bucket").key("a").body(text("1")).send().await.unwrap();
    let etag = put.e_tag().unwrap().trim_matches('"');
    assert_eq!((etag.len(), etag == md5), (32, false));
    let head = client.head_object().bucket("bucket").key("a").send().await.unwrap();
    assert_eq!(head.e_tag(), put.e_tag(), "the same until the next put");
}

#[tokio::test]
async fn acls() {
    let (server, bucket, client) = setup();
    let put = |acl: ObjectCannedAcl| client.put_object().bucket("bucket").key("a").body(text("1")).acl(acl);
    let get = || client.get_object_acl().bucket("bucket").key("a").send();
    server.quirks(|quirks| quirks.acls = Acls::Ignored);
    put(ObjectCannedAcl::PublicRead).send().await.unwrap();
    assert_eq!(bucket.get("a").unwrap().acl.name, "private");
    assert_eq!(refusal(get().await), (501, "NotImplemented".to_owned()));
    server.quirks(|quirks| quirks.acls = Acls::Unheard);
    put(ObjectCannedAcl::PublicRead).send().await.unwrap();
    assert_eq!(get().await.unwrap().grants().len(), 1);
    client.put_object_acl().bucket("bucket").key("a").acl(ObjectCannedAcl::PublicRead).send().await.unwrap();
    assert_eq!(get().await.unwrap().grants().len(), 2);
    server.quirks(|quirks| quirks.acls = Acls::NotImplemented);
    let refused = put(ObjectCannedAcl::Private).send().await;
    assert_eq!(refusal(refused), (501, "NotImplemented".to_owned()));
    assert_eq!(refusal(get().await), (501, "NotImplemented".to_owned()));
    client.put_object().bucket("bucket").key("a").body(text("1")).send().await.unwrap();
    server.quirks(|quirks| quirks.acls = Acls::Refused);
    let refused = put(ObjectCannedAcl::Private).send().await;
    assert_eq!(refusal(refused), (400, "AccessControlListNotSupported".to_owned()));
    put(ObjectCannedAcl::BucketOwnerFullControl).send().await.unwrap();
    get().await.unwrap();
    let set = client.put_object_acl().bucket("bucket").key("a").acl(ObjectCannedAcl::PublicRead).send().await;
    assert_eq!(refusal(set), (400, "AccessControlListNotSupported".to_owned()));
    server.quirks(|quirks| quirks.acls = Acls::Supported);
    put(ObjectCannedAcl::PublicRead).send().await.unwrap();
}

#[tokio::test]
async fn checksums() {
    let (server, bucket, client) = setup();
    let put = || client.put_object().bucket("bucket").key("a").body(text("1")).checksum_crc64_nvme("AAAAAAAAAAA=");
    server.quirks(|quirks| quirks.checksums = ChecksumSupport::Ignored);
    put().send().await.unwrap();
    let head = client.head_object().bucket("bucket").key("a").checksum_mode(ChecksumMode::Enabled).send().await;
    assert_eq!(head.unwrap().checksum_crc64_nvme(), None);
    server.quirks(|quirks| quirks.checksums = ChecksumSupport::Refused);
    assert_eq!(refusal(put().send().await), (400, "InvalidRequest".to_owned()));
    let default = config(&server).request_checksum_calculation(RequestChecksumCalculation::WhenSupported);
    let put = Client::from_conf(default.build()).put_object().bucket("bucket").key("a").body(text("2"));
    assert_eq!(refusal(put.send().await), (400, "InvalidRequest".to_owned()));
    client.put_object().bucket("bucket").key("a").body(text("3")).send().await.unwrap();
    assert_eq!(bucket.content("a"), "3");
}

#[tokio::test]
async fn missing_operations() {
    let (server, bucket, client) = setup();
    bucket.put("a", "1");
    server.quirks(|quirks| {
        quirks.copies = Support::Missing;
        quirks.list_uploads = Support::Missing;
        quirks.delete_objects_md5 = Need::Required;
    });
    let copy = client.copy_object().bucket("bucket").key("b").copy_source("bucket/a").send().await;
    assert_eq!(refusal(copy), (501, "NotImplemented".to_owned()));
    let list = client.list_multipart_uploads().bucket("bucket").send().await;
    assert_eq!(refusal(list), (501, "NotImplemented".to_owned()));
    let one = ObjectIdentifier::builder().key("a").build().unwrap();
    let delete = Delete::builder().objects(one).build().unwrap();
    let delete = client.delete_objects().bucket("bucket").delete(delete);
    let refused = delete.clone().checksum_algorithm(ChecksumAlgorithm::Crc32).send().await;
    assert_eq!(refusal(refused), (400, "InvalidRequest".to_owned()));
    assert_eq!(bucket.keys(), ["a"]);
    server.quirks(|quirks| {
        quirks.copies = Support::Present;
        quirks.list_uploads = Support::Present;
        quirks.delete_objects_md5 = Need::Optional;
    });
    client.list_multipart_uploads().bucket("bucket").send().await.unwrap();
    delete.send().await.unwrap();
    assert!(bucket.keys().is_empty());
}

#[tokio::test]
async fn regions() {
    let (server, _bucket, client) = setup();
    server.quirks(|quirks| quirks.region = Region::Redirect("eu-west-1".to_owned()));
    let list = client.list_objects_v2().bucket("bucket").send().await;
    let Err(SdkError::ServiceError(error)) = &list else { panic!("{list:?}") };
    assert_eq!(error.raw().headers().get("x-amz-bucket-region"), Some("eu-west-1"));
    assert_eq!(error.raw().headers().get("location"), None);
    assert_eq!(refusal(list), (301, "PermanentRedirect".to_owned()));
    let head = client.head_bucket().bucket("bucket").send().await.unwrap_err();
    let head = head.raw_response().unwrap();
    assert_eq!((head.status().as_u16(), head.headers().get("x-amz-bucket-region")), (301, Some("eu-west-1")));
    assert_eq!(head.body().bytes().map(<[u8]>::len), Some(0));
    server.quirks(|quirks| quirks.region = Region::Malformed("eu-west-1".to_owned()));
    let list = client.list_objects_v2().bucket("bucket").send().await;
    assert_eq!(refusal(list), (400, "AuthorizationHeaderMalformed".to_owned()));
    let right = config(&server).region(config::Region::new("eu-west-1"));
    let right = Client::from_conf(right.build());
    right.list_objects_v2().bucket("bucket").send().await.unwrap();
    let location = right.get_bucket_location().bucket("bucket").send().await.unwrap();
    assert_eq!(location.location_constraint().unwrap().as_str(), "eu-west-1");
}

#[tokio::test]
async fn clocks() {
    let (server, bucket, client) = setup();
    let put = || client.put_object().bucket("bucket").key("a").body(text("1")).send();
    server.quirks(|quirks| quirks.clock_ahead = 600);
    put().await.unwrap();
    let ahead = bucket.get("a").unwrap().modified.duration_since(SystemTime::now()).unwrap();
    assert!((590..=600).contains(&ahead.as_secs()));
    for offset in [1000, -1000] {
        server.quirks(|quirks| quirks.clock_ahead = offset);
        // A new client each: they learn the difference from answers, and correct it.
        let late = Client::from_conf(config(&server).build())
            .put_object()
            .bucket("bucket")
            .key("b")
            .body(text("1"))
            .send()
            .await;
        assert_eq!(refusal(late), (403, "RequestTimeTooSkewed".to_owned()));
    }
    let date = Client::from_conf(config(&server).build()).list_buckets().send().await.unwrap_err();
    let date = date.raw_response().unwrap().headers().get("date").unwrap().to_owned();
    let date = aws_sdk_s3::primitives::DateTime::from_str(&date, aws_sdk_s3::primitives::DateTimeFormat::HttpDate);
    let behind = SystemTime::now().duration_since(SystemTime::try_from(date.unwrap()).unwrap()).unwrap();
    assert!((1000..1010).contains(&behind.as_secs()), "Date shows the server's clock");
    assert_eq!(bucket.keys(), ["a"]);
}

#[tokio::test]
async fn latency() {
    let (server, _bucket, client) = setup();
    server.quirks(|quirks| quirks.latency = Duration::from_millis(50));
    let begun = Instant::now();
    client.list_buckets().send().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(50));
}
