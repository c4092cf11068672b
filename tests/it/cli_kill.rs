//! Runs that die: `kill -9` at any moment, uploads that go on, two runs at once, a manifest that is lost, damaged or
//! has no room. After all of these the next run ends with both sides equal.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::support::s3::{Moment, ObjectSpec};
use crate::support::sandbox::{REMOTE, Running, Sandbox, bytes};

const MIB: usize = 1024 * 1024;

/// Small files, an edited one, a removed one, a renamed one, and in each other round a large one.
fn edit(sandbox: &Sandbox, random: &mut fastrand::Rng, round: u64) {
    for n in 0..4 {
        sandbox.write(&format!("new/{round}-{n}.jpg"), bytes(random.u64(..), random.usize(1..20_000)));
    }
    let names: Vec<String> = sandbox.local().into_keys().collect();
    let mut any = |among: &str| names.iter().filter(|name| name.starts_with(among)).nth(random.usize(..3)).cloned();
    if let Some(name) = any("new/") {
        sandbox.write(&name, format!("edited in round {round}"));
    }
    if let Some(name) = any("first/") {
        sandbox.remove(&name);
    }
    if let Some(name) = any("new/").filter(|name| sandbox.media(name).exists()) {
        fs::rename(sandbox.media(&name), sandbox.media(&format!("moved-{round}.jpg"))).unwrap();
    }
    if round.is_multiple_of(2) {
        sandbox.write("large.bin", bytes(round, 17 * MIB));
    }
}

fn push(sandbox: &Sandbox) -> Running {
    sandbox.start_push(&["--delete", "--max-delete", "100"])
}

fn ends_equal(sandbox: &Sandbox) {
    // Later, so that what a killed run left behind belongs to nobody who may still be at work.
    sandbox.server.quirks(|quirks| (quirks.latency, quirks.clock_ahead) = (Duration::ZERO, 120));
    sandbox.push(&["--delete", "--max-delete", "100"]).exits(0);
    sandbox.assert_equal();
    sandbox.assert_second_run_does_nothing(&["--delete"]);
    assert_eq!(sandbox.files("work"), Vec::<std::path::PathBuf>::new(), "temporary files");
}

#[test]
fn ten_kills_at_any_moment_and_the_next_run_ends_equal() {
    let sandbox = Sandbox::new();
    for n in 0..40 {
        sandbox.write(&format!("first/{n}.jpg"), format!("content {n}"));
    }
    sandbox.push(&[]).exits(0);
    let mut random = fastrand::Rng::with_seed(7);
    let mut killed = 0;
    sandbox.server.quirks(|quirks| quirks.latency = Duration::from_millis(3));
    for round in 0..10 {
        edit(&sandbox, &mut random, round);
        killed += i32::from(sandbox.kill_after(random.usize(2..25), push));
    }
    assert!(killed >= 7, "only {killed} of ten runs were killed in time");
    ends_equal(&sandbox);
}

#[test]
fn kills_during_the_first_contact_leave_nothing_behind() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b/c.jpg", "c")]);
    sandbox.server.quirks(|quirks| quirks.latency = Duration::from_millis(1));
    for requests in [1, 4, 9, 20, 33] {
        sandbox.kill_after(requests, push);
    }
    ends_equal(&sandbox);
}

#[test]
fn what_a_killed_first_run_found_out_about_the_server_is_not_asked_again() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let gate = sandbox.server.hold(Moment::BeforeHandling, "PutObject", "site/a.jpg");
    let run = sandbox.start_push(&[]);
    gate.reached_blocking(1);
    run.kill();
    gate.release();
    sandbox.server.clear_log();
    sandbox.push(&[]).exits(0);
    let keys = sandbox.server.requests().into_iter().map(|entry| entry.call.key);
    let probes: Vec<String> = keys.filter(|key| key.contains("/.mediasync/probe/")).collect();
    assert_eq!(probes, Vec::<String>::new());
    ends_equal(&sandbox);
}

#[test]
fn a_dry_run_after_a_kill_shows_what_the_run_will_do() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    sandbox.push(&[]).exits(0);
    for (name, content) in [("a.jpg", "first edit"), ("b.jpg", "first edit of b")] {
        sandbox.write(name, content);
    }
    // Both are stored, and the program does not live to hear of it.
    let gate = sandbox.server.hold(Moment::BeforeAnswer, "PutObject", "site/*.jpg");
    let run = sandbox.start_push(&[]);
    gate.reached_blocking(2);
    run.kill();
    gate.release();
    sandbox.write("a.jpg", "the second edit");
    let (state, plan) = (sandbox.files("state"), sandbox.path("work/plan"));
    let manifest = fs::read(sandbox.manifest()).unwrap();
    sandbox.server.clear_log();
    let planned = |ran: &crate::support::sandbox::Ran| ran.line("summary")["planned"].clone();
    let dry = planned(&sandbox.push(&["--dry-run", "--json"]).exits(0));
    let saved = planned(&sandbox.push(&["--save-plan", plan.to_str().unwrap(), "--json"]).exits(0));
    sandbox.assert_changes(&[]);
    assert_eq!((sandbox.files("state"), fs::read(sandbox.manifest()).unwrap()), (state, manifest));
    fs::remove_file(plan).unwrap();
    let real = planned(&sandbox.push(&["--json"]).exits(0));
    assert_eq!((&dry, &saved), (&real, &real));
    assert_eq!(real["overwrites"], 1, "{real}");
    ends_equal(&sandbox);
}

