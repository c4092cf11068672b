//! The model test: random local edits, third-party edits, faults and deaths at every call, over many cycles.
//!
//! Safety is checked after every cycle, whatever happened in it: the source is never changed, and what a third party
//! put into the destination is never overwritten or deleted. After quiet, the destination equals the source in
//! everything that no third party claimed, and a further run has nothing to do.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use mediasync::model::{Key, Style, StyleRule, Styles};
use mediasync::plan::{Budget, Limit, Mode, OnConflict, Styling};
use mediasync::replica::memory::{DEATH, Fault, Memory};
use mediasync::replica::{Cause, Error};
use mediasync::sync::Ending;
use proptest::prelude::*;

use crate::support::bench::{Bench, key};

/// Few names and few contents, so that everything meets everything.
pub(crate) fn any_key() -> impl Strategy<Value = Key> {
    prop::sample::select(vec!["a", "a-b", "a/x", "a/y", "a.txt", "b", "b/c/d", "caf\u{e9}", "\u{1f600}", "z%20+#"])
        .prop_map(key)
}

fn any_content() -> impl Strategy<Value = Bytes> {
    prop::sample::select(vec!["", "1", "2", "one", "two", "longer content"])
        .prop_map(|text| Bytes::from_static(text.as_bytes()))
}

#[derive(Debug, Clone)]
enum Edit {
    Write(Key, Bytes),
    Touch(Key),
    Remove(Key),
    Rename(Key, Key),
    ForeignWrite(Key, Bytes),
    ForeignRemove(Key),
    LoseManifest,
    /// Other header rules, or none (0).
    Rules(u8),
}

fn any_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        6 => (any_key(), any_content()).prop_map(|(k, c)| Edit::Write(k, c)),
        2 => any_key().prop_map(Edit::Touch),
        3 => any_key().prop_map(Edit::Remove),
        2 => (any_key(), any_key()).prop_map(|(a, b)| Edit::Rename(a, b)),
        2 => (any_key(), any_content()).prop_map(|(k, c)| Edit::ForeignWrite(k, c)),
        1 => any_key().prop_map(Edit::ForeignRemove),
        1 => Just(Edit::LoseManifest),
        2 => (0..3_u8).prop_map(Edit::Rules),
    ]
}

/// What happens at the nth call of a cycle.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trouble {
    None,
    FailBefore(usize),
    FailAfter(usize),
    FailEverySecond,
    DieBefore(usize),
    DieAfter(usize),
}

pub(crate) fn any_trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        3 => Just(Trouble::None),
        1 => (0..30_usize).prop_map(Trouble::FailBefore),
        1 => (0..30_usize).prop_map(Trouble::FailAfter),
        1 => Just(Trouble::FailEverySecond),
        2 => (0..30_usize).prop_map(Trouble::DieBefore),
        2 => (0..30_usize).prop_map(Trouble::DieAfter),
    ]
}

pub(crate) fn trouble_at(replica: &Memory, trouble: Trouble) {
    let mut calls = 0;
    let failed = Error::new(Cause::Transient { throttled: false, after: None }, "connection reset");
    replica.inject(move |_| {
        let now = calls;
        calls += 1;
        match trouble {
            Trouble::FailBefore(nth) if nth == now => Fault::Before(failed.clone()),
            Trouble::FailAfter(nth) if nth == now => Fault::After(failed.clone()),
            Trouble::FailEverySecond if now % 2 == 1 => Fault::After(failed.clone()),
            Trouble::DieBefore(nth) if nth == now => Fault::DieBefore,
            Trouble::DieAfter(nth) if nth == now => Fault::DieAfter,
            _ => Fault::None,
        }
    });
}

/// Header rules for some of the keys.
pub(crate) fn styling(which: u8) -> Styling {
    let style = Style { cache_control: Some(format!("max-age={which}")), ..Style::default() };
    let rule = |glob: &str| StyleRule { glob: glob.to_owned(), style: style.clone() };
    let rules: Vec<StyleRule> = ["a*", "b/"].into_iter().map(rule).filter(|_| which > 0).collect();
    Styling { rules: Arc::new(Styles::new(&rules).unwrap()), ..Styling::default() }
}

struct World {
    bench: Bench,
    /// What third parties put into the destination and nobody agreed to yet.
    foreign: BTreeMap<Key, Bytes>,
    /// What the destination last held under each key that was not foreign.
    ours: BTreeMap<Key, Bytes>,
    /// Keys with bytes that were the same on both sides in a cycle that may have died before it adopted them: they
    /// may be extras now.
    unclear: BTreeSet<Key>,
    /// Keys that third parties ever wrote: the same bytes have the same version here, with other headers, which only
    /// `--repair` sees.
    touched: BTreeSet<Key>,
}

impl World {
    fn new() -> Self {
        let mut bench = Bench::new(Mode::CopyAndDelete);
        // Budgets and the emptied-source guard have tests of their own; here everything may change.
        bench.budget = Budget::ThisRun(Limit::Keys(u64::MAX));
        bench.overwrites = Budget::ThisRun(Limit::Keys(u64::MAX));
        bench.source.write(&key("~stays"), "always here");
        Self {
            bench,
            foreign: BTreeMap::new(),
            ours: BTreeMap::new(),
            unclear: BTreeSet::new(),
            touched: BTreeSet::new(),
        }
    }

