//! ListObjects in both versions and ListObjectVersions, with the ways in which listings go wrong.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    CommonPrefix, DeleteMarkerEntry, EncodingType, ListObjectVersionsInput, ListObjectVersionsOutput, ListObjectsInput,
    ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, Object, ObjectStorageClass, ObjectVersion,
};
use s3s::{S3Request, S3Result, s3_error};

use super::{size, strong};
use crate::support::s3::Shared;
use crate::support::s3::faults::{Effect, Fault};
use crate::support::s3::page::{self, From, Query};
use crate::support::s3::store::{StoredObject, Version};

const PAGE: usize = 1000;
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/').remove(b' ');

/// Encodes as asked; like AWS, a space becomes `+`.
pub(super) fn encode(text: &str, encoding: Option<&EncodingType>) -> String {
    match encoding {
        Some(_) => utf8_percent_encode(text, KEPT).to_string().replace(' ', "+"),
        None => text.to_owned(),
    }
}

/// The number of entries of a page: what is asked for, at most 1000.
pub(super) fn page_size(asked: Option<i32>) -> S3Result<usize> {
    let asked = asked.map_or(Ok(PAGE), usize::try_from);
    asked.map(|count| count.min(PAGE)).map_err(|_| s3_error!(InvalidArgument, "The page size must not be negative"))
}

struct Listed {
    contents: Vec<Object>,
    prefixes: Vec<CommonPrefix>,
    next: Option<From>,
}

impl Listed {
    fn disturb(&mut self, effect: &Effect, from: &From) {
        match effect {
            Effect::ClaimComplete => self.next = None,
            Effect::RepeatToken => self.next = Some(from.clone()),
            Effect::RepeatKey => self.contents.extend(self.contents.last().cloned()),
            Effect::EmptyPage => {
                self.contents.clear();
                self.prefixes.clear();
                self.next = Some(from.clone());
            }
            _ => {}
        }
    }
}

fn list(
    shared: &Shared,
    bucket: &str,
    query: &Query<'_>,
    encoding: Option<&EncodingType>,
    fault: Option<&Fault>,
) -> S3Result<Listed> {
    shared.bucket(bucket, |bucket| {
        let page = page::page(bucket.objects(), query);
        let object = |key: &&str| listed(&encode(key, encoding), &bucket.objects()[*key]);
        let mut listed = Listed {
            contents: page.keys.iter().map(object).collect(),
            prefixes: common_prefixes(&page.prefixes, encoding),
            next: page.next,
        };
        if let Some(fault) = fault {
            listed.disturb(&fault.effect, query.from);
        }
        Ok(listed)
    })
}

fn listed(key: &str, object: &StoredObject) -> Object {
    let class = object.attributes.storage_class.clone().unwrap_or_else(|| "STANDARD".to_owned());
    Object {
        key: Some(key.to_owned()),
        e_tag: strong(&object.etag),
        last_modified: Some(object.modified.into()),
        size: size(object.body.len()),
        storage_class: Some(ObjectStorageClass::from(class)),
        ..Default::default()
    }
}

fn common_prefixes(prefixes: &[String], encoding: Option<&EncodingType>) -> Vec<CommonPrefix> {
    prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(encode(prefix, encoding)) }).collect()
}

pub(super) fn version_2(shared: &Shared, req: S3Request<ListObjectsV2Input>) -> S3Result<ListObjectsV2Output> {
    let input = req.input;
    let from = match (&input.continuation_token, &input.start_after) {
        (Some(token), _) => From::parse(token)
            .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))?,
        (None, Some(key)) if !key.is_empty() && shared.quirks().start_after == crate::support::s3::Support::Present => {
            From::After(key.clone())
        }
        (None, _) => From::Start,
    };
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref().unwrap_or_default(),
        from: &from,
        max: page_size(input.max_keys)?,
        order: shared.quirks().listing_order,
    };
    let encoding = input.encoding_type.as_ref();
    let listed = list(shared, &input.bucket, &query, encoding, req.extensions.get())?;
    let encoded = |text: Option<&String>| text.map(|text| encode(text, encoding));
    Ok(ListObjectsV2Output {
        key_count: i32::try_from(listed.contents.len() + listed.prefixes.len()).ok(),
        max_keys: i32::try_from(query.max).ok(),
        is_truncated: Some(listed.next.is_some()),
        next_continuation_token: listed.next.map(|next| next.token()),
        contents: Some(listed.contents),
        common_prefixes: Some(listed.prefixes),
        prefix: encoded(input.prefix.as_ref()),
        delimiter: encoded(input.delimiter.as_ref()),
        start_after: encoded(input.start_after.as_ref()),
        name: Some(input.bucket),
        continuation_token: input.continuation_token,
        encoding_type: input.encoding_type,
        ..Default::default()
    })
}

