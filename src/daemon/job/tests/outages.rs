//! A server that is not there for a minute, answers 503 for a minute, or 403: what is said of it, how often it is asked,
//! and when all is well again. Each kind as the replicas report it.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::replica::{Cause, Error};

const REASON: &str = "the server of the test answers so";
/// Longer than the patience of one operation, and longer than any wait between two tries.
const OUTAGE: u64 = 60;
const BACKOFF: u64 = 61;

/// All kinds of failure, each with the longest time until it is told, in seconds, and the most requests of a minute.
fn kinds() -> [(&'static str, Cause, u64, u64); 3] {
    [
        ("down", Cause::Transient { throttled: false, after: None }, 40, 120),
        ("503", Cause::Transient { throttled: true, after: None }, 40, 120),
        ("403", Cause::Stop, 2, 40),
    ]
}

/// Whether people are told why.
fn is_told(job: &JobState) -> bool {
    let failing = job.phase == Phase::Failing && job.error.as_ref().is_some_and(|error| error.message.contains(REASON));
    let problem = job.problem_count > 0 && job.problems.iter().any(|told| told.message.contains(REASON));
    (failing || problem) && job.health(i64::MAX / 2, 0) != Health::InSync
}

impl Rig {
    /// How often it is asked from now on, in vain.
    fn fails(&self, cause: Cause) -> Arc<AtomicU64> {
        self.patient.set(true);
        let asked = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&asked);
        self.dest.inject(move |_| {
            count.fetch_add(1, Relaxed);
            Fault::Before(Error::new(cause, REASON))
        });
        asked
    }

    /// Passes the outage, second by second. After how many it was told.
    async fn told_after(&self) -> Option<u64> {
        let mut told = None;
        for second in 1..=OUTAGE {
            self.later(1).await;
            if told.is_none() && is_told(&self.job()) {
                told = Some(second);
            }
        }
        told
    }

    fn assert_well(&self, what: &str) {
        let job = self.job();
        assert!(self.is_equal(), "{what}: {job:?}");
        let left = (job.phase, &job.error, job.problem_count, job.dirty);
        assert_eq!(left, (Phase::Idle, &None, 0, 0), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_minute_without_the_server_is_told_asked_for_seldom_and_over_within_one_wait() {
    for (what, cause, soon, most) in kinds() {
        local(async {
            let rig = Rig::watching(30).await;
            let asked = rig.fails(cause);
            for n in 0..5 {
                rig.source.write(&key(&format!("new/{n}.jpg")), format!("new {n}"));
                rig.tell([Sign::Finished(key(&format!("new/{n}.jpg")))]);
            }
            rig.source.write(&key("dir/1.jpg"), "edited");
            rig.source.remove(&key("dir/2.jpg"));
            rig.tell([Sign::Finished(key("dir/1.jpg")), Sign::Gone(key("dir/2.jpg"))]);
            let told = rig.told_after().await;
            assert!(told.is_some_and(|told| told <= soon), "{what}: {told:?} {:?}", rig.job());
            let asked = asked.load(Relaxed);
            assert!((3..=most).contains(&asked), "{what}: asked {asked} times");
            assert_eq!(rig.dest.contents().len(), 30, "{what}: nothing was done");
            rig.dest.heal();
            rig.later(BACKOFF).await;
            rig.assert_well(what);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_at_both_sides_fails_with_its_reason_and_is_made_up() {
    for (what, cause, soon, most) in kinds() {
        local(async {
            let rig = Rig::watching(30).await;
            let asked = rig.fails(cause);
            rig.source.write(&key("new.jpg"), "new, and nobody was told");
            rig.orders.send(Order::Run).await.unwrap();
            let told = rig.told_after().await;
            assert!(told.is_some_and(|told| told <= soon), "{what}: {told:?} {:?}", rig.job());
            // Also while it tries again.
            let error = rig.job().error;
            assert!(error.is_some_and(|error| error.message.contains(REASON)), "{what}: {:?}", rig.job());
            let asked = asked.load(Relaxed);
            assert!((3..=most).contains(&asked), "{what}: asked {asked} times");
            rig.dest.heal();
            rig.later(BACKOFF).await;
            rig.assert_well(what);
        })
        .await;
    }
}
