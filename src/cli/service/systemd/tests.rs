//! What units say, and that systemd reads the same paths from them that were meant.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use super::*;

fn needs() -> Needs {
    Needs {
        program: "/usr/bin/mediasync".into(),
        config: "/etc/mediasync/config.toml".into(),
        jobs: Vec::new(),
        state: None,
        writes: BTreeSet::new(),
        reads: BTreeSet::new(),
        secrets: BTreeSet::new(),
        credentials: BTreeSet::new(),
        user: User::Named("mediasync".into()),
        notes: Vec::new(),
    }
}

fn value<'a>(unit: &'a str, key: &str) -> Option<&'a str> {
    unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

#[test]
fn a_push_sees_its_source_and_writes_nothing() {
    let needs = Needs {
        reads: ["/srv/media".into(), "/home/me/photos".into()].into(),
        credentials: ["live".into()].into(),
        ..needs()
    };
    let unit = unit(&needs, Scope::System).unwrap();
    for (key, expected) in [
        ("RequiresMountsFor", Some("/etc/mediasync/config.toml /home/me/photos /srv/media")),
        ("ExecStart", Some("/usr/bin/mediasync daemon --config /etc/mediasync/config.toml")),
        ("LoadCredential", Some("live:/etc/mediasync/credentials/live")),
        ("User", Some("mediasync")),
        ("StateDirectory", Some("mediasync")),
        ("ReadOnlyPaths", Some("/srv/media")),
        ("BindReadOnlyPaths", Some("/home/me/photos")),
        ("ReadWritePaths", None),
        ("BindPaths", None),
        ("ProtectHome", Some("tmpfs")),
        ("ProtectSystem", Some("strict")),
        ("PrivateUsers", Some("yes")),
        ("UMask", Some("0077")),
        ("WantedBy", Some("multi-user.target")),
    ] {
        assert_eq!(value(&unit, key), expected, "{key}\n{unit}");
    }
    let temporary = Needs { reads: ["/tmp/media".into()].into(), ..needs.clone() };
    let temporary = super::unit(&temporary, Scope::System).unwrap();
    assert_eq!(value(&temporary, "BindReadOnlyPaths"), Some("/tmp/media"));
    assert_eq!((value(&temporary, "PrivateTmp"), value(&temporary, "ProtectHome")), (Some("yes"), Some("yes")));
    let elsewhere =
        super::unit(&Needs { reads: ["/srv/media".into()].into(), ..needs.clone() }, Scope::System).unwrap();
    assert_eq!(value(&elsewhere, "ProtectHome"), Some("yes"));
    assert!(unit.starts_with(super::super::MARKER));
}

#[test]
fn what_is_written_is_named_and_nothing_else_can_be_written() {
    let needs = Needs {
        jobs: vec!["backup".into()],
        state: Some("/data/state".into()),
        writes: ["/backup/media".into(), "/home/me/copy".into()].into(),
        user: User::Named("1234".into()),
        notes: vec!["a\nReadWritePaths=/".into()],
        ..needs()
    };
    let unit = unit(&needs, Scope::System).unwrap();
    for (key, expected) in [
        ("ReadWritePaths", Some("/backup/media /data/state")),
        ("BindPaths", Some("/home/me/copy")),
        ("StateDirectory", None),
        ("User", Some("1234")),
        ("PrivateUsers", Some("no")),
        ("ProtectSystem", Some("strict")),
        (
            "ExecStart",
            Some("/usr/bin/mediasync daemon --config /etc/mediasync/config.toml --state-dir /data/state backup"),
        ),
    ] {
        assert_eq!(value(&unit, key), expected, "{key}\n{unit}");
    }
    let filters: Vec<&str> = unit.lines().filter(|line| line.starts_with("SystemCallFilter=")).collect();
    assert_eq!(filters.last(), Some(&"SystemCallFilter=@chown"));
}

#[test]
fn a_user_s_service_asks_for_nothing_that_its_manager_can_not_do() {
    let needs = Needs { state: Some("/home/me/state".into()), reads: ["/home/me/photos".into()].into(), ..needs() };
    let unit = unit(&needs, Scope::User).unwrap();
    for key in ["User", "DynamicUser", "ProtectSystem", "PrivateUsers", "CapabilityBoundingSet", "RequiresMountsFor"] {
        assert_eq!(value(&unit, key), None, "{key}");
    }
    assert_eq!((value(&unit, "NoNewPrivileges"), value(&unit, "WantedBy")), (Some("yes"), Some("default.target")));
}

#[test]
fn status_is_asked_where_the_state_of_the_unit_is() {
    for (jobs, directory) in [(vec![], "mediasync"), (vec!["a".to_owned(), "b".to_owned()], "mediasync/mediasync-a-b")]
    {
        let needs = Needs { jobs, ..needs() };
        let unit = unit(&needs, Scope::System).unwrap();
        assert_eq!(value(&unit, "StateDirectory"), Some(directory));
        let asked = needs.state_dir(crate::cli::service::args::Manager::Systemd).unwrap();
        assert_eq!(asked, Path::new("/var/lib").join(directory));
    }
}

