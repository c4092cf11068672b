//! Numbers, times and states in words, and the shape that stands for a state: nobody has to tell colours apart.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{Markup, PreEscaped, html};

use crate::daemon::state::{Ended, Health, JobState, Look, Phase, SECOND};
use crate::model::Escaped;

/// When it is, and where.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    pub(super) now_ns: i64,
    pub(super) zone: TimeZone,
}

impl Clock {
    /// A moment, shortly: without the date if it is today.
    pub(super) fn time(&self, at_ns: i64) -> Markup {
        let Ok(at) = Timestamp::from_nanosecond(at_ns.into()) else { return html! { "an unknown time" } };
        let now = Timestamp::from_nanosecond(self.now_ns.into()).unwrap_or(at).to_zoned(self.zone.clone());
        let local = at.to_zoned(self.zone.clone());
        let form = if local.date() == now.date() { "%H:%M" } else { "%-d %b, %H:%M" };
        html! { time datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()) { (local.strftime(form).to_string()) } }
    }

    /// `12 min ago`, `in 3 h`.
    pub(super) fn relative(&self, at_ns: i64) -> String {
        let seconds = (at_ns - self.now_ns) / SECOND;
        match seconds {
            0 => "now".to_owned(),
            1.. => format!("in {}", duration(seconds.unsigned_abs())),
            _ => format!("{} ago", duration(seconds.unsigned_abs())),
        }
    }

    /// Now, with the zone.
    pub(super) fn now(&self) -> String {
        let now = Timestamp::from_nanosecond(self.now_ns.into()).unwrap_or_default().to_zoned(self.zone.clone());
        now.strftime("%-d %b %Y, %H:%M:%S %Z").to_string()
    }

    /// Seconds since then.
    pub(super) fn since(&self, at_ns: i64) -> u64 {
        u64::try_from((self.now_ns - at_ns) / SECOND).unwrap_or(0)
    }
}

/// A text that others chose, without what could change how the rest reads.
pub(super) fn shown(text: &str) -> String {
    Escaped(text).to_string()
}

/// `48 s`, `12 min`, `3 h 5 min`, `2 days 4 h`.
pub(super) fn duration(seconds: u64) -> String {
    let with = |large: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {small_unit}"),
    };
    match seconds {
        0..120 => format!("{seconds} s"),
        120..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => with(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        86_400..172_800 => with(1, "day", seconds % 86_400 / 3_600, "h"),
        _ => with(seconds / 86_400, "days", seconds % 86_400 / 3_600, "h"),
    }
}

/// `12,345`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 file`, `12,345 files`.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// `512 B`, `1.2 GiB`.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = 0;
    // Tenths of a unit, so that no rounding of floats is involved.
    let mut tenths = u128::from(number) * 10 / 1_024;
    if number < 1_024 {
        return format!("{number} B");
    }
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1_024;
        unit += 1;
    }
    match tenths {
        0..100 => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
        _ => format!("{} {}", tenths / 10, UNITS[unit]),
    }
}

/// How a state looks: its colour is never the only sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Busy,
    Still,
    Warn,
    Bad,
}

