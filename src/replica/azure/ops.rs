//! The kinds of requests: their names, and what each needs.

use crate::replica::requests::{Kind, Work};

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    ListBlobs,
    GetBlobProperties,
    GetBlobTags,
    GetBlob,
    PutBlob,
    PutBlock,
    GetBlockList,
    PutBlockList,
    CopyBlob,
    SetBlobProperties,
    SetBlobMetadata,
    SetBlobTier,
    DeleteBlob,
    GetContainerAcl,
    SetContainerAcl,
    GetServiceProperties,
    SetServiceProperties,
    GetContainerProperties,
}

/// All kinds with the name that summaries show, what a sentence says, the letters of a SAS of which one is needed
/// (<https://learn.microsoft.com/en-us/rest/api/storageservices/create-account-sas>), and the built-in role.
const ALL: [(Op, &str, &str, &str, &str); 18] = [
    (Op::ListBlobs, "ListBlobs", "list", "l", READER),
    (Op::GetBlobProperties, "GetBlobProperties", "look up", "r", READER),
    (Op::GetBlobTags, "GetBlobTags", "read the tags of", "t", "Storage Blob Data Owner"),
    (Op::GetBlob, "GetBlob", "read", "r", READER),
    (Op::PutBlob, "PutBlob", "store", "wc", CONTRIBUTOR),
    (Op::PutBlock, "PutBlock", "send a block of", "w", CONTRIBUTOR),
    (Op::GetBlockList, "GetBlockList", "list the sent blocks of", "r", READER),
    (Op::PutBlockList, "PutBlockList", "finish the upload of", "w", CONTRIBUTOR),
    (Op::CopyBlob, "CopyBlob", "copy to", "wc", CONTRIBUTOR),
    (Op::SetBlobProperties, "SetBlobProperties", "set the headers of", "w", CONTRIBUTOR),
    (Op::SetBlobMetadata, "SetBlobMetadata", "set the metadata of", "w", CONTRIBUTOR),
    (Op::SetBlobTier, "SetBlobTier", "set the tier of", "w", CONTRIBUTOR),
    (Op::DeleteBlob, "DeleteBlob", "delete", "d", CONTRIBUTOR),
    (Op::GetContainerAcl, "GetContainerAcl", "read the access level of", "", OWNER),
    (Op::SetContainerAcl, "SetContainerAcl", "set the access level of", "", OWNER),
    (Op::GetServiceProperties, "GetServiceProperties", "read the CORS rules of the account of", "r", ACCOUNT),
    (Op::SetServiceProperties, "SetServiceProperties", "set the CORS rules of the account of", "w", ACCOUNT),
    (Op::GetContainerProperties, "GetContainerProperties", "look at", "r", READER),
];

pub(super) const READER: &str = "Storage Blob Data Reader";
pub(super) const CONTRIBUTOR: &str = "Storage Blob Data Contributor";
const OWNER: &str = "Storage Blob Data Owner";
const ACCOUNT: &str = "Storage Account Contributor";

impl Op {
    /// The name in summaries and messages.
    pub(super) fn name(self) -> &'static str {
        ALL[self as usize].1
    }

    /// What a sentence says: `store a.jpg`.
    pub(super) fn verb(self) -> &'static str {
        ALL[self as usize].2
    }

    /// Letters of a SAS's permissions, of which one is needed; none where no signature is enough.
    pub(super) fn permissions(self) -> &'static str {
        ALL[self as usize].3
    }

    /// The built-in role that allows it.
    pub(super) fn role(self) -> &'static str {
        ALL[self as usize].4
    }

    /// Letter and name of the resource type that an account's SAS must have.
    pub(super) fn resource_type(self) -> (char, &'static str) {
        match self {
            Self::ListBlobs | Self::GetContainerProperties | Self::GetContainerAcl | Self::SetContainerAcl => {
                ('c', "containers")
            }
            Self::GetServiceProperties | Self::SetServiceProperties => ('s', "service"),
            _ => ('o', "objects"),
        }
    }

    /// What the service does before it answers.
    pub(super) fn work(self) -> Work {
        match self {
            Self::PutBlockList | Self::CopyBlob => Work::Much,
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
