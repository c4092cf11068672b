//! One job: what a watcher saw, what the clock says and what people want become cycles, one after the other.
//!
//! The job never waits without listening: while a cycle runs, signs are written down and orders are heard. Whatever it
//! can't know (signs that were lost, a pair that was lent) it looks for.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::agenda::{Agenda, Next, Rhythm};
use super::runner::{Failed, Held, Other, Outcome, Runner, Sight};
use super::settle::Clock;
use super::state::{Board, Look, Told};
use crate::lanes::{Began, Lane, Lanes};
use crate::manifest::{Dirty, Due};
use crate::model::{Key, Scope};
use crate::replica::local::watch::{Lost, Sign, Watcher};
use crate::schedule::Schedule;
use crate::sync::Progress;

mod again;
mod beside;
mod listen;
mod open;
pub(crate) mod tell;
mod times;

const SECOND: i64 = 1_000_000_000;
/// Keys of one cycle; the rest comes right after it.
const MOST: usize = 2_000;
/// Signs that are kept while the pair is not open; what is beyond is found by the look that follows.
const UNHEARD: usize = 10_000;

/// What people want of a job.
#[derive(Debug)]
pub enum Order {
    /// Look at both sides now.
    Run,
    /// Do nothing until somebody says so.
    Pause,
    /// Go on.
    Resume,
    /// Let somebody else work on the pair.
    Lend(oneshot::Sender<Loan>),
}

/// The right to work on the pair of a job, which waits until this is dropped.
#[derive(Debug)]
pub struct Loan(#[expect(dead_code, reason = "dropping it gives the pair back")] oneshot::Sender<()>);

/// Tells the time of day.
pub type Wall = Rc<dyn Fn() -> Timestamp>;

/// What a job is made of.
pub struct Parts {
    /// Its name on the board.
    pub name: String,
    /// Where it says how it stands.
    pub board: Board,
    /// The daemon's clock.
    pub clock: Clock,
    /// The time of day.
    pub wall: Wall,
    /// Its pair.
    pub runner: Rc<dyn Runner>,
    /// How often all is looked at.
    pub rhythm: Rhythm,
    /// When both sides are looked at besides.
    pub schedule: Option<Schedule>,
    /// What its journal says of the last look at both sides.
    pub past: Past,
    /// Whether it begins by itself.
    pub begins: Begins,
    /// Who else may change what nobody watches.
    pub peers: Peers,
    /// What people want; it ends when nobody can want anything any more.
    pub orders: mpsc::Receiver<Order>,
    /// How long a cycle may go on after that.
    pub deadline: Duration,
}

/// The last look at both sides that a journal knows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// There was none.
    Never,
    /// It began at this time, and was carried out.
    Done(Timestamp),
    /// It began at this time, and failed, was halted or never came to its end: it is made up for.
    Undone(Timestamp),
}

/// Who else runs a job of the same places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peers {
    /// Nobody: what both sides held is assumed of the other one.
    None,
    /// Daemons of other hosts see the same changes and may have sent them: the other side is asked, for an object that is
    /// there need not be sent to be refused.
    Hosts,
}

/// Whether a job begins by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// It does.
    AtOnce,
    /// A person had paused it.
    Paused,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("name", &self.name).field("rhythm", &self.rhythm).finish_non_exhaustive()
    }
}

/// A job that runs.
pub struct Job {
    parts: Parts,
    agenda: Agenda,
    held: Option<Rc<dyn Held>>,
    /// The cycles under way, those that run beside another one, and what they leave to one another.
    lanes: Arc<Lanes>,
    sides: FuturesUnordered<beside::Side>,
    crowd: beside::Crowd,
    /// Whether the daemon ends: what is under way may go on for a while.
    stops: bool,
    /// Whether the pair was open before.
    began: bool,
    watcher: Option<Box<dyn Watcher>>,
    /// What the watcher saw while the pair was not open.
    unheard: Vec<Sign>,
    lost: Option<Lost>,
    /// When both sides were last looked at, as its journal has it or as it was done since.
    last_started: Option<Timestamp>,
    /// When both sides were last begun to be looked at by this process.
    last_both_ns: Option<i64>,
    /// Keys that could not be handled.
    again: BTreeMap<Key, again::Again>,
    /// Where a server may still do something, and when to look.
    late: BTreeMap<Key, i64>,
    /// What is told of keys until they are looked at again.
    left: BTreeMap<Key, Told>,
    /// Of these, keys that are gone since, or may be.
    gone: BTreeSet<Key>,
    conflicts: BTreeSet<Key>,
    /// Problems that belong to no single key, of the last look at all.
    others: Vec<Told>,
    /// Problems and conflicts that were too many to be told.
    uncounted: u64,
    uncounted_conflicts: u64,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("parts", &self.parts).field("agenda", &self.agenda).finish_non_exhaustive()
    }
}

