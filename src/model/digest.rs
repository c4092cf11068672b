//! Digests: the identity of content across replicas, and what each kind of them can prove.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a digest was computed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DigestKind {
    /// BLAKE3-256: ours. Computed by us, or read from the metadata `blake3` that we wrote.
    Blake3,
    /// MD5 that we computed, or that a client stored in metadata for this purpose.
    Md5,
    /// MD5 over the MD5s of parts, with the number of parts, computed by us for one part size.
    MultipartMd5,
    /// SHA-256 of the whole object, as a server or another client states it.
    Sha256,
    /// CRC-64/NVME of the whole object, as a server states it or as we computed it.
    Crc64Nvme,
    /// An ETag of the *form* of an MD5. It may be one. It can show equality, never difference:
    /// with SSE-KMS, and on some servers always, it is random.
    EtagMd5,
    /// An ETag of the form `md5-N`: equality only, as above.
    EtagMultipart,
}

impl DigestKind {
    /// Whether a digest of this kind speaks of the content alone, whatever key and upload it came by.
    pub fn is_of_content(self) -> bool {
        matches!(self, Self::Blake3 | Self::Md5 | Self::Sha256 | Self::Crc64Nvme)
    }
}

/// One digest: kind and lower-case text (`<hex>`, or `<hex>-<parts>` for the multipart kinds).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest {
    /// What it was computed with.
    pub kind: DigestKind,
    /// Lower-case hex; the multipart kinds end in `-N`.
    pub text: Box<str>,
}

impl Digest {
    /// A digest from its text form; the caller has checked the form.
    pub fn new(kind: DigestKind, text: impl Into<Box<str>>) -> Self {
        Self { kind, text: text.into() }
    }

    /// A digest from raw bytes.
    pub fn from_bytes(kind: DigestKind, bytes: &[u8]) -> Self {
        Self::new(kind, hex(bytes))
    }

    /// What an ETag says, quotes tolerated: [`DigestKind::EtagMd5`], [`DigestKind::EtagMultipart`] or nothing.
    pub fn from_etag(etag: &str) -> Option<Self> {
        let etag = etag.trim_matches('"');
        let (md5, kind) = match etag.split_once('-') {
            None => (etag, DigestKind::EtagMd5),
            Some((md5, parts)) if !parts.is_empty() && parts.bytes().all(|b| b.is_ascii_digit()) => {
                (md5, DigestKind::EtagMultipart)
            }
            Some(_) => return None,
        };
        let is_md5 = md5.len() == 32 && md5.bytes().all(|b| b.is_ascii_hexdigit());
        is_md5.then(|| Self::new(kind, etag.to_ascii_lowercase()))
    }

    /// The number of parts of a multipart digest.
    pub fn parts(&self) -> Option<u32> {
        self.text.split_once('-').and_then(|(_, n)| n.parse().ok())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{}", self.kind, self.text)
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for b in bytes {
        out.push(char::from(DIGITS[usize::from(b >> 4)]));
        out.push(char::from(DIGITS[usize::from(b & 15)]));
    }
    out
}

/// The set of digests known for one content. Several of one kind may be present: the multipart digests of
/// one file for several part sizes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digests(Vec<Digest>);

/// Whether two contents are the same, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sameness {
    /// A shared digest is equal.
    Same,
    /// Sizes differ, or two trusted digests of one kind differ.
    Different,
    /// Neither is proven.
    CannotTell,
}

