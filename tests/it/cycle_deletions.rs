//! Runs that were killed between a deletion and its record, and files that were put back before the next run.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mediasync::model::{Keep, Key, TrashRule};
use mediasync::plan::Mode;
use mediasync::replica::memory::{Fault, Memory};
use mediasync::replica::{Cause, Error};

use crate::support::bench::{Bench, key};

/// Ten files at both sides; `gone.jpg` was deleted at the source since, and the run that deletes it at the destination
/// dies as `fault` says.
fn killed(mode: Mode, trash: Keep, fault: &Fault) -> Bench {
    let mut bench = Bench::new(mode);
    bench.trash = TrashRule { keep: trash, ..TrashRule::default() };
    bench.source.write(&gone(), "content");
    for n in 0..10 {
        bench.source.write(&key(&format!("{n}.jpg")), format!("content {n}"));
    }
    bench.run();
    bench.source.remove(&gone());
    kill(&bench, fault);
    bench
}

fn kill(bench: &Bench, fault: &Fault) {
    let fault = fault.clone();
    bench.dest.inject(move |call| if call.operation == "delete" { fault.clone() } else { Fault::None });
    assert!(catch_unwind(AssertUnwindSafe(|| bench.try_run())).is_err(), "the run dies");
    bench.dest.heal();
    bench.heard();
}

fn gone() -> Key {
    key("gone.jpg")
}

fn has(place: &Memory) -> bool {
    place.contents().contains_key(&gone())
}

const KEEP: Keep = Keep::Seconds(24 * 3600);

#[test]
fn what_was_put_back_after_a_killed_deletion_is_not_deleted_again() {
    for mode in [Mode::TwoWay, Mode::CopyAndDelete, Mode::Mirror] {
        // Without a trash nobody could bring it back a second time.
        for trash in [KEEP, Keep::Off] {
            for content in ["content", "edited"] {
                let bench = killed(mode, trash, &Fault::DieAfter);
                assert!(!has(&bench.dest));
                bench.source.write(&gone(), content);
                let before = bench.source.contents();
                let planned = bench.dry_run().planned;
                assert_eq!((planned.creates, planned.deletes), (1, 0), "{mode:?} {trash:?} {content}");
                let report = bench.run();
                assert_eq!((report.done.creates, report.done.deletes, report.conflict_count), (1, 0, 0), "{mode:?}");
                assert_eq!((bench.source.contents(), bench.dest.contents()), (before.clone(), before));
            }
        }
    }
}

/// A disk shows that a file was put back where it was deleted; of a bucket the same bytes have the same version.
#[test]
fn what_was_put_back_where_it_was_deleted_goes_to_the_other_side_again() {
    for (is_disk, content) in [(true, "content"), (true, "edited"), (false, "edited")] {
        let mut bench = Bench::new(Mode::TwoWay);
        if is_disk {
            bench.turn();
        }
        for name in ["gone.jpg", "1.jpg", "2.jpg", "3.jpg"] {
            bench.source.write(&key(name), if name == "gone.jpg" { "content" } else { name });
        }
        bench.run();
        bench.source.remove(&gone());
        kill(&bench, &Fault::DieAfter);
        bench.dest.write(&gone(), content);
        assert_eq!(bench.dry_run().planned.deletes, 0);
        let report = bench.run();
        assert_eq!((report.done.creates, report.done.deletes), (1, 0), "{is_disk} {content}");
        assert_eq!(bench.source.contents(), bench.dest.contents());
        assert_eq!(bench.source.contents()[&gone()], content);
    }
}

#[test]
fn a_deletion_that_was_killed_before_it_happened_is_done_by_the_next_run() {
    for mode in [Mode::TwoWay, Mode::CopyAndDelete, Mode::Mirror] {
        let bench = killed(mode, KEEP, &Fault::DieBefore);
        assert!(has(&bench.dest));
        assert_eq!(bench.dry_run().planned.deletes, 1);
        assert_eq!(bench.run().done.deletes, 1, "{mode:?}");
        assert!(!has(&bench.dest) && !has(&bench.source));
    }
}

