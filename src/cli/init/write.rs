//! What `init` writes, at its end: both files or none.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;
use crate::cli::private::{self, Seen};
use crate::cli::setup::shown;
use crate::config::places::Env;
use crate::secret::Secret;

/// A new file for a DSN, below the user's configuration.
///
/// # Errors
/// There is no home directory.
pub(super) fn secret_file(env: Env<'_>) -> Result<PathBuf, Failure> {
    let dir = |name: &str| env(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let base = dir("XDG_CONFIG_HOME").or_else(|| Some(dir("HOME")?.join(".config")));
    let base =
        base.ok_or_else(|| Failure::usage("no place for the secret: neither XDG_CONFIG_HOME nor HOME is set"))?;
    let dir = base.join("mediasync");
    let names = std::iter::once("live.dsn".to_owned()).chain((2..).map(|number| format!("live-{number}.dsn")));
    let free = names.map(|name| dir.join(name)).find(|path| fs::symlink_metadata(path).is_err());
    free.ok_or_else(|| Failure::error("there is no free name for the secret"))
}

/// Writes the file with the secret, if there is one, and the configuration, which replaces what was seen there.
///
/// # Errors
/// One of them can't be written; then neither is there.
pub(super) fn all(
    file: &Path,
    (text, seen): (&str, &Seen),
    secret: Option<(&PathBuf, &Secret)>,
) -> Result<(), Failure> {
    let put = |path: &Path, text: &str, seen: &Seen| {
        let failed = |error| Failure::error(format!("can't write {}: {error}; nothing was written", shown(path)));
        private::write(path, text, seen).map_err(failed)
    };
    if let Some((path, dsn)) = secret {
        put(path, &format!("{}\n", dsn.reveal()), &Seen { text: None })?;
    }
    put(file, text, seen).inspect_err(|_| {
        if let Some((path, _)) = secret {
            fs::remove_file(path).ok();
        }
    })
}
