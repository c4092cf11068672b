//! The names in one directory, in key order.
//!
//! A directory that changes while it is read may hide a name that was there all the time: on some file systems a file
//! that is replaced by a rename moves to another place of the directory, behind the reader. So a directory whose times
//! moved meanwhile is read again, and what any of the passes saw counts; the stat that follows for every name removes
//! what is gone.

use std::cmp::Ordering;
use std::ffi::CStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, FileType, RawDir, SeekFrom, fstat, seek, statat};
use rustix::io::Errno;

use super::links::LinkAs;
use super::stamp::Stamp;
use crate::model::{LINK_SUFFIX, link_name};

/// What the scan does at one place of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Spot {
    /// A regular file, by the directory.
    File,
    /// A directory: descend.
    Descend,
    /// A symbolic link that is left out or can't be followed, as a key. It may stand for a file or a directory, so it
    /// has both places.
    Link,
    /// Such a link, as what is below it.
    BelowLink,
    /// The key that a link's text would have, where links are not stored.
    LinkText,
    /// A symbolic link whose text is stored; the name is that of its key.
    Stored,
    /// A stored link and something else would have one key.
    Twins,
    /// A symbolic link to something that is no directory.
    Followed,
    /// A symbolic link to a directory: descend.
    FollowInto,
    /// A FIFO, socket or device.
    Special,
    /// The directory does not say what it is: stat it at the key's place...
    Unsaid,
    /// ... and descend at the other one if it is a directory.
    UnsaidBelow,
}

impl Spot {
    const ALL: [Self; 12] = [
        Self::File,
        Self::Descend,
        Self::Link,
        Self::BelowLink,
        Self::LinkText,
        Self::Stored,
        Self::Twins,
        Self::Followed,
        Self::FollowInto,
        Self::Special,
        Self::Unsaid,
        Self::UnsaidBelow,
    ];

    /// Whether the place is that of `name/`: a directory sorts by its first key, and every key below it has that slash.
    /// By plain names `a` would come before `a-b`, but `a-b` comes before `a/x`.
    fn is_below(self) -> bool {
        matches!(self, Self::Descend | Self::BelowLink | Self::UnsaidBelow | Self::FollowInto)
    }

    /// What one name in two spots is. Where passes disagree about its kind, the later one wins; the text of a link that
    /// is not stored is nothing beside a file of its name, and that of a stored one can't be told from it.
    fn over(self, earlier: Self) -> Self {
        match (self, earlier) {
            (Self::LinkText, other) | (other, Self::LinkText) => other,
            (Self::Stored, Self::Stored) => Self::Stored,
            (Self::Stored | Self::Twins, _) | (_, Self::Stored | Self::Twins) => Self::Twins,
            (later, _) => later,
        }
    }
}

/// Names of one directory. One buffer holds them all (spot, length, bytes, NUL), `order` the places in key order: a flat
/// directory of a million files takes about 40 MB.
#[derive(Debug, Default)]
pub(super) struct Names {
    buffer: Vec<u8>,
    order: Vec<u32>,
    next: usize,
    /// How many names are no UTF-8, and the first of them.
    pub(super) nameless: Option<(u64, String)>,
}

impl Names {
    /// Reads a directory completely. `link_as` is asked what each symbolic link in it is taken for.
    pub(super) fn read(
        dir: BorrowedFd<'_>,
        before: &Stamp,
        granularity_ns: i64,
        link_as: &dyn Fn(&str) -> LinkAs,
    ) -> Result<Self, Errno> {
        let mut names = Self::default();
        names.pass(dir, link_as)?;
        let mut seen = *before;
        for _ in 0..2 {
            let after = Stamp::of(&fstat(dir)?);
            let moved = (after.mtime_ns, after.ctime_ns) != (seen.mtime_ns, seen.ctime_ns);
            let fresh = is_fresh(&after, granularity_ns);
            if !moved && !fresh {
                break;
            }
            // Within one tick of the clock a second change would not show: let the tick pass.
            if fresh {
                std::thread::sleep(Duration::from_millis(12));
            }
            seen = Stamp::of(&fstat(dir)?);
            seek(dir, SeekFrom::Start(0))?;
            names.pass(dir, link_as)?;
        }
        names.sort();
        Ok(names)
    }

    /// A list of one key, and of what is below it.
    pub(super) fn one(dir: BorrowedFd<'_>, name: &str, link_as: &dyn Fn(&str) -> LinkAs) -> Result<Self, Errno> {
        let mut names = Self::default();
        let there = kind_of(dir, name);
        let link = link_name(name).filter(|link| kind_of(dir, link) == Ok(FileType::Symlink));
        if let Some(link) = link {
            names.add_link(link, link_as(link))?;
        }
        match there {
            Ok(FileType::Symlink) => names.add_link(name, link_as(name))?,
            Err(Errno::NOENT) if link.is_some() => {}
            _ => names.add(name, FileType::Unknown)?,
        }
        names.sort();
        // What else a link stands for is no part of this list.
        let Self { buffer, order, .. } = &mut names;
        order.retain(|at| record(buffer, *at).1 == name.as_bytes());
        Ok(names)
    }

