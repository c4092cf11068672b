//! What a stored plan would delete: the first keys of it, for whoever has to say whether it may.

use std::path::Path;

use crate::cli::human::{self, Colour, Ways};
use crate::manifest::PlanFile;
use crate::model::{Action, Reason, Verb};

/// Keys that are named; the rest is counted.
const NAMED: usize = 10;

/// `It would delete:` and a line a key; `None` if it deletes nothing. Keys that the pair never synced come first, and
/// old names of renamed files do not count. A plan that can't be read says nothing here: carrying it out tells why.
pub(super) fn told(plan: &Path) -> Option<String> {
    let (_, actions) = PlanFile::read(plan).ok()?;
    let (mut extras, mut synced, mut all) = (Vec::new(), Vec::new(), 0);
    for action in actions.filter_map(Result::ok) {
        let named = match (&action.verb, &action.reason) {
            (Verb::Delete, Reason::Renamed { .. }) => continue,
            (Verb::Delete, Reason::Extra) => &mut extras,
            (Verb::Delete, _) => &mut synced,
            _ => continue,
        };
        all += 1;
        if named.len() < NAMED {
            named.push(action);
        }
    }
    extras.append(&mut synced);
    extras.truncate(NAMED);
    (all > 0).then(|| lines(&extras, all))
}

fn lines(named: &[Action], all: usize) -> String {
    let mut lines = vec!["It would delete:".to_owned()];
    lines.extend(named.iter().map(|action| format!("  {}", human::action(action, Colour::Off, Ways::One))));
    if all > named.len() {
        lines.push(format!("  and {} more", human::count((all - named.len()) as u64)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixtures::{action, key};

    fn told_of(actions: Vec<Action>) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.plan");
        PlanFile::write(&path, &serde_json::json!({}), actions.into_iter().map(Ok)).unwrap();
        told(&path)
    }

    #[test]
    fn ten_keys_are_named_the_unknown_ones_first_and_the_rest_counted() {
        let mut actions = vec![action(Verb::Create, Reason::New, 1, "new")];
        actions.push(action(Verb::Delete, Reason::Renamed { from: key("old") }, 1, "old"));
        assert_eq!(told_of(actions.clone()), None);
        actions.extend((0..11).map(|n| action(Verb::Delete, Reason::DeletedAtSource, 1, &format!("synced{n:02}"))));
        actions.push(action(Verb::Delete, Reason::Extra, 2048, "extra\n"));
        let told = told_of(actions).unwrap();
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[..2], ["It would delete:", "  delete       2.0 KiB  extra\\u{a}  (only at destination)"]);
        assert_eq!(lines[10..], ["  delete           1 B  synced08  (deleted at source)", "  and 2 more"]);
    }

    #[test]
    fn a_plan_that_is_not_there_says_nothing() {
        assert_eq!(told(Path::new("/nowhere/x.plan")), None);
    }
}