#[test]
fn what_no_unit_can_hold_is_refused() {
    for path in ["/a\nExecStartPre=/bin/sh", "/a\tb", "/\u{7f}"] {
        let needs = Needs { reads: [path.into()].into(), ..needs() };
        let told = unit(&needs, Scope::System).unwrap_err();
        assert!(told.message.ends_with("can't stand in a unit") && !told.message.contains('\n'), "{}", told.message);
    }
    let quotes = Needs { program: "/opt/it's/mediasync".into(), ..needs() };
    assert!(unit(&quotes, Scope::System).unwrap_err().message.starts_with("systemd starts no program at"));
    let credential = Needs { credentials: ["a:/etc/shadow".into()].into(), ..needs() };
    assert!(unit(&credential, Scope::System).is_err());
}

/// What systemd complains about in a unit, and what it understood of it; `None` without systemd.
fn understood(unit: &str, dir: &Path) -> Option<(Vec<String>, String)> {
    let file = dir.join("mediasync-test.service");
    fs::write(&file, unit).unwrap();
    let verify = |level: &str| {
        let mut command = Command::new("systemd-analyze");
        let told = command.args(["verify", "--man=no"]).arg(&file).env("SYSTEMD_LOG_LEVEL", level).output().ok()?;
        Some(String::from_utf8([told.stdout, told.stderr].concat()).unwrap())
    };
    // It looks at the units of the machine as well.
    let complaints =
        verify("info")?.lines().filter(|line| line.contains("mediasync-test")).map(str::to_owned).collect();
    Some((complaints, verify("debug")?))
}

#[test]
fn systemd_reads_the_paths_that_were_meant() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("pro gram$HOME;%n/mediasync");
    fs::create_dir(program.parent().unwrap()).unwrap();
    fs::write(&program, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let nasty: Vec<PathBuf> =
        ["a b", "%n%%", "$HOME", "do\"uble", "sin'gle", "back\\slash\\", "c:d", " end ", "; x", "-é", "\\x20", "#"]
            .into_iter()
            .map(|name| Path::new("/srv").join(name))
            .collect();
    let needs = Needs {
        program: program.clone(),
        config: "/etc/it's \"a\" $x %i\\ config".into(),
        jobs: vec!["media".into()],
        reads: nasty[..6].iter().cloned().chain(["/home/a b:c\"d'e%h\\".into()]).collect(),
        writes: nasty[6..].iter().cloned().chain(["/home/w w".into()]).collect(),
        notes: vec!["100 % sure\\".into()],
        ..needs()
    };
    let unit = unit(&needs, Scope::System).unwrap();
    let Some((complaints, understood)) = understood(&unit, dir.path()) else { return };
    assert_eq!(complaints, Vec::<String>::new(), "{unit}");
    let lists = |key: &str| -> BTreeSet<PathBuf> {
        let lines = understood.lines().filter_map(|line| line.trim_start().strip_prefix(key)?.strip_prefix(": "));
        lines.map(|line| line.strip_suffix(" (origin-file)").unwrap_or(line).into()).collect()
    };
    let mounts = lists("RequiresMountsFor");
    for path in needs.reads.iter().chain(&needs.writes).chain([&needs.config]) {
        assert!(
            mounts.iter().any(|found| found.to_str().unwrap().trim_end() == path.to_str().unwrap().trim_end()),
            "{path:?}\n{mounts:#?}"
        );
    }
    // The dump has the words of a list beside one another.
    let list = |key: &str| {
        understood.lines().find_map(|line| line.trim_start().strip_prefix(key)?.strip_prefix(": ")).unwrap()
    };
    for (key, paths) in [("ReadOnlyPaths", &nasty[..6]), ("ReadWritePaths", &nasty[6..])] {
        let mut sorted: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
        sorted.sort_unstable();
        assert_eq!(list(key), sorted.join(" "), "{unit}");
    }
    let home = "/home/a b:c\"d'e%h\\";
    assert!(understood.contains(&format!("BindReadOnlyPaths: {home}:{home}:rbind")), "{understood}");
    assert!(understood.contains("BindPaths: /home/w w:/home/w w:rbind"), "{understood}");
    // Arguments as they are before variables are replaced: `$$` is a dollar sign.
    let line = understood.lines().find_map(|line| line.trim_start().strip_prefix("Command Line: ")).unwrap();
    let config = r#""/etc/it's \"a\" \$\$x %i\\ config""#;
    assert!(line.contains(&format!("daemon --config {config} media")), "{line}");
    assert!(line.contains(&format!("{}", program.display()).replace('$', "\\$")), "{line}");
}

#[test]
fn units_of_every_kind_are_clean_and_hardened() {
    let dir = tempfile::tempdir().unwrap();
    let all = [
        Needs { reads: ["/srv/media".into()].into(), ..needs() },
        Needs {
            reads: ["/home/me".into()].into(),
            user: User::Dynamic,
            credentials: ["live".into()].into(),
            ..needs()
        },
        Needs { writes: ["/srv/media".into()].into(), state: Some("/data/state".into()), ..needs() },
    ];
    for needs in all {
        let needs = Needs { program: "/bin/true".into(), ..needs };
        let text = unit(&needs, Scope::System).unwrap();
        let Some((complaints, _)) = understood(&text, dir.path()) else { return };
        assert_eq!(complaints, Vec::<String>::new(), "{text}");
        let most = if needs.writes.is_empty() { "15" } else { "20" };
        let file = dir.path().join("mediasync-test.service");
        let told = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager", "--threshold", most])
            .arg(&file)
            .output()
            .unwrap();
        let told_text = String::from_utf8_lossy(&told.stdout);
        assert!(told.status.success(), "{}\n{text}", told_text.lines().last().unwrap_or_default());
    }
}
