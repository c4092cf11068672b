//! Other writers: what they changed is told and kept, unless the user says that the source wins. And plans that are
//! carried out later.

use std::fs;

use crate::support::s3::{ETags, Moment};
use crate::support::sandbox::{PREFIX, Sandbox};

#[test]
fn a_third_partys_change_is_told_with_both_sides_and_kept() {
    let sandbox = Sandbox::with(&[("a.jpg", "ours"), ("b.jpg", "b"), ("c.jpg", "c")]);
    sandbox.push(&[]).exits(0);
    sandbox.put("a.jpg", "somebody else's");
    sandbox.write("a.jpg", "ours again");
    sandbox.write("b.jpg", "changed");
    let ran = sandbox.push(&[]).exits(3);
    let ran = ran.says(&[
        "conflict: a.jpg",
        "changed since the last run, and not by this pair",
        "--overwrite",
        "10 B",
        "15 B",
        "source",
        "destination",
    ]);
    let year = ran.all().matches("20").count();
    assert!(year >= 2, "times of both sides: {ran:?}");
    assert_eq!(
        (&sandbox.content("a.jpg")[..], &sandbox.content("b.jpg")[..]),
        (&b"somebody else's"[..], &b"changed"[..])
    );
    sandbox.assert_idle(&[], 3);
    sandbox.push(&["--overwrite", "-v"]).exits(0).says(&["a.jpg", "replaces a change at destination"]);
    sandbox.assert_equal();
    sandbox.assert_second_run_does_nothing(&[]);
}

#[test]
fn a_change_only_at_the_destination_is_left_there_and_told() {
    let sandbox = Sandbox::with(&[("a.jpg", "ours"), ("b.jpg", "b")]);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.put("a.jpg", "somebody else's");
    sandbox.push(&["--delete"]).exits(3).says(&["a.jpg", "changed since the last run, and not by this pair"]);
    assert_eq!(&sandbox.content("a.jpg")[..], b"somebody else's");
    sandbox.mirror(&[]).exits(0);
    sandbox.assert_equal();
}

#[test]
fn a_first_push_onto_other_content_is_a_conflict() {
    let sandbox = Sandbox::with(&[("a.jpg", "ours"), ("b.jpg", "b")]);
    sandbox.put("a.jpg", "there before");
    sandbox.push(&["--delete"]).exits(3).says(&["conflict: a.jpg", "never agreed", "4 B", "12 B"]);
    assert_eq!((&sandbox.content("a.jpg")[..], &sandbox.content("b.jpg")[..]), (&b"there before"[..], &b"b"[..]));
    sandbox.push(&["--overwrite", "-v"]).exits(0).says(&["a.jpg", "replaces a change at destination"]);
    sandbox.assert_equal();
}

#[test]
fn content_that_can_not_be_compared_is_a_conflict_that_names_both_flags() {
    let sandbox = Sandbox::with(&[("a.jpg", "same"), ("b.jpg", "ours")]);
    sandbox.server.quirks(|quirks| quirks.etags = ETags::Opaque);
    sandbox.put("a.jpg", "same");
    sandbox.put("b.jpg", "them");
    sandbox.push(&[]).exits(3).says(&["a.jpg", "--compare=download", "--overwrite"]);
    let ran = sandbox.push(&["--compare=download"]).exits(3).says(&["conflict: b.jpg"]).never_says("conflict: a.jpg");
    assert!(!ran.all().contains("a.jpg: both"), "{ran:?}");
    assert_eq!(&sandbox.content("b.jpg")[..], b"them");
}

#[test]
fn a_deletion_meets_a_change_and_is_a_conflict() {
    let sandbox = Sandbox::with(&[("a.jpg", "ours"), ("b.jpg", "b")]);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.put("a.jpg", "somebody else's");
    sandbox.remove("a.jpg");
    sandbox.push(&["--delete"]).exits(3).says(&["conflict: a.jpg", "deleted at the source"]);
    assert_eq!(&sandbox.content("a.jpg")[..], b"somebody else's");
    sandbox.push(&["--delete", "--overwrite"]).exits(0);
    sandbox.assert_equal();
}

#[test]
fn both_sides_changed_to_the_same_content_and_agree() {
    let sandbox = Sandbox::with(&[("a.jpg", "before"), ("b.jpg", "b")]);
    sandbox.push(&[]).exits(0);
    sandbox.write("a.jpg", "after");
    sandbox.put("a.jpg", "after");
    sandbox.assert_second_run_does_nothing(&[]);
    sandbox.assert_equal();
}

#[test]
fn a_write_between_the_listing_and_ours_is_never_overwritten() {
    for existing in [true, false] {
        let sandbox = Sandbox::with(&[("b.jpg", "b")]);
        if existing {
            sandbox.write("a.jpg", "first");
        }
        sandbox.push(&[]).exits(0);
        sandbox.write("a.jpg", "ours");
        let gate = sandbox.server.hold(Moment::BeforeHandling, "PutObject", "site/a.jpg");
        let run = sandbox.start_push(&[]);
        gate.reached_blocking(1);
        sandbox.put("a.jpg", "just in time");
        gate.release();
        run.wait().exits(3).says(&["a.jpg", "changed since it was looked at"]);
        assert_eq!(&sandbox.content("a.jpg")[..], b"just in time");
        sandbox.push(&[]).exits(3).says(&["conflict: a.jpg"]);
    }
}

