//! push, mirror, sync, approve and apply: one body. From a resolved task to its exit code.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::anew;
use super::client::{self, Reached};
use super::exit::Exit;
use super::failure::Failure;
use super::human::Ways;
use super::interrupt::or_interrupted;
use super::json;
use super::lease;
use super::output::Output;
use super::pairs::{self, Known};
use super::place::End;
use super::progress::Bars;
use super::resolve::{JobTask, Task, Unready, Wish};
use super::setup::Setup;
use super::shell;
use super::teller::{About, Halted, Teller};
use super::totals::{Service, Totals, needed};
use super::wire::{Purpose, Session, pair};
use crate::apply;
use crate::lease::{Claim, Foreign};
use crate::location::Location;
use crate::manifest::{PlanFile, RunId};
use crate::model::{Counts, Key};
use crate::plan::{Mode, Take};
use crate::sync::{Approval, Cycle, Ending, Halt, Observer, Progress, Report, Run, Stage};

mod confirm;
mod deletions;
mod one_file;
mod pending;
mod preview;
mod readers;
mod way_back;

pub(in crate::cli) use preview::preview;
pub(in crate::cli) use readers::everybody_may_read;
pub use readers::public_acl;
use readers::{who_may_not_read, who_may_read};

/// Runs all jobs, goes on past a failed one, and gives the worst of their exits.
pub async fn all(tasks: Vec<JobTask>, setup: &Setup) -> Exit {
    let mut worst = Exit::Done;
    for (name, task) in tasks {
        let exit = match task {
            Ok(task) => one(&task, setup, Work::Cycle).await,
            Err(unready) => instead(&name, unready, setup).await,
        };
        worst = worst.max(exit);
        if exit == Exit::Interrupted {
            break;
        }
    }
    worst
}

/// What becomes of a job that can't run here.
async fn instead(name: &str, unready: Unready, setup: &Setup) -> Exit {
    let done = match unready {
        Unready::Places(failure) => client::by_name((name, None), failure, setup).await,
        Unready::Refused(failure) => Err(failure),
    };
    done.unwrap_or_else(|failure| {
        setup.output.failure(Some(name), &failure);
        failure.exit
    })
}

