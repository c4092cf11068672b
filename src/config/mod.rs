//! The configuration file: TOML text to a checked [`Config`], and every default of the product.
//!
//! Promises: all mistakes are reported at once, each with line, key and a way out; unknown keys are mistakes; a
//! secret is never part of a mistake. Does not read variables (`env:NAME` is resolved for jobs that run), does not
//! look at directories or networks, and does not decide where the file is ([`places`] does).

mod daemon;
mod header;
mod job;
pub mod keys;
pub mod overlap;
pub mod places;
mod remote;
mod table;
pub mod told;
pub mod units;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use toml::de::DeTable;

pub use daemon::{
    Daemon, FULL_LISTING_INTERVAL, FULL_SCAN_INTERVAL, Http, JobDaemon, Notify, NotifyOn, SHUTDOWN_DEADLINE, TRANSFERS,
};
use remote::stands_elsewhere;
pub use remote::{ACLS, AclRule};
pub use table::{Mistake, nearest};

use crate::model::{FilterRules, Junk, Keep, SizeLimits, StyleRule, Symlinks};
use crate::plan::{Budget, Compare, Mode, OnConflict};
use crate::replica::access::Access;
use crate::replica::s3::{Addressing, Said};
use crate::replica::throttle::Timetable;
use crate::secret::Secret;
use keys::{Key, Keys, Otherwise, Takes};
use table::{Mistakes, Table};

/// Transfers at the same time, unless `concurrency` says otherwise.
pub const CONCURRENCY: usize = 32;
/// The most that `concurrency` may say.
pub const MAX_CONCURRENCY: usize = 512;
/// Memory for the bodies of all transfers of a process, in bytes.
pub const BUFFER_BYTES: u64 = 24 * 1024 * 1024;
/// The access of a remote that does not say, and of places that no `[remote]` names.
pub const ACCESS: Access = Access::Write;

/// A checked configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// The file that it came from; relative paths in it are relative to its directory.
    pub path: PathBuf,
    /// `[state] dir`.
    pub state_dir: Option<PathBuf>,
    /// `[remote.NAME]`, by name.
    pub remotes: BTreeMap<String, Remote>,
    /// `[[job]]`, in the order of the file.
    pub jobs: Vec<Job>,
    /// `[daemon]`: what all jobs share while it runs.
    pub daemon: Daemon,
    /// `[http]`; `None` without it: nothing is listened to.
    pub http: Option<Http>,
    /// `[notify]`; `None` without it: nobody is told.
    pub notify: Option<Notify>,
    /// Whether a secret stands in the file itself, so that its permissions matter.
    pub secrets: Inline,
}

/// Whether the file itself holds secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Inline {
    /// It does not.
    #[default]
    None,
    /// It does.
    Secrets,
}

/// `[remote.NAME]`: a place with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Where it is.
    pub at: RemoteAt,
    /// What may be done to it.
    pub access: Access,
    /// The ACL for new objects; overrides what a DSN says.
    pub acl: Option<AclRule>,
    /// What is said about the server.
    pub said: Said,
    /// The line of its header.
    pub line: usize,
}

/// Where a remote is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteAt {
    /// `dsn = "..."`: a storage DSN, or `env:NAME` for one in a variable.
    Dsn(Secret),
    /// `dsn_command = ["PROGRAM", "ARGUMENT"]`: a program that prints the DSN.
    Command(Vec<String>),
    /// `url = "s3://bucket/prefix"` and what belongs to it.
    Url(Box<RemoteUrl>),
}

/// A remote told in single keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteUrl {
    /// `s3://bucket/prefix`.
    pub url: String,
    /// `https://host[:port]`; `None` means AWS.
    pub endpoint: Option<String>,
    /// Signing region.
    pub region: Option<String>,
    /// How the bucket is put into the URL.
    pub addressing: Addressing,
    /// A profile of the AWS configuration.
    pub profile: Option<String>,
    /// Access key and secret key; each may be `env:NAME`.
    pub keys: Option<(String, Secret)>,
    /// The key of a storage account in Azure; may be `env:NAME`.
    pub account_key: Option<Secret>,
    /// A shared access signature of Azure; may be `env:NAME`.
    pub sas_token: Option<Secret>,
}

