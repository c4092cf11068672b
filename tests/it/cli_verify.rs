//! `verify` through the program: what it finds, how it knows, and that it neither trusts a memory nor changes anything.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::Value;

use crate::support::buckets::{Buckets, Servers};
use crate::support::s3::{Algorithm, ETags, Effect, Faults, Moment, ObjectSpec, Rule};
use crate::support::sandbox::{REMOTE, Ran, Sandbox, bytes};

const MIB: usize = 1024 * 1024;

/// `verify media REMOTE --json` and more: what ran and its summary. Whatever it finds, it changes nothing.
#[track_caller]
fn verify(sandbox: &Sandbox, more: &[&str], code: i32) -> (Ran, Value) {
    let (media, before) = (sandbox.path("media"), sandbox.bucket.keys());
    let base = ["verify", media.to_str().unwrap(), REMOTE, "--json"];
    sandbox.server.clear_log();
    let ran = sandbox.run(&base.iter().chain(more).copied().collect::<Vec<_>>()).exits(code);
    assert!(sandbox.server.changing_requests().is_empty() && sandbox.bucket.keys() == before, "{ran:?}");
    let summary = ran.line("verify-summary");
    assert_eq!(summary["exit"], code);
    (ran, summary)
}

/// The keys of an outcome.
fn keys(ran: &Ran, outcome: &str) -> Vec<String> {
    let lines = ran.json().into_iter().filter(|line| line["type"] == "verified" && line["outcome"] == outcome);
    lines.map(|line| line["key"].as_str().unwrap().to_owned()).collect()
}

fn filled() -> Sandbox {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b/ü 1.jpg", "bb"), ("empty.txt", "")]);
    sandbox.write("large.bin", bytes(9, 9 * MIB));
    sandbox.push(&[]).exits(0);
    sandbox
}

#[test]
fn what_was_pushed_is_equal_and_needs_no_download() {
    let sandbox = filled();
    let (ran, summary) = verify(&sandbox, &[], 0);
    assert_eq!((&summary["equal"], &summary["equal_by"]["empty"]), (&4.into(), &1.into()), "{ran:?}");
    // The ETag of each is the digest of its content, or that of its parts.
    assert_eq!((&summary["equal_by"]["listed"], &summary["equal_by"]["read"]), (&3.into(), &0.into()), "{ran:?}");
    assert_eq!(sandbox.requested("HeadObject"), Vec::<String>::new());
    assert_eq!(sandbox.requested("GetObject"), [".mediasync/id"]);
    let media = sandbox.path("media");
    let told = sandbox.run(&["verify", media.to_str().unwrap(), REMOTE]).exits(0);
    told.says(&["s3://media/site holds what ", "equal 4 files (9.0 MiB: 3 by what the listing tells, 1 empty)."]);

    let (ran, summary) = verify(&sandbox, &["--download"], 0);
    assert_eq!(summary["equal_by"]["read"], 3, "{ran:?}");
    assert!(sandbox.requested("GetObject").iter().any(|key| key == "large.bin"));
}

