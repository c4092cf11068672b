//! What a service needs of the machine, read from the configuration: the places that its jobs read and write, the user that
//! may do so, and the credentials. Contacts nobody, runs no command, and changes nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::args::{Manager, Scope, Which};
use super::handed::{self, Program, Runs};
use super::rights::{Machine, Reads, Unit, User};
use super::systemd;
use crate::cli::failure::Failure;
use crate::cli::place::{self, World};
use crate::cli::resolve;
use crate::cli::setup::{Setup, no_file, shown};
use crate::config::places::SYSTEM_STATE;
use crate::config::{Inline, Job, RemoteAt};
use crate::location::{self, Location};
use crate::plan::Mode;

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
    /// Of the files that are read, those with secrets.
    pub(super) secrets: BTreeSet<PathBuf>,
    /// Names of credentials.
    pub(super) credentials: BTreeSet<String>,
    /// Who it runs as.
    pub(super) user: User,
    /// What a person should know; holds no secret.
    pub(super) notes: Vec<String>,
}

/// The service sees a file that is bound into it, and no other one that has its name later.
fn replaced(path: &Path, unit: &str) -> String {
    let path = shown(path);
    format!(
        "{path} is bound into the service as the file that it is at the start; after it was replaced, as most editors do, \
         the new one is read by systemctl restart {unit}, and not by systemctl reload"
    )
}

