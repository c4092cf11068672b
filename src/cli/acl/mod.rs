//! `acl get|set`: who may read objects.
//!
//! Works on one place without a pair, a lock or a manifest: an ACL is no content, and no version of an object moves when
//! it changes. What a replica lists is what is meant, so nothing of our own is ever touched.

use super::exit::Exit;
use super::failure::Failure;
use super::interrupt::or_interrupted;
use super::place::World;
use super::setup::Setup;

pub mod args;
mod get;
mod meant;
mod objects;
mod set;
mod told;

/// `acl COMMAND`.
///
/// # Errors
/// A place that can't be used, or has no ACLs.
pub async fn acl(args: &args::Acl, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    // On the heap: the futures of replicas are large.
    or_interrupted(async {
        match &args.command {
            args::Cmd::Get(args) => Box::pin(get::get(args, setup, world)).await,
            args::Cmd::Set(args) => Box::pin(set::set(args, setup, world)).await,
        }
    })
    .await?
}
