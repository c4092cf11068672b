//! `--aws-config`: a profile in the files that the AWS tools read. Both files are looked at before one is written; each is
//! replaced as a whole, readable by its owner only, and only if it still is what was read.

use std::io;
use std::path::{Path, PathBuf};

use super::ini::{self, Found, Keys};
use super::parts;
use crate::cli::failure::Failure;
use crate::cli::private::{self, Seen};
use crate::cli::setup::shown;
use crate::config::places::Env;
use crate::location::Location;
use crate::replica::s3::{Addressing, S3Address};

/// What becomes of a profile that is there with another content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Present {
    /// It stays.
    Kept,
    /// It is replaced.
    Replaced,
}

impl From<bool> for Present {
    fn from(overwrite: bool) -> Self {
        if overwrite { Self::Replaced } else { Self::Kept }
    }
}

/// Writes a profile. Gives the files, each with what was done.
///
/// # Errors
/// It is no bucket, holds no secret, the profile is there with another content, or a file can't be written.
pub(super) fn write(
    profile: &str,
    location: &Location,
    present: Present,
    env: Env<'_>,
) -> Result<Vec<(PathBuf, &'static str)>, Failure> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '+');
    if profile.is_empty() || !profile.chars().all(fine) {
        return Err(Failure::usage("the name of a profile has letters, digits, -, _, ., @ and + only"));
    }
    let Location::S3(address) = location else {
        return Err(Failure::usage("a profile of the AWS tools is for a bucket, and this is none"));
    };
    let credentials = credentials(address)?;
    let section = if profile == "default" { profile.to_owned() } else { format!("profile {profile}") };
    let all = [
        (file("AWS_SHARED_CREDENTIALS_FILE", "credentials", env)?, profile.to_owned(), credentials),
        (file("AWS_CONFIG_FILE", "config", env)?, section, settings(address)),
    ];
    let mut todo = Vec::new();
    for (path, name, keys) in all {
        let seen = private::read(&path).map_err(|error| failed("read", &path, &error))?;
        let text = seen.text.clone().unwrap_or_default();
        let done = match (ini::look(&text, &name, &keys), present) {
            (Found::Same, _) => "unchanged",
            (Found::Nothing, _) => "written",
            (Found::Other, Present::Replaced) => "replaced",
            (Found::Other, Present::Kept) => {
                let message =
                    format!("{} has a profile {profile} with another content; nothing was written", shown(&path));
                return Err(Failure::usage(message).hint("choose another name, or add --overwrite to replace it"));
            }
            (Found::Several, _) => {
                let message = format!("{} has the profile {profile} more than once; nothing was written", shown(&path));
                return Err(Failure::usage(message).hint("take out the ones that don't count, or choose another name"));
            }
        };
        todo.push((path, seen, ini::with(&text, &name, &keys), done));
    }
    let mut written = Vec::new();
    for (path, seen, text, done) in todo {
        if done != "unchanged" {
            put(&path, &text, &seen)?;
        }
        written.push((path, done));
    }
    Ok(written)
}

fn put(path: &Path, text: &str, seen: &Seen) -> Result<(), Failure> {
    private::write(path, text, seen).map_err(|error| failed("write", path, &error))
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::error(format!("can't {what} {}: {error}", shown(path)))
}

/// `~/.aws/NAME`, or what a variable names.
fn file(variable: &str, name: &str, env: Env<'_>) -> Result<PathBuf, Failure> {
    let home = || env("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let named = env(variable).map(|path| match (path.strip_prefix("~/"), home()) {
        (Some(below), Some(home)) => home.join(below),
        _ => PathBuf::from(path),
    });
    named
        .or_else(|| Some(home()?.join(".aws").join(name)))
        .ok_or_else(|| Failure::usage(format!("no place for the AWS files: neither {variable} nor HOME is set")))
}

fn credentials(address: &S3Address) -> Result<Keys<'static>, Failure> {
    let Some((key, secret, token)) = parts::keys(&address.credentials) else {
        return Err(Failure::usage("there is no secret in it to write: the AWS tools have the credentials already"));
    };
    let mut keys: Keys<'static> =
        vec![("aws_access_key_id", key.to_owned()), ("aws_secret_access_key", secret.reveal().to_owned())];
    keys.extend(token.map(|token| ("aws_session_token", token.reveal().to_owned())));
    if keys.iter().any(|(_, value)| value.chars().any(|c| c.is_control() || c.is_whitespace())) {
        return Err(Failure::usage("the key or the secret holds a blank or a line break, which no such file can hold"));
    }
    Ok(keys)
}

fn settings(address: &S3Address) -> Keys<'static> {
    let mut keys: Keys<'static> = Vec::new();
    keys.extend(parts::region(address).map(|region| ("region", region.to_owned())));
    keys.extend(address.endpoint.as_ref().map(|url| ("endpoint_url", url.clone())));
    let style = match address.addressing {
        Addressing::Auto => None,
        Addressing::Path => Some("path"),
        Addressing::Virtual => Some("virtual"),
    };
    keys.extend(style.map(|style| ("s3", format!("\n    addressing_style = {style}"))));
    keys
}
