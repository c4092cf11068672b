//! The server's clock, as far as its answers tell it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_types::date_time::{DateTime, Format};

/// How far the server's clock is from ours.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// The server's clock minus ours, ns.
    skew_ns: AtomicI64,
}

impl Clock {
    /// The server's time now, ns since the epoch.
    pub(super) fn now_ns(&self) -> i64 {
        now_ns().saturating_add(self.skew_ns.load(Ordering::Relaxed))
    }

    /// The server's time now.
    pub(super) fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(self.now_ns()).unwrap_or(0))
    }

    /// Notes the `Date` of an answer.
    pub(super) fn saw_date(&self, http_date: &str) {
        if let Ok(date) = DateTime::from_str(http_date, Format::HttpDate) {
            let skew = date.secs().saturating_mul(1_000_000_000).saturating_sub(now_ns());
            // The header counts whole seconds: less is no skew.
            let skew = if skew.abs() < 2_000_000_000 { 0 } else { skew };
            self.skew_ns.store(skew, Ordering::Relaxed);
        }
    }
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_clock_is_followed_from_two_seconds_on() {
        let clock = Clock::default();
        clock.saw_date("Thu, 01 Jan 1970 00:01:40 GMT");
        assert!(clock.now_ns() < 102_000_000_000);
        assert!(clock.now() < SystemTime::UNIX_EPOCH + Duration::from_secs(102));
        clock.saw_date(&DateTime::from(SystemTime::now()).fmt(Format::HttpDate).unwrap());
        assert_eq!(clock.skew_ns.load(Ordering::Relaxed), 0);
        clock.saw_date("no date");
        assert_eq!(clock.skew_ns.load(Ordering::Relaxed), 0);
    }
}
