//! Puts, deletions, and their preconditions.

use futures_util::future::join_all;
use mediasync::model::{Expect, Version};
use mediasync::replica::{Ability, Cause, Content, Error, Replica};

use super::looks::{look, present_keys};
use super::reads::content;
use super::{Behind, Subject};
use crate::s3_replica::{Putter, cause, key, whole};

cases! {
    Any: "a put of a new key is there, with the content that was given" => creates,
    Any: "a put of an empty file is there" => creates_empty,
    Any: "a put of a new key is refused where something is, and changes nothing" => occupied,
    Any: "a put over a version is refused where another one is, and changes nothing" => wrong,
    Any: "a put over a version is refused where nothing is, and makes nothing" => nothing,
    Any: "a put over the version that is there replaces it, and gives another version" => replaces,
    Any: "a version that was replaced can't be replaced again" => stale,
    Any: "content becomes empty and is filled again" => emptied,
    NotMemory: "an overwrite keeps what it does not set" => overwrite_keeps,
    Any: "of many that create one key at once, one wins where the server can see to it" => racing_creations,
    Any: "of many that replace one version at once, one wins where the server can see to it" => racing_overwrites,
    Any: "many keys may be put at once" => many,
    NoParts: "where nothing can be stored in parts, that is refused and nothing is made" => no_parts,
    Any: "a deletion of another version is refused, and the key stays" => deletes_wrong,
    Any: "a deletion of the version that is there takes the key away" => deletes,
    Any: "a deletion leaves the neighbours of its key alone" => neighbours,
    Any: "a batch of deletions gives one result a key, in order, and spares what somebody changed" => batch,
    Any: "a key that is deleted a second time is told as its replica tells it" => twice,
    Any: "a batch of no deletions does nothing" => no_batch,
    Any: "a key that was deleted can be put again, and an older version then deletes nothing" => again,
}

/// The version of nothing that is there, in a form that each replica can read.
pub(super) fn wrong_version() -> Version {
    Version::new("0".repeat(32))
}

async fn creates(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let entry = putter.create(replica, "put/new", b"first").await.unwrap();
    assert_eq!(entry.size, 5);
    assert_eq!(content(replica, "put/new").await, b"first");
    assert_eq!(putter.meter.bytes(), 5, "what is sent is counted");
}

async fn creates_empty(subject: &Subject) {
    let entry = Putter::new().create(subject.replica(), "put/empty", b"").await.unwrap();
    assert_eq!(entry.size, 0);
    assert_eq!(content(subject.replica(), "put/empty").await, b"");
}

async fn occupied(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    for (name, bytes) in [("put/some", b"first".as_slice()), ("put/empty", b"")] {
        let entry = putter.create(replica, name, bytes).await.unwrap();
        assert_eq!(cause(putter.create(replica, name, b"other").await), Cause::Precondition, "{name}");
        assert_eq!(look(replica, name).await.version, entry.version);
        assert_eq!(content(replica, name).await, bytes);
    }
}

async fn wrong(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    for (name, bytes) in [("put/some", b"first".as_slice()), ("put/empty", b"")] {
        let entry = putter.create(replica, name, bytes).await.unwrap();
        let wrong = Expect::Version(wrong_version());
        assert_eq!(cause(putter.put(replica, name, &whole("other"), &wrong, None).await), Cause::Precondition);
        assert_eq!(look(replica, name).await.version, entry.version);
        assert_eq!(content(replica, name).await, bytes);
    }
}

async fn nothing(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let gone = putter.create(replica, "gone", b"x").await.unwrap();
    assert_eq!(replica.delete(&[(key("gone"), gone.version.clone())]).await, [Ok(())]);
    for (name, version) in [("never", wrong_version()), ("gone", gone.version)] {
        let put = putter.put(replica, name, &whole("x"), &Expect::Version(version), None).await;
        assert_eq!(cause(put), Cause::Precondition, "{name}");
        assert_eq!(replica.look_up(&key(name)).await, Ok(None));
    }
}

async fn replaces(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let first = putter.create(replica, "file", b"first").await.unwrap();
    let second = putter.put(replica, "file", &whole("second"), &Expect::Version(first.version.clone()), None).await;
    let second = second.unwrap();
    assert_ne!(second.version, first.version);
    assert_eq!(look(replica, "file").await.version, second.version);
    assert_eq!(content(replica, "file").await, b"second");
}

