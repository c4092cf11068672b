//! Holders over a memory replica, with the time of the runtime stopped.

use std::sync::Arc;

use super::*;
use crate::replica::memory::{Fault, Memory, Role};

const AGAIN: Cause = Cause::Transient { throttled: false, after: None };
const NAME: &str = "s3://bucket";

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn place() -> Arc<Memory> {
    Arc::new(Memory::new("memory", Role::Bucket))
}

fn claim(foreign: Foreign) -> Claim {
    Claim::with(Terms::default(), Arc::new(Runtime::start()), foreign)
}

async fn take(claim: &Claim, place: &Memory) -> Result<Lease, Error> {
    claim.take(place, NAME, &Claim::holder(), &[]).await
}

fn cause<T>(result: Result<T, Error>) -> Cause {
    result.err().expect("it fails").cause
}

fn writes(place: &Memory) -> usize {
    place.take_calls().iter().filter(|call| call.operation == "write lease").count()
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_taken_renewed_and_given_back() {
    let place = place();
    let lease = take(&claim(Foreign::StandBy), &place).await.unwrap();
    assert_eq!(place.take_calls().len(), 1, "nobody had it: one request");
    let text = place.read().await.unwrap().unwrap().text;
    assert!(!text.contains("host") && !text.contains(NAME), "{text}");
    place.take_calls();
    tokio::select! {
        error = lease.keep(&*place) => panic!("{error}"),
        () = tokio::time::sleep(seconds(605)) => {}
    }
    assert_eq!((writes(&place), lease.check()), (30, Ok(())));
    lease.give_back(&*place).await.unwrap();
    assert_eq!(place.read().await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_holder_left_is_taken_over_after_its_time() {
    let (place, other) = (place(), claim(Foreign::StandBy));
    let dead = take(&claim(Foreign::StandBy), &place).await.unwrap();
    for wait in [0, 30, 29] {
        tokio::time::advance(seconds(wait)).await;
        assert_eq!(cause(take(&other, &place).await), Cause::Leased);
    }
    tokio::time::advance(seconds(1)).await;
    assert!(dead.check().is_err(), "its own time is over before another one's begins");
    let lease = take(&other, &place).await.unwrap();
    assert_eq!((dead.generation(), lease.generation(), lease.check()), (1, 2, Ok(())));
    dead.give_back(&*place).await.unwrap();
    assert!(place.read().await.unwrap().is_some(), "what is another one's now is left alone");
}

#[tokio::test(start_paused = true)]
async fn who_renews_is_never_taken_over() {
    let (place, other) = (place(), claim(Foreign::StandBy));
    let lease = take(&claim(Foreign::StandBy), &place).await.unwrap();
    let tries = async {
        for _ in 0..100 {
            assert_eq!(cause(take(&other, &place).await), Cause::Leased);
            tokio::time::sleep(seconds(7)).await;
        }
    };
    tokio::select! {
        error = lease.keep(&*place) => panic!("{error}"),
        () = tries => {}
    }
}

#[tokio::test(start_paused = true)]
async fn one_run_watches_whether_the_holder_lives() {
    let (place, watching) = (place(), claim(Foreign::Watch));
    let lease = take(&claim(Foreign::StandBy), &place).await.unwrap();
    tokio::select! {
        error = lease.keep(&*place) => panic!("{error}"),
        taken = take(&watching, &place) => assert_eq!(cause(taken), Cause::Leased),
    }
    // From now on nobody renews it.
    let lease = take(&watching, &place).await.unwrap();
    assert_eq!(lease.generation(), 2);
    // One that is given back meanwhile is free.
    let give_back = async {
        tokio::time::sleep(seconds(5)).await;
        lease.give_back(&*place).await.unwrap();
    };
    let watching = claim(Foreign::Watch);
    let (taken, ()) = tokio::join!(take(&watching, &place), give_back);
    assert_eq!(taken.unwrap().generation(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_slept_past_it_stands_down_and_asks_for_nothing() {
    let place = place();
    let lease = take(&claim(Foreign::StandBy), &place).await.unwrap();
    tokio::time::advance(seconds(49)).await;
    lease.check().unwrap();
    tokio::time::advance(seconds(1)).await;
    assert_eq!(cause(lease.check()), Cause::Stop, "a request needs its time to arrive");
    place.take_calls();
    let lost = lease.keep(&*place).await;
    assert!(lost.cause == Cause::Stop && lost.message.contains("lost its lease of s3://bucket"), "{lost}");
    lease.give_back(&*place).await.unwrap();
    assert_eq!(place.take_calls(), []);
}

#[tokio::test(start_paused = true)]
async fn who_was_taken_over_notices_it_with_the_next_renewal() {
    let place = place();
    let lease = take(&claim(Foreign::StandBy), &place).await.unwrap();
    let there = place.read().await.unwrap().unwrap();
    Leases::write(&*place, "theirs", &Expect::Version(there.version)).await.unwrap();
    lease.check().unwrap();
    assert_eq!((lease.keep(&*place).await.cause, cause(lease.check())), (Cause::Stop, Cause::Stop));
    assert_eq!(place.read().await.unwrap().unwrap().text, "theirs");
}

/// The next write of a lease is done, and its answer is lost.
fn lose_an_answer(place: &Memory) {
    let mut left = 1;
    place.inject(move |call| {
        if call.operation == "write lease" && left > 0 {
            left -= 1;
            return Fault::After(Error::new(AGAIN, "lost"));
        }
        Fault::None
    });
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_is_found_out_by_reading() {
    let place = place();
    lose_an_answer(&place);
    let lease = take(&claim(Foreign::StandBy), &place).await.unwrap();
    assert_eq!((writes(&place), lease.generation()), (1, 1));
    lose_an_answer(&place);
    tokio::select! {
        error = lease.keep(&*place) => panic!("{error}"),
        () = tokio::time::sleep(seconds(300)) => {}
    }
    lease.give_back(&*place).await.unwrap();
    assert_eq!(place.read().await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_can_not_be_renewed_is_lost_before_others_may_have_it() {
    let (place, other) = (place(), claim(Foreign::StandBy));
    let lease = take(&claim(Foreign::StandBy), &place).await.unwrap();
    assert_eq!(cause(take(&other, &place).await), Cause::Leased);
    place.inject(|call| match call.operation {
        "write lease" => Fault::Before(Error::new(AGAIN, "down")),
        _ => Fault::None,
    });
    let began = tokio::time::Instant::now();
    assert_eq!(lease.keep(&*place).await.cause, Cause::Stop);
    assert_eq!(began.elapsed().as_secs(), 50);
    place.heal();
    assert_eq!(cause(take(&other, &place).await), Cause::Leased);
}

#[tokio::test(start_paused = true)]
async fn what_this_host_left_is_taken_at_once_and_what_nobody_can_read_after_a_while() {
    let place = place();
    let (one, name) = (claim(Foreign::StandBy), Claim::holder());
    drop(one.take(&*place, NAME, &name, &[]).await.unwrap());
    let lease = one.take(&*place, NAME, &Claim::holder(), &[name]).await.unwrap();
    assert_eq!(lease.generation(), 2);
    let there = place.read().await.unwrap().unwrap();
    Leases::write(&*place, "{\"v\":9}", &Expect::Version(there.version)).await.unwrap();
    assert_eq!(cause(take(&one, &place).await), Cause::Leased);
    tokio::time::advance(seconds(60)).await;
    take(&one, &place).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_stands_by_asks_for_the_lease_alone_and_forgets_it_once_it_is_free() {
    let (place, other) = (place(), claim(Foreign::StandBy));
    assert_eq!(other.seen(), None);
    let lease = take(&claim(Foreign::StandBy), &place).await.unwrap();
    assert_eq!(cause(take(&other, &place).await), Cause::Leased);
    place.take_calls();
    let looks = async {
        for _ in 0..30 {
            tokio::time::sleep(other.again()).await;
            assert_eq!(cause(other.look(&*place, NAME, &[]).await), Cause::Leased);
            assert!(other.seen().is_some_and(|ago| ago <= seconds(20)), "each renewal is seen: {:?}", other.seen());
        }
    };
    tokio::select! {
        error = lease.keep(&*place) => panic!("{error}"),
        () = looks => {}
    }
    let calls = place.take_calls();
    assert_eq!(calls.iter().filter(|call| call.operation == "read lease").count(), 30);
    assert!(calls.len() <= 30 + 15, "and nothing but the renewals of the other one");
    lease.give_back(&*place).await.unwrap();
    other.look(&*place, NAME, &[]).await.unwrap();
    assert_eq!(other.seen(), None);

    let dead = take(&claim(Foreign::StandBy), &place).await.unwrap();
    assert_eq!(cause(take(&other, &place).await), Cause::Leased);
    tokio::time::advance(seconds(60)).await;
    other.look(&*place, NAME, &[]).await.unwrap();
    assert!(take(&other, &place).await.is_ok() && dead.check().is_err(), "what was seen is still known");
}
