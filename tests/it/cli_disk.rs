//! What is particular to directories: files with several names, one directory at two places, keys that no two files
//! can have, and what people are told about places that are not what they meant.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use crate::support::s3::{Effect, Faults, ObjectSpec, Rule};
use crate::support::sandbox::{REMOTE, Sandbox, bytes};

const MIB: usize = 1024 * 1024;

#[test]
fn all_names_of_one_file_are_deleted_in_one_run() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c", "d/e", "stays"] {
        sandbox.put(name, "the same content");
    }
    sandbox.pull(&[]).exits(0);
    for name in ["b", "c", "d/e"] {
        sandbox.remove(name);
        fs::hard_link(sandbox.media("a"), sandbox.media(name)).unwrap();
    }
    sandbox.pull(&[]).exits(0);
    for name in ["a", "b", "c", "d/e"] {
        sandbox.bucket.remove(&format!("site/{name}"));
    }
    sandbox.pull(&["--delete", "--max-delete", "9"]).exits(0);
    assert_eq!(sandbox.local().keys().collect::<Vec<_>>(), ["stays"]);
    sandbox.assert_second_pull_does_nothing(&["--delete"]);
}

#[test]
fn an_edit_through_another_name_is_not_deleted() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "stays"] {
        sandbox.put(name, "the same content");
    }
    sandbox.pull(&[]).exits(0);
    sandbox.remove("b");
    fs::hard_link(sandbox.media("a"), sandbox.media("b")).unwrap();
    sandbox.pull(&[]).exits(0);
    sandbox.write("b", "edited by hand");
    for name in ["a", "b"] {
        sandbox.bucket.remove(&format!("site/{name}"));
    }
    let ran = sandbox.pull(&["--delete", "--max-delete", "9"]).exits(3).says(&["changed since the last run"]);
    assert!(!ran.all().contains("somebody else"), "{ran:?}");
    assert_eq!(sandbox.local()["a"], "edited by hand");
    assert_eq!(sandbox.local()["b"], "edited by hand");
}

#[test]
fn one_directory_under_two_names_is_no_pair() {
    let sandbox = Sandbox::with(&[("a", "a"), ("d/b", "b")]);
    let (media, other) = (sandbox.path("media"), sandbox.path("other"));
    fs::create_dir(&other).unwrap();
    let mount = |from: &std::path::Path| {
        Command::new("mount").arg("--bind").args([from, other.as_path()]).output().is_ok_and(|out| out.status.success())
    };
    let unmount = || assert!(Command::new("umount").arg(&other).status().unwrap().success());
    if !mount(&media) {
        eprintln!("skipped: this needs the right to mount");
        return;
    }
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let below = text(&other.join("d"));
    let runs = [
        (text(&media), text(&other)),
        (text(&other), text(&media)),
        (text(&media), below.clone()),
        (below, text(&media)),
    ];
    let ran = runs.map(|(from, to)| sandbox.run(&["mirror", &from, &to]));
    // An alias of a directory that holds the source is found as well.
    unmount();
    assert!(mount(&sandbox.path("")));
    let above = sandbox.run(&["mirror", &text(&media), &text(&other)]);
    unmount();
    for ran in ran {
        ran.exits(2).says(&["bind mount"]);
    }
    above.exits(2).says(&["bind mount"]);
    assert_eq!(sandbox.local().len(), 2);
}

#[test]
fn a_prefix_under_which_nothing_is_makes_no_directory_and_says_so() {
    let sandbox = Sandbox::new();
    sandbox.put("a.jpg", "a");
    let mut mistyped = sandbox;
    let dsn = mistyped.dsn(&format!("endpoint={}", mistyped.server.endpoint())).replace("/site?", "/stie?");
    mistyped.env("MISTYPED", &dsn);
    let new = mistyped.path("new");
    for more in [&[][..], &["-n"]] {
        let args = [&["pull", "env:MISTYPED", new.to_str().unwrap()], more].concat();
        mistyped.run(&args).exits(0).says(&["nothing was found at", "stie", "check the spelling"]);
        assert!(!new.exists());
    }
    mistyped.pull(&[]).exits(0).never_says("check the spelling");
    mistyped.assert_pulled();
}

#[test]
fn messages_name_what_is_there_and_offer_what_makes_sense() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    sandbox.run(&["pull", "--help"]).exits(0).never_says("--acl");
    sandbox.run(&["push", "--help"]).exits(0).says(&["--acl"]);
    sandbox.put("a.jpg", "other content");
    let file = sandbox.media("a.jpg");
    for path in [file.to_str().unwrap().to_owned(), format!("{}/", file.display()), format!("{}/below", file.display())]
    {
        let ran = sandbox.run(&["pull", REMOTE, &path]);
        assert!([1, 2].contains(&ran.code), "{ran:?}");
        assert!(ran.all().contains("file") && !ran.all().contains("make the directory first"), "{path}: {ran:?}");
    }
    let ran = sandbox.pull(&[]).exits(3).says(&["--take env:", "(or /"]);
    assert!(!ran.all().contains("source|destination"), "{ran:?}");
}

