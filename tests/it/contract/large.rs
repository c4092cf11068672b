//! Content in parts: stored as a whole or not at all, resumed, cleaned up.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mediasync::model::{DigestKind, Entry, Expect, Version};
use mediasync::replica::{Cause, Content, Error, Journal, Pieces, Upload};

use super::changes::content;
use super::expected::Claims;
use super::looks::{empty, present};
use super::{Behind, Subject};
use crate::s3_replica::{Memory, Putter, cause, key};

/// What we send.
const PART: u64 = 8 << 20;
const LAST: u64 = 500_003;

/// Three parts that no other seed shares.
fn bytes(seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(2 * PART + LAST).unwrap()];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

pub(super) async fn parts(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let bytes = bytes(0);
    let memory = Memory::new(bytes.clone());
    let hashes = memory.hashes(PART);
    let large = Content::Pieces(memory);
    let entry = putter.put(replica, "large.bin", &large, &Expect::Absent, Some(&hashes)).await.unwrap();
    assert_eq!((putter.meter.bytes(), entry.size), (bytes.len() as u64, bytes.len() as u64));
    assert!(putter.journal.lines.lock().unwrap().is_empty(), "nothing is under way any more");
    assert!(content(replica, "large.bin").await == bytes);
    let Content::Pieces(opened) = replica.open(&key("large.bin"), &entry.version).await.unwrap() else {
        panic!("large content is opened in pieces")
    };
    for (offset, len) in [(0, 1), (PART - 1, 2), (2 * PART, 500_003)] {
        let at = usize::try_from(offset).unwrap();
        assert_eq!(opened.read(offset, len).await.unwrap(), bytes[at..at + len]);
    }
    assert_eq!(cause(opened.read(2 * PART + LAST - 1, 2).await), Cause::Changed, "the content ends earlier");
    let all = present(replica, None).await;
    let (_, found) = all.iter().find(|(key, _)| key.as_str() == "large.bin").unwrap();
    assert_eq!((found.size, &found.version), (entry.size, &entry.version));
    let kinds: Vec<_> = found.digests.iter().map(|digest| digest.kind).collect();
    assert_eq!(kinds.first().copied(), subject.expected.listed.1);
    // Preconditions hold for parts as well, and what was there stays.
    let again = putter.put(replica, "large.bin", &large, &Expect::Absent, Some(&hashes)).await;
    assert_eq!(cause(again), Cause::Precondition);
    let wrong = Expect::Version(Version::new("0".repeat(32)));
    assert_eq!(cause(putter.put(replica, "large.bin", &large, &wrong, Some(&hashes)).await), Cause::Precondition);
    assert_eq!(replica.look_up(&key("large.bin")).await.unwrap().unwrap().version, entry.version);
    assert!(putter.journal.lines.lock().unwrap().is_empty(), "refused uploads are aborted");
    if let Some(why) = subject.expected.parts_are_stuck {
        stuck(subject, &entry, why).await;
        empty(replica).await;
        return;
    }
    copy(subject, &entry).await;
    // The small takes the place of the large, and the other way round.
    let small = crate::s3_replica::whole("small");
    let expect = Expect::Version(entry.version);
    let entry = putter.put(replica, "large.bin", &small, &expect, None).await.unwrap();
    assert_eq!(content(replica, "large.bin").await, b"small");
    let expect = Expect::Version(entry.version);
    putter.put(replica, "large.bin", &large, &expect, Some(&hashes)).await.unwrap();
    assert!(content(replica, "large.bin").await == bytes);
    empty(replica).await;
}

async fn copy(subject: &Subject, entry: &Entry) {
    let (replica, putter) = (subject.replica(), Putter::new());
    if !subject.can(|can| can.copy) {
        return;
    }
    let put = putter.as_put(&Expect::Absent, &entry.digests, None);
    let copied = replica.copy(&key("large.bin"), &entry.version, &key("large-copy.bin"), &put).await;
    let copied = copied.unwrap();
    let found = replica.look_up(&key("large-copy.bin")).await.unwrap().unwrap();
    assert_eq!((&found.version, found.size), (&copied.version, entry.size));
    if let Behind::Bucket(..) = &subject.behind {
        assert_eq!(found.digests.get(DigestKind::Blake3), entry.digests.get(DigestKind::Blake3));
    }
    assert!(putter.journal.lines.lock().unwrap().is_empty());
}

