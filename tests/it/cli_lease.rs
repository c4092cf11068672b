//! A job with `lease = true` that is run by hand while another host is at it.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::sandbox::{PREFIX, REMOTE, Sandbox};

const LEASE: &str = ".mediasync/lease";

fn leased() -> Sandbox {
    let mut sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    // Hosts that differ in it wait for the longer one.
    sandbox.env("MEDIASYNC_LEASE_TTL", "30");
    let media = sandbox.path("media");
    let text = format!(
        "[remote.live]\ndsn = \"{REMOTE}\"\n[[job]]\nname = \"media\"\nsource = {media:?}\ndestination = \"live:\"\n\
         mode = \"copy\"\nlease = true\n"
    );
    fs::write(sandbox.path("work/mediasync.toml"), text).unwrap();
    sandbox
}

/// What the other host sent in the meantime is neither sent again nor in the way.
#[test]
fn a_run_that_waited_for_another_host_decides_anew() {
    let sandbox = leased();
    let key = |name: &str| format!("{PREFIX}{name}");
    let words = "{\"v\":1,\"holder\":\"theirs\",\"generation\":1,\"renewal\":0,\"ttl\":30}";
    sandbox.bucket.put(&key(LEASE), words);
    let run = sandbox.start(&["sync"]);
    let begun = Instant::now();
    while !sandbox.requested("GetObject").iter().any(|key| key.ends_with(LEASE)) {
        assert!(begun.elapsed() < Duration::from_secs(30), "it asks for the lease");
        std::thread::sleep(Duration::from_millis(5));
    }
    sandbox.bucket.put(&key("a.jpg"), "a");
    sandbox.bucket.remove(&key(LEASE));
    let ran = run.wait();
    ran.exits(0).says(&["another host was at s3://", "both sides are looked at again", "Created 1"]);
    assert!(!sandbox.requested("PutObject").iter().any(|key| key.ends_with("a.jpg")), "it is there");
    assert_eq!(sandbox.remote().len(), 2);
    assert_eq!(sandbox.own_keys(), ["id"]);
}
