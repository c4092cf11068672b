//! Situations and verdicts.

use super::*;
use crate::plan::Limit;

fn calm() -> Situation {
    Situation {
        mode: Mode::CopyAndDelete,
        range: Range::Whole,
        budget: Budget::Sliding,
        overwrites: Budget::Sliding,
        raise: Raise::ByFlag,
        planned: Counts::default(),
        base_keys: 5_000,
        base_bytes: 5_000_000,
        watched: source(5_000, 0),
        spent: Spent::default(),
        strangers: Vec::new(),
        mirror_approved: false,
        turned: None,
        places: ("live:".to_owned(), "/srv/backup".to_owned()),
    }
}

/// A source that has so many keys, while so many go at the destination.
fn source(of_base: u64, deletes: u64) -> Vec<Watched> {
    vec![side("the source", of_base, deletes)]
}

fn side(name: &str, of_base: u64, deletes: u64) -> Watched {
    Watched { name: name.to_owned(), keys: of_base, of_base, renamed: 0, deletes, overwrites: 0 }
}

fn deleting(count: u64) -> Counts {
    Counts { deletes: count, bytes_deleted: count * 1_000, ..Counts::default() }
}

#[test]
fn a_daemon_names_the_keys_of_its_configuration_and_no_flag() {
    let daemon = Situation { raise: Raise::InConfig, ..calm() };
    let limit = Budget::ThisRun(Limit::Keys(10));
    let overwriting = |n| Counts { overwrites: n, ..Counts::default() };
    let told = [
        (Situation { planned: deleting(501), watched: source(4_499, 501), ..daemon.clone() }, "max_delete"),
        (Situation { planned: deleting(11), budget: limit, ..daemon.clone() }, "max_delete"),
        (Situation { planned: deleting(11), budget: limit.of_a_day(), ..daemon.clone() }, "max_delete"),
        (Situation { planned: overwriting(4_000), ..daemon.clone() }, "max_overwrite"),
        (Situation { planned: overwriting(11), overwrites: limit, ..daemon.clone() }, "max_overwrite"),
        (Situation { planned: overwriting(11), overwrites: limit.of_a_day(), ..daemon }, "max_overwrite"),
        (Situation { raise: Raise::InConfig, ..changed(100, 0, 60) }, "max_overwrite"),
    ];
    for (situation, key) in told {
        let GuardVerdict::Halt(reason) = check(&situation) else { panic!("proceeds: {situation:?}") };
        let way = format!("approve this plan, or set {key} of the job and let the daemon read it");
        assert!(reason.contains(&way) && !reason.contains("--"), "{reason}");
    }
}

#[test]
fn a_job_by_hand_names_its_keys_and_the_flags_for_one_run() {
    let by_hand = Situation { raise: Raise::InJob, budget: Budget::ThisRun(Limit::Keys(10)), ..calm() };
    let key = "The plan deletes 11 keys; max_delete of the job allows 10. If that is meant, approve this plan, give \
               --max-delete for this run, or set max_delete of the job";
    halts(&Situation { planned: deleting(11), ..by_hand.clone() }, key);
    let sliding = Situation { planned: deleting(501), watched: source(4_499, 501), ..by_hand };
    halts(
        &Situation { budget: Budget::Sliding, ..sliding },
        "give --max-delete for this run, or set max_delete of the job",
    );
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
    proceeds(&Situation { planned: deleting(500), watched: source(4_500, 500), ..calm() });
}

#[test]
fn an_empty_source_halts_whatever_the_mode() {
    for mode in [Mode::Copy, Mode::CopyAndDelete, Mode::Mirror, Mode::TwoWay] {
        halts(&Situation { mode, watched: source(0, 0), ..calm() }, "empty");
    }
    proceeds(&Situation { watched: source(0, 0), base_keys: 0, base_bytes: 0, ..calm() });
}

#[test]
fn the_deletion_budget_counts_keys_over_a_day() {
    halts(&Situation { planned: deleting(501), watched: source(4_499, 501), ..calm() }, "budget of this pair is 500");
    let spent = Spent { deletes: 400, ..Spent::default() };
    halts(&Situation { planned: deleting(200), spent, ..calm() }, "600 keys in 24 hours");
}

