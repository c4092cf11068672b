//! What must never be deleted or overwritten, with the real program: vanished sources, strangers, budgets, listings
//! that lie. After each of these the bucket is what it was.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::s3::{Effect, Faults, ListingOrder, Rule, Versioning};
use crate::support::sandbox::{Sandbox, bytes};

fn seeded(count: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    for n in 0..count {
        sandbox.write(&format!("dir{}/file{n:02}.jpg", n % 3), format!("content {n}"));
    }
    sandbox.push(&["--delete"]).exits(0);
    sandbox.assert_equal();
    sandbox
}

/// Runs `--delete` and `mirror` against a source that must not be believed.
fn halts_without_a_change(sandbox: &Sandbox, says: &[&str]) {
    let before = sandbox.bucket.keys();
    sandbox.server.clear_log();
    sandbox.push(&["--delete"]).exits(4).says(says).says(&["Nothing was changed", "mediasync approve "]);
    sandbox.mirror(&[]).exits(4).says(says);
    sandbox.assert_changes(&[]);
    assert_eq!(sandbox.bucket.keys(), before);
}

#[test]
fn an_emptied_source_halts_and_names_the_way_out() {
    let sandbox = seeded(12);
    fs::remove_dir_all(sandbox.path("media")).unwrap();
    fs::create_dir(sandbox.path("media")).unwrap();
    halts_without_a_change(&sandbox, &["approve"]);
}

#[test]
fn a_source_emptied_in_place_halts_even_with_few_files() {
    let sandbox = seeded(3);
    for name in sandbox.local().keys() {
        sandbox.remove(name);
    }
    halts_without_a_change(&sandbox, &["The source is empty, but held 3 keys"]);
}

#[test]
fn an_emptied_source_of_a_push_that_deletes_nothing_has_nothing_to_approve() {
    let sandbox = seeded(3);
    for name in sandbox.local().keys() {
        sandbox.remove(name);
    }
    let ran = sandbox.push(&[]).exits(4).says(&["if it is meant to be empty, there is nothing to do"]);
    ran.says(&["nothing is planned, so there is nothing to approve; mediasync forget "])
        .never_says("mediasync approve");
}

#[test]
fn a_vanished_source_is_an_error_and_changes_nothing() {
    let sandbox = seeded(3);
    fs::rename(sandbox.path("media"), sandbox.path("moved")).unwrap();
    let before = sandbox.bucket.keys();
    sandbox.server.clear_log();
    for ran in [sandbox.push(&["--delete"]), sandbox.mirror(&[])] {
        ran.exits(1).says(&["error: ", "media"]);
    }
    sandbox.assert_changes(&[]);
    assert_eq!(sandbox.bucket.keys(), before);
}

#[test]
fn another_directory_under_the_name_of_the_source_halts() {
    let sandbox = seeded(12);
    fs::rename(sandbox.path("media"), sandbox.path("disk")).unwrap();
    fs::create_dir(sandbox.path("media")).unwrap();
    for n in 0..12 {
        sandbox.write(&format!("other{n}.jpg"), "another disk");
    }
    halts_without_a_change(&sandbox, &["not the directory of the last run", "mount"]);
    // The way out that the message names first: mend the mount, and run again.
    fs::remove_dir_all(sandbox.path("media")).unwrap();
    fs::rename(sandbox.path("disk"), sandbox.path("media")).unwrap();
    sandbox.push(&["--delete"]).exits(0);
    sandbox.assert_equal();
}

#[test]
fn another_bucket_behind_the_name_halts_and_is_not_marked() {
    for id in [None, Some("0123456789abcdef0123456789abcdef")] {
        let sandbox = seeded(6);
        for key in sandbox.bucket.keys() {
            sandbox.bucket.remove(&key);
        }
        sandbox.put("someone/elses.jpg", "precious");
        if let Some(id) = id {
            sandbox.put(".mediasync/id", id);
        }
        sandbox.write("new.jpg", "new");
        halts_without_a_change(&sandbox, &["not the place of the last run", "id object"]);
    }
}

