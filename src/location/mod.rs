//! What the user types for one side of a pair: a path, `file:///path`, `s3://bucket/prefix`,
//! `az://account/container/prefix`, a storage DSN, `env:NAME`, or `NAME:path` below a remote of the config.
//!
//! Promises: no message and no output of a parse holds a secret; texts are taken literally (`s3://b/a%20b` is the
//! prefix `a%20b`, as other S3 tools have it); two spellings of one place have one [`Location::canonical`] text.
//! Reads neither the environment nor the disk: [`Surroundings`] does. [`settle`] is the exception, and says so.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::dsn::{DsnError, redact, url_below};
use crate::replica::azure::AzureAddress;
use crate::replica::s3::S3Address;
use crate::replica::s3::bucket::{clean_prefix, join_prefix};
use crate::secret::Secret;

mod azure;
mod overlap;
mod parse;

pub use overlap::{Overlap, overlap, settle};
pub use parse::{file_and_variable, is_bucket, parse, remote_of};

/// One side of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A local directory.
    Local(PathBuf),
    /// A bucket prefix.
    S3(S3Address),
    /// A container prefix.
    Azure(AzureAddress),
}

/// A location as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The place.
    pub location: Location,
    /// For people; no secrets.
    pub warnings: Vec<String>,
    spelled: Option<String>,
}

/// What was typed can't be used. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageError {
    /// What is wrong.
    pub message: String,
    /// The way out; may be empty.
    pub hint: String,
}

/// What the parser knows of the world around it.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The value of an environment variable; what is not UTF-8 counts as unset.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// Resolves a remote of the config; `None` when none has that name.
    pub remote: &'a dyn Fn(&str) -> Option<Result<Location, UsageError>>,
    /// The names of all remotes.
    pub remotes: &'a [String],
    /// What is at a path now.
    pub found: &'a dyn Fn(&Path) -> Found,
    /// Reads a text that holds a DSN.
    pub text: &'a dyn Fn(TextAt<'_>) -> Result<Given, UsageError>,
    /// The root of the project around the current directory: where `/data` is outside its containers.
    pub project: Option<&'a Path>,
    /// Where the text comes from.
    pub origin: Origin,
}

/// Where a text with a DSN stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextAt<'a> {
    /// In a file (`dsn-file:PATH`).
    File(&'a Path),
    /// A credential of the service (`credential:NAME`).
    Credential(&'a str),
    /// On standard input (`-`).
    Input,
}

/// A text with a DSN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// All of it.
    pub text: Secret,
    /// What people should know about where it stood.
    pub warning: Option<String>,
}

/// What is at a local path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A directory, also behind a symlink.
    Directory,
    /// Anything else.
    File,
    /// Nothing, or nothing that can be seen.
    Nothing,
}

/// Where a text comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The command line, which other users of the machine can see.
    Argument,
    /// A file or standard input.
    File,
}

impl UsageError {
    /// A message and the way out.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "; {}", self.hint) }
    }
}

impl std::error::Error for UsageError {}

impl From<DsnError> for UsageError {
    fn from(error: DsnError) -> Self {
        Self::new(error.to_string(), error.fault.hint())
    }
}

impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("remotes", &self.remotes)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Location {
    /// How people call it: the path with control characters escaped, or `s3://bucket/prefix`.
    pub fn display(&self) -> String {
        match self {
            Self::Local(path) => shown(path),
            Self::S3(address) => address.display(),
            Self::Azure(address) => address.display(),
        }
    }

    /// Identity of the place, for pairs and locks. A local path must have gone through [`settle`].
    pub fn canonical(&self) -> String {
        match self {
            Self::Local(path) => format!("file://{}", exact(path)),
            Self::S3(address) => address.canonical(),
            Self::Azure(address) => address.canonical(),
        }
    }

    /// The place `path` below this one. Slashes at the ends of `path` change nothing; `..` is refused.
    ///
    /// # Errors
    /// [`UsageError`] for a path that is no plain list of names.
    pub fn below(&self, path: &str) -> Result<Self, UsageError> {
        let bad = |bad| UsageError::new(format!("the path after the remote's name: {bad}"), "write NAME:some/path");
        let path = clean_prefix(path).map_err(bad)?;
        Ok(match self {
            Self::Local(root) if path.is_empty() => Self::Local(root.clone()),
            Self::Local(root) => Self::Local(root.join(path)),
            Self::S3(address) => Self::S3(S3Address {
                prefix: join_prefix(&address.prefix, &path),
                public_url: address.public_url.as_deref().map(|url| url_below(url, &path)),
                ..address.clone()
            }),
            Self::Azure(address) => Self::Azure(AzureAddress {
                prefix: join_prefix(&address.prefix, &path),
                public_url: address.public_url.as_deref().map(|url| url_below(url, &path)),
                ..address.clone()
            }),
        })
    }
}

impl Parsed {
    /// A path that is known to be one, such as a default, or an argument that is not UTF-8.
    pub fn of_path(path: PathBuf) -> Self {
        let spelled = path.to_str().map(|text| match text {
            absolute if absolute.starts_with('/') || absolute.starts_with("./") => absolute.to_owned(),
            relative => format!("./{relative}"),
        });
        Self { location: Location::Local(path), warnings: Vec::new(), spelled }
    }

    /// See [`Location::display`].
    pub fn display(&self) -> String {
        self.location.display()
    }

    /// See [`Location::canonical`].
    pub fn canonical(&self) -> String {
        self.location.canonical()
    }

    /// The text that was typed, for naming the place again; `None` when it held a secret. A relative path depends
    /// on the working directory.
    pub fn spelled(&self) -> Option<&str> {
        self.spelled.as_deref()
    }
}

/// Checks a name for a remote of the config: `NAME:path` must read as nothing else.
///
/// # Errors
/// [`UsageError`], with the rule.
pub fn check_remote_name(name: &str) -> Result<(), UsageError> {
    const TAKEN: [&str; 11] =
        ["env", "dsn-file", "credential", "file", "s3", "az", "azure", "gs", "http", "https", "local"];
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if !name.bytes().all(known) || !name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()) || name.len() > 32 {
        let hint = "use up to 32 of a-z, A-Z, 0-9, `-`, `_` and `.`, beginning with a letter or digit";
        return Err(UsageError::new("the name of a remote holds a character that it may not", hint));
    }
    if TAKEN.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(UsageError::new(format!("no remote can be called `{name}`"), "locations begin with that word"));
    }
    Ok(())
}

/// The LOCAL of a command that names none: the media directory below the current directory, of the project around it,
/// or of the container.
pub fn default_local(project: Option<&Path>, exists: &dyn Fn(&Path) -> bool) -> PathBuf {
    let here = PathBuf::from("./data/media");
    let around = project.map(|root| root.join("data/media"));
    [Some(here), around].into_iter().flatten().find(|path| exists(path)).unwrap_or_else(|| PathBuf::from("/data/media"))
}

/// A path for people: no credentials, and no control characters that could forge a line of output.
fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    let escaped: String = text.chars().fold(String::new(), |mut text, c| {
        if c.is_control() {
            text.extend(c.escape_unicode());
        } else {
            text.push(c);
        }
        text
    });
    redact(&escaped).into_owned()
}

/// The path as text, one text for one path: what is not UTF-8 is escaped, and so is the escape.
fn exact(path: &Path) -> String {
    const HEX: [&str; 16] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"];
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', r"\\"));
        for byte in chunk.invalid() {
            text.extend([r"\x", HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    text
}

#[cfg(test)]
mod tests;
