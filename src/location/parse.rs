//! From a text to a [`Location`].

use std::path::{Path, PathBuf};

use super::azure;
use super::{Found, Location, Origin, Parsed, Surroundings, TextAt, UsageError, shown};
use crate::dsn::{self, Dsn, Fault, Place, escape_warning, is_variable, query_pairs};
use crate::replica::s3::bucket::{Naming, check_bucket, clean_prefix, join_prefix};
use crate::replica::s3::endpoint;
use crate::replica::s3::{Addressing, Credentials, S3Address, Variables};

/// Reads what the user typed.
///
/// # Errors
/// [`UsageError`], which says what to type instead.
pub fn parse(text: &str, around: &Surroundings<'_>) -> Result<Parsed, UsageError> {
    if text.trim().is_empty() {
        return Err(UsageError::new("a location is empty", "name a path, s3://bucket/prefix, env:NAME or NAME:path"));
    }
    if is_plainly_a_path(text, around.remotes) {
        return local(text, around);
    }
    if let Some(name) = text.strip_prefix("env:") {
        return from_variable(name, text, around);
    }
    if text.trim() == "-" {
        return from_text(TextAt::Input, None, around);
    }
    if let Some(file) = text.strip_prefix("dsn-file:") {
        return from_file(file, around);
    }
    if let Some(credential) = text.strip_prefix("credential:") {
        return from_credential(credential, around);
    }
    if is_url(text) {
        return url(text, around);
    }
    if let Some((name, path)) = below_a_remote(text) {
        return on_remote(name, path, text, around);
    }
    if around.remotes.iter().any(|name| name == text) {
        return Err(UsageError::new(
            format!("`{text}` is the name of a remote: `{text}:` or `./{text}`?"),
            "the first is the remote, the second a directory",
        ));
    }
    local(text, around)
}

/// The name of the remote in `NAME:path`, whether there is such a remote or not. `None` for every other text, and where
/// the name may be part of a secret.
pub fn remote_of(text: &str) -> Option<&str> {
    let is_source = ["env:", "dsn-file:", "credential:"].iter().any(|start| text.starts_with(start));
    if is_plainly_a_path(text, &[]) || is_source || is_url(text) {
        return None;
    }
    below_a_remote(text).map(|(name, _)| name).filter(|name| may_be_shown(name, text))
}

/// Whether a text is the URL of a bucket, whatever stands in the configuration and in variables.
pub fn is_bucket(text: &str) -> bool {
    !is_plainly_a_path(text, &[])
        && text.split_once("://").is_some_and(|(scheme, _)| !scheme.eq_ignore_ascii_case("file"))
}

fn is_url(text: &str) -> bool {
    text.contains("://") || text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("file:"))
}

fn below_a_remote(text: &str) -> Option<(&str, &str)> {
    text.split_once(':').filter(|(name, _)| !name.contains('/'))
}

/// A DSN that lost its scheme looks like a remote with a path; nothing of it may be shown.
fn may_be_shown(name: &str, text: &str) -> bool {
    let is_scheme = ["s3", "az", "http", "https", "gs"].contains(&name);
    !name.is_empty() && name.len() <= 32 && !text.contains('@') && !is_scheme
}

/// What `s3:/bucket` and `s3:bucket` mean. Nothing that may be part of a secret is shown.
fn one_slash(name: &str, path: &str) -> Option<String> {
    let scheme = ["s3", "az"].into_iter().find(|scheme| name.eq_ignore_ascii_case(scheme))?;
    let rest = path.trim_start_matches('/');
    let is_plain = !rest.contains([':', '@', '?']) && !rest.is_empty();
    Some(if is_plain { format!("{scheme}://{}", shown(Path::new(rest))) } else { format!("{scheme}://...") })
}

/// Begins like nothing but a path.
fn is_plainly_a_path(text: &str, remotes: &[String]) -> bool {
    let bytes = text.as_bytes();
    let drive =
        bytes.len() > 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' && matches!(bytes[2], b'\\' | b'/');
    // `c:/x` is a path of Windows, unless somebody named a remote `c`.
    let drive = drive && !text[2..].starts_with("//") && !remotes.iter().any(|name| *name == text[..1]);
    text.starts_with(['/', '\\'])
        || matches!(text, "." | ".." | "~")
        || drive
        || ["./", "../", "~/", ".\\", "..\\"].iter().any(|start| text.starts_with(start))
}

