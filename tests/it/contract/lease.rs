//! The lease: of two who write it one is refused, and nobody else sees it.

use mediasync::model::Expect;
use mediasync::replica::trash::{Unjournaled, empty};
use mediasync::replica::{Ability, Cause, Leases};

use super::Subject;
use super::looks::present_keys;
use crate::s3_replica::cause;

cases! {
    Any: "a lease is written over what was seen and over nothing else, and taken away so" => conditions,
    Any: "a lease is in no listing, and neither the trash nor tidying takes it" => hidden,
}

/// Of a text that nobody wrote before.
fn text(what: &str) -> String {
    format!("{what} {:032x}", fastrand::u128(..))
}

/// What is there when nobody holds it.
async fn free(leases: &dyn Leases) -> Expect {
    match leases.read().await.unwrap() {
        None => Expect::Absent,
        Some(written) => {
            assert_eq!(written.text, "");
            Expect::Version(written.version)
        }
    }
}

/// The leases of a place that can hold one; another one says so.
async fn able(subject: &Subject) -> Option<&dyn Leases> {
    let leases = subject.replica().leases().unwrap();
    if subject.can(|can| can.conditional_put) {
        return Some(leases);
    }
    let refused = leases.write(&text("x"), &Expect::Absent).await.unwrap_err();
    assert!(refused.cause == Cause::Unsupported && refused.message.contains("can't hold a lease"), "{refused}");
    assert_eq!(leases.read().await, Ok(None));
    None
}

async fn conditions(subject: &Subject) {
    let Some(leases) = able(subject).await else { return };
    let (one, two) = (text("one"), text("two"));
    let first = leases.write(&one, &free(leases).await).await.unwrap();
    let there = leases.read().await.unwrap().unwrap();
    assert_eq!((there.text, &there.version), (one, &first));
    assert_eq!(cause(leases.write(&text("x"), &Expect::Absent).await), Cause::Precondition);
    let second = leases.write(&two, &Expect::Version(first.clone())).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(cause(leases.write(&text("x"), &Expect::Version(first.clone())).await), Cause::Precondition);
    assert_eq!(cause(leases.remove(&first).await), Cause::Precondition);
    assert_eq!(leases.read().await.unwrap().unwrap().text, two);
    leases.remove(&second).await.unwrap();
    free(leases).await;
    assert_eq!(cause(leases.write(&text("x"), &Expect::Version(second)).await), Cause::Precondition);
}

async fn hidden(subject: &Subject) {
    let (Some(leases), replica) = (able(subject).await, subject.replica()) else { return };
    let version = leases.write(&text("one"), &free(leases).await).await.unwrap();
    assert_eq!(present_keys(replica, None).await, [] as [String; 0]);
    replica.tidy(&Unjournaled).await.unwrap();
    empty(replica.trash().unwrap(), None, &|_| true, Ability::Missing).await.unwrap();
    assert_eq!(leases.read().await.unwrap().unwrap().version, version);
    leases.remove(&version).await.unwrap();
}
