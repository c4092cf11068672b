//! What may happen to the directory that the daemon watches, to its limits and to the disk of its state: nothing is deleted
//! at the other side, the reason is said, and it goes on by itself.
//!
//! Mounts and limits are those of a user namespace of the daemon's own; nothing of the machine is changed. Where a machine
//! allows no such namespaces, a test says so on stderr and looks at nothing.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::daemon::Daemon;
use crate::support::sandbox::Sandbox;

/// The daemon in namespaces of its own, after `script`, which has the sandbox's directory in `$DIR`.
fn namespaced<'a>(sandbox: &'a Sandbox, script: &str) -> Option<Daemon<'a>> {
    let allowed = Command::new("unshare").args(["-Urm", "true"]).stderr(Stdio::null()).status();
    if !allowed.is_ok_and(|status| status.success()) {
        eprintln!("NOT TESTED: this machine allows no user namespaces (unshare -Urm)");
        return None;
    }
    let dir = sandbox.path("media").parent().unwrap().to_str().unwrap().to_owned();
    let script = format!("set -e; DIR='{dir}'; {script}; exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["-Urm", "/bin/sh", "-c", &script, "sh", env!("CARGO_BIN_EXE_mediasync")]);
    Some(sandbox.daemon_in(&mut command))
}

/// Runs a script where the daemon is.
fn inside(daemon: &Daemon<'_>, sandbox: &Sandbox, script: &str) {
    let dir = sandbox.path("media").parent().unwrap().to_str().unwrap().to_owned();
    let script = format!("set -e; DIR='{dir}'; {script}");
    let pid = daemon.id().to_string();
    let mut command = Command::new("nsenter");
    command.args(["-t", &pid, "-U", "-m", "--preserve-credentials", "/bin/sh", "-c", &script]);
    let out = command.output().unwrap();
    assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
}

fn photos(sandbox: &Sandbox, count: usize) {
    for n in 0..count {
        sandbox.write(&format!("{}/{n}.jpg", n % 3), format!("photo {n}"));
    }
}

/// So long until a root that is gone is seen to be so, and until it is looked at again when it is back.
fn is_told(job: &serde_json::Value) -> bool {
    let told = job["phase"] == "halted" || job["phase"] == "lost" || job["phase"] == "failing";
    told && (!job["halt"].is_null() || !job["error"].is_null())
}

fn nothing_was_deleted(sandbox: &Sandbox, count: usize) {
    let changed = sandbox.take_changed();
    assert!(!changed.iter().any(|line| line.starts_with("DELETE")), "{changed:?}");
    assert!(sandbox.remote_names().len() >= count);
}

#[test]
fn a_root_that_is_renamed_and_comes_back() {
    let sandbox = Sandbox::new();
    photos(&sandbox, 30);
    sandbox.configure("");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.take_changed();
    fs::rename(sandbox.path("media"), sandbox.path("elsewhere")).unwrap();
    let job = daemon.until("it says that the root is gone", is_told);
    assert_eq!(job["watch"]["coverage"], "lost", "{job:#}");
    fs::write(sandbox.path("elsewhere/new.jpg"), "new").unwrap();
    fs::rename(sandbox.path("elsewhere"), sandbox.path("media")).unwrap();
    daemon.until_equal();
    let job = daemon.until("it watches again", |job| job["watch"]["coverage"] == "full");
    assert!(job["halt"].is_null() && job["error"].is_null(), "{job:#}");
    sandbox.write("0/later.jpg", "later");
    daemon.until_equal();
    assert_eq!(sandbox.take_changed(), ["PUT new.jpg", "PUT 0/later.jpg"]);
    daemon.stop().exits(0);
}

#[test]
fn a_root_that_is_another_directory_empties_nothing() {
    let sandbox = Sandbox::new();
    photos(&sandbox, 8);
    sandbox.configure("");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.take_changed();
    fs::rename(sandbox.path("media"), sandbox.path("elsewhere")).unwrap();
    fs::create_dir(sandbox.path("media")).unwrap();
    daemon.until("it says that it is another one", is_told);
    nothing_was_deleted(&sandbox, 8);
    fs::remove_dir(sandbox.path("media")).unwrap();
    fs::rename(sandbox.path("elsewhere"), sandbox.path("media")).unwrap();
    daemon.until("all is well", |job| job["phase"] == "idle" && job["halt"].is_null() && job["error"].is_null());
    sandbox.write("0/later.jpg", "later");
    daemon.until_equal();
    assert_eq!(sandbox.take_changed(), ["PUT 0/later.jpg"]);
    daemon.stop().exits(0);
}

