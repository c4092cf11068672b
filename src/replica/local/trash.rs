//! The trash of a directory: `.mediasync/trash/RUN/KEY` below the root, for its owner only (mode 0700).
//!
//! Keeping is a hard link: no bytes are copied, and what a file is (times, permissions, owner) comes back with it. Where
//! the file system has none, the bytes are copied, with times and permissions. A link changes the change time of the
//! file, and with it its version. Everything goes through held directory handles and no symbolic link, as in all of
//! this folder. Blocking.
//!
//! A key whose path has no room for the folder's (4,095 bytes in all) can't be kept: it is a problem of that key.

use std::sync::Arc;

use async_trait::async_trait;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, Dir as Entries, FileType, Mode, OFlags, RenameFlags, fchmod, fstat, fsync, futimens, linkat, mkdirat,
    openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use tokio::sync::mpsc;

use super::delete::remove_empty_tree;
use super::fault::{failed, reason};
use super::links::{self, on_disk, text_of};
use super::root::{DIRECTORY, Dir, Root, no_directory_sync, open_directory, split};
use super::stamp::Stamp;
use super::tidy::temp_name;
use super::write::{modified, raced};
use super::{BATCHES, Local, PATH_LIMIT, blocking};
use crate::model::{Entry, Expect, Key, RunName, Version};
use crate::replica::trash::{FOLDER, WAY_OUT, path_of};
use crate::replica::{Cause, Error, Journal, Kept, KeptAs, Trash, Trashed, TrashedStream};

/// Entries a batch of a listing.
const BATCH: usize = 256;
/// Bytes of a copy at once, where there are no links.
const PIECE: usize = 1024 * 1024;

#[async_trait]
impl Trash for Local {
    async fn keep(&self, key: &Key, version: &Version, run: &RunName, _journal: &dyn Journal) -> Result<Kept, Error> {
        self.refuse("keep", key)?;
        let (root, key, version, run) = (self.root()?, key.clone(), version.clone(), run.clone());
        blocking(move || keep(&root, &key, &version, &run)).await
    }

    fn trashed(&self, run: Option<&RunName>) -> TrashedStream {
        let root = match self.root() {
            Ok(root) => root,
            Err(error) => return TrashedStream::of(Err(error)),
        };
        let (sender, items) = mpsc::channel(BATCHES);
        let run = run.cloned();
        let producer = tokio::task::spawn_blocking(move || {
            let mut walk = Walk { root: &root, sender, batch: Vec::new() };
            if let Err(error) = walk.all(run.as_ref()) {
                // A reader that went away does not want to know.
                walk.sender.blocking_send(Err(error)).ok();
            }
        });
        TrashedStream { items, producer: Some(producer) }
    }

    async fn look_at(&self, kept: &Trashed) -> Result<Option<Entry>, Error> {
        let (root, kept) = (self.root()?, kept.clone());
        blocking(move || look_at(&root, &kept)).await
    }

    async fn restore(&self, kept: &Trashed, expect: &Expect, _journal: &dyn Journal) -> Result<Entry, Error> {
        self.refuse("restore", &kept.key)?;
        let (root, kept, expect) = (self.root()?, kept.clone(), expect.clone());
        blocking(move || restore(&root, &kept, &expect)).await
    }

    async fn discard(&self, batch: &[Trashed]) -> Vec<Result<(), Error>> {
        let root = match self.root() {
            Ok(root) => root,
            Err(error) => return vec![Err(error); batch.len()],
        };
        let (batch, count) = (batch.to_vec(), batch.len());
        let done = blocking(move || Ok(batch.iter().map(|kept| discard(&root, kept)).collect())).await;
        done.unwrap_or_else(|error| vec![Err(error); count])
    }
}

