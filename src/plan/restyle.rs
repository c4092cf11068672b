//! Whether an object that stays is to get what header rules say.

use std::sync::Arc;

use crate::model::{
    Action, Digests, Entry, Expect, Key, Readable, Reason, Retype, Side, StyleMark, Styles, Verb, Wanted,
};

use super::{Decision, Triple};

/// The header rules of a run.
#[derive(Debug, Clone)]
pub struct Styling {
    /// What they say.
    pub rules: Arc<Styles>,
    /// The side whose objects they are for.
    pub side: Side,
    /// How far what is remembered is believed.
    pub trust: Trust,
}

/// Whether an object is believed to have what it is remembered to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trust {
    /// It is: no request.
    #[default]
    Memory,
    /// `--repair`: each object is looked at.
    Nobody,
}

impl Default for Styling {
    fn default() -> Self {
        Self { rules: Arc::default(), side: Side::Dest, trust: Trust::Memory }
    }
}

/// What is to be done about the style of an object, beside what is decided about its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restyling {
    /// Nothing.
    None,
    /// This.
    Do(Box<Action>),
    /// This, if a look shows that the object does not have it.
    IfDrifted(Box<Action>),
    /// Nothing, because the object can't be changed: it is archived, or that was found out and told before.
    Impossible,
}

/// Says so for one key. What is sent anyway gets its style with its content, and what goes, is not known or in an archive
/// gets none. What can't be changed is tried again by a repair, unless it is seen to be archived.
pub fn restyle(triple: &Triple, decision: &Decision, styling: &Styling) -> Restyling {
    let side = styling.side;
    let stays = match decision {
        Decision::InSync => true,
        Decision::Do(action) => match action.verb {
            Verb::Adopt | Verb::Touch => true,
            Verb::Create | Verb::Overwrite => action.side == side.other(),
            Verb::Copy { .. }
            | Verb::KeepBoth { .. }
            | Verb::Delete
            | Verb::Restyle { .. }
            | Verb::Forget
            | Verb::Lapse => false,
        },
        Decision::Need(_)
        | Decision::Conflict(_)
        | Decision::Problem(_)
        | Decision::Unknown
        | Decision::Extra
        | Decision::Kept
        | Decision::OutOfScope => false,
    };
    let Some(entry) = triple.entry(side).filter(|_| stays) else { return Restyling::None };
    let base = triple.base.as_ref().filter(|base| *base.version(side) == entry.version);
    let ruled = styling.rules.of(&triple.key);
    let had = base.and_then(|base| base.marks.of(side));
    let action = |reason, retype| {
        let verb = Verb::Restyle { mark: ruled.mark.clone(), retype };
        Box::new(Action {
            key: triple.key.clone(),
            side,
            verb,
            reason,
            expect: Expect::Version(entry.version.clone()),
            size: entry.size,
            from: None,
            at: Some(entry.clone()),
            digests: known(triple, decision, entry),
        })
    };
    let is_archived = entry.readable == Readable::Archived;
    match (ruled.wants(had), styling.trust) {
        (Wanted::Change(_) | Wanted::Impossible, _) if is_archived => Restyling::Impossible,
        (Wanted::Impossible, Trust::Memory) => Restyling::Impossible,
        (Wanted::Change(retype), _) if had.is_none() => Restyling::Do(action(Reason::NotKnown, retype)),
        (Wanted::Change(retype), _) => Restyling::Do(action(Reason::RulesSay, retype)),
        (Wanted::Impossible, Trust::Nobody) => Restyling::Do(action(Reason::NotKnown, Retype::Keep)),
        (Wanted::Nothing, Trust::Nobody) if !is_archived && !ruled.style.is_empty() => {
            Restyling::IfDrifted(action(Reason::Drifted, Retype::Keep))
        }
        (Wanted::Nothing, Trust::Nobody | Trust::Memory) => Restyling::None,
    }
}

/// All that is known of the content of the object.
fn known(triple: &Triple, decision: &Decision, entry: &Entry) -> Digests {
    let mut digests = entry.digests.clone();
    if let Decision::Do(action) = decision {
        digests.merge(&action.digests);
    } else if let Some(base) = &triple.base {
        // Nobody changed it.
        digests.merge(&base.digests);
    }
    digests
}

