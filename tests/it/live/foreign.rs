//! A library that another tool stored: both sides hold it already, and nothing of it is sent or read.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command};

use serde_json::Value;

use super::place::Place;
use super::{Live, servers};
use crate::support::sandbox::{REMOTE, Sandbox, bytes};

const TOOLS: [&str; 5] = ["aws", "rclone", "s3cmd", "s5cmd", "boto3"];
const MIB: u64 = 1024 * 1024;

/// What `scripts/foreign.py` exits with where a tool is not installed.
const MISSING: i32 = 77;

const FILES: usize = 1_000;

/// Above what each tool sends in one request: two parts of s5cmd, eight of aws-cli, four of s3cmd.
const LARGE: [u64; 3] = [20 * MIB, 33 * MIB + 1, 56 * MIB + 12_345];

/// A thousand files in a few directories; the large ones are mostly holes.
fn fill(dir: &Path) {
    for at in 0..FILES - LARGE.len() {
        let path = dir.join(format!("{}/{} + ü/{at:04}.jpg", at % 7, at % 3));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes(at as u64, 1 + at * 5)).unwrap();
    }
    fs::create_dir_all(dir.join("videos")).unwrap();
    for size in LARGE {
        let file = fs::File::create(dir.join(format!("videos/{size}.mp4"))).unwrap();
        file.set_len(size).unwrap();
        for offset in (0..size - MIB).step_by(3_000_017) {
            file.write_all_at(&bytes(offset, 10_000), offset).unwrap();
        }
    }
}

fn start(tool: &str, live: &Live, place: &Place, dir: &Path) -> Child {
    let python = std::env::var("MEDIASYNC_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/foreign.py"))
        .args([tool, &live.endpoint, &live.bucket, place.prefix()])
        .arg(dir)
        .env("AWS_ACCESS_KEY_ID", &live.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &live.secret_key)
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .spawn()
        .unwrap()
}

/// A run that finds everything where it is already.
#[track_caller]
fn adopts(what: &str, sandbox: &Sandbox, args: &[&str]) {
    for round in ["first", "second"] {
        let ran = sandbox.run(args).exits(0);
        let summary: Value = ran.line("summary");
        let said = format!("{what}, the {round} run: {ran:?}");
        for counts in ["planned", "done"] {
            for count in ["creates", "overwrites", "copies", "deletes", "bytes_sent"] {
                assert_eq!(summary[counts][count], 0, "{counts} {count}: {said}");
            }
        }
        assert_eq!((&summary["problems"], &summary["conflicts"]), (&0.into(), &0.into()), "{said}");
        let records = if round == "first" { FILES } else { 0 };
        assert_eq!(summary["done"]["records"], records, "{said}");
        // The id object is read at both contacts; nothing that holds content.
        let asked = |kind: &str| summary["requests"][kind].as_u64().unwrap_or(0);
        assert!(asked("GetObject") <= 2, "{said}");
        assert_eq!((asked("UploadPart"), asked("CreateMultipartUpload")), (0, 0), "{said}");
        if round == "second" {
            assert_eq!((asked("PutObject"), asked("CopyObject"), asked("DeleteObject")), (0, 0, 0), "{said}");
        }
    }
}

#[test]
fn what_other_tools_uploaded_is_adopted_in_both_directions() {
    let (dir, servers) = (tempfile::tempdir().unwrap(), servers());
    if !servers.is_empty() {
        fill(dir.path());
    }
    let media = dir.path().to_str().unwrap();
    for live in servers.iter().filter(|live| matches!(&*live.name, "seaweedfs" | "garage")) {
        println!("server: {}", live.name);
        let places: Vec<_> = TOOLS.iter().map(|tool| (tool, Place::new(live))).collect();
        let uploads: Vec<_> =
            places.iter().map(|(tool, place)| (start(tool, live, place, dir.path()), tool, place)).collect();
        for (mut upload, tool, place) in uploads {
            let status = upload.wait().unwrap();
            if status.code() == Some(MISSING) {
                println!("skipped: {tool} is not installed");
                continue;
            }
            assert!(status.success(), "{tool} at {}", live.name);
            let what = format!("{tool} at {}", live.name);
            let mut pulling = Sandbox::new();
            pulling.env("DEFAULT_STORAGE_DSN", place.dsn());
            adopts(&format!("pull of {what}"), &pulling, &["pull", REMOTE, media, "--json"]);
            adopts(&format!("push onto {what}"), &place.sandbox, &["push", media, REMOTE, "--json"]);
            println!("{what}: adopted in both directions");
        }
    }
}
