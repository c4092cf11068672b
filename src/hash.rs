//! Hashing content: all digests that are wanted, in one pass.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::model::{Digest, DigestKind, Digests, Want};
use crate::replica::multipart_md5::{Multipart, part_sizes};
use crate::replica::{Buffers, Cause, Error, PartHasher, PartHashes, Pieces};

/// Bytes read at a time from large content.
const STEP: u64 = 2 * 1024 * 1024;

/// Computes several digests of one content.
pub(crate) struct Hasher {
    blake3: blake3::Hasher,
    md5: Option<Md5>,
    sha256: Option<Sha256>,
    crc64: Option<crc_fast::Digest>,
    multipart: Vec<Multipart>,
}

impl Hasher {
    /// A hasher for content of `size` bytes.
    pub(crate) fn new(want: &Want, size: u64) -> Self {
        let wants = |kind| want.kinds.contains(&kind);
        let multipart = if wants(DigestKind::MultipartMd5) {
            part_sizes(size, want.multipart_parts).into_iter().map(Multipart::new).collect()
        } else {
            Vec::new()
        };
        Self {
            blake3: blake3::Hasher::new(),
            md5: wants(DigestKind::Md5).then(Md5::new),
            sha256: wants(DigestKind::Sha256).then(Sha256::new),
            crc64: wants(DigestKind::Crc64Nvme).then(|| crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme)),
            multipart,
        }
    }

    /// Takes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.blake3.update(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        if let Some(crc64) = &mut self.crc64 {
            crc64.update(bytes);
        }
        for multipart in &mut self.multipart {
            multipart.update(bytes);
        }
    }

    /// All digests.
    pub(crate) fn finish(self) -> Digests {
        let mut digests = Digests::none();
        digests.add(Digest::from_bytes(DigestKind::Blake3, self.blake3.finalize().as_bytes()));
        if let Some(md5) = self.md5 {
            digests.add(Digest::from_bytes(DigestKind::Md5, &md5.finalize()));
        }
        if let Some(sha256) = self.sha256 {
            digests.add(Digest::from_bytes(DigestKind::Sha256, &sha256.finalize()));
        }
        if let Some(crc64) = self.crc64 {
            digests.add(Digest::from_bytes(DigestKind::Crc64Nvme, &crc64.finalize().to_be_bytes()));
        }
        for multipart in self.multipart {
            digests.add(multipart.finish());
        }
        digests
    }
}

/// Reads large content once for `want`.
///
/// # Errors
/// As reading; [`Cause::Changed`] if the content moved meanwhile.
pub(crate) async fn hash_pieces(pieces: &dyn Pieces, want: &Want) -> Result<Digests, Error> {
    let size = pieces.entry().size;
    let mut hasher = Hasher::new(want, size);
    let mut offset = 0;
    while offset < size {
        let bytes = read_step(pieces, offset, size).await?;
        offset += bytes.len() as u64;
        hasher = blocking(move || {
            hasher.update(&bytes);
            hasher
        })
        .await?;
    }
    pieces.unchanged().await?;
    Ok(hasher.finish())
}

/// Reads large content once before it is uploaded: the BLAKE3 of the whole and the hashes of its parts of `part_size`
/// bytes, as many parts at once as there are processors.
///
/// # Errors
/// As reading; [`Cause::Changed`] if the content moved meanwhile.
pub(crate) async fn hash_parts(
    pieces: &dyn Pieces,
    part_size: u64,
    buffers: &Buffers,
) -> Result<(Digest, PartHashes), Error> {
    let size = pieces.entry().size;
    let offsets = (0..size.div_ceil(part_size)).map(|at| at * part_size);
    let parts = stream::iter(offsets).map(|offset| hash_part(pieces, part_size, offset, buffers));
    let hashes = parts.buffered(processors()).try_collect().await?;
    pieces.unchanged().await?;
    let parts = PartHashes { size: part_size, hashes };
    Ok((parts.whole(size), parts))
}

