//! Texts for people: one line an action, and the totals. Pure; [`super::output`] prints them.
//!
//! Names are escaped by [`Key`](crate::model::Key)'s `Display`. Meaning is never carried by colour alone.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::teller::Halted;
use super::totals::Totals;
pub use crate::model::size;
use crate::model::{
    Action, Conflict, Counts, Entry, Keep, Problem, ProblemKind, Reach, Reason, Replaced, Side, SkipReason, Verb,
};
use crate::sync::{Binned, Ending, Report, Stage};

/// Whether texts carry colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// They do.
    On,
    /// They do not.
    Off,
}

/// Whether a run changes one side or both, so that each line says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ways {
    /// The destination.
    #[default]
    One,
    /// Both sides.
    Both,
}

/// `create      12.3 MiB  photos/a.jpg  (new)`.
pub fn action(action: &Action, colour: Colour, ways: Ways) -> String {
    let (word, code) = verb(&action.verb);
    let word = format!("{word:<9}");
    let word = match colour {
        Colour::On => format!("\x1b[{code}m{word}\x1b[0m"),
        Colour::Off => word,
    };
    let side = match (&action.verb, action.side, ways) {
        (Verb::KeepBoth { .. }, ..) | (_, Side::Dest, Ways::One) => "",
        (verb, ..) if !verb.changes_a_replica() => "",
        (_, Side::Source, _) => ", at the source",
        (_, Side::Dest, Ways::Both) => ", at the destination",
    };
    format!("{word} {:>10}  {}  ({}{side})", size(action.size), action.key, reason(action))
}

/// The word of a verb, and its colour.
fn verb(verb: &Verb) -> (&'static str, &'static str) {
    match verb {
        Verb::Create => ("create", "32"),
        Verb::Overwrite => ("overwrite", "33"),
        Verb::Copy { .. } => ("copy", "36"),
        Verb::KeepBoth { .. } => ("keep both", "33"),
        Verb::Delete => ("delete", "31"),
        Verb::Restyle { .. } => ("restyle", "35"),
        Verb::Adopt => ("adopt", "2"),
        Verb::Touch => ("touch", "2"),
        Verb::Forget => ("forget", "2"),
        Verb::Lapse => ("lapse", "2"),
    }
}

fn reason(action: &Action) -> String {
    let back = action.side == Side::Source;
    match (&action.reason, &action.verb) {
        (Reason::New, _) => "new".into(),
        (Reason::ContentChanged, _) => "content changed".into(),
        (Reason::Renamed { .. }, Verb::Delete) => "renamed, its old name".into(),
        (Reason::Renamed { from }, _) => format!("renamed from {from}"),
        (Reason::Copied { from }, _) => format!("same content as {from}"),
        (Reason::TouchedOnly, _) => "touched only".into(),
        (Reason::DeletedAtSource, _) if back => "deleted at destination".into(),
        (Reason::DeletedAtSource, _) => "deleted at source".into(),
        (Reason::MissingAtDestination, _) => "missing at destination".into(),
        (Reason::AlreadyThere, _) => "already there".into(),
        (Reason::OverwritesChange, _) if back => "replaces a change".into(),
        (Reason::OverwritesChange, _) => "replaces a change at destination".into(),
        (Reason::DeletesChange, _) if back => "deletes a change".into(),
        (Reason::DeletesChange, _) => "deletes a change at destination".into(),
        (Reason::BothKept, Verb::KeepBoth { kept_as }) => format!("the destination's becomes {kept_as}"),
        (Reason::BothKept, _) => "both contents kept".into(),
        (Reason::Extra, _) => "only at destination".into(),
        (Reason::GoneOnBothSides, _) => "gone on both sides".into(),
        (Reason::OutOfScope, _) => "out of scope".into(),
        (Reason::RulesSay, _) => "header rules".into(),
        (Reason::NotKnown, _) => "header rules, if a look shows that it lacks something".into(),
        (Reason::Drifted, _) => "not as the header rules say".into(),
        (Reason::AsRuled, _) => "as the header rules say, not changed".into(),
    }
}

