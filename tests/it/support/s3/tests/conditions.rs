//! `If-Match` and `If-None-Match`, honoured, ignored and refused.

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};

use super::{refusal, setup, text};
use crate::support::s3::Conditional;

fn failed() -> (u16, String) {
    (412, "PreconditionFailed".to_owned())
}

#[tokio::test]
async fn puts() {
    let (server, bucket, client) = setup();
    let put = |body: &str| client.put_object().bucket("bucket").key("a").body(text(body));
    assert_eq!(refusal(put("0").if_match("\"x\"").send().await), (404, "NoSuchKey".to_owned()));
    let first = put("1").if_none_match("*").send().await.unwrap();
    assert_eq!(refusal(put("2").if_none_match("*").send().await), failed());
    assert_eq!(refusal(put("2").if_match("\"x\"").send().await), failed());
    assert_eq!(refusal(put("2").if_none_match("\"x\"").send().await), (501, "NotImplemented".to_owned()));
    assert_eq!(bucket.content("a"), "1");
    put("2").if_match(first.e_tag().unwrap()).send().await.unwrap();
    assert_eq!(bucket.content("a"), "2");
    server.quirks(|quirks| quirks.put_conditions = Conditional::Ignored);
    put("3").if_none_match("*").if_match("\"x\"").send().await.unwrap();
    assert_eq!(bucket.content("a"), "3");
    server.quirks(|quirks| quirks.put_conditions = Conditional::Refused);
    assert_eq!(refusal(put("4").if_none_match("*").send().await), (501, "NotImplemented".to_owned()));
    put("5").send().await.unwrap();
    assert_eq!(bucket.content("a"), "5");
}

#[tokio::test]
async fn reads() {
    let (_server, bucket, client) = setup();
    let etag = bucket.put("a", "1");
    let get = || client.get_object().bucket("bucket").key("a");
    get().if_match(&etag).send().await.unwrap();
    get().if_none_match("\"x\"").send().await.unwrap();
    assert_eq!(refusal(get().if_match("\"x\"").send().await), failed());
    assert_eq!(refusal(get().if_none_match(format!("\"{etag}\"")).send().await).0, 304);
    let head = client.head_object().bucket("bucket").key("a").if_match("\"x\"").send().await;
    assert_eq!(refusal(head).0, 412);
    // The connection is still in step after answers without a body.
    assert_eq!(get().send().await.unwrap().body.collect().await.unwrap().to_vec(), b"1");
}

#[tokio::test]
async fn deletions() {
    let (server, bucket, client) = setup();
    let delete = || client.delete_object().bucket("bucket").key("a");
    delete().if_match("\"x\"").send().await.unwrap();
    let etag = bucket.put("a", "1");
    assert_eq!(refusal(delete().if_match("\"x\"").send().await), failed());
    assert!(bucket.get("a").is_some());
    delete().if_match(&etag).send().await.unwrap();
    assert!(bucket.get("a").is_none());
    bucket.put("a", "1");
    server.quirks(|quirks| quirks.delete_conditions = Conditional::Refused);
    assert_eq!(refusal(delete().if_match(&etag).send().await), (501, "NotImplemented".to_owned()));
    assert!(bucket.get("a").is_some());
    server.quirks(|quirks| quirks.delete_conditions = Conditional::Ignored);
    delete().if_match("\"x\"").send().await.unwrap();
    assert!(bucket.get("a").is_none());
}

#[tokio::test]
async fn deletions_of_many() {
    let (server, bucket, client) = setup();
    let (a, b) = (bucket.put("a", "1"), bucket.put("b", "2"));
    bucket.put("c", "3");
    let one = |key: &str, etag: &str| ObjectIdentifier::builder().key(key).e_tag(etag).build().unwrap();
    let delete = Delete::builder().objects(one("a", &a)).objects(one("b", &a)).objects(one("gone", &a));
    let delete = delete.objects(ObjectIdentifier::builder().key("c").build().unwrap()).build().unwrap();
    let result = client.delete_objects().bucket("bucket").delete(delete).send().await.unwrap();
    let deleted: Vec<&str> = result.deleted().iter().filter_map(|one| one.key()).collect();
    assert_eq!(deleted, ["a", "gone", "c"]);
    let errors: Vec<_> = result.errors().iter().map(|e| (e.key().unwrap(), e.code().unwrap())).collect();
    assert_eq!(errors, [("b", "PreconditionFailed")]);
    assert_eq!(bucket.keys(), ["b"]);
    server.quirks(|quirks| quirks.delete_conditions = Conditional::Ignored);
    let delete = Delete::builder().objects(one("b", &a)).quiet(true).build().unwrap();
    let result = client.delete_objects().bucket("bucket").delete(delete).send().await.unwrap();
    assert_eq!((result.deleted().len(), result.errors().len()), (0, 0));
    assert!(bucket.keys().is_empty() && a != b);
}

#[tokio::test]
async fn copies() {
    let (server, bucket, client) = setup();
    bucket.put("from", "1");
    let etag = bucket.put("to", "2");
    let copy = || client.copy_object().bucket("bucket").key("to").copy_source("bucket/from");
    assert_eq!(refusal(copy().if_none_match("*").send().await), failed());
    assert_eq!(refusal(copy().if_match("\"x\"").send().await), failed());
    assert_eq!(bucket.content("to"), "2");
    copy().if_match(&etag).send().await.unwrap();
    assert_eq!(bucket.content("to"), "1");
    bucket.put("to", "2");
    server.quirks(|quirks| quirks.copy_conditions = Conditional::Ignored);
    copy().if_none_match("*").send().await.unwrap();
    assert_eq!(bucket.content("to"), "1");
    server.quirks(|quirks| quirks.copy_source_conditions = Conditional::Ignored);
    copy().copy_source_if_match("\"x\"").send().await.unwrap();
    server.quirks(|quirks| quirks.copy_source_conditions = Conditional::Refused);
    assert_eq!(refusal(copy().copy_source_if_match("\"x\"").send().await).0, 501);
}

#[tokio::test]
async fn completions() {
    let (_server, bucket, client) = setup();
    let upload = client.create_multipart_upload().bucket("bucket").key("a").send().await.unwrap();
    let id = upload.upload_id().unwrap();
    let part = client.upload_part().bucket("bucket").key("a").upload_id(id).part_number(1).body(text("new"));
    let part = part.send().await.unwrap();
    let etag = bucket.put("a", "old");
    let list = CompletedPart::builder().part_number(1).e_tag(part.e_tag().unwrap()).build();
    let list = CompletedMultipartUpload::builder().parts(list).build();
    let complete =
        || client.complete_multipart_upload().bucket("bucket").key("a").upload_id(id).multipart_upload(list.clone());
    assert_eq!(refusal(complete().if_none_match("*").send().await), failed());
    assert_eq!(refusal(complete().if_match("\"x\"").send().await), failed());
    assert_eq!((bucket.content("a").as_ref(), bucket.uploads().len()), (&b"old"[..], 1));
    complete().if_match(&etag).send().await.unwrap();
    assert_eq!((bucket.content("a").as_ref(), bucket.uploads().len()), (&b"new"[..], 0));
    assert_eq!(refusal(complete().send().await), (404, "NoSuchUpload".to_owned()));
}
