//! Whether a place may be changed by a command that is no run: what its remote allows, and what a person answers.

use super::failure::Failure;
use super::output::Output;
use super::place::End;
use crate::replica::access::Access;

/// Whether an answer on the terminal is still needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consent {
    /// `--yes`.
    Given,
    /// Nobody said it yet.
    Missing,
}

impl Consent {
    pub(super) fn of(yes: bool) -> Self {
        if yes { Self::Given } else { Self::Missing }
    }
}

/// Makes sure that a place may be changed: a read-only one never, one with `access = "confirm"` after a question.
pub(super) async fn may_change(end: &End, consent: Consent, output: &Output) -> Result<(), Failure> {
    let (place, remote) = (end.location.display(), end.remote.clone().unwrap_or_default());
    match (end.access, consent) {
        (Access::Write, _) | (Access::Confirm, Consent::Given) => Ok(()),
        (Access::ReadOnly, _) => {
            let message = format!("{place} is read-only: remote.{remote} says access = \"read-only\"");
            Err(Failure::usage(message).hint("-n shows what would be done"))
        }
        (Access::Confirm, Consent::Missing) => {
            let why = format!("remote.{remote} says access = \"confirm\"");
            ask(&why, &format!("Change {place}?"), output).await
        }
    }
}

/// Asks on the terminal, after the reason; without one, `--yes` is what has to be said.
pub(super) async fn ask(why: &str, question: &str, output: &Output) -> Result<(), Failure> {
    if !output.can_ask() {
        let message = format!("{why}, and there is no terminal to ask on");
        return Err(Failure::usage(message).hint("add --yes to do it"));
    }
    output.prompt(&format!("{why}. {question}"));
    let yes = tokio::task::spawn_blocking(Output::answer).await.unwrap_or(false);
    output.answered();
    if yes { Ok(()) } else { Err(Failure::error("not confirmed; nothing was changed")) }
}
