//! What a service needs besides places: files of credentials, and programs. Says what is not there, or can't be run as the
//! service runs it; runs nothing.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::args::{Manager, Scope};
use super::rights::{HOMES, Machine, TEMPORARY, User};
use super::systemd::CREDENTIALS;
use crate::cli::setup::shown;
use crate::cli::shell;
use crate::config::places::Env;

/// Where programs of a service without a `PATH` of its own are looked for (systemd.exec(5), launchd.plist(5)).
const SYSTEMD_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const LAUNCHD_PATH: &str = "/usr/bin:/bin:/usr/sbin:/sbin";

/// Where the file of a credential is on this machine; `None` where nobody hands it over, or knows.
pub(super) fn credential_file(name: &str, (manager, scope): (Manager, Scope), env: Env<'_>) -> Option<PathBuf> {
    let base = match (manager, scope) {
        (Manager::Launchd, _) => return None,
        (Manager::Systemd, Scope::System) => PathBuf::from("/etc"),
        (Manager::Systemd, Scope::User) => {
            let dir = |name: &str| env(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
            dir("XDG_CONFIG_HOME").or_else(|| Some(dir("HOME")?.join(".config")))?
        }
    };
    Some(base.join(CREDENTIALS).join(name))
}

/// What is to be said about the file of a credential: that it is not there. One that only root may look at may be.
pub(super) fn credential(name: &str, file: &Path) -> Option<String> {
    let path = shell::path(&file.display().to_string());
    match fs::metadata(file) {
        Ok(found) if found.is_file() => None,
        Ok(_) => Some(format!("credential:{name}: {} is no file", shown(file))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(format!(
            "credential:{name}: {} is not there, and the service starts only when it is; to write it: install -D -m 600 \
             /dev/stdin {path}",
            shown(file)
        )),
        Err(_) => None,
    }
}

/// A program that the service runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Program<'a> {
    /// The key that names it.
    pub(super) key: &'a str,
    /// As it is written.
    pub(super) name: &'a str,
    /// Where a path that is not absolute begins; else nobody should write one.
    pub(super) base: Option<&'a Path>,
}

/// How a service runs its programs.
#[derive(Clone, Copy)]
pub(super) struct Runs<'a> {
    pub(super) machine: &'a Machine,
    pub(super) user: &'a User,
    pub(super) kind: (Manager, Scope),
    /// What the unit shows of what it hides.
    pub(super) sees: &'a dyn Fn(&Path) -> bool,
}

impl Program<'_> {
    /// Why the service can't run it; `None` if it can, or nobody knows.
    pub(super) fn trouble(&self, runs: Runs<'_>) -> Option<String> {
        let Self { key, name, base } = *self;
        let told = name.escape_debug();
        if !name.contains('/') {
            // What a manager of a user has as PATH is its own matter.
            let path = match runs.kind {
                (Manager::Systemd, Scope::System) => SYSTEMD_PATH,
                (Manager::Launchd, _) => LAUNCHD_PATH,
                (Manager::Systemd, Scope::User) => return None,
            };
            let is_there = path.split(':').any(|dir| is_program(&Path::new(dir).join(name)) != Some(false));
            return (!is_there)
                .then(|| format!("{key}: there is no program {told} where a service looks for it ({path})"));
        }
        let path = match base {
            Some(base) => base.join(name),
            None if name.starts_with('/') => PathBuf::from(name),
            None => return Some(format!("{key}: {told} begins nowhere for a service: write the whole path")),
        };
        let (file, word) = (shown(&path), shell::path(&path.display().to_string()));
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Some(format!("{key}: {file} is not there"));
            }
            // Only others may look at it.
            Err(_) => return None,
            Ok(found) if !found.is_file() => return Some(format!("{key}: {file} is no program")),
            Ok(_) => {}
        }
        if is_program(&path) == Some(false) {
            return Some(format!("{key}: {file} is not executable: chmod 755 {word}"));
        }
        if !runs.machine.may_run(&path, runs.user) {
            return Some(format!(
                "{key}: the user of the service may not run {file}: chmod 755 {word}, and put it where everybody comes"
            ));
        }
        let is_hidden = HOMES.iter().chain(&TEMPORARY).any(|dir| path.starts_with(dir)) && !(runs.sees)(&path);
        (is_hidden && runs.kind == (Manager::Systemd, Scope::System))
            .then(|| format!("{key}: the service does not see {file}: put it somewhere else, such as /usr/local/bin"))
    }
}

