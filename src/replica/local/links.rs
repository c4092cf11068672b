//! Symbolic links, where they are not left out: followed while reading, or stored as their text.
//!
//! *Followed*: the kernel resolves the whole path from the held root and refuses every step out of it
//! (`RESOLVE_BENEATH` of openat2(2)), absolute links too, so that no swap between a look and a read leads outside. What
//! a link leads to has to be of the version that was seen, as everywhere. A link that leads nowhere, outside or back to
//! itself is unknown, never absent. Nothing is ever written or deleted through a link.
//!
//! *Stored*: the link `a` is the key `a.rclonelink`, whose content is its text. A file of that very name beside it would
//! be the same key: then nothing is said or done about either. A link is made only if it can't lead out of the root:
//! its text is relative, has `..` at its beginning only, and not more of them than there are directories above it. The
//! directories above a link that is made are real ones, so each `..` is one of them, and by induction no chain of such
//! links leads outside.

use std::ffi::CString;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Uid, chownat, fstat, fsync, linkat, openat,
    openat2, readlinkat, renameat, renameat_with, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::fault::failed;
use super::root::{DIRECTORY, Dir, Root, no_directory_sync, split};
use super::stamp::{Stamp, now_ns};
use super::tidy::temp_name;
use super::write::{blocked, in_the_way, modified, raced};
use crate::model::{Digest, DigestKind, Entry, Expect, Key, LINK_SUFFIX, OWN_PREFIX, Symlinks, Version, link_name};
use crate::replica::{Cause, Content, Error};

/// Bytes of a link's text: `PATH_MAX` of Linux without its NUL.
const TEXT_LIMIT: usize = 4095;

/// What [`Root::follow`] says of a path that leads into a directory of our own. No call on a path gives it.
const OWN: Errno = Errno::ISNAM;

/// What a link is taken for in a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkAs {
    Skipped,
    Stored,
    /// It leads to a directory.
    Directory,
    /// It leads to anything else.
    File,
    /// It leads nowhere that may be read.
    Lost,
}

impl Root {
    /// Opens what a path leads to, through links that stay below the root and out of directories of our own.
    pub(super) fn follow(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags.difference(OFlags::NOFOLLOW) | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let open = |resolve| loop {
            match openat2(&self.fd, path, flags, Mode::empty(), resolve) {
                // The kernel asks to try again when a directory was renamed while it looked.
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        };
        match open(resolve | ResolveFlags::NO_SYMLINKS) {
            Err(Errno::LOOP) => {
                let fd = open(resolve)?;
                self.is_not_own(&fd).map(|()| fd)
            }
            // No link on the way: it lies where its path says.
            result => result,
        }
    }

    /// Asks the kernel where below the root something lies that was opened: the text of a link does not tell, and may be
    /// another one by now.
    fn is_not_own(&self, fd: &OwnedFd) -> Result<(), Errno> {
        let place = |fd: BorrowedFd<'_>| {
            let path = readlinkat(CWD, format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new());
            path.map(CString::into_bytes).map_err(|errno| if errno == Errno::NOENT { Errno::NOSYS } else { errno })
        };
        let (root, place) = (place(self.fd.as_fd())?, place(fd.as_fd())?);
        // Where somebody moved the root between the two looks, nothing is known.
        let below = place.strip_prefix(root.as_slice()).ok_or(Errno::XDEV)?;
        let is_own = |name: &[u8]| name.starts_with(OWN_PREFIX.as_bytes());
        if below.split(|byte| *byte == b'/').any(is_own) { Err(OWN) } else { Ok(()) }
    }

    /// Opens content for reading: through links where they are followed.
    pub(super) fn open_to_read(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        match self.made.links {
            Symlinks::Follow => self.follow(path, flags),
            Symlinks::Skip | Symlinks::Store => self.open_at(path, flags),
        }
    }

    /// As [`Root::parent`], through links where they are followed.
    pub(super) fn parent_to_read<'a, 'k>(&'a self, key: &'k str) -> Result<(Dir<'a>, &'k str), Errno> {
        match (self.made.links, split(key)) {
            (Symlinks::Follow, (Some(parent), name)) => Ok((Dir::Below(self.follow(parent, DIRECTORY)?), name)),
            _ => self.parent(key),
        }
    }

    /// A stat of what a path leads to.
    pub(super) fn stat_followed(&self, path: &str) -> Result<Stamp, Errno> {
        let fd = self.follow(path, OFlags::PATH)?;
        Ok(Stamp::of(&fstat(&fd)?))
    }

