//! Objects of a probe that was killed half-way: noted by listings, which see them anyway, and removed when they are too
//! old to belong to a probe that still runs. No request is made to look for them.

use std::sync::{Mutex, PoisonError};

use super::object::OWN;

/// A probe is some thirty small requests; by the server's clock.
const IDLE_NS: i64 = 60 * 1_000_000_000;
/// More wait for the next listing.
const NOTED: usize = 1_000;

/// What listings met below `.mediasync/probe/`: path below the prefix, and last change by the server's clock.
#[derive(Debug, Default)]
pub(crate) struct Leftovers(Mutex<Vec<(String, i64)>>);

impl Leftovers {
    /// Notes an own object, if it is one of a probe. `relative` is its path below the prefix.
    pub(crate) fn note(&self, relative: &str, modified_ns: Option<i64>) {
        let is_probe = relative.strip_prefix(OWN).is_some_and(|name| name.starts_with("probe/"));
        let Some(modified) = modified_ns.filter(|_| is_probe) else { return };
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() < NOTED {
            noted.push((relative.to_owned(), modified));
        }
    }

    /// Takes what was noted and nobody can be using any more, at a time of the server's clock.
    pub(crate) fn take(&self, now_ns: i64) -> Vec<String> {
        let mut noted = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        // A listing that was begun again noted them again.
        noted.sort();
        noted.dedup();
        let before = now_ns.saturating_sub(IDLE_NS);
        noted.into_iter().filter(|(_, modified)| *modified < before).map(|(relative, _)| relative).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_probe_left_is_taken_once_and_only_when_it_is_old() {
        let (leftovers, minute) = (Leftovers::default(), IDLE_NS);
        for (name, modified) in [("probe/a/k", 5), ("probe/a/k", 5), ("probe/b/k", minute), ("id", 5), ("trash/r/k", 5)]
        {
            leftovers.note(&format!("{OWN}{name}"), Some(modified));
        }
        leftovers.note("probe/user", Some(5));
        assert_eq!(leftovers.take(minute + 6), [format!("{OWN}probe/a/k")]);
        assert!(leftovers.take(i64::MAX).is_empty());
    }
}
