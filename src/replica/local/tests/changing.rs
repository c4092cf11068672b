//! Reading and writing.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::replica::Pieces;
use crate::replica::local::pool::Pool;
use crate::replica::local::write::Temp;
use crate::replica::local::{read, root as roots, seam, write};

async fn version(replica: &Local, at: &str) -> Version {
    replica.look_up(&key(at)).await.unwrap().unwrap().version
}

fn pieces(content: Content) -> Arc<dyn Pieces> {
    match content {
        Content::Pieces(pieces) => pieces,
        Content::Whole { .. } => panic!("larger than one piece"),
    }
}

#[tokio::test]
async fn hard_names_survive_a_round_trip() {
    let dir = tempfile::tempdir().unwrap();
    let replica = connected(dir.path()).await;
    let names = [
        "with space",
        "100%25 %",
        "a+b",
        "#1#x",
        "it's \"quoted\"",
        "new\nline",
        "🖼/é",
        "nfc-\u{e9}",
        "nfd-e\u{301}",
        "back\\slash",
        "-rf",
        "~",
        "a:b",
        "\u{7f}\t",
        "trailing.",
        " ",
    ];
    let long = "n".repeat(255);
    for name in names.into_iter().chain([long.as_str()]) {
        let put = PutParts::new(Expect::Absent).put(&replica, name, &whole(name.as_bytes())).await.unwrap();
        let seen = replica.look_up(&key(name)).await.unwrap().unwrap();
        assert_eq!(seen.version, put.version, "{name:?}");
        let Content::Whole { bytes, .. } = replica.open(&key(name), &seen.version).await.unwrap() else { panic!() };
        assert_eq!(bytes, name.as_bytes());
    }
    let items = walk_apart(dir.path());
    assert_eq!(items.len(), names.len() + 2);
    assert_ascending(&items);
}

#[tokio::test]
async fn a_put_answers_the_version_that_a_scan_sees() {
    let dir = tempfile::tempdir().unwrap();
    let replica = connected(dir.path()).await;
    let mut order = PutParts::new(Expect::Absent);
    order.mtime_ns = Some(-1_500_000_001);
    let put = order.put(&replica, "a/b/c", &whole(b"new")).await.unwrap();
    // Until then a walk takes the file for one that may still change unseen.
    std::thread::sleep(std::time::Duration::from_millis(20));
    let items = walk_apart(dir.path());
    let Item::Present(_, seen) = &items[0] else { panic!() };
    assert_eq!((&seen.version, seen.modified_ns), (&put.version, Some(-1_500_000_001)));
    assert_eq!(put.digests.get(DigestKind::Blake3).unwrap().text.as_ref(), blake3::hash(b"new").to_hex().as_str());
    assert_eq!(everything(dir.path()), ["a", "a/b", "a/b/c"]);
}

#[tokio::test]
async fn an_overwrite_keeps_the_permissions_but_no_special_bits() {
    let dir = tree(&["x"]);
    let path = dir.path().join("x");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o4641)).unwrap();
    let replica = connected(dir.path()).await;
    let old = version(&replica, "x").await;
    let put = PutParts::new(Expect::Version(old.clone())).put(&replica, "x", &whole(b"new")).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o641);
    assert_eq!(version(&replica, "x").await, put.version);
    let again = PutParts::new(Expect::Version(old)).put(&replica, "x", &whole(b"stale")).await.unwrap_err();
    assert_eq!(again.cause, Cause::Precondition);
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
}

#[tokio::test]
async fn a_put_over_something_else_changes_nothing_and_leaves_no_temporary_file() {
    let dir = tree(&["file", "dir/x"]);
    symlink("file", dir.path().join("link")).unwrap();
    let outside = tree(&["x"]);
    symlink(outside.path(), dir.path().join("out")).unwrap();
    let before = everything(dir.path());
    let replica = connected(dir.path()).await;
    let absent = PutParts::new(Expect::Absent);
    for (at, cause, word) in [
        ("file", Cause::Precondition, "changed"),
        ("dir", Cause::Refused, "directory"),
        ("link", Cause::Refused, "symbolic link"),
        ("file/x", Cause::Refused, "a file stands"),
        ("out/new", Cause::Refused, "symbolic link"),
        ("../escape", Cause::Refused, "`..`"),
        ("a//b", Cause::Refused, "slash"),
        (".mediasync/x", Cause::Refused, "reserved"),
    ] {
        let error = absent.put(&replica, at, &whole(b"new")).await.unwrap_err();
        assert_eq!(error.cause, cause, "{at}: {error}");
        assert!(error.message.contains(word), "{at}: {error}");
    }
    let gone = PutParts::new(Expect::Version(Version::new("1-2-3-4")));
    assert_eq!(gone.put(&replica, "nothing", &whole(b"new")).await.unwrap_err().cause, Cause::Precondition);
    let mut wrong = PutParts::new(Expect::Absent);
    wrong.digests.add(Digest::from_bytes(DigestKind::Blake3, blake3::hash(b"other").as_bytes()));
    assert_eq!(wrong.put(&replica, "n", &whole(b"new")).await.unwrap_err().cause, Cause::Changed);
    assert_eq!(everything(dir.path()), before);
    assert_eq!(everything(outside.path()), ["x"]);
}

