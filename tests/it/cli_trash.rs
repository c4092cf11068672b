//! The trash through the program: what a run takes away is kept at its side, listed, put back and removed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::support::s3::{Acl, Attributes, Effect, Moment, ObjectSpec, Quirks, Rule, Support, Versioning};
use crate::support::sandbox::{PREFIX, REMOTE, Ran, Sandbox, bytes};

/// The name of the only run in the bucket's trash.
fn only_run(sandbox: &Sandbox) -> String {
    let (_, runs) = sandbox.trash();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs.into_iter().next().unwrap()
}

/// The name that a run tells, and the way back.
fn told_run(ran: &Ran) -> String {
    let way = ran.all().lines().find_map(|line| line.split("--run ").nth(1).map(str::to_owned)).expect("a way back");
    way.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn what_a_push_deletes_is_kept_and_comes_back_as_it_was() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b/ü 1.jpg", "b"), ("c.jpg", "c")]);
    sandbox.push(&[]).exits(0);
    let attributes = Attributes {
        cache_control: Some("max-age=60".into()),
        content_type: Some("application/x-special".into()),
        ..Attributes::default()
    };
    let public = sandbox.bucket.get(&format!("{PREFIX}a.jpg")).unwrap().acl;
    assert_eq!(public.name, "public-read");
    let spec = ObjectSpec { attributes, acl: public, ..ObjectSpec::default() };
    sandbox.bucket.put_with(&format!("{PREFIX}a.jpg"), "a", spec);
    sandbox.push(&[]).exits(0);
    let before = sandbox.bucket.get(&format!("{PREFIX}a.jpg")).unwrap();
    sandbox.remove("a.jpg");
    sandbox.remove("b/ü 1.jpg");
    let ran = sandbox.push(&["--delete"]).exits(0).says(&["deleted 2", "Kept in the trash for 30d: 2 files"]);
    let run = only_run(&sandbox);
    assert_eq!(told_run(&ran), run);
    let back = format!("to put it back: mediasync trash restore {REMOTE} --run {run} --to ");
    assert!(ran.all().contains(&back), "{ran:?}");
    let kept = sandbox.bucket.get(&format!("{PREFIX}.mediasync/trash/{run}/a.jpg")).unwrap();
    assert_eq!(kept.acl, Acl::default(), "what is kept is private");
    sandbox.run(&["status"]).exits(0).says(&[&format!("--run {run}")]);
    sandbox.assert_second_run_does_nothing(&["--delete"]);
    // Later runs took nothing away: it is still there.
    sandbox.run(&["status"]).exits(0).says(&["in the trash: 2 files: ", &format!("--run {run}")]);

    let listed = sandbox.run(&["trash", "list", REMOTE]).exits(0);
    assert!(listed.stdout.contains(&run) && listed.stdout.contains("b/ü 1.jpg"), "{listed:?}");
    let lines = sandbox.run(&["trash", "list", REMOTE, "--run", &run, "--json"]).exits(0).json();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (&lines[0]["type"], &lines[0]["key"], &lines[0]["run"]),
        (&"trashed".into(), &"a.jpg".into(), &run.clone().into())
    );
    sandbox.run(&["history"]).exits(0).says(&[&format!("2 files in the trash of {run}")]);

    sandbox.run(&["trash", "restore", REMOTE, "--run", &run, "-n"]).exits(0).says(&["Would restore 2 files"]);
    let typo = sandbox.run(&["trash", "restore", REMOTE, "a.jpg", "b/", "nope.jpg", "-n"]).exits(3);
    typo.says(&["Would restore 2 files", "nothing called nope.jpg is in the trash"]).never_says("called a.jpg");
    assert_eq!(sandbox.trash().0.len(), 2);
    sandbox.run(&["trash", "restore", REMOTE, "--run", &run]).exits(0).says(&["Restored 2 files (2 B)."]);
    let after = sandbox.bucket.get(&format!("{PREFIX}a.jpg")).unwrap();
    assert_eq!((&after.attributes, &after.acl), (&before.attributes, &before.acl));
    assert_eq!((sandbox.content("a.jpg"), sandbox.content("b/ü 1.jpg")), ("a".into(), "b".into()));
    assert_eq!(sandbox.trash().0.len(), 0, "what is restored is in the trash no more");
    sandbox.run(&["status"]).never_says("in the trash");
    sandbox.run(&["trash", "restore", REMOTE, "--run", &run]).exits(1).says(&["nothing of that is in the trash"]);
}

