//! Two-way jobs between a directory and a bucket, and `resolve`: what users meet.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::support::s3::{Moment, ObjectSpec, StoredObject};
use crate::support::sandbox::{PREFIX, REMOTE, Ran, Sandbox, bytes};

/// A two-way job called "both" with more keys.
fn two_way(files: &[(&str, &str)], more: &str) -> Sandbox {
    let sandbox = Sandbox::with(files);
    job(&sandbox, "both", "two-way", more);
    sandbox
}

fn job(sandbox: &Sandbox, name: &str, mode: &str, more: &str) {
    let media = sandbox.path("media");
    let text = format!(
        "[remote.live]\ndsn = \"{REMOTE}\"\n[[job]]\nname = \"{name}\"\nsource = {media:?}\ndestination = \"live:\"\n\
         mode = \"{mode}\"\n{more}\n"
    );
    fs::write(sandbox.path("work/mediasync.toml"), text).unwrap();
}

fn sync(sandbox: &Sandbox, more: &[&str]) -> Ran {
    sandbox.run(&[&["sync"], more].concat())
}

fn idle(sandbox: &Sandbox, code: i32) {
    let before = sandbox.local();
    sandbox.server.clear_log();
    let ran = sync(sandbox, &["--json"]).exits(code);
    assert_eq!(sandbox.server.changing_requests().len(), 0, "{ran:?}");
    assert_eq!(sandbox.local(), before);
    let summary = ran.line("summary");
    assert_eq!(summary["planned"]["records"], 0, "{ran:?}");
}

fn remove_remote(sandbox: &Sandbox, name: &str) {
    assert!(sandbox.bucket.remove(&format!("{PREFIX}{name}")), "{name} was there");
}

/// Somebody copies an object with all that it carries, as consoles do to rename it.
fn stores_again(sandbox: &Sandbox, name: &str, object: StoredObject) {
    let spec = ObjectSpec { attributes: object.attributes, ..ObjectSpec::default() };
    sandbox.bucket.put_with(&format!("{PREFIX}{name}"), object.body.bytes(), spec);
}

fn text(sandbox: &Sandbox, name: &str) -> String {
    String::from_utf8(sandbox.local()[name].to_vec()).unwrap()
}

/// The names that begin with `a (conflict from `.
fn kept(sandbox: &Sandbox) -> Vec<String> {
    sandbox.local().into_keys().filter(|name| name.starts_with("a (conflict from ")).collect()
}

/// Both sides changed `a.jpg`, the source later.
fn conflict(more: &str) -> Sandbox {
    let sandbox = two_way(&[("a.jpg", "first"), ("b.jpg", "b")], more);
    sync(&sandbox, &[]).exits(0);
    sandbox.put("a.jpg", "there, changed");
    sandbox.write("a.jpg", "here");
    sandbox
}

#[test]
fn each_side_gets_what_the_other_one_changed() {
    let sandbox =
        two_way(&[("edit.jpg", "1"), ("back.jpg", "2"), ("gone.jpg", "3"), ("lost.jpg", "4"), ("old.jpg", "5555")], "");
    sandbox.put("there.jpg", "only there");
    let ran = sync(&sandbox, &["-v"]).exits(0);
    ran.says(&["both ways between", "(source) and", "(destination)", "Of these at the source: 1 created"]);
    sandbox.assert_equal();
    idle(&sandbox, 0);

    sandbox.write("edit.jpg", "edited here");
    sandbox.put("back.jpg", "edited there");
    sandbox.remove("gone.jpg");
    remove_remote(&sandbox, "lost.jpg");
    sandbox.write("new/here.jpg", "n1");
    sandbox.put("new/there.jpg", "n2");
    let dry = sync(&sandbox, &["-n"]).exits(0);
    for line in [
        "edit.jpg  (content changed, at the destination)",
        "back.jpg  (content changed, at the source)",
        "gone.jpg  (deleted at source, at the destination)",
        "lost.jpg  (deleted at destination, at the source)",
        "new/here.jpg  (new, at the destination)",
        "new/there.jpg  (new, at the source)",
    ] {
        assert!(dry.all().contains(line), "{line}\n{dry:?}");
    }
    let ran = sync(&sandbox, &["--json"]).exits(0);
    let sides: Vec<String> = ran
        .json()
        .iter()
        .filter(|line| line["type"] == "action")
        .map(|line| format!("{} {} {}", line["verb"], line["side"], line["reason"]).replace('"', ""))
        .collect();
    for expected in ["delete source deleted-at-destination", "delete destination deleted-at-source"] {
        assert!(sides.iter().any(|side| side == expected), "{sides:?}");
    }
    assert_eq!(ran.line("summary")["done_at_source"]["deletes"], 1);
    sandbox.assert_equal();
    assert_eq!((text(&sandbox, "edit.jpg"), text(&sandbox, "back.jpg")), ("edited here".into(), "edited there".into()));
    assert!(!sandbox.media("lost.jpg").exists() && !sandbox.media("gone.jpg").exists());
    idle(&sandbox, 0);
}

