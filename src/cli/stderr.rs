//! What the process's stderr is. Prints nothing.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

/// What stderr is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stderr {
    /// A terminal.
    Terminal,
    /// A file, pipe or socket: its device and its inode.
    Stream((u64, u64)),
    /// It can't be told.
    Unknown,
}

impl Stderr {
    /// What the process's own is.
    pub fn own() -> Self {
        let stderr = io::stderr();
        if stderr.is_terminal() {
            return Self::Terminal;
        }
        let file = stderr.as_fd().try_clone_to_owned().and_then(|stderr| File::from(stderr).metadata());
        file.map_or(Self::Unknown, |file| Self::Stream((file.dev(), file.ino())))
    }
}
