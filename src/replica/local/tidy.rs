//! Temporary files that a killed run left in the tree.
//!
//! They lie in the directories that were written to, so finding them means walking the tree. A scan does that anyway:
//! it notes what is named like one of ours, and tidying looks only at those. A temporary file is locked (`flock`) as
//! long as its writer lives, also by other processes; it is removed when its lock is free and it has not changed for a
//! minute, or, where the file system has no locks, for a day. Partial files that another run may go on with stay for a
//! week.

use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, FileType, FlockOperation, OFlags, flock, fstat, statat, unlinkat};
use rustix::io::Errno;

use super::root::Root;
use super::stamp::Stamp;

const BEGIN: &str = ".mediasync-";
const END: &str = ".tmp";
const PARTIAL_END: &str = ".part";
const DIGITS: usize = 16;

/// More leftovers than this wait for the next scan.
const NOTED: usize = 10_000;

const MINUTE_NS: i64 = 60 * 1_000_000_000;
const DAY_NS: i64 = 24 * 60 * MINUTE_NS;
const WEEK_NS: i64 = 7 * DAY_NS;

/// A name for a temporary file: of one length, so that a name of 255 bytes needs no more room while it is written.
pub(super) fn temp_name() -> String {
    format!("{BEGIN}{:016x}{END}", fastrand::u64(..))
}

/// A name for a file that a later run may go on with.
pub(super) fn partial_name() -> String {
    format!("{BEGIN}{:016x}{PARTIAL_END}", fastrand::u64(..))
}

pub(super) fn is_partial_name(name: &str) -> bool {
    is_own_name(name, PARTIAL_END)
}

fn is_temp_name(name: &str) -> bool {
    is_own_name(name, END)
}

fn is_own_name(name: &str, end: &str) -> bool {
    let middle = name.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(end));
    middle.is_some_and(|hex| hex.len() == DIGITS && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

/// Paths of what scans met and that may be a leftover.
#[derive(Debug, Default)]
pub(super) struct Leftovers(Mutex<Vec<String>>);

impl Leftovers {
    /// Notes a name, if it is one of ours; `dir` ends in a slash or is empty.
    pub(super) fn note(&self, dir: &str, name: &str) {
        if !is_temp_name(name) && !is_partial_name(name) {
            return;
        }
        let mut noted = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if noted.len() < NOTED {
            noted.push(format!("{dir}{name}"));
        }
    }

    #[cfg(test)]
    pub(super) fn noted(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Removes what is left over of the files noted so far. Blocking. Returns how many; what can't be removed stays
    /// and is met again by the next scan.
    pub(super) fn remove(&self, root: &Root) -> u64 {
        let noted = std::mem::take(&mut *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        noted.iter().filter(|path| remove_one(root, path, now) == Ok(())).count() as u64
    }
}

fn remove_one(root: &Root, path: &str, now_ns: i64) -> Result<(), Errno> {
    let (dir, name) = root.parent(path)?;
    let there = Stamp::of(&statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?);
    if there.kind() == FileType::Symlink {
        // A link can't be locked, and gets its name within moments.
        let is_old = now_ns.saturating_sub(there.ctime_ns) >= MINUTE_NS && is_temp_name(name);
        return if is_old { unlinkat(&dir, name, AtFlags::empty()) } else { Err(Errno::BUSY) };
    }
    let fd = root.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
    let stamp = Stamp::of(&fstat(&fd)?);
    // Those that a journal knows go sooner, when no run will go on with them. These may be of a journal that was lost.
    let least = if is_partial_name(name) { WEEK_NS } else { MINUTE_NS };
    let idle_ns = match flock(&fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => least,
        Err(Errno::WOULDBLOCK) => return Err(Errno::BUSY),
        Err(_) => least.max(DAY_NS),
    };
    // The change time, because nobody but the kernel sets it: the modification time is the content's own.
    let now_there = Stamp::of(&statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?);
    if !stamp.is_file() || !stamp.same_place(&now_there) || now_ns.saturating_sub(stamp.ctime_ns) < idle_ns {
        return Err(Errno::BUSY);
    }
    unlinkat(&dir, name, AtFlags::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_taken_for_leftovers() {
        let name = temp_name();
        assert!(is_temp_name(&name));
        assert_eq!(name.len(), 31);
        for other in [".mediasync-x.tmp", ".mediasync-0123456789ABCDEF.tmp", ".mediasyncignore", "a.tmp"] {
            assert!(!is_temp_name(other), "{other}");
        }
    }

    #[test]
    fn a_leftover_goes_when_it_is_old_and_unlocked() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("d")).unwrap();
        let path = format!("d/{}", temp_name());
        let full = dir.path().join(&path);
        std::fs::write(&full, "half").unwrap();
        let root = Root::open(dir.path()).unwrap();
        let ctime = Stamp::of(&rustix::fs::stat(&full).unwrap()).ctime_ns;

        assert_eq!(remove_one(&root, &path, ctime + MINUTE_NS - 1), Err(Errno::BUSY));
        let writer = std::fs::File::open(&full).unwrap();
        flock(&writer, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert_eq!(remove_one(&root, &path, ctime + MINUTE_NS), Err(Errno::BUSY));
        assert!(full.exists());
        drop(writer);
        assert_eq!(remove_one(&root, &path, ctime + MINUTE_NS), Ok(()));
        assert!(!full.exists());
    }

    #[test]
    fn a_link_that_never_got_its_name_is_left_over_after_a_minute() {
        let dir = tempfile::tempdir().unwrap();
        let path = temp_name();
        std::os::unix::fs::symlink("target", dir.path().join(&path)).unwrap();
        let root = Root::open(dir.path()).unwrap();
        let ctime = Stamp::of(&rustix::fs::lstat(dir.path().join(&path)).unwrap()).ctime_ns;
        assert_eq!(remove_one(&root, &path, ctime + MINUTE_NS - 1), Err(Errno::BUSY));
        assert_eq!(remove_one(&root, &path, ctime + MINUTE_NS), Ok(()));
        assert!(dir.path().join(&path).symlink_metadata().is_err());
    }
}
