//! What goes wrong on the way to the bucket: got over where that is safe, and else told so that a person knows what to
//! change.

use std::net::TcpListener;

use crate::support::s3::{Acls, Conditional, Effect, Region, Rule, Support};
use crate::support::sandbox::{BUCKET, PREFIX, REMOTE, Ran, Sandbox, bytes};

fn fail(sandbox: &Sandbox, operation: &'static str, key: &str, effect: Effect, times: usize) {
    sandbox.server.faults(|faults| faults.add(Rule::new(operation, effect).key(key).times(times)));
}

fn small() -> Sandbox {
    Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")])
}

/// A push with another DSN fails with this code, changes nothing, and says these texts.
fn refuses(dsn: &str, code: i32, says: &[&str]) -> Ran {
    let mut sandbox = small();
    sandbox.env("DEFAULT_STORAGE_DSN", dsn);
    let ran = sandbox.push(&[]).exits(code).says(says);
    sandbox.assert_changes(&[]);
    assert_eq!(sandbox.bucket.keys(), Vec::<String>::new());
    // It may have been mistyped: nobody hears of it again.
    sandbox.run(&["status"]).exits(0).says(&["nothing has run yet"]);
    ran
}

#[test]
fn refusals_for_now_are_got_over() {
    for (status, code) in [(503, "SlowDown"), (429, "TooManyRequests"), (500, "InternalError")] {
        let sandbox = small();
        fail(&sandbox, "ListObjectsV2", "*", Effect::Status(status, code), 1);
        fail(&sandbox, "PutObject", "site/a.jpg", Effect::Status(status, code), 2);
        sandbox.push(&[]).exits(0);
        assert_eq!(sandbox.server.faults(|faults| faults.fired()), 3);
        sandbox.assert_equal();
        sandbox.assert_second_run_does_nothing(&[]);
    }
}

#[test]
fn lost_answers_and_resets_send_nothing_twice_and_conflict_with_nobody() {
    let sandbox = small();
    sandbox.push(&[]).exits(0);
    sandbox.write("a.jpg", "changed");
    sandbox.write("c.jpg", "new");
    sandbox.remove("b.jpg");
    fail(&sandbox, "PutObject", "site/a.jpg", Effect::LoseAnswer, 1);
    fail(&sandbox, "PutObject", "site/c.jpg", Effect::Reset, 1);
    fail(&sandbox, "DeleteObject", "site/b.jpg", Effect::LoseAnswer, 1);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.assert_equal();
    sandbox.assert_second_run_does_nothing(&["--delete"]);
}

#[test]
fn a_batch_of_deletions_with_errors_inside_tells_them_key_by_key() {
    let sandbox = Sandbox::new();
    for n in 0..6 {
        sandbox.write(&format!("{n}.jpg"), format!("{n}"));
    }
    sandbox.push(&["--delete"]).exits(0);
    for n in 1..5 {
        sandbox.remove(&format!("{n}.jpg"));
    }
    fail(&sandbox, "DeleteObjects", "site/2.jpg", Effect::KeyErrors("AccessDenied"), usize::MAX);
    let ran = sandbox.push(&["--delete"]).exits(3).says(&["2.jpg", "s3:DeleteObject", "media"]);
    assert!(!ran.all().contains("3.jpg"), "{ran:?}");
    let keys: Vec<String> = sandbox.remote().into_keys().collect();
    assert_eq!(keys, ["0.jpg", "2.jpg", "5.jpg"]);
    sandbox.server.faults(crate::support::s3::Faults::clear);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.assert_equal();
    sandbox.assert_second_run_does_nothing(&["--delete"]);
}

#[test]
fn success_with_an_error_inside_is_no_success() {
    let sandbox = small();
    sandbox.write("large.bin", bytes(1, 9 * 1024 * 1024));
    fail(&sandbox, "CompleteMultipartUpload", "*", Effect::OkWithError("InternalError"), 1);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.assert_equal();
    // A copy that says 200 and means no: the content is sent instead.
    std::fs::rename(sandbox.media("a.jpg"), sandbox.media("moved.jpg")).unwrap();
    fail(&sandbox, "CopyObject", "site/moved.jpg", Effect::OkWithError("InternalError"), usize::MAX);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.assert_equal();
    sandbox.assert_second_run_does_nothing(&["--delete"]);
}

