//! Listing: pages of the bucket as statements in key order, ended by proof of completeness or by the reason without it.
//!
//! A page is requested while the previous one is consumed. Contradictions are never passed over: a key or a
//! continuation token that comes twice, "truncated" without a token, a key outside the prefix make the listing
//! incomplete; a descent makes it unordered, and the server is remembered for it.

use std::sync::Arc;

use aws_sdk_s3::types::{CommonPrefix, EncodingType, Object};

use super::Inner;
use super::error::Failure;
use super::metadata::{epoch_ns, readable_class};
use super::names::{decode_listed, is_own, unquoted};
use super::ops::Op;
use super::probe::Probe;
use super::ranges;
use crate::model::{Digest, Digests, Entry, Item, Key, Problem, ProblemKind, Reach, SkipReason, Version};
use crate::replica::pages::{self, Batches, MOST_EMPTY, Order, Tokens, incomplete};
use crate::replica::retry::{Patience, repeat};
use crate::replica::trash::FOLDER;
use crate::replica::{Ability, Cause, Error, Listing};

/// Starts a listing of everything, or of one key and what is below it.
pub(super) fn start(inner: &Arc<Inner>, only: Option<&Key>) -> Listing {
    let (inner, only) = (Arc::clone(inner), only.cloned());
    pages::start(async move |sender| produce(&inner, only.as_ref(), &sender).await)
}

async fn produce(inner: &Inner, only: Option<&Key>, sender: &Batches) -> Result<(), Error> {
    let Some(only) = only else { return ranges::walk(inner, sender).await };
    // `a`, then `a/...`: one listing with the prefix `a` would also read all of `a-b`.
    let object = inner.names.object(only);
    if let Some(entry) = repeat(Patience::default(), || inner.look_up(&object)).await?
        && sender.send(Ok(vec![Item::Present(only.clone(), entry)])).await.is_err()
    {
        return Ok(());
    }
    walk(inner, &format!("{object}/"), sender).await
}

/// All pages below a prefix of object names.
async fn walk(inner: &Inner, prefix: &str, sender: &Batches) -> Result<(), Error> {
    let mut pages = Pages::new(inner, prefix, From::Start, None);
    while let Some(told) = pages.next().await? {
        if sender.send(Ok(told.items)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// What a page says.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) items: Vec<Item>,
    /// Objects that were listed for it, our own and those of pages without statements included.
    pub(super) objects: u64,
}

/// The pages below a prefix of object names, from a place on, and up to a name.
#[derive(Debug)]
pub(super) struct Pages<'a> {
    inner: &'a Inner,
    prefix: &'a str,
    /// `None` after the end.
    from: Option<From>,
    /// The last name that belongs to it; only where listings are in order.
    until: Option<String>,
    order: Order,
    seen: Tokens,
    empty: u32,
}

impl<'a> Pages<'a> {
    pub(super) fn new(inner: &'a Inner, prefix: &'a str, from: From, until: Option<String>) -> Self {
        let mut order = Order::new(inner.ability(|probe| probe.ordered));
        if let From::After(name) = &from {
            // What comes again although it was to begin behind it is a contradiction.
            order.last.clone_from(name);
        }
        Self { inner, prefix, from: Some(from), until, order, seen: Tokens::default(), empty: 0 }
    }

    /// The next page that says something; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Told>, Error> {
        let mut objects = 0;
        while let Some(from) = self.from.take() {
            let (inner, prefix) = (self.inner, self.prefix);
            let page = repeat(Patience::default(), || inner.page(prefix, &from, PAGE)).await?;
            objects += page.objects.len() as u64;
            let shows = !page.objects.is_empty();
            let items = self.items(page.objects, page.undecodable)?;
            self.empty = if shows { 0 } else { self.empty + 1 };
            if self.empty > MOST_EMPTY {
                return Err(incomplete(&inner.name, "it goes on without showing anything"));
            }
            if !self.is_past_the_end() {
                self.from = match page.next {
                    Next::End => None,
                    Next::Missing => {
                        return Err(incomplete(&inner.name, "a page is truncated and does not say where to go on"));
                    }
                    Next::From(next) => Some(self.past_trash().unwrap_or(next)),
                };
                if self.from.as_ref().is_some_and(|from| !self.seen.is_new(from)) {
                    return Err(incomplete(&inner.name, "a continuation token came twice"));
                }
            }
            if !items.is_empty() {
                return Ok(Some(Told { items, objects }));
            }
        }
        Ok(None)
    }

    /// Where to go on instead of in a trash, which may hold more than the bucket shows.
    fn past_trash(&self) -> Option<From> {
        let (inner, proven) = (self.inner, |which: fn(&Probe) -> Ability| self.inner.ability(which) == Ability::Proven);
        let inside = inner.names.relative(&self.order.last).is_some_and(|last| last.starts_with(FOLDER));
        let passes = inside && proven(|probe| probe.ordered) && proven(|probe| probe.start_after);
        passes.then(|| From::After(inner.names.own(PAST_TRASH)))
    }

    /// Whether everything up to the last name was seen.
    fn is_past_the_end(&self) -> bool {
        self.until.as_ref().is_some_and(|until| self.order.last >= *until)
    }

    /// What a page says.
    fn items(&mut self, objects: Vec<Object>, undecodable: Vec<String>) -> Result<Vec<Item>, Error> {
        let inner = self.inner;
        let mut items = Vec::with_capacity(objects.len());
        for object in objects {
            let Some(name) = object.key.as_deref() else {
                return Err(incomplete(&inner.name, "a listed object has no key"));
            };
            let Some(relative) = name.strip_prefix(self.prefix).and_then(|_| inner.names.relative(name)) else {
                return Err(incomplete(&inner.name, "the server lists keys outside the prefix"));
            };
            self.order.see(name, &inner.name).inspect_err(|error| inner.remember_order(error))?;
            if self.until.as_deref().is_some_and(|until| name > until) {
                break;
            }
            if is_own(relative) {
                inner.leftovers.note(relative, object.last_modified().and_then(epoch_ns));
            } else if inner.neighbour.get().is_none() {
                inner.neighbour.set(name.to_owned()).ok();
            }
            items.extend(item(relative, &object));
        }
        for name in undecodable {
            let message = format!("an object in {} has a name that is not UTF-8: {name}", inner.name);
            items.push(Item::Nameless(Problem { reach: None, kind: ProblemKind::Name, message, hint: None }));
        }
        Ok(items)
    }
}

