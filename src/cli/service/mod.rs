//! `service`: a unit for the service manager, made from the configuration. Writes and removes one file, which says by its
//! first words that it is ours; starts, stops and enables nothing.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

pub mod args;
mod handed;
mod launchd;
mod needs;
mod rights;
mod systemd;

use args::{Cmd, Manager, Scope, Service, Which};
use needs::Needs;
use rights::Machine;

use super::exit::Exit;
use super::failure::Failure;
use super::place::World;
use super::setup::{Setup, shown};
use super::shell;

/// What a file begins with, or has after its head, that `install` wrote.
const MARKER: &str = "# Written by mediasync service install, from the configuration; run it again to change it.";

/// `service COMMAND`. `state_dir` is `--state-dir`.
///
/// # Errors
/// No configuration, a path that no unit can hold, a file that is not ours, or one that can't be written.
pub fn service(args: &Service, state_dir: Option<&Path>, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let make = |which: &Which| {
        let mut needs = Needs::of(which, state_dir, (setup, world, &Machine::this()))?;
        let ask = to_ask(which, &needs);
        needs.notes.extend(ask.as_ref().map(|ask| format!("to ask it: {ask}")));
        let text = text(which, &needs)?;
        needs.notes.pop_if(|_| ask.is_some());
        Ok::<_, Failure>((text, needs.notes, ask))
    };
    match &args.command {
        Cmd::Print(which) => {
            let (text, ..) = make(which)?;
            setup.output.data(text.trim_end());
        }
        Cmd::Install(which) => {
            let (text, notes, ask) = make(which)?;
            let file = file(which, world)?;
            let done = install(&file, &text)?;
            for note in notes {
                setup.output.warn(&note);
            }
            setup.output.data(&format!("{done}: {}", shown(&file)));
            setup.output.say(&to_start(which, &file));
            if let Some(ask) = ask {
                setup.output.say(&format!("to ask it:\n  {ask}"));
            }
        }
        Cmd::Uninstall(which) => {
            let file = file(which, world)?;
            setup.output.data(&format!("{}: {}", uninstall(&file)?, shown(&file)));
            setup.output.say(&to_stop(which));
        }
    }
    Ok(Exit::Done)
}

fn text(which: &Which, needs: &Needs) -> Result<String, Failure> {
    match which.manager() {
        Manager::Systemd => systemd::unit(needs, which.scope()),
        Manager::Launchd => launchd::plist(needs, which.scope()),
    }
}

/// What units of these jobs are called: letters, digits and what managers allow beside them.
fn base_name(jobs: &[String]) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut name = String::from("mediasync");
    for job in jobs {
        name.push('-');
        for c in job.chars() {
            if fine(c) {
                name.push(c);
            } else {
                write!(name, "_{:x}", u32::from(c)).expect("a string takes everything");
            }
        }
    }
    name
}

/// Where the file goes.
fn file(which: &Which, world: World<'_>) -> Result<PathBuf, Failure> {
    let home = || {
        let home = (world.env)("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        home.ok_or_else(|| Failure::usage("a user's services are below the home directory, and HOME is not set"))
    };
    let (dir, name) = match (which.manager(), which.scope()) {
        (Manager::Systemd, Scope::System) => (PathBuf::from("/etc/systemd/system"), systemd::name(&which.jobs)),
        (Manager::Systemd, Scope::User) => {
            let base = (world.env)("XDG_CONFIG_HOME").map(PathBuf::from).filter(|base| base.is_absolute());
            let base = base.map_or_else(|| home().map(|home| home.join(".config")), Ok)?;
            (base.join("systemd/user"), systemd::name(&which.jobs))
        }
        (Manager::Launchd, Scope::System) => {
            (PathBuf::from("/Library/LaunchDaemons"), format!("{}.plist", launchd::label(&which.jobs)))
        }
        (Manager::Launchd, Scope::User) => {
            (home()?.join("Library/LaunchAgents"), format!("{}.plist", launchd::label(&which.jobs)))
        }
    };
    Ok(dir.join(name))
}

/// Whether what stands there is ours; `None` where nothing does.
fn is_ours(file: &Path) -> Result<Option<bool>, Failure> {
    let marker = MARKER.trim_start_matches("# ");
    match fs::symlink_metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("look at", file, &error)),
        Ok(found) if !found.is_file() => return Ok(Some(false)),
        Ok(_) => {}
    }
    let text = fs::read(file).map_err(|error| failed("read", file, &error))?;
    let text = String::from_utf8_lossy(&text);
    // In its first lines: a person's unit may well tell of ours further down.
    Ok(Some(text.lines().take(3).any(|line| line.contains(marker))))
}

