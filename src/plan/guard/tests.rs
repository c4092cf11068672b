//! Situations and verdicts.

use super::*;

fn calm() -> Situation {
    Situation {
        mode: Mode::CopyAndDelete,
        range: Range::Whole,
        budget: Budget::Sliding,
        planned: Counts::default(),
        base_keys: 5_000,
        base_bytes: 5_000_000,
        base_at_source: 5_000,
        source_keys: 5_000,
        spent: Spent::default(),
        strangers: Vec::new(),
        mirror_approved: false,
    }
}

fn deleting(count: u64) -> Counts {
    Counts { deletes: count, bytes_deleted: count * 1_000, ..Counts::default() }
}

fn halts(situation: &Situation, with: &str) {
    match check(situation) {
        GuardVerdict::Halt(reason) => assert!(reason.contains(with), "{reason}"),
        GuardVerdict::Proceed => panic!("proceeds: {situation:?}"),
    }
}

fn proceeds(situation: &Situation) {
    assert_eq!(check(situation), GuardVerdict::Proceed, "{situation:?}");
}

#[test]
fn a_calm_plan_proceeds() {
    proceeds(&calm());
    proceeds(&Situation { planned: deleting(500), base_at_source: 4_500, ..calm() });
}

#[test]
fn an_empty_source_halts_whatever_the_mode() {
    for mode in [Mode::Copy, Mode::CopyAndDelete, Mode::Mirror, Mode::TwoWay] {
        halts(&Situation { mode, source_keys: 0, base_at_source: 0, ..calm() }, "empty");
    }
    proceeds(&Situation { source_keys: 0, base_keys: 0, base_bytes: 0, base_at_source: 0, ..calm() });
}

#[test]
fn the_deletion_budget_counts_keys_over_a_day() {
    halts(&Situation { planned: deleting(501), base_at_source: 4_499, ..calm() }, "budget of this pair is 500");
    let spent = Spent { deletes: 400, ..Spent::default() };
    halts(&Situation { planned: deleting(200), spent, ..calm() }, "600 keys in 24 hours");
}

#[test]
fn the_deletion_budget_counts_bytes() {
    let planned = Counts { deletes: 60, bytes_deleted: 600_000, ..Counts::default() };
    halts(&Situation { planned, ..calm() }, "bytes");
}

#[test]
fn a_small_library_may_lose_a_few_files() {
    let small = Situation { base_keys: 5, base_bytes: 5_000, base_at_source: 4, source_keys: 4, ..calm() };
    proceeds(&Situation { planned: deleting(1), ..small });
}

#[test]
fn losing_more_than_half_halts_even_below_the_floor() {
    let small = Situation { base_keys: 40, base_bytes: 40_000, base_at_source: 15, source_keys: 15, ..calm() };
    halts(&Situation { planned: deleting(25), ..small }, "Only 15 of 40 keys");
}

#[test]
fn renames_do_not_count() {
    let planned = Counts { deletes: 4_000, rename_deletes: 4_000, copies: 4_000, ..Counts::default() };
    proceeds(&Situation { planned, base_at_source: 1_000, ..calm() });
}

#[test]
fn max_delete_replaces_the_budget() {
    let budget = Budget::ThisRun(Limit::Keys(10));
    halts(&Situation { planned: deleting(11), budget, ..calm() }, "--max-delete allows 10");
    let budget = Budget::ThisRun(Limit::Percent(50.0));
    proceeds(&Situation { planned: deleting(2_500), base_at_source: 2_500, budget, ..calm() });
}

#[test]
fn overwriting_more_than_half_in_a_day_halts() {
    let planned = Counts { overwrites: 2_501, ..Counts::default() };
    halts(&Situation { planned, ..calm() }, "overwrites");
    proceeds(&Situation { planned: Counts { overwrites: 2_500, ..Counts::default() }, ..calm() });
}

#[test]
fn a_first_mirror_asks_before_it_deletes_extras() {
    let planned = Counts { extra_deletes: 40, ..deleting(40) };
    let mirror = Situation { mode: Mode::Mirror, planned, ..calm() };
    halts(&mirror, "40 keys");
    proceeds(&Situation { mirror_approved: true, ..mirror });
}

#[test]
fn a_stranger_may_not_be_changed() {
    let strangers = vec![Stranger { name: "s3://b".into(), place: Place::Bucket }];
    let planned = Counts { creates: 1, ..Counts::default() };
    halts(&Situation { planned, strangers: strangers.clone(), ..calm() }, "s3://b");
    // The same content behind a new identity: nothing to do, nothing to ask.
    proceeds(&Situation { strangers: strangers.clone(), ..calm() });
    // A part, or nothing at all, proves nothing about the whole.
    halts(&Situation { strangers: strangers.clone(), range: Range::Part, ..calm() }, "s3://b");
    let unknown = Situation { base_keys: 0, base_bytes: 0, base_at_source: 0, ..calm() };
    halts(&Situation { strangers, ..unknown }, "s3://b");
}
