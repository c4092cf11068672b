//! Copying inside the account: no bytes are sent, and everything the source carries goes along.

use std::time::Duration;

use azure_core::http::Etag;
use azure_core::http::headers::HeaderName;
use azure_storage_blob::models::{BlobClientSetPropertiesOptions, BlobClientStartCopyFromUrlOptions};
use tokio::time::Instant;

use super::Inner;
use super::error::Failure;
use super::facts::{Facts, OF_CONTENT, md5_digest, quoted};
use super::keep::Dress;
use super::ops::Op;
use super::put::{Condition, acknowledged};
use super::read::{AGAIN, entry_of, raced};
use crate::model::{DigestKind, Entry, Readable, Version};
use crate::replica::object::{content_type, shown};
use crate::replica::retry::{Patience, repeat};
use crate::replica::{Ability, Cause, Error, Put};

/// A copy inside an account is done when it is answered, but nothing promises that.
const LONGEST: Duration = Duration::from_secs(900);
const PAUSE: Duration = Duration::from_secs(1);

/// Where a copy comes from, and which version that has to be.
pub(super) struct Source<'a> {
    /// With leave to read it, where that is needed: never shown.
    pub(super) url: String,
    pub(super) version: &'a Version,
}

impl Inner {
    /// Copies the blob `from` to the blob `to`.
    pub(super) async fn copy(
        &self,
        from: &str,
        from_version: &Version,
        to: &str,
        put: &Put<'_>,
    ) -> Result<Entry, Error> {
        if self.ability(|probe| probe.copy) == Ability::Missing {
            return Err(Error::new(Cause::Unsupported, format!("{} can't copy blobs", self.name)));
        }
        let Some(source) = self.head(from).await? else { return Err(raced(from, "is gone")) };
        let found = entry_of(from, &source)?;
        if found.version != *from_version {
            return Err(raced(from, "was changed by somebody else"));
        }
        if found.readable == Readable::Archived {
            return Err(Error::new(Cause::Unsupported, format!("{} is archived", shown(from))));
        }
        if self.ability(|probe| probe.conditional_put) == Ability::Missing {
            self.must_be(to, put.expect).await?;
        }
        let tags = self.tags_of(from, &source).await?;
        let dress = copied(from, to, &source, tags, put);
        let retyped = dress.attributes.content_type != source.attributes.content_type;
        let sent = self.send_copy(self.own(from, from_version)?, to, &dress, Condition::of(put.expect)).await;
        let (version, status) = sent.map_err(|failure| self.write_error(&failure, Op::CopyBlob, to))?;
        let mut version = if status == "success" { version } else { self.wait_for(to).await? };
        if retyped {
            let set = self.set_properties(to, &version, dress, &source).await;
            version = set.map_err(|failure| self.write_error(&failure, Op::SetBlobProperties, to))?;
        }
        let mut digests = put.digests.clone();
        let kinds = [DigestKind::Blake3, DigestKind::Md5];
        digests.merge(&found.digests.iter().filter(|digest| kinds.contains(&digest.kind)).cloned().collect());
        let copied = Entry { size: found.size, version, modified_ns: put.mtime_ns, digests, readable: Readable::Yes };
        self.restyle_copy(to, copied, put).await
    }

