//! What the journal of a pair says of its runs, in the words of a job's state: a job begins where the last run left it,
//! and what a person ran through the daemon is told as what it ran itself.
//!
//! Reads only. What can't be read is not known, and is never taken for well.

use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;

use crate::cli::json::Record;
use crate::cli::resolve::Task;
use crate::cli::{shell, wire};
use crate::daemon::job::Past;
use crate::daemon::state::{Done, Ended, Halted, JobState, Last, Look};
use crate::daemon::trouble::Waits;
use crate::manifest::{Manifest, Run, RunId};

/// The journal of the pair of a task; `None` before its first run.
pub(super) fn open(task: &Task, state_dir: &Path) -> Option<Manifest> {
    let pair = wire::pair(&task.source, &task.dest);
    let orientation = pair.orientation(&task.source.location.canonical());
    Manifest::open_read_only(state_dir, &pair, orientation).ok()?
}

/// When a job looks at both sides first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    AtItsTime,
    AtOnce,
}

/// What a daemon that begins knows of a job from the runs before.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// The last look at both sides.
    whole: Option<Run>,
    /// When both sides were equal.
    equal_ns: Option<i64>,
    /// Problems and conflicts that the last look left.
    left: (u64, u64),
    synced: (u64, u64),
}

impl Remembered {
    /// What the journal of a pair says.
    pub(super) fn of(manifest: &Manifest) -> Self {
        let whole = manifest.whole_run().ok().flatten();
        let settled = whole.as_ref().map_or(0, |whole| manifest.resolved_since(whole.id).unwrap_or(0));
        let record = whole.as_ref().and_then(record);
        let count = |field: &str| number(record.as_ref().and_then(|record| record.summary.as_ref()), field);
        let left = (count("problems"), count("conflicts").saturating_sub(settled));
        Self {
            left,
            equal_ns: manifest.equal_at().ok().flatten(),
            synced: manifest.base_totals().unwrap_or_default(),
            whole,
        }
    }

    /// A run that failed, was killed or waits for somebody was not done: its slot has passed, and nobody would hear of it
    /// before the next one.
    pub(super) fn past(&self) -> Past {
        let Some(run) = &self.whole else { return Past::Never };
        let Ok(at) = Timestamp::from_nanosecond(run.started_ns.into()) else { return Past::Never };
        match run.ending.as_deref() {
            Some("finished" | "problems") => Past::Done(at),
            _ => Past::Undone(at),
        }
    }

    /// How a job stands that this daemon did not run yet. What is watched looks at once: when it was in sync before says
    /// nothing of how long it was away.
    ///
    /// `repeated` are the flags that a command needs to find the same configuration.
    pub(super) fn tell(&self, job: &mut JobState, first: First, repeated: &str, now_ns: i64) {
        if job.fresh_ns.is_some() || job.last.is_some() {
            return;
        }
        job.synced = self.synced;
        job.halt = self.halt(&job.name, repeated);
        if first == First::AtOnce {
            return;
        }
        // A time to come is one by a clock that was wrong.
        job.fresh_ns = self.equal_ns.filter(|at| *at <= now_ns);
        (job.problem_count, job.conflict_count) = self.left;
        job.last = self.whole.as_ref().and_then(|run| Some(last(run, Look::Both)?.last));
        if let Some(ended_ns) = self.whole.as_ref().and_then(|run| run.ended_ns).filter(|at| *at <= now_ns)
            && let Some(last) = job.last.clone()
        {
            job.ran(&last, ended_ns, Waits::Nothing);
        }
        job.runs.extend(job.last.clone());
    }
}

impl Remembered {
    /// A halt lasts until a look finds that all may go on: no restart silences the alarm.
    fn halt(&self, job: &str, repeated: &str) -> Option<Halted> {
        let run = self.whole.as_ref().filter(|run| run.ending.as_deref() == Some("halted"))?;
        let record = record(run)?;
        let command = record.plan.as_ref().map(|plan| approve(job, plan, repeated));
        Some(Halted { plan: record.plan, command, since_ns: run.started_ns, ..Halted::new(record.halt?) })
    }
}

