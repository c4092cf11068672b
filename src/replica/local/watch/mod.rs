//! What happens below a directory, as it happens.
//!
//! A watcher is a hint, the scan is the truth: a [`Sign`] says where to look, never what is there. What a watcher
//! promises is that nothing ends in silence: events that were lost, a limit of the system, a file system without events,
//! a root that is gone or another one all end in [`Sign::Rescan`], [`Sign::Lost`] or a [`Coverage`] that says so.
//!
//! Signs are told in the order in which things happened to one key. Keys that the job's rules leave out (excluded, junk,
//! names of our own) are never told, of a name that is no UTF-8 only that there was one; a key that is told need not be there any more, nor be a
//! file. Nothing is read but directories.

use std::fmt;

use async_trait::async_trait;

use crate::model::Key;

pub(super) use place::silent;
pub use system::{Spec, Watched, watch};

mod place;
mod raw;
mod scope;
pub mod scripted;
mod system;
mod teller;
#[cfg(test)]
mod tests;
mod tree;

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// The file was closed by who wrote it, or moved here from where nobody watches: it is whole.
    Finished(Key),
    /// The file was made or written into, and that may go on.
    Writing(Key),
    /// Times, permissions or links of the file changed, and maybe nothing else.
    Touched(Key),
    /// The file or directory was deleted, or moved to where nobody watches.
    Gone(Key),
    /// A file got another name, whatever had that before.
    Moved {
        /// The name that it had.
        from: Key,
        /// The name that it has.
        to: Key,
    },
    /// A directory got another name. Watches are set below the new one.
    MovedDirectory {
        /// The name that it had.
        from: Key,
        /// The name that it has.
        to: Key,
    },
    /// A directory was made or moved here, and watches are set in it by now: all below it is to be looked at.
    Below(Key),
    /// Something came or went whose name is no UTF-8: it can't be synced, and a look at everything says so.
    Nameless,
    /// Everything is to be looked at.
    Rescan(Missed),
    /// Nothing can be said of this directory until [`Missed::Returned`]; it must not be taken for an empty one.
    Lost(Lost),
}

/// Why everything has to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missed {
    /// More happened than the system or this program could queue.
    Overflow,
    /// The root was lost, and is back.
    Returned,
    /// The system stopped to tell, and watches were set anew.
    Deaf,
    /// The file of rules at the root changed. Whoever made the watcher makes a new one with the new rules.
    Rules,
    /// The system told an error.
    Failed(String),
}

/// In words that follow `because`.
impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overflow => f.write_str("more changed at once than could be told"),
            Self::Returned => f.write_str("the directory is back"),
            Self::Deaf => f.write_str("the system no longer told of changes"),
            Self::Rules => f.write_str("the file of rules changed"),
            Self::Failed(why) => write!(f, "watching failed ({why})"),
        }
    }
}

/// Why a root is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// What is the matter, a whole sentence without its full stop.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// How much is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coverage {
    /// All of it.
    Full {
        /// So many directories.
        directories: u64,
    },
    /// A part. The rest needs scans more often.
    Degraded {
        /// Directories that are watched.
        watched: u64,
        /// Directories that should be.
        directories: u64,
        /// Why not all, and what would help.
        why: String,
    },
    /// Nothing: only scans see changes.
    Polling {
        /// Why, and what would help.
        why: String,
    },
}

/// Tells what happens below a directory.
#[async_trait]
pub trait Watcher: Send + fmt::Debug {
    /// Waits for something to look at; at least one. May be dropped and called again: nothing is lost by that.
    ///
    /// It has to be asked all the time: what nobody fetches for long becomes [`Missed::Overflow`], and the regular look
    /// at the root is made while somebody waits here.
    async fn next(&mut self) -> Vec<Sign>;

    /// Looks now whether the root is still the directory that is watched. What it finds is told by [`Self::next`] too.
    async fn check(&mut self) -> Option<Lost>;

    /// How much is watched now.
    fn coverage(&self) -> Coverage;
}
