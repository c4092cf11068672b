//! What `cp` tells, for people and as the JSON of `docs/json.md`. Pure.

use std::collections::BTreeMap;

use serde_json::json;

use super::one::{Before, Outcome};
use crate::cli::human;
use crate::cli::json::skipped;
use crate::model::{Key, SkipReason};
use crate::sync::Stage;

/// Sums of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) created: u64,
    pub(super) replaced: u64,
    pub(super) there: u64,
    /// Of what was created and replaced.
    pub(super) bytes: u64,
    /// Of what was replaced, what is in the trash, and what the bucket's own versions keep.
    pub(super) trashed: u64,
    pub(super) versions: u64,
    pub(super) skipped: BTreeMap<SkipReason, u64>,
    pub(super) problems: u64,
}

impl Sums {
    pub(super) fn add(&mut self, outcome: Outcome, size: u64) {
        let (count, bytes) = match outcome {
            Outcome::Created => (&mut self.created, size),
            Outcome::Replaced(before) => {
                match before {
                    Before::Trashed => self.trashed += 1,
                    Before::Version => self.versions += 1,
                    Before::Gone => {}
                }
                (&mut self.replaced, size)
            }
            Outcome::There => (&mut self.there, 0),
        };
        *count += 1;
        self.bytes += bytes;
    }

    /// How many files were looked at.
    pub(super) fn all(&self) -> u64 {
        self.created + self.replaced + self.there + self.problems
    }
}

/// The two places.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// As people call them.
    pub(super) source: String,
    /// The place that the keys at the destination are below.
    pub(super) dest: String,
}

fn stage_of(stage: Stage) -> &'static str {
    match stage {
        Stage::Planned => "planned",
        Stage::Done => "done",
    }
}

/// `"type":"copy-action"`.
pub(super) fn action(places: &Places, (from, to): (&Key, &Key), size: u64, outcome: Outcome, stage: Stage) -> String {
    let outcome = match outcome {
        Outcome::Created => "created",
        Outcome::Replaced(_) => "replaced",
        Outcome::There => "already-there",
    };
    json!({
        "v": 1, "type": "copy-action", "stage": stage_of(stage), "outcome": outcome,
        "source": places.source, "from": from.as_str(),
        "destination": places.dest, "key": to.as_str(), "size": size,
    })
    .to_string()
}

/// The same for people.
pub(super) fn line(to: &Key, size: u64, outcome: Outcome) -> String {
    let word = match outcome {
        Outcome::Created => "create",
        Outcome::Replaced(_) => "replace",
        Outcome::There => "is there",
    };
    format!("{word:<9} {:>10}  {to}", human::size(size))
}

/// `"type":"copy-summary"`.
pub(super) fn summary_line(places: &Places, sums: &Sums, stage: Stage, run: Option<&str>) -> String {
    let skipped: BTreeMap<_, _> = sums.skipped.iter().map(|(why, n)| (skipped(*why), *n)).collect();
    json!({
        "v": 1, "type": "copy-summary", "stage": stage_of(stage),
        "source": places.source, "destination": places.dest,
        "created": sums.created, "replaced": sums.replaced, "already_there": sums.there, "bytes": sums.bytes,
        "skipped": skipped, "problems": sums.problems, "run": run,
    })
    .to_string()
}

/// The same for people.
pub(super) fn summary(sums: &Sums, stage: Stage) -> String {
    let begin = match stage {
        Stage::Planned => "Would copy",
        Stage::Done => "Copied",
    };
    let copied = format!("{begin} {} ({})", human::files(sums.created + sums.replaced), human::size(sums.bytes));
    let mut parts = vec![copied];
    if sums.replaced > 0 {
        parts.push(format!("{} of them over what was there", human::count(sums.replaced)));
    }
    if sums.there > 0 {
        parts.push(format!("{} already there", human::count(sums.there)));
    }
    let mut lines = vec![format!("{}.", parts.join(", "))];
    lines.extend(human::skips(sums.skipped.iter().map(|(why, n)| (*why, *n))));
    if sums.problems > 0 {
        lines.push(format!("Problems: {}", human::count(sums.problems)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_say_what_became_of_each_file() {
        let mut sums = Sums::default();
        sums.add(Outcome::Created, 2048);
        sums.add(Outcome::There, 4096);
        assert_eq!(summary(&sums, Stage::Done), "Copied 1 file (2.0 KiB), 1 already there.");
        sums.add(Outcome::Replaced(Before::Gone), 1);
        sums.problems = 1;
        sums.skipped.insert(SkipReason::Junk, 2);
        let told = summary(&sums, Stage::Planned);
        assert_eq!(
            told,
            "Would copy 2 files (2.0 KiB), 1 of them over what was there, 1 already there.\nSkipped: 2 junk\nProblems: 1"
        );
        assert_eq!(sums.all(), 4);
        let places = Places { source: "a".into(), dest: "b".into() };
        let line: serde_json::Value = serde_json::from_str(&summary_line(&places, &sums, Stage::Done, None)).unwrap();
        assert_eq!((&line["skipped"]["junk"], &line["already_there"]), (&2.into(), &1.into()));
    }

    #[test]
    fn names_are_harmless() {
        let key = Key::new("a\u{1b}[31m.jpg").unwrap();
        assert_eq!(line(&key, 0, Outcome::Created), "create           0 B  a\\u{1b}[31m.jpg");
    }
}