#[test]
fn the_limits_of_a_job_are_those_of_a_day_where_a_day_has_many_cycles() {
    let limit = |keys| Budget::ThisRun(Limit::Keys(keys)).of_a_day();
    let spent = Spent { deletes: 9, overwrites: 9, ..Spent::default() };
    let one = Situation { planned: deleting(1), spent, ..calm() };
    proceeds(&Situation { budget: limit(10), ..one.clone() });
    halts(&Situation { budget: limit(9), ..one }, "10 keys in 24 hours; max_delete of the job allows 9");
    let planned = Counts { overwrites: 1, ..Counts::default() };
    proceeds(&Situation { planned, spent, overwrites: limit(10), ..calm() });
    halts(&Situation { planned, spent, overwrites: limit(9), ..calm() }, "makes 10 in 24 hours; max_overwrite");
    assert_eq!(Budget::Sliding.of_a_day(), Budget::Sliding);
    let all = Budget::ThisRun(Limit::Percent(100.0)).of_a_day();
    let spent = Spent { deletes: 9_000, overwrites: 9_000, ..Spent::default() };
    proceeds(&Situation { planned, spent, overwrites: all, budget: all, ..calm() });
}

#[test]
fn the_deletion_budget_counts_bytes() {
    let planned = Counts { deletes: 60, bytes_deleted: 600_000, ..Counts::default() };
    halts(&Situation { planned, ..calm() }, "makes 585.9 KiB in 24 hours; the budget of this pair is 488.3 KiB. If");
}

#[test]
fn a_small_library_may_lose_a_few_files() {
    let small = Situation { base_keys: 5, base_bytes: 5_000, watched: source(4, 1), ..calm() };
    proceeds(&Situation { planned: deleting(1), ..small });
}

#[test]
fn losing_more_than_half_halts_even_below_the_floor() {
    let small = Situation { base_keys: 40, base_bytes: 40_000, watched: source(15, 25), ..calm() };
    halts(&Situation { planned: deleting(25), ..small }, "Only 15 of 40 keys");
}

#[test]
fn renames_do_not_count() {
    let planned = Counts { deletes: 4_000, rename_deletes: 4_000, copies: 4_000, ..Counts::default() };
    proceeds(&Situation {
        planned,
        watched: vec![Watched { renamed: 4_000, ..side("the source", 1_000, 0) }],
        ..calm()
    });
}

#[test]
fn max_delete_replaces_the_budget() {
    let budget = Budget::ThisRun(Limit::Keys(10));
    halts(&Situation { planned: deleting(11), budget, ..calm() }, "--max-delete allows 10");
    let budget = Budget::ThisRun(Limit::Percent(50.0));
    proceeds(&Situation { planned: deleting(2_500), watched: source(2_500, 2_500), budget, ..calm() });
}

#[test]
fn overwriting_more_than_half_in_a_day_halts() {
    let planned = Counts { overwrites: 2_501, ..Counts::default() };
    halts(&Situation { planned, ..calm() }, "overwrites");
    proceeds(&Situation { planned: Counts { overwrites: 2_500, ..Counts::default() }, ..calm() });
}

/// Two sides where so many keys changed at the first and so many at the second one.
fn changed(base_keys: u64, first: u64, second: u64) -> Situation {
    let side = |name: &str, overwrites| Watched { overwrites, ..side(name, base_keys, 0) };
    Situation {
        mode: Mode::TwoWay,
        planned: Counts { overwrites: first + second, ..Counts::default() },
        base_keys,
        base_bytes: base_keys * 1_000,
        watched: vec![side("/media", first), side("s3://b", second)],
        ..calm()
    }
}

