//! Objects that get what header rules say: in the headers of each write, and by a copy onto themselves where they are
//! there already. No bytes travel; the copy is pinned to the version that was seen.
//!
//! Where nothing but the ACL differs, that alone is set: ETag and time stay, and no other version is made. No server has a
//! condition for it, so a newer object may get it. That loses nothing: it is what the rules say of the key, whatever is
//! there. It is not recorded unless the version that was seen is still there afterwards. No version is named either:
//! that would need another permission (s3:PutObjectVersionAcl).

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{MetadataDirective, ObjectCannedAcl, StorageClass};

use super::Inner;
use super::carried::attributes_of_head;
use super::copy::{Source, Whose, copied_headers};
use super::keep::{Acl, Headers, may_be_the_acl};
use super::metadata::{Facts, OF_CONTENT, WAS, content_type};
use super::names::{shown, unquoted};
use super::ops::Op;
use super::put::raced;
use crate::model::{Digest, DigestKind, Digests, Entry, Expect, Key, Readable, Retype, Style, Version};
use crate::replica::{Ability, Cause, Error, Put, Restyled};

/// The way out of an archive.
const RESTORE: &str = "restore it first, then: sync JOB --repair";

/// What is there.
struct Seen {
    head: Box<HeadObjectOutput>,
    acl: Acl,
    entry: Entry,
}

/// What an object does not have that rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lack {
    Nothing,
    /// The ACL, and nothing else.
    Acl,
    /// Headers, metadata or the class.
    Headers,
}

impl Headers {
    /// Takes what rules say; it wins.
    pub(super) fn dress(&mut self, style: &Style, uses_acls: bool) {
        for (mine, wanted) in [
            (&mut self.content_type, &style.content_type),
            (&mut self.cache_control, &style.cache_control),
            (&mut self.content_disposition, &style.content_disposition),
            (&mut self.content_encoding, &style.content_encoding),
            (&mut self.content_language, &style.content_language),
        ] {
            if wanted.is_some() {
                mine.clone_from(wanted);
            }
        }
        self.metadata.extend(style.metadata.iter().map(|(name, value)| (name.clone(), value.clone())));
        if let Some(class) = &style.storage_class {
            self.storage_class = Some(StorageClass::from(class.as_str()));
        }
        if let Some(acl) = style.acl.as_ref().filter(|_| uses_acls) {
            self.acl = Acl::Canned(ObjectCannedAcl::from(acl.as_str()));
        }
    }
}

impl Inner {
    /// Takes what the rules of a write say.
    pub(super) fn dress(&self, headers: &mut Headers, put: &Put<'_>) {
        if let Some(style) = put.style {
            headers.dress(style, self.uses_acls());
            self.tell_ruled_acl(style);
        }
    }

    /// See [`crate::replica::Replica::lacks`].
    pub(super) async fn lacks(
        &self,
        object: &str,
        expect: &Version,
        style: &Style,
        retype: Retype,
    ) -> Result<bool, Error> {
        self.tell_ruled_acl(style);
        let seen = self.seen(object, expect, style.acl.is_some()).await?;
        Ok(self.lack(object, &seen, style, retype) != Lack::Nothing)
    }

    /// An ACL that a rule states and that has no effect is told.
    fn tell_ruled_acl(&self, style: &Style) {
        if let Some(acl) = &style.acl {
            self.tell_effect(acl);
        }
    }

    /// See [`crate::replica::Replica::restyle`].
    pub(super) async fn restyle(
        &self,
        key: &Key,
        object: &str,
        put: &Put<'_>,
        retype: Retype,
    ) -> Result<Restyled, Error> {
        let (Expect::Version(version), Some(style)) = (put.expect, put.style) else {
            return Err(Error::new(Cause::Unsupported, format!("{key}: there is nothing to change")));
        };
        self.tell_ruled_acl(style);
        let seen = self.seen(object, version, true).await?;
        match (self.lack(object, &seen, style, retype), &style.acl) {
            (Lack::Nothing, _) => return Ok(Restyled::AsRuled),
            (Lack::Acl, Some(acl)) => return self.give_acl(object, version, acl).await,
            (Lack::Acl | Lack::Headers, _) => {}
        }
        if self.ability(|probe| probe.copy) == Ability::Missing {
            let message = format!("{}: {} can't copy, so headers of what is there stay", shown(object), self.name);
            return Err(Error::new(Cause::Unsupported, message).hint("they change when the content does"));
        }
        if seen.entry.readable == Readable::Archived {
            let message = format!("{}: the content is in an archive tier, so its headers stay", shown(object));
            return Err(Error::new(Cause::Unsupported, message).hint(RESTORE));
        }
        let Seen { head, acl, entry } = &seen;
        let is_checked = self.checks_restyles(object, entry)?;
        if !is_checked {
            self.tell_unchecked_copies(Ability::Missing);
        }
        let mut headers = copied_headers((object, object), head, acl.clone(), put);
        self.dress(&mut headers, put);
        if retype == Retype::ByName && style.content_type.is_none() {
            headers.content_type = Some(content_type(object).to_owned());
        }
        // A copy of content of which no digest is recorded may have an ETag of another form. Where it has the same one, nothing is
        // written: whoever stores other content and takes the metadata along would pass it off as this one.
        if !headers.metadata.contains_key(super::metadata::BLAKE3) && !self.keeps_etag(entry) {
            headers.metadata.insert(WAS.to_owned(), version.as_str().to_owned());
        }
        // What may be somebody else's by then must get no digest of ours: the ETag tells its content.
        if !is_checked {
            headers.metadata.retain(|name, _| !OF_CONTENT.contains(&name.as_str()));
        }
        let etag = Facts::of_head(head).etag.map(unquoted).unwrap_or_default();
        let (bucket, size) = (self.wire.bucket(), entry.size);
        let source = Source { whose: Whose::Ours, bucket, object, version: None, etag, size };
        let ack = if size > self.largest_copy {
            // A copy in one request takes them along.
            headers.tagging = self.tags_of(object, head).await?;
            self.copy_parts(&source, key, object, &mut headers, put).await
        } else {
            let condition = self.condition(put.expect, self.ability(|probe| probe.conditional_copy));
            self.copy_whole(&source, object, &mut headers, &condition, MetadataDirective::Replace).await
        };
        let ack = ack.map_err(|error| of_restyle(object, error))?;
        if !is_checked && ack.etag != etag {
            return Err(raced(object, "was changed by somebody else"));
        }
        let mut stored = self.stored(object, size, &ack, put).await?;
        stored.digests.merge(&of_content(&entry.digests));
        Ok(Restyled::Done(stored))
    }

