//! One side of a task: from a text on the command line or in the configuration to a location and what may be done to
//! it. Prints nothing and contacts nobody; the environment and the disk come in as closures.

use std::io;
use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::commands::Commands;
use super::failure::Failure;
use super::texts::{self, Texts};
use crate::config::{ACCESS, Config, Remote, RemoteAt, RemoteUrl};
use crate::location::{self, Found, Given, Location, Origin, Surroundings, TextAt, UsageError};
use crate::model::Symlinks;
use crate::replica::access::Access;
use crate::replica::azure;
use crate::replica::local::Parents;
use crate::replica::s3::{Addressing, Credentials, Variables};
use crate::secret::Secret;

/// The world outside, as far as it decides what is meant.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Reads a variable; empty ones count as unset.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// What is at a path.
    pub found: &'a dyn Fn(&Path) -> Found,
    /// [`location::settle`].
    pub settle: &'a dyn Fn(&Path) -> io::Result<PathBuf>,
    /// Texts that hold DSNs.
    pub texts: &'a Texts,
    /// The commands that print DSNs.
    pub commands: &'a Commands,
    /// The root of the project around the current directory.
    pub project: Option<&'a Path>,
    /// The configuration; an empty one if there is none.
    pub config: &'a Config,
    /// What a printed command has to repeat to find the same configuration and state.
    pub repeated: &'a str,
}

impl std::fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("config", &self.config).finish_non_exhaustive()
    }
}

/// One side of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Where; local paths are settled.
    pub location: Location,
    /// How to name it again from anywhere, without secrets; `None` if that is not possible.
    pub spelled: Option<String>,
    /// What may be done to it: the strictest of all remotes that share a key with it.
    pub access: Access,
    /// The remote that says so.
    pub remote: Option<String>,
    /// The remote that it was named by.
    pub name: Option<String>,
    /// The ACL that the configuration gives to new objects here, beside what a DSN says; `None` too where it wants none.
    pub acl: Option<String>,
    /// What names a directory and is no path: where the DSN of it was read.
    pub dsn: Option<String>,
    /// For people, once a run.
    pub warnings: Vec<String>,
    /// Whether directories above a missing one may be made.
    pub parents: Parents,
    /// What becomes of symbolic links where the place is used by itself, without its job's other options.
    pub links: Symlinks,
}

impl End {
    /// Which server it is on; `None` for a directory.
    pub fn host(&self) -> Option<String> {
        let address = match &self.location {
            Location::Local(_) => return None,
            Location::Azure(address) => {
                let url = address.service_url();
                return Some(url.rsplit("://").next().unwrap_or(&url).to_owned());
            }
            Location::S3(address) => address,
        };
        Some(match (&address.endpoint, &address.region) {
            (Some(endpoint), _) => endpoint.rsplit("://").next().unwrap_or(endpoint).to_owned(),
            (None, Some(region)) => format!("AWS {region}"),
            (None, None) => "AWS".to_owned(),
        })
    }
}

impl From<UsageError> for Failure {
    fn from(error: UsageError) -> Self {
        let failure = Self::usage(error.message);
        if error.hint.is_empty() { failure } else { failure.hint(error.hint) }
    }
}

/// A place from the command line.
///
/// # Errors
/// What to type instead.
pub fn end(text: &str, world: World<'_>) -> Result<End, Failure> {
    place(text, Path::new(""), Origin::Argument, Effort::All, world)
}

/// A place from the configuration file: relative paths start there.
///
/// # Errors
/// What to write instead.
pub fn written(text: &Secret, world: World<'_>) -> Result<End, Failure> {
    place(text.reveal(), world.config.base(), Origin::File, Effort::All, world)
}

/// As [`written`], for a place that is only compared with others: no command is run for it.
///
/// # Errors
/// As [`written`], and if only a command tells where it is.
pub fn known(text: &Secret, world: World<'_>) -> Result<End, Failure> {
    place(text.reveal(), world.config.base(), Origin::File, Effort::Known, world)
}

/// A text with a DSN, at a path that starts from `base`.
fn text_below(base: &Path, at: TextAt<'_>, origin: Origin, world: World<'_>) -> Result<Given, UsageError> {
    match (at, origin) {
        (TextAt::File(path), _) => world.texts.file(&base.join(path)),
        (TextAt::Credential(name), _) => texts::credential(name, world.env),
        (TextAt::Input, Origin::Argument) => world.texts.input(),
        (TextAt::Input, Origin::File) => {
            let hint = "write dsn-file:PATH, env:NAME or a remote with dsn_command";
            Err(UsageError::new("`-` is standard input, and a configuration has none", hint))
        }
    }
}

