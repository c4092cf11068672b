//! The lease of a bucket prefix: one object, written under conditions. Its version is its ETag.

use async_trait::async_trait;
use bytes::Bytes;

use super::S3;
use super::names::quoted;
use super::ops::Op;
use super::sender::{Condition, Proof};
use crate::model::{Expect, Version};
use crate::replica::lease::{LONGEST, Leases, PATH, Written, none};
use crate::replica::{Ability, Cause, Error};

#[async_trait]
impl Leases for S3 {
    async fn read(&self) -> Result<Option<Written>, Error> {
        let inner = &self.inner;
        let object = inner.names.own(PATH);
        // No range: the text may be empty, of which there is none.
        let answer = inner
            .wire
            .send(Op::GetObject, 0, |client| client.get_object().bucket(inner.wire.bucket()).key(&object).send());
        let output = match answer.await {
            Ok(output) => output,
            Err(failure) if failure.is_absent_key() => return Ok(None),
            Err(failure) => return Err(inner.wire.fold(&failure, Op::GetObject, Some(&object))),
        };
        let again = |what: &str| {
            Error::new(
                Cause::Transient { throttled: false, after: None },
                format!("read the lease of {}: {what}", inner.name),
            )
        };
        let etag = output.e_tag().map(super::names::unquoted).filter(|etag| !etag.is_empty());
        let version = Version::new(etag.ok_or_else(|| again("the answer has no ETag"))?);
        // What is too long is nobody's, and is not read.
        if output.content_length().is_some_and(|length| usize::try_from(length).map_or(true, |length| length > LONGEST))
        {
            return Ok(Some(Written { text: "?".to_owned(), version }));
        }
        let body = output.body.collect().await.map_err(|_| again("the connection broke"))?;
        Ok(Some(Written { text: String::from_utf8_lossy(&body.into_bytes()).into_owned(), version }))
    }

    async fn write(&self, text: &str, expect: &Expect) -> Result<Version, Error> {
        let inner = &self.inner;
        match inner.ability(|probe| probe.conditional_put) {
            Ability::Proven => {}
            Ability::Missing => return Err(none(&inner.name, "its server does not honour preconditions")),
            Ability::Unknown => {
                return Err(none(&inner.name, "it is not known whether its server honours preconditions"));
            }
        }
        let object = inner.names.own(PATH);
        let condition = match expect {
            Expect::Absent => Condition::Absent,
            Expect::Version(version) => Condition::Etag(quoted(version.as_str())),
        };
        match inner.write(&object, Bytes::copy_from_slice(text.as_bytes()), Proof::Signed, &condition).await {
            Ok(ack) => Ok(Version::new(ack.etag)),
            Err(failure) => Err(inner.write_error(&failure, Op::PutObject, &object)),
        }
    }

    async fn remove(&self, version: &Version) -> Result<(), Error> {
        let inner = &self.inner;
        let (object, etag) = (inner.names.own(PATH), quoted(version.as_str()));
        if inner.ability(|probe| probe.conditional_delete) != Ability::Proven {
            return self.write("", &Expect::Version(version.clone())).await.map(drop);
        }
        match inner.send_delete(&object, Some(etag)).await {
            Ok(()) => Ok(()),
            Err(failure) if failure.is_absent_key() => Ok(()),
            Err(failure) => Err(inner.wire.fold(&failure, Op::DeleteObject, Some(&object))),
        }
    }
}
