//! The text of a first configuration: what was chosen, and the keys that people look for next, as comments.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::questions::Answers;
use super::{ModeArg, readers};
use crate::cli::failure::Failure;
use crate::cli::place::End;
use crate::location::Location;
use crate::secret::Secret;

/// What was chosen.
#[derive(Clone, Copy)]
pub(super) struct Plan<'a> {
    /// The configuration file.
    pub(super) file: &'a Path,
    /// What was answered.
    pub(super) answers: &'a Answers,
    /// Where it goes.
    pub(super) target: &'a Target,
}

/// Where a job goes, as the configuration has it.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// A directory.
    Directory(PathBuf),
    /// A URL without credentials, and the endpoint and region that variables gave to it.
    Url(String, Option<String>, Option<String>),
    /// A DSN.
    Dsn(Kept),
}

/// Where a DSN is kept.
#[derive(Debug, Clone)]
pub(super) enum Kept {
    /// Where this text says.
    Elsewhere(String),
    /// In a new file.
    File(PathBuf, Secret),
    /// In the configuration.
    Inline(Secret),
}

impl Target {
    /// A place as it was typed.
    pub(super) fn of(typed: &str, end: &End) -> Self {
        let spelled = end.spelled.clone();
        let endpoint = match &end.location {
            Location::Local(path) if !typed.contains(':') => return Self::Directory(path.clone()),
            Location::S3(address) => (address.endpoint.clone(), address.region.clone()),
            Location::Local(_) | Location::Azure(_) => (None, None),
        };
        match spelled {
            None => Self::Dsn(Kept::Inline(Secret::new(typed.trim()))),
            Some(text) if text.contains("://") && !text.starts_with("file:") => {
                let lacks = |name: &str| !text.contains(&format!("{name}="));
                let (url, region) = endpoint;
                Self::Url(text.clone(), url.filter(|_| lacks("endpoint")), region.filter(|_| lacks("region")))
            }
            Some(text) => Self::Dsn(Kept::Elsewhere(text)),
        }
    }

    /// The file that is written for it.
    pub(super) fn file(&self) -> Option<(&PathBuf, &Secret)> {
        match self {
            Self::Dsn(Kept::File(path, dsn)) => Some((path, dsn)),
            Self::Directory(_) | Self::Url(..) | Self::Dsn(_) => None,
        }
    }
}

/// As a file has it.
fn quoted(text: &str) -> String {
    json!(text).to_string().replace('\u{7f}', "\\u007f")
}

fn path(path: &Path) -> Result<String, Failure> {
    let text = path.to_str();
    text.map(quoted).ok_or_else(|| Failure::usage("a path that is not UTF-8 can't stand in a configuration"))
}

/// The text. Holds a secret only for [`Kept::Inline`].
///
/// # Errors
/// A path is no UTF-8, which no such file can hold.
pub(super) fn config(plan: &Plan<'_>) -> Result<String, Failure> {
    let mut text = String::from(
        "# mediasync's configuration, as \"mediasync init\" wrote it. docs/config.md has every key; \"mediasync config check\"\n\
         # looks for mistakes, and \"mediasync config show\" tells what holds.\n",
    );
    let mut line = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    let destination = match plan.target {
        Target::Directory(dir) => path(dir)?,
        Target::Url(..) | Target::Dsn(_) => "\"live:\"".to_owned(),
    };
    match plan.target {
        Target::Directory(_) => {}
        Target::Url(url, endpoint, region) => {
            line(
                "\n# A place with a name: \"live:\" is the place itself, \"live:photos\" a folder in it.\n[remote.live]",
            );
            line("# The credentials are where the AWS or Azure tools have them.");
            line(&format!("url = {}", quoted(url)));
            if let Some(endpoint) = endpoint {
                line(&format!("endpoint = {}", quoted(endpoint)));
            }
            if let Some(region) = region {
                line(&format!("region = {}", quoted(region)));
            }
        }
        Target::Dsn(kept) => {
            line(
                "\n# A place with a name: \"live:\" is the place itself, \"live:photos\" a folder in it.\n[remote.live]",
            );
            let (why, dsn) = match kept {
                Kept::Elsewhere(text) if text.starts_with("env:") => {
                    ("# The secret stays in the variable. A service has none of yours: docs/service.md.", quoted(text))
                }
                Kept::Elsewhere(text) => ("# The secret stays where it is.", quoted(text)),
                Kept::File(file, _) => ("# The secret is in a file that only its owner can read.", {
                    let file = path(file)?;
                    format!("\"dsn-file:{}", &file[1..])
                }),
                Kept::Inline(dsn) => {
                    ("# This is a secret: the file must stay readable for its owner only.", quoted(dsn.reveal()))
                }
            };
            line(why);
            line(&format!("dsn = {dsn}"));
        }
    }
    let answers = plan.answers;
    if !matches!(plan.target, Target::Directory(_)) {
        line("# \"confirm\" asks before a run changes it, \"read-only\" refuses.\n#access = \"write\"");
        let rule = readers::rule(&answers.end.location, answers.mode);
        rule.iter().flat_map(|rule| readers::lines(rule, answers.acl)).for_each(|text| line(&text));
    }
    let base = plan.file.parent().unwrap_or(Path::new("/"));
    let source =
        answers.source.strip_prefix(base).ok().filter(|below| !below.as_os_str().is_empty()).unwrap_or(&answers.source);
    line("\n[[job]]");
    line(&format!("name = {}", quoted(&answers.name)));
    line(&format!("source = {}", path(source)?));
    line(&format!("destination = {destination}"));
    line(
        "# \"copy\" adds and updates; \"mirror\" makes the destination exact; \"two-way\" gives each side what the other one changed.",
    );
    line(match answers.mode {
        ModeArg::Copy => "mode = \"copy\"\n# Whether what is deleted here is deleted there too.\n#delete = true",
        ModeArg::Mirror => "mode = \"mirror\"",
        ModeArg::TwoWay => "mode = \"two-way\"",
    });
    line("# What is left out, besides .DS_Store and the like.\n#exclude = [\"*.tmp\", \"cache/\"]");
    line("# How long what a run deletes or replaces is kept.\n#trash = \"30d\"");
    line("# When the daemon runs it: as files change, or so often.");
    line(if answers.when.watch { "watch = true" } else { "#watch = true" });
    let every = answers.when.every.as_deref();
    line(&every.map_or_else(|| "#every = \"15m\"".to_owned(), |every| format!("every = {}", quoted(every))));
    Ok(text)
}
