//! Evidence: looks up or hashes what `decide` asked for, and remembers what it found.
//!
//! A digest belongs to one version of one key at one side. The memo keeps it under exactly that, so that a second run
//! over the same files asks nothing.

use std::sync::atomic::Ordering::Relaxed;

use crate::hash::{Hasher, hash_pieces};
use crate::manifest::Manifest;
use crate::model::{Digest, DigestKind, Digests, Entry, Key, Side, Want};
use crate::plan::{Evidence, Need, Triple};
use crate::replica::multipart_md5::part_sizes;
use crate::replica::{Buffers, Cause, Content, Error, Replica, WHOLE_LIMIT};
use crate::sync::{Progress, Sides};

/// What examining needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Examiner<'a> {
    pub(crate) sides: &'a Sides,
    pub(crate) manifest: &'a Manifest,
    pub(crate) buffers: &'a Buffers,
    pub(crate) progress: &'a Progress,
    pub(crate) now_ns: i64,
}

impl Examiner<'_> {
    /// Finds out what `need` says about `triple` and adds it to `evidence`.
    ///
    /// # Errors
    /// The key can't be examined now: it changed, vanished, or can't be read.
    pub(crate) async fn examine(&self, need: &Need, triple: &Triple, evidence: &mut Evidence) -> Result<(), Error> {
        match need {
            Need::LookUp(side) => {
                let seen = entry_of(triple, *side)?;
                let found = self.sides.of(*side).look_up(&triple.key).await?;
                let known = evidence.of_mut(*side);
                known.looked_up = true;
                match found {
                    Some(entry) if entry.version == seen.version => {
                        known.digests.merge(&entry.digests);
                        known.modified_ns = entry.modified_ns;
                    }
                    Some(_) | None => return Err(changed(&triple.key, self.sides.of(*side).name())),
                }
            }
            Need::Hash(side, want) => {
                let seen = entry_of(triple, *side)?;
                let digests = self.digests(*side, &triple.key, seen, want).await?;
                let known = evidence.of_mut(*side);
                known.digests.merge(&digests);
                known.hashed.push(want.clone());
            }
        }
        Ok(())
    }

    /// The digests of the content that `entry` is, from the memo or by reading it.
    pub(crate) async fn digests(&self, side: Side, key: &Key, entry: &Entry, want: &Want) -> Result<Digests, Error> {
        let memo = self.manifest.memo_get(side, key, &entry.version, self.now_ns).map_err(Error::from)?;
        let known = memo.unwrap_or_else(Digests::none);
        if want.is_met_by(&known, entry.size) {
            return Ok(known);
        }
        self.progress.to_hash.fetch_add(1, Relaxed);
        let mut digests = read(self.sides.of(side), self.buffers, key, entry, want).await?;
        // What was asked for earlier will be asked for again.
        digests.merge(&known);
        self.progress.hashed.fetch_add(1, Relaxed);
        self.progress.bytes_hashed.fetch_add(entry.size, Relaxed);
        let line = [(key.clone(), entry.version.clone(), digests)];
        self.manifest.memo_put(side, &line, self.now_ns).map_err(Error::from)?;
        let [(_, _, digests)] = line;
        Ok(digests)
    }
}

/// The digests of the content that `entry` is, by reading it.
///
/// # Errors
/// As reading; [`Cause::Changed`] if it is another version by now.
pub(crate) async fn read(
    replica: &dyn Replica,
    buffers: &Buffers,
    key: &Key,
    entry: &Entry,
    want: &Want,
) -> Result<Digests, Error> {
    let room = buffers.take(entry.size.min(WHOLE_LIMIT)).await;
    match replica.open(key, &entry.version).await? {
        Content::Whole { bytes, blake3, .. } if want.kinds.is_empty() => {
            drop(bytes);
            Ok(Digests::from_iter([blake3]))
        }
        Content::Whole { bytes, .. } => {
            let mut hasher = Hasher::new(want, entry.size);
            tokio::task::spawn_blocking(move || {
                hasher.update(&bytes);
                drop(room);
                hasher.finish()
            })
            .await
            .map_err(|died| Error::new(Cause::Stop, format!("hash {key}: {died}")))
        }
        Content::Pieces(pieces) => hash_pieces(&*pieces, want).await,
    }
}

fn entry_of(triple: &Triple, side: Side) -> Result<&Entry, Error> {
    let presence = match side {
        Side::Source => &triple.source,
        Side::Dest => &triple.dest,
    };
    // `decide` asks only about entries that it has.
    presence.entry().ok_or_else(|| Error::new(Cause::Changed, format!("{}: not there", triple.key)))
}

fn changed(key: &Key, side: &str) -> Error {
    Error::new(Cause::Precondition, format!("{key}: changed at {side} while it was looked at"))
}

impl Want {
    /// Whether reading content of `size` bytes would tell no more than `known` does.
    fn is_met_by(&self, known: &Digests, size: u64) -> bool {
        let has = |kind| known.get(kind).is_some();
        let multipart = |digest: &Digest| self.multipart_parts.is_none() || digest.parts() == self.multipart_parts;
        // No part size that is tried may give the number of parts that an ETag shows.
        let untold = |kind| kind == DigestKind::MultipartMd5 && part_sizes(size, self.multipart_parts).is_empty();
        has(DigestKind::Blake3)
            && self.kinds.iter().all(|kind| {
                untold(*kind) || known.iter().any(|d| d.kind == *kind && (d.parts().is_none() || multipart(d)))
            })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::manifest::Orientation;
    use crate::replica::memory::{Memory, Role};

    #[tokio::test]
    async fn what_reading_can_not_tell_is_not_read_for_again() {
        let source = Arc::new(Memory::new("source", Role::Directory));
        let key = Key::new("a").unwrap();
        source.write(&key, vec![1; 1_000]);
        let sides = Sides { source: source.clone(), dest: Arc::new(Memory::new("dest", Role::Bucket)) };
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        let (buffers, progress) = (Buffers::new(1 << 20), Progress::default());
        let examiner =
            Examiner { sides: &sides, manifest: &manifest, buffers: &buffers, progress: &progress, now_ns: 7 };
        let entry = source.look_up(&key).await.unwrap().unwrap();
        let want = |kinds: &[DigestKind], parts| Want { kinds: kinds.to_vec(), multipart_parts: parts };
        // No whole number of MiB makes three parts of a thousand bytes; one part is found out.
        let wants = [
            want(&[DigestKind::MultipartMd5], Some(3)),
            want(&[DigestKind::MultipartMd5], Some(1)),
            want(&[DigestKind::Sha256, DigestKind::MultipartMd5], Some(3)),
            want(&[DigestKind::Md5], None),
        ];
        for _ in 0..3 {
            for want in &wants {
                let digests = examiner.digests(Side::Source, &key, &entry, want).await.unwrap();
                assert!(digests.get(DigestKind::Blake3).is_some());
            }
        }
        let opened = source.take_calls().iter().filter(|call| call.operation == "open").count();
        assert_eq!((opened, progress.hashed.load(Relaxed)), (4, 4), "once for each");
    }
}
