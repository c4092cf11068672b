//! Objects: put, get, head, copy and delete.

use std::ops::Range;

use hyper::HeaderMap;
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, DeleteObjectInput, DeleteObjectOutput,
    DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETagCondition, Error as KeyError, GetObjectInput,
    GetObjectOutput, GetObjectTaggingInput, GetObjectTaggingOutput, HeadObjectInput, HeadObjectOutput,
    MetadataDirective, ObjectIdentifier, PutObjectInput, PutObjectOutput, StorageClass, StreamingBlob, Tag,
};
use s3s::{Body, S3Request, S3Result, s3_error};

use super::{
    acl, attributes, check_conditions, check_folder, matches, new_object, no_such_key, precondition_failed, size,
    strong,
};
use crate::support::s3::checksum::{fill_checksums, verify};
use crate::support::s3::faults::{Effect, Fault};
use crate::support::s3::quirks::{Conditional, Folders};
use crate::support::s3::store::{Bucket, NULL_VERSION, StoredObject, Version};
use crate::support::s3::{Shared, failure};

pub(super) async fn put(shared: &Shared, req: S3Request<PutObjectInput>) -> S3Result<PutObjectOutput> {
    let input = req.input;
    let (body, headers) = super::receive(input.body, req.headers, req.trailing_headers).await?;
    let quirks = shared.quirks();
    let checksums = verify(&headers, &body, quirks.checksums)?;
    let acl = acl::from_headers(shared, &headers)?;
    let mut object = new_object(shared, body, attributes(&headers, input.metadata), acl);
    object.checksums = checksums.clone();
    let etag = object.etag.clone();
    let version_id = shared.bucket(&input.bucket, |bucket| {
        let current = bucket.get(&input.key);
        check_conditions(current, input.if_match.as_ref(), input.if_none_match.as_ref(), quirks.put_conditions)?;
        check_folder(bucket, &input.key, input.if_none_match.is_some(), quirks.folders)?;
        Ok(bucket.put(&input.key, object))
    })?;
    let mut output = PutObjectOutput { e_tag: strong(&etag), version_id, ..Default::default() };
    output.checksum_type = checksums.kind();
    fill_checksums!(output, checksums);
    Ok(output)
}

/// What GetObject and HeadObject have in common.
struct Read<'a> {
    key: &'a str,
    version: Option<&'a str>,
    if_match: Option<&'a ETagCondition>,
    if_none_match: Option<&'a ETagCondition>,
    range: Option<s3s::dto::Range>,
    part: Option<i32>,
}

/// What is read: an object, and which of its bytes if not all.
struct Reading {
    object: StoredObject,
    range: Option<Range<u64>>,
}

impl Read<'_> {
    fn run(&self, shared: &Shared, bucket: &str) -> S3Result<Reading> {
        let object = shared.bucket(bucket, |bucket| find(bucket, self.key, self.version))?;
        if self.if_match.is_some_and(|condition| !matches(&object, condition)) {
            return Err(precondition_failed());
        }
        if self.if_none_match.is_some_and(|condition| matches(&object, condition)) {
            return Err(s3_error!(NotModified));
        }
        let range = match (self.range, self.part) {
            (Some(range), _) => Some(range.check(object.body.len())?),
            (None, Some(number)) => Some(part_range(&object, number)?),
            (None, None) => None,
        };
        Ok(Reading { object, range })
    }
}

impl Reading {
    fn length(&self) -> Option<i64> {
        size(self.range.as_ref().map_or(self.object.body.len(), |range| range.end - range.start))
    }

    fn content_range(&self) -> Option<String> {
        let range = self.range.as_ref().filter(|range| !range.is_empty())?;
        Some(format!("bytes {}-{}/{}", range.start, range.end - 1, self.object.body.len()))
    }

    fn parts_count(&self, asked: Option<i32>) -> Option<i32> {
        asked.and(i32::try_from(self.object.parts.len()).ok()).filter(|count| *count > 0)
    }
}

