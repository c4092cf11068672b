//! `--repair`: objects are looked at whether they have what header rules say.

use std::sync::PoisonError;

use super::{Message, Shared, problem_of};
use crate::model::{Action, Expect, Verb};
use crate::replica::{Cause, Error};

impl Shared {
    /// Files a change of an object's style, if a look shows that it is needed.
    pub(super) async fn look_for_drift(&self, action: &Action) -> Result<Option<Message>, Error> {
        let (Verb::Restyle { retype, .. }, Expect::Version(version)) = (&action.verb, &action.expect) else {
            return Ok(None);
        };
        let ruled = self.styling.rules.of(&action.key);
        match self.sides.of(action.side).lacks(&action.key, version, &ruled.style, *retype).await {
            Ok(false) => Ok(None),
            Ok(true) => {
                let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(findings.plan.add(action).map(|()| None)?)
            }
            Err(error) if error.cause == Cause::Stop => Err(error),
            Err(error) => Ok(Some(Message::Problem(problem_of(&action.key, &error)))),
        }
    }
}
