//! `config show`: what holds, as a file that says the same, and where each value comes from.
//!
//! Secrets are hidden, so that the text can be shown to anybody; apart from them it is read as the configuration is.

use serde_json::{Value as Json, json};

use crate::cli::args::Global;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Format;
use crate::cli::place;
use crate::cli::setup::{Setup, named_file, read_text, shown};
use crate::config::keys::{Otherwise, Takes};
use crate::config::places::{self, Env, Origin, StateRule};
use crate::config::told::{self, Section, Value};
use crate::location::Location;
use crate::secret::Secret;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum From {
    /// A line of the file.
    File(usize),
    /// The program.
    Default,
    /// A variable.
    Variable(&'static str),
    /// A flag.
    Flag(&'static str),
    /// Another key, told in a few words.
    Other(String),
    /// The DSN of the remote.
    Dsn,
}

/// One key as it holds.
#[derive(Debug)]
struct Row {
    name: &'static str,
    /// `None` where nothing is set.
    value: Option<Json>,
    from: From,
    /// What holds where nothing is set, or what is to be said besides.
    note: Option<String>,
}

/// `config show`.
///
/// # Errors
/// The file can't be read any more.
pub(in crate::cli) fn show(global: &Global, setup: &Setup, env: Env<'_>) -> Result<Exit, Failure> {
    let found = named_file(global, env)?;
    let text = found.as_ref().map_or(Ok(String::new()), |(path, _)| read_text(path))?;
    let sections = told::tell(&text).unwrap_or_default();
    let view = View { global, setup, env, sections: &sections, origin: found.as_ref().map(|(_, origin)| *origin) };
    let rows = |section: &Section| in_order(section).filter_map(|value| view.row(section, value)).collect::<Vec<_>>();
    let output = &*setup.output;
    match output.format() {
        Format::Json => {
            let (file, origin) = (found.as_ref().map(|(path, _)| shown(path)), view.origin.map(word_of));
            output.data(&json!({ "v": 1, "type": "config", "file": file, "found": origin }).to_string());
            for section in &sections {
                // What is not there as a whole has no values.
                if section.line.is_some() || matches!(section.otherwise, Otherwise::Value(_)) {
                    for row in rows(section) {
                        output.data(&line(section, &row).to_string());
                    }
                }
            }
        }
        Format::Human => {
            output.data(&match &found {
                Some((path, origin)) => format!("# {} ({})", shown(path), words_of(*origin)),
                None => "# There is no configuration file: these are the defaults.".to_owned(),
            });
            for section in &sections {
                output.data("");
                match section.otherwise {
                    Otherwise::Unset(text) if section.line.is_none() => {
                        output.data(&format!("# {}: {text} (default)", section.header));
                    }
                    _ => {
                        output.data(&section.header);
                        for row in rows(section) {
                            output.data(&human(&row));
                        }
                    }
                }
            }
        }
    }
    Ok(Exit::Done)
}

/// The keys of a table, in an order that says the same: of `exclude` and `include` the one that comes first counts first.
fn in_order(section: &Section) -> impl Iterator<Item = &Value> {
    let mut values: Vec<&Value> = section.values.iter().collect();
    let of = |name: &str| {
        let at = section.values.iter().position(|value| value.key.name == name)?;
        let given = section.values[at].given.as_ref()?;
        Some((at, (given.line, given.column)))
    };
    if let (Some((exclude, one)), Some((include, other))) = (of("exclude"), of("include"))
        && (one < other) != (exclude < include)
    {
        values.swap(exclude, include);
    }
    values.into_iter()
}

fn word_of(origin: Origin) -> &'static str {
    match origin {
        Origin::Flag => "flag",
        Origin::Project => "project",
        Origin::User => "user",
        Origin::System => "system",
    }
}

fn words_of(origin: Origin) -> &'static str {
    match origin {
        Origin::Flag => "named by --config",
        Origin::Project => "of this directory or project",
        Origin::User => "of this user",
        Origin::System => "of this machine",
    }
}