fn part_range(object: &StoredObject, number: i32) -> S3Result<Range<u64>> {
    let sizes = if object.parts.is_empty() { &[object.body.len()][..] } else { &object.parts };
    let index = usize::try_from(number - 1).ok().filter(|index| *index < sizes.len());
    let index = index.ok_or_else(|| {
        failure(
            hyper::StatusCode::RANGE_NOT_SATISFIABLE,
            "InvalidPartNumber",
            "The requested partnumber is not satisfiable",
        )
    })?;
    let start: u64 = sizes[..index].iter().sum();
    Ok(start..start + sizes[index])
}

/// The current object, or one version.
pub(super) fn find(bucket: &Bucket, key: &str, version: Option<&str>) -> S3Result<StoredObject> {
    let Some(id) = version else { return bucket.get(key).cloned().ok_or_else(no_such_key) };
    match bucket.version(key, id) {
        Some(Version::Object(object)) => Ok((**object).clone()),
        Some(Version::Marker { .. }) => Err(s3_error!(MethodNotAllowed, "The version is a delete marker")),
        None if id == NULL_VERSION => bucket.get(key).cloned().ok_or_else(no_such_key),
        None => Err(s3_error!(NoSuchVersion, "The specified version does not exist.")),
    }
}

/// Copies an object's attributes into an output, which has the same fields for Get and Head.
macro_rules! describe {
    ($output:expr, $object:expr, $checksum_mode:expr) => {{
        let object: &StoredObject = $object;
        let attributes = object.attributes.clone();
        $output.accept_ranges = Some("bytes".to_owned());
        $output.e_tag = strong(&object.etag);
        $output.last_modified = Some(object.modified.into());
        $output.metadata = Some(attributes.metadata.into_iter().collect());
        $output.content_type = Some(attributes.content_type.unwrap_or_else(|| "binary/octet-stream".to_owned()));
        $output.content_encoding = attributes.content_encoding;
        $output.content_language = attributes.content_language;
        $output.content_disposition = attributes.content_disposition;
        $output.cache_control = attributes.cache_control;
        $output.storage_class = attributes.storage_class.map(StorageClass::from);
        $output.version_id = Some(object.version.clone()).filter(|id| id != NULL_VERSION);
        if $checksum_mode {
            $output.checksum_type = object.checksums.kind();
            fill_checksums!($output, object.checksums);
        }
    }};
}

pub(super) fn head(shared: &Shared, req: S3Request<HeadObjectInput>) -> S3Result<HeadObjectOutput> {
    let input = req.input;
    if let (true, Some(folder)) = (shared.quirks().folders != Folders::None, input.key.strip_suffix('/'))
        && shared.bucket(&input.bucket, |bucket| Ok(bucket.get(&input.key).is_none() && bucket.has_folder(folder)))?
    {
        return Ok(HeadObjectOutput::default());
    }
    let read = Read {
        key: &input.key,
        version: input.version_id.as_deref(),
        if_match: input.if_match.as_ref(),
        if_none_match: input.if_none_match.as_ref(),
        range: input.range,
        part: input.part_number,
    };
    let reading = read.run(shared, &input.bucket)?;
    let mut output = HeadObjectOutput {
        content_length: reading.length(),
        content_range: reading.content_range(),
        parts_count: reading.parts_count(input.part_number),
        ..Default::default()
    };
    describe!(output, &reading.object, input.checksum_mode.is_some());
    Ok(output)
}

