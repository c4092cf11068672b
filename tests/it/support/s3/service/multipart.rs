//! Multipart uploads.

use md5::{Digest as _, Md5};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumAlgorithm, ChecksumType,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart, CopyPartResult,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListPartsInput, ListPartsOutput, MultipartUpload, Part as ListedPart, Range, UploadPartCopyInput,
    UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Result, s3_error};

use super::listing::{encode, page_size};
use super::objects::copy_source;
use super::{acl, attributes, check_conditions, check_folder, new_object, size, strong};
use crate::support::s3::Shared;
use crate::support::s3::body::Segments;
use crate::support::s3::checksum::{Algorithm, Checksums, fill_checksums, verify};
use crate::support::s3::quirks::Need;
use crate::support::s3::store::{Bucket, Part, Upload};

fn no_such_upload() -> s3s::S3Error {
    s3_error!(NoSuchUpload, "The specified upload does not exist. It may have been aborted or completed.")
}

fn upload<'a>(bucket: &'a mut Bucket, key: &str, id: &str) -> S3Result<&'a mut Upload> {
    bucket.uploads.get_mut(&(key.to_owned(), id.to_owned())).ok_or_else(no_such_upload)
}

pub(super) fn create(
    shared: &Shared,
    req: S3Request<CreateMultipartUploadInput>,
) -> S3Result<CreateMultipartUploadOutput> {
    let (input, headers) = (req.input, req.headers);
    let algorithm = match &input.checksum_algorithm {
        Some(name) => Some(
            Algorithm::parse(name.as_str())
                .ok_or_else(|| s3_error!(InvalidRequest, "Checksum algorithm provided is unsupported"))?,
        ),
        None => None,
    };
    let full_object = match input.checksum_type.as_ref().map(ChecksumType::as_str) {
        Some(kind) => kind == ChecksumType::FULL_OBJECT,
        None => algorithm == Some(Algorithm::Crc64Nvme),
    };
    let upload = Upload {
        id: shared.upload_id(),
        key: input.key.clone(),
        initiated: shared.now(),
        attributes: attributes(&headers, input.metadata),
        acl: acl::from_headers(shared, &headers)?,
        algorithm,
        full_object,
        parts: std::collections::BTreeMap::new(),
    };
    let id = upload.id.clone();
    shared.bucket(&input.bucket, |bucket| {
        bucket.uploads.insert((input.key.clone(), id.clone()), upload);
        Ok(())
    })?;
    Ok(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        checksum_algorithm: input.checksum_algorithm,
        checksum_type: input.checksum_type,
        ..Default::default()
    })
}

fn check_number(shared: &Shared, number: i32) -> S3Result<()> {
    let max = shared.quirks().max_parts;
    if (1..=max).contains(&number) {
        return Ok(());
    }
    Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and {max}, inclusive"))
}

fn store_part(shared: &Shared, place: (&str, &str, &str, i32), body: Segments, checksums: Checksums) -> S3Result<Part> {
    let (bucket, key, id, number) = place;
    let md5 = body.md5();
    let part = Part { body, md5, etag: shared.etag(md5), modified: shared.now(), checksums };
    shared.bucket(bucket, |bucket| {
        upload(bucket, key, id)?.parts.insert(number, part.clone());
        Ok(part)
    })
}

pub(super) async fn put_part(shared: &Shared, req: S3Request<UploadPartInput>) -> S3Result<UploadPartOutput> {
    let input = req.input;
    let (body, headers) = super::receive(input.body, req.headers, req.trailing_headers).await?;
    let checksums = verify(&headers, &body, shared.quirks().checksums)?;
    check_number(shared, input.part_number)?;
    let place = (input.bucket.as_str(), input.key.as_str(), input.upload_id.as_str(), input.part_number);
    let part = store_part(shared, place, body, checksums)?;
    let mut output = UploadPartOutput { e_tag: strong(&part.etag), ..Default::default() };
    fill_checksums!(output, part.checksums);
    Ok(output)
}

