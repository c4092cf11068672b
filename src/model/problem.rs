//! What could not be handled, and what disagrees: data, not exceptions.

use serde::{Deserialize, Serialize};

use super::{Entry, Key, Reach};

/// Sorted by what a person does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// It could not be read: permissions, an I/O error, a directory that vanished half-way.
    Unreadable,
    /// The name can't exist at the other side, or two names would become one.
    Name,
    /// It changed while it was handled; the next run takes it up.
    Changed,
    /// Somebody else changed the destination between plan and action; the next run decides anew.
    Raced,
    /// Refused by the other side: permission, quota, lock.
    Refused,
    /// The network or the server failed after all retries.
    Failed,
    /// Its bytes are in an archive tier.
    Archived,
}

/// One thing that could not be handled; everything else goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Which keys; `None` for a name that can't be a key (not UTF-8).
    pub reach: Option<Reach>,
    /// What kind.
    pub kind: ProblemKind,
    /// What happened, to what, in one sentence without a final stop, with names escaped and without secrets.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem of one key.
    pub fn of(key: &Key, kind: ProblemKind, message: impl Into<String>) -> Self {
        Self { reach: Some(Reach::Key(key.clone())), kind, message: message.into(), hint: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Both sides changed, and no rule says which one wins. Nothing is done about the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The key.
    pub key: Key,
    /// What happened, in one sentence.
    pub message: String,
    /// What the source has; `None` if it deleted the key.
    pub source: Option<Entry>,
    /// What the destination has.
    pub dest: Option<Entry>,
}

/// Why a rule left something out. Counted in the summary, never an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// On the list of certain junk (`.DS_Store`, `Thumbs.db`, ...).
    Junk,
    /// The last rule that matches it excludes it: an `--exclude`, the job's, or a line of `.mediasyncignore`.
    Excluded,
    /// Outside the size limits.
    Size,
    /// A symbolic link.
    Symlink,
    /// The key that a link's text would have, beside a link that is left out or followed: said without being counted, so
    /// that what was stored as a link under another policy is not taken for deleted.
    LinkText,
    /// A FIFO, socket or device.
    Special,
    /// Ours: `.mediasync*`.
    Own,
    /// A directory marker: an object of size 0 whose key ends in `/`.
    DirectoryMarker,
    /// Another file system mounted below the root.
    OtherFilesystem,
}
