//! Commands in what is printed: each is a line that a POSIX shell takes as it stands, and that finds the same place,
//! configuration and state again.
//!
//! What no shell takes (control characters, which a terminal must not get either) is shown escaped: such a line names
//! nothing, and never something else.

use std::fmt::Write as _;

use super::human::{self, Ways};
use crate::manifest::Pair;
use crate::model::{Key, RunName};
use crate::replica::access::Access;

/// A text as one word: in quotes only where a shell needs them.
pub fn word(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        if is_hidden(c) {
            write!(shown, "{}", c.escape_unicode()).expect("writing to a String does not fail");
        } else {
            shown.push(c);
        }
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/:._-=@%+,".contains(c);
    // Some shells look `=name` up.
    if !shown.is_empty() && !shown.starts_with('=') && shown.chars().all(plain) {
        shown
    } else {
        format!("'{}'", shown.replace('\'', "'\\''"))
    }
}

/// A path or a key as one word that is no flag.
pub fn path(text: &str) -> String {
    if text.starts_with('-') && text != "-" { word(&format!("./{text}")) } else { word(text) }
}

/// A place as one word, without what is secret in a DSN.
pub fn place(text: &str) -> String {
    path(&crate::dsn::redact(text))
}

/// A key as one word; `None` if it can't be pasted.
pub fn key(key: &Key) -> Option<String> {
    let text = key.as_str();
    (!text.chars().any(is_hidden)).then(|| path(text))
}

/// What `resolve` calls a pair and its sides.
#[derive(Debug, Clone)]
pub enum Settled {
    /// A job says which side is the source.
    Job(String),
    /// Of a pair without a job the last run said it, and the next one may go the other way: its sides are named by their
    /// places, the source first.
    Pair(String, String, String),
}

impl Settled {
    /// `None` if a place can't be named without a secret.
    pub fn of(job: Option<&str>, pair: &Pair, spelled: (Option<&str>, Option<&str>)) -> Option<Self> {
        match (job, spelled) {
            (Some(job), _) => Some(Self::Job(job.to_owned())),
            (None, (Some(source), Some(dest))) => {
                Some(Self::Pair(pair.id().to_owned(), source.to_owned(), dest.to_owned()))
            }
            (None, _) => None,
        }
    }

    /// What it calls the pair.
    pub fn handle(&self) -> &str {
        match self {
            Self::Job(handle) | Self::Pair(handle, ..) => handle,
        }
    }

    /// The command that settles the conflict of `file`, a word already.
    pub fn resolve(&self, file: &str, ways: Ways, repeated: &str) -> String {
        let (handle, source, dest) = match self {
            Self::Job(job) => (word(job), "source".to_owned(), "destination".to_owned()),
            Self::Pair(id, source, dest) => (word(id), place(source), place(dest)),
        };
        let both = match ways {
            Ways::One => "",
            Ways::Both => ", or both",
        };
        format!("mediasync resolve {handle} {file} --take {source}{repeated} (or {dest}{both})")
    }
}

/// Where something was kept, as `trash restore` takes it.
#[derive(Debug, Clone, Copy)]
pub enum Kept<'a> {
    /// Where the trash of a job is: at its destination, or at both sides of a two-way one.
    ByJob(&'a str),
    /// At the source of a one-way job.
    AtSource(&'a str),
    /// At a place.
    At {
        /// How a command names it; `None` if that would hold a secret.
        spelled: Option<&'a str>,
        /// How people call it.
        shown: &'a str,
    },
}

impl Kept<'_> {
    /// The command that puts back what a run took away.
    pub fn restore(self, run: &RunName, repeated: &str) -> String {
        let (place, with) = self.place();
        format!("mediasync trash restore {place} --run {run}{repeated}{}", told(with))
    }

    /// The same of a mirror, and what has to be said beside it. Its source has lost what was kept too, and what comes back at
    /// the copy alone is gone again with the next run: so it is sent there as well. Not by itself what was never there:
    /// nobody may have meant it for those who read that place.
    pub fn restore_of_mirror(self, origin: &Origin<'_>, run: &RunName, repeated: &str) -> (String, Option<String>) {
        let shown = origin.shown;
        let undone = format!("the next run undoes that, or asks to, as long as {shown} does not hold the same");
        if origin.access == Access::ReadOnly {
            return (self.restore(run, repeated), Some(format!("{undone}, and it is read-only")));
        }
        if origin.unshared > 0 {
            let files = human::files(origin.unshared);
            let to = origin
                .spelled
                .map_or_else(|| format!("--to with the DSN of {shown}"), |to| format!("--to {}", place(to)));
            return (
                self.restore(run, repeated),
                Some(format!("{undone}; {to} puts it there too, with {files} that it is not known to have had")),
            );
        }
        (self.restore_to(origin, run, repeated), None)
    }

    /// The same of a push from a directory, which has lost what was kept too: somebody deleted it there, by mistake if it is
    /// to come back.
    pub fn restore_of_push(self, origin: &Origin<'_>, run: &RunName, repeated: &str) -> (String, Option<String>) {
        if origin.access == Access::ReadOnly || origin.unshared >= origin.kept {
            return (self.restore(run, repeated), None);
        }
        if origin.unshared == 0 {
            return (self.restore_to(origin, run, repeated), None);
        }
        let (shown, files) = (origin.shown, human::files(origin.unshared));
        let to = origin.spelled.map_or_else(|| path(shown), place);
        let note = format!(
            "{shown} stays as it is; --to {to} puts it there too, with {files} that it is not known to have had"
        );
        (self.restore(run, repeated), Some(note))
    }

    /// The command that puts back what a run took away, and sends it on.
    fn restore_to(self, origin: &Origin<'_>, run: &RunName, repeated: &str) -> String {
        let (at, with) = self.place();
        let (to, there) = match origin.spelled {
            Some(to) => (place(to), None),
            None => ("env:SOURCE".to_owned(), Some(format!("the DSN of {} in the variable SOURCE", origin.shown))),
        };
        let with: Vec<String> = with.into_iter().chain(there).collect();
        format!("mediasync trash restore {at} --run {run} --to {to}{repeated}{}", told(with))
    }

    /// The place in such a command, and what has to be there for it.
    fn place(self) -> (String, Option<String>) {
        match self {
            Self::ByJob(job) => (word(job), None),
            Self::AtSource(job) => (format!("{} --side source", word(job)), None),
            Self::At { spelled: Some(spelled), .. } => (place(spelled), None),
            // Its DSN was typed or came from standard input, and is written nowhere.
            Self::At { spelled: None, shown } => {
                ("env:NAME".to_owned(), Some(format!("the DSN of {shown} in the variable NAME")))
            }
        }
    }
}

