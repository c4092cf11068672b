//! The S3 replica against failures: lost acknowledgements, lies, races, interruptions.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mediasync::model::{Expect, Version};
use mediasync::replica::retry::{Patience, Retrying};
use mediasync::replica::s3::{S3, S3Address};
use mediasync::replica::{Ability, Cause, Content, Replica, WHOLE_LIMIT};

use crate::s3_replica::{Memory, Putter, cause, key, keys, listed, whole};
use crate::s3_server::Site;
use crate::support::s3::{Acls, Attributes, Conditional, Effect, Gate, Moment, ObjectSpec, Rule, S3Server};

fn fail(server: &S3Server, operation: &'static str, effect: Effect, times: usize) {
    server.faults(|faults| faults.add(Rule::new(operation, effect).times(times)));
}

fn retrying(s3: &Arc<S3>) -> Retrying {
    let patience = Patience { first: Duration::from_millis(2), ..Patience::default() };
    Retrying::with(s3.clone(), patience)
}

#[tokio::test]
async fn refusals_and_resets_are_got_over() {
    let site = Site::new();
    let s3 = site.connected().await;
    let replica = retrying(&s3);
    for effect in [Effect::Status(503, "SlowDown"), Effect::Status(500, "InternalError"), Effect::Reset] {
        let name = format!("{effect:?}").chars().filter(char::is_ascii_alphanumeric).collect::<String>();
        fail(&site.server, "PutObject", effect, 2);
        Putter::new().create(&replica, &name, b"1").await.unwrap();
    }
    assert_eq!(site.server.faults(|faults| faults.fired()), 6);
}

#[tokio::test]
async fn a_lost_acknowledgement_is_no_conflict() {
    for conditional in [Conditional::Honoured, Conditional::Ignored] {
        let site = Site::with(|quirks| quirks.put_conditions = conditional);
        let s3 = site.connected().await;
        let replica = retrying(&s3);
        let putter = Putter::new();
        fail(&site.server, "PutObject", Effect::LoseAnswer, 1);
        let entry = putter.create(&replica, "a", b"1").await.unwrap();
        assert_eq!(entry.version.as_str(), site.bucket.get("p/a").unwrap().etag);
        fail(&site.server, "PutObject", Effect::LoseAnswer, 1);
        let expect = Expect::Version(entry.version);
        let entry = putter.put(&replica, "a", &whole("22"), &expect, None).await.unwrap();
        fail(&site.server, "CopyObject", Effect::LoseAnswer, 1);
        let put = putter.as_put(&Expect::Absent, &entry.digests, None);
        let copied = replica.copy(&key("a"), &entry.version, &key("b"), &put).await.unwrap();
        fail(&site.server, "DeleteObject", Effect::LoseAnswer, 1);
        assert_eq!(replica.delete(&[(key("a"), entry.version)]).await, [Ok(())]);
        assert_eq!(s3.look_up(&key("b")).await.unwrap().unwrap().version, copied.version);
        assert_eq!(site.bucket.keys(), ["p/.mediasync/id", "p/b"]);
        assert_eq!(site.server.faults(|faults| faults.fired()), 4);
    }
}

#[tokio::test]
async fn somebody_elses_write_in_between_wins() {
    let site = Site::new();
    let s3 = site.connected().await;
    let putter = Putter::new();
    let entry = putter.create(s3.as_ref(), "a", b"1").await.unwrap();
    let gate = site.server.hold(Moment::BeforeHandling, "PutObject", "*");
    let expect = Expect::Version(entry.version);
    let (content, edit) = (whole("ours"), async {
        gate.reached(1).await;
        site.bucket.put("p/a", "theirs");
        gate.release();
    });
    let (result, ()) = tokio::join!(putter.put(s3.as_ref(), "a", &content, &expect, None), edit);
    assert_eq!(cause(result), Cause::Precondition);
    assert_eq!(site.bucket.content("p/a"), "theirs");
}

