//! Failures on demand, and gates.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::types::{CompletedMultipartUpload, Delete, ObjectIdentifier};

use super::{assert_broken, noise, refusal, setup, text};
use crate::support::s3::{Effect, Faults, Moment, Rule};

#[tokio::test]
async fn chosen_requests_fail() {
    let (server, bucket, client) = setup();
    let slow = Effect::Status(503, "SlowDown");
    server.faults(|faults| faults.add(Rule::new("PutObject", slow).key("dir/*").skip(1).times(2)));
    let put = |key: &'static str| client.put_object().bucket("bucket").key(key).body(text("1")).send();
    put("dir/a").await.unwrap();
    put("other").await.unwrap();
    assert_eq!(refusal(put("dir/sub/b").await), (503, "SlowDown".to_owned()));
    client.get_object().bucket("bucket").key("dir/a").send().await.unwrap();
    assert_eq!(refusal(put("dir/c").await), (503, "SlowDown".to_owned()));
    put("dir/c").await.unwrap();
    assert_eq!(server.faults(|faults| faults.fired()), 2);
    assert_eq!(bucket.keys(), ["dir/a", "dir/c", "other"]);
    assert_eq!(server.requests()[2].status, Some(503));

    server.faults(|faults| faults.add(Rule::new("*", Effect::Status(404, "NoSuchBucket"))));
    assert_eq!(refusal(client.list_buckets().send().await), (404, "NoSuchBucket".to_owned()));
    server.faults(Faults::clear);
    client.list_buckets().send().await.unwrap();
}

#[tokio::test]
async fn chance_repeats_with_its_seed() {
    let (server, _bucket, client) = setup();
    let mut runs = Vec::new();
    for _ in 0..2 {
        let rule = Rule::new("ListBuckets", Effect::Status(500, "InternalError")).chance(0.5, 7);
        server.faults(|faults| {
            faults.clear();
            faults.add(rule);
        });
        let mut failed = Vec::new();
        for _ in 0..20 {
            failed.push(client.list_buckets().send().await.is_err());
        }
        runs.push(failed);
    }
    assert_eq!(runs[0], runs[1]);
    assert!(runs[0].contains(&true) && runs[0].contains(&false));
}

#[tokio::test]
async fn connections_break() {
    let (server, bucket, client) = setup();
    let put = |key: &'static str| client.put_object().bucket("bucket").key(key).body(text("1")).send();
    server.faults(|faults| faults.add(Rule::new("PutObject", Effect::Reset).times(1)));
    assert_broken(put("a").await);
    assert!(bucket.keys().is_empty(), "not handled");
    server.faults(|faults| faults.add(Rule::new("PutObject", Effect::LoseAnswer).times(1)));
    assert_broken(put("a").await);
    assert_eq!(bucket.content("a"), "1", "handled");
    let log = server.requests();
    assert_eq!(log.iter().map(|entry| entry.status).collect::<Vec<_>>(), [None, None]);
    put("a").await.unwrap();
}

