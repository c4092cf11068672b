//! The S3 replica against the server in this process: the first contact and what servers do differently.

use std::sync::Arc;

use mediasync::model::{DigestKind, Expect, Item, Reach, Readable, SkipReason};
use mediasync::replica::s3::{Addressing, Credentials, Probe, S3, S3Address};
use mediasync::replica::{Ability, Cause, Contact, Replica};
use mediasync::secret::Secret;

use crate::s3_replica::{Putter, cause, key, keys, listed, whole};
use crate::support::s3::{
    Acls, Algorithm, Attributes, ChecksumSupport, Conditional, Handle, ListingOrder, Need, ObjectSpec, Quirks, Region,
    S3Server, Support, Versioning,
};

/// A server with one bucket.
pub(crate) struct Site {
    pub(crate) server: S3Server,
    pub(crate) bucket: Handle,
}

impl Site {
    pub(crate) fn new() -> Self {
        let server = S3Server::start();
        let bucket = server.create_bucket("bucket");
        Self { server, bucket }
    }

    pub(crate) fn with(change: impl FnOnce(&mut Quirks)) -> Self {
        let site = Self::new();
        site.server.quirks(change);
        site
    }

    pub(crate) fn address(&self) -> S3Address {
        S3Address {
            bucket: "bucket".to_owned(),
            prefix: "p".to_owned(),
            endpoint: Some(self.server.endpoint()),
            region: None,
            addressing: Addressing::Auto,
            credentials: Credentials::Static {
                access_key: self.server.access_key().to_owned(),
                secret: Secret::new(self.server.secret_key()),
                session_token: None,
            },
            acl: None,
            public_url: None,
            said: Box::default(),
        }
    }

    /// A replica that knows the server.
    pub(crate) async fn connected(&self) -> Arc<S3> {
        self.connected_to(self.address()).await
    }

    pub(crate) async fn connected_to(&self, address: S3Address) -> Arc<S3> {
        let s3 = S3::new(address, None);
        s3.connect(Contact::Prepare).await.unwrap();
        self.server.clear_log();
        Arc::new(s3)
    }

    /// Operations of the log, in order.
    pub(crate) fn log(&self) -> Vec<&'static str> {
        self.server.requests().iter().map(|entry| entry.call.operation).collect()
    }
}

async fn probed(change: impl FnOnce(&mut Quirks)) -> Probe {
    Site::with(change).connected().await.probe()
}

#[tokio::test]
async fn a_complete_server_is_seen_as_complete() {
    let all = probed(|_| {}).await;
    let abilities = [
        all.ordered,
        all.start_after,
        all.url_encoding,
        all.list_v2,
        all.same_etags,
        all.conditional_put,
        all.checksums,
        all.copy,
        all.conditional_copy,
        all.conditional_delete,
        all.batch_delete,
        all.conditional_batch_delete,
        all.acl,
    ];
    assert_eq!(abilities, [Ability::Proven; 13]);
}

#[tokio::test]
async fn what_a_server_does_not_do_is_seen() {
    let missing = Ability::Missing;
    for conditional in [Conditional::Ignored, Conditional::Refused] {
        assert_eq!(probed(|q| q.put_conditions = conditional).await.conditional_put, missing);
        let probe = probed(|q| q.delete_conditions = conditional).await;
        assert_eq!((probe.conditional_delete, probe.conditional_batch_delete), (missing, missing));
        let probe = probed(|q| q.copy_conditions = conditional).await;
        assert_eq!((probe.conditional_copy, probe.copy), (missing, Ability::Proven));
    }
    assert_eq!(probed(|q| q.checksums = ChecksumSupport::Ignored).await.checksums, missing);
    assert_eq!(probed(|q| q.checksums = ChecksumSupport::Refused).await.checksums, missing);
    assert_eq!(probed(|q| q.copies = Support::Missing).await.copy, missing);
    let probe = probed(|q| q.delete_objects_md5 = Need::Required).await;
    assert_eq!(probe.batch_delete, Ability::Proven, "what some servers insist on is sent");
    let probe = probed(|q| q.listing_order = ListingOrder::Components).await;
    assert_eq!((probe.ordered, probe.start_after), (missing, missing));
    assert_eq!(probed(|q| q.acls = Acls::NotImplemented).await.acl, missing);
}

