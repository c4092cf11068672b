//! Leases of a bucket on the server in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use mediasync::lease::{Claim, Clock, Foreign, Lease, Terms};
use mediasync::replica::fence::Permit;
use mediasync::replica::s3::S3;
use mediasync::replica::{Cause, Error, Leases};

use crate::s3_replica::cause;
use crate::s3_server::Site;
use crate::support::s3::{Conditional, Effect, Rule};

/// A clock that a test sets.
#[derive(Debug, Default)]
pub(crate) struct Hand(AtomicU64);

impl Hand {
    pub(crate) fn turn(&self, seconds: u64) {
        self.0.fetch_add(seconds, Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Relaxed))
    }
}

/// One host that renews its lease all the time.
pub(crate) fn host() -> (Arc<Hand>, Claim) {
    by(Terms { renewal: Duration::from_millis(1), ..Terms::default() })
}

/// One host that renews its lease as it would, which no test waits for.
pub(crate) fn steady() -> (Arc<Hand>, Claim) {
    by(Terms::default())
}

fn by(terms: Terms) -> (Arc<Hand>, Claim) {
    let hand = Arc::new(Hand::default());
    (hand.clone(), Claim::with(terms, hand, Foreign::StandBy))
}

async fn take(claim: &Claim, s3: &S3) -> Result<Lease, Error> {
    claim.take(s3, "s3://bucket/p", &Claim::holder(), &[]).await
}

const LEASE: &str = "p/.mediasync/lease";

#[tokio::test]
async fn two_hosts_take_turns_at_a_bucket() {
    let site = Site::new();
    let (one, other) = (site.connected().await, site.connected().await);
    let ((_, first), (hand, second)) = (host(), host());
    let lease = take(&first, &one).await.unwrap();
    assert_eq!(site.log(), ["PutObject"]);
    assert_eq!(cause(take(&second, &other).await), Cause::Leased);
    hand.turn(59);
    assert_eq!(cause(take(&second, &other).await), Cause::Leased);
    hand.turn(1);
    let taken = take(&second, &other).await.unwrap();
    assert_eq!((taken.generation(), taken.check()), (2, Ok(())));
    // The first one has not noticed yet; its next renewal tells.
    assert_eq!(lease.keep(one.as_ref()).await.cause, Cause::Stop);
    lease.give_back(one.as_ref()).await.unwrap();
    assert!(site.bucket.get(LEASE).is_some());
    site.server.clear_log();
    taken.give_back(other.as_ref()).await.unwrap();
    assert_eq!((site.log(), site.bucket.keys()), (vec!["DeleteObject"], vec!["p/.mediasync/id".to_owned()]));
}

#[tokio::test]
async fn an_answer_of_a_bucket_that_was_lost_is_no_other_host() {
    let site = Site::new();
    let (s3, (_, claim)) = (site.connected().await, host());
    site.server.faults(|faults| faults.add(Rule::new("PutObject", Effect::LoseAnswer).times(1)));
    let lease = take(&claim, &s3).await.unwrap();
    assert_eq!((site.log(), lease.generation()), (vec!["PutObject", "GetObject"], 1));
    site.server.faults(|faults| faults.add(Rule::new("PutObject", Effect::LoseAnswer).times(1)));
    tokio::select! {
        error = lease.keep(s3.as_ref()) => panic!("{error}"),
        () = async {
            while site.server.faults(|faults| faults.fired()) < 2 || site.log().len() < 12 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        } => {}
    }
    lease.give_back(s3.as_ref()).await.unwrap_or_default();
    let held = s3.read().await.unwrap();
    // A renewal may have been under way when it was given back; then it is left to its time.
    assert!(held.is_none_or(|held| held.text.contains("holder")));
}

#[tokio::test]
async fn a_server_that_ignores_conditions_holds_no_lease() {
    for conditional in [Conditional::Ignored, Conditional::Refused] {
        let site = Site::with(|quirks| quirks.put_conditions = conditional);
        let (s3, (_, claim)) = (site.connected().await, host());
        let refused = take(&claim, &s3).await.unwrap_err();
        assert_eq!(refused.cause, Cause::Unsupported);
        assert!(refused.message.contains("does not honour preconditions") && refused.hint.is_some(), "{refused}");
        assert_eq!((site.log(), site.bucket.get(LEASE).is_some()), (vec![], false));
    }
}

#[tokio::test]
async fn where_nothing_is_deleted_under_a_condition_an_empty_text_is_free() {
    let site = Site::with(|quirks| quirks.delete_conditions = Conditional::Ignored);
    let (s3, (_, claim)) = (site.connected().await, host());
    let lease = take(&claim, &s3).await.unwrap();
    lease.give_back(s3.as_ref()).await.unwrap();
    assert_eq!(site.bucket.content(LEASE), "");
    let (_, other) = host();
    assert_eq!(take(&other, &s3).await.unwrap().generation(), 1);
}