fn keep(root: &Arc<Root>, key: &Key, version: &Version, run: &RunName) -> Result<Kept, Error> {
    let fault = |errno| match errno {
        Errno::NOENT | Errno::NOTDIR => raced(key),
        errno => failed("keep", key, &root.path, errno),
    };
    root.verify()?;
    let path = path_of(run, key);
    if path.len() > PATH_LIMIT {
        let message = format!(
            "`{key}` can't be kept: in the trash its path has {} bytes, and {PATH_LIMIT} is the limit",
            path.len()
        );
        return Err(Error::new(Cause::Refused, message).hint(WAY_OUT));
    }
    let (dir, name) = root.parent(key.as_str()).map_err(fault)?;
    let (name, kind) = on_disk(root, dir.as_fd(), name).map_err(fault)?;
    let stat = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(fault)?;
    let seen = Stamp::of(&stat);
    if seen.kind() != kind || !root.as_seen(&seen).is(root.fs.trust, version) && !seen.is(root.fs.trust, version) {
        return Err(raced(key));
    }
    let (bin, at) = make_parent(root, &path).map_err(|errno| not_kept(root, key, errno))?;
    #[cfg(test)]
    super::seam::hit("keep", key.as_str()).map_err(|errno| not_kept(root, key, errno))?;
    let is_kept = statat(&bin, at, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|kept| Stamp::of(&kept).same_place(&seen));
    // A file with other names may be edited through one of them, which would change what is kept. Of a link its text is
    // kept, as a file: whoever looks into the trash sees what it led to.
    let is_copied = kind == FileType::Symlink || stat.st_nlink > 1 && !is_kept;
    let linked = if is_copied { Err(Errno::MLINK) } else { linkat(&dir, name, &bin, at, AtFlags::empty()) };
    match linked {
        // Kept already, by an earlier try.
        Ok(()) | Err(Errno::EXIST) => {}
        Err(Errno::NOENT) => return Err(raced(key)),
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
            copy_into(root, key, (dir.as_fd(), name), &seen, (bin.as_fd(), at))?;
        }
        Err(errno) => return Err(not_kept(root, key, errno)),
    }
    let now = Stamp::of(&statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(fault)?);
    let kept = Stamp::of(&statat(&bin, at, AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| not_kept(root, key, errno))?);
    let same = |a: &Stamp, b: &Stamp| (a.size, a.mtime_ns) == (b.size, b.mtime_ns);
    // What was linked is what was seen, and still at the key; a copy has a place of its own.
    if !now.same_place(&seen) || !same(&now, &seen) || !kept.is_file() || !same(&kept, &seen) {
        if kept.same_place(&now) || kept.same_place(&seen) {
            unlinkat(&bin, at, AtFlags::empty()).unwrap_or_default();
        }
        return Err(raced(key));
    }
    Ok(Kept { version: now.entry(root.fs.trust).version, kept_as: KeptAs::Copy })
}

fn not_kept(root: &Root, key: &Key, errno: Errno) -> Error {
    let error = failed("keep", key, &root.path, errno);
    match error.cause {
        Cause::Stop => error,
        _ => Error { cause: Cause::Refused, hint: error.hint.or_else(|| Some(WAY_OUT.to_owned())), ..error },
    }
}

