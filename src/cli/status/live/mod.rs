//! How a job stands that a daemon runs, for people.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::{headers, left};
use crate::cli::exit::Exit;
use crate::cli::human;
use crate::cli::shell;
use crate::daemon::state::{
    Coverage, DaemonState, Done, Ended, Failing, Health, JobState, Last, Look, Phase, Running, SECOND, Told, Watching,
};

/// Problems that are told with their words.
const LISTED: usize = 5;

/// When and for whom it is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Teller<'a> {
    /// The daemon's state.
    pub(super) daemon: &'a DaemonState,
    pub(super) now_ns: i64,
    pub(super) zone: &'a TimeZone,
    /// The flags that a later command has to repeat.
    pub(super) repeated: &'a str,
    /// Objects of the job that wait for what header rules say.
    pub(super) restyles: u64,
}

/// What a job that stands so makes `status` exit with: changes that are on their way, and not late, are fine.
pub(super) fn exit(job: &JobState, health: Health) -> Exit {
    let was_fresh = job.fresh_ns.is_some() && job.phase != Phase::Failing && !job.is_failing();
    match health {
        Health::InSync | Health::Standby => Exit::Done,
        Health::Syncing | Health::Paused if was_fresh => Exit::Done,
        Health::Syncing | Health::Paused | Health::Stale | Health::Problems => Exit::Problems,
        Health::Halted => Exit::Halted,
    }
}

