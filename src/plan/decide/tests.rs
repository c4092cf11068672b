//! The tables of ARCHITECTURE.md, cell by cell.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test names what it looks at")]

use super::*;
use crate::model::{Digest, DigestKind, Key, ReadCost, SkipReason, Version};
use crate::plan::{Compare, Known};

/// What one side holds, in the words of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    /// Nothing.
    None,
    /// The version of the base.
    Unchanged,
    /// Another version with the content of the base.
    Touched,
    /// Content `x`.
    X,
    /// Content `y`.
    Y,
    Unknown,
    Skipped,
}
use Cell::{Skipped, Touched, Unchanged, Unknown, X, Y};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    None,
    Present,
    Lapsed,
}

fn key() -> Key {
    Key::new("k").unwrap()
}

fn content(letter: &str) -> Digests {
    [Digest::new(DigestKind::Blake3, letter)].into_iter().collect()
}

/// Entries carry their digests, so that no evidence is needed.
fn presence(cell: Cell, side: &str) -> Presence {
    let (version, letter) = match cell {
        Cell::None => return Presence::Absent,
        Unchanged => (format!("{side}0"), "base"),
        Touched => (format!("{side}1"), "base"),
        X => (format!("{side}x"), "x"),
        Y => (format!("{side}y"), "y"),
        Unknown => return Presence::Unknown(Problem::of(&key(), ProblemKind::Unreadable, "no")),
        Skipped => return Presence::Skipped(SkipReason::Symlink),
    };
    Presence::Present(Entry {
        size: 7,
        version: Version::new(version),
        modified_ns: None,
        digests: content(letter),
        readable: Readable::Yes,
    })
}

fn base(base: Base) -> Option<BaseRecord> {
    (base != Base::None).then(|| BaseRecord {
        key: key(),
        size: 7,
        source: Version::new("s0"),
        dest: Version::new("d0"),
        digests: content("base"),
        lapsed: base == Base::Lapsed,
        marks: crate::model::Marks::default(),
    })
}

fn policy(mode: Mode) -> Policy {
    Policy { mode, on_conflict: OnConflict::Report, compare: Compare::Metadata }
}

fn evidence() -> Evidence {
    Evidence { source: Known::nothing(ReadCost::Cheap), dest: Known::nothing(ReadCost::Transfer) }
}

fn decided(triple: &Triple, policy: Policy) -> Decision {
    let evidence = evidence();
    let conflict_name = |_: &Entry| Key::new("k (conflict)").ok();
    let context =
        Context { policy, scope: Verdict::In, evidence: &evidence, refuses: &|_| None, conflict_name: &conflict_name };
    decide(triple, &context)
}

/// The decision as one word.
fn word(decision: &Decision) -> String {
    match decision {
        Decision::InSync => "nothing".into(),
        Decision::Do(action) => {
            let verb = match &action.verb {
                Verb::Create => "create",
                Verb::Overwrite => "overwrite",
                Verb::Copy { .. } => "copy",
                Verb::KeepBoth { .. } => "keep both",
                Verb::Delete => "delete",
                Verb::Restyle { .. } => "restyle",
                Verb::Adopt => "adopt",
                Verb::Touch => "record",
                Verb::Forget => "forget",
                Verb::Lapse => "lapse",
            };
            match action.side {
                Side::Dest => verb.to_owned(),
                Side::Source => format!("{verb} at left"),
            }
        }
        Decision::Need(need) => format!("{need:?}"),
        Decision::Conflict(_) => "conflict".into(),
        Decision::Problem(_) => "problem".into(),
        Decision::Unknown => "unknown".into(),
        Decision::Extra => "extra".into(),
        Decision::Kept => "kept".into(),
        Decision::OutOfScope => "out of scope".into(),
    }
}

fn ask(base_is: Base, source: Cell, dest: Cell, policy: Policy) -> String {
    let triple = Triple { key: key(), base: base(base_is), source: presence(source, "s"), dest: presence(dest, "d") };
    word(&decided(&triple, policy))
}

