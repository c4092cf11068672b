//! `config check`: all mistakes of the file that a command here would read, and what may become one.
//!
//! A mistake is what makes a command refuse the file as it stands. What depends on variables, files and directories of this
//! machine is a warning: the service may have others.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::cli::args::Global;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::{Format, Output};
use crate::cli::place::{self, World};
use crate::cli::resolve;
use crate::cli::setup::{Setup, named_file, no_file, read_text, shown};
use crate::config::keys::Takes;
use crate::config::places::Env;
use crate::config::told::{self, Section};
use crate::config::{Config, Job, Mistake, Remote, RemoteAt};
use crate::location::{self, Found, Location};
use crate::model::Side;
use crate::plan::Mode;
use crate::replica::access::Access;
use crate::secret::Secret;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The file can't be used.
    Mistake,
    /// It can, and something about it may not be meant.
    Warning,
}

/// Something about the file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    kind: Kind,
    /// Line and character; `None` for the file as a whole.
    at: Option<(usize, usize)>,
    key: String,
    message: String,
    hints: Vec<String>,
}

impl From<Mistake> for Finding {
    fn from(mistake: Mistake) -> Self {
        let Mistake { line, column, key, message } = mistake;
        Self { kind: Kind::Mistake, at: Some((line, column)), key, message, hints: Vec::new() }
    }
}

/// `config check`.
///
/// # Errors
/// There is no file, or it can't be read.
pub(in crate::cli) fn check(global: &Global, output: &Arc<Output>, env: Env<'_>) -> Result<Exit, Failure> {
    let Some((path, _)) = named_file(global, env)? else {
        return Err(no_file("there is no configuration file to check", env));
    };
    let text = read_text(&path)?;
    let mut found: Vec<Finding> = if let Err(mistakes) = Config::parse(&text, &path) {
        mistakes.into_iter().map(Finding::from).collect()
    } else {
        let setup = Setup::new(global, Arc::clone(output), env)?;
        let sections = told::tell(&text).unwrap_or_default();
        Look { sections: &sections, world: setup.world(env) }.all(setup.warning.clone())
    };
    found.sort_by_key(|finding| finding.at);
    let count = |kind: Kind| found.iter().filter(|finding| finding.kind == kind).count();
    let (mistakes, warnings) = (count(Kind::Mistake), count(Kind::Warning));
    let exit = if mistakes == 0 { Exit::Done } else { Exit::Usage };
    for finding in &found {
        output.data(&match output.format() {
            Format::Human => human(&path, finding),
            Format::Json => line(&path, finding).to_string(),
        });
    }
    let many = |count: usize, what: &str| match count {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    output.data(&match output.format() {
        Format::Human => format!("{}: {}, {}", shown(&path), many(mistakes, "mistake"), many(warnings, "warning")),
        Format::Json => json!({
            "v": 1, "type": "checked", "file": shown(&path), "mistakes": mistakes, "warnings": warnings, "exit": exit.code(),
        })
        .to_string(),
    });
    Ok(exit)
}

/// As compilers tell it, so that editors find the place.
fn human(path: &Path, finding: &Finding) -> String {
    let at = finding.at.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
    let kind = match finding.kind {
        Kind::Mistake => "mistake",
        Kind::Warning => "warning",
    };
    let key = if finding.key.is_empty() { String::new() } else { format!("{}: ", finding.key) };
    let mut text = format!("{}{at}: {kind}: {key}{}", shown(path), finding.message);
    for hint in &finding.hints {
        text.push_str("\n  hint: ");
        text.push_str(hint);
    }
    text
}

fn line(path: &Path, finding: &Finding) -> Json {
    let kind = match finding.kind {
        Kind::Mistake => "mistake",
        Kind::Warning => "warning",
    };
    json!({
        "v": 1, "type": kind, "file": shown(path),
        "line": finding.at.map(|(line, _)| line), "column": finding.at.map(|(_, column)| column),
        "key": Some(&finding.key).filter(|key| !key.is_empty()), "message": finding.message, "hints": finding.hints,
    })
}

/// A file that can be read, and the world around it.
struct Look<'a> {
    sections: &'a [Section],
    world: World<'a>,
}