    /// What a link is taken for; `path` is its own.
    pub(super) fn link_as(&self, path: &str) -> LinkAs {
        match self.made.links {
            Symlinks::Skip => LinkAs::Skipped,
            Symlinks::Store => LinkAs::Stored,
            Symlinks::Follow => match self.stat_followed(path) {
                Ok(stamp) if stamp.kind() == FileType::Directory => LinkAs::Directory,
                Ok(_) => LinkAs::File,
                Err(_) => LinkAs::Lost,
            },
        }
    }

    /// The link on the way to `path` that leads nowhere, to be asked after a path led nowhere: then nothing is known of
    /// what would be there.
    pub(super) fn broken_link<'p>(&self, path: &'p str) -> Option<&'p str> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.map(|end| &path[..end]).find(|above| {
            let is_link = || {
                let (dir, name) = self.parent_to_read(above).ok()?;
                let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
                (Stamp::of(&stat).kind() == FileType::Symlink).then_some(())
            };
            self.follow(above, OFlags::PATH).is_err() && is_link().is_some()
        })
    }
}

/// Why a link is not followed, in words.
pub(super) fn why_lost(link: &Key, errno: Errno) -> (String, &'static str) {
    let why = match errno {
        Errno::XDEV => "leads out of the directory, or is written as an absolute path",
        Errno::LOOP => "leads back to itself or to a directory that it lies in",
        Errno::NOENT | Errno::NOTDIR => "leads to nothing that is there",
        Errno::NOSYS => "can't be followed safely here (openat2 or /proc is missing)",
        OWN => "leads into a directory of mediasync's own, whose content is never synced",
        _ => "leads to a place that can't be opened",
    };
    (format!("the symbolic link `{link}` {why}"), "mend or remove it; until then what it stood for is left as it is")
}

/// One look at a key through links. Absence is told only where no link hides it.
pub(super) fn look_through(root: &Root, key: &Key) -> Result<Option<Stamp>, Error> {
    match root.stat_followed(key.as_str()) {
        Ok(stamp) => Ok(Some(stamp)),
        Err(errno) => {
            let Some(link) = root.broken_link(key.as_str()) else {
                return match errno {
                    Errno::NOENT | Errno::NOTDIR => Ok(None),
                    errno => Err(failed("look at", key, &root.path, errno)),
                };
            };
            // What is wrong with the link, not with what would be behind it.
            let errno = root.follow(link, OFlags::PATH).err().unwrap_or(errno);
            let link = Key::new(link).unwrap_or_else(|_| key.clone());
            let (why, way) = why_lost(&link, errno);
            Err(Error::new(Cause::Refused, format!("could not look at `{key}`: {why}")).hint(way))
        }
    }
}

/// Under which name what a key stands for lies in its directory, and what it has to be.
///
/// # Errors
/// `NOTUNIQ` where a link and a file both stand for the key.
pub(super) fn on_disk<'n>(root: &Root, dir: BorrowedFd<'_>, name: &'n str) -> Result<(&'n str, FileType), Errno> {
    let Some(link) = stored_link(root, name).filter(|link| is_link(dir, link)) else {
        return Ok((name, FileType::RegularFile));
    };
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok((link, FileType::Symlink)),
        Ok(_) => Err(Errno::NOTUNIQ),
        Err(errno) => Err(errno),
    }
}

/// The link whose text a name stands for, where links are stored.
pub(super) fn stored_link<'n>(root: &Root, name: &'n str) -> Option<&'n str> {
    link_name(name).filter(|_| root.made.links == Symlinks::Store)
}

fn is_link(dir: BorrowedFd<'_>, name: &str) -> bool {
    statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| Stamp::of(&stat).kind() == FileType::Symlink)
}

/// Whether the key is the text of a link that is there.
pub(super) fn is_stored(root: &Root, key: &Key) -> bool {
    stored_link(root, split(key.as_str()).1).is_some()
        && root
            .parent(key.as_str())
            .is_ok_and(|(dir, name)| on_disk(root, dir.as_fd(), name).is_ok_and(|(_, kind)| kind == FileType::Symlink))
}

/// Reads the text of a link, if the link has this version.
pub(super) fn read(root: &Root, key: &Key, expect: &Version) -> Result<Content, Error> {
    let fault = |errno| match errno {
        Errno::NOENT | Errno::INVAL => raced(key),
        errno => failed("read", key, &root.path, errno),
    };
    let (dir, name) = root.parent(key.as_str()).map_err(fault)?;
    let (name, _) = on_disk(root, dir.as_fd(), name).map_err(fault)?;
    let look = || statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| Stamp::of(&stat));
    let mut stamp = look().map_err(fault)?;
    if let Some(left) = stamp.settles_in(root.fs, now_ns()).filter(|left| !left.is_zero()) {
        std::thread::sleep(left);
        stamp = look().map_err(fault)?;
    }
    if stamp.kind() != FileType::Symlink || !stamp.is(root.fs.trust, expect) {
        return Err(Error { cause: Cause::Changed, ..raced(key) });
    }
    let text = text_of(dir.as_fd(), name).map_err(fault)?;
    if look().map_err(fault)? != stamp || text.len() as u64 != stamp.size {
        return Err(Error { cause: Cause::Changed, ..raced(key) });
    }
    let blake3 = Digest::from_bytes(DigestKind::Blake3, blake3::hash(&text).as_bytes());
    Ok(Content::Whole { entry: stamp.entry_seen(root.fs), bytes: Bytes::from(text), blake3, attributes: None })
}

