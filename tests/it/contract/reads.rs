//! Opening and reading: content of one version, or none.

use bytes::Bytes;
use futures_util::future::join_all;
use mediasync::model::DigestKind;
use mediasync::replica::{Cause, Content, Pieces, Replica, WHOLE_LIMIT};

use super::looks::look;
use super::{Behind, Subject};
use crate::s3_replica::{Putter, blake3, cause, key};

cases! {
    Any: "small content is opened as a whole, with the digest of its bytes" => whole,
    Any: "empty content is opened as a whole" => nothing,
    Any: "opening a key that is missing is NotFound" => missing,
    Any: "opening a key that was deleted since it was seen is NotFound" => deleted,
    Any: "opening a version that was replaced is Changed" => stale,
    Any: "opening small content that somebody else replaced is Changed" => replaced,
    Any: "content of exactly the limit is opened as a whole, and one more byte in pieces" => limit,
    Any: "ranges of large content are exactly those bytes" => ranges,
    Any: "many ranges of large content may be read at once" => at_once,
    Any: "reading past the end of large content is Changed" => past_the_end,
    Any: "large content that stays as it was is unchanged" => unchanged,
    Any: "large content that is replaced between two reads is Changed and never a mixture" => mixture,
    Any: "large content that is deleted between two reads is Changed and never cut off" => cut_off,
    NotMemory: "headers and metadata are given back with content, where they are kept" => attributes,
}

/// More than is held in memory, the same for each seed.
fn large(seed: u8) -> Bytes {
    let mut bytes = vec![0; usize::try_from(WHOLE_LIMIT).unwrap() + 300_001];
    blake3::Hasher::new().update(&[seed, 7]).finalize_xof().fill(&mut bytes);
    bytes.into()
}

pub(super) async fn content(replica: &dyn Replica, name: &str) -> Vec<u8> {
    let entry = look(replica, name).await;
    match replica.open(&key(name), &entry.version).await.unwrap() {
        Content::Whole { bytes, .. } => bytes.to_vec(),
        Content::Pieces(pieces) => {
            let len = usize::try_from(entry.size).unwrap();
            let mut all = Vec::with_capacity(len);
            while all.len() < len {
                let piece = (len - all.len()).min(4 << 20);
                all.extend(pieces.read(all.len() as u64, piece).await.unwrap());
            }
            pieces.unchanged().await.unwrap();
            all
        }
    }
}

/// Large content of somebody else, opened.
async fn opened(subject: &Subject, bytes: &Bytes) -> std::sync::Arc<dyn Pieces> {
    subject.write("large.bin", bytes.clone()).await;
    let entry = look(subject.replica(), "large.bin").await;
    assert_eq!(entry.size, bytes.len() as u64);
    match subject.replica().open(&key("large.bin"), &entry.version).await.unwrap() {
        Content::Pieces(pieces) => pieces,
        Content::Whole { .. } => panic!("large content is opened in pieces"),
    }
}

async fn whole(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let text = b"small content".as_slice();
    putter.create(replica, "ours", text).await.unwrap();
    subject.write("theirs", text).await;
    for name in ["ours", "theirs"] {
        let seen = look(replica, name).await;
        let Content::Whole { entry, bytes, blake3: digest, .. } =
            replica.open(&key(name), &seen.version).await.unwrap()
        else {
            panic!("{name} is small")
        };
        assert_eq!((&bytes[..], &digest), (text, &blake3(text)), "{name}");
        assert_eq!((entry.size, &entry.version), (seen.size, &seen.version), "{name}");
        assert!(entry.digests.get(DigestKind::Blake3).is_none_or(|stated| *stated == digest), "{name}");
    }
}

async fn nothing(subject: &Subject) {
    Putter::new().create(subject.replica(), "empty", b"").await.unwrap();
    assert_eq!(content(subject.replica(), "empty").await, b"");
}

async fn missing(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let there = putter.create(replica, "dir/file", b"1").await.unwrap();
    for absent in ["nothing", "dir/fil", "dir2/file", "dir/file2"] {
        assert_eq!(cause(replica.open(&key(absent), &there.version).await), Cause::NotFound, "{absent}");
    }
}

async fn deleted(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let put = putter.create(replica, "gone", b"1").await.unwrap();
    assert_eq!(replica.delete(&[(key("gone"), put.version.clone())]).await, [Ok(())]);
    assert_eq!(cause(replica.open(&key("gone"), &put.version).await), Cause::NotFound);
}

async fn stale(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let first = putter.create(replica, "file", b"first").await.unwrap();
    let expect = mediasync::model::Expect::Version(first.version.clone());
    let second = putter.put(replica, "file", &crate::s3_replica::whole("other"), &expect, None).await.unwrap();
    assert_eq!(cause(replica.open(&key("file"), &first.version).await), Cause::Changed);
    assert_eq!(cause(replica.open(&key("file"), &super::changes::wrong_version()).await), Cause::Changed);
    assert!(replica.open(&key("file"), &second.version).await.is_ok());
}