#[test]
fn a_redirect_without_a_target_is_an_error_that_names_the_setting() {
    let sandbox = small();
    fail(&sandbox, "*", "*", Effect::BareRedirect, usize::MAX);
    sandbox.push(&[]).exits(1).says(&["301", "media", "region"]);
    assert_eq!(sandbox.bucket.keys(), Vec::<String>::new());
}

#[test]
fn a_key_that_is_redirected_is_a_problem_and_the_rest_goes_on() {
    let sandbox = small();
    fail(&sandbox, "PutObject", "site/a.jpg", Effect::BareRedirect, usize::MAX);
    let ran = sandbox.push(&[]);
    assert!(matches!(ran.code, 1 | 3), "{ran:?}");
    assert!(!sandbox.remote().contains_key("a.jpg"));
}

#[test]
fn a_wrong_region_is_recovered_once() {
    for region in [Region::Redirect("eu-north-1".into()), Region::Malformed("eu-north-1".into())] {
        let sandbox = small();
        sandbox.server.quirks(|quirks| quirks.region = region);
        sandbox.push(&[]).exits(0);
        sandbox.assert_equal();
        sandbox.assert_second_run_does_nothing(&[]);
        let statuses: Vec<_> = sandbox.server.requests().iter().map(|entry| entry.status).collect();
        assert!(statuses.iter().all(|status| matches!(status, Some(200 | 206))), "not remembered: {statuses:?}");
    }
}

#[test]
fn a_missing_permission_is_named_with_the_bucket() {
    for (operation, permission) in [("ListObjectsV2", "s3:ListBucket"), ("PutObject", "s3:PutObject")] {
        let sandbox = small();
        fail(&sandbox, operation, "*", Effect::Status(403, "AccessDenied"), usize::MAX);
        sandbox.push(&[]).exits(1).says(&["error: ", BUCKET, permission]);
        assert_eq!(sandbox.bucket.keys(), Vec::<String>::new());
    }
}

#[test]
fn a_key_that_may_not_be_written_is_told_and_the_rest_goes_on() {
    let sandbox = small();
    fail(&sandbox, "PutObject", "site/a.jpg", Effect::Status(403, "AccessDenied"), usize::MAX);
    sandbox.push(&[]).exits(3).says(&["a.jpg", "s3:PutObject"]);
    let keys: Vec<String> = sandbox.remote().into_keys().collect();
    assert_eq!(keys, ["b.jpg"]);
}

#[test]
fn wrong_keys_are_told_as_such() {
    let sandbox = Sandbox::new();
    let right = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint()));
    for (from, to, says) in [("AKIA", "BKIA", "access key"), ("knows@", "knows-not@", "secret")] {
        let mut sandbox = small();
        let dsn = right.replace(from, to);
        assert_ne!(dsn, right);
        sandbox.env("DEFAULT_STORAGE_DSN", &dsn);
        sandbox.push(&[]).exits(1).says(&["error: ", says]).never_says("knows");
    }
}

#[test]
fn a_bucket_that_is_not_there_is_named() {
    let sandbox = Sandbox::new();
    let dsn = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint())).replace("@media/", "@no-such-bucket/");
    refuses(&dsn, 1, &["error: ", "no-such-bucket", "bucket"]);
}

#[test]
fn a_host_that_does_not_resolve_is_named() {
    refuses("s3://AK:SK@media/site?endpoint=http://name.invalid", 1, &["error: ", "name.invalid", "endpoint"]);
}

#[test]
fn an_endpoint_that_does_not_answer_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dsn = format!("s3://AK:SK@media/site?endpoint=http://{free}");
    refuses(&dsn, 1, &["error: ", &free.to_string(), "endpoint"]);
}

#[test]
fn an_endpoint_without_tls_is_told_as_such() {
    let sandbox = Sandbox::new();
    let https = sandbox.server.endpoint().replace("http://", "https://");
    let host = https.trim_start_matches("https://").to_owned();
    refuses(&sandbox.dsn(&format!("endpoint={https}")), 1, &["error: ", "TLS", &host, "endpoint"]);
}

