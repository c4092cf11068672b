//! Writing: the temporary file, and the check right before the rename.
//!
//! New content is complete and on the disk before it gets its name; the name changes from the old to the new content in
//! one step; what is there right before must be what the plan saw. Between that last look and the rename or
//! unlink lie a few microseconds in which a change by somebody else is overwritten; for a new name not even those
//! (`RENAME_NOREPLACE`, or `linkat` where the file system has none).

use std::collections::HashSet;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    Advice, AtFlags, Dir as Entries, FileType, FlockOperation, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps,
    UTIME_OMIT, Uid, fadvise, fchmod, fchown, flock, fstat, fsync, ftruncate, futimens, linkat, openat, renameat,
    renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::delete::remove_empty_tree;
use super::fault::failed;
use super::root::{Owner, Root, no_directory_sync, split};
use super::stamp::Stamp;
use super::tidy::temp_name;
use crate::model::{Entry, Expect, Key};
use crate::replica::{Cause, Error};

/// A file that is being written beside its future name. Dropped before it is published, it is removed.
#[derive(Debug)]
pub(super) struct Temp {
    pub(super) root: Arc<Root>,
    pub(super) key: Key,
    dir: OwnedFd,
    name: String,
    pub(super) fd: OwnedFd,
    /// The permissions that the published file gets; `None` for a new file, which has what the umask left.
    mode: Option<Mode>,
    /// The owner that the published file gets, if that is possible.
    owner: Option<Owner>,
    /// Up to where there are zeros that were not written.
    hole: AtomicU64,
    /// It is not removed when it is dropped: another run goes on with it.
    kept: AtomicBool,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Temporary,
    Published,
}

/// Bytes of zeros that are left out, so that the file system stores nothing for them.
const BLOCK: usize = 64 * 1024;

impl Temp {
    /// Makes the directories above `key` and a temporary file in the last one, if `expect` holds now.
    pub(super) fn create(root: &Arc<Root>, key: &Key, expect: &Expect) -> Result<Self, Error> {
        Self::open(root, key, expect, None)
    }

