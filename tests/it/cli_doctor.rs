//! `doctor`: each thing that can be wrong is one line, with what to do about it; nothing is written where nothing may be.

use std::net::TcpListener;

use serde_json::Value;

use crate::support::s3::{Acls, Conditional, Effect, Region, Rule};
use crate::support::sandbox::{BUCKET, PREFIX, REMOTE, Ran, Sandbox};
use crate::support::tls::Tls;

/// The check of this name, of `--json`.
#[track_caller]
fn of(ran: &Ran, name: &str) -> Value {
    let found = ran.json().into_iter().find(|line| line["type"] == "check" && line["name"] == name);
    found.unwrap_or_else(|| panic!("no check {name}:\n{ran:?}"))
}

#[track_caller]
fn assert_state(ran: &Ran, name: &str, state: &str) -> Value {
    let check = of(ran, name);
    assert_eq!(check["state"], state, "{check}\n{ran:?}");
    assert_eq!(check["fix"].is_string(), matches!(state, "warn" | "fail"), "{check}");
    check
}

/// What failed, by name.
fn failed(ran: &Ran) -> Vec<String> {
    let failed = ran.json().into_iter().filter(|line| line["state"] == "fail");
    failed.map(|line| line["name"].as_str().unwrap().to_owned()).collect()
}

/// One check fails, says these texts, and what to do; nothing of the secret is shown. The bucket is as it was.
#[track_caller]
fn fails(sandbox: &Sandbox, name: &str, says: &[&str]) -> Ran {
    let ran = sandbox.run(&["doctor", "--json", REMOTE]).exits(3).never_says("only/this/server");
    assert_eq!(failed(&ran), [name], "{ran:?}");
    let check = assert_state(&ran, name, "fail");
    let told = format!("{} {}", check["found"], check["fix"]);
    for text in says {
        assert!(told.contains(text), "{text:?} is missing: {told}");
    }
    assert_eq!(sandbox.bucket.uploads().len(), usize::from(name == "permission-abort"));
    // For people it is one line with its mark, and what to do on the next one.
    let ran = sandbox.run(&["doctor", REMOTE]).exits(3);
    let mut lines = ran.stdout.lines().skip_while(|line| !line.starts_with("fail"));
    assert!(lines.next().unwrap().starts_with(&format!("fail  {name}: ")), "{ran:?}");
    assert!(lines.next().unwrap().starts_with("      fix: "), "{ran:?}");
    ran
}

fn refuse(sandbox: &Sandbox, operation: &'static str) {
    sandbox.server.faults(|faults| {
        faults.clear();
        faults.add(Rule::new(operation, Effect::Status(403, "AccessDenied")));
    });
}

fn with_dsn(dsn: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.env("DEFAULT_STORAGE_DSN", dsn);
    sandbox
}

#[test]
fn what_works_is_told_line_by_line_and_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["doctor", REMOTE]).exits(0).never_says("only/this/server");
    let ran = ran.says(&[
        "ok    dsn: the variable DEFAULT_STORAGE_DSN says bucket media, prefix site/",
        "acl public-read",
        "ok    tcp: ",
        "ok    clock: ",
        "ok    credentials: ",
        "ok    permission-abort: ",
        "ok    permission-put-acl: ",
        "ok    conditional-writes: honoured (tried now)",
        "ok    checksums: ",
        "warn  lifecycle: no rule removes uploads",
        "fix: Add a lifecycle rule with AbortIncompleteMultipartUpload",
        "ok    public-access: nothing stands in the way of public-read",
        "ok    versioning: off",
        " 0 fail, ",
    ]);
    assert_eq!((sandbox.bucket.keys(), sandbox.bucket.uploads().len()), (Vec::<String>::new(), 0), "{ran:?}");
    let quiet = sandbox.run(&["doctor", "-q", REMOTE]).exits(0);
    assert!(
        quiet.stdout.lines().all(|line| line.starts_with("warn  ") || line.starts_with("      fix: ")),
        "{quiet:?}"
    );
    // Without a job, what the platforms hand out is looked at.
    sandbox.bucket.remove_unfinished_uploads();
    let ran = sandbox.run(&["doctor", "--json"]).exits(0);
    assert_state(&ran, "lifecycle", "ok");
    assert_state(&ran, "permission-delete", "ok");
    let line = of(&ran, "dsn");
    assert_eq!((&line["v"], &line["place"], line.get("job")), (&1.into(), &format!("s3://{BUCKET}/site").into(), None));
}

