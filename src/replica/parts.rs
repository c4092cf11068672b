//! The parts of large content, and hashes of them that add up to the digest of the whole.
//!
//! BLAKE3 is a tree over chunks of 1,024 bytes, and a part of a power of two of them is one of its subtrees. So a part's
//! hash is the chaining value of its subtree (sections 2.1 and 2.5 of the BLAKE3 paper), parts can be hashed beside
//! each other, and no byte is hashed twice for the digest of the whole.

use blake3::hazmat::{HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};

use crate::model::{Digest, DigestKind};

use super::WHOLE_LIMIT;

/// The hashes of a large content's parts, from the pass that came before the upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHashes {
    /// Bytes of every part but the last: a power of two, at least 1,024.
    pub size: u64,
    /// The chaining value of each part, in order; of the only part, its BLAKE3.
    pub hashes: Vec<[u8; 32]>,
}

impl PartHashes {
    /// The BLAKE3 of the whole, which has `size` bytes in these parts.
    pub fn whole(&self, size: u64) -> Digest {
        let hash = match &self.hashes[..] {
            [only] => *only,
            parts => {
                let (left, right) = self.halves(parts, size);
                merge_subtrees_root(&left, &right, Mode::Hash).into()
            }
        };
        Digest::from_bytes(DigestKind::Blake3, &hash)
    }

    /// Whether `bytes`, at `offset` of content of `size` bytes, are the part that was hashed.
    pub fn has(&self, offset: u64, bytes: &[u8], size: u64) -> bool {
        // A subtree of nothing has no hash.
        if bytes.is_empty() && size > self.size {
            return false;
        }
        let mut hasher = PartHasher::new(self.size, offset, size);
        hasher.update(bytes);
        let at = usize::try_from(offset / self.size).ok();
        at.and_then(|at| self.hashes.get(at)) == Some(&hasher.finish())
    }

    fn halves(&self, parts: &[[u8; 32]], size: u64) -> ([u8; 32], [u8; 32]) {
        let left = left_subtree_len(size);
        let at = usize::try_from(left / self.size).unwrap_or(usize::MAX);
        let (before, after) = parts.split_at(at);
        (self.subtree(before, left), self.subtree(after, size - left))
    }

    fn subtree(&self, parts: &[[u8; 32]], size: u64) -> [u8; 32] {
        if let [one] = parts {
            return *one;
        }
        let (left, right) = self.halves(parts, size);
        merge_subtrees_non_root(&left, &right, Mode::Hash)
    }
}

/// Hashes one part.
#[derive(Debug)]
pub struct PartHasher {
    hasher: blake3::Hasher,
    is_only: bool,
}

impl PartHasher {
    /// For the part at `offset` of content of `size` bytes in parts of `part_size`.
    pub fn new(part_size: u64, offset: u64, size: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(offset);
        Self { hasher, is_only: size <= part_size }
    }

    /// Takes the next bytes of the part.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// The part's hash.
    pub fn finish(&self) -> [u8; 32] {
        if self.is_only { self.hasher.finalize().into() } else { self.hasher.finalize_non_root() }
    }
}

/// A part to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// From 1.
    pub(crate) number: u32,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

/// The parts of content of `size` bytes. An empty object has one empty part.
pub(crate) fn plan(size: u64, part_size: u64) -> impl Iterator<Item = Part> {
    let count = size.div_ceil(part_size).max(1);
    (0..count).map(move |at| Part {
        number: u32::try_from(at + 1).unwrap_or(u32::MAX),
        offset: at * part_size,
        len: part_size.min(size - at * part_size),
    })
}

/// The part size for content of `size` bytes: 8 MiB, doubled until 1,000 parts are enough up to 64 MiB, and then
/// until 10,000 are. 1,000 is the lowest limit known (Scaleway), 10,000 the common one.
pub fn part_size(size: u64) -> u64 {
    let mut part = WHOLE_LIMIT;
    while size.div_ceil(part) > 1_000 && part < 64 * 1024 * 1024 {
        part *= 2;
    }
    while size.div_ceil(part) > 10_000 {
        part *= 2;
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(bytes: &[u8], part: usize) -> PartHashes {
        let size = bytes.len() as u64;
        let hash = |(at, chunk): (usize, &[u8])| {
            let mut hasher = PartHasher::new(part as u64, (at * part) as u64, size);
            // In odd steps, as reads may come.
            chunk.chunks(777).for_each(|step| hasher.update(step));
            hasher.finish()
        };
        PartHashes { size: part as u64, hashes: bytes.chunks(part).enumerate().map(hash).collect() }
    }

    #[test]
    fn the_parts_add_up_to_the_whole() {
        for part in [1_024, 4_096] {
            for size in [1, part - 1, part, part + 1, 2 * part, 3 * part, 5 * part + 7, 8 * part, 17 * part - 1] {
                let bytes: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
                let parts = hashes(&bytes, part);
                let whole = Digest::from_bytes(DigestKind::Blake3, blake3::hash(&bytes).as_bytes());
                assert_eq!(parts.whole(size as u64), whole, "{size} in {part}");
            }
        }
    }

    #[test]
    fn other_bytes_or_another_place_are_not_the_part() {
        let bytes = vec![7_u8; 3 * 1_024 + 5];
        let (parts, size) = (hashes(&bytes, 1_024), bytes.len() as u64);
        assert!(parts.has(1_024, &bytes[1_024..2_048], size));
        assert!(parts.has(3_072, &bytes[3_072..], size));
        assert!(!parts.has(0, &bytes[1_024..2_047], size));
        // Equal bytes at another place have another hash: parts that were mixed up are noticed.
        assert!(!PartHashes { hashes: vec![parts.hashes[1]; 4], ..parts.clone() }.has(0, &bytes[..1_024], size));
        let mut other = bytes.clone();
        other[1_500] ^= 1;
        assert!(!parts.has(1_024, &other[1_024..2_048], size));
        assert!(!parts.has(4_096, &[], size));
    }

    #[test]
    fn part_sizes_stay_powers_of_two_and_below_the_limits() {
        const GIB: u64 = 1024 * 1024 * 1024;
        for size in [WHOLE_LIMIT + 1, GIB, 10 * GIB, 100 * GIB, 5 * 1024 * GIB] {
            let part = part_size(size);
            assert!(part.is_power_of_two() && size.div_ceil(part) <= 10_000, "{size}");
        }
        assert_eq!(part_size(GIB), WHOLE_LIMIT);
    }

    #[test]
    fn parts_cover_the_content_without_gap_or_overlap() {
        for (size, part_size) in [(0, 5), (1, 5), (5, 5), (6, 5), (10, 5), (11, 5), (1_000_003, 4_096)] {
            let parts: Vec<Part> = plan(size, part_size).collect();
            let mut at = 0;
            for (index, part) in parts.iter().enumerate() {
                assert_eq!((part.number as usize, part.offset), (index + 1, at));
                at += part.len;
            }
            assert_eq!(at, size);
            let (last, rest) = parts.split_last().unwrap();
            assert!(rest.iter().all(|part| part.len == part_size) && last.len <= part_size);
        }
    }
}
