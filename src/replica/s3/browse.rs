//! Browsing a bucket: pages as they come, with a delimiter where one level is asked for.

use std::sync::Arc;

use async_trait::async_trait;

use super::list::{Cut, From, Next, PAGE};
use super::metadata::epoch_ns;
use super::{Inner, S3};
use crate::replica::Error;
use crate::replica::browse::{Browse, Depth, Passing, Seen};
use crate::replica::pages::{MOST_EMPTY, Tokens, incomplete};
use crate::replica::retry::{Patience, repeat};

/// See [`S3::browse`].
#[derive(Debug)]
struct Browsing {
    inner: Arc<Inner>,
    /// Of object names.
    prefix: String,
    cut: Cut,
    /// `None` after the end.
    from: Option<From>,
    seen: Tokens,
    empty: u32,
    passing: Passing,
    /// Where to go on if the server does not begin where it was told to.
    otherwise: Option<From>,
}

impl S3 {
    /// What begins with `start` below the prefix. Needs no first contact.
    pub fn browse(&self, start: &str, depth: Depth) -> Box<dyn Browse> {
        let cut = match depth {
            Depth::Level => Cut::Level,
            Depth::All | Depth::Users => Cut::Flat,
        };
        let prefix = self.inner.names.own(start);
        let inner = Arc::clone(&self.inner);
        let (from, seen, passing) = (Some(From::Start), Tokens::default(), Passing::new(depth));
        Box::new(Browsing { inner, prefix, cut, from, seen, empty: 0, passing, otherwise: None })
    }
}

#[async_trait]
impl Browse for Browsing {
    async fn next(&mut self) -> Result<Option<Vec<Seen>>, Error> {
        let inner = Arc::clone(&self.inner);
        while let Some(from) = self.from.take() {
            let otherwise = self.otherwise.take();
            let page = repeat(Patience::default(), || inner.page_of((&self.prefix, self.cut), &from, PAGE)).await;
            let is_fine = page.as_ref().is_ok_and(|page| {
                let names = page.objects.iter().filter_map(|object| inner.names.relative(object.key()?));
                self.passing.see(names)
            });
            if otherwise.is_some() && !is_fine {
                self.from = otherwise;
                continue;
            }
            let page = page?;
            let relative = |name: &str| match name.strip_prefix(&self.prefix).and(inner.names.relative(name)) {
                Some(relative) => Ok(relative.to_owned()),
                None => Err(incomplete(&inner.name, "the server lists keys outside the prefix")),
            };
            let mut all = Vec::with_capacity(page.objects.len() + page.folders.len());
            for object in &page.objects {
                let Some(name) = object.key() else {
                    return Err(incomplete(&inner.name, "a listed object has no key"));
                };
                let size = object.size().and_then(|size| u64::try_from(size).ok());
                let name = relative(name)?;
                all.push(match size {
                    Some(0) if name.ends_with('/') => Seen::Folder(name),
                    _ => Seen::File { name, size, modified_ns: object.last_modified().and_then(epoch_ns) },
                });
            }
            for folder in &page.folders {
                all.push(Seen::Folder(relative(folder)?));
            }
            all.sort_by(|a, b| a.name().cmp(b.name()));
            let odd = page.undecodable.into_iter();
            all.extend(odd.map(|name| Seen::Other { name, what: "its name is not UTF-8" }));
            self.from = match page.next {
                Next::End => None,
                Next::Missing => {
                    return Err(incomplete(&inner.name, "a page is truncated and does not say where to go on"));
                }
                Next::From(next) if self.seen.is_new(&next) => match self.passing.jump() {
                    Some(past) => {
                        self.otherwise = Some(next);
                        Some(From::After(inner.names.own(&past)))
                    }
                    None => Some(next),
                },
                Next::From(_) => return Err(incomplete(&inner.name, "a continuation token came twice")),
            };
            if !all.is_empty() {
                self.empty = 0;
                return Ok(Some(all));
            }
            self.empty += 1;
            if self.empty > MOST_EMPTY {
                return Err(incomplete(&inner.name, "it goes on without showing anything"));
            }
        }
        Ok(None)
    }
}
