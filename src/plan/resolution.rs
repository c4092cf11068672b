//! Who wins where both sides changed: the ways to settle it, and what each does about the key.

use crate::model::{Entry, ReadCost, Reason, Side, Verb};

use super::compare::{Known, Need};
use super::decide::{Context, Decision, conflict, delete_at, problem_of_name, send};
use super::{OnConflict, Triple};

/// Times that differ by less do not tell which content is newer: FAT counts in steps of two seconds, object stores in
/// whole ones, and clocks are never set better than that.
pub const UNDECIDABLE_NS: u64 = 2_000_000_000;

/// One way to settle a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// What the source has, also that it has nothing.
    Source,
    /// What the destination has, also that it has nothing.
    Destination,
    /// Both contents; the destination's gets another name.
    Both,
}

/// Settles a key in one way, whatever the base says.
pub fn settle(triple: &Triple, context: &Context<'_>, take: Take) -> Decision {
    match (take, triple.source.entry(), triple.dest.entry()) {
        (_, None, None) => Decision::InSync,
        (Take::Source, Some(left), over) => onto(triple, context, Side::Dest, left, over),
        (Take::Destination, over, Some(right)) => onto(triple, context, Side::Source, right, over),
        (Take::Source, None, Some(right)) => delete_at(triple, context, Side::Dest, right, Reason::DeletesChange),
        (Take::Destination, Some(left), None) => delete_at(triple, context, Side::Source, left, Reason::DeletesChange),
        (Take::Both, Some(left), Some(right)) => keep_both(triple, context, left, right),
        // There is one content: both sides get it.
        (Take::Both, Some(left), None) => send(triple, context, Side::Dest, left, None, Reason::ContentChanged),
        (Take::Both, None, Some(right)) => send(triple, context, Side::Source, right, None, Reason::ContentChanged),
    }
}

fn onto(triple: &Triple, context: &Context<'_>, side: Side, from: &Entry, over: Option<&Entry>) -> Decision {
    let reason = if over.is_some() { Reason::OverwritesChange } else { Reason::ContentChanged };
    send(triple, context, side, from, over, reason)
}

/// The source's content stays under the key: no clock says which one is newer. The destination's gets a name of its own,
/// at both sides.
fn keep_both(triple: &Triple, context: &Context<'_>, left: &Entry, right: &Entry) -> Decision {
    let back = send(triple, context, Side::Source, right, Some(left), Reason::BothKept);
    let there = send(triple, context, Side::Dest, left, Some(right), Reason::BothKept);
    match (there, back) {
        (Decision::Do(mut action), Decision::Do(_)) => match (context.conflict_name)(right) {
            Some(kept_as) => {
                action.verb = Verb::KeepBoth { kept_as };
                Decision::Do(action)
            }
            None => problem_of_name(triple, "no name for a second content fits at both sides"),
        },
        // One of the contents can't be read or stored.
        (Decision::Do(_), other) | (other, _) => other,
    }
}

/// Both sides changed to different contents.
pub(super) fn by_policy(triple: &Triple, context: &Context<'_>, message: &str) -> Decision {
    match context.policy.on_conflict {
        OnConflict::Report => conflict(triple, message.to_owned()),
        OnConflict::SourceWins => settle(triple, context, Take::Source),
        OnConflict::DestWins => settle(triple, context, Take::Destination),
        OnConflict::KeepBoth => settle(triple, context, Take::Both),
        OnConflict::Newer => match (triple.source.entry(), triple.dest.entry()) {
            (Some(left), Some(right)) => newer(triple, context, left, right, message),
            // A deletion has no time. The content stays.
            _ => settle(triple, context, Take::Both),
        },
    }
}

/// The only place where the clocks of both sides are compared.
fn newer(triple: &Triple, context: &Context<'_>, left: &Entry, right: &Entry, message: &str) -> Decision {
    let (at_left, at_right) = (&context.evidence.source, &context.evidence.dest);
    for (side, known) in [(Side::Source, at_left), (Side::Dest, at_right)] {
        // A listing tells when an object was stored; a look-up, when its content was made.
        if known.cost == ReadCost::Transfer && !known.looked_up {
            return Decision::Need(Need::LookUp(side));
        }
    }
    let time = |entry: &Entry, known: &Known| known.modified_ns.or(entry.modified_ns);
    match (time(left, at_left), time(right, at_right)) {
        (Some(left), Some(right)) if left.abs_diff(right) >= UNDECIDABLE_NS => {
            settle(triple, context, if left > right { Take::Source } else { Take::Destination })
        }
        _ => conflict(triple, format!("{message}; their times of modification do not tell which one is newer")),
    }
}
