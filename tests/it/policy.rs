//! `doctor --policy` against what runs really send: every request of every mode is allowed by the policy that is printed for
//! it, and every action of a policy is one that a run of its mode has used.
//!
//! Which action allows which request is written down here anew, from
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::s3::{Attributes, Effect, Faults, Logged, ObjectSpec, Rule, Versioning};
use crate::support::sandbox::{BUCKET, PREFIX, Sandbox, bytes};

/// An action on a resource, without what all of them begin with: `s3:GetObject media/site/a`.
type Asked = (&'static str, String);

/// What a request must be allowed.
fn needed(entry: &Logged) -> Vec<Asked> {
    let bucket = entry.call.bucket.clone();
    let object = format!("{bucket}/{}", entry.call.key);
    let on = |action: &'static str| (action, object.clone());
    let source = percent_encoding::percent_decode_str(entry.header("x-amz-copy-source")).decode_utf8_lossy();
    let source = ("s3:GetObject", source.trim_start_matches('/').to_owned());
    let mut all = match entry.call.operation {
        "HeadBucket" | "ListObjectsV2" | "ListObjects" => vec![("s3:ListBucket", bucket)],
        "GetBucketVersioning" => vec![("s3:GetBucketVersioning", bucket)],
        "ListMultipartUploads" => vec![("s3:ListBucketMultipartUploads", bucket)],
        "HeadObject" | "GetObject" => vec![on("s3:GetObject")],
        "GetObjectAcl" => vec![on("s3:GetObjectAcl")],
        "PutObjectAcl" => vec![on("s3:PutObjectAcl")],
        "GetObjectTagging" => vec![on("s3:GetObjectTagging")],
        "PutObject" | "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload" => vec![on("s3:PutObject")],
        "CopyObject" | "UploadPartCopy" => vec![on("s3:PutObject"), source],
        "AbortMultipartUpload" => vec![on("s3:AbortMultipartUpload")],
        "ListParts" => vec![on("s3:ListMultipartUploadParts")],
        "DeleteObject" => vec![on("s3:DeleteObject")],
        // Its keys are in its body; which prefix they have is told by what was there.
        "DeleteObjects" => vec![("s3:DeleteObject", format!("{bucket}/{PREFIX}.mediasync/"))],
        other => panic!("say what {other} needs"),
    };
    let grants = ["x-amz-acl", "x-amz-grant-read", "x-amz-grant-full-control", "x-amz-grant-read-acp"];
    if grants.iter().any(|name| !entry.header(name).is_empty()) {
        all.push(on("s3:PutObjectAcl"));
    }
    if !entry.header("x-amz-tagging").is_empty() {
        all.push(on("s3:PutObjectTagging"));
    }
    all
}

/// What a policy allows: actions with the resource, which may end with a star.
fn allowed(policy: &Value) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for statement in policy["Statement"].as_array().unwrap() {
        let resource = statement["Resource"].as_str().unwrap().strip_prefix("arn:aws:s3:::").unwrap();
        let actions = statement["Action"].as_array().unwrap().iter();
        all.extend(actions.map(|action| (action.as_str().unwrap().to_owned(), resource.to_owned())));
    }
    all
}

fn is_allowed(policy: &[(String, String)], (action, on): &Asked) -> bool {
    policy.iter().any(|(allowed, resource)| {
        let fits = resource.strip_suffix('*').map_or(resource == on, |start| on.starts_with(start));
        allowed == action && fits
    })
}

/// A job between the media directory and the bucket, or the other way round.
fn configure(sandbox: &Sandbox, mode: &str, source_is_remote: bool) {
    configure_with(sandbox, mode, source_is_remote, "acl = \"public-read\"");
}

fn configure_with(sandbox: &Sandbox, mode: &str, source_is_remote: bool, acl: &str) {
    let media = sandbox.path("media");
    let (media, remote) = (media.to_str().unwrap(), "live:");
    let (source, dest) = if source_is_remote { (remote, media) } else { (media, remote) };
    // A mirror takes the ACL of the remote, not that of a DSN.
    sandbox.configure_as(&format!(
        "[remote.live]\ndsn = \"env:DEFAULT_STORAGE_DSN\"\n{acl}\n\n[[job]]\nname = \"m\"\n\
         source = {source:?}\ndestination = {dest:?}\n{mode}\n"
    ));
}

