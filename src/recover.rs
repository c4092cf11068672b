//! After a killed run: finds out what of it reached the destination.
//!
//! A run may have sent content and died before it recorded that. If the source is still the same, the two sides are
//! found equal and adopted. If the source has changed since, the destination would look like somebody else's change:
//! so what was about to be sent is written down first, and looked at here. An object of that size, with our digest and
//! the source's exact mtime in its metadata, is what we sent; then both sides did agree, and that is recorded.

use futures_util::stream::{StreamExt, iter};

use crate::manifest::{Record, Sending};
use crate::model::{BaseRecord, DigestKind, Entry, Key, ReadCost, Side};
use crate::replica::{Cause, Error, Replica};
use crate::sync::Cycle;

/// Look-ups at the same time.
const LOOK_UPS: usize = 32;

/// Records what a killed run sent. Returns the keys that can't be looked at now; their lines stay for the next run.
///
/// # Errors
/// The manifest failed, or the destination can't be used at all.
pub(crate) async fn recover(cycle: &Cycle<'_>) -> Result<Vec<Key>, Error> {
    let lines = cycle.manifest.sending()?;
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let dest = &*cycle.dest;
    let mut looked = iter(lines).map(|line| look(dest, line)).buffered(LOOK_UPS);
    let (mut records, mut left) = (Vec::new(), Vec::new());
    while let Some((line, found)) = looked.next().await {
        match found {
            Ok(Some(entry)) if is_ours(dest, &line, &entry) => {
                let known = cycle.manifest.get(&line.key)?;
                if known.is_none_or(|base| base.dest != entry.version) {
                    records.push(Record::Put(BaseRecord {
                        key: line.key,
                        size: entry.size,
                        source: line.version,
                        dest: entry.version,
                        digests: entry.digests,
                        lapsed: false,
                    }));
                }
            }
            Ok(_) => {}
            Err(error) if error.cause == Cause::Stop => return Err(error),
            Err(_) => left.push(line.key),
        }
    }
    cycle.manifest.record(&records)?;
    cycle.manifest.end_sending(&left)?;
    Ok(left)
}

async fn look(dest: &dyn Replica, line: Sending) -> (Sending, Result<Option<Entry>, Error>) {
    let found = dest.look_up(&line.key).await;
    (line, found)
}

fn is_ours(dest: &dyn Replica, line: &Sending, entry: &Entry) -> bool {
    let marked = match dest.capabilities().read_cost {
        // A directory keeps no digest; the mtime to the nanosecond is the mark.
        ReadCost::Cheap => true,
        ReadCost::Transfer => entry.digests.get(DigestKind::Blake3).is_some(),
    };
    marked && entry.size == line.size && line.modified_ns.is_some() && entry.modified_ns == line.modified_ns
}

/// The lines for a page of actions that send content to the destination.
pub(crate) fn lines(actions: &[crate::model::Action]) -> Vec<Sending> {
    let to_dest = actions.iter().filter(|action| action.side == Side::Dest);
    let line = |action: &crate::model::Action| {
        let from = action.from.as_ref()?;
        Some(Sending {
            key: action.key.clone(),
            size: from.size,
            version: from.version.clone(),
            modified_ns: from.modified_ns,
        })
    };
    to_dest.filter_map(line).collect()
}
