//! First contact, and looks at single keys.

use std::sync::Arc;

use mediasync::model::{Entry, Item, Key};
use mediasync::replica::azure::{self, Azure};
use mediasync::replica::s3::{Probe, S3};
use mediasync::replica::{Ability, Cause, Contact, Error, Replica};

use super::{Behind, Subject};
use crate::s3_replica::{Putter, cause, key, listed};

cases! {
    Any: "looking at a place makes no identity in it" => looking,
    Bucket: "looking at a bucket takes two requests and changes nothing" => looking_is_cheap,
    Container: "looking at a container takes two requests and changes nothing" => looking_at_a_container,
    Any: "preparing gives an identity, and every later contact finds that one" => identity,
    Any: "another place has another identity" => other_identity,
    Any: "what preparing leaves is not listed" => prepared,
    Bucket: "the probe finds what is known of the server" => probe,
    Container: "the probe of a container finds all that Azure promises" => container_probe,
    Bucket: "a server that ignores preconditions is told about, and no other" => notice,
    Bucket: "what was found out and remembered is not tried again" => remembered,
    Container: "what was found out about a container and remembered is not tried again" => remembered_container,
    Any: "what is absent is told to be absent, however much its name is like another" => absent,
    Any: "a directory is no key, even where one is kept" => directories,
    Any: "what would be below a file is absent" => below_a_file,
    Any: "a look gives the version and the size that a put was acknowledged with" => acknowledged,
    Any: "a look gives the time that was recorded" => times,
    Any: "a look sees what somebody else wrote and removed" => others,
}

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

/// The entry of a key that is there.
pub(super) async fn look(replica: &dyn Replica, name: &str) -> Entry {
    replica.look_up(&key(name)).await.unwrap().unwrap_or_else(|| panic!("{name} is there"))
}

/// Removes everything, and sees that it is gone.
pub(super) async fn empty(replica: &dyn Replica) {
    let batch: Vec<_> = present(replica, None).await.into_iter().map(|(key, entry)| (key, entry.version)).collect();
    if batch.is_empty() {
        return;
    }
    let results = replica.delete(&batch).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(present_keys(replica, None).await, [] as [&str; 0]);
}

async fn looking(subject: &Subject) {
    let place = subject.fresh();
    let looked = place.replica().connect(Contact::Look).await.unwrap();
    if subject.stores_objects() {
        assert_eq!(looked.identity, None);
    }
    let again = place.replica().connect(Contact::Look).await.unwrap();
    assert_eq!(again.identity, looked.identity);
    let prepared = place.replica().connect(Contact::Prepare).await.unwrap();
    assert!(looked.identity.is_none() || looked.identity == prepared.identity);
    place.remove().await;
}

async fn looking_is_cheap(subject: &Subject) {
    let place = subject.fresh();
    place.replica().connect(Contact::Look).await.unwrap();
    let Behind::Bucket(bucket) = &place.behind else { unreachable!("a case for buckets") };
    let mut requests = bucket.s3.requests();
    requests.retain(|(_, count)| *count > 0);
    assert_eq!(requests, [("ListObjects", 1), ("GetObject", 1)]);
}

async fn looking_at_a_container(subject: &Subject) {
    let place = subject.fresh();
    place.replica().connect(Contact::Look).await.unwrap();
    let Behind::Container(container) = &place.behind else { unreachable!("a case for containers") };
    assert_eq!(container.azure.requests(), [("ListBlobs", 1), ("GetBlobProperties", 1)]);
}

async fn identity(subject: &Subject) {
    let place = subject.fresh();
    let connected = place.replica().connect(Contact::Prepare).await.unwrap();
    assert!(connected.identity.is_some());
    for contact in [Contact::Prepare, Contact::Look] {
        assert_eq!(place.replica().connect(contact).await.unwrap().identity, connected.identity);
    }
    place.remove().await;
}

async fn other_identity(subject: &Subject) {
    let mine = subject.replica().connect(Contact::Prepare).await.unwrap().identity;
    let place = subject.fresh();
    assert_ne!(place.replica().connect(Contact::Prepare).await.unwrap().identity, mine);
    place.remove().await;
}

async fn prepared(subject: &Subject) {
    let place = subject.fresh();
    place.replica().connect(Contact::Prepare).await.unwrap();
    assert_eq!(present_keys(place.replica(), None).await, [] as [&str; 0]);
    place.remove().await;
}

async fn probe(subject: &Subject) {
    subject.replica().connect(Contact::Prepare).await.unwrap();
    let Behind::Bucket(bucket) = &subject.behind else { unreachable!("a case for buckets") };
    let probe = Probe { id: None, region: None, marks: Vec::new(), ..bucket.s3.probe() };
    assert_eq!(Some(&probe), subject.expected.probe.as_ref(), "the probe finds something else");
}

