//! What a blob says about itself in the headers of an answer: size, version, digests, times, what it carries besides.

use std::collections::BTreeMap;

use azure_core::http::headers::{HeaderName, Headers};
use jiff::Timestamp;

use crate::model::{Digest, DigestKind, Digests, Entry, Readable, Version};
use crate::replica::Attributes;
use crate::replica::object::{BLAKE3, MTIME, base64_digest, content_type, hex_digest, parse_mtime};

/// Metadata that marks a directory of an account with a hierarchical namespace, in lists of blobs.
pub(super) const FOLDER: &str = "hdi_isfolder";
/// Metadata that speaks of the content, not of the blob: ours and other clients' digests and times.
pub(super) const OF_CONTENT: [&str; 4] = [BLAKE3, MTIME, "md5chksum", "s3cmd_attrs"];

/// Everything that an answer says about a blob.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) size: Option<u64>,
    /// Without quotes.
    pub(super) etag: Option<String>,
    pub(super) modified_ns: Option<i64>,
    /// Of the whole blob, in base64.
    pub(super) md5: Option<String>,
    pub(super) is_block_blob: bool,
    pub(super) tier: Tier,
    /// All metadata, by lower-case name.
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) attributes: Attributes,
    pub(super) tags: u32,
    pub(super) copy: Option<String>,
}

/// The access tier of a blob.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Tier {
    /// The account's default.
    #[default]
    Default,
    /// Chosen for this blob.
    Chosen(String),
    /// The content can't be read.
    Archived,
}

impl Facts {
    /// What the headers of an answer to HEAD or GET say.
    pub(super) fn of(headers: &Headers) -> Self {
        let header = |name: &'static str| headers.get_optional_str(&HeaderName::from_static(name));
        let text = |name| header(name).filter(|text| !text.is_empty()).map(str::to_owned);
        // The length of a range is not the blob's.
        let total = header("content-range").and_then(|range| range.rsplit_once('/')).map(|(_, total)| total);
        let ranged = total.is_some();
        let metadata: BTreeMap<String, String> = headers
            .iter()
            .filter_map(|(name, value)| {
                Some((name.as_str().strip_prefix("x-ms-meta-")?.to_ascii_lowercase(), value.as_str().to_owned()))
            })
            .collect();
        let chosen = header("x-ms-access-tier").filter(|_| header("x-ms-access-tier-inferred") != Some("true"));
        let attributes = Attributes {
            content_type: text("content-type"),
            cache_control: text("cache-control"),
            content_disposition: text("content-disposition"),
            content_encoding: text("content-encoding"),
            content_language: text("content-language"),
            // Azure has no such header.
            expires: None,
            metadata: of_others(&metadata),
        };
        Self {
            size: total.or_else(|| header("content-length")).and_then(|size| size.parse().ok()),
            etag: header("etag").map(unquoted).map(str::to_owned),
            modified_ns: header("last-modified").and_then(http_date_ns),
            md5: text("x-ms-blob-content-md5").or_else(|| text("content-md5").filter(|_| !ranged)),
            is_block_blob: header("x-ms-blob-type").is_none_or(|kind| kind == "BlockBlob"),
            tier: tier(chosen),
            metadata,
            attributes,
            tags: header("x-ms-tag-count").and_then(|count| count.parse().ok()).unwrap_or(0),
            copy: text("x-ms-copy-status"),
        }
    }

    /// The entry; `None` if the answer has no size or no ETag, without which nothing is proven.
    pub(super) fn entry(&self) -> Option<Entry> {
        let etag = self.etag.as_deref().filter(|etag| !etag.is_empty())?;
        let meta = |name: &str| self.metadata.get(name).map(String::as_str);
        let mut digests = Digests::none();
        if let Some(blake3) = meta(BLAKE3).and_then(|text| hex_digest(DigestKind::Blake3, text, 64)) {
            digests.add(blake3);
        }
        // Page and append blobs change and keep the MD5 that they once had.
        if let Some(md5) = self.md5.as_deref().filter(|_| self.is_block_blob).and_then(md5_digest) {
            digests.add(md5);
        }
        Some(Entry {
            size: self.size?,
            version: Version::new(etag),
            modified_ns: meta(MTIME).and_then(read_mtime).or(self.modified_ns),
            digests,
            readable: if self.tier == Tier::Archived { Readable::Archived } else { Readable::Yes },
        })
    }
}

/// The tier from what was chosen for the blob.
pub(super) fn tier(chosen: Option<&str>) -> Tier {
    match chosen {
        None => Tier::Default,
        Some("Archive") => Tier::Archived,
        Some(tier) => Tier::Chosen(tier.to_owned()),
    }
}

