//! The pair of a job, for the daemon: opened as a run opens it, its cycles written into the journal of runs.
//!
//! Cycles over what changed come many times an hour. They share one line of the journal until something is kept in the
//! trash: what one line kept can be put back by its name, and no second cycle may mix with that.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::journal::{self, Remembered};
use super::standby;
use super::tally::{Made, Tally};
use crate::cli::anew;
use crate::cli::args::Cmd;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::resolve::{self, Task};
use crate::cli::run;
use crate::cli::setup::Setup;
use crate::cli::totals::Totals;
use crate::cli::wire::{Purpose, Session};
use crate::cli::{json, pairs, parse};
use crate::config::BUFFER_BYTES;
use crate::daemon::runner::{Failed, Held, NAMED, Other, Outcome, Runner, Sight, Then};
use crate::daemon::state::{Done, Look};
use crate::lanes::Lane;
use crate::lease::Claim;
use crate::location::Location;
use crate::manifest::{Manifest, ManifestError, RunId};
use crate::model::{Action, Conflict, Counts, Key, Problem, Side};
use crate::plan::Raise;
use crate::replica::access::Access;
use crate::replica::local::watch::Watcher;
use crate::replica::throttle::Commons;
use crate::replica::{Buffers, Cause};
use crate::sync::{Ending, Observer, Progress, Report, Run, Stage};

/// A line of the journal that further cycles may share is closed after this time, ns.
const LONGEST_LINE: i64 = 3_600_000_000_000;
/// So long a disk may take to end what was begun there.
const AT_MOST: Duration = Duration::from_secs(10);

/// Opens the pair of a job.
#[derive(Debug)]
pub(super) struct Pairs {
    /// The configuration, the state, the printer.
    pub(super) setup: Rc<Setup>,
    /// The job's name.
    pub(super) job: String,
    /// Of several hosts with this job, one at a time changes something; it remembers what it saw of the others.
    pub(super) claim: Option<Rc<Claim>>,
    /// The limits of all jobs.
    pub(super) commons: Rc<Commons>,
    /// The ACL for everybody that the log told of.
    pub(super) told_acl: RefCell<Option<String>>,
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        let then = if failure.exit == Exit::Held { Then::StandBy } else { Then::Retry };
        let hint = (!failure.hints.is_empty()).then(|| failure.hints.join("; "));
        Self { message: failure.message, hint, then }
    }
}

impl Pairs {
    /// What the job is now: variables, files and commands that hold DSNs are read anew.
    ///
    /// # Errors
    /// It can't run.
    pub(super) fn task(&self) -> Result<Task, Failure> {
        let typed = parse::parse(["mediasync", "sync", "--", &self.job].map(Into::into))
            .map_err(|error| Failure::error(error.to_string()))?;
        let Cmd::Sync(args) = typed.command else { return Err(Failure::error("sync is no command any more")) };
        let (_, task) = resolve::sync(&args, self.setup.world(&env))?.remove(0);
        let task = Task { command: "daemon", ..task? };
        if let Some((_, end)) =
            task.ends().into_iter().find(|(side, end)| task.writes.contains(side) && end.access == Access::Confirm)
        {
            let remote = end.name.as_deref().unwrap_or("the remote");
            let message = format!("{remote} has access = \"confirm\", and nobody can be asked by a service");
            return Err(Failure::usage(message)
                .hint(format!("set access = \"write\" for {remote}, or run it by hand: mediasync sync {}", self.job)));
        }
        Ok(task)
    }

    /// Says once that new objects are for everybody; the pair is opened anew after each failure.
    fn tell_who_may_read(&self, task: &Task) {
        let acl = run::public_acl(task, &self.setup.state_dir).map(str::to_owned);
        let told = self.told_acl.replace(acl.clone());
        if let Some(acl) = acl.filter(|acl| told.as_ref() != Some(acl)) {
            let way = "acl = of a remote, or acl= in the DSN, says otherwise";
            tracing::info!(job = %self.job, "new objects get the ACL {acl}: everybody may read them ({way})");
        }
    }