#[tokio::test]
async fn an_object_that_vanishes_before_it_is_replaced_is_not_made_anew() {
    let site = Site::new();
    let s3 = site.connected().await;
    let putter = Putter::new();
    let entry = putter.create(s3.as_ref(), "a", b"1").await.unwrap();
    let gate = site.server.hold(Moment::BeforeHandling, "PutObject", "*");
    let expect = Expect::Version(entry.version);
    let (content, edit) = (whole("ours"), async {
        gate.reached(1).await;
        site.bucket.remove("p/a");
        gate.release();
    });
    let (result, ()) = tokio::join!(putter.put(s3.as_ref(), "a", &content, &expect, None), edit);
    assert_eq!(cause(result), Cause::Precondition);
    assert!(site.bucket.get("p/a").is_none());
}

#[tokio::test]
async fn a_server_that_is_busy_during_the_trial_is_asked_again() {
    let site = Site::new();
    fail(&site.server, "DeleteObject", Effect::Status(503, "SlowDown"), 1);
    assert_eq!(site.connected().await.probe().conditional_delete, Ability::Proven);
}

#[tokio::test]
async fn a_bare_redirect_is_never_success() {
    let site = Site::new();
    let s3 = site.connected().await;
    fail(&site.server, "PutObject", Effect::BareRedirect, 9);
    assert_eq!(cause(Putter::new().create(s3.as_ref(), "a", b"1").await), Cause::Stop);
    assert_eq!(s3.look_up(&key("a")).await.unwrap(), None);
}

#[tokio::test]
async fn truncated_bodies_are_read_again() {
    let site = Site::new();
    let s3 = site.connected().await;
    let replica = retrying(&s3);
    let bytes = vec![7_u8; 100_000];
    let entry = Putter::new().create(&replica, "a", &bytes).await.unwrap();
    fail(&site.server, "GetObject", Effect::Truncate(5_000), 1);
    assert!(matches!(s3.open(&key("a"), &entry.version).await.unwrap_err().cause, Cause::Transient { .. }));
    fail(&site.server, "GetObject", Effect::Truncate(5_000), 2);
    let Content::Whole { bytes: read, .. } = replica.open(&key("a"), &entry.version).await.unwrap() else {
        panic!("whole")
    };
    assert_eq!(read, bytes);
    assert_eq!(site.server.faults(|faults| faults.fired()), 3);
}

#[tokio::test]
async fn bytes_that_contradict_their_recorded_digest_are_refused() {
    let site = Site::new();
    let s3 = site.connected().await;
    let metadata = [("blake3".to_owned(), "0".repeat(64))].into();
    let spec = ObjectSpec { attributes: Attributes { metadata, ..Attributes::default() }, ..ObjectSpec::default() };
    let etag = site.bucket.put_with("p/a", "edited", spec);
    assert_eq!(cause(s3.open(&key("a"), &Version::new(etag)).await), Cause::Refused);
}

#[tokio::test]
async fn listings_that_contradict_themselves_are_incomplete() {
    let site = Site::new();
    let s3 = site.connected().await;
    for n in 0..1_500 {
        site.bucket.put(&format!("p/{n:04}"), "1");
    }
    for effect in [Effect::RepeatToken, Effect::RepeatKey] {
        site.server.faults(|faults| {
            faults.clear();
            faults.add(Rule::new("ListObjectsV2", effect));
        });
        assert_eq!(cause(listed(s3.as_ref(), None).await), Cause::Incomplete);
    }
    // Pages without keys, for ever.
    site.server.faults(|faults| {
        faults.clear();
        faults.add(Rule::new("ListObjectsV2", Effect::EmptyPage).skip(1));
    });
    let all = tokio::time::timeout(Duration::from_secs(20), listed(s3.as_ref(), None)).await;
    assert_eq!(cause(all.expect("it ends")), Cause::Incomplete);
    assert!(site.server.faults(|faults| faults.fired()) < 10, "the same place is not asked for again");
    site.server.faults(|faults| {
        faults.clear();
        faults.add(Rule::new("ListObjectsV2", Effect::Status(500, "InternalError")).skip(1).times(1));
        faults.add(Rule::new("ListObjectsV2", Effect::EmptyPage).times(1));
    });
    assert_eq!(keys(s3.as_ref()).await.len(), 1_500, "a page that fails once, and an empty one, are got over");
    site.server.faults(|faults| {
        faults.clear();
        faults.add(Rule::new("ListObjectsV2", Effect::Status(403, "AccessDenied")).skip(1));
    });
    assert_eq!(cause(listed(s3.as_ref(), None).await), Cause::Stop);
}