#[test]
fn a_killed_deletion_that_nobody_undid_is_forgotten() {
    let bench = killed(Mode::TwoWay, KEEP, &Fault::DieAfter);
    let report = bench.run();
    assert_eq!((report.done.changes(), report.planned.changes()), (0, 0));
    bench.source.write(&gone(), "new");
    assert_eq!(bench.run().done.creates, 1);
}

/// Whether once or always, the look after the kill gets no answer: what was deleted at the source must not come back.
#[test]
fn a_killed_deletion_that_can_not_be_looked_at_brings_nothing_back() {
    for mode in [Mode::TwoWay, Mode::CopyAndDelete, Mode::Mirror] {
        for failing in [1, usize::MAX] {
            for fault in [Fault::DieBefore, Fault::DieAfter] {
                let bench = killed(mode, KEEP, &fault);
                let mut looks = 0;
                bench.dest.inject(move |call| {
                    let is_asked = call.operation == "look_up" && call.key == Some(gone());
                    looks += usize::from(is_asked);
                    let again = Cause::Transient { throttled: false, after: None };
                    if is_asked && looks <= failing {
                        Fault::Before(Error::new(again, "no answer"))
                    } else {
                        Fault::None
                    }
                });
                let report = bench.try_run().unwrap();
                assert_eq!(report.problem_count, u64::from(failing > 1), "{mode:?} {failing} {fault:?}");
                assert_eq!(report.done.creates, 0);
                bench.dest.heal();
                bench.heard();
                bench.run();
                assert!(!has(&bench.dest) && !has(&bench.source), "{mode:?} {failing} {fault:?}");
            }
        }
    }
}

/// The look after the kill gets no answer: nobody knows who deleted it, so nothing follows from it.
#[test]
fn a_killed_deletion_that_can_not_be_looked_at_deletes_nothing() {
    let bench = killed(Mode::TwoWay, KEEP, &Fault::DieAfter);
    bench.source.write(&gone(), "content");
    let mut looks = 0;
    bench.dest.inject(move |call| {
        looks += usize::from(call.operation == "look_up");
        if call.operation == "look_up" && looks == 1 {
            let again = Cause::Transient { throttled: false, after: None };
            return Fault::Before(Error::new(again, "no answer"));
        }
        Fault::None
    });
    let report = bench.try_run().unwrap();
    assert_eq!((report.done.deletes, has(&bench.source)), (0, true));
    bench.dest.heal();
    bench.heard();
    bench.run();
    assert!(has(&bench.source) && has(&bench.dest));
}

/// An answer that was lost is no death: the run ends, and the next one still looks.
#[test]
fn what_was_put_back_after_a_lost_answer_is_not_deleted_again() {
    let mut bench = Bench::new(Mode::TwoWay);
    bench.trash = TrashRule { keep: KEEP, ..TrashRule::default() };
    for name in ["gone.jpg", "1.jpg", "2.jpg", "3.jpg"] {
        bench.source.write(&key(name), if name == "gone.jpg" { "content" } else { name });
    }
    bench.run();
    bench.source.remove(&gone());
    bench.dest.inject(|call| match call.operation {
        "delete" => Fault::After(Error::new(Cause::Transient { throttled: false, after: None }, "lost")),
        _ => Fault::None,
    });
    assert_eq!(bench.try_run().unwrap().problem_count, 1);
    bench.dest.heal();
    bench.heard();
    bench.source.write(&gone(), "content");
    let report = bench.run();
    assert_eq!((report.done.creates, report.done.deletes), (1, 0));
    assert!(has(&bench.dest));
}

/// A directory became a file, which the destination does not take: its files went to the trash to make room, and come
/// back. `fault` hits the second one that does.
fn put_back(mode: Mode, is_disk: bool, fault: &Fault) -> Bench {
    let mut bench = Bench::new(mode);
    bench.trash = TrashRule { keep: KEEP, ..TrashRule::default() };
    if is_disk {
        bench.turn();
    }
    bench.dest.become_tree();
    for n in 0..20 {
        bench.source.write(&key(&format!("{n}.jpg")), format!("content {n}"));
    }
    for n in 1..4 {
        bench.source.write(&key(&format!("d/{n}")), format!("below {n}"));
    }
    bench.run();
    for n in 1..4 {
        bench.source.remove(&key(&format!("d/{n}")));
    }
    bench.source.write(&key("d"), "a file");
    let (fault, mut restores) = (fault.clone(), 0);
    bench.dest.inject(move |call| {
        restores += usize::from(call.operation == "restore");
        match call.operation {
            "put" => Fault::Before(Error::new(Cause::Refused, "somebody's file is in its way")),
            "restore" if restores == 2 => fault.clone(),
            _ => Fault::None,
        }
    });
    bench
}

