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
mod late;
mod opening;
mod outages;
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

#[tokio::test(start_paused = true)]
async fn an_idle_day_asks_for_nothing_but_its_listing() {
    local(async {
        let rig = Rig::watching(30).await;
        assert!(rig.is_equal());
        assert_eq!(rig.job().health(0, 0), Health::InSync);
        let since = rig.job().equal_since_ns;
        let checked = rig.job().checked_ns;
        rig.calls();
        rig.source.take_calls();
        rig.later(24 * 3_600 - 60).await;
        assert_eq!(rig.calls(), Vec::<String>::new(), "a day without a request");
        let scans = rig.source.take_calls().into_iter().filter(|call| call.operation == "list").count();
        assert_eq!(scans, 23);
        let totals = rig.job().totals;
        assert_eq!((totals.cycles_changes, totals.cycles_watched, totals.cycles_both), (0, 23, 1));
        rig.later(120).await;
        assert_eq!(rig.calls().iter().filter(|op| *op == "list").count(), 1);
        assert_eq!(rig.job().equal_since_ns, since, "in sync without a break");
        assert!(since.is_some() && rig.job().checked_ns > checked.map(|at| at + 23 * HOUR), "and checked again");
        rig.source.write(&key("new.jpg"), "new");
        rig.tell([Sign::Finished(key("new.jpg"))]);
        rig.later(1).await;
        assert!(rig.job().equal_since_ns > since.map(|at| at + 23 * HOUR), "since the change was sent");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_changes_is_sent_at_once_and_nothing_else_is_asked() {
    local(async {
        let rig = Rig::watching(30).await;
        rig.calls();
        rig.source.write(&key("new.jpg"), "new");
        rig.tell([Sign::Finished(key("new.jpg"))]);
        sleep(Duration::from_millis(50)).await;
        assert!(rig.is_equal());
        assert_eq!(rig.calls(), ["put"]);
        // Gone, and back before anybody was told.
        let bytes = rig.source.contents()[&key("dir/1.jpg")].clone();
        rig.source.remove(&key("dir/1.jpg"));
        rig.tell([Sign::Gone(key("dir/1.jpg"))]);
        sleep(Duration::from_secs(1)).await;
        rig.source.write(&key("dir/1.jpg"), bytes);
        rig.tell([Sign::Finished(key("dir/1.jpg"))]);
        rig.later(60).await;
        assert_eq!(rig.calls(), Vec::<String>::new());
        // Gone for good.
        rig.source.remove(&key("dir/2.jpg"));
        rig.tell([Sign::Gone(key("dir/2.jpg"))]);
        sleep(Duration::from_secs(1)).await;
        assert_eq!((rig.job().dirty, rig.calls().len()), (1, 0));
        rig.later(5).await;
        assert!(rig.is_equal());
        assert_eq!((rig.job().dirty, rig.job().health(i64::MAX, 0)), (0, Health::InSync));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_scan_leaves_alone_what_is_away_for_a_moment() {
    local(async {
        let rig = Rig::watching(30).await;
        rig.calls();
        rig.source.remove(&key("dir/1.jpg"));
        rig.source.remove(&key("dir/2.jpg"));
        rig.tell([Sign::Gone(key("dir/1.jpg"))]);
        sleep(Duration::from_millis(500)).await;
        rig.orders.send(Order::Run).await.unwrap();
        sleep(Duration::from_millis(500)).await;
        assert_eq!(rig.dest.contents().len(), 29, "nobody said that the second one may come back");
        rig.later(5).await;
        assert!(rig.is_equal(), "and what was left alone is not forgotten");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_is_asked_again_and_nothing_is_forgotten() {
    local(async {
        let rig = Rig::watching(30).await;
        rig.dest.inject(|_| Fault::Before(crate::replica::Error::new(crate::replica::Cause::Stop, "down")));
        rig.source.write(&key("new.jpg"), "new");
        rig.tell([Sign::Finished(key("new.jpg"))]);
        rig.later(60).await;
        let job = rig.job();
        assert!(!rig.is_equal());
        assert_eq!(job.phase, Phase::Failing, "{job:?}");
        assert!(job.error.is_some_and(|error| error.tries > 3));
        rig.dest.heal();
        rig.later(61).await;
        assert!(rig.is_equal());
        assert_eq!((rig.job().phase, rig.job().error), (Phase::Idle, None));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_wrote_there_is_a_conflict_and_stays() {
    local(async {
        let rig = Rig::watching(30).await;
        rig.dest.write(&key("dir/1.jpg"), "theirs");
        rig.source.write(&key("dir/1.jpg"), "ours");
        rig.tell([Sign::Finished(key("dir/1.jpg"))]);
        rig.later(10).await;
        assert_eq!(rig.dest.contents()[&key("dir/1.jpg")], "theirs");
        let job = rig.job();
        assert_eq!((job.conflict_count, job.problem_count, job.health(0, 0)), (1, 0, Health::Problems), "{job:?}");
        rig.source.write(&key("dir/1.jpg"), "theirs");
        rig.tell([Sign::Finished(key("dir/1.jpg"))]);
        rig.later(10).await;
        assert_eq!((rig.job().conflict_count, rig.job().health(0, 0)), (0, Health::InSync));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn too_many_deletions_halt_and_putting_them_right_ends_that() {
    local(async {
        let rig = Rig::watching(100).await;
        let before = rig.source.contents();
        for n in 0..60 {
            rig.source.remove(&key(&format!("dir/{n}.jpg")));
        }
        rig.tell((0..60).map(|n| Sign::Gone(key(&format!("dir/{n}.jpg")))));
        rig.later(10).await;
        let job = rig.job();
        assert_eq!((job.phase, job.health(0, 0)), (Phase::Halted, Health::Halted), "{job:?}");
        let again = |job: &JobState| job.halt.as_ref().map(|halt| (halt.again_ns.unwrap() - halt.since_ns) / SECOND);
        assert_eq!(again(&job), Some(600), "when it looks again by itself");
        assert!(job.halt.is_some_and(|halt| halt.plan.is_some()));
        assert_eq!(rig.dest.contents().len(), 100);
        // New files wait too: a halt changes nothing.
        rig.source.write(&key("new.jpg"), "new");
        rig.tell([Sign::Finished(key("new.jpg"))]);
        rig.later(10).await;
        assert_eq!((rig.dest.contents().len(), again(&rig.job())), (100, Some(60)), "sooner, since something changed");
        for (key, bytes) in before.iter().take(58) {
            rig.source.write(key, bytes.clone());
        }
        rig.tell(before.keys().take(58).map(|key| Sign::Finished(key.clone())));
        rig.later(120).await;
        assert!(rig.is_equal(), "{:?}", rig.job());
        assert_eq!(rig.job().phase, Phase::Idle);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_is_deleted_slowly_is_one_deletion_for_the_guard() {
    local(async {
        let rig = Rig::watching(100).await;
        for n in 0..60 {
            rig.source.remove(&key(&format!("dir/{n}.jpg")));
            rig.tell([Sign::Gone(key(&format!("dir/{n}.jpg")))]);
            sleep(Duration::from_millis(100)).await;
        }
        rig.later(40).await;
        assert_eq!((rig.job().phase, rig.dest.contents().len()), (Phase::Halted, 100), "nothing of it was done");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn another_directory_in_the_place_of_the_root_halts() {
    local(async {
        let rig = Rig::watching(30).await;
        rig.source.change_identity("another");
        for n in 0..30 {
            rig.source.remove(&key(&format!("dir/{n}.jpg")));
        }
        rig.tell([Sign::Lost(Lost { message: "the root was replaced".into(), hint: String::new() })]);
        rig.later(10).await;
        let job = rig.job();
        assert_eq!((job.phase, rig.dest.contents().len()), (Phase::Halted, 30), "{job:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_is_looked_for_when_it_is_quiet() {
    local(async {
        let rig = Rig::watching(30).await;
        rig.calls();
        rig.source.write(&key("unseen.jpg"), "new");
        rig.tell([Sign::Rescan(Missed::Overflow)]);
        rig.later(3).await;
        assert!(rig.is_equal());
        assert_eq!((rig.calls(), rig.job().totals.cycles_watched), (vec!["put".to_owned()], 1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_lent_pair_is_left_alone_until_it_comes_back() {
    local(async {
        let rig = Rig::watching(30).await;
        let (reply, loan) = oneshot::channel();
        rig.orders.send(Order::Lend(reply)).await.unwrap();
        let loan = loan.await.unwrap();
        assert_eq!(rig.job().phase, Phase::Lent);
        rig.source.write(&key("new.jpg"), "new");
        rig.tell([Sign::Finished(key("new.jpg"))]);
        rig.later(100).await;
        assert!(!rig.is_equal());
        drop(loan);
        rig.later(1).await;
        assert!(rig.is_equal());
        rig.orders.send(Order::Pause).await.unwrap();
        rig.source.write(&key("newer.jpg"), "new");
        rig.tell([Sign::Finished(key("newer.jpg"))]);
        rig.later(100).await;
        assert_eq!((rig.is_equal(), rig.job().phase, rig.job().dirty), (false, Phase::Paused, 1));
        rig.orders.send(Order::Resume).await.unwrap();
        rig.later(1).await;
        assert!(rig.is_equal());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_nobody_watches_runs_at_its_times() {
    local(async {
        let every = Schedule::Every(Duration::from_secs(900));
        let rig = Rig::begin(3, Rhythm { scan_ns: None, list_ns: None }, Some(every)).await;
        assert!(rig.is_equal(), "it never ran, so it runs at once");
        advance(Duration::from_secs(1)).await;
        for round in 0..4 {
            rig.source.write(&key(&format!("new/{round}")), "new");
            rig.later(890).await;
            rig.later(12).await;
        }
        assert!(rig.is_equal());
        assert_eq!(rig.job().totals.cycles_both, 5);
        assert_eq!(rig.job().watch.map(|watch| watch.coverage), None::<Seen>);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_seen_while_another_host_has_the_lease_is_done_afterwards_without_a_scan() {
    local(async {
        let rig = Rig::watching(3).await;
        let before = rig.job().totals;
        rig.leased.set(true);
        for n in 0..5 {
            let new = key(&format!("new/{n}.jpg"));
            rig.source.write(&new, "new");
            rig.tell([Sign::Finished(new)]);
            rig.later(60).await;
            let job = rig.job();
            assert_eq!((job.phase, job.dirty, job.totals.failures), (Phase::Standby, n + 1, 0));
            assert_eq!(job.health(job.peer_seen_ns.unwrap() + 14 * SECOND, 0), Health::Standby);
        }
        rig.leased.set(false);
        rig.later(11).await;
        let job = rig.job();
        assert!(rig.is_equal());
        assert_eq!((job.phase, job.peer_seen_ns, job.error), (Phase::Idle, None, None));
        let looks = (job.totals.cycles_watched - before.cycles_watched, job.totals.cycles_both - before.cycles_both);
        assert_eq!(looks, (0, 0), "the changes are known");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_conflict_that_another_host_settles_is_over() {
    local(async {
        let (rig, edited) = (Rig::among_hosts(3).await, key("dir/1.jpg"));
        for (n, tells) in [Vec::new(), vec![Sign::Rescan(Missed::Overflow)]].into_iter().enumerate() {
            rig.dest.write(&edited, format!("sent by the other host, of which this one heard nothing: {n}"));
            rig.source.write(&edited, format!("edited again: {n}"));
            rig.tell([Sign::Finished(edited.clone())]);
            // Now it looks again by itself less often than every minute.
            rig.later(120).await;
            assert_eq!(rig.job().conflict_count, 1);
            rig.dest.write(&edited, format!("edited again: {n}"));
            // It looks again by itself, or a look at all of the source finds it, which asks the other side.
            let wait = if tells.is_empty() { 300 } else { 10 };
            rig.tell(tells);
            rig.later(wait).await;
            assert_eq!((rig.job().conflict_count, rig.job().totals.cycles_both), (0, 1));
        }
    })
    .await;
}

const BY_ITSELF: Rhythm = Rhythm { scan_ns: None, list_ns: None };

fn hourly() -> Schedule {
    Schedule::cron("0 * * * *", jiff::tz::TimeZone::UTC).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_run_that_was_not_carried_out_is_made_up_at_once() {
    local(async {
        let this_hour = Timestamp::from_second(HOUR_SHARP).unwrap();
        let rig = Rig::begin_after(3, BY_ITSELF, Some(hourly()), Past::Done(this_hour)).await;
        assert_eq!((rig.job().totals.cycles_both, rig.job().phase), (0, Phase::Idle));
        let rig = Rig::begin_after(3, BY_ITSELF, Some(hourly()), Past::Undone(this_hour)).await;
        assert!(rig.is_equal());
        rig.later(3_500).await;
        assert_eq!(rig.job().totals.cycles_both, 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_an_hour_repeats_no_run_and_stops_none() {
    local(async {
        let this_hour = Timestamp::from_second(HOUR_SHARP).unwrap();
        let rig = Rig::begin_after(3, BY_ITSELF, Some(hourly()), Past::Done(this_hour)).await;
        rig.later(3_600).await;
        assert_eq!(rig.job().totals.cycles_both, 1, "09:00");
        rig.skew.set(-3_600);
        rig.later(3_700).await;
        assert_eq!(rig.job().totals.cycles_both, 1, "09:00 for the second time");
        rig.later(3_600).await;
        assert_eq!(rig.job().totals.cycles_both, 2, "10:00");
        // What goes by its own rhythm does not look at the wall.
        let every = Schedule::Every(Duration::from_secs(900));
        let rig = Rig::begin(3, BY_ITSELF, Some(every)).await;
        rig.skew.set(-3_600);
        rig.later(3_610).await;
        assert_eq!(rig.job().totals.cycles_both, 5);
        let rig = Rig::watching(3).await;
        rig.skew.set(-3_600);
        rig.source.write(&key("new.jpg"), "new");
        rig.tell([Sign::Finished(key("new.jpg"))]);
        rig.later(1).await;
        assert!(rig.is_equal());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_went_away_while_the_pair_was_lent_is_not_taken_for_gone_at_once() {
    local(async {
        let rig = Rig::watching(30).await;
        let (reply, loan) = oneshot::channel();
        rig.orders.send(Order::Lend(reply)).await.unwrap();
        let loan = loan.await.unwrap();
        rig.source.remove(&key("dir/1.jpg"));
        rig.tell([Sign::Gone(key("dir/1.jpg"))]);
        sleep(Duration::from_millis(100)).await;
        drop(loan);
        sleep(Duration::from_millis(500)).await;
        assert_eq!((rig.job().totals.cycles_both, rig.dest.contents().len()), (2, 30), "an editor may be saving");
        rig.later(5).await;
        assert!(rig.is_equal());
    })
    .await;
}