#[tokio::test]
async fn a_directory_without_files_makes_room_and_one_with_a_file_stays_as_it_is() {
    let dir = tree(&["full/sub/x"]);
    for empty in ["empty/a/b", "empty/c", "full/empty"] {
        std::fs::create_dir_all(dir.path().join(empty)).unwrap();
    }
    let replica = connected(dir.path()).await;
    let absent = PutParts::new(Expect::Absent);
    absent.put(&replica, "empty", &whole(b"new")).await.unwrap();
    assert_eq!(std::fs::read(dir.path().join("empty")).unwrap(), b"new");
    assert_eq!(absent.put(&replica, "full", &whole(b"new")).await.unwrap_err().cause, Cause::Refused);
    assert!(dir.path().join("full/empty").is_dir() && dir.path().join("full/sub/x").is_file());
}

#[test]
fn a_file_that_an_earlier_run_left_is_cut_to_its_size() {
    let dir = tree(&[]);
    let root = Arc::new(root(dir.path()));
    let temp = Temp::create(&root, &key("x"), &Expect::Absent).unwrap();
    temp.write(b"content and more", 0).unwrap();
    temp.cut(7).unwrap();
    temp.cut(100).unwrap();
    temp.publish(&Expect::Absent, None).unwrap();
    assert_eq!(std::fs::read(dir.path().join("x")).unwrap(), b"content");
}

#[test]
fn a_full_disk_stops_and_leaves_nothing() {
    let dir = tree(&["x"]);
    let root = Arc::new(root(dir.path()));
    for errno in [Errno::NOSPC, Errno::DQUOT] {
        let temp = Temp::create(&root, &key("a/new"), &Expect::Absent).unwrap();
        let full = move |point: &str, _: &str| if point == "write" { Err(errno) } else { Ok(()) };
        let error = seam::with(full, || temp.write(b"ours", 0).unwrap_err());
        assert_eq!(error.cause, Cause::Stop);
        assert!(error.hint.is_some());
        drop(temp);
        assert_eq!(everything(dir.path()), ["a", "x"]);
    }
}

#[test]
fn content_that_changes_while_it_is_read_is_not_given_out() {
    let dir = tree(&["d/x"]);
    let root = Arc::new(root(dir.path()));
    let changes: [fn(&Path); 6] = [
        |path| std::fs::write(path, "y").unwrap(),
        |path| std::fs::write(path, "longer than it was").unwrap(),
        |path| std::fs::write(path, "").unwrap(),
        |path| std::fs::remove_file(path).unwrap(),
        |path| {
            std::fs::write(path.with_extension("new"), "x").unwrap();
            std::fs::rename(path.with_extension("new"), path).unwrap();
        },
        // The open file does not change at all, but its key leads to another one.
        |path| {
            let parent = path.parent().unwrap();
            std::fs::rename(parent, parent.with_extension("moved")).unwrap();
            std::fs::create_dir(parent).unwrap();
            std::fs::write(path, "other").unwrap();
        },
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let path = add(dir.path(), "d/x");
        let old = read::look_up(&root, &key("d/x")).unwrap().unwrap().version;
        // A change within one tick of the clock keeps the times; the manifest's racy records are for that.
        std::thread::sleep(std::time::Duration::from_millis(12));
        let act = move |point: &str, _: &str| {
            if point == "read" {
                change(&path);
            }
            Ok(())
        };
        let error = seam::with(act, || read::open(&root, &key("d/x"), &old, &Pool::new()).unwrap_err());
        assert_eq!(error.cause, Cause::Changed, "change {i}");
    }
}

