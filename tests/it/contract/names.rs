//! Names that servers, clients and file systems get wrong.

use mediasync::model::Expect;
use mediasync::replica::Cause;

use super::Subject;
use super::changes::content;
use super::looks::{empty, present_keys};
use crate::s3_replica::{Putter, cause, key, whole};

/// Pairs of look-alikes are both there: `é` in both normal forms, `+` and a blank, `%2B` and `+`.
pub(crate) const NAMES: &[&str] = &[
    "plain",
    "with blank",
    "with+plus",
    "with%2Bpercent",
    "100%",
    "%",
    "hash#tag",
    "question?mark=1&x=2",
    "quote\"s 'both' `kinds`",
    "back\\slash",
    "new\nline",
    "tab\tulator",
    "<angle>&amp;",
    "semi;colon,comma:colon",
    "[brackets]{braces}|pipe^caret~tilde",
    "*star",
    "$dollar!bang@at(paren)",
    "emoji/😀 family 👨‍👩‍👧",
    "nfc/caf\u{e9}",
    "nfd/cafe\u{301}",
    "caf\u{e9}",
    "cafe\u{301}",
    "rtl/\u{202e}gnp.exe",
    "bell\u{7}",
    " leading and trailing ",
    "dot.",
    "...",
    ".hidden",
    "a",
    "a-b",
    "a.txt",
    "a/x",
    "Case",
    "case",
    "deep/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20",
];

/// Each is stored, read, listed, copied, replaced and deleted under exactly its name.
pub(super) async fn hard_names(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    empty(replica).await;
    let mut stored = Vec::new();
    let mut refused = Vec::new();
    for name in NAMES {
        // A directory can't hold a file and a directory of one name.
        if *name == "a" && !subject.is_flat() {
            continue;
        }
        match putter.create(replica, name, name.as_bytes()).await {
            Ok(_) => stored.push(*name),
            Err(error) => {
                println!("{name:?}: {error}");
                refused.push(*name);
            }
        }
    }
    assert_eq!(refused, subject.expected.refused, "names that can't be stored");
    for name in &stored {
        assert_eq!(content(replica, name).await, name.as_bytes(), "{name:?}");
    }
    stored.sort_unstable();
    let mut listed = present_keys(replica, None).await;
    listed.sort_unstable();
    assert_eq!(listed, stored);
    for name in &stored {
        assert!(present_keys(replica, Some(name)).await.iter().any(|found| found == name), "only {name:?}");
        let old = replica.look_up(&key(name)).await.unwrap().unwrap();
        let new = whole(format!("new {name}"));
        putter.put(replica, name, &new, &Expect::Version(old.version), None).await.unwrap();
    }
    if subject.can(|can| can.copy) {
        for name in &stored {
            let old = replica.look_up(&key(name)).await.unwrap().unwrap();
            let to = format!("copies/{}", name.replace('/', "_"));
            let put = putter.as_put(&Expect::Absent, &old.digests, None);
            replica.copy(&key(name), &old.version, &key(&to), &put).await.unwrap();
            assert_eq!(content(replica, &to).await, format!("new {name}").as_bytes(), "{to:?}");
        }
    }
    empty(replica).await;
}

/// A name as long as it may be is stored; a longer one is refused before anything is sent.
pub(super) async fn limits(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    // Components of 200 bytes: most file systems end at 255.
    let long = |len: usize| {
        let mut name = format!("{}/", "é".repeat(100)).repeat(len / 201 + 1);
        name.truncate(name.floor_char_boundary(len - 1));
        let missing = len - name.len();
        name.push_str(&"x".repeat(missing));
        assert_eq!(name.len(), len);
        name
    };
    let limit = (1..=4095).rev().find(|len| replica.accepts(&key(&long(*len))).is_ok()).unwrap();
    match &subject.behind {
        super::Behind::Memory(_) => assert_eq!(limit, 1024),
        super::Behind::Directory(_) => assert_eq!(limit, 4095),
        super::Behind::Bucket(_, address, _) => assert_eq!(limit, 1024 - address.prefix.len() - 1),
    }
    let longest = long(limit);
    putter.create(replica, &longest, b"long").await.unwrap();
    assert_eq!(content(replica, &longest).await, b"long");
    assert_eq!(present_keys(replica, None).await, [longest.as_str()]);
    let longer = long(limit + 1);
    assert!(replica.accepts(&key(&longer)).is_err());
    assert_eq!(cause(putter.create(replica, &longer, b"long").await), Cause::Refused);
    for reserved in [".mediasync/id", "a/.mediasync-x"] {
        assert!(replica.accepts(&key(reserved)).is_err(), "{reserved}");
        assert_eq!(cause(putter.create(replica, reserved, b"x").await), Cause::Refused, "{reserved}");
    }
    empty(replica).await;
}