#[test]
fn an_endpoint_that_is_none_is_a_mistake_of_the_user() {
    for endpoint in ["ftp://example.org", "http://", "not%20a%20host"] {
        refuses(&format!("s3://AK:SK@media/site?endpoint={endpoint}"), 2, &["error: ", "DEFAULT_STORAGE_DSN"]);
    }
}

#[test]
fn an_endpoint_that_is_no_s3_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // A web server that answers everything with a page.
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            if stream.read(&mut request).is_ok() {
                let page = "<!doctype html><title>It works</title>";
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", page.len());
                drop(stream.write_all(format!("{head}{page}").as_bytes()));
            }
        }
    });
    refuses(&format!("s3://AK:SK@media/site?endpoint=http://{address}"), 1, &["error: ", &address.to_string()]);
}

#[test]
fn a_variable_that_is_not_set_is_named() {
    let mut sandbox = small();
    sandbox.env("DEFAULT_STORAGE_DSN", "");
    sandbox.push(&[]).exits(2).says(&["DEFAULT_STORAGE_DSN"]);
    sandbox.env("DEFAULT_STORAGE_DSN", "nonsense");
    sandbox.push(&[]).exits(2).says(&["DEFAULT_STORAGE_DSN"]).never_says("nonsense");
}

#[test]
fn a_bucket_that_refuses_acls_is_told_once_and_filled() {
    for acls in [Acls::Refused, Acls::NotImplemented, Acls::Ignored] {
        let sandbox = small();
        sandbox.write("large.bin", bytes(1, 9 * 1024 * 1024));
        sandbox.server.quirks(|quirks| quirks.acls = acls);
        let ran = sandbox.push(&["--concurrency", "1"]).exits(0);
        sandbox.assert_equal();
        let told = ran.stderr.lines().filter(|line| line.contains("object ACLs")).count();
        assert_eq!(told, 1, "{acls:?}: {ran:?}");
        sandbox.assert_second_run_does_nothing(&[]);
    }
}

/// Of each server without ACLs that have an effect: what is said by a run, a dry run, `doctor` and `url` is the same.
#[test]
fn a_server_that_ignores_acls_is_told_alike_everywhere() {
    let way_out = "let the bucket's policy allow it";
    for (acls, says) in [(Acls::Unheard, "ignores the ACLs of uploads"), (Acls::Ignored, "has no object ACLs")] {
        let sandbox = small();
        sandbox.write("large.bin", bytes(1, 9 * 1024 * 1024));
        sandbox.server.quirks(|quirks| quirks.acls = acls);
        // The first run finds it out, by one question about one of its objects.
        let ran = sandbox.push(&[]).exits(0).says(&[says, "public-read", way_out]);
        assert_eq!(ran.stderr.matches(says).count(), 1, "{ran:?}");
        let asked = || sandbox.requested("GetObjectAcl").into_iter().filter(|key| !key.contains(".mediasync")).count();
        assert_eq!(asked(), usize::from(acls == Acls::Unheard));
        // The next one knows it.
        sandbox.write("new.txt", "new");
        let ran = sandbox.push(&["--dry-run"]).exits(0).says(&[says, way_out]).never_says("everybody may read them");
        assert_eq!(ran.stderr.matches(says).count(), 1, "{ran:?}");
        let ran = sandbox.push(&[]).exits(0).says(&[says, way_out]).never_says("everybody may read them");
        assert_eq!(ran.stderr.matches(says).count(), 1, "{ran:?}");
        let url = format!("{REMOTE}/new.txt");
        let ran = sandbox.run(&["url", &url]).exits(0).says(&[says, way_out, "--sign 1h"]);
        assert!(ran.stdout.starts_with("http") && ran.stdout.lines().count() == 1, "{ran:?}");
        for more in [&["-n"][..], &[]] {
            let ran = sandbox.run(&[&["doctor", "--json", REMOTE], more].concat()).exits(0);
            for name in ["permission-put-acl", "public-access"] {
                let told = ran.json().into_iter().find(|line| line["name"] == name).unwrap();
                assert!(told["found"].as_str().unwrap().contains(says), "{name}: {ran:?}");
                assert!(told["fix"].as_str().unwrap().contains(way_out), "{name}: {ran:?}");
            }
        }
        assert_eq!(sandbox.own_keys(), ["id"]);
        // It learns: found out anew, once it is mended.
        sandbox.server.quirks(|quirks| quirks.acls = Acls::Supported);
        sandbox.write("other.txt", "other");
        sandbox.push(&[]).exits(0);
        if acls == Acls::Unheard {
            sandbox.push(&["--dry-run"]).exits(0).never_says(says).says(&["everybody may read them"]);
        }
    }
    // Where they have an effect, that is seen once and never asked again.
    let sandbox = small();
    sandbox.push(&[]).exits(0).never_says("ACLs of uploads");
    let asked = || sandbox.requested("GetObjectAcl").into_iter().filter(|key| !key.contains(".mediasync")).count();
    assert_eq!(asked(), 1);
    sandbox.write("new.txt", "new");
    sandbox.server.clear_log();
    sandbox.push(&[]).exits(0);
    assert_eq!(asked(), 0);
}

