//! What a job concludes from a cycle, and what it says of itself on the board and in the log.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Job;
use super::again::REMEMBERED;
use crate::daemon::agenda::STAND_BY;
use crate::daemon::runner::{Failed, Held, Other, Outcome, Sight, Then};
use crate::daemon::state::{
    Coverage as Seen, Done, Ended, Failing, Fault, Halted, JobState, LISTED, Last, Look, Phase, Told, Watching,
};
use crate::daemon::trouble::Waits;
use crate::lanes::Began;
use crate::manifest::{Due, ManifestError};
use crate::model::{Key, Problem, ProblemKind, Reach, size};
use crate::replica::local::watch::Coverage;
use crate::sync::Progress;

impl From<ManifestError> for Failed {
    fn from(error: ManifestError) -> Self {
        Self { message: error.message, hint: error.hint, then: Then::Retry }
    }
}

/// The key that a problem is about, if it is about one.
fn key_of(problem: &Problem) -> Option<&Key> {
    match &problem.reach {
        Some(Reach::Key(key)) => Some(key),
        Some(Reach::Below(_) | Reach::All) | None => None,
    }
}

impl Job {
    /// Takes what was looked at out of the dirty set, and puts back what has to be looked at again.
    pub(super) fn settled(
        &mut self,
        held: &Rc<dyn Held>,
        sight: &Sight,
        due: &Due,
        outcome: &Outcome,
    ) -> Result<(), Failed> {
        let manifest = held.manifest();
        // Nothing was done: all of it stays as it is.
        if outcome.halt.is_some() {
            return Ok(());
        }
        self.put_back(manifest, sight, due, outcome)?;
        self.agenda.set_dirty(manifest.dirty_next()?);
        self.remember(sight, outcome);
        Ok(())
    }

    /// What is left, for people.
    fn remember(&mut self, sight: &Sight, outcome: &Outcome) {
        let told = |problem: &Problem| {
            let fault = if problem.kind == ProblemKind::Failed { Fault::Server } else { Fault::File };
            Told { message: problem.message.clone(), hint: problem.hint.clone(), fault }
        };
        self.gone.retain(|key| !sight.scope.holds(key));
        self.left.retain(|key, _| !sight.scope.holds(key));
        let sees_conflicts = sight.look != Look::Watched || sight.other == Other::Asked;
        if sees_conflicts {
            self.conflicts.retain(|key| !sight.scope.holds(key));
        }
        let by_key = outcome.problems.iter().filter_map(|problem| Some((key_of(problem)?.clone(), told(problem))));
        self.left.extend(by_key.take(REMEMBERED));
        self.conflicts.extend(outcome.conflicts.iter().map(|conflict| conflict.key.clone()).take(REMEMBERED));
        // What belongs to no single key stays until everything was looked at.
        let others = outcome.problems.iter().filter(|problem| key_of(problem).is_none()).map(told);
        if sight.look == Look::Changes {
            for other in others {
                if self.others.len() < REMEMBERED && !self.others.contains(&other) {
                    self.others.push(other);
                }
            }
        } else {
            self.others = others.collect();
            self.uncounted = outcome.problem_count.saturating_sub(outcome.problems.len() as u64);
            if sees_conflicts {
                self.uncounted_conflicts = outcome.conflict_count.saturating_sub(outcome.conflicts.len() as u64);
            }
        }
    }

    /// What is told of keys; those that are gone meanwhile have no problem any more.
    fn told_of_keys(&self) -> impl Iterator<Item = &Told> {
        self.left.iter().filter(|(key, _)| !self.gone.contains(*key)).map(|(_, told)| told)
    }

    fn problem_count(&self) -> u64 {
        self.problem_counts().0
    }