#[test]
fn what_the_first_contact_found_out_is_told_and_not_tried_again() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    sandbox.server.quirks(|quirks| quirks.put_conditions = Conditional::Ignored);
    sandbox.push(&[]).exits(0);
    sandbox.server.clear_log();
    let ran = sandbox.run(&["doctor", "--json", REMOTE]).exits(0);
    let check = assert_state(&ran, "conditional-writes", "warn");
    assert!(check["found"].as_str().unwrap().contains("seen at the first contact"), "{check}");
    assert_eq!(sandbox.server.count("CopyObject"), 0, "no second trial");
    assert_eq!(sandbox.own_keys(), ["id"]);
}

#[test]
fn nothing_is_written_where_nothing_is_to_be_written() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let unwritten = |ran: &Ran, why: &str| {
        assert_eq!(sandbox.server.changing_requests().len(), 0, "{ran:?}");
        for name in ["permission-put", "permission-put-acl", "permission-multipart", "permission-delete"] {
            let check = assert_state(ran, name, "skip");
            assert!(check["found"].as_str().unwrap().contains(why), "{check}");
        }
    };
    unwritten(&sandbox.run(&["doctor", "--json", "-n", REMOTE]).exits(0), "-n was given");
    let remote = |access: &str, job: &str| {
        let live = format!("[remote.live]\ndsn = \"env:DEFAULT_STORAGE_DSN\"\naccess = \"{access}\"\n\n");
        sandbox.configure_as(&format!("{live}{job}"));
    };
    remote("confirm", "");
    unwritten(&sandbox.by_config(&["doctor", "--json", "live:"]).exits(0), "confirm");
    // What is only read needs nothing of that.
    remote("read-only", "");
    let reads_only = |ran: &Ran| {
        assert_eq!(sandbox.server.changing_requests().len(), 0, "{ran:?}");
        assert!(ran.json().iter().all(|line| line["name"] != "permission-put"), "{ran:?}");
        assert_state(ran, "permission-get", "ok");
    };
    reads_only(&sandbox.by_config(&["doctor", "--json", "live:"]).exits(0));
    let media = sandbox.path("media");
    let job = |source: &str, dest: &str| {
        format!("[[job]]\nname = \"m\"\nsource = {source:?}\ndestination = {dest:?}\nmode = \"copy\"\n")
    };
    remote("write", &job("live:", media.to_str().unwrap()));
    reads_only(&sandbox.by_config(&["doctor", "--json", "m"]).exits(0));
    // A job that would write there is told so.
    remote("read-only", &job(media.to_str().unwrap(), "live:"));
    let ran = sandbox.by_config(&["doctor", "--json", "m"]).exits(3);
    assert_eq!(failed(&ran), ["access"], "{ran:?}");
    assert_eq!(sandbox.server.changing_requests().len(), 0, "{ran:?}");
}

#[test]
fn each_permission_that_is_missing_is_named() {
    let sandbox = Sandbox::new();
    for (operation, name, permission) in [
        ("ListObjectsV2", "permission-list", "s3:ListBucket"),
        ("GetObject", "permission-get", "s3:GetObject"),
        ("PutObject", "permission-put", "s3:PutObject"),
        ("CreateMultipartUpload", "permission-multipart", "s3:PutObject"),
        ("DeleteObject", "permission-delete", "s3:DeleteObject"),
    ] {
        refuse(&sandbox, operation);
        fails(&sandbox, name, &[permission, BUCKET]);
    }
    let sandbox = Sandbox::new();
    sandbox.server.quirks(|quirks| quirks.acls = Acls::Blocked);
    let ran = sandbox.run(&["doctor", "--json", REMOTE]).exits(3);
    assert_eq!(failed(&ran), ["permission-put-acl", "public-access"], "{ran:?}");
    let told = of(&ran, "permission-put-acl")["fix"].to_string();
    assert!(told.contains("s3:PutObjectAcl") && told.contains("Block Public Access"), "{told}");
    sandbox.server.quirks(|quirks| quirks.acls = Acls::Refused);
    let ran = sandbox.run(&["doctor", "--json", REMOTE]).exits(0);
    let told = assert_state(&ran, "permission-put-acl", "warn");
    assert!(told["found"].as_str().unwrap().contains("Object Ownership"), "{told}");
    assert_state(&ran, "public-access", "warn");
}

