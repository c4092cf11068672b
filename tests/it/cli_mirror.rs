//! `mirror` between two buckets, with the real program: on one server, where objects are copied by it, and on two, where
//! they are streamed through.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::buckets::{Buckets, Servers};
use crate::support::s3::{Attributes, Effect, Faults, ListingOrder, ObjectSpec, Rule};
use crate::support::sandbox::{Sandbox, bytes};

const BOTH: [Servers; 2] = [Servers::One, Servers::Two];
const MIB: usize = 1024 * 1024;

/// Headers and metadata that nothing would guess from the name.
fn dressed() -> Attributes {
    let metadata = [("author", "me"), ("mtime", "1700000000.5")];
    Attributes {
        metadata: metadata.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        content_type: Some("image/x-custom".to_owned()),
        content_encoding: Some("gzip".to_owned()),
        content_language: Some("de".to_owned()),
        content_disposition: Some("attachment; filename=\"x\"".to_owned()),
        cache_control: Some("public, max-age=31536000".to_owned()),
        storage_class: None,
        tagging: None,
    }
}

#[test]
fn headers_and_metadata_travel_with_the_content() {
    for servers in BOTH {
        let buckets = Buckets::new(servers);
        buckets.put_live("plain.jpg", "plain");
        let spec = || ObjectSpec { attributes: dressed(), ..ObjectSpec::default() };
        buckets.live.put_with("small.jpg", "small", spec());
        buckets.live.put_with("large.jpg", bytes(1, 9 * MIB), ObjectSpec { part_size: Some(5 * MIB), ..spec() });
        buckets.mirror(&[]).exits(0);
        buckets.assert_equal();
        let mtime = &buckets.backup.get(&buckets.at_backup("small.jpg")).unwrap().attributes.metadata["mtime"];
        assert_eq!(mtime.trim_end_matches('0'), "1700000000.5");
        buckets.assert_second_run_does_nothing();
        // New content comes with what it carries now; what it does not carry any more is gone.
        let less = Attributes { cache_control: Some("no-store".to_owned()), ..Attributes::default() };
        buckets.live.put_with("small.jpg", "changed", ObjectSpec { attributes: less, ..ObjectSpec::default() });
        buckets.mirror(&[]).exits(0);
        buckets.assert_equal();
        buckets.assert_second_run_does_nothing();
    }
}

#[test]
fn a_mirror_follows_additions_changes_and_deletions() {
    for servers in BOTH {
        let buckets = Buckets::new(servers);
        for n in 0..12 {
            buckets.put_live(&format!("dir{}/{n:02}.jpg", n % 3), format!("content {n}"));
        }
        buckets.mirror(&[]).exits(0);
        buckets.assert_equal();
        buckets.assert_second_run_does_nothing();
        buckets.put_live("new.jpg", "new");
        buckets.put_live("dir0/00.jpg", "changed");
        buckets.live.remove("dir1/01.jpg");
        buckets.mirror(&[]).exits(0);
        buckets.assert_equal();
        buckets.assert_second_run_does_nothing();
    }
}

/// Keys that no directory could hold, or not beside each other.
fn hostile() -> Vec<String> {
    let mut keys: Vec<String> = [
        "a//b",
        "//two",
        "/lead",
        "dir/../up",
        "..",
        ".",
        "./dot",
        "a",
        "a/b",
        "bell\u{7}",
        "new\nline",
        "slash/",
        "back\\slash",
        " blank ",
        "dot.",
        "C:/x",
        "con",
        "caf\u{e9}",
        "cafe\u{301}",
        "rtl/\u{202e}gnp.exe",
        "%2e%2e/x",
        "+ &?#<>",
    ]
    .map(str::to_owned)
    .into();
    keys.push("x".repeat(1_024));
    keys.push(format!("{}/{}", "d".repeat(300), "f".repeat(300)));
    keys
}

#[test]
fn keys_that_no_disk_could_hold_survive_byte_for_byte() {
    for servers in BOTH {
        let buckets = Buckets::with_prefix(servers, "");
        for key in hostile() {
            buckets.put_live(&key, format!("content of {key}"));
        }
        buckets.mirror(&[]).exits(0);
        buckets.assert_equal();
        assert_eq!(buckets.held_backup().len(), hostile().len());
        buckets.assert_second_run_does_nothing();
        for key in hostile().iter().skip(1).step_by(2) {
            buckets.live.remove(key);
        }
        buckets.put_live("a//b", "changed");
        buckets.mirror(&[]).exits(0);
        buckets.assert_equal();
        buckets.assert_second_run_does_nothing();
    }
}

