//! Executes a complete plan: bounded concurrency, the order of phases, and records of what happened.
//!
//! Act, observe, record: a base record is made from what the replicas acknowledged, never from the plan. A crash
//! between the act and the record shows up next time as "same on both sides" and is adopted.

mod abandoned;
mod keep;
mod keep_both;
mod proofs;
mod remove;
mod restyle;
mod transfer;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::lanes::{Began, Lane};
use crate::manifest::{Answered, Expecting, Manifest, ManifestError, Record, RunId, Spent, Written};
use crate::model::{
    Action, BaseRecord, Counts, Entry, Key, Marks, Problem, ProblemKind, Reach, ReadCost, Reason, Scope, Side, Verb,
    Version,
};
use crate::plan::Styling;
use crate::plan_store::{Phase, PlanStore};
use crate::recover::{LATE_NS, lines};
use crate::replica::{Buffers, Cause, Error, Replica, refuse_full};
use crate::survey::problem_of;
use crate::sync::{Observer, Progress, Sides, Stage};

pub(crate) use abandoned::tidy;
pub(crate) use keep::{Bin, expire};
pub(crate) use proofs::Proofs;

/// Records are committed at the latest after this many.
const BATCH: usize = 1_000;
/// Actions taken from the plan at a time, and written down as about to be sent.
const PAGE: usize = 64;
/// Records are committed at the latest after this time.
const LINGER: Duration = Duration::from_secs(1);
/// Transfers to a directory for each request to its source.
const WAITING: usize = 2;
/// Refusals without a single success after which the rest is not tried.
const HOPELESS: u64 = 20;

/// What execution needs.
#[derive(Debug)]
pub(crate) struct Executor<'a> {
    pub(crate) sides: &'a Sides,
    /// The sides that may be changed.
    pub(crate) writes: &'static [Side],
    /// What objects of a side are to carry.
    pub(crate) styling: &'a Styling,
    pub(crate) manifest: &'a Manifest,
    pub(crate) buffers: &'a Buffers,
    pub(crate) progress: &'a Progress,
    pub(crate) concurrency: usize,
    pub(crate) book: Book,
    pub(crate) bin: Bin,
    /// Keys of which nobody knows yet what became of what an earlier run sent there.
    pub(crate) unaccounted: &'a [Key],
    /// The identities that both sides had when the plan was made.
    pub(crate) identities: (&'a Option<String>, &'a Option<String>),
    pub(crate) proofs: Proofs,
    /// Its place among the cycles that run at the same time.
    pub(crate) lane: Option<&'a Lane>,
    /// What the run looks at.
    pub(crate) scope: &'a Scope,
    /// Whether the manifest knows writes of earlier runs that failed.
    pub(crate) remembers: AtomicBool,
}

/// How one action ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Done and acknowledged; the manifest learns this. The action says what was really done.
    Done(Box<Action>, Record),
    /// Not done; everything else goes on.
    Problem(Problem),
    /// Not done, and not to be tried again as long as nothing changes; the manifest learns this.
    Stuck(Problem, Record),
}

/// Where what is deleted and overwritten is booked, for the budgets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Book {
    pub(crate) run: RunId,
    pub(crate) now_ns: i64,
}