#[test]
fn a_server_that_knows_little_is_synced_all_the_same() {
    let sandbox = small();
    sandbox.server.quirks(|quirks| {
        quirks.put_conditions = Conditional::Ignored;
        quirks.delete_conditions = Conditional::Ignored;
        quirks.copies = Support::Missing;
        quirks.list_uploads = Support::Missing;
    });
    sandbox.push(&["--delete"]).exits(0).says(&["preconditions"]);
    sandbox.assert_equal();
    std::fs::rename(sandbox.media("a.jpg"), sandbox.media("moved.jpg")).unwrap();
    // What it can't copy it can't keep either.
    sandbox.push(&["--delete"]).exits(3).says(&["a.jpg can't be kept", "--trash off"]);
    sandbox.push(&["--delete", "--trash", "off"]).exits(0);
    sandbox.assert_equal();
    sandbox.put("b.jpg", "somebody else's");
    sandbox.remove("b.jpg");
    sandbox.push(&["--delete"]).exits(3).says(&["conflict: b.jpg"]);
    assert!(sandbox.bucket.get(&format!("{PREFIX}b.jpg")).is_some());
    sandbox.push(&["--delete", "--overwrite", "--trash", "off"]).exits(0);
    sandbox.assert_equal();
}

#[test]
fn a_server_outside_aws_needs_no_metadata_service_for_its_region() {
    let metadata = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sandbox = small();
    let (key, secret) = (sandbox.server.access_key().to_owned(), sandbox.server.secret_key().to_owned());
    sandbox.env("AWS_ACCESS_KEY_ID", &key);
    sandbox.env("AWS_SECRET_ACCESS_KEY", &secret);
    sandbox.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &format!("http://{}", metadata.local_addr().unwrap()));
    let remote =
        format!("[remote.chain]\nurl = \"s3://{BUCKET}/{PREFIX}\"\nendpoint = \"{}\"\n", sandbox.server.endpoint());
    std::fs::write(sandbox.path("work/mediasync.toml"), remote).unwrap();
    let media = sandbox.path("media");
    sandbox.run(&["push", media.to_str().unwrap(), "chain:"]).exits(0);
    sandbox.assert_equal();
    metadata.set_nonblocking(true).unwrap();
    assert!(metadata.accept().is_err(), "the metadata service was asked");
}

/// Pushes to the bucket with the credentials of a profile, which `config` is added to.
fn push_with_profile(sandbox: &Sandbox, config: &str) -> Ran {
    std::fs::create_dir_all(sandbox.path("home/.aws")).unwrap();
    std::fs::write(sandbox.path("home/.aws/config"), format!("[profile media]\nregion = us-east-1\n{config}\n"))
        .unwrap();
    let endpoint = sandbox.server.endpoint();
    let remote =
        format!("[remote.prof]\nurl = \"s3://{BUCKET}/{PREFIX}\"\nendpoint = \"{endpoint}\"\nprofile = \"media\"\n");
    std::fs::write(sandbox.path("work/mediasync.toml"), remote).unwrap();
    sandbox.run(&["push", sandbox.path("media").to_str().unwrap(), "prof:"])
}