async fn stale(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let first = putter.create(replica, "file", b"first").await.unwrap();
    let stale = Expect::Version(first.version);
    putter.put(replica, "file", &whole("second"), &stale, None).await.unwrap();
    assert_eq!(cause(putter.put(replica, "file", &whole("third"), &stale, None).await), Cause::Precondition);
    assert_eq!(content(replica, "file").await, b"second");
}

async fn emptied(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let full = putter.create(replica, "file", b"full").await.unwrap();
    let emptied = putter.put(replica, "file", &whole(""), &Expect::Version(full.version), None).await.unwrap();
    assert_eq!((emptied.size, content(replica, "file").await), (0, vec![]));
    putter.put(replica, "file", &whole("last"), &Expect::Version(emptied.version), None).await.unwrap();
    assert_eq!(content(replica, "file").await, b"last");
}

async fn overwrite_keeps(subject: &Subject) {
    use std::os::unix::fs::PermissionsExt;
    let (replica, putter) = (subject.replica(), Putter::new());
    match &subject.behind {
        Behind::Memory(..) => unreachable!("it keeps no such things"),
        Behind::Directory(dir, _) => {
            subject.write("dressed", b"old".as_slice()).await;
            std::fs::set_permissions(dir.path().join("dressed"), std::fs::Permissions::from_mode(0o640)).unwrap();
        }
        Behind::Bucket(bucket) => bucket.raw.dress("dressed", b"old").await,
        Behind::Container(container) => container.raw.dress("dressed", b"old"),
    }
    let old = look(replica, "dressed").await;
    putter.put(replica, "dressed", &whole("new"), &Expect::Version(old.version), None).await.unwrap();
    assert_eq!(content(replica, "dressed").await, b"new");
    let kept = match &subject.behind {
        Behind::Memory(..) => unreachable!("it keeps no such things"),
        Behind::Directory(dir, _) => {
            let mode = std::fs::metadata(dir.path().join("dressed")).unwrap().permissions().mode();
            if mode & 0o777 == 0o640 { vec!["mode"] } else { vec![] }
        }
        Behind::Bucket(bucket) => bucket.raw.dressed("dressed").await,
        Behind::Container(container) => container.raw.dressed("dressed"),
    };
    assert_eq!(kept, subject.expected.kept);
}

/// Whether a racer may end so: told that somebody was faster or, by a server without conditions, that it can't do
/// several at once (rclone answers 500).
fn lost_the_race(replica: &dyn Replica, error: &Error) -> bool {
    let is_conditional = replica.capabilities().conditional_put == Ability::Proven;
    error.cause == Cause::Precondition || (!is_conditional && matches!(error.cause, Cause::Transient { .. }))
}

async fn racing_creations(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let texts: Vec<String> = (0..8).map(|at| format!("racer {at}")).collect();
    let racers = texts.iter().map(|text| putter.create(replica, "race", text.as_bytes()));
    let results = join_all(racers).await;
    let won: Vec<_> = results.iter().zip(&texts).filter(|(result, _)| result.is_ok()).collect();
    for result in &results {
        assert!(result.as_ref().err().is_none_or(|error| lost_the_race(replica, error)), "{result:?}");
    }
    assert!(!won.is_empty());
    if replica.capabilities().conditional_put == Ability::Proven {
        assert_eq!(won.len(), 1, "{results:?}");
        assert_eq!(content(replica, "race").await, won[0].1.as_bytes());
    }
}

async fn racing_overwrites(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let first = putter.create(replica, "race", b"the first").await.unwrap();
    let expect = Expect::Version(first.version);
    let contents: Vec<_> = (0..8).map(|at| whole(format!("racer {at}"))).collect();
    let racers = contents.iter().map(|content| putter.put(replica, "race", content, &expect, None));
    let results = join_all(racers).await;
    for result in &results {
        assert!(result.as_ref().err().is_none_or(|error| lost_the_race(replica, error)), "{result:?}");
    }
    let won: Vec<_> = (0..8).filter(|at| results[*at].is_ok()).map(|at| format!("racer {at}")).collect();
    assert!(!won.is_empty());
    // Without conditions a server may even keep the bytes of one with the metadata of another one: that is told.
    if replica.capabilities().conditional_put != Ability::Proven {
        return;
    }
    let there = String::from_utf8(content(replica, "race").await).unwrap();
    assert!(won.contains(&there), "{there} is there, {won:?} won");
}

