//! What only the daemon reads: `[daemon]`, `[http]`, `[notify]`, and the keys of a job that say when it runs.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::keys::{Key, Keys, Otherwise, Takes};
use super::table::{At, Mistakes, Table};
use super::{CONCURRENCY, units};
use crate::plan::Mode;
use crate::replica::throttle::Timetable;
use crate::schedule::{self, Schedule};
use crate::secret::Secret;

pub(super) static DAEMON: Keys = Keys {
    known: &[
        Key::new(
            "transfers",
            Takes::Amount("32"),
            Otherwise::Value("32"),
            "Transfers of all jobs at the same time; each job has its own limit besides (`concurrency`).",
        ),
        Key::new(
            "bwlimit",
            BWLIMIT,
            Otherwise::Unset("no limit"),
            "Bytes per second of all jobs together, as that of a job.",
        ),
        Key::new(
            "timezone",
            ZONE,
            Otherwise::Unset(SYSTEM_ZONE),
            "The zone of that time, and of jobs that do not say.",
        ),
        Key::new(
            "shutdown_deadline",
            Takes::Amount("\"20s\""),
            Otherwise::Value("\"20s\""),
            "How long transfers that are under way may go on when the daemon is told to stop; then they are left for the next \
             start.",
        ),
    ],
    instead: &[],
};
/// Bandwidth, of all jobs or one.
pub(super) const BWLIMIT: Takes = Takes::Amount("\"2MiB\"` or `[\"08:00-18:00 2MiB\", \"off\"]");
/// A time zone.
pub(super) const ZONE: Takes = Takes::Amount("\"Europe/Zurich\"");
const SYSTEM_ZONE: &str = "the system's (`$TZ`, `/etc/localtime`)";

pub(super) static HTTP: Keys = Keys {
    known: &[Key::new(
        "listen",
        Takes::Amount("\"127.0.0.1:9797\""),
        Otherwise::Needed,
        "Where: a loopback address only, since nobody is asked for a password.",
    )],
    instead: &[],
};

pub(super) static NOTIFY: Keys = Keys {
    known: &[
        Key::new(
            "webhook",
            Takes::Secret,
            Otherwise::Unset("none"),
            "A URL that gets a JSON text by POST. Whoever knows it can write there.",
        ),
        Key::new(
            "ping",
            Takes::Secret,
            Otherwise::Unset("none"),
            "A URL that is asked for while all is well, for a service that gives the alarm when it hears nothing.",
        ),
        Key::new("command", Takes::Command, Otherwise::Unset("none"), "A program that is run."),
        Key::new(
            "on",
            Takes::Words(&["failure", "halt", "recovery"]),
            Otherwise::Value("[\"failure\", \"halt\", \"recovery\"]"),
            "What `webhook` and `command` are told: a run failed, a run halted and waits for somebody, all is well again.",
        ),
    ],
    instead: &[],
};
/// Transfers of all jobs at the same time.
pub const TRANSFERS: usize = CONCURRENCY;
/// How long the daemon finishes what it began when it is told to stop.
pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(20);
/// A watched directory is looked at as a whole this often.
pub const FULL_SCAN_INTERVAL: Duration = Duration::from_secs(3600);
/// The other side of a watched directory is listed this often.
pub const FULL_LISTING_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// `[daemon]`: what all jobs share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// Transfers of all jobs at the same time.
    pub transfers: usize,
    /// The bandwidth of all jobs together; `None` is no limit.
    pub bwlimit: Option<Timetable>,
    /// The zone of the timetable above, and of jobs that do not say; `None` is the system's.
    pub timezone: Option<TimeZone>,
    /// How long transfers that are under way may go on after the daemon was told to stop.
    pub shutdown_deadline: Duration,
}

impl Default for Daemon {
    fn default() -> Self {
        Self { transfers: TRANSFERS, bwlimit: None, timezone: None, shutdown_deadline: SHUTDOWN_DEADLINE }
    }
}

