//! What was typed, with the configuration, becomes [`Task`]s: what is meant. Prints nothing and contacts nobody; the
//! environment and the disk come in as closures.

use std::path::{Path, PathBuf};

use super::args::{Mirror, Pull, Push, RunArgs, Sync};
use super::failure::Failure;
use super::place::{End, World, end, named};
use super::shell;
use crate::config::{Job, Options};
use crate::location::{self, Found, Location};
use crate::model::{Junk, Key, Replaced, Side, TrashRule};
use crate::plan::{Mode, OnConflict, Raise, Trust};
use crate::replica::local::Parents;

mod aim;
mod daemon;
mod job;
mod typed;

pub use aim::{Aim, Made};
use aim::{Sure, may_change};
pub(in crate::cli) use aim::{refuse_overlap, set_acl};
pub use daemon::daemon_jobs;
pub(in crate::cli) use job::overlapping_jobs;
pub use job::{JobTask, Unready, check_jobs, job_ends, job_task, job_task_for, unfound};
pub(in crate::cli) use typed::{
    bucket_without_scheme, is_a_bare_name, refuse_a_bare_name, refuse_a_variable, unknown_job,
};
use typed::{known_remotes, looks_like_a_place, no_jobs, no_target};

/// Whether anything is to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// `--dry-run`.
    DryRun,
    /// `--save-plan`.
    SavePlan(PathBuf),
    /// Neither.
    Execute,
}

/// One pair and what is to be done with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The command, for the journal of runs.
    pub command: &'static str,
    /// The job, if it is one of the configuration.
    pub job: Option<String>,
    /// Where content comes from.
    pub source: End,
    /// Where it goes.
    pub dest: End,
    /// How the sides relate.
    pub mode: Mode,
    /// The sides that may be changed.
    pub writes: &'static [Side],
    /// As what that is made which it makes.
    pub made: Made,
    /// The ACL that a DSN asks for, which a mirror does not take.
    pub left_acl: Option<String>,
    /// What is in scope, allowed, and how fast.
    pub options: Options,
    /// `--only`.
    pub only: Option<Key>,
    /// Whether anything is changed.
    pub run: Wish,
    /// Whether a person must be asked first, about which remotes.
    pub confirm: Option<String>,
    /// How a person allows more deletions and overwrites.
    pub raise: Raise,
    /// Whether objects are believed to have the headers that they are remembered to have.
    pub trust: Trust,
}

impl Task {
    /// Its places, each with its side.
    pub fn ends(&self) -> [(Side, &End); 2] {
        [(Side::Source, &self.source), (Side::Dest, &self.dest)]
    }

    /// What is kept of what the run deletes or replaces. A mirror's destination is the last place that has what it
    /// replaces; what one side of a two-way job lost by mistake must not be gone from the other one as well.
    pub fn trash(&self) -> TrashRule {
        let replaced = match (self.made, self.mode) {
            (Made::Mirrored, _) | (_, Mode::Mirror | Mode::TwoWay) => Replaced::All,
            (Made::Pushed, Mode::Copy | Mode::CopyAndDelete) => Replaced::Changes,
        };
        TrashRule { keep: self.options.trash, replaced }
    }
}

/// `push [LOCAL] REMOTE`.
///
/// # Errors
/// What to type instead.
pub fn push(args: &Push, world: World<'_>) -> Result<Task, Failure> {
    let (source, dest) = match (&args.first, &args.second) {
        (None, _) => return Err(no_target("push needs a target", world)),
        (Some(place), None) => {
            let only = end(place, world)?;
            refuse_a_bare_name(place, world)?;
            if is_remote(place, &only, world) {
                let way = format!("mediasync push DIRECTORY {}{}", shell::place(place), world.repeated);
                (default_local("push", &way, world)?, only)
            } else {
                let what = format!("push needs a target: {} is a local directory", only.location.display());
                return Err(no_target(&what, world));
            }
        }
        (Some(local), Some(remote)) => {
            let ends = (end(local, world)?, end(remote, world)?);
            refuse_a_bare_name(remote, world)?;
            ends
        }
    };
    if !matches!(source.location, Location::Local(_)) {
        let message = format!("push sends a local directory, and {} is none", source.location.display());
        let hint = "write the directory first: mediasync push DIRECTORY REMOTE; the other way is mediasync pull";
        return Err(Failure::usage(message).hint(hint));
    }
    task("push", source, dest, copy(args.delete).into(), Options::default(), &args.run)
}