#[test]
fn the_one_way_table() {
    let none = Cell::None;
    let rows: &[(Base, Cell, Cell, &str, &str, &str)] = &[
        // base, source, dest, copy, copy and delete, mirror
        (Base::None, X, none, "create", "create", "create"),
        (Base::None, none, X, "extra", "extra", "delete"),
        (Base::None, X, X, "adopt", "adopt", "adopt"),
        (Base::None, X, Y, "conflict", "conflict", "overwrite"),
        (Base::None, none, none, "nothing", "nothing", "nothing"),
        (Base::Present, Unchanged, Unchanged, "nothing", "nothing", "nothing"),
        (Base::Present, Touched, Unchanged, "record", "record", "record"),
        (Base::Present, Unchanged, Touched, "record", "record", "record"),
        (Base::Present, X, Unchanged, "overwrite", "overwrite", "overwrite"),
        (Base::Present, X, Touched, "overwrite", "overwrite", "overwrite"),
        (Base::Present, Unchanged, X, "conflict", "conflict", "overwrite"),
        (Base::Present, Touched, X, "conflict", "conflict", "overwrite"),
        (Base::Present, Unchanged, none, "create", "create", "create"),
        (Base::Present, X, none, "create", "create", "create"),
        (Base::Present, none, Unchanged, "kept", "delete", "delete"),
        (Base::Present, none, Touched, "kept", "delete", "delete"),
        (Base::Present, none, X, "kept", "conflict", "delete"),
        (Base::Present, none, none, "forget", "forget", "forget"),
        (Base::Present, X, X, "adopt", "adopt", "adopt"),
        (Base::Present, X, Y, "conflict", "conflict", "overwrite"),
        // A lapsed base saves hashing and proves no deletion.
        (Base::Lapsed, Unchanged, Unchanged, "record", "record", "record"),
        (Base::Lapsed, X, Unchanged, "overwrite", "overwrite", "overwrite"),
        (Base::Lapsed, none, Unchanged, "extra", "extra", "delete"),
        (Base::Lapsed, Unchanged, none, "create", "create", "create"),
        (Base::Lapsed, none, none, "forget", "forget", "forget"),
        // Unknown is never absent.
        (Base::Present, Unknown, Unchanged, "unknown", "unknown", "unknown"),
        (Base::Present, none, Unknown, "unknown", "unknown", "unknown"),
        (Base::None, Unknown, X, "unknown", "unknown", "unknown"),
        (Base::None, X, Unknown, "unknown", "unknown", "unknown"),
        (Base::Present, Skipped, Unchanged, "lapse", "lapse", "lapse"),
        (Base::Lapsed, Skipped, Unchanged, "out of scope", "out of scope", "out of scope"),
        (Base::None, Skipped, X, "out of scope", "out of scope", "out of scope"),
    ];
    for (base, source, dest, copy, delete, mirror) in rows {
        let row = format!("{base:?} {source:?} {dest:?}");
        assert_eq!(ask(*base, *source, *dest, policy(Mode::Copy)), *copy, "{row} copy");
        assert_eq!(ask(*base, *source, *dest, policy(Mode::CopyAndDelete)), *delete, "{row} delete");
        assert_eq!(ask(*base, *source, *dest, policy(Mode::Mirror)), *mirror, "{row} mirror");
    }
}

fn two_way(on_conflict: OnConflict) -> Policy {
    Policy { on_conflict, ..policy(Mode::TwoWay) }
}

const POLICIES: [OnConflict; 5] =
    [OnConflict::Report, OnConflict::SourceWins, OnConflict::DestWins, OnConflict::Newer, OnConflict::KeepBoth];

/// What policies do not touch.
#[test]
fn the_two_way_table_and_its_mirror_image() {
    let none = Cell::None;
    let rows: &[(Base, Cell, Cell, &str, &str)] = &[
        // base, left, right, decision, decision with the sides swapped
        (Base::None, X, none, "create", "create at left"),
        (Base::None, X, X, "adopt", "adopt"),
        (Base::None, none, none, "nothing", "nothing"),
        (Base::Present, Unchanged, Unchanged, "nothing", "nothing"),
        (Base::Present, X, Unchanged, "overwrite", "overwrite at left"),
        (Base::Present, X, Touched, "overwrite", "overwrite at left"),
        (Base::Present, Touched, Unchanged, "record", "record"),
        (Base::Present, Touched, Touched, "record", "record"),
        (Base::Present, none, Unchanged, "delete", "delete at left"),
        (Base::Present, none, Touched, "delete", "delete at left"),
        (Base::Present, none, none, "forget", "forget"),
        (Base::Present, X, X, "adopt", "adopt"),
        // A lapsed base saves hashing and proves no deletion.
        (Base::Lapsed, Unchanged, Unchanged, "record", "record"),
        (Base::Lapsed, none, Unchanged, "create at left", "create"),
        (Base::Lapsed, none, X, "create at left", "create"),
        (Base::Lapsed, none, none, "forget", "forget"),
        (Base::Lapsed, X, Unchanged, "overwrite", "overwrite at left"),
        // Unknown is never absent.
        (Base::Present, Unknown, X, "unknown", "unknown"),
        (Base::Present, Unknown, Unchanged, "unknown", "unknown"),
        (Base::Present, Unknown, none, "unknown", "unknown"),
        (Base::None, Unknown, X, "unknown", "unknown"),
        (Base::Present, Skipped, Unchanged, "lapse", "lapse"),
        (Base::Present, Skipped, none, "lapse", "lapse"),
    ];
    for (base, left, right, expected, swapped) in rows {
        let row = format!("{base:?} {left:?} {right:?}");
        for on_conflict in POLICIES {
            let policy = two_way(on_conflict);
            assert_eq!(ask(*base, *left, *right, policy), *expected, "{row} {on_conflict:?}");
            assert_eq!(ask(*base, *right, *left, policy), *swapped, "{row} swapped {on_conflict:?}");
        }
    }
}

