//! What identifies one version of a file on disk, and how far a file system can be trusted with it.
//!
//! A change of content that keeps every part of a stamp goes unseen until the content is read again: see
//! [`Trust`] for what each kind of file system gives.

use rustix::fs::{FileType, Stat};

use crate::model::{Digests, Entry, Readable, Version};

/// What of a stat identifies content. Sources: statfs(2) for the numbers, Linux `fs/fat/inode.c` (inode numbers are
/// made up), RFC 8881 section 5.8 (NFS: fileid and change times belong to the server).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Size, mtime, ctime, inode: local file systems.
    Full,
    /// Size, mtime, ctime: NFS, whose inode numbers may change when a server is replaced.
    NoInode,
    /// Size and mtime: FUSE, SMB, 9p, VirtualBox and FAT make up inode numbers, and some of them change times.
    TimesOnly,
}

/// How a file system is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FsKind {
    pub(super) trust: Trust,
    /// Two changes within this time may show the same mtime.
    pub(super) granularity_ns: i64,
}

impl FsKind {
    /// The kernel's clock tick, with room.
    const FINE_NS: i64 = 10_000_000;
    /// FAT counts in 2 s, HFS+ in 1 s; what stands behind a network or FUSE mount is unknown.
    const COARSE_NS: i64 = 2_000_000_000;

    /// From `f_type` of statfs(2).
    pub(super) fn of_magic(magic: u64) -> Self {
        let (trust, granularity_ns) = match magic {
            // NFS
            0x6969 => (Trust::NoInode, Self::COARSE_NS),
            // FUSE (and virtiofs), SMB, CIFS, SMB2, 9p, vboxsf, AFS, Coda; FAT, exFAT
            0x6573_5546 | 0x517b | 0xff53_4d42 | 0xfe53_4d42 | 0x0102_1997 | 0x786f_4256 | 0x5346_414f
            | 0x7375_7245 | 0x4d44 | 0x2011_bab0 => (Trust::TimesOnly, Self::COARSE_NS),
            // HFS, HFS+
            0x4244 | 0x482b => (Trust::Full, Self::COARSE_NS),
            _ => (Trust::Full, Self::FINE_NS),
        };
        Self { trust, granularity_ns }
    }
}

/// One stat, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    pub(super) mtime_ns: i64,
    pub(super) ctime_ns: i64,
    pub(super) dev: u64,
    pub(super) ino: u64,
    /// Type and permissions.
    pub(super) mode: u32,
}

impl Stamp {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime_ns: nanoseconds(stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0)),
            ctime_ns: nanoseconds(stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or(0)),
            dev: stat.st_dev,
            ino: stat.st_ino,
            mode: stat.st_mode,
        }
    }

    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    pub(super) fn is_file(&self) -> bool {
        self.kind() == FileType::RegularFile
    }

    /// Whether both stats are of one file or directory, whatever it holds.
    pub(super) fn same_place(&self, other: &Self) -> bool {
        (self.dev, self.ino) == (other.dev, other.ino)
    }

    /// The token: what is trusted, in hexadecimal, separated by `-`.
    pub(super) fn version(&self, trust: Trust) -> Version {
        // Four numbers of at most 16 digits and three dashes.
        let mut text = [0_u8; 67];
        let mut at = 0;
        let mut put = |value: u64, dash: bool| {
            if dash {
                text[at] = b'-';
                at += 1;
            }
            let digits = (64 - value.leading_zeros()).div_ceil(4).max(1);
            for place in (0..digits).rev() {
                text[at] = b"0123456789abcdef"[((value >> (4 * place)) & 15) as usize];
                at += 1;
            }
        };
        put(self.size, false);
        put(self.mtime_ns.cast_unsigned(), true);
        if trust != Trust::TimesOnly {
            put(self.ctime_ns.cast_unsigned(), true);
        }
        if trust == Trust::Full {
            put(self.ino, true);
        }
        Version::new(std::str::from_utf8(&text[..at]).expect("hexadecimal digits and dashes"))
    }

    pub(super) fn entry(&self, trust: Trust) -> Entry {
        Entry {
            size: self.size,
            version: self.version(trust),
            modified_ns: Some(self.mtime_ns),
            digests: Digests::none(),
            readable: Readable::Yes,
        }
    }
}

fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { size: 0, mtime_ns: -1, ctime_ns: 255, dev: 9, ino: 0x1_2345, mode: 0o100_644 };

    #[test]
    fn a_version_holds_what_is_trusted() {
        assert_eq!(STAMP.version(Trust::Full).as_str(), "0-ffffffffffffffff-ff-12345");
        assert_eq!(STAMP.version(Trust::NoInode).as_str(), "0-ffffffffffffffff-ff");
        assert_eq!(STAMP.version(Trust::TimesOnly).as_str(), "0-ffffffffffffffff");
        let widest = Stamp { size: u64::MAX, mtime_ns: -1, ctime_ns: -1, dev: 0, ino: u64::MAX, mode: 0 };
        assert_eq!(widest.version(Trust::Full).as_str().len(), 67);
    }

    #[test]
    fn network_and_fat_file_systems_are_trusted_less() {
        assert_eq!(FsKind::of_magic(0xef53), FsKind { trust: Trust::Full, granularity_ns: 10_000_000 });
        assert_eq!(FsKind::of_magic(0x6573_5546).trust, Trust::TimesOnly);
        assert_eq!(FsKind::of_magic(0x4d44).granularity_ns, 2_000_000_000);
        assert_eq!(FsKind::of_magic(0x6969).trust, Trust::NoInode);
    }
}
