//! The printed way back of a mirror: what comes back at the copy alone is gone again with its next run. And that of a push
//! from a directory, where the file was deleted by mistake.

use std::fs;

use crate::support::sandbox::{Ran, Sandbox};

/// A mirror of the directory into the bucket, that ran once.
fn mirrored() -> Sandbox {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c"), ("d.jpg", "d")]);
    let (media, bucket) = (sandbox.path("media"), "live:");
    job(&sandbox, media.to_str().unwrap(), bucket, "write");
    sandbox.run(&["sync"]).exits(0);
    sandbox
}

fn job(sandbox: &Sandbox, source: &str, destination: &str, access: &str) {
    let text = format!(
        "[remote.live]\ndsn = \"env:DEFAULT_STORAGE_DSN\"\naccess = \"{access}\"\n[[job]]\nname = \"backup\"\n\
         source = {source:?}\ndestination = {destination:?}\nmode = \"mirror\"\n"
    );
    fs::write(sandbox.path("work/mediasync.toml"), text).unwrap();
}

fn damage(sandbox: &Sandbox) {
    sandbox.write("a.jpg", "damaged");
    sandbox.remove("b.jpg");
}

/// All is as it was at both sides, and stays so.
fn assert_back(sandbox: &Sandbox) {
    sandbox.assert_equal();
    assert_eq!((&sandbox.local()["a.jpg"], &sandbox.local()["b.jpg"]), (&"a".into(), &"b".into()));
    sandbox.run(&["sync"]).exits(0).says(&["Nothing changed."]);
}

fn told(ran: &Ran, begin: &str) -> String {
    let text = ran.all();
    let line = text.lines().find(|line| line.trim_start().starts_with(begin));
    line.unwrap_or_else(|| panic!("no {begin}: {ran:?}")).to_owned()
}

#[test]
fn the_printed_restore_of_a_mirror_brings_it_back_at_its_source_too() {
    for after in ["to put it back:", "in the trash:"] {
        let sandbox = mirrored();
        damage(&sandbox);
        let ran = sandbox.run(&["sync"]).exits(0).never_says("note:");
        let ran = if after == "in the trash:" { sandbox.run(&["status"]).exits(0) } else { ran };
        sandbox.paste(&ran, after).exits(0).says(&["Restored 2 files", "2 sent on"]).never_says("note:");
        assert_back(&sandbox);
    }
}

#[test]
fn so_does_that_of_a_mirror_without_a_job_and_of_one_from_a_bucket() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c"), ("d.jpg", "d")]);
    sandbox.mirror(&[]).exits(0);
    damage(&sandbox);
    let ran = sandbox.mirror(&[]).exits(0);
    sandbox.paste(&ran, "to put it back:").exits(0).says(&["Restored 2 files", "2 sent on"]);
    sandbox.assert_equal();
    assert_eq!(sandbox.local()["a.jpg"], "a");
    sandbox.mirror(&[]).exits(0).says(&["Nothing changed."]);

    let sandbox = Sandbox::new();
    for name in ["a.jpg", "b.jpg", "c.jpg", "d.jpg"] {
        sandbox.put(name, name[..1].to_owned());
    }
    job(&sandbox, "live:", sandbox.path("media").to_str().unwrap(), "write");
    sandbox.run(&["sync"]).exits(0);
    sandbox.put("a.jpg", "damaged");
    assert!(sandbox.bucket.remove(&format!("{}b.jpg", crate::support::sandbox::PREFIX)));
    let ran = sandbox.run(&["sync"]).exits(0);
    assert!(told(&ran, "to put it back:").contains(" --to live:"), "{ran:?}");
    sandbox.paste(&ran, "to put it back:").exits(0);
    assert_back(&sandbox);
}

