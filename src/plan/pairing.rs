//! Moved, copied and look-alike keys: what a plan of single keys can't see.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::model::{Action, BaseRecord, Digests, Key, Reason, Sameness, Verb, same_content};

/// A base record whose content may be what a new key needs.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The record.
    pub record: BaseRecord,
    /// What became of its key where the content comes from.
    pub origin: Origin,
}

/// What became of a key where the content comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Gone: the new key is a rename.
    Gone,
    /// Still there: the new key is a copy.
    There,
}

/// Turns a creation into a copy inside the side that it changes, if a candidate provably has its content. Renames go before
/// copies; otherwise the first candidate wins.
pub fn as_copy(create: &Action, digests: &Digests, candidates: &[Candidate]) -> Option<Action> {
    let same = |candidate: &&Candidate| {
        let record = &candidate.record;
        same_content(create.size, digests, record.size, &record.digests) == Sameness::Same
    };
    let gone = candidates.iter().filter(|c| c.origin == Origin::Gone).find(same);
    let chosen = gone.or_else(|| candidates.iter().find(same))?;
    let from = chosen.record.key.clone();
    let reason = match chosen.origin {
        Origin::Gone => Reason::Renamed { from: from.clone() },
        Origin::There => Reason::Copied { from: from.clone() },
    };
    let mut all = digests.clone();
    all.merge(&chosen.record.digests);
    Some(Action {
        verb: Verb::Copy { from, from_version: chosen.record.version(create.side).clone() },
        reason,
        digests: all,
        ..create.clone()
    })
}

/// The NFC form of a key that could have a twin; `None` for plain ASCII.
///
/// macOS hands out NFD names, browsers and most tools send NFC: one name, two keys.
pub fn twin_form(key: &Key) -> Option<String> {
    if key.as_str().is_ascii() {
        return None;
    }
    Some(match is_nfc_quick(key.as_str().chars()) {
        IsNormalized::Yes => key.as_str().to_owned(),
        IsNormalized::No | IsNormalized::Maybe => key.as_str().nfc().collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Digest, DigestKind, Expect, Side, Version};

    fn record(key: &str, digest: &str) -> BaseRecord {
        BaseRecord {
            key: Key::new(key).unwrap(),
            size: 3,
            source: Version::new("s"),
            dest: Version::new(format!("d-{key}")),
            digests: [Digest::new(DigestKind::Blake3, digest)].into_iter().collect(),
            lapsed: false,
            marks: crate::model::Marks::default(),
        }
    }

    fn create(key: &str) -> Action {
        Action {
            key: Key::new(key).unwrap(),
            side: Side::Dest,
            verb: Verb::Create,
            reason: Reason::New,
            expect: Expect::Absent,
            size: 3,
            from: None,
            at: None,
            digests: Digests::none(),
        }
    }

    #[test]
    fn a_rename_goes_before_a_copy_and_only_equal_content_counts() {
        let digests: Digests = [Digest::new(DigestKind::Blake3, "aa")].into_iter().collect();
        let there = Candidate { record: record("there", "aa"), origin: Origin::There };
        let gone = Candidate { record: record("gone", "aa"), origin: Origin::Gone };
        let other = Candidate { record: record("other", "bb"), origin: Origin::Gone };
        let copy = as_copy(&create("new"), &digests, &[other.clone(), there, gone]).unwrap();
        assert_eq!(copy.reason, Reason::Renamed { from: Key::new("gone").unwrap() });
        assert_eq!(as_copy(&create("new"), &digests, &[other]), None);
    }

    #[test]
    fn twins_share_their_nfc_form() {
        let nfc = Key::new("caf\u{e9}.jpg").unwrap();
        let nfd = Key::new("cafe\u{301}.jpg").unwrap();
        assert_eq!(twin_form(&nfc), twin_form(&nfd));
        assert_eq!(twin_form(&Key::new("cafe.jpg").unwrap()), None);
    }
}
