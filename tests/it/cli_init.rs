//! `mediasync init`: on a terminal and without one, and what it leaves behind.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use mediasync::config::{AclRule, Config};
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
    terminal.shows("s3://media/site answers\n");
    terminal.shows("What is the job called? [media] ");
    terminal.types("\n");
    terminal.shows("How? [1] ");
    terminal.types("\n");
    terminal.shows("1) public-read: everybody, as the media of a site are (its DSN means that)");
    terminal.shows("Who may read what is pushed? [1] ");
    terminal.types("\n");
    terminal.shows("When does it run? [1] ");
    terminal.types("\n");
    terminal.shows("New objects get the ACL public-read: everybody may read them.");
    terminal.shows("Would create 2, ");
    terminal.shows("dsn = \"env:DEFAULT_STORAGE_DSN\"");
    terminal.shows("# Everybody may read what is pushed: the DSN means acl=\"public-read\".");
    terminal.shows("Write it? (n asks again) [Y/n] ");
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
        ("[1] ", "photos/site\n"),
        ("there is no directory `photos`: `s3://photos/site` or `./photos/site`?", ""),
        ("[1] ", "\n"),
        ("called?", "\n"),
        ("How? [1] ", "sideways\n"),
        ("write 1 to 3", ""),
        ("How? [1] ", "Two-way\n"),
        ("Who may read what is pushed? [1] ", "PRIVATE\n"),
        ("When does it run? [1] ", "4\n"),
        ("write 1 to 3", ""),
        ("When does it run? [1] ", "Schedule\n"),
        ("How often? [15m] ", "hourly\n"),
        ("Install a service", "\n"),
        ("Write it? (n asks again) [Y/n] ", "perhaps\n"),
        ("write y or n", ""),
        ("Write it? (n asks again) [Y/n] ", "y\n"),
    ] {
        terminal.shows(question);
        terminal.types(answer);
    }
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    let config = read(&sandbox.path("work/mediasync.toml")).1;
    assert_eq!(config.jobs[0].mode, Mode::TwoWay);
    assert!(fs::read_to_string(sandbox.path("work/mediasync.toml")).unwrap().contains("every = \"1h\""));
    assert_eq!(config.remotes["live"].acl, Some(AclRule::Canned("private".to_owned())));
}

#[test]
fn a_no_at_the_end_asks_again_with_what_was_said_as_the_default() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let (state, secret) = (sandbox.path("state").display().to_string(), sandbox.server.secret_key().to_owned());
    let dsn = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint()));
    let mut terminal = Terminal::start(&sandbox, &["init", "--state-dir", &state, "--mode", "mirror", "--name", "old"]);
    for (question, answer) in [
        ("Which directory? [.] ", "../media\n"),
        ("a directory [1] ", &*format!("{dsn}\n")),
        ("Who may read what is pushed? [1] ", "public-read\n"),
        ("When does it run? [1] ", "3\n"),
        ("How often? [15m] ", "2h\n"),
        ("Install a service of yours that runs it? [y/N] ", "\n"),
        ("later it is: mediasync service install --user", ""),
        ("only you can read? [Y/n] ", "n\n"),
        ("into the configuration itself? [y/N] ", "n\n"),
        ("there is no place for the secret", ""),
        ("Again from the first question. Enter keeps what you said", ""),
        (&*format!("Which directory? [{}] ", sandbox.path("media").display()), "\n"),
        ("a directory [s3://***@media/", "1\n"),
        ("What is the job called? [old] ", "\n"),
        ("How? [2] ", "\n"),
        ("Who may read what is pushed? [3] ", "\n"),
        ("When does it run? [3] ", "\n"),
        ("How often? [2h] ", "\n"),
        ("Install a service of yours that runs it? [y/N] ", "\n"),
        ("Write it? (n asks again) [Y/n] ", "n\n"),
        ("Which directory? [", "\n"),
        ("a directory [env:DEFAULT_STORAGE_DSN] ", "\n"),
        ("What is the job called? [old] ", "new\n"),
        ("How? [2] ", "\n"),
        ("Who may read what is pushed? [3] ", "\n"),
        ("When does it run? [3] ", "\n"),
        ("How often? [2h] ", "\n"),
        ("Install a service of yours that runs it? [y/N] ", "\n"),
        ("Write it? (n asks again) [Y/n] ", ""),
    ] {
        terminal.shows(question);
        terminal.types(answer);
    }
    assert_nothing_is_left(&sandbox);
    terminal.types("\n");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    let typed = shown.matches(secret.replace('/', "%2F").replace('+', "%2B").as_str()).count();
    assert_eq!((typed, shown.matches(&secret).count()), (1, 0), "only what was typed shows the secret: {shown}");
    let (text, config) = read(&sandbox.path("work/mediasync.toml"));
    assert!(text.contains("dsn = \"env:DEFAULT_STORAGE_DSN\"") && text.contains("every = \"2h\""), "{text}");
    assert_eq!((config.jobs[0].name.as_str(), config.jobs[0].mode), ("new", Mode::Mirror));
    assert_eq!(config.remotes["live"].acl, Some(AclRule::Canned("public-read".to_owned())));
    assert!(shown.contains("mediasync service install --user"), "{shown}");
}

