//! `purge-junk` on real servers: what goes, what stays, and that it comes back.

use super::container::on_each_server;
use super::place::Place;
use super::servers;
use crate::support::sandbox::{REMOTE, Sandbox};

const CONTENT: [&str; 3] = ["a.jpg", "b/film.part", "b/lost+found/x.jpg"];
const JUNK: [&str; 4] = [".DS_Store", "__MACOSX/b/x.jpg", "b/._c.jpg", "b/Thumbs.db"];

fn fill(put: impl Fn(&str, &[u8])) {
    for name in CONTENT.iter().chain(&JUNK) {
        let double: &[u8] = &[0, 5, 0x16, 7, 0, 2, 0, 0];
        put(name, if name.contains("._") { double } else { b"some" });
    }
    put("b/._text.jpg", b"no such data");
}

fn names(sandbox: &Sandbox) -> Vec<String> {
    let lines = sandbox.run(&["ls", "-r", "--json", REMOTE]).exits(0).json();
    let keys = lines.iter().filter(|line| line["kind"] == "file").map(|line| line["key"].as_str().unwrap().to_owned());
    let mut all: Vec<String> = keys.collect();
    all.sort_unstable();
    all
}

fn assert_purges(sandbox: &Sandbox, server: &str) {
    let before = names(sandbox);
    let dry = sandbox.run(&["purge-junk", "-l", "--json", REMOTE]).exits(0);
    let mut junk: Vec<String> = dry
        .json()
        .into_iter()
        .filter(|line| line["outcome"] == "junk")
        .map(|line| line["key"].as_str().unwrap().to_owned())
        .collect();
    junk.sort_unstable();
    assert_eq!(junk, JUNK, "{server}: {dry:?}");
    let sums = dry.line("junk-summary");
    assert_eq!((&sums["files"], &sums["left"], &sums["removed"]), (&8.into(), &2.into(), &0.into()), "{server}");
    assert_eq!(names(sandbox), before, "{server}: nothing was changed");
    let ran = sandbox.run(&["purge-junk", "--yes", REMOTE]).exits(0).says(&["removed 4", "to put it back: "]);
    let mut stay = before.clone();
    stay.retain(|name| !JUNK.contains(&name.as_str()));
    assert_eq!(names(sandbox), stay, "{server}");
    sandbox.run(&["purge-junk", "--yes", REMOTE]).exits(0).says(&["no junk", "of 4 files"]);
    sandbox.paste(&ran, "mediasync trash restore").exits(0).says(&["Restored 4 files"]);
    assert_eq!(names(sandbox), before, "{server}");
    sandbox.run(&["purge-junk", "--yes", "--only", "*.part", REMOTE]).exits(0).says(&["removed 1"]);
    assert!(!names(sandbox).contains(&"b/film.part".to_owned()), "{server}");
}

/// The same place with a prefix that nobody has.
fn assert_tells_a_typo(sandbox: &mut Sandbox, dsn: &str) {
    sandbox.env("TYPO", dsn);
    sandbox.run(&["purge-junk", "env:TYPO"]).exits(1).says(&["nothing is at", "check the spelling"]);
}

#[test]
fn junk_in_buckets_is_purged_and_comes_back() {
    for live in servers() {
        if matches!(&*live.name, "rclone" | "garage") {
            println!("skipped: {} (the writer of the bucket fails there)", live.name);
            continue;
        }
        let mut place = Place::new(&live);
        fill(|name, bytes| place.put(name, bytes));
        assert_purges(&place.sandbox, &live.name);
        let typo = place.dsn().replace("mediasync-test-", "mediasync-tset-");
        assert_tells_a_typo(&mut place.sandbox, &typo);
    }
}

#[test]
fn junk_in_containers_is_purged_and_comes_back() {
    on_each_server(|place| {
        fill(|name, bytes| place.raw.put(name, bytes));
        assert_purges(&place.sandbox, &place.server.name);
    });
}