fn local(text: &str, around: &Surroundings<'_>) -> Result<Parsed, UsageError> {
    if text.contains('\0') {
        return Err(UsageError::new("a path holds a NUL byte", ""));
    }
    let home = text.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let path = match home.map(|rest| (rest, (around.variable)("HOME"))) {
        Some(("" | "/", Some(home))) => PathBuf::from(home),
        Some((rest, Some(home))) => PathBuf::from(home).join(rest.trim_start_matches('/')),
        Some((_, None)) => {
            return Err(UsageError::new(
                "`~` is used, but HOME is not set",
                "write the path in full, or ./~ for that name",
            ));
        }
        None => PathBuf::from(text),
    };
    directory(path, Some(text.to_owned()), Vec::new(), around)
}

fn directory(
    path: PathBuf,
    spelled: Option<String>,
    warnings: Vec<String>,
    around: &Surroundings<'_>,
) -> Result<Parsed, UsageError> {
    if (around.found)(&path) == Found::File {
        let name = shown(&path);
        return Err(UsageError::new(
            format!("{name} is a file, and a location is a directory"),
            "name its directory, with --only for one file; or copy it as it is: mediasync cp FILE NAME: there, mediasync cp REMOTE_FILE ./ back",
        ));
    }
    Ok(Parsed { location: Location::Local(path), warnings, spelled })
}

fn from_variable(name: &str, text: &str, around: &Surroundings<'_>) -> Result<Parsed, UsageError> {
    if !is_variable(name) {
        return Err(UsageError::new("what follows `env:` is no name of a variable", "write env:DEFAULT_STORAGE_DSN"));
    }
    let value = (around.variable)(name).filter(|value| !value.trim().is_empty());
    let Some(value) = value else {
        return Err(UsageError::new(format!("the variable {name} is not set"), "set it to the DSN of the storage"));
    };
    let mut parsed = storage(&value, Some(name), around)?;
    parsed.spelled = Some(text.to_owned());
    Ok(parsed)
}

/// A DSN, or an `s3://` URL without credentials.
fn storage(value: &str, variable: Option<&str>, around: &Surroundings<'_>) -> Result<Parsed, UsageError> {
    if is_plain_s3(value.trim()) {
        bucket(value.trim(), around)
    } else if azure::is_plain(value.trim()) {
        azure::container(value.trim(), around)
    } else {
        from_dsn(dsn::parse(value, variable)?, around)
    }
}

/// `dsn-file:PATH` or `dsn-file:PATH#NAME`: a file that holds a DSN, variables, or JSON.
fn from_file(file: &str, around: &Surroundings<'_>) -> Result<Parsed, UsageError> {
    let (path, name) = file_and_variable(file);
    if path.is_empty() {
        let hint = "write dsn-file:PATH, or dsn-file:PATH#NAME for one variable of several";
        return Err(UsageError::new("`dsn-file:` names no file", hint));
    }
    from_text(TextAt::File(Path::new(path)), name, around)
}

/// `credential:NAME` or `credential:NAME#VARIABLE`: what a service manager hands to its services, as a file with a DSN.
fn from_credential(credential: &str, around: &Surroundings<'_>) -> Result<Parsed, UsageError> {
    let (name, variable) = file_and_variable(credential);
    from_text(TextAt::Credential(name), variable, around)
}

/// The parts of `PATH#NAME`. A file may have a `#` in its name, too: what follows the last one must be a variable.
pub fn file_and_variable(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once('#') {
        Some((path, name)) if is_variable(name) => (path, Some(name)),
        _ => (text, None),
    }
}

fn from_text(at: TextAt<'_>, name: Option<&str>, around: &Surroundings<'_>) -> Result<Parsed, UsageError> {
    let place = match at {
        TextAt::File(path) => shown(path),
        TextAt::Credential(name) => format!("the credential {}", shown(Path::new(name))),
        TextAt::Input => "standard input".to_owned(),
    };
    let given = (around.text)(at)?;
    let value = dsn::unwrap(given.text.reveal(), name).map_err(|error| {
        let hint = match &error {
            dsn::NotFound::Several(_) => match at {
                TextAt::Credential(_) => "name one: credential:NAME#VARIABLE",
                TextAt::File(_) | TextAt::Input => "name one: dsn-file:PATH#NAME",
            },
            _ => "it holds a DSN alone, variables as a .env file has them, or a JSON list of names and values",
        };
        UsageError::new(format!("{place}: {error}"), hint)
    })?;
    let mut parsed = storage(&value, None, around)
        .map_err(|error| UsageError { message: format!("{place}: {}", error.message), ..error })?;
    parsed.warnings.extend(given.warning);
    parsed.spelled = match (at, name) {
        (TextAt::File(path), None) => path.to_str().map(|path| format!("dsn-file:{path}")),
        (TextAt::File(path), Some(name)) => path.to_str().map(|path| format!("dsn-file:{path}#{name}")),
        (TextAt::Credential(credential), None) => Some(format!("credential:{credential}")),
        (TextAt::Credential(credential), Some(name)) => Some(format!("credential:{credential}#{name}")),
        (TextAt::Input, _) => None,
    };
    Ok(parsed)
}

