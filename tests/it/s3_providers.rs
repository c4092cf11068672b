//! What is known of a kind of server, what somebody says about it, and what was tried: who has the last word.

use std::fs;

use mediasync::model::{Expect, Key};
use mediasync::replica::s3::providers::{Provider, Said, Without};
use mediasync::replica::s3::{S3, S3Address};
use mediasync::replica::{Ability, Contact, Replica};

use crate::s3_replica::{Putter, keys};
use crate::s3_server::Site;
use crate::support::s3::{ChecksumSupport, Need, Support};
use crate::support::sandbox::{BUCKET, PREFIX, Sandbox, bytes};

fn named(name: &str) -> Said {
    Said { provider: Provider::named(name), ..Said::default() }
}

fn without(without: &[Without]) -> Said {
    Said { without: without.to_vec(), ..Said::default() }
}

fn address(site: &Site, said: Said) -> S3Address {
    S3Address { said: Box::new(said), acl: Some("public-read".to_owned()), ..site.address() }
}

#[tokio::test]
async fn what_the_table_says_is_missing_is_not_asked_for_before_it_was_tried() {
    let site = Site::new();
    site.bucket.put("p/a", "1");
    let encoded =
        || site.server.requests().iter().filter(|entry| entry.call.query.contains_key("encoding-type")).count();
    // Ceph's answers to it are wrong; nobody has tried this server yet.
    let s3 = S3::new(address(&site, named("ceph")), None);
    s3.connect(Contact::Look).await.unwrap();
    assert_eq!(keys(&s3).await, ["a"]);
    assert_eq!(encoded(), 0);
    let s3 = S3::new(address(&site, named("storj")), None);
    assert_eq!(s3.capabilities().ordered, Ability::Missing);
    s3.connect(Contact::Look).await.unwrap();
    assert_eq!(keys(&s3).await, ["a"]);
    assert!(encoded() > 0);
}

#[tokio::test]
async fn a_table_that_is_wrong_is_corrected_by_what_was_tried() {
    for (name, ability) in [
        ("ceph", (|s3: &S3| s3.probe().url_encoding) as fn(&S3) -> Ability),
        ("minio", |s3| s3.probe().acl),
        ("storj", |s3| s3.probe().ordered),
        ("backblaze", |s3| s3.probe().checksums),
    ] {
        let site = Site::new();
        let s3 = S3::new(address(&site, named(name)), None);
        assert_eq!(ability(&s3), Ability::Missing, "{name}: the first guess");
        s3.connect(Contact::Prepare).await.unwrap();
        assert_eq!(ability(&s3), Ability::Proven, "{name}: what was seen");
        Putter::new().create(&s3, "a", b"1").await.unwrap();
        assert_eq!(site.bucket.get("p/a").unwrap().acl.name, "public-read", "{name}");
    }
    // The other way round: AWS is known to have ACLs and ListObjectsV2, this server has neither.
    let site = Site::with(|quirks| {
        quirks.acls = crate::support::s3::Acls::NotImplemented;
        quirks.list_v2 = Support::Missing;
    });
    let s3 = S3::new(address(&site, named("aws")), None);
    s3.connect(Contact::Prepare).await.unwrap();
    assert_eq!((s3.probe().acl, s3.probe().list_v2), (Ability::Missing, Ability::Missing));
    Putter::new().create(&s3, "a", b"1").await.unwrap();
    assert_eq!(keys(&s3).await, ["a"]);
}

