//! What large content proves that is stored while it is read, without a pass before.
//!
//! Content of a bucket would be transferred twice if it were hashed before it is sent. So its ranges, each pinned to one
//! version by whoever reads it, are hashed as they go by, and before the content gets its name [`Arrival::settle`]
//! compares that with what the source says about it. Ranges may come in any order: BLAKE3 and CRC-64 of the whole are
//! made from theirs. MD5 and SHA-256 can't be, so they are computed in order, and only where nothing better is known.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, checksum, checksum_combine};
use md5::{Digest as _, Md5};
use sha2::Sha256;
use tokio::sync::Notify;

use super::multipart_md5::{Multipart, part_sizes};
use super::{Buffers, Cause, Error, PartHasher, PartHashes, Pieces};
use crate::model::{Digest, DigestKind, Digests, Entry};

const CRC: CrcAlgorithm = CrcAlgorithm::Crc64Nvme;

/// The best digest to check content of `size` bytes by: the strongest of the cheap ones, and MD5 only where there is nothing
/// else. A multipart ETag can show that the content is right, for the sizes of parts that programs use.
fn telling(known: &Digests, size: u64) -> Option<&Digest> {
    let kinds = [
        DigestKind::Blake3,
        DigestKind::Crc64Nvme,
        DigestKind::Sha256,
        DigestKind::Md5,
        DigestKind::EtagMd5,
        DigestKind::EtagMultipart,
    ];
    kinds
        .into_iter()
        .find_map(|kind| known.get(kind))
        .filter(|told| told.kind != DigestKind::EtagMultipart || !part_sizes(size, told.parts()).is_empty())
}

/// What the best known digest says about content that is there as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Check {
    /// This digest of the content is the known one.
    Agrees(Digest),
    /// The digest of this kind is another one. Of an ETag only the caller knows what that proves.
    Differs(DigestKind),
    /// No digest is known.
    Untold,
}

/// Checks `bytes`, whose BLAKE3 is `blake3`, by the best of the `known` digests.
pub(super) fn check_whole(known: &Digests, bytes: &[u8], blake3: &Digest) -> Check {
    let size = bytes.len() as u64;
    let Some(told) = telling(known, size) else { return Check::Untold };
    let found = match told.kind {
        DigestKind::Blake3 => blake3.clone(),
        DigestKind::Crc64Nvme => Digest::from_bytes(told.kind, &checksum(CRC, bytes).to_be_bytes()),
        DigestKind::Sha256 => Digest::from_bytes(told.kind, &Sha256::digest(bytes)),
        DigestKind::EtagMultipart => {
            let mut ordered = Ordered::multipart(size, told);
            ordered.update(bytes);
            return ordered.finish().map_or(Check::Untold, Check::Agrees);
        }
        _ => Digest::from_bytes(DigestKind::Md5, &Md5::digest(bytes)),
    };
    if found.text == told.text { Check::Agrees(found) } else { Check::Differs(told.kind) }
}

/// Content on its way.
#[derive(Debug)]
pub struct Arrival {
    size: u64,
    part_size: u64,
    known: Digests,
    is_ordered: bool,
    state: Mutex<State>,
    turn: Notify,
}

#[derive(Debug)]
struct State {
    hashes: Vec<Option<[u8; 32]>>,
    crcs: Vec<Option<u64>>,
    /// Up to where `ordered` has seen the content.
    next: u64,
    /// Taken while somebody hashes with it.
    ordered: Option<Ordered>,
}

impl State {
    /// The hasher, if the range at `offset` is the next one for it.
    fn ordered_at(&mut self, offset: u64) -> Option<Ordered> {
        if self.next == offset { self.ordered.take() } else { None }
    }
}

#[derive(Debug)]
enum Ordered {
    Md5(Md5),
    Sha256(Sha256),
    /// One for each size that the parts may have had, and the ETag that one of them has to give.
    Multipart(Vec<Multipart>, Digest),
}

impl Ordered {
    fn of(known: &Digests, size: u64) -> Option<Self> {
        let told = telling(known, size)?;
        match told.kind {
            DigestKind::EtagMultipart => Some(Self::multipart(size, told)),
            DigestKind::Md5 | DigestKind::EtagMd5 => Some(Self::Md5(Md5::new())),
            DigestKind::Sha256 => Some(Self::Sha256(Sha256::new())),
            _ => None,
        }
    }

