//! The S3 replica against a real server: `MEDIASYNC_TEST_S3=http://KEY:SECRET@host:port/bucket`, run with `--ignored`.
//! Works below a random prefix and removes what it made.

use std::collections::HashMap;

use mediasync::model::{DigestKind, Expect, Item, Version};
use mediasync::replica::s3::{Addressing, Credentials, S3, S3Address};
use mediasync::replica::{Ability, Cause, Contact, Content, Replica};
use mediasync::secret::Secret;

use crate::s3_replica::{Memory, Putter, cause, key, keys, listed, whole};

fn address() -> S3Address {
    let text = std::env::var("MEDIASYNC_TEST_S3").expect("MEDIASYNC_TEST_S3=http://KEY:SECRET@host:port/bucket");
    let (scheme, rest) = text.split_once("://").expect("a scheme");
    let (user, rest) = rest.split_once('@').expect("a user");
    let (access_key, secret) = user.split_once(':').expect("a secret");
    let (host, bucket) = rest.split_once('/').expect("a bucket");
    S3Address {
        bucket: bucket.to_owned(),
        prefix: format!("mediasync-test-{:016x}", fastrand::u64(..)),
        endpoint: Some(format!("{scheme}://{host}")),
        region: None,
        addressing: Addressing::Path,
        credentials: Credentials::Static {
            access_key: access_key.to_owned(),
            secret: Secret::new(secret),
            session_token: None,
        },
        acl: None,
        public_url: None,
    }
}

fn counts(s3: &S3) -> HashMap<&'static str, u64> {
    s3.requests().into_iter().collect()
}

#[tokio::test]
#[ignore = "needs a server in MEDIASYNC_TEST_S3"]
async fn everything_against_a_real_server() {
    let s3 = S3::new(address(), None);
    contact(&s3).await;
    small(&s3).await;
    large(&s3).await;
    copies(&s3).await;
    lists(&s3).await;
    deletes(&s3).await;
    println!("{:?}\n{:?}", s3.requests(), s3.notices());
}

async fn contact(s3: &S3) {
    let looked = s3.connect(Contact::Look).await.unwrap();
    assert_eq!(looked.identity, None);
    assert_eq!(counts(s3), HashMap::from([("ListObjects", 1), ("GetObject", 1)]), "looking changes nothing");
    let connected = s3.connect(Contact::Prepare).await.unwrap();
    let probe = s3.probe();
    println!("{probe:#?}\n{:?}", connected.notices);
    assert!(connected.identity.is_some() && probe.id == connected.identity);
    assert!(keys(s3).await.is_empty(), "own objects are never listed");
    // What is remembered is not asked again.
    let before = counts(s3);
    s3.connect(Contact::Prepare).await.unwrap();
    let after = counts(s3);
    let delta = |kind| after.get(kind).copied().unwrap_or(0) - before.get(kind).copied().unwrap_or(0);
    assert_eq!((delta("ListObjects"), delta("GetObject"), delta("PutObject")), (1, 1, 0));
}

async fn small(s3: &S3) {
    let putter = Putter::new();
    for name in ["d/a.svg", "ü + %2B#?&=.txt", "d-b", "empty"] {
        let bytes = if name == "empty" { Vec::new() } else { name.as_bytes().to_vec() };
        let entry = putter.create(s3, name, &bytes).await.unwrap();
        let found = s3.look_up(&key(name)).await.unwrap().expect("it was stored");
        assert_eq!((found.size, &found.version), (bytes.len() as u64, &entry.version), "{name}");
        assert_eq!(found.modified_ns, Some(1_700_000_000_250_000_000));
        assert_eq!(found.digests.get(DigestKind::Blake3), entry.digests.get(DigestKind::Blake3));
        let opened = s3.open(&key(name), &entry.version).await.unwrap();
        assert!(matches!(opened, Content::Whole { bytes: read, .. } if read == bytes));
        assert_eq!(cause(putter.create(s3, name, b"other").await), Cause::Precondition, "{name}");
    }
    let old = s3.look_up(&key("d-b")).await.unwrap().unwrap();
    let wrong = Expect::Version(Version::new("0".repeat(32)));
    assert_eq!(cause(putter.put(s3, "d-b", &whole("new"), &wrong, None).await), Cause::Precondition);
    let right = Expect::Version(old.version.clone());
    let new = putter.put(s3, "d-b", &whole("new"), &right, None).await.unwrap();
    assert_ne!(new.version, old.version);
    assert_eq!(cause(s3.open(&key("d-b"), &old.version).await), Cause::Changed);
    assert_eq!(cause(s3.open(&key("nothing"), &old.version).await), Cause::NotFound);
    assert_eq!(s3.look_up(&key("nothing")).await.unwrap(), None);
}

