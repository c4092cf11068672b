//! What `purge-junk` tells, for people and as the JSON of `docs/json.md`. Pure.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde_json::json;

use super::Suspect;
use crate::cli::human;
use crate::cli::json::time;
use crate::cli::shell;
use crate::model::{JunkBy, Nature};

/// What became of a suspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It would go.
    Planned,
    /// It is in the trash.
    Removed,
    /// It may be content.
    Left,
    /// It is only called like it.
    Innocent,
}

/// What was found, and what became of it.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// Keys at the place, whatever they are called.
    pub(super) keys: u64,
    pub(super) found: u64,
    pub(super) bytes: u64,
    pub(super) removed: u64,
    pub(super) problems: u64,
    /// What may be content, by row.
    pub(super) left: BTreeMap<String, u64>,
    pub(super) left_bytes: u64,
}

impl Sums {
    pub(super) fn add(&mut self, suspect: &Suspect, fate: Fate) {
        match fate {
            Fate::Innocent => return,
            Fate::Left => {
                *self.left.entry(suspect.junk.row.clone()).or_default() += 1;
                self.left_bytes += suspect.entry.size;
            }
            Fate::Removed => self.removed += 1,
            Fate::Planned => {}
        }
        self.found += 1;
        self.bytes += suspect.entry.size;
    }

    pub(super) fn left(&self) -> u64 {
        self.left.values().sum()
    }
}

/// Whether everybody may read a file, as far as that is known.
pub(super) type Public = Option<bool>;

fn word(fate: Fate) -> &'static str {
    match fate {
        Fate::Planned => "junk",
        Fate::Removed => "removed",
        Fate::Left => "left",
        Fate::Innocent => "no-junk",
    }
}

fn reason(by: JunkBy) -> &'static str {
    match by {
        JunkBy::Name => "name",
        JunkBy::Folder => "folder",
        JunkBy::AppleDouble => "apple-double",
    }
}

/// `"type":"junk"`; `public` if it was asked for.
pub(super) fn line(place: &str, suspect: &Suspect, fate: Fate, public: Option<Public>) -> String {
    let Suspect { key, entry, junk } = suspect;
    let mut line = json!({
        "v": 1, "type": "junk", "place": place, "key": key.as_str(), "size": entry.size,
        "modified": entry.modified_ns.and_then(time), "by": reason(junk.by), "row": junk.row,
        "may_be_content": junk.nature == Nature::Doubtful, "outcome": word(fate),
    });
    if let Some(public) = public {
        line["public"] = public.into();
    }
    line.to_string()
}

/// One line for people; with `long`, time and readers too.
pub(super) fn row(suspect: &Suspect, fate: Fate, long: Option<(Public, &TimeZone)>) -> String {
    let Suspect { key, entry, junk } = suspect;
    let long = long.map_or_else(String::new, |(public, zone)| {
        let when = entry.modified_ns.map_or_else(|| "-".to_owned(), |ns| human::local_time(ns, zone));
        let readers = match public {
            Some(true) => "public",
            Some(false) => "private",
            None => "?",
        };
        format!("  {when:<19}  {readers:<7}")
    });
    let doubt = if fate == Fate::Left { format!("  ({})", junk.row) } else { String::new() };
    format!("{:<8} {:>10}{long}  {key}{doubt}", word(fate), human::size(entry.size))
}

/// `"type":"junk-summary"`.
pub(super) fn total(place: &str, sums: &Sums, run: &str) -> String {
    let Sums { keys, found, bytes, removed, problems, left, .. } = sums;
    json!({
        "v": 1, "type": "junk-summary", "place": place, "files": keys, "found": found, "bytes": bytes,
        "removed": removed, "left": sums.left(), "left_by_row": left, "problems": problems,
        "run": (*removed > 0).then_some(run),
    })
    .to_string()
}

/// The end, for people.
pub(super) fn summary(place: &str, sums: &Sums) -> String {
    let Sums { keys, found, bytes, removed, problems, .. } = sums;
    let looked = format!("of {}", human::files(*keys));
    let mut told = match found - sums.left() {
        0 => vec![format!("{place}: no junk {looked}")],
        junk => {
            let size = human::size(bytes - sums.left_bytes);
            vec![format!("{place}: {} of junk ({size}) {looked}", human::files(junk))]
        }
    };
    for (number, what) in
        [(*removed, "removed"), (sums.left(), "may be content and left alone"), (*problems, "problems")]
    {
        if number > 0 {
            told.push(format!("{what} {}", human::count(number)));
        }
    }
    format!("{}.", told.join("; "))
}

/// What to type for what was left: at most three rows.
pub(super) fn rest(place: &str, sums: &Sums) -> String {
    let mut rows: Vec<(&String, &u64)> = sums.left.iter().collect();
    rows.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let shown: Vec<String> = rows.iter().take(3).map(|(row, _)| format!("--only {}", shell::word(row))).collect();
    let more = if rows.len() > 3 { " ..." } else { "" };
    format!(
        "note: what may be content stays; look at it, and if it may go: mediasync purge-junk {place} {}{more} --yes",
        shown.join(" ")
    )
}