    /// As [`Temp::create`], or, with a name, the file of that name which an earlier run left, made if it is not there;
    /// it stays when it is dropped.
    pub(super) fn open(root: &Arc<Root>, key: &Key, expect: &Expect, partial: Option<&str>) -> Result<Self, Error> {
        root.verify()?;
        let fault = |errno| blocked(root, key, errno);
        let (dir, target) = root.make_parent(key.as_str()).map_err(fault)?;
        let dir = dir
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| fault(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        let old = check(root, key, &dir, target, expect)?;
        let base = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let flags = if partial.is_some() { base } else { base | OFlags::EXCL };
        loop {
            let name = partial.map_or_else(temp_name, str::to_owned);
            match openat(&dir, &name, flags, Mode::from_raw_mode(0o666)) {
                Err(Errno::EXIST | Errno::INTR) => {}
                Err(errno) => return Err(fault(errno)),
                Ok(fd) => {
                    // The lock tells a tidying process that the writer lives; where there are none, age does.
                    flock(&fd, FlockOperation::NonBlockingLockExclusive).unwrap_or_default();
                    let made = &root.made;
                    // Never set-user-id and the like: they were given to the old content.
                    let mode = old.map(|(old, _)| old.mode & 0o777).or(made.file_mode).map(Mode::from_raw_mode);
                    let owner = old.map_or(made.owner, |(_, owner)| Some(owner));
                    let (root, key) = (Arc::clone(root), key.clone());
                    let (hole, kept) = (AtomicU64::new(0), AtomicBool::new(partial.is_some()));
                    return Ok(Self { root, key, dir, name, fd, mode, owner, hole, kept, state: State::Temporary });
                }
            }
        }
    }

    /// The size and link count of what is there, for one that an earlier run left.
    pub(super) fn is_plain(&self) -> bool {
        fstat(&self.fd).is_ok_and(|stat| Stamp::of(&stat).is_file() && stat.st_nlink == 1)
    }

    /// Reads what is there already.
    pub(super) fn read(&self, offset: u64, len: usize) -> Option<Vec<u8>> {
        let (mut bytes, mut filled) = (vec![0; len], 0);
        while filled < len {
            match rustix::io::pread(&self.fd, &mut bytes[filled..], offset + filled as u64) {
                Ok(0) => return None,
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
        Some(bytes)
    }

    /// Ends it after `size` bytes, if it is longer.
    pub(super) fn cut(&self, size: u64) -> Result<(), Error> {
        let there = fstat(&self.fd).map_err(|errno| self.failed(errno))?.st_size.cast_unsigned();
        if there > size { ftruncate(&self.fd, size).map_err(|errno| self.failed(errno)) } else { Ok(()) }
    }

    /// It is removed when it is dropped, whatever was said before.
    pub(super) fn discard(&self) {
        self.kept.store(false, Relaxed);
    }

    /// Whether it stays when it is dropped.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.load(Relaxed)
    }

    /// Writes at an offset of a new file; blocks of zeros are left out.
    pub(super) fn write_sparse(&self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        let mut at = offset;
        let mut from = 0;
        for (n, block) in bytes.chunks(BLOCK).enumerate() {
            let begin = n * BLOCK;
            if block.len() == BLOCK && block.iter().all(|byte| *byte == 0) {
                self.write(&bytes[from..begin], at)?;
                from = begin + BLOCK;
                at = offset + from as u64;
                self.hole.fetch_max(at, Relaxed);
            }
        }
        self.write(&bytes[from..], at)
    }

    /// Writes at an offset.
    pub(super) fn write(&self, mut bytes: &[u8], mut offset: u64) -> Result<(), Error> {
        while !bytes.is_empty() {
            #[cfg(test)]
            super::seam::hit("write", self.key.as_str()).map_err(|errno| self.failed(errno))?;
            match rustix::io::pwrite(&self.fd, bytes, offset) {
                Ok(0) => return Err(self.failed(Errno::IO)),
                Ok(written) => {
                    bytes = &bytes[written..];
                    offset += written as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.failed(errno)),
            }
        }
        Ok(())
    }

    /// Lets the disk begin with a written range, so that the flush at the end finds little left to do: of
    /// a GiB, 3 s after 0.4 s of writing. A hint, and nothing fails by it.
    pub(super) fn begin_flush(&self, offset: u64, len: u64) {
        let Some(len) = NonZeroU64::new(len) else { return };
        // Linux starts writing dirty pages out when they are said not to be needed, and keeps them until that is done.
        fadvise(&self.fd, offset, Some(len), Advice::DontNeed).unwrap_or_default();
    }

    /// Makes the content durable, checks `expect` for the last time, gives the file its name and makes that durable.
    /// The entry is a stat of the very file that was written, taken after the rename: if somebody replaced it or wrote
    /// into it since, its version is another one, and the next scan sees that.
    #[cfg(test)]
    pub(super) fn publish(mut self, expect: &Expect, mtime_ns: Option<i64>) -> Result<Entry, Error> {
        self.dress(mtime_ns)?;
        self.sync()?;
        let entry = self.name(expect)?;
        sync_directories([&self].into_iter()).map_err(|errno| self.failed(errno))?;
        Ok(entry)
    }

    /// Gives the file its length, owner, permissions and time.
    pub(super) fn dress(&mut self, mtime_ns: Option<i64>) -> Result<(), Error> {
        let fault = |errno| failed("write", &self.key, &self.root.path, errno);
        let hole = self.hole.load(Relaxed);
        if hole > 0 && fstat(&self.fd).map_err(fault)?.st_size.cast_unsigned() < hole {
            ftruncate(&self.fd, hole).map_err(fault)?;
        }
        if let Some((uid, gid)) = self.owner {
            // Only root may give files away. What can't be given stays ours: better than no file.
            fchown(&self.fd, uid.map(Uid::from_raw), gid.map(Gid::from_raw)).or_else(no_permissions).map_err(fault)?;
        }
        if let Some(mode) = self.mode {
            // FAT and some mounts know no permissions; there the mount sets them for all files alike.
            fchmod(&self.fd, mode).or_else(no_permissions).map_err(fault)?;
        }
        if let Some(mtime_ns) = mtime_ns {
            futimens(&self.fd, &modified(mtime_ns)).map_err(fault)?;
        }
        Ok(())
    }

    /// Makes the content durable.
    pub(super) fn sync(&self) -> Result<(), Error> {
        // Not fdatasync: it may leave the modification time behind, and that is a part of the version.
        fsync(&self.fd).map_err(|errno| self.failed(errno))
    }

    /// Whether flushing the root's file system flushes this file.
    pub(super) fn is_on_the_roots_disk(&self) -> bool {
        fstat(&self.fd).is_ok_and(|stat| stat.st_dev == self.root.stamp.dev)
    }

    /// Checks `expect` for the last time and gives the file its name, which is durable once its directory is flushed.
    pub(super) fn name(&mut self, expect: &Expect) -> Result<Entry, Error> {
        let fault = |errno| failed("write", &self.key, &self.root.path, errno);
        self.root.verify()?;
        #[cfg(test)]
        super::seam::hit("publish", self.key.as_str()).map_err(fault)?;
        let (_, target) = split(self.key.as_str());
        check(&self.root, &self.key, &self.dir, target, expect)?;
        #[cfg(test)]
        super::seam::hit("rename", self.key.as_str()).map_err(fault)?;
        let written = Stamp::of(&fstat(&self.fd).map_err(fault)?);
        match expect {
            Expect::Version(_) => renameat(&self.dir, &self.name, &self.dir, target).map_err(fault)?,
            Expect::Absent => match self.rename_to_new(target) {
                Err(Errno::EXIST) => return Err(raced(&self.key)),
                result => result.map_err(fault)?,
            },
        }
        self.state = State::Published;
        #[cfg(test)]
        super::seam::hit("renamed", self.key.as_str()).map_err(fault)?;
        let named = Stamp::of(&fstat(&self.fd).map_err(fault)?);
        // The rename itself changes nothing but the change time. Whoever wrote into the file since it had its name did so
        // after our content: with the stamp from before, the next scan finds a change.
        let stamp = if named.has_content_of(&written) { named } else { written };
        Ok(stamp.entry(self.root.fs.trust))
    }

    fn rename_to_new(&self, target: &str) -> Result<(), Errno> {
        match renameat_with(&self.dir, &self.name, &self.dir, target, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            result => return result,
        }
        match linkat(&self.dir, &self.name, &self.dir, target, AtFlags::empty()) {
            Ok(()) => unlinkat(&self.dir, &self.name, AtFlags::empty()),
            // No hard links either (FAT behind an old driver): the check before is all there is.
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => renameat(&self.dir, &self.name, &self.dir, target),
            Err(errno) => Err(errno),
        }
    }

    fn failed(&self, errno: Errno) -> Error {
        failed("write", &self.key, &self.root.path, errno)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if self.state == State::Temporary && !self.is_kept() {
            // If even this fails, tidying finds it.
            unlinkat(&self.dir, &self.name, AtFlags::empty()).unwrap_or_default();
        }
    }
}

/// Makes the names of published files durable: one flush a directory.
pub(super) fn sync_directories<'a>(temps: impl Iterator<Item = &'a Temp>) -> Result<(), Errno> {
    let mut seen = HashSet::new();
    for temp in temps {
        let stat = fstat(&temp.dir)?;
        if seen.insert((stat.st_dev, stat.st_ino)) {
            fsync(&temp.dir).or_else(no_directory_sync)?;
        }
    }
    Ok(())
}

/// Compares what is there with what the plan saw; gives what is there, and whose it is.
fn check(root: &Root, key: &Key, dir: &OwnedFd, name: &str, expect: &Expect) -> Result<Option<(Stamp, Owner)>, Error> {
    let mut owner = None;
    let there = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => {
            owner = Some((Some(stat.st_uid), Some(stat.st_gid)));
            Some(Stamp::of(&stat))
        }
        Err(Errno::NOENT) => None,
        Err(errno) => return Err(failed("look at", key, &root.path, errno)),
    };
    match (expect, there.map(|stamp| (stamp.kind(), stamp))) {
        (Expect::Absent, None) => Ok(None),
        // What a killed run emptied is still there; nothing that anybody lists is in it.
        (Expect::Absent, Some((FileType::Directory, _))) => match remove_empty_tree(dir.as_fd(), name) {
            Ok(()) => Ok(None),
            Err(_) => Err(in_the_way(key, "a directory of that name stands there")),
        },
        // Nothing is written through a link that was followed.
        (_, Some((FileType::Symlink, _))) => Err(in_the_way(key, "a symbolic link of that name stands there")),
        (Expect::Version(version), Some((FileType::RegularFile, stamp))) if stamp.is(root.fs.trust, version) => {
            Ok(owner.map(|owner| (stamp, owner)))
        }
        (Expect::Absent, Some((FileType::RegularFile, _))) if !has_name(dir, name) => {
            Err(in_the_way(key, "this disk takes its name for that of a file that is there, as if letters were equal"))
        }
        _ => Err(raced(key)),
    }
}

