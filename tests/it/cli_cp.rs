//! `cp` through the program: which files go where, what it never replaces, what it keeps, and what is left of it after an
//! interruption.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::s3::{Acls, Effect, Faults, Moment, Rule, Versioning};
use crate::support::sandbox::{REMOTE, Ran, Sandbox, bytes};

const MIB: usize = 1024 * 1024;

/// `env:DEFAULT_STORAGE_DSN/NAME`.
fn at(name: &str) -> String {
    format!("{REMOTE}/{name}")
}

fn path(sandbox: &Sandbox, name: &str) -> String {
    sandbox.path(name).to_str().unwrap().to_owned()
}

fn cp(sandbox: &Sandbox, args: &[&str]) -> Ran {
    sandbox.run(&[&["cp"], args].concat())
}

fn names(sandbox: &Sandbox) -> Vec<String> {
    sandbox.remote().into_keys().collect()
}

#[test]
fn one_file_goes_to_a_folder_or_to_a_name_in_both_directions() {
    let sandbox = Sandbox::with(&[("a.jpg", "content of a")]);
    let then = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    sandbox.set_mtime("a.jpg", then);
    let file = path(&sandbox, "media/a.jpg");
    let ran = cp(&sandbox, &[&file, &at("photos/")]).exits(0);
    let ran = ran.says(&["cp: from ", "to s3://media/site/photos", "Copied 1 file (12 B)."]);
    assert_eq!(ran.stdout, "Copied 1 file (12 B).\n");
    cp(&sandbox, &[&file, &at("photos/b.jpg")]).exits(0);
    // There is a folder of that name by now; and a new name is a name.
    cp(&sandbox, &[&file, &at("photos/deep/")]).exits(0);
    cp(&sandbox, &[&file, &at("photos/deep")]).exits(0).says(&["1 already there"]);
    cp(&sandbox, &[&file, &at("new")]).exits(0);
    assert_eq!(names(&sandbox), ["new", "photos/a.jpg", "photos/b.jpg", "photos/deep/a.jpg"]);
    let sent = sandbox.bucket.get("site/photos/b.jpg").unwrap();
    assert_eq!(sent.attributes.content_type.as_deref(), Some("image/jpeg"));
    assert_eq!(sent.attributes.metadata["blake3"], blake3::hash(b"content of a").to_hex().as_str());
    assert!(sandbox.own_keys().is_empty(), "nothing of ours is left in the bucket: {:?}", sandbox.own_keys());
    assert!(sandbox.files("state").is_empty());

    let here = path(&sandbox, "work");
    cp(&sandbox, &[&at("photos/b.jpg"), &format!("{here}/")]).exits(0);
    cp(&sandbox, &[&at("photos/b.jpg"), &here]).exits(0).says(&["1 already there"]);
    cp(&sandbox, &[&at("photos/b.jpg"), "./c.jpg"]).exits(0);
    cp(&sandbox, &[&at("photos/b.jpg"), "./made/"]).exits(0);
    for name in ["b.jpg", "c.jpg", "made/b.jpg"] {
        let file = sandbox.path("work").join(name);
        assert_eq!(fs::read_to_string(&file).unwrap(), "content of a", "{name}");
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), then, "{name}");
    }
    cp(&sandbox, &["./c.jpg", "./d.jpg"]).exits(0);
    assert_eq!(fs::read_to_string(sandbox.path("work/d.jpg")).unwrap(), "content of a");
    assert_eq!(sandbox.files("work").len(), 4, "{:?}", sandbox.files("work"));
}

