//! Copies that the server makes by itself, between two buckets of one endpoint: no content is read, each copy is of the
//! version that was seen, and where the server can't, the content is streamed.

use crate::support::buckets::{Buckets, Servers};
use crate::support::s3::{Attributes, Conditional, ETags, Effect, Moment, ObjectSpec, Rule, Support};
use crate::support::sandbox::bytes;

const MIB: usize = 1024 * 1024;

fn filled() -> Buckets {
    let buckets = Buckets::new(Servers::One);
    buckets.put_live("a.jpg", "a");
    buckets.put_live("dir/b.jpg", "b");
    buckets.live.put_with(
        "large.bin",
        bytes(3, 11 * MIB),
        ObjectSpec { part_size: Some(5 * MIB), ..ObjectSpec::default() },
    );
    buckets
}

#[test]
fn one_endpoint_copies_without_a_byte_of_content_read() {
    let buckets = filled();
    buckets.mirror(&["-n"]).exits(0).says(&["Would create 3, overwrite 0 (11.0 MiB that the server copies)"]);
    buckets.mirror(&[]).exits(0).says(&["Created 3, overwrote 0 (11.0 MiB copied by the server)"]);
    buckets.assert_equal();
    assert_eq!(buckets.reads(), 0, "GetObject of content");
    assert_eq!((buckets.server.count("UploadPart"), buckets.server.count("CreateMultipartUpload")), (0, 0));
    // Three copies beside those of the probe.
    let copies = buckets.changes().into_iter().filter(|change| change.starts_with("CopyObject"));
    assert_eq!(copies.filter(|change| !change.contains(".mediasync/")).count(), 3);
    buckets.assert_second_run_does_nothing();
    // A change, and a rename: a copy each, and still nothing is read.
    buckets.put_live("a.jpg", "changed");
    buckets.live.remove("dir/b.jpg");
    buckets.put_live("dir/c.jpg", "b");
    buckets.clear_logs();
    buckets.mirror(&[]).exits(0);
    buckets.assert_equal();
    assert_eq!(buckets.reads(), 0);
    buckets.assert_second_run_does_nothing();
}

#[test]
fn unchecked_copies_are_told_once_where_something_is_copied() {
    let told = "ignores preconditions of copies: each key is looked at right before something is copied to it";
    for conditions in [Conditional::Honoured, Conditional::Ignored, Conditional::Refused] {
        let buckets = filled();
        buckets.server.quirks(|quirks| quirks.copy_conditions = conditions);
        let expected = usize::from(conditions != Conditional::Honoured);
        let ran = buckets.mirror(&[]).exits(0);
        assert_eq!(ran.all().matches(told).count(), expected, "{conditions:?} {ran:?}");
        buckets.assert_equal();
        // Nothing is copied: there is nothing to tell.
        buckets.mirror(&[]).exits(0).never_says("preconditions");
    }
    // What holds for all requests is told for all.
    let buckets = filled();
    buckets.server.quirks(|quirks| {
        quirks.copy_conditions = Conditional::Ignored;
        quirks.put_conditions = Conditional::Ignored;
    });
    let ran = buckets.mirror(&[]).exits(0).never_says(told);
    assert_eq!(ran.all().matches("ignores preconditions").count(), 1, "{ran:?}");
}

#[test]
fn a_copy_is_one_request_and_takes_all_along() {
    let buckets = Buckets::new(Servers::One);
    for n in 0..60 {
        let metadata = [("author".to_owned(), format!("number {n}"))].into();
        let attributes = Attributes { cache_control: Some("max-age=7".to_owned()), metadata, ..Attributes::default() };
        let spec = ObjectSpec { attributes, ..ObjectSpec::default() };
        buckets.live.put_with(&format!("dir-{}/{n}.bin", n % 7), bytes(n, 150), spec);
    }
    buckets.mirror(&[]).exits(0);
    buckets.assert_equal();
    let log = buckets.server.requests();
    let of = |operation: &str| {
        log.iter().filter(|one| one.call.operation == operation && one.call.key.contains("dir-")).count()
    };
    let asked = ["CopyObject", "HeadObject", "GetObject", "PutObject"].map(of);
    assert_eq!(asked, [60, 0, 0, 0]);
}

#[test]
fn etags_that_say_nothing_cost_no_reading_either() {
    for etags in [ETags::Opaque, ETags::OpaqueMultipart] {
        let buckets = Buckets::new(Servers::One);
        buckets.server.quirks(|quirks| quirks.etags = etags);
        buckets.put_live("a.jpg", "a");
        buckets.live.put_with(
            "b.bin",
            bytes(4, 9 * MIB),
            ObjectSpec { part_size: Some(5 * MIB), ..ObjectSpec::default() },
        );
        buckets.mirror(&[]).exits(0);
        buckets.assert_equal();
        assert_eq!(buckets.reads(), 0, "{etags:?}");
        buckets.assert_second_run_does_nothing();
    }
}

