//! `--json`: one object a line, as documented in `docs/json.md`. Pure; [`super::output`] prints them.
//!
//! The shapes are spelled out here and not derived from the model, so that a renamed field inside does not change
//! what scripts read. Fields may be added; a removed or changed one means a new `v`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::exit::Exit;
use super::failure::Failure;
use super::totals::Totals;
use crate::model::{
    Action, Conflict, Counts, Entry, Problem, ProblemKind, Reach, Reason, Replaced, Side, SkipReason, Verb,
};
use crate::sync::{Ending, Halt, Stage};

/// The version of all shapes.
const V: u8 = 1;

/// One line, without its line break.
fn line(job: Option<&str>, event: &Event<'_>) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        v: u8,
        #[serde(flatten)]
        event: &'a Event<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        job: Option<&'a str>,
    }
    serde_json::to_string(&Line { v: V, event, job }).expect("texts and numbers always serialise")
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Event<'a> {
    Action(ActionLine<'a>),
    Problem {
        kind: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        below: Option<&'a str>,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<&'a str>,
    },
    Conflict {
        key: &'a str,
        message: &'a str,
        source: Option<EntryLine>,
        destination: Option<EntryLine>,
        #[serde(skip_serializing_if = "Option::is_none")]
        resolve: Option<&'a str>,
    },
    Notice {
        message: &'a str,
    },
    Halt {
        message: &'a str,
        plan: Option<&'a str>,
        approve: Option<&'a str>,
    },
    Summary(Box<SummaryLine>),
    Error {
        message: &'a str,
        hints: &'a [String],
        exit: u8,
    },
}

#[derive(Serialize)]
struct ActionLine<'a> {
    stage: &'static str,
    side: &'static str,
    verb: &'static str,
    key: &'a str,
    size: u64,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_as: Option<&'a str>,
}

#[derive(Serialize)]
struct EntryLine {
    size: u64,
    modified: Option<String>,
}

#[derive(Serialize)]
struct SummaryLine {
    stage: &'static str,
    ending: &'static str,
    exit: u8,
    planned: CountsLine,
    done: CountsLine,
    #[serde(skip_serializing_if = "Option::is_none")]
    planned_at_source: Option<CountsLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    done_at_source: Option<CountsLine>,
    in_sync: u64,
    extras: u64,
    kept: u64,
    unstyled: u64,
    skipped: BTreeMap<&'static str, u64>,
    requests: BTreeMap<&'static str, u64>,
    requests_needed: BTreeMap<&'static str, u64>,
    problems: u64,
    conflicts: u64,
    trash: TrashLine,
    bytes_copied: u64,
}

#[derive(Serialize)]
struct TrashLine {
    keep: String,
    replaced: &'static str,
    run: Option<String>,
    kept: u64,
    kept_at_source: u64,
    kept_unshared: u64,
}

#[derive(Serialize)]
struct CountsLine {
    creates: u64,
    overwrites: u64,
    copies: u64,
    deletes: u64,
    restyles: u64,
    as_ruled: u64,
    rename_deletes: u64,
    extra_deletes: u64,
    records: u64,
    bytes_sent: u64,
    bytes_deleted: u64,
}

/// `"type":"action"`.
pub fn action(job: Option<&str>, action: &Action, stage: Stage) -> String {
    let (verb, copied_from) = match &action.verb {
        Verb::Create => ("create", None),
        Verb::Overwrite => ("overwrite", None),
        Verb::Copy { from, .. } => ("copy", Some(from.as_str())),
        Verb::KeepBoth { .. } => ("keep-both", None),
        Verb::Delete => ("delete", None),
        Verb::Restyle { .. } => ("restyle", None),
        Verb::Adopt => ("adopt", None),
        Verb::Touch => ("touch", None),
        Verb::Forget => ("forget", None),
        Verb::Lapse => ("lapse", None),
    };
    let side = match (&action.verb, action.side) {
        (Verb::KeepBoth { .. }, _) => "both",
        (_, Side::Source) => "source",
        (_, Side::Dest) => "destination",
    };
    let reason = match (&action.reason, action.side) {
        (Reason::DeletedAtSource, Side::Source) => "deleted-at-destination",
        (reason, _) => self::reason(reason),
    };
    let kept_as = match &action.verb {
        Verb::KeepBoth { kept_as } => Some(kept_as.as_str()),
        _ => None,
    };
    let line_of = ActionLine {
        stage: self::stage(stage),
        side,
        verb,
        key: action.key.as_str(),
        size: action.size,
        reason,
        from: copied_from,
        kept_as,
    };
    line(job, &Event::Action(line_of))
}