async fn hash_part(pieces: &dyn Pieces, part_size: u64, mut offset: u64, buffers: &Buffers) -> Result<[u8; 32], Error> {
    let size = pieces.entry().size;
    let end = size.min(offset + part_size);
    let mut hasher = PartHasher::new(part_size, offset, size);
    while offset < end {
        let room = buffers.take(STEP.min(end - offset)).await;
        let bytes = read_step(pieces, offset, end).await?;
        offset += bytes.len() as u64;
        hasher = blocking(move || {
            hasher.update(&bytes);
            drop((bytes, room));
            hasher
        })
        .await?;
    }
    Ok(hasher.finish())
}

/// Parts to hash at once. More than four would only wait for the disk.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get().min(4))
}

async fn read_step(pieces: &dyn Pieces, offset: u64, end: u64) -> Result<Bytes, Error> {
    let len = usize::try_from(STEP.min(end - offset)).expect("a step fits");
    pieces.read(offset, len).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|died| Error::new(Cause::Stop, format!("hashing: {died}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Entry;
    use crate::replica::fake;

    const MIB: u64 = 1024 * 1024;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    /// Content in memory that counts the bytes which were read.
    #[derive(Debug)]
    struct Held {
        entry: Entry,
        bytes: Vec<u8>,
        read: AtomicU64,
    }

    #[async_trait::async_trait]
    impl Pieces for Held {
        fn entry(&self) -> &Entry {
            &self.entry
        }

        async fn read(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
            self.read.fetch_add(len as u64, Relaxed);
            let at = usize::try_from(offset).unwrap();
            Ok(Bytes::copy_from_slice(&self.bytes[at..at + len]))
        }

        async fn unchanged(&self) -> Result<(), Error> {
            Ok(())
        }
    }

    fn all(want: &Want, bytes: &[u8], step: usize) -> Digests {
        let mut hasher = Hasher::new(want, bytes.len() as u64);
        for piece in bytes.chunks(step.max(1)) {
            hasher.update(piece);
        }
        hasher.finish()
    }

    #[test]
    fn digests_match_published_values() {
        let kinds = vec![DigestKind::Md5, DigestKind::Sha256, DigestKind::Crc64Nvme];
        let digests = all(&Want { kinds, multipart_parts: None }, b"123456789", 4);
        let text = |kind| digests.get(kind).unwrap().text.to_string();
        // RFC 1321 has no such vector; `printf 123456789 | md5sum` and `sha256sum` print these.
        assert_eq!(text(DigestKind::Md5), "25f9e794323b453885f5181f1b624d0b");
        assert_eq!(text(DigestKind::Sha256), "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225");
        // The check value of CRC-64/NVME in the catalogue of parametrised CRC algorithms.
        assert_eq!(text(DigestKind::Crc64Nvme), "ae8b14860a799888");
    }

    #[test]
    fn multipart_digests_are_made_for_each_part_size_that_fits() {
        let size = 12 * MIB;
        // Two parts: 6, 8 and 10 MiB parts all make two.
        assert_eq!(part_sizes(size, Some(2)), [6 * MIB, 8 * MIB, 10 * MIB]);
        let bytes = vec![7_u8; usize::try_from(size).unwrap()];
        let want = Want { kinds: vec![DigestKind::MultipartMd5], multipart_parts: Some(2) };
        let digests = all(&want, &bytes, 1_000_003);
        let md5 = |bytes: &[u8]| Md5::digest(bytes);
        let eight = 8 * 1024 * 1024;
        let joined = [md5(&bytes[..eight]), md5(&bytes[eight..])].concat();
        let expected = format!("{}-2", crate::model::hex(&md5(&joined)));
        assert!(digests.iter().any(|d| *d.text == *expected), "{digests:?}");
    }

    #[tokio::test]
    async fn parts_are_hashed_beside_each_other_and_every_byte_is_read_once() {
        let bytes: Vec<u8> = (0..5 * MIB + 7).map(|n| u8::try_from(n % 253).unwrap()).collect();
        let pieces = Held { entry: fake::entry_of(&bytes, "1"), bytes, read: AtomicU64::new(0) };
        let (whole, parts) = hash_parts(&pieces, MIB, &Buffers::new(4 * MIB)).await.unwrap();
        assert_eq!(*whole.text, *blake3::hash(&pieces.bytes).to_hex());
        assert_eq!((parts.hashes.len(), pieces.read.load(Relaxed)), (6, 5 * MIB + 7));
    }
}
