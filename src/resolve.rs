//! One conflict, settled as a person says: looked at now, and carried out with the preconditions of every change.
//!
//! Lists nothing and decides nothing else: a plan of one key, through the same execution as every other plan.

use crate::examine::Examiner;
use crate::meet::meet;
use crate::model::{Entry, Key, Presence, Side, Verdict, conflict_name};
use crate::plan::{Context, Decision, Evidence, Known, Mode, OnConflict, Policy, Take, Triple, decide, settle};
use crate::plan_store::PlanStore;
use crate::recover::{copy_to_recover_in, recover};
use crate::replica::{Cause, Error};
use crate::report::Watcher;
use crate::sync::{Cycle, Looked, Observer, Report, Run, Stage, binned, carry_out};

/// Settles the conflict of `key`.
///
/// # Errors
/// [`Cause::Usage`] if nothing is called that, or if it is not in conflict; what ends a cycle.
pub async fn resolve(cycle: Cycle<'_>, key: &Key, take: Take, observer: &dyn Observer) -> Result<Report, Error> {
    let watcher = Watcher::new(observer);
    let mut met = meet(&cycle, &watcher).await?;
    if let Some(name) = met.stranger() {
        let message = format!("{name} is not the place of the last run; nothing was changed");
        return Err(Error::new(Cause::Stop, message).hint("run the whole pair first: it says what is known"));
    }
    let copy = copy_to_recover_in(&cycle)?;
    let cycle = Cycle { manifest: copy.as_ref().unwrap_or(cycle.manifest), ..cycle };
    met.unaccounted = recover(&cycle).await?.keys;
    let triple = Triple {
        key: key.clone(),
        base: cycle.manifest.get(key)?,
        source: seen(&cycle, Side::Source, key, met.is_new(Side::Source)).await?,
        dest: seen(&cycle, Side::Dest, key, met.is_new(Side::Dest)).await?,
    };
    let mut plan = PlanStore::new(cycle.scratch);
    match settled(&cycle, &triple, take).await? {
        Decision::Do(action) => plan.add(&action).map_err(Error::from)?,
        Decision::Problem(problem) => {
            return Err(Error { hint: problem.hint, ..Error::new(Cause::Usage, problem.message) });
        }
        // Nothing else comes of two contents, one of which is taken.
        _ => return Err(not_in_conflict(key)),
    }
    let mut report = Report { planned: plan.counts(), trash: binned(&cycle)?, ..Report::empty() };
    if let Run::Execute(_) = cycle.run {
        carry_out(&cycle, &plan, Looked::AtThePlan, &mut met, &watcher, &mut report.done).await?;
    } else {
        for action in plan.iter() {
            watcher.action(&action?, Stage::Planned);
        }
    }
    watcher.into_report(&mut report);
    report.count(&cycle.progress);
    Ok(report)
}

async fn seen(cycle: &Cycle<'_>, side: Side, key: &Key, place_is_new: bool) -> Result<Presence, Error> {
    if place_is_new {
        return Ok(Presence::Absent);
    }
    Ok(cycle.of(side).look_up(key).await?.map_or(Presence::Absent, Presence::Present))
}

fn not_in_conflict(key: &Key) -> Error {
    Error::new(Cause::Usage, format!("{key} is not in conflict; nothing was changed"))
        .hint("run the job: it does what there is to do about it")
}

/// What is to be done, if the key is in conflict whatever the policy says about conflicts.
async fn settled(cycle: &Cycle<'_>, triple: &Triple, take: Take) -> Result<Decision, Error> {
    let key = &triple.key;
    if triple.base.is_none() && triple.source.entry().is_none() && triple.dest.entry().is_none() {
        let message = format!("there is nothing called {key} at either side; nothing was changed");
        return Err(Error::new(Cause::Usage, message).hint("write it as the run that told the conflict did"));
    }
    if cycle.policy.mode == Mode::Mirror {
        return Err(not_in_conflict(key));
    }
    let sides = cycle.sides();
    let refuses = |side: Side| sides.of(side).accepts(key).err();
    let fits = |key: &Key| Side::BOTH.into_iter().all(|side| sides.of(side).accepts(key).is_ok());
    let name = |loser: &Entry| conflict_name(key, cycle.dest_label, loser.modified_ns, fits);
    let examiner = Examiner {
        sides: &sides,
        manifest: cycle.manifest,
        buffers: &cycle.buffers,
        progress: &cycle.progress,
        now_ns: cycle.now_ns,
    };
    let known = |side: Side| Known {
        looked_up: true,
        modified_ns: triple.entry(side).and_then(|entry| entry.modified_ns),
        ..Known::nothing(sides.of(side).capabilities().read_cost)
    };
    let mut evidence = Evidence { source: known(Side::Source), dest: known(Side::Dest) };
    let policy = Policy { on_conflict: OnConflict::Report, ..cycle.policy };
    loop {
        let context =
            Context { policy, scope: Verdict::In, evidence: &evidence, refuses: &refuses, conflict_name: &name };
        match decide(triple, &context) {
            Decision::Need(need) => examiner.examine(&need, triple, &mut evidence).await?,
            Decision::Conflict(_) => return Ok(settle(triple, &context, take)),
            Decision::Problem(problem) => return Ok(Decision::Problem(problem)),
            _ => return Err(not_in_conflict(key)),
        }
    }
}
