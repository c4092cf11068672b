//! Pulls that are disturbed: killed at any moment, a full disk, hostile keys, links that are swapped in.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::support::s3::{Effect, Faults, Moment, Rule};
use crate::support::sandbox::{REMOTE, Sandbox, bytes};

const MIB: usize = 1024 * 1024;

/// The keys whose content was asked for.
fn contents(sandbox: &Sandbox) -> Vec<String> {
    let mut keys = sandbox.requested("GetObject");
    keys.retain(|key| !key.starts_with('.'));
    keys
}

fn ranges_answered(sandbox: &Sandbox) -> usize {
    let log = sandbox.server.requests();
    let large = log.iter().filter(|entry| entry.call.operation == "GetObject" && entry.call.key.ends_with("large.bin"));
    large.filter(|entry| entry.status.is_some_and(|status| status < 300)).count()
}

#[test]
fn a_pull_that_is_killed_at_any_moment_ends_equal_the_next_time() {
    let sandbox = Sandbox::new();
    for n in 0..60 {
        sandbox.put(&format!("first/{n}.jpg"), format!("content {n}"));
    }
    sandbox.pull(&[]).exits(0);
    let mut random = fastrand::Rng::with_seed(11);
    let mut killed = 0;
    let pull = |sandbox: &Sandbox| sandbox.start_pull(&["--delete", "--max-delete", "100"]);
    sandbox.server.quirks(|quirks| quirks.latency = Duration::from_millis(3));
    for round in 0..10 {
        for n in 0..6 {
            sandbox.put(&format!("new/{round}-{n}.jpg"), bytes(random.u64(..), random.usize(1..20_000)));
        }
        sandbox.put(&format!("first/{}.jpg", random.usize(..60)), format!("edited in round {round}"));
        sandbox.bucket.remove(&format!("site/first/{}.jpg", random.usize(..60)));
        if round % 2 == 0 {
            sandbox.put("large.bin", bytes(round, 17 * MIB));
        }
        killed += i32::from(sandbox.kill_after(random.usize(2..14), pull));
    }
    assert!(killed >= 7, "only {killed} of ten runs were killed in time");
    sandbox.server.quirks(|quirks| quirks.latency = Duration::ZERO);
    sandbox.pull(&["--delete", "--max-delete", "100"]).exits(0);
    sandbox.assert_pulled_but_for_leftovers();
    sandbox.assert_second_pull_does_nothing(&["--delete"]);
}

#[test]
fn a_large_pull_goes_on_where_it_was_killed() {
    let sandbox = Sandbox::new();
    sandbox.put("large.bin", bytes(1, 64 * MIB + 5));
    sandbox.server.faults(|faults| {
        let slow = Rule::new("GetObject", Effect::Delay(Duration::from_secs(30)));
        faults.add(slow.key("*large.bin").skip(5));
    });
    let run = sandbox.start_pull(&[]);
    sandbox.await_parts(5, || ranges_answered(&sandbox));
    run.kill();
    sandbox.server.faults(Faults::clear);
    sandbox.server.clear_log();
    sandbox.pull(&[]).exits(0);
    assert_eq!(ranges_answered(&sandbox), 12, "17 ranges, and five were there");
    sandbox.assert_pulled();
    sandbox.assert_second_pull_does_nothing(&[]);
}

#[test]
fn what_was_kept_of_a_killed_pull_is_no_use_for_another_version() {
    let sandbox = Sandbox::new();
    sandbox.put("d/large.bin", bytes(1, 40 * MIB));
    sandbox.put("d/gone-large.bin", bytes(2, 40 * MIB));
    let slow = || Rule::new("GetObject", Effect::Delay(Duration::from_secs(30))).key("*large.bin").skip(3);
    sandbox.server.faults(|faults| faults.add(slow()));
    let run = sandbox.start_pull(&[]);
    sandbox.await_parts(3, || ranges_answered(&sandbox));
    run.kill();
    sandbox.server.faults(Faults::clear);
    assert!(!sandbox.local().is_empty(), "something of it is there, under no name that anybody lists");
    sandbox.put("d/large.bin", bytes(3, 40 * MIB));
    sandbox.bucket.remove("site/d/gone-large.bin");
    sandbox.pull(&[]).exits(0);
    // Nothing is left over: neither of the other version, nor of what is gone.
    sandbox.assert_pulled();
}

