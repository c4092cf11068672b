//! One cycle. Read this first.
//!
//! [`run_cycle`] is the product in one function: contact both sides, survey them (list, join, decide, examine), pair
//! what moved, let the guard look at the whole plan, and only then change anything: execute, record.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use futures_util::future;
use futures_util::stream::{StreamExt, iter};

use crate::apply::{self, Shelf};
use crate::execute::{Book, Executor};
use crate::manifest::{Manifest, RunId};
use crate::model::{Counts, Filter, Key, Side, SkipReason, Verdict};
use crate::pair_up::pair_up;
use crate::plan::guard::{self, GuardVerdict, Place, Range, Situation, Stranger};
use crate::plan::{Budget, Policy};
use crate::plan_store::{Phase, PlanStore};
use crate::recover::recover;
use crate::replica::{Buffers, Cause, Connected, Contact, Error, Journal, ReadCost, Replica, Upload, UploadedPart};
use crate::report::Watcher;
use crate::survey::{Findings, survey};

pub use crate::report::{Ending, Halt, Observer, Progress, Report, Stage};

/// The sliding window of the budgets.
const DAY_NS: i64 = 24 * 60 * 60 * 1_000_000_000;

/// Both sides of a cycle.
#[derive(Debug, Clone)]
pub struct Sides {
    /// Where content comes from.
    pub source: Arc<dyn Replica>,
    /// Where it goes.
    pub dest: Arc<dyn Replica>,
}

impl Sides {
    /// One of them.
    pub fn of(&self, side: Side) -> &dyn Replica {
        match side {
            Side::Source => &*self.source,
            Side::Dest => &*self.dest,
        }
    }
}

/// What one cycle works on.
#[derive(Debug)]
pub struct Cycle<'a> {
    /// Where content comes from (left in a two-way cycle).
    pub source: Arc<dyn Replica>,
    /// Where it goes.
    pub dest: Arc<dyn Replica>,
    /// What both held when they last agreed.
    pub manifest: &'a Manifest,
    /// Where uploads in flight are written down.
    pub journal: &'a dyn Journal,
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
    /// Where temporary files without a name may go.
    pub scratch: &'a Path,
    /// Where plans are kept.
    pub shelf: Shelf<'a>,
}

/// Whether a person approved a plan that a guard halted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approval {
    /// Nobody was asked.
    Missing,
    /// `mediasync approve`, or an answer on a terminal.
    Given,
}

/// Whether a cycle changes anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// Plan only: no changing request, nothing left at either side, no lock needed.
    DryRun,
    /// Plan, write the plan to a file, change nothing.
    SavePlan(PathBuf),
    /// Plan and execute under this run of the manifest; a plan that the guard refuses is stored for approval.
    Execute(RunId),
}

impl Cycle<'_> {
    pub(crate) fn sides(&self) -> Sides {
        Sides { source: Arc::clone(&self.source), dest: Arc::clone(&self.dest) }
    }
}

/// Runs one cycle.
///
/// # Errors
/// What ended the cycle before it could be decided or finished; the manifest holds what was done until then.
pub async fn run_cycle(cycle: Cycle<'_>, observer: &dyn Observer) -> Result<Report, Error> {
    let watcher = Watcher::new(observer);
    let mut met = meet(&cycle, &watcher).await?;
    let copy = copy_to_recover_in(&cycle)?;
    let cycle = Cycle { manifest: copy.as_ref().unwrap_or(cycle.manifest), ..cycle };
    if met.strangers.is_empty() {
        met.unaccounted = recover(&cycle).await?;
    }
    let mut findings = survey(&cycle, met.dest_is_new, &watcher).await?;
    in_scope(&cycle, &findings)?;
    pair_up(&cycle, &mut findings, &watcher).await?;
    if findings.dest_keys == 0 && findings.base_keys > 0 && findings.plan.counts().creates > 0 {
        watcher
            .notice(&format!("{} is empty, though it was not after the last run: it is refilled", cycle.dest.name()));
    }
    let verdict = guard::check(&situation(&cycle, &met, &findings)?);
    cycle.progress.actions.store(findings.plan.counts().changes(), Relaxed);
    cycle.progress.bytes_to_send.store(findings.plan.counts().bytes_sent, Relaxed);
    let mut report = report_of(&findings);
    match (&cycle.run, verdict) {
        (Run::DryRun, verdict) => {
            tell(&findings.plan, &watcher)?;
            if let GuardVerdict::Halt(message) = verdict {
                report.ending = Ending::Halted(Halt { message, plan: None });
            }
        }
        (Run::SavePlan(path), verdict) => {
            tell(&findings.plan, &watcher)?;
            let halt = match verdict {
                GuardVerdict::Halt(message) => Some(message),
                GuardVerdict::Proceed => None,
            };
            let hash = apply::save(&cycle, &findings.plan, &met, halt.as_deref(), Some(path))?;
            if let Some(message) = halt {
                report.ending = Ending::Halted(Halt { message, plan: Some(hash) });
            }
        }
        (Run::Execute(_), GuardVerdict::Halt(message)) => {
            let hash = apply::save(&cycle, &findings.plan, &met, Some(&message), None)?;
            report.ending = Ending::Halted(Halt { message, plan: Some(hash) });
        }
        (Run::Execute(_), GuardVerdict::Proceed) => {
            carry_out(&cycle, &findings.plan, Looked::AtTheScope, &met, &watcher, &mut report.done).await?;
        }
    }
    watcher.into_report(&mut report);
    Ok(report)
}