/// `[[job]]`: a pair of places and what is done between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// Where content comes from, as written (possibly a DSN with a secret).
    pub source: Secret,
    /// Where it goes, as written.
    pub destination: Secret,
    /// How the sides relate.
    pub mode: Mode,
    /// What a run of it does besides.
    pub options: Options,
    /// When the daemon runs it.
    pub daemon: JobDaemon,
    /// The line of its header.
    pub line: usize,
}

/// What a job or a command line says about a run. `Options::default()` is what happens when nobody says anything.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What is in scope.
    pub filter: FilterRules,
    /// How much may be deleted before the guard asks.
    pub max_delete: Budget,
    /// How much may be overwritten before the guard asks.
    pub max_overwrite: Budget,
    /// Transfers at the same time.
    pub concurrency: usize,
    /// Bytes per second, by the time of day; `None` is no limit.
    pub bwlimit: Option<Timetable>,
    /// The zone of that time; `None` is the system's.
    pub timezone: Option<TimeZone>,
    /// Who wins where both sides changed.
    pub on_conflict: OnConflict,
    /// How far contents are compared.
    pub compare: Compare,
    /// How long what is deleted or replaced is kept.
    pub trash: Keep,
    /// What files and directories get that are made on this machine.
    pub files: Files,
    /// What objects at the destination are to carry besides their bytes, in order.
    pub headers: Vec<StyleRule>,
}

/// How files on this machine are treated, and what new ones get.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Permissions of new files; `None` is what the umask leaves.
    pub file_mode: Option<u32>,
    /// Permissions of new directories; `None` is what the umask leaves.
    pub dir_mode: Option<u32>,
    /// User and group of new files and directories: names or numbers.
    pub owner: Option<(Option<String>, Option<String>)>,
    /// Bytes that stay free on the disk; `None` is the larger of 500 MB and a hundredth of it.
    pub reserve: Option<u64>,
    /// What becomes of symbolic links.
    pub symlinks: Symlinks,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            filter: FilterRules { rules: Vec::new(), junk: Junk::Skip, sizes: SizeLimits::default() },
            max_delete: Budget::Sliding,
            max_overwrite: Budget::Sliding,
            concurrency: CONCURRENCY,
            bwlimit: None,
            timezone: None,
            on_conflict: OnConflict::Report,
            compare: Compare::Metadata,
            trash: Keep::default(),
            files: Files::default(),
            headers: Vec::new(),
        }
    }
}

// The only float is a percentage, and `units::budget` lets no NaN in.
impl Eq for Options {}

/// The whole file.
pub static TOP: Keys = Keys {
    known: &[
        Key::new("state", Takes::Table(&STATE), Otherwise::Value("{}"), "What mediasync remembers."),
        Key::new(
            "daemon",
            Takes::Table(&daemon::DAEMON),
            Otherwise::Value("{}"),
            "What the jobs share while `mediasync daemon` runs.",
        ),
        Key::new(
            "http",
            Takes::Table(&daemon::HTTP),
            Otherwise::Unset("nothing is listened to"),
            "Read-only pages about the daemon: [daemon-http.md](daemon-http.md).",
        ),
        Key::new(
            "notify",
            Takes::Table(&daemon::NOTIFY),
            Otherwise::Unset("nobody is told"),
            "Who is told when something happens: [daemon-http.md](daemon-http.md). At least one of `webhook`, `ping` and \
             `command`.",
        ),
        Key::new(
            "remote",
            Takes::Named(&remote::KEYS),
            Otherwise::Unset("no remotes"),
            "A place with a name: `NAME:` then means the place, `NAME:photos` a folder in it. The name has letters, \
             digits, `-` and `_`, two or more, and is no word that places begin with (`az`, `credential`, `dsn-file`, \
             `env`, `file`, `http`, `https`, `s3`). One of `dsn`, `dsn_command` and `url`; the credentials and what it takes to reach the place go with `url`.",
        ),
        Key::new(
            "job",
            Takes::Tables(&job::KEYS),
            Otherwise::Unset("no jobs"),
            "What `mediasync sync` does, in the order of the file. A place that one job writes may not be, hold or lie inside \
             a place of another job; it may be exactly another job's source.",
        ),
    ],
    instead: &[],
};

