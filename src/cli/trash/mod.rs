//! `trash list|restore|empty`: what runs deleted or replaced, at the side where it happened.
//!
//! Works on one place (and with `restore --to` on a second one) without a cycle: nothing is compared but the keys that
//! are meant. What a command changes has the same preconditions as in a run, and what a restore replaces goes to the
//! trash itself.

use super::consent::{Consent, ask, may_change};
use super::exit::Exit;
use super::failure::Failure;
use super::interrupt::or_interrupted;
use super::place::World;
use super::setup::Setup;

pub mod args;
mod empty;
mod leased;
mod list;
mod place;
pub mod purge;
mod restore;
mod restoring;
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
