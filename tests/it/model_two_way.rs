//! The model test of two-way pairs: random edits at both sides, faults and deaths at every call, every policy.
//!
//! After every cycle, whatever happened in it and whatever the policy is: all that a side held when it began is still at
//! that side, under some name or in its trash. So nothing that a user wrote is ever gone from both sides; what was
//! written once, and what no user replaced or deleted, is besides looked for at all times. After quiet both sides are
//! equal but for the conflicts that are told, each content has at most one conflict copy of a key, and a further run
//! has nothing to do.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use mediasync::model::{Key, Replaced, TrashRule};
use mediasync::plan::{Budget, Limit, Mode, OnConflict};
use mediasync::replica::memory::{DEATH, Memory};
use mediasync::sync::Ending;
use proptest::prelude::*;

use crate::model::{Trouble, any_key, any_trouble, cases, styling, trouble_at};
use crate::support::bench::{Bench, key};

#[derive(Debug, Clone)]
enum Edit {
    /// A text of its own.
    Write(Key),
    /// A text that others write too.
    WriteCommon(Key, &'static str),
    Touch(Key),
    Remove(Key),
    Rename(Key, Key),
}

#[derive(Debug, Clone)]
enum Step {
    At(Where, Edit),
    LoseManifest,
    /// Other header rules, or none (0).
    Rules(u8),
}

#[derive(Debug, Clone, Copy)]
enum Where {
    Left,
    Right,
}

fn any_where() -> impl Strategy<Value = Where> {
    prop::sample::select(vec![Where::Left, Where::Right])
}

fn any_step() -> impl Strategy<Value = Step> {
    let common = prop::sample::select(vec!["", "1", "same"]);
    let edit = prop_oneof![
        6 => any_key().prop_map(Edit::Write),
        2 => (any_key(), common).prop_map(|(key, text)| Edit::WriteCommon(key, text)),
        2 => any_key().prop_map(Edit::Touch),
        4 => any_key().prop_map(Edit::Remove),
        2 => (any_key(), any_key()).prop_map(|(a, b)| Edit::Rename(a, b)),
    ];
    prop_oneof![
        20 => (any_where(), edit).prop_map(|(at, edit)| Step::At(at, edit)),
        1 => Just(Step::LoseManifest),
        2 => (0..3_u8).prop_map(Step::Rules),
    ]
}

struct World {
    bench: Bench,
    written: u32,
    /// Texts of their own that no user replaced or deleted.
    alive: BTreeSet<Bytes>,
    /// How often each text got a time: a copy has its time in its name, and one that a killed run made may be of another.
    times: BTreeMap<Bytes, u32>,
}

impl World {
    fn new(on_conflict: OnConflict) -> Self {
        let mut bench = Bench::new(Mode::TwoWay);
        bench.policy.on_conflict = on_conflict;
        // As every two-way job has it.
        bench.trash = TrashRule { replaced: Replaced::All, ..TrashRule::default() };
        // Budgets and the guard of emptied sides have tests of their own; here everything may change.
        bench.budget = Budget::ThisRun(Limit::Keys(u64::MAX));
        bench.overwrites = Budget::ThisRun(Limit::Keys(u64::MAX));
        bench.source.write(&key("~stays"), "always here");
        bench.dest.write(&key("~stays"), "always here");
        Self { bench, written: 0, alive: BTreeSet::new(), times: BTreeMap::new() }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::LoseManifest => self.bench.forget_manifest(),
            Step::Rules(which) => self.bench.styling = styling(*which),
            Step::At(at, edit) => {
                let side = match at {
                    Where::Left => self.bench.source.clone(),
                    Where::Right => self.bench.dest.clone(),
                };
                self.edit(&side, edit);
            }
        }
    }

    fn edit(&mut self, side: &Memory, edit: &Edit) {
        let mut there = side.contents();
        let timed = match edit {
            Edit::WriteCommon(_, text) => Some(Bytes::from_static(text.as_bytes())),
            Edit::Touch(key) | Edit::Rename(key, _) => there.get(key).cloned(),
            Edit::Write(_) | Edit::Remove(_) => None,
        };
        if let Some(text) = timed {
            *self.times.entry(text).or_default() += 1;
        }
        match edit {
            Edit::Write(key) => {
                self.written += 1;
                let text = Bytes::from(format!("text {}", self.written));
                self.give_up(there.get(key));
                self.alive.insert(text.clone());
                self.times.insert(text.clone(), 1);
                side.write(key, text);
            }
            Edit::WriteCommon(key, text) => {
                self.give_up(there.get(key));
                side.write(key, *text);
            }
            Edit::Touch(key) => side.touch(key),
            Edit::Remove(key) => {
                self.give_up(there.get(key));
                side.remove(key);
            }
            Edit::Rename(from, to) if from != to => {
                if let Some(bytes) = there.remove(from) {
                    self.give_up(there.get(to));
                    side.remove(from);
                    side.write(to, bytes);
                }
            }
            Edit::Rename(..) => {}
        }
    }

