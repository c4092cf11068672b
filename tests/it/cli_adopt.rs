//! Objects that other programs wrote are recognised by what these programs leave with them, and never sent again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};

use crate::support::s3::{Algorithm, Attributes, ETags, ObjectSpec};
use crate::support::sandbox::{PREFIX, Sandbox, bytes};

const MIB: usize = 1024 * 1024;

/// A push over what somebody else stored adopts it: nothing but our own objects is written.
fn adopted(sandbox: &Sandbox) {
    sandbox.server.clear_log();
    sandbox.push(&["--delete"]).exits(0);
    for entry in sandbox.server.changing_requests() {
        assert!(entry.call.key.starts_with("site/.mediasync/") || entry.call.key.is_empty(), "{entry:?}");
    }
    sandbox.assert_equal();
    sandbox.assert_second_run_does_nothing(&["--delete"]);
}

/// The same content on both sides, uploaded in parts of `part` MiB.
fn in_parts(size: usize, part: usize) {
    let sandbox = Sandbox::new();
    let content = bytes(part as u64, size);
    sandbox.write("large.bin", &content);
    sandbox.write("small.jpg", "small");
    sandbox.put("small.jpg", "small");
    let spec = ObjectSpec { part_size: Some(part * MIB), ..ObjectSpec::default() };
    let etag = sandbox.bucket.put_with(&format!("{PREFIX}large.bin"), content, spec);
    assert!(etag.contains('-'), "{etag} is of a multipart upload");
    adopted(&sandbox);
}

#[test]
fn what_aws_cli_and_boto3_uploaded_is_adopted() {
    in_parts(17 * MIB + 5, 8);
}

#[test]
fn what_rclone_uploaded_is_adopted() {
    in_parts(11 * MIB + 5, 5);
}

#[test]
fn what_s3cmd_uploaded_is_adopted() {
    in_parts(16 * MIB + 5, 15);
}

#[test]
fn what_s5cmd_uploaded_is_adopted() {
    in_parts(51 * MIB + 5, 50);
}

/// An object whose ETag says nothing, with something else that tells.
fn with_opaque_etag(attributes: impl FnOnce(&[u8]) -> Attributes, checksum: Option<Algorithm>) {
    let sandbox = Sandbox::new();
    let content = bytes(7, 100_000);
    sandbox.write("a.bin", &content);
    let attributes = attributes(&content);
    let etag = Some("0123456789abcdef0123456789abcdef-3".to_owned());
    let spec = ObjectSpec { attributes, etag, checksum, ..ObjectSpec::default() };
    sandbox.bucket.put_with(&format!("{PREFIX}a.bin"), content, spec);
    adopted(&sandbox);
}

#[test]
fn rclones_md5_in_the_metadata_is_believed() {
    with_opaque_etag(
        |content| {
            let md5 = BASE64.encode(Md5::digest(content));
            let pairs = [("md5chksum", md5), ("mtime", "1700000000.123456789".to_owned())];
            let metadata = pairs.map(|(name, value)| (name.to_owned(), value)).into();
            Attributes { metadata, ..Attributes::default() }
        },
        None,
    );
}

#[test]
fn a_checksum_that_the_server_keeps_is_believed() {
    for algorithm in [Algorithm::Sha256, Algorithm::Crc64Nvme] {
        with_opaque_etag(|_| Attributes::default(), Some(algorithm));
    }
}

#[test]
fn wrong_metadata_is_a_conflict_and_never_adopted() {
    let sandbox = Sandbox::new();
    let (ours, theirs) = (bytes(1, 100_000), bytes(2, 100_000));
    sandbox.write("a.bin", &ours);
    let metadata = [("md5chksum".to_owned(), BASE64.encode(Md5::digest(&theirs)))].into();
    let attributes = Attributes { metadata, ..Attributes::default() };
    let spec =
        ObjectSpec { attributes, etag: Some("0123456789abcdef0123456789abcdef-3".into()), ..ObjectSpec::default() };
    sandbox.bucket.put_with(&format!("{PREFIX}a.bin"), theirs.clone(), spec);
    sandbox.push(&[]).exits(3).says(&["conflict: a.bin"]);
    assert_eq!(sandbox.content("a.bin"), theirs);
}

#[test]
fn our_own_objects_are_known_again_where_etags_say_nothing() {
    for etags in [ETags::Opaque, ETags::OpaqueMultipart] {
        let sandbox = Sandbox::with(&[("a.jpg", "a")]);
        sandbox.server.quirks(|quirks| quirks.etags = etags);
        sandbox.write("large.bin", bytes(3, 9 * MIB));
        sandbox.push(&["--delete"]).exits(0);
        sandbox.assert_equal();
        sandbox.assert_second_run_does_nothing(&["--delete"]);
        sandbox.lose_the_manifest();
        adopted(&sandbox);
    }
}
