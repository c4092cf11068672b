//! Header rules of a job, with the real program: what is sent has what they say, and what is there gets it without its
//! content being sent.

use std::fs;

use crate::support::s3::{Acl, Acls, Attributes, Effect, Faults, ObjectSpec, Rule, StoredObject};
use crate::support::sandbox::{PREFIX, REMOTE, Ran, Sandbox, bytes};

const MIB: usize = 1024 * 1024;

/// A job with these rules below it.
pub(crate) fn rules(sandbox: &Sandbox, rules: &str) {
    job(sandbox, "copy", rules);
}

pub(crate) fn job(sandbox: &Sandbox, mode: &str, rules: &str) {
    let media = sandbox.path("media");
    let text = format!(
        "[remote.live]\ndsn = \"{REMOTE}\"\n[[job]]\nname = \"media\"\nsource = {media:?}\ndestination = \"live:\"\n\
         mode = \"{mode}\"\n{rules}\n"
    );
    fs::write(sandbox.path("work/mediasync.toml"), text).unwrap();
}

pub(crate) fn rule(glob: &str, says: &str) -> String {
    format!("[[job.header]]\nmatch = \"{glob}\"\n{says}\n")
}

pub(crate) fn sync(sandbox: &Sandbox, more: &[&str]) -> Ran {
    sandbox.run(&[&["sync"], more].concat())
}

pub(crate) fn stored(sandbox: &Sandbox, key: &str) -> StoredObject {
    sandbox.bucket.get(&format!("{PREFIX}{key}")).unwrap_or_else(|| panic!("no {key}"))
}

pub(crate) fn attributes(sandbox: &Sandbox, key: &str) -> Attributes {
    stored(sandbox, key).attributes
}

pub(crate) fn cached(sandbox: &Sandbox, key: &str) -> String {
    attributes(sandbox, key).cache_control.unwrap_or_default()
}

/// Neither a look at an object nor a change.
pub(crate) fn idle(sandbox: &Sandbox) {
    sandbox.server.clear_log();
    let ran = sync(sandbox, &[]).exits(0);
    assert_eq!(sandbox.server.changing_requests().len(), 0, "{ran:?}");
    for operation in ["HeadObject", "GetObjectAcl", "GetObject"] {
        let of_own = |key: &String| key.starts_with(".mediasync");
        assert!(sandbox.requested(operation).iter().all(of_own), "{operation}: {ran:?}");
    }
}

/// What was copied, but for our own objects.
pub(crate) fn copied(sandbox: &Sandbox) -> Vec<String> {
    let mut keys = sandbox.requested("CopyObject");
    keys.retain(|key| !key.starts_with(".mediasync"));
    keys
}

/// Bytes of bodies that went to keys that are not our own.
pub(crate) fn sent(sandbox: &Sandbox) -> u64 {
    let log = sandbox.server.changing_requests();
    log.iter().filter(|entry| !entry.call.key.contains(".mediasync")).map(|entry| entry.bytes_in).sum()
}

#[test]
fn what_is_sent_has_what_the_last_rules_say() {
    let sandbox = Sandbox::with(&[("a.html", "page"), ("img/b.bin", "b"), ("c.txt", "c")]);
    sandbox.write("large.bin", bytes(1, 9 * MIB));
    let all = rule("*", "cache_control = \"max-age=60\"\nmetadata = { owner = \"web\" }");
    let img =
        rule("/img/", "content_type = \"image/x-b\"\ncache_control = \"no-store\"\nstorage_class = \"STANDARD_IA\"");
    let large = rule("large.*", "content_disposition = \"attachment\"\ncontent_language = \"de\"\nacl = \"private\"");
    rules(&sandbox, &[all, img, large].concat());
    sync(&sandbox, &[]).exits(0);
    sandbox.assert_equal();
    let page = attributes(&sandbox, "a.html");
    assert_eq!((page.content_type.as_deref(), page.cache_control.as_deref()), (Some("text/html"), Some("max-age=60")));
    assert_eq!(page.metadata["owner"], "web");
    let b = attributes(&sandbox, "img/b.bin");
    assert_eq!((b.content_type.as_deref(), b.cache_control.as_deref()), (Some("image/x-b"), Some("no-store")));
    assert_eq!(b.storage_class.as_deref(), Some("STANDARD_IA"));
    let large = attributes(&sandbox, "large.bin");
    assert_eq!(
        (large.content_disposition.as_deref(), large.content_language.as_deref()),
        (Some("attachment"), Some("de"))
    );
    assert!(large.metadata.contains_key("blake3"), "what is recorded of the content is there too");
    let grants = |key: &str| stored(&sandbox, key).acl.grants.len();
    assert!(grants("large.bin") < grants("a.html"), "the rule wins over the ACL of the DSN");
    idle(&sandbox);
    // What is overwritten and what is renamed has it too.
    sandbox.write("a.html", "changed page");
    fs::rename(sandbox.media("c.txt"), sandbox.media("img/c.txt")).unwrap();
    sync(&sandbox, &[]).exits(0);
    assert_eq!((cached(&sandbox, "a.html"), cached(&sandbox, "img/c.txt")), ("max-age=60".into(), "no-store".into()));
    idle(&sandbox);
}