#[test]
fn who_may_read_is_said_by_a_flag_and_held_by_runs() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let media = sandbox.media("").display().to_string();
    let init =
        |more: &[&str]| sandbox.run(&[&["init", "--overwrite", "--source", &media, "--remote", REMOTE], more].concat());
    let acls = || {
        let sent = sandbox
            .server
            .requests()
            .into_iter()
            .filter(|one| one.call.operation == "PutObject" && !one.call.key.contains(".mediasync"));
        sent.map(|one| Some(one.headers.get("x-amz-acl")?.to_str().unwrap().to_owned())).collect::<Vec<_>>()
    };
    let told = "everybody may read them";
    init(&["--acl", "unset"]).exits(0).never_says(told);
    assert!(read(&sandbox.path("work/mediasync.toml")).0.contains("\nacl = \"unset\"\n"));
    sandbox.run(&["sync"]).exits(0).never_says(told);
    assert_eq!(acls(), [None], "without the rule the DSN would send one");
    init(&["--acl", "private"]).exits(0).never_says(told);
    sandbox.write("b.jpg", "b");
    sandbox.run(&["sync"]).exits(0);
    assert_eq!(acls()[1].as_deref(), Some("private"));
    init(&[]).exits(0).says(&["New objects get the ACL public-read: everybody may read them."]);
    let text = read(&sandbox.path("work/mediasync.toml")).0;
    assert!(text.contains("#acl = \"private\"\n"), "{text}");
    sandbox.write("c.jpg", "c");
    sandbox.run(&["sync"]).exits(0).says(&[told]);
    assert_eq!(acls()[2].as_deref(), Some("public-read"));
    init(&["--mode", "mirror"]).exits(0).never_says(told);
    assert!(read(&sandbox.path("work/mediasync.toml")).0.contains("# A mirror takes no ACL from a DSN"));
    let there = sandbox.path("work").display().to_string();
    let directory = ["init", "--overwrite", "--source", &media, "--remote", &there, "--acl", "private"];
    sandbox.run(&directory).exits(2).says(&["--acl is for objects in a bucket: this is a directory"]);
}

#[test]
fn the_media_directory_here_is_the_default() {
    let sandbox = Sandbox::new();
    for dir in ["work/media", "work/data/media", "work/.git"] {
        fs::create_dir_all(sandbox.path(dir)).unwrap();
    }
    let mut terminal = Terminal::start(&sandbox, &["init"]);
    terminal.shows("Which directory? [./media] ");
    fs::remove_dir(sandbox.path("work/media")).unwrap();
    terminal.types("\u{3}");
    terminal.ends();
    let mut terminal = Terminal::start(&sandbox, &["init"]);
    terminal.shows("data/media] ");
    terminal.types("\u{3}");
    terminal.ends();
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
        ("Who may read", "\n"),
        ("When does it run?", "\n"),
    ];
    for at in [0, 1, 6] {
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
    // It is told before anything else is asked, and another place can be named.
    for (question, answer) in [
        ("nowhere", ""),
        ("Take it all the same? (n asks for another place) [y/N] ", "\n"),
        ("Where does it go?", "env:NOT_SET\n"),
        ("the variable NOT_SET is not set", ""),
        ("Where does it go?", "env:WRONG_DSN\n"),
        ("Take it all the same? (n asks for another place) [y/N] ", "y\n"),
        ("called?", "\n"),
        ("How?", "\n"),
        ("Who may read", "\n"),
        ("When does it run?", "\n"),
        ("the remote did not answer, so nobody knows what a first run would do", ""),
        ("Write it? (n asks again)", "n\n"),
        ("Which directory?", "\n"),
        ("Where does it go?", "1\n"),
        ("s3://media/site answers", ""),
        ("called?", "\u{3}"),
    ] {
        terminal.shows(question);
        terminal.types(answer);
    }
    let (code, shown) = terminal.ends();
    assert_eq!(code, 130, "{shown}");
    assert!(!shown.contains(sandbox.server.secret_key()), "{shown}");
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
fn a_configuration_that_is_a_link_is_written_through_and_only_on_request() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let (media, file) = (sandbox.media("").display().to_string(), sandbox.path("work/mediasync.toml"));
    let (kept, init) = (sandbox.path("home/kept.toml"), ["init", "--source", &media, "--remote", REMOTE]);
    symlink(&kept, &file).unwrap();
    sandbox.run(&init).exits(1).says(&["mediasync.toml: it is a link that leads to nothing"]);
    assert!(sandbox.server.requests().is_empty(), "it is told before anything else");
    fs::write(&kept, "# mine\n").unwrap();
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o644)).unwrap();
    sandbox.run(&init).exits(2).says(&["is there already; nothing was written"]);
    assert_eq!(fs::read_to_string(&kept).unwrap(), "# mine\n");
    sandbox.run(&[&init[..], &["--overwrite"]].concat()).exits(0);
    assert!(file.is_symlink());
    assert_eq!(read(&kept).1.jobs.len(), 1);
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
