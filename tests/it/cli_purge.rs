//! `purge-junk` through the program: what is junk and what is not, that looking changes nothing, and that what goes can be
//! put back.

use std::fs;

use crate::support::s3::{Effect, Faults, Moment, Rule, Versioning};
use crate::support::sandbox::{REMOTE, Sandbox};

/// AppleDouble data begins so.
const APPLE_DOUBLE: &[u8] = &[0, 5, 0x16, 7, 0, 2, 0, 0];

/// Content, junk, and what is only called like it.
fn littered() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in [
        "a.jpg",
        ".DS_Store",
        "b/Thumbs.db",
        "b/desktop.ini",
        "MANIFEST",
        "b/MANIFEST",
        "b/.htaccess",
        "@eaDir/photo.jpg",
        "@eaDir/.DS_Store",
        "movie.swf",
        "._text.jpg",
    ] {
        sandbox.put(name, format!("of {name}"));
    }
    sandbox.put("b/._c.jpg", APPLE_DOUBLE);
    sandbox
}

const JUNK: [&str; 6] = [".DS_Store", "@eaDir/.DS_Store", "MANIFEST", "b/._c.jpg", "b/Thumbs.db", "b/desktop.ini"];

fn without(sandbox: &Sandbox, junk: &[&str]) -> Vec<String> {
    sandbox.remote().into_keys().filter(|key| !junk.contains(&key.as_str())).collect()
}

#[test]
fn looking_lists_exactly_the_junk_and_changes_nothing() {
    let sandbox = littered();
    let before = sandbox.remote();
    let ran = sandbox.run(&["purge-junk", REMOTE]).exits(0);
    let mut listed: Vec<&str> = ran
        .stdout
        .lines()
        .filter(|line| line.starts_with("junk "))
        .map(|line| line.split("  ").last().unwrap())
        .collect();
    listed.sort_unstable();
    assert_eq!(listed, JUNK, "{ran:?}");
    ran.says(&["7 files of junk", "1 in folders that are called like junk, left alone", "--yes moves it to the trash"]);
    assert!(sandbox.server.changing_requests().is_empty() && sandbox.remote() == before);
    assert!(sandbox.files("state").is_empty());
    let ran = sandbox.run(&["purge-junk", REMOTE, "--json"]).exits(0);
    let line = ran.json().into_iter().find(|line| line["key"] == "b/._c.jpg").unwrap();
    assert_eq!(
        (&line["type"], &line["by"], &line["outcome"]),
        (&"junk".into(), &"apple-double".into(), &"junk".into())
    );
    let sums = ran.line("junk-summary");
    assert_eq!((&sums["found"], &sums["removed"], &sums["left"]), (&7.into(), &0.into(), &1.into()));
    let media = sandbox.path("media");
    sandbox.run(&["purge-junk", media.to_str().unwrap()]).exits(2).says(&["purge-junk is for remotes"]);
}

#[test]
fn junk_goes_to_the_trash_and_comes_back_and_nothing_else_is_touched() {
    let sandbox = littered();
    let before = sandbox.remote();
    let stay = without(&sandbox, &JUNK);
    let ran = sandbox.run(&["purge-junk", REMOTE, "--yes"]).exits(0).says(&["removed 6", "to put it back: "]);
    assert_eq!(sandbox.remote().into_keys().collect::<Vec<_>>(), stay);
    assert_eq!(sandbox.trash().0.len(), 6);
    sandbox.run(&["purge-junk", REMOTE, "--yes"]).exits(0).never_says("removed");
    sandbox.paste(&ran, "mediasync trash restore").exits(0).says(&["Restored 6 files"]);
    assert_eq!(sandbox.remote(), before);
    // Typed with its secret, a place is not named with it.
    let dsn = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint()));
    sandbox.run(&["purge-junk", &dsn, "--yes", "--folders"]).exits(0).never_says("secret%2Bkey").says(&["removed 7"]);
    assert_eq!(sandbox.remote().len(), before.len() - 7);
}

#[test]
fn what_was_replaced_since_or_can_not_be_kept_stays() {
    let sandbox = Sandbox::new();
    sandbox.put(".DS_Store", "old");
    sandbox.put("b/Thumbs.db", "junk");
    // Between the copy into the trash and the deletion somebody stores something else.
    let gate = sandbox.server.hold(Moment::BeforeAnswer, "CopyObject", "*.DS_Store");
    let run = sandbox.start(&["purge-junk", REMOTE, "--yes"]);
    gate.reached_blocking(1);
    sandbox.put(".DS_Store", "new");
    gate.release();
    run.wait().exits(3);
    assert_eq!(sandbox.content(".DS_Store"), "new");

    let denied = Rule::new("CopyObject", Effect::Status(403, "AccessDenied"));
    sandbox.put("b/Thumbs.db", "junk");
    sandbox.server.faults(|faults| faults.add(denied));
    sandbox.run(&["purge-junk", REMOTE, "--yes"]).exits(3);
    sandbox.server.faults(Faults::clear);
    assert!(sandbox.remote().contains_key("b/Thumbs.db"), "nothing goes that is not kept");
}

#[test]
fn access_is_respected_and_a_bucket_with_versions_keeps_them() {
    let sandbox = littered();
    let remote = |access: &str| {
        let text = format!("[remote.live]\ndsn = \"{REMOTE}\"\naccess = \"{access}\"\n");
        fs::write(sandbox.path("work/mediasync.toml"), text).unwrap();
    };
    remote("read-only");
    sandbox.run(&["purge-junk", "live:"]).exits(0).says(&["7 files of junk"]);
    sandbox.run(&["purge-junk", "live:", "--yes"]).exits(2).says(&["is read-only"]);
    assert!(sandbox.server.changing_requests().is_empty());
    remote("confirm");
    sandbox.bucket.set_versioning(Versioning::Enabled);
    sandbox.run(&["purge-junk", "live:", "--yes"]).exits(0).says(&["removed 6"]);
    assert!(sandbox.remote().contains_key("a.jpg") && !sandbox.remote().contains_key(".DS_Store"));
}
