//! How what a run took away comes back: the command, as the end of the run prints it.

use crate::cli::place::End;
use crate::cli::resolve::{Made, Task};
use crate::cli::shell::{Kept, Origin};
use crate::location::Location;
use crate::model::RunName;
use crate::plan::Mode;
use crate::sync::Binned;

/// The command that puts back what a run kept, and what has to be said beside it. It names a job, with the side where that
/// is not a side of its own, or the place itself.
pub(super) fn of(task: &Task, trash: &Binned, run: &RunName, repeated: &str) -> (String, Option<String>) {
    let at_source = trash.kept_at_source > 0;
    let place = if at_source { &task.source } else { &task.dest };
    let shown = place.location.display();
    let kept = match &task.job {
        Some(job) if at_source && task.mode != Mode::TwoWay => Kept::AtSource(job),
        Some(job) => Kept::ByJob(job),
        None => Kept::At { spelled: place.spelled.as_deref(), shown: &shown },
    };
    let End { spelled, location, access, .. } = &task.source;
    let from_directory = task.mode != Mode::TwoWay && matches!(location, Location::Local(_));
    if at_source || (task.made == Made::Pushed && !from_directory) {
        return (kept.restore(run, repeated), None);
    }
    let shown = location.display();
    let (spelled, unshared) = (spelled.as_deref(), trash.kept_unshared);
    let origin = Origin { spelled, shown: &shown, access: *access, kept: trash.kept, unshared };
    match task.made {
        Made::Mirrored => kept.restore_of_mirror(&origin, run, repeated),
        Made::Pushed => kept.restore_of_push(&origin, run, repeated),
    }
}
