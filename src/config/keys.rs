//! The keys that a configuration file may have: what each takes, what holds without it, and what it is for.
//!
//! The parser knows a key by its entry here or in the lists beside the readers, and everything that is told about keys is
//! made from the same entries: docs/config.md, what `config show` shows, and how it hides secrets. A new key is one entry.

use std::fmt::Write as _;

/// The keys that a table may have.
#[derive(Debug)]
pub struct Keys {
    /// What this version reads.
    pub known: &'static [Key],
    /// What people write that there is not, and what to write instead.
    pub instead: &'static [(&'static str, &'static str)],
}

impl Keys {
    /// The names of all.
    pub fn names(&self) -> Vec<&'static str> {
        self.known.iter().map(|key| key.name).collect()
    }
}

/// A key.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// What holds without it.
    pub otherwise: Otherwise,
    /// What it is for: sentences.
    pub meaning: &'static str,
}

/// What a key takes.
#[derive(Debug, Clone, Copy)]
pub enum Takes {
    /// Text.
    Text,
    /// A place, which may carry credentials.
    Place,
    /// Text that is a secret, unless it only says where one is.
    Secret,
    /// A list of texts.
    Texts,
    /// A program and its arguments, which may be secrets.
    Command,
    /// `true` or `false`.
    Boolean,
    /// An amount, a time, a number: what it looks like, as TOML.
    Amount(&'static str),
    /// One of these.
    Word(&'static [&'static str]),
    /// A list of some of these.
    Words(&'static [&'static str]),
    /// A table.
    Table(&'static Keys),
    /// A table for each name.
    Named(&'static Keys),
    /// A list of tables.
    Tables(&'static Keys),
}

/// What holds without a key.
#[derive(Debug, Clone, Copy)]
pub enum Otherwise {
    /// This value, as TOML.
    Value(&'static str),
    /// What this text says.
    Unset(&'static str),
    /// The table is wrong without it.
    Needed,
}

impl Key {
    /// A key.
    pub const fn new(name: &'static str, takes: Takes, otherwise: Otherwise, meaning: &'static str) -> Self {
        Self { name, takes, otherwise, meaning }
    }
}

/// The tables of docs/config.md.
pub fn reference() -> String {
    let mut page = String::new();
    section(&mut page, "", &super::TOP);
    page
}

/// The keys of one table, then the tables in it.
fn section(page: &mut String, path: &str, keys: &Keys) {
    let write = "a String takes any text";
    let inner = |takes| match takes {
        Takes::Table(keys) => Some((keys, "[", "]", "")),
        Takes::Named(keys) => Some((keys, "[", ".NAME]", ".NAME")),
        Takes::Tables(keys) => Some((keys, "[[", "]]", "")),
        _ => None,
    };
    let rows = || keys.known.iter().filter(|key| inner(key.takes).is_none());
    if rows().next().is_some() {
        page.push_str("\n| key | takes | without it | meaning |\n|---|---|---|---|\n");
    }
    for key in rows() {
        let otherwise = match key.otherwise {
            Otherwise::Value(value) => format!("`{value}`"),
            Otherwise::Unset(text) => text.to_owned(),
            Otherwise::Needed => "it is needed".to_owned(),
        };
        let cells = [takes(key.takes), otherwise, key.meaning.to_owned()].map(|cell| cell.replace('|', "\\|"));
        writeln!(page, "| `{}` | {} |", key.name, cells.join(" | ")).expect(write);
    }
    for key in keys.known {
        let Some((keys, opens, closes, more)) = inner(key.takes) else { continue };
        let below = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
        let level = if path.is_empty() { "##" } else { "###" };
        writeln!(page, "\n{level} `{opens}{below}{closes}`\n\n{}", key.meaning).expect(write);
        section(page, &format!("{below}{more}"), keys);
    }
}

fn takes(takes: Takes) -> String {
    let words = |words: &[&str]| words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ");
    match takes {
        Takes::Text => "text".to_owned(),
        Takes::Place => "a place".to_owned(),
        Takes::Secret => "text, `\"env:NAME\"` or `\"credential:NAME\"`".to_owned(),
        Takes::Texts => "a list of texts".to_owned(),
        Takes::Command => "a program and its arguments: `[\"PROGRAM\", \"ARGUMENT\"]`".to_owned(),
        Takes::Boolean => "`true` or `false`".to_owned(),
        Takes::Amount(example) => format!("like `{example}`"),
        Takes::Word(all) => format!("one of {}", words(all)),
        Takes::Words(all) => format!("a list of {}", words(all)),
        Takes::Table(_) | Takes::Named(_) | Takes::Tables(_) => unreachable!("tables have sections of their own"),
    }
}