/// What was deleted in the directory by mistake is back there, too, and nobody has anything to do after it.
#[test]
fn the_printed_restore_of_a_push_brings_it_back_in_the_directory_too() {
    for after in ["to put it back:", "in the trash:"] {
        let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c"), ("d.jpg", "d")]);
        sandbox.push(&["--delete"]).exits(0);
        let ran = deleted_and_back(&sandbox, after, |sandbox| sandbox.push(&["--delete"]));
        ran.says(&["Nothing changed."]);

        let sandbox = mirrored();
        let file = sandbox.path("work/mediasync.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("\"mirror\"", "\"copy\"\ndelete = true")).unwrap();
        let ran = deleted_and_back(&sandbox, after, |sandbox| sandbox.run(&["sync"]));
        ran.says(&["Nothing changed."]);
    }
}

/// Deletes a file, pastes the printed way back, and gives the run after that.
fn deleted_and_back(sandbox: &Sandbox, after: &str, run: impl Fn(&Sandbox) -> Ran) -> Ran {
    sandbox.remove("b.jpg");
    let ran = run(sandbox).exits(0).says(&["deleted 1"]).never_says("stays as it is");
    let ran = if after == "in the trash:" { sandbox.run(&["status"]).exits(0) } else { ran };
    sandbox.paste(&ran, after).exits(0).says(&["Restored 1 file", "1 sent on"]).never_says("note:");
    assert_eq!((&sandbox.local()["b.jpg"], sandbox.content("b.jpg")), (&"b".into(), "b".into()));
    let next = run(sandbox).exits(0);
    sandbox.assert_equal();
    assert_eq!(sandbox.local().len(), 4);
    next
}

/// It may be a public place, and nobody meant these files for it.
#[test]
fn what_the_source_of_a_mirror_never_had_is_not_sent_there_by_itself() {
    let sandbox = mirrored();
    sandbox.put("private.txt", "private");
    damage(&sandbox);
    let ran = sandbox.run(&["sync"]).exits(4);
    let ran = sandbox.paste(&ran, "mediasync approve").exits(0);
    let status = sandbox.run(&["status"]).exits(0);
    let runs = sandbox.run(&["history", "backup", "--json"]).exits(0).json();
    assert_eq!(
        (&runs[0]["summary"]["trash"]["kept"], &runs[0]["summary"]["trash"]["kept_unshared"]),
        (&3.into(), &1.into())
    );
    for (ran, way) in [(&ran, "to put it back:"), (&status, "in the trash:")] {
        assert!(!told(ran, way).contains("--to"), "{ran:?}");
        let note = told(ran, "note:");
        assert!(
            note.contains("the next run undoes that") && note.contains("with 1 file that it is not known"),
            "{note}"
        );
        assert!(note.contains(&format!("--to {} puts it there too", sandbox.path("media").display())), "{note}");
    }
    let back = sandbox.paste(&ran, "to put it back:").exits(0).says(&["Restored 3 files"]);
    let note = told(&back, "note:");
    assert!(note.contains("the next run of backup undoes this") && note.contains("--no-delete --only FILE"), "{note}");
    assert_eq!((sandbox.content("a.jpg"), sandbox.content("private.txt")), ("a".into(), "private".into()));
    assert_eq!(sandbox.local()["a.jpg"], "damaged");
    // As it says.
    sandbox.run(&["sync"]).exits(0).says(&["deleted 2"]);
    sandbox.assert_equal();
}

#[test]
fn a_source_that_may_not_be_changed_is_not_named_in_the_way_back() {
    let sandbox = Sandbox::new();
    for name in ["a.jpg", "b.jpg", "c.jpg", "d.jpg"] {
        sandbox.put(name, name[..1].to_owned());
    }
    job(&sandbox, "live:", sandbox.path("media").to_str().unwrap(), "read-only");
    sandbox.run(&["sync"]).exits(0);
    sandbox.put("a.jpg", "damaged");
    let ran = sandbox.run(&["sync"]).exits(0);
    let status = sandbox.run(&["status"]).exits(0);
    for (ran, way) in [(&ran, "to put it back:"), (&status, "in the trash:")] {
        assert!(!told(ran, way).contains("--to") && told(ran, "note:").contains("it is read-only"), "{ran:?}");
    }
    sandbox.paste(&ran, "to put it back:").exits(0).says(&["Restored 1 file", "it is read-only"]);
    assert_eq!(sandbox.local()["a.jpg"], "a");
}