#[test]
fn an_unreadable_subtree_keeps_its_keys_and_the_rest_is_synced() {
    let mut sandbox = Sandbox::with(&[("locked/a.jpg", "a"), ("locked/b.jpg", "b"), ("open/c.jpg", "c"), ("d", "d")]);
    sandbox.as_nobody();
    sandbox.push(&["--delete"]).exits(0);
    sandbox.assert_equal();
    let locked = sandbox.media("locked");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    sandbox.write("open/new.jpg", "new");
    sandbox.remove("d");
    sandbox.push(&["--delete"]).exits(3).says(&["locked", "problem"]);
    let keys: Vec<String> = sandbox.remote().into_keys().collect();
    assert_eq!(keys, ["locked/a.jpg", "locked/b.jpg", "open/c.jpg", "open/new.jpg"]);
    sandbox.assert_idle(&["--delete"], 3);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.push(&["--delete"]).exits(0);
    sandbox.assert_equal();
}

#[test]
fn an_unreadable_file_is_a_problem_and_keeps_its_object() {
    let mut sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    sandbox.as_nobody();
    sandbox.push(&["--delete"]).exits(0);
    sandbox.write("a.jpg", "changed, but not to be read");
    sandbox.write("b.jpg", "changed");
    fs::set_permissions(sandbox.media("a.jpg"), fs::Permissions::from_mode(0o000)).unwrap();
    sandbox.push(&["--delete"]).exits(3).says(&["a.jpg", "ermission"]);
    assert_eq!((&sandbox.content("a.jpg")[..], &sandbox.content("b.jpg")[..]), (&b"a"[..], &b"changed"[..]));
}

/// A listing of the destination that goes wrong deletes nothing, and a later run is well again.
fn survives(effect: &Effect, skip: usize) {
    let sandbox = Sandbox::new();
    for n in 0..1_100 {
        sandbox.put(&format!("old/{n:04}"), "x");
    }
    sandbox.write("a.jpg", "a");
    sandbox.write("b.jpg", "b");
    sandbox.push(&["--delete"]).exits(0);
    sandbox.remove("b.jpg");
    let before = sandbox.bucket.keys();
    sandbox.server.clear_log();
    sandbox.server.faults(|faults| faults.add(Rule::new("ListObjectsV2", effect.clone()).key("*").skip(skip)));
    sandbox.push(&["--delete"]).exits(1).says(&["error: "]);
    assert!(sandbox.server.faults(|faults| faults.fired()) > 0, "{effect:?} did not happen");
    sandbox.assert_changes(&[]);
    assert_eq!(sandbox.bucket.keys(), before, "{effect:?}");
    sandbox.server.faults(Faults::clear);
    sandbox.push(&["--delete"]).exits(0);
    assert_eq!(sandbox.remote().len(), 1_101);
    sandbox.assert_second_run_does_nothing(&["--delete"]);
}

#[test]
fn a_listing_that_breaks_half_way_deletes_nothing() {
    // The first contact and the first page pass.
    survives(&Effect::Status(403, "AccessDenied"), 2);
}

#[test]
fn a_listing_that_repeats_its_token_deletes_nothing() {
    survives(&Effect::RepeatToken, 1);
}

#[test]
fn a_listing_that_names_a_key_twice_deletes_nothing() {
    survives(&Effect::RepeatKey, 1);
}

#[test]
fn a_listing_that_claims_to_be_complete_deletes_nothing_that_is_there() {
    let sandbox = Sandbox::new();
    for n in 0..1_100 {
        sandbox.write(&format!("f/{n:04}"), "x");
    }
    sandbox.push(&["--delete"]).exits(0);
    sandbox.server.faults(|faults| faults.add(Rule::new("ListObjectsV2", Effect::ClaimComplete).key("*")));
    sandbox.remove("f/0001");
    // Whatever it believes of the missing page: nothing but the one deleted file may go.
    sandbox.push(&["--delete"]);
    assert!(sandbox.server.faults(|faults| faults.fired()) > 0);
    sandbox.server.faults(Faults::clear);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.assert_equal();
    sandbox.assert_second_run_does_nothing(&["--delete"]);
}

#[test]
fn a_listing_in_another_order_is_sorted_and_deletes_nothing() {
    let sandbox = Sandbox::with(&[("a-b", "1"), ("a/x", "2"), ("a.txt", "3"), ("a/y", "4"), ("b", "5")]);
    sandbox.server.quirks(|quirks| quirks.listing_order = ListingOrder::Components);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.assert_equal();
    sandbox.assert_second_run_does_nothing(&["--delete"]);
    sandbox.remove("a-b");
    sandbox.push(&["--delete"]).exits(0);
    sandbox.assert_equal();
}