    /// How many problems are left, and how many of these are the server's.
    fn problem_counts(&self) -> (u64, u64) {
        let listed = self.told_of_keys().chain(&self.others);
        let (servers, own): (Vec<_>, Vec<_>) = listed.partition(|told| told.fault == Fault::Server);
        // Not all that is tried again is listed. What is in conflict is counted as that.
        let is_listed = |key: &Key| self.left.contains_key(key) || self.conflicts.contains(key);
        let unlisted = self.again.keys().filter(|key| !is_listed(key) && !self.gone.contains(*key)).count() as u64;
        let (servers, own, unlisted) = (servers.len() as u64, own.len() as u64, unlisted + self.uncounted);
        // Where the server has all that is listed, the rest is of that kind.
        (servers + own + unlisted, if own == 0 && servers > 0 { servers + unlisted } else { servers })
    }

    /// What is left, on the board; what is a file's own comes first.
    pub(super) fn tell_left(&self) {
        let (problems, servers) = self.problem_counts();
        let conflicts = self.conflict_count();
        let of = |fault: Fault| self.others.iter().chain(self.told_of_keys()).filter(move |told| told.fault == fault);
        let listed: Vec<Told> = of(Fault::File).chain(of(Fault::Server)).take(LISTED).cloned().collect();
        self.told(|job| {
            (job.problem_count, job.unanswered_count) = (problems, servers);
            (job.conflict_count, job.problems) = (conflicts, listed);
        });
    }

    fn conflict_count(&self) -> u64 {
        self.conflicts.len() as u64 + self.uncounted_conflicts
    }

    /// Changes how it stands on the board.
    pub(super) fn told<T>(&self, change: impl FnOnce(&mut JobState) -> T) -> Option<T> {
        self.parts.board.job(&self.parts.name, change)
    }

    /// It waits.
    pub(super) fn rest(&self) {
        let paused = self.agenda.is_paused().then_some(Phase::Paused);
        self.told(|job| {
            let waits = match job.phase {
                Phase::Running | Phase::Paused | Phase::Lent => true,
                // A job that goes by its schedule waits for it.
                Phase::Starting => self.parts.rhythm.list_ns.is_none(),
                _ => false,
            };
            job.phase = match (paused, waits) {
                (Some(phase), _) => phase,
                (None, false) => job.phase,
                (None, true) if job.halt.is_some() => Phase::Halted,
                (None, true) if job.error.is_some() => Phase::Failing,
                (None, true) => Phase::Idle,
            };
        });
    }

    /// It waits, and until when: a halt is looked at again then.
    pub(super) fn waits(&self, until: Option<i64>) {
        self.rest();
        self.told(|job| {
            if let Some(halt) = &mut job.halt {
                halt.again_ns = until;
            }
        });
    }

    /// A cycle begins.
    pub(super) fn begins(&self, look: Look, progress: &Arc<Progress>) {
        let now = self.now();
        self.parts.board.under_way(&self.parts.name, Arc::clone(progress));
        self.told(|job| {
            if job.phase != Phase::Starting {
                job.phase = Phase::Running;
            }
            job.running = Some(crate::daemon::state::Running::new(look, now));
        });
    }