/// A problem and what to do about it.
pub fn problem(problem: &Problem) -> String {
    let about = match &problem.reach {
        // Most messages name the key themselves.
        Some(Reach::Key(key)) if !problem.message.contains(&key.to_string()) => format!("{key}: "),
        Some(Reach::Below(key)) if !problem.message.contains(&key.to_string()) => format!("{key}/: "),
        _ => String::new(),
    };
    let raced = problem.kind == ProblemKind::Raced;
    // Who it was is said once.
    let kind = match kind(problem.kind) {
        _ if raced && problem.message.contains("somebody else") => String::new(),
        kind => format!(" ({kind})"),
    };
    let mut text = format!("problem: {about}{}{kind}", problem.message);
    let anew = Some("a new run, or a new plan, goes by what is there now").filter(|_| raced);
    if let Some(hint) = problem.hint.as_deref().or(anew) {
        push(&mut text, format_args!("\n  hint: {hint}"));
    }
    text
}

fn kind(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Unreadable => "unreadable",
        ProblemKind::Name => "name",
        ProblemKind::Changed => "changed meanwhile",
        ProblemKind::Raced => "changed since it was looked at",
        ProblemKind::Refused => "refused",
        ProblemKind::Failed => "failed",
        ProblemKind::Archived => "archived",
    }
}

/// A conflict with both sides' sizes and times, and the command that settles it.
pub fn conflict(conflict: &Conflict, zone: &TimeZone, command: Option<&str>) -> String {
    let mut text = format!("conflict: {}: {}", conflict.key, conflict.message);
    for (side, entry) in [("source", &conflict.source), ("destination", &conflict.dest)] {
        push(&mut text, format_args!("\n  {side:<12} {}", self::entry(entry.as_ref(), zone)));
    }
    if let Some(command) = command {
        push(&mut text, format_args!("\n  hint: {command}"));
    }
    text
}

fn entry(entry: Option<&Entry>, zone: &TimeZone) -> String {
    let Some(entry) = entry else { return "deleted".into() };
    let time = entry.modified_ns.map_or_else(|| "time unknown".into(), |ns| time(ns, zone));
    // Two sizes that round to the same text are still told apart.
    let exact = if entry.size >= 1024 { format!(" ({} bytes)", count(entry.size)) } else { String::new() };
    format!("{:>10}{exact}  {time}", size(entry.size))
}

/// Why a guard refused, and what resolves it.
pub fn halt(halted: &Halted<'_>) -> String {
    let mut text = format!("halted: {}\nNothing was changed.", halted.halt.message);
    if let Some(deletes) = &halted.deletes {
        push(&mut text, format_args!(" {deletes}"));
    }
    push(&mut text, format_args!("\n  hint: {}", halted.hint));
    text
}

/// What a plan would do, in one sentence.
pub fn planned(counts: &Counts) -> String {
    sentence(counts, ["Would create", "overwrite", "copy", "delete"], &to_send(counts, 0))
}

/// What goes through here, and what the service copies by itself.
fn to_send(counts: &Counts, copied: u64) -> String {
    moved(counts.bytes_sent, copied, ["to send", "that the server copies"])
}

/// `12 MiB sent`, `12 MiB copied by the server`, or both.
fn moved(bytes: u64, copied: u64, [sent, by_server]: [&str; 2]) -> String {
    let through = bytes.saturating_sub(copied);
    let parts = [(through, sent), (copied, by_server)].map(|(bytes, what)| format!("{} {what}", size(bytes)));
    match (through, copied) {
        (_, 0) => parts[0].clone(),
        (0, _) => parts[1].clone(),
        _ => parts.join(", "),
    }
}

/// What a halted run would have done: only that.
fn put_off(counts: &Counts) -> String {
    let sent = format!(" ({} to send)", size(counts.bytes_sent));
    let parts = [("create", counts.creates, ""), ("overwrite", counts.overwrites, &sent), ("copy", counts.copies, "")];
    let parts = parts
        .into_iter()
        .chain([("delete", counts.deletes, ""), ("restyle", counts.restyles, "")])
        .filter(|(_, n, _)| *n > 0);
    let parts: Vec<String> = parts.map(|(verb, n, note)| format!("{verb} {}{note}", count(n))).collect();
    if parts.is_empty() { String::new() } else { format!(" It would {}.", parts.join(", ")) }
}

