//! `cors get`, `cors set` and `cors delete`.

use std::fs;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::s3::{ChecksumSupport, Effect, Rule};
use crate::support::sandbox::{Ran, Sandbox};

fn cors(sandbox: &Sandbox, args: &[&str]) -> Ran {
    sandbox.run(&[&["cors"], args].concat())
}

const LIVE: &str = "env:DEFAULT_STORAGE_DSN";

fn file(sandbox: &Sandbox, rules: &Value) -> String {
    let path = sandbox.path("work/cors.json");
    fs::write(&path, rules.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The rules that the bucket has now.
fn held(sandbox: &Sandbox) -> Value {
    cors(sandbox, &["get", LIVE, "--json"]).exits(0).line("cors")["rules"].clone()
}

fn rule(origin: &str, methods: &[&str]) -> Value {
    json!({"AllowedOrigins": [origin], "AllowedMethods": methods})
}

#[test]
fn a_rule_is_set_from_flags_shown_and_printed_as_a_file_takes_it() {
    let sandbox = Sandbox::new();
    let ran = cors(&sandbox, &["get", LIVE]).exits(0).says(&["s3://media has no CORS rules"]);
    assert_eq!(serde_json::from_str::<Value>(&ran.stdout).unwrap(), json!({"CORSRules": []}));
    let set = ["set", LIVE, "--allow-origin", "*", "--method", "get,HEAD", "--expose", "ETag", "--max-age", "3000"];
    sandbox.server.clear_log();
    let ran = cors(&sandbox, &[&set[..], &["-n"]].concat()).exits(0);
    ran.says(&[
        "+ *  GET, HEAD  exposed: ETag  max-age: 3000",
        "Would change the CORS rules of s3://media: 0 removed, 1 added, 0 kept.",
    ]);
    sandbox.assert_changes(&[]);
    cors(&sandbox, &set).exits(0).says(&["Changed the CORS rules of s3://media: 0 removed, 1 added, 0 kept."]);
    sandbox.assert_changes(&["PutBucketCors "]);
    let expected = json!({"AllowedOrigins": ["*"], "AllowedMethods": ["GET", "HEAD"], "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 3000});
    assert_eq!(held(&sandbox), json!([expected]));
    sandbox.server.clear_log();
    cors(&sandbox, &set).exits(0).says(&["are like this already"]);
    sandbox.assert_changes(&[]);
    // What is printed is taken again.
    let printed = cors(&sandbox, &["get", LIVE]).exits(0).stdout;
    fs::write(sandbox.path("work/printed.json"), printed).unwrap();
    cors(&sandbox, &["set", LIVE, "--file", "printed.json"]).exits(0).says(&["are like this already"]);
}

#[test]
fn content_md5_is_sent_and_fits_the_rules() {
    let sandbox = Sandbox::new();
    // Servers that know no other checksum refuse it.
    sandbox.server.quirks(|quirks| quirks.checksums = ChecksumSupport::Refused);
    cors(&sandbox, &["set", LIVE, "--allow-origin", "https://a.example"]).exits(0);
    let sent = sandbox.server.changing_requests();
    let md5 = base64::engine::general_purpose::STANDARD.decode(sent[0].header("content-md5")).unwrap();
    assert_eq!((sent[0].call.operation, md5.len()), ("PutBucketCors", 16));
    assert_eq!(held(&sandbox), json!([rule("https://a.example", &["GET", "HEAD"])]));
}

#[test]
fn rules_of_others_stay_and_what_would_be_allowed_no_more_wants_replace() {
    let sandbox = Sandbox::new();
    let (app, cdn) = (rule("https://app.example", &["PUT"]), rule("*", &["GET"]));
    let both = file(&sandbox, &json!({"CORSRules": [app, cdn]}));
    cors(&sandbox, &["set", LIVE, "--file", &both]).exits(0);
    // One more, and a wider one for the same pages.
    cors(&sandbox, &["set", LIVE, "--allow-origin", "https://new.example"])
        .exits(0)
        .says(&["0 removed, 1 added, 2 kept"]);
    let wider = ["set", LIVE, "--allow-origin", "*", "--method", "GET,HEAD"];
    cors(&sandbox, &wider).exits(0).says(&["- *  GET\n", "+ *  GET, HEAD\n", "1 removed, 1 added, 2 kept"]);
    let after = json!([app, rule("*", &["GET", "HEAD"]), rule("https://new.example", &["GET", "HEAD"])]);
    assert_eq!(held(&sandbox), after);

    let only = file(&sandbox, &json!([rule("*", &["GET", "HEAD"])]));
    for args in [&["--file", &only][..], &["--allow-origin", "https://app.example", "--method", "GET"]] {
        sandbox.server.clear_log();
        let set = [&["set", LIVE], args].concat();
        let ran = cors(&sandbox, &set).exits(4);
        ran.says(&[
            "- https://app.example  PUT",
            "1 rule that s3://media has now would allow less",
            "nothing was changed",
            "--replace",
        ]);
        cors(&sandbox, &[&set[..], &["-n"]].concat()).exits(0).says(&["- https://app.example  PUT", "wants --replace"]);
        sandbox.assert_changes(&[]);
        assert_eq!(held(&sandbox), after);
    }
    let line = cors(&sandbox, &["set", LIVE, "--file", &only, "--replace", "--json"]).exits(0).line("cors-change");
    assert_eq!(
        (&line["stage"], &line["lost"], &line["kept"]),
        (&json!("done"), &json!([app]), &json!([rule("*", &["GET", "HEAD"])]))
    );
    assert_eq!(held(&sandbox), json!([rule("*", &["GET", "HEAD"])]));
}

#[test]
fn all_rules_are_deleted_only_after_a_yes() {
    let sandbox = Sandbox::new();
    cors(&sandbox, &["delete", LIVE, "--yes"]).exits(0).says(&["has no CORS rules"]);
    cors(&sandbox, &["set", LIVE, "--allow-origin", "https://a.example"]).exits(0);
    sandbox.server.clear_log();
    cors(&sandbox, &["delete", LIVE, "-n"]).exits(0).says(&["- https://a.example  GET, HEAD", "Would change"]);
    cors(&sandbox, &["delete", LIVE]).exits(2).says(&[
        "- https://a.example  GET, HEAD",
        "deletes all CORS rules of s3://media",
        "--yes",
    ]);
    sandbox.assert_changes(&[]);
    cors(&sandbox, &["delete", LIVE, "--yes"]).exits(0).says(&["1 removed, 0 added, 0 kept"]);
    sandbox.assert_changes(&["DeleteBucketCors "]);
    assert_eq!(held(&sandbox), json!([]));
}

#[test]
fn what_may_not_be_asked_is_told_apart_from_a_key_that_is_good_for_nothing() {
    let sandbox = Sandbox::new();
    let denied = |operation| Rule::new(operation, Effect::Status(403, "AccessDenied")).times(usize::MAX);
    sandbox.server.faults(|faults| faults.add(denied("GetBucketCors")));
    let ran = cors(&sandbox, &["get", LIVE]).exits(1);
    ran.says(&["s3:GetBucketCORS on bucket media is not permitted", "This key may list the bucket"]).says(&[
        "older buckets",
        "s3:PutBucketCORS",
        "arn:aws:s3:::media",
    ]);
    cors(&sandbox, &["set", LIVE, "--allow-origin", "*"]).exits(1).says(&["s3:GetBucketCORS"]);
    sandbox.assert_changes(&[]);
    sandbox.server.faults(|faults| faults.add(denied("ListObjectsV2")));
    cors(&sandbox, &["get", LIVE]).exits(1).says(&["s3:GetBucketCORS"]).never_says("may list");

    let sandbox = Sandbox::new();
    sandbox.server.faults(|faults| faults.add(denied("PutBucketCors")));
    cors(&sandbox, &["set", LIVE, "--allow-origin", "*"]).exits(1).says(&["s3:PutBucketCORS", "may list"]);
    let sandbox = Sandbox::new();
    sandbox.server.faults(|faults| faults.add(Rule::new("GetBucketCors", Effect::Status(501, "NotImplemented"))));
    cors(&sandbox, &["get", LIVE]).exits(1).says(&["has no CORS rules of buckets", "MinIO"]);
}

#[test]
fn a_lost_answer_is_no_change_of_somebody_else() {
    let sandbox = Sandbox::new();
    sandbox.server.faults(|faults| faults.add(Rule::new("PutBucketCors", Effect::LoseAnswer).times(1)));
    cors(&sandbox, &["set", LIVE, "--allow-origin", "https://a.example"]).exits(0);
    assert_eq!(held(&sandbox), json!([rule("https://a.example", &["GET", "HEAD"])]));
}

#[test]
fn mistakes_are_told_with_what_to_write() {
    let usage = ["mediasync cors set [OPTIONS] --allow-origin <ORIGIN> <LOCATION>", "--file <FILE> <LOCATION>"];
    cors(&Sandbox::new(), &["set", "--help"]).exits(0).says(&usage);
    cors(&Sandbox::new(), &["set", "live:"]).exits(2).says(&usage);
    let sandbox = Sandbox::new();
    let media = sandbox.path("media");
    cors(&sandbox, &["get", media.to_str().unwrap()]).exits(2).says(&["is a directory"]);
    for (args, text) in [
        (&["--allow-origin", "www.example.com"][..], "an origin has a scheme"),
        (&["--allow-origin", "https://www.example.com/"], "no slash at its end: write https://www.example.com"),
        (&["--allow-origin", "*", "--method", "FETCH"], "GET, HEAD, PUT, POST, DELETE"),
        (&["--method", "GET"], "--allow-origin"),
        (&[], "--file"),
        (&["--file", "none.json"], "can't read"),
    ] {
        cors(&sandbox, &[&["set", LIVE], args].concat()).exits(2).says(&[text]);
    }
    for (content, text) in [
        ("{\"CORSRules\": [{\"AllowedOrigin\": \"*\"}]}", "AllowedOrigin"),
        ("[]", "cors delete"),
        ("x", "holds no CORS rules"),
    ] {
        fs::write(sandbox.path("work/bad.json"), content).unwrap();
        cors(&sandbox, &["set", LIVE, "--file", "bad.json"]).exits(2).says(&["bad.json", text]);
    }
    assert_eq!(sandbox.server.requests().len(), 0);
    let text = "[remote.live]\ndsn = \"env:DEFAULT_STORAGE_DSN\"\naccess = \"read-only\"\n";
    fs::write(sandbox.path("work/mediasync.toml"), text).unwrap();
    for args in [&["set", LIVE, "--allow-origin", "*", "--yes"][..], &["delete", LIVE, "--yes"]] {
        cors(&sandbox, args).exits(2).says(&["read-only"]);
    }
    sandbox.assert_changes(&[]);
}
