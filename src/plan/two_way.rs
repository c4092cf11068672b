//! The table of a two-way pair: the source is *left*, the destination *right*, and both count alike.

use crate::model::{BaseRecord, Entry, Reason, Sameness, Side, Verb};

use super::Triple;
use super::compare::{self, Moved};
use super::decide::{Context, Decision, delete_at, effective_base, record_only, send};
use super::resolution::by_policy;

pub(super) fn decide(triple: &Triple, context: &Context<'_>) -> Decision {
    match (effective_base(triple), triple.source.entry(), triple.dest.entry()) {
        (None, None, None) if triple.base.is_none() => Decision::InSync,
        (_, None, None) => record_only(triple, Verb::Forget, Reason::GoneOnBothSides, context),
        (None, Some(left), None) => send(triple, context, Side::Dest, left, None, Reason::New),
        (None, None, Some(right)) => send(triple, context, Side::Source, right, None, Reason::New),
        (None, Some(left), Some(right)) => {
            both_changed(triple, context, left, right, "both sides have this key, and they never agreed on it")
        }
        (Some(base), Some(left), Some(right)) => both_present(triple, context, base, left, right),
        (Some(base), Some(left), None) => other_deleted(triple, context, base, Side::Source, left),
        (Some(base), None, Some(right)) => other_deleted(triple, context, base, Side::Dest, right),
    }
}

fn both_present(triple: &Triple, context: &Context<'_>, base: &BaseRecord, left: &Entry, right: &Entry) -> Decision {
    let compare = context.policy.compare;
    let at_left = compare::moved(base, Side::Source, left, &context.evidence.source, compare);
    let at_right = compare::moved(base, Side::Dest, right, &context.evidence.dest, compare);
    match (at_left, at_right) {
        (Moved::No, Moved::No) if !base.lapsed => Decision::InSync,
        (Moved::Ask(need), _) | (_, Moved::Ask(need)) => Decision::Need(need),
        (Moved::No | Moved::Touched, Moved::No | Moved::Touched) => {
            record_only(triple, Verb::Touch, Reason::TouchedOnly, context)
        }
        (Moved::Yes, Moved::No | Moved::Touched) => one_changed(triple, context, Side::Source, left, right),
        (Moved::No | Moved::Touched, Moved::Yes) => one_changed(triple, context, Side::Dest, left, right),
        (Moved::Yes, Moved::Yes) => {
            both_changed(triple, context, left, right, "both sides changed since they last agreed")
        }
    }
}

/// What the base does not know may still be equal: a base without a common digest.
fn one_changed(triple: &Triple, context: &Context<'_>, changed: Side, left: &Entry, right: &Entry) -> Decision {
    match compare::both_same(triple, left, right, context.evidence, context.policy.compare) {
        Err(need) => Decision::Need(need),
        Ok(Sameness::Same) => record_only(triple, Verb::Touch, Reason::TouchedOnly, context),
        Ok(Sameness::Different | Sameness::CannotTell) => {
            let (from, over) = match changed {
                Side::Source => (left, right),
                Side::Dest => (right, left),
            };
            send(triple, context, changed.other(), from, Some(over), Reason::ContentChanged)
        }
    }
}

fn both_changed(triple: &Triple, context: &Context<'_>, left: &Entry, right: &Entry, known: &str) -> Decision {
    match compare::both_same(triple, left, right, context.evidence, context.policy.compare) {
        Err(need) => Decision::Need(need),
        Ok(Sameness::Same) => record_only(triple, Verb::Adopt, Reason::AlreadyThere, context),
        Ok(Sameness::Different) => by_policy(triple, context, known),
        Ok(Sameness::CannotTell) => {
            let told = format!(
                "{known}; the sizes are equal and nothing tells whether the contents are: --compare=download reads both"
            );
            by_policy(triple, context, &told)
        }
    }
}

/// One side has the key, the other one deleted it: unchanged content goes, about changed content the policy decides.
fn other_deleted(triple: &Triple, context: &Context<'_>, base: &BaseRecord, has: Side, entry: &Entry) -> Decision {
    match compare::moved(base, has, entry, context.evidence.of(has), context.policy.compare) {
        Moved::Ask(need) => Decision::Need(need),
        Moved::No | Moved::Touched => delete_at(triple, context, has, entry, Reason::DeletedAtSource),
        Moved::Yes => by_policy(
            triple,
            context,
            match has {
                Side::Source => "changed at the source and deleted at the destination since they last agreed",
                Side::Dest => "deleted at the source and changed at the destination since they last agreed",
            },
        ),
    }
}
