//! One look at everything: the daemon is asked, the manifests say the rest, and both become what is printed.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::doubt::Doubt;
use super::{Seen, State, Subject, lines, live, subjects, told, trash};
use crate::cli::client;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::{Format, Output};
use crate::cli::place::World;
use crate::cli::setup::{Setup, shown};
use crate::cli::shell;
use crate::config;
use crate::daemon::pauses;
use crate::daemon::state::{DaemonState, JobState};

/// What one look at everything found.
#[derive(Debug)]
pub(super) struct Sight {
    /// What can't be told, and of which job.
    failures: Vec<(Option<String>, Failure)>,
    /// Texts for people, or lines for scripts, each with what it makes the command exit with.
    blocks: Vec<(Exit, String)>,
    pub(super) exit: Exit,
    /// Changes when there is something to tell.
    pub(super) gist: String,
}

impl Sight {
    pub(super) fn print(&self, output: &Output) {
        for (job, failure) in &self.failures {
            output.failure(job.as_deref(), failure);
        }
        for (_, block) in &self.blocks {
            output.data(block);
        }
    }

    /// All of it for people who see so many rows: what is wrong comes first where they don't see all.
    pub(super) fn text(&self, rows: usize) -> String {
        let failed = self.failures.iter().map(|(_, failure)| {
            let hints = failure.hints.iter().map(|hint| format!("  hint: {hint}"));
            let lines = std::iter::once(format!("error: {}", failure.message)).chain(hints);
            live::plain(&lines.collect::<Vec<_>>().join("\n"))
        });
        let failed: Vec<String> = failed.collect();
        let joined = |blocks: &[&(Exit, String)]| {
            let texts = failed.iter().chain(blocks.iter().map(|(_, text)| text));
            texts.map(String::as_str).collect::<Vec<_>>().join("\n")
        };
        let mut blocks: Vec<_> = self.blocks.iter().collect();
        if joined(&blocks).lines().count() > rows {
            blocks.sort_by_key(|(exit, _)| Reverse(*exit));
        }
        joined(&blocks)
    }
}

fn now_ns() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// Looks at a job, or at all. A daemon that can't be asked is told, and the manifests say what they know.
pub(super) async fn look(job: Option<&str>, setup: &Setup, world: World<'_>) -> Result<Sight, Failure> {
    let mut failures = Vec::new();
    let asked = client::state(&setup.state_dir).await;
    if !matches!(asked, Ok(Some(_)))
        && let Err(error) = fs::read_dir(&setup.state_dir)
        && let Some(failure) = barred(&error, &setup.state_dir)
    {
        return Err(failure);
    }
    let reached = if asked.is_ok() { Reached::Yes } else { Reached::No };
    let daemon = asked.unwrap_or_else(|failure| {
        failures.push((None, failure.hint("what follows is what the last runs left")));
        None
    });
    let paused = match pauses::read(&setup.state_dir) {
        Ok(paused) => Some(paused),
        Err(error) if daemon.is_none() => {
            if let Some(failure) = barred(&error, &setup.state_dir.join(pauses::NAME)) {
                return Err(failure);
            }
            failures.push((None, unread(&error, setup)));
            None
        }
        // It may be of another user; the daemon knows.
        Err(_) => None,
    };
    let run_by_it = daemon.as_ref().map_or(&[][..], |daemon| &daemon.jobs);
    let (subjects, missed) = subjects(job, run_by_it, setup, world)?;
    let mut exit = missed.iter().map(|(_, failure)| failure.exit).max().unwrap_or(Exit::Done);
    failures.extend(missed);
    let (daemon, blocks) = (daemon.as_ref(), Vec::new());
    let mut told = Told { setup, daemon, reached, paused, now_ns: now_ns(), blocks, gist: String::new() };
    for subject in &subjects {
        match told.subject(subject) {
            Ok(one) => exit = exit.max(one),
            Err(failure) => {
                exit = exit.max(failure.exit);
                failures.push((subject.job.clone(), subject.unreadable(failure, &setup.repeated)));
            }
        }
    }
    let strange = |state: &&JobState| subjects.iter().all(|subject| subject.job.as_deref() != Some(&state.name));
    for state in run_by_it.iter().filter(strange).filter(|state| job.is_none_or(|job| job == state.name)) {
        exit = exit.max(told.job(state, None));
    }
    if setup.output.format() == Format::Human {
        if told.blocks.is_empty() && exit == Exit::Done {
            told.blocks.push((exit, "nothing has run yet, and there are no jobs".to_owned()));
        }
        told.end();
    }
    let Told { blocks, mut gist, .. } = told;
    gist.extend(failures.iter().map(|(_, failure)| &*failure.message));
    Ok(Sight { failures, blocks, exit, gist })
}

