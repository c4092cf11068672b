//! Names that servers, clients and file systems get wrong.

use mediasync::model::{Expect, Key};
use mediasync::replica::Cause;

use super::looks::{look, present_keys};
use super::reads::content;
use super::{Behind, Subject};
use crate::s3_replica::{Putter, cause, key, whole};

cases! {
    Any: "names with blanks, plus and percent signs are kept apart" => group::<0>,
    Any: "names with the signs of queries and of quoting are kept apart" => group::<1>,
    Any: "names with control characters are kept apart" => group::<2>,
    Any: "names with brackets and other signs are kept apart" => group::<3>,
    Any: "names in other scripts, in either normal form, are kept apart" => group::<4>,
    Any: "names with blanks at their ends and with dots are kept apart" => group::<5>,
    Any: "names that are the beginning of others are kept apart" => group::<6>,
    Any: "names that differ by case are kept apart" => group::<7>,
    Any: "names twenty directories deep are kept" => group::<8>,
    Any: "a name as long as it may be is kept" => longest,
    Any: "a longer name is refused before anything is sent" => too_long,
    Any: "names that begin with .mediasync are refused" => reserved,
    NotDirectory: "a name that was only the beginning of others can be taken" => former_folder,
}

/// Pairs of look-alikes are both there: `é` in both normal forms, `+` and a blank, `%2B` and `+`.
const GROUPS: [&[&str]; 9] = [
    &["plain", "with blank", "with+plus", "with%2Bpercent", "100%", "%"],
    &["hash#tag", "question?mark=1&x=2", "quote\"s 'both' `kinds`", "back\\slash", "<angle>&amp;"],
    &["new\nline", "tab\tulator", "bell\u{7}"],
    &["semi;colon,comma:colon", "[brackets]{braces}|pipe^caret~tilde", "*star", "$dollar!bang@at(paren)"],
    &["emoji/😀 family 👨‍👩‍👧", "nfc/caf\u{e9}", "nfd/cafe\u{301}", "caf\u{e9}", "cafe\u{301}", "rtl/\u{202e}gnp.exe"],
    &[" leading and trailing ", "dot.", "...", ".hidden"],
    &["a", "a-b", "a.txt", "a/x"],
    &["Case", "case"],
    &["deep/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20"],
];

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static str> {
    GROUPS.into_iter().flatten().copied()
}

/// Each is stored, read, listed, copied, replaced and deleted under exactly its name.
async fn group<const GROUP: usize>(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let mut stored = Vec::new();
    let mut refused = Vec::new();
    for name in GROUPS[GROUP] {
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
    let expected = GROUPS[GROUP].iter().copied().filter(|name| subject.expected.refused.contains(name));
    assert_eq!(refused, expected.collect::<Vec<_>>(), "names that can't be stored");
    for name in &stored {
        assert_eq!(content(replica, name).await, name.as_bytes(), "{name:?}");
    }
    stored.sort_unstable();
    let mut listed = present_keys(replica, None).await;
    listed.sort_unstable();
    assert_eq!(listed, stored);
    for name in &stored {
        assert!(present_keys(replica, Some(name)).await.iter().any(|found| found == name), "only {name:?}");
        let old = look(replica, name).await;
        let new = whole(format!("new {name}"));
        putter.put(replica, name, &new, &Expect::Version(old.version), None).await.unwrap();
    }
    if subject.can(|can| can.copy) {
        for name in &stored {
            let old = look(replica, name).await;
            let to = format!("copies/{}", name.replace('/', "_"));
            let put = putter.as_put(&Expect::Absent, &old.digests, None);
            replica.copy(&key(name), &old.version, &key(&to), &put).await.unwrap();
            assert_eq!(content(replica, &to).await, format!("new {name}").as_bytes(), "{to:?}");
        }
    }
    let mut batch: Vec<(Key, _)> = Vec::new();
    for name in &stored {
        batch.push((key(name), look(replica, name).await.version));
    }
    let deleted = replica.delete(&batch).await;
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    for name in &stored {
        assert_eq!(replica.look_up(&key(name)).await, Ok(None), "{name:?}");
    }
}

/// Components of 200 bytes: most file systems end at 255.
fn long(len: usize) -> String {
    let mut name = format!("{}/", "é".repeat(100)).repeat(len / 201 + 1);
    name.truncate(name.floor_char_boundary(len - 1));
    let missing = len - name.len();
    name.push_str(&"x".repeat(missing));
    assert_eq!(name.len(), len);
    name
}

fn limit(subject: &Subject) -> usize {
    (1..=4095).rev().find(|len| subject.replica().accepts(&key(&long(*len))).is_ok()).unwrap()
}

async fn longest(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let limit = limit(subject);
    match &subject.behind {
        Behind::Memory(..) => assert_eq!(limit, 1024),
        Behind::Directory(..) => assert_eq!(limit, 4095),
        Behind::Container(container) => {
            assert_eq!(long(limit).chars().count() + container.address.prefix.len() + 1, 1024);
        }
        Behind::Bucket(bucket) => assert_eq!(limit, 1024 - bucket.address.prefix.len() - 1),
    }
    let longest = long(limit);
    putter.create(replica, &longest, b"long").await.unwrap();
    assert_eq!(content(replica, &longest).await, b"long");
    assert_eq!(present_keys(replica, None).await, [longest.as_str()]);
}

async fn too_long(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let longer = long(limit(subject) + 1);
    assert!(replica.accepts(&key(&longer)).is_err());
    assert_eq!(cause(putter.create(replica, &longer, b"long").await), Cause::Refused);
    assert_eq!((putter.meter.bytes(), present_keys(replica, None).await), (0, vec![]));
}

async fn reserved(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    for reserved in [".mediasync/id", "a/.mediasync-x"] {
        assert!(replica.accepts(&key(reserved)).is_err(), "{reserved}");
        assert_eq!(cause(putter.create(replica, reserved, b"x").await), Cause::Refused, "{reserved}");
    }
}

async fn former_folder(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let inside = key("taken/inside");
    let entry = putter.create(replica, inside.as_str(), b"1").await.unwrap();
    assert_eq!(replica.delete(&[(inside, entry.version)]).await, [Ok(())]);
    putter.create(replica, "taken", b"small").await.unwrap();
    assert_eq!(content(replica, "taken").await, b"small");
}
