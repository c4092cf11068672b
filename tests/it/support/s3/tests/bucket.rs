//! Buckets, ACLs, CORS and versions.

use aws_sdk_s3::types::{
    AccessControlPolicy, BucketVersioningStatus, CorsConfiguration, CorsRule, Delete, Grant, Grantee, ObjectCannedAcl,
    ObjectIdentifier, Owner, Permission, Type, VersioningConfiguration,
};

use super::{anonymous, refusal, setup, text};
use crate::support::s3::{Region, Version, Versioning};

#[tokio::test]
async fn buckets() {
    let (server, bucket, client) = setup();
    client.head_bucket().bucket("bucket").send().await.unwrap();
    assert_eq!(refusal(client.head_bucket().bucket("nowhere").send().await).0, 404);
    client.create_bucket().bucket("another").send().await.unwrap();
    let again = client.create_bucket().bucket("another").send().await;
    assert_eq!(refusal(again), (409, "BucketAlreadyOwnedByYou".to_owned()));
    let names = client.list_buckets().send().await.unwrap();
    let names: Vec<&str> = names.buckets().iter().filter_map(|bucket| bucket.name()).collect();
    assert_eq!(names, ["another", "bucket"]);
    let location = client.get_bucket_location().bucket("bucket").send().await.unwrap();
    assert_eq!(location.location_constraint().map_or("", |region| region.as_str()), "");
    server.quirks(|quirks| quirks.region = Region::Redirect("us-east-1".to_owned()));
    assert_eq!(client.head_bucket().bucket("bucket").send().await.unwrap().bucket_region(), Some("us-east-1"));
    bucket.put("a", "1");
    let full = client.delete_bucket().bucket("bucket").send().await;
    assert_eq!(refusal(full), (409, "BucketNotEmpty".to_owned()));
    client.delete_bucket().bucket("another").send().await.unwrap();
    assert_eq!(refusal(client.head_bucket().bucket("another").send().await).0, 404);
}

#[tokio::test]
async fn acls() {
    let (server, bucket, client) = setup();
    let put = |key: &str| client.put_object().bucket("bucket").key(key).body(text("1"));
    put("public").acl(ObjectCannedAcl::PublicRead).send().await.unwrap();
    put("granted").grant_read("uri=\"http://acs.amazonaws.com/groups/global/AllUsers\"").send().await.unwrap();
    put("private").send().await.unwrap();
    assert_eq!(bucket.get("public").unwrap().acl.name, "public-read");
    assert_eq!(anonymous(&server, "/bucket/public"), 200);
    assert_eq!(anonymous(&server, "/bucket/granted"), 200);
    assert_eq!(anonymous(&server, "/bucket/private"), 403);
    assert_eq!(anonymous(&server, "/bucket"), 403);
    let acl = client.get_object_acl().bucket("bucket").key("public").send().await.unwrap();
    let permissions: Vec<_> = acl.grants().iter().filter_map(|grant| grant.permission()).collect();
    assert_eq!(permissions, [&Permission::FullControl, &Permission::Read]);

    client.put_object_acl().bucket("bucket").key("public").acl(ObjectCannedAcl::Private).send().await.unwrap();
    assert_eq!(anonymous(&server, "/bucket/public"), 403);
    let everybody = Grantee::builder().r#type(Type::Group).uri("http://acs.amazonaws.com/groups/global/AllUsers");
    let grant = Grant::builder().grantee(everybody.build().unwrap()).permission(Permission::Read).build();
    let owner = Owner::builder().id(acl.owner().unwrap().id().unwrap()).build();
    let policy = AccessControlPolicy::builder().grants(grant).owner(owner).build();
    let set = client.put_object_acl().bucket("bucket").key("private").access_control_policy(policy);
    set.send().await.unwrap();
    assert_eq!(anonymous(&server, "/bucket/private"), 200);
    assert_eq!(bucket.get("private").unwrap().acl.name, "custom");
    assert_eq!(refusal(put("x").acl("nonsense".into()).send().await), (400, "InvalidArgument".to_owned()));
    let missing = client.put_object_acl().bucket("bucket").key("x").acl(ObjectCannedAcl::Private).send().await;
    assert_eq!(refusal(missing), (404, "NoSuchKey".to_owned()));
}