pub(super) fn text_of(dir: BorrowedFd<'_>, name: &str) -> Result<Vec<u8>, Errno> {
    readlinkat(dir, name, Vec::new()).map(CString::into_bytes)
}

/// Whether a link at `key` with this text can't lead out of the root; the reason if it can.
fn stays_below(key: &Key, text: &[u8]) -> Result<(), &'static str> {
    if text.is_empty() || text.contains(&0) || text.len() > TEXT_LIMIT {
        return Err("that is not the text of a link");
    }
    if text.starts_with(b"/") {
        return Err("it is an absolute path");
    }
    let mut above = key.as_str().matches('/').count();
    let mut named = false;
    for part in text.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if named => return Err("it has `..` behind a name, which leads anywhere if that name is a link"),
            b".." if above == 0 => return Err("it leads out of the directory"),
            b".." => above -= 1,
            _ => named = true,
        }
    }
    Ok(())
}

/// Whether `content` for `key` has to become a link: where links are stored, unless a file of that name is what is to be
/// replaced.
pub(super) fn becomes_link(root: &Root, key: &Key, expect: &Expect) -> bool {
    let Some(link) = stored_link(root, split(key.as_str()).1) else { return false };
    match (expect, root.parent(key.as_str())) {
        (Expect::Absent, _) | (_, Err(_)) => true,
        (Expect::Version(_), Ok((dir, _))) => is_link(dir.as_fd(), link),
    }
}

/// Makes the link whose text is `text`, in one step, if what is there is what `expect` says.
pub(super) fn write(
    root: &Root,
    key: &Key,
    text: &[u8],
    expect: &Expect,
    mtime_ns: Option<i64>,
) -> Result<Entry, Error> {
    root.verify()?;
    if let Err(why) = stays_below(key, text) {
        let shown: String = String::from_utf8_lossy(text).chars().take(200).flat_map(char::escape_debug).collect();
        let message = format!("could not make `{key}` a symbolic link to `{shown}`: {why}");
        return Err(Error::new(Cause::Refused, message).hint(
            "only relative links that stay below the directory are made; exclude it, or take it with --symlinks skip",
        ));
    }
    let fault = |errno| blocked(root, key, errno);
    let (dir, name) = root.make_parent(key.as_str()).map_err(fault)?;
    let link = stored_link(root, name).unwrap_or(name);
    let old = check(root, key, dir.as_fd(), (name, link), expect)?;
    let made = Made::new(&dir, text).map_err(|errno| match errno {
        Errno::PERM | Errno::OPNOTSUPP => {
            Error::new(Cause::Refused, format!("could not write `{key}`: this file system has no symbolic links"))
        }
        errno => fault(errno),
    })?;
    if let Some((uid, gid)) = old.or(root.made.owner) {
        let owner = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        // Only root may give links away. What can't be given stays ours.
        chownat(&dir, &made.name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW).unwrap_or_default();
    }
    if let Some(mtime_ns) = mtime_ns {
        utimensat(&dir, &made.name, &modified(mtime_ns), AtFlags::SYMLINK_NOFOLLOW).map_err(fault)?;
    }
    root.verify()?;
    #[cfg(test)]
    super::seam::hit("publish", key.as_str()).map_err(fault)?;
    check(root, key, dir.as_fd(), (name, link), expect)?;
    let stamp = made.publish(link, expect).map_err(|errno| match errno {
        Errno::EXIST => raced(key),
        errno => fault(errno),
    })?;
    fsync(dir.as_fd()).or_else(no_directory_sync).map_err(fault)?;
    let mut entry = stamp.entry(root.fs.trust);
    entry.digests.add(Digest::from_bytes(DigestKind::Blake3, blake3::hash(text).as_bytes()));
    Ok(entry)
}

