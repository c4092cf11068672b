//! The directories below the root, each with a watch of its own, and nothing of the files in them.
//!
//! Our own walk sets the watches instead of the library's: it leaves out what the job's rules leave out, sets a watch
//! before it reads a directory, so that nothing that appears in it is missed, and knows how many there are where the
//! system's limit is met.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, FileType, RawDir, fstat, statat};
use rustix::io::Errno;

use super::super::root::{DIRECTORY, Root};
use super::super::stamp::Stamp;
use super::Coverage;
use crate::model::{Filter, OWN_PREFIX, Symlinks};

/// One watch there covers all below it.
const RECURSIVE: bool = cfg!(target_os = "macos");

/// Whether a directory is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    Set,
    /// It can't be read, so it can't be watched.
    Unread,
    /// The system's limit is reached.
    NoRoom,
}

/// What is watched.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    filter: Arc<Filter>,
    links: Symlinks,
    /// By key; the root is the empty text.
    directories: BTreeMap<Box<str>, Watch>,
    unread: u64,
    no_room: u64,
    /// Links that are followed: what they lead to is watched under its own name only.
    followed: u64,
}

impl Tree {
    pub(super) fn new(root: &Path, filter: Arc<Filter>, links: Symlinks) -> Self {
        let (unread, no_room, followed) = (0, 0, 0);
        Self { root: root.to_owned(), filter, links, directories: BTreeMap::new(), unread, no_room, followed }
    }

    pub(super) fn watch_of(&self, dir: &str) -> Option<Watch> {
        self.directories.get(dir).copied()
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.directories.clear();
        (self.unread, self.no_room, self.followed) = (0, 0, 0);
    }

    /// Forgets a directory and all below it. The library drops the watches itself when it sees one go.
    pub(super) fn forget(&mut self, dir: &str) {
        let (from, to) = (format!("{dir}/"), format!("{dir}0"));
        let span = (Bound::Included(from.as_str()), Bound::Excluded(to.as_str()));
        let below: Vec<Box<str>> = self.directories.range::<str, _>(span).map(|(key, _)| key.clone()).collect();
        for key in below.iter().map(|key| &**key).chain([dir]) {
            let was = self.directories.remove(key);
            self.count(was, -1);
        }
    }

