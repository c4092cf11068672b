//! Whole cycles between memory replicas: one scenario a test. After every cycle a second one must do nothing.

use std::sync::Mutex;

use async_trait::async_trait;
use mediasync::model::{Action, Conflict, Counts, Problem, Reason, Scope, Verb};
use mediasync::plan::{Mode, OnConflict};
use mediasync::replica::memory::Fault;
use mediasync::replica::{Cause, Error};
use mediasync::sync::{Approval, Ending, Observer, Run, Stage, run_cycle};

use crate::support::bench::{Bench, key};

fn seeded(mode: Mode, count: usize) -> Bench {
    let bench = Bench::new(mode);
    for n in 0..count {
        bench.source.write(&key(&format!("dir{}/file{n}.jpg", n % 7)), format!("content {n}"));
    }
    let report = bench.run();
    assert_eq!((report.done.creates, report.problem_count), (count as u64, 0));
    assert_eq!(bench.source.contents(), bench.dest.contents());
    bench.heard();
    bench
}

fn halted(report: &mediasync::sync::Report, with: &str) -> String {
    match &report.ending {
        Ending::Halted(halt) => {
            assert!(halt.message.contains(with), "{}", halt.message);
            assert_eq!(report.done.changes(), 0);
            halt.plan.clone().expect("a halted run stores its plan")
        }
        Ending::Finished => panic!("not halted: {report:?}"),
    }
}

#[test]
fn a_push_sends_what_is_new_and_changed_and_nothing_else() {
    let bench = seeded(Mode::Copy, 30);
    bench.source.write(&key("dir0/file0.jpg"), "other bytes");
    bench.source.write(&key("new.txt"), "new");
    bench.dest.take_calls();
    let report = bench.run();
    assert_eq!((report.done.creates, report.done.overwrites, report.in_sync), (1, 1, 29));
    assert_eq!(bench.source.contents(), bench.dest.contents());
}

#[test]
fn a_touch_sends_nothing() {
    let bench = seeded(Mode::Copy, 5);
    bench.source.touch(&key("dir0/file0.jpg"));
    bench.dest.take_calls();
    let report = bench.run();
    assert_eq!((report.done.changes(), report.done.records), (0, 1));
    assert!(bench.dest.take_calls().iter().all(|call| call.operation != "put"));
}

#[test]
fn a_same_size_edit_is_found() {
    let bench = seeded(Mode::Copy, 5);
    bench.source.write(&key("dir0/file0.jpg"), "CONTENT 0");
    assert_eq!(bench.run().done.overwrites, 1);
    assert_eq!(bench.source.contents(), bench.dest.contents());
}

#[test]
fn a_lost_manifest_adopts_and_neither_sends_nor_deletes() {
    let bench = seeded(Mode::CopyAndDelete, 20);
    bench.dest.write(&key("foreign.jpg"), "foreign");
    bench.forget_manifest();
    let report = bench.run();
    assert_eq!((report.done.changes(), report.done.records, report.extras), (0, 20, 1));
}

#[test]
fn extras_stay_in_a_copy_and_need_approval_in_a_mirror() {
    let mut bench = Bench::new(Mode::CopyAndDelete);
    bench.source.write(&key("a"), "a");
    for n in 0..40 {
        bench.dest.write(&key(&format!("extra/{n}")), "x");
    }
    let report = bench.run();
    assert_eq!((report.done.creates, report.done.deletes, report.extras), (1, 0, 40));
    bench.policy.mode = Mode::Mirror;
    let hash = halted(&bench.try_run().unwrap(), "40 keys");
    assert_eq!(bench.dest.contents().len(), 41);
    let path = bench.stored_plan(&hash);
    let report = bench
        .with_cycle(true, async |cycle, ears| mediasync::apply::apply(cycle, &path, Approval::Given, ears).await)
        .unwrap();
    assert_eq!((report.done.deletes, report.problem_count), (40, 0), "{:?}", bench.heard());
    assert_eq!(bench.source.contents(), bench.dest.contents());
    assert_eq!(bench.run().planned.changes(), 0);
}

#[test]
fn an_emptied_source_halts_and_changes_nothing() {
    for mode in [Mode::Copy, Mode::CopyAndDelete, Mode::Mirror, Mode::TwoWay] {
        let bench = seeded(Mode::CopyAndDelete, 5);
        for (key, _) in bench.source.contents() {
            bench.source.remove(&key);
        }
        let mut bench = bench;
        bench.policy.mode = mode;
        halted(&bench.try_run().unwrap(), "empty");
        assert_eq!(bench.dest.contents().len(), 5);
    }
}

