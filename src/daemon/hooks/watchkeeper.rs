//! What is told, and when: how jobs stand becomes events. Pure; no clock, no network.
//!
//! | event | is told when | at most |
//! |---|---|---|
//! | halt | a guard refused | once a quarter of an hour a job |
//! | failure | tries failed [`TRIES`] times in a row or for five minutes; a job is stale; its directory is lost or keys are left for five minutes | once a quarter of an hour a job |
//! | recovery | both sides are equal again, after one of the others was told | once after each of these |
//!
//! What lasts is told once. A server that comes and goes within five minutes is told to nobody.

use std::collections::HashMap;

use serde::Serialize;

use crate::daemon::state::{DaemonState, Health, JobState, Phase, SECOND};
use crate::model::Escaped;

/// Failures in a row that are told.
const TRIES: u32 = 10;
/// What lasts so long is told.
const LASTING: i64 = 5 * 60 * SECOND;
/// A daemon that lives so long does not die of what it begins with.
const PROVEN: i64 = 60 * SECOND;
/// One kind of event of one job is not told again before.
const PAUSE: i64 = 15 * 60 * SECOND;

/// What somebody can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It fails, is stale, or keys are left that could not be handled.
    Failure,
    /// A guard refused; a person decides.
    Halt,
    /// It is well again.
    Recovery,
}

impl Kind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Halt => "halt",
            Self::Recovery => "recovery",
        }
    }
}

/// Something to tell. Its JSON is documented (docs/daemon-http.md) and stable within `v`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// The version of this form.
    pub v: u32,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// To which job.
    pub job: String,
    /// How it stands, in the words of [`Health::name`].
    pub health: &'static str,
    /// In a sentence, with names escaped.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The command that resolves it.
    pub command: Option<String>,
    /// Since when it is so; of a recovery, since when it was not well. RFC 3339, UTC.
    pub since: String,
}

impl Event {
    /// As JSON, on one line.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers can be written as JSON")
    }
}

/// Remembers what was told.
#[derive(Debug, Default)]
pub struct Watchkeeper {
    on: Vec<Kind>,
    jobs: HashMap<String, Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// Since when the job is unwell, and in which way.
    unwell: Option<(i64, Way)>,
    /// The kind that was reached last, until the recovery from it.
    reached: Option<(Kind, i64)>,
    /// When something was told last.
    failure_told: Option<i64>,
    halt_told: Option<i64>,
}

/// How a job is unwell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Halted,
    Stale,
    Failing,
    Lost,
    Left,
}

impl Watchkeeper {
    /// Tells of these kinds.
    pub fn new(on: Vec<Kind>) -> Self {
        Self { on, jobs: HashMap::new() }
    }

    /// From now on it tells of these kinds. What it knows stays.
    pub fn tell_of(&mut self, on: Vec<Kind>) {
        self.on = on;
    }

    /// What is to be told now, in the order of the jobs.
    pub fn observe(&mut self, state: &DaemonState, now_ns: i64) -> Vec<Event> {
        self.jobs.retain(|name, _| state.jobs.iter().any(|job| job.name == *name));
        let seen = state.jobs.iter().filter_map(|job| self.one(job, now_ns, state.started_ns));
        seen.collect()
    }

