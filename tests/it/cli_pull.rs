//! Pulls: what comes, what is left alone, and what never gets a name.

use std::time::{Duration, SystemTime};

use crate::support::s3::{Algorithm, Attributes, ETags, Effect, Moment, ObjectSpec, Rule};
use crate::support::sandbox::{REMOTE, Sandbox, bytes};

const MIB: usize = 1024 * 1024;

fn metadata(pairs: &[(&str, String)]) -> ObjectSpec {
    let metadata = pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    ObjectSpec { attributes: Attributes { metadata, ..Attributes::default() }, ..ObjectSpec::default() }
}

fn blake3(content: &[u8]) -> String {
    blake3::hash(content).to_hex().to_string()
}

/// Requests for content, the bucket's identity left out.
fn contents(sandbox: &Sandbox) -> usize {
    sandbox.requested("GetObject").iter().filter(|key| !key.starts_with('.')).count()
}

#[test]
fn a_first_pull_brings_everything_and_a_second_one_asks_for_nothing() {
    let sandbox = Sandbox::new();
    let large = bytes(1, 20 * MIB + 7);
    sandbox.put("a.jpg", "a");
    sandbox.put("empty", "");
    sandbox.put("deep/er/b c.jpg", "b");
    sandbox.put("large.bin", large.clone());
    sandbox.put("multipart.bin", "x");
    let spec = ObjectSpec { part_size: Some(5 * MIB), ..ObjectSpec::default() };
    sandbox.bucket.put_with("site/multipart.bin", bytes(2, 12 * MIB), spec);
    sandbox.pull(&["-n"]).exits(0).says(&["5"]);
    assert!(sandbox.local().is_empty());
    sandbox.server.clear_log();
    sandbox.pull(&[]).exits(0);
    sandbox.assert_pulled();
    // Nothing is read twice: one request for each small object, one for each range of a large one.
    assert_eq!(contents(&sandbox), 3 + 6 + 3);
    sandbox.assert_changes(&[]);
    sandbox.assert_second_pull_does_nothing(&[]);
    sandbox.assert_second_pull_does_nothing(&["--delete"]);
}

#[test]
fn times_are_the_recorded_ones_or_those_of_storing() {
    let sandbox = Sandbox::new();
    let recorded = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 120_000_000);
    let mtime = [("mtime", "1234567890.12".to_owned())];
    sandbox.bucket.put_with("site/recorded.jpg", "r", metadata(&mtime));
    sandbox.bucket.put_with("site/large.bin", bytes(1, 9 * MIB), metadata(&mtime));
    sandbox.put("foreign.jpg", "f");
    let stored = SystemTime::now();
    sandbox.pull(&[]).exits(0);
    assert_eq!(sandbox.mtime("recorded.jpg"), recorded);
    assert_eq!(sandbox.mtime("large.bin"), recorded);
    let foreign = sandbox.mtime("foreign.jpg");
    let off = stored.duration_since(foreign).unwrap_or_else(|error| error.duration());
    assert!(off < Duration::from_secs(30), "{off:?}");
    // A copy inside the directory has its own time too.
    sandbox.bucket.put_with("site/copy.jpg", "r", metadata(&[mtime[0].clone(), ("blake3", blake3(b"r"))]));
    sandbox.server.clear_log();
    sandbox.pull(&[]).exits(0);
    assert_eq!(contents(&sandbox), 0, "it was copied");
    assert_eq!(sandbox.mtime("copy.jpg"), recorded);
    sandbox.assert_second_pull_does_nothing(&[]);
}

#[test]
fn pull_edit_push_pull_moves_only_the_edit() {
    let mut sandbox = Sandbox::new();
    for name in ["a.jpg", "b.jpg", "c/d.jpg"] {
        sandbox.put(name, format!("content of {name}"));
    }
    sandbox.bucket.put_with("site/large.bin", bytes(1, 17 * MIB), ObjectSpec::default());
    let dsn = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint()));
    sandbox.env("DEFAULT_STORAGE_DSN", &dsn);
    sandbox.pull(&[]).exits(0);
    sandbox.write("b.jpg", "edited here");
    sandbox.server.clear_log();
    sandbox.push(&[]).exits(0);
    assert_eq!(sandbox.requested("PutObject").iter().filter(|key| !key.starts_with('.')).count(), 1);
    assert_eq!(sandbox.requested("CreateMultipartUpload"), Vec::<String>::new());
    sandbox.assert_second_pull_does_nothing(&[]);
    sandbox.put("c/d.jpg", "edited there");
    sandbox.server.clear_log();
    sandbox.pull(&[]).exits(0);
    assert_eq!(contents(&sandbox), 1);
    sandbox.assert_pulled();
    sandbox.assert_second_pull_does_nothing(&[]);
}

#[test]
fn local_edits_are_a_conflict_unless_the_remote_is_to_win() {
    let sandbox = Sandbox::new();
    sandbox.put("a.jpg", "first");
    sandbox.put("b.jpg", "first");
    sandbox.pull(&[]).exits(0);
    sandbox.write("a.jpg", "here");
    sandbox.write("b.jpg", "here");
    sandbox.put("a.jpg", "there, and longer");
    sandbox.write("own.jpg", "only here");
    let ran = sandbox.pull(&[]).exits(3).says(&["a.jpg", "--overwrite"]);
    drop(ran);
    assert_eq!(sandbox.local()["a.jpg"], "here");
    assert_eq!(sandbox.local()["b.jpg"], "here");
    sandbox.pull(&["--overwrite"]).exits(0);
    assert_eq!(sandbox.local()["a.jpg"], "there, and longer");
    assert_eq!(sandbox.local()["b.jpg"], "first");
    assert_eq!(sandbox.local()["own.jpg"], "only here");
}

