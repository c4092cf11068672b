//! Texts that hold a DSN: files, and standard input, which can be read once.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

use super::setup::shown;
use crate::config::places;
use crate::location::{Given, TextAt, UsageError};
use crate::secret::Secret;

/// More than any text with a DSN has, in bytes: what is larger is another file.
const LARGEST: u64 = 1024 * 1024;

/// Reads texts. What stood on standard input is kept, because it can be asked for again.
#[derive(Debug, Default)]
pub struct Texts {
    input: OnceLock<Result<Given, UsageError>>,
}

impl Texts {
    /// The text at `at`.
    ///
    /// # Errors
    /// It can't be read, is no text, or larger than 1 MiB.
    pub fn at(&self, at: TextAt<'_>) -> Result<Given, UsageError> {
        match at {
            TextAt::File(path) => file(path),
            TextAt::Input => self.input.get_or_init(|| read(io::stdin(), "standard input")).clone(),
        }
    }
}

fn file(path: &Path) -> Result<Given, UsageError> {
    let name = shown(path);
    let failed = |error: io::Error| UsageError::new(format!("can't read {name}: {error}"), "");
    let file = fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode();
    Ok(Given { warning: places::mode_warning(path, mode), ..read(file, &name)? })
}

fn read(from: impl Read, name: &str) -> Result<Given, UsageError> {
    let mut text = String::new();
    let refused = |why: String| UsageError::new(format!("can't read {name}: {why}"), "");
    let read = from.take(LARGEST + 1).read_to_string(&mut text).map_err(|error| refused(error.to_string()))?;
    if read as u64 > LARGEST {
        return Err(refused("it is too large to be a DSN".to_owned()));
    }
    Ok(Given { text: Secret::new(text), warning: None })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_others_can_read_is_warned_about() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dsn");
        fs::write(&path, "s3://x").unwrap();
        for (mode, warned) in [(0o600, false), (0o644, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let given = Texts::default().at(TextAt::File(&path)).unwrap();
            assert_eq!((given.text.reveal(), given.warning.is_some()), ("s3://x", warned));
        }
    }

    #[test]
    fn what_is_no_text_with_a_dsn_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dsn");
        let told = || Texts::default().at(TextAt::File(&path)).unwrap_err().message;
        assert!(told().contains("dsn: No such file"), "{}", told());
        fs::write(&path, [0xff]).unwrap();
        assert!(told().contains("dsn: "), "{}", told());
        fs::write(&path, vec![b'a'; 2 << 20]).unwrap();
        assert!(told().ends_with("it is too large to be a DSN"), "{}", told());
    }
}
