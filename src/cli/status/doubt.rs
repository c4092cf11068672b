//! Whether what the last run left still counts while no daemon runs the job.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::{Seen, Subject};
use crate::cli::human;
use crate::cli::setup::Setup;
use crate::cli::shell;
use crate::config;

/// Why a pair that was in sync after its last run may not count as that any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Doubt {
    /// There is no reason: nothing says how often it is to be run, or that was not long ago.
    #[default]
    None,
    /// It is to be watched, and no daemon does.
    Unwatched,
    /// It is to be run by the clock, and was not for longer than it may be.
    Stale(Late),
}

/// A job that nobody ran in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Late {
    /// When the last run began that left nothing.
    equal_ns: i64,
    max_age: Duration,
}

impl Doubt {
    /// What speaks against a pair of whose job no daemon tells.
    pub(super) fn of(subject: &Subject, seen: &Seen, setup: &Setup, now_ns: i64) -> Self {
        let job = setup.config.jobs.iter().find(|job| Some(&job.name) == subject.job.as_ref());
        let began = seen.equal_ns.or_else(|| seen.decisive().map(|run| run.started_ns));
        job.zip(began).map_or(Self::None, |(job, began)| Self::since(&job.daemon, began, now_ns))
    }

    fn since(job: &config::JobDaemon, equal_ns: i64, now_ns: i64) -> Self {
        if job.watch {
            return Self::Unwatched;
        }
        let Some(max_age) = job.max_age else { return Self::None };
        let age = Duration::from_nanos(u64::try_from(now_ns.saturating_sub(equal_ns)).unwrap_or(0));
        if age > max_age { Self::Stale(Late { equal_ns, max_age }) } else { Self::None }
    }

    /// That a job is late, and what ends it.
    pub(super) fn late(self, subject: &Subject, zone: &TimeZone, repeated: &str) -> Option<String> {
        let Self::Stale(Late { equal_ns, max_age }) = self else { return None };
        let (since, allowed) = (human::time(equal_ns, zone), human::duration(max_age));
        let job = shell::word(subject.handle());
        Some(format!(
            "stale: last known to be in sync at {since}; at most {allowed} is allowed, and no daemon runs it\n  \
             hint: mediasync sync {job}{repeated} runs it now, mediasync daemon{repeated} as often as its job says"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_nobody_ran_for_longer_than_its_max_age_is_stale() {
        let second = 1_000_000_000;
        let hourly = config::JobDaemon { max_age: Some(Duration::from_secs(3_600)), ..config::JobDaemon::default() };
        let since = |job: &config::JobDaemon, ago: i64| Doubt::since(job, 10_000 * second, (10_000 + ago) * second);
        assert_eq!((since(&hourly, 3_600), since(&hourly, -5)), (Doubt::None, Doubt::None));
        let late = Late { equal_ns: 10_000 * second, max_age: Duration::from_secs(3_600) };
        assert_eq!(since(&hourly, 3_601), Doubt::Stale(late));
        assert_eq!(since(&config::JobDaemon::default(), 9_999_999), Doubt::None, "it is run by hand only");
        assert_eq!(since(&config::JobDaemon { watch: true, ..hourly }, 1), Doubt::Unwatched);
    }
}
