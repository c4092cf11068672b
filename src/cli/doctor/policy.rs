//! `doctor --policy`: what the key or the identity of each place must be allowed, to stdout as it can be attached.

use super::Subject;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::setup::Setup;
use crate::location::Location;
use crate::replica::checkup::Usage;

/// Prints one document a place.
///
/// # Errors
/// A place can't be found, or there is none that takes a policy.
pub(super) fn policy(subjects: Vec<Subject<'_>>, setup: &Setup) -> Result<Exit, Failure> {
    let mut told: Vec<String> = Vec::new();
    for place in subjects.into_iter().flat_map(|subject| subject.places) {
        let (end, usage) = (place.end?, place.usage);
        let (name, text, note) = match &end.location {
            Location::Local(_) => continue,
            Location::S3(address) => (address.display(), address.policy(usage), None),
            Location::Azure(address) => {
                let role = address.role(usage);
                let note = format!("the built-in role \"{}\" does as well, assigned at {}", role.built_in, role.scope);
                (address.display(), role.definition, Some(note))
            }
        };
        // Two jobs may use one place in the same way.
        if told.contains(&text) {
            continue;
        }
        let what = match usage {
            Usage::Read => "to read",
            Usage::Add => "to add to and update",
            Usage::Delete => "to sync, with deletions,",
        };
        setup.output.say(&format!("{what} {name}:"));
        setup.output.data(&text);
        if let Some(note) = note {
            setup.output.say(&note);
        }
        told.push(text);
    }
    if told.is_empty() {
        return Err(Failure::usage("there is no bucket and no container that a policy would be for")
            .hint("name a job, or a place: mediasync doctor --policy s3://BUCKET/PREFIX"));
    }
    Ok(Exit::Done)
}