/// What is done with a task.
#[derive(Debug, Clone, Copy)]
pub enum Work<'a> {
    /// A cycle.
    Cycle,
    /// A stored plan is carried out.
    Apply(&'a Path, Approval),
    /// The conflict of one key is settled.
    Resolve(&'a Key, Take),
}

/// Runs one task and tells how it went.
pub async fn one(task: &Task, setup: &Setup, work: Work<'_>) -> Exit {
    match attempt(task, setup, work).await {
        Ok(exit) => exit,
        // Nobody reads on: there is nobody to tell.
        Err(failure) if failure.exit == Exit::Done => Exit::Done,
        Err(failure) => {
            setup.output.failure(task.job.as_deref(), &failure);
            failure.exit
        }
    }
}

async fn attempt(task: &Task, setup: &Setup, work: Work<'_>) -> Result<Exit, Failure> {
    let output = &*setup.output;
    let _loan = match client::reach(task, setup, work).await? {
        Reached::Ran(exit) => return Ok(exit),
        Reached::Lent(loan) => Some(loan),
        Reached::Nobody => None,
    };
    let teller = Teller { output, job: task.job.as_deref(), about: about(task, setup) };
    output.say(&first_line(task));
    if let Some(line) = who_may_read(task, &setup.state_dir) {
        teller.notice(&line);
    }
    for warning in task.source.warnings.iter().chain(&task.dest.warnings) {
        output.warn(warning);
    }
    let purpose = match task.run {
        Wish::DryRun | Wish::SavePlan(_) => Purpose::Look,
        Wish::Execute => Purpose::Change,
    };
    let session = Session::open(task, &setup.state_dir, purpose)?;
    for notice in session.notices.iter().chain(&who_may_not_read(task, &session.manifest)?) {
        teller.notice(notice);
    }
    if let Work::Apply(path, approval) = work {
        refuse_repetition(path, approval, &session, output)?;
    }
    let first = task.job.is_none() && !pairs::is_known(&setup.state_dir, &session.pair);
    let began = Instant::now();
    let mut answer = Answer::Unasked;
    let (report, stage) = match &task.run {
        Wish::DryRun => (drive(task, &session, (Run::DryRun, None), &teller, work).await?, Stage::Planned),
        Wish::SavePlan(file) => {
            let report = drive(task, &session, (Run::SavePlan(file.clone()), None), &teller, work).await?;
            (report, Stage::Planned)
        }
        Wish::Execute => match journaled(task, setup, &session, &teller, work).await {
            Ok((report, answered)) => {
                answer = answered;
                (report, Stage::Done)
            }
            // A mistyped place is not a pair that anybody wants to hear of again.
            Err(failure) if first && failed(&failure) && session.met_nobody()? => {
                session.forget()?;
                return Err(failure);
            }
            Err(failure) => return Err(failure),
        },
    };
    if let Some(failure) = or_interrupted(one_file::refused(task, &report)).await?? {
        if first {
            session.forget()?;
        }
        return Err(failure);
    }
    if let Ending::Halted(halt) = &report.ending {
        let handle = task.job.as_deref().unwrap_or(session.pair.id());
        let approve =
            Some(handle).filter(|_| task.run == Wish::Execute && halt.plan.is_some() && !report.planned.is_nothing());
        let hint = way_out(task, work, (halt, &report.planned), handle, &setup.repeated);
        let named = (&*setup.state_dir, handle, &*setup.repeated);
        let waits = Some(task).filter(|task| task.run == Wish::DryRun && matches!(work, Work::Cycle));
        let hint = waits.and_then(|_| pending::awaiting(&session, &report.planned, named)).unwrap_or(hint);
        if answer == Answer::No {
            output.declined(&hint);
            return Ok(Exit::of(&report));
        }
        // Whoever only looks has seen every action.
        let deletes = approvable(work, halt, setup, &session)
            .filter(|_| task.run == Wish::Execute)
            .and_then(|plan| deletions::told(&plan, ways(task)));
        output.halt(task.job.as_deref(), &Halted { halt, approve, deletes, hint });
    }
    let took = Some(began.elapsed()).filter(|_| stage == Stage::Done);
    output.summary(task.job.as_deref(), &Totals { took, ..totals(task, &session, &report, stage) });
    say_what_follows(task, &report, setup);
    Ok(Exit::of(&report))
}

/// The commands that put back what a run kept, or carry out what it saved.
fn say_what_follows(task: &Task, report: &Report, setup: &Setup) {
    if let (Some(run), 1..) = (&report.trash.run, report.trash.kept) {
        let (way, note) = way_back::of(task, &report.trash, run, &setup.repeated);
        let note = note.map_or_else(String::new, |note| format!("\nnote: {note}"));
        setup.output.say(&format!("to put it back: {way}{note}"));
    }
    if let Wish::SavePlan(file) = &task.run {
        let file = shell::path(&file.display().to_string());
        setup.output.say(&format!("plan written; mediasync apply {file}{} does it", setup.repeated));
    }
}

/// A plan that was carried out once would find each of its keys changed: by itself.
fn refuse_repetition(path: &Path, approval: Approval, session: &Session, output: &Output) -> Result<(), Failure> {
    let Some(when) = apply::carried_out(path, &session.manifest)? else { return Ok(()) };
    let when = super::human::time(when, output.zone());
    let (what, hint) = match approval {
        Approval::Given => ("nothing awaits approval", "run it again to see whether there is more to do"),
        Approval::Missing => ("nothing of it is left", "make a new plan with --save-plan"),
    };
    Err(Failure::usage(format!("this plan was already carried out on {when}: {what}")).hint(hint))
}

/// What resolves a halt. `handle` is what `approve` calls the pair; `repeated` are the flags that it needs to find it.
fn way_out(task: &Task, work: Work<'_>, halted: (&Halt, &Counts), handle: &str, repeated: &str) -> String {
    let (halt, planned) = halted;
    let handle = shell::word(handle);
    match (&task.run, work, &halt.plan) {
        (_, Work::Cycle, _) if planned.is_nothing() => format!(
            "nothing is planned, so there is nothing to approve; mediasync forget {handle}{repeated} makes a new start"
        ),
        (Wish::DryRun, ..) => "run it without --dry-run to get a plan that can be approved".to_owned(),
        (Wish::SavePlan(file), ..) => {
            let file = shell::path(&file.display().to_string());
            format!(
                "on a terminal mediasync apply {file}{repeated} asks whether to do it; else run it without --save-plan, and approve"
            )
        }
        (Wish::Execute, Work::Cycle, Some(plan)) => {
            format!("to do exactly this: mediasync approve {handle} {plan}{repeated}")
        }
        (Wish::Execute, ..) => "run it on a terminal to be asked; or make the plan again".to_owned(),
    }
}

/// The first line of a run: source, destination and host.
pub fn first_line(task: &Task) -> String {
    let end = |end: &End| match end.host() {
        Some(host) => format!("{} ({host})", end.location.display()),
        None => end.location.display(),
    };
    let what = match (&task.job, &task.run) {
        (Some(job), Wish::Execute) => format!("{} {job}", task.command),
        (Some(job), _) => format!("{} {job}, nothing is changed", task.command),
        (None, Wish::Execute) => task.command.to_owned(),
        (None, _) => format!("{}, nothing is changed", task.command),
    };
    let (source, dest) = (end(&task.source), end(&task.dest));
    match task.mode {
        Mode::TwoWay => format!("{what}: both ways between {source} (source) and {dest} (destination)"),
        Mode::Copy | Mode::CopyAndDelete | Mode::Mirror => format!("{what}: from {source} to {dest}"),
    }
}

fn ways(task: &Task) -> Ways {
    match task.mode {
        Mode::TwoWay => Ways::Both,
        Mode::Copy | Mode::CopyAndDelete | Mode::Mirror => Ways::One,
    }
}

/// What lines of a run say beside the events. A pair that no run wrote down can't be named in a command.
fn about(task: &Task, setup: &Setup) -> About {
    let pair = pair(&task.source, &task.dest);
    let known = task.run == Wish::Execute || pairs::is_known(&setup.state_dir, &pair);
    let spelled = (task.source.spelled.as_deref(), task.dest.spelled.as_deref());
    let settled_as = shell::Settled::of(task.job.as_deref(), &pair, spelled).filter(|_| known || task.job.is_some());
    About { ways: ways(task), settled_as, repeated: setup.repeated.clone() }
}

fn totals<'a>(task: &Task, session: &Session, report: &'a Report, stage: Stage) -> Totals<'a> {
    let needed = match (stage, &task.dest.location) {
        (Stage::Planned, Location::S3(_)) => needed(&report.planned.without(&report.planned_at_source), Service::S3),
        (Stage::Planned, Location::Azure(_)) => {
            needed(&report.planned.without(&report.planned_at_source), Service::Azure)
        }
        _ => Vec::new(),
    };
    Totals { made: session.requests(), needed, ..Totals::of(report, stage) }
}