#[test]
fn keys_that_are_no_file_names_are_problems_and_harm_nothing() {
    let sandbox = Sandbox::new();
    let outside = sandbox.path("outside.jpg");
    fs::write(&outside, "canary").unwrap();
    let long = "n".repeat(256);
    let hostile = ["../outside.jpg", "a/../../outside.jpg", "/etc/x", "a//b", "dir/with-content/", "./x", &long, "a/."];
    for key in hostile {
        sandbox.put(key, "hostile");
    }
    let literal = ["C:\\x", "..\\x", "C:", "tab\tnew\nline", "a b", "-rf", "...", "~", "nul", "trailing. "];
    for key in literal {
        sandbox.put(key, "literal");
    }
    sandbox.put("marker/", "");
    let ran = sandbox.pull(&[]).exits(3);
    assert_eq!(fs::read(&outside).unwrap(), b"canary");
    let mut names = literal.map(str::to_owned);
    names.sort();
    assert_eq!(sandbox.local().into_keys().collect::<Vec<_>>(), names, "{ran:?}");
    assert_eq!(ran.stderr.lines().filter(|line| line.contains("hostile")).count(), 0);
    let ran = sandbox.pull(&["--delete", "--json"]).exits(3);
    assert_eq!(ran.json().iter().filter(|line| line["type"] == "problem").count(), hostile.len(), "{ran:?}");
    assert_eq!(sandbox.remote().len(), hostile.len() + literal.len() + 1, "nothing is deleted anywhere");
}

#[test]
fn a_file_that_has_to_be_a_directory_gives_way_to_what_is_below() {
    let sandbox = Sandbox::new();
    for key in ["a", "a-b", "a/b", "a/b/c", "d/e", "f"] {
        sandbox.put(key, format!("content of {key}"));
    }
    let told = ["a: it can't be a file here, because a/b", "a/b: it can't be a file here, because a/b/c is below it"];
    for _ in 0..2 {
        sandbox.pull(&["--delete"]).exits(3).says(&told);
        assert_eq!(sandbox.local().into_keys().collect::<Vec<_>>(), ["a-b", "a/b/c", "d/e", "f"]);
    }
    // A file that is there already stays: nothing says that it may go.
    sandbox.put("f/g", "below");
    sandbox.pull(&["--delete"]).exits(3).says(&["f/g"]);
    assert_eq!(sandbox.local()["f"], "content of f");
}

/// Puts a disk of 8 MB where the media go; `None`, said aloud, if this user can't.
fn small_disk(sandbox: &Sandbox) -> Option<Unmount> {
    let media = sandbox.path("media");
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&media).status();
    if mount.is_ok_and(|status| status.success()) {
        return Some(Unmount(media));
    }
    eprintln!("SKIPPED: this user can't mount a small disk");
    None
}

/// A job that pulls, with more keys.
fn pull_job(sandbox: &Sandbox, keys: &str) {
    let media = sandbox.path("media");
    let job = format!("[[job]]\nname = \"back\"\nsource = \"{REMOTE}\"\ndestination = {media:?}\nmode = \"copy\"\n");
    fs::write(sandbox.path("work/mediasync.toml"), format!("{job}{keys}\n")).unwrap();
}

#[test]
fn what_would_not_fit_is_not_begun() {
    let sandbox = Sandbox::new();
    let Some(unmount) = small_disk(&sandbox) else { return };
    for n in 0..6 {
        sandbox.put(&format!("{n}.bin"), bytes(n, 2_000_000));
    }
    sandbox.server.clear_log();
    sandbox.pull(&[]).exits(1).says(&["12.0 MB needed", "8.3 MB are free", "500.0 MB are kept in reserve"]);
    pull_job(&sandbox, "reserve = \"1MB\"");
    sandbox.run(&["sync", "back"]).exits(1).says(&["1.0 MB are kept in reserve", "nothing was changed"]);
    assert_eq!((sandbox.local().len(), contents(&sandbox).len()), (0, 0));
    for n in 2..6 {
        sandbox.bucket.remove(&format!("site/{n}.bin"));
    }
    sandbox.run(&["sync", "back"]).exits(0);
    sandbox.assert_pulled();
    drop(unmount);
}

