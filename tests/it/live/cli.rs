//! The program against real servers: after each step an independent reader says that the bucket holds what the
//! directory holds.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::place::Place;
use super::servers;
use crate::contract::expected::Expected;
use crate::contract::names;
use crate::support::sandbox::bytes;

const MIB: usize = 1024 * 1024;

fn on_each_server(test: impl Fn(&Place, &Expected)) {
    for live in servers() {
        // Their differences have no place in these tests yet: the reader of the bucket fails on names and uploads there.
        if matches!(&*live.name, "rclone" | "garage") {
            println!("skipped: {} (only the contract runs there)", live.name);
            continue;
        }
        println!("server: {}", live.name);
        test(&Place::new(&live), &Expected::of(&live.name));
    }
}

#[track_caller]
fn assert_done(summary: &Value, expected: &[(&str, u64)]) {
    for count in ["creates", "overwrites", "copies", "deletes"] {
        let wanted = expected.iter().find(|(name, _)| *name == count).map_or(0, |(_, wanted)| *wanted);
        assert_eq!(summary["done"][count], wanted, "{count}: {summary}");
    }
}

fn request_count(summary: &Value, kind: &str) -> u64 {
    summary["requests"][kind].as_u64().unwrap_or(0)
}

/// Forty small files in a few directories.
fn fill(place: &Place) {
    for n in 0..40 {
        place.sandbox.write(&format!("photos/{}/{n}.jpg", n % 4), bytes(n, 100 + 700 * usize::try_from(n).unwrap()));
    }
    place.sandbox.write("empty.txt", "");
}

#[test]
fn a_life_of_pushes() {
    on_each_server(|place, _| {
        let sandbox = &place.sandbox;
        fill(place);
        let (ran, planned) = place.push(&["--dry-run"], 0);
        assert_eq!(planned["planned"]["creates"], 41, "{ran:?}");
        assert!(place.look().objects.is_empty() && place.look().own.is_empty(), "a dry run leaves nothing");
        let (_, summary) = place.push(&[], 0);
        assert_done(&summary, &[("creates", 41)]);
        let seen = place.assert_equal();
        assert_eq!(seen.objects["photos/1/1.jpg"]["content_type"], "image/jpeg");
        place.assert_idle(&[], 0);

        // The same size, and the time put back.
        let before = sandbox.mtime("photos/1/1.jpg");
        sandbox.write("photos/1/1.jpg", bytes(1001, 800));
        sandbox.set_mtime("photos/1/1.jpg", before);
        sandbox.write("photos/2/2.jpg", "shorter");
        sandbox.write("empty.txt", "not any more");
        let (_, summary) = place.push(&[], 0);
        assert_done(&summary, &[("overwrites", 3)]);
        place.assert_equal();
        place.assert_idle(&[], 0);

        // Touched only.
        sandbox.set_mtime("photos/3/3.jpg", std::time::SystemTime::now() - Duration::from_secs(1000));
        let (_, summary) = place.push(&[], 0);
        assert_done(&summary, &[]);
        place.assert_idle(&[], 0);

        // A folder gets another name: copied inside the bucket, nothing is sent.
        std::fs::rename(sandbox.media("photos/1"), sandbox.media("album + 1")).unwrap();
        let (ran, summary) = place.push(&["--delete"], 0);
        assert_done(&summary, &[("copies", 10), ("deletes", 10)]);
        assert_eq!((request_count(&summary, "PutObject"), &summary["done"]["bytes_sent"]), (0, &0.into()), "{ran:?}");
        place.assert_equal();
        place.assert_idle(&["--delete"], 0);

        // Deleted here: kept there without --delete.
        for n in [0, 4, 8] {
            sandbox.remove(&format!("photos/0/{n}.jpg"));
        }
        let (_, summary) = place.push(&[], 0);
        assert_done(&summary, &[]);
        assert_eq!(summary["kept"], 3);
        let (_, summary) = place.push(&["--delete"], 0);
        assert_done(&summary, &[("deletes", 3)]);
        place.assert_equal();
        place.assert_idle(&["--delete"], 0);
    });
}

