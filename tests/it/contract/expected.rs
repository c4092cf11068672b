//! What replicas do where the contract leaves them free, and what servers do otherwise: one table, which
//! `docs/servers.md` prints as far as it is about real servers.

use mediasync::model::DigestKind;
use mediasync::replica::memory::Role;
use mediasync::replica::s3::Probe;
use mediasync::replica::{Ability, Cause};

use Ability::{Missing, Proven, Unknown};

/// What a replica does where it is free, or known to differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    /// What the probe finds, without identity and region; `None` for what is no bucket.
    pub(super) probe: Option<Probe>,
    /// Digests that a listing gives for a small file, and for one of three parts.
    pub(super) listed: (Option<DigestKind>, Option<DigestKind>),
    /// What an overwrite keeps of what somebody else put on an object.
    pub(super) kept: &'static [&'static str],
    /// What a deletion of a key that is gone says, in a batch and alone: nothing or a cause.
    pub(super) gone: Option<Cause>,
    pub(super) gone_alone: Option<Cause>,
    /// What stops an overwrite or a copy of an object that was stored in parts: a piece of the message.
    pub(super) parts_are_stuck: Option<&'static str>,
    /// Whether content in parts can be stored at all.
    pub(super) parts: Parts,
    /// Names that can't be stored, of those that the suite tries.
    pub(crate) refused: &'static [&'static str],
    /// What creating `a` says where `a/b` is: nothing or a cause.
    pub(super) file_beside_folder: Option<Cause>,
    /// Parts of three that are sent again after two had been sent.
    pub(crate) resent: u64,
    /// An upload that was begun without an answer is found again and aborted.
    pub(super) claims: Claims,
    /// Which of them are given back with content that is opened.
    pub(super) attributes: &'static [&'static str],
}

/// Whether content can be sent in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parts {
    Stored,
    Refused,
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
    // Only an object that is stored with an ACL for everybody tells.
    upload_acl: Unknown,
    marks: Vec::new(),
    // Not switched on.
    versioning: Missing,
};

const HEADERS: &[&str] = &["cache-control", "content-disposition", "metadata"];
const HEADERS_AND_ACL: &[&str] = &["cache-control", "content-disposition", "metadata", "acl"];
const HEADERS_AND_TAGS: &[&str] = &["cache-control", "content-disposition", "metadata", "tags"];
const EVERYTHING: &[&str] = &["cache-control", "content-disposition", "metadata", "acl", "tags"];

impl Expected {
    pub(super) fn memory(role: Role) -> Self {
        let digest = (role == Role::Bucket).then_some(DigestKind::EtagMd5);
        let listed = (digest, digest);
        let gone = Some(Cause::Precondition);
        let given: &[_] = &[];
        Self { probe: None, listed, kept: &[], gone, gone_alone: gone, resent: 3, attributes: given, ..Self::bucket() }
    }

    pub(super) fn directory() -> Self {
        Self {
            probe: None,
            listed: (None, None),
            kept: &["mode"],
            gone: Some(Cause::Precondition),
            gone_alone: Some(Cause::Precondition),
            file_beside_folder: Some(Cause::Refused),
            resent: 3,
            attributes: &[],
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
            gone_alone: None,
            parts_are_stuck: None,
            parts: Parts::Stored,
            refused: &[],
            file_beside_folder: None,
            resent: 1,
            claims: Claims::Found,
            attributes: HEADERS,
        }
    }

    /// A complete server, but for what the table says.
    pub(crate) fn of(server: &str) -> Self {
        assert!(
            SERVERS.iter().any(|known| known.label == server) || QUIRKS.contains(&server),
            "no server {server} in tests/it/contract/expected.rs: add it, and a row for whatever differs"
        );
        let mut expected = Self::bucket();
        for row in rows(server) {
            (row.set)(&mut expected);
        }
        expected
    }

    fn probe(&mut self) -> &mut Probe {
        self.probe.as_mut().expect("a bucket")
    }
}