#[tokio::test]
async fn what_somebody_says_is_missing_is_not_used_whatever_was_seen() {
    let site = Site::new();
    let said = without(&[Without::Acls, Without::ListV2, Without::Copies, Without::ConditionalPut]);
    let s3 = S3::new(address(&site, said), None);
    s3.connect(Contact::Prepare).await.unwrap();
    assert_eq!(site.server.count("ListObjectsV2"), 0);
    assert_eq!((s3.capabilities().copy, s3.capabilities().conditional_put), (Ability::Missing, Ability::Missing));
    // What was seen is remembered as it is: without the wish it is used again.
    assert_eq!((s3.probe().acl, s3.probe().conditional_put), (Ability::Proven, Ability::Proven));
    site.server.clear_log();
    let putter = Putter::new();
    let stored = putter.create(&s3, "a", b"1").await.unwrap();
    assert_eq!(site.bucket.get("p/a").unwrap().acl.name, "private");
    // Instead of a condition, a look right before.
    assert!(site.server.count("HeadObject") > 0);
    let put = putter.as_put(&Expect::Absent, &stored.digests, None);
    let (a, b) = (Key::new("a").unwrap(), Key::new("b").unwrap());
    s3.copy(&a, &stored.version, &b, &put).await.unwrap_err();
    assert_eq!(site.server.count("CopyObject"), 0);
}

#[tokio::test]
async fn batches_of_deletions_carry_the_proof_that_a_server_takes() {
    let site = Site::with(|quirks| {
        quirks.checksums = ChecksumSupport::Refused;
        quirks.delete_objects_md5 = Need::Required;
    });
    let s3 = site.connected().await;
    let putter = Putter::new();
    let mut batch = Vec::new();
    for name in ["a", "b", "c"] {
        let stored = putter.create(s3.as_ref(), name, b"1").await.unwrap();
        batch.push((Key::new(name).unwrap(), stored.version));
    }
    site.server.clear_log();
    assert!(s3.delete(&batch).await.iter().all(Result::is_ok));
    assert_eq!((site.server.count("DeleteObjects"), site.server.count("DeleteObject")), (1, 0));
    assert_eq!(keys(s3.as_ref()).await, Vec::<String>::new());
}

#[test]
fn parts_are_of_one_size_and_no_more_than_the_server_takes() {
    const MIB: usize = 1024 * 1024;
    let sandbox = Sandbox::new();
    sandbox.server.quirks(|quirks| {
        quirks.max_parts = 3;
        quirks.equal_parts = Need::Required;
    });
    sandbox.write("large.bin", bytes(5, 40 * MIB));
    let config = |said: &str| {
        let (endpoint, key, secret) =
            (sandbox.server.endpoint(), sandbox.server.access_key(), sandbox.server.secret_key());
        let text = format!(
            "[remote.shop]\nurl = \"s3://{BUCKET}/site\"\nendpoint = \"{endpoint}\"\naccess_key = \"{key}\"\n\
             secret_key = \"{secret}\"\n{said}\n"
        );
        fs::write(sandbox.path("work/mediasync.toml"), text).unwrap();
    };
    let media = sandbox.path("media");
    let push = || sandbox.run(&["push", media.to_str().unwrap(), "shop:"]);
    config("provider = \"r2\"");
    push().exits(3).says(&["large.bin"]);
    config("provider = \"r2\"\nmax_parts = 3");
    push().exits(0);
    sandbox.assert_equal();
    let parts = sandbox.bucket.get(&format!("{PREFIX}large.bin")).unwrap().parts;
    assert_eq!(parts, [16, 16, 8].map(|mib| mib * MIB as u64));
    config("without = [\"acls\", \"conditional-put\"]");
    push().exits(0).never_says("ignores preconditions");
    // It is told where something is written, once.
    sandbox.write("small.bin", "small");
    let ran = push().exits(0).says(&["ignores preconditions"]);
    assert_eq!(ran.all().matches("ignores preconditions").count(), 1, "{ran:?}");
    config("provider = \"r3\"\nwithout = [\"alcs\"]\nmax_parts = 1");
    push().exits(2).says(&[
        "line 6: remote.shop.provider: \"r3\" is not one of: aws, ",
        "line 7: remote.shop.without: \"alcs\" is not one of: acls, ",
        "did you mean \"acls\"?",
        "line 8: remote.shop.max_parts: expected a number of parts from 2 to 10000",
    ]);
}