#[test]
fn connections_are_reset_not_closed() {
    let (server, _bucket, _client) = setup();
    for effect in [Effect::Reset, Effect::LoseAnswer] {
        server.faults(|faults| {
            faults.clear();
            faults.add(Rule::new("ListBuckets", effect));
        });
        let mut stream = TcpStream::connect(server.endpoint().trim_start_matches("http://")).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let error = stream.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn answers_are_cut() {
    let (server, bucket, client) = setup();
    bucket.put("a", noise(100_000, 1));
    let get = || client.get_object().bucket("bucket").key("a").send();
    server.faults(|faults| faults.add(Rule::new("GetObject", Effect::Truncate(50_000)).times(1)));
    let cut = get().await.unwrap();
    assert_eq!(cut.content_length(), Some(100_000));
    assert!(cut.body.collect().await.is_err());
    assert_eq!(get().await.unwrap().body.collect().await.unwrap().to_vec().len(), 100_000);
    server.faults(|faults| faults.add(Rule::new("ListObjectsV2", Effect::Truncate(100))));
    assert!(client.list_objects_v2().bucket("bucket").send().await.is_err());
}

#[tokio::test]
async fn errors_come_with_status_200() {
    let (server, bucket, client) = setup();
    bucket.put("a", "1");
    server.faults(|faults| {
        faults.add(Rule::new("CopyObject", Effect::OkWithError("InternalError")));
        faults.add(Rule::new("CompleteMultipartUpload", Effect::OkWithError("InternalError")));
    });
    let copy = client.copy_object().bucket("bucket").key("b").copy_source("bucket/a").send().await;
    assert_eq!(refusal(copy).1, "InternalError");
    let list = CompletedMultipartUpload::builder().build();
    let complete = client.complete_multipart_upload().bucket("bucket").key("b").upload_id("x").multipart_upload(list);
    assert_eq!(refusal(complete.send().await).1, "InternalError");
    assert!(server.requests().iter().all(|entry| entry.status == Some(200)));
    assert_eq!(bucket.keys(), ["a"]);
    server.faults(|faults| faults.add(Rule::new("HeadBucket", Effect::BareRedirect)));
    let redirect = client.head_bucket().bucket("bucket").send().await;
    let Err(SdkError::ServiceError(error)) = redirect else { panic!("{redirect:?}") };
    assert_eq!((error.raw().status().as_u16(), error.raw().headers().get("location")), (301, None));
}

#[tokio::test]
async fn single_keys_of_a_deletion_fail() {
    let (server, bucket, client) = setup();
    let mut delete = Delete::builder();
    for key in ["a", "b", "c"] {
        bucket.put(key, "1");
        delete = delete.objects(ObjectIdentifier::builder().key(key).build().unwrap());
    }
    server.faults(|faults| faults.add(Rule::new("DeleteObjects", Effect::KeyErrors("AccessDenied")).key("b")));
    let result = client.delete_objects().bucket("bucket").delete(delete.build().unwrap()).send().await.unwrap();
    let errors: Vec<_> = result.errors().iter().map(|e| (e.key().unwrap(), e.code().unwrap())).collect();
    assert_eq!((errors, result.deleted().len()), (vec![("b", "AccessDenied")], 2));
    assert_eq!(bucket.keys(), ["b"]);
}

#[tokio::test]
async fn listings_lie() {
    let (server, bucket, client) = setup();
    for key in ["a", "b", "c", "d", "e"] {
        bucket.put(key, "");
    }
    let page = async |token: Option<String>| {
        let list = client.list_objects_v2().bucket("bucket").max_keys(2).set_continuation_token(token);
        let page = list.send().await.unwrap();
        let keys: Vec<String> = page.contents().iter().filter_map(|object| object.key()).map(str::to_owned).collect();
        assert_eq!(page.is_truncated(), Some(page.next_continuation_token().is_some()));
        (keys.concat(), page.next_continuation_token().map(str::to_owned))
    };
    let (_, second) = page(None).await;
    let disturb = |effect| {
        server.faults(|faults| {
            faults.clear();
            faults.add(Rule::new("ListObjectsV2", effect));
        });
    };
    disturb(Effect::ClaimComplete);
    assert_eq!(page(second.clone()).await, ("cd".to_owned(), None));
    disturb(Effect::RepeatToken);
    let (keys, next) = page(second.clone()).await;
    assert_eq!((keys.as_str(), page(next).await.0.as_str()), ("cd", "cd"));
    disturb(Effect::RepeatKey);
    assert_eq!(page(second.clone()).await.0, "cdd");
    disturb(Effect::EmptyPage);
    let (keys, next) = page(second.clone()).await;
    server.faults(Faults::clear);
    assert_eq!((keys.as_str(), page(next).await.0.as_str()), ("", "cd"));
}

#[tokio::test]
async fn requests_are_delayed() {
    let (server, _bucket, client) = setup();
    server.faults(|faults| faults.add(Rule::new("ListBuckets", Effect::Delay(Duration::from_millis(50))).times(1)));
    let begun = Instant::now();
    client.list_buckets().send().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn gates_hold_requests() {
    let (server, bucket, client) = setup();
    let gate = server.hold(Moment::BeforeHandling, "PutObject", "a*");
    let put = || client.put_object().bucket("bucket").key("a1").body(text("1")).send();
    let held = tokio::spawn(put());
    gate.reached(1).await;
    client.put_object().bucket("bucket").key("b").body(text("1")).send().await.unwrap();
    assert_eq!((bucket.keys(), server.requests()[0].bytes_in), (vec!["b".to_owned()], 1));
    gate.release();
    held.await.unwrap().unwrap();
    assert_eq!(bucket.keys(), ["a1", "b"]);
    put().await.unwrap();

    let gate = server.hold(Moment::BeforeAnswer, "DeleteObject", "*");
    let held = tokio::spawn(client.delete_object().bucket("bucket").key("b").send());
    tokio::task::spawn_blocking(move || {
        gate.reached_blocking(1);
        assert_eq!(bucket.keys(), ["a1"], "handled, not answered");
    })
    .await
    .unwrap();
    held.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_goes_away_is_not_served() {
    let (server, bucket, client) = setup();
    let gate = server.hold(Moment::BeforeHandling, "PutObject", "*");
    let held = tokio::spawn(client.put_object().bucket("bucket").key("a").body(text("1")).send());
    gate.reached(1).await;
    held.abort();
    assert!(held.await.unwrap_err().is_cancelled());
    gate.abandoned().await;
    gate.release();
    client.head_bucket().bucket("bucket").send().await.unwrap();
    assert!(bucket.keys().is_empty());
    assert_eq!(server.requests()[0].status, None);
}