#[test]
fn a_rename_at_either_side_moves_no_content() {
    let sandbox = two_way(&[("here.bin", "content of here"), ("there.bin", "content of there!")], "");
    sync(&sandbox, &[]).exits(0);
    fs::rename(sandbox.media("here.bin"), sandbox.media("renamed here.bin")).unwrap();
    let there = sandbox.bucket.get(&format!("{PREFIX}there.bin")).unwrap();
    stores_again(&sandbox, "renamed there.bin", there);
    remove_remote(&sandbox, "there.bin");
    sandbox.server.clear_log();
    let ran = sync(&sandbox, &["-v"]).exits(0);
    ran.says(&["renamed from here.bin, at the destination", "renamed from there.bin, at the source"]);
    let sent = [sandbox.requested("PutObject"), sandbox.requested("GetObject")].concat();
    assert!(sent.iter().all(|key| key.starts_with(".mediasync")), "no content moves: {sent:?}");
    sandbox.assert_equal();
    assert_eq!(text(&sandbox, "renamed there.bin"), "content of there!");
    idle(&sandbox, 0);
}

#[test]
fn a_first_sync_adopts_what_is_equal_and_tells_what_is_not() {
    let sandbox = two_way(&[("same.jpg", "same"), ("other.jpg", "here"), ("left.jpg", "l")], "");
    sandbox.put("same.jpg", "same");
    sandbox.put("other.jpg", "there");
    sandbox.put("right.jpg", "r");
    sync(&sandbox, &[]).exits(3).says(&["conflict: other.jpg", "never agreed"]);
    assert_eq!((text(&sandbox, "other.jpg"), &sandbox.content("other.jpg")[..]), ("here".into(), &b"there"[..]));
    assert_eq!((text(&sandbox, "right.jpg"), &sandbox.content("left.jpg")[..]), ("r".into(), &b"l"[..]));
    idle(&sandbox, 3);
}

#[test]
fn a_conflict_is_told_with_the_command_that_settles_it() {
    let sandbox = conflict("");
    let command = "mediasync resolve both a.jpg --take source";
    sync(&sandbox, &[]).exits(3).says(&[
        "conflict: a.jpg: both sides changed",
        command,
        "(or destination, or both)",
        "mediasync resolve settles one",
    ]);
    assert_eq!((text(&sandbox, "a.jpg"), &sandbox.content("a.jpg")[..]), ("here".into(), &b"there, changed"[..]));
    sandbox.run(&["status"]).exits(3).says(&["mediasync resolve both FILE --take"]);
    let ran = sync(&sandbox, &["--json"]).exits(3);
    assert_eq!(ran.line("conflict")["resolve"], "both");
    idle(&sandbox, 3);
}

#[test]
fn each_policy_settles_conflicts_as_it_says() {
    for (policy, winner) in [("source", "here"), ("destination", "there, changed")] {
        let sandbox = conflict(&format!("on_conflict = \"{policy}\""));
        let ran = sync(&sandbox, &["-v"]).exits(0);
        ran.says(&["replaces a change"]);
        sandbox.assert_equal();
        assert_eq!(text(&sandbox, "a.jpg"), winner);
        idle(&sandbox, 0);
    }
    for (hours, winner) in [(-1, "there, changed"), (1, "here")] {
        let sandbox = conflict("on_conflict = \"newer\"");
        let hour = Duration::from_secs(3_600);
        let now = SystemTime::now();
        sandbox.set_mtime("a.jpg", if hours < 0 { now - hour } else { now + hour });
        sync(&sandbox, &[]).exits(0).says(&["this compares the clocks of"]);
        sandbox.assert_equal();
        assert_eq!(text(&sandbox, "a.jpg"), winner);
        idle(&sandbox, 0);
    }
}

