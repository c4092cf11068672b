//! Who may read the objects that a run makes, in words.

use crate::cli::failure::Failure;
use crate::cli::resolve::Task;
use crate::location::Location;
use crate::manifest::Manifest;
use crate::plan::Mode;

/// Says that new objects are for everybody: a storage DSN asks for that when it says nothing.
pub(super) fn who_may_read(task: &Task) -> Option<String> {
    public_acl(task).map(everybody_may_read)
}

/// The line about an ACL that is one for everybody.
pub(in crate::cli) fn everybody_may_read(acl: &str) -> String {
    format!("New objects get the ACL {acl}: everybody may read them (--acl private for this run, acl= in the DSN)")
}

/// The ACL that new objects get, if it is one for everybody.
pub fn public_acl(task: &Task) -> Option<&str> {
    let written = task.ends().into_iter().filter(|(side, _)| task.writes.contains(side));
    let mut acl = written.filter_map(|(_, end)| match &end.location {
        Location::S3(address) => address.acl.as_deref(),
        Location::Local(_) | Location::Azure(_) => None,
    });
    acl.find(|acl| acl.starts_with("public-"))
}

/// Says that new objects are not for everybody, where a push to the same DSN would make them so. Once mirrored, a pair is
/// known for what it is; what `--no-delete` brings back says so each time, since pages may wait for it.
pub(super) fn who_may_not_read(task: &Task, manifest: &Manifest) -> Result<Option<String>, Failure> {
    let Some(left) = &task.left_acl else { return Ok(None) };
    if task.mode == Mode::Mirror && manifest.was_mirrored()? {
        return Ok(None);
    }
    Ok(Some(format!(
        "New objects get no ACL: a mirror does not take {left}, which the DSN asks for and a push would give them \
         (--acl {left} for this run, acl = of a remote)"
    )))
}