#[test]
fn what_differs_is_told_by_name_and_exits_with_3() {
    let sandbox = filled();
    sandbox.write("more/new.jpg", "new");
    sandbox.write("sized.jpg", "1");
    sandbox.write("foreign.jpg", "ours!");
    sandbox.write("same.jpg", "the same");
    sandbox.put("sized.jpg", "22");
    sandbox.put("foreign.jpg", "other");
    sandbox.put("same.jpg", "the same");
    sandbox.put("extra.jpg", "x");
    // The same size, and our digest stands at the object.
    sandbox.write("b/ü 1.jpg", "cc");
    let (ran, summary) = verify(&sandbox, &[], 3);
    assert_eq!(keys(&ran, "missing"), ["more/new.jpg"]);
    assert_eq!(keys(&ran, "different"), ["b/ü 1.jpg", "sized.jpg"], "{ran:?}");
    assert_eq!(keys(&ran, "cannot-tell"), ["foreign.jpg"], "an ETag shows no difference");
    assert_eq!(keys(&ran, "extra"), ["extra.jpg"]);
    assert_eq!((&summary["equal"], &summary["problems"]), (&4.into(), &0.into()));

    verify(&sandbox, &["--only", "foreign.jpg"], 3);

    let (ran, summary) = verify(&sandbox, &["--download"], 3);
    assert_eq!(keys(&ran, "different"), ["b/ü 1.jpg", "foreign.jpg", "sized.jpg"], "{ran:?}");
    assert_eq!((&summary["cannot_tell"], &summary["equal_by"]["read"]), (&0.into(), &3.into()));
    let media = sandbox.path("media");
    let told = sandbox.run(&["verify", media.to_str().unwrap(), REMOTE]).exits(3);
    told.says(&["DOES NOT PROVABLY HOLD", "missing 1", "different 2", "cannot tell 1", "extra 1"])
        .says(&["different          2 B  b/ü 1.jpg\n", "--download reads"]);

    // What is there besides is nothing to somebody who copies.
    let (_, summary) = verify(&sandbox, &["--one-way", "--only", "a.jpg"], 0);
    assert_eq!(summary["equal"], 1);
    let (_, summary) = verify(&sandbox, &["--one-way", "--only", "b"], 3);
    assert_eq!((&summary["different"], &summary["extra_is_a_difference"]), (&1.into(), &false.into()));
    let media = sandbox.path("media");
    let none = sandbox.run(&["verify", media.to_str().unwrap(), REMOTE, "--one-way", "--only", "extra.jpg"]).exits(2);
    none.says(&["nothing was compared"]);
    verify(&sandbox, &["--only", "extra.jpg"], 3);
    verify(&sandbox, &["--exclude", "*.jpg"], 0);
}

#[test]
fn where_etags_say_nothing_the_server_is_asked_and_damage_under_a_right_digest_needs_a_download() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    sandbox.server.quirks(|quirks| quirks.etags = ETags::Opaque);
    sandbox.push(&[]).exits(0);
    let (_, summary) = verify(&sandbox, &[], 0);
    assert_eq!(summary["equal_by"]["looked_up"], 2);
    assert_eq!(sandbox.requested("HeadObject"), ["a.jpg", "b.jpg"]);
    // Other bytes under the digest that we recorded.
    damage(&sandbox, "b.jpg", "B", None);
    let (ran, summary) = verify(&sandbox, &[], 3);
    assert_eq!((keys(&ran, "cannot-tell"), &summary["only_recorded"]), (vec!["b.jpg".to_owned()], &1.into()));
    assert_eq!(ran.json().iter().find(|line| line["key"] == "b.jpg").unwrap()["only_recorded"], true);
    let (ran, summary) = verify(&sandbox, &["--download"], 3);
    assert_eq!((&summary["problems"], &summary["equal_by"]["read"]), (&1.into(), &1.into()), "{ran:?}");
    assert_eq!(ran.line("problem")["key"], "b.jpg");
    // What is not told otherwise is read, and nothing else.
    sandbox.bucket.put_with("site/b.jpg", "b", ObjectSpec::default());
    let (_, summary) = verify(&sandbox, &["--compare", "download"], 0);
    assert_eq!((&summary["equal_by"]["looked_up"], &summary["equal_by"]["read"]), (&1.into(), &1.into()));
}

/// Somebody stores other bytes of the same size, with all the metadata that was there.
fn damage(sandbox: &Sandbox, name: &str, bytes: &str, checksum: Option<Algorithm>) {
    let key = format!("site/{name}");
    let stored = sandbox.bucket.get(&key).unwrap();
    let spec = ObjectSpec { attributes: stored.attributes.clone(), checksum, ..ObjectSpec::default() };
    sandbox.bucket.put_with(&key, bytes.to_owned(), spec);
}

