//! Looking at one blob and reading it.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::http::headers::Headers;
use azure_core::http::response::AsyncResponseBody;
use azure_storage_blob::models::{BlobClientDownloadOptions, HttpRange};
use bytes::Bytes;
use futures_util::StreamExt as _;

use super::Inner;
use super::error::Failure;
use super::facts::{Facts, quoted, unquoted};
use super::ops::Op;
use crate::model::{Digest, DigestKind, Entry, Expect, Key, Readable, Version};
use crate::replica::object::shown;
use crate::replica::retry::{Patience, repeat};
use crate::replica::shelf::Shelf;
use crate::replica::{Attributes, Cause, Content, Error, Pieces, WHOLE_LIMIT};

/// For how long an answer proves that the container is there, where a 404 does not say what is missing.
const CONTAINER_PROOF: Duration = Duration::from_secs(5);

/// The way out of the archive.
pub(super) const ONLINE: &str = "Move the blob to an online tier first";

pub(super) const AGAIN: Cause = Cause::Transient { throttled: false, after: None };

impl Inner {
    /// HEAD of a blob; `None` is proof of absence.
    pub(super) async fn head(&self, blob: &str) -> Result<Option<Facts>, Error> {
        let failed = |failure: &Failure| self.wire.fold(failure, Op::GetBlobProperties, Some(blob));
        let client = self.wire.blob(blob).map_err(|failure| failed(&failure))?;
        let answer = self.wire.send(Op::GetBlobProperties, 0, async {
            let answer = client.get_properties(None).await?;
            Ok(Facts::of(answer.headers()))
        });
        match answer.await {
            Ok(facts) => Ok(Some(facts)),
            Err(failure) if failure.is_absent_blob() => {
                if failure.code.is_none() && !self.wire.answered_within(CONTAINER_PROOF) {
                    self.page(self.names.prefix(), None, 1).await?;
                }
                Ok(None)
            }
            Err(failure) => Err(failed(&failure)),
        }
    }

    /// The entry of a blob.
    pub(super) async fn look_up(&self, blob: &str) -> Result<Option<Entry>, Error> {
        self.head(blob).await?.map(|facts| entry_of(blob, &facts)).transpose()
    }

    /// Looks right before a write whether what is expected is there.
    pub(super) async fn must_be(&self, blob: &str, expect: &Expect) -> Result<(), Error> {
        match (expect, self.look_up(blob).await?) {
            (Expect::Absent, None) => Ok(()),
            (Expect::Version(version), Some(entry)) if entry.version == *version => Ok(()),
            (Expect::Absent, Some(_)) => Err(raced(blob, "was created by somebody else")),
            (Expect::Version(_), Some(_)) => Err(raced(blob, "was changed by somebody else")),
            (Expect::Version(_), None) => Err(raced(blob, "is gone")),
        }
    }

    /// GET of a blob that has this version.
    async fn get(&self, blob: &str, version: &Version, ask: Ask) -> Result<Got, Error> {
        let client = self.wire.blob(blob).map_err(|failure| self.wire.fold(&failure, Op::GetBlob, Some(blob)))?;
        let (offset, most) = match ask {
            Ask::Whole => (0, usize::try_from(WHOLE_LIMIT).unwrap_or(usize::MAX)),
            Ask::Range { offset, len } => (offset, len),
        };
        let answer = self.wire.send(Op::GetBlob, most as u64, async {
            let options = BlobClientDownloadOptions {
                if_match: Some(quoted(version).into()),
                parallel: Some(NonZero::<usize>::MIN),
                // One request, whatever the size: the rest is ours to ask for.
                partition_size: NonZero::new(most),
                range: Some(HttpRange::new(offset, most as u64)),
                ..BlobClientDownloadOptions::default()
            };
            let answer = client.download(Some(options)).await?;
            let (facts, span) = (Facts::of(&answer.headers), span(&answer.headers));
            let too_large = ask == Ask::Whole && facts.size.is_some_and(|size| size > WHOLE_LIMIT);
            let told = match (span, facts.size) {
                (Some((_, len)), _) => len,
                (None, Some(size)) => size,
                (None, None) => most as u64,
            };
            let room = usize::try_from(told).map_or(most, |told| told.min(most));
            let body = if too_large { None } else { Some(read_body(answer.body, room, &self.shelf).await?) };
            Ok(Got { facts, span, body })
        });
        let got = match answer.await {
            Ok(got) => got,
            // Where nothing is, no version is either.
            Err(failure) if failure.is_precondition() => {
                return Err(if self.head(blob).await?.is_some() { changed(blob) } else { gone(blob) });
            }
            Err(failure) => return Err(self.wire.fold(&failure, Op::GetBlob, Some(blob))),
        };
        // A server that ignores If-Match answers with whatever is there.
        if got.facts.etag.as_deref() != Some(unquoted(version.as_str())) {
            return Err(changed(blob));
        }
        Ok(got)
    }