#[test]
fn what_a_killed_run_put_back_is_known_as_it_was() {
    let lost = Fault::After(Error::new(Cause::Transient { throttled: false, after: None }, "lost"));
    for mode in [Mode::CopyAndDelete, Mode::TwoWay] {
        for (is_disk, fault) in [(true, &Fault::DieAfter), (false, &Fault::DieAfter), (true, &lost), (false, &lost)] {
            let bench = put_back(mode, is_disk, fault);
            let died = catch_unwind(AssertUnwindSafe(|| bench.try_run())).is_err();
            assert_eq!(died, *fault == Fault::DieAfter);
            let back = |n: usize| bench.dest.contents().contains_key(&key(&format!("d/{n}")));
            assert_eq!([1, 2, 3].map(back), [true, true, !died], "{mode:?}");
            bench.dest.heal();
            bench.heard();
            // They were deleted at the other side, and still are to be.
            let report = bench.run();
            let deletes = if died { 2 } else { 3 };
            assert_eq!((report.done.creates, report.done.deletes), (1, deletes), "{mode:?} {is_disk} {fault:?}");
            assert_eq!((report.conflict_count, report.problem_count), (0, 0), "{mode:?} {is_disk} {fault:?}");
            assert_eq!(bench.dest.contents(), bench.source.contents());
        }
    }
}

/// Their base has another version than what was deleted: reading told that the content is the same.
#[test]
fn what_was_touched_before_a_killed_run_put_it_back_is_known_too() {
    for mode in [Mode::CopyAndDelete, Mode::TwoWay] {
        let bench = put_back(mode, true, &Fault::DieAfter);
        for n in 1..4 {
            bench.dest.touch(&key(&format!("d/{n}")));
        }
        bench.heard();
        assert!(catch_unwind(AssertUnwindSafe(|| bench.try_run())).is_err());
        bench.dest.heal();
        bench.heard();
        let report = bench.run();
        assert_eq!((report.done.creates, report.done.deletes), (1, 2), "{mode:?}");
        assert_eq!((report.conflict_count, report.problem_count), (0, 0), "{mode:?}");
        assert_eq!(bench.dest.contents(), bench.source.contents());
    }
}

/// What somebody put there between the deletion and the kill is theirs.
#[test]
fn what_somebody_put_in_the_place_of_what_was_to_come_back_is_not_deleted() {
    for is_disk in [true, false] {
        let bench = put_back(Mode::CopyAndDelete, is_disk, &Fault::DieBefore);
        assert!(catch_unwind(AssertUnwindSafe(|| bench.try_run())).is_err());
        bench.dest.heal();
        bench.heard();
        bench.dest.write(&key("d/2"), "belowed");
        // And in the way of the file that was to come.
        let report = bench.try_run().unwrap();
        assert_eq!((report.done.deletes, report.problem_count > 0), (0, true), "{is_disk}");
        assert_eq!(bench.dest.contents()[&key("d/2")], "belowed");
    }
}

#[test]
fn a_deletion_that_was_undone_is_no_part_of_the_budget() {
    let bench = put_back(Mode::CopyAndDelete, true, &Fault::None);
    let report = bench.try_run().unwrap();
    assert_eq!((report.problem_count, report.done.deletes, report.trash.kept), (1, 0, 0));
    let spent = bench.manifest().spent_since(0).unwrap();
    assert_eq!((spent.deletes, spent.delete_bytes), (0, 0));
    bench.dest.heal();
    bench.heard();
    assert_eq!(bench.run().done.deletes, 3);
    assert_eq!(bench.manifest().spent_since(0).unwrap().deletes, 3);
}
