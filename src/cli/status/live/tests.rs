//! What stands first, and what is not said.

use super::*;
use crate::daemon::state::{Fault, Halted, Retrying};

const NOW: i64 = 1_700_000_000 * SECOND;
static UTC: TimeZone = TimeZone::UTC;

fn daemon() -> DaemonState {
    DaemonState {
        pid: 1,
        version: String::new(),
        started_ns: NOW - 100 * SECOND,
        config: None,
        state_dir: String::new(),
        reload_error: None,
        jobs: Vec::new(),
    }
}

fn teller(daemon: &DaemonState) -> Teller<'_> {
    Teller { daemon, now_ns: NOW, zone: &UTC, repeated: "", restyles: 0 }
}

/// The lines of a job, without those that say how much there is.
fn lines(job: &JobState) -> Vec<String> {
    let daemon = daemon();
    let text = teller(&daemon).job(job).join("\n");
    let lines = text.lines().map(|line| line.trim_start().to_owned());
    lines.filter(|line| !line.starts_with("equal on both sides") && !line.starts_with("watched")).collect()
}

fn watched() -> JobState {
    let mut job = JobState::new("media", ("/data/media", "s3://b"), "copy", 600);
    job.watch = Some(Watching { coverage: Coverage::Full, directories: 1, why: None });
    (job.phase, job.fresh_ns) = (Phase::Idle, Some(NOW - 90 * SECOND));
    job
}

fn failing(retry_ns: i64) -> Failing {
    let retry_ns = Some(retry_ns);
    Failing {
        message: "no route to s3.example.com".to_owned(),
        hint: None,
        since_ns: NOW - 60 * SECOND,
        retry_ns,
        tries: 7,
    }
}

#[test]
fn the_oldest_change_is_as_old_as_it_is_and_not_as_old_as_the_last_sync() {
    let mut job = JobState { watch: None, ..watched() };
    job.phase = Phase::Failing;
    (job.dirty, job.dirty_since_ns) = (3, Some(NOW - 5 * SECOND));
    assert_eq!(job.lag_s(NOW), Some(90));
    let daemon = daemon();
    let teller = teller(&daemon);
    assert_eq!(teller.health(&job), "syncing: 3 files changed, the oldest 5 s ago");
    job.phase = Phase::Paused;
    assert_eq!(teller.health(&job), "paused; 3 files changed meanwhile, the oldest 5 s ago");
    job.fresh_ns = Some(NOW - 900 * SECOND);
    assert!(
        teller.health(&job).ends_with("is allowed; 3 files changed, the oldest 5 s ago"),
        "{}",
        teller.health(&job)
    );
}

#[test]
fn in_sync_is_said_with_since_when_and_when_all_was_checked() {
    let mut job = watched();
    assert_eq!(lines(&job), ["in sync"]);
    (job.equal_since_ns, job.checked_ns) = (Some(NOW - 7_200 * SECOND), Some(NOW - 60 * SECOND));
    assert_eq!(
        lines(&job),
        ["in sync, since 2023-11-14 20:13:20 UTC, for 2 h 0 min; all of it last checked 1 min 0 s ago"]
    );
    // A look that began later does not make it younger.
    job.fresh_ns = Some(NOW);
    assert!(lines(&job)[0].starts_with("in sync, since 2023-11-14 20:13:20 UTC"));
    let scheduled = JobState { watch: None, fresh_ns: Some(NOW - 90 * SECOND), ..job };
    let told = "in sync, as it was looked at 1 min 30 s ago (2023-11-14 22:11:50 UTC); no look found a difference since \
                2023-11-14 20:13:20 UTC";
    assert_eq!(lines(&scheduled), [told]);
}

#[test]
fn that_the_server_does_not_answer_is_said_first_and_not_of_each_file() {
    let told = |message: &str, fault| Told { message: message.to_owned(), hint: None, fault };
    let mut job = JobState { phase: Phase::Failing, error: Some(failing(NOW + 12 * SECOND)), ..watched() };
    (job.dirty, job.dirty_since_ns) = (2, Some(NOW - 70 * SECOND));
    job.problems = vec![told("b.jpg: could not be sent", Fault::Server)];
    (job.problem_count, job.unanswered_count) = (1, 1);
    let first = "failing since 2023-11-14 22:12:20 UTC (7 tries), next try in 12 s: no route to s3.example.com";
    let second = "last known to be in sync at 2023-11-14 22:11:50 UTC, 1 min 30 s ago; 2 files changed, the oldest 1 min 10 s ago";
    assert_eq!(lines(&job), [first, second]);
    assert_eq!(exit(&job, job.health(NOW, 0)).code(), 3);
    job.problems.insert(0, told("a.jpg: can't be read", Fault::File));
    job.problem_count = 2;
    assert_eq!(lines(&job), [first, "left: 1 problem, 0 conflicts", "problem: a.jpg: can't be read"]);
    // While it tries.
    let retrying = Some(Retrying { for_s: 9, message: "503".to_owned() });
    let running = Some(Running { retrying, ..Running::new(Look::Changes, NOW) });
    (job.phase, job.running, job.error) = (Phase::Running, running, Some(failing(NOW)));
    (job.problems, job.problem_count, job.unanswered_count) = (Vec::new(), 0, 0);
    assert!(lines(&job)[0].starts_with("failing since ") && lines(&job)[0].contains(", next try now: "), "{job:?}");
    assert_eq!(exit(&job, job.health(NOW, 0)).code(), 3, "not in between, either");
    job.error = None;
    assert_eq!(lines(&job)[0], "retrying for 9 s: 503");
}

#[test]
fn a_pause_hides_nothing_and_nothing_hides_a_pause() {
    let mut job = JobState { phase: Phase::Paused, paused_since_ns: Some(NOW - 30 * SECOND), ..watched() };
    let hint = "hint: to go on: mediasync resume media";
    let since = "paused since 2023-11-14 22:12:50 UTC";
    let known = "last known to be in sync at 2023-11-14 22:11:50 UTC, 1 min 30 s ago";
    assert_eq!(lines(&job), [format!("{since}; {known}"), hint.to_owned()]);
    job.problems = vec![Told { message: "a.jpg: can't be read".to_owned(), hint: None, fault: Fault::File }];
    job.problem_count = 1;
    let paused = format!("{since}: nothing is done until somebody resumes it");
    assert_eq!(lines(&job), [&paused, "left: 1 problem, 0 conflicts", hint, "problem: a.jpg: can't be read"]);
    job.halt = Some(Halted { since_ns: NOW, again_ns: Some(NOW + 60 * SECOND), ..Halted::new("too many") });
    let told = lines(&job);
    assert_eq!(
        told[..3],
        [paused, format!("halted; {known}"), "halted at 2023-11-14 22:13:20 UTC: too many".to_owned()]
    );
    assert!(!told.iter().any(|line| line.contains("looks again")), "not while it is paused: {told:?}");
    job.phase = Phase::Halted;
    assert_eq!(lines(&job)[2], "looks again by itself, in 1 min 0 s");
}