/// Both sides changed, or one changed what the other one deleted.
#[test]
fn the_two_way_table_of_conflicts_by_policy_and_its_mirror_image() {
    let none = Cell::None;
    let rows: &[(Base, Cell, Cell, [&str; 5])] = &[
        // base, left, right; report, source, destination, newer (asks for times first), keep both
        (Base::None, X, Y, ["conflict", "overwrite", "overwrite at left", "LookUp(Dest)", "keep both"]),
        (Base::Present, X, Y, ["conflict", "overwrite", "overwrite at left", "LookUp(Dest)", "keep both"]),
        (Base::Lapsed, X, Y, ["conflict", "overwrite", "overwrite at left", "LookUp(Dest)", "keep both"]),
        (Base::Present, X, none, ["conflict", "create", "delete at left", "create", "create"]),
        (Base::Present, none, X, ["conflict", "delete", "create at left", "create at left", "create at left"]),
    ];
    for (base, left, right, expected) in rows {
        for (on_conflict, expected) in POLICIES.into_iter().zip(expected) {
            let row = format!("{base:?} {left:?} {right:?} {on_conflict:?}");
            assert_eq!(ask(*base, *left, *right, two_way(on_conflict)), *expected, "{row}");
            // With the sides swapped: who wins is a side, not a content.
            let swapped = match (on_conflict, *expected) {
                (OnConflict::SourceWins, "create") => "delete",
                (OnConflict::DestWins, "create at left") => "delete at left",
                (OnConflict::SourceWins, "delete") | (_, "create at left") => "create",
                (OnConflict::DestWins, "delete at left") | (_, "create") => "create at left",
                (_, same) => same,
            };
            assert_eq!(ask(*base, *right, *left, two_way(on_conflict)), swapped, "{row} swapped");
        }
    }
}

#[test]
fn what_wins_over_a_change_says_so_and_a_kept_content_gets_its_name() {
    let reason = |on_conflict, left, right| {
        let triple =
            Triple { key: key(), base: base(Base::Present), source: presence(left, "s"), dest: presence(right, "d") };
        match decided(&triple, two_way(on_conflict)) {
            Decision::Do(action) => (action.side, action.reason, action.verb),
            other => panic!("{other:?}"),
        }
    };
    for (policy, side) in [(OnConflict::SourceWins, Side::Dest), (OnConflict::DestWins, Side::Source)] {
        assert_eq!(reason(policy, X, Y), (side, Reason::OverwritesChange, Verb::Overwrite));
    }
    assert_eq!(reason(OnConflict::SourceWins, Cell::None, Y), (Side::Dest, Reason::DeletesChange, Verb::Delete));
    assert_eq!(reason(OnConflict::DestWins, X, Cell::None), (Side::Source, Reason::DeletesChange, Verb::Delete));
    let kept = Verb::KeepBoth { kept_as: Key::new("k (conflict)").unwrap() };
    assert_eq!(reason(OnConflict::KeepBoth, X, Y), (Side::Dest, Reason::BothKept, kept));
}