impl Tone {
    pub(super) fn of_job(job: &JobState, health: Health) -> Self {
        match health {
            Health::InSync => Self::Good,
            Health::Syncing if job.is_failing() => Self::Warn,
            Health::Syncing if job.awaits_its_first_run() => Self::Still,
            Health::Syncing => Self::Busy,
            Health::Paused | Health::Standby => Self::Still,
            Health::Problems => Self::Warn,
            Health::Stale | Health::Halted => Self::Bad,
        }
    }

    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Busy => "busy",
            Self::Still => "still",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }

    /// A shape of its own: a disc with a tick, arrows, bars, a triangle, an octagon.
    pub(super) fn icon(self) -> Markup {
        let path = match self {
            Self::Good => "<circle cx='12' cy='12' r='10'/><path class='cut' d='M7.5 12.5l3 3 6-6.5'/>",
            Self::Busy => {
                "<circle cx='12' cy='12' r='10'/><path class='cut' d='M9 16.5V7.5M6.5 10L9 7.5l2.5 2.5M15 7.5v9M12.5 14l2.5 2.5 2.5-2.5'/>"
            }
            Self::Still => "<rect x='2' y='2' width='20' height='20' rx='4'/><path class='cut' d='M9.5 8v8M14.5 8v8'/>",
            Self::Warn => "<path d='M12 2.5L22.5 21h-21z'/><path class='cut' d='M12 9.5v5M12 17.7v.1'/>",
            Self::Bad => "<path d='M8 2h8l6 6v8l-6 6H8l-6-6V8z'/><path class='cut' d='M12 7v6M12 16.7v.1'/>",
        };
        let svg = format!("<svg class='icon' viewBox='0 0 24 24' aria-hidden='true' focusable='false'>{path}</svg>");
        PreEscaped(svg)
    }

    /// The same for the browser's tab.
    pub(super) fn favicon(self) -> String {
        let (shape, colour) = match self {
            Self::Good => ("%3Ccircle cx='8' cy='8' r='7' ", "1a8a56"),
            Self::Busy => ("%3Ccircle cx='8' cy='8' r='7' ", "2f6fd0"),
            Self::Still => ("%3Crect x='1' y='1' width='14' height='14' rx='3' ", "6b7583"),
            Self::Warn => ("%3Cpath d='M8 1l7.5 14H.5z' ", "b97800"),
            Self::Bad => ("%3Cpath d='M5 1h6l4 4v6l-4 4H5l-4-4V5z' ", "c5352b"),
        };
        format!(
            "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E{shape}fill='%23{colour}'/%3E%3C/svg%3E"
        )
    }
}

/// How a job stands, in a word or two.
pub(super) fn state(job: &JobState, health: Health) -> &'static str {
    match (health, job.phase) {
        (Health::Halted, Phase::Paused) => "Halted, paused",
        (Health::Halted, _) => "Halted",
        (_, Phase::Lost) => "Directory lost",
        (Health::Stale, Phase::Failing) => "Failing, late",
        (Health::Stale, Phase::Paused) => "Paused, late",
        (Health::Stale, _) => "Late",
        (Health::Syncing | Health::Problems, _) if job.is_failing() => "Retrying",
        (_, Phase::Failing) => "Retrying",
        (Health::Problems, Phase::Paused) => "Problems, paused",
        (Health::Problems, _) => "Problems",
        (Health::Paused, _) => "Paused",
        (Health::Standby, _) | (_, Phase::Standby) => "Standby",
        (_, Phase::Lent) => "Run by hand",
        (Health::Syncing, Phase::Starting) => "Starting",
        (Health::Syncing, _) if job.awaits_its_first_run() => "Not run yet",
        (Health::Syncing, _) => "Syncing",
        (Health::InSync, _) => "In sync",
    }
}

pub(super) fn mode(mode: &str) -> &str {
    match mode {
        "copy-and-delete" => "copy with deletions",
        other => other,
    }
}

pub(super) fn look(look: Look) -> &'static str {
    match look {
        Look::Both => "Both sides",
        Look::Watched => "Watched side",
        Look::Changes => "Changes",
    }
}

pub(super) fn ended(ended: Ended) -> (Tone, &'static str) {
    match ended {
        Ended::Finished => (Tone::Good, "Done"),
        Ended::Problems => (Tone::Warn, "Problems"),
        Ended::Halted => (Tone::Bad, "Halted"),
        Ended::Failed => (Tone::Bad, "Failed"),
        Ended::Interrupted => (Tone::Still, "Interrupted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0, 1_023, 1_024, 1_500, 10_240, 1_048_576, 1_047_552, u64::MAX].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "1.4 KiB", "10 KiB", "1.0 MiB", "1023 KiB", "15 EiB"]
        );
        assert_eq!(
            [0, 119, 120, 3_599, 3_600, 11_520, 90_000, 172_800].map(duration),
            ["0 s", "119 s", "2 min", "59 min", "1 h", "3 h 12 min", "1 day 1 h", "2 days"]
        );
    }

    #[test]
    fn times_say_the_day_only_if_it_is_another_one() {
        let clock = Clock { now_ns: 1_795_410_000 * SECOND, zone: TimeZone::UTC };
        let text = |at: i64| clock.time(at * SECOND).into_string();
        assert_eq!(text(1_795_409_000), "<time datetime=\"2026-11-23T04:43:20Z\">04:43</time>");
        assert!(text(1_795_300_000).contains(">21 Nov, 22:26<"), "{}", text(1_795_300_000));
        assert_eq!(clock.relative(1_795_410_300 * SECOND), "in 5 min");
        assert_eq!(clock.relative(1_795_409_700 * SECOND), "5 min ago");
    }
}