/// The must of a backup: damage and losses that a mirror took over come back on both sides, with one command.
fn damage_and_losses_come_back(sandbox: &Sandbox, backup: &str) {
    let media = sandbox.path("media");
    let live = media.to_str().unwrap();
    let mtime = |n: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000 + n);
    for n in 0..300 {
        let name = format!("d{}/{n}.jpg", n % 7);
        sandbox.write(&name, bytes(n, 100 + usize::try_from(n).unwrap()));
        sandbox.set_mtime(&name, mtime(n));
    }
    sandbox.run(&["mirror", live, backup]).exits(0);
    let before = sandbox.local();
    for n in 0..100 {
        sandbox.write(&format!("d{}/{n}.jpg", n % 7), format!("damaged {n}"));
    }
    for n in 100..200 {
        sandbox.remove(&format!("d{}/{n}.jpg", n % 7));
    }
    sandbox.write("new.jpg", "made since");
    let ran = sandbox.run(&["mirror", live, backup, "--max-delete", "100"]).exits(0);
    ran.says(&["overwrote 100", "deleted 100", "Kept in the trash for 30d: 200 files"]);
    let ran = sandbox.run(&["history", "--json"]).exits(0).json();
    let run = ran[0]["summary"]["trash"]["run"].as_str().unwrap().to_owned();

    sandbox
        .run(&["trash", "restore", backup, "--run", &run, "--to", live])
        .exits(0)
        .says(&["Restored 200 files", "200 sent on"]);
    let mut after = sandbox.local();
    assert_eq!(after.remove("new.jpg").as_deref(), Some(&b"made since"[..]), "what is new stays");
    assert!(after == before, "all 200 are back as they were");
    for n in [0, 99, 100, 199] {
        assert_eq!(sandbox.mtime(&format!("d{}/{n}.jpg", n % 7)), mtime(n), "{n}");
    }
    // Both sides agree again: there is nothing left to do.
    sandbox.run(&["mirror", live, backup]).exits(0).says(&["Nothing changed."]);
}

#[test]
fn damage_that_a_mirror_took_over_into_a_bucket_comes_back_with_one_command() {
    let sandbox = Sandbox::new();
    damage_and_losses_come_back(&sandbox, REMOTE);
    let (local, mut remote) = (sandbox.local(), sandbox.remote());
    assert_eq!(local, remote);
    remote.clear();
    for (key, _) in local {
        let object = sandbox.bucket.get(&format!("{PREFIX}{key}")).unwrap();
        assert_eq!(object.attributes.content_type.as_deref(), Some("image/jpeg"), "{key}");
    }
}