    /// A small blob of our own, with the version that it has; `None` if it is not there.
    pub(super) async fn read_small(&self, blob: &str) -> Result<Option<(Bytes, Version)>, Error> {
        let Some(facts) = self.head(blob).await? else { return Ok(None) };
        let entry = entry_of(blob, &facts)?;
        let got = self.get(blob, &entry.version, Ask::Whole).await?;
        Ok(Some((got.body.unwrap_or_default(), entry.version)))
    }
}

/// What a GET is to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// All of it, if that is not more than fits into one request.
    Whole,
    /// A range that is known to exist.
    Range { offset: u64, len: usize },
}

/// What a GET gave.
struct Got {
    facts: Facts,
    /// Offset and length of the bytes, as the answer names them; `None` for all.
    span: Option<(u64, u64)>,
    /// `None`: the blob is too large to be held, and was not read.
    body: Option<Bytes>,
}

/// Offset and length in a `Content-Range`.
fn span(headers: &Headers) -> Option<(u64, u64)> {
    let range = headers.get_optional_str(&"content-range".into())?.strip_prefix("bytes ")?;
    let (first, last) = range.split_once('/')?.0.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    Some((first, last.checked_sub(first)? + 1))
}

/// Reads a body of at most `room` bytes into a buffer of that size.
async fn read_body(mut body: AsyncResponseBody, room: usize, shelf: &Shelf) -> azure_core::Result<Bytes> {
    let (mut all, mut filled) = (shelf.take(room), 0);
    while let Some(chunk) = body.next().await {
        let chunk = chunk?;
        let until = filled + chunk.len();
        let Some(place) = all[..room].get_mut(filled..until) else {
            let kind = azure_core::error::ErrorKind::DataConversion;
            return Err(azure_core::Error::with_message(kind, "the body is longer than announced"));
        };
        place.copy_from_slice(&chunk);
        filled = until;
    }
    Ok(shelf.give(all, filled))
}

/// The entry that an answer describes.
pub(super) fn entry_of(blob: &str, facts: &Facts) -> Result<Entry, Error> {
    facts
        .entry()
        .ok_or_else(|| Error::new(AGAIN, format!("look up {}: the answer has no ETag or no size", shown(blob))))
}

pub(super) fn changed(blob: &str) -> Error {
    Error::new(Cause::Changed, format!("{} has another version now", shown(blob)))
}

pub(super) fn gone(blob: &str) -> Error {
    Error::new(Cause::NotFound, format!("{} is gone", shown(blob)))
}

/// The content can't be read, copied or kept where it is.
pub(super) fn archived(blob: &str) -> Error {
    Error::new(Cause::Refused, format!("{} is archived", shown(blob))).hint(ONLINE)
}

/// Somebody else was faster.
pub(super) fn raced(blob: &str, what: &str) -> Error {
    Error::new(Cause::Precondition, format!("{} {what}", shown(blob)))
}

