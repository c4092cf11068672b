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
//!
//! A server may do what it was asked for after the run that asked is dead, or has given up, and after the next one has
//! looked. So what was looked for in vain is looked for again for [`LATE_NS`].

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::stream::{StreamExt, iter};

use crate::examine::read;
use crate::manifest::{Deleting, Expecting, Manifest, Record, Sending};
use crate::model::{
    Action, BaseRecord, DigestKind, Entry, Expect, Key, Marks, Presence, ReadCost, Side, Verb, Version, Want,
};
use crate::plan::Triple;
use crate::replica::{Ability, Cause, Error, Replica};
use crate::sync::{Cycle, Run};

/// Look-ups at the same time.
const LOOK_UPS: usize = 32;
/// How long what was looked for in vain may still come, ns. Servers and the proxies before them wait a minute for one
/// another by default (nginx `proxy_read_timeout`, HAProxy's examples), some are set to a few.
pub(crate) const LATE_NS: i64 = 300_000_000_000;
/// What may still come is looked for again after this time, and then when it has waited for twice as long, ns.
const FIRST_LOOK_NS: i64 = 5_000_000_000;

/// What is not known of what earlier runs asked for.
#[derive(Debug, Default)]
pub(crate) struct Open {
    /// Keys whose lines stay: they can't be looked at now, are not in scope, or may still get what was sent.
    pub(crate) keys: Vec<Key>,
    /// Of what may still happen: the key, and the time until it is worth a look, ns.
    pub(crate) late: Vec<(Key, i64)>,
}

/// Keys at which something may change while they are listed, by what earlier runs asked for.
pub(crate) type Unsettled = Arc<HashSet<Key>>;

impl Open {
    /// What is to be looked at once more when it is decided.
    pub(crate) fn unsettled(&self) -> Unsettled {
        Arc::new(self.keys.iter().chain(self.late.iter().map(|(key, _)| key)).cloned().collect())
    }

    /// Whether this may still happen, looked for in vain now and before at `missed_ns`.
    fn expects(&mut self, cycle: &Cycle<'_>, at: Side, key: &Key, missed_ns: Option<i64>) -> bool {
        let age = missed_ns.map_or(0, |missed| cycle.now_ns.saturating_sub(missed));
        // A clock that was set, and a directory: what a killed process asked of it is done or never will be.
        let expects = (0..LATE_NS).contains(&age) && cycle.of(at).capabilities().read_cost == ReadCost::Transfer;
        if expects {
            self.late.push((key.clone(), age.clamp(FIRST_LOOK_NS, (LATE_NS - age).max(FIRST_LOOK_NS))));
        }
        expects
    }
}

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

/// Records what a killed run sent to the sides that this one may change and deleted there, as far as it is in scope.
///
/// # Errors
/// The manifest failed, or a side can't be used at all.
pub(crate) async fn recover(cycle: &Cycle<'_>) -> Result<Open, Error> {
    let mut open = Open::default();
    for to in cycle.writes {
        deletions_at(cycle, *to, &mut open).await?;
        recover_at(cycle, *to, &mut open).await?;
    }
    Ok(open)
}

