//! [`Failure`]: why a command can't go on, for people and for the exit code.

use super::exit::Exit;
use crate::replica;

/// Why a command can't go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the process exits with.
    pub exit: Exit,
    /// What happened, without a final stop; no secrets, names escaped.
    pub message: String,
    /// Ways out, one a line.
    pub hints: Vec<String>,
}

impl Failure {
    /// The command line or the configuration is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into(), hints: Vec::new() }
    }

    /// Something failed.
    pub fn error(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into(), hints: Vec::new() }
    }

    /// Adds a way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl From<replica::Error> for Failure {
    fn from(error: replica::Error) -> Self {
        let exit = match error.cause {
            replica::Cause::Usage => Exit::Usage,
            replica::Cause::Leased => Exit::Held,
            _ => Exit::Failed,
        };
        Self { exit, message: error.message, hints: error.hint.into_iter().collect() }
    }
}
