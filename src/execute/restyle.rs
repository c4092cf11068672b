//! Objects that get what header rules say: their content is neither read nor sent.

use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::{Executor, LINGER, Ledger, Outcome, outcome_of};
use crate::manifest::{Record, Styled};
use crate::model::{Action, Expect, Key, Marks, Reason, Ruled, Side, StyleMark, Verb, Version};
use crate::plan_store::{Phase, PlanStore};
use crate::replica::{Cause, Error, Put, Restyled};
use crate::survey::problem_of;

impl Executor<'_> {
    /// What the rules say of a key at a side.
    pub(super) fn ruled(&self, side: Side, key: &Key) -> Arc<Ruled> {
        if side == self.styling.side { self.styling.rules.of(key) } else { Arc::default() }
    }

    /// What is remembered of the style of what was just written.
    pub(super) fn marks(&self, side: Side, key: &Key) -> Marks {
        Marks::at(side, self.ruled(side, key).mark.clone())
    }

    pub(super) async fn restyles(&self, plan: &PlanStore, ledger: &mut Ledger<'_>) -> Result<(), Error> {
        let mut running = FuturesUnordered::new();
        let mut actions = plan.phase(Phase::Restyle);
        loop {
            while running.len() < self.concurrency.max(1)
                && let Some(action) = actions.next()
            {
                let action = action?;
                running.push(async move {
                    match self.restyle(&action).await {
                        Ok((reason, record)) => Ok(Outcome::Done(Box::new(Action { reason, ..action }), record)),
                        Err(error) if error.cause == Cause::Unsupported => Ok(stuck(&action, &error)),
                        Err(error) => outcome_of(&action, error),
                    }
                });
            }
            match tokio::time::timeout(LINGER, running.next()).await {
                Err(_) => ledger.flush()?,
                Ok(None) => return Ok(()),
                Ok(Some(outcome)) => ledger.settle(outcome?)?,
            }
        }
    }

    async fn restyle(&self, action: &Action) -> Result<(Reason, Record), Error> {
        let key = &action.key;
        let (Verb::Restyle { mark, retype }, Expect::Version(was)) = (&action.verb, &action.expect) else {
            return Err(Error::new(Cause::Stop, format!("{key}: a plan changes no headers here")));
        };
        let ruled = self.ruled(action.side, key);
        if ruled.mark != *mark {
            let message = format!("{key}: the header rules are not those that the plan was made with");
            return Err(Error::new(Cause::Changed, message).hint("make the plan again"));
        }
        let journal = self.manifest.upload_journal(action.side);
        let put = Put {
            expect: &action.expect,
            digests: &action.digests,
            mtime_ns: None,
            attributes: None,
            style: Some(&ruled.style),
            parts: None,
            journal: &journal,
            buffers: self.buffers,
            meter: &self.progress.sent,
        };
        match self.sides.of(action.side).restyle(key, &put, *retype).await? {
            Restyled::AsRuled => Ok((Reason::AsRuled, styled(action, was, was.clone(), mark.as_ref()))),
            Restyled::Done(entry) => {
                let mut known = action.clone();
                known.digests.merge(&entry.digests);
                let reason = match &action.reason {
                    Reason::NotKnown => Reason::RulesSay,
                    known => known.clone(),
                };
                Ok((reason, styled(&known, was, entry.version, mark.as_ref())))
            }
        }
    }
}

/// An object that can't be changed is told now, and counted from then on.
fn stuck(action: &Action, error: &Error) -> Outcome {
    let problem = problem_of(&action.key, error);
    match (&action.verb, &action.expect) {
        (Verb::Restyle { mark, .. }, Expect::Version(was)) => {
            let stuck = StyleMark::stuck(mark.as_ref());
            Outcome::Stuck(problem, styled(action, was, was.clone(), Some(&stuck)))
        }
        _ => Outcome::Problem(problem),
    }
}

fn styled(action: &Action, was: &Version, now: Version, mark: Option<&StyleMark>) -> Record {
    Record::Styled(Styled {
        key: action.key.clone(),
        side: action.side,
        was: was.clone(),
        now,
        mark: mark.cloned(),
        digests: action.digests.clone(),
    })
}