#[test]
fn a_file_becomes_a_directory_and_back() {
    on_each_server(|place, _| {
        let sandbox = &place.sandbox;
        sandbox.write("a", "file");
        sandbox.write("other", "x");
        place.push(&[], 0);
        sandbox.remove("a");
        sandbox.write("a/x", "below");
        place.push(&["--delete"], 0);
        place.assert_equal();
        sandbox.remove("a/x");
        std::fs::remove_dir(sandbox.media("a")).unwrap();
        sandbox.write("a", "file again");
        place.push(&["--delete"], 0);
        place.assert_equal();
        place.assert_idle(&["--delete"], 0);
    });
}

#[test]
fn what_others_stored_is_adopted_left_or_reported() {
    on_each_server(|place, _| {
        let sandbox = &place.sandbox;
        sandbox.write("same.jpg", "the same");
        sandbox.write("other.jpg", "ours");
        place.put("same.jpg", b"the same");
        place.put("other.jpg", b"theirs");
        place.put("extra.jpg", b"extra");
        let (ran, summary) = place.push(&["--delete"], 3);
        assert_done(&summary, &[]);
        assert_eq!((&summary["conflicts"], &summary["extras"]), (&1.into(), &1.into()), "{ran:?}");
        assert_eq!(place.look().objects.len(), 3);
        // A change by somebody else after we agreed is not overwritten either.
        sandbox.write("same.jpg", "edited here");
        place.put("same.jpg", b"edited there");
        place.push(&["--delete"], 3);
        assert_eq!(place.look().objects["same.jpg"]["size"], 12);
        let (_, summary) = place.push(&["--delete", "--overwrite"], 0);
        assert_done(&summary, &[("overwrites", 2)]);
        assert_eq!(place.look().objects.len(), 3, "what we never saw stays");
    });
}

#[test]
fn a_mirror_asks_before_it_removes_what_it_never_saw() {
    on_each_server(|place, _| {
        let sandbox = &place.sandbox;
        fill(place);
        for n in 0..5 {
            place.put(&format!("theirs/{n}"), b"somebody else's");
        }
        let halted = sandbox.mirror(&[]).exits(4);
        assert_eq!(place.look().objects.len(), 5, "a halt changes nothing");
        let words = halted.way_out();
        sandbox.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).exits(0);
        place.assert_equal();
        let again = sandbox.mirror(&["--json"]).exits(0);
        assert_eq!(again.line("summary")["planned"]["deletes"], 0, "{again:?}");
    });
}

#[test]
fn large_files_go_in_parts() {
    on_each_server(|place, _| {
        let sandbox = &place.sandbox;
        sandbox.write("20.bin", bytes(20, 20 * MIB));
        sandbox.write("9.bin", bytes(9, 9 * MIB));
        let (_, summary) = place.push(&[], 0);
        assert_done(&summary, &[("creates", 2)]);
        assert_eq!(request_count(&summary, "UploadPart"), 5);
        place.assert_equal();
        place.assert_idle(&[], 0);
        sandbox.write("9.bin", bytes(10, 20 * MIB + 1));
        std::fs::rename(sandbox.media("20.bin"), sandbox.media("renamed.bin")).unwrap();
        let (ran, summary) = place.push(&["--delete"], 0);
        assert_done(&summary, &[("overwrites", 1), ("copies", 1), ("deletes", 1)]);
        assert_eq!(summary["done"]["bytes_sent"], 20 * MIB + 1, "{ran:?}");
        place.assert_equal();
        place.assert_idle(&["--delete"], 0);
        // The manifest is lost: everything is recognised.
        sandbox.lose_the_manifest();
        let (_, summary) = place.push(&[], 0);
        assert_done(&summary, &[]);
        place.assert_idle(&[], 0);
    });
}

/// Everything that is visible is whole.
fn assert_whole(place: &Place) {
    let local = place.sandbox.local();
    for (name, object) in place.look().objects {
        assert_eq!(object["size"], local[&name].len(), "{name}");
    }
}