#[test]
fn newer_looks_a_bucket_up_and_decides_only_what_times_tell() {
    const SECOND: i64 = 1_000_000_000;
    let at = |cell, side: &str, modified_ns| match presence(cell, side) {
        Presence::Present(entry) => Presence::Present(Entry { modified_ns, ..entry }),
        other => other,
    };
    let step = |left, listed, looked_up: Option<i64>| {
        let triple =
            Triple { key: key(), base: base(Base::Present), source: at(X, "s", left), dest: at(Y, "d", listed) };
        let mut evidence = evidence();
        if looked_up.is_some() {
            (evidence.dest.looked_up, evidence.dest.modified_ns) = (true, looked_up);
        }
        let context = Context {
            policy: two_way(OnConflict::Newer),
            scope: Verdict::In,
            evidence: &evidence,
            refuses: &|_| None,
            conflict_name: &|_| None,
        };
        word(&decide(&triple, &context))
    };
    // When it was stored says nothing while nobody asked when it was made.
    assert_eq!(step(Some(50 * SECOND), Some(99 * SECOND), None), "LookUp(Dest)");
    assert_eq!(step(Some(50 * SECOND), Some(99 * SECOND), Some(40 * SECOND)), "overwrite");
    assert_eq!(step(Some(50 * SECOND), Some(9 * SECOND), Some(60 * SECOND)), "overwrite at left");
    for close in [50 * SECOND, 50 * SECOND + 1, 52 * SECOND - 1, 48 * SECOND + 1] {
        assert_eq!(step(Some(50 * SECOND), None, Some(close)), "conflict", "{close}");
    }
    assert_eq!(step(Some(50 * SECOND), None, Some(52 * SECOND)), "overwrite at left");
    assert_eq!(step(Some(50 * SECOND), None, Some(48 * SECOND)), "overwrite");
    assert_eq!(step(None, None, Some(48 * SECOND)), "conflict");
}

#[test]
fn overwrite_lets_the_source_win() {
    for mode in [Mode::Copy, Mode::CopyAndDelete] {
        let policy = Policy { on_conflict: OnConflict::SourceWins, ..policy(mode) };
        assert_eq!(ask(Base::None, X, Y, policy), "overwrite");
        assert_eq!(ask(Base::Present, X, Y, policy), "overwrite");
        assert_eq!(ask(Base::Present, Unchanged, Y, policy), "overwrite");
        assert_eq!(ask(Base::None, X, X, policy), "adopt");
    }
    let policy = Policy { on_conflict: OnConflict::SourceWins, ..policy(Mode::CopyAndDelete) };
    assert_eq!(ask(Base::Present, Cell::None, X, policy), "delete");
}

#[test]
fn every_change_carries_the_version_that_was_seen() {
    let cells = [Cell::None, Unchanged, Touched, X, Y];
    for mode in [Mode::Copy, Mode::CopyAndDelete, Mode::Mirror, Mode::TwoWay] {
        for base_is in [Base::None, Base::Present, Base::Lapsed] {
            for (source, dest) in cells.iter().flat_map(|s| cells.iter().map(move |d| (*s, *d))) {
                let triple = Triple {
                    key: key(),
                    base: base(base_is),
                    source: presence(source, "s"),
                    dest: presence(dest, "d"),
                };
                let Decision::Do(action) = decided(&triple, policy(mode)) else { continue };
                if !action.verb.changes_a_replica() {
                    continue;
                }
                let there = match action.side {
                    Side::Source => triple.source.entry(),
                    Side::Dest => triple.dest.entry(),
                };
                let expected = there.map_or(Expect::Absent, |e| Expect::Version(e.version.clone()));
                assert_eq!(action.expect, expected, "{mode:?} {base_is:?} {source:?} {dest:?}");
            }
        }
    }
}

/// A local source and a bucket whose objects have ETags of a form.
fn bare(source_version: &str, etag: Option<&str>) -> Triple {
    let entry = |version: &str, digests| Entry {
        size: 7,
        version: Version::new(version),
        modified_ns: None,
        digests,
        readable: Readable::Yes,
    };
    let etag_digests = etag.and_then(Digest::from_etag).into_iter().collect();
    Triple {
        key: key(),
        base: None,
        source: Presence::Present(entry(source_version, Digests::none())),
        dest: Presence::Present(entry("etag", etag_digests)),
    }
}

fn step(triple: &Triple, evidence: &Evidence, compare: Compare) -> Decision {
    let policy = Policy { compare, ..policy(Mode::Copy) };
    decide(triple, &Context { policy, scope: Verdict::In, evidence, refuses: &|_| None, conflict_name: &|_| None })
}

#[test]
fn an_etag_of_md5_form_is_compared_before_any_request_is_made() {
    let md5 = "0cc175b9c0f1b6a831c399e269772661";
    let triple = bare("s1", Some(md5));
    let mut known = evidence();
    let Decision::Need(Need::Hash(Side::Source, want)) = step(&triple, &known, Compare::Metadata) else {
        panic!("hash first")
    };
    assert_eq!(want.kinds, [DigestKind::Md5]);
    known.source.digests =
        [Digest::new(DigestKind::Blake3, "b"), Digest::new(DigestKind::Md5, md5)].into_iter().collect();
    assert_eq!(word(&step(&triple, &known, Compare::Metadata)), "adopt");
}