#[test]
fn damage_that_a_mirror_took_over_into_a_directory_comes_back_with_one_command() {
    let sandbox = Sandbox::new();
    let backup = sandbox.path("backup");
    fs::create_dir(&backup).unwrap();
    damage_and_losses_come_back(&sandbox, backup.to_str().unwrap());
    assert_eq!(fs::metadata(backup.join(".mediasync")).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn damage_comes_back_from_the_versions_of_a_bucket_too() {
    let sandbox = Sandbox::new();
    sandbox.bucket.set_versioning(Versioning::Enabled);
    damage_and_losses_come_back(&sandbox, REMOTE);
    assert_eq!(sandbox.trash().0.len(), 0, "nothing is copied where versions are kept");
    assert_eq!(sandbox.local(), sandbox.remote());
    assert_eq!(
        sandbox
            .server
            .requests()
            .iter()
            .filter(|one| one.call.operation == "DeleteObject" && one.call.key.contains("versionId"))
            .count(),
        0
    );
}

#[test]
fn versions_of_a_bucket_are_listed_and_stay_when_the_trash_is_emptied() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c")]);
    sandbox.bucket.set_versioning(Versioning::Enabled);
    sandbox.push(&[]).exits(0);
    sandbox.remove("a.jpg");
    sandbox.server.clear_log();
    sandbox.push(&["--delete"]).exits(0).says(&["Kept in the trash for 30d: 1 file"]);
    assert_eq!(sandbox.server.count("CopyObject"), 0);
    let lines = sandbox.run(&["trash", "list", REMOTE, "--json"]).exits(0).json();
    assert_eq!((&lines[0]["key"], &lines[0]["kept_as"]), (&"a.jpg".into(), &"version".into()));
    let versions = sandbox.bucket.versions(&format!("{PREFIX}a.jpg")).len();
    sandbox.run(&["trash", "empty", REMOTE, "--yes"]).exits(0).says(&["Removed 1 file", "stay in its history"]);
    assert_eq!(sandbox.bucket.versions(&format!("{PREFIX}a.jpg")).len(), versions);
    sandbox.run(&["trash", "list", REMOTE]).exits(0).says(&["nothing is in the trash"]);
}

/// What was stored before versioning was switched on has no id of its own, and is copied.
#[test]
fn an_object_without_a_version_of_its_own_is_copied() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c")]);
    sandbox.put("extra.jpg", "extra");
    sandbox.bucket.set_versioning(Versioning::Enabled);
    sandbox.push(&[]).exits(0);
    sandbox.mirror(&["--max-delete", "5"]).exits(4);
    let halted = sandbox.mirror(&[]).exits(4);
    sandbox.run(&halted.way_out().iter().map(String::as_str).collect::<Vec<_>>()).exits(0);
    assert_eq!(sandbox.trash().0.into_keys().collect::<Vec<_>>(), ["extra.jpg"]);
}

#[test]
fn on_a_disk_times_permissions_and_the_file_itself_come_back() {
    let sandbox = Sandbox::with(&[("sub/a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c")]);
    let backup = sandbox.path("backup");
    fs::create_dir(&backup).unwrap();
    let (media, to) = (sandbox.path("media"), backup.to_str().unwrap().to_owned());
    let args = ["push", media.to_str().unwrap(), &to, "--delete"];
    sandbox.run(&args).exits(0);
    let at = backup.join("sub/a.jpg");
    fs::set_permissions(&at, fs::Permissions::from_mode(0o604)).unwrap();
    sandbox.run(&args).exits(0);
    let before = fs::metadata(&at).unwrap();
    sandbox.remove("sub/a.jpg");
    let run = told_run(&sandbox.run(&args).exits(0));
    let kept = backup.join(".mediasync/trash").join(&run).join("sub/a.jpg");
    assert_eq!(fs::metadata(&kept).unwrap().ino(), before.ino(), "linked, not copied");
    assert!(!backup.join("sub").exists(), "the empty directory went along");
    // A directory of ours is never taken for the user's: neither as a destination nor as a source.
    sandbox.run(&args).exits(0).says(&["Nothing changed."]);
    sandbox.run(&["push", &to, REMOTE]).exits(0);
    assert_eq!(sandbox.remote().into_keys().collect::<Vec<_>>(), ["b.jpg", "c.jpg"]);
    sandbox.run(&["trash", "restore", &to, "sub"]).exits(0).says(&["Restored 1 file"]);
    let after = fs::metadata(&at).unwrap();
    assert_eq!((after.ino(), after.mode(), after.mtime_nsec()), (before.ino(), before.mode(), before.mtime_nsec()));
    assert_eq!(after.nlink(), 1);
    sandbox.run(&["trash", "empty", &to, "--yes"]).exits(0);
    assert!(!backup.join(".mediasync").exists(), "nothing is left of an empty trash");
}