pub(super) fn copy_part(shared: &Shared, req: S3Request<UploadPartCopyInput>) -> S3Result<UploadPartCopyOutput> {
    let input = req.input;
    check_number(shared, input.part_number)?;
    let (_, _, source) = copy_source(shared, &input.copy_source, input.copy_source_if_match.as_ref())?;
    let body = match &input.copy_source_range {
        Some(range) => {
            let range = Range::parse(range).map_err(|_| s3_error!(InvalidArgument, "'{range}' is not a range"))?;
            // Unlike GetObject, a range must not reach beyond the end.
            match range {
                Range::Int { first, last: Some(last) } if last < source.body.len() => {
                    source.body.slice(first..last + 1)
                }
                _ => return Err(s3_error!(InvalidRange, "The range is not inside the source object")),
            }
        }
        None => source.body.clone(),
    };
    let place = (input.bucket.as_str(), input.key.as_str(), input.upload_id.as_str(), input.part_number);
    let part = store_part(shared, place, body, Checksums::default())?;
    let result =
        CopyPartResult { e_tag: strong(&part.etag), last_modified: Some(part.modified.into()), ..Default::default() };
    Ok(UploadPartCopyOutput { copy_part_result: Some(result), ..Default::default() })
}

pub(super) fn parts(shared: &Shared, req: S3Request<ListPartsInput>) -> S3Result<ListPartsOutput> {
    let input = req.input;
    let max = page_size(input.max_parts)?;
    let marker = input.part_number_marker.unwrap_or_default();
    shared.bucket(&input.bucket, |bucket| {
        let upload = upload(bucket, &input.key, &input.upload_id)?;
        let mut rest = upload.parts.range(marker + 1..);
        let mut parts = Vec::new();
        for (number, part) in rest.by_ref().take(max) {
            let mut listed = ListedPart {
                part_number: Some(*number),
                e_tag: strong(&part.etag),
                size: size(part.body.len()),
                last_modified: Some(part.modified.into()),
                ..Default::default()
            };
            fill_checksums!(listed, part.checksums);
            parts.push(listed);
        }
        let truncated = rest.next().is_some();
        Ok(ListPartsOutput {
            is_truncated: Some(truncated),
            next_part_number_marker: parts.last().and_then(|part| part.part_number),
            part_number_marker: Some(marker),
            max_parts: i32::try_from(max).ok(),
            parts: Some(parts),
            checksum_algorithm: upload.algorithm.map(|algorithm| ChecksumAlgorithm::from_static(algorithm.name())),
            bucket: Some(input.bucket.clone()),
            key: Some(input.key.clone()),
            upload_id: Some(input.upload_id.clone()),
            owner: Some(acl::owner()),
            ..Default::default()
        })
    })
}

pub(super) fn uploads(
    shared: &Shared,
    req: S3Request<ListMultipartUploadsInput>,
) -> S3Result<ListMultipartUploadsOutput> {
    let input = req.input;
    if input.delimiter.is_some() {
        return Err(s3_error!(NotImplemented, "ListMultipartUploads with a delimiter"));
    }
    let max = page_size(input.max_uploads)?;
    let encoding = input.encoding_type.as_ref();
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let key_marker = input.key_marker.as_deref().unwrap_or_default();
    let id_marker = input.upload_id_marker.as_deref().unwrap_or_default();
    shared.bucket(&input.bucket, |bucket| {
        let seen = |key: &str, id: &str| {
            !key_marker.is_empty()
                && (key < key_marker || key == key_marker && (id_marker.is_empty() || id <= id_marker))
        };
        let all = bucket.uploads.values().filter(|upload| upload.key.starts_with(prefix));
        let mut rest = all.filter(|upload| !seen(&upload.key, &upload.id));
        let shown: Vec<&Upload> = rest.by_ref().take(max).collect();
        let truncated = rest.next().is_some();
        let last = shown.last().filter(|_| truncated);
        let listed = |upload: &&Upload| MultipartUpload {
            key: Some(encode(&upload.key, encoding)),
            upload_id: Some(upload.id.clone()),
            initiated: Some(upload.initiated.into()),
            owner: Some(acl::owner()),
            ..Default::default()
        };
        Ok(ListMultipartUploadsOutput {
            is_truncated: Some(truncated),
            next_key_marker: last.map(|upload| encode(&upload.key, encoding)),
            next_upload_id_marker: last.map(|upload| upload.id.clone()),
            uploads: Some(shown.iter().map(listed).collect()),
            max_uploads: i32::try_from(max).ok(),
            bucket: Some(input.bucket.clone()),
            prefix: input.prefix.clone(),
            key_marker: input.key_marker.clone(),
            encoding_type: input.encoding_type.clone(),
            ..Default::default()
        })
    })
}

