//! Objects one at a time: what goes in comes out, and what proves it.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials, RequestChecksumCalculation};
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, Delete, MetadataDirective, ObjectIdentifier, StorageClass};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{Tamper, config, noise, refusal, setup, text};
use crate::support::s3::{Acl, Algorithm, Attributes, ObjectSpec};

/// CRC64-NVME of "123456789": the check value of its definition, 0xae8b14860a799888.
const CHECK_CRC64: &str = "rosUhgp5mIg=";

#[tokio::test]
async fn refuses_wrong_keys() {
    let (server, bucket, client) = setup();
    bucket.put("a", "1");
    let with = |id: &str, secret: &str| {
        let credentials = Credentials::new(id, secret, None, None, "test");
        Client::from_conf(config(&server).credentials_provider(credentials).build())
    };
    let wrong = with(server.access_key(), "wrong").get_object().bucket("bucket").key("a").send().await;
    assert_eq!(refusal(wrong), (403, "SignatureDoesNotMatch".to_owned()));
    let unknown = with("nobody", server.secret_key()).get_object().bucket("bucket").key("a").send().await;
    assert_eq!(refusal(unknown), (403, "InvalidAccessKeyId".to_owned()));
    client.get_object().bucket("bucket").key("a").send().await.unwrap();
}

