//! Uploads that an earlier attempt left behind: going on with them, aborting them. Only what the journal knows is
//! touched; uploads of others, even of the same key, are not.

use aws_sdk_s3::types::{MultipartUpload, Part as ListedPart};

use super::Inner;
use super::keep::Headers;
use super::metadata::{crc64_value, epoch_ns};
use super::multipart::Sent;
use super::names::{shown, unquoted};
use super::ops::Op;
use crate::model::{DigestKind, Key};
use crate::replica::retry::{Patience, repeat};
use crate::replica::{Cause, Error, Journal, PartHashes, Put, Upload};

/// An intent without an id owns uploads of its key that began within this time after it.
const CLAIM_NS: i64 = 60_000_000_000;
/// S3 says that an abort may have to be repeated while parts are still arriving
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html>).
const ABORTS: u32 = 5;

impl Inner {
    /// The upload to go on with and the parts that the server has; a new one without an id if there is none.
    ///
    /// An object gets the headers and the ACL that its upload was begun with: one that was begun with others than
    /// `headers` is not gone on with.
    pub(super) async fn resume(
        &self,
        key: &Key,
        object: &str,
        hashes: &PartHashes,
        headers: &Headers,
        put: &Put<'_>,
    ) -> Result<(Upload, Vec<Option<Sent>>), Error> {
        let nothing = vec![None; hashes.hashes.len().max(1)];
        let blake3 = put.digests.get(DigestKind::Blake3).map_or("", |digest| &digest.text);
        if let Some(earlier) = put.journal.upload(key)? {
            let same_bytes = earlier.blake3 == blake3 && earlier.part_size == hashes.size;
            let is_same = same_bytes && self.is_begun_with(&earlier.begun_with, headers);
            if let Some(id) = earlier.id.clone().filter(|_| is_same) {
                let patience = Patience::default();
                match repeat(patience, || self.parts_of(object, &id)).await {
                    Ok(Some(listed)) => {
                        let sent = reusable(&earlier, &listed, hashes);
                        return Ok((earlier, sent));
                    }
                    Ok(None) => {}
                    // Without the permission, or with an answer that can't be read, there is nothing to go on with.
                    Err(error) if error.cause == Cause::Refused => self.discard(object, &earlier).await.map(drop)?,
                    Err(error) => return Err(error),
                }
            } else {
                self.discard(object, &earlier).await?;
            }
            put.journal.done(key)?;
        }
        Ok((self.intent(key, hashes.size, headers, put), nothing))
    }

    /// An upload that is not begun yet. It has no digest if the content was not read before.
    pub(super) fn intent(&self, key: &Key, part_size: u64, headers: &Headers, put: &Put<'_>) -> Upload {
        let blake3 = put.digests.get(DigestKind::Blake3).map_or("", |digest| &digest.text);
        Upload {
            key: key.clone(),
            intended_ns: self.wire.clock().now_ns(),
            id: None,
            blake3: blake3.to_owned(),
            part_size,
            begun_with: headers.mark(),
            parts: Vec::new(),
        }
    }

    /// Aborts the upload of a key that can't be stored now. If that fails, it stays in the journal.
    pub(super) async fn drop_earlier(&self, key: &Key, object: &str, journal: &dyn Journal) -> Result<(), Error> {
        match journal.upload(key)? {
            Some(earlier) if self.discard(object, &earlier).await.is_ok() => journal.done(key),
            _ => Ok(()),
        }
    }

    /// Aborts all uploads that the journal knows. Returns how many there were.
    pub(super) async fn tidy(&self, journal: &dyn Journal) -> Result<u64, Error> {
        let mut removed = 0;
        for upload in journal.uploads()? {
            let object = self.names.object(&upload.key);
            removed += self.discard(&object, &upload).await?;
            journal.done(&upload.key)?;
        }
        Ok(removed)
    }

