//! Leases at real servers: two hosts whose clocks the test sets, and the program.

use std::sync::Arc;

use mediasync::lease::Claim;
use mediasync::replica::azure::Azure;
use mediasync::replica::fence::Permit;
use mediasync::replica::lease::Written;
use mediasync::replica::s3::S3;
use mediasync::replica::{Ability, Cause, Contact, Leases, Replica};

use super::{RawBucket, RawContainer, azure_servers, container, place, servers};
use crate::s3_lease::host;
use crate::s3_replica::cause;
use crate::support::daemon::JOB;
use crate::support::sandbox::Sandbox;

/// Whether a place holds leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Leases,
    None,
}

/// Of servers that speak S3.
fn at(name: &str) -> Holds {
    // They ignore conditions.
    if matches!(name, "rclone" | "garage") { Holds::None } else { Holds::Leases }
}

/// What is there, though it may change while it is read.
async fn there(leases: &dyn Leases) -> Written {
    loop {
        match leases.read().await {
            Ok(found) => return found.unwrap(),
            Err(error) => assert!(matches!(error.cause, Cause::Transient { .. }), "{error}"),
        }
    }
}

/// Two hosts, each with its own connection to a place.
async fn take_turns(name: &str, hosts: [Arc<dyn Replica>; 2]) -> Holds {
    for replica in &hosts {
        replica.connect(Contact::Prepare).await.unwrap();
    }
    let [one, other] = [0, 1].map(|n| hosts[n].leases().unwrap());
    let ((_, first), (hand, second)) = (host(), host());
    let take = async |claim: &Claim, leases: &dyn Leases| claim.take(leases, name, &Claim::holder(), &[]).await;
    if hosts[0].capabilities().conditional_put != Ability::Proven {
        let refused = take(&first, one).await.unwrap_err();
        assert!(refused.cause == Cause::Unsupported && refused.hint.is_some(), "{refused}");
        assert_eq!(one.read().await, Ok(None));
        return Holds::None;
    }
    // Taken, and refused while it is held; each renewal is seen.
    let lease = take(&first, one).await.unwrap();
    assert_eq!(cause(take(&second, other).await), Cause::Leased);
    let before = there(other).await;
    tokio::select! {
        lost = lease.keep(one) => panic!("{name}: {lost}"),
        () = async { while there(other).await == before {} } => {}
    }
    // A renewal may have been under way.
    let mut last = before;
    while let found = there(other).await
        && found != last
    {
        last = found;
    }
    hand.turn(60);
    assert_eq!(cause(second.look(other, name, &[]).await), Cause::Leased, "it was renewed since");
    hand.turn(59);
    assert_eq!(cause(take(&second, other).await), Cause::Leased);
    assert_eq!(second.seen().map(|ago| ago.as_secs()), Some(59));
    // Taken over when nobody renews it; who had it finds that out, and takes nothing away.
    hand.turn(1);
    second.look(other, name, &[]).await.unwrap();
    let taken = take(&second, other).await.unwrap();
    assert_eq!((taken.generation(), taken.check()), (2, Ok(())));
    let theirs = one.read().await.unwrap();
    let lost = lease.keep(one).await;
    assert!(lost.cause == Cause::Stop && lease.check().is_err(), "{lost}");
    lease.give_back(one).await.unwrap();
    assert_eq!(one.read().await.unwrap(), theirs);
    // Given back; then of two who want it one has it.
    taken.give_back(other).await.unwrap();
    assert!(one.read().await.unwrap().is_none_or(|left| left.text.is_empty()), "{name}");
    for _ in 0..10 {
        let both = tokio::join!(take(&first, one), take(&second, other));
        let (lease, leases) = match both {
            (Ok(lease), Err(error)) if error.cause == Cause::Leased => (lease, one),
            (Err(error), Ok(lease)) if error.cause == Cause::Leased => (lease, other),
            both => panic!("{name}: {both:?}"),
        };
        assert_eq!(lease.generation(), 1);
        lease.give_back(leases).await.unwrap();
    }
    Holds::Leases
}

#[tokio::test]
async fn azure_leases_are_taken_renewed_lost_and_taken_over() {
    for server in azure_servers() {
        let address = server.address();
        let host = || -> Arc<dyn Replica> { Arc::new(Azure::new(address.clone(), None)) };
        let holds = take_turns(&server.name, [host(), host()]).await;
        assert_eq!(holds, Holds::Leases, "Azure has conditions");
        RawContainer::new(&server, &address).clear();
    }
}

#[tokio::test]
async fn s3_leases_are_taken_renewed_lost_and_taken_over() {
    for live in servers() {
        let address = live.address();
        let host = || -> Arc<dyn Replica> { Arc::new(S3::new(address.clone(), None)) };
        let holds = take_turns(&live.name, [host(), host()]).await;
        assert_eq!(holds, at(&live.name), "{}", live.name);
        RawBucket::new(&address).clear().await;
    }
}

/// Runs of a job with a lease: one alone, and one that comes upon what a host left that is gone. `there` tells the keys of
/// a place, without the prefix.
fn by_the_program(sandbox: &mut Sandbox, leave: impl FnOnce(&str, &[u8]), there: impl Fn() -> Vec<String>) {
    sandbox.env("MEDIASYNC_LEASE_TTL", "3");
    sandbox.configure("lease = true");
    sandbox.write("a.jpg", "a");
    sandbox.by_config(&["sync", JOB]).exits(0);
    assert_eq!(there(), [".mediasync/id", "a.jpg"]);
    leave(".mediasync/lease", br#"{"v":1,"holder":"another","generation":4,"renewal":7,"ttl":3}"#);
    sandbox.write("b.jpg", "b");
    sandbox.by_config(&["sync", JOB]).exits(0);
    assert_eq!(there(), [".mediasync/id", "a.jpg", "b.jpg"]);
}

#[test]
fn azure_leases_that_were_left_are_taken_over_by_the_program() {
    container::on_each_server(|mut place| {
        let mut sandbox = std::mem::replace(&mut place.sandbox, Sandbox::new());
        let start = format!("{}/", place.prefix);
        let there = || {
            let shown = place.look();
            let keys = shown["objects"].as_object().unwrap().keys();
            keys.map(|key| key.strip_prefix(&start).unwrap().to_owned()).collect()
        };
        by_the_program(&mut sandbox, |name, text| place.raw.put(name, text), there);
    });
}

#[test]
fn s3_leases_that_were_left_are_taken_over_by_the_program() {
    for live in servers().into_iter().filter(|live| at(&live.name) == Holds::Leases) {
        let mut place = place::Place::new(&live);
        let mut sandbox = std::mem::replace(&mut place.sandbox, Sandbox::new());
        let there = || {
            let seen = place.look();
            seen.own.into_iter().chain(seen.objects.into_keys()).collect()
        };
        by_the_program(&mut sandbox, |name, text| place.put(name, text), there);
    }
}
