//! Slots in zones that change their clocks, in zones that do not, and clocks that are set.

use std::collections::BTreeMap;

use jiff::civil::{DateTime, date};
use jiff::tz::AmbiguousOffset;
use jiff::{ToSpan, Zoned};
use proptest::prelude::*;

use super::*;

const ZURICH: &str = "Europe/Zurich";
const NEW_YORK: &str = "America/New_York";
const LORD_HOWE: &str = "Australia/Lord_Howe";
const KOLKATA: &str = "Asia/Kolkata";

fn cron(line: &str, name: &str) -> Schedule {
    Schedule::cron(line, zone(name).unwrap()).unwrap()
}

/// An instant as people of a zone see it: `2026-03-29T03:00+02:00`.
fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The next `count` times after an instant, on the wall clock with the offset.
fn times(line: &str, name: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = cron(line, name);
    let next = |at: &Timestamp| Some(schedule.next(*at));
    std::iter::successors(next(&at(after)), next)
        .take(count)
        .map(|at| at.to_zoned(zone(name).unwrap()).strftime("%m-%d %H:%M%:::z").to_string())
        .collect()
}

#[test]
fn times_that_are_skipped_run_at_the_change_and_doubled_ones_once() {
    for (line, name, after, expected) in [
        ("30 2 * * *", ZURICH, "2026-03-28T00:00Z", ["03-28 02:30+01", "03-29 03:00+02", "03-30 02:30+02"]),
        ("30 2 * * *", ZURICH, "2026-10-24T00:00Z", ["10-24 02:30+02", "10-25 02:30+02", "10-26 02:30+01"]),
        ("0 2 * * *", ZURICH, "2026-03-28T02:00Z", ["03-29 03:00+02", "03-30 02:00+02", "03-31 02:00+02"]),
        ("0 3 * * *", ZURICH, "2026-03-28T00:00Z", ["03-28 03:00+01", "03-29 03:00+02", "03-30 03:00+02"]),
        ("0 3 * * *", ZURICH, "2026-10-24T20:00Z", ["10-25 03:00+01", "10-26 03:00+01", "10-27 03:00+01"]),
        // Two that fall together are one run.
        ("0,30 2 * * *", ZURICH, "2026-03-29T00:00Z", ["03-29 03:00+02", "03-30 02:00+02", "03-30 02:30+02"]),
        ("0 2,3 * * *", ZURICH, "2026-03-29T00:00Z", ["03-29 03:00+02", "03-30 02:00+02", "03-30 03:00+02"]),
        ("*/30 2 * * *", ZURICH, "2026-10-24T23:00Z", ["10-25 02:00+02", "10-25 02:30+02", "10-26 02:00+01"]),
        ("30 */2 * * *", ZURICH, "2026-03-28T23:30Z", ["03-29 03:00+02", "03-29 04:30+02", "03-29 06:30+02"]),
        ("30 */2 * * *", ZURICH, "2026-10-25T00:00Z", ["10-25 02:30+02", "10-25 04:30+01", "10-25 06:30+01"]),
        ("30 2 * * *", NEW_YORK, "2026-03-08T00:00Z", ["03-08 03:00-04", "03-09 02:30-04", "03-10 02:30-04"]),
        ("30 1 * * *", NEW_YORK, "2026-11-01T00:00Z", ["11-01 01:30-04", "11-02 01:30-05", "11-03 01:30-05"]),
        ("15 2 * * *", LORD_HOWE, "2026-10-03T00:00Z", ["10-04 02:30+11", "10-05 02:15+11", "10-06 02:15+11"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-04T00:00Z", ["04-05 01:45+11", "04-06 01:45+1030", "04-07 01:45+1030"]),
        ("30 2 * * *", KOLKATA, "2026-03-28T00:00Z", ["03-29 02:30+0530", "03-30 02:30+0530", "03-31 02:30+0530"]),
        ("30 2 * * *", "UTC", "2026-03-28T12:00Z", ["03-29 02:30+00", "03-30 02:30+00", "03-31 02:30+00"]),
        // A whole day that never was.
        ("0 3 * * *", "Pacific/Apia", "2011-12-29T12:00Z", ["12-29 03:00-10", "12-31 00:00+14", "12-31 03:00+14"]),
    ] {
        let expected = expected.map(|text| text.replace("+1030", "+10:30").replace("+0530", "+05:30"));
        assert_eq!(times(line, name, after, 3), expected, "{line} {name}");
    }
}

#[test]
fn a_line_for_every_hour_runs_each_real_hour() {
    for (line, name, after, expected) in [
        ("30 * * * *", ZURICH, "2026-03-29T00:00Z", ["03-29 01:30+01", "03-29 03:30+02", "03-29 04:30+02"]),
        ("30 * * * *", ZURICH, "2026-10-25T00:00Z", ["10-25 02:30+02", "10-25 02:30+01", "10-25 03:30+01"]),
        ("0 0-23 * * *", NEW_YORK, "2026-11-01T05:30Z", ["11-01 01:00-05", "11-01 02:00-05", "11-01 03:00-05"]),
        ("*/30 * * * *", ZURICH, "2026-03-29T00:00Z", ["03-29 01:30+01", "03-29 03:00+02", "03-29 03:30+02"]),
        // Half an hour is skipped: an hour after 01:15 is 02:45.
        ("15 * * * *", LORD_HOWE, "2026-10-03T14:00Z", ["10-04 01:15+10:30", "10-04 02:45+11", "10-04 03:15+11"]),
        ("45 * * * *", LORD_HOWE, "2026-04-04T14:30Z", ["04-05 01:45+11", "04-05 01:45+10:30", "04-05 02:45+10:30"]),
        ("0 * 1 1 *", ZURICH, "2026-01-01T21:30Z", ["01-01 23:00+01", "01-01 00:00+01", "01-01 01:00+01"]),
        // After the change: what is skipped comes as long after the one before as usual.
        ("15 * * * *", LORD_HOWE, "2026-10-03T15:35Z", ["10-04 02:45+11", "10-04 03:15+11", "10-04 04:15+11"]),
    ] {
        assert_eq!(times(line, name, after, 3), expected, "{line} {name}");
    }
    for name in [ZURICH, NEW_YORK, KOLKATA, "UTC"] {
        let schedule = cron("30 * * * *", name);
        let mut last = schedule.next(at("2026-01-01T00:00Z"));
        for _ in 0..24 * 365 {
            let next = schedule.next(last);
            assert_eq!(next.duration_since(last), SignedDuration::from_hours(1), "{name} {last}");
            last = next;
        }
    }
}

/// What the slots of a year come to, by the definition: each minute of the wall clock, whether it exists once, twice or
/// not at all.
fn by_definition(line: &str, name: &str, year: i16) -> BTreeMap<Timestamp, Vec<DateTime>> {
    let utc = cron(line, "UTC");
    let zone = zone(name).unwrap();
    let end = date(year + 1, 1, 1).at(0, 0, 0, 0);
    let mut found: BTreeMap<Timestamp, Vec<DateTime>> = BTreeMap::new();
    let mut wall =
        utc.next((date(year, 1, 1).at(0, 0, 0, 0) - 1.minute()).to_zoned(TimeZone::UTC).unwrap().timestamp());
    while wall.to_zoned(TimeZone::UTC).datetime() < end {
        let slot = wall.to_zoned(TimeZone::UTC).datetime();
        let instant = match zone.to_ambiguous_timestamp(slot).offset() {
            AmbiguousOffset::Gap { .. } => {
                // The first minute that the wall clock shows after it.
                let exists = |wall: &DateTime| {
                    !matches!(zone.to_ambiguous_timestamp(*wall).offset(), AmbiguousOffset::Gap { .. })
                };
                let minutes = std::iter::successors(Some(slot), |wall| Some(*wall + 1.minute()));
                zone.to_timestamp(minutes.into_iter().find(exists).unwrap()).unwrap()
            }
            // "compatible" takes the first of two.
            _ => zone.to_timestamp(slot).unwrap(),
        };
        found.entry(instant).or_default().push(slot);
        wall = utc.next(wall);
    }
    found
}

/// Every run of a year.
fn runs(line: &str, name: &str, year: i16) -> Vec<Timestamp> {
    let schedule = cron(line, name);
    let start = |year: i16| -> Zoned { date(year, 1, 1).to_zoned(zone(name).unwrap()).unwrap() };
    let end = start(year + 1).timestamp();
    let before = start(year).timestamp() - 1.second();
    std::iter::successors(Some(schedule.next(before)), |at| Some(schedule.next(*at)))
        .take_while(|at| *at < end)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_slot_of_a_year_runs_exactly_once(
        minutes in prop_oneof![Just("*/10".to_owned()), (0..60_u8).prop_map(|m| m.to_string()), Just("0,30,59".to_owned())],
        hours in prop_oneof![
            Just("0-4".to_owned()), Just("*/2".to_owned()), (0..24_u8).prop_map(|h| h.to_string()), Just("1,2,3,22".to_owned())
        ],
        name in prop_oneof![Just(ZURICH), Just(NEW_YORK), Just(LORD_HOWE), Just(KOLKATA), Just("Pacific/Apia")],
        year in prop_oneof![Just(2011_i16), Just(2024), Just(2026)],
    ) {
        let line = format!("{minutes} {hours} * * *");
        let expected: Vec<Timestamp> = by_definition(&line, name, year).into_keys().collect();
        prop_assert_eq!(runs(&line, name, year), expected, "{} {}", line, name);
    }

    /// Whenever somebody asks, and however often: the answer is the next run of all.
    #[test]
    fn the_next_run_is_the_same_whenever_somebody_asks(
        line in prop_oneof![Just("30 2 * * *"), Just("15 * * * *"), Just("*/20 1-3 * * *"), Just("45 * * * *")],
        name in prop_oneof![Just(ZURICH), Just(LORD_HOWE), Just(NEW_YORK)],
        seconds in 0..365_i64 * 86_400,
    ) {
        let all = runs(line, name, 2026);
        let asked = date(2026, 1, 1).to_zoned(zone(name).unwrap()).unwrap().timestamp() + seconds.seconds();
        let next = all.iter().copied().find(|run| *run > asked);
        prop_assert!(next.is_none_or(|next| cron(line, name).next(asked) == next), "{}", asked);
    }
}

#[test]
fn runs_that_were_missed_are_made_up_once() {
    let daily = cron("0 3 * * *", ZURICH);
    let started = at("2026-05-01T03:00:02+02:00");
    assert_eq!(daily.due(Some(started), at("2026-05-02T02:59:59+02:00")), Due::At(at("2026-05-02T03:00+02:00")));
    // Off for a week: one run, whose start is then the last one.
    let back = at("2026-05-09T10:00+02:00");
    assert_eq!(daily.due(Some(started), back), Due::Now(at("2026-05-02T03:00+02:00")));
    assert_eq!(daily.due(Some(back), back + 1.second()), Due::At(at("2026-05-10T03:00+02:00")));
    // Nothing was missed before the first run.
    assert_eq!(daily.due(None, back), Due::At(at("2026-05-10T03:00+02:00")));
    // A run that takes longer than the time to the next one.
    let every = Schedule::Every(Duration::from_secs(900));
    assert_eq!(every.due(Some(started), started + 1.hour()), Due::Now(started + 15.minutes()));
    assert_eq!(every.due(Some(started), started + 1.minute()), Due::At(started + 15.minutes()));
    assert_eq!(every.due(None, started), Due::Now(started));
}

#[test]
fn a_clock_that_was_set_back_neither_repeats_a_slot_nor_waits_forever() {
    let daily = cron("0 3 * * *", ZURICH);
    let started = at("2026-05-02T03:00:01+02:00");
    let next = at("2026-05-03T03:00+02:00");
    for now in ["2026-05-02T03:05+02:00", "2026-05-02T02:05+02:00", "2026-05-01T03:05+02:00"] {
        assert_eq!(daily.due(Some(started), at(now)), Due::At(next), "{now}");
    }
    // Recorded while the clock was years ahead.
    let wrong = at("2036-05-02T03:00:01+02:00");
    assert_eq!(daily.due(Some(wrong), at("2026-05-02T12:00+02:00")), Due::At(next));
    let every = Schedule::Every(Duration::from_secs(900));
    for last in [wrong, started] {
        let now = started - 1.hour();
        assert_eq!(every.due(Some(last), now), Due::At(now + 15.minutes()));
    }
    let often = cron("*/5 * * * *", ZURICH);
    let set_back = started - 1.hour();
    assert_eq!(often.due(Some(started), set_back), Due::At(at("2026-05-02T03:05+02:00")), "an hour, not a second run");
}

#[test]
fn nobody_sleeps_longer_than_a_minute_without_looking_at_the_clock() {
    let now = at("2026-05-02T03:00Z");
    assert_eq!(Due::At(now + 5.hours()).nap(now), LONGEST_NAP);
    assert_eq!(Due::At(now + 5.seconds()).nap(now), Duration::from_secs(5));
    assert_eq!((Due::Now(now).nap(now), Due::At(now).nap(now + 1.hour())), (Duration::ZERO, Duration::ZERO));
}

#[test]
fn the_longest_time_between_two_runs_is_known() {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    for (line, expected) in [
        ("* * * * *", Duration::from_secs(60)),
        ("*/25 * * * *", Duration::from_secs(25 * 60)),
        ("0 3 * * *", hours(24)),
        ("0 3,15 * * *", hours(12)),
        ("0 8-18 * * 1-5", hours(6 + 48 + 8)),
        ("0 3 * * 0", hours(7 * 24)),
        ("0 3 1 * *", hours(31 * 24)),
        ("0 3 29 2 *", hours((365 * 4 + 1) * 24)),
    ] {
        assert_eq!(cron(line, ZURICH).longest(), expected, "{line}");
    }
    assert_eq!(Schedule::Every(hours(2)).longest(), hours(2));
}

#[test]
fn lines_are_read_as_crontab_reads_them() {
    // The 13th and every Friday; the 29 February in eight years; the last day of the year.
    for (line, after, expected) in [
        ("0 0 13 * FRI", "2026-02-08T00:00Z", "2026-02-13T00:00:00Z"),
        ("0 0 13 * 5", "2026-02-13T00:00Z", "2026-02-20T00:00:00Z"),
        ("0 0 29 2 *", "2096-03-01T00:00Z", "2104-02-29T00:00:00Z"),
        ("59 23 31 DEC *", "2026-02-13T00:00Z", "2026-12-31T23:59:00Z"),
        ("@daily", "2026-02-13T00:00Z", "2026-02-14T00:00:00Z"),
        ("0 0 * * 7", "2026-02-13T00:00Z", "2026-02-15T00:00:00Z"),
    ] {
        assert_eq!(cron(line, "UTC").next(at(after)).to_string(), expected, "{line}");
    }
    assert_eq!(cron("0 3 * * *", "UTC").next(Timestamp::MAX), Timestamp::MAX);
    for (line, expected) in [
        ("0 3 * *", "has not the five fields"),
        ("0 0 3 * * *", "has not the five fields"),
        ("", "has not the five fields"),
        ("@reboot", "has not the five fields"),
        ("60 3 * * *", "is no cron line: value must be in range 0..=59; found 60"),
        ("5-1 3 * * *", "is no cron line"),
        ("0 0 31 2 *", "names a day that never comes"),
        ("0 0 L * *", "the day of the month is \"L\"; it takes numbers"),
        ("0 0 * * 5#3", "the day of the week is \"5#3\"; it takes numbers"),
        ("0 0 15W * *", "the day of the month is \"15W\""),
        ("0 0 * * * Europe/Zurich", "has not the five fields"),
    ] {
        let told = Schedule::cron(line, TimeZone::UTC).unwrap_err();
        assert!(told.contains(expected) && !told.contains('\n'), "{line}: {told}");
    }
    assert!(zone("Mars/Base").unwrap_err().contains("write one like Europe/Zurich"));
}

#[test]
fn schedules_are_told_as_they_are_written() {
    assert_eq!(cron("0  3 * * *", ZURICH).to_string(), "0 3 * * * (Europe/Zurich)");
    for (seconds, expected) in
        [(900, "every 15m"), (5400, "every 90m"), (7200, "every 2h"), (86_400, "every 1d"), (7, "every 7s")]
    {
        assert_eq!(Schedule::Every(Duration::from_secs(seconds)).to_string(), expected);
    }
}

/// Where the system has no zones, as in small containers, ours are used.
#[test]
fn zones_are_there_without_the_system() {
    let bundled = jiff::tz::TimeZoneDatabase::bundled();
    for name in [ZURICH, NEW_YORK, LORD_HOWE] {
        assert!(bundled.get(name).is_ok(), "{name}");
    }
}
