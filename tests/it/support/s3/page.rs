//! One page of a listing: prefix, delimiter, order and where to go on. Pure.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::quirks::ListingOrder;

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum From {
    Start,
    /// Behind this key.
    After(String),
    /// Behind all keys with this prefix.
    AfterPrefix(String),
}

impl From {
    /// As an opaque token.
    pub(crate) fn token(&self) -> String {
        let (kind, text) = match self {
            Self::Start => ('s', ""),
            Self::After(key) => ('k', key.as_str()),
            Self::AfterPrefix(prefix) => ('p', prefix.as_str()),
        };
        format!("{kind}{}", super::hex(text.as_bytes()))
    }

    /// From a token of ours.
    pub(crate) fn parse(token: &str) -> Option<Self> {
        let text = String::from_utf8(super::unhex(token.get(1..)?)?).ok()?;
        match token.as_bytes()[0] {
            b's' => Some(Self::Start),
            b'k' => Some(Self::After(text)),
            b'p' => Some(Self::AfterPrefix(text)),
            _ => None,
        }
    }
}

/// What to list.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    pub(crate) prefix: &'a str,
    /// Empty for none.
    pub(crate) delimiter: &'a str,
    pub(crate) from: &'a From,
    /// Keys and common prefixes together.
    pub(crate) max: usize,
    pub(crate) order: ListingOrder,
}

/// A page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page<'a> {
    pub(crate) keys: Vec<&'a str>,
    pub(crate) prefixes: Vec<String>,
    /// Where to go on; `None` if this is the last page.
    pub(crate) next: Option<From>,
}

/// Lists the keys of a map.
pub(crate) fn page<'a, V>(all: &'a BTreeMap<String, V>, query: &Query<'_>) -> Page<'a> {
    match query.order {
        ListingOrder::Bytes => {
            let first = match query.from {
                From::After(key) if key.as_str() > query.prefix => Bound::Excluded(key.as_str()),
                From::AfterPrefix(seen) if seen.as_str() > query.prefix => Bound::Included(seen.as_str()),
                _ => Bound::Included(query.prefix),
            };
            let keys = all.range::<str, _>((first, Bound::Unbounded)).map(|(key, _)| key.as_str());
            collect(keys.take_while(|key| key.starts_with(query.prefix)), query)
        }
        ListingOrder::Components => {
            let mut keys: Vec<&str> = all.keys().map(String::as_str).filter(|k| k.starts_with(query.prefix)).collect();
            keys.sort_by(|a, b| a.split('/').cmp(b.split('/')));
            let after = |key: &&str| match query.from {
                From::After(seen) => key.split('/').gt(seen.split('/')),
                From::Start | From::AfterPrefix(_) => true,
            };
            let mut rest: &[&str] = &keys;
            if let From::AfterPrefix(seen) = query.from {
                let last = keys.iter().rposition(|key| key.starts_with(seen.as_str()));
                rest = &keys[last.map_or(0, |index| index + 1)..];
            }
            collect(rest.iter().copied().filter(after), query)
        }
    }
}

fn collect<'a>(keys: impl Iterator<Item = &'a str>, query: &Query<'_>) -> Page<'a> {
    let mut page = Page { keys: Vec::new(), prefixes: Vec::new(), next: None };
    if query.max == 0 {
        return page;
    }
    let mut last = From::Start;
    for key in keys {
        if let From::AfterPrefix(seen) = query.from
            && key.starts_with(seen.as_str())
        {
            continue;
        }
        let common = common_prefix(key, query);
        if common.is_some() && common == page.prefixes.last().map(String::as_str) {
            continue;
        }
        if page.keys.len() + page.prefixes.len() == query.max {
            page.next = Some(last);
            return page;
        }
        if let Some(common) = common {
            page.prefixes.push(common.to_owned());
            last = From::AfterPrefix(common.to_owned());
        } else {
            page.keys.push(key);
            last = From::After(key.to_owned());
        }
    }
    page
}

fn common_prefix<'a>(key: &'a str, query: &Query<'_>) -> Option<&'a str> {
    if query.delimiter.is_empty() {
        return None;
    }
    let end = key[query.prefix.len()..].find(query.delimiter)?;
    Some(&key[..query.prefix.len() + end + query.delimiter.len()])
}
