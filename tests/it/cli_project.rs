//! Inside a project: its media directory, the variables of its containers, and what its platform prints.

use std::fs;
use std::process::Command;

use crate::support::s3::{Effect, Rule};
use crate::support::sandbox::{Ran, Sandbox};

/// A sandbox with a project around `work/site/app`, its media directory filled.
fn site() -> Sandbox {
    let sandbox = Sandbox::new();
    for dir in ["work/site/.divio", "work/site/app/static", "work/site/data/media"] {
        fs::create_dir_all(sandbox.path(dir)).unwrap();
    }
    fs::write(sandbox.path("work/site/.divio/config.json"), "{}").unwrap();
    fs::write(sandbox.path("work/site/data/media/a.jpg"), "a").unwrap();
    sandbox
}

/// Runs the program in a directory of the sandbox, with a file of it as standard input.
fn run_in(sandbox: &Sandbox, dir: &str, input: &str, args: &[&str]) -> Ran {
    let script = format!("cd '{dir}' && exec '{}' \"$@\" < '{input}'", env!("CARGO_BIN_EXE_mediasync"));
    sandbox.start_command(Command::new("/bin/sh").args(["-c", &script, "sh"]), args).wait()
}

fn remote_is(sandbox: &Sandbox, keys: &[&str]) {
    assert_eq!(sandbox.remote().keys().map(String::as_str).collect::<Vec<_>>(), keys);
}

#[test]
fn a_push_from_anywhere_in_a_project_sends_its_media_directory() {
    let sandbox = site();
    run_in(&sandbox, "site/app/static", "/dev/null", &["push", "env:DEFAULT_STORAGE_DSN"])
        .exits(0)
        .says(&["site/data/media to s3://media/site"]);
    remote_is(&sandbox, &["a.jpg"]);
}

#[test]
fn the_configuration_of_the_project_is_found_from_below() {
    let sandbox = site();
    let config =
        "[[job]]\nname = \"up\"\nsource = \"data/media\"\ndestination = \"env:DEFAULT_STORAGE_DSN\"\nmode = \"copy\"\n";
    fs::write(sandbox.path("work/site/mediasync.toml"), config).unwrap();
    run_in(&sandbox, "site/app", "/dev/null", &["sync"]).exits(0);
    remote_is(&sandbox, &["a.jpg"]);
}

#[test]
fn a_dsn_for_the_containers_is_understood_outside_of_them() {
    if std::path::Path::new("/data").exists() {
        // Only where there is no /data, which is the case that matters.
        return;
    }
    let sandbox = site();
    fs::write(
        sandbox.path("work/site/.env-local"),
        "DEBUG=1\nDEFAULT_STORAGE_DSN=file:///data/media/?url=%2Fmedia%2F\n",
    )
    .unwrap();
    let there = sandbox.path("backup");
    run_in(&sandbox, "site/app", "/dev/null", &["mirror", "dsn-file:../.env-local", there.to_str().unwrap()])
        .exits(0)
        .says(&["site/data/media: there is no /data here"]);
    assert_eq!(fs::read(there.join("a.jpg")).unwrap(), b"a");
}

#[test]
fn a_dsn_comes_from_standard_input_as_it_was_copied_or_as_json() {
    let dsn = |sandbox: &Sandbox| sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint()));
    for form in ["plain", "wrapped", "json"] {
        let sandbox = site();
        let dsn = dsn(&sandbox);
        let text = match form {
            "plain" => format!("  \"{dsn}\"\n\n"),
            "wrapped" => format!("'{}\n  {}'", &dsn[..20], &dsn[20..]),
            _ => {
                serde_json::json!([{ "name": "DEFAULT_STORAGE_DSN", "value": dsn, "environment": "test" }]).to_string()
            }
        };
        fs::write(sandbox.path("work/input"), text).unwrap();
        run_in(&sandbox, "site", "../input", &["push", "-"]).exits(0).never_says(sandbox.server.secret_key());
        remote_is(&sandbox, &["a.jpg"]);
    }
}