#[test]
fn what_can_not_be_meant_is_refused_with_the_way_out() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b/c.jpg", "c")]);
    sandbox.put("photos/x.jpg", "x");
    sandbox.put("both", "a file");
    sandbox.put("both/below.jpg", "a folder");
    let (file, folder) = (path(&sandbox, "media/a.jpg"), path(&sandbox, "media"));
    cp(&sandbox, &[&folder, &at("x/")]).exits(2).says(&["is a folder, and cp copies one file", "-r copies all files"]);
    cp(&sandbox, &[&at("photos"), "./x"]).exits(2).says(&["is a folder, and cp copies one file"]);
    cp(&sandbox, &[REMOTE, "./x"]).exits(2).says(&["is a folder"]);
    cp(&sandbox, &[&at("photos/y.jpg"), "./x"]).exits(1).says(&["nothing is at", "there are x.jpg"]);
    cp(&sandbox, &["./none.jpg", &at("x/")]).exits(1).says(&["nothing is at"]);
    cp(&sandbox, &[&file, &file]).exits(2).says(&["would be copied to itself"]);
    cp(&sandbox, &[&at("photos/x.jpg"), &at("photos/")]).exits(2).says(&["would be copied to itself"]);
    cp(&sandbox, &["-r", &folder, &format!("{folder}/b")]).exits(2).says(&["lies inside the source"]);
    cp(&sandbox, &["-r", &at("photos"), REMOTE]).exits(2).says(&["lies inside the destination"]);
    cp(&sandbox, &["-r", &folder, &folder]).exits(2).says(&["are the same place"]);
    cp(&sandbox, &["-r", &folder, &file]).exits(2).says(&["is a file, and -r copies into a folder"]);
    cp(&sandbox, &[&at("photos/x.jpg"), "./no/where/x.jpg"]).exits(1).says(&["no/where"]);
    cp(&sandbox, &[&file, "DEFAULT_STORAGE_DSN"]).exits(2).says(&["env:DEFAULT_STORAGE_DSN"]);
    cp(&sandbox, &[&file, &at(".mediasync/x")]).exits(2).says(&["are reserved"]);
    // One name may be a file and a folder: without -r the file is meant, with it the folder.
    cp(&sandbox, &[&at("both"), "./one"]).exits(0);
    assert_eq!(fs::read_to_string(sandbox.path("work/one")).unwrap(), "a file");
    cp(&sandbox, &["-r", &at("both"), "./two"]).exits(0);
    assert_eq!(fs::read_to_string(sandbox.path("work/two/below.jpg")).unwrap(), "a folder");
    assert!(sandbox.server.changing_requests().is_empty());
    // Other commands name it.
    sandbox.run(&["push", &file, REMOTE]).exits(2).says(&["mediasync cp FILE"]);
}

#[test]
fn a_pull_of_one_file_names_the_command_that_copies_it() {
    let sandbox = Sandbox::new();
    sandbox.put("photos/x.jpg", "x");
    let config = format!("[remote.live]\ndsn = \"{REMOTE}\"\n");
    fs::write(sandbox.path("work/mediasync.toml"), config).unwrap();
    for more in [&["-n"][..], &[]] {
        let ran = sandbox.run(&[&["pull", "live:photos/x.jpg", "./p"], more].concat()).exits(2);
        let ran = ran.says(&["s3://media/site/photos/x.jpg is one file, and pull takes a place"]);
        ran.says(&[&format!("mediasync cp live:photos/x.jpg {}/", path(&sandbox, "work/p"))]);
    }
    // Nobody wants to hear of that pair again.
    sandbox.run(&["status"]).never_says("photos/x.jpg");
    sandbox.run(&["cp", "live:photos/x.jpg", "./p/"]).exits(0);
    assert_eq!(fs::read_to_string(sandbox.path("work/p/x.jpg")).unwrap(), "x");
    // A place that has nothing is none.
    sandbox.run(&["pull", "live:nothing", "./q"]).exits(0);
}

/// Its answer was lost, and the second attempt meets what the first one stored.
#[test]
fn an_answer_that_was_lost_is_no_change_of_somebody_else() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let lost = Rule::new("PutObject", Effect::LoseAnswer).key("site/a.jpg").times(1);
    sandbox.server.faults(|faults| faults.add(lost));
    cp(&sandbox, &[&path(&sandbox, "media/a.jpg"), &at("a.jpg")]).exits(0).says(&["Copied 1 file"]);
    assert_eq!(sandbox.content("a.jpg"), "a");
}

