//! What replicas do where the contract leaves them free, as one table.

use mediasync::model::DigestKind;
use mediasync::replica::memory::Role;
use mediasync::replica::s3::Probe;
use mediasync::replica::{Ability, Cause};

use Ability::{Missing, Proven, Unknown};

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    /// What the probe finds, without identity and region; `None` for what is no bucket.
    pub(super) probe: Option<Probe>,
    /// Digests that a listing gives for a small file, and for one of three parts.
    pub(super) listed: (Option<DigestKind>, Option<DigestKind>),
    /// What an overwrite keeps of what somebody else put on an object.
    pub(super) kept: &'static [&'static str],
    /// What a deletion of a key that is gone says: nothing or a cause.
    pub(super) gone: Option<Cause>,
    /// What stops an overwrite or a copy of an object that was stored in parts: a piece of the message.
    pub(super) parts_are_stuck: Option<&'static str>,
    /// Names that can't be stored, of those that the suite tries.
    pub(super) refused: &'static [&'static str],
    /// What creating `a` says where `a/b` is: nothing or a cause.
    pub(super) file_beside_folder: Option<Cause>,
    /// Parts of three that are sent again after two had been sent.
    pub(super) resent: u64,
    /// An upload that was begun without an answer is found again and aborted.
    pub(super) claims: Claims,
}

/// Whether an unfinished upload whose id got lost is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claims {
    /// By its key and time.
    Found,
    /// The server lists no uploads, or tells another time.
    Lost,
}

const ALL: Probe = Probe {
    id: None,
    region: None,
    backslashes: Proven,
    odd_names: Proven,
    flat: Proven,
    ordered: Proven,
    start_after: Proven,
    url_encoding: Proven,
    list_v2: Proven,
    same_etags: Proven,
    conditional_put: Proven,
    checksums: Proven,
    copy: Proven,
    checked_source: Proven,
    conditional_copy: Proven,
    conditional_delete: Proven,
    batch_delete: Proven,
    conditional_batch_delete: Proven,
    acl: Proven,
    marks: Vec::new(),
};

const HEADERS: &[&str] = &["cache-control", "content-disposition", "metadata"];
const HEADERS_AND_ACL: &[&str] = &["cache-control", "content-disposition", "metadata", "acl"];
const HEADERS_AND_TAGS: &[&str] = &["cache-control", "content-disposition", "metadata", "tags"];
const EVERYTHING: &[&str] = &["cache-control", "content-disposition", "metadata", "acl", "tags"];

impl Expected {
    pub(super) fn memory(role: Role) -> Self {
        let digest = (role == Role::Bucket).then_some(DigestKind::EtagMd5);
        let listed = (digest, digest);
        Self { probe: None, listed, kept: &[], gone: Some(Cause::Precondition), resent: 3, ..Self::bucket() }
    }

    pub(super) fn directory() -> Self {
        Self {
            probe: None,
            listed: (None, None),
            kept: &["mode"],
            gone: Some(Cause::Precondition),
            file_beside_folder: Some(Cause::Refused),
            resent: 3,
            ..Self::bucket()
        }
    }

    /// A complete server.
    fn bucket() -> Self {
        Self {
            probe: Some(ALL),
            listed: (Some(DigestKind::EtagMd5), Some(DigestKind::EtagMultipart)),
            kept: HEADERS_AND_ACL,
            // S3 answers 204.
            gone: None,
            parts_are_stuck: None,
            refused: &[],
            file_beside_folder: None,
            resent: 1,
            claims: Claims::Found,
        }
    }

    /// The server in this process.
    pub(super) fn in_process(quirk: &str) -> Self {
        let all = Self::bucket();
        let probe = |probe| Self { probe: Some(probe), ..Self::bucket() };
        match quirk {
            "component order" => probe(Probe { ordered: Missing, start_after: Missing, ..ALL }),
            "folders kept" => {
                Self { file_beside_folder: Some(Cause::Refused), ..probe(Probe { flat: Missing, ..ALL }) }
            }
            // Where each key is looked at before, one that is gone is seen to be.
            "conditions ignored" | "conditions refused" => Self {
                gone: Some(Cause::NotFound),
                ..probe(Probe {
                    flat: Unknown,
                    conditional_put: Missing,
                    conditional_copy: Missing,
                    conditional_delete: Missing,
                    conditional_batch_delete: Missing,
                    ..ALL
                })
            },
            "no acls" => Self { kept: HEADERS, ..probe(Probe { acl: Missing, ..ALL }) },
            // They can be asked for, not set.
            "acls refused" => Self { kept: HEADERS, ..all },
            "checksums refused" => {
                // The SDK sends a checksum with the PutObjectAcl of this test, which therefore sets none.
                let probed = probe(Probe { checksums: Missing, ..ALL });
                Self { kept: HEADERS, ..probed }
            }
            "no copies" => probe(Probe { copy: Missing, checked_source: Missing, conditional_copy: Unknown, ..ALL }),
            "parts are not listed" => Self { resent: 3, ..all },
            "no list of uploads" => Self { claims: Claims::Lost, ..all },
            _ => all,
        }
    }

    /// Real servers, as seen.
    pub(super) fn live(name: &str) -> Self {
        match name {
            // 4.48. ACLs can be set and asked for by requests of their own, but PutObject ignores its headers for them.
            "seaweedfs" => Self {
                probe: Some(Probe {
                    backslashes: Missing,
                    flat: Missing,
                    ordered: Missing,
                    start_after: Missing,
                    ..ALL
                }),
                refused: &["back\\slash"],
                kept: HEADERS_AND_TAGS,
                file_beside_folder: Some(Cause::Refused),
                gone: Some(Cause::NotFound),
                ..Self::bucket()
            },
            // 5.2.5.
            "moto" => Self {
                probe: Some(Probe {
                    checksums: Missing,
                    conditional_copy: Missing,
                    conditional_batch_delete: Missing,
                    ..ALL
                }),
                kept: EVERYTHING,
                // It answers 500 for the ACL of an object that was stored in parts.
                parts_are_stuck: Some("read the ACL"),
                // All its uploads began in 2010.
                claims: Claims::Lost,
                // The SDK can't read its answer to ListParts.
                resent: 3,
                // Its routes don't match them: 404.
                refused: &["new\nline"],
                gone: Some(Cause::NotFound),
                ..Self::bucket()
            },
            _ => panic!("no row for the server {name} in tests/it/contract/expected.rs: copy one and correct it"),
        }
    }
}