/// A push of `large.bin`, five parts, is killed when three of them arrived.
fn killed_after_three_parts(sandbox: &Sandbox, more: &[&str]) {
    sandbox.write("large.bin", bytes(1, 39 * MIB));
    sandbox.kill_after_three_parts("large.bin", more);
}

/// The next push sends what is left of the upload, and nothing again.
fn goes_on(sandbox: &Sandbox) {
    assert_eq!(sandbox.bucket.uploads().len(), 1);
    sandbox.server.clear_log();
    sandbox.push(&[]).exits(0);
    assert_eq!(sandbox.server.count("UploadPart"), 2, "five parts, three of them finished");
    assert_eq!(sandbox.server.count("CreateMultipartUpload"), 0);
    sandbox.assert_equal();
    sandbox.assert_second_run_does_nothing(&[]);
}

#[test]
fn an_upload_goes_on_without_sending_finished_parts_again() {
    let sandbox = Sandbox::new();
    killed_after_three_parts(&sandbox, &[]);
    goes_on(&sandbox);
}

#[test]
fn a_run_that_leaves_a_key_out_leaves_its_upload_in_flight() {
    for scope in [["--exclude", "large.bin"], ["--max-size", "1MiB"], ["--only", "a.jpg"]] {
        let sandbox = Sandbox::with(&[("a.jpg", "a")]);
        killed_after_three_parts(&sandbox, &[]);
        sandbox.push(&scope).exits(0);
        goes_on(&sandbox);
    }
}

#[test]
fn carrying_out_a_plan_leaves_uploads_in_flight_that_it_does_not_speak_of() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("x/b.jpg", "b")]);
    sandbox.push(&[]).exits(0);
    sandbox.write("x/b.jpg", "edited b");
    let plan = sandbox.path("work/plan");
    let plan = plan.to_str().unwrap();
    sandbox.push(&["--only", "x", "--save-plan", plan]).exits(0);
    killed_after_three_parts(&sandbox, &["--only", "large.bin"]);
    sandbox.run(&["apply", plan]).exits(0);
    goes_on(&sandbox);
}

#[test]
fn the_upload_of_a_file_that_is_gone_is_aborted_and_others_uploads_stay() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.write("large.bin", bytes(1, 17 * MIB));
    let gate = sandbox.server.hold(Moment::BeforeHandling, "UploadPart", "*");
    let run = sandbox.start_push(&["--delete"]);
    gate.reached_blocking(1);
    run.kill();
    gate.release();
    assert_eq!(sandbox.bucket.uploads().len(), 1);
    sandbox.remove("large.bin");
    sandbox.write("b.jpg", "b");
    sandbox.push(&["--delete"]).exits(0);
    sandbox.assert_equal();
}

#[test]
fn a_second_run_at_the_same_time_exits_5_and_names_the_holder() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let gate = sandbox.server.hold(Moment::BeforeHandling, "PutObject", "site/a.jpg");
    let first = sandbox.start_push(&[]);
    gate.reached_blocking(1);
    let pid = first.id().to_string();
    sandbox.push(&[]).exits(5).says(&[&pid, "push"]);
    // Looking is allowed.
    sandbox.push(&["--dry-run"]).exits(0);
    sandbox.run(&["status"]).exits(3).says(&["running: process", &pid]);
    gate.release();
    first.wait().exits(0);
    sandbox.assert_equal();
    sandbox.assert_second_run_does_nothing(&[]);
}

#[test]
fn an_interrupted_run_exits_130_and_goes_on_next_time() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    let gate = sandbox.server.hold(Moment::BeforeHandling, "PutObject", "site/*.jpg");
    let run = sandbox.start_push(&[]);
    gate.reached_blocking(1);
    let pid = run.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    // What is being sent may be awaited: let it go.
    std::thread::sleep(Duration::from_millis(50));
    gate.release();
    run.wait().exits(130);
    sandbox.push(&[]).exits(0);
    sandbox.assert_equal();
    sandbox.assert_second_run_does_nothing(&[]);
}

