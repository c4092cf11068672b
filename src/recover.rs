//! After a killed run: finds out what of it arrived, at each side that the run may change.
//!
//! A run may have sent content and died before it recorded that. If the origin is still the same, the two sides are
//! compared as always, and adopted if they are equal. If the origin has changed since, what arrived would look like
//! somebody else's change: so what was about to be sent is written down first, with its digest, and looked at here. What is
//! there now, if it is not what was there then and has that digest, is what we sent; then both sides did agree, and that
//! is recorded. Size and mtime prove nothing: builds and copies of others have equal ones.
//!
//! What a run puts back from the trash, because it made room for nothing, is found in the same way.
//!
//! A run may have deleted content and died before it recorded that. Then the key is gone by our own hand, and whoever puts
//! it back at the other side must not lose it again.

use futures_util::stream::{StreamExt, iter};

use crate::examine::read;
use crate::manifest::{Manifest, Record, Sending};
use crate::model::{Action, BaseRecord, DigestKind, Entry, Expect, Key, ReadCost, Side, Version, Want};
use crate::replica::{Cause, Error, Replica};
use crate::sync::{Cycle, Run};

/// Look-ups at the same time.
const LOOK_UPS: usize = 32;

/// What a run records of a killed one before it plans, a dry run records in a copy: both plan the same.
pub(crate) fn copy_to_recover_in(cycle: &Cycle<'_>) -> Result<Option<Manifest>, Error> {
    if let Run::Execute(_) = cycle.run {
        return Ok(None);
    }
    for side in cycle.writes {
        if cycle.manifest.has_sending(*side)? || !cycle.manifest.deleting(*side)?.is_empty() {
            return Ok(Some(cycle.manifest.copy()?));
        }
    }
    Ok(None)
}

/// Records what a killed run sent to the sides that this one may change. Returns the keys that can't be looked at now;
/// their lines stay for the next run.
///
/// # Errors
/// The manifest failed, or a side can't be used at all.
pub(crate) async fn recover(cycle: &Cycle<'_>) -> Result<Vec<Key>, Error> {
    let mut left = Vec::new();
    for to in cycle.writes {
        deletions_at(cycle, *to).await?;
        left.extend(recover_at(cycle, *to).await?);
    }
    Ok(left)
}

/// What a killed run deleted at a side, or may have. The key is gone there by our own hand, or something else was put
/// there since: what is at either side now is new, and nobody's deletion of the other. What stands there as it was is
/// still to be deleted, if that is still decided.
async fn deletions_at(cycle: &Cycle<'_>, at: Side) -> Result<(), Error> {
    let mut open = Vec::new();
    let mut known = Vec::new();
    for line in cycle.manifest.deleting(at)? {
        // What was recorded needs no look.
        if cycle.manifest.get(&line.0)?.is_some() { open.push(line) } else { known.push(line.0) }
    }
    let look = async |(key, version): (Key, Version)| {
        let found = cycle.of(at).look_up(&key).await;
        (key, found.map(|found| found.is_some_and(|found| found.version == version)))
    };
    let mut looked = iter(open).map(look).buffered(LOOK_UPS);
    let mut records = Vec::new();
    while let Some((key, stands)) = looked.next().await {
        match stands {
            Ok(true) => known.push(key),
            Ok(false) => {
                records.push(Record::Forget(key.clone()));
                known.push(key);
            }
            Err(error) if error.cause == Cause::Stop => return Err(error),
            // As long as nobody knows, nothing is taken for a deletion.
            Err(_) => records.push(Record::Lapse(key)),
        }
    }
    drop(looked);
    cycle.manifest.record(&records)?;
    Ok(cycle.manifest.end_deleting(at, &known)?)
}