#[test]
fn a_key_that_gets_too_long_is_a_problem_and_hurts_nothing_else() {
    let buckets = Buckets::new(Servers::One);
    buckets.put_live(&"x".repeat(1_024), "too long with a prefix before it");
    buckets.put_live("fine", "fine");
    buckets.mirror(&[]).exits(3).says(&["1031 bytes"]);
    assert_eq!(buckets.held_backup().into_keys().collect::<Vec<_>>(), ["fine"]);
}

/// A backup of 1,100 objects.
fn many(servers: Servers) -> Buckets {
    let buckets = Buckets::new(servers);
    for n in 0..1_100 {
        buckets.put_live(&format!("{n:04}"), "x");
    }
    buckets.mirror(&[]).exits(0);
    buckets
}

#[test]
fn a_live_listing_that_breaks_deletes_nothing() {
    let buckets = many(Servers::Two);
    for effect in [Effect::Status(403, "AccessDenied"), Effect::RepeatToken, Effect::RepeatKey] {
        buckets.clear_logs();
        buckets.server.faults(|faults| faults.add(Rule::new("ListObjectsV2", effect.clone()).key("").skip(1)));
        buckets.mirror(&[]).exits(1).says(&["error: "]);
        assert!(buckets.server.faults(|faults| faults.fired()) > 0, "{effect:?} did not happen");
        assert_eq!(buckets.changes(), Vec::<String>::new(), "{effect:?}");
        buckets.server.faults(Faults::clear);
    }
    buckets.assert_second_run_does_nothing();
}

#[test]
fn a_live_listing_that_lies_about_its_end_deletes_nothing_that_is_still_there() {
    for servers in BOTH {
        let buckets = many(servers);
        buckets.live.remove("1099");
        buckets.clear_logs();
        // The page of the first contact passes; the first page of the listing says that it was the last.
        buckets.server.faults(|faults| faults.add(Rule::new("ListObjectsV2", Effect::ClaimComplete).key("").skip(1)));
        let ran = buckets.mirror(&["--max-delete", "200"]).exits(3).says(&["it is at s3://media again; not deleted"]);
        assert!(buckets.server.faults(|faults| faults.fired()) > 0);
        assert_eq!(buckets.held_backup().len(), 1_099, "only what is really gone: {ran:?}");
        buckets.server.faults(Faults::clear);
        buckets.mirror(&[]).exits(0);
        buckets.assert_equal();
        buckets.assert_second_run_does_nothing();
    }
}

#[test]
fn a_live_listing_without_order_is_sorted_and_deletes_only_what_is_gone() {
    let buckets = Buckets::new(Servers::Two);
    buckets.server.quirks(|quirks| quirks.listing_order = ListingOrder::Components);
    for key in ["a-b", "a.txt", "a/x", "a/y", "b"] {
        buckets.put_live(key, key.to_owned());
    }
    buckets.mirror(&[]).exits(0);
    buckets.assert_equal();
    buckets.live.remove("a.txt");
    buckets.mirror(&[]).exits(0);
    buckets.assert_equal();
    buckets.assert_second_run_does_nothing();
}

#[test]
fn a_backup_of_a_site_that_writes_all_the_time_holds_versions_of_it_and_converges() {
    for servers in BOTH {
        let buckets = Buckets::new(servers);
        let key = |n: usize| format!("dir{}/{n:02}", n % 5);
        let content = |n: usize, round: usize| bytes((n * 1_000 + round) as u64, 1_000 + (n * 37 + round) % 500);
        for n in 0..40 {
            buckets.put_live(&key(n), content(n, 0));
        }
        let (live, stop) = (buckets.live.clone(), AtomicBool::new(false));
        let written = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut written: BTreeMap<String, BTreeSet<Vec<u8>>> =
                    (0..40).map(|n| (key(n), BTreeSet::from([content(n, 0)]))).collect();
                let mut round = 1;
                while !stop.load(Ordering::Relaxed) {
                    // The others are quiet.
                    let n = round * 7 % 10;
                    let new = content(n, round);
                    written.get_mut(&key(n)).unwrap().insert(new.clone());
                    live.put(&key(n), new);
                    round += 1;
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                written
            });
            let codes: Vec<i32> = (0..3).map(|_| buckets.mirror(&[]).code).collect();
            stop.store(true, Ordering::Relaxed);
            assert!(codes.iter().all(|code| matches!(code, 0 | 3)), "{codes:?}");
            writer.join().unwrap()
        });
        let held = buckets.held_backup();
        assert!(held.len() > 20, "most objects were quiet long enough: {}", held.len());
        for (key, content) in held {
            assert!(written[&key].contains(&content[..]), "{key} is no version that ever was");
        }
        buckets.mirror(&[]).exits(0);
        buckets.assert_equal();
        buckets.assert_second_run_does_nothing();
    }
}

