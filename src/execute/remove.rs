//! Deletions: looked at once more right before, in batches, each with its version.

use futures_util::stream::{StreamExt, iter};

use crate::manifest::{Record, Spent};
use crate::model::{Action, Digests, Expect, Key, Problem, ProblemKind, Reason, Sameness, Side, Version, same_content};
use crate::plan_store::{Phase, PlanStore};
use crate::replica::{Cause, Contact, Error, Replica};

use super::{Executor, Ledger, Outcome, answered, outcome_of};

/// Keys a batch: the limit of S3's DeleteObjects.
const BATCH: usize = 1_000;
/// Look-ups at the same time.
const LOOK_UPS: usize = 16;
/// Failed writes that are looked at for one deletion; with more it waits.
const FAILED: usize = 16;

impl Executor<'_> {
    pub(super) async fn removals(&self, plan: &PlanStore, phase: Phase, ledger: &mut Ledger<'_>) -> Result<(), Error> {
        let mut actions = plan.phase(phase);
        loop {
            let batch = actions.by_ref().take(BATCH).collect::<Result<Vec<_>, _>>()?;
            if batch.is_empty() {
                return Ok(());
            }
            for side in Side::BOTH {
                let of_side: Vec<Action> = batch.iter().filter(|action| action.side == side).cloned().collect();
                if !of_side.is_empty() {
                    self.remove_batch(plan, of_side, side, ledger).await?;
                }
            }
        }
    }

    async fn remove_batch(
        &self,
        plan: &PlanStore,
        batch: Vec<Action>,
        side: Side,
        ledger: &mut Ledger<'_>,
    ) -> Result<(), Error> {
        self.same_places().await?;
        // What was acknowledged is recorded first: the new halves of moves are looked up there.
        ledger.flush()?;
        let (witness, place) = (self.sides.of(side.other()), self.sides.of(side));
        let mut looked = iter(batch).map(|action| still_absent(witness, action)).buffered(LOOK_UPS);
        let mut sure = Vec::new();
        while let Some((action, looked)) = looked.next().await {
            match looked {
                Ok(()) => sure.push(action),
                Err(error) => ledger.settle(outcome_of(&action, error)?)?,
            }
        }
        drop(looked);
        let mut ready = Vec::with_capacity(sure.len());
        for action in sure {
            match self.waits(plan, &action)? {
                Some(problem) => ledger.settle(Outcome::Problem(problem))?,
                None => ready.push(action),
            }
        }
        let (targets, deleting) = self.keep_all(ready, ledger).await?;
        // Booked before acting: a crash counts too much, never too little.
        let mut spent = Spent::default();
        for action in deleting.iter().filter(|action| !matches!(action.reason, Reason::Renamed { .. })) {
            spent.deletes += 1;
            spent.delete_bytes += action.size;
        }
        self.manifest.spend(self.book.run, spent, self.book.now_ns)?;
        self.manifest.begin_deleting(side, &targets, self.book.now_ns)?;
        let results = place.delete(&targets).await;
        let mut known = Vec::with_capacity(targets.len());
        for (action, result) in deleting.into_iter().zip(results) {
            // What failed otherwise may have happened: the next run looks.
            if let Ok(()) | Err(Error { cause: Cause::NotFound | Cause::Precondition, .. }) = &result {
                known.push((action.key.clone(), answered(place, &action.key)));
            }
            let outcome = match result {
                // Somebody else deleted it meanwhile: both sides lost the key.
                Ok(()) | Err(Error { cause: Cause::NotFound, .. }) => {
                    let record = Record::Forget(action.key.clone());
                    Outcome::Done(Box::new(action), record)
                }
                Err(error) => outcome_of(&action, error)?,
            };
            ledger.settle(outcome)?;
        }
        ledger.flush()?;
        Ok(self.manifest.is_deleted(side, &known, self.book.now_ns)?)
    }

    /// Keeps what goes. What can be deleted then, with the version that it has now.
    async fn keep_all(
        &self,
        ready: Vec<Action>,
        ledger: &mut Ledger<'_>,
    ) -> Result<(Vec<(Key, Version)>, Vec<Action>), Error> {
        let mut targets = Vec::with_capacity(ready.len());
        let mut deleting = Vec::with_capacity(ready.len());
        let keep = async |action: Action| {
            let kept = self.keep(&action).await;
            (action, kept)
        };
        let mut kept = iter(ready).map(keep).buffered(LOOK_UPS);
        while let Some((action, kept)) = kept.next().await {
            match kept {
                Ok(Expect::Version(version)) => {
                    targets.push((action.key.clone(), version));
                    deleting.push(action);
                }
                // A deletion without a version that was seen is never carried out.
                Ok(Expect::Absent) => {
                    let message = format!("{}: the plan deletes it without having seen it", action.key);
                    ledger.settle(Outcome::Problem(Problem::of(&action.key, ProblemKind::Raced, message)))?;
                }
                Err(error) => ledger.settle(outcome_of(&action, error)?)?,
            }
        }
        Ok((targets, deleting))
    }

    /// The old half of a move stays while the new one was not made: it may be the only copy of the content there.
    fn waits(&self, plan: &PlanStore, action: &Action) -> Result<Option<Problem>, Error> {
        let missing = match &action.reason {
            Reason::Renamed { from: new } => (!self.has_new_half(action, new)?).then(|| new.clone()),
            Reason::DeletedAtSource if action.size > 0 => self.failed_half(plan, action)?,
            _ => None,
        };
        let Some(new) = missing else { return Ok(None) };
        let message = match &action.reason {
            Reason::Renamed { .. } => {
                format!("{}: not deleted, because its new name {new} could not be made", action.key)
            }
            _ => format!(
                "{}: not deleted: {new} has its size and could not be written, and may be its new name",
                action.key
            ),
        };
        Ok(Some(Problem::of(&action.key, ProblemKind::Failed, message).hint("the next run tries both again")))
    }

    /// Whether this very run made the new half of a rename. A record by itself proves nothing: it may be of an earlier
    /// run, and the destination may have lost that.
    fn has_new_half(&self, action: &Action, new: &Key) -> Result<bool, Error> {
        if !self.manifest.was_written(action.side, new)? {
            return Ok(false);
        }
        let Some(made) = self.manifest.get(new)?.filter(|made| !made.lapsed) else { return Ok(false) };
        let old = self.known(action)?;
        Ok(same_content(action.size, &old, made.size, &made.digests) == Sameness::Same)
    }

    /// A key that this run could not write and that may have got the content: a file that was moved over another one, or
    /// to a new name where the destination can't copy.
    fn failed_half(&self, plan: &PlanStore, action: &Action) -> Result<Option<Key>, Error> {
        let failed = self.manifest.unwritten(action.side, action.size, FAILED + 1)?;
        if failed.len() > FAILED {
            return Ok(failed.into_iter().next());
        }
        for key in failed {
            let mut planned = plan.get(Phase::Send, &key)?;
            if planned.is_none() {
                planned = plan.get(Phase::Copy, &key)?;
            }
            let digests = planned.map(|planned| planned.digests).unwrap_or_default();
            if same_content(action.size, &self.known(action)?, action.size, &digests) != Sameness::Different {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// What is known of the content that a deletion takes away.
    fn known(&self, action: &Action) -> Result<Digests, Error> {
        let mut digests = action.digests.clone();
        if let Some(base) = self.manifest.get(&action.key)? {
            digests.merge(&base.digests);
        }
        Ok(digests)
    }

    /// Both sides are still who they were when the plan was made: a disk may have been unmounted since.
    async fn same_places(&self) -> Result<(), Error> {
        let (source, dest) = self.identities;
        for (replica, known) in [(&self.sides.source, source), (&self.sides.dest, dest)] {
            let now = replica.connect(Contact::Look).await?.identity;
            if known.is_some() && now != *known {
                let message =
                    format!("{} became another place during the run; nothing more is deleted", replica.name());
                return Err(Error::new(Cause::Stop, message).hint("check that it is mounted, then run again"));
            }
        }
        Ok(())
    }
}

/// The other side really does not have the key: the last proof before a deletion. An extra that a mirror removes needs
/// it too.
async fn still_absent(witness: &dyn Replica, action: Action) -> (Action, Result<(), Error>) {
    let looked = match witness.look_up(&action.key).await {
        Ok(None) => Ok(()),
        Ok(Some(_)) => {
            let message = format!("{}: it is at {} again; not deleted", action.key, witness.name());
            Err(Error::new(Cause::Changed, message))
        }
        Err(error) => Err(error),
    };
    (action, looked)
}