#[test]
fn ten_thousand_objects_get_other_headers_and_no_content_is_sent() {
    // In a debug build 10,000 take a minute and a half.
    const OBJECTS: usize = if cfg!(debug_assertions) { 2_000 } else { 10_000 };
    let told = format!("{},000", OBJECTS / 1_000);
    let sandbox = Sandbox::new();
    for n in 0..OBJECTS {
        sandbox.write(&format!("{:02}/{n:05}.jpg", n % 50), format!("content {n}"));
    }
    rules(&sandbox, &rule("*.jpg", "cache_control = \"max-age=60\""));
    sync(&sandbox, &["-q"]).exits(0);
    rules(&sandbox, &rule("*.jpg", "cache_control = \"max-age=3600\""));
    sandbox.server.clear_log();
    sync(&sandbox, &["--dry-run"]).exits(0).says(&[&format!("restyle {told}")]);
    assert_eq!(sandbox.server.changing_requests().len(), 0, "a dry run changes nothing");
    assert_eq!(sandbox.requested("HeadObject").len(), 0, "and asks nothing of each object");
    let waits = format!("content in sync, {told} objects wait for changed header rules");
    sandbox.run(&["status"]).exits(3).says(&[
        &waits,
        "hint: mediasync sync media --state-dir ",
        " gives them what they say",
    ]);
    let line = sandbox.run(&["status", "--json"]).exits(3).line("status");
    assert_eq!((&line["state"], &line["restyles_waiting"]), (&"content-in-sync".into(), &OBJECTS.into()));
    sandbox.server.clear_log();
    let ran = sync(&sandbox, &["--json"]).exits(0);
    let summary = ran.line("summary");
    assert_eq!((&summary["done"]["restyles"], &summary["done"]["overwrites"]), (&OBJECTS.into(), &0.into()));
    assert_eq!(summary["done"]["bytes_sent"], 0);
    assert_eq!((sent(&sandbox), sandbox.requested("CopyObject").len()), (0, OBJECTS));
    assert_eq!(sandbox.requested("HeadObject").len(), OBJECTS);
    for operation in ["PutObject", "GetObject", "UploadPart"] {
        assert!(sandbox.requested(operation).iter().all(|key| key.starts_with(".mediasync")), "{operation}");
    }
    assert!(sandbox.remote().keys().all(|key| cached(&sandbox, key) == "max-age=3600"));
    idle(&sandbox);
    sandbox.run(&["status"]).exits(0).says(&["  in sync\n"]).never_says("header rules");
}