fn policy(sandbox: &Sandbox) -> Vec<(String, String)> {
    let ran = sandbox.by_config(&["doctor", "--policy", "m"]).exits(0);
    allowed(&serde_json::from_str(&ran.stdout).unwrap())
}

/// Everything that was asked since the log was cleared is allowed; gives the actions.
#[track_caller]
fn assert_covered(sandbox: &Sandbox, policy: &[(String, String)]) -> BTreeSet<&'static str> {
    let asked: Vec<Asked> = sandbox.server.requests().iter().flat_map(needed).collect();
    for one in &asked {
        assert!(is_allowed(policy, one), "{one:?} is not in {policy:#?}");
    }
    asked.into_iter().map(|(action, _)| action).collect()
}

#[track_caller]
fn assert_all_used(policy: &[(String, String)], used: &BTreeSet<&'static str>) {
    let given: BTreeSet<&str> = policy.iter().map(|(action, _)| action.as_str()).collect();
    let unused: Vec<&&str> = given.difference(used).collect();
    assert!(unused.is_empty(), "nobody uses {unused:?}");
}

fn tagged() -> ObjectSpec {
    let tagging = Some("team=press".to_owned());
    ObjectSpec { attributes: Attributes { tagging, ..Attributes::default() }, ..ObjectSpec::default() }
}

/// A run is killed while a request of this kind waits for its answer; of parts, the second one.
fn killed_at(sandbox: &Sandbox, operation: &'static str) {
    let fired = || sandbox.server.faults(|faults| faults.fired());
    let before = fired();
    let slow = Rule::new(operation, Effect::Delay(Duration::from_secs(60)));
    sandbox.server.faults(|faults| faults.add(if operation == "UploadPart" { slow.skip(1) } else { slow }));
    let config = sandbox.path("config.toml");
    let (run, begun) = (sandbox.start(&["--config", config.to_str().unwrap(), "sync", "m"]), Instant::now());
    while fired() == before {
        assert!(begun.elapsed() < Duration::from_secs(30), "{operation} is sent");
        std::thread::sleep(Duration::from_millis(2));
    }
    run.kill();
    sandbox.server.faults(Faults::clear);
}

/// Runs that do everything that a mode can do at the bucket.
fn live(sandbox: &Sandbox, policy: &[(String, String)]) -> BTreeSet<&'static str> {
    let sync = |code: i32| {
        sandbox.by_config(&["sync", "m", "--max-delete", "100"]).exits(code);
    };
    sandbox.write("a.jpg", "a");
    sandbox.write("b/c.jpg", "the content of c");
    sandbox.write("large.bin", bytes(1, 20 << 20));
    killed_at(sandbox, "UploadPart");
    sync(0);
    // Somebody gave it tags; it is overwritten, renamed and, where the mode deletes, deleted.
    sandbox.bucket.put_with(&format!("{PREFIX}tagged.jpg"), "1", tagged());
    sandbox.write("tagged.jpg", "1");
    sync(0);
    sandbox.write("tagged.jpg", "2 changed");
    sandbox.write("large.bin", bytes(2, 20 << 20));
    sync(0);
    std::fs::rename(sandbox.media("b/c.jpg"), sandbox.media("moved.jpg")).unwrap();
    sandbox.remove("a.jpg");
    sync(0);
    // An upload of other content, and one of which only the intent is known.
    sandbox.write("large.bin", bytes(3, 20 << 20));
    killed_at(sandbox, "UploadPart");
    sandbox.write("large.bin", bytes(4, 20 << 20));
    killed_at(sandbox, "CreateMultipartUpload");
    sandbox.write("large.bin", bytes(5, 20 << 20));
    sync(0);
    assert_covered(sandbox, policy)
}