    /// A cycle ended, well or with a halt. What one beside others says is true of what it looked at: how the job stands is
    /// said by the one that it ran beside.
    pub(super) fn ended(&mut self, how: Began, look: Look, started: Timestamp, began: i64, outcome: &Outcome) {
        let now = self.now();
        let ending = match (outcome.ending(), self.problem_count() + self.conflict_count()) {
            (Ended::Halted, _) => Ended::Halted,
            (_, 0) => Ended::Finished,
            (_, _) => Ended::Problems,
        };
        let name = &self.parts.name;
        if let Some((message, plan, command)) = &outcome.halt {
            let way = command.as_ref().map_or_else(String::new, |command| format!(". To do exactly that: {command}"));
            tracing::warn!(job = %name, plan = plan.as_deref(), "halted: {message}{way}");
        } else if outcome.done.changes() > 0 || outcome.problem_count > 0 {
            tracing::info!(job = %name, "{}", summary(&outcome.done, outcome.problem_count, &outcome.named));
        }
        let last = Last {
            look,
            started_ns: i64::try_from(started.as_nanosecond()).unwrap_or(i64::MAX),
            took_ms: u64::try_from((now - began) / 1_000_000).unwrap_or(0),
            ending,
            done: outcome.done,
        };
        let waits = self.what_waits(how);
        let left = self.problem_count() + self.conflict_count();
        self.tell_left();
        let halt = outcome.halt.clone();
        let served = !outcome.problems.iter().any(|it| matches!(it.kind, ProblemKind::Failed | ProblemKind::Refused));
        let handled = outcome.problem_count;
        let requests = outcome.requests;
        let synced = outcome.synced;
        self.told(|job| {
            let waited =
                job.dirty_since_ns.map_or(0, |since| u64::try_from((now - since) / 1_000_000_000).unwrap_or(0));
            if how == Began::Alone {
                let was = job.halt.take();
                // Of standing by alone nobody was warned.
                if let Some(error) = job.error.as_ref().filter(|error| error.tries > 0 && halt.is_none() && served) {
                    tracing::info!(job = %job.name, "works again, after {}", lasted(now - error.since_ns));
                }
                (job.running, job.error, job.peer_seen_ns) = (None, None, None);
                job.halt = halt.map(|(message, plan, command)| {
                    let since_ns = was.map_or(now, |was| was.since_ns);
                    Halted { message, plan, command, since_ns, again_ns: None }
                });
                job.phase = if job.halt.is_some() { Phase::Halted } else { Phase::Idle };
            }
            if job.halt.is_none() {
                job.synced = synced;
                // What was seen to change since is the lag.
                if left == 0 && (look != Look::Changes || waits == Waits::Nothing) {
                    job.fresh_ns = Some(began);
                }
            }
            job.ran(&last, now, waits);
            job.note(now, waited, last.done);
            if look != Look::Changes || last.done.changes() > 0 || handled > 0 || last.ending == Ended::Halted {
                job.count(last, requests, handled);
            }
        });
        self.cover();
        self.count_dirty();
    }

    /// Whether anything may differ that the cycle which ended did not look at. What a look at all has in hand is in no dirty
    /// set: while one goes on, a cycle beside it can't know; nor can anybody while the pair is closed, as after a failure.
    fn what_waits(&self, how: Began) -> Waits {
        let are_others = how == Began::Beside && !self.lanes.is_empty();
        match self.held.as_ref().map(|held| held.manifest().dirty_oldest()) {
            Some(Ok(None)) if !are_others => Waits::Nothing,
            _ => Waits::Keys,
        }
    }

    /// A try failed: the pair is closed, so that the next one finds everything out anew.
    pub(super) fn failed(&mut self, look: Look, failed: Failed) {
        let now = self.now();
        // Where only the lease is missing, what is seen meanwhile can be written down: no scan has to find it.
        if !matches!(failed.then, Then::Leased(_)) || self.parts.rhythm.scan_ns.is_none() {
            self.held = None;
        }
        let retry_ns = match failed.then {
            Then::Retry => self.agenda.failed(look, now),
            Then::StandBy => self.agenda.stand_by(look, now, STAND_BY),
            Then::Leased(seen) => self.agenda.stand_by(look, now, ns(seen.again)),
        };
        let tries = self.agenda.tries();
        let phase = match failed.then {
            Then::Retry if self.lost.is_some() => Phase::Lost,
            Then::Retry => Phase::Failing,
            Then::StandBy | Then::Leased(_) => Phase::Standby,
        };
        let peer = match failed.then {
            Then::Leased(seen) => Some(now.saturating_sub(ns(seen.changed_ago))),
            Then::Retry | Then::StandBy => None,
        };
        self.told(|job| {
            // Some servers put a number of the request into what they say.
            let before = job.error.as_ref().filter(|error| error.message == failed.message || tries > 1);
            let same = before.map(|error| error.since_ns);
            let (name, message) = (&job.name, &failed.message);
            match failed.then {
                Then::Retry => {
                    let hint = failed.hint.as_ref().map_or_else(String::new, |hint| format!("; hint: {hint}"));
                    tracing::warn!(job = %name, "failed, tries again: {message}{hint}");
                }
                // It looks again every few seconds, for hours if need be.
                Then::StandBy | Then::Leased(_) if same.is_some() => {}
                Then::StandBy | Then::Leased(_) => tracing::info!(job = %name, "stands by: {message}"),
            }
            job.phase = phase;
            job.running = None;
            job.peer_seen_ns = peer;
            job.equal_since_ns = None;
            job.error = Some(Failing {
                message: failed.message,
                hint: failed.hint,
                since_ns: same.unwrap_or(now),
                retry_ns: Some(retry_ns),
                tries,
            });
            if failed.then == Then::Retry {
                job.totals.failures += 1;
            }
        });
    }

