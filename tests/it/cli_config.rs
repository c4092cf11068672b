//! `mediasync config`: mistakes and warnings with their places, and what holds with where it comes from.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mediasync::config::Config;

use crate::support::sandbox::{Ran, Sandbox};

/// Runs a command with a configuration.
fn with(sandbox: &Sandbox, text: &str, args: &[&str]) -> Ran {
    let file = sandbox.path("work/mediasync.toml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    sandbox.run(args)
}

const JOB: &str =
    "[[job]]\nname = \"up\"\nsource = \"../media\"\ndestination = \"env:DEFAULT_STORAGE_DSN\"\nmode = \"copy\"\n";

#[test]
fn all_mistakes_have_their_line_and_character_and_what_to_write() {
    let sandbox = Sandbox::new();
    let text = "[remote.live]\ndsn = 5\n\n[[job]]\nname = \"up\"\nsource = \"../media\"\n  mode = \"copi\"\ndestinaton = \"live:\"\n";
    let file = sandbox.path("work/mediasync.toml").display().to_string();
    let told = with(&sandbox, text, &["config", "check"]).exits(2);
    let expected = [
        format!("{file}:2:7: mistake: remote.live.dsn: expected text in quotes, found a number"),
        format!("{file}:4:1: mistake: job.up.destination: is missing; write destination = \"live:\""),
        format!("{file}:7:10: mistake: job.up.mode: \"copi\" is not one of: copy, mirror, two-way"),
        format!("{file}:8:1: mistake: job.up.destinaton: unknown key; did you mean \"destination\"?"),
        format!("{file}: 4 mistakes, no warnings"),
    ];
    assert_eq!(told.stdout.lines().collect::<Vec<_>>(), expected);
    let lines = sandbox.run(&["config", "check", "--json"]).exits(2).json();
    assert_eq!(lines.len(), 5);
    assert_eq!((&lines[2]["type"], &lines[2]["line"], &lines[2]["column"]), (&"mistake".into(), &7.into(), &10.into()));
    assert_eq!(lines[2]["key"], "job.up.mode");
    let last = &lines[4];
    assert_eq!((&last["type"], &last["mistakes"], &last["exit"]), (&"checked".into(), &4.into(), &2.into()));
    let broken = with(&sandbox, "[state\ndsn = 's3://KEY:hunter2@b'\n", &["config", "check"]).exits(2);
    broken.says(&["mediasync.toml:1:", ": mistake: "]).never_says("hunter2");
}

#[test]
fn warnings_tell_what_this_machine_lacks_and_are_no_mistakes() {
    let sandbox = Sandbox::new();
    let secret = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint()));
    let text = format!(
        "[remote.live]\ndsn = {secret:?}\n\n[remote.other]\ndsn = \"env:OTHER_DSN\"\n\n[remote.stored]\ndsn = \"dsn-file:none\"\n\n\
         [remote.service]\ndsn = \"credential:live\"\n\n[remote.told]\ndsn_command = [\"touch\", \"run\"]\n\n\
         [[job]]\nname = \"up\"\nsource = \"missing\"\ndestination = \"live:\"\nmode = \"copy\"\n\n\
         [[job]]\nname = \"down\"\nsource = \"other:\"\ndestination = \"no/where\"\nmode = \"copy\"\n\n\
         [[job]]\nname = \"fine\"\nsource = \"told:\"\ndestination = \"new\"\nmode = \"copy\"\n"
    );
    let told = with(&sandbox, &text, &["config", "check"]).exits(0).never_says(sandbox.server.secret_key());
    let lines: Vec<&str> = told.stdout.lines().filter(|line| line.contains(": warning: ")).collect();
    let expected = [
        "mediasync.toml: warning: ",
        "mediasync.toml:5:7: warning: remote.other.dsn: the variable OTHER_DSN is not set here",
        "mediasync.toml:8:7: warning: remote.stored.dsn: can't read ",
        "mediasync.toml:18:10: warning: job.up.source: ",
        "mediasync.toml:25:15: warning: job.down.destination: neither ",
    ];
    assert_eq!(lines.len(), expected.len(), "{told:?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(expected), "{expected}: {told:?}");
    }
    assert!(lines[0].contains("holds secrets and others can read it: chmod 600"), "{told:?}");
    told.says(&["mediasync.toml: no mistakes, 5 warnings", "write credential:NAME for it"]);
    assert!(!sandbox.path("work/run").exists(), "no command is run");
    assert_eq!(sandbox.server.requests().len(), 0, "nobody is asked");
    fs::set_permissions(sandbox.path("work/mediasync.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    sandbox.run(&["config", "check"]).exits(0).says(&["no mistakes, 4 warnings"]);
}

#[test]
fn what_a_command_refuses_is_a_mistake() {
    let sandbox = Sandbox::new();
    let nested = format!(
        "{JOB}\n[[job]]\nname = \"also\"\nsource = \"../media\"\ndestination = \"env:DEFAULT_STORAGE_DSN\"\nmode = \"copy\"\n"
    );
    let told = with(&sandbox, &nested, &["config", "check"]).exits(2);
    told.says(&["mediasync.toml:7:1: mistake: job.also.destination: is the destination of job \"up\" (line 1)"]);
    sandbox.run(&["sync"]).exits(2);
    let broken = "[remote.live]\ndsn = \"s3://KEY:hunter2@nowhere\"\n";
    with(&sandbox, broken, &["config", "check"])
        .exits(2)
        .says(&[
            "mediasync.toml:2:7: mistake: remote.live.dsn: the DSN: no host name with a dot follows the `@`",
            "hint: a DSN reads",
        ])
        .never_says("hunter2");
    // The remote by its name, by another name of the same place, and where its variable is not set.
    let archive = |dsn: &str, destination: &str, access: &str| {
        format!(
            "[remote.archive]\ndsn = \"env:{dsn}\"\naccess = \"{access}\"\n[[job]]\nname = \"up\"\nsource = \"../media\"\n\
             destination = \"{destination}\"\nmode = \"copy\"\n"
        )
    };
    for (dsn, destination) in [
        ("DEFAULT_STORAGE_DSN", "archive:"),
        ("DEFAULT_STORAGE_DSN", "env:DEFAULT_STORAGE_DSN"),
        ("NOT_SET_HERE", "archive:below"),
    ] {
        with(&sandbox, &archive(dsn, destination, "read-only"), &["config", "check"]).exits(2).says(&[
            "mediasync.toml:7:15: mistake: job.up.destination: the job writes there, and remote.archive says access = \"read-only\"",
            "hint: allow it with access",
        ]);
    }
    let (fine, read) = (
        archive("DEFAULT_STORAGE_DSN", "archive:", "confirm"),
        archive("DEFAULT_STORAGE_DSN", "/tmp/back", "read-only"),
    );
    let read = read.replace("../media", "archive:");
    for text in [fine, read] {
        with(&sandbox, &text, &["config", "check"]).exits(0).says(&["no mistakes"]);
    }
    with(&sandbox, JOB, &["config", "check"]).exits(0).says(&["mediasync.toml: no mistakes, no warnings"]);
    fs::remove_file(sandbox.path("work/mediasync.toml")).unwrap();
    sandbox.run(&["config", "check"]).exits(2).says(&["there is no configuration file to check; looked for "]);
}

#[test]
fn what_holds_is_shown_with_where_it_comes_from() {
    let mut sandbox = Sandbox::new();
    sandbox.env("AWS_ENDPOINT_URL", "https://s3.example.com");
    let text = format!(
        "[daemon]\ntimezone = \"Europe/Zurich\"\n\n[notify]\ncommand = [\"tell\", \"hunter2\"]\n\n\
         [remote.backup]\nurl = \"s3://bucket\"\naccess_key = \"env:BACKUP_KEY\"\nsecret_key = \"hunter2\"\n\n{JOB}max_delete = 5\n"
    );
    let told = with(&sandbox, &text, &["config", "show"]).exits(0).never_says("hunter2");
    for line in [
        "mediasync.toml (of this directory or project)",
        "/state\"  # --state-dir",
        "transfers = 32  # default",
        "timezone = \"Europe/Zurich\"  # line 2",
        "# [http]: nothing is listened to (default)",
        "command = [\"tell\", \"***\"]  # line 5",
        "endpoint = \"https://s3.example.com\"  # the variable AWS_ENDPOINT_URL",
        "access_key = \"env:BACKUP_KEY\"  # line 9; the variable BACKUP_KEY is not set here",
        "secret_key = \"***\"  # line 10",
        "destination = \"env:DEFAULT_STORAGE_DSN\"  # line 15; the variable DEFAULT_STORAGE_DSN is set",
        "max_delete = 5  # line 17",
        "# max_overwrite: a budget of the pair over 24 hours (default)",
        "timezone = \"Europe/Zurich\"  # line 2, of [daemon]",
    ] {
        assert!(told.stdout.contains(line), "{line}\n{}", told.stdout);
    }
    let lines = sandbox.run(&["config", "show", "--json"]).exits(0).never_says("hunter2").json();
    assert_eq!((&lines[0]["type"], &lines[0]["found"]), (&"config".into(), &"project".into()));
    let of = |key: &str| lines.iter().find(|line| line["key"] == key).unwrap_or_else(|| panic!("no {key}"));
    assert_eq!((&of("daemon.transfers")["value"], &of("daemon.transfers")["from"]), (&32.into(), &"default".into()));
    assert_eq!((&of("job.up.max_delete")["line"], &of("job.up.max_delete")["from"]), (&17.into(), &"file".into()));
    assert_eq!(of("state.dir")["flag"], "--state-dir");
    assert_eq!(of("remote.backup.endpoint")["variable"], "AWS_ENDPOINT_URL");
    assert_eq!(of("job.up.max_overwrite")["value"], serde_json::Value::Null);
    assert!(!lines.iter().any(|line| line["key"] == "http.listen"), "what is not there has no values");
    assert_eq!(sandbox.server.requests().len(), 0, "nobody is asked");
    fs::remove_file(sandbox.path("work/mediasync.toml")).unwrap();
    sandbox
        .run(&["config", "show"])
        .exits(0)
        .says(&["# There is no configuration file", "shutdown_deadline = \"20s\"  # default"]);
}

#[test]
fn the_acl_that_a_remote_has_by_itself_is_told() {
    let mut sandbox = Sandbox::new();
    let with_acl = |acl: &str| format!("s3://KEY:hunter2@media.s3.eu-central-1.amazonaws.com/?acl={acl}");
    for (name, dsn) in [("PRIVATE_DSN", with_acl("private")), ("NONE_DSN", with_acl(""))] {
        sandbox.env(name, &dsn);
    }
    let remotes = [
        ("public", "dsn = \"env:DEFAULT_STORAGE_DSN\""),
        ("said", "dsn = \"env:DEFAULT_STORAGE_DSN\"\nacl = \"unset\""),
        ("closed", "dsn = \"env:PRIVATE_DSN\""),
        ("none", "dsn = \"env:NONE_DSN\""),
        ("url", "url = \"s3://bucket\""),
        ("r2", "dsn = \"s3://KEY:hunter2@media.0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com/\""),
        ("later", "dsn = \"env:NOT_SET\""),
        ("azure", "dsn = \"az://acct:a2V5@blob.core.windows.net/media\""),
    ];
    let tables: Vec<String> = remotes.iter().map(|(name, keys)| format!("[remote.{name}]\n{keys}\n")).collect();
    let text = tables.join("\n");
    with(&sandbox, &text, &["config", "show"]).exits(0).never_says("hunter2");
    let lines = sandbox.run(&["config", "show", "--json"]).exits(0).never_says("hunter2").json();
    let of = |name: &str| lines.iter().find(|line| line["key"] == format!("remote.{name}.acl"));
    for (name, from, note) in [
        ("public", "dsn", "public-read, so everybody may read new objects"),
        ("closed", "dsn", "private; a mirror takes none"),
        ("none", "dsn", "none is sent, and the bucket decides"),
        ("url", "default", "none is sent, and the bucket decides"),
        ("r2", "default", "objects have none there"),
        ("later", "default", "what the DSN says, and"),
    ] {
        let line = of(name).unwrap_or_else(|| panic!("no {name}"));
        assert!(line["from"] == from && line["value"].is_null(), "{line}");
        assert!(line["note"].as_str().unwrap().contains(note), "{line}");
    }
    assert_eq!((&of("said").unwrap()["value"], &of("said").unwrap()["from"]), (&"unset".into(), &"file".into()));
    assert_eq!(of("azure"), None, "blobs have none");
}

/// The same configuration again, but for lines and paths.
fn assert_same(shown: &str, text: &str) {
    let read = |text: &str| {
        let mut config =
            Config::parse(text, Path::new("/x/mediasync.toml")).unwrap_or_else(|bad| panic!("{bad:?}\n{text}"));
        config.state_dir = None;
        config.jobs.iter_mut().for_each(|job| job.line = 0);
        config.remotes.values_mut().for_each(|remote| remote.line = 0);
        config
    };
    assert_eq!(read(shown), read(text), "{shown}");
}

#[test]
fn what_is_shown_is_a_file_that_says_the_same() {
    let sandbox = Sandbox::new();
    let two_way = JOB.replace("copy", "two-way").replace("env:DEFAULT_STORAGE_DSN", "../there");
    let kinds = [
        String::new(),
        JOB.to_owned(),
        format!("{JOB}watch = true\noverwrite = true\n"),
        format!("{}watch = true\ntrash = \"2w\"\nowner = \"a\\u007f\\\"\"\n", JOB.replace("copy", "mirror")),
        format!("{JOB}include = [\"a\"]\nexclude = [\"*\"]\n"),
        format!("{two_way}on_conflict = \"keep-both\"\n"),
        format!("{JOB}on_conflict = \"source\"\nbwlimit = [\"08:00-18:00 2MiB\", \"off\"]\nevery = \"15m\"\nmin_size = 0x10\n")
            .replace("0x10", "16"),
        "[remote.blobs]\nurl = \"az://account/container\"\naccount_key = \"env:KEY\"\n\n[remote.bucket]\nurl = \"s3://b\"\nprofile = \"p\"\n\n\
         [remote.site]\ndsn = \"env:X\"\nacl = \"private\"\nwithout = [\"acls\"]\n"
            .to_owned(),
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml")).unwrap(),
    ];
    for text in kinds {
        let told = with(&sandbox, &text, &["config", "show"]).exits(0);
        assert_same(&told.stdout, &text);
    }
}
