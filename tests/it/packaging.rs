//! What packaging/ says, as far as no tool of the system has to say it: `scripts/packaging-check` does the rest.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use mediasync::cli::args::Cli;

fn packaging(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(below)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The units that start the program, by name.
fn services() -> Vec<(String, String)> {
    let files = fs::read_dir(packaging("systemd")).unwrap().map(|entry| entry.unwrap().path());
    let mut services: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "service"))
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), read(&path)))
        .collect();
    services.sort();
    assert_eq!(services.len(), 3);
    services
}

fn value<'a>(unit: &'a str, key: &str) -> Option<&'a str> {
    unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

#[test]
fn all_units_are_hardened_by_the_same_lines() {
    let hardening = |unit: &str| {
        let begins = unit.find("# Hardening").expect("the part begins with its name");
        unit[begins..].split("\n\n").next().unwrap().trim_end().to_owned()
    };
    let all: BTreeSet<String> = services().iter().map(|(_, unit)| hardening(unit)).collect();
    assert_eq!(all.len(), 1, "{all:#?}");
    assert!(all.first().unwrap().lines().count() > 30);
}

#[test]
fn units_start_what_can_be_typed_and_wait_for_a_configuration() {
    for (name, unit) in services() {
        let start = value(&unit, "ExecStart").unwrap();
        let line = start.replace("%i", "media");
        let words = line.split(' ').skip(1);
        assert!(line.starts_with("/usr/bin/mediasync "), "{name}: {line}");
        let parsed = Cli::try_parse_from(["mediasync"].into_iter().chain(words));
        assert!(parsed.is_ok(), "{name}: {}", parsed.unwrap_err());
        assert_eq!(value(&unit, "ConditionPathExists"), Some("/etc/mediasync/config.toml"), "{name}");
        assert_eq!((value(&unit, "User"), value(&unit, "StateDirectoryMode")), (Some("mediasync"), Some("0700")));
        for secret in ["Environment", "EnvironmentFile", "PassEnvironment"] {
            assert_eq!(value(&unit, secret), None, "{name}: secrets are credentials");
        }
        let notifies = start.contains(" daemon");
        assert_eq!(value(&unit, "Type"), Some(if notifies { "notify" } else { "oneshot" }), "{name}");
        assert_eq!(value(&unit, "WatchdogSec").is_some(), notifies, "{name}");
    }
}

#[test]
fn the_timer_makes_up_a_missed_run_of_its_service() {
    let timer = read(&packaging("systemd/mediasync-sync.timer"));
    assert_eq!(value(&timer, "Persistent"), Some("yes"));
    assert_eq!(value(&timer, "OnCalendar"), Some("hourly"));
    assert!(services().iter().any(|(name, _)| name == "mediasync-sync.service"));
}

#[test]
fn the_package_has_all_units_and_its_scripts_start_nothing() {
    let manifest = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    let deb = manifest.split("[package.metadata.deb]").nth(1).unwrap().split("\n[").next().unwrap();
    for part in [
        "packaging/systemd/*.service",
        "packaging/systemd/*.timer",
        "mediasync.sysusers",
        "config.example.toml",
        "target/package/man/*.1",
        "usr/share/bash-completion/completions/mediasync",
    ] {
        assert!(deb.contains(part), "{part}");
    }
    for script in ["postinst", "prerm", "postrm"] {
        let text = read(&packaging("debian").join(script));
        assert!(text.starts_with("#!/bin/sh\n") && text.contains("\nset -e\n"), "{script}");
        for starts in ["enable ", "systemctl start", "systemctl restart"] {
            let found = text.replace("disable", "").contains(starts);
            assert!(!found, "{script}: {starts}");
        }
    }
}