#[test]
fn two_thousand_deletions_in_ten_runs_of_a_day_are_halted() {
    let mut bench = seeded(Mode::CopyAndDelete, 5_000);
    let keys: Vec<_> = bench.source.contents().into_keys().collect();
    let mut deleted = 0;
    for run in keys[..2_000].chunks(200) {
        for key in run {
            bench.source.remove(key);
        }
        bench.now_ns += 3_600_000_000_000;
        let report = bench.try_run().unwrap();
        deleted += report.done.deletes;
        if report.ending != Ending::Finished {
            halted(&report, "budget");
        }
    }
    assert!((400..=500).contains(&deleted), "{deleted} were deleted");
    // A day later the budget is fresh, and still a budget.
    bench.now_ns += 25 * 3_600_000_000_000;
    halted(&bench.try_run().unwrap(), "budget");
}

#[test]
fn another_bucket_behind_the_name_is_not_touched() {
    let bench = seeded(Mode::Copy, 5);
    for (key, _) in bench.dest.contents() {
        bench.dest.remove(&key);
    }
    bench.dest.change_identity("somebody else");
    bench.dest.take_calls();
    halted(&bench.try_run().unwrap(), "id object");
    assert!(bench.dest.contents().is_empty());
    assert!(bench.dest.take_calls().iter().all(|call| call.operation != "put"));
}

#[test]
fn an_emptied_destination_is_refilled() {
    let bench = seeded(Mode::Copy, 5);
    for (key, _) in bench.dest.contents() {
        bench.dest.remove(&key);
    }
    let report = bench.run();
    assert_eq!(report.done.creates, 5);
    assert!(bench.heard().notices.iter().any(|notice| notice.contains("empty")));
}

#[test]
fn a_third_partys_change_is_a_conflict_until_the_source_may_win() {
    let mut bench = seeded(Mode::Copy, 5);
    let contested = key("dir0/file0.jpg");
    bench.dest.write(&contested, "theirs");
    bench.source.write(&contested, "ours, changed");
    bench.source.write(&key("other"), "new");
    let report = bench.try_run().unwrap();
    assert_eq!((report.conflict_count, report.done.creates, report.done.overwrites), (1, 1, 0));
    assert_eq!(bench.dest.contents()[&contested], "theirs");
    let conflict = &report.conflicts[0];
    assert_eq!((conflict.source.as_ref().unwrap().size, conflict.dest.as_ref().unwrap().size), (13, 6));
    bench.policy.on_conflict = OnConflict::SourceWins;
    bench.heard();
    assert_eq!(bench.run().done.overwrites, 1);
    assert!(bench.heard().done.iter().any(|action| action.reason == Reason::OverwritesChange));
    assert_eq!(bench.source.contents(), bench.dest.contents());
}

#[test]
fn a_first_push_onto_other_content_is_a_conflict() {
    let bench = Bench::new(Mode::Copy);
    bench.source.write(&key("a"), "ours");
    bench.source.write(&key("same"), "same");
    bench.dest.write(&key("a"), "them");
    bench.dest.write(&key("same"), "same");
    let report = bench.try_run().unwrap();
    assert_eq!((report.conflict_count, report.done.changes(), report.done.records), (1, 0, 1));
    assert_eq!(bench.dest.contents()[&key("a")], "them");
}

#[test]
fn a_renamed_folder_is_copied_inside_and_does_not_spend_the_budget() {
    let bench = seeded(Mode::CopyAndDelete, 300);
    for (old, bytes) in bench.source.contents() {
        bench.source.remove(&old);
        bench.source.write(&key(&format!("moved/{}", old.as_str())), bytes);
    }
    bench.dest.take_calls();
    let report = bench.run();
    assert_eq!(report.ending, Ending::Finished);
    assert_eq!((report.done.copies, report.done.deletes, report.done.creates), (300, 300, 0));
    assert_eq!(bench.source.contents(), bench.dest.contents());
    assert!(bench.dest.take_calls().iter().all(|call| call.operation != "put"));
    let spent = bench.manifest().spent_since(0).unwrap();
    assert_eq!(spent.deletes, 0);
}

#[test]
fn a_copy_falls_back_to_sending_when_its_origin_changed() {
    let bench = seeded(Mode::Copy, 3);
    bench.source.write(&key("copy.jpg"), "content 0");
    bench.dest.write(&key("dir0/file0.jpg"), "theirs");
    let report = bench.try_run().unwrap();
    assert_eq!((report.done.copies, report.done.creates), (0, 1));
    assert_eq!(bench.dest.contents()[&key("copy.jpg")], "content 0");
}

