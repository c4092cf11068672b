//! Storing large content in parts, so that it becomes visible only as a whole and only if it is what was planned.
//!
//! The journal knows of an upload before the server does. Each part's bytes must give the hash of the pass before;
//! where there was none, all of them together must be what the content's own digests say ([`Arrival`]). Right before completion the source is asked whether it is unchanged and the target whether it is as expected.
//! An error of the completion itself says nothing: the object is looked at, and its recorded digest decides.

use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};

use super::Inner;
use super::error::Failure;
use super::folders::Denials;
use super::keep::{Acl, Headers};
use super::metadata::crc64_text;
use super::names::shown;
use super::ops::Op;
use super::put::raced;
use super::sender::{Ack, Condition, Proof, crc64};
use crate::model::{Digest, DigestKind, Entry, Expect, Key, Sameness};
use crate::replica::concurrent::each;
use crate::replica::hashes::Hashes;
pub(super) use crate::replica::parts::{Part, plan};
use crate::replica::retry::{Attempts, Patience, repeat};
use crate::replica::{Ability, Cause, Error, Pieces, Put, Upload, UploadedPart};

/// Parts of one object sent at the same time.
const PARALLEL: usize = 4;

/// A part that the server has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) etag: String,
    /// Its CRC-64, where it is known.
    pub(super) crc: Option<u64>,
}

impl Inner {
    /// Stores content in parts.
    pub(super) async fn put_pieces(
        &self,
        key: &Key,
        object: &str,
        pieces: &dyn Pieces,
        put: &Put<'_>,
    ) -> Result<Entry, Error> {
        let size = pieces.entry().size;
        let blake3 = put.digests.get(DigestKind::Blake3);
        let hashes = Hashes::of(&shown(object), pieces.entry(), put, self.part_size(size))?;
        let same = |upload: Upload| blake3.is_some_and(|blake3| upload.blake3 == *blake3.text);
        let earlier = put.journal.upload(key)?.is_some_and(same);
        let result = self.upload(key, object, pieces, &hashes, put).await;
        match result {
            // An earlier attempt was completed and did not live to see it.
            Err(error) if error.cause == Cause::Precondition && earlier => {
                self.is_there(object, size, put).await?.ok_or(error)
            }
            result => result,
        }
    }

    /// Goes on with an earlier upload of the same content, or begins one; cleans up what will not be of use.
    async fn upload(
        &self,
        key: &Key,
        object: &str,
        pieces: &dyn Pieces,
        hashes: &Hashes<'_>,
        put: &Put<'_>,
    ) -> Result<Entry, Error> {
        let prepared = async {
            let (headers, _) = self.prepare(object, put).await?;
            self.must_be_free(object, put).await.map(|()| headers)
        };
        let mut headers = match Box::pin(prepared).await {
            Ok(headers) => headers,
            Err(error) => {
                if !is_passing(&error) {
                    self.drop_earlier(key, object, put.journal).await?;
                }
                return Err(error);
            }
        };
        let (mut upload, sent) = match hashes {
            Hashes::Known(hashes) => self.resume(key, object, hashes, &headers, put).await?,
            // Parts that nobody can compare with anything are of no use.
            Hashes::Made(arrival) => {
                self.drop_earlier(key, object, put.journal).await?;
                let parts = plan(pieces.entry().size, arrival.part_size()).count();
                (self.intent(key, arrival.part_size(), &headers, put), vec![None; parts])
            }
        };
        if upload.id.is_none() {
            put.journal.intend(&upload)?;
            upload.id = Some(self.create_upload(object, &mut headers).await?);
            put.journal.intend(&upload)?;
        }
        let transfer = Transfer { key, object, id: upload.id.as_deref().unwrap_or_default(), hashes, put };
        let result = async {
            let sent = self.send_parts(&transfer, pieces, sent).await?;
            let digests = hashes.settle(&shown(object), pieces, put.buffers).await?;
            let (mut entry, ending) = self.finish(&transfer, pieces.entry().size, &sent).await?;
            entry.digests.merge(&digests);
            Ok((entry, ending))
        };
        let result = Box::pin(result).await;
        match &result {
            Ok((_, Ending::Completed)) => {
                put.journal.done(key)?;
                self.look_at_effect(object, &headers.acl).await;
            }
            // What was sent is of use to the next attempt.
            Err(error) if is_passing(error) => {}
            Ok((_, Ending::Found)) | Err(_) => {
                if self.abort(object, transfer.id).await.is_ok() {
                    put.journal.done(key)?;
                }
            }
        }
        result.map(|(entry, _)| entry)
    }