#[tokio::test]
async fn a_server_without_the_newer_listing_is_listed() {
    let site = Site::new();
    site.server.faults(|faults| faults.add(Rule::new("ListObjectsV2", Effect::Status(501, "NotImplemented"))));
    let s3 = site.connected().await;
    for n in 0..1_500 {
        site.bucket.put(&format!("p/{n:04} +%"), "1");
    }
    assert_eq!(keys(s3.as_ref()).await.len(), 1_500);
    assert_eq!(site.log(), ["ListObjects"; 2]);
}

#[tokio::test]
async fn a_refused_listing_is_the_servers_age_only_if_the_older_request_works() {
    for code in ["InvalidArgument", "InvalidRequest"] {
        let site = Site::new();
        let s3 = site.connected().await;
        site.bucket.put("p/a", "1");
        fail(&site.server, "ListObjectsV2", Effect::Status(400, code), 9);
        fail(&site.server, "ListObjects", Effect::Status(403, "AccessDenied"), 1);
        let error = listed(s3.as_ref(), None).await.unwrap_err();
        assert!(error.message.contains(code), "{error}");
        assert_ne!(s3.probe().list_v2, Ability::Missing);
        // A passing refusal is repeated, and then the answer counts.
        fail(&site.server, "ListObjects", Effect::Status(500, "InternalError"), 1);
        assert_eq!(keys(s3.as_ref()).await, ["a"]);
        assert_eq!(s3.probe().list_v2, Ability::Missing);
    }
}

#[tokio::test]
async fn a_404_is_no_absence_while_the_bucket_is_gone() {
    let site = Site::new();
    let s3 = site.connected().await;
    assert_eq!(s3.look_up(&key("a")).await.unwrap(), None);
    fail(&site.server, "HeadObject", Effect::Status(404, "NoSuchBucket"), 9);
    fail(&site.server, "HeadBucket", Effect::Status(404, "NoSuchBucket"), 9);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();
    let error = s3.look_up(&key("a")).await.unwrap_err();
    assert_eq!(error.cause, Cause::Stop, "{error:?}");
}

#[tokio::test]
async fn errors_inside_a_batch_hit_only_their_keys() {
    for conditional in [Conditional::Honoured, Conditional::Ignored] {
        let site = Site::with(|quirks| quirks.delete_conditions = conditional);
        let s3 = site.connected().await;
        let mut batch = Vec::new();
        for name in ["a", "b", "c", "d"] {
            batch.push((key(name), Putter::new().create(s3.as_ref(), name, b"1").await.unwrap().version));
        }
        site.bucket.put("p/d", "theirs");
        let rule = Rule::new("DeleteObjects", Effect::KeyErrors("AccessDenied")).key("p/b");
        site.server.faults(|faults| faults.add(rule));
        let causes: Vec<Option<Cause>> =
            s3.delete(&batch).await.into_iter().map(|result| result.err().map(|error| error.cause)).collect();
        assert_eq!(causes, [None, Some(Cause::Refused), None, Some(Cause::Precondition)]);
        assert_eq!(cause(s3.delete(&batch[3..]).await.remove(0)), Cause::Precondition);
        assert_eq!(keys(s3.as_ref()).await, ["b", "d"]);
    }
}

#[tokio::test]
async fn without_batches_keys_are_deleted_one_by_one() {
    let site = Site::with(|quirks| quirks.delete_conditions = Conditional::Ignored);
    let s3 = site.connected().await;
    let mut batch = Vec::new();
    for name in ["a", "b", "c"] {
        batch.push((key(name), Putter::new().create(s3.as_ref(), name, b"1").await.unwrap().version));
    }
    fail(&site.server, "DeleteObjects", Effect::Status(501, "NotImplemented"), 9);
    assert!(s3.delete(&batch).await.iter().all(Result::is_ok));
    assert_eq!(site.server.count("DeleteObject"), 3);
    assert_eq!(site.connected().await.probe().batch_delete, Ability::Missing, "and it is seen at the first contact");
}

