//! How content gets from an open [`Content`] into a temporary file.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::OwnedSemaphorePermit;

use super::blocking;
use super::root::Root;
use super::write::Temp;
use crate::model::{Digest, DigestKind, Digests, Entry, Key};
use crate::replica::{Arrival, Buffers, Cause, Content, Error, Pieces, Put};

/// Bytes of a range of content that is read once.
const RANGE: u64 = 8 * 1024 * 1024;
/// Ranges of one file at the same time: as many as there are buffers for.
const RANGES: usize = 3;

/// Bytes a read of large content. Two are in flight: one is written while the next is read.
const PIECE: u64 = 4 * 1024 * 1024;

/// Stores `content` under `key`. The entry carries the BLAKE3 of what was written.
pub(super) async fn put(root: Arc<Root>, key: &Key, content: &Content, put: &Put<'_>) -> Result<Entry, Error> {
    let stated = put.digests.get(DigestKind::Blake3);
    match content {
        Content::Whole { bytes, blake3, .. } => {
            if stated.is_some_and(|stated| stated != blake3) {
                return Err(other_content(key));
            }
            let (key, bytes, expect, mtime_ns) = (key.clone(), bytes.clone(), put.expect.clone(), put.mtime_ns);
            let sent = bytes.len() as u64;
            // One hop to a blocking thread for everything: small files are many.
            let mut entry = blocking(move || {
                let temp = Temp::create(&root, &key, &expect)?;
                temp.write(&bytes, 0)?;
                temp.publish(&expect, mtime_ns)
            })
            .await?;
            put.meter.add(sent);
            entry.digests.add(blake3.clone());
            Ok(entry)
        }
        Content::Pieces(pieces) => {
            let (own_key, expect, mtime_ns) = (key.clone(), put.expect.clone(), put.mtime_ns);
            let (temp, expect) = blocking(move || Ok((Temp::create(&root, &own_key, &expect)?, expect))).await?;
            let temp = Arc::new(temp);
            let digests = match put.parts {
                None => arrive(key, pieces.as_ref(), &temp, put).await?,
                Some(_) => Digests::from_iter([pour(key, pieces.as_ref(), &temp, put).await?]),
            };
            if stated.is_some_and(|stated| digests.get(DigestKind::Blake3) != Some(stated)) {
                return Err(other_content(key));
            }
            let temp = Arc::into_inner(temp).expect("every writing task has ended");
            let mut entry = blocking(move || temp.publish(&expect, mtime_ns)).await?;
            entry.digests.merge(&digests);
            Ok(entry)
        }
    }
}

/// Reads content that nobody read before, several ranges at once, and gives its digests if they are what it says.
async fn arrive(key: &Key, pieces: &dyn Pieces, temp: &Arc<Temp>, put: &Put<'_>) -> Result<Digests, Error> {
    let size = pieces.entry().size;
    let arrival = Arc::new(Arrival::new(pieces.entry(), RANGE));
    let ranges = (0..size.div_ceil(RANGE)).map(|at| at * RANGE).map(|offset| {
        let (arrival, temp) = (Arc::clone(&arrival), Arc::clone(temp));
        async move {
            let len = RANGE.min(size - offset);
            let room = put.buffers.take(len).await;
            let bytes = pieces.read(offset, usize::try_from(len).expect("at most a range")).await?;
            if bytes.len() as u64 != len {
                return Err(other_content(key));
            }
            let (body, taking) = (bytes.clone(), Arc::clone(&arrival));
            blocking(move || {
                taking.take(offset, &body);
                temp.write(&body, offset)
            })
            .await?;
            arrival.in_turn(offset, &bytes).await;
            drop((bytes, room));
            put.meter.add(len);
            Ok(())
        }
    });
    stream::iter(ranges).buffered(RANGES).try_collect::<()>().await?;
    arrival.settle(&format!("`{key}`"), pieces, put.buffers).await
}

/// Reads all pieces and writes them; one is written while the next one is read.
async fn pour(key: &Key, pieces: &dyn Pieces, temp: &Arc<Temp>, put: &Put<'_>) -> Result<Digest, Error> {
    let size = pieces.entry().size;
    let mut hasher = blake3::Hasher::new();
    let mut offset = 0;
    let mut next = if size > 0 { Some(piece(key, pieces, put.buffers, 0).await?) } else { None };
    while let Some((bytes, room)) = next.take() {
        let len = bytes.len() as u64;
        let after = offset + len;
        let writing = async {
            let state = write(Arc::clone(temp), bytes, offset, hasher).await;
            // Given back as soon as it is written, so that a transfer that waits for its second buffer while it
            // holds the first never keeps another one waiting for ever.
            drop(room);
            state
        };
        let reading =
            async { if after < size { piece(key, pieces, put.buffers, after).await.map(Some) } else { Ok(None) } };
        let (written, read) = tokio::join!(writing, reading);
        hasher = written?;
        put.meter.add(len);
        next = read?;
        offset = after;
    }
    Ok(Digest::from_bytes(DigestKind::Blake3, hasher.finalize().as_bytes()))
}

async fn piece(
    key: &Key,
    pieces: &dyn Pieces,
    buffers: &Buffers,
    offset: u64,
) -> Result<(Bytes, OwnedSemaphorePermit), Error> {
    let len = PIECE.min(pieces.entry().size - offset);
    let room = buffers.take(len).await;
    let bytes = pieces.read(offset, usize::try_from(len).expect("at most a piece")).await?;
    if bytes.len() as u64 == len { Ok((bytes, room)) } else { Err(other_content(key)) }
}

async fn write(
    temp: Arc<Temp>,
    bytes: Bytes,
    offset: u64,
    mut hasher: blake3::Hasher,
) -> Result<blake3::Hasher, Error> {
    blocking(move || {
        hasher.update(&bytes);
        temp.write(&bytes, offset)?;
        Ok(hasher)
    })
    .await
}

fn other_content(key: &Key) -> Error {
    Error::new(Cause::Changed, format!("the content for `{key}` changed while it was read"))
}