/// How a job goes on.
#[derive(Debug)]
enum Flow {
    On,
    End,
    /// With nothing, until somebody gives the pair back.
    Lend(oneshot::Sender<Loan>),
}

/// Whether a lent pair came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Back {
    Here,
    /// The daemon ends.
    Never,
}

/// How a cycle was left.
enum Left {
    Ended(Box<Result<Outcome, Failed>>),
    Interrupted(Flow),
}

impl Job {
    /// A job that has not begun.
    pub fn new(parts: Parts) -> Self {
        let now = parts.clock.now_ns();
        let mut agenda = Agenda::new(parts.rhythm, now);
        let last_started = match (parts.past, &parts.schedule) {
            (Past::Done(at), _) => Some(at),
            (Past::Undone(at), _) => {
                agenda.want(Look::Both, now);
                Some(at)
            }
            // A line of cron that never ran waits for its next time from now on.
            (Past::Never, Some(Schedule::Cron(_))) => Some((parts.wall)()),
            (Past::Never, _) => None,
        };
        agenda.set_paused(parts.begins == Begins::Paused);
        Self {
            parts,
            agenda,
            held: None,
            lanes: Arc::default(),
            sides: FuturesUnordered::new(),
            crowd: beside::Crowd::default(),
            stops: false,
            began: false,
            watcher: None,
            unheard: Vec::new(),
            lost: None,
            last_started,
            last_both_ns: None,
            again: BTreeMap::new(),
            late: BTreeMap::new(),
            left: BTreeMap::new(),
            gone: BTreeSet::new(),
            conflicts: BTreeSet::new(),
            others: Vec::new(),
            uncounted: 0,
            uncounted_conflicts: 0,
        }
    }

    /// Runs until nobody can give it orders any more.
    pub async fn run(mut self) {
        loop {
            self.plan_slot();
            self.expect_late();
            let flow = match self.agenda.next(self.now()) {
                Next::Do(look) => match self.perform(look).await {
                    Flow::On => match self.finish_beside().await {
                        // Nothing more is begun.
                        Flow::On if self.stops => Flow::End,
                        flow => flow,
                    },
                    flow => flow,
                },
                Next::Wait(until) => {
                    self.waits(until);
                    let until = until.map_or_else(far, |at| self.parts.clock.at(at)).min(self.nap());
                    tokio::select! {
                        biased;
                        order = self.parts.orders.recv() => self.obey(order),
                        signs = heard(&mut self.watcher) => {
                            self.hear(&signs);
                            Flow::On
                        }
                        () = sleep_until(until) => Flow::On,
                    }
                }
            };
            match flow {
                Flow::On => {}
                Flow::End => return,
                Flow::Lend(reply) => {
                    if self.lend(reply).await == Back::Never {
                        return;
                    }
                }
            }
        }
    }

    fn now(&self) -> i64 {
        self.parts.clock.now_ns()
    }

    fn obey(&mut self, order: Option<Order>) -> Flow {
        match order {
            None => return Flow::End,
            Some(Order::Run) => self.agenda.now(self.now()),
            Some(Order::Pause) => self.agenda.set_paused(true),
            Some(Order::Resume) => self.agenda.set_paused(false),
            Some(Order::Lend(reply)) => return Flow::Lend(reply),
        }
        self.rest();
        Flow::On
    }

