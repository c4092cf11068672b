//! Header rules against real servers: an independent reader says what the objects carry.

use std::collections::BTreeMap;
use std::fs;

use mediasync::replica::s3::S3Address;
use serde_json::Value;

use super::bucket::RawBucket;
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

/// `equal` makes sure that both sides hold the same, and says what the objects carry. `large`: bytes of the largest one.
fn lives(sandbox: &Sandbox, large: usize, equal: impl Fn() -> BTreeMap<String, Value>) {
    sandbox.write("a/page.html", "page");
    sandbox.write("image.svg", "image");
    sandbox.write("large.bin", bytes(1, large));
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

/// An object of which nothing tells what would be copied is told once and stays.
fn stays(place: &Place) {
    place.sandbox.write("parts.bin", bytes(2, 9 * MIB));
    rules(&place.sandbox, "");
    sync(&place.sandbox, &[]);
    rules(&place.sandbox, &rule("parts.bin", "cache_control = \"no-store\""));
    let ran = place.sandbox.run(&["sync", "--json"]).exits(3);
    assert_eq!(ran.line("summary")["done"]["restyles"], 0, "{ran:?}");
    let summary = sync(&place.sandbox, &[]);
    assert_eq!((&summary["unstyled"], &summary["requests"]["CopyObject"]), (&1.into(), &Value::Null), "{summary}");
    assert_eq!(place.assert_contents_equal().objects["parts.bin"]["cache_control"], Value::Null);
}

#[test]
fn an_acl_and_tags_that_somebody_set_survive_a_change_of_headers() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for live in servers().into_iter().filter(|live| matches!(&*live.name, "seaweedfs" | "moto")) {
        println!("server: {}", live.name);
        let place = Place::new(&live);
        let prefix = place.prefix().trim_end_matches('/').to_owned();
        let raw = RawBucket::new(&S3Address { prefix, ..live.address() });
        runtime.block_on(raw.dress("a.jpg", b"a"));
        let before = runtime.block_on(raw.dressed("a.jpg"));
        assert_eq!(before.len(), 5, "{before:?}");
        place.sandbox.write("a.jpg", "a");
        rules(&place.sandbox, &rule("*", "content_language = \"de\""));
        let summary = sync(&place.sandbox, &[]);
        assert_eq!(summary["done"]["restyles"], 1, "{summary}");
        assert_eq!(runtime.block_on(raw.dressed("a.jpg")), before, "{}", live.name);
    }
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
        // It checks no version of what it copies: small objects lose their recorded digest, and large ones stay.
        if live.name == "moto" {
            lives(&place.sandbox, MIB, || place.assert_contents_equal().objects);
            stays(&place);
            continue;
        }
        lives(&place.sandbox, 9 * MIB, || place.assert_equal().objects);
    }
}

#[test]
fn rules_are_applied_and_changed_at_containers() {
    container::on_each_server(|place| lives(&place.sandbox, 9 * MIB, || place.assert_equal()));
}
