//! The walk.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::{FileType, Mode, mkdirat, mknodat, openat};

use super::*;
use crate::model::{FilterRules, ProblemKind, Rule};
use crate::replica::local::{root as roots, seam};

#[test]
fn two_thousand_random_trees_come_in_key_order() {
    // Bytes on both sides of `/` (0x2f), so that a wrong order of directories shows.
    let names = ["a", "a-b", "a.txt", "a0", "a b", "b", "-", "!", "0", "é", "Z", "a/"];
    // In memory where there is such a place: this is about order, not about a disk.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    for seed in 0..2_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let at = dir.path().join(seed.to_string());
        std::fs::create_dir(&at).unwrap();
        let mut expected = BTreeSet::new();
        for _ in 0..random.usize(0..14) {
            let depth = random.usize(1..5);
            let path: Vec<&str> =
                (0..depth).map(|_| names[random.usize(..names.len())].trim_end_matches('/')).collect();
            let path = path.join("/");
            let full = at.join(&path);
            // A name that is taken by a file can't become a directory, and the other way round.
            if std::fs::create_dir_all(full.parent().unwrap()).is_ok()
                && !full.is_dir()
                && std::fs::write(&full, "x").is_ok()
            {
                expected.insert(path);
            }
        }
        let items = walk(&root(&at), None, &Arc::default()).unwrap();
        assert_ascending(&items);
        let expected: Vec<String> = expected.into_iter().chain(["END".to_owned()]).collect();
        assert_eq!(told(&items), expected, "seed {seed}");
    }
}

#[test]
fn links_fifos_and_sockets_are_told_and_never_followed() {
    let dir = tree(&["a-b", "real/x"]);
    let outside = tree(&["secret"]);
    symlink(outside.path(), dir.path().join("a")).unwrap();
    symlink("loop", dir.path().join("loop")).unwrap();
    symlink(dir.path(), dir.path().join("real/up")).unwrap();
    let fifo = Mode::from_raw_mode(0o600);
    mknodat(CWD, dir.path().join("pipe"), FileType::Fifo, fifo, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("sock")).unwrap();
    let items = walk(&root(dir.path()), None, &Arc::default()).unwrap();
    assert_ascending(&items);
    let expected = [
        "Symlink a",
        "a-b",
        "LinkText a.rclonelink",
        "Symlink a/",
        "Symlink loop",
        "LinkText loop.rclonelink",
        "Symlink loop/",
        "Special pipe",
        "Symlink real/up",
        "LinkText real/up.rclonelink",
        "Symlink real/up/",
        "real/x",
        "Special sock",
        "END",
    ];
    assert_eq!(told(&items), expected);
}

/// The privileges of one thread are dropped, because root may read everything.
fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if !rustix::process::geteuid().is_root() {
        return work();
    }
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let nobody = rustix::thread::Uid::from_raw(65_534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            work()
        });
        thread.join().unwrap()
    })
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn directories_without_permission_are_unknown_at_every_depth() {
    let dir = tree(&["a/x", "a-b", "b/c/d/e", "b/c/d2", "n/x", "n/sub/y", "z"]);
    chmod(dir.path(), 0o755);
    chmod(&dir.path().join("a"), 0o000);
    chmod(&dir.path().join("b/c/d"), 0o311);
    // The names can be read, the files can't be looked at.
    chmod(&dir.path().join("n"), 0o744);
    let root = root(dir.path());
    let items = as_nobody(|| walk(&root, None, &Arc::default()).unwrap());
    assert_ascending(&items);
    let expected = ["a-b", "unknown a/", "unknown b/c/d/", "b/c/d2", "unknown n/sub/", "unknown n/x", "z", "END"];
    assert_eq!(told(&items), expected);
    let Item::Unknown(_, problem) = &items[1] else { panic!("{items:?}") };
    assert_eq!(problem.kind, ProblemKind::Unreadable);
    assert!(problem.hint.as_ref().unwrap().contains("chown"), "{problem:?}");
    for path in ["a", "b/c/d", "n"] {
        chmod(&dir.path().join(path), 0o755);
    }
}

#[test]
fn an_unreadable_root_stops_everything() {
    let dir = tree(&["x"]);
    let root = root(dir.path());
    chmod(dir.path(), 0o311);
    let error = as_nobody(|| walk(&root, None, &Arc::default()).unwrap_err());
    assert_eq!(error.cause, Cause::Stop);
    chmod(dir.path(), 0o755);
}

