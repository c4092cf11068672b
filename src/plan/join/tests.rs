//! The join of streams, against a join of maps too.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::model::{Digests, Entry, ProblemKind, Readable, Version};

type Input<T> = std::vec::IntoIter<Result<T, String>>;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn entry(version: &str) -> Entry {
    Entry {
        size: 1,
        version: Version::new(version),
        modified_ns: None,
        digests: Digests::none(),
        readable: Readable::Yes,
    }
}

fn record(text: &str) -> BaseRecord {
    BaseRecord {
        key: key(text),
        size: 1,
        source: Version::new("s"),
        dest: Version::new("d"),
        digests: Digests::none(),
        lapsed: false,
        marks: crate::model::Marks::default(),
    }
}

fn present(keys: &[&str]) -> Vec<Item> {
    keys.iter().map(|k| Item::Present(key(k), entry("v"))).collect()
}

fn ended(mut items: Vec<Item>) -> Input<Item> {
    items.push(Item::End);
    items.into_iter().map(Ok).collect::<Vec<_>>().into_iter()
}

fn base(keys: &[&str]) -> Input<BaseRecord> {
    keys.iter().map(|k| Ok(record(k))).collect::<Vec<_>>().into_iter()
}

fn shape(presence: &Presence) -> char {
    match presence {
        Presence::Absent => '-',
        Presence::Present(_) => 'P',
        Presence::Unknown(_) => '?',
        Presence::Skipped(_) => 's',
    }
}

/// `key base source dest`, one line a triple.
fn run(source: Input<Item>, dest: Input<Item>, base: Input<BaseRecord>) -> Result<Vec<String>, JoinError<String>> {
    let mut lines = Vec::new();
    for joined in Join::new(source, dest, base) {
        match joined? {
            Joined::Triple(t) => {
                let b = if t.base.is_some() { 'B' } else { '-' };
                lines.push(format!("{} {b}{}{}", t.key, shape(&t.source), shape(&t.dest)));
            }
            Joined::Problem(problem) => lines.push(format!("problem {}", problem.message)),
            Joined::Skipped(side, reason) => lines.push(format!("skipped {side:?} {reason:?}")),
        }
    }
    Ok(lines)
}

#[test]
fn three_inputs_meet_key_by_key() {
    let lines =
        run(ended(present(&["a", "a-b", "a.txt", "a/x"])), ended(present(&["a", "a/x", "b"])), base(&["a/x", "c"]))
            .unwrap();
    assert_eq!(lines, ["a -PP", "a-b -P-", "a.txt -P-", "a/x BPP", "b --P", "c B--"]);
}

#[test]
fn an_input_without_its_end_is_an_error_and_no_absence() {
    let silent = present(&["a"]).into_iter().map(Ok).collect::<Vec<_>>().into_iter();
    let error = run(ended(present(&["a", "b"])), silent, base(&[])).unwrap_err();
    assert_eq!(error, JoinError::NoEnd { input: super::Input::Dest });
}

#[test]
fn a_failed_input_ends_the_join() {
    let failing = vec![Ok(Item::Present(key("a"), entry("v"))), Err("cut".to_owned())].into_iter();
    let error = run(ended(present(&["a", "b"])), failing, base(&["b"])).unwrap_err();
    assert_eq!(error, JoinError::Input("cut".to_owned()));
}

#[test]
fn descents_and_repetitions_are_told_apart() {
    let error = run(ended(vec![]), ended(present(&["a/b", "a-b"])), base(&[])).unwrap_err();
    assert!(matches!(error, JoinError::Unordered { input: super::Input::Dest, .. }), "{error:?}");
    let error = run(ended(present(&["a", "a"])), ended(vec![]), base(&[])).unwrap_err();
    assert!(matches!(error, JoinError::Repeated { input: super::Input::Source, .. }), "{error:?}");
    // Directories by plain name: what a careless walk would yield.
    let error = run(ended(present(&["a/x", "a-b"])), ended(vec![]), base(&[])).unwrap_err();
    assert!(matches!(error, JoinError::Unordered { .. }), "{error:?}");
}

#[test]
fn an_unreadable_directory_covers_its_keys_and_no_others() {
    let problem = Problem::of(&key("d"), ProblemKind::Unreadable, "d: permission denied");
    let source = vec![
        Item::Present(key("d-a"), entry("v")),
        Item::Unknown(Reach::Below(key("d")), problem),
        Item::Present(key("e"), entry("v")),
    ];
    let lines = run(ended(source), ended(present(&["d", "d-a", "d/x", "d0"])), base(&["d/x", "d/y", "e"])).unwrap();
    assert_eq!(lines, ["d --P", "d-a -PP", "problem d: permission denied", "d/x B?P", "d/y B?-", "d0 --P", "e BP-"]);
}

#[test]
fn skipped_keys_and_ranges_are_neither_present_nor_absent() {
    let source = vec![
        Item::Skipped(Reach::Key(key("link")), SkipReason::Symlink),
        Item::Skipped(Reach::Below(key("link")), SkipReason::Symlink),
    ];
    let lines = run(ended(source), ended(present(&["link", "link/x"])), base(&["link"])).unwrap();
    assert_eq!(lines, ["skipped Source Symlink", "link BsP", "link/x -sP"]);
}

proptest! {
    #[test]
    fn the_join_equals_a_join_of_maps(
        source in prop::collection::btree_set("[ab/-]{1,4}", 0..12),
        dest in prop::collection::btree_set("[ab/-]{1,4}", 0..12),
        base_keys in prop::collection::btree_set("[ab/-]{1,4}", 0..12),
    ) {
        let texts = |set: &BTreeSet<String>| set.iter().map(|k| Item::Present(key(k), entry("v"))).collect::<Vec<_>>();
        let records: Vec<_> = base_keys.iter().map(|k| Ok(record(k))).collect();
        let lines = run(ended(texts(&source)), ended(texts(&dest)), records.into_iter()).unwrap();
        let mut expected = BTreeMap::new();
        for k in source.iter().chain(&dest).chain(&base_keys) {
            let mark = |set: &BTreeSet<String>, c| if set.contains(k) { c } else { '-' };
            expected.insert(k.clone(), format!("{k} {}{}{}", mark(&base_keys, 'B'), mark(&source, 'P'), mark(&dest, 'P')));
        }
        prop_assert_eq!(lines, expected.into_values().collect::<Vec<_>>());
    }
}
