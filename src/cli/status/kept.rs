//! What a run put into the trash, and how it comes back.

use serde_json::Value;

use super::{Subject, record};
use crate::cli::human;
use crate::manifest::Run;
use crate::model::RunName;

/// What a run put into the trash, and how it comes back.
pub(super) fn trash(subject: &Subject, run: &Run, repeated: &str) -> Option<String> {
    let kept = kept(run)?;
    let (way, note) = subject.way_back(run, &kept, repeated);
    let note = note.map_or_else(String::new, |note| format!("\n    note: {note}"));
    Some(format!("  in the trash: {}: {way}{note}", human::kept_files(kept.files, kept.at_source)))
}

/// What a run put into the trash.
pub(super) struct InTrash<'a> {
    /// Its name there.
    pub(super) run: &'a RunName,
    pub(super) files: u64,
    /// How many of them at the source.
    pub(super) at_source: u64,
    /// How many of them the other side never had; all, where nobody counted them.
    pub(super) unshared: u64,
}

/// What a run put into the trash, if that was something.
pub(super) fn kept(run: &Run) -> Option<InTrash<'_>> {
    let record = record(run)?;
    let trash = record.summary.as_ref()?.get("trash")?;
    let count = |field: &str| trash.get(field).and_then(Value::as_u64);
    let files = count("kept").filter(|files| *files > 0)?;
    let (at_source, unshared) = (count("kept_at_source").unwrap_or(0), count("kept_unshared").unwrap_or(files));
    Some(InTrash { run: run.name.as_ref()?, files, at_source, unshared })
}
