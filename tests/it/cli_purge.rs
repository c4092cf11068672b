//! `purge-junk` through the program: what is junk and what is not, that looking changes nothing, and that what goes can be
//! put back.

use std::fs;

use crate::support::s3::{Effect, Faults, Moment, Rule, Versioning};
use crate::support::sandbox::{REMOTE, Ran, Sandbox};

/// AppleDouble data begins so.
const APPLE_DOUBLE: &[u8] = &[0, 5, 0x16, 7, 0, 2, 0, 0];

/// Content, junk, and what is only called like it.
fn littered() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in [
        "a.jpg",
        ".DS_Store",
        "b/Thumbs.db",
        "b/desktop.ini",
        "MANIFEST",
        "b/MANIFEST",
        "b/.htaccess",
        "@eaDir/photo.jpg",
        "@eaDir/.DS_Store",
        "movie.swf",
        "._text.jpg",
        "__MACOSX/b/._c.jpg",
        "#hashtag#",
        "film.part",
        "lost+found/found.jpg",
        "lost+found/more.part",
    ] {
        sandbox.put(name, format!("of {name}"));
    }
    sandbox.put("b/._c.jpg", APPLE_DOUBLE);
    sandbox
}

/// What goes without a question: nobody but a system makes it.
const JUNK: [&str; 7] = [
    ".DS_Store",
    "@eaDir/.DS_Store",
    "@eaDir/photo.jpg",
    "__MACOSX/b/._c.jpg",
    "b/._c.jpg",
    "b/Thumbs.db",
    "b/desktop.ini",
];

/// What may be somebody's content.
const DOUBTFUL: [&str; 5] = ["#hashtag#", "MANIFEST", "film.part", "lost+found/found.jpg", "lost+found/more.part"];

/// The keys of a list for people whose lines begin with a word.
fn named<'a>(ran: &'a Ran, word: &str) -> Vec<&'a str> {
    let lines = ran.stdout.lines().filter(|line| line.starts_with(word));
    let mut keys: Vec<&str> = lines.map(|line| line[21..].split("  ").next().unwrap()).collect();
    keys.sort_unstable();
    keys
}

fn without(sandbox: &Sandbox, junk: &[&str]) -> Vec<String> {
    sandbox.remote().into_keys().filter(|key| !junk.contains(&key.as_str())).collect()
}

#[test]
fn looking_lists_exactly_the_junk_and_changes_nothing() {
    let sandbox = littered();
    let before = sandbox.remote();
    let ran = sandbox.run(&["purge-junk", REMOTE]).exits(0);
    assert_eq!((named(&ran, "junk "), named(&ran, "left ")), (JUNK.to_vec(), DOUBTFUL.to_vec()), "{ran:?}");
    ran.says(&["7 files of junk", " of 17 files; may be content and left alone 5.", "--yes moves it to the trash"])
        .says(&["mediasync purge-junk env:DEFAULT_STORAGE_DSN --only '*.part' --only '#*#' --only /MANIFEST ... --yes"])
        .says(&["(lost+found/)"]);
    assert!(sandbox.server.changing_requests().is_empty() && sandbox.remote() == before);
    assert!(sandbox.files("state").is_empty());
    let ran = sandbox.run(&["purge-junk", REMOTE, "--json"]).exits(0);
    let line = |key: &str| ran.json().into_iter().find(|line| line["key"] == key).unwrap();
    let double = line("b/._c.jpg");
    assert_eq!(
        (&double["type"], &double["by"], &double["outcome"], &double["row"], &double["may_be_content"]),
        (&"junk".into(), &"apple-double".into(), &"junk".into(), &"._*".into(), &false.into())
    );
    let part = line("film.part");
    assert_eq!(
        (&part["by"], &part["outcome"], &part["row"], &part["may_be_content"]),
        (&"name".into(), &"left".into(), &"*.part".into(), &true.into())
    );
    let sums = ran.line("junk-summary");
    assert_eq!((&sums["files"], &sums["found"], &sums["removed"]), (&17.into(), &12.into(), &0.into()));
    assert_eq!((&sums["left"], &sums["left_by_row"]["*.part"]), (&5.into(), &2.into()), "{sums}");
    assert!(double.get("public").is_none() && sandbox.requested("GetObjectAcl").is_empty());
    let media = sandbox.path("media");
    sandbox.run(&["purge-junk", media.to_str().unwrap()]).exits(2).says(&["purge-junk is for remotes"]);
}

