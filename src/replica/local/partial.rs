//! Large content of which every byte is a transfer: fetched in ranges, several at once, and gone on with by a later run.
//!
//! What has come lies in a file beside its future name; the journal knows its name, the version that it is of, and the
//! hash of each finished range. Another run takes over the ranges that still have their hashes, if the source still has
//! that version, and asks for the others only.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use rustix::fs::{AtFlags, unlinkat};

use super::batch::Batches;
use super::blocking;
use super::root::Root;
use super::stamp::now_ns;
use super::tidy::{is_partial_name, partial_name};
use super::transfer::other_content;
use super::write::Temp;
use crate::model::{DigestKind, Digests, Entry, Key};
use crate::replica::{Arrival, Cause, Error, Journal, Pieces, Put, Upload, UploadedPart};

/// Bytes of a range. Half as large as a part: where a round trip takes long, several small ranges keep the line busy while
/// one of them is asked for or written.
const RANGE: u64 = 4 * 1024 * 1024;
/// Ranges of one file at the same time: as many as there are buffers for.
const RANGES: usize = 6;

/// Stores content that nobody read before, if it is what it says of itself.
pub(super) async fn put(
    root: &Arc<Root>,
    batches: &Batches,
    key: &Key,
    pieces: &dyn Pieces,
    put: &Put<'_>,
) -> Result<Entry, Error> {
    let begun = begin(root, key, pieces.entry(), put).await?;
    let (temp, result) = (Arc::clone(&begun.temp), fetch(key, pieces, begun, put).await);
    let digests = match result {
        Ok(digests) => digests,
        // What has come is of use to another attempt.
        Err(error) if matches!(error.cause, Cause::Transient { .. } | Cause::Stop) && temp.is_kept() => {
            return Err(error);
        }
        Err(error) => {
            temp.discard();
            put.journal.done(key)?;
            return Err(error);
        }
    };
    temp.discard();
    if let Some(blake3) = digests.get(DigestKind::Blake3) {
        put.journal.arrived(key, &blake3.text)?;
    }
    let stated = put.digests.get(DigestKind::Blake3);
    let result = if stated.is_some_and(|stated| digests.get(DigestKind::Blake3) != Some(stated)) {
        Err(other_content(key))
    } else {
        let temp = Arc::into_inner(temp).expect("every writing task has ended");
        batches.publish(temp, put.expect.clone(), put.mtime_ns).await
    };
    put.journal.done(key)?;
    let mut entry = result?;
    entry.digests.merge(&digests);
    Ok(entry)
}

/// The file that is being filled, and what it holds already.
struct Begun {
    temp: Arc<Temp>,
    /// Ranges that an earlier run finished.
    kept: Vec<UploadedPart>,
    /// Nobody wrote into it before.
    is_new: bool,
}

async fn begin(root: &Arc<Root>, key: &Key, entry: &Entry, put: &Put<'_>) -> Result<Begun, Error> {
    let earlier = put.journal.upload(key)?;
    let fits = |earlier: &Upload| earlier.begun_with == entry.version.as_str() && earlier.part_size == RANGE;
    if let Some(earlier) = earlier {
        let name = earlier.id.clone().filter(|name| fits(&earlier) && is_partial_name(name));
        if let Some(name) = name {
            let temp = open(root, key, put, name).await;
            if let Some(temp) = temp.ok().filter(Temp::is_plain) {
                return Ok(Begun { temp: Arc::new(temp), kept: earlier.parts, is_new: false });
            }
        }
        remove(root, &earlier);
        put.journal.done(key)?;
    }
    let name = partial_name();
    put.journal.intend(&Upload {
        key: key.clone(),
        intended_ns: now_ns(),
        id: Some(name.clone()),
        blake3: put.digests.get(DigestKind::Blake3).map_or_else(String::new, |digest| digest.text.to_string()),
        part_size: RANGE,
        begun_with: entry.version.as_str().to_owned(),
        parts: Vec::new(),
    })?;
    match open(root, key, put, name).await {
        Ok(temp) => Ok(Begun { temp: Arc::new(temp), kept: Vec::new(), is_new: true }),
        Err(error) => {
            put.journal.done(key)?;
            Err(error)
        }
    }
}

