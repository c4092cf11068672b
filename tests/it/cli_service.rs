//! `mediasync service`, and credentials that a service manager hands over.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::sandbox::Sandbox;

/// A sandbox with two jobs: one that only reads here, with a credential, and a backup that writes.
fn two_jobs() -> (Sandbox, String) {
    let mut sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let home = sandbox.path("home of mine");
    fs::create_dir_all(&home).unwrap();
    sandbox.env("HOME", home.to_str().unwrap());
    fs::create_dir_all(sandbox.path("back up % $x")).unwrap();
    let config = sandbox.path("config.toml");
    let text = format!(
        "[remote.live]\ndsn = \"credential:live\"\n\n\
         [[job]]\nname = \"up\"\nsource = {:?}\ndestination = \"live:\"\nmode = \"copy\"\nwatch = true\n\n\
         [[job]]\nname = \"backup\"\nsource = \"live:\"\ndestination = {:?}\nmode = \"copy\"\ncron = \"0 3 * * *\"\n",
        sandbox.media("").to_str().unwrap().trim_end_matches('/'),
        sandbox.path("back up % $x").to_str().unwrap(),
    );
    fs::write(&config, text).unwrap();
    (sandbox, config.to_str().unwrap().to_owned())
}

#[test]
fn the_unit_of_a_job_names_what_it_reads_writes_and_needs() {
    let (sandbox, config) = two_jobs();
    let media = sandbox.media("").to_str().unwrap().trim_end_matches('/').to_owned();
    let system = ["service", "print", "--manager", "systemd", "--config", &config];
    let printed = |jobs: &[&str]| sandbox.run(&[&system[..], jobs].concat()).exits(0).all();
    let up = printed(&["up"]);
    assert!(up.contains(&format!("{media}\n")) && up.contains("ReadOnlyPaths="), "{up}");
    assert!(up.contains("LoadCredential=live:/etc/mediasync/credentials/live\n"), "{up}");
    let state = sandbox.path("state").to_str().unwrap().to_owned();
    assert!(up.contains(&format!(" daemon --config {config} --state-dir {state} up\n")), "{up}");
    // What lies in directories for temporary files is bound into the service's own.
    let written = |unit: &str, paths: &str| {
        ["ReadWritePaths", "BindPaths"].iter().any(|key| unit.contains(&format!("\n{key}={paths}\n")))
    };
    assert!(written(&up, &state), "{up}");
    let both = printed(&[]);
    let backup = sandbox.path("back up % $x").to_str().unwrap().replace('%', "%%");
    assert!(written(&both, &format!("\"{backup}\" {state}")), "{both}");
    assert!(both.contains(&format!("RequiresMountsFor=\"{backup}\" {config} {media} {state}\n")), "{both}");
    sandbox.run(&[&system[..], &["none"]].concat()).exits(2).says(&["no job is called \"none\""]);
    let plist = sandbox.run(&["service", "print", "--manager", "launchd", "--config", &config]).exits(0).all();
    assert!(plist.contains("<string>--config</string>"), "{plist}");
}

#[test]
fn a_unit_has_nothing_of_jobs_that_no_daemon_runs() {
    let (sandbox, config) = two_jobs();
    let manual = sandbox.path("by hand");
    fs::create_dir(&manual).unwrap();
    let text = fs::read_to_string(&config).unwrap();
    let job = format!("\n[[job]]\nname = \"manual\"\nsource = {manual:?}\ndestination = \"live:m\"\nmode = \"copy\"\n");
    fs::write(&config, text + &job).unwrap();
    let print = ["service", "print", "--manager", "systemd", "--config", &config];
    let unit = sandbox.run(&print).exits(0).all();
    assert!(!unit.contains("by hand"), "{unit}");
    let words = ["manual has nothing to do for a daemon", "hint: add watch = true, every = \"15m\" or cron"];
    sandbox.run(&[&print[..], &["manual"]].concat()).exits(2).says(&words);
    sandbox.run(&["daemon", "manual", "--config", &config]).exits(2).says(&words);
}

