//! Adversarial review: what was found or tried.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use crate::support::s3::{Effect, Faults, Moment, ObjectSpec, Rule, Versioning};
use crate::support::sandbox::{Ran, Sandbox, bytes};

const MIB: usize = 1024 * 1024;

/// A push is killed when three parts of `name` arrived.
fn killed_upload(sandbox: &Sandbox, name: &str, more: &[&str]) {
    sandbox.server.faults(|faults| {
        faults.add(Rule::new("UploadPart", Effect::Delay(Duration::from_secs(30))).key(&format!("*{name}")).skip(3));
    });
    let run = sandbox.start_push(more);
    let arrived = || {
        let log = sandbox.server.requests();
        log.iter().filter(|entry| entry.call.operation == "UploadPart" && entry.status == Some(200)).count()
    };
    let begun = Instant::now();
    while arrived() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(20), "three parts are sent");
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(200));
    run.kill();
    sandbox.server.faults(Faults::clear);
    sandbox.server.clear_log();
    assert_eq!(sandbox.bucket.uploads().len(), 1);
}

/// F: an upload in flight is thrown away by a run that excludes its key.
#[test]
fn exclude_keeps_an_upload_in_flight() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    sandbox.write("large.bin", bytes(1, 39 * MIB));
    killed_upload(&sandbox, "large.bin", &[]);
    sandbox.push(&["--exclude", "large.bin"]).exits(0);
    let left = sandbox.bucket.uploads().len();
    sandbox.server.clear_log();
    sandbox.push(&[]).exits(0);
    let sent = sandbox.server.count("UploadPart");
    assert_eq!((left, sent), (1, 2), "(uploads left, parts sent)");
}

/// F: carrying out a saved plan throws away uploads of keys that it does not speak of.
#[test]
fn apply_keeps_an_upload_in_flight() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("x/b.jpg", "b")]);
    sandbox.push(&[]).exits(0);
    sandbox.write("x/b.jpg", "edited b");
    let plan = sandbox.path("work/plan");
    sandbox.push(&["--only", "x", "--save-plan", plan.to_str().unwrap()]).exits(0);
    sandbox.write("large.bin", bytes(1, 39 * MIB));
    killed_upload(&sandbox, "large.bin", &["--only", "large.bin"]);
    sandbox.run(&["apply", plan.to_str().unwrap()]).exits(0);
    let left = sandbox.bucket.uploads().len();
    sandbox.server.clear_log();
    sandbox.push(&[]).exits(0);
    let sent = sandbox.server.count("UploadPart");
    assert_eq!((left, sent), (1, 2), "(uploads left, parts sent)");
}

/// F: a copy makes an earlier upload of its key needless, and leaves it.
#[test]
fn a_copy_cleans_up_the_upload_that_it_replaces() {
    let sandbox = Sandbox::with(&[("z.jpg", "z")]);
    sandbox.write("b.bin", bytes(1, 39 * MIB));
    killed_upload(&sandbox, "b.bin", &[]);
    sandbox.write("a.bin", bytes(1, 39 * MIB));
    sandbox.push(&["--only", "a.bin"]).exits(0);
    sandbox.server.clear_log();
    let ran = sandbox.push(&["-v"]).exits(0);
    println!("{ran:?}\ncopies {} parts {}", sandbox.server.count("CopyObject"), sandbox.server.count("UploadPartCopy"));
    let left = sandbox.bucket.uploads().len();
    sandbox.server.clear_log();
    sandbox.push(&[]).exits(0);
    let second = sandbox.server.changing_requests().len();
    assert_eq!((left, second), (0, 0), "(uploads left, changes of the second run)");
}

/// Odd metadata stays over an overwrite in one request.
#[test]
fn odd_metadata_stays() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("z.jpg", "z")]);
    sandbox.push(&[]).exits(0);
    let mut metadata = BTreeMap::new();
    for (name, value) in [
        ("spaces", "two  spaces   three"),
        ("empty", ""),
        ("signs", "a+b%20c&d=e;f,g \"q\" 'r' \\ / ? #"),
        ("quoted", "\"  in  quotes  \""),
        ("tab", "a\tb"),
        ("unicode", "Müller ☃"),
    ] {
        metadata.insert(name.to_owned(), value.to_owned());
    }
    let mut spec = ObjectSpec::default();
    spec.attributes.metadata = metadata.clone();
    spec.attributes.content_disposition = Some("attachment; filename=\"a  b.jpg\"; filename*=UTF-8''%C3%BC.jpg".into());
    sandbox.bucket.put_with("site/a.jpg", "a", spec);
    sandbox.push(&[]).exits(0);
    sandbox.write("a.jpg", "another content");
    let ran = sandbox.push(&[]);
    println!("{ran:?}");
    let stored = sandbox.bucket.get("site/a.jpg").unwrap();
    assert_eq!(sandbox.content("a.jpg"), "another content");
    for (name, value) in metadata {
        assert_eq!(stored.attributes.metadata.get(&name), Some(&value), "{name}");
    }
    println!("{:?}", stored.attributes);
}

