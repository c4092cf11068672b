//! Reads a TOML table key by key and collects every mistake with its line, instead of stopping at the first.
//!
//! Deserialising into a struct would be shorter, but ends at the first mistake and can't name the nearest key.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::Keys;

/// One mistake in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Line, from 1.
    pub line: usize,
    /// Character of the line, from 1.
    pub column: usize,
    /// Path of the key, `job.media.mode`; empty where no key is concerned.
    pub key: String,
    /// What is wrong and what is expected, in one sentence without a final stop. Never shows a value that may be secret.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// All mistakes found so far, and the lines to name them by.
#[derive(Debug)]
pub(super) struct Mistakes<'t> {
    text: &'t str,
    found: Vec<Mistake>,
}

impl<'t> Mistakes<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, found: Vec::new() }
    }

    /// The line of a byte offset, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        position(self.text, at).0
    }

    pub(super) fn add(&mut self, at: usize, key: impl Into<String>, message: impl Into<String>) {
        let (line, column) = position(self.text, at);
        self.found.push(Mistake { line, column, key: key.into(), message: message.into() });
    }

    /// All mistakes by line; those of one line in the order in which they were found.
    pub(super) fn into_sorted(mut self) -> Vec<Mistake> {
        self.found.sort_by_key(|mistake| mistake.line);
        self.found
    }
}

/// One table and the path that leads to it.
#[derive(Debug)]
pub(super) struct Table<'a> {
    path: String,
    start: usize,
    entries: &'a DeTable<'a>,
}

/// A value with its place in the text.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    /// Byte offset.
    pub(super) at: usize,
}

impl<'a> Table<'a> {
    /// Takes a table; keys that it may not have become mistakes.
    pub(super) fn new(
        path: String,
        span: &Range<usize>,
        entries: &'a DeTable<'a>,
        keys: &Keys,
        mistakes: &mut Mistakes<'_>,
    ) -> Self {
        let table = Self { path, start: span.start, entries };
        for key in entries.keys() {
            let name: &str = key.get_ref();
            if keys.known.iter().any(|key| key.name == name) {
                continue;
            }
            let known = keys.names();
            let message = match keys.instead.iter().find(|(tried, _)| *tried == name) {
                Some((_, instead)) => (*instead).to_owned(),
                None => match nearest(name, &known) {
                    Some(near) => format!("unknown key; did you mean \"{near}\"?"),
                    None => format!("unknown key; known are {}", known.join(", ")),
                },
            };
            mistakes.add(key.span().start, table.path_of(name), message);
        }
        table
    }

    /// Byte offset of the table's header.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// The path that leads to it.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The full path of one of its keys.
    pub(super) fn path_of(&self, key: &str) -> String {
        // Keys come from the file: one with a line break must not forge a line of output.
        let key = key.escape_debug();
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// As the headers of its tables name a key: jobs and lists have no names there.
    fn kind_of(&self, key: &str) -> String {
        let above = self.path.split(['.', '[']).next().filter(|above| !above.is_empty());
        above.map_or_else(|| key.to_owned(), |above| format!("{above}.{key}"))
    }

    fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.entries.get(key)
    }

    fn read<T>(
        &self,
        key: &str,
        expected: &str,
        mistakes: &mut Mistakes<'_>,
        take: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
    ) -> Option<At<T>> {
        let value = self.get(key)?;
        let at = value.span().start;
        let taken = take(value.get_ref());
        if taken.is_none() {
            mistakes.add(at, self.path_of(key), format!("expected {expected}, found {}", kind(value.get_ref())));
        }
        taken.map(|value| At { value, at })
    }