#[test]
fn a_disk_that_fills_up_stops_the_run_and_the_next_one_goes_on() {
    let sandbox = Sandbox::new();
    let Some(unmount) = small_disk(&sandbox) else { return };
    pull_job(&sandbox, "reserve = \"0\"\nconcurrency = 1");
    sandbox.write("old.jpg", "old");
    for n in 0..5 {
        sandbox.put(&format!("{n}.bin"), bytes(n, 1_000_000));
    }
    let gate = sandbox.server.hold(Moment::BeforeAnswer, "GetObject", "*2.bin");
    let run = sandbox.start(&["sync", "back"]);
    gate.reached_blocking(1);
    let begun = Instant::now();
    while sandbox.local().len() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(30), "two of them come");
        std::thread::sleep(Duration::from_millis(2));
    }
    fs::write(sandbox.media("others.bin"), vec![1; 5_500_000]).unwrap();
    gate.release();
    run.wait().exits(1).says(&["No space left on device", "free some space"]);
    let there = sandbox.local();
    assert_eq!(there.keys().collect::<Vec<_>>(), ["0.bin", "1.bin", "old.jpg", "others.bin"], "and no leftovers");
    sandbox.remove("others.bin");
    sandbox.server.clear_log();
    sandbox.run(&["sync", "back"]).exits(0);
    assert_eq!(contents(&sandbox), ["2.bin", "3.bin", "4.bin"], "what was done is remembered");
    drop(unmount);
}

#[test]
fn a_job_says_what_new_files_get() {
    let sandbox = Sandbox::new();
    let is_root = rustix::process::geteuid().is_root();
    let owner = if is_root { "owner = \"1234:4321\"" } else { "" };
    pull_job(&sandbox, &format!("file_mode = \"0640\"\ndir_mode = \"0751\"\n{owner}"));
    sandbox.put("d/e/a.jpg", "a");
    sandbox.run(&["sync", "back"]).exits(0);
    for (name, mode) in [("d", 0o751), ("d/e", 0o751), ("d/e/a.jpg", 0o640)] {
        let meta = fs::metadata(sandbox.media(name)).unwrap();
        assert_eq!(meta.mode() & 0o7777, mode, "{name}");
        assert!(!is_root || (meta.uid(), meta.gid()) == (1234, 4321), "{name}");
    }
    pull_job(&sandbox, "file_mode = \"4755\"");
    sandbox.run(&["sync", "back"]).exits(2).says(&["file_mode", "no permissions"]);
    pull_job(&sandbox, "owner = \"nobody-has-this-name\"");
    sandbox.run(&["sync", "back"]).exits(2).says(&["no user called"]);
}

#[test]
fn files_of_a_container_are_named_with_the_way_to_get_them_back() {
    let mut sandbox = Sandbox::new();
    sandbox.put("d/a.jpg", "first");
    sandbox.pull(&[]).exits(0);
    sandbox.as_nobody();
    fs::set_permissions(sandbox.media("d"), fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(sandbox.path("state"), fs::Permissions::from_mode(0o777)).unwrap();
    sandbox.lose_the_manifest();
    sandbox.as_nobody();
    sandbox.put("d/b.jpg", "second");
    sandbox.pull(&[]).exits(3).says(&["d/b.jpg", "Permission denied", "sudo chown -R", "/media/d'"]);
    assert_eq!(sandbox.local().into_keys().collect::<Vec<_>>(), ["d/a.jpg"]);
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[test]
fn links_that_are_swapped_in_lead_nowhere() {
    let sandbox = Sandbox::new();
    let canary = sandbox.path("canary");
    fs::create_dir_all(canary.join("sub")).unwrap();
    fs::write(canary.join("0.jpg"), "canary").unwrap();
    let names: Vec<String> = (0..40).map(|n| format!("flip/{n}.jpg")).chain(["flip/sub/x.jpg".to_owned()]).collect();
    for name in &names {
        sandbox.put(name, "first");
    }
    sandbox.pull(&[]).exits(0);
    let (dir, link) = (sandbox.media("flip"), sandbox.path("link"));
    symlink(&canary, &link).unwrap();
    let (stop, flips) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) || flips.load(Relaxed) < 20_000 {
                renameat_with(CWD, &dir, CWD, &link, RenameFlags::EXCHANGE).expect("both are there");
                flips.fetch_add(1, Relaxed);
                if flips.load(Relaxed).is_multiple_of(64) {
                    std::thread::yield_now();
                }
            }
        });
        for round in 0..6 {
            for name in &names {
                sandbox.put(name, format!("round {round}"));
            }
            sandbox.pull(&["--delete", "--overwrite", "--max-delete", "1000"]);
        }
        stop.store(true, Relaxed);
    });
    assert!(flips.load(Relaxed) >= 20_000);
    let mut found: Vec<_> = fs::read_dir(&canary).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    found.sort();
    assert_eq!(found, ["0.jpg", "sub"]);
    assert_eq!(fs::read(canary.join("0.jpg")).unwrap(), b"canary");
    assert_eq!(fs::read_dir(canary.join("sub")).unwrap().count(), 0);
}