pub(super) fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Planned => "planned",
        Stage::Done => "done",
    }
}

fn reason(reason: &Reason) -> &'static str {
    match reason {
        Reason::New => "new",
        Reason::ContentChanged => "content-changed",
        Reason::Renamed { .. } => "renamed",
        Reason::Copied { .. } => "copied",
        Reason::TouchedOnly => "touched-only",
        Reason::DeletedAtSource => "deleted-at-source",
        Reason::MissingAtDestination => "missing-at-destination",
        Reason::AlreadyThere => "already-there",
        Reason::OverwritesChange => "overwrites-change",
        Reason::DeletesChange => "deletes-change",
        Reason::BothKept => "both-kept",
        Reason::Extra => "extra",
        Reason::GoneOnBothSides => "gone-on-both-sides",
        Reason::OutOfScope => "out-of-scope",
        Reason::RulesSay => "header-rules",
        Reason::NotKnown => "not-known",
        Reason::Drifted => "drifted",
        Reason::AsRuled => "as-ruled",
    }
}

/// `"type":"problem"`.
pub fn problem(job: Option<&str>, problem: &Problem) -> String {
    let (key, below) = match &problem.reach {
        Some(Reach::Key(key)) => (Some(key.as_str()), None),
        Some(Reach::Below(key)) => (None, Some(key.as_str())),
        Some(Reach::All) => (None, Some("")),
        None => (None, None),
    };
    let kind = match problem.kind {
        ProblemKind::Unreadable => "unreadable",
        ProblemKind::Name => "name",
        ProblemKind::Changed => "changed",
        ProblemKind::Raced => "raced",
        ProblemKind::Refused => "refused",
        ProblemKind::Failed => "failed",
        ProblemKind::Archived => "archived",
    };
    line(job, &Event::Problem { kind, key, below, message: &problem.message, hint: problem.hint.as_deref() })
}

/// `"type":"conflict"`.
pub fn conflict(job: Option<&str>, conflict: &Conflict, resolve: Option<&str>) -> String {
    let (source, destination) = (conflict.source.as_ref().map(entry), conflict.dest.as_ref().map(entry));
    line(job, &Event::Conflict { key: conflict.key.as_str(), message: &conflict.message, source, destination, resolve })
}

fn entry(entry: &Entry) -> EntryLine {
    EntryLine { size: entry.size, modified: entry.modified_ns.and_then(time) }
}

/// RFC 3339 in UTC.
pub fn time(ns: i64) -> Option<String> {
    Timestamp::from_nanosecond(i128::from(ns)).ok().map(|time| time.to_string())
}

/// `"type":"notice"`.
pub fn notice(job: Option<&str>, message: &str) -> String {
    line(job, &Event::Notice { message })
}

/// `"type":"halt"`.
pub fn halt(job: Option<&str>, halt: &Halt, approve: Option<&str>) -> String {
    let plan = halt.plan.as_deref().filter(|_| approve.is_some());
    line(job, &Event::Halt { message: &halt.message, plan, approve })
}

/// `"type":"error"`.
pub fn failure(job: Option<&str>, failure: &Failure) -> String {
    line(job, &Event::Error { message: &failure.message, hints: &failure.hints, exit: failure.exit.code() })
}