pub(super) fn version_1(shared: &Shared, req: S3Request<ListObjectsInput>) -> S3Result<ListObjectsOutput> {
    let input = req.input;
    let delimiter = input.delimiter.as_deref().unwrap_or_default();
    let from = match input.marker.as_deref() {
        None | Some("") => From::Start,
        Some(marker) if !delimiter.is_empty() && marker.ends_with(delimiter) => From::AfterPrefix(marker.to_owned()),
        Some(marker) => From::After(marker.to_owned()),
    };
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter,
        from: &from,
        max: page_size(input.max_keys)?,
        order: shared.quirks().listing_order,
    };
    let encoding = input.encoding_type.as_ref();
    let listed = list(shared, &input.bucket, &query, encoding, req.extensions.get())?;
    let is_truncated = Some(listed.next.is_some());
    // Without a delimiter the last key is the marker, and none is given.
    let next_marker = match listed.next {
        Some(From::After(text) | From::AfterPrefix(text)) if !delimiter.is_empty() => Some(encode(&text, encoding)),
        _ => None,
    };
    let encoded = |text: Option<&String>| text.map(|text| encode(text, encoding));
    Ok(ListObjectsOutput {
        max_keys: i32::try_from(query.max).ok(),
        is_truncated,
        next_marker,
        contents: Some(listed.contents),
        common_prefixes: Some(listed.prefixes),
        prefix: encoded(input.prefix.as_ref()),
        marker: encoded(input.marker.as_ref()),
        delimiter: encoded(input.delimiter.as_ref()),
        name: Some(input.bucket),
        encoding_type: input.encoding_type,
        ..Default::default()
    })
}

/// All versions, newest first within a key. Without versioning: the current objects. No delimiter.
pub(super) fn versions(shared: &Shared, req: S3Request<ListObjectVersionsInput>) -> S3Result<ListObjectVersionsOutput> {
    let input = req.input;
    if input.delimiter.is_some() {
        return Err(s3_error!(NotImplemented, "ListObjectVersions with a delimiter"));
    }
    let encoding = input.encoding_type.as_ref();
    let max = page_size(input.max_keys)?;
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let mut all = shared.bucket(&input.bucket, |bucket| {
        let current = bucket.objects().iter().filter(|(key, _)| !bucket.history().contains_key(*key));
        let mut all: Vec<(String, Version, bool)> =
            current.map(|(key, object)| (key.clone(), Version::Object(Box::new(object.clone())), true)).collect();
        for (key, versions) in bucket.history() {
            let newest = versions.len() - 1;
            all.extend(versions.iter().enumerate().rev().map(|(i, v)| (key.clone(), v.clone(), i == newest)));
        }
        Ok(all)
    })?;
    all.retain(|(key, ..)| key.starts_with(prefix));
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let marker = (input.key_marker.clone().unwrap_or_default(), input.version_id_marker.clone());
    let seen = match &marker {
        (key, Some(id)) => all.iter().position(|(k, v, _)| k == key && v.id() == id).map_or(0, |index| index + 1),
        (key, None) => all.partition_point(|(k, ..)| !key.is_empty() && k <= key),
    };
    let rest = all.split_off(seen);
    let (shown, more) = rest.split_at(max.min(rest.len()));
    let last = shown.last().filter(|_| !more.is_empty());
    let mut output = ListObjectVersionsOutput {
        is_truncated: Some(!more.is_empty()),
        next_key_marker: last.map(|(key, ..)| encode(key, encoding)),
        next_version_id_marker: last.map(|(_, version, _)| version.id().to_owned()),
        max_keys: i32::try_from(max).ok(),
        prefix: input.prefix.clone(),
        name: Some(input.bucket),
        versions: Some(Vec::new()),
        delete_markers: Some(Vec::new()),
        ..Default::default()
    };
    for (key, version, latest) in shown {
        let (key, version_id) = (Some(encode(key, encoding)), Some(version.id().to_owned()));
        match version {
            Version::Object(object) => output.versions.get_or_insert_default().push(ObjectVersion {
                key,
                version_id,
                is_latest: Some(*latest),
                e_tag: strong(&object.etag),
                size: size(object.body.len()),
                last_modified: Some(object.modified.into()),
                ..Default::default()
            }),
            Version::Marker { modified, .. } => output.delete_markers.get_or_insert_default().push(DeleteMarkerEntry {
                key,
                version_id,
                is_latest: Some(*latest),
                last_modified: Some((*modified).into()),
                ..Default::default()
            }),
        }
    }
    output.encoding_type = input.encoding_type;
    Ok(output)
}
