//! Browsing a container: pages as they come, with a delimiter where one level is asked for.
//!
//! The SDK lists without a delimiter. [`OneLevel`] adds it to the request, and the answer, in which blobs and beginnings
//! of names are mixed, is read here.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::http::Context;
use azure_core::http::pager::PagerOptions;
use azure_core::time::parse_rfc7231;
use azure_core::xml::from_xml;
use azure_storage_blob::models::{BlobContainerClientListBlobsOptions, ListBlobsIncludeItem};
use futures_util::StreamExt as _;
use serde::Deserialize;

use super::authorize::OneLevel;
use super::facts::FOLDER;
use super::list::{Begin, PAGE};
use super::ops::Op;
use super::{Azure, Inner};
use crate::replica::Error;
use crate::replica::browse::{Browse, Depth, Passing, Seen};
use crate::replica::pages::{self, MOST_EMPTY, Tokens, incomplete};
use crate::replica::retry::{Patience, repeat};

/// See [`Azure::browse`].
#[derive(Debug)]
struct Browsing {
    inner: Arc<Inner>,
    /// Of blob names.
    prefix: String,
    depth: Depth,
    marker: Option<String>,
    is_over: bool,
    markers: Tokens,
    passing: Passing,
    /// The name to begin at, instead of the marker.
    at: Option<String>,
}

