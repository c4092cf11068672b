//! Two memory replicas with a manifest between them: whole cycles without a disk or a server.

use std::sync::{Arc, Mutex};

use mediasync::apply::{Origin, Shelf};
use mediasync::lease::Claim;
use mediasync::manifest::{Manifest, Mark, Pair};
use mediasync::model::{Action, Conflict, Filter, Key, Problem, Scope, Side, TrashRule};
use mediasync::plan::{Budget, Compare, Mode, OnConflict, Policy, Raise, Styling};
use mediasync::replica::memory::{Memory, Role};
use mediasync::replica::{Buffers, Error};
use mediasync::sync::{Cycle, Observer, Progress, Report, Run, Stage, run_cycle};

/// A key.
pub fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// What a cycle told.
#[derive(Debug, Default)]
pub struct Heard {
    pub planned: Vec<Action>,
    pub done: Vec<Action>,
    pub problems: Vec<Problem>,
    pub conflicts: Vec<Conflict>,
    pub notices: Vec<String>,
}

/// Collects what a cycle tells.
#[derive(Debug, Default)]
pub struct Ears(pub Mutex<Heard>);

impl Observer for Ears {
    fn action(&self, action: &Action, stage: Stage) {
        let mut heard = self.0.lock().unwrap();
        match stage {
            Stage::Planned => heard.planned.push(action.clone()),
            Stage::Done => heard.done.push(action.clone()),
        }
    }
    fn problem(&self, problem: &Problem) {
        self.0.lock().unwrap().problems.push(problem.clone());
    }
    fn conflict(&self, conflict: &Conflict) {
        self.0.lock().unwrap().conflicts.push(conflict.clone());
    }
    fn notice(&self, text: &str) {
        self.0.lock().unwrap().notices.push(text.to_owned());
    }
}

/// A pair of memory replicas.
pub struct Bench {
    pub source: Arc<Memory>,
    pub dest: Arc<Memory>,
    pub policy: Policy,
    pub styling: Styling,
    pub filter: Arc<Filter>,
    pub scope: Scope,
    pub assumed: Option<Side>,
    pub waits: Option<Mark>,
    pub budget: Budget,
    pub overwrites: Budget,
    pub trash: TrashRule,
    pub lease: Option<Claim>,
    pub now_ns: i64,
    pub ears: Ears,
    state: tempfile::TempDir,
    pair: Pair,
    origin: Origin,
}

impl Bench {
    pub fn new(mode: Mode) -> Self {
        Self {
            source: Arc::new(Memory::new("source", Role::Directory)),
            dest: Arc::new(Memory::new("dest", Role::Bucket)),
            policy: Policy { mode, on_conflict: OnConflict::Report, compare: Compare::Metadata },
            styling: Styling::default(),
            filter: Arc::new(Filter::default()),
            scope: Scope::Whole,
            assumed: None,
            waits: None,
            budget: Budget::Sliding,
            overwrites: Budget::Sliding,
            trash: TrashRule::default(),
            lease: None,
            now_ns: 1_800_000_000_000_000_000,
            ears: Ears::default(),
            state: tempfile::tempdir().unwrap(),
            pair: Pair::new("source", "dest"),
            origin: Origin { job: None, source: None, dest: None, names: ("source".into(), "dest".into()), acl: None },
        }
    }

    /// Another host, with a state of its own and the same places.
    pub fn beside(&self) -> Self {
        Self { source: self.source.clone(), dest: self.dest.clone(), ..Self::new(self.policy.mode) }
    }

    /// Opens the manifest as a run would.
    pub fn manifest(&self) -> Manifest {
        let orientation = self.pair.orientation(mediasync::replica::Replica::name(&*self.source));
        Manifest::open(self.state.path(), &self.pair, orientation).unwrap().manifest
    }

    /// From now on the other way round.
    pub fn turn(&mut self) {
        std::mem::swap(&mut self.source, &mut self.dest);
    }

    /// The manifest is lost.
    pub fn forget_manifest(&self) {
        let dir = self.pair.dir(self.state.path());
        if dir.exists() {
            std::fs::remove_dir_all(dir).unwrap();
        }
    }

    /// What was heard since the last time this was asked.
    pub fn heard(&self) -> Heard {
        std::mem::take(&mut self.ears.0.lock().unwrap())
    }

    pub fn stored_plan(&self, hash: &str) -> std::path::PathBuf {
        mediasync::manifest::PlanFile::path(self.state.path(), &self.pair, hash)
    }

    /// Runs `work` with a cycle, on a runtime of its own.
    pub fn with_cycle<T>(&self, execute: bool, work: impl AsyncFnOnce(Cycle<'_>, &Ears) -> T) -> T {
        let manifest = self.manifest();
        let run = if execute {
            Run::Execute(manifest.begin_run("test", "source", "dest", self.now_ns).unwrap())
        } else {
            Run::DryRun
        };
        let cycle = Cycle {
            source: self.source.clone(),
            dest: self.dest.clone(),
            manifest: &manifest,
            policy: self.policy,
            writes: self.policy.mode.writes(),
            dest_label: "dest",
            styling: self.styling.clone(),
            filter: self.filter.clone(),
            scope: self.scope.clone(),
            assumed: self.assumed,
            waits: self.waits,
            budget: self.budget,
            overwrites: self.overwrites,
            raise: Raise::ByFlag,
            trash: self.trash,
            run,
            concurrency: 4,
            buffers: Buffers::new(24 << 20),
            progress: Arc::new(Progress::default()),
            now_ns: self.now_ns,
            scratch: self.state.path(),
            lease: self.lease.as_ref(),
            lane: None,
            shelf: Shelf { state_dir: self.state.path(), pair: &self.pair, origin: &self.origin },
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(work(cycle, &self.ears))
    }

    /// One executing cycle.
    pub fn try_run(&self) -> Result<Report, Error> {
        self.with_cycle(true, async |cycle, ears| run_cycle(cycle, ears).await)
    }

    /// One executing cycle that must not fail, and a second one that must have nothing to do.
    pub fn run(&self) -> Report {
        let report = self.try_run().unwrap();
        let heard = self.heard();
        if report.ending == mediasync::sync::Ending::Finished && report.problem_count == 0 {
            let again = self.try_run().unwrap();
            assert_eq!(again.planned.changes(), 0, "a second run has something to do: {:?}", self.heard().done);
            assert_eq!(again.planned.records, 0, "a second run records something: {:?}", self.heard().done);
            self.heard();
        }
        *self.ears.0.lock().unwrap() = heard;
        report
    }

    pub fn dry_run(&self) -> Report {
        self.with_cycle(false, async |cycle, ears| run_cycle(cycle, ears).await).unwrap()
    }
}
