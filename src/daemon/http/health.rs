//! `/healthz`: 200 while no job is staler than its `max_age` or halted, else 503, with a line a job that says how it
//! stands. `?job=NAME` asks for one.

use std::fmt::Write as _;

use hyper::StatusCode;
use percent_encoding::percent_decode_str;

use super::{Answer, text};
use crate::daemon::state::{DaemonState, Health, JobState};
use crate::model::Escaped;

/// The answer; 404 for a job that is not there.
pub(super) fn answer(state: &DaemonState, query: Option<&str>, now_ns: i64) -> Answer {
    let asked = match asked(query.unwrap_or("")) {
        Ok(asked) => asked,
        Err(words) => return text(StatusCode::BAD_REQUEST, words),
    };
    let jobs: Vec<&JobState> =
        state.jobs.iter().filter(|job| asked.as_ref().is_none_or(|name| *name == job.name)).collect();
    if let (Some(name), true) = (&asked, jobs.is_empty()) {
        return text(StatusCode::NOT_FOUND, format!("There is no job {}.\n", Escaped(name)));
    }
    let fails = jobs.iter().any(|job| job.health(now_ns, state.started_ns).fails());
    let (status, word) = if fails { (StatusCode::SERVICE_UNAVAILABLE, "failing") } else { (StatusCode::OK, "ok") };
    let body = jobs.iter().fold(format!("{word}\n"), |body, job| body + &line(job, now_ns, state.started_ns) + "\n");
    text(status, body)
}

/// The job that a query asks for, if it asks for one.
fn asked(query: &str) -> Result<Option<String>, String> {
    let mut asked = None;
    for (name, value) in
        query.split('&').filter(|part| !part.is_empty()).map(|part| part.split_once('=').unwrap_or((part, "")))
    {
        // A misspelt question about one job must not be answered for all.
        if name != "job" || asked.is_some() {
            return Err("The only question is ?job=NAME.\n".to_owned());
        }
        let value = value.replace('+', " ");
        asked = Some(percent_decode_str(&value).decode_utf8_lossy().into_owned());
    }
    Ok(asked)
}

fn line(job: &JobState, now_ns: i64, started_ns: i64) -> String {
    let health = job.health(now_ns, started_ns);
    let mut line = format!("{}: {}", Escaped(&job.name), health.name());
    if job.is_paused() && health != Health::Paused {
        line += ", paused";
    }
    let written = match job.lag_s(now_ns) {
        Some(lag) => write!(line, ", {lag} s behind"),
        None => write!(line, ", not in sync yet"),
    };
    written.expect("a String takes all");
    let why = match (health, &job.halt, &job.error) {
        (Health::Halted, Some(halt), _) => Some(&halt.message),
        (_, _, Some(error)) => Some(&error.message),
        _ => None,
    };
    let left = job.problem_count + job.conflict_count;
    if let Some(why) = why {
        line = format!("{line}: {}", Escaped(why));
    } else if left > 0 {
        line = format!("{line}: {left} {} left", if left == 1 { "problem" } else { "problems" });
    }
    line
}
