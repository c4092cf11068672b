//! ACLs of objects, on the server in this process.

use mediasync::model::Key;
use mediasync::replica::admin::{Admin, Block, Canned, Tended};
use mediasync::replica::s3::Said;
use mediasync::replica::s3::providers::Without;
use mediasync::replica::throttle::Gate;
use mediasync::replica::{Cause, Error, access::Access};

use crate::live::client;
use crate::s3_replica::cause;
use crate::s3_server::Site;
use crate::support::s3::{Acls, Effect, Rule};

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// What setting an ACL fails with.
async fn refused(site: &Site, canned: Canned) -> Error {
    site.bucket.put("p/a.jpg", "a");
    let s3 = site.connected().await;
    s3.set_acl(&key("a.jpg"), canned).await.unwrap_err()
}

fn says(error: &Error, texts: &[&str]) {
    let all = format!("{}\n{}", error.message, error.hint.as_deref().unwrap_or_default());
    for text in texts {
        assert!(all.contains(text), "{text:?} is missing in {all}");
    }
}

#[tokio::test]
async fn every_canned_acl_is_set_and_recognised_and_no_other_one() {
    let site = Site::new();
    site.bucket.put("p/a.jpg", "a");
    let before = site.bucket.get("p/a.jpg").unwrap();
    let s3 = site.connected().await;
    // The bucket's owner owns the object, too: what is given to him says nothing.
    let alike = |canned: Canned| if canned.names_the_bucket_owner() { Canned::Private } else { canned };
    for canned in Canned::ALL {
        s3.set_acl(&key("a.jpg"), canned).await.unwrap();
        assert_eq!(site.bucket.get("p/a.jpg").unwrap().acl.name, canned.name());
        assert_eq!(s3.acl(&key("a.jpg")).await.unwrap().canned(), Some(alike(canned)));
        for other in Canned::ALL {
            let has = s3.has_acl(&key("a.jpg"), other).await.unwrap();
            assert_eq!(has, alike(other) == alike(canned), "{canned} and {other}");
        }
    }
    // Who owns the bucket is asked once.
    assert_eq!(site.server.count("GetBucketAcl"), 1);
    let after = site.bucket.get("p/a.jpg").unwrap();
    assert_eq!((after.etag, after.modified, after.body), (before.etag, before.modified, before.body));
    assert!(site.server.changing_requests().iter().all(|entry| entry.call.operation == "PutObjectAcl"));
}

#[tokio::test]
async fn an_acl_goes_out_with_content_md5_and_no_other_checksum() {
    let site = Site::with(|quirks| quirks.checksums = crate::support::s3::ChecksumSupport::Refused);
    site.bucket.put("p/a.jpg", "a");
    let s3 = site.connected().await;
    s3.set_acl(&key("a.jpg"), Canned::PublicRead).await.unwrap();
    let sent = site.server.changing_requests();
    assert_eq!(sent[0].header("content-md5"), "1B2M2Y8AsgTpgAmY7PhCfg==");
}

#[tokio::test]
async fn other_grants_are_no_canned_acl() {
    let site = Site::new();
    site.bucket.put("p/a.jpg", "a");
    let read = "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\", id=\"you\"";
    let set = client(&site.address()).put_object_acl().bucket("bucket").key("p/a.jpg").grant_read(read);
    set.send().await.unwrap();
    let s3 = site.connected().await;
    let acl = s3.acl(&key("a.jpg")).await.unwrap();
    assert_eq!((acl.canned(), acl.is_public(), acl.grants.len()), (None, true, 3));
    assert!(!s3.has_acl(&key("a.jpg"), Canned::PublicRead).await.unwrap());
}

#[tokio::test]
async fn a_bucket_that_disables_acls_says_what_to_do_and_ends_the_work() {
    let site = Site::with(|quirks| quirks.acls = Acls::Refused);
    let error = refused(&site, Canned::PublicRead).await;
    assert_eq!(error.cause, Cause::Stop);
    says(&error, &["bucket disables ACLs", "Object Ownership", "bucket owner enforced", "policy"]);
}