#[test]
fn a_variable_without_a_value_is_named() {
    let sandbox = site();
    fs::write(sandbox.path("work/input"), r#"[{"name": "DEFAULT_STORAGE_DSN", "value": null}]"#).unwrap();
    run_in(&sandbox, "site", "../input", &["push", "-"])
        .exits(2)
        .says(&["standard input: DEFAULT_STORAGE_DSN has no value there"]);
}

#[test]
fn a_command_that_prints_the_dsn_is_run_again_when_the_credentials_have_run_out() {
    let sandbox = site();
    let dsn = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint()));
    let other = dsn.replacen(sandbox.server.access_key(), "AKOLD", 1);
    // The first time it prints a key that the server does not know any more.
    let script = format!(
        "echo run >> runs\nif [ $(wc -l < runs) = 1 ]; then echo '{other}'; else echo 'DEFAULT_STORAGE_DSN={dsn}'; fi\n"
    );
    fs::write(sandbox.path("work/site/dsn.sh"), script).unwrap();
    let config = "[remote.live]\ndsn_command = [\"sh\", \"dsn.sh\"]\n\n[[job]]\nname = \"up\"\nsource = \"data/media\"\ndestination = \"live:\"\nmode = \"copy\"\n";
    fs::write(sandbox.path("work/site/mediasync.toml"), config).unwrap();
    sandbox.server.faults(|faults| {
        faults.add(Rule::new("PutObject", Effect::Status(400, "ExpiredToken")).key("site/a.jpg").times(1));
    });
    run_in(&sandbox, "site/app", "/dev/null", &["sync"]).exits(0).never_says(sandbox.server.secret_key());
    remote_is(&sandbox, &["a.jpg"]);
    let runs = fs::read_to_string(sandbox.path("work/site/runs")).unwrap().lines().count();
    // For the run, for the unknown key, and for the token, where it printed nothing new.
    assert!((2..=3).contains(&runs), "{runs}");
}

#[test]
fn the_commands_of_other_jobs_are_not_run() {
    let sandbox = site();
    let config = "[remote.other]\ndsn_command = [\"sh\", \"-c\", \"echo run >> runs\"]\n\n\
        [[job]]\nname = \"up\"\nsource = \"data/media\"\ndestination = \"env:DEFAULT_STORAGE_DSN\"\nmode = \"copy\"\n\n\
        [[job]]\nname = \"down\"\nsource = \"app\"\ndestination = \"other:\"\nmode = \"copy\"\n";
    fs::write(sandbox.path("work/site/mediasync.toml"), config).unwrap();
    run_in(&sandbox, "site", "/dev/null", &["sync", "up"]).exits(0);
    assert!(!sandbox.path("work/site/runs").exists());
    run_in(&sandbox, "site", "/dev/null", &["sync", "down"])
        .exits(2)
        .says(&["dsn_command: `sh` prints no DSN: it is empty"]);
    assert!(sandbox.path("work/site/runs").exists());
}

#[test]
fn a_first_pull_makes_the_media_directory_of_the_project() {
    let sandbox = site();
    fs::remove_dir_all(sandbox.path("work/site/data")).unwrap();
    sandbox.put("b.jpg", "b");
    run_in(&sandbox, "site/app", "/dev/null", &["pull", "-n"]).exits(0);
    assert!(!sandbox.path("work/site/data").exists(), "a dry run makes nothing");
    run_in(&sandbox, "site/app", "/dev/null", &["pull"]).exits(0).says(&["to ", "site/data/media"]);
    assert_eq!(fs::read(sandbox.path("work/site/data/media/b.jpg")).unwrap(), b"b");
    run_in(&sandbox, "site", "/dev/null", &["pull"]).exits(0).says(&["Nothing changed."]);
}