    fn pass(&mut self, dir: BorrowedFd<'_>, link_as: &dyn Fn(&str) -> LinkAs) -> Result<(), Errno> {
        self.nameless = None;
        let mut space = Vec::with_capacity(32 * 1024);
        let mut entries = RawDir::new(dir, space.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Err(Errno::INTR) => continue,
                entry => entry?,
            };
            let name = entry.file_name();
            match name.to_str() {
                Ok("." | "..") => {}
                Ok(text) => match entry.file_type() {
                    FileType::Symlink => self.add_link(text, link_as(text))?,
                    // Where the directory does not say it, a link has to be known now: its key may be another one.
                    FileType::Unknown if kind_of(dir, text) == Ok(FileType::Symlink) => {
                        self.add_link(text, link_as(text))?;
                    }
                    kind => self.add(text, kind)?,
                },
                Err(_) => {
                    let (count, _) =
                        self.nameless.get_or_insert_with(|| (0, name.to_bytes().escape_ascii().to_string()));
                    *count += 1;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &str, kind: FileType) -> Result<(), Errno> {
        match kind {
            FileType::RegularFile => self.push(name, Spot::File),
            FileType::Directory => self.push(name, Spot::Descend),
            FileType::Unknown => self.push(name, Spot::Unsaid).and_then(|()| self.push(name, Spot::UnsaidBelow)),
            _ => self.push(name, Spot::Special),
        }
    }

    fn add_link(&mut self, name: &str, taken_for: LinkAs) -> Result<(), Errno> {
        let text = format!("{name}{LINK_SUFFIX}");
        if taken_for == LinkAs::Stored {
            return self.push(&text, Spot::Stored);
        }
        match taken_for {
            LinkAs::File => self.push(name, Spot::Followed)?,
            LinkAs::Directory => self.push(name, Spot::FollowInto)?,
            LinkAs::Skipped | LinkAs::Lost | LinkAs::Stored => {
                self.push(name, Spot::Link)?;
                self.push(name, Spot::BelowLink)?;
            }
        }
        self.push(&text, Spot::LinkText)
    }

    fn push(&mut self, name: &str, spot: Spot) -> Result<(), Errno> {
        let at = u32::try_from(self.buffer.len()).map_err(|_| Errno::OVERFLOW)?;
        let length = u16::try_from(name.len()).map_err(|_| Errno::NAMETOOLONG)?;
        self.buffer.push(spot as u8);
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.buffer.extend_from_slice(name.as_bytes());
        self.buffer.push(0);
        self.order.push(at);
        Ok(())
    }

    /// Sorts, and drops what several passes saw.
    fn sort(&mut self) {
        let Self { buffer, order, .. } = self;
        order.sort_unstable_by(|a, b| compare(buffer, *a, *b).then(b.cmp(a)));
        order.dedup_by(|earlier, later| {
            let is_same = compare(buffer, *earlier, *later) == Ordering::Equal;
            if is_same {
                buffer[*later as usize] = record(buffer, *later).0.over(record(buffer, *earlier).0) as u8;
            }
            is_same
        });
    }

    /// The next place: spot, name, and the name as system calls take it.
    pub(super) fn advance(&mut self) -> Option<(Spot, &str, &CStr)> {
        let at = *self.order.get(self.next)?;
        self.next += 1;
        let (spot, name) = record(&self.buffer, at);
        let end = at as usize + 3 + name.len();
        let c_name = CStr::from_bytes_with_nul(&self.buffer[at as usize + 3..=end]).expect("written with its NUL");
        Some((spot, std::str::from_utf8(name).expect("only UTF-8 was added"), c_name))
    }

    /// Adds a place that comes later in the order than the current one.
    pub(super) fn insert_later(&mut self, name: &str, spot: Spot) -> Result<(), Errno> {
        self.push(name, spot)?;
        let at = self.order.pop().expect("just pushed");
        let rest = &self.order[self.next..];
        match rest.binary_search_by(|other| compare(&self.buffer, *other, at)) {
            Ok(_) => {}
            Err(place) => self.order.insert(self.next + place, at),
        }
        Ok(())
    }
}

fn kind_of(dir: BorrowedFd<'_>, name: &str) -> Result<FileType, Errno> {
    statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| Stamp::of(&stat).kind())
}

fn record(buffer: &[u8], at: u32) -> (Spot, &[u8]) {
    let at = at as usize;
    let length = usize::from(u16::from_le_bytes([buffer[at + 1], buffer[at + 2]]));
    (Spot::ALL[usize::from(buffer[at])], &buffer[at + 3..at + 3 + length])
}

fn compare(buffer: &[u8], a: u32, b: u32) -> Ordering {
    let ((a_spot, a), (b_spot, b)) = (record(buffer, a), record(buffer, b));
    compare_names((a, a_spot.is_below()), (b, b_spot.is_below()))
}

/// Compares names as if those of directories ended in `/`.
fn compare_names((a, a_below): (&[u8], bool), (b, b_below): (&[u8], bool)) -> Ordering {
    let shared = a.len().min(b.len());
    a[..shared].cmp(&b[..shared]).then_with(|| {
        let next = |name: &[u8], below: bool| name.get(shared).copied().or(below.then_some(b'/'));
        next(a, a_below).cmp(&next(b, b_below))
    })
}

fn is_fresh(dir: &Stamp, granularity_ns: i64) -> bool {
    let now =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX));
    // Where times are coarse, waiting for the next one would take seconds a directory.
    let tick = granularity_ns.min(10_000_000);
    (0..tick).contains(&(now - dir.mtime_ns))
}
