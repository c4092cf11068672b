//! Header rules and what can go wrong meanwhile: somebody else is faster, a run is killed, an object can't be changed. No
//! content is ever lost, sent or fetched for a header.

use std::fs;

use crate::cli_headers::{attributes, cached, copied, idle, job, rule, rules, sent, stored, sync};
use crate::support::s3::{Attributes, Conditional, ETags, Effect, Faults, Moment, ObjectSpec, Rule, StoredObject};
use crate::support::sandbox::{PREFIX, REMOTE, Sandbox, bytes};

const MIB: usize = 1024 * 1024;

/// Stores what another tool would, in the place of what is there and with all that it carries but our digests.
fn replaced(sandbox: &Sandbox, key: &str, content: Vec<u8>) {
    let StoredObject { mut attributes, acl, .. } = stored(sandbox, key);
    attributes.metadata.retain(|name, _| name == "author");
    let spec = ObjectSpec { attributes, acl, ..ObjectSpec::default() };
    sandbox.bucket.put_with(&format!("{PREFIX}{key}"), content, spec);
}

/// A job with an object that another tool stored in parts, and one of ours.
fn with_parts(mode: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let content = bytes(3, 11 * MIB);
    sandbox.write("ours.bin", bytes(2, 9 * MIB));
    sandbox.write("theirs.bin", &content);
    let spec = ObjectSpec { part_size: Some(5 * MIB), ..ObjectSpec::default() };
    sandbox.bucket.put_with(&format!("{PREFIX}theirs.bin"), content, spec);
    job(&sandbox, mode, "");
    sync(&sandbox, &[]).exits(0);
    sandbox
}

/// A run dies when the copies of both are made, and recorded nothing.
fn killed_after_the_copies(sandbox: &Sandbox) {
    let gate = sandbox.server.hold(Moment::BeforeAnswer, "CopyObject", "*.bin");
    let run = sandbox.start(&["sync"]);
    gate.reached_blocking(2);
    assert_eq!(run.kill(), -9);
}

/// Requests for a key's content, and for a change of it.
fn moved(sandbox: &Sandbox) -> Vec<String> {
    let log = sandbox.server.requests().into_iter();
    let moves = ["GetObject", "PutObject", "UploadPart", "DeleteObject", "CreateMultipartUpload"];
    let moves = log.filter(|entry| moves.contains(&entry.call.operation) && !entry.call.key.contains(".mediasync"));
    moves.map(|entry| format!("{} {}", entry.call.operation, entry.call.key)).collect()
}

#[test]
fn what_others_store_between_a_look_and_its_copy_never_gets_the_digest_of_what_was_there() {
    // A server that checks the source, one that checks the target, and one that checks neither.
    let (yes, no) = (Conditional::Honoured, Conditional::Ignored);
    for (source, target) in [(yes, yes), (yes, no), (no, yes), (no, no)] {
        let sandbox = Sandbox::with(&[("a.jpg", "ours a"), ("b.jpg", "ours b")]);
        sandbox.server.quirks(|quirks| {
            (quirks.copy_source_conditions, quirks.copy_conditions) = (source, target);
        });
        job(&sandbox, "two-way", "");
        sync(&sandbox, &[]).exits(0);
        let was = stored(&sandbox, "a.jpg").attributes.metadata["blake3"].clone();
        job(&sandbox, "two-way", &rule("*.jpg", "cache_control = \"no-store\""));
        let gate = sandbox.server.hold(Moment::BeforeHandling, "CopyObject", "*a.jpg");
        let run = sandbox.start(&["sync"]);
        gate.reached_blocking(1);
        replaced(&sandbox, "a.jpg", b"theirs".to_vec());
        gate.release();
        run.wait().exits(3).says(&["a.jpg", "was changed by somebody else", "restyled 1"]);
        let now = stored(&sandbox, "a.jpg");
        assert_eq!(now.body.bytes(), "theirs", "{source:?} {target:?}");
        assert_ne!(
            now.attributes.metadata.get("blake3"),
            Some(&was),
            "a digest of other content: {source:?} {target:?}"
        );
        // It is somebody's change like any other: it comes here.
        sync(&sandbox, &[]).exits(0);
        assert_eq!(sandbox.local()["a.jpg"], "theirs", "{source:?} {target:?}");
        assert_eq!((cached(&sandbox, "a.jpg"), cached(&sandbox, "b.jpg")), ("no-store".into(), "no-store".into()));
        sandbox.assert_equal();
        idle(&sandbox);
    }
}

