//! Which pairs this host has worked on: one small file beside each manifest, so that `status` and `history` know the
//! pairs of commands that no job names.
//!
//! Holds what people see, and no secrets. Losing it loses nothing but those lines of `status`.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::place::World;
use super::resolve::{self, Task};
use super::setup::{Setup, shown};
use super::wire;
use crate::manifest::{Lock, Manifest, Pair};
use crate::model::Side;
use crate::plan::Mode;
use crate::replica::s3::{Probe, S3Address};

/// The file's name, in the pair's directory.
const FILE: &str = "places.json";

/// A pair as the last command named it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The job, if it was one.
    pub job: Option<String>,
    /// The command.
    pub command: String,
    /// The source's canonical text.
    pub source: String,
    /// The destination's canonical text.
    pub dest: String,
    /// How people call both.
    pub names: (String, String),
    /// How the command spelled both, so that they are found again; `None` if that holds a secret.
    #[serde(default)]
    pub spelled: (Option<String>, Option<String>),
    /// How the command related them.
    #[serde(default)]
    pub mode: Option<Mode>,
}

impl Known {
    /// The pair of a task.
    pub fn of(task: &Task) -> Self {
        Self {
            job: task.job.clone(),
            command: task.command.to_owned(),
            source: task.source.location.canonical(),
            dest: task.dest.location.canonical(),
            names: (task.source.location.display(), task.dest.location.display()),
            spelled: (task.source.spelled.clone(), task.dest.spelled.clone()),
            mode: Some(task.mode),
        }
    }

    /// The pair.
    pub fn pair(&self) -> Pair {
        Pair::new(&self.source, &self.dest)
    }
}

/// Writes down a pair; its directory exists, since its lock is held.
///
/// # Errors
/// The state directory can't be written.
pub fn remember(state_dir: &Path, known: &Known) -> Result<(), Failure> {
    let dir = known.pair().dir(state_dir);
    let (path, temp) = (dir.join(FILE), dir.join("places.json.tmp"));
    let text = serde_json::to_vec(known).expect("texts always serialise");
    if fs::read(&path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temp)?;
        file.write_all(&text)?;
        fs::rename(&temp, &path)
    };
    write().map_err(|error| Failure::error(format!("can't write {}: {error}", shown(&path))))
}

/// Whether a pair was ever written down.
pub fn is_known(state_dir: &Path, pair: &Pair) -> bool {
    pair.dir(state_dir).join(FILE).exists()
}

/// What was found out about a server at the first contact of any pair that has a place of which `fits` is true.
pub fn probe_of(state_dir: &Path, fits: impl Fn(&str) -> bool) -> Option<String> {
    known(state_dir).iter().find_map(|known| {
        let side = if fits(&known.source) {
            Side::Source
        } else if fits(&known.dest) {
            Side::Dest
        } else {
            return None;
        };
        let pair = known.pair();
        let orientation = pair.orientation(&known.source);
        Manifest::open_read_only(state_dir, &pair, orientation).ok()??.probe(side).ok()?
    })
}

/// What runs found out about the server of a place that is or holds this one.
pub fn met(address: &S3Address, state_dir: &Path) -> Option<Probe> {
    let file = address.canonical();
    let holds = |known: &str| {
        let rest = file.strip_prefix(known);
        rest.is_some_and(|rest| known.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
    };
    serde_json::from_str(&probe_of(state_dir, holds)?).ok()
}

/// All pairs of a state directory, by directory name. What can't be read is left out: it is only told, never acted on.
pub fn known(state_dir: &Path) -> Vec<Known> {
    let Ok(dirs) = fs::read_dir(state_dir.join("pairs")) else { return Vec::new() };
    let read = |path: &Path| serde_json::from_slice::<Known>(&fs::read(path.join(FILE)).ok()?).ok();
    let mut found: Vec<Known> = dirs.filter_map(|dir| read(&dir.ok()?.path())).collect();
    found.sort_by(|a, b| (&a.job, &a.names).cmp(&(&b.job, &b.names)));
    found
}

/// The pair that a person names: by a job, or as `status` and halts call a pair without one.
///
/// # Errors
/// There is none of that name, or the places of the job can't be found.
pub fn named(name: &str, setup: &Setup, world: World<'_>) -> Result<Pair, Failure> {
    if let Some(job) = setup.config.job(name) {
        let (source, dest) = resolve::job_ends(job, world)?;
        return Ok(wire::pair(&source, &dest));
    }
    if let Some(known) = known(&setup.state_dir).iter().map(Known::pair).find(|pair| pair.id() == name) {
        return Ok(known);
    }
    let jobs: Vec<&str> = setup.config.jobs.iter().map(|job| job.name.as_str()).collect();
    // What was typed may be a DSN in the wrong place.
    let shown = crate::dsn::redact(name).escape_debug().to_string();
    let failure = Failure::usage(format!("no job and no pair is called \"{shown}\""));
    Err(if jobs.is_empty() { failure } else { failure.hint(format!("known jobs are {}", jobs.join(", "))) })
}

/// Removes all that is kept of a pair, and nothing else. The file of the lock stays: without it two processes could
/// lock two files of one name.
///
/// # Errors
/// Something can't be removed; what names the pair is then still there, so that it can be tried again.
pub fn forget(state_dir: &Path, pair: &Pair, lock: &Lock) -> Result<(), Failure> {
    let dir = pair.dir(state_dir);
    let failed = |error: io::Error| Failure::error(format!("can't clear {}: {error}", shown(&dir)));
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if Some(&*name) != lock.path().file_name() && name != FILE {
            names.push(name);
        }
    }
    // Backwards: the manifest goes after its log, which would else be read into the next manifest of this name.
    names.sort_by(|a, b| b.cmp(a));
    names.push(FILE.into());
    for name in names {
        let path = dir.join(name);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixtures;

    #[test]
    fn what_is_remembered_is_known() {
        let state = tempfile::tempdir().unwrap();
        assert!(known(state.path()).is_empty());
        let one = fixtures::known();
        fs::create_dir_all(one.pair().dir(state.path())).unwrap();
        remember(state.path(), &one).unwrap();
        remember(state.path(), &one).unwrap();
        fs::create_dir_all(state.path().join("pairs/broken")).unwrap();
        fs::write(state.path().join("pairs/broken/places.json"), "{").unwrap();
        assert_eq!(known(state.path()), [one]);
    }
}