#[test]
fn a_unit_says_what_its_user_can_t_read_and_how_to_ask_it() {
    let (sandbox, config) = two_jobs();
    let text = fs::read_to_string(&config).unwrap();
    let hooks = "[notify]\nwebhook = \"credential:hook\"\nping = \"env:PING\"\n\n";
    fs::write(&config, format!("{hooks}{text}")).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    let system = |jobs: &[&str], user: bool| {
        let print = ["service", "print", "--manager", "systemd", "--config", &config];
        let user: &[&str] = if user { &["--user"] } else { &[] };
        sandbox.run(&[&print[..], user, jobs].concat()).exits(0).all()
    };
    let (up, own) = (system(&["up"], false), system(&["up"], true));
    // Whoever runs the tests owns the file, and a push runs as somebody else.
    assert!(up.contains(&format!("can't read {config}: ")), "{up}");
    assert!(!own.contains("can't read"), "{own}");
    for unit in [&up, &own] {
        assert!(unit.contains("\nLoadCredential=hook:"), "{unit}");
        assert!(
            unit.contains(
                "# Note: notify: a service has no variables of yours; use credential:NAME instead of env:PING"
            ),
            "{unit}"
        );
        let state = sandbox.path("state").display().to_string();
        assert!(unit.contains(&format!("mediasync status --config {config} --state-dir {state}\n")), "{unit}");
    }
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).unwrap();
    let up = system(&["up"], false);
    assert!(!up.contains(&format!("can't read {config}")), "{up}");
}

/// The system's manager binds what lies in directories for temporary files, like what lies in home directories; a user's
/// manager binds nothing.
#[test]
fn a_unit_says_what_it_needs_at_its_start_and_what_takes_a_restart() {
    let (sandbox, config) = two_jobs();
    let (media, state) = (sandbox.path("media").display().to_string(), sandbox.path("state").display().to_string());
    fs::remove_dir_all(&media).unwrap();
    fs::remove_dir_all(&state).unwrap();
    let print = |user: &[&str]| {
        let args = ["service", "print", "--manager", "systemd", "--config", &config, "up"];
        sandbox.run(&[&args[..], user].concat()).exits(0).all()
    };
    let (system, own) = (print(&[]), print(&["--user"]));
    for path in [&media, &state] {
        let note = format!("# Note: {path} is not there, and the service starts only when it is\n");
        assert!(system.contains(&note) && !own.contains(&note), "{system}\n{own}");
    }
    assert!(own.contains(&format!("# Note: {media} is not there\n")), "{own}");
    assert!(!own.contains(&format!("# Note: {state}")), "the daemon makes it: {own}");
    let bound = format!("# Note: {config} is bound into the service as the file that it is at the start; ");
    assert!(system.contains(&bound) && system.contains("by systemctl restart mediasync-up.service, "), "{system}");
    assert!(!own.contains("is bound into"), "{own}");
}

#[test]
fn a_unit_says_which_files_and_programs_are_not_there() {
    let (sandbox, config) = two_jobs();
    let text = fs::read_to_string(&config).unwrap();
    let (program, home) = (sandbox.path("home of mine/tell-me"), sandbox.path("home of mine"));
    fs::write(&config, format!("[notify]\ncommand = [{program:?}]\n\n{text}")).unwrap();
    let service = |what: &str, user: &[&str]| {
        let args = ["service", what, "--manager", "systemd", "--config", &config, "up"];
        sandbox.run(&[&args[..], user].concat()).exits(0).all()
    };
    let program_note = format!("notify.command: {} is not there", program.display());
    let system =
        "credential:live: /etc/mediasync/credentials/live is not there, and the service starts only when it is";
    let printed = service("print", &[]);
    assert!(printed.contains(&format!("\n# Note: {program_note}\n")), "{printed}");
    assert!(
        printed.contains(&format!("\n# Note: {system}; to write it: install -D -m 600 /dev/stdin /etc/")),
        "{printed}"
    );
    let credential = home.join(".config/mediasync/credentials/live");
    let own = format!("credential:live: {} is not there", credential.display());
    let installed = service("install", &["--user"]);
    assert!(installed.contains(&own) && installed.contains(&program_note), "{installed}");
    fs::create_dir_all(credential.parent().unwrap()).unwrap();
    fs::write(&credential, "s3://x").unwrap();
    fs::write(&program, "#!/bin/sh\n").unwrap();
    let printed = service("print", &["--user"]);
    assert!(!printed.contains("credential:live:"), "{printed}");
    assert!(printed.contains("notify.command: ") && printed.contains(" is not executable: chmod 755 "), "{printed}");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let printed = service("print", &["--user"]);
    assert!(!printed.contains("notify.command"), "{printed}");
    // The jobs see nothing of where it lies.
    assert!(service("print", &[]).contains("notify.command: the service does not see "));
}