#[test]
fn what_somebody_else_changed_since_is_not_restored_over() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c"), ("d.jpg", "d")]);
    sandbox.mirror(&[]).exits(0);
    sandbox.write("a.jpg", "damaged");
    sandbox.remove("b.jpg");
    sandbox.mirror(&[]).exits(0);
    let run = only_run(&sandbox);
    sandbox.put("a.jpg", "somebody's");
    let ran = sandbox.run(&["trash", "restore", REMOTE, "--run", &run]).exits(3);
    ran.says(&["a.jpg: something else is at", "--overwrite replaces it", "Restored 1 file", "Problems: 1"]);
    assert_eq!((sandbox.content("a.jpg"), sandbox.content("b.jpg")), ("somebody's".into(), "b".into()));
    let lines = sandbox.run(&["trash", "restore", REMOTE, "--run", &run, "--overwrite", "--json"]).exits(0).json();
    assert_eq!(sandbox.content("a.jpg"), "a");
    let last = lines.last().unwrap();
    assert_eq!((&last["type"], &last["restored"]), (&"trash-summary".into(), &1.into()));
    // What was replaced is kept itself, under the name that the summary tells.
    let undo = last["run"].as_str().unwrap().to_owned();
    assert_eq!(sandbox.trash().0, [("a.jpg".to_owned(), "somebody's".into())].into());
    sandbox.run(&["trash", "restore", REMOTE, "--run", &undo]).exits(0);
    assert_eq!(sandbox.content("a.jpg"), "somebody's");
}

#[test]
fn a_crash_between_keeping_and_deleting_leaves_an_entry_that_is_already_there() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c")]);
    sandbox.push(&[]).exits(0);
    sandbox.remove("a.jpg");
    let gate = sandbox.server.hold(Moment::BeforeHandling, "DeleteObject", "*");
    let running = sandbox.start_push(&["--delete"]);
    gate.reached_blocking(1);
    running.kill();
    gate.release();
    let run = only_run(&sandbox);
    // The request may have been on its way: then the key is gone, as it should be.
    sandbox.put("a.jpg", "a");
    let ran = sandbox.run(&["trash", "restore", REMOTE, "--run", &run]).exits(0);
    ran.says(&["Restored 0 files", "1 already there"]);
    assert_eq!(sandbox.content("a.jpg"), "a");
}

#[test]
fn what_the_server_does_not_copy_is_not_deleted() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c")]);
    sandbox.push(&[]).exits(0);
    sandbox.remove("a.jpg");
    let fails = Rule::new("CopyObject", Effect::Status(403, "AccessDenied")).key("*trash*");
    sandbox.server.faults(|faults| faults.add(fails));
    sandbox.push(&["--delete"]).exits(3).says(&["can't be kept", "a.jpg", "--trash off"]);
    assert_eq!(sandbox.content("a.jpg"), "a");
    assert_eq!(
        sandbox.server.count("DeleteObject"),
        sandbox.requested("DeleteObject").iter().filter(|key| key.contains("probe")).count()
    );
}

#[test]
fn a_server_without_copies_needs_to_be_told_that_nothing_is_kept() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c")]);
    sandbox.server.quirks(|quirks: &mut Quirks| quirks.copies = Support::Missing);
    sandbox.push(&[]).exits(0);
    sandbox.remove("a.jpg");
    sandbox.push(&["--delete"]).exits(3).says(&["can't copy objects", "trash = \"off\""]);
    assert!(sandbox.remote().contains_key("a.jpg"));
    sandbox.push(&["--delete", "-n", "--trash", "off"]).exits(0).says(&["The trash is off"]);
    let ran = sandbox.push(&["--delete", "--trash", "off"]).exits(0);
    assert!(!ran.all().contains("trash restore"), "{ran:?}");
    assert_eq!((sandbox.remote().len(), sandbox.trash().0.len()), (2, 0));
}

