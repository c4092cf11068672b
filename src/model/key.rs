//! [`Key`]: the only path type that crosses a module border.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A path relative to a replica's root: non-empty UTF-8 without NUL, components separated by `/`.
///
/// `Ord` is the order of the UTF-8 bytes. It equals SQLite's `BINARY` collation and the listing order of
/// S3 general purpose buckets and Azure containers, and the join relies on that.
///
/// A key may still be one that a given replica can't hold (`../x`, `a//b`, 2,000 bytes): what a replica takes
/// is its own question, answered by `Replica::accepts`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(Box<str>);

/// Why a text is no [`Key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// The text is empty.
    #[error("the key is empty")]
    Empty,
    /// The text holds a NUL byte, which no file system and no XML listing can carry.
    #[error("the key holds a NUL byte")]
    Nul,
}

impl Key {
    /// Checks and wraps a text.
    ///
    /// # Errors
    /// [`BadKey`] for an empty text or one with a NUL byte.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, BadKey> {
        let text = text.into();
        if text.is_empty() {
            return Err(BadKey::Empty);
        }
        if text.as_bytes().contains(&0) {
            return Err(BadKey::Nul);
        }
        Ok(Self(text))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component: `c.jpg` of `a/b/c.jpg`.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The components, in order. Hostile keys have empty ones.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The key up to the last `/`, without it; `None` at the top.
    pub fn parent(&self) -> Option<&str> {
        self.0.rfind('/').map(|at| &self.0[..at])
    }

    /// Whether this key lies below the directory `dir` (given without a trailing slash).
    pub fn is_below(&self, dir: &str) -> bool {
        self.0.len() > dir.len() && self.0.starts_with(dir) && self.0.as_bytes()[dir.len()] == b'/'
    }
}

impl TryFrom<String> for Key {
    type Error = BadKey;

    fn try_from(text: String) -> Result<Self, BadKey> {
        Self::new(text)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0.into()
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Control characters are escaped, so that a name can't forge a line of output.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&self.0).fmt(f)
    }
}

/// A text that others chose, for people: control characters are escaped.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'t>(pub &'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            // Bidirectional controls can make a name read as another one on a terminal.
            let bidi = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            if c.is_control() || bidi {
                write!(f, "{}", c.escape_unicode())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A contiguous range of keys that one statement is about, such as "this directory could not be read".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reach {
    /// Exactly this key.
    Key(Key),
    /// This key and all keys below it as a directory.
    ///
    /// The two are not neighbours in key order (`a`, `a-b`, `a/x`), so a stream that speaks of both says
    /// [`Reach::Key`] at the one place and [`Reach::Below`] at the other.
    Below(Key),
    /// Every key of the replica.
    All,
}

impl Reach {
    /// The place of this statement in key order: no covered key sorts before it.
    pub fn start(&self) -> String {
        match self {
            Self::Key(key) => key.as_str().to_owned(),
            Self::Below(key) => format!("{}/", key.as_str()),
            Self::All => String::new(),
        }
    }

    /// Whether `key` is covered.
    pub fn covers(&self, key: &Key) -> bool {
        match self {
            Self::Key(own) => own == key,
            Self::Below(dir) => key.is_below(dir.as_str()),
            Self::All => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_nul_are_refused() {
        assert_eq!(Key::new(""), Err(BadKey::Empty));
        assert_eq!(Key::new("a\0b"), Err(BadKey::Nul));
    }

    #[test]
    fn the_order_is_the_order_of_bytes() {
        let mut keys: Vec<Key> = ["a/x", "a.txt", "a", "a-b", "é", "z", "Z"].map(|k| Key::new(k).unwrap()).into();
        keys.sort();
        let texts: Vec<&str> = keys.iter().map(Key::as_str).collect();
        assert_eq!(texts, ["Z", "a", "a-b", "a.txt", "a/x", "z", "é"]);
    }

    #[test]
    fn control_and_bidi_characters_are_escaped_for_people() {
        let key = Key::new("a\nb\u{202e}c").unwrap();
        assert_eq!(key.to_string(), r"a\u{a}b\u{202e}c");
    }

    #[test]
    fn reach_covers_a_directory_without_its_namesakes() {
        let below = Reach::Below(Key::new("a").unwrap());
        assert!(below.covers(&Key::new("a/x").unwrap()));
        assert!(!below.covers(&Key::new("a-b").unwrap()));
        assert!(!below.covers(&Key::new("a").unwrap()));
    }
}
