//! The root directory, held open, and everything that is reached from it.
//!
//! Every path of a key is resolved from the held descriptor and through no symbolic link, so that nothing outside the
//! root is read or written, even if somebody swaps a directory for a link meanwhile. The root itself may be
//! reached through links: that is the user's own choice.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, fchmod, fchown, fstat, fstatfs, fstatvfs, mkdirat,
    openat, statat, unlinkat,
};
use rustix::io::Errno;

use super::fault::{hint, reason, shown};
use super::stamp::{FsKind, Stamp};
use crate::model::Symlinks;
use crate::replica::{Cause, Error};

/// For directories.
pub(super) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The numbers of a user and a group; what is `None` stays as it is.
pub(super) type Owner = (Option<u32>, Option<u32>);

/// How a directory is treated, and what new files and directories in it get beyond what the umask leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Made {
    /// Permissions of new files, of the nine bits.
    pub file_mode: Option<u32>,
    /// Permissions of new directories, of the nine bits.
    pub dir_mode: Option<u32>,
    /// The numbers of the user and the group that new files and directories belong to.
    pub owner: Option<Owner>,
    /// Bytes that stay free on the disk.
    pub reserve: Option<u64>,
    /// What becomes of symbolic links.
    pub links: Symlinks,
}

/// A root that was there when it was opened.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) path: PathBuf,
    pub(super) fd: OwnedFd,
    pub(super) stamp: Stamp,
    pub(super) fs: FsKind,
    /// What new files and directories get.
    pub(super) made: Made,
    /// Files with several names of which runs deleted some: the stamp that the others had before, by place.
    unlinked: Mutex<HashMap<(u64, u64), Unlinked>>,
    /// `openat2` is missing (before Linux 5.6) or forbidden (old container runtimes, and `RestrictSUIDSGID=` of systemd): go
    /// component by component.
    stepwise: AtomicBool,
}

/// A deletion of one name changes the change time of the file, which its other names share.
#[derive(Debug, Clone, Copy)]
struct Unlinked {
    before: Stamp,
    after: Stamp,
}

impl Made {
    fn dress_directory(&self, dir: &OwnedFd) -> Result<(), Errno> {
        if let Some((uid, gid)) = self.owner {
            fchown(dir, uid.map(Uid::from_raw), gid.map(Gid::from_raw))?;
        }
        match self.dir_mode {
            Some(mode) => fchmod(dir, Mode::from_raw_mode(mode)),
            None => Ok(()),
        }
    }
}

/// A directory: the root itself or one below it.
#[derive(Debug)]
pub(super) enum Dir<'a> {
    Root(&'a OwnedFd),
    Below(OwnedFd),
}

impl AsFd for Dir<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Root(fd) => fd.as_fd(),
            Self::Below(fd) => fd.as_fd(),
        }
    }
}