/// `pull [REMOTE] [LOCAL]`.
///
/// # Errors
/// What to type instead.
pub fn pull(args: &Pull, world: World<'_>) -> Result<Task, Failure> {
    let (source, dest) = match (&args.first, &args.second) {
        (None, _) => {
            let source = default_remote("pull needs a remote", world)?;
            (source, default_target("mediasync pull REMOTE DIRECTORY", world)?)
        }
        (Some(place), None) => {
            let only = end(place, world)?;
            refuse_a_variable(place, world)?;
            if is_remote(place, &only, world) {
                let way = format!("mediasync pull {} DIRECTORY{}", shell::place(place), world.repeated);
                (only, default_target(&way, world)?)
            } else {
                let what = format!("pull needs a remote: {} is a local directory", only.location.display());
                (default_remote(&what, world)?, only)
            }
        }
        (Some(remote), Some(local)) => {
            let ends = (end(remote, world)?, end(local, world)?);
            refuse_a_bare_name(remote, world)?;
            ends
        }
    };
    if !matches!(dest.location, Location::Local(_)) {
        let message = format!("pull fills a local directory, and {} is none", dest.location.display());
        let hint = "write the remote first: mediasync pull REMOTE DIRECTORY; the other way is mediasync push";
        return Err(Failure::usage(message).hint(hint));
    }
    task("pull", source, dest, copy(args.delete).into(), Options::default(), &args.run)
}

fn copy(delete: bool) -> Mode {
    if delete { Mode::CopyAndDelete } else { Mode::Copy }
}

/// The media directory that a pull fills. That of a project may be missing: it is no part of what is checked out.
fn default_target(way: &str, world: World<'_>) -> Result<End, Failure> {
    let Some(media) = world.project.map(|root| root.join("data/media")) else {
        return default_local("pull", way, world);
    };
    match default_local("pull", way, world) {
        Err(_) if (world.found)(&media) == Found::Nothing => {
            let text = media.to_str().ok_or_else(|| Failure::usage("the project's path is not UTF-8").hint(way))?;
            Ok(End { parents: Parents::Made, ..end(text, world)? })
        }
        found => found,
    }
}

/// The project's media directory, which has to be there: what is left out must not make a new one somewhere.
fn default_local(command: &str, way: &str, world: World<'_>) -> Result<End, Failure> {
    let local = location::default_local(world.project, &|path| (world.found)(path) == Found::Directory);
    let local = local.to_str().unwrap_or_default();
    if (world.found)(Path::new(local)) != Found::Directory {
        let message = format!("{command} needs a local directory: there is neither ./data/media nor /data/media");
        return Err(Failure::usage(message).hint(way));
    }
    end(local, world)
}

/// The storage that the platform gives to a project.
fn default_remote(message: &str, world: World<'_>) -> Result<End, Failure> {
    const NAME: &str = "DEFAULT_STORAGE_DSN";
    if (world.env)(NAME).is_some() {
        return end(&format!("env:{NAME}"), world);
    }
    let failure = Failure::usage(format!("{message}, and the variable {NAME} is not set"));
    Err(known_remotes(failure, "mediasync pull s3://BUCKET/PREFIX [LOCAL] or env:NAME", world))
}

/// `mirror SRC DST`.
///
/// # Errors
/// What to type instead.
pub fn mirror(args: &Mirror, world: World<'_>) -> Result<Task, Failure> {
    let (source, dest) = (end(&args.source, world)?, end(&args.destination, world)?);
    [&args.source, &args.destination].into_iter().try_for_each(|text| refuse_a_bare_name(text, world))?;
    if !args.no_delete {
        return task("mirror", source, dest, Mode::Mirror.into(), Options::default(), &args.run);
    }
    // The source wins, and what the destination has besides stays: such a run says nothing about which side is the copy.
    let options = Options { on_conflict: OnConflict::SourceWins, ..Options::default() };
    task("mirror", source, dest, Aim { made: Made::Mirrored, ..Mode::Copy.into() }, options, &args.run)
}

/// `sync [JOB...]`: each job, or why it can't run.
///
/// # Errors
/// What is wrong with the command as a whole.
pub fn sync(args: &Sync, world: World<'_>) -> Result<Vec<JobTask>, Failure> {
    let jobs = match jobs(&args.jobs, world) {
        Err(_) if matches!(&args.jobs[..], [a, b] if looks_like_a_place(a) && looks_like_a_place(b)) => {
            let places = format!("{} {}{}", shell::place(&args.jobs[0]), shell::place(&args.jobs[1]), world.repeated);
            return Err(Failure::usage("sync runs jobs of the configuration by name; for two places use one of these")
                .hint(format!("mediasync push {places}     adds and updates"))
                .hint(format!("mediasync mirror {places}   makes the second exactly like the first")));
        }
        jobs => jobs?,
    };
    if args.run.how.save_plan.is_some() && jobs.len() > 1 {
        return Err(Failure::usage("--save-plan writes one plan, and several jobs would run").hint("name one job"));
    }
    if args.repair && jobs.iter().all(|job| job.options.headers.is_empty()) {
        return Err(Failure::usage(
            "--repair looks for objects that do not have what header rules say, and no job has any",
        )
        .hint("add a [[job.header]] as docs/headers.md has it"));
    }
    let task = |job: &Job| {
        let ready = job::ready(job, job.mode.into(), &args.run, world);
        match ready {
            Ok(task) if args.repair => Ok(Task { trust: Trust::Nobody, ..task }),
            // Nobody else would run it so.
            Err(Unready::Places(failure)) if args.repair => Err(Unready::Refused(failure)),
            ready => ready,
        }
    };
    Ok(jobs.into_iter().map(|job| (job.name.clone(), task(job))).collect())
}

