//! A server does what a killed run asked for after the next run has looked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use mediasync::model::{Key, Side};
use mediasync::plan::Mode;
use mediasync::replica::memory::{Fault, Memory};
use mediasync::replica::retry::{Patience, Retrying};
use mediasync::replica::{Cause, Error};
use mediasync::sync::{Report, run_cycle};

use crate::support::bench::{Bench, key};

const MODES: [Mode; 3] = [Mode::TwoWay, Mode::CopyAndDelete, Mode::Mirror];
const SECOND: i64 = 1_000_000_000;

fn photo() -> Key {
    key("photo.jpg")
}

/// Ten files and, where `before` says so, the photo at both sides.
fn agreed(mode: Mode, before: Option<&'static str>) -> Bench {
    let bench = Bench::new(mode);
    for n in 0..10 {
        bench.source.write(&key(&format!("{n}.jpg")), format!("content {n}"));
    }
    if let Some(before) = before {
        bench.source.write(&photo(), before);
    }
    bench.run();
    bench
}

/// A run dies when it has asked for `operation`; the server has not done it yet.
fn dies_asking(bench: &Bench, operation: &'static str) {
    bench.dest.inject(move |call| if call.operation == operation { Fault::DieBefore } else { Fault::None });
    assert!(catch_unwind(AssertUnwindSafe(|| bench.try_run())).is_err(), "the run dies");
    bench.dest.heal();
    bench.heard();
}