#[test]
fn all_below_a_folder_is_copied_but_for_junk_and_our_own() {
    let sandbox = Sandbox::with(&[
        ("a.jpg", "a"),
        ("b/c.jpg", "c"),
        ("b/.DS_Store", "junk"),
        ("b/raw.psd", "p"),
        (".mediasync/id", "x"),
    ]);
    sandbox.write(".mediasyncignore", "*.psd\n");
    symlink("a.jpg", sandbox.media("link.jpg")).unwrap();
    let folder = path(&sandbox, "media");
    let dry = cp(&sandbox, &["-rn", &folder, &at("copy")]).exits(0);
    assert_eq!(dry.stdout.lines().filter(|line| line.starts_with("create ")).count(), 2, "{dry:?}");
    dry.says(&["Would copy 2 files (2 B)", "1 junk", "1 excluded", "1 symbolic link"]);
    assert!(sandbox.server.changing_requests().is_empty() && sandbox.files("state").is_empty());
    cp(&sandbox, &["-r", &folder, &at("copy")]).exits(0).says(&["Copied 2 files"]);
    assert_eq!(names(&sandbox), ["copy/a.jpg", "copy/b/c.jpg"]);
    // Whether the destination exists makes no difference, and nothing is sent twice.
    sandbox.server.clear_log();
    cp(&sandbox, &["-r", &folder, &at("copy/")]).exits(0).says(&["Copied 0 files (0 B), 2 already there."]);
    assert!(sandbox.server.changing_requests().is_empty());
    cp(&sandbox, &["-r", &folder, &at("jpg"), "--exclude", "b/"]).exits(0);
    assert_eq!(names(&sandbox), ["copy/a.jpg", "copy/b/c.jpg", "jpg/a.jpg"]);

    sandbox.put("copy/b/Thumbs.db", "junk");
    sandbox.put("copy/b/../odd", "a name that no disk has");
    let ran = cp(&sandbox, &["-r", &at("copy"), "./back"]).exits(3).says(&["1 junk", "Problems: 1"]);
    ran.says(&["can't be stored in", "`..` can't be the name"]);
    let back: Vec<_> = sandbox.files("work/back");
    assert_eq!(back.len(), 2, "{back:?}");
    // A link that is named itself is followed, and keeps its own name.
    cp(&sandbox, &[&path(&sandbox, "media/link.jpg"), &at("l/")]).exits(0);
    assert_eq!(sandbox.content("l/link.jpg"), "a");
    // So is junk.
    cp(&sandbox, &[&path(&sandbox, "media/b/.DS_Store"), &at("l/")]).exits(0);
    let ran = cp(&sandbox, &["-r", &at("l"), "./l", "--include", ".DS_Store"]).exits(0);
    ran.says(&["Copied 2 files"]);
    fs::create_dir(sandbox.path("work/empty")).unwrap();
    cp(&sandbox, &["-r", "./empty", &at("e")]).exits(0).says(&["nothing was to be copied"]);
    cp(&sandbox, &["-r", &at("nobody"), "./e"]).exits(1).says(&["nothing is at"]);
}