#[test]
fn an_upload_that_can_not_be_aborted_is_told() {
    let sandbox = Sandbox::new();
    refuse(&sandbox, "AbortMultipartUpload");
    let ran = sandbox.run(&["doctor", "--json", REMOTE]).exits(3);
    assert_eq!(failed(&ran), ["permission-abort"], "{ran:?}");
    let told = of(&ran, "permission-abort").to_string();
    assert!(told.contains("s3:AbortMultipartUpload") && told.contains("is left there"), "{told}");
}

#[test]
fn whoever_may_not_ask_for_settings_is_told_so() {
    let sandbox = Sandbox::new();
    for (operation, name) in [("GetBucketVersioning", "versioning"), ("GetBucketLifecycle", "lifecycle")] {
        refuse(&sandbox, operation);
        let ran = sandbox.run(&["doctor", "--json", REMOTE]).exits(0);
        let told = assert_state(&ran, name, "skip");
        assert!(told["found"].as_str().unwrap().contains("nothing else needs it"), "{told}");
    }
}

#[test]
fn wrong_keys_and_a_bucket_that_is_not_there_are_told_as_such() {
    let right = Sandbox::new();
    let dsn = right.dsn(&format!("endpoint={}", right.server.endpoint()));
    for (from, to, name, says) in [
        ("knows@", "knows-not@", "credentials", "secret key"),
        ("AKIA", "BKIA", "credentials", "access key"),
        ("@media/", "@no-such-bucket/", "bucket", "no-such-bucket"),
    ] {
        let wrong = dsn.replace(from, to);
        assert_ne!(wrong, dsn);
        fails(&with_dsn(&wrong), name, &[says]);
    }
}

#[test]
fn a_wrong_region_is_told_with_the_right_one() {
    for region in [Region::Redirect("eu-north-1".into()), Region::Malformed("eu-north-1".into())] {
        let sandbox = Sandbox::new();
        sandbox.server.quirks(|quirks| quirks.region = region);
        let ran = sandbox.run(&["doctor", "--json", REMOTE]).exits(0);
        let told = assert_state(&ran, "region", "warn");
        assert!(told["fix"].as_str().unwrap().contains("region = \"eu-north-1\""), "{told}");
    }
    let sandbox = Sandbox::new();
    sandbox.server.faults(|faults| faults.add(Rule::new("ListObjectsV2", Effect::BareRedirect)));
    let ran = sandbox.run(&["doctor", "--json", REMOTE]).exits(3);
    assert_eq!(failed(&ran), ["region"], "{ran:?}");
}

#[test]
fn a_clock_that_is_two_hours_off_is_told() {
    for (ahead, says) in [(7200, "behind the server's"), (-7200, "ahead of the server's")] {
        let sandbox = Sandbox::with(&[("a.jpg", "a")]);
        sandbox.server.quirks(|quirks| quirks.clock_ahead = ahead);
        fails(&sandbox, "clock", &[says, "900 s", "timedatectl"]);
        // A run goes by the server's clock.
        sandbox.push(&[]).exits(0);
    }
}

#[test]
fn what_is_wrong_on_the_way_is_told_at_the_step_where_it_is() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sandbox = Sandbox::new();
    let host = sandbox.server.endpoint().replace("http://", "");
    for (endpoint, name, says) in [
        ("http://name.invalid".to_owned(), "dns", &["name.invalid", "endpoint"][..]),
        (format!("http://{free}"), "tcp", &["nothing listens on port", "endpoint"]),
        (format!("https://{host}"), "tls", &["does not speak TLS", "http://"]),
        (host.clone(), "dsn", &["https:// or http://"]),
    ] {
        let ran = fails(&with_dsn(&sandbox.dsn(&format!("endpoint={endpoint}"))), name, says);
        // One line says what is wrong; what depends on it is not asked.
        assert!(!ran.stdout.contains("permission-"), "{ran:?}");
    }
    assert_eq!(sandbox.server.changing_requests().len(), 0);
}

