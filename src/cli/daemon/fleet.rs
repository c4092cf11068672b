//! The jobs of a daemon: started together, stopped together.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_local};

use super::launch::{Alive, Handle, Slip};
use crate::cli::failure::Failure;
use crate::cli::setup::Setup;
use crate::cli::{env, place, resolve};
use crate::config;
use crate::daemon::job::Begins;
use crate::daemon::pauses::Pauses;
use crate::daemon::settle::Clock;
use crate::daemon::state::{Board, JobState, Phase};
use crate::plan::Mode;
use crate::replica::throttle::{Commons, Rates};
use crate::secret::Secret;

/// Orders that wait for a job.
const ORDERS: usize = 16;
/// How old a job may become that says nothing of it.
const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);

/// A place that can't be told now.
const UNKNOWN: &str = "?";

/// The jobs that run.
#[derive(Debug)]
pub(super) struct Fleet {
    ships: Vec<Ship>,
    deadline: Duration,
}

/// One job that runs.
#[derive(Debug)]
struct Ship {
    /// `None` once it was told to stop: it ends by the end of both.
    handle: Option<(Handle, Alive)>,
    name: String,
    task: JoinHandle<()>,
}

impl Fleet {
    /// Whether these jobs can be started.
    pub(super) fn check(setup: &Setup, names: &[String]) -> Result<(), Failure> {
        resolve::daemon_jobs(names, setup.world(&env)).map(drop)
    }

    /// Starts the jobs of a configuration, and puts them on the board. What a command has to tell first is told later.
    pub(super) fn start(
        setup: &Rc<Setup>,
        names: &[String],
        (board, clock): (&Board, Clock),
        pauses: &Pauses,
    ) -> Result<Self, Failure> {
        let jobs = resolve::daemon_jobs(names, setup.world(&env))?;
        let deadline = setup.config.daemon.shutdown_deadline;
        let commons = Rc::new(commons(&setup.config.daemon));
        let (now, unsure) = (clock.now_ns(), pauses.unread());
        let begins = |job: &config::Job| if pauses.holds(&job.name) { Begins::Paused } else { Begins::AtOnce };
        let before: Rc<[JobState]> = board.look().jobs.into();
        let states = jobs.iter().map(|job| {
            let phase = if begins(job) == Begins::Paused { Phase::Paused } else { Phase::Starting };
            let unsure = unsure.clone().filter(|_| phase == Phase::Paused);
            let paused_since_ns = pauses.since(&job.name).filter(|_| phase == Phase::Paused);
            let known = JobState { since_ns: now, unsure, paused_since_ns, ..state(job, setup) };
            JobState { phase, ..at_known_places(known, &before).following(&before) }
        });
        let states = states.collect();
        board.change(|state| state.jobs = states);
        // The others say it themselves, at once.
        let waits = |job: &&&config::Job| !job.daemon.watch || begins(job) == Begins::Paused;
        jobs.iter().filter(waits).for_each(|job| warn_of(job, setup));
        let ships = jobs.into_iter().map(|job| {
            let (orders, inbox) = mpsc::channel(ORDERS);
            let handle = Handle { name: job.name.clone(), pair: Rc::default(), orders, setup: Rc::clone(setup) };
            let (alive, ended) = oneshot::channel();
            let slip = Slip {
                job: job.clone(),
                setup: Rc::clone(setup),
                board: board.clone(),
                clock,
                commons: Rc::clone(&commons),
                before: Rc::clone(&before),
                begins: begins(job),
                deadline,
                pair: Rc::clone(&handle.pair),
            };
            let task = spawn_local(slip.run(inbox, ended));
            Ship { handle: Some((handle, alive)), name: job.name.clone(), task }
        });
        Ok(Self { ships: ships.collect(), deadline })
    }

    /// How long a cycle under way may go on.
    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// What runs, for people.
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.ships.iter().map(|ship| ship.name.as_str()).collect();
        names.join(", ")
    }

    /// How the jobs that run are reached.
    pub(super) fn handles(&self) -> impl Iterator<Item = Handle> {
        self.ships.iter().filter_map(|ship| Some(ship.handle.as_ref()?.0.clone()))
    }

    /// Tells all jobs to stop. What comes ends when the last one has.
    pub(super) fn stop(&mut self) -> impl Future<Output = ()> + use<> {
        let ships: Vec<Ship> = self.ships.drain(..).map(|ship| Ship { handle: None, ..ship }).collect();
        async move {
            for ship in ships {
                if let Err(died) = ship.task.await {
                    tracing::error!(job = %ship.name, "died: {died}");
                }
            }
        }
    }
}

/// Says that a job which waits for its time could not run now: at that time nobody may be there to read it.
fn warn_of(job: &config::Job, setup: &Setup) {
    let Some(failure) = resolve::unfound(job, setup.world(&env)) else { return };
    let (message, hints) = (failure.in_a_line(), failure.hints.join("; "));
    let hint = if hints.is_empty() { String::new() } else { format!("; hint: {hints}") };
    tracing::warn!(job = %job.name, "could not run now: {message}{hint}");
}

/// The limits of all jobs together.
fn commons(daemon: &config::Daemon) -> Commons {
    Commons::new(daemon.transfers, Rates::local(daemon.bwlimit.as_ref(), daemon.timezone.as_ref()))
}

/// A job before it begins, as its configuration has it.
pub(super) fn state(job: &config::Job, setup: &Setup) -> JobState {
    let world = setup.world(&env);
    let shown =
        |place: &Secret| place::known(place, world).map_or_else(|_| UNKNOWN.to_owned(), |end| end.location.display());
    let mode = match job.mode {
        Mode::Copy => "copy",
        Mode::CopyAndDelete => "copy-and-delete",
        Mode::Mirror => "mirror",
        Mode::TwoWay => "two-way",
    };
    let max_age = job.daemon.max_age.unwrap_or(MAX_AGE).as_secs();
    JobState::new(&job.name, (&shown(&job.source), &shown(&job.destination)), mode, max_age)
}

/// A place that nobody knows yet is taken for the one of the configuration before.
fn at_known_places(job: JobState, before: &[JobState]) -> JobState {
    let Some(old) = before.iter().find(|old| (&old.name, &old.mode) == (&job.name, &job.mode)) else { return job };
    let place = |place: String, old: &String| if place == UNKNOWN { old.clone() } else { place };
    JobState { source: place(job.source.clone(), &old.source), dest: place(job.dest.clone(), &old.dest), ..job }
}