/// The jobs of these names; all of them without a name.
///
/// # Errors
/// An unknown name, or no jobs at all.
pub fn jobs<'a>(names: &[String], world: World<'a>) -> Result<Vec<&'a Job>, Failure> {
    let config = world.config;
    if config.jobs.is_empty() {
        return Err(no_jobs(world));
    }
    if names.is_empty() {
        return Ok(config.jobs.iter().collect());
    }
    let find = |name: &String| config.job(name).ok_or_else(|| unknown_job(name, world));
    let mut found: Vec<&Job> = Vec::new();
    for name in names {
        let job = find(name)?;
        if !found.iter().any(|other| other.name == job.name) {
            found.push(job);
        }
    }
    Ok(found)
}

/// Whether a single argument of push or pull is the remote: anything but a plain path.
fn is_remote(text: &str, end: &End, world: World<'_>) -> bool {
    let text_of_a_dsn = text == "-" || ["env:", "dsn-file:", "credential:"].iter().any(|start| text.starts_with(start));
    !matches!(end.location, Location::Local(_)) || text_of_a_dsn || named(text, world).is_some()
}

/// A task for a stored plan between two places: what it does is in the plan.
///
/// # Errors
/// The places can't be a pair, or the destination may not be changed.
pub fn stored(source: End, dest: End, args: &RunArgs) -> Result<Task, Failure> {
    task("apply", source, dest, Mode::Copy.into(), Options::default(), args)
}

/// A task for one key of two places that no job names.
///
/// # Errors
/// As [`stored`].
pub fn places(source: End, dest: End, aim: Aim, args: &RunArgs) -> Result<Task, Failure> {
    task("resolve", source, dest, aim, Options::default(), args)
}

fn task(
    command: &'static str,
    mut source: End,
    mut dest: End,
    aim: Aim,
    mut options: Options,
    args: &RunArgs,
) -> Result<Task, Failure> {
    refuse_overlap(&source, &dest)?;
    override_options(&mut options, args)?;
    let Aim { mode, writes, made } = aim;
    let mut written: Vec<&mut End> = [(Side::Source, &mut source), (Side::Dest, &mut dest)]
        .into_iter()
        .filter_map(|(side, end)| writes.contains(&side).then_some(end))
        .collect();
    let left_acl = set_acl(&mut written, made, args.leave.acl.as_deref())?;
    let run = match (&args.how.save_plan, args.how.dry_run) {
        (Some(file), _) => Wish::SavePlan(file.clone()),
        (None, true) => Wish::DryRun,
        (None, false) => Wish::Execute,
    };
    let confirm = match run {
        Wish::Execute => may_change(&written, if args.leave.yes { Sure::Yes } else { Sure::No })?,
        Wish::DryRun | Wish::SavePlan(_) => None,
    };
    let only = args.scope.only.as_deref().map(only).transpose()?;
    let raise = Raise::ByFlag;
    let trust = Trust::Memory;
    Ok(Task {
        command,
        job: None,
        source,
        dest,
        mode,
        writes,
        made,
        left_acl,
        options,
        only,
        run,
        confirm,
        raise,
        trust,
    })
}

fn override_options(options: &mut Options, args: &RunArgs) -> Result<(), Failure> {
    options.filter.rules.extend(args.scope.rules.0.iter().cloned());
    if args.scope.no_default_excludes {
        options.filter.junk = Junk::Take;
    }
    let sizes = &mut options.filter.sizes;
    sizes.min = args.scope.min_size.or(sizes.min);
    sizes.max = args.scope.max_size.or(sizes.max);
    if sizes.min.zip(sizes.max).is_some_and(|(min, max)| min > max) {
        return Err(Failure::usage("--min-size is larger than --max-size: nothing would be in scope"));
    }
    options.files.symlinks = args.scope.symlinks.map_or(options.files.symlinks, Into::into);
    options.max_delete = args.leave.max_delete.unwrap_or(options.max_delete);
    options.max_overwrite = args.leave.max_overwrite.unwrap_or(options.max_overwrite);
    options.trash = args.leave.trash.unwrap_or(options.trash);
    if args.leave.overwrite {
        options.on_conflict = OnConflict::SourceWins;
    }
    options.concurrency = args.pace.concurrency.unwrap_or(options.concurrency);
    options.bwlimit = args.pace.bwlimit.clone().or(options.bwlimit.take());
    options.compare = args.pace.compare.map_or(options.compare, Into::into);
    Ok(())
}

/// `--only`: a key, written like a path.
fn only(text: &str) -> Result<Key, Failure> {
    let path = text.strip_prefix("./").unwrap_or(text).trim_end_matches('/');
    let plain = !path.starts_with('/') && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let wrong = || {
        Failure::usage(format!("--only {text:?} is no path below the places of the run"))
            .hint("write it relative to them, like --only photos/2024")
    };
    if plain { Key::new(path).map_err(|_| wrong()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests;