async fn large(s3: &S3) {
    let bytes: Vec<u8> = (0..17_000_003_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let memory = Memory::new(bytes.clone());
    let hashes = memory.hashes(8 << 20);
    let putter = Putter::new();
    let content = Content::Pieces(memory.clone());
    let entry = putter.put(s3, "large.bin", &content, &Expect::Absent, Some(&hashes)).await.unwrap();
    assert_eq!(putter.meter.bytes(), bytes.len() as u64);
    assert!(putter.journal.lines.lock().unwrap().is_empty());
    assert_eq!(putter.journal.log.lock().unwrap()[..2], ["intend without id", "intend with id"]);
    let Content::Pieces(opened) = s3.open(&key("large.bin"), &entry.version).await.unwrap() else { panic!("pieces") };
    for (offset, len) in [(0, 1), (8_388_607, 2), (16_999_000, 1_003)] {
        let at = usize::try_from(offset).unwrap();
        assert_eq!(opened.read(offset, len).await.unwrap(), bytes[at..at + len]);
    }
    opened.unchanged().await.unwrap();
    assert_eq!(cause(opened.read(17_000_000, 4).await), Cause::Changed);
    // A source that changes while it is sent publishes nothing.
    let mut other = bytes;
    other[9_000_000] ^= 1;
    let torn = Content::Pieces(Memory::new(other));
    let put = putter.put(s3, "torn.bin", &torn, &Expect::Absent, Some(&hashes)).await;
    assert_eq!(cause(put), Cause::Changed);
    assert_eq!(s3.look_up(&key("torn.bin")).await.unwrap(), None);
    assert!(putter.journal.lines.lock().unwrap().is_empty(), "the upload was aborted");
}

async fn copies(s3: &S3) {
    if s3.capabilities().copy != Ability::Proven {
        return;
    }
    let putter = Putter::new();
    let name = "ü + %2B#?&=.txt";
    let source = s3.look_up(&key(name)).await.unwrap().unwrap();
    let put = putter.as_put(&Expect::Absent, &source.digests, None);
    let copied = s3.copy(&key(name), &source.version, &key("copied"), &put).await.unwrap();
    let found = s3.look_up(&key("copied")).await.unwrap().unwrap();
    assert_eq!((&found.version, found.size), (&copied.version, source.size));
    assert_eq!(found.digests.get(DigestKind::Blake3), source.digests.get(DigestKind::Blake3));
    assert_eq!(cause(s3.copy(&key(name), &source.version, &key("copied"), &put).await), Cause::Precondition);
    let wrong = Version::new("0".repeat(32));
    assert_eq!(cause(s3.copy(&key(name), &wrong, &key("copied2"), &put).await), Cause::Precondition);
}

async fn lists(s3: &S3) {
    let all = match listed(s3, None).await {
        Err(error) if error.cause == Cause::Unordered => listed(s3, None).await.unwrap(),
        all => all.unwrap(),
    };
    for item in &all {
        let Item::Present(key, entry) = item else { panic!("{item:?}") };
        let found = s3.look_up(key).await.unwrap().unwrap();
        assert_eq!((&found.version, found.size), (&entry.version, entry.size), "{key}");
    }
    let only = listed(s3, Some("d")).await.unwrap();
    assert!(matches!(&only[..], [Item::Present(key, _)] if key.as_str() == "d/a.svg"), "{only:?}");
    let only = listed(s3, Some("d-b")).await.unwrap();
    assert!(matches!(&only[..], [Item::Present(key, _)] if key.as_str() == "d-b"), "{only:?}");
}

async fn deletes(s3: &S3) {
    let mut batch = Vec::new();
    for item in listed(s3, None).await.unwrap() {
        let Item::Present(key, entry) = item else { panic!("{item:?}") };
        batch.push((key, entry.version));
    }
    let last = batch.len() - 1;
    let right = std::mem::replace(&mut batch[last].1, Version::new("0".repeat(32)));
    let mut results = s3.delete(&batch).await;
    assert_eq!(cause(results.pop().unwrap()), Cause::Precondition);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let left = batch.pop().unwrap().0;
    assert_eq!(keys(s3).await, [left.as_str()]);
    let results = s3.delete(&[(left, right.clone())]).await;
    assert_eq!(results, [Ok(())]);
    let gone = s3.delete(&[(key("nothing"), right)]).await;
    assert!(matches!(gone[0].as_ref().map_err(|e| e.cause), Err(Cause::NotFound | Cause::Precondition)), "{gone:?}");
}
