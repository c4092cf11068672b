//! Deciding anew where another host had to be waited for: what was planned before is old, and would only be refused key
//! by key.

use crate::replica::{Cause, Error};
use crate::sync::{Cycle, Observer, Report, run_cycle};

/// Hosts that come in between, before a run gives up.
const TIMES: usize = 3;

/// A cycle, from the start again if its plan was outdated before it began.
///
/// # Errors
/// As [`run_cycle`].
pub(in crate::cli) async fn run(cycle: &Cycle<'_>, observer: &dyn Observer) -> Result<Report, Error> {
    for _ in 0..TIMES {
        match run_cycle(cycle.clone(), observer).await {
            Err(error) if error.cause == Cause::Outdated => {
                observer.notice(&format!("{error}: both sides are looked at again"));
            }
            done => return done,
        }
    }
    run_cycle(cycle.clone(), observer).await
}