#[tokio::test]
async fn opening_and_looking_tell_absence_from_what_is_never_synced() {
    let dir = tree(&["f", "d/x"]);
    let outside = tree(&["secret"]);
    symlink(outside.path(), dir.path().join("out")).unwrap();
    symlink("f", dir.path().join("link")).unwrap();
    let fifo = Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(CWD, dir.path().join("pipe"), rustix::fs::FileType::Fifo, fifo, 0).unwrap();
    let replica = connected(dir.path()).await;
    for absent in ["nothing", "no/dir", "f/x", "d", "d//x", "../f", "."] {
        assert_eq!(replica.look_up(&key(absent)).await, Ok(None), "{absent}");
    }
    for refused in ["link", "out/secret", "out/nothing", "pipe", ".mediasync/id", &"n".repeat(256)] {
        assert_eq!(replica.look_up(&key(refused)).await.unwrap_err().cause, Cause::Refused, "{refused}");
    }
    let any = version(&replica, "f").await;
    for (at, cause) in [
        ("nothing", Cause::NotFound),
        ("f/x", Cause::NotFound),
        ("link", Cause::Refused),
        ("out/secret", Cause::Refused),
        ("pipe", Cause::Changed),
        ("d", Cause::Changed),
        ("d/x", Cause::Changed),
    ] {
        assert_eq!(replica.open(&key(at), &any).await.unwrap_err().cause, cause, "{at}");
    }
}

#[test]
fn going_step_by_step_resolves_as_the_kernel_does() {
    let dir = tree(&["d/e/f"]);
    symlink("d", dir.path().join("link")).unwrap();
    symlink("f", dir.path().join("d/e/l")).unwrap();
    let fast = root(dir.path());
    let slow = root(dir.path());
    slow.go_stepwise();
    let file = rustix::fs::OFlags::RDONLY;
    for path in ["d/e/f", "d/e/l", "link/e/f", "d/x", "d/e/f/g", "link", "d/e"] {
        assert_eq!(fast.open_at(path, file).is_ok(), slow.open_at(path, file).is_ok(), "{path}");
    }
    for path in ["d", "d/e", "link", "link/e", "d/e/f", "x"] {
        let fast = fast.open_at(path, roots::DIRECTORY).err();
        assert_eq!(fast, slow.open_at(path, roots::DIRECTORY).err(), "{path}");
    }
}

#[tokio::test]
async fn large_content_is_checked_as_it_is_written() {
    const SIZE: usize = 9 * 1024 * 1024 + 5;
    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..SIZE).map(|i| u8::try_from(i / 7 % 251).unwrap()).collect();
    std::fs::write(dir.path().join("big"), &bytes).unwrap();
    let replica = connected(dir.path()).await;
    let source = version(&replica, "big").await;
    let content = replica.open(&key("big"), &source).await.unwrap();
    let mut order = PutParts::new(Expect::Absent);
    order.digests.add(Digest::from_bytes(DigestKind::Blake3, blake3::hash(&bytes).as_bytes()));
    order.put(&replica, "copy", &content).await.unwrap();
    assert!(std::fs::read(dir.path().join("copy")).unwrap() == bytes);

    let mut other = PutParts::new(Expect::Absent);
    other.digests.add(Digest::from_bytes(DigestKind::Blake3, blake3::hash(b"other").as_bytes()));
    assert_eq!(other.put(&replica, "c3", &content).await.unwrap_err().cause, Cause::Changed);

    let pieces = pieces(content);
    pieces.unchanged().await.unwrap();
    assert_eq!(pieces.read(7, 3).await.unwrap(), bytes[7..10]);
    assert_eq!(pieces.read(SIZE as u64 - 1, 2).await.unwrap_err().cause, Cause::Changed);
    std::fs::rename(dir.path().join("copy"), dir.path().join("big")).unwrap();
    assert_eq!(pieces.unchanged().await.unwrap_err().cause, Cause::Changed);
    // Nothing stated: the source itself must prove that it gave one version.
    let unproven = PutParts::new(Expect::Absent).put(&replica, "c4", &Content::Pieces(pieces)).await.unwrap_err();
    assert_eq!(unproven.cause, Cause::Changed);
    assert_eq!(everything(dir.path()), ["big"]);
}

#[tokio::test]
async fn a_copy_needs_the_version_that_was_seen() {
    let dir = tree(&["a"]);
    let replica = connected(dir.path()).await;
    let seen = version(&replica, "a").await;
    let (buffers, meter) = (Buffers::new(1 << 20), Meter::default());
    let (expect, digests) = (Expect::Absent, Digests::none());
    let put = Put {
        expect: &expect,
        digests: &digests,
        mtime_ns: None,
        attributes: None,
        style: None,
        parts: None,
        journal: &NoJournal,
        buffers: &buffers,
        meter: &meter,
    };
    replica.copy(&key("a"), &seen, &key("b/c"), &put).await.unwrap();
    assert_eq!(std::fs::read(dir.path().join("b/c")).unwrap(), b"a");
    let stale = replica.copy(&key("b/c"), &seen, &key("d"), &put).await.unwrap_err();
    assert_eq!(stale.cause, Cause::Precondition);
    let gone = replica.copy(&key("x"), &seen, &key("d"), &put).await.unwrap_err();
    assert_eq!(gone.cause, Cause::Precondition);
}

