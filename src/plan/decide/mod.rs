//! The decision about one key: total, pure, and equal to the tables of ARCHITECTURE.md.

use crate::model::{
    Action, BaseRecord, Conflict, Digests, Entry, Expect, Key, Presence, Problem, ProblemKind, Readable, Reason,
    Sameness, Side, Verb, Verdict,
};

use super::compare::{self, Evidence, Moved, Need};
use super::{Mode, OnConflict, Policy, Triple};

/// What is to be done about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Both sides agree with the base.
    InSync,
    /// Do this.
    Do(Box<Action>),
    /// Find this out and decide again.
    Need(Need),
    /// Both sides changed and no rule says which one wins.
    Conflict(Box<Conflict>),
    /// It can't be handled.
    Problem(Problem),
    /// A side is unknown: nothing is done, the base stays.
    Unknown,
    /// Only at the destination, and left there.
    Extra,
    /// Deleted at the source, and left at the destination.
    Kept,
    /// A rule leaves it out, and there is nothing to remember about it.
    OutOfScope,
}

/// What a decision depends on besides the triple.
pub struct Context<'a> {
    /// What the user asked for.
    pub policy: Policy,
    /// Whether the key is in scope.
    pub scope: Verdict,
    /// What was found out.
    pub evidence: &'a Evidence,
    /// Why a side can't take the key; asked only for keys that would be written there.
    pub refuses: &'a dyn Fn(Side) -> Option<String>,
    /// The name under which the destination's content is kept beside the source's; `None` if no name fits at both sides.
    pub conflict_name: &'a dyn Fn(&Entry) -> Option<Key>,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("policy", &self.policy).field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// Decides about one key.
pub fn decide(triple: &Triple, context: &Context<'_>) -> Decision {
    if matches!(triple.source, Presence::Unknown(_)) || matches!(triple.dest, Presence::Unknown(_)) {
        return Decision::Unknown;
    }
    let skipped = matches!(triple.source, Presence::Skipped(_)) || matches!(triple.dest, Presence::Skipped(_));
    if skipped || context.scope != Verdict::In {
        return out_of_scope(triple);
    }
    match context.policy.mode {
        Mode::Copy | Mode::CopyAndDelete | Mode::Mirror => one_way(triple, context),
        Mode::TwoWay => super::two_way::decide(triple, context),
    }
}

fn out_of_scope(triple: &Triple) -> Decision {
    match &triple.base {
        Some(base) if !base.lapsed => Decision::Do(Box::new(Action {
            key: triple.key.clone(),
            side: Side::Dest,
            verb: Verb::Lapse,
            reason: Reason::OutOfScope,
            expect: Expect::Absent,
            size: base.size,
            from: None,
            at: None,
            digests: Digests::none(),
        })),
        Some(_) | None => Decision::OutOfScope,
    }
}

/// The base as far as it proves something: a lapsed record only does while both sides have the key.
pub(super) fn effective_base(triple: &Triple) -> Option<&BaseRecord> {
    let both = triple.source.entry().is_some() && triple.dest.entry().is_some();
    triple.base.as_ref().filter(|base| both || !base.lapsed)
}

fn one_way(triple: &Triple, context: &Context<'_>) -> Decision {
    let mode = context.policy.mode;
    match (effective_base(triple), triple.source.entry(), triple.dest.entry()) {
        (None, None, None) => match triple.base {
            // Lapsed, and gone on both sides.
            Some(_) => record_only(triple, Verb::Forget, Reason::GoneOnBothSides, context),
            None => Decision::InSync,
        },
        (None, Some(source), None) => send(triple, context, Side::Dest, source, None, Reason::New),
        (None, None, Some(dest)) => match mode {
            Mode::Mirror => delete(triple, context, dest, Reason::Extra),
            Mode::Copy | Mode::CopyAndDelete | Mode::TwoWay => Decision::Extra,
        },
        (None, Some(source), Some(dest)) => clash(triple, context, source, dest),
        (Some(base), Some(source), Some(dest)) => both_present(triple, context, base, source, dest),
        (Some(base), Some(source), None) => {
            let reason =
                if source.version == base.source { Reason::MissingAtDestination } else { Reason::ContentChanged };
            send(triple, context, Side::Dest, source, None, reason)
        }
        (Some(base), None, Some(dest)) => match mode {
            Mode::Copy | Mode::TwoWay => Decision::Kept,
            Mode::CopyAndDelete | Mode::Mirror => source_deleted(triple, context, base, dest),
        },
        (Some(_), None, None) => record_only(triple, Verb::Forget, Reason::GoneOnBothSides, context),
    }
}

fn both_present(triple: &Triple, context: &Context<'_>, base: &BaseRecord, source: &Entry, dest: &Entry) -> Decision {
    let compare = context.policy.compare;
    let at_source = compare::moved(base, Side::Source, source, &context.evidence.source, compare);
    let at_dest = compare::moved(base, Side::Dest, dest, &context.evidence.dest, compare);
    match (at_source, at_dest) {
        (Moved::No, Moved::No) if !base.lapsed => Decision::InSync,
        (Moved::Ask(need), _) | (_, Moved::Ask(need)) => Decision::Need(need),
        (Moved::No | Moved::Touched, Moved::No | Moved::Touched) => {
            record_only(triple, Verb::Touch, Reason::TouchedOnly, context)
        }
        (Moved::Yes, Moved::No | Moved::Touched) => {
            // What the base does not know may still be equal: a base without a common digest.
            match compare::both_same(triple, source, dest, context.evidence, compare) {
                Err(need) => Decision::Need(need),
                Ok(Sameness::Same) => record_only(triple, Verb::Touch, Reason::TouchedOnly, context),
                Ok(Sameness::Different | Sameness::CannotTell) => {
                    send(triple, context, Side::Dest, source, Some(dest), Reason::ContentChanged)
                }
            }
        }
        (Moved::No | Moved::Touched | Moved::Yes, Moved::Yes) => clash(triple, context, source, dest),
    }
}

