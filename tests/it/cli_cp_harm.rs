//! What `cp` must not do: write over what is ours, hide what it replaced, or take for the same what only was it once.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::s3::{Effect, Faults, ObjectSpec, Rule};
use crate::support::sandbox::{REMOTE, Ran, Sandbox};

fn at(name: &str) -> String {
    format!("{REMOTE}/{name}")
}

fn path(sandbox: &Sandbox, name: &str) -> String {
    sandbox.path(name).to_str().unwrap().to_owned()
}

fn cp(sandbox: &Sandbox, args: &[&str]) -> Ran {
    sandbox.run(&[&["cp"], args].concat())
}

#[test]
fn nothing_of_ours_is_written_over() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    sandbox.push(&[]).exits(0);
    sandbox.server.clear_log();
    let (file, folder, state) = (path(&sandbox, "media/a.jpg"), path(&sandbox, "media"), path(&sandbox, "state"));
    let manifest = sandbox.manifest();
    let before = (fs::read(&manifest).unwrap(), sandbox.files("state").len());
    symlink(&state, sandbox.path("work/link")).unwrap();
    for to in [manifest.to_str().unwrap(), &state, &format!("{state}/x"), "./link/", "./link/new"] {
        cp(&sandbox, &[&file, to, "--overwrite"]).exits(2).says(&["is in the state directory", &state, "another DST"]);
    }
    for to in [&format!("{state}/x"), "./link/pairs"] {
        cp(&sandbox, &["-r", &folder, to, "--overwrite"]).exits(2).says(&["is in the state directory"]);
    }
    assert_eq!((fs::read(&manifest).unwrap(), sandbox.files("state").len()), before);

    fs::create_dir_all(sandbox.path("work/.mediasync/trash/run")).unwrap();
    symlink(sandbox.path("work/.mediasync/trash"), sandbox.path("work/bin")).unwrap();
    let (below, deeper) = (at(".mediasync/x"), at("p/.mediasync-tmp/x/"));
    for to in ["./.mediasync/trash/run/", "./.mediasync/trash/run/x.jpg", "./.mediasync-x", "./bin/", &below, &deeper] {
        cp(&sandbox, &[&file, to]).exits(2).says(&["names that begin with .mediasync are reserved", "another DST"]);
        cp(&sandbox, &["-r", &folder, to]).exits(2).says(&["names that begin with .mediasync are reserved"]);
    }
    assert_eq!(fs::read_dir(sandbox.path("work/.mediasync/trash/run")).unwrap().count(), 0);
    assert!(!sandbox.path("work/.mediasync-x").exists());
    assert!(sandbox.server.changing_requests().is_empty());
}

#[test]
fn what_was_replaced_before_an_early_end_is_told_with_the_way_back() {
    let sandbox = Sandbox::with(&[("a.jpg", "new a"), ("b.jpg", "new b"), ("c.jpg", "new c")]);
    for name in ["a", "b", "c"] {
        sandbox.put(&format!("p/{name}.jpg"), format!("older {name}"));
    }
    let slow = Rule::new("PutObject", Effect::Delay(Duration::from_secs(60))).key("site/p/c.jpg");
    sandbox.server.faults(|faults| faults.add(slow));
    let run = sandbox.start(&["cp", "-r", &path(&sandbox, "media"), &at("p"), "--overwrite"]);
    let begun = Instant::now();
    let is_far = || sandbox.content("p/a.jpg") == "new a" && sandbox.content("p/b.jpg") == "new b";
    while !(is_far() && sandbox.server.faults(|faults| faults.fired()) == 1) {
        assert!(begun.elapsed() < Duration::from_secs(30), "it comes so far");
        std::thread::sleep(Duration::from_millis(10));
    }
    // The answers to what was written arrive.
    std::thread::sleep(Duration::from_secs(3));
    kill_process(Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap(), Signal::INT).unwrap();
    let ran = run.wait().exits(130).says(&["before that: Copied 2 files (10 B), 2 of them over what was there."]);
    let ran = ran.says(&["what was replaced, or was about to be, is kept in the trash; to put it back: ", "repeat it"]);
    sandbox.server.faults(Faults::clear);
    sandbox.paste(&ran, "mediasync trash restore").says(&["Restored 2 files"]);
    for name in ["a", "b", "c"] {
        assert_eq!(sandbox.content(&format!("p/{name}.jpg")), format!("older {name}"));
    }

    // One file that could not be sent after what was there had been kept.
    let denied = Rule::new("PutObject", Effect::Status(403, "AccessDenied")).key("site/p/c.jpg");
    sandbox.server.faults(|faults| faults.add(denied));
    let ran = cp(&sandbox, &[&path(&sandbox, "media/c.jpg"), &at("p/"), "--overwrite"]).exits(1);
    ran.says(&["or was about to be, is kept in the trash; to put it back: "]);
    assert_eq!(sandbox.content("p/c.jpg"), "older c");
}

#[test]
fn a_digest_that_was_recorded_with_older_content_is_no_proof() {
    let sandbox = Sandbox::with(&[("a.jpg", "content 1")]);
    let file = path(&sandbox, "media/a.jpg");
    cp(&sandbox, &[&file, &at("p/a.jpg")]).exits(0);
    cp(&sandbox, &[&file, &at("q/a.jpg")]).exits(0);
    cp(&sandbox, &[&at("p/a.jpg"), "./"]).exits(0);
    cp(&sandbox, &[&file, &at("p/a.jpg")]).exits(0).says(&["1 already there"]);
    // Another program writes new content and keeps the metadata.
    let attributes = sandbox.bucket.get("site/p/a.jpg").unwrap().attributes;
    sandbox.bucket.put_with("site/p/a.jpg", "content 2", ObjectSpec { attributes, ..ObjectSpec::default() });
    for (from, to) in [(&*file, &*at("p/a.jpg")), (&at("p/a.jpg"), "./a.jpg"), (&at("p/a.jpg"), &at("q/a.jpg"))] {
        cp(&sandbox, &[from, to]).exits(1).says(&["it can't be told whether"]);
    }
    cp(&sandbox, &["-r", &path(&sandbox, "media"), &at("p")]).exits(3).says(&["p/a.jpg", "it can't be told whether"]);
    cp(&sandbox, &[&file, &at("p/a.jpg"), "--overwrite"]).exits(0).says(&["1 of them over what was there"]);
    let trash = sandbox.trash().0;
    assert_eq!((sandbox.content("p/a.jpg"), trash["p/a.jpg"].clone()), ("content 1".into(), "content 2".into()));
    cp(&sandbox, &[&file, &at("p/a.jpg")]).exits(0).says(&["1 already there"]);
}
