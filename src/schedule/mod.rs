//! [`Schedule`]: when a job runs next. Pure: the clock is an argument, nothing here waits.
//!
//! Promises: a run that was missed is made up once, however many were; each slot of a cron line runs exactly once, also
//! where daylight saving skips or doubles it; a clock that was set back neither repeats a slot that ran nor makes a job
//! wait for more than a day beyond its next slot. Does not know whether a job is running: one job never overlapping
//! itself is the business of who runs it.

mod cron;

use std::fmt;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

pub use cron::{Cron, zone};

/// A start that lies further in the future than this was recorded by a clock that was wrong.
const CREDIBLE: SignedDuration = SignedDuration::from_hours(24);

/// The longest time to sleep before the wall clock is looked at again: it may be set while somebody sleeps, and a
/// machine may be suspended.
pub const LONGEST_NAP: Duration = Duration::from_secs(60);

/// When a job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// So long after the last start.
    Every(Duration),
    /// By the wall clock.
    Cron(Cron),
}

/// Whether a job is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Not before this time.
    At(Timestamp),
    /// Now, since this time; the first of all runs that were missed, which one run makes up for.
    Now(Timestamp),
}

impl Schedule {
    /// A cron line of five fields, by the wall clock of a zone.
    ///
    /// # Errors
    /// A sentence without a final stop that says what is wrong and how to write it.
    pub fn cron(line: &str, zone: TimeZone) -> Result<Self, String> {
        Cron::new(line, zone).map(Self::Cron)
    }

    /// The first time after `after` that it names, at or beyond the end of all times [`Timestamp::MAX`].
    ///
    /// With [`Schedule::Every`], `after` is when the last run started.
    pub fn next(&self, after: Timestamp) -> Timestamp {
        match self {
            Self::Every(time) => after.saturating_add(*time).unwrap_or(Timestamp::MAX),
            Self::Cron(cron) => cron.next(after),
        }
    }

    /// Whether a run is due, by the wall clock. `last_started` is when the last run began that is known of, however it
    /// ended.
    ///
    /// A job that never ran is due at once with [`Schedule::Every`], and at the next slot of a cron line. While a process
    /// runs it counts [`Schedule::Every`] by the monotonic clock; this is for its start.
    pub fn due(&self, last_started: Option<Timestamp>, now: Timestamp) -> Due {
        let next = match (self, last_started) {
            (Self::Every(_), None) => now,
            (Self::Every(_), Some(last)) => self.next(last.min(now)),
            (Self::Cron(_), Some(last)) if last.duration_since(now) <= CREDIBLE => self.next(last),
            (Self::Cron(_), _) => self.next(now),
        };
        if next <= now { Due::Now(next) } else { Due::At(next) }
    }

    /// The longest time between two starts, if each comes in time.
    pub fn longest(&self) -> Duration {
        match self {
            Self::Every(time) => *time,
            Self::Cron(cron) => cron.longest(),
        }
    }
}

impl Due {
    /// How long to sleep before asking again: until it is due, and [`LONGEST_NAP`] at most.
    pub fn nap(self, now: Timestamp) -> Duration {
        match self {
            Self::Now(_) => Duration::ZERO,
            Self::At(at) => Duration::try_from(at.duration_since(now)).unwrap_or_default().min(LONGEST_NAP),
        }
    }
}

/// `every 15m`, `0 3 * * * (Europe/Zurich)`.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(time) => {
                let units = [(7 * 24 * 3600, "w"), (24 * 3600, "d"), (3600, "h"), (60, "m"), (1, "s")];
                let seconds = time.as_secs();
                let (unit, name) = units.into_iter().find(|(unit, _)| seconds % unit == 0).unwrap_or((1, "s"));
                write!(f, "every {}{name}", seconds / unit)
            }
            Self::Cron(cron) => cron.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