fn synced() -> Sandbox {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c")]);
    sandbox.push(&["--delete"]).exits(0);
    sandbox
}

#[test]
fn a_damaged_manifest_never_deletes() {
    for damage in [&b"this is no database at all, only some text"[..], &[0; 8192], &[]] {
        let sandbox = synced();
        let manifest = sandbox.manifest();
        for ending in ["-wal", "-shm"] {
            let beside =
                manifest.with_file_name(format!("{}{ending}", manifest.file_name().unwrap().to_str().unwrap()));
            fs::remove_file(beside).ok();
        }
        fs::write(&manifest, damage).unwrap();
        sandbox.remove("a.jpg");
        sandbox.write("b.jpg", "edited");
        sandbox.server.clear_log();
        let ran = sandbox.push(&["--delete"]);
        match ran.code {
            // Without a base everything that is equal is adopted, an edit is a conflict, a deletion is not known.
            0 | 3 => assert_eq!(sandbox.remote().len(), 3, "{ran:?}"),
            _ => {
                drop(ran.exits(1).says(&["manifest", "hint"]));
                sandbox.assert_changes(&[]);
            }
        }
        assert!(sandbox.remote().contains_key("a.jpg"));
    }
}

#[test]
fn a_manifest_damaged_in_the_middle_never_deletes() {
    let sandbox = Sandbox::new();
    for n in 0..400 {
        sandbox.write(&format!("{n:03}.jpg"), format!("{n}"));
    }
    sandbox.push(&["--delete"]).exits(0);
    let manifest = sandbox.manifest();
    let mut content = fs::read(&manifest).unwrap();
    let middle = content.len() / 2;
    content[4096..middle].fill(0xa5);
    fs::write(&manifest, content).unwrap();
    sandbox.remove("000.jpg");
    sandbox.server.clear_log();
    let ran = sandbox.push(&["--delete"]);
    assert!(matches!(ran.code, 0 | 1), "{ran:?}");
    assert_eq!(sandbox.remote().len(), 400);
}

#[test]
fn a_lost_manifest_makes_an_edit_a_conflict_and_deletes_nothing() {
    let sandbox = synced();
    sandbox.lose_the_manifest();
    sandbox.remove("a.jpg");
    sandbox.write("b.jpg", "edited");
    sandbox.push(&["--delete"]).exits(3).says(&["conflict: b.jpg"]);
    assert_eq!(sandbox.remote().len(), 3);
    assert_eq!(&sandbox.content("b.jpg")[..], b"b");
}

/// Runs with files that may not grow beyond some KiB: what a full disk does to the manifest, without a disk.
#[test]
fn no_room_for_the_manifest_is_a_clear_error_and_never_a_deletion() {
    let sandbox = synced();
    sandbox.remove("a.jpg");
    for n in 0..300 {
        sandbox.write(&format!("{n:03}-{}.jpg", "long".repeat(40)), format!("{n}"));
    }
    let size = fs::metadata(sandbox.manifest()).unwrap().len().div_ceil(512);
    let limit = format!("trap '' XFSZ; ulimit -f {size}; exec \"$0\" \"$@\"");
    let (media, state) = (sandbox.path("media"), sandbox.path("state"));
    let ran = sandbox.start_command(
        Command::new("/bin/sh").args(["-c", &limit, env!("CARGO_BIN_EXE_mediasync"), "push"]),
        &[media.to_str().unwrap(), REMOTE, "--delete"],
    );
    let ran = ran.wait().exits(1);
    let told = ran.all();
    assert!(told.contains("manifest") || told.contains(state.to_str().unwrap()), "{ran:?}");
    assert!(sandbox.remote().contains_key("a.jpg"), "{ran:?}");
    sandbox.push(&["--delete"]).exits(0);
    sandbox.assert_equal();
    sandbox.assert_second_run_does_nothing(&["--delete"]);
}

/// A run is killed before its PUT arrives, and somebody else stores other content of the same size and mtime: whatever
/// the source becomes, that object is not ours.
#[test]
fn what_somebody_else_stored_after_a_kill_is_not_ours() {
    // All files of a reproducible build have one time.
    let epoch = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for removed in [true, false] {
        let sandbox = Sandbox::with(&[("z.jpg", "z"), ("y.jpg", "y")]);
        sandbox.push(&[]).exits(0);
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
        // The connection died with the run: what it sent late must not be stored.
        gate.release();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(sandbox.content("build.txt"), theirs);
        let code = if removed {
            sandbox.remove("build.txt");
            0
        } else {
            sandbox.write("build.txt", "build 2 of A");
            sandbox.set_mtime("build.txt", epoch);
            3
        };
        sandbox.push(&["--delete"]).exits(code);
        assert_eq!(sandbox.content("build.txt"), theirs, "removed: {removed}");
    }
}
