//! Looking at one object and reading it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ChecksumMode, ServerSideEncryption};
use bytes::Bytes;

use super::Inner;
use super::carried::{attributes_of_get, attributes_of_head};
use super::error::Failure;
use super::metadata::Facts;
use super::names::{quoted, shown};
use super::ops::Op;
use super::receiver::read_body;
use crate::model::{Digest, DigestKind, Entry, Key, Version};
use crate::replica::arrival::{Check, check_whole, not_as_recorded};
use crate::replica::retry::{Patience, repeat};
use crate::replica::{Ability, Attributes, Cause, Content, Error, Pieces, WHOLE_LIMIT};

/// For how long an answer proves that the bucket is there. A HEAD has no body, so its 404 can't tell a missing object
/// from a missing bucket.
const BUCKET_PROOF: Duration = Duration::from_secs(5);

impl Inner {
    /// HEAD of an object; `None` is proof of absence.
    pub(super) async fn head(&self, object: &str) -> Result<Option<Box<HeadObjectOutput>>, Error> {
        let asks = !self.checksums_off.load(Ordering::Relaxed) && self.ability(|p| p.checksums) != Ability::Missing;
        let failure = match self.head_once(object, asks).await {
            Ok(output) => return Ok(Some(output)),
            Err(failure) => failure,
        };
        if failure.status == Some(404) {
            self.prove_bucket().await?;
            return Ok(None);
        }
        // Backblaze refuses the header that asks for checksums.
        if asks
            && failure.status == Some(400)
            && let Ok(output) = self.head_once(object, false).await
        {
            self.checksums_off.store(true, Ordering::Relaxed);
            return Ok(Some(output));
        }
        let failure = self.with_code(failure, Some(object)).await;
        Err(self.wire.fold(&failure, Op::HeadObject, Some(object)))
    }

    /// The answer to HEAD has no body, so that its 403 does not say whether the key is wrong or lacks a permission: the
    /// same is asked once more in a way whose answer has one, unless the bucket just answered with success.
    async fn with_code(&self, failure: Failure, object: Option<&str>) -> Failure {
        if failure.status != Some(403) || failure.code.is_some() || self.wire.answered_within(BUCKET_PROOF) {
            return failure;
        }
        let bucket = self.wire.bucket();
        let told = if let Some(object) = object {
            let answer = self.wire.send(Op::GetObject, 0, |client| {
                client.get_object().bucket(bucket).key(object).range("bytes=0-0").send()
            });
            answer.await.map(drop)
        } else {
            let answer =
                self.wire.send(Op::ListObjects, 0, |client| client.list_objects_v2().bucket(bucket).max_keys(1).send());
            answer.await.map(drop)
        };
        match told {
            Err(told) if told.status == Some(403) && told.code.is_some() => told,
            _ => failure,
        }
    }

    /// Boxed: it is several KiB, and callers hold it while they wait.
    async fn head_once(&self, object: &str, with_checksums: bool) -> Result<Box<HeadObjectOutput>, Failure> {
        let mode = with_checksums.then_some(ChecksumMode::Enabled);
        let output = self.wire.send(Op::HeadObject, 0, |client| {
            client.head_object().bucket(self.wire.bucket()).key(object).set_checksum_mode(mode.clone()).send()
        });
        output.await.map(Box::new)
    }

    /// Makes sure that the bucket is there now.
    async fn prove_bucket(&self) -> Result<(), Error> {
        if self.wire.answered_within(BUCKET_PROOF) {
            return Ok(());
        }
        let answer = self.wire.send(Op::HeadBucket, 0, |client| client.head_bucket().bucket(self.wire.bucket()).send());
        match answer.await {
            Ok(_) => Ok(()),
            Err(failure) if failure.status == Some(404) => {
                let failure = Failure { code: Some("NoSuchBucket".into()), ..failure };
                Err(self.wire.fold(&failure, Op::HeadBucket, None))
            }
            Err(failure) => {
                let failure = self.with_code(failure, None).await;
                Err(self.wire.fold(&failure, Op::HeadBucket, None))
            }
        }
    }

    /// The entry of an object, with the version that listings show.
    pub(super) async fn look_up(&self, object: &str) -> Result<Option<Entry>, Error> {
        match self.head(object).await? {
            Some(head) => self.entry_of_head(object, &head).await.map(Some),
            None => Ok(None),
        }
    }

