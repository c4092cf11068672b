//! Stored plans: written for `--save-plan` and for a halt, carried out by `apply` and `approve`.
//!
//! Carrying out a stored plan decides nothing anew. Each action still has its preconditions, so what drifted since is
//! refused key by key; a place that became another one is refused as a whole.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use serde::{Deserialize, Serialize};

use crate::manifest::{Manifest, Pair, PlanFile};
use crate::meet::{Met, meet};
use crate::model::{Action, Reason, Side, TrashRule, Verb};
use crate::plan::guard::{self, GuardVerdict, Range, Situation};
use crate::plan::{Budget, Mode};
use crate::plan_store::PlanStore;
use crate::recover::recover;
use crate::replica::{Cause, Error};
use crate::report::Watcher;
use crate::sync::{
    Approval, Cycle, Ending, Halt, Looked, Observer, Report, Run, binned, carry_out, note_direction, spent,
};

/// Where the plans of a pair are kept, and how a stored plan names its places.
#[derive(Debug, Clone, Copy)]
pub struct Shelf<'a> {
    /// The state directory.
    pub state_dir: &'a Path,
    /// The pair.
    pub pair: &'a Pair,
    /// What the user typed or configured, so that the plan can be carried out later; without secrets.
    pub origin: &'a Origin,
}

/// Where a plan came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The job of the config, if it was one.
    pub job: Option<String>,
    /// The source as the user spelled it; `None` if that holds a secret.
    pub source: Option<String>,
    /// The destination as the user spelled it; `None` if that holds a secret.
    pub dest: Option<String>,
    /// How people call both.
    pub names: (String, String),
    /// The canned ACL for new objects at the destination; `None` if none is sent.
    pub acl: Option<String>,
}

impl Origin {
    /// How a command names the source and the destination, or, where that would hold a secret, how people call them.
    pub(crate) fn places(&self) -> (String, String) {
        let (source, dest) = &self.names;
        (self.source.as_ref().unwrap_or(source).clone(), self.dest.as_ref().unwrap_or(dest).clone())
    }
}

/// The first line of a plan file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The version of this format.
    pub v: u32,
    /// The pair that it belongs to.
    pub pair: String,
    /// Where it came from.
    pub origin: Origin,
    /// Who answered at the source and at the destination when it was made.
    pub identities: (Option<String>, Option<String>),
    /// Why a guard halted on it; `None` if it may be applied without approval.
    pub halt: Option<String>,
    /// How much the run that made it was allowed to delete.
    pub budget: Budget,
    /// How much it was allowed to overwrite.
    #[serde(default)]
    pub overwrites: Budget,
    /// When it was made, ns since the epoch.
    pub time: i64,
    /// Whether the run that made it looked at a part only.
    #[serde(default)]
    pub part: bool,
    /// What is kept of what it deletes or replaces.
    #[serde(default)]
    pub trash: TrashRule,
    /// How the sides related in the run that made it; `None` in files of older builds.
    #[serde(default)]
    pub mode: Option<Mode>,
}

/// Writes the plan of a cycle to `path`, or onto the shelf of the pair. Returns its hash.
///
/// # Errors
/// The file could not be written.
pub(crate) fn save(
    cycle: &Cycle<'_>,
    plan: &PlanStore,
    met: &Met,
    halt: Option<&str>,
    path: Option<&Path>,
) -> Result<String, Error> {
    let header = Header {
        v: 1,
        pair: cycle.shelf.pair.id().to_owned(),
        origin: cycle.shelf.origin.clone(),
        identities: (met.source.clone(), met.dest.clone()),
        halt: halt.map(str::to_owned),
        budget: cycle.budget,
        overwrites: cycle.overwrites,
        time: cycle.now_ns,
        part: !cycle.scope.is_whole(),
        trash: cycle.trash,
        mode: Some(cycle.policy.mode),
    };
    let header = serde_json::to_value(header).expect("a header is plain data");
    Ok(match path {
        Some(path) if path.exists() && PlanFile::read(path).is_err() => {
            let message = format!("{} exists and is not a plan; it is not replaced", path.display());
            return Err(Error::new(Cause::Usage, message).hint("name another file for --save-plan"));
        }
        Some(path) => PlanFile::write(path, &header, plan.iter())?,
        None => PlanFile::store(cycle.shelf.state_dir, cycle.shelf.pair, &header, plan.iter())?,
    })
}

/// Reads the header of a plan file.
///
/// # Errors
/// The file is missing, damaged, or of another version.
pub fn header(path: &Path) -> Result<Header, Error> {
    let (header, _) = PlanFile::read(path)?;
    serde_json::from_value(header).map_err(|error| {
        let message = format!("{}: not a plan of this version ({error})", path.display());
        Error::new(Cause::Usage, message).hint("make the plan again with --save-plan")
    })
}

/// When the plan in `path` was carried out to its end, ns since the epoch; `None` if something of it may be left.
///
/// # Errors
/// As [`header`], and what the manifest says.
pub fn carried_out(path: &Path, manifest: &Manifest) -> Result<Option<i64>, Error> {
    let (_, actions) = PlanFile::read(path)?;
    Ok(manifest.carried_out(actions.hash(), header(path)?.time)?)
}

