//! `doctor`: why something does not work, one line a check, each with what to do about it.
//!
//! Asks each thing once and does not try again. What it writes is what the first contact with a place writes too, and only
//! where the remote, the job and the command line allow it.

use super::exit::Exit;
use super::failure::Failure;
use super::interrupt::or_interrupted;
use super::output::Output;
use super::place::{End, World, end, named};
use super::resolve;
use super::setup::Setup;
use crate::config::Job;
use crate::location::Location;
use crate::model::Side;
use crate::plan::Mode;
use crate::replica::access::Access;
use crate::replica::checkup::{Finding, Tries, Usage};

pub mod args;
mod directory;
mod host;
mod machine;
mod network;
mod policy;
mod store;
mod told;

use told::Told;

/// Where the platforms have the storage of a project.
const DEFAULT: &str = "env:DEFAULT_STORAGE_DSN";

/// One place that is looked at.
struct Place {
    side: Option<Side>,
    /// As it was written, for where it comes from.
    text: String,
    end: Result<End, Failure>,
    usage: Usage,
    /// An ACL that header rules of the job give to objects there; one for everybody, if there is one.
    ruled_acl: Option<String>,
}

/// A job with its two places, or a place.
struct Subject<'a> {
    job: Option<&'a Job>,
    places: Vec<Place>,
}

/// `doctor [JOB|LOCATION]`.
///
/// # Errors
/// An unknown job.
pub async fn doctor(args: &args::Doctor, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let subjects = subjects(args.subject.as_deref(), world)?;
    if args.policy {
        return policy::policy(subjects, setup);
    }
    or_interrupted(Box::pin(check(args, subjects, setup, world))).await
}

/// The configuration can't be used, which is what there is to tell.
pub(super) fn without_config(failure: &Failure, output: &Output) -> Exit {
    let mut told = Told::new(output);
    let fix = failure.hints.first().cloned().unwrap_or_else(|| "Correct the file; every mistake is named".to_owned());
    told.tell(None, None, &Finding::fail("config", failure.in_a_line(), fix));
    told.end()
}

fn subjects<'a>(text: Option<&str>, world: World<'a>) -> Result<Vec<Subject<'a>>, Failure> {
    let Some(text) = text else {
        if world.config.jobs.is_empty() && (world.env)("DEFAULT_STORAGE_DSN").is_some() {
            return Ok(vec![alone(DEFAULT, world)]);
        }
        return Ok(world.config.jobs.iter().map(|job| of_job(job, world)).collect());
    };
    if let Some(job) = world.config.job(text) {
        return Ok(vec![of_job(job, world)]);
    }
    resolve::refuse_a_variable(text, world)?;
    if resolve::is_a_bare_name(text, world) {
        let unknown = resolve::unknown_job(text, world);
        return Err(unknown.hint(format!("a directory is written ./{text}")));
    }
    Ok(vec![alone(text, world)])
}

/// A place by itself is looked at as a push with deletions would use it.
fn alone<'a>(text: &str, world: World<'a>) -> Subject<'a> {
    let end = end(text, world);
    let is_read_only = end.as_ref().is_ok_and(|end| end.access == Access::ReadOnly);
    let usage = if is_read_only { Usage::Read } else { Usage::Delete };
    Subject { job: None, places: vec![Place { side: None, text: text.to_owned(), end, usage, ruled_acl: None }] }
}

fn of_job<'a>(job: &'a Job, world: World<'a>) -> Subject<'a> {
    let sides = [(Side::Source, &job.source), (Side::Dest, &job.destination)].into_iter().map(|(side, text)| {
        let mut end = super::place::written(text, world);
        if let (Ok(End { location: Location::S3(address), acl, .. }), Mode::Mirror) = (&mut end, job.mode) {
            // A mirror does not take the ACL of a DSN.
            address.acl.clone_from(acl);
        }
        let ruled_acl = (side == Side::Dest).then(|| ruled_acl(job)).flatten();
        Place { side: Some(side), text: text.reveal().to_owned(), end, usage: usage(job.mode, side), ruled_acl }
    });
    Subject { job: Some(job), places: sides.collect() }
}