#[test]
fn swapped_places_do_not_turn_a_backup_against_the_live_side() {
    for servers in BOTH {
        let buckets = Buckets::new(servers);
        buckets.put_live("a.jpg", "a");
        buckets.put_live("b.jpg", "b");
        buckets.mirror(&[]).exits(0);
        buckets.put_live("a.jpg", "edited since");
        buckets.put_live("new.jpg", "new since");
        let live = buckets.held_live();
        buckets.clear_logs();
        let back = ["mirror", "env:BACKUP", "env:LIVE"];
        let halted = buckets.run(&back).exits(4).says(&["were the places swapped?", "s3://media"]);
        buckets.run(&[&back[..], &["--overwrite", "--max-delete", "100%"]].concat()).exits(4);
        assert_eq!(buckets.held_live(), live);
        assert_eq!(buckets.changes_of_live(), Vec::<String>::new());
        // It goes on as a backup, and what was asked for can be approved: it is how one restores.
        buckets.mirror(&[]).exits(0);
        buckets.assert_equal();
        buckets.put_live("a.jpg", "damaged");
        let restore = buckets.run(&back).exits(4).way_out();
        assert_ne!(restore, halted.way_out());
        buckets.run(&restore.iter().map(String::as_str).collect::<Vec<_>>()).exits(0);
        assert_eq!(buckets.live.content("a.jpg"), "edited since");
        assert_eq!(buckets.held_live(), buckets.held_backup());
    }
}

#[test]
fn a_run_the_other_way_that_changes_nothing_does_not_turn_the_pair() {
    let buckets = Buckets::new(Servers::One);
    buckets.put_live("a.jpg", "a");
    buckets.mirror(&[]).exits(0);
    let back = ["mirror", "env:BACKUP", "env:LIVE"];
    // Nothing to do: no question, and no answer to one either.
    buckets.run(&back).exits(0);
    buckets.put_live("a.jpg", "edited since");
    buckets.clear_logs();
    let halted = buckets.run(&back).exits(4).says(&["were the places swapped?", "--no-delete"]);
    assert_eq!(buckets.changes_of_live(), Vec::<String>::new());
    // An approved restore is no wish to turn it either: the backup goes on, and the next restore is asked for.
    buckets.run(&halted.way_out().iter().map(String::as_str).collect::<Vec<_>>()).exits(0);
    assert_eq!(buckets.live.content("a.jpg"), "a");
    buckets.put_live("a.jpg", "edited again");
    buckets.mirror(&[]).exits(0);
    buckets.put_live("a.jpg", "and again");
    buckets.run(&back).exits(4).says(&["were the places swapped?"]);
}

#[test]
fn a_first_mirror_that_had_to_be_approved_says_which_way_the_pair_goes() {
    let buckets = Buckets::new(Servers::One);
    buckets.put_live("a.jpg", "a");
    buckets.backup.put("copies/theirs.jpg", "somebody else's");
    let way = buckets.mirror(&[]).exits(4).way_out();
    buckets.run(&way.iter().map(String::as_str).collect::<Vec<_>>()).exits(0);
    buckets.put_live("a.jpg", "edited since");
    buckets.run(&["mirror", "env:BACKUP", "env:LIVE"]).exits(4).says(&["were the places swapped?"]);
}

#[test]
fn an_approval_whose_deletions_were_not_made_leaves_the_question_on() {
    let buckets = Buckets::new(Servers::One);
    buckets.put_live("a.jpg", "a");
    buckets.backup.put("copies/theirs.jpg", "somebody else's");
    let way = buckets.mirror(&[]).exits(4).way_out();
    buckets.backup.put("copies/theirs.jpg", "changed after it was shown");
    buckets.run(&way.iter().map(String::as_str).collect::<Vec<_>>()).exits(3);
    buckets.backup.put("copies/never-shown.jpg", "new");
    let asked = buckets.mirror(&[]).exits(4).says(&["2 keys that the source does not have", "never-shown.jpg"]);
    assert_eq!(buckets.held_backup().len(), 3);
    buckets.run(&asked.way_out().iter().map(String::as_str).collect::<Vec<_>>()).exits(0);
    buckets.assert_equal();
}

