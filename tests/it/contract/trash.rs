//! The trash: what is kept comes back as it was, and only over what the caller expects.

use mediasync::model::{DigestKind, Expect, Key, RunName, Version};
use mediasync::replica::trash::Unjournaled;
use mediasync::replica::{Ability, Cause, KeptAs, Trash, Trashed};

use super::looks::present_keys;
use super::reads::content;
use super::{Behind, Subject};
use crate::s3_replica::{Putter, cause, key};

cases! {
    Any: "what is kept in the trash comes back as it was, and only over what is expected" => keeps,
}

/// Everything in the trash of a run, or of all.
async fn listed(bin: &dyn Trash, run: Option<&RunName>) -> Vec<Trashed> {
    let (mut stream, mut all) = (bin.trashed(run), Vec::new());
    while let Some(batch) = stream.next().await.unwrap() {
        all.extend(batch);
    }
    all
}

fn names(listed: &[Trashed]) -> Vec<(RunName, String)> {
    listed.iter().map(|kept| (kept.run.clone(), kept.key.as_str().to_owned())).collect()
}

async fn keeps(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let bin = replica.trash().expect("it has a trash");
    let (first, second) = (RunName::new(1_000_000_000, 1), RunName::new(2_000_000_000, 2));
    assert_eq!(listed(bin, None).await, [], "nothing was kept yet");
    if replica.capabilities().copy == Ability::Missing {
        let put = putter.create(replica, "bin/a", b"1").await.unwrap();
        let refused = bin.keep(&key("bin/a"), &put.version, &first, &Unjournaled).await.unwrap_err();
        assert_eq!(refused.cause, Cause::Unsupported);
        assert!(refused.hint.unwrap().contains("trash = \"off\""), "the way out is named");
        replica.delete(&[(key("bin/a"), put.version)]).await.remove(0).unwrap();
        return;
    }
    let names_of = ["bin/a", "bin/sub dir/b+ü.jpg", "bin/c"];
    let mut seen = Vec::new();
    for name in names_of {
        putter.create(replica, name, name.as_bytes()).await.unwrap();
        seen.push(replica.look_up(&key(name)).await.unwrap().unwrap());
    }
    let users = present_keys(replica, None).await;

    // Kept: the key is as it was, with the version that was answered.
    let mut now = Vec::new();
    for (name, before) in names_of.iter().zip(&seen) {
        let kept = bin.keep(&key(name), &before.version, &first, &Unjournaled).await.unwrap();
        assert_eq!(kept.kept_as, KeptAs::Copy);
        let after = replica.look_up(&key(name)).await.unwrap().unwrap();
        assert_eq!((after.size, after.modified_ns), (before.size, before.modified_ns), "{name}");
        assert_eq!(content(replica, name).await, name.as_bytes());
        // Twice is once.
        let again = bin.keep(&key(name), &kept.version, &first, &Unjournaled).await.unwrap();
        now.push((key(name), again.version));
    }
    assert_eq!(present_keys(replica, None).await, users, "the trash is never listed");
    let all = listed(bin, None).await;
    let expected: Vec<(RunName, String)> =
        ["bin/a", "bin/c", "bin/sub dir/b+ü.jpg"].map(|name| (first.clone(), name.to_owned())).to_vec();
    let mut found = names(&all);
    found.sort();
    assert_eq!(found, expected);
    assert!(all.iter().all(|kept| kept.size == kept.key.as_str().len() as u64 && kept.kept_as == KeptAs::Copy));

    // Another version, and nothing, are not kept.
    let wrong = Version::new("0".repeat(32));
    for name in ["bin/a", "bin/none"] {
        assert_eq!(cause(bin.keep(&key(name), &wrong, &second, &Unjournaled).await), Cause::Precondition, "{name}");
    }
    assert_eq!(listed(bin, Some(&second)).await, []);

    // Deleted with the version that keeping gave, and back as it was.
    for result in replica.delete(&now).await {
        result.unwrap();
    }
    assert_eq!(replica.look_up(&key("bin/a")).await, Ok(None));
    let b = all.iter().find(|kept| kept.key == key(names_of[1])).unwrap();
    let entry = bin.look_at(b).await.unwrap().unwrap();
    assert_eq!((entry.size, entry.modified_ns), (seen[1].size, seen[1].modified_ns));
    let back = bin.restore(b, &Expect::Absent, &Unjournaled).await.unwrap();
    let found = replica.look_up(&key(names_of[1])).await.unwrap().unwrap();
    assert_eq!((&found.version, found.modified_ns), (&back.version, seen[1].modified_ns));
    // A copy may have an ETag of its own.
    let ours = |entry: &mediasync::model::Entry| entry.digests.get(DigestKind::Blake3).cloned();
    assert_eq!(ours(&found), ours(&seen[1]));
    assert_eq!(content(replica, names_of[1]).await, names_of[1].as_bytes());
    assert_eq!(bin.look_at(b).await, Ok(None), "what is restored leaves the trash");
    assert_eq!(cause(bin.restore(b, &Expect::Absent, &Unjournaled).await), Cause::NotFound);

    // Never over what nobody expected, over what somebody did.
    let a = all.iter().find(|kept| kept.key == key("bin/a")).unwrap();
    let other = putter.create(replica, "bin/a", b"other").await.unwrap();
    for expect in [Expect::Absent, Expect::Version(wrong)] {
        assert_eq!(cause(bin.restore(a, &expect, &Unjournaled).await), Cause::Precondition, "{expect:?}");
    }
    assert_eq!(content(replica, "bin/a").await, b"other");
    bin.restore(a, &Expect::Version(other.version), &Unjournaled).await.unwrap();
    assert_eq!(content(replica, "bin/a").await, b"bin/a");

    for_good(subject, &first, &names_of[..2]).await;
    too_long(subject, &first).await;
    many(subject).await;
}