#[test]
fn what_no_rule_names_stays_as_it_is() {
    let sandbox = Sandbox::with(&[("a.svg", "a")]);
    rules(&sandbox, "");
    sync(&sandbox, &[]).exits(0);
    let before = stored(&sandbox, "a.svg");
    let with = |change: fn(&mut Attributes)| {
        let mut attributes = stored(&sandbox, "a.svg").attributes;
        change(&mut attributes);
        let spec = ObjectSpec { attributes, acl: before.acl.clone(), ..ObjectSpec::default() };
        sandbox.bucket.put_with(&format!("{PREFIX}a.svg"), "a", spec);
    };
    with(|attributes| {
        attributes.content_language = Some("fr".to_owned());
        attributes.metadata.insert("author".to_owned(), "me".to_owned());
    });
    rules(&sandbox, &rule("*.svg", "content_type = \"image/x-svg\"\ncache_control = \"no-store\""));
    sync(&sandbox, &[]).exits(0).says(&["restyled 1"]);
    let now = stored(&sandbox, "a.svg");
    assert_eq!(now.attributes.content_type.as_deref(), Some("image/x-svg"));
    assert_eq!(now.attributes.content_language.as_deref(), Some("fr"));
    assert_eq!((now.attributes.metadata["author"].as_str(), now.acl.grants.len()), ("me", before.acl.grants.len()));
    assert_eq!(now.attributes.metadata["blake3"], before.attributes.metadata["blake3"]);
    assert_eq!(now.attributes.metadata["mtime"], before.attributes.metadata["mtime"]);
    idle(&sandbox);
    // A rule that is gone takes the type along, which the name says; the rest stays.
    rules(&sandbox, "");
    sync(&sandbox, &[]).exits(0).says(&["restyled 1"]);
    let now = attributes(&sandbox, "a.svg");
    assert_eq!((now.content_type.as_deref(), now.cache_control.as_deref()), (Some("image/svg+xml"), Some("no-store")));
    idle(&sandbox);
}

#[test]
fn what_others_stored_is_looked_at_once_and_what_is_right_is_not_copied() {
    let sandbox = Sandbox::with(&[("right.jpg", "right"), ("wrong.jpg", "wrong"), ("other.txt", "other")]);
    let attributes = Attributes { cache_control: Some("no-store".to_owned()), ..Attributes::default() };
    sandbox.bucket.put_with(&format!("{PREFIX}right.jpg"), "right", ObjectSpec { attributes, ..ObjectSpec::default() });
    sandbox.put("wrong.jpg", "wrong");
    sandbox.put("other.txt", "other");
    rules(&sandbox, &rule("*.jpg", "cache_control = \"no-store\""));
    let ran = sync(&sandbox, &["--json"]).exits(0);
    assert_eq!(copied(&sandbox), ["wrong.jpg"]);
    let done = ran.line("summary")["done"].clone();
    assert_eq!((&done["restyles"], &done["as_ruled"], &done["records"]), (&1.into(), &1.into(), &3.into()));
    idle(&sandbox);
    sandbox.lose_the_manifest();
    sandbox.server.clear_log();
    sync(&sandbox, &[]).exits(0).says(&["Nothing changed.", "As the header rules say already: 2 files"]);
    assert_eq!(copied(&sandbox), Vec::<String>::new());
    idle(&sandbox);
}

#[test]
fn a_repair_finds_headers_that_somebody_changed_and_no_other_run_looks() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.txt", "c")]);
    rules(&sandbox, &rule("*.jpg", "cache_control = \"no-store\"\nacl = \"public-read\""));
    sync(&sandbox, &[]).exits(0);
    let damage = |key: &str, change: &dyn Fn(&mut StoredObject)| {
        let mut object = stored(&sandbox, key);
        change(&mut object);
        let StoredObject { attributes, acl, .. } = object;
        let spec = ObjectSpec { attributes, acl, ..ObjectSpec::default() };
        sandbox.bucket.put_with(&format!("{PREFIX}{key}"), key[..1].to_owned(), spec);
    };
    damage("a.jpg", &|object| object.attributes.cache_control = None);
    damage("b.jpg", &|object| object.acl = Acl::default());
    let damaged = stored(&sandbox, "b.jpg");
    idle(&sandbox);
    sandbox.server.clear_log();
    let ran = sync(&sandbox, &["--repair", "--dry-run", "--json"]).exits(0);
    assert_eq!(ran.line("summary")["planned"]["restyles"], 2, "{ran:?}");
    assert_eq!(sandbox.server.changing_requests().len(), 0);
    assert_eq!(sandbox.requested("HeadObject").iter().filter(|key| *key == "c.txt").count(), 0);
    sync(&sandbox, &["--repair"]).exits(0).says(&["restyled 2"]);
    assert_eq!((cached(&sandbox, "a.jpg"), sent(&sandbox)), ("no-store".to_owned(), 0));
    // An ACL alone is set where the object is: nothing else of it changes.
    let mended = stored(&sandbox, "b.jpg");
    assert_eq!((mended.etag, mended.modified), (damaged.etag, damaged.modified));
    sandbox.assert_changes(&["CopyObject site/a.jpg", "PutObjectAcl site/b.jpg"]);
    assert_eq!(stored(&sandbox, "b.jpg").acl.grants.len(), stored(&sandbox, "a.jpg").acl.grants.len());
    sandbox.server.clear_log();
    sync(&sandbox, &["--repair"]).exits(0).says(&["Nothing changed."]);
    assert_eq!(sandbox.server.changing_requests().len(), 0);
    idle(&sandbox);
}