/// In key order after all that begins with [`FOLDER`], and before anything that a user may have there.
const PAST_TRASH: &str = ".mediasync/trash0";

/// Keys of a page: the most that S3 gives.
pub(super) const PAGE: i32 = 1000;

/// Whether names with the same text up to the next `/` are one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Flat,
    Level,
}

impl Cut {
    fn delimiter(self) -> Option<String> {
        (self == Self::Level).then(|| "/".to_owned())
    }
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum From {
    /// At the prefix.
    Start,
    /// Where ListObjectsV2 said.
    Token(String),
    /// After this object (ListObjects, version 1).
    Marker(String),
    /// After this object (ListObjectsV2's start-after).
    After(String),
}

/// Where the next page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    End,
    From(From),
    /// There is one, and the server did not say where.
    Missing,
}

/// One page, names decoded.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) objects: Vec<Object>,
    /// Common beginnings, with the `/` that they end in; only with [`Cut::Level`].
    pub(super) folders: Vec<String>,
    /// Names that are not UTF-8, still encoded.
    pub(super) undecodable: Vec<String>,
    pub(super) next: Next,
}

impl Inner {
    /// One page of a listing; by ListObjects where ListObjectsV2 is not known.
    pub(super) async fn page(&self, prefix: &str, from: &From, most: i32) -> Result<Page, Error> {
        self.page_of((prefix, Cut::Flat), from, most).await
    }

    /// As [`Inner::page`], of all below a prefix or of one level of it.
    pub(super) async fn page_of(&self, below: (&str, Cut), from: &From, most: i32) -> Result<Page, Error> {
        let answer = if self.ability(|probe| probe.list_v2) == Ability::Missing {
            self.page_v1(below, from, most).await
        } else {
            match self.page_v2(below, from, most).await {
                // A 400 says much else as well: only an answer to the older request shows that it is the request.
                Err(failure) if *from == From::Start && is_unknown_v2(&failure) => {
                    match self.page_v1(below, from, most).await {
                        Ok(page) => {
                            self.learn(|probe| probe.list_v2 = Ability::Missing);
                            Ok(page)
                        }
                        // What passes shows nothing: both are asked again.
                        Err(older) if self.is_passing(&older) => Err(older),
                        Err(_) => Err(failure),
                    }
                }
                answer => answer,
            }
        };
        answer.map_err(|failure| pages::unlisted(self.wire.fold(&failure, Op::ListObjects, None)))
    }

    /// A descent is remembered: the next listing is sorted.
    fn remember_order(&self, error: &Error) {
        if error.cause == Cause::Unordered {
            self.learn(|probe| probe.ordered = Ability::Missing);
        }
    }

