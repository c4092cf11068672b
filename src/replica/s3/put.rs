//! Storing content that fits into one request, and what all writes share: the precondition and the entry they return.

use bytes::Bytes;

use super::Inner;
use super::error::Failure;
use super::folders::Denials;
use super::keep::{Acl, Headers};
use super::names::shown;
use super::ops::Op;
use super::sender::{Ack, Condition, Proof};
use crate::model::{Digest, DigestKind, Entry, Expect, Readable};
use crate::replica::{Ability, Cause, Error, Put};

impl Inner {
    /// Stores content in one request.
    pub(super) async fn put_whole(
        &self,
        object: &str,
        bytes: &Bytes,
        blake3: &Digest,
        put: &Put<'_>,
    ) -> Result<Entry, Error> {
        if put.digests.get(DigestKind::Blake3).is_some_and(|planned| planned != blake3) {
            return Err(Error::new(Cause::Changed, format!("{} changed since it was planned", shown(object))));
        }
        let (mut headers, condition) = self.prepare(object, put).await?;
        let proof = self.proof(bytes);
        let had_acl = headers.acl != Acl::Unset;
        let mut denials = Denials::default();
        let ack = loop {
            match self.send_object(object, bytes, proof, &headers, &condition).await {
                Ok(ack) => break ack,
                Err(failure) if headers.drop_acl(&failure) => {}
                Err(failure) if self.denied(object, &failure, &condition, &mut denials).await? => {}
                Err(failure) => return Err(self.write_error(&failure, Op::PutObject, object)),
            }
        };
        if had_acl && headers.acl == Acl::Unset {
            self.acls_are_refused();
        }
        self.look_at_effect(object, &headers.acl).await;
        put.meter.add(bytes.len() as u64);
        let mut entry = self.stored(object, bytes.len() as u64, &ack, put).await?;
        if let Proof::Crc(crc) | Proof::SignedAndCrc(crc) = proof {
            entry.digests.add(Digest::from_bytes(DigestKind::Crc64Nvme, &crc.to_be_bytes()));
        }
        Ok(entry)
    }

    /// The headers and the condition for a write, after looking at what is there where that is needed.
    pub(super) async fn prepare(&self, object: &str, put: &Put<'_>) -> Result<(Headers, Condition), Error> {
        let ability = self.ability(|probe| probe.conditional_put);
        Ok((self.headers(object, put, ability).await?, self.condition(put.expect, ability)))
    }

    /// The headers for a write whose conditions are honoured as `ability` says. Makes sure that what is expected is
    /// there, as far as the server will not.
    pub(super) async fn headers(&self, object: &str, put: &Put<'_>, ability: Ability) -> Result<Headers, Error> {
        let headers = match put.expect {
            Expect::Absent => {
                if ability != Ability::Proven {
                    self.must_be(object, put.expect).await?;
                    self.must_hold_nothing(object).await?;
                }
                self.look_at_a_neighbour().await;
                Headers::fresh(object, self.acl_of_new())
            }
            Expect::Version(version) => {
                let (head, acl) = if ability == Ability::Proven {
                    // One round trip for both.
                    tokio::join!(Box::pin(self.head(object)), Box::pin(self.acl_of(object)))
                } else {
                    // This look is all that stands between a change by somebody else and its end: nothing comes after.
                    let acl = self.acl_of(object).await;
                    (self.head(object).await, acl)
                };
                let Some(head) = head? else { return Err(raced(object, "is gone")) };
                let entry = self.entry_of_head(object, &head).await?;
                if entry.version != *version {
                    return Err(raced(object, "was changed by somebody else"));
                }
                let (acl, tagging) = (acl?, self.tags_of(object, &head).await?);
                if tagging.is_some() && ability != Ability::Proven {
                    self.must_be(object, put.expect).await?;
                }
                Headers { tagging, ..Headers::kept(object, &head, acl) }
            }
        };
        let mut headers = headers.carrying(put.attributes);
        headers.state(put);
        self.dress(&mut headers, put);
        Ok(headers)
    }

    /// The condition to send. Where listings show other ETags than requests take, versions can't be sent.
    pub(super) fn condition(&self, expect: &Expect, ability: Ability) -> Condition {
        let foreign = self.ability(|probe| probe.same_etags) == Ability::Missing;
        match expect {
            Expect::Version(_) if foreign => Condition::Unchecked,
            _ => Condition::of(expect, ability),
        }
    }

    /// Looks right before a write whether what is expected is there.
    pub(super) async fn must_be(&self, object: &str, expect: &Expect) -> Result<(), Error> {
        let found = self.look_up(object).await?;
        match (expect, found) {
            (Expect::Absent, None) => Ok(()),
            (Expect::Version(version), Some(entry)) if entry.version == *version => Ok(()),
            (Expect::Absent, Some(_)) => Err(raced(object, "was created by somebody else")),
            (Expect::Version(_), Some(_)) => Err(raced(object, "was changed by somebody else")),
            (Expect::Version(_), None) => Err(raced(object, "is gone")),
        }
    }

    /// The error of a failed write. S3 answers 404 to `If-Match` if the object is gone.
    pub(super) fn write_error(&self, failure: &Failure, op: Op, object: &str) -> Error {
        let error = self.wire.fold(failure, op, Some(object));
        match error.cause {
            Cause::NotFound => Error { cause: Cause::Precondition, ..error },
            _ => error,
        }
    }

    /// The entry of what was just stored.
    pub(super) async fn stored(&self, object: &str, size: u64, ack: &Ack, put: &Put<'_>) -> Result<Entry, Error> {
        let mut digests = put.digests.clone();
        if let Some(digest) = Digest::from_etag(&ack.etag) {
            digests.add(digest);
        }
        let version = self.settled_version(object, &ack.etag).await?;
        Ok(Entry { size, version, modified_ns: put.mtime_ns, digests, readable: Readable::Yes })
    }
}

/// Somebody else was faster.
pub(super) fn raced(object: &str, what: &str) -> Error {
    Error::new(Cause::Precondition, format!("{} {what}", shown(object)))
}
