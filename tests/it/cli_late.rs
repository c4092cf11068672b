//! A server that carries out what a killed run asked for, when the next run has already looked.

use std::fs;

use crate::support::s3::{Abandoned, Gate, Moment};
use crate::support::sandbox::{REMOTE, Sandbox};

/// A two-way job over five files, in sync, with a server that finishes what it was asked for.
fn library() -> Sandbox {
    let sandbox = Sandbox::with(&[]);
    for n in 0..5 {
        sandbox.write(&format!("{n}.jpg"), format!("picture {n}"));
    }
    let media = sandbox.path("media");
    let text = format!(
        "[remote.live]\ndsn = \"{REMOTE}\"\n[[job]]\nname = \"both\"\nsource = {media:?}\ndestination = \"live:\"\n\
         mode = \"two-way\"\n"
    );
    fs::write(sandbox.path("work/mediasync.toml"), text).unwrap();
    sandbox.run(&["sync"]).exits(0);
    sandbox.server.quirks(|quirks| quirks.abandoned = Abandoned::CarriedOut);
    sandbox
}

/// A run is killed when the server has all of a request and has done nothing of it yet.
fn killed_during(sandbox: &Sandbox, operation: &'static str, key: &str) -> Gate {
    let gate = sandbox.server.hold(Moment::BeforeHandling, operation, key);
    let run = sandbox.start(&["sync"]);
    gate.reached_blocking(1);
    run.kill();
    gate
}

fn happens(sandbox: &Sandbox, gate: &Gate, until: impl Fn(&Sandbox) -> bool) {
    gate.release();
    for _ in 0..1_000 {
        if until(sandbox) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("the server never did it");
}

fn remote_has(name: &'static str, content: &'static str) -> impl Fn(&Sandbox) -> bool {
    move |sandbox| sandbox.remote().get(name).is_some_and(|bytes| bytes == content.as_bytes())
}

#[test]
fn an_upload_that_comes_late_does_not_bring_a_deleted_file_back() {
    let sandbox = library();
    sandbox.write("new.jpg", "sent too late");
    let gate = killed_during(&sandbox, "PutObject", "site/new.jpg");
    sandbox.remove("new.jpg");
    sandbox.run(&["sync"]).exits(0);
    happens(&sandbox, &gate, remote_has("new.jpg", "sent too late"));
    sandbox.run(&["sync"]).exits(0);
    assert!(!sandbox.media("new.jpg").exists());
    sandbox.assert_equal();
}

#[test]
fn an_upload_that_comes_late_is_no_conflict_with_a_newer_edit() {
    let sandbox = library();
    sandbox.write("1.jpg", "first edit");
    let late = killed_during(&sandbox, "PutObject", "site/1.jpg");
    sandbox.write("1.jpg", "the second edit");
    // The next run has looked and sends: the old one comes first.
    let early = sandbox.server.hold(Moment::BeforeHandling, "PutObject", "site/1.jpg");
    let run = sandbox.start(&["sync"]);
    late.reached_blocking(2);
    happens(&sandbox, &late, remote_has("1.jpg", "first edit"));
    early.release();
    run.wait().exits(3).says(&["1.jpg"]);
    sandbox.run(&["sync"]).exits(0);
    sandbox.assert_equal();
    assert_eq!(fs::read(sandbox.media("1.jpg")).unwrap(), b"the second edit");
}

#[test]
fn a_deletion_that_comes_late_takes_nothing_from_the_other_side() {
    let sandbox = library();
    sandbox.remove("1.jpg");
    let gate = killed_during(&sandbox, "DeleteObject", "site/1.jpg");
    sandbox.write("1.jpg", "put back");
    sandbox.run(&["sync"]).exits(0);
    gate.release();
    std::thread::sleep(std::time::Duration::from_millis(300));
    sandbox.run(&["sync"]).exits(0);
    sandbox.assert_equal();
    assert_eq!(fs::read(sandbox.media("1.jpg")).unwrap(), b"put back");
}
