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
pub(super) use crate::replica::object::{BLAKE3, MTIME, content_type, format_mtime, parse_mtime};
use crate::replica::object::{base64_digest, hex_digest};

/// Metadata name of the ETag that the content had before its headers were changed, where no digest is recorded: a copy may
/// have one of another form.
pub(super) const WAS: &str = "mediasync-was";

/// Metadata names that speak of the content: ours, rclone's and s3cmd's digests.
pub(super) const OF_CONTENT: [&str; 5] = [BLAKE3, MTIME, WAS, "md5chksum", "s3cmd-attrs"];

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
        let tagged = Digest::from_etag(etag);
        // An ETag by which content is known says itself what it was.
        if tagged.as_ref().is_none_or(|tagged| tagged.kind != DigestKind::EtagMd5) {
            digests.extend(meta(WAS).and_then(Digest::from_etag));
        }
        digests.extend(tagged);
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

/// `atime:1/ctime:2/md5:0cc1.../mode:33188/...`.
fn s3cmd_md5(attributes: &str) -> Option<Digest> {
    let md5 = attributes.split('/').find_map(|pair| pair.strip_prefix("md5:"))?;
    hex_digest(DigestKind::Md5, md5, 32)
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