#[test]
fn newer_goes_by_when_the_content_was_made_and_not_by_when_it_was_stored() {
    let sandbox = two_way(&[("a.jpg", "first")], "on_conflict = \"newer\"");
    sync(&sandbox, &[]).exits(0);
    // Another copy of us stores an old content in the bucket, now.
    let day = Duration::from_secs(24 * 3_600);
    let old = Sandbox::with(&[("a.jpg", "old, stored late")]);
    old.set_mtime("a.jpg", SystemTime::now() - 2 * day);
    old.push(&[]).exits(0);
    stores_again(&sandbox, "a.jpg", old.bucket.get(&format!("{PREFIX}a.jpg")).unwrap());
    sandbox.write("a.jpg", "yesterday");
    sandbox.set_mtime("a.jpg", SystemTime::now() - day);
    sync(&sandbox, &[]).exits(0);
    assert_eq!(&sandbox.content("a.jpg")[..], b"yesterday");
    sandbox.assert_equal();
}

#[test]
fn both_contents_are_kept_at_both_sides() {
    let sandbox = conflict("on_conflict = \"keep-both\"");
    let dry = sync(&sandbox, &["-n"]).exits(0);
    dry.says(&["keep both", "a.jpg  (the destination's becomes a (conflict from live 20"]);
    let ran = sync(&sandbox, &["--json"]).exits(0);
    let names = kept(&sandbox);
    let [name] = &names[..] else { panic!("{names:?} {ran:?}") };
    assert!(name.starts_with("a (conflict from live 20") && name.ends_with("Z).jpg"), "{name}");
    let action = ran.line("action");
    assert_eq!(
        (&action["verb"], &action["side"], &action["kept_as"]),
        (&"keep-both".into(), &"both".into(), &name[..].into())
    );
    assert_eq!((text(&sandbox, "a.jpg"), text(&sandbox, name)), ("here".into(), "there, changed".into()));
    sandbox.assert_equal();
    idle(&sandbox, 0);
}

#[test]
fn a_run_that_dies_while_it_keeps_both_leaves_one_copy_in_the_end() {
    for operation in ["CopyObject", "GetObject", "PutObject"] {
        let sandbox = conflict("on_conflict = \"keep-both\"");
        let moment = Moment::BeforeAnswer;
        let gate = sandbox.server.hold(moment, operation, "site/a*.jpg");
        let run = sandbox.start(&["sync"]);
        gate.reached_blocking(1);
        run.kill();
        gate.release();
        sync(&sandbox, &[]).exits(0);
        let names = kept(&sandbox);
        assert_eq!(names.len(), 1, "{operation}: {names:?}");
        assert_eq!((text(&sandbox, "a.jpg"), text(&sandbox, &names[0])), ("here".into(), "there, changed".into()));
        sandbox.assert_equal();
        idle(&sandbox, 0);
    }
}

#[test]
fn a_name_that_is_taken_is_never_overwritten() {
    let sandbox = conflict("on_conflict = \"keep-both\"");
    let dry = sync(&sandbox, &["-n", "--json"]).exits(0);
    let name = dry.line("action")["kept_as"].as_str().unwrap().to_owned();
    sandbox.write(&name, "somebody's own");
    sync(&sandbox, &[]).exits(0);
    assert_eq!(text(&sandbox, &name), "somebody's own");
    assert_eq!(text(&sandbox, &name.replace(").jpg", " 2).jpg")), "there, changed");
    sandbox.assert_equal();
    idle(&sandbox, 0);
}

#[test]
fn what_one_side_deleted_and_the_other_one_changed_is_told() {
    let sandbox = two_way(&[("a.jpg", "a"), ("b.jpg", "b")], "");
    sync(&sandbox, &[]).exits(0);
    sandbox.remove("a.jpg");
    sandbox.put("a.jpg", "changed there");
    remove_remote(&sandbox, "b.jpg");
    sandbox.write("b.jpg", "changed here");
    let ran = sync(&sandbox, &[]).exits(3);
    ran.says(&[
        "deleted at the source and changed at the destination",
        "changed at the source and deleted at the destination",
    ]);
    idle(&sandbox, 3);
    sandbox.run(&["resolve", "both", "a.jpg", "--take", "both"]).exits(0);
    sandbox.run(&["resolve", "both", "b.jpg", "--take", "destination"]).exits(0);
    sandbox.assert_equal();
    assert_eq!((text(&sandbox, "a.jpg"), sandbox.media("b.jpg").exists()), ("changed there".into(), false));
    idle(&sandbox, 0);
}