impl Needs {
    /// What a service with these jobs needs.
    ///
    /// # Errors
    /// There is no configuration or no such job, or the program can't be found.
    pub(super) fn of(
        which: &Which,
        state: Option<&Path>,
        (setup, world, machine): (&Setup, World<'_>, &Machine),
    ) -> Result<Self, Failure> {
        let config = setup
            .config_file
            .clone()
            .ok_or_else(|| no_file("a service needs a configuration, and there is none", world.env))?;
        let found: Vec<&Job> = resolve::daemon_jobs(&which.jobs, world)?;
        let program = std::env::current_exe().and_then(fs::canonicalize);
        let program = program.map_err(|error| Failure::error(format!("can't find the own program: {error}")))?;
        let state = state.map(Path::to_owned).or_else(|| setup.config.state_dir.clone());
        let state = state.or_else(|| (which.scope() == Scope::User).then(|| setup.state_dir.clone()));
        let mut needs = Self {
            program,
            config: world_settled(world, &config),
            jobs: which.jobs.clone(),
            state: state.map(|state| std::path::absolute(&state).unwrap_or(state)),
            writes: BTreeSet::new(),
            reads: BTreeSet::new(),
            secrets: BTreeSet::new(),
            credentials: BTreeSet::new(),
            user: User::Unnamed,
            notes: Vec::new(),
        };
        for job in &found {
            needs.place(&job.name, job.source.reveal(), job.mode == Mode::TwoWay, world);
            needs.place(&job.name, job.destination.reveal(), true, world);
        }
        if let Some(notify) = &setup.config.notify {
            for url in [&notify.webhook, &notify.ping].into_iter().flatten() {
                needs.text("notify", url.reveal(), world);
            }
        }
        if setup.config.secrets == Inline::Secrets {
            needs.secrets.insert(needs.config.clone());
        }
        needs.reads.retain(|path| !needs.writes.contains(path));
        let name = systemd::name(&which.jobs);
        let unit = match (which.manager(), which.scope()) {
            (Manager::Systemd, Scope::System) => Unit::Systemd(&name),
            (Manager::Systemd, Scope::User) | (Manager::Launchd, _) => Unit::Other,
        };
        let kind = (which.manager(), which.scope());
        needs.user = machine.chosen(&needs.writes, (kind.0, kind.1, unit), &mut needs.notes);
        needs.check(machine, unit);
        needs.check_credentials(kind, world);
        needs.check_programs(&found, (kind, machine), (setup, world));
        Ok(needs)
    }

    /// What is not there, or may not be read.
    fn check(&mut self, machine: &Machine, unit: Unit<'_>) {
        let mut notes = Vec::new();
        if let Unit::Systemd(name) = unit {
            for path in self.writes.iter().chain(&self.reads).chain(&self.state).filter(|path| !path.exists()) {
                notes.push(format!("{} is not there, and the service starts only when it is", shown(path)));
            }
            let bound = [&self.config].into_iter().chain(&self.reads).filter(|path| path.is_file());
            notes.extend(bound.filter(|path| systemd::hidden(path)).map(|path| replaced(path, name)));
        } else {
            // Such a unit names no paths, and the daemon makes the directory of its state.
            let places = self.writes.iter().chain(&self.reads);
            notes.extend(places.filter(|path| !path.exists()).map(|path| format!("{} is not there", shown(path))));
        }
        for path in self.reads.iter().chain([&self.config, &self.program]) {
            let what = if self.secrets.contains(path) { Reads::Secrets } else { Reads::All };
            notes.extend(machine.to_read(path, what, (&self.user, unit)));
        }
        notes.extend(self.writes.iter().filter_map(|path| machine.to_enter(path, (&self.user, unit))));
        notes.extend(self.state.as_ref().and_then(|state| machine.to_write(state, &self.user)));
        self.notes.append(&mut notes);
    }

    /// Credentials that nobody could hand over.
    fn check_credentials(&mut self, kind: (Manager, Scope), world: World<'_>) {
        let names = self.credentials.iter();
        self.notes.extend(names.filter_map(|name| match kind.0 {
            Manager::Launchd => Some(format!(
                "credential:{}: launchd hands none to its services; name a file that only its user can read: dsn-file:PATH",
                name.escape_debug()
            )),
            Manager::Systemd => handed::credential(name, &handed::credential_file(name, kind, world.env)?),
        }));
    }

    /// Programs that the service could not run.
    fn check_programs(
        &mut self,
        jobs: &[&Job],
        (kind, machine): ((Manager, Scope), &Machine),
        (setup, world): (&Setup, World<'_>),
    ) {
        let sees = |path: &Path| self.reads.iter().chain(&self.writes).any(|seen| path.starts_with(seen));
        let runs = Runs { machine, user: &self.user, kind, sees: &sees };
        let command = setup.config.notify.as_ref().and_then(|notify| notify.command.as_ref()?.first());
        let notify = command.and_then(|name| Program { key: "notify.command", name, base: None }.trouble(runs));
        let places = jobs.iter().flat_map(|job| [&job.source, &job.destination]);
        let printing = places.filter_map(|at| place::told_by_command(at, world)).filter_map(|(remote, command)| {
            let key = format!("remote.{remote}.dsn_command");
            Program { key: &key, name: command.first()?, base: Some(world.config.base()) }.trouble(runs)
        });
        let notes: BTreeSet<String> = notify.into_iter().chain(printing).collect();
        self.notes.extend(notes);
    }

    /// Where the state is, for commands that ask the service.
    pub(super) fn state_dir(&self, manager: Manager) -> Option<PathBuf> {
        match (&self.state, manager) {
            (Some(state), _) => Some(state.clone()),
            (None, Manager::Systemd) => Some(super::state_below(Path::new(SYSTEM_STATE), &self.jobs)),
            // It is below the home of its user, or root's.
            (None, Manager::Launchd) => None,
        }
    }

    /// Adds what one place of a job needs.
    fn place(&mut self, job: &str, text: &str, written: bool, world: World<'_>) {
        let remote = place::named(text, world).map(|(_, remote)| remote);
        let whose = format!("job {job}");
        match remote.map(|remote| &remote.at) {
            None => self.text(&whose, text, world),
            Some(RemoteAt::Dsn(dsn)) => self.text(&whose, dsn.reveal(), world),
            Some(RemoteAt::Command(_)) => {
                self.notes.push(format!("job {job}: dsn_command runs inside the service, with nothing but its rights"));
            }
            Some(RemoteAt::Url(url)) => {
                let keys = url.keys.iter().flat_map(|(access, secret)| [access.as_str(), secret.reveal()]);
                let others =
                    [&url.account_key, &url.sas_token].into_iter().flatten().map(crate::secret::Secret::reveal);
                for value in keys.chain(others) {
                    self.text(&whose, value, world);
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

    /// What a service needs so that `env:`, `dsn-file:` and `credential:` can be read. `whose` is who has the text.
    fn text(&mut self, whose: &str, text: &str, world: World<'_>) {
        if let Some(name) = text.strip_prefix("credential:") {
            self.credentials.insert(location::file_and_variable(name).0.to_owned());
        } else if let Some(file) = text.strip_prefix("dsn-file:") {
            let (path, _) = location::file_and_variable(file);
            let path = world_settled(world, &world.config.base().join(path));
            self.secrets.insert(path.clone());
            self.reads.insert(path);
        } else if text.starts_with("env:") {
            let note =
                format!("{whose}: a service has no variables of yours; use credential:NAME instead of {}", dsn(text));
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