#[test]
fn a_lost_acknowledgement_is_adopted_by_the_next_run() {
    let bench = Bench::new(Mode::Copy);
    for n in 0..10 {
        bench.source.write(&key(&format!("{n}")), format!("content {n}"));
    }
    let lost = Error::new(Cause::Transient { throttled: false, after: None }, "connection reset");
    bench.dest.inject(move |call| if call.operation == "put" { Fault::After(lost.clone()) } else { Fault::None });
    let report = bench.try_run().unwrap();
    assert_eq!((report.problem_count, report.done.creates), (10, 0));
    bench.dest.heal();
    let report = bench.run();
    assert_eq!((report.done.changes(), report.done.records, report.problem_count), (0, 10, 0));
}

#[test]
fn a_key_that_came_back_is_not_deleted() {
    let bench = seeded(Mode::CopyAndDelete, 5);
    let back = key("dir0/file0.jpg");
    bench.source.remove(&back);
    let source = bench.source.clone();
    let again = back.clone();
    bench.dest.inject(move |call| {
        if call.operation == "list" {
            source.write(&again, "content 0");
        }
        Fault::None
    });
    let report = bench.try_run().unwrap();
    assert_eq!((report.done.deletes, report.problem_count), (0, 1));
    assert!(bench.dest.contents().contains_key(&back));
}

#[test]
fn an_object_that_changed_since_the_plan_is_not_deleted() {
    let bench = seeded(Mode::CopyAndDelete, 5);
    let doomed = key("dir0/file0.jpg");
    bench.source.remove(&doomed);
    let dest = bench.dest.clone();
    let target = doomed.clone();
    bench.source.inject(move |call| {
        if call.operation == "look_up" {
            dest.write(&target, "theirs");
        }
        Fault::None
    });
    let report = bench.try_run().unwrap();
    assert_eq!((report.done.deletes, report.problem_count), (0, 1));
    assert_eq!(bench.dest.contents()[&doomed], "theirs");
}

#[test]
fn a_broken_listing_changes_nothing() {
    let bench = seeded(Mode::CopyAndDelete, 5);
    bench.source.write(&key("new"), "new");
    let cut = Error::new(Cause::Incomplete, "the listing broke");
    for side in [&bench.source, &bench.dest] {
        let cut = cut.clone();
        side.inject(move |call| if call.operation == "list" { Fault::Before(cut.clone()) } else { Fault::None });
        assert_eq!(bench.try_run().unwrap_err().cause, Cause::Incomplete);
        side.heal();
    }
    assert_eq!(bench.dest.contents().len(), 5);
    assert_eq!(bench.run().done.creates, 1);
}

#[test]
fn the_side_that_is_not_in_order_is_the_one_that_is_named() {
    let bench = seeded(Mode::CopyAndDelete, 5);
    bench.source.remove(&key("dir0/file0.jpg"));
    for (side, name) in [(&bench.source, "source"), (&bench.dest, "dest")] {
        let mut first = true;
        side.inject(move |call| {
            let descends = call.operation == "list" && std::mem::take(&mut first);
            if descends { Fault::Before(Error::new(Cause::Unordered, "it descends")) } else { Fault::None }
        });
        bench.heard();
        assert_eq!(bench.dry_run().planned.deletes, 1);
        let notices = bench.heard().notices;
        assert!(matches!(&notices[..], [one] if one.starts_with(name) && one.contains("sorted here")), "{notices:?}");
        side.heal();
    }
    assert_eq!(bench.run().done.deletes, 1);
}

#[test]
fn a_dry_run_changes_nothing_and_tells_the_same_actions() {
    let bench = seeded(Mode::CopyAndDelete, 5);
    bench.source.write(&key("new"), "new");
    bench.source.remove(&key("dir0/file0.jpg"));
    bench.source.write(&key("dir1/file1.jpg"), "changed");
    bench.dest.take_calls();
    let before = bench.dest.contents();
    let dry = bench.dry_run();
    let changing = ["put", "copy", "delete"];
    assert!(bench.dest.take_calls().iter().all(|call| !changing.contains(&call.operation)));
    assert_eq!(bench.dest.contents(), before);
    let planned = bench.heard().planned;
    let report = bench.run();
    assert_eq!(report.planned, dry.planned);
    let done = bench.heard().done;
    let words = |actions: &[Action]| {
        let mut words: Vec<_> = actions.iter().map(|a| (a.key.clone(), a.verb.clone(), a.reason.clone())).collect();
        words.sort_by(|a, b| a.0.cmp(&b.0));
        words
    };
    assert_eq!(words(&planned), words(&done));
    assert!(planned.iter().any(|action| action.verb == Verb::Delete && action.reason == Reason::DeletedAtSource));
}

