//! What a replica has under a key, and what the manifest remembers of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Digests, Key, Problem, Sameness, Side, SkipReason, StyleMark};

/// A replica's opaque token for "this content at this key".
///
/// Local: size, mtime, ctime and inode. S3: the ETag as listings show it, without quotes. Only the replica that
/// made a version can read it; everybody else may compare it for equality.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub Box<str>);

impl Version {
    /// Wraps a token.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v:{}", self.0)
    }
}

/// Whether content can be read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Readable {
    /// As usual.
    #[default]
    Yes,
    /// Present, but in an archive tier (Glacier): only an action that needs its bytes has a problem.
    Archived,
}

/// What a replica has under a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Bytes.
    pub size: u64,
    /// Token for this content at this key.
    pub version: Version,
    /// Nanoseconds since the epoch: a local mtime; for a bucket the recorded mtime (after a look-up), else
    /// Last-Modified. Never compared between sides; for people, and for setting a pulled file's mtime.
    pub modified_ns: Option<i64>,
    /// Digests that the replica gave for free.
    pub digests: Digests,
    /// Whether the content can be read now.
    pub readable: Readable,
}

/// What a side is known to have under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// Proven absent: a complete part of a listing without it, ENOENT under a readable parent, or a 404.
    Absent,
    /// There.
    Present(Entry),
    /// Neither is known. Never to be read as absent.
    Unknown(Problem),
    /// The side has something there that rules leave out (a symlink, a socket, AppleDouble data).
    Skipped(SkipReason),
}

impl Presence {
    /// The entry, if there is one.
    pub fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Present(entry) => Some(entry),
            Self::Absent | Self::Unknown(_) | Self::Skipped(_) => None,
        }
    }
}

/// What both sides held when they last agreed on a key.
///
/// In the manifest the versions are stored for the pair's two locations; a cycle reads them oriented as its
/// source and destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseRecord {
    /// The key.
    pub key: Key,
    /// Bytes.
    pub size: u64,
    /// The source's version then.
    pub source: Version,
    /// The destination's version then.
    pub dest: Version,
    /// All digests known for the content; possibly none.
    pub digests: Digests,
    /// Out of scope in an earlier run: saves hashing, proves no deletion until both sides were seen with the key.
    pub lapsed: bool,
    /// The styles that both sides are known to have.
    pub marks: Marks,
}

/// The styles that rules gave to the objects of both sides, as far as is known of these very versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// At the source.
    pub source: Option<StyleMark>,
    /// At the destination.
    pub dest: Option<StyleMark>,
}

impl Marks {
    /// That of one side alone.
    pub fn at(side: Side, mark: Option<StyleMark>) -> Self {
        match side {
            Side::Source => Self { source: mark, dest: None },
            Side::Dest => Self { source: None, dest: mark },
        }
    }

    /// That of a side.
    pub fn of(&self, side: Side) -> Option<&StyleMark> {
        match side {
            Side::Source => self.source.as_ref(),
            Side::Dest => self.dest.as_ref(),
        }
    }
}

impl BaseRecord {
    /// The version that a side had then.
    pub fn version(&self, side: Side) -> &Version {
        match side {
            Side::Source => &self.source,
            Side::Dest => &self.dest,
        }
    }
}

/// Whether two contents are the same, by sizes and digests. Versions and times never enter.
pub fn same_content(size_a: u64, a: &Digests, size_b: u64, b: &Digests) -> Sameness {
    if size_a != size_b {
        return Sameness::Different;
    }
    // All empty contents are equal; no digest is needed to see it.
    if size_a == 0 {
        return Sameness::Same;
    }
    a.compare(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_settle_it_before_digests() {
        let none = Digests::none();
        assert_eq!(same_content(1, &none, 2, &none), Sameness::Different);
        assert_eq!(same_content(0, &none, 0, &none), Sameness::Same);
        assert_eq!(same_content(1, &none, 1, &none), Sameness::CannotTell);
    }
}