/// Whether a file is one that somebody can run; `None` if nobody may look.
fn is_program(path: &Path) -> Option<bool> {
    match fs::metadata(path) {
        Ok(found) => Some(found.is_file() && found.permissions().mode() & 0o111 != 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(false),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(name: &str, base: Option<&Path>, scope: Scope, sees: bool) -> Option<String> {
        let machine = Machine { users: "web:x:4242:4343::/:/bin/false\n".to_owned(), groups: String::new() };
        let user = if scope == Scope::User { User::Unnamed } else { User::Named("web".to_owned()) };
        let runs = Runs { machine: &machine, user: &user, kind: (Manager::Systemd, scope), sees: &|_| sees };
        Program { key: "notify.command", name, base }.trouble(runs)
    }

    #[test]
    fn a_program_that_a_service_can_not_run_is_told_with_the_way_out() {
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        let file = dir.path().join("tell-me");
        let name = file.to_str().unwrap();
        let told = || trouble(name, None, Scope::System, true);
        assert_eq!(told().unwrap(), format!("notify.command: {name} is not there"));
        fs::write(&file, "#!/bin/sh\n").unwrap();
        for (mode, says) in [
            (0o644, Some(format!("notify.command: {name} is not executable: chmod 755 {name}"))),
            (
                0o700,
                Some(format!(
                    "notify.command: the user of the service may not run {name}: chmod 755 {name}, and put it where everybody comes"
                )),
            ),
            (0o755, None),
        ] {
            fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(told(), says, "{mode:o}");
        }
        let hidden = trouble(name, None, Scope::System, false).unwrap();
        assert_eq!(
            hidden,
            format!("notify.command: the service does not see {name}: put it somewhere else, such as /usr/local/bin")
        );
        assert_eq!(trouble(name, None, Scope::User, false), None, "a service of one's own sees what its user sees");
        assert!(trouble(dir.path().to_str().unwrap(), None, Scope::System, true).unwrap().ends_with("is no program"));
        assert_eq!(trouble("./tell-me", Some(dir.path()), Scope::System, true), None);
        assert!(trouble("bin/tell-me", None, Scope::System, true).unwrap().ends_with("write the whole path"));
    }

    #[test]
    fn a_bare_name_is_looked_for_where_a_service_does() {
        assert_eq!(trouble("sh", None, Scope::System, true), None);
        let none = trouble("no-such-program", None, Scope::System, true).unwrap();
        assert!(
            none.starts_with(
                "notify.command: there is no program no-such-program where a service looks for it (/usr/local/sbin:"
            ),
            "{none}"
        );
        assert_eq!(trouble("no-such-program", None, Scope::User, true), None, "nobody knows its PATH");
    }

    #[test]
    fn a_credential_without_its_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let set = |name: &str| (name == "HOME").then(|| dir.path().to_str().unwrap().to_owned());
        let file = credential_file("live", (Manager::Systemd, Scope::User), &set).unwrap();
        assert_eq!(file, dir.path().join(".config/mediasync/credentials/live"));
        let told = credential("live", &file).unwrap();
        assert!(
            told.starts_with("credential:live: ") && told.contains("is not there, and the service starts only"),
            "{told}"
        );
        fs::create_dir_all(&file).unwrap();
        assert!(credential("live", &file).unwrap().ends_with("is no file"));
        fs::remove_dir(&file).unwrap();
        fs::write(&file, "s3://x").unwrap();
        assert_eq!(credential("live", &file), None);
        let system = credential_file("live", (Manager::Systemd, Scope::System), &set).unwrap();
        assert_eq!(system, Path::new("/etc/mediasync/credentials/live"));
        assert_eq!(credential_file("live", (Manager::Launchd, Scope::User), &set), None);
    }
}