#[test]
fn forty_foreign_objects_stay_with_push_and_go_with_an_approved_mirror() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    for n in 0..40 {
        sandbox.put(&format!("foreign/{n}"), "x");
    }
    sandbox.push(&["--delete"]).exits(0).says(&["Only at the destination, left alone: 40 files"]);
    assert_eq!(sandbox.remote().len(), 41);
    sandbox.assert_second_run_does_nothing(&["--delete"]);
    sandbox.server.clear_log();
    let halted = sandbox.mirror(&[]).exits(4).says(&["40 keys", "approve", "It would delete:", "\n  and 30 more\n"]);
    assert_eq!(halted.stderr.matches("(only at destination)").count(), 10, "{halted:?}");
    sandbox.assert_changes(&[]);
    let words = halted.way_out();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    sandbox.run(&words).exits(0).says(&["deleted 40"]);
    sandbox.assert_equal();
    sandbox.server.clear_log();
    sandbox.mirror(&[]).exits(0);
    sandbox.assert_changes(&[]);
}

#[test]
fn many_deletions_halt_and_max_delete_or_approval_let_them_happen() {
    let sandbox = seeded(130);
    for name in sandbox.local().into_keys().take(51) {
        sandbox.remove(&name);
    }
    sandbox.server.clear_log();
    let halted = sandbox.push(&["--delete"]).exits(4).says(&["51 keys", "budget"]);
    sandbox.push(&["--delete", "--max-delete", "50"]).exits(4).says(&["--max-delete allows 50"]);
    sandbox.assert_changes(&[]);
    let words = halted.way_out();
    sandbox.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).exits(0);
    sandbox.assert_equal();
    sandbox.assert_second_run_does_nothing(&["--delete"]);
}

#[test]
fn a_filter_used_once_deletes_nothing_next_time() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("raw/b.cr2", "b"), ("c.txt", "c")]);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.push(&["--delete", "--exclude", "raw/**"]).exits(0);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.assert_equal();
    // Deleted while it was out of scope: it is not known any more that this is a deletion.
    sandbox.push(&["--delete", "--exclude", "raw/**"]).exits(0);
    sandbox.remove("raw/b.cr2");
    sandbox.push(&["--delete"]).exits(0);
    assert!(sandbox.remote().contains_key("raw/b.cr2"));
    sandbox.assert_second_run_does_nothing(&["--delete"]);
}

#[test]
fn what_is_excluded_is_never_deleted_at_the_destination() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), (".DS_Store", "junk")]);
    sandbox.put("theirs/.DS_Store", "junk");
    sandbox.put("cache/x", "x");
    let halted = sandbox.mirror(&["--exclude", "cache/**"]);
    assert!(halted.code == 0, "nothing is in scope to be deleted: {halted:?}");
    let keys: Vec<String> = sandbox.remote().into_keys().collect();
    assert_eq!(keys, ["a.jpg", "cache/x", "theirs/.DS_Store"]);
}

#[test]
fn a_lost_manifest_adopts_without_sending_or_deleting() {
    let sandbox = seeded(9);
    sandbox.put("foreign", "x");
    sandbox.lose_the_manifest();
    sandbox.server.clear_log();
    sandbox.push(&["--delete"]).exits(0);
    assert_eq!(
        sandbox.server.count("PutObject"),
        sandbox.requested("PutObject").iter().filter(|key| key.starts_with(".mediasync")).count()
    );
    assert!(sandbox.remote().contains_key("foreign"));
    sandbox.assert_second_run_does_nothing(&["--delete"]);
}

/// `from` was moved to `to`, and nothing can be written there: the bucket keeps the content under its old name, and the
/// next run carries out both halves.
fn a_move_that_fails_deletes_nothing(sandbox: &Sandbox, from: &str, to: &str) {
    fs::rename(sandbox.media(from), sandbox.media(to)).unwrap();
    sandbox.server.faults(|faults| {
        faults.add(Rule::new("CopyObject", Effect::Status(403, "AccessDenied")));
        faults.add(Rule::new("PutObject", Effect::Status(403, "AccessDenied")).key(&format!("site/{to}")));
    });
    sandbox.push(&["--delete"]).exits(3).says(&[&format!("{from}: not deleted")]);
    assert_eq!(sandbox.content(from), "content number 1", "the only copy in the bucket");
    sandbox.server.faults(Faults::clear);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.assert_equal();
}