#[tokio::test]
async fn cors() {
    let (_server, _bucket, client) = setup();
    let get = || client.get_bucket_cors().bucket("bucket").send();
    assert_eq!(refusal(get().await), (404, "NoSuchCORSConfiguration".to_owned()));
    let rule = CorsRule::builder().allowed_methods("GET").allowed_origins("*").max_age_seconds(60).build().unwrap();
    let rules = CorsConfiguration::builder().cors_rules(rule.clone()).build().unwrap();
    client.put_bucket_cors().bucket("bucket").cors_configuration(rules).send().await.unwrap();
    let got = get().await.unwrap();
    assert_eq!(got.cors_rules()[0].allowed_methods(), rule.allowed_methods());
    assert_eq!(got.cors_rules()[0].max_age_seconds(), Some(60));
    client.delete_bucket_cors().bucket("bucket").send().await.unwrap();
    assert_eq!(refusal(get().await).0, 404);
}

#[tokio::test]
async fn versions() {
    let (_server, bucket, client) = setup();
    bucket.put("a", "0");
    let status = client.get_bucket_versioning().bucket("bucket");
    assert_eq!(status.clone().send().await.unwrap().status(), None);
    let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    client.put_bucket_versioning().bucket("bucket").versioning_configuration(enabled).send().await.unwrap();
    assert_eq!(status.send().await.unwrap().status(), Some(&BucketVersioningStatus::Enabled));
    let put = client.put_object().bucket("bucket").key("a").body(text("1")).send().await.unwrap();
    let first = put.version_id().unwrap().to_owned();
    let delete = client.delete_object().bucket("bucket").key("a");
    let gone = delete.clone().send().await.unwrap();
    assert_eq!(gone.delete_marker(), Some(true));
    let marker = gone.version_id().unwrap().to_owned();
    assert!(bucket.keys().is_empty());
    let ids: Vec<String> = bucket.versions("a").iter().map(|version| version.id().to_owned()).collect();
    assert_eq!(ids, ["null", first.as_str(), marker.as_str()]);
    assert!(matches!(bucket.versions("a")[2], Version::Marker { .. }));
    let get = |id: &str| client.get_object().bucket("bucket").key("a").version_id(id).send();
    assert_eq!(get("null").await.unwrap().body.collect().await.unwrap().to_vec(), b"0");
    assert_eq!(refusal(get(&marker).await), (405, "MethodNotAllowed".to_owned()));
    assert_eq!(refusal(get("unknown").await), (404, "NoSuchVersion".to_owned()));

    let list = client.list_object_versions().bucket("bucket").prefix("a").max_keys(2);
    let page = list.clone().send().await.unwrap();
    assert_eq!((page.delete_markers().len(), page.versions().len(), page.is_truncated()), (1, 1, Some(true)));
    assert_eq!((page.delete_markers()[0].is_latest(), page.versions()[0].is_latest()), (Some(true), Some(false)));
    let next = (page.next_key_marker().unwrap(), page.next_version_id_marker().unwrap());
    let page = list.key_marker(next.0).version_id_marker(next.1).send().await.unwrap();
    assert_eq!(page.versions()[0].version_id(), Some("null"));

    delete.version_id(&marker).send().await.unwrap();
    assert_eq!(bucket.content("a"), "1", "without the marker the newest version is back");
    bucket.set_versioning(Versioning::Suspended);
    bucket.put("a", "2");
    let one = ObjectIdentifier::builder().key("a").version_id(&first).build().unwrap();
    let many = Delete::builder().objects(one).build().unwrap();
    client.delete_objects().bucket("bucket").delete(many).send().await.unwrap();
    let ids: Vec<String> = bucket.versions("a").iter().map(|version| version.id().to_owned()).collect();
    assert_eq!((ids, bucket.content("a").as_ref()), (vec!["null".to_owned()], &b"2"[..]));
}