async fn many(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let names: Vec<String> = (10..42).map(|at| format!("many/{}/{at}", at % 3)).collect();
    let puts = join_all(names.iter().map(|name| putter.create(replica, name, name.as_bytes()))).await;
    assert!(puts.iter().all(Result::is_ok), "{puts:?}");
    for name in &names {
        assert_eq!(content(replica, name).await, name.as_bytes());
    }
}

async fn no_parts(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let (memory, hashes) = super::large::source(subject, 0);
    let large = Content::Pieces(memory);
    assert_eq!(cause(putter.put(replica, "large.bin", &large, &Expect::Absent, Some(&hashes)).await), Cause::Refused);
    assert_eq!(replica.look_up(&key("large.bin")).await, Ok(None));
    assert_eq!(present_keys(replica, None).await, [] as [&str; 0]);
}

async fn deletes_wrong(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    putter.create(replica, "file", b"1").await.unwrap();
    assert_eq!(cause(replica.delete(&[(key("file"), wrong_version())]).await.remove(0)), Cause::Precondition);
    assert_eq!(content(replica, "file").await, b"1");
}

async fn deletes(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let put = putter.create(replica, "dir/file", b"1").await.unwrap();
    assert_eq!(replica.delete(&[(key("dir/file"), put.version)]).await, [Ok(())]);
    assert_eq!(replica.look_up(&key("dir/file")).await, Ok(None));
    assert_eq!(present_keys(replica, None).await, [] as [&str; 0]);
}

async fn neighbours(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    for name in ["dir/a", "dir/a-b", "dir/ab", "dir/b/a", "dirb/a"] {
        putter.create(replica, name, b"1").await.unwrap();
    }
    let version = look(replica, "dir/a").await.version;
    assert_eq!(replica.delete(&[(key("dir/a"), version)]).await, [Ok(())]);
    let mut left = present_keys(replica, None).await;
    left.sort_unstable();
    assert_eq!(left, ["dir/a-b", "dir/ab", "dir/b/a", "dirb/a"]);
}

async fn batch(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let mut batch = Vec::new();
    for at in 0..7 {
        let name = format!("delete/{at}");
        batch.push((key(&name), putter.create(replica, &name, name.as_bytes()).await.unwrap().version));
    }
    assert_eq!(replica.delete(&batch[..1]).await, [Ok(())]);
    subject.write("delete/3", b"somebody else's".as_slice()).await;
    let results = replica.delete(&batch).await;
    let causes: Vec<_> = results.iter().map(|result| result.as_ref().err().map(|error| error.cause)).collect();
    let mut expected = vec![None; 7];
    (expected[0], expected[3]) = (subject.expected.gone, Some(Cause::Precondition));
    assert_eq!(causes, expected);
    assert_eq!(present_keys(replica, None).await, ["delete/3"]);
    assert_eq!(content(replica, "delete/3").await, b"somebody else's");
}

async fn twice(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let put = putter.create(replica, "file", b"1").await.unwrap();
    let batch = [(key("file"), put.version)];
    assert_eq!(replica.delete(&batch).await, [Ok(())]);
    let again = replica.delete(&batch).await.remove(0);
    assert_eq!(again.err().map(|error| error.cause), subject.expected.gone_alone);
}

async fn no_batch(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    putter.create(replica, "file", b"1").await.unwrap();
    assert!(replica.delete(&[]).await.is_empty());
    assert_eq!(present_keys(replica, None).await, ["file"]);
}

async fn again(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let first = putter.create(replica, "file", b"first").await.unwrap();
    assert_eq!(replica.delete(&[(key("file"), first.version.clone())]).await, [Ok(())]);
    putter.create(replica, "file", b"second").await.unwrap();
    assert_eq!(cause(replica.delete(&[(key("file"), first.version)]).await.remove(0)), Cause::Precondition);
    assert_eq!(content(replica, "file").await, b"second");
}
