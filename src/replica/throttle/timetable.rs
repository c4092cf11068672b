//! [`Timetable`]: which bandwidth holds at which time of the day. Plain values; knows no clock and no zone.

use std::fmt;

/// Minutes of a day.
pub const DAY: u16 = 24 * 60;

/// Bytes a second by the time of day. The first entry that has the time says it, else `rest` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timetable {
    hours: Vec<Hours>,
    rest: Option<u64>,
}

/// What holds during a part of each day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// The first minute of the day that it holds for, from 0.
    pub from: u16,
    /// The first minute that it does not hold for any more, up to [`DAY`]; before `from`, it goes over midnight.
    pub until: u16,
    /// Bytes a second; `None` is no limit.
    pub rate: Option<u64>,
}

impl Hours {
    fn holds(&self, minute: u16) -> bool {
        if self.from < self.until {
            (self.from..self.until).contains(&minute)
        } else {
            minute >= self.from || minute < self.until
        }
    }
}

impl Timetable {
    /// The same at all times; `None` is no limit.
    pub fn always(rate: Option<u64>) -> Self {
        Self::new(Vec::new(), rate)
    }

    /// `hours`, of which the first wins, and what holds at all other times.
    pub fn new(hours: Vec<Hours>, rest: Option<u64>) -> Self {
        Self { hours, rest }
    }

    /// Bytes a second in a minute of the day, counted from 0; `None` is no limit.
    pub fn at(&self, minute: u16) -> Option<u64> {
        self.hours.iter().find(|hours| hours.holds(minute)).map_or(self.rest, |hours| hours.rate)
    }

    /// What holds at all times, if it is one thing.
    pub fn constant(&self) -> Option<Option<u64>> {
        self.hours.iter().all(|hours| hours.rate == self.rest).then_some(self.rest)
    }
}

/// As the configuration has it, rates in bytes.
impl fmt::Display for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = |rate: Option<u64>| rate.map_or_else(|| "off".to_owned(), |rate| format!("{rate}B"));
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        for hours in &self.hours {
            write!(f, "{}-{} {}, ", time(hours.from), time(hours.until), rate(hours.rate))?;
        }
        f.write_str(&rate(self.rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_that_has_the_time_wins() {
        let hours = |from: u16, until: u16, rate| Hours { from: from * 60, until: until * 60, rate };
        let table = Timetable::new(vec![hours(12, 13, None), hours(8, 18, Some(2)), hours(22, 6, Some(9))], Some(5));
        for (hour, rate) in [
            (0, Some(9)),
            (5, Some(9)),
            (6, Some(5)),
            (8, Some(2)),
            (12, None),
            (13, Some(2)),
            (18, Some(5)),
            (22, Some(9)),
        ] {
            assert_eq!(table.at(hour * 60), rate, "{hour}");
        }
        assert_eq!((table.at(8 * 60 - 1), table.at(18 * 60 - 1), table.at(DAY - 1)), (Some(5), Some(2), Some(9)));
        assert_eq!(table.to_string(), "12:00-13:00 off, 08:00-18:00 2B, 22:00-06:00 9B, 5B");
    }

    #[test]
    fn an_entry_may_end_at_midnight() {
        let table = Timetable::new(vec![Hours { from: 18 * 60, until: DAY, rate: Some(1) }], None);
        assert_eq!((table.at(DAY - 1), table.at(0), table.at(18 * 60 - 1)), (Some(1), None, None));
    }

    #[test]
    fn what_holds_always_is_known() {
        assert_eq!(Timetable::always(Some(5)).constant(), Some(Some(5)));
        assert_eq!(Timetable::always(None).constant(), Some(None));
        let day = Hours { from: 0, until: 60, rate: Some(5) };
        assert_eq!(Timetable::new(vec![day], Some(5)).constant(), Some(Some(5)));
        assert_eq!(Timetable::new(vec![day], None).constant(), None);
    }
}
