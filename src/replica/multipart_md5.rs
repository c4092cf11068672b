//! The ETag of a multipart upload: MD5 over the MD5s of its parts, whose size nobody states.
//!
//! So it is computed for each size that gives the number of parts that the ETag names and that programs really use. One
//! that agrees proves the content; that none does proves nothing.

use md5::{Digest as _, Md5};

use crate::model::{Digest, DigestKind, hex};

const MIB: u64 = 1024 * 1024;

/// Part sizes that the common tools use, in MiB: aws-cli and boto3 8, rclone 5, s3cmd 15, s5cmd 50, s3sync and
/// mediasync 8 and its doubles, and what people commonly set instead (each tool's documented default or `--help`).
const COMMON_PARTS: [u64; 16] = [5, 6, 8, 10, 15, 16, 20, 25, 32, 50, 64, 100, 128, 256, 512, 1024];

/// The part sizes that give `parts` parts: the common ones, and the smallest whole number of MiB.
pub(crate) fn part_sizes(size: u64, parts: Option<u32>) -> Vec<u64> {
    let Some(parts) = parts.filter(|parts| *parts > 0) else { return Vec::new() };
    let parts = u64::from(parts);
    let exact = size.div_ceil(parts).div_ceil(MIB);
    let mut sizes: Vec<u64> = COMMON_PARTS.iter().copied().chain([exact]).map(|mib| mib * MIB).collect();
    sizes.retain(|part| *part > 0 && size.div_ceil(*part).max(1) == parts);
    sizes.sort_unstable();
    sizes.dedup();
    // One part is the whole, however large it might have been.
    sizes.truncate(if parts == 1 { 1 } else { usize::MAX });
    sizes
}

/// MD5 over the MD5s of parts, as S3 makes the ETag of a multipart upload.
#[derive(Debug)]
pub(crate) struct Multipart {
    part_size: u64,
    part: Md5,
    filled: u64,
    all: Md5,
    parts: u32,
}

impl Multipart {
    pub(crate) fn new(part_size: u64) -> Self {
        Self { part_size, part: Md5::new(), filled: 0, all: Md5::new(), parts: 0 }
    }

    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(self.part_size - self.filled).unwrap_or(usize::MAX);
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.part.update(now);
            self.filled += now.len() as u64;
            if self.filled == self.part_size {
                self.close_part();
            }
            bytes = rest;
        }
    }

    fn close_part(&mut self) {
        let part = std::mem::replace(&mut self.part, Md5::new()).finalize();
        self.all.update(part);
        self.parts += 1;
        self.filled = 0;
    }

    pub(crate) fn finish(mut self) -> Digest {
        if self.filled > 0 || self.parts == 0 {
            self.close_part();
        }
        let text = format!("{}-{}", hex(&self.all.finalize()), self.parts);
        Digest::new(DigestKind::MultipartMd5, text)
    }
}
