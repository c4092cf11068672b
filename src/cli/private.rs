//! Files with secrets that people have too: read, and replaced as a whole, with a mode of 0600, only where they still are
//! what was read. Nothing half-written is ever there under the file's name.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What a file was when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its text; `None` if it was not there.
    pub(super) text: Option<String>,
}

/// Reads a file, which may be missing.
///
/// # Errors
/// It can't be read, or is no text.
pub(super) fn read(path: &Path) -> io::Result<Seen> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Seen { text: Some(text) }),
        // What can't be written in the end is told before anything else is.
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
            Err(io::Error::new(error.kind(), "it is a link that leads to nothing"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Seen { text: None }),
        Err(error) => Err(error),
    }
}

/// Replaces a file, or makes it with the directories above it. What a link names is replaced, and not the link.
///
/// # Errors
/// It is not any more what was seen, or can't be written.
pub(super) fn write(path: &Path, text: &str, seen: &Seen) -> io::Result<()> {
    let path = followed(path)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{:08x}", fastrand::u32(..)));
    let new = dir.join(name);
    let written = fs::File::options().write(true).create_new(true).mode(0o600).open(&new).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let placed = written.and_then(|()| match seen.text {
        // A new name is never put over what came in between.
        None => fs::hard_link(&new, &path),
        Some(_) if read(&path)? == *seen => fs::rename(&new, &path),
        Some(_) => Err(io::Error::other("somebody else changed it just now; try again")),
    });
    // Renamed, it is not there any more.
    fs::remove_file(&new).ok();
    placed
}

/// The file that a link leads to; a link that leads to nothing stays one that can't be written through.
fn followed(path: &Path) -> io::Result<PathBuf> {
    if path.is_symlink() { fs::canonicalize(path) } else { Ok(path.to_owned()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_only_if_it_is_what_was_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/file");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let missing = read(&path).unwrap();
        write(&path, "one", &missing).unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("one", 0o600));
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        let refused = write(&path, "two", &missing).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let seen = read(&path).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, "two", &seen).unwrap();
        assert!(link.is_symlink());
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("two", 0o600));
        assert!(write(&path, "three", &seen).is_err(), "it has changed since");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }
}