/// How a job stands, as `status` would exit.
pub(in crate::cli) async fn standing(job: &str, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    Ok(look(Some(job), setup, world).await?.exit)
}

/// Whether it is known if a daemon runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    Yes,
    /// One is there and can't be asked, or that is not for this user.
    No,
}

/// What is to be printed.
struct Told<'a> {
    setup: &'a Setup,
    daemon: Option<&'a DaemonState>,
    reached: Reached,
    /// The jobs that a person paused; `None` if nobody can know.
    paused: Option<BTreeSet<String>>,
    now_ns: i64,
    blocks: Vec<(Exit, String)>,
    gist: String,
}

impl Told<'_> {
    /// Something whose change is news.
    fn note(&mut self, news: &dyn std::fmt::Debug) {
        write!(self.gist, "{news:?};").expect("writing to a String does not fail");
    }

    /// A subject: by the daemon if that runs it, else by its manifest.
    fn subject(&mut self, subject: &Subject) -> Result<Exit, Failure> {
        let setup = self.setup;
        let job = subject.job.as_ref().and_then(|name| self.daemon?.jobs.iter().find(|job| job.name == *name));
        if let Some(job) = job {
            return Ok(self.job(job, Some(subject)));
        }
        let seen = subject.look(setup)?;
        let seen = Seen { doubt: Doubt::of(subject, &seen, setup, self.now_ns), ..seen };
        self.note(&(State::of(&seen), seen.run.as_ref().map(|run| run.id)));
        let block = match setup.output.format() {
            Format::Json => lines::status(subject, &seen, (None, self.is_paused(subject)), setup).to_string(),
            Format::Human => {
                let text = told(subject, &seen, setup.output.zone(), &setup.repeated);
                if self.is_paused(subject) == Some(true) { text + &self.pause_of(subject) } else { text }
            }
        };
        let exit = State::of(&seen).exit();
        self.blocks.push((exit, block));
        Ok(exit)
    }

    /// A job that the daemon runs. What its manifest knows besides is left out if that can't be read: it may be another
    /// user's.
    fn job(&mut self, job: &JobState, subject: Option<&Subject>) -> Exit {
        let Some(daemon) = self.daemon else { return Exit::Done };
        let (setup, now_ns, zone) = (self.setup, self.now_ns, self.setup.output.zone());
        let seen = subject.and_then(|subject| subject.look(setup).ok()).unwrap_or_default();
        let health = job.health(now_ns, daemon.started_ns);
        self.gist.push_str(&gist(job, health.name()));
        let block = match setup.output.format() {
            Format::Json => {
                let live = lines::daemon(daemon, job, now_ns);
                if let Some(subject) = subject {
                    lines::status(subject, &seen, (Some(&live), self.is_paused(subject)), setup).to_string()
                } else {
                    let paused = self.paused.as_ref().map(|paused| paused.contains(&job.name));
                    lines::unknown(job, (&live, paused), setup).to_string()
                }
            }
            Format::Human => {
                let (repeated, restyles) = (setup.repeated.as_str(), seen.restyles);
                let teller = live::Teller { daemon, now_ns, zone, repeated, restyles };
                let arrow = if job.mode == "two-way" { "<->" } else { "->" };
                let mut text = vec![live::plain(&format!("{}: {} {arrow} {}", job.name, job.source, job.dest))];
                text.extend(teller.job(job));
                if let Some((subject, run)) = subject.zip(seen.trashed.as_ref()) {
                    text.extend(trash(subject, run, &setup.repeated));
                }
                let moved = subject.filter(|subject| (&subject.names.0, &subject.names.1) != (&job.source, &job.dest));
                text.extend(moved.map(|subject| {
                    let hint = format!("the daemon read it before that: kill -HUP {}", daemon.pid);
                    format!("  the configuration now says {}\n  hint: {hint}", subject.head())
                }));
                text.join("\n")
            }
        };
        let exit = live::exit(job, health);
        self.blocks.push((exit, block));
        exit
    }

    fn is_paused(&self, subject: &Subject) -> Option<bool> {
        let Some(job) = &subject.job else { return Some(false) };
        self.paused.as_ref().map(|paused| paused.contains(job))
    }

    /// What a pause means while no daemon runs.
    fn pause_of(&self, subject: &Subject) -> String {
        let job = shell::word(subject.handle());
        let repeated = &self.setup.repeated;
        format!(
            "\n  paused: a daemon that starts leaves it alone\n  hint: to end that: mediasync resume {job}{repeated}"
        )
    }

    /// What is told at the end: the daemon, and where everything lies.
    fn end(&mut self) {
        let (setup, zone) = (self.setup, self.setup.output.zone());
        let config = setup.config_file.as_deref().map(shown);
        match self.daemon {
            Some(daemon) => {
                self.note(&(daemon.pid, &daemon.reload_error));
                self.blocks.push((Exit::Done, live::daemon(daemon, config.as_deref(), zone)));
            }
            None if self.reached == Reached::Yes && setup.config.jobs.iter().any(has_a_time) => {
                let none = format!(
                    "daemon: none runs; mediasync daemon{} starts it\n  hint: one that is a service may have another state: \
                     give --state-dir as it does",
                    setup.repeated
                );
                self.blocks.push((Exit::Done, none));
            }
            None => {}
        }
        let config = config.unwrap_or_else(|| "none found".to_owned());
        self.blocks.push((Exit::Done, format!("config: {config}\nstate:  {}", shown(&setup.state_dir))));
    }
}