/// The command that carries out the plan of a halt.
pub(super) fn approve(job: &str, plan: &str, repeated: &str) -> String {
    format!("mediasync approve {} {plan}{repeated}", shell::word(job))
}

/// A run of the journal, as a job tells it.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) last: Last,
    requests: u64,
    pub(super) problems: u64,
}

impl Ran {
    /// Puts what somebody ran among what the job ran itself. The job looks after it; until then it stands as this left it.
    pub(super) fn tell(self, job: &mut JobState, now_ns: i64) {
        let Self { last, requests, problems } = self;
        if (last.look, last.ending) == (Look::Both, Ended::Finished) && last.started_ns <= now_ns {
            job.fresh_ns = job.fresh_ns.max(Some(last.started_ns));
        }
        job.ran(&last, now_ns, Waits::Nothing);
        job.note(now_ns, 0, last.done);
        job.count(last, requests, problems);
    }
}

/// A run of the journal; `None` if it has not ended.
pub(super) fn last(run: &Run, look: Look) -> Option<Ran> {
    let summary = record(run).and_then(|record| record.summary);
    let done = summary.as_ref().and_then(|summary| summary.get("done"));
    let count = |field| number(done, field);
    let ending = match run.ending.as_deref()? {
        "finished" => Ended::Finished,
        "problems" => Ended::Problems,
        "halted" => Ended::Halted,
        "interrupted" => Ended::Interrupted,
        _ => Ended::Failed,
    };
    let took_ns = run.ended_ns?.saturating_sub(run.started_ns);
    let done = Done {
        creates: count("creates"),
        overwrites: count("overwrites"),
        copies: count("copies"),
        deletes: count("deletes"),
        restyles: count("restyles"),
        bytes: count("bytes_sent"),
    };
    let requests = summary.as_ref().and_then(|summary| summary.get("requests")).and_then(Value::as_object);
    let requests = requests.map_or(0, |requests| requests.values().filter_map(Value::as_u64).sum());
    let took_ms = u64::try_from(took_ns / 1_000_000).unwrap_or(0);
    let last = Last { look, started_ns: run.started_ns, took_ms, ending, done };
    Some(Ran { last, requests, problems: number(summary.as_ref(), "problems") })
}

/// The newest run of a journal.
pub(super) fn newest(manifest: Option<&Manifest>) -> Option<Run> {
    manifest?.runs(1).ok()?.pop()
}

/// Whether a run is newer than one that was the newest.
pub(super) fn is_after(run: &Run, before: Option<RunId>) -> bool {
    before.is_none_or(|before| run.id > before)
}

fn record(run: &Run) -> Option<Record> {
    serde_json::from_str(run.summary_json.as_deref()?).ok()
}

