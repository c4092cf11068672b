//! Amounts as people write them: `2MiB`, `500kB`, `10%`.
//!
//! Every parser takes the text as typed and answers with a sentence that shows a right spelling; the command line
//! and the configuration file share them. Nothing here guesses: a letter alone (`2M`) could mean either of two units
//! and is refused.

use std::time::Duration;

use crate::model::Keep;
use crate::plan::{Budget, Limit};
use crate::replica::throttle::{DAY, Hours, Timetable};

/// The longest time that a [`duration`] may be: a hundred years, in seconds.
const LONGEST: u64 = 100 * 365 * 24 * 3600;

/// Units with their bytes, the common ones first: this is also the order in which errors name them.
const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// Whether a number without a unit is taken as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bare {
    /// It is.
    Bytes,
    /// A unit is required.
    Refused,
}

/// A number of bytes: digits, perhaps with decimals, and a unit in any case (`2MiB`, `1.5 gb`).
///
/// # Errors
/// A sentence without a final stop that shows how to write it.
pub fn bytes(text: &str, bare: Bare) -> Result<u64, String> {
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = (&trimmed[..end], trimmed[end..].trim());
    let wrong = || format!("{text:?} is not an amount of bytes; write it like 512KiB, 2MiB or 1.5GB");
    if number.is_empty() {
        return Err(wrong());
    }
    let factor = match unit {
        "" if bare == Bare::Bytes => 1,
        "" => return Err(format!("{text:?} has no unit; write {number}KiB, {number}MiB or {number}GiB")),
        _ => match UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) {
            Some((_, factor)) => *factor,
            None => return Err(ambiguous(number, unit).unwrap_or_else(wrong)),
        },
    };
    scale(number, factor).ok_or_else(wrong)
}

/// `2M`: which of the two units is meant.
fn ambiguous(number: &str, unit: &str) -> Option<String> {
    let letter = unit.chars().next().filter(|_| unit.chars().count() == 1)?.to_ascii_uppercase();
    let binary = UNITS.iter().find(|(name, _)| name.len() == 3 && name.starts_with(letter))?.0;
    let decimal = UNITS.iter().find(|(name, _)| name.len() == 2 && name.to_ascii_uppercase().starts_with(letter))?.0;
    Some(format!("\"{number}{unit}\" can mean two units; write {number}{binary} or {number}{decimal}"))
}

/// `number * factor`, exactly, rounded down to whole bytes.
fn scale(number: &str, factor: u64) -> Option<u64> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let whole: u128 = whole.parse().ok()?;
    // More decimals can't make a difference of a byte in any unit that we know.
    if decimals.len() > 15 || decimals.contains('.') || number.ends_with('.') {
        return None;
    }
    let fraction: u128 = if decimals.is_empty() { 0 } else { decimals.parse().ok()? };
    let tens = 10_u128.pow(u32::try_from(decimals.len()).ok()?);
    let total = whole.checked_mul(u128::from(factor))? + fraction * u128::from(factor) / tens;
    u64::try_from(total).ok()
}

/// Bytes per second: a unit is required, `/s` may follow, and nothing can be sent at 0.
///
/// # Errors
/// A sentence without a final stop that shows how to write it.
pub fn rate(text: &str) -> Result<u64, String> {
    let amount = text.trim().strip_suffix("/s").unwrap_or(text);
    match bytes(amount, Bare::Refused)? {
        0 => Err("a bandwidth limit of 0 sends nothing; leave it out for no limit".to_owned()),
        rate => Ok(rate),
    }
}

/// A time in whole days, hours or minutes, in seconds: `30d`, `12h`, `90m`, `2w`.
///
/// # Errors
/// A sentence without a final stop that shows how to write it.
pub fn time(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let wrong = || format!("{text:?} is not a time; write it like 30d, 12h or 2w");
    let end = trimmed.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let factor = match &trimmed[end..] {
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        "w" => 7 * 24 * 3600,
        _ => return Err(wrong()),
    };
    trimmed[..end].parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)
}

