//! Who may read what a run stores: told before it begins, as far as it is stated and known to have an effect.

use std::path::Path;

use crate::cli::failure::Failure;
use crate::cli::pairs;
use crate::cli::resolve::{Task, Wish};
use crate::location::Location;
use crate::manifest::Manifest;
use crate::plan::Mode;
use crate::replica::s3::{PUBLIC_BY_BUCKET, S3Address};

/// Says that new objects are for everybody: a storage DSN asks for that when it says nothing.
pub(super) fn who_may_read(task: &Task, state_dir: &Path) -> Option<String> {
    let (address, acl) = made_public(task)?;
    match (without_effect(address, acl, state_dir), &task.run) {
        // It says so itself before it writes there.
        (Some(_), Wish::Execute) => None,
        (Some(found), Wish::DryRun | Wish::SavePlan(_)) => Some(format!("{found}. {PUBLIC_BY_BUCKET}")),
        (None, _) => Some(everybody_may_read(acl)),
    }
}

/// The line about an ACL that is one for everybody.
pub(in crate::cli) fn everybody_may_read(acl: &str) -> String {
    format!("New objects get the ACL {acl}: everybody may read them (--acl private for this run, acl= in the DSN)")
}

/// The ACL that new objects get, if it is one for everybody and is not known to be ignored there.
pub fn public_acl<'a>(task: &'a Task, state_dir: &Path) -> Option<&'a str> {
    let (address, acl) = made_public(task)?;
    without_effect(address, acl, state_dir).is_none().then_some(acl)
}

/// Why an ACL is known to have no effect at a place.
fn without_effect(address: &S3Address, acl: &str, state_dir: &Path) -> Option<String> {
    let canonical = address.canonical();
    let probe = pairs::probe_of(state_dir, |known| known == canonical);
    address.without_effect(acl, probe.and_then(|text| serde_json::from_str(&text).ok()).as_ref())
}

/// The ACL that is stated for new objects, if it is one for everybody.
fn made_public(task: &Task) -> Option<(&S3Address, &str)> {
    let written = task.ends().into_iter().filter(|(side, _)| task.writes.contains(side));
    let mut acls = written.filter_map(|(_, end)| match &end.location {
        Location::S3(address) => Some((address, address.acl.as_deref()?)),
        Location::Local(_) | Location::Azure(_) => None,
    });
    acls.find(|(_, acl)| acl.starts_with("public-"))
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
