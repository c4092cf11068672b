//! Objects of a probe that was killed half-way: noted by listings, which see them anyway, and removed when they are too
//! old to belong to a probe that still runs. No request is made to look for them.

use std::sync::{Mutex, PoisonError};

use aws_sdk_s3::types::Object;

use super::Inner;
use super::metadata::epoch_ns;
use super::names::OWN;
use super::ops::Op;
use crate::replica::{Cause, Error};

/// A probe is some thirty small requests; by the server's clock.
const IDLE_NS: i64 = 60 * 1_000_000_000;
/// More wait for the next listing.
const NOTED: usize = 1_000;

/// What listings met below `.mediasync/probe/`: name, and last change by the server's clock.
#[derive(Debug, Default)]
pub(super) struct Leftovers(Mutex<Vec<(String, i64)>>);

impl Leftovers {
    /// Notes an own object, if it is one of a probe. `relative` is its name below the prefix.
    pub(super) fn note(&self, relative: &str, object: &Object) {
        let is_probe = relative.strip_prefix(OWN).is_some_and(|name| name.starts_with("probe/"));
        let Some(modified) = object.last_modified().and_then(epoch_ns).filter(|_| is_probe) else { return };
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() < NOTED {
            noted.push((relative.to_owned(), modified));
        }
    }
}

impl Inner {
    /// Removes what listings noted and nobody can be using any more. Returns how many there were.
    pub(super) async fn remove_leftovers(&self) -> Result<u64, Error> {
        let mut noted = std::mem::take(&mut *self.leftovers.0.lock().unwrap_or_else(PoisonError::into_inner));
        // A listing that was begun again noted them again.
        noted.sort();
        noted.dedup();
        let before = self.wire.clock().now_ns().saturating_sub(IDLE_NS);
        let mut removed = 0;
        for (relative, _) in noted.iter().filter(|(_, modified)| *modified < before) {
            let object = self.names.own(relative);
            match self.send_delete(&object, None).await {
                Ok(()) => removed += 1,
                Err(failure) if failure.status == Some(404) => {}
                Err(failure) => {
                    let error = self.wire.fold(&failure, Op::DeleteObject, Some(&object));
                    // Whoever may write and not delete still synced everything.
                    let cause = if error.cause == Cause::Stop { Cause::Refused } else { error.cause };
                    return Err(Error { cause, ..error });
                }
            }
        }
        Ok(removed)
    }
}
