//! The S3 operations over the [`super::store`].
//!
//! s3s parses requests, checks signatures and writes answers; the modules here do the rest, one a theme. Handlers
//! hold the store's lock from the check of a condition to the change, so conditions are atomic.

#[expect(clippy::needless_pass_by_value, reason = "all operations have the same shape")]
mod acl;
#[expect(clippy::needless_pass_by_value, clippy::unnecessary_wraps, reason = "all operations have the same shape")]
mod buckets;
mod listing;
mod multipart;
mod objects;

use std::collections::BTreeMap;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput, CompleteMultipartUploadOutput,
    CopyObjectInput, CopyObjectOutput, CreateBucketInput, CreateBucketOutput, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, DeleteBucketCorsInput, DeleteBucketCorsOutput, DeleteBucketInput, DeleteBucketOutput,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, ETag, ETagCondition,
    GetBucketAclInput, GetBucketAclOutput, GetBucketCorsInput, GetBucketCorsOutput,
    GetBucketLifecycleConfigurationInput, GetBucketLifecycleConfigurationOutput, GetBucketLocationInput,
    GetBucketLocationOutput, GetBucketOwnershipControlsInput, GetBucketOwnershipControlsOutput,
    GetBucketVersioningInput, GetBucketVersioningOutput, GetObjectAclInput, GetObjectAclOutput, GetObjectInput,
    GetObjectOutput, GetObjectTaggingInput, GetObjectTaggingOutput, GetPublicAccessBlockInput,
    GetPublicAccessBlockOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput,
    ListBucketsOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectVersionsInput,
    ListObjectVersionsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
    ListPartsInput, ListPartsOutput, Metadata, PutBucketCorsInput, PutBucketCorsOutput, PutBucketVersioningInput,
    PutBucketVersioningOutput, PutObjectAclInput, PutObjectAclOutput, PutObjectInput, PutObjectOutput, StreamingBlob,
    UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3, S3Request, S3Response, S3Result, TrailingHeaders, s3_error};

use super::body::Segments;
use super::quirks::{Conditional, Folders};
use super::store::{Acl, Attributes, Bucket, StoredObject};
use super::{ACCESS_KEY, SECRET_KEY, Shared, lock};

/// The operations with signature checks, ready to serve.
pub(super) fn build(shared: &Arc<Shared>) -> S3Service {
    let mut builder = S3ServiceBuilder::new(Operations(Arc::clone(shared)));
    builder.set_auth(Keys(Arc::clone(shared)));
    builder.set_access(Access(Arc::clone(shared)));
    // The skew of clocks is checked against the server's own clock before s3s sees a request.
    let mut config = S3Config::default();
    config.presigned_url_max_skew_time_secs = u32::MAX;
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.build()
}

struct Keys(Arc<Shared>);

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let rotated = lock(&self.0.quirks).access_key;
        if access_key == rotated.unwrap_or(ACCESS_KEY) {
            return Ok(SecretKey::from(SECRET_KEY));
        }
        Err(s3_error!(InvalidAccessKeyId, "The AWS Access Key Id you provided does not exist in our records."))
    }
}

/// Everything for the owner; what is public for everybody.
struct Access(Arc<Shared>);

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        if cx.credentials().is_some() {
            return Ok(());
        }
        let reads = matches!(cx.s3_op().name(), "GetObject" | "HeadObject");
        if let (true, Some((bucket, key))) = (reads, cx.s3_path().as_object())
            && let Ok(true) = self.0.bucket(bucket, |bucket| Ok(bucket.get(key).is_some_and(acl::is_public)))
        {
            return Ok(());
        }
        Err(s3_error!(AccessDenied, "Access Denied"))
    }
}

struct Operations(Arc<Shared>);

macro_rules! operations {
    (
        sync { $($method:ident($input:ident) -> $output:ident = $handler:path;)* }
        async { $($async_method:ident($async_input:ident) -> $async_output:ident = $async_handler:path;)* }
    ) => {
        #[async_trait::async_trait]
        impl S3 for Operations {
            $(async fn $method(&self, req: S3Request<$input>) -> S3Result<S3Response<$output>> {
                $handler(&self.0, req).map(S3Response::new)
            })*
            $(async fn $async_method(&self, req: S3Request<$async_input>) -> S3Result<S3Response<$async_output>> {
                $async_handler(&self.0, req).await.map(S3Response::new)
            })*
        }
    };
}