pub(super) fn get(shared: &Shared, req: S3Request<GetObjectInput>) -> S3Result<GetObjectOutput> {
    let input = req.input;
    let read = Read {
        key: &input.key,
        version: input.version_id.as_deref(),
        if_match: input.if_match.as_ref(),
        if_none_match: input.if_none_match.as_ref(),
        range: input.range,
        part: input.part_number,
    };
    let reading = read.run(shared, &input.bucket)?;
    let body = match &reading.range {
        Some(range) => reading.object.body.slice(range.clone()),
        None => reading.object.body.clone(),
    };
    let mut output = GetObjectOutput {
        body: Some(StreamingBlob::from(Body::http_body(body.stream()))),
        content_length: reading.length(),
        content_range: reading.content_range(),
        parts_count: reading.parts_count(input.part_number),
        ..Default::default()
    };
    // A checksum of the whole is not one of a part of it.
    describe!(output, &reading.object, input.checksum_mode.is_some() && reading.range.is_none());
    Ok(output)
}

pub(super) fn tagging(shared: &Shared, req: S3Request<GetObjectTaggingInput>) -> S3Result<GetObjectTaggingOutput> {
    let GetObjectTaggingInput { bucket, key, .. } = req.input;
    let object = shared.bucket(&bucket, |bucket| find(bucket, &key, None))?;
    let text = object.attributes.tagging.unwrap_or_default();
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let decoded = |text: &str| Some(percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned());
    let tag_set = pairs.map(|(key, value)| Tag { key: decoded(key), value: decoded(value) }).collect();
    Ok(GetObjectTaggingOutput { tag_set, version_id: None })
}

/// Finds the source of a copy and checks its condition.
pub(super) fn copy_source(
    shared: &Shared,
    source: &CopySource,
    if_match: Option<&ETagCondition>,
) -> S3Result<(String, String, StoredObject)> {
    let CopySource::Bucket { bucket, key, version_id } = source else {
        return Err(s3_error!(NotImplemented, "Copying from an access point"));
    };
    let object = shared.bucket(bucket, |bucket| find(bucket, key, version_id.as_deref()))?;
    match shared.quirks().copy_source_conditions {
        Conditional::Ignored => {}
        Conditional::Refused if if_match.is_some() => {
            return Err(s3_error!(
                NotImplemented,
                "A header you provided implies functionality that is not implemented"
            ));
        }
        Conditional::Honoured | Conditional::Refused => {
            if if_match.is_some_and(|condition| !matches(&object, condition)) {
                return Err(precondition_failed());
            }
        }
    }
    Ok((bucket.to_string(), key.to_string(), object))
}

/// s3s has no fields for conditions on the destination of a copy.
fn condition(headers: &HeaderMap, name: &str) -> S3Result<Option<ETagCondition>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let parsed = ETagCondition::parse_http_header(value.as_bytes());
    parsed.map(Some).map_err(|_| s3_error!(InvalidArgument, "The header {name} is not an ETag"))
}

pub(super) fn copy(shared: &Shared, req: S3Request<CopyObjectInput>) -> S3Result<CopyObjectOutput> {
    let (input, headers) = (req.input, req.headers);
    let (from_bucket, from_key, source) = copy_source(shared, &input.copy_source, input.copy_source_if_match.as_ref())?;
    let replace = input.metadata_directive.as_ref().map(MetadataDirective::as_str) == Some(MetadataDirective::REPLACE);
    let mut kept = attributes(&headers, input.metadata);
    if headers.get("x-amz-tagging-directive").is_none_or(|value| value != "REPLACE") {
        kept.tagging.clone_from(&source.attributes.tagging);
    }
    if !replace {
        if from_bucket == input.bucket && from_key == input.key && kept.storage_class.is_none() {
            return Err(s3_error!(
                InvalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself without changing it."
            ));
        }
        let storage_class = kept.storage_class.take();
        kept = crate::support::s3::store::Attributes { storage_class, ..source.attributes.clone() };
    }
    let mut object = new_object(shared, source.body.clone(), kept, acl::from_headers(shared, &headers)?);
    if source.parts.is_empty() {
        object.checksums = source.checksums;
    }
    let result = CopyObjectResult {
        e_tag: strong(&object.etag),
        last_modified: Some(object.modified.into()),
        ..Default::default()
    };
    let (if_match, if_none_match) = (condition(&headers, "if-match")?, condition(&headers, "if-none-match")?);
    let support = shared.quirks().copy_conditions;
    let version_id = shared.bucket(&input.bucket, |bucket| {
        check_conditions(bucket.get(&input.key), if_match.as_ref(), if_none_match.as_ref(), support)?;
        check_folder(bucket, &input.key, if_none_match.is_some(), shared.quirks().folders)?;
        Ok(bucket.put(&input.key, object))
    })?;
    Ok(CopyObjectOutput { copy_object_result: Some(result), version_id, ..Default::default() })
}