#[test]
fn resolve_does_what_it_says_for_one_key() {
    for (take, here) in [("source", "here"), ("destination", "there, changed"), ("both", "here")] {
        let sandbox = conflict("");
        sandbox.put("b.jpg", "another change");
        let before = (sandbox.local(), sandbox.remote());
        let dry = sandbox.run(&["resolve", "both", "a.jpg", "--take", take, "-n"]).exits(0);
        dry.says(&["a.jpg"]).never_says("is settled");
        assert_eq!((sandbox.local(), sandbox.remote()), before);
        let ran = sandbox.run(&["resolve", "both", "a.jpg", "--take", take]).exits(0);
        ran.says(&["a.jpg is settled: both sides have"]);
        assert_eq!((text(&sandbox, "a.jpg"), text(&sandbox, "b.jpg")), (here.into(), "b".into()), "{take}");
        assert_eq!(kept(&sandbox).len(), usize::from(take == "both"));
        let again = sandbox.run(&["resolve", "both", "a.jpg", "--take", take]).exits(2);
        again.says(&["a.jpg is not in conflict"]);
        sync(&sandbox, &[]).exits(0);
        sandbox.assert_equal();
        idle(&sandbox, 0);
    }
}

#[test]
fn resolve_names_what_is_wrong() {
    let sandbox = conflict("");
    sandbox.run(&["resolve", "bth", "a.jpg", "--take", "source"]).exits(2).says(&["no job and no pair is called"]);
    sandbox
        .run(&["resolve", "both", "c.jpg", "--take", "source"])
        .exits(2)
        .says(&["nothing called c.jpg at either side"]);
    sandbox.run(&["resolve", "both", "b.jpg", "--take", "source"]).exits(2).says(&["b.jpg is not in conflict"]);
    assert_eq!((text(&sandbox, "a.jpg"), &sandbox.content("a.jpg")[..]), ("here".into(), &b"there, changed"[..]));
    sandbox.run(&["history"]).exits(0).never_says("resolve");
}

