//! Blobs that get what header rules say: their properties, their metadata and their tier are set, each only if the blob
//! has the version that was seen.

use azure_core::http::Etag;
use azure_core::http::headers::HeaderName;
use azure_storage_blob::models::{AccessTier, BlobClientSetMetadataOptions};

use super::Inner;
use super::error::Failure;
use super::facts::{Facts, Tier, quoted};
use super::keep::Dress;
use super::ops::Op;
use super::put::acknowledged;
use super::read::{archived, entry_of, raced};
use crate::model::{DigestKind, Entry, Expect, Readable, Retype, Style, Version};
use crate::replica::object::{content_type, shown};
use crate::replica::{Cause, Error, Put, Restyled};

impl Dress {
    /// Takes what rules say; it wins.
    pub(super) fn wear(&mut self, style: &Style) {
        self.attributes.take(style);
        self.metadata.extend(style.metadata.iter().map(|(name, value)| (name.clone(), value.clone())));
        if let Some(tier) = style.storage_class.as_deref().and_then(|tier| tier.parse().ok()) {
            self.tier = Some(tier);
        }
    }
}

impl Inner {
    /// See [`crate::replica::Replica::lacks`].
    pub(super) async fn lacks(
        &self,
        blob: &str,
        expect: &Version,
        style: &Style,
        retype: Retype,
    ) -> Result<bool, Error> {
        Ok(differs(blob, &self.seen(blob, expect).await?, style, retype))
    }

    /// See [`crate::replica::Replica::restyle`].
    pub(super) async fn restyle(&self, blob: &str, put: &Put<'_>, retype: Retype) -> Result<Restyled, Error> {
        let (Expect::Version(version), Some(style)) = (put.expect, put.style) else {
            return Err(Error::new(Cause::Unsupported, format!("{}: there is nothing to change", shown(blob))));
        };
        let facts = self.seen(blob, version).await?;
        if !differs(blob, &facts, style, retype) {
            return Ok(Restyled::AsRuled);
        }
        let mut entry = entry_of(blob, &facts)?;
        if entry.readable == Readable::Archived {
            return Err(Error { cause: Cause::Unsupported, ..archived(blob) });
        }
        // Each change gives another ETag: a killed run must be able to tell that the content is the same.
        let blake3 = put.digests.get(DigestKind::Blake3);
        if entry.digests.is_empty() && blake3.is_none() {
            let message =
                format!("{}: nothing would tell its content after a change, so its headers stay", shown(blob));
            return Err(Error::new(Cause::Unsupported, message).hint("store it again, then it has a digest"));
        }
        let mut wanted = Dress {
            attributes: facts.attributes.clone(),
            metadata: facts.metadata.clone().into_iter().collect(),
            ..Dress::default()
        };
        wanted.state_digests(put.digests);
        wanted.wear(style);
        if retype == Retype::ByName && style.content_type.is_none() {
            wanted.attributes.content_type = Some(content_type(blob).to_owned());
        }
        let mut version = version.clone();
        let had = facts.metadata.clone().into_iter().collect();
        if wanted.metadata != had {
            let set = self.set_metadata(blob, &version, &wanted).await;
            version = set.map_err(|failure| self.write_error(&failure, Op::SetBlobMetadata, blob))?;
        }
        let tier = wanted.tier.take().filter(|_| other_tier(&facts, style));
        let mut attributes = wanted.attributes.clone();
        attributes.metadata.clone_from(&facts.attributes.metadata);
        if attributes != facts.attributes {
            let set = self.set_properties(blob, &version, wanted, &facts).await;
            version = set.map_err(|failure| self.write_error(&failure, Op::SetBlobProperties, blob))?;
        }
        if let Some(tier) = tier {
            let set = self.set_tier(blob, tier).await;
            set.map_err(|failure| self.write_error(&failure, Op::SetBlobTier, blob))?;
        }
        entry.version = version;
        entry.digests.extend(blake3.cloned());
        Ok(Restyled::Done(entry))
    }

    /// What was copied with all that it had gets what rules say.
    pub(super) async fn restyle_copy(&self, blob: &str, copied: Entry, put: &Put<'_>) -> Result<Entry, Error> {
        if put.style.is_none_or(Style::is_empty) {
            return Ok(copied);
        }
        let (expect, digests) = (Expect::Version(copied.version.clone()), copied.digests.clone());
        match self.restyle(blob, &Put { expect: &expect, digests: &digests, ..*put }, Retype::Keep).await? {
            Restyled::AsRuled => Ok(copied),
            Restyled::Done(entry) => Ok(Entry { version: entry.version, ..copied }),
        }
    }

    async fn seen(&self, blob: &str, expect: &Version) -> Result<Facts, Error> {
        let Some(facts) = self.head(blob).await? else { return Err(raced(blob, "is gone")) };
        if entry_of(blob, &facts)?.version != *expect {
            return Err(raced(blob, "was changed by somebody else"));
        }
        Ok(facts)
    }

    async fn set_metadata(&self, blob: &str, version: &Version, dress: &Dress) -> Result<Version, Failure> {
        let client = self.wire.blob(blob)?;
        let if_match = Some(Etag::from(quoted(version)));
        let options = BlobClientSetMetadataOptions { if_match, ..BlobClientSetMetadataOptions::default() };
        let answer = self.wire.send(Op::SetBlobMetadata, 0, async {
            let answer = client.set_metadata(&dress.metadata, Some(options)).await?;
            Ok(answer.headers().get_optional_string(&HeaderName::from_static("etag")))
        });
        acknowledged(answer.await?.as_deref())
    }

    /// Takes no condition, and does not move the ETag.
    async fn set_tier(&self, blob: &str, tier: AccessTier) -> Result<(), Failure> {
        let client = self.wire.blob(blob)?;
        self.wire.send(Op::SetBlobTier, 0, async { client.set_tier(tier, None).await.map(drop) }).await
    }
}

fn other_tier(facts: &Facts, style: &Style) -> bool {
    style.storage_class.as_ref().is_some_and(|wanted| facts.tier != Tier::Chosen(wanted.clone()))
}

fn differs(blob: &str, facts: &Facts, style: &Style, retype: Retype) -> bool {
    let mistyped = retype == Retype::ByName
        && style.content_type.is_none()
        && facts.attributes.content_type.as_deref() != Some(content_type(blob));
    facts.attributes.lacks(style) || other_tier(facts, style) || mistyped
}