/// The bytes, times and permissions of a file, where it can't be linked.
fn copy_into(
    root: &Root,
    key: &Key,
    (dir, name): (BorrowedFd<'_>, &str),
    seen: &Stamp,
    (bin, at): (BorrowedFd<'_>, &str),
) -> Result<(), Error> {
    let temp = temp_name();
    let copied = (|| {
        let is_link = seen.kind() == FileType::Symlink;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let from = openat(dir, name, if is_link { flags | OFlags::PATH } else { flags }, Mode::empty())?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let to = openat(bin, &temp, flags, Mode::from_raw_mode(0o600))?;
        if is_link {
            pour_all(&to, &text_of(dir, name)?)?;
        } else {
            pour(&from, &to)?;
            fchmod(&to, Mode::from_raw_mode(seen.mode & 0o777)).unwrap_or_default();
        }
        futimens(&to, &modified(seen.mtime_ns))?;
        fsync(&to)?;
        // It was one file from its first to its last byte.
        let after = Stamp::of(&fstat(&from)?);
        if after != *seen {
            return Err(Errno::STALE);
        }
        renameat(bin, &temp, bin, at)
    })();
    if copied.is_err() {
        unlinkat(bin, &temp, AtFlags::empty()).unwrap_or_default();
    }
    copied.map_err(|errno| if errno == Errno::STALE { raced(key) } else { not_kept(root, key, errno) })
}

fn pour(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    let mut piece = vec![0; PIECE];
    loop {
        let read = match rustix::io::read(from, &mut piece) {
            Ok(0) => return Ok(()),
            Err(Errno::INTR) => continue,
            read => read?,
        };
        pour_all(to, &piece[..read])?;
    }
}

fn pour_all(to: &OwnedFd, mut rest: &[u8]) -> Result<(), Errno> {
    while !rest.is_empty() {
        match rustix::io::write(to, rest) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// The directory of a path in the trash, and the path's last component. Directories that are missing are made for their
/// owner alone: what was readable in a directory of the user's may not be readable here, but never the other way round.
pub(super) fn make_parent<'p>(root: &Root, path: &'p str) -> Result<(OwnedFd, &'p str), Errno> {
    let (parent, name) = split(path);
    let parent = parent.ok_or(Errno::INVAL)?;
    match root.open_at(parent, DIRECTORY) {
        Err(Errno::NOENT) => {}
        result => return Ok((result?, name)),
    }
    let mut at = Dir::Root(&root.fd);
    for component in parent.split('/') {
        let below = match open_directory(at.as_fd(), component) {
            Err(Errno::NOENT) => {
                match mkdirat(at.as_fd(), component, Mode::from_raw_mode(0o700)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno),
                }
                fsync(at.as_fd()).or_else(no_directory_sync)?;
                open_directory(at.as_fd(), component)?
            }
            result => result?,
        };
        at = Dir::Below(below);
    }
    match at {
        Dir::Below(fd) => Ok((fd, name)),
        Dir::Root(_) => Err(Errno::INVAL),
    }
}

fn look_at(root: &Root, kept: &Trashed) -> Result<Option<Entry>, Error> {
    root.verify()?;
    let path = path_of(&kept.run, &kept.key);
    let found = root.parent(&path).and_then(|(dir, name)| statat(dir, name, AtFlags::SYMLINK_NOFOLLOW));
    match found.map(|stat| Stamp::of(&stat)) {
        Ok(stamp) if stamp.is_file() => Ok(Some(stamp.entry(root.fs.trust))),
        Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(failed("look at the kept", &kept.key, &root.path, errno)),
    }
}

fn restore(root: &Root, kept: &Trashed, expect: &Expect) -> Result<Entry, Error> {
    let key = &kept.key;
    let fault = |errno| failed("restore", key, &root.path, errno);
    root.verify()?;
    let path = path_of(&kept.run, key);
    let gone = |errno| match errno {
        Errno::NOENT | Errno::NOTDIR => {
            Error::new(Cause::NotFound, format!("`{key}` is in the trash of {} no more", kept.run))
        }
        errno => fault(errno),
    };
    let (bin, name) = root.parent(&path).map_err(gone)?;
    let stamp = Stamp::of(&statat(&bin, name, AtFlags::SYMLINK_NOFOLLOW).map_err(gone)?);
    if !stamp.is_file() {
        return Err(gone(Errno::NOENT));
    }
    if links::becomes_link(root, key, expect) {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut text = vec![0; usize::try_from(stamp.size.min(PATH_LIMIT as u64 + 1)).unwrap_or(0)];
        let read = openat(&bin, name, flags, Mode::empty()).and_then(|fd| rustix::io::pread(fd, &mut text, 0));
        text.truncate(read.map_err(fault)?);
        let entry = links::write(root, key, &text, expect, Some(stamp.mtime_ns))?;
        unlinkat(&bin, name, AtFlags::empty()).map_err(fault)?;
        super::delete::remove_empty(root, split(&path).0.unwrap_or_default());
        return Ok(entry);
    }
    let (dir, target) = match root.make_parent(key.as_str()) {
        Err(Errno::NOTDIR) => {
            let message = format!("could not restore `{key}`: a file stands where it needs a directory");
            return Err(Error::new(Cause::Precondition, message).hint("rename or remove that file first"));
        }
        result => result.map_err(fault)?,
    };
    let there = match statat(&dir, target, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Some(Stamp::of(&stat)),
        Err(Errno::NOENT) => None,
        Err(errno) => return Err(fault(errno)),
    };
    #[cfg(test)]
    super::seam::hit("restore", key.as_str()).map_err(fault)?;
    match (expect, there) {
        (Expect::Version(version), Some(there)) if there.is_file() && there.is(root.fs.trust, version) => {
            if there.same_place(&stamp) {
                // Two names of one file: a rename would do nothing.
                unlinkat(&bin, name, AtFlags::empty()).map_err(fault)?;
            } else {
                renameat(&bin, name, &dir, target).map_err(fault)?;
            }
        }
        (Expect::Absent, None) => move_to_new(&bin, name, &dir, target, key, root)?,
        // What is left of a directory in which nothing is: it was made for something that did not come.
        (Expect::Absent, Some(there)) if there.kind() == FileType::Directory => {
            remove_empty_tree(dir.as_fd(), target).map_err(|_| raced(key))?;
            move_to_new(&bin, name, &dir, target, key, root)?;
        }
        _ => return Err(raced(key)),
    }
    fsync(&dir).or_else(no_directory_sync).map_err(fault)?;
    super::delete::remove_empty(root, split(&path).0.unwrap_or_default());
    let now = Stamp::of(&statat(&dir, target, AtFlags::SYMLINK_NOFOLLOW).map_err(fault)?);
    Ok(now.entry(root.fs.trust))
}

fn move_to_new(bin: &Dir<'_>, name: &str, dir: &Dir<'_>, target: &str, key: &Key, root: &Root) -> Result<(), Error> {
    let moved = match renameat_with(bin, name, dir, target, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match linkat(bin, name, dir, target, AtFlags::empty()) {
            Ok(()) => unlinkat(bin, name, AtFlags::empty()),
            // Neither: the look before is all there is.
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => renameat(bin, name, dir, target),
            Err(errno) => Err(errno),
        },
        result => result,
    };
    match moved {
        Err(Errno::EXIST) => Err(raced(key)),
        result => result.map_err(|errno| failed("restore", key, &root.path, errno)),
    }
}

/// Removes an entry, and the directories of the trash that are empty then.
fn discard(root: &Root, kept: &Trashed) -> Result<(), Error> {
    root.verify()?;
    let path = path_of(&kept.run, &kept.key);
    let removed = root.parent(&path).and_then(|(dir, name)| {
        let stamp = Stamp::of(&statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?);
        if stamp.is_file() { unlinkat(dir, name, AtFlags::empty()) } else { Err(Errno::NOENT) }
    });
    match removed {
        Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => {}
        Err(errno) => return Err(failed("remove from the trash", &kept.key, &root.path, errno)),
    }
    super::delete::remove_empty(root, split(&path).0.unwrap_or_default());
    Ok(())
}

/// Reads the trash in the order of its names.
struct Walk<'a> {
    root: &'a Root,
    sender: mpsc::Sender<Result<Vec<Trashed>, Error>>,
    batch: Vec<Trashed>,
}

impl Walk<'_> {
    fn all(&mut self, only: Option<&RunName>) -> Result<(), Error> {
        self.root.verify()?;
        let folder = FOLDER.trim_end_matches('/');
        let bin = match self.root.open_at(folder, DIRECTORY) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            bin => bin.map_err(|errno| unreadable(self.root, errno))?,
        };
        let names = names(&bin).map_err(|errno| unreadable(self.root, errno))?;
        // What else somebody put there is not ours.
        for run in names.iter().filter_map(|name| RunName::parse(name)) {
            if only.is_some_and(|only| *only != run) {
                continue;
            }
            if !self.run(&bin, &run).map_err(|errno| unreadable(self.root, errno))? {
                return Ok(());
            }
        }
        let rest = std::mem::take(&mut self.batch);
        if !rest.is_empty() {
            self.sender.blocking_send(Ok(rest)).ok();
        }
        Ok(())
    }

    /// Everything of one run; false once nobody listens any more.
    fn run(&mut self, bin: &OwnedFd, run: &RunName) -> Result<bool, Errno> {
        let Ok(dir) = open_directory(bin.as_fd(), run.as_str()) else { return Ok(true) };
        // Directories still to be read, the next one last: its handle and its path with a slash.
        let mut open = vec![(names(&dir)?.into_iter().rev().collect::<Vec<_>>(), dir, String::new())];
        while let Some((left, dir, path)) = open.last_mut() {
            let Some(name) = left.pop() else {
                open.pop();
                continue;
            };
            let stamp = Stamp::of(&statat(&*dir, &name, AtFlags::SYMLINK_NOFOLLOW)?);
            let key = format!("{path}{name}");
            match stamp.kind() {
                FileType::Directory => {
                    let below = open_directory(dir.as_fd(), &name)?;
                    open.push((names(&below)?.into_iter().rev().collect(), below, format!("{key}/")));
                }
                // A temporary file of a copy that did not end.
                FileType::RegularFile if !name.starts_with(crate::model::OWN_PREFIX) => {
                    let Ok(key) = Key::new(key) else { continue };
                    self.batch.push(Trashed { run: run.clone(), key, size: stamp.size, kept_as: KeptAs::Copy });
                    if self.batch.len() >= BATCH
                        && self.sender.blocking_send(Ok(std::mem::take(&mut self.batch))).is_err()
                    {
                        return Ok(false);
                    }
                }
                _ => {}
            }
        }
        Ok(true)
    }
}

/// The names in a directory, sorted; those that are no UTF-8 can't be ours.
fn names(dir: &OwnedFd) -> Result<Vec<String>, Errno> {
    let mut found = Vec::new();
    for entry in Entries::read_from(dir)? {
        match entry?.file_name().to_str() {
            Ok("." | "..") | Err(_) => {}
            Ok(name) => found.push(name.to_owned()),
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn unreadable(root: &Root, errno: Errno) -> Error {
    let message = format!("could not read the trash in `{}`: {}", super::fault::shown(&root.path), reason(errno));
    Error::new(Cause::Refused, message)
}
