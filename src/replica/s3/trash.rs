//! The trash of a bucket: `PREFIX/.mediasync/trash/RUN/KEY`, copied inside the server and private.
//!
//! A kept object has the headers, metadata and tags of what was at the key, and its ACL as metadata, since a private
//! copy can't have it. Where the bucket keeps versions and the object shows an id of its own, nothing is copied: a
//! deletion or an overwrite leaves that version in the history. An object with the id `null` is copied all the same:
//! it would be lost if versioning were suspended meanwhile. No version is ever deleted here.

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{BucketVersioningStatus, Delete, MetadataDirective, ObjectCannedAcl, ObjectIdentifier};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::copy::{Source, Whose};
use super::error::Failure;
use super::keep::{Acl, Grants, Headers, acl_from};
use super::list::{From, Next};
use super::metadata::Facts;
use super::names::{LONGEST, fits_xml, shown, unquoted};
use super::ops::Op;
use super::put::raced;
use super::sender::{Ack, Condition};
use super::{Inner, S3};
use crate::model::{Digest, Digests, Entry, Expect, Key, RunName, Version};
use crate::replica::concurrent::each;
use crate::replica::retry::{Patience, repeat};
use crate::replica::trash::{FOLDER, WAY_OUT, parse_path, path_of};
use crate::replica::{
    Ability, Buffers, Cause, Error, Journal, Kept, KeptAs, Meter, Put, Trash, Trashed, TrashedStream,
};

/// Metadata name of the ACL that a kept object had at its key: base64 of the names and values of request headers.
const ACL: &str = "mediasync-acl";
/// A longer ACL is not written down: metadata has 2 KB in all. What is restored gets the ACL of new objects.
const LONGEST_ACL: usize = 1024;
/// The id of what was stored while versions were not kept.
const NULL_VERSION: &str = "null";
/// DeleteObjects' limit.
const BATCH: usize = 1000;
/// Single requests at the same time.
const PARALLEL: usize = 16;

#[async_trait]
impl Trash for S3 {
    async fn keep(&self, key: &Key, version: &Version, run: &RunName, journal: &dyn Journal) -> Result<Kept, Error> {
        self.inner.keep(key, version, run, journal).await
    }

    fn trashed(&self, run: Option<&RunName>) -> TrashedStream {
        let (sender, items) = mpsc::channel(1);
        let prefix = match run {
            Some(run) => format!("{FOLDER}{run}/"),
            None => FOLDER.to_owned(),
        };
        let inner = Arc::clone(&self.inner);
        let producer = tokio::spawn(async move {
            if let Err(error) = inner.list_trash(&prefix, &sender).await {
                // A reader that went away does not want to know.
                sender.send(Err(error)).await.ok();
            }
        });
        TrashedStream { items, producer: Some(producer) }
    }

    async fn look_at(&self, kept: &Trashed) -> Result<Option<Entry>, Error> {
        let (object, head) = self.inner.head_kept(kept).await?;
        match head {
            Some(head) => kept_entry(&object, &head).map(Some),
            None => Ok(None),
        }
    }

    async fn restore(&self, kept: &Trashed, expect: &Expect, journal: &dyn Journal) -> Result<Entry, Error> {
        self.inner.restore(kept, expect, journal).await
    }

    async fn discard(&self, batch: &[Trashed]) -> Vec<Result<(), Error>> {
        self.inner.discard_kept(batch).await
    }
}

/// Where a copy goes, and what must be there.
struct Goal<'a> {
    to: &'a Key,
    target: &'a str,
    expect: &'a Expect,
    condition: Condition,
    journal: &'a dyn Journal,
}

impl Inner {
    /// Whether the bucket keeps versions: asked once, when everything else is found out.
    pub(super) async fn ask_for_versioning(&self) {
        let answer = self.wire.send(Op::GetBucketVersioning, 0, |client| {
            client.get_bucket_versioning().bucket(self.wire.bucket()).send()
        });
        let ability = match answer.await {
            Ok(output) if output.status() == Some(&BucketVersioningStatus::Enabled) => Ability::Proven,
            Ok(_) => Ability::Missing,
            // Whoever may not ask has copies made, which is never wrong.
            Err(_) => Ability::Unknown,
        };
        self.learn(|probe| probe.versioning = ability);
    }

