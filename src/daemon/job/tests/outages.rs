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

#[tokio::test(start_paused = true)]
async fn a_problem_of_a_file_that_is_gone_is_told_no_more_though_nothing_can_be_looked_at() {
    local(async {
        let rig = Rig::watching(30).await;
        rig.fails(kinds()[0].1);
        for name in ["new/a.jpg", "new/b.jpg", "c.jpg"] {
            rig.source.write(&key(name), name);
            rig.tell([Sign::Finished(key(name))]);
        }
        let mut waited = 0;
        while rig.job().error.is_none() {
            rig.later(1).await;
            waited += 1;
            assert!(waited < OUTAGE * 3, "{:?}", rig.job());
        }
        let job = rig.job();
        assert_eq!((job.problem_count, job.unanswered_count, job.left().1), (3, 3, 0), "{job:?}");
        rig.source.remove(&key("new/a.jpg"));
        rig.source.remove(&key("new/b.jpg"));
        rig.tell([Sign::Gone(key("new"))]);
        rig.later(1).await;
        let job = rig.job();
        assert_eq!((job.problem_count, job.problems.len()), (1, 1), "{job:?}");
        // One that comes back is as it was, until it was looked at.
        rig.source.write(&key("new/a.jpg"), "again");
        rig.tell([Sign::Finished(key("new/a.jpg"))]);
        rig.later(1).await;
        assert_eq!(rig.job().problem_count, 2, "{:?}", rig.job());
        rig.dest.heal();
        rig.later(BACKOFF).await;
        rig.assert_well("down");
        assert!(rig.job().equal_since_ns.is_some());
    })
    .await;
}
