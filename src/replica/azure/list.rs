//! Listing: pages of the container as statements in key order, ended by proof of completeness or by the reason without
//! it. Snapshots, versions, deleted and uncommitted blobs are never asked for; metadata is, so that recorded digests and
//! times come with the list.
//!
//! A page is requested while the previous one is consumed. Contradictions are never passed over: a name or a marker that
//! comes twice, a name outside the prefix make the listing incomplete; a descent makes it unordered, and the server is
//! remembered for it.

use std::sync::Arc;

use azure_storage_blob::models::{
    BlobContainerClientListBlobsOptions, BlobItem, BlobType, CopyStatus, ListBlobsIncludeItem,
};
use futures_util::StreamExt as _;

use super::Inner;
use super::facts::{FOLDER, Facts, tier, unquoted};
use super::ops::Op;
use crate::model::{Item, Key, Problem, ProblemKind, Reach, SkipReason};
use crate::replica::object::is_own;
use crate::replica::pages::{self, Batches, MOST_EMPTY, Order, Tokens, incomplete};
use crate::replica::retry::{Patience, repeat};
use crate::replica::{Ability, Cause, Error, Listing};

/// Names of a page: the most that Azure gives.
pub(super) const PAGE: i32 = 5000;

/// Starts a listing of everything, or of one key and what is below it.
pub(super) fn start(inner: &Arc<Inner>, only: Option<&Key>) -> Listing {
    let (inner, only) = (Arc::clone(inner), only.cloned());
    pages::start(async move |sender| produce(&inner, only.as_ref(), &sender).await)
}

async fn produce(inner: &Inner, only: Option<&Key>, sender: &Batches) -> Result<(), Error> {
    let Some(only) = only else { return walk(inner, inner.names.prefix(), sender).await };
    // `a`, then `a/...`: one listing with the prefix `a` would also read all of `a-b`.
    let blob = inner.names.object(only);
    if let Some(facts) = repeat(Patience::default(), || inner.head(&blob)).await?
        && let Some(item) = item(only.as_str(), &facts)
        && sender.send(Ok(vec![item])).await.is_err()
    {
        return Ok(());
    }
    walk(inner, &format!("{blob}/"), sender).await
}

/// All pages below a prefix of blob names.
async fn walk(inner: &Inner, prefix: &str, sender: &Batches) -> Result<(), Error> {
    let mut order = Order::new(inner.ability(|probe| probe.ordered));
    let mut markers = Tokens::default();
    let mut marker: Option<String> = None;
    let mut empty = 0;
    loop {
        let page = repeat(Patience::default(), || inner.page(prefix, marker.as_deref(), PAGE)).await?;
        let mut items = Vec::with_capacity(page.blobs.len());
        for (name, facts) in page.blobs {
            let Some(relative) = name.strip_prefix(prefix).and_then(|_| inner.names.relative(&name)) else {
                return Err(incomplete(&inner.name, "the server lists names outside the prefix"));
            };
            order.see(&name, &inner.name).inspect_err(|error| inner.remember_order(error))?;
            if is_own(relative) {
                inner.leftovers.note(relative, facts.modified_ns);
            }
            items.extend(item(relative, &facts));
        }
        empty = if items.is_empty() { empty + 1 } else { 0 };
        if empty > MOST_EMPTY {
            return Err(incomplete(&inner.name, "it goes on without showing anything"));
        }
        if !items.is_empty() && sender.send(Ok(items)).await.is_err() {
            return Ok(());
        }
        let Some(next) = page.next else { return Ok(()) };
        if !markers.is_new(&next) {
            return Err(incomplete(&inner.name, "a continuation marker came twice"));
        }
        marker = Some(next);
    }
}

/// Where a page begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Begin<'a> {
    /// Where the page before said; at the prefix without.
    Marker(Option<&'a str>),
    /// At this name, or what comes after it. Services that don't know it begin at the prefix.
    Name(&'a str),
}

/// One page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) blobs: Vec<(String, Facts)>,
    /// Where the next page begins.
    pub(super) next: Option<String>,
}

impl Inner {
    /// One page of a listing.
    pub(super) async fn page(&self, prefix: &str, marker: Option<&str>, most: i32) -> Result<Page, Error> {
        self.page_from(prefix, Begin::Marker(marker), most).await
    }

    /// As [`Inner::page`], from anywhere.
    pub(super) async fn page_from(&self, prefix: &str, begin: Begin<'_>, most: i32) -> Result<Page, Error> {
        let (marker, start_from) = match begin {
            Begin::Marker(marker) => (marker, None),
            Begin::Name(name) => (None, Some(name)),
        };
        let failed = |failure| pages::unlisted(self.wire.fold(&failure, Op::ListBlobs, None));
        let client = self.wire.container().map_err(failed)?;
        let answer = self.wire.send(Op::ListBlobs, 0, async {
            let options = BlobContainerClientListBlobsOptions {
                include: Some(vec![ListBlobsIncludeItem::Copy, ListBlobsIncludeItem::Metadata]),
                marker: marker.map(str::to_owned),
                maxresults: Some(most),
                prefix: (!prefix.is_empty()).then(|| prefix.to_owned()),
                start_from: start_from.map(str::to_owned),
                ..BlobContainerClientListBlobsOptions::default()
            };
            // The next pages are ours to ask for: a marker that comes twice has to be noticed.
            let first = client.list_blobs(Some(options))?.into_pages().next().await;
            first.transpose()?.map(azure_core::http::Response::into_model).transpose()
        });
        let Some(page) = answer.await.map_err(failed)? else {
            return Err(incomplete(&self.name, "there is no page"));
        };
        let mut blobs = Vec::with_capacity(page.blob_items.len());
        for blob in page.blob_items {
            let current = blob.snapshot.is_none() && blob.deleted != Some(true);
            if !current || blob.is_current_version == Some(false) {
                continue;
            }
            blobs.push(facts_of(blob).ok_or_else(|| incomplete(&self.name, "a listed blob has no name"))?);
        }
        Ok(Page { blobs, next: page.next_marker.filter(|marker| !marker.is_empty()) })
    }

