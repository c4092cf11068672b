//! Reading: one look at a key, whole small files, pieces of large ones.
//!
//! Content is given out only with proof that it is the version that was asked for: the file is opened through no link,
//! its stat is compared before and after, and after reading the key must still lead to the same file.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, OFlags, fstat, statat};
use rustix::io::Errno;

use super::blocking;
use super::fault::failed;
use super::links::{self, is_stored, look_through, on_disk};
use super::pool::Pool;
use super::root::Root;
use super::stamp::{Stamp, now_ns};
use crate::model::{Digest, DigestKind, Entry, Key, Symlinks, Version};
use crate::replica::{Cause, Content, Error, Pieces, WHOLE_LIMIT};

/// Without `NONBLOCK` opening a FIFO that was put in the place of a file would wait for its writer for ever.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Worth waiting for in a look: the granularity of usual file systems.
const SOON: Duration = Duration::from_millis(10);

/// One look. `Ok(None)` only where the kernel says so below a directory that could be opened: no such name, a file
/// where a directory would have to be, or a directory (which is no entry).
///
/// # Errors
/// [`Cause::Refused`] for a link, FIFO, socket or device at the key or a link above it: something is there that is
/// never synced, and that must not be taken for absence.
pub(super) fn look_up(root: &Root, key: &Key) -> Result<Option<Entry>, Error> {
    let failed = |errno| failed("look at", key, &root.path, errno);
    let look = || match root.made.links {
        Symlinks::Follow => match look_through(root, key) {
            Ok(Some(stamp)) => Ok(Ok(stamp)),
            Ok(None) => Ok(Err(Errno::NOENT)),
            Err(error) => Err(error),
        },
        Symlinks::Skip | Symlinks::Store => Ok(root.parent(key.as_str()).and_then(|(dir, name)| {
            let (name, _) = on_disk(root, dir.as_fd(), name)?;
            Ok(Stamp::of(&statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?))
        })),
    };
    let mut found = look()?;
    if let Ok(stamp) = &found
        && let Some(left) = stamp.settles_in(root.fs, now_ns()).filter(|left| !left.is_zero() && *left <= SOON)
    {
        std::thread::sleep(left);
        found = look()?;
    }
    // Absence counts only while this is still the directory that the user means.
    root.verify()?;
    let stamp = match found {
        Ok(stamp) => stamp,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        // A link that is stored has nothing below it.
        Err(Errno::LOOP) if root.made.links == Symlinks::Store => return Ok(None),
        Err(errno) => return Err(failed(errno)),
    };
    match stamp.kind() {
        FileType::RegularFile => Ok(Some(stamp.entry_seen(root.fs))),
        FileType::Directory => Ok(None),
        FileType::Symlink if root.made.links == Symlinks::Store => {
            Ok(is_stored(root, key).then(|| stamp.entry_seen(root.fs)))
        }
        FileType::Symlink => Err(not_a_file(key, "a symbolic link, and links are never followed")),
        _ => Err(not_a_file(key, "a FIFO, socket or device")),
    }
}

fn not_a_file(key: &Key, what: &str) -> Error {
    Error::new(Cause::Refused, format!("`{key}` is {what}"))
}