/// Whether a directory holds this very name: some file systems find a file by a name that differs in case or Unicode form.
/// In doubt it does.
pub(super) fn has_name(dir: &OwnedFd, name: &str) -> bool {
    let Ok(entries) = Entries::read_from(dir) else { return true };
    entries.into_iter().any(|entry| entry.map_or(true, |entry| entry.file_name().to_bytes() == name.as_bytes()))
}

/// Why a name can't be made.
pub(super) fn blocked(root: &Root, key: &Key, errno: Errno) -> Error {
    match errno {
        Errno::NOTDIR => in_the_way(key, "a file stands where it needs a directory"),
        Errno::LOOP => {
            in_the_way(key, "a symbolic link stands where it needs a directory, and links are never followed")
        }
        errno => failed("write", key, &root.path, errno),
    }
}

pub(super) fn raced(key: &Key) -> Error {
    Error::new(Cause::Precondition, format!("somebody else changed `{key}` since it was looked at"))
}

pub(super) fn in_the_way(key: &Key, what: &str) -> Error {
    Error::new(Cause::Refused, format!("could not write `{key}`: {what}")).hint("rename or remove one of the two")
}

fn no_permissions(errno: Errno) -> Result<(), Errno> {
    match errno {
        Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL => Ok(()),
        errno => Err(errno),
    }
}

pub(super) fn modified(mtime_ns: i64) -> Timestamps {
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let (seconds, rest) = (mtime_ns.div_euclid(1_000_000_000), mtime_ns.rem_euclid(1_000_000_000));
    Timestamps { last_access: omit, last_modification: Timespec { tv_sec: seconds, tv_nsec: rest } }
}