#[test]
fn every_plan_says_what_becomes_of_what_goes() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c")]);
    sandbox.push(&[]).exits(0);
    sandbox.push(&["-n", "--delete"]).exits(0).never_says("trash");
    sandbox.remove("a.jpg");
    sandbox.push(&["-n", "--delete", "--trash", "12h"]).exits(0).says(&["is kept for 12h in .mediasync/trash/"]);
    let plan = sandbox.path("plan.json");
    let plan = plan.to_str().unwrap();
    sandbox.push(&["--delete", "--trash", "off", "--save-plan", plan]).exits(0).says(&["The trash is off"]);
    let summary = sandbox.push(&["-n", "--delete", "--json"]).exits(0).line("summary");
    assert_eq!((&summary["trash"]["keep"], &summary["trash"]["kept"]), (&"30d".into(), &0.into()));
    // The plan says it, and not the command that carries it out.
    sandbox.run(&["apply", plan]).exits(0).says(&["deleted 1"]);
    assert_eq!(sandbox.trash().0.len(), 0);
    sandbox.push(&["--trash", "0d"]).exits(2).says(&["write off for that"]);
    sandbox.push(&["--trash", "forever"]).exits(2).says(&["30d"]);
}

#[test]
fn the_trash_is_emptied_by_age_by_run_and_only_on_demand() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c"), ("d.jpg", "d")]);
    sandbox.push(&[]).exits(0);
    sandbox.remove("a.jpg");
    let first = told_run(&sandbox.push(&["--delete"]).exits(0));
    sandbox.remove("b.jpg");
    sandbox.push(&["--delete"]).exits(0);
    sandbox.run(&["trash", "empty", REMOTE]).exits(2).says(&["for good", "--yes"]);
    sandbox.run(&["trash", "empty", REMOTE, "-n"]).exits(0).says(&["Would remove 2 files"]);
    sandbox.run(&["trash", "empty", REMOTE, "--older-than", "1d", "--yes"]).exits(0).says(&["Removed 0 files"]);
    assert_eq!(sandbox.trash().0.len(), 2);
    sandbox.run(&["trash", "empty", REMOTE, "--run", &first, "--yes"]).exits(0).says(&["Removed 1 file "]);
    assert_eq!(sandbox.trash().0.into_keys().collect::<Vec<_>>(), ["b.jpg"]);
    let lines = sandbox.run(&["trash", "empty", REMOTE, "--yes", "--json"]).exits(0).json();
    assert_eq!((&lines[0]["outcome"], &lines[1]["removed"]), (&"removed".into(), &1.into()));
    assert_eq!(sandbox.own_keys(), ["id"]);
    assert_eq!(sandbox.remote().len(), 2);
}

#[test]
fn mistakes_are_told_with_the_way_out() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    sandbox.run(&["trash", "list"]).exits(2).says(&["trash list LOCATION"]);
    sandbox.run(&["trash", "restore", REMOTE]).exits(2);
    sandbox.run(&["trash", "restore", REMOTE, "--run", "yesterday"]).exits(2).says(&["no run is called like that"]);
    let unknown = ["trash", "empty", REMOTE, "--yes", "--run", "20261122T194503Z-3f2a91c4"];
    sandbox.run(&unknown).exits(1).says(&["nothing of the run 20261122T194503Z-3f2a91c4 is in the trash of"]);
    sandbox
        .run(&["trash", "empty", REMOTE])
        .exits(2)
        .says(&["for good, and there is no terminal to ask on", "add --yes"]);
    let missing = sandbox.path("missing");
    sandbox.run(&["trash", "list", missing.to_str().unwrap()]).exits(1).says(&["there is no directory"]);
    let media = sandbox.path("media");
    sandbox.run(&["trash", "list", media.to_str().unwrap()]).exits(0).says(&["nothing is in the trash"]);
    sandbox.run(&["trash", "restore", media.to_str().unwrap(), "a.jpg"]).exits(1).says(&["mediasync trash list"]);
    assert!(!media.join(".mediasync").exists(), "looking leaves nothing");
}

