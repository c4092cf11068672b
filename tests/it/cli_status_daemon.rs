//! `status`, `pause`, `resume`, `forget` and `trash` while a daemon runs: the daemon is asked, and lends its pair.

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::support::sandbox::{Ran, Running, Sandbox};

/// Nothing may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

fn configured(more: &str) -> Sandbox {
    let sandbox = Sandbox::with(&[("a.txt", "one"), ("b.txt", "two")]);
    let media = sandbox.path("media");
    let config = format!(
        "[[job]]\nname = \"media\"\nsource = {media:?}\ndestination = \"env:DEFAULT_STORAGE_DSN\"\nmode = \"copy\"\n\
         delete = true\nwatch = true\n{more}\n"
    );
    std::fs::write(sandbox.path("work/mediasync.toml"), config).expect("a file");
    sandbox
}

/// Asks until the answer of the job is as it should be.
fn until(sandbox: &Sandbox, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let ran = sandbox.run(&["status", "media", "--json"]);
        let line: Value = serde_json::from_str(ran.stdout.lines().next().unwrap_or("null")).expect("JSON");
        if is(&line) {
            return line;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {ran:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn fresh(sandbox: &Sandbox) -> Value {
    until(sandbox, "in sync", |line| line["daemon"]["health"] == "in-sync" && line["daemon"]["phase"] == "idle")
}

fn stop(daemon: Running) -> Ran {
    let id = i32::try_from(daemon.id()).expect("a process");
    kill_process(Pid::from_raw(id).expect("a process"), Signal::TERM).expect("it runs");
    daemon.wait()
}

#[test]
fn status_is_what_the_daemon_says_and_without_one_what_the_last_run_left() {
    let sandbox = configured("max_age = \"1h\"");
    let before = sandbox.run(&["status"]).exits(3);
    assert!(before.stdout.contains("daemon: none runs; mediasync daemon"), "{before:?}");
    assert!(
        before.stdout.contains("\n  hint: one that is a service may have another state: give --state-dir"),
        "{before:?}"
    );
    let daemon = sandbox.start(&["daemon"]);
    let line = fresh(&sandbox);
    let live = &line["daemon"];
    assert_eq!((&live["pid"], &live["lag_seconds"], &live["dirty_keys"]), (&daemon.id().into(), &0.into(), &0.into()));
    assert_eq!((&live["watch"]["coverage"], &live["max_age_seconds"]), (&"full".into(), &3600.into()), "{line}");
    assert_eq!((&line["files"], &line["bytes"], &line["state"]), (&2.into(), &6.into(), &"in-sync".into()));
    let times = ["fresh", "in_sync_since", "checked"].map(|field| live[field].as_str().unwrap_or_default().to_owned());
    assert!(times.is_sorted() && !times[0].is_empty() && live["paused_since"].is_null(), "{line}");
    let told = sandbox.run(&["status"]).exits(0).stdout;
    for part in [
        "; all of it last checked ",
        "\n  in sync, since 2",
        "\n  watched: 1 directory\n",
        "\n  equal on both sides: 2 files, 6 B\n",
        "created 2, 6 B sent",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(told.contains(&format!("\ndaemon: process {}, version ", daemon.id())), "{told}");
    stop(daemon).exits(0);
    // What changes now is seen by nobody: it is not called in sync any more.
    let after = sandbox.run(&["status", "--json"]).exits(3);
    assert!(after.stdout.contains("\"daemon\":null") && after.stdout.contains("\"state\":\"unwatched\""), "{after:?}");
    sandbox.run(&["status"]).exits(3).says(&["was in sync after its last run", "no daemon watches it"]);
}

#[test]
fn a_paused_job_notes_what_changes_and_goes_on() {
    let sandbox = configured("");
    let lonely = sandbox.run(&["pause", "media"]).exits(1);
    assert!(lonely.stderr.contains("no daemon runs") && lonely.stderr.contains("mediasync daemon"), "{lonely:?}");
    let daemon = sandbox.start(&["daemon"]);
    fresh(&sandbox);
    let unknown = sandbox.run(&["pause", "medai"]).exits(2);
    assert!(unknown.stderr.contains("the daemon runs media"), "{unknown:?}");
    let paused = sandbox.run(&["pause"]).exits(0);
    assert!(paused.all().contains("paused: media; nothing is done until mediasync resume"), "{paused:?}");
    let line = until(&sandbox, "paused", |line| line["daemon"]["phase"] == "paused");
    assert!(line["daemon"]["paused_since"].is_string(), "{line}");
    sandbox.write("c.txt", "three");
    until(&sandbox, "noted", |line| line["daemon"]["dirty_keys"] == 1);
    let told = sandbox.run(&["status"]).exits(0).stdout;
    assert!(
        told.contains("\n  paused since 2")
            && told.contains("; 1 file changed meanwhile")
            && told.contains("mediasync resume media"),
        "{told}"
    );
    assert_eq!(sandbox.remote().len(), 2);
    sandbox.run(&["resume", "media"]).exits(0);
    let line = until(&sandbox, "done", |line| line["daemon"]["health"] == "in-sync" && line["files"] == 3);
    assert!(line["daemon"]["paused_since"].is_null(), "{line}");
    sandbox.assert_equal();
    stop(daemon).exits(0);
}

#[test]
fn a_halt_is_told_with_the_command_that_resolves_it() {
    let sandbox = configured("max_delete = 0");
    let daemon = sandbox.start(&["daemon"]);
    fresh(&sandbox);
    sandbox.remove("a.txt");
    until(&sandbox, "halted", |line| {
        line["daemon"]["health"] == "halted" && line["daemon"]["halt"]["next_look"].is_string()
    });
    sandbox.run(&["status"]).exits(4).says(&["\n  looks again by itself, in "]);
    // Who reads it in a log may be anywhere.
    let config = sandbox.path("work/mediasync.toml").canonicalize().unwrap();
    let told = sandbox.run(&["status"]).exits(4).says(&[&format!(" --config {}", config.display())]);
    let approved = sandbox.paste(&told, "mediasync approve media ").exits(0);
    assert!(approved.all().contains("deleted 1"), "{approved:?}");
    fresh(&sandbox);
    sandbox.assert_equal();
    stop(daemon).exits(0);
}

#[test]
fn a_dry_run_names_the_plan_that_waits_for_approval() {
    let sandbox = configured("max_delete = 0");
    sandbox.run(&["sync", "media"]).exits(0);
    sandbox.remove("a.txt");
    let daemon = sandbox.start(&["daemon"]);
    let halted = until(&sandbox, "halted", |line| line["daemon"]["health"] == "halted");
    let plan = halted["daemon"]["halt"]["plan"].as_str().unwrap().to_owned();
    let hint = format!("a plan with the same numbers waits since the last run: mediasync approve media {plan}");
    let told = sandbox.run(&["sync", "media", "-n"]).exits(4).says(&[&hint]);
    // The daemon takes no flags.
    let raise = "The plan deletes 1 key; max_delete of the job allows 0. If that is meant, approve this plan, or set \
                 max_delete of the job and let the daemon read it";
    let told = told.says(&[raise]).never_says("--max-delete");
    // Another one is not the one that waits.
    sandbox.remove("b.txt");
    let other = sandbox.run(&["sync", "media", "-n"]).exits(4);
    other.says(&["run it without --dry-run to get a plan that can be approved"]).never_says(&plan);
    sandbox.paste(&told, "mediasync approve media ").exits(0);
    stop(daemon);
}

#[test]
fn what_is_wrong_with_the_configuration_file_is_logged_once() {
    let sandbox = configured("[notify]\nwebhook = \"http://127.0.0.1:9/x\"");
    let daemon = sandbox.start(&["daemon", "--log-format", "json"]);
    fresh(&sandbox);
    let ran = stop(daemon).exits(0);
    assert_eq!(ran.stderr.matches("others can read it").count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.lines().all(|line| line.starts_with('{')), "{}", ran.stderr);
}

#[test]
fn trash_and_forget_borrow_the_pair() {
    let sandbox = configured("");
    let daemon = sandbox.start(&["daemon"]);
    fresh(&sandbox);
    sandbox.remove("a.txt");
    until(&sandbox, "deleted", |line| line["files"] == 1 && line["daemon"]["health"] == "in-sync");
    sandbox.run(&["trash", "restore", "media", "a.txt"]).exits(0);
    assert_eq!(&sandbox.content("a.txt")[..], b"one");
    fresh(&sandbox);
    sandbox.run(&["trash", "empty", "media", "--yes"]).exits(0);
    sandbox.run(&["forget", "media"]).exits(0);
    fresh(&sandbox);
    assert_eq!(&sandbox.content("b.txt")[..], b"two");
    stop(daemon).exits(0);
}

#[test]
fn a_look_that_goes_on_is_printed_when_it_says_something_else_and_ends_with_its_exit_code() {
    let sandbox = configured("max_delete = 0");
    let daemon = sandbox.start(&["daemon"]);
    fresh(&sandbox);
    let printed = sandbox.path("printed");
    let watch = sandbox.start_command(
        Command::new("/bin/sh").args([
            "-c",
            &format!("exec \"$0\" \"$@\" > {printed:?}"),
            env!("CARGO_BIN_EXE_mediasync"),
        ]),
        &["status", "--watch"],
    );
    let says = |text: &str| {
        let begun = Instant::now();
        while !std::fs::read_to_string(&printed).unwrap_or_default().contains(text) {
            assert!(begun.elapsed() < PATIENCE, "{text}: {:?}", std::fs::read_to_string(&printed));
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    says("in sync, since");
    sandbox.remove("a.txt");
    says("hint: to do exactly that: mediasync approve");
    stop(watch).exits(4);
    let told = std::fs::read_to_string(&printed).expect("a file");
    let looks = told.matches("daemon: process").count();
    assert!((2..=4).contains(&looks), "{looks}: {told}");
    assert!(!told.contains('\u{1b}'), "{told}");
    stop(daemon).exits(0);
}

#[test]
fn a_daemon_can_be_looked_at_and_paused_while_its_configuration_is_broken() {
    let sandbox = Sandbox::with(&[("a.txt", "one")]);
    sandbox.configure("");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    let config = sandbox.path("config.toml");
    let good = std::fs::read_to_string(&config).unwrap();
    let broken = format!("[state]\ndir = \"state\"\n{}", good.replace("destination", "destinatoin"));
    std::fs::write(&config, &broken).unwrap();
    let mistakes = ["has mistakes:", "destinatoin"];
    let file = config.to_str().unwrap();
    sandbox.by_config(&["status"]).exits(2).says(&mistakes).says(&["in sync, since", "daemon: process"]);
    sandbox.by_config(&["pause", "media"]).exits(0).says(&mistakes).says(&["paused: media"]);
    sandbox.by_config(&["status"]).exits(2).says(&["paused since 2"]);
    sandbox.by_config(&["resume"]).exits(0).says(&["resumed: media"]);
    sandbox.by_config(&["sync", "media"]).exits(2).says(&mistakes).never_says("in sync");
    // Without --state-dir the file says where the daemon is, but only its own file.
    let other = sandbox.path("other.toml");
    std::fs::write(&other, &broken).unwrap();
    for (file, asked) in [(&config, true), (&other, false)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mediasync"));
        let ran = command.args(["status", "--config"]).arg(file).env("HOME", sandbox.path("home")).output().unwrap();
        assert_eq!(ran.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&ran.stderr).contains("has mistakes:"), "{ran:?}");
        assert_eq!(String::from_utf8_lossy(&ran.stdout).contains("daemon: process"), asked, "{ran:?}");
    }
    std::fs::write(&config, good).unwrap();
    assert!(sandbox.by_config(&["status"]).exits(0).all().contains(file));
    daemon.stop().exits(0);
    std::fs::write(&config, "job = 1\n").unwrap();
    sandbox.by_config(&["status"]).exits(2).says(&["has mistakes:"]).never_says("daemon: none");
}

#[test]
fn of_a_state_that_is_not_for_this_user_nothing_is_claimed() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let (state, config) = (dir.path().join("state"), dir.path().join("config.toml"));
    let job = format!(
        "[[job]]\nname = \"media\"\nsource = {:?}\ndestination = {:?}\nmode = \"copy\"\nwatch = true\n",
        dir.path().join("a"),
        dir.path().join("b")
    );
    std::fs::write(&config, job).expect("a file");
    std::fs::create_dir(&state).expect("a directory");
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o000)).expect("it is ours");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mediasync"));
    command.current_dir("/").env_clear().arg("--config").arg(&config).arg("--state-dir").arg(&state).arg("status");
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let output = command.output().expect("it runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), &*out), (Some(1), ""), "{err}");
    let told: Vec<&str> = err.lines().collect();
    assert_eq!(told.len(), 2, "{err}");
    assert!(told[0].contains("can't read the state in") && told[0].contains("Permission denied"), "{err}");
    assert!(told[1].contains("run this as that user or as root"), "{err}");
}
