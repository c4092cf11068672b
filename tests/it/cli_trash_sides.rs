//! The trash of two-way jobs: which side is meant, what is told, and that printed commands do what they say. And what
//! `resolve` tells.

use std::fs;

use crate::support::sandbox::{PREFIX, REMOTE, Ran, Sandbox};

/// A two-way job called "both", in sync.
fn two_way(files: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::with(files);
    job(&sandbox, "two-way");
    sandbox.run(&["sync"]).exits(0);
    sandbox
}

fn job(sandbox: &Sandbox, mode: &str) {
    let media = sandbox.path("media");
    let text = format!(
        "[remote.live]\ndsn = \"{REMOTE}\"\n[[job]]\nname = \"both\"\nsource = {media:?}\ndestination = \"live:\"\n\
         mode = \"{mode}\"\n"
    );
    fs::write(sandbox.path("work/mediasync.toml"), text).unwrap();
}

/// The command in the line that says `after`, as a shell would split it.
fn pasted(ran: &Ran, after: &str) -> Vec<String> {
    let text = ran.all();
    let line = text.lines().find(|line| line.contains(after)).unwrap_or_else(|| panic!("no {after}: {ran:?}"));
    let command = line.split("mediasync ").nth(1).unwrap();
    // The sandbox gives this to every command.
    let command = command.split(" --state-dir").next().unwrap();
    command.split_whitespace().map(|word| word.trim_matches('\'').to_owned()).collect()
}

fn paste(sandbox: &Sandbox, words: &[String]) -> Ran {
    sandbox.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Something at each side replaces one file and deletes another one.
fn damaged_at_both() -> (Sandbox, Ran) {
    let sandbox = two_way(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c"), ("d.jpg", "d"), ("e.jpg", "e")]);
    sandbox.write("a.jpg", "damaged here");
    sandbox.remove("b.jpg");
    sandbox.put("c.jpg", "damaged there");
    assert!(sandbox.bucket.remove(&format!("{PREFIX}d.jpg")));
    let ran = sandbox.run(&["sync"]).exits(0);
    (sandbox, ran)
}

#[test]
fn the_printed_restore_of_a_two_way_run_puts_back_what_it_took_at_either_side() {
    let (sandbox, ran) = damaged_at_both();
    let ran = ran.says(&["Kept in the trash for 30d: 4 files, 2 of them at the source"]);
    let history = sandbox.run(&["history", "both"]).exits(0);
    assert!(history.stdout.contains("4 files in the trash of") && history.stdout.contains(", 2 at the source"));
    assert!(history.stdout.contains(" <-> s3://"), "{history:?}");
    let summary = sandbox.run(&["history", "both", "--json"]).exits(0).json();
    assert_eq!(summary[0]["summary"]["trash"]["kept_at_source"], 2);

    let back = paste(&sandbox, &pasted(&ran, "to put it back:")).exits(0);
    let back = back.says(&["(source): Restored 2 files", "(destination): Restored 2 files"]);
    assert_eq!((&sandbox.local()["c.jpg"][..], &sandbox.local()["d.jpg"][..]), (&b"c"[..], &b"d"[..]));
    assert_eq!((sandbox.content("a.jpg"), sandbox.content("b.jpg")), ("a".into(), "b".into()));
    // What it replaced is kept itself, at each side, and the command that is named undoes it.
    let undo = back.all().lines().filter(|line| line.contains("to undo it")).count();
    assert_eq!(undo, 2, "{back:?}");
    // The next run spreads what was put back.
    sandbox.run(&["sync"]).exits(0);
    let all: Vec<&[u8]> = vec![b"a", b"b", b"c", b"d", b"e"];
    assert_eq!(sandbox.local().into_values().map(|content| content.to_vec()).collect::<Vec<_>>(), all);
    assert_eq!(sandbox.local(), sandbox.remote());
}

#[test]
fn both_sides_are_listed_with_their_names_and_one_can_be_meant() {
    let (sandbox, _) = damaged_at_both();
    let listed = sandbox.run(&["trash", "list", "both"]).exits(0);
    for (side, key) in [("destination", "a.jpg"), ("destination", "b.jpg"), ("source", "c.jpg"), ("source", "d.jpg")] {
        let line = listed.stdout.lines().find(|line| line.ends_with(key)).unwrap();
        assert!(line.contains(&format!("  {side} ")), "{line}");
    }
    listed.says(&["(source): 2 files in the trash", "(destination): 2 files in the trash"]);
    let lines = sandbox.run(&["trash", "list", "both", "--side", "source", "--json"]).exits(0).json();
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line["side"] == "source"), "{lines:?}");
    assert_eq!(sandbox.run(&["trash", "list", "--json"]).exits(0).json().len(), 4);

    sandbox.run(&["trash", "restore", "both", "c.jpg", "--side", "destination"]).exits(1).says(&["nothing of that"]);
    let back = sandbox.run(&["trash", "restore", "both", "c.jpg", "--side", "source"]).exits(0);
    assert_eq!(&sandbox.local()["c.jpg"][..], b"c");
    paste(&sandbox, &pasted(&back, "to undo it")).exits(0);
    assert_eq!(&sandbox.local()["c.jpg"][..], b"damaged there");

    sandbox.run(&["trash", "empty", "both"]).exits(2).says(&["s3://", " and of "]);
    sandbox.run(&["trash", "empty", "both", "--yes", "--side", "destination"]).exits(0);
    assert_eq!((sandbox.trash().0.len(), sandbox.files("media/.mediasync/trash").is_empty()), (0, false));
    sandbox.run(&["trash", "empty", "both", "--yes"]).exits(0).says(&["(source): Removed", "(destination): Removed 0"]);
    assert!(!sandbox.media(".mediasync/trash").exists());
}