fn human(row: &Row) -> String {
    let from = match &row.from {
        From::File(line) => format!("line {line}"),
        From::Default => "default".to_owned(),
        From::Variable(name) => format!("the variable {name}"),
        From::Flag(flag) => (*flag).to_owned(),
        From::Other(text) => text.clone(),
        From::Dsn => "its DSN".to_owned(),
    };
    let note = row.note.as_deref().map(|note| note.replace('`', ""));
    match (&row.value, note) {
        (Some(value), None) => format!("{} = {}  # {from}", row.name, toml(value)),
        (Some(value), Some(note)) => format!("{} = {}  # {from}; {note}", row.name, toml(value)),
        (None, note) => format!("# {}: {} ({from})", row.name, note.unwrap_or_default()),
    }
}

fn line(section: &Section, row: &Row) -> Json {
    let mut line = json!({
        "v": 1, "type": "value", "key": format!("{}.{}", section.path, row.name), "value": row.value,
    });
    let (from, more) = match &row.from {
        From::File(line) => ("file", Some(("line", json!(line)))),
        From::Default => ("default", None),
        From::Variable(name) => ("variable", Some(("variable", json!(name)))),
        From::Flag(flag) => ("flag", Some(("flag", json!(flag)))),
        From::Other(_) => ("file", None),
        From::Dsn => ("dsn", None),
    };
    line["from"] = json!(from);
    if let Some((name, value)) = more {
        line[name] = value;
    }
    if let Some(note) = &row.note {
        line["note"] = json!(note);
    }
    line
}

