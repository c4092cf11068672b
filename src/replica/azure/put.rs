//! Storing content that fits into one request, and what all writes share: the precondition and the entry they return.

use std::num::NonZero;

use azure_core::http::{ClientMethodOptions, Context, Etag};
use azure_storage_blob::models::BlockBlobClientUploadOptions;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use md5::{Digest as _, Md5};

use super::Inner;
use super::authorize::BodyMd5;
use super::error::{Failure, Stage};
use super::facts::{quoted, unquoted};
use super::keep::Dress;
use super::ops::Op;
use super::read::{entry_of, raced};
use crate::model::{Digest, DigestKind, Entry, Expect, Readable, Version};
use crate::replica::object::shown;
use crate::replica::{Ability, Cause, Error, Put};

/// `If-Match` and `If-None-Match`.
#[derive(Debug, Clone, Default)]
pub(super) struct Condition {
    pub(super) if_match: Option<Etag>,
    pub(super) if_none_match: Option<Etag>,
}

impl Condition {
    /// What has to be there.
    pub(super) fn of(expect: &Expect) -> Self {
        match expect {
            Expect::Absent => Self { if_match: None, if_none_match: Some("*".into()) },
            Expect::Version(version) => Self { if_match: Some(quoted(version).into()), if_none_match: None },
        }
    }
}

impl Inner {
    /// Stores content in one request.
    pub(super) async fn put_whole(
        &self,
        blob: &str,
        bytes: &Bytes,
        blake3: &Digest,
        put: &Put<'_>,
    ) -> Result<Entry, Error> {
        if put.digests.get(DigestKind::Blake3).is_some_and(|planned| planned != blake3) {
            return Err(Error::new(Cause::Changed, format!("{} changed since it was planned", shown(blob))));
        }
        let dress = self.prepare(blob, put).await?;
        let md5 = Md5::digest(bytes);
        let version = self.send_blob(blob, bytes, &md5, dress, Condition::of(put.expect)).await;
        let version = version.map_err(|failure| self.write_error(&failure, Op::PutBlob, blob))?;
        put.meter.add(bytes.len() as u64);
        Ok(stored(bytes.len() as u64, version, &md5, put))
    }

    /// PutBlob. The service verifies the MD5 and keeps it.
    pub(super) async fn send_blob(
        &self,
        blob: &str,
        bytes: &Bytes,
        md5: &[u8],
        dress: Dress,
        condition: Condition,
    ) -> Result<Version, Failure> {
        let client = self.wire.blocks(blob)?;
        let Dress { attributes, metadata, tags, tier } = dress;
        let options = BlockBlobClientUploadOptions {
            blob_cache_control: attributes.cache_control,
            blob_content_disposition: attributes.content_disposition,
            blob_content_encoding: attributes.content_encoding,
            blob_content_language: attributes.content_language,
            blob_content_md5: Some(md5.to_vec()),
            blob_content_type: attributes.content_type,
            blob_tags_string: tags,
            if_match: condition.if_match,
            if_none_match: condition.if_none_match,
            metadata: Some(metadata),
            method_options: with_md5(md5),
            // One request, whatever the size.
            partition_size: Some(NonZero::<u64>::MAX),
            tier,
            ..BlockBlobClientUploadOptions::default()
        };
        let upload = async { client.upload(bytes.clone().into(), Some(options)).await };
        let answer = self.wire.send(Op::PutBlob, bytes.len() as u64, upload).await?;
        acknowledged(answer.etag.as_ref().map(AsRef::as_ref))
    }

    /// What a blob is to be written with, after looking at what is there where that is needed.
    pub(super) async fn prepare(&self, blob: &str, put: &Put<'_>) -> Result<Dress, Error> {
        let mut dress = match put.expect {
            Expect::Absent => {
                if self.ability(|probe| probe.conditional_put) == Ability::Missing {
                    self.must_be(blob, put.expect).await?;
                }
                Dress::fresh(blob)
            }
            Expect::Version(version) => {
                let Some(facts) = self.head(blob).await? else { return Err(raced(blob, "is gone")) };
                if entry_of(blob, &facts)?.version != *version {
                    return Err(raced(blob, "was changed by somebody else"));
                }
                let tags = self.tags_of(blob, &facts).await?;
                Dress::kept(blob, &facts, tags)
            }
        };
        if let Some(attributes) = put.attributes {
            let impossible = dress.take(attributes);
            self.left_out(&impossible);
        }
        if let Some(style) = put.style {
            dress.wear(style);
        }
        dress.state(put);
        Ok(dress)
    }

    /// The error of a failed write: what should be there may be gone.
    pub(super) fn write_error(&self, failure: &Failure, op: Op, blob: &str) -> Error {
        let error = self.wire.fold(failure, op, Some(blob));
        match error.cause {
            Cause::NotFound => Error { cause: Cause::Precondition, ..error },
            _ => error,
        }
    }
}

/// Options with the MD5 of the body, for the service to verify.
pub(super) fn with_md5(md5: &[u8]) -> ClientMethodOptions<'static> {
    ClientMethodOptions { context: Context::new().with_value(BodyMd5(BASE64.encode(md5))) }
}

/// A version that the service acknowledged; no ETag, no proof.
pub(super) fn acknowledged(etag: Option<&str>) -> Result<Version, Failure> {
    match etag.map(unquoted).filter(|etag| !etag.is_empty()) {
        Some(etag) => Ok(Version::new(etag)),
        None => Err(Failure::at(Stage::Unreadable)),
    }
}

/// The entry of what was just stored.
pub(super) fn stored(size: u64, version: Version, md5: &[u8], put: &Put<'_>) -> Entry {
    let mut digests = put.digests.clone();
    digests.add(Digest::from_bytes(DigestKind::Md5, md5));
    Entry { size, version, modified_ns: put.mtime_ns, digests, readable: Readable::Yes }
}
