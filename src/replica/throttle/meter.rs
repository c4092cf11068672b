//! [`Rates`] say how many bytes a second may go now; a [`Meter`] makes whoever spends bytes wait accordingly.
//!
//! Bytes are paid for in slices of a fiftieth of a second, in turns. So a large body of one member does not keep the small
//! one of another waiting, and a new rate holds from the next slice on.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::time::Instant;

use super::timetable::Timetable;
use super::turns::Turns;

/// Slices in a second.
const SLICES: u64 = 50;

/// How many bytes a second may go now.
#[derive(Clone)]
pub struct Rates {
    table: Timetable,
    /// Which minute of the day it is.
    minute: Arc<dyn Fn() -> u16 + Send + Sync>,
}

impl fmt::Debug for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rates").field("table", &self.table).finish_non_exhaustive()
    }
}

impl Rates {
    /// The same at all times; `None` is no limit.
    pub fn always(bytes_per_second: Option<u64>) -> Self {
        Self::by(Timetable::always(bytes_per_second), || 0)
    }

    /// By a timetable and a clock, which tells the minute of the day, counted from 0.
    pub fn by(table: Timetable, minute: impl Fn() -> u16 + Send + Sync + 'static) -> Self {
        Self { table, minute: Arc::new(minute) }
    }

    /// By a timetable and this machine's clock, in a zone (`None` is the system's); no limit without a table.
    pub fn local(table: Option<&Timetable>, zone: Option<&TimeZone>) -> Self {
        let Some(table) = table else { return Self::always(None) };
        let zone = zone.cloned().unwrap_or_else(TimeZone::system);
        Self::by(table.clone(), move || {
            let now = zone.to_datetime(Timestamp::now());
            u16::from(now.hour().unsigned_abs()) * 60 + u16::from(now.minute().unsigned_abs())
        })
    }

    /// Bytes a second now; `None` is no limit.
    pub fn now(&self) -> Option<u64> {
        let rate = self.table.constant().unwrap_or_else(|| self.table.at((self.minute)()));
        rate.filter(|rate| *rate > 0)
    }
}

/// Makes whoever spends bytes wait.
#[derive(Debug)]
pub(super) struct Meter {
    rates: Rates,
    turns: Arc<Turns>,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    /// Bytes that may go now; negative while earlier ones are still being paid for.
    credit: f64,
    at: Instant,
}

impl Bucket {
    /// Takes bytes, and says how long they are to be waited for.
    #[expect(clippy::cast_precision_loss, reason = "rates and bodies are far below 2^53 bytes")]
    fn take(&mut self, bytes: u64, rate: u64) -> Duration {
        let rate = rate as f64;
        let now = Instant::now();
        let earned = now.duration_since(self.at).as_secs_f64() * rate;
        // One second of silence may be made up for, not more.
        self.credit = (self.credit + earned).min(rate) - bytes as f64;
        self.at = now;
        Duration::from_secs_f64((-self.credit / rate).max(0.0))
    }
}

impl Meter {
    pub(super) fn new(rates: Rates) -> Self {
        let bucket = Bucket { credit: f64::INFINITY, at: Instant::now() };
        Self { rates, turns: Turns::new(1), bucket: Mutex::new(bucket) }
    }

    /// Waits until a member may send or receive `bytes`.
    pub(super) async fn spend(&self, member: u64, bytes: u64) {
        let mut left = bytes;
        while left > 0 {
            let Some(rate) = self.rates.now() else { return };
            let slice = left.min((rate / SLICES).max(1));
            let _turn = self.turns.take(member, slice).await;
            // It may have been a long time.
            let Some(rate) = self.rates.now() else { return };
            left -= slice;
            let wait = self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(slice, rate);
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
        }
    }
}
