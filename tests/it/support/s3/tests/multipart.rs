//! Multipart uploads.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::complete_multipart_upload::builders::CompleteMultipartUploadFluentBuilder;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart, Part};
use bytes::Bytes;
use md5::{Digest as _, Md5};

use super::{MIB, noise, refusal, setup, text};

async fn begin(client: &Client, key: &str) -> String {
    let upload = client.create_multipart_upload().bucket("bucket").key(key).metadata("m", "1");
    upload.send().await.unwrap().upload_id().unwrap().to_owned()
}

async fn part(client: &Client, key: &str, id: &str, number: i32, body: &[u8]) -> String {
    let part = client.upload_part().bucket("bucket").key(key).upload_id(id).part_number(number);
    part.body(body.to_vec().into()).send().await.unwrap().e_tag().unwrap().to_owned()
}

fn complete(client: &Client, key: &str, id: &str, parts: &[(i32, &str)]) -> CompleteMultipartUploadFluentBuilder {
    let parts = parts.iter().map(|(n, etag)| CompletedPart::builder().part_number(*n).e_tag(*etag).build());
    let list = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
    client.complete_multipart_upload().bucket("bucket").key(key).upload_id(id).multipart_upload(list)
}

#[tokio::test]
async fn joins_parts() {
    let (_server, bucket, client) = setup();
    let content = noise(5 * MIB + 10, 1);
    let (first, last) = content.split_at(5 * MIB);
    let id = begin(&client, "a").await;
    part(&client, "a", &id, 7, b"replaced").await;
    let two = part(&client, "a", &id, 7, last).await;
    let one = part(&client, "a", &id, 2, first).await;
    assert!(bucket.keys().is_empty());
    let done = complete(&client, "a", &id, &[(2, &one), (7, &two)]).send().await.unwrap();
    let md5 = |bytes: &[u8]| -> [u8; 16] { Md5::digest(bytes).into() };
    let etag = super::super::hex(&md5(&[md5(first), md5(last)].concat()));
    assert_eq!(done.e_tag(), Some(format!("\"{etag}-2\"").as_str()));
    assert_eq!(bucket.content("a"), content);
    assert!(bucket.uploads().is_empty());

    let head = client.head_object().bucket("bucket").key("a").part_number(2).send().await.unwrap();
    assert_eq!((head.content_length(), head.parts_count()), (Some(10), Some(2)));
    assert_eq!(head.metadata().unwrap()["m"], "1");
    let none = client.head_object().bucket("bucket").key("a").part_number(3).send().await;
    assert_eq!(refusal(none).0, 416);
    let across = format!("bytes={}-{}", 5 * MIB - 2, 5 * MIB + 2);
    let got = client.get_object().bucket("bucket").key("a").range(across).send().await.unwrap();
    assert_eq!(got.body.collect().await.unwrap().to_vec(), content[5 * MIB - 2..=5 * MIB + 2]);
}

#[tokio::test]
async fn checks_the_list_of_parts() {
    let (server, bucket, client) = setup();
    let id = begin(&client, "a").await;
    let one = part(&client, "a", &id, 1, b"small").await;
    let two = part(&client, "a", &id, 2, b"last").await;
    let attempt = async |parts: &[(i32, &str)]| refusal(complete(&client, "a", &id, parts).send().await).1;
    assert_eq!(attempt(&[(1, &one), (2, &two)]).await, "EntityTooSmall");
    assert_eq!(attempt(&[(2, &two), (1, &one)]).await, "InvalidPartOrder");
    assert_eq!(attempt(&[(1, &two)]).await, "InvalidPart");
    assert_eq!(attempt(&[(3, &two)]).await, "InvalidPart");
    assert_eq!(attempt(&[]).await, "MalformedXML");
    assert_eq!((bucket.keys().len(), bucket.uploads().len()), (0, 1));
    server.quirks(|quirks| quirks.min_part_size = 1);
    complete(&client, "a", &id, &[(1, &one), (2, &two)]).send().await.unwrap();
    assert_eq!(bucket.content("a"), "smalllast");

    let id = begin(&client, "b").await;
    let upload = |number| {
        let part = client.upload_part().bucket("bucket").key("b").upload_id(&id).part_number(number);
        part.body(text("x")).send()
    };
    server.quirks(|quirks| quirks.max_parts = 3);
    upload(3).await.unwrap();
    assert_eq!(refusal(upload(4).await), (400, "InvalidArgument".to_owned()));
    assert_eq!(bucket.uploads()[0].parts.keys().copied().collect::<Vec<i32>>(), [3]);
    client.abort_multipart_upload().bucket("bucket").key("b").upload_id(&id).send().await.unwrap();
    assert_eq!(refusal(upload(1).await), (404, "NoSuchUpload".to_owned()));
    let again = client.abort_multipart_upload().bucket("bucket").key("b").upload_id(&id).send().await;
    assert_eq!(refusal(again), (404, "NoSuchUpload".to_owned()));
    assert!(bucket.uploads().is_empty());
}