impl Executor<'_> {
    /// Executes `plan`, phase by phase, and counts into `done` what was acknowledged.
    ///
    /// # Errors
    /// [`Cause::Stop`]: nothing else would work. What was done until then is recorded.
    pub(crate) async fn run(&self, plan: &PlanStore, observer: &dyn Observer, done: &mut Counts) -> Result<(), Error> {
        for side in self.writes {
            refuse_full(self.sides.of(*side), plan.counts_at(*side).bytes_sent).await?;
        }
        // Only what may be deleted depends on them, and that is nothing beside others.
        let remembered = if self.lane.is_none_or(|lane| lane.began() == Began::Alone) {
            self.manifest.begin_writes(self.scope)?
        } else {
            1
        };
        self.remembers.store(remembered > 0, Relaxed);
        let mut ledger = Ledger::new(self, observer, done);
        let result = self.phases(plan, &mut ledger).await;
        ledger.flush()?;
        result?;
        // Of lines that several cycles wrote the next one that begins alone takes those out that are left.
        if self.lane.is_none_or(|lane| !lane.had_company()) {
            for side in self.writes {
                let open: Vec<Key> = ledger.open.iter().cloned().collect();
                let expecting = Expecting { now_ns: self.book.now_ns, for_ns: LATE_NS };
                self.manifest.end_sending(*side, &open, expecting)?;
            }
        }
        Ok(())
    }

    async fn phases(&self, plan: &PlanStore, ledger: &mut Ledger<'_>) -> Result<(), Error> {
        for action in plan.phase(Phase::Record) {
            ledger.settle(record_only(action?))?;
        }
        self.transfers(plan, Phase::Copy, ledger).await?;
        self.removals(plan, Phase::MakeRoom, ledger).await?;
        ledger.failed.clear();
        self.transfers(plan, Phase::Send, ledger).await?;
        self.transfers(plan, Phase::KeepBoth, ledger).await?;
        self.put_back(plan, ledger).await?;
        self.removals(plan, Phase::Delete, ledger).await?;
        self.restyles(plan, ledger).await
    }

    /// Transfers at the same time. Files that were fetched wait to be made durable together while others are fetched:
    /// requests are bounded by the source's own gate, memory by the buffers.
    fn width(&self) -> usize {
        let costs = (self.sides.source.capabilities().read_cost, self.sides.dest.capabilities().read_cost);
        let waiting = if costs == (ReadCost::Transfer, ReadCost::Cheap) { WAITING } else { 1 };
        self.concurrency.max(1).saturating_mul(waiting)
    }

    async fn transfers(&self, plan: &PlanStore, phase: Phase, ledger: &mut Ledger<'_>) -> Result<(), Error> {
        let mut running = FuturesUnordered::new();
        let mut page = Vec::new().into_iter();
        let mut last = None;
        let deletes = plan.counts().deletes > 0;
        let width = self.width();
        loop {
            while running.len() < width {
                if page.len() == 0 {
                    let next = plan.page(phase, last.as_ref(), PAGE)?;
                    let Some(action) = next.last() else { break };
                    last = Some(action.key.clone());
                    for side in self.writes {
                        self.manifest.begin_sending(*side, &lines(&next, *side, self.sides.of(*side)))?;
                    }
                    // Booked before acting: a crash counts too much, never too little.
                    let overwrites = next
                        .iter()
                        .filter(|action| matches!(action.verb, Verb::Overwrite | Verb::KeepBoth { .. }))
                        .count() as u64;
                    let spent = Spent { overwrites, ..Spent::default() };
                    self.manifest.spend(self.book.run, spent, self.book.now_ns)?;
                    page = next.into_iter();
                }
                let Some(action) = page.next() else { break };
                let new_half = matches!(action.reason, Reason::Renamed { .. });
                let written = Written { side: action.side, key: action.key.clone(), size: action.size, made: false };
                running.push(async move {
                    let outcome = self.transfer(action).await?;
                    let made = matches!(outcome, Outcome::Done(..));
                    // Only what a deletion may ask for is kept, of this run or of a later one.
                    let matters = !made || (deletes && new_half) || self.remembers.load(Relaxed);
                    let written = matters.then_some(Written { made, ..written });
                    Ok::<_, Error>((outcome, written))
                });
            }
            match tokio::time::timeout(LINGER, running.next()).await {
                // What is through is recorded while a large file is on its way.
                Err(_) if ledger.ended.is_empty() => {}
                Err(_) => ledger.flush()?,
                Ok(None) => return Ok(()),
                Ok(Some(ended)) => {
                    let (outcome, written) = ended?;
                    ledger.written.extend(written);
                    ledger.settle(outcome)?;
                }
            }
        }
    }
}