#[test]
fn a_large_foreign_object_is_checked_by_the_etag_of_its_parts() {
    let sandbox = Sandbox::new();
    let spec = |part| ObjectSpec { part_size: Some(part), ..ObjectSpec::default() };
    sandbox.bucket.put_with("site/usual.bin", bytes(1, 21 * MIB), spec(5 * MIB));
    sandbox.bucket.put_with("site/odd.bin", bytes(2, 21 * MIB), spec(5 * MIB + 12_345));
    sandbox.server.clear_log();
    sandbox.pull(&[]).exits(0);
    sandbox.assert_pulled();
    // Each byte came once.
    let ranges = sandbox.requested("GetObject").iter().filter(|key| key.contains(".bin")).count();
    assert_eq!(ranges, 12);
    sandbox.assert_second_pull_does_nothing(&[]);
}

#[test]
fn a_large_pull_that_was_not_recorded_is_known_as_ours_after_a_kill() {
    let sandbox = Sandbox::new();
    let spec = || ObjectSpec { part_size: Some(5 * MIB), ..ObjectSpec::default() };
    sandbox.bucket.put_with("site/large.bin", bytes(1, 12 * MIB), spec());
    sandbox.put("slow.jpg", "keeps the run alive");
    let slow = Rule::new("GetObject", Effect::Delay(Duration::from_secs(30)));
    sandbox.server.faults(|faults| faults.add(slow.key("*slow.jpg")));
    let run = sandbox.start_pull(&[]);
    let begun = Instant::now();
    while !sandbox.media("large.bin").exists() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the large one comes");
        std::thread::sleep(Duration::from_millis(1));
    }
    run.kill();
    sandbox.server.faults(Faults::clear);
    sandbox.bucket.put_with("site/large.bin", bytes(2, 12 * MIB), spec());
    sandbox.pull(&[]).exits(0);
    sandbox.assert_pulled();
}

#[test]
fn a_key_and_one_below_it_are_told_the_same_in_every_run() {
    let sandbox = Sandbox::new();
    for name in ["a", "a/b", "a/c/d", "a-x", "z"] {
        sandbox.put(name, name);
    }
    let told = "a: it can't be a file here, because a/b is below it";
    for more in [&["-n"][..], &[], &[], &["-n"], &["--delete"]] {
        let ran = sandbox.pull(more).exits(3).says(&[told]);
        assert!(!ran.all().contains("create  a ") && !ran.all().contains("directory of that name"), "{more:?} {ran:?}");
    }
    assert_eq!(sandbox.local().keys().collect::<Vec<_>>(), ["a-x", "a/b", "a/c/d", "z"]);
    // Nothing at all is planned any more.
    sandbox.pull(&["-n"]).exits(3).says(&["Nothing to do"]);
    sandbox.bucket.remove("site/a");
    sandbox.assert_second_pull_does_nothing(&["--delete"]);

    // The one that is there stays.
    let other = Sandbox::new();
    other.put("a", "the file");
    other.pull(&[]).exits(0);
    other.put("a/b", "below");
    for more in [&["-n"][..], &[], &["--delete"], &["-n"]] {
        other.pull(more).exits(3).says(&["a/b: it can't be here, because a is a file"]);
        assert_eq!(other.local().keys().collect::<Vec<_>>(), ["a"]);
    }
    other.pull(&["-n"]).exits(3).says(&["Nothing to do"]);
    // Until the source decides.
    other.bucket.remove("site/a");
    other.pull(&["--delete"]).exits(0);
    assert_eq!(other.local().keys().collect::<Vec<_>>(), ["a/b"]);
}

/// What a mirror of `media` leaves, and that another one has nothing to do.
fn mirrors(sandbox: &Sandbox, expected: &[(&str, &str)]) {
    let (media, backup) = (sandbox.path("media"), sandbox.path("backup"));
    let args = ["mirror", media.to_str().unwrap(), backup.to_str().unwrap(), "--max-delete", "9"];
    sandbox.run(&args).exits(0);
    for (name, content) in expected {
        assert_eq!(fs::read_to_string(backup.join(name)).unwrap(), *content, "{name}");
    }
    let files = sandbox.files("backup").into_iter().filter(|file| !file.starts_with(backup.join(".mediasync")));
    assert_eq!(files.count(), expected.len());
    sandbox.run(&args).exits(0).says(&["Nothing changed."]);
}