    /// One cycle.
    async fn perform(&mut self, look: Look) -> Flow {
        let held = match self.ready(look).await {
            Ok(held) => held,
            Err(flow) => return flow,
        };
        let began = self.now();
        let (sight, due) = match self.sight(&held, look) {
            Ok(Some(sight)) => sight,
            Ok(None) => {
                self.nothing_due(&held, look);
                return Flow::On;
            }
            Err(failed) => {
                self.failed(look, failed);
                return Flow::On;
            }
        };
        let (look, started) = (sight.look, (self.parts.wall)());
        if look == Look::Both {
            (self.last_started, self.last_both_ns) = (Some(started), Some(began));
        }
        let progress = Arc::new(Progress::default());
        self.begins(look, &progress);
        self.begin_alone(&held, &due);
        let lane = self.lanes.enter();
        let left = self.attend(&held, &sight, &lane, &progress).await;
        drop(lane);
        self.parts.board.done(&self.parts.name, &progress);
        self.end_alone(&due);
        let done = match left {
            Left::Ended(done) => *done,
            Left::Interrupted(flow) => {
                self.drop_sides().await;
                held.interrupted().await;
                if look != Look::Changes {
                    self.agenda.want(look, self.now());
                }
                return flow;
            }
        };
        match done {
            Ok(outcome) => {
                let settled = self.settled(&held, &sight, &due, &outcome);
                let now = self.now();
                match &outcome.halt {
                    Some(_) => self.agenda.halted(look, began, now),
                    None => self.agenda.finished(look, began, now),
                }
                if let Err(failed) = settled {
                    self.failed(look, failed);
                    return Flow::On;
                }
                self.ended(Began::Alone, look, started, began, &outcome);
                // A job that nobody watches leaves its pair to others until its time comes.
                if self.parts.rhythm.scan_ns.is_none() {
                    self.held = None;
                }
            }
            Err(failed) => self.failed(look, failed),
        }
        Flow::On
    }

    /// What a cycle looks at; `None` if nothing is due any more.
    fn sight(&self, held: &Rc<dyn Held>, look: Look) -> Result<Option<(Sight, Due)>, Failed> {
        let (manifest, now_ns) = (held.manifest(), self.now());
        let whole = |other| {
            let nothing = Due { dirty: Vec::new(), mark: manifest.dirty_mark(now_ns)? };
            Ok(Some((Sight { look, scope: Scope::Whole, other, mark: nothing.mark }, nothing)))
        };
        match look {
            Look::Both => whole(Other::Asked),
            Look::Watched => whole(self.assumed()),
            // A deletion is one for the guard, however large it is.
            Look::Changes if manifest.dirty_over(now_ns)? > MOST => {
                let sight = whole(self.assumed())?;
                Ok(sight.map(|(sight, nothing)| (Sight { look: Look::Watched, ..sight }, nothing)))
            }
            Look::Changes => {
                let mut due = manifest.dirty_due(now_ns, MOST)?;
                // What failed before is looked at on both sides, by itself.
                let failing = |dirty: &Dirty| self.again.contains_key(&dirty.key);
                let asked = due.dirty.iter().any(failing);
                due.dirty.retain(|dirty| failing(dirty) == asked);
                let scope = Scope::of_keys(due.dirty.iter().map(|dirty| dirty.key.clone()));
                let other = if asked { Other::Asked } else { self.assumed() };
                Ok((!due.dirty.is_empty()).then_some((Sight { look, scope, other, mark: due.mark }, due)))
            }
        }
    }

    /// Runs a cycle and listens meanwhile.
    async fn attend(&mut self, held: &Rc<dyn Held>, sight: &Sight, lane: &Lane, progress: &Arc<Progress>) -> Left {
        let cycle = held.cycle(sight, lane, progress);
        tokio::pin!(cycle);
        let mut ends: Option<Instant> = None;
        loop {
            if ends.is_none() {
                self.go_beside();
            }
            let again = self.again_beside();
            tokio::select! {
                done = &mut cycle => return Left::Ended(Box::new(done)),
                order = self.parts.orders.recv(), if ends.is_none() => match order {
                    // The cycle may end; what is left then waits for the next start.
                    None => {
                        self.stops = true;
                        ends = Some(Instant::now() + self.parts.deadline);
                    }
                    Some(Order::Run) => self.agenda.now(self.now()),
                    Some(Order::Resume) => self.agenda.set_paused(false),
                    Some(Order::Pause) => {
                        self.agenda.set_paused(true);
                        return Left::Interrupted(Flow::On);
                    }
                    Some(Order::Lend(reply)) => return Left::Interrupted(Flow::Lend(reply)),
                },
                signs = heard(&mut self.watcher) => self.hear(&signs),
                Some(ended) = self.sides.next() => self.went_beside(ended),
                () = self.lanes.changed() => {}
                () = sleep_until(again), if ends.is_none() => {}
                () = sleep_until(ends.unwrap_or_else(far)), if ends.is_some() => return Left::Interrupted(Flow::End),
            }
        }
    }
}

async fn heard(watcher: &mut Option<Box<dyn Watcher>>) -> Vec<Sign> {
    match watcher {
        Some(watcher) => watcher.next().await,
        None => std::future::pending().await,
    }
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(365 * 24 * 60 * 60)
}

#[cfg(test)]
mod tests;
