//! Cycles over keys that were seen to change: what was not looked at is as it was, and a side that nobody asks is
//! assumed to hold what both held, never to lack anything.

use mediasync::model::{Scope, Side};
use mediasync::plan::{Mode, OnConflict};
use mediasync::sync::Ending;

use crate::support::bench::{Bench, key};

fn watched(mode: Mode, count: usize) -> Bench {
    let mut bench = Bench::new(mode);
    for n in 0..count {
        bench.source.write(&key(&format!("dir{}/file{n}.jpg", n % 7)), format!("content {n}"));
    }
    bench.run();
    bench.heard();
    bench.source.take_calls();
    bench.dest.take_calls();
    bench.assumed = Some(Side::Dest);
    bench
}

fn changed(bench: &mut Bench, keys: &[&str]) {
    bench.scope = Scope::of_keys(keys.iter().map(|text| key(text)));
}

/// What was asked of the destination.
fn asked(bench: &Bench) -> Vec<String> {
    bench.dest.take_calls().into_iter().map(|call| call.operation.to_owned()).collect()
}

#[test]
fn only_changed_keys_are_looked_at_and_nothing_else_is_asked_of_the_other_side() {
    let mut bench = watched(Mode::CopyAndDelete, 30);
    bench.source.write(&key("dir0/file0.jpg"), "other bytes");
    bench.source.write(&key("new.txt"), "new");
    bench.source.remove(&key("dir1/file1.jpg"));
    // Nobody saw this one change.
    bench.source.write(&key("dir2/file2.jpg"), "unseen");
    changed(&mut bench, &["new.txt", "dir0/file0.jpg", "dir1/file1.jpg", "never/was"]);
    let report = bench.try_run().unwrap();
    assert_eq!((report.done.creates, report.done.overwrites, report.done.deletes), (1, 1, 1), "{report:?}");
    // Before it deletes it asks once more who is there.
    assert_eq!(asked(&bench), ["put", "put", "connect", "keep", "delete"]);
    bench.run();
    assert_eq!(asked(&bench), Vec::<String>::new(), "a second look finds nothing to do, and asks nobody");
    bench.scope = Scope::Whole;
    assert_eq!(bench.run().done.overwrites, 1, "what nobody saw is found by looking at all");
    bench.assumed = None;
    assert_eq!(bench.run().done.changes(), 0);
    assert_eq!(bench.source.contents(), bench.dest.contents());
}

#[test]
fn directories_stand_for_all_below_them() {
    let mut bench = watched(Mode::CopyAndDelete, 7);
    bench.source.write(&key("new/deep/er/a"), "a");
    bench.source.write(&key("new-b"), "b");
    bench.source.write(&key("new/x"), "x");
    changed(&mut bench, &["new", "new-b", "new/deep"]);
    assert_eq!(bench.run().done.creates, 3);
    // A directory becomes a file.
    bench.source.remove(&key("dir3/file3.jpg"));
    bench.source.write(&key("dir3"), "now a file");
    changed(&mut bench, &["dir3"]);
    let report = bench.run();
    assert_eq!((report.done.creates, report.done.deletes), (1, 1), "{report:?}");
    bench.scope = Scope::Whole;
    bench.assumed = None;
    assert_eq!(bench.run().done.changes(), 0);
    assert_eq!(bench.source.contents(), bench.dest.contents());
}

#[test]
fn what_somebody_else_did_at_the_other_side_is_not_overwritten_or_deleted() {
    for mode in [Mode::CopyAndDelete, Mode::TwoWay] {
        let mut bench = watched(mode, 14);
        for name in ["dir0/file0.jpg", "dir1/file1.jpg", "both.txt"] {
            bench.dest.write(&key(name), format!("theirs {name}"));
        }
        bench.source.write(&key("dir0/file0.jpg"), "ours");
        bench.source.write(&key("both.txt"), "ours");
        bench.source.remove(&key("dir1/file1.jpg"));
        changed(&mut bench, &["dir0/file0.jpg", "dir1/file1.jpg", "both.txt"]);
        let before = bench.dest.contents();
        let report = bench.try_run().unwrap();
        assert_eq!((report.done.changes(), report.problem_count), (0, 3), "{mode:?}: {report:?}");
        assert_eq!(bench.dest.contents(), before, "{mode:?}");
        // The same keys, looked at on both sides.
        bench.assumed = None;
        let report = bench.try_run().unwrap();
        assert_eq!((report.done.changes(), report.conflict_count), (0, 3), "{mode:?}: {report:?}");
        assert_eq!(bench.dest.contents(), before, "{mode:?}");
        bench.policy.on_conflict = OnConflict::SourceWins;
        bench.try_run().unwrap();
        bench.scope = Scope::Whole;
        assert_eq!(bench.try_run().unwrap().done.changes(), 0);
        assert_eq!(bench.source.contents(), bench.dest.contents(), "{mode:?}");
    }
}

#[test]
fn the_guard_hears_of_the_whole_pair() {
    // One of twenty is everyday work, though it is all that was looked at.
    let mut bench = watched(Mode::CopyAndDelete, 20);
    bench.source.remove(&key("dir0/file0.jpg"));
    changed(&mut bench, &["dir0/file0.jpg"]);
    assert_eq!(bench.run().done.deletes, 1);
    // All of them, or most, are not.
    for (gone, says) in [(20, "is empty, but held 19 keys"), (12, "Only 8 of 19 keys")] {
        let mut bench = watched(Mode::CopyAndDelete, 19);
        let names: Vec<String> = (0..19).map(|n| format!("dir{}/file{n}.jpg", n % 7)).collect();
        let gone: Vec<&str> = names.iter().map(String::as_str).take(gone.min(19)).collect();
        for name in gone.iter().take(if gone.len() == 12 { 11 } else { 19 }) {
            bench.source.remove(&key(name));
        }
        changed(&mut bench, &gone);
        let report = bench.try_run().unwrap();
        let Ending::Halted(halt) = &report.ending else { panic!("not halted: {report:?}") };
        assert!(halt.message.contains(says), "{}", halt.message);
        assert!(halt.plan.is_some());
        assert_eq!(bench.dest.contents().len(), 19);
    }
    // And neither are a few at a time, all day long.
    let mut bench = watched(Mode::CopyAndDelete, 700);
    let mut deleted = 0;
    for batch in 0..40 {
        let names: Vec<String> = (batch * 5..batch * 5 + 5).map(|n| format!("dir{}/file{n}.jpg", n % 7)).collect();
        for name in &names {
            bench.source.remove(&key(name));
        }
        changed(&mut bench, &names.iter().map(String::as_str).collect::<Vec<_>>());
        let report = bench.try_run().unwrap();
        deleted += report.done.deletes;
        if let Ending::Halted(halt) = report.ending {
            assert!(halt.message.contains("the budget of this pair is"), "{}", halt.message);
            assert_eq!(deleted, 60, "a tenth of what there was, and of what is left");
            return;
        }
    }
    panic!("never halted");
}

#[test]
fn a_rename_is_a_copy_there() {
    let mut bench = watched(Mode::CopyAndDelete, 7);
    bench.source.remove(&key("dir0/file0.jpg"));
    bench.source.write(&key("renamed.jpg"), "content 0");
    changed(&mut bench, &["dir0/file0.jpg", "renamed.jpg"]);
    let report = bench.run();
    assert_eq!((report.done.copies, report.done.rename_deletes, report.done.bytes_sent), (1, 1, 0), "{report:?}");
}