    fn one(&mut self, job: &JobState, now_ns: i64, started_ns: i64) -> Option<Event> {
        if !self.jobs.contains_key(&job.name) {
            self.jobs.insert(job.name.clone(), Memory::default());
        }
        let memory = self.jobs.get_mut(&job.name)?;
        let health = job.health(now_ns, started_ns);
        let Some(way) = way(job, health) else {
            let (since, _) = memory.unwell?;
            // No sign of trouble is not yet a proof of the opposite; but what was not told has to last anew.
            if !is_proven(job, health, since) {
                memory.unwell = memory.unwell.filter(|_| memory.reached.is_some());
                return None;
            }
            memory.unwell = None;
            let (kind, since) = memory.reached.take()?;
            // Nobody is told of the end of what nobody was told of, unless ends are all that is asked for.
            let wanted = self.on.contains(&Kind::Recovery)
                && (self.on.contains(&kind) || !self.on.iter().any(|on| *on != Kind::Recovery));
            return wanted.then(|| recovery(job, health, (since, now_ns)));
        };
        let since = match memory.unwell {
            // One way of failing goes over into the other; only a halt has its own time.
            Some((since, before)) if way != Way::Halted && before != Way::Halted => since,
            _ => begun(job, way, now_ns),
        };
        memory.unwell = Some((since, way));
        let (kind, told) = match way {
            Way::Halted => (Kind::Halt, &mut memory.halt_told),
            Way::Stale | Way::Failing | Way::Lost | Way::Left => (Kind::Failure, &mut memory.failure_told),
        };
        let goes_on = memory.reached.is_some_and(|(reached, _)| reached == kind);
        if goes_on || !is_due(job, way, since, now_ns) || told.is_some_and(|at| now_ns - at < PAUSE) {
            return None;
        }
        *told = Some(now_ns);
        let first = memory.reached.map_or(since, |(_, first)| first.min(since));
        memory.reached = Some((kind, first));
        self.on.contains(&kind).then(|| trouble(job, (kind, way), health, since))
    }
}

/// Whether all jobs are well, for the dead-man URL: as `/healthz` has it. In its first minute the daemon has to prove it by
/// jobs that were in sync and have done what they began with; else one that dies of that and begins again would count as
/// well.
pub(super) fn is_well(state: &DaemonState, now_ns: i64) -> bool {
    let lives = now_ns - state.started_ns >= PROVEN;
    let well = |job: &JobState| match job.health(now_ns, state.started_ns) {
        Health::Standby => true,
        health => {
            let is_proven = job.phase != Phase::Starting && job.lag_s(now_ns).is_some();
            !health.fails() && (lives || is_proven)
        }
    };
    !state.jobs.is_empty() && state.jobs.iter().all(well)
}

fn way(job: &JobState, health: Health) -> Option<Way> {
    match health {
        Health::Halted => Some(Way::Halted),
        _ if job.phase == Phase::Lost => Some(Way::Lost),
        Health::Stale => Some(Way::Stale),
        Health::Standby => None,
        _ if job.error.is_some() => Some(Way::Failing),
        Health::Problems => Some(Way::Left),
        Health::InSync | Health::Syncing | Health::Paused => None,
    }
}

/// When it began, for what is seen the first time.
fn begun(job: &JobState, way: Way, now_ns: i64) -> i64 {
    let since = match way {
        Way::Halted => job.halt.as_ref().map(|halt| halt.since_ns),
        Way::Failing => job.error.as_ref().map(|error| error.since_ns),
        Way::Stale => job.dirty_since_ns.or(job.fresh_ns),
        Way::Lost | Way::Left => None,
    };
    since.unwrap_or(now_ns).min(now_ns)
}

fn is_due(job: &JobState, way: Way, since: i64, now_ns: i64) -> bool {
    match way {
        Way::Halted | Way::Stale => true,
        Way::Failing if job.error.as_ref().is_some_and(|error| error.tries >= TRIES) => true,
        Way::Failing | Way::Lost | Way::Left => now_ns - since >= LASTING,
    }
}

/// Whether a job is known to be well again: it is in sync, or it was in the meantime and goes on.
fn is_proven(job: &JobState, health: Health, since: i64) -> bool {
    match health {
        Health::InSync => true,
        Health::Syncing | Health::Paused | Health::Standby => job.fresh_ns.is_some_and(|fresh| fresh > since),
        Health::Stale | Health::Problems | Health::Halted => false,
    }
}

