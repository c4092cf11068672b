//! `ls` and `url` on real servers.

use std::time::Duration;

use super::container::on_each_server;
use super::place::Place;
use super::servers;
use crate::support::fetch::fetch;
use crate::support::sandbox::{REMOTE, Sandbox};

/// Names that a server may list in another order, and that are encoded in URLs.
const NAMES: [&str; 6] = ["a.jpg", "b-side.jpg", "b/1.jpg", "b/c/2.jpg", "b c/ü + 100%.jpg", "z.txt"];

fn push_all(sandbox: &Sandbox) {
    for name in NAMES {
        sandbox.write(name, name);
    }
    sandbox.push(&["--acl", "private"]).exits(0);
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

fn assert_looks(sandbox: &Sandbox, server: &str) {
    let level = sandbox.run(&["ls", REMOTE]).exits(0);
    assert_eq!(sorted(&level.stdout), ["a.jpg", "b c/", "b-side.jpg", "b/", "z.txt"], "{server}");
    let all = sandbox.run(&["ls", "-r", REMOTE]).exits(0);
    let mut names = NAMES;
    names.sort_unstable();
    assert_eq!(sorted(&all.stdout), names, "{server}");
    let below = sandbox.run(&["ls", "-l", &format!("{REMOTE}/b")]).exits(0);
    assert!(below.stdout.contains("7 B  1.jpg") && below.stdout.contains("  c/"), "{server}: {below:?}");
    assert_eq!(
        sandbox.run(&["ls", &format!("{REMOTE}/b c/ü + 100%.jpg")]).exits(0).stdout,
        "ü + 100%.jpg\n",
        "{server}"
    );
    assert_eq!(sandbox.run(&["ls", &format!("{REMOTE}/b/1.jpg")]).exits(0).stdout, "1.jpg\n", "{server}");
    sandbox.run(&["ls", &format!("{REMOTE}/b-sida.jpg")]).exits(1).says(&["b-side.jpg"]);
    assert!(sandbox.run(&["ls", "--all", REMOTE]).exits(0).stdout.contains(".mediasync/"), "{server}");
    let lines = sandbox.run(&["ls", "-r", "--json", REMOTE]).exits(0).json();
    let file = lines.iter().find(|line| line["key"] == "b/1.jpg").unwrap();
    assert_eq!(file["size"], 7, "{server}");
    assert!(file["modified"].as_str().is_some(), "{server}");
}

/// Whether the server looks at signatures at all; moto takes every request.
fn assert_signs(sandbox: &Sandbox, server: &str, verifies: bool) {
    let name = NAMES[4];
    let sign = |time: &str| {
        let ran = sandbox.run(&["url", "--sign", time, &format!("{REMOTE}/{name}")]).exits(0);
        ran.stdout.trim_end().to_owned()
    };
    let url = sign("1h");
    assert_eq!(fetch(&url), (200, name.as_bytes().to_vec()), "{server}");
    if !verifies {
        return;
    }
    let refused = |url: &str, why: &str| assert!(matches!(fetch(url).0, 400..=404), "{server}: {why}");
    refused(url.split('?').next().unwrap(), "without a signature");
    let other =
        url.replace("b%20c/%C3%BC%20%2B%20100%25.jpg", "a.jpg").replace("b%20c%2F%C3%BC%20+%20100%25.jpg", "a.jpg");
    assert_ne!(other, url, "{server}");
    refused(&other, "for another file");
    let short = sign("1s");
    std::thread::sleep(Duration::from_millis(2_100));
    refused(&short, "after its end");
}

#[test]
fn places_in_buckets_are_looked_at_and_signed_for() {
    for live in servers() {
        if matches!(&*live.name, "rclone" | "garage") {
            println!("skipped: {} (the reader of the bucket fails there)", live.name);
            continue;
        }
        let place = Place::new(&live);
        push_all(&place.sandbox);
        assert_looks(&place.sandbox, &live.name);
        assert_signs(&place.sandbox, &live.name, live.name != "moto");
    }
}

#[test]
fn places_in_containers_are_looked_at_and_signed_for() {
    on_each_server(|place| {
        for name in NAMES {
            place.sandbox.write(name, name);
        }
        place.push(&[], 0);
        assert_looks(&place.sandbox, &place.server.name);
        assert_signs(&place.sandbox, &place.server.name, true);
        let place = {
            let sas = place.sas("all");
            place.with_secret(&sas)
        };
        let ran = place.sandbox.run(&["url", "--sign", "1h", &format!("{REMOTE}/a.jpg")]).exits(2);
        ran.says(&["a shared access signature can't sign"]).never_says("sig=");
    });
}
