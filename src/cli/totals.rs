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

/// Requests that a plan needs in a bucket, at least: large files take one more a part, retries come on top.
pub fn needed(counts: &Counts, deletes_a_request: u64) -> Requests {
    // In S3 a batch deletion takes up to 1,000 keys
    // (https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html); in Azure each key is one request.
    let all = [
        ("PUT", counts.creates + counts.overwrites),
        ("COPY", counts.copies),
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
        assert_eq!(needed(&counts, 1_000), [("PUT", 3), ("DELETE", 2)]);
        assert_eq!(needed(&counts, 1), [("PUT", 3), ("DELETE", 1001)]);
    }
}