/// What header rules did not change.
fn of_rules(counts: &Counts, unstyled: u64) -> Vec<String> {
    let mut lines = Vec::new();
    if counts.as_ruled > 0 {
        lines.push(format!("As the header rules say already: {}", files(counts.as_ruled)));
    }
    if unstyled > 0 {
        let what = "archived, or told before; --repair tries again";
        lines.push(format!("The header rules can't be applied to: {} ({what})", files(unstyled)));
    }
    lines
}

/// The totals of a run.
pub fn summary(job: Option<&str>, totals: &Totals<'_>) -> String {
    let Totals { report, stage, made, needed, took } = totals;
    let counts = match stage {
        Stage::Planned => &report.planned,
        Stage::Done => &report.done,
    };
    let halted = report.ending != Ending::Finished;
    let mut lines = vec![match stage {
        Stage::Done if halted => format!("Nothing changed.{}", put_off(&report.planned)),
        Stage::Done if counts.changes() == 0 => "Nothing changed.".into(),
        Stage::Done => {
            let moved = moved(counts.bytes_sent, report.bytes_copied, ["sent", "copied by the server"]);
            sentence(counts, ["Created", "overwrote", "copied", "deleted"], &moved)
        }
        Stage::Planned if counts.changes() == 0 => "Nothing to do.".into(),
        Stage::Planned => {
            let moved = to_send(counts, report.bytes_copied);
            sentence(counts, ["Would create", "overwrite", "copy", "delete"], &moved)
        }
    }];
    let at_source = match stage {
        Stage::Planned => &report.planned_at_source,
        Stage::Done => &report.done_at_source,
    };
    if at_source.changes() > 0 {
        let Counts { creates, overwrites, copies, deletes, restyles, .. } = *at_source;
        let parts = [
            ("created", creates),
            ("overwritten", overwrites),
            ("copied", copies),
            ("deleted", deletes),
            ("restyled", restyles),
        ];
        let parts: Vec<String> =
            parts.iter().filter(|(_, n)| *n > 0).map(|(word, n)| format!("{} {word}", count(*n))).collect();
        lines.push(format!("Of these at the source: {}", parts.join(", ")));
    }
    let open = report.planned.changes().saturating_sub(report.done.handled());
    if *stage == Stage::Done && open > 0 && !halted {
        lines.push(format!("{} of {} planned changes were not made.", count(open), count(report.planned.changes())));
    }
    if report.in_sync > 0 {
        lines.push(format!("Already equal: {}", files(report.in_sync)));
    }
    lines.extend(of_rules(counts, report.unstyled));
    if counts.records > 0 {
        lines.push(format!("Only recorded: {}", files(counts.records)));
    }
    lines.extend(skips(report.skipped.iter().copied()));
    if report.extras > 0 {
        lines.push(format!("Only at the destination, left alone: {}", files(report.extras)));
    }
    if report.kept > 0 {
        let way = if job.is_some() { "delete = true of the job deletes" } else { "--delete deletes" };
        lines.push(format!("Deleted at the source, kept at the destination: {} ({way})", files(report.kept)));
    }
    for (word, requests) in [("Requests", made), ("Requests needed, at least", needed)] {
        if !requests.is_empty() {
            let parts: Vec<String> = requests.iter().map(|(kind, n)| format!("{} {kind}", count(*n))).collect();
            lines.push(format!("{word}: {}", parts.join(", ")));
        }
    }
    lines.extend(trash(report, *stage));
    if report.conflict_count > 0 {
        let what = "nothing was done about them; mediasync resolve settles one, --overwrite lets the source win in all";
        lines.push(format!("Conflicts: {} ({what})", count(report.conflict_count)));
    }
    if report.problem_count > 0 {
        lines.push(format!("Problems: {}", count(report.problem_count)));
    }
    lines.extend(took.map(|took| format!("Took {}", duration(took))));
    lines.join("\n")
}

/// What becomes of what is deleted or replaced.
fn trash(report: &Report, stage: Stage) -> Option<String> {
    let (takes, Binned { rule, kept, kept_at_source, .. }) =
        (report.planned.deletes + report.planned.overwrites > 0, &report.trash);
    match (stage, rule.keep) {
        (Stage::Planned, Keep::Off) if takes => {
            Some("The trash is off: what is deleted or replaced is not kept".to_owned())
        }
        (Stage::Planned, keep) if takes => {
            let what = match rule.replaced {
                Replaced::All => "What is deleted or replaced",
                Replaced::Changes => "What is deleted, and what is replaced though somebody else changed it,",
            };
            Some(format!("{what} is kept for {keep} in .mediasync/trash/ at its side"))
        }
        (Stage::Done, keep) if *kept > 0 => {
            Some(format!("Kept in the trash for {keep}: {}", kept_files(*kept, *kept_at_source)))
        }
        (Stage::Planned | Stage::Done, _) => None,
    }
}

