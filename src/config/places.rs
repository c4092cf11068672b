//! Where the configuration file and the state directory are.
//!
//! The environment and the file system come in as closures, so that the rules are functions of values.

use std::path::{Path, PathBuf};

/// The configuration file's name in the current directory and at the root of a project.
pub const PROJECT_FILE: &str = "mediasync.toml";
/// The configuration file of the machine.
pub const SYSTEM_FILE: &str = "/etc/mediasync/config.toml";
/// The state directory that goes with [`SYSTEM_FILE`].
pub const SYSTEM_STATE: &str = "/var/lib/mediasync";

/// Reads a variable; empty ones count as unset.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Which rule found the configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `--config`, unless it names the machine's.
    Flag,
    /// `mediasync.toml` in the current directory or at the root of the project.
    Project,
    /// `$XDG_CONFIG_HOME/mediasync/config.toml`.
    User,
    /// `/etc/mediasync/config.toml`.
    System,
}

/// The configuration file to read: `--config`, the project's, the user's, the machine's; the first that exists.
/// What `--config` names is taken without a look, so that a missing one is an error and not the next one.
pub fn config_file(
    flag: Option<&Path>,
    here: (&Path, Option<&Path>),
    env: Env<'_>,
    exists: impl Fn(&Path) -> bool,
) -> Option<(PathBuf, Origin)> {
    if let Some(flag) = flag {
        // The machine's own file stays that, and its state where it was, for whoever names it.
        let origin = if here.0.join(flag) == Path::new(SYSTEM_FILE) { Origin::System } else { Origin::Flag };
        return Some((flag.to_owned(), origin));
    }
    candidates(here, env).find(|(path, _)| exists(path))
}

/// Where a configuration file is looked for that nobody names; `here` are the current directory and the root of the
/// project around it.
pub fn candidates((here, project): (&Path, Option<&Path>), env: Env<'_>) -> impl Iterator<Item = (PathBuf, Origin)> {
    let project = project.filter(|root| *root != here);
    let user = xdg(env, "XDG_CONFIG_HOME", ".config").map(|dir| dir.join("mediasync/config.toml"));
    let candidates = [
        (Some(here.join(PROJECT_FILE)), Origin::Project),
        (project.map(|root| root.join(PROJECT_FILE)), Origin::Project),
        (user, Origin::User),
        (Some(PathBuf::from(SYSTEM_FILE)), Origin::System),
    ];
    candidates.into_iter().filter_map(|(path, origin)| Some((path?, origin)))
}

/// What stands at the root of a project: the platform's own file, older and newer, and compose files.
const MARKS: [&str; 6] =
    [".divio/config.json", ".aldryn", "docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml"];

/// The root of the project that `here`, an absolute path, lies in: the nearest directory with a mark of one.
pub fn project_root(here: &Path, exists: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    here.ancestors().find(|dir| MARKS.iter().any(|mark| exists(&dir.join(mark)))).map(Path::to_owned)
}

/// Which rule gave the state directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateRule {
    /// `--state-dir`.
    Flag,
    /// `[state] dir`.
    Config,
    /// This variable.
    Variable(&'static str),
    /// The machine's, with the machine's configuration.
    System,
}

/// The state directory: `--state-dir`, `[state] dir`, `$STATE_DIRECTORY` (set by systemd), `/var/lib/mediasync`
/// with the machine's configuration, the user's.
///
/// # Errors
/// A sentence without a final stop, if no rule gives one.
pub fn state_dir(
    flag: Option<&Path>,
    config: Option<&Path>,
    origin: Option<Origin>,
    env: Env<'_>,
) -> Result<PathBuf, String> {
    state_rule(flag, config, origin, env).map(|(dir, _)| dir)
}

/// As [`state_dir`], and which rule gave it.
///
/// # Errors
/// As [`state_dir`].
pub fn state_rule(
    flag: Option<&Path>,
    config: Option<&Path>,
    origin: Option<Origin>,
    env: Env<'_>,
) -> Result<(PathBuf, StateRule), String> {
    if let Some(dir) = flag {
        return Ok((dir.to_owned(), StateRule::Flag));
    }
    if let Some(dir) = config {
        return Ok((dir.to_owned(), StateRule::Config));
    }
    // A unit with several state directories has them separated by colons
    // (https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#RuntimeDirectory=).
    if let Some(dirs) = env("STATE_DIRECTORY") {
        let dir = PathBuf::from(dirs.split(':').next().unwrap_or(&dirs));
        return Ok((dir, StateRule::Variable("STATE_DIRECTORY")));
    }
    if origin == Some(Origin::System) {
        return Ok((PathBuf::from(SYSTEM_STATE), StateRule::System));
    }
    let own = absolute(env, "XDG_STATE_HOME").map(|dir| (dir, "XDG_STATE_HOME"));
    let home = || absolute(env, "HOME").map(|home| (home.join(".local/state"), "HOME"));
    let dir = own.or_else(home).map(|(dir, name)| (dir.join("mediasync"), StateRule::Variable(name)));
    dir.ok_or_else(|| "no place for the state: neither XDG_STATE_HOME nor HOME is set; use --state-dir DIR".to_owned())
}

