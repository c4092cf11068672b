//! Names: whatever a disk holds arrives under the same bytes, or is told as a problem while the rest goes on.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use crate::support::s3::ListingOrder;
use crate::support::sandbox::{PREFIX, Sandbox};

const HARD: [&str; 26] = [
    "a b.jpg",
    " leading and trailing ",
    "100%.jpg",
    "%2F.jpg",
    "a+b.jpg",
    "a#b.jpg",
    "a?b=c&d.jpg",
    "it's.jpg",
    "\"double\".jpg",
    "new\nline.jpg",
    "tab\tand\u{1}control.jpg",
    "emoji \u{1F600}.jpg",
    "nfc \u{e9}.jpg",
    "nfd e\u{301}.jpg",
    "a",
    "a-b",
    "a.txt",
    "back\\slash.jpg",
    "<xml>&amp;.jpg",
    "*?[glob]{a,b}.jpg",
    "~tilde",
    "-rf",
    "semi;colon|pipe$HOME`x`",
    "...",
    "\u{202e}rtl.jpg",
    "\u{10ffff}.jpg",
];

#[test]
fn hard_names_arrive_as_they_are() {
    for order in [ListingOrder::Bytes, ListingOrder::Components] {
        let sandbox = Sandbox::new();
        sandbox.server.quirks(|quirks| quirks.listing_order = order);
        for (n, name) in HARD.iter().enumerate() {
            sandbox.write(name, format!("{n}"));
            if *name != "a" {
                sandbox.write(&format!("dir {name}/{name}"), format!("deep {n}"));
            }
        }
        let ran = sandbox.push(&["--delete", "-v"]).exits(0);
        assert!(!ran.all().contains('\u{1}') && !ran.all().contains('\u{202e}'), "raw control characters: {ran:?}");
        sandbox.assert_equal();
        sandbox.assert_second_run_does_nothing(&["--delete"]);
        // Copied inside the bucket: names travel in a header there.
        for name in HARD.iter().filter(|name| **name != "a") {
            fs::rename(sandbox.media(&format!("dir {name}")), sandbox.media(&format!("moved {name}"))).unwrap();
        }
        sandbox.push(&["--delete"]).exits(0);
        sandbox.assert_equal();
        for name in HARD {
            sandbox.remove(name);
        }
        sandbox.push(&["--delete", "--max-delete", "26"]).exits(0);
        sandbox.assert_equal();
        sandbox.assert_second_run_does_nothing(&["--delete"]);
    }
}

#[test]
fn siblings_that_sort_around_a_slash_are_not_confused() {
    let sandbox = Sandbox::with(&[("a/x", "1"), ("a-b", "2"), ("a.txt", "3"), ("a0", "4")]);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.assert_equal();
    sandbox.assert_second_run_does_nothing(&["--delete"]);
}

#[test]
fn a_name_in_the_other_normal_form_is_neither_sent_nor_deleted() {
    let (nfc, nfd) = ("caf\u{e9}.jpg", "cafe\u{301}.jpg");
    let sandbox = Sandbox::with(&[(nfd, "coffee"), ("b.jpg", "b")]);
    sandbox.put(nfc, "coffee");
    sandbox.push(&["--delete"]).exits(0);
    let keys: Vec<String> = sandbox.remote().into_keys().collect();
    assert_eq!(keys, ["b.jpg", nfc]);
    sandbox.assert_second_run_does_nothing(&["--delete"]);
    let other = Sandbox::with(&[(nfd, "coffee")]);
    other.put(nfc, "tea");
    other.push(&["--delete"]).exits(3).says(&["problem"]);
    let keys: Vec<String> = other.remote().into_keys().collect();
    assert_eq!(keys, [nfc]);
}

/// A name of `bytes` bytes in components that every file system takes.
fn long(bytes: usize) -> String {
    let mut name = "d".repeat(200) + "/";
    while name.len() + 201 < bytes {
        name = name.clone() + &"d".repeat(200) + "/";
    }
    let rest = bytes - name.len();
    name + &"f".repeat(rest)
}

#[test]
fn a_key_may_have_1024_bytes_with_the_prefix() {
    let sandbox = Sandbox::with(&[("rest.jpg", "rest")]);
    let (fits, too_long) = (long(1024 - PREFIX.len()), long(1025 - PREFIX.len()));
    assert_eq!((fits.len() + PREFIX.len(), too_long.len() + PREFIX.len()), (1024, 1025));
    sandbox.write(&fits, "fits");
    sandbox.write(&too_long, "too long");
    sandbox.push(&["--delete"]).exits(3).says(&["problem", "1024", "(name)"]);
    let keys: Vec<String> = sandbox.remote().into_keys().collect();
    assert_eq!(keys, [fits, "rest.jpg".to_owned()]);
    sandbox.assert_idle(&["--delete"], 3);
}

#[test]
fn a_name_that_is_not_utf_8_is_a_problem_and_the_rest_goes_on() {
    let sandbox = Sandbox::with(&[("rest.jpg", "rest")]);
    fs::write(sandbox.path("media").join(OsStr::from_bytes(b"caf\xe9.jpg")), "latin 1").unwrap();
    fs::create_dir(sandbox.path("media").join(OsStr::from_bytes(b"d\xff"))).unwrap();
    fs::write(sandbox.path("media").join(OsStr::from_bytes(b"d\xff/x")), "below").unwrap();
    sandbox.push(&["--delete"]).exits(3).says(&["UTF-8"]);
    let keys: Vec<String> = sandbox.remote().into_keys().collect();
    assert_eq!(keys, ["rest.jpg"]);
    sandbox.assert_idle(&["--delete"], 3);
}

#[test]
fn our_own_names_are_never_sent_or_listed_as_theirs() {
    let sandbox =
        Sandbox::with(&[(".mediasync/id", "fake"), (".mediasync-x/y", "z"), ("MANIFEST", "m"), ("sub/MANIFEST", "s")]);
    sandbox.push(&["--delete"]).exits(0);
    let keys: Vec<String> = sandbox.remote().into_keys().collect();
    assert_eq!(keys, ["sub/MANIFEST"]);
    assert_ne!(&sandbox.content(".mediasync/id")[..], b"fake");
}