    /// Sets watches on a directory (empty for the root) and all below it, also where some were set before.
    ///
    /// # Errors
    /// It can't be opened: most often it is gone.
    pub(super) fn walk(&mut self, notify: &mut RecommendedWatcher, dir: &str) -> Result<(), Errno> {
        let root = Root::open(&self.root).map_err(|_| Errno::NOENT)?;
        let mut todo = vec![dir.to_owned()];
        let mut is_full = false;
        while let Some(at) = todo.pop() {
            match self.enter(notify, &root, &at, &mut is_full, &mut todo) {
                Err(errno) if at == dir => return Err(errno),
                // It went while we walked, and what comes in its place is told.
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Tries again where the limit was met, and gives the directories that are watched now.
    pub(super) fn retry(&mut self, notify: &mut RecommendedWatcher) -> Vec<Box<str>> {
        let waiting = self.directories.iter().filter(|(_, watch)| **watch == Watch::NoRoom);
        let waiting: Vec<Box<str>> = waiting.map(|(key, _)| key.clone()).collect();
        let mut is_set = |key: &str| set(notify, &self.place(key)) == Watch::Set;
        let room = waiting.iter().position(|key| !is_set(key)).unwrap_or(waiting.len());
        let mut done = waiting;
        done.truncate(room);
        for key in &done {
            self.put(key.clone(), Watch::Set);
        }
        done
    }

    fn enter(
        &mut self,
        notify: &mut RecommendedWatcher,
        root: &Root,
        dir: &str,
        is_full: &mut bool,
        todo: &mut Vec<String>,
    ) -> Result<(), Errno> {
        let opened = if dir.is_empty() { root.open_at(".", DIRECTORY) } else { root.open_at(dir, DIRECTORY) };
        let fd = match opened {
            Err(Errno::ACCESS | Errno::PERM) => {
                self.put(dir.into(), Watch::Unread);
                return Ok(());
            }
            result => result?,
        };
        if Stamp::of(&fstat(&fd)?).dev != root.stamp.dev {
            return Ok(());
        }
        let watch = match (RECURSIVE && !dir.is_empty(), *is_full) {
            (true, _) => Watch::Set,
            (false, true) => Watch::NoRoom,
            (false, false) => set(notify, &self.place(dir)),
        };
        *is_full |= watch == Watch::NoRoom;
        self.put(dir.into(), watch);
        self.read(fd.as_fd(), dir, todo)
    }

    /// Finds the directories in a directory.
    fn read(&mut self, fd: rustix::fd::BorrowedFd<'_>, dir: &str, todo: &mut Vec<String>) -> Result<(), Errno> {
        let mut space = Vec::with_capacity(32 * 1024);
        let mut entries = RawDir::new(fd, space.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Err(Errno::INTR) => continue,
                entry => entry?,
            };
            let mut kind = entry.file_type();
            if matches!(kind, FileType::RegularFile | FileType::Fifo | FileType::Socket) {
                continue;
            }
            let Ok(name) = entry.file_name().to_str() else { continue };
            if matches!(name, "." | "..") || name.starts_with(OWN_PREFIX) {
                continue;
            }
            if kind == FileType::Unknown {
                let stat = statat(fd, name, AtFlags::SYMLINK_NOFOLLOW);
                kind = stat.map_or(FileType::Unknown, |stat| Stamp::of(&stat).kind());
            }
            match kind {
                FileType::Directory => {
                    let below = if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
                    if self.filter.prunes(&below).is_none() {
                        todo.push(below);
                    }
                }
                FileType::Symlink if self.links == Symlinks::Follow => self.followed += 1,
                _ => {}
            }
        }
        Ok(())
    }

    /// Joining an empty path would add a slash, and the path would come back with it.
    fn place(&self, dir: &str) -> PathBuf {
        if dir.is_empty() { self.root.clone() } else { self.root.join(dir) }
    }

    fn put(&mut self, dir: Box<str>, watch: Watch) {
        let was = self.directories.insert(dir, watch);
        self.count(was, -1);
        self.count(Some(watch), 1);
    }

    fn count(&mut self, watch: Option<Watch>, by: i64) {
        match watch {
            Some(Watch::Unread) => self.unread = self.unread.saturating_add_signed(by),
            Some(Watch::NoRoom) => self.no_room = self.no_room.saturating_add_signed(by),
            Some(Watch::Set) | None => {}
        }
    }

    pub(super) fn coverage(&self) -> Coverage {
        let directories = self.directories.len() as u64;
        let watched = directories - self.unread - self.no_room;
        let mut why = Vec::new();
        if self.no_room > 0 {
            why.push(
                "the system's limit of watches is reached: raise fs.inotify.max_user_watches with sysctl".to_owned(),
            );
        }
        if self.unread > 0 {
            let count = self.unread;
            why.push(format!("{count} {} can't be read", if count == 1 { "directory" } else { "directories" }));
        }
        if self.followed > 0 {
            why.push("what symbolic links lead to is watched under its own name only".to_owned());
        }
        if why.is_empty() {
            return Coverage::Full { directories };
        }
        Coverage::Degraded { watched, directories, why: why.join("; ") }
    }

    pub(super) fn is_short_of_room(&self) -> bool {
        self.no_room > 0
    }
}

fn set(notify: &mut RecommendedWatcher, path: &Path) -> Watch {
    let mode = if RECURSIVE { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
    match notify.watch(path, mode) {
        Ok(()) => Watch::Set,
        Err(error) => match error.kind {
            ErrorKind::MaxFilesWatch => Watch::NoRoom,
            // Gone since it was opened, or a change of permissions: both are told by the directory above.
            _ => Watch::Unread,
        },
    }
}
