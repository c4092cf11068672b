//! Who is there: both places are contacted without a change before anything is planned, and those that are to be changed
//! are made ready after the guard has seen the plan.

use crate::model::{Key, Side};
use crate::plan::guard::{Place, Stranger};
use crate::plan_store::PlanStore;
use crate::replica::{Cause, Connected, Contact, Error, ReadCost};
use crate::sync::{Cycle, Observer};

/// Who answered at the two places.
#[derive(Debug)]
pub(crate) struct Met {
    pub(crate) source: Option<String>,
    pub(crate) dest: Option<String>,
    /// Sides that do not exist yet.
    pub(crate) new: Vec<Side>,
    pub(crate) strangers: Vec<Stranger>,
    /// Keys of which nobody knows yet what became of what an earlier run sent there.
    pub(crate) unaccounted: Vec<Key>,
}

impl Met {
    /// How people call a side that is not who it was.
    pub(crate) fn stranger(&self) -> Option<&str> {
        self.strangers.first().map(|stranger| stranger.name.as_str())
    }

    /// Whether a side does not exist yet.
    pub(crate) fn is_new(&self, side: Side) -> bool {
        self.new.contains(&side)
    }

    pub(crate) fn identity(&self, side: Side) -> Option<&str> {
        match side {
            Side::Source => self.source.as_deref(),
            Side::Dest => self.dest.as_deref(),
        }
    }
}

/// Whether a side that is assumed is not even contacted. A directory always is: that costs nothing, and another disk may
/// be at its path by now.
fn takes_for_granted(cycle: &Cycle<'_>, side: Side) -> bool {
    cycle.assumed == Some(side) && cycle.of(side).capabilities().read_cost == ReadCost::Transfer
}

/// Contacts both sides without changing anything, and compares who answers with who answered last time.
pub(crate) async fn meet(cycle: &Cycle<'_>, observer: &dyn Observer) -> Result<Met, Error> {
    let mut met = Met { source: None, dest: None, new: Vec::new(), strangers: Vec::new(), unaccounted: Vec::new() };
    for side in Side::BOTH {
        let (replica, known) = (cycle.of(side), cycle.manifest.identity(side)?);
        if known.is_some() && takes_for_granted(cycle, side) {
            match side {
                Side::Source => met.source = known,
                Side::Dest => met.dest = known,
            }
            continue;
        }
        let connected = match replica.connect(Contact::Look).await {
            Ok(connected) => connected,
            // A place that is to be changed and was never there is an empty one, if there is another to fill it from.
            // One that vanished is a stranger.
            Err(error)
                if error.cause == Cause::NotFound
                    && known.is_none()
                    && cycle.writes.contains(&side)
                    && met.new.is_empty() =>
            {
                met.new.push(side);
                Connected { identity: None, notices: Vec::new(), findings: None }
            }
            Err(error) => return Err(Error { cause: Cause::Stop, ..error }),
        };
        for notice in &connected.notices {
            observer.notice(notice);
        }
        if known.is_some() && known != connected.identity {
            let place = match replica.capabilities().read_cost {
                ReadCost::Cheap => Place::Directory,
                ReadCost::Transfer => Place::Bucket,
            };
            met.strangers.push(Stranger { name: replica.name().to_owned(), place });
        }
        match side {
            Side::Source => met.source = connected.identity,
            Side::Dest => met.dest = connected.identity,
        }
    }
    Ok(met)
}

/// Makes the sides ready that are met for the first time or about to be changed, after somebody agreed.
pub(crate) async fn prepare(
    cycle: &Cycle<'_>,
    plan: &PlanStore,
    met: &mut Met,
    observer: &dyn Observer,
) -> Result<(), Error> {
    let mut agreed = false;
    for side in cycle.writes {
        let known = cycle.manifest.identity(*side)?.is_some();
        if known && takes_for_granted(cycle, *side) {
            continue;
        }
        let first = !known && !met.is_new(*side);
        if !first && met.strangers.is_empty() && plan.counts_at(*side).changes() == 0 {
            continue;
        }
        if !agreed {
            observer.agree(&plan.counts()).await?;
            agreed = true;
        }
        let prepared = cycle.of(*side).connect(Contact::Prepare).await?;
        // A run that is killed later must not leave it to be found out again.
        if let Some(findings) = &prepared.findings {
            cycle.manifest.set_probe(*side, findings)?;
        }
        for notice in &prepared.notices {
            observer.notice(notice);
        }
        match side {
            Side::Source => met.source = prepared.identity,
            Side::Dest => met.dest = prepared.identity,
        }
    }
    Ok(())
}