/// Whether each request for a change of this key was answered, since this was asked last.
fn answered(replica: &dyn Replica, key: &Key) -> Answered {
    match replica.capabilities().read_cost {
        // A directory: what a killed process asked of it is done or never will be.
        ReadCost::Cheap => Answered::ForGood,
        ReadCost::Transfer if replica.is_unanswered(key) => Answered::TheLast,
        ReadCost::Transfer => Answered::Each,
    }
}

/// What the manifest learns from an action that changes nothing else.
fn record_only(action: Action) -> Outcome {
    let record = match (&action.verb, &action.from, &action.at) {
        (Verb::Lapse, _, _) => Record::Lapse(action.key.clone()),
        (Verb::Adopt | Verb::Touch, Some(source), Some(dest)) => Record::Put(agreed(&action, source, dest)),
        _ => Record::Forget(action.key.clone()),
    };
    Outcome::Done(Box::new(action), record)
}

/// The base record for content that both sides hold now. `changed` is the entry at the action's side.
fn agreed(action: &Action, other: &Entry, changed: &Entry) -> BaseRecord {
    let mut digests = action.digests.clone();
    digests.merge(&other.digests);
    digests.merge(&changed.digests);
    let (source, dest) = match action.side {
        Side::Dest => (other, changed),
        Side::Source => (changed, other),
    };
    BaseRecord {
        key: action.key.clone(),
        size: other.size,
        source: source.version.clone(),
        dest: dest.version.clone(),
        digests,
        lapsed: false,
        marks: Marks::default(),
    }
}

/// Collects outcomes and commits records in batches.
struct Ledger<'a> {
    manifest: &'a Manifest,
    progress: &'a Progress,
    observer: &'a dyn Observer,
    records: Vec<Record>,
    /// Writes that ended since the last commit, as far as deletions depend on them.
    written: Vec<Written>,
    since: Instant,
    done: &'a mut Counts,
    refusals: u64,
    /// Keys that could not be handled, of the phase that is under way.
    failed: Vec<Key>,
    /// What took the place of what was kept, since the last commit.
    replaced: Vec<(Side, Key, Version)>,
    executor: &'a Executor<'a>,
    /// Keys that ended since the last commit.
    ended: Vec<Key>,
    /// Keys of which it is not known what arrived: their sending failed in a way that leaves it open.
    open: BTreeSet<Key>,
    /// Those that were written since the last commit and of which more than the last request is to be thought of.
    written_again: Vec<(Side, Key, Answered)>,
}

impl<'a> Ledger<'a> {
    fn new(executor: &'a Executor<'a>, observer: &'a dyn Observer, done: &'a mut Counts) -> Self {
        Self {
            manifest: executor.manifest,
            progress: executor.progress,
            observer,
            records: Vec::new(),
            written: Vec::new(),
            since: Instant::now(),
            done,
            refusals: 0,
            failed: Vec::new(),
            replaced: Vec::new(),
            executor,
            ended: Vec::new(),
            open: executor.unaccounted.iter().cloned().collect(),
            written_again: Vec::new(),
        }
    }

