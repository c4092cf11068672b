//! The proofs that a request carries about its body: `x-amz-checksum-*`, `Content-MD5` and the signed SHA-256.
//!
//! s3s (0.14.1) checks the signed SHA-256 while a body is streamed, but parses and passes on the other two
//! unchecked; they are checked here.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::HeaderMap;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::{S3Result, s3_error};

use super::body::Segments;
use super::quirks::ChecksumSupport;

/// A checksum algorithm of the S3 API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// As in `x-amz-checksum-algorithm`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// From its name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    fn digest(self, body: &Segments) -> Vec<u8> {
        match self {
            Self::Crc32 => hash(Crc32::new(), body).to_vec(),
            Self::Crc32c => hash(Crc32c::new(), body).to_vec(),
            Self::Crc64Nvme => hash(Crc64Nvme::new(), body).to_vec(),
            Self::Sha1 => hash(Sha1::new(), body).to_vec(),
            Self::Sha256 => hash(Sha256::new(), body).to_vec(),
        }
    }

    /// The value of a whole body, as in a header.
    pub(crate) fn value(self, body: &Segments) -> String {
        BASE64_STANDARD.encode(self.digest(body))
    }

    /// The value of an object made of parts whose values only are combined: `BASE64-N`.
    pub(crate) fn composite(self, parts: &[&Segments]) -> String {
        let digests: Vec<u8> = parts.iter().flat_map(|part| self.digest(part)).collect();
        format!("{}-{}", self.value(&bytes::Bytes::from(digests).into()), parts.len())
    }
}

fn hash<C: s3s::crypto::Checksum>(mut state: C, body: &Segments) -> C::Output {
    for piece in body.pieces() {
        state.update(piece);
    }
    state.finalize()
}

/// The checksums kept with an object or part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Checksums(BTreeMap<Algorithm, String>);

impl Checksums {
    /// The value, as in a header.
    pub(crate) fn get(&self, algorithm: Algorithm) -> Option<String> {
        self.0.get(&algorithm).cloned()
    }

    /// Adds a value.
    pub(crate) fn insert(&mut self, algorithm: Algorithm, value: String) {
        self.0.insert(algorithm, value);
    }

    /// `FULL_OBJECT` or `COMPOSITE`, if there is any.
    pub(crate) fn kind(&self) -> Option<s3s::dto::ChecksumType> {
        let value = self.0.values().next()?;
        let kind = if value.contains('-') { "COMPOSITE" } else { "FULL_OBJECT" };
        Some(s3s::dto::ChecksumType::from_static(kind))
    }

    /// What headers or trailers claim, unchecked.
    pub(crate) fn claimed(headers: &HeaderMap) -> Self {
        let values = Algorithm::ALL.into_iter().filter_map(|algorithm| {
            let value = headers.get(algorithm.header())?.to_str().ok()?;
            Some((algorithm, value.to_owned()))
        });
        Self(values.collect())
    }
}

/// Copies the checksums into the five fields that every output has for them.
macro_rules! fill_checksums {
    ($output:expr, $checksums:expr) => {{
        use crate::support::s3::checksum::Algorithm;
        $output.checksum_crc32 = $checksums.get(Algorithm::Crc32);
        $output.checksum_crc32c = $checksums.get(Algorithm::Crc32c);
        $output.checksum_crc64nvme = $checksums.get(Algorithm::Crc64Nvme);
        $output.checksum_sha1 = $checksums.get(Algorithm::Sha1);
        $output.checksum_sha256 = $checksums.get(Algorithm::Sha256);
    }};
}
pub(crate) use fill_checksums;

/// Checks what `headers` (trailers merged in) say about `body` and returns the checksums to keep.
///
/// # Errors
/// 400 `BadDigest` or `InvalidDigest`.
pub(crate) fn verify(headers: &HeaderMap, body: &Segments, support: ChecksumSupport) -> S3Result<Checksums> {
    if let Some(claimed) = headers.get("content-md5") {
        let claimed = BASE64_STANDARD.decode(claimed.as_bytes()).unwrap_or_default();
        if claimed.len() != 16 {
            return Err(s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid."));
        }
        if claimed != body.md5() {
            return Err(s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received."));
        }
    }
    if support != ChecksumSupport::Verified {
        return Ok(Checksums::default());
    }
    let claimed = Checksums::claimed(headers);
    for (algorithm, value) in &claimed.0 {
        if *value != algorithm.value(body) {
            let name = algorithm.name();
            return Err(s3_error!(BadDigest, "The {name} you specified did not match the calculated checksum."));
        }
    }
    Ok(claimed)
}

/// Checks the signed payload hash of a body that s3s reads as a whole; it would answer 500 there.
///
/// # Errors
/// 400 `XAmzContentSHA256Mismatch`.
pub(crate) fn verify_payload_hash(headers: &HeaderMap, body: &Segments) -> S3Result<()> {
    let Some(claimed) = headers.get("x-amz-content-sha256").filter(|value| value.len() == 64) else { return Ok(()) };
    let actual = super::hex(&Algorithm::Sha256.digest(body));
    if claimed.as_bytes().eq_ignore_ascii_case(actual.as_bytes()) {
        return Ok(());
    }
    Err(payload_hash_mismatch())
}

/// The error for a body that is not the one that was signed.
pub(crate) fn payload_hash_mismatch() -> s3s::S3Error {
    let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
    super::failure(hyper::StatusCode::BAD_REQUEST, "XAmzContentSHA256Mismatch", message)
}
