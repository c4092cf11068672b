//! Which requests a line of the journal made: a pair counts them from its opening on, over all of its cycles.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// Requests by kind.
pub(super) type Made = BTreeMap<&'static str, u64>;

/// What the pair had made when somebody asked last.
#[derive(Debug, Default)]
pub(super) struct Tally(RefCell<Made>);

impl Tally {
    /// What was made before this belongs to nobody.
    pub(super) fn begin(&self, so_far: Vec<(&'static str, u64)>) {
        *self.0.borrow_mut() = so_far.into_iter().collect();
    }

    /// Adds what was made since the last time. Of cycles beside each other the first one that ends has those of all: none
    /// is counted twice.
    pub(super) fn add_to(&self, made: &mut Made, so_far: Vec<(&'static str, u64)>) {
        let before = self.0.replace(so_far.iter().copied().collect());
        for (kind, count) in so_far {
            let more = count.saturating_sub(before.get(kind).copied().unwrap_or(0));
            if more > 0 {
                *made.entry(kind).or_insert(0) += more;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_one_of_one_line() {
        let (tally, mut first, mut second) = (Tally::default(), Made::new(), Made::new());
        tally.begin(vec![("LIST", 1)]);
        tally.add_to(&mut first, vec![("LIST", 3), ("PUT", 5)]);
        tally.add_to(&mut second, vec![("LIST", 3), ("PUT", 6)]);
        tally.begin(vec![("HEAD", 4), ("LIST", 3), ("PUT", 6)]);
        tally.add_to(&mut second, vec![("HEAD", 4), ("LIST", 3), ("PUT", 8)]);
        assert_eq!((first, second), ([("LIST", 2), ("PUT", 5)].into(), [("PUT", 3)].into()));
    }
}
