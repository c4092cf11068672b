//! What the S3 replica promises, against any server: values and small doubles that its tests share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use mediasync::model::{Digest, DigestKind, Digests, Entry, Expect, Filter, Item, Key, Readable, Version};
use mediasync::replica::{
    Buffers, Cause, Content, Error, Journal, Meter, PartHasher, PartHashes, Pieces, Put, Replica, Upload, UploadedPart,
};

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

pub(crate) fn blake3(bytes: &[u8]) -> Digest {
    Digest::from_bytes(DigestKind::Blake3, blake3::hash(bytes).as_bytes())
}

fn local_entry(bytes: &[u8]) -> Entry {
    Entry {
        size: bytes.len() as u64,
        version: Version::new("local"),
        modified_ns: Some(1_700_000_000_250_000_000),
        digests: [blake3(bytes)].into_iter().collect(),
        readable: Readable::Yes,
    }
}

/// Content that fits into one request.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Content {
    let bytes = bytes.into();
    Content::Whole { entry: local_entry(&bytes), blake3: blake3(&bytes), bytes, attributes: None }
}

/// Content in pieces, held in memory.
#[derive(Debug)]
pub(crate) struct Memory {
    entry: Entry,
    bytes: Bytes,
    pub(crate) reads: AtomicUsize,
    pub(crate) has_changed: AtomicBool,
}

impl Memory {
    pub(crate) fn new(bytes: impl Into<Bytes>) -> Arc<Self> {
        let bytes = bytes.into();
        let (reads, has_changed) = (AtomicUsize::new(0), AtomicBool::new(false));
        Arc::new(Self { entry: local_entry(&bytes), bytes, reads, has_changed })
    }

    pub(crate) fn hashes(&self, size: u64) -> PartHashes {
        let hash = |(offset, part): (u64, &[u8])| {
            let mut hasher = PartHasher::new(size, offset, self.entry.size);
            hasher.update(part);
            hasher.finish()
        };
        let parts =
            (0..).step_by(usize::try_from(size).unwrap()).zip(self.bytes.chunks(usize::try_from(size).unwrap()));
        PartHashes { size, hashes: parts.map(hash).collect() }
    }
}

#[async_trait]
impl Pieces for Memory {
    fn entry(&self) -> &Entry {
        &self.entry
    }

    async fn read(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let at = usize::try_from(offset).unwrap();
        Ok(self.bytes.slice(at..at + len))
    }

    async fn unchanged(&self) -> Result<(), Error> {
        if self.has_changed.load(Ordering::Relaxed) { Err(Error::new(Cause::Changed, "changed")) } else { Ok(()) }
    }
}

/// A journal in memory.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    pub(crate) lines: Mutex<HashMap<String, Upload>>,
    pub(crate) log: Arc<Mutex<Vec<String>>>,
}

impl Memo {
    fn say(&self, text: String) {
        self.log.lock().unwrap().push(text);
    }
}

impl Journal for Memo {
    fn upload(&self, key: &Key) -> Result<Option<Upload>, Error> {
        Ok(self.lines.lock().unwrap().get(key.as_str()).cloned())
    }

    fn uploads(&self) -> Result<Vec<Upload>, Error> {
        Ok(self.lines.lock().unwrap().values().cloned().collect())
    }

    fn intend(&self, upload: &Upload) -> Result<(), Error> {
        self.say(format!("intend {}", if upload.id.is_some() { "with id" } else { "without id" }));
        let line = Upload { parts: Vec::new(), ..upload.clone() };
        self.lines.lock().unwrap().insert(upload.key.as_str().to_owned(), line);
        Ok(())
    }

    fn part(&self, key: &Key, part: &UploadedPart) -> Result<(), Error> {
        self.say("part".to_owned());
        self.lines.lock().unwrap().get_mut(key.as_str()).expect("intended").parts.push(part.clone());
        Ok(())
    }

    fn done(&self, key: &Key) -> Result<(), Error> {
        self.say("done".to_owned());
        self.lines.lock().unwrap().remove(key.as_str());
        Ok(())
    }
}

/// Puts with everything that they borrow.
#[derive(Debug)]
pub(crate) struct Putter {
    pub(crate) journal: Memo,
    pub(crate) buffers: Buffers,
    pub(crate) meter: Meter,
}

impl Putter {
    pub(crate) fn new() -> Self {
        Self { journal: Memo::default(), buffers: Buffers::new(24 << 20), meter: Meter::default() }
    }

    pub(crate) async fn put(
        &self,
        replica: &dyn Replica,
        to: &str,
        content: &Content,
        expect: &Expect,
        parts: Option<&PartHashes>,
    ) -> Result<Entry, Error> {
        let digests = content.entry().digests.clone();
        replica.put(&key(to), content, &self.as_put(expect, &digests, parts)).await
    }

    pub(crate) async fn create(&self, replica: &dyn Replica, to: &str, bytes: &[u8]) -> Result<Entry, Error> {
        self.put(replica, to, &whole(bytes.to_vec()), &Expect::Absent, None).await
    }

    pub(crate) fn as_put<'a>(
        &'a self,
        expect: &'a Expect,
        digests: &'a Digests,
        parts: Option<&'a PartHashes>,
    ) -> Put<'a> {
        Put {
            expect,
            digests,
            mtime_ns: Some(1_700_000_000_250_000_000),
            attributes: None,
            style: None,
            parts,
            journal: &self.journal,
            buffers: &self.buffers,
            meter: &self.meter,
        }
    }
}

/// Everything that a listing says, or why it is incomplete.
pub(crate) async fn listed(replica: &dyn Replica, only: Option<&str>) -> Result<Vec<Item>, Error> {
    let only = only.map(key);
    let mut listing = replica.list(only.as_ref(), &Arc::new(Filter::default()));
    let mut all = Vec::new();
    while let Some(batch) = listing.items.recv().await {
        all.extend(batch?);
    }
    assert_eq!(all.pop(), Some(Item::End), "a listing ends with its end");
    Ok(all)
}

/// The keys that a listing shows as present.
pub(crate) async fn keys(replica: &dyn Replica) -> Vec<String> {
    let items = listed(replica, None).await.unwrap();
    let present = items.iter().filter_map(|item| match item {
        Item::Present(key, _) => Some(key.as_str().to_owned()),
        _ => None,
    });
    present.collect()
}

pub(crate) fn cause<T: std::fmt::Debug>(result: Result<T, Error>) -> Cause {
    result.unwrap_err().cause
}