/// `[http]`: the read-only pages about the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http {
    /// A loopback address; port 0 is any that is free.
    pub listen: SocketAddr,
}

/// `[notify]`: who is told when something happens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notify {
    /// A URL that gets a JSON text by POST, or `env:NAME`, or `credential:NAME`. Who knows it can write there.
    pub webhook: Option<Secret>,
    /// A URL that is asked for while all is well, or where it is, as above: whoever is behind it notices silence.
    pub ping: Option<Secret>,
    /// A program and its arguments.
    pub command: Option<Vec<String>>,
    /// What `webhook` and `command` are told.
    pub on: Vec<NotifyOn>,
}

/// What somebody can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifyOn {
    /// A run failed, or ended with problems.
    Failure,
    /// A run refused to go on and waits for a person.
    Halt,
    /// A job is well again.
    Recovery,
}

const EVENTS: [(&str, NotifyOn); 3] =
    [("failure", NotifyOn::Failure), ("halt", NotifyOn::Halt), ("recovery", NotifyOn::Recovery)];

/// What a job says to the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobDaemon {
    /// Whether changes of a local side are acted on as they happen.
    pub watch: bool,
    /// When the whole job runs; without it and `watch`, only when somebody asks for it.
    pub schedule: Option<Schedule>,
    /// How long ago the job may last have been known to be in sync before it counts as stale. `None` if it neither
    /// watches nor has a schedule, nor says it.
    pub max_age: Option<Duration>,
    /// How often a watched directory is looked at as a whole.
    pub full_scan_interval: Duration,
    /// How often the other side of a watched directory is listed.
    pub full_listing_interval: Duration,
    /// Whether it only changes something while it holds the lease object of the pair.
    pub lease: bool,
}

impl Default for JobDaemon {
    fn default() -> Self {
        Self {
            watch: false,
            schedule: None,
            max_age: None,
            full_scan_interval: FULL_SCAN_INTERVAL,
            full_listing_interval: FULL_LISTING_INTERVAL,
            lease: false,
        }
    }
}

/// A job is stale when half a period more than the longest one has passed: at least 10 minutes, at most 12 hours more.
fn stale_after(period: Duration) -> Duration {
    let grace = (period / 2).clamp(Duration::from_secs(10 * 60), Duration::from_secs(12 * 3600));
    period.saturating_add(grace)
}

/// The zone that `timezone` names; `None` after a mistake, and without it.
pub(super) fn zone(table: &Table<'_>, mistakes: &mut Mistakes<'_>) -> Option<TimeZone> {
    let name = table.text("timezone", mistakes)?;
    schedule::zone(name.value).map_err(|wrong| mistakes.add(name.at, table.path_of("timezone"), wrong)).ok()
}

fn time(table: &Table<'_>, key: &str, example: &str, mistakes: &mut Mistakes<'_>) -> Option<Duration> {
    table.checked(key, &format!("a time like {example:?}"), mistakes, units::duration)
}

/// `bwlimit`: a rate, or a list of rates by time.
pub(super) fn bandwidth(table: &Table<'_>, mistakes: &mut Mistakes<'_>) -> Option<Timetable> {
    let expected = "a rate like \"2MiB\", or a list like [\"08:00-18:00 2MiB\", \"off\"]";
    let list = table.list_or_amount("bwlimit", expected, mistakes)?;
    units::timetable(list.value.iter().map(String::as_str))
        .map_err(|wrong| mistakes.add(list.at, table.path_of("bwlimit"), wrong))
        .ok()
}

/// `[daemon]`.
pub(super) fn read(top: &Table<'_>, mistakes: &mut Mistakes<'_>) -> Daemon {
    let mut daemon = Daemon::default();
    let Some(table) = top.table("daemon", &DAEMON, mistakes) else { return daemon };
    if let Some(transfers) = table.checked("transfers", "a number", mistakes, units::concurrency) {
        daemon.transfers = transfers;
    }
    daemon.timezone = zone(&table, mistakes);
    daemon.bwlimit = bandwidth(&table, mistakes);
    if let Some(deadline) = time(&table, "shutdown_deadline", "20s", mistakes) {
        daemon.shutdown_deadline = deadline;
    }
    daemon
}

