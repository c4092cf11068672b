//! The walk: every file below the root, in key order, by held directories.
//!
//! It promises that an absence is one: what could not be read is said to be unknown, what vanished is looked at
//! twice, and the end is told only if the path still leads to the root that was walked. It never follows a link, holds at
//! most [`HELD`] directories open and recurses nowhere, so that depth costs nothing but memory.
//!
//! Statements about directories: a directory is no entry, so its own key is absent; what is said of it covers
//! the keys below. A symbolic link may stand for a file or for a directory and is told at both places.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;
use tokio::sync::mpsc;

use super::links::{LinkAs, look_through, refuse_twins};
use super::names::{Names, Spot};
use super::root::{DIRECTORY, Dir, Root, split};
use super::stamp::Stamp;
use super::tidy::Leftovers;
use crate::model::{
    Filter, Item, Key, OWN_PREFIX, Problem, ProblemKind, Reach, SkipReason, Symlinks, is_apple_double, link_name,
};
use crate::replica::Error;

mod said;

/// Directories that are held open at the same time. Those above are opened again through `..` of the one below.
pub(super) const HELD: usize = 64;

/// Items a message: large enough that the channel costs nothing, small enough to keep memory flat.
const BATCH: usize = 256;

/// Where a walk's statements go.
pub(super) type Sender = mpsc::Sender<Result<Vec<Item>, Error>>;

/// Walks the whole root or `only`, and tells everything to `out`, ending with [`Item::End`] or an error. Blocking.
pub(super) fn walk(root: &Root, only: Option<&Key>, filter: &Arc<Filter>, leftovers: &Leftovers, out: Sender) {
    let mut walk = Walk {
        root,
        above: Vec::new(),
        filter,
        leftovers,
        out,
        batch: Vec::with_capacity(BATCH),
        path: String::new(),
        frames: Vec::new(),
    };
    let result = match only {
        None => walk.all(),
        Some(only) => walk.only(only),
    };
    let result = result.and_then(|()| Ok(root.verify()?)).and_then(|()| walk.say(Item::End));
    match result {
        Ok(()) => {
            let rest = std::mem::take(&mut walk.batch);
            // Nobody listens any more: nobody needs to know.
            walk.out.blocking_send(Ok(rest)).unwrap_or_default();
        }
        Err(Halt::Failed(error)) => walk.out.blocking_send(Err(error)).unwrap_or_default(),
        Err(Halt::Unheard) => {}
    }
}

/// Why a walk ends early.
#[derive(Debug)]
enum Halt {
    Failed(Error),
    /// The listing was dropped.
    Unheard,
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// One directory under way.
#[derive(Debug)]
struct Frame {
    /// `None` while it is one of those above the held ones, or after it could not be opened again.
    fd: Option<OwnedFd>,
    stamp: Stamp,
    names: Names,
    /// Length of the path of the directory with its trailing slash.
    prefix: usize,
}

/// What a directory's name leads to.
#[derive(Debug)]
enum Entered {
    Into(Frame),
    /// Not there any more.
    Gone,
    /// On another file system.
    Elsewhere,
}

/// How a directory is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Name,
    /// Through a symbolic link.
    Link,
}

struct Walk<'a> {
    root: &'a Root,
    /// The directories above the first frame, where links are followed.
    above: Vec<Stamp>,
    filter: &'a Arc<Filter>,
    leftovers: &'a Leftovers,
    out: Sender,
    batch: Vec<Item>,
    /// The directory of the last frame, with a trailing slash; empty at the root.
    path: String,
    frames: Vec<Frame>,
}