    /// The entry that an answer to HEAD describes.
    pub(super) async fn entry_of_head(&self, object: &str, head: &HeadObjectOutput) -> Result<Entry, Error> {
        let mut entry = Facts::of_head(head).entry().ok_or_else(|| unproven(object))?;
        if self.ability(|probe| probe.same_etags) == Ability::Missing {
            entry.version = self.listed_version(object).await?.ok_or_else(|| unproven(object))?;
        }
        Ok(entry)
    }

    /// The version that a write was acknowledged with, as listings show it.
    pub(super) async fn settled_version(&self, object: &str, etag: &str) -> Result<Version, Error> {
        if self.ability(|probe| probe.same_etags) != Ability::Missing {
            return Ok(Version::new(etag));
        }
        self.listed_version(object).await?.ok_or_else(|| unproven(object))
    }
}

pub(super) fn unproven(object: &str) -> Error {
    let again = Cause::Transient { throttled: false, after: None };
    Error::new(again, format!("look up {}: the answer has no ETag or no size", shown(object)))
}

pub(super) fn changed(object: &str) -> Error {
    Error::new(Cause::Changed, format!("{} has another version now", shown(object)))
}

/// Opens an object of this version.
pub(super) async fn open(inner: &Arc<Inner>, key: &Key, expect: &Version) -> Result<Content, Error> {
    let object = inner.names.object(key);
    let whole = |got: Whole| Content::Whole {
        entry: got.entry,
        bytes: got.bytes,
        blake3: got.blake3,
        attributes: Some(Arc::new(got.attributes)),
    };
    let first = match inner.get_whole(&object, expect).await? {
        Got::Whole(got) if got.doubt.is_none() => return Ok(whole(got)),
        Got::Whole(got) => got.blake3,
        Got::Large(entry, attributes) => return Ok(ranges(inner, object, entry, attributes)),
    };
    // The bytes are not what was recorded: once may be a fault on the way.
    let Got::Whole(again) = inner.get_whole(&object, expect).await? else { return Err(changed(&object)) };
    match again.doubt {
        None => Ok(whole(again)),
        // The same bytes twice, on a server whose ETags were never seen to be MD5s.
        Some(DigestKind::EtagMd5) if again.blake3 == first && inner.takes_etags_for_random() => Ok(whole(again)),
        Some(_) => Err(not_as_recorded(&shown(&object))),
    }
}

/// Opens an object that is known to be too large to be held. Nothing of its body is asked for.
pub(super) async fn open_large(inner: &Arc<Inner>, key: &Key, expect: &Version) -> Result<Content, Error> {
    let object = inner.names.object(key);
    let head = inner.head(&object).await?.ok_or_else(|| gone(&object))?;
    let mut entry = inner.entry_of_head(&object, &head).await?;
    if entry.version != *expect {
        return Err(changed(&object));
    }
    let is_sealed = is_sealed(head.server_side_encryption(), head.sse_customer_algorithm());
    inner.trust_etag(&mut entry, is_sealed);
    Ok(ranges(inner, object, entry, attributes_of_head(&head)))
}

fn ranges(inner: &Arc<Inner>, object: String, entry: Entry, attributes: Attributes) -> Content {
    Content::Pieces(Arc::new(Ranges { inner: Arc::clone(inner), object, entry, attributes }))
}

/// Whether an object is encrypted in a way that makes its ETag no digest of its content
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html>).
fn is_sealed(encryption: Option<&ServerSideEncryption>, customer_algorithm: Option<&str>) -> bool {
    customer_algorithm.is_some()
        || matches!(encryption, Some(ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse))
}

/// What a GET of a whole object gave.
enum Got {
    Whole(Whole),
    /// Too large to be held: the body was not read.
    Large(Entry, Attributes),
}

struct Whole {
    entry: Entry,
    bytes: Bytes,
    blake3: Digest,
    attributes: Attributes,
    /// The kind of a recorded digest that the bytes contradict.
    doubt: Option<DigestKind>,
}

impl Inner {
    /// The ETag to pin reads to. Where listings show other ETags than reads, the version can't be sent: it is compared
    /// with the listing, and the read is pinned to what HEAD says.
    async fn pin(&self, object: &str, expect: &Version) -> Result<String, Error> {
        if self.ability(|probe| probe.same_etags) != Ability::Missing {
            return Ok(quoted(expect.as_str()));
        }
        let head = self.head(object).await?.ok_or_else(|| gone(object))?;
        if self.listed_version(object).await?.as_ref() != Some(expect) {
            return Err(changed(object));
        }
        head.e_tag().map(str::to_owned).ok_or_else(|| unproven(object))
    }

