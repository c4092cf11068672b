//! One cycle. Read this first.
//!
//! [`run_cycle`] is the product in one function: contact both sides, survey them (list, join, decide, examine), pair
//! what moved, let the guard look at the whole plan, and only then change anything: execute, record.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::apply::{self, Shelf};
use crate::execute::{Bin, Book, Executor, Proofs, expire, tidy};
use crate::lanes::{Lane, beside, leave_to_others, narrow};
use crate::lease::{self, Claim};
use crate::manifest::{Manifest, Mark, RunId};
use crate::meet::{Met, meet, prepare};
use crate::model::{Counts, Filter, ReadCost, Scope, Side, TrashRule};
use crate::pair_up::{leave_waiting, pair_up};
use crate::plan::guard::{self, GuardVerdict, Range, Situation, Watched};
use crate::plan::{Budget, Mode, Policy, Raise, Styling};
use crate::plan_store::PlanStore;
use crate::recover::{Unsettled, copy_to_recover_in, recover};
use crate::replica::{Buffers, Cause, Error, Replica};
use crate::report::Watcher;
use crate::survey::{Findings, survey};

pub use crate::report::{Binned, Ending, Halt, Left, Observer, Progress, Report, Stage};

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
#[derive(Debug, Clone)]
pub struct Cycle<'a> {
    /// Where content comes from (left in a two-way cycle).
    pub source: Arc<dyn Replica>,
    /// Where it goes.
    pub dest: Arc<dyn Replica>,
    /// What both held when they last agreed.
    pub manifest: &'a Manifest,
    /// What may be done.
    pub policy: Policy,
    /// The sides that may be changed: those of the policy's mode, or fewer.
    pub writes: &'static [Side],
    /// What names of conflict copies call the destination.
    pub dest_label: &'a str,
    /// What objects of a side are to carry besides their bytes.
    pub styling: Styling,
    /// What is in scope.
    pub filter: Arc<Filter>,
    /// How much of the pair is looked at.
    pub scope: Scope,
    /// A side that nobody asks: it is assumed to hold what the base says. That never proves an absence there; what is
    /// changed there carries the version that it had.
    pub assumed: Option<Side>,
    /// Keys that a watcher saw change and that are not over for what begins here are left alone.
    pub waits: Option<Mark>,
    /// How much may be deleted.
    pub budget: Budget,
    /// How much may be overwritten.
    pub overwrites: Budget,
    /// How a person allows more.
    pub raise: Raise,
    /// What is kept of what is deleted or replaced.
    pub trash: TrashRule,
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
    /// The lease that is held while something is changed; `None` for none.
    pub lease: Option<&'a Claim>,
    /// Its place among the cycles of the pair that run at the same time; `None` if there is one at a time.
    pub lane: Option<&'a Lane>,
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

    pub(crate) fn of(&self, side: Side) -> &dyn Replica {
        match side {
            Side::Source => &*self.source,
            Side::Dest => &*self.dest,
        }
    }

    /// Whether both sides are asked for all that they have.
    fn looks_at_all(&self) -> bool {
        self.scope.is_whole() && self.assumed.is_none()
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
    let mut cycle = Cycle { manifest: copy.as_ref().unwrap_or(cycle.manifest), ..cycle };
    let (mut left, mut unsettled) = (Left::default(), Unsettled::default());
    // What others are sending is not left over.
    if let Some(lane) = beside(&cycle) {
        (cycle.scope, left) = narrow(&cycle, lane)?;
    } else if met.strangers.is_empty() {
        let open = recover(&cycle).await?;
        unsettled = open.unsettled();
        (met.unaccounted, left.late) = (open.keys, open.late);
    }
    let mut findings = survey(&cycle, &met.new, &unsettled, &watcher).await?;
    in_scope(&cycle, &findings)?;
    leave_waiting(&cycle, &mut findings)?;
    pair_up(&cycle, &mut findings, &watcher).await?;
    if let Some(lane) = beside(&cycle) {
        leave_to_others(lane, &mut findings, &mut left)?;
    }
    tell_empty(&cycle, &findings, &watcher);
    tell_times(&cycle, &findings, &watcher);
    let verdict = guard::check(&situation(&cycle, &met, &findings)?);
    // A halt refills nothing.
    if verdict == GuardVerdict::Proceed {
        tell_refills(&cycle, &findings, &watcher);
    }
    cycle.progress.actions.store(findings.plan.counts().changes(), Relaxed);
    cycle.progress.bytes_to_send.store(findings.plan.counts().bytes_sent, Relaxed);
    let mut report = Report { trash: binned(&cycle)?, left, ..report_of(&findings) };
    match (&cycle.run, verdict) {
        (Run::DryRun, verdict) => {
            report.bytes_copied = copied_by_the_service(&cycle, &findings.plan);
            tell(&findings.plan, &watcher)?;
            if let GuardVerdict::Halt(message) = verdict {
                report.ending = Ending::Halted(Halt { message, plan: None });
            }
        }
        (Run::SavePlan(path), verdict) => {
            report.bytes_copied = copied_by_the_service(&cycle, &findings.plan);
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
        // A cycle that sees the whole will say the same, or not.
        (Run::Execute(_), GuardVerdict::Halt(message)) if beside(&cycle).is_some() => {
            report.ending = Ending::Halted(Halt { message, plan: None });
        }
        (Run::Execute(_), GuardVerdict::Halt(message)) => {
            let hash = apply::save(&cycle, &findings.plan, &met, Some(&message), None)?;
            report.ending = Ending::Halted(Halt { message, plan: Some(hash) });
        }
        (Run::Execute(_), GuardVerdict::Proceed) => {
            note_direction(&cycle, cycle.policy.mode)?;
            carry_out(&cycle, &findings.plan, Looked::AtTheScope, &mut met, &watcher, &mut report.done).await?;
        }
    }
    watcher.into_report(&mut report);
    report.count(&cycle.progress);
    Ok(report)
}

/// Of the bytes that a plan sends, those that need not come through here.
fn copied_by_the_service(cycle: &Cycle<'_>, plan: &PlanStore) -> u64 {
    let reached =
        |side: &Side| cycle.of(side.other()).service().is_some_and(|service| cycle.of(*side).reaches(service));
    Side::BOTH.iter().filter(|side| reached(side)).map(|side| plan.counts_at(*side).bytes_sent).sum()
}

/// A side that nobody follows may be empty: it gets everything again.
fn tell_refills(cycle: &Cycle<'_>, findings: &Findings, observer: &dyn Observer) {
    if !cycle.looks_at_all() {
        return;
    }
    for side in cycle.writes.iter().filter(|side| !cycle.policy.mode.follows().contains(side)) {
        if findings.keys(*side) == 0 && findings.base_keys > 0 && findings.plan.counts_at(*side).creates > 0 {
            let name = cycle.of(*side).name();
            observer.notice(&format!("{name} is empty, though it was not after the last run: it is refilled"));
        }
    }
}

/// A bucket lists nothing under a mistyped prefix, and that is no error.
fn tell_empty(cycle: &Cycle<'_>, findings: &Findings, observer: &dyn Observer) {
    let is_bucket = cycle.source.capabilities().read_cost == ReadCost::Transfer;
    let one_way = cycle.policy.mode.follows() == [Side::Source];
    if is_bucket && one_way && cycle.looks_at_all() && findings.source_keys == 0 && findings.base_keys == 0 {
        observer.notice(&format!(
            "nothing was found at {}, and no run ever found anything there: check the spelling of bucket and prefix",
            cycle.source.name()
        ));
    }
}

/// That clocks of two sides were compared is never left unsaid.
fn tell_times(cycle: &Cycle<'_>, findings: &Findings, observer: &dyn Observer) {
    if findings.by_time > 0 {
        let (count, source, dest) = (findings.by_time, cycle.source.name(), cycle.dest.name());
        observer.notice(&format!(
            "conflicts where the content that was modified later wins: {count}; this compares the clocks of {source} \
             and {dest}"
        ));
    }
}

/// Remembers which way the mirrors of a pair go. Only the first one says so: what goes the other way afterwards is a
/// restore, which is asked for each time, and one that finds nothing to do proves no wish to turn the pair.
pub(crate) fn note_direction(cycle: &Cycle<'_>, mode: Mode) -> Result<(), Error> {
    if mode == Mode::Mirror && !cycle.manifest.was_mirrored_back()? {
        cycle.manifest.set_mirrored()?;
    }
    Ok(())
}

/// What a report says of the trash before anything is done.
pub(crate) fn binned(cycle: &Cycle<'_>) -> Result<Binned, Error> {
    let run = match cycle.run {
        Run::Execute(run) => Some(cycle.manifest.run_name(run)?),
        Run::DryRun | Run::SavePlan(_) => None,
    };
    Ok(Binned { rule: cycle.trash, run, ..Binned::default() })
}

/// Rules that leave nothing are a mistake, not a wish to have nothing; and a subtree that is nowhere is a mistyped name.
fn in_scope(cycle: &Cycle<'_>, findings: &Findings) -> Result<(), Error> {
    let changed = matches!(cycle.scope, Scope::Keys(_));
    if changed || cycle.policy.mode.follows().iter().any(|side| findings.keys(*side) > 0) {
        return Ok(());
    }
    if findings.ruled_out > 0 {
        let message = format!("the rules leave out all that is in {}; nothing was changed", cycle.source.name());
        return Err(Error::new(Cause::Usage, message).hint("look at --include, --exclude and the size limits"));
    }
    match cycle.scope.named() {
        Some(only) if findings.dest_keys == 0 && findings.base_keys == 0 => {
            let message = format!("there is nothing called {only} at either side; nothing was changed");
            Err(Error::new(Cause::Usage, message).hint("--only takes a path below the directory that is synced"))
        }
        Some(_) | None => Ok(()),
    }
}

/// What a cycle over changed keys did not look at is as it was: the guard hears of the whole pair.
fn untouched(cycle: &Cycle<'_>, findings: &Findings) -> Result<(u64, u64), Error> {
    let Scope::Keys(_) = cycle.scope else { return Ok((0, 0)) };
    let (keys, bytes) = cycle.manifest.base_totals()?;
    Ok((keys.saturating_sub(findings.base_keys), bytes.saturating_sub(findings.base_bytes)))
}

fn situation(cycle: &Cycle<'_>, met: &Met, findings: &Findings) -> Result<Situation, Error> {
    let (more_keys, more_bytes) = untouched(cycle, findings)?;
    let watched = cycle.policy.mode.follows().iter().map(|side| {
        let across = findings.plan.counts_at(side.other());
        Watched {
            name: match cycle.policy.mode {
                Mode::TwoWay => cycle.of(*side).name().to_owned(),
                Mode::Copy | Mode::CopyAndDelete | Mode::Mirror => "the source".to_owned(),
            },
            keys: findings.keys(*side) + more_keys,
            of_base: findings.of_base(*side) + more_keys,
            renamed: across.rename_deletes,
            deletes: across.deletes - across.rename_deletes,
            overwrites: across.overwrites,
        }
    });
    let turned = cycle.policy.mode == Mode::Mirror && cycle.manifest.was_mirrored_back()?;
    Ok(Situation {
        mode: cycle.policy.mode,
        range: match cycle.scope {
            Scope::Whole | Scope::Keys(_) => Range::Whole,
            Scope::Below(_) => Range::Part,
        },
        budget: cycle.budget,
        overwrites: cycle.overwrites,
        raise: cycle.raise,
        planned: findings.plan.counts(),
        base_keys: findings.base_keys + more_keys,
        base_bytes: findings.base_bytes + more_bytes,
        watched: watched.collect(),
        spent: spent(cycle)?,
        strangers: met.strangers.clone(),
        mirror_approved: cycle.manifest.mirror_approved()?,
        turned: turned.then(|| cycle.dest.name().to_owned()),
        places: cycle.shelf.origin.places(),
    })
}

/// What the pair's runs spent in the window of the budgets.
pub(crate) fn spent(cycle: &Cycle<'_>) -> Result<guard::Spent, Error> {
    let spent = cycle.manifest.spent_since(cycle.now_ns - DAY_NS)?;
    let overwrites = spent.overwrites + cycle.lane.map_or(0, Lane::overwritten_beside);
    Ok(guard::Spent { deletes: spent.deletes, delete_bytes: spent.delete_bytes, overwrites })
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

/// Prepares the sides that are changed, executes a plan that may be executed, and books what it spent.
pub(crate) async fn carry_out(
    cycle: &Cycle<'_>,
    plan: &PlanStore,
    looked: Looked,
    met: &mut Met,
    observer: &dyn Observer,
    done: &mut Counts,
) -> Result<(), Error> {
    let Run::Execute(run) = cycle.run else {
        return Err(Error::new(Cause::Stop, "a plan is carried out only in an executing run"));
    };
    prepare(cycle, plan, met, observer).await?;
    let change = async |cycle: &Cycle<'_>| change(cycle, run, (plan, looked), met, observer, done).await;
    lease::while_held(cycle, (plan, looked), observer, change).await
}

/// Executes a plan at sides that are ready.
async fn change(
    cycle: &Cycle<'_>,
    run: RunId,
    (plan, looked): (&PlanStore, Looked),
    met: &Met,
    observer: &dyn Observer,
    done: &mut Counts,
) -> Result<(), Error> {
    let sides = cycle.sides();
    let executor = Executor {
        sides: &sides,
        writes: cycle.writes,
        styling: &cycle.styling,
        manifest: cycle.manifest,
        buffers: &cycle.buffers,
        progress: &cycle.progress,
        concurrency: cycle.concurrency,
        book: Book { run, now_ns: cycle.now_ns },
        bin: Bin { rule: cycle.trash, run: cycle.manifest.run_name(run)? },
        identities: (&met.source, &met.dest),
        unaccounted: &met.unaccounted,
        proofs: Proofs::default(),
        lane: cycle.lane,
        scope: &cycle.scope,
        remembers: AtomicBool::new(false),
    };
    // Whoever is met for the first time is remembered before anything is changed there: a run that is killed must not
    // leave a pair that takes anybody for its own.
    for side in Side::BOTH {
        if let (Some(identity), None) = (met.identity(side), cycle.manifest.identity(side)?) {
            cycle.manifest.set_identity(side, identity)?;
        }
    }
    if let Some(lane) = cycle.lane {
        lane.takes(plan)?;
    }
    executor.run(plan, observer, done).await?;
    // What only a look at both sides can tell is left to the next one, and what others have under way is not left over.
    let is_last = cycle.lane.is_none_or(Lane::is_last);
    if matches!(cycle.scope, Scope::Keys(_)) || cycle.assumed.is_some() || !is_last {
        return Ok(());
    }
    // A place that is not there and gets nothing was not made.
    for side in cycle.writes.iter().filter(|side| !met.is_new(**side) || plan.counts_at(**side).changes() > 0) {
        tidy(cycle, plan, looked, *side, observer).await?;
    }
    for side in cycle.writes.iter().filter(|side| plan.counts_at(**side).changes() > 0) {
        expire(cycle, *side, observer).await?;
    }
    for side in Side::BOTH {
        if let Some(identity) = met.identity(side) {
            cycle.manifest.set_identity(side, identity)?;
        }
    }
    Ok(())
}

/// What a survey found, before anything is done.
fn report_of(findings: &Findings) -> Report {
    Report {
        planned: findings.plan.counts(),
        planned_at_source: findings.plan.counts_at(Side::Source),
        in_sync: findings.in_sync,
        extras: findings.extras,
        kept: findings.kept,
        unstyled: findings.unstyled,
        skipped: findings.skipped.iter().map(|(reason, count)| (*reason, *count)).collect(),
        ..Report::empty()
    }
}