impl Root {
    /// Opens the root.
    ///
    /// # Errors
    /// [`Cause::Stop`], with what to do.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(CWD, path, flags, Mode::empty()).and_then(|fd| {
            let stamp = Stamp::of(&fstat(&fd)?);
            let magic = fstatfs(&fd)?.f_type;
            Ok((fd, stamp, magic))
        });
        match opened {
            Ok((fd, stamp, magic)) => {
                // Some platforms sign-extend the number, so only its 32 bits count.
                let magic = u64::try_from(magic & 0xffff_ffff).unwrap_or(0);
                let fs = FsKind::of_magic(magic);
                let made = Made::default();
                let (unlinked, stepwise) = (Mutex::default(), AtomicBool::new(false));
                Ok(Self { path: path.to_owned(), fd, stamp, fs, made, unlinked, stepwise })
            }
            // Only a first contact may say that the place was never there; later that is the end of the run.
            Err(Errno::NOENT) => Err(Error { cause: Cause::NotFound, ..cannot_open(path, Errno::NOENT) }),
            Err(errno) => Err(cannot_open(path, errno)),
        }
    }

    /// Who it is: file system id (the device where a file system has none) and inode.
    pub(super) fn identity(&self) -> String {
        let id = fstatvfs(&self.fd).map_or(0, |fs| fs.f_fsid);
        if id == 0 {
            format!("dev-{:x}:{:x}", self.stamp.dev, self.stamp.ino)
        } else {
            format!("fs-{id:x}:{:x}", self.stamp.ino)
        }
    }

    /// Makes sure that the path still leads to the directory that is held. After an unmount or a swap the held one says
    /// nothing about what the user has there.
    ///
    /// # Errors
    /// [`Cause::Stop`].
    pub(super) fn verify(&self) -> Result<(), Error> {
        match statat(CWD, &self.path, AtFlags::empty()) {
            Ok(stat) if Stamp::of(&stat).same_place(&self.stamp) => Ok(()),
            Ok(_) => Err(Error::new(
                Cause::Stop,
                format!("`{}` was replaced or unmounted while it was in use", shown(&self.path)),
            )
            .hint("make sure that the right disk is mounted there, then run again")),
            Err(errno) => Err(cannot_open(&self.path, errno)),
        }
    }

    /// What a look before our own deletions of other names of the file would have seen, if nothing else changed it since.
    pub(super) fn as_seen(&self, now: &Stamp) -> Stamp {
        let unlinked = self.unlinked.lock().unwrap_or_else(PoisonError::into_inner);
        unlinked.get(&(now.dev, now.ino)).filter(|known| known.after == *now).map_or(*now, |known| known.before)
    }

    /// Removes a name of a file that has this stamp.
    pub(super) fn unlink(&self, dir: BorrowedFd<'_>, name: &str, now: &Stamp) -> Result<(), Errno> {
        let held = openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).ok();
        unlinkat(dir, name, AtFlags::empty())?;
        if let Some(stat) = held.and_then(|held| fstat(held).ok()).filter(|stat| stat.st_nlink > 0) {
            let known = Unlinked { before: self.as_seen(now), after: Stamp::of(&stat) };
            let mut unlinked = self.unlinked.lock().unwrap_or_else(PoisonError::into_inner);
            unlinked.insert((now.dev, now.ino), known);
        }
        Ok(())
    }

    /// Opens what is at `path` below the root, through no symbolic link; `.` is the root itself.
    pub(super) fn open_at(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        if !self.stepwise.load(Ordering::Relaxed) {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            // With NOFOLLOW and DIRECTORY a link at the end gives ENOTDIR, which reads like absence. NO_SYMLINKS alone
            // refuses it too, and says ELOOP.
            let flags = flags.difference(OFlags::NOFOLLOW);
            loop {
                match rustix::fs::openat2(&self.fd, path, flags, Mode::empty(), resolve) {
                    // The kernel asks to try again when a directory was renamed while it looked.
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    // EPERM also comes from seccomp filters that do not know the call; the other way tells.
                    Err(Errno::NOSYS | Errno::PERM) => break,
                    result => return result,
                }
            }
        }
        let result = self.open_stepwise(path, flags);
        if result.is_ok() {
            self.stepwise.store(true, Ordering::Relaxed);
        }
        result
    }

    #[cfg(test)]
    pub(super) fn go_stepwise(&self) {
        self.stepwise.store(true, Ordering::Relaxed);
    }

    fn open_stepwise(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        if path == "." {
            return openat(&self.fd, ".", flags, Mode::empty());
        }
        let (parent, name) = split(path);
        let mut at = Dir::Root(&self.fd);
        for component in parent.iter().flat_map(|parent| parent.split('/')) {
            at = Dir::Below(open_directory(at.as_fd(), component)?);
        }
        if flags.contains(OFlags::DIRECTORY) {
            return open_directory(at.as_fd(), name);
        }
        check_component(name)?;
        openat(at, name, flags | OFlags::NOFOLLOW, Mode::empty())
    }

    /// The directory that holds `key`, opened for reading, and the key's last component.
    pub(super) fn parent<'a, 'k>(&'a self, key: &'k str) -> Result<(Dir<'a>, &'k str), Errno> {
        let (parent, name) = split(key);
        check_component(name)?;
        let dir = match parent {
            None => Dir::Root(&self.fd),
            Some(parent) => Dir::Below(self.open_at(parent, DIRECTORY)?),
        };
        Ok((dir, name))
    }

    /// As [`Root::parent`], making directories that are missing.
    pub(super) fn make_parent<'a, 'k>(&'a self, key: &'k str) -> Result<(Dir<'a>, &'k str), Errno> {
        match self.parent(key) {
            Err(Errno::NOENT) => {}
            result => return result,
        }
        let (parent, name) = split(key);
        let mut at = Dir::Root(&self.fd);
        for component in parent.iter().flat_map(|parent| parent.split('/')) {
            let below = match open_directory(at.as_fd(), component) {
                Err(Errno::NOENT) => {
                    let is_ours = match mkdirat(at.as_fd(), component, Mode::from_raw_mode(0o777)) {
                        Ok(()) => true,
                        // Somebody else made it at the same time: as good.
                        Err(Errno::EXIST) => false,
                        Err(errno) => return Err(errno),
                    };
                    // A file is durable only if the directories above it are.
                    rustix::fs::fsync(at.as_fd()).or_else(no_directory_sync)?;
                    let below = open_directory(at.as_fd(), component)?;
                    if is_ours {
                        self.made.dress_directory(&below)?;
                    }
                    below
                }
                result => result?,
            };
            at = Dir::Below(below);
        }
        Ok((at, name))
    }
}

/// Opens a directory by one name. A symbolic link gives `ELOOP`, as `openat2` does, not the kernel's `ENOTDIR`.
pub(super) fn open_directory(at: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    check_component(name)?;
    match openat(at, name, DIRECTORY, Mode::empty()) {
        Err(Errno::NOTDIR) => match statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if Stamp::of(&stat).kind() == FileType::Symlink => Err(Errno::LOOP),
            Ok(_) | Err(_) => Err(Errno::NOTDIR),
        },
        result => result,
    }
}

/// Some file systems (SMB, FUSE) can't sync a directory; there a rename is as durable as it gets.
pub(super) fn no_directory_sync(errno: Errno) -> Result<(), Errno> {
    match errno {
        Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::BADF => Ok(()),
        errno => Err(errno),
    }
}

/// Directory and last component.
pub(super) fn split(key: &str) -> (Option<&str>, &str) {
    match key.rsplit_once('/') {
        Some((parent, name)) => (Some(parent), name),
        None => (None, key),
    }
}

fn check_component(name: &str) -> Result<(), Errno> {
    if name.is_empty() || name == "." || name == ".." || name.contains('/') { Err(Errno::INVAL) } else { Ok(()) }
}

fn cannot_open(path: &Path, errno: Errno) -> Error {
    let shown = shown(path);
    let (message, way_out) = match errno {
        Errno::NOENT => (
            format!("there is no directory `{shown}`"),
            Some("check the path, mount the disk, or make the directory first".to_owned()),
        ),
        Errno::NOTDIR => (
            format!("`{shown}` is not a directory"),
            Some("name the directory that holds the files, with --only for one of them".to_owned()),
        ),
        errno => (format!("could not open the directory `{shown}`: {}", reason(errno)), hint(errno, path)),
    };
    let error = Error::new(Cause::Stop, message);
    match way_out {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