#[test]
fn a_recorded_digest_alone_proves_nothing() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c")]);
    sandbox.push(&[]).exits(0);
    // The ETag is not that of the content; and a checksum of the server's says that it is another one.
    damage(&sandbox, "b.jpg", "B", None);
    damage(&sandbox, "c.jpg", "C", Some(Algorithm::Sha256));
    let (ran, summary) = verify(&sandbox, &[], 3);
    assert_eq!((&summary["equal"], &summary["equal_by"]["listed"]), (&1.into(), &1.into()), "{ran:?}");
    assert_eq!((keys(&ran, "cannot-tell"), keys(&ran, "different")), (vec!["b.jpg".into()], vec!["c.jpg".into()]));
    let media = sandbox.path("media");
    let told = sandbox.run(&["verify", media.to_str().unwrap(), REMOTE]).exits(3);
    told.says(&["of 1 only the digest agrees that was recorded", "cannot tell 1", "different 1"]);
    // The right content under a foreign ETag, with a checksum of the server's.
    let stored = sandbox.bucket.get("site/a.jpg").unwrap();
    let (etag, checksum) = (Some("0".repeat(32)), Some(Algorithm::Sha256));
    let spec = ObjectSpec { attributes: stored.attributes.clone(), etag, checksum, ..ObjectSpec::default() };
    sandbox.bucket.put_with("site/a.jpg", "a", spec);
    let (_, summary) = verify(&sandbox, &[], 3);
    assert_eq!((&summary["equal_by"]["looked_up"], &summary["equal"]), (&1.into(), &1.into()), "{summary}");
    // An ETag, a size and a digest that all lie: only reading finds it.
    let etag = Some("0cc175b9c0f1b6a831c399e269772661".to_owned());
    sandbox.bucket.put_with(
        "site/a.jpg",
        "A",
        ObjectSpec { attributes: stored.attributes.clone(), etag, ..ObjectSpec::default() },
    );
    verify(&sandbox, &["--only", "a.jpg"], 0);
    verify(&sandbox, &["--only", "a.jpg", "--download"], 3);
    verify(&sandbox, &["--only", "a.jpg", "--sample", "0.0001%"], 3);
}

#[test]
fn two_buckets_are_equal_by_what_both_say_themselves() {
    let pair = Buckets::new(Servers::Two);
    let body = bytes(3, 12 * MIB);
    pair.put_live("a.jpg", "a");
    pair.put_live("b.jpg", "b");
    pair.live.put_with(
        "photos/large.bin",
        body.clone(),
        ObjectSpec { part_size: Some(5 * MIB), ..ObjectSpec::default() },
    );
    pair.mirror(&[]).exits(0);
    let verify = |more: &[&str], code: i32| {
        let ran = pair.run(&[&["verify", "env:LIVE", "env:BACKUP", "--json"], more].concat()).exits(code);
        (ran.line("verify-summary"), ran)
    };
    let (summary, ran) = verify(&[], 3);
    assert_eq!((&summary["equal_by"]["listed"], &summary["cannot_tell"]), (&2.into(), &1.into()), "{ran:?}");
}

#[test]
fn what_is_read_is_all_read_and_tried_again() {
    let sandbox = filled();
    let cut = |key: &'static str, at: usize, times: usize| {
        sandbox.server.faults(Faults::clear);
        sandbox.server.faults(|faults| faults.add(Rule::new("GetObject", Effect::Truncate(at)).key(key).times(times)));
    };
    for (key, at) in [("*a.jpg", 0), ("*large.bin", 100_000)] {
        cut(key, at, 1);
        let (ran, summary) = verify(&sandbox, &["--download"], 0);
        assert_eq!(summary["equal_by"]["read"], 3, "{ran:?}");
        sandbox.server.faults(|faults| assert_eq!(faults.fired(), 1, "{key}"));
        sandbox.server.faults(|faults| *faults = Faults::default());
    }
    // One byte of nine million, under the ETag and the digest of the right ones.
    let stored = sandbox.bucket.get("site/large.bin").unwrap();
    let mut body = bytes(9, 9 * MIB);
    body[5 * MIB + 17] ^= 1;
    let spec =
        ObjectSpec { attributes: stored.attributes.clone(), etag: Some(stored.etag.clone()), ..ObjectSpec::default() };
    sandbox.bucket.put_with("site/large.bin", body, spec);
    verify(&sandbox, &[], 0);
    let (ran, summary) = verify(&sandbox, &["--download"], 3);
    let found = summary["different"].as_u64().unwrap() + summary["problems"].as_u64().unwrap();
    assert_eq!((found, &summary["equal_by"]["read"]), (1, &2.into()), "{ran:?}");
}

