//! Restoring a backup through the program: a live bucket that was damaged, restores that are killed, and the commands
//! that docs/backup.md names.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::support::buckets::{Buckets, Servers};
use crate::support::s3::{Attributes, Effect, Faults, ObjectSpec, Rule, Versioning};
use crate::support::sandbox::{REMOTE, Sandbox, bytes};

/// What each of the objects carries.
fn attributes(n: u64) -> Attributes {
    Attributes {
        content_type: Some(format!("image/x-{}", n % 5)),
        cache_control: Some(format!("max-age={n}")),
        content_disposition: n.is_multiple_of(3).then(|| format!("attachment; filename=\"{n}.jpg\"")),
        metadata: [("author".to_owned(), format!("number {n}"))].into(),
        ..Attributes::default()
    }
}

fn name(n: u64) -> String {
    format!("d{}/{n}.jpg", n % 7)
}

/// Live objects that a mirror copied, that were then damaged and lost, and that another mirror took over.
/// The name of that run.
fn damaged(buckets: &Buckets, count: u64, damaged: u64, lost: u64) -> String {
    for n in 0..count {
        let content = bytes(n, 100 + usize::try_from(n).unwrap());
        buckets.live.put_with(&name(n), content, ObjectSpec { attributes: attributes(n), ..ObjectSpec::default() });
    }
    buckets.mirror(&[]).exits(0);
    buckets.assert_equal();
    for n in 0..damaged {
        buckets.put_live(&name(n), format!("damaged {n}"));
    }
    for n in damaged..damaged + lost {
        assert!(buckets.live.remove(&name(n)));
    }
    buckets.put_live("new.jpg", "made since");
    let ran = buckets.mirror(&["--max-delete", &lost.to_string()]).exits(0);
    ran.says(&[&format!("Kept in the trash for 30d: {} files", damaged + lost)]);
    let runs = buckets.run(&["history", "--json"]).exits(0).json();
    runs[0]["summary"]["trash"]["run"].as_str().unwrap().to_owned()
}

fn assert_as_it_was(buckets: &Buckets, count: u64) {
    let mut live = buckets.held_live();
    assert_eq!(live.remove("new.jpg").as_deref(), Some(&b"made since"[..]), "what is new stays");
    assert_eq!(live.len() as u64, count);
    for n in 0..count {
        assert!(live[&name(n)] == bytes(n, 100 + usize::try_from(n).unwrap()), "{n}");
        let mut now = buckets.live.get(&name(n)).unwrap().attributes;
        for ours in ["blake3", "mtime"] {
            now.metadata.remove(ours);
        }
        assert_eq!(now, attributes(n), "{n}");
    }
}

/// The must of a backup, with all that objects carry.
fn damage_and_losses_of_a_live_bucket_come_back(servers: Servers, versioning: Versioning) {
    let buckets = Buckets::new(servers);
    buckets.backup.set_versioning(versioning);
    let run = damaged(&buckets, 300, 100, 100);
    let restore = ["trash", "restore", "env:BACKUP", "--run", &run, "--to", "env:LIVE"];
    buckets.run(&[&restore[..], &["-n"]].concat()).exits(0).says(&["Would restore 200 files", "200 sent on"]);
    let ran = buckets.run(&restore).exits(0);
    ran.says(&["Restored 200 files", "200 sent on", "trash restore env:LIVE --run", "trash restore env:BACKUP --run"]);
    assert_as_it_was(&buckets, 300);
    buckets.mirror(&[]).exits(0).says(&["Nothing changed."]);
}

#[test]
fn a_damaged_live_bucket_comes_back_with_one_command() {
    damage_and_losses_of_a_live_bucket_come_back(Servers::One, Versioning::Off);
}

#[test]
fn a_damaged_live_bucket_comes_back_from_another_server() {
    damage_and_losses_of_a_live_bucket_come_back(Servers::Two, Versioning::Off);
}

#[test]
fn a_damaged_live_bucket_comes_back_from_the_versions_of_the_backup() {
    damage_and_losses_of_a_live_bucket_come_back(Servers::One, Versioning::Enabled);
}