#[test]
fn either_side_of_a_two_way_pair_that_changed_much_halts() {
    proceeds(&changed(5_000, 500, 0));
    proceeds(&changed(5_000, 200, 300));
    proceeds(&changed(100, 50, 0));
    halts(&changed(5_000, 501, 0), "overwrites 501 keys with what changed at /media, which makes 501 in 24 hours");
    halts(&changed(5_000, 0, 501), "what changed at s3://b, which");
    halts(&changed(5_000, 200, 301), "what changed at /media (200) and at s3://b (301), which");
    halts(&changed(100, 51, 0), "51 of 100 keys have other content at /media");
    let spent = Spent { overwrites: 480, ..Spent::default() };
    halts(&Situation { spent, ..changed(5_000, 0, 21) }, "makes 501 in 24 hours; the budget of this pair is 500");
    // A small library that something encrypted as a whole is below every floor in keys.
    halts(&changed(12, 0, 7), "7 of 12 keys have other content at s3://b than at the last run");
    proceeds(&changed(12, 6, 0));
    proceeds(&changed(9, 9, 0));
}

#[test]
fn max_overwrite_replaces_the_budget() {
    let limited = |limit, situation| Situation { overwrites: Budget::ThisRun(limit), ..situation };
    halts(&limited(Limit::Keys(10), changed(5_000, 11, 0)), "--max-overwrite allows 10");
    halts(&limited(Limit::Percent(50.0), changed(12, 0, 7)), "--max-overwrite allows 6");
    proceeds(&limited(Limit::Keys(5_000), changed(5_000, 5_000, 0)));
    let planned = Counts { overwrites: 501, ..Counts::default() };
    let one_way = Situation { planned, base_keys: 900, watched: source(900, 0), ..calm() };
    halts(&one_way, "give --max-overwrite");
    proceeds(&limited(Limit::Percent(100.0), one_way));
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
    let unknown = Situation { base_keys: 0, base_bytes: 0, watched: source(0, 0), ..calm() };
    halts(&Situation { strangers, ..unknown }, "s3://b");
}

#[test]
fn either_side_of_a_two_way_pair_that_was_emptied_or_shrank_halts() {
    for lost in [0, 1] {
        let mut watched = vec![side("/media", 5_000, 0), side("s3://b", 5_000, 0)];
        let name = watched[lost].name.clone();
        watched[lost] = side(&name, 0, 5_000);
        halts(&Situation { mode: Mode::TwoWay, watched: watched.clone(), ..calm() }, &format!("{name} is empty"));
        watched[lost] = side(&name, 2_000, 3_000);
        let message = format!("Only 2000 of 5000 keys of the last run are still at {name}");
        halts(&Situation { mode: Mode::TwoWay, watched: watched.clone(), ..calm() }, &message);
        // What the other side renamed hides nothing.
        watched[1 - lost].renamed = 4_000;
        halts(&Situation { mode: Mode::TwoWay, watched, ..calm() }, &message);
    }
}

#[test]
fn a_mirror_that_is_turned_around_asks() {
    let turned = || Situation { mode: Mode::Mirror, turned: Some("s3://live".to_owned()), ..calm() };
    let overwriting = Counts { overwrites: 1, ..Counts::default() };
    halts(&Situation { planned: overwriting, ..turned() }, "s3://live is what mirrors of this pair were made from");
    proceeds(&Situation { planned: Counts::default(), ..turned() });
}

#[test]
fn who_lost_what_a_mirror_has_is_told_how_to_get_it_back_before_what_takes_it_away() {
    let way = "mediasync mirror /srv/backup live: --no-delete";
    let shrunk = Situation { planned: deleting(3_000), watched: source(2_000, 3_000), ..calm() };
    let empty = Situation { planned: deleting(5_000), watched: source(0, 5_000), ..calm() };
    for lost in [shrunk, empty] {
        let halted = |mode| match check(&Situation { mode, mirror_approved: true, ..lost.clone() }) {
            GuardVerdict::Halt(message) => message,
            GuardVerdict::Proceed => panic!("it proceeds"),
        };
        let message = halted(Mode::Mirror);
        assert!(message.find(way) < message.find("meant"), "{message}");
        assert!(message.contains(way) && !halted(Mode::CopyAndDelete).contains("mirror"), "{message}");
    }
}