/// A base directory; relative values are ignored (<https://specifications.freedesktop.org/basedir-spec/latest/>).
fn xdg(env: Env<'_>, variable: &str, below_home: &str) -> Option<PathBuf> {
    absolute(env, variable).or_else(|| Some(absolute(env, "HOME")?.join(below_home)))
}

fn absolute(env: Env<'_>, variable: &str) -> Option<PathBuf> {
    env(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The warning about a file with secrets that others can read; `mode` are its Unix permissions. That its group reads it is
/// how a service's user gets to see a file that is not its own.
pub fn mode_warning(path: &Path, mode: u32) -> Option<String> {
    const OTHERS: u32 = 0o037;
    if mode & OTHERS == 0 {
        return None;
    }
    let shown = path.display().to_string();
    let quoted = shown.replace('\'', "'\\''");
    let what = format!("{} holds secrets and others can read it", shown.escape_debug());
    Some(format!("{what}: chmod 600 '{quoted}' (640 if the user that runs this reads it as one of its group)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn the_first_configuration_file_that_exists_wins() {
        let home = env(&[("HOME", "/home/me")]);
        let find = |existing: &[&str]| {
            let exists = |path: &Path| existing.contains(&path.to_str().unwrap());
            config_file(None, (Path::new("/project/sub"), Some(Path::new("/project"))), &home, exists)
                .map(|(path, origin)| (path.display().to_string(), origin))
        };
        assert_eq!(
            find(&["/project/sub/mediasync.toml", "/project/mediasync.toml"]).unwrap().0,
            "/project/sub/mediasync.toml"
        );
        let all = ["/project/mediasync.toml", "/home/me/.config/mediasync/config.toml", SYSTEM_FILE];
        assert_eq!(find(&all), Some((all[0].into(), Origin::Project)));
        assert_eq!(find(&all[1..]), Some((all[1].into(), Origin::User)));
        assert_eq!(find(&all[2..]), Some((all[2].into(), Origin::System)));
        assert_eq!(find(&[]), None);
    }

    #[test]
    fn a_named_file_is_taken_even_if_it_is_missing() {
        let found = config_file(Some(Path::new("x.toml")), (Path::new("/project"), None), &env(&[]), |_| false);
        assert_eq!(found, Some((PathBuf::from("x.toml"), Origin::Flag)));
    }

    #[test]
    fn the_file_of_the_machine_has_the_state_of_the_machine_also_if_it_is_named() {
        for (here, flag) in [("/project", SYSTEM_FILE), ("/etc/mediasync", "config.toml")] {
            let found = config_file(Some(Path::new(flag)), (Path::new(here), None), &env(&[]), |_| false);
            assert_eq!(found, Some((PathBuf::from(flag), Origin::System)), "{here}");
        }
    }

    #[test]
    fn the_project_is_the_nearest_directory_with_a_mark() {
        let root = |here: &str, marks: &[&str]| {
            let found = project_root(Path::new(here), |path| marks.contains(&path.to_str().unwrap()));
            found.map(|root| root.display().to_string())
        };
        let site = ["/home/me/site/.divio/config.json", "/home/me/site/web/compose.yaml"];
        assert_eq!(root("/home/me/site/app/static", &site).as_deref(), Some("/home/me/site"));
        assert_eq!(root("/home/me/site", &site).as_deref(), Some("/home/me/site"));
        assert_eq!(root("/home/me/site/web/x", &site).as_deref(), Some("/home/me/site/web"));
        assert_eq!(root("/home/me", &site), None);
    }

    #[test]
    fn relative_xdg_directories_are_ignored() {
        let set = env(&[("HOME", "/home/me"), ("XDG_STATE_HOME", "state")]);
        assert_eq!(state_dir(None, None, None, &set), Ok(PathBuf::from("/home/me/.local/state/mediasync")));
    }

    #[test]
    fn the_state_directory_follows_its_order() {
        let all = env(&[("STATE_DIRECTORY", "/var/lib/unit:/other"), ("XDG_STATE_HOME", "/xdg"), ("HOME", "/home/me")]);
        let few = env(&[("XDG_STATE_HOME", "/xdg")]);
        let (flag, config) = (Some(Path::new("/flag")), Some(Path::new("/config")));
        let text = |dir: Result<PathBuf, String>| dir.unwrap().display().to_string();
        assert_eq!(text(state_dir(flag, config, None, &all)), "/flag");
        assert_eq!(text(state_dir(None, config, None, &all)), "/config");
        assert_eq!(text(state_dir(None, None, Some(Origin::System), &all)), "/var/lib/unit");
        assert_eq!(text(state_dir(None, None, Some(Origin::System), &few)), SYSTEM_STATE);
        assert_eq!(text(state_dir(None, None, Some(Origin::Project), &few)), "/xdg/mediasync");
        assert!(state_dir(None, None, None, &env(&[])).unwrap_err().contains("--state-dir"));
    }

    #[test]
    fn secrets_that_others_can_read_are_warned_about_with_the_command() {
        assert_eq!([0o600, 0o400, 0o640].map(|mode| mode_warning(Path::new("/x"), mode)), [None, None, None]);
        for mode in [0o644, 0o660, 0o604] {
            let warning = mode_warning(Path::new("/it's.toml"), mode).unwrap();
            assert!(warning.contains(r"others can read it: chmod 600 '/it'\''s.toml' (640 if"), "{warning}");
        }
    }
}
