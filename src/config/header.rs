//! `[[job.header]]`: what objects are to carry whose keys match a glob.

use std::collections::BTreeMap;

use super::keys::{Key, Keys, Otherwise, Takes};
use super::remote::ACLS;
use super::table::{Mistakes, Table};
use crate::model::{Style, StyleRule};

pub(super) static KEYS: Keys = Keys {
    known: &[
        Key::new("match", Takes::Text, Otherwise::Needed, "Which: a pattern as in `exclude`."),
        Key::new("content_type", Takes::Text, Otherwise::Unset("by the name"), "`Content-Type`."),
        Key::new("cache_control", Takes::Text, NOTHING, "`Cache-Control`."),
        Key::new("content_disposition", Takes::Text, NOTHING, "`Content-Disposition`."),
        Key::new("content_encoding", Takes::Text, NOTHING, "`Content-Encoding`."),
        Key::new("content_language", Takes::Text, NOTHING, "`Content-Language`."),
        Key::new(
            "metadata",
            Takes::Amount("{ owner = \"web\" }"),
            NOTHING,
            "Metadata of these names; other metadata stays.",
        ),
        Key::new("storage_class", Takes::Text, NOTHING, "A class of S3, or `Hot`, `Cool` or `Cold` of Azure."),
        Key::new("acl", Takes::Word(&ACLS), NOTHING, "The canned ACL; S3 only."),
    ],
    instead: &[
        ("glob", "unknown key; write match = \"*.jpg\""),
        ("path", "unknown key; write match = \"*.jpg\""),
        ("expires", "unknown key; write cache_control = \"max-age=SECONDS\", which says the same"),
    ],
};

const NOTHING: Otherwise = Otherwise::Unset("nothing is said");

/// Metadata that digests and times are recorded in: ours, and that of other clients.
const RESERVED: [&str; 6] = ["blake3", "mtime", "mediasync-was", "md5chksum", "s3cmd-attrs", "s3cmd_attrs"];
/// Classes and tiers out of which content must be brought back before it can be read.
const ARCHIVES: [&str; 3] = ["GLACIER", "DEEP_ARCHIVE", "ARCHIVE"];

/// The rules of a job, in the order of the file.
pub(super) fn read(job: &Table<'_>, mistakes: &mut Mistakes<'_>) -> Vec<StyleRule> {
    let tables = job.list_of_tables("header", &KEYS, mistakes);
    tables.iter().filter_map(|table| rule(table, mistakes)).collect()
}

fn rule(table: &Table<'_>, mistakes: &mut Mistakes<'_>) -> Option<StyleRule> {
    let glob = table.text("match", mistakes);
    if glob.is_none() && !table.has("match") {
        mistakes.add(table.start(), table.path_of("match"), "is missing; write match = \"*.jpg\", or \"*\" for all");
    }
    let mut header = |key: &str| {
        let text = table.text(key, mistakes)?;
        value(text.value).map_err(|why| mistakes.add(text.at, table.path_of(key), why)).ok()
    };
    let style = Style {
        content_type: header("content_type"),
        cache_control: header("cache_control"),
        content_disposition: header("content_disposition"),
        content_encoding: header("content_encoding"),
        content_language: header("content_language"),
        metadata: metadata(table, mistakes),
        storage_class: storage_class(table, mistakes),
        acl: acl(table, mistakes),
    };
    if style.content_type.as_deref().is_some_and(|kind| !kind.contains('/')) {
        mistakes.add(table.start(), table.path_of("content_type"), "is no type; write one like \"image/svg+xml\"");
    }
    if !KEYS.known.iter().any(|key| key.name != "match" && table.has(key.name)) {
        let message = "says nothing about what it matches; add cache_control = \"max-age=3600\" or another header";
        mistakes.add(table.start(), table.path(), message);
    }
    let glob = glob?;
    let rule = StyleRule { glob: glob.value.to_owned(), style };
    rule.check().map_err(|bad| mistakes.add(glob.at, table.path_of("match"), bad.to_string())).ok()?;
    Some(rule)
}

/// A header's value: what every service keeps as it is.
fn value(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("is empty; leave the key out to say nothing".to_owned());
    }
    if text.trim() != text {
        return Err("begins or ends with a blank, which services cut; leave that out".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("holds a control character, which no header may; leave it out".to_owned());
    }
    if !text.is_ascii() {
        return Err("holds letters that are not ASCII; write them percent-encoded (in content_disposition: \
                    filename*=UTF-8''na%C3%AFve.pdf)"
            .to_owned());
    }
    Ok(text.to_owned())
}

fn metadata(table: &Table<'_>, mistakes: &mut Mistakes<'_>) -> BTreeMap<String, String> {
    let mut read = BTreeMap::new();
    for (name, text) in table.pairs("metadata", mistakes) {
        let lower = name.value.to_ascii_lowercase();
        let key = format!("{}.{}", table.path_of("metadata"), name.value.escape_debug());
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if RESERVED.contains(&lower.as_str()) {
            mistakes.add(name.at, key, "is reserved for what is recorded of the content; use another name");
        } else if lower.is_empty() || !lower.bytes().all(fits) {
            mistakes.add(name.at, key, "a name of metadata has letters, digits, - and _ only");
        } else {
            match value(text.value) {
                Err(why) => mistakes.add(text.at, key, why),
                Ok(_) if read.contains_key(&lower) => {
                    mistakes.add(name.at, key, "is there twice: capitals do not count; leave one out");
                }
                Ok(text) => drop(read.insert(lower, text)),
            }
        }
    }
    read
}

fn storage_class(table: &Table<'_>, mistakes: &mut Mistakes<'_>) -> Option<String> {
    let class = table.text("storage_class", mistakes)?;
    let word = !class.value.is_empty() && class.value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let why = if !word {
        "is no class; write one like \"STANDARD_IA\", or for Azure \"Cool\""
    } else if ARCHIVES.contains(&class.value.to_ascii_uppercase().as_str()) {
        "content of this class can't be read before it is restored; write \"GLACIER_IR\" (S3) or \"Cold\" (Azure), or let \
         a lifecycle rule of the bucket archive it"
    } else {
        return Some(class.value.to_owned());
    };
    mistakes.add(class.at, table.path_of("storage_class"), why);
    None
}

fn acl(table: &Table<'_>, mistakes: &mut Mistakes<'_>) -> Option<String> {
    let words: Vec<(&str, &str)> = ACLS.iter().map(|acl| (*acl, *acl)).collect();
    table.word("acl", &words, mistakes).map(|acl| acl.value.to_owned())
}