#[tokio::test]
async fn looking_changes_nothing_and_what_is_remembered_is_not_asked_again() {
    let site = Site::new();
    let s3 = S3::new(site.address(), None);
    assert_eq!(s3.connect(Contact::Look).await.unwrap().identity, None);
    assert!(site.server.changing_requests().is_empty());
    let made = s3.connect(Contact::Prepare).await.unwrap();
    assert_eq!(site.bucket.keys(), ["p/.mediasync/id"], "the trial's objects are gone");
    site.server.clear_log();
    let again = S3::new(site.address(), Some(s3.probe()));
    assert_eq!(again.connect(Contact::Prepare).await.unwrap().identity, made.identity);
    assert_eq!(site.log(), ["ListObjectsV2", "GetObject"]);
    // Another identity behind the same name is another place: it is asked anew.
    site.bucket.put("p/.mediasync/id", "0123456789abcdef0123456789abcdef");
    let moved = again.connect(Contact::Prepare).await.unwrap();
    assert_ne!(moved.identity, made.identity);
    assert_eq!(again.probe().id, moved.identity);
    assert!(site.log().len() > 10);
}

#[tokio::test]
async fn an_identity_that_is_none_ends_the_run() {
    let site = Site::new();
    site.bucket.put("p/.mediasync/id", "<html>");
    assert_eq!(cause(S3::new(site.address(), None).connect(Contact::Look).await), Cause::Stop);
}

#[tokio::test]
async fn a_wrong_region_is_left_once_and_remembered() {
    for region in [Region::Redirect("eu-central-1".into()), Region::Malformed("eu-central-1".into())] {
        let site = Site::with(|quirks| quirks.region = region);
        let s3 = site.connected().await;
        assert_eq!(s3.probe().region.as_deref(), Some("eu-central-1"));
        Putter::new().create(s3.as_ref(), "a", b"1").await.unwrap();
        assert_eq!(site.log(), ["PutObject"], "the region is known now");
        site.server.clear_log();
        let again = S3::new(site.address(), Some(s3.probe()));
        again.connect(Contact::Prepare).await.unwrap();
        assert_eq!(site.log(), ["ListObjectsV2", "GetObject"], "and is known to the next run");
    }
}

#[tokio::test]
async fn wrong_addresses_and_keys_end_the_run_with_a_way_out() {
    let site = Site::new();
    let contact = async |address: S3Address| S3::new(address, None).connect(Contact::Prepare).await.unwrap_err();
    let error = contact(S3Address { bucket: "missing-bucket".into(), ..site.address() }).await;
    assert_eq!(error.cause, Cause::Stop);
    assert!(error.message.contains("missing-bucket") && error.hint.is_some(), "{error:?}");

    let mut address = site.address();
    address.credentials =
        Credentials::Static { access_key: "AKWRONG".into(), secret: Secret::new("x"), session_token: None };
    let error = contact(address).await;
    assert_eq!(error.cause, Cause::Stop);
    assert!(error.message.contains("InvalidAccessKeyId") || error.message.contains("not permitted"), "{error:?}");

    let mut address = site.address();
    let access_key = site.server.access_key().to_owned();
    address.credentials = Credentials::Static { access_key, secret: Secret::new("wr0ng-s3cret"), session_token: None };
    let error = contact(address).await;
    assert_eq!(error.cause, Cause::Stop);
    assert!(error.message.contains("SignatureDoesNotMatch") && !format!("{error:?}").contains("wr0ng"), "{error:?}");

    let error = contact(S3Address { endpoint: Some("http://127.0.0.1:1".into()), ..site.address() }).await;
    assert_eq!(error.cause, Cause::Stop);
    assert!(error.message.contains("refused the connection"), "{error:?}");

    let error = contact(S3Address { endpoint: Some("http://nothing.invalid".into()), ..site.address() }).await;
    assert_eq!(error.cause, Cause::Stop);
    assert!(error.message.contains("does not resolve"), "{error:?}");
}

#[tokio::test]
async fn a_skewed_clock_is_corrected_from_the_first_answer() {
    let site = Site::with(|quirks| quirks.clock_ahead = 7_200);
    let s3 = S3::new(site.address(), None);
    let error = s3.connect(Contact::Prepare).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Transient { .. }), "{error:?}");
    s3.connect(Contact::Prepare).await.unwrap();
    Putter::new().create(&s3, "a", b"1").await.unwrap();
}