    fn multipart(size: u64, told: &Digest) -> Self {
        Self::Multipart(part_sizes(size, told.parts()).into_iter().map(Multipart::new).collect(), told.clone())
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(md5) => md5.update(bytes),
            Self::Sha256(sha256) => sha256.update(bytes),
            Self::Multipart(sizes, _) => sizes.iter_mut().for_each(|size| size.update(bytes)),
        }
    }

    /// `None`: a multipart ETag of parts of another size, or no MD5 at all. That says nothing.
    fn finish(self) -> Option<Digest> {
        match self {
            Self::Md5(md5) => Some(Digest::from_bytes(DigestKind::Md5, &md5.finalize())),
            Self::Sha256(sha256) => Some(Digest::from_bytes(DigestKind::Sha256, &sha256.finalize())),
            Self::Multipart(sizes, told) => {
                sizes.into_iter().map(Multipart::finish).find(|found| found.text == told.text)
            }
        }
    }
}

impl Arrival {
    /// Nothing of the content that `entry` describes has come yet. It will come in ranges of `part_size` bytes, a power
    /// of two of at least 1,024.
    pub fn new(entry: &Entry, part_size: u64) -> Self {
        let count = usize::try_from(entry.size.div_ceil(part_size).max(1)).unwrap_or(usize::MAX);
        let wants_crc = telling(&entry.digests, entry.size).is_some_and(|told| told.kind == DigestKind::Crc64Nvme);
        let state = State {
            hashes: vec![None; count],
            crcs: if wants_crc { vec![None; count] } else { Vec::new() },
            next: 0,
            ordered: Ordered::of(&entry.digests, entry.size),
        };
        Self {
            size: entry.size,
            part_size,
            known: entry.digests.clone(),
            is_ordered: state.ordered.is_some(),
            state: Mutex::new(state),
            turn: Notify::new(),
        }
    }

    /// Bytes of every range but the last.
    pub fn part_size(&self) -> u64 {
        self.part_size
    }

    /// Takes the range at `offset`: its chaining value in BLAKE3's tree. Blocking, for as long as hashing takes;
    /// [`Arrival::in_turn`] has to follow.
    pub fn take(&self, offset: u64, bytes: &[u8]) -> [u8; 32] {
        let mut hasher = PartHasher::new(self.part_size, offset, self.size);
        hasher.update(bytes);
        let hash = hasher.finish();
        let at = self.place(offset);
        let crc = (!self.lock().crcs.is_empty()).then(|| checksum(CRC, bytes));
        let mut state = self.lock();
        if let Some(slot) = state.hashes.get_mut(at) {
            *slot = Some(hash);
        }
        if let Some(slot) = state.crcs.get_mut(at) {
            *slot = crc;
        }
        hash
    }

    /// Waits for the ranges before the one at `offset`, where a digest has to be computed in order. Whoever waits may
    /// hold memory: ranges must be asked for in order, so that the first of them never waits for a later one.
    pub async fn in_turn(&self, offset: u64, bytes: &Bytes) {
        if !self.is_ordered {
            return;
        }
        let mut ordered = loop {
            // Woken from here on, not only once it is polled.
            let turn = self.turn.notified();
            if let Some(ordered) = self.lock().ordered_at(offset) {
                break ordered;
            }
            turn.await;
        };
        let body = bytes.clone();
        let hashing = tokio::task::spawn_blocking(move || {
            ordered.update(&body);
            ordered
        });
        // Without the hasher there is no digest in the end, and nothing is accepted.
        if let Ok(ordered) = hashing.await {
            let mut state = self.lock();
            state.next += bytes.len() as u64;
            state.ordered = Some(ordered);
        }
        self.turn.notify_waiters();
    }

    /// All ranges came: the digests of the whole, if it is what the source says that it is.
    ///
    /// What contradicts is read once more: a fault on the way gives other bytes each time. `what` is named in errors.
    ///
    /// # Errors
    /// [`Cause::Refused`] if the content is not what its recorded digest names; as reading.
    pub async fn settle(&self, what: &str, pieces: &dyn Pieces, buffers: &Buffers) -> Result<Digests, Error> {
        let Some((mut digests, found)) = self.digests() else {
            return Err(Error::new(Cause::Changed, format!("{what}: not all of it came")));
        };
        let (Some(told), Some(found)) = (telling(&self.known, self.size), found) else {
            // Nothing says what it should be: at least it is of one version.
            pieces.unchanged().await?;
            return Ok(digests);
        };
        if found.text == told.text {
            digests.add(found);
            return Ok(digests);
        }
        self.read_again(what, pieces, buffers).await?;
        // With some encryptions and on some servers an ETag only looks like an MD5.
        if told.kind == DigestKind::EtagMd5 { Ok(digests) } else { Err(not_as_recorded(what)) }
    }

