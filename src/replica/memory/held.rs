//! Large content of a memory replica, opened: a snapshot that knows what it is one of.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Depth, Role, State};
use crate::model::{Entry, Key};
use crate::replica::{Attributes, Cause, Error, Pieces};

/// Large content that was opened: a snapshot.
pub(super) struct Held {
    pub(super) entry: Entry,
    pub(super) bytes: Bytes,
    pub(super) attributes: Option<Arc<Attributes>>,
    pub(super) key: Key,
    pub(super) role: Role,
    pub(super) state: Arc<Mutex<State>>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({})", self.key)
    }
}

#[async_trait]
impl Pieces for Held {
    fn entry(&self) -> &Entry {
        &self.entry
    }

    fn attributes(&self) -> Option<&Attributes> {
        self.attributes.as_deref()
    }

    async fn read(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
        let start = usize::try_from(offset).expect("fits: it is in memory");
        let end = start.saturating_add(len);
        if end > self.bytes.len() {
            return Err(Error::new(Cause::Changed, "the content ends earlier"));
        }
        Ok(self.bytes.slice(start..end))
    }

    async fn unchanged(&self) -> Result<(), Error> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = state.objects.get(&self.key).map(|object| object.entry(self.role, Depth::Listing).version);
        if now.as_ref() == Some(&self.entry.version) {
            return Ok(());
        }
        Err(Error::new(Cause::Changed, format!("{}: changed meanwhile", self.key)))
    }
}
