//! Listing a large bucket in several ranges at once.
//!
//! Pages of one listing come one after another, each a round trip. Where the probe saw that listings are in key order and
//! can begin behind a key, the names that an earlier listing met at equal distances cut the bucket into ranges of a few
//! pages, and several ranges are read at the same time. They are told in order, so that nobody sees a difference.
//! The names are hints: whatever was created or deleted since, each name belongs to exactly one range.

use futures_util::stream::{StreamExt, iter};

use super::Inner;
use super::list::{From, Pages, Told};
use crate::model::Item;
use crate::replica::pages::Batches;
use crate::replica::{Ability, Error};

/// Objects of a range: four pages.
const SPACING: u64 = 4_000;
/// Ranges at the same time. What they hold is the memory that this costs: about 10 MB.
const WINDOW: usize = 8;
/// Names that are kept, at most; with more keys the ranges get longer.
const MOST: usize = 1_024;

/// Everything below the prefix.
pub(super) async fn walk(inner: &Inner, sender: &Batches) -> Result<(), Error> {
    let prefix = inner.names.prefix();
    let mut marks = Marks::default();
    let mut tell = async |told: Told| {
        marks.see(&told);
        sender.send(Ok(told.items)).await.is_ok()
    };
    let names = inner.marks();
    if names.is_empty() {
        let mut pages = Pages::new(inner, prefix, From::Start, None);
        while let Some(told) = pages.next().await? {
            if !tell(told).await {
                return Ok(());
            }
        }
    } else {
        let mut ranges =
            iter(between(prefix, &names)).map(|(from, until)| all(inner, prefix, from, until)).buffered(WINDOW);
        while let Some(pages) = ranges.next().await {
            for told in pages? {
                if !tell(told).await {
                    return Ok(());
                }
            }
        }
    }
    inner.learn(|probe| probe.marks = marks.names);
    Ok(())
}

/// The pages of one range.
async fn all(inner: &Inner, prefix: &str, from: From, until: Option<String>) -> Result<Vec<Told>, Error> {
    let mut pages = Pages::new(inner, prefix, from, until);
    let mut all = Vec::new();
    while let Some(told) = pages.next().await? {
        all.push(told);
    }
    Ok(all)
}

/// Ranges that hold every name: each begins behind the name that the one before ends with.
fn between(prefix: &str, names: &[String]) -> Vec<(From, Option<String>)> {
    let full: Vec<String> = names.iter().map(|name| format!("{prefix}{name}")).collect();
    let begins = std::iter::once(From::Start).chain(full.iter().cloned().map(From::After));
    let ends = full.iter().cloned().map(Some).chain(std::iter::once(None));
    begins.zip(ends).collect()
}

impl Inner {
    /// Where a listing may be cut; nowhere unless the server was seen to list in order and to begin behind a name.
    fn marks(&self) -> Vec<String> {
        let probe = self.probe();
        let proven = probe.ordered == Ability::Proven && probe.start_after == Ability::Proven;
        let ascend = probe.marks.is_sorted_by(|a, b| a < b);
        if proven && ascend { probe.marks } else { Vec::new() }
    }
}

/// Names at about equal distances, each the last of a page: read again, the pages of a range are full.
#[derive(Debug)]
struct Marks {
    names: Vec<String>,
    spacing: u64,
    since: u64,
}

impl Default for Marks {
    fn default() -> Self {
        Self { names: Vec::new(), spacing: SPACING, since: 0 }
    }
}

impl Marks {
    fn see(&mut self, told: &Told) {
        self.since += told.objects;
        let key = told.items.iter().rev().find_map(|item| match item {
            Item::Present(key, _) => Some(key),
            _ => None,
        });
        let Some(key) = key.filter(|_| self.since >= self.spacing) else { return };
        self.since = 0;
        self.names.push(key.as_str().to_owned());
        if self.names.len() > MOST {
            // Every other one stays, from the second on: the first range is as long as the others.
            let mut at = 0;
            self.names.retain(|_| {
                at += 1;
                at % 2 == 0
            });
            self.since = self.spacing;
            self.spacing *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Digests, Entry, Key, Readable, Version};

    fn present(name: &str) -> Item {
        let version = Version::new("v");
        let entry = Entry { size: 1, version, modified_ns: None, digests: Digests::none(), readable: Readable::Yes };
        Item::Present(Key::new(name).unwrap(), entry)
    }

    #[test]
    fn marks_stand_at_equal_distances_and_do_not_grow_without_end() {
        let page = |n: u64| Told { items: vec![present(&format!("{n:09}"))], objects: 1_000 };
        let mut marks = Marks::default();
        (1..SPACING / 1_000).for_each(|n| marks.see(&page(n)));
        assert!(marks.names.is_empty());
        (SPACING / 1_000..SPACING / 1_000 * (MOST as u64 + 11)).for_each(|n| marks.see(&page(n)));
        let at: Vec<u64> = marks.names.iter().map(|name| name.parse::<u64>().unwrap() * 1_000).collect();
        assert_eq!((at.len(), at[0]), (MOST / 2 + 5, 2 * SPACING));
        assert!(at.windows(2).all(|pair| pair[1] - pair[0] == 2 * SPACING), "{at:?}");
    }

    #[test]
    fn ranges_meet_without_a_gap() {
        let ranges = between("p/", &["b".to_owned(), "d".to_owned()]);
        let after = |name: &str| From::After(name.to_owned());
        let until = |name: &str| Some(name.to_owned());
        assert_eq!(ranges, [(From::Start, until("p/b")), (after("p/b"), until("p/d")), (after("p/d"), None)]);
    }
}
