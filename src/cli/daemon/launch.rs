//! One job on its way from the configuration to its loop: commands that print DSNs are run first, on a thread of their
//! own, so that the control loop goes on. They may take a minute, or for ever.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::fleet;
use super::journal::First;
use super::pair::Pairs;
use super::wall;
use crate::cli::commands::Leash;
use crate::cli::failure::Failure;
use crate::cli::setup::Setup;
use crate::cli::{env, lease, place, resolve, wire};
use crate::config;
use crate::daemon::agenda::Rhythm;
use crate::daemon::job::{Begins, Job, Order, Parts, Past, Peers};
use crate::daemon::runner::{Failed, Held, Runner};
use crate::daemon::settle::Clock;
use crate::daemon::state::{Board, JobState, Phase};
use crate::lease::Foreign;
use crate::replica::throttle::Commons;

/// Dropping it ends a job that has not begun; one that has ends when nobody can give it orders any more.
pub(super) type Alive = oneshot::Sender<()>;

/// The id of a job's pair, once its places could be told.
type PairId = Rc<RefCell<Option<String>>>;

/// How a job is reached.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    pub(super) name: String,
    pub(super) pair: PairId,
    pub(super) orders: mpsc::Sender<Order>,
    /// What it runs by.
    pub(super) setup: Rc<Setup>,
}

/// Runs the commands that tell where the places of a job are, unless they were run before.
///
/// # Errors
/// What is wrong with one of them.
pub(super) async fn ask_commands(job: &config::Job, setup: &Setup) -> Result<(), Failure> {
    let world = setup.world(&env);
    for (remote, command) in
        [&job.source, &job.destination].into_iter().filter_map(|at| place::told_by_command(at, world))
    {
        if setup.commands.known(command).is_ok() {
            continue;
        }
        let (commands, words) = (Arc::clone(&setup.commands), command.to_vec());
        let waits = Waits(Leash::default());
        let leash = waits.0.clone();
        let told = spawn_blocking(move || commands.dsn_on(&leash, &words)).await;
        let told = told.map_err(|died| Failure::error(format!("remote.{remote}.dsn_command: {died}")))?;
        told.map_err(|error| Failure::from(place::told_of(remote, &world.config.remotes[remote], error)))?;
    }
    Ok(())
}

/// Nobody waits any more: the command ends.
struct Waits(Leash);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.cut();
    }
}

/// What a job is launched from.
#[derive(Debug)]
pub(super) struct Slip {
    pub(super) job: config::Job,
    pub(super) setup: Rc<Setup>,
    pub(super) board: Board,
    pub(super) clock: Clock,
    pub(super) commons: Rc<Commons>,
    /// How jobs stood under the configuration before.
    pub(super) before: Rc<[JobState]>,
    pub(super) begins: Begins,
    pub(super) deadline: Duration,
    pub(super) pair: PairId,
}

impl Slip {
    /// Runs the job to its end.
    pub(super) async fn run(self, mut orders: mpsc::Receiver<Order>, ended: oneshot::Receiver<()>) {
        let begins = Cell::new(self.begins);
        let (asked, first) = tokio::select! {
            asked = ask_commands(&self.job, &self.setup) => (asked, None),
            order = self.heed(&mut orders, &begins) => (Err(Failure::error("nobody waited for it")), Some(order)),
            _ = ended => return,
        };
        let places = fleet::state(&self.job, &self.setup);
        self.board.job(&self.job.name, |job| {
            let (since_ns, paused_since_ns) = (job.since_ns, job.paused_since_ns);
            let now = JobState { since_ns, paused_since_ns, unsure: job.unsure.clone(), ..places };
            *job = JobState { phase: job.phase, ..now.following(&self.before) };
        });
        if asked.is_ok() {
            self.find_pair();
        }
        let claim = lease::claim(&self.job, Foreign::StandBy).map(Rc::new);
        let (setup, commons) = (Rc::clone(&self.setup), Rc::clone(&self.commons));
        let pairs = Pairs { setup, job: self.job.name.clone(), claim, commons, told_acl: RefCell::default() };
        let rhythm = rhythm(&self.job);
        let past = match asked {
            Ok(()) => {
                let remembered = pairs.remembered();
                let first = if rhythm.list_ns.is_none() { First::AtItsTime } else { First::AtOnce };
                let (now, repeated) = (self.clock.now_ns(), &self.setup.repeated);
                self.board.job(&self.job.name, |job| remembered.tell(job, first, repeated, now));
                remembered.past()
            }
            // Nobody can know whether a run was missed.
            Err(_) => Past::Undone(wall()),
        };
        let parts = Parts {
            name: self.job.name.clone(),
            board: self.board.clone(),
            clock: self.clock,
            wall: Rc::new(wall),
            rhythm,
            schedule: self.job.daemon.schedule.clone(),
            past,
            peers: if self.job.daemon.lease { Peers::Hosts } else { Peers::None },
            begins: begins.get(),
            orders,
            deadline: self.deadline,
            runner: Rc::new(Quay { pairs, slip: self }),
        };
        Job::new(parts).run_after(first).await;
    }

    /// Hears orders before the job can begin. One that can't wait is handed on.
    async fn heed(&self, orders: &mut mpsc::Receiver<Order>, begins: &Cell<Begins>) -> Order {
        loop {
            let (how, phase) = match orders.recv().await {
                Some(Order::Pause) => (Begins::Paused, Phase::Paused),
                Some(Order::Resume) => (Begins::AtOnce, Phase::Starting),
                Some(order @ (Order::Run | Order::Lend(_))) => return order,
                // It is told that by its other end, too.
                None => std::future::pending().await,
            };
            begins.set(how);
            self.board.job(&self.job.name, |job| job.phase = phase);
        }
    }

    /// Which pair it is, by what is known now.
    fn find_pair(&self) {
        if let Ok((source, dest)) = resolve::job_ends(&self.job, self.setup.world(&env)) {
            *self.pair.borrow_mut() = Some(wire::pair(&source, &dest).id().to_owned());
        }
    }
}

fn rhythm(job: &config::Job) -> Rhythm {
    let ns = |duration: Duration| job.daemon.watch.then(|| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX));
    Rhythm { scan_ns: ns(job.daemon.full_scan_interval), list_ns: ns(job.daemon.full_listing_interval) }
}

/// Opens the pair of a job, and says which one it is.
struct Quay {
    pairs: Pairs,
    slip: Slip,
}

#[async_trait(?Send)]
impl Runner for Quay {
    async fn open(&self) -> Result<Rc<dyn Held>, Failed> {
        ask_commands(&self.slip.job, &self.slip.setup).await?;
        self.slip.find_pair();
        self.pairs.open().await
    }
}