#[test]
fn what_differs_stays_unless_somebody_says_otherwise_and_is_kept_then() {
    let sandbox = Sandbox::with(&[("a.jpg", "new a"), ("b.jpg", "b"), ("c.jpg", "c")]);
    sandbox.put("p/a.jpg", "older a");
    sandbox.put("p/b.jpg", "b");
    let (file, folder) = (path(&sandbox, "media/a.jpg"), path(&sandbox, "media"));
    let to = at("p/");
    for more in [&[][..], &["-n"][..]] {
        let ran = cp(&sandbox, &[&[&*file, &to], more].concat()).exits(1);
        ran.says(&["p/a.jpg: something else is there", "--overwrite replaces it, and keeps it in the trash"]);
    }
    assert!(sandbox.server.changing_requests().is_empty());
    let ran = cp(&sandbox, &["-r", &folder, &to]).exits(3);
    ran.says(&["problem: p/a.jpg: something else is there", "Copied 1 file (1 B), 1 already there.", "Problems: 1"]);
    assert_eq!((sandbox.content("p/a.jpg"), sandbox.content("p/c.jpg")), ("older a".into(), "c".into()));
    sandbox.server.clear_log();
    cp(&sandbox, &["-rn", &folder, &to, "--overwrite"]).exits(0).says(&["replace ", "1 of them over what was there"]);
    assert!(sandbox.server.changing_requests().is_empty());
    let ran = cp(&sandbox, &["-r", &folder, &to, "--overwrite"]).exits(0);
    let ran = ran.says(&["Copied 1 file (5 B), 1 of them over what was there, 2 already there.", "to put it back: "]);
    assert_eq!((sandbox.content("p/a.jpg"), sandbox.trash().0["p/a.jpg"].clone()), ("new a".into(), "older a".into()));
    sandbox.paste(&ran, "mediasync trash restore").exits(0).says(&["Restored 1 file"]);
    assert_eq!(sandbox.content("p/a.jpg"), "older a");
    cp(&sandbox, &[&file, &to, "--overwrite", "--trash", "off"]).exits(0).never_says("trash restore");
    assert_eq!(sandbox.content("p/a.jpg"), "new a");

    // Of the same size, with nothing but an ETag to go by.
    sandbox.put("t/a.jpg", "old a");
    cp(&sandbox, &[&file, &at("t/")]).exits(1).says(&["it can't be told whether", "--overwrite replaces it"]);

    // The same in a directory.
    fs::write(sandbox.path("work/a.jpg"), "mine").unwrap();
    cp(&sandbox, &[&at("p/a.jpg"), "./"]).exits(1).says(&["a.jpg: something else is there"]);
    let ran = cp(&sandbox, &[&at("p/a.jpg"), "./", "--overwrite"]).exits(0);
    assert_eq!(fs::read_to_string(sandbox.path("work/a.jpg")).unwrap(), "new a");
    sandbox.paste(&ran, "mediasync trash restore").exits(0);
    assert_eq!(fs::read_to_string(sandbox.path("work/a.jpg")).unwrap(), "mine");

    // A bucket that keeps versions, and that a run got to know, keeps them itself.
    sandbox.bucket.set_versioning(Versioning::Enabled);
    sandbox.push(&[]).exits(0);
    sandbox.put("a.jpg", "somebody else's");
    let ran = cp(&sandbox, &[&file, REMOTE, "--overwrite"]).exits(0).says(&["in the bucket's own versions"]);
    ran.never_says("trash restore");
}

#[test]
fn what_somebody_changes_meanwhile_is_not_replaced() {
    let sandbox = Sandbox::with(&[("a.jpg", "mine")]);
    let file = path(&sandbox, "media/a.jpg");
    // Created by somebody else after the last look.
    let gate = sandbox.server.hold(Moment::BeforeHandling, "PutObject", "site/a.jpg");
    let run = sandbox.start(&["cp", &file, &at("a.jpg")]);
    gate.reached_blocking(1);
    sandbox.put("a.jpg", "somebody else's");
    gate.release();
    run.wait().exits(1).says(&["a.jpg"]);
    assert_eq!(sandbox.content("a.jpg"), "somebody else's");
    // Changed by somebody else after the last look.
    let gate = sandbox.server.hold(Moment::BeforeHandling, "PutObject", "site/a.jpg");
    let run = sandbox.start(&["cp", &file, &at("a.jpg"), "--overwrite"]);
    gate.reached_blocking(1);
    sandbox.put("a.jpg", "somebody else's edit");
    gate.release();
    let ran = run.wait().exits(1);
    let refused = sandbox.server.requests().iter().filter(|entry| entry.status == Some(412)).count();
    assert!(refused >= 2, "{ran:?}");
    assert_eq!(sandbox.content("a.jpg"), "somebody else's edit");
    // A server that ignores conditions is looked at right before.
    sandbox.server.faults(Faults::clear);
    let before = sandbox.server.count("HeadObject");
    cp(&sandbox, &[&file, &at("b.jpg")]).exits(0);
    assert!(sandbox.server.count("HeadObject") - before >= 2, "once to see it, once right before");
}