fn install(file: &Path, text: &str) -> Result<&'static str, Failure> {
    let done = match is_ours(file)? {
        Some(false) => return Err(foreign("replaced", file)),
        Some(true) if fs::read_to_string(file).is_ok_and(|old| old == text) => return Ok("unchanged"),
        Some(true) => "replaced",
        None => "written",
    };
    let dir = file.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(dir).map_err(|error| failed("make", dir, &error))?;
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:08x}", fastrand::u32(..)));
    // Managers read only what has a name of theirs.
    let new = dir.join(name);
    let written = fs::File::create_new(&new).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    // A new name is never put over what came in between; what is ours may be replaced.
    let placed = written.and_then(|()| match done {
        "written" => fs::hard_link(&new, file),
        _ => fs::rename(&new, file),
    });
    fs::remove_file(&new).ok();
    placed.map_err(|error| failed("write", file, &error))?;
    Ok(done)
}

fn uninstall(file: &Path) -> Result<&'static str, Failure> {
    match is_ours(file)? {
        None => Ok("not there"),
        Some(false) => Err(foreign("removed", file)),
        Some(true) => {
            fs::remove_file(file).map_err(|error| failed("remove", file, &error))?;
            Ok("removed")
        }
    }
}

fn foreign(what: &str, file: &Path) -> Failure {
    let message = format!("{} was not written by mediasync service install, and is not {what}", shown(file));
    Failure::error(message).hint("move it away, or change it by hand with what mediasync service print says")
}

fn failed(what: &str, file: &Path, error: &io::Error) -> Failure {
    let failure = Failure::error(format!("can't {what} {}: {error}", shown(file)));
    if error.kind() != io::ErrorKind::PermissionDenied {
        return failure;
    }
    failure.hint("a service of the system is root's: use sudo; one of your own needs no rights: --user")
}

/// How people start what was written.
fn to_start(which: &Which, file: &Path) -> String {
    let name = systemd::name(&which.jobs);
    let path = shell::word(&file.display().to_string());
    let lines = match (which.manager(), which.scope()) {
        (Manager::Systemd, Scope::System) => format!("systemctl daemon-reload\n  systemctl enable --now {name}"),
        (Manager::Systemd, Scope::User) => {
            format!("systemctl --user daemon-reload\n  systemctl --user enable --now {name}\n  loginctl enable-linger")
        }
        (Manager::Launchd, Scope::System) => format!("sudo launchctl bootstrap system {path}"),
        (Manager::Launchd, Scope::User) => format!("launchctl bootstrap gui/$(id -u) {path}"),
    };
    format!("to start it:\n  {lines}")
}

/// The command that asks the service how it stands: it finds the same configuration and state.
fn to_ask(which: &Which, needs: &Needs) -> Option<String> {
    let word = |path: &Path| shell::path(&path.display().to_string());
    let state = needs.state_dir(which.manager())?;
    let sudo = if which.scope() == Scope::System { "sudo " } else { "" };
    Some(format!("{sudo}mediasync status --config {} --state-dir {}", word(&needs.config), word(&state)))
}

/// Below a directory for states, the one of a unit: some jobs have theirs inside the one for all.
fn state_below(dir: &Path, jobs: &[String]) -> PathBuf {
    if jobs.is_empty() { dir.to_owned() } else { dir.join(base_name(jobs)) }
}

/// How people stop what was removed.
fn to_stop(which: &Which) -> String {
    let (name, label) = (systemd::name(&which.jobs), launchd::label(&which.jobs));
    let lines = match (which.manager(), which.scope()) {
        (Manager::Systemd, Scope::System) => format!("systemctl disable --now {name}\n  systemctl daemon-reload"),
        (Manager::Systemd, Scope::User) => {
            format!("systemctl --user disable --now {name}\n  systemctl --user daemon-reload")
        }
        (Manager::Launchd, Scope::System) => format!("sudo launchctl bootout system/{label}"),
        (Manager::Launchd, Scope::User) => format!("launchctl bootout gui/$(id -u)/{label}"),
    };
    format!("if it runs, it goes on until it is stopped:\n  {lines}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_it_wrote_is_replaced_or_removed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("new/mediasync.service");
        let text = format!("{MARKER}\n[Unit]\n");
        assert_eq!(uninstall(&file).unwrap(), "not there");
        assert_eq!(install(&file, &text).unwrap(), "written");
        assert_eq!(install(&file, &text).unwrap(), "unchanged");
        assert_eq!(install(&file, &format!("{text}# more\n")).unwrap(), "replaced");
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        assert_eq!(uninstall(&file).unwrap(), "removed");
        for foreign in ["[Unit]\n".to_owned(), format!("[Unit]\n\n\n\n# unlike: {MARKER}\n")] {
            fs::write(&file, &foreign).unwrap();
            assert!(install(&file, &text).unwrap_err().message.ends_with("and is not replaced"));
            assert!(uninstall(&file).unwrap_err().message.ends_with("and is not removed"));
            assert_eq!(fs::read_to_string(&file).unwrap(), foreign);
        }
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/dev/null", &file).unwrap();
        assert!(install(&file, &text).unwrap_err().message.ends_with("and is not replaced"));
        assert!(file.is_symlink(), "a masked unit stays masked");
    }

    #[test]
    fn names_of_units_hold_only_what_managers_allow() {
        assert_eq!(base_name(&[]), "mediasync");
        assert_eq!(base_name(&["photos-2".into(), "é.x".into()]), "mediasync-photos-2-_e9.x");
    }
}
