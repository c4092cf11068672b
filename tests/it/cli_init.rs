//! `mediasync init`: on a terminal and without one, and what it leaves behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mediasync::config::Config;
use mediasync::plan::Mode;

use crate::support::sandbox::{REMOTE, Sandbox};
use crate::support::terminal::Terminal;

fn read(path: &Path) -> (String, Config) {
    let text = fs::read_to_string(path).unwrap();
    let config = Config::parse(&text, path).unwrap_or_else(|bad| panic!("{bad:?}\n{text}"));
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7777, 0o600);
    (text, config)
}

/// Everything that a run without an end must not leave.
fn assert_nothing_is_left(sandbox: &Sandbox) {
    for dir in ["work", "home", "state"] {
        let files = sandbox.files(dir);
        assert!(files.is_empty(), "{files:?}");
    }
    let changed = sandbox.server.changing_requests();
    assert!(changed.is_empty(), "{changed:?}");
}

#[test]
fn enter_takes_all_defaults_on_a_terminal() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b/c.jpg", "c")]);
    let state = sandbox.path("state").display().to_string();
    let mut terminal = Terminal::start(&sandbox, &["init", "--state-dir", &state]);
    terminal.shows("Which directory? [.] ");
    terminal.types("nowhere\n");
    terminal.shows("nowhere is not there");
    terminal.shows("Which directory? [.] ");
    terminal.types("../media\n");
    terminal.shows("1) env:DEFAULT_STORAGE_DSN   s3://media/site (127.0.0.1:");
    terminal.shows("[1] ");
    terminal.types("\n");
    terminal.shows("What is the job called? [media] ");
    terminal.types("\n");
    terminal.shows("How? [1] ");
    terminal.types("\n");
    terminal.shows("When does it run? [1] ");
    terminal.types("\n");
    terminal.shows("Would create 2, ");
    terminal.shows("dsn = \"env:DEFAULT_STORAGE_DSN\"");
    terminal.shows("Write it? [Y/n] ");
    assert_nothing_is_left(&sandbox);
    terminal.types("\n");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains(sandbox.server.secret_key()), "{shown}");
    let (text, config) = read(&sandbox.path("work/mediasync.toml"));
    assert!(!text.contains(sandbox.server.access_key()), "{text}");
    assert_eq!((config.jobs.len(), config.jobs[0].name.as_str()), (1, "media"));
    assert!(sandbox.server.changing_requests().is_empty(), "a dry run changes nothing");
    // What it says next can be typed.
    assert!(shown.contains("mediasync sync media --dry-run --state-dir "), "{shown}");
    sandbox.run(&["config", "check"]).exits(0).says(&["no mistakes, no warnings"]);
    sandbox.run(&["sync", "media"]).exits(0);
    sandbox.assert_equal();
}

#[test]
fn options_are_named_by_number_or_word_and_anything_else_is_told() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let state = sandbox.path("state").display().to_string();
    let mut terminal = Terminal::start(&sandbox, &["init", "--state-dir", &state]);
    for (question, answer) in [
        ("Which directory?", "../media\n"),
        ("[1] ", "\n"),
        ("called?", "\n"),
        ("How? [1] ", "sideways\n"),
        ("write 1 to 3", ""),
        ("How? [1] ", "Two-way\n"),
        ("When does it run? [1] ", "4\n"),
        ("write 1 to 3", ""),
        ("When does it run? [1] ", "\n"),
        ("Write it? [Y/n] ", "perhaps\n"),
        ("write y or n", ""),
        ("Write it? [Y/n] ", "y\n"),
    ] {
        terminal.shows(question);
        terminal.types(answer);
    }
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(read(&sandbox.path("work/mediasync.toml")).1.jobs[0].mode, Mode::TwoWay);
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let state = sandbox.path("state").display().to_string();
    let answers = [
        ("Which directory?", "../media\n"),
        ("[1] ", "\n"),
        ("called?", "\n"),
        ("How?", "\n"),
        ("When does it run?", "\n"),
    ];
    for at in [0, 1, 5] {
        let mut terminal = Terminal::start(&sandbox, &["init", "--state-dir", &state]);
        for (question, answer) in &answers[..at] {
            terminal.shows(question);
            terminal.types(answer);
        }
        terminal.shows(answers.get(at).map_or("Write it?", |(question, _)| question));
        terminal.types("\u{3}");
        let (code, shown) = terminal.ends();
        assert_eq!(code, 130, "{shown}");
        assert!(shown.contains("nothing was written"), "{shown}");
        assert_nothing_is_left(&sandbox);
    }
    let mut terminal = Terminal::start(&sandbox, &["init"]);
    terminal.shows("Which directory?");
    terminal.types("\u{4}");
    assert_eq!(terminal.ends().0, 130, "the end of the input is no answer");
}

