//! What a first run would do, in a few lines: for whoever sets a job up.

use std::io;

use super::{Work, drive, first_line, public_acl, totals};
use crate::cli::failure::Failure;
use crate::cli::human::{self, Colour};
use crate::cli::output::{Format, Output, Verbosity};
use crate::cli::resolve::Task;
use crate::cli::setup::Setup;
use crate::cli::teller::{About, Teller};
use crate::cli::wire::{Purpose, Session};
use crate::sync::{Ending, Run, Stage};

/// A dry run without its single actions.
#[derive(Debug)]
pub(in crate::cli) struct Preview {
    /// From where to where.
    pub(in crate::cli) places: String,
    /// That everybody will be able to read what it sends, where that is so.
    pub(in crate::cli) readers: Option<String>,
    /// What it would do.
    pub(in crate::cli) summary: String,
    /// Why it would stop and ask.
    pub(in crate::cli) halt: Option<String>,
}

/// A dry run of a task. Contacts both places and changes nothing.
///
/// # Errors
/// As those of a run.
pub(in crate::cli) async fn preview(task: &Task, setup: &Setup) -> Result<Preview, Failure> {
    let nowhere = || -> Box<dyn io::Write + Send> { Box::new(io::sink()) };
    let output = Output::elsewhere((nowhere(), nowhere()), Format::Human, Verbosity::Quiet, Colour::Off);
    let teller = Teller { output: &output, job: task.job.as_deref(), about: About::default() };
    let session = Session::open(task, &setup.state_dir, Purpose::Look)?;
    let report = drive(task, &session, (Run::DryRun, None), &teller, Work::Cycle).await?;
    let halt = match &report.ending {
        Ending::Finished => None,
        Ending::Halted(halt) => Some(halt.message.clone()),
    };
    let summary = human::summary(task.job.as_deref(), &totals(task, &session, &report, Stage::Planned));
    let readers = public_acl(task, &setup.state_dir)
        .map(|acl| format!("New objects get the ACL {acl}: everybody may read them."));
    Ok(Preview { places: first_line(task), readers, summary, halt })
}