/// A real server.
pub(super) struct Server {
    /// As `scripts/servers` calls it.
    pub(super) label: &'static str,
    pub(super) name: &'static str,
    pub(super) version: &'static str,
}

pub(super) const SERVERS: &[Server] = &[
    Server { label: "seaweedfs", name: "SeaweedFS", version: "4.48" },
    Server { label: "moto", name: "moto", version: "5.2.5" },
    Server { label: "rclone", name: "rclone serve s3", version: "1.75.2" },
    Server { label: "garage", name: "Garage", version: "2.5.0" },
    Server { label: "azurite", name: "Azurite", version: "3.37.0" },
];

/// What the server in this process plays.
const QUIRKS: &[&str] = &[
    "no quirk",
    "component order",
    "conditions ignored",
    "conditions refused",
    "opaque etags",
    "opaque multipart etags",
    "no acls",
    "acls refused",
    "checksums refused",
    "no copies",
    "no list of uploads",
    "parts are not listed",
    "md5 for batches",
    "folders kept",
];

/// One thing that servers do otherwise than a complete one.
pub(super) struct Row {
    pub(super) on: &'static [&'static str],
    /// The case whose outcome it changes.
    pub(super) case: &'static str,
    /// What is different.
    pub(super) what: &'static str,
    /// Why, and what mediasync does about it.
    pub(super) why: &'static str,
    set: fn(&mut Expected),
}

/// What is known of a server.
pub(super) fn rows(server: &str) -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(move |row| row.on.contains(&server))
}

const PROBE: &str = "the probe finds what is known of the server";
const KEPT: &str = "an overwrite keeps what it does not set";
const GONE: &str = "a key that is deleted a second time is told as its replica tells it";
const RESENT: &str = "what was sent before the end of a process is not sent again";
const CLAIMS: &str = "what the journal knows is cleaned up, with or without its id, and what others made stays";
const BESIDE: &str = "a file takes the name of a directory, or is refused";
const DIGESTS: &str = "a listing gives the digests that it is known to give";
const STUCK: &str = "what stops an overwrite or a copy of content in parts changes nothing";