/// The place named again, from anywhere.
fn from_anywhere(spelled: String, base: &Path, world: World<'_>) -> Option<String> {
    let Some(file) = spelled.strip_prefix("dsn-file:") else { return Some(spelled) };
    let (path, name) = location::file_and_variable(file);
    let settled = (world.settle)(&base.join(path)).ok()?;
    let name = name.map(|name| format!("#{name}")).unwrap_or_default();
    Some(format!("dsn-file:{}{name}", settled.to_str()?))
}

fn place(text: &str, base: &Path, origin: Origin, effort: Effort, world: World<'_>) -> Result<End, Failure> {
    let names: Vec<String> = world.config.remotes.keys().cloned().collect();
    let found = |path: &Path| (world.found)(&base.join(path));
    let text_at = |at: TextAt<'_>| text_below(base, at, origin, world);
    let around = Surroundings {
        variable: world.env,
        remote: &|name| {
            let remote = world.config.remotes.get(name)?;
            Some(remote_place(remote, effort, world).map_err(|why| told_of(name, remote, why)))
        },
        remotes: &names,
        found: &found,
        text: &text_at,
        project: world.project,
        origin,
    };
    let parsed = location::parse(text, &around)?;
    let spelled = parsed.spelled().map(str::to_owned);
    let (location, spelled) = match parsed.location {
        Location::Local(path) => {
            let settled = settle(&base.join(path), world)?;
            let spelled = settled.to_str().map(str::to_owned);
            (Location::Local(settled), spelled)
        }
        cloud @ (Location::S3(_) | Location::Azure(_)) => {
            (cloud, spelled.and_then(|spelled| from_anywhere(spelled, base, world)))
        }
    };
    let own = named(text, world);
    let (access, remote) = access(&location, own.map(|(name, _)| name), world);
    let acl = own.and_then(|(_, remote)| remote.acl.as_ref()?.sent());
    let name = own.map(|(name, _)| name.to_owned());
    let warnings = parsed.warnings;
    let dsn = is_dsn_of_a_directory(text, &location).then(|| text.to_owned());
    let (parents, links) = (Parents::MustExist, Symlinks::Skip);
    Ok(End { dsn, location, spelled, access, remote, name, acl, warnings, parents, links })
}

fn settle(path: &Path, world: World<'_>) -> Result<PathBuf, Failure> {
    (world.settle)(path).map_err(|error| {
        let shown = path.display().to_string();
        let shown = shown.escape_debug();
        if error.kind() == io::ErrorKind::NotADirectory {
            let message = format!("a part of the path {shown} is a file, and a location is a directory");
            return Failure::usage(message)
                .hint("leave away what follows the name of the file, the slash too; or name its directory");
        }
        Failure::error(format!("can't resolve the path {shown}: {error}"))
    })
}

/// The remote that a text names: `live:photos`.
pub fn named<'a>(text: &str, world: World<'a>) -> Option<(&'a str, &'a Remote)> {
    remote(text, world.config)
}

/// The same with nothing but the configuration.
pub fn remote<'a>(text: &str, config: &'a Config) -> Option<(&'a str, &'a Remote)> {
    let (name, _) = text.split_once(':')?;
    config.remotes.get_key_value(name).map(|(name, remote)| (name.as_str(), remote))
}

/// The remote of a text whose place only a command tells, and that command.
pub fn told_by_command<'a>(text: &Secret, world: World<'a>) -> Option<(&'a str, &'a [String])> {
    let (name, remote) = named(text.reveal(), world)?;
    match &remote.at {
        RemoteAt::Command(command) => Some((name, command)),
        RemoteAt::Dsn(_) | RemoteAt::Url(_) => None,
    }
}

/// The strictest access of all remotes that share a key with a place, so that `s3://bucket` and `env:NAME` are as
/// protected as the remote's own name. A remote that can't be resolved now protects only its name.
fn access(place: &Location, own: Option<&str>, world: World<'_>) -> (Access, Option<String>) {
    let strictness = |access: Access| match access {
        Access::Write => 0,
        Access::Confirm => 1,
        Access::ReadOnly => 2,
    };
    let mut strictest = (ACCESS, own.map(str::to_owned));
    for (name, remote) in &world.config.remotes {
        if strictness(remote.access) <= strictness(strictest.0) {
            continue;
        }
        let concerned = own == Some(name)
            || remote_place(remote, Effort::Known, world)
                .ok()
                .and_then(|location| match location {
                    Location::Local(path) => Some(Location::Local((world.settle)(&path).ok()?)),
                    cloud @ (Location::S3(_) | Location::Azure(_)) => Some(cloud),
                })
                .is_some_and(|location| location::overlap(place, &location).is_some());
        if concerned {
            strictest = (remote.access, Some(name.clone()));
        }
    }
    strictest
}

/// Whether a directory is what a DSN or a remote says that stands somewhere else.
fn is_dsn_of_a_directory(text: &str, location: &Location) -> bool {
    let elsewhere = text == "-" || ["env:", "dsn-file:", "credential:"].iter().any(|kind| text.starts_with(kind));
    matches!(location, Location::Local(_)) && (elsewhere || location::remote_of(text).is_some())
}

