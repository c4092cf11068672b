//! What a run tells: events of the engine, printed as what a job says.

use super::human::{self};
use super::json;
use super::output::{Format, Output, Verbosity};
use crate::model::{Action, Conflict, Key, Problem};
use crate::sync::{Halt, Observer, Stage};

/// A halt, and what there is to say about it.
#[derive(Debug)]
pub struct Halted<'a> {
    /// Why.
    pub halt: &'a Halt,
    /// The first argument of `approve`, where that resolves it.
    pub approve: Option<&'a str>,
    /// What it would have deleted, for people.
    pub deletes: Option<String>,
    /// What resolves it.
    pub hint: String,
}

/// Tells what a cycle tells, as part of a job.
#[derive(Debug, Clone)]
pub struct Teller<'a> {
    /// Where.
    pub output: &'a Output,
    /// The job, if it is one of the configuration.
    pub job: Option<&'a str>,
    /// What else its lines say about the run.
    pub about: About,
}

/// What lines of a run say beside the events themselves.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// Whether one side is changed or both.
    pub ways: human::Ways,
    /// What `mediasync resolve` calls the pair and its sides, if a conflict of this run can be settled by it.
    pub settled_as: Option<super::shell::Settled>,
    /// The flags that such a command has to repeat.
    pub repeated: String,
}

impl About {
    /// The command that settles the conflict of a key.
    fn resolve(&self, key: &Key) -> Option<String> {
        Some(self.settled_as.as_ref()?.resolve(&super::shell::key(key)?, self.ways, &self.repeated))
    }
}

impl Observer for Teller<'_> {
    fn action(&self, action: &Action, stage: Stage) {
        let (format, verbosity, colour) = (self.output.format(), self.output.verbosity(), self.output.colour());
        let shown = match (format, stage) {
            (Format::Json, _) => return self.output.data(&json::action(self.job, action, stage)),
            (Format::Human, Stage::Planned) => verbosity == Verbosity::Normal && action.verb.changes_a_replica(),
            (Format::Human, Stage::Done) => false,
        };
        if shown || verbosity == Verbosity::Verbose {
            self.output.data(&human::action(action, colour, self.about.ways));
        }
    }

    fn problem(&self, problem: &Problem) {
        self.output.problem(self.job, problem);
    }

    fn conflict(&self, conflict: &Conflict) {
        match self.output.format() {
            Format::Json => {
                let handle = self.about.settled_as.as_ref().map(super::shell::Settled::handle);
                self.output.data(&json::conflict(self.job, conflict, handle));
            }
            Format::Human => {
                let command = self.about.resolve(&conflict.key);
                self.output.aside(&human::conflict(conflict, self.output.zone(), command.as_deref()));
            }
        }
    }

    fn notice(&self, text: &str) {
        match self.output.format() {
            Format::Json => self.output.data(&json::notice(self.job, text)),
            Format::Human => self.output.say(&format!("note: {text}")),
        }
    }
}