/// A value as TOML.
fn toml(value: &Json) -> String {
    match value {
        // Escapes of JSON are escapes of TOML, which wants one more character escaped.
        Json::String(_) => value.to_string().replace('\u{7f}', "\\u007f"),
        Json::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Json::Object(pairs) => {
            let pair = |(name, value): (&String, &Json)| format!("{} = {}", toml(&json!(name)), toml(value));
            format!("{{ {} }}", pairs.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => value.to_string(),
    }
}

/// What is asked for values.
struct View<'a> {
    global: &'a Global,
    setup: &'a Setup,
    env: Env<'a>,
    sections: &'a [Section],
    origin: Option<Origin>,
}

impl View<'_> {
    /// One key as it holds; `None` where it means nothing.
    fn row(&self, section: &Section, value: &Value) -> Option<Row> {
        let name = value.key.name;
        if section.path == "state" {
            return Some(self.state(name, value));
        }
        let row = |value: Option<Json>, from: From, note: Option<&str>| {
            Some(Row { name, value, from, note: note.map(str::to_owned) })
        };
        if let Some(given) = &value.given {
            let names_places = matches!(value.key.takes, Takes::Place | Takes::Secret);
            let note = given.value.as_str().filter(|_| names_places).and_then(|text| self.note(text));
            return row(Some(given.value.clone()), From::File(given.line), note.as_deref());
        }
        let (is_job, is_remote) = (section.path.starts_with("job"), section.path.starts_with("remote."));
        if is_remote {
            match self.remote(section, name) {
                Unsaid::Meaningless => return None,
                Unsaid::Told(row) => return Some(row),
                Unsaid::Variable(value, variable) => return row(Some(value.into()), From::Variable(variable), None),
                Unsaid::Default => {}
            }
        }
        let mode = section.text("mode");
        match (name, mode) {
            ("timezone", _) if is_job => {
                let all = self.sections.iter().find(|other| other.path == "daemon");
                let given = all.and_then(|all| all.value(name)?.given.as_ref());
                if let Some(given) = given {
                    return row(
                        Some(given.value.clone()),
                        From::Other(format!("line {}, of [daemon]", given.line)),
                        None,
                    );
                }
            }
            ("delete", Some("mirror" | "two-way")) => return row(Some(true.into()), From::Default, Some("by mode")),
            ("on_conflict", _) if section.has("overwrite") => {
                return row(None, From::Default, Some("overwrite says it"));
            }
            ("on_conflict", Some("mirror")) => return row(None, From::Default, Some("in a mirror the source wins")),
            ("full_scan_interval" | "full_listing_interval", _)
                if section.value("watch").and_then(|watch| watch.given.as_ref()?.value.as_bool()) != Some(true) =>
            {
                return row(None, From::Default, Some("goes with watch = true"));
            }
            _ => {}
        }
        match value.key.otherwise {
            Otherwise::Value(_) => row(told::default(value.key), From::Default, None),
            Otherwise::Unset(text) => row(None, From::Default, Some(text)),
            Otherwise::Needed => row(None, From::Default, Some("missing")),
        }
    }

    /// The state directory, which always holds.
    fn state(&self, name: &'static str, value: &Value) -> Row {
        let config = self.setup.config.state_dir.as_deref();
        let rule = places::state_rule(self.global.state_dir.as_deref(), config, self.origin, self.env);
        let from = match rule.map(|(_, rule)| rule) {
            Ok(StateRule::Flag) => From::Flag("--state-dir"),
            Ok(StateRule::Config) => value.given.as_ref().map_or(From::Default, |given| From::File(given.line)),
            Ok(StateRule::Variable(name)) => From::Variable(name),
            Ok(StateRule::System) | Err(_) => From::Default,
        };
        Row { name, value: Some(shown(&self.setup.state_dir).into()), from, note: None }
    }

    /// What a text that names a variable or a credential means here.
    fn note(&self, text: &str) -> Option<String> {
        let name = text.strip_prefix("env:")?;
        let state = if (self.env)(name).is_some() { "set" } else { "not set here" };
        Some(format!("the variable {} is {state}", name.escape_debug()))
    }

    /// The ACL that new objects get at a remote that gives none, and why. No command is run for it.
    fn readers(&self, section: &Section) -> Unsaid {
        let name = section.path.strip_prefix("remote.").unwrap_or_default();
        let Ok(end) = place::known(&Secret::new(format!("{name}:")), self.setup.world(self.env)) else {
            return Unsaid::Default;
        };
        let Location::S3(address) = &end.location else { return Unsaid::Meaningless };
        // Written as a key it would hold for mirrors too, so it is only told.
        let told = |from, note: String| Unsaid::Told(Row { name: "acl", value: None, from, note: Some(note) });
        let nobody = "none is sent, and the bucket decides who may read new objects".to_owned();
        let of_dsn = "a mirror takes none from a DSN";
        match address.acl.as_deref() {
            _ if !address.has_acls() => told(From::Default, "objects have none there".to_owned()),
            Some("public-read") => told(
                From::Dsn,
                format!("public-read, so everybody may read new objects, as a DSN without acl= means it; {of_dsn}"),
            ),
            Some(acl) => told(From::Dsn, format!("{acl}; {of_dsn}")),
            None if section.text("url").is_none() => told(From::Dsn, nobody),
            None => told(From::Default, nobody),
        }
    }

    /// What a key that a remote does not give means for it.
    fn remote(&self, section: &Section, name: &str) -> Unsaid {
        let when = |means: bool| if means { Unsaid::Default } else { Unsaid::Meaningless };
        if name == "acl" {
            return self.readers(section);
        }
        let Some(url) = section.text("url") else {
            return when(matches!(name, "provider" | "without" | "max_parts" | "access"));
        };
        let is_s3 = url.to_ascii_lowercase().starts_with("s3:");
        let variable = |names: &[&'static str]| {
            let found = names.iter().find_map(|name| Some(((self.env)(name)?, *name)));
            found.map_or(Unsaid::Default, |(value, name)| {
                Unsaid::Variable(crate::dsn::redact(&value).into_owned(), name)
            })
        };
        let has_keys = section.has("access_key") || section.has("profile");
        match name {
            "dsn" | "dsn_command" => Unsaid::Meaningless,
            "account_key" | "sas_token" => when(!is_s3),
            "endpoint" if is_s3 && !url.contains("endpoint=") => {
                let ignored = (self.env)("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
                let ignored = ignored.is_some_and(|on| on.eq_ignore_ascii_case("true"));
                if ignored { Unsaid::Default } else { variable(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]) }
            }
            "region" if is_s3 && !url.contains("region=") => variable(&["AWS_REGION", "AWS_DEFAULT_REGION"]),
            "profile" if is_s3 && !has_keys => variable(&["AWS_PROFILE"]),
            "profile" => when(is_s3 && !has_keys),
            "provider" | "without" | "max_parts" | "region" | "addressing" | "access_key" | "secret_key" => when(is_s3),
            _ => Unsaid::Default,
        }
    }
}

/// What a key means that nobody gives.
enum Unsaid {
    /// Nothing.
    Meaningless,
    /// Its default.
    Default,
    /// This value, which a variable has.
    Variable(String, &'static str),
    /// What this place has by itself.
    Told(Row),
}