#[test]
fn a_write_between_the_listing_and_our_deletion_is_never_deleted() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.remove("a.jpg");
    let operation = "DeleteObjects";
    let gates =
        [operation, "DeleteObject"].map(|operation| sandbox.server.hold(Moment::BeforeHandling, operation, "*"));
    let run = sandbox.start_push(&["--delete"]);
    let begun = std::time::Instant::now();
    while sandbox.server.count(operation) + sandbox.server.count("DeleteObject") == 0 {
        assert!(begun.elapsed().as_secs() < 10, "a deletion is sent");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    sandbox.put("a.jpg", "just in time");
    gates.iter().for_each(super::support::s3::Gate::release);
    run.wait().exits(3).says(&["a.jpg"]);
    assert_eq!(&sandbox.content("a.jpg")[..], b"just in time");
}

fn saved(sandbox: &Sandbox) -> String {
    let plan = sandbox.path("work/plan.json").to_str().unwrap().to_owned();
    sandbox.server.clear_log();
    sandbox.push(&["--delete", "--save-plan", &plan]).exits(0);
    sandbox.assert_changes(&[]);
    plan
}

#[test]
fn a_saved_plan_is_carried_out_as_it_is() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    sandbox.push(&["--delete"]).exits(0);
    sandbox.write("a.jpg", "changed");
    sandbox.remove("b.jpg");
    sandbox.write("c.jpg", "new");
    let plan = saved(&sandbox);
    sandbox.write("later.jpg", "not in the plan");
    sandbox.run(&["apply", &plan]).exits(0);
    let keys: Vec<String> = sandbox.remote().into_keys().collect();
    assert_eq!(keys, ["a.jpg", "c.jpg"]);
    assert_eq!(&sandbox.content("a.jpg")[..], b"changed");
    sandbox.push(&["--delete"]).exits(0);
    sandbox.assert_equal();
    sandbox.assert_second_run_does_nothing(&["--delete"]);
}

#[test]
fn a_saved_plan_is_refused_for_what_drifted() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c"), ("d.jpg", "d"), ("e.jpg", "e")]);
    sandbox.push(&["--delete"]).exits(0);
    for name in ["a.jpg", "b.jpg", "e.jpg"] {
        sandbox.write(name, format!("changed {name}"));
    }
    sandbox.remove("c.jpg");
    sandbox.remove("d.jpg");
    let plan = saved(&sandbox);
    // The source, the destination of an overwrite, the destination of a deletion, a file that came back.
    sandbox.write("a.jpg", "and once more");
    sandbox.put("b.jpg", "drifted");
    sandbox.put("c.jpg", "drifted");
    sandbox.write("d.jpg", "d is back");
    sandbox.run(&["apply", &plan]).exits(3).says(&["a.jpg", "b.jpg", "c.jpg", "d.jpg"]);
    let content = |name: &str| String::from_utf8(sandbox.content(name).to_vec()).unwrap();
    let found = ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"].map(content);
    assert_eq!(found, ["a", "drifted", "drifted", "d", "changed e.jpg"]);
}

#[test]
fn a_plan_of_a_first_contact_that_was_carried_out_in_part_can_be_tried_again() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    let plan = saved(&sandbox);
    sandbox.write("b.jpg", "edited since");
    for _ in 0..2 {
        sandbox.run(&["apply", &plan]).exits(3).says(&["b.jpg"]).never_says("somebody else").never_says("a.jpg:");
        assert_eq!(sandbox.remote().into_keys().collect::<Vec<_>>(), ["a.jpg"]);
    }
}

#[test]
fn a_plan_that_is_no_plan_is_refused() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let plan = sandbox.path("work/plan.json");
    fs::write(&plan, "{}").unwrap();
    let ran = sandbox.run(&["apply", plan.to_str().unwrap()]);
    assert!(matches!(ran.code, 1 | 2), "{ran:?}");
    sandbox.run(&["approve", "media", "0123456789abcdef"]).exits(2);
    sandbox.run(&["apply", "nofile.json"]).exits(2).says(&["there is no file nofile.json"]).never_says("needs");
    sandbox.assert_changes(&[]);
}

#[test]
fn a_plan_that_was_carried_out_says_so_and_the_same_one_made_again_is_another() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    let plan = sandbox.path("work/plan.json");
    let plan = plan.to_str().unwrap();
    sandbox.push(&["--save-plan", plan]).exits(0);
    sandbox.run(&["apply", plan]).exits(0);
    for _ in 0..2 {
        assert!(sandbox.bucket.remove(&format!("{PREFIX}b.jpg")));
        sandbox.push(&["--save-plan", plan]).exits(0);
        sandbox.run(&["apply", plan]).exits(0);
        sandbox.assert_equal();
        sandbox.server.clear_log();
        let again = sandbox.run(&["apply", plan]).exits(2);
        again.says(&["already carried out on ", "--save-plan"]).never_says("somebody else");
        sandbox.assert_changes(&[]);
        // It is no failed run either.
        sandbox.run(&["status"]).exits(0);
    }
    sandbox.put("theirs.jpg", "theirs");
    let halted = sandbox.mirror(&[]).exits(4);
    let words = halted.way_out();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    sandbox.run(&words).exits(0);
    sandbox.run(&words).exits(2).says(&["already carried out on ", "nothing awaits approval"]);
    sandbox.run(&["status"]).exits(0);
}
