//! What proves that the parts of large content are what was planned: a pass before sending, or, for content that would be
//! transferred twice by that, what it says of itself.

use bytes::Bytes;

use super::parts::Part;
use super::{Arrival, Buffers, Cause, Error, PartHashes, Pieces, Put};
use crate::model::{DigestKind, Digests, Entry};

/// Where the hashes of the parts come from.
#[derive(Debug)]
pub(crate) enum Hashes<'a> {
    /// A pass before the upload.
    Known(&'a PartHashes),
    /// The bytes that are sent.
    Made(Box<Arrival>),
}

impl<'a> Hashes<'a> {
    /// For content that `entry` describes, stored as `what` in parts of `part_size` bytes unless they are hashed already.
    ///
    /// # Errors
    /// [`Cause::Changed`] if the hashes are those of content of another size.
    pub(crate) fn of(what: &str, entry: &Entry, put: &Put<'a>, part_size: u64) -> Result<Self, Error> {
        match put.parts {
            None => Ok(Self::Made(Box::new(Arrival::new(entry, part_size)))),
            Some(_) if put.digests.get(DigestKind::Blake3).is_none() => {
                Err(Error::new(Cause::Refused, format!("store {what}: it was not hashed")))
            }
            Some(known) if known.hashes.len() as u64 != entry.size.div_ceil(known.size.max(1)) => {
                Err(Error::new(Cause::Changed, format!("{what} changed since it was hashed")))
            }
            Some(known) => Ok(Self::Known(known)),
        }
    }

    /// Bytes of every part but the last.
    pub(crate) fn part_size(&self) -> u64 {
        match self {
            Self::Known(known) => known.size,
            Self::Made(arrival) => arrival.part_size(),
        }
    }

    /// The hash of a part of content of `size` bytes that was read. Parts must be asked for in order.
    ///
    /// # Errors
    /// [`Cause::Changed`] if it is not the part that was hashed before.
    pub(crate) async fn take(&self, what: &str, part: Part, body: &Bytes, size: u64) -> Result<[u8; 32], Error> {
        match self {
            Self::Known(known) if known.has(part.offset, body, size) => Ok(known.hashes[part.number as usize - 1]),
            Self::Known(_) => Err(Error::new(Cause::Changed, format!("{what} changed while it was sent"))),
            Self::Made(arrival) => {
                let blake3 = arrival.take(part.offset, body);
                arrival.in_turn(part.offset, body).await;
                Ok(blake3)
            }
        }
    }

    /// All parts were sent: the source still has that version, or all of it is what it says of itself. Gives what was
    /// found out on the way.
    ///
    /// # Errors
    /// As [`Pieces::unchanged`] and [`Arrival::settle`].
    pub(crate) async fn settle(&self, what: &str, pieces: &dyn Pieces, buffers: &Buffers) -> Result<Digests, Error> {
        match self {
            Self::Known(_) => pieces.unchanged().await.map(|()| Digests::none()),
            Self::Made(arrival) => arrival.settle(what, pieces, buffers).await,
        }
    }
}