/// `3 files`, `3 files, 1 of them at the source`: what a run put into the trash.
pub fn kept_files(kept: u64, at_source: u64) -> String {
    match at_source {
        0 => files(kept),
        all if all == kept => format!("{}, at the source", files(kept)),
        some => format!("{}, {} of them at the source", files(kept), count(some)),
    }
}

/// `Created 3, overwrote 1 (12.3 MiB sent), copied 2, deleted 4 (1.2 MiB).`
fn sentence(counts: &Counts, [create, overwrite, copy, delete]: [&str; 4], moved: &str) -> String {
    let mut text = format!(
        "{create} {}, {overwrite} {} ({moved}), {copy} {}, {delete} {}",
        count(counts.creates),
        count(counts.overwrites),
        count(counts.copies),
        count(counts.deletes),
    );
    let mut notes = Vec::new();
    if counts.bytes_deleted > 0 {
        notes.push(size(counts.bytes_deleted));
    }
    if counts.rename_deletes > 0 {
        let what = if counts.rename_deletes == 1 { "old name of a renamed file" } else { "old names of renamed files" };
        notes.push(format!("{} {what}", count(counts.rename_deletes)));
    }
    if counts.extra_deletes > 0 {
        notes.push(format!("{} only at the destination", count(counts.extra_deletes)));
    }
    if !notes.is_empty() {
        push(&mut text, format_args!(" ({})", notes.join("; ")));
    }
    if counts.restyles > 0 {
        let word = if delete == "deleted" { "restyled" } else { "restyle" };
        push(&mut text, format_args!(", {word} {}", count(counts.restyles)));
    }
    text.push('.');
    text
}

/// `Skipped: 3 junk, 1 symbolic link`; `None` where nothing was.
pub fn skips(all: impl Iterator<Item = (SkipReason, u64)>) -> Option<String> {
    let parts: Vec<String> = all.map(|(why, n)| format!("{} {}", count(n), skipped(why, n))).collect();
    (!parts.is_empty()).then(|| format!("Skipped: {}", parts.join(", ")))
}

/// The words for a reason to skip.
fn skipped(reason: SkipReason, n: u64) -> &'static str {
    match reason {
        SkipReason::Symlink if n == 1 => "symbolic link",
        SkipReason::Special if n == 1 => "special file",
        SkipReason::DirectoryMarker if n == 1 => "directory marker",
        SkipReason::Junk => "junk",
        SkipReason::Excluded => "excluded",
        SkipReason::Size => "by size",
        SkipReason::Symlink => "symbolic links",
        SkipReason::LinkText => "texts of symbolic links",
        SkipReason::Special => "special files",
        SkipReason::Own => "of mediasync's own",
        SkipReason::DirectoryMarker => "directory markers",
        SkipReason::OtherFilesystem => "on other file systems",
    }
}

/// `1 file`, `12,345 files`.
pub fn files(n: u64) -> String {
    format!("{} {}", count(n), if n == 1 { "file" } else { "files" })
}

/// `12,345`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in `zone`, to the second.
pub fn time(ns: i64, zone: &TimeZone) -> String {
    formatted(ns, zone, "%Y-%m-%d %H:%M:%S %Z")
}

/// The same without the zone's name: always 19 columns, for tables.
pub fn local_time(ns: i64, zone: &TimeZone) -> String {
    formatted(ns, zone, "%Y-%m-%d %H:%M:%S")
}

fn formatted(ns: i64, zone: &TimeZone, form: &str) -> String {
    match Timestamp::from_nanosecond(i128::from(ns)) {
        Ok(time) => time.to_zoned(zone.clone()).strftime(form).to_string(),
        Err(_) => "time unknown".into(),
    }
}

/// `0.3 s`, `12 s`, `3 min 5 s`, `2 h 10 min`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{}.{} s", seconds, duration.subsec_millis() / 100),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Appends; writing to a `String` can't fail.
fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests;