fn trouble(job: &JobState, (kind, way): (Kind, Way), health: Health, since: i64) -> Event {
    let failing = job.error.as_ref();
    let message = match way {
        Way::Halted => job.halt.as_ref().map_or(String::new(), |halt| format!("it halted: {}", halt.message)),
        Way::Stale => match failing {
            Some(error) => format!("it is stale, and the last try failed: {}", error.message),
            None => "it is stale: both sides were not known to be equal for longer than they may".to_owned(),
        },
        Way::Failing => failing.map_or(String::new(), |error| format!("it fails: {}", error.message)),
        Way::Lost => "its directory is not there, or is another one".to_owned(),
        Way::Left => {
            let first = job.problems.first().map_or(String::new(), |problem| format!("; first: {}", problem.message));
            format!("{} could not be handled, {} in conflict{first}", keys(job.problem_count), keys(job.conflict_count))
        }
    };
    let hint = match way {
        Way::Halted => None,
        Way::Left => job.problems.first().and_then(|problem| problem.hint.clone()),
        Way::Stale | Way::Failing | Way::Lost => failing.and_then(|error| error.hint.clone()),
    };
    let command = job.halt.as_ref().and_then(|halt| halt.command.clone());
    Event { message: clean(&message), hint: hint.as_deref().map(clean), command, ..event(job, kind, health, since) }
}

fn recovery(job: &JobState, health: Health, (since, now_ns): (i64, i64)) -> Event {
    let seconds = (now_ns - since).max(0) / SECOND;
    let (number, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        _ => (seconds / 3_600, "hour"),
    };
    let message = format!("it is well again, after {number} {unit}{}", if number == 1 { "" } else { "s" });
    Event { message, ..event(job, Kind::Recovery, health, since) }
}

fn event(job: &JobState, kind: Kind, health: Health, since: i64) -> Event {
    let since = jiff::Timestamp::from_nanosecond(since.into()).unwrap_or_default();
    Event {
        v: 1,
        kind,
        job: clean(&job.name),
        health: health.name(),
        message: String::new(),
        hint: None,
        command: None,
        since: since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }
}

fn keys(count: u64) -> String {
    format!("{count} {}", if count == 1 { "key" } else { "keys" })
}