    /// The BLAKE3 of the whole, and the digest of the kind that tells, if one does. `None`: not all of it came.
    fn digests(&self) -> Option<(Digests, Option<Digest>)> {
        let mut state = self.lock();
        let hashes: Vec<[u8; 32]> = state.hashes.iter().copied().collect::<Option<_>>()?;
        let blake3 = PartHashes { size: self.part_size, hashes }.whole(self.size);
        let digests = Digests::from_iter([blake3.clone()]);
        let found = match telling(&self.known, self.size).map(|told| told.kind) {
            None => None,
            Some(DigestKind::Blake3) => Some(blake3),
            Some(DigestKind::Crc64Nvme) => {
                let mut crcs = state.crcs.iter().copied().collect::<Option<Vec<_>>>()?.into_iter().enumerate();
                let (_, first) = crcs.next()?;
                let whole = crcs.fold(first, |whole, (at, crc)| {
                    let offset = at as u64 * self.part_size;
                    checksum_combine(CRC, whole, crc, self.part_size.min(self.size - offset))
                });
                Some(Digest::from_bytes(DigestKind::Crc64Nvme, &whole.to_be_bytes()))
            }
            Some(_) if state.next == self.size => state.ordered.take()?.finish(),
            Some(_) => return None,
        };
        Some((digests, found))
    }

    async fn read_again(&self, what: &str, pieces: &dyn Pieces, buffers: &Buffers) -> Result<(), Error> {
        let hashes: Vec<[u8; 32]> = self.lock().hashes.iter().copied().flatten().collect();
        let mut offset = 0;
        for hash in hashes {
            let len = self.part_size.min(self.size - offset);
            let room = buffers.take(len).await;
            let bytes = pieces.read(offset, usize::try_from(len).unwrap_or(usize::MAX)).await?;
            let mut hasher = PartHasher::new(self.part_size, offset, self.size);
            let again = tokio::task::spawn_blocking(move || {
                hasher.update(&bytes);
                drop((bytes, room));
                hasher.finish()
            });
            if again.await.ok() != Some(hash) {
                let message = format!("{what} came with other bytes each time that it was read");
                return Err(Error::new(Cause::Transient { throttled: false, after: None }, message));
            }
            offset += len;
        }
        Ok(())
    }