#[test]
fn a_copy_that_needs_room_is_made_in_one_run() {
    let sandbox = Sandbox::with(&[("a", "a file"), ("c.jpg", "known there"), ("d.jpg", "stays")]);
    fs::create_dir(sandbox.path("backup")).unwrap();
    mirrors(&sandbox, &[("a", "a file"), ("c.jpg", "known there"), ("d.jpg", "stays")]);
    // A file becomes a directory, filled with a copy and with a renamed file.
    sandbox.remove("a");
    sandbox.write("a/x", "known there");
    fs::rename(sandbox.media("d.jpg"), sandbox.media("a/y")).unwrap();
    mirrors(&sandbox, &[("a/x", "known there"), ("a/y", "stays"), ("c.jpg", "known there")]);
    // And the other way round.
    fs::remove_dir_all(sandbox.media("a")).unwrap();
    sandbox.write("a", "known there");
    mirrors(&sandbox, &[("a", "known there"), ("c.jpg", "known there")]);
}

#[test]
fn two_files_that_become_directories_of_each_other_do_so_in_one_run() {
    let sandbox = Sandbox::with(&[("a", "of a"), ("b", "of b"), ("stays", "s")]);
    fs::create_dir(sandbox.path("backup")).unwrap();
    mirrors(&sandbox, &[("a", "of a"), ("b", "of b"), ("stays", "s")]);
    for name in ["a", "b"] {
        sandbox.remove(name);
    }
    sandbox.write("a/x", "of b");
    sandbox.write("b/x", "of a");
    mirrors(&sandbox, &[("a/x", "of b"), ("b/x", "of a"), ("stays", "s")]);
    // Nothing of it was lost on the way.
    let kept: Vec<_> = sandbox.files("backup/.mediasync/trash").iter().map(|file| fs::read(file).unwrap()).collect();
    for content in ["of a", "of b"] {
        assert!(kept.iter().any(|kept| kept == content.as_bytes()), "{content}");
    }
}

#[test]
fn what_made_room_for_a_copy_comes_back_when_that_can_not_be_made() {
    let sandbox = Sandbox::with(&[("a", "a file"), ("c.jpg", "known there"), ("d.jpg", "d")]);
    let other = sandbox.path("other");
    let pull = |more: &[&str]| {
        sandbox.run(&[&["pull", REMOTE, other.to_str().unwrap(), "--delete", "--max-delete", "9"], more].concat())
    };
    fs::create_dir(&other).unwrap();
    sandbox.push(&[]).exits(0);
    pull(&[]).exits(0);
    // The origin of the copy is another one than the plan believes, and the bucket does not give the content either.
    fs::write(other.join("c.jpg"), "changed there").unwrap();
    sandbox.remove("a");
    sandbox.write("a/x", "known there");
    sandbox.push(&["--delete", "--max-delete", "9"]).exits(0);
    pull(&["-n"]).exits(3).says(&["copy", "a/x"]);
    let refused = Rule::new("GetObject", Effect::Status(403, "AccessDenied")).key("*a/x");
    sandbox.server.faults(|faults| faults.add(refused));
    pull(&[]).exits(3).says(&["a: put back"]).never_says("in the trash");
    assert_eq!(fs::read(other.join("a")).unwrap(), b"a file");
    sandbox.server.faults(Faults::clear);
    // What is known of its content is known still: somebody who only touches it makes no conflict.
    fs::File::options().write(true).open(other.join("a")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    pull(&[]).exits(3).says(&["c.jpg"]).never_says("conflict: a:");
    assert_eq!(fs::read(other.join("a/x")).unwrap(), b"known there");
    assert_eq!(fs::read(other.join("c.jpg")).unwrap(), b"changed there");
}

#[test]
fn a_directory_of_the_other_side_under_another_name_is_no_pair() {
    let sandbox = Sandbox::with(&[("a", "a"), ("d/e/b", "b")]);
    let (media, other) = (sandbox.path("media"), sandbox.path("other"));
    fs::create_dir(&other).unwrap();
    let mount = Command::new("mount").arg("--bind").args([media.join("d"), other.clone()]).output();
    if !mount.is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: this needs the right to mount");
        return;
    }
    let link = sandbox.path("link");
    std::os::unix::fs::symlink(&other, &link).unwrap();
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    // The mounted directory, one in it, one that is to be made in it, and one behind a link to it.
    let aliases = [text(&other), text(&other.join("e")), text(&other.join("new")), text(&link)];
    let ran: Vec<_> = aliases
        .iter()
        .flat_map(|alias| [(text(&media), alias.clone()), (alias.clone(), text(&media))])
        .map(|(from, to)| sandbox.run(&["mirror", &from, &to]))
        .collect();
    let made = other.join("new").exists();
    // Beside it is no problem: below one mount, but not one in the other.
    let beside = sandbox.run(&["mirror", &text(&other.join("e")), &text(&sandbox.path("backup"))]);
    assert!(Command::new("umount").arg(&other).status().unwrap().success());
    for (at, ran) in ran.into_iter().enumerate() {
        // A source that is not there says so itself.
        if at != 5 {
            ran.exits(2).says(&["bind mount"]);
        }
    }
    beside.exits(0);
    assert!(!made);
    assert_eq!(sandbox.local().len(), 2);
}
