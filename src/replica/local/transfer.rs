//! How content gets from an open [`Content`] into a temporary file.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::batch::Batches;
use super::root::Root;
use super::under_way::Work;
use super::write::Temp;
use super::writers::{Small, Writers};
use super::{blocking, links, partial};
use crate::model::{Digest, DigestKind, Entry, Key};
use crate::replica::{Buffers, Cause, Content, Error, Pieces, Put};

/// Bytes a read of large content. Two are in flight: one is written while the next is read.
const PIECE: u64 = 4 * 1024 * 1024;

/// Stores `content` under `key`. The entry carries the BLAKE3 of what was written.
pub(super) async fn put(
    root: Arc<Root>,
    (batches, writers): (&Batches, &Writers),
    key: &Key,
    content: &Content,
    put: &Put<'_>,
) -> Result<Entry, Error> {
    if links::becomes_link(&root, key, put.expect) {
        return links::put(root, key, content, put).await;
    }
    let stated = put.digests.get(DigestKind::Blake3);
    match content {
        Content::Whole { bytes, blake3, .. } => {
            if stated.is_some_and(|stated| stated != blake3) {
                return Err(other_content(key));
            }
            let (key, bytes, expect, mtime_ns) = (key.clone(), bytes.clone(), put.expect.clone(), put.mtime_ns);
            let sent = bytes.len() as u64;
            let mut entry = writers.put(Small { root, key, bytes, expect, mtime_ns }).await?;
            put.meter.add(sent);
            entry.digests.add(blake3.clone());
            Ok(entry)
        }
        Content::Pieces(pieces) => {
            if put.parts.is_none() {
                return partial::put(&root, batches, key, pieces.as_ref(), put).await;
            }
            let (own_key, expect, mtime_ns) = (key.clone(), put.expect.clone(), put.mtime_ns);
            let work = batches.begin();
            let create = move || Ok((Filling { temp: Temp::create(&root, &own_key, &expect)?, _work: work }, expect));
            let (filling, expect) = blocking(create).await?;
            let filling = Arc::new(filling);
            let blake3 = pour(key, pieces.as_ref(), &filling, put).await?;
            match stated {
                Some(stated) if *stated == blake3 => {}
                Some(_) => return Err(other_content(key)),
                // Nothing was stated to compare with, so the source has to prove that it gave one version.
                None => pieces.unchanged().await?,
            }
            let filling = Arc::into_inner(filling).expect("every writing task has ended");
            let mut entry = batches.publish(filling.temp, expect, mtime_ns).await?;
            entry.digests.add(blake3);
            Ok(entry)
        }
    }
}

/// A file that is being filled. If its caller goes away, whoever waits for what is under way finds it removed: the thread that
/// writes has it last.
struct Filling {
    temp: Temp,
    _work: Work,
}

/// Reads all pieces and writes them; one is written while the next one is read.
async fn pour(key: &Key, pieces: &dyn Pieces, filling: &Arc<Filling>, put: &Put<'_>) -> Result<Digest, Error> {
    let size = pieces.entry().size;
    let mut hasher = blake3::Hasher::new();
    let mut offset = 0;
    let mut next = if size > 0 { Some(piece(key, pieces, put.buffers, 0).await?) } else { None };
    while let Some((bytes, room)) = next.take() {
        let len = bytes.len() as u64;
        let after = offset + len;
        let writing = async {
            let state = write(Arc::clone(filling), bytes, offset, hasher).await;
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
    filling: Arc<Filling>,
    bytes: Bytes,
    offset: u64,
    mut hasher: blake3::Hasher,
) -> Result<blake3::Hasher, Error> {
    blocking(move || {
        hasher.update(&bytes);
        filling.temp.write_sparse(&bytes, offset)?;
        filling.temp.begin_flush(offset, bytes.len() as u64);
        Ok(hasher)
    })
    .await
}

pub(super) fn other_content(key: &Key) -> Error {
    Error::new(Cause::Changed, format!("the content for `{key}` changed while it was read"))
}