/// A name that only was the beginning of others can be taken, however the content gets there.
pub(super) async fn former_folders(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    if matches!(subject.behind, Behind::Directory(_)) {
        return;
    }
    for folder in ["small", "large", "copied"] {
        let inside = key(&format!("{folder}/inside"));
        let entry = putter.create(replica, inside.as_str(), b"1").await.unwrap();
        assert_eq!(replica.delete(&[(inside, entry.version)]).await, [Ok(())]);
    }
    let small = putter.create(replica, "small", b"small").await.unwrap();
    let large = Memory::new(bytes(3));
    let hashes = large.hashes(PART);
    putter.put(replica, "large", &Content::Pieces(large), &Expect::Absent, Some(&hashes)).await.unwrap();
    assert!(content(replica, "large").await == bytes(3));
    if subject.can(|can| can.copy) {
        let put = putter.as_put(&Expect::Absent, &small.digests, None);
        replica.copy(&key("small"), &small.version, &key("copied"), &put).await.unwrap();
        assert_eq!(content(replica, "copied").await, b"small");
    }
    empty(replica).await;
}

/// Whatever can't be done changes nothing.
async fn stuck(subject: &Subject, entry: &Entry, why: &str) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let put = putter.as_put(&Expect::Absent, &entry.digests, None);
    let copied = replica.copy(&key("large.bin"), &entry.version, &key("large-copy.bin"), &put).await.unwrap_err();
    assert!(copied.message.contains(why), "{copied}");
    assert_eq!(replica.look_up(&key("large-copy.bin")).await, Ok(None));
    let small = crate::s3_replica::whole("small");
    let expect = Expect::Version(entry.version.clone());
    let replaced = putter.put(replica, "large.bin", &small, &expect, None).await.unwrap_err();
    assert!(replaced.message.contains(why), "{replaced}");
    assert_eq!(replica.look_up(&key("large.bin")).await.unwrap().unwrap().version, entry.version);
}

/// A source that changes while it is sent, or right before the end, publishes nothing.
pub(super) async fn torn(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let whole = Memory::new(bytes(1));
    let hashes = whole.hashes(PART);
    let digests = whole.entry().digests.clone();
    let mut other = bytes(1);
    other[6_000_000] ^= 1;
    let late = Memory::new(bytes(1));
    late.has_changed.store(true, Ordering::Relaxed);
    // The directory proves by its own hash what the bucket asks the source for; memory asks, but hashes nothing.
    let mut sources = vec![];
    if !matches!(subject.behind, Behind::Memory(_)) {
        sources.push(Memory::new(other));
    }
    if !matches!(subject.behind, Behind::Directory(_)) {
        sources.push(late);
    }
    for source in sources {
        let content = Content::Pieces(source);
        let put = putter.as_put(&Expect::Absent, &digests, Some(&hashes));
        assert_eq!(cause(replica.put(&key("torn.bin"), &content, &put).await), Cause::Changed);
        assert_eq!(replica.look_up(&key("torn.bin")).await, Ok(None));
        assert!(putter.journal.lines.lock().unwrap().is_empty(), "the upload was aborted");
    }
    if let Behind::Bucket(_, _, raw) = &subject.behind
        && subject.expected.claims == Claims::Found
    {
        assert_eq!(raw.uploads("torn.bin").await, [] as [&str; 0]);
    }
}

/// Content of which so many bytes can be read; then the process is as good as dead.
#[derive(Debug)]
struct Dying {
    inner: Arc<Memory>,
    left: AtomicI64,
    /// Of the journal: what is under way is acknowledged first.
    log: Arc<Mutex<Vec<String>>>,
}