    fn edit(&mut self, edit: &Edit) {
        let Bench { source, dest, .. } = &self.bench;
        match edit {
            Edit::Write(key, bytes) => source.write(key, bytes.clone()),
            Edit::Touch(key) => source.touch(key),
            Edit::Remove(key) => source.remove(key),
            Edit::Rename(from, to) => {
                if let Some(bytes) = source.contents().remove(from) {
                    source.remove(from);
                    source.write(to, bytes);
                }
            }
            Edit::ForeignWrite(key, bytes) => {
                dest.write(key, bytes.clone());
                self.touched.insert(key.clone());
                // Bytes that both sides once agreed on are no claim: they can't be told from ours.
                if self.ours.get(key) == Some(bytes) {
                    self.foreign.remove(key);
                    self.unclear.insert(key.clone());
                } else {
                    self.foreign.insert(key.clone(), bytes.clone());
                }
            }
            Edit::ForeignRemove(key) => {
                dest.remove(key);
                self.foreign.remove(key);
            }
            Edit::Rules(which) => self.bench.styling = styling(*which),
            Edit::LoseManifest => {
                // Without a base, everything at the destination may be somebody else's.
                self.bench.forget_manifest();
                self.foreign = self.bench.dest.contents();
                self.ours.clear();
            }
        }
    }

    fn cycle(&mut self, trouble: Trouble, at_source: bool) {
        // Where both sides have the same bytes, a run may adopt them; from then on they are ours.
        let source = self.bench.source.contents();
        let agreed = self.foreign.extract_if(.., |key, bytes| source.get(key) == Some(bytes));
        let agreed: Vec<Key> = agreed.map(|(key, _)| key).collect();
        if matches!(trouble, Trouble::None) {
            let dest = self.bench.dest.contents();
            self.unclear.retain(|key| source.get(key) != dest.get(key));
        } else {
            self.unclear.extend(agreed);
        }
        let side = if at_source { &self.bench.source } else { &self.bench.dest };
        trouble_at(side, trouble);
        let ended = catch_unwind(AssertUnwindSafe(|| self.bench.try_run()));
        side.heal();
        if let Err(panic) = &ended {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            assert_eq!(text, Some(DEATH), "a panic that nobody planned");
        }
        assert_eq!(self.bench.source.contents(), source, "a push changed the source");
        let dest = self.bench.dest.contents();
        for (key, bytes) in &self.foreign {
            assert_eq!(dest.get(key), Some(bytes), "{key}: a third party's content is gone ({:?})", self.bench.heard());
        }
        self.ours.extend(dest.into_iter().filter(|(key, _)| !self.foreign.contains_key(key)));
        self.bench.heard();
    }

    /// No more trouble: a few cycles, and then both sides must agree.
    fn settle(&mut self) {
        for _ in 0..3 {
            self.cycle(Trouble::None, true);
        }
        let report = self.bench.try_run().unwrap();
        assert_eq!(report.ending, Ending::Finished);
        assert_eq!(
            report.planned.changes() + report.planned.records,
            0,
            "still something to do: {:?}",
            self.bench.heard()
        );
        let ours = |mut all: BTreeMap<Key, Bytes>| {
            all.retain(|key, _| !self.foreign.contains_key(key) && !self.unclear.contains(key));
            all
        };
        let agreed = ours(self.bench.dest.contents());
        assert_eq!(ours(self.bench.source.contents()), agreed, "{:?}", self.bench.heard());
        for key in agreed.into_keys() {
            let (ruled, has) = (self.bench.styling.rules.of(&key), self.bench.dest.attributes(&key));
            let (said, has) = (&ruled.style.cache_control, has.and_then(|attributes| attributes.cache_control));
            assert!(
                said.is_none() || *said == has || self.touched.contains(&key),
                "{key} has {has:?} and not {said:?}"
            );
        }
    }
}

type Round = (Vec<Edit>, Trouble, bool);

fn any_round() -> impl Strategy<Value = Round> {
    (prop::collection::vec(any_edit(), 0..8), any_trouble(), any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_nothing_is_lost_and_both_sides_meet(rounds in prop::collection::vec(any_round(), 1..7)) {
        let mut world = World::new();
        for (edits, trouble, at_source) in &rounds {
            for edit in edits {
                world.edit(edit);
            }
            world.cycle(*trouble, *at_source);
        }
        world.settle();
        // And the source wins wherever a person says so.
        world.bench.policy.on_conflict = OnConflict::SourceWins;
        world.bench.policy.mode = Mode::Mirror;
        world.bench.manifest().approve_mirror().unwrap();
        world.bench.try_run().unwrap();
        prop_assert_eq!(world.bench.source.contents(), world.bench.dest.contents());
    }
}

/// `MEDIASYNC_MODEL_CASES` for long runs.
pub(crate) fn cases() -> u32 {
    std::env::var("MEDIASYNC_MODEL_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(150)
}