    /// CreateMultipartUpload.
    pub(super) async fn create_upload(&self, object: &str, headers: &mut Headers) -> Result<String, Error> {
        let verified = self.ability(|probe| probe.checksums) == Ability::Proven;
        let had_acl = headers.acl != Acl::Unset;
        let id = loop {
            let answer = self.wire.send(Op::CreateMultipartUpload, 0, |client| {
                let request = client.create_multipart_upload().bucket(self.wire.bucket()).key(object);
                request
                    .set_checksum_algorithm(verified.then_some(ChecksumAlgorithm::Crc64Nvme))
                    .set_checksum_type(verified.then_some(ChecksumType::FullObject))
                    .customize()
                    .map_request(headers.on_request())
                    .send()
            });
            match answer.await {
                Ok(output) => break output.upload_id,
                Err(failure) if headers.drop_acl(&failure) => {}
                Err(failure) => return Err(self.wire.fold(&failure, Op::CreateMultipartUpload, Some(object))),
            }
        };
        if had_acl && headers.acl == Acl::Unset {
            self.acls_are_refused();
        }
        id.filter(|id| !id.is_empty()).ok_or_else(|| {
            let again = Cause::Transient { throttled: false, after: None };
            Error::new(again, format!("begin the upload of {}: the answer has no upload id", shown(object)))
        })
    }

    /// Sends all parts that the server does not have yet.
    async fn send_parts(
        &self,
        transfer: &Transfer<'_>,
        pieces: &dyn Pieces,
        mut sent: Vec<Option<Sent>>,
    ) -> Result<Vec<Sent>, Error> {
        let size = pieces.entry().size;
        let missing: Vec<Part> =
            plan(size, transfer.hashes.part_size()).filter(|part| sent[part.number as usize - 1].is_none()).collect();
        let numbers: Vec<usize> = missing.iter().map(|part| part.number as usize - 1).collect();
        let mut failed = None;
        let make = |part| self.send_one(transfer, pieces, part);
        each(PARALLEL, missing, make, |at, result: Result<Sent, Error>| match result {
            Ok(part) => {
                sent[numbers[at]] = Some(part);
                true
            }
            Err(error) => {
                failed = Some(error);
                false
            }
        })
        .await;
        match failed {
            Some(error) => Err(error),
            None => Ok(sent.into_iter().flatten().collect()),
        }
    }

    async fn send_one(&self, transfer: &Transfer<'_>, pieces: &dyn Pieces, part: Part) -> Result<Sent, Error> {
        let put = transfer.put;
        let _room = put.buffers.take(part.len).await;
        let body = pieces.read(part.offset, usize::try_from(part.len).unwrap_or(usize::MAX)).await?;
        let what = shown(transfer.object);
        let blake3 = transfer.hashes.take(&what, part, &body, pieces.entry().size).await?;
        let proof = self.proof(&body);
        let ack = repeat(Patience::default(), || async {
            let ack = self.send_part(transfer.object, transfer.id, part.number, &body, proof).await;
            match ack {
                // Trying again would not bring the upload back; a new one may succeed.
                Err(failure) if failure.is(&["NoSuchUpload"]) => Ok(Err(failure)),
                Err(failure) => Err(self.wire.fold(&failure, Op::UploadPart, Some(transfer.object))),
                Ok(ack) => Ok(Ok(ack)),
            }
        });
        let ack = ack.await?.map_err(|failure| self.wire.fold(&failure, Op::UploadPart, Some(transfer.object)))?;
        put.meter.add(part.len);
        let line = UploadedPart { number: part.number, etag: ack.etag.clone(), blake3 };
        put.journal.part(transfer.key, &line)?;
        let crc = match proof {
            Proof::Crc(crc) | Proof::SignedAndCrc(crc) => crc,
            Proof::Signed => crc64(&body),
        };
        Ok(Sent { etag: ack.etag, crc: Some(crc) })
    }