#[test]
fn inside_one_service_nothing_is_read_or_sent() {
    let mut sandbox = Sandbox::new();
    let backup = sandbox.server.create_bucket("backup");
    let dsn = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint())).replace("@media/site", "@backup");
    sandbox.env("BACKUP", &dsn);
    let mut spec = crate::support::s3::ObjectSpec::default();
    spec.attributes.cache_control = Some("max-age=60".to_owned());
    spec.attributes.content_type = Some("image/x-special".to_owned());
    sandbox.bucket.put_with("site/a.jpg", "content", spec);
    sandbox.put("d/e.jpg", "e");
    sandbox.server.clear_log();
    cp(&sandbox, &[&at("a.jpg"), "env:BACKUP/x.jpg"]).exits(0).says(&["Copied 1 file", "New objects get no ACL"]);
    cp(&sandbox, &[&at("a.jpg"), &at("copy.jpg")]).exits(0);
    cp(&sandbox, &["-r", REMOTE, "env:BACKUP/all"]).exits(0).says(&["Copied 3 files"]);
    let bodies = sandbox.server.requests().into_iter().filter(|entry| {
        let call = &entry.call;
        (call.operation == "GetObject" && !call.key.ends_with(".mediasync/id")) || call.operation == "PutObject"
    });
    assert_eq!(bodies.count(), 0);
    let copied = backup.get("x.jpg").unwrap();
    assert_eq!(copied.attributes.content_type.as_deref(), Some("image/x-special"));
    assert_eq!(copied.attributes.cache_control.as_deref(), Some("max-age=60"));
    assert_eq!(backup.keys(), ["all/a.jpg", "all/copy.jpg", "all/d/e.jpg", "x.jpg"]);
    // Where the server can't copy, the content goes through here.
    sandbox.server.faults(|faults| faults.add(Rule::new("CopyObject", Effect::Status(501, "NotImplemented"))));
    cp(&sandbox, &[&at("a.jpg"), "env:BACKUP/y.jpg"]).exits(0);
    assert_eq!(backup.content("y.jpg"), "content");
}

#[test]
fn an_interruption_leaves_no_parts_and_no_half_file() {
    let sandbox = Sandbox::new();
    let content = bytes(3, 39 * MIB);
    sandbox.write("large.bin", &content);
    let file = path(&sandbox, "media/large.bin");
    let interrupt = |run: crate::support::sandbox::Running| {
        let pid = Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        run.wait().exits(130).says(&["interrupted", "repeat it"])
    };
    let slow = |operation, skip| {
        let rule = Rule::new(operation, Effect::Delay(Duration::from_secs(30))).key("*large.bin").skip(skip);
        sandbox.server.faults(|faults| faults.add(rule));
    };
    let fired = |count| {
        let begun = std::time::Instant::now();
        while sandbox.server.faults(|faults| faults.fired()) < count {
            assert!(begun.elapsed() < Duration::from_secs(30), "it comes so far");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    slow("UploadPart", 2);
    let run = sandbox.start(&["cp", &file, &at("large.bin")]);
    fired(1);
    assert_eq!(sandbox.bucket.uploads().len(), 1);
    interrupt(run);
    assert_eq!((sandbox.bucket.uploads().len(), names(&sandbox).len()), (0, 0));
    sandbox.server.faults(Faults::clear);
    cp(&sandbox, &[&file, &at("large.bin")]).exits(0);
    assert!(sandbox.content("large.bin") == content && sandbox.bucket.uploads().is_empty());

    let before = sandbox.server.faults(|faults| faults.fired());
    slow("GetObject", 2);
    let run = sandbox.start(&["cp", &at("large.bin"), "./"]);
    fired(before + 1);
    interrupt(run);
    assert!(sandbox.files("work").is_empty(), "{:?}", sandbox.files("work"));
    // Killed, it leaves nothing under the name, and the next one brings it.
    let run = sandbox.start(&["cp", &at("large.bin"), "./"]);
    let before = sandbox.server.faults(|faults| faults.fired());
    fired(before + 1);
    assert_eq!(run.kill(), -9);
    assert!(!sandbox.path("work/large.bin").exists());
    sandbox.server.faults(Faults::clear);
    cp(&sandbox, &[&at("large.bin"), "./"]).exits(0);
    assert!(fs::read(sandbox.path("work/large.bin")).unwrap() == content);
}

/// From a directory to another one: the thread that writes is waited for, and the file that it fills is gone.
#[test]
fn an_interrupted_copy_on_one_disk_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    sandbox.write("large.bin", bytes(4, 160 * MIB));
    let file = path(&sandbox, "media/large.bin");
    let mut interrupted = 0;
    for round in 0..12 {
        let run = sandbox.start(&["cp", &file, "./copy.bin"]);
        let begun = std::time::Instant::now();
        while sandbox.files("work").is_empty() && begun.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(7 * round));
        kill_process(Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap(), Signal::INT).unwrap();
        interrupted += i32::from(run.wait().code == 130);
        fs::remove_file(sandbox.path("work/copy.bin")).ok();
        assert_eq!(sandbox.files("work"), Vec::<std::path::PathBuf>::new());
    }
    assert!(interrupted > 0, "none of the runs was interrupted in time");
}