#[test]
fn a_place_where_nothing_is_equals_nothing() {
    let sandbox = filled();
    let (media, empty) = (sandbox.path("media"), sandbox.path("work/empty"));
    fs::create_dir(&empty).unwrap();
    let (media, empty) = (media.to_str().unwrap(), empty.to_str().unwrap());
    let typo = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint())).replace("/site?", "/siet?");
    let nothing = "nothing was compared";
    // Nothing at the source proves nothing, whatever the other place has.
    sandbox.run(&["verify", empty, &typo]).exits(2).says(&[nothing, "check the spelling"]).never_says(" holds ");
    sandbox.run(&["verify", empty, REMOTE, "--one-way"]).exits(2).says(&[nothing]).never_says(" holds ");
    sandbox.run(&["verify", &typo, media, "--one-way", "--json"]).exits(2).line("error");
    sandbox.run(&["verify", &typo, media]).exits(3).says(&["nothing is at s3://media/siet", "extra 4"]);
    let ran = sandbox.run(&["verify", media, &typo]).exits(3);
    ran.says(&["nothing is at s3://media/siet: check the spelling", "missing 4"]);
    assert!(sandbox.server.changing_requests().iter().all(|entry| !entry.call.key.contains("siet")));
}

#[test]
fn an_interruption_tells_what_was_found_until_then() {
    let sandbox = filled();
    let gate = sandbox.server.hold(Moment::BeforeHandling, "GetObject", "*large.bin");
    let media = sandbox.path("media");
    for json in [true, false] {
        let base = ["verify", media.to_str().unwrap(), REMOTE, "--download"];
        let run = sandbox.start(&[&base[..], if json { &["--json"] } else { &[] }].concat());
        gate.reached_blocking(if json { 1 } else { 2 });
        // Two small ones are read before it.
        std::thread::sleep(Duration::from_secs(3));
        let pid = rustix::process::Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let ran = run.wait().exits(130).never_says(" holds ").never_says("is recorded");
        if json {
            let line = ran.line("verify-interrupted");
            assert_eq!((&line["equal"], &line["exit"]), (&3.into(), &130.into()), "{ran:?}");
            assert!(ran.json().iter().all(|line| line["type"] != "verify-summary"));
        } else {
            ran.says(&["until then, and nothing is proven of the rest: equal 3 files"]);
        }
    }
    gate.release();
}

#[test]
fn nothing_that_was_remembered_counts_and_nobody_is_waited_for() {
    let sandbox = filled();
    let manifest = sandbox.manifest();
    fs::write(&manifest, "garbage").unwrap();
    let before = sandbox.files("state");
    verify(&sandbox, &[], 0);
    assert_eq!((fs::read(&manifest).unwrap(), sandbox.files("state")), (b"garbage".to_vec(), before));
    sandbox.lose_the_manifest();
    verify(&sandbox, &[], 0);
    assert!(sandbox.files("state").is_empty(), "nothing is remembered either");
    // A run that holds the pair.
    sandbox.write("slow.jpg", "slow");
    let slow = Rule::new("PutObject", Effect::Delay(Duration::from_secs(30)));
    sandbox.server.faults(|faults| faults.add(slow.key("*slow.jpg")));
    let run = sandbox.start_push(&[]);
    while sandbox.requested("PutObject").iter().all(|key| key != "slow.jpg") {
        std::thread::sleep(Duration::from_millis(5));
    }
    let media = sandbox.path("media");
    let ran = sandbox.run(&["verify", media.to_str().unwrap(), REMOTE, "--json"]).exits(3);
    assert_eq!(keys(&ran, "missing"), ["slow.jpg"]);
    run.kill();
    sandbox.server.faults(Faults::clear);
}