async fn recover_at(cycle: &Cycle<'_>, to: Side) -> Result<Vec<Key>, Error> {
    if !cycle.manifest.has_sending(to)? {
        return Ok(Vec::new());
    }
    // What was recorded needs no look.
    let open = cycle.manifest.unaccounted(to)?;
    let mut looked = iter(open).map(|line| look(cycle, to, line)).buffered(LOOK_UPS);
    let (mut records, mut left) = (Vec::new(), Vec::new());
    while let Some((line, found)) = looked.next().await {
        match found {
            Ok(Found::Ours(entry)) => records.push(Record::Put(agreed(line, to, entry))),
            Ok(Found::Nothing) => {}
            Err(error) if error.cause == Cause::Stop => return Err(error),
            // Comparing may not happen before the next kill: the line stays until a record accounts for it.
            Ok(Found::SameOrigin) | Err(_) => left.push(line.key),
        }
    }
    drop(looked);
    cycle.manifest.record(&records)?;
    cycle.manifest.end_sending(to, &left)?;
    Ok(left)
}

/// Both sides held what was sent to `to`.
fn agreed(line: Sending, to: Side, arrived: Entry) -> BaseRecord {
    let (source, dest) = match to {
        Side::Dest => (line.version, arrived.version),
        Side::Source => (arrived.version, line.version),
    };
    BaseRecord { key: line.key, size: arrived.size, source, dest, digests: arrived.digests, lapsed: false }
}

/// What became of content that was about to be sent.
enum Found {
    /// Where it came from it still is: the contents will be compared as always.
    SameOrigin,
    /// It arrived, and where it came from there is something else by now.
    Ours(Entry),
    /// There is something else, or nothing, where it was sent to.
    Nothing,
}

async fn look(cycle: &Cycle<'_>, to: Side, line: Sending) -> (Sending, Result<Found, Error>) {
    let found = match cycle.of(to.other()).look_up(&line.key).await {
        Ok(Some(origin)) if origin.version == line.version => Ok(Found::SameOrigin),
        Ok(_) => arrived(cycle.of(to), cycle, &line).await,
        Err(error) => Err(error),
    };
    (line, found)
}

async fn arrived(replica: &dyn Replica, cycle: &Cycle<'_>, line: &Sending) -> Result<Found, Error> {
    let Some(blake3) = &line.blake3 else { return Ok(Found::Nothing) };
    let found = replica.look_up(&line.key).await?;
    let is_new = |entry: &Entry| entry.size == line.size && line.replaces.as_ref() != Some(&entry.version);
    let Some(mut entry) = found.filter(is_new) else { return Ok(Found::Nothing) };
    // A directory keeps no digest, and gives its content at no cost.
    if entry.digests.get(DigestKind::Blake3).is_none() && replica.capabilities().read_cost == ReadCost::Cheap {
        match read(replica, &cycle.buffers, &line.key, &entry, &Want::default()).await {
            Ok(digests) => entry.digests.merge(&digests),
            // It is being changed by somebody, so it is not what we left there.
            Err(error) if matches!(error.cause, Cause::Changed | Cause::NotFound) => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        }
    }
    let is_ours = entry.digests.get(DigestKind::Blake3).is_some_and(|digest| *digest.text == **blake3);
    Ok(if is_ours { Found::Ours(entry) } else { Found::Nothing })
}

/// The lines for a page of actions, as far as they send content to `side`.
pub(crate) fn lines(actions: &[Action], side: Side) -> Vec<Sending> {
    actions.iter().filter(|action| action.side == side).filter_map(line).collect()
}

fn line(action: &Action) -> Option<Sending> {
    let from = action.from.as_ref()?;
    let replaces = match &action.expect {
        Expect::Absent => None,
        Expect::Version(version) => Some(Version::clone(version)),
    };
    Some(Sending {
        key: action.key.clone(),
        size: from.size,
        version: from.version.clone(),
        modified_ns: from.modified_ns,
        replaces,
        // A copy inside a side is known by the plan.
        blake3: action.digests.get(DigestKind::Blake3).map(|digest| digest.text.to_string()),
    })
}
