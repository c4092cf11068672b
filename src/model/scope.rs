//! How much of a pair a cycle looks at.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Key;

/// What a cycle looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Whole,
    /// `--only`: this key and everything below it.
    Below(Key),
    /// Keys that were seen to change, each with everything below it: in key order, none below another one.
    Keys(Arc<[Key]>),
}

impl Scope {
    /// These keys, each with everything below it.
    pub fn of_keys(keys: impl IntoIterator<Item = Key>) -> Self {
        let all: BTreeSet<Key> = keys.into_iter().collect();
        let mut above = String::new();
        let is_covered = |key: &Key, above: &mut String| {
            key.as_str().match_indices('/').any(|(at, _)| {
                above.clear();
                above.push_str(&key.as_str()[..at]);
                Key::new(above.as_str()).is_ok_and(|dir| all.contains(&dir))
            })
        };
        Self::Keys(all.iter().filter(|key| !is_covered(key, &mut above)).cloned().collect())
    }

    /// Whether it holds a key.
    pub fn holds(&self, key: &Key) -> bool {
        match self {
            Self::Whole => true,
            Self::Below(top) => key == top || key.is_below(top.as_str()),
            Self::Keys(keys) => {
                let has = |text: &str| keys.binary_search_by(|other| other.as_str().cmp(text)).is_ok();
                has(key.as_str()) || key.as_str().match_indices('/').any(|(at, _)| has(&key.as_str()[..at]))
            }
        }
    }

    /// Whether it is all of the pair.
    pub fn is_whole(&self) -> bool {
        *self == Self::Whole
    }

    /// The keys that a person named: `--only`.
    pub fn named(&self) -> Option<&Key> {
        match self {
            Self::Below(key) => Some(key),
            Self::Whole | Self::Keys(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::new(text).unwrap()
    }

    #[test]
    fn keys_below_others_are_covered_by_them() {
        let scope = Scope::of_keys(["a/x", "a-b", "a", "b/c/d", "b/c", "a", "bc"].map(key));
        assert_eq!(scope, Scope::Keys(["a", "a-b", "b/c", "bc"].map(key).into()));
        for (text, held) in [
            ("a", true),
            ("a/x/y", true),
            ("a-b", true),
            ("a-c", false),
            ("b", false),
            ("b/c/e", true),
            ("b/cd", false),
        ] {
            assert_eq!(scope.holds(&key(text)), held, "{text}");
        }
        assert!(Scope::Whole.holds(&key("z")) && !scope.is_whole());
        assert!(Scope::Below(key("a")).holds(&key("a/b")) && !Scope::Below(key("a")).holds(&key("ab")));
    }
}