#[test]
fn killed_pushes_lose_nothing() {
    on_each_server(|place, _| {
        let sandbox = &place.sandbox;
        fill(place);
        place.push(&[], 0);
        let mut killed = 0;
        for (round, delay) in [40, 80, 160, 320, 640].into_iter().enumerate() {
            for n in 0..30 {
                sandbox.write(&format!("round {round}/{n}"), bytes(n, 5_000));
            }
            sandbox.write("empty.txt", format!("{round}"));
            let run = sandbox.start_push(&["--delete"]);
            std::thread::sleep(Duration::from_millis(delay));
            killed += i32::from(run.kill() == -9);
        }
        assert!(killed >= 2, "only {killed} runs were killed in time");
        place.push(&["--delete"], 0);
        place.assert_equal();
        place.assert_idle(&["--delete"], 0);
    });
}

#[test]
fn a_killed_upload_goes_on_where_it_was() {
    on_each_server(|place, expected| {
        let sandbox = &place.sandbox;
        sandbox.write("large.bin", bytes(77, 44 * MIB));
        // Six parts, four at once: slow enough to be met in the middle.
        let run = sandbox.start_push(&["--bwlimit", "8MiB"]);
        let begun = Instant::now();
        while place.parts() == 0 {
            assert!(begun.elapsed() < Duration::from_secs(30), "no part is there after 30 seconds");
        }
        assert_eq!(run.kill(), -9, "the run ended too early");
        assert_whole(place);
        let (ran, summary) = place.push(&[], 0);
        let sent = request_count(&summary, "UploadPart");
        assert_eq!(sent < 6, expected.resent < 3, "{sent} parts were sent: {ran:?}");
        place.assert_equal();
        place.assert_idle(&[], 0);
    });
}

/// Those of the contract's suite that a directory can hold side by side, that no other one is a twin of, and that are no
/// junk (`.hidden` is a list of file managers).
fn names() -> Vec<&'static str> {
    names::all().filter(|name| !matches!(*name, "a" | ".hidden" | "caf\u{e9}" | "cafe\u{301}")).collect()
}

#[test]
fn hard_names_come_through() {
    on_each_server(|place, expected| {
        let (sandbox, refused) = (&place.sandbox, expected.refused);
        let code = if refused.is_empty() { 0 } else { 3 };
        let names = names();
        for name in &names {
            sandbox.write(&format!("old/{name}"), name);
        }
        // 200 bytes a component, 900 in all.
        let long = format!("old/{}{}", format!("{}/", "ü".repeat(100)).repeat(4), "x".repeat(92));
        sandbox.write(&long, "long");
        let below = |dir: &str| refused.iter().map(|name| format!("{dir}/{name}")).collect::<Vec<_>>();
        let (ran, summary) = place.push(&["--delete"], code);
        assert_eq!(summary["problems"], refused.len(), "{ran:?}");
        place.assert_equal_but(&below("old"));
        // All renamed: copied under their new names, and deleted under the old.
        std::fs::rename(sandbox.media("old"), sandbox.media("new + 1%")).unwrap();
        let (_, summary) = place.push(&["--delete", "--max-delete", "100%"], code);
        let count = (names.len() + 1 - refused.len()) as u64;
        assert_done(&summary, &[("copies", count), ("deletes", count)]);
        let mut except = below("new + 1%");
        place.assert_equal_but(&except);
        // A name that is too long with the prefix is a problem, and the rest goes on.
        let too_long = format!("{}{}", format!("{}/", "ü".repeat(100)).repeat(4), "x".repeat(200));
        sandbox.write(&too_long, "too long");
        sandbox.write("one more", "1");
        let (ran, summary) = place.push(&["--delete"], 3);
        assert_done(&summary, &[("creates", 1)]);
        assert!(ran.all().contains("1024") || ran.all().contains("1,024"), "{ran:?}");
        except.push(too_long);
        place.assert_equal_but(&except);
    });
}