#[test]
fn junk_goes_to_the_trash_and_comes_back_and_nothing_else_is_touched() {
    let sandbox = littered();
    let before = sandbox.remote();
    let stay = without(&sandbox, &JUNK);
    let ran = sandbox.run(&["purge-junk", REMOTE, "--yes"]).exits(0).says(&["removed 7", "to put it back: "]);
    assert_eq!(named(&ran, "removed "), JUNK);
    assert_eq!(sandbox.remote().into_keys().collect::<Vec<_>>(), stay);
    assert_eq!(sandbox.trash().0.len(), 7);
    sandbox.run(&["purge-junk", REMOTE, "--yes"]).exits(0).never_says("removed");
    sandbox.paste(&ran, "mediasync trash restore").exits(0).says(&["Restored 7 files"]);
    assert_eq!(sandbox.remote(), before);
    // Typed with its secret, a place is not named with it.
    let dsn = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint()));
    sandbox.run(&["purge-junk", &dsn, "--yes"]).exits(0).never_says("secret%2Bkey").says(&["removed 7"]);
    assert_eq!(sandbox.remote().len(), before.len() - 7);
}

#[test]
fn what_may_be_content_goes_only_by_the_name_of_its_row() {
    let sandbox = littered();
    let gone = |before: &[String]| -> Vec<String> {
        let now = sandbox.remote();
        before.iter().filter(|key| !now.contains_key(*key)).cloned().collect()
    };
    let before = without(&sandbox, &[]);
    sandbox.run(&["purge-junk", REMOTE, "--only", "*.part"]).exits(0).says(&["2 files of junk", "nothing was changed"]);
    assert!(sandbox.server.changing_requests().is_empty());
    let ran = sandbox.run(&["purge-junk", REMOTE, "--only", "*.part", "--only", "/MANIFEST", "--yes"]).exits(0);
    assert_eq!(gone(&before), ["MANIFEST", "film.part", "lost+found/more.part"], "{ran:?}");
    let before = without(&sandbox, &[]);
    sandbox.run(&["purge-junk", REMOTE, "--only", "lost+found/", "--yes"]).exits(0).says(&["removed 1"]);
    assert_eq!(gone(&before), ["lost+found/found.jpg"]);
    // A row is one of the list, and no pattern.
    for wrong in ["*", "*.jpg", "lost+found", "b/"] {
        sandbox.run(&["purge-junk", REMOTE, "--only", wrong, "--yes"]).exits(2);
    }
    assert_eq!(sandbox.content("#hashtag#"), "of #hashtag#");
}

#[test]
fn a_long_list_says_when_and_who_reads_it() {
    let sandbox = littered();
    sandbox.run(&["acl", "set", "public-read", &format!("{REMOTE}/.DS_Store")]).exits(0);
    sandbox.server.clear_log();
    let ran = sandbox.run(&["purge-junk", "-l", REMOTE]).exits(0);
    let line = |name: &str| ran.stdout.lines().find(|line| line.ends_with(name)).unwrap();
    assert!(line("  .DS_Store").contains("  public   "), "{ran:?}");
    assert!(line("  b/Thumbs.db").contains("  private  ") && line("  b/Thumbs.db").contains(':'), "{ran:?}");
    let ran = sandbox.run(&["purge-junk", "-l", "--json", REMOTE]).exits(0);
    let of = |key: &str| ran.json().into_iter().find(|line| line["key"] == key).unwrap()["public"].clone();
    assert_eq!((of(".DS_Store"), of("film.part")), (true.into(), false.into()));
    let denied = Rule::new("GetObjectAcl", Effect::Status(403, "AccessDenied"));
    sandbox.server.faults(|faults| faults.add(denied));
    let ran = sandbox.run(&["purge-junk", "-l", "--json", REMOTE]).exits(0);
    assert!(ran.line("junk")["public"].is_null(), "{ran:?}");
    assert!(sandbox.server.changing_requests().is_empty());
}

