//! A directory: whether it is there, what its disk allows, and whether it can be watched.

use std::path::Path;

use super::Place;
use crate::cli::setup::shown;
use crate::config::Job;
use crate::replica::checkup::{Finding, Usage};
use crate::replica::local::health::{self, Disk};

/// Below this, what is stored soon fills a disk.
const LITTLE: u64 = 500_000_000;

pub(super) async fn directory(path: &Path, place: &Place, job: Option<&Job>) -> Vec<Finding> {
    let mut findings = vec![there(path, place.usage)];
    let disk = match health::disk(path) {
        Ok(disk) => disk,
        Err(why) => {
            findings.push(Finding::fail(
                "file-system",
                format!("its disk can't be looked at: {why}"),
                "Mount it again",
            ));
            return findings;
        }
    };
    if let (Some(why), true) = (&disk.unwritable, place.usage != Usage::Read) {
        let found = format!("nothing can be made in {}: {why}", shown(&disk.at));
        findings.push(Finding::fail(
            "permission-put",
            found,
            "Give it to the user that runs this, or run as its owner",
        ));
    }
    let watched = job.is_some_and(|job| job.daemon.watch);
    findings.push(file_system(&disk, watched));
    if place.usage != Usage::Read {
        findings.push(free_space("free-space", &disk, job.and_then(|job| job.options.files.reserve).unwrap_or(LITTLE)));
    }
    if watched && disk.network.is_none() {
        let path = path.to_owned();
        let count = tokio::task::spawn_blocking(move || health::directories(&path)).await.unwrap_or(0);
        findings.push(watches(count, health::most_watches()));
    }
    findings
}

fn there(path: &Path, usage: Usage) -> Finding {
    const NAME: &str = "directory";
    match std::fs::read_dir(path) {
        Ok(_) => Finding::ok(NAME, "it is there and can be read"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && usage != Usage::Read => {
            Finding::ok(NAME, "it is not there yet")
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Finding::fail(NAME, "it is not there", "Check the path; mount the disk if it lies on one")
        }
        Err(error) => {
            let why = error.kind();
            Finding::fail(NAME, format!("it can't be read: {why}"), "Give the user that runs this the right to read it")
        }
    }
}

fn file_system(disk: &Disk, watched: bool) -> Finding {
    const NAME: &str = "file-system";
    match disk.network {
        Some(kind) if watched => Finding::warn(
            NAME,
            format!(
                "it is {kind}, which does not tell what other machines change: the job looks at all of it by the clock"
            ),
            "Run the job where the files are, or set full_scan_interval to how old a change may become",
        ),
        Some(kind) => Finding::ok(NAME, format!("it is {kind}")),
        None => Finding::ok(NAME, "a local one"),
    }
}

/// Whether a disk has room.
pub(super) fn free_space(name: &'static str, disk: &Disk, needed: u64) -> Finding {
    let Some(free) = disk.free else { return Finding::skip(name, "the file system does not tell") };
    let found = format!("{} MB are free at {}", free / 1_000_000, shown(&disk.at));
    if free < needed {
        let fix = format!("Free some space there: {} MB are to stay free", needed / 1_000_000);
        return Finding::warn(name, found, fix);
    }
    Finding::ok(name, found)
}

fn watches(directories: u64, most: Option<u64>) -> Finding {
    const NAME: &str = "watches";
    let Some(most) = most else { return Finding::skip(NAME, "this system has no such limit") };
    let found = format!("{directories} directories need a watch each, and a user may set {most}");
    // Other programs of the user have watches too.
    if directories > most / 2 {
        let wanted = (directories * 2).next_power_of_two().max(65_536);
        return Finding::warn(NAME, found, format!("Raise the limit: sysctl fs.inotify.max_user_watches={wanted}"));
    }
    Finding::ok(NAME, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::checkup::State;

    fn disk(network: Option<&'static str>, free: Option<u64>) -> Disk {
        Disk { at: "/srv".into(), network, free, unwritable: None }
    }

    #[test]
    fn a_limit_of_watches_that_will_not_do_is_told_with_one_that_will() {
        assert_eq!(watches(100, Some(8192)).state, State::Ok);
        assert_eq!(watches(100, None).state, State::Skip);
        let told = watches(60_000, Some(65_536));
        assert_eq!(told.state, State::Warn);
        assert!(told.fix.unwrap().ends_with("max_user_watches=131072"));
    }

    #[test]
    fn a_network_file_system_matters_where_it_is_watched() {
        assert_eq!(file_system(&disk(Some("NFS"), None), true).state, State::Warn);
        assert_eq!(file_system(&disk(Some("NFS"), None), false).state, State::Ok);
        assert_eq!(file_system(&disk(None, None), true).state, State::Ok);
    }

    #[test]
    fn a_disk_that_is_nearly_full_is_told() {
        let state = |free| free_space("free-space", &disk(None, free), 1000).state;
        assert_eq!((state(Some(999)), state(Some(1000)), state(None)), (State::Warn, State::Ok, State::Skip));
    }
}
