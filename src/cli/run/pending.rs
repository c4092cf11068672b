//! A plan that a halt stored and that still waits for somebody: a dry run of the same says so.

use std::path::Path;

use crate::apply;
use crate::cli::json::{self, Record};
use crate::cli::shell;
use crate::cli::wire::Session;
use crate::manifest::PlanFile;
use crate::model::Counts;

/// The hint of a dry run that is halted, if the last run was halted with as many actions of each kind and its plan was not
/// carried out. That they are the same ones is not known, so that is not said: the stored plan is what approving carries out.
pub(super) fn awaiting(
    session: &Session,
    planned: &Counts,
    (state_dir, handle, repeated): (&Path, &str, &str),
) -> Option<String> {
    let run = session.manifest.runs(1).ok()?.pop().filter(|run| run.ending.as_deref() == Some("halted"))?;
    let record: Record = serde_json::from_str(run.summary_json.as_deref()?).ok()?;
    let hash = record.plan?;
    let path = PlanFile::path(state_dir, &session.pair, &hash);
    let waits = path.exists() && apply::carried_out(&path, &session.manifest).ok()?.is_none();
    if !waits || record.summary?.get("planned")? != &json::planned(planned)? {
        return None;
    }
    let handle = shell::word(handle);
    Some(format!("a plan with the same numbers waits since the last run: mediasync approve {handle} {hash}{repeated}"))
}