#[test]
fn an_io_error_makes_one_directory_unknown_and_others_go_on() {
    let dir = tree(&["a/x", "b/x", "c"]);
    let root = root(dir.path());
    let fail = |point: &str, name: &str| match (point, name) {
        ("enter", "a") | ("stat", "c") => Err(Errno::IO),
        _ => Ok(()),
    };
    let items = seam::with(fail, || walk(&root, None, &Arc::default()).unwrap());
    assert_eq!(told(&items), ["unknown a/", "b/x", "unknown c", "END"]);
    let full = |point: &str, _: &str| if point == "enter" { Err(Errno::MFILE) } else { Ok(()) };
    let error = seam::with(full, || walk(&root, None, &Arc::default()).unwrap_err());
    assert_eq!(error.cause, Cause::Stop);
}

#[test]
fn what_vanishes_during_the_walk_is_absent() {
    let dir = tree(&["a/x", "b", "c"]);
    let path = dir.path().to_owned();
    let vanish = move |point: &str, name: &str| {
        match (point, name) {
            ("enter", "a") => std::fs::remove_dir_all(path.join("a")).unwrap_or_default(),
            ("stat", "b") => std::fs::remove_file(path.join("b")).unwrap_or_default(),
            _ => {}
        }
        Ok(())
    };
    let root = root(dir.path());
    let items = seam::with(vanish, || walk(&root, None, &Arc::default()).unwrap());
    assert_eq!(told(&items), ["c", "END"]);
}

#[test]
fn what_becomes_something_else_during_the_walk_is_never_absent() {
    let dir = tree(&["d/x", "f", "f-g", "z"]);
    let path = dir.path().to_owned();
    let swap = move |point: &str, name: &str| {
        match (point, name) {
            ("enter", "d") => {
                std::fs::rename(path.join("d"), path.join("moved")).unwrap();
                symlink("moved", path.join("d")).unwrap();
            }
            ("stat", "f") if path.join("f").is_file() => {
                std::fs::remove_file(path.join("f")).unwrap();
                add(&path, "f/inside");
            }
            _ => {}
        }
        Ok(())
    };
    let root = root(dir.path());
    let items = seam::with(swap, || walk(&root, None, &Arc::default()).unwrap());
    assert_ascending(&items);
    assert_eq!(told(&items), ["unknown d/", "unknown f", "f-g", "f/inside", "z", "END"]);
}

#[test]
fn a_root_that_was_replaced_gives_no_end() {
    let above = tempfile::tempdir().unwrap();
    let path = add(above.path(), "m/x").parent().unwrap().to_owned();
    let root = root(&path);
    std::fs::rename(&path, above.path().join("old")).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(walk(&root, None, &Arc::default()).unwrap_err().cause, Cause::Stop);
    std::fs::remove_dir(&path).unwrap();
    assert_eq!(walk(&root, None, &Arc::default()).unwrap_err().cause, Cause::Stop);
}

#[test]
fn three_hundred_levels_need_few_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let name = "d23456789012345678901234567890";
    let mut at = openat(CWD, dir.path(), roots::DIRECTORY, Mode::empty()).unwrap();
    let create = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
    for _ in 0..300 {
        mkdirat(&at, name, Mode::from_raw_mode(0o755)).unwrap();
        for file in ["a", "z"] {
            openat(&at, file, create, Mode::from_raw_mode(0o644)).unwrap();
        }
        at = openat(&at, name, roots::DIRECTORY, Mode::empty()).unwrap();
    }
    let most = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (seen, inside) = (Arc::clone(&most), dir.path().to_owned());
    let count = move |_: &str, _: &str| {
        let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let open = open.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to.starts_with(&inside))).count();
        seen.fetch_max(open, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    };
    let root = root(dir.path());
    let items = seam::with(count, || walk(&root, None, &Arc::default()).unwrap());
    assert_ascending(&items);
    assert_eq!(items.len(), 601);
    assert!(items[..600].iter().all(|item| matches!(item, Item::Present(..))));
    // The held ones, the root, and the one of this test; paths beyond 4,096 bytes have no link text and are not counted.
    let most = most.load(std::sync::atomic::Ordering::Relaxed);
    assert!((2..=scan::HELD + 3).contains(&most), "{most}");
}