/// What a run records of a killed one before it plans, a dry run records in a copy: both plan the same.
fn copy_to_recover_in(cycle: &Cycle<'_>) -> Result<Option<Manifest>, Error> {
    match cycle.run {
        Run::DryRun | Run::SavePlan(_) if !cycle.manifest.sending(Side::Dest)?.is_empty() => {
            Ok(Some(cycle.manifest.copy()?))
        }
        Run::DryRun | Run::SavePlan(_) | Run::Execute(_) => Ok(None),
    }
}

/// Who answered at the two places.
#[derive(Debug)]
pub(crate) struct Met {
    pub(crate) source: Option<String>,
    pub(crate) dest: Option<String>,
    /// The destination does not exist yet.
    dest_is_new: bool,
    strangers: Vec<Stranger>,
    /// Keys that a killed run was sending and that could not be looked at yet.
    pub(crate) unaccounted: Vec<Key>,
}

/// Contacts both sides without changing anything, and compares who answers with who answered last time.
pub(crate) async fn meet(cycle: &Cycle<'_>, observer: &dyn Observer) -> Result<Met, Error> {
    let source = cycle.source.connect(Contact::Look).await.map_err(|error| Error { cause: Cause::Stop, ..error })?;
    let known_dest = cycle.manifest.identity(Side::Dest)?;
    let (dest, dest_is_new) = match cycle.dest.connect(Contact::Look).await {
        Ok(dest) => (dest, false),
        // A place that was never there is an empty destination. One that vanished is a stranger.
        Err(error) if error.cause == Cause::NotFound && known_dest.is_none() => {
            (Connected { identity: None, notices: Vec::new(), findings: None }, true)
        }
        Err(error) => return Err(Error { cause: Cause::Stop, ..error }),
    };
    for notice in source.notices.iter().chain(&dest.notices) {
        observer.notice(notice);
    }
    let mut strangers = Vec::new();
    let known_source = cycle.manifest.identity(Side::Source)?;
    for (replica, known, now) in
        [(&cycle.source, known_source, &source.identity), (&cycle.dest, known_dest, &dest.identity)]
    {
        if known.is_some() && known != *now {
            let place = match replica.capabilities().read_cost {
                ReadCost::Cheap => Place::Directory,
                ReadCost::Transfer => Place::Bucket,
            };
            strangers.push(Stranger { name: replica.name().to_owned(), place });
        }
    }
    Ok(Met { source: source.identity, dest: dest.identity, dest_is_new, strangers, unaccounted: Vec::new() })
}

/// A run in which rules leave nothing is a mistake in the rules, not a wish to have nothing; and a subtree that is
/// nowhere is a mistyped name.
fn in_scope(cycle: &Cycle<'_>, findings: &Findings) -> Result<(), Error> {
    if findings.source_keys > 0 {
        return Ok(());
    }
    if findings.ruled_out > 0 {
        let message = format!("the rules leave out all that is in {}; nothing was changed", cycle.source.name());
        return Err(Error::new(Cause::Usage, message).hint("look at --include, --exclude and the size limits"));
    }
    match &cycle.only {
        Some(only) if findings.dest_keys == 0 && findings.base_keys == 0 => {
            let message = format!("there is nothing called {only} at either side; nothing was changed");
            Err(Error::new(Cause::Usage, message).hint("--only takes a path below the directory that is synced"))
        }
        Some(_) | None => Ok(()),
    }
}

fn situation(cycle: &Cycle<'_>, met: &Met, findings: &Findings) -> Result<Situation, Error> {
    Ok(Situation {
        mode: cycle.policy.mode,
        range: if cycle.only.is_some() { Range::Part } else { Range::Whole },
        budget: cycle.budget,
        planned: findings.plan.counts(),
        base_keys: findings.base_keys,
        base_bytes: findings.base_bytes,
        base_at_source: findings.base_at_source,
        source_keys: findings.source_keys,
        spent: spent(cycle)?,
        strangers: met.strangers.clone(),
        mirror_approved: cycle.manifest.mirror_approved()?,
    })
}

/// What the pair's runs spent in the window of the budgets.
pub(crate) fn spent(cycle: &Cycle<'_>) -> Result<guard::Spent, Error> {
    let spent = cycle.manifest.spent_since(cycle.now_ns - DAY_NS)?;
    Ok(guard::Spent { deletes: spent.deletes, delete_bytes: spent.delete_bytes, overwrites: spent.overwrites })
}

fn tell(plan: &PlanStore, observer: &dyn Observer) -> Result<(), Error> {
    for action in plan.iter() {
        observer.action(&action?, Stage::Planned);
    }
    Ok(())
}

/// What a run has looked at before it acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looked {
    /// At all that is in scope.
    AtTheScope,
    /// At nothing but a plan that was made earlier.
    AtThePlan,
}

