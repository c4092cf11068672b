//! What people read, line by line.

use super::*;
use crate::cli::fixtures::{action as planned, entry as seen, key};
use crate::model::{TrashRule, Version};
use crate::sync::{Halt, Report};

fn line(verb: Verb, reason: Reason, size: u64, name: &str) -> String {
    action(&planned(verb, reason, size, name), Colour::Off, Ways::One)
}

#[test]
fn a_dry_run_lists_one_aligned_line_an_action() {
    let copy = Verb::Copy { from: key("old/name.jpg"), from_version: Version::new("v") };
    let from = || Reason::Renamed { from: key("old/name.jpg") };
    let lines = [
        line(Verb::Create, Reason::New, 12_900_000, "photos/a.jpg"),
        line(Verb::Overwrite, Reason::ContentChanged, 7, "b.txt"),
        line(copy.clone(), from(), 1024, "new/name.jpg"),
        line(Verb::Delete, from(), 1024, "old/name.jpg"),
        line(copy, Reason::Copied { from: key("old/name.jpg") }, 1024, "again.jpg"),
        line(Verb::Delete, Reason::DeletedAtSource, 1_048_575, "gone.jpg"),
        line(Verb::Touch, Reason::TouchedOnly, 0, "touched.jpg"),
        line(Verb::Delete, Reason::Extra, 5 << 40, "evil\n\u{202e}name"),
    ];
    let expected = r"create      12.3 MiB  photos/a.jpg  (new)
overwrite        7 B  b.txt  (content changed)
copy         1.0 KiB  new/name.jpg  (renamed from old/name.jpg)
delete       1.0 KiB  old/name.jpg  (renamed, its old name)
copy         1.0 KiB  again.jpg  (same content as old/name.jpg)
delete       1.0 MiB  gone.jpg  (deleted at source)
touch            0 B  touched.jpg  (touched only)
delete       5.0 TiB  evil\u{a}\u{202e}name  (only at destination)";
    assert_eq!(lines.join("\n"), expected);
}

#[test]
fn colours_only_surround_the_verb() {
    let create = planned(Verb::Create, Reason::New, 1, "a");
    let coloured = action(&create, Colour::On, Ways::One);
    let plain = coloured.replace("\x1b[32m", "").replace("\x1b[0m", "");
    assert_ne!(coloured, plain);
    assert_eq!(plain, action(&create, Colour::Off, Ways::One));
}

#[test]
fn a_conflict_shows_both_sides() {
    let both = Conflict {
        key: key("a.jpg"),
        message: "both sides changed".into(),
        source: Some(seen(2048, Some(1_700_000_000_000_000_000))),
        dest: None,
    };
    let expected = "conflict: a.jpg: both sides changed
  source          2.0 KiB (2,048 bytes)  2023-11-14 22:13:20 UTC
  destination  deleted";
    assert_eq!(conflict(&both, &TimeZone::UTC, None), expected);
}

#[test]
fn a_problem_names_its_key_once_and_its_hint_on_a_line_of_its_own() {
    let plain = Problem::of(&key("a.jpg"), ProblemKind::Unreadable, "permission denied").hint("chmod a+r a.jpg");
    assert_eq!(problem(&plain), "problem: a.jpg: permission denied (unreadable)\n  hint: chmod a+r a.jpg");
    let named = Problem::of(&key("a.jpg"), ProblemKind::Failed, "read a.jpg: broken");
    assert_eq!(problem(&named), "problem: read a.jpg: broken (failed)");
}

#[test]
fn a_halt_says_how_to_go_on() {
    let stored = Halt { message: "The source is empty.".into(), plan: Some("0123abcd".into()) };
    let hint = "mediasync approve media 0123abcd".to_owned();
    let mut halted = Halted { halt: &stored, approve: None, deletes: None, hint };
    let expected = "halted: The source is empty.\nNothing was changed.\n  hint: mediasync approve media 0123abcd";
    assert_eq!(halt(&halted), expected);
    halted.deletes = Some("It would delete:\n  a.txt".into());
    assert!(halt(&halted).contains("\nNothing was changed. It would delete:\n  a.txt\n  hint: "));
}

