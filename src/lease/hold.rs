//! Holding the lease while a cycle changes something.

use std::sync::Arc;

use super::{Claim, Lease};
use crate::model::{ReadCost, Side};
use crate::plan_store::PlanStore;
use crate::replica::fence::{Fenced, Permit};
use crate::replica::{Cause, Error, Replica, lease};
use crate::sync::{Cycle, Observer};

/// Does `work` with the cycle, or, if it is to hold a lease and has anything to change, with the cycle behind a fence
/// that stands as long as the lease is ours. A lease that is lost ends the work.
pub(crate) async fn while_held<T>(
    cycle: &Cycle<'_>,
    plan: &PlanStore,
    observer: &dyn Observer,
    work: impl AsyncFnOnce(&Cycle<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let Some(claim) = cycle.lease.filter(|_| plan.counts().changes() > 0) else { return work(cycle).await };
    let replica = Arc::clone(place(cycle));
    let name = replica.name();
    let leases = replica.leases().ok_or_else(|| lease::none(name, "it may not be changed")).map_err(ending)?;
    let held = Arc::new(taken(cycle, claim, &*replica).await.map_err(ending)?);
    let fenced = behind(cycle, &held);
    let done = tokio::select! {
        biased;
        lost = held.keep(leases) => Err(lost),
        done = work(&fenced) => done,
    };
    if let Err(error) = held.give_back(leases).await {
        observer.notice(&format!("{error}; the lease of {name} ends by itself, other hosts wait until then"));
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

/// Where the lease lies: at the side that is written; of two at the one that other hosts see as well.
fn place<'a>(cycle: &'a Cycle<'_>) -> &'a Arc<dyn Replica> {
    let is_shared = |side: &Side| cycle.of(*side).capabilities().read_cost == ReadCost::Transfer;
    let side = match cycle.writes {
        [only] => *only,
        _ if is_shared(&Side::Source) && !is_shared(&Side::Dest) => Side::Source,
        _ => Side::Dest,
    };
    match side {
        Side::Source => &cycle.source,
        Side::Dest => &cycle.dest,
    }
}

/// The lock of the pair is held: whoever else wrote down a name here is gone.
async fn taken(cycle: &Cycle<'_>, claim: &Claim, replica: &dyn Replica) -> Result<Lease, Error> {
    let leases = replica.leases().ok_or_else(|| lease::none(replica.name(), "it may not be changed"))?;
    let (holder, own) = (Claim::holder(), cycle.manifest.lease_holders()?);
    let noted: Vec<String> = own.iter().chain([&holder]).cloned().collect();
    cycle.manifest.set_lease_holders(&noted)?;
    let lease = claim.take(leases, replica.name(), &holder, &own).await?;
    cycle.manifest.set_lease_holders(&[holder])?;
    Ok(lease)
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
