//! What can go wrong with the files in the state directory, sorted by what the caller does next.
//!
//! A message names the file and the operation; a hint names the way out. Neither holds a secret, because nothing
//! in the state directory does.

use std::io;
use std::path::Path;

use rusqlite::ErrorCode;

use crate::replica;

/// What the caller does about a [`ManifestError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// The disk is full: change nothing more at either side until it is not.
    Full,
    /// Another process is writing: worth trying again later.
    Busy,
    /// The file is damaged: end the cycle; the next opening checks it, and moves it aside.
    Corrupt,
    /// A newer program wrote it: end the cycle, nothing is wrong with the file.
    Newer,
    /// Permissions, a read-only file system, an I/O error: end the cycle, a person has to look.
    Unusable,
}

/// A failed operation on the state directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ManifestError {
    /// What the caller does.
    pub reaction: Reaction,
    /// Operation, file and cause, in one sentence without a final stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl ManifestError {
    pub(super) fn new(reaction: Reaction, message: impl Into<String>) -> Self {
        Self { reaction, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A failed SQLite call on `path`.
    pub(super) fn sqlite(doing: &str, path: &Path, error: &rusqlite::Error) -> Self {
        let reaction = reaction(error);
        Self::new(reaction, format!("can't {doing} {}: {error}", shown(path))).hint_for(path)
    }

    /// A failed file operation on `path`.
    pub(super) fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        let reaction = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Reaction::Full,
            _ => Reaction::Unusable,
        };
        Self::new(reaction, format!("can't {doing} {}: {error}", shown(path))).hint_for(path)
    }

    fn hint_for(self, path: &Path) -> Self {
        let dir = match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => ".".to_owned(),
            parent => shown(parent.unwrap_or(path)),
        };
        let hint = match self.reaction {
            Reaction::Full => {
                format!("free space on the file system of {dir}, or choose another state directory ([state] dir)")
            }
            Reaction::Busy => "another program has the file open for writing; try again when it is done".to_owned(),
            Reaction::Corrupt => {
                "run the command again: a damaged manifest is moved aside and a fresh one begun, which deletes nothing"
                    .to_owned()
            }
            Reaction::Newer => "update mediasync on this host".to_owned(),
            Reaction::Unusable => {
                format!("the user that runs mediasync needs {dir} to be readable and writable, on a local file system")
            }
        };
        self.hint(hint)
    }
}

impl From<ManifestError> for replica::Error {
    /// Without its memory a cycle can't go on: every reaction is a stop.
    fn from(error: ManifestError) -> Self {
        Self { cause: replica::Cause::Stop, message: error.message, hint: error.hint }
    }
}

/// The state directory is ours, but its place is the user's: control characters are escaped.
pub(super) fn shown(path: &Path) -> String {
    path.to_string_lossy()
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_unicode().collect() } else { vec![c] })
        .collect()
}

pub(super) fn reaction(error: &rusqlite::Error) -> Reaction {
    use rusqlite::Error as E;
    match error {
        E::SqliteFailure(e, _) => match e.code {
            ErrorCode::DiskFull => Reaction::Full,
            // The shared-memory file of the log could not be extended.
            ErrorCode::SystemIoFailure if e.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => Reaction::Full,
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Reaction::Busy,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Reaction::Corrupt,
            _ => Reaction::Unusable,
        },
        // A stored value that we can't have written.
        E::FromSqlConversionFailure(..)
        | E::IntegralValueOutOfRange(..)
        | E::Utf8Error(..)
        | E::InvalidColumnType(..) => Reaction::Corrupt,
        _ => Reaction::Unusable,
    }
}
