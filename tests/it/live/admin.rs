//! ACLs and CORS rules at real servers: what the program sets is what an independent client reads, and the other way
//! round.

use std::io::{Read, Write};
use std::net::TcpStream;

use aws_sdk_s3::types::{CorsConfiguration, CorsRule, ObjectCannedAcl, Permission};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::container;
use super::place::Place;
use super::{Live, client, servers};
use crate::support::sandbox::{REMOTE, Ran, Sandbox};

/// The status of a request without credentials.
fn anonymous(url: &str) -> u16 {
    let (host, path) = url.split_once("://").unwrap().1.split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let line = String::from_utf8_lossy(&answer);
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

/// What a server was seen to do with ACLs and with CORS rules.
fn has(live: &Live) -> Option<(bool, bool)> {
    match &*live.name {
        "moto" | "seaweedfs" => Some((true, true)),
        other => {
            println!("skipped: {other} (it has no ACLs)");
            None
        }
    }
}

fn json_of(ran: &Ran, of: &str) -> Value {
    ran.line(of)
}

/// Who may read an object, by another client: the grants but for the owner's.
async fn grants(live: &Live, key: &str) -> Vec<(String, String)> {
    let client = client(&live.address());
    let acl = client.get_object_acl().bucket(&live.bucket).key(key).send().await.unwrap();
    let public = acl.grants().iter().filter_map(|grant| {
        let uri = grant.grantee()?.uri()?.rsplit('/').next()?.to_owned();
        Some((uri, grant.permission().map(Permission::as_str)?.to_owned()))
    });
    public.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn acls_that_are_set_are_what_another_client_reads() {
    for live in servers() {
        let Some((true, _)) = has(&live) else { continue };
        println!("server: {}", live.name);
        let place = Place::new(&live);
        for key in ["a.jpg", "photos/b.jpg", "photos/c.jpg"] {
            place.put(key, b"content");
        }
        let object = |key: &str| format!("{}{key}", place.prefix());
        let run = |args: &[&str]| place.sandbox.run(&[&["acl"], args].concat());
        let everybody = || ("AllUsers".to_owned(), "READ".to_owned());

        // Somebody else makes one public: it is recognised, and left alone.
        let set = client(&live.address()).put_object_acl().bucket(&live.bucket).key(object("photos/b.jpg"));
        set.acl(ObjectCannedAcl::PublicRead).send().await.unwrap();
        let before = run(&["get", "-r", REMOTE, "--json"]).exits(0);
        assert_eq!(json_of(&before, "acl-summary")["acls"], json!({"private": 2, "public-read": 1}), "{before:?}");
        let planned = run(&["set", "public-read", "-r", "-n", REMOTE, "--json"]).exits(0);
        let sums = json_of(&planned, "acl-summary");
        assert_eq!((&sums["set"], &sums["already"]), (&json!(2), &json!(1)), "{planned:?}");
        assert_eq!(grants(&live, &object("a.jpg")).await, []);

        let done = run(&["set", "public-read", "-r", REMOTE]).exits(0);
        done.says(&["Set public-read on 2 objects; 1 object has it already."]);
        for key in ["a.jpg", "photos/b.jpg", "photos/c.jpg"] {
            assert_eq!(grants(&live, &object(key)).await, [everybody()], "{} {key}", live.name);
            let url = format!("{}/{}/{}", live.endpoint, live.bucket, object(key));
            println!("{}: a public object, without credentials: {}", live.name, anonymous(&url));
        }
        run(&["set", "public-read", "-r", REMOTE]).exits(0).says(&["Nothing to do; 3 objects have it already."]);
        // Each canned ACL is one that the program recognises afterwards.
        for canned in
            ["public-read-write", "authenticated-read", "bucket-owner-full-control", "bucket-owner-read", "private"]
        {
            // moto shows the first permission of each grantee only (5.2.5, as its source says).
            if (live.name.as_str(), canned) == ("moto", "public-read-write") {
                continue;
            }
            let ran = run(&["set", canned, "-r", REMOTE]).exits(0);
            println!("{}: {canned}: {}", live.name, ran.stdout.trim());
            let again = run(&["set", canned, "-r", REMOTE]).exits(0);
            println!("{}: {canned} again: {}", live.name, again.stdout.trim());
            again.says(&["Nothing to do; 3 objects have it already."]);
        }
        assert_eq!(grants(&live, &object("a.jpg")).await, []);
        // No version moved: a pull and a push have nothing to do with it.
        let content = place.look().objects;
        assert_eq!(content.len(), 3, "{content:?}");
    }
}

/// Rules belong to the bucket, so that this is the only test that touches them.
#[tokio::test(flavor = "multi_thread")]
async fn cors_rules_that_are_set_are_what_another_client_reads() {
    for live in servers() {
        let Some((_, true)) = has(&live) else { continue };
        println!("server: {}", live.name);
        let place = Place::new(&live);
        let run = |args: &[&str]| place.sandbox.run(&[&["cors"], args].concat());
        let other = client(&live.address());
        run(&["get", REMOTE]).exits(0).says(&["has no CORS rules"]);
        run(&["set", REMOTE, "--allow-origin", "*", "--method", "GET,HEAD", "--header", "*", "--max-age", "3000"])
            .exits(0);
        let read = other.get_bucket_cors().bucket(&live.bucket).send().await.unwrap();
        let [rule] = read.cors_rules() else { panic!("one rule: {read:?}") };
        assert_eq!((rule.allowed_origins(), rule.allowed_headers()), (&["*".to_owned()][..], &["*".to_owned()][..]));
        assert_eq!(
            (rule.allowed_methods(), rule.max_age_seconds()),
            (&["GET".to_owned(), "HEAD".to_owned()][..], Some(3000))
        );

        // Somebody else adds one: it stays.
        let theirs = CorsRule::builder().id("app").allowed_origins("https://app.example").allowed_methods("PUT");
        let both =
            CorsConfiguration::builder().cors_rules(rule.clone()).cors_rules(theirs.build().unwrap()).build().unwrap();
        other.put_bucket_cors().bucket(&live.bucket).cors_configuration(both).send().await.unwrap();
        run(&["set", REMOTE, "--allow-origin", "https://www.example.com"])
            .exits(0)
            .says(&["0 removed, 1 added, 2 kept"]);
        let file = place.sandbox.path("work/cors.json");
        std::fs::write(&file, r#"{"CORSRules":[{"AllowedOrigins":["*"],"AllowedMethods":["GET"]}]}"#).unwrap();
        let only = ["set", REMOTE, "--file", "cors.json"];
        run(&only).exits(4).says(&["- https://app.example  PUT", "--replace"]);
        run(&[&only[..], &["--replace"]].concat()).exits(0);
        let read = other.get_bucket_cors().bucket(&live.bucket).send().await.unwrap();
        assert_eq!(read.cors_rules().len(), 1, "{read:?}");
        run(&["delete", REMOTE, "--yes"]).exits(0);
        assert!(other.get_bucket_cors().bucket(&live.bucket).send().await.is_err(), "{}", live.name);
        run(&["get", REMOTE]).exits(0).says(&["has no CORS rules"]);
    }
}

/// A sandbox whose variable `WHOLE` names a whole container.
fn whole(place: &container::Place) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let secret = utf8_percent_encode(&place.server.key, NON_ALPHANUMERIC);
    let (account, endpoint, container) = (&place.server.account, &place.server.endpoint, &place.server.container);
    sandbox.env("WHOLE", &format!("az://{account}:{secret}@azure/{container}?endpoint={endpoint}"));
    sandbox.env("PART", &format!("az://{account}:{secret}@azure/{container}/part?endpoint={endpoint}"));
    let sas = place.sas("account");
    let sas = utf8_percent_encode(&sas, NON_ALPHANUMERIC);
    sandbox.env("SIGNED", &format!("az://{account}:{sas}@azure/{container}?endpoint={endpoint}"));
    sandbox
}

fn settings(place: &container::Place) -> Value {
    serde_json::from_slice(&place.raw.script("settings", "", b"")).unwrap()
}

#[test]
fn a_container_of_azure_is_made_public_as_a_whole_and_keeps_its_policies() {
    container::on_each_server(|place| {
        let place = place.beside();
        place.raw.put("a.jpg", b"content");
        place.raw.script("prepare", "", b"");
        let policies = settings(&place)["policies"].clone();
        assert_eq!(policies.as_array().unwrap().len(), 1);
        let sandbox = whole(&place);
        let run = |args: &[&str]| sandbox.run(&[&["acl"], args].concat());
        let url = format!("{}/{}/{}/a.jpg", place.server.endpoint, place.server.container, place.prefix);
        let level = || settings(&place)["public"].clone();
        // Azure says 404 here, and Azurite 403.
        assert!(anonymous(&url) >= 400 && level().is_null());
        let key = format!("env:WHOLE/{}/a.jpg", place.prefix);
        let refused = sandbox.run(&["url", "--check", &key]).exits(1);
        refused.says(&["not everybody can read it", "mediasync acl set public-read env:WHOLE lets everybody"]);

        run(&["get", "env:WHOLE"]).exits(0).says(&["private: nobody reads"]);
        run(&["set", "public-read", "env:WHOLE", "-n"])
            .exits(0)
            .says(&["Would make the whole container", "it is private now"]);
        assert_eq!(level(), Value::Null, "a dry run changes nothing");
        run(&["set", "public-read", "env:WHOLE"]).exits(0).says(&["access level \"Blob\"", "it was private"]);
        assert_eq!((anonymous(&url), level()), (200, json!("blob")));
        run(&["set", "public-read", "env:WHOLE"]).exits(0).says(&["already"]);
        let line = run(&["get", "env:PART", "--json"]).exits(0).line("container-acl");
        assert_eq!((&line["acl"], &line["listed"]), (&json!("public-read"), &json!(false)));
        assert_eq!(settings(&place)["policies"], policies, "signatures by a policy go on");

        run(&["set", "private", "-r", "env:PART"]).exits(2).says(&[
            "blobs have no ACLs",
            "as a whole",
            "a remote or a DSN without a prefix",
        ]);
        run(&["set", "private", "-r", "env:WHOLE/part"])
            .exits(2)
            .says(&["name the container without a prefix: env:WHOLE\n"]);
        run(&["set", "authenticated-read", "env:WHOLE"]).exits(2).says(&["means nothing on Azure"]);
        assert_eq!(level(), json!("blob"));
        run(&["get", "env:SIGNED"]).exits(1).says(&["the account's key"]);
        run(&["set", "private", "env:WHOLE"]).exits(0).says(&["it was public-read"]);
        assert!(anonymous(&url) >= 400 && level().is_null());
        assert_eq!(settings(&place)["policies"], policies);
    });
}

/// Rules belong to the account, so that this is the only test that touches them.
#[test]
fn cors_rules_of_azure_are_set_and_everything_else_of_the_account_is_kept() {
    container::on_each_server(|place| {
        place.raw.script("prepare", "", b"");
        let sandbox = whole(&place);
        let run = |args: &[&str]| sandbox.run(&[&["cors"], args].concat());
        run(&["get", "env:WHOLE"]).exits(0).says(&["all containers of the account", "has no CORS rules"]);
        let set = ["set", "env:WHOLE", "--allow-origin", "*", "--expose", "ETag", "--max-age", "3000"];
        run(&[&set[..], &["-n"]].concat()).exits(0).says(&["+ *  GET, HEAD  exposed: ETag  max-age: 3000"]);
        assert_eq!(settings(&place)["cors"], json!([]), "a dry run changes nothing");
        run(&set).exits(0).says(&["0 removed, 1 added, 0 kept"]);
        run(&set).exits(0).says(&["are like this already"]);
        run(&["set", "env:WHOLE", "--allow-origin", "https://a.example", "--method", "PUT"]).exits(0).says(&["1 kept"]);
        let seen = settings(&place);
        let rule = json!({"origins": "*", "methods": "GET,HEAD", "headers": "", "exposed": "ETag", "age": 3000});
        assert_eq!((&seen["cors"][0], &seen["retention"]), (&rule, &json!(3)), "{seen}");
        std::fs::write(
            sandbox.path("work/cors.json"),
            r#"[{"ID":"x","AllowedOrigins":["*"],"AllowedMethods":["GET"]}]"#,
        )
        .unwrap();
        run(&["set", "env:WHOLE", "--file", "cors.json"]).exits(4).says(&["--replace"]);
        run(&["set", "env:WHOLE", "--file", "cors.json", "--replace"]).exits(0).says(&["2 removed, 1 added, 0 kept"]);
        run(&["set", "env:WHOLE", "--file", "cors.json"]).exits(0).says(&["are like this already"]);
        run(&["delete", "env:WHOLE", "--yes"]).exits(0).says(&["1 removed"]);
        let seen = settings(&place);
        assert_eq!((&seen["cors"], &seen["retention"]), (&json!([]), &json!(3)));
    });
}