/// Checks the list of parts against what was uploaded.
fn chosen<'a>(upload: &'a Upload, list: &[CompletedPart], min_part_size: u64) -> S3Result<Vec<&'a Part>> {
    let number = |asked: &CompletedPart| asked.part_number.unwrap_or_default();
    if !list.is_sorted_by(|a, b| number(a) < number(b)) {
        return Err(s3_error!(InvalidPartOrder, "The list of parts was not in ascending order."));
    }
    let mut parts: Vec<&Part> = Vec::with_capacity(list.len());
    for (index, asked) in list.iter().enumerate() {
        let number = number(asked);
        let part = upload.parts.get(&number);
        let part = part.filter(|part| asked.e_tag.as_ref().is_some_and(|etag| etag.value() == part.etag));
        let part = part
            .ok_or_else(|| s3_error!(InvalidPart, "Part {number} could not be found, or its ETag is another one."))?;
        if index + 1 < list.len() && part.body.len() < min_part_size {
            return Err(s3_error!(EntityTooSmall, "Part {number} is smaller than the minimum allowed size"));
        }
        parts.push(part);
    }
    if parts.is_empty() {
        return Err(s3_error!(MalformedXML, "You must specify at least one part"));
    }
    Ok(parts)
}

fn object_checksums(upload: &Upload, body: &Segments, parts: &[&Part]) -> Checksums {
    let mut checksums = Checksums::default();
    if let Some(algorithm) = upload.algorithm {
        let bodies: Vec<&Segments> = parts.iter().map(|part| &part.body).collect();
        let value = if upload.full_object { algorithm.value(body) } else { algorithm.composite(&bodies) };
        checksums.insert(algorithm, value);
    }
    checksums
}

pub(super) fn complete(
    shared: &Shared,
    req: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<CompleteMultipartUploadOutput> {
    let input = req.input;
    let quirks = shared.quirks();
    let list = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
    shared.bucket(&input.bucket, |bucket| {
        let place = (input.key.clone(), input.upload_id.clone());
        let upload = bucket.uploads.get(&place).ok_or_else(no_such_upload)?;
        let parts = chosen(upload, &list, quirks.min_part_size)?;
        let sizes: Vec<u64> = parts.iter().map(|part| part.body.len()).collect();
        let (first, last) = (sizes[0], sizes[sizes.len() - 1]);
        let equal = sizes[..sizes.len() - 1].iter().all(|size| *size == first) && last <= first;
        if quirks.equal_parts == Need::Required && !equal {
            return Err(s3_error!(InvalidPart, "All non-trailing parts must have the same length."));
        }
        let body = Segments::join(parts.iter().map(|part| &part.body));
        let mut hash = Md5::new();
        for part in &parts {
            hash.update(part.md5);
        }
        let checksums = object_checksums(upload, &body, &parts);
        // Composite values are claimed with or without their "-N".
        let claimed = |value: &str, actual: &str| actual == value || actual.split('-').next() == Some(value);
        let claims = Checksums::claimed(&req.headers);
        if let Some(algorithm) = upload.algorithm
            && let (Some(value), Some(actual)) = (claims.get(algorithm), checksums.get(algorithm))
            && !claimed(&value, &actual)
        {
            return Err(s3_error!(BadDigest, "The {} you specified did not match.", algorithm.name()));
        }
        let current = bucket.get(&input.key);
        check_conditions(current, input.if_match.as_ref(), input.if_none_match.as_ref(), quirks.put_conditions)?;
        check_folder(bucket, &input.key, true, quirks.folders)?;
        let mut object = new_object(shared, Segments::default(), upload.attributes.clone(), upload.acl.clone());
        object.etag = shared.multipart_etag(hash.finalize().into(), parts.len());
        object.parts = parts.iter().map(|part| part.body.len()).collect();
        object.body = body;
        object.checksums = checksums.clone();
        let etag = object.etag.clone();
        bucket.uploads.remove(&place);
        let version_id = bucket.put(&input.key, object);
        let mut output = CompleteMultipartUploadOutput {
            e_tag: strong(&etag),
            version_id,
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket.clone()),
            key: Some(input.key.clone()),
            ..Default::default()
        };
        output.checksum_type = checksums.kind();
        fill_checksums!(output, checksums);
        Ok(output)
    })
}

pub(super) fn abort(
    shared: &Shared,
    req: S3Request<AbortMultipartUploadInput>,
) -> S3Result<AbortMultipartUploadOutput> {
    let input = req.input;
    shared.bucket(&input.bucket, |bucket| {
        bucket.uploads.remove(&(input.key, input.upload_id)).ok_or_else(no_such_upload)?;
        Ok(AbortMultipartUploadOutput::default())
    })
}