#[test]
fn a_unit_that_may_not_read_its_source_is_told_of_the_group_that_may() {
    let (sandbox, config) = two_jobs();
    let media = sandbox.path("media");
    // Only root can do this; everybody else is in the group of what they made.
    std::os::unix::fs::chown(&media, None, Some(1)).ok();
    fs::set_permissions(&media, fs::Permissions::from_mode(0o750)).unwrap();
    let print = ["service", "print", "--manager", "systemd", "--config", &config, "up"];
    let printed = sandbox.run(&print).exits(0).all();
    let note = printed.lines().find(|line| line.contains(" can't read ")).unwrap_or_else(|| panic!("{printed}"));
    assert!(note.contains("but a group can that it may have, too: SupplementaryGroups="), "{note}");
    assert!(note.ends_with("in [Service] (systemctl edit mediasync-up.service)"), "{note}");
}

#[test]
fn a_unit_of_one_s_own_is_installed_and_removed_and_nothing_else_is() {
    let (sandbox, config) = two_jobs();
    let service = |what: &str, jobs: &[&str]| {
        let args = ["service", what, "--manager", "systemd", "--user", "--config", &config];
        sandbox.run(&[&args[..], jobs].concat())
    };
    let dir = sandbox.path("home of mine/.config/systemd/user");
    service("install", &["up"]).exits(0).says(&[
        "written: ",
        "systemd/user/mediasync-up.service",
        "systemctl --user enable --now mediasync-up.service",
        "to ask it:\n  mediasync status --config ",
    ]);
    service("install", &["up"]).exits(0).says(&["unchanged: "]);
    fs::write(dir.join("mediasync.service"), "[Service]\n").unwrap();
    service("install", &[]).exits(1).says(&["was not written by mediasync service install, and is not replaced"]);
    service("uninstall", &[]).exits(1).says(&["is not removed", "hint: move it away"]);
    service("uninstall", &["up"]).exits(0).says(&["removed: ", "systemctl --user disable --now mediasync-up.service"]);
    service("uninstall", &["up"]).exits(0).says(&["not there: "]);
    let left: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["mediasync.service"]);
    assert_eq!(fs::read_to_string(dir.join("mediasync.service")).unwrap(), "[Service]\n");
}

#[test]
fn a_job_runs_with_a_credential_and_says_what_is_missing_without() {
    let (mut sandbox, config) = two_jobs();
    let sync = ["sync", "up", "--config", &config];
    sandbox.run(&sync).exits(2).says(&[
        "remote.live (line 1): there is no credential live: the variable CREDENTIALS_DIRECTORY is not set",
        "hint: credentials are handed to services: LoadCredential=live:FILE in the unit",
    ]);
    let dir = sandbox.path("credentials");
    fs::create_dir(&dir).unwrap();
    sandbox.env("CREDENTIALS_DIRECTORY", dir.to_str().unwrap());
    sandbox.run(&sync).exits(2).says(&["there is no credential live in "]);
    let dsn = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint()));
    fs::write(dir.join("live"), format!("{dsn}\n")).unwrap();
    fs::set_permissions(dir.join("live"), fs::Permissions::from_mode(0o400)).unwrap();
    sandbox.run(&sync).exits(0).never_says("others can read it");
    assert_eq!(sandbox.remote().keys().map(String::as_str).collect::<Vec<_>>(), ["a.jpg"]);
    fs::set_permissions(dir.join("live"), fs::Permissions::from_mode(0o444)).unwrap();
    let media = sandbox.media("");
    sandbox.run(&["push", media.to_str().unwrap(), "credential:live"]).exits(0).says(&["others can read it"]);
}
