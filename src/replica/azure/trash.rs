//! The trash of a container: `PREFIX/.mediasync/trash/RUN/KEY`, copied inside the service.
//!
//! A kept blob has the headers, metadata and tags of what was at the key, and its tier where that was chosen. Access is
//! a matter of the container, so a kept blob is as private as its key was. Versions and deleted blobs that the account
//! keeps by itself are neither used nor removed.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::facts::{Facts, Tier};
use super::keep::Dress;
use super::names::has_room;
use super::ops::Op;
use super::put::Condition;
use super::read::{entry_of, raced};
use super::{Azure, Inner};
use crate::model::{Digests, Entry, Expect, Key, Readable, RunName, Version};
use crate::replica::concurrent::each;
use crate::replica::object::shown;
use crate::replica::retry::{Patience, repeat};
use crate::replica::trash::{FOLDER, WAY_OUT, parse_path, path_of};
use crate::replica::{Ability, Cause, Error, Journal, Kept, KeptAs, Trash, Trashed, TrashedStream};

/// Names of a page.
const PAGE: i32 = 1000;
/// Requests at the same time.
const PARALLEL: usize = 16;

#[async_trait]
impl Trash for Azure {
    async fn keep(&self, key: &Key, version: &Version, run: &RunName, _journal: &dyn Journal) -> Result<Kept, Error> {
        self.inner.keep(key, version, run).await
    }

    fn trashed(&self, run: Option<&RunName>) -> TrashedStream {
        let (sender, items) = mpsc::channel(1);
        let below = match run {
            Some(run) => format!("{FOLDER}{run}/"),
            None => FOLDER.to_owned(),
        };
        let inner = Arc::clone(&self.inner);
        let producer = tokio::spawn(async move {
            if let Err(error) = inner.list_trash(&below, &sender).await {
                // A reader that went away does not want to know.
                sender.send(Err(error)).await.ok();
            }
        });
        TrashedStream { items, producer: Some(producer) }
    }

    async fn look_at(&self, kept: &Trashed) -> Result<Option<Entry>, Error> {
        match self.inner.head_kept(kept).await? {
            (blob, Some(facts)) => entry_of(&blob, &facts).map(Some),
            (_, None) => Ok(None),
        }
    }

    async fn restore(&self, kept: &Trashed, expect: &Expect, _journal: &dyn Journal) -> Result<Entry, Error> {
        self.inner.restore(kept, expect).await
    }

    async fn discard(&self, batch: &[Trashed]) -> Vec<Result<(), Error>> {
        self.inner.discard_kept(batch).await
    }
}

impl Inner {
    async fn keep(&self, key: &Key, version: &Version, run: &RunName) -> Result<Kept, Error> {
        let blob = self.names.object(key);
        let facts = repeat(Patience::default(), || self.head(&blob)).await?;
        let Some(facts) = facts else { return Err(raced(&blob, "is gone")) };
        let found = entry_of(&blob, &facts)?;
        if found.version != *version {
            return Err(raced(&blob, "was changed by somebody else"));
        }
        let refused = |cause, why: &str| {
            let message = format!("{} can't be kept: {why}", shown(&blob));
            Err(Error::new(cause, message).hint(WAY_OUT))
        };
        let path = path_of(run, key);
        if let Err(why) = has_room(&self.names, &path) {
            return refused(Cause::Refused, &format!("in the trash {why}"));
        }
        if found.readable == Readable::Archived {
            return refused(Cause::Refused, "it is archived");
        }
        if self.ability(|probe| probe.copy) == Ability::Missing {
            return refused(Cause::Unsupported, &format!("{} can't copy blobs", self.name));
        }
        // An earlier try may have stored the same thing; nobody else writes there.
        let kept = self.copy_exactly(&blob, version, &facts, &self.names.own(&path), Condition::default()).await;
        match kept {
            Ok(_) => Ok(Kept { version: version.clone(), kept_as: KeptAs::Copy }),
            // What failed is the copy: the key has not changed because of that.
            Err(Error { cause: Cause::Refused | Cause::Unsupported | Cause::NotFound, message, .. }) => {
                refused(Cause::Refused, &message)
            }
            Err(error) => Err(error),
        }
    }