/// Whether an object that is known to have `had` waits for what the rules say.
pub fn waits(styling: &Styling, key: &Key, had: Option<&StyleMark>) -> bool {
    matches!(styling.rules.of(key).wants(had), Wanted::Change(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BaseRecord, Marks, Presence, Style, StyleRule, Version};

    fn rules(cache: &str) -> Arc<Styles> {
        let style = Style { cache_control: Some(cache.to_owned()), ..Style::default() };
        Arc::new(Styles::new(&[StyleRule { glob: "*.jpg".to_owned(), style }]).unwrap())
    }

    fn entry(version: &str) -> Entry {
        Entry {
            size: 1,
            version: Version::new(version),
            modified_ns: None,
            digests: Digests::none(),
            readable: Readable::Yes,
        }
    }

    fn triple(dest: &str, mark: Option<StyleMark>) -> Triple {
        let base = BaseRecord {
            key: Key::new("a.jpg").unwrap(),
            size: 1,
            source: Version::new("s"),
            dest: Version::new("d"),
            digests: Digests::none(),
            lapsed: false,
            marks: Marks::at(Side::Dest, mark),
        };
        Triple {
            key: base.key.clone(),
            base: Some(base),
            source: Presence::Present(entry("s")),
            dest: Presence::Present(entry(dest)),
        }
    }

    fn sends(side: Side) -> Decision {
        let action = Action {
            key: Key::new("a.jpg").unwrap(),
            side,
            verb: Verb::Create,
            reason: Reason::New,
            expect: Expect::Absent,
            size: 1,
            from: None,
            at: None,
            digests: Digests::none(),
        };
        Decision::Do(Box::new(action))
    }

    #[test]
    fn an_object_that_stays_gets_what_it_is_not_known_to_have() {
        let rules = rules("max-age=1");
        let mark = rules.of(&Key::new("a.jpg").unwrap()).mark.clone();
        let styling = Styling { rules, ..Styling::default() };
        let does = |triple: &Triple, decision: &Decision| match restyle(triple, decision, &styling) {
            Restyling::Do(action) => {
                assert_eq!(action.verb, Verb::Restyle { mark: mark.clone(), retype: Retype::Keep });
                let seen = triple.dest.entry().unwrap().version.clone();
                assert_eq!((action.side, &action.expect), (Side::Dest, &Expect::Version(seen)));
                true
            }
            Restyling::None | Restyling::Impossible => false,
            Restyling::IfDrifted(_) => panic!("nobody asked for a look"),
        };
        assert!(does(&triple("d", None), &Decision::InSync));
        assert!(!does(&triple("d", mark.clone()), &Decision::InSync));
        assert!(does(&triple("d", Some(StyleMark::new("other"))), &Decision::InSync));
        assert!(does(&triple("e", mark.clone()), &Decision::InSync), "what is remembered is of another version");
        for decision in [Decision::Unknown, Decision::Extra, Decision::Kept, Decision::OutOfScope, sends(Side::Dest)] {
            assert!(!does(&triple("d", None), &decision), "{decision:?}");
        }
        assert!(does(&triple("d", None), &sends(Side::Source)), "what goes to the other side stays here");
        let mut archived = triple("d", None);
        archived.dest = Presence::Present(Entry { readable: Readable::Archived, ..entry("d") });
        assert_eq!(restyle(&archived, &Decision::InSync, &styling), Restyling::Impossible);
        let known = triple("d", mark.clone());
        archived.base = known.base;
        assert_eq!(restyle(&archived, &Decision::InSync, &styling), Restyling::None, "it has it since before");
        let stuck = triple("d", Some(StyleMark::stuck(mark.as_ref())));
        assert_eq!(restyle(&stuck, &Decision::InSync, &styling), Restyling::Impossible);
        let repair = Styling { trust: Trust::Nobody, ..styling.clone() };
        assert!(matches!(restyle(&stuck, &Decision::InSync, &repair), Restyling::Do(_)), "a repair tries again");
        let other = triple("e", Some(StyleMark::stuck(mark.as_ref())));
        assert!(does(&other, &Decision::InSync), "it was another version that could not be changed");
    }

    #[test]
    fn a_repair_looks_at_what_is_believed_to_be_right_and_at_nothing_that_no_rule_names() {
        let rules = rules("max-age=1");
        let mark = rules.of(&Key::new("a.jpg").unwrap()).mark.clone();
        let styling = Styling { rules, trust: Trust::Nobody, ..Styling::default() };
        let told = restyle(&triple("d", mark.clone()), &Decision::InSync, &styling);
        assert!(matches!(told, Restyling::IfDrifted(action) if action.reason == Reason::Drifted));
        let told = restyle(&triple("d", None), &Decision::InSync, &styling);
        assert!(matches!(told, Restyling::Do(action) if action.reason == Reason::NotKnown));
        let other = Triple { key: Key::new("a.txt").unwrap(), ..triple("d", None) };
        assert_eq!(restyle(&other, &Decision::InSync, &styling), Restyling::None);
    }
}
