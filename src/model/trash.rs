//! Words of the trash: how long it keeps what runs take away, and the names of runs in it.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

/// Digits of a name that tell apart runs of one second.
const DIGITS: usize = 8;
/// The time in a name: UTC, without characters that a key or a shell would mind.
const TIME: &str = "%Y%m%dT%H%M%SZ";

/// How long content is kept that a run deletes, or replaces against somebody else's change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// `trash = "off"`: not at all.
    Off,
    /// So many seconds.
    Seconds(u64),
}

impl Default for Keep {
    /// 30 days.
    fn default() -> Self {
        Self::Seconds(30 * 24 * 3600)
    }
}

impl fmt::Display for Keep {
    /// As it is written in the configuration: `30d`, `12h`, `off`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(24 * 3600, 'd'), (3600, 'h'), (60, 'm')];
        match self {
            Self::Off => f.write_str("off"),
            Self::Seconds(seconds) => match units.iter().find(|(size, _)| seconds % size == 0) {
                Some((size, unit)) => write!(f, "{}{unit}", seconds / size),
                None => write!(f, "{seconds}s"),
            },
        }
    }
}

/// Which of the content that is replaced goes to the trash. What is deleted always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replaced {
    /// What somebody else put there since the last run.
    #[default]
    Changes,
    /// Everything: in a mirror, the destination is the last place that has it.
    All,
}

/// What a run puts into the trash, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrashRule {
    /// How long.
    pub keep: Keep,
    /// Which of what is replaced.
    pub replaced: Replaced,
}

/// The name of a run in the trash, like `20261122T194503Z-3f2a91c4`: the second in which it began (UTC) and digits that
/// no other run of that second has. It holds no host and no path. Names sort by time. A restore has `r` in the place of
/// the first digit, like `20261122T194503Z-rf2a91c4`: what it replaced is told apart from what runs took away wherever
/// the trash is read, also by a host that knows nothing else of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunName(String);

impl RunName {
    /// The name of a run that began at `now_ns` (since the epoch); `salt` is random.
    pub fn new(now_ns: i64, salt: u32) -> Self {
        let time = Timestamp::from_second(now_ns.div_euclid(1_000_000_000)).unwrap_or(Timestamp::UNIX_EPOCH);
        Self(format!("{}-{salt:08x}", time.strftime(TIME)))
    }

    /// The name of a restore that began at `now_ns` (since the epoch); `salt` is random.
    pub fn of_restore(now_ns: i64, salt: u32) -> Self {
        let run = Self::new(now_ns, salt);
        let (time, digits) = run.0.split_at(run.0.len() - DIGITS);
        Self(format!("{time}r{}", &digits[1..]))
    }

    /// Whether a restore is called like that.
    pub fn is_restore(&self) -> bool {
        self.0.split_once('-').is_some_and(|(_, digits)| digits.starts_with('r'))
    }

    /// Reads a name; `None` if no run is called like that.
    pub fn parse(text: &str) -> Option<Self> {
        let (time, digits) = text.split_once('-')?;
        let hex = digits.strip_prefix('r').unwrap_or(digits);
        let is_hex = digits.len() == DIGITS && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (is_hex && seconds(time)?.strftime(TIME).to_string() == time).then(|| Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When the run began, ns since the epoch.
    pub fn began_ns(&self) -> i64 {
        let time = self.0.split_once('-').and_then(|(time, _)| seconds(time));
        time.map_or(0, |time| time.as_second().saturating_mul(1_000_000_000))
    }

    /// Whether what the run put aside has been kept for its time.
    pub fn is_expired(&self, keep_seconds: u64, now_ns: i64) -> bool {
        let keep = i64::try_from(keep_seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
        self.began_ns() < now_ns.saturating_sub(keep)
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn seconds(time: &str) -> Option<Timestamp> {
    Offset::UTC.to_timestamp(DateTime::strptime(TIME, time).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn names_hold_their_time_and_sort_by_it() {
        let name = RunName::new(1_795_376_703 * SECOND + 5, 0x3f2a);
        assert_eq!(name.as_str(), "20261122T194503Z-00003f2a");
        assert_eq!(RunName::parse(name.as_str()), Some(name.clone()));
        assert_eq!(name.began_ns(), 1_795_376_703 * SECOND);
        assert!(name < RunName::new(1_795_376_704 * SECOND, 0));
    }

    #[test]
    fn the_name_of_a_restore_is_as_long_and_tells_what_it_is() {
        let (run, restore) = (RunName::new(5 * SECOND, 0x8f2a_91c4), RunName::of_restore(5 * SECOND, 0x8f2a_91c4));
        assert_eq!(restore.as_str(), "19700101T000005Z-rf2a91c4");
        assert_eq!(RunName::parse(restore.as_str()), Some(restore.clone()));
        assert_eq!((run.is_restore(), restore.is_restore()), (false, true));
        assert_eq!((run.as_str().len(), run.began_ns()), (restore.as_str().len(), restore.began_ns()));
        assert!(restore < RunName::new(6 * SECOND, 0));
    }

    #[test]
    fn what_no_run_is_called_is_no_name() {
        for text in [
            "",
            "x",
            "20261122T194503Z",
            "20261122T194503Z-3f2a",
            "20261322T194503Z-00003f2a",
            "20261122T194503Z-0r003f2a",
            "20261122T194503Z-rr003f2a",
            "20261122T194503Z-r00003f2a",
            "..-00003f2a",
            "a/b-00003f2a",
        ] {
            assert_eq!(RunName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_run_expires_after_its_time_and_not_before() {
        let day = 24 * 3600;
        let name = RunName::new(0, 1);
        assert!(!name.is_expired(day, day.cast_signed() * SECOND));
        assert!(name.is_expired(day, day.cast_signed() * SECOND + 1));
        assert!(!name.is_expired(u64::MAX, i64::MAX));
    }

    #[test]
    fn times_are_written_as_they_are_configured() {
        let text = |seconds| Keep::Seconds(seconds).to_string();
        assert_eq!((Keep::default().to_string().as_str(), Keep::Off.to_string().as_str()), ("30d", "off"));
        assert_eq!([text(12 * 3600), text(90), text(5400)], ["12h", "90s", "90m"]);
    }
}