/// What the live place does not take is put back nowhere, and what is kept of it stays kept.
#[test]
fn what_the_live_place_does_not_take_stays_in_the_trash() {
    for (servers, versioning) in [(Servers::One, Versioning::Off), (Servers::Two, Versioning::Enabled)] {
        let buckets = Buckets::new(servers);
        buckets.backup.set_versioning(versioning);
        let run = damaged(&buckets, 3, 2, 0);
        buckets.put_live(&name(0), "changed since");
        let (backup, live) = (buckets.held_backup(), buckets.held_live());
        let restore = ["trash", "restore", "env:BACKUP", &name(0), "--run", &run, "--to", "env:LIVE"];
        for more in [&["-n"][..], &[], &["--yes"]] {
            let ran = buckets.run(&[&restore[..], more].concat()).exits(3);
            ran.says(&["something else is at", "--overwrite replaces it"]).never_says("to undo it");
            assert_eq!((buckets.held_backup(), buckets.held_live()), (backup.clone(), live.clone()));
        }
        // The way out that is named works, and the rest of the run is untouched.
        let ran = buckets.run(&[&restore[..], &["--overwrite"]].concat()).exits(0);
        ran.says(&["Restored 1 file", "1 sent on"]);
        let whole = ["trash", "restore", "env:BACKUP", "--run", &run, "--to", "env:LIVE"];
        buckets.run(&whole).exits(0).says(&["Restored 1 file", "1 sent on"]);
        assert_as_it_was(&buckets, 3);
        buckets.mirror(&[]).exits(0).says(&["Nothing changed."]);
    }
}

/// The same between directories.
#[test]
fn what_a_live_directory_does_not_take_stays_in_the_trash() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    let (media, backup) = (sandbox.path("media"), sandbox.path("backup"));
    fs::create_dir(&backup).unwrap();
    let (media, backup) = (media.to_str().unwrap(), backup.to_str().unwrap());
    sandbox.run(&["mirror", media, backup]).exits(0);
    sandbox.write("a.jpg", "damaged");
    sandbox.write("b.jpg", "damaged");
    sandbox.run(&["mirror", media, backup]).exits(0);
    sandbox.write("a.jpg", "made since");
    let at_backup = |name: &str| fs::read_to_string(sandbox.path("backup").join(name)).unwrap();
    let restore = ["trash", "restore", backup, "a.jpg", "b.jpg", "--to", media];
    let ran = sandbox.run(&restore).exits(3);
    ran.says(&["a.jpg: something else is at", "Restored 1 file", "1 sent on", "Problems: 1"]);
    assert_eq!((at_backup("a.jpg"), at_backup("b.jpg")), ("damaged".into(), "b".into()));
    assert_eq!((&sandbox.local()["a.jpg"][..], &sandbox.local()["b.jpg"][..]), (&b"made since"[..], &b"b"[..]));
    let ran = sandbox.run(&[&restore[..], &["--overwrite"]].concat()).exits(0);
    ran.says(&["Restored 1 file", "1 sent on", "left as an earlier restore put it right: 1 file"]);
    assert_eq!((at_backup("a.jpg"), at_backup("b.jpg")), ("a".into(), "b".into()));
    assert_eq!((&sandbox.local()["a.jpg"][..], &sandbox.local()["b.jpg"][..]), (&b"a"[..], &b"b"[..]));
}

/// What can't be sent although nothing spoke against it is told as half done, and is sent by the same command.
#[test]
fn what_could_not_be_sent_on_is_sent_by_a_repetition() {
    for versioning in [Versioning::Off, Versioning::Enabled] {
        let buckets = Buckets::new(Servers::Two);
        buckets.backup.set_versioning(versioning);
        let run = damaged(&buckets, 3, 2, 0);
        let refused = Rule::new("PutObject", Effect::Status(400, "EntityTooLarge")).key(&name(0));
        buckets.server.faults(|faults| faults.add(refused));
        let restore = ["trash", "restore", "env:BACKUP", &name(0), "--to", "env:LIVE"];
        let ran = buckets.run(&restore).exits(3);
        ran.says(&["it is back at", "was not sent on", "Restored 1 file", "Problems: 1"]);
        assert_eq!(buckets.held_backup()[&name(0)], bytes(0, 100));
        assert_eq!(&buckets.held_live()[&name(0)][..], b"damaged 0");
        buckets.server.faults(Faults::clear);
        buckets.run(&restore).exits(0).says(&["1 sent on"]);
        buckets.run(&["trash", "restore", "env:BACKUP", "--run", &run, "--to", "env:LIVE"]).exits(0);
        assert_as_it_was(&buckets, 3);
        buckets.mirror(&[]).exits(0).says(&["Nothing changed."]);
    }
}