/// A renamed file has the type of its new name, as it would if it were sent.
#[test]
fn a_rename_to_another_extension_gets_the_new_type() {
    let sandbox = Sandbox::with(&[("z.jpg", "z"), ("clip.txt", "content of a clip, long enough"), ("y.jpg", "y")]);
    sandbox.push(&["--delete"]).exits(0);
    fs::rename(sandbox.media("clip.txt"), sandbox.media("clip.html")).unwrap();
    sandbox.push(&["--delete"]).exits(0);
    let stored = sandbox.bucket.get("site/clip.html").unwrap();
    assert_eq!(stored.attributes.content_type.as_deref(), Some("text/html"));
}

/// Answers to PutObject that are no success.
#[test]
fn odd_answers_to_a_put() {
    for effect in [
        Effect::OkWithError("InternalError"),
        Effect::BareRedirect,
        Effect::Reset,
        Effect::LoseAnswer,
        Effect::Truncate(0),
        Effect::Status(204, "x"),
        Effect::Status(500, "InternalError"),
        Effect::Status(503, "SlowDown"),
        Effect::Status(400, "RequestTimeout"),
        Effect::Status(409, "ConditionalRequestConflict"),
        Effect::Status(412, "PreconditionFailed"),
        Effect::Status(404, "NoSuchBucket"),
        Effect::Status(400, "ExpiredToken"),
    ] {
        let sandbox = Sandbox::with(&[("a.jpg", "a")]);
        sandbox.push(&[]).exits(0);
        sandbox.write("a.jpg", "an edit");
        sandbox.write("b.jpg", bytes(5, 3 * MIB));
        sandbox.server.faults(|faults| faults.add(Rule::new("PutObject", effect.clone()).key("*.jpg").times(2)));
        let ran: Ran = sandbox.push(&[]);
        let first = (ran.code, ran.stderr.lines().last().unwrap_or_default().to_owned());
        sandbox.server.faults(Faults::clear);
        sandbox.server.clear_log();
        let again = sandbox.push(&[]);
        println!("{effect:?}: {first:?}; then {} with {} puts", again.code, sandbox.server.count("PutObject"));
        assert_eq!(again.code, 0, "{again:?}");
        sandbox.assert_equal();
        sandbox.assert_second_run_does_nothing(&[]);
    }
}

/// Somebody writes between our look and our put, on a server with conditions.
#[test]
fn races_with_a_put() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("z.jpg", "z")]);
    sandbox.push(&[]).exits(0);
    sandbox.write("a.jpg", "an edit");
    sandbox.write("new.jpg", "new");
    let gate = sandbox.server.hold(Moment::BeforeHandling, "PutObject", "site/*.jpg");
    let run = sandbox.start_push(&[]);
    gate.reached_blocking(2);
    sandbox.put("a.jpg", "theirs");
    sandbox.put("new.jpg", "theirs too");
    gate.release();
    let ran = run.wait();
    println!("{ran:?}");
    assert_eq!(ran.code, 3);
    assert_eq!((sandbox.content("a.jpg"), sandbox.content("new.jpg")), ("theirs".into(), "theirs too".into()));
}

/// F: somebody else completes the same content first; our upload is neither aborted nor remembered.
#[test]
fn a_completion_that_lost_to_the_same_content_leaves_no_upload() {
    let sandbox = Sandbox::with(&[("z.jpg", "z")]);
    sandbox.push(&[]).exits(0);
    let content = bytes(1, 17 * MIB);
    sandbox.write("large.bin", &content);
    let gate = sandbox.server.hold(Moment::BeforeHandling, "CompleteMultipartUpload", "*");
    let run = sandbox.start_push(&[]);
    gate.reached_blocking(1);
    let mut spec = ObjectSpec::default();
    spec.attributes.metadata.insert("blake3".into(), blake3::hash(&content).to_hex().to_string());
    sandbox.bucket.put_with("site/large.bin", content, spec);
    gate.release();
    let ran = run.wait();
    println!("{ran:?}");
    let first = sandbox.bucket.uploads().len();
    sandbox.push(&[]).exits(0);
    assert_eq!((first, sandbox.bucket.uploads().len()), (0, 0), "uploads after the run, and after another");
}

