//! `[[job]]`: a pair of places and what is done between them.

use jiff::tz::TimeZone;

use super::daemon::{self, Sides};
use super::keys::{Key, Keys, Otherwise, Takes};
use super::table::{At, Mistakes, Table, nearest};
use super::units::{self, Bare};
use super::{Job, Options, header, remote};
use crate::location;
use crate::model::{Junk, Rule, Symlinks};
use crate::plan::{Compare, Mode, OnConflict};
use crate::secret::Secret;

pub(super) static KEYS: Keys = Keys {
    known: &[
        Key::new("name", Takes::Text, Otherwise::Needed, "What it is called: letters, digits, `-`, `_` and `.`."),
        Key::new(
            "source",
            Takes::Place,
            Otherwise::Needed,
            "Where content comes from: a path, `s3://BUCKET/PREFIX`, `az://ACCOUNT/CONTAINER/PREFIX`, `NAME:PATH` \
             of a remote, or `env:NAME` for a DSN in a variable. Relative paths start from the file's directory.",
        ),
        Key::new("destination", Takes::Place, Otherwise::Needed, "Where it goes, written as `source`."),
        Key::new(
            "mode",
            Takes::Word(&["copy", "mirror", "two-way"]),
            Otherwise::Needed,
            "`copy` adds and updates; `mirror` makes the destination exact: what the source does not have is \
             deleted there; `two-way` gives each side what the other one changed or deleted since the last run.",
        ),
        Key::new(
            "delete",
            Takes::Boolean,
            Otherwise::Value("false"),
            "With `copy`: whether what is deleted at the source since the last run is deleted at the destination \
             too.",
        ),
        Key::new(
            "exclude",
            Takes::Texts,
            Otherwise::Unset("nothing is left out but junk"),
            "What is left out, as globs: [filters.md](filters.md). Rules apply in the order in which they stand \
             in the file, the key that comes first first; the last match wins.",
        ),
        Key::new("include", Takes::Texts, Otherwise::Unset("as for `exclude`"), "What is taken all the same."),
        Key::new(
            "no_default_excludes",
            Takes::Boolean,
            Otherwise::Value("false"),
            "Whether certain junk (`.DS_Store`, `Thumbs.db`, ...) is taken too.",
        ),
        Key::new(
            "max_delete",
            Takes::Amount("100` or `\"10%\""),
            Otherwise::Unset("a budget of the pair over 24 hours"),
            "How many files one run may delete before it stops and asks: a number, or a share.",
        ),
        Key::new(
            "max_overwrite",
            Takes::Amount("100` or `\"10%\""),
            Otherwise::Unset("a budget of the pair over 24 hours"),
            "The same for what it overwrites.",
        ),
        Key::new("min_size", Takes::Amount("\"1KiB\""), Otherwise::Unset("all"), "Only files of at least this size."),
        Key::new("max_size", Takes::Amount("\"5GiB\""), Otherwise::Unset("all"), "Only files of at most this size."),
        Key::new("concurrency", Takes::Amount("32"), Otherwise::Value("32"), "Transfers at the same time."),
        Key::new(
            "bwlimit",
            daemon::BWLIMIT,
            Otherwise::Unset("no limit"),
            "Bytes per second; a unit is required. Or by the time of day: the first entry that has the time wins, \
             and the last one, without times, holds for the rest; `off` is no limit.",
        ),
        Key::new(
            "overwrite",
            Takes::Boolean,
            Otherwise::Unset("`on_conflict` says it"),
            "The same as `on_conflict = \"source\"`, if it is true.",
        ),
        Key::new(
            "on_conflict",
            Takes::Word(&["report", "newer", "source", "destination", "keep-both"]),
            Otherwise::Value("\"report\""),
            "What happens where both sides changed a file, or one deleted what the other one changed. `report`: \
             it is told and left alone; `mediasync resolve` settles it. `source`: what the source did wins; a \
             mirror always does that. With `two-way` also: `destination`; `newer`: what was modified later wins \
             (at least 2 seconds, by the clocks of both sides; a deletion loses); `keep-both`: the source keeps \
             the name, and the destination's content gets another one, at both sides.",
        ),
        Key::new(
            "compare",
            Takes::Word(&["metadata", "download"]),
            Otherwise::Value("\"metadata\""),
            "Where metadata can't tell whether two files are equal: `metadata` reports a conflict, `download` \
             reads them.",
        ),
        Key::new(
            "trash",
            Takes::Amount("\"30d\"` or `\"off\""),
            Otherwise::Value("\"30d\""),
            "How long content is kept at its side that a run deletes, or replaces though somebody else changed it \
             (with `mirror` and `two-way`: all that it replaces): [backup.md](backup.md).",
        ),
        Key::new(
            "file_mode",
            Takes::Amount("\"0644\""),
            Otherwise::Unset("what the umask leaves"),
            "Permissions of new files, where the destination is a directory. A replaced file keeps its own.",
        ),
        Key::new(
            "dir_mode",
            Takes::Amount("\"0755\""),
            Otherwise::Unset("what the umask leaves"),
            "Permissions of new directories.",
        ),
        Key::new(
            "owner",
            Takes::Amount("\"www-data:www-data\""),
            Otherwise::Unset("the user that runs this"),
            "User and group of new files and directories. Another one needs root.",
        ),
        Key::new(
            "reserve",
            Takes::Amount("\"2GB\""),
            Otherwise::Unset("500MB, or a hundredth of the disk if that is more"),
            "What stays free on the disk of a destination.",
        ),
        Key::new(
            "symlinks",
            Takes::Word(&["skip", "follow", "store"]),
            Otherwise::Value("\"skip\""),
            "Symbolic links in a directory: left out, taken for what they lead to, or kept as files that name it: \
             [symlinks.md](symlinks.md).",
        ),
        Key::new(
            "timezone",
            daemon::ZONE,
            Otherwise::Unset("that of `[daemon]`, else the system's"),
            "The zone of `bwlimit` and `cron`.",
        ),
        Key::new(
            "watch",
            Takes::Boolean,
            Otherwise::Value("false"),
            "Whether the daemon acts on changes of a directory as they happen: the source, or a side of a \
             `two-way` job.",
        ),
        Key::new(
            "every",
            Takes::Amount("\"15m\""),
            Otherwise::Unset("no schedule"),
            "The daemon runs it so long after the last start. A run that was missed is made up at the start.",
        ),
        Key::new(
            "cron",
            Takes::Amount("\"0 3 * * *\""),
            Otherwise::Unset("no schedule"),
            "Instead of `every`: minute, hour, day of the month, month and day of the week (0 and 7 are Sunday), \
             by the clock of `timezone`. Missed runs are made up once. Where clocks are changed, a time that is \
             skipped runs at the change, and one that comes twice runs once; a line for every hour goes on hour \
             by hour.",
        ),
        Key::new(
            "max_age",
            Takes::Amount("\"26h\""),
            Otherwise::Unset(
                "the longest time between two runs and half of it, at least 10 minutes and at most 12 hours more",
            ),
            "How long ago the job may last have been in sync before `/healthz` fails.",
        ),
        Key::new(
            "full_scan_interval",
            Takes::Amount("\"1h\""),
            Otherwise::Value("\"1h\""),
            "With `watch`: how often the directory is looked at as a whole, in case a change was not seen.",
        ),
        Key::new(
            "full_listing_interval",
            Takes::Amount("\"24h\""),
            Otherwise::Value("\"24h\""),
            "With `watch`: how often the other side is listed.",
        ),
        Key::new(
            "lease",
            Takes::Boolean,
            Otherwise::Value("false"),
            "Whether it changes something only while it holds the lease of the pair, an object in the bucket: for \
             one configuration on several hosts, which take over from one another.",
        ),
        Key::new(
            "header",
            Takes::Tables(&header::KEYS),
            Otherwise::Unset("no rules"),
            "What objects at the destination carry besides their bytes: [headers.md](headers.md). Rules apply in the order \
             in which they stand; for each key of a rule the last one that matches wins.",
        ),
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
    options.headers = header::read(table, mistakes);
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