/// `"type":"summary"`.
pub fn summary(job: Option<&str>, totals: &Totals<'_>) -> String {
    line(job, &Event::Summary(Box::new(summary_line(totals))))
}

/// A run's line in the journal: its summary, and the halt or the error that ended it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    /// The summary's fields; `None` for a run that failed.
    pub summary: Option<serde_json::Value>,
    /// Why a guard refused.
    pub halt: Option<String>,
    /// The hash of the plan that can be approved.
    pub plan: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
}

/// The record of a run that was decided.
pub fn record(totals: &Totals<'_>) -> String {
    let (halt, plan) = match &totals.report.ending {
        Ending::Finished => (None, None),
        Ending::Halted(halt) => (Some(halt.message.clone()), halt.plan.clone()),
    };
    let summary = serde_json::to_value(summary_line(totals)).ok();
    serde_json::to_string(&Record { summary, halt, plan, error: None }).expect("texts and numbers always serialise")
}

/// The record of a run that failed.
pub fn failed(failure: &Failure) -> String {
    let error = Some(failure.message.clone());
    serde_json::to_string(&Record { summary: None, halt: None, plan: None, error }).expect("texts always serialise")
}

fn summary_line(totals: &Totals<'_>) -> SummaryLine {
    let report = totals.report;
    let ending = match report.ending {
        Ending::Finished => "finished",
        Ending::Halted(_) => "halted",
    };
    SummaryLine {
        stage: stage(totals.stage),
        ending,
        exit: Exit::of(report).code(),
        planned: counts(&report.planned),
        done: counts(&report.done),
        planned_at_source: Some(&report.planned_at_source).filter(|at| at.changes() > 0).map(counts),
        done_at_source: Some(&report.done_at_source).filter(|at| at.changes() > 0).map(counts),
        in_sync: report.in_sync,
        extras: report.extras,
        kept: report.kept,
        unstyled: report.unstyled,
        skipped: report.skipped.iter().map(|(why, n)| (skipped(*why), *n)).collect(),
        requests: totals.made.iter().copied().collect(),
        requests_needed: totals.needed.iter().copied().collect(),
        problems: report.problem_count,
        conflicts: report.conflict_count,
        bytes_copied: report.bytes_copied,
        trash: TrashLine {
            keep: report.trash.rule.keep.to_string(),
            replaced: match report.trash.rule.replaced {
                Replaced::All => "all",
                Replaced::Changes => "changes",
            },
            run: report.trash.run.as_ref().map(ToString::to_string),
            kept: report.trash.kept,
            kept_at_source: report.trash.kept_at_source,
            kept_unshared: report.trash.kept_unshared,
        },
    }
}

/// What is planned, as a summary has it.
pub fn planned(planned: &Counts) -> Option<serde_json::Value> {
    serde_json::to_value(counts(planned)).ok()
}

fn counts(counts: &Counts) -> CountsLine {
    let Counts {
        creates,
        overwrites,
        copies,
        deletes,
        restyles,
        to_look: _,
        as_ruled,
        rename_deletes,
        extra_deletes,
        records,
        bytes_sent,
        bytes_deleted,
    } = *counts;
    CountsLine {
        creates,
        overwrites,
        copies,
        deletes,
        restyles,
        as_ruled,
        rename_deletes,
        extra_deletes,
        records,
        bytes_sent,
        bytes_deleted,
    }
}