/// F: a killed run takes what somebody else stored for its own, if size and mtime are equal.
#[test]
fn what_somebody_else_stored_after_a_kill_is_not_ours() {
    for delete in [true, false] {
        let sandbox = Sandbox::with(&[("z.jpg", "z"), ("y.jpg", "y")]);
        sandbox.push(&[]).exits(0);
        // All files of a reproducible build have one time.
        let epoch = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        sandbox.write("build.txt", "build 1 of A");
        sandbox.set_mtime("build.txt", epoch);
        let gate = sandbox.server.hold(Moment::BeforeHandling, "PutObject", "site/build.txt");
        let run = sandbox.start_push(&[]);
        gate.reached_blocking(1);
        run.kill();
        let theirs = "build 1 of B";
        let mut spec = ObjectSpec::default();
        spec.attributes.metadata.insert("blake3".into(), blake3::hash(theirs.as_bytes()).to_hex().to_string());
        spec.attributes.metadata.insert("mtime".into(), "1700000000".into());
        sandbox.bucket.put_with("site/build.txt", theirs, spec);
        gate.release();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(sandbox.content("build.txt"), theirs);
        if delete {
            sandbox.remove("build.txt");
        } else {
            sandbox.write("build.txt", "build 2 of A");
            sandbox.set_mtime("build.txt", epoch);
        }
        let ran = sandbox.push(&["--delete"]);
        let left = sandbox.bucket.get("site/build.txt").map(|object| object.body.bytes());
        println!("{ran:?}\nleft: {left:?}");
        assert_eq!(left.as_deref(), Some(theirs.as_bytes()), "delete: {delete}");
    }
}

/// A touched large file after a kill.
#[test]
fn a_touch_does_not_begin_an_upload_anew() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    sandbox.write("large.bin", bytes(1, 39 * MIB));
    killed_upload(&sandbox, "large.bin", &[]);
    sandbox.set_mtime("large.bin", std::time::SystemTime::now() - Duration::from_secs(1000));
    sandbox.push(&[]).exits(0);
    assert_eq!(sandbox.server.count("UploadPart"), 2);
    sandbox.assert_equal();
}

/// A file that changes from NFD to NFC stays in the bucket under one of both names, whatever the flags.
#[test]
fn a_renormalised_name_never_leaves_the_bucket_without_the_content() {
    for mirror in [false, true] {
        for edit in [false, true] {
            let sandbox = Sandbox::with(&[("z.jpg", "z"), ("y.jpg", "y"), ("cafe\u{301}.jpg", "the coffee")]);
            sandbox.push(&["--delete"]).exits(0);
            fs::rename(sandbox.media("cafe\u{301}.jpg"), sandbox.media("caf\u{e9}.jpg")).unwrap();
            if edit {
                sandbox.write("caf\u{e9}.jpg", "an edited coffee");
            }
            for round in 0..3 {
                let ran = if mirror { sandbox.mirror(&[]) } else { sandbox.push(&["--delete"]) };
                let held: Vec<String> = sandbox.remote().keys().filter(|k| k.starts_with("caf")).cloned().collect();
                println!("mirror {mirror} edit {edit} round {round}: exit {} {held:?}\n{}", ran.code, ran.stdout);
                assert!(!held.is_empty());
            }
        }
    }
}

/// Moves onto a name that was deleted at the bucket, where the copy fails.
#[test]
fn a_failed_copy_onto_a_known_name_keeps_the_old_half() {
    let sandbox = Sandbox::with(&[("z.jpg", "z"), ("a.jpg", "content number 1"), ("b.jpg", "content number 2")]);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.bucket.remove("site/b.jpg");
    fs::rename(sandbox.media("a.jpg"), sandbox.media("b.jpg")).unwrap();
    sandbox.server.faults(|faults| {
        faults.add(Rule::new("CopyObject", Effect::Status(403, "AccessDenied")));
        faults.add(Rule::new("PutObject", Effect::Status(403, "AccessDenied")).key("site/b.jpg"));
    });
    let ran = sandbox.push(&["--delete", "-v"]);
    let remote: Vec<String> = sandbox.remote().keys().cloned().collect();
    println!("{ran:?} {remote:?}");
    assert!(remote.contains(&"a.jpg".to_owned()), "the only copy of the content was deleted: {remote:?}");
}

/// Same, where the new name is new.
#[test]
fn a_failed_copy_keeps_the_old_half() {
    let sandbox = Sandbox::with(&[("z.jpg", "z"), ("a.jpg", "content number 1")]);
    sandbox.push(&["--delete"]).exits(0);
    fs::rename(sandbox.media("a.jpg"), sandbox.media("b.jpg")).unwrap();
    sandbox.server.faults(|faults| {
        faults.add(Rule::new("CopyObject", Effect::Status(403, "AccessDenied")));
        faults.add(Rule::new("PutObject", Effect::Status(403, "AccessDenied")).key("site/b.jpg"));
    });
    let ran = sandbox.push(&["--delete", "-v"]);
    let remote: Vec<String> = sandbox.remote().keys().cloned().collect();
    println!("{ran:?} {remote:?}");
    assert!(remote.contains(&"a.jpg".to_owned()));
}

