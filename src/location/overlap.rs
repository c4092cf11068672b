//! Whether two places share keys, and the form of a path in which that can be asked.

use std::io;
use std::path::{Component, Path, PathBuf};

use super::Location;

/// How two places share keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// One place.
    Same,
    /// The first lies inside the second.
    FirstInside,
    /// The second lies inside the first.
    SecondInside,
}

/// Whether two places share keys. Local paths must have gone through [`settle`].
pub fn overlap(first: &Location, second: &Location) -> Option<Overlap> {
    let (a, b): (PathBuf, PathBuf) = match (first, second) {
        (Location::Local(a), Location::Local(b)) => (a.clone(), b.clone()),
        // Prefixes are clean, so the components of the canonical text are those of the keys.
        (Location::S3(a), Location::S3(b)) => (a.canonical().into(), b.canonical().into()),
        (Location::Azure(a), Location::Azure(b)) => (a.canonical().into(), b.canonical().into()),
        _ => return None,
    };
    match (a.starts_with(&b), b.starts_with(&a)) {
        (true, true) => Some(Overlap::Same),
        (true, false) => Some(Overlap::FirstInside),
        (false, true) => Some(Overlap::SecondInside),
        (false, false) => None,
    }
}

/// The absolute path without symlinks; what does not exist yet is kept below its nearest existing parent.
/// Reads the disk.
///
/// # Errors
/// As [`std::fs::canonicalize`]; also for a dangling symlink and for `..` after something that does not exist.
pub fn settle(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let mut missing = Vec::new();
    let mut there = path.as_path();
    loop {
        match there.canonicalize() {
            Ok(mut real) => {
                real.extend(missing.iter().rev());
                return Ok(real);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && there.symlink_metadata().is_err() => {
                let (Some(parent), Some(Component::Normal(name))) = (there.parent(), there.components().next_back())
                else {
                    return Err(error);
                };
                missing.push(name);
                there = parent;
            }
            Err(error) => return Err(error),
        }
    }
}