#[test]
fn flags_say_all_where_nobody_can_be_asked() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let media = sandbox.media("").display().to_string();
    let ran = sandbox.run(&["init"]).exits(2).never_says(sandbox.server.secret_key());
    ran.says(&[
        "these flags are missing: --source PATH, --remote PLACE",
        "storage DSNs are in: env:DEFAULT_STORAGE_DSN",
    ]);
    sandbox.run(&["init", "--source", &media]).exits(2).says(&["these flags are missing: --remote PLACE"]);
    assert_nothing_is_left(&sandbox);
    let flags = [
        "init", "--source", &media, "--remote", REMOTE, "--name", "pics", "--mode", "mirror", "--every", "15m",
        "--watch",
    ];
    sandbox.run(&flags).exits(0).says(&["Would create 1, ", "written: ", "mediasync daemon"]);
    let (text, config) = read(&sandbox.path("work/mediasync.toml"));
    assert!(config.jobs[0].daemon.watch && config.jobs[0].daemon.schedule.is_some(), "{text}");
    assert_eq!(config.jobs[0].name, "pics");
    assert!(sandbox.server.changing_requests().is_empty());
    sandbox
        .run(&flags)
        .exits(2)
        .says(&["mediasync.toml is there already; nothing was written", "--overwrite replaces it"]);
    assert_eq!(fs::read_to_string(sandbox.path("work/mediasync.toml")).unwrap(), text);
    let other = ["init", "--yes", "--overwrite", "--source", &media, "--name", "other"];
    sandbox.run(&other).exits(0);
    assert_eq!(read(&sandbox.path("work/mediasync.toml")).1.jobs[0].name, "other");
}

#[test]
fn a_remote_that_can_not_be_reached_leaves_nothing_behind() {
    let mut sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let media = sandbox.media("").display().to_string();
    let wrong = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint())).replace("@media/", "@nowhere/");
    sandbox.env("WRONG_DSN", &wrong);
    let failed = sandbox.run(&["init", "--source", &media, "--remote", "env:WRONG_DSN"]).exits(1);
    failed.says(&["nowhere"]).never_says(sandbox.server.secret_key());
    assert_nothing_is_left(&sandbox);
    let state = sandbox.path("state").display().to_string();
    let mut terminal =
        Terminal::start(&sandbox, &["init", "--source", &media, "--remote", "env:WRONG_DSN", "--state-dir", &state]);
    for question in ["called?", "How?", "When does it run?"] {
        terminal.shows(question);
        terminal.types("\n");
    }
    terminal.shows("The first run would fail. Go on all the same? [y/N] ");
    terminal.types("\n");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 130, "{shown}");
    assert_nothing_is_left(&sandbox);
    for bad in [["--source", "/nowhere/at/all"], ["--source", "s3://bucket"], ["--name", "a b"]] {
        let args =
            [&["init", "--yes", "--source", &media, "--remote", REMOTE][..2], &bad[..], &["--remote", REMOTE]].concat();
        let args: Vec<&str> = if bad[0] == "--name" { [&args[..], &["--source", &media]].concat() } else { args };
        sandbox.run(&args).exits(2);
    }
    sandbox.run(&["init", "--source", &media, "--remote", "bucket"]).exits(2).says(&["`s3://bucket` or `env:bucket`?"]);
    assert_nothing_is_left(&sandbox);
}

#[test]
fn a_secret_is_written_only_where_somebody_says() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let media = sandbox.media("").display().to_string();
    let dsn = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint()));
    let secret = sandbox.server.secret_key();
    let init = ["init", "--source", &media, "--remote", &dsn];
    sandbox.run(&init).exits(2).says(&["nobody said where that is kept", "--secret-in file"]).never_says(secret);
    assert_nothing_is_left(&sandbox);
    sandbox.run(&[&init[..], &["--secret-in", "file"]].concat()).exits(0).never_says(secret);
    let file = sandbox.path("home/.config/mediasync/live.dsn");
    assert_eq!(fs::read_to_string(&file).unwrap().trim(), dsn);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    let text = read(&sandbox.path("work/mediasync.toml")).0;
    assert!(text.contains(&format!("dsn = \"dsn-file:{}\"", file.display())), "{text}");
    sandbox.run(&["sync"]).exits(0);
    let more = ["--secret-in", "config", "--overwrite"];
    sandbox.run(&[&init[..], &more].concat()).exits(0);
    assert!(read(&sandbox.path("work/mediasync.toml")).0.contains(&dsn));
    // A service has none of our variables.
    let service = ["init", "--source", &media, "--remote", REMOTE, "--watch", "--service", "--overwrite"];
    sandbox.run(&service).exits(2).says(&["a service has none of your variables"]);
    sandbox
        .run(&[&service[..], &["--secret-in", "file"]].concat())
        .exits(0)
        .says(&["systemctl --user enable --now mediasync.service"]);
    let unit = fs::read_to_string(sandbox.path("home/.config/systemd/user/mediasync.service")).unwrap();
    assert!(unit.contains("mediasync.toml"), "{unit}");
    assert!(sandbox.path("home/.config/mediasync/live-2.dsn").exists(), "one that is there is never replaced");
}

#[test]
fn a_project_has_its_directory_and_its_file_of_variables() {
    let mut sandbox = Sandbox::new();
    let dsn = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint()));
    sandbox.env("DEFAULT_STORAGE_DSN", "");
    for dir in ["work/.divio", "work/data/media"] {
        fs::create_dir_all(sandbox.path(dir)).unwrap();
    }
    fs::write(sandbox.path("work/.divio/config.json"), "{}").unwrap();
    fs::write(sandbox.path("work/data/media/a.jpg"), "a").unwrap();
    fs::write(
        sandbox.path("work/.env-local"),
        format!("DATABASE_URL=postgres://u:p@db/x\nDEFAULT_STORAGE_DSN={dsn}\n"),
    )
    .unwrap();
    sandbox.run(&["init", "--yes"]).exits(0).says(&["Would create 1, "]).never_says(sandbox.server.secret_key());
    let text = read(&sandbox.path("work/mediasync.toml")).0;
    assert!(text.contains("source = \"data/media\"\n"), "{text}");
    assert!(text.contains("dsn = \"dsn-file:/") && text.contains("/.env-local\"\n"), "{text}");
    sandbox.run(&["sync"]).exits(0);
}
