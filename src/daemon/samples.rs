//! The last day of a job in stretches of five minutes, for charts.

use serde::{Deserialize, Serialize};

use super::settle::Clock;
use super::state::{Board, Done, JobState, SECOND};

/// A point of the charts stands for this much time.
pub const BUCKET_NS: i64 = 5 * 60 * SECOND;
/// A day of them.
pub const BUCKETS: usize = 288;

/// What happened in one stretch of time, [`BUCKET_NS`] long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// When the stretch began: a multiple of its length.
    pub at_ns: i64,
    /// The longest that a change waited, or the job was not known to be fresh, in seconds.
    pub lag_s: u64,
    /// Keys changed.
    pub changes: u64,
    /// Bytes sent.
    pub bytes: u64,
}

impl JobState {
    /// Adds to the sample of `now_ns`, and forgets what is older than a day.
    pub fn note(&mut self, now_ns: i64, lag_s: u64, done: Done) {
        let at_ns = now_ns - now_ns.rem_euclid(BUCKET_NS);
        // A clock that was set back adds to the last point.
        if self.samples.back().is_none_or(|last| last.at_ns < at_ns) {
            self.samples.push_back(Sample { at_ns, lag_s: 0, changes: 0, bytes: 0 });
        }
        while self.samples.len() > BUCKETS {
            self.samples.pop_front();
        }
        if let Some(last) = self.samples.back_mut() {
            last.lag_s = last.lag_s.max(lag_s);
            last.changes += done.changes();
            last.bytes += done.bytes;
        }
    }
}

/// Notes once a stretch how each job stands, so that silence can be told from a daemon that did not run. Never ends.
pub async fn keep(board: &Board, clock: Clock) {
    loop {
        let now = clock.now_ns();
        board.change(|state| {
            for job in &mut state.jobs {
                let lag = job.lag_s(now).unwrap_or(0);
                job.note(now, lag, Done::default());
            }
        });
        tokio::time::sleep_until(clock.at(now - now.rem_euclid(BUCKET_NS) + BUCKET_NS)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> JobState {
        JobState::new("media", ("/data/media", "s3://b"), "copy", 600)
    }

    #[test]
    fn samples_are_a_day_in_points_of_five_minutes() {
        let mut job = job();
        let done = Done { creates: 1, bytes: 10, ..Done::default() };
        job.note(1, 5, done);
        job.note(BUCKET_NS - 1, 3, done);
        assert_eq!(job.samples, [Sample { at_ns: 0, lag_s: 5, changes: 2, bytes: 20 }]);
        for n in 1..1_000 {
            job.note(n * BUCKET_NS, 0, done);
        }
        assert_eq!(job.samples.len(), BUCKETS);
        job.note(0, 9, done);
        assert_eq!((job.samples.len(), job.samples[BUCKETS - 1].lag_s), (BUCKETS, 9), "a clock that was set back");
    }
}
