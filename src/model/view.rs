//! What a listing says, one statement at a time.

use serde::{Deserialize, Serialize};

use super::{Entry, Key, Problem, Reach, SkipReason};

/// One statement of a listing.
///
/// A listing yields statements in strictly ascending order of [`Item::place`] and then [`Item::End`]. Without
/// that end it is incomplete, and no absence may be concluded from any part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// This key is there.
    Present(Key, Entry),
    /// Nothing can be said about these keys. The listing has no other item inside them.
    Unknown(Reach, Problem),
    /// Rules leave this out. The listing has no other item inside it.
    Skipped(Reach, SkipReason),
    /// Something whose name can't be a key (not UTF-8). It stands for no key, so it has no place in the order.
    Nameless(Problem),
    /// The listing is complete.
    End,
}

impl Item {
    /// The place of the statement in key order; `None` for statements that have none.
    pub fn place(&self) -> Option<Place<'_>> {
        match self {
            Self::Present(key, _) => Some(Place { text: key.as_str(), below: false }),
            Self::Unknown(reach, _) | Self::Skipped(reach, _) => Some(match reach {
                Reach::Key(key) => Place { text: key.as_str(), below: false },
                Reach::Below(key) => Place { text: key.as_str(), below: true },
                Reach::All => Place { text: "", below: false },
            }),
            Self::Nameless(_) | Self::End => None,
        }
    }

    /// Whether something is left out that was counted before: a link is stated for its own key, for what was below it, and
    /// for its text.
    pub fn is_left_out_again(&self) -> bool {
        matches!(self, Self::Skipped(_, SkipReason::LinkText) | Self::Skipped(Reach::Below(_), SkipReason::Symlink))
    }
}

/// A place in key order: a key, or the start of the range below a directory (`dir/`), without allocating it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    text: &'a str,
    below: bool,
}

impl Place<'_> {
    /// The bytes that it sorts by.
    fn bytes(&self) -> impl Iterator<Item = u8> + '_ {
        self.text.bytes().chain(self.below.then_some(b'/'))
    }

    /// An owned form, for remembering the last place.
    pub fn to_text(self) -> String {
        let mut text = self.text.to_owned();
        if self.below {
            text.push('/');
        }
        text
    }

    /// Overwrites `text` with the owned form, re-using its memory.
    pub fn write_to(self, text: &mut String) {
        text.clear();
        text.push_str(self.text);
        if self.below {
            text.push('/');
        }
    }

    /// Compares with a remembered place.
    pub fn cmp_text(&self, other: &str) -> std::cmp::Ordering {
        self.bytes().cmp(other.bytes())
    }
}