#[tokio::test]
async fn deletions_need_the_version_and_take_empty_parents_along() {
    let dir = tree(&["a/b/x", "a/b/y", "a/z", "c/d/e/f", "g", "h", "i"]);
    let replica = connected(dir.path()).await;
    let mut batch = Vec::new();
    for at in ["a/b/x", "a/b/y", "c/d/e/f", "g", "h", "i"] {
        batch.push((key(at), version(&replica, at).await));
    }
    std::fs::write(dir.path().join("g"), "changed by somebody").unwrap();
    std::fs::remove_file(dir.path().join("h")).unwrap();
    std::fs::remove_file(dir.path().join("i")).unwrap();
    symlink("g", dir.path().join("i")).unwrap();
    batch.push((key("../g"), batch[0].1.clone()));
    let causes: Vec<Option<Cause>> =
        replica.delete(&batch).await.into_iter().map(|result| result.err().map(|error| error.cause)).collect();
    let raced = Some(Cause::Precondition);
    assert_eq!(causes, [None, None, None, raced, raced, raced, Some(Cause::Refused)]);
    assert_eq!(everything(dir.path()), ["a", "a/z", "g", "i"]);
    let last = [(key("a/z"), version(&replica, "a/z").await), (key("g"), version(&replica, "g").await)];
    assert!(replica.delete(&last).await.iter().all(Result::is_ok));
    std::fs::remove_file(dir.path().join("i")).unwrap();
    assert!(dir.path().is_dir());
}

#[tokio::test]
async fn a_root_must_be_there_and_may_be_made_for_a_destination() {
    let dir = tree(&["file"]);
    let missing = Local::open(&dir.path().join("new")).unwrap();
    let error = missing.connect(Contact::Look).await.unwrap_err();
    assert_eq!(error.cause, Cause::NotFound);
    assert!(error.hint.is_some());
    assert!(!dir.path().join("new").exists());
    let made = missing.connect(Contact::Prepare).await.unwrap();
    assert!(dir.path().join("new").is_dir());
    assert_eq!(missing.connect(Contact::Look).await.unwrap().identity, made.identity);
    assert_ne!(connected(dir.path()).await.connect(Contact::Look).await.unwrap().identity, made.identity);
    let too_deep = Local::open(&dir.path().join("x/y")).unwrap();
    assert_eq!(too_deep.connect(Contact::Prepare).await.unwrap_err().cause, Cause::NotFound);
    let file = Local::open(&dir.path().join("file")).unwrap();
    assert!(file.connect(Contact::Prepare).await.unwrap_err().message.contains("not a directory"));
}

#[tokio::test]
async fn nothing_is_written_or_concluded_after_the_root_was_replaced() {
    let above = tree(&["m/x"]);
    let path = above.path().join("m");
    let replica = connected(&path).await;
    let seen = version(&replica, "x").await;
    std::fs::rename(&path, above.path().join("old")).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(replica.look_up(&key("x")).await.unwrap_err().cause, Cause::Stop);
    assert_eq!(replica.delete(&[(key("x"), seen)]).await[0].as_ref().unwrap_err().cause, Cause::Stop);
    let put = PutParts::new(Expect::Absent).put(&replica, "y", &whole(b"y")).await;
    assert_eq!(put.unwrap_err().cause, Cause::Stop);
    assert_eq!(everything(above.path()), ["m", "old", "old/x"]);
}

#[tokio::test]
async fn tidying_leaves_young_and_foreign_files_alone() {
    let dir = tree(&["a/.mediasync-0123456789abcdef.tmp", "a/.mediasync-mine", "x"]);
    let replica = connected(dir.path()).await;
    let mut listing = replica.list(None, &Arc::default());
    while listing.items.recv().await.is_some() {}
    assert_eq!(replica.tidy(&NoJournal).await.unwrap(), 0);
    assert_eq!(everything(dir.path()).len(), 4);
}

#[test]
fn a_name_that_a_disk_finds_under_another_spelling_is_not_in_the_directory() {
    let dir = tree(&["Photo.jpg"]);
    let root = root(dir.path());
    assert!(write::has_name(&root.fd, "Photo.jpg"));
    assert!(!write::has_name(&root.fd, "photo.jpg"));
}
