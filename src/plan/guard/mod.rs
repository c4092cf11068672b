//! The guard: whether a complete plan may be executed without asking a person.
//!
//! Pure: the caller gathers the numbers, the guard compares. It answers with the first reason that it finds, the
//! most alarming ones first.

use crate::model::{Counts, size};

use super::{Budget, Mode, Raise};

/// Deletions that are always within the sliding budget.
const DELETIONS_FLOOR: u64 = 50;
/// Share of the base's keys, and of its bytes, that may be deleted in 24 hours.
const DELETIONS_PERCENT: u64 = 10;
/// Overwrites that are always within the sliding budget, and the share of the base's keys: where the source is what
/// counts.
const OVERWRITES: (u64, u64) = (500, 50);
/// The same for a two-way pair: damage of either side would spread to the other one, which is nobody's backup.
const OVERWRITES_BOTH_WAYS: (u64, u64) = (50, 10);
/// Keys of a base below which half of them is everyday work.
const HANDFUL: u64 = 10;

/// What the guard looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Situation {
    /// How the sides relate.
    pub mode: Mode,
    /// How much of the pair the run looks at.
    pub range: Range,
    /// How much may be deleted.
    pub budget: Budget,
    /// How much may be overwritten.
    pub overwrites: Budget,
    /// How a person allows more.
    pub raise: Raise,
    /// What the plan would do.
    pub planned: Counts,
    /// Keys of the base in the run's range, without lapsed ones.
    pub base_keys: u64,
    /// Their bytes.
    pub base_bytes: u64,
    /// The sides whose losses may become deletions: the source of a one-way run, both of a two-way one.
    pub watched: Vec<Watched>,
    /// Spent in the last 24 hours, this run not counted.
    pub spent: Spent,
    /// Sides that are not who they were.
    pub strangers: Vec<Stranger>,
    /// A person has approved a mirror of this pair before.
    pub mirror_approved: bool,
    /// The last mirror of this pair went the other way: the side that it was made from, and that this one would change.
    pub turned: Option<String>,
    /// How a command names the source and the destination.
    pub places: (String, String),
}

/// A side whose losses may become deletions at the other one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// How the message calls it, in the middle of a sentence.
    pub name: String,
    /// Keys seen there.
    pub keys: u64,
    /// Keys of the base that it still has (or can't be told about).
    pub of_base: u64,
    /// Old names, gone there, of files that have another name there now.
    pub renamed: u64,
    /// What else the plan deletes at the other side.
    pub deletes: u64,
    /// What the plan overwrites at the other side with what this one has.
    pub overwrites: u64,
}

/// How much of a pair a run looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// All of it.
    Whole,
    /// `--only`: a part says nothing about the whole.
    Part,
}

/// What a pair's runs did in a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Keys deleted.
    pub deletes: u64,
    /// Their bytes.
    pub delete_bytes: u64,
    /// Keys overwritten.
    pub overwrites: u64,
}

/// A side whose identity changed since the pair's last run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// How people call the side.
    pub name: String,
    /// What kind of place it is, for the message.
    pub place: Place,
}

/// What kind of place a side is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A directory.
    Directory,
    /// A bucket prefix.
    Bucket,
}

/// The guard's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardVerdict {
    /// Go on.
    Proceed,
    /// Change nothing; tell a person why.
    Halt(String),
}

/// Looks at a complete plan.
pub fn check(situation: &Situation) -> GuardVerdict {
    let reasons = [
        stranger(situation),
        emptied(situation),
        shrunk(situation),
        turned(situation),
        first_mirror(situation),
        deletions(situation),
        replaced(situation),
        overwrites(situation),
    ];
    reasons.into_iter().flatten().next().map_or(GuardVerdict::Proceed, GuardVerdict::Halt)
}

/// Another directory or bucket behind the name: the base says nothing about it.
fn stranger(situation: &Situation) -> Option<String> {
    let stranger = situation.strangers.first()?;
    let all_there = situation.base_keys > 0 && situation.watched.iter().all(|side| side.of_base == situation.base_keys);
    if situation.range == Range::Whole && all_there && situation.planned.changes() == 0 {
        return None;
    }
    let what = match stranger.place {
        Place::Directory => "is not the directory of the last run (another disk or directory is at this path now)",
        Place::Bucket => "is not the place of the last run (its id object is missing or another one)",
    };
    Some(format!(
        "{} {what}. If a disk is not mounted or the name is wrong, mend that and run again; if the change is meant, \
         approve this plan",
        stranger.name
    ))
}