/// Compares what is there with what the plan saw; gives whose it is.
fn check(
    root: &Root,
    key: &Key,
    dir: BorrowedFd<'_>,
    (file, link): (&str, &str),
    expect: &Expect,
) -> Result<Option<super::root::Owner>, Error> {
    let look = |name: &str| match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(None),
        Err(errno) => Err(failed("look at", key, &root.path, errno)),
    };
    if look(file)?.is_some() {
        return Err(in_the_way(key, "a file or directory of that very name stands there"));
    }
    let there = look(link)?;
    let stamp = there.as_ref().map(|stat| (Stamp::of(stat).kind(), Stamp::of(stat)));
    match (expect, stamp) {
        (Expect::Absent, None) => Ok(None),
        (Expect::Version(version), Some((FileType::Symlink, stamp))) if stamp.is(root.fs.trust, version) => {
            Ok(there.map(|stat| (Some(stat.st_uid), Some(stat.st_gid))))
        }
        (_, Some((FileType::Symlink, _)) | None) => Err(raced(key)),
        (_, Some(_)) => Err(in_the_way(key, "something that is no link stands where the link has to be")),
    }
}

/// A link under a temporary name, which goes when it is not published.
struct Made<'d> {
    dir: &'d Dir<'d>,
    name: String,
    /// The link itself, not what it leads to.
    fd: OwnedFd,
    is_published: bool,
}

impl<'d> Made<'d> {
    fn new(dir: &'d Dir<'d>, text: &[u8]) -> Result<Self, Errno> {
        loop {
            let name = temp_name();
            match symlinkat(text, dir, &name) {
                Err(Errno::EXIST | Errno::INTR) => {}
                Err(errno) => return Err(errno),
                Ok(()) => {
                    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let fd = openat(dir, &name, flags, Mode::empty())?;
                    return Ok(Self { dir, name, fd, is_published: false });
                }
            }
        }
    }

    fn publish(mut self, link: &str, expect: &Expect) -> Result<Stamp, Errno> {
        match expect {
            Expect::Version(_) => renameat(self.dir, &self.name, self.dir, link)?,
            Expect::Absent => self.rename_to_new(link)?,
        }
        self.is_published = true;
        Ok(Stamp::of(&fstat(&self.fd)?))
    }

    fn rename_to_new(&self, link: &str) -> Result<(), Errno> {
        match renameat_with(self.dir, &self.name, self.dir, link, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            result => return result,
        }
        // Without the flag to follow, this names the link itself once more.
        linkat(self.dir, &self.name, self.dir, link, AtFlags::empty())?;
        unlinkat(self.dir, &self.name, AtFlags::empty())
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        if !self.is_published {
            // If even this fails, tidying finds it.
            unlinkat(self.dir, &self.name, AtFlags::empty()).unwrap_or_default();
        }
    }
}

/// The text of a stored link as the bytes that a trash keeps.
pub(super) fn refuse_twins(key: &Key) -> Error {
    let link = key.as_str().strip_suffix(LINK_SUFFIX).unwrap_or(key.as_str());
    let link = Key::new(link).unwrap_or_else(|_| key.clone());
    let message = format!("`{key}` is a file, and the symbolic link `{link}` would be stored under the same name");
    Error::new(Cause::Refused, message).hint("rename one of the two; until then neither is touched")
}

/// Content that is written where a link is to be made: its bytes.
pub(super) fn text_to_write<'c>(key: &Key, content: &'c Content) -> Result<&'c Bytes, Error> {
    match content {
        Content::Whole { bytes, .. } => Ok(bytes),
        Content::Pieces(_) => {
            let message = format!("could not make `{key}` a symbolic link: it is too large for the text of one");
            Err(Error::new(Cause::Refused, message).hint("exclude it, or take it with --symlinks skip"))
        }
    }
}

/// As [`super::transfer::put`], for what becomes a link. Blocking work apart.
pub(super) async fn put(
    root: Arc<Root>,
    key: &Key,
    content: &Content,
    put: &crate::replica::Put<'_>,
) -> Result<Entry, Error> {
    let text = text_to_write(key, content)?.clone();
    let (own_key, expect, mtime_ns, sent) = (key.clone(), put.expect.clone(), put.mtime_ns, text.len() as u64);
    let entry = super::blocking(move || write(&root, &own_key, &text, &expect, mtime_ns)).await?;
    put.meter.add(sent);
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_texts_that_stay_below_the_root_become_links() {
        let key = |text: &str| Key::new(text).unwrap();
        for (at, text) in
            [("a", "b"), ("a", "b/c"), ("d/a", "../b"), ("d/e/a", "./../../b//c"), ("a", "..."), ("a", "b/")]
        {
            assert_eq!(stays_below(&key(at), text.as_bytes()), Ok(()), "{at} -> {text}");
        }
        for (at, text) in [
            ("a", "/etc"),
            ("a", ".."),
            ("a", "../b"),
            ("d/a", "../../b"),
            ("d/a", "b/../../.."),
            ("d/a", "x/.."),
            ("a", ""),
        ] {
            assert!(stays_below(&key(at), text.as_bytes()).is_err(), "{at} -> {text}");
        }
    }
}