    /// Aborts what belongs to a line of the journal.
    pub(super) async fn discard(&self, object: &str, upload: &Upload) -> Result<u64, Error> {
        let patience = Patience::default();
        if let Some(id) = &upload.id {
            repeat(patience, || self.abort(object, id)).await?;
            return Ok(1);
        }
        let mut removed = 0;
        for id in repeat(patience, || self.claimed(object, upload.intended_ns)).await? {
            repeat(patience, || self.abort(object, &id)).await?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Aborts an upload until the server does not know it any more.
    pub(super) async fn abort(&self, object: &str, id: &str) -> Result<(), Error> {
        for _ in 0..ABORTS {
            let answer = self.wire.send(Op::AbortMultipartUpload, 0, |client| {
                client.abort_multipart_upload().bucket(self.wire.bucket()).key(object).upload_id(id).send()
            });
            match answer.await {
                Ok(_) => {}
                Err(failure) if failure.status == Some(404) && !failure.is(&["NoSuchBucket"]) => return Ok(()),
                Err(failure) => return Err(self.wire.fold(&failure, Op::AbortMultipartUpload, Some(object))),
            }
            match self.parts_of(object, id).await {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                // It was aborted; what is left of it can't be seen.
                Err(error) if error.cause == Cause::Refused => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        let again = Cause::Transient { throttled: false, after: None };
        Err(Error::new(again, format!("abort the upload of {}: the server still knows it", shown(object))))
    }

    /// The parts that a server has of an upload; `None` if it does not know the upload.
    async fn parts_of(&self, object: &str, id: &str) -> Result<Option<Vec<ListedPart>>, Error> {
        let mut all = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let answer = self.wire.send(Op::ListParts, 0, |client| {
                let request = client.list_parts().bucket(self.wire.bucket()).key(object).upload_id(id);
                request.set_part_number_marker(marker.clone()).send()
            });
            let mut output = match answer.await {
                Ok(output) => output,
                Err(failure) if failure.status == Some(404) && !failure.is(&["NoSuchBucket"]) => return Ok(None),
                Err(failure) => return Err(self.wire.fold(&failure, Op::ListParts, Some(object))),
            };
            all.append(output.parts.as_mut().unwrap_or(&mut Vec::new()));
            match output.next_part_number_marker {
                Some(next) if output.is_truncated == Some(true) && Some(&next) != marker.as_ref() => {
                    marker = Some(next);
                }
                _ => return Ok(Some(all)),
            }
        }
    }

    /// Ids of uploads of exactly this object that began within the claim of an intent.
    async fn claimed(&self, object: &str, intended_ns: i64) -> Result<Vec<String>, Error> {
        let mut ids = Vec::new();
        let mut from: (Option<String>, Option<String>) = (None, None);
        loop {
            let answer = self.wire.send(Op::ListMultipartUploads, 0, |client| {
                let request = client.list_multipart_uploads().bucket(self.wire.bucket()).prefix(object);
                request.set_key_marker(from.0.clone()).set_upload_id_marker(from.1.clone()).send()
            });
            let output = match answer.await {
                Ok(output) => output,
                // A server without this request has nothing that could be claimed.
                Err(failure) if failure.is_not_implemented() => return Ok(ids),
                Err(failure) => return Err(self.wire.fold(&failure, Op::ListMultipartUploads, Some(object))),
            };
            ids.extend(output.uploads().iter().filter_map(|upload| claim(upload, object, intended_ns)));
            let next = (output.next_key_marker, output.next_upload_id_marker);
            if output.is_truncated != Some(true) || next == from || next.0.is_none() {
                return Ok(ids);
            }
            from = next;
        }
    }
}

/// The id of an upload if the intent owns it. The server counts whole seconds.
fn claim(upload: &MultipartUpload, object: &str, intended_ns: i64) -> Option<String> {
    let began = upload.initiated().and_then(epoch_ns)?;
    let from = intended_ns.saturating_sub(1_000_000_000);
    let is_ours = upload.key() == Some(object) && (from..=intended_ns.saturating_add(CLAIM_NS)).contains(&began);
    upload.upload_id().filter(|_| is_ours).map(str::to_owned)
}

/// Of the parts that a server has, those that we sent and that hold what is to be sent now.
fn reusable(earlier: &Upload, listed: &[ListedPart], hashes: &PartHashes) -> Vec<Option<Sent>> {
    let mut sent = vec![None; hashes.hashes.len().max(1)];
    for journaled in &earlier.parts {
        let at = journaled.number.wrapping_sub(1) as usize;
        if hashes.hashes.get(at) != Some(&journaled.blake3) {
            continue;
        }
        let number = i32::try_from(journaled.number).ok();
        let there = listed.iter().find(|part| part.part_number() == number);
        if let Some(part) = there.filter(|part| part.e_tag().map(unquoted) == Some(&journaled.etag)) {
            let crc = part.checksum_crc64_nvme().and_then(crc64_value);
            sent[at] = Some(Sent { etag: journaled.etag.clone(), crc });
        }
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::UploadedPart;
    use aws_sdk_s3::primitives::DateTime;

    #[test]
    fn a_part_is_used_again_only_if_server_journal_and_content_agree() {
        let part = |number, etag: &str, byte| UploadedPart { number, etag: etag.into(), blake3: [byte; 32] };
        let earlier = Upload {
            key: Key::new("a").unwrap(),
            intended_ns: 0,
            id: Some("u".into()),
            blake3: "b".into(),
            part_size: 5,
            begun_with: String::new(),
            parts: vec![part(1, "one", 1), part(2, "two", 2), part(3, "three", 3), part(4, "four", 9), part(9, "x", 1)],
        };
        let listed = |number, etag: &str| ListedPart::builder().part_number(number).e_tag(etag).build();
        let there = [listed(1, "\"one\""), listed(2, "\"other\""), listed(4, "\"four\"")];
        let hashes = PartHashes { size: 5, hashes: vec![[1; 32], [2; 32], [3; 32], [4; 32]] };
        let sent = reusable(&earlier, &there, &hashes);
        let etags: Vec<Option<&str>> = sent.iter().map(|s| s.as_ref().map(|s| s.etag.as_str())).collect();
        assert_eq!(etags, [Some("one"), None, None, None]);
    }

    #[test]
    fn an_intent_claims_only_its_key_and_its_minute() {
        let upload = |key: &str, at: i64| {
            MultipartUpload::builder().key(key).upload_id("u").initiated(DateTime::from_secs(at)).build()
        };
        let intended = 1_000_500_000_000;
        let claims = |upload: &MultipartUpload| claim(upload, "a", intended).is_some();
        assert!(claims(&upload("a", 1_000)) && claims(&upload("a", 1_060)));
        assert!(!claims(&upload("a", 1_061)) && !claims(&upload("a", 999)));
        assert!(!claims(&upload("ab", 1_001)));
        assert!(!claims(&MultipartUpload::builder().key("a").upload_id("u").build()));
    }
}