impl Look<'_> {
    fn all(&self, mode: Option<String>) -> Vec<Finding> {
        let mut found: Vec<Finding> = self.variables();
        found.extend(mode.map(|message| warning(None, "", message)));
        let config = self.world.config;
        found.extend(config.remotes.iter().filter_map(|(name, remote)| self.remote(name, remote)));
        for job in &config.jobs {
            found.extend(self.place(job, "source", &job.source));
            found.extend(self.place(job, "destination", &job.destination));
        }
        let overlaps = resolve::overlapping_jobs(self.world).into_iter();
        found.extend(overlaps.map(|mistake| {
            let way = "choose places of which none holds the other, or leave one of the jobs out";
            Finding { hints: vec![way.to_owned()], ..mistake.into() }
        }));
        found
    }

    /// Where a key stands.
    fn at(&self, path: &str, key: &str) -> Option<(usize, usize)> {
        let given = self.sections.iter().find(|section| section.path == path)?.value(key)?.given.as_ref()?;
        Some((given.line, given.column))
    }

    /// Variables that are not set.
    fn variables(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for section in self.sections {
            for value in &section.values {
                let (Some(given), Takes::Place | Takes::Secret) = (&value.given, value.key.takes) else { continue };
                let Some(name) = given.value.as_str().and_then(|text| text.strip_prefix("env:")) else { continue };
                if self.is_unset(name) {
                    let name = name.escape_debug();
                    let key = format!("{}.{}", section.path, value.key.name);
                    let message = format!("the variable {name} is not set here");
                    let way = format!(
                        "export {name}=...; a service has none of your variables: write credential:NAME for it"
                    );
                    found.push(warning(Some((given.line, given.column)), &key, message).hint(way));
                }
            }
        }
        found
    }

    fn is_unset(&self, name: &str) -> bool {
        (self.world.env)(name).is_none_or(|value| value.trim().is_empty())
    }

    /// Whether what a text says is known only elsewhere: a variable that was told already, a credential of a service.
    fn is_elsewhere(&self, text: &str) -> bool {
        text.strip_prefix("env:").is_some_and(|name| self.is_unset(name))
            || (text.starts_with("credential:") && (self.world.env)("CREDENTIALS_DIRECTORY").is_none())
    }

    /// The texts of a remote that say where it is and who we are there; `None` where only a command knows.
    fn texts(remote: &Remote) -> Option<Vec<&str>> {
        match &remote.at {
            RemoteAt::Command(_) => None,
            RemoteAt::Dsn(dsn) => Some(vec![dsn.reveal()]),
            RemoteAt::Url(url) => {
                let keys = url.keys.iter().flat_map(|(access, secret)| [access.as_str(), secret.reveal()]);
                let others = [&url.account_key, &url.sas_token].into_iter().flatten().map(Secret::reveal);
                Some(keys.chain(others).collect())
            }
        }
    }

    /// Whether nothing can be said of a remote here.
    fn is_unknown(&self, remote: &Remote) -> bool {
        Self::texts(remote).is_none_or(|texts| texts.iter().any(|text| self.is_elsewhere(text)))
    }

    /// What is wrong with where a remote is.
    fn remote(&self, name: &str, remote: &Remote) -> Option<Finding> {
        if self.is_unknown(remote) {
            return None;
        }
        let failure = place::known(&Secret::new(format!("{name}:")), self.world).err()?;
        let path = format!("remote.{name}");
        let key = if matches!(remote.at, RemoteAt::Dsn(_)) { "dsn" } else { "url" };
        let kind = match Self::texts(remote) {
            Some(texts) if texts.iter().any(|text| depends(text)) => Kind::Warning,
            _ => Kind::Mistake,
        };
        let told = format!("{path} (line {}): ", remote.line);
        let message = failure.message.strip_prefix(&told).unwrap_or(&failure.message).to_owned();
        Some(Finding { kind, at: self.at(&path, key), key: format!("{path}.{key}"), message, hints: failure.hints })
    }

    /// What is wrong with a place of a job.
    fn place(&self, job: &Job, key: &str, text: &Secret) -> Vec<Finding> {
        let path = format!("job.{}", job.name);
        let (at, full) = (self.at(&path, key), format!("{path}.{key}"));
        let named = place::named(text.reveal(), self.world);
        // That is so whatever its variables say.
        if let Some((name, _)) = named.filter(|(_, remote)| remote.access == Access::ReadOnly && is_written(job, key)) {
            return vec![written(at, full, name)];
        }
        let remote = named.map(|(_, remote)| remote);
        let is_unknown = remote.map_or_else(|| self.is_elsewhere(text.reveal()), |remote| self.is_unknown(remote));
        let has_bad_remote = || {
            let name = location::remote_of(text.reveal()).unwrap_or_default();
            remote.is_some() && place::known(&Secret::new(format!("{name}:")), self.world).is_err()
        };
        if is_unknown || has_bad_remote() {
            return Vec::new();
        }
        let end = match place::known(text, self.world) {
            Ok(end) => end,
            Err(failure) => {
                let kind = if depends(text.reveal()) { Kind::Warning } else { Kind::Mistake };
                return vec![Finding { kind, at, key: full, message: failure.message, hints: failure.hints }];
            }
        };
        if let (true, Access::ReadOnly, Some(name)) = (is_written(job, key), end.access, &end.remote) {
            return vec![written(at, full, name)];
        }
        let mut found: Vec<Finding> = end.warnings.iter().map(|text| warning(at, &full, text.clone())).collect();
        if let Location::Local(dir) = &end.location {
            let is_read = key == "source" || job.mode == Mode::TwoWay;
            let is_there = |dir: &Path| (self.world.found)(dir) == Found::Directory;
            let above = dir.parent().unwrap_or(dir);
            if is_read && !is_there(dir) {
                let message = format!("{} is not there", shown(dir));
                found.push(warning(at, &full, message).hint("mount or make it; a run stops until it is there"));
            } else if !is_there(dir) && !is_there(above) {
                let message = format!("neither {} nor the directory above it is there", shown(dir));
                found.push(warning(at, &full, message).hint("mount or make it; a run stops until it is there"));
            }
        }
        found
    }
}

/// Whether a job changes its source or its destination.
fn is_written(job: &Job, key: &str) -> bool {
    let side = if key == "source" { Side::Source } else { Side::Dest };
    job.mode.writes().contains(&side)
}

/// A job changes what may only be read.
fn written(at: Option<(usize, usize)>, key: String, remote: &str) -> Finding {
    let message = format!("the job writes there, and remote.{remote} says access = \"read-only\"");
    let way = "allow it with access = \"write\" or \"confirm\", or let the job go the other way";
    Finding { kind: Kind::Mistake, at, key, message, hints: vec![way.to_owned()] }
}

/// Whether a text says only where something stands that may be another one elsewhere.
fn depends(text: &str) -> bool {
    ["env:", "dsn-file:", "credential:"].iter().any(|start| text.starts_with(start))
}

fn warning(at: Option<(usize, usize)>, key: &str, message: String) -> Finding {
    Finding { kind: Kind::Warning, at, key: key.to_owned(), message, hints: Vec::new() }
}

impl Finding {
    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}