/// A mistake says in which remote it is: other lines name that one.
pub fn told_of(name: &str, remote: &Remote, why: UsageError) -> UsageError {
    let message = match why.message.strip_prefix("dsn_command:") {
        Some(rest) => format!("remote.{name}.dsn_command:{rest}"),
        None => format!("remote.{name} (line {}): {}", remote.line, why.message),
    };
    UsageError { message, ..why }
}

/// How much is done to find out where a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effort {
    /// Commands are run.
    All,
    /// What a command printed before counts, and none is run.
    Known,
}

/// Where a remote of the configuration is.
fn remote_place(remote: &Remote, effort: Effort, world: World<'_>) -> Result<Location, UsageError> {
    let base = world.config.base();
    let found = |path: &Path| (world.found)(&base.join(path));
    let text_at = |at: TextAt<'_>| text_below(base, at, Origin::File, world);
    let around = Surroundings {
        variable: world.env,
        remote: &|_| None,
        remotes: &[],
        found: &found,
        text: &text_at,
        project: world.project,
        origin: Origin::File,
    };
    let mut location = match &remote.at {
        RemoteAt::Dsn(dsn) => location::parse(dsn.reveal(), &around)?.location,
        RemoteAt::Url(url) => location::parse(&url_text(url), &around)?.location,
        RemoteAt::Command(command) => {
            let dsn = match effort {
                Effort::All => world.commands.dsn(command)?,
                Effort::Known => world.commands.known(command)?,
            };
            let mut location = location::parse(dsn.reveal(), &around)?.location;
            match &mut location {
                Location::S3(address) => address.credentials = world.commands.renewed(command, address),
                Location::Azure(address) => address.renewal = world.commands.renewal(command, address),
                Location::Local(_) => {}
            }
            location
        }
    };
    match (&mut location, &remote.at) {
        (Location::S3(address), RemoteAt::Url(url)) => {
            if url.addressing != Addressing::Auto {
                address.addressing = url.addressing;
            }
            if let Some(credentials) = credentials(url, world)? {
                address.credentials = credentials;
            }
        }
        (Location::Azure(address), RemoteAt::Url(url)) => {
            if let Some(credentials) = azure_credentials(url, world)? {
                address.credentials = credentials;
            }
        }
        (Location::Local(path), _) => *path = world.config.base().join(&path),
        (Location::S3(_) | Location::Azure(_), RemoteAt::Dsn(_) | RemoteAt::Command(_)) => {}
    }
    if let Location::S3(address) = &mut location {
        if let Some(rule) = &remote.acl {
            address.acl = rule.sent();
        }
        *address.said = remote.said.clone();
    }
    Ok(location)
}

/// The URL with the keys beside it as its parameters.
fn url_text(url: &RemoteUrl) -> String {
    let mut text = url.url.clone();
    for (name, value) in [("endpoint", &url.endpoint), ("region", &url.region)] {
        if let Some(value) = value {
            let separator = if text.contains('?') { '&' } else { '?' };
            text.push(separator);
            text.push_str(name);
            text.push('=');
            text.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
        }
    }
    text
}

/// A value that may be that of a variable, or a credential of the service.
fn value(text: &str, world: World<'_>) -> Result<String, UsageError> {
    match text.strip_prefix("env:") {
        Some(name) => (world.env)(name).ok_or_else(|| {
            UsageError::new(format!("the variable {} is not set", name.escape_debug()), "set it to the key")
        }),
        None => match text.strip_prefix("credential:") {
            // Editors end a file with a line break, which no key has.
            Some(name) => Ok(texts::credential(name, world.env)?.text.reveal().trim().to_owned()),
            None => Ok(text.to_owned()),
        },
    }
}

fn azure_credentials(url: &RemoteUrl, world: World<'_>) -> Result<Option<azure::Credentials>, UsageError> {
    Ok(match (&url.account_key, &url.sas_token) {
        (Some(key), _) => Some(azure::Credentials::Key(Secret::new(value(key.reveal(), world)?.trim()))),
        (None, Some(sas)) => Some(azure::Credentials::Sas(Secret::new(azure::tidy_sas(&value(sas.reveal(), world)?)))),
        (None, None) => None,
    })
}

fn credentials(url: &RemoteUrl, world: World<'_>) -> Result<Option<Credentials>, UsageError> {
    let Some((access_key, secret)) = &url.keys else {
        let named = |profile| Credentials::Chain { profile: Some(profile), variables: Variables::default() };
        return Ok(url.profile.clone().map(named));
    };
    let value = |text: &str| value(text, world);
    Ok(Some(Credentials::Static {
        access_key: value(access_key)?,
        secret: Secret::new(value(secret.reveal())?),
        session_token: None,
    }))
}