#[test]
fn an_acl_alone_is_set_on_what_was_seen_or_told() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c")]);
    rules(&sandbox, "");
    sync(&sandbox, &[]).exits(0);
    rules(&sandbox, &rule("*.jpg", "acl = \"private\""));
    // Somebody stores another object while the ACL is on its way; and another one is deleted then.
    let slow = || Rule::new("PutObjectAcl", Effect::Delay(std::time::Duration::from_millis(700)));
    sandbox.server.faults(|faults| {
        faults.add(slow().key("site/a.jpg"));
        faults.add(slow().key("site/b.jpg"));
    });
    sandbox.server.clear_log();
    let running = sandbox.start(&["sync", "--concurrency", "8"]);
    let begun = std::time::Instant::now();
    while sandbox.server.faults(|faults| faults.fired()) < 2 {
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "both are sent");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    sandbox.put("a.jpg", "somebody's");
    sandbox.bucket.remove(&format!("{PREFIX}b.jpg"));
    running.wait().exits(3).says(&["a.jpg", "was changed by somebody else", "b.jpg", "is gone", "restyled 1"]);
    assert_eq!(copied(&sandbox), Vec::<String>::new());
    sandbox.server.faults(Faults::clear);
    // The change of somebody else is a change, and not taken for ours.
    assert_eq!(sandbox.content("a.jpg"), "somebody's");
    sync(&sandbox, &["--dry-run"]).says(&["a.jpg"]);
}

#[test]
fn an_acl_of_a_rule_that_has_no_effect_is_told_once() {
    for (acls, says) in [(Acls::Unheard, "ignores the ACLs of uploads"), (Acls::Ignored, "has no object ACLs")] {
        let mut sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
        let dsn = sandbox.dsn(&format!("endpoint={}&acl=", sandbox.server.endpoint()));
        sandbox.env("DEFAULT_STORAGE_DSN", &dsn);
        sandbox.server.quirks(|quirks| quirks.acls = acls);
        rules(&sandbox, &rule("*.jpg", "acl = \"public-read\""));
        let ran = sync(&sandbox, &[]).exits(0).says(&[says, "public-read", "docs/permissions.md"]);
        assert_eq!(ran.stderr.matches(says).count(), 1, "{ran:?}");
        let ran = sandbox.run(&["doctor", "--json", "media"]).exits(0);
        let told = ran.json().into_iter().find(|line| line["name"] == "permission-put-acl").unwrap();
        assert_eq!(told["state"], "warn", "{ran:?}");
        assert!(told["found"].as_str().unwrap().contains(says), "{ran:?}");
        // Where nothing is sent but the rule is new, too.
        if acls == Acls::Ignored {
            rules(&sandbox, &rule("*", "acl = \"public-read-write\""));
            sync(&sandbox, &[]).exits(0).says(&[says]);
        }
    }
}

#[test]
fn an_object_in_parts_is_restyled_and_killed_runs_take_it_for_nobody_elses() {
    let sandbox = Sandbox::new();
    let content = bytes(3, 11 * MIB);
    sandbox.write("ours.bin", bytes(2, 9 * MIB));
    sandbox.write("theirs.bin", &content);
    let spec = ObjectSpec { part_size: Some(5 * MIB), ..ObjectSpec::default() };
    sandbox.bucket.put_with(&format!("{PREFIX}theirs.bin"), content, spec);
    rules(&sandbox, "");
    sync(&sandbox, &[]).exits(0);
    let etags = || ["ours.bin", "theirs.bin"].map(|key| stored(&sandbox, key).etag);
    let before = etags();
    for step in 0..40 {
        rules(&sandbox, &rule("*.bin", &format!("cache_control = \"max-age={step}\"")));
        let killed = sandbox.kill_after(step, |sandbox| sandbox.start(&["sync"]));
        sandbox.server.clear_log();
        sync(&sandbox, &[]).exits(0);
        assert_eq!((sent(&sandbox), cached(&sandbox, "ours.bin")), (0, format!("max-age={step}")));
        assert_eq!(cached(&sandbox, "theirs.bin"), format!("max-age={step}"));
        idle(&sandbox);
        if !killed {
            assert!(step > 4, "it was killed at each of its requests");
            assert_ne!(etags(), before, "copies have ETags of another form");
            return;
        }
    }
    panic!("it never came to its end");
}

