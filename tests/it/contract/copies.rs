//! Copies inside a replica, and their preconditions on either key.

use mediasync::model::{DigestKind, Entry, Expect};
use mediasync::replica::{Cause, Replica};

use super::Subject;
use super::changes::wrong_version;
use super::looks::look;
use super::reads::content;
use crate::s3_replica::{Putter, cause, key};

cases! {
    Copying: "a copy has the content and the time of its source, which stays" => copies,
    Copying: "a copy has the digests of its source" => digests,
    Copying: "a copy of an empty file is there" => copies_empty,
    Copying: "a copy is refused where something is, and changes nothing" => occupied,
    Copying: "a copy of another version is refused, and makes nothing" => wrong_source,
    Copying: "a copy of what is gone is refused, and makes nothing" => no_source,
    Copying: "a copy over another version is refused, and what was there stays" => wrong_target,
    Copying: "a copy over the version that is there replaces it" => replaces,
    NotCopying: "where nothing can be copied, that is Unsupported, and nothing is made" => unsupported,
}

const FROM: &str = "copy/from + ü";

async fn source(replica: &dyn Replica) -> Entry {
    Putter::new().create(replica, FROM, b"content").await.unwrap()
}

async fn copy(
    subject: &Subject,
    source: &Entry,
    to: &str,
    expect: &Expect,
) -> Result<Entry, mediasync::replica::Error> {
    let putter = Putter::new();
    let put = putter.as_put(expect, &source.digests, None);
    subject.replica().copy(&key(FROM), &source.version, &key(to), &put).await
}

async fn copies(subject: &Subject) {
    let replica = subject.replica();
    let source = source(replica).await;
    let copied = copy(subject, &source, "copy/to", &Expect::Absent).await.unwrap();
    let found = look(replica, "copy/to").await;
    assert_eq!((&found.version, found.size), (&copied.version, source.size));
    assert_eq!(content(replica, "copy/to").await, b"content");
    assert_eq!(look(replica, FROM).await.version, source.version, "the source stays");
    assert_eq!(found.modified_ns, Some(1_700_000_000_250_000_000));
}

async fn digests(subject: &Subject) {
    let source = source(subject.replica()).await;
    copy(subject, &source, "copy/to", &Expect::Absent).await.unwrap();
    let found = look(subject.replica(), "copy/to").await;
    // A bucket tells our digest from a look alone.
    if subject.stores_objects() {
        assert!(source.digests.get(DigestKind::Blake3).is_some());
        assert_eq!(found.digests.get(DigestKind::Blake3), source.digests.get(DigestKind::Blake3));
    }
    // An ETag shows no difference.
    for digest in found.digests.iter().filter(|digest| digest.kind != DigestKind::EtagMd5) {
        let of_source = look(subject.replica(), FROM).await.digests.get(digest.kind).cloned();
        assert!(of_source.is_none_or(|of_source| of_source == *digest), "{digest:?}");
    }
}

async fn copies_empty(subject: &Subject) {
    let source = Putter::new().create(subject.replica(), FROM, b"").await.unwrap();
    copy(subject, &source, "copy/to", &Expect::Absent).await.unwrap();
    assert_eq!(content(subject.replica(), "copy/to").await, b"");
}

async fn occupied(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let source = source(replica).await;
    let other = putter.create(replica, "copy/to", b"theirs").await.unwrap();
    assert_eq!(cause(copy(subject, &source, "copy/to", &Expect::Absent).await), Cause::Precondition);
    assert_eq!(look(replica, "copy/to").await.version, other.version);
    assert_eq!(content(replica, "copy/to").await, b"theirs");
}

async fn wrong_source(subject: &Subject) {
    let source = source(subject.replica()).await;
    let source = Entry { version: wrong_version(), ..source };
    assert_eq!(cause(copy(subject, &source, "copy/to", &Expect::Absent).await), Cause::Precondition);
    assert_eq!(subject.replica().look_up(&key("copy/to")).await, Ok(None));
}

async fn no_source(subject: &Subject) {
    let replica = subject.replica();
    let source = source(replica).await;
    assert_eq!(replica.delete(&[(key(FROM), source.version.clone())]).await, [Ok(())]);
    assert_eq!(cause(copy(subject, &source, "copy/to", &Expect::Absent).await), Cause::Precondition);
    assert_eq!(replica.look_up(&key("copy/to")).await, Ok(None));
}

async fn wrong_target(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let source = source(replica).await;
    putter.create(replica, "copy/over", b"to be replaced").await.unwrap();
    for (to, is_there) in [("copy/over", true), ("copy/none", false)] {
        let refused = copy(subject, &source, to, &Expect::Version(wrong_version())).await;
        assert_eq!(cause(refused), Cause::Precondition, "{to}");
        assert_eq!(replica.look_up(&key(to)).await.unwrap().is_some(), is_there, "{to}");
    }
    assert_eq!(content(replica, "copy/over").await, b"to be replaced");
}

async fn replaces(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let source = source(replica).await;
    let other = putter.create(replica, "copy/over", b"to be replaced").await.unwrap();
    let copied = copy(subject, &source, "copy/over", &Expect::Version(other.version)).await.unwrap();
    assert_eq!(look(replica, "copy/over").await.version, copied.version);
    assert_eq!(content(replica, "copy/over").await, b"content");
}

async fn unsupported(subject: &Subject) {
    let source = source(subject.replica()).await;
    assert_eq!(cause(copy(subject, &source, "copy/to", &Expect::Absent).await), Cause::Unsupported);
    assert_eq!(subject.replica().look_up(&key("copy/to")).await, Ok(None));
}
