//! `trash list|restore|empty`: what runs deleted or replaced, at the side where it happened.
//!
//! Works on one place (and with `restore --to` on a second one) without a cycle: nothing is compared but the keys that
//! are meant. What a command changes has the same preconditions as in a run, and what a restore replaces goes to the
//! trash itself.

use super::exit::Exit;
use super::failure::Failure;
use super::interrupt::or_interrupted;
use super::output::Output;
use super::place::{End, World};
use super::setup::Setup;
use crate::replica::access::Access;

pub mod args;
mod empty;
mod leased;
mod list;
mod place;
mod restore;
mod restoring;
mod send;
mod told;

/// `trash COMMAND`.
///
/// # Errors
/// A place that can't be used, or that holds no trash; a pair that runs now.
pub async fn trash(args: &args::Trash, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    // On the heap: the futures of replicas are large.
    or_interrupted(async {
        match &args.command {
            args::Cmd::List(args) => Box::pin(list::list(args, setup, world)).await,
            args::Cmd::Restore(args) => Box::pin(restore::restore(args, setup, world)).await,
            args::Cmd::Empty(args) => Box::pin(empty::empty(args, setup, world)).await,
        }
    })
    .await?
}

/// Whether an answer on the terminal is still needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Consent {
    /// `--yes`.
    Given,
    /// Nobody said it yet.
    Missing,
}

impl Consent {
    fn of(yes: bool) -> Self {
        if yes { Self::Given } else { Self::Missing }
    }
}

/// Makes sure that a place may be changed: a read-only one never, one with `access = "confirm"` after a question.
async fn may_change(end: &End, consent: Consent, output: &Output) -> Result<(), Failure> {
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
async fn ask(why: &str, question: &str, output: &Output) -> Result<(), Failure> {
    if !output.can_ask() {
        let message = format!("{why}, and there is no terminal to ask on");
        return Err(Failure::usage(message).hint("add --yes to do it"));
    }
    output.prompt(&format!("{why}. {question}"));
    let yes = tokio::task::spawn_blocking(Output::answer).await.unwrap_or(false);
    output.answered();
    if yes { Ok(()) } else { Err(Failure::error("not confirmed; nothing was changed")) }
}
