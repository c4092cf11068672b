//! Other headers for objects that are too large for a copy in one request, on the server in this process.

use std::sync::Arc;

use mediasync::model::{Expect, Retype, Style, Version};
use mediasync::replica::s3::S3;
use mediasync::replica::{Cause, Contact, Put, Replica, Restyled};

use crate::s3_replica::{Putter, cause, key};
use crate::s3_server::Site;
use crate::support::s3::{Attributes, Conditional, Effect, Moment, ObjectSpec, Rule};
use crate::support::sandbox::bytes;

const MIB: usize = 1024 * 1024;

/// A replica for which everything above 5 MiB is too large to be copied in one request.
async fn connected(site: &Site) -> Arc<S3> {
    let s3 = S3::new(site.address(), None).copying_at_most(5 * MIB as u64);
    s3.connect(Contact::Prepare).await.unwrap();
    site.server.clear_log();
    Arc::new(s3)
}

/// Somebody's object in parts, with its version.
fn stored(site: &Site, seed: u64) -> Version {
    let mut attributes = Attributes { tagging: Some("team=press".to_owned()), ..Attributes::default() };
    attributes.metadata.insert("author".to_owned(), "me".to_owned());
    let spec = ObjectSpec { part_size: Some(7 * MIB), attributes, ..ObjectSpec::default() };
    Version::new(site.bucket.put_with("p/a", bytes(seed, 12 * MIB), spec))
}

async fn restyle(s3: &S3, version: &Version) -> Result<Restyled, mediasync::replica::Error> {
    let (putter, style) = (Putter::new(), Style { cache_control: Some("no-store".to_owned()), ..Style::default() });
    let (expect, digests) = (Expect::Version(version.clone()), mediasync::model::Digests::none());
    let put = Put { style: Some(&style), ..putter.as_put(&expect, &digests, None) };
    let result = s3.restyle(&key("a"), &put, Retype::Keep).await;
    assert_eq!(putter.journal.lines.lock().unwrap().len(), 0, "nothing is left open");
    result
}

#[tokio::test]
async fn what_is_too_large_for_one_request_is_copied_in_parts_with_all_that_it_carries() {
    let site = Site::new();
    let s3 = connected(&site).await;
    let version = stored(&site, 1);
    let Restyled::Done(entry) = restyle(&s3, &version).await.unwrap() else { panic!("it has no such header") };
    let now = site.bucket.get("p/a").unwrap();
    assert_eq!((entry.version.as_str(), entry.size), (now.etag.as_str(), 12 * MIB as u64));
    assert!(now.body.bytes() == bytes(1, 12 * MIB));
    assert_eq!(now.attributes.cache_control.as_deref(), Some("no-store"));
    assert_eq!(now.attributes.tagging.as_deref(), Some("team=press"));
    assert_eq!(now.attributes.metadata["author"], "me");
    assert_eq!(
        (site.server.count("UploadPartCopy"), site.server.count("CopyObject"), site.server.count("UploadPart")),
        (2, 0, 0)
    );
    assert!(matches!(restyle(&s3, &entry.version).await.unwrap(), Restyled::AsRuled));
}

#[tokio::test]
async fn somebody_who_stores_something_while_parts_are_copied_loses_nothing() {
    // Before a part is copied, where the source is checked and where it is not, and before all is put together.
    let (yes, no) = (Conditional::Honoured, Conditional::Ignored);
    for (moment, source) in [("UploadPartCopy", yes), ("UploadPartCopy", no), ("CompleteMultipartUpload", yes)] {
        let site = Site::with(|quirks| quirks.copy_source_conditions = source);
        let s3 = connected(&site).await;
        let version = stored(&site, 1);
        let gate = site.server.hold(Moment::BeforeHandling, moment, "*");
        let edit = async {
            gate.reached(1).await;
            let theirs = stored(&site, 2);
            gate.release();
            theirs
        };
        let (result, theirs) = tokio::join!(restyle(&s3, &version), edit);
        assert_eq!(cause(result), Cause::Precondition, "{moment} {source:?}");
        let now = site.bucket.get("p/a").unwrap();
        assert_eq!((now.etag.as_str(), now.attributes.cache_control), (theirs.as_str(), None), "{moment} {source:?}");
        assert!(now.body.bytes() == bytes(2, 12 * MIB));
        assert_eq!(site.bucket.uploads(), []);
    }
}

#[tokio::test]
async fn where_the_end_of_an_upload_is_not_checked_large_objects_stay_as_they_are() {
    let site = Site::with(|quirks| quirks.put_conditions = Conditional::Ignored);
    let s3 = connected(&site).await;
    let version = stored(&site, 1);
    assert_eq!(cause(restyle(&s3, &version).await), Cause::Unsupported);
    assert_eq!(site.log().iter().filter(|operation| operation.starts_with("Create")).count(), 0);
    assert_eq!(site.bucket.get("p/a").unwrap().etag, version.as_str());
}

#[tokio::test]
async fn a_part_that_can_not_be_copied_leaves_the_object_and_no_upload() {
    let site = Site::new();
    let s3 = connected(&site).await;
    let version = stored(&site, 1);
    site.server.faults(|faults| faults.add(Rule::new("UploadPartCopy", Effect::Status(403, "AccessDenied")).skip(1)));
    assert_eq!(cause(restyle(&s3, &version).await), Cause::Refused);
    assert_eq!((site.bucket.get("p/a").unwrap().etag.as_str(), site.bucket.uploads()), (version.as_str(), vec![]));
}
