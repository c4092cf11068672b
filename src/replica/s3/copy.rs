//! Copying inside the bucket: no bytes are sent, and everything the source carries goes along, its ACL included
//! (CopyObject makes the copy private otherwise).

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::MetadataDirective;

use super::Inner;
use super::error::{Failure, Stage};
use super::folders::Denials;
use super::keep::{Acl, Headers};
use super::metadata::{Facts, OF_CONTENT, content_type};
use super::multipart::{Ending, Part, Sent, plan};
use super::names::{copy_source, in_query, quoted};
use super::ops::Op;
use super::put::raced;
use super::sender::{Ack, Condition};
use crate::model::{DigestKind, Entry, Key, Retype, Version};
use crate::replica::concurrent::each;
use crate::replica::retry::{Patience, repeat};
use crate::replica::{Ability, Cause, Error, Put, Upload};

/// CopyObject's limit (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>).
pub(super) const LARGEST: u64 = 5 * 1024 * 1024 * 1024;
/// Parts of a larger copy: no bytes travel, so they may be big.
const PART: u64 = 512 * 1024 * 1024;
const PARALLEL: usize = 8;

/// Where a copy comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) whose: Whose,
    pub(super) bucket: &'a str,
    pub(super) object: &'a str,
    /// One of its versions, in a bucket that keeps them; `None` for the current one.
    pub(super) version: Option<&'a str>,
    pub(super) etag: &'a str,
    pub(super) size: u64,
}

impl Source<'_> {
    /// The value of `x-amz-copy-source`.
    fn header(&self) -> String {
        let source = copy_source(self.bucket, self.object);
        match self.version {
            Some(version) => format!("{source}?versionId={}", in_query(version)),
            None => source,
        }
    }
}

/// Whose a source is: a refusal says other things of a place that belongs to another replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Ours,
    /// Perhaps in another bucket, perhaps not for us to read.
    Others,
}

impl Inner {
    /// Copies `from` to `target`, the object of the key `to`.
    pub(super) async fn copy(
        &self,
        from: &str,
        from_version: &Version,
        to: &Key,
        target: &str,
        put: &Put<'_>,
    ) -> Result<Entry, Error> {
        if self.ability(|probe| probe.copy) == Ability::Missing {
            return Err(Error::new(Cause::Unsupported, format!("{} can't copy objects", self.name)));
        }
        // One round trip for both.
        let (head, acl) = tokio::join!(Box::pin(self.head(from)), Box::pin(self.acl_of(from)));
        let Some(head) = head? else { return Err(raced(from, "is gone")) };
        let found = self.entry_of_head(from, &head).await?;
        if found.version != *from_version {
            return Err(raced(from, "was changed by somebody else"));
        }
        let acl = acl?;
        let mut headers = copied_headers((from, target), &head, acl, put);
        self.dress(&mut headers, put);
        // Where listings show other ETags than requests take, the one that HEAD showed is the one to send.
        let etag = Facts::of_head(&head).etag.map(super::names::unquoted).unwrap_or_default();
        let source = Source {
            whose: Whose::Ours,
            bucket: self.wire.bucket(),
            object: from,
            version: None,
            etag,
            size: found.size,
        };
        let ability = self.ability(|probe| probe.conditional_copy);
        self.tell_unchecked_copies(ability);
        if ability != Ability::Proven {
            self.must_be(target, put.expect).await?;
        }
        let condition = self.condition(put.expect, ability);
        let ack = if found.size > self.largest_copy {
            headers.tagging = self.tags_of(from, &head).await?;
            self.copy_parts(&source, to, target, &mut headers, put).await?
        } else {
            let is_checked = self.ability(|probe| probe.checked_source) == Ability::Proven;
            let directive = if is_checked { MetadataDirective::Replace } else { MetadataDirective::Copy };
            let ack = self.copy_whole(&source, target, &mut headers, &condition, directive).await?;
            self.still_has(&source).await?;
            // Content that was being sent before there was something to copy.
            self.drop_earlier(to, target, put.journal).await?;
            // All was taken along as it is, so that no digest comes to stand beside other content.
            if !is_checked {
                let by_name = head.content_type() == Some(content_type(from));
                let retype = if by_name { Retype::ByName } else { Retype::Keep };
                return self.dress_late(to, target, &ack, put, retype).await;
            }
            ack
        };
        let mut entry = self.stored(target, found.size, &ack, put).await?;
        entry.digests.merge(&found.digests.iter().filter(|d| d.kind.is_of_content()).cloned().collect());
        Ok(entry)
    }