#[test]
fn names_that_are_no_utf8_are_a_problem_and_hide_nothing() {
    let dir = tree(&["d/ok"]);
    std::fs::write(dir.path().join("d").join(OsStr::from_bytes(b"b\xe4h")), "x").unwrap();
    let items = walk(&root(dir.path()), None, &Arc::default()).unwrap();
    assert_eq!(told(&items), ["nameless", "d/ok", "END"]);
    let Item::Nameless(problem) = &items[0] else { panic!() };
    assert!(problem.message.contains(r"b\xe4h") && problem.message.contains("`d`"), "{problem:?}");
}

#[test]
fn apple_double_files_are_junk_beside_their_original_or_by_their_magic() {
    let dir = tree(&["._alone", "._photo.jpg", "photo.jpg", "._dir", "dir/x"]);
    std::fs::write(dir.path().join("._magic"), [0, 5, 0x16, 7, 0, 2]).unwrap();
    let expected = ["._alone", "Junk ._dir", "Junk ._magic", "Junk ._photo.jpg", "dir/x", "photo.jpg", "END"];
    assert_eq!(scan_all(dir.path()), expected);
    assert_eq!(told(&walk(&root(dir.path()), Some("._dir"), &Arc::default()).unwrap()), ["Junk ._dir", "END"]);
    let rules = FilterRules { rules: vec![Rule::Include("._*".to_owned())], ..FilterRules::default() };
    let all = Arc::new(Filter::new(rules).unwrap());
    assert!(!told(&walk(&root(dir.path()), None, &all).unwrap()).iter().any(|line| line.starts_with("Junk")));
}

#[test]
fn excluded_directories_are_not_entered_and_own_names_not_told() {
    let dir =
        tree(&[".mediasync/id", ".mediasyncignore", "a/.mediasync-0123456789abcdef.tmp", "a/x", "cache/x", "@eaDir/y"]);
    let rules = FilterRules { rules: vec![Rule::Exclude("/cache/".to_owned())], ..FilterRules::default() };
    let filter = Arc::new(Filter::new(rules).unwrap());
    let items = walk(&root(dir.path()), None, &filter).unwrap();
    assert_eq!(told(&items), ["Junk @eaDir/", "a/x", "Excluded cache/", "END"]);
}

#[test]
fn only_limits_the_walk_to_a_key_and_what_is_below() {
    let dir = tree(&["a/b", "a/b-c", "a/d/e/f", "a/d/g", "cache/x/y"]);
    symlink("a", dir.path().join("link")).unwrap();
    let rules = FilterRules { rules: vec![Rule::Exclude("cache/".to_owned())], ..FilterRules::default() };
    let filter = Arc::new(Filter::new(rules).unwrap());
    let root = root(dir.path());
    let only = |at: &str| told(&walk(&root, Some(at), &filter).unwrap());
    assert_eq!(only("a/b"), ["a/b", "END"]);
    assert_eq!(only("a/d"), ["a/d/e/f", "a/d/g", "END"]);
    assert_eq!(only("a"), ["a/b", "a/b-c", "a/d/e/f", "a/d/g", "END"]);
    assert_eq!(only("nothing/here"), ["END"]);
    assert_eq!(only("a/b/c"), ["END"]);
    assert_eq!(only("link"), ["Symlink link", "Symlink link/", "END"]);
    assert_eq!(only("link/b"), ["Symlink link/b", "Symlink link/b/", "END"]);
    assert_eq!(only("cache/x"), ["Excluded cache/x", "Excluded cache/x/", "END"]);
}

#[tokio::test]
async fn a_listing_comes_in_batches_and_stops_when_dropped() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..2_000 {
        std::fs::write(dir.path().join(format!("f{i:05}")), "").unwrap();
    }
    let replica = connected(dir.path()).await;
    let mut listing = replica.list(None, &Arc::default());
    let mut count = 0;
    let mut last = None;
    while let Some(batch) = listing.items.recv().await {
        let batch = batch.unwrap();
        count += batch.len();
        last = batch.into_iter().next_back();
    }
    assert_eq!((count, last), (2_001, Some(Item::End)));
    let mut listing = replica.list(None, &Arc::default());
    listing.items.recv().await.unwrap().unwrap();
    let producer = listing.producer.take().unwrap();
    drop(listing);
    tokio::time::timeout(std::time::Duration::from_secs(5), producer).await.unwrap().unwrap();
    let mut refused = replica.list(Some(&key("../x")), &Arc::default());
    assert_eq!(refused.items.recv().await.unwrap().unwrap_err().cause, Cause::Refused);
}
