//! From one kind of store to the other and back, by the program: what is on a disk comes back as it was, what a blob or an
//! object carries travels along, and a second run asks for no content.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::container::{MIB, Place, assert_done, on_each_server, requests};
use super::{place, servers};
use crate::support::s3::{Attributes, ObjectSpec};
use crate::support::sandbox::bytes;

/// Requests that read or write content, of either kind of store.
const CONTENT: [&str; 8] =
    ["GetBlob", "PutBlob", "PutBlock", "CopyBlob", "GetObject", "PutObject", "UploadPart", "CopyObject"];

/// Names that people, shells, URLs and headers trip over; all of them can be on a disk and in both kinds of stores.
fn awkward() -> Vec<String> {
    let mut names: Vec<String> = [
        "a.jpg",
        "a b  c.jpg",
        "100%.txt",
        "%41%2F%.txt",
        "a+b.txt",
        "a#b.txt",
        "a?b=c&d.txt",
        "quote\"and'.txt",
        "semi;colon,comma.txt",
        "[brackets]{braces}|^~`.txt",
        "-rf",
        ".hidden/.file",
        "Ünïcödé/日本語/файл.png",
        "emoji 😀.gif",
        "nfc \u{e9}.txt",
        "nfd e\u{301}.txt",
        "Case.txt",
        "case.txt",
        "a-b/x",
        "a/b",
        "a.b/x",
        " leading and trailing ",
        "C:",
        "con",
        "<tag>.xml",
        "@at=eq$dollar!.txt",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push(format!("{}/{}.bin", "d".repeat(255), "ü".repeat(120)));
    names.push(vec!["deep"; 60].join("/"));
    names
}

/// Fills the media directory: awkward names, sizes around the limits, times of all kinds.
fn fill(place: &Place) {
    let sandbox = &place.sandbox;
    for (n, name) in awkward().iter().enumerate() {
        sandbox.write(name, bytes(n as u64, 100 + 37 * n));
    }
    for (n, len) in [0, 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 16 * MIB, 17 * MIB + 3].into_iter().enumerate() {
        sandbox.write(&format!("sizes/{len}.bin"), bytes(100 + n as u64, len));
    }
    sandbox.write("empty too", "");
    let names: Vec<String> = sandbox.local().into_keys().collect();
    for (n, name) in (0_u32..).zip(&names) {
        let time = match n % 4 {
            0 => UNIX_EPOCH + Duration::new(1_000_000_000 + u64::from(n), 123_456_789),
            1 => UNIX_EPOCH + Duration::from_secs(4_000_000_000),
            2 => UNIX_EPOCH - Duration::new(86_400 * 365, 500_000_000),
            _ => UNIX_EPOCH + Duration::new(1_700_000_000, n),
        };
        sandbox.set_mtime(name, time);
    }
}

/// Names, content and times of all files below a directory.
fn held(root: &Path) -> BTreeMap<String, (blake3::Hash, SystemTime)> {
    let (mut found, mut todo) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
                continue;
            }
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let modified = fs::metadata(&path).unwrap().modified().unwrap();
            found.insert(name, (blake3::hash(&fs::read(&path).unwrap()), modified));
        }
    }
    found
}

/// Runs with `--json` and gives the summary.
#[track_caller]
fn run(place: &Place, args: &[&str]) -> Value {
    let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    place.sandbox.run(&args).exits(0).line("summary")
}

/// Runs, and then runs again: nothing is planned and no content is asked for.
#[track_caller]
fn run_twice(place: &Place, args: &[&str]) -> Value {
    let summary = run(place, args);
    let again = run(place, args);
    for count in ["creates", "overwrites", "copies", "deletes", "records"] {
        assert_eq!(again["planned"][count], 0, "{count} of {args:?}: {again}");
    }
    for kind in CONTENT {
        // The identity of each side is read, as a blob or object of one line.
        let identities = u64::from(kind.starts_with("Get"));
        assert!(requests(&again, kind) <= identities, "{kind} of {args:?}: {again}");
    }
    assert_eq!(again["done"]["bytes_sent"], 0);
    summary
}