#[tokio::test]
async fn block_public_access_is_named_where_it_may_be_asked_for() {
    let site = Site::with(|quirks| quirks.acls = Acls::Blocked);
    let error = refused(&site, Canned::PublicRead).await;
    assert_eq!(error.cause, Cause::Stop);
    says(&error, &["Block Public Access", "BlockPublicAcls", "public-read"]);
    let s3 = site.connected().await;
    assert_eq!(s3.blocks().await.unwrap(), [Block::Acls, Block::IgnoredAcls]);
    s3.set_acl(&key("a.jpg"), Canned::Private).await.unwrap();

    let denied = Rule::new("GetPublicAccessBlock", Effect::Status(403, "AccessDenied"));
    site.server.faults(|faults| faults.add(denied));
    let error = refused(&site, Canned::PublicRead).await;
    assert_eq!(error.cause, Cause::Refused);
    says(&error, &["a.jpg", "s3:PutObjectAcl", "Block Public Access", "s3:GetBucketPublicAccessBlock"]);
}

#[tokio::test]
async fn a_missing_permission_is_told_and_concerns_the_object() {
    let site = Site::new();
    site.server.faults(|faults| faults.add(Rule::new("PutObjectAcl", Effect::Status(403, "AccessDenied"))));
    for canned in [Canned::PublicRead, Canned::Private] {
        let error = refused(&site, canned).await;
        assert_eq!(error.cause, Cause::Refused);
        says(&error, &["a.jpg", "s3:PutObjectAcl"]);
    }
}

#[tokio::test]
async fn where_there_are_no_acls_nothing_is_sent_and_the_bucket_is_named() {
    for acls in [Acls::NotImplemented, Acls::Ignored] {
        let site = Site::with(|quirks| quirks.acls = acls);
        let error = refused(&site, Canned::PublicRead).await;
        assert_eq!(error.cause, Cause::Unsupported);
        says(&error, &["no ACLs of objects", "bucket"]);
        assert_eq!(site.server.count("PutObjectAcl"), 0);
    }
    let site = Site::new();
    let said = Said { without: vec![Without::Acls], ..Said::default() };
    let address = mediasync::replica::s3::S3Address { said: Box::new(said), ..site.address() };
    let s3 = site.connected_to(address).await;
    says(&s3.acl(&key("a.jpg")).await.unwrap_err(), &["the configuration says", "without"]);
}

#[tokio::test]
async fn names_of_our_own_have_no_acl_to_be_changed() {
    let site = Site::new();
    let s3 = site.connected().await;
    let own = key(".mediasync/id");
    assert_eq!(cause(s3.set_acl(&own, Canned::PublicRead).await), Cause::Refused);
    assert_eq!(cause(s3.acl(&own).await), Cause::Refused);
    assert_eq!(site.log(), Vec::<&str>::new());
}

#[tokio::test]
async fn what_is_read_only_is_not_changed_and_what_fails_for_now_is_tried_again() {
    let site = Site::new();
    site.bucket.put("p/a.jpg", "a");
    let s3 = site.connected().await;
    for access in [Access::ReadOnly, Access::Confirm] {
        let tended = Tended::new(s3.clone(), Gate::new(4, None), access);
        assert_eq!(cause(tended.set_acl(&key("a.jpg"), Canned::PublicRead).await), Cause::Stop);
        assert!(tended.has_acl(&key("a.jpg"), Canned::Private).await.unwrap());
    }
    assert_eq!(site.server.changing_requests().len(), 0);
    let slow = Rule::new("PutObjectAcl", Effect::Status(503, "SlowDown")).times(2);
    site.server.faults(|faults| faults.add(slow));
    let tended = Tended::new(s3, Gate::new(4, None), Access::Write);
    tended.set_acl(&key("a.jpg"), Canned::PublicRead).await.unwrap();
    assert_eq!(site.bucket.get("p/a.jpg").unwrap().acl.name, "public-read");
}
