//! What a push sends and what it does not: edits, touches, renames, files that change under its hands, things that are
//! no files.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::support::s3::{Acl, Attributes, Moment, ObjectSpec};
use crate::support::sandbox::{Sandbox, bytes};

const MIB: usize = 1024 * 1024;

#[test]
fn a_same_size_edit_with_the_old_mtime_restored_is_found() {
    let sandbox = Sandbox::with(&[("a.jpg", "before"), ("b.jpg", "other")]);
    sandbox.push(&[]).exits(0);
    let mtime = sandbox.mtime("a.jpg");
    sandbox.write("a.jpg", "BEFORE");
    sandbox.set_mtime("a.jpg", mtime);
    sandbox.server.clear_log();
    sandbox.push(&[]).exits(0);
    sandbox.assert_changes(&["PutObject site/a.jpg"]);
    sandbox.assert_equal();
    sandbox.assert_second_run_does_nothing(&[]);
}

#[test]
fn a_touch_sends_nothing() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    sandbox.push(&[]).exits(0);
    sandbox.set_mtime("a.jpg", SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    sandbox.push(&["--dry-run", "-v"]).exits(0).says(&["touched only"]);
    sandbox.assert_second_run_does_nothing(&[]);
    sandbox.push(&["--dry-run", "-v"]).exits(0).never_says("touched");
}

#[test]
fn an_mtime_in_the_future_is_stable() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    sandbox.set_mtime("a.jpg", SystemTime::now() + Duration::from_hours(400 * 24));
    sandbox.push(&[]).exits(0);
    sandbox.assert_equal();
    for _ in 0..3 {
        sandbox.assert_second_run_does_nothing(&[]);
    }
    assert_eq!(sandbox.server.count("HeadObject"), 0, "nothing is in doubt");
}

#[test]
fn a_renamed_folder_is_copied_inside_the_bucket() {
    let sandbox = Sandbox::new();
    for n in 0..4 {
        sandbox.write(&format!("old/{n}.jpg"), bytes(n, 5_000));
    }
    sandbox.push(&["--delete"]).exits(0);
    sandbox.server.clear_log();
    fs::rename(sandbox.media("old"), sandbox.media("new")).unwrap();
    sandbox.push(&["--delete"]).exits(0).says(&["copied 4", "deleted 4", "4 old names of renamed files"]);
    assert_eq!((sandbox.server.count("PutObject"), sandbox.server.count("CopyObject")), (0, 4));
    sandbox.assert_equal();
    sandbox.assert_second_run_does_nothing(&["--delete"]);
}

#[test]
fn a_file_becomes_a_directory_and_back() {
    let sandbox = Sandbox::with(&[("a", "file"), ("b/c", "in a directory")]);
    sandbox.push(&["--delete"]).exits(0);
    for _ in 0..2 {
        fs::remove_file(sandbox.media("a")).unwrap();
        fs::remove_dir_all(sandbox.media("b")).unwrap();
        sandbox.write("a/x", "below");
        sandbox.write("b", "now a file");
        sandbox.push(&["--delete"]).exits(0);
        sandbox.assert_equal();
        fs::remove_dir_all(sandbox.media("a")).unwrap();
        fs::remove_file(sandbox.media("b")).unwrap();
        sandbox.write("a", "file again");
        sandbox.write("b/c", "in a directory again");
        sandbox.push(&["--delete"]).exits(0);
        sandbox.assert_equal();
    }
    sandbox.assert_second_run_does_nothing(&["--delete"]);
}

#[test]
fn a_dry_run_tells_everything_and_changes_nothing() {
    let sandbox = Sandbox::with(&[("a.jpg", "new"), ("b.jpg", "more")]);
    let ran = sandbox.push(&["-n"]).exits(0).says(&["create", "a.jpg", "(new)", "Would create 2", "Requests needed"]);
    assert!(ran.stderr.contains("nothing is changed"), "{ran:?}");
    sandbox.assert_changes(&[]);
    assert_eq!((sandbox.bucket.keys().len(), sandbox.files("state").len(), sandbox.files("work").len()), (0, 0, 0));
    sandbox.push(&["--delete"]).exits(0);
    sandbox.remove("a.jpg");
    sandbox.write("b.jpg", "edited");
    sandbox.server.clear_log();
    let state = sandbox.files("state");
    let ran = sandbox.push(&["-n", "--delete"]).exits(0);
    ran.says(&["deleted at source", "content changed", "overwrite 1", "delete 1"]);
    sandbox.assert_changes(&[]);
    assert_eq!(sandbox.files("state"), state);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.assert_equal();
}

#[test]
fn an_overwrite_keeps_acl_and_headers() {
    for size in [100, 9 * MIB] {
        let sandbox = Sandbox::new();
        let first = bytes(1, size);
        sandbox.write("a.bin", &first);
        sandbox.push(&[]).exits(0);
        let mut attributes = Attributes {
            cache_control: Some("max-age=60".into()),
            content_type: Some("application/x-special".into()),
            content_disposition: Some("attachment".into()),
            ..Attributes::default()
        };
        attributes.metadata.insert("owner".into(), "somebody".into());
        let etag = sandbox.bucket.get("site/a.bin").unwrap().etag;
        let spec = ObjectSpec { attributes, acl: Acl::default(), etag: Some(etag), ..ObjectSpec::default() };
        sandbox.bucket.put_with("site/a.bin", first, spec);
        sandbox.write("a.bin", bytes(2, size));
        sandbox.push(&[]).exits(0);
        sandbox.assert_equal();
        let object = sandbox.bucket.get("site/a.bin").unwrap();
        assert_eq!(object.acl.name, "private", "the DSN's public-read is for new objects");
        assert_eq!(object.attributes.cache_control.as_deref(), Some("max-age=60"));
        assert_eq!(object.attributes.content_type.as_deref(), Some("application/x-special"));
        assert_eq!(object.attributes.content_disposition.as_deref(), Some("attachment"));
        assert_eq!(object.attributes.metadata.get("owner").map(String::as_str), Some("somebody"));
        sandbox.assert_second_run_does_nothing(&[]);
    }
}

