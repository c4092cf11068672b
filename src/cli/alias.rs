//! Directories with several names: a bind mount shows one again, or one that lies inside it, at another path.
//!
//! Two places of a pair of which one holds the other would feed on each other, whatever their paths say. Two looks find
//! it: the directories above a place are compared by device and inode, and the table of mounts says where in its file
//! system each place lies. Without such a table (no `/proc`) only the first one is made. What one file system shows through
//! two mounts of a network is not found.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::place::End;
use super::setup::shown;
use crate::location::Location;

/// Where the kernel tells the mounts that this process sees (proc_pid_mountinfo(5)).
const MOUNTS: &str = "/proc/self/mountinfo";

/// Refuses two places of which one is the other or holds it under another name.
///
/// # Errors
/// What holds what, and the way out.
pub fn refuse(source: &End, dest: &End) -> Result<(), Failure> {
    let (Location::Local(a), Location::Local(b)) = (&source.location, &dest.location) else { return Ok(()) };
    let mounts = std::fs::read(MOUNTS).map(|table| parse(&table)).unwrap_or_default();
    let is_within = |inner: &Path, outer: &Path| {
        is_reached_through(inner, outer)
            || matches!((spot(inner, &mounts), spot(outer, &mounts)), (Some(inner), Some(outer)) if inner.is_in(&outer))
    };
    for (holder, held) in [(a, b), (b, a)] {
        if let Some(at) = shown_below(holder, held, &mounts) {
            let (at, held) = (shown(at), shown(held));
            let message = format!("{at} shows what is in {held} as well, or the other way round");
            return Err(Failure::usage(message).hint(
                "it is mounted there (bind mount), so a run would copy or delete the one place through the other; unmount it, \
                 or choose places of which neither holds the other",
            ));
        }
    }
    let (source, dest) = (source.location.display(), dest.location.display());
    let message = match (is_within(a, b), is_within(b, a)) {
        (false, false) => return Ok(()),
        (true, true) => format!("{source} and {dest} are one directory under two names"),
        (true, false) => {
            format!("the source {source} lies inside the destination {dest}, which has another name there")
        }
        (false, true) => {
            format!("the destination {dest} lies inside the source {source}, which has another name there")
        }
    };
    Err(Failure::usage(message)
        .hint("one is mounted at the other (bind mount); choose two places of which neither holds the other"))
}

/// Where below `holder` something of `held` is mounted, or something that holds it.
fn shown_below<'m>(holder: &Path, held: &Path, mounts: &'m [Mount]) -> Option<&'m Path> {
    let (holder, held) = (holder.canonicalize().ok()?, spot(held, mounts)?);
    let below = mounts.iter().filter(|mount| mount.at.starts_with(&holder) && mount.at != holder);
    let shows = |mount: &&Mount| {
        let shown = Spot { device: &mount.device, path: mount.shows.clone() };
        shown.is_in(&held) || held.is_in(&shown)
    };
    below.into_iter().find(shows).map(|mount| &*mount.at)
}

/// Whether a directory above `inner`, or itself, is `outer`.
fn is_reached_through(inner: &Path, outer: &Path) -> bool {
    let id = |path: &Path| path.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    let outer = id(outer);
    outer.is_some() && inner.ancestors().any(|above| id(above) == outer)
}

/// One mount.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// The file system, as `major:minor`.
    device: Vec<u8>,
    /// The directory of the file system that is shown.
    shows: PathBuf,
    /// Where.
    at: PathBuf,
}

/// Where in a file system something lies, however it is reached.
#[derive(Debug, PartialEq, Eq)]
struct Spot<'m> {
    device: &'m [u8],
    path: PathBuf,
}

impl Spot<'_> {
    fn is_in(&self, outer: &Self) -> bool {
        self.device == outer.device && self.path.starts_with(&outer.path)
    }
}

/// The lines of the table, in its order; what has another form is left out.
fn parse(table: &[u8]) -> Vec<Mount> {
    let mount = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ').skip(2);
        let (device, shows, at) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Mount { device: device.to_vec(), shows: unescaped(shows), at: unescaped(at) })
    };
    table.split(|byte| *byte == b'\n').filter_map(mount).collect()
}

/// Blanks, line breaks and backslashes are written as three octal digits.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(byte);
            rest = &after[3..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// Where `path`, or what would be made there, lies.
fn spot<'m>(path: &Path, mounts: &'m [Mount]) -> Option<Spot<'m>> {
    let (above, real) = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)))?;
    let below = path.strip_prefix(above).ok()?;
    let mut spot = spot_of(&real, mounts)?;
    if !below.as_os_str().is_empty() {
        spot.path.push(below);
    }
    Some(spot)
}

