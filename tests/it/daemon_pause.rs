//! A pause outlives the daemon: somebody saw that something is wrong, and a restart does not put that right.

use std::fs;

use serde_json::json;

use super::support::daemon::Daemon;
use super::support::sandbox::Sandbox;

fn watched() -> Sandbox {
    let sandbox = Sandbox::with(&[("a.txt", "one"), ("b.txt", "two")]);
    sandbox.configure("");
    sandbox
}

/// It is paused, and stays so although there is something to do.
fn stays_paused(sandbox: &Sandbox, daemon: &mut Daemon<'_>) {
    daemon.until("paused", |job| job["phase"] == "paused");
    sandbox.server.clear_log();
    daemon.ask(&json!({"v": 1, "ask": "status"})).unwrap();
    daemon.until("paused still", |job| job["phase"] == "paused");
    assert_eq!(sandbox.server.requests().len(), 0, "nobody is asked for anything");
}

#[test]
fn a_pause_outlives_the_daemon_and_ends_when_somebody_says_so() {
    let sandbox = watched();
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.by_config(&["pause", "media"]).exits(0);
    daemon.kill();
    sandbox.write("c.txt", "three");
    // Without a daemon.
    let told = sandbox.by_config(&["status"]);
    let told =
        told.says(&["paused: a daemon that starts leaves it alone", "hint: to end that: mediasync resume media"]);
    assert_eq!(sandbox.by_config(&["status", "--json"]).line("status")["paused"], true, "{told:?}");
    // By another one, twice, and by another configuration.
    for _ in 0..2 {
        let mut daemon = sandbox.daemon();
        stays_paused(&sandbox, &mut daemon);
        sandbox.configure("concurrency = 3");
        daemon.signal(rustix::process::Signal::HUP);
        stays_paused(&sandbox, &mut daemon);
        daemon.stop().exits(0);
    }
    assert!(!sandbox.remote().contains_key("c.txt"));
    let mut daemon = sandbox.daemon();
    stays_paused(&sandbox, &mut daemon);
    sandbox.by_config(&["status"]).says(&["paused since 2", "hint: to go on: mediasync resume media"]);
    // A person may run it all the same.
    let by_hand = "media is paused; this run was asked for by hand, the pause stays";
    sandbox.by_config(&["sync", "media"]).exits(0).says(&[by_hand]);
    sandbox.assert_equal();
    stays_paused(&sandbox, &mut daemon);
    sandbox.write("d.txt", "four");
    sandbox.by_config(&["resume"]).exits(0).says(&["resumed: media; what changed meanwhile is done now"]);
    for args in [&["resume", "media"][..], &["resume"]] {
        sandbox.by_config(args).exits(0).says(&["media: not paused, so nothing is resumed"]);
    }
    sandbox.by_config(&["sync", "media"]).exits(0).never_says(by_hand);
    daemon.until_equal();
    assert_eq!(sandbox.by_config(&["status", "--json"]).exits(0).line("status")["paused"], false);
    daemon.kill();
    sandbox.write("e.txt", "five");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    daemon.stop().exits(0);
}

#[test]
fn a_pause_that_a_daemon_left_can_be_ended_without_one_and_none_can_be_begun() {
    let sandbox = watched();
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.by_config(&["pause"]).exits(0);
    daemon.stop().exits(0);
    for args in [&["pause", "media"][..], &["resume", "other"], &["pause"]] {
        sandbox.by_config(args).exits(1).says(&["no daemon runs"]);
    }
    let printed = sandbox.by_config(&["status"]);
    sandbox.paste(&printed, "mediasync resume media ").exits(0).says(&["resumed: media; no daemon runs"]);
    sandbox.by_config(&["resume", "media"]).exits(1).says(&["no daemon runs"]);
    sandbox.by_config(&["status"]).exits(3).says(&["no daemon watches it"]).never_says("paused");
    sandbox.write("c.txt", "three");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    daemon.stop().exits(0);
}

#[test]
fn where_nobody_knows_which_jobs_were_paused_all_are() {
    let sandbox = watched();
    sandbox.by_config(&["sync", "media"]).exits(0);
    sandbox.write("c.txt", "three");
    fs::write(sandbox.path("state/paused.json"), "{\"v\":1,\"jo").unwrap();
    sandbox.by_config(&["status"]).says(&["can't read which jobs were paused", "paused.json", "mediasync resume"]);
    let mut daemon = sandbox.daemon();
    stays_paused(&sandbox, &mut daemon);
    sandbox.by_config(&["status"]).says(&["nobody can know whether it was", "mediasync resume media"]);
    sandbox.by_config(&["resume", "media"]).exits(0);
    daemon.until_equal();
    sandbox.by_config(&["status"]).exits(0).never_says("nobody can know");
    let ran = daemon.stop().exits(0);
    assert!(ran.stderr.contains("ERROR which jobs were paused can't be read in "), "{ran:?}");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    daemon.stop().exits(0);
}

#[test]
fn a_pause_that_can_not_be_written_down_is_one_and_says_so() {
    let sandbox = watched();
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    fs::create_dir(sandbox.path("state/paused.json.tmp")).unwrap();
    let said = &["paused, but the next start of the daemon will not know it", "paused.json"];
    sandbox.by_config(&["pause", "media"]).exits(5).says(said);
    stays_paused(&sandbox, &mut daemon);
    fs::remove_dir(sandbox.path("state/paused.json.tmp")).unwrap();
    sandbox.by_config(&["pause", "media"]).exits(0);
    daemon.kill();
    let mut daemon = sandbox.daemon();
    stays_paused(&sandbox, &mut daemon);
    daemon.stop().exits(0);
}

#[test]
fn a_pause_by_another_configuration_is_refused_and_names_both() {
    let sandbox = watched();
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    let (file, other) = (sandbox.path("config.toml"), sandbox.path("other.toml"));
    fs::copy(&file, &other).unwrap();
    let both = [
        format!("runs by {}, and this command by {}", file.display(), other.display()),
        format!(" --state-dir {}", sandbox.path("state").display()),
    ];
    for (command, done) in [("pause", "paused"), ("resume", "resumed")] {
        for job in [&["media"][..], &[]] {
            let args = [&["--config", other.to_str().unwrap(), command], job].concat();
            let ran = sandbox.run(&args).exits(2);
            ran.says(&[&format!("nothing is {done}: the daemon of ")]).says(&both.each_ref().map(String::as_str));
        }
    }
    daemon.until_idle();
    assert!(!sandbox.path("state/paused.json").exists());
    // Another name of the file is the file, and the state directory alone names the daemon, whatever stands here.
    fs::copy(&file, sandbox.path("work/mediasync.toml")).unwrap();
    let told = sandbox.run(&["--config", other.to_str().unwrap(), "pause", "media"]);
    sandbox.run(&["pause", "media"]).exits(0);
    daemon.until("paused", |job| job["phase"] == "paused");
    assert!(told.all().contains("mediasync pause media --state-dir"), "{told:?}");
    fs::remove_file(&other).unwrap();
    std::os::unix::fs::symlink(&file, &other).unwrap();
    sandbox.run(&["--config", other.to_str().unwrap(), "resume", "media"]).exits(0);
    daemon.until_idle();
    daemon.stop().exits(0);
}