/// Releases a gate after the server saw that the client of the held request went away.
async fn gone(gate: Gate) {
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(gate);
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// 3 parts of 8 MiB and a rest.
fn large() -> (Arc<Memory>, mediasync::replica::PartHashes) {
    let bytes: Vec<u8> = (0..3 * WHOLE_LIMIT + 5).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[4]).collect();
    let memory = Memory::new(bytes);
    let hashes = memory.hashes(WHOLE_LIMIT);
    (memory, hashes)
}

#[tokio::test]
async fn a_completion_whose_answer_is_lost_or_an_error_is_looked_for() {
    for (effect, times) in [(Effect::LoseAnswer, 1), (Effect::OkWithError("InternalError"), 1)] {
        let site = Site::new();
        let s3 = site.connected().await;
        let (memory, hashes) = large();
        let putter = Putter::new();
        fail(&site.server, "CompleteMultipartUpload", effect, times);
        let content = Content::Pieces(memory);
        let entry = putter.put(s3.as_ref(), "a", &content, &Expect::Absent, Some(&hashes)).await.unwrap();
        assert_eq!(entry.version.as_str(), site.bucket.get("p/a").unwrap().etag);
        assert_eq!(site.server.faults(|faults| faults.fired()), 1);
        assert!(putter.journal.lines.lock().unwrap().is_empty() && site.bucket.uploads().is_empty());
    }
}

#[tokio::test]
async fn an_interrupted_upload_goes_on_with_the_parts_that_are_there() {
    let site = Site::new();
    let s3 = site.connected().await;
    let (memory, hashes) = large();
    let putter = Putter::new();
    let content = Content::Pieces(memory.clone());
    let gate = site.server.hold(Moment::BeforeHandling, "CompleteMultipartUpload", "*");
    tokio::select! {
        _ = putter.put(s3.as_ref(), "a", &content, &Expect::Absent, Some(&hashes)) => panic!("it was held"),
        () = gate.reached(1) => {}
    }
    gone(gate).await;
    assert_eq!(site.bucket.uploads().len(), 1);
    // One part's acknowledgement was never written down.
    putter.journal.lines.lock().unwrap().get_mut("a").unwrap().parts.retain(|part| part.number != 2);
    let (reads, sent) = (memory.reads.load(Ordering::Relaxed), site.server.count("UploadPart"));
    putter.put(s3.as_ref(), "a", &content, &Expect::Absent, Some(&hashes)).await.unwrap();
    assert_eq!((memory.reads.load(Ordering::Relaxed), site.server.count("UploadPart")), (reads + 1, sent + 1));
    assert_eq!(site.server.count("CreateMultipartUpload"), 1);
    assert_eq!(
        blake3::hash(&site.bucket.content("p/a")).to_hex().as_str(),
        &*crate::s3_replica::blake3(&memory_bytes()).text
    );
}

/// An upload that was held right before its completion, and then put again by `again`.
async fn put_again(site: &Site, first: &S3, again: &S3, expect: &Expect, meanwhile: impl FnOnce()) {
    let (memory, hashes) = large();
    let (putter, content) = (Putter::new(), Content::Pieces(memory));
    let gate = site.server.hold(Moment::BeforeHandling, "CompleteMultipartUpload", "*");
    tokio::select! {
        _ = putter.put(first, "a", &content, expect, Some(&hashes)) => panic!("it was held"),
        () = gate.reached(1) => {}
    }
    gone(gate).await;
    meanwhile();
    site.server.clear_log();
    putter.put(again, "a", &content, expect, Some(&hashes)).await.unwrap();
    assert!(putter.journal.lines.lock().unwrap().is_empty() && site.bucket.uploads().is_empty());
}

