//! A host that stands by: another one holds the lease and does the work.

use crate::cli::failure::Failure;
use crate::daemon::runner::{Failed, Seen, Then};
use crate::lease::{self, Claim};
use crate::replica::Cause;
use crate::sync::Cycle;

/// Before a cycle: whoever stands by asks for the lease alone. Two places are not listed every few seconds to find out that
/// nothing of it may be done.
///
/// # Errors
/// The other host holds it still. Whatever else is wrong the cycle says.
pub(super) async fn look(cycle: &Cycle<'_>, claim: &Claim) -> Result<(), Failed> {
    match lease::stand_by(cycle, claim).await {
        Err(error) if error.cause == Cause::Leased => Err(left(Failed::from(Failure::from(error)), seen(claim))),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A try that was left to another host; what a person could do is done by itself.
pub(super) fn left(failed: Failed, seen: Option<Seen>) -> Failed {
    let Some(seen) = seen else { return failed };
    Failed { hint: None, then: Then::Leased(seen), ..failed }
}

/// What was seen of the lease of another host.
pub(super) fn seen(claim: &Claim) -> Option<Seen> {
    Some(Seen { changed_ago: claim.seen()?, again: claim.again() })
}