/// What is discarded is gone, and only that.
async fn for_good(subject: &Subject, first: &RunName, left_names: &[&str]) {
    let replica = subject.replica();
    let bin = replica.trash().unwrap();
    let rest = listed(bin, Some(first)).await;
    assert_eq!(names(&rest), [(first.clone(), "bin/c".to_owned())]);
    for _ in 0..2 {
        assert_eq!(bin.discard(&rest).await, [Ok(())]);
    }
    assert_eq!(listed(bin, None).await, []);
    assert_eq!(replica.look_up(&key("bin/c")).await, Ok(None));
    let left: Vec<(Key, Version)> = {
        let mut left = Vec::new();
        for name in left_names {
            left.push((key(name), replica.look_up(&key(name)).await.unwrap().unwrap().version));
        }
        left
    };
    for result in replica.delete(&left).await {
        result.unwrap();
    }
}

/// A key whose name has no room for that of the trash is refused, with the way out.
async fn too_long(subject: &Subject, run: &RunName) {
    if !subject.stores_objects() {
        return;
    }
    let (replica, putter) = (subject.replica(), Putter::new());
    let long = format!("{}/{}", "l".repeat(200), "o".repeat(200));
    let long = format!("{long}/{long}/{}", "n".repeat(190));
    // Not every server stores such a name.
    let Ok(put) = putter.create(replica, &long, b"1").await else { return };
    let refused = replica.trash().unwrap().keep(&key(&long), &put.version, run, &Unjournaled).await.unwrap_err();
    assert_eq!(refused.cause, Cause::Refused);
    assert!(refused.hint.unwrap().contains("trash = \"off\""));
    replica.delete(&[(key(&long), put.version)]).await.remove(0).unwrap();
}

/// More than a batch is removed at once, of the runs that are meant.
async fn many(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let bin = replica.trash().unwrap();
    let (old, young) = (RunName::new(5_000_000_000, 1), RunName::new(6_000_000_000, 1));
    for (run, name) in [(&old, "many/1"), (&old, "many/2"), (&young, "many/3")] {
        let put = putter.create(replica, name, b"x").await.unwrap();
        let kept = bin.keep(&key(name), &put.version, run, &Unjournaled).await.unwrap();
        replica.delete(&[(key(name), kept.version)]).await.remove(0).unwrap();
    }
    let ordered = replica.capabilities().ordered;
    let removed = mediasync::replica::trash::empty(bin, None, &|run| *run == old, ordered).await;
    assert_eq!(removed, Ok(2));
    assert_eq!(names(&listed(bin, None).await), [(young.clone(), "many/3".to_owned())]);
    assert_eq!(mediasync::replica::trash::empty(bin, Some(&young), &|_| true, ordered).await, Ok(1));
    assert_eq!(listed(bin, None).await, []);
    // On disk nothing is left of it.
    if let Behind::Directory(dir, _) = &subject.behind {
        assert!(!dir.path().join(".mediasync").exists());
    }
}