    /// Whether the server checks that a copy of an object onto itself, or the end of one in parts, meets the version that was
    /// seen.
    ///
    /// # Errors
    /// [`Cause::Unsupported`] where it does not and its answer would not tell either which content it copied.
    fn checks_restyles(&self, object: &str, entry: &Entry) -> Result<bool, Error> {
        let checks = |ability| ability == Ability::Proven;
        let same_etags = self.ability(|probe| probe.same_etags) != Ability::Missing;
        let in_parts = entry.size > self.largest_copy;
        let of_target = if in_parts {
            self.ability(|probe| probe.conditional_put)
        } else {
            self.ability(|probe| probe.conditional_copy)
        };
        let by_source = !in_parts && checks(self.ability(|probe| probe.checked_source));
        if by_source || (checks(of_target) && same_etags) {
            return Ok(true);
        }
        // A copy of the same content has the same ETag then.
        let is_told = !in_parts
            && same_etags
            && Digest::from_etag(entry.version.as_str()).is_some_and(|etag| etag.kind == DigestKind::EtagMd5);
        if is_told {
            return Ok(false);
        }
        let message = format!(
            "{}: {} does not check the version of what it copies, and nothing would tell whether that was still this              content, so its headers stay",
            shown(object),
            self.name
        );
        Err(Error::new(Cause::Unsupported, message).hint("they change when the content does"))
    }

    /// Whether a copy onto itself has the ETag that the object has.
    fn keeps_etag(&self, entry: &Entry) -> bool {
        let form = Digest::from_etag(entry.version.as_str()).map(|etag| etag.kind);
        let same_etags = self.ability(|probe| probe.same_etags) != Ability::Missing;
        form == Some(DigestKind::EtagMd5) && same_etags && entry.size <= self.largest_copy
    }

    /// Sets the ACL and nothing else: see the module's text.
    async fn give_acl(&self, object: &str, version: &Version, acl: &str) -> Result<Restyled, Error> {
        match self.put_acl(object, acl).await {
            Ok(()) => {}
            Err(failure) if may_be_the_acl(&failure) => {
                self.acls_are_refused();
                return Ok(Restyled::AsRuled);
            }
            Err(failure) if failure.is_absent_key() => return Err(raced(object, "is gone")),
            Err(failure) => return Err(self.wire.fold(&failure, Op::PutObjectAcl, Some(object))),
        }
        Ok(Restyled::Done(self.seen(object, version, false).await?.entry))
    }

    /// What is there, if it is what is expected.
    async fn seen(&self, object: &str, expect: &Version, with_acl: bool) -> Result<Seen, Error> {
        // One round trip for both.
        let acl = async { if with_acl { self.acl_of(object).await } else { Ok(Acl::Unset) } };
        let (head, acl) = tokio::join!(Box::pin(self.head(object)), Box::pin(acl));
        let Some(head) = head? else { return Err(raced(object, "is gone")) };
        let entry = self.entry_of_head(object, &head).await?;
        if entry.version != *expect {
            return Err(raced(object, "was changed by somebody else"));
        }
        Ok(Seen { head, acl: acl?, entry })
    }

    fn lack(&self, object: &str, seen: &Seen, style: &Style, retype: Retype) -> Lack {
        let class = seen.head.storage_class().unwrap_or(&StorageClass::Standard).as_str();
        let class_differs = style.storage_class.as_deref().is_some_and(|wanted| wanted != class);
        let private = ObjectCannedAcl::Private;
        let has = match &seen.acl {
            Acl::Unset => Some(&private),
            Acl::Canned(canned) => Some(canned),
            Acl::Grants(_) => None,
        };
        let acl = style.acl.as_deref().filter(|_| self.uses_acls());
        let acl_differs = acl.is_some_and(|wanted| has.map(ObjectCannedAcl::as_str) != Some(wanted));
        let mistyped = retype == Retype::ByName
            && style.content_type.is_none()
            && seen.head.content_type() != Some(content_type(object));
        if attributes_of_head(&seen.head).lacks(style) || class_differs || mistyped {
            return Lack::Headers;
        }
        if acl_differs { Lack::Acl } else { Lack::Nothing }
    }
}

/// Source and target of such a copy are one: whichever was found to be another one, somebody else was faster.
fn of_restyle(object: &str, error: Error) -> Error {
    match error.cause {
        Cause::Precondition | Cause::Changed => raced(object, "was changed by somebody else"),
        _ => error,
    }
}

/// Those that speak of the content alone.
fn of_content(digests: &Digests) -> Digests {
    digests
        .iter()
        .filter(|digest| digest.kind.is_of_content() || digest.kind == DigestKind::EtagMultipart)
        .cloned()
        .collect()
}
