//! Header rules against real servers: an independent reader says what the objects carry.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::place::Place;
use super::{container, servers};
use crate::support::sandbox::{REMOTE, Sandbox, bytes};

const MIB: usize = 1024 * 1024;

fn rules(sandbox: &Sandbox, rules: &str) {
    let media = sandbox.path("media");
    let text = format!(
        "[remote.live]\ndsn = \"{REMOTE}\"\n[[job]]\nname = \"media\"\nsource = {media:?}\ndestination = \"live:\"\n\
         mode = \"copy\"\n{rules}\n"
    );
    fs::write(sandbox.path("work/mediasync.toml"), text).unwrap();
}

fn rule(glob: &str, says: &str) -> String {
    format!("[[job.header]]\nmatch = \"{glob}\"\n{says}\n")
}

fn sync(sandbox: &Sandbox, more: &[&str]) -> Value {
    let ran = sandbox.run(&[&["sync", "--json"], more].concat()).exits(0);
    ran.line("summary")
}

/// Nothing is changed, and no object is looked at.
fn idle(sandbox: &Sandbox) {
    let summary = sync(sandbox, &[]);
    assert_eq!((&summary["done"]["restyles"], &summary["done"]["as_ruled"]), (&0.into(), &0.into()), "{summary}");
    for kind in ["PutObject", "CopyObject", "HeadObject", "PutBlob", "SetBlobProperties", "GetBlobProperties"] {
        // The id object is looked at.
        assert!(summary["requests"][kind].as_u64().unwrap_or(0) <= 1, "{kind}: {summary}");
    }
}

/// `equal` makes sure that both sides hold the same, and says what the objects carry.
fn lives(sandbox: &Sandbox, equal: impl Fn() -> BTreeMap<String, Value>) {
    sandbox.write("a/page.html", "page");
    sandbox.write("image.svg", "image");
    sandbox.write("large.bin", bytes(1, 9 * MIB));
    let first = [
        rule("*", "cache_control = \"max-age=60\"\nmetadata = { owner = \"web\" }"),
        rule("*.html", "content_language = \"de\"\ncontent_type = \"text/html; charset=utf-8\""),
    ];
    rules(sandbox, &first.concat());
    sync(sandbox, &[]);
    let seen = equal();
    assert_eq!(seen["a/page.html"]["content_type"], "text/html; charset=utf-8");
    assert_eq!(seen["image.svg"]["content_type"], "image/svg+xml");
    assert_eq!(seen["large.bin"]["metadata"]["owner"], "web");
    assert!(seen.values().all(|object| object["cache_control"] == "max-age=60"), "{seen:?}");
    idle(sandbox);
    rules(sandbox, &rule("*", "cache_control = \"max-age=3600\""));
    let planned = sync(sandbox, &["--dry-run"]);
    assert_eq!(planned["planned"]["restyles"], 3, "{planned}");
    let summary = sync(sandbox, &[]);
    assert_eq!((&summary["done"]["restyles"], &summary["done"]["bytes_sent"]), (&3.into(), &0.into()), "{summary}");
    let seen = equal();
    assert_eq!(seen["a/page.html"]["content_type"], "text/html", "the type is that of the name again");
    assert!(seen.values().all(|object| object["cache_control"] == "max-age=3600"), "{seen:?}");
    assert_eq!(seen["large.bin"]["metadata"]["owner"], "web", "what no rule names any more stays");
    idle(sandbox);
    let looked = sync(sandbox, &["--repair"]);
    assert_eq!((&looked["done"]["restyles"], &looked["done"]["as_ruled"]), (&0.into(), &0.into()), "{looked}");
    // What was restyled is still known: a touch and a change are what they are.
    sandbox.write("image.svg", "other image");
    let summary = sync(sandbox, &[]);
    assert_eq!((&summary["done"]["overwrites"], &summary["done"]["creates"]), (&1.into(), &0.into()), "{summary}");
    equal();
    idle(sandbox);
    sandbox.lose_the_manifest();
    let summary = sync(sandbox, &[]);
    assert_eq!((&summary["done"]["as_ruled"], &summary["done"]["restyles"]), (&3.into(), &0.into()), "{summary}");
    idle(sandbox);
}

#[test]
fn rules_are_applied_and_changed_at_buckets() {
    for live in servers() {
        if matches!(&*live.name, "rclone" | "garage") {
            println!("skipped: {}", live.name);
            continue;
        }
        println!("server: {}", live.name);
        let place = Place::new(&live);
        lives(&place.sandbox, || place.assert_equal().objects);
    }
}

#[test]
fn rules_are_applied_and_changed_at_containers() {
    container::on_each_server(|place| lives(&place.sandbox, || place.assert_equal()));
}
