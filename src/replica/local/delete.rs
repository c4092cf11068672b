//! Deleting: files that still have their versions, and the directories that become empty by it.

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, Dir as Entries, FileType, fsync, statat, unlinkat};
use rustix::io::Errno;

use super::fault::failed;
use super::links::on_disk;
use super::root::{DIRECTORY, Root, no_directory_sync, open_directory, split};
use super::stamp::Stamp;
use super::write::raced;
use crate::model::{Key, Symlinks, Version};
use crate::replica::{Cause, Error};

/// Deletes keys that still have their versions, then the directories above them that became empty, never the root.
pub(super) fn delete(root: &Root, batch: &[(Key, Version)]) -> Vec<Result<(), Error>> {
    let mut parents: Vec<&str> = Vec::new();
    let results = batch.iter().map(|(key, version)| {
        let result = delete_one(root, key, version);
        if let (Ok(()), Some(parent)) = (&result, split(key.as_str()).0)
            && parents.last() != Some(&parent)
        {
            parents.push(parent);
        }
        result
    });
    let mut results: Vec<Result<(), Error>> = results.collect();
    parents.sort_unstable();
    parents.dedup();
    // Deepest first, so that a parent is tried when its children are gone.
    for parent in parents.into_iter().rev() {
        remove_empty(root, parent);
    }
    let synced = sync_after_delete(root, batch, &results);
    for (result, (key, _)) in results.iter_mut().zip(batch) {
        if let (Ok(()), Err(errno)) = (&result, synced) {
            *result = Err(failed("delete", key, &root.path, errno));
        }
    }
    results
}

fn delete_one(root: &Root, key: &Key, version: &Version) -> Result<(), Error> {
    let fault = |errno| match errno {
        Errno::NOENT | Errno::NOTDIR => raced(key),
        errno => failed("delete", key, &root.path, errno),
    };
    root.verify()?;
    let (dir, name) = root.parent(key.as_str()).map_err(fault)?;
    #[cfg(test)]
    super::seam::hit("delete", key.as_str()).map_err(fault)?;
    let (name, kind) = on_disk(root, dir.as_fd(), name).map_err(fault)?;
    let stamp = Stamp::of(&statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(fault)?);
    if root.made.links == Symlinks::Follow && stamp.kind() == FileType::Symlink {
        let message = format!("could not delete `{key}`: it is a symbolic link, and nothing is deleted through one");
        return Err(Error::new(Cause::Refused, message).hint("remove the link itself, if it is to go"));
    }
    if stamp.kind() != kind || !root.as_seen(&stamp).is(root.fs.trust, version) && !stamp.is(root.fs.trust, version) {
        return Err(raced(key));
    }
    root.unlink(dir.as_fd(), name, &stamp).map_err(fault)
}

/// Removes a directory that holds nothing but such directories; with the first file in it, nothing.
pub(super) fn remove_empty_tree(above: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    for sweep in [Sweep::Look, Sweep::Remove] {
        sweep.walk(above, name)?;
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sweep {
    Look,
    Remove,
}

impl Sweep {
    fn walk(self, above: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
        let dir = open_directory(above, name)?;
        for entry in Entries::read_from(&dir)? {
            let entry = entry?;
            match entry.file_name().to_str() {
                Ok("." | "..") => {}
                Ok(below) => self.walk(dir.as_fd(), below)?,
                Err(_) => return Err(Errno::NOTEMPTY),
            }
        }
        if self == Self::Remove { unlinkat(above, name, AtFlags::REMOVEDIR) } else { Ok(()) }
    }
}

/// Removes `dir` and its parents as long as they are empty. `rmdir` fails on anything else, which is what is wanted.
pub(super) fn remove_empty(root: &Root, dir: &str) {
    let mut dir = Some(dir);
    while let Some(path) = dir {
        let removed = root.parent(path).and_then(|(above, name)| unlinkat(above, name, AtFlags::REMOVEDIR));
        if !matches!(removed, Ok(()) | Err(Errno::NOENT)) {
            return;
        }
        dir = split(path).0;
    }
}

/// A deletion that is recorded must not come undone in a crash: the file would look like a new one. One sync for each
/// directory that is still there; for one that is gone its closest parent.
fn sync_after_delete(root: &Root, batch: &[(Key, Version)], results: &[Result<(), Error>]) -> Result<(), Errno> {
    let mut dirs: Vec<Option<&str>> = batch
        .iter()
        .zip(results)
        .filter(|(_, result)| result.is_ok())
        .map(|((key, _), _)| split(key.as_str()).0)
        .collect();
    dirs.sort_unstable();
    dirs.dedup();
    let mut synced: Option<Option<&str>> = None;
    for dir in dirs {
        let mut at = dir;
        loop {
            let opened = match at {
                None => root.fd.as_fd().try_clone_to_owned().map_err(|_| Errno::MFILE),
                Some(path) => root.open_at(path, DIRECTORY),
            };
            match opened {
                Err(Errno::NOENT) if at.is_some() => at = at.and_then(|path| split(path).0),
                Err(Errno::NOTDIR | Errno::LOOP) => break,
                Ok(_) if synced == Some(at) => break,
                Ok(fd) => {
                    fsync(fd).or_else(no_directory_sync)?;
                    synced = Some(at);
                    break;
                }
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(())
}