/// A page of a listing by levels.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    blobs: Option<Blobs>,
    next_marker: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Blobs {
    #[serde(rename = "$value", default)]
    all: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
enum Listed {
    Blob(Blob),
    BlobPrefix(Folder),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Blob {
    name: String,
    snapshot: Option<String>,
    properties: Properties,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Folder {
    #[serde(rename = "Name")]
    name: String,
}

#[derive(Debug, Deserialize)]
struct Properties {
    #[serde(rename = "Content-Length")]
    size: Option<u64>,
    #[serde(rename = "Last-Modified")]
    modified: Option<String>,
}

impl Azure {
    /// What begins with `start` below the prefix. Needs no first contact.
    pub fn browse(&self, start: &str, depth: Depth) -> Box<dyn Browse> {
        let (inner, prefix) = (Arc::clone(&self.inner), self.inner.names.own(start));
        let (markers, passing) = (Tokens::default(), Passing::new(depth));
        Box::new(Browsing { inner, prefix, depth, marker: None, is_over: false, markers, passing, at: None })
    }
}

#[async_trait]
impl Browse for Browsing {
    async fn next(&mut self) -> Result<Option<Vec<Seen>>, Error> {
        let mut empty = 0;
        while !self.is_over {
            let inner = &*self.inner;
            let marker = self.marker.as_deref();
            let (mut all, next) = match self.depth {
                Depth::All | Depth::Users => {
                    let at = self.at.take();
                    let begin = at.as_deref().map_or(Begin::Marker(marker), Begin::Name);
                    let page = repeat(Patience::default(), || inner.page_from(&self.prefix, begin, PAGE)).await;
                    let is_fine = page.as_ref().is_ok_and(|page| {
                        self.passing.see(page.blobs.iter().filter_map(|(name, _)| inner.names.relative(name)))
                    });
                    // A service that does not begin at names goes on by its marker.
                    if at.is_some() && !is_fine {
                        continue;
                    }
                    let page = page?;
                    let blobs = page.blobs.into_iter().map(|(name, facts)| {
                        let is_folder = facts.metadata.get(FOLDER).is_some_and(|value| value == "true");
                        one(name, (facts.size, facts.modified_ns), is_folder)
                    });
                    (blobs.collect(), page.next)
                }
                Depth::Level => repeat(Patience::default(), || inner.level(&self.prefix, marker)).await?,
            };
            for seen in &mut all {
                let relative = match seen {
                    Seen::File { name, .. } | Seen::Folder(name) | Seen::Other { name, .. } => name,
                };
                match relative.strip_prefix(&*self.prefix).and(inner.names.relative(relative)) {
                    Some(short) => *relative = short.to_owned(),
                    None => return Err(incomplete(&inner.name, "the server lists names outside the prefix")),
                }
            }
            self.is_over = next.is_none();
            if next.as_ref().is_some_and(|next| !self.markers.is_new(next)) {
                return Err(incomplete(&inner.name, "a continuation marker came twice"));
            }
            if next.is_some() {
                self.at = self.passing.jump().map(|past| inner.names.own(&past));
            }
            self.marker = next;
            // A directory of a hierarchical account is listed as a blob, and as the beginning of names.
            all.sort_by(|a, b| a.name().cmp(b.name()));
            all.dedup();
            if !all.is_empty() {
                return Ok(Some(all));
            }
            empty += 1;
            if empty > MOST_EMPTY {
                return Err(incomplete(&inner.name, "it goes on without showing anything"));
            }
        }
        Ok(None)
    }
}

impl Inner {
    /// One page of one level below a prefix, and where the next one begins.
    async fn level(&self, prefix: &str, marker: Option<&str>) -> Result<(Vec<Seen>, Option<String>), Error> {
        let failed = |failure| pages::unlisted(self.wire.fold(&failure, Op::ListBlobs, None));
        let client = self.wire.container().map_err(failed)?;
        let answer = self.wire.send(Op::ListBlobs, 0, async {
            let method_options =
                PagerOptions { context: Context::new().with_value(OneLevel), ..PagerOptions::default() };
            let options = BlobContainerClientListBlobsOptions {
                include: Some(vec![ListBlobsIncludeItem::Metadata]),
                marker: marker.map(str::to_owned),
                maxresults: Some(PAGE),
                method_options,
                prefix: (!prefix.is_empty()).then(|| prefix.to_owned()),
                ..BlobContainerClientListBlobsOptions::default()
            };
            let first = client.list_blobs(Some(options))?.into_pages().next().await;
            first.transpose()?.map(|page| from_xml::<_, Page>(page.into_body())).transpose()
        });
        let Some(page) = answer.await.map_err(failed)? else {
            return Err(incomplete(&self.name, "there is no page"));
        };
        let listed = page.blobs.map(|blobs| blobs.all).unwrap_or_default().into_iter();
        let all = listed.filter_map(|listed| match listed {
            Listed::BlobPrefix(folder) => Some(Seen::Folder(folder.name)),
            Listed::Blob(blob) if blob.snapshot.is_some() => None,
            Listed::Blob(Blob { name, properties, metadata, .. }) => {
                let time = properties.modified.and_then(|text| parse_rfc7231(&text).ok());
                let modified_ns = time.and_then(|time| i64::try_from(time.unix_timestamp_nanos()).ok());
                let is_folder = metadata.iter().any(|(key, value)| key.eq_ignore_ascii_case(FOLDER) && value == "true");
                Some(one(name, (properties.size, modified_ns), is_folder))
            }
        });
        Ok((all.collect(), page.next_marker.filter(|marker| !marker.is_empty())))
    }
}

fn one(name: String, (size, modified_ns): (Option<u64>, Option<i64>), is_folder: bool) -> Seen {
    match size {
        _ if is_folder => Seen::Folder(format!("{}/", name.trim_end_matches('/'))),
        Some(0) if name.ends_with('/') => Seen::Folder(name),
        _ => Seen::File { name, size, modified_ns },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_and_folders_are_read_in_any_order() {
        let text = "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"https://x/\" \
                    ContainerName=\"c\"><Prefix>p/</Prefix><Delimiter>/</Delimiter><Blobs>\
                    <BlobPrefix><Name>p/a/</Name></BlobPrefix>\
                    <Blob><Name>p/b &amp; c.jpg</Name><Properties><Last-Modified>Wed, 09 Sep 2009 09:20:02 GMT\
                    </Last-Modified><Content-Length>7</Content-Length><Etag>0x8</Etag></Properties>\
                    <Metadata><mtime>5</mtime></Metadata></Blob>\
                    <BlobPrefix><Name>p/d/</Name></BlobPrefix></Blobs><NextMarker>m</NextMarker></EnumerationResults>";
        let page: Page = from_xml(text).unwrap();
        assert_eq!(page.next_marker.as_deref(), Some("m"));
        let all = page.blobs.unwrap().all;
        assert!(matches!(&all[0], Listed::BlobPrefix(folder) if folder.name == "p/a/"), "{all:?}");
        assert!(matches!(&all[1], Listed::Blob(blob) if blob.name == "p/b & c.jpg" && blob.metadata["mtime"] == "5"));
        assert!(matches!(&all[2], Listed::BlobPrefix(folder) if folder.name == "p/d/"));
        let empty: Page = from_xml("<EnumerationResults><Blobs /><NextMarker /></EnumerationResults>").unwrap();
        assert!(empty.blobs.is_none_or(|blobs| blobs.all.is_empty()));
    }
}