fn number(of: Option<&Value>, field: &str) -> u64 {
    of.and_then(|of| of.get(field)?.as_u64()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Orientation;

    const HOUR: i64 = 3_600_000_000_000;

    fn ran(manifest: &Manifest, at: i64, ending: &str, summary: &str) {
        let run = manifest.begin_run("daemon", "a", "b", at).unwrap();
        manifest.set_whole_run(run).unwrap();
        let record = format!("{{\"summary\":{summary}}}");
        manifest.finish_run(run, ending, &record, at + 2_000_000_000).unwrap();
    }

    fn told(manifest: &Manifest, now: i64) -> (JobState, Past) {
        let remembered = Remembered::of(manifest);
        let mut job = JobState::new("backup", ("s3://b", "/backup"), "mirror", 7_200);
        remembered.tell(&mut job, First::AtItsTime, " --config c", now);
        (job, remembered.past())
    }

    #[test]
    fn a_job_begins_where_its_last_run_left_it() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        let (job, past) = told(&manifest, HOUR);
        assert_eq!((job.fresh_ns, job.last, past), (None, None, Past::Never));
        let summary = "{\"done\":{\"creates\":3,\"deletes\":1,\"bytes_sent\":9},\"problems\":0,\"conflicts\":0}";
        ran(&manifest, HOUR, "finished", summary);
        let (job, past) = told(&manifest, 2 * HOUR);
        let last = job.last.clone().unwrap();
        assert_eq!((job.fresh_ns, job.lag_s(2 * HOUR), job.runs.len()), (Some(HOUR), Some(3_600), 1));
        let ended = Some(HOUR + 2_000_000_000);
        assert_eq!((job.equal_since_ns, job.checked_ns), (ended, ended));
        assert_eq!((last.ending, last.took_ms, last.done.creates, last.done.bytes), (Ended::Finished, 2_000, 3, 9));
        assert!(matches!(past, Past::Done(_)));
        assert_eq!(told(&manifest, HOUR - 1).0.fresh_ns, None, "by a clock that was wrong");
        // What went wrong since does not make it older or newer.
        ran(&manifest, 2 * HOUR, "failed", "null");
        let (job, past) = told(&manifest, 3 * HOUR);
        assert_eq!((job.fresh_ns, job.equal_since_ns), (Some(HOUR), None));
        assert_eq!(job.last.unwrap().ending, Ended::Failed);
        assert!(matches!(past, Past::Undone(_)));
        ran(&manifest, 3 * HOUR, "halted", "{},\"halt\":\"too many\",\"plan\":\"1f3a\",\"x\":{}");
        let halt = told(&manifest, 4 * HOUR).0.halt.unwrap();
        assert_eq!((halt.message.as_str(), halt.since_ns), ("too many", 3 * HOUR));
        assert_eq!(halt.command.as_deref(), Some("mediasync approve backup 1f3a --config c"));
        let mut watched = JobState::new("backup", ("s3://b", "/backup"), "mirror", 7_200);
        Remembered::of(&manifest).tell(&mut watched, First::AtOnce, "", 4 * HOUR);
        assert_eq!((watched.halt.is_some(), watched.fresh_ns, watched.last), (true, None, None));
        ran(&manifest, 3 * HOUR, "problems", "{\"problems\":2,\"conflicts\":1}");
        let (job, _) = told(&manifest, 4 * HOUR);
        assert_eq!((job.fresh_ns, job.problem_count, job.conflict_count), (Some(HOUR), 2, 1));
    }

    #[test]
    fn what_somebody_ran_is_told_as_what_the_job_ran_itself() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        let mut job = JobState::new("backup", ("s3://b", "/backup"), "mirror", 7_200);
        let mut tell = |summary: &str, (at, ending): (i64, &str), look: Look| {
            ran(&manifest, at, ending, summary);
            last(&newest(Some(&manifest)).unwrap(), look).unwrap().tell(&mut job, at + HOUR);
            job.clone()
        };
        let summary = "{\"done\":{\"creates\":3,\"bytes_sent\":9},\"requests\":{\"PUT\":3,\"LIST\":1},\"problems\":0}";
        let job = tell(summary, (HOUR, "finished"), Look::Both);
        assert_eq!((job.fresh_ns, job.totals.done.creates, job.totals.requests), (Some(HOUR), 3, 4));
        assert_eq!((job.samples[0].changes, job.samples[0].bytes, job.runs.len()), (3, 9, 1));
        for (at, ending, look) in
            [(2, "problems", Look::Both), (3, "halted", Look::Both), (4, "finished", Look::Changes)]
        {
            assert_eq!(tell("{}", (at * HOUR, ending), look).fresh_ns, Some(HOUR), "{ending}");
        }
    }

    #[test]
    fn what_this_daemon_knows_is_not_replaced_by_what_a_journal_says() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        ran(&manifest, HOUR, "finished", "{}");
        let mut job = JobState::new("backup", ("s3://b", "/backup"), "mirror", 7_200);
        (job.fresh_ns, job.problem_count) = (Some(2 * HOUR), 5);
        let before = job.clone();
        Remembered::of(&manifest).tell(&mut job, First::AtItsTime, "", 3 * HOUR);
        assert_eq!(job, before);
    }
}