fn clean(text: &str) -> String {
    Escaped(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::state::{Coverage, Failing, Fault, Halted, Told, Watching};

    const START: i64 = 1_795_410_000;

    #[test]
    fn a_recovery_says_how_long_it_took_in_fitting_units() {
        for (seconds, told) in [(1, "1 second"), (42, "42 seconds"), (180, "3 minutes"), (7_300, "2 hours")] {
            let message = recovery(&well(0), Health::InSync, (0, seconds * SECOND)).message;
            assert_eq!(message, format!("it is well again, after {told}"));
        }
    }

    fn well(at: i64) -> JobState {
        let mut job = JobState::new("media", ("/srv/media", "s3://b"), "copy", 600);
        job.watch = Some(Watching { coverage: Coverage::Full, directories: 1, why: None });
        (job.phase, job.fresh_ns) = (Phase::Idle, Some((START + at) * SECOND));
        job
    }

    fn failing(since: i64, tries: u32) -> JobState {
        let message = "no answer\n from b".to_owned();
        let error = Failing {
            message,
            hint: Some("wait".to_owned()),
            since_ns: (START + since) * SECOND,
            retry_ns: None,
            tries,
        };
        JobState { phase: Phase::Failing, error: Some(error), ..well(since) }
    }

    fn halted(since: i64) -> JobState {
        let halt = Halted {
            message: "60 % of the files would go".to_owned(),
            plan: Some("abc".to_owned()),
            command: Some("mediasync approve media abc".to_owned()),
            since_ns: (START + since) * SECOND,
            again_ns: None,
        };
        JobState { phase: Phase::Halted, halt: Some(halt), ..well(since) }
    }

    fn left(at: i64) -> JobState {
        let told = Told { message: "a: too long".to_owned(), hint: Some("shorten it".to_owned()), fault: Fault::File };
        JobState { problem_count: 1, problems: vec![told], ..well(at) }
    }

    fn state(jobs: Vec<JobState>) -> DaemonState {
        DaemonState {
            pid: 1,
            version: String::new(),
            started_ns: START * SECOND,
            config: None,
            state_dir: String::new(),
            reload_error: None,
            jobs,
        }
    }

    /// What is played, how the job stands from which second on, and what is told at which.
    type Row = (&'static str, Vec<(i64, JobState)>, &'static [(i64, Kind)]);

    const ALL: [Kind; 3] = [Kind::Failure, Kind::Halt, Kind::Recovery];

    /// How a job stands from a second on; every ten seconds somebody looks. Gives what is told, and at which second.
    fn told(on: &[Kind], story: &[(i64, JobState)], end: i64) -> Vec<(i64, Kind)> {
        let mut keeper = Watchkeeper::new(on.to_vec());
        let mut told = Vec::new();
        for at in (0..=end).step_by(10) {
            let (_, job) = story.iter().rfind(|(from, _)| *from <= at).unwrap();
            let events = keeper.observe(&state(vec![job.clone()]), (START + at) * SECOND);
            told.extend(events.into_iter().map(|event| (at, event.kind)));
        }
        told
    }

    #[test]
    fn what_lasts_is_told_once_and_its_end_always() {
        use Kind::{Failure, Halt, Recovery};
        let table: [Row; 11] = [
            ("all is well", vec![(0, well(0))], &[]),
            ("a blink", vec![(0, well(0)), (10, failing(10, 3)), (200, well(200))], &[]),
            ("five minutes", vec![(0, failing(0, 3)), (900, well(900))], &[(300, Failure), (900, Recovery)]),
            ("many tries", vec![(0, failing(0, 9)), (20, failing(0, 10))], &[(20, Failure)]),
            ("keys are left", vec![(0, left(0)), (400, well(400))], &[(300, Failure), (400, Recovery)]),
            ("a lost root", vec![(0, JobState { phase: Phase::Lost, ..well(0) })], &[(300, Failure)]),
            ("a halt", vec![(0, well(0)), (50, halted(50)), (7_000, well(7_000))], &[(50, Halt), (7_000, Recovery)]),
            ("one in the other", vec![(0, failing(0, 1)), (400, halted(400))], &[(300, Failure), (400, Halt)]),
            (
                "approved, but not done yet",
                vec![
                    (0, halted(0)),
                    (100, JobState { phase: Phase::Running, dirty: 1, fresh_ns: Some(START * SECOND), ..well(0) }),
                    (200, well(200)),
                ],
                &[(0, Halt), (200, Recovery)],
            ),
            (
                "busy all day",
                vec![
                    (0, halted(0)),
                    (100, JobState { dirty: 1, dirty_since_ns: Some((START + 100) * SECOND), ..well(90) }),
                ],
                &[(0, Halt), (100, Recovery)],
            ),
            (
                "a pause proves nothing",
                vec![(0, failing(0, 20)), (10, JobState { phase: Phase::Paused, ..well(-60) })],
                &[(0, Failure)],
            ),
        ];
        for (name, story, expected) in &table {
            // In the end all that goes on being busy is stale.
            let end = if *name == "busy all day" { 500 } else { 7_010 };
            assert_eq!(told(&ALL, story, end), *expected, "{name}");
        }
    }

    #[test]
    fn a_server_that_comes_and_goes_does_not_flood_anybody() {
        let minute = |n: i64| if n % 7 == 6 { (n * 60, well(n * 60)) } else { (n * 60, failing((n - n % 7) * 60, 10)) };
        let story: Vec<(i64, JobState)> = (0..120).map(minute).collect();
        let got = told(&ALL, &story, 7_190);
        let failures: Vec<i64> = got.iter().filter(|(_, kind)| *kind == Kind::Failure).map(|(at, _)| *at).collect();
        assert!(failures.windows(2).all(|pair| pair[1] - pair[0] >= 900), "{failures:?}");
        assert_eq!(failures.len(), 8, "{failures:?}");
        let kinds: Vec<Kind> = got.iter().map(|(_, kind)| *kind).collect();
        assert!(kinds.chunks(2).all(|pair| pair == [Kind::Failure, Kind::Recovery]), "{kinds:?}");
    }

    #[test]
    fn only_what_was_asked_for_is_told() {
        let story = [(0, failing(0, 10)), (20, halted(20)), (40, well(40)), (60, halted(60))];
        assert_eq!(told(&[Kind::Failure], &story, 100), [(0, Kind::Failure)]);
        assert_eq!(told(&[Kind::Halt, Kind::Recovery], &story, 50), [(20, Kind::Halt), (40, Kind::Recovery)]);
        assert_eq!(told(&[Kind::Recovery], &story, 50), [(40, Kind::Recovery)]);
        let failure_only = [(0, failing(0, 10)), (40, well(40))];
        assert_eq!(told(&[Kind::Halt, Kind::Recovery], &failure_only, 50), [], "nobody knew of it");
    }

    #[test]
    fn an_event_says_all_that_is_needed() {
        let mut keeper = Watchkeeper::new(ALL.to_vec());
        let stands = |job: JobState| state(vec![job]);
        let halt = keeper.observe(&stands(halted(0)), (START + 10) * SECOND).remove(0);
        assert_eq!(
            halt.json(),
            "{\"v\":1,\"type\":\"halt\",\"job\":\"media\",\"health\":\"halted\",\
             \"message\":\"it halted: 60 % of the files would go\",\"hint\":null,\
             \"command\":\"mediasync approve media abc\",\"since\":\"2026-11-23T05:00:00Z\"}"
        );
        let end = keeper.observe(&stands(well(7_300)), (START + 7_300) * SECOND).remove(0);
        assert_eq!((end.message.as_str(), end.health), ("it is well again, after 2 hours", "in-sync"));
        let failure = keeper.observe(&stands(failing(7_310, 10)), (START + 7_320) * SECOND).remove(0);
        assert_eq!(failure.message, "it fails: no answer\\u{a} from b");
        assert_eq!(failure.hint.as_deref(), Some("wait"));
        let mut keeper = Watchkeeper::new(ALL.to_vec());
        assert_eq!(keeper.observe(&stands(left(0)), START * SECOND), []);
        let keys = keeper.observe(&stands(left(0)), (START + 300) * SECOND).remove(0);
        assert_eq!(keys.message, "1 key could not be handled, 0 keys in conflict; first: a: too long");
    }

    #[test]
    fn a_host_that_stands_by_is_no_failure_and_the_dead_man_hears_of_it() {
        let stands_by =
            |at: i64| JobState { peer_seen_ns: Some((START + at) * SECOND), fresh_ns: None, ..failing(0, 0) };
        let story: Vec<(i64, JobState)> = (0..100).map(|n| (n * 100, stands_by(n * 100 - 20))).collect();
        assert_eq!(told(&ALL, &story, 9_950), []);
        assert!(is_well(&state(vec![stands_by(0)]), (START + 10) * SECOND));
        assert!(!is_well(&state(vec![stands_by(-700)]), (START + 10) * SECOND), "nobody was seen to live");
    }

    #[test]
    fn the_dead_man_hears_of_what_is_well_and_in_the_first_minute_of_what_was_in_sync() {
        let never = JobState { fresh_ns: None, phase: Phase::Idle, watch: None, ..well(0) };
        assert!(!is_well(&state(vec![never.clone()]), (START + 59) * SECOND), "it may die of what it begins with");
        let begins = JobState { phase: Phase::Starting, ..well(0) };
        assert!(!is_well(&state(vec![begins]), (START + 59) * SECOND), "it may be halted by what it begins with");
        assert!(is_well(&state(vec![well(0), never.clone()]), (START + 60) * SECOND), "its time has not come");
        assert!(!is_well(&state(vec![never]), (START + 601) * SECOND), "stale by now");
        let now = (START + 10) * SECOND;
        assert!(!is_well(&state(vec![]), now));
        assert!(is_well(&state(vec![well(0), left(0)]), now));
        assert!(!is_well(&state(vec![well(0), JobState { fresh_ns: None, ..well(0) }]), now));
        assert!(!is_well(&state(vec![well(0), halted(0)]), now));
        assert!(!is_well(&state(vec![failing(-700, 1)]), now));
    }
}
