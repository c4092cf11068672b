//! Whole jobs over replicas in memory, with the clock of the runtime.

use std::sync::Mutex;

use tokio::task::LocalSet;
use tokio::time::{advance, sleep};

use super::*;
use crate::apply::{Origin, Shelf};
use crate::daemon::runner::{self, Then};
use crate::daemon::state::{Coverage as Seen, DaemonState, Done, Health, JobState, Phase};
use crate::manifest::{Manifest, Orientation, Pair};
use crate::model::{Action, Conflict, Filter, Problem, Side, TrashRule};
use crate::plan::{Budget, Compare, Mode, OnConflict, Policy, Raise};
use crate::replica::Buffers;
use crate::replica::local::watch::Missed;
use crate::replica::local::watch::scripted::{Script, scripted};
use crate::replica::memory::{Fault, Memory, Role};
use crate::replica::retry::Retrying;
use crate::sync::{Cycle, Ending, Observer, Run, Stage, run_cycle};

mod beside;
mod daily;
mod guarded;
mod late;
mod opening;
mod outages;
mod timed;
mod whole;

/// A pair in memory, and its job.
struct Rig {
    source: Arc<Memory>,
    dest: Arc<Memory>,
    script: Arc<Mutex<Option<Script>>>,
    board: Board,
    orders: mpsc::Sender<Order>,
    /// How far the clock on the wall is off, in seconds.
    skew: Rc<std::cell::Cell<i64>>,
    leased: Rc<std::cell::Cell<bool>>,
    /// Whether opening the pair comes to no end.
    stuck: Rc<std::cell::Cell<bool>>,
    /// Whether requests are tried again.
    patient: Rc<std::cell::Cell<bool>>,
    /// The job.
    task: tokio::task::JoinHandle<()>,
    /// How often it woke up.
    wakes: Rc<std::cell::Cell<u64>>,
    _state: tempfile::TempDir,
}

#[derive(Clone)]
struct Opener {
    source: Arc<Memory>,
    dest: Arc<Memory>,
    script: Arc<Mutex<Option<Script>>>,
    state: std::path::PathBuf,
    mode: Mode,
    /// Another host has the lease.
    leased: Rc<std::cell::Cell<bool>>,
    stuck: Rc<std::cell::Cell<bool>>,
    patient: Rc<std::cell::Cell<bool>>,
    wall: Wall,
}

struct Open {
    opener: Opener,
    manifest: Manifest,
}

struct Deaf;

impl Observer for Deaf {
    fn action(&self, _: &Action, _: Stage) {}
    fn problem(&self, _: &Problem) {}
    fn conflict(&self, _: &Conflict) {}
    fn notice(&self, _: &str) {}
}

impl Opener {
    /// The destination; with patience as the command line has it for what is reached by a network.
    fn reached(&self) -> Arc<dyn crate::replica::Replica> {
        let dest: Arc<dyn crate::replica::Replica> = Arc::clone(&self.dest) as _;
        if self.patient.get() { Arc::new(Retrying::new(dest)) } else { dest }
    }
}

#[async_trait::async_trait(?Send)]
impl Runner for Opener {
    async fn open(&self) -> Result<Rc<dyn Held>, Failed> {
        if self.stuck.get() {
            std::future::pending::<()>().await;
        }
        let manifest = Manifest::open(&self.state, &Pair::new("source", "dest"), Orientation::Forward)?.manifest;
        Ok(Rc::new(Open { opener: self.clone(), manifest }))
    }
}

#[async_trait::async_trait(?Send)]
impl Held for Open {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn watch(&self) -> Result<Box<dyn Watcher>, Failed> {
        let (watcher, script) = scripted();
        *self.opener.script.lock().unwrap() = Some(script);
        Ok(Box::new(watcher))
    }

    async fn cycle(&self, sight: &Sight, lane: &Lane, progress: &Arc<Progress>) -> Result<Outcome, Failed> {
        let Opener { source, state, mode, .. } = &self.opener;
        if self.opener.leased.get() {
            let seen = runner::Seen { changed_ago: Duration::from_secs(4), again: Duration::from_secs(10) };
            return Err(Failed { message: "leased".into(), hint: None, then: Then::Leased(seen) });
        }
        let (pair, origin) = (
            Pair::new("source", "dest"),
            Origin { job: None, source: None, dest: None, names: ("source".into(), "dest".into()), acl: None },
        );
        let now_ns = i64::try_from((self.opener.wall)().as_nanosecond()).unwrap();
        let run = Run::Execute(self.manifest.begin_run("test", "source", "dest", now_ns)?);
        let cycle = Cycle {
            source: Arc::clone(source) as _,
            dest: self.opener.reached(),
            manifest: &self.manifest,
            policy: Policy { mode: *mode, on_conflict: OnConflict::Report, compare: Compare::Metadata },
            writes: mode.writes(),
            dest_label: "dest",
            styling: crate::plan::Styling::default(),
            filter: Arc::new(Filter::default()),
            scope: sight.scope.clone(),
            assumed: (sight.other == Other::Assumed).then_some(Side::Dest),
            waits: Some(sight.mark),
            lease: None,
            lane: Some(lane),
            budget: Budget::Sliding,
            overwrites: Budget::Sliding,
            raise: Raise::InConfig,
            trash: TrashRule::default(),
            run,
            concurrency: 4,
            buffers: Buffers::new(24 << 20),
            progress: Arc::clone(progress),
            now_ns,
            scratch: state,
            shelf: Shelf { state_dir: state, pair: &pair, origin: &origin },
        };
        let report = Box::pin(run_cycle(cycle, &Deaf)).await.map_err(|error| Failed {
            message: error.message,
            hint: error.hint,
            then: Then::Retry,
        })?;
        Ok(Outcome {
            done: Done {
                creates: report.done.creates,
                overwrites: report.done.overwrites,
                copies: report.done.copies,
                deletes: report.done.deletes,
                restyles: report.done.restyles,
                bytes: report.done.bytes_sent,
            },
            named: Box::default(),
            problem_count: report.problem_count,
            problems: report.problems,
            stuck: report.stuck,
            conflict_count: report.conflict_count,
            conflicts: report.conflicts,
            halt: match report.ending {
                Ending::Finished => None,
                Ending::Halted(halt) => Some((halt.message, halt.plan, None)),
            },
            synced: self.manifest.base_totals()?,
            requests: 0,
            left: report.left,
        })
    }