#[tokio::test]
async fn keeps_content_and_attributes() {
    let (server, bucket, client) = setup();
    let put = client
        .put_object()
        .bucket("bucket")
        .key("dir/ä b+c%.txt")
        .body(text("hello"))
        .metadata("mtime", "1.5")
        .content_type("text/plain")
        .content_encoding("gzip")
        .content_language("de")
        .content_disposition("inline")
        .cache_control("max-age=60")
        .storage_class(StorageClass::StandardIa)
        .send()
        .await
        .unwrap();
    assert_eq!(put.e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    let head = client.head_object().bucket("bucket").key("dir/ä b+c%.txt").send().await.unwrap();
    assert_eq!(head.e_tag(), put.e_tag());
    assert_eq!(head.content_length(), Some(5));
    assert_eq!(head.metadata().unwrap()["mtime"], "1.5");
    assert_eq!(head.content_type(), Some("text/plain"));
    assert_eq!(head.content_encoding(), Some("gzip"));
    assert_eq!(head.content_language(), Some("de"));
    assert_eq!(head.content_disposition(), Some("inline"));
    assert_eq!(head.cache_control(), Some("max-age=60"));
    assert_eq!(head.storage_class(), Some(&StorageClass::StandardIa));
    let get = client.get_object().bucket("bucket").key("dir/ä b+c%.txt").send().await.unwrap();
    assert_eq!(get.body.collect().await.unwrap().to_vec(), b"hello");

    assert_eq!(bucket.keys(), ["dir/ä b+c%.txt"]);
    assert_eq!(bucket.content("dir/ä b+c%.txt"), "hello");
    let stored = bucket.get("dir/ä b+c%.txt").unwrap();
    let attributes = Attributes {
        metadata: [("mtime".to_owned(), "1.5".to_owned())].into(),
        content_type: Some("text/plain".to_owned()),
        content_encoding: Some("gzip".to_owned()),
        content_language: Some("de".to_owned()),
        content_disposition: Some("inline".to_owned()),
        cache_control: Some("max-age=60".to_owned()),
        storage_class: Some("STANDARD_IA".to_owned()),
        tagging: None,
    };
    assert_eq!((stored.attributes, stored.acl), (attributes, Acl::default()));
    assert!(stored.modified.elapsed().unwrap().as_secs() < 60);

    let log = server.requests();
    let operations: Vec<&str> = log.iter().map(|entry| entry.call.operation).collect();
    assert_eq!(operations, ["PutObject", "HeadObject", "GetObject"]);
    assert_eq!((log[0].call.bucket.as_str(), log[0].call.key.as_str()), ("bucket", "dir/ä b+c%.txt"));
    assert_eq!((log[0].status, log[0].bytes_in), (Some(200), 5));
    assert_eq!(log[0].header("x-amz-meta-mtime"), "1.5");
    assert!(log[0].headers.get("authorization").is_none(), "secrets stay out of the log");
    assert!(log[0].at <= log[1].at);
    assert_eq!(server.changing_requests().len(), 1);
    assert_eq!(server.count("GetObject"), 1);
    server.clear_log();
    assert_eq!(server.requests().len(), 0);

    assert!(bucket.remove("dir/ä b+c%.txt"));
    assert!(!bucket.remove("dir/ä b+c%.txt"));
    let gone = client.get_object().bucket("bucket").key("dir/ä b+c%.txt").send().await;
    assert_eq!(refusal(gone), (404, "NoSuchKey".to_owned()));
    let gone = client.head_object().bucket("bucket").key("dir/ä b+c%.txt").send().await;
    assert_eq!(refusal(gone).0, 404);
    let nowhere = client.get_object().bucket("nowhere").key("a").send().await;
    assert_eq!(refusal(nowhere), (404, "NoSuchBucket".to_owned()));
}

#[tokio::test]
async fn reads_ranges_across_pieces() {
    let (_server, bucket, client) = setup();
    bucket.put("a", "0123456789");
    for (range, content, shown) in
        [("bytes=2-4", "234", "bytes 2-4/10"), ("bytes=7-", "789", "bytes 7-9/10"), ("bytes=-2", "89", "bytes 8-9/10")]
    {
        let got = client.get_object().bucket("bucket").key("a").range(range).send().await.unwrap();
        assert_eq!(got.content_range(), Some(shown));
        assert_eq!(got.body.collect().await.unwrap().to_vec(), content.as_bytes());
    }
    let outside = client.get_object().bucket("bucket").key("a").range("bytes=10-").send().await;
    assert_eq!(refusal(outside), (416, "InvalidRange".to_owned()));
}

#[tokio::test]
async fn checks_proofs_of_content() {
    let (_server, bucket, client) = setup();
    let put = |key: &str| client.put_object().bucket("bucket").key(key).body(text("123456789"));
    let stored = put("crc").checksum_crc64_nvme(CHECK_CRC64).send().await.unwrap();
    assert_eq!(stored.checksum_crc64_nvme(), Some(CHECK_CRC64));
    let head = client.head_object().bucket("bucket").key("crc").checksum_mode(ChecksumMode::Enabled);
    assert_eq!(head.send().await.unwrap().checksum_crc64_nvme(), Some(CHECK_CRC64));
    let plain = client.head_object().bucket("bucket").key("crc").send().await.unwrap();
    assert_eq!(plain.checksum_crc64_nvme(), None, "only on request");
    // The check values of the other definitions; SHA-1 and SHA-256 of the same digits.
    put("ok").checksum_crc32("y/Q5Jg==").send().await.unwrap();
    put("ok").checksum_crc32_c("4waSgw==").send().await.unwrap();
    put("ok").checksum_sha1("98O8HYCOBHMq32eZZczDTKeuNEE=").send().await.unwrap();
    put("ok").checksum_sha256("FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=").send().await.unwrap();
    put("ok").content_md5("JfnnlDI7RTiF9RgfG2JNCw==").send().await.unwrap();

    let bad = |result| assert_eq!(refusal(result), (400, "BadDigest".to_owned()));
    bad(put("bad").checksum_crc64_nvme("AAAAAAAAAAA=").send().await);
    bad(put("bad").checksum_crc32("AAAAAA==").send().await);
    bad(put("bad").checksum_sha256("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").send().await);
    bad(put("bad").content_md5("AAAAAAAAAAAAAAAAAAAAAA==").send().await);
    assert_eq!(refusal(put("bad").content_md5("AAAA").send().await), (400, "InvalidDigest".to_owned()));
    assert_eq!(bucket.keys(), ["crc", "ok"]);
}

#[tokio::test]
async fn checks_the_signed_payload_hash() {
    let (_server, bucket, client) = setup();
    bucket.put("keep!", "1");
    let put = client.put_object().bucket("bucket").key("a").body(text("signed"));
    let result = put.customize().interceptor(Tamper("signed", "forged")).send().await;
    assert_eq!(refusal(result), (400, "XAmzContentSHA256Mismatch".to_owned()));
    let other = Delete::builder().objects(ObjectIdentifier::builder().key("other").build().unwrap()).build().unwrap();
    let delete = client.delete_objects().bucket("bucket").delete(other);
    let result = delete.customize().interceptor(Tamper("other", "keep!")).send().await;
    assert_eq!(refusal(result), (400, "XAmzContentSHA256Mismatch".to_owned()));
    assert_eq!(bucket.keys(), ["keep!"]);
}

#[tokio::test]
async fn takes_bodies_in_signed_chunks_with_trailers() {
    let (server, bucket, _) = setup();
    let default = config(&server).request_checksum_calculation(RequestChecksumCalculation::WhenSupported);
    let client = Client::from_conf(default.build());
    let content = noise(300_000, 1);
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), &content).unwrap();
    let body = aws_sdk_s3::primitives::ByteStream::from_path(path.path()).await;
    let put = client.put_object().bucket("bucket").key("a").checksum_algorithm(ChecksumAlgorithm::Sha256);
    put.body(body.unwrap()).send().await.unwrap();
    let log = server.requests();
    assert_eq!(log[0].header("x-amz-trailer"), "x-amz-checksum-sha256");
    assert!(log[0].bytes_in > content.len() as u64, "the framing counts");
    assert_eq!(bucket.content("a"), content, "the framing is not content");
    let object = bucket.get("a").unwrap();
    assert!(object.checksums.get(Algorithm::Sha256).is_some(), "the trailer is kept");
    assert_eq!(object.attributes.content_encoding, None);
}