    fn is_passing(&self, failure: &Failure) -> bool {
        matches!(self.wire.fold(failure, Op::ListObjects, None).cause, Cause::Transient { .. })
    }

    async fn page_v2(&self, (prefix, cut): (&str, Cut), from: &From, most: i32) -> Result<Page, Failure> {
        let (token, after) = match from {
            From::Start => (None, None),
            From::Token(token) => (Some(token), None),
            From::Marker(after) | From::After(after) => (None, Some(after)),
        };
        let encoding = self.asks_for_encoding();
        let output = self.wire.send(Op::ListObjects, 0, |client| {
            let request = client.list_objects_v2().bucket(self.wire.bucket()).max_keys(most);
            request
                .set_prefix((!prefix.is_empty()).then(|| prefix.to_owned()))
                .set_delimiter(cut.delimiter())
                .set_continuation_token(token.cloned())
                .set_start_after(after.cloned())
                .set_encoding_type(encoding.clone())
                .send()
        });
        let mut output = output.await?;
        let next = match (output.is_truncated(), output.next_continuation_token.take()) {
            (Some(true), Some(token)) if !token.is_empty() => Next::From(From::Token(token)),
            (Some(true), _) => Next::Missing,
            _ => Next::End,
        };
        let encoded = output.encoding_type() == Some(&EncodingType::Url);
        let mut page = Page::new(output.contents.unwrap_or_default(), encoded, next);
        page.enter(output.common_prefixes.unwrap_or_default(), encoded);
        Ok(page)
    }

    async fn page_v1(&self, (prefix, cut): (&str, Cut), from: &From, most: i32) -> Result<Page, Failure> {
        let marker = match from {
            From::Start => None,
            From::Token(marker) | From::Marker(marker) | From::After(marker) => Some(marker),
        };
        let encoding = self.asks_for_encoding();
        let output = self.wire.send(Op::ListObjects, 0, |client| {
            let request = client.list_objects().bucket(self.wire.bucket()).max_keys(most);
            request
                .set_prefix((!prefix.is_empty()).then(|| prefix.to_owned()))
                .set_delimiter(cut.delimiter())
                .set_marker(marker.cloned())
                .set_encoding_type(encoding.clone())
                .send()
        });
        let output = output.await?;
        let encoded = output.encoding_type() == Some(&EncodingType::Url);
        let truncated = output.is_truncated() == Some(true);
        let marker = output.next_marker.filter(|marker| !marker.is_empty());
        let marker = marker.and_then(|marker| if encoded { decode_listed(marker) } else { Some(marker) });
        let mut page = Page::new(output.contents.unwrap_or_default(), encoded, Next::End);
        page.enter(output.common_prefixes.unwrap_or_default(), encoded);
        if truncated && cut == Cut::Level {
            page.next = marker.map_or(Next::Missing, |marker| Next::From(From::Marker(marker)));
        } else if truncated {
            // Version 1 gives a marker only with a delimiter; without, it is the last key.
            page.next = match page.objects.last().and_then(|object| object.key.clone()) {
                Some(key) if page.undecodable.is_empty() => Next::From(From::Marker(key)),
                _ => Next::Missing,
            };
        }
        Ok(page)
    }

    pub(super) fn asks_for_encoding(&self) -> Option<EncodingType> {
        (self.ability(|probe| probe.url_encoding) != Ability::Missing).then_some(EncodingType::Url)
    }

    /// The version that listings show for one object.
    pub(super) async fn listed_version(&self, object: &str) -> Result<Option<Version>, Error> {
        let page = self.page(object, &From::Start, 1).await?;
        let first = page.objects.first().filter(|first| first.key() == Some(object));
        Ok(first.and_then(Object::e_tag).map(|etag| Version::new(unquoted(etag))))
    }
}

/// Answers of servers that have no ListObjectsV2.
pub(super) fn is_unknown_v2(failure: &Failure) -> bool {
    failure.is_not_implemented()
        || (failure.status == Some(400) && failure.is(&["InvalidArgument", "InvalidRequest", "UnsupportedParameter"]))
}

impl Page {
    fn new(mut objects: Vec<Object>, encoded: bool, next: Next) -> Self {
        let mut undecodable = Vec::new();
        if encoded {
            objects.retain_mut(|object| {
                let Some(name) = object.key.take() else { return true };
                let plain = name.clone();
                object.key = decode_listed(name);
                if object.key.is_none() {
                    undecodable.push(plain);
                }
                object.key.is_some()
            });
        }
        Self { objects, folders: Vec::new(), undecodable, next }
    }