    fn place(&self, offset: u64) -> usize {
        usize::try_from(offset / self.part_size).unwrap_or(usize::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The content is there, and is not what was recorded.
pub(super) fn not_as_recorded(what: &str) -> Error {
    Error::new(Cause::Refused, format!("{what} does not hold the bytes that its recorded digest names"))
        .hint("Another program changed it and kept its metadata, or the server damaged it; store it again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Readable, Version};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    const PART: u64 = 1_024;

    #[derive(Debug)]
    struct Remote {
        entry: Entry,
        bytes: Bytes,
        reads: AtomicUsize,
        flips: bool,
    }

    #[async_trait::async_trait]
    impl Pieces for Remote {
        fn entry(&self) -> &Entry {
            &self.entry
        }

        async fn read(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
            let at = usize::try_from(offset).unwrap();
            let reads = self.reads.fetch_add(1, Relaxed);
            let mut bytes = self.bytes.slice(at..at + len).to_vec();
            bytes[0] ^= u8::from(self.flips && reads.is_multiple_of(2));
            Ok(bytes.into())
        }

        async fn unchanged(&self) -> Result<(), Error> {
            Ok(())
        }
    }

    fn remote(digests: &[Digest]) -> Remote {
        let bytes: Vec<u8> = (0..5 * PART + 77).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let digests = digests.iter().cloned().collect();
        let (size, version) = (bytes.len() as u64, Version::new("v"));
        let entry = Entry { size, version, modified_ns: None, digests, readable: Readable::Yes };
        Remote { entry, bytes: bytes.into(), reads: AtomicUsize::new(0), flips: false }
    }

    /// All ranges, the last one first.
    async fn arrive(remote: &Remote) -> Result<Digests, Error> {
        let arrival = Arc::new(Arrival::new(&remote.entry, PART));
        let offsets = (0..remote.entry.size.div_ceil(PART)).map(|at| at * PART).rev();
        let ranges = offsets.map(|offset| {
            let arrival = Arc::clone(&arrival);
            async move {
                let len = usize::try_from(PART.min(remote.entry.size - offset)).unwrap();
                let bytes = remote.read(offset, len).await.unwrap();
                arrival.take(offset, &bytes);
                arrival.in_turn(offset, &bytes).await;
            }
        });
        futures_util::future::join_all(ranges).await;
        arrival.settle("it", remote, &Buffers::new(1 << 20)).await
    }

    fn right(kind: DigestKind) -> Digest {
        let bytes = remote(&[]).bytes;
        match kind {
            DigestKind::Blake3 => Digest::from_bytes(kind, blake3::hash(&bytes).as_bytes()),
            DigestKind::Crc64Nvme => Digest::from_bytes(kind, &checksum(CRC, &bytes).to_be_bytes()),
            DigestKind::Sha256 => Digest::from_bytes(kind, &Sha256::digest(&bytes)),
            _ => Digest::from_bytes(kind, &Md5::digest(&bytes)),
        }
    }

    const KINDS: [DigestKind; 5] =
        [DigestKind::Blake3, DigestKind::Crc64Nvme, DigestKind::Sha256, DigestKind::Md5, DigestKind::EtagMd5];

    #[tokio::test]
    async fn each_kind_of_digest_is_checked_in_one_pass_whatever_the_order() {
        let all = KINDS.map(|kind| vec![right(kind)]);
        for digests in all.iter().map(Vec::as_slice).chain([&[][..]]) {
            let remote = remote(digests);
            let found = arrive(&remote).await.unwrap();
            assert_eq!(found.get(DigestKind::Blake3), Some(&right(DigestKind::Blake3)), "{digests:?}");
            assert_eq!(remote.reads.load(Relaxed), 6, "{digests:?}");
        }
    }

    #[tokio::test]
    async fn content_that_contradicts_its_digest_is_refused_and_an_etag_only_after_a_second_look() {
        for kind in KINDS {
            let wrong = Digest::new(kind, right(kind).text.chars().rev().collect::<String>());
            let remote = remote(&[wrong]);
            let result = arrive(&remote).await;
            assert_eq!(remote.reads.load(Relaxed), 12, "{kind:?}");
            match kind {
                DigestKind::EtagMd5 => assert!(result.is_ok()),
                _ => assert_eq!(result.unwrap_err().cause, Cause::Refused, "{kind:?}"),
            }
        }
        let flipping = Remote { flips: true, ..remote(&[right(DigestKind::EtagMd5)]) };
        assert!(matches!(arrive(&flipping).await.unwrap_err().cause, Cause::Transient { .. }));
    }

    #[tokio::test]
    async fn a_multipart_etag_shows_that_the_content_is_right_and_never_that_it_is_wrong() {
        let right = |size: u64| {
            let mut multipart = Multipart::new(size);
            multipart.update(&remote(&[]).bytes);
            Digest::new(DigestKind::EtagMultipart, multipart.finish().text)
        };
        // One part of any size, and parts of a size that nobody uses.
        for (told, is_checked) in [(right(8 << 20), true), (right(2_000), false)] {
            let remote = remote(std::slice::from_ref(&told));
            let found = arrive(&remote).await.unwrap();
            let checked = found.get(DigestKind::MultipartMd5).map(|found| found.text.clone());
            assert_eq!(checked, is_checked.then_some(told.text.clone()));
            assert_eq!(remote.reads.load(Relaxed), 6, "one pass, whatever it says: {told:?}");
        }
        let wrong = Digest::new(DigestKind::EtagMultipart, format!("{}-1", "0".repeat(32)));
        let bytes = remote(&[]).bytes;
        let blake3 = Digest::from_bytes(DigestKind::Blake3, blake3::hash(&bytes).as_bytes());
        assert_eq!(check_whole(&Digests::from_iter([wrong.clone()]), &bytes, &blake3), Check::Untold);
        let whole = check_whole(&Digests::from_iter([right(5 << 20)]), &bytes, &blake3);
        assert!(matches!(whole, Check::Agrees(found) if found.kind == DigestKind::MultipartMd5));
        assert!(arrive(&remote(&[wrong])).await.is_ok());
    }

    #[tokio::test]
    async fn what_did_not_come_is_noticed() {
        for kind in KINDS {
            let remote = remote(&[right(kind)]);
            let arrival = Arrival::new(&remote.entry, PART);
            arrival.take(0, &remote.bytes[..1_024]);
            arrival.in_turn(0, &remote.bytes.slice(..1_024)).await;
            let error = arrival.settle("it", &remote, &Buffers::new(1 << 20)).await.unwrap_err();
            assert_eq!(error.cause, Cause::Changed, "{kind:?}");
        }
    }
}
