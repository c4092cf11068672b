//! How real servers differ from the reference, each difference switchable at run time.

use std::time::Duration;

/// The differences. The default is a complete, well-behaved server.
#[derive(Debug, Clone)]
pub(crate) struct Quirks {
    pub(crate) listing_order: ListingOrder,
    /// `If-Match` and `If-None-Match` of PutObject and CompleteMultipartUpload.
    pub(crate) put_conditions: Conditional,
    /// `If-Match` of DeleteObject and the ETags in DeleteObjects.
    pub(crate) delete_conditions: Conditional,
    /// `If-Match` and `If-None-Match` on the destination of CopyObject.
    pub(crate) copy_conditions: Conditional,
    /// `x-amz-copy-source-if-match` of CopyObject and UploadPartCopy.
    pub(crate) copy_source_conditions: Conditional,
    pub(crate) folders: Folders,
    pub(crate) etags: ETags,
    pub(crate) acls: Acls,
    pub(crate) checksums: ChecksumSupport,
    /// DeleteObjects answers 400 without `Content-MD5` if it is [`Need::Required`].
    pub(crate) delete_objects_md5: Need,
    /// CopyObject and UploadPartCopy.
    pub(crate) copies: Support,
    pub(crate) list_uploads: Support,
    /// ListObjectsV2; without it only the older request is known.
    pub(crate) list_v2: Support,
    /// `start-after` of ListObjectsV2; without it a listing begins at its prefix.
    pub(crate) start_after: Support,
    /// CompleteMultipartUpload refuses parts of different sizes, except for a smaller last one, if it is
    /// [`Need::Required`] that they are equal (Cloudflare R2).
    pub(crate) equal_parts: Need,
    /// The highest part number.
    pub(crate) max_parts: i32,
    /// Bytes that every part but the last must have.
    pub(crate) min_part_size: u64,
    pub(crate) region: Region,
    /// The only access key, if it is not the usual one: who has that one gets 403.
    pub(crate) access_key: Option<&'static str>,
    /// Seconds that the server's clock is ahead.
    pub(crate) clock_ahead: i64,
    /// Waits this long before each request is handled.
    pub(crate) latency: Duration,
    /// What becomes of a request whose client has gone.
    pub(crate) abandoned: Abandoned,
    /// Waits so long before what has arrived is stored, copied or deleted.
    pub(crate) slow_changes: Duration,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            listing_order: ListingOrder::Bytes,
            put_conditions: Conditional::Honoured,
            delete_conditions: Conditional::Honoured,
            copy_conditions: Conditional::Honoured,
            copy_source_conditions: Conditional::Honoured,
            folders: Folders::None,
            etags: ETags::Md5,
            acls: Acls::Supported,
            checksums: ChecksumSupport::Verified,
            delete_objects_md5: Need::Optional,
            copies: Support::Present,
            list_uploads: Support::Present,
            list_v2: Support::Present,
            start_after: Support::Present,
            equal_parts: Need::Optional,
            max_parts: 10_000,
            min_part_size: 5 * 1024 * 1024,
            region: Region::Any,
            access_key: None,
            clock_ahead: 0,
            latency: Duration::ZERO,
            abandoned: Abandoned::Dropped,
            slow_changes: Duration::ZERO,
        }
    }
}

/// What becomes of a request whose client has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abandoned {
    Dropped,
    /// It is carried out, once all of it has arrived, as behind a proxy that has it all.
    CarriedOut,
}

/// The order of listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListingOrder {
    /// By the bytes of the key.
    Bytes,
    /// By path component, so `a/b` comes before `a-b`, and start-after follows that order (SeaweedFS 4.48, measured).
    Components,
}

/// What becomes of a conditional header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conditional {
    Honoured,
    Ignored,
    /// 501 `NotImplemented`.
    Refused,
}

/// What becomes of the beginnings of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Folders {
    /// They are nothing.
    None,
    /// A folder stays when what is in it is gone. HeadObject shows it by its name with a slash. It is taken for an object by `If-None-Match: *`, and nothing large can
    /// take its place, until its name with a slash is deleted (SeaweedFS 4.48, measured).
    Kept,
    /// The same, and they stay (SeaweedFS 4.48 with versioning).
    Eternal,
}

/// What ETags are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ETags {
    /// MD5 of the content; of parts, MD5 of their MD5s and `-N`.
    Md5,
    /// Random and in the form of an MD5, like those of objects encrypted with SSE-KMS.
    Opaque,
    /// Random for multipart uploads only.
    OpaqueMultipart,
}

/// What becomes of access control lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acls {
    Supported,
    /// Headers have no effect, `?acl` answers 501.
    Ignored,
    /// Headers have no effect, `?acl` works (SeaweedFS 4.48, measured).
    Unheard,
    /// 501 `NotImplemented` for headers and `?acl`.
    NotImplemented,
    /// 400 `AccessControlListNotSupported` for setting any but `bucket-owner-full-control`: AWS with "bucket owner
    /// enforced".
    Refused,
    /// 403 `AccessDenied` for setting a public one: AWS with "Block Public Access", which can be asked for.
    Blocked,
}

/// What becomes of `x-amz-checksum-*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChecksumSupport {
    Verified,
    /// Neither checked nor kept.
    Ignored,
    /// 400 `InvalidRequest` for `x-amz-checksum-*`, `x-amz-sdk-checksum-algorithm` and trailers.
    Refused,
}

/// Whether an operation exists; without it the answer is 501.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Support {
    Present,
    Missing,
}

/// Whether a header may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Optional,
    Required,
}

/// The region of all buckets, and what a request signed for another one gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Region {
    Any,
    /// 301 `PermanentRedirect` with `x-amz-bucket-region` and without `Location`.
    Redirect(String),
    /// 400 `AuthorizationHeaderMalformed`, naming the region.
    Malformed(String),
}

impl Region {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Any => "us-east-1",
            Self::Redirect(name) | Self::Malformed(name) => name,
        }
    }
}
