//! What objects say about themselves: recorded mtimes, digests in metadata and headers, and content types.

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ChecksumType, ObjectStorageClass, StorageClass};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::collections::HashMap;

use super::names::unquoted;
use crate::model::{Digest, DigestKind, Digests, Entry, Readable, Version};

/// Metadata name of our digest: lower-case hex.
pub(super) const BLAKE3: &str = "blake3";
/// Metadata name of the source's mtime: decimal seconds since the epoch with an optional fraction, as rclone writes it
/// (<https://rclone.org/s3/#modification-times-and-hashes>).
pub(super) const MTIME: &str = "mtime";

/// Everything that an answer to HEAD or GET says about the object.
#[derive(Debug, Default)]
pub(super) struct Facts<'a> {
    pub(super) size: Option<i64>,
    pub(super) etag: Option<&'a str>,
    pub(super) modified: Option<&'a DateTime>,
    pub(super) metadata: Option<&'a HashMap<String, String>>,
    pub(super) crc64: Option<&'a str>,
    pub(super) sha256: Option<&'a str>,
    pub(super) is_composite: bool,
    pub(super) readable: Readable,
}

/// HEAD and GET answer with the same fields in different types.
macro_rules! facts {
    ($output:expr, $readable:expr) => {
        Facts {
            size: $output.content_length(),
            etag: $output.e_tag(),
            modified: $output.last_modified(),
            metadata: $output.metadata(),
            crc64: $output.checksum_crc64_nvme(),
            sha256: $output.checksum_sha256(),
            is_composite: $output.checksum_type() == Some(&ChecksumType::Composite),
            readable: $readable,
        }
    };
}

impl<'a> Facts<'a> {
    pub(super) fn of_head(output: &'a HeadObjectOutput) -> Self {
        // `restore` tells of a copy that was thawed for some days; while that is under way there is none yet.
        let thawed = output.restore().is_some_and(|text| text.contains("ongoing-request=\"false\""));
        let cold = output.archive_status().is_some()
            || matches!(output.storage_class(), Some(StorageClass::Glacier | StorageClass::DeepArchive));
        facts!(output, if cold && !thawed { Readable::Archived } else { Readable::Yes })
    }

    pub(super) fn of_get(output: &'a GetObjectOutput) -> Self {
        facts!(output, Readable::Yes)
    }

    /// The entry; `None` if the answer has no size or no ETag, without which nothing is proven.
    pub(super) fn entry(&self) -> Option<Entry> {
        let etag = unquoted(self.etag?);
        let size = u64::try_from(self.size?).ok()?;
        let mut digests = Digests::none();
        let meta = |name: &str| self.metadata.and_then(|all| all.get(name)).map(String::as_str);
        if let Some(blake3) = meta(BLAKE3).and_then(|text| hex_digest(DigestKind::Blake3, text, 64)) {
            digests.add(blake3);
        }
        if let Some(md5) = meta("md5chksum").and_then(|text| base64_digest(DigestKind::Md5, text, 16)) {
            digests.add(md5);
        }
        if let Some(md5) = meta("s3cmd-attrs").and_then(s3cmd_md5) {
            digests.add(md5);
        }
        if !self.is_composite {
            if let Some(crc) = self.crc64.and_then(|text| base64_digest(DigestKind::Crc64Nvme, text, 8)) {
                digests.add(crc);
            }
            if let Some(sha) = self.sha256.and_then(|text| base64_digest(DigestKind::Sha256, text, 32)) {
                digests.add(sha);
            }
        }
        if let Some(digest) = Digest::from_etag(etag) {
            digests.add(digest);
        }
        let modified_ns = meta(MTIME).and_then(parse_mtime).or_else(|| self.modified.and_then(epoch_ns));
        Some(Entry { size, version: Version::new(etag), modified_ns, digests, readable: self.readable })
    }
}

/// Nanoseconds since the epoch.
pub(super) fn epoch_ns(time: &DateTime) -> Option<i64> {
    i64::try_from(time.as_nanos()).ok()
}

