//! How things stand, for scripts: the shapes of docs/json.md.

use serde_json::{Value, json};

use super::{Seen, State, Subject, record};
use crate::cli::json::time;
use crate::cli::setup::{Setup, shown};
use crate::daemon::state::{DaemonState, JobState, Told};
use crate::manifest::Run;

/// A subject for scripts.
pub(super) fn status(
    subject: &Subject,
    seen: &Seen,
    (daemon, paused): (Option<&Value>, Option<bool>),
    setup: &Setup,
) -> Value {
    json!({
        "v": 1,
        "type": "status",
        "job": subject.job,
        "pair": subject.pair.id(),
        "source": subject.names.0,
        "destination": subject.names.1,
        "state": State::of(seen),
        "files": seen.synced.0,
        "bytes": seen.synced.1,
        "restyles_waiting": seen.restyles,
        "run": seen.run.as_ref().map(run_fields),
        "whole_run": seen.whole.as_ref().map(run_fields),
        "paused": paused,
        "daemon": daemon,
        "config": setup.config_file.as_deref().map(shown),
        "state_dir": shown(&setup.state_dir),
    })
}

/// A job that only the daemon knows.
pub(super) fn unknown(job: &JobState, (daemon, paused): (&Value, Option<bool>), setup: &Setup) -> Value {
    json!({
        "v": 1,
        "type": "status",
        "job": job.name,
        "pair": null,
        "source": job.source,
        "destination": job.dest,
        "state": null,
        "files": job.synced.0,
        "bytes": job.synced.1,
        "restyles_waiting": null,
        "run": null,
        "whole_run": null,
        "paused": paused,
        "daemon": daemon,
        "config": setup.config_file.as_deref().map(shown),
        "state_dir": shown(&setup.state_dir),
    })
}

/// What the daemon says of a job, and who it is.
pub(super) fn daemon(state: &DaemonState, job: &JobState, now_ns: i64) -> Value {
    let watch = job.watch.as_ref().map(
        |watch| json!({ "coverage": watch.coverage.name(), "directories": watch.directories, "reason": watch.why }),
    );
    let running = job.running.as_ref().map(|running| {
        json!({
            "look": running.look.name(),
            "since": time(running.since_ns),
            "actions": running.actions,
            "actions_done": running.actions_done,
            "bytes_to_send": running.bytes_to_send,
            "bytes_sent": running.bytes_sent,
            "retrying": running.retrying.as_ref().map(|it| json!({ "seconds": it.for_s, "reason": it.message })),
        })
    });
    let last = job.last.as_ref().map(|last| {
        json!({
            "look": last.look.name(),
            "started": time(last.started_ns),
            "took_ms": last.took_ms,
            "ending": last.ending,
            "creates": last.done.creates,
            "overwrites": last.done.overwrites,
            "copies": last.done.copies,
            "deletes": last.done.deletes,
            "restyles": last.done.restyles,
            "bytes_sent": last.done.bytes,
        })
    });
    let halt = job.halt.as_ref().map(|halt| {
        json!({
            "message": halt.message,
            "plan": halt.plan,
            "command": halt.command,
            "since": time(halt.since_ns),
            "next_look": halt.again_ns.and_then(time),
        })
    });
    let failure = job.error.as_ref().map(|error| {
        json!({
            "message": error.message,
            "hint": error.hint,
            "since": time(error.since_ns),
            "next_try": error.retry_ns.and_then(time),
            "tries": error.tries,
        })
    });
    let problem = |told: &Told| json!({ "message": told.message, "hint": told.hint, "fault": told.fault });
    let problems: Vec<Value> = job.problems.iter().map(problem).collect();
    json!({
        "pid": state.pid,
        "version": state.version,
        "since": time(state.started_ns),
        "config": state.config,
        "reload_error": state.reload_error,
        "health": job.health(now_ns, state.started_ns).name(),
        "phase": job.phase,
        "fresh": job.fresh_ns.and_then(time),
        "in_sync_since": job.in_sync_since(now_ns, state.started_ns).and_then(time),
        "checked": job.checked_ns.and_then(time),
        "paused_since": job.paused_since_ns.and_then(time),
        "lag_seconds": job.lag_s(now_ns),
        "max_age_seconds": job.max_age_s,
        "dirty_keys": job.dirty,
        "dirty_since": job.dirty_since_ns.and_then(time),
        "watch": watch,
        "running": running,
        "last": last,
        "next": job.next_ns.and_then(time),
        "problem_keys": job.problem_count,
        "problems": problems,
        "conflict_keys": job.conflict_count,
        "other_host_seen": job.peer_seen_ns.and_then(time),
        "halt": halt,
        "failure": failure,
    })
}

/// A run for scripts.
pub(super) fn run(subject: &Subject, run: &Run) -> Value {
    let mut line = json!({ "v": 1, "type": "run", "job": subject.job, "pair": subject.pair.id() });
    if let (Some(line), Value::Object(fields)) = (line.as_object_mut(), run_fields(run)) {
        line.extend(fields);
    }
    line
}

fn run_fields(run: &Run) -> Value {
    let record = record(run);
    json!({
        "command": run.command,
        "source": run.source,
        "destination": run.dest,
        "started": time(run.started_ns),
        "ended": run.ended_ns.and_then(time),
        "ending": run.ending,
        "summary": record.as_ref().and_then(|record| record.summary.clone()),
        "halt": record.as_ref().and_then(|record| record.halt.clone()),
        "plan": record.as_ref().and_then(|record| record.plan.clone()),
        "error": record.as_ref().and_then(|record| record.error.clone()),
    })
}