#[tokio::test]
async fn lists_parts_and_uploads_in_pages() {
    let (_server, bucket, client) = setup();
    let mut ids = Vec::new();
    for key in ["p/b", "p/a", "p/a", "other"] {
        ids.push(begin(&client, key).await);
    }
    for number in [5, 1, 3] {
        part(&client, "p/b", &ids[0], number, b"body").await;
    }
    let list = client.list_parts().bucket("bucket").key("p/b").upload_id(&ids[0]).max_parts(2);
    let first = list.clone().send().await.unwrap();
    let numbers: Vec<_> = first.parts().iter().filter_map(Part::part_number).collect();
    assert_eq!((numbers, first.is_truncated(), first.parts()[0].size()), (vec![1, 3], Some(true), Some(4)));
    let second = list.part_number_marker(first.next_part_number_marker().unwrap()).send().await.unwrap();
    assert_eq!((second.parts()[0].part_number(), second.is_truncated()), (Some(5), Some(false)));

    let list = client.list_multipart_uploads().bucket("bucket").prefix("p/").max_uploads(2);
    let first = list.clone().send().await.unwrap();
    let shown: Vec<_> = first.uploads().iter().filter_map(|upload| upload.upload_id()).collect();
    assert_eq!((shown, first.is_truncated()), (vec![ids[1].as_str(), ids[2].as_str()], Some(true)));
    assert!(first.uploads()[0].initiated().is_some());
    let next = (first.next_key_marker().unwrap(), first.next_upload_id_marker().unwrap());
    let second = list.key_marker(next.0).upload_id_marker(next.1).send().await.unwrap();
    let shown: Vec<_> = second.uploads().iter().filter_map(|upload| upload.key()).collect();
    assert_eq!((shown, second.is_truncated()), (vec!["p/b"], Some(false)));
    let keys: Vec<String> = bucket.uploads().into_iter().map(|upload| upload.key).collect();
    assert_eq!(keys, ["other", "p/a", "p/a", "p/b"]);
}

#[tokio::test]
async fn copies_parts() {
    let (_server, bucket, client) = setup();
    let source = noise(6 * MIB, 2);
    bucket.put("from", Bytes::from(source.clone()));
    let id = begin(&client, "to").await;
    let copy = |number, range: String| {
        let part = client.upload_part_copy().bucket("bucket").key("to").upload_id(&id).part_number(number);
        part.copy_source("bucket/from").copy_source_range(range)
    };
    let first = copy(1, format!("bytes=0-{}", 5 * MIB - 1)).send().await.unwrap();
    let last = copy(2, "bytes=10-19".to_owned()).send().await.unwrap();
    let beyond = copy(3, format!("bytes=10-{}", 6 * MIB)).send().await;
    assert_eq!(refusal(beyond), (416, "InvalidRange".to_owned()));
    let stale = copy(3, "bytes=0-1".to_owned()).copy_source_if_match("\"x\"").send().await;
    assert_eq!(refusal(stale), (412, "PreconditionFailed".to_owned()));
    let etag = |answer: &aws_sdk_s3::operation::upload_part_copy::UploadPartCopyOutput| {
        answer.copy_part_result().and_then(|result| result.e_tag()).unwrap().to_owned()
    };
    complete(&client, "to", &id, &[(1, &etag(&first)), (2, &etag(&last))]).send().await.unwrap();
    assert_eq!(bucket.content("to"), [&source[..5 * MIB], &source[10..20]].concat());
}

#[tokio::test]
async fn keeps_checksums_of_the_whole_and_of_parts() {
    let (server, _bucket, client) = setup();
    server.quirks(|quirks| quirks.min_part_size = 1);
    let kinds = [
        (ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject, "rosUhgp5mIg="),
        // SHA-256 of SHA-256("1234") and SHA-256("56789"), by another implementation.
        (ChecksumAlgorithm::Sha256, ChecksumType::Composite, "bnRBBTileCDVQlLT/6fZJGrqcf3O3X6G8kD8V7zZqxQ=-2"),
    ];
    for (algorithm, kind, value) in kinds {
        let create = client.create_multipart_upload().bucket("bucket").key("a").checksum_algorithm(algorithm.clone());
        let id = create.checksum_type(kind.clone()).send().await.unwrap().upload_id().unwrap().to_owned();
        let one = part(&client, "a", &id, 1, b"1234").await;
        let two = part(&client, "a", &id, 2, b"56789").await;
        let parts = [(1, one.as_str()), (2, two.as_str())];
        if kind == ChecksumType::FullObject {
            let wrong = complete(&client, "a", &id, &parts).checksum_crc64_nvme("AAAAAAAAAAA=").send().await;
            assert_eq!(refusal(wrong), (400, "BadDigest".to_owned()));
        }
        complete(&client, "a", &id, &parts).send().await.unwrap();
        let head = client.head_object().bucket("bucket").key("a").checksum_mode(ChecksumMode::Enabled);
        let head = head.send().await.unwrap();
        assert_eq!(head.checksum_type(), Some(&kind));
        match kind {
            ChecksumType::FullObject => assert_eq!(head.checksum_crc64_nvme(), Some(value)),
            _ => assert_eq!(head.checksum_sha256(), Some(value)),
        }
    }
}
