//! Downloads from a container: in ranges of one version, going on after a kill; what can't be read is a problem of its key.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use super::container::{MIB, Place, assert_done, on_each_server, requests};
use crate::support::front::{Call, Front, Then};
use crate::support::sandbox::bytes;

/// The same place, reached through something that counts and slows down.
fn through(place: &mut Place) -> Front {
    let front = place.front();
    let dsn = place.dsn_by(&front, &place.server.key);
    place.sandbox.env("DEFAULT_STORAGE_DSN", &dsn);
    front
}

fn is_range(call: &Call) -> bool {
    call.is("GET", "") && call.path.ends_with("large.bin")
}

fn ranges(front: &Front) -> usize {
    front.calls().iter().filter(|call| is_range(call) && call.status == Some(206)).count()
}

/// A pull that is killed when so many ranges of `large.bin` came.
fn kill_after(place: &Place, front: &Front, count: usize) {
    let asked = AtomicUsize::new(0);
    front.on(move |call| {
        let is_late = is_range(call) && asked.fetch_add(1, Relaxed) >= count;
        is_late.then(|| Then::Late(Duration::from_secs(30)))
    });
    let run = place.sandbox.start_pull(&[]);
    place.sandbox.await_parts(count, || ranges(front));
    assert_eq!(run.kill(), -9, "the run ended too early");
    front.pass_all();
    front.clear();
}

#[test]
fn a_large_pull_from_azure_goes_on_where_it_was_killed() {
    on_each_server(|mut place| {
        let content = bytes(1, 64 * MIB + 5);
        place.raw.put("large.bin", &content);
        let front = through(&mut place);
        kill_after(&place, &front, 5);
        place.sandbox.pull(&[]).exits(0);
        assert_eq!(ranges(&front), 12, "17 ranges, and five were there");
        assert!(front.calls().iter().filter(|call| is_range(call)).all(|call| !call.header("if-match").is_empty()));
        assert!(place.sandbox.local()["large.bin"] == content);
        assert_eq!(place.sandbox.files("media").len(), 1, "nothing is left over");
        front.clear();
        place.sandbox.pull(&[]).exits(0);
        assert_eq!(ranges(&front), 0);
    });
}

#[test]
fn what_was_kept_of_a_killed_pull_from_azure_is_no_use_for_another_version() {
    on_each_server(|mut place| {
        place.raw.put("large.bin", &bytes(1, 40 * MIB));
        let front = through(&mut place);
        kill_after(&place, &front, 3);
        place.raw.put("large.bin", &bytes(2, 40 * MIB));
        place.sandbox.pull(&[]).exits(0);
        assert!(place.sandbox.local()["large.bin"] == bytes(2, 40 * MIB));
        assert_eq!(place.sandbox.files("media").len(), 1, "nothing is left over");
    });
}

#[test]
fn a_blob_that_changes_between_its_ranges_is_not_mixed() {
    on_each_server(|mut place| {
        place.raw.put("large.bin", &bytes(1, 40 * MIB));
        let front = through(&mut place);
        let asked = AtomicUsize::new(0);
        let gate = front.hold(move |call| is_range(call) && asked.fetch_add(1, Relaxed) == 2);
        let run = place.sandbox.start_pull(&[]);
        gate.reached();
        place.raw.put("large.bin", &bytes(2, 40 * MIB));
        drop(gate);
        run.wait().exits(3).says(&["large.bin"]);
        assert!(!place.sandbox.local().contains_key("large.bin"));
        place.sandbox.pull(&[]).exits(0);
        assert!(place.sandbox.local()["large.bin"] == bytes(2, 40 * MIB));
    });
}

#[test]
fn an_archived_blob_is_a_problem_of_its_key_only() {
    on_each_server(|place| {
        place.raw.put("a.jpg", b"a");
        place.raw.put("cold.jpg", b"cold");
        place.raw.put("cold-large.bin", &bytes(1, 9 * MIB));
        place.raw.put("z.jpg", b"z");
        place.raw.script("tier", "cold.jpg", b"Archive");
        place.raw.script("tier", "cold-large.bin", b"Archive");
        let ran = place.sandbox.pull(&["--json"]).exits(3);
        assert_done(&ran.line("summary"), &[("creates", 2)]);
        assert_eq!(requests(&ran.line("summary"), "GetBlob"), 2, "what can't be read is not asked for: {ran:?}");
        let problems: Vec<_> = ran.json().into_iter().filter(|line| line["type"] == "problem").collect();
        let keys: Vec<_> = problems.iter().map(|line| line["key"].as_str().unwrap()).collect();
        assert_eq!(keys, ["cold-large.bin", "cold.jpg"], "{ran:?}");
        for problem in problems {
            let told = problem.to_string();
            assert!(told.contains("archived") && told.contains("tier"), "{told}");
        }
        assert_eq!(place.sandbox.local().into_keys().collect::<Vec<_>>(), ["a.jpg", "z.jpg"]);
        // Nothing of it is deleted, and once it is online again it comes.
        place.sandbox.pull(&["--delete"]).exits(3);
        place.raw.script("tier", "cold.jpg", b"Hot");
        place.raw.script("tier", "cold-large.bin", b"Cool");
        place.sandbox.pull(&["--delete"]).exits(0);
        assert_eq!(place.sandbox.local().len(), 4);
    });
}

/// A page of a listing with nothing in it.
fn empty_page(next: &str) -> Then {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"http://x/\" ContainerName=\"c\">\
         <Blobs></Blobs><NextMarker>{next}</NextMarker></EnumerationResults>"
    );
    Then::Answer(200, vec![("content-type", "application/xml".to_owned())], body)
}

#[test]
fn a_listing_of_azure_that_lies_deletes_nothing() {
    on_each_server(|mut place| {
        for n in 0..12 {
            place.raw.put(&format!("{n}.jpg"), b"here");
        }
        let front = through(&mut place);
        place.sandbox.pull(&["--delete"]).exits(0);
        let before = place.sandbox.local();
        assert_eq!(before.len(), 12);
        // It says that there is more and gives the same place again; that there is nothing; that it may not be asked.
        for (then, code, told) in [
            (empty_page("again"), 1, "a continuation marker came twice"),
            (empty_page(""), 4, "empty"),
            (Then::refuse(403, "AuthorizationPermissionMismatch"), 1, "ListBlobs on container"),
            (Then::refuse(404, "ContainerNotFound"), 1, "does not exist"),
        ] {
            front.pass_all();
            front.on(move |call| {
                // The first contact asks for one name, and is answered.
                let is_listing = call.query.contains("comp=list") && !call.query.contains("maxresults=1&");
                (is_listing && !call.query.ends_with("maxresults=1")).then(|| then.clone())
            });
            let ran = place.sandbox.pull(&["--delete"]).exits(code).says(&[told]);
            assert_eq!(place.sandbox.local(), before, "{ran:?}");
        }
        front.pass_all();
        place.sandbox.pull(&["--delete"]).exits(0);
        assert_eq!(place.sandbox.local(), before);
    });
}
