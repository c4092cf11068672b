//! What does not belong to one place: the configuration, the state directory, limits of this machine, the service, and how
//! the pair of a job stands.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::directory::free_space;
use crate::cli::client;
use crate::cli::exit::Exit;
use crate::cli::human;
use crate::cli::place::World;
use crate::cli::resolve;
use crate::cli::setup::{Setup, shown};
use crate::cli::shell;
use crate::cli::status;
use crate::config::Job;
use crate::replica::checkup::Finding;
use crate::replica::local::health;

/// What manifests and plans may need before long.
const STATE_BYTES: u64 = 100_000_000;
/// Files, connections and directories that a run has open at the same time, with room to spare.
const OPEN_FILES: u64 = 1024;
/// The unit of `service install` and of the package.
const UNIT: &str = "mediasync.service";
/// There where systemd runs (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";

pub(super) async fn machine(setup: &Setup, world: World<'_>) -> Vec<Finding> {
    let mut findings = vec![config(setup, world), state_dir(&setup.state_dir)];
    if let Ok(disk) = health::disk(&setup.state_dir) {
        findings.push(free_space("state-dir", &disk, STATE_BYTES));
    }
    findings.push(open_files(health::most_open_files()));
    findings.push(daemon(setup).await);
    if Path::new(SYSTEMD).exists() {
        findings.push(unit().await);
    }
    findings
}

fn config(setup: &Setup, world: World<'_>) -> Finding {
    const NAME: &str = "config";
    let Some(file) = &setup.config_file else {
        return Finding::skip(NAME, "there is no configuration file, and none is needed");
    };
    if let Some(warning) = &setup.warning {
        let (found, fix) = warning.split_once(": ").unwrap_or((warning, "chmod 600"));
        return Finding::warn(NAME, found, fix);
    }
    if let Err(failure) = resolve::check_jobs(world) {
        return Finding::fail(NAME, failure.in_a_line(), "Give each job places of its own");
    }
    let (jobs, remotes) = (setup.config.jobs.len(), setup.config.remotes.len());
    Finding::ok(NAME, format!("{} has no mistakes; jobs: {jobs}, remotes: {remotes}", shown(file)))
}

fn state_dir(path: &Path) -> Finding {
    const NAME: &str = "state-dir";
    let fix = format!("Give it to the user that runs this, or name another one with --state-dir: {}", shown(path));
    match health::disk(path) {
        Err(why) => Finding::fail(NAME, format!("{} can't be looked at: {why}", shown(path)), fix),
        Ok(disk) => match (disk.unwritable, disk.network) {
            (Some(why), _) => Finding::fail(NAME, format!("{} can't be written: {why}", shown(&disk.at)), fix),
            (None, Some(kind)) => Finding::warn(
                NAME,
                format!("{} lies on {kind}, where locks and databases are not safe", shown(path)),
                "Name a directory on a local disk with --state-dir or [state] dir",
            ),
            (None, None) if disk.at == path => Finding::ok(NAME, format!("{} can be written", shown(path))),
            (None, None) => Finding::ok(NAME, format!("{} is not there yet, and can be made", shown(path))),
        },
    }
}

fn open_files(most: Option<u64>) -> Finding {
    const NAME: &str = "open-files";
    match most {
        None => Finding::ok(NAME, "there is no limit"),
        Some(most) if most < OPEN_FILES => Finding::warn(
            NAME,
            format!("a process may have {most} files open"),
            format!("Raise the limit: ulimit -n {OPEN_FILES}; for a service LimitNOFILE={OPEN_FILES}"),
        ),
        Some(most) => Finding::ok(NAME, format!("a process may have {most} files open")),
    }
}

/// What answers on the control socket.
async fn daemon(setup: &Setup) -> Finding {
    const NAME: &str = "service";
    let waiting = setup.config.jobs.iter().filter(|job| job.daemon.watch || job.daemon.schedule.is_some()).count();
    match client::state(&setup.state_dir).await {
        Err(failure) => {
            let fix = failure.hints.first().cloned().unwrap_or_else(|| "Its log says what it does".to_owned());
            Finding::fail(NAME, failure.in_a_line(), fix)
        }
        Ok(None) if waiting > 0 => Finding::warn(
            NAME,
            format!("no daemon runs, and jobs are to be watched or run by the clock: {waiting}"),
            format!("mediasync daemon{}; for good: mediasync service install", setup.repeated),
        ),
        Ok(None) => Finding::ok(NAME, "no daemon runs, and no job asks for one"),
        Ok(Some(daemon)) => {
            let since = human::time(daemon.started_ns, setup.output.zone());
            let found = format!("a daemon runs: process {}, version {}, since {since}", daemon.pid, daemon.version);
            match daemon.reload_error {
                Some(why) => Finding::warn(
                    NAME,
                    format!("{found}; it does not use the configuration that it read last: {why}"),
                    format!("Correct the file, then: kill -HUP {}", daemon.pid),
                ),
                None if daemon.version != env!("CARGO_PKG_VERSION") => Finding::warn(
                    NAME,
                    format!("{found}; this program is version {}", env!("CARGO_PKG_VERSION")),
                    "Restart the daemon",
                ),
                None => Finding::ok(NAME, found),
            }
        }
    }
}

/// What systemd says of the service of the system.
async fn unit() -> Finding {
    const NAME: &str = "unit";
    let mut command = tokio::process::Command::new("systemctl");
    command.args(["is-active", UNIT]).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(5), command.output()).await;
    let Ok(Ok(output)) = output else { return Finding::skip(NAME, "systemd can't be asked") };
    match String::from_utf8_lossy(&output.stdout).trim() {
        "active" | "activating" | "reloading" => Finding::ok(NAME, format!("{UNIT} is active")),
        "failed" => {
            Finding::fail(NAME, format!("{UNIT} has failed"), format!("Its log says why: journalctl -u {UNIT} -e"))
        }
        _ => Finding::skip(NAME, format!("{UNIT} is not active")),
    }
}

/// How the pair of a job stands.
pub(super) async fn pair(job: &Job, setup: &Setup, world: World<'_>) -> Finding {
    const NAME: &str = "pair";
    let command = format!("mediasync status {}{}", shell::word(&job.name), setup.repeated);
    match status::standing(&job.name, setup, world).await {
        Ok(Exit::Done) => Finding::ok(NAME, "in sync"),
        Ok(Exit::Halted) => {
            Finding::fail(NAME, "a guard has halted it", format!("{command} says why, and how to go on"))
        }
        Ok(Exit::Problems) => Finding::warn(
            NAME,
            "not known to be in sync: it never ran, ran too long ago, or something was left",
            format!("{command} says which"),
        ),
        Ok(_) => Finding::warn(NAME, "it is not known how it stands", format!("{command} says why")),
        Err(failure) => {
            let fix = failure.hints.first().cloned().unwrap_or(command);
            Finding::fail(NAME, failure.in_a_line(), fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::checkup::State;

    #[test]
    fn few_open_files_are_told() {
        assert_eq!(open_files(Some(256)).state, State::Warn);
        assert_eq!((open_files(Some(1024)).state, open_files(None).state), (State::Ok, State::Ok));
    }

    #[test]
    fn a_state_directory_that_is_not_there_is_told_by_where_it_would_be() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(state_dir(&dir.path().join("state")).state, State::Ok);
        assert!(state_dir(dir.path()).found.ends_with("can be written"));
    }
}