/// Metadata without what speaks of the content.
fn of_others(metadata: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut others = metadata.clone();
    others.retain(|name, _| !OF_CONTENT.contains(&name.as_str()) && name != FOLDER);
    others
}

/// What a new blob carries: a type by its name.
pub(super) fn fresh(blob: &str) -> Attributes {
    Attributes { content_type: Some(content_type(blob).to_owned()), ..Attributes::default() }
}

/// A digest from a Content-MD5.
pub(super) fn md5_digest(text: &str) -> Option<Digest> {
    base64_digest(DigestKind::Md5, text, 16)
}

/// Reads an mtime: RFC 3339, as rclone writes it for Azure (<https://rclone.org/azureblob/#modification-times-and-hashes>),
/// or decimal seconds, as it writes it elsewhere.
pub(super) fn read_mtime(text: &str) -> Option<i64> {
    match text.parse::<Timestamp>() {
        Ok(time) => i64::try_from(time.as_nanosecond()).ok(),
        Err(_) => parse_mtime(text),
    }
}

/// Writes an mtime as rclone does for Azure; `None` for a time outside the years 0 to 9999.
pub(super) fn write_mtime(ns: i64) -> Option<String> {
    let time = Timestamp::from_nanosecond(i128::from(ns)).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string())
}

/// Nanoseconds since the epoch of `Wed, 21 Oct 2015 07:28:00 GMT`.
fn http_date_ns(text: &str) -> Option<i64> {
    let time = azure_core::time::parse_rfc7231(text).ok()?;
    i64::try_from(time.unix_timestamp_nanos()).ok()
}

/// An ETag as versions have it: headers quote it, lists do not.
pub(super) fn unquoted(etag: &str) -> &str {
    etag.trim_matches('"')
}

/// An ETag as conditions want it.
pub(super) fn quoted(version: &Version) -> String {
    format!("\"{}\"", version.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in all {
            headers.insert(*name, *value);
        }
        headers
    }

    #[test]
    fn mtimes_are_written_and_read_as_rclone_does() {
        let ns = 1_700_000_000_250_000_000;
        assert_eq!(write_mtime(ns).unwrap(), "2023-11-14T22:13:20.250000000Z");
        for text in ["2023-11-14T22:13:20.250000000Z", "2023-11-14T23:13:20.25+01:00", "1700000000.25"] {
            assert_eq!(read_mtime(text), Some(ns), "{text}");
        }
        assert_eq!(read_mtime("yesterday"), None);
        assert_eq!(read_mtime(&write_mtime(-1).unwrap()), Some(-1));
    }

    #[test]
    fn a_range_tells_size_and_digest_of_the_whole() {
        let facts = Facts::of(&headers(&[
            ("content-length", "10"),
            ("content-range", "bytes 0-9/4711"),
            ("content-md5", "DMF1ucDxtqgxw5niaXcmYQ=="),
            ("etag", "\"0x8D\""),
            ("x-ms-meta-author", "me"),
            ("x-ms-meta-blake3", "zz"),
            ("x-ms-access-tier", "Cool"),
        ]));
        let entry = facts.entry().unwrap();
        assert_eq!((entry.size, entry.version.as_str()), (4711, "0x8D"));
        assert!(entry.digests.is_empty(), "the MD5 is that of the range, and the BLAKE3 is none");
        assert_eq!(facts.attributes.metadata, BTreeMap::from([("author".to_owned(), "me".to_owned())]));
        assert_eq!(facts.tier, Tier::Chosen("Cool".to_owned()));
    }

    #[test]
    fn digests_count_for_block_blobs_only_and_archived_content_can_not_be_read() {
        let of = |kind| {
            let all = [
                ("content-length", "1"),
                ("etag", "x"),
                ("content-md5", "DMF1ucDxtqgxw5niaXcmYQ=="),
                ("x-ms-blob-type", kind),
            ];
            Facts::of(&headers(&all)).entry().unwrap().digests.get(DigestKind::Md5).map(|md5| md5.text.to_string())
        };
        assert_eq!(of("BlockBlob").as_deref(), Some("0cc175b9c0f1b6a831c399e269772661"));
        assert_eq!(of("AppendBlob"), None);
        let archived = Facts::of(&headers(&[("content-length", "1"), ("etag", "x"), ("x-ms-access-tier", "Archive")]));
        assert_eq!(archived.entry().unwrap().readable, Readable::Archived);
        assert!(Facts::of(&headers(&[("content-length", "1")])).entry().is_none());
        assert!(Facts::of(&headers(&[("etag", "x")])).entry().is_none());
    }
}