    /// A descent is remembered: the next listing is sorted.
    fn remember_order(&self, error: &Error) {
        if error.cause == Cause::Unordered {
            self.learn(|probe| probe.ordered = Ability::Missing);
        }
    }
}

/// What a listing says about one blob.
fn facts_of(blob: BlobItem) -> Option<(String, Facts)> {
    use base64::Engine as _;
    let properties = blob.properties.unwrap_or_default();
    let chosen = properties.access_tier.filter(|_| properties.access_tier_inferred != Some(true));
    let metadata = blob.metadata.and_then(|metadata| metadata.values).unwrap_or_default();
    let modified = properties.last_modified.map(azure_core::time::OffsetDateTime::unix_timestamp_nanos);
    let facts = Facts {
        size: properties.content_length,
        etag: properties.etag.map(|etag| unquoted(etag.as_ref()).to_owned()),
        modified_ns: modified.and_then(|ns| i64::try_from(ns).ok()),
        md5: properties.content_md5.map(|md5| base64::engine::general_purpose::STANDARD.encode(md5)),
        is_block_blob: properties.blob_type.is_none_or(|kind| kind == BlobType::BlockBlob),
        tier: tier(chosen.as_ref().map(AsRef::as_ref)),
        metadata: metadata.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect(),
        copy: properties.copy_status.map(|status: CopyStatus| status.to_string()),
        ..Facts::default()
    };
    Some((blob.name?, facts))
}

/// What is said about one blob; `None` for what a listing does not speak of.
fn item(relative: &str, facts: &Facts) -> Option<Item> {
    if relative.is_empty() || is_own(relative) {
        return None;
    }
    let key = match Key::new(relative) {
        Ok(key) => key,
        Err(why) => {
            let message = format!("a blob can't be handled: {why}");
            return Some(Item::Nameless(Problem { reach: None, kind: ProblemKind::Name, message, hint: None }));
        }
    };
    let unknown = |kind, why: &str| {
        let problem = Problem::of(&key, kind, format!("{key} {why}"));
        Some(Item::Unknown(Reach::Key(key.clone()), problem))
    };
    if facts.metadata.get(FOLDER).is_some_and(|value| value == "true") {
        return Some(Item::Skipped(Reach::Key(key), SkipReason::DirectoryMarker));
    }
    if relative.ends_with('/') {
        return match facts.size {
            Some(0) => Some(Item::Skipped(Reach::Key(key), SkipReason::DirectoryMarker)),
            _ => unknown(ProblemKind::Name, "ends in a slash and has content: no file can have this name"),
        };
    }
    match facts.copy.as_deref() {
        Some("pending") => return unknown(ProblemKind::Changed, "is being copied by the service"),
        // What is left of it is empty, whatever it was to be.
        Some("failed" | "aborted") if facts.size == Some(0) => {
            return unknown(
                ProblemKind::Failed,
                "is what the service left of a copy that failed: store it again or delete it",
            );
        }
        _ => {}
    }
    match facts.entry() {
        Some(entry) => Some(Item::Present(key, entry)),
        None => unknown(ProblemKind::Failed, "is listed without a size or an ETag"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(size: u64) -> Facts {
        Facts { size: Some(size), etag: Some("e".to_owned()), ..Facts::default() }
    }

    #[test]
    fn markers_of_folders_are_skipped_and_copies_under_way_are_unknown() {
        assert!(matches!(item("a", &facts(1)), Some(Item::Present(..))));
        assert!(matches!(item("a/", &facts(0)), Some(Item::Skipped(_, SkipReason::DirectoryMarker))));
        assert!(matches!(item("a/", &facts(1)), Some(Item::Unknown(..))));
        let folder = Facts { metadata: [(FOLDER.to_owned(), "true".to_owned())].into(), ..facts(0) };
        assert!(matches!(item("a", &folder), Some(Item::Skipped(_, SkipReason::DirectoryMarker))));
        let pending = Facts { copy: Some("pending".to_owned()), ..facts(0) };
        assert!(matches!(item("a", &pending), Some(Item::Unknown(..))));
        let failed = |size| Facts { copy: Some("failed".to_owned()), ..facts(size) };
        assert!(matches!(item("a", &failed(0)), Some(Item::Unknown(..))), "never taken for an empty file");
        assert!(matches!(item("a", &failed(1)), Some(Item::Present(..))), "stored again since");
        assert!(item(".mediasync/id", &facts(1)).is_none());
        assert!(matches!(item("a", &Facts { etag: None, ..facts(1) }), Some(Item::Unknown(..))));
        assert!(matches!(item("a", &Facts { size: None, ..facts(1) }), Some(Item::Unknown(..))));
    }
}