/// The ACL of the rules that makes most public.
fn ruled_acl(job: &Job) -> Option<String> {
    let stated = || job.options.headers.iter().filter_map(|rule| rule.style.acl.as_ref());
    stated().find(|acl| acl.starts_with("public-")).or_else(|| stated().next()).cloned()
}

/// What a run of a mode does at a side.
fn usage(mode: Mode, side: Side) -> Usage {
    match (mode, mode.writes().contains(&side)) {
        (_, false) => Usage::Read,
        (Mode::Copy, true) => Usage::Add,
        (Mode::CopyAndDelete | Mode::Mirror | Mode::TwoWay, true) => Usage::Delete,
    }
}

/// Whether tiny objects may be written to a place.
fn tries(place: &Place, end: &End, args: &args::Doctor) -> Tries {
    let remote = end.remote.as_deref().unwrap_or_default();
    match (end.access, place.usage) {
        (_, Usage::Read) => Tries::Forbidden("it is only read".to_owned()),
        (Access::ReadOnly, _) => Tries::Forbidden(format!("remote.{remote} says access = \"read-only\"")),
        (Access::Confirm, _) => Tries::Forbidden(format!("remote.{remote} says access = \"confirm\"")),
        (Access::Write, _) if args.no_write => Tries::Forbidden("-n was given".to_owned()),
        (Access::Write, _) => Tries::Allowed,
    }
}

async fn check(args: &args::Doctor, subjects: Vec<Subject<'_>>, setup: &Setup, world: World<'_>) -> Exit {
    let mut told = Told::new(&setup.output);
    for finding in machine::machine(setup, world).await {
        told.tell(None, None, &finding);
    }
    for subject in &subjects {
        let job = subject.job.map(|job| &*job.name);
        for place in &subject.places {
            let name = match &place.end {
                Ok(end) => end.location.display(),
                Err(_) => crate::dsn::redact(&place.text).escape_debug().to_string(),
            };
            told.begin(job, place.side, &name);
            for finding in of_place(place, subject.job, args, setup, world).await {
                told.tell(job, Some(&name), &finding);
            }
        }
        if let Some(job) = subject.job {
            told.tell(Some(&job.name), None, &machine::pair(job, setup, world).await);
        }
    }
    told.end()
}

async fn of_place(
    place: &Place,
    job: Option<&Job>,
    args: &args::Doctor,
    setup: &Setup,
    world: World<'_>,
) -> Vec<Finding> {
    let end = match &place.end {
        Ok(end) => end,
        Err(failure) => {
            let fix = failure.hints.first().cloned();
            let fix = fix.unwrap_or_else(|| "Write the place as config.example.toml has it".to_owned());
            return vec![Finding::fail("dsn", failure.in_a_line(), fix)];
        }
    };
    let mut findings = Vec::new();
    if let (Access::ReadOnly, Some(_), true) = (end.access, job, place.usage != Usage::Read) {
        let remote = end.remote.as_deref().unwrap_or_default();
        findings.push(Finding::fail(
            "access",
            format!("the job writes there, and remote.{remote} says access = \"read-only\""),
            "Allow it with access = \"write\" or \"confirm\", or let the job go the other way",
        ));
    }
    match &end.location {
        Location::Local(path) => findings.extend(directory::directory(path, place, job).await),
        Location::S3(_) | Location::Azure(_) => {
            let tries = tries(place, end, args);
            let remote = named(&place.text, world).map(|(name, _)| name);
            findings.extend(store::store(end, (place, remote), &tries, setup, world).await);
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_job_does_at_a_side_follows_from_its_mode() {
        use Mode::{Copy, CopyAndDelete, Mirror, TwoWay};
        for mode in [Copy, CopyAndDelete, Mirror] {
            assert_eq!(usage(mode, Side::Source), Usage::Read);
        }
        assert_eq!(usage(Copy, Side::Dest), Usage::Add);
        for (mode, side) in
            [(CopyAndDelete, Side::Dest), (Mirror, Side::Dest), (TwoWay, Side::Dest), (TwoWay, Side::Source)]
        {
            assert_eq!(usage(mode, side), Usage::Delete);
        }
    }
}
