//! A cron line by the wall clock of a zone.
//!
//! The crate `cronexpr` reads the line and knows the calendar; it is asked about wall clock times, with UTC as a
//! stand-in for the zone. What becomes of a slot when clocks are changed is decided here:
//!
//! - A line that names single hours means wall clock times. One that is skipped runs at the change, one that comes
//!   twice runs the first time.
//! - A line that names all hours means a rhythm. It runs whenever the wall clock shows one of its minutes, so that
//!   real hours go on; a minute that is skipped runs as long after the one before as usual, if nothing else runs then.

use std::fmt;
use std::time::Duration;

use cronexpr::{Crontab, FallbackTimezoneOption, MakeTimestamp, ParseOptions, parse_crontab_with};
use jiff::civil::{DateTime, date};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

const FIELDS: [&str; 5] = ["minute", "hour", "day of the month", "month", "day of the week"];
const NAMES: [&str; 19] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC", "SUN", "MON", "TUE", "WED",
    "THU", "FRI", "SAT",
];
/// What people write for lines that come often, and the lines.
const SHORT: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// A cron line in a zone. Two are equal if line and zone are.
#[derive(Debug, Clone)]
pub struct Cron {
    line: String,
    zone: TimeZone,
    slots: Crontab,
    means: Means,
    longest: Duration,
}

/// What a line means when clocks are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    Times,
    Rhythm,
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.line == other.line && self.zone == other.zone
    }
}

impl Eq for Cron {}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.line, self.zone.iana_name().unwrap_or("the system's time"))
    }
}

/// The zone of a name of the IANA database: the system's copy of it, or ours where the system has none.
///
/// # Errors
/// A sentence without a final stop.
pub fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name)
        .map_err(|_| format!("{name:?} is no time zone that this machine knows; write one like Europe/Zurich or UTC"))
}

impl Cron {
    pub(super) fn new(line: &str, zone: TimeZone) -> Result<Self, String> {
        let typed = line.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        let short = SHORT.iter().find(|(short, _)| typed.eq_ignore_ascii_case(short));
        let plain = short.map_or(typed.as_str(), |(_, plain)| plain);
        let fields: Vec<&str> = plain.split(' ').collect();
        let Ok([minute, hour, day, month, weekday]) = <[&str; 5]>::try_from(fields) else {
            return Err(format!(
                "{line:?} has not the five fields minute, hour, day, month and weekday; write it like \"0 3 * * *\", for \
                 03:00 each day"
            ));
        };
        for (name, field) in FIELDS.into_iter().zip([minute, hour, day, month, weekday]) {
            check(name, field)?;
        }
        let slots = parse(plain)?;
        let mut hours = (0..24).map(|hour| date(2000, 1, 1).at(hour, 0, 0, 0));
        let of_hours = parse(&format!("0 {hour} * * *"))?;
        let all = hours.all(|at| of_hours.matches(stand_in(at)).unwrap_or(false));
        let means = if all { Means::Rhythm } else { Means::Times };
        let longest =
            longest(&parse(&format!("{minute} {hour} * * *"))?, &parse(&format!("0 0 {day} {month} {weekday}"))?);
        let longest = longest.ok_or_else(|| format!("{line:?} names a day that never comes"))?;
        Ok(Self { line: typed, zone, slots, means, longest })
    }

