//! `trash restore` and `trash empty` where a job with `lease = true` has its lease.

use std::fs;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::support::sandbox::{PREFIX, REMOTE, Sandbox};

const LEASE: &str = ".mediasync/lease";

/// Seconds.
const TTL: u64 = 2;

/// A job whose last run kept two files in the bucket's trash; and the name of that run.
fn kept() -> (Sandbox, String) {
    let mut sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c")]);
    sandbox.env("MEDIASYNC_LEASE_TTL", &TTL.to_string());
    let media = sandbox.path("media");
    let text = format!(
        "[remote.live]\ndsn = \"{REMOTE}\"\n[[job]]\nname = \"media\"\nsource = {media:?}\ndestination = \"live:\"\n\
         mode = \"copy\"\ndelete = true\nlease = true\n"
    );
    fs::write(sandbox.path("work/mediasync.toml"), text).unwrap();
    sandbox.run(&["sync"]).exits(0);
    sandbox.remove("a.jpg");
    sandbox.remove("b.jpg");
    sandbox.run(&["sync", "--max-delete", "2"]).exits(0);
    let listed = sandbox.run(&["trash", "list", "media", "--json"]).exits(0).json();
    assert_eq!(listed.len(), 2, "{listed:?}");
    let run = listed[0]["run"].as_str().unwrap().to_owned();
    sandbox.server.clear_log();
    (sandbox, run)
}

/// What was changed at the bucket.
fn changes(sandbox: &Sandbox) -> Vec<String> {
    let requests = sandbox.server.changing_requests();
    let name = |key: &str| key.strip_prefix(PREFIX).unwrap_or(key).to_owned();
    let done = requests.iter().filter(|entry| entry.status.is_some_and(|status| status < 300));
    let changes: Vec<String> =
        done.map(|entry| format!("{} {}", entry.call.operation, name(&entry.call.key))).collect();
    sandbox.server.clear_log();
    changes
}

/// The same place, however it is named.
fn commands(run: &str) -> Vec<Vec<&str>> {
    let mut all = Vec::new();
    for place in ["media", "live:", REMOTE] {
        all.push(vec!["trash", "restore", place, "--run", run]);
        all.push(vec!["trash", "empty", place, "--yes"]);
    }
    all
}

#[test]
fn the_trash_of_a_job_with_a_lease_is_changed_only_while_it_is_held() {
    for restores in [true, false] {
        let (sandbox, run) = kept();
        let command = commands(&run).remove(usize::from(!restores));
        sandbox.run(&[&command[..], &["-n"]].concat()).exits(0);
        assert_eq!(changes(&sandbox), Vec::<String>::new(), "to look needs no lease");
        sandbox.run(&command).exits(0).says(&["2 files"]);
        let changed = changes(&sandbox);
        let (first, last) = (format!("PutObject {LEASE}"), format!("DeleteObject {LEASE}"));
        assert!(changed.len() > 2 && changed[0] == first && changed[changed.len() - 1] == last, "{changed:?}");
        assert_eq!(changed.iter().filter(|what| what.ends_with(LEASE)).count(), 2, "{changed:?}");
        assert_eq!(sandbox.own_keys(), ["id"]);
        assert_eq!(sandbox.remote().len(), if restores { 3 } else { 1 });
    }
}

#[test]
fn while_another_host_holds_the_lease_nothing_of_the_trash_is_changed() {
    let (sandbox, run) = kept();
    let (before, works) = (sandbox.trash(), AtomicBool::new(true));
    let words = |n: u64| format!("{{\"v\":1,\"holder\":\"theirs\",\"generation\":1,\"renewal\":{n},\"ttl\":{TTL}}}");
    let refused: Vec<_> = std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                sandbox.bucket.put(&format!("{PREFIX}{LEASE}"), words(n));
                if !works.load(Relaxed) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let refused = commands(&run).iter().map(|command| sandbox.run(command)).collect();
        works.store(false, Relaxed);
        refused
    });
    for ran in refused {
        ran.exits(5).says(&["another host holds the lease of s3://", "run it again when that is done"]);
    }
    assert_eq!((changes(&sandbox), sandbox.trash(), sandbox.remote().len()), (vec![], before, 1));
    // That host died: its time ends, and then it is passed over.
    sandbox.run(&commands(&run)[0]).exits(0).says(&["Restored 2 files"]);
    assert_eq!((sandbox.remote().len(), sandbox.own_keys()), (3, vec!["id".to_owned()]));
}

/// People change a directory at any time without a lease, and what is put back there goes on with the next run.
#[test]
fn what_is_put_back_in_a_directory_needs_no_lease() {
    let (sandbox, _) = kept();
    let text = fs::read_to_string(sandbox.path("work/mediasync.toml")).unwrap();
    let text = text.replace("mode = \"copy\"\ndelete = true", "mode = \"two-way\"");
    fs::write(sandbox.path("work/mediasync.toml"), text).unwrap();
    for name in ["d.jpg", "e.jpg", "f.jpg"] {
        sandbox.write(name, "new");
    }
    sandbox.run(&["sync"]).exits(0);
    for name in ["d.jpg", "e.jpg"] {
        assert!(sandbox.bucket.remove(&format!("{PREFIX}{name}")));
    }
    sandbox.run(&["sync"]).exits(0);
    sandbox.server.clear_log();
    let theirs = |n: u64| format!("{{\"v\":1,\"holder\":\"theirs\",\"generation\":1,\"renewal\":{n},\"ttl\":3600}}");
    sandbox.bucket.put(&format!("{PREFIX}{LEASE}"), theirs(1));
    sandbox.run(&["trash", "restore", "media", "d.jpg", "--side", "source"]).exits(0).says(&["Restored 1 file"]);
    sandbox.run(&["trash", "empty", "media", "--side", "source", "--yes"]).exits(0).says(&["Removed 1 file"]);
    assert_eq!(changes(&sandbox), Vec::<String>::new());
    assert!(sandbox.bucket.remove(&format!("{PREFIX}{LEASE}")));
    sandbox.run(&["sync"]).exits(0);
    assert!(sandbox.remote().contains_key("d.jpg"));
    sandbox.assert_equal();
}