async fn replaced(subject: &Subject) {
    let (replica, putter) = (subject.replica(), Putter::new());
    let ours = putter.create(replica, "file", b"ours").await.unwrap();
    subject.write("file", b"them".as_slice()).await;
    assert_eq!(cause(replica.open(&key("file"), &ours.version).await), Cause::Changed);
    assert_eq!(content(replica, "file").await, b"them");
}

async fn limit(subject: &Subject) {
    let replica = subject.replica();
    let limit = usize::try_from(WHOLE_LIMIT).unwrap();
    for (name, len) in [("at the limit", limit), ("above", limit + 1)] {
        let bytes = large(1).slice(..len);
        subject.write(name, bytes.clone()).await;
        let entry = look(replica, name).await;
        match replica.open(&key(name), &entry.version).await.unwrap() {
            Content::Whole { bytes: read, .. } => assert!(len == limit && read == bytes, "{name}"),
            Content::Pieces(pieces) => assert_eq!((len, pieces.entry().size), (limit + 1, WHOLE_LIMIT + 1), "{name}"),
        }
    }
}

async fn ranges(subject: &Subject) {
    let bytes = large(2);
    let opened = opened(subject, &bytes).await;
    let (len, middle) = (bytes.len(), bytes.len() / 2);
    for (from, to) in [(0, 1), (0, 70_000), (middle - 1, middle + 1), (len - 300_001, len), (len - 1, len), (5, 5)] {
        assert!(opened.read(from as u64, to - from).await.unwrap() == bytes[from..to], "{from}..{to}");
    }
}

async fn at_once(subject: &Subject) {
    let bytes = large(3);
    let opened = opened(subject, &bytes).await;
    let piece = bytes.len().div_ceil(5);
    let pieces = (0..5).map(|at| {
        let from = at * piece;
        opened.read(from as u64, piece.min(bytes.len() - from))
    });
    let read: Vec<u8> = join_all(pieces).await.into_iter().flat_map(Result::unwrap).collect();
    assert!(read == bytes);
}

async fn past_the_end(subject: &Subject) {
    let bytes = large(4);
    let opened = opened(subject, &bytes).await;
    let len = bytes.len() as u64;
    for (offset, wanted) in [(len - 1, 2), (len, 1), (len + 1_000, 1), (0, bytes.len() + 1)] {
        assert_eq!(cause(opened.read(offset, wanted).await), Cause::Changed, "{wanted} at {offset}");
    }
}

async fn unchanged(subject: &Subject) {
    let bytes = large(5);
    let opened = opened(subject, &bytes).await;
    opened.unchanged().await.unwrap();
    assert!(opened.read(0, 1_000).await.unwrap() == bytes[..1_000]);
    opened.unchanged().await.unwrap();
}

/// Reads what is left; the error that says why not, or the proof that nothing changed.
async fn rest(opened: &dyn Pieces, from: usize, len: usize) -> Result<Bytes, Cause> {
    let read = opened.read(from as u64, len - from).await.map_err(|error| error.cause)?;
    opened.unchanged().await.map_err(|error| error.cause)?;
    Ok(read)
}

async fn mixture(subject: &Subject) {
    let (before, after) = (large(6), large(7));
    let opened = opened(subject, &before).await;
    assert!(opened.read(0, 1 << 20).await.unwrap() == before[..1 << 20]);
    subject.write("large.bin", after.clone()).await;
    assert_eq!(rest(&*opened, 1 << 20, before.len()).await.unwrap_err(), Cause::Changed);
    assert!(content(subject.replica(), "large.bin").await == after);
}

async fn cut_off(subject: &Subject) {
    let bytes = large(8);
    let opened = opened(subject, &bytes).await;
    assert!(opened.read(0, 1 << 20).await.unwrap() == bytes[..1 << 20]);
    subject.take_away("large.bin").await;
    let cause = rest(&*opened, 1 << 20, bytes.len()).await.unwrap_err();
    assert!(matches!(cause, Cause::Changed | Cause::NotFound), "{cause:?}");
}

async fn attributes(subject: &Subject) {
    let replica = subject.replica();
    match &subject.behind {
        Behind::Bucket(bucket) => bucket.raw.dress("dressed", b"1").await,
        Behind::Container(container) => container.raw.dress("dressed", b"1"),
        _ => subject.write("dressed", b"1".as_slice()).await,
    }
    let entry = look(replica, "dressed").await;
    let content = replica.open(&key("dressed"), &entry.version).await.unwrap();
    let mut given = Vec::new();
    if let Some(attributes) = content.attributes() {
        let mut has = |name, is_there: bool| given.extend(is_there.then_some(name));
        has("cache-control", attributes.cache_control.as_deref() == Some("max-age=7"));
        has("content-disposition", attributes.content_disposition.as_deref() == Some("inline"));
        has("metadata", attributes.metadata.get("author").is_some_and(|author| author == "me"));
    }
    assert_eq!(given, subject.expected.attributes);
}
