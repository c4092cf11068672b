//! What a file says, key by key, and which keys it leaves out: for `config show`, and for whoever looks where a value stands.
//!
//! Secrets are hidden here already: what leaves this file can be shown to anybody.

use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use super::keys::{Key, Keys, Otherwise, Takes};
use super::table::position;
use super::{Mistake, stands_elsewhere};
use crate::dsn;

/// One table, with its keys in the order of docs/config.md.
#[derive(Debug, Clone)]
pub struct Section {
    /// As it is written: `[state]`, `[remote.live]`, `[[job]]`; empty for keys before any table.
    pub header: String,
    /// What leads to its keys: `state`, `remote.live`, `job.media`.
    pub path: String,
    /// The line of its header; `None` if the file does not have it.
    pub line: Option<usize>,
    /// Its keys that are no tables.
    pub values: Vec<Value>,
    /// What the file does without it.
    pub otherwise: Otherwise,
}

impl Section {
    /// One of its keys.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|value| value.key.name == name)
    }

    /// The text that the file gives to a key; none where it is hidden.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value(name)?.given.as_ref()?.value.as_str()
    }

    /// Whether the file gives the key.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| value.given.is_some())
    }
}

/// One key of a table.
#[derive(Debug, Clone)]
pub struct Value {
    /// The key.
    pub key: &'static Key,
    /// What the file says.
    pub given: Option<Given>,
}

/// What a file says.
#[derive(Debug, Clone)]
pub struct Given {
    /// The value, secrets hidden.
    pub value: Json,
    /// Its line, from 1.
    pub line: usize,
    /// Its character in the line, from 1.
    pub column: usize,
}

/// All tables of a file, and those that it leaves out.
///
/// # Errors
/// It is no TOML.
pub fn tell(text: &str) -> Result<Vec<Section>, Vec<Mistake>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let at = |error: &toml::de::Error| position(text, error.span().map_or(0, |span| span.start));
        let told = errors.iter().map(|error| {
            let ((line, column), message) = (at(error), error.message().trim().to_owned());
            Mistake { line, column, key: String::new(), message }
        });
        return Err(told.collect());
    }
    let mut found = Vec::new();
    Teller { text, found: &mut found }.tables("", "", &super::TOP, Some(document.get_ref()));
    Ok(found)
}

/// A default as it would be written.
pub fn default(key: &Key) -> Option<Json> {
    let Otherwise::Value(text) = key.otherwise else { return None };
    let line = format!("x = {text}");
    let (document, _) = DeTable::parse_recoverable(&line);
    document.get_ref().get("x").map(|value| json(value.get_ref(), Takes::Text))
}

struct Teller<'t> {
    text: &'t str,
    found: &'t mut Vec<Section>,
}

impl Teller<'_> {
    /// The tables in a table. `path` leads to its keys and `header` to its tables.
    fn tables(&mut self, path: &str, header: &str, keys: &'static Keys, table: Option<&DeTable<'_>>) {
        let below = |above: &str, name: &str| {
            if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") }
        };
        for key in keys.known {
            let inner = table.and_then(|table| table.get(key.name));
            let line = |at: usize| Some(position(self.text, at).0);
            let (path, header) = (below(path, key.name), below(header, key.name));
            let value = inner.map(toml::Spanned::get_ref);
            match (key.takes, value) {
                (Takes::Table(keys), Some(DeValue::Table(own))) => {
                    let line = inner.and_then(|inner| line(inner.span().start));
                    self.section(&path, (&header, "[", "]"), line, (key, keys), Some(own));
                }
                (Takes::Table(keys), _) => self.section(&path, (&header, "[", "]"), None, (key, keys), None),
                (Takes::Named(keys), Some(DeValue::Table(named))) => {
                    let mut all: Vec<_> = named.iter().collect();
                    all.sort_by_key(|(_, value)| value.span().start);
                    for (name, value) in all {
                        let DeValue::Table(own) = value.get_ref() else { continue };
                        let (path, header) = (below(&path, name.get_ref()), below(&header, name.get_ref()));
                        let line = Some(position(self.text, value.span().start).0);
                        self.section(&path, (&header, "[", "]"), line, (key, keys), Some(own));
                    }
                }
                (Takes::Tables(keys), Some(DeValue::Array(items))) => {
                    for (index, item) in items.iter().enumerate() {
                        let DeValue::Table(own) = item.get_ref() else { continue };
                        let path = match own.get("name").and_then(|name| name.get_ref().as_str()) {
                            Some(name) => format!("{path}.{name}"),
                            None => format!("{path}[{}]", index + 1),
                        };
                        let line = Some(position(self.text, item.span().start).0);
                        self.section(&path, (&header, "[[", "]]"), line, (key, keys), Some(own));
                    }
                }
                _ => {}
            }
        }
    }

    fn section(
        &mut self,
        path: &str,
        (header, opens, closes): (&str, &str, &str),
        line: Option<usize>,
        (key, keys): (&'static Key, &'static Keys),
        table: Option<&DeTable<'_>>,
    ) {
        let is_plain = |key: &&Key| !matches!(key.takes, Takes::Table(_) | Takes::Named(_) | Takes::Tables(_));
        let value = |key: &'static Key| {
            let given = table.and_then(|table| table.get(key.name)).map(|value| {
                let (line, column) = position(self.text, value.span().start);
                Given { value: json(value.get_ref(), key.takes), line, column }
            });
            Value { key, given }
        };
        self.found.push(Section {
            header: format!("{opens}{header}{closes}"),
            path: path.to_owned(),
            line,
            values: keys.known.iter().filter(is_plain).map(value).collect(),
            otherwise: key.otherwise,
        });
        self.tables(path, header, keys, table);
    }
}

/// A value, its secrets hidden.
fn json(value: &DeValue<'_>, takes: Takes) -> Json {
    match (value, takes) {
        (DeValue::String(text), Takes::Secret) if !stands_elsewhere(text) => "***".into(),
        (DeValue::String(text), _) => dsn::redact(text).into(),
        (DeValue::Integer(number), _) => {
            let digits = number.as_str();
            i64::from_str_radix(digits, number.radix()).map_or_else(|_| digits.into(), Json::from)
        }
        (DeValue::Float(number), _) => {
            number.as_str().parse::<f64>().map_or_else(|_| number.as_str().into(), Json::from)
        }
        (DeValue::Boolean(yes), _) => (*yes).into(),
        (DeValue::Datetime(time), _) => time.to_string().into(),
        // The program is no secret; its arguments may be.
        (DeValue::Array(items), Takes::Command) => {
            let shown = |(at, item): (usize, &toml::Spanned<DeValue<'_>>)| {
                if at == 0 { json(item.get_ref(), Takes::Text) } else { Json::from("***") }
            };
            items.iter().enumerate().map(shown).collect()
        }
        (DeValue::Array(items), _) => items.iter().map(|item| json(item.get_ref(), takes)).collect(),
        (DeValue::Table(table), _) => {
            let pairs = table.iter().map(|(name, value)| (name.get_ref().to_string(), json(value.get_ref(), takes)));
            Json::Object(pairs.collect())
        }
    }
}