static STATE: Keys = Keys {
    known: &[Key::new(
        "dir",
        Takes::Text,
        Otherwise::Unset(
            "`$STATE_DIRECTORY` (set by systemd), `/var/lib/mediasync` with `/etc/mediasync/config.toml`, else \
             `$XDG_STATE_HOME/mediasync` (`~/.local/state/mediasync`)",
        ),
        "The directory for what both sides held, one file a pair.",
    )],
    instead: &[],
};

impl Config {
    /// Checks the text of a configuration file. `path` is where it stands: relative paths in it start there.
    ///
    /// # Errors
    /// All mistakes, by line.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Mistakes::new(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        // The message alone: the full form of a syntax error shows the line, which may hold a secret.
        for error in &errors {
            mistakes.add(error.span().map_or(0, |span| span.start), "", error.message().trim());
        }
        // What is left of a broken text has gaps, and would be blamed for what stands in them.
        if !errors.is_empty() {
            return Err(mistakes.into_sorted());
        }
        let top = Table::new(String::new(), &document.span(), document.get_ref(), &TOP, &mut mistakes);
        let state = top.table("state", &STATE, &mut mistakes);
        let dir = state.and_then(|state| state.text("dir", &mut mistakes));
        let mut config = Self { path: path.to_owned(), ..Self::default() };
        config.state_dir = dir.map(|dir| config.base().join(dir.value));
        config.daemon = daemon::read(&top, &mut mistakes);
        config.http = daemon::http(&top, &mut mistakes);
        config.notify = daemon::notify(&top, &mut mistakes);
        if config.notify.as_ref().is_some_and(daemon::holds_secret) {
            config.secrets = Inline::Secrets;
        }
        let remotes = top.named_tables("remote", &remote::KEYS, &mut mistakes);
        let names: Vec<&str> = remotes.iter().map(|(name, _)| *name).collect();
        for (name, table) in remotes {
            let (remote, secrets) = remote::read(name, &table, &mut mistakes);
            if secrets == Inline::Secrets {
                config.secrets = secrets;
            }
            if let Some(remote) = remote {
                config.remotes.insert(name.to_owned(), remote);
            }
        }
        let mut taken = Vec::new();
        for table in top.list_of_tables("job", &job::KEYS, &mut mistakes) {
            let around = job::Around { remotes: &names, zone: config.daemon.timezone.as_ref() };
            if let Some(job) = job::read(&table, &around, &mut taken, &mut mistakes) {
                if job::holds_secret(&job) {
                    config.secrets = Inline::Secrets;
                }
                config.jobs.push(job);
            }
        }
        let found = mistakes.into_sorted();
        if found.is_empty() { Ok(config) } else { Err(found) }
    }

    /// `[state] dir` of a file that has mistakes elsewhere, as far as it can be read.
    pub fn state_dir_of(text: &str, path: &Path) -> Option<PathBuf> {
        let (document, _) = DeTable::parse_recoverable(text);
        let state = document.get_ref().get("state")?.get_ref().get("dir")?;
        Some(path.parent()?.join(state.get_ref().as_str()?))
    }

    /// The directory that relative paths in the file start from.
    pub fn base(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The job of a name.
    pub fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.name == name)
    }
}

#[cfg(test)]
mod tests;