    async fn keep(&self, key: &Key, version: &Version, run: &RunName, journal: &dyn Journal) -> Result<Kept, Error> {
        let object = self.names.object(key);
        let head = repeat(Patience::default(), || self.head(&object)).await?;
        let Some(head) = head else { return Err(raced(&object, "is gone")) };
        let found = self.entry_of_head(&object, &head).await?;
        if found.version != *version {
            return Err(raced(&object, "was changed by somebody else"));
        }
        if self.ability(|probe| probe.versioning) == Ability::Proven
            && let Some(id) = head.version_id().filter(|id| !id.is_empty() && *id != NULL_VERSION)
        {
            return Ok(Kept { version: version.clone(), kept_as: KeptAs::Version(id.to_owned()) });
        }
        let path = path_of(run, key);
        let target = self.names.own(&path);
        if target.len() > LONGEST {
            let message = format!(
                "{} can't be kept: in the trash its name has {} bytes, S3 allows {LONGEST}",
                shown(&object),
                target.len()
            );
            return Err(Error::new(Cause::Refused, message).hint(WAY_OUT));
        }
        if self.ability(|probe| probe.copy) == Ability::Missing {
            let message = format!("{} can't be kept: {} can't copy objects", shown(&object), self.name);
            return Err(Error::new(Cause::Unsupported, message).hint(WAY_OUT));
        }
        let mut headers = exact(&head);
        let acl = self.acl_of(&object).await?;
        if let Some(text) = acl_text(&acl) {
            headers.metadata.insert(ACL.to_owned(), text);
        }
        let to = Key::new(path).expect("it holds a key");
        let source = self.kept_source(&object, None, &head, found.size);
        // An earlier try may have stored the same thing; nobody else writes there.
        let goal = Goal { to: &to, target: &target, expect: &Expect::Absent, condition: Condition::Unchecked, journal };
        self.copy_exactly(&source, &head, &mut headers, goal).await.map_err(|error| match error.cause {
            // What failed is the copy: the key has not changed because of that.
            Cause::Refused | Cause::Unsupported | Cause::NotFound => {
                let hint = error.hint.as_ref().map_or_else(|| WAY_OUT.to_owned(), |hint| format!("{hint}; {WAY_OUT}"));
                Error::new(Cause::Refused, format!("{} can't be kept: {}", shown(&object), error.message)).hint(hint)
            }
            _ => error,
        })?;
        Ok(Kept { version: version.clone(), kept_as: KeptAs::Copy })
    }