fn from_dsn(dsn: Dsn, around: &Surroundings<'_>) -> Result<Parsed, UsageError> {
    match dsn.place {
        Place::Local(path) => {
            let mut warnings = dsn.warnings;
            let path = outside_the_container(path, &mut warnings, around);
            directory(path, None, warnings, around)
        }
        Place::S3(address) => Ok(Parsed { location: Location::S3(address), warnings: dsn.warnings, spelled: None }),
        Place::Azure(address) => {
            Ok(Parsed { location: Location::Azure(address), warnings: dsn.warnings, spelled: None })
        }
    }
}

/// In its containers a project's `data` directory is `/data`; a DSN that was made for them is used outside as well.
fn outside_the_container(path: PathBuf, warnings: &mut Vec<String>, around: &Surroundings<'_>) -> PathBuf {
    let data = Path::new("/data");
    let Some(root) = around.project.filter(|_| (around.found)(data) == Found::Nothing) else { return path };
    let Ok(below) = path.strip_prefix(data) else { return path };
    let here = root.join("data").join(below);
    warnings.push(format!("{} is taken for {}: there is no /data here", shown(&path), shown(&here)));
    here
}

/// A text with `://` in it. Nothing of it may be shown before it is known to hold no credentials.
fn url(text: &str, around: &Surroundings<'_>) -> Result<Parsed, UsageError> {
    let text = text.trim();
    if is_plain_s3(text) {
        return bucket(text, around);
    }
    if azure::is_plain(text) {
        return azure::container(text, around);
    }
    let start = text.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    match start.as_deref() {
        Some("http" | "https") => {
            let azure = text.contains(".blob.core.windows.net");
            let hint = if azure {
                "write az://ACCOUNT/CONTAINER/PREFIX, with the signature in AZURE_STORAGE_SAS_TOKEN"
            } else {
                "write s3://BUCKET/PREFIX?endpoint=https://HOST"
            };
            return Err(UsageError::new("a web address is no location", hint));
        }
        Some("gs") => {
            let hint = "write s3://BUCKET/PREFIX?endpoint=https://storage.googleapis.com with an HMAC key";
            return Err(UsageError::new("gs:// is not supported", hint));
        }
        _ => {}
    }
    let dsn = dsn::parse(text, None).map_err(|error| match error.fault {
        Fault::Scheme => UsageError::new(
            "the location is a URL of a kind that is not known",
            "known are s3://, az://, file:// and env:NAME",
        ),
        _ => error.into(),
    })?;
    let mut parsed = from_dsn(dsn, around)?;
    match (&parsed.location, around.origin) {
        (Location::Local(_), _) => parsed.spelled = Some(text.to_owned()),
        (Location::S3(_) | Location::Azure(_), Origin::Argument) => parsed.warnings.insert(0, VISIBLE.to_owned()),
        (Location::S3(_) | Location::Azure(_), Origin::File) => {}
    }
    Ok(parsed)
}

const VISIBLE: &str =
    "the DSN on the command line is visible in the process list: put it into a variable and use env:NAME";

/// An `s3://` URL whose authority is a bucket and nothing else. Keys may hold `@` and `:`, so only the part before
/// the first slash tells a URL from a DSN.
fn is_plain_s3(text: &str) -> bool {
    let Some(rest) = text.get(5..).filter(|_| text[..5].eq_ignore_ascii_case("s3://")) else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    !authority.contains([':', '@'])
}

