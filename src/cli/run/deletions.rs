//! What a stored plan would take away: the first keys of it, for whoever has to say whether it may.

use std::path::Path;

use crate::cli::human::{self, Colour, Ways};
use crate::manifest::PlanFile;
use crate::model::{Action, Reason, Verb};

/// Keys that are named; the rest is counted.
const NAMED: usize = 10;

/// `It would delete:` and a line a key; of a plan that changes both sides with the side, and then likewise what it would
/// overwrite. `None` if there is nothing of that. Keys that the pair never synced come first, and old names of renamed
/// files do not count. A plan that can't be read says nothing here: carrying it out tells why.
pub(super) fn told(plan: &Path, ways: Ways) -> Option<String> {
    let (_, actions) = PlanFile::read(plan).ok()?;
    let (mut extras, mut synced, mut over) = <(List, List, List)>::default();
    for action in actions.filter_map(Result::ok) {
        match (&action.verb, &action.reason, ways) {
            (Verb::Delete, Reason::Renamed { .. }, _) => {}
            (Verb::Delete, Reason::Extra, _) => extras.add(action),
            (Verb::Delete, ..) => synced.add(action),
            (Verb::Overwrite, _, Ways::Both) => over.add(action),
            _ => {}
        }
    }
    extras.all += synced.all;
    extras.named.append(&mut synced.named);
    extras.named.truncate(NAMED);
    let told = [extras.told("It would delete:", ways), over.told("It would overwrite:", ways)];
    let told: Vec<String> = told.into_iter().flatten().collect();
    (!told.is_empty()).then(|| told.join("\n"))
}

/// The first keys of a kind, and how many there are.
#[derive(Default)]
struct List {
    named: Vec<Action>,
    all: usize,
}

impl List {
    fn add(&mut self, action: Action) {
        self.all += 1;
        if self.named.len() < NAMED {
            self.named.push(action);
        }
    }

    fn told(&self, head: &str, ways: Ways) -> Option<String> {
        let mut lines = vec![head.to_owned()];
        lines.extend(self.named.iter().map(|action| format!("  {}", human::action(action, Colour::Off, ways))));
        if self.all > self.named.len() {
            lines.push(format!("  and {} more", human::count((self.all - self.named.len()) as u64)));
        }
        (self.all > 0).then(|| lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixtures::{action, key};
    use crate::model::Side;

    fn told_of(actions: Vec<Action>, ways: Ways) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.plan");
        PlanFile::write(&path, &serde_json::json!({}), actions.into_iter().map(Ok)).unwrap();
        told(&path, ways)
    }

    #[test]
    fn ten_keys_are_named_the_unknown_ones_first_and_the_rest_counted() {
        let mut actions = vec![action(Verb::Create, Reason::New, 1, "new")];
        actions.push(action(Verb::Delete, Reason::Renamed { from: key("old") }, 1, "old"));
        assert_eq!(told_of(actions.clone(), Ways::One), None);
        actions.extend((0..11).map(|n| action(Verb::Delete, Reason::DeletedAtSource, 1, &format!("synced{n:02}"))));
        actions.push(action(Verb::Delete, Reason::Extra, 2048, "extra\n"));
        let told = told_of(actions, Ways::One).unwrap();
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[..2], ["It would delete:", "  delete       2.0 KiB  extra\\u{a}  (only at destination)"]);
        assert_eq!(lines[10..], ["  delete           1 B  synced08  (deleted at source)", "  and 2 more"]);
    }

    #[test]
    fn of_a_plan_for_both_sides_the_side_is_told_and_what_is_overwritten() {
        let gone = Action { side: Side::Source, ..action(Verb::Delete, Reason::DeletedAtSource, 1, "gone") };
        let changed = action(Verb::Overwrite, Reason::ContentChanged, 2, "changed");
        let told = told_of(vec![changed.clone(), gone], Ways::Both).unwrap();
        let expected = "\
It would delete:
  delete           1 B  gone  (deleted at destination, at the source)
It would overwrite:
  overwrite        2 B  changed  (content changed, at the destination)";
        assert_eq!(told, expected);
        assert_eq!(told_of(vec![changed], Ways::One), None);
    }

    #[test]
    fn a_plan_that_is_not_there_says_nothing() {
        assert_eq!(told(Path::new("/nowhere/x.plan"), Ways::One), None);
    }
}