#[test]
fn a_sample_is_read_and_repeated_by_its_seed() {
    let sandbox = Sandbox::new();
    for n in 0..60 {
        sandbox.write(&format!("{n:02}.jpg"), format!("content {n}"));
    }
    sandbox.push(&[]).exits(0);
    let read = |more: &[&str]| {
        let (ran, summary) = verify(&sandbox, more, 0);
        let mut keys = sandbox.requested("GetObject");
        keys.retain(|key| key != ".mediasync/id");
        assert_eq!(summary["equal_by"]["read"], keys.len(), "{ran:?}");
        assert_eq!((&summary["sample"]["files"], &summary["sample"]["of"]), (&keys.len().into(), &60.into()));
        (keys, summary["sample"]["seed"].as_u64().unwrap())
    };
    let (chosen, seed) = read(&["--sample", "30%"]);
    assert!((5..40).contains(&chosen.len()), "{}", chosen.len());
    assert_eq!(read(&["--sample", "30%", "--seed", &seed.to_string()]).0, chosen);
    assert_ne!(read(&["--sample", "30%", "--seed", &(seed ^ 1).to_string()]).0, chosen);
    // However small the share is, one is read, and it says so.
    let (one, _) = read(&["--sample", "0.0001%"]);
    assert_eq!(one.len(), 1);
    let media = sandbox.path("media");
    let ran = sandbox.run(&["verify", media.to_str().unwrap(), REMOTE, "--sample", "0.0001%", "--seed", "7"]).exits(0);
    ran.says(&["the sample is 1 of 60 files"]);
    sandbox.run(&["verify", ".", REMOTE, "--sample", "5"]).exits(2).says(&["write it like 5%"]);
}

#[test]
fn jobs_are_verified_by_what_they_are_for() {
    let sandbox = filled();
    sandbox.put("extra.jpg", "x");
    let media = sandbox.path("media");
    let job = |name: &str, mode: &str, to: &str| {
        format!("[[job]]\nname = \"{name}\"\nsource = {media:?}\ndestination = \"{to}\"\nmode = \"{mode}\"\n")
    };
    let write = |text: &str| fs::write(sandbox.path("work/mediasync.toml"), text).unwrap();
    write(&job("media", "copy", REMOTE));
    let ran = sandbox.run(&["verify", "media"]).exits(0);
    ran.says(&["extra 1 (no difference for a copy)"]);
    let summary = sandbox.run(&["verify", "media", "--json"]).exits(0).line("verify-summary");
    assert_eq!((&summary["job"], &summary["extra_is_a_difference"]), (&"media".into(), &false.into()));
    write(&job("media", "mirror", REMOTE));
    sandbox.run(&["verify", "media"]).exits(3).says(&["extra 1."]);
    write(&job("media", "two-way", REMOTE));
    sandbox.run(&["verify", "media"]).exits(3).says(&["extra 1."]);
    sandbox.run(&["verify", "medai"]).exits(2).says(&["medai", "mediasync verify SRC DST"]);
    assert!(sandbox.server.changing_requests().iter().all(|entry| !entry.call.key.contains("lease")));
}

#[test]
fn what_header_rules_say_is_no_difference() {
    let sandbox = filled();
    sandbox.configure("[[job.header]]\nmatch = \"*\"\ncache_control = \"max-age=1\"\n");
    sandbox.server.clear_log();
    let summary = sandbox.by_config(&["verify", "media", "--json"]).exits(0).line("verify-summary");
    assert_eq!((&summary["equal"], &summary["cannot_tell"]), (&4.into(), &0.into()), "{summary}");
    assert_eq!(sandbox.server.changing_requests().len(), 0);
}

