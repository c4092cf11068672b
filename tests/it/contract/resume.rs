//! Uploads that do not end as they began: torn, killed, resumed, cleaned up.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mediasync::model::{Entry, Expect};
use mediasync::replica::{Cause, Content, Error, Journal, Pieces, Upload};

use super::expected::Claims;
use super::large::{LAST, bytes, source};
use super::looks::present;
use super::reads::content;
use super::{Behind, Bucket, Subject};
use crate::s3_replica::{Memory, Putter, cause, key};

cases! {
    NotMemory: "a source that changes while it is sent publishes nothing" => torn,
    NotDirectory: "a source that changed after it was read publishes nothing" => late,
    Any: "nothing is visible of what a process sent before its end" => died,
    Any: "what was sent before the end of a process is not sent again" => resume,
    Any: "there is nothing to clean up where nothing was begun" => nothing,
    Bucket: "what the journal knows is cleaned up, with or without its id, and what others made stays" => uploads,
    Container: "what is known of an upload to a container is given up, and its blocks are left to expire" => blocks,
    Directory: "temporary files that may be in use stay, and so do those of others" => files,
}

/// A source is sent that is not what was announced.
async fn sends(subject: &Subject, source: Arc<Memory>) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let (announced, hashes) = super::large::source(subject, 1);
    let digests = announced.entry().digests.clone();
    let content = Content::Pieces(source);
    let put = putter.as_put(&Expect::Absent, &digests, Some(&hashes));
    assert_eq!(cause(replica.put(&key("torn.bin"), &content, &put).await), Cause::Changed);
    assert_eq!(replica.look_up(&key("torn.bin")).await, Ok(None));
    assert!(putter.journal.lines.lock().unwrap().is_empty(), "the upload was aborted");
    if let Behind::Bucket(Bucket { raw, .. }) = &subject.behind
        && subject.expected.claims == Claims::Found
    {
        assert_eq!(raw.uploads("torn.bin").await, [] as [&str; 0]);
    }
}

async fn torn(subject: &Subject) {
    let mut other = bytes(subject, 1);
    let at = usize::try_from(subject.part).unwrap() + 100;
    other[at] ^= 1;
    sends(subject, Memory::new(other)).await;
}

async fn late(subject: &Subject) {
    let (late, _) = source(subject, 1);
    late.has_changed.store(true, Ordering::Relaxed);
    sends(subject, late).await;
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

/// Sends two parts of three and dies.
async fn dies(subject: &Subject, putter: &Putter) {
    let (whole, hashes) = source(subject, 2);
    let left = AtomicI64::new(2 * subject.part.cast_signed());
    let dying = Content::Pieces(Arc::new(Dying { inner: whole, left, log: putter.journal.log.clone() }));
    let died = putter.put(subject.replica(), "resumed.bin", &dying, &Expect::Absent, Some(&hashes)).await;
    assert_eq!(cause(died), Cause::Stop);
}

async fn died(subject: &Subject) {
    let putter = Putter::new();
    dies(subject, &putter).await;
    assert_eq!(subject.replica().look_up(&key("resumed.bin")).await, Ok(None));
    assert!(present(subject.replica(), None).await.is_empty());
    // What the journal knows can be given up: then nothing of it is left.
    let known = putter.journal.lines.lock().unwrap().len() as u64;
    // There is no request that removes blocks of a container.
    let removed = if let Behind::Container(_) = &subject.behind { 0 } else { known };
    assert_eq!(subject.replica().tidy(&putter.journal).await, Ok(removed));
    assert!(putter.journal.lines.lock().unwrap().is_empty());
    if let Behind::Bucket(Bucket { raw, .. }) = &subject.behind
        && subject.expected.claims == Claims::Found
    {
        assert_eq!((known, raw.uploads("resumed.bin").await), (1, vec![]));
    }
}

async fn finish(subject: &Subject, putter: &Putter) {
    let (whole, hashes) = source(subject, 2);
    let content_again = Content::Pieces(whole);
    putter.put(subject.replica(), "resumed.bin", &content_again, &Expect::Absent, Some(&hashes)).await.unwrap();
}

async fn resume(subject: &Subject) {
    let putter = Putter::new();
    dies(subject, &putter).await;
    let before = putter.meter.bytes();
    finish(subject, &putter).await;
    let part_bytes: Vec<u64> = vec![LAST, subject.part, subject.part];
    let resent = usize::try_from(subject.expected.resent).unwrap();
    assert_eq!(putter.meter.bytes() - before, part_bytes[..resent].iter().sum::<u64>(), "what is sent again");
    assert!(content(subject.replica(), "resumed.bin").await == bytes(subject, 2));
    assert!(putter.journal.lines.lock().unwrap().is_empty());
}

async fn nothing(subject: &Subject) {
    let putter = Putter::new();
    putter.create(subject.replica(), "file", b"1").await.unwrap();
    assert_eq!(subject.replica().tidy(&putter.journal).await, Ok(0));
    assert_eq!(content(subject.replica(), "file").await, b"1");
}

async fn uploads(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let Behind::Bucket(Bucket { raw, .. }) = &subject.behind else { unreachable!("a case for buckets") };
    let foreign = raw.begin_upload("foreign.bin").await;
    let ours = raw.begin_upload("known.bin").await;
    let lost = raw.begin_upload("lost.bin").await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let intended_ns = i64::try_from(now.as_nanos()).unwrap() - 500_000_000;
    for (name, id) in [("known.bin", Some(ours)), ("lost.bin", None)] {
        let (key, blake3) = (key(name), String::new());
        let begun_with = String::new();
        let upload = Upload { key, intended_ns, id, blake3, part_size: subject.part, begun_with, parts: vec![] };
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

async fn blocks(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    dies(subject, &putter).await;
    assert_eq!(putter.journal.lines.lock().unwrap().len(), 1);
    assert_eq!(replica.tidy(&putter.journal).await, Ok(0));
    assert!(putter.journal.lines.lock().unwrap().is_empty());
    // Another one begins anew.
    let before = putter.meter.bytes();
    finish(subject, &putter).await;
    assert_eq!(putter.meter.bytes() - before, LAST + 2 * subject.part);
    assert!(content(replica, "resumed.bin").await == bytes(subject, 2));
}

async fn files(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let Behind::Directory(dir, _) = &subject.behind else { unreachable!("a case for directories") };
    let old = std::time::SystemTime::now() - Duration::from_secs(3600);
    let names = [".mediasync-0123456789abcdef.tmp", ".mediasync-mine", "other.tmp"];
    for name in names {
        let path = dir.path().join(name);
        std::fs::write(&path, "x").unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    }
    present(replica, None).await;
    // What changed within the last minute may be in use; the change of its time was one.
    assert_eq!(replica.tidy(&putter.journal).await, Ok(0));
    for name in names {
        assert!(dir.path().join(name).exists(), "{name}");
        std::fs::remove_file(dir.path().join(name)).unwrap();
    }
}