#[test]
fn the_totals_of_a_dry_run() {
    let mut full = Report::empty();
    full.planned = Counts {
        creates: 1234,
        overwrites: 1,
        copies: 2,
        restyles: 0,
        to_look: 0,
        as_ruled: 0,
        deletes: 7,
        rename_deletes: 2,
        extra_deletes: 1,
        records: 5,
        bytes_sent: 1536,
        bytes_deleted: 10,
    };
    full.in_sync = 1_000_000;
    full.extras = 1;
    full.kept = 3;
    full.skipped = vec![(SkipReason::Junk, 2), (SkipReason::Excluded, 1), (SkipReason::Symlink, 1)];
    full.conflict_count = 1;
    full.problem_count = 2;
    let expected = "Would create 1,234, overwrite 1 (1.5 KiB to send), copy 2, delete 7 (10 B; 2 old names of renamed files; 1 only at the destination).
Already equal: 1,000,000 files
Only recorded: 5 files
Skipped: 2 junk, 1 excluded, 1 symbolic link
Only at the destination, left alone: 1 file
Deleted at the source, kept at the destination: 3 files (--delete deletes)
Requests: 1,001 LIST
Requests needed, at least: 1,235 PUT
What is deleted, and what is replaced though somebody else changed it, is kept for 30d in .mediasync/trash/ at its side
Conflicts: 1 (nothing was done about them; mediasync resolve settles one, --overwrite lets the source win in all)
Problems: 2";
    let mut totals = Totals::of(&full, Stage::Planned);
    totals.made = vec![("LIST", 1001)];
    totals.needed = vec![("PUT", 1235)];
    assert_eq!(summary(None, &totals), expected);
    let of_job = summary(Some("media"), &totals);
    assert!(of_job.contains("3 files (delete = true of the job deletes)") && !of_job.contains("--delete"), "{of_job}");
}

#[test]
fn what_somebody_else_changed_is_said_once_with_the_way_out() {
    let told = |message: &str| {
        let message = message.to_owned();
        problem(&Problem { reach: Some(Reach::Key(key("a.jpg"))), kind: ProblemKind::Raced, message, hint: None })
    };
    let hint = "\n  hint: a new run, or a new plan, goes by what is there now";
    assert_eq!(
        told("site/a.jpg was changed by somebody else"),
        format!("problem: site/a.jpg was changed by somebody else{hint}")
    );
    assert_eq!(told("a.jpg is gone"), format!("problem: a.jpg is gone (changed since it was looked at){hint}"));
}

#[test]
fn what_becomes_of_deleted_content_is_said_in_every_plan() {
    let mut report = Report::empty();
    let told = |report: &Report, stage| summary(None, &Totals::of(report, stage));
    assert!(!told(&report, Stage::Planned).contains("trash"), "nothing goes");
    report.planned.overwrites = 1;
    report.trash.rule = TrashRule { keep: Keep::Seconds(3600), replaced: Replaced::All };
    assert!(told(&report, Stage::Planned).contains("What is deleted or replaced is kept for 1h in .mediasync/trash/"));
    report.trash.kept = 1;
    assert!(told(&report, Stage::Done).contains("Kept in the trash for 1h: 1 file"));
    report.trash = Binned { rule: TrashRule { keep: Keep::Off, ..TrashRule::default() }, ..Binned::default() };
    assert!(told(&report, Stage::Planned).contains("The trash is off: what is deleted or replaced is not kept"));
}

#[test]
fn the_totals_of_a_run_say_what_is_left() {
    let mut partly = Report::empty();
    partly.planned.creates = 3;
    partly.done.creates = 2;
    partly.done.bytes_sent = 2048;
    let expected = "Created 2, overwrote 0 (2.0 KiB sent), copied 0, deleted 0.
1 of 3 planned changes were not made.
Took 2.5 s";
    let mut totals = Totals::of(&partly, Stage::Done);
    totals.took = Some(Duration::from_millis(2500));
    assert_eq!(summary(None, &totals), expected);
    let empty = Report::empty();
    assert_eq!(summary(None, &Totals::of(&empty, Stage::Done)), "Nothing changed.");
    assert_eq!(summary(None, &Totals::of(&empty, Stage::Planned)), "Nothing to do.");
}

#[test]
fn the_totals_of_a_halt_are_those_of_its_plan() {
    let mut halted = Report::empty();
    halted.planned.deletes = 7;
    halted.ending = Ending::Halted(Halt { message: "why".into(), plan: None });
    let expected = "Nothing changed. It would delete 7.";
    assert_eq!(summary(None, &Totals::of(&halted, Stage::Done)), expected);
}

#[test]
fn sizes_round_to_the_nearest_and_change_units_in_time() {
    for (bytes, expected) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_048_524, "1023.9 KiB"),
        (1_048_575, "1.0 MiB"),
        (u64::MAX, "16.0 EiB"),
    ] {
        assert_eq!(size(bytes), expected);
    }
}

#[test]
fn counts_have_separators() {
    for (n, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(count(n), expected);
    }
}

#[test]
fn durations_get_coarser() {
    for (ms, expected) in [(349, "0.3 s"), (12_900, "12 s"), (185_000, "3 min 5 s"), (7_800_000, "2 h 10 min")] {
        assert_eq!(duration(Duration::from_millis(ms)), expected);
    }
}
