//! The lease of a job with `lease = true`, as the command line claims it.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Job;
use crate::lease::{Boot, Claim, Foreign, Terms};

/// For tests, which can't wait for a minute: how long a lease is, in seconds. Hosts that differ in it wait for the longer
/// one.
const TTL: &str = "MEDIASYNC_LEASE_TTL";

/// What a job takes the lease by; `None` if it needs none.
pub(super) fn claim(job: &Job, foreign: Foreign) -> Option<Claim> {
    let ttl =
        std::env::var(TTL).ok().and_then(|text| text.parse().ok()).filter(|seconds| (1..=3_600).contains(seconds));
    let terms = ttl.map_or_else(Terms::default, |seconds| Terms::of(Duration::from_secs(seconds)));
    job.daemon.lease.then(|| Claim::with(terms, Arc::new(Boot), foreign))
}
