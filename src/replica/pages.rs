//! What listings by pages have in common, whatever the service: a producer that ends with proof of completeness or with
//! the reason without it, and the watch over names and over where pages begin.
//!
//! Contradictions are never passed over: a name or a place to go on that comes twice makes a listing incomplete, a descent
//! makes it unordered. What comes twice far apart in a listing that has no order is found when it is sorted; nothing here
//! grows with the number of names.

use std::collections::HashSet;
use std::future::Future;
use std::hash::{BuildHasher, Hash, RandomState};

use tokio::sync::mpsc;

use super::object::shown;
use super::{Ability, Cause, Error, Listing};
use crate::model::Item;

/// Where statements go.
pub(crate) type Batches = mpsc::Sender<Result<Vec<Item>, Error>>;

/// Empty pages in a row are legal (a thousand delete markers make one, and so does the end of a partition); a server that
/// gives more is lost.
pub(crate) const MOST_EMPTY: u32 = 1000;

/// Starts what produces a listing, and says how it ended.
pub(crate) fn start<F, Fut>(produce: F) -> Listing
where
    F: FnOnce(Batches) -> Fut,
    Fut: Future<Output = Result<(), Error>> + Send + 'static,
{
    let (sender, items) = mpsc::channel(1);
    let produced = produce(sender.clone());
    let producer = tokio::spawn(async move {
        let last = produced.await.map(|()| vec![Item::End]);
        // A consumer that went away does not want to know how it ended.
        drop(sender.send(last).await);
    });
    Listing { items, producer: Some(producer) }
}

/// The listing of the place that people call `name` contradicts itself.
pub(crate) fn incomplete(name: &str, why: &str) -> Error {
    Error::new(Cause::Incomplete, format!("the listing of {name} contradicts itself: {why}"))
        .hint("Nothing was concluded from it; if it happens again, the server's listings can't be relied on")
}

/// A listing that is not there or not permitted says nothing about any key: it is never an empty one.
pub(crate) fn unlisted(error: Error) -> Error {
    match error.cause {
        Cause::Refused | Cause::NotFound | Cause::Unsupported => Error { cause: Cause::Stop, ..error },
        _ => error,
    }
}

/// Places where pages began, as hashes: one for a thousand names.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    hasher: RandomState,
    seen: HashSet<u64>,
}

impl Tokens {
    /// Whether this one did not come before.
    pub(crate) fn is_new(&mut self, from: &impl Hash) -> bool {
        self.seen.insert(self.hasher.hash_one(from))
    }
}

/// Watches the order of names.
#[derive(Debug)]
pub(crate) struct Order {
    /// The first name of all: seen again, the server began anew.
    first: String,
    /// The last name; empty before the first.
    pub(crate) last: String,
    /// Known not to be ordered: descents are expected.
    is_loose: bool,
}

/// How a name follows the one before.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Ascends,
    Repeats,
    Descends,
}

impl Order {
    pub(crate) fn new(ordered: Ability) -> Self {
        Self { first: String::new(), last: String::new(), is_loose: ordered == Ability::Missing }
    }

    /// Sees the next name in the listing of the place that people call `place`.
    ///
    /// # Errors
    /// [`Cause::Incomplete`] if it came before, [`Cause::Unordered`] if it should have: the server is to be remembered
    /// for that.
    pub(crate) fn see(&mut self, name: &str, place: &str) -> Result<(), Error> {
        match self.step(name) {
            Step::Ascends => Ok(()),
            Step::Repeats => Err(incomplete(place, &format!("{} is listed twice", shown(name)))),
            Step::Descends => {
                Err(Error::new(Cause::Unordered, format!("{place} does not list in key order (at {})", shown(name))))
            }
        }
    }

    fn step(&mut self, name: &str) -> Step {
        if self.first.is_empty() {
            name.clone_into(&mut self.first);
        } else if self.first == name {
            return Step::Repeats;
        }
        let step = match self.last.as_str().cmp(name) {
            std::cmp::Ordering::Less => Step::Ascends,
            std::cmp::Ordering::Equal => Step::Repeats,
            std::cmp::Ordering::Greater if self.is_loose => Step::Ascends,
            std::cmp::Ordering::Greater => Step::Descends,
        };
        self.last.clear();
        self.last.push_str(name);
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_watched_and_repetition_is_never_fine() {
        let mut strict = Order::new(Ability::Unknown);
        assert_eq!(
            ["a", "a-b", "a/x", "a/x", "a-c"].map(|k| strict.step(k)),
            [Step::Ascends, Step::Ascends, Step::Ascends, Step::Repeats, Step::Descends]
        );
        let mut loose = Order::new(Ability::Missing);
        assert_eq!(["b", "a", "a"].map(|k| loose.step(k)), [Step::Ascends, Step::Ascends, Step::Repeats]);
        assert_eq!(loose.step("c"), Step::Ascends);
        assert_eq!(loose.step("b"), Step::Repeats, "the server began anew");
    }

    #[test]
    fn repetitions_and_descents_are_told_apart() {
        let mut proven = Order::new(Ability::Proven);
        assert!(proven.see("a", "az://x").is_ok());
        assert_eq!(proven.see("a", "az://x").unwrap_err().cause, Cause::Incomplete);
        assert_eq!(proven.see("A", "az://x").unwrap_err().cause, Cause::Unordered);
        let mut unordered = Order::new(Ability::Missing);
        assert!(unordered.see("b", "az://x").is_ok() && unordered.see("a", "az://x").is_ok());
        assert_eq!(unordered.see("b", "az://x").unwrap_err().cause, Cause::Incomplete);
    }

    #[test]
    fn a_token_is_new_once() {
        let mut tokens = Tokens::default();
        assert!(tokens.is_new(&"t") && !tokens.is_new(&"t"));
        assert!(tokens.is_new(&"u"));
    }
}
