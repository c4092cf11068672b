//! A job of the configuration: what it means as a task, or why it can't run here.

use super::{Aim, Task, override_options, task};
use crate::cli::args::RunArgs;
use crate::cli::failure::Failure;
use crate::cli::place::{End, World, known, told_by_command, written};
use crate::cli::setup::shown;
use crate::config::overlap::{Claim, Relation, Writes, overlaps};
use crate::config::{Job, Mistake};
use crate::location::{self, Location, Overlap};
use crate::model::{Side, StyleRule};
use crate::plan::Raise;
use crate::secret::Secret;

/// A job, or why it can't run; the other jobs go on.
pub type JobTask = (String, Result<Task, Unready>);

/// Why a job can't run here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unready {
    /// Its places can't be found, and nothing else was asked for than what it says itself: a daemon may have the
    /// variables and credentials for it.
    Places(Failure),
    /// Anything else.
    Refused(Failure),
}

impl From<Unready> for Failure {
    fn from(unready: Unready) -> Self {
        match unready {
            Unready::Places(failure) | Unready::Refused(failure) => failure,
        }
    }
}

/// What a job of the configuration means, with what the command line adds.
///
/// # Errors
/// Why it can't run.
pub fn job_task(job: &Job, args: &RunArgs, world: World<'_>) -> Result<Task, Failure> {
    job_task_for(job, job.mode.into(), args, world)
}

/// The same for something else than what the job is for.
///
/// # Errors
/// Why it can't run.
pub fn job_task_for(job: &Job, aim: Aim, args: &RunArgs, world: World<'_>) -> Result<Task, Failure> {
    Ok(ready(job, aim, args, world)?)
}

/// As [`job_task`], and whether somebody else could run it.
pub(super) fn ready(job: &Job, aim: Aim, args: &RunArgs, world: World<'_>) -> Result<Task, Unready> {
    let (source, dest) = job_ends(job, world).map_err(|failure| {
        if adds_nothing(job, args) { Unready::Places(failure) } else { Unready::Refused(failure) }
    })?;
    let task = task("sync", source, dest, aim, job.options.clone(), args).map_err(Unready::Refused)?;
    fit_headers(job, &task).map_err(Unready::Refused)?;
    Ok(Task { job: Some(job.name.clone()), raise: raise(job, args), ..task })
}

/// Whether the command line says no more than the job does.
fn adds_nothing(job: &Job, args: &RunArgs) -> bool {
    let mut options = job.options.clone();
    let is_as_written = override_options(&mut options, args).is_ok() && options == job.options;
    let looks = args.how.dry_run || args.how.save_plan.is_some();
    is_as_written && !looks && args.scope.only.is_none() && args.leave.acl.is_none() && !args.leave.yes
}

/// Rules for headers are for objects, and not every service has all that they may say.
fn fit_headers(job: &Job, task: &Task) -> Result<(), Failure> {
    let Some(problem) = task.options.headers.iter().find_map(|rule| misfit(rule, &task.dest.location)) else {
        return Ok(());
    };
    let (message, hint) = problem;
    let message = format!("job.{}.header (line {}): {message}", job.name, job.line);
    Err(Failure::usage(message).hint(hint))
}

/// What a place can't have of a rule, and what to do.
fn misfit(rule: &StyleRule, dest: &Location) -> Option<(String, &'static str)> {
    const TIERS: [&str; 3] = ["Hot", "Cool", "Cold"];
    let (glob, style, name) = (&rule.glob, &rule.style, dest.display());
    let class = style.storage_class.as_deref();
    match dest {
        Location::Local(_) => {
            let message = format!("the destination {name} is a directory, and files have no headers");
            Some((message, "header rules are for the destination: let that be a bucket or a container, or remove them"))
        }
        Location::S3(_) => {
            let tier = class.filter(|class| TIERS.contains(class))?;
            let message = format!("{glob:?}: {tier} is a tier of Azure, and {name} is a bucket");
            Some((message, "write a storage class like STANDARD_IA or GLACIER_IR"))
        }
        Location::Azure(_) => {
            if style.acl.is_some() {
                let message =
                    format!("{glob:?}: blobs have no ACLs, who may read them is a matter of their container {name}");
                return Some((message, "remove acl, and set the container's public access level at the account"));
            }
            if let Some(class) = class.filter(|class| !TIERS.contains(class)) {
                return Some((format!("{glob:?}: {class} is no tier of Azure"), "write \"Hot\", \"Cool\" or \"Cold\""));
            }
            let starts = |name: &&String| !name.contains('-') && !name.starts_with(|c: char| c.is_ascii_digit());
            let bad = style.metadata.keys().find(|name| !starts(name))?;
            let message = format!("{glob:?}: Azure stores no metadata called {bad:?}");
            Some((message, "write a name of letters, digits and _ that begins with no digit"))
        }
    }
}

/// Where the limits of a job come from.
fn raise(job: &Job, args: &RunArgs) -> Raise {
    if args.leave.max_delete.is_some() || args.leave.max_overwrite.is_some() {
        Raise::ByFlag
    } else if job.daemon.watch || job.daemon.schedule.is_some() {
        Raise::InConfig
    } else {
        Raise::InJob
    }
}

/// Both places of a job, checked against those of all other jobs.
///
/// # Errors
/// Why they can't be used.
pub fn job_ends(job: &Job, world: World<'_>) -> Result<(End, End), Failure> {
    let source = written(&job.source, world).map_err(|failure| of_job(job, "source", failure))?;
    let dest = written(&job.destination, world).map_err(|failure| of_job(job, "destination", failure))?;
    Ok((source, dest))
}

/// What is wrong with a place of a job.
fn of_job(job: &Job, key: &str, failure: Failure) -> Failure {
    let message = format!("job.{}.{key} (line {}): {}", job.name, job.line, failure.message);
    Failure { message, ..failure }
}

/// Why a job could not be run now, as far as that is known without running a command.
pub fn unfound(job: &Job, world: World<'_>) -> Option<Failure> {
    let places = [("source", &job.source), ("destination", &job.destination)];
    places.into_iter().filter(|(_, at)| told_by_command(at, world).is_none()).find_map(|(key, at)| {
        let failure = known(at, world).err()?;
        Some(of_job(job, key, failure))
    })
}

/// Jobs that may not stand side by side, as far as their places can be resolved.
///
/// # Errors
/// All of them.
pub fn check_jobs(world: World<'_>) -> Result<(), Failure> {
    let found = overlapping_jobs(world);
    if found.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = found.iter().map(ToString::to_string).collect();
    Err(Failure::usage(format!("{}: jobs stand in each other's way\n{}", shown(&world.config.path), told.join("\n"))))
}

/// The same, one by one.
pub(in crate::cli) fn overlapping_jobs(world: World<'_>) -> Vec<Mistake> {
    let place = |text: &Secret| known(text, world).ok().map(|end| end.location);
    let claims: Vec<Claim<'_, Location>> = world
        .config
        .jobs
        .iter()
        .map(|job| Claim {
            job: &job.name,
            line: job.line,
            source: place(&job.source),
            destination: place(&job.destination),
            writes: if job.mode.writes().contains(&Side::Source) { Writes::Both } else { Writes::Destination },
        })
        .collect();
    overlaps(&claims, |a, b| match location::overlap(a, b) {
        None => Relation::Apart,
        Some(Overlap::Same) => Relation::Same,
        Some(Overlap::FirstInside | Overlap::SecondInside) => Relation::Nested,
    })
}