#[test]
fn jobs_say_how_long_and_read_only_places_stay_as_they_are() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c")]);
    let media = sandbox.path("media");
    let config = |trash: &str, access: &str| {
        let text = format!(
            "[remote.live]\ndsn = \"env:DEFAULT_STORAGE_DSN\"\naccess = \"{access}\"\n[[job]]\nname = \"media\"\nsource = \"{}\"\n\
             destination = \"live:\"\nmode = \"mirror\"\ntrash = \"{trash}\"\n",
            media.display()
        );
        fs::write(sandbox.path("work").join("mediasync.toml"), text).unwrap();
    };
    config("7d", "write");
    sandbox.run(&["sync"]).exits(0);
    for command in [&["trash", "list", "medai"][..], &["trash", "empty", "medai", "--yes"]] {
        let told = ["no job is called \"medai\"", "did you mean \"media\"?", "a directory is written ./medai"];
        sandbox.run(command).exits(2).says(&told);
    }
    sandbox.write("a.jpg", "newer");
    let run = told_run(&sandbox.run(&["sync"]).exits(0).says(&["trash restore media --run"]));
    let listed = sandbox.run(&["trash", "list", "--json"]).exits(0).json();
    assert_eq!((&listed[0]["job"], &listed[0]["run"]), (&"media".into(), &run.clone().into()));
    config("off", "write");
    sandbox.write("b.jpg", "newer");
    sandbox.run(&["sync"]).exits(0);
    assert_eq!(sandbox.trash().0.len(), 1);
    config("7d", "read-only");
    sandbox.run(&["trash", "restore", "media", "--run", &run]).exits(2).says(&["read-only"]);
    sandbox.run(&["trash", "empty", "media", "--yes"]).exits(2).says(&["read-only"]);
    config("7d", "confirm");
    sandbox.run(&["trash", "restore", "media", "--run", &run]).exits(2).says(&["--yes"]);
    assert_eq!(sandbox.content("a.jpg"), "newer");
    sandbox.run(&["trash", "restore", "media", "--run", &run, "--yes"]).exits(0);
    assert_eq!(sandbox.content("a.jpg"), "a");
    config("forever", "write");
    sandbox.run(&["sync"]).exits(2).says(&["job.media.trash", "30d"]);
}

/// What made room is put back when what was to take its place can't be made.
#[test]
fn a_file_that_made_room_comes_back_when_the_directory_can_not_be_filled() {
    let mut sandbox = Sandbox::with(&[("a", "a file"), ("b.jpg", "b"), ("c.jpg", "c")]);
    sandbox.as_nobody();
    let backup = sandbox.path("work").join("backup");
    fs::create_dir(&backup).unwrap();
    fs::set_permissions(&backup, fs::Permissions::from_mode(0o777)).unwrap();
    let media = sandbox.path("media");
    let args = ["mirror", media.to_str().unwrap(), backup.to_str().unwrap()];
    sandbox.run(&args).exits(0);
    sandbox.remove("a");
    sandbox.write("a/x", "below");
    let unreadable = |mode| fs::set_permissions(sandbox.media("a/x"), fs::Permissions::from_mode(mode)).unwrap();
    unreadable(0o000);
    sandbox.run(&args).exits(3).says(&["a: put back"]);
    assert_eq!(read(&backup.join("a")), "a file");
    unreadable(0o644);
    sandbox.run(&args).exits(0);
    assert_eq!(read(&backup.join("a/x")), "below");
    sandbox.run(&args).exits(0).says(&["Nothing changed."]);
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// A file with other names is copied: an edit through one of them must not change what is kept.
#[test]
fn a_file_with_several_names_is_kept_by_itself() {
    let sandbox = Sandbox::with(&[("old.jpg", "precious"), ("new.jpg", "precious")]);
    let backup = sandbox.path("backup");
    fs::create_dir(&backup).unwrap();
    let (media, to) = (sandbox.path("media"), backup.to_str().unwrap().to_owned());
    let args = ["mirror", media.to_str().unwrap(), &to];
    sandbox.run(&args).exits(0);
    fs::remove_file(backup.join("new.jpg")).unwrap();
    fs::hard_link(backup.join("old.jpg"), backup.join("new.jpg")).unwrap();
    sandbox.run(&args).exits(0);
    sandbox.remove("old.jpg");
    let run = told_run(&sandbox.run(&args).exits(0));
    fs::write(backup.join("new.jpg"), "an edit in place").unwrap();
    sandbox.run(&["trash", "restore", &to, "--run", &run]).exits(0);
    assert_eq!(fs::read(backup.join("old.jpg")).unwrap(), b"precious");
}
