//! The lease of a directory: one file, `.mediasync/lease`, compared and written under its own lock (`flock`).
//!
//! The lock is held for microseconds, by whoever reads or writes: a rename alone could not compare. It goes with its
//! process, and Linux passes it on to other hosts where the disk is NFS or SMB. A place without locks holds no
//! lease. The file is private; it need not survive a power cut, which ends its holder too.

use async_trait::async_trait;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, fstat, ftruncate, openat, statat, unlinkat};
use rustix::io::Errno;

use super::fault::{reason, shown, stops_everything};
use super::root::{Root, split};
use super::stamp::Stamp;
use super::trash::make_parent;
use super::{Local, blocking};
use crate::model::{Expect, Version};
use crate::replica::lease::{LONGEST, Leases, PATH, Written, none, raced, version_of};
use crate::replica::{Cause, Error};

/// How often a file is opened that somebody else removes in the same instant.
const TRIES: usize = 16;

#[async_trait]
impl Leases for Local {
    async fn read(&self) -> Result<Option<Written>, Error> {
        let root = self.root()?;
        blocking(move || {
            let found = locked(&root, Missing::Stays).and_then(|file| file.map_or(Ok(None), |file| text_of(&file)));
            let text = found.map_err(|fault| fault.told(&root))?;
            Ok(text.map(|text| Written { version: version_of(&text), text }))
        })
        .await
    }

    async fn write(&self, text: &str, expect: &Expect) -> Result<Version, Error> {
        let (root, text, expect) = (self.root()?, text.to_owned(), expect.clone());
        blocking(move || {
            write(&root, &text, &expect).map_err(|fault| fault.told(&root))?;
            Ok(version_of(&text))
        })
        .await
    }

    async fn remove(&self, version: &Version) -> Result<(), Error> {
        let (root, version) = (self.root()?, version.clone());
        blocking(move || remove(&root, &version).map_err(|fault| fault.told(&root))).await
    }
}

/// Why it could not be done.
enum Fault {
    Raced,
    /// Somebody holds the lock.
    Busy,
    /// There are no locks.
    Lockless,
    Io(Errno),
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Self::Io(errno)
    }
}

impl Fault {
    fn told(self, root: &Root) -> Error {
        let name = shown(&root.path);
        let again = Cause::Transient { throttled: false, after: None };
        match self {
            Self::Raced => raced(&name),
            Self::Busy => Error::new(again, format!("the lease of {name} is being written by another process")),
            Self::Lockless => none(&name, "its file system has no locks"),
            Self::Io(errno) => {
                let cause = if stops_everything(errno) { Cause::Stop } else { Cause::Refused };
                Error::new(cause, format!("could not use the lease of {name}: {}", reason(errno)))
            }
        }
    }
}

/// What becomes of a file that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Stays,
    IsMade,
}

/// The file, locked for as long as it is open, and still the one that its name leads to.
fn locked(root: &Root, missing: Missing) -> Result<Option<OwnedFd>, Fault> {
    if let Err(error) = root.verify() {
        tracing::debug!(%error, "the lease is not looked at");
        return Err(Fault::Io(Errno::STALE));
    }
    for _ in 0..TRIES {
        let opened = match missing {
            Missing::Stays => root.parent(PATH).and_then(|(dir, name)| {
                openat(dir, name, OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            }),
            Missing::IsMade => make_parent(root, PATH).and_then(|(dir, name)| {
                let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                openat(dir, name, flags, Mode::from_raw_mode(0o600))
            }),
        };
        let file = match (opened, missing) {
            (Ok(file), _) => file,
            (Err(Errno::NOENT), Missing::Stays) => return Ok(None),
            // Its directory was removed right now.
            (Err(Errno::NOENT), Missing::IsMade) => continue,
            (Err(errno), _) => return Err(errno.into()),
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(Fault::Busy),
            Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOLCK) => return Err(Fault::Lockless),
            Err(errno) => return Err(errno.into()),
        }
        let held = Stamp::of(&fstat(&file)?);
        let there = root.parent(PATH).and_then(|(dir, name)| statat(dir, name, AtFlags::SYMLINK_NOFOLLOW));
        if there.is_ok_and(|there| Stamp::of(&there).same_place(&held)) {
            return Ok(Some(file));
        }
    }
    Err(Fault::Busy)
}