/// A dry run beside a run that is sending says what is so, and changes nothing.
#[test]
fn a_dry_run_beside_a_run() {
    let sandbox = Sandbox::with(&[("z.jpg", "z"), ("a.jpg", "a")]);
    sandbox.push(&[]).exits(0);
    sandbox.write("a.jpg", "edit");
    let gate = sandbox.server.hold(Moment::BeforeAnswer, "PutObject", "site/a.jpg");
    let run = sandbox.start_push(&[]);
    gate.reached_blocking(1);
    let dry = sandbox.push(&["--dry-run"]);
    println!("{dry:?}");
    let locked = sandbox.push(&[]);
    let forgotten = sandbox.run(&["history"]);
    println!("{locked:?} {forgotten:?}");
    assert_eq!(locked.code, 5);
    gate.release();
    assert_eq!(run.wait().code, 0);
    sandbox.assert_second_run_does_nothing(&[]);
}

/// Same, where the new name stands at both sides (`mv a.jpg b.jpg` over an old b.jpg of the same size).
#[test]
fn a_failed_overwrite_by_a_move_keeps_the_old_half() {
    let sandbox = Sandbox::with(&[("z.jpg", "z"), ("a.jpg", "content number 1"), ("b.jpg", "content number 2")]);
    sandbox.push(&["--delete"]).exits(0);
    fs::rename(sandbox.media("a.jpg"), sandbox.media("b.jpg")).unwrap();
    sandbox.server.faults(|faults| {
        faults.add(Rule::new("CopyObject", Effect::Status(403, "AccessDenied")));
        faults.add(Rule::new("PutObject", Effect::Status(403, "AccessDenied")).key("site/b.jpg"));
    });
    let ran = sandbox.push(&["--delete", "-v"]);
    let remote: Vec<String> = sandbox.remote().keys().cloned().collect();
    println!("{ran:?} {remote:?}");
    assert!(remote.contains(&"a.jpg".to_owned()), "the only copy of the content was deleted: {remote:?}");
}

/// Many at once: the deletions are not counted by the guard, as they are halves of renames.
#[test]
fn a_hundred_failed_moves_delete_a_hundred_objects_past_the_budget() {
    let sandbox = Sandbox::new();
    for n in 0..300 {
        sandbox.write(&format!("keep/{n:03}.jpg"), format!("kept content {n:03}"));
    }
    for n in 0..100 {
        sandbox.write(&format!("in/{n:03}.jpg"), format!("content of {n:03}!"));
        sandbox.write(&format!("out/{n:03}.jpg"), format!("elderly of {n:03}!"));
    }
    sandbox.push(&["--delete"]).exits(0);
    for n in 0..100 {
        sandbox.bucket.remove(&format!("site/out/{n:03}.jpg"));
        fs::rename(sandbox.media(&format!("in/{n:03}.jpg")), sandbox.media(&format!("out/{n:03}.jpg"))).unwrap();
    }
    // Not more than 19 refusals in a row, and a server that fails for a while.
    sandbox.server.faults(|faults| {
        faults.add(Rule::new("CopyObject", Effect::Status(412, "PreconditionFailed")));
        faults.add(Rule::new("PutObject", Effect::Status(409, "ConditionalRequestConflict")).key("site/out/*"));
    });
    let ran = sandbox.push(&["--delete", "--max-delete", "0"]);
    let left = sandbox.remote().keys().filter(|key| !key.starts_with("keep/")).count();
    println!("exit {} {}\nleft of 100: {left}", ran.code, ran.stdout);
    assert!(left >= 100, "{left}");
}

/// Two copies of one new large file: one is sent, the other copied or sent, and nothing is left over.
#[test]
fn forget_and_run_at_once() {
    let sandbox = Sandbox::with(&[("z.jpg", "z"), ("a.jpg", "a")]);
    sandbox.push(&[]).exits(0);
    sandbox.write("a.jpg", "edit");
    let gate = sandbox.server.hold(Moment::BeforeAnswer, "PutObject", "site/a.jpg");
    let run = sandbox.start_push(&[]);
    gate.reached_blocking(1);
    let status = sandbox.run(&["status", "--json"]);
    let pair = status.json()[0]["pair"].as_str().map(str::to_owned);
    println!("{status:?}");
    if let Some(pair) = pair {
        let ran = sandbox.run(&["forget", &pair]);
        println!("{ran:?}");
        assert_eq!(ran.code, 5);
    }
    gate.release();
    assert_eq!(run.wait().code, 0);
}