#[test]
fn a_small_file_that_changes_while_it_is_sent_is_never_torn() {
    let sandbox = Sandbox::new();
    let (before, after) = (bytes(1, 300_000), bytes(2, 300_000));
    sandbox.write("a.bin", &before);
    let gate = sandbox.server.hold(Moment::BeforeHandling, "PutObject", "site/a.bin");
    let run = sandbox.start_push(&[]);
    gate.reached_blocking(1);
    sandbox.write("a.bin", &after);
    gate.release();
    let ran = run.wait();
    assert!(matches!(ran.code, 0 | 3), "{ran:?}");
    assert!(sandbox.remote().get("a.bin").is_none_or(|content| *content == before), "torn");
    sandbox.push(&[]).exits(0);
    assert_eq!(sandbox.content("a.bin"), after);
    sandbox.assert_second_run_does_nothing(&[]);
}

#[test]
fn a_large_file_that_changes_while_it_is_sent_is_never_visible() {
    let sandbox = Sandbox::with(&[("rest.jpg", "rest")]);
    sandbox.write("a.bin", bytes(1, 17 * MIB));
    sandbox.push(&[]).exits(0);
    let old = sandbox.content("a.bin");
    sandbox.write("a.bin", bytes(2, 17 * MIB));
    sandbox.write("rest.jpg", "changed");
    let gate = sandbox.server.hold(Moment::BeforeHandling, "UploadPart", "site/a.bin");
    let run = sandbox.start_push(&[]);
    gate.reached_blocking(1);
    let newest = bytes(3, 17 * MIB);
    sandbox.write("a.bin", &newest);
    gate.release();
    run.wait().exits(3).says(&["a.bin", "changed"]);
    assert!(sandbox.content("a.bin") == old, "torn, or published though it changed");
    assert_eq!(&sandbox.content("rest.jpg")[..], b"changed");
    sandbox.push(&[]).exits(0);
    sandbox.assert_equal();
    sandbox.assert_second_run_does_nothing(&[]);
}

#[test]
fn what_is_no_file_never_hangs_and_is_counted() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    mknodat(CWD, sandbox.media("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let _socket = UnixListener::bind(sandbox.media("socket")).unwrap();
    // Only root may, and not in every container.
    let device = mknodat(CWD, sandbox.media("null"), FileType::CharacterDevice, Mode::RUSR, makedev(1, 3)).is_ok();
    symlink(sandbox.path("media"), sandbox.media("loop")).unwrap();
    symlink("self", sandbox.media("self")).unwrap();
    symlink("nowhere", sandbox.media("dangling")).unwrap();
    let special = if device { "3 special files" } else { "2 special files" };
    sandbox.push(&["--delete"]).exits(0).says(&["3 symbolic links", special]);
    sandbox.assert_equal();
    sandbox.assert_second_run_does_nothing(&["--delete"]);
}

#[test]
fn a_file_that_becomes_a_fifo_keeps_its_object_and_never_hangs() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.remove("a.jpg");
    mknodat(CWD, sandbox.media("a.jpg"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    sandbox.push(&["--delete"]).exits(0);
    assert_eq!(sandbox.remote().len(), 2);
}

#[test]
fn files_that_vanish_or_turn_into_a_fifo_after_the_scan_do_not_stop_the_rest() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c"), ("d.jpg", "d")]);
    let gate = sandbox.server.hold(Moment::BeforeHandling, "PutObject", "site/a.jpg");
    let run = sandbox.start_push(&["--concurrency", "1"]);
    gate.reached_blocking(1);
    sandbox.remove("b.jpg");
    sandbox.remove("c.jpg");
    mknodat(CWD, sandbox.media("c.jpg"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    gate.release();
    run.wait().exits(3).says(&["b.jpg", "c.jpg"]);
    let keys: Vec<String> = sandbox.remote().into_keys().collect();
    assert_eq!(keys, ["a.jpg", "d.jpg"]);
    sandbox.assert_second_run_does_nothing(&[]);
}

#[test]
fn only_a_folder_is_pushed_when_asked_for() {
    let sandbox = Sandbox::with(&[("in/a", "a"), ("in/deep/b", "b"), ("out/c", "c"), ("in.txt", "d")]);
    sandbox.push(&["--only", "in"]).exits(0);
    let keys: Vec<String> = sandbox.remote().into_keys().collect();
    assert_eq!(keys, ["in/a", "in/deep/b"]);
    sandbox.push(&[]).exits(0);
    sandbox.remove("out/c");
    sandbox.remove("in/a");
    sandbox.push(&["--delete", "--only", "in"]).exits(0);
    let keys: Vec<String> = sandbox.remote().into_keys().collect();
    assert_eq!(keys, ["in.txt", "in/deep/b", "out/c"]);
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