    /// How it is watched.
    pub(super) fn cover(&mut self) {
        let Some(watcher) = &self.watcher else { return };
        let coverage = watcher.coverage();
        let sees_all = self.lost.is_none() && matches!(coverage, Coverage::Full { .. });
        let watching = match (&self.lost, coverage) {
            (Some(lost), _) => Watching { coverage: Seen::Lost, directories: 0, why: Some(lost.message.clone()) },
            (None, Coverage::Full { directories }) => Watching { coverage: Seen::Full, directories, why: None },
            (None, Coverage::Degraded { watched, directories, why }) => Watching {
                coverage: Seen::Degraded,
                directories: watched,
                why: Some(format!("{watched} of {directories} directories: {why}")),
            },
            (None, Coverage::Polling { why }) => Watching { coverage: Seen::Polling, directories: 0, why: Some(why) },
        };
        let now = self.now();
        self.agenda.set_sees_all(sees_all, now);
        self.told(|job| {
            if job.watch.as_ref().is_none_or(|was| was.coverage != watching.coverage)
                && let Some(why) = &watching.why
            {
                tracing::warn!(job = %job.name, "{why}");
            }
            job.watch = Some(watching);
        });
    }

    /// What was due is not any more. Whoever asked too early would ask for ever.
    pub(super) fn nothing_due(&mut self, held: &Rc<dyn Held>, look: Look) {
        match held.manifest().dirty_next() {
            Ok(next) => self.agenda.set_dirty(next),
            Err(error) => self.failed(look, error.into()),
        }
        self.count_dirty();
    }

    /// How much was seen to change and is not done.
    pub(super) fn count_dirty(&self) {
        let Some(held) = &self.held else { return };
        if let (Ok(dirty), Ok(since)) = (held.manifest().dirty_count(), held.manifest().dirty_oldest()) {
            self.told(|job| (job.dirty, job.dirty_since_ns) = (dirty, since));
        }
    }
}

fn ns(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// `48 s`, `12 min`, `3 h`.
fn lasted(ns: i64) -> String {
    match ns / 1_000_000_000 {
        seconds @ ..120 => format!("{} s", seconds.max(1)),
        seconds @ ..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

/// `created 1, overwrote 1, 12.0 KiB sent, 1 problem: a.jpg, b.jpg`; many keys are counted only. Empty if nothing was done.
pub(crate) fn summary(done: &Done, problems: u64, named: &[String]) -> String {
    let words = [
        ("created", done.creates),
        ("overwrote", done.overwrites),
        ("copied", done.copies),
        ("deleted", done.deletes),
        ("restyled", done.restyles),
    ];
    let mut parts: Vec<String> = words.iter().filter(|(_, n)| *n > 0).map(|(word, n)| format!("{word} {n}")).collect();
    if done.bytes > 0 {
        parts.push(format!("{} sent", size(done.bytes)));
    }
    match problems {
        0 => {}
        1 => parts.push("1 problem".to_owned()),
        n => parts.push(format!("{n} problems")),
    }
    let names = if done.changes() == named.len() as u64 { named.join(", ") } else { String::new() };
    format!("{}{}{names}", parts.join(", "), if names.is_empty() { "" } else { ": " })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_sizes_for_people() {
        let done = Done { creates: 3, overwrites: 1, bytes: 12 << 10, ..Done::default() };
        assert_eq!(summary(&done, 1, &["a".to_owned()]), "created 3, overwrote 1, 12.0 KiB sent, 1 problem");
        assert_eq!(summary(&Done { deletes: 1, ..Done::default() }, 0, &["a".to_owned()]), "deleted 1: a");
    }
}
