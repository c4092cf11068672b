//! Large buckets are listed in several ranges at once, and nobody sees a difference.

use mediasync::model::Item;
use mediasync::replica::s3::S3;
use mediasync::replica::{Ability, Cause, Contact, Replica};

use crate::s3_replica::{cause, keys, listed};
use crate::s3_server::Site;
use crate::support::s3::{Effect, ListingOrder, Moment, Rule};

/// Keys in several directories, among them ones that sort differently as paths.
fn fill(site: &Site, count: usize) -> Vec<String> {
    let mut all: Vec<String> = (0..count)
        .map(|n| match n % 4 {
            0 => format!("a/{n:06}"),
            1 => format!("a-{n:06}"),
            2 => format!("a/b/{n:06}"),
            _ => format!("ü+ {n:06}"),
        })
        .collect();
    for key in &all {
        site.bucket.put(&format!("p/{key}"), "x");
    }
    all.sort_unstable();
    all
}

fn pages(site: &Site) -> usize {
    let pages = site.server.count("ListObjectsV2");
    site.server.clear_log();
    pages
}

#[tokio::test]
async fn the_second_listing_reads_several_ranges_at_once_with_as_many_requests() {
    let site = Site::new();
    let mut all = fill(&site, 40_500);
    let s3 = site.connected().await;
    assert_eq!(keys(&*s3).await, all);
    assert_eq!(pages(&site), 41);
    assert_eq!(s3.probe().marks.len(), 10);

    // What a later process remembers; all of its first requests wait, so that they are seen together.
    let later = S3::new(site.address(), Some(s3.probe()));
    later.connect(Contact::Look).await.unwrap();
    site.server.clear_log();
    let gate = site.server.hold(Moment::BeforeHandling, "ListObjectsV2", "*");
    let together = async {
        gate.reached(8).await;
        gate.release();
    };
    let (found, ()) = tokio::join!(keys(&later), together);
    assert_eq!(found, all);
    assert_eq!(pages(&site), 41);

    // The names are hints: what was created or deleted since, also the names themselves, changes nothing.
    for mark in &later.probe().marks {
        site.bucket.remove(&format!("p/{mark}"));
        all.retain(|key| key != mark);
    }
    for new in ["a", "a/000000", "zzz", "a-02", "ü"] {
        site.bucket.put(&format!("p/{new}"), "new");
        all.push(new.to_owned());
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(keys(&later).await, all);
    assert!(pages(&site) <= 41 + 10);
    // A part is listed by itself.
    let part = listed(&later, Some("a/b")).await.unwrap();
    assert_eq!(part.len(), all.iter().filter(|key| key.starts_with("a/b/")).count());
}

#[tokio::test]
async fn a_range_that_breaks_makes_the_listing_incomplete() {
    let site = Site::new();
    let all = fill(&site, 12_500);
    let s3 = site.connected().await;
    assert_eq!(keys(&*s3).await, all);
    let denied = Rule::new("ListObjectsV2", Effect::Status(403, "AccessDenied")).skip(6).times(1);
    site.server.faults(|faults| faults.add(denied));
    assert_eq!(cause(listed(&*s3, None).await), Cause::Stop);
    assert_eq!(keys(&*s3).await, all);
    // What passes is tried again.
    let slow = Rule::new("ListObjectsV2", Effect::Status(503, "SlowDown")).skip(3).times(2);
    site.server.faults(|faults| faults.add(slow));
    assert_eq!(keys(&*s3).await, all);
}

#[tokio::test]
async fn without_proof_of_the_order_pages_come_one_after_another() {
    let site = Site::with(|quirks| quirks.listing_order = ListingOrder::Components);
    let all = fill(&site, 9_000);
    let s3 = site.connected().await;
    let mut found = keys(&*s3).await;
    found.sort_unstable();
    assert_eq!(found, all);
    assert_eq!(s3.probe().ordered, Ability::Missing);
    pages(&site);
    assert_eq!(keys(&*s3).await.len(), all.len());
    assert_eq!(pages(&site), 10, "our own object is listed, too");
}

/// A server that was seen to list in order, and does not any more: nothing is concluded from its ranges.
#[tokio::test]
async fn a_range_that_is_not_in_order_is_told() {
    let site = Site::new();
    fill(&site, 9_000);
    let s3 = site.connected().await;
    keys(&*s3).await;
    site.server.quirks(|quirks| quirks.listing_order = ListingOrder::Components);
    assert_eq!(cause(listed(&*s3, None).await), Cause::Unordered);
    let items = listed(&*s3, None).await.unwrap();
    assert_eq!(items.iter().filter(|item| matches!(item, Item::Present(..))).count(), 9_000);
}
