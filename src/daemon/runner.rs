//! What a job needs from outside: its pair, opened; a watcher; and cycles. The command line knows configuration,
//! replicas and the journal of runs; tests have replicas in memory.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::state::{Done, Ended, Look};
use crate::lanes::Lane;
use crate::manifest::{Manifest, Mark};
use crate::model::{Conflict, Key, Problem, Scope};
use crate::replica::local::watch::Watcher;
use crate::sync::{Left, Progress};

/// Opens the pair of a job.
#[async_trait(?Send)]
pub trait Runner {
    /// Finds out anew what the places are, takes the pair's lock and opens its manifest. The lock is given back when all
    /// handles are gone.
    ///
    /// # Errors
    /// It can't be opened now.
    async fn open(&self) -> Result<Rc<dyn Held>, Failed>;
}

/// An open pair.
#[async_trait(?Send)]
pub trait Held {
    /// What both sides held when they last agreed, and what was seen to change.
    fn manifest(&self) -> &Manifest;

    /// Watches the side that is a directory.
    ///
    /// # Errors
    /// It can't be watched now.
    async fn watch(&self) -> Result<Box<dyn Watcher>, Failed>;

    /// Runs one cycle. May be dropped: what was done is recorded.
    ///
    /// # Errors
    /// What ended it before it was decided or finished.
    async fn cycle(&self, sight: &Sight, lane: &Lane, progress: &Arc<Progress>) -> Result<Outcome, Failed>;

    /// All cycles under way were dropped. Returns when nothing of them goes on.
    async fn interrupted(&self);
}

/// What a cycle looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// For people and counters.
    pub look: Look,
    /// The keys.
    pub scope: Scope,
    /// Whether the other side is asked.
    pub other: Other,
    /// When it began: keys that were to be left alone then are.
    pub mark: Mark,
}

/// What is done about the side that nobody watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// It is asked for what it has.
    Asked,
    /// It is assumed to hold what both held.
    Assumed,
}

/// So many changed keys are named where a run is told in one line.
pub const NAMED: usize = 3;

/// What came of a cycle.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What was done.
    pub done: Done,
    /// The names of the first [`NAMED`] keys that were changed, escaped.
    pub named: Box<[String]>,
    /// The first problems.
    pub problems: Vec<Problem>,
    /// How many there were.
    pub problem_count: u64,
    /// The first 1,000 keys that could not be handled.
    pub stuck: Vec<Key>,
    /// The first conflicts.
    pub conflicts: Vec<Conflict>,
    /// How many there were.
    pub conflict_count: u64,
    /// Why a guard refused, the hash of the stored plan, and the command that carries it out.
    pub halt: Option<(String, Option<String>, Option<String>)>,
    /// Files that are equal on both sides now, and their bytes.
    pub synced: (u64, u64),
    /// Requests to object stores.
    pub requests: u64,
    /// What it left to later cycles, because others are under way.
    pub left: Left,
}

impl Outcome {
    /// How it ended.
    pub fn ending(&self) -> Ended {
        if self.halt.is_some() {
            Ended::Halted
        } else if self.problem_count + self.conflict_count > 0 {
            Ended::Problems
        } else {
            Ended::Finished
        }
    }
}

/// Why nothing came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What happened, for people.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// What the job does next.
    pub then: Then,
}

/// What a job does after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It tries again by itself, less often each time.
    Retry,
    /// Another process works on the pair: it tries again soon.
    StandBy,
    /// Another host holds the lease and does the work: it looks again soon whether it still does.
    Leased(Seen),
}

/// What was seen of a lease that another host holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// How long ago it changed for the last time: so long ago its holder lived for sure.
    pub changed_ago: Duration,
    /// When to look again.
    pub again: Duration,
}