    /// What the journal says of the runs before.
    pub(super) fn remembered(&self) -> Remembered {
        let manifest = self.task().ok().and_then(|task| journal::open(&task, &self.setup.state_dir));
        manifest.map_or_else(Remembered::default, |manifest| Remembered::of(&manifest))
    }
}

#[async_trait(?Send)]
impl Runner for Pairs {
    async fn open(&self) -> Result<Rc<dyn Held>, Failed> {
        let task = self.task()?;
        let session = Session::open_within(&task, &self.setup.state_dir, Purpose::Change, Some(&self.commons))?;
        for text in task.source.warnings.iter().chain(&task.dest.warnings).chain(&session.notices) {
            tracing::warn!(job = %self.job, "{text}");
        }
        self.tell_who_may_read(&task);
        pairs::remember(&self.setup.state_dir, &pairs::Known::of(&task))?;
        let requests = Cell::new(0);
        let repeated = self.setup.repeated.clone();
        let claim = self.claim.clone();
        let watch = self.setup.config.job(&self.job).is_some_and(|job| job.daemon.watch);
        let buffers = Buffers::new(BUFFER_BYTES);
        let cycles = if watch { Cycles::AllDay } else { Cycles::AtTimes };
        let (lines, tally) = Default::default();
        Ok(Rc::new(Open { task, session, claim, cycles, repeated, requests, tally, lines, buffers }))
    }
}

/// An open pair.
#[derive(Debug)]
struct Open {
    task: Task,
    session: Session,
    claim: Option<Rc<Claim>>,
    cycles: Cycles,
    /// What a command has to repeat to find the same configuration.
    repeated: String,
    /// Requests made before the cycle.
    requests: Cell<u64>,
    tally: Tally,
    lines: RefCell<Vec<Line>>,
    /// Of all cycles that run at the same time.
    buffers: Buffers,
}

/// When cycles come: what a job says of one run holds for a day of a job that has them all day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cycles {
    AllDay,
    AtTimes,
}

/// A line of the journal.
#[derive(Debug)]
struct Line {
    run: RunId,
    began_ns: i64,
    /// What its cycles did so far.
    report: Report,
    /// The requests that they made.
    made: Made,
    state: LineState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineState {
    /// A cycle is under way.
    Open,
    /// The next one may go on with it.
    Shared,
}

impl Open {
    fn job(&self) -> &str {
        self.task.job.as_deref().unwrap_or_default()
    }

    /// The line of the journal for a cycle.
    fn begin(&self, look: Look, now_ns: i64) -> Result<RunId, Failure> {
        let manifest = &self.session.manifest;
        let mut lines = self.lines.borrow_mut();
        let goes_on = |line: &&mut Line| line.state == LineState::Shared && now_ns - line.began_ns < LONGEST_LINE;
        if look == Look::Changes
            && let Some(line) = lines.iter_mut().find(goes_on)
        {
            manifest.reopen_run(line.run)?;
            line.state = LineState::Open;
            return Ok(line.run);
        }
        let (source, dest) = (self.task.source.location.display(), self.task.dest.location.display());
        let run = manifest.begin_run(self.task.command, &source, &dest, now_ns)?;
        if look == Look::Both {
            manifest.set_whole_run(run)?;
        }
        // What comes later stands after it.
        lines.retain(|line| line.state == LineState::Open);
        let (report, made) = (Report::empty(), Made::new());
        lines.push(Line { run, began_ns: now_ns, report, made, state: LineState::Open });
        Ok(run)
    }

    /// The line of a run with its requests, taken out: it is put back if others may go on with it.
    fn take(&self, run: RunId) -> Option<Line> {
        let mut lines = self.lines.borrow_mut();
        let at = lines.iter().position(|line| line.run == run)?;
        let mut line = lines.swap_remove(at);
        self.tally.add_to(&mut line.made, self.session.requests());
        Some(line)
    }