/// Asks on the terminal; Ctrl-C still works meanwhile.
async fn ask(question: &str, output: &Output) -> Result<bool, Failure> {
    output.prompt(question);
    let answer = or_interrupted(async { tokio::task::spawn_blocking(Output::answer).await.unwrap_or(false) }).await;
    output.answered();
    answer
}

/// A run that is written into the journal of its pair, however it ends.
async fn journaled(
    task: &Task,
    setup: &Setup,
    session: &Session,
    teller: &Teller<'_>,
    work: Work<'_>,
) -> Result<(Report, Answer), Failure> {
    pairs::remember(&setup.state_dir, &Known::of(task))?;
    let (source, dest) = (task.source.location.display(), task.dest.location.display());
    let run = session.manifest.begin_run(task.command, &source, &dest, now_ns())?;
    if is_whole(task, session, work)? {
        session.manifest.set_whole_run(run)?;
    }
    let result = with_approval(task, setup, session, teller, run, work).await;
    let (ending, summary) = match &result {
        Ok((report, _)) => (ending(report), json::record(&totals(task, session, report, Stage::Done))),
        Err(failure) if failure.exit == Exit::Interrupted => ("interrupted", json::failed(failure)),
        Err(failure) => ("failed", json::failed(failure)),
    };
    // What ended the run matters more than that its line could not be written.
    let noted = match &result {
        // A mistyped --only, or key, says nothing about the pair.
        Err(failure) if failure.exit == Exit::Usage && (task.only.is_some() || matches!(work, Work::Resolve(..))) => {
            Ok(session.manifest.strike_run(run)?)
        }
        _ => session.remember().and_then(|()| Ok(session.manifest.finish_run(run, ending, &summary, now_ns())?)),
    };
    let ran = result?;
    noted?;
    Ok(ran)
}

fn failed(failure: &Failure) -> bool {
    matches!(failure.exit, Exit::Failed | Exit::Usage)
}

