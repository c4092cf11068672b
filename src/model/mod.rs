//! The words of mediasync: plain values without I/O, clock or async.
//!
//! Everything that crosses a border between two stages is defined here, so that a reader who knows this
//! folder can follow every signature. Nothing here imports another module of the crate.

mod action;
mod conflict_name;
mod digest;
mod entry;
mod evidence;
mod filter;
mod junk;
mod key;
mod problem;
mod scope;
mod size;
mod style;
mod symlinks;
mod trash;
mod view;

pub use action::{Action, Counts, Expect, Reason, Side, Verb};
pub use conflict_name::{conflict_name, numbered};
pub use digest::{Digest, DigestKind, Digests, Sameness, hex};
pub use entry::{BaseRecord, Entry, Marks, Presence, Readable, Version, same_content};
pub use evidence::{Namespace, ReadCost, Want};
pub use filter::{
    BadPattern, Filter, FilterRules, IGNORE_FILE, Junk, OWN_PREFIX, Rule, SizeLimits, Verdict, parse_ignore,
};
pub use junk::{
    JUNK_AT_ROOT, JUNK_DIRECTORIES, JUNK_FILES, JunkBy, JunkRow, Letters, Nature, is_apple_double, junk_of, junk_rows,
};
pub use key::{BadKey, Escaped, Key, Reach};
pub use problem::{Conflict, Problem, ProblemKind, SkipReason};
pub use scope::Scope;
pub use size::size;
pub use style::{Retype, Ruled, Style, StyleMark, StyleRule, Styles, Wanted};
pub use symlinks::{LINK_SUFFIX, Symlinks, link_name};
pub use trash::{Keep, Replaced, RunName, TrashRule};
pub use view::{Item, Place};
