//! Copying from another container of the account, or another prefix of the container, without the bytes passing through here.
//!
//! The side that holds the content says where it lies ([`Origin`]); this side asks the service for the copy, pinned to the
//! version that was seen: CopyBlob takes any size within an account, and takes along all that the blob carries, its
//! Content-MD5 included.
//! Whoever signs with the account's key may read the other place; else the source gives leave: its own signature, or one
//! that is made with its key for that blob. Where none of that is enough, it is found out once, told, and the content
//! is sent instead.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

use super::Inner;
use super::copy::Source;
use super::error::Failure;
use super::facts::OF_CONTENT;
use super::keep::Dress;
use super::ops::Op;
use super::put::Condition;
use super::read::{archived, changed, entry_of, gone};
use crate::model::{Entry, Expect, Readable, Version};
use crate::replica::object::shown;
use crate::replica::{Ability, Cause, Error, Origin, Put};

impl Inner {
    /// See [`crate::replica::Replica::reaches`].
    pub(super) fn reaches(&self, service: &str) -> bool {
        service == self.service
            && !self.origins_off.load(Ordering::Relaxed)
            && self.ability(|probe| probe.copy) != Ability::Missing
    }

    /// See [`crate::replica::Replica::origin`].
    pub(super) async fn origin(&self, blob: &str, expect: &Version) -> Result<Origin, Error> {
        let facts = self.head(blob).await?.ok_or_else(|| gone(blob))?;
        let entry = entry_of(blob, &facts)?;
        if entry.version != *expect {
            return Err(changed(blob));
        }
        let recorded = facts.metadata.into_iter().filter(|(name, _)| OF_CONTENT.contains(&name.as_str()));
        Ok(Origin {
            service: self.service.clone(),
            container: self.wire.address().container.clone(),
            object: blob.to_owned(),
            pin: entry.version.as_str().to_owned(),
            entry,
            attributes: Some(facts.attributes),
            recorded: recorded.collect(),
            leave: self.wire.leave(blob),
        })
    }

    /// See [`crate::replica::Replica::origin_seen`]: the service takes all along, pinned to the version that was listed.
    pub(super) fn origin_seen(&self, blob: &str, entry: &Entry) -> Origin {
        Origin {
            service: self.service.clone(),
            container: self.wire.address().container.clone(),
            object: blob.to_owned(),
            pin: entry.version.as_str().to_owned(),
            entry: entry.clone(),
            attributes: None,
            recorded: BTreeMap::new(),
            leave: self.wire.leave(blob),
        }
    }

    /// See [`crate::replica::Replica::copy_from`].
    pub(super) async fn copy_from(&self, origin: &Origin, to: &str, put: &Put<'_>) -> Result<Entry, Error> {
        if !self.reaches(&origin.service) {
            return Err(Error::new(Cause::Unsupported, format!("{} can't copy from {}", self.name, origin.container)));
        }
        if origin.entry.readable == Readable::Archived {
            return Err(archived(&origin.object));
        }
        // Tags and the tier belong to the place.
        let mut dress = match put.expect {
            Expect::Absent => Dress::default(),
            Expect::Version(_) => self.prepare(to, &Put { attributes: None, style: None, ..*put }).await?,
        };
        if self.ability(|probe| probe.conditional_put) == Ability::Missing {
            self.must_be(to, put.expect).await?;
        }
        dress.metadata = Self::stated(origin, put);
        let version = Version::new(origin.pin.as_str());
        let source = self.wire.source_of(&origin.container, &origin.object, origin.leave.as_ref());
        let source = source.map(|url| Source { url, version: &version });
        let sent = match source {
            Ok(source) => self.send_copy(source, to, &dress, Condition::of(put.expect)).await,
            Err(failure) => Err(failure),
        };
        let (version, status) = sent.map_err(|failure| self.copy_error(&failure, origin, to))?;
        let version = if status == "success" { version } else { self.wait_for(to).await? };
        let mut digests = put.digests.clone();
        digests.merge(&origin.entry.digests.iter().filter(|digest| digest.kind.is_of_content()).cloned().collect());
        let (size, modified_ns) = (origin.entry.size, put.mtime_ns);
        let copied = Entry { size, version, modified_ns, digests, readable: Readable::Yes };
        self.restyle_copy(to, copied, put).await
    }

    /// The metadata that a copy is to have; empty where the source's is: the service takes that along by itself, with the
    /// names spelled as they are.
    fn stated(origin: &Origin, put: &Put<'_>) -> HashMap<String, String> {
        let Some(attributes) = &origin.attributes else { return HashMap::new() };
        let carried =
            attributes.metadata.iter().chain(&origin.recorded).map(|(name, value)| (name.clone(), value.clone()));
        let carried: HashMap<String, String> = carried.collect();
        let mut dress = Dress { metadata: carried.clone(), ..Dress::default() };
        dress.state(put);
        if dress.metadata == carried { HashMap::new() } else { dress.metadata }
    }

    /// A refusal to read the source is none of the target: another way of moving the content may not meet it.
    fn copy_error(&self, failure: &Failure, origin: &Origin, to: &str) -> Error {
        if failure.is_not_implemented() {
            self.learn(|probe| probe.copy = Ability::Missing);
        } else if !failure.is_refused_source() {
            return self.write_error(failure, Op::CopyBlob, to);
        }
        self.origins_off.store(true, Ordering::Relaxed);
        self.notices.add(format!(
            "{} can't copy from the container {} by itself ({}): the content is read and sent instead; to have it copied, \
             let the destination's credentials read the source",
            self.name,
            origin.container,
            failure.code.as_deref().unwrap_or("refused"),
        ));
        Error::new(Cause::Unsupported, format!("{} can't be copied by the service", shown(&origin.object)))
    }
}