#[test]
fn where_nothing_would_tell_whose_content_was_copied_headers_stay() {
    let sandbox = Sandbox::with(&[("a.jpg", "ours")]);
    sandbox.server.quirks(|quirks| {
        (quirks.copy_source_conditions, quirks.copy_conditions) = (Conditional::Ignored, Conditional::Ignored);
        quirks.etags = ETags::OpaqueMultipart;
    });
    sandbox.write("large.bin", bytes(1, 9 * MIB));
    rules(&sandbox, "");
    sync(&sandbox, &[]).exits(0);
    rules(&sandbox, &rule("*", "cache_control = \"no-store\""));
    sync(&sandbox, &[]).exits(3).says(&["large.bin", "does not check the version", "restyled 1"]);
    assert_eq!((cached(&sandbox, "a.jpg"), cached(&sandbox, "large.bin")), ("no-store".into(), String::new()));
    // Told once; nothing is asked for again.
    idle(&sandbox);
    sync(&sandbox, &[]).exits(0).says(&["The header rules can't be applied to: 1 file"]);
    sandbox.run(&["status"]).never_says("header rules");
    sync(&sandbox, &["--repair"]).exits(3).says(&["large.bin"]);
    // What is sent has them.
    sandbox.write("large.bin", bytes(2, 9 * MIB));
    sync(&sandbox, &[]).exits(0).never_says("can't be applied");
    assert_eq!(cached(&sandbox, "large.bin"), "no-store");
    idle(&sandbox);
}

#[test]
fn a_killed_change_of_headers_is_nobody_elses_change_in_any_mode() {
    for mode in ["copy", "two-way", "mirror"] {
        let sandbox = with_parts(mode);
        job(&sandbox, mode, &rule("*.bin", "cache_control = \"no-store\""));
        killed_after_the_copies(&sandbox);
        assert_eq!(cached(&sandbox, "theirs.bin"), "no-store", "it was done");
        // Once more, by other rules: what was changed twice is known too.
        job(&sandbox, mode, &rule("*.bin", "cache_control = \"max-age=1\""));
        killed_after_the_copies(&sandbox);
        sandbox.server.clear_log();
        let ran = sync(&sandbox, &["--json"]).exits(0);
        assert_eq!(
            (moved(&sandbox), ran.line("summary")["conflicts"].clone()),
            (Vec::new(), 0.into()),
            "{mode}: {ran:?}"
        );
        assert_eq!(
            (cached(&sandbox, "ours.bin"), cached(&sandbox, "theirs.bin")),
            ("max-age=1".into(), "max-age=1".into())
        );
        idle(&sandbox);
        sandbox.assert_equal();
    }
}

#[test]
fn what_somebody_stores_after_a_killed_change_of_headers_is_a_change_in_any_mode() {
    for mode in ["copy", "two-way", "mirror"] {
        let sandbox = with_parts(mode);
        job(&sandbox, mode, &rule("*.bin", "cache_control = \"no-store\""));
        killed_after_the_copies(&sandbox);
        // As large as what was there.
        let theirs = [bytes(7, 9 * MIB), bytes(8, 11 * MIB)];
        replaced(&sandbox, "ours.bin", theirs[0].clone());
        replaced(&sandbox, "theirs.bin", theirs[1].clone());
        match mode {
            "copy" => {
                let ran = sync(&sandbox, &["--json"]).exits(3);
                assert_eq!(ran.line("summary")["conflicts"], 2, "{ran:?}");
                assert!(sandbox.content("ours.bin") == theirs[0] && sandbox.content("theirs.bin") == theirs[1]);
            }
            "two-way" => {
                sync(&sandbox, &[]).exits(0);
                let local = sandbox.local();
                assert!(local["ours.bin"] == theirs[0] && local["theirs.bin"] == theirs[1], "they came here");
                sandbox.assert_equal();
                idle(&sandbox);
            }
            // Its source wins, and what it replaces is kept.
            _ => {
                sync(&sandbox, &[]).exits(0);
                let (kept, _) = sandbox.trash();
                assert!(kept["ours.bin"] == theirs[0] && kept["theirs.bin"] == theirs[1]);
            }
        }
    }
}