#[tokio::test]
async fn copies_all_but_the_acl() {
    let (server, bucket, client) = setup();
    let attributes = Attributes {
        metadata: [("mtime".to_owned(), "1".to_owned())].into(),
        content_type: Some("text/css".to_owned()),
        ..Attributes::default()
    };
    let acl = Acl { name: "public-read".to_owned(), ..Acl::default() };
    let spec = ObjectSpec { attributes, acl, part_size: Some(3), ..ObjectSpec::default() };
    let etag = bucket.put_with("from ä", "12345", spec);
    assert!(etag.ends_with("-2"));
    let source = "bucket/from%20%C3%A4";
    let copy = |key: &str| client.copy_object().bucket("bucket").key(key).copy_source(source);

    let result = copy("to").copy_source_if_match(&etag).send().await.unwrap();
    assert_eq!(result.copy_object_result().unwrap().e_tag(), Some("\"827ccb0eea8a706c4c34a16891f84e7b\""));
    let to = bucket.get("to").unwrap();
    assert_eq!(to.attributes, bucket.get("from ä").unwrap().attributes);
    assert_eq!((to.body.bytes().as_ref(), to.acl), (&b"12345"[..], Acl::default()));
    assert_eq!(server.requests()[0].header("x-amz-copy-source"), source);

    let replace = copy("new").metadata_directive(MetadataDirective::Replace).metadata("x", "y");
    replace.acl("public-read".into()).content_type("text/plain").send().await.unwrap();
    let new = bucket.get("new").unwrap();
    assert_eq!((new.acl.name.as_str(), new.attributes.metadata.len()), ("public-read", 1));
    assert_eq!(new.attributes.content_type.as_deref(), Some("text/plain"));

    let stale = copy("no").copy_source_if_match("\"other\"").send().await;
    assert_eq!(refusal(stale), (412, "PreconditionFailed".to_owned()));
    assert_eq!(refusal(copy("from ä").send().await), (400, "InvalidRequest".to_owned()));
    let missing = client.copy_object().bucket("bucket").key("no").copy_source("bucket/missing").send().await;
    assert_eq!(refusal(missing), (404, "NoSuchKey".to_owned()));
    assert!(bucket.get("no").is_none());
}

#[tokio::test]
async fn keeps_what_third_parties_say() {
    let (_server, bucket, client) = setup();
    let spec =
        ObjectSpec { etag: Some("opaque".to_owned()), checksum: Some(Algorithm::Crc64Nvme), ..ObjectSpec::default() };
    assert_eq!(bucket.put_with("a", "123456789", spec), "opaque");
    let head = client.head_object().bucket("bucket").key("a").checksum_mode(ChecksumMode::Enabled);
    let head = head.send().await.unwrap();
    assert_eq!((head.e_tag(), head.checksum_crc64_nvme()), (Some("\"opaque\""), Some(CHECK_CRC64)));
    assert_eq!(BASE64_STANDARD.decode(CHECK_CRC64).unwrap(), 0xae8b_1486_0a79_9888_u64.to_be_bytes());
}
