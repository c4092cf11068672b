//! What a blob carries besides its bytes: what a new one is given, and what an overwrite or a copy takes over. Every
//! upload replaces all headers, metadata, tags and the tier of a blob, so what is to stay is sent again.

use std::collections::HashMap;

use azure_storage_blob::models::{AccessTier, BlobTags};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Inner;
use super::facts::{self, Facts, OF_CONTENT, Tier, write_mtime};
use super::ops::Op;
use crate::model::{DigestKind, Digests};
use crate::replica::object::{BLAKE3, MTIME, content_type};
use crate::replica::{Attributes, Error, Put};

/// What a blob is written with.
#[derive(Debug, Clone, Default)]
pub(super) struct Dress {
    pub(super) attributes: Attributes,
    /// All metadata.
    pub(super) metadata: HashMap<String, String>,
    /// As `x-ms-tags` wants them.
    pub(super) tags: Option<String>,
    pub(super) tier: Option<AccessTier>,
}

impl Dress {
    /// For a new blob.
    pub(super) fn fresh(blob: &str) -> Self {
        Self { attributes: facts::fresh(blob), ..Self::default() }
    }

    /// What the blob that was there carried. New content must be readable: an archive tier is where the old content
    /// went, not where new content belongs.
    pub(super) fn kept(blob: &str, facts: &Facts, tags: Option<String>) -> Self {
        let mut attributes = facts.attributes.clone();
        // A type that says nothing is what clients without a table of types send.
        let known = attributes.content_type.take().filter(|kind| kind != "application/octet-stream");
        attributes.content_type = Some(known.unwrap_or_else(|| content_type(blob).to_owned()));
        let tier = match &facts.tier {
            Tier::Chosen(tier) => tier.parse().ok(),
            Tier::Default | Tier::Archived => None,
        };
        let metadata = std::mem::take(&mut attributes.metadata).into_iter().collect();
        Self { attributes, metadata, tags, tier }
    }

    /// Takes what the content carries at its source; it wins. Returns the names of metadata that Azure can't store.
    pub(super) fn take(&mut self, source: &Attributes) -> Vec<String> {
        let own = &mut self.attributes;
        for (mine, theirs) in [
            (&mut own.content_type, &source.content_type),
            (&mut own.cache_control, &source.cache_control),
            (&mut own.content_disposition, &source.content_disposition),
            (&mut own.content_encoding, &source.content_encoding),
            (&mut own.content_language, &source.content_language),
        ] {
            if theirs.is_some() {
                mine.clone_from(theirs);
            }
        }
        let mut impossible = Vec::new();
        for (name, value) in &source.metadata {
            if is_storable(name, value) {
                self.metadata.insert(name.clone(), value.clone());
            } else {
                impossible.push(name.clone());
            }
        }
        impossible
    }

    /// Adds our digest and the source's mtime.
    pub(super) fn state(&mut self, put: &Put<'_>) {
        self.state_digests(put.digests);
        if let Some(time) = put.mtime_ns.and_then(write_mtime) {
            self.metadata.insert(MTIME.to_owned(), time);
        }
    }

    /// Adds our digest, where it is known.
    pub(super) fn state_digests(&mut self, digests: &Digests) {
        if let Some(blake3) = digests.get(DigestKind::Blake3) {
            self.metadata.insert(BLAKE3.to_owned(), blake3.text.as_ref().to_owned());
        }
    }

    /// What an upload that is begun with this is marked with: a hash, without the mtime, because a touch is not worth
    /// sending everything again.
    pub(super) fn mark(&self) -> String {
        let mut metadata: Vec<_> = self.metadata.iter().filter(|(name, _)| *name != MTIME).collect();
        metadata.sort_unstable();
        let text = format!("{:?} {metadata:?} {:?} {:?}", self.attributes, self.tags, self.tier);
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}

/// Names of metadata are identifiers of C#, values are ASCII
/// (<https://learn.microsoft.com/en-us/rest/api/storageservices/setting-and-retrieving-properties-and-metadata-for-blob-resources>).
fn is_storable(name: &str, value: &str) -> bool {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let identifier = first && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let printable = value.bytes().all(|b| (b' '..=b'~').contains(&b)) && value.trim() == value && !value.is_empty();
    identifier && printable && !OF_CONTENT.contains(&name)
}

impl Inner {
    /// The tags of a blob, to be sent again. Their number comes with HEAD, to those who may read them.
    pub(super) async fn tags_of(&self, blob: &str, facts: &Facts) -> Result<Option<String>, Error> {
        if facts.tags == 0 {
            return Ok(None);
        }
        let failed = |failure| self.wire.fold(&failure, Op::GetBlobTags, Some(blob));
        let client = self.wire.blob(blob).map_err(failed)?;
        let answer = self.wire.send(Op::GetBlobTags, 0, async { client.get_tags(None).await?.into_model() });
        Ok(Some(tags_text(answer.await.map_err(failed)?)))
    }

    /// Says once that metadata was left out.
    pub(super) fn left_out(&self, names: &[String]) {
        if let Some(name) = names.first() {
            let name = name.escape_default();
            self.notices.add(format!(
                "metadata that Azure can't store is left out in {}: names like {name:?} are no identifiers, or values are \
                 not ASCII",
                self.name
            ));
        }
    }
}

/// `x-ms-tags`: a query string.
fn tags_text(tags: BlobTags) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut pairs: Vec<String> = HashMap::<String, String>::from(tags)
        .iter()
        .map(|(key, value)| format!("{}={}", encoded(key), encoded(value)))
        .collect();
    pairs.sort_unstable();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::fake::{put_of, whole};

    fn old() -> Facts {
        let mut facts = Facts { tier: Tier::Chosen("Cool".to_owned()), ..Facts::default() };
        facts.attributes.cache_control = Some("max-age=7".to_owned());
        facts.attributes.content_type = Some("application/octet-stream".to_owned());
        facts.attributes.metadata.insert("author".to_owned(), "me".to_owned());
        facts
    }

    #[test]
    fn an_overwrite_keeps_what_was_there_and_a_source_wins() {
        let mut dress = Dress::kept("a.png", &old(), Some("a=b".to_owned()));
        assert_eq!(dress.attributes.content_type.as_deref(), Some("image/png"));
        assert_eq!((dress.metadata["author"].as_str(), &dress.tier), ("me", &Some(AccessTier::Cool)));
        let source = Attributes {
            content_type: Some("image/webp".to_owned()),
            metadata: [("author", "you"), ("x-y", "1"), ("né", "1"), ("wide", "é"), ("blake3", "1")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..Attributes::default()
        };
        assert_eq!(dress.take(&source), ["blake3", "né", "wide", "x-y"]);
        assert_eq!(dress.attributes.content_type.as_deref(), Some("image/webp"));
        assert_eq!(
            (dress.attributes.cache_control.as_deref(), dress.metadata["author"].as_str()),
            (Some("max-age=7"), "you")
        );
        let archived = Facts { tier: Tier::Archived, ..old() };
        assert_eq!(Dress::kept("a", &archived, None).tier, None);
    }

    #[test]
    fn an_upload_is_marked_with_all_but_the_time() {
        let mut dress = Dress::kept("a.png", &old(), None);
        let content = whole(b"x");
        let mut put = put_of(&content);
        put.mtime_ns = Some(1);
        dress.state(&put.as_put());
        let mark = dress.mark();
        put.mtime_ns = Some(2);
        dress.state(&put.as_put());
        assert_eq!(dress.mark(), mark);
        dress.attributes.cache_control = None;
        assert_ne!(dress.mark(), mark);
    }
}