    fn kept_source<'a>(
        &'a self,
        object: &'a str,
        version: Option<&'a str>,
        head: &'a HeadObjectOutput,
        size: u64,
    ) -> Source<'a> {
        let etag = Facts::of_head(head).etag.map(unquoted).unwrap_or_default();
        Source { whose: Whose::Ours, bucket: self.wire.bucket(), object, version, etag, size }
    }

    /// A copy with these headers, in parts where it is too large for one request.
    async fn copy_exactly(
        &self,
        source: &Source<'_>,
        head: &HeadObjectOutput,
        headers: &mut Headers,
        goal: Goal<'_>,
    ) -> Result<Ack, Error> {
        let Goal { to, target, expect, condition, journal } = goal;
        if source.size <= self.largest_copy {
            return self.copy_whole(source, target, headers, &condition, MetadataDirective::Replace).await;
        }
        if source.version.is_none() {
            headers.tagging = self.tags_of(source.object, head).await?;
        }
        let digests = Facts::of_head(head).entry().map(|entry| entry.digests).unwrap_or_default();
        let (buffers, meter) = (Buffers::new(0), Meter::default());
        let put = Put {
            expect,
            digests: &digests,
            mtime_ns: None,
            attributes: None,
            style: None,
            parts: None,
            journal,
            buffers: &buffers,
            meter: &meter,
        };
        self.copy_parts(source, to, target, headers, &put).await
    }

    async fn restore(&self, kept: &Trashed, expect: &Expect, journal: &dyn Journal) -> Result<Entry, Error> {
        let target = self.object(&kept.key)?;
        let (from, head) = self.head_kept(kept).await?;
        let Some(head) = head else {
            let message = format!("{} is in the trash of {} no more", shown(&target), kept.run);
            return Err(Error::new(Cause::NotFound, message));
        };
        let entry = kept_entry(&from, &head)?;
        let mut headers = exact(&head);
        let version = match &kept.kept_as {
            KeptAs::Copy => {
                headers.acl = match headers.metadata.remove(ACL) {
                    Some(text) if self.uses_acls() => parse_acl(&text).unwrap_or_else(|| self.acl_of_new()),
                    _ => Acl::Unset,
                };
                None
            }
            KeptAs::Version(id) => {
                headers.acl = self.acl_of_version(&target, id).await?;
                Some(id.as_str())
            }
        };
        let ability = self.ability(|probe| probe.conditional_copy);
        if ability != Ability::Proven {
            self.must_be(&target, expect).await?;
        }
        let source = self.kept_source(&from, version, &head, entry.size);
        let condition = self.condition(expect, ability);
        let goal = Goal { to: &kept.key, target: &target, expect, condition, journal };
        let ack = self.copy_exactly(&source, &head, &mut headers, goal).await?;
        if kept.kept_as == KeptAs::Copy
            && let Err(failure) = self.send_delete(&from, None).await
        {
            // It is back, which is what counts; the entry is told as already there next time.
            tracing::debug!(?failure, "a restored object stays in the trash");
        }
        let version = self.settled_version(&target, &ack.etag).await?;
        let mut digests: Digests = entry.digests.iter().filter(|digest| digest.kind.is_of_content()).cloned().collect();
        digests.merge(&Digest::from_etag(&ack.etag).into_iter().collect());
        Ok(Entry { version, digests, ..entry })
    }

    /// Where a kept object is, and what HEAD says of it.
    async fn head_kept(&self, kept: &Trashed) -> Result<(String, Option<Box<HeadObjectOutput>>), Error> {
        match &kept.kept_as {
            KeptAs::Copy => {
                let object = self.names.own(&path_of(&kept.run, &kept.key));
                let head = self.head(&object).await?;
                Ok((object, head))
            }
            KeptAs::Version(id) => {
                let object = self.names.object(&kept.key);
                let answer = self.wire.send(Op::HeadObject, 0, |client| {
                    client.head_object().bucket(self.wire.bucket()).key(&object).version_id(id).send()
                });
                let head = match answer.await {
                    Ok(head) => Some(Box::new(head)),
                    // A version that is gone, or an id that no version has.
                    Err(failure) if matches!(failure.status, Some(400 | 404)) => None,
                    Err(failure) => return Err(self.wire.fold(&failure, Op::HeadObject, Some(&object))),
                };
                Ok((object, head))
            }
        }
    }

    async fn acl_of_version(&self, object: &str, id: &str) -> Result<Acl, Error> {
        if !self.uses_acls() {
            return Ok(Acl::Unset);
        }
        let answer = self.wire.send(Op::GetObjectAcl, 0, |client| {
            client.get_object_acl().bucket(self.wire.bucket()).key(object).version_id(id).send()
        });
        match answer.await {
            Ok(output) => Ok(acl_from(&output)),
            Err(failure) if matches!(failure.status, Some(400..=499 | 501)) => Ok(self.acl_of_new()),
            Err(failure) => Err(self.wire.fold(&failure, Op::GetObjectAcl, Some(object))),
        }
    }

    async fn list_trash(&self, below: &str, sender: &mpsc::Sender<Result<Vec<Trashed>, Error>>) -> Result<(), Error> {
        let prefix = self.names.own(below);
        let mut from = From::Start;
        loop {
            let page = repeat(Patience::default(), || self.page(&prefix, &from, 1000)).await?;
            let mut found = Vec::with_capacity(page.objects.len());
            for object in page.objects {
                let path = object.key().and_then(|name| self.names.relative(name));
                // What else somebody put there is not ours.
                let Some((run, key)) = path.and_then(parse_path) else { continue };
                let size = object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
                found.push(Trashed { run, key, size, kept_as: KeptAs::Copy });
            }
            if !found.is_empty() && sender.send(Ok(found)).await.is_err() {
                return Ok(());
            }
            from = match page.next {
                Next::End => return Ok(()),
                Next::From(next) if next != from => next,
                Next::From(_) | Next::Missing => {
                    let message = format!("the listing of the trash of {} contradicts itself", self.name);
                    return Err(Error::new(Cause::Incomplete, message));
                }
            };
        }
    }

    async fn discard_kept(&self, batch: &[Trashed]) -> Vec<Result<(), Error>> {
        let mut results = vec![Ok(()); batch.len()];
        let copies = batch.iter().enumerate().filter(|(_, kept)| kept.kept_as == KeptAs::Copy);
        let objects: Vec<(usize, String)> =
            copies.map(|(at, kept)| (at, self.names.own(&path_of(&kept.run, &kept.key)))).collect();
        let batches = self.ability(|probe| probe.batch_delete) != Ability::Missing && objects.len() > 1;
        let (many, mut single): (Vec<_>, Vec<_>) =
            objects.into_iter().partition(|(_, object)| batches && fits_xml(object));
        for chunk in many.chunks(BATCH) {
            let identifier = |(_, object): &(usize, String)| {
                ObjectIdentifier::builder().key(object).build().expect("the key is set")
            };
            let objects = chunk.iter().map(identifier).collect();
            let delete = Delete::builder().set_objects(Some(objects)).build().expect("the objects are set");
            let gone: HashSet<String> = match self.send_delete_objects(&delete).await {
                Ok(output) => output.deleted().iter().filter_map(|one| Some(one.key()?.to_owned())).collect(),
                Err(_) => HashSet::new(),
            };
            // What was not said to be gone is asked for by itself: that answer has a reason.
            single.extend(chunk.iter().filter(|(_, object)| !gone.contains(object)).cloned());
        }
        let make = |(_, object): &(usize, String)| {
            let object = object.clone();
            async move { self.send_delete(&object, None).await.map_err(|failure| (object, failure)) }
        };
        each(PARALLEL, &single, make, |at, result| {
            results[single[at].0] = self.discarded(result);
            true
        })
        .await;
        results
    }

    fn discarded(&self, result: Result<(), (String, Failure)>) -> Result<(), Error> {
        match result {
            Ok(()) => Ok(()),
            Err((_, failure)) if failure.is_absent_key() => Ok(()),
            Err((object, failure)) => Err(self.wire.fold(&failure, Op::DeleteObject, Some(&object))),
        }
    }
}