    fn give_up(&mut self, text: Option<&Bytes>) {
        if let Some(text) = text {
            self.alive.remove(text);
        }
    }

    fn cycle(&mut self, trouble: Trouble, at: Where) {
        let (left, right) = (self.bench.source.contents(), self.bench.dest.contents());
        let side = match at {
            Where::Left => &self.bench.source,
            Where::Right => &self.bench.dest,
        };
        trouble_at(side, trouble);
        let ended = catch_unwind(AssertUnwindSafe(|| self.bench.try_run()));
        side.heal();
        if let Err(panic) = &ended {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            assert_eq!(text, Some(DEATH), "a panic that nobody planned");
        }
        let heard = self.bench.heard();
        let (mut there, told) = (BTreeSet::new(), format!("{trouble:?} {left:?} {right:?} {heard:?}"));
        for (side, before) in [(&self.bench.source, left), (&self.bench.dest, right)] {
            let trash = side.trash_contents();
            let now: BTreeSet<Bytes> = side.contents().into_values().chain(trash.into_values()).collect();
            for (key, bytes) in before {
                assert!(now.contains(&bytes), "{key}: {bytes:?} is gone from {side:?} and not in its trash: {told}");
            }
            there.extend(now);
        }
        assert!(self.alive.is_subset(&there), "{:?} is gone: {told}", self.alive.difference(&there));
    }

    /// No more trouble: a few cycles, and then both sides must agree.
    fn settle(&mut self) {
        for _ in 0..3 {
            self.cycle(Trouble::None, Where::Left);
        }
        let report = self.bench.try_run().unwrap();
        let heard = self.bench.heard();
        assert_eq!(report.ending, Ending::Finished);
        let open = report.planned.changes() + report.planned.records;
        assert_eq!((open, report.problem_count), (0, 0), "still something to do: {heard:?}");
        if matches!(self.bench.policy.on_conflict, OnConflict::SourceWins | OnConflict::DestWins | OnConflict::KeepBoth)
        {
            assert_eq!(report.conflict_count, 0, "{heard:?}");
        }
        let told: BTreeSet<Key> = heard.conflicts.into_iter().map(|conflict| conflict.key).collect();
        let agreed = |mut all: BTreeMap<Key, Bytes>| {
            all.retain(|key, _| !told.contains(key));
            all
        };
        assert_eq!(agreed(self.bench.source.contents()), agreed(self.bench.dest.contents()));
        let mut copies = BTreeSet::new();
        for (key, bytes) in self.bench.source.contents() {
            if let Some((stem, (_, ending))) = copied(&key) {
                let of = format!("{stem}{ending}");
                let is_timed_again = self.times.get(&bytes).is_some_and(|times| *times > 1);
                assert!(copies.insert((of, bytes)) || is_timed_again, "a second copy of one content: {key}");
            }
        }
    }
}

/// What stands before, in and behind the brackets of a conflict copy's name: `a` and `a.txt` have copies of their own.
fn copied(key: &Key) -> Option<(&str, (&str, &str))> {
    let (stem, rest) = key.as_str().split_once(" (conflict from ")?;
    Some((stem, rest.split_once(')')?))
}

#[test]
fn two_keys_may_have_a_copy_of_one_content_each() {
    let mut world = World::new(OnConflict::KeepBoth);
    for name in ["a.txt", "a"] {
        world.step(&Step::At(Where::Left, Edit::Write(key(name))));
        world.step(&Step::At(Where::Right, Edit::WriteCommon(key(name), "")));
        world.cycle(Trouble::None, Where::Left);
    }
    world.settle();
    let contents = world.bench.source.contents();
    let copies: Vec<&Key> = contents.keys().filter(|key| copied(key).is_some()).collect();
    assert_eq!(copies.len(), 2, "{copies:?}");
}

type Round = (Vec<Step>, Trouble, Where);

fn any_round() -> impl Strategy<Value = Round> {
    (prop::collection::vec(any_step(), 0..8), any_trouble(), any_where())
}

fn any_policy() -> impl Strategy<Value = OnConflict> {
    prop::sample::select(vec![
        OnConflict::Report,
        OnConflict::SourceWins,
        OnConflict::DestWins,
        OnConflict::Newer,
        OnConflict::KeepBoth,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_at_two_sides_nothing_is_lost_and_they_meet(
        policy in any_policy(),
        rounds in prop::collection::vec(any_round(), 1..7),
    ) {
        let mut world = World::new(policy);
        for (steps, trouble, at) in &rounds {
            for step in steps {
                world.step(step);
            }
            world.cycle(*trouble, *at);
        }
        world.settle();
    }
}