#[test]
fn a_certificate_is_told_with_its_end_and_an_endpoint_that_wants_tls_as_such() {
    let mut sandbox = Sandbox::new();
    let tls = Tls::before(&sandbox.server.endpoint());
    let dsn = |scheme: &str| sandbox.dsn(&format!("endpoint={scheme}://{}", tls.host()));
    let (plain, secured) = (dsn("http"), dsn("https"));
    sandbox.env("DEFAULT_STORAGE_DSN", &plain);
    sandbox.env("SSL_CERT_FILE", Tls::authority().to_str().unwrap());
    fails(&sandbox, "tls", &["speaks TLS", "Write https:// in the endpoint"]);
    sandbox.env("DEFAULT_STORAGE_DSN", &secured);
    let ran = sandbox.run(&["doctor", "--json", REMOTE]).exits(0);
    let told = assert_state(&ran, "tls", "ok");
    assert!(told["found"].as_str().unwrap().ends_with("holds until 2126-10-30"), "{told}");
    let here = secured.replace("localhost", "127.0.0.2");
    sandbox.env("DEFAULT_STORAGE_DSN", &here);
    let ran = sandbox.run(&["doctor", "--json", REMOTE]).exits(3);
    assert!(failed(&ran) == ["tls"] || failed(&ran) == ["tcp"], "{ran:?}");
    // An authority that nobody here knows.
    sandbox.env("DEFAULT_STORAGE_DSN", &secured);
    sandbox.env("SSL_CERT_FILE", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/tls/host.pem"));
    fails(&sandbox, "tls", &["trusts"]);
}

#[test]
fn a_push_says_in_one_line_what_is_wrong_and_what_to_do() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let host = sandbox.server.endpoint().replace("http://", "");
    let tls = Tls::before(&sandbox.server.endpoint());
    let at = |endpoint: &str| sandbox.dsn(&format!("endpoint={endpoint}"));
    let right = at(&sandbox.server.endpoint());
    for (dsn, code, says) in [
        (right.replace("knows@", "knows-not@"), 1, "secret key"),
        (right.replace("AKIA", "BKIA"), 1, "access key"),
        (right.replace("@media/", "@no-such-bucket/"), 1, "bucket name"),
        (at("http://name.invalid"), 1, "endpoint"),
        (at(&format!("http://{free}")), 1, "endpoint"),
        (at(&format!("https://{host}")), 1, "http://"),
        (at(&format!("http://{}", tls.host())), 1, "https://"),
        (at(&host), 2, "https:// or http://"),
    ] {
        let mut one = Sandbox::with(&[("a.jpg", "a")]);
        one.env("DEFAULT_STORAGE_DSN", &dsn);
        let ran = one.push(&[]).exits(code);
        let errors = ran.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(errors, 1, "{ran:?}");
        let told: Vec<&str> = ran.stderr.lines().filter(|line| !line.starts_with("push: ")).collect();
        assert!(told.join("\n").contains(says), "{says}: {ran:?}");
        assert!(told.iter().any(|line| line.starts_with("  hint: ")), "{ran:?}");
    }
}

/// Neither the direction nor a job makes another sentence of it.
#[test]
fn pulls_and_jobs_say_in_one_line_what_is_wrong_and_what_to_do() {
    let server = Sandbox::new();
    let right = server.dsn(&format!("endpoint={}", server.server.endpoint()));
    let host = server.server.endpoint().replace("http://", "");
    let denied = |operation| Some(Rule::new(operation, Effect::Status(403, "AccessDenied")));
    let region = Some(Rule::new("ListObjectsV2", Effect::BareRedirect));
    for (dsn, fault, code, says) in [
        (right.replace("knows@", "knows-not@"), None, 1, "secret key"),
        (right.replace("AKIA", "BKIA"), None, 1, "access key"),
        (right.replace("@media/", "@no-such-bucket/"), None, 1, "bucket name"),
        (server.dsn(&format!("endpoint={host}")), None, 2, "https:// or http://"),
        (right.clone(), region, 1, "region"),
        (right.clone(), denied("ListObjectsV2"), 1, "Allow s3:ListBucket on bucket media"),
        (right.clone(), denied("GetObject"), 1, "Allow s3:GetObject on bucket media"),
    ] {
        server.server.faults(|faults| {
            faults.clear();
            if let Some(rule) = fault {
                faults.add(rule);
            }
        });
        let mut one = Sandbox::with(&[("a.jpg", "a")]);
        one.env("DEFAULT_STORAGE_DSN", &dsn);
        let media = one.path("media");
        one.configure_as(&format!(
            "[[job]]\nname = \"m\"\nsource = {media:?}\ndestination = \"{REMOTE}\"\nmode = \"two-way\"\n"
        ));
        for ran in [one.pull(&[]), one.by_config(&["sync", "m"]), one.push(&["--dry-run"])] {
            let ran = ran.exits(code).never_says("only/this/server");
            let lines = |start: &str| ran.stderr.lines().filter(|line| line.starts_with(start)).count();
            assert_eq!((lines("error: "), lines("  hint: ")), (1, 1), "{ran:?}");
            assert!(ran.stderr.contains(says), "{says}: {ran:?}");
        }
    }
    // What only a write shows.
    let one = Sandbox::with(&[("a.jpg", "a")]);
    refuse(&one, "PutObject");
    one.push(&[]).exits(1).says(&["Allow s3:PutObject on bucket media"]);
}