#[test]
fn a_different_etag_is_looked_up_and_then_a_conflict_or_a_download() {
    let triple = bare("s1", Some("0cc175b9c0f1b6a831c399e269772661"));
    let mut known = evidence();
    known.source.digests =
        [Digest::new(DigestKind::Blake3, "b"), Digest::new(DigestKind::Md5, "m")].into_iter().collect();
    assert_eq!(step(&triple, &known, Compare::Metadata), Decision::Need(Need::LookUp(Side::Dest)));
    known.dest.looked_up = true;
    let Decision::Conflict(conflict) = step(&triple, &known, Compare::Metadata) else { panic!("cannot tell") };
    assert!(conflict.message.contains("--compare=download") && conflict.message.contains("--overwrite"));
    assert!(matches!(step(&triple, &known, Compare::Download), Decision::Need(Need::Hash(Side::Dest, _))));
    known.dest.digests = [Digest::new(DigestKind::Blake3, "b")].into_iter().collect();
    assert_eq!(word(&step(&triple, &known, Compare::Metadata)), "adopt");
}

#[test]
fn an_opaque_etag_is_looked_up_before_anything_is_hashed() {
    let triple = bare("s1", None);
    let mut known = evidence();
    assert_eq!(step(&triple, &known, Compare::Metadata), Decision::Need(Need::LookUp(Side::Dest)));
    known.dest.looked_up = true;
    known.dest.digests = [Digest::new(DigestKind::Blake3, "b")].into_iter().collect();
    assert!(matches!(step(&triple, &known, Compare::Metadata), Decision::Need(Need::Hash(Side::Source, _))));
}

#[test]
fn the_ladder_ends() {
    for etag in [None, Some("0cc175b9c0f1b6a831c399e269772661"), Some("0cc175b9c0f1b6a831c399e269772661-3")] {
        for compare in [Compare::Metadata, Compare::Download] {
            for based in [Base::None, Base::Present] {
                for gives_all in [true, false] {
                    let mut triple = bare("s1", etag);
                    triple.base = base(based);
                    ladder(&triple, compare, gives_all);
                }
            }
        }
    }
}

/// Climbs to the end; hashing gives all that is asked for, or only BLAKE3.
fn ladder(triple: &Triple, compare: Compare, gives_all: bool) {
    let mut known = evidence();
    for round in 0.. {
        assert!(round < 8, "{triple:?} {compare:?}: still asking");
        match step(triple, &known, compare) {
            Decision::Need(Need::LookUp(side)) => known.of_mut(side).looked_up = true,
            Decision::Need(Need::Hash(side, want)) => {
                let letter = if side == Side::Source { "1" } else { "2" };
                let kinds = want.kinds.iter().copied().filter(|_| gives_all).chain([DigestKind::Blake3]);
                let digests = kinds.map(|kind| Digest::new(kind, letter)).collect();
                let known = known.of_mut(side);
                known.digests.merge(&digests);
                known.hashed.push(want);
            }
            _ => return,
        }
    }
}

#[test]
fn a_key_that_the_destination_refuses_is_a_problem() {
    let triple = Triple { key: key(), base: None, source: presence(X, "s"), dest: Presence::Absent };
    let evidence = evidence();
    let refuses = |_| Some("too long".to_owned());
    let context = Context {
        policy: policy(Mode::Copy),
        scope: Verdict::In,
        evidence: &evidence,
        refuses: &refuses,
        conflict_name: &|_| None,
    };
    assert_eq!(word(&decide(&triple, &context)), "problem");
}

#[test]
fn archived_content_is_a_problem_only_when_its_bytes_are_needed() {
    let archived = |cell| match presence(cell, "s") {
        Presence::Present(entry) => Presence::Present(Entry { readable: Readable::Archived, ..entry }),
        other => other,
    };
    let triple = Triple { key: key(), base: None, source: archived(X), dest: Presence::Absent };
    assert_eq!(word(&decided(&triple, policy(Mode::Copy))), "problem");
    let triple =
        Triple { key: key(), base: base(Base::Present), source: archived(Unchanged), dest: presence(Unchanged, "d") };
    assert_eq!(word(&decided(&triple, policy(Mode::Copy))), "nothing");
}