/// `[http]`.
pub(super) fn http(top: &Table<'_>, mistakes: &mut Mistakes<'_>) -> Option<Http> {
    let table = top.table("http", &HTTP, mistakes)?;
    if !table.has("listen") {
        mistakes.add(table.start(), table.path_of("listen"), "is missing; write listen = \"127.0.0.1:9797\"");
    }
    let listen = table.text("listen", mistakes)?;
    let wrong = match listen.value.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => return Some(Http { listen: address }),
        Ok(_) => {
            "is no loopback address: the pages name files, and nobody is asked for a password; write \"127.0.0.1:9797\", and \
             put a proxy that asks for one before it"
        }
        Err(_) => "is no address with a port; write \"127.0.0.1:9797\" or \"[::1]:9797\"",
    };
    mistakes.add(listen.at, table.path_of("listen"), format!("{:?} {wrong}", listen.value));
    None
}

/// `[notify]`.
pub(super) fn notify(top: &Table<'_>, mistakes: &mut Mistakes<'_>) -> Option<Notify> {
    let table = top.table("notify", &NOTIFY, mistakes)?;
    let mut notify = Notify { on: EVENTS.map(|(_, on)| on).to_vec(), ..Notify::default() };
    notify.webhook = url(&table, "webhook", mistakes);
    notify.ping = url(&table, "ping", mistakes);
    if let Some(command) = table.texts("command", mistakes) {
        if command.value.first().is_none_or(|program| program.trim().is_empty()) {
            let message = "names no program: write [\"PROGRAM\", \"ARGUMENT\"]";
            mistakes.add(command.at, table.path_of("command"), message);
        }
        notify.command = Some(command.value.into_iter().map(str::to_owned).collect());
    }
    if let Some(words) = table.texts("on", mistakes) {
        notify.on = events(&words, &table, mistakes);
    }
    if !["webhook", "ping", "command"].iter().any(|key| table.has(key)) {
        mistakes.add(table.start(), table.path(), "tells nobody: write webhook, ping or command, or remove the table");
    }
    Some(notify)
}

fn events(words: &At<Vec<&str>>, table: &Table<'_>, mistakes: &mut Mistakes<'_>) -> Vec<NotifyOn> {
    let known = EVENTS.map(|(word, _)| word).join(", ");
    let mut on = Vec::new();
    for word in &words.value {
        match EVENTS.iter().find(|(known, _)| known == word) {
            Some((_, event)) if on.contains(event) => {}
            Some((_, event)) => on.push(*event),
            None => mistakes.add(words.at, table.path_of("on"), format!("{word:?} is not one of: {known}")),
        }
    }
    if words.value.is_empty() {
        mistakes.add(words.at, table.path_of("on"), format!("is empty; name some of: {known}"));
    }
    on
}

/// Where a URL can be taken from.
const ELSEWHERE: [&str; 2] = ["env:", "credential:"];

/// A URL that may itself be a secret; it is never shown.
fn url(table: &Table<'_>, key: &str, mistakes: &mut Mistakes<'_>) -> Option<Secret> {
    let text = table.text(key, mistakes)?;
    let host = ["https://", "http://"].iter().find_map(|scheme| text.value.strip_prefix(scheme));
    let plain = !text.value.chars().any(|c| c.is_whitespace() || c.is_control());
    let fine = host.is_some_and(|host| !host.is_empty() && !host.starts_with(['/', ':', '?', '#'])) && plain;
    let elsewhere = ELSEWHERE.iter().any(|kind| text.value.strip_prefix(kind).is_some_and(|name| !name.is_empty()));
    if !fine && !elsewhere {
        let message = "is no URL; write it like \"https://example.com/path\", \"env:NAME\" for one in a variable, or \
                       \"credential:NAME\" for a credential of the service";
        mistakes.add(text.at, table.path_of(key), message);
        return None;
    }
    Some(Secret::new(text.value))
}