async fn container_probe(subject: &Subject) {
    let connected = subject.replica().connect(Contact::Prepare).await.unwrap();
    let Behind::Container(container) = &subject.behind else { unreachable!("a case for containers") };
    let all = azure::Probe {
        id: None,
        ordered: Ability::Proven,
        flat: Ability::Proven,
        conditional_put: Ability::Proven,
        conditional_delete: Ability::Proven,
        copy: Ability::Proven,
    };
    assert_eq!(azure::Probe { id: None, ..container.azure.probe() }, all);
    assert_eq!(connected.notices, [] as [&str; 0]);
}

async fn notice(subject: &Subject) {
    let place = subject.fresh();
    let connected = place.replica().connect(Contact::Prepare).await.unwrap();
    let told = connected.notices.iter().any(|notice| notice.contains("ignores preconditions"));
    let is_ignored = place.replica().capabilities().conditional_put == Ability::Missing;
    assert_eq!(told, is_ignored, "{:?}", connected.notices);
    place.remove().await;
}

async fn remembered(subject: &Subject) {
    let Behind::Bucket(bucket) = &subject.behind else { unreachable!("a case for buckets") };
    let identity = subject.replica().connect(Contact::Prepare).await.unwrap().identity;
    let again = Arc::new(S3::new((*bucket.address).clone(), Some(bucket.s3.probe())));
    assert_eq!(again.connect(Contact::Prepare).await.unwrap().identity, identity);
    let changing = |kind: &str| !matches!(kind, "ListObjects" | "GetObject" | "HeadObject" | "HeadBucket");
    let changes: Vec<_> = again.requests().into_iter().filter(|(kind, n)| changing(kind) && *n > 0).collect();
    assert_eq!(changes, []);
}

async fn remembered_container(subject: &Subject) {
    let Behind::Container(container) = &subject.behind else { unreachable!("a case for containers") };
    let identity = subject.replica().connect(Contact::Prepare).await.unwrap().identity;
    let again = Azure::new((*container.address).clone(), Some(container.azure.probe()));
    assert_eq!(again.connect(Contact::Prepare).await.unwrap().identity, identity);
    let changing = |kind: &str| !matches!(kind, "ListBlobs" | "GetBlob" | "GetBlobProperties");
    let changes: Vec<_> = again.requests().into_iter().filter(|(kind, n)| changing(kind) && *n > 0).collect();
    assert_eq!(changes, []);
}

async fn absent(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    assert_eq!(replica.look_up(&key("nothing")).await, Ok(None));
    let there = putter.create(replica, "dir/file", b"1").await.unwrap();
    for absent in ["nothing", "dir/fil", "dir/file2", "dir2/file", "DIR/file", "file", "dir/dir/file"] {
        assert_eq!(replica.look_up(&key(absent)).await, Ok(None), "{absent}");
    }
    assert_eq!(look(replica, "dir/file").await.version, there.version);
}

async fn directories(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    putter.create(replica, "dir/sub/file", b"1").await.unwrap();
    for directory in ["dir", "dir/sub"] {
        assert_eq!(replica.look_up(&key(directory)).await, Ok(None), "{directory}");
    }
}

async fn below_a_file(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    putter.create(replica, "dir/file", b"1").await.unwrap();
    for below in ["dir/file/below", "dir/file/a/b"] {
        assert_eq!(replica.look_up(&key(below)).await, Ok(None), "{below}");
    }
}

async fn acknowledged(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    for (name, bytes) in [("some", b"some bytes".as_slice()), ("none", b"")] {
        let entry = putter.create(replica, name, bytes).await.unwrap();
        let found = look(replica, name).await;
        assert_eq!((entry.size, found.size), (bytes.len() as u64, bytes.len() as u64), "{name}");
        assert_eq!(found.version, entry.version, "{name}");
        assert_eq!(look(replica, name).await.version, entry.version, "{name}: and again");
    }
}

async fn times(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    putter.create(replica, "dated", b"1").await.unwrap();
    assert_eq!(look(replica, "dated").await.modified_ns, Some(1_700_000_000_250_000_000));
}

async fn others(subject: &Subject) {
    let replica = subject.replica();
    subject.write("theirs", b"1".as_slice()).await;
    let first = look(replica, "theirs").await;
    subject.write("theirs", b"22".as_slice()).await;
    let second = look(replica, "theirs").await;
    assert_eq!((first.size, second.size), (1, 2));
    assert_ne!(first.version, second.version);
    subject.take_away("theirs").await;
    assert_eq!(replica.look_up(&key("theirs")).await, Ok(None));
    assert_eq!(cause(replica.open(&key("theirs"), &second.version).await), Cause::NotFound);
}