#[test]
fn only_a_subtree_is_looked_at_and_nothing_lapses() {
    let mut bench = seeded(Mode::CopyAndDelete, 20);
    bench.source.write(&key("dir1/new"), "new");
    bench.source.write(&key("dir2/new"), "another");
    bench.source.remove(&key("dir2/file2.jpg"));
    bench.scope = Scope::Below(key("dir1"));
    let report = bench.run();
    assert_eq!((report.done.creates, report.done.deletes, report.done.records), (1, 0, 0));
    bench.scope = Scope::Whole;
    let report = bench.run();
    assert_eq!((report.done.creates, report.done.deletes), (1, 1));
}

#[test]
fn nfd_and_nfc_twins_with_equal_content_are_left_alone() {
    let bench = seeded(Mode::CopyAndDelete, 3);
    bench.source.write(&key("cafe\u{301}.jpg"), "coffee");
    bench.dest.write(&key("caf\u{e9}.jpg"), "coffee");
    let report = bench.run();
    assert_eq!((report.done.changes(), report.problem_count), (0, 0));
    bench.source.write(&key("cafe\u{301}.jpg"), "other coffee");
    let report = bench.try_run().unwrap();
    assert_eq!((report.done.changes(), report.problem_count), (0, 1));
}

#[test]
fn large_content_is_sent_in_pieces_and_compared_like_small_content() {
    let bench = Bench::new(Mode::Copy);
    bench.source.write(&key("big"), vec![7_u8; 9 << 20]);
    assert_eq!(bench.run().done.bytes_sent, 9 << 20);
    assert_eq!(bench.source.contents(), bench.dest.contents());
    bench.forget_manifest();
    assert_eq!(bench.run().done.changes(), 0);
}

/// Runs one cycle that dies by its fault plan.
fn dies(bench: &Bench) {
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bench.try_run()));
    assert!(ended.is_err(), "it did not die");
    bench.source.heal();
    bench.dest.heal();
    bench.heard();
}

fn dying_at(operation: &'static str, nth: usize) -> impl FnMut(&mediasync::replica::memory::Call) -> Fault + Send {
    let mut seen = 0;
    move |call| {
        seen += usize::from(call.operation == operation);
        if call.operation == operation && seen == nth { Fault::DieAfter } else { Fault::None }
    }
}

#[test]
fn a_killed_push_proves_nothing_to_a_run_the_other_way() {
    let mut bench = Bench::new(Mode::CopyAndDelete);
    for n in 0..40 {
        bench.source.write(&key(&format!("{n:02}")), format!("content {n}"));
    }
    bench.dest.inject(dying_at("put", 25));
    dies(&bench);
    let before = bench.source.contents();
    bench.turn();
    let report = bench.try_run().unwrap();
    assert_eq!((report.done.deletes, report.problem_count), (0, 0), "{:?}", bench.heard());
    assert_eq!(bench.dest.contents(), before);
}

#[test]
fn what_was_there_before_a_killed_overwrite_is_not_ours() {
    let mut bench = Bench::new(Mode::Copy);
    bench.policy.on_conflict = OnConflict::SourceWins;
    bench.source.write(&key("a"), "good");
    bench.dest.write(&key("a"), "evil");
    bench.dest.inject(|call| if call.operation == "put" { Fault::DieBefore } else { Fault::None });
    dies(&bench);
    bench.policy.on_conflict = OnConflict::Report;
    assert_eq!(bench.try_run().unwrap().conflict_count, 1);
}

#[test]
fn the_old_half_of_a_rename_stays_while_the_new_one_can_not_be_made() {
    let bench = seeded(Mode::CopyAndDelete, 60);
    let all = bench.source.contents();
    for (old, bytes) in &all {
        bench.source.remove(old);
        bench.source.write(&key(&format!("moved/{}", old.as_str())), bytes.clone());
    }
    let refused = Error::new(Cause::Transient { throttled: false, after: None }, "503");
    bench.dest.inject(move |call| match call.operation {
        "copy" | "put" => Fault::Before(refused.clone()),
        _ => Fault::None,
    });
    let report = bench.try_run().unwrap();
    assert_eq!((report.done.deletes, report.done.copies), (0, 0));
    assert_eq!(bench.dest.contents(), all);
    bench.dest.heal();
    bench.heard();
    assert_eq!(bench.run().done.deletes, 60);
    assert_eq!(bench.source.contents(), bench.dest.contents());
}

