//! The SQLite file of a pair: what both sides held when they last agreed, and what this host knows besides.
//!
//! The two sides are the truth, the manifest is memory. It may be *behind* reality: what a crash left unrecorded is
//! found equal on both sides next time and adopted. It must never be *ahead*: nothing is recorded from intent. A lost
//! or damaged manifest is therefore an empty base, and an empty base deletes nothing.
//!
//! # What is where
//! `STATE/pairs/ID/` (mode 0700, see [`Pair`]) holds `lock` ([`Lock`]), `manifest.db` with SQLite's `-wal` and `-shm`
//! ([`Manifest`]), and `plans/` ([`PlanFile`]). A [`Spool`] is a temporary file without a name.
//!
//! | table | of [`Manifest`] |
//! |---|---|
//! | base | [`Manifest::base`], [`Manifest::record`]: what both sides held |
//! | memo | [`Manifest::memo_get`]: digests of contents that were read, by side, key and version |
//! | dirty | [`Manifest::dirty_note`], [`Manifest::dirty_due`]: keys that changed or must be looked at again |
//! | sending | [`Manifest::sending`]: what a killed run may have sent without recording it |
//! | deleting | [`Manifest::deleting`]: what a killed run may have deleted without recording it |
//! | writes (temporary) | [`Manifest::was_written`]: what this run wrote, for its deletions |
//! | uploads, upload_parts | [`UploadJournal`]: uploads in flight |
//! | runs, spent | [`Manifest::begin_run`], [`Manifest::spent_since`]: what was done, and the guard's budgets |
//! | kept | [`Manifest::kept_of`]: what runs put into the trash |
//! | meta | [`Manifest::identity`], [`Manifest::probe`], ...: single values |
//!
//! # Sides
//! Everything is stored for the sorted pair and read and written in the [`Orientation`] of the cycle, so that a pull
//! after a push finds the same base.
//!
//! # Writers and readers
//! One process writes: the one that holds the [`Lock`]. It has one connection behind a mutex, and every call is one
//! short transaction. Cursors have connections and snapshots of their own. Readers of other processes need no lock
//! and create no file.
//!
//! # Secrets
//! There is none here. Callers pass canonical and display texts of locations, never a DSN, and command names, never
//! arguments.
//!
//! # Durability
//! A write-ahead log with `synchronous = NORMAL`: a killed process loses nothing, a power cut may lose the last
//! transactions, which leaves the manifest behind reality.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, TransactionBehavior};

mod base;
mod codec;
mod contents;
mod deleting;
mod dirty;
mod error;
mod kept;
mod lock;
mod memo;
mod meta;
mod open;
mod pair;
mod plans;
mod runs;
mod schema;
mod sending;
mod spool;
mod store;
mod uploads;
mod writes;

pub use base::{BaseCursor, Record, Styled};
pub use codec::{read_action, read_entry, write_action, write_entry};
pub use deleting::Deleting;
pub use dirty::{Dirty, Due, LONGEST_AWAY, Mark, Span, When};
pub use error::{ManifestError, Reaction};
pub use kept::KeptLine;
pub use lock::{Lock, LockError};
pub use meta::Place;
pub use open::Opened;
pub use pair::{Orientation, Pair};
pub use plans::{PlanActions, PlanFile};
pub use runs::{Run, RunId, Spent};
pub use sending::{Answered, Expecting, Sending};
pub use spool::{Spool, SpoolIter};
pub use uploads::UploadJournal;
pub use writes::Written;

use store::Store;

/// The memory of a pair, in the orientation of a cycle.
#[derive(Debug)]
pub struct Manifest {
    store: Arc<Mutex<Store>>,
    access: Access,
    orientation: Orientation,
    /// Keys and bytes of the base, counted once and again after a change.
    totals: Mutex<Option<(u64, u64)>>,
    /// A damaged page was met: the next opening has to check the file.
    suspect: AtomicBool,
    /// The last number of the table of dirty keys; the smallest one until it was read.
    last_mark: AtomicI64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Access {
    /// This process holds the pair's lock.
    Write(PathBuf),
    /// Nothing is created or changed.
    Read(PathBuf),
    /// Without a file.
    Memory,
    /// Without a file, and what reading told is not kept either: it would grow with the tree.
    Forgetful,
}

impl Manifest {
    /// The file; `None` for one in memory.
    pub fn path(&self) -> Option<&Path> {
        match &self.access {
            Access::Write(path) | Access::Read(path) => Some(path),
            Access::Memory | Access::Forgetful => None,
        }
    }

    /// How the stored pair is seen.
    pub fn orientation(&self) -> Orientation {
        self.orientation
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        // A panic inside a transaction has rolled it back: the store is usable.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets a switch of the database.
    #[cfg(test)]
    pub(crate) fn pragma(&self, name: &str, value: bool) {
        self.lock().conn.pragma_update(None, name, value).unwrap();
    }

    /// Runs a query. It may run again from its start if the file was replaced below it.
    fn read<T>(&self, doing: &str, query: impl FnMut(&Connection) -> rusqlite::Result<T>) -> Result<T, ManifestError> {
        self.lock().read(query).map_err(|e| self.failed(doing, &e))
    }

    /// Runs changes in one transaction.
    fn write<T>(
        &self,
        doing: &str,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, ManifestError> {
        if let Access::Read(path) = &self.access {
            return Err(ManifestError::new(
                Reaction::Unusable,
                format!("can't {doing} {}: it was opened for reading only", error::shown(path)),
            ));
        }
        let mut store = self.lock();
        let result = store.conn.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|tx| {
            let value = change(&tx)?;
            tx.commit()?;
            Ok(value)
        });
        drop(store);
        result.map_err(|e| self.failed(doing, &e))
    }

    fn failed(&self, doing: &str, error: &rusqlite::Error) -> ManifestError {
        let error = ManifestError::sqlite(doing, self.path().unwrap_or(Path::new(":memory:")), error);
        if error.reaction == Reaction::Corrupt {
            self.suspect.store(true, Ordering::Relaxed);
        }
        error
    }
}
