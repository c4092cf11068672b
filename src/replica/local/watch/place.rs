//! The directory that is watched: whether it is still the one that it was, and whether its file system tells of changes.
//!
//! Nothing is held open between two looks: an open directory could not be unmounted.

use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags, statvfs, statx};
use rustix::io::Errno;

use super::super::fault::{reason, shown};
use super::Lost;

/// Which directory it is. A number of an inode is given anew once it is free; the time of birth tells the two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Who {
    device: (u32, u32),
    inode: u64,
    born: (i64, u32),
    /// Of the file system, 0 if it has none: a disk that is mounted again may be another device.
    file_system: u64,
}

impl Who {
    pub(super) fn of(path: &Path) -> Result<Self, Errno> {
        let stat = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
        if rustix::fs::FileType::from_raw_mode(stat.stx_mode.into()) != rustix::fs::FileType::Directory {
            return Err(Errno::NOTDIR);
        }
        Ok(Self {
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            born: (stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec),
            file_system: statvfs(path)?.f_fsid,
        })
    }

    fn is(&self, other: &Self) -> bool {
        let same_disk = self.device == other.device || (self.file_system != 0 && self.file_system == other.file_system);
        same_disk && self.inode == other.inode && self.born == other.born
    }

    /// Why the directory at `path` is not this one, if it is not.
    pub(super) fn lost(&self, path: &Path) -> Option<Lost> {
        let shown = shown(path);
        let (message, hint) = match Self::of(path) {
            Ok(now) if now.is(self) => return None,
            Ok(now) if now.device != self.device => (
                format!("`{shown}` was unmounted, or another disk is mounted there"),
                "mount the right disk; the job goes on by itself",
            ),
            Ok(_) => (
                format!("`{shown}` was replaced by another directory"),
                "put the right one back, and the job goes on by itself; if this one is right, restart the daemon",
            ),
            Err(Errno::NOENT | Errno::NOTDIR) => (
                format!("`{shown}` is gone: renamed, deleted, or on a disk that is not mounted"),
                "bring it back; the job goes on by itself",
            ),
            Err(errno) => {
                (format!("`{shown}` can't be looked at: {}", reason(errno)), "the job goes on by itself once it can")
            }
        };
        Some(Lost { message, hint: hint.to_owned() })
    }
}

/// The file system of this number, if it does not tell of what others change on it. Numbers: statfs(2),
/// `include/uapi/linux/magic.h`, and the sources of Lustre (`LL_SUPER_MAGIC`) and GPFS.
pub(in crate::replica::local) fn silent(magic: u64) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x6573_5546 => "FUSE",
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB",
        0x0102_1997 => "9p",
        0x786f_4256 => "a shared folder of VirtualBox",
        0x00c3_6400 => "Ceph",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x7375_7245 => "Coda",
        0x0bd0_0bd0 => "Lustre",
        0x4750_4653 => "GPFS",
        0x0116_1970 => "GFS2",
        0x7461_636f => "OCFS2",
        _ => return None,
    })
}