/// What is in it; an empty file is what a killed process made and did not fill, and nothing.
fn text_of(file: &OwnedFd) -> Result<Option<String>, Fault> {
    let (mut bytes, mut filled) = (vec![0; LONGEST + 1], 0);
    while filled < bytes.len() {
        match rustix::io::pread(file, &mut bytes[filled..], filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    bytes.truncate(filled);
    Ok((filled > 0).then(|| String::from_utf8_lossy(&bytes).into_owned()))
}

fn write(root: &Root, text: &str, expect: &Expect) -> Result<(), Fault> {
    let missing = match expect {
        Expect::Absent => Missing::IsMade,
        Expect::Version(_) => Missing::Stays,
    };
    let file = locked(root, missing)?.ok_or(Fault::Raced)?;
    let there = text_of(&file)?;
    let as_expected = match (expect, &there) {
        (Expect::Absent, None) => true,
        (Expect::Version(version), Some(text)) => version_of(text) == *version,
        (Expect::Absent, Some(_)) | (Expect::Version(_), None) => false,
    };
    if !as_expected {
        return Err(Fault::Raced);
    }
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match rustix::io::pwrite(&file, rest, (text.len() - rest.len()) as u64) {
            Ok(0) => return Err(Errno::IO.into()),
            Ok(written) => rest = &rest[written..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(ftruncate(&file, text.len() as u64)?)
}

fn remove(root: &Root, version: &Version) -> Result<(), Fault> {
    let Some(file) = locked(root, Missing::Stays)? else { return Ok(()) };
    match text_of(&file)? {
        Some(text) if version_of(&text) != *version => Err(Fault::Raced),
        Some(_) | None => {
            let (dir, name) = root.parent(PATH)?;
            unlinkat(dir, name, AtFlags::empty())?;
            drop(file);
            super::delete::remove_empty(root, split(PATH).0.unwrap_or_default());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn the_lease_of_a_directory_is_private_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let local = Local::open(dir.path()).unwrap();
        let version = Leases::write(&local, "ours", &Expect::Absent).await.unwrap();
        let mode = |path: &str| std::fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(".mediasync"), mode(PATH)), (0o700, 0o600));
        Leases::remove(&local, &version).await.unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn of_many_who_write_at_once_one_has_it() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..50 {
            let tries = (0..8).map(|n| {
                let path = dir.path().to_owned();
                std::thread::spawn(move || write(&Root::open(&path).unwrap(), &format!("{n}"), &Expect::Absent).is_ok())
            });
            let all: Vec<_> = tries.collect();
            let made = all.into_iter().filter_map(|thread| thread.join().unwrap().then_some(())).count();
            let text = Leases::read(&Local::open(dir.path()).unwrap()).await.unwrap().map(|written| written.text);
            // All may have met somebody's lock; never did two write.
            assert!(made <= 1 && text.is_some() == (made == 1), "{made} {text:?}");
            std::fs::remove_file(dir.path().join(PATH)).unwrap_or_default();
        }
    }

    #[tokio::test]
    async fn whoever_holds_the_lock_is_waited_for_and_a_link_is_never_followed() {
        let dir = tempfile::tempdir().unwrap();
        let local = Local::open(dir.path()).unwrap();
        Leases::write(&local, "ours", &Expect::Absent).await.unwrap();
        let other = std::fs::File::open(dir.path().join(PATH)).unwrap();
        flock(&other, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert!(matches!(Leases::read(&local).await.unwrap_err().cause, Cause::Transient { .. }));
        drop(other);
        std::fs::remove_file(dir.path().join(PATH)).unwrap();
        std::fs::write(dir.path().join("victim"), "").unwrap();
        std::os::unix::fs::symlink("../victim", dir.path().join(PATH)).unwrap();
        Leases::write(&local, "ours", &Expect::Absent).await.unwrap_err();
        assert_eq!(std::fs::read(dir.path().join("victim")).unwrap(), b"");
    }
}
