//! Contact, listings, absence.

use mediasync::model::{Entry, Item, Key};
use mediasync::replica::s3::Probe;
use mediasync::replica::{Ability, Cause, Contact, Error, Replica};

use super::{Behind, Subject};
use crate::s3_replica::{Putter, cause, key, listed};

/// Everything present, in the order of the listing. A server that turns out to list in another order says so first.
pub(super) async fn present(replica: &dyn Replica, only: Option<&str>) -> Vec<(Key, Entry)> {
    let all = match listed(replica, only).await {
        Err(Error { cause: Cause::Unordered, .. }) => listed(replica, only).await,
        all => all,
    };
    let present = |item| match item {
        Item::Present(key, entry) => (key, entry),
        other => panic!("{other:?}"),
    };
    all.unwrap().into_iter().map(present).collect()
}

pub(super) async fn present_keys(replica: &dyn Replica, only: Option<&str>) -> Vec<String> {
    present(replica, only).await.into_iter().map(|(key, _)| key.as_str().to_owned()).collect()
}

/// Removes everything, and sees that it is gone.
pub(super) async fn empty(replica: &dyn Replica) {
    let batch: Vec<_> = present(replica, None).await.into_iter().map(|(key, entry)| (key, entry.version)).collect();
    let results = replica.delete(&batch).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(present_keys(replica, None).await, [] as [&str; 0]);
}

pub(super) async fn contact(subject: &Subject) {
    let replica = subject.replica();
    let looked = replica.connect(Contact::Look).await.unwrap();
    if let Behind::Bucket(s3, ..) = &subject.behind {
        assert_eq!(looked.identity, None, "looking makes no identity");
        let mut requests = s3.requests();
        requests.retain(|(_, count)| *count > 0);
        assert_eq!(requests, [("ListObjects", 1), ("GetObject", 1)], "looking changes nothing");
    }
    let connected = replica.connect(Contact::Prepare).await.unwrap();
    assert!(connected.identity.is_some());
    assert!(looked.identity.is_none() || looked.identity == connected.identity);
    assert_eq!(present_keys(replica, None).await, [] as [&str; 0], "own objects are never listed");
    let again = replica.connect(Contact::Prepare).await.unwrap();
    assert_eq!(again.identity, connected.identity);
    assert_eq!(replica.connect(Contact::Look).await.unwrap().identity, connected.identity);
    let Behind::Bucket(s3, ..) = &subject.behind else { return };
    let probe = Probe { id: None, region: None, ..s3.probe() };
    assert_eq!(Some(&probe), subject.expected.probe.as_ref(), "the probe finds something else");
    let notice = connected.notices.iter().any(|notice| notice.contains("ignores preconditions"));
    assert_eq!(notice, probe.conditional_put == Ability::Missing, "{:?}", connected.notices);
}

/// Order, ranges, entries, what is never listed.
pub(super) async fn listings(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    empty(replica).await;
    let mut names = vec!["a-b", "a.txt", "a/b/c", "a/b-c", "a/x", "ab", "b", "B", "é", "z/1", "z/10", "z/2"];
    for name in &names {
        putter.create(replica, name, name.as_bytes()).await.unwrap();
    }
    for name in ["a", "a/b"] {
        let created = putter.create(replica, name, name.as_bytes()).await;
        assert_eq!(created.as_ref().err().map(|error| error.cause), subject.expected.file_beside_folder, "{created:?}");
        names.extend(created.is_ok().then_some(name));
    }
    subject.write(".mediasync-other/x", b"own").await;
    subject.write("z/.mediasync/x", b"own").await;
    let all = present(replica, None).await;
    for (key, entry) in &all {
        let found = replica.look_up(key).await.unwrap().unwrap();
        assert_eq!((&found.version, found.size), (&entry.version, entry.size), "{key}");
        assert_eq!(entry.size, key.as_str().len() as u64, "{key}");
        let kinds: Vec<_> = entry.digests.iter().map(|digest| digest.kind).collect();
        assert_eq!(kinds.first().copied(), subject.expected.listed.0, "{key}");
    }
    let mut keys: Vec<&str> = all.iter().map(|(key, _)| key.as_str()).collect();
    names.sort_unstable();
    if subject.can(|can| can.ordered) {
        assert_eq!(keys, names, "the order of a listing");
    }
    keys.sort_unstable();
    assert_eq!(keys, names, "each key once");
    for only in ["a", "a-b", "a/b", "a/b/c", "z", "z/1", "nothing", "a/b/c/d", "é", "B"] {
        let below = format!("{only}/");
        let expected: Vec<&str> = names.iter().copied().filter(|n| *n == only || n.starts_with(&below)).collect();
        let mut found = present_keys(replica, Some(only)).await;
        found.sort_unstable();
        assert_eq!(found, expected, "only {only}");
    }
}

/// `Ok(None)` where nothing is, and nothing else.
pub(super) async fn absence(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    empty(replica).await;
    let there = putter.create(replica, "dir/file", b"1").await.unwrap();
    for absent in ["nothing", "dir", "dir/fil", "dir/file2", "dir/file/below", "dir2/file", "DIR/file"] {
        assert_eq!(replica.look_up(&key(absent)).await, Ok(None), "{absent}");
    }
    for absent in ["nothing", "dir/fil", "dir2/file"] {
        assert_eq!(cause(replica.open(&key(absent), &there.version).await), Cause::NotFound, "{absent}");
    }
    assert_eq!(replica.look_up(&key("dir/file")).await.unwrap().unwrap().version, there.version);
}
