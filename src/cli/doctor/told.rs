//! How findings are printed: a line each, with its mark as a word, and what to do on a second one.

use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::output::{Format, Output, Verbosity};
use crate::model::Side;
use crate::replica::checkup::{Finding, State};

/// What was told so far.
pub(super) struct Told<'a> {
    output: &'a Output,
    /// Of each state.
    counts: [(State, u64); 4],
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    v: u8,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
    place: Option<&'a str>,
    name: &'static str,
    state: &'static str,
    found: &'a str,
    fix: Option<&'a str>,
}

impl<'a> Told<'a> {
    pub(super) fn new(output: &'a Output) -> Self {
        Self { output, counts: [State::Ok, State::Warn, State::Fail, State::Skip].map(|state| (state, 0)) }
    }

    /// What the next lines are about.
    pub(super) fn begin(&self, job: Option<&str>, side: Option<Side>, place: &str) {
        if self.output.format() == Format::Json || self.output.verbosity() == Verbosity::Quiet {
            return;
        }
        let of = match (job, side) {
            (Some(job), Some(Side::Source)) => format!("{job}, source: "),
            (Some(job), Some(Side::Dest)) => format!("{job}, destination: "),
            _ => String::new(),
        };
        self.output.data(&format!("{of}{place}"));
    }

    pub(super) fn tell(&mut self, job: Option<&str>, place: Option<&str>, finding: &Finding) {
        let Finding { name, state, found, fix } = finding;
        self.counts.iter_mut().filter(|(of, _)| of == state).for_each(|(_, count)| *count += 1);
        match self.output.format() {
            Format::Json => {
                let line =
                    Line { v: 1, r#type: "check", job, place, name, state: state.word(), found, fix: fix.as_deref() };
                self.output.data(&serde_json::to_string(&line).expect("texts always serialise"));
            }
            Format::Human if *state < State::Warn && self.output.verbosity() == Verbosity::Quiet => {}
            Format::Human => {
                self.output.data(&format!("{:<4}  {name}: {found}", state.word()));
                if let Some(fix) = fix {
                    self.output.data(&format!("      fix: {fix}"));
                }
            }
        }
    }

    /// What all of it comes to.
    pub(super) fn end(&self) -> Exit {
        let told: Vec<String> = self.counts.iter().map(|(state, count)| format!("{count} {}", state.word())).collect();
        if self.output.format() == Format::Human {
            self.output.say(&told.join(", "));
        }
        let failed = self.counts.iter().any(|(state, count)| *state == State::Fail && *count > 0);
        if failed { Exit::Problems } else { Exit::Done }
    }
}