#[tokio::test]
async fn an_upload_that_was_begun_with_other_headers_is_begun_anew() {
    let site = Site::new();
    let first = site.connected().await;
    site.bucket.put("p/a", "old");
    let expect = Expect::Version(first.look_up(&key("a")).await.unwrap().unwrap().version);
    put_again(&site, &first, &first, &expect, || {
        let attributes = Attributes { cache_control: Some("max-age=9".into()), ..Attributes::default() };
        site.bucket.put_with("p/a", "old", ObjectSpec { attributes, ..ObjectSpec::default() });
    })
    .await;
    assert_eq!(["CreateMultipartUpload", "UploadPart"].map(|op| site.server.count(op)), [1, 4]);
    assert_eq!(site.bucket.get("p/a").unwrap().attributes.cache_control.as_deref(), Some("max-age=9"));
}

#[tokio::test]
async fn an_upload_that_was_begun_with_another_acl_is_begun_anew_where_acls_are_sent() {
    for (acls, begun) in [(Acls::Supported, 1), (Acls::Refused, 0)] {
        let site = Site::with(|quirks| quirks.acls = acls);
        let public = S3Address { acl: Some("public-read".to_owned()), ..site.address() };
        let (first, again) = (site.connected().await, site.connected_to(public).await);
        if acls == Acls::Refused {
            // The refusal is known before the upload goes on.
            Putter::new().create(&*again, "b", b"1").await.unwrap();
        }
        put_again(&site, &first, &again, &Expect::Absent, || {}).await;
        assert_eq!(site.server.count("CreateMultipartUpload"), begun, "{acls:?}");
        assert_eq!(site.server.count("HeadObject"), 1, "only the look before the end");
    }
}

#[tokio::test]
async fn an_upload_whose_acl_was_refused_goes_on_also_in_another_process() {
    let site = Site::with(|quirks| quirks.acls = Acls::Refused);
    let public = S3Address { acl: Some("public-read".to_owned()), ..site.address() };
    let (first, again) = (site.connected_to(public.clone()).await, site.connected_to(public).await);
    put_again(&site, &first, &again, &Expect::Absent, || {}).await;
    assert_eq!(["CreateMultipartUpload", "UploadPart"].map(|op| site.server.count(op)), [0, 0]);
}

#[tokio::test]
async fn an_earlier_upload_to_a_key_that_is_somebody_elses_by_now_is_aborted() {
    let site = Site::with(|quirks| quirks.put_conditions = Conditional::Ignored);
    let s3 = site.connected().await;
    let (memory, hashes) = large();
    let (putter, content) = (Putter::new(), Content::Pieces(memory));
    let gate = site.server.hold(Moment::BeforeHandling, "CompleteMultipartUpload", "*");
    tokio::select! {
        _ = putter.put(&*s3, "a", &content, &Expect::Absent, Some(&hashes)) => panic!("it was held"),
        () = gate.reached(1) => {}
    }
    gone(gate).await;
    site.bucket.put("p/a", "theirs");
    site.server.clear_log();
    let result = putter.put(&*s3, "a", &content, &Expect::Absent, Some(&hashes)).await;
    assert_eq!(cause(result), Cause::Precondition);
    assert_eq!((site.bucket.content("p/a"), site.server.count("UploadPart")), ("theirs".into(), 0));
    assert!(putter.journal.lines.lock().unwrap().is_empty() && site.bucket.uploads().is_empty());
}

fn memory_bytes() -> Vec<u8> {
    (0..3 * WHOLE_LIMIT + 5).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[4]).collect()
}

#[tokio::test]
async fn a_completion_that_nobody_lived_to_see_is_found_by_the_next_attempt() {
    let site = Site::new();
    let s3 = site.connected().await;
    let (memory, hashes) = large();
    let putter = Putter::new();
    let content = Content::Pieces(memory);
    let gate = site.server.hold(Moment::BeforeAnswer, "CompleteMultipartUpload", "*");
    tokio::select! {
        _ = putter.put(s3.as_ref(), "a", &content, &Expect::Absent, Some(&hashes)) => panic!("it was held"),
        () = gate.reached(1) => {}
    }
    gone(gate).await;
    let entry = putter.put(s3.as_ref(), "a", &content, &Expect::Absent, Some(&hashes)).await.unwrap();
    assert_eq!(entry.version.as_str(), site.bucket.get("p/a").unwrap().etag);
    assert!(putter.journal.lines.lock().unwrap().is_empty());
    // Without an upload of ours in the journal, equal content is somebody else's.
    let put = putter.put(s3.as_ref(), "a", &content, &Expect::Absent, Some(&hashes)).await;
    assert_eq!(cause(put), Cause::Precondition);
}

