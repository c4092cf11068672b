//! Listings: pages, delimiters, encodings, order.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::EncodingType;

use super::{refusal, setup};
use crate::support::s3::ListingOrder;

/// All pages of `size`, keys and common prefixes (with a `>` before them) in the order they came.
async fn pages(client: &Client, size: i32, prefix: &str, delimiter: Option<&str>) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut token = None;
    loop {
        let list = client.list_objects_v2().bucket("bucket").max_keys(size).prefix(prefix);
        let page = list.set_delimiter(delimiter.map(str::to_owned)).set_continuation_token(token).send().await.unwrap();
        let keys = page.contents().iter().filter_map(|object| object.key()).map(str::to_owned);
        let prefixes = page.common_prefixes().iter().filter_map(|common| common.prefix()).map(|p| format!(">{p}"));
        pages.push(keys.chain(prefixes).collect());
        token = page.next_continuation_token().map(str::to_owned);
        assert_eq!(page.is_truncated(), Some(token.is_some()));
        if token.is_none() {
            return pages;
        }
    }
}

#[tokio::test]
async fn pages_in_byte_order() {
    let (_server, bucket, client) = setup();
    for key in ["b", "a/x", "a-b", "a/y/z", "c/1", "c/2", "ä"] {
        bucket.put(key, "");
    }
    let all = [["a-b", "a/x"], ["a/y/z", "b"], ["c/1", "c/2"]];
    let mut expected: Vec<Vec<String>> = all.iter().map(|page| page.map(str::to_owned).to_vec()).collect();
    expected.push(vec!["ä".to_owned()]);
    assert_eq!(pages(&client, 2, "", None).await, expected);
    assert_eq!(pages(&client, 1000, "", Some("/")).await, [["a-b", "b", "ä", ">a/", ">c/"]]);
    let single: Vec<String> = pages(&client, 1, "", Some("/")).await.concat();
    assert_eq!(single, ["a-b", ">a/", "b", ">c/", "ä"], "a prefix is one entry, also across pages");
    assert_eq!(pages(&client, 1000, "a/", Some("/")).await, [["a/x", ">a/y/"]]);
    assert_eq!(pages(&client, 1000, "nothing", None).await, [[""; 0]]);
}

#[tokio::test]
async fn start_after_and_version_1() {
    let (server, bucket, client) = setup();
    for key in ["a-b", "a/x", "a/y", "b"] {
        bucket.put(key, "12");
    }
    let after = client.list_objects_v2().bucket("bucket").start_after("a/x").send().await.unwrap();
    let keys: Vec<&str> = after.contents().iter().filter_map(|object| object.key()).collect();
    assert_eq!((keys, after.contents()[0].size()), (vec!["a/y", "b"], Some(2)));
    assert!(after.contents()[0].e_tag().is_some());
    let first = client.list_objects().bucket("bucket").delimiter("/").max_keys(2).send().await.unwrap();
    assert_eq!((first.contents().len(), first.common_prefixes().len()), (1, 1));
    assert_eq!(first.next_marker(), Some("a/"));
    let second = client.list_objects().bucket("bucket").delimiter("/").marker("a/").send().await.unwrap();
    assert_eq!((second.contents()[0].key(), second.common_prefixes().len()), (Some("b"), 0));
    let plain = client.list_objects().bucket("bucket").marker("a/x").max_keys(1).send().await.unwrap();
    assert_eq!((plain.contents()[0].key(), plain.next_marker()), (Some("a/y"), None));
    assert_eq!((server.count("ListObjects"), server.count("ListObjectsV2")), (3, 1));
    server.quirks(|quirks| quirks.start_after = crate::support::s3::Support::Missing);
    let anew = client.list_objects_v2().bucket("bucket").start_after("a/x").send().await.unwrap();
    assert_eq!(anew.contents().len(), 4);
    let wrong = client.list_objects_v2().bucket("bucket").continuation_token("wrong").send().await;
    assert_eq!(refusal(wrong), (400, "InvalidArgument".to_owned()));
    let nowhere = client.list_objects_v2().bucket("nowhere").send().await;
    assert_eq!(refusal(nowhere), (404, "NoSuchBucket".to_owned()));
}

#[tokio::test]
async fn encodes_on_request() {
    let (_server, bucket, client) = setup();
    bucket.put("a b/ü+\u{1}%", "");
    let list = client.list_objects_v2().bucket("bucket").encoding_type(EncodingType::Url).prefix("a b");
    let page = list.send().await.unwrap();
    assert_eq!(page.contents()[0].key(), Some("a+b/%C3%BC%2B%01%25"));
    assert_eq!((page.prefix(), page.encoding_type()), (Some("a+b"), Some(&EncodingType::Url)));
}

#[tokio::test]
async fn orders_by_component_like_seaweedfs() {
    let (server, bucket, client) = setup();
    server.quirks(|quirks| quirks.listing_order = ListingOrder::Components);
    for key in ["a/b", "a-b", "a/c/d", "a/c-d", "b"] {
        bucket.put(key, "");
    }
    let order = ["a/b", "a/c/d", "a/c-d", "a-b", "b"];
    assert_eq!(pages(&client, 1000, "", None).await, [order]);
    assert_eq!(pages(&client, 1, "", None).await.concat(), order);
    assert_eq!(pages(&client, 1, "", Some("/")).await.concat(), [">a/", "a-b", "b"]);
    assert_eq!(pages(&client, 2, "a/", Some("/")).await.concat(), ["a/b", ">a/c/", "a/c-d"]);
    let after = client.list_objects_v2().bucket("bucket").start_after("a/c-d").send().await.unwrap();
    let keys: Vec<&str> = after.contents().iter().filter_map(|object| object.key()).collect();
    assert_eq!(keys, ["a-b", "b"]);
}
