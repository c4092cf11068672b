//! How every job stands: written by the jobs, read by whoever asks (the socket, HTTP, notifications). Plain values.
//!
//! Times are nanoseconds since the epoch, by the daemon's clock. Nothing here holds a secret: places are as people call
//! them.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use super::board::Board;
pub use super::running::{Retrying, Running};
pub use super::samples::{BUCKET_NS, BUCKETS, Sample};
pub use super::trouble::{Failing, Fault, Halted, Told};

/// A second in nanoseconds.
pub const SECOND: i64 = 1_000_000_000;
/// Problems that are kept with their words; the rest is counted.
pub const LISTED: usize = 100;
/// Cycles that ended and are kept.
pub const RUNS: usize = 20;

/// The wall clock: nanoseconds since the epoch.
pub type Now = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The daemon and its jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DaemonState {
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// When it began.
    pub started_ns: i64,
    /// The configuration that it runs by.
    pub config: Option<String>,
    /// Where it remembers.
    pub state_dir: String,
    /// Why the configuration that was read last is not the one it runs by.
    pub reload_error: Option<String>,
    /// Its jobs, as they stand in the configuration.
    pub jobs: Vec<JobState>,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobState {
    /// Its name.
    pub name: String,
    /// Where content comes from, as people call it.
    pub source: String,
    /// Where it goes.
    pub dest: String,
    /// `copy`, `copy-and-delete`, `mirror`, `two-way`.
    pub mode: String,
    /// Since when the daemon has it.
    #[serde(default)]
    pub since_ns: i64,
    /// What it does now.
    pub phase: Phase,
    /// How it is watched; `None` if it is not.
    pub watch: Option<Watching>,
    /// Keys that were seen to change and are not done yet.
    pub dirty: u64,
    /// Since when the oldest of them is.
    pub dirty_since_ns: Option<i64>,
    /// When both sides were last known to be equal, as far as they were looked at; `None` before the first time.
    pub fresh_ns: Option<i64>,
    /// Since when no run found, made or left a difference; what is dirty may be one. `None` after one that did not end well,
    /// and before the first.
    #[serde(default)]
    pub equal_since_ns: Option<i64>,
    /// When all of the watched side, or of both, was last looked at and left equal.
    #[serde(default)]
    pub checked_ns: Option<i64>,
    /// How old that may become before the job counts as stale, in seconds.
    pub max_age_s: u64,
    /// The cycle under way.
    pub running: Option<Running>,
    /// The last cycle that did something or looked at all.
    pub last: Option<Last>,
    /// The last [`RUNS`] of them, the oldest first.
    #[serde(default)]
    pub runs: VecDeque<Last>,
    /// When the next scheduled look at both sides is.
    pub next_ns: Option<i64>,
    /// Files that are equal on both sides, and their bytes.
    pub synced: (u64, u64),
    /// The first problems that are left.
    pub problems: Vec<Told>,
    /// How many there are.
    pub problem_count: u64,
    /// Of these, those that are no fault of a file.
    #[serde(default)]
    pub unanswered_count: u64,
    /// Conflicts that are left.
    pub conflict_count: u64,
    /// Why a guard refused to go on.
    pub halt: Option<Halted>,
    /// Why the last try failed.
    pub error: Option<Failing>,
    /// Since when it is paused, as far as that is known.
    #[serde(default)]
    pub paused_since_ns: Option<i64>,
    /// Why it counts as paused although nobody is known to have paused it.
    #[serde(default)]
    pub unsure: Option<String>,
    /// While another host holds the lease: when that was last seen to live, by a change of its lease.
    #[serde(default)]
    pub peer_seen_ns: Option<i64>,
    /// Since the daemon began.
    pub totals: Totals,
    /// The last day, the oldest first; without gaps from its first point on only where something was noted.
    pub samples: VecDeque<Sample>,
}

/// What a job does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It has not looked at both sides yet.
    Starting,
    /// It waits for changes or for its time.
    Idle,
    /// A cycle is under way.
    Running,
    /// A person paused it.
    Paused,
    /// A command of a person works on its pair.
    Lent,
    /// A guard refused; a person decides.
    Halted,
    /// The last try failed; it tries again by itself.
    Failing,
    /// Another host holds the lease.
    Standby,
    /// The watched directory is not there, or another one.
    Lost,
}