#[test]
fn a_replaced_file_keeps_its_mode_and_owner_and_a_new_one_has_the_usual_ones() {
    let sandbox = Sandbox::new();
    sandbox.put("a.sh", "first");
    sandbox.pull(&[]).exits(0);
    let mode = |name: &str| fs::metadata(sandbox.media(name)).unwrap().mode() & 0o7777;
    let usual = mode("a.sh");
    assert_eq!(usual & 0o7111, 0, "{usual:o}");
    fs::set_permissions(sandbox.media("a.sh"), fs::Permissions::from_mode(0o6750)).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        std::os::unix::fs::chown(sandbox.media("a.sh"), Some(1234), Some(4321)).unwrap();
        fs::set_permissions(sandbox.media("a.sh"), fs::Permissions::from_mode(0o6750)).unwrap();
    }
    sandbox.put("a.sh", "the second one");
    sandbox.put("b.sh", "new");
    sandbox.pull(&["--overwrite"]).exits(0);
    assert_eq!(sandbox.local()["a.sh"], "the second one");
    // Never the bits that make a program run as somebody else.
    assert_eq!((mode("a.sh"), mode("b.sh")), (0o750, usual));
    if is_root {
        let meta = fs::metadata(sandbox.media("a.sh")).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (1234, 4321));
    }
}

#[test]
fn zeros_take_no_room() {
    let sandbox = Sandbox::new();
    let mut large = bytes(1, 64 * 1024);
    large.resize(24 * MIB, 0);
    sandbox.put("large.bin", large.clone());
    sandbox.put("small.bin", vec![0; 4 * MIB]);
    sandbox.pull(&[]).exits(0);
    sandbox.assert_pulled();
    let blocks = |name: &str| fs::metadata(sandbox.media(name)).unwrap().blocks() * 512;
    assert!(blocks("large.bin") < 1_000_000 && blocks("small.bin") < 100_000, "{}", blocks("large.bin"));
}

#[test]
fn a_round_trip_brings_back_the_same_names_bytes_and_times() {
    let sandbox = Sandbox::new();
    for (n, name) in
        ["a.jpg", "empty", "d/\u{fc}n\u{ef}.png", "d/e f/g.bin", "weird/\\ : * ?.txt"].into_iter().enumerate()
    {
        sandbox.write(name, bytes(n as u64, n * 1_000));
        let time = std::time::UNIX_EPOCH + Duration::new(1_000_000_000 + n as u64, 123_456_789);
        sandbox.set_mtime(name, time);
    }
    sandbox.write("large.bin", bytes(9, 33 * MIB + 1));
    sandbox.set_mtime("large.bin", std::time::UNIX_EPOCH + Duration::from_secs(4_000_000_000));
    sandbox.push(&[]).exits(0);
    let back = sandbox.path("back");
    sandbox.run(&["pull", REMOTE, back.to_str().unwrap()]).exits(0);
    for (name, content) in sandbox.local() {
        let file = back.join(&name);
        assert!(fs::read(&file).unwrap() == content, "{name}");
        let there = fs::metadata(&file).unwrap().modified().unwrap();
        assert_eq!(there, sandbox.mtime(&name), "{name}");
    }
    assert_eq!(sandbox.files("back").len(), sandbox.local().len());
    sandbox.server.clear_log();
    sandbox.run(&["pull", REMOTE, back.to_str().unwrap()]).exits(0);
    let asked = sandbox.server.requests();
    assert!(asked.iter().all(|entry| entry.call.operation == "ListObjectsV2" || entry.call.key.ends_with("/id")));
}