#[test]
fn a_profile_that_is_named_is_used_whatever_the_variables_say() {
    let mut sandbox = small();
    let (key, secret) = (sandbox.server.access_key().to_owned(), sandbox.server.secret_key().to_owned());
    sandbox.env("AWS_ACCESS_KEY_ID", "SOMEBODYELSE");
    sandbox.env("AWS_SECRET_ACCESS_KEY", "of-another-account");
    push_with_profile(&sandbox, &format!("aws_access_key_id = {key}\naws_secret_access_key = {secret}")).exits(0);
    sandbox.assert_equal();
    // The other way round the variables would do, and are not what was asked for.
    sandbox.env("AWS_ACCESS_KEY_ID", &key);
    sandbox.env("AWS_SECRET_ACCESS_KEY", &secret);
    sandbox.write("new.jpg", "new");
    push_with_profile(&sandbox, "").exits(1).says(&["the profile \"media\" gives no usable credentials"]);
    assert!(!sandbox.remote().contains_key("new.jpg"));
}

#[test]
fn half_a_key_and_a_profile_that_is_not_there_are_told_as_such() {
    let mut sandbox = small();
    let home = sandbox.path("home");
    std::fs::create_dir_all(home.join(".aws")).unwrap();
    sandbox.env("HOME", home.to_str().unwrap());
    sandbox.env("AWS_EC2_METADATA_DISABLED", "true");
    sandbox.env("AWS_ENDPOINT_URL", &sandbox.server.endpoint());
    let media = sandbox.path("media").to_str().unwrap().to_owned();
    let push = |sandbox: &Sandbox| sandbox.run(&["push", &media, "s3://media/site"]);
    let doctor = |sandbox: &Sandbox| sandbox.run(&["doctor", "s3://media/site"]);
    sandbox.env("AWS_ACCESS_KEY_ID", sandbox.server.access_key());
    let told = ["AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not", "Set AWS_SECRET_ACCESS_KEY"];
    push(&sandbox).exits(1).says(&told);
    doctor(&sandbox).exits(3).says(&told).says(&["fail  credentials: "]);
    sandbox.env("AWS_SECRET_ACCESS_KEY", "wrong");
    push(&sandbox).exits(1).says(&["Check AWS_SECRET_ACCESS_KEY"]).never_says("DSN");
    sandbox.env("AWS_SECRET_ACCESS_KEY", sandbox.server.secret_key());
    doctor(&sandbox).exits(0).says(&["they come from the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"]);
    sandbox.env("AWS_ACCESS_KEY_ID", "");
    sandbox.env("AWS_SECRET_ACCESS_KEY", "");
    sandbox.env("AWS_PROFILE", "typo");
    let told = ["the profile \"typo\" gives no usable credentials", "~/.aws/credentials"];
    push(&sandbox).exits(1).says(&told);
    doctor(&sandbox).exits(3).says(&told);
    let (key, secret) = (sandbox.server.access_key(), sandbox.server.secret_key());
    let text = format!("[typo]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
    std::fs::write(home.join(".aws/credentials"), text).unwrap();
    doctor(&sandbox).exits(0).says(&["they come from the profile \"typo\""]);
}

#[test]
fn credentials_that_ran_out_are_fetched_again() {
    let sandbox = small();
    let (key, secret) = (sandbox.server.access_key(), sandbox.server.secret_key());
    let script = sandbox.path("work/credentials.sh");
    let calls = sandbox.path("work/calls");
    let answer = format!("{{\"Version\":1,\"AccessKeyId\":\"{key}\",\"SecretAccessKey\":\"{secret}\"}}");
    let text = format!("#!/bin/sh\necho called >> {}\necho '{answer}'\n", calls.display());
    std::fs::write(&script, text).unwrap();
    sandbox.server.faults(|faults| {
        faults.add(Rule::new("PutObject", Effect::Status(400, "ExpiredToken")).key("site/b.jpg").times(1));
    });
    sandbox.write("b.jpg", "b");
    push_with_profile(&sandbox, &format!("credential_process = sh {}", script.display())).exits(0);
    sandbox.assert_equal();
    // The SDK and the way past it ask for themselves: twice before, twice after.
    let calls = std::fs::read_to_string(calls).unwrap().lines().count();
    assert!(calls > 2, "{calls}");
}
