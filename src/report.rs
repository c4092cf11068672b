//! What a cycle tells while it runs and when it ends: events for whoever prints, counters for whoever draws bars, and
//! the report that exit codes are made from.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{Action, Conflict, Counts, Key, Problem, Reach, RunName, Side, SkipReason, TrashRule};
use crate::replica::{Error, Meter, Trouble};

/// Problems and conflicts that a report lists; the rest is counted.
const LISTED: usize = 100;
/// Keys of problems that are remembered.
const REMEMBERED: usize = 1_000;

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
    /// Of the bytes to send, those that the service copied by itself.
    pub bytes_copied: AtomicU64,
    /// Content that was put into the trash.
    pub kept: AtomicU64,
    /// Of this, into that of the source.
    pub kept_at_source: AtomicU64,
    /// Of this, what the other side never had.
    pub kept_unshared: AtomicU64,
    /// Of the services that it works with.
    troubles: OnceLock<Vec<Arc<Trouble>>>,
}

impl Progress {
    /// Whether these services answer is part of it from now on. Only the first call counts.
    pub fn mind(&self, troubles: Vec<Arc<Trouble>>) {
        self.troubles.get_or_init(|| troubles);
    }

    /// For how long requests have been tried again by now, and why.
    pub fn retrying(&self) -> Option<(Duration, String)> {
        self.troubles.get()?.iter().filter_map(|trouble| trouble.now()).max()
    }
}

/// What the cycle tells as it goes; `cli` prints it, tests collect it.
#[async_trait]
pub trait Observer: Send + Sync {
    /// An action was planned (dry run, saved plan) or carried out.
    fn action(&self, action: &Action, stage: Stage);
    /// Something could not be handled.
    fn problem(&self, problem: &Problem);
    /// Both sides changed.
    fn conflict(&self, conflict: &Conflict);
    /// Something that people should know, once.
    fn notice(&self, text: &str);
    /// Asks whether a complete plan may be carried out; once, before anything is changed.
    ///
    /// # Errors
    /// It may not.
    async fn agree(&self, _planned: &Counts) -> Result<(), Error> {
        Ok(())
    }
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
    /// Of what was planned, what changes the source.
    pub planned_at_source: Counts,
    /// Of what was carried out, what changed the source.
    pub done_at_source: Counts,
    /// Keys that were equal on both sides.
    pub in_sync: u64,
    /// Keys only at the destination that were left alone.
    pub extras: u64,
    /// Keys deleted at the source that a copy without `--delete` keeps at the destination.
    pub kept: u64,
    /// Objects that can't get what header rules say: archived, or found out and told by an earlier run.
    pub unstyled: u64,
    /// Left out by rules, by reason.
    pub skipped: Vec<(SkipReason, u64)>,
    /// The first 100 problems, and how many there were.
    pub problems: Vec<Problem>,
    /// How many problems.
    pub problem_count: u64,
    /// The first 1,000 keys that could not be handled.
    pub stuck: Vec<Key>,
    /// The first 100 conflicts.
    pub conflicts: Vec<Conflict>,
    /// How many conflicts.
    pub conflict_count: u64,
    /// What became of content that was deleted or replaced.
    pub trash: Binned,
    /// Of the bytes sent, those that the service of both sides copied by itself; in a dry run those that it would.
    pub bytes_copied: u64,
    /// What is left to later cycles, though it is no problem.
    pub left: Left,
}

/// Keys that later cycles look at: those of which a cycle beside others did nothing, and those where a server may still do
/// what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Left {
    /// Another one has them in hand.
    pub in_hand: Vec<Key>,
    /// Only one that runs alone may do what is to be done.
    pub alone: Vec<Key>,
    /// A server may still carry out what a killed or failed run asked for, and the time until it is worth a look, ns.
    pub late: Vec<(Key, i64)>,
}

/// What a run put into the trash of the sides that it changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Binned {
    /// What was asked for.
    pub rule: TrashRule,
    /// The run's name there; `None` if nothing was to be changed.
    pub run: Option<RunName>,
    /// How many keys.
    pub kept: u64,
    /// Of these, at the source.
    pub kept_at_source: u64,
    /// Of these, what the other side never had, as far as is known.
    pub kept_unshared: u64,
}