#[test]
fn what_somebody_changed_meanwhile_is_a_problem_and_tried_again() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    rules(&sandbox, "");
    sync(&sandbox, &[]).exits(0);
    rules(&sandbox, &rule("*.jpg", "cache_control = \"no-store\""));
    sandbox
        .server
        .faults(|faults| faults.add(Rule::new("CopyObject", Effect::Status(403, "AccessDenied")).key("*a.jpg")));
    sync(&sandbox, &[]).exits(3).says(&["a.jpg", "restyled 1", "1 of 2 planned changes were not made."]);
    sandbox.server.faults(Faults::clear);
    assert_eq!((cached(&sandbox, "a.jpg"), cached(&sandbox, "b.jpg")), (String::new(), "no-store".to_owned()));
    sync(&sandbox, &[]).exits(0).says(&["restyled 1"]);
    idle(&sandbox);
}

#[test]
fn a_saved_plan_restyles_what_it_says_and_nothing_by_other_rules() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    rules(&sandbox, "");
    sync(&sandbox, &[]).exits(0);
    rules(&sandbox, &rule("*.jpg", "cache_control = \"no-store\""));
    sync(&sandbox, &["--save-plan", "plan"]).exits(0).says(&["restyle 2"]);
    assert_eq!(cached(&sandbox, "a.jpg"), "");
    rules(&sandbox, &rule("*.jpg", "cache_control = \"max-age=1\""));
    sandbox.run(&["apply", "plan"]).exits(3).says(&["not those that the plan was made with"]);
    assert_eq!(cached(&sandbox, "a.jpg"), "");
    rules(&sandbox, &rule("*.jpg", "cache_control = \"no-store\""));
    sandbox.run(&["apply", "plan"]).exits(0).says(&["restyled 2"]);
    assert_eq!(cached(&sandbox, "a.jpg"), "no-store");
    sandbox.run(&["history"]).exits(0).says(&["restyled 2"]);
    idle(&sandbox);
}

#[test]
fn in_a_two_way_job_rules_are_for_the_destination_alone() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    sandbox.put("theirs.jpg", "theirs");
    job(&sandbox, "two-way", &rule("*.jpg", "cache_control = \"no-store\""));
    sync(&sandbox, &[]).exits(0);
    assert_eq!((cached(&sandbox, "a.jpg"), cached(&sandbox, "theirs.jpg")), ("no-store".into(), "no-store".into()));
    sandbox.assert_equal();
    idle(&sandbox);
}

#[test]
fn a_rule_that_its_destination_can_not_have_is_told_with_a_way_out() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let media = sandbox.path("media");
    let to = |dest: &str, says: &str| {
        let text = format!(
            "[[job]]\nname = \"media\"\nsource = {media:?}\ndestination = \"{dest}\"\nmode = \"copy\"\n{}",
            rule("*.jpg", says)
        );
        fs::write(sandbox.path("work/mediasync.toml"), text).unwrap();
        sync(&sandbox, &[]).exits(2)
    };
    to("copy", "cache_control = \"no-store\"").says(&["job.media.header (line 1)", "is a directory", "hint:"]);
    to("copy", "acl = \"everybody\"").says(&["job.media.header[1].acl", "is not one of: private"]);
    rules(&sandbox, &rule("*", "storage_class = \"Cool\""));
    sync(&sandbox, &[]).exits(2).says(&["is a tier of Azure", "STANDARD_IA"]);
    rules(&sandbox, "");
    sync(&sandbox, &["--repair"]).exits(2).says(&["no job has any", "docs/headers.md"]);
}