    async fn interrupted(&self) {}
}

const HOUR: i64 = 3_600 * SECOND;
/// 2027-01-15T08:00:00Z.
const HOUR_SHARP: i64 = 1_800_000_000;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

impl Rig {
    /// A watched job over so many files, after its first look.
    async fn watching(files: usize) -> Self {
        Self::begin(files, Rhythm { scan_ns: Some(HOUR), list_ns: Some(24 * HOUR) }, None).await
    }

    async fn begin(files: usize, rhythm: Rhythm, schedule: Option<Schedule>) -> Self {
        Self::begin_after(files, rhythm, schedule, Past::Never).await
    }

    /// As [`Rig::watching`], of several hosts with this job.
    async fn among_hosts(files: usize) -> Self {
        let rhythm = Rhythm { scan_ns: Some(HOUR), list_ns: Some(24 * HOUR) };
        Self::begin_among(Peers::Hosts, files, rhythm, None, Past::Never).await
    }

    async fn begin_after(files: usize, rhythm: Rhythm, schedule: Option<Schedule>, past: Past) -> Self {
        Self::begin_among(Peers::None, files, rhythm, schedule, past).await
    }

    async fn begin_among(peers: Peers, files: usize, rhythm: Rhythm, schedule: Option<Schedule>, past: Past) -> Self {
        Self::begin_over(Self::places(files), peers, rhythm, schedule, past).await
    }

    /// A source with so many files, and a destination without any.
    fn places(files: usize) -> (Arc<Memory>, Arc<Memory>) {
        let (source, dest) = (Memory::new("source", Role::Directory), Memory::new("dest", Role::Bucket));
        for n in 0..files {
            source.write(&key(&format!("dir/{n}.jpg")), format!("content {n}"));
        }
        (Arc::new(source), Arc::new(dest))
    }

    async fn begin_over(
        (source, dest): (Arc<Memory>, Arc<Memory>),
        peers: Peers,
        rhythm: Rhythm,
        schedule: Option<Schedule>,
        past: Past,
    ) -> Self {
        let state = tempfile::tempdir().unwrap();
        let script = Arc::new(Mutex::new(None));
        let job = JobState::new("media", ("source", "dest"), "copy", 600);
        let board = Board::new(DaemonState {
            pid: 1,
            version: String::new(),
            started_ns: 0,
            config: None,
            state_dir: String::new(),
            reload_error: None,
            jobs: vec![job],
        });
        let (orders, inbox) = mpsc::channel(4);
        let (clock, began) = (Clock::start(), Instant::now());
        let skew = Rc::new(std::cell::Cell::new(0));
        let off = Rc::clone(&skew);
        let wall: Wall = Rc::new(move || Timestamp::from_second(HOUR_SHARP + off.get()).unwrap() + began.elapsed());
        let opener = Opener {
            source: Arc::clone(&source),
            dest: Arc::clone(&dest),
            script: Arc::clone(&script),
            state: state.path().to_owned(),
            mode: Mode::CopyAndDelete,
            leased: Rc::default(),
            stuck: Rc::default(),
            patient: Rc::default(),
            wall: Rc::clone(&wall),
        };
        let (leased, stuck) = (Rc::clone(&opener.leased), Rc::clone(&opener.stuck));
        let patient = Rc::clone(&opener.patient);
        let parts = Parts {
            name: "media".into(),
            board: board.clone(),
            clock,
            wall,
            runner: Rc::new(opener),
            rhythm,
            schedule,
            past,
            begins: Begins::AtOnce,
            peers,
            orders: inbox,
            deadline: Duration::from_secs(20),
        };
        let (wakes, mut job) = (Rc::new(std::cell::Cell::new(0)), Box::pin(Job::new(parts).run()));
        let count = Rc::clone(&wakes);
        let task = tokio::task::spawn_local(std::future::poll_fn(move |context| {
            count.set(count.get() + 1);
            job.as_mut().poll(context)
        }));
        let rig =
            Self { source, dest, script, board, orders, skew, leased, stuck, patient, task, wakes, _state: state };
        rig.later(1).await;
        rig
    }

    async fn later(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
    }

    /// How often the job wakes up within so many seconds, which pass although it may never sleep.
    async fn wakes_in(&self, seconds: u64) -> u64 {
        let before = self.wakes.get();
        for _ in 0..seconds * 10 {
            advance(Duration::from_millis(100)).await;
            // Other threads work for it, too.
            std::thread::sleep(Duration::from_millis(1));
        }
        self.wakes.get() - before
    }

    fn tell(&self, signs: impl IntoIterator<Item = Sign>) {
        self.script.lock().unwrap().as_ref().unwrap().tell(signs);
    }

    fn job(&self) -> JobState {
        self.board.look().jobs.remove(0)
    }

    fn calls(&self) -> Vec<String> {
        self.dest.take_calls().into_iter().map(|call| call.operation.to_owned()).collect()
    }

    fn is_equal(&self) -> bool {
        self.source.contents() == self.dest.contents()
    }
}

async fn local(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}