/// Halts whatever the plan says: an empty side is a disk that is not mounted more often than a wish.
fn emptied(situation: &Situation) -> Option<String> {
    let side = situation.watched.iter().find(|side| side.keys == 0).filter(|_| situation.base_keys > 0)?;
    let meant = if situation.planned.is_nothing() { "there is nothing to do" } else { "approve this plan" };
    Some(format!(
        "{} is empty, but held {} at the last run. If it is not mounted, mount it and run again; {}if it is meant to be \
         empty, {meant}",
        sentence(&side.name),
        keys(situation.base_keys),
        repair(situation).map_or_else(String::new, |way| format!("if it lost them, {way}; "))
    ))
}

fn shrunk(situation: &Situation) -> Option<String> {
    if situation.budget != Budget::Sliding {
        return None;
    }
    let base_keys = situation.base_keys;
    let half_gone = |side: &&Watched| side.deletes > 0 && side.of_base.saturating_add(side.renamed) * 2 < base_keys;
    let side = situation.watched.iter().find(half_gone).filter(|_| base_keys >= HANDFUL)?;
    Some(format!(
        "Only {} of {} of the last run are still at {}. {}",
        side.of_base,
        keys(base_keys),
        side.name,
        match repair(situation) {
            None => "If that is meant, approve this plan".to_owned(),
            Some(way) => format!("If it lost them, {way}; if that is meant, approve this plan"),
        }
    ))
}

/// What to do instead where the source has lost what the copy still has: the plan would take it from there too.
fn repair(situation: &Situation) -> Option<String> {
    let (source, dest) = &situation.places;
    (situation.mode == Mode::Mirror).then(|| {
        format!(
            "approve nothing: the copy has them, and mediasync mirror {dest} {source} --no-delete brings back what is missing"
        )
    })
}

/// A backup that is mirrored over what it is a backup of: two places that were swapped, more often than a wish.
fn turned(situation: &Situation) -> Option<String> {
    let origin = situation.turned.as_ref().filter(|_| situation.planned.changes() > 0)?;
    Some(format!(
        "{origin} is what mirrors of this pair were made from until now, and this run would make it like its copy: were \
         the places swapped? If it is meant, to restore it, look at the plan with --dry-run and approve it; to bring back what \
         is missing or damaged and delete nothing, use mediasync mirror --no-delete"
    ))
}

fn first_mirror(situation: &Situation) -> Option<String> {
    let extras = situation.planned.extra_deletes;
    (extras > 0 && !situation.mirror_approved).then(|| {
        format!(
            "The destination holds {} that the source does not have and that this pair never synced; a mirror deletes \
             them. Look at the plan with --dry-run; if they may go, approve it. From then on mirrors of this pair delete such keys without asking, within the budgets",
            keys(extras)
        )
    })
}

fn deletions(situation: &Situation) -> Option<String> {
    let planned = situation.planned.deletes - situation.planned.rename_deletes;
    if planned == 0 {
        return None;
    }
    let known = situation.base_keys.max(1);
    match situation.budget {
        Budget::ThisRun(limit) => {
            let allowed = limit.of(situation.base_keys);
            let what = format!("The plan deletes {}", keys(planned));
            (planned > allowed).then(|| too_many(situation, &what, allowed, "max-delete"))
        }
        Budget::Daily(limit) => {
            let (allowed, total) = (limit.of(situation.base_keys), planned + situation.spent.deletes);
            (total > allowed).then(|| {
                format!(
                    "The plan deletes {}, which makes {} in 24 hours; max_delete of the job allows {allowed}. If that is \
                     meant, {}",
                    keys(planned),
                    keys(total),
                    way(situation, "max-delete")
                )
            })
        }
        Budget::Sliding => {
            let allowed = DELETIONS_FLOOR.max(known * DELETIONS_PERCENT / 100);
            let total = planned + situation.spent.deletes;
            // The floor in keys is a floor in bytes too, at the mean size of a key: in a small library one file
            // is more than a tenth of the bytes.
            let mean = situation.base_bytes / known;
            let allowed_bytes = (situation.base_bytes * DELETIONS_PERCENT / 100).max(mean * DELETIONS_FLOOR);
            let bytes = situation.planned.bytes_deleted + situation.spent.delete_bytes;
            let over = if total > allowed {
                format!("{} in 24 hours; the budget of this pair is {allowed}", keys(total))
            } else if bytes > allowed_bytes {
                format!("{} in 24 hours; the budget of this pair is {}", size(bytes), size(allowed_bytes))
            } else {
                return None;
            };
            Some(format!(
                "The plan deletes {}, which makes {over}. If that is meant, {}",
                keys(planned),
                way(situation, "max-delete")
            ))
        }
    }
}