pub(super) fn delete(shared: &Shared, req: S3Request<DeleteObjectInput>) -> S3Result<DeleteObjectOutput> {
    let input = req.input;
    let target = ObjectIdentifier { key: input.key, version_id: input.version_id, ..Default::default() };
    let deleted = delete_one(shared, &input.bucket, &target, input.if_match.as_ref())?;
    let version_id = deleted.delete_marker_version_id.or(deleted.version_id);
    Ok(DeleteObjectOutput { delete_marker: deleted.delete_marker, version_id, ..Default::default() })
}

/// A condition on a key that is not there holds
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html>, If-Match).
fn delete_one(
    shared: &Shared,
    bucket: &str,
    target: &ObjectIdentifier,
    if_match: Option<&ETagCondition>,
) -> S3Result<DeletedObject> {
    let support = shared.quirks().delete_conditions;
    shared.bucket(bucket, |bucket| {
        if let Some(condition) = if_match {
            let current = bucket.get(&target.key);
            if current.is_some() || support == Conditional::Refused {
                check_conditions(current, Some(condition), None, support)?;
            }
        }
        if shared.quirks().folders == Folders::Kept && target.version_id.is_none() && target.key.ends_with('/') {
            bucket.remove_folder(&target.key);
        }
        let mut deleted = DeletedObject { key: Some(target.key.clone()), ..Default::default() };
        if let Some(id) = &target.version_id {
            if let Some(Version::Marker { id, .. }) = bucket.delete_version(&target.key, id) {
                deleted.delete_marker = Some(true);
                deleted.delete_marker_version_id = Some(id);
            }
            deleted.version_id = Some(id.clone());
        } else if let Some(marker) = bucket.delete(&target.key, shared.now()) {
            deleted.delete_marker = Some(true);
            deleted.delete_marker_version_id = Some(marker);
        }
        Ok(deleted)
    })
}

pub(super) fn delete_many(shared: &Shared, req: S3Request<DeleteObjectsInput>) -> S3Result<DeleteObjectsOutput> {
    let (input, fault) = (req.input, req.extensions.get::<Fault>());
    shared.bucket(&input.bucket, |_| Ok(()))?;
    if input.delete.objects.is_empty() || input.delete.objects.len() > 1000 {
        return Err(s3_error!(MalformedXML, "A request deletes 1 to 1000 keys"));
    }
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for target in &input.delete.objects {
        let failure = match fault {
            Some(Fault { effect: Effect::KeyErrors(code), keys }) if keys.is_match(&target.key) => {
                Err(((*code).to_owned(), "failed on demand".to_owned()))
            }
            _ => {
                let condition = target.e_tag.clone().map(ETagCondition::ETag);
                delete_one(shared, &input.bucket, target, condition.as_ref())
                    .map_err(|e| (e.code().as_str().to_owned(), e.message().unwrap_or_default().to_owned()))
            }
        };
        match failure {
            Ok(done) => deleted.push(done),
            Err((code, message)) => errors.push(KeyError {
                key: Some(target.key.clone()),
                code: Some(code),
                message: Some(message),
                version_id: target.version_id.clone(),
            }),
        }
    }
    if input.delete.quiet == Some(true) {
        deleted.clear();
    }
    Ok(DeleteObjectsOutput { deleted: Some(deleted), errors: Some(errors), ..Default::default() })
}