    /// Writes down how a cycle ended.
    fn end(&self, run: RunId, look: Look, report: &Report) -> Result<(), Failure> {
        let manifest = &self.session.manifest;
        let Some(mut line) = self.take(run) else { return Ok(()) };
        line.report.follow(report);
        let halted = report.ending != Ending::Finished;
        // A look that found nothing is no news.
        if look != Look::Both && line.report.done == Counts::default() && line.report.is_clean() {
            return Ok(manifest.strike_run(line.run)?);
        }
        self.finish(&line)?;
        if look == Look::Changes && !halted && report.trash.kept == 0 {
            self.lines.borrow_mut().push(Line { state: LineState::Shared, ..line });
        }
        Ok(())
    }

    /// Writes down that a cycle failed, or was dropped.
    fn broke(&self, run: RunId, ending: &str, failure: &Failure) {
        if let Some(line) = self.take(run) {
            let noted = self.session.manifest.finish_run(line.run, ending, &json::failed(failure), now_ns());
            // What ended the cycle matters more than that its line could not be written.
            if let Err(error) = noted {
                tracing::warn!(job = %self.job(), "{}", error.message);
            }
        }
    }

    /// Another host does the work: that is no failure, and hosts leave it to each other all day. Only of a look at both
    /// sides it stays on record that it is still to be made.
    fn leave(&self, run: RunId, look: Look, failure: &Failure) {
        if look == Look::Both {
            return self.broke(run, "failed", failure);
        }
        let Some(line) = self.take(run) else { return };
        let is_news = line.report.done != Counts::default() || !line.report.is_clean();
        let noted = if is_news { self.finish(&line) } else { self.session.manifest.strike_run(line.run) };
        if let Err(error) = noted {
            tracing::warn!(job = %self.job(), "{}", error.message);
        }
    }

    /// Closes a line with what its cycles did.
    fn finish(&self, line: &Line) -> Result<(), ManifestError> {
        let ending = match Exit::of(&line.report) {
            Exit::Halted => "halted",
            Exit::Problems => "problems",
            _ => "finished",
        };
        let made = line.made.clone().into_iter().collect();
        let totals = Totals { made, ..Totals::of(&line.report, Stage::Done) };
        self.session.manifest.finish_run(line.run, ending, &json::record(&totals), now_ns())
    }

    fn outcome(&self, report: Report, named: Box<[String]>) -> Result<Outcome, Failure> {
        let before = self.requests.get();
        let requests = self.session.requests().into_iter().map(|(_, count)| count).sum();
        self.requests.set(requests);
        let halt = match &report.ending {
            Ending::Finished => None,
            Ending::Halted(halt) => {
                let approve = halt.plan.as_ref().map(|plan| journal::approve(self.job(), plan, &self.repeated));
                Some((halt.message.clone(), halt.plan.clone(), approve))
            }
        };
        let Counts { creates, overwrites, copies, deletes, restyles, bytes_sent: bytes, .. } = report.done;
        let done = Done { creates, overwrites, copies, deletes, restyles, bytes };
        Ok(Outcome {
            done,
            named,
            problem_count: report.problem_count,
            problems: report.problems,
            stuck: report.stuck,
            conflict_count: report.conflict_count,
            conflicts: report.conflicts,
            halt,
            synced: self.session.manifest.base_totals()?,
            requests: requests - before,
            left: report.left,
        })
    }
}

#[async_trait(?Send)]
impl Held for Open {
    fn manifest(&self) -> &Manifest {
        &self.session.manifest
    }

    async fn watch(&self) -> Result<Box<dyn Watcher>, Failed> {
        let (side, _) = self.watched()?;
        Ok(self.session.watch(&self.task, side).await?)
    }