/// The restore of a folder takes what runs took away, and not what an earlier restore put right.
#[test]
fn the_restore_of_a_folder_does_not_undo_an_earlier_restore() {
    for versioning in [Versioning::Off, Versioning::Enabled] {
        let buckets = Buckets::new(Servers::One);
        buckets.backup.set_versioning(versioning);
        for file in ["img/p1", "img/p2", "img/p3"] {
            buckets.put_live(file, format!("good {file}"));
        }
        buckets.mirror(&[]).exits(0);
        let before = buckets.held_live();
        buckets.put_live("img/p1", "BAD");
        buckets.mirror(&[]).exits(0);
        let repaired = buckets.run(&["trash", "restore", "env:BACKUP", "img/p1", "--to", "env:LIVE"]).exits(0);
        assert!(buckets.live.remove("img/p2"));
        buckets.mirror(&[]).exits(0);
        let folder = ["trash", "restore", "env:BACKUP", "img", "--to", "env:LIVE"];
        buckets.run(&[&folder[..], &["-n"]].concat()).exits(0).says(&["Would restore 1 file"]);
        let ran = buckets.run(&folder).exits(0);
        ran.says(&["Restored 1 file", "1 sent on", "an earlier restore put it right: 1 file, like img/p1"]);
        assert_eq!(buckets.held_live(), before);
        // Said again it finds nothing to do, even with the flag that replaces what others changed.
        buckets.run(&[&folder[..], &["--overwrite"]].concat()).exits(0);
        assert_eq!(buckets.held_live(), before);
        buckets.mirror(&[]).exits(0).says(&["Nothing changed."]);
        // By its name it is undone.
        let text = repaired.all();
        let undo = text.lines().find(|line| line.contains("restore env:LIVE --run")).unwrap();
        let name = undo.split("--run ").nth(1).unwrap().split_whitespace().next().unwrap();
        buckets.run(&["trash", "restore", "env:LIVE", "img", "--run", name]).exits(0);
        assert_eq!(&buckets.held_live()["img/p1"][..], b"BAD");
    }
}

/// Killed at random moments: each repetition goes on, and none takes our own files for somebody else's.
#[test]
fn a_restore_that_is_killed_goes_on_when_it_is_repeated() {
    for (seed, servers) in [(1, Servers::One), (2, Servers::Two)] {
        let buckets = Buckets::new(servers);
        let run = damaged(&buckets, 60, 25, 25);
        for server in [&buckets.server, buckets.target()] {
            server.quirks(|quirks| quirks.latency = Duration::from_millis(2));
        }
        let restore = ["trash", "restore", "env:BACKUP", "--run", &run, "--to", "env:LIVE"];
        let mut random = fastrand::Rng::with_seed(seed);
        let mut killed = 0;
        for _ in 0..6 {
            let until = buckets.server.requests().len() + random.usize(40..160);
            let running = buckets.start(&restore);
            let begun = Instant::now();
            while buckets.server.requests().len() < until && begun.elapsed() < Duration::from_secs(3) {
                std::thread::sleep(Duration::from_micros(200));
            }
            killed += i32::from(running.kill() == -9);
        }
        assert!(killed >= 2, "only {killed} of 6 restores were killed in time");
        let last = buckets.run(&restore);
        assert!(last.code == 0 || last.all().contains("nothing of that is in the trash"), "{last:?}");
        assert_as_it_was(&buckets, 60);
        buckets.mirror(&[]).exits(0);
        assert_as_it_was(&buckets, 60);
    }
}