/// Opens a blob of this version.
pub(super) async fn open(inner: &Arc<Inner>, key: &Key, expect: &Version) -> Result<Content, Error> {
    let blob = inner.names.object(key);
    let mut doubts = 0;
    loop {
        let got = inner.get(&blob, expect, Ask::Whole).await?;
        let mut entry = entry_of(&blob, &got.facts)?;
        let attributes = Arc::new(got.facts.attributes);
        let Some(bytes) = got.body else {
            return Ok(Content::Pieces(Arc::new(Ranges { inner: Arc::clone(inner), blob, entry, attributes })));
        };
        if bytes.len() as u64 != entry.size {
            return Err(Error::new(AGAIN, format!("read {}: the body ended early", shown(&blob))));
        }
        let blake3 = Digest::from_bytes(DigestKind::Blake3, blake3::hash(&bytes).as_bytes());
        match entry.digests.get(DigestKind::Blake3) {
            Some(recorded) if *recorded != blake3 => {
                doubts += 1;
                // Once may be a fault on the way.
                if doubts > 1 {
                    return Err(Error::new(
                        Cause::Refused,
                        format!("{} does not hold the bytes that its recorded digest names", shown(&blob)),
                    )
                    .hint("Another program changed it and kept its metadata; store it again"));
                }
            }
            _ => {
                entry.digests.add(blake3.clone());
                return Ok(Content::Whole { entry, bytes, blake3, attributes: Some(attributes) });
            }
        }
    }
}

/// As [`open`], for content that is known to be large: nothing of it is read before it is asked for.
pub(super) async fn open_large(inner: &Arc<Inner>, key: &Key, expect: &Version) -> Result<Content, Error> {
    let blob = inner.names.object(key);
    let Some(facts) = inner.head(&blob).await? else { return Err(gone(&blob)) };
    let entry = entry_of(&blob, &facts)?;
    if entry.version != *expect {
        return Err(changed(&blob));
    }
    if entry.readable == Readable::Archived {
        return Err(archived(&blob));
    }
    let attributes = Arc::new(facts.attributes);
    Ok(Content::Pieces(Arc::new(Ranges { inner: Arc::clone(inner), blob, entry, attributes })))
}

/// A large blob, read by ranges that are pinned to its version.
#[derive(Debug)]
struct Ranges {
    inner: Arc<Inner>,
    blob: String,
    entry: Entry,
    attributes: Arc<Attributes>,
}

impl Ranges {
    async fn range(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
        let got = self.inner.get(&self.blob, &self.entry.version, Ask::Range { offset, len }).await?;
        let all = offset == 0 && len as u64 == self.entry.size;
        if got.span != Some((offset, len as u64)) && !(got.span.is_none() && all) {
            return Err(Error::new(Cause::Refused, format!("read {}: the server ignores ranges", shown(&self.blob))));
        }
        match got.body {
            Some(bytes) if bytes.len() == len => Ok(bytes),
            _ => Err(Error::new(AGAIN, format!("read {}: the body ended early", shown(&self.blob)))),
        }
    }
}

#[async_trait]
impl Pieces for Ranges {
    fn entry(&self) -> &Entry {
        &self.entry
    }

    fn attributes(&self) -> Option<&Attributes> {
        Some(&self.attributes)
    }

    async fn read(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
        if offset.checked_add(len as u64).is_none_or(|end| end > self.entry.size) {
            return Err(changed(&self.blob));
        }
        if len == 0 {
            return Ok(Bytes::new());
        }
        repeat(Patience::default(), || self.range(offset, len)).await
    }

    async fn unchanged(&self) -> Result<(), Error> {
        match repeat(Patience::default(), || self.inner.look_up(&self.blob)).await? {
            Some(entry) if entry.version == self.entry.version => Ok(()),
            _ => Err(changed(&self.blob)),
        }
    }
}
