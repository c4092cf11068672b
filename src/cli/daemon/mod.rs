//! `daemon`: the control loop. It starts the jobs, listens to signals and to the service manager, and ends in order.
//!
//! | task | what it owns | ends when |
//! |---|---|---|
//! | control loop | signals, the configuration, the fleet | a signal |
//! | one a job | its pair, its watcher | its orders end, within the deadline |
//! | watchdog | nothing | the control loop ends |

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::RwLock;
use tokio::task::spawn_local;

use super::args::Global;
use super::env;
use super::exit::Exit;
use super::failure::Failure;
use super::logging::{self, LogFormat, Logs, Loudness};
use super::output::Output;
use super::setup::{Setup, shown};
use super::stderr::Stderr;
use crate::config::places::Env;
use crate::daemon::control;
use crate::daemon::manager::{Heart, Manager};
use crate::daemon::pauses::Pauses;
use crate::daemon::samples;
use crate::daemon::settle::Clock;
use crate::daemon::state::{Board, DaemonState, Health};

pub mod args;
mod deck;
mod fleet;
mod journal;
mod launch;
mod lock;
mod outside;
mod pair;
mod standby;
mod tally;
mod thrift;

use deck::Jobs;
use fleet::Fleet;
pub use lock::DaemonLock;
use outside::Outside;

pub use thrift::become_thrifty;

/// The logs of a daemon.
pub fn start_logs(args: &args::Daemon, global: &Global, output: &Arc<Output>, env: Env<'_>) {
    let format = args.log_format.unwrap_or_else(|| LogFormat::fitting(Stderr::own(), env));
    let loudness = Loudness { verbose: global.verbose, quiet: global.quiet };
    let logs = logging::start_service(output, format, loudness);
    LOGS.set(logs).unwrap_or_default();
}

/// The logs outlive every task that writes to them.
static LOGS: std::sync::OnceLock<Arc<Logs>> = std::sync::OnceLock::new();

/// `daemon [JOB...]`.
///
/// # Errors
/// Another daemon works with this state, no job has anything to do for a daemon, or the state can't be used.
pub async fn daemon(args: &args::Daemon, global: &Global, first: &Setup) -> Result<Exit, Failure> {
    // Before the configuration is read: who changes it from now on and says so is heard.
    let mut signals = Signals::new()?;
    let setup = Rc::new(read(global, first)?);
    let _lock = DaemonLock::take(&setup.state_dir)?;
    let manager = Rc::new(Manager::of(&env));
    let clock = Clock::start();
    let board = Board::new(DaemonState {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_ns: clock.now_ns(),
        config: setup.config_file.as_deref().map(shown),
        state_dir: shown(&setup.state_dir),
        reload_error: None,
        jobs: Vec::new(),
    });
    let pauses = pauses(&setup);
    let fleet = Fleet::start(&setup, &args.jobs, (&board, clock), &pauses)?;
    let fleet = Rc::new(RefCell::new(fleet));
    let served = Rc::new(RwLock::new(()));
    match control::listen(&setup.state_dir) {
        Ok(listener) => {
            let (board, fleet, pauses) = (board.clone(), Rc::clone(&fleet), Rc::clone(&pauses));
            let jobs = Jobs { board, clock, fleet, pauses, served: Rc::clone(&served) };
            spawn_local(control::serve(listener, Rc::new(jobs)));
        }
        Err(error) => tracing::error!("nobody can ask this daemon: {}: {error}", shown(&setup.state_dir)),
    }
    if let Some(logs) = LOGS.get() {
        let logs = Arc::clone(logs);
        spawn_local(async move { logs.keep_telling().await });
    }
    let mut outside = Outside::default();
    outside.follow(&setup, &board, clock).await?;
    let (names, shown) = (args.jobs.clone(), board.clone());
    let mut crew = Crew { setup, fleet: Rc::clone(&fleet), outside, board: shown, clock, names, pauses };
    let charted = board.clone();
    spawn_local(async move { samples::keep(&charted, clock).await });
    let (mut heart, pulse) = Heart::new();
    let fed = Rc::clone(&manager);
    spawn_local(async move { fed.keep_alive(pulse).await });
    let telling = spawn_local(keep_telling(Rc::clone(&manager), board.clone(), clock));
    tracing::info!("started with {}", fleet.borrow().names());
    manager.ready(&summary(&board, clock));
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Told::Stop => break,
                Told::Reload => {
                    manager.reloading();
                    let reloaded = reload(global, first, &mut crew);
                    tokio::pin!(reloaded);
                    loop {
                        tokio::select! {
                            () = &mut reloaded => break,
                            // Cycles under way may take their time to end.
                            () = heart.asked() => heart.beat(),
                        }
                    }
                    manager.ready(&summary(&board, clock));
                }
            },
            () = heart.asked() => manager.status(&summary(&board, clock)),
        }
        heart.beat();
    }
    let deadline = fleet.borrow().deadline();
    tracing::info!("stopping; transfers under way may go on for {} s", deadline.as_secs());
    telling.abort();
    manager.stopping("stopping");
    let stopped = fleet.borrow_mut().stop();
    tokio::select! {
        // Whoever had a run here is told how far it came.
        _ = async { tokio::join!(stopped, served.write()) } => {}
        // Whoever asks twice does not want to wait.
        _ = signals.next() => {}
        () = tokio::time::sleep(deadline + Duration::from_secs(5)) => {}
    }
    tracing::info!("stopped; what was done is recorded, the next start does the rest");
    if let Some(logs) = LOGS.get() {
        logs.finish();
    }
    Ok(Exit::Done)
}