/// What is kept, as an entry of its own: listings of the key show another version.
fn kept_entry(object: &str, head: &HeadObjectOutput) -> Result<Entry, Error> {
    let entry = Facts::of_head(head).entry();
    entry.ok_or_else(|| Error::new(Cause::Refused, format!("{} shows no ETag or no size", shown(object))))
}

/// All that an object carries but its ACL, as it is.
fn exact(head: &HeadObjectOutput) -> Headers {
    Headers {
        content_type: head.content_type().filter(|kind| !kind.is_empty()).map(str::to_owned),
        metadata: head.metadata().cloned().unwrap_or_default(),
        ..Headers::kept("", head, Acl::Unset)
    }
}

/// An ACL as metadata; `None` for one that needs no words.
fn acl_text(acl: &Acl) -> Option<String> {
    let json = match acl {
        Acl::Unset => return None,
        Acl::Canned(canned) => serde_json::json!({ "canned": canned.as_str() }),
        Acl::Grants(grants) => serde_json::json!({
            "full_control": grants.full_control,
            "read": grants.read,
            "read_acp": grants.read_acp,
            "write_acp": grants.write_acp,
        }),
    };
    Some(BASE64.encode(json.to_string())).filter(|text| text.len() <= LONGEST_ACL)
}

fn parse_acl(text: &str) -> Option<Acl> {
    let json: serde_json::Value = serde_json::from_slice(&BASE64.decode(text).ok()?).ok()?;
    let field = |name: &str| json.get(name)?.as_str().map(str::to_owned);
    Some(match field("canned") {
        Some(canned) => Acl::Canned(ObjectCannedAcl::from(canned.as_str())),
        None => Acl::Grants(Box::new(Grants {
            full_control: field("full_control"),
            read: field("read"),
            read_acp: field("read_acp"),
            write_acp: field("write_acp"),
        })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acl_comes_back_from_its_metadata() {
        let grants = Grants { read: Some("id=\"a\", uri=\"http://x\"".into()), ..Grants::default() };
        for acl in [Acl::Canned(ObjectCannedAcl::PublicRead), Acl::Grants(Box::new(grants))] {
            let text = acl_text(&acl).unwrap();
            assert!(text.bytes().all(|b| b.is_ascii_graphic()), "{text}");
            assert_eq!(parse_acl(&text), Some(acl));
        }
        assert_eq!(acl_text(&Acl::Unset), None);
        let long = Grants { read: Some("x".repeat(LONGEST_ACL)), ..Grants::default() };
        assert_eq!(acl_text(&Acl::Grants(Box::new(long))), None);
        assert_eq!(parse_acl("%"), None);
    }

    #[test]
    fn a_kept_object_carries_exactly_what_was_there() {
        let head = HeadObjectOutput::builder()
            .content_type("application/octet-stream")
            .cache_control("max-age=1")
            .metadata("blake3", "x")
            .metadata("author", "me");
        let headers = exact(&head.build());
        assert_eq!(headers.content_type.as_deref(), Some("application/octet-stream"));
        assert_eq!((headers.cache_control.as_deref(), headers.metadata.len()), (Some("max-age=1"), 2));
    }
}