    /// Makes the object visible, if the target is as expected.
    async fn finish(&self, transfer: &Transfer<'_>, size: u64, sent: &[Sent]) -> Result<(Entry, Ending), Error> {
        let (object, put) = (transfer.object, transfer.put);
        // The probe saw conditions honoured by PutObject; a server may still ignore them here.
        self.must_be(object, put.expect).await?;
        let crc = whole_crc(sent, size, transfer.hashes.part_size());
        let condition = self.condition(put.expect, self.ability(|probe| probe.conditional_put));
        let (mut attempts, mut denials) = (Attempts::new(Patience::default()), Denials::default());
        let ack = loop {
            let failure = match self.complete(object, transfer.id, sent, &condition, crc).await {
                Ok(ack) => break ack,
                Err(failure) => failure,
            };
            // The answer may be lost, or an error inside a 200: the object itself tells.
            if let Some(entry) = self.is_there(object, size, put).await? {
                return Ok((entry, Ending::Found));
            }
            if self.denied(object, &failure, &condition, &mut denials).await? {
                continue;
            }
            let error = self.write_error(&failure, Op::CompleteMultipartUpload, object);
            if failure.is(&["NoSuchUpload"]) && attempts.is_repeated() {
                return Err(raced(object, "was uploaded, and is not there"));
            }
            attempts.again(error).await?;
        };
        let mut entry = self.stored(object, size, &ack, put).await?;
        if let Some(crc) = crc {
            entry.digests.add(Digest::from_bytes(DigestKind::Crc64Nvme, &crc.to_be_bytes()));
        }
        Ok((entry, Ending::Completed))
    }

    /// CompleteMultipartUpload. Parts are named by ETags only: checksums that the upload was not begun with are refused.
    pub(super) async fn complete(
        &self,
        object: &str,
        id: &str,
        sent: &[Sent],
        condition: &Condition,
        crc: Option<u64>,
    ) -> Result<Ack, Failure> {
        let crc = crc.filter(|_| self.ability(|probe| probe.checksums) == Ability::Proven);
        let part = |(at, sent): (usize, &Sent)| {
            let number = i32::try_from(at + 1).unwrap_or(i32::MAX);
            CompletedPart::builder().part_number(number).e_tag(&sent.etag).build()
        };
        let parts: Vec<CompletedPart> = sent.iter().enumerate().map(part).collect();
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let output = self.wire.send(Op::CompleteMultipartUpload, 0, |client| {
            let request = client.complete_multipart_upload().bucket(self.wire.bucket()).key(object).upload_id(id);
            request
                .multipart_upload(parts.clone())
                .set_checksum_crc64_nvme(crc.map(crc64_text))
                .set_checksum_type(crc.map(|_| ChecksumType::FullObject))
                .set_if_none_match(condition.if_none_match())
                .set_if_match(condition.if_match())
                .send()
        });
        Ack::new(output.await?.e_tag())
    }

    /// Whether the object holds our content now, and not the version that was to be replaced.
    pub(super) async fn is_there(&self, object: &str, size: u64, put: &Put<'_>) -> Result<Option<Entry>, Error> {
        let found = repeat(Patience::default(), || self.look_up(object)).await?;
        Ok(found.filter(|entry| {
            let replaced = !matches!(put.expect, Expect::Version(version) if *version == entry.version);
            replaced && entry.size == size && entry.digests.compare(put.digests) == Sameness::Same
        }))
    }
}

/// Whether the same upload may succeed later.
fn is_passing(error: &Error) -> bool {
    matches!(error.cause, Cause::Transient { .. } | Cause::Stop)
}

/// What made the object that an upload was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its completion.
    Completed,
    /// The completion failed, and the content is there: of somebody else, or by an answer that was lost. The upload may
    /// still be there.
    Found,
}

/// What the steps of one upload share.
#[derive(Debug, Clone, Copy)]
struct Transfer<'a> {
    key: &'a Key,
    object: &'a str,
    id: &'a str,
    hashes: &'a Hashes<'a>,
    put: &'a Put<'a>,
}

/// The CRC-64 of the whole from those of its parts; `None` if one is not known.
fn whole_crc(sent: &[Sent], size: u64, part_size: u64) -> Option<u64> {
    let mut parts = sent.iter().zip(plan(size, part_size));
    let (first, _) = parts.next()?;
    let mut whole = first.crc?;
    for (sent, part) in parts {
        whole = crc_fast::checksum_combine(crc_fast::CrcAlgorithm::Crc64Nvme, whole, sent.crc?, part.len);
    }
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_of_the_whole_comes_from_its_parts() {
        let data: Vec<u8> = (0..10_007_u32).map(|n| n.to_le_bytes()[0]).collect();
        let sent: Vec<Sent> = data.chunks(1_000).map(|c| Sent { etag: String::new(), crc: Some(crc64(c)) }).collect();
        assert_eq!(whole_crc(&sent, 10_007, 1_000), Some(crc64(&data)));
        let mut unknown = sent;
        unknown[3].crc = None;
        assert_eq!(whole_crc(&unknown, 10_007, 1_000), None);
    }
}