    /// The zone that it is read in.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    pub(super) fn longest(&self) -> Duration {
        self.longest
    }

    pub(super) fn next(&self, after: Timestamp) -> Timestamp {
        let next = match self.means {
            Means::Times => self.next_time(after),
            Means::Rhythm => self.next_beat(after),
        };
        next.unwrap_or(Timestamp::MAX)
    }

    /// The instants of slots never go back: the first slot that is later on the wall clock and later in truth is it.
    fn next_time(&self, after: Timestamp) -> Option<Timestamp> {
        let mut slot = self.zone.to_datetime(after);
        loop {
            slot = slot_after(&self.slots, slot)?;
            let at = self.instant(slot)?;
            if at > after {
                return Some(at);
            }
        }
    }

    fn instant(&self, slot: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_timestamp(slot).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(slot).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(slot).ok(),
            AmbiguousOffset::Gap { before, .. } => {
                // By the old offset it lies as far behind the change as it lies inside the gap.
                let behind = before.to_timestamp(slot).ok()?;
                Some(self.changed_at_or_before(behind).map_or(behind, |change| change.at))
            }
        }
    }

    /// Goes through the times of equal offset, in each of which slots are evenly spaced.
    fn next_beat(&self, after: Timestamp) -> Option<Timestamp> {
        let at = |from: Timestamp, offset: Offset| {
            slot_after(&self.slots, offset.to_datetime(from)).and_then(|slot| offset.to_timestamp(slot).ok())
        };
        let skipped = |change: &Change, from: Timestamp| {
            let gap = change.new.duration_since(change.old);
            let end = change.at.saturating_add(gap).ok()?;
            at(from, change.old).filter(|slot| *slot >= change.at && *slot < end)
        };
        let mut tail = self.changed_at_or_before(after).and_then(|change| skipped(&change, after));
        let mut from = after;
        let mut offset = self.zone.to_offset(after);
        for transition in self.zone.following(after) {
            let change = Change { at: transition.timestamp(), old: offset, new: transition.offset() };
            let slot = at(from, offset)?;
            if slot < change.at || tail.is_some() {
                return Some(tail.map_or(slot, |tail| tail.min(slot)));
            }
            tail = skipped(&change, from);
            from = change.at.saturating_sub(SignedDuration::from_nanos(1)).ok()?;
            offset = change.new;
        }
        at(from, offset).into_iter().chain(tail).min()
    }

    fn changed_at_or_before(&self, at: Timestamp) -> Option<Change> {
        let end = at.saturating_add(SignedDuration::from_nanos(1)).ok()?;
        let transition = self.zone.preceding(end).next()?;
        let before = transition.timestamp().saturating_sub(SignedDuration::from_nanos(1)).ok()?;
        Some(Change { at: transition.timestamp(), old: self.zone.to_offset(before), new: transition.offset() })
    }
}

/// A change of the clocks.
#[derive(Debug)]
struct Change {
    at: Timestamp,
    old: Offset,
    new: Offset,
}

/// A field has numbers, names, `*`, lists, ranges and steps. What the crate takes beyond that (`L`, `W`, `#`) is not
/// crontab's, and does not hold for all months.
fn check(name: &str, field: &str) -> Result<(), String> {
    let words = field.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty());
    let named = words.into_iter().all(|word| NAMES.iter().any(|known| known.eq_ignore_ascii_case(word)));
    let plain = field.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '*' | ',' | '-' | '/'));
    if named && plain {
        return Ok(());
    }
    Err(format!("the {name} is {field:?}; it takes numbers, *, lists (1,15), ranges (1-5) and steps (*/15)"))
}

fn parse(line: &str) -> Result<Crontab, String> {
    let mut options = ParseOptions::default();
    options.fallback_timezone_option = FallbackTimezoneOption::UTC;
    parse_crontab_with(line, options).map_err(|error| {
        // Of several lines, which point into the text, the last one says what is wrong.
        let told = error.to_string();
        let reason = told.lines().last().unwrap_or_default().trim_start_matches([' ', '^']).to_owned();
        format!("{line:?} is no cron line: {reason}; write it like \"0 3 * * *\", for 03:00 each day")
    })
}

/// A wall clock time as an instant of UTC.
fn stand_in(wall: DateTime) -> MakeTimestamp {
    MakeTimestamp(Offset::UTC.to_timestamp(wall).unwrap_or(Timestamp::MAX))
}

/// The slot that follows a wall clock time; `None` at the end of all times.
fn slot_after(slots: &Crontab, wall: DateTime) -> Option<DateTime> {
    // The crate looks four years ahead, and adds them without a check; a 29 February can be eight years away.
    let last = wall.year() > DateTime::MAX.year() - 10;
    let later = wall.checked_add(4.years()).ok().filter(|_| !last)?;
    let found = [wall, later].into_iter().find_map(|wall| slots.find_next(stand_in(wall)).ok());
    found.map(|slot| slot.datetime())
}

/// The longest time between two slots, from the slots of a day and the days of years around leap days; `None` if no day
/// ever comes.
fn longest(of_day: &Crontab, of_days: &Crontab) -> Option<Duration> {
    let is = |slots: &Crontab, wall: DateTime| slots.matches(stand_in(wall)).unwrap_or(false);
    let day = date(2000, 1, 1);
    let minutes = (0..24).flat_map(|hour| (0..60).map(move |minute| day.at(hour, minute, 0, 0)));
    let times: Vec<DateTime> = minutes.filter(|minute| is(of_day, *minute)).collect();
    let days = day.series(1.day()).take_while(|day| day.year() < 2009).map(|day| day.at(0, 0, 0, 0));
    let days: Vec<DateTime> = days.filter(|day| is(of_days, *day)).collect();
    let between = |pair: &[DateTime]| Duration::try_from(pair[1].duration_since(pair[0])).unwrap_or_default();
    let inside = times.windows(2).map(between).max().unwrap_or_default();
    let apart = days.windows(2).map(between).max()?;
    Some(inside.max(apart.saturating_sub(between(&[*times.first()?, *times.last()?]))))
}
