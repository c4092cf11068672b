//! What is stored below a name, for whoever only looks: names as they are stored, and folders as one statement each where one
//! level is asked for, so that a folder of a million objects costs one request.
//!
//! It is no [`Listing`](super::Listing): no absence may be concluded from it, links are not followed, and names of our own
//! are told like any other.

use async_trait::async_trait;

use super::Error;

/// How far down is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Up to the next `/`.
    Level,
    /// Everything.
    All,
}

/// One thing that is there. Names are relative to the place that is browsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A file or an object.
    File {
        /// Its name.
        name: String,
        /// Bytes, if they were told.
        size: Option<u64>,
        /// When it was stored or modified, ns since the epoch.
        modified_ns: Option<i64>,
    },
    /// Something is below this name, which ends in `/`.
    Folder(String),
    /// What is no file, and why.
    Other {
        /// Its name; of one that is not UTF-8 what can be shown.
        name: String,
        /// What it is, for people.
        what: &'static str,
    },
}

impl Seen {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::File { name, .. } | Self::Folder(name) | Self::Other { name, .. } => name,
        }
    }
}

/// A look under way: what begins with a text, batch by batch. In key order where the place lists in order.
#[async_trait]
pub trait Browse: Send + std::fmt::Debug {
    /// The next batch, which is not empty; `None` at the end. After an error it is over.
    ///
    /// # Errors
    /// The place can't be listed, or contradicts itself.
    async fn next(&mut self) -> Result<Option<Vec<Seen>>, Error>;
}