impl Digests {
    /// The empty set.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Adds one; a digest already present stays once.
    pub fn add(&mut self, digest: Digest) {
        if !self.0.contains(&digest) {
            self.0.push(digest);
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        for digest in &other.0 {
            self.add(digest.clone());
        }
    }

    /// Adds what there is.
    pub fn extend(&mut self, digests: impl IntoIterator<Item = Digest>) {
        for digest in digests {
            self.add(digest);
        }
    }

    /// All digests.
    pub fn iter(&self) -> impl Iterator<Item = &Digest> {
        self.0.iter()
    }

    /// The first digest of a kind.
    pub fn get(&self, kind: DigestKind) -> Option<&Digest> {
        self.0.iter().find(|d| d.kind == kind)
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares two sets by what they prove. Sizes are the caller's part.
    pub fn compare(&self, other: &Self) -> Sameness {
        let shares = |a: &Digest, b: &Digest| family(a.kind) == family(b.kind) && a.text == b.text;
        if self.0.iter().any(|a| other.0.iter().any(|b| shares(a, b))) {
            return Sameness::Same;
        }
        let contradicts = |a: &Digest, b: &Digest| a.kind == b.kind && proves_difference(a.kind) && a.text != b.text;
        if self.0.iter().any(|a| other.0.iter().any(|b| contradicts(a, b))) {
            return Sameness::Different;
        }
        Sameness::CannotTell
    }
}

impl FromIterator<Digest> for Digests {
    fn from_iter<I: IntoIterator<Item = Digest>>(iter: I) -> Self {
        let mut set = Self::none();
        for digest in iter {
            set.add(digest);
        }
        set
    }
}

/// An ETag of a form and a computed digest of that form are comparable for equality.
fn family(kind: DigestKind) -> DigestKind {
    match kind {
        DigestKind::EtagMd5 => DigestKind::Md5,
        DigestKind::EtagMultipart => DigestKind::MultipartMd5,
        kind @ (DigestKind::Blake3
        | DigestKind::Md5
        | DigestKind::MultipartMd5
        | DigestKind::Sha256
        | DigestKind::Crc64Nvme) => kind,
    }
}

/// Multipart digests depend on the part size, ETags on the server's encryption: both can only show equality.
fn proves_difference(kind: DigestKind) -> bool {
    match kind {
        DigestKind::Blake3 | DigestKind::Md5 | DigestKind::Sha256 | DigestKind::Crc64Nvme => true,
        DigestKind::MultipartMd5 | DigestKind::EtagMd5 | DigestKind::EtagMultipart => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5_A: &str = "0cc175b9c0f1b6a831c399e269772661";
    const MD5_B: &str = "92eb5ffee6ae2fec3ad71c777531578f";

    fn set(digests: &[(DigestKind, &str)]) -> Digests {
        digests.iter().map(|(kind, text)| Digest::new(*kind, *text)).collect()
    }

    #[test]
    fn etags_are_sorted_by_form() {
        assert_eq!(Digest::from_etag(&format!("\"{MD5_A}\"")).unwrap().kind, DigestKind::EtagMd5);
        let multi = Digest::from_etag(&format!("{MD5_A}-3")).unwrap();
        assert_eq!((multi.kind, multi.parts()), (DigestKind::EtagMultipart, Some(3)));
        assert_eq!(Digest::from_etag("opaque"), None);
        assert_eq!(Digest::from_etag(&format!("{MD5_A}-x")), None);
    }

    #[test]
    fn an_etag_shows_equality_but_never_difference() {
        let ours = set(&[(DigestKind::Md5, MD5_A)]);
        assert_eq!(ours.compare(&set(&[(DigestKind::EtagMd5, MD5_A)])), Sameness::Same);
        assert_eq!(ours.compare(&set(&[(DigestKind::EtagMd5, MD5_B)])), Sameness::CannotTell);
    }

    #[test]
    fn two_trusted_digests_of_one_kind_settle_it() {
        let ours = set(&[(DigestKind::Md5, MD5_A)]);
        assert_eq!(ours.compare(&set(&[(DigestKind::Md5, MD5_B)])), Sameness::Different);
        assert_eq!(ours.compare(&set(&[(DigestKind::Blake3, MD5_B)])), Sameness::CannotTell);
        assert_eq!(ours.compare(&Digests::none()), Sameness::CannotTell);
    }

    #[test]
    fn one_equal_multipart_digest_among_several_is_enough() {
        let five = format!("{MD5_A}-2");
        let eight = format!("{MD5_B}-2");
        let ours = set(&[(DigestKind::MultipartMd5, &five), (DigestKind::MultipartMd5, &eight)]);
        assert_eq!(ours.compare(&set(&[(DigestKind::EtagMultipart, &eight)])), Sameness::Same);
    }
}
