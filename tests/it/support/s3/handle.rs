//! Direct access to a bucket: what somebody else did, and what is there, without a request.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use s3s::S3Result;
use s3s::dto::{AbortIncompleteMultipartUpload, ExpirationStatus, LifecycleRule};

use super::Shared;
use super::body::Segments;
use super::checksum::{Algorithm, Checksums};
use super::store::{Acl, Attributes, Bucket, NULL_VERSION, StoredObject, Upload, Version, Versioning};

/// An object as somebody else stored it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ObjectSpec {
    pub(crate) attributes: Attributes,
    pub(crate) acl: Acl,
    /// Instead of the one that the server would give.
    pub(crate) etag: Option<String>,
    /// Bytes of each part but the last, as if it had been uploaded in parts.
    pub(crate) part_size: Option<usize>,
    /// A checksum of the whole object that the server keeps with it.
    pub(crate) checksum: Option<Algorithm>,
}

/// A bucket.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    shared: Arc<Shared>,
    name: String,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>, name: &str) -> Self {
        Self { shared, name: name.to_owned() }
    }

    fn with<R>(&self, work: impl FnOnce(&mut Bucket) -> R) -> R {
        let result: S3Result<R> = self.shared.bucket(&self.name, |bucket| Ok(work(bucket)));
        result.expect("the bucket still exists")
    }

    /// Has a lifecycle rule that removes uploads which nobody finishes; it is told, and not carried out.
    pub(crate) fn remove_unfinished_uploads(&self) {
        let abort = AbortIncompleteMultipartUpload { days_after_initiation: Some(7) };
        let rule = LifecycleRule {
            abort_incomplete_multipart_upload: Some(abort),
            expiration: None,
            filter: None,
            id: None,
            noncurrent_version_expiration: None,
            noncurrent_version_transitions: None,
            prefix: None,
            status: ExpirationStatus::from_static(ExpirationStatus::ENABLED),
            transitions: None,
        };
        self.with(|bucket| bucket.lifecycle = Some(vec![rule]));
    }

    /// Stores an object and returns its ETag, without quotes.
    pub(crate) fn put(&self, key: &str, content: impl Into<Bytes>) -> String {
        self.put_with(key, content, ObjectSpec::default())
    }

    /// Stores an object with everything said about it.
    pub(crate) fn put_with(&self, key: &str, content: impl Into<Bytes>, spec: ObjectSpec) -> String {
        let content: Bytes = content.into();
        let body = Segments::from(content.clone());
        let mut parts = Vec::new();
        let mut etag = match spec.part_size {
            None => self.shared.etag(body.md5()),
            Some(size) => {
                parts.extend(content.chunks(size).map(|part| part.len() as u64));
                let digests: Vec<u8> =
                    content.chunks(size).flat_map(|part| Segments::from(Bytes::copy_from_slice(part)).md5()).collect();
                self.shared.multipart_etag(Segments::from(Bytes::from(digests)).md5(), parts.len())
            }
        };
        if let Some(given) = spec.etag {
            etag = given;
        }
        let mut checksums = Checksums::default();
        if let Some(algorithm) = spec.checksum {
            checksums.insert(algorithm, algorithm.value(&body));
        }
        let object = StoredObject {
            body,
            etag: etag.clone(),
            modified: self.shared.now(),
            version: NULL_VERSION.to_owned(),
            attributes: spec.attributes,
            acl: spec.acl,
            checksums,
            parts,
        };
        self.with(|bucket| bucket.put(key, object));
        etag
    }

    /// The object under a key.
    pub(crate) fn get(&self, key: &str) -> Option<StoredObject> {
        self.with(|bucket| bucket.get(key).cloned())
    }

    /// The content under a key; fails if there is none.
    pub(crate) fn content(&self, key: &str) -> Bytes {
        let object = self.get(key);
        object.unwrap_or_else(|| panic!("there is no object {key} in {}", self.name)).body.bytes()
    }

    /// All keys, in byte order.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.with(|bucket| bucket.objects().keys().cloned().collect())
    }

    /// Deletes a key and says whether it was there.
    pub(crate) fn remove(&self, key: &str) -> bool {
        let now = self.shared.now();
        self.with(|bucket| {
            let existed = bucket.get(key).is_some();
            bucket.delete(key, now);
            existed
        })
    }

    /// Keys that were deleted, in order, and when by the real clock; then forgets them.
    pub(crate) fn take_erased(&self) -> Vec<(String, SystemTime)> {
        self.with(|bucket| std::mem::take(&mut bucket.erased))
    }

    /// Unfinished uploads, by key and age.
    pub(crate) fn uploads(&self) -> Vec<Upload> {
        self.with(|bucket| bucket.uploads.values().cloned().collect())
    }

    /// Switches versioning.
    pub(crate) fn set_versioning(&self, versioning: Versioning) {
        self.with(|bucket| bucket.set_versioning(versioning));
    }

    /// All versions of a key, oldest first; empty without versioning.
    pub(crate) fn versions(&self, key: &str) -> Vec<Version> {
        self.with(|bucket| bucket.history().get(key).cloned().unwrap_or_default())
    }
}
