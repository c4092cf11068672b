//! One file from a place to another one, as `restore --to` needs it. The engine's own way is made for whole plans.

use crate::config::BUFFER_BYTES;
use crate::hash::hash_parts;
use crate::model::{Digests, Entry, Expect, Key};
use crate::replica::{Buffers, Content, Error, Journal, Meter, Put, Replica, WHOLE_LIMIT, part_size};

/// What all transfers of a command share.
#[derive(Debug)]
pub(super) struct Way<'a> {
    pub(super) from: &'a dyn Replica,
    pub(super) to: &'a dyn Replica,
    pub(super) journal: &'a dyn Journal,
    pub(super) buffers: Buffers,
    meter: Meter,
}

impl<'a> Way<'a> {
    pub(super) fn new(from: &'a dyn Replica, to: &'a dyn Replica, journal: &'a dyn Journal) -> Self {
        Self { from, to, journal, buffers: Buffers::new(BUFFER_BYTES), meter: Meter::default() }
    }

    /// Sends the content of `entry`, with what it carries, if what is there is what `expect` says.
    pub(super) async fn send(&self, key: &Key, entry: &Entry, expect: &Expect) -> Result<Entry, Error> {
        let _room = self.buffers.take(if entry.size > WHOLE_LIMIT { 0 } else { entry.size }).await;
        let content = self.from.open(key, &entry.version).await?;
        let mut digests = Digests::none();
        let parts = match &content {
            Content::Whole { blake3, .. } => {
                digests.add(blake3.clone());
                None
            }
            Content::Pieces(pieces) => {
                let (blake3, parts) = hash_parts(&**pieces, part_size(entry.size), &self.buffers).await?;
                digests.add(blake3);
                Some(parts)
            }
        };
        let put = Put {
            expect,
            digests: &digests,
            mtime_ns: entry.modified_ns,
            attributes: content.attributes(),
            style: None,
            parts: parts.as_ref(),
            journal: self.journal,
            buffers: &self.buffers,
            meter: &self.meter,
        };
        self.to.put(key, &content, &put).await
    }
}