#[test]
fn disk_to_azure_to_s3_to_disk_brings_back_names_bytes_and_times() {
    on_each_server(|mut place| {
        let azure = place.dsn(&place.server.key.clone(), &place.server.container.clone());
        let in_process = place.sandbox.dsn(&format!("endpoint={}", place.sandbox.server.endpoint()));
        // rclone answers the beginning of an upload in parts in a way that can't be read (seen with version 1.75.2).
        let (left_out, whole): (Vec<_>, Vec<_>) = servers().into_iter().partition(|server| server.name == "rclone");
        for server in left_out {
            println!("skipped: {}", server.name);
        }
        let real: Vec<place::Place> = whole.iter().map(place::Place::new).collect();
        fill(&place);
        let (media, expected) = (place.sandbox.path("media"), held(&place.sandbox.path("media")));
        place.sandbox.env("AZURE", &azure);
        let there = run_twice(&place, &["push", media.to_str().unwrap(), "env:AZURE"]);
        assert_done(&there, &[("creates", expected.len() as u64)]);
        assert!(requests(&there, "PutBlock") >= 4, "large files go in blocks: {there}");
        let named = real.iter().map(|s3| (s3.live.name.clone(), s3.dsn().to_owned()));
        for (at, (name, dsn)) in std::iter::once(("in-process".to_owned(), in_process)).chain(named).enumerate() {
            println!("S3 side: {name}");
            place.sandbox.env("S3", &dsn);
            let across = run_twice(&place, &["mirror", "env:AZURE", "env:S3"]);
            assert_done(&across, &[("creates", expected.len() as u64)]);
            let back = place.sandbox.path(&format!("back-{at}"));
            let home = run_twice(&place, &["pull", "env:S3", back.to_str().unwrap()]);
            assert_done(&home, &[("creates", expected.len() as u64)]);
            let came = held(&back);
            assert_eq!(came.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{name}");
            for (file, what) in &expected {
                assert_eq!(came[file], *what, "{name}: {file}");
            }
        }
    });
}

#[test]
fn what_an_object_carries_travels_to_azure_and_back() {
    on_each_server(|mut place| {
        let azure = place.dsn(&place.server.key.clone(), &place.server.container.clone());
        place.sandbox.env("AZURE", &azure);
        let s3 = place.sandbox.dsn(&format!("endpoint={}", place.sandbox.server.endpoint()));
        place.sandbox.env("S3", &s3);
        let back = s3.replace("/site?", "/back?");
        place.sandbox.env("BACK", &back);
        let spec = ObjectSpec {
            attributes: Attributes {
                content_type: Some("image/x-own".to_owned()),
                cache_control: Some("max-age=99".to_owned()),
                content_disposition: Some("attachment; filename=\"x.jpg\"".to_owned()),
                // One that no client undoes by itself.
                content_encoding: Some("x-own".to_owned()),
                content_language: Some("de".to_owned()),
                metadata: [("author".to_owned(), "me".to_owned()), ("a_b".to_owned(), "c d".to_owned())].into(),
                ..Attributes::default()
            },
            ..ObjectSpec::default()
        };
        for (name, len) in [("small.jpg", 1_000), ("empty.jpg", 0), ("large.jpg", 9 * MIB + 1)] {
            place.sandbox.bucket.put_with(&format!("site/{name}"), bytes(7, len), spec.clone());
        }
        place.sandbox.put("plain.png", "plain");
        assert_done(&run_twice(&place, &["mirror", "env:S3", "env:AZURE"]), &[("creates", 4)]);
        let blobs = place.blobs();
        for name in ["small.jpg", "empty.jpg", "large.jpg"] {
            let blob = &blobs[name];
            assert_eq!((&blob["content_type"], &blob["cache_control"]), (&"image/x-own".into(), &"max-age=99".into()));
            assert_eq!((&blob["metadata"]["author"], &blob["metadata"]["a_b"]), (&"me".into(), &"c d".into()));
        }
        assert_done(&run_twice(&place, &["mirror", "env:AZURE", "env:BACK"]), &[("creates", 4)]);
        for name in ["small.jpg", "empty.jpg", "large.jpg", "plain.png"] {
            let [there, came] = ["site", "back"].map(|prefix| {
                let object = place.sandbox.bucket.get(&format!("{prefix}/{name}")).unwrap();
                let mut attributes = object.attributes.clone();
                attributes.metadata.retain(|name, _| !["blake3", "mtime"].contains(&name.as_str()));
                (object.body.bytes(), attributes)
            });
            assert_eq!(there.0, came.0, "{name}");
            if name != "plain.png" {
                assert_eq!(there.1, came.1, "{name}");
            }
        }
        // A change travels alone, and what is gone goes.
        place.sandbox.bucket.put_with("site/small.jpg", "changed", spec);
        place.sandbox.bucket.remove("site/empty.jpg");
        for (from, to) in [("env:S3", "env:AZURE"), ("env:AZURE", "env:BACK")] {
            let summary = run_twice(&place, &["mirror", from, to]);
            assert_done(&summary, &[("overwrites", 1), ("deletes", 1)]);
            assert_eq!(summary["done"]["bytes_sent"], 7, "{summary}");
        }
        assert_eq!(place.blobs().keys().collect::<Vec<_>>(), ["large.jpg", "plain.png", "small.jpg"]);
        assert_eq!(place.sandbox.bucket.content("back/small.jpg"), "changed");
    });
}
