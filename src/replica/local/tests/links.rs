//! Symbolic links that are followed or stored: what is swapped between a look and a read, and what a walk says.

use std::os::unix::fs::symlink;

use super::super::{read, seam};
use super::*;
use crate::model::Symlinks;

fn root_with(dir: &Path, links: Symlinks) -> Arc<Root> {
    let mut root = root(dir);
    root.made.links = links;
    Arc::new(root)
}

fn replace(to: &str, at: &Path) {
    std::fs::remove_file(at).unwrap();
    symlink(to, at).unwrap();
}

#[test]
fn each_policy_says_what_stands_at_every_place_of_a_link() {
    let dir = tree(&["d/x", "file", "l-", "stored.rclonelink"]);
    for (to, at) in [("d", "l"), ("file", "f"), ("none", "lost"), ("..", "d/up"), ("file", "stored")] {
        symlink(to, dir.path().join(at)).unwrap();
    }
    let said = |links| told(&walk(&root_with(dir.path(), links), None, &Arc::default()).unwrap());
    let store = ["d/up.rclonelink", "d/x", "f.rclonelink", "file", "l-", "l.rclonelink", "lost.rclonelink"];
    let expected: Vec<&str> = store.into_iter().chain(["unknown stored.rclonelink", "END"]).collect();
    assert_eq!(said(Symlinks::Store), expected);
    let follow = [
        "LinkText d/up.rclonelink",
        "unknown d/up/",
        "d/x",
        "f",
        "LinkText f.rclonelink",
        "file",
        "l-",
        "LinkText l.rclonelink",
        "LinkText l/up.rclonelink",
        "unknown l/up/",
        "l/x",
        "unknown lost",
        "LinkText lost.rclonelink",
        "unknown lost/",
        "stored",
        "stored.rclonelink",
        "END",
    ];
    assert_eq!(said(Symlinks::Follow), follow);
    let skip = said(Symlinks::Skip);
    for place in ["Symlink l", "LinkText l.rclonelink", "Symlink l/", "Symlink stored", "stored.rclonelink"] {
        assert!(skip.contains(&place.to_owned()), "{place}: {skip:?}");
    }
    // One key says the same as the whole.
    for (links, all) in [(Symlinks::Store, said(Symlinks::Store)), (Symlinks::Follow, said(Symlinks::Follow))] {
        let root = root_with(dir.path(), links);
        for only in ["f", "f.rclonelink", "l", "l.rclonelink", "lost", "stored.rclonelink", "lost.rclonelink"] {
            let one = told(&walk(&root, Some(only), &Arc::default()).unwrap());
            let of_only = |line: &&String| {
                let place = line.rsplit(' ').next().unwrap();
                place == only || place.strip_prefix(only).is_some_and(|rest| rest.starts_with('/')) || place == "END"
            };
            assert_eq!(one, all.iter().filter(of_only).cloned().collect::<Vec<_>>(), "{links:?} --only {only}");
        }
    }
}

#[test]
fn a_link_that_is_swapped_after_the_look_is_not_read() {
    let dir = tree(&["seen", "other", "d/x", "e/x"]);
    let outside = tree(&["seen", "x"]);
    let root = root_with(dir.path(), Symlinks::Follow);
    let pool = Pool::new();
    let (link, parent) = (dir.path().join("l"), dir.path().join("m"));
    symlink("seen", &link).unwrap();
    symlink("d", &parent).unwrap();
    let (file, below) = (version_of(&root, "l"), version_of(&root, "m/x"));
    assert!(read::open(&root, &key("l"), &file, &pool).is_ok());
    for to in ["other", "../nothing", outside.path().join("seen").to_str().unwrap(), "l"] {
        replace(to, &link);
        let error = read::open(&root, &key("l"), &file, &pool).unwrap_err();
        assert!(matches!(error.cause, Cause::Changed | Cause::Refused | Cause::NotFound), "{to}: {error:?}");
    }
    for to in ["e", outside.path().to_str().unwrap()] {
        replace(to, &parent);
        assert!(read::open(&root, &key("m/x"), &below, &pool).is_err(), "{to}");
    }
    // Between opening and the last look.
    replace("seen", &link);
    let at = link.clone();
    let swap = move |point: &str, _: &str| {
        if point == "read" {
            replace("other", &at);
        }
        Ok(())
    };
    let opened = seam::with(swap, || read::open(&root, &key("l"), &version_of(&root, "l"), &pool));
    assert_eq!(opened.unwrap_err().cause, Cause::Changed);
}

#[test]
fn absence_behind_a_link_is_told_only_when_the_link_leads_somewhere() {
    let dir = tree(&["d/x"]);
    symlink("d", dir.path().join("good")).unwrap();
    symlink("gone", dir.path().join("bad")).unwrap();
    let root = root_with(dir.path(), Symlinks::Follow);
    for absent in ["good/y", "y", "d/y/z", "good/x/z"] {
        assert_eq!(read::look_up(&root, &key(absent)).unwrap(), None, "{absent}");
    }
    for unknown in ["bad", "bad/x", "bad/x/y"] {
        assert_eq!(read::look_up(&root, &key(unknown)).unwrap_err().cause, Cause::Refused, "{unknown}");
    }
    let root = root_with(dir.path(), Symlinks::Store);
    for absent in ["bad", "bad/x", "good", "good/x"] {
        assert_eq!(read::look_up(&root, &key(absent)).unwrap(), None, "{absent}");
    }
    assert_eq!(read::look_up(&root, &key("bad.rclonelink")).unwrap().unwrap().size, 4);
}

#[test]
fn the_text_of_a_link_is_of_the_version_that_was_seen() {
    let dir = tree(&["x"]);
    let at = dir.path().join("l");
    symlink("x", &at).unwrap();
    let root = root_with(dir.path(), Symlinks::Store);
    let pool = Pool::new();
    let seen = version_of(&root, "l.rclonelink");
    let Content::Whole { bytes, .. } = read::open(&root, &key("l.rclonelink"), &seen, &pool).unwrap() else {
        panic!("a text comes as a whole")
    };
    assert_eq!(&bytes[..], b"x");
    replace("y", &at);
    assert_eq!(read::open(&root, &key("l.rclonelink"), &seen, &pool).unwrap_err().cause, Cause::Changed);
    let results = delete::delete(&root, &[(key("l.rclonelink"), seen)]);
    assert_eq!(results[0].as_ref().unwrap_err().cause, Cause::Precondition);
    assert!(at.symlink_metadata().is_ok());
}

#[test]
fn a_link_that_never_got_its_name_is_noted_under_every_policy() {
    let dir = tree(&["x"]);
    let name = tidy::temp_name();
    symlink("x", dir.path().join(&name)).unwrap();
    for links in [Symlinks::Skip, Symlinks::Store] {
        let (sender, _items) = mpsc::channel(100);
        let leftovers = Leftovers::default();
        scan::walk(&root_with(dir.path(), links), None, &Arc::default(), &leftovers, sender);
        assert_eq!(leftovers.noted(), std::slice::from_ref(&name), "{links:?}");
    }
}
