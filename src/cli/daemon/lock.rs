//! One daemon works with a state directory. The lock is the operating system's: it ends with its process.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::setup::shown;

/// The right to be the daemon of a state directory.
#[derive(Debug)]
pub struct DaemonLock(#[expect(dead_code, reason = "the lock ends with the file")] File);

impl DaemonLock {
    /// Takes it; the directory is made if it is missing.
    ///
    /// # Errors
    /// A daemon has it, or the directory can't be used.
    pub fn take(state_dir: &Path) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::error(format!("can't use the state directory {}: {error}", shown(state_dir)))
                .hint("name another one with --state-dir or [state] dir")
        };
        DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(failed)?;
        let path = state_dir.join("daemon.lock");
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                let message = format!("another daemon works with the state in {}", shown(state_dir));
                Err(Failure { exit: Exit::Held, ..Failure::error(message) }
                    .hint("mediasync status shows what it does; a second one needs its own --state-dir and other jobs"))
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}