#[test]
fn no_delete_brings_back_what_is_missing_or_damaged_and_nothing_else() {
    for servers in BOTH {
        let buckets = Buckets::new(servers);
        for n in 0..20 {
            buckets.put_live(&format!("{n:02}.jpg"), format!("content {n}"));
        }
        buckets.mirror(&[]).exits(0);
        buckets.put_live("03.jpg", "damaged");
        buckets.live.remove("05.jpg");
        buckets.put_live("new.jpg", "new since");
        buckets.clear_logs();
        let back = ["mirror", "env:BACKUP", "env:LIVE", "--no-delete"];
        buckets.run(&[&back[..], &["-n"]].concat()).exits(0).says(&["03.jpg", "05.jpg"]);
        assert_eq!(buckets.changes_of_live(), Vec::<String>::new());
        buckets.run(&back).exits(0).says(&["Only at the destination, left alone: 1 file"]);
        let live = buckets.held_live();
        assert_eq!((&live["03.jpg"][..], &live["05.jpg"][..]), (&b"content 3"[..], &b"content 5"[..]));
        assert_eq!((&live["new.jpg"][..], live.len()), (&b"new since"[..], 21));
        // Two objects are written, out of two that are read, or copied by the server.
        let mut written = buckets.changes_of_live();
        // Batches of deletions are those of the first contact: all 21 objects are there.
        written.retain(|change| !change.contains(".mediasync/") && change != "DeleteObjects ");
        let with = if servers == Servers::One { "CopyObject" } else { "PutObject" };
        written.sort();
        assert_eq!(written, [format!("{with} 03.jpg"), format!("{with} 05.jpg")]);
        let log = buckets.target().requests();
        let reads = log.iter().filter(|entry| entry.call.operation == "GetObject" && entry.call.bucket == "backup");
        let reads = reads.filter(|entry| !entry.call.key.contains(".mediasync/")).count();
        assert_eq!(reads, if servers == Servers::One { 0 } else { 2 });
        // What was replaced is kept, as by any mirror.
        let keys = buckets.live.keys();
        let kept: Vec<&String> = keys.iter().filter(|key| key.contains(".mediasync/trash/")).collect();
        assert!(matches!(kept[..], [one] if one.ends_with("/03.jpg")), "{kept:?}");
        // A second one finds nothing to do, the backup goes on without a question, and a real turn is still asked for.
        buckets.clear_logs();
        buckets.run(&back).exits(0);
        assert_eq!(buckets.changes_of_live(), Vec::<String>::new());
        buckets.mirror(&[]).exits(0);
        assert_eq!(buckets.held_live(), buckets.held_backup());
        buckets.put_live("new.jpg", "edited");
        buckets.run(&back[..3]).exits(4).says(&["were the places swapped?"]);
    }
}

#[test]
fn a_backup_into_a_place_with_other_things_asks_first() {
    let buckets = Buckets::new(Servers::One);
    buckets.put_live("a.jpg", "a");
    buckets.backup.put("copies/theirs.jpg", "somebody else's");
    let halted = buckets.mirror(&[]).exits(4).says(&["1 key that the source does not have"]);
    assert_eq!(buckets.held_backup().into_keys().collect::<Vec<_>>(), ["theirs.jpg"]);
    buckets.run(&halted.way_out().iter().map(String::as_str).collect::<Vec<_>>()).exits(0);
    buckets.assert_equal();
}

#[test]
fn an_emptied_live_bucket_empties_no_backup() {
    let buckets = Buckets::new(Servers::Two);
    buckets.put_live("a.jpg", "a");
    buckets.put_live("b.jpg", "b");
    buckets.mirror(&[]).exits(0);
    buckets.live.remove("a.jpg");
    buckets.live.remove("b.jpg");
    buckets.clear_logs();
    buckets.mirror(&[]).exits(4).says(&["is empty"]);
    assert_eq!(buckets.changes(), Vec::<String>::new());
    assert_eq!(buckets.held_backup().len(), 2);
}

/// A mirror takes no ACL from a DSN. That is told once: a schedule would tell it each night.
#[test]
fn that_new_objects_are_private_is_told_by_the_first_mirror_of_a_pair() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let told = "New objects get no ACL: a mirror does not take public-read, which the DSN asks for and a push would give \
                them (--acl public-read for this run, acl = of a remote)";
    sandbox.mirror(&["-n"]).exits(0).says(&[told]);
    let ran = sandbox.mirror(&[]).exits(0).says(&[told]);
    assert_eq!(ran.all().matches("New objects get no ACL").count(), 1, "{ran:?}");
    sandbox.write("b.jpg", "b");
    sandbox.mirror(&[]).exits(0).never_says("New objects get");
    sandbox.mirror(&["-n"]).exits(0).never_says("New objects get");
    // What comes back is looked for by pages that were public.
    sandbox.bucket.remove("site/b.jpg");
    sandbox.mirror(&["--no-delete"]).exits(0).says(&[told]);
    // Where a push would make nothing public, nothing differs.
    let private = Sandbox::with(&[("a.jpg", "a")]);
    private.mirror(&["--acl", "private"]).exits(0).never_says("New objects get");
}