#[test]
fn what_can_not_be_looked_at_is_never_called_equal() {
    let mut sandbox = filled();
    sandbox.as_nobody();
    fs::set_permissions(sandbox.media("a.jpg"), fs::Permissions::from_mode(0o000)).unwrap();
    let (ran, summary) = verify(&sandbox, &[], 3);
    assert_eq!((&summary["problems"], &summary["equal"]), (&1.into(), &3.into()), "{ran:?}");
    fs::set_permissions(sandbox.media("a.jpg"), fs::Permissions::from_mode(0o644)).unwrap();
    // What lies in a folder that can't be read is neither missing nor extra.
    fs::set_permissions(sandbox.media("b"), fs::Permissions::from_mode(0o000)).unwrap();
    let (ran, summary) = verify(&sandbox, &[], 3);
    assert_eq!(
        (&summary["problems"], &summary["equal"], &summary["extra"]),
        (&1.into(), &3.into(), &0.into()),
        "{ran:?}"
    );
    let media = sandbox.path("media");
    let ran = sandbox.run(&["verify", REMOTE, media.to_str().unwrap(), "--json"]).exits(3);
    let summary = ran.line("verify-summary");
    assert_eq!(
        (&summary["problems"], &summary["equal"], &summary["missing"]),
        (&1.into(), &3.into(), &0.into()),
        "{ran:?}"
    );
    fs::set_permissions(sandbox.media("b"), fs::Permissions::from_mode(0o755)).unwrap();
    // A file that changes after it was listed, and before it is read.
    let gate = sandbox.server.hold(Moment::BeforeHandling, "GetObject", "*a.jpg");
    let base = ["verify", media.to_str().unwrap(), REMOTE, "--json", "--download", "--concurrency", "1"];
    let run = sandbox.start(&base);
    gate.reached_blocking(1);
    let mut other = bytes(9, 9 * MIB);
    other[7] ^= 1;
    sandbox.write("large.bin", other);
    gate.release();
    let ran = run.wait().exits(3);
    assert_eq!(ran.line("problem")["key"], "large.bin", "{ran:?}");
    assert_eq!(ran.line("verify-summary")["equal"], 3);
    sandbox.write("large.bin", bytes(9, 9 * MIB));
    // A listing that breaks off proves nothing.
    let denied = Rule::new("ListObjectsV2", Effect::Status(403, "AccessDenied"));
    sandbox.server.faults(|faults| faults.add(denied));
    let media = sandbox.path("media");
    let ran = sandbox.run(&["verify", media.to_str().unwrap(), REMOTE, "--json"]).exits(1);
    assert!(ran.json().iter().all(|line| line["type"] != "verify-summary"), "{ran:?}");
    sandbox.server.faults(Faults::clear);
    let ran = sandbox.run(&["verify", media.to_str().unwrap(), REMOTE, "--only", "typo"]).exits(2);
    ran.says(&["nothing called typo"]);
    sandbox
        .run(&["verify", media.to_str().unwrap(), REMOTE, "--exclude", "*"])
        .exits(2)
        .says(&["nothing was compared"]);
    let gone = sandbox.path("gone");
    sandbox.run(&["verify", media.to_str().unwrap(), gone.to_str().unwrap()]).exits(1);
}

#[test]
fn two_directories_are_read_and_names_that_look_alike_are_one() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("gru\u{308}n.jpg", "g"), ("c.jpg", "c")]);
    let copy = sandbox.path("work/copy");
    fs::create_dir(&copy).unwrap();
    for (name, content) in [("a.jpg", "a"), ("gr\u{fc}n.jpg", "g"), ("c.jpg", "x")] {
        fs::write(copy.join(name), content).unwrap();
    }
    let media = sandbox.path("media");
    let ran = sandbox.run(&["verify", media.to_str().unwrap(), copy.to_str().unwrap(), "--json"]).exits(3);
    let summary = ran.line("verify-summary");
    assert_eq!(keys(&ran, "different"), ["c.jpg"], "{ran:?}");
    assert_eq!(
        (&summary["equal_by"]["read"], &summary["missing"], &summary["extra"]),
        (&1.into(), &0.into(), &0.into())
    );
    assert_eq!(fs::read_dir(&copy).unwrap().count(), 3);
}

#[test]
fn a_file_where_the_other_side_has_a_link_or_a_pipe_is_told_and_never_called_held() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "precious"), ("c.jpg", "c")]);
    let copy = sandbox.path("work/copy");
    fs::create_dir(&copy).unwrap();
    fs::write(copy.join("a.jpg"), "a").unwrap();
    std::os::unix::fs::symlink("/nowhere", copy.join("b.jpg")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(copy.join("c.jpg")).status().unwrap().success());
    let (media, copy) = (sandbox.path("media"), copy.to_str().unwrap().to_owned());
    let (media, copy) = (media.to_str().unwrap(), copy.as_str());
    let told = sandbox.run(&["verify", media, copy]).exits(3);
    told.says(&["b.jpg: a file in", "c.jpg: a file in", "a link or a special file in"]);
    // What is there besides is nothing to somebody who copies, and a difference to anybody else.
    sandbox.run(&["verify", copy, media, "--one-way"]).exits(0);
    let summary = sandbox.run(&["verify", copy, media, "--json"]).exits(3).line("verify-summary");
    assert_eq!(summary["problems"], 2);
}
