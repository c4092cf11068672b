//! What a service needs of the machine, read from the configuration: the places that its jobs read and write, the user that
//! may do so, and the credentials. Contacts nobody, runs no command, and changes nothing.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::args::Scope;
use crate::cli::failure::Failure;
use crate::cli::place::{self, World};
use crate::cli::resolve;
use crate::cli::setup::{Setup, shown};
use crate::config::{Job, RemoteAt};
use crate::location::{self, Location};
use crate::plan::Mode;

/// The user that the package makes.
pub(super) const OWN_USER: &str = "mediasync";

/// What the unit is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Needs {
    /// The program; an absolute path.
    pub(super) program: PathBuf,
    /// The configuration file; an absolute path.
    pub(super) config: PathBuf,
    /// The jobs that were named; none means all.
    pub(super) jobs: Vec<String>,
    /// Where the state is, if somebody said so; else the manager's own place for it.
    pub(super) state: Option<PathBuf>,
    /// Directories that are changed.
    pub(super) writes: BTreeSet<PathBuf>,
    /// Directories and files that are only read.
    pub(super) reads: BTreeSet<PathBuf>,
    /// Names of credentials.
    pub(super) credentials: BTreeSet<String>,
    /// Who it runs as.
    pub(super) user: User,
    /// What a person should know; holds no secret.
    pub(super) notes: Vec<String>,
}

/// Who a service of the system runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum User {
    /// A user of this machine, by name or number.
    Named(String),
    /// One that is made while it runs: nobody else has its rights.
    Dynamic,
}

/// Who owns things here.
pub(super) struct Owners {
    /// The text of `/etc/passwd`.
    pub(super) users: String,
}

impl Owners {
    pub(super) fn of_this_machine() -> Self {
        Self { users: fs::read_to_string("/etc/passwd").unwrap_or_default() }
    }

    fn has(&self, name: &str) -> bool {
        self.users.lines().any(|line| line.split(':').next() == Some(name))
    }

    fn name(&self, number: u32) -> String {
        let number = number.to_string();
        let found = self.users.lines().find(|line| line.split(':').nth(2) == Some(&number));
        found.and_then(|line| line.split(':').next()).map_or(number.clone(), str::to_owned)
    }

    /// The user for what is written: its only owner, else the package's own.
    fn user(&self, writes: &BTreeSet<PathBuf>, notes: &mut Vec<String>) -> User {
        let owners: BTreeSet<u32> = writes.iter().filter_map(|path| Some(fs::metadata(path).ok()?.uid())).collect();
        let mut owners = owners.into_iter();
        match (owners.next(), owners.next()) {
            (Some(0), None) => notes.push(
                "what it writes belongs to root, which no service of this kind runs as: give it \
                                           to the user that User= names"
                    .to_owned(),
            ),
            (Some(owner), None) => return User::Named(self.name(owner)),
            (Some(_), Some(_)) => {
                notes.push("what it writes belongs to several users: check User=, or write a unit a job".to_owned());
            }
            (None, _) => {}
        }
        if self.has(OWN_USER) { User::Named(OWN_USER.to_owned()) } else { User::Dynamic }
    }
}

impl Needs {
    /// What a service with these jobs needs.
    ///
    /// # Errors
    /// There is no configuration or no such job, or the program can't be found.
    pub(super) fn of(
        jobs: &[String],
        scope: Scope,
        state: Option<&Path>,
        (setup, world, owners): (&Setup, World<'_>, &Owners),
    ) -> Result<Self, Failure> {
        let config = setup.config_file.clone().ok_or_else(|| {
            Failure::usage("a service needs a configuration, and none was found")
                .hint("write one, or name it: --config FILE")
        })?;
        let found: Vec<&Job> = resolve::jobs(jobs, world)?;
        let program = std::env::current_exe().and_then(fs::canonicalize);
        let program = program.map_err(|error| Failure::error(format!("can't find the own program: {error}")))?;
        let state = state.map(Path::to_owned).or_else(|| setup.config.state_dir.clone());
        let state = state.or_else(|| (scope == Scope::User).then(|| setup.state_dir.clone()));
        let mut needs = Self {
            program,
            config: world_settled(world, &config),
            jobs: jobs.to_owned(),
            state: state.map(|state| std::path::absolute(&state).unwrap_or(state)),
            writes: BTreeSet::new(),
            reads: BTreeSet::new(),
            credentials: BTreeSet::new(),
            user: User::Dynamic,
            notes: Vec::new(),
        };
        for job in found {
            needs.place(&job.name, job.source.reveal(), job.mode == Mode::TwoWay, world);
            needs.place(&job.name, job.destination.reveal(), true, world);
        }
        needs.reads.retain(|path| !needs.writes.contains(path));
        needs.user = owners.user(&needs.writes, &mut needs.notes);
        for path in needs.writes.iter().chain(&needs.reads) {
            if !path.exists() {
                needs.notes.push(format!("{} is not there, and the service starts only when it is", shown(path)));
            }
        }
        Ok(needs)
    }

    /// Adds what one place of a job needs.
    fn place(&mut self, job: &str, text: &str, written: bool, world: World<'_>) {
        let remote = place::named(text, world).map(|(_, remote)| remote);
        match remote.map(|remote| &remote.at) {
            None => self.source_of_a_dsn(job, text, world),
            Some(RemoteAt::Dsn(dsn)) => self.source_of_a_dsn(job, dsn.reveal(), world),
            Some(RemoteAt::Command(_)) => {
                self.notes.push(format!("job {job}: dsn_command runs inside the service, with nothing but its rights"));
            }
            Some(RemoteAt::Url(url)) => {
                let keys = url.keys.iter().flat_map(|(access, secret)| [access.as_str(), secret.reveal()]);
                let others =
                    [&url.account_key, &url.sas_token].into_iter().flatten().map(crate::secret::Secret::reveal);
                for value in keys.chain(others) {
                    self.source_of_a_dsn(job, value, world);
                }
                if url.profile.is_some() {
                    self.notes.push(format!("job {job}: a profile is read from the home of the service's user"));
                }
            }
        }
        match place::known(&crate::secret::Secret::new(text), world) {
            Ok(end) => {
                if let Location::Local(path) = end.location {
                    let side = if written { &mut self.writes } else { &mut self.reads };
                    side.insert(path);
                }
            }
            // What only the service can see is no directory, as a rule.
            Err(_) => self.notes.push(format!("job {job}: if {} is a directory, the unit does not name it", dsn(text))),
        }
    }

    /// What a service needs so that `env:`, `dsn-file:` and `credential:` can be read.
    fn source_of_a_dsn(&mut self, job: &str, text: &str, world: World<'_>) {
        if let Some(name) = text.strip_prefix("credential:") {
            self.credentials.insert(location::file_and_variable(name).0.to_owned());
        } else if let Some(file) = text.strip_prefix("dsn-file:") {
            let (path, _) = location::file_and_variable(file);
            self.reads.insert(world_settled(world, &world.config.base().join(path)));
        } else if text.starts_with("env:") {
            let note =
                format!("job {job}: a service has no variables of yours; use credential:NAME instead of {}", dsn(text));
            self.notes.push(note);
        }
    }
}

/// A place for people, without secrets.
fn dsn(text: &str) -> String {
    crate::dsn::redact(text).escape_debug().to_string()
}

fn world_settled(world: World<'_>, path: &Path) -> PathBuf {
    (world.settle)(path).unwrap_or_else(|_| path.to_owned())
}