#[test]
fn a_failed_copy_onto_a_name_that_the_bucket_lost_keeps_the_old_name() {
    let sandbox = Sandbox::with(&[("z.jpg", "z"), ("a.jpg", "content number 1"), ("b.jpg", "content number 2")]);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.bucket.remove("site/b.jpg");
    a_move_that_fails_deletes_nothing(&sandbox, "a.jpg", "b.jpg");
}

#[test]
fn a_failed_copy_onto_a_lost_name_with_the_same_content_keeps_the_old_name() {
    let sandbox = Sandbox::with(&[("z.jpg", "z"), ("a.jpg", "content number 1"), ("b.jpg", "content number 1")]);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.bucket.remove("site/b.jpg");
    // The record of `b.jpg` from the first run has the very content that is to be copied.
    a_move_that_fails_deletes_nothing(&sandbox, "a.jpg", "b.jpg");
}

#[test]
fn a_failed_overwrite_by_a_move_keeps_the_old_name() {
    let sandbox = Sandbox::with(&[("z.jpg", "z"), ("a.jpg", "content number 1"), ("b.jpg", "content number 2")]);
    sandbox.push(&["--delete"]).exits(0);
    a_move_that_fails_deletes_nothing(&sandbox, "a.jpg", "b.jpg");
}

#[test]
fn a_failed_overwrite_by_a_move_of_another_size_keeps_the_old_name() {
    let sandbox = Sandbox::with(&[("z.jpg", "z"), ("a.jpg", "content number 1"), ("b.jpg", "short")]);
    sandbox.push(&["--delete"]).exits(0);
    a_move_that_fails_deletes_nothing(&sandbox, "a.jpg", "b.jpg");
}

#[test]
fn a_failed_write_of_other_content_holds_no_deletion_back() {
    let sandbox = Sandbox::with(&[("z.jpg", "z"), ("a.jpg", "content number 1"), ("b.jpg", "content number 2")]);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.remove("a.jpg");
    sandbox.write("b.jpg", "content number 3");
    sandbox.server.faults(|faults| {
        faults.add(Rule::new("PutObject", Effect::Status(403, "AccessDenied")).key("site/b.jpg"));
    });
    sandbox.push(&["--delete"]).exits(3).never_says("not deleted");
    assert!(!sandbox.remote().contains_key("a.jpg"));
}

#[test]
fn a_hundred_failed_moves_delete_nothing() {
    let sandbox = Sandbox::new();
    for n in 0..300 {
        sandbox.write(&format!("keep/{n:03}.jpg"), format!("kept content {n:03}"));
    }
    for n in 0..100 {
        sandbox.write(&format!("in/{n:03}.jpg"), format!("content of {n:03}!"));
        sandbox.write(&format!("out/{n:03}.jpg"), format!("elderly of {n:03}!"));
    }
    sandbox.push(&["--delete"]).exits(0);
    for n in 0..100 {
        sandbox.bucket.remove(&format!("site/out/{n:03}.jpg"));
        fs::rename(sandbox.media(&format!("in/{n:03}.jpg")), sandbox.media(&format!("out/{n:03}.jpg"))).unwrap();
    }
    sandbox.server.faults(|faults| {
        faults.add(Rule::new("CopyObject", Effect::Status(412, "PreconditionFailed")));
        faults.add(Rule::new("PutObject", Effect::Status(409, "ConditionalRequestConflict")).key("site/out/*"));
    });
    sandbox.push(&["--delete", "--max-delete", "0"]).exits(3);
    assert_eq!(sandbox.remote().keys().filter(|key| key.starts_with("in/")).count(), 100);
}

/// A 409 of a concurrent writer is no reason to remove anything: it would leave a deletion marker in a bucket with versions.
#[test]
fn a_concurrent_writer_makes_us_delete_nothing() {
    let sandbox = Sandbox::with(&[("z.jpg", "z")]);
    sandbox.push(&[]).exits(0);
    sandbox.bucket.set_versioning(Versioning::Enabled);
    sandbox.server.clear_log();
    sandbox.write("large.bin", bytes(1, 17 * 1024 * 1024));
    sandbox.server.faults(|faults| {
        faults.add(Rule::new("CompleteMultipartUpload", Effect::Status(409, "ConditionalRequestConflict")).times(1));
    });
    let ran = sandbox.push(&[]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert_eq!(sandbox.requested("DeleteObject"), Vec::<String>::new());
}