impl Teller<'_> {
    /// The lines about a job, below the one that names it.
    pub(super) fn job(&self, job: &JobState) -> Vec<String> {
        let mut lines: Vec<String> = self.unanswered(job).into_iter().collect();
        lines.extend(self.paused(job));
        lines.push(self.health(job));
        lines.extend(self.halt(job));
        lines.extend(self.now_doing(job));
        let before = job.error.as_ref().filter(|_| !job.is_failing());
        lines.extend(before.map(|error| self.failing(error, job.phase)));
        lines.extend(self.problems(job));
        lines.extend(job.watch.as_ref().map(watched));
        let (files, bytes) = job.synced;
        lines.push(format!("equal on both sides: {}, {}", human::files(files), human::size(bytes)));
        lines.extend(job.last.as_ref().map(|last| self.last(last)));
        lines.extend(job.next_ns.map(|at| format!("next run: {}{}", self.time(at), self.until(at))));
        lines.iter().map(|line| format!("  {}", plain(line).replace('\n', "\n  "))).collect()
    }

    /// That the server does not answer comes before what that keeps from being done.
    fn unanswered(&self, job: &JobState) -> Option<String> {
        let retrying = job.running.as_ref().and_then(|running| running.retrying.as_ref());
        match (job.error.as_ref().filter(|_| job.is_failing()), retrying) {
            (Some(error), _) => Some(self.failing(error, job.phase)),
            (None, Some(it)) => Some(format!("retrying for {} s: {}", it.for_s, it.message)),
            (None, None) => None,
        }
    }

    /// A pause is told first, whatever else is to be told.
    fn paused(&self, job: &JobState) -> Option<String> {
        let is_else = job.is_paused() && self.told_health(job) != Health::Paused;
        is_else.then(|| format!("paused{}: nothing is done until somebody resumes it", self.since_pause(job)))
    }

    fn since_pause(&self, job: &JobState) -> String {
        job.paused_since_ns.map_or_else(String::new, |at| format!(" since {}", self.time(at)))
    }

    /// The health; what a server that does not answer left undone is no problem of files.
    fn told_health(&self, job: &JobState) -> Health {
        match job.health(self.now_ns, self.daemon.started_ns) {
            Health::Problems if job.left().1 + job.conflict_count == 0 => Health::Syncing,
            health => health,
        }
    }

    /// Whether it is in sync, and since when.
    fn health(&self, job: &JobState) -> String {
        let known = match job.fresh_ns {
            Some(at) => format!("last known to be in sync at {}, {} ago", self.time(at), self.ago(at)),
            None => "not known to be in sync yet".to_owned(),
        };
        let dirty = format!("{}{}", changed(job.dirty), self.oldest(job));
        let and_dirty = if job.dirty > 0 { format!("; {dirty}") } else { String::new() };
        match self.told_health(job) {
            Health::InSync => self.in_sync(job),
            Health::Syncing if job.is_failing() => format!("{known}{and_dirty}"),
            Health::Syncing if job.dirty > 0 => format!("syncing: {dirty}"),
            Health::Syncing if job.awaits_its_first_run() => "not run yet: it waits for its time".to_owned(),
            Health::Syncing if job.fresh_ns.is_none() => "syncing: it has not looked at both sides yet".to_owned(),
            Health::Syncing => format!("syncing: {known}"),
            Health::Paused => {
                let meanwhile = format!("{} meanwhile{}", changed(job.dirty), self.oldest(job));
                format!("paused{}; {}", self.since_pause(job), if job.dirty > 0 { meanwhile } else { known })
            }
            Health::Standby => {
                let seen = self.ago(job.peer_seen_ns.unwrap_or(self.now_ns));
                format!("standby: another host does the work, and was seen to live {seen} ago{and_dirty}")
            }
            Health::Stale => {
                format!("stale: {known}; at most {} is allowed{and_dirty}", seconds(job.max_age_s))
            }
            Health::Problems => {
                let (problems, conflicts) = (job.left().1, job.conflict_count);
                format!("left: {}, {}", left(problems, "problem"), left(conflicts, "conflict"))
            }
            Health::Halted => format!("halted; {known}"),
        }
    }

    /// Since when no run had anything to do, and when all was looked at last. What nobody watches is as it was then.
    fn in_sync(&self, job: &JobState) -> String {
        let in_sync = match self.restyles {
            0 => "in sync".to_owned(),
            waiting => format!("content in sync, {}", headers::told(waiting)),
        };
        let since = job.in_sync_since(self.now_ns, self.daemon.started_ns);
        if job.lag_s(self.now_ns) == Some(0) {
            let since = since.map_or_else(String::new, |at| format!(", since {}, for {}", self.time(at), self.ago(at)));
            let checked = job.checked_ns.map(|at| format!("; all of it last checked {} ago", self.ago(at)));
            return format!("{in_sync}{since}{}", checked.unwrap_or_default());
        }
        let looked = job.fresh_ns.unwrap_or(self.now_ns);
        let since = since.filter(|at| *at < looked);
        let since =
            since.map_or_else(String::new, |at| format!("; no look found a difference since {}", self.time(at)));
        format!("{in_sync}, as it was looked at {} ago ({}){since}", self.ago(looked), self.time(looked))
    }

    /// Since when the oldest change waits: that is not the lag, which begins when both sides were last known to be equal.
    fn oldest(&self, job: &JobState) -> String {
        job.dirty_since_ns.map_or_else(String::new, |since| format!(", the oldest {} ago", self.ago(since)))
    }

    fn halt(&self, job: &JobState) -> Option<String> {
        let halt = job.halt.as_ref()?;
        let command = halt.command.as_ref().map(|command| format!("\nhint: to do exactly that: {command}"));
        let again = halt.again_ns.filter(|_| job.running.is_none() && !job.is_paused());
        let again = again.map(|at| format!("\nlooks again by itself{}", self.until(at)));
        let (command, again) = (command.unwrap_or_default(), again.unwrap_or_default());
        Some(format!("halted at {}: {}{command}{again}", self.time(halt.since_ns), halt.message))
    }

    /// What it does at this moment, where that is no matter of course.
    fn now_doing(&self, job: &JobState) -> Option<String> {
        let name = shell::word(&job.name);
        match (job.phase, &job.running) {
            (_, Some(running)) => {
                // Else it was said before.
                let retrying = running.retrying.as_ref().filter(|_| job.is_failing());
                let retrying = retrying.map(|it| format!("\nretrying: {} ({} s)", it.message, it.for_s));
                Some(format!("{}{}", self.running(running), retrying.unwrap_or_default()))
            }
            (Phase::Paused, None) => {
                let why = job
                    .unsure
                    .as_ref()
                    .map_or_else(String::new, |why| format!("paused because nobody can know whether it was: {why}\n"));
                Some(format!("{why}hint: to go on: mediasync resume {name}{}", self.repeated))
            }
            (Phase::Lent, None) => Some("now: a command works on it; the daemon goes on afterwards".to_owned()),
            (_, None) => None,
        }
    }

    fn running(&self, running: &Running) -> String {
        let what = look(running.look);
        let since = self.ago(running.since_ns);
        if running.actions == 0 {
            return format!("now: looking at {what}, for {since}");
        }
        let (done, all) = (human::count(running.actions_done), human::count(running.actions));
        let bytes = if running.bytes_to_send > 0 { format!(", {}", running.sent(human::size)) } else { String::new() };
        format!("now: {done} of {all} changes done{bytes}, for {since}")
    }

    /// Why tries fail, since when, and when the next one is.
    fn failing(&self, error: &Failing, phase: Phase) -> String {
        let since = self.time(error.since_ns);
        let hint = error.hint.as_ref().map_or_else(String::new, |hint| format!("\nhint: {hint}"));
        let next =
            error.retry_ns.map_or_else(String::new, |at| format!(", next try{}", self.until(at).replace(',', "")));
        let tries =
            if error.tries == 1 { "1 try".to_owned() } else { format!("{} tries", human::count(error.tries.into())) };
        let what = match phase {
            Phase::Standby => format!("stands by since {since}{next}"),
            // Nothing is tried now.
            Phase::Paused => format!("failed before the pause, since {since} ({tries})"),
            _ => format!("failing since {since} ({tries}){next}"),
        };
        format!("{what}: {}{hint}", error.message)
    }

    /// The first problems, each hint once.
    fn problems(&self, job: &JobState) -> Vec<String> {
        let mut lines = Vec::new();
        let mut hints: Vec<&str> = Vec::new();
        let (listed, count) = job.left();
        for Told { message, hint, .. } in listed.iter().take(LISTED) {
            lines.push(format!("problem: {message}"));
            if let Some(hint) = hint.as_deref().filter(|hint| !hints.contains(hint)) {
                lines.push(format!("  hint: {hint}"));
                hints.push(hint);
            }
        }
        let told = listed.len().min(LISTED) as u64;
        if told > 0 && count > told {
            lines.push(format!("and {} more", left(count - told, "problem")));
        }
        if job.conflict_count > 0 {
            let name = shell::word(&job.name);
            lines.push(format!(
                "hint: mediasync sync {name}{} names the conflicts, and how to settle them",
                self.repeated
            ));
        }
        lines
    }

    fn last(&self, last: &Last) -> String {
        let took = human::duration(Duration::from_millis(last.took_ms));
        let how = match last.ending {
            Ended::Finished => "",
            Ended::Problems => ", with problems",
            Ended::Halted => ", halted",
            Ended::Failed => ", failed",
            Ended::Interrupted => ", interrupted",
        };
        let (when, looked) = (self.time(last.started_ns), look(last.look));
        format!("last run: {when}, of {looked}, took {took}{how}; {}", did(&last.done))
    }

    fn time(&self, ns: i64) -> String {
        human::time(ns, self.zone)
    }

    fn ago(&self, ns: i64) -> String {
        seconds(u64::try_from((self.now_ns - ns) / SECOND).unwrap_or(0))
    }

    fn until(&self, ns: i64) -> String {
        match u64::try_from((ns - self.now_ns) / SECOND) {
            Ok(0) | Err(_) => ", now".to_owned(),
            Ok(left) => format!(", in {}", seconds(left)),
        }
    }
}