/// What a killed run deleted at a side, or may have. The key is gone there by our own hand, or something else was put
/// there since: what is at either side now is new, and nobody's deletion of the other. What stands there as it was is
/// still to be deleted, if that is still decided.
async fn deletions_at(cycle: &Cycle<'_>, at: Side, open: &mut Open) -> Result<(), Error> {
    let (mut unsure, mut known) = (Vec::new(), Vec::new());
    for line in cycle.manifest.deleting(at)?.into_iter().filter(|line| cycle.scope.holds(&line.key)) {
        // What was recorded needs no look, unless it was asked for more than once.
        if cycle.manifest.get(&line.key)?.is_some() {
            unsure.push(line);
        } else if line.missed_ns.is_none() || !open.expects(cycle, at, &line.key, line.missed_ns) {
            known.push(line.key);
        }
    }
    let look = async |line: Deleting| {
        let found = cycle.of(at).look_up(&line.key).await;
        // Whatever stands where it was seen to stand before is an edit like any other.
        let stands = |found: Entry| found.version == line.version || line.missed_ns.is_some();
        let stands = found.map(|found| found.is_some_and(stands));
        (line, stands)
    };
    let mut looked = iter(unsure).map(look).buffered(LOOK_UPS);
    let (mut records, mut stand) = (Vec::new(), Vec::new());
    while let Some((line, stands)) = looked.next().await {
        match stands {
            Ok(true) if open.expects(cycle, at, &line.key, line.missed_ns) => stand.push(line.key),
            Ok(true) => known.push(line.key),
            Ok(false) => {
                records.push(Record::Forget(line.key.clone()));
                known.push(line.key);
            }
            Err(error) if error.cause == Cause::Stop => return Err(error),
            // As long as nobody knows, nothing is decided: it is looked at once more then.
            Err(_) => open.keys.push(line.key),
        }
    }
    drop(looked);
    cycle.manifest.record(&records)?;
    cycle.manifest.stands(at, &stand, cycle.now_ns)?;
    Ok(cycle.manifest.end_deleting(at, &known)?)
}

async fn recover_at(cycle: &Cycle<'_>, to: Side, open: &mut Open) -> Result<(), Error> {
    if !cycle.manifest.has_sending(to)? {
        return Ok(());
    }
    // What was recorded needs no look.
    let unaccounted = cycle.manifest.unaccounted(to)?;
    let (in_scope, others): (Vec<_>, Vec<_>) = unaccounted.into_iter().partition(|line| cycle.scope.holds(&line.key));
    let mut looked = iter(in_scope).map(|line| look(cycle, to, line)).buffered(LOOK_UPS);
    let (mut records, mut missed) = (Vec::new(), Vec::new());
    let mut left: Vec<Key> = others.into_iter().map(|line| line.key).collect();
    while let Some((line, found)) = looked.next().await {
        match found {
            Ok(Found::Ours(entry)) => records.push(Record::Put(agreed(line, to, entry))),
            Ok(Found::Nothing) if line.blake3.is_none() => {}
            Ok(Found::Nothing) => {
                if open.expects(cycle, to, &line.key, line.missed_ns) {
                    left.push(line.key.clone());
                    missed.push(line);
                }
            }
            Err(error) if error.cause == Cause::Stop => return Err(error),
            // It was answered, and may come once more: for its time.
            Ok(Found::SameOrigin) if line.missed_ns.is_some() => open.keys.push(line.key),
            // Comparing may not happen before the next kill: the line stays until a record accounts for it.
            Ok(Found::SameOrigin) | Err(_) => left.push(line.key),
        }
    }
    drop(looked);
    cycle.manifest.record(&records)?;
    cycle.manifest.missed(to, &missed, cycle.now_ns)?;
    cycle.manifest.end_sending(to, &left, Expecting { now_ns: cycle.now_ns, for_ns: LATE_NS })?;
    open.keys.append(&mut left);
    Ok(())
}

/// Looks once more at a key of which it is open what earlier runs did there: a server may have done it since [`recover`]
/// looked. What is decided is decided by this one look; what comes later meets the preconditions.
///
/// # Errors
/// A side could not be asked, or the manifest failed.
pub(crate) async fn look_again(cycle: &Cycle<'_>, triple: &mut Triple) -> Result<(), Error> {
    for at in cycle.writes.iter().copied() {
        let is_gone_by_us = cycle.manifest.is_deleting(at, &triple.key)?;
        let lines = cycle.manifest.sending_of(at, &triple.key)?;
        if lines.is_empty() && !is_gone_by_us {
            continue;
        }
        let found = cycle.of(at).look_up(&triple.key).await?;
        let origin = triple.entry(at.other()).map(|entry| entry.version.clone());
        let is_open =
            |line: &Sending| Some(&line.version) != origin.as_ref() && may_arrive(line, triple.base.as_ref(), at);
        let base = triple.base.clone();
        let is_it = |line: &Sending, entry: &Entry| is_new(line, entry, base.as_ref(), at) && has_it(line, entry);
        let ours = |entry: &Entry| lines.iter().rev().find(|line| is_open(line) && is_it(line, entry));
        let record = match &found {
            None if is_gone_by_us && triple.base.is_some() => Some(Record::Forget(triple.key.clone())),
            Some(entry) => ours(entry).map(|line| Record::Put(agreed(line.clone(), at, entry.clone()))),
            None => None,
        };
        if let Some(record) = record {
            cycle.manifest.record(std::slice::from_ref(&record))?;
            triple.base = match record {
                Record::Put(base) => Some(base),
                Record::Forget(_) | Record::Lapse(_) | Record::Styled(_) => None,
            };
        }
        let presence = found.map_or(Presence::Absent, Presence::Present);
        match at {
            Side::Source => triple.source = presence,
            Side::Dest => triple.dest = presence,
        }
    }
    Ok(())
}