/// Whether a listed storage class has to be restored before it can be read. `GLACIER_IR` can be read at once.
pub(super) fn readable_class(class: Option<&ObjectStorageClass>) -> Readable {
    match class {
        Some(ObjectStorageClass::Glacier | ObjectStorageClass::DeepArchive) => Readable::Archived,
        _ => Readable::Yes,
    }
}

fn hex_digest(kind: DigestKind, text: &str, digits: usize) -> Option<Digest> {
    let fits = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| Digest::new(kind, text.to_ascii_lowercase()))
}

fn base64_digest(kind: DigestKind, text: &str, bytes: usize) -> Option<Digest> {
    let decoded = BASE64.decode(text).ok().filter(|decoded| decoded.len() == bytes)?;
    Some(Digest::from_bytes(kind, &decoded))
}

/// `atime:1/ctime:2/md5:0cc1.../mode:33188/...`.
fn s3cmd_md5(attributes: &str) -> Option<Digest> {
    let md5 = attributes.split('/').find_map(|pair| pair.strip_prefix("md5:"))?;
    hex_digest(DigestKind::Md5, md5, 32)
}

/// Reads `1700000000`, `1700000000.25` or `-1.5` as nanoseconds since the epoch.
pub(super) fn parse_mtime(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.get(..fraction.len().min(9))?;
    let nanos: i64 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let scale = u32::try_from(9 - digits.len()).ok()?;
    let nanos = nanos * 10_i64.pow(scale);
    let nanos = if whole.starts_with('-') { -nanos } else { nanos };
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// Writes nanoseconds since the epoch as decimal seconds.
pub(super) fn format_mtime(ns: i64) -> String {
    let (seconds, nanos) = (ns.unsigned_abs() / 1_000_000_000, ns.unsigned_abs() % 1_000_000_000);
    let sign = if ns < 0 { "-" } else { "" };
    if nanos == 0 { format!("{sign}{seconds}") } else { format!("{sign}{seconds}.{nanos:09}") }
}

/// Base64 of a CRC-64/NVME, as `x-amz-checksum-crc64nvme` has it.
pub(super) fn crc64_text(crc: u64) -> String {
    BASE64.encode(crc.to_be_bytes())
}

/// A CRC-64/NVME from its base64.
pub(super) fn crc64_value(text: &str) -> Option<u64> {
    let bytes: [u8; 8] = BASE64.decode(text).ok()?.try_into().ok()?;
    Some(u64::from_be_bytes(bytes))
}

/// The content type by the name. Browsers refuse modules, images and styles with a wrong one.
pub(super) fn content_type(object: &str) -> &'static str {
    let name = object.rsplit('/').next().unwrap_or(object);
    let Some((_, extension)) = name.rsplit_once('.') else { return "application/octet-stream" };
    // Not in the table that `mime_guess` ships, or there with a type that browsers do not take.
    let ours = [
        ("avif", "image/avif"),
        ("heic", "image/heic"),
        ("js", "text/javascript"),
        ("jxl", "image/jxl"),
        ("m3u8", "application/vnd.apple.mpegurl"),
        ("m4a", "audio/mp4"),
        ("mjs", "text/javascript"),
        ("mp4", "video/mp4"),
        ("otf", "font/otf"),
        ("svg", "image/svg+xml"),
        ("ts", "video/mp2t"),
        ("ttf", "font/ttf"),
        ("webmanifest", "application/manifest+json"),
        ("webp", "image/webp"),
        ("woff", "font/woff"),
        ("woff2", "font/woff2"),
    ];
    if let Some((_, known)) = ours.iter().find(|(ours, _)| extension.eq_ignore_ascii_case(ours)) {
        return known;
    }
    mime_guess::from_ext(extension).first_raw().unwrap_or("application/octet-stream")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mtimes_are_written_and_read_as_rclone_does() {
        for (ns, text) in [
            (1_700_000_000_250_000_000, "1700000000.250000000"),
            (1_700_000_000_000_000_000, "1700000000"),
            (0, "0"),
            (-1_500_000_000, "-1.500000000"),
            (-500_000_000, "-0.500000000"),
        ] {
            assert_eq!(format_mtime(ns), text);
            assert_eq!(parse_mtime(text), Some(ns));
        }
        assert_eq!(parse_mtime("1700000000.25"), Some(1_700_000_000_250_000_000));
        assert_eq!(parse_mtime("1.1234567899"), Some(1_123_456_789));
        for bad in ["", "x", "1.x", "1.-5", "99999999999999999999", "1e9", "99999999999"] {
            assert_eq!(parse_mtime(bad), None, "{bad}");
        }
    }

    #[test]
    fn digests_are_read_wherever_clients_leave_them() {
        let metadata = HashMap::from([
            (BLAKE3.to_owned(), "A".repeat(64)),
            ("md5chksum".to_owned(), "DMF1ucDxtqgxw5niaXcmYQ==".to_owned()),
            ("s3cmd-attrs".to_owned(), "atime:1/md5:92eb5ffee6ae2fec3ad71c777531578f/mode:33188".to_owned()),
            (MTIME.to_owned(), "1.5".to_owned()),
        ]);
        let facts = Facts {
            size: Some(1),
            etag: Some("\"0cc175b9c0f1b6a831c399e269772661\""),
            metadata: Some(&metadata),
            crc64: Some("AAAAAAAAAAE="),
            ..Facts::default()
        };
        let entry = facts.entry().unwrap();
        let texts: Vec<String> = entry.digests.iter().map(|d| format!("{d:?}")).collect();
        assert_eq!(
            texts,
            [
                format!("Blake3:{}", "a".repeat(64)),
                "Md5:0cc175b9c0f1b6a831c399e269772661".into(),
                "Md5:92eb5ffee6ae2fec3ad71c777531578f".into(),
                "Crc64Nvme:0000000000000001".into(),
                "EtagMd5:0cc175b9c0f1b6a831c399e269772661".into(),
            ]
        );
        assert_eq!(entry.modified_ns, Some(1_500_000_000));
        assert_eq!(entry.version.as_str(), "0cc175b9c0f1b6a831c399e269772661");
    }

    #[test]
    fn malformed_digests_are_no_digests() {
        let metadata = HashMap::from([
            (BLAKE3.to_owned(), "zz".to_owned()),
            ("md5chksum".to_owned(), "AAAA".to_owned()),
            ("s3cmd-attrs".to_owned(), "md5:1".to_owned()),
        ]);
        let facts = Facts { size: Some(1), etag: Some("\"x\""), metadata: Some(&metadata), ..Facts::default() };
        assert!(facts.entry().unwrap().digests.is_empty());
        let composite = Facts { sha256: Some("AAAA-2"), is_composite: true, ..facts };
        assert!(composite.entry().unwrap().digests.is_empty());
    }

    #[test]
    fn an_answer_without_etag_or_size_proves_nothing() {
        assert!(Facts { size: Some(1), ..Facts::default() }.entry().is_none());
        assert!(Facts { etag: Some("\"x\""), ..Facts::default() }.entry().is_none());
    }

    #[test]
    fn crc64_texts_are_big_endian_base64() {
        assert_eq!(crc64_text(1), "AAAAAAAAAAE=");
        assert_eq!(crc64_value("AAAAAAAAAAE="), Some(1));
        assert_eq!(crc64_value("AAAA"), None);
        // The check value of CRC-64/NVME for "123456789" in the catalogue of parametrised CRC algorithms.
        assert_eq!(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, b"123456789"), 0xae8b_1486_0a79_9888);
    }

    #[test]
    fn content_types_are_what_browsers_take() {
        for (name, expected) in [
            ("a/b.svg", "image/svg+xml"),
            ("b.WEBP", "image/webp"),
            ("b.avif", "image/avif"),
            ("f.woff2", "font/woff2"),
            ("m.mjs", "text/javascript"),
            ("v.m3u8", "application/vnd.apple.mpegurl"),
            ("p.jpg", "image/jpeg"),
            ("p.png", "image/png"),
            ("d.pdf", "application/pdf"),
            ("t.css", "text/css"),
            ("h.html", "text/html"),
            ("none", "application/octet-stream"),
            ("x.unknownext", "application/octet-stream"),
            ("dir.png/none", "application/octet-stream"),
        ] {
            assert_eq!(content_type(name), expected, "{name}");
        }
    }
}