/// Whether a run says how the whole pair stands. What a plan was made for may be a part, and what was found out since
/// it was made is not done by it.
fn is_whole(task: &Task, session: &Session, work: Work<'_>) -> Result<bool, Failure> {
    let path = match work {
        Work::Cycle => return Ok(task.only.is_none()),
        Work::Resolve(..) => return Ok(false),
        Work::Apply(path, _) => path,
    };
    let header = apply::header(path)?;
    let before = session.manifest.whole_run()?;
    Ok(!header.part && before.is_none_or(|run| run.started_ns <= header.time))
}

/// How a run ended, as the journal has it.
fn ending(report: &Report) -> &'static str {
    match Exit::of(report) {
        Exit::Halted => "halted",
        Exit::Problems => "problems",
        _ => "finished",
    }
}

/// The stored plan of a halt that an approval would carry out.
fn approvable(work: Work<'_>, halt: &Halt, setup: &Setup, session: &Session) -> Option<PathBuf> {
    match (work, &halt.plan) {
        (Work::Cycle, Some(hash)) => Some(PlanFile::path(&setup.state_dir, &session.pair, hash)),
        (Work::Apply(path, Approval::Missing), _) => Some(path.to_owned()),
        (Work::Cycle, None) | (Work::Apply(_, Approval::Given) | Work::Resolve(..), _) => None,
    }
}

/// What a person said to a halt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Unasked,
    /// The halt stays, and whoever was asked has just read all about it.
    No,
    Yes,
}

/// Runs; a halt on a terminal asks, and a yes carries out exactly the plan that was stored.
async fn with_approval(
    task: &Task,
    setup: &Setup,
    session: &Session,
    teller: &Teller<'_>,
    run: RunId,
    work: Work<'_>,
) -> Result<(Report, Answer), Failure> {
    let claim = claim(task, setup);
    let report = drive(task, session, (Run::Execute(run), claim.as_ref()), teller, work).await?;
    let Ending::Halted(halt) = &report.ending else { return Ok((report, Answer::Unasked)) };
    let asks = teller.output.can_ask() && !report.planned.is_nothing();
    let Some(path) = approvable(work, halt, setup, session).filter(|_| asks) else {
        return Ok((report, Answer::Unasked));
    };
    let mut question = vec![format!("halted: {}", halt.message), super::human::planned(&report.planned)];
    question.extend(deletions::told(&path, ways(task)));
    question.push("Do exactly this?".to_owned());
    let question = question.join("\n");
    if !ask(&question, teller.output).await? {
        return Ok((report, Answer::No));
    }
    // Who agrees to exactly this need not be asked whether the place may be changed.
    session.confirm();
    let run = (Run::Execute(run), claim.as_ref());
    let report = drive(task, session, run, teller, Work::Apply(&path, Approval::Given)).await?;
    Ok((report, Answer::Yes))
}

/// What a job with `lease = true` takes the lease by. Whoever else holds it is waited for, as long as that may last.
fn claim(task: &Task, setup: &Setup) -> Option<Claim> {
    lease::claim(setup.config.job(task.job.as_deref()?)?, Foreign::Watch)
}

/// One call of the engine, with progress bars and Ctrl-C.
async fn drive(
    task: &Task,
    session: &Session,
    (run, claim): (Run, Option<&Claim>),
    teller: &Teller<'_>,
    work: Work<'_>,
) -> Result<Report, Failure> {
    let progress = Arc::new(Progress::default());
    let dry = matches!(run, Run::DryRun);
    let cycle = Cycle { lease: claim, ..session.cycle(task, run, Arc::clone(&progress), now_ns()) };
    let bars = teller.output.shows_progress().then(|| Bars::start(teller.output, progress));
    let asking = confirm::Asking { teller, task, session };
    let done = or_interrupted(async {
        let work = async {
            match work {
                // On the heap: the engine's futures are large, and every caller would carry them.
                Work::Cycle => Box::pin(anew::run(&cycle, &asking)).await,
                Work::Apply(path, approval) => Box::pin(apply::apply(cycle, path, approval, &asking)).await,
                Work::Resolve(key, take) => Box::pin(crate::resolve::resolve(cycle, key, take, &asking)).await,
            }
        };
        tokio::select! {
            // Nobody reads on, and nothing is being changed.
            () = teller.output.closed(), if dry => None,
            done = work => Some(done),
        }
    })
    .await;
    drop(bars);
    match done? {
        Some(report) => Ok(report?),
        None => Err(Failure { exit: Exit::Done, ..Failure::error("stdout was closed") }),
    }
}

fn now_ns() -> i64 {
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