    /// A blob of this container as the source of a copy.
    pub(super) fn own<'a>(&self, blob: &str, version: &'a Version) -> Result<Source<'a>, Error> {
        let url = self.wire.source_url(blob);
        let url = url.map_err(|failure| self.wire.fold(&failure, Op::CopyBlob, Some(blob)))?;
        Ok(Source { url, version })
    }

    /// CopyBlob. Gives the version and how far the copy is.
    pub(super) async fn send_copy(
        &self,
        source: Source<'_>,
        to: &str,
        dress: &Dress,
        condition: Condition,
    ) -> Result<(Version, String), Failure> {
        let client = self.wire.blob(to)?;
        let options = BlobClientStartCopyFromUrlOptions {
            blob_tags_string: dress.tags.clone(),
            if_match: condition.if_match,
            if_none_match: condition.if_none_match,
            metadata: Some(dress.metadata.clone()),
            source_if_match: Some(quoted(source.version).into()),
            tier: dress.tier.clone(),
            ..BlobClientStartCopyFromUrlOptions::default()
        };
        let answer = self.wire.send(Op::CopyBlob, 0, async {
            let answer = client.start_copy_from_url(source.url, Some(options)).await?;
            let header = |name| answer.headers().get_optional_string(&HeaderName::from_static(name));
            Ok((header("etag"), header("x-ms-copy-status").unwrap_or_default()))
        });
        let (etag, status) = answer.await?;
        Ok((acknowledged(etag.as_deref())?, status))
    }

    /// Waits until a copy is done. Until then the blob is there and incomplete, which listings and looks tell.
    pub(super) async fn wait_for(&self, blob: &str) -> Result<Version, Error> {
        let until = Instant::now() + LONGEST;
        loop {
            let facts = repeat(Patience::default(), || self.head(blob)).await?;
            let Some(facts) = facts else { return Err(raced(blob, "was copied, and is not there")) };
            match facts.copy.as_deref() {
                Some("pending") if Instant::now() < until => tokio::time::sleep(PAUSE).await,
                Some("pending") => {
                    return Err(Error::new(AGAIN, format!("the copy to {} is not done yet", shown(blob))));
                }
                Some("success") => return Ok(entry_of(blob, &facts)?.version),
                _ => return Err(Error::new(AGAIN, format!("the copy to {} failed at the service", shown(blob)))),
            }
        }
    }

    /// SetBlobProperties of a copy: the headers come from the source otherwise.
    pub(super) async fn set_properties(
        &self,
        blob: &str,
        version: &Version,
        dress: Dress,
        source: &Facts,
    ) -> Result<Version, Failure> {
        let client = self.wire.blob(blob)?;
        let attributes = dress.attributes;
        let options = BlobClientSetPropertiesOptions {
            blob_cache_control: attributes.cache_control,
            blob_content_disposition: attributes.content_disposition,
            blob_content_encoding: attributes.content_encoding,
            blob_content_language: attributes.content_language,
            blob_content_md5: source.md5.as_deref().and_then(raw_md5),
            blob_content_type: attributes.content_type,
            if_match: Some(Etag::from(quoted(version))),
            ..BlobClientSetPropertiesOptions::default()
        };
        let answer = self.wire.send(Op::SetBlobProperties, 0, async {
            let answer = client.set_properties(Some(options)).await?;
            Ok(answer.headers().get_optional_string(&HeaderName::from_static("etag")))
        });
        acknowledged(answer.await?.as_deref())
    }
}

fn raw_md5(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    md5_digest(text)?;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// The source's headers with our digest and mtime; recorded values of the source stay where we have none. A type that
/// came from the old name gives way to that of the new one.
fn copied(from: &str, to: &str, source: &Facts, tags: Option<String>, put: &Put<'_>) -> Dress {
    let mut dress = Dress::kept(to, source, tags);
    dress.attributes.content_type.clone_from(&source.attributes.content_type);
    if source.attributes.content_type.as_deref() == Some(content_type(from)) {
        dress.attributes.content_type = Some(content_type(to).to_owned());
    }
    for name in OF_CONTENT {
        if let Some(value) = source.metadata.get(name) {
            dress.metadata.insert(name.to_owned(), value.clone());
        }
    }
    dress.state(put);
    dress
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::fake::{put_of, whole};
    use crate::replica::object::{BLAKE3, MTIME};

    #[test]
    fn a_copy_keeps_what_the_source_recorded_and_adds_what_we_know() {
        let metadata = [(MTIME, "5"), ("author", "me"), (BLAKE3, "old")];
        let mut source =
            Facts { metadata: metadata.map(|(n, v)| (n.to_owned(), v.to_owned())).into(), ..Facts::default() };
        source.attributes.metadata.insert("author".to_owned(), "me".to_owned());
        source.attributes.content_type = Some("image/png".to_owned());
        let content = whole(b"x");
        let put = put_of(&content);
        let dress = copied("b.png", "a.webp", &source, None, &put.as_put());
        assert_eq!((dress.metadata[MTIME].as_str(), dress.metadata["author"].as_str()), ("5", "me"));
        assert_eq!(dress.metadata[BLAKE3], blake3::hash(b"x").to_hex().as_str());
        assert_eq!(dress.attributes.content_type.as_deref(), Some("image/webp"));
        source.attributes.content_type = Some("text/x-own".to_owned());
        let kept = copied("b.png", "a.webp", &source, None, &put.as_put());
        assert_eq!(kept.attributes.content_type.as_deref(), Some("text/x-own"));
    }
}
