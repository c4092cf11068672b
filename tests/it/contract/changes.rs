//! Puts, copies, deletions, and their preconditions.

use futures_util::future::join_all;
use mediasync::model::{DigestKind, Expect, Version};
use mediasync::replica::{Ability, Cause, Content, Replica};

use super::looks::{empty, present_keys};
use super::{Behind, Subject};
use crate::s3_replica::{Putter, cause, key, whole};

/// The version of nothing that is there, in a form that each replica can read.
fn wrong_version() -> Version {
    Version::new("0".repeat(32))
}

pub(super) async fn content(replica: &dyn Replica, name: &str) -> Vec<u8> {
    let entry = replica.look_up(&key(name)).await.unwrap().unwrap_or_else(|| panic!("{name} is there"));
    match replica.open(&key(name), &entry.version).await.unwrap() {
        Content::Whole { bytes, .. } => bytes.to_vec(),
        Content::Pieces(pieces) => {
            let len = usize::try_from(entry.size).unwrap();
            let mut all = Vec::with_capacity(len);
            while all.len() < len {
                let piece = (len - all.len()).min(1 << 20);
                all.extend(pieces.read(all.len() as u64, piece).await.unwrap());
            }
            pieces.unchanged().await.unwrap();
            all
        }
    }
}

pub(super) async fn puts(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    for (name, bytes) in [("put/new", b"first".as_slice()), ("put/empty", b"")] {
        let entry = putter.create(replica, name, bytes).await.unwrap();
        assert_eq!(entry.size, bytes.len() as u64);
        let found = replica.look_up(&key(name)).await.unwrap().unwrap();
        assert_eq!((found.size, &found.version), (entry.size, &entry.version), "{name}");
        assert_eq!(found.modified_ns, Some(1_700_000_000_250_000_000), "{name}: the time that was given");
        assert_eq!(content(replica, name).await, bytes);
        // Refused, and nothing changed by it.
        assert_eq!(cause(putter.create(replica, name, b"other").await), Cause::Precondition, "{name}");
        let wrong = Expect::Version(wrong_version());
        assert_eq!(cause(putter.put(replica, name, &whole("other"), &wrong, None).await), Cause::Precondition);
        assert_eq!(replica.look_up(&key(name)).await.unwrap().unwrap().version, entry.version);
        assert_eq!(content(replica, name).await, bytes);
        assert_eq!(cause(replica.open(&key(name), &wrong_version()).await), Cause::Changed);
    }
    let first = replica.look_up(&key("put/new")).await.unwrap().unwrap();
    let second = putter.put(replica, "put/new", &whole("second"), &Expect::Version(first.version.clone()), None).await;
    let second = second.unwrap();
    assert_ne!(second.version, first.version);
    assert_eq!(cause(replica.open(&key("put/new"), &first.version).await), Cause::Changed);
    let stale = Expect::Version(first.version.clone());
    assert_eq!(cause(putter.put(replica, "put/new", &whole("third"), &stale, None).await), Cause::Precondition);
    assert_eq!(content(replica, "put/new").await, b"second");
    let nothing = putter.put(replica, "put/nothing", &whole("x"), &stale, None).await;
    assert_eq!(cause(nothing), Cause::Precondition, "a version of what is gone");
    assert_eq!(replica.look_up(&key("put/nothing")).await, Ok(None));
    // From something to nothing and back.
    let emptied = putter.put(replica, "put/new", &whole(""), &Expect::Version(second.version), None).await.unwrap();
    assert_eq!(content(replica, "put/new").await, b"");
    putter.put(replica, "put/new", &whole("last"), &Expect::Version(emptied.version), None).await.unwrap();
    assert_eq!(content(replica, "put/new").await, b"last");
}

/// What an overwrite does not set stays.
pub(super) async fn overwrite_keeps(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    match &subject.behind {
        Behind::Memory(_) => return,
        Behind::Directory(dir) => {
            use std::os::unix::fs::PermissionsExt;
            subject.write("dressed", b"old").await;
            std::fs::set_permissions(dir.path().join("dressed"), std::fs::Permissions::from_mode(0o640)).unwrap();
        }
        Behind::Bucket(_, _, raw) => raw.dress("dressed", b"old").await,
    }
    let old = replica.look_up(&key("dressed")).await.unwrap().unwrap();
    putter.put(replica, "dressed", &whole("new"), &Expect::Version(old.version), None).await.unwrap();
    assert_eq!(content(replica, "dressed").await, b"new");
    let kept = match &subject.behind {
        Behind::Memory(_) => unreachable!("returned above"),
        Behind::Directory(dir) => {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(dir.path().join("dressed")).unwrap().permissions().mode();
            if mode & 0o777 == 0o640 { vec!["mode"] } else { vec![] }
        }
        Behind::Bucket(_, _, raw) => raw.dressed("dressed").await,
    };
    assert_eq!(kept, subject.expected.kept, "what an overwrite keeps");
}