    fn enter(&mut self, prefixes: Vec<CommonPrefix>, encoded: bool) {
        for name in prefixes.into_iter().filter_map(|common| common.prefix) {
            let plain = name.clone();
            match if encoded { decode_listed(name) } else { Some(name) } {
                Some(name) => self.folders.push(name),
                None => self.undecodable.push(plain),
            }
        }
    }
}

/// What a listing says about one object; `None` for what it does not speak of.
fn item(relative: &str, object: &Object) -> Option<Item> {
    if relative.is_empty() || is_own(relative) {
        return None;
    }
    let key = match Key::new(relative) {
        Ok(key) => key,
        Err(why) => {
            let message = format!("an object can't be handled: {why}");
            return Some(Item::Nameless(Problem { reach: None, kind: ProblemKind::Name, message, hint: None }));
        }
    };
    let unknown = |kind, why: &str| {
        let problem = Problem::of(&key, kind, format!("{key} {why}"));
        Some(Item::Unknown(Reach::Key(key.clone()), problem))
    };
    let Some(size) = object.size().and_then(|size| u64::try_from(size).ok()) else {
        return unknown(ProblemKind::Failed, "is listed without a size");
    };
    if relative.ends_with('/') && size == 0 {
        return Some(Item::Skipped(Reach::Key(key), SkipReason::DirectoryMarker));
    }
    let Some(etag) = object.e_tag().map(unquoted).filter(|etag| !etag.is_empty()) else {
        return unknown(ProblemKind::Failed, "is listed without an ETag");
    };
    let entry = Entry {
        size,
        version: Version::new(etag),
        modified_ns: object.last_modified().and_then(epoch_ns),
        digests: Digest::from_etag(etag).into_iter().collect::<Digests>(),
        readable: readable_class(object.storage_class()),
    };
    Some(Item::Present(key, entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Readable;
    use aws_sdk_s3::types::ObjectStorageClass;

    fn object(size: i64) -> aws_sdk_s3::types::builders::ObjectBuilder {
        Object::builder().size(size).e_tag("\"0cc175b9c0f1b6a831c399e269772661\"")
    }

    #[test]
    fn objects_become_statements() {
        let Some(Item::Present(key, entry)) = item("a/b", &object(3).build()) else { panic!("present") };
        assert_eq!((key.as_str(), entry.size), ("a/b", 3));
        assert_eq!(entry.version.as_str(), "0cc175b9c0f1b6a831c399e269772661");
        assert!(!entry.digests.is_empty());
        assert_eq!(item("", &object(0).build()), None);
        assert_eq!(item(".mediasync/id", &object(1).build()), None);
        let marker = Item::Skipped(Reach::Key(Key::new("a/").unwrap()), SkipReason::DirectoryMarker);
        assert_eq!(item("a/", &object(0).build()), Some(marker));
        // Only another bucket can take it.
        assert!(matches!(item("a/", &object(1).build()), Some(Item::Present(..))));
    }

    #[test]
    fn what_can_not_be_told_is_unknown_never_left_out() {
        for (name, object) in [
            ("a/", Object::builder().size(1).build()),
            ("a", Object::builder().size(1).build()),
            ("a", Object::builder().e_tag("\"x\"").build()),
        ] {
            assert!(matches!(item(name, &object), Some(Item::Unknown(Reach::Key(_), _))), "{object:?}");
        }
    }

    #[test]
    fn archived_objects_are_present_and_not_readable() {
        let archived = object(1).storage_class(ObjectStorageClass::DeepArchive).build();
        let Some(Item::Present(_, entry)) = item("a", &archived) else { panic!("present") };
        assert_eq!(entry.readable, Readable::Archived);
        let instant = object(1).storage_class(ObjectStorageClass::GlacierIr).build();
        let Some(Item::Present(_, entry)) = item("a", &instant) else { panic!("present") };
        assert_eq!(entry.readable, Readable::Yes);
    }

    #[test]
    fn names_that_do_not_decode_are_told() {
        let bad = object(1).key("%FF").build();
        let page = Page::new(vec![object(1).key("a+b").build(), bad], true, Next::End);
        assert_eq!(page.objects[0].key(), Some("a b"));
        assert_eq!(page.undecodable, ["%FF"]);
        let raw = Page::new(vec![object(1).key("a+b").build()], false, Next::End);
        assert_eq!(raw.objects[0].key(), Some("a+b"));
    }
}