#[test]
fn what_the_server_can_not_copy_is_streamed_and_told_once() {
    for fault in [
        Effect::Status(403, "AccessDenied"),
        Effect::Status(404, "NoSuchBucket"),
        Effect::Status(501, "NotImplemented"),
    ] {
        let buckets = filled();
        buckets.server.faults(|faults| faults.add(Rule::new("CopyObject", fault.clone()).key("copies/[!.]*")));
        buckets.mirror(&[]).exits(0).says(&["can't copy from the bucket media by itself"]);
        let told = buckets.server.faults(|faults| faults.fired());
        assert!((1..=3).contains(&told), "{fault:?}: {told}");
        buckets.assert_equal();
        buckets.assert_second_run_does_nothing();
    }
    let buckets = filled();
    buckets.server.quirks(|quirks| quirks.copies = Support::Missing);
    buckets.mirror(&[]).exits(0);
    buckets.assert_equal();
    buckets.assert_second_run_does_nothing();
}

#[test]
fn a_live_object_that_changes_before_its_copy_is_left_to_the_next_run() {
    for conditions in [Conditional::Honoured, Conditional::Ignored] {
        let buckets = Buckets::new(Servers::One);
        buckets.server.quirks(|quirks| quirks.copy_source_conditions = conditions);
        buckets.put_live("a.jpg", "first");
        buckets.put_live("b.jpg", "b");
        buckets.mirror(&[]).exits(0);
        let spec = ObjectSpec {
            attributes: Attributes {
                metadata: [("blake3".to_owned(), blake3::hash(b"second").to_hex().to_string())].into(),
                ..Default::default()
            },
            ..ObjectSpec::default()
        };
        buckets.live.put_with("a.jpg", "second", spec);
        let gate = buckets.server.hold(Moment::BeforeHandling, "CopyObject", "copies/a.jpg");
        let run = buckets.start_mirror(&[]);
        gate.reached_blocking(1);
        buckets.put_live("a.jpg", "third!");
        drop(gate);
        run.wait().exits(3).says(&["a.jpg"]);
        // Whatever is there now is one version, and no digest stands beside other content.
        let held = buckets.backup.get("copies/a.jpg").unwrap();
        let content = held.body.bytes();
        assert!([&b"first"[..], b"second", b"third!"].contains(&&content[..]), "{content:?}");
        if let Some(recorded) = held.attributes.metadata.get("blake3") {
            assert_eq!(*recorded, blake3::hash(&content).to_hex().to_string(), "{conditions:?}");
        }
        buckets.mirror(&[]).exits(0);
        buckets.assert_equal();
        buckets.assert_second_run_does_nothing();
    }
}

#[test]
fn a_backup_object_that_somebody_changed_meanwhile_is_not_overwritten() {
    for conditions in [Conditional::Honoured, Conditional::Ignored] {
        let buckets = Buckets::new(Servers::One);
        buckets.server.quirks(|quirks| quirks.copy_conditions = conditions);
        buckets.put_live("a.jpg", "first");
        buckets.mirror(&[]).exits(0);
        buckets.put_live("a.jpg", "second");
        // Right before the last look, where the server does not look itself.
        let operation = if conditions == Conditional::Honoured { "CopyObject" } else { "HeadObject" };
        let gate = buckets.server.hold(Moment::BeforeHandling, operation, "copies/a.jpg");
        let run = buckets.start_mirror(&[]);
        gate.reached_blocking(1);
        buckets.backup.put("copies/a.jpg", "somebody else's");
        drop(gate);
        run.wait().exits(3).says(&["a.jpg"]);
        assert_eq!(buckets.backup.content("copies/a.jpg"), "somebody else's");
    }
}

/// Copied by the server or streamed because it can't: what was there is kept once, and before it is replaced.
#[test]
fn what_a_copy_replaces_is_in_the_trash() {
    for servers in [Servers::One, Servers::Two] {
        for refused in [false, true] {
            let buckets = Buckets::new(servers);
            buckets.put_live("a.jpg", "good");
            buckets.mirror(&[]).exits(0);
            buckets.put_live("a.jpg", "damaged");
            if refused {
                let denied = Rule::new("CopyObject", Effect::Status(403, "AccessDenied")).key("copies/a.jpg");
                buckets.target().faults(|faults| faults.add(denied));
            }
            buckets.mirror(&[]).exits(0).says(&["1 file"]);
            let mut kept = buckets.backup.keys();
            kept.retain(|key| key.contains(".mediasync/trash/"));
            assert_eq!(kept.len(), 1, "{servers:?} {refused}: {kept:?}");
            assert!(kept[0].ends_with("/a.jpg") && buckets.backup.content(&kept[0]) == "good", "{kept:?}");
            buckets.assert_equal();
            buckets.assert_second_run_does_nothing();
        }
    }
}