    pub(super) fn text(&self, key: &str, mistakes: &mut Mistakes<'_>) -> Option<At<&'a str>> {
        self.read(key, "text in quotes", mistakes, DeValue::as_str)
    }

    pub(super) fn boolean(&self, key: &str, mistakes: &mut Mistakes<'_>) -> Option<At<bool>> {
        self.read(key, "true or false", mistakes, |value| match value {
            DeValue::Boolean(yes) => Some(*yes),
            _ => None,
        })
    }

    /// Text, or a whole number as text: what takes an amount accepts both.
    pub(super) fn amount(&self, key: &str, expected: &str, mistakes: &mut Mistakes<'_>) -> Option<At<String>> {
        self.read(key, expected, mistakes, |value| match value {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
            _ => None,
        })
    }

    pub(super) fn texts(&self, key: &str, mistakes: &mut Mistakes<'_>) -> Option<At<Vec<&'a str>>> {
        self.read(key, "a list of texts like [\"*.tmp\"]", mistakes, |value| match value {
            DeValue::Array(items) => items.iter().map(|item| item.get_ref().as_str()).collect(),
            _ => None,
        })
    }

    /// The names and texts of a table like `{ author = "me" }`.
    pub(super) fn pairs(&self, key: &str, mistakes: &mut Mistakes<'_>) -> Vec<(At<&'a str>, At<&'a str>)> {
        let read = self.read(key, "a table of texts like { author = \"me\" }", mistakes, |value| {
            let pair = |(name, value): (&'a Spanned<_>, &'a Spanned<DeValue<'a>>)| {
                let name: (&'a std::borrow::Cow<'a, str>, usize) = (name.get_ref(), name.span().start);
                let text = value.get_ref().as_str()?;
                Some((At { value: &**name.0, at: name.1 }, At { value: text, at: value.span().start }))
            };
            as_table(value)?.iter().map(pair).collect::<Option<Vec<_>>>()
        });
        read.map(|read| read.value).unwrap_or_default()
    }

    /// A list of texts, or one text or number as a list of one.
    pub(super) fn list_or_amount(
        &self,
        key: &str,
        expected: &str,
        mistakes: &mut Mistakes<'_>,
    ) -> Option<At<Vec<String>>> {
        if matches!(self.get(key).map(Spanned::get_ref), Some(DeValue::Array(_))) {
            return self.read(key, expected, mistakes, |value| match value {
                DeValue::Array(items) => items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect(),
                _ => None,
            });
        }
        self.amount(key, expected, mistakes).map(|one| At { value: vec![one.value], at: one.at })
    }

    /// One of several words.
    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)], mistakes: &mut Mistakes<'_>) -> Option<At<T>> {
        let text = self.text(key, mistakes)?;
        let found = words.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            mistakes.add(text.at, self.path_of(key), format!("{:?} is not one of: {}", text.value, all.join(", ")));
        }
        found.map(|(_, value)| At { value: *value, at: text.at })
    }

    /// A value that `parse` checks.
    pub(super) fn checked<T>(
        &self,
        key: &str,
        expected: &str,
        mistakes: &mut Mistakes<'_>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.amount(key, expected, mistakes)?;
        parse(&text.value).map_err(|message| mistakes.add(text.at, self.path_of(key), message)).ok()
    }

    pub(super) fn table(&self, key: &str, keys: &Keys, mistakes: &mut Mistakes<'_>) -> Option<Table<'a>> {
        let expected = format!("a table like [{}]", self.path_of(key));
        let inner = self.read(key, &expected, mistakes, as_table)?;
        Some(Self::new(self.path_of(key), &(inner.at..inner.at), inner.value, keys, mistakes))
    }

    /// The tables below `[key.NAME]`, with their names.
    pub(super) fn named_tables(
        &self,
        key: &str,
        keys: &Keys,
        mistakes: &mut Mistakes<'_>,
    ) -> Vec<(&'a str, Table<'a>)> {
        let Some(all) = self.read(key, &format!("tables like [{key}.NAME]"), mistakes, as_table) else {
            return Vec::new();
        };
        let outer = Table { path: self.path_of(key), start: all.at, entries: all.value };
        let mut found = Vec::new();
        for name in all.value.keys() {
            let name: &'a str = name.get_ref();
            if let Some(inner) = outer.table(name, keys, mistakes) {
                found.push((name, inner));
            }
        }
        found.sort_by_key(|(_, table)| table.start);
        found
    }

    /// The tables of `[[key]]`. Their path is `key.NAME` by their own key `name`, else `key[N]` counted from 1.
    pub(super) fn list_of_tables(&self, key: &str, keys: &Keys, mistakes: &mut Mistakes<'_>) -> Vec<Table<'a>> {
        let expected = format!("a list of tables, each begun by [[{}]]", self.kind_of(key));
        let items = self.read(key, &expected, mistakes, |value| match value {
            DeValue::Array(items) => {
                items.iter().map(|item| Some((item.span(), as_table(item.get_ref())?))).collect::<Option<Vec<_>>>()
            }
            _ => None,
        });
        let mut found = Vec::new();
        for (index, (span, table)) in items.map(|items| items.value).unwrap_or_default().into_iter().enumerate() {
            let name = table.get("name").and_then(|name| name.get_ref().as_str());
            let path = match name {
                Some(name) => format!("{}.{}", self.path_of(key), name.escape_debug()),
                None => format!("{}[{}]", self.path_of(key), index + 1),
            };
            found.push(Self::new(path, &span, table, keys, mistakes));
        }
        found
    }
}

fn as_table<'a>(value: &'a DeValue<'a>) -> Option<&'a DeTable<'a>> {
    match value {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

/// Line and character of a byte offset, both from 1.
pub(super) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = String::from_utf8_lossy(&text.as_bytes()[..at.min(text.len())]);
    let begin = before.rfind('\n').map_or(0, |at| at + 1);
    (1 + before.matches('\n').count(), 1 + before[begin..].chars().count())
}

/// What a value is, for people. Its content stays out: it may be a secret.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(true) => "true",
        DeValue::Boolean(false) => "false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The word that `typed` most likely meant: at most a third of its letters wrong, swapped, missing or too many.
pub fn nearest<'w>(typed: &str, words: &[&'w str]) -> Option<&'w str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let allowed = typed.chars().count().max(3) / 3;
    let scored = words.iter().map(|word| (distance(&plain(typed), &plain(word)), *word));
    scored.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

/// Edit distance where swapping two neighbours counts once (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_near() {
        let words = ["delete", "destination", "exclude", "max_delete"];
        assert_eq!(nearest("dleete", &words), Some("delete"));
        assert_eq!(nearest("Destinaton", &words), Some("destination"));
        assert_eq!(nearest("max-delete", &words), Some("max_delete"));
        assert_eq!(nearest("colour", &words), None);
    }

    #[test]
    fn distances_count_letters() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("ab", "ba"), 1);
    }
}
