//! How many objects wait for what header rules say, as far as the manifest remembers. Asks nobody else.

use std::sync::Arc;

use super::State;
use crate::cli::failure::Failure;
use crate::cli::human;
use crate::manifest::Manifest;
use crate::model::{Scope, Side, StyleRule, Styles};
use crate::plan::{Styling, Trust, waits};

/// How many.
pub(super) fn waiting(rules: &[StyleRule], manifest: &Manifest) -> Result<u64, Failure> {
    // Whose bad pattern it is has been told where the rules were read.
    let Ok(rules) = Styles::new(rules) else { return Ok(0) };
    let styling = Styling { rules: Arc::new(rules), side: Side::Dest, trust: Trust::Memory };
    let mut count = 0;
    for record in manifest.base(&Scope::Whole)? {
        let record = record?;
        count += u64::from(!record.lapsed && waits(&styling, &record.key, record.marks.of(Side::Dest)));
    }
    Ok(count)
}

/// That they wait.
pub(super) fn told(waiting: u64) -> String {
    let (objects, wait) = if waiting == 1 { ("object", "waits") } else { ("objects", "wait") };
    format!("{} {objects} {wait} for changed header rules", human::count(waiting))
}

/// The line about them, where the first one does not tell it.
pub(super) fn line(state: State, waiting: u64, again: &str) -> String {
    match (state, waiting) {
        (State::ContentInSync, _) | (_, 0) => String::new(),
        (_, waiting) => format!("\n  {}; {again} gives them what they say", told(waiting)),
    }
}