/// A time that is not nothing: a [`time`], or seconds (`20s`).
///
/// # Errors
/// A sentence without a final stop that shows how to write it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let seconds = match text.trim().strip_suffix('s') {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok(),
        _ => time(text).ok(),
    };
    // More than that is no time of a configuration, and could not be added to a date.
    let seconds = seconds.filter(|seconds| *seconds <= LONGEST);
    match seconds.ok_or_else(|| format!("{text:?} is not a time; write it like 30s, 15m, 12h or 2d"))? {
        0 => Err(format!("{text:?} is no time at all; write it like 30s, 15m, 12h or 2d")),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

/// Bandwidth by the time of day, on the command line: a [`timetable`] with `,` between its entries.
///
/// # Errors
/// A sentence without a final stop that shows how to write it.
pub fn bandwidth(text: &str) -> Result<Timetable, String> {
    timetable([text])
}

/// Bandwidth by the time of day: entries like `08:00-18:00 2MiB`, of which the first that has the time wins, and at last
/// a [`rate`] or `off` for all other times. Each text may hold several entries, with `,` between them.
///
/// # Errors
/// A sentence without a final stop that shows how to write it.
pub fn timetable<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Timetable, String> {
    let or_off = |text: &str| match text.trim() {
        "off" => Ok(None),
        text => rate(text).map(Some),
    };
    let mut entries: Vec<&str> = texts.into_iter().flat_map(|text| text.split(',')).map(str::trim).collect();
    let last = entries.pop().unwrap_or_default();
    let mut hours = Vec::new();
    for entry in entries {
        let (times, amount) = entry.split_once(char::is_whitespace).unwrap_or((entry, ""));
        let Some((from, until)) = times.split_once('-').filter(|_| times.contains(':')) else {
            return Err(format!(
                "{entry:?} has no times, and only the last entry may have none; write it like 08:00-18:00 2MiB"
            ));
        };
        let (from, until) = (minute(from)?, minute(until)?);
        if from == until || from == DAY {
            return Err(format!(
                "{times:?} is no time of the day: write it like 08:00-18:00, or 22:00-06:00 over midnight"
            ));
        }
        hours.push(Hours { from, until, rate: or_off(amount)? });
    }
    if last.contains(':') {
        return Err(format!(
            "after {last:?} an entry without times is missing, which says what holds at all others; add \"off\" for no limit"
        ));
    }
    Ok(Timetable::new(hours, or_off(last)?))
}

/// `HH:MM`, as minutes of the day; `24:00` is its end.
fn minute(text: &str) -> Result<u16, String> {
    let two = |text: &str| {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| digits)
    };
    let parts = text.split_once(':').and_then(|(hour, minute)| Some((two(hour)?, two(minute)?)));
    let minute = parts.filter(|(_, minute)| *minute < 60).map(|(hour, minute)| hour * 60 + minute);
    minute.filter(|minute| *minute <= DAY).ok_or_else(|| format!("{text:?} is no time of the day; write it like 08:00"))
}

/// How long the trash keeps: a [`time`], or `off`.
///
/// # Errors
/// A sentence without a final stop that shows how to write it.
pub fn keep(text: &str) -> Result<Keep, String> {
    match text.trim() {
        "off" => Ok(Keep::Off),
        // Nothing would be left of it at the end of the run: that has a name.
        text => match time(text).map_err(|wrong| format!("{wrong}, or off to keep nothing"))? {
            0 => Err(format!("{text:?} keeps nothing; write off for that")),
            seconds => Ok(Keep::Seconds(seconds)),
        },
    }
}

/// `N` keys or `N%` of the keys that both sides held.
///
/// # Errors
/// A sentence without a final stop that shows how to write it.
pub fn budget(text: &str) -> Result<Budget, String> {
    let wrong = || format!("{text:?} is neither a number of files like 100 nor a share like 10%");
    let text = text.trim();
    let limit = match text.strip_suffix('%') {
        Some(share) => {
            let share = share.trim_end();
            let digits = !share.is_empty() && share.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            let percent: f64 = share.parse().ok().filter(|_| digits).ok_or_else(wrong)?;
            if percent > 100.0 {
                return Err(format!("{text} is more than everything; 100% is the most"));
            }
            Limit::Percent(percent)
        }
        None if text.bytes().all(|b| b.is_ascii_digit()) => Limit::Keys(text.parse().map_err(|_| wrong())?),
        None => return Err(wrong()),
    };
    Ok(Budget::ThisRun(limit))
}

/// Transfers at the same time.
///
/// # Errors
/// A sentence without a final stop that names the range.
pub fn concurrency(text: &str) -> Result<usize, String> {
    let range = 1..=super::MAX_CONCURRENCY;
    let number = text.trim().parse().ok().filter(|n| range.contains(n));
    number.ok_or_else(|| format!("{text:?} is not a number from 1 to {}", super::MAX_CONCURRENCY))
}