#[tokio::test]
async fn a_source_that_changes_before_completion_publishes_nothing() {
    let site = Site::new();
    let s3 = site.connected().await;
    let (memory, hashes) = large();
    memory.has_changed.store(true, Ordering::Relaxed);
    let putter = Putter::new();
    let content = Content::Pieces(memory);
    let result = putter.put(s3.as_ref(), "a", &content, &Expect::Absent, Some(&hashes)).await;
    assert_eq!(cause(result), Cause::Changed);
    assert!(site.bucket.get("p/a").is_none() && site.bucket.uploads().is_empty());
}

#[tokio::test]
async fn an_upload_that_vanished_is_begun_again() {
    let site = Site::new();
    let s3 = site.connected().await;
    let (memory, hashes) = large();
    let putter = Putter::new();
    fail(&site.server, "UploadPart", Effect::Status(404, "NoSuchUpload"), 1);
    fail(&site.server, "ListParts", Effect::Status(404, "NoSuchUpload"), 1);
    let content = Content::Pieces(memory);
    let replica = retrying(&s3);
    putter.put(&replica, "a", &content, &Expect::Absent, Some(&hashes)).await.unwrap();
    assert_eq!(site.server.count("CreateMultipartUpload"), 2);
}

#[tokio::test]
async fn tidying_removes_our_uploads_and_nobody_elses() {
    // Ten minutes are less than what signatures tolerate and more than what an intent claims.
    let site = Site::with(|quirks| quirks.clock_ahead = 600);
    let s3 = site.connected().await;
    let (memory, hashes) = large();
    let (ours, theirs) = (Putter::new(), Putter::new());
    let content = Content::Pieces(memory);
    // Killed between Create and its answer: the journal has no id.
    let gate = site.server.hold(Moment::BeforeAnswer, "CreateMultipartUpload", "p/lost");
    tokio::select! {
        _ = ours.put(s3.as_ref(), "lost", &content, &Expect::Absent, Some(&hashes)) => panic!("it was held"),
        () = gate.reached(1) => {}
    }
    gone(gate).await;
    // Killed with an id.
    for (putter, name) in [(&ours, "begun"), (&theirs, "lost-and-found")] {
        let gate = site.server.hold(Moment::BeforeHandling, "UploadPart", "*");
        tokio::select! {
            _ = putter.put(s3.as_ref(), name, &content, &Expect::Absent, Some(&hashes)) => panic!("it was held"),
            () = gate.reached(1) => {}
        }
        gone(gate).await;
    }
    assert_eq!(site.bucket.uploads().len(), 3);
    assert_eq!(s3.tidy(&ours.journal).await.unwrap(), 2);
    assert_eq!(
        site.bucket.uploads().iter().map(|upload| upload.key.as_str()).collect::<Vec<_>>(),
        ["p/lost-and-found"]
    );
    assert!(ours.journal.lines.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_copy_that_the_server_does_not_do_is_unsupported() {
    let site = Site::new();
    let s3 = site.connected().await;
    let putter = Putter::new();
    let entry = putter.create(s3.as_ref(), "a", b"1").await.unwrap();
    fail(&site.server, "CopyObject", Effect::Status(501, "NotImplemented"), 1);
    let put = putter.as_put(&Expect::Absent, &entry.digests, None);
    assert_eq!(cause(s3.copy(&key("a"), &entry.version, &key("b"), &put).await), Cause::Unsupported);
    fail(&site.server, "*", Effect::Status(500, "InternalError"), 9);
    assert_eq!(cause(s3.copy(&key("a"), &entry.version, &key("b"), &put).await), Cause::Unsupported, "it is known now");
}
