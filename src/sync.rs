//! One cycle. Read this first.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::manifest::Manifest;
use crate::model::{Action, Conflict, Counts, Filter, Key, Problem, SkipReason};
use crate::plan::{Budget, Policy};
use crate::replica::{Buffers, Error, Meter, Replica};

/// What one cycle works on.
#[derive(Debug)]
pub struct Cycle<'a> {
    /// Where content comes from (left in a two-way cycle).
    pub source: Arc<dyn Replica>,
    /// Where it goes.
    pub dest: Arc<dyn Replica>,
    /// What both held when they last agreed; `None` in a dry run of a pair that has none yet.
    pub manifest: &'a Manifest,
    /// What may be done.
    pub policy: Policy,
    /// What is in scope.
    pub filter: Arc<Filter>,
    /// `--only`: this key and everything below it.
    pub only: Option<Key>,
    /// How much may be deleted.
    pub budget: Budget,
    /// Whether anything is changed.
    pub run: Run,
    /// Transfers at the same time, at most.
    pub concurrency: usize,
    /// All body buffers.
    pub buffers: Buffers,
    /// What progress bars read.
    pub progress: Arc<Progress>,
    /// Now, ns since the epoch.
    pub now_ns: i64,
}

/// Whether a cycle changes anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// Plan only: no changing request, nothing left at either side, no lock needed.
    DryRun,
    /// Plan, write the plan to a file, change nothing.
    SavePlan(PathBuf),
    /// Plan and execute.
    Execute,
}

/// Counters for progress bars; written by the cycle, read by whoever draws.
#[derive(Debug, Default)]
pub struct Progress {
    /// Entries seen at the source so far.
    pub scanned: AtomicU64,
    /// Keys listed at the destination so far.
    pub listed: AtomicU64,
    /// Files to hash, known so far.
    pub to_hash: AtomicU64,
    /// Files hashed.
    pub hashed: AtomicU64,
    /// Bytes hashed.
    pub bytes_hashed: AtomicU64,
    /// Actions to execute; 0 until the plan is complete.
    pub actions: AtomicU64,
    /// Actions done, failed ones included.
    pub actions_done: AtomicU64,
    /// Bytes to send.
    pub bytes_to_send: AtomicU64,
    /// Bytes sent.
    pub sent: Meter,
}

/// What the cycle tells as it goes; `cli` prints it, tests collect it.
pub trait Observer: Send + Sync {
    /// An action was planned (dry run, saved plan) or carried out.
    fn action(&self, action: &Action, stage: Stage);
    /// Something could not be handled.
    fn problem(&self, problem: &Problem);
    /// Both sides changed.
    fn conflict(&self, conflict: &Conflict);
    /// Something that people should know, once.
    fn notice(&self, text: &str);
}

/// Where an action stands when it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Planned; nothing happened.
    Planned,
    /// Carried out and acknowledged.
    Done,
}

/// How a cycle ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// Everything that was to be done is done (problems and conflicts are counted in the report).
    Finished,
    /// The guard refused to go on; nothing was changed.
    Halted(Halt),
}

/// Why a guard refused, and what resolves it.
#[derive(Debug, Clone, PartialEq)]
pub struct Halt {
    /// What was found, in full sentences.
    pub message: String,
    /// The hash of the stored plan; `None` in a dry run.
    pub plan: Option<String>,
}

/// What a cycle did, or in a dry run would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// How it ended.
    pub ending: Ending,
    /// What the plan held.
    pub planned: Counts,
    /// What was carried out.
    pub done: Counts,
    /// Keys that were equal on both sides.
    pub in_sync: u64,
    /// Keys only at the destination that were left alone.
    pub extras: u64,
    /// Keys deleted at the source that a copy without `--delete` keeps at the destination.
    pub kept: u64,
    /// Left out by rules, by reason.
    pub skipped: Vec<(SkipReason, u64)>,
    /// The first 100 problems, and how many there were.
    pub problems: Vec<Problem>,
    /// How many problems.
    pub problem_count: u64,
    /// The first 100 conflicts.
    pub conflicts: Vec<Conflict>,
    /// How many conflicts.
    pub conflict_count: u64,
    /// Requests that the plan needs (dry run) or that were made, by kind.
    pub requests: Vec<(&'static str, u64)>,
}

/// Runs one cycle.
///
/// # Errors
/// What ended the cycle before it could be decided or finished; the manifest holds what was done until then.
pub async fn run_cycle(cycle: Cycle<'_>, observer: &dyn Observer) -> Result<Report, Error> {
    let _ = (cycle, observer);
    unimplemented!()
}
