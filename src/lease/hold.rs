//! Holding the lease while something is changed: by a cycle, or by a command that works on a place without one.

use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::{Claim, Lease};
use crate::manifest::Manifest;
use crate::model::{ReadCost, Side};
use crate::plan_store::PlanStore;
use crate::replica::fence::{Fenced, Permit};
use crate::replica::{Cause, Error, Replica, lease};
use crate::sync::{Cycle, Looked, Observer};

/// Does `work` with the cycle, or, if it is to hold a lease and has anything to change, with the cycle behind a fence
/// that stands as long as the lease is ours. A lease that is lost ends the work, and a plan that was made before another
/// host was waited for is not begun ([`Cause::Outdated`]) unless somebody asked for exactly that one.
pub(crate) async fn while_held<T>(
    cycle: &Cycle<'_>,
    (plan, looked): (&PlanStore, Looked),
    observer: &dyn Observer,
    work: impl AsyncFnOnce(&Cycle<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let Some(claim) = cycle.lease.filter(|_| plan.counts().changes() > 0) else { return work(cycle).await };
    let hold = Hold::take(place(cycle), claim, Some(cycle.manifest)).await.map_err(ending)?;
    let fenced = behind(cycle, &hold.lease);
    let is_outdated = claim.has_waited() && looked == Looked::AtTheScope;
    let work = async { if is_outdated { Err(outdated(place(cycle).name())) } else { work(&fenced).await } };
    while_all_held(&[hold], |text| observer.notice(text), work).await
}

fn outdated(name: &str) -> Error {
    Error::new(Cause::Outdated, format!("another host was at {name} until now")).hint("run it again")
}

/// A lease that is held at a place. Dropped outside [`while_all_held`] it ends by itself.
#[derive(Debug)]
pub struct Hold {
    lease: Arc<Lease>,
    at: Arc<dyn Replica>,
}

impl Hold {
    /// Takes the lease of a place. `manifest` is that of the pair that it belongs to, if this host knows it: who has it
    /// open holds the lock of the pair, so whoever else wrote down a name there is gone.
    ///
    /// # Errors
    /// [`Cause::Leased`] if another host holds it, [`Cause::Unsupported`] if the place can't hold one; else what the
    /// place or the manifest says.
    pub async fn take(at: &Arc<dyn Replica>, claim: &Claim, manifest: Option<&Manifest>) -> Result<Self, Error> {
        let leases = at.leases().ok_or_else(|| lease::none(at.name(), "it may not be changed"))?;
        let (holder, own) = (Claim::holder(), manifest.map_or_else(|| Ok(Vec::new()), Manifest::lease_holders)?);
        let noted: Vec<String> = own.iter().chain([&holder]).cloned().collect();
        manifest.map_or(Ok(()), |manifest| manifest.set_lease_holders(&noted))?;
        let lease = Arc::new(claim.take(leases, at.name(), &holder, &own).await?);
        manifest.map_or(Ok(()), |manifest| manifest.set_lease_holders(&[holder]))?;
        Ok(Self { lease, at: Arc::clone(at) })
    }

    /// The place, behind a fence that stands as long as the lease is held.
    pub fn fenced(&self) -> Arc<dyn Replica> {
        Arc::new(Fenced::new(Arc::clone(&self.at), Arc::<Lease>::clone(&self.lease) as _))
    }

    /// See [`Lease::keep`].
    async fn keep(&self) -> Error {
        match self.at.leases() {
            Some(leases) => self.lease.keep(leases).await,
            None => std::future::pending().await,
        }
    }
}

/// Does `work` while leases are renewed, and gives them back. One that is lost ends the work; what could not be given back
/// is told.
///
/// # Errors
/// The work's, or which lease was lost.
pub async fn while_all_held<T, E: From<Error>>(
    holds: &[Hold],
    tell: impl Fn(&str),
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let mut keeps: FuturesUnordered<_> = holds.iter().map(Hold::keep).collect();
    let done = tokio::select! {
        biased;
        Some(lost) = keeps.next() => Err(lost.into()),
        done = work => done,
    };
    drop(keeps);
    for hold in holds {
        let Some(leases) = hold.at.leases() else { continue };
        if let Err(error) = hold.lease.give_back(leases).await {
            let name = hold.at.name();
            tell(&format!("{error}; the lease of {name} ends by itself, other hosts wait until then"));
        }
    }
    done
}

/// For a host that saw another one hold the lease: whether it still does. One request, and nothing is written: the place
/// is not contacted first, since it was when the lease was seen.
///
/// # Errors
/// [`Cause::Leased`] if it does; else what the place says.
pub async fn stand_by(cycle: &Cycle<'_>, claim: &Claim) -> Result<(), Error> {
    if claim.seen().is_none() {
        return Ok(());
    }
    let replica = place(cycle);
    let Some(leases) = replica.leases() else { return Ok(()) };
    claim.look(leases, replica.name(), &cycle.manifest.lease_holders()?).await
}

/// Where the lease of a pair lies: at the side that is written; of two at the one that other hosts see as well.
pub fn lies_at(writes: &[Side], is_shared: impl Fn(Side) -> bool) -> Side {
    match writes {
        [only] => *only,
        _ if is_shared(Side::Source) && !is_shared(Side::Dest) => Side::Source,
        _ => Side::Dest,
    }
}

fn place<'a>(cycle: &'a Cycle<'_>) -> &'a Arc<dyn Replica> {
    match lies_at(cycle.writes, |side| cycle.of(side).capabilities().read_cost == ReadCost::Transfer) {
        Side::Source => &cycle.source,
        Side::Dest => &cycle.dest,
    }
}

fn behind<'a>(cycle: &Cycle<'a>, held: &Arc<Lease>) -> Cycle<'a> {
    let fenced = |side: Side, replica: &Arc<dyn Replica>| -> Arc<dyn Replica> {
        if cycle.writes.contains(&side) {
            let permit: Arc<dyn Permit> = Arc::<Lease>::clone(held);
            Arc::new(Fenced::new(Arc::clone(replica), permit))
        } else {
            Arc::clone(replica)
        }
    };
    let (source, dest) = (fenced(Side::Source, &cycle.source), fenced(Side::Dest, &cycle.dest));
    Cycle { source, dest, ..cycle.clone() }
}

/// Without a lease nothing is changed, whatever the reason.
fn ending(error: Error) -> Error {
    match error.cause {
        Cause::Leased | Cause::Stop | Cause::Transient { .. } => error,
        _ => Error { cause: Cause::Stop, ..error },
    }
}