#[test]
fn mistakes_with_sides_are_told() {
    let (sandbox, _) = damaged_at_both();
    sandbox.run(&["trash", "restore", "both"]).exits(2).says(&["--run RUN", "trash list"]);
    sandbox.run(&["trash", "restore", REMOTE]).exits(2).says(&["--run RUN"]);
    sandbox.run(&["trash", "list", REMOTE, "--side", "source"]).exits(2).says(&["--side goes with the name of a job"]);
    let media = sandbox.path("media");
    let to = ["trash", "restore", "both", "a.jpg", "--to", media.to_str().unwrap()];
    sandbox.run(&to).exits(2).says(&["--to sends from one place", "--side source"]);
    let from_there = [&to[..], &["--side", "destination", "--overwrite"]].concat();
    sandbox.run(&from_there).exits(0);
    assert_eq!((sandbox.content("a.jpg"), &sandbox.local()["a.jpg"][..]), ("a".into(), &b"a"[..]));
}

#[test]
fn resolve_says_where_the_loser_is_kept_and_status_forgets_the_conflict() {
    for (mode, take, lost) in [
        ("two-way", "source", "there, changed"),
        ("two-way", "destination", "here"),
        ("copy", "source", "there, changed"),
        ("copy", "destination", "here"),
    ] {
        let sandbox = Sandbox::with(&[("a.jpg", "first"), ("b.jpg", "b")]);
        job(&sandbox, mode);
        sandbox.run(&["sync"]).exits(0);
        for name in ["a.jpg", "b.jpg"] {
            sandbox.put(name, "there, changed");
            sandbox.write(name, "here");
        }
        sandbox.run(&["sync"]).exits(3);
        sandbox.run(&["status"]).exits(3).says(&["2 conflicts"]);
        let ran = sandbox.run(&["resolve", "both", "a.jpg", "--take", take]).exits(0);
        let ran = ran.says(&["a.jpg is settled", "Kept in the trash for 30d: 1 file"]);
        sandbox.run(&["status"]).exits(3).says(&["1 conflict"]);
        sandbox.run(&["resolve", "both", "b.jpg", "--take", take]).exits(0);
        sandbox.run(&["status"]).exits(0).says(&["in sync"]);
        // The line that is printed finds it again, at its side.
        paste(&sandbox, &pasted(&ran, "to put it back:")).exits(0);
        let back = if take == "source" { sandbox.content("a.jpg") } else { sandbox.local()["a.jpg"].clone() };
        assert_eq!(back, lost.as_bytes(), "{mode} {take}");
    }
}

#[test]
fn a_path_instead_of_a_name_is_told_before_anything_is_asked() {
    let sandbox = two_way(&[("sub/a b.jpg", "a")]);
    let path = sandbox.media("sub/a b.jpg");
    let ran = sandbox.run(&["resolve", "both", path.to_str().unwrap(), "--take", "source"]).exits(2);
    ran.says(&["is a path, and the file is wanted as the conflict named it", "write 'sub/a b.jpg'"]);
    sandbox.run(&["resolve", "both", "/elsewhere/a.jpg", "--take", "source"]).exits(2).says(&["photos/cat.jpg"]);
}