/// The same between directories, where keeping a file changes its version, and between a directory and a bucket.
#[test]
fn a_killed_restore_of_a_directory_goes_on_too() {
    for to_bucket in [REMOTE, "backup"] {
        let sandbox = Sandbox::new();
        for n in 0..120 {
            sandbox.write(&name(n), bytes(n, 100));
        }
        let backup = sandbox.path("backup");
        fs::create_dir(&backup).unwrap();
        let (media, backup) = (sandbox.path("media"), backup.to_str().unwrap().to_owned());
        let (media, backup) = (media.to_str().unwrap(), if to_bucket == REMOTE { REMOTE } else { &*backup });
        sandbox.run(&["mirror", media, backup]).exits(0);
        let before = sandbox.local();
        for n in 0..60 {
            // As long as it was: only reading tells the two apart.
            sandbox.write(&name(n), bytes(n + 1_000, 100));
        }
        for n in 60..110 {
            sandbox.remove(&name(n));
        }
        sandbox.run(&["mirror", media, backup, "--max-delete", "100%"]).exits(0);
        let run = sandbox.run(&["history", "--json"]).exits(0).json()[0]["summary"]["trash"]["run"].clone();
        let restore = ["trash", "restore", backup, "--run", run.as_str().unwrap(), "--to", media];
        let mut random = fastrand::Rng::with_seed(7);
        let mut killed = 0;
        for _ in 0..12 {
            let running = sandbox.start(&restore);
            std::thread::sleep(Duration::from_millis(random.u64(10..120)));
            killed += i32::from(running.kill() == -9);
        }
        assert!(killed >= 1, "no restore was killed in time");
        let last = sandbox.run(&restore);
        assert!(last.code == 0 || last.all().contains("nothing of that is in the trash"), "{last:?}");
        assert_same(&sandbox, &before);
        sandbox.run(&["mirror", media, backup]).exits(0);
        assert_same(&sandbox, &before);
    }
}

/// Temporary files of a killed process are no content.
#[track_caller]
fn assert_same(sandbox: &Sandbox, before: &BTreeMap<String, Bytes>) {
    let mut now = sandbox.local();
    now.retain(|name, _| !name.contains(".mediasync"));
    let differs: Vec<&String> = before.keys().filter(|name| now.get(*name) != before.get(*name)).collect();
    assert_eq!((differs, now.len()), (Vec::new(), before.len()));
}

/// docs/backup.md: what is missing or damaged at the live place comes from the backup, and what is new there stays.
#[test]
fn putting_back_what_is_missing_or_damaged_leaves_what_is_new() {
    for way in [["mirror", "--no-delete"], ["push", "--overwrite"]] {
        let sandbox = live_and_backup();
        let backup = sandbox.path("backup");
        sandbox.run(&[way[0], backup.to_str().unwrap(), REMOTE, way[1]]).exits(0);
        let remote = sandbox.remote();
        assert_eq!(remote.into_keys().collect::<Vec<_>>(), ["a.jpg", "b.jpg", "c.jpg", "new.jpg"]);
        assert_eq!((sandbox.content("a.jpg"), sandbox.content("b.jpg")), ("a".into(), "b".into()));
        // What was replaced is in the trash of the live place.
        assert_eq!(sandbox.trash().0, [("a.jpg".to_owned(), "damaged".into())].into());
    }
}

/// docs/backup.md: what is new at the live place goes too, after a question.
#[test]
fn making_the_live_place_exactly_as_the_backup_asks_first() {
    let sandbox = live_and_backup();
    let backup = sandbox.path("backup");
    let mirror = ["mirror", backup.to_str().unwrap(), REMOTE];
    sandbox.run(&[&mirror[..], &["-n"]].concat()).exits(4);
    let halted = sandbox.run(&mirror).exits(4).says(&["were the places swapped?"]);
    assert_eq!(sandbox.content("a.jpg"), "damaged", "nothing was changed");
    sandbox.run(&halted.way_out().iter().map(String::as_str).collect::<Vec<_>>()).exits(0);
    let remote = sandbox.remote();
    assert_eq!(remote.into_keys().collect::<Vec<_>>(), ["a.jpg", "b.jpg", "c.jpg"]);
    assert_eq!((sandbox.content("a.jpg"), sandbox.content("b.jpg")), ("a".into(), "b".into()));
    assert_eq!(sandbox.trash().0.into_keys().collect::<Vec<_>>(), ["a.jpg", "new.jpg"]);
}

/// A live bucket that was mirrored into a directory, and then damaged.
fn live_and_backup() -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, content) in [("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c")] {
        sandbox.put(name, content);
    }
    let backup = sandbox.path("backup");
    fs::create_dir(&backup).unwrap();
    sandbox.run(&["mirror", REMOTE, backup.to_str().unwrap()]).exits(0);
    sandbox.put("a.jpg", "damaged");
    assert!(sandbox.bucket.remove(&format!("{}b.jpg", crate::support::sandbox::PREFIX)));
    sandbox.put("new.jpg", "new");
    sandbox
}
