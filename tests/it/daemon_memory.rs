//! A daemon that runs for years keeps no memory of what it did.
#![cfg(target_os = "linux")]

use std::fs;
use std::time::Duration;

use super::support::sandbox::Sandbox;

/// Written again and again.
const FILES: usize = 500;
/// What a daemon has after its first work is what it has.
const BEFORE: usize = 5_000;
const CHANGES: usize = 100_000;

/// The control loop, the watcher's and one of the pool.
const AT_REST: u64 = 3;

/// Resident memory of a process, KiB.
fn resident(pid: u32) -> u64 {
    status(pid, "VmRSS:")
}

fn threads(pid: u32) -> u64 {
    status(pid, "Threads:")
}

/// A number of a process (`proc_pid_status(5)`).
fn status(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("proc_pid_status(5)");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn memory_after_100_000_changes_is_what_it_was_within_a_tenth() {
    let sandbox = Sandbox::new();
    let (from, to) = (sandbox.path("media"), sandbox.path("copy"));
    fs::create_dir_all(&from).expect("a directory");
    fs::create_dir_all(&to).expect("a directory");
    sandbox.configure_as(&format!(
        "[[job]]\nname = \"media\"\nsource = {from:?}\ndestination = {to:?}\nmode = \"copy\"\nmax_overwrite = \"100%\"\n\
         watch = true\n"
    ));
    let mut daemon = sandbox.daemon();
    let mut written = 0;
    let mut write = |count: usize| {
        for _ in 0..count {
            let content = format!("{written:0>200}");
            fs::write(from.join(format!("{}", written % FILES)), content).expect("written");
            written += 1;
            // About as fast as the daemon reads what it is told: a queue that overflows is another test.
            if written % 50 == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    };
    write(BEFORE);
    daemon.until_idle();
    // Threads that nothing is left for have ended then; what they had is not what it needs.
    let pid = daemon.id();
    daemon.wait_for("at rest before", || threads(pid) <= AT_REST);
    let before = resident(pid);
    write(CHANGES);
    daemon.until_idle();
    daemon.wait_for("at rest after", || threads(pid) <= AT_REST);
    let after = resident(pid);
    assert!(after * 10 <= before * 11, "{before} KiB before, {after} KiB after {CHANGES} changes");
    for number in 0..FILES {
        let name = number.to_string();
        assert_eq!(fs::read(from.join(&name)).expect("there"), fs::read(to.join(&name)).expect("there"), "{name}");
    }
    daemon.stop().exits(0);
}