fn told(with: impl IntoIterator<Item = String>) -> String {
    let with: Vec<String> = with.into_iter().collect();
    if with.is_empty() { String::new() } else { format!(" (with {})", with.join(" and ")) }
}

/// Where a run copied from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// How a command names it; `None` if that would hold a secret.
    pub spelled: Option<&'a str>,
    /// How people call it.
    pub shown: &'a str,
    /// What may be done to it.
    pub access: Access,
    /// How many files were kept.
    pub kept: u64,
    /// How many of them it never had.
    pub unshared: u64,
}

/// What a terminal acts on, or what makes a name read as another one.
fn is_hidden(c: char) -> bool {
    let bidi = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || bidi
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_takes_each_word_as_it_was_meant() {
        for text in
            ["a b", "it's", "$HOME", "`id`", "a\\b", "\"", "*", "~", "#a", "", "=ls", "{a,b}", "!x", "a;b", "é", "a&b"]
        {
            let line = format!("printf %s {}", word(text));
            let out = Command::new("/bin/sh").args(["-c", &line]).output().unwrap();
            assert_eq!(String::from_utf8(out.stdout).unwrap(), text, "{line}");
        }
    }

    #[test]
    fn what_a_mirror_took_away_comes_back_at_both_places_without_a_secret() {
        let run = RunName::new(1_700_000_000_000_000_000, 1);
        let origin = Origin { spelled: None, shown: "s3://live", access: Access::Write, kept: 3, unshared: 0 };
        let kept = Kept::At { spelled: None, shown: "s3://backup" };
        let (way, note) = kept.restore_of_mirror(&origin, &run, " --state-dir s");
        let with = "(with the DSN of s3://backup in the variable NAME and the DSN of s3://live in the variable SOURCE)";
        let expected = format!("mediasync trash restore env:NAME --run {run} --to env:SOURCE --state-dir s {with}");
        assert_eq!((way, note), (expected, None));
        let origin = Origin { unshared: 2, ..origin };
        let (way, note) = Kept::ByJob("my backup").restore_of_mirror(&origin, &run, "");
        assert_eq!(way, format!("mediasync trash restore 'my backup' --run {run}"));
        let note = note.unwrap();
        assert!(
            note.ends_with(
                "--to with the DSN of s3://live puts it there too, with 2 files that it is not known to have had"
            ),
            "{note}"
        );
    }

    #[test]
    fn what_a_push_took_away_comes_back_in_its_directory_but_not_what_that_never_had() {
        let run = RunName::new(1_700_000_000_000_000_000, 1);
        let origin = Origin { spelled: Some("/data"), shown: "/data", access: Access::Write, kept: 3, unshared: 0 };
        let way = |origin| Kept::ByJob("media").restore_of_push(&origin, &run, "");
        let plain = format!("mediasync trash restore media --run {run}");
        assert_eq!(way(origin), (format!("{plain} --to /data"), None));
        let note = "/data stays as it is; --to /data puts it there too, with 1 file that it is not known to have had";
        assert_eq!(way(Origin { unshared: 1, ..origin }), (plain.clone(), Some(note.to_owned())));
        assert_eq!(way(Origin { unshared: 3, ..origin }), (plain.clone(), None));
        assert_eq!(way(Origin { access: Access::ReadOnly, ..origin }), (plain, None));
    }

    #[test]
    fn what_needs_no_quotes_gets_none() {
        for text in ["media", "/srv/media/a-b_c.jpg", "s3://bucket/x", "env:NAME", "a=b", "10%"] {
            assert_eq!(word(text), text);
        }
        assert_eq!((path("-x"), path("-"), path("a")), ("./-x".into(), "-".into(), "a".into()));
        assert_eq!(place("s3://KEY:secret@host/b"), "'s3://***@host/b'");
        assert_eq!(word("a\nb"), "'a\\u{a}b'");
        assert_eq!(key(&Key::new("a\nb").unwrap()), None);
    }
}