#[test]
fn another_job_that_reads_the_bucket_fetches_nothing_for_a_header() {
    let sandbox = with_parts("copy");
    let backup = |rules: &str| {
        job(&sandbox, "copy", rules);
        let (config, disk) = (sandbox.path("work/mediasync.toml"), sandbox.path("disk"));
        let more =
            format!("[[job]]\nname = \"backup\"\nsource = \"{REMOTE}\"\ndestination = {disk:?}\nmode = \"mirror\"\n");
        fs::write(&config, fs::read_to_string(&config).unwrap() + &more).unwrap();
    };
    fs::create_dir(sandbox.path("disk")).unwrap();
    backup("");
    sandbox.run(&["sync", "backup"]).exits(0);
    let before = stored(&sandbox, "ours.bin").etag;
    backup(&rule("*.bin", "cache_control = \"no-store\""));
    sandbox.run(&["sync", "media"]).exits(0).says(&["restyled 2"]);
    assert_ne!(stored(&sandbox, "ours.bin").etag, before);
    sandbox.server.clear_log();
    sandbox.run(&["sync", "backup"]).exits(0).says(&["Nothing changed."]);
    assert_eq!(moved(&sandbox), Vec::<String>::new());
}

#[test]
fn an_object_that_can_not_be_changed_is_told_once_and_counted_then() {
    let sandbox = Sandbox::with(&[("cold.jpg", "cold"), ("warm.jpg", "warm")]);
    rules(&sandbox, "");
    sync(&sandbox, &[]).exits(0);
    let cold = Rule::new("CopyObject", Effect::Status(403, "InvalidObjectState")).key("*cold.jpg");
    sandbox.server.faults(|faults| faults.add(cold));
    rules(&sandbox, &rule("*.jpg", "cache_control = \"no-store\""));
    sync(&sandbox, &[]).exits(3).says(&["cold.jpg", "restore it first", "restyled 1"]);
    idle(&sandbox);
    sync(&sandbox, &[]).exits(0).says(&["The header rules can't be applied to: 1 file"]).never_says("cold.jpg");
    // Other rules are tried, and told.
    rules(&sandbox, &rule("*.jpg", "cache_control = \"max-age=1\""));
    sync(&sandbox, &[]).exits(3).says(&["cold.jpg", "restyled 1"]);
    idle(&sandbox);
    // It was thawed: a repair tries again.
    sandbox.server.faults(Faults::clear);
    sync(&sandbox, &["--repair"]).exits(0).says(&["restyled 1"]);
    assert_eq!(cached(&sandbox, "cold.jpg"), "max-age=1");
    idle(&sandbox);
    sync(&sandbox, &[]).exits(0).never_says("can't be applied");
}

#[test]
fn what_a_listing_shows_to_be_archived_is_counted_and_not_asked_for() {
    let sandbox = Sandbox::with(&[("cold.jpg", "cold"), ("warm.jpg", "warm")]);
    let attributes = Attributes { storage_class: Some("GLACIER".to_owned()), ..Attributes::default() };
    sandbox.bucket.put_with(&format!("{PREFIX}cold.jpg"), "cold", ObjectSpec { attributes, ..ObjectSpec::default() });
    rules(&sandbox, &rule("*.jpg", "cache_control = \"no-store\""));
    sync(&sandbox, &[]).exits(0).says(&["The header rules can't be applied to: 1 file"]);
    assert_eq!(copied(&sandbox), Vec::<String>::new());
    assert_eq!(cached(&sandbox, "warm.jpg"), "no-store");
    idle(&sandbox);
}

