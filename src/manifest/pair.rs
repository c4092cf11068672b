//! Two locations and where their state lives.

use std::path::{Path, PathBuf};

use crate::model::Side;

/// Two canonical locations, unordered. Jobs, directions and modes are policies over a pair, so that a push and a
/// pull of the same two places share one manifest and one lock.
///
/// Locations are canonical texts (`file:///data/media`, `s3://bucket/prefix` with its endpoint) without credentials:
/// they are stored and shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pair {
    left: String,
    right: String,
    id: String,
}

impl Pair {
    /// The pair of two locations, in any order.
    pub fn new(a: &str, b: &str) -> Self {
        let (left, right) = if a <= b { (a, b) } else { (b, a) };
        let mut hasher = blake3::Hasher::new();
        hasher.update(left.as_bytes()).update(&[0]).update(right.as_bytes());
        let mut id = hasher.finalize().to_hex().to_string();
        id.truncate(16);
        Self { left: left.to_owned(), right: right.to_owned(), id }
    }

    /// 16 hexadecimal digits that stand for the pair in file names.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How a cycle with this source (one of the two locations) sees the pair.
    pub fn orientation(&self, source: &str) -> Orientation {
        debug_assert!(source == self.left || source == self.right, "the source is one of the pair's locations");
        if source == self.left { Orientation::Forward } else { Orientation::Reversed }
    }

    /// Where everything about the pair is kept.
    pub fn dir(&self, state_dir: &Path) -> PathBuf {
        state_dir.join("pairs").join(&self.id)
    }

    /// The location that sorts first, and the other one.
    pub fn locations(&self) -> [&str; 2] {
        [&self.left, &self.right]
    }
}

/// Which of the pair's locations a cycle calls its source. Records are stored for the sorted pair, and read and
/// written as source and destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Orientation {
    /// The location that sorts first is the source.
    Forward,
    /// The location that sorts first is the destination.
    Reversed,
}

impl Orientation {
    /// Puts a source and a destination value into stored order, or back.
    pub(super) fn apply<T>(self, source: T, dest: T) -> [T; 2] {
        match self {
            Self::Forward => [source, dest],
            Self::Reversed => [dest, source],
        }
    }

    /// The stored number of a side: 0 for the location that sorts first.
    pub(super) fn number(self, side: Side) -> u8 {
        match (self, side) {
            (Self::Forward, Side::Source) | (Self::Reversed, Side::Dest) => 0,
            (Self::Forward, Side::Dest) | (Self::Reversed, Side::Source) => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_locations_does_not_matter() {
        let (a, b) = ("file:///data/media", "s3://bucket/x");
        assert_eq!(Pair::new(a, b), Pair::new(b, a));
        assert_eq!(Pair::new(a, b).id().len(), 16);
        assert_ne!(Pair::new("ab", "c").id(), Pair::new("a", "bc").id());
    }

    #[test]
    fn each_location_can_be_the_source() {
        let pair = Pair::new("s3://z", "file:///a");
        assert_eq!(pair.orientation("file:///a"), Orientation::Forward);
        assert_eq!(pair.orientation("s3://z"), Orientation::Reversed);
        assert_eq!(Orientation::Reversed.apply("source", "dest"), ["dest", "source"]);
        assert_eq!(Orientation::Reversed.number(Side::Source), Orientation::Forward.number(Side::Dest));
    }
}