#[test]
fn a_root_that_is_deleted_with_all_in_it_empties_nothing() {
    let sandbox = Sandbox::new();
    photos(&sandbox, 8);
    sandbox.configure("");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.take_changed();
    fs::remove_dir_all(sandbox.path("media")).unwrap();
    daemon.until("it says that the root is gone", is_told);
    nothing_was_deleted(&sandbox, 8);
    fs::create_dir(sandbox.path("media")).unwrap();
    // Another one, and empty: a person has to say that this is meant.
    daemon.until("it halts", |job| job["phase"] == "halted");
    nothing_was_deleted(&sandbox, 8);
    daemon.stop().exits(0);
}

#[test]
fn a_root_that_is_unmounted_and_mounted_again() {
    let sandbox = Sandbox::new();
    let mount = "mount -t tmpfs -o size=1m tmpfs $DIR/media";
    let fill = "for n in 1 2 3 4 5 6 7 8; do echo photo $n > $DIR/media/$n.jpg; done";
    fs::create_dir(sandbox.path("kept")).unwrap();
    sandbox.configure("");
    let script = format!("{mount}; {fill}; mount --bind $DIR/media $DIR/kept");
    let Some(mut daemon) = namespaced(&sandbox, &script) else { return };
    daemon.wait_for("all of it", || sandbox.remote_names().len() == 8);
    daemon.until_idle();
    sandbox.take_changed();
    inside(&daemon, &sandbox, "umount $DIR/media");
    // What is there now is the empty directory below.
    daemon.until("it says that it is another one", is_told);
    nothing_was_deleted(&sandbox, 8);
    inside(&daemon, &sandbox, "mount --bind $DIR/kept $DIR/media; echo new > $DIR/media/new.jpg");
    daemon.wait_for("what is new", || sandbox.remote_names().len() == 9);
    daemon.until("all is well", |job| job["phase"] == "idle" && job["watch"]["coverage"] == "full");
    assert_eq!(sandbox.take_changed(), ["PUT new.jpg"]);
    daemon.stop().exits(0);
}

#[test]
fn where_the_limit_of_watches_is_reached_it_says_so_and_scans_more_often() {
    let sandbox = Sandbox::new();
    for n in 0..500 {
        sandbox.write(&format!("{n}/photo.jpg"), format!("photo {n}"));
    }
    sandbox.configure("full_scan_interval = \"10s\"");
    let script = "echo 50 > /proc/sys/user/max_inotify_watches";
    let Some(mut daemon) = namespaced(&sandbox, script) else { return };
    daemon.until_equal();
    let job = daemon.job();
    assert_eq!(job["watch"]["coverage"], "degraded", "{job:#}");
    let why = job["watch"]["why"].as_str().unwrap();
    assert!(why.contains("of 501 directories") && why.contains("max_user_watches"), "{why}");
    sandbox.take_changed();
    for n in 0..500 {
        sandbox.write(&format!("{n}/second.jpg"), format!("second {n}"));
    }
    sandbox.remove("499/photo.jpg");
    daemon.until_equal();
    let changed = sandbox.take_changed();
    assert_eq!(changed.len(), 501);
    assert_eq!(changed.iter().filter(|line| line.starts_with("DELETE")).count(), 1);
    daemon.stop().exits(0);
}

#[test]
fn a_full_disk_of_the_state_loses_nothing_and_goes_on_when_there_is_room() {
    let sandbox = Sandbox::new();
    photos(&sandbox, 30);
    sandbox.configure("");
    let mount = "mount -t tmpfs -o size=32m tmpfs $DIR/state";
    let Some(mut daemon) = namespaced(&sandbox, mount) else { return };
    // The socket lies on that disk, which nobody else sees.
    let root = format!("/proc/{}/root{}", daemon.id(), sandbox.path("state/control.sock").display());
    daemon.reach_by(Path::new(&root));
    daemon.until_equal();
    inside(&daemon, &sandbox, "dd if=/dev/zero of=$DIR/state/filler bs=64k 2> /dev/null || true");
    for n in 0..2_000 {
        sandbox.write(&format!("many/{n}-a-name-that-takes-some-room-in-a-database.jpg"), format!("photo {n}"));
    }
    sandbox.remove("0/0.jpg");
    let job = daemon.until("it says so", |job| !job["error"].is_null() || !job["halt"].is_null());
    assert!(job["error"]["message"].as_str().unwrap().contains("full"), "{job:#}");
    inside(&daemon, &sandbox, "rm $DIR/state/filler");
    daemon.until_equal();
    assert_eq!(sandbox.remote_names().len(), 2_029);
    daemon.stop().exits(0);
}
