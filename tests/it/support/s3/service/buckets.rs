//! Buckets and their settings.

use s3s::dto::{
    Bucket as ListedBucket, BucketLocationConstraint, BucketVersioningStatus, CreateBucketInput, CreateBucketOutput,
    DeleteBucketCorsInput, DeleteBucketCorsOutput, DeleteBucketInput, DeleteBucketOutput, GetBucketCorsInput,
    GetBucketCorsOutput, GetBucketLifecycleConfigurationInput, GetBucketLifecycleConfigurationOutput,
    GetBucketLocationInput, GetBucketLocationOutput, GetBucketOwnershipControlsInput, GetBucketOwnershipControlsOutput,
    GetBucketVersioningInput, GetBucketVersioningOutput, HeadBucketInput, HeadBucketOutput, ListBucketsInput,
    ListBucketsOutput, ObjectOwnership, OwnershipControls, OwnershipControlsRule, PutBucketCorsInput,
    PutBucketCorsOutput, PutBucketVersioningInput, PutBucketVersioningOutput,
};
use s3s::{S3Request, S3Result, s3_error};

use crate::support::s3::quirks::Acls;
use crate::support::s3::store::{Bucket, Versioning};
use crate::support::s3::{Shared, failure};

pub(super) fn list(shared: &Shared, _: S3Request<ListBucketsInput>) -> S3Result<ListBucketsOutput> {
    let buckets = shared.buckets().iter().map(|(name, bucket)| listed(name, bucket)).collect();
    Ok(ListBucketsOutput { buckets: Some(buckets), owner: Some(super::acl::owner()), ..Default::default() })
}

fn listed(name: &str, bucket: &Bucket) -> ListedBucket {
    ListedBucket { name: Some(name.to_owned()), creation_date: Some(bucket.created.into()), ..Default::default() }
}

pub(super) fn create(shared: &Shared, req: S3Request<CreateBucketInput>) -> S3Result<CreateBucketOutput> {
    let name = req.input.bucket;
    let mut buckets = shared.buckets();
    if buckets.contains_key(&name) {
        return Err(s3_error!(BucketAlreadyOwnedByYou, "You already have a bucket with this name."));
    }
    let location = Some(format!("/{name}"));
    buckets.insert(name, Bucket::new(shared.now()));
    Ok(CreateBucketOutput { location })
}

pub(super) fn delete(shared: &Shared, req: S3Request<DeleteBucketInput>) -> S3Result<DeleteBucketOutput> {
    shared.bucket(&req.input.bucket, |bucket| {
        if bucket.objects().is_empty() && bucket.history().is_empty() {
            return Ok(());
        }
        Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty"))
    })?;
    shared.buckets().remove(&req.input.bucket);
    Ok(DeleteBucketOutput {})
}

pub(super) fn head(shared: &Shared, req: S3Request<HeadBucketInput>) -> S3Result<HeadBucketOutput> {
    let region = shared.quirks().region.name().to_owned();
    shared.bucket(&req.input.bucket, |_| Ok(HeadBucketOutput { bucket_region: Some(region), ..Default::default() }))
}

pub(super) fn location(shared: &Shared, req: S3Request<GetBucketLocationInput>) -> S3Result<GetBucketLocationOutput> {
    // The oldest region has no name here.
    let region = Some(shared.quirks().region.name().to_owned()).filter(|name| name != "us-east-1");
    shared.bucket(&req.input.bucket, |_| {
        Ok(GetBucketLocationOutput { location_constraint: region.map(BucketLocationConstraint::from) })
    })
}

pub(super) fn cors(shared: &Shared, req: S3Request<GetBucketCorsInput>) -> S3Result<GetBucketCorsOutput> {
    shared.bucket(&req.input.bucket, |bucket| match &bucket.cors {
        Some(rules) => Ok(GetBucketCorsOutput { cors_rules: Some(rules.clone()) }),
        None => Err(s3_error!(NoSuchCORSConfiguration, "The CORS configuration does not exist")),
    })
}

pub(super) fn put_cors(shared: &Shared, req: S3Request<PutBucketCorsInput>) -> S3Result<PutBucketCorsOutput> {
    shared.bucket(&req.input.bucket, |bucket| {
        bucket.cors = Some(req.input.cors_configuration.cors_rules);
        Ok(PutBucketCorsOutput {})
    })
}

pub(super) fn delete_cors(shared: &Shared, req: S3Request<DeleteBucketCorsInput>) -> S3Result<DeleteBucketCorsOutput> {
    shared.bucket(&req.input.bucket, |bucket| {
        bucket.cors = None;
        Ok(DeleteBucketCorsOutput {})
    })
}

pub(super) fn versioning(
    shared: &Shared,
    req: S3Request<GetBucketVersioningInput>,
) -> S3Result<GetBucketVersioningOutput> {
    shared.bucket(&req.input.bucket, |bucket| {
        let status = match bucket.versioning() {
            Versioning::Off => None,
            Versioning::Enabled => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED)),
            Versioning::Suspended => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::SUSPENDED)),
        };
        Ok(GetBucketVersioningOutput { status, ..Default::default() })
    })
}

pub(super) fn put_versioning(
    shared: &Shared,
    req: S3Request<PutBucketVersioningInput>,
) -> S3Result<PutBucketVersioningOutput> {
    let status = req.input.versioning_configuration.status;
    let versioning = match status.as_ref().map(BucketVersioningStatus::as_str) {
        Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
        Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
        _ => return Err(s3_error!(MalformedXML, "The versioning status is missing or unknown")),
    };
    shared.bucket(&req.input.bucket, |bucket| {
        bucket.set_versioning(versioning);
        Ok(PutBucketVersioningOutput {})
    })
}

pub(super) fn lifecycle(
    shared: &Shared,
    req: S3Request<GetBucketLifecycleConfigurationInput>,
) -> S3Result<GetBucketLifecycleConfigurationOutput> {
    shared.bucket(&req.input.bucket, |bucket| match &bucket.lifecycle {
        Some(rules) => Ok(GetBucketLifecycleConfigurationOutput { rules: Some(rules.clone()), ..Default::default() }),
        None => Err(failure(
            hyper::StatusCode::NOT_FOUND,
            "NoSuchLifecycleConfiguration",
            "The lifecycle configuration does not exist",
        )),
    })
}

pub(super) fn ownership(
    shared: &Shared,
    req: S3Request<GetBucketOwnershipControlsInput>,
) -> S3Result<GetBucketOwnershipControlsOutput> {
    let enforced = shared.quirks().acls == Acls::Refused;
    shared.bucket(&req.input.bucket, |_| {
        let who = if enforced { ObjectOwnership::BUCKET_OWNER_ENFORCED } else { ObjectOwnership::OBJECT_WRITER };
        let rules = vec![OwnershipControlsRule { object_ownership: ObjectOwnership::from_static(who) }];
        Ok(GetBucketOwnershipControlsOutput { ownership_controls: Some(OwnershipControls { rules }) })
    })
}