/// That a state directory, or a file in it, is not for this user: whether a daemon runs, what is paused and what ever ran is not known then.
fn barred(error: &std::io::Error, at: &Path) -> Option<Failure> {
    let failure = Failure::error(format!("can't read the state in {}: {error}", shown(at)));
    let hint = "it is for the user whose daemon or runs work with it: run this as that user or as root";
    (error.kind() == std::io::ErrorKind::PermissionDenied).then(|| failure.hint(hint))
}

/// Why nobody knows which jobs are paused, and what that means.
fn unread(error: &std::io::Error, setup: &Setup) -> Failure {
    let file = shown(&setup.state_dir.join(pauses::NAME));
    let message = format!("can't read which jobs were paused: {file}: {error}; a daemon that starts leaves all alone");
    Failure::error(message).hint(format!("to end that for all of them: mediasync resume{}", setup.repeated))
}

/// Whether a daemon has something to do for it.
fn has_a_time(job: &config::Job) -> bool {
    job.daemon.watch || job.daemon.schedule.is_some()
}

/// What of a job is news.
fn gist(job: &JobState, health: &str) -> String {
    let last = job.last.as_ref().map(|last| (last.started_ns, last.done));
    let error = job.error.as_ref().map(|error| &error.message);
    let coverage = job.watch.as_ref().map(|watch| watch.coverage);
    let counts = (job.problem_count, job.conflict_count, job.synced);
    let halt = job.halt.as_ref().map(|halt| (&halt.message, &halt.plan));
    format!("{} {health} {:?} {counts:?} {last:?} {error:?} {coverage:?} {halt:?};", job.name, job.phase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_comes_first_where_not_all_can_be_seen() {
        let block = |exit: Exit, name: &str| (exit, format!("{name}\n  told"));
        let sight = Sight {
            failures: Vec::new(),
            blocks: vec![
                block(Exit::Done, "fine"),
                block(Exit::Problems, "stale"),
                block(Exit::Done, "well"),
                block(Exit::Halted, "halted"),
            ],
            exit: Exit::Halted,
            gist: String::new(),
        };
        assert_eq!(sight.text(8), "fine\n  told\nstale\n  told\nwell\n  told\nhalted\n  told");
        assert_eq!(sight.text(7), "halted\n  told\nstale\n  told\nfine\n  told\nwell\n  told");
    }
}