#[test]
fn a_place_where_nothing_is_is_not_called_clean() {
    let sandbox = littered();
    let typo = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint())).replace("/site?", "/siet?");
    let ran = sandbox.run(&["purge-junk", &typo]).exits(1);
    ran.says(&["nothing is at s3://media/siet", "mediasync ls"]).never_says("no junk");
    let ran = sandbox.run(&["purge-junk", &typo, "--yes", "--json"]).exits(1);
    assert!(ran.json().iter().all(|line| line["type"] != "junk-summary"), "{ran:?}");
    assert!(sandbox.server.changing_requests().is_empty());
    // What belongs to us shows that a place is meant, and an empty bucket is no mistake.
    let sandbox = Sandbox::new();
    sandbox.put(".mediasync/trash/20261122T194503Z-3f2a91c4/a.jpg", "x");
    sandbox.run(&["purge-junk", REMOTE]).exits(0).says(&["no junk of 0 files"]);
    // A listing that breaks off removes nothing.
    let sandbox = littered();
    for n in 0..1_500 {
        sandbox.put(&format!("z/{n:04}.jpg"), "x");
    }
    let broken = Rule::new("ListObjectsV2", Effect::Status(403, "AccessDenied")).skip(3);
    sandbox.server.faults(|faults| faults.add(broken));
    let ran = sandbox.run(&["purge-junk", REMOTE, "--yes"]).exits(1);
    assert!(sandbox.remote().contains_key(".DS_Store"), "{ran:?}");
    sandbox.server.faults(|faults| assert!(faults.fired() > 0));
}

#[test]
fn what_was_replaced_since_or_can_not_be_kept_stays() {
    let sandbox = Sandbox::new();
    sandbox.put(".DS_Store", "old");
    sandbox.put("b/Thumbs.db", "junk");
    // Between the listing and the copy into the trash somebody stores something else.
    let gate = sandbox.server.hold(Moment::BeforeHandling, "HeadObject", "*.DS_Store");
    let run = sandbox.start(&["purge-junk", REMOTE, "--yes", "--only", ".DS_Store"]);
    gate.reached_blocking(1);
    sandbox.put(".DS_Store", "mid");
    gate.release();
    run.wait().exits(3).says(&["was changed by somebody else"]);
    assert_eq!(sandbox.content(".DS_Store"), "mid");
    // Between the copy into the trash and the deletion somebody stores something else.
    let gate = sandbox.server.hold(Moment::BeforeAnswer, "CopyObject", "*.DS_Store");
    let run = sandbox.start(&["purge-junk", REMOTE, "--yes"]);
    gate.reached_blocking(1);
    sandbox.put(".DS_Store", "new");
    gate.release();
    run.wait().exits(3);
    assert_eq!(sandbox.content(".DS_Store"), "new");

    let denied = Rule::new("CopyObject", Effect::Status(403, "AccessDenied"));
    sandbox.put("b/Thumbs.db", "junk");
    sandbox.server.faults(|faults| faults.add(denied));
    sandbox.run(&["purge-junk", REMOTE, "--yes"]).exits(3);
    sandbox.server.faults(Faults::clear);
    assert!(sandbox.remote().contains_key("b/Thumbs.db"), "nothing goes that is not kept");
}

#[test]
fn access_is_respected_and_a_bucket_with_versions_keeps_them() {
    let sandbox = littered();
    let remote = |access: &str| {
        let text = format!("[remote.live]\ndsn = \"{REMOTE}\"\naccess = \"{access}\"\n");
        fs::write(sandbox.path("work/mediasync.toml"), text).unwrap();
    };
    remote("read-only");
    sandbox.run(&["purge-junk", "live:"]).exits(0).says(&["7 files of junk"]);
    sandbox.run(&["purge-junk", "live:", "--yes"]).exits(2).says(&["is read-only"]);
    assert!(sandbox.server.changing_requests().is_empty());
    remote("confirm");
    sandbox.bucket.set_versioning(Versioning::Enabled);
    sandbox.run(&["purge-junk", "live:", "--yes"]).exits(0).says(&["removed 7"]);
    assert!(sandbox.remote().contains_key("a.jpg") && !sandbox.remote().contains_key(".DS_Store"));
}

#[test]
fn an_end_before_its_time_says_how_to_put_back_what_is_gone() {
    let sandbox = littered();
    let before = sandbox.remote();
    // The deletion of one stops while the others go on.
    let gate = sandbox.server.hold(Moment::BeforeHandling, "CopyObject", "*desktop.ini");
    let run = sandbox.start(&["purge-junk", REMOTE, "--yes"]);
    gate.reached_blocking(1);
    let pid = rustix::process::Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
    let waited = std::time::Instant::now();
    while sandbox.remote().len() > before.len() - 6 && waited.elapsed().as_secs() < 20 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ran = run.wait().exits(130).says(&["removed ", " before that; to put it back: "]);
    gate.release();
    assert!(sandbox.remote().contains_key("b/desktop.ini") && sandbox.remote().len() < before.len(), "{ran:?}");
    sandbox.paste(&ran, "mediasync trash restore").exits(0);
    assert_eq!(sandbox.remote(), before);
}