impl Walk<'_> {
    fn all(&mut self) -> Result<(), Halt> {
        let flags = DIRECTORY;
        let frame = openat(&self.root.fd, c".", flags, Mode::empty()).and_then(|fd| {
            let stamp = Stamp::of(&fstat(&fd)?);
            self.frame(fd, stamp, 0, "")
        });
        match frame {
            Ok(frame) => self.run(frame),
            Err(errno) => Err(self.stopped(Reach::All, errno)),
        }
    }

    fn only(&mut self, only: &Key) -> Result<(), Halt> {
        if only.components().any(|name| name.starts_with(OWN_PREFIX)) {
            return Ok(());
        }
        let (parent, name) = split(only.as_str());
        let mut above = parent.iter().flat_map(|dir| dir.match_indices('/').map(|(at, _)| &dir[..at]).chain([*dir]));
        if let Some(reason) = above.find_map(|dir| self.filter.prunes(dir)) {
            return self.skip_both(only, reason);
        }
        if self.root.made.links == Symlinks::Follow {
            let stamps = parent.iter().flat_map(|dir| dir.match_indices('/').map(|(at, _)| &dir[..at]));
            self.above = stamps.filter_map(|dir| self.root.stat_followed(dir).ok()).chain([self.root.stamp]).collect();
        }
        let opened = self.root.parent_to_read(only.as_str()).and_then(|(dir, _)| {
            let stamp = Stamp::of(&fstat(dir.as_fd())?);
            // The frame owns its descriptor.
            let fd = match dir {
                Dir::Root(fd) => openat(fd, c".", DIRECTORY, Mode::empty())?,
                Dir::Below(fd) => fd,
            };
            Ok((fd, stamp))
        });
        match opened {
            Ok((_, stamp)) if stamp.dev != self.root.stamp.dev => self.skip_both(only, SkipReason::OtherFilesystem),
            Ok((fd, stamp)) => {
                let link_as = |name: &str| self.link_as(parent.unwrap_or(""), name);
                let names = Names::one(fd.as_fd(), name, &link_as)
                    .map_err(|errno| self.stopped(Reach::Key(only.clone()), errno))?;
                self.path.push_str(parent.unwrap_or(""));
                if parent.is_some() {
                    self.path.push('/');
                }
                let prefix = self.path.len();
                self.run(Frame { fd: Some(fd), stamp, names, prefix })
            }
            Err(errno)
                if self.root.made.links == Symlinks::Follow && self.root.broken_link(only.as_str()).is_some() =>
            {
                self.lost(Reach::Key(only.clone()), errno)?;
                self.lost(Reach::Below(only.clone()), errno)
            }
            // No such directory, or a file in its place: nothing is there.
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            // A link that is stored has nothing below it.
            Err(Errno::LOOP) if self.root.made.links == Symlinks::Store => Ok(()),
            Err(Errno::LOOP) => self.skip_both(only, SkipReason::Symlink),
            Err(errno) => {
                for reach in [Reach::Key(only.clone()), Reach::Below(only.clone())] {
                    self.unknown(reach, errno)?;
                }
                Ok(())
            }
        }
    }

    fn run(&mut self, first: Frame) -> Result<(), Halt> {
        self.push(first)?;
        while let Some(Frame { fd, names, .. }) = self.frames.last_mut() {
            match names.advance() {
                None => self.pop(),
                Some((spot, name, c_name)) => {
                    // Nothing below a name of ours is ever listed; temporary files of a crash are noted for tidying.
                    if name.starts_with(OWN_PREFIX) {
                        match (spot, link_name(name)) {
                            (Spot::Stored, Some(link)) => self.leftovers.note(&self.path, link),
                            (Spot::File | Spot::Link, _) => self.leftovers.note(&self.path, name),
                            _ => {}
                        }
                        continue;
                    }
                    let key_text = said::joined(&self.path, name);
                    let stat = match (spot, link_name(name)) {
                        (Spot::Stored, Some(link)) => c_string(link).and_then(|link| look_at(fd.as_ref(), &link)),
                        _ if spot.needs_stat() => look_at(fd.as_ref(), c_name),
                        _ => Ok(None),
                    };
                    let key = Key::new(key_text).expect("names are not empty and hold no NUL");
                    self.at(spot, key, stat)?;
                }
            }
        }
        Ok(())
    }

    /// One place of the order.
    fn at(&mut self, spot: Spot, key: Key, stat: Result<Option<Stamp>, Errno>) -> Result<(), Halt> {
        match spot {
            Spot::Link => self.left_out(Reach::Key(key)),
            Spot::BelowLink => self.left_out(Reach::Below(key)),
            Spot::LinkText => self.say(Item::Skipped(Reach::Key(key), SkipReason::LinkText)),
            Spot::Twins => {
                let Error { message, hint, .. } = refuse_twins(&key);
                let problem = Problem { reach: None, kind: ProblemKind::Name, message, hint };
                self.say(Item::Unknown(Reach::Key(key.clone()), Problem { reach: Some(Reach::Key(key)), ..problem }))
            }
            Spot::Stored => match stat {
                Ok(None) => Ok(()),
                Ok(Some(stamp)) if stamp.kind() == FileType::Symlink => {
                    let entry = stamp.entry_seen(self.root.fs);
                    self.say(Item::Present(key, entry))
                }
                Ok(Some(_)) => self.changed(Reach::Key(key)),
                Err(errno) => self.unknown(Reach::Key(key), errno),
            },
            Spot::Followed => match look_through(self.root, &key) {
                Ok(None) => Ok(()),
                Ok(Some(stamp)) if stamp.is_file() => self.file(key, &stamp),
                Ok(Some(stamp)) if stamp.kind() == FileType::Directory => self.changed(Reach::Key(key)),
                Ok(Some(_)) => self.say(Item::Skipped(Reach::Key(key), SkipReason::Special)),
                Err(_) => self.left_out(Reach::Key(key)),
            },
            Spot::FollowInto => self.descend(key, Way::Link),
            Spot::Special => self.say(Item::Skipped(Reach::Key(key), SkipReason::Special)),
            Spot::File => match stat {
                Ok(None) => Ok(()),
                Ok(Some(stamp)) if stamp.is_file() => self.file(key, &stamp),
                // It was a file a moment ago. If it became a directory, its keys come later in the order.
                Ok(Some(_)) => {
                    self.later(&key, Spot::UnsaidBelow)?;
                    self.changed(Reach::Key(key))
                }
                Err(errno) => self.unknown(Reach::Key(key), errno),
            },
            Spot::Unsaid => match stat {
                Ok(None) => Ok(()),
                Err(errno) => self.unknown(Reach::Key(key), errno),
                Ok(Some(stamp)) => match stamp.kind() {
                    FileType::RegularFile => self.file(key, &stamp),
                    FileType::Directory => Ok(()),
                    FileType::Symlink => self.became_link(Reach::Key(key)),
                    _ => self.say(Item::Skipped(Reach::Key(key), SkipReason::Special)),
                },
            },
            Spot::UnsaidBelow => match stat {
                Ok(None) => Ok(()),
                Err(errno) => self.unknown(Reach::Below(key), errno),
                Ok(Some(stamp)) => match stamp.kind() {
                    FileType::Directory => self.descend(key, Way::Name),
                    FileType::Symlink => self.became_link(Reach::Below(key)),
                    _ => Ok(()),
                },
            },
            Spot::Descend => self.descend(key, Way::Name),
        }
    }

    fn file(&mut self, key: Key, stamp: &Stamp) -> Result<(), Halt> {
        if let Some(original) = key.name().strip_prefix("._")
            && self.filter.skips_apple_double(&key)
            && self.is_apple_double(original, key.name())
        {
            return self.say(Item::Skipped(Reach::Key(key), SkipReason::Junk));
        }
        let entry = stamp.entry_seen(self.root.fs);
        self.say(Item::Present(key, entry))
    }

    /// AppleDouble data stands beside its original or begins with its magic number (RFC 1740, appendix A).
    fn is_apple_double(&self, original: &str, name: &str) -> bool {
        let Some(frame) = self.frames.last() else { return false };
        let Some(dir) = &frame.fd else { return false };
        if !original.is_empty() && statat(dir, original, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return true;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let mut magic = [0_u8; 4];
        let read = openat(dir, name, flags, Mode::empty()).and_then(|fd| rustix::io::pread(fd, &mut magic, 0));
        // What can't be read is taken for a file, and reading it later says why not.
        read == Ok(4) && is_apple_double(&magic)
    }

    fn descend(&mut self, dir: Key, way: Way) -> Result<(), Halt> {
        if let Some(reason) = self.filter.prunes(dir.as_str()) {
            return self.say(Item::Skipped(Reach::Below(dir), reason));
        }
        let mut entered = self.enter(&dir, way);
        if matches!(entered, Ok(Entered::Gone)) {
            // A program that replaces a directory takes it away for a moment.
            entered = self.enter(&dir, way);
        }
        match entered {
            Ok(Entered::Into(mut frame)) => {
                self.path.push_str(dir.name());
                self.path.push('/');
                frame.prefix = self.path.len();
                self.push(frame)
            }
            Ok(Entered::Gone) => Ok(()),
            Ok(Entered::Elsewhere) => self.say(Item::Skipped(Reach::Below(dir), SkipReason::OtherFilesystem)),
            Err(errno) if way == Way::Link => self.lost(Reach::Below(dir), errno),
            Err(Errno::NOTDIR | Errno::LOOP) => self.changed(Reach::Below(dir)),
            Err(errno) => self.unknown(Reach::Below(dir), errno),
        }
    }

    fn enter(&self, dir: &Key, way: Way) -> Result<Entered, Errno> {
        let name = dir.name();
        #[cfg(test)]
        super::seam::hit("enter", name)?;
        let Some(above) = self.frames.last().and_then(|frame| frame.fd.as_ref()) else { return Err(Errno::STALE) };
        let opened = match way {
            Way::Name => openat(above, name, DIRECTORY, Mode::empty()),
            Way::Link => self.root.follow(dir.as_str(), DIRECTORY),
        };
        let fd = match opened {
            // What a link leads to may be gone while the link is there.
            Err(Errno::NOENT) if way == Way::Name || look_at(Some(above), &c_string(name)?)?.is_none() => {
                return Ok(Entered::Gone);
            }
            result => result?,
        };
        let stamp = Stamp::of(&fstat(&fd)?);
        // Only a link can lead back up; a directory that is walked already would be walked for ever.
        let mut walked = self.above.iter().chain(self.frames.iter().map(|frame| &frame.stamp));
        if way == Way::Link && walked.any(|frame| frame.same_place(&stamp)) {
            return Err(Errno::LOOP);
        }
        // Only directories are asked for their file system: on overlayfs a file may show the device of a lower layer.
        if stamp.dev != self.root.stamp.dev {
            return Ok(Entered::Elsewhere);
        }
        match self.frame(fd, stamp, 0, dir.as_str()) {
            // Removed while it was read: nothing is left in it.
            Err(Errno::NOENT) => Ok(Entered::Gone),
            result => result.map(Entered::Into),
        }
    }

    /// `dir` is the path of the directory, without a slash at its end.
    fn frame(&self, fd: OwnedFd, stamp: Stamp, prefix: usize, dir: &str) -> Result<Frame, Errno> {
        let link_as = |name: &str| self.link_as(dir, name);
        let names = Names::read(fd.as_fd(), &stamp, self.root.fs.granularity_ns, &link_as)?;
        Ok(Frame { fd: Some(fd), stamp, names, prefix })
    }

    fn link_as(&self, dir: &str, name: &str) -> LinkAs {
        let slash = if dir.is_empty() { "" } else { "/" };
        self.root.link_as(&format!("{dir}{slash}{name}"))
    }

    fn push(&mut self, frame: Frame) -> Result<(), Halt> {
        if self.out.is_closed() {
            return Err(Halt::Unheard);
        }
        let nameless = frame.names.nameless.clone();
        self.frames.push(frame);
        if self.frames.len() > HELD {
            let far = self.frames.len() - HELD - 1;
            self.frames[far].fd = None;
        }
        let Some((count, first)) = nameless else { return Ok(()) };
        let place = match self.path.strip_suffix('/') {
            Some(dir) => format!("`{}`", Key::new(dir).map_or_else(|_| String::new(), |key| key.to_string())),
            None => "the root".to_owned(),
        };
        let what = if count == 1 { "a name in".to_owned() } else { format!("{count} names in") };
        let problem = Problem {
            reach: None,
            kind: ProblemKind::Name,
            message: format!("{what} {place} can't be synced, because object names are UTF-8: `{first}`"),
            hint: Some("rename it, for example with `convmv -f latin1 -t utf8`".to_owned()),
        };
        self.say(Item::Nameless(problem))
    }

    fn pop(&mut self) {
        let Some(done) = self.frames.pop() else { return };
        let Some(above) = self.frames.last_mut() else { return };
        self.path.truncate(above.prefix);
        if above.fd.is_none() {
            // `..` is no link. If the directory was moved meanwhile it leads elsewhere; then the rest of the names
            // above can't be looked at any more, and each is said to be unknown.
            let is_it = |fd: &OwnedFd| fstat(fd).is_ok_and(|stat| Stamp::of(&stat).same_place(&above.stamp));
            let up = done.fd.as_ref().and_then(|fd| openat(fd, c"..", DIRECTORY, Mode::empty()).ok()).filter(is_it);
            // A directory that was entered through a link lies elsewhere.
            let by_path = || self.root.open_to_read(self.path.trim_end_matches('/'), DIRECTORY).ok().filter(is_it);
            above.fd = up.or_else(by_path);
        }
    }

    fn later(&mut self, key: &Key, spot: Spot) -> Result<(), Halt> {
        let inserted = match self.frames.last_mut() {
            Some(frame) => frame.names.insert_later(key.name(), spot),
            None => Ok(()),
        };
        inserted.map_err(|errno| self.stopped(Reach::Key(key.clone()), errno))
    }
}

/// `None` if it is gone: looked at twice, because a program may take a file away and put a new one there.
fn look_at(dir: Option<&OwnedFd>, name: &CStr) -> Result<Option<Stamp>, Errno> {
    #[cfg(test)]
    super::seam::hit("stat", &name.to_string_lossy())?;
    let dir = dir.ok_or(Errno::STALE)?;
    let look = || statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
    match look().or_else(|errno| if errno == Errno::NOENT { look() } else { Err(errno) }) {
        Ok(stat) => Ok(Some(Stamp::of(&stat))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn c_string(name: &str) -> Result<CString, Errno> {
    CString::new(name).map_err(|_| Errno::INVAL)
}

impl Spot {
    fn needs_stat(self) -> bool {
        matches!(self, Self::File | Self::Unsaid | Self::UnsaidBelow)
    }
}
