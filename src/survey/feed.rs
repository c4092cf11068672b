//! How a listing reaches the join: as it comes, or sorted on disk first.

use std::path::Path;

use crate::manifest::{BaseCursor, Spool, read_entry, write_entry};
use crate::model::{Item, Key, Side};
use crate::replica::{Cause, Error, Listing};

/// Whether a listing goes to the join as it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Trust,
    Sort,
}

/// How a listing reaches the join thread.
pub(super) enum Feed {
    /// The place does not exist yet: it is empty.
    Nothing,
    Stream(Listing),
    /// Sorted on the join thread, before the join begins.
    Unsorted(Listing),
    /// What the base says of a side that nobody asks.
    Assumed(BaseCursor, Side),
}

pub(super) fn feed(listing: Listing, order: Order) -> Feed {
    match order {
        Order::Trust => Feed::Stream(listing),
        Order::Sort => Feed::Unsorted(listing),
    }
}

pub(super) type Items<'a> = Box<dyn Iterator<Item = Result<Item, Error>> + 'a>;

impl Feed {
    pub(super) fn items(self, name: &str, scratch: &Path) -> Result<Items<'static>, Error> {
        match self {
            Self::Nothing => Ok(Box::new(std::iter::once(Ok(Item::End)))),
            Self::Stream(listing) => Ok(Box::new(Streamed { listing, batch: Vec::new().into_iter() })),
            Self::Assumed(base, side) => Ok(Box::new(super::keys::assumed(base, side))),
            Self::Unsorted(listing) => sorted(Streamed { listing, batch: Vec::new().into_iter() }, name, scratch),
        }
    }
}

/// A listing as a blocking iterator.
struct Streamed {
    listing: Listing,
    batch: std::vec::IntoIter<Item>,
}

impl Iterator for Streamed {
    type Item = Result<Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.batch.next() {
                return Some(Ok(item));
            }
            match self.listing.items.blocking_recv()? {
                Ok(batch) => self.batch = batch.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Spools a whole listing to disk and reads it back in key order. A key that comes twice makes it incomplete.
fn sorted(listing: Streamed, name: &str, scratch: &Path) -> Result<Items<'static>, Error> {
    let mut spool = Spool::new(scratch);
    let mut ended = false;
    let mut nameless = 0_u64;
    for item in listing {
        let item = item?;
        if item == Item::End {
            ended = true;
            break;
        }
        let place = if let Some(place) = item.place() {
            place.to_text().into_bytes()
        } else {
            // Statements without a place go first; the number keeps them apart.
            nameless += 1;
            [&b"\0"[..], &nameless.to_be_bytes()].concat()
        };
        spool.insert(&place, &encode(&item))?;
    }
    if !ended {
        return Err(Error::new(Cause::Incomplete, format!("the listing of {name} stopped before its end")));
    }
    if spool.replaced()? > 0 {
        return Err(Error::new(Cause::Incomplete, format!("the listing of {name} names a key twice")));
    }
    let rows = spool.drain()?.map(|row| {
        let (place, value) = row?;
        Ok(decode(&place, &value))
    });
    Ok(Box::new(rows.chain(std::iter::once(Ok(Item::End)))))
}

/// Almost every item is a present key, whose place is the key.
fn encode(item: &Item) -> Vec<u8> {
    let mut value = Vec::with_capacity(64);
    if let Item::Present(_, entry) = item {
        value.push(b'P');
        write_entry(&mut value, entry);
    } else {
        value.push(b'J');
        value.extend(serde_json::to_vec(item).expect("an item is plain data"));
    }
    value
}

fn decode(place: &[u8], value: &[u8]) -> Item {
    const WHY: &str = "the spool holds only what was put";
    match value.split_first().expect(WHY) {
        (b'P', entry) => {
            let key = std::str::from_utf8(place).ok().and_then(|text| Key::new(text).ok()).expect(WHY);
            Item::Present(key, read_entry(entry).expect(WHY))
        }
        (_, item) => serde_json::from_slice(item).expect(WHY),
    }
}