    /// Told where something is copied, once: many servers that honour the conditions of PutObject do not honour these. Where
    /// they honour neither, the first contact says so for all.
    pub(super) fn tell_unchecked_copies(&self, conditional_copy: Ability) {
        let puts = self.ability(|probe| probe.conditional_put);
        if conditional_copy == Ability::Missing && puts != Ability::Missing {
            self.notices.add(format!(
                "{} ignores preconditions of copies: each key is looked at right before something is copied to it, a \
                 change by somebody else in that instant would be lost",
                self.name
            ));
        }
    }

    /// CopyObject.
    pub(super) async fn copy_whole(
        &self,
        source: &Source<'_>,
        target: &str,
        headers: &mut Headers,
        condition: &Condition,
        directive: MetadataDirective,
    ) -> Result<Ack, Error> {
        let mut denials = Denials::default();
        let from = source.header();
        let had_acl = headers.acl != Acl::Unset;
        let ack = loop {
            let origin = (from.as_str(), quoted(source.etag));
            match self.send_copy(target, origin, &directive, headers, condition).await {
                Ok(ack) => break ack,
                Err(failure) if headers.drop_acl(&failure) => {}
                Err(failure) if self.denied(target, &failure, condition, &mut denials).await? => {}
                Err(failure) => return Err(self.copy_error(&failure, source, target)),
            }
        };
        if had_acl && headers.acl == Acl::Unset {
            self.acls_are_refused();
        }
        Ok(ack)
    }

    fn copy_error(&self, failure: &Failure, source: &Source<'_>, target: &str) -> Error {
        if let Some(error) = self.out_of_reach(failure, source) {
            return error;
        }
        if failure.is_not_implemented() {
            self.learn(|probe| probe.copy = Ability::Missing);
        }
        if failure.is(&["InvalidObjectState"]) {
            return Error { cause: Cause::Unsupported, ..self.write_error(failure, Op::CopyObject, target) };
        }
        // NotFound: the source went away between the look and the copy.
        self.write_error(failure, Op::CopyObject, target)
    }

    /// Copies in parts, journaled like an upload.
    pub(super) async fn copy_parts(
        &self,
        source: &Source<'_>,
        to: &Key,
        target: &str,
        headers: &mut Headers,
        put: &Put<'_>,
    ) -> Result<Ack, Error> {
        // The journal knows one upload of a key.
        if let Some(earlier) = put.journal.upload(to)? {
            self.discard(target, &earlier).await?;
            put.journal.done(to)?;
        }
        let size = self.part_size(source.size).max(PART.min(self.largest_copy));
        let mut upload = Upload {
            key: to.clone(),
            intended_ns: self.wire.clock().now_ns(),
            id: None,
            blake3: put.digests.get(DigestKind::Blake3).map(|d| d.text.to_string()).unwrap_or_default(),
            part_size: size,
            begun_with: String::new(),
            parts: Vec::new(),
        };
        put.journal.intend(&upload)?;
        let id = self.create_upload(target, headers).await?;
        upload.id = Some(id.clone());
        put.journal.intend(&upload)?;
        let result = self.copy_all_parts(source, target, &id, size, put).await;
        // Nothing was sent that would be worth keeping.
        let completed = matches!(result, Ok((_, Ending::Completed)));
        if completed || self.abort(target, &id).await.is_ok() {
            put.journal.done(to)?;
        }
        result.map(|(ack, _)| ack)
    }

