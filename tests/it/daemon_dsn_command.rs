//! Commands that print DSNs take their time, or hang: the daemon goes on meanwhile.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::support::daemon::{JOB, ask};
use super::support::sandbox::Sandbox;

/// A job whose place is told by a command that waits for the file `go`, and another one that is there at once. `runs`
/// has a line for each time that the command was run.
fn slow() -> Sandbox {
    let sandbox = Sandbox::with(&[("a.txt", "one")]);
    fs::create_dir(sandbox.path("backup")).unwrap();
    let dsn = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint()));
    fs::write(sandbox.path("dsn"), dsn).unwrap();
    let at = |name: &str| sandbox.path(name).display().to_string();
    let script = format!(
        "echo run >> {}; while [ ! -e {} ] && [ -e {} ]; do sleep 0.02; done; cat {}",
        at("runs"),
        at("go"),
        at("config.toml"),
        at("dsn")
    );
    let job = |name: &str, to: &str| {
        format!(
            "[[job]]\nname = {name:?}\nsource = {:?}\ndestination = {to:?}\nmode = \"copy\"\nwatch = true\n",
            at("media")
        )
    };
    let remote = format!("[remote.shop]\ndsn_command = [\"/bin/sh\", \"-c\", {script:?}]\n");
    sandbox.configure_as(&format!("{remote}{}{}", job(JOB, "shop:"), job("copy", &at("backup"))));
    sandbox
}

fn runs(sandbox: &Sandbox) -> usize {
    fs::read_to_string(sandbox.path("runs")).unwrap_or_default().lines().count()
}

#[test]
fn a_command_that_takes_its_time_keeps_nobody_else_waiting() {
    let mut sandbox = slow();
    let at = sandbox.path("manager.sock");
    let manager = UnixDatagram::bind(&at).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    sandbox.env("NOTIFY_SOCKET", at.to_str().unwrap());
    sandbox.env("WATCHDOG_USEC", "200000");
    let mut daemon = sandbox.daemon();
    let heard = |word: &str| {
        let mut text = [0; 4096];
        let is_it = |_| {
            let length = manager.recv(&mut text).expect("the manager hears of something");
            String::from_utf8_lossy(&text[..length]).contains(word)
        };
        assert!((0..200).any(is_it), "{word} never came");
    };
    let goes_on = |daemon: &mut super::support::daemon::Daemon<'_>, run: usize| {
        daemon.wait_for("the command is run", || runs(&sandbox) == run);
        (0..5).for_each(|_| heard("WATCHDOG=1"));
        daemon.wait_for("status answers, and the other job is done", || {
            let state = ask(&sandbox.path("state/control.sock"), &json!({"v": 1, "ask": "status"})).unwrap();
            let jobs = &state[0]["state"]["jobs"];
            (&jobs[0]["phase"], &jobs[1]["phase"]) == (&json!("starting"), &json!("idle"))
        });
        assert_eq!((runs(&sandbox), sandbox.server.requests().len()), (run, 0), "it waits still");
    };
    heard("READY=1");
    goes_on(&mut daemon, 1);
    // What people type does not run it again.
    sandbox.by_config(&["status"]).exits(3).says(&["media", "not looked at both sides yet", "in sync, since"]);
    assert!(sandbox.path("backup/a.txt").exists());
    // A reload runs it anew.
    sandbox.configure_as(&(fs::read_to_string(sandbox.path("config.toml")).unwrap() + "exclude = [\"*.tmp\"]\n"));
    daemon.signal(Signal::HUP);
    goes_on(&mut daemon, 2);
    fs::write(sandbox.path("go"), "").unwrap();
    let job = daemon.until_equal();
    assert_eq!((runs(&sandbox), job["totals"]["cycles_both"].as_u64()), (2, Some(1)));
    assert!(job["dest"].as_str().unwrap().starts_with("s3://"), "{job}");
    sandbox.by_config(&["status"]).exits(0).says(&["in sync, since"]);
    assert_eq!(runs(&sandbox), 2);
    daemon.stop().exits(0);
}

#[test]
fn a_daemon_ends_while_a_command_hangs_and_waits_for_none_that_fails() {
    let sandbox = slow();
    let mut daemon = sandbox.daemon();
    daemon.wait_for("the command is run", || runs(&sandbox) == 1);
    // The command ends with it: it has its stderr, whose end is waited for here.
    daemon.stop().exits(0);
    fs::write(sandbox.path("go"), "").unwrap();
    let dsn = sandbox.path("dsn");
    let kept = fs::read(&dsn).unwrap();
    fs::write(&dsn, "").unwrap();
    let mut daemon = sandbox.daemon();
    let failing = daemon.until("it failed twice", |job| job["error"]["tries"].as_u64() >= Some(2));
    let message = failing["error"]["message"].as_str().unwrap();
    assert!(message.contains("remote.shop.dsn_command: `/bin/sh` prints no DSN"), "{message}");
    fs::write(&dsn, kept).unwrap();
    daemon.until_equal();
    daemon.stop().exits(0);
}

#[test]
fn a_job_is_paused_and_resumed_while_its_command_hangs() {
    let sandbox = slow();
    let mut daemon = sandbox.daemon();
    daemon.wait_for("the command is run", || runs(&sandbox) == 1);
    let say = |what: &str| ask(&sandbox.path("state/control.sock"), &json!({"v": 1, "ask": what, "job": JOB})).unwrap();
    say("pause");
    daemon.until("it is paused", |job| job["phase"] == "paused");
    say("resume");
    daemon.until("it starts", |job| job["phase"] == "starting");
    say("pause");
    fs::write(sandbox.path("go"), "").unwrap();
    // It is known by now where the bucket is, and nothing was asked of it.
    let job =
        daemon.until("the place is known", |job| job["dest"].as_str().is_some_and(|dest| dest.starts_with("s3://")));
    assert_eq!((&job["phase"], sandbox.server.requests().len()), (&json!("paused"), 0));
    say("resume");
    daemon.until_equal();
    daemon.stop().exits(0);
}
