//! What the commands of the trash tell, for people and as the JSON of `docs/json.md`. Pure.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::place::{Meant, word};
use crate::cli::human;
use crate::cli::json::time;
use crate::model::Side;
use crate::replica::{KeptAs, Trashed};
use crate::sync::Stage;

/// What happened to one file of the trash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Put back, over nothing or over what stood there.
    Restored,
    /// What is kept stands there anyway.
    There,
    /// Sent to the other place.
    Sent,
    /// Deleted from the trash.
    Removed,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Restored => "restored",
            Self::There => "already-there",
            Self::Sent => "sent",
            Self::Removed => "removed",
        }
    }
}

/// Sums of a command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) restored: u64,
    pub(super) there: u64,
    pub(super) sent: u64,
    pub(super) removed: u64,
    pub(super) bytes: u64,
    pub(super) problems: u64,
    /// Files that an earlier restore put right, and that stay.
    pub(super) left: u64,
}

impl Sums {
    pub(super) fn add(&mut self, outcome: Outcome, bytes: u64) {
        let (count, bytes) = match outcome {
            Outcome::Restored => (&mut self.restored, bytes),
            Outcome::There => (&mut self.there, 0),
            Outcome::Sent => (&mut self.sent, 0),
            Outcome::Removed => (&mut self.removed, bytes),
        };
        *count += 1;
        self.bytes += bytes;
    }
}

/// One line of a listing for people.
pub(super) fn row(kept: &Trashed, side: Option<Side>, zone: &TimeZone) -> String {
    let when = human::local_time(kept.run.began_ns(), zone);
    let side = side.map_or_else(String::new, |side| format!("  {:<11}", word(side)));
    format!("{when}  {:>10}  {}{side}  {}", human::size(kept.size), kept.run, kept.key)
}

/// `"type":"trashed"`.
pub(super) fn trashed(job: Option<&str>, meant: &Meant, kept: &Trashed) -> String {
    let mut line = json!({
        "v": 1,
        "type": "trashed",
        "place": meant.end.location.display(),
        "side": meant.side.map(word),
        "run": kept.run.as_str(),
        "time": time(kept.run.began_ns()),
        "key": kept.key.as_str(),
        "size": kept.size,
        "kept_as": kept_as(kept),
    });
    if let (Some(job), Value::Object(fields)) = (job, &mut line) {
        fields.insert("job".to_owned(), job.into());
    }
    line.to_string()
}

fn kept_as(kept: &Trashed) -> &'static str {
    match kept.kept_as {
        KeptAs::Copy => "copy",
        KeptAs::Version(_) => "version",
    }
}

/// `"type":"restored"`, or of another outcome.
pub(super) fn done(place: &str, kept: &Trashed, outcome: Outcome, stage: Stage) -> String {
    json!({
        "v": 1,
        "type": "trash-action",
        "place": place,
        "stage": stage_of(stage),
        "outcome": outcome.word(),
        "run": kept.run.as_str(),
        "key": kept.key.as_str(),
        "size": kept.size,
    })
    .to_string()
}

fn stage_of(stage: Stage) -> &'static str {
    match stage {
        Stage::Planned => "planned",
        Stage::Done => "done",
    }
}

/// The same for people.
pub(super) fn line(kept: &Trashed, outcome: Outcome) -> String {
    let word = match outcome {
        Outcome::Restored => "restore",
        Outcome::There => "is there",
        Outcome::Sent => "send",
        Outcome::Removed => "remove",
    };
    format!("{word:<9} {} ({}, from {})", kept.key, human::size(kept.size), kept.run)
}

/// `"type":"trash-summary"`.
pub(super) fn summary(command: &str, place: &str, sums: &Sums, stage: Stage, undo: Option<&str>) -> String {
    json!({
        "v": 1,
        "type": "trash-summary",
        "place": place,
        "stage": stage_of(stage),
        "command": command,
        "restored": sums.restored,
        "already_there": sums.there,
        "sent": sums.sent,
        "removed": sums.removed,
        "bytes": sums.bytes,
        "problems": sums.problems,
        "run": undo,
    })
    .to_string()
}

/// A text about one of several places.
pub(super) fn of(place: Option<&str>, text: &str) -> String {
    place.map_or_else(|| text.to_owned(), |place| format!("{place}: {text}"))
}

/// The same for people, for `restore`.
pub(super) fn restored(sums: &Sums, stage: Stage) -> String {
    let begin = match stage {
        Stage::Planned => "Would restore",
        Stage::Done => "Restored",
    };
    let mut text = format!("{begin} {} ({})", human::files(sums.restored), human::size(sums.bytes));
    for (count, what) in [(sums.sent, "sent on"), (sums.there, "already there")] {
        if count > 0 {
            push(&mut text, format_args!(", {} {what}", human::count(count)));
        }
    }
    text.push('.');
    if sums.problems > 0 {
        push(&mut text, format_args!("\nProblems: {}", human::count(sums.problems)));
    }
    text
}

/// The same for people, for `empty`.
pub(super) fn emptied(sums: &Sums, stage: Stage) -> String {
    let begin = match stage {
        Stage::Planned => "Would remove",
        Stage::Done => "Removed",
    };
    let mut text = format!("{begin} {} ({}) from the trash.", human::files(sums.removed), human::size(sums.bytes));
    if sums.problems > 0 {
        push(&mut text, format_args!("\nProblems: {}", human::count(sums.problems)));
    }
    text
}

/// Appends; writing to a `String` can't fail.
fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("writing to a String does not fail");
}
