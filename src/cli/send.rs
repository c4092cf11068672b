//! One file from a place to another one, as `cp` and `restore --to` need it. The engine's own way is made for whole plans.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::OwnedSemaphorePermit;

use crate::config::BUFFER_BYTES;
use crate::hash::hash_parts;
use crate::model::{DigestKind, Digests, Entry, Expect, Key, ReadCost};
use crate::replica::{
    Attributes, Buffers, Cause, Content, Error, Journal, Origin, PartHashes, Put, Replica, WHOLE_LIMIT,
};
use crate::sync::Progress;

/// What all transfers of a command share.
#[derive(Debug)]
pub(super) struct Way<'a> {
    pub(super) from: &'a dyn Replica,
    pub(super) to: &'a dyn Replica,
    pub(super) journal: &'a dyn Journal,
    pub(super) buffers: Buffers,
    pub(super) progress: Arc<Progress>,
}

/// When content in pieces is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hashed {
    /// In a pass before: another attempt can go on with the parts.
    First,
    /// While it goes by, where each pass is a transfer.
    OnTheWay,
}

/// Content that is ready to be stored.
#[derive(Debug)]
pub(super) enum Opened {
    /// The service of both places copies it.
    There(Box<Origin>),
    /// It goes through here.
    Here(Box<Read>),
}

/// Content that was opened, with what is known of it.
#[derive(Debug)]
pub(super) struct Read {
    content: Content,
    digests: Digests,
    parts: Option<PartHashes>,
    _room: OwnedSemaphorePermit,
}

impl<'a> Way<'a> {
    pub(super) fn new(from: &'a dyn Replica, to: &'a dyn Replica, journal: &'a dyn Journal) -> Self {
        Self { from, to, journal, buffers: Buffers::new(BUFFER_BYTES), progress: Arc::default() }
    }

    /// Sends the content of `entry`, with what it carries, if what is there is what `expect` says.
    pub(super) async fn send(&self, key: &Key, entry: &Entry, expect: &Expect) -> Result<Entry, Error> {
        let read = self.read(key, entry, Hashed::First).await?;
        self.put(&read, key, expect).await
    }

    /// Opens the content of `entry`; nothing is changed yet.
    pub(super) async fn open(&self, key: &Key, entry: &Entry) -> Result<Opened, Error> {
        if self.from.service().is_some_and(|service| self.to.reaches(service)) {
            return Ok(Opened::There(Box::new(self.from.origin_seen(key, entry).await?)));
        }
        Ok(Opened::Here(Box::new(self.read(key, entry, Hashed::OnTheWay).await?)))
    }

    /// Stores what was opened of `from` under another key, if what is there is what `expect` says.
    pub(super) async fn store(
        &self,
        opened: Opened,
        (key, entry): (&Key, &Entry),
        to: &Key,
        expect: &Expect,
    ) -> Result<Entry, Error> {
        let read = match opened {
            Opened::Here(read) => *read,
            Opened::There(origin) => {
                // What an ETag says belongs to the object that has it.
                let of_content = origin.entry.digests.iter().filter(|one| one.kind.is_of_content());
                let digests: Digests = of_content.cloned().collect();
                let put = self.terms(expect, &digests, &origin.entry, origin.attributes.as_ref());
                match self.to.copy_from(&origin, to, &put).await {
                    Err(error) if error.cause == Cause::Unsupported => self.read(key, entry, Hashed::OnTheWay).await?,
                    stored => {
                        self.progress.bytes_copied.fetch_add(entry.size, Relaxed);
                        return stored;
                    }
                }
            }
        };
        self.put(&read, to, expect).await
    }

    async fn read(&self, key: &Key, entry: &Entry, hashed: Hashed) -> Result<Read, Error> {
        let room = self.buffers.take(if entry.size > WHOLE_LIMIT { 0 } else { entry.size }).await;
        let content = self.from.open_seen(key, entry).await?;
        let mut digests = Digests::none();
        let parts = match &content {
            Content::Whole { blake3, .. } => {
                digests.add(blake3.clone());
                None
            }
            Content::Pieces(pieces)
                if hashed == Hashed::OnTheWay && self.from.capabilities().read_cost == ReadCost::Transfer =>
            {
                digests.extend(pieces.entry().digests.get(DigestKind::Blake3).cloned());
                None
            }
            Content::Pieces(pieces) => {
                let (blake3, parts) = hash_parts(&**pieces, self.to.part_size(entry.size), &self.buffers).await?;
                digests.add(blake3);
                Some(parts)
            }
        };
        Ok(Read { content, digests, parts, _room: room })
    }

    async fn put(&self, read: &Read, to: &Key, expect: &Expect) -> Result<Entry, Error> {
        let Read { content, digests, parts, .. } = read;
        let put = self.terms(expect, digests, content.entry(), content.attributes());
        self.to.put(to, content, &Put { parts: parts.as_ref(), ..put }).await
    }

    fn terms<'b>(
        &'b self,
        expect: &'b Expect,
        digests: &'b Digests,
        entry: &Entry,
        attributes: Option<&'b Attributes>,
    ) -> Put<'b> {
        Put {
            expect,
            digests,
            mtime_ns: entry.modified_ns,
            attributes,
            style: None,
            parts: None,
            journal: self.journal,
            buffers: &self.buffers,
            meter: &self.progress.sent,
        }
    }
}
