//! Listings: complete, in order, and of what they are asked for.

use futures_util::stream::{self, StreamExt};
use mediasync::model::Item;
use mediasync::replica::{Cause, Contact, Error, Replica};

use super::looks::{look, present, present_keys};
use super::{Behind, Subject};
use crate::s3_replica::{Putter, cause, key, listed};

cases! {
    Any: "a listing of an empty place has its end and nothing else" => of_nothing,
    Any: "a listing has each key once, and in order where the replica says so" => in_order,
    Any: "a listing gives the size and the version that a look gives" => as_looks,
    Any: "a listing gives the digests that it is known to give" => digests,
    Unordered: "a listing in another order is told once and then given" => told_once,
    Any: "only a directory lists what is below it, and nothing beside it" => only_a_directory,
    Any: "only a file lists that file, and nothing that begins like it" => only_a_file,
    Any: "only what is not there lists nothing, and ends" => only_nothing,
    Any: "a file takes the name of a directory, or is refused" => file_beside_folder,
    Any: "what begins with .mediasync is never listed, at any depth" => own,
    Any: "a listing sees what was just put and just deleted" => fresh_changes,
    Any: "a listing of more than a page is complete and ends" => pages,
    Any: "a listing of a directory of more than a page is complete and ends" => pages_below,
    Any: "a listing that is dropped harms none that is under way or comes later" => dropped,
}

const NAMES: &[&str] = &["a-b", "a.txt", "a/b/c", "a/b-c", "a/x", "ab", "b", "B", "é", "z/1", "z/10", "z/2"];

/// Stores them with themselves as content.
async fn put_names(replica: &dyn Replica) {
    let putter = Putter::new();
    for name in NAMES {
        putter.create(replica, name, name.as_bytes()).await.unwrap();
    }
}

async fn of_nothing(subject: &Subject) {
    // The end is asserted by `listed`.
    assert_eq!(listed(subject.replica(), None).await.unwrap(), []);
}

async fn in_order(subject: &Subject) {
    put_names(subject.replica()).await;
    let mut names = NAMES.to_vec();
    names.sort_unstable();
    let mut keys = present_keys(subject.replica(), None).await;
    if subject.can(|can| can.ordered) {
        assert_eq!(keys, names, "the order of a listing");
    }
    keys.sort_unstable();
    assert_eq!(keys, names, "each key once");
}

async fn as_looks(subject: &Subject) {
    put_names(subject.replica()).await;
    let all = present(subject.replica(), None).await;
    assert_eq!(all.len(), NAMES.len());
    for (key, entry) in &all {
        let found = look(subject.replica(), key.as_str()).await;
        assert_eq!((&found.version, found.size), (&entry.version, entry.size), "{key}");
        assert_eq!(entry.size, key.as_str().len() as u64, "{key}");
    }
}

async fn digests(subject: &Subject) {
    put_names(subject.replica()).await;
    for (key, entry) in present(subject.replica(), None).await {
        let kinds: Vec<_> = entry.digests.iter().map(|digest| digest.kind).collect();
        assert_eq!(kinds.first().copied(), subject.expected.listed.0, "{key}");
    }
}

async fn told_once(subject: &Subject) {
    let place = subject.fresh();
    let replica = place.replica();
    replica.connect(Contact::Look).await.unwrap();
    for name in ["a-b", "a/b"] {
        place.write(name, b"1".as_slice()).await;
    }
    assert_eq!(cause(listed(replica, None).await), Cause::Unordered);
    assert_eq!(listed(replica, None).await.unwrap().len(), 2, "it is sorted by who asks from now on");
    place.remove().await;
}

async fn only(subject: &Subject, only: &str) -> Vec<String> {
    let mut found = present_keys(subject.replica(), Some(only)).await;
    found.sort_unstable();
    found
}

fn expected(only: &str) -> Vec<&'static str> {
    let below = format!("{only}/");
    let mut names: Vec<&str> = NAMES.iter().copied().filter(|n| *n == only || n.starts_with(&below)).collect();
    names.sort_unstable();
    names
}

async fn only_a_directory(subject: &Subject) {
    put_names(subject.replica()).await;
    for directory in ["a", "a/b", "z"] {
        assert_eq!(only(subject, directory).await, expected(directory), "only {directory}");
    }
    assert_eq!(expected("a"), ["a/b-c", "a/b/c", "a/x"]);
}