#[tokio::test]
async fn bodies_are_signed_and_checksummed_over_plain_http() {
    let site = Site::new();
    let s3 = site.connected().await;
    Putter::new().create(s3.as_ref(), "a/b.svg", b"<svg/>").await.unwrap();
    let log = site.server.requests();
    let header = |name: &str| log[0].headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let hash = header("x-amz-content-sha256").unwrap();
    assert_eq!(hash.len(), 64, "{hash}");
    assert_eq!(header("if-none-match").as_deref(), Some("*"));
    assert_eq!(header("content-type").as_deref(), Some("image/svg+xml"));
    assert_eq!(header("content-encoding"), None);
    assert_eq!(header("x-amz-acl"), None);
    assert!(header("x-amz-checksum-crc64nvme").is_some() && header("x-amz-trailer").is_none());
    let object = site.bucket.get("p/a/b.svg").unwrap();
    assert_eq!(object.attributes.metadata["blake3"], blake3::hash(b"<svg/>").to_hex().as_str());
    assert_eq!(object.attributes.metadata["mtime"], "1700000000.250000000");
    assert_eq!(site.log(), ["PutObject"], "one request for a new small object");
}

#[tokio::test]
async fn an_overwrite_keeps_headers_metadata_and_acl() {
    let site = Site::new();
    let s3 = site.connected_to(S3Address { acl: Some("public-read".into()), ..site.address() }).await;
    let putter = Putter::new();
    putter.create(s3.as_ref(), "new", b"1").await.unwrap();
    assert_eq!(site.bucket.get("p/new").unwrap().acl.name, "public-read");
    let attributes = Attributes {
        metadata: [("author".to_owned(), "me".to_owned()), ("md5chksum".to_owned(), "stale".into())].into(),
        content_type: Some("image/x-custom".into()),
        cache_control: Some("max-age=60".into()),
        content_disposition: Some("attachment".into()),
        content_language: Some("de".into()),
        ..Attributes::default()
    };
    site.bucket.put_with("p/old", "1", ObjectSpec { attributes, ..ObjectSpec::default() });
    let old = s3.look_up(&key("old")).await.unwrap().unwrap();
    putter.put(s3.as_ref(), "old", &whole("22"), &Expect::Version(old.version), None).await.unwrap();
    let object = site.bucket.get("p/old").unwrap();
    assert_eq!(object.acl.name, "private", "what is there stays private whatever new objects get");
    assert_eq!(object.attributes.content_type.as_deref(), Some("image/x-custom"));
    assert_eq!(object.attributes.cache_control.as_deref(), Some("max-age=60"));
    assert_eq!(object.attributes.content_disposition.as_deref(), Some("attachment"));
    assert_eq!(object.attributes.content_language.as_deref(), Some("de"));
    assert_eq!(object.attributes.metadata["author"], "me");
    assert_eq!(object.attributes.metadata.get("md5chksum"), None, "it spoke of the old content");
    assert_eq!(object.attributes.metadata["blake3"], blake3::hash(b"22").to_hex().as_str());
    // And a public one stays public, by overwrite and by copy.
    let new = s3.look_up(&key("new")).await.unwrap().unwrap();
    let expect = Expect::Version(new.version);
    let new = putter.put(s3.as_ref(), "new", &whole("33"), &expect, None).await.unwrap();
    assert_eq!(site.bucket.get("p/new").unwrap().acl.name, "public-read");
    let put = putter.as_put(&Expect::Absent, &new.digests, None);
    s3.copy(&key("new"), &new.version, &key("moved"), &put).await.unwrap();
    assert_eq!(site.bucket.get("p/moved").unwrap().acl.name, "public-read");
}