#[test]
fn a_dry_run_tells_the_requests_that_the_run_makes() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("new.jpg", "new")]);
    sandbox.put("theirs.jpg", "theirs");
    sandbox.write("theirs.jpg", "theirs");
    sandbox.remove("new.jpg");
    rules(&sandbox, &rule("[ab].jpg", "cache_control = \"max-age=1\""));
    sync(&sandbox, &[]).exits(0);
    // Two that have other headers, one of which nobody knows anything, and one that is sent.
    sandbox.write("new.jpg", "new");
    rules(&sandbox, &rule("*.jpg", "cache_control = \"no-store\""));
    let ran = sync(&sandbox, &["--dry-run", "--json"]).exits(0);
    let needed = ran.line("summary")["requests_needed"].clone();
    assert_eq!(needed, serde_json::json!({"PUT": 1, "COPY": 2, "HEAD": 3}), "{ran:?}");
    sandbox.server.clear_log();
    sync(&sandbox, &[]).exits(0);
    let made = |operation: &str| {
        let keys = sandbox.requested(operation);
        keys.iter().filter(|key| !key.starts_with(".mediasync")).count()
    };
    assert_eq!((made("PutObject"), made("CopyObject"), made("HeadObject")), (1, 3, 3));
    idle(&sandbox);
}

#[test]
fn what_goes_moves_or_is_sent_in_the_same_run_gets_no_second_change() {
    let sandbox = Sandbox::with(&[("gone.jpg", "g"), ("old.jpg", "moved"), ("sent.jpg", "1"), ("stays.jpg", "s")]);
    sandbox.write(".DS_Store", "junk");
    sandbox.put(".DS_Store", "junk of others");
    sandbox.put("extra.jpg", "only there");
    let all = |says: &str| {
        let media = sandbox.path("media");
        let text = format!(
            "[[job]]\nname = \"media\"\nsource = {media:?}\ndestination = \"{REMOTE}\"\nmode = \"copy\"\ndelete = true\n{}",
            rule("*", says)
        );
        fs::write(sandbox.path("work/mediasync.toml"), text).unwrap();
    };
    all("cache_control = \"max-age=1\"");
    sync(&sandbox, &[]).exits(0);
    all("cache_control = \"no-store\"");
    sandbox.remove("gone.jpg");
    fs::rename(sandbox.media("old.jpg"), sandbox.media("new.jpg")).unwrap();
    sandbox.write("sent.jpg", "22");
    sandbox.server.clear_log();
    let ran = sync(&sandbox, &["--json"]).exits(0);
    let done = ran.line("summary")["done"].clone();
    let counts = ["restyles", "copies", "overwrites", "deletes"].map(|name| done[name].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 1, 2], "{ran:?}");
    assert_eq!(copied(&sandbox), ["new.jpg", "stays.jpg"]);
    for key in ["new.jpg", "sent.jpg", "stays.jpg"] {
        assert_eq!(cached(&sandbox, key), "no-store", "{key}");
    }
    for key in [".DS_Store", "extra.jpg", ".mediasync/id"] {
        assert_eq!(cached(&sandbox, key), "", "{key}: nobody's business");
    }
    idle(&sandbox);
}