/// Opens content of this version.
pub(super) fn open(root: &Arc<Root>, key: &Key, expect: &Version, pool: &Pool) -> Result<Content, Error> {
    if is_stored(root, key) {
        return links::read(root, key, expect);
    }
    let failed = |errno| failed("read", key, &root.path, errno);
    let fd = root.open_to_read(key.as_str(), FILE).map_err(failed)?;
    let mut stamp = Stamp::of(&fstat(&fd).map_err(failed)?);
    // Content is read only when a later change would show in the times: an edit within the same tick of the file
    // system's clock would go unseen until the next one.
    if let Some(left) = stamp.settles_in(root.fs, now_ns()).filter(|left| !left.is_zero()) {
        std::thread::sleep(left);
        stamp = Stamp::of(&fstat(&fd).map_err(failed)?);
    }
    if !stamp.is_file() || !stamp.is(root.fs.trust, expect) {
        return Err(changed(key));
    }
    let file = File { root: Arc::clone(root), key: key.clone(), fd, stamp, entry: stamp.entry_seen(root.fs) };
    if stamp.size > WHOLE_LIMIT {
        return Ok(Content::Pieces(Arc::new(Opened { file: Arc::new(file), pool: pool.clone() })));
    }
    #[cfg(test)]
    super::seam::hit("read", key.as_str()).map_err(failed)?;
    let (buffer, len) = file.read_all(pool).map_err(failed)?;
    file.unchanged()?;
    if len as u64 != stamp.size {
        return Err(changed(key));
    }
    let bytes = pool.shelf.give(buffer, len);
    let blake3 = Digest::from_bytes(DigestKind::Blake3, blake3::hash(&bytes).as_bytes());
    Ok(Content::Whole { entry: file.entry, bytes, blake3, attributes: None })
}

fn changed(key: &Key) -> Error {
    Error::new(Cause::Changed, format!("`{key}` changed since it was looked at"))
}

/// A file that was opened with a known version.
#[derive(Debug)]
struct File {
    root: Arc<Root>,
    key: Key,
    fd: OwnedFd,
    stamp: Stamp,
    entry: Entry,
}

impl File {
    /// The whole content, as a buffer and its length. A file that grew gives a byte more than it had.
    fn read_all(&self, pool: &Pool) -> Result<(Vec<u8>, usize), Errno> {
        // One byte more than there should be, so that a file that grew is seen without another call.
        let room = usize::try_from(self.stamp.size).unwrap_or(usize::MAX).saturating_add(1);
        let (mut buffer, mut filled) = (pool.shelf.take(room), 0);
        while filled < room {
            match rustix::io::read(&self.fd, &mut buffer[filled..room]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok((buffer, filled))
    }

    fn read_exactly(&self, offset: u64, len: usize, pool: &Pool) -> Result<Bytes, Error> {
        let (mut buffer, mut filled) = (pool.shelf.take(len), 0);
        while filled < len {
            match rustix::io::pread(&self.fd, &mut buffer[filled..len], offset + filled as u64) {
                Ok(0) => return Err(changed(&self.key)),
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(failed("read", &self.key, &self.root.path, errno)),
            }
        }
        Ok(pool.shelf.give(buffer, len))
    }

    /// The open file and what the key leads to now are both the version that was opened. Links on the way do no harm
    /// here: nothing is read through them, and the place is compared.
    fn unchanged(&self) -> Result<(), Error> {
        let trust = self.root.fs.trust;
        let same = |stat: &rustix::fs::Stat| {
            let now = Stamp::of(stat);
            now.is(trust, &self.entry.version) && now.is_file()
        };
        let held = fstat(&self.fd).map_err(|errno| failed("read", &self.key, &self.root.path, errno))?;
        let named = match self.root.made.links {
            Symlinks::Follow => self.root.follow(self.key.as_str(), OFlags::PATH).and_then(fstat),
            Symlinks::Skip | Symlinks::Store => statat(&self.root.fd, self.key.as_str(), AtFlags::SYMLINK_NOFOLLOW),
        };
        match named {
            Ok(named) if same(&held) && same(&named) => Ok(()),
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Err(changed(&self.key)),
            Err(errno) => Err(failed("look at", &self.key, &self.root.path, errno)),
        }
    }
}

/// A large file, read in pieces.
#[derive(Debug)]
struct Opened {
    file: Arc<File>,
    pool: Pool,
}

#[async_trait]
impl Pieces for Opened {
    fn entry(&self) -> &Entry {
        &self.file.entry
    }

    async fn read(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
        let (file, pool) = (Arc::clone(&self.file), self.pool.clone());
        blocking(move || file.read_exactly(offset, len, &pool)).await
    }

    async fn unchanged(&self) -> Result<(), Error> {
        let file = Arc::clone(&self.file);
        blocking(move || file.unchanged()).await
    }
}