#[test]
fn access_is_respected_and_a_subfolder_gets_nothing_of_ours() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    let (file, other) = (path(&sandbox, "media/a.jpg"), path(&sandbox, "media/b.jpg"));
    let remote = |access: &str| {
        let text = format!("[remote.live]\ndsn = \"{REMOTE}\"\naccess = \"{access}\"\n");
        fs::write(sandbox.path("work/mediasync.toml"), text).unwrap();
    };
    remote("read-only");
    cp(&sandbox, &[&file, "live:p/"]).exits(2).says(&["is read-only", "-n shows what would be done"]);
    cp(&sandbox, &[&file, "live:p/", "-n"]).exits(0).says(&["Would copy 1 file"]);
    remote("confirm");
    cp(&sandbox, &[&file, "live:p/"]).exits(2).says(&["access = \"confirm\"", "add --yes"]);
    assert!(sandbox.server.changing_requests().is_empty());
    cp(&sandbox, &[&file, "live:p/", "--yes"]).exits(0);
    cp(&sandbox, &[&other, "live:p/a.jpg", "--yes", "--overwrite"]).exits(0);
    let keys = sandbox.bucket.keys();
    let own: Vec<_> = keys.iter().filter(|key| key.contains(".mediasync")).collect();
    assert!(own.len() == 1 && own[0].starts_with("site/.mediasync/trash/") && own[0].ends_with("/p/a.jpg"), "{own:?}");
    // What is read may be read-only.
    remote("read-only");
    cp(&sandbox, &["live:p/a.jpg", "./"]).exits(0);
    cp(&sandbox, &[&file, "live"]).exits(2).says(&["`live:` or `./live`?"]);
}

#[test]
fn each_file_and_the_sums_are_told_as_json() {
    let sandbox = Sandbox::with(&[("a.jpg", "new"), ("b/c.jpg", "c"), (".DS_Store", "j"), ("same.jpg", "s")]);
    sandbox.put("p/a.jpg", "old");
    sandbox.put("p/same.jpg", "s");
    let folder = path(&sandbox, "media");
    let ran = cp(&sandbox, &["-r", &folder, &at("p"), "--json"]).exits(3);
    let of = |ran: &Ran, key: &str| ran.json().into_iter().find(|line| line["key"] == key).unwrap();
    let created = of(&ran, "p/b/c.jpg");
    assert_eq!((&created["type"], &created["v"]), (&"copy-action".into(), &1.into()));
    assert_eq!((&created["outcome"], &created["stage"]), (&"created".into(), &"done".into()));
    assert_eq!((&created["from"], &created["size"]), (&"b/c.jpg".into(), &1.into()));
    assert_eq!((&created["source"], &created["destination"]), (&folder.into(), &"s3://media/site".into()));
    assert_eq!(of(&ran, "p/same.jpg")["outcome"], "already-there");
    assert_eq!(ran.line("problem")["kind"], "refused");
    let sums = ran.line("copy-summary");
    let count = |name: &str| sums[name].as_u64().unwrap();
    assert_eq!((count("created"), count("replaced"), count("already_there"), count("problems")), (1, 0, 1, 1));
    assert_eq!((count("bytes"), &sums["skipped"]["junk"], &sums["run"]), (1, &1.into(), &serde_json::Value::Null));
    let folder = path(&sandbox, "media");
    let sums = cp(&sandbox, &["-r", &folder, &at("p"), "--json", "--overwrite"]).exits(0).line("copy-summary");
    assert_eq!(sums["run"].as_str(), sandbox.trash().1.first().map(String::as_str));
    let failed = cp(&sandbox, &["./none", &at("p/"), "--json"]).exits(1).line("error");
    assert_eq!(failed["exit"], 1);
}

#[test]
fn a_listing_that_breaks_off_copies_nothing() {
    let sandbox = Sandbox::new();
    for n in 0..1_500 {
        sandbox.put(&format!("many/{n:04}.jpg"), "x");
    }
    let broken = Rule::new("ListObjectsV2", Effect::Status(403, "AccessDenied")).key("site/many/*").skip(2);
    sandbox.server.faults(|faults| faults.add(broken));
    cp(&sandbox, &["-r", &at("many"), "./many"]).exits(1);
    assert!(sandbox.files("work").is_empty());
    sandbox.server.faults(Faults::clear);
    cp(&sandbox, &["-r", &at("many"), "./many"]).exits(0).says(&["Copied 1,500 files"]);
    assert_eq!(sandbox.files("work/many").len(), 1_500);
}

