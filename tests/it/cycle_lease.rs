//! Leases in whole cycles: two hosts with states of their own and the same places.

use futures_util::FutureExt;
use mediasync::model::Expect;
use mediasync::plan::Mode;
use mediasync::replica::memory::{Fault, Memory};
use mediasync::replica::{Cause, Leases};
use mediasync::sync::Ending;

use crate::s3_lease::{Hand, steady};
use crate::support::bench::{Bench, key};

fn leased(mut bench: Bench) -> (std::sync::Arc<Hand>, Bench) {
    let (hand, claim) = steady();
    bench.lease = Some(claim);
    (hand, bench)
}

fn full(mode: Mode, count: usize) -> Bench {
    let bench = Bench::new(mode);
    for n in 0..count {
        bench.source.write(&key(&format!("{n}.jpg")), format!("content {n}"));
    }
    bench
}

/// What was asked of a place that changes it.
fn changes(place: &Memory) -> Vec<&'static str> {
    let calls = place.take_calls().into_iter().map(|call| call.operation);
    calls.filter(|name| !matches!(*name, "connect" | "list" | "look_up" | "open")).collect()
}

fn there(place: &Memory) -> Option<String> {
    let read = place.read().now_or_never().unwrap();
    read.unwrap().map(|written| written.text)
}

#[test]
fn a_lease_is_held_while_something_is_changed_and_asked_for_by_nothing_else() {
    let (_, bench) = leased(full(Mode::CopyAndDelete, 3));
    bench.dry_run();
    assert_eq!(changes(&bench.dest), [] as [&str; 0]);
    bench.run();
    let calls = changes(&bench.dest);
    let position = |name: &str| calls.iter().position(|call| *call == name).unwrap();
    assert!(position("write lease") < position("put") && position("remove lease") > position("put"), "{calls:?}");
    assert_eq!(calls.iter().filter(|call| **call == "remove lease").count(), 1, "the second run had nothing to do");
    bench.source.touch(&key("1.jpg"));
    let report = bench.run();
    assert_eq!((report.done.records, changes(&bench.dest)), (1, vec![]), "a record is no change");
    assert_eq!((there(&bench.dest), changes(&bench.source)), (None, vec![]));
}

#[test]
fn while_another_host_holds_it_nothing_is_changed() {
    let (_, bench) = leased(full(Mode::CopyAndDelete, 3));
    let theirs = Leases::write(&*bench.dest, "theirs", &Expect::Absent).now_or_never().unwrap().unwrap();
    let error = bench.try_run().unwrap_err();
    assert_eq!(error.cause, Cause::Leased);
    assert!(error.message.contains("another host holds the lease of dest"), "{error}");
    assert_eq!(bench.dest.contents().len(), 0);
    Leases::remove(&*bench.dest, &theirs).now_or_never().unwrap().unwrap();
    assert_eq!(bench.run().done.creates, 3);
}

/// SIGSTOP in the middle of a run, for longer than its lease.
#[test]
fn a_host_that_was_stopped_past_its_lease_changes_nothing_more_and_another_takes_over() {
    for mode in [Mode::CopyAndDelete, Mode::TwoWay] {
        let (stopped, one) = leased(full(mode, 20));
        let (hand, other) = leased(one.beside());
        let mut puts = 0;
        one.dest.inject(move |call| {
            puts += usize::from(call.operation == "put");
            if puts == 3 && call.operation == "put" {
                stopped.turn(61);
            }
            Fault::None
        });
        let error = one.try_run().unwrap_err();
        assert_eq!(error.cause, Cause::Stop);
        assert!(error.message.contains("lost its lease of dest"), "{error}");
        let calls = changes(&one.dest);
        assert_eq!(calls, ["write lease", "put", "put", "put"], "{mode:?}");
        assert_eq!(one.dest.contents().len(), 3);
        one.dest.heal();

        assert_eq!(other.try_run().unwrap_err().cause, Cause::Leased);
        hand.turn(59);
        assert_eq!(other.try_run().unwrap_err().cause, Cause::Leased);
        hand.turn(1);
        let report = other.try_run().unwrap();
        assert_eq!((report.ending, report.done.creates, report.problem_count), (Ending::Finished, 17, 0));
        assert_eq!((other.source.contents(), there(&other.dest)), (other.dest.contents(), None));
        // The first one finds it done.
        assert_eq!(one.run().done.changes(), 0);
    }
}

#[test]
fn what_a_killed_run_left_is_taken_at_once_by_the_next_run_of_its_pair() {
    let (_, one) = leased(full(Mode::CopyAndDelete, 5));
    let dest = one.dest.clone();
    one.dest.inject(move |call| if call.operation == "remove lease" { Fault::DieBefore } else { Fault::None });
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| one.try_run())).is_err());
    one.dest.heal();
    assert!(there(&dest).is_some(), "it was killed before it gave its lease back");
    one.source.write(&key("new.jpg"), "new");
    assert_eq!(one.run().done.creates, 1, "what this host left it takes at once");
    assert_eq!(there(&dest), None);
}

#[test]
fn of_two_written_sides_the_one_that_hosts_share_has_the_lease() {
    let (_, mut bench) = leased(full(Mode::TwoWay, 2));
    bench.dest.write(&key("theirs.jpg"), "theirs");
    let lease_at = |place: &Memory| changes(place).iter().filter(|name| name.ends_with("lease")).count();
    bench.run();
    assert_eq!((lease_at(&bench.source), lease_at(&bench.dest)), (0, 2));
    // The bucket is the source now.
    bench.turn();
    bench.source.write(&key("more.jpg"), "more");
    bench.run();
    assert_eq!((lease_at(&bench.source), lease_at(&bench.dest)), (2, 0));
}

#[test]
fn a_place_that_can_not_hold_a_lease_is_not_changed() {
    let (_, bench) = leased(full(Mode::CopyAndDelete, 2));
    bench.dest.inject(|call| match call.operation {
        "write lease" => {
            Fault::Before(mediasync::replica::lease::none("dest", "its server does not honour preconditions"))
        }
        _ => Fault::None,
    });
    let error = bench.try_run().unwrap_err();
    assert!(error.cause == Cause::Stop && error.message.contains("can't hold a lease"), "{error}");
    assert_eq!(bench.dest.contents().len(), 0);
}