#[test]
fn what_runs_send_is_what_the_policy_of_their_mode_allows() {
    for mode in ["mode = \"copy\"", "mode = \"copy\"\ndelete = true", "mode = \"mirror\"", "mode = \"two-way\""] {
        let sandbox = Sandbox::new();
        configure(&sandbox, mode, false);
        let policy = policy(&sandbox);
        assert_eq!(sandbox.server.requests().len(), 0, "nothing is asked for it");
        let used = live(&sandbox, &policy);
        assert_all_used(&policy, &used);
        let deletes = |on: &str| is_allowed(&policy, &("s3:DeleteObject", format!("{BUCKET}/{PREFIX}{on}")));
        assert_eq!((deletes("a.jpg"), deletes(".mediasync/x")), (mode != "mode = \"copy\"", true), "{mode}");
    }
}

/// An overwrite and a renaming send again the ACL that was there, which needs the same right as a new one.
#[test]
fn objects_that_are_public_stay_it_where_no_acl_is_stated_and_the_policy_allows_that() {
    for mode in ["mode = \"copy\"\ndelete = true", "mode = \"mirror\"", "mode = \"two-way\""] {
        let mut sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "the content of b")]);
        let dsn = sandbox.dsn(&format!("endpoint={}&acl=", sandbox.server.endpoint()));
        sandbox.env("DEFAULT_STORAGE_DSN", &dsn);
        configure_with(&sandbox, mode, false, "");
        let policy = policy(&sandbox);
        sandbox.by_config(&["sync", "m"]).exits(0);
        assert_covered(&sandbox, &policy);
        sandbox.by_config(&["acl", "set", "public-read", "-r", "live:"]).exits(0);
        sandbox.server.clear_log();
        sandbox.write("a.jpg", "a changed");
        std::fs::rename(sandbox.media("b.jpg"), sandbox.media("moved.jpg")).unwrap();
        sandbox.by_config(&["sync", "m", "--max-delete", "100"]).exits(0);
        assert!(assert_covered(&sandbox, &policy).contains("s3:PutObjectAcl"), "{mode}");
        for key in ["a.jpg", "moved.jpg"] {
            assert_eq!(sandbox.bucket.get(&format!("{PREFIX}{key}")).unwrap().acl.name, "public-read", "{mode} {key}");
        }
        // Header rules that change the ACL alone.
        let rule = "[[job.header]]\nmatch = \"*\"\nacl = \"private\"";
        configure_with(&sandbox, &format!("{mode}\n{rule}"), false, "");
        sandbox.server.clear_log();
        sandbox.by_config(&["sync", "m"]).exits(0);
        assert!(sandbox.server.count("PutObjectAcl") == 2 && sandbox.server.count("CopyObject") == 0, "{mode}");
        assert_covered(&sandbox, &policy);
    }
}

#[test]
fn a_bucket_that_keeps_versions_needs_no_more() {
    let sandbox = Sandbox::new();
    sandbox.bucket.set_versioning(Versioning::Enabled);
    configure(&sandbox, "mode = \"mirror\"", false);
    live(&sandbox, &policy(&sandbox));
}

#[test]
fn what_is_only_read_needs_no_more_than_to_be_listed_and_read() {
    let sandbox = Sandbox::new();
    sandbox.put("a.jpg", "a");
    sandbox.put("large.bin", bytes(1, 20 << 20));
    sandbox.bucket.put_with(&format!("{PREFIX}tagged.jpg"), "1", tagged());
    configure(&sandbox, "mode = \"mirror\"", true);
    let policy = policy(&sandbox);
    sandbox.by_config(&["sync", "m"]).exits(0);
    sandbox.put("a.jpg", "a changed");
    sandbox.by_config(&["sync", "m"]).exits(0);
    assert_all_used(&policy, &assert_covered(&sandbox, &policy));
    assert_eq!(sandbox.server.changing_requests().len(), 0);
}

#[test]
fn a_request_outside_of_the_policy_would_be_seen() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "mode = \"copy\"", false);
    let policy = policy(&sandbox);
    for (action, on, may) in [
        ("s3:PutObject", format!("{BUCKET}/{PREFIX}a"), true),
        ("s3:PutObject", format!("{BUCKET}/other/a"), false),
        ("s3:PutObject", "other/site/a".to_owned(), false),
        ("s3:DeleteObject", format!("{BUCKET}/{PREFIX}a"), false),
        ("s3:PutBucketPolicy", BUCKET.to_owned(), false),
    ] {
        assert_eq!(is_allowed(&policy, &(action, on.clone())), may, "{action} {on}");
    }
}
