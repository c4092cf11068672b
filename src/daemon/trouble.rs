//! What is told of what is wrong with a job, and since when it is well.

use serde::{Deserialize, Serialize};

use super::state::{Ended, Health, JobState, Last, Look, Phase};

/// Something for people: what happened, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What happened, with names escaped.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// What it is due to.
    #[serde(default)]
    pub fault: Fault,
}

/// What a problem is due to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The file, its name or its rights.
    #[default]
    File,
    /// The server or the way to it: it failed after all tries.
    Server,
}

/// A guard refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halted {
    /// Why.
    pub message: String,
    /// The hash of the stored plan.
    pub plan: Option<String>,
    /// The command that resolves it.
    pub command: Option<String>,
    /// Since when.
    pub since_ns: i64,
    /// When it is looked at again without anybody's doing; `None` if not, or not known.
    #[serde(default)]
    pub again_ns: Option<i64>,
}

/// The last try failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// Why.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Since when.
    pub since_ns: i64,
    /// When it tries again.
    pub retry_ns: Option<i64>,
    /// How often it failed in a row.
    pub tries: u32,
}

impl Halted {
    /// A guard refused, and no more is known.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), plan: None, command: None, since_ns: 0, again_ns: None }
    }
}

impl JobState {
    /// Whether its last try failed and it tries again, or just does.
    pub fn is_failing(&self) -> bool {
        self.error.is_some() && self.peer_seen_ns.is_none() && !matches!(self.phase, Phase::Standby | Phase::Paused)
    }

    /// Whether the server does not answer as it should, which is said once and not of each file.
    pub fn is_unanswered(&self) -> bool {
        self.is_failing() || self.running.as_ref().is_some_and(|running| running.retrying.is_some())
    }

    /// Whether a person paused it, or nobody can know.
    pub fn is_paused(&self) -> bool {
        self.phase == Phase::Paused
    }

    /// The problems that are to be told, and how many there are of them: while the server does not answer, those that are
    /// a file's own.
    pub fn left(&self) -> (Vec<&Told>, u64) {
        if !self.is_unanswered() {
            return (self.problems.iter().collect(), self.problem_count);
        }
        let own = self.problems.iter().filter(|told| told.fault == Fault::File);
        (own.collect(), self.problem_count.saturating_sub(self.unanswered_count))
    }

    /// Since when it is in sync, if it is: without a break, as far as it is watched or was looked at.
    pub fn in_sync_since(&self, now_ns: i64, started_ns: i64) -> Option<i64> {
        self.equal_since_ns.filter(|_| self.health(now_ns, started_ns) == Health::InSync)
    }

    /// A run ended at `now_ns`, and left keys that were seen to change or none. One that changed something says that both
    /// sides were not equal before; one that found nothing to do says that they were all the time.
    pub fn ran(&mut self, last: &Last, now_ns: i64, waits: Waits) {
        match (last.ending, last.done.changes(), waits) {
            (Ended::Finished, 0, Waits::Nothing) => {
                self.equal_since_ns.get_or_insert(now_ns);
            }
            (Ended::Finished, 0, Waits::Keys) => {}
            (Ended::Finished, _, Waits::Nothing) => self.equal_since_ns = Some(now_ns),
            (Ended::Finished, _, Waits::Keys)
            | (Ended::Problems | Ended::Halted | Ended::Failed | Ended::Interrupted, ..) => self.equal_since_ns = None,
        }
        if last.ending == Ended::Finished && last.look != Look::Changes {
            self.checked_ns = Some(now_ns);
        }
    }
}

/// Whether keys were seen to change that no run looked at yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// None.
    Nothing,
    /// Some, or nobody can know.
    Keys,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::state::{Coverage, Done, Retrying, Running, SECOND, Watching};

    fn last(look: Look, ending: Ended, creates: u64) -> Last {
        Last { look, started_ns: 0, took_ms: 1, ending, done: Done { creates, ..Done::default() } }
    }

    #[test]
    fn a_job_is_in_sync_since_the_last_run_that_had_something_to_do() {
        let mut job = JobState::new("media", ("/data/media", "s3://b"), "copy", 600);
        job.watch = Some(Watching { coverage: Coverage::Full, directories: 1, why: None });
        (job.phase, job.fresh_ns) = (Phase::Idle, Some(1));
        let mut at = 0;
        let mut after = |look, ending, creates, waits| {
            at += 10;
            job.ran(&last(look, ending, creates), at, waits);
            (job.equal_since_ns, job.checked_ns)
        };
        let (both, watched, changes) = (Look::Both, Look::Watched, Look::Changes);
        assert_eq!(after(both, Ended::Finished, 3, Waits::Nothing), (Some(10), Some(10)));
        assert_eq!(after(watched, Ended::Finished, 0, Waits::Nothing), (Some(10), Some(20)), "a look breaks nothing");
        assert_eq!(after(changes, Ended::Finished, 0, Waits::Keys), (Some(10), Some(20)), "nor does what was none");
        assert_eq!(after(changes, Ended::Finished, 1, Waits::Nothing), (Some(40), Some(20)));
        assert_eq!(after(changes, Ended::Finished, 1, Waits::Keys), (None, Some(20)));
        assert_eq!(after(changes, Ended::Finished, 0, Waits::Keys), (None, Some(20)));
        assert_eq!(after(changes, Ended::Finished, 0, Waits::Nothing), (Some(70), Some(20)));
        assert_eq!(after(both, Ended::Problems, 0, Waits::Nothing), (None, Some(20)));
        assert_eq!(after(both, Ended::Finished, 0, Waits::Nothing), (Some(90), Some(90)));
        assert_eq!(after(both, Ended::Halted, 0, Waits::Nothing), (None, Some(90)));
        assert_eq!(after(both, Ended::Finished, 0, Waits::Nothing), (Some(110), Some(110)));
        assert_eq!(job.in_sync_since(5 * SECOND, 0), Some(110));
        (job.dirty, job.dirty_since_ns) = (1, Some(4 * SECOND));
        assert_eq!(job.in_sync_since(5 * SECOND, 0), None, "not while something waits");
    }

    #[test]
    fn what_a_server_did_not_do_is_no_problem_of_files_while_it_does_not_answer() {
        let mut job = JobState::new("media", ("/data/media", "s3://b"), "copy", 600);
        let told = |message: &str, fault| Told { message: message.to_owned(), hint: None, fault };
        job.problems = vec![told("a: unreadable", Fault::File), told("b: 503", Fault::Server)];
        (job.problem_count, job.unanswered_count) = (5, 4);
        let left = |job: &JobState| {
            let (listed, count) = job.left();
            (listed.iter().map(|told| told.message.clone()).collect::<Vec<_>>(), count)
        };
        let (both, own) = (vec!["a: unreadable".to_owned(), "b: 503".to_owned()], vec!["a: unreadable".to_owned()]);
        assert_eq!(left(&job), (both.clone(), 5), "a server that answers others refuses this one");
        let retrying = Some(Retrying { for_s: 3, message: "503".to_owned() });
        job.running = Some(Running { retrying, ..Running::new(Look::Changes, 0) });
        assert_eq!(left(&job), (own.clone(), 1));
        job.running = None;
        job.error = Some(Failing { message: "503".to_owned(), hint: None, since_ns: 0, retry_ns: None, tries: 1 });
        assert_eq!(left(&job), (own, 1));
        job.phase = Phase::Standby;
        assert_eq!(left(&job), (both, 5));
    }
}
