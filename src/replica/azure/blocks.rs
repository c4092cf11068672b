//! Storing large content in blocks, so that it becomes visible only as a whole and only if it is what was planned.
//!
//! Blocks belong to a name, not to an upload: ours are told from others' by ids that begin with a random text, which the
//! journal knows before the first block is sent. All ids of a blob have one length. The list of blocks makes the blob, on
//! the condition that what is there is as expected. Blocks that no list names are thrown away by the service after a week
//! (<https://learn.microsoft.com/en-us/rest/api/storageservices/put-block-list>); there is no request for it.

use std::sync::{Mutex, PoisonError};

use azure_core::http::headers::HeaderName;
use azure_storage_blob::models::{
    BlockBlobClientCommitBlockListOptions, BlockBlobClientStageBlockOptions, BlockListType, BlockLookupList,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use tokio::sync::Notify;

use super::Inner;
use super::error::{Failure, Stage};
use super::keep::Dress;
use super::ops::Op;
use super::put::{Condition, acknowledged, stored};
use super::read::raced;
use crate::model::{DigestKind, Digests, Entry, Expect, Key, Sameness, Version};
use crate::replica::concurrent::each;
use crate::replica::hashes::Hashes;
use crate::replica::object::shown;
use crate::replica::parts::{Part, part_size, plan};
use crate::replica::retry::{Attempts, Patience, repeat};
use crate::replica::{Ability, Cause, Error, Journal, PartHashes, Pieces, Put, Upload, UploadedPart};

/// Blocks of one blob sent at the same time.
const PARALLEL: usize = 4;

/// The id of a block: 24 bytes for every upload, so that others of ours are never in the way.
fn block_id(upload: &str, number: u32) -> Vec<u8> {
    format!("{upload:0>16}{number:08}").into_bytes()
}

impl Inner {
    /// Stores content in blocks.
    pub(super) async fn put_pieces(
        &self,
        key: &Key,
        blob: &str,
        pieces: &dyn Pieces,
        put: &Put<'_>,
    ) -> Result<Entry, Error> {
        let size = pieces.entry().size;
        let hashes = Hashes::of(&shown(blob), pieces.entry(), put, part_size(size))?;
        let blake3 = put.digests.get(DigestKind::Blake3);
        let same = |upload: Upload| blake3.is_some_and(|blake3| upload.blake3 == *blake3.text);
        let earlier = put.journal.upload(key)?.is_some_and(same);
        let result = self.upload(key, blob, pieces, &hashes, put).await;
        let is_passing = |error: &Error| matches!(error.cause, Cause::Transient { .. } | Cause::Stop);
        // What was sent is of use to the next attempt.
        if !result.as_ref().err().is_some_and(is_passing) {
            put.journal.done(key)?;
        }
        match result {
            // An earlier attempt was completed and did not live to see it.
            Err(error) if error.cause == Cause::Precondition && earlier => {
                self.is_there(blob, size, put, put.digests).await?.ok_or(error)
            }
            result => result,
        }
    }

    /// Goes on with an earlier upload of the same content, or begins one.
    async fn upload(
        &self,
        key: &Key,
        blob: &str,
        pieces: &dyn Pieces,
        hashes: &Hashes<'_>,
        put: &Put<'_>,
    ) -> Result<Entry, Error> {
        let size = pieces.entry().size;
        let mut dress = self.prepare(blob, put).await?;
        let (upload, sent) = match hashes {
            Hashes::Known(known) => self.resume(key, blob, known, &dress, put).await?,
            // Blocks that nobody can compare with anything are of no use.
            Hashes::Made(arrival) => {
                let parts = plan(size, arrival.part_size()).count();
                (begin(key, arrival.part_size(), &dress, put)?, vec![false; parts])
            }
        };
        let id = upload.id.as_deref().unwrap_or_default();
        let transfer = Transfer { key, blob, id, hashes, put, md5: InOrder::default() };
        self.send_blocks(&transfer, pieces, sent).await?;
        let found = hashes.settle(&shown(blob), pieces, put.buffers).await?;
        // What a blob carries comes with the list of its blocks, so that what was found out on the way can be part of it.
        dress.state_digests(&found);
        let mut entry = self.finish(&transfer, size, dress, &found).await?;
        entry.digests.merge(&found);
        Ok(entry)
    }

    /// The upload to go on with and the blocks that the service has; a new one if there is none.
    ///
    /// A blob gets the headers that its list of blocks comes with; but who resumes with other headers than it began with
    /// may have another plan, and begins anew.
    async fn resume(
        &self,
        key: &Key,
        blob: &str,
        hashes: &PartHashes,
        dress: &Dress,
        put: &Put<'_>,
    ) -> Result<(Upload, Vec<bool>), Error> {
        let blake3 = put.digests.get(DigestKind::Blake3).map_or("", |digest| &digest.text);
        let mark = dress.mark();
        if let Some(earlier) = put.journal.upload(key)? {
            let same = earlier.blake3 == blake3 && earlier.part_size == hashes.size && earlier.begun_with == mark;
            if let Some(id) = earlier.id.clone().filter(|_| same) {
                match repeat(Patience::default(), || self.blocks_of(blob)).await {
                    Ok(there) => {
                        let sent = reusable(&id, &earlier.parts, &there, hashes);
                        return Ok((earlier, sent));
                    }
                    // Without the permission there is nothing to go on with.
                    Err(error) if error.cause == Cause::Refused => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok((begin(key, hashes.size, dress, put)?, vec![false; hashes.hashes.len()]))
    }

    /// Ids and sizes of the blocks that the service has and no list names.
    async fn blocks_of(&self, blob: &str) -> Result<Vec<(Vec<u8>, u64)>, Error> {
        let failed = |failure| self.wire.fold(&failure, Op::GetBlockList, Some(blob));
        let client = self.wire.blocks(blob).map_err(failed)?;
        let answer = self.wire.send(Op::GetBlockList, 0, async {
            client.get_block_list(BlockListType::Uncommitted, None).await?.into_model()
        });
        let list = match answer.await {
            Ok(list) => list,
            Err(failure) if failure.is_absent_blob() => return Ok(Vec::new()),
            Err(failure) => return Err(failed(failure)),
        };
        let blocks = list.uncommitted_blocks.unwrap_or_default().into_iter();
        Ok(blocks.filter_map(|block| Some((block.name?, u64::try_from(block.size?).ok()?))).collect())
    }

    /// Sends all blocks that the service does not have yet. Those that it has are read for the digest of the whole.
    async fn send_blocks(&self, transfer: &Transfer<'_>, pieces: &dyn Pieces, sent: Vec<bool>) -> Result<(), Error> {
        let parts: Vec<(Part, bool)> = plan(pieces.entry().size, transfer.hashes.part_size()).zip(sent).collect();
        let mut failed = None;
        let make = |(part, is_sent)| self.send_one(transfer, pieces, part, is_sent);
        each(PARALLEL, parts, make, |_, result: Result<(), Error>| match result {
            Ok(()) => true,
            Err(error) => {
                failed = Some(error);
                false
            }
        })
        .await;
        failed.map_or(Ok(()), Err)
    }

    async fn send_one(
        &self,
        transfer: &Transfer<'_>,
        pieces: &dyn Pieces,
        part: Part,
        is_sent: bool,
    ) -> Result<(), Error> {
        let put = transfer.put;
        let _room = put.buffers.take(part.len).await;
        let body = pieces.read(part.offset, usize::try_from(part.len).unwrap_or(usize::MAX)).await?;
        let what = shown(transfer.blob);
        let blake3 = transfer.hashes.take(&what, part, &body, pieces.entry().size).await?;
        if is_sent {
            transfer.md5.add(part.number, body).await;
            return Ok(());
        }
        let md5 = digest(Md5::new(), body.clone()).await.finalize();
        let send = repeat(Patience::default(), || async {
            let sent = self.send_block(transfer, part.number, &body, &md5).await;
            sent.map_err(|failure| self.wire.fold(&failure, Op::PutBlock, Some(transfer.blob)))
        });
        let (sent, ()) = tokio::join!(send, transfer.md5.add(part.number, body.clone()));
        sent?;
        put.meter.add(part.len);
        put.journal.part(transfer.key, &UploadedPart { number: part.number, etag: BASE64.encode(md5), blake3 })
    }

    /// PutBlock. The service verifies the MD5.
    async fn send_block(&self, transfer: &Transfer<'_>, number: u32, body: &Bytes, md5: &[u8]) -> Result<(), Failure> {
        let client = self.wire.blocks(transfer.blob)?;
        let options = BlockBlobClientStageBlockOptions {
            transactional_content_md5: Some(md5.to_vec()),
            ..BlockBlobClientStageBlockOptions::default()
        };
        let (id, length) = (block_id(transfer.id, number), body.len() as u64);
        let stage = async { client.stage_block(&id, length, body.clone().into(), Some(options)).await.map(drop) };
        self.wire.send(Op::PutBlock, length, stage).await
    }

    /// Makes the blob visible, if what is there is as expected.
    async fn finish(&self, transfer: &Transfer<'_>, size: u64, dress: Dress, found: &Digests) -> Result<Entry, Error> {
        let (blob, put) = (transfer.blob, transfer.put);
        if self.ability(|probe| probe.conditional_put) == Ability::Missing {
            self.must_be(blob, put.expect).await?;
        }
        let count = u32::try_from(plan(size, transfer.hashes.part_size()).count()).unwrap_or(u32::MAX);
        let md5 = transfer.md5.finish();
        let mut sent = put.digests.clone();
        sent.merge(found);
        let mut attempts = Attempts::new(Patience::default());
        loop {
            let failure = match self.send_list(transfer, count, &md5, dress.clone()).await {
                Ok(version) => return Ok(stored(size, version, &md5, put)),
                Err(failure) => failure,
            };
            let error = self.write_error(&failure, Op::PutBlockList, blob);
            // Somebody else was faster, whatever they stored.
            if error.cause == Cause::Precondition && !attempts.is_repeated() {
                return Err(error);
            }
            // The answer may be lost: the blob itself tells.
            if let Some(entry) = self.is_there(blob, size, put, &sent).await? {
                return Ok(entry);
            }
            if failure.is_lost_upload() {
                if attempts.is_repeated() {
                    return Err(raced(blob, "was uploaded, and is not there"));
                }
                // The blocks will not come back: the next attempt begins anew.
                put.journal.done(transfer.key)?;
                return Err(error);
            }
            attempts.again(error).await?;
        }
    }

    /// PutBlockList.
    async fn send_list(
        &self,
        transfer: &Transfer<'_>,
        count: u32,
        md5: &[u8],
        dress: Dress,
    ) -> Result<Version, Failure> {
        let client = self.wire.blocks(transfer.blob)?;
        let Dress { attributes, metadata, tags, tier } = dress;
        let condition = Condition::of(transfer.put.expect);
        // All in `latest`: the three lists of the type can't be interleaved.
        let ids = (1..=count).map(|number| block_id(transfer.id, number)).collect();
        let list = BlockLookupList { latest: Some(ids), ..BlockLookupList::default() };
        let body = list.try_into().map_err(|_| Failure::at(Stage::Request))?;
        let options = BlockBlobClientCommitBlockListOptions {
            blob_cache_control: attributes.cache_control,
            blob_content_disposition: attributes.content_disposition,
            blob_content_encoding: attributes.content_encoding,
            blob_content_language: attributes.content_language,
            blob_content_md5: Some(md5.to_vec()),
            blob_content_type: attributes.content_type,
            blob_tags_string: tags,
            if_match: condition.if_match,
            if_none_match: condition.if_none_match,
            metadata: Some(metadata),
            tier,
            ..BlockBlobClientCommitBlockListOptions::default()
        };
        let answer = self.wire.send(Op::PutBlockList, 0, async {
            let answer = client.commit_block_list(body, Some(options)).await?;
            Ok(answer.headers().get_optional_string(&HeaderName::from_static("etag")))
        });
        acknowledged(answer.await?.as_deref())
    }

    /// Whether the blob holds our content now, and not the version that was to be replaced.
    async fn is_there(&self, blob: &str, size: u64, put: &Put<'_>, ours: &Digests) -> Result<Option<Entry>, Error> {
        let found = repeat(Patience::default(), || self.look_up(blob)).await?;
        Ok(found.filter(|entry| {
            let replaced = !matches!(put.expect, Expect::Version(version) if *version == entry.version);
            replaced && entry.size == size && entry.digests.compare(ours) == Sameness::Same
        }))
    }
}

/// Begins an upload; one of the same key that was begun before is forgotten.
fn begin(key: &Key, part_size: u64, dress: &Dress, put: &Put<'_>) -> Result<Upload, Error> {
    if put.journal.upload(key)?.is_some() {
        put.journal.done(key)?;
    }
    let now = jiff::Timestamp::now().as_nanosecond();
    let upload = Upload {
        key: key.clone(),
        intended_ns: i64::try_from(now).unwrap_or(0),
        id: Some(format!("{:016x}", fastrand::u64(..))),
        blake3: put.digests.get(DigestKind::Blake3).map_or_else(String::new, |digest| digest.text.to_string()),
        part_size,
        begun_with: dress.mark(),
        parts: Vec::new(),
    };
    put.journal.intend(&upload)?;
    Ok(upload)
}

/// Forgets all uploads that the journal knows: the service throws their blocks away by itself.
pub(super) fn forget_uploads(journal: &dyn Journal) -> Result<(), Error> {
    for upload in journal.uploads()? {
        journal.done(&upload.key)?;
    }
    Ok(())
}

/// What the steps of one upload share.
#[derive(Debug)]
struct Transfer<'a> {
    key: &'a Key,
    blob: &'a str,
    id: &'a str,
    hashes: &'a Hashes<'a>,
    put: &'a Put<'a>,
    md5: InOrder,
}

/// The MD5 of the whole, from blocks that come out of order. A block waits with its buffer for those before it: they took
/// theirs earlier, so that they go on.
#[derive(Debug, Default)]
struct InOrder {
    /// Blocks hashed, and the state; taken out while the next one is hashed.
    state: Mutex<(u32, Option<Md5>)>,
    moved: Notify,
}

impl InOrder {
    async fn add(&self, number: u32, body: Bytes) {
        let hasher = loop {
            let moved = self.moved.notified();
            {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.0 + 1 == number {
                    break state.1.take().unwrap_or_default();
                }
            }
            moved.await;
        };
        let hasher = digest(hasher, body).await;
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = (number, Some(hasher));
        self.moved.notify_waiters();
    }

    fn finish(&self) -> Vec<u8> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1.clone().unwrap_or_default().finalize().to_vec()
    }
}

/// Hashes on a thread of its own: eight MiB are ten milliseconds.
async fn digest(mut hasher: Md5, body: Bytes) -> Md5 {
    let hashed = tokio::task::spawn_blocking(move || {
        hasher.update(&body);
        hasher
    });
    hashed.await.expect("hashing does not panic")
}

/// Of the blocks that the service has, those that we sent and that hold what is to be sent now.
fn reusable(id: &str, journaled: &[UploadedPart], there: &[(Vec<u8>, u64)], hashes: &PartHashes) -> Vec<bool> {
    let mut sent = vec![false; hashes.hashes.len()];
    for part in journaled {
        let at = part.number.wrapping_sub(1) as usize;
        let name = block_id(id, part.number);
        let is_last = at + 1 == hashes.hashes.len();
        let right = |size: u64| if is_last { size <= hashes.size } else { size == hashes.size };
        let is_there = there.iter().any(|(found, size)| *found == name && right(*size));
        if is_there && hashes.hashes.get(at) == Some(&part.blake3) {
            sent[at] = true;
        }
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_length() {
        for id in [block_id("0123456789abcdef", 1), block_id("f", 50_000), block_id("", 0)] {
            assert_eq!(id.len(), 24);
        }
    }

    #[test]
    fn a_block_is_used_again_only_if_service_journal_and_content_agree() {
        let part = |number, byte| UploadedPart { number, etag: String::new(), blake3: [byte; 32] };
        let journaled = [part(1, 1), part(2, 2), part(4, 9), part(5, 5), part(9, 1)];
        let there = [(1, 5), (2, 4), (3, 5), (4, 5), (5, 3)].map(|(number, size)| (block_id("u", number), size));
        let hashes = PartHashes { size: 5, hashes: vec![[1; 32], [2; 32], [3; 32], [4; 32], [5; 32]] };
        // The second has another size, the third is not journaled, the fourth held something else.
        assert_eq!(reusable("u", &journaled, &there, &hashes), [true, false, false, false, true]);
        assert_eq!(reusable("other", &journaled, &there, &hashes), [false; 5]);
    }

    #[tokio::test]
    async fn the_digest_of_the_whole_is_in_order_whatever_comes_first() {
        let whole = InOrder::default();
        let body = |text: &'static str| Bytes::from_static(text.as_bytes());
        tokio::join!(whole.add(3, body("c")), whole.add(2, body("b")), whole.add(1, body("a")));
        assert_eq!(whole.finish(), Md5::digest(b"abc").to_vec());
        assert_eq!(InOrder::default().finish(), Md5::digest(b"").to_vec());
    }
}
