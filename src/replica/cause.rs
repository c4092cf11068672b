//! What went wrong, sorted by what the caller does about it.

use std::time::Duration;

use crate::model::ProblemKind;

/// What the caller does about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The key or place is not there.
    NotFound,
    /// Somebody else changed the key: leave it, decide anew.
    Precondition,
    /// The content that we read is not the version that we wanted: leave it, decide anew.
    Changed,
    /// This key can't be handled (name, permission, lock, archive): report it, go on with the others.
    Refused,
    /// The replica can't do this at all: use another way.
    Unsupported,
    /// Worth trying again. `throttled`: the server asked for less.
    Transient {
        /// The server asked for fewer requests (429, 503 SlowDown).
        throttled: bool,
        /// How long it asked us to wait.
        after: Option<Duration>,
    },
    /// A listing broke or contradicted itself: nothing may be concluded from it.
    Incomplete,
    /// The listing is not in key order: spool it and sort.
    Unordered,
    /// The user asked for something that makes no sense here: change the command.
    Usage,
    /// Another host holds the lease of the place: nothing was changed, try again later.
    Leased,
    /// Another host held the lease of the place while it was waited for, and may have changed anything: nothing was
    /// changed, look and decide anew.
    Outdated,
    /// Nothing else will work either (no bucket, bad credentials, disk full): end the cycle.
    Stop,
}

/// A failed operation: what the caller does about it, and what a person reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What the caller does.
    pub cause: Cause,
    /// Operation, object, cause, in one sentence without a final stop; no secrets, names escaped.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Error {
    /// An error without a hint.
    pub fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self { cause, message: message.into(), hint: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The kind of problem that this is for one key.
    pub fn problem_kind(&self) -> ProblemKind {
        match self.cause {
            Cause::NotFound | Cause::Changed => ProblemKind::Changed,
            Cause::Precondition => ProblemKind::Raced,
            Cause::Refused | Cause::Unsupported => ProblemKind::Refused,
            Cause::Transient { .. }
            | Cause::Incomplete
            | Cause::Unordered
            | Cause::Usage
            | Cause::Leased
            | Cause::Outdated
            | Cause::Stop => ProblemKind::Failed,
        }
    }
}
