//! What the end of a run says beside the engine's report: requests and time.

use std::time::Duration;

use crate::model::Counts;
use crate::sync::{Report, Stage};

/// Requests by kind.
pub type Requests = Vec<(&'static str, u64)>;

/// The end of a run.
#[derive(Debug, Clone)]
pub struct Totals<'a> {
    /// What the engine says.
    pub report: &'a Report,
    /// Whether something was to be changed.
    pub stage: Stage,
    /// Requests made.
    pub made: Requests,
    /// Requests that the plan needs, for a dry run of a bucket.
    pub needed: Requests,
    /// How long it took; `None` where it does not matter.
    pub took: Option<Duration>,
}

impl<'a> Totals<'a> {
    /// Totals of a run without any requests.
    pub fn of(report: &'a Report, stage: Stage) -> Self {
        Self { report, stage, made: Vec::new(), needed: Vec::new(), took: None }
    }
}

/// Whose requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Objects get other headers by a copy; a deletion takes up to 1,000 keys
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>).
    S3,
    /// Headers are set; each key is a deletion of its own.
    Azure,
}

/// Requests that a plan needs in a bucket, at least: large files take one more a part, retries come on top.
pub fn needed(counts: &Counts, service: Service) -> Requests {
    // A look at each comes first, and shows of some that nothing is to be done.
    let restyles = counts.restyles.saturating_sub(counts.to_look);
    let (set, copied, deletes_a_request) = match service {
        Service::S3 => (0, restyles, 1_000),
        Service::Azure => (restyles, 0, 1),
    };
    let all = [
        ("PUT", counts.creates + counts.overwrites + set),
        ("COPY", counts.copies + copied),
        ("HEAD", counts.restyles),
        ("DELETE", counts.deletes.div_ceil(deletes_a_request)),
    ];
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletions_go_in_batches() {
        let counts = Counts { creates: 2, overwrites: 1, deletes: 1001, ..Counts::default() };
        assert_eq!(needed(&counts, Service::S3), [("PUT", 3), ("DELETE", 2)]);
        assert_eq!(needed(&counts, Service::Azure), [("PUT", 3), ("DELETE", 1001)]);
    }

    #[test]
    fn objects_that_get_other_headers_are_looked_at_and_changed_and_some_only_looked_at() {
        let counts = Counts { copies: 1, restyles: 7, to_look: 2, ..Counts::default() };
        assert_eq!(needed(&counts, Service::S3), [("COPY", 6), ("HEAD", 7)]);
        assert_eq!(needed(&counts, Service::Azure), [("PUT", 5), ("COPY", 1), ("HEAD", 7)]);
    }
}