    async fn cycle(&self, sight: &Sight, lane: &Lane, progress: &Arc<Progress>) -> Result<Outcome, Failed> {
        progress.mind(self.session.troubles());
        if lane.is_only() {
            self.tally.begin(self.session.requests());
        }
        if let Some(claim) = self.claim.as_deref() {
            let cycle = self.session.cycle(&self.task, Run::DryRun, Arc::clone(progress), now_ns());
            standby::look(&cycle, claim).await?;
        }
        let run = self.begin(sight.look, now_ns())?;
        let mut cycle = self.session.cycle(&self.task, Run::Execute(run), Arc::clone(progress), now_ns());
        cycle.scope = sight.scope.clone();
        cycle.raise = Raise::InConfig;
        if sight.other == Other::Assumed {
            cycle.assumed = Some(self.watched()?.0.other());
        }
        if self.cycles == Cycles::AllDay {
            (cycle.budget, cycle.overwrites) = (cycle.budget.of_a_day(), cycle.overwrites.of_a_day());
        }
        cycle.waits = Some(sight.mark);
        cycle.lease = self.claim.as_deref();
        cycle.lane = Some(lane);
        cycle.buffers = self.buffers.clone();
        let ears = Ears { job: self.job().to_owned(), named: Mutex::default() };
        // On the heap: the engine's futures are large, and every caller would carry them.
        let result = Box::pin(anew::run(&cycle, &ears)).await;
        if lane.is_only() {
            self.session.rest();
        }
        match result {
            Ok(report) => {
                if sight.look == Look::Both {
                    self.session.remember()?;
                }
                self.end(run, sight.look, &report)?;
                Ok(self.outcome(report, ears.named())?)
            }
            Err(error) => {
                let seen = self.claim.as_deref().filter(|_| error.cause == Cause::Leased).and_then(standby::seen);
                let failure = Failure::from(error);
                match seen {
                    Some(_) => self.leave(run, sight.look, &failure),
                    None => self.broke(run, "failed", &failure),
                }
                Err(standby::left(failure.into(), seen))
            }
        }
    }

    async fn interrupted(&self) {
        // A disk that does not answer keeps nobody from anything else.
        if tokio::time::timeout(AT_MOST, self.session.interrupted()).await.is_err() {
            tracing::warn!(job = self.job(), "what was begun at a directory goes on; its disk does not answer");
        }
        let open = |line: &Line| (line.state == LineState::Open).then_some(line.run);
        let runs: Vec<RunId> = self.lines.borrow().iter().filter_map(open).collect();
        for run in runs {
            self.broke(run, "interrupted", &Failure::error("interrupted"));
        }
    }
}

impl Open {
    /// The side that is watched: the source, or of a two-way job the one that is a directory.
    fn watched(&self) -> Result<(Side, &Location), Failure> {
        let follows = self.task.mode.follows();
        let local = |side: &&Side| {
            let end = match side {
                Side::Source => &self.task.source,
                Side::Dest => &self.task.dest,
            };
            matches!(end.location, Location::Local(_))
        };
        let side = follows.iter().find(local).copied();
        let side = side.ok_or_else(|| Failure::usage(format!("{}: no side is a directory to watch", self.job())))?;
        let end = if side == Side::Source { &self.task.source } else { &self.task.dest };
        Ok((side, &end.location))
    }
}

fn now_ns() -> i64 {
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// What a cycle tells, as events of the log.
struct Ears {
    job: String,
    /// The first keys that were changed.
    named: Mutex<Vec<String>>,
}

impl Ears {
    fn named(self) -> Box<[String]> {
        self.named.into_inner().unwrap_or_else(PoisonError::into_inner).into()
    }
}

impl Observer for Ears {
    fn action(&self, action: &Action, stage: Stage) {
        if stage == Stage::Done && action.verb.changes_a_replica() {
            let (what, key) = (verb(action), escaped(&action.key));
            tracing::debug!(job = %self.job, "{what} {key}");
            let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
            if named.len() < NAMED {
                named.push(key);
            }
        }
    }

    fn problem(&self, problem: &Problem) {
        tracing::warn!(job = %self.job, "{}", problem.message);
    }

    fn conflict(&self, conflict: &Conflict) {
        tracing::warn!(job = %self.job, "conflict: {}", escaped(&conflict.key));
    }

    fn notice(&self, text: &str) {
        tracing::info!(job = %self.job, "{text}");
    }
}

fn escaped(key: &Key) -> String {
    key.to_string()
}

fn verb(action: &Action) -> &'static str {
    use crate::model::Verb;
    match action.verb {
        Verb::Create => "created",
        Verb::Overwrite => "overwrote",
        Verb::Copy { .. } => "copied",
        Verb::Delete => "deleted",
        Verb::Restyle { .. } => "restyled",
        _ => "kept both of",
    }
}