#[test]
fn a_configuration_with_mistakes_is_what_there_is_to_tell() {
    let sandbox = Sandbox::new();
    sandbox.configure_as("[[job]]\nname = \"m\"\nsorce = \"x\"\n");
    let ran = sandbox.by_config(&["doctor", "--json"]).exits(3);
    assert_eq!(failed(&ran), ["config"], "{ran:?}");
    assert!(of(&ran, "config")["found"].as_str().unwrap().contains("line 3: "), "{ran:?}");
    sandbox.by_config(&["doctor"]).exits(3).says(&["fail  config: ", "      fix: "]);
    sandbox.configure_as("");
    sandbox.by_config(&["doctor", "no/../such:"]).exits(3).says(&["fail  dsn: "]);
}

#[test]
fn a_job_is_told_with_both_places_and_how_it_stands() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b/c.jpg", "c")]);
    let media = sandbox.path("media");
    let job = |more: &str| {
        format!(
            "[remote.live]\ndsn = \"env:DEFAULT_STORAGE_DSN\"\n\n[[job]]\nname = \"m\"\nsource = {:?}\n\
             destination = \"live:\"\n{more}\n",
            media.to_str().unwrap()
        )
    };
    sandbox.configure_as(&job("mode = \"copy\"\nwatch = true\ndelete = true\nmax_delete = 0"));
    let ran = sandbox.by_config(&["doctor", "--json", "m"]).exits(0);
    assert_state(&ran, "config", "ok");
    assert_state(&ran, "pair", "warn");
    assert_state(&ran, "directory", "ok");
    assert_state(&ran, "open-files", "ok");
    let service = assert_state(&ran, "service", "warn");
    assert!(service["fix"].as_str().unwrap().contains("mediasync daemon"), "{service}");
    let watches = of(&ran, "watches");
    assert!(watches["found"].as_str().unwrap().starts_with("2 directories") || watches["state"] == "skip", "{watches}");
    assert_eq!(of(&ran, "dsn")["job"], "m");
    sandbox.by_config(&["doctor", "m"]).exits(0).says(&[
        &format!("m, source: {}", media.display()),
        "m, destination: s3://media/site",
        "ok    dsn: remote.live (line 1) says bucket media",
    ]);
    // A guard has halted it.
    sandbox.by_config(&["sync", "m"]).exits(0);
    sandbox.remove("a.jpg");
    sandbox.by_config(&["sync", "m"]).exits(4);
    let ran = sandbox.by_config(&["doctor", "--json"]).exits(3);
    assert_eq!(failed(&ran), ["pair"], "{ran:?}");
    assert!(of(&ran, "pair")["fix"].as_str().unwrap().contains("mediasync status m"), "{ran:?}");
    // A directory that is not there.
    std::fs::rename(&media, sandbox.path("gone")).unwrap();
    let ran = sandbox.by_config(&["doctor", "--json"]).exits(3);
    assert_eq!(failed(&ran), ["directory", "pair"], "{ran:?}");
    sandbox.by_config(&["doctor", "x"]).exits(2).says(&["no job is called \"x\""]);
}

#[test]
fn the_policy_is_printed_as_it_can_be_attached() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["doctor", "--policy", REMOTE]).exits(0);
    let policy: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(policy["Version"], "2012-10-17");
    let text = policy.to_string();
    assert!(text.contains(&format!("arn:aws:s3:::{BUCKET}/{PREFIX}*")) && text.contains("s3:PutObjectAcl"), "{text}");
    assert_eq!(sandbox.server.requests().len(), 0, "nothing is asked");
    let media = sandbox.path("media");
    sandbox.run(&["doctor", "--policy", media.to_str().unwrap()]).exits(2).says(&["no bucket and no container"]);
    let azure = "az://acct:a2V5@azure/media?endpoint=http://127.0.0.1:9/acct";
    let ran = sandbox.run(&["doctor", "--policy", azure]).exits(0).says(&["Storage Blob Data Contributor"]);
    let role: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(role["IsCustom"], true);
}