/// How a directory is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watching {
    /// Whether changes are seen at once.
    pub coverage: Coverage,
    /// Directories that are watched.
    pub directories: u64,
    /// Why it is not everything; in words.
    pub why: Option<String>,
}

/// Whether changes are seen at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coverage {
    /// All of them.
    Full,
    /// Some of them; the rest is found by looking at all, more often than else.
    Degraded,
    /// None: it is looked at every few minutes.
    Polling,
    /// The directory is gone or another one.
    Lost,
}

/// What a cycle looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Look {
    /// Both sides, all of them.
    Both,
    /// The watched side, all of it.
    Watched,
    /// What was seen to change.
    Changes,
}

/// A cycle that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// What it looked at.
    pub look: Look,
    /// When it began.
    pub started_ns: i64,
    /// How long it took, ms.
    pub took_ms: u64,
    /// How it ended.
    pub ending: Ended,
    /// Keys created, overwritten, copied, deleted.
    pub done: Done,
}

/// How a cycle ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// All is done.
    Finished,
    /// Some keys are not.
    Problems,
    /// A guard refused.
    Halted,
    /// It failed.
    Failed,
    /// It was stopped.
    Interrupted,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Done {
    /// Keys created.
    pub creates: u64,
    /// Keys overwritten.
    pub overwrites: u64,
    /// Keys copied inside the destination.
    pub copies: u64,
    /// Keys deleted.
    pub deletes: u64,
    /// Keys that got other headers.
    #[serde(default)]
    pub restyles: u64,
    /// Bytes sent.
    pub bytes: u64,
}

impl Done {
    /// Keys that were changed.
    pub fn changes(&self) -> u64 {
        self.creates + self.overwrites + self.copies + self.deletes + self.restyles
    }

    fn add(&mut self, more: Self) {
        self.creates += more.creates;
        self.overwrites += more.overwrites;
        self.copies += more.copies;
        self.deletes += more.deletes;
        self.restyles += more.restyles;
        self.bytes += more.bytes;
    }
}

/// Sums since the daemon began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Cycles over what changed.
    pub cycles_changes: u64,
    /// Cycles over all of the watched side.
    pub cycles_watched: u64,
    /// Cycles over both sides.
    pub cycles_both: u64,
    /// Cycles that failed.
    pub failures: u64,
    /// Cycles that a guard refused.
    pub halts: u64,
    /// Keys that could not be handled, summed over cycles.
    pub problems: u64,
    /// What was done.
    pub done: Done,
    /// Requests to object stores.
    pub requests: u64,
}

/// Whether a job is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Both sides are equal, as far as anybody can know.
    InSync,
    /// Changes are on their way, and not late.
    Syncing,
    /// A person paused it, and it is not late yet.
    Paused,
    /// Another host holds the lease, lives and does the work: how late that is, it says itself.
    Standby,
    /// Not fresh for longer than it may be.
    Stale,
    /// Some keys could not be handled, or are in conflict.
    Problems,
    /// A guard refused to go on.
    Halted,
}

impl JobState {
    /// A job that has not begun.
    pub fn new(name: &str, places: (&str, &str), mode: &str, max_age_s: u64) -> Self {
        Self {
            name: name.to_owned(),
            source: places.0.to_owned(),
            dest: places.1.to_owned(),
            mode: mode.to_owned(),
            since_ns: 0,
            phase: Phase::Starting,
            watch: None,
            dirty: 0,
            dirty_since_ns: None,
            fresh_ns: None,
            equal_since_ns: None,
            checked_ns: None,
            max_age_s,
            running: None,
            last: None,
            runs: VecDeque::new(),
            next_ns: None,
            synced: (0, 0),
            problems: Vec::new(),
            problem_count: 0,
            unanswered_count: 0,
            conflict_count: 0,
            halt: None,
            error: None,
            paused_since_ns: None,
            unsure: None,
            peer_seen_ns: None,
            totals: Totals::default(),
            samples: VecDeque::new(),
        }
    }

