//! Deletions: looked at once more right before, in batches, each with its version.

use futures_util::stream::{StreamExt, iter};

use crate::manifest::{Record, Spent};
use crate::model::{Action, Expect, Key, Problem, ProblemKind, Reason, Side, Version};
use crate::plan_store::PhaseIter;
use crate::replica::{Cause, Contact, Error, Replica};

use super::{Executor, Ledger, Outcome, outcome_of};

/// Keys a batch: the limit of S3's DeleteObjects.
const BATCH: usize = 1_000;
/// Look-ups at the same time.
const LOOK_UPS: usize = 16;

impl Executor<'_> {
    pub(super) async fn removals(&self, mut actions: PhaseIter<'_>, ledger: &mut Ledger<'_>) -> Result<(), Error> {
        loop {
            let batch = actions.by_ref().take(BATCH).collect::<Result<Vec<_>, _>>()?;
            if batch.is_empty() {
                return Ok(());
            }
            for side in [Side::Dest, Side::Source] {
                let of_side: Vec<Action> = batch.iter().filter(|action| action.side == side).cloned().collect();
                if !of_side.is_empty() {
                    self.remove_batch(of_side, side, ledger).await?;
                }
            }
        }
    }

    async fn remove_batch(&self, batch: Vec<Action>, side: Side, ledger: &mut Ledger<'_>) -> Result<(), Error> {
        self.same_places().await?;
        // What was acknowledged is recorded first: the new halves of renames are looked up there.
        ledger.flush()?;
        let (witness, place) = match side {
            Side::Dest => (&self.sides.source, &self.sides.dest),
            Side::Source => (&self.sides.dest, &self.sides.source),
        };
        let mut looked = iter(batch).map(|action| still_absent(&**witness, action)).buffered(LOOK_UPS);
        let mut sure = Vec::new();
        while let Some((action, looked)) = looked.next().await {
            match looked {
                Ok(()) => sure.push(action),
                Err(error) => ledger.settle(outcome_of(&action, error)?)?,
            }
        }
        drop(looked);
        let mut targets: Vec<(Key, Version)> = Vec::with_capacity(sure.len());
        let mut deleting = Vec::with_capacity(sure.len());
        for action in sure {
            if let Some(problem) = self.without_its_new_half(&action)? {
                ledger.settle(Outcome::Problem(problem))?;
                continue;
            }
            match &action.expect {
                Expect::Version(version) => {
                    targets.push((action.key.clone(), version.clone()));
                    deleting.push(action);
                }
                // A deletion without a version that was seen is never carried out.
                Expect::Absent => {
                    let message = format!("{}: the plan deletes it without having seen it", action.key);
                    ledger.settle(Outcome::Problem(Problem::of(&action.key, ProblemKind::Raced, message)))?;
                }
            }
        }
        // Booked before acting: a crash counts too much, never too little.
        let mut spent = Spent::default();
        for action in deleting.iter().filter(|action| !matches!(action.reason, Reason::Renamed { .. })) {
            spent.deletes += 1;
            spent.delete_bytes += action.size;
        }
        self.manifest.spend(self.book.run, spent, self.book.now_ns)?;
        let results = place.delete(&targets).await;
        for (action, result) in deleting.into_iter().zip(results) {
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
        Ok(())
    }

    /// The old half of a rename stays while the new one was not made: it may be the only copy of the content there.
    fn without_its_new_half(&self, action: &Action) -> Result<Option<Problem>, Error> {
        let Reason::Renamed { from: new } = &action.reason else { return Ok(None) };
        let made = self.manifest.get(new)?.is_some_and(|record| record.size == action.size && !record.lapsed);
        if made {
            return Ok(None);
        }
        let message = format!("{}: not deleted, because its new name {new} could not be made", action.key);
        Ok(Some(Problem::of(&action.key, ProblemKind::Failed, message).hint("the next run tries both again")))
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
