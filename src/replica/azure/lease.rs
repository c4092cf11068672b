//! The lease of a container prefix: one blob, written under conditions. Its version is its ETag. Azure's own leases of
//! blobs would need clocks of the service, and nobody could read who holds one.

use async_trait::async_trait;
use bytes::Bytes;

use super::Azure;
use super::ops::Op;
use super::put::Condition;
use crate::model::{Expect, Version};
use crate::replica::lease::{LONGEST, Leases, PATH, Written, none};
use crate::replica::{Ability, Cause, Error};

#[async_trait]
impl Leases for Azure {
    async fn read(&self) -> Result<Option<Written>, Error> {
        let blob = self.inner.names.own(PATH);
        let found = match self.inner.read_small(&blob).await {
            Ok(found) => found,
            // Between the look and the reading.
            Err(error) if matches!(error.cause, Cause::Changed | Cause::NotFound) => {
                return Err(Error { cause: Cause::Transient { throttled: false, after: None }, ..error });
            }
            Err(error) => return Err(error),
        };
        Ok(found.map(|(bytes, version)| {
            let is_ours = bytes.len() <= LONGEST;
            let text = if is_ours { String::from_utf8_lossy(&bytes).into_owned() } else { "?".to_owned() };
            Written { text, version }
        }))
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
        let blob = inner.names.own(PATH);
        let body = Bytes::copy_from_slice(text.as_bytes());
        inner.write(&blob, body, Condition::of(expect)).await.map_err(|failure| {
            let error = inner.wire.fold(&failure, Op::PutBlob, Some(&blob));
            let is_raced = failure.is_precondition() || failure.is_absent_blob();
            if is_raced { Error { cause: Cause::Precondition, ..error } } else { error }
        })
    }

    async fn remove(&self, version: &Version) -> Result<(), Error> {
        let inner = &self.inner;
        if inner.ability(|probe| probe.conditional_delete) != Ability::Proven {
            return self.write("", &Expect::Version(version.clone())).await.map(drop);
        }
        let blob = inner.names.own(PATH);
        match inner.send_delete(&blob, Some(version)).await {
            Ok(()) => Ok(()),
            Err(failure) if failure.is_absent_blob() => Ok(()),
            Err(failure) => Err(inner.wire.fold(&failure, Op::DeleteBlob, Some(&blob))),
        }
    }
}
