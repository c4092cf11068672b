//! Texts that hold a DSN or a key: files, credentials of a service, and standard input, which can be read once.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

use super::setup::shown;
use crate::config::places::{self, Env};
use crate::location::{self, Given, UsageError};
use crate::secret::Secret;

/// More than any text with a DSN has, in bytes: what is larger is another file.
const LARGEST: u64 = 1024 * 1024;

/// Reads texts. What stood on standard input is kept, because it can be asked for again.
#[derive(Debug, Default)]
pub struct Texts {
    input: OnceLock<Result<Given, UsageError>>,
}

impl Texts {
    /// The text in a file.
    ///
    /// # Errors
    /// It can't be read, is no text, or larger than 1 MiB.
    pub fn file(&self, path: &Path) -> Result<Given, UsageError> {
        let name = shown(path);
        let file = fs::File::open(path).map_err(|error| unreadable(&name, &error))?;
        let mode = file.metadata().map_err(|error| unreadable(&name, &error))?.mode();
        Ok(Given { warning: places::mode_warning(path, mode), ..read(file, &name)? })
    }

    /// What stands on standard input.
    ///
    /// # Errors
    /// As [`Self::file`].
    pub fn input(&self) -> Result<Given, UsageError> {
        self.input.get_or_init(|| read(io::stdin(), "standard input")).clone()
    }
}

fn unreadable(name: &str, error: &io::Error) -> UsageError {
    UsageError::new(format!("can't read {name}: {error}"), "")
}

/// A credential that a service manager hands to the service: the file of that name below `$CREDENTIALS_DIRECTORY`
/// (<https://systemd.io/CREDENTIALS/>). It belongs to root, or to the user that the directory belongs to; a group's
/// permissions are no sign of anything, because they show what an access control list lets the service's user do.
///
/// # Errors
/// There is no such directory or file; it is no regular file, belongs to somebody else, or can't be read.
pub fn credential(name: &str, env: Env<'_>) -> Result<Given, UsageError> {
    let called = name.escape_debug();
    if name.is_empty() || name.contains('/') || matches!(name, "." | "..") {
        let message = format!("`credential:{called}` names no credential");
        return Err(UsageError::new(message, "write credential:NAME, as LoadCredential=NAME:FILE of the unit has it"));
    }
    if let (file, Some(_)) = location::file_and_variable(name) {
        let file = file.escape_debug();
        let message = format!("`credential:{called}` names a variable where none can be named");
        let hint = format!("a key or a URL is all that is in its file: write credential:{file}; #VARIABLE is for DSNs");
        return Err(UsageError::new(message, hint));
    }
    let hint = format!("credentials are handed to services: LoadCredential={called}:FILE in the unit");
    let Some(dir) = env("CREDENTIALS_DIRECTORY") else {
        let message = format!("there is no credential {called}: the variable CREDENTIALS_DIRECTORY is not set");
        // Where systemd has them for a unit that runs: <https://systemd.io/CREDENTIALS/>.
        let by_hand = "a command beside the service finds them as root with CREDENTIALS_DIRECTORY=/run/credentials/UNIT, \
                       such as /run/credentials/mediasync.service";
        return Err(UsageError::new(message, format!("{hint}; {by_hand}")));
    };
    let path = Path::new(&dir).join(name);
    let told = format!("the credential {called}");
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => {
            UsageError::new(format!("there is no credential {called} in {}", shown(Path::new(&dir))), hint.clone())
        }
        _ => unreadable(&told, &error),
    };
    let owner = fs::metadata(&dir).map_err(|error| unreadable(&shown(Path::new(&dir)), &error))?.uid();
    let named = fs::symlink_metadata(&path).map_err(failed)?;
    let file = fs::File::open(&path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !named.is_file() || named.ino() != metadata.ino() {
        return Err(UsageError::new(format!("{told} is no regular file: {}", shown(&path)), ""));
    }
    if metadata.uid() != 0 && metadata.uid() != owner {
        let message = format!("{told} belongs to somebody else (user {}): {}", metadata.uid(), shown(&path));
        return Err(UsageError::new(message, "it has to belong to root or to the user of the service"));
    }
    Ok(Given { warning: places::mode_warning(&path, metadata.mode() & 0o7707), ..read(file, &told)? })
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
            let given = Texts::default().file(&path).unwrap();
            assert_eq!((given.text.reveal(), given.warning.is_some()), ("s3://x", warned));
        }
    }

    #[test]
    fn what_is_no_text_with_a_dsn_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dsn");
        let told = || Texts::default().file(&path).unwrap_err().message;
        assert!(told().contains("dsn: No such file"), "{}", told());
        fs::write(&path, [0xff]).unwrap();
        assert!(told().contains("dsn: "), "{}", told());
        fs::write(&path, vec![b'a'; 2 << 20]).unwrap();
        assert!(told().ends_with("it is too large to be a DSN"), "{}", told());
    }

    #[test]
    fn a_credential_is_the_file_that_the_service_manager_gave() {
        let dir = tempfile::tempdir().unwrap();
        let set = |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| dir.path().to_str().unwrap().to_owned());
        let path = dir.path().join("live");
        fs::write(&path, "s3://x").unwrap();
        // The mask of an access control list shows as the group's permissions.
        for (mode, warned) in [(0o400, false), (0o440, false), (0o444, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let given = credential("live", &set).unwrap();
            assert_eq!((given.text.reveal(), given.warning.is_some()), ("s3://x", warned), "{mode:o}");
        }
        let told = |name: &str| credential(name, &set).unwrap_err();
        assert!(told("none").message.starts_with("there is no credential none in /"), "{}", told("none").message);
        assert_eq!(told("none").hint, "credentials are handed to services: LoadCredential=none:FILE in the unit");
        let variable = told("live#KEY");
        assert_eq!(variable.message, "`credential:live#KEY` names a variable where none can be named");
        assert!(variable.hint.contains("write credential:live;"), "{}", variable.hint);
        for name in ["", "..", "a/b", "../live"] {
            assert!(told(name).message.ends_with("names no credential"), "{name}");
        }
        std::os::unix::fs::symlink("live", dir.path().join("link")).unwrap();
        assert!(told("link").message.starts_with("the credential link is no regular file"), "{}", told("link").message);
        let unset = credential("live", &|_| None).unwrap_err();
        assert_eq!(unset.message, "there is no credential live: the variable CREDENTIALS_DIRECTORY is not set");
    }

    #[test]
    fn a_credential_of_somebody_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("live");
        fs::write(&path, "s3://x").unwrap();
        // Only root can give files away.
        if std::os::unix::fs::chown(&path, Some(12345), None).is_err() {
            return;
        }
        let set = |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| dir.path().to_str().unwrap().to_owned());
        let told = credential("live", &set).unwrap_err();
        assert!(
            told.message.starts_with("the credential live belongs to somebody else (user 12345)"),
            "{}",
            told.message
        );
        std::os::unix::fs::chown(dir.path(), Some(12345), None).unwrap();
        assert_eq!(credential("live", &set).unwrap().text.reveal(), "s3://x");
    }
}