/// Whether a secret stands in the file itself.
pub(super) fn holds_secret(notify: &Notify) -> bool {
    [&notify.webhook, &notify.ping]
        .into_iter()
        .flatten()
        .any(|url| !ELSEWHERE.iter().any(|kind| url.reveal().starts_with(kind)))
}

/// What of a job may be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sides<'a> {
    pub(super) mode: Option<Mode>,
    pub(super) source: Option<&'a str>,
    pub(super) destination: Option<&'a str>,
}

/// What a job says to the daemon. `zone` is where its clock hangs; `None` is the system's.
pub(super) fn of_job(
    table: &Table<'_>,
    sides: &Sides<'_>,
    zone: Option<&TimeZone>,
    mistakes: &mut Mistakes<'_>,
) -> JobDaemon {
    let defaults = JobDaemon::default();
    let watch = watch(table, sides, mistakes);
    let schedule = read_schedule(table, zone, mistakes);
    let scan = time(table, "full_scan_interval", "1h", mistakes).unwrap_or(defaults.full_scan_interval);
    let listing = time(table, "full_listing_interval", "24h", mistakes).unwrap_or(defaults.full_listing_interval);
    if !watch && !table.has("watch") {
        for key in ["full_scan_interval", "full_listing_interval"].iter().filter(|key| table.has(key)) {
            mistakes.add(table.start(), table.path_of(key), "goes with watch = true: without it each run looks at all");
        }
    }
    let periods = [schedule.as_ref().map(Schedule::longest), watch.then_some(scan)];
    let period = periods.into_iter().flatten().min();
    let max_age = time(table, "max_age", "26h", mistakes).or(period.map(stale_after));
    let lease = table.boolean("lease", mistakes).is_some_and(|lease| lease.value);
    JobDaemon { watch, schedule, max_age, full_scan_interval: scan, full_listing_interval: listing, lease }
}

fn watch(table: &Table<'_>, sides: &Sides<'_>, mistakes: &mut Mistakes<'_>) -> bool {
    let Some(watch) = table.boolean("watch", mistakes).filter(|watch| watch.value) else { return false };
    // What stands behind a remote or a variable is known when the job runs.
    let bucket = |place: Option<&str>| place.is_some_and(crate::location::is_bucket);
    let wrong = match sides.mode {
        Some(Mode::TwoWay) if bucket(sides.source) && bucket(sides.destination) => {
            "needs a directory to watch, and both sides are buckets; write every = \"15m\" instead"
        }
        Some(Mode::Copy | Mode::CopyAndDelete | Mode::Mirror) if bucket(sides.source) => {
            "needs a directory to watch, and the source is a bucket; write every = \"15m\" instead"
        }
        _ => return true,
    };
    mistakes.add(watch.at, table.path_of("watch"), wrong);
    false
}

fn read_schedule(table: &Table<'_>, zone: Option<&TimeZone>, mistakes: &mut Mistakes<'_>) -> Option<Schedule> {
    let every = time(table, "every", "15m", mistakes).map(Schedule::Every);
    let line = table.text("cron", mistakes);
    if table.has("every") && table.has("cron") {
        mistakes.add(table.start(), table.path_of("cron"), "goes without every; keep one of them");
    }
    let Some(line) = line else { return every };
    // As other programs have it, the system's time is UTC where nothing says what it is.
    let zone = zone.cloned().unwrap_or_else(|| TimeZone::try_system().unwrap_or(TimeZone::UTC));
    let cron = Schedule::cron(line.value, zone);
    cron.map_err(|wrong| mistakes.add(line.at, table.path_of("cron"), wrong)).ok()
}