impl Report {
    /// Takes over what was kept and copied by the end of a run.
    pub(crate) fn count(&mut self, progress: &Progress) {
        self.trash.kept = progress.kept.load(Relaxed);
        self.trash.kept_at_source = progress.kept_at_source.load(Relaxed);
        self.trash.kept_unshared = progress.kept_unshared.load(Relaxed);
        self.bytes_copied += progress.bytes_copied.load(Relaxed);
    }

    /// Adds what a later cycle of the same run did. How things stand is what that one found.
    pub(crate) fn follow(&mut self, later: &Self) {
        let before = std::mem::replace(self, later.clone());
        for (sum, more) in [
            (&mut self.planned, before.planned),
            (&mut self.done, before.done),
            (&mut self.planned_at_source, before.planned_at_source),
            (&mut self.done_at_source, before.done_at_source),
        ] {
            *sum = sum.with(&more);
        }
        self.trash.kept += before.trash.kept;
        self.trash.kept_at_source += before.trash.kept_at_source;
        self.trash.kept_unshared += before.trash.kept_unshared;
        self.bytes_copied += before.bytes_copied;
    }

    /// Whether nothing is left to tell.
    pub(crate) fn is_clean(&self) -> bool {
        self.ending == Ending::Finished && self.problem_count == 0 && self.conflict_count == 0
    }

    /// Nothing happened.
    pub(crate) fn empty() -> Self {
        Self {
            ending: Ending::Finished,
            planned: Counts::default(),
            done: Counts::default(),
            planned_at_source: Counts::default(),
            done_at_source: Counts::default(),
            in_sync: 0,
            extras: 0,
            kept: 0,
            unstyled: 0,
            skipped: Vec::new(),
            problems: Vec::new(),
            problem_count: 0,
            stuck: Vec::new(),
            conflicts: Vec::new(),
            conflict_count: 0,
            trash: Binned::default(),
            bytes_copied: 0,
            left: Left::default(),
        }
    }
}

/// Passes on what it hears, and keeps the first of each for the report.
pub(crate) struct Watcher<'a> {
    inner: &'a dyn Observer,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    problems: Vec<Problem>,
    problem_count: u64,
    stuck: Vec<Key>,
    conflicts: Vec<Conflict>,
    conflict_count: u64,
    at_source: Counts,
}

impl<'a> Watcher<'a> {
    pub(crate) fn new(inner: &'a dyn Observer) -> Self {
        Self { inner, heard: Mutex::default() }
    }

    pub(crate) fn into_report(self, report: &mut Report) {
        let heard = self.heard.into_inner().unwrap_or_else(PoisonError::into_inner);
        report.problems = heard.problems;
        report.problem_count = heard.problem_count;
        report.stuck = heard.stuck;
        report.conflicts = heard.conflicts;
        report.conflict_count = heard.conflict_count;
        report.done_at_source = heard.at_source;
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Observer for Watcher<'_> {
    fn action(&self, action: &Action, stage: Stage) {
        self.inner.action(action, stage);
        if stage == Stage::Done && action.verb.changes_a_replica() {
            self.heard().at_source.add_at(Side::Source, action);
        }
    }

    fn problem(&self, problem: &Problem) {
        self.inner.problem(problem);
        let mut heard = self.heard();
        heard.problem_count += 1;
        if heard.problems.len() < LISTED {
            heard.problems.push(problem.clone());
        }
        if let Some(Reach::Key(key)) = problem.reach.as_ref().filter(|_| heard.stuck.len() < REMEMBERED) {
            heard.stuck.push(key.clone());
        }
    }

    fn conflict(&self, conflict: &Conflict) {
        self.inner.conflict(conflict);
        let mut heard = self.heard();
        heard.conflict_count += 1;
        if heard.conflicts.len() < LISTED {
            heard.conflicts.push(conflict.clone());
        }
    }

    fn notice(&self, text: &str) {
        self.inner.notice(text);
    }

    async fn agree(&self, planned: &Counts) -> Result<(), Error> {
        self.inner.agree(planned).await
    }
}