/// `s3://bucket/prefix?endpoint=...&region=...`. The first `?` begins the parameters.
fn bucket(text: &str, around: &Surroundings<'_>) -> Result<Parsed, UsageError> {
    let rest = text.get(5..).unwrap_or_default();
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
    let given = UrlParameters::read(query)?;
    let variable = |name: &str| (around.variable)(name).filter(|value| !value.is_empty());
    let ignored = variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|on| on.eq_ignore_ascii_case("true"));
    let from_environment = || {
        let names = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
        names.iter().find_map(|name| Some((*name, variable(name)?))).filter(|_| !ignored)
    };
    let source = given.endpoint.map(|url| ("the parameter endpoint", url)).or_else(from_environment);
    let (endpoint, implied, addressing) = match source {
        None => (None, None, Addressing::Auto),
        Some((from, url)) => {
            let hint = "it takes scheme, host and port: https://HOST or http://HOST:PORT";
            let service = endpoint::resolve(&url).map_err(|bad| UsageError::new(format!("{from}: {bad}"), hint))?;
            (service.endpoint, service.region, service.addressing)
        }
    };
    let region = given.region.or(implied).or_else(|| variable("AWS_REGION")).or_else(|| variable("AWS_DEFAULT_REGION"));
    let naming = if endpoint::is_aws(endpoint.as_deref()) { Naming::Aws } else { Naming::Other };
    let hint = "a location reads s3://BUCKET/PREFIX";
    let named = if name.is_empty() { String::new() } else { format!("{}: ", shown(Path::new(name))) };
    check_bucket(name, naming).map_err(|bad| UsageError::new(format!("{named}{bad}"), hint))?;
    let prefix = clean_prefix(prefix)
        .and_then(|path| Ok(join_prefix(&path, &clean_prefix(given.prefix.as_deref().unwrap_or_default())?)))
        .map_err(|bad| UsageError::new(bad.to_string(), hint))?;
    let warnings = escape_warning(place).into_iter().collect();
    let location = Location::S3(S3Address {
        bucket: name.to_owned(),
        prefix,
        endpoint,
        region,
        addressing,
        credentials: Credentials::Chain { profile: None, variables: Variables::of(around.variable) },
        acl: None,
        public_url: None,
        said: Box::default(),
    });
    Ok(Parsed { location, warnings, spelled: Some(text.to_owned()) })
}

#[derive(Default)]
struct UrlParameters {
    endpoint: Option<String>,
    region: Option<String>,
    prefix: Option<String>,
}

impl UrlParameters {
    fn read(query: &str) -> Result<Self, UsageError> {
        let mut all = Self::default();
        for (name, value) in query_pairs(query) {
            let slot = match name.as_str() {
                "endpoint" => &mut all.endpoint,
                "region" => &mut all.region,
                "prefix" => &mut all.prefix,
                _ => {
                    return Err(UsageError::new(
                        "an s3:// location takes the parameters endpoint, region and prefix after `?`, and no other",
                        "a prefix that holds `?` is written as s3://BUCKET?prefix=..., with `?` as %3F",
                    ));
                }
            };
            if slot.is_some() {
                return Err(UsageError::new("a parameter of the s3:// location is given twice", "give it once"));
            }
            *slot = Some(value);
        }
        all.endpoint = all.endpoint.filter(|url| !url.is_empty());
        all.region = all.region.filter(|region| !region.is_empty());
        Ok(all)
    }
}

fn on_remote(name: &str, path: &str, text: &str, around: &Surroundings<'_>) -> Result<Parsed, UsageError> {
    if let Some(root) = (around.remote)(name) {
        let location = root?.below(path)?;
        let spelled = Some(text.to_owned());
        return match location {
            Location::Local(path) => directory(path, spelled, Vec::new(), around),
            Location::S3(_) | Location::Azure(_) => Ok(Parsed { location, warnings: Vec::new(), spelled }),
        };
    }
    let known: Vec<String> = around.remotes.iter().map(|name| format!("{name}:")).collect();
    let known =
        if known.is_empty() { "the config names none".to_owned() } else { format!("known are {}", known.join(", ")) };
    if let Some(place) = one_slash(name, path) {
        let message = format!("what stands before the `:` is no remote: {known}");
        return Err(UsageError::new(message, format!("a bucket or container is written {place}")));
    }
    if may_be_shown(name, text) {
        return Err(UsageError::new(
            format!("no remote is called `{name}`: {known}"),
            format!("a directory is written ./{name}:..."),
        ));
    }
    Err(UsageError::new(
        format!("what stands before the `:` is no remote: {known}"),
        "write s3://BUCKET/PREFIX, env:NAME for a DSN, or ./PATH for a directory with `:` in its name",
    ))
}