/// More than half of a two-way pair gets other content from one side: a restored old backup, or files that something
/// encrypted, more often than a wish. It says so where a library is too small for the budget.
fn replaced(situation: &Situation) -> Option<String> {
    let base_keys = situation.base_keys;
    if situation.mode != Mode::TwoWay || situation.overwrites != Budget::Sliding || base_keys < HANDFUL {
        return None;
    }
    let side = situation.watched.iter().find(|side| side.overwrites * 2 > base_keys)?;
    Some(format!(
        "{} of {} have other content at {} than at the last run, and would be overwritten at the other side. If that \
         is meant, {}; if that side was damaged, put it right first",
        side.overwrites,
        keys(base_keys),
        side.name,
        way(situation, "max-overwrite")
    ))
}

fn overwrites(situation: &Situation) -> Option<String> {
    let planned = situation.planned.overwrites;
    if planned == 0 {
        return None;
    }
    if let Budget::ThisRun(limit) = situation.overwrites {
        let allowed = limit.of(situation.base_keys);
        let what = format!("The plan overwrites {}", keys(planned));
        return (planned > allowed).then(|| too_many(situation, &what, allowed, "max-overwrite"));
    }
    if let Budget::Daily(limit) = situation.overwrites {
        let (allowed, total) = (limit.of(situation.base_keys), planned + situation.spent.overwrites);
        let why = format!(
            "The plan overwrites {}, which makes {total} in 24 hours; max_overwrite of the job allows {allowed}. If that \
             is meant, {}",
            keys(planned),
            way(situation, "max-overwrite")
        );
        return (total > allowed).then_some(why);
    }
    let (floor, percent) = match situation.mode {
        Mode::TwoWay => OVERWRITES_BOTH_WAYS,
        Mode::Copy | Mode::CopyAndDelete | Mode::Mirror => OVERWRITES,
    };
    let allowed = floor.max(situation.base_keys * percent / 100);
    let total = planned + situation.spent.overwrites;
    (total > allowed).then(|| {
        format!(
            "The plan overwrites {}{}, which makes {total} in 24 hours; the budget of this pair is {allowed}. If that \
             is meant, {}",
            keys(planned),
            whence(situation),
            way(situation, "max-overwrite")
        )
    })
}

/// More than the limit that a person set for a run.
fn too_many(situation: &Situation, what: &str, allowed: u64, flag: &str) -> String {
    match situation.raise {
        Raise::ByFlag => format!("{what}; --{flag} allows {allowed}"),
        Raise::InJob | Raise::InConfig => {
            let (key, way) = (flag.replace('-', "_"), way(situation, flag));
            format!("{what}; {key} of the job allows {allowed}. If that is meant, {way}")
        }
    }
}

/// How a person says that it is meant. `flag` without its dashes; the key of the configuration has the same name.
fn way(situation: &Situation, flag: &str) -> String {
    match situation.raise {
        Raise::ByFlag => format!("approve this plan or give --{flag}"),
        Raise::InJob => {
            format!("approve this plan, give --{flag} for this run, or set {} of the job", flag.replace('-', "_"))
        }
        Raise::InConfig => format!(
            "approve this plan, or set {} of the job and let the daemon read it (systemctl reload, or kill -HUP)",
            flag.replace('-', "_")
        ),
    }
}

/// Which side of a two-way pair the new content comes from.
fn whence(situation: &Situation) -> String {
    let from = situation.watched.iter().filter(|side| side.overwrites > 0);
    match (situation.mode, from.collect::<Vec<_>>().as_slice()) {
        (Mode::TwoWay, [one]) => format!(" with what changed at {}", one.name),
        (Mode::TwoWay, [one, other]) => {
            let (a, b) = (one.overwrites, other.overwrites);
            format!(" with what changed at {} ({a}) and at {} ({b})", one.name, other.name)
        }
        _ => String::new(),
    }
}

/// A name at the beginning of a sentence; only our own words get a capital.
fn sentence(name: &str) -> String {
    name.strip_prefix("the ").map_or_else(|| name.to_owned(), |rest| format!("The {rest}"))
}

fn keys(count: u64) -> String {
    if count == 1 { "1 key".to_owned() } else { format!("{count} keys") }
}

#[cfg(test)]
mod tests;
