//! What is stored below a name, for whoever only looks: names as they are stored, and folders as one statement each where one
//! level is asked for, so that a folder of a million objects costs one request.
//!
//! It is no [`Listing`](super::Listing): no absence may be concluded from it, links are not followed, and names of our own
//! are told like any other.

use async_trait::async_trait;

use super::Error;
use crate::model::OWN_PREFIX;

/// How far down is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Up to the next `/`.
    Level,
    /// Everything.
    All,
    /// Everything but what lies in folders of our own: these are passed over where the place lists in order, and a trash
    /// may hold more than all else. Some of it may be shown all the same.
    Users,
}

/// The way past folders of our own, for a place that is believed to list in order and to begin where it is told to: both are
/// seen, and where one is not so nothing is passed over any more.
#[derive(Debug)]
pub(crate) struct Passing {
    /// The last name, or where the next page was told to begin.
    last: String,
    is_on: bool,
}

impl Passing {
    pub(crate) fn new(depth: Depth) -> Self {
        Self { last: String::new(), is_on: depth == Depth::Users }
    }

    /// Sees the names of a page, in the order in which they came; `false` if they come from before where it was to begin.
    pub(crate) fn see<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> bool {
        for name in names {
            if self.is_on && *name < *self.last {
                self.is_on = false;
            }
            if self.is_on {
                name.clone_into(&mut self.last);
            }
        }
        self.is_on
    }

    /// Where to go on if the last name lies in a folder of our own: behind all that can be in there.
    pub(crate) fn jump(&mut self) -> Option<String> {
        let mut end = 0;
        for component in self.last.split_inclusive('/').filter(|_| self.is_on) {
            end += component.len();
            if component.starts_with(OWN_PREFIX) && component.ends_with('/') {
                // `0` comes right after the slash, and what begins so is our own too.
                self.last = format!("{}0", &self.last[..end - 1]);
                return Some(self.last.clone());
            }
        }
        None
    }
}

/// One thing that is there. Names are relative to the place that is browsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A file or an object.
    File {
        /// Its name.
        name: String,
        /// Bytes, if they were told.
        size: Option<u64>,
        /// When it was stored or modified, ns since the epoch.
        modified_ns: Option<i64>,
    },
    /// Something is below this name, which ends in `/`.
    Folder(String),
    /// What is no file, and why.
    Other {
        /// Its name; of one that is not UTF-8 what can be shown.
        name: String,
        /// What it is, for people.
        what: &'static str,
    },
}

impl Seen {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::File { name, .. } | Self::Folder(name) | Self::Other { name, .. } => name,
        }
    }
}

/// A look under way: what begins with a text, batch by batch. In key order where the place lists in order.
#[async_trait]
pub trait Browse: Send + std::fmt::Debug {
    /// The next batch, which is not empty; `None` at the end. After an error it is over.
    ///
    /// # Errors
    /// The place can't be listed, or contradicts itself.
    async fn next(&mut self) -> Result<Option<Vec<Seen>>, Error>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_our_own_are_passed_over_and_only_in_order() {
        let past = |names: &[&str]| {
            let mut passing = Passing::new(Depth::Users);
            passing.see(names.iter().copied());
            passing.jump()
        };
        assert_eq!(past(&[".a", ".mediasync/trash/r/x"]).as_deref(), Some(".mediasync0"));
        assert_eq!(past(&["a/.mediasync-x/b/c"]).as_deref(), Some("a/.mediasync-x0"));
        for names in [&["a/b"] as &[_], &[".mediasync"], &["a.mediasync/b"], &[], &["b", "a/.mediasync/x"]] {
            assert_eq!(past(names), None, "{names:?}");
        }
        let mut passing = Passing::new(Depth::Users);
        assert!(passing.see([".mediasync/id"].into_iter()) && passing.jump().is_some());
        assert!(!passing.see([".mediasync/trash/r/x"].into_iter()), "it did not begin where it was told to");
        assert_eq!(passing.jump(), None);
        let mut all = Passing::new(Depth::All);
        all.see([".mediasync/id"].into_iter());
        assert_eq!(all.jump(), None);
    }
}