#[tokio::test]
async fn refused_acls_are_left_out_for_the_run_and_told_once() {
    for acls in [Acls::Refused, Acls::NotImplemented] {
        let site = Site::with(|quirks| quirks.acls = acls);
        let s3 = site.connected_to(S3Address { acl: Some("public-read".into()), ..site.address() }).await;
        let putter = Putter::new();
        for name in ["a", "b", "c"] {
            putter.create(s3.as_ref(), name, b"1").await.unwrap();
        }
        assert_eq!(keys(s3.as_ref()).await, ["a", "b", "c"]);
        let refused = usize::from(acls == Acls::Refused);
        assert_eq!(site.server.count("PutObject"), 3 + refused);
        assert_eq!((s3.notices().len(), s3.notices().len()), (refused, 0));
    }
}

#[tokio::test]
async fn listings_hold_everything_in_order_and_nothing_of_ours() {
    let site = Site::new();
    let s3 = site.connected().await;
    let mut expected: Vec<String> = (0..2_500).map(|n| format!("f/{n:04}")).collect();
    expected.extend(["a", "a-b", "a/x", "odd/", "ü %+"].map(str::to_owned));
    expected.sort();
    for name in &expected {
        site.bucket.put(&format!("p/{name}"), "1");
    }
    site.bucket.put("p/", "");
    site.bucket.put("p/dir/", "");
    site.bucket.put("p/x/.mediasync-tmp", "1");
    site.bucket.put("pq", "1");
    let all = listed(s3.as_ref(), None).await.unwrap();
    let present = all.iter().filter_map(|item| match item {
        Item::Present(key, _) => Some(key.as_str()),
        _ => None,
    });
    assert_eq!(present.collect::<Vec<_>>(), expected);
    assert!(all.contains(&Item::Skipped(Reach::Key(key("dir/")), SkipReason::DirectoryMarker)));
    assert_eq!(all.len(), expected.len() + 1);
    assert_eq!(site.log(), ["ListObjectsV2"; 3]);
    let only = listed(s3.as_ref(), Some("a")).await.unwrap();
    let only: Vec<&str> =
        only.iter().filter_map(|i| if let Item::Present(k, _) = i { Some(k.as_str()) } else { None }).collect();
    assert_eq!(only, ["a", "a/x"]);
}

#[tokio::test]
async fn an_unordered_listing_is_told_once_and_then_given() {
    let site = Site::with(|quirks| quirks.listing_order = ListingOrder::Components);
    let s3 = S3::new(site.address(), None);
    for name in ["a-b", "a/x"] {
        site.bucket.put(&format!("p/{name}"), "1");
    }
    s3.connect(Contact::Look).await.unwrap();
    assert_eq!(cause(listed(&s3, None).await), Cause::Unordered);
    assert_eq!(s3.capabilities().ordered, Ability::Missing);
    assert_eq!(keys(&s3).await, ["a/x", "a-b"]);
}

#[tokio::test]
async fn foreign_objects_bring_the_digests_that_they_have() {
    let site = Site::new();
    let s3 = site.connected().await;
    let attributes = Attributes {
        metadata: [("md5chksum".to_owned(), "DMF1ucDxtqgxw5niaXcmYQ==".to_owned())].into(),
        storage_class: Some("GLACIER".into()),
        ..Attributes::default()
    };
    let spec = ObjectSpec {
        attributes,
        checksum: Some(Algorithm::Crc64Nvme),
        etag: Some("x-1".into()),
        ..ObjectSpec::default()
    };
    site.bucket.put_with("p/a", "a", spec);
    let entry = s3.look_up(&key("a")).await.unwrap().unwrap();
    assert_eq!(&*entry.digests.get(DigestKind::Md5).unwrap().text, "0cc175b9c0f1b6a831c399e269772661");
    assert!(entry.digests.get(DigestKind::Crc64Nvme).is_some());
    assert_eq!((entry.readable, entry.version.as_str()), (Readable::Archived, "x-1"));
}

#[tokio::test]
async fn deletions_hide_and_never_name_a_version() {
    let site = Site::new();
    site.bucket.set_versioning(Versioning::Enabled);
    let s3 = site.connected().await;
    for name in ["a", "b"] {
        let entry = Putter::new().create(s3.as_ref(), name, b"1").await.unwrap();
        assert_eq!(s3.delete(&[(key(name), entry.version)]).await, [Ok(())]);
    }
    assert_eq!(site.bucket.versions("p/a").len(), 2, "the object and the marker");
    let named = site.server.requests().iter().any(|entry| entry.call.query.contains_key("versionId"));
    assert!(!named);
}