pub(super) const ROWS: &[Row] = &[
    Row {
        on: &["seaweedfs", "component order"],
        case: PROBE,
        what: "lists `a/b` before `a-b`",
        why: "It lists folder by folder. Listings are sorted on disk before they are compared, and never begun after a key.",
        set: |expected| (expected.probe().ordered, expected.probe().start_after) = (Missing, Missing),
    },
    Row {
        on: &["seaweedfs"],
        case: PROBE,
        what: "takes a backslash in a name for a slash",
        why: "Such a name would be stored as another one: it is a problem of that key.",
        set: |expected| {
            (expected.probe().backslashes, expected.probe().odd_names) = (Missing, Missing);
            expected.refused = &["back\\slash"];
        },
    },
    Row {
        on: &["seaweedfs", "folders kept", "rclone"],
        case: BESIDE,
        what: "has no place for `a` beside `a/b`",
        why: "It keeps a tree of files. The second one is a problem; the empty folder of objects that are gone is removed.",
        set: |expected| {
            expected.probe().flat = Missing;
            expected.file_beside_folder = Some(Cause::Refused);
        },
    },
    Row {
        on: &["seaweedfs"],
        case: KEPT,
        what: "ignores the ACL of an upload",
        why: "ACLs can be set by requests of their own only. An overwrite loses one that was set apart.",
        set: |expected| expected.kept = HEADERS_AND_TAGS,
    },
    Row {
        on: &["seaweedfs"],
        case: GONE,
        what: "answers 412 to a conditional deletion of what is gone, and 404 in a batch",
        why: "S3 answers 204. The key is gone either way.",
        set: |expected| (expected.gone, expected.gone_alone) = (Some(Cause::NotFound), Some(Cause::Precondition)),
    },
    Row {
        on: &["moto"],
        case: GONE,
        what: "answers 404 to a conditional deletion of what is gone",
        why: "S3 answers 204. The key is gone either way.",
        set: |expected| (expected.gone, expected.gone_alone) = (Some(Cause::NotFound), Some(Cause::NotFound)),
    },
    Row {
        on: &["conditions ignored", "conditions refused", "rclone", "garage"],
        case: GONE,
        what: "is looked at before each deletion",
        why: "It knows no conditions of deletions, so a key that is gone is seen to be.",
        set: |expected| (expected.gone, expected.gone_alone) = (Some(Cause::NotFound), Some(Cause::NotFound)),
    },
    Row {
        on: &["conditions ignored", "conditions refused", "rclone", "garage"],
        case: PROBE,
        what: "does not honour preconditions",
        why: "Each key is looked at right before it is written or deleted, and the run says so.",
        set: |expected| {
            let probe = expected.probe();
            (probe.conditional_put, probe.conditional_copy) = (Missing, Missing);
            (probe.conditional_delete, probe.conditional_batch_delete) = (Missing, Missing);
        },
    },
    Row {
        on: &["moto", "rclone"],
        case: PROBE,
        what: "takes a body whose checksum is wrong",
        why: "It stores checksums and compares none. Bodies are signed with their SHA-256 instead.",
        set: |expected| expected.probe().checksums = Missing,
    },
    Row {
        on: &["moto"],
        case: PROBE,
        what: "ignores the conditions of a copy, on either side, and of a batch of deletions",
        why: "Both are looked at right before a copy, and each key right before it is deleted.",
        set: |expected| {
            let probe = expected.probe();
            (probe.checked_source, probe.conditional_copy) = (Missing, Missing);
            probe.conditional_batch_delete = Missing;
        },
    },
    Row {
        on: &["moto"],
        case: PROBE,
        what: "answers GetBucketVersioning in a form that the SDK can't read",
        why: "Whether versions are kept is not known, so the trash holds copies.",
        set: |expected| expected.probe().versioning = Unknown,
    },
    Row {
        on: &["moto"],
        case: KEPT,
        what: "keeps everything",
        why: "ACLs and tags that an upload states are taken.",
        set: |expected| expected.kept = EVERYTHING,
    },
    Row {
        on: &["moto"],
        case: STUCK,
        what: "answers 500 for the ACL of an object that was stored in parts",
        why: "What can't be asked for can't be kept: such an object is neither replaced nor copied, and told.",
        set: |expected| expected.parts_are_stuck = Some("read the ACL"),
    },
    Row {
        on: &["moto"],
        case: CLAIMS,
        what: "says of all uploads that they began in 2010",
        why: "An upload that was begun without an answer is recognised by its time, and therefore left.",
        set: |expected| expected.claims = Claims::Lost,
    },
    Row {
        on: &["moto"],
        case: RESENT,
        what: "answers ListParts in a form that the SDK can't read",
        why: "An interrupted upload begins anew.",
        set: |expected| expected.resent = 3,
    },
    Row {
        on: &["moto"],
        case: "names with control characters are kept apart",
        what: "has no route for a name with a line break",
        why: "It answers 404: a problem of that key.",
        set: |expected| expected.refused = &["new\nline"],
    },
    Row {
        on: &["rclone"],
        case: PROBE,
        what: "ignores the condition on the source of a copy, and takes odd names for others",
        why: "The source is looked at right before a copy.",
        set: |expected| (expected.probe().checked_source, expected.probe().odd_names) = (Missing, Missing),
    },
    Row {
        on: &["rclone"],
        case: KEPT,
        what: "keeps no headers and no metadata of others",
        why: "It has a place for its own metadata only.",
        set: |expected| (expected.kept, expected.attributes) = (&[], &[]),
    },
    Row {
        on: &["rclone"],
        case: "names in other scripts, in either normal form, are kept apart",
        what: "takes names in another normal form for the same",
        why: "Where one of them is, the other one is reported and not stored.",
        set: |expected| expected.refused = &["cafe\u{301}"],
    },
    Row {
        on: &["rclone"],
        case: "where nothing can be stored in parts, that is refused and nothing is made",
        what: "answers uploads in parts in a form that the SDK can't read",
        why: "The root of its answer has another name. Files of more than 8 MiB are problems.",
        set: |expected| expected.parts = Parts::Refused,
    },
    Row {
        on: &["no acls", "rclone", "garage"],
        case: PROBE,
        what: "has no ACLs",
        why: "None is sent or asked for.",
        set: |expected| expected.probe().acl = Missing,
    },
    Row {
        on: &["no acls", "acls refused", "checksums refused", "garage"],
        case: KEPT,
        what: "keeps no ACL",
        why: "It can't be set (where checksums are refused, by this test, whose SDK sends one with it).",
        set: |expected| expected.kept = HEADERS,
    },
    Row {
        on: &["checksums refused"],
        case: PROBE,
        what: "refuses checksums",
        why: "Bodies are signed with their SHA-256 instead, and batches of deletions carry an MD5.",
        set: |expected| expected.probe().checksums = Missing,
    },
    Row {
        on: &["no copies"],
        case: PROBE,
        what: "can't copy",
        why: "Renamed files are sent again.",
        set: |expected| {
            let probe = expected.probe();
            (probe.copy, probe.checked_source, probe.conditional_copy) = (Missing, Missing, Unknown);
        },
    },
    Row {
        on: &["parts are not listed"],
        case: RESENT,
        what: "lists no parts",
        why: "An interrupted upload begins anew.",
        set: |expected| expected.resent = 3,
    },
    Row {
        on: &["no list of uploads"],
        case: CLAIMS,
        what: "lists no uploads",
        why: "One that was begun without an answer is not found.",
        set: |expected| expected.claims = Claims::Lost,
    },
    Row {
        on: &["azurite"],
        case: DIGESTS,
        what: "lists the metadata of each blob, and ETags that are no digests",
        why: "Azure's protocol: the recorded BLAKE3 comes with the listing.",
        set: |expected| expected.listed = (Some(DigestKind::Blake3), Some(DigestKind::Blake3)),
    },
    Row {
        on: &["azurite"],
        case: KEPT,
        what: "has no ACLs of single blobs, and takes tags with an upload",
        why: "Azure's protocol: who may read is a matter of the container.",
        set: |expected| expected.kept = HEADERS_AND_TAGS,
    },
    Row {
        on: &["azurite"],
        case: GONE,
        what: "answers 412 to a conditional deletion of what is gone",
        why: "Azure answers 404. The key is gone either way.",
        set: |expected| (expected.gone, expected.gone_alone) = (Some(Cause::Precondition), Some(Cause::Precondition)),
    },
    Row {
        on: &["azurite"],
        case: "names with control characters are kept apart",
        what: "is given no control characters in names",
        why: "Azure refuses them: a problem of that key.",
        set: |expected| expected.refused = NOT_ON_AZURE,
    },
    Row {
        on: &["azurite"],
        case: "names with the signs of queries and of quoting are kept apart",
        what: "is given no backslash in a name",
        why: "Azure takes it for a slash, and would keep it under another name: a problem of that key.",
        set: |expected| expected.refused = NOT_ON_AZURE,
    },
    Row {
        on: &["azurite"],
        case: "names with blanks at their ends and with dots are kept apart",
        what: "is given no component that ends in a dot",
        why: "Azure drops the dot, and would keep it under another name: a problem of that key.",
        set: |expected| expected.refused = NOT_ON_AZURE,
    },
];

/// What Azure would keep under another name, or refuse; of those that the suite tries.
const NOT_ON_AZURE: &[&str] = &["back\\slash", "new\nline", "tab\tulator", "bell\u{7}", "dot.", "..."];

#[test]
fn each_row_changes_what_a_named_case_expects_of_a_known_server() {
    for row in ROWS {
        assert!(super::suite().any(|case| case.sentence == row.case), "no case says: {}", row.case);
        for server in row.on {
            let before = Expected::bucket();
            let mut after = before.clone();
            (row.set)(&mut after);
            assert_ne!(after, before, "{server}: {}", row.what);
            let known = SERVERS.iter().map(|server| server.label).chain(QUIRKS.iter().copied());
            assert!(known.into_iter().any(|known| known == *server), "{server}");
        }
    }
}
