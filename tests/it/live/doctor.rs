//! `doctor` at real servers: what works there is told as working, and nothing of it is left behind.

use serde_json::Value;

use super::servers;
use super::{container, place};
use crate::support::sandbox::{REMOTE, Ran};

fn checks(ran: &Ran) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let checks = ran.json().into_iter().filter(|line| line["type"] == "check");
    checks.map(|line| (text(&line["name"]), text(&line["state"]))).collect()
}

fn failed(ran: &Ran) -> Vec<String> {
    checks(ran).into_iter().filter(|(_, state)| state == "fail").map(|(name, _)| name).collect()
}

#[track_caller]
fn assert_ok(ran: &Ran, names: &[&str]) {
    let checks = checks(ran);
    for name in names {
        assert!(checks.contains(&((*name).to_owned(), "ok".to_owned())), "{name}: {ran:?}");
    }
}

/// A push there says what is wrong in one line, and what to do on the next.
#[track_caller]
fn assert_told(ran: &Ran) {
    assert_eq!(ran.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{ran:?}");
    assert!(ran.stderr.lines().any(|line| line.starts_with("  hint: ")), "{ran:?}");
}

#[test]
fn a_bucket_is_told_as_it_is_and_left_as_it_was() {
    for live in servers() {
        if matches!(&*live.name, "rclone" | "garage") {
            println!("skipped: {} (only the contract runs there)", live.name);
            continue;
        }
        println!("server: {}", live.name);
        let mut place = place::Place::new(&live);
        let ran = place.sandbox.run(&["doctor", "--json", REMOTE]).exits(0).never_says(&live.secret_key);
        println!("{}", ran.stdout);
        assert_ok(
            &ran,
            &["tcp", "clock", "credentials", "bucket", "permission-list", "permission-get", "permission-put"],
        );
        assert_ok(&ran, &["permission-multipart", "permission-abort", "permission-delete"]);
        // SeaweedFS takes the ACL of an upload and does nothing (4.48).
        let heard = if live.name == "seaweedfs" { "warn" } else { "ok" };
        assert!(checks(&ran).contains(&("permission-put-acl".to_owned(), heard.to_owned())), "{ran:?}");
        let seen = place.look();
        assert!(seen.objects.is_empty() && seen.own.is_empty() && seen.uploads.is_empty(), "{seen:?}");
        place.sandbox.write("a.jpg", "a");
        let missing = place.dsn().replace(&format!("@{}/", live.bucket), "@no-such-bucket/");
        place.sandbox.env("DEFAULT_STORAGE_DSN", &missing);
        let ran = place.sandbox.run(&["doctor", "--json", REMOTE]).exits(3);
        assert_eq!(failed(&ran), ["bucket"], "{ran:?}");
        assert_told(&place.sandbox.push(&[]).exits(1));
        // moto does not look at signatures.
        if live.name == "seaweedfs" {
            let wrong = place.dsn().replace(&format!(":{}@", live.secret_key), ":wrong@");
            place.sandbox.env("DEFAULT_STORAGE_DSN", &wrong);
            let ran = place.sandbox.run(&["doctor", "--json", REMOTE]).exits(3);
            assert_eq!(failed(&ran), ["credentials"], "{ran:?}");
            assert_told(&place.sandbox.push(&[]).exits(1));
        }
        let dsn = place.dsn().to_owned();
        place.sandbox.env("DEFAULT_STORAGE_DSN", &dsn);
    }
}

#[test]
fn a_container_is_told_as_it_is_and_left_as_it_was() {
    container::on_each_server(|place| {
        let doctor = |dsn: &str| {
            let ran = place.sandbox.run(&["doctor", "--json", dsn]);
            println!("{}", ran.stdout);
            ran
        };
        let ran = doctor(REMOTE).exits(0).never_says(&place.server.key);
        assert_ok(&ran, &["tcp", "credentials", "container", "permission-list", "permission-get", "permission-put"]);
        assert_ok(&ran, &["permission-delete", "conditional-writes", "public-access"]);
        assert!(place.look()["objects"].as_object().unwrap().is_empty(), "{ran:?}");
        place.sandbox.write("a.jpg", "a");
        let media = place.sandbox.path("media");
        let container = place.server.container.clone();
        let wrong_key = "d3Jvbmc=".to_owned();
        let cases = [
            (place.dsn(&wrong_key, &container), "credentials"),
            (place.dsn(&place.server.key, "no-such-container"), "container"),
        ];
        for (dsn, name) in cases {
            let ran = doctor(&dsn).exits(3);
            assert_eq!(failed(&ran), [name], "{ran:?}");
            assert_told(&place.sandbox.run(&["push", media.to_str().unwrap(), &dsn]).exits(1));
        }
    });
}

#[test]
fn a_signature_that_ran_out_or_allows_too_little_is_told() {
    container::on_each_server(|place| {
        place.sandbox.write("a.jpg", "a");
        let media = place.sandbox.path("media");
        for (what, told) in
            [("expired", &["signature"][..]), ("readonly", &["signature", "signature", "permission-put"])]
        {
            let dsn = place.dsn(&place.sas(what), &place.server.container);
            let ran = place.sandbox.run(&["doctor", "--json", &dsn]).exits(3).never_says("sig=");
            assert_eq!(failed(&ran), told, "{what}: {ran:?}");
            assert_told(&place.sandbox.run(&["push", media.to_str().unwrap(), &dsn]).exits(1));
        }
    });
}
