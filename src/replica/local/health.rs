//! What a directory's disk and this system allow, for people who want to know why something does not work. Looks and
//! changes nothing.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statfs, statvfs};
use rustix::process::{Resource, getrlimit};

use super::fault::reason;
use super::watch::silent;

/// A directory, or the closest one above it that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Which one was looked at.
    pub at: PathBuf,
    /// The file system, if it does not tell of what others change on it.
    pub network: Option<&'static str>,
    /// Bytes that can be written; `None` where the file system does not tell.
    pub free: Option<u64>,
    /// Why nothing can be made there, if so.
    pub unwritable: Option<String>,
}

/// Looks at a directory.
///
/// # Errors
/// Why nothing can be told, for people.
pub fn disk(path: &Path) -> Result<Disk, String> {
    let at = path.ancestors().find(|path| path.is_dir()).unwrap_or(path).to_owned();
    let system = statfs(&at).map_err(reason)?;
    let magic = u64::try_from(system.f_type & 0xffff_ffff).unwrap_or(0);
    let stat = statvfs(&at).map_err(reason)?;
    let free = (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize));
    let unwritable = access(&at, Access::WRITE_OK | Access::EXEC_OK).err().map(reason);
    Ok(Disk { at, network: silent(magic), free, unwritable })
}

/// Watches that a user may set, of inotify; `None` where there is no such limit to read.
pub fn most_watches() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").ok()?.trim().parse().ok()
}

/// Files that this process may have open; `None` is no limit.
pub fn most_open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Directories at and below a path, each of which needs a watch; links are not followed, and what can't be read is not
/// counted.
pub fn directories(path: &Path) -> u64 {
    let (mut count, mut todo) = (0, vec![path.to_owned()]);
    while let Some(path) = todo.pop() {
        let Ok(entries) = std::fs::read_dir(&path) else { continue };
        count += 1;
        let below = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        todo.extend(below.map(|entry| entry.path()));
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_not_there_is_told_by_the_one_above_it() {
        let dir = tempfile::tempdir().unwrap();
        let found = disk(&dir.path().join("a/b")).unwrap();
        assert_eq!((found.at.as_path(), found.unwritable), (dir.path(), None));
        assert!(found.free.is_some_and(|free| free > 0));
    }

    #[test]
    fn directories_are_counted_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("a/loop")).unwrap();
        std::fs::write(dir.path().join("a/file"), "").unwrap();
        assert_eq!(directories(dir.path()), 3);
        assert_eq!(directories(&dir.path().join("none")), 0);
    }

    #[test]
    fn this_system_has_limits() {
        assert!(most_open_files().is_none_or(|most| most > 0) && most_watches().is_none_or(|most| most > 0));
    }
}
