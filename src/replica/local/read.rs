//! Reading: one look at a key, whole small files, pieces of large ones.
//!
//! Content is given out only with proof that it is the version that was asked for: the file is opened through no link,
//! its stat is compared before and after, and after reading the key must still lead to the same file.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, OFlags, fstat, statat};
use rustix::io::Errno;

use super::blocking;
use super::fault::failed;
use super::root::Root;
use super::stamp::Stamp;
use crate::model::{Digest, DigestKind, Entry, Key, Version};
use crate::replica::{Cause, Content, Error, Pieces, WHOLE_LIMIT};

/// Without `NONBLOCK` opening a FIFO that was put in the place of a file would wait for its writer for ever.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// One look. `Ok(None)` only where the kernel says so below a directory that could be opened: no such name, a file
/// where a directory would have to be, or a directory (which is no entry).
///
/// # Errors
/// [`Cause::Refused`] for a link, FIFO, socket or device at the key or a link above it: something is there that is
/// never synced, and that must not be taken for absence.
pub(super) fn look_up(root: &Root, key: &Key) -> Result<Option<Entry>, Error> {
    let failed = |errno| failed("look at", key, &root.path, errno);
    let found = root.parent(key.as_str()).and_then(|(dir, name)| statat(dir, name, AtFlags::SYMLINK_NOFOLLOW));
    // Absence counts only while this is still the directory that the user means.
    root.verify()?;
    let stamp = match found {
        Ok(stat) => Stamp::of(&stat),
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(errno) => return Err(failed(errno)),
    };
    match stamp.kind() {
        FileType::RegularFile => Ok(Some(stamp.entry(root.fs.trust))),
        FileType::Directory => Ok(None),
        FileType::Symlink => Err(not_a_file(key, "a symbolic link, and links are never followed")),
        _ => Err(not_a_file(key, "a FIFO, socket or device")),
    }
}

fn not_a_file(key: &Key, what: &str) -> Error {
    Error::new(Cause::Refused, format!("`{key}` is {what}"))
}

/// Opens content of this version.
pub(super) fn open(root: &Arc<Root>, key: &Key, expect: &Version) -> Result<Content, Error> {
    let failed = |errno| failed("read", key, &root.path, errno);
    let fd = root.open_at(key.as_str(), FILE).map_err(failed)?;
    let stamp = Stamp::of(&fstat(&fd).map_err(failed)?);
    if !stamp.is_file() || stamp.version(root.fs.trust) != *expect {
        return Err(changed(key));
    }
    let file = File { root: Arc::clone(root), key: key.clone(), fd, stamp, entry: stamp.entry(root.fs.trust) };
    if stamp.size > WHOLE_LIMIT {
        return Ok(Content::Pieces(Arc::new(Opened(Arc::new(file)))));
    }
    #[cfg(test)]
    super::seam::hit("read", key.as_str()).map_err(failed)?;
    let bytes = file.read_all().map_err(failed)?;
    file.unchanged()?;
    if bytes.len() as u64 != stamp.size {
        return Err(changed(key));
    }
    let blake3 = Digest::from_bytes(DigestKind::Blake3, blake3::hash(&bytes).as_bytes());
    Ok(Content::Whole { entry: file.entry, bytes: bytes.into(), blake3 })
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
    fn read_all(&self) -> Result<Vec<u8>, Errno> {
        // One byte more than there should be, so that a file that grew is seen without another call.
        let mut bytes = Vec::with_capacity(usize::try_from(self.stamp.size).unwrap_or(usize::MAX).saturating_add(1));
        while (bytes.len() as u64) <= self.stamp.size {
            match rustix::io::read(&self.fd, spare_capacity(&mut bytes)) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(bytes)
    }

    fn read_exactly(&self, offset: u64, len: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let at = offset + bytes.len() as u64;
            match rustix::io::pread(&self.fd, spare_capacity(&mut bytes), at) {
                Ok(0) => return Err(changed(&self.key)),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(failed("read", &self.key, &self.root.path, errno)),
            }
        }
        // The allocator may have given more room than was asked for.
        bytes.truncate(len);
        Ok(bytes)
    }

    /// The open file and what the key leads to now are both the version that was opened. Links on the way do no harm
    /// here: nothing is read through them, and the place is compared.
    fn unchanged(&self) -> Result<(), Error> {
        let trust = self.root.fs.trust;
        let same = |stat: &rustix::fs::Stat| {
            let now = Stamp::of(stat);
            now.version(trust) == self.entry.version && now.is_file()
        };
        let held = fstat(&self.fd).map_err(|errno| failed("read", &self.key, &self.root.path, errno))?;
        match statat(&self.root.fd, self.key.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) if same(&held) && same(&named) => Ok(()),
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Err(changed(&self.key)),
            Err(errno) => Err(failed("look at", &self.key, &self.root.path, errno)),
        }
    }
}

/// A large file, read in pieces.
#[derive(Debug)]
struct Opened(Arc<File>);

#[async_trait]
impl Pieces for Opened {
    fn entry(&self) -> &Entry {
        &self.0.entry
    }

    async fn read(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
        let file = Arc::clone(&self.0);
        blocking(move || file.read_exactly(offset, len).map(Bytes::from)).await
    }

    async fn unchanged(&self) -> Result<(), Error> {
        let file = Arc::clone(&self.0);
        blocking(move || file.unchanged()).await
    }
}
