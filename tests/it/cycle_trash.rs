//! The trash in whole cycles between memory replicas: what is kept, what is not, and what happens when it can't be.

use mediasync::model::{Keep, Key, Replaced, RunName, TrashRule};
use mediasync::plan::{Mode, OnConflict};
use mediasync::replica::memory::Fault;
use mediasync::replica::{Cause, Error};

use crate::support::bench::{Bench, key};

const DAY_NS: i64 = 24 * 60 * 60 * 1_000_000_000;

fn seeded(mode: Mode, count: usize) -> Bench {
    let bench = Bench::new(mode);
    for n in 0..count {
        bench.source.write(&key(&format!("{n}.jpg")), format!("content {n}"));
    }
    assert_eq!(bench.run().done.creates, count as u64);
    bench
}

fn everything() -> TrashRule {
    TrashRule { replaced: Replaced::All, ..TrashRule::default() }
}

/// What is in the trash of the destination, by key.
fn trash(bench: &Bench) -> Vec<(String, String)> {
    let all = bench.dest.trash_contents().into_iter();
    all.map(|((_, key), bytes)| (key.as_str().to_owned(), String::from_utf8(bytes.to_vec()).unwrap())).collect()
}

fn pair(key: &str, content: &str) -> (String, String) {
    (key.to_owned(), content.to_owned())
}

#[test]
fn what_is_deleted_is_kept() {
    let bench = seeded(Mode::CopyAndDelete, 10);
    bench.source.remove(&key("3.jpg"));
    let report = bench.run();
    assert_eq!((report.done.deletes, report.trash.kept), (1, 1));
    assert_eq!(trash(&bench), [pair("3.jpg", "content 3")]);
    let runs: Vec<RunName> = bench.dest.trash_contents().into_keys().map(|(run, _)| run).collect();
    assert_eq!(report.trash.run, runs.first().cloned());
}

#[test]
fn a_replaced_change_is_kept_and_a_replaced_old_version_only_by_a_mirror() {
    let mut bench = seeded(Mode::Copy, 10);
    bench.policy.on_conflict = OnConflict::SourceWins;
    bench.source.write(&key("1.jpg"), "ours 1");
    bench.source.write(&key("2.jpg"), "ours 2");
    bench.dest.write(&key("2.jpg"), "theirs 2");
    assert_eq!(bench.run().done.overwrites, 2);
    assert_eq!(trash(&bench), [pair("2.jpg", "theirs 2")]);

    let mut bench = seeded(Mode::Mirror, 10);
    bench.trash = everything();
    bench.source.write(&key("1.jpg"), "ours 1");
    bench.dest.write(&key("2.jpg"), "theirs 2");
    assert_eq!(bench.run().done.overwrites, 2);
    assert_eq!(trash(&bench), [pair("1.jpg", "content 1"), pair("2.jpg", "theirs 2")]);
}

#[test]
fn the_old_name_of_a_renamed_file_is_not_kept() {
    let bench = seeded(Mode::CopyAndDelete, 10);
    bench.source.remove(&key("3.jpg"));
    bench.source.write(&key("new.jpg"), "content 3");
    let report = bench.run();
    assert_eq!((report.done.copies, report.done.rename_deletes, report.trash.kept), (1, 1, 0));
    assert_eq!(trash(&bench), []);
}

#[test]
fn without_a_trash_nothing_is_kept() {
    let mut bench = seeded(Mode::Mirror, 10);
    bench.trash = TrashRule { keep: Keep::Off, replaced: Replaced::All };
    bench.source.remove(&key("3.jpg"));
    bench.source.write(&key("1.jpg"), "ours 1");
    bench.dest.take_calls();
    assert_eq!(bench.run().trash.kept, 0);
    assert_eq!(trash(&bench), []);
    assert!(bench.dest.take_calls().iter().all(|call| !["keep", "trashed", "discard"].contains(&call.operation)));
}

#[test]
fn a_dry_run_keeps_nothing() {
    let bench = seeded(Mode::CopyAndDelete, 10);
    bench.source.remove(&key("3.jpg"));
    bench.dest.take_calls();
    assert_eq!(bench.dry_run().planned.deletes, 1);
    let calls = bench.dest.take_calls();
    assert!(calls.iter().all(|call| matches!(call.operation, "connect" | "list" | "look_up")), "{calls:?}");
}

#[test]
fn what_can_not_be_kept_is_neither_deleted_nor_replaced() {
    let mut bench = seeded(Mode::Mirror, 10);
    bench.trash = everything();
    bench.source.remove(&key("3.jpg"));
    bench.source.write(&key("1.jpg"), "ours 1");
    let before = bench.dest.contents();
    bench.dest.inject(|call| match call.operation {
        "keep" => Fault::Before(Error::new(Cause::Refused, "no room in the trash")),
        _ => Fault::None,
    });
    let report = bench.try_run().unwrap();
    assert_eq!((report.problem_count, report.done.changes()), (2, 0));
    assert_eq!(bench.dest.contents(), before);
    bench.dest.heal();
    bench.heard();
    assert_eq!(bench.run().trash.kept, 2);
    assert_eq!(bench.dest.contents(), bench.source.contents());
}

/// The version that the key has after it was kept is what the deletion carries: on a disk it moved.
#[test]
fn a_death_between_keeping_and_deleting_loses_nothing() {
    let mut bench = seeded(Mode::Copy, 10);
    bench.turn();
    bench.policy.mode = Mode::Mirror;
    // Now a directory is the destination.
    bench.trash = everything();
    bench.source.remove(&key("3.jpg"));
    bench.source.write(&key("1.jpg"), "ours 1");
    for operation in ["put", "delete"] {
        bench.dest.inject(move |call| if call.operation == operation { Fault::DieBefore } else { Fault::None });
        let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bench.try_run()));
        assert!(died.is_err(), "{operation}");
        bench.dest.heal();
        assert!(bench.dest.contents().contains_key(&key("3.jpg")), "{operation}");
    }
    bench.heard();
    bench.run();
    assert_eq!(bench.dest.contents(), bench.source.contents());
    let kept = trash(&bench);
    assert!(kept.contains(&pair("3.jpg", "content 3")) && kept.contains(&pair("1.jpg", "content 1")), "{kept:?}");
}

#[test]
fn what_was_kept_for_its_time_goes_at_the_end_of_a_run_that_changes_something() {
    let mut bench = seeded(Mode::CopyAndDelete, 10);
    bench.trash = TrashRule { keep: Keep::Seconds(24 * 3600), ..TrashRule::default() };
    let run = |bench: &Bench, gone: &str| {
        bench.source.remove(&key(gone));
        assert_eq!(bench.run().done.deletes, 1);
        let keys: Vec<Key> = bench.dest.trash_contents().into_keys().map(|(_, key)| key).collect();
        keys
    };
    assert_eq!(run(&bench, "1.jpg"), [key("1.jpg")]);
    bench.now_ns += DAY_NS;
    assert_eq!(run(&bench, "2.jpg"), [key("1.jpg"), key("2.jpg")], "a day is not over");
    bench.now_ns += DAY_NS / 2;
    let before = trash(&bench);
    bench.run();
    bench.dry_run();
    assert_eq!(trash(&bench), before, "a run without changes removes nothing");
    bench.heard();
    assert_eq!(run(&bench, "3.jpg"), [key("2.jpg"), key("3.jpg")]);
    assert!(
        bench
            .heard()
            .notices
            .iter()
            .any(|notice| notice.contains("removed what was kept for more than 1d from the trash: 1"))
    );
}