    /// Whether changes are seen at once, so that silence means that nothing changed.
    fn is_watching(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.coverage == Coverage::Full)
            && !matches!(self.phase, Phase::Starting | Phase::Paused | Phase::Lent | Phase::Lost | Phase::Failing)
    }

    /// Whether another host does the work and was seen to live within the time that this job may be behind. A person who
    /// paused this one, or works on its pair, has the last word.
    fn stands_by(&self, now_ns: i64) -> bool {
        let seen_s = self.peer_seen_ns.map(|seen| u64::try_from((now_ns - seen) / SECOND).unwrap_or(0));
        seen_s.is_some_and(|seen| seen <= self.max_age_s) && !matches!(self.phase, Phase::Paused | Phase::Lent)
    }

    /// For how many seconds both sides are not known to be equal: 0 while a watched job has nothing to do. `None` before
    /// they were equal for the first time.
    pub fn lag_s(&self, now_ns: i64) -> Option<u64> {
        let fresh = self.fresh_ns?;
        let since = if self.is_watching() && self.halt.is_none() {
            match self.dirty_since_ns {
                None => return Some(0),
                Some(since) => since,
            }
        } else {
            self.dirty_since_ns.map_or(fresh, |since| since.min(fresh))
        };
        Some(u64::try_from((now_ns - since) / SECOND).unwrap_or(0))
    }

    /// Whether it is as it should be. `started_ns` is when the daemon began: a job that was never fresh may take its
    /// time for that, from then on or since the daemon has it.
    pub fn health(&self, now_ns: i64, started_ns: i64) -> Health {
        let waited = u64::try_from((now_ns - started_ns.max(self.since_ns)) / SECOND).unwrap_or(0);
        let lag = self.lag_s(now_ns);
        let stands_by = self.stands_by(now_ns);
        if self.halt.is_some() {
            Health::Halted
        } else if self.phase == Phase::Lost || self.is_lost() || (!stands_by && lag.unwrap_or(waited) > self.max_age_s)
        {
            Health::Stale
        } else if self.problem_count + self.conflict_count > 0 {
            Health::Problems
        } else if self.phase == Phase::Paused {
            Health::Paused
        } else if stands_by {
            Health::Standby
        } else if lag.is_none()
            || self.dirty > 0
            || self.error.is_some()
            || self.phase == Phase::Starting
            || self.running.as_ref().is_some_and(Running::found_differences)
        {
            Health::Syncing
        } else {
            Health::InSync
        }
    }

    /// Whether nothing can be seen, because the directory is gone or another one.
    fn is_lost(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.coverage == Coverage::Lost)
    }

    /// Whether it never looked at both sides because its schedule has not wanted that yet.
    pub fn awaits_its_first_run(&self) -> bool {
        let rests = self.phase == Phase::Idle && self.running.is_none() && self.error.is_none() && self.last.is_none();
        rests && self.fresh_ns.is_none() && self.next_ns.is_some()
    }

    /// How this job stands under another configuration: what was found out stays, if it is the same job.
    #[must_use]
    pub fn following(self, before: &[Self]) -> Self {
        let is_same = |old: &&Self| {
            (&old.name, &old.source, &old.dest, &old.mode) == (&self.name, &self.source, &self.dest, &self.mode)
        };
        let Some(old) = before.iter().find(is_same) else { return self };
        let (max_age_s, phase, paused_since_ns) = (self.max_age_s, self.phase, self.paused_since_ns);
        Self { max_age_s, phase, running: None, next_ns: None, paused_since_ns, unsure: self.unsure, ..old.clone() }
    }

    /// Counts a cycle that ended.
    pub fn count(&mut self, last: Last, requests: u64, problems: u64) {
        match last.look {
            Look::Changes => self.totals.cycles_changes += 1,
            Look::Watched => self.totals.cycles_watched += 1,
            Look::Both => self.totals.cycles_both += 1,
        }
        match last.ending {
            Ended::Failed => self.totals.failures += 1,
            Ended::Halted => self.totals.halts += 1,
            Ended::Finished | Ended::Problems | Ended::Interrupted => {}
        }
        self.totals.problems += problems;
        self.totals.requests += requests;
        self.totals.done.add(last.done);
        if self.runs.len() == RUNS {
            self.runs.pop_front();
        }
        self.runs.push_back(last.clone());
        self.last = Some(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> JobState {
        let mut job = JobState::new("media", ("/data/media", "s3://b"), "copy", 600);
        job.watch = Some(Watching { coverage: Coverage::Full, directories: 1, why: None });
        job
    }

    #[test]
    fn a_watched_job_without_changes_is_fresh_and_a_late_one_is_stale() {
        let mut job = job();
        assert_eq!(job.health(5 * SECOND, 0), Health::Syncing, "it has not looked yet");
        assert_eq!(job.health(601 * SECOND, 0), Health::Stale);
        (job.phase, job.fresh_ns) = (Phase::Idle, Some(10 * SECOND));
        assert_eq!((job.lag_s(9_999 * SECOND), job.health(9_999 * SECOND, 0)), (Some(0), Health::InSync));
        (job.dirty, job.dirty_since_ns) = (3, Some(9_000 * SECOND));
        assert_eq!((job.lag_s(9_010 * SECOND), job.health(9_010 * SECOND, 0)), (Some(10), Health::Syncing));
        assert_eq!(job.health(9_601 * SECOND, 0), Health::Stale);
        (job.dirty, job.dirty_since_ns, job.problem_count) = (0, None, 1);
        assert_eq!(job.health(9_601 * SECOND, 0), Health::Problems);
        job.phase = Phase::Failing;
        assert_eq!(job.health(9_601 * SECOND, 0), Health::Stale, "silence of a job that fails proves nothing");
        job.halt = Some(Halted { since_ns: 0, ..Halted::new("") });
        assert_eq!(job.health(9_601 * SECOND, 0), Health::Halted);
    }

    #[test]
    fn a_job_that_nobody_watches_is_as_fresh_as_its_last_look() {
        let mut job = JobState { watch: None, ..job() };
        (job.phase, job.fresh_ns) = (Phase::Idle, Some(100 * SECOND));
        assert_eq!((job.lag_s(150 * SECOND), job.health(150 * SECOND, 0)), (Some(50), Health::InSync));
        assert_eq!(job.health(701 * SECOND, 0), Health::Stale);
    }

    #[test]
    fn a_host_that_stands_by_is_well_as_long_as_the_other_one_lives() {
        let mut job = JobState { peer_seen_ns: Some(4_990 * SECOND), phase: Phase::Standby, ..job() };
        assert_eq!((job.lag_s(5_000 * SECOND), job.health(5_000 * SECOND, 0)), (None, Health::Standby), "never looked");
        (job.fresh_ns, job.dirty, job.dirty_since_ns) = (Some(10 * SECOND), 3, Some(20 * SECOND));
        assert_eq!(job.health(5_000 * SECOND, 0), Health::Standby, "it is the other one who is late");
        job.phase = Phase::Running;
        assert_eq!(job.health(5_000 * SECOND, 0), Health::Standby, "while it asks whether that is still so");
        assert_eq!(job.health(5_591 * SECOND, 0), Health::Stale, "nobody was seen to live for max_age");
        job.phase = Phase::Paused;
        assert_eq!(job.health(5_000 * SECOND, 0), Health::Stale, "a paused one takes over from nobody");
        (job.phase, job.problem_count) = (Phase::Standby, 1);
        assert_eq!(job.health(5_000 * SECOND, 0), Health::Problems);
        job.phase = Phase::Lost;
        assert_eq!(job.health(5_000 * SECOND, 0), Health::Stale);
    }

    #[test]
    fn the_last_cycles_are_kept() {
        let mut job = job();
        for n in 0..30 {
            let last =
                Last { look: Look::Both, started_ns: n, took_ms: 1, ending: Ended::Halted, done: Done::default() };
            job.count(last, 2, 1);
        }
        assert_eq!((job.runs.len(), job.runs[0].started_ns, job.runs[RUNS - 1].started_ns), (RUNS, 10, 29));
        assert_eq!((job.totals.cycles_both, job.totals.halts, job.totals.requests), (30, 30, 60));
    }
}