#[test]
fn a_run_over_a_part_does_not_introduce_a_stranger() {
    let mut bench = seeded(Mode::CopyAndDelete, 20);
    bench.source.change_identity("another disk");
    bench.source.remove(&key("dir0/file0.jpg"));
    bench.scope = Scope::Below(key("nowhere"));
    assert_eq!(bench.try_run().unwrap_err().cause, Cause::Usage);
    bench.scope = Scope::Below(key("dir1"));
    halted(&bench.try_run().unwrap(), "another disk or directory");
    bench.scope = Scope::Whole;
    halted(&bench.try_run().unwrap(), "another disk or directory");
}

#[test]
fn a_killed_first_run_remembers_whom_it_met() {
    let bench = Bench::new(Mode::CopyAndDelete);
    for n in 0..10 {
        bench.source.write(&key(&format!("{n}")), format!("content {n}"));
    }
    bench.dest.inject(dying_at("put", 1));
    dies(&bench);
    bench.source.change_identity("another disk");
    halted(&bench.try_run().unwrap(), "another disk or directory");
}

#[test]
fn plans_within_the_budget_may_be_too_much_together() {
    let bench = seeded(Mode::CopyAndDelete, 180);
    let keys: Vec<_> = bench.source.contents().into_keys().collect();
    let state = tempfile::tempdir().unwrap();
    let mut plans = Vec::new();
    for (n, part) in keys.chunks(40).take(2).enumerate() {
        let path = state.path().join(format!("{n}.plan"));
        let gone: Vec<_> = part.iter().map(|key| (key.clone(), bench.source.contents()[key].clone())).collect();
        for (key, _) in &gone {
            bench.source.remove(key);
        }
        let run = Run::SavePlan(path.clone());
        let report = bench.with_cycle(false, async |mut cycle, ears| {
            cycle.run = run;
            run_cycle(cycle, ears).await
        });
        assert_eq!(report.unwrap().ending, Ending::Finished);
        for (key, bytes) in gone {
            bench.source.write(&key, bytes);
        }
        plans.push((path, part.to_vec()));
    }
    let mut endings = Vec::new();
    for (path, part) in plans {
        for key in &part {
            bench.source.remove(key);
        }
        let report = bench
            .with_cycle(true, async |cycle, ears| mediasync::apply::apply(cycle, &path, Approval::Missing, ears).await)
            .unwrap();
        endings.push((report.done.deletes, matches!(report.ending, Ending::Halted(_))));
    }
    assert_eq!(endings, [(40, false), (0, true)]);
}

/// Hears nothing and agrees to nothing; keeps what it was asked.
#[derive(Default)]
struct Refuses(Mutex<Vec<Counts>>);

#[async_trait]
impl Observer for Refuses {
    fn action(&self, _: &Action, _: Stage) {}
    fn problem(&self, _: &Problem) {}
    fn conflict(&self, _: &Conflict) {}
    fn notice(&self, _: &str) {}
    async fn agree(&self, planned: &Counts) -> Result<(), Error> {
        self.0.lock().unwrap().push(*planned);
        Err(Error::new(Cause::Stop, "no"))
    }
}

#[test]
fn a_plan_that_nobody_agrees_to_changes_nothing() {
    let bench = seeded(Mode::Copy, 3);
    let refuses = Refuses::default();
    bench.with_cycle(true, async |cycle, _| run_cycle(cycle, &refuses).await).unwrap();
    assert!(refuses.0.lock().unwrap().is_empty(), "nothing to do is nothing to ask");
    bench.source.write(&key("new.txt"), "new");
    bench.source.write(&key("dir0/file0.jpg"), "other bytes");
    let before = bench.dest.contents();
    let error = bench.with_cycle(true, async |cycle, _| run_cycle(cycle, &refuses).await).unwrap_err();
    assert_eq!(error.message, "no");
    assert_eq!(bench.dest.contents(), before);
    let asked = refuses.0.lock().unwrap().clone();
    assert_eq!(asked.iter().map(|counts| (counts.creates, counts.overwrites)).collect::<Vec<_>>(), [(1, 1)]);
    assert_eq!(bench.run().done.changes(), 2);
}