pub(super) fn skipped(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::Junk => "junk",
        SkipReason::Excluded => "excluded",
        SkipReason::Size => "size",
        SkipReason::Symlink => "symlink",
        SkipReason::LinkText => "link-text",
        SkipReason::Special => "special",
        SkipReason::Own => "own",
        SkipReason::DirectoryMarker => "directory-marker",
        SkipReason::OtherFilesystem => "other-filesystem",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixtures::{action as planned, entry as seen, key};
    use crate::model::Version;
    use crate::sync::Report;

    #[test]
    fn an_action_says_all_that_a_script_needs() {
        let create = planned(Verb::Create, Reason::New, 5, "a\n\u{e9}.jpg");
        assert_eq!(
            action(None, &create, Stage::Planned),
            r#"{"v":1,"type":"action","stage":"planned","side":"destination","verb":"create","key":"a\né.jpg","size":5,"reason":"new"}"#
        );
        let verb = Verb::Copy { from: key("old"), from_version: Version::new("v") };
        let copy = planned(verb, Reason::Renamed { from: key("old") }, 5, "new");
        assert_eq!(
            action(Some("media"), &copy, Stage::Done),
            r#"{"v":1,"type":"action","stage":"done","side":"destination","verb":"copy","key":"new","size":5,"reason":"renamed","from":"old","job":"media"}"#
        );
    }

    #[test]
    fn problems_and_conflicts() {
        let plain = Problem::of(&key("a"), ProblemKind::Unreadable, "denied").hint("chmod");
        assert_eq!(
            problem(None, &plain),
            r#"{"v":1,"type":"problem","kind":"unreadable","key":"a","message":"denied","hint":"chmod"}"#
        );
        let below = Problem { reach: Some(Reach::Below(key("d"))), hint: None, ..plain.clone() };
        assert!(problem(None, &below).contains(r#""kind":"unreadable","below":"d","message""#));
        let both = Conflict {
            key: key("a"),
            message: "both changed".into(),
            source: Some(seen(7, Some(1_700_000_000_123_456_789))),
            dest: None,
        };
        assert_eq!(
            conflict(None, &both, None),
            r#"{"v":1,"type":"conflict","key":"a","message":"both changed","source":{"size":7,"modified":"2023-11-14T22:13:20.123456789Z"},"destination":null}"#
        );
    }

    #[test]
    fn notices_halts_and_errors() {
        assert_eq!(notice(None, "hi"), r#"{"v":1,"type":"notice","message":"hi"}"#);
        let stored = Halt { message: "empty".into(), plan: Some("0123".into()) };
        assert_eq!(
            halt(Some("m"), &stored, Some("m")),
            r#"{"v":1,"type":"halt","message":"empty","plan":"0123","approve":"m","job":"m"}"#
        );
        let dry = Halt { plan: None, ..stored };
        assert!(halt(None, &dry, None).contains(r#""plan":null,"approve":null"#));
        let failed = Failure::error("no bucket").hint("make it");
        assert_eq!(
            failure(None, &failed),
            r#"{"v":1,"type":"error","message":"no bucket","hints":["make it"],"exit":1}"#
        );
    }

    #[test]
    fn the_summary_has_every_total() {
        let mut full = Report::empty();
        full.planned.creates = 2;
        full.skipped = vec![(SkipReason::Junk, 3)];
        full.problem_count = 1;
        let counts = r#""overwrites":0,"copies":0,"deletes":0,"restyles":0,"as_ruled":0,"rename_deletes":0,"extra_deletes":0,"records":0,"bytes_sent":0,"bytes_deleted":0"#;
        let expected = format!(
            r#"{{"v":1,"type":"summary","stage":"done","ending":"finished","exit":3,"planned":{{"creates":2,{counts}}},"done":{{"creates":0,{counts}}},"in_sync":0,"extras":0,"kept":0,"unstyled":0,"skipped":{{"junk":3}},"requests":{{"PUT":2}},"requests_needed":{{}},"problems":1,"conflicts":0,"trash":{{"keep":"30d","replaced":"changes","run":null,"kept":0,"kept_at_source":0,"kept_unshared":0}},"bytes_copied":0}}"#
        );
        let totals = Totals { made: vec![("PUT", 2)], ..Totals::of(&full, Stage::Done) };
        assert_eq!(summary(None, &totals), expected);
        let record: Record = serde_json::from_str(&record(&totals)).unwrap();
        assert_eq!(record.summary.unwrap()["problems"], 1);
    }
}