/// The configuration as it is now; what people should know of it is logged.
fn read(global: &Global, first: &Setup) -> Result<Setup, Failure> {
    let setup = Setup::new(global, Arc::clone(&first.output), &env)?.told_elsewhere(global, &env);
    setup.warning.iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(setup)
}

/// What people paused before.
fn pauses(setup: &Setup) -> Rc<Pauses> {
    let jobs = setup.config.jobs.iter().map(|job| job.name.clone());
    let pauses = Pauses::load(&setup.state_dir, jobs);
    if let Some(why) = pauses.unread() {
        let file = shown(&pauses.path());
        tracing::error!("which jobs were paused can't be read in {file}: {why}; all are, until mediasync resume");
    }
    Rc::new(pauses)
}

/// What runs by one configuration.
struct Crew {
    setup: Rc<Setup>,
    fleet: Rc<RefCell<Fleet>>,
    outside: Outside,
    board: Board,
    clock: Clock,
    names: Vec<String>,
    pauses: Rc<Pauses>,
}

impl Crew {
    /// Goes on by another configuration; by this one if that can't be.
    async fn change(&mut self, setup: Rc<Setup>) -> Result<(), Failure> {
        if setup.state_dir != self.setup.state_dir {
            let dir = shown(&setup.state_dir);
            return Err(Failure::usage(format!("the state directory {dir} is another one: that takes a restart")));
        }
        Fleet::check(&setup, &self.names)?;
        if let Err(failure) = self.outside.follow(&setup, &self.board, self.clock).await {
            self.outside.follow(&self.setup, &self.board, self.clock).await?;
            return Err(failure);
        }
        let stopped = self.fleet.borrow_mut().stop();
        stopped.await;
        let start = |setup| Fleet::start(setup, &self.names, (&self.board, self.clock), &self.pauses);
        let fleet = match start(&setup) {
            Ok(fleet) => fleet,
            Err(failure) => {
                *self.fleet.borrow_mut() = start(&self.setup)?;
                return Err(failure);
            }
        };
        tracing::info!("configuration read again: {}", fleet.names());
        *self.fleet.borrow_mut() = fleet;
        self.setup = setup;
        Ok(())
    }
}

/// Reads the configuration anew. With mistakes in it the jobs go on as they are.
async fn reload(global: &Global, first: &Setup, crew: &mut Crew) {
    let changed = match read(global, first) {
        Ok(setup) => crew.change(Rc::new(setup)).await,
        Err(failure) => Err(failure),
    };
    let error = changed.err().map(|failure| failure.in_a_line());
    if let Some(error) = &error {
        tracing::error!("the configuration was read and is not used, the one before stays in force: {error}");
    }
    crew.board.change(|state| state.reload_error = error);
}

/// Tells the manager how the jobs stand whenever that changes; the control loop does it as time passes.
async fn keep_telling(manager: Rc<Manager>, board: Board, clock: Clock) {
    loop {
        board.changed().await;
        // What happens together is told once.
        tokio::time::sleep(Duration::from_millis(500)).await;
        manager.status(&summary(&board, clock));
    }
}

/// One line for `systemctl status`.
fn summary(board: &Board, clock: Clock) -> String {
    let (state, now) = (board.look(), clock.now_ns());
    let mut words: Vec<String> = Vec::new();
    for (health, word) in [
        (Health::InSync, "in sync"),
        (Health::Syncing, "syncing"),
        (Health::Paused, "paused"),
        (Health::Standby, "standing by"),
        (Health::Problems, "with problems"),
        (Health::Stale, "STALE"),
        (Health::Halted, "HALTED"),
    ] {
        let names: Vec<&str> = state
            .jobs
            .iter()
            .filter(|job| job.health(now, state.started_ns) == health)
            .map(|job| job.name.as_str())
            .collect();
        if !names.is_empty() {
            words.push(format!("{word}: {}", names.join(", ")));
        }
    }
    if state.reload_error.is_some() {
        words.push("the configuration has mistakes, the one before is in force".to_owned());
    }
    words.join("; ")
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Stop,
    Reload,
}

/// The signals of a service.
struct Signals {
    int: Signal,
    term: Signal,
    hup: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let watch = |kind| signal(kind).map_err(|error| Failure::error(format!("can't watch for signals: {error}")));
        Ok(Self {
            int: watch(SignalKind::interrupt())?,
            term: watch(SignalKind::terminate())?,
            hup: watch(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            biased;
            _ = self.int.recv() => Told::Stop,
            _ = self.term.recv() => Told::Stop,
            _ = self.hup.recv() => Told::Reload,
        }
    }
}

/// From now on SIGHUP does not end the process, which is what it does to one that says nothing of it: who manages services
/// may send it at any time, also while the configuration is read for the first time, from a disk that takes its time. The
/// other signals go on to end it until the control loop hears them.
pub fn outlive_hangups(runtime: &Runtime) {
    let _within = runtime.enter();
    // It stays so when this one is dropped. Where it can't be, starting fails right after, and says why.
    drop(signal(SignalKind::hangup()));
}

/// The time of day.
fn wall() -> Timestamp {
    Timestamp::now()
}