/// Prepares the destination, executes a plan that may be executed, and books what it spent.
pub(crate) async fn carry_out(
    cycle: &Cycle<'_>,
    plan: &PlanStore,
    looked: Looked,
    met: &Met,
    observer: &dyn Observer,
    done: &mut Counts,
) -> Result<(), Error> {
    let Run::Execute(run) = cycle.run else {
        return Err(Error::new(Cause::Stop, "a plan is carried out only in an executing run"));
    };
    let first = cycle.manifest.identity(Side::Dest)?.is_none();
    let mut dest = met.dest.clone();
    if first || !met.strangers.is_empty() || plan.counts().changes() > 0 {
        observer.agree(&plan.counts()).await?;
        let prepared = cycle.dest.connect(Contact::Prepare).await?;
        // A run that is killed later must not leave it to be found out again.
        if let Some(findings) = &prepared.findings {
            cycle.manifest.set_probe(Side::Dest, findings)?;
        }
        for notice in &prepared.notices {
            observer.notice(notice);
        }
        dest = prepared.identity;
    }
    let sides = cycle.sides();
    let executor = Executor {
        sides: &sides,
        manifest: cycle.manifest,
        journal: cycle.journal,
        buffers: &cycle.buffers,
        progress: &cycle.progress,
        concurrency: cycle.concurrency,
        book: Book { run, now_ns: cycle.now_ns },
        identities: (&met.source, &dest),
        unaccounted: &met.unaccounted,
    };
    // Whoever is met for the first time is remembered before anything is changed there: a run that is killed must not
    // leave a pair that takes anybody for its own.
    for (side, identity) in [(Side::Source, &met.source), (Side::Dest, &dest)] {
        if let (Some(identity), None) = (identity, cycle.manifest.identity(side)?) {
            cycle.manifest.set_identity(side, identity)?;
        }
    }
    executor.run(plan, observer, done).await?;
    let uploads = match looked {
        Looked::AtTheScope => abandoned(cycle, plan).await?,
        Looked::AtThePlan => Vec::new(),
    };
    match cycle.dest.tidy(&Abandoned { journal: cycle.journal, uploads }).await {
        Ok(0) => {}
        Ok(count) => observer.notice(&format!("{}: removed {count} leftovers of an earlier run", cycle.dest.name())),
        Err(error) if error.cause == Cause::Stop => return Err(error),
        Err(error) => observer.notice(&format!("{error}; leftovers of an earlier run stay for now")),
    }
    for (side, identity) in [(Side::Source, &met.source), (Side::Dest, &dest)] {
        if let Some(identity) = identity {
            cycle.manifest.set_identity(side, identity)?;
        }
    }
    Ok(())
}

/// The uploads in flight that no run will go on with: the source does not have the key any more, or had nothing to send
/// for it. What this run did not look at, or could not, stays.
async fn abandoned(cycle: &Cycle<'_>, plan: &PlanStore) -> Result<Vec<Upload>, Error> {
    let mut unplanned = Vec::new();
    for upload in cycle.journal.uploads()? {
        let key = &upload.key;
        let outside = cycle.only.as_ref().is_some_and(|only| key != only && !key.is_below(only.as_str()));
        if !outside && !plan.has(Phase::Send, key)? && !plan.has(Phase::Copy, key)? {
            unplanned.push(upload);
        }
    }
    let looked = iter(unplanned).map(async |upload| {
        let found = cycle.source.look_up(&upload.key).await.ok()?;
        let in_scope = match cycle.filter.verdict(&upload.key, found.as_ref().map_or(0, |entry| entry.size)) {
            Verdict::In => true,
            // A size that nothing has leaves nothing out.
            Verdict::Out(SkipReason::Size) => found.is_none(),
            Verdict::Out(_) => false,
        };
        in_scope.then_some(upload)
    });
    Ok(looked.buffered(cycle.concurrency.max(1)).filter_map(future::ready).collect().await)
}

/// A journal that names only some uploads.
#[derive(Debug)]
struct Abandoned<'a> {
    journal: &'a dyn Journal,
    uploads: Vec<Upload>,
}

impl Journal for Abandoned<'_> {
    fn upload(&self, key: &Key) -> Result<Option<Upload>, Error> {
        self.journal.upload(key)
    }

    fn uploads(&self) -> Result<Vec<Upload>, Error> {
        Ok(self.uploads.clone())
    }

    fn intend(&self, upload: &Upload) -> Result<(), Error> {
        self.journal.intend(upload)
    }

    fn part(&self, key: &Key, part: &UploadedPart) -> Result<(), Error> {
        self.journal.part(key, part)
    }

    fn done(&self, key: &Key) -> Result<(), Error> {
        self.journal.done(key)
    }
}

/// What a survey found, before anything is done.
fn report_of(findings: &Findings) -> Report {
    Report {
        planned: findings.plan.counts(),
        in_sync: findings.in_sync,
        extras: findings.extras,
        kept: findings.kept,
        skipped: findings.skipped.iter().map(|(reason, count)| (*reason, *count)).collect(),
        ..Report::empty()
    }
}
