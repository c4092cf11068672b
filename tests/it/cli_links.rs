//! Symbolic links: left out, followed, stored, and what a change of the policy does.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use crate::support::sandbox::{REMOTE, Sandbox};

const STORE: [&str; 2] = ["--symlinks", "store"];
const FOLLOW: [&str; 2] = ["--symlinks", "follow"];

fn link(sandbox: &Sandbox, to: &str, at: &str) {
    let path = sandbox.media(at);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(to, path).unwrap();
}

fn names(sandbox: &Sandbox) -> Vec<String> {
    sandbox.remote().keys().cloned().collect()
}

/// All links below a directory, by path, with their texts and times.
fn links(root: &Path) -> Vec<(PathBuf, PathBuf, i64, i64)> {
    let mut found = Vec::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let meta = entry.path().symlink_metadata().unwrap();
            if meta.is_dir() {
                dirs.push(entry.path());
            } else if meta.is_symlink() {
                let name = entry.path().strip_prefix(root).unwrap().to_owned();
                found.push((name, fs::read_link(entry.path()).unwrap(), meta.mtime(), meta.mtime_nsec()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn links_are_left_out_and_counted_unless_somebody_says_otherwise() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    link(&sandbox, "a.jpg", "l");
    sandbox.push(&[]).exits(0).says(&["1 symbolic link"]);
    assert_eq!(names(&sandbox), ["a.jpg"]);
    sandbox.put("text.rclonelink", "a.jpg");
    sandbox.pull(&[]).exits(0);
    assert_eq!(sandbox.local()["text.rclonelink"], "a.jpg", "a file like any other");
    sandbox.assert_second_pull_does_nothing(&[]);
}

#[test]
fn stored_links_come_back_as_they_were() {
    let sandbox = Sandbox::with(&[("d/real.jpg", "real"), ("x.jpg", "x")]);
    for (to, at) in [("x.jpg", "to-file"), ("d", "to-dir"), ("../x.jpg", "d/up"), ("nowhere", "dangling")] {
        link(&sandbox, to, at);
    }
    link(&sandbox, &"t".repeat(255), &"n".repeat(255));
    sandbox.push(&STORE).exits(0);
    let long = format!("{}.rclonelink", "n".repeat(255));
    let expected = [
        "d/real.jpg",
        "d/up.rclonelink",
        "dangling.rclonelink",
        &long,
        "to-dir.rclonelink",
        "to-file.rclonelink",
        "x.jpg",
    ];
    assert_eq!(names(&sandbox), expected);
    assert_eq!(sandbox.content("d/up.rclonelink"), "../x.jpg");
    sandbox.assert_second_run_does_nothing(&STORE);
    sandbox.assert_second_run_does_nothing(&["--symlinks", "store", "--delete"]);

    let copy = sandbox.path("copy");
    let pull = ["pull", REMOTE, copy.to_str().unwrap(), "--symlinks", "store", "--delete"];
    sandbox.run(&pull).exits(0);
    assert_eq!(links(&copy), links(&sandbox.path("media")), "texts and times");
    assert_eq!(fs::read(copy.join("to-dir/real.jpg")).unwrap(), b"real");
    sandbox.server.clear_log();
    sandbox.run(&pull).exits(0).says(&["Nothing changed"]);

    // Changed, removed, and turned into a file: each arrives as that.
    fs::remove_file(sandbox.media("to-file")).unwrap();
    link(&sandbox, "d/real.jpg", "to-file");
    fs::remove_file(sandbox.media("dangling")).unwrap();
    fs::remove_file(sandbox.media("d/up")).unwrap();
    sandbox.write("d/up", "a file now");
    sandbox.push(&["--symlinks", "store", "--delete"]).exits(0);
    // Where the link stood the file has no room yet: it comes with the next run.
    sandbox.run(&pull).exits(3).says(&["`d/up`: a symbolic link of that name stands there"]);
    sandbox.run(&pull).exits(0);
    assert_eq!(links(&copy), links(&sandbox.path("media")));
    assert_eq!(fs::read(copy.join("d/up")).unwrap(), b"a file now");
    sandbox.run(&pull).exits(0).says(&["Nothing changed"]);
    sandbox.assert_second_run_does_nothing(&["--symlinks", "store", "--delete"]);

    // From directory to directory it is the same.
    let (media, third) = (sandbox.path("media"), sandbox.path("third"));
    let mirror = ["mirror", media.to_str().unwrap(), third.to_str().unwrap(), "--symlinks", "store"];
    sandbox.run(&mirror).exits(0);
    assert_eq!(links(&third), links(&media));
    sandbox.run(&mirror).exits(0).says(&["Nothing changed"]);
}

#[test]
fn links_that_could_lead_out_of_the_directory_are_not_made() {
    let sandbox = Sandbox::new();
    let outside = sandbox.path("outside.jpg");
    fs::write(&outside, "canary").unwrap();
    let hostile = [
        ("abs", outside.to_str().unwrap()),
        ("up", "../outside.jpg"),
        ("d/up", "../../outside.jpg"),
        ("behind", "d/../../outside.jpg"),
        ("empty", ""),
    ];
    for (at, to) in hostile {
        sandbox.put(&format!("{at}.rclonelink"), to.to_owned());
    }
    sandbox.put("nul.rclonelink", &b"a\0b"[..]);
    sandbox.put("large.rclonelink", "x".repeat(9 * 1024 * 1024));
    sandbox.put("up/x.jpg", "below a name that somebody wants to be a link");
    sandbox.put("good.rclonelink", "d/x.jpg");
    sandbox.put("d/x.jpg", "x");
    let ran = sandbox.pull(&STORE).exits(3);
    for (at, to) in hostile {
        assert!(ran.all().contains(&format!("{at}.rclonelink")) && ran.all().contains(to), "{at}: {ran:?}");
    }
    let made: Vec<PathBuf> = links(&sandbox.path("media")).into_iter().map(|(at, ..)| at).collect();
    assert_eq!(made, [Path::new("good")]);
    assert_eq!(fs::read(&outside).unwrap(), b"canary");
    assert_eq!(sandbox.local().keys().collect::<Vec<_>>(), ["d/x.jpg", "up/x.jpg"]);
    sandbox.pull(&STORE).exits(3);
}

#[test]
fn a_link_and_a_file_of_its_key_are_both_left_alone() {
    let sandbox = Sandbox::with(&[("a.rclonelink", "a file of that name"), ("b", "b")]);
    link(&sandbox, "b", "a");
    for _ in 0..2 {
        sandbox.push(&["--symlinks", "store", "--delete"]).exits(3).says(&["a.rclonelink", "symbolic link"]);
        assert_eq!(names(&sandbox), ["b"]);
    }
    // A file where a link would have to be made stays, and so does its content.
    let other = Sandbox::with(&[("l", "a file of mine")]);
    other.put("l.rclonelink", "x");
    for _ in 0..2 {
        other.pull(&STORE).exits(3).says(&["l.rclonelink"]);
        assert_eq!(other.local()["l"], "a file of mine");
    }
}

#[test]
fn followed_links_bring_what_they_lead_to() {
    let sandbox = Sandbox::with(&[("d/a.jpg", "a"), ("d/e/b.jpg", "b"), ("x.jpg", "x"), ("z-last", "z")]);
    for (to, at) in [("x.jpg", "to-file"), ("d", "m-dir"), ("../x.jpg", "d/up"), ("to-file", "to-link")] {
        link(&sandbox, to, at);
    }
    sandbox.push(&FOLLOW).exits(0);
    let all = sandbox.remote();
    let expected = [
        ("d/a.jpg", "a"),
        ("d/e/b.jpg", "b"),
        ("d/up", "x"),
        ("m-dir/a.jpg", "a"),
        ("m-dir/e/b.jpg", "b"),
        ("m-dir/up", "x"),
        ("to-file", "x"),
        ("to-link", "x"),
        ("x.jpg", "x"),
        ("z-last", "z"),
    ];
    let found: Vec<(&str, &[u8])> = all.iter().map(|(name, content)| (name.as_str(), &content[..])).collect();
    assert_eq!(found, expected.map(|(name, content)| (name, content.as_bytes())));
    sandbox.assert_second_run_does_nothing(&["--symlinks", "follow", "--delete"]);
    // What a link leads to was edited.
    sandbox.write("x.jpg", "edited");
    sandbox.push(&FOLLOW).exits(0);
    assert_eq!(sandbox.content("to-link"), "edited");
    sandbox.assert_second_run_does_nothing(&FOLLOW);
    for only in ["m-dir", "to-file", "m-dir/e"] {
        sandbox.assert_second_run_does_nothing(&["--symlinks", "follow", "--delete", "--only", only]);
    }
}

#[test]
fn loops_and_links_that_lead_out_are_told_and_nothing_is_read_through_them() {
    let sandbox = Sandbox::with(&[("d/e/a.jpg", "a")]);
    let secret = sandbox.path("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("key"), "secret").unwrap();
    for (to, at) in [("../..", "d/e/to-root"), ("..", "d/e/to-parent"), (".", "d/self"), ("two", "one"), ("one", "two")]
    {
        link(&sandbox, to, at);
    }
    link(&sandbox, "../secret", "out");
    link(&sandbox, secret.join("key").to_str().unwrap(), "abs");
    let ran = sandbox.push(&FOLLOW).exits(3);
    for told in ["d/e/to-root", "d/e/to-parent", "d/self", "one", "two", "out", "abs"] {
        assert!(ran.all().contains(&format!("the symbolic link `{told}` leads")), "{told}: {ran:?}");
    }
    assert_eq!(names(&sandbox), ["d/e/a.jpg"]);
    // Also where the listing begins inside of a loop.
    sandbox.push(&["--symlinks", "follow", "--only", "d/e"]).exits(3);
    assert_eq!(names(&sandbox), ["d/e/a.jpg"]);
}

#[test]
fn a_broken_link_is_never_taken_for_a_deletion() {
    let sandbox = Sandbox::with(&[("store/a.jpg", "a"), ("store/d/b.jpg", "b"), ("c.jpg", "c")]);
    link(&sandbox, "store/a.jpg", "a");
    link(&sandbox, "store/d", "d");
    let delete = ["--symlinks", "follow", "--delete", "--max-delete", "100"];
    sandbox.push(&delete).exits(0);
    let before = names(&sandbox);
    fs::rename(sandbox.media("store"), sandbox.path("away")).unwrap();
    for only in [None, Some("a"), Some("d"), Some("d/b.jpg")] {
        let only: Vec<&str> = only.iter().flat_map(|only| ["--only", only]).collect();
        sandbox.push(&[&delete[..], &only].concat()).exits(3).says(&["the symbolic link", "leads to nothing"]);
        for kept in ["a", "d/b.jpg"] {
            assert!(names(&sandbox).contains(&kept.to_owned()), "{kept} {only:?}");
        }
    }
    assert_eq!(names(&sandbox), ["a", "c.jpg", "d/b.jpg"], "what is really gone went");
    fs::rename(sandbox.path("away"), sandbox.media("store")).unwrap();
    sandbox.push(&delete).exits(0);
    assert_eq!(names(&sandbox), before);
    sandbox.assert_second_run_does_nothing(&delete);
}

#[test]
fn another_policy_deletes_nothing_of_what_the_one_before_stored() {
    for (first, then) in [("follow", "skip"), ("store", "skip"), ("store", "follow")] {
        for command in ["push", "mirror"] {
            let sandbox = Sandbox::with(&[("d/a.jpg", "a"), ("x.jpg", "x")]);
            link(&sandbox, "x.jpg", "l");
            link(&sandbox, "d", "m");
            let media = sandbox.path("media");
            let args = |policy| {
                let mut args =
                    vec![command, media.to_str().unwrap(), REMOTE, "--symlinks", policy, "--max-delete", "9"];
                args.extend((command == "push").then_some("--delete"));
                args
            };
            sandbox.run(&args(first)).exits(0);
            let before = names(&sandbox);
            assert_eq!(before.len(), 4, "{before:?}");
            for _ in 0..2 {
                sandbox.run(&args(then)).exits(0);
                let now = names(&sandbox);
                assert!(before.iter().all(|name| now.contains(name)), "{command} {first} {then}: {now:?}");
            }
            // And back again: what is there is still known. What was sent of followed links is no part of a tree whose
            // links are stored; it goes like anything that was deleted, and is kept like that.
            let gone = if then == "follow" { vec!["l", "m/a.jpg"] } else { Vec::new() };
            sandbox.server.clear_log();
            sandbox.run(&args(first)).exits(0);
            assert_eq!(names(&sandbox), before);
            assert_eq!(sandbox.trash().0.keys().collect::<Vec<_>>(), gone, "{command} {first} {then}");
            assert_eq!(sandbox.requested("PutObject").len(), 0, "{command} {first} {then}");
        }
    }
}

#[test]
fn a_file_that_becomes_a_stored_link_is_replaced_by_it_within_the_budget() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    let delete = ["--symlinks", "store", "--delete"];
    sandbox.push(&delete).exits(0);
    sandbox.remove("a.jpg");
    link(&sandbox, "b.jpg", "a.jpg");
    sandbox.push(&["--symlinks", "store", "--delete", "--max-delete", "0"]).exits(4);
    sandbox.push(&delete).exits(0);
    assert_eq!(names(&sandbox), ["a.jpg.rclonelink", "b.jpg"]);
    sandbox.assert_second_run_does_nothing(&delete);
}

#[test]
fn nothing_is_written_or_deleted_through_a_link_that_is_followed() {
    let sandbox = Sandbox::with(&[("d/a.jpg", "a"), ("x.jpg", "x")]);
    link(&sandbox, "x.jpg", "l");
    link(&sandbox, "d", "m");
    sandbox.put("l", "from the bucket");
    sandbox.put("m/a.jpg", "from the bucket");
    sandbox.put("m/new.jpg", "from the bucket");
    // A side that only receives leaves links out.
    sandbox.pull(&["--symlinks", "follow", "--overwrite"]).exits(0);
    let toml = format!(
        "[[job]]\nname = \"both\"\nsource = \"{}\"\ndestination = \"{REMOTE}\"\nmode = \"two-way\"\n\
         on_conflict = \"destination\"\nsymlinks = \"follow\"\n",
        sandbox.path("media").display()
    );
    fs::write(sandbox.path("work/mediasync.toml"), toml).unwrap();
    sandbox.run(&["sync", "both"]).exits(3).says(&["symbolic link"]);
    assert_eq!(sandbox.local()["x.jpg"], "x");
    assert_eq!(sandbox.local()["d/a.jpg"], "a");
    assert!(!sandbox.media("d/new.jpg").exists());
    assert_eq!(links(&sandbox.path("media")).len(), 2);
}

#[test]
fn a_stored_link_that_is_replaced_or_deleted_is_kept_as_its_text() {
    let sandbox = Sandbox::new();
    sandbox.put("a.rclonelink", "one");
    sandbox.put("b.rclonelink", "two");
    let pull = ["--symlinks", "store", "--delete", "--overwrite", "--max-delete", "9"];
    sandbox.pull(&pull).exits(0);
    fs::remove_file(sandbox.media("b")).unwrap();
    link(&sandbox, "mine", "b");
    sandbox.bucket.remove("site/a.rclonelink");
    sandbox.put("b.rclonelink", "three");
    sandbox.put("c", "so that something is left");
    sandbox.pull(&pull).exits(0);
    assert_eq!(fs::read_link(sandbox.media("b")).unwrap(), Path::new("three"));
    assert!(sandbox.media("a").symlink_metadata().is_err());
    let kept = sandbox.files("media/.mediasync/trash");
    let mut kept: Vec<String> = kept.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    kept.sort();
    assert_eq!(kept, ["mine", "one"]);
}

#[test]
fn a_stored_link_comes_back_from_the_trash_of_its_job_as_a_link() {
    let sandbox = Sandbox::new();
    sandbox.put("l.rclonelink", "d/x.jpg");
    sandbox.put("stays", "s");
    let media = sandbox.path("media");
    let toml = format!(
        "[[job]]\nname = \"back\"\nsource = \"{REMOTE}\"\ndestination = {media:?}\nmode = \"mirror\"\nsymlinks = \"store\"\n"
    );
    fs::write(sandbox.path("work/mediasync.toml"), toml).unwrap();
    sandbox.run(&["sync", "back"]).exits(0);
    let before = links(&media);
    assert_eq!(before.len(), 1);
    sandbox.bucket.remove("site/l.rclonelink");
    let ran = sandbox.run(&["sync", "back", "--max-delete", "5", "--json"]).exits(0);
    assert_eq!(links(&media), []);
    let run = fs::read_dir(media.join(".mediasync/trash")).unwrap().next().unwrap().unwrap().file_name();
    let run = run.to_str().unwrap();
    sandbox.run(&["trash", "restore", "back", "--run", run]).exits(0);
    assert_eq!(links(&media), before, "{ran:?}");
    assert_eq!(sandbox.local().keys().collect::<Vec<_>>(), ["stays"]);
}

#[test]
fn a_link_into_our_own_directory_is_told_and_never_followed() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("sub/b.jpg", "b")]);
    for kept in [".mediasync/trash/run/kept.jpg", "sub/.mediasync/trash/run/kept.jpg"] {
        sandbox.write(kept, "deleted long ago");
    }
    let to = [(".mediasync/trash/run", "dir"), (".mediasync/trash/run/kept.jpg", "file"), ("dir", "twice")];
    for (to, at) in to.into_iter().chain([("sub/.mediasync", "nested"), ("sub", "good")]) {
        link(&sandbox, to, at);
    }
    let own = "leads into a directory of mediasync's own";
    for more in [&["-n"][..], &[], &["--delete"]] {
        let ran = sandbox.push(&[&["--symlinks", "follow"], more].concat()).exits(3);
        for name in ["dir", "file", "twice", "nested"] {
            assert!(ran.all().contains(&format!("the symbolic link `{name}` {own}")), "{name} {ran:?}");
        }
    }
    assert_eq!(sandbox.remote().keys().collect::<Vec<_>>(), ["a.jpg", "good/b.jpg", "sub/b.jpg"]);
}