    async fn get_whole(&self, object: &str, expect: &Version) -> Result<Got, Error> {
        let pin = self.pin(object, expect).await?;
        let answer = self.get_object(object, &pin, None, 0).await;
        let output = answer.map_err(|failure| self.read_error(&failure, object))?;
        let mut entry = Facts::of_get(&output).entry().ok_or_else(|| unproven(object))?;
        let attributes = attributes_of_get(&output);
        // Servers that ignore If-Match answer with whatever is there.
        if super::names::unquoted(&pin) != entry.version.as_str() {
            return Err(changed(object));
        }
        entry.version = expect.clone();
        if entry.size > WHOLE_LIMIT {
            return Ok(Got::Large(entry, attributes));
        }
        let length = usize::try_from(entry.size).unwrap_or(usize::MAX);
        let is_sealed = is_sealed(output.server_side_encryption(), output.sse_customer_algorithm());
        self.trust_etag(&mut entry, is_sealed);
        let bytes = read_body(output.body, length, object, &self.shelf).await?;
        let blake3 = Digest::from_bytes(DigestKind::Blake3, blake3::hash(&bytes).as_bytes());
        let doubt = match check_whole(&entry.digests, &bytes, &blake3) {
            Check::Differs(kind) => Some(kind),
            Check::Agrees(found) => {
                if found.kind == DigestKind::Md5 {
                    *self.md5_etags.lock().unwrap_or_else(PoisonError::into_inner) = Ability::Proven;
                }
                entry.digests.add(found);
                None
            }
            Check::Untold => None,
        };
        entry.digests.add(blake3.clone());
        Ok(Got::Whole(Whole { entry, bytes, blake3, attributes, doubt }))
    }

    /// Leaves an ETag out that looks like an MD5 and is known to be none.
    fn trust_etag(&self, entry: &mut Entry, is_sealed: bool) {
        let missing = *self.md5_etags.lock().unwrap_or_else(PoisonError::into_inner) == Ability::Missing;
        if is_sealed || missing {
            entry.digests = entry.digests.iter().filter(|digest| digest.kind != DigestKind::EtagMd5).cloned().collect();
        }
    }

    /// Whether an ETag that contradicts its content twice is no digest at all: yes, unless one was seen to be the MD5.
    fn takes_etags_for_random(&self) -> bool {
        let mut known = self.md5_etags.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == Ability::Unknown {
            *known = Ability::Missing;
            self.notices.add(format!(
                "{} gives ETags that look like MD5s of the content and are none: what has no other digest is taken as it \
                 comes, checked by its length only. If that is new here, something on the way changes what is read",
                self.name
            ));
        }
        *known == Ability::Missing
    }

    fn read_error(&self, failure: &Failure, object: &str) -> Error {
        if failure.is_precondition() {
            return changed(object);
        }
        self.wire.fold(failure, Op::GetObject, Some(object))
    }
}

pub(super) fn gone(object: &str) -> Error {
    Error::new(Cause::NotFound, format!("{} is gone", shown(object)))
}

/// A large object, read by ranges that are pinned to its version.
#[derive(Debug)]
struct Ranges {
    inner: Arc<Inner>,
    object: String,
    entry: Entry,
    attributes: Attributes,
}

impl Ranges {
    async fn range(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
        let (inner, object) = (&self.inner, self.object.as_str());
        let pin = inner.pin(object, &self.entry.version).await?;
        let range = format!("bytes={offset}-{}", offset + len as u64 - 1);
        let answer = inner.get_object(object, &pin, Some(&range), len as u64).await;
        let output = answer.map_err(|failure| inner.read_error(&failure, object))?;
        let same = output.e_tag().map(super::names::unquoted) == Some(super::names::unquoted(&pin));
        // A server that ignores the range answers with the whole object.
        let expected = format!("bytes {offset}-{}/{}", offset + len as u64 - 1, self.entry.size);
        if !same || output.content_range().is_some_and(|given| given != expected) {
            return Err(changed(object));
        }
        if output.content_range().is_none() && (offset != 0 || len as u64 != self.entry.size) {
            return Err(Error::new(Cause::Refused, format!("read {}: the server ignores ranges", shown(object))));
        }
        read_body(output.body, len, object, &inner.shelf).await
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
            return Err(changed(&self.object));
        }
        if len == 0 {
            return Ok(Bytes::new());
        }
        repeat(Patience::default(), || self.range(offset, len)).await
    }

    async fn unchanged(&self) -> Result<(), Error> {
        match repeat(Patience::default(), || self.inner.look_up(&self.object)).await? {
            Some(entry) if entry.version == self.entry.version => Ok(()),
            _ => Err(changed(&self.object)),
        }
    }
}