/// Permissions in octal: the nine bits, and never those that make a program run as somebody else.
///
/// # Errors
/// What to write instead.
pub fn mode(text: &str) -> Result<u32, String> {
    let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o777);
    bits.ok_or_else(|| format!("{text:?} are no permissions from \"0000\" to \"0777\", in octal and in quotes"))
}

/// User and group, as `chown` takes them.
///
/// # Errors
/// What to write instead.
pub fn owner(text: &str) -> Result<(Option<String>, Option<String>), String> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let name = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    let wrong = text.is_empty() || text == ":" || group.contains(':') || text.contains(char::is_whitespace);
    if wrong {
        return Err(format!("{text:?} is no owner; write it like \"user\", \"user:group\" or \"1000:1000\""));
    }
    Ok((name(user), name(group)))
}

#[cfg(test)]
mod tests {
    #[test]
    fn permissions_and_owners_are_read_as_chmod_and_chown_do() {
        assert_eq!((mode("0644"), mode("755")), (Ok(0o644), Ok(0o755)));
        for wrong in ["4755", "1777", "0888", "rw", "-1", ""] {
            assert!(mode(wrong).is_err(), "{wrong}");
        }
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(owner("www:data"), Ok((some("www"), some("data"))));
        assert_eq!((owner("1000"), owner(":100")), (Ok((some("1000"), None)), Ok((None, some("100")))));
        for wrong in ["", ":", "a:b:c", "a b"] {
            assert!(owner(wrong).is_err(), "{wrong}");
        }
    }

    use super::*;

    #[test]
    fn times_of_the_trash_are_read() {
        assert_eq!(keep("30d"), Ok(Keep::default()));
        assert_eq!(
            (keep("12h"), keep(" 2w "), keep("off")),
            (Ok(Keep::Seconds(43_200)), Ok(Keep::Seconds(1_209_600)), Ok(Keep::Off))
        );
        for wrong in ["", "30", "d", "3.5d", "-1d", "0d", "30 days", "99999999999999999999d"] {
            assert!(keep(wrong).unwrap_err().contains("off"), "{wrong}");
        }
    }

    #[test]
    fn amounts_take_binary_and_decimal_units_in_any_case() {
        for (text, expected) in
            [("2MiB", 2 << 20), ("2 mib", 2 << 20), ("1.5GB", 1_500_000_000), ("7B", 7), ("500kb", 500_000), ("0", 0)]
        {
            assert_eq!(bytes(text, Bare::Bytes), Ok(expected), "{text}");
        }
        assert_eq!(bytes("0.1MiB", Bare::Bytes), Ok(104_857));
    }

    #[test]
    fn amounts_that_could_be_misread_are_refused_with_a_right_spelling() {
        assert_eq!(bytes("2M", Bare::Bytes).unwrap_err(), "\"2M\" can mean two units; write 2MiB or 2MB");
        assert_eq!(bytes("500k", Bare::Bytes).unwrap_err(), "\"500k\" can mean two units; write 500KiB or 500kB");
        assert_eq!(rate("2").unwrap_err(), "\"2\" has no unit; write 2KiB, 2MiB or 2GiB");
        for text in ["", "MiB", "-1MiB", "1.2.3MB", "1.MB", "2 monkeys", "99999999999TiB", "1e3B"] {
            assert!(bytes(text, Bare::Bytes).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_may_say_per_second_and_are_never_zero() {
        assert_eq!(rate("2MiB/s"), Ok(2 << 20));
        assert!(rate("0MiB").is_err());
    }

    #[test]
    fn a_budget_is_a_number_or_a_share() {
        assert_eq!(budget("0"), Ok(Budget::ThisRun(Limit::Keys(0))));
        assert_eq!(budget("12.5%"), Ok(Budget::ThisRun(Limit::Percent(12.5))));
        for text in ["", "%", "-1", "101%", "nan%", "1e2%", "ten", "5 files"] {
            assert!(budget(text).is_err(), "{text}");
        }
    }

    #[test]
    fn concurrency_has_bounds() {
        assert_eq!(concurrency("8"), Ok(8));
        for text in ["0", "-3", "100000", "many"] {
            assert!(concurrency(text).is_err(), "{text}");
        }
    }
}
