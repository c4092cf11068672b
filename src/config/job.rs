//! `[[job]]`: a pair of places and what is done between them.

use jiff::tz::TimeZone;

use super::daemon::{self, Sides};
use super::table::{At, Keys, Mistakes, Table, nearest};
use super::units::{self, Bare};
use super::{Job, Options, remote};
use crate::location;
use crate::model::{Junk, Rule, Symlinks};
use crate::plan::{Compare, Mode, OnConflict};
use crate::secret::Secret;

pub(super) const KEYS: Keys = Keys {
    known: &[
        "name",
        "source",
        "destination",
        "mode",
        "delete",
        "exclude",
        "include",
        "no_default_excludes",
        "max_delete",
        "max_overwrite",
        "min_size",
        "max_size",
        "concurrency",
        "bwlimit",
        "overwrite",
        "on_conflict",
        "compare",
        "trash",
        "file_mode",
        "dir_mode",
        "owner",
        "reserve",
        "symlinks",
        "timezone",
        "watch",
        "every",
        "cron",
        "max_age",
        "full_scan_interval",
        "full_listing_interval",
        "lease",
    ],
    instead: &[],
};

/// What the rest of the file says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    /// The names of all remotes, broken ones too: each mistake is told once.
    pub(super) remotes: &'a [&'a str],
    /// The zone of jobs that do not say; `None` is the system's.
    pub(super) zone: Option<&'a TimeZone>,
}

/// Reads one job; `None` after a mistake that leaves nothing to run.
///
/// `taken` are the names of the jobs before it, with their lines; its own is added.
pub(super) fn read<'a>(
    table: &Table<'a>,
    around: &Around<'_>,
    taken: &mut Vec<(&'a str, usize)>,
    mistakes: &mut Mistakes<'_>,
) -> Option<Job> {
    let name = required(table, "name", "media", mistakes).map(|name| name.value);
    if let Some(name) = name {
        check_name(name, table, taken, mistakes);
        taken.push((name, mistakes.line(table.start())));
    }
    let source = place(table, "source", "/data/media", around.remotes, mistakes);
    let destination = place(table, "destination", "live:", around.remotes, mistakes);
    let mode = mode(table, mistakes);
    let mut options = options(table, mistakes);
    options.on_conflict = on_conflict(table, mode, mistakes);
    options.timezone = daemon::zone(table, mistakes).or_else(|| around.zone.cloned());
    let sides = Sides { mode, source, destination };
    let daemon = daemon::of_job(table, &sides, options.timezone.as_ref(), mistakes);
    Some(Job {
        name: name?.to_owned(),
        source: Secret::new(source?),
        destination: Secret::new(destination?),
        mode: mode?,
        options,
        daemon,
        line: mistakes.line(table.start()),
    })
}

/// Whether one of its places carries credentials.
pub(super) fn holds_secret(job: &Job) -> bool {
    [&job.source, &job.destination].into_iter().any(|place| remote::holds_userinfo(place.reveal()))
}

/// A place as it is written; the remote that it begins with has to be there.
fn place<'a>(
    table: &Table<'a>,
    key: &str,
    example: &str,
    remotes: &[&str],
    mistakes: &mut Mistakes<'_>,
) -> Option<&'a str> {
    let text = required(table, key, example, mistakes)?;
    if let Some(name) = location::remote_of(text.value).filter(|name| !remotes.contains(name)) {
        let ways = match (nearest(name, remotes), remotes) {
            (Some(near), _) => format!("did you mean \"{near}:\"?"),
            (None, []) => "the file has no [remote.NAME]".to_owned(),
            (None, _) => format!("known are {}", remotes.join(", ")),
        };
        mistakes.add(text.at, table.path_of(key), format!("no remote is called {name:?}; {ways}"));
    }
    Some(text.value)
}

fn required<'a>(table: &Table<'a>, key: &str, example: &str, mistakes: &mut Mistakes<'_>) -> Option<At<&'a str>> {
    let text = table.text(key, mistakes);
    let problem = match &text {
        Some(text) if text.value.trim().is_empty() => "is empty",
        None if !table.has(key) => "is missing",
        _ => return text,
    };
    mistakes.add(table.start(), table.path_of(key), format!("{problem}; write {key} = \"{example}\""));
    None
}

fn check_name(name: &str, table: &Table<'_>, taken: &[(&str, usize)], mistakes: &mut Mistakes<'_>) {
    if !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.')) || name.starts_with('-') {
        let message = "a job's name has letters, digits, -, _ and . only, and does not begin with -";
        mistakes.add(table.start(), table.path_of("name"), message);
    }
    if let Some((_, line)) = taken.iter().find(|(other, _)| *other == name) {
        let message = format!("the job of line {line} has this name too");
        mistakes.add(table.start(), table.path_of("name"), message);
    }
}

fn mode(table: &Table<'_>, mistakes: &mut Mistakes<'_>) -> Option<Mode> {
    let words = [("copy", Mode::Copy), ("mirror", Mode::Mirror), ("two-way", Mode::TwoWay)];
    let delete = table.boolean("delete", mistakes);
    if !table.has("mode") {
        let message = "is missing; write mode = \"copy\" (adds and updates), mode = \"mirror\" (makes the destination \
                       exact) or mode = \"two-way\" (both sides get what the other one changed)";
        mistakes.add(table.start(), table.path_of("mode"), message);
        return None;
    }
    let mode = table.word("mode", &words, mistakes)?;
    match (mode.value, delete) {
        (Mode::TwoWay, Some(delete)) if !delete.value => {
            let message = "a two-way job always deletes what the other side deleted; to keep files use mode = \"copy\"";
            mistakes.add(delete.at, table.path_of("delete"), message);
            None
        }
        (Mode::Copy, Some(delete)) if delete.value => Some(Mode::CopyAndDelete),
        (Mode::Mirror, Some(delete)) if !delete.value => {
            mistakes.add(
                delete.at,
                table.path_of("delete"),
                "a mirror always deletes; to keep files use mode = \"copy\"",
            );
            None
        }
        (mode, _) => Some(mode),
    }
}