    async fn copy_all_parts(
        &self,
        source: &Source<'_>,
        target: &str,
        id: &str,
        size: u64,
        put: &Put<'_>,
    ) -> Result<(Ack, Ending), Error> {
        let mut sent: Vec<Option<Sent>> = vec![None; plan(source.size, size).count()];
        let mut failed = None;
        let make = |part| repeat(Patience::default(), move || self.copy_part(source, target, id, part));
        each(PARALLEL, plan(source.size, size), make, |at, result| match result {
            Ok(part) => {
                sent[at] = Some(part);
                true
            }
            Err(error) => {
                failed = Some(error);
                false
            }
        })
        .await;
        if let Some(error) = failed {
            return Err(error);
        }
        self.still_has(source).await?;
        self.must_be(target, put.expect).await?;
        let sent: Vec<Sent> = sent.into_iter().flatten().collect();
        let condition = self.condition(put.expect, self.ability(|probe| probe.conditional_put));
        let mut denials = Denials::default();
        loop {
            let failure = match self.complete(target, id, &sent, &condition, None).await {
                Ok(ack) => return Ok((ack, Ending::Completed)),
                Err(failure) => failure,
            };
            if let Some(entry) = self.is_there(target, source.size, put).await? {
                return Ok((Ack { etag: entry.version.as_str().to_owned() }, Ending::Found));
            }
            if !self.denied(target, &failure, &condition, &mut denials).await? {
                return Err(self.wire.fold(&failure, Op::CompleteMultipartUpload, Some(target)));
            }
        }
    }

    async fn copy_part(&self, source: &Source<'_>, target: &str, id: &str, part: Part) -> Result<Sent, Error> {
        let from = source.header();
        let range = format!("bytes={}-{}", part.offset, part.offset + part.len - 1);
        let answer = self.wire.send(Op::UploadPartCopy, 0, |client| {
            let request = client.upload_part_copy().bucket(self.wire.bucket()).key(target).upload_id(id);
            request
                .part_number(i32::try_from(part.number).unwrap_or(i32::MAX))
                .copy_source(&from)
                .copy_source_range(&range)
                .copy_source_if_match(quoted(source.etag))
                .send()
        });
        let ack = answer.await.and_then(|output| {
            let result = output.copy_part_result().ok_or_else(|| Failure::at(Stage::Unreadable))?;
            Ack::new(result.e_tag())
        });
        match ack {
            Ok(ack) => Ok(Sent { etag: ack.etag, crc: None }),
            Err(failure) if failure.is_precondition() => Err(raced(source.object, "was changed by somebody else")),
            Err(failure) => Err(self
                .out_of_reach(&failure, source)
                .unwrap_or_else(|| self.wire.fold(&failure, Op::UploadPartCopy, Some(target)))),
        }
    }
}

/// The source's headers with our digest and mtime; recorded values of the source stay where we have none. A type that
/// came from the old name gives way to that of the new one.
pub(super) fn copied_headers((from, to): (&str, &str), head: &HeadObjectOutput, acl: Acl, put: &Put<'_>) -> Headers {
    let mut headers = Headers::kept(to, head, acl);
    if head.content_type() == Some(content_type(from)) {
        headers.content_type = Some(content_type(to).to_owned());
    }
    for name in OF_CONTENT {
        if let Some(value) = head.metadata().and_then(|metadata| metadata.get(name)) {
            headers.metadata.insert(name.to_owned(), value.clone());
        }
    }
    headers = headers.carrying_over(put.attributes);
    headers.state(put);
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::fake::{put_of, whole};
    use crate::replica::s3::metadata::{BLAKE3, MTIME};

    #[test]
    fn a_copy_keeps_what_the_source_recorded_and_adds_what_we_know() {
        let head = HeadObjectOutput::builder().metadata(MTIME, "5").metadata("author", "me").metadata(BLAKE3, "old");
        let content = whole(b"x");
        let headers = copied_headers(("b.png", "a.png"), &head.build(), Acl::Unset, &put_of(&content).as_put());
        assert_eq!(headers.metadata[MTIME], "5");
        assert_eq!(headers.metadata["author"], "me");
        assert_eq!(headers.metadata[BLAKE3], blake3::hash(b"x").to_hex().as_str());
    }
}
