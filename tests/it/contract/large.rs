//! Content in parts: stored, replaced and copied as a whole or not at all.

use std::sync::Arc;

use mediasync::model::{DigestKind, Entry, Expect};
use mediasync::replica::{Cause, Content, PartHashes};

use super::Subject;
use super::changes::wrong_version;
use super::looks::{look, present};
use super::reads::content;
use crate::s3_replica::{Memory, Putter, cause, key, whole};

cases! {
    Any: "content in parts is stored as a whole, and nothing is under way afterwards" => stores,
    Any: "a listing shows content in parts with the size, version and digest that it is known to give" => listed,
    Any: "a put in parts is refused where something is, and leaves no upload" => occupied,
    Any: "a put in parts over another version is refused, and what was there stays" => wrong,
    Parts: "the small takes the place of what was stored in parts, and the other way round" => replaces,
    CopyingParts: "a copy of content in parts has its size and our digest" => copies,
    StuckParts: "what stops an overwrite or a copy of content in parts changes nothing" => stuck,
    NotDirectory: "content in parts takes a name that was only the beginning of others" => former_folder,
    CopyingFlat: "a copy takes a name that was only the beginning of others" => former_folder_copied,
}

/// Bytes of the last of three parts.
pub(super) const LAST: u64 = 50_003;

/// Three parts that no other seed shares.
pub(super) fn bytes(subject: &Subject, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(2 * subject.part + LAST).unwrap()];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

/// The same, as a source, with the digests of its parts.
pub(super) fn source(subject: &Subject, seed: u8) -> (Arc<Memory>, PartHashes) {
    let memory = Memory::new(bytes(subject, seed));
    let hashes = memory.hashes(subject.part);
    (memory, hashes)
}

const NAME: &str = "large.bin";

async fn stored(subject: &Subject, putter: &Putter, seed: u8) -> Entry {
    let (memory, hashes) = source(subject, seed);
    let large = Content::Pieces(memory);
    putter.put(subject.replica(), NAME, &large, &Expect::Absent, Some(&hashes)).await.unwrap()
}

async fn stores(subject: &Subject) {
    let putter = Putter::new();
    let entry = stored(subject, &putter, 0).await;
    let bytes = bytes(subject, 0);
    assert_eq!((putter.meter.bytes(), entry.size), (bytes.len() as u64, bytes.len() as u64));
    assert!(putter.journal.lines.lock().unwrap().is_empty());
    assert_eq!(look(subject.replica(), NAME).await.version, entry.version);
    assert!(content(subject.replica(), NAME).await == bytes);
}

async fn listed(subject: &Subject) {
    let entry = stored(subject, &Putter::new(), 0).await;
    let all = present(subject.replica(), None).await;
    let (_, found) = all.iter().find(|(key, _)| key.as_str() == NAME).unwrap();
    assert_eq!((found.size, &found.version), (entry.size, &entry.version));
    let kinds: Vec<_> = found.digests.iter().map(|digest| digest.kind).collect();
    assert_eq!(kinds.first().copied(), subject.expected.listed.1);
}

async fn occupied(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let there = putter.create(replica, NAME, b"there").await.unwrap();
    let (memory, hashes) = source(subject, 0);
    let again = putter.put(replica, NAME, &Content::Pieces(memory), &Expect::Absent, Some(&hashes)).await;
    assert_eq!(cause(again), Cause::Precondition);
    assert_eq!(look(replica, NAME).await.version, there.version);
    assert!(putter.journal.lines.lock().unwrap().is_empty(), "refused uploads are aborted");
}

async fn wrong(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let entry = stored(subject, &putter, 0).await;
    let (memory, hashes) = source(subject, 1);
    let other = Content::Pieces(memory);
    for expect in [Expect::Version(wrong_version()), Expect::Absent] {
        assert_eq!(cause(putter.put(replica, NAME, &other, &expect, Some(&hashes)).await), Cause::Precondition);
        assert_eq!(look(replica, NAME).await.version, entry.version);
    }
    assert!(putter.journal.lines.lock().unwrap().is_empty(), "refused uploads are aborted");
    assert!(content(replica, NAME).await == bytes(subject, 0));
}

async fn replaces(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let entry = stored(subject, &putter, 0).await;
    let entry = putter.put(replica, NAME, &whole("small"), &Expect::Version(entry.version), None).await.unwrap();
    assert_eq!(content(replica, NAME).await, b"small");
    let (memory, hashes) = source(subject, 1);
    let expect = Expect::Version(entry.version);
    putter.put(replica, NAME, &Content::Pieces(memory), &expect, Some(&hashes)).await.unwrap();
    assert!(content(replica, NAME).await == bytes(subject, 1));
}

async fn copies(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let entry = stored(subject, &putter, 0).await;
    let put = putter.as_put(&Expect::Absent, &entry.digests, None);
    let copied = replica.copy(&key(NAME), &entry.version, &key("copy.bin"), &put).await.unwrap();
    let found = look(replica, "copy.bin").await;
    assert_eq!((&found.version, found.size), (&copied.version, entry.size));
    if subject.stores_objects() {
        assert!(entry.digests.get(DigestKind::Blake3).is_some());
        assert_eq!(found.digests.get(DigestKind::Blake3), entry.digests.get(DigestKind::Blake3));
    }
    assert!(putter.journal.lines.lock().unwrap().is_empty());
    assert!(content(replica, "copy.bin").await == bytes(subject, 0));
}

async fn stuck(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let why = subject.expected.parts_are_stuck.expect("a case for those that are");
    let entry = stored(subject, &putter, 0).await;
    let put = putter.as_put(&Expect::Absent, &entry.digests, None);
    let copied = replica.copy(&key(NAME), &entry.version, &key("copy.bin"), &put).await.unwrap_err();
    assert!(copied.message.contains(why), "{copied}");
    assert_eq!(replica.look_up(&key("copy.bin")).await, Ok(None));
    let expect = Expect::Version(entry.version.clone());
    let replaced = putter.put(replica, NAME, &whole("small"), &expect, None).await.unwrap_err();
    assert!(replaced.message.contains(why), "{replaced}");
    assert_eq!(look(replica, NAME).await.version, entry.version);
    assert!(content(replica, NAME).await == bytes(subject, 0));
}

/// An object below a name comes and goes.
async fn folder_comes_and_goes(subject: &Subject, name: &str) {
    let inside = key(&format!("{name}/inside"));
    let entry = Putter::new().create(subject.replica(), inside.as_str(), b"1").await.unwrap();
    assert_eq!(subject.replica().delete(&[(inside, entry.version)]).await, [Ok(())]);
}

async fn former_folder(subject: &Subject) {
    folder_comes_and_goes(subject, NAME).await;
    stored(subject, &Putter::new(), 3).await;
    assert!(content(subject.replica(), NAME).await == bytes(subject, 3));
}

async fn former_folder_copied(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let small = putter.create(replica, "small", b"small").await.unwrap();
    folder_comes_and_goes(subject, "copied").await;
    let put = putter.as_put(&Expect::Absent, &small.digests, None);
    replica.copy(&key("small"), &small.version, &key("copied"), &put).await.unwrap();
    assert_eq!(content(replica, "copied").await, b"small");
}