fn photo_at(place: &Memory) -> Option<String> {
    place.contents().get(&photo()).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

fn both(bench: &Bench) -> (Option<String>, Option<String>) {
    (photo_at(&bench.source), photo_at(&bench.dest))
}

#[test]
fn what_arrives_after_its_file_was_deleted_does_not_bring_it_back() {
    for mode in MODES {
        for looks in 1..4 {
            let mut bench = agreed(mode, None);
            bench.source.write(&photo(), "sent too late");
            dies_asking(&bench, "put");
            bench.source.remove(&photo());
            for _ in 0..looks {
                let report = bench.try_run().unwrap();
                assert_eq!(report.planned.changes(), 0);
                bench.now_ns += 60 * SECOND;
            }
            bench.dest.arrives(&photo(), "sent too late");
            assert_eq!(bench.dry_run().planned.deletes, 1);
            let report = bench.try_run().unwrap();
            assert_eq!((report.done.deletes, report.done.creates, report.conflict_count), (1, 0, 0), "{mode:?}");
            assert_eq!(both(&bench), (None, None), "{mode:?}");
        }
    }
}

#[test]
fn what_arrives_in_front_of_a_newer_edit_is_no_conflict() {
    for mode in MODES {
        for before in [None, Some("old")] {
            let bench = agreed(mode, before);
            bench.source.write(&photo(), "first edit");
            dies_asking(&bench, "put");
            bench.source.write(&photo(), "second edit");
            // The look of this run finds nothing; then it comes.
            bench.dest.inject(|call| match call.operation {
                "put" => Fault::Behind(photo(), Some("first edit".into())),
                _ => Fault::None,
            });
            let report = bench.try_run().unwrap();
            assert_eq!((report.problem_count, report.done.changes()), (1, 0), "{mode:?}");
            bench.dest.heal();
            bench.heard();
            let report = bench.run();
            assert_eq!((report.done.overwrites, report.conflict_count), (1, 0), "{mode:?} {before:?}");
            assert_eq!(both(&bench), (Some("second edit".into()), Some("second edit".into())));
        }
    }
}

/// Once, before the destination is listed: the run has looked for what is open before that.
fn while_listed(bench: &Bench, bytes: Option<&'static str>) {
    let mut listings = 0;
    bench.dest.inject(move |call| {
        listings += usize::from(call.operation == "list");
        match (call.operation, listings) {
            ("list", 1) => Fault::Behind(photo(), bytes.map(Into::into)),
            _ => Fault::None,
        }
    });
}

#[test]
fn what_arrives_while_the_run_lists_does_not_bring_a_deleted_file_back() {
    for mode in MODES {
        let bench = agreed(mode, None);
        bench.source.write(&photo(), "sent too late");
        dies_asking(&bench, "put");
        bench.source.remove(&photo());
        while_listed(&bench, Some("sent too late"));
        let report = bench.run();
        assert_eq!((report.done.deletes, report.done_at_source.changes()), (1, 0), "{mode:?}");
        assert_eq!(both(&bench), (None, None));
    }
}

#[test]
fn what_arrives_while_the_run_lists_is_no_conflict_with_a_newer_edit() {
    for mode in MODES {
        for before in [None, Some("old")] {
            let bench = agreed(mode, before);
            bench.source.write(&photo(), "first edit");
            dies_asking(&bench, "put");
            bench.source.write(&photo(), "second edit");
            while_listed(&bench, Some("first edit"));
            let report = bench.run();
            assert_eq!((report.done.overwrites, report.conflict_count, report.problem_count), (1, 0, 0), "{mode:?}");
            assert_eq!(both(&bench), (Some("second edit".into()), Some("second edit".into())));
        }
    }
}

/// The file is there until the run has looked, and removed before it scans.
#[test]
fn what_arrives_while_its_file_goes_does_not_bring_it_back() {
    for mode in MODES {
        let bench = agreed(mode, None);
        bench.source.write(&photo(), "sent too late");
        dies_asking(&bench, "put");
        while_listed(&bench, Some("sent too late"));
        bench.source.inject(|call| match call.operation {
            "list" => Fault::Behind(photo(), None),
            _ => Fault::None,
        });
        let report = bench.try_run().unwrap();
        assert_eq!((report.done.deletes, report.done_at_source.changes()), (1, 0), "{mode:?}");
        assert_eq!(both(&bench), (None, None));
    }
}

#[test]
fn a_deletion_that_comes_while_the_run_lists_takes_nothing_from_the_other_side() {
    for mode in MODES {
        for content in ["old", "put back, and edited"] {
            let bench = agreed(mode, Some("old"));
            bench.source.remove(&photo());
            dies_asking(&bench, "delete");
            bench.source.write(&photo(), content);
            while_listed(&bench, None);
            let report = bench.run();
            assert_eq!((report.done.creates, report.done.deletes), (1, 0), "{mode:?} {content}");
            assert_eq!(both(&bench), (Some(content.into()), Some(content.into())));
        }
    }
}

/// Two versions were sent before, and either may arrive.
#[test]
fn any_of_several_versions_may_arrive() {
    for late in ["first edit", "second edit"] {
        for mode in MODES {
            let bench = agreed(mode, Some("old"));
            for edit in ["first edit", "second edit"] {
                bench.source.write(&photo(), edit);
                dies_asking(&bench, "put");
            }
            bench.source.write(&photo(), "third edit");
            let failed = Error::new(Cause::Transient { throttled: true, after: None }, "503");
            bench.dest.inject(move |call| match call.operation {
                "put" => Fault::Before(failed.clone()),
                _ => Fault::None,
            });
            assert_eq!(bench.try_run().unwrap().problem_count, 1);
            bench.dest.heal();
            bench.dest.arrives(&photo(), late);
            bench.heard();
            let report = bench.run();
            assert_eq!((report.done.overwrites, report.conflict_count), (1, 0), "{mode:?} {late}");
            assert_eq!(both(&bench), (Some("third edit".into()), Some("third edit".into())));
        }
    }
}

/// The next run dies too, before it has read the file once more.
#[test]
fn what_arrives_after_a_second_kill_is_known_too() {
    for mode in MODES {
        let bench = agreed(mode, None);
        bench.source.write(&photo(), "sent too late");
        dies_asking(&bench, "put");
        bench.source.inject(|call| if call.operation == "open" { Fault::DieBefore } else { Fault::None });
        assert!(catch_unwind(AssertUnwindSafe(|| bench.try_run())).is_err(), "the run dies");
        bench.source.heal();
        bench.source.remove(&photo());
        bench.dest.arrives(&photo(), "sent too late");
        bench.heard();
        assert_eq!(bench.run().done.deletes, 1, "{mode:?}");
        assert_eq!(both(&bench), (None, None));
    }
}

/// A write that is acknowledged has another version: a server that honours preconditions refuses what was asked before. What
/// has the old bytes afterwards was put there by somebody.
#[test]
fn what_somebody_puts_back_after_a_write_is_theirs() {
    let bench = agreed(Mode::TwoWay, Some("old"));
    bench.source.write(&photo(), "first edit");
    dies_asking(&bench, "put");
    bench.source.write(&photo(), "second edit");
    bench.run();
    bench.dest.write(&photo(), "first edit");
    let report = bench.run();
    assert_eq!((report.done_at_source.overwrites, report.conflict_count), (1, 0));
    assert_eq!(both(&bench), (Some("first edit".into()), Some("first edit".into())));
}

/// What was to be made where nothing was is refused only as long as something is there.
#[test]
fn what_was_to_be_made_may_still_come_when_the_key_is_gone_again() {
    for mode in MODES {
        let bench = agreed(mode, None);
        bench.source.write(&photo(), "first");
        dies_asking(&bench, "put");
        bench.source.write(&photo(), "second");
        assert_eq!(bench.run().done.creates, 1);
        bench.source.remove(&photo());
        assert_eq!(bench.run().done.deletes, 1);
        bench.dest.arrives(&photo(), "first");
        assert_eq!(bench.run().done.deletes, 1, "{mode:?}");
        assert_eq!(both(&bench), (None, None));
    }
}

/// The file is new, and what was sent first can't have come: somebody put it there.
#[test]
fn what_somebody_puts_over_a_new_file_is_theirs() {
    let bench = agreed(Mode::TwoWay, None);
    bench.source.write(&photo(), "first");
    dies_asking(&bench, "put");
    bench.source.write(&photo(), "second");
    bench.run();
    bench.dest.arrives(&photo(), "first");
    assert_eq!(bench.run().done_at_source.overwrites, 1);
    assert_eq!(both(&bench), (Some("first".into()), Some("first".into())));
}

/// The same is asked for twice, and once answered.
#[test]
fn a_deletion_that_was_made_again_may_still_come_once_more() {
    for mode in MODES {
        let bench = agreed(mode, Some("old"));
        bench.source.remove(&photo());
        dies_asking(&bench, "delete");
        assert_eq!(bench.run().done.deletes, 1);
        bench.source.write(&photo(), "old");
        assert_eq!(bench.run().done.creates, 1);
        bench.dest.remove(&photo());
        let report = bench.run();
        assert_eq!((report.done.creates, report.done.deletes), (1, 0), "{mode:?}");
        assert_eq!(both(&bench), (Some("old".into()), Some("old".into())));
    }
}

#[test]
fn what_was_sent_again_may_still_come_once_more() {
    for mode in MODES {
        let bench = agreed(mode, None);
        bench.source.write(&photo(), "sent twice");
        dies_asking(&bench, "put");
        assert_eq!(bench.run().done.creates, 1);
        bench.source.remove(&photo());
        assert_eq!(bench.run().done.deletes, 1);
        bench.dest.arrives(&photo(), "sent twice");
        let report = bench.run();
        assert_eq!((report.done.deletes, report.done_at_source.changes()), (1, 0), "{mode:?}");
        assert_eq!(both(&bench), (None, None));
    }
}

/// It was to replace a version that is there again.
#[test]
fn what_was_sent_over_content_that_is_back_may_still_come() {
    for mode in MODES {
        let bench = agreed(mode, Some("old"));
        bench.source.write(&photo(), "new");
        dies_asking(&bench, "put");
        assert_eq!(bench.run().done.overwrites, 1);
        bench.source.write(&photo(), "old");
        assert_eq!(bench.run().done.overwrites, 1);
        bench.dest.arrives(&photo(), "new");
        let report = bench.run();
        assert_eq!((report.done.overwrites, report.done_at_source.changes()), (1, 0), "{mode:?}");
        assert_eq!(both(&bench), (Some("old".into()), Some("old".into())));
    }
}

/// A copy inside a service has no precondition at many of them.
#[test]
fn a_copy_that_comes_late_over_a_newer_edit_is_known() {
    for mode in MODES {
        let bench = agreed(mode, None);
        bench.source.write(&photo(), "content 3");
        dies_asking(&bench, "copy");
        bench.source.write(&photo(), "an edit");
        assert_eq!(bench.run().done.creates, 1);
        bench.dest.arrives(&photo(), "content 3");
        let report = bench.run();
        assert_eq!((report.done.overwrites, report.done_at_source.changes()), (1, 0), "{mode:?}");
        assert_eq!(both(&bench), (Some("an edit".into()), Some("an edit".into())));
    }
}

/// What was sent is recorded by now, as what the source has today: it is no arrival.
#[test]
fn what_is_there_as_recorded_is_not_taken_for_what_may_come() {
    for mode in MODES {
        let bench = agreed(mode, None);
        bench.source.write(&photo(), "content 3");
        dies_asking(&bench, "copy");
        bench.source.touch(&photo());
        // And nothing is left to be recorded.
        assert_eq!(bench.run().done.copies, 1, "{mode:?}");
        assert_eq!(bench.run().planned.records, 0);
    }
}

/// A run whose requests are tried again: the first one of `operation` gets no answer.
fn tried_again(bench: &Bench, operation: &'static str) -> Report {
    let error = Error::new(Cause::Transient { throttled: false, after: None }, "504");
    let mut calls = 0;
    bench.dest.inject(move |call| {
        calls += usize::from(call.operation == operation);
        if call.operation == operation && calls == 1 { Fault::Before(error.clone()) } else { Fault::None }
    });
    let first = Duration::from_millis(1);
    let report = bench.with_cycle(true, async |mut cycle, ears| {
        cycle.dest = Arc::new(Retrying::with(cycle.dest, Patience { first, ..Patience::default() }));
        run_cycle(cycle, ears).await
    });
    bench.dest.heal();
    bench.heard();
    report.unwrap()
}

#[test]
fn what_got_no_answer_and_was_tried_again_may_still_come_once_more() {
    for mode in MODES {
        let bench = agreed(mode, None);
        bench.source.write(&photo(), "sent twice");
        assert_eq!(tried_again(&bench, "put").done.creates, 1);
        bench.source.remove(&photo());
        assert_eq!(bench.run().done.deletes, 1);
        bench.dest.arrives(&photo(), "sent twice");
        assert_eq!(bench.run().done.deletes, 1, "{mode:?}");
        assert_eq!(both(&bench), (None, None));

        let bench = agreed(mode, Some("old"));
        bench.source.remove(&photo());
        assert_eq!(tried_again(&bench, "delete").done.deletes, 1);
        bench.source.write(&photo(), "old");
        assert_eq!(bench.run().done.creates, 1);
        bench.dest.remove(&photo());
        assert_eq!(bench.run().done.creates, 1, "{mode:?}");
        assert_eq!(both(&bench), (Some("old".into()), Some("old".into())));
    }
}

/// Nothing of it stays in the manifest for ever.
#[test]
fn what_was_answered_twice_is_forgotten_after_its_time() {
    let mut bench = agreed(Mode::TwoWay, None);
    bench.source.write(&photo(), "sent twice");
    tried_again(&bench, "put");
    assert!(bench.manifest().has_sending(Side::Dest).unwrap());
    bench.source.remove(&photo());
    tried_again(&bench, "delete");
    bench.run();
    assert!(!bench.manifest().deleting(Side::Dest).unwrap().is_empty());
    bench.now_ns += 301 * SECOND;
    bench.run();
    assert!(!bench.manifest().has_sending(Side::Dest).unwrap());
    assert!(bench.manifest().deleting(Side::Dest).unwrap().is_empty());
}

#[test]
fn what_has_not_arrived_for_long_is_expected_no_more() {
    let mut bench = agreed(Mode::TwoWay, None);
    bench.source.write(&photo(), "sent too late");
    dies_asking(&bench, "put");
    bench.source.remove(&photo());
    bench.try_run().unwrap();
    bench.now_ns += 299 * SECOND;
    bench.try_run().unwrap();
    assert!(bench.manifest().has_sending(Side::Dest).unwrap());
    bench.now_ns += SECOND;
    bench.try_run().unwrap();
    assert!(!bench.manifest().has_sending(Side::Dest).unwrap());
    // The same bytes, by somebody else.
    bench.dest.arrives(&photo(), "sent too late");
    assert_eq!(bench.run().done_at_source.creates, 1);
}

#[test]
fn a_deletion_that_comes_late_takes_nothing_from_the_other_side() {
    for mode in MODES {
        for content in ["old", "put back, and edited"] {
            let bench = agreed(mode, Some("old"));
            bench.source.remove(&photo());
            dies_asking(&bench, "delete");
            bench.source.write(&photo(), content);
            let report = bench.try_run().unwrap();
            assert_eq!((report.done.deletes, report.conflict_count, report.problem_count), (0, 0, 0));
            bench.heard();
            bench.dest.remove(&photo());
            let report = bench.run();
            assert_eq!((report.done.creates, report.done.deletes), (1, 0), "{mode:?} {content}");
            assert_eq!(both(&bench), (Some(content.into()), Some(content.into())));
        }
    }
}

/// Neither does an edit of the other side become a conflict of it.
#[test]
fn a_deletion_that_never_comes_makes_no_conflict() {
    let mut bench = agreed(Mode::TwoWay, Some("old"));
    bench.source.remove(&photo());
    dies_asking(&bench, "delete");
    bench.source.write(&photo(), "put back");
    bench.run();
    bench.dest.write(&photo(), "edited there");
    let report = bench.run();
    assert_eq!((report.done_at_source.overwrites, report.conflict_count), (1, 0));
    bench.now_ns += 300 * SECOND;
    bench.run();
    assert!(bench.manifest().deleting(Side::Dest).unwrap().is_empty());
}
