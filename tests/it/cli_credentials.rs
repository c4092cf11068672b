//! Commands beside a daemon that has credentials of its own: the name of a job is enough where the daemon does the work.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::daemon::{Daemon, JOB};
use crate::support::sandbox::Sandbox;

/// What a command says that finds no credential.
const NONE: &str = "there is no credential live: the variable CREDENTIALS_DIRECTORY is not set";

/// The text of a configuration with a job to a place that only a credential tells.
fn text(sandbox: &Sandbox, mode: &str) -> String {
    format!(
        "[remote.live]\ndsn = \"credential:live\"\n\n[[job]]\nname = {JOB:?}\nsource = {:?}\ndestination = \"live:\"\n\
         {mode}\nwatch = true\nmax_delete = 0\n",
        sandbox.path("media").to_str().unwrap()
    )
}

fn configured() -> Sandbox {
    let sandbox = Sandbox::with(&[("a.txt", "one"), ("b.txt", "two")]);
    sandbox.configure_as(&text(&sandbox, "mode = \"copy\"\ndelete = true"));
    let dir = sandbox.path("credentials");
    fs::create_dir(&dir).unwrap();
    let dsn = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint()));
    fs::write(dir.join("live"), dsn).unwrap();
    fs::set_permissions(dir.join("live"), fs::Permissions::from_mode(0o400)).unwrap();
    sandbox
}

/// The daemon as a service manager starts it; nobody else has the variable.
fn service(sandbox: &Sandbox) -> Daemon<'_> {
    let script = "CREDENTIALS_DIRECTORY=\"$0\" exec \"$@\"";
    let dir = sandbox.path("credentials");
    sandbox.daemon_in(Command::new("/bin/sh").args([
        "-c",
        script,
        dir.to_str().unwrap(),
        env!("CARGO_BIN_EXE_mediasync"),
    ]))
}

#[test]
fn a_command_hands_the_name_of_a_job_to_the_daemon_that_has_its_credentials() {
    let sandbox = configured();
    sandbox.by_config(&["sync", JOB]).exits(2).says(&[NONE]).never_says("the daemon");
    let mut daemon = service(&sandbox);
    daemon.until_equal();
    sandbox.by_config(&["sync", JOB]).exits(0).says(&["sync media: from ", "Nothing changed."]);
    let ran = sandbox.by_config(&["sync", "--json"]).exits(0);
    assert_eq!(ran.line("summary")["done"]["creates"], 0, "{ran:?}");
    sandbox.by_config(&["status"]).exits(0).says(&["in sync, since"]);
    sandbox.by_config(&["pause", JOB]).exits(0);
    sandbox.by_config(&["sync", JOB]).exits(0).says(&["media is paused; this run was asked for by hand"]);
    sandbox.by_config(&["resume", JOB]).exits(0);
    // What the daemon would not do by itself needs the places.
    for more in [&["-n"][..], &["--max-delete", "5"], &["--only", "a.txt"], &["--yes"]] {
        sandbox.by_config(&[&["sync", JOB], more].concat()).exits(2).says(&[NONE]);
    }
    sandbox.remove("a.txt");
    daemon.until("halted", |job| job["phase"] == "halted");
    for wrong in ["0123456789ab", "../../x"] {
        sandbox.by_config(&["approve", JOB, wrong]).exits(2).never_says(NONE);
    }
    assert!(sandbox.remote().contains_key("a.txt"));
    let told = sandbox.by_config(&["status"]).exits(4);
    sandbox.paste(&told, "mediasync approve media ").exits(0).says(&["deleted 1"]);
    assert!(!sandbox.remote().contains_key("a.txt"));
    daemon.until_equal();
    let ran = daemon.stop().exits(0);
    assert!(ran.all().contains(" was approved and is done: deleted 1"), "{ran:?}");
}

#[test]
fn a_name_alone_means_nothing_by_another_configuration() {
    let sandbox = configured();
    let mut daemon = service(&sandbox);
    daemon.until_equal();
    let (file, other) = (sandbox.path("config.toml"), sandbox.path("other.toml"));
    fs::copy(&file, &other).unwrap();
    let by_other = |args: &[&str]| sandbox.run(&[&["--config", other.to_str().unwrap()], args].concat());
    let another = format!("has another configuration, and does not do it instead: {}", file.display());
    for args in [&["sync", JOB][..], &["approve", JOB, "0123456789ab"]] {
        by_other(args).exits(2).says(&[NONE, &another]);
    }
    // Another name of the file is the file.
    fs::remove_file(&other).unwrap();
    std::os::unix::fs::symlink(&file, &other).unwrap();
    by_other(&["sync", JOB]).exits(0);
    // What was changed since the daemon read it is not what it would do.
    sandbox.by_config(&["pause", JOB]).exits(0);
    daemon.until("paused", |job| job["phase"] == "paused");
    sandbox.configure_as(&text(&sandbox, "mode = \"mirror\""));
    sandbox.server.clear_log();
    sandbox.by_config(&["sync", JOB]).exits(2).says(&[NONE, "as it was before", &format!("kill -HUP {}", daemon.id())]);
    assert_eq!(sandbox.server.requests().len(), 0, "nothing was run");
    let idle = "[[job]]\nname = \"idle\"\nsource = \"/nowhere\"\ndestination = \"live:idle\"\nmode = \"copy\"\n";
    sandbox.configure_as(&format!("{}{idle}", text(&sandbox, "mode = \"copy\"\ndelete = true")));
    sandbox.by_config(&["sync", "idle"]).exits(2).says(&[NONE, "does not run idle, and can't do it instead"]);
    sandbox.by_config(&["sync", JOB]).exits(0);
    daemon.stop().exits(0);
}

#[test]
fn a_daemon_that_finds_no_credential_either_says_so() {
    let sandbox = configured();
    let dir = sandbox.path("credentials");
    fs::rename(dir.join("live"), dir.join("other")).unwrap();
    let mut daemon = service(&sandbox);
    daemon.until("failing", |job| job["phase"] == "failing");
    let said = ["the daemon can't find the places either: ", &format!("no credential live in {}", dir.display())];
    for args in [&["sync", JOB][..], &["approve", JOB, "0123456789ab"]] {
        sandbox.by_config(args).exits(2).says(&said).never_says(NONE);
    }
    daemon.stop().exits(0);
}