async fn only_a_file(subject: &Subject) {
    put_names(subject.replica()).await;
    for file in ["a-b", "a/b/c", "z/1", "é", "B"] {
        assert_eq!(only(subject, file).await, [file], "only {file}");
    }
}

async fn only_nothing(subject: &Subject) {
    put_names(subject.replica()).await;
    for nothing in ["nothing", "a/b/c/d", "a/", "z/3", "A"].map(|name| name.trim_end_matches('/')) {
        assert_eq!(only(subject, nothing).await, expected(nothing), "only {nothing}");
    }
}

async fn file_beside_folder(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    put_names(replica).await;
    let mut names = NAMES.to_vec();
    for name in ["a", "a/b"] {
        let created = putter.create(replica, name, name.as_bytes()).await;
        assert_eq!(created.as_ref().err().map(|error| error.cause), subject.expected.file_beside_folder, "{created:?}");
        names.extend(created.is_ok().then_some(name));
    }
    names.sort_unstable();
    let mut keys = present_keys(replica, None).await;
    keys.sort_unstable();
    assert_eq!(keys, names);
    let below: Vec<_> = names.iter().copied().filter(|name| *name == "a/b" || name.starts_with("a/b/")).collect();
    assert_eq!(only(subject, "a/b").await, below);
}

async fn own(subject: &Subject) {
    for own in [".mediasync-other/x", "z/.mediasync/x", "z/y/.mediasync-file"] {
        subject.write(own, b"own".as_slice()).await;
    }
    subject.write("z/users", b"1".as_slice()).await;
    assert_eq!(present_keys(subject.replica(), None).await, ["z/users"]);
    assert_eq!(present_keys(subject.replica(), Some("z")).await, ["z/users"]);
    for own in [".mediasync-other/x", "z/.mediasync/x", "z/y/.mediasync-file"] {
        subject.take_away(own).await;
    }
}

async fn fresh_changes(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    for round in 0..3 {
        let name = format!("round/{round}");
        let put = putter.create(replica, &name, b"1").await.unwrap();
        assert_eq!(present_keys(replica, None).await, [name.as_str()]);
        assert_eq!(replica.delete(&[(key(&name), put.version)]).await, [Ok(())]);
        assert_eq!(present_keys(replica, None).await, [] as [&str; 0]);
    }
}

/// One more than a page has; S3 gives 1,000.
const MORE_THAN_A_PAGE: usize = 1_001;

/// Somebody else stores so many files below a directory, and one on each side of it.
async fn fill(subject: &Subject) -> Vec<String> {
    let below = (0..MORE_THAN_A_PAGE).map(|at| format!("many/{at:05}"));
    let names: Vec<String> = below.chain(["many".to_owned() + "-after", "before".to_owned()]).collect();
    if let Behind::Container(container) = &subject.behind {
        container.raw.fill(&names);
        return names;
    }
    stream::iter(&names).for_each_concurrent(16, |name| subject.write(name, b"1".as_slice())).await;
    names
}

async fn pages(subject: &Subject) {
    let mut names = fill(subject).await;
    names.sort_unstable();
    let mut keys = present_keys(subject.replica(), None).await;
    keys.sort_unstable();
    assert_eq!(keys.len(), names.len());
    assert!(keys == names, "other keys");
}

async fn pages_below(subject: &Subject) {
    let mut names = fill(subject).await;
    names.retain(|name| name.starts_with("many/"));
    names.sort_unstable();
    let mut keys = present_keys(subject.replica(), Some("many")).await;
    keys.sort_unstable();
    assert!(keys == names, "{} of {} keys", keys.len(), names.len());
}

async fn dropped(subject: &Subject) {
    let replica = subject.replica();
    put_names(replica).await;
    // Of a server in another order, the first one only says so.
    present(replica, None).await;
    let filter = std::sync::Arc::default();
    let mut kept = replica.list(None, &filter);
    for _ in 0..3 {
        drop(replica.list(None, &filter));
        let mut begun = replica.list(None, &filter);
        begun.items.recv().await;
    }
    let mut items = Vec::new();
    while let Some(batch) = kept.items.recv().await {
        items.extend(batch.unwrap_or_else(|error: Error| panic!("{error}")));
    }
    assert_eq!(items.pop(), Some(Item::End));
    assert_eq!(items.len(), NAMES.len());
    if let Behind::Directory(..) = subject.behind {
        assert!(items.iter().all(|item| matches!(item, Item::Present(..))));
    }
}
