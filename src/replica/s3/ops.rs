//! The kinds of requests: their names, their permissions, and what the server does for each.

use crate::replica::requests::{Kind, Work};

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    HeadBucket,
    ListObjects,
    HeadObject,
    GetObject,
    GetObjectAcl,
    GetObjectTagging,
    PutObject,
    CopyObject,
    DeleteObject,
    DeleteObjects,
    CreateMultipartUpload,
    UploadPart,
    UploadPartCopy,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    ListParts,
    ListMultipartUploads,
    GetBucketVersioning,
    PutObjectAcl,
    GetBucketAcl,
    GetPublicAccessBlock,
    GetBucketCors,
    PutBucketCors,
    DeleteBucketCors,
    GetBucketLifecycle,
    GetBucketOwnership,
    GetBucketPolicyStatus,
}

/// All kinds with the name that summaries show, what a sentence says, and the permission that each needs.
const ALL: [(Op, &str, &str, &str); 27] = [
    (Op::HeadBucket, "HeadBucket", "look at", "s3:ListBucket"),
    (Op::ListObjects, "ListObjects", "list", "s3:ListBucket"),
    (Op::HeadObject, "HeadObject", "look up", "s3:GetObject"),
    (Op::GetObject, "GetObject", "read", "s3:GetObject"),
    (Op::GetObjectAcl, "GetObjectAcl", "read the ACL of", "s3:GetObjectAcl"),
    (Op::GetObjectTagging, "GetObjectTagging", "read the tags of", "s3:GetObjectTagging"),
    (Op::PutObject, "PutObject", "store", "s3:PutObject"),
    (Op::CopyObject, "CopyObject", "copy to", "s3:PutObject"),
    (Op::DeleteObject, "DeleteObject", "delete", "s3:DeleteObject"),
    (Op::DeleteObjects, "DeleteObjects", "delete from", "s3:DeleteObject"),
    (Op::CreateMultipartUpload, "CreateMultipartUpload", "begin the upload of", "s3:PutObject"),
    (Op::UploadPart, "UploadPart", "send a part of", "s3:PutObject"),
    (Op::UploadPartCopy, "UploadPartCopy", "copy a part to", "s3:PutObject"),
    (Op::CompleteMultipartUpload, "CompleteMultipartUpload", "finish the upload of", "s3:PutObject"),
    (Op::AbortMultipartUpload, "AbortMultipartUpload", "abort the upload of", "s3:AbortMultipartUpload"),
    (Op::ListParts, "ListParts", "list the uploaded parts of", "s3:ListMultipartUploadParts"),
    (Op::ListMultipartUploads, "ListMultipartUploads", "list the uploads of", "s3:ListBucketMultipartUploads"),
    (Op::GetBucketVersioning, "GetBucketVersioning", "ask for the versioning of", "s3:GetBucketVersioning"),
    (Op::PutObjectAcl, "PutObjectAcl", "set the ACL of", "s3:PutObjectAcl"),
    (Op::GetBucketAcl, "GetBucketAcl", "read the ACL of", "s3:GetBucketAcl"),
    (Op::GetPublicAccessBlock, "GetPublicAccessBlock", "ask what is blocked of", "s3:GetBucketPublicAccessBlock"),
    (Op::GetBucketCors, "GetBucketCors", "read the CORS rules of", "s3:GetBucketCORS"),
    (Op::PutBucketCors, "PutBucketCors", "set the CORS rules of", "s3:PutBucketCORS"),
    (Op::DeleteBucketCors, "DeleteBucketCors", "delete the CORS rules of", "s3:PutBucketCORS"),
    (Op::GetBucketLifecycle, "GetBucketLifecycle", "read the lifecycle rules of", "s3:GetLifecycleConfiguration"),
    (Op::GetBucketOwnership, "GetBucketOwnership", "ask who owns the objects of", "s3:GetBucketOwnershipControls"),
    (Op::GetBucketPolicyStatus, "GetBucketPolicyStatus", "ask who may read", "s3:GetBucketPolicyStatus"),
];

impl Op {
    /// What a sentence says: `store a.jpg`.
    pub(super) fn verb(self) -> &'static str {
        ALL[self as usize].2
    }

    /// The IAM action that allows it.
    pub(super) fn permission(self) -> &'static str {
        ALL[self as usize].3
    }

    /// What the server does before it answers. The SDK's own read timeout counts sending the body as waiting, so that any
    /// value fit for a listing would break slow uplinks; nothing else ends a body that is sent and stalls.
    pub(super) fn work(self) -> Work {
        match self {
            Self::CompleteMultipartUpload | Self::CopyObject | Self::UploadPartCopy => Work::Much,
            _ => Work::Little,
        }
    }
}

impl Kind for Op {
    fn place(self) -> usize {
        self as usize
    }

    fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|(_, name, ..)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_at_its_own_place() {
        for (at, (op, ..)) in ALL.iter().enumerate() {
            assert_eq!(*op as usize, at);
        }
    }
}
