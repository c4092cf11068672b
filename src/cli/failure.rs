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

    /// What happened, in one line.
    pub fn in_a_line(&self) -> String {
        let mut line = String::new();
        for part in self.message.lines().map(str::trim) {
            let between = if line.is_empty() || line.ends_with(':') { " " } else { "; " };
            line.push_str(if line.is_empty() { "" } else { between });
            line.push_str(part);
        }
        line
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
            replica::Cause::Leased | replica::Cause::Outdated => Exit::Held,
            _ => Exit::Failed,
        };
        Self { exit, message: error.message, hints: error.hint.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_lines_become_one() {
        let told = Failure::usage("c.toml has mistakes:\n  line 1: a\n  line 2: b").in_a_line();
        assert_eq!(told, "c.toml has mistakes: line 1: a; line 2: b");
        assert_eq!(Failure::error("no bucket").in_a_line(), "no bucket");
    }
}
