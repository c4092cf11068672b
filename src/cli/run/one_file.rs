//! A source that is one file and no place: `pull live:a.jpg`. A listing shows nothing below it, so it is looked for only then.

use crate::cli::failure::Failure;
use crate::cli::place::End;
use crate::cli::resolve::Task;
use crate::cli::shell;
use crate::cli::spot::above;
use crate::cli::wire::Lone;
use crate::location::Location;
use crate::replica::Contact;
use crate::replica::access::Access;
use crate::sync::{Ending, Report};

/// Why a run found nothing, if its source is one file: with the command that copies it.
///
/// # Errors
/// The place can't be used.
pub(super) async fn refused(task: &Task, report: &Report) -> Result<Option<Failure>, Failure> {
    let is_empty = report.ending == Ending::Finished
        && report.planned.is_nothing()
        && report.in_sync + report.problem_count + report.conflict_count == 0
        && report.skipped.is_empty();
    let source = &task.source;
    if !is_empty || task.job.is_some() || task.only.is_some() || matches!(source.location, Location::Local(_)) {
        return Ok(None);
    }
    let Some((location, key)) = above(&source.location) else { return Ok(None) };
    let lone = Lone::new(&End { location, spelled: None, ..source.clone() }, None, Access::ReadOnly)?;
    // Who may not look there is told nothing of this.
    let found = match lone.replica().connect(Contact::Look).await {
        Ok(_) => lone.replica().look_up(&key).await.ok().flatten(),
        Err(_) => None,
    };
    if found.is_none() {
        return Ok(None);
    }
    let named = |end: &End| end.spelled.as_deref().map_or_else(|| end.location.display(), shell::place);
    let message = format!("{} is one file, and {} takes a place", source.location.display(), task.command);
    Ok(Some(Failure::usage(message).hint(format!("mediasync cp {} {}/", named(source), named(&task.dest)))))
}