#[test]
fn printed_commands_can_be_pasted_whatever_names_files_and_paths_have() {
    let sandbox = two_way(&[("a.jpg", "a"), ("-it's \"$HOME\" `x`.jpg", "a")]);
    let odd = "-it's \"$HOME\" `x`.jpg";
    let config = "-it's my $HOME.toml";
    fs::rename(sandbox.path("work/mediasync.toml"), sandbox.path("work").join(config)).unwrap();
    let config = format!("--config={config}");
    sandbox.write(odd, "here");
    sandbox.put(odd, "there");
    let ran = sandbox.run(&["sync", &config]).exits(3);
    let ran = sandbox.paste(&ran, "mediasync resolve both").exits(0).says(&["is settled"]);
    assert_eq!(sandbox.content(odd), "here");
    sandbox.paste(&ran, "to put it back:").exits(0).says(&["Restored 1 file"]);
    assert_eq!(sandbox.content(odd), "there");

    let plan = "-my plan's.json";
    sandbox.write("b.jpg", "b");
    let ran = sandbox.run(&["sync", &config, &format!("--save-plan={plan}")]).exits(0);
    let line = ran.all();
    assert!(line.contains("mediasync apply './-my plan'\\''s.json' --config './-it'"), "{line}");
}

/// What `status` prints after a mirror that went the other way than the others was approved.
fn restored_by_status_after_a_turn(sandbox: &Sandbox, mirror: &[&str]) {
    let ran = sandbox.run(mirror).exits(4);
    sandbox.paste(&ran, "mediasync approve").exits(0);
    let status = sandbox.run(&["status"]).exits(0);
    sandbox.paste(&status, "in the trash:").exits(0).says(&["Restored 1 file"]);
}

#[test]
fn the_restore_that_status_prints_names_the_side_where_the_run_kept_it() {
    let sandbox = Sandbox::with(&[("a.jpg", "first"), ("b.jpg", "b")]);
    job(&sandbox, "mirror");
    sandbox.run(&["sync"]).exits(0);
    sandbox.write("a.jpg", "edited");
    restored_by_status_after_a_turn(&sandbox, &["mirror", "live:", &media_of(&sandbox)]);
    assert_eq!(sandbox.local()["a.jpg"], "edited");

    // Without a job, and back again: the last command is not what the trash was filled by.
    let sandbox = Sandbox::with(&[("a.jpg", "first"), ("b.jpg", "b")]);
    sandbox.mirror(&[]).exits(0);
    sandbox.write("a.jpg", "edited");
    restored_by_status_after_a_turn(&sandbox, &["mirror", REMOTE, &media_of(&sandbox)]);
    assert_eq!(sandbox.local()["a.jpg"], "edited");
    sandbox.mirror(&[]).exits(0);
    let status = sandbox.run(&["status"]).exits(0);
    sandbox.paste(&status, "in the trash:").exits(0);
    assert_eq!(sandbox.content("a.jpg"), "first");
}

fn media_of(sandbox: &Sandbox) -> String {
    sandbox.path("media").to_str().unwrap().to_owned()
}

#[test]
fn a_state_of_an_older_version_is_named_with_the_way_out_and_hides_no_other() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    sandbox.push(&[]).exits(0);
    let (other, manifest) = (sandbox.path("other"), sandbox.manifest());
    let mut bytes = fs::read(&manifest).unwrap();
    // The format that SQLite's header says.
    bytes[60..64].copy_from_slice(&1_u32.to_be_bytes());
    fs::write(&manifest, bytes).unwrap();
    sandbox.run(&["mirror", &media_of(&sandbox), other.to_str().unwrap()]).exits(0);
    for command in ["history", "status"] {
        let ran = sandbox.run(&[command]).exits(1).says(&["-> s3://media/site: ", "was written by an older mediasync"]);
        assert!(ran.stdout.contains(other.to_str().unwrap()), "the other pair: {ran:?}");
        if command == "status" {
            sandbox.paste(&ran, "mediasync forget");
            sandbox.run(&[command]).exits(0);
        }
    }
}