#[test]
fn resolve_settles_a_conflict_of_a_push() {
    let sandbox = Sandbox::with(&[("a.jpg", "first"), ("b.jpg", "b")]);
    sandbox.push(&[]).exits(0);
    sandbox.put("a.jpg", "there, changed");
    let told = sandbox.push(&[]).exits(3);
    let all = told.stderr.clone();
    let handle = all.split("mediasync resolve ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let (here, there) = (sandbox.path("media").to_str().unwrap().to_owned(), REMOTE);
    assert!(all.contains(&format!("mediasync resolve {handle} a.jpg --take {here} --state-dir")), "{told:?}");
    sandbox.run(&["resolve", handle, "a.jpg", "--take", "both"]).exits(2).says(&["goes one way"]);
    // A run the other way would turn the words.
    for word in ["source", "destination", "./elsewhere"] {
        sandbox.run(&["resolve", handle, "a.jpg", "--take", word]).exits(2).says(&[&here, there]);
    }
    sandbox.run(&["resolve", handle, "a.jpg", "--take", there]).exits(0);
    assert_eq!(text(&sandbox, "a.jpg"), "there, changed");
    sandbox.put("a.jpg", "changed again");
    sandbox.run(&["resolve", handle, "a.jpg", "--take", &here]).exits(0);
    assert_eq!(&sandbox.content("a.jpg")[..], b"there, changed");
    sandbox.assert_second_run_does_nothing(&[]);
}

#[test]
fn an_emptied_side_halts_on_the_left_and_on_the_right() {
    for left in [true, false] {
        let sandbox = two_way(&[("a.jpg", "a"), ("b/c.jpg", "c"), ("b/d.jpg", "d")], "");
        sync(&sandbox, &[]).exits(0);
        let all = sandbox.local();
        for name in all.keys() {
            if left { sandbox.remove(name) } else { remove_remote(&sandbox, name) }
        }
        let halted = sync(&sandbox, &[]).exits(4);
        halted.says(&["is empty, but held 3 keys at the last run", "mediasync approve both"]);
        let other = if left { sandbox.remote() } else { sandbox.local() };
        assert_eq!(other, all);
        // Whoever means it may say so.
        let halted = sync(&sandbox, &[]).exits(4);
        let approve = halted.way_out();
        sandbox.run(&approve.iter().map(String::as_str).collect::<Vec<_>>()).exits(0);
        assert_eq!((sandbox.local().len(), sandbox.remote().len()), (0, 0));
    }
}

#[test]
fn kills_at_any_moment_lose_nothing_and_both_sides_meet() {
    let files: Vec<(String, String)> = (0..20).map(|n| (format!("first/{n}.jpg"), format!("content {n}"))).collect();
    let sandbox = two_way(&[], "on_conflict = \"keep-both\"\nmax_delete = 1000");
    for (name, content) in &files {
        sandbox.write(name, content);
    }
    sync(&sandbox, &[]).exits(0);
    let mut random = fastrand::Rng::with_seed(11);
    sandbox.server.quirks(|quirks| quirks.latency = Duration::from_millis(3));
    let (mut killed, mut written) = (0, Vec::new());
    for round in 0..10 {
        for n in 0..2 {
            let (here, there) = (bytes(random.u64(..), 900), bytes(random.u64(..), 901));
            sandbox.write(&format!("new/here-{round}-{n}.jpg"), &here);
            sandbox.put(&format!("new/there-{round}-{n}.jpg"), there.clone());
            written.extend([here, there]);
        }
        let (here, there) = (format!("here in {round}").into_bytes(), format!("there in {round}").into_bytes());
        sandbox.write(&format!("both-{round}.jpg"), &here);
        sandbox.put(&format!("both-{round}.jpg"), there.clone());
        written.extend([here, there]);
        if sandbox.media(&format!("first/{round}.jpg")).exists() {
            sandbox.remove(&format!("first/{round}.jpg"));
        }
        remove_remote(&sandbox, &format!("first/{}.jpg", round + 10));
        let requests = random.usize(2..30);
        killed += i32::from(sandbox.kill_after(requests, |sandbox| sandbox.start(&["sync"])));
    }
    assert!(killed >= 6, "only {killed} of ten runs were killed in time");
    sandbox.server.quirks(|quirks| (quirks.latency, quirks.clock_ahead) = (Duration::ZERO, 120));
    sync(&sandbox, &[]).exits(0);
    sandbox.assert_pulled_but_for_leftovers();
    assert_eq!((sandbox.bucket.uploads(), sandbox.own_keys()), (Vec::new(), vec!["id".to_owned()]));
    let there: Vec<Vec<u8>> = sandbox.remote().into_values().map(|content| content.to_vec()).collect();
    for content in &written {
        assert!(there.contains(content), "{:?} is gone", String::from_utf8_lossy(&content[..content.len().min(20)]));
    }
    assert_eq!(there.len(), written.len(), "each content once, and nothing that was deleted");
    idle(&sandbox, 0);
}

#[test]
fn a_two_way_source_obeys_its_own_access() {
    let sandbox = two_way(&[("a.jpg", "a")], "");
    let path = sandbox.path("work/mediasync.toml");
    let media = sandbox.path("media");
    let text = fs::read_to_string(&path).unwrap();
    let guarded = |access: &str| {
        let media = format!("[remote.here]\nurl = {media:?}\naccess = \"{access}\"\n");
        fs::write(&path, format!("{media}{text}")).unwrap();
    };
    guarded("read-only");
    sync(&sandbox, &[]).exits(2).says(&["is read-only: remote.here"]);
    guarded("confirm");
    sync(&sandbox, &[]).exits(2).says(&["remote.here says access = \"confirm\"", "--yes"]);
    sync(&sandbox, &["--yes"]).exits(0);
    sandbox.assert_equal();
    job(&sandbox, "both", "copy", "on_conflict = \"newer\"");
    sync(&sandbox, &[]).exits(2).says(&["job.both.on_conflict", "mode = \"two-way\""]);
    job(&sandbox, "both", "two-way", "delete = false");
    sync(&sandbox, &[]).exits(2).says(&["a two-way job always deletes"]);
}

/// One side damaged everything: what the other one had can be put back.
#[test]
fn what_a_two_way_job_replaces_is_kept_at_the_side_that_it_was_replaced_at() {
    let sandbox = two_way(&[("a.jpg", "good a"), ("b.jpg", "good b")], "");
    sync(&sandbox, &[]).exits(0);
    sandbox.put("a.jpg", "damaged");
    sandbox.write("b.jpg", "edited");
    sync(&sandbox, &[]).exits(0);
    assert_eq!(sandbox.local(), sandbox.remote());
    let here = sandbox.files("media/.mediasync/trash");
    assert_eq!(here.iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>(), [b"good a"]);
    let mut there = sandbox.bucket.keys();
    there.retain(|key| key.contains(".mediasync/trash/"));
    assert_eq!(there.iter().map(|key| sandbox.bucket.content(key)).collect::<Vec<_>>(), ["good b"]);
    idle(&sandbox, 0);
}
