//! Copying from another place of the same service, without the bytes passing through here: between two buckets, or two
//! prefixes of one.
//!
//! The side that holds the content says where it lies ([`Origin`]); this side asks the server for the copy, pinned to the
//! version that was seen. In one request the server takes along all that the object carries; a larger object is copied
//! in parts, for which that side looks at it, and all is stated anew. A server that was not seen to check the version of
//! a copy's source is looked at afterwards: a digest never comes to stand beside other content.
//! Where our credentials can't read the other place, that is found out once, told, and the content is sent instead.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use aws_sdk_s3::types::MetadataDirective;

use super::Inner;
use super::carried::attributes_of_head;
use super::copy::{Source, Whose};
use super::error::Failure;
use super::metadata::{Facts, OF_CONTENT};
use super::names::{shown, unquoted};
use super::ops::Op;
use super::read::{changed, gone, unproven};
use super::sender::Ack;
use crate::model::{Entry, Expect, Key, Readable, Retype, Style, Version};
use crate::replica::{Ability, Cause, Error, Origin, Put, Restyled};

impl Inner {
    /// See [`crate::replica::Replica::reaches`].
    pub(super) fn reaches(&self, service: &str) -> bool {
        service == self.service
            && !self.origins_off.load(Ordering::Relaxed)
            && self.ability(|probe| probe.copy) != Ability::Missing
    }

    /// See [`crate::replica::Replica::origin`].
    pub(super) async fn origin(&self, object: &str, expect: &Version) -> Result<Origin, Error> {
        let head = self.head(object).await?.ok_or_else(|| gone(object))?;
        let entry = self.entry_of_head(object, &head).await?;
        if entry.version != *expect {
            return Err(changed(object));
        }
        let pin = Facts::of_head(&head).etag.map(unquoted).ok_or_else(|| unproven(object))?.to_owned();
        let recorded = |name: &&str| Some(((*name).to_owned(), head.metadata()?.get(*name)?.clone()));
        Ok(Origin {
            service: self.service.clone(),
            container: self.wire.bucket().to_owned(),
            object: object.to_owned(),
            pin,
            entry,
            attributes: Some(attributes_of_head(&head)),
            recorded: OF_CONTENT.iter().filter_map(recorded).collect(),
            leave: None,
        })
    }

    /// See [`crate::replica::Replica::origin_seen`]: a copy in one request takes all along, and is pinned to its version.
    pub(super) async fn origin_seen(&self, object: &str, entry: &Entry) -> Result<Origin, Error> {
        let is_pin = self.ability(|probe| probe.same_etags) != Ability::Missing;
        if entry.size > self.largest_copy || !is_pin || entry.readable != Readable::Yes {
            return self.origin(object, &entry.version).await;
        }
        Ok(Origin {
            service: self.service.clone(),
            container: self.wire.bucket().to_owned(),
            object: object.to_owned(),
            pin: entry.version.as_str().to_owned(),
            entry: entry.clone(),
            attributes: None,
            recorded: BTreeMap::new(),
            leave: None,
        })
    }