/// As [`spot`], for a path without links. Of several mounts at one place the last one is seen.
fn spot_of<'m>(real: &Path, mounts: &'m [Mount]) -> Option<Spot<'m>> {
    let length = |mount: &Mount| mount.at.as_os_str().as_bytes().len();
    let mount = mounts.iter().filter(|mount| real.starts_with(&mount.at)).max_by_key(|mount| length(mount))?;
    let below = real.strip_prefix(&mount.at).ok()?;
    let path = if below.as_os_str().is_empty() { mount.shows.clone() } else { mount.shows.join(below) };
    Some(Spot { device: &mount.device, path })
}

/// Without links, as far as it is there.
pub fn real(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let (above, real) = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)))?;
    let below = path.strip_prefix(above).ok()?;
    Some(if below.as_os_str().is_empty() { real } else { real.join(below) })
}

/// The state must not be part of what is synced: each run would change what it looks at.
///
/// # Errors
/// It is.
pub fn refuse_state_inside(state_dir: &Path, end: &End) -> Result<(), Failure> {
    let Location::Local(root) = &end.location else { return Ok(()) };
    match (real(state_dir), real(root)) {
        (Some(state), Some(root)) if state.starts_with(&root) => {
            let message = format!("the state directory {} lies inside {}", shown(state_dir), end.location.display());
            Err(Failure::usage(message).hint("name another one with --state-dir or [state] dir"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"27 1 254:0 / / rw - ext4 /dev/vda rw\n\
        30 27 254:1 / /data rw,relatime shared:1 - ext4 /dev/vdb rw\n\
        31 27 254:1 /media/d\\040e /mnt/other rw - ext4 /dev/vdb rw\n\
        32 27 254:2 / /mnt/over rw - ext4 /dev/vdc rw\n\
        33 32 254:1 /media /mnt/over rw - ext4 /dev/vdb rw\n\
        34 27 254:3 /media /mnt/elsewhere rw - ext4 /dev/vdd rw\n\
        broken line\n";

    fn holds(outer: &str, inner: &str) -> bool {
        let mounts = parse(TABLE);
        let spot = |path: &str| spot_of(Path::new(path), &mounts).unwrap();
        spot(inner).is_in(&spot(outer))
    }

    #[test]
    fn a_mounted_directory_lies_where_it_is_in_its_file_system() {
        for (outer, inner) in [
            ("/data/media", "/mnt/other"),
            ("/data/media/d e", "/mnt/other"),
            ("/mnt/other", "/data/media/d e/deeper"),
            ("/mnt/over", "/mnt/other/x"),
            ("/data/media", "/mnt/over/x"),
        ] {
            assert!(holds(outer, inner), "{inner} in {outer}");
        }
        for (outer, inner) in [
            ("/data/media", "/mnt/elsewhere"),
            ("/data/media/d", "/mnt/other"),
            ("/data/media/d e2", "/mnt/other"),
            ("/mnt/other", "/data/media"),
            ("/", "/data/media"),
            ("/data/media", "/home/media"),
        ] {
            assert!(!holds(outer, inner), "{inner} not in {outer}");
        }
    }

    #[test]
    fn what_is_mounted_below_a_place_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let (holder, held) = (root.join("holder"), root.join("held"));
        for made in [&holder, &held] {
            std::fs::create_dir(made).unwrap();
        }
        let at = |at: &Path, shows: &Path| Mount { device: b"1:1".to_vec(), shows: shows.into(), at: at.into() };
        let table = |shows: &Path| [at(Path::new("/"), Path::new("/")), at(&holder.join("in"), shows)];
        for shows in [&held, &held.join("deeper"), &root] {
            let table = table(shows);
            assert_eq!(shown_below(&holder, &held, &table), Some(&*holder.join("in")), "{shows:?}");
            assert_eq!(shown_below(&held, &root.join("elsewhere"), &table), None);
        }
        assert_eq!(shown_below(&holder, &held, &table(&root.join("other"))), None);
        assert_eq!(shown_below(&holder, &held, &table(&root.join("held2"))), None);
    }

    #[test]
    fn what_is_not_there_yet_lies_in_what_is() {
        let dir = tempfile::tempdir().unwrap();
        let mounts = [Mount { device: b"1:1".to_vec(), shows: "/".into(), at: "/".into() }];
        std::os::unix::fs::symlink(dir.path(), dir.path().join("link")).unwrap();
        let real = spot(dir.path(), &mounts).unwrap();
        let new = spot(&dir.path().join("link/new/newer"), &mounts).unwrap();
        assert!(new.is_in(&real) && !real.is_in(&new));
        assert_eq!(new.path, real.path.join("new/newer"));
    }
}