    fn settle(&mut self, outcome: Outcome) -> Result<(), Error> {
        match outcome {
            Outcome::Done(action, record) => {
                if action.verb.changes_a_replica() {
                    self.progress.actions_done.fetch_add(1, Relaxed);
                }
                self.done.add(&action);
                self.observer.action(&action, Stage::Done);
                self.replaced.extend(self.executor.replaced(&action, &record));
                if matches!(action.verb, Verb::Create | Verb::Overwrite | Verb::Copy { .. }) {
                    self.sent(&action);
                }
                self.ended.push(action.key.clone());
                self.records.push(record);
            }
            Outcome::Stuck(problem, record) => {
                self.progress.actions_done.fetch_add(1, Relaxed);
                self.observer.problem(&problem);
                self.ended.push(record.key().clone());
                self.records.push(record);
            }
            Outcome::Problem(problem) => {
                self.progress.actions_done.fetch_add(1, Relaxed);
                self.observer.problem(&problem);
                if let Some(Reach::Key(key)) = &problem.reach {
                    self.failed.push(key.clone());
                    self.ended.push(key.clone());
                    let sides = self.executor.sides;
                    let unanswered = [Side::Source, Side::Dest].map(|side| answered(sides.of(side), key));
                    if problem.kind == ProblemKind::Failed || unanswered.contains(&Answered::TheLast) {
                        self.open.insert(key.clone());
                    }
                }
                self.refusals += u64::from(problem.kind == ProblemKind::Refused);
                if self.refusals >= HOPELESS && self.done.handled() == 0 {
                    let message =
                        format!("{HOPELESS} keys were refused and none accepted; the last one: {}", problem.message);
                    return Err(Error { cause: Cause::Stop, message, hint: problem.hint });
                }
            }
        }
        if self.records.len().max(self.written.len()) >= BATCH || self.since.elapsed() >= LINGER {
            self.flush()?;
        }
        Ok(())
    }

    /// Content arrived. In the end all lines go but those of which something may still come; a cycle beside others leaves none
    /// of its own.
    fn sent(&mut self, action: &Action) {
        let answered = answered(self.executor.sides.of(action.side), &action.key);
        let is_beside = self.executor.lane.is_some_and(|lane| lane.began() == Began::Beside);
        if is_beside || answered == Answered::TheLast || self.open.contains(&action.key) {
            self.written_again.push((action.side, action.key.clone(), answered));
        }
    }

    /// A deletion was undone. Recorded at once: until then the key looks like one that only this side ever had.
    fn undone(&mut self, action: &Action, record: Option<Record>) -> Result<(), ManifestError> {
        self.done.remove(action);
        self.records.extend(record);
        let key = &action.key;
        self.observer.notice(&format!("{key}: put back, because what was to take its place could not be made"));
        self.flush()
    }

    /// Commits what was acknowledged since the last time.
    fn flush(&mut self) -> Result<(), ManifestError> {
        self.manifest.record(&self.records)?;
        for side in self.executor.writes.iter().filter(|_| !self.written_again.is_empty()) {
            let of_side = self.written_again.iter().filter(|(at, ..)| at == side);
            let keys = of_side.map(|(_, key, answered)| (key, *answered));
            self.manifest.is_sent(*side, keys, self.executor.book.now_ns)?;
        }
        self.written_again.clear();
        self.records.clear();
        self.manifest.note_writes(&self.written)?;
        self.written.clear();
        for side in [Side::Source, Side::Dest] {
            let of_side = self.replaced.iter().filter(|(of, ..)| *of == side);
            let lines: Vec<(Key, Version)> = of_side.map(|(_, key, version)| (key.clone(), version.clone())).collect();
            self.manifest.note_replaced(side, &self.executor.bin.run, &lines)?;
        }
        self.replaced.clear();
        if let Some(lane) = self.executor.lane {
            lane.lets_go(&self.ended);
        }
        self.ended.clear();
        self.since = Instant::now();
        Ok(())
    }
}

/// An interrupted run drops its ledger: what was acknowledged until then is recorded all the same.
impl Drop for Ledger<'_> {
    fn drop(&mut self) {
        // A process that dies by panic must not look as if it had recorded; and there is nobody to tell an error to.
        if !std::thread::panicking() {
            self.flush().ok();
        }
    }
}

/// An error of one action: the end of the run, or a problem of its key.
fn outcome_of(action: &Action, error: Error) -> Result<Outcome, Error> {
    match error.cause {
        Cause::Stop => Err(error),
        _ => Ok(Outcome::Problem(problem_of(&action.key, &error))),
    }
}