/// The lines about the daemon itself.
pub(super) fn daemon(state: &DaemonState, config: Option<&str>, zone: &TimeZone) -> String {
    let since = human::time(state.started_ns, zone);
    let mut text = format!("daemon: process {}, version {}, since {since}", state.pid, state.version);
    if state.config.as_deref() != config {
        let by = state.config.as_deref().unwrap_or("none");
        text = format!("{text}\n  its configuration: {by}");
    }
    if let Some(error) = &state.reload_error {
        text = format!(
            "{text}\n  the configuration was read again and is not used, the one before stays in force: {error}\n  \
             hint: correct it, then: kill -HUP {}",
            state.pid
        );
    }
    plain(&text)
}

fn watched(watching: &Watching) -> String {
    let why = watching.why.as_deref().unwrap_or("for an unknown reason");
    match watching.coverage {
        Coverage::Full => {
            let n = watching.directories;
            format!("watched: {} {}", human::count(n), if n == 1 { "directory" } else { "directories" })
        }
        Coverage::Degraded => format!("watched in part, {why}; the rest is looked at every few minutes"),
        Coverage::Polling => format!("not watched, but looked at every few minutes: {why}"),
        Coverage::Lost => format!("the directory is lost: {why}"),
    }
}

fn look(look: Look) -> &'static str {
    match look {
        Look::Both => "both sides",
        Look::Watched => "the watched side",
        Look::Changes => "what changed",
    }
}

fn changed(keys: u64) -> String {
    format!("{} changed", human::files(keys))
}

fn did(done: &Done) -> String {
    let words = [
        ("created", done.creates),
        ("overwrote", done.overwrites),
        ("copied", done.copies),
        ("deleted", done.deletes),
        ("restyled", done.restyles),
    ];
    let mut parts: Vec<String> =
        words.iter().filter(|(_, n)| *n > 0).map(|(word, n)| format!("{word} {}", human::count(*n))).collect();
    if done.bytes > 0 {
        parts.push(format!("{} sent", human::size(done.bytes)));
    }
    if parts.is_empty() { "nothing changed".to_owned() } else { parts.join(", ") }
}

/// Whole seconds as people say them.
fn seconds(seconds: u64) -> String {
    match seconds {
        0..10 => format!("{seconds} s"),
        _ => human::duration(Duration::from_secs(seconds)),
    }
}

/// What another process said, without what a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}

#[cfg(test)]
mod tests;