#[test]
fn what_an_object_carries_besides_survives() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    rules(&sandbox, "");
    sync(&sandbox, &[]).exits(0);
    let before = stored(&sandbox, "a.jpg");
    let mut attributes = before.attributes.clone();
    attributes.cache_control = Some("max-age=9".to_owned());
    attributes.content_disposition = Some("inline".to_owned());
    attributes.tagging = Some("team=press".to_owned());
    attributes.storage_class = Some("STANDARD_IA".to_owned());
    attributes.metadata.insert("author".to_owned(), "me".to_owned());
    let spec = ObjectSpec { attributes: attributes.clone(), acl: before.acl.clone(), ..ObjectSpec::default() };
    sandbox.bucket.put_with(&format!("{PREFIX}a.jpg"), "a", spec);
    rules(&sandbox, &rule("*.jpg", "content_language = \"de\""));
    sync(&sandbox, &[]).exits(0).says(&["restyled 1"]);
    let now = stored(&sandbox, "a.jpg");
    let expected = Attributes { content_language: Some("de".to_owned()), ..attributes };
    assert_eq!(now.attributes, expected);
    assert_eq!(now.acl, before.acl, "a copy is private if nobody says otherwise");
    assert!(!now.acl.grants.is_empty(), "it was public");
    idle(&sandbox);
}

#[test]
fn a_storage_class_that_somebody_changed_is_given_back_by_a_repair() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    rules(&sandbox, "");
    sync(&sandbox, &[]).exits(0);
    rules(&sandbox, &rule("*.jpg", "storage_class = \"STANDARD_IA\""));
    sync(&sandbox, &[]).exits(0).says(&["restyled 2"]);
    let class = |key: &str| attributes(&sandbox, key).storage_class;
    assert_eq!((class("a.jpg"), class("b.jpg")), (Some("STANDARD_IA".into()), Some("STANDARD_IA".into())));
    idle(&sandbox);
    let mut changed = stored(&sandbox, "a.jpg");
    changed.attributes.storage_class = None;
    let spec = ObjectSpec { attributes: changed.attributes, acl: changed.acl, ..ObjectSpec::default() };
    sandbox.bucket.put_with(&format!("{PREFIX}a.jpg"), "a", spec);
    idle(&sandbox);
    sync(&sandbox, &["--repair"]).exits(0).says(&["restyled 1"]);
    assert_eq!((class("a.jpg"), sent(&sandbox)), (Some("STANDARD_IA".into()), 0));
    idle(&sandbox);
    // The rule is gone: the class stays.
    rules(&sandbox, "");
    idle(&sandbox);
    assert_eq!(class("a.jpg").as_deref(), Some("STANDARD_IA"));
}

/// Makes the manifest one that the release before header rules wrote, or the first one.
fn aged(sandbox: &Sandbox, version: u32) {
    let db = rusqlite::Connection::open(sandbox.manifest()).unwrap();
    db.execute_batch("ALTER TABLE base DROP COLUMN left_style; ALTER TABLE base DROP COLUMN right_style").unwrap();
    if version == 1 {
        db.execute_batch(
            "DROP TABLE sending; DROP TABLE deleting; DROP TABLE kept; DROP TABLE dirty;
             ALTER TABLE uploads DROP COLUMN begun_with; ALTER TABLE runs DROP COLUMN name;
             CREATE TABLE dirty (key TEXT PRIMARY KEY NOT NULL, due INTEGER NOT NULL) WITHOUT ROWID, STRICT;
             CREATE TABLE sending (side INTEGER NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL, version TEXT NOT NULL,
                 modified INTEGER, replaces TEXT, PRIMARY KEY (side, key)) WITHOUT ROWID, STRICT;",
        )
        .unwrap();
    }
    db.pragma_update(None, "user_version", version).unwrap();
}

#[test]
fn a_manifest_of_an_older_release_restyles_and_sends_nothing_without_need() {
    for version in [1, 6] {
        let sandbox = with_parts("copy");
        let right = ObjectSpec {
            attributes: Attributes { cache_control: Some("no-store".to_owned()), ..Attributes::default() },
            ..ObjectSpec::default()
        };
        sandbox.bucket.put_with(&format!("{PREFIX}right.bin"), "right", right);
        sandbox.write("right.bin", "right");
        sync(&sandbox, &[]).exits(0);
        aged(&sandbox, version);
        // Without rules nothing is asked for.
        idle(&sandbox);
        aged(&sandbox, version);
        rules(&sandbox, &rule("*.bin", "cache_control = \"no-store\""));
        sandbox.server.clear_log();
        let ran = sync(&sandbox, &["--json"]).exits(0);
        let done = ran.line("summary")["done"].clone();
        assert_eq!((&done["restyles"], &done["as_ruled"], &done["bytes_sent"]), (&2.into(), &1.into(), &0.into()));
        assert_eq!((moved(&sandbox), sent(&sandbox)), (Vec::new(), 0), "{ran:?}");
        idle(&sandbox);
    }
}