/// Both sides have the key, and the destination's content is not the base's.
fn clash(triple: &Triple, context: &Context<'_>, source: &Entry, dest: &Entry) -> Decision {
    let told = match compare::both_same(triple, source, dest, context.evidence, context.policy.compare) {
        Err(need) => return Decision::Need(need),
        Ok(told) => told,
    };
    if told == Sameness::Same {
        return record_only(triple, Verb::Adopt, Reason::AlreadyThere, context);
    }
    if source_wins(context.policy) {
        return send(triple, context, Side::Dest, source, Some(dest), Reason::OverwritesChange);
    }
    let known = if triple.base.is_some() {
        "the destination was changed since the last run, and not by this pair"
    } else {
        "both sides have this key, and they never agreed on it"
    };
    let message = match told {
        Sameness::CannotTell => format!(
            "{known}; the sizes are equal and nothing tells whether the contents are: --compare=download reads both, \
             --overwrite lets the source win"
        ),
        Sameness::Different | Sameness::Same => format!("{known}; --overwrite lets the source win"),
    };
    conflict(triple, message)
}

fn source_deleted(triple: &Triple, context: &Context<'_>, base: &BaseRecord, dest: &Entry) -> Decision {
    match compare::moved(base, Side::Dest, dest, &context.evidence.dest, context.policy.compare) {
        Moved::Ask(need) => Decision::Need(need),
        Moved::No | Moved::Touched => delete(triple, context, dest, Reason::DeletedAtSource),
        Moved::Yes if source_wins(context.policy) => delete(triple, context, dest, Reason::DeletesChange),
        Moved::Yes => conflict(
            triple,
            "deleted at the source, but the destination was changed since the last run, and not by this pair; \
             --overwrite lets the source win"
                .to_owned(),
        ),
    }
}

fn source_wins(policy: Policy) -> bool {
    policy.mode == Mode::Mirror || policy.on_conflict == OnConflict::SourceWins
}

pub(super) fn conflict(triple: &Triple, message: String) -> Decision {
    Decision::Conflict(Box::new(Conflict {
        key: triple.key.clone(),
        message,
        source: triple.source.entry().cloned(),
        dest: triple.dest.entry().cloned(),
    }))
}

pub(super) fn problem_of_name(triple: &Triple, why: &str) -> Decision {
    let message = format!("{}: {why}", triple.key);
    Decision::Problem(Problem::of(&triple.key, ProblemKind::Name, message).hint("rename it, or exclude it"))
}

/// Content travels to `side`, over `over` if something is there.
pub(super) fn send(
    triple: &Triple,
    context: &Context<'_>,
    side: Side,
    from: &Entry,
    over: Option<&Entry>,
    reason: Reason,
) -> Decision {
    if let Some(why) = (context.refuses)(side) {
        return problem_of_name(triple, &why);
    }
    if from.readable == Readable::Archived {
        let message = format!("{}: the content is in an archive tier and can't be read now", triple.key);
        return Decision::Problem(
            Problem::of(&triple.key, ProblemKind::Archived, message).hint("restore the object first"),
        );
    }
    Decision::Do(Box::new(Action {
        key: triple.key.clone(),
        side,
        verb: if over.is_some() { Verb::Overwrite } else { Verb::Create },
        reason,
        expect: over.map_or(Expect::Absent, |entry| Expect::Version(entry.version.clone())),
        size: from.size,
        from: Some(from.clone()),
        at: over.cloned(),
        digests: compare::digests_of(from, context.evidence.of(side.other())),
    }))
}

fn delete(triple: &Triple, context: &Context<'_>, dest: &Entry, reason: Reason) -> Decision {
    delete_at(triple, context, Side::Dest, dest, reason)
}

pub(super) fn delete_at(triple: &Triple, context: &Context<'_>, side: Side, entry: &Entry, reason: Reason) -> Decision {
    // What is known of the content, for a deletion that is undone.
    let known = triple.base.as_ref().filter(|base| *base.version(side) == entry.version);
    let mut digests = known.map_or_else(Digests::none, |base| base.digests.clone());
    digests.merge(&compare::digests_of(entry, context.evidence.of(side)));
    Decision::Do(Box::new(Action {
        key: triple.key.clone(),
        side,
        verb: Verb::Delete,
        reason,
        expect: Expect::Version(entry.version.clone()),
        size: entry.size,
        from: None,
        at: Some(entry.clone()),
        digests,
    }))
}

/// Only the manifest changes. Digests of both sides are remembered together: they are of one content.
pub(super) fn record_only(triple: &Triple, verb: Verb, reason: Reason, context: &Context<'_>) -> Decision {
    let (source, dest) = (triple.source.entry(), triple.dest.entry());
    let mut digests = Digests::none();
    if let (Some(source), Some(dest)) = (source, dest) {
        digests = compare::digests_of(source, &context.evidence.source);
        digests.merge(&compare::digests_of(dest, &context.evidence.dest));
        if let Some(base) = triple.base.as_ref().filter(|_| verb == Verb::Touch) {
            digests.merge(&base.digests);
        }
    }
    Decision::Do(Box::new(Action {
        key: triple.key.clone(),
        side: Side::Dest,
        verb,
        reason,
        expect: dest.map_or(Expect::Absent, |entry| Expect::Version(entry.version.clone())),
        size: source.or(dest).map_or(0, |entry| entry.size),
        from: source.cloned(),
        at: dest.cloned(),
        digests,
    }))
}

#[cfg(test)]
mod tests;