#[test]
fn new_objects_are_as_public_as_those_of_a_push() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let file = path(&sandbox, "media/a.jpg");
    cp(&sandbox, &[&file, REMOTE]).exits(0).says(&["New objects get the ACL public-read"]);
    cp(&sandbox, &[&file, &at("private.jpg"), "--acl", "private"]).exits(0).never_says("everybody may read");
    assert!(sandbox.bucket.get("site/a.jpg").unwrap().acl != sandbox.bucket.get("site/private.jpg").unwrap().acl);
    cp(&sandbox, &[&at("a.jpg"), "./", "--acl", "private"]).exits(2).says(&["--acl is for objects in a bucket"]);
}

/// A server that ignores ACLs is found out after it has the first object: nothing is said before that would be wrong then.
#[test]
fn who_may_read_new_objects_is_said_once_and_only_of_those_that_were_made() {
    let everybody = "everybody may read them";
    for (acls, says) in [(Acls::Supported, everybody), (Acls::Unheard, "ignores the ACLs of uploads")] {
        let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
        sandbox.server.quirks(|quirks| quirks.acls = acls);
        let folder = path(&sandbox, "media");
        let ran = cp(&sandbox, &["-r", &folder, &at("p")]).exits(0).says(&[says]);
        let told = |ran: &Ran| ran.stderr.lines().filter(|line| line.contains("public-read")).count();
        assert_eq!(told(&ran), 1, "{acls:?}: {ran:?}");
        if acls == Acls::Supported {
            let ran = cp(&sandbox, &["-n", &format!("{folder}/a.jpg"), &at("new.jpg")]).exits(0).says(&[everybody]);
            assert_eq!(told(&ran), 1, "{ran:?}");
        } else {
            ran.never_says(everybody);
        }
        // Nothing is made.
        cp(&sandbox, &["-r", &folder, &at("p")]).exits(0).never_says(everybody);
        sandbox.write("a.jpg", "another");
        cp(&sandbox, &["-r", "--overwrite", &folder, &at("p")]).exits(0).never_says(everybody);
    }
}

#[test]
fn a_forgotten_scheme_makes_no_folder_and_a_new_name_in_a_folder_that_is_there_is_plain() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    sandbox.put("b.jpg", "b");
    let (file, folder) = (path(&sandbox, "media/a.jpg"), path(&sandbox, "media"));
    let work = sandbox.path("work");
    for (args, told) in [
        (
            &[&*file, "my-bucket/photos.txt"][..],
            "`my-bucket`: `s3://my-bucket/photos.txt` or `./my-bucket/photos.txt`?",
        ),
        (&[&file, "my-bucket/"], "`my-bucket`: `s3://my-bucket/` or `./my-bucket/`?"),
        (&["-r", &folder, "my-bucket"], "`my-bucket`: `s3://my-bucket` or `./my-bucket`?"),
        (&["-r", "-n", &folder, "my-bucket"], "`my-bucket`: `s3://my-bucket` or `./my-bucket`?"),
    ] {
        cp(&sandbox, args).exits(2).says(&["there is no directory ", told]);
        assert!(sandbox.files("work").is_empty() && !work.join("my-bucket").exists(), "{args:?}");
    }
    // What says that it is here, or is.
    cp(&sandbox, &[&at("b.jpg"), "new-name"]).exits(0);
    cp(&sandbox, &[&at("b.jpg"), "./made/b.jpg"]).exits(0);
    cp(&sandbox, &[&at("b.jpg"), "made/deep/c.jpg"]).exits(0);
    cp(&sandbox, &["-r", &folder, "made"]).exits(0);
    cp(&sandbox, &["-r", &folder, "./my-bucket"]).exits(0);
    for name in ["new-name", "made/a.jpg", "made/b.jpg", "made/deep/c.jpg", "my-bucket/a.jpg"] {
        assert!(work.join(name).is_file(), "{name}");
    }
}