fn options(table: &Table<'_>, mistakes: &mut Mistakes<'_>) -> Options {
    let mut options = Options::default();
    let expected = "an amount like \"2MiB\"";
    let amount = |text: &str| units::bytes(text, Bare::Bytes);
    options.filter.rules = rules(table, mistakes);
    if table.boolean("no_default_excludes", mistakes).is_some_and(|take| take.value) {
        options.filter.junk = Junk::Take;
    }
    options.filter.sizes.min = table.checked("min_size", expected, mistakes, amount);
    options.filter.sizes.max = table.checked("max_size", expected, mistakes, amount);
    if let (Some(min), Some(max)) = (options.filter.sizes.min, options.filter.sizes.max)
        && min > max
    {
        mistakes.add(table.start(), table.path_of("min_size"), "is larger than max_size: nothing would be in scope");
    }
    let share = "a number like 100 or a share like \"10%\"";
    if let Some(budget) = table.checked("max_delete", share, mistakes, units::budget) {
        options.max_delete = budget;
    }
    if let Some(budget) = table.checked("max_overwrite", share, mistakes, units::budget) {
        options.max_overwrite = budget;
    }
    if let Some(keep) = table.checked("trash", "a time like \"30d\", or \"off\"", mistakes, units::keep) {
        options.trash = keep;
    }
    if let Some(concurrency) = table.checked("concurrency", "a number", mistakes, units::concurrency) {
        options.concurrency = concurrency;
    }
    options.bwlimit = daemon::bandwidth(table, mistakes);
    let words = [("metadata", Compare::Metadata), ("download", Compare::Download)];
    if let Some(compare) = table.word("compare", &words, mistakes) {
        options.compare = compare.value;
    }
    let expected = "permissions like \"0644\"";
    options.files.file_mode = table.checked("file_mode", expected, mistakes, units::mode);
    options.files.dir_mode = table.checked("dir_mode", "permissions like \"0755\"", mistakes, units::mode);
    options.files.owner = table.checked("owner", "a user like \"www-data:www-data\"", mistakes, units::owner);
    let words = [("skip", Symlinks::Skip), ("follow", Symlinks::Follow), ("store", Symlinks::Store)];
    if let Some(symlinks) = table.word("symlinks", &words, mistakes) {
        options.files.symlinks = symlinks.value;
    }
    options.files.reserve =
        table.checked("reserve", "an amount like \"2GB\"", mistakes, |text| units::bytes(text, Bare::Bytes));
    options
}

/// Who wins where both sides changed: `on_conflict`, or `overwrite`, which is the source's part of it.
fn on_conflict(table: &Table<'_>, mode: Option<Mode>, mistakes: &mut Mistakes<'_>) -> OnConflict {
    let words = [
        ("report", OnConflict::Report),
        ("newer", OnConflict::Newer),
        ("source", OnConflict::SourceWins),
        ("destination", OnConflict::DestWins),
        ("keep-both", OnConflict::KeepBoth),
    ];
    let overwrite = table.boolean("overwrite", mistakes);
    let Some(word) = table.word("on_conflict", &words, mistakes) else {
        let wins = overwrite.is_some_and(|wins| wins.value);
        return if wins { OnConflict::SourceWins } else { OnConflict::Report };
    };
    let mut wrong = |message: &str| mistakes.add(word.at, table.path_of("on_conflict"), message.to_owned());
    match (mode, word.value) {
        (Some(Mode::Mirror), policy) if policy != OnConflict::SourceWins => {
            wrong("in a mirror the source always wins; to keep what the destination changed use mode = \"copy\"");
        }
        (Some(Mode::Copy | Mode::CopyAndDelete), OnConflict::Newer | OnConflict::DestWins | OnConflict::KeepBoth) => {
            wrong("a job that goes one way takes \"report\" or \"source\"; the others need mode = \"two-way\"");
        }
        _ => {}
    }
    if overwrite.is_some_and(|wins| wins.value != (word.value == OnConflict::SourceWins)) {
        wrong("says something else than overwrite; write on_conflict alone");
    }
    word.value
}

/// The globs of `exclude` and `include`: the key that stands first in the file comes first, and the last match wins.
fn rules(table: &Table<'_>, mistakes: &mut Mistakes<'_>) -> Vec<Rule> {
    let mut lists: Vec<(usize, Vec<Rule>)> = Vec::new();
    for key in ["exclude", "include"] {
        let Some(list) = table.texts(key, mistakes) else { continue };
        let rule = if key == "exclude" { Rule::Exclude } else { Rule::Include };
        let rules: Vec<Rule> = list.value.into_iter().map(|glob| rule(glob.to_owned())).collect();
        for bad in rules.iter().filter_map(|rule| rule.check().err()) {
            mistakes.add(list.at, table.path_of(key), bad.to_string());
        }
        lists.push((list.at, rules));
    }
    lists.sort_by_key(|(at, _)| *at);
    lists.into_iter().flat_map(|(_, rules)| rules).collect()
}
