//! What identifies one version of a file on disk, and how far a file system can be trusted with it.
//!
//! A change of content that keeps every part of a stamp goes unseen until the content is read again: see
//! [`Trust`] for what each kind of file system gives.

use std::time::{Duration, SystemTime};

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

    /// Whether a file that `other` is a stat of was not written into since.
    pub(super) fn has_content_of(&self, other: &Self) -> bool {
        self.same_place(other) && (self.size, self.mtime_ns) == (other.size, other.mtime_ns)
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

    /// Whether this stat is of the version `seen`, settled or not.
    pub(super) fn is(&self, trust: Trust, seen: &Version) -> bool {
        let seen = seen.as_str().split_once(UNSETTLED).map_or(seen.as_str(), |(settled, _)| settled);
        self.version(trust).as_str() == seen
    }

    /// How long until a change would show in the times for certain, if that is soon: 0 if it would now. `None` for
    /// times that lie in the future.
    pub(super) fn settles_in(&self, fs: FsKind, now_ns: i64) -> Option<Duration> {
        let changed = match fs.trust {
            Trust::TimesOnly => self.mtime_ns,
            Trust::Full | Trust::NoInode => self.ctime_ns,
        };
        let left = changed.saturating_add(fs.granularity_ns).saturating_sub(now_ns).max(0);
        (left <= fs.granularity_ns).then(|| Duration::from_nanos(left.cast_unsigned()))
    }

    /// The entry of a file that somebody else may be writing. While its times have not settled, its version carries the
    /// time of this look and so equals no other: the content is read again by whoever compares.
    pub(super) fn entry_seen(&self, fs: FsKind) -> Entry {
        let now_ns = now_ns();
        let mut entry = self.entry(fs.trust);
        if self.settles_in(fs, now_ns) != Some(Duration::ZERO) {
            entry.version = Version::new(format!("{}{UNSETTLED}{now_ns:x}", entry.version.as_str()));
        }
        entry
    }

    /// The entry of a file that nobody else has touched since it was written or has settled.
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

/// Separates a version from the time of a look at times that have not settled.
const UNSETTLED: char = '!';

/// The wall clock, ns since the epoch: the clock that files' times come from.
pub(super) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { size: 0, mtime_ns: -1, ctime_ns: 255, dev: 9, ino: 0x1_2345, mode: 0o100_644 };

    #[test]
    fn a_version_with_fresh_times_equals_no_other() {
        let fs = FsKind { trust: Trust::Full, granularity_ns: 10_000_000 };
        let stamp = |ctime_ns| Stamp { ctime_ns, ..STAMP };
        assert_eq!(stamp(100).settles_in(fs, 100 + 10_000_000), Some(Duration::ZERO));
        assert_eq!(stamp(100).settles_in(fs, 100 + 9_000_000), Some(Duration::from_millis(1)));
        assert_eq!(stamp(200).settles_in(fs, 100), None, "a time in the future settles at no known time");
        let fresh = stamp(now_ns());
        let seen = fresh.entry_seen(fs).version;
        assert_ne!(seen, fresh.entry_seen(fs).version);
        assert_ne!(seen, fresh.entry(fs.trust).version);
        assert!(fresh.is(fs.trust, &seen) && fresh.is(fs.trust, &fresh.entry(fs.trust).version));
        assert!(!stamp(7).is(fs.trust, &seen));
        assert_eq!(stamp(7).entry_seen(fs), stamp(7).entry(fs.trust));
    }

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