    /// A copy of exactly this version with all that it carries; its version.
    async fn copy_exactly(
        &self,
        from: &str,
        version: &Version,
        facts: &Facts,
        to: &str,
        condition: Condition,
    ) -> Result<Version, Error> {
        let tier = match &facts.tier {
            Tier::Chosen(tier) => tier.parse().ok(),
            Tier::Default | Tier::Archived => None,
        };
        // Headers come from the source, and so does metadata where none is stated: with the names spelled as they are.
        let dress = Dress { tags: self.tags_of(from, facts).await?, tier, ..Dress::default() };
        let sent = self.send_copy(self.own(from, version)?, to, &dress, condition).await;
        let (version, status) = sent.map_err(|failure| self.write_error(&failure, Op::CopyBlob, to))?;
        if status == "success" { Ok(version) } else { self.wait_for(to).await }
    }

    async fn restore(&self, kept: &Trashed, expect: &Expect) -> Result<Entry, Error> {
        let target = self.blob(&kept.key)?;
        let (from, facts) = self.head_kept(kept).await?;
        let Some(facts) = facts else {
            let message = format!("{} is in the trash of {} no more", shown(&target), kept.run);
            return Err(Error::new(Cause::NotFound, message));
        };
        let entry = entry_of(&from, &facts)?;
        if self.ability(|probe| probe.conditional_put) != Ability::Proven {
            self.must_be(&target, expect).await?;
        }
        let version = self.copy_exactly(&from, &entry.version, &facts, &target, Condition::of(expect)).await?;
        if let Err(failure) = self.send_delete(&from, Some(&entry.version)).await {
            // It is back, which is what counts; the entry is told as already there next time.
            tracing::debug!(?failure, "a restored blob stays in the trash");
        }
        let digests: Digests = entry.digests.iter().filter(|digest| digest.kind.is_of_content()).cloned().collect();
        Ok(Entry { version, digests, ..entry })
    }

    /// Where a kept blob is, and what HEAD says of it. A history, of which other stores give ids, is not used here.
    async fn head_kept(&self, kept: &Trashed) -> Result<(String, Option<Facts>), Error> {
        let blob = self.names.own(&path_of(&kept.run, &kept.key));
        let facts = match &kept.kept_as {
            KeptAs::Copy => repeat(Patience::default(), || self.head(&blob)).await?,
            KeptAs::Version(_) => None,
        };
        Ok((blob, facts))
    }

    async fn list_trash(&self, below: &str, sender: &mpsc::Sender<Result<Vec<Trashed>, Error>>) -> Result<(), Error> {
        let prefix = self.names.own(below);
        let mut marker: Option<String> = None;
        loop {
            let page = repeat(Patience::default(), || self.page(&prefix, marker.as_deref(), PAGE)).await?;
            let mut found = Vec::with_capacity(page.blobs.len());
            for (name, facts) in page.blobs {
                // What else somebody put there is not ours.
                let Some((run, key)) = self.names.relative(&name).and_then(parse_path) else { continue };
                found.push(Trashed { run, key, size: facts.size.unwrap_or(0), kept_as: KeptAs::Copy });
            }
            if !found.is_empty() && sender.send(Ok(found)).await.is_err() {
                return Ok(());
            }
            match page.next {
                None => return Ok(()),
                Some(next) if marker.as_deref() != Some(&next) => marker = Some(next),
                Some(_) => {
                    let message = format!("the listing of the trash of {} contradicts itself", self.name);
                    return Err(Error::new(Cause::Incomplete, message));
                }
            }
        }
    }

    async fn discard_kept(&self, batch: &[Trashed]) -> Vec<Result<(), Error>> {
        let mut results = vec![Ok(()); batch.len()];
        let copies = batch.iter().enumerate().filter(|(_, kept)| kept.kept_as == KeptAs::Copy);
        let blobs: Vec<(usize, String)> =
            copies.map(|(at, kept)| (at, self.names.own(&path_of(&kept.run, &kept.key)))).collect();
        let one = |(_, blob): &(usize, String)| {
            let blob = blob.clone();
            async move {
                match self.send_delete(&blob, None).await {
                    Err(failure) if !failure.is_absent_blob() => {
                        Err(self.wire.fold(&failure, Op::DeleteBlob, Some(&blob)))
                    }
                    _ => Ok(()),
                }
            }
        };
        each(PARALLEL, &blobs, one, |at, result| {
            results[blobs[at].0] = result;
            true
        })
        .await;
        results
    }
}