/// Both sides held what was sent to `to`.
fn agreed(line: Sending, to: Side, arrived: Entry) -> BaseRecord {
    let (source, dest) = match to {
        Side::Dest => (line.version, arrived.version),
        Side::Source => (arrived.version, line.version),
    };
    BaseRecord {
        key: line.key,
        size: arrived.size,
        source,
        dest,
        digests: arrived.digests,
        lapsed: false,
        marks: Marks::default(),
    }
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
        Ok(_) => arrived(cycle, to, &line).await,
        Err(error) => Err(error),
    };
    (line, found)
}

async fn arrived(cycle: &Cycle<'_>, to: Side, line: &Sending) -> Result<Found, Error> {
    let replica = cycle.of(to);
    let base = cycle.manifest.get(&line.key)?;
    if line.blake3.is_none() || !may_arrive(line, base.as_ref(), to) {
        return Ok(Found::Nothing);
    }
    let found = replica.look_up(&line.key).await?;
    let Some(mut entry) = found.filter(|entry| is_new(line, entry, base.as_ref(), to)) else {
        return Ok(Found::Nothing);
    };
    // A directory keeps no digest, and gives its content at no cost.
    if entry.digests.get(DigestKind::Blake3).is_none() && replica.capabilities().read_cost == ReadCost::Cheap {
        match read(replica, &cycle.buffers, &line.key, &entry, &Want::default()).await {
            Ok(digests) => entry.digests.merge(&digests),
            // It is being changed by somebody, so it is not what we left there.
            Err(error) if matches!(error.cause, Cause::Changed | Cause::NotFound) => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        }
    }
    Ok(if has_it(line, &entry) { Found::Ours(entry) } else { Found::Nothing })
}

/// Whether it may arrive with what both sides held last. Where the key was written since, what was asked for before that
/// meets its precondition only if the same version is there again, or nothing.
fn may_arrive(line: &Sending, base: Option<&BaseRecord>, at: Side) -> bool {
    !line.is_outdated || base.map(|base| base.version(at)) == line.replaces.as_ref()
}

/// Whether this is neither what was there before nor what both sides are known to have held last.
fn is_new(line: &Sending, entry: &Entry, base: Option<&BaseRecord>, at: Side) -> bool {
    let agreed = base.filter(|base| !base.lapsed).map(|base| base.version(at));
    entry.size == line.size && line.replaces.as_ref() != Some(&entry.version) && agreed != Some(&entry.version)
}

/// Whether it is known to have the content that was sent.
fn has_it(line: &Sending, entry: &Entry) -> bool {
    match (&line.blake3, entry.digests.get(DigestKind::Blake3)) {
        (Some(sent), Some(found)) => *found.text == **sent,
        _ => false,
    }
}

/// The lines for a page of actions, as far as they send content to `side`.
pub(crate) fn lines(actions: &[Action], side: Side, replica: &dyn Replica) -> Vec<Sending> {
    let honours = replica.capabilities().conditional_put == Ability::Proven;
    // Many services copy without one.
    let is_conditional = |action: &Action| honours && matches!(action.verb, Verb::Create | Verb::Overwrite);
    let of_side = actions.iter().filter(|action| action.side == side);
    of_side.filter_map(|action| line(action, is_conditional(action))).collect()
}

fn line(action: &Action, is_conditional: bool) -> Option<Sending> {
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
        is_conditional,
        missed_ns: None,
        is_outdated: false,
    })
}