async fn open(root: &Arc<Root>, key: &Key, put: &Put<'_>, name: String) -> Result<Temp, Error> {
    let (root, key, expect) = (Arc::clone(root), key.clone(), put.expect.clone());
    blocking(move || Temp::open(&root, &key, &expect, Some(&name))).await
}

/// Fetches what is missing and gives the digests of the whole.
async fn fetch(key: &Key, pieces: &dyn Pieces, begun: Begun, put: &Put<'_>) -> Result<Digests, Error> {
    let size = pieces.entry().size;
    let arrival = Arc::new(Arrival::new(pieces.entry(), RANGE));
    let Begun { temp, kept, is_new } = begun;
    let (arrival, temp, kept) = (&arrival, &temp, &kept);
    let ranges = (1_u32..).zip((0..size.div_ceil(RANGE)).map(|at| at * RANGE)).map(|(number, offset)| async move {
        let len = RANGE.min(size - offset);
        let room = put.buffers.take(len).await;
        let len = usize::try_from(len).expect("at most a range");
        if let Some(part) = kept.iter().find(|part| part.number == number) {
            let hash = part.blake3;
            if let Some(bytes) = still_there(arrival, temp, offset, len, hash).await? {
                arrival.in_turn(offset, &bytes).await;
                return Ok(());
            }
        }
        let bytes = pieces.read(offset, len).await?;
        if bytes.len() != len {
            return Err(other_content(key));
        }
        let (body, taking, file) = (bytes.clone(), Arc::clone(arrival), Arc::clone(temp));
        let blake3 = blocking(move || {
            // What lies in the file of an earlier run is not known to be zeros.
            let written = if is_new { file.write_sparse(&body, offset) } else { file.write(&body, offset) };
            // On a full disk what has come so far would only be in the way.
            written.inspect_err(|_| file.discard())?;
            file.begin_flush(offset, body.len() as u64);
            Ok(taking.take(offset, &body))
        })
        .await?;
        arrival.in_turn(offset, &bytes).await;
        drop((bytes, room));
        put.meter.add(len as u64);
        put.journal.part(key, &UploadedPart { number, etag: String::new(), blake3 })
    });
    stream::iter(ranges).buffer_unordered(RANGES).try_collect::<()>().await?;
    // Nothing stands behind the last range, whatever became of the file that an earlier run left.
    temp.cut(size)?;
    arrival.settle(&format!("`{key}`"), pieces, put.buffers).await
}

/// A range of an earlier run, if it is still what was written.
async fn still_there(
    arrival: &Arc<Arrival>,
    temp: &Arc<Temp>,
    offset: u64,
    len: usize,
    hash: [u8; 32],
) -> Result<Option<Bytes>, Error> {
    let (arrival, temp) = (Arc::clone(arrival), Arc::clone(temp));
    blocking(move || {
        let bytes = temp.read(offset, len).map(Bytes::from);
        Ok(bytes.filter(|bytes| arrival.take(offset, bytes) == hash))
    })
    .await
}

/// Removes the files of transfers that no run will go on with.
pub(super) fn tidy(root: &Root, journal: &dyn Journal) -> Result<u64, Error> {
    let mut removed = 0;
    for upload in journal.uploads()? {
        root.verify()?;
        removed += u64::from(remove(root, &upload));
        journal.done(&upload.key)?;
    }
    Ok(removed)
}

fn remove(root: &Root, upload: &Upload) -> bool {
    let Some(name) = upload.id.as_deref().filter(|name| is_partial_name(name)) else { return false };
    let dir = root.parent(upload.key.as_str());
    dir.is_ok_and(|(dir, _)| unlinkat(dir, name, AtFlags::empty()).is_ok())
}
