//! Which operation an HTTP request asks for, known before it is handled; and the log of them.

use std::collections::BTreeMap;
use std::time::SystemTime;

use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

/// What a request asks for.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// As in the API reference: "PutObject". "Unknown" if it is none that this server has.
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    /// Empty for ListBuckets.
    pub(crate) bucket: String,
    /// Empty for requests on a bucket.
    pub(crate) key: String,
    /// Decoded parameters.
    pub(crate) query: BTreeMap<String, String>,
}

impl Call {
    /// Reads path-style addresses.
    pub(crate) fn of(parts: &Parts) -> Self {
        let path = parts.uri.path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let query: BTreeMap<_, _> = parts
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decode(name), decode(value)))
            .collect();
        let (bucket, key) = (decode(bucket), decode(key));
        let has = |name: &str| query.contains_key(name);
        let operation = if bucket.is_empty() {
            "ListBuckets"
        } else if key.is_empty() {
            bucket_operation(&parts.method, has, query.get("list-type").is_some_and(|kind| kind == "2"))
        } else {
            object_operation(&parts.method, has, parts.headers.contains_key("x-amz-copy-source"))
        };
        Self { operation, method: parts.method.clone(), bucket, key, query }
    }

    /// Whether it can change anything.
    pub(crate) fn changes(&self) -> bool {
        self.method == Method::PUT || self.method == Method::POST || self.method == Method::DELETE
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn bucket_operation(method: &Method, has: impl Fn(&str) -> bool, version_2: bool) -> &'static str {
    match *method {
        Method::HEAD => "HeadBucket",
        Method::GET if has("location") => "GetBucketLocation",
        Method::GET if has("acl") => "GetBucketAcl",
        Method::GET if has("publicAccessBlock") => "GetPublicAccessBlock",
        Method::GET if has("cors") => "GetBucketCors",
        Method::GET if has("lifecycle") => "GetBucketLifecycle",
        Method::GET if has("ownershipControls") => "GetBucketOwnership",
        Method::GET if has("policyStatus") => "GetBucketPolicyStatus",
        Method::GET if has("versioning") => "GetBucketVersioning",
        Method::GET if has("uploads") => "ListMultipartUploads",
        Method::GET if has("versions") => "ListObjectVersions",
        Method::GET if version_2 => "ListObjectsV2",
        Method::GET => "ListObjects",
        Method::PUT if has("cors") => "PutBucketCors",
        Method::PUT if has("versioning") => "PutBucketVersioning",
        Method::PUT => "CreateBucket",
        Method::POST if has("delete") => "DeleteObjects",
        Method::DELETE if has("cors") => "DeleteBucketCors",
        Method::DELETE => "DeleteBucket",
        _ => "Unknown",
    }
}

fn object_operation(method: &Method, has: impl Fn(&str) -> bool, copies: bool) -> &'static str {
    match *method {
        Method::HEAD => "HeadObject",
        Method::GET if has("acl") => "GetObjectAcl",
        Method::GET if has("tagging") => "GetObjectTagging",
        Method::GET if has("uploadId") => "ListParts",
        Method::GET => "GetObject",
        Method::PUT if has("acl") => "PutObjectAcl",
        Method::PUT if has("uploadId") && copies => "UploadPartCopy",
        Method::PUT if has("uploadId") => "UploadPart",
        Method::PUT if copies => "CopyObject",
        Method::PUT => "PutObject",
        Method::POST if has("uploads") => "CreateMultipartUpload",
        Method::POST if has("uploadId") => "CompleteMultipartUpload",
        Method::DELETE if has("uploadId") => "AbortMultipartUpload",
        Method::DELETE => "DeleteObject",
        _ => "Unknown",
    }
}

/// One request, as it was received.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    /// What it asked for.
    pub(crate) call: Call,
    /// The answer's status; `None` if there was no answer (yet).
    pub(crate) status: Option<u16>,
    /// Bytes of the body as sent, framing included.
    pub(crate) bytes_in: u64,
    /// All headers, without `authorization`.
    pub(crate) headers: HeaderMap,
    /// When it arrived, by the real clock.
    pub(crate) at: SystemTime,
    id: u64,
}

impl Logged {
    /// A header's value; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// All requests since the start or the last clearing, in the order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Log {
    entries: Vec<Logged>,
    next: u64,
}

impl Log {
    /// Adds an arrival and returns its id.
    pub(crate) fn arrive(&mut self, call: &Call, headers: &HeaderMap) -> u64 {
        let id = self.next;
        self.next += 1;
        let mut headers = headers.clone();
        headers.remove("authorization");
        let (call, at) = (call.clone(), SystemTime::now());
        self.entries.push(Logged { call, status: None, bytes_in: 0, headers, at, id });
        id
    }

    /// Changes an entry, if it was not cleared meanwhile.
    pub(crate) fn update(&mut self, id: u64, change: impl FnOnce(&mut Logged)) {
        if let Ok(index) = self.entries.binary_search_by_key(&id, |entry| entry.id) {
            change(&mut self.entries[index]);
        }
    }

    /// The entries.
    pub(crate) fn entries(&self) -> &[Logged] {
        &self.entries
    }

    /// Forgets all entries.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}