#[test]
fn a_renamed_object_that_somebody_replaces_before_it_is_copied_gets_no_digest_of_what_was_there() {
    for source in [Conditional::Honoured, Conditional::Ignored] {
        let sandbox = Sandbox::with(&[("old.jpg", "ours"), ("stays.jpg", "s")]);
        sandbox.server.quirks(|quirks| quirks.copy_source_conditions = source);
        let delete = |sandbox: &Sandbox| {
            let config = sandbox.path("work/mediasync.toml");
            let text = fs::read_to_string(&config).unwrap();
            fs::write(&config, text.replace("mode = \"copy\"", "mode = \"copy\"\ndelete = true")).unwrap();
        };
        rules(&sandbox, "");
        delete(&sandbox);
        sync(&sandbox, &[]).exits(0);
        fs::rename(sandbox.media("old.jpg"), sandbox.media("new.png")).unwrap();
        let gate = sandbox.server.hold(Moment::BeforeHandling, "CopyObject", "*new.png");
        let run = sandbox.start(&["sync"]);
        gate.reached_blocking(1);
        replaced(&sandbox, "old.jpg", b"them".to_vec());
        gate.release();
        run.wait();
        assert_eq!(sandbox.content("old.jpg"), "them", "{source:?}");
        let new = stored(&sandbox, "new.png");
        let told = new.attributes.metadata.get("blake3").cloned();
        let is = blake3::hash(&new.body.bytes()).to_hex().to_string();
        assert!(told.is_none_or(|told| told == is), "a digest of other content: {source:?}");
    }
    // Where nobody is in between, it gets the type of its new name.
    let sandbox = Sandbox::with(&[("old.jpg", "ours"), ("stays.jpg", "s")]);
    sandbox.server.quirks(|quirks| quirks.copy_source_conditions = Conditional::Ignored);
    rules(&sandbox, &rule("*.png", "cache_control = \"no-store\""));
    sync(&sandbox, &[]).exits(0);
    fs::rename(sandbox.media("old.jpg"), sandbox.media("new.png")).unwrap();
    sync(&sandbox, &[]).exits(0).says(&["copied 1"]);
    let new = attributes(&sandbox, "new.png");
    assert_eq!((new.content_type.as_deref(), new.cache_control.as_deref()), (Some("image/png"), Some("no-store")));
    idle(&sandbox);
}

/// Some tools store other content with all the metadata that was there. What a rule leaves at an object must not pass it off as
/// the old one.
#[test]
fn other_content_with_the_metadata_of_the_old_is_a_change_after_a_rule_was_applied() {
    let sandbox = Sandbox::new();
    sandbox.put("third.jpg", "version 1");
    job(&sandbox, "two-way", &rule("*.jpg", "cache_control = \"no-store\""));
    sync(&sandbox, &[]).exits(0);
    let StoredObject { attributes, .. } = stored(&sandbox, "third.jpg");
    assert_eq!(attributes.cache_control.as_deref(), Some("no-store"));
    // As a release before this one left it, too.
    for (content, was) in [("version 2", None), ("version 3", Some("d4ca1ed7571e2e7b1f1c375bd50fa220"))] {
        let mut attributes = attributes.clone();
        attributes.metadata.extend(was.map(|was| ("mediasync-was".to_owned(), was.to_owned())));
        let spec = ObjectSpec { attributes, ..ObjectSpec::default() };
        sandbox.bucket.put_with(&format!("{PREFIX}third.jpg"), content, spec);
        sync(&sandbox, &[]).exits(0);
        assert_eq!(fs::read_to_string(sandbox.media("third.jpg")).unwrap(), content);
    }
    idle(&sandbox);
}