pub(super) async fn copies(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let source = putter.create(replica, "copy/from + ü", b"content").await.unwrap();
    let from = key("copy/from + ü");
    let digests = source.digests.clone();
    let absent = putter.as_put(&Expect::Absent, &digests, None);
    let copied = replica.copy(&from, &source.version, &key("copy/to"), &absent).await;
    if !subject.can(|can| can.copy) {
        assert_eq!(cause(copied), Cause::Unsupported);
        assert_eq!(replica.look_up(&key("copy/to")).await, Ok(None));
        return;
    }
    let copied = copied.unwrap();
    let found = replica.look_up(&key("copy/to")).await.unwrap().unwrap();
    assert_eq!((&found.version, found.size), (&copied.version, source.size));
    assert_eq!(content(replica, "copy/to").await, b"content");
    assert_eq!(replica.look_up(&from).await.unwrap().unwrap().version, source.version, "the source stays");
    assert_eq!(found.modified_ns, Some(1_700_000_000_250_000_000));
    // Conditions on either key.
    assert_eq!(cause(replica.copy(&from, &source.version, &key("copy/to"), &absent).await), Cause::Precondition);
    for (from, version) in [(&from, wrong_version()), (&key("copy/nothing"), source.version.clone())] {
        let refused = replica.copy(from, &version, &key("copy/other"), &absent).await;
        assert_eq!(cause(refused), Cause::Precondition, "{from}");
        assert_eq!(replica.look_up(&key("copy/other")).await, Ok(None));
    }
    let other = putter.create(replica, "copy/over", b"to be replaced").await.unwrap();
    let stale = Expect::Version(wrong_version());
    let refused = replica.copy(&from, &source.version, &key("copy/over"), &putter.as_put(&stale, &digests, None)).await;
    assert_eq!(cause(refused), Cause::Precondition);
    assert_eq!(content(replica, "copy/over").await, b"to be replaced");
    let right = Expect::Version(other.version);
    replica.copy(&from, &source.version, &key("copy/over"), &putter.as_put(&right, &digests, None)).await.unwrap();
    assert_eq!(content(replica, "copy/over").await, b"content");
    // A bucket tells our digest from a look alone.
    if let Behind::Bucket(..) = &subject.behind {
        assert_eq!(found.digests.get(DigestKind::Blake3), source.digests.get(DigestKind::Blake3));
    }
}

pub(super) async fn deletions(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    empty(replica).await;
    let mut batch = Vec::new();
    for at in 0..7 {
        let name = format!("delete/{at}");
        batch.push((key(&name), putter.create(replica, &name, name.as_bytes()).await.unwrap().version));
    }
    // A single one, stale and right.
    assert_eq!(cause(replica.delete(&[(key("delete/0"), wrong_version())]).await.remove(0)), Cause::Precondition);
    assert_eq!(content(replica, "delete/0").await, b"delete/0");
    assert_eq!(replica.delete(&batch[..1]).await, [Ok(())]);
    assert_eq!(replica.look_up(&key("delete/0")).await, Ok(None));
    // A batch, with one changed by somebody else and one gone.
    subject.write("delete/3", b"somebody else's").await;
    let results = replica.delete(&batch).await;
    let causes: Vec<_> = results.iter().map(|result| result.as_ref().err().map(|error| error.cause)).collect();
    let mut expected = vec![None; 7];
    (expected[0], expected[3]) = (subject.expected.gone, Some(Cause::Precondition));
    assert_eq!(causes, expected, "one result each, in order");
    assert_eq!(present_keys(replica, None).await, ["delete/3"]);
    assert_eq!(content(replica, "delete/3").await, b"somebody else's");
    assert!(replica.delete(&[]).await.is_empty());
    empty(replica).await;
}

/// Of many that create one key at once, one wins where the server can see to it.
pub(super) async fn racing_creations(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let texts: Vec<String> = (0..8).map(|at| format!("racer {at}")).collect();
    let racers = texts.iter().map(|text| putter.create(replica, "race", text.as_bytes()));
    let results = join_all(racers).await;
    let won: Vec<_> = results.iter().zip(&texts).filter(|(result, _)| result.is_ok()).collect();
    for result in &results {
        assert!(result.as_ref().err().is_none_or(|error| error.cause == Cause::Precondition), "{result:?}");
    }
    if replica.capabilities().conditional_put == Ability::Proven {
        assert_eq!(won.len(), 1, "{results:?}");
        assert_eq!(content(replica, "race").await, won[0].1.as_bytes());
    }
    assert!(!won.is_empty());
    empty(replica).await;
}
