//! Uploads in parts that are left behind by a kill or a race, with the real program: who goes on with them, who removes them.

use std::time::Duration;

use crate::support::s3::{Moment, ObjectSpec};
use crate::support::sandbox::{Sandbox, bytes};

const MIB: usize = 1024 * 1024;

/// A copy makes an earlier upload of its key needless.
#[test]
fn a_copy_cleans_up_the_upload_that_it_replaces() {
    let sandbox = Sandbox::with(&[("z.jpg", "z")]);
    sandbox.write("b.bin", bytes(1, 39 * MIB));
    sandbox.kill_after_three_parts("b.bin", &[]);
    sandbox.write("a.bin", bytes(1, 39 * MIB));
    sandbox.push(&["--only", "a.bin"]).exits(0);
    sandbox.server.clear_log();
    sandbox.push(&[]).exits(0);
    assert_eq!((sandbox.server.count("CopyObject"), sandbox.server.count("UploadPart")), (1, 0));
    let left = sandbox.bucket.uploads().len();
    sandbox.server.clear_log();
    sandbox.push(&[]).exits(0);
    let second = sandbox.server.changing_requests().len();
    assert_eq!((left, second), (0, 0), "(uploads left, changes of the second run)");
}

/// Somebody else completes the same content first: the upload is aborted.
#[test]
fn a_completion_that_lost_to_the_same_content_leaves_no_upload() {
    let sandbox = Sandbox::with(&[("z.jpg", "z")]);
    sandbox.push(&[]).exits(0);
    let content = bytes(1, 17 * MIB);
    sandbox.write("large.bin", &content);
    let gate = sandbox.server.hold(Moment::BeforeHandling, "CompleteMultipartUpload", "*");
    let run = sandbox.start_push(&[]);
    gate.reached_blocking(1);
    let mut spec = ObjectSpec::default();
    spec.attributes.metadata.insert("blake3".into(), blake3::hash(&content).to_hex().to_string());
    sandbox.bucket.put_with("site/large.bin", content, spec);
    gate.release();
    let ran = run.wait();
    assert_eq!(ran.code, 0, "{ran:?}");
    let first = sandbox.bucket.uploads().len();
    sandbox.push(&[]).exits(0);
    assert_eq!((first, sandbox.bucket.uploads().len()), (0, 0), "uploads after the run, and after another");
}

/// A touched large file after a kill.
#[test]
fn a_touch_does_not_begin_an_upload_anew() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    sandbox.write("large.bin", bytes(1, 39 * MIB));
    sandbox.kill_after_three_parts("large.bin", &[]);
    sandbox.set_mtime("large.bin", std::time::SystemTime::now() - Duration::from_secs(1000));
    sandbox.push(&[]).exits(0);
    assert_eq!(sandbox.server.count("UploadPart"), 2);
    sandbox.assert_equal();
}
