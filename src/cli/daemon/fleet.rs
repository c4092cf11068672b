//! The jobs of a daemon: started together, stopped together.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_local};

use super::pair::Pairs;
use super::wall;
use crate::cli::failure::Failure;
use crate::cli::resolve;
use crate::cli::setup::Setup;
use crate::cli::wire;
use crate::config;
use crate::daemon::agenda::Rhythm;
use crate::daemon::job::{Begins, Job, Order, Parts, Peers};
use crate::daemon::settle::Clock;
use crate::daemon::state::{Board, JobState, Phase};
use crate::lease::{Claim, Foreign};
use crate::plan::Mode;
use crate::replica::throttle::{Commons, Rates};

/// Orders that wait for a job.
const ORDERS: usize = 16;
/// How old a job may become that says nothing of it.
const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);

/// The jobs that run.
#[derive(Debug)]
pub(super) struct Fleet {
    ships: Vec<Ship>,
    deadline: Duration,
}

/// One job that runs.
#[derive(Debug)]
struct Ship {
    /// `None` once it was told to stop.
    handle: Option<Handle>,
    name: String,
    task: JoinHandle<()>,
}

/// How a job is reached.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    pub(super) name: String,
    /// Its pair, if its places could be told at the start.
    pub(super) pair: Option<String>,
    pub(super) orders: mpsc::Sender<Order>,
    /// What it runs by.
    pub(super) setup: Rc<Setup>,
}

impl Fleet {
    /// Whether these jobs can be started.
    pub(super) fn check(setup: &Setup, names: &[String]) -> Result<(), Failure> {
        jobs(setup, names).map(drop)
    }

    /// Starts the jobs of a configuration, and puts them on the board.
    pub(super) fn start(setup: &Rc<Setup>, names: &[String], board: &Board, clock: Clock) -> Result<Self, Failure> {
        let jobs = jobs(setup, names)?;
        let deadline = setup.config.daemon.shutdown_deadline;
        let commons = Rc::new(commons(&setup.config.daemon));
        // Commands that print DSNs are run here: only then can be told where a job's places are.
        let opened: Vec<_> = jobs
            .into_iter()
            .map(|job| {
                let claim = job.daemon.lease.then(|| Rc::new(Claim::new(Foreign::StandBy)));
                let pairs =
                    Pairs { setup: Rc::clone(setup), job: job.name.clone(), claim, commons: Rc::clone(&commons) };
                let past = pairs.past();
                (job, pairs, past)
            })
            .collect();
        let now = clock.now_ns();
        let states: Vec<JobState> = opened.iter().map(|(job, ..)| state(job, setup, now)).collect();
        board.change(|state| {
            let before = std::mem::take(&mut state.jobs);
            state.jobs = states.into_iter().map(|job| job.following(&before)).collect();
        });
        let ships = opened
            .into_iter()
            .map(|(job, pairs, past)| {
                let pair = resolve::job_ends(job, setup.world(&super::env))
                    .map(|(source, dest)| wire::pair(&source, &dest).id().to_owned());
                let was_paused = board.job(&job.name, |job| job.phase == Phase::Paused) == Some(true);
                let (orders, inbox) = mpsc::channel(ORDERS);
                let parts = Parts {
                    name: job.name.clone(),
                    board: board.clone(),
                    clock,
                    wall: Rc::new(wall),
                    rhythm: rhythm(job),
                    schedule: job.daemon.schedule.clone(),
                    past,
                    peers: if job.daemon.lease { Peers::Hosts } else { Peers::None },
                    begins: if was_paused { Begins::Paused } else { Begins::AtOnce },
                    runner: Box::new(pairs),
                    orders: inbox,
                    deadline,
                };
                let handle = Handle { name: job.name.clone(), pair: pair.ok(), orders, setup: Rc::clone(setup) };
                Ship { handle: Some(handle), name: job.name.clone(), task: spawn_local(Job::new(parts).run()) }
            })
            .collect();
        Ok(Self { ships, deadline })
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
        self.ships.iter().filter_map(|ship| ship.handle.clone())
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

/// The jobs of these names; without names those that have something to do for a daemon.
fn jobs<'a>(setup: &'a Setup, names: &[String]) -> Result<Vec<&'a config::Job>, Failure> {
    let world = setup.world(&super::env);
    let has_work = |job: &config::Job| job.daemon.watch || job.daemon.schedule.is_some();
    let jobs = resolve::jobs(names, world)?;
    if let Some(idle) = jobs.iter().find(|job| !names.is_empty() && !has_work(job)) {
        return Err(Failure::usage(format!("{} has nothing to do for a daemon", idle.name))
            .hint("add watch = true, every = \"15m\" or cron = \"0 3 * * *\" to the job"));
    }
    let with_work: Vec<_> = jobs.into_iter().filter(|job| has_work(job)).collect();
    if with_work.is_empty() {
        return Err(Failure::usage("no job has anything to do for a daemon")
            .hint("add watch = true, every = \"15m\" or cron = \"0 3 * * *\" to a job"));
    }
    resolve::check_jobs(setup.world(&super::env))?;
    Ok(with_work)
}

/// The limits of all jobs together.
fn commons(daemon: &config::Daemon) -> Commons {
    Commons::new(daemon.transfers, Rates::local(daemon.bwlimit.as_ref(), daemon.timezone.as_ref()))
}

fn rhythm(job: &config::Job) -> Rhythm {
    let ns = |duration: Duration| job.daemon.watch.then(|| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX));
    Rhythm { scan_ns: ns(job.daemon.full_scan_interval), list_ns: ns(job.daemon.full_listing_interval) }
}

/// A job before it begins; places that can't be told yet are told as they are written, if that holds no secret.
fn state(job: &config::Job, setup: &Setup, now_ns: i64) -> JobState {
    let (source, dest) = match resolve::job_ends(job, setup.world(&super::env)) {
        Ok((source, dest)) => (source.location.display(), dest.location.display()),
        Err(_) => ("?".to_owned(), "?".to_owned()),
    };
    let mode = match job.mode {
        Mode::Copy => "copy",
        Mode::CopyAndDelete => "copy-and-delete",
        Mode::Mirror => "mirror",
        Mode::TwoWay => "two-way",
    };
    let max_age = job.daemon.max_age.unwrap_or(MAX_AGE).as_secs();
    JobState { since_ns: now_ns, ..JobState::new(&job.name, (&source, &dest), mode, max_age) }
}
