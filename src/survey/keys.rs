//! Inputs of a cycle that does not list all: what a side has under some keys, and what a side is assumed to have.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::manifest::BaseCursor;
use crate::model::{Entry, Filter, Item, Key, Readable, Scope, Side};
use crate::replica::{Cause, Error, Listing, Replica};

/// What a replica has in a scope. Of several keys it does not come in key order.
pub(super) fn list(replica: &Arc<dyn Replica>, scope: &Scope, filter: &Arc<Filter>) -> Listing {
    match scope {
        Scope::Whole => replica.list(None, filter),
        Scope::Below(only) => replica.list(Some(only), filter),
        Scope::Keys(keys) => {
            let (sender, items) = mpsc::channel(4);
            let (replica, keys, filter) = (Arc::clone(replica), Arc::clone(keys), Arc::clone(filter));
            let producer = tokio::spawn(async move {
                if let Err(error) = one_after_the_other(&*replica, &keys, &filter, &sender).await {
                    // Nobody listens any more: nobody needs to know.
                    sender.send(Err(error)).await.unwrap_or_default();
                }
            });
            Listing { items, producer: Some(producer) }
        }
    }
}

/// What is said of a directory above several of the keys is said once.
async fn one_after_the_other(
    replica: &dyn Replica,
    keys: &[Key],
    filter: &Arc<Filter>,
    sender: &mpsc::Sender<Result<Vec<Item>, Error>>,
) -> Result<(), Error> {
    let mut said = HashSet::new();
    for key in keys {
        let mut listing = replica.list(Some(key), filter);
        let mut ended = false;
        while let Some(batch) = listing.items.recv().await {
            let mut batch = batch?;
            ended = batch.last() == Some(&Item::End);
            batch.retain(|item| match item {
                Item::End => false,
                Item::Present(..) | Item::Nameless(_) => true,
                Item::Unknown(..) | Item::Skipped(..) => item.place().is_none_or(|place| said.insert(place.to_text())),
            });
            if !batch.is_empty() && sender.send(Ok(batch)).await.is_err() {
                return Ok(());
            }
        }
        if !ended {
            let message = format!("{}: the listing of `{key}` stopped before its end", replica.name());
            return Err(Error::new(Cause::Incomplete, message));
        }
    }
    sender.send(Ok(vec![Item::End])).await.unwrap_or_default();
    Ok(())
}

/// What `side` had when both sides agreed. A lapsed record says nothing of it.
pub(super) fn assumed(base: BaseCursor, side: Side) -> impl Iterator<Item = Result<Item, Error>> {
    let items = base.filter_map(move |record| match record {
        Err(error) => Some(Err(error.into())),
        Ok(record) if record.lapsed => None,
        Ok(record) => {
            let entry = Entry {
                size: record.size,
                version: record.version(side).clone(),
                modified_ns: None,
                digests: record.digests,
                readable: Readable::Yes,
            };
            Some(Ok(Item::Present(record.key, entry)))
        }
    });
    items.chain(std::iter::once(Ok(Item::End)))
}