operations! {
    sync {
        list_buckets(ListBucketsInput) -> ListBucketsOutput = buckets::list;
        create_bucket(CreateBucketInput) -> CreateBucketOutput = buckets::create;
        delete_bucket(DeleteBucketInput) -> DeleteBucketOutput = buckets::delete;
        head_bucket(HeadBucketInput) -> HeadBucketOutput = buckets::head;
        get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput = buckets::location;
        get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput = buckets::cors;
        put_bucket_cors(PutBucketCorsInput) -> PutBucketCorsOutput = buckets::put_cors;
        delete_bucket_cors(DeleteBucketCorsInput) -> DeleteBucketCorsOutput = buckets::delete_cors;
        get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput)
            -> GetBucketLifecycleConfigurationOutput = buckets::lifecycle;
        get_bucket_ownership_controls(GetBucketOwnershipControlsInput)
            -> GetBucketOwnershipControlsOutput = buckets::ownership;
        get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput = objects::tagging;
        get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput = buckets::versioning;
        put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput = buckets::put_versioning;
        list_objects(ListObjectsInput) -> ListObjectsOutput = listing::version_1;
        list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = listing::version_2;
        list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput = listing::versions;
        head_object(HeadObjectInput) -> HeadObjectOutput = objects::head;
        get_object(GetObjectInput) -> GetObjectOutput = objects::get;
        copy_object(CopyObjectInput) -> CopyObjectOutput = objects::copy;
        delete_object(DeleteObjectInput) -> DeleteObjectOutput = objects::delete;
        delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = objects::delete_many;
        get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput = acl::get_of_bucket;
        get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput = acl::public_access_block;
        get_object_acl(GetObjectAclInput) -> GetObjectAclOutput = acl::get;
        put_object_acl(PutObjectAclInput) -> PutObjectAclOutput = acl::put;
        create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput = multipart::create;
        upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput = multipart::copy_part;
        list_parts(ListPartsInput) -> ListPartsOutput = multipart::parts;
        list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput = multipart::uploads;
        complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput = multipart::complete;
        abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput = multipart::abort;
    }
    async {
        put_object(PutObjectInput) -> PutObjectOutput = objects::put;
        upload_part(UploadPartInput) -> UploadPartOutput = multipart::put_part;
    }
}

/// Reads a body to its end and merges its trailers into the headers.
async fn receive(
    body: Option<StreamingBlob>,
    mut headers: HeaderMap,
    trailers: Option<TrailingHeaders>,
) -> S3Result<(Segments, HeaderMap)> {
    let body = body.map_or_else(Body::empty, Body::from);
    let body = body.collect().await.map_err(|error| {
        let text = format!("{error:?}");
        if text.contains("Sha256Mismatch") {
            super::checksum::payload_hash_mismatch()
        } else if text.contains("Signature") {
            s3_error!(SignatureDoesNotMatch, "A chunk's signature does not match.")
        } else {
            s3_error!(IncompleteBody, "The body can't be read: {text}")
        }
    })?;
    if let Some(trailers) = trailers.and_then(|trailers| trailers.take()) {
        headers.extend(trailers);
    }
    Ok((body.to_bytes().into(), headers))
}

/// What the headers of a put, copy or new upload say about the object.
fn attributes(headers: &HeaderMap, metadata: Option<Metadata>) -> Attributes {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    // Bodies in chunks name their framing as an encoding; it is not one of the object.
    let encoding = text("content-encoding").map(|value| {
        let kept: Vec<&str> = value.split(',').map(str::trim).filter(|part| *part != "aws-chunked").collect();
        kept.join(",")
    });
    Attributes {
        metadata: metadata.into_iter().flatten().collect::<BTreeMap<_, _>>(),
        content_type: text("content-type"),
        content_encoding: encoding.filter(|value| !value.is_empty()),
        content_language: text("content-language"),
        content_disposition: text("content-disposition"),
        cache_control: text("cache-control"),
        storage_class: text("x-amz-storage-class"),
        tagging: text("x-amz-tagging"),
    }
}

fn new_object(shared: &Shared, body: Segments, attributes: Attributes, acl: Acl) -> StoredObject {
    let etag = shared.etag(body.md5());
    StoredObject {
        body,
        etag,
        modified: shared.now(),
        version: super::store::NULL_VERSION.to_owned(),
        attributes,
        acl,
        checksums: super::checksum::Checksums::default(),
        parts: Vec::new(),
    }
}

/// Checks the conditions of a change against what is there.
///
/// # Errors
/// 404 `NoSuchKey` for an `If-Match` on nothing, 412 otherwise, 501 where unsupported
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>).
fn check_conditions(
    current: Option<&StoredObject>,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
    support: Conditional,
) -> S3Result<()> {
    if if_match.is_none() && if_none_match.is_none() || support == Conditional::Ignored {
        return Ok(());
    }
    if support == Conditional::Refused || if_none_match.is_some_and(|condition| !condition.is_any()) {
        return Err(s3_error!(NotImplemented, "A header you provided implies functionality that is not implemented"));
    }
    if let Some(condition) = if_match {
        let object = current.ok_or_else(no_such_key)?;
        if !matches(object, condition) {
            return Err(precondition_failed());
        }
    }
    if if_none_match.is_some() && current.is_some() {
        return Err(precondition_failed());
    }
    Ok(())
}

/// Refuses what a folder is in the way of.
fn check_folder(bucket: &Bucket, key: &str, is_bound: bool, folders: Folders) -> S3Result<()> {
    let blocks = is_bound && folders != Folders::None && bucket.get(key).is_none() && bucket.has_folder(key);
    if blocks { Err(precondition_failed()) } else { Ok(()) }
}

fn matches(object: &StoredObject, condition: &ETagCondition) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == object.etag,
    }
}

fn precondition_failed() -> s3s::S3Error {
    s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
}

fn no_such_key() -> s3s::S3Error {
    s3_error!(NoSuchKey, "The specified key does not exist.")
}

#[expect(clippy::unnecessary_wraps, reason = "what the outputs' fields are")]
fn strong(etag: &str) -> Option<ETag> {
    Some(ETag::Strong(etag.to_owned()))
}

fn size(bytes: u64) -> Option<i64> {
    i64::try_from(bytes).ok()
}