impl Dying {
    async fn last_words(&self) {
        for _ in 0..1_000 {
            let count = |text: &str| self.log.lock().unwrap().iter().filter(|line| *line == text).count();
            if count("intend with id") == 0 || count("part") == 2 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("two parts are not acknowledged after ten seconds");
    }
}

#[async_trait]
impl Pieces for Dying {
    fn entry(&self) -> &Entry {
        self.inner.entry()
    }

    async fn read(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
        let len_read = i64::try_from(len).unwrap();
        if self.left.fetch_sub(len_read, Ordering::Relaxed) < len_read {
            self.last_words().await;
            return Err(Error::new(Cause::Stop, "killed"));
        }
        self.inner.read(offset, len).await
    }

    async fn unchanged(&self) -> Result<(), Error> {
        self.inner.unchanged().await
    }
}

/// What was sent before the end of a process is not sent again; nothing is visible in between.
pub(super) async fn resume(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let whole = Memory::new(bytes(2));
    let hashes = whole.hashes(PART);
    let left = AtomicI64::new(2 * PART.cast_signed());
    let dying = Content::Pieces(Arc::new(Dying { inner: whole.clone(), left, log: putter.journal.log.clone() }));
    let died = putter.put(replica, "resumed.bin", &dying, &Expect::Absent, Some(&hashes)).await;
    assert_eq!(cause(died), Cause::Stop);
    assert_eq!(replica.look_up(&key("resumed.bin")).await, Ok(None));
    assert!(present(replica, None).await.is_empty());
    let before = putter.meter.bytes();
    let content_again = Content::Pieces(whole.clone());
    putter.put(replica, "resumed.bin", &content_again, &Expect::Absent, Some(&hashes)).await.unwrap();
    let part_bytes: Vec<u64> = vec![LAST, PART, PART];
    let resent = usize::try_from(subject.expected.resent).unwrap();
    assert_eq!(putter.meter.bytes() - before, part_bytes[..resent].iter().sum::<u64>(), "what is sent again");
    assert!(content(replica, "resumed.bin").await == bytes(2));
    assert!(putter.journal.lines.lock().unwrap().is_empty());
    empty(replica).await;
}

/// What the journal knows is cleaned up, with or without its id; what others made stays.
pub(super) async fn tidy(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    assert_eq!(replica.tidy(&putter.journal).await, Ok(0));
    match &subject.behind {
        Behind::Memory(_) => {}
        Behind::Directory(dir) => {
            let old = std::time::SystemTime::now() - Duration::from_secs(3600);
            for name in [".mediasync-0123456789abcdef.tmp", ".mediasync-mine", "other.tmp"] {
                let path = dir.path().join(name);
                std::fs::write(&path, "x").unwrap();
                std::fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
            }
            present(replica, None).await;
            // What changed within the last minute may be in use; the change of its time was one.
            assert_eq!(replica.tidy(&putter.journal).await, Ok(0));
            assert!(dir.path().join(".mediasync-mine").exists() && dir.path().join("other.tmp").exists());
        }
        Behind::Bucket(_, _, raw) => {
            let foreign = raw.begin_upload("foreign.bin").await;
            let ours = raw.begin_upload("known.bin").await;
            let lost = raw.begin_upload("lost.bin").await;
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            let intended_ns = i64::try_from(now.as_nanos()).unwrap() - 500_000_000;
            for (name, id) in [("known.bin", Some(ours)), ("lost.bin", None)] {
                let (key, blake3) = (key(name), String::new());
                let begun_with = String::new();
                let upload = Upload { key, intended_ns, id, blake3, part_size: PART, begun_with, parts: vec![] };
                putter.journal.intend(&upload).unwrap();
            }
            let found = subject.expected.claims == Claims::Found;
            assert_eq!(replica.tidy(&putter.journal).await, Ok(if found { 2 } else { 1 }));
            assert!(putter.journal.lines.lock().unwrap().is_empty());
            if found {
                assert_eq!(raw.uploads("known.bin").await, [] as [&str; 0]);
                assert_eq!(raw.uploads("lost.bin").await, [] as [&str; 0], "{lost}");
                assert_eq!(raw.uploads("foreign.bin").await, [foreign]);
                raw.abort("foreign.bin").await;
            }
        }
    }
}