#[test]
fn only_deletions_since_the_last_pull_are_made_and_only_if_wanted() {
    let sandbox = Sandbox::new();
    for n in 0..12 {
        sandbox.put(&format!("d/{n}.jpg"), format!("{n}"));
    }
    sandbox.pull(&[]).exits(0);
    sandbox.write("own.jpg", "only here");
    sandbox.write("d/3.jpg", "edited here");
    sandbox.bucket.remove("site/d/1.jpg");
    sandbox.bucket.remove("site/d/3.jpg");
    sandbox.pull(&[]).exits(0);
    assert!(sandbox.local().contains_key("d/1.jpg"));
    sandbox.pull(&["--delete"]).exits(3).says(&["d/3.jpg"]);
    let left = sandbox.local();
    assert!(!left.contains_key("d/1.jpg") && left["d/3.jpg"] == "edited here" && left["own.jpg"] == "only here");
    assert_eq!(left.len(), 12);
}

#[test]
fn bytes_that_are_not_what_was_recorded_never_get_the_name() {
    let sandbox = Sandbox::new();
    let (large, wrong) = (bytes(1, 17 * MIB), blake3(b"something else"));
    sandbox.put("proves/etags.jpg", "this server's ETags are MD5s");
    sandbox.bucket.put_with("site/small.jpg", "small", metadata(&[("blake3", wrong.clone())]));
    sandbox.bucket.put_with("site/large.bin", large.clone(), metadata(&[("blake3", wrong)]));
    let etag = Some("0123456789abcdef0123456789abcdef".to_owned());
    sandbox.bucket.put_with("site/z-etag.jpg", "etag", ObjectSpec { etag, ..ObjectSpec::default() });
    let told = "does not hold the bytes that its recorded digest names";
    let ran = sandbox.pull(&["--concurrency", "1"]).exits(3).says(&["small.jpg", "large.bin", "z-etag.jpg", told]);
    assert_eq!(sandbox.local().into_keys().collect::<Vec<_>>(), ["proves/etags.jpg"], "{ran:?}");
    // What is right by its CRC-64 comes, whatever the ETag of its parts is.
    let spec = ObjectSpec { part_size: Some(5 * MIB), checksum: Some(Algorithm::Crc64Nvme), ..ObjectSpec::default() };
    sandbox.bucket.put_with("site/large.bin", large.clone(), spec);
    sandbox.pull(&[]).exits(3);
    assert_eq!(sandbox.local()["large.bin"], large);
}

#[test]
fn etags_that_are_no_digests_hinder_nobody() {
    let sandbox = Sandbox::new();
    sandbox.server.quirks(|quirks| quirks.etags = ETags::Opaque);
    for n in 0..5 {
        sandbox.put(&format!("{n}.jpg"), format!("{n}"));
    }
    sandbox.put("large.bin", bytes(1, 17 * MIB));
    sandbox.pull(&["--concurrency", "1"]).exits(0);
    sandbox.assert_pulled();
    // Found out with the first one, by reading it twice.
    assert_eq!(contents(&sandbox), 5 + 1 + 5);
    sandbox.assert_second_pull_does_nothing(&[]);
}

#[test]
fn an_object_that_changes_between_its_ranges_is_not_mixed() {
    let sandbox = Sandbox::new();
    sandbox.put("large.bin", bytes(1, 40 * MIB));
    let gate = sandbox.server.hold(Moment::BeforeHandling, "GetObject", "*large.bin");
    let run = sandbox.start_pull(&[]);
    gate.reached_blocking(1);
    sandbox.put("large.bin", bytes(2, 40 * MIB));
    gate.release();
    run.wait().exits(3).says(&["large.bin"]);
    assert!(sandbox.local().is_empty());
    sandbox.pull(&[]).exits(0);
    sandbox.assert_pulled();
}

#[test]
fn bodies_that_end_early_are_asked_for_again() {
    let sandbox = Sandbox::new();
    sandbox.put("a.jpg", bytes(1, 100_000));
    sandbox.put("large.bin", bytes(2, 17 * MIB));
    sandbox.server.faults(|faults| {
        faults.add(Rule::new("GetObject", Effect::Truncate(10_000)).key("*a.jpg").times(2));
        faults.add(Rule::new("GetObject", Effect::Truncate(MIB)).key("*large.bin").times(2));
    });
    sandbox.pull(&[]).exits(0);
    sandbox.assert_pulled();
    assert_eq!(sandbox.server.faults(|faults| faults.fired()), 4);
}

#[test]
fn a_dry_run_refuses_the_directory_that_the_run_would_refuse() {
    let sandbox = Sandbox::new();
    sandbox.put("a.jpg", "a");
    let (above, one) = (sandbox.path("none/here"), sandbox.path("new"));
    for more in [&[][..], &["-n"]] {
        let pull = ["pull", REMOTE, above.to_str().unwrap()];
        let ran = sandbox.run(&[&pull, more].concat()).exits(1);
        ran.says(&["there is no directory", "make the directory first"]);
    }
    for more in [&["-n"][..], &[]] {
        let pull = ["pull", REMOTE, one.to_str().unwrap()];
        sandbox.run(&[&pull, more].concat()).exits(0);
        assert_eq!(one.is_dir(), more.is_empty());
    }
}