    /// See [`crate::replica::Replica::copy_from`]. `target` is the object of the key `to`.
    pub(super) async fn copy_from(
        &self,
        origin: &Origin,
        to: &Key,
        target: &str,
        put: &Put<'_>,
    ) -> Result<Entry, Error> {
        if !self.reaches(&origin.service) {
            return Err(Error::new(Cause::Unsupported, format!("{} can't copy from {}", self.name, origin.container)));
        }
        let ability = self.ability(|probe| probe.conditional_copy);
        self.tell_unchecked_copies(ability);
        let put = Put { attributes: origin.attributes.as_ref(), ..*put };
        let mut headers = self.headers(target, &put, ability).await?;
        if origin.attributes.is_none() {
            headers = headers.of_the_key();
        }
        let is_styled = put.style.is_some_and(Style::names_headers);
        headers.metadata.extend(origin.recorded.iter().map(|(name, value)| (name.clone(), value.clone())));
        let source = Source {
            whose: Whose::Others,
            bucket: &origin.container,
            object: &origin.object,
            etag: &origin.pin,
            version: None,
            size: origin.entry.size,
        };
        let ack = if source.size > self.largest_copy {
            self.copy_parts(&source, to, target, &mut headers, &put).await?
        } else {
            let is_checked = self.ability(|probe| probe.checked_source) == Ability::Proven;
            let replaces = is_checked && origin.attributes.is_some();
            let directive = if replaces { MetadataDirective::Replace } else { MetadataDirective::Copy };
            let condition = self.condition(put.expect, ability);
            let ack = self.copy_whole(&source, target, &mut headers, &condition, directive).await?;
            self.still_has(&source).await?;
            self.drop_earlier(to, target, put.journal).await?;
            // All was taken along as it is, so that no digest comes to stand beside other content.
            if is_styled && !replaces {
                return self.dress_late(to, target, &ack, &put, Retype::Keep).await;
            }
            ack
        };
        self.stored(target, origin.entry.size, &ack, &put).await
    }

    /// What was copied as it was gets what rules say.
    pub(super) async fn dress_late(
        &self,
        to: &Key,
        target: &str,
        ack: &Ack,
        put: &Put<'_>,
        retype: Retype,
    ) -> Result<Entry, Error> {
        let (entry, nothing) = (self.stored(target, 0, ack, put).await?, Style::default());
        let (expect, style) = (Expect::Version(entry.version), put.style.unwrap_or(&nothing));
        let put = Put { expect: &expect, attributes: None, style: Some(style), ..*put };
        match self.restyle(to, target, &put, retype).await {
            Ok(Restyled::Done(entry)) => Ok(entry),
            Ok(Restyled::AsRuled) => self.look_up(target).await?.ok_or_else(|| gone(target)),
            // What was copied is there, as it was.
            Err(error) if error.cause == Cause::Unsupported => self.look_up(target).await?.ok_or_else(|| gone(target)),
            Err(error) => Err(error),
        }
    }

    /// Where the server does not check the version of a copy's source: looks whether it is still the one that was seen.
    pub(super) async fn still_has(&self, source: &Source<'_>) -> Result<(), Error> {
        if self.ability(|probe| probe.checked_source) == Ability::Proven {
            return Ok(());
        }
        let version = source.version.map(str::to_owned);
        let answer = self.wire.send(Op::HeadObject, 0, |client| {
            client.head_object().bucket(source.bucket).key(source.object).set_version_id(version.clone()).send()
        });
        match answer.await {
            Ok(head) if head.e_tag().map(unquoted) == Some(source.etag) => Ok(()),
            Ok(_) => Err(changed(source.object)),
            Err(failure) if failure.status == Some(404) => Err(changed(source.object)),
            Err(failure) => Err(self.wire.fold(&failure, Op::HeadObject, Some(source.object))),
        }
    }

    /// The error of a copy that another way of moving the content may not meet; `None` for all others.
    pub(super) fn out_of_reach(&self, failure: &Failure, source: &Source<'_>) -> Option<Error> {
        let passing = matches!(failure.status, None | Some(408 | 409 | 412 | 429)) || failure.status >= Some(500);
        let none_at_all = failure.is_not_implemented();
        if source.whose == Whose::Ours || failure.is(&["InvalidObjectState"]) || (passing && !none_at_all) {
            return None;
        }
        if none_at_all || failure.status == Some(403) || failure.is(&["NoSuchBucket"]) {
            self.origins_off.store(true, Ordering::Relaxed);
            self.notices.add(format!(
                "{} can't copy from the bucket {} by itself ({}): the content is read and sent instead; to have it \
                 copied, let the destination's credentials read the source (s3:GetObject)",
                self.name,
                source.bucket,
                failure.code.as_deref().unwrap_or("refused"),
            ));
        }
        Some(Error::new(Cause::Unsupported, format!("{} can't be copied by the server", shown(source.object))))
    }
}
