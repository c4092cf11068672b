//! What is in scope: the rules of a task, and those that a directory has of its own.

use std::path::Path;

use super::failure::Failure;
use super::resolve::Task;
use super::setup::shown;
use crate::location::Location;
use crate::model::{Filter, FilterRules, IGNORE_FILE, Rule, parse_ignore};

/// The rules: `.mediasyncignore` at the root of a local side first, so that the job's and the command's come later
/// and win.
pub(super) fn filter(task: &Task) -> Result<Filter, Failure> {
    let mut rules: FilterRules = task.options.filter.clone();
    let own = std::mem::take(&mut rules.rules);
    for end in [&task.source, &task.dest] {
        if let Location::Local(root) = &end.location {
            rules.rules.extend(ignore_file(root)?);
        }
    }
    rules.rules.extend(own);
    Filter::new(rules).map_err(|bad| Failure::usage(bad.to_string()))
}

/// The rules of the `.mediasyncignore` at a root; none without one.
pub(super) fn ignore_file(root: &Path) -> Result<Vec<Rule>, Failure> {
    let path = root.join(IGNORE_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => parse_ignore(&text)
            .map(|(line, rule)| match rule.check() {
                Ok(()) => Ok(rule),
                Err(bad) => Err(Failure::usage(format!("{}, line {line}: {bad}", shown(&path)))),
            })
            .collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        // A rule that can't be read may have been there to protect something.
        Err(error) => Err(Failure::error(format!("can't read {}: {error}", shown(&path)))),
    }
}