fn within_budgets(cycle: &Cycle<'_>, header: &Header, plan: &PlanStore) -> Result<GuardVerdict, Error> {
    let (base_keys, base_bytes) = cycle.manifest.base_totals()?;
    let planned = plan.counts();
    Ok(guard::check(&Situation {
        mode: cycle.policy.mode,
        range: Range::Part,
        budget: header.budget,
        overwrites: header.overwrites,
        raise: cycle.raise,
        planned,
        base_keys,
        base_bytes,
        watched: Vec::new(),
        spent: spent(cycle)?,
        strangers: Vec::new(),
        // Whether its extras may go was asked when it was made.
        mirror_approved: true,
        turned: None,
        places: header.origin.places(),
    }))
}

/// Whether a side is the one that the plan was made for. A place without an identity may have got its own since, from
/// the first run that changed it.
fn is_same(cycle: &Cycle<'_>, side: Side, planned: Option<&str>, now: Option<&str>) -> Result<bool, Error> {
    Ok(planned == now || (planned.is_none() && cycle.manifest.identity(side)?.as_deref() == now))
}

/// Whether what the action sends is already recorded, which it was not when the plan was made: an earlier try of the
/// same plan did it.
fn is_done(manifest: &Manifest, action: &Action) -> Result<bool, Error> {
    if let Verb::Restyle { mark: Some(mark), .. } = &action.verb {
        return Ok(manifest.get(&action.key)?.is_some_and(|record| record.marks.of(action.side) == Some(mark)));
    }
    let unrecorded =
        matches!(action.reason, Reason::New | Reason::ContentChanged | Reason::Renamed { .. } | Reason::Copied { .. });
    let sends = matches!(action.verb, Verb::Create | Verb::Overwrite | Verb::Copy { .. });
    let (true, Some(from)) = (unrecorded && sends, &action.from) else { return Ok(false) };
    let record = manifest.get(&action.key)?;
    Ok(record.is_some_and(|record| {
        !record.lapsed && *record.version(action.side.other()) == from.version && record.size == from.size
    }))
}

/// Carries out the plan in `path` with the places, manifest and limits of `cycle`.
///
/// # Errors
/// As [`crate::sync::run_cycle`].
pub async fn apply(
    cycle: Cycle<'_>,
    path: &Path,
    approval: Approval,
    observer: &dyn Observer,
) -> Result<Report, Error> {
    let watcher = Watcher::new(observer);
    let header = header(path)?;
    if header.pair != cycle.shelf.pair.id() {
        let message = format!("{}: the plan belongs to another pair of places", path.display());
        return Err(Error::new(Cause::Usage, message));
    }
    let cycle = Cycle { trash: header.trash, ..cycle };
    let mut report = Report { trash: binned(&cycle)?, ..Report::empty() };
    if let (Some(halt), Approval::Missing) = (&header.halt, approval) {
        report.ending = Ending::Halted(Halt { message: halt.clone(), plan: None });
        return Ok(report);
    }
    let mut met = meet(&cycle, &watcher).await?;
    let (source, dest) = (header.identities.0.as_deref(), header.identities.1.as_deref());
    let same = is_same(&cycle, Side::Source, source, met.source.as_deref())?
        && is_same(&cycle, Side::Dest, dest, met.dest.as_deref())?;
    if !same {
        let message = "One of the places is not the one that the plan was made for. Make the plan again".to_owned();
        report.ending = Ending::Halted(Halt { message, plan: None });
        return Ok(report);
    }
    let mut plan = PlanStore::new(cycle.scratch);
    let (_, actions) = PlanFile::read(path)?;
    let hash = actions.hash().to_owned();
    let mut before = 0;
    for action in actions {
        let action = action?;
        if is_done(cycle.manifest, &action)? {
            before += 1;
        } else {
            plan.add(&action)?;
        }
    }
    if before > 0 {
        watcher.notice(&format!("{before} changes of the plan were made before"));
    }
    crate::pair_up::order(&cycle, &mut plan)?;
    report.planned = plan.counts();
    // Budgets hold across all commands: several plans, each within them, may be too much together.
    if let (GuardVerdict::Halt(message), Approval::Missing) = (within_budgets(&cycle, &header, &plan)?, approval) {
        report.ending = Ending::Halted(Halt { message, plan: None });
        return Ok(report);
    }
    met.unaccounted = recover(&cycle).await?.keys;
    cycle.progress.actions.store(plan.counts().changes(), Relaxed);
    cycle.progress.bytes_to_send.store(plan.counts().bytes_sent, Relaxed);
    if let Some(mode) = header.mode {
        note_direction(&cycle, mode)?;
    }
    carry_out(&cycle, &plan, Looked::AtThePlan, &mut met, &watcher, &mut report.done).await?;
    // Only what was shown and is gone was agreed to: if one of its deletions was refused, the next mirror asks again.
    let gone = report.done.deletes == report.planned.deletes;
    if approval == Approval::Given && report.planned.extra_deletes > 0 && gone {
        cycle.manifest.approve_mirror()?;
    }
    // A person looked at these: the budgets are for what nobody looks at. What ended before this line counts.
    if let (Run::Execute(run), Approval::Given) = (&cycle.run, approval) {
        cycle.manifest.unspend(*run)?;
    }
    watcher.into_report(&mut report);
    report.count(&cycle.progress);
    // What is left of a plan may be tried again.
    if report.done.handled() == report.planned.changes() && report.problem_count == 0 && report.conflict_count == 0 {
        cycle.manifest.set_carried_out(&hash, header.time, cycle.now_ns)?;
    }
    Ok(report)
}
