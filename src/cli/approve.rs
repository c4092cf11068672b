//! `approve JOB HASH` and `apply FILE`: a stored plan is carried out as it is.

use std::path::{Path, PathBuf};

use super::args::{Apply, Approve, RunArgs};
use super::client;
use super::exit::Exit;
use super::failure::Failure;
use super::pairs;
use super::place::{World, end};
use super::resolve::{self, Task};
use super::run::{self, Work};
use super::setup::{Setup, shown};
use super::wire::pair;
use crate::apply::{self, Header};
use crate::location::Location;
use crate::sync::Approval;

/// `approve JOB HASH`.
///
/// # Errors
/// There is no such job or plan.
pub async fn approve(args: &Approve, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    resolve::check_jobs(world)?;
    if let Some(Err(failure)) = setup.config.job(&args.job).map(|job| resolve::job_ends(job, world)) {
        let plan = check_hash(&args.hash)?;
        return client::by_name((&args.job, Some(plan)), failure, setup).await;
    }
    let pair = pairs::named(&args.job, setup, world)?;
    let path = plan_file(&setup.state_dir, pair.id(), &args.hash)?;
    let mut task = task(&path, &RunArgs::default(), setup, world)?;
    // Typing the hash is the confirmation.
    task.confirm = None;
    task.command = "approve";
    Ok(run::one(&task, setup, Work::Apply(&path, Approval::Given)).await)
}

/// `apply FILE`.
///
/// # Errors
/// The file is no plan, or its places can't be found again.
pub async fn apply(args: &Apply, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    if !args.file.try_exists().unwrap_or(true) {
        return Err(Failure::usage(format!("there is no file {}", shown(&args.file)))
            .hint("make a plan with --save-plan FILE; what a halted run stored is done by mediasync approve"));
    }
    let mut run_args = RunArgs::default();
    run_args.leave.yes = args.yes;
    let mut task = task(&args.file, &run_args, setup, world)?;
    task.command = "apply";
    Ok(run::one(&task, setup, Work::Apply(&args.file, Approval::Missing)).await)
}

/// The hash is part of a path: nothing but hexadecimal digits gets there.
fn check_hash(hash: &str) -> Result<&str, Failure> {
    if hash.is_empty() || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(
            Failure::usage("a plan's hash has hexadecimal digits only").hint("copy it from what the halt printed")
        );
    }
    Ok(hash)
}

/// The stored plan of a pair.
fn plan_file(state_dir: &Path, pair: &str, hash: &str) -> Result<PathBuf, Failure> {
    let hash = check_hash(hash)?;
    let path = state_dir.join("pairs").join(pair).join("plans").join(format!("{}.plan", hash.to_ascii_lowercase()));
    if path.is_file() {
        return Ok(path);
    }
    Err(Failure::usage(format!("there is no plan {hash}")).hint("run the job again to get a new one"))
}

/// The task that a plan belongs to: its job, or its two places as they were spelled.
fn task(path: &Path, args: &RunArgs, setup: &Setup, world: World<'_>) -> Result<Task, Failure> {
    let header = apply::header(path)?;
    let task = match header.origin.job.as_deref().and_then(|name| setup.config.job(name)) {
        Some(job) => resolve::job_task(job, args, world)?,
        None => spelled(&header, path, args, world)?,
    };
    if pair(&task.source, &task.dest).id() == header.pair {
        return Ok(task);
    }
    let (source, dest) = &header.origin.names;
    let message = format!("{} was made for {source} and {dest}, which now means other places", shown(path));
    Err(Failure::usage(message).hint("make the plan again"))
}

fn spelled(header: &Header, path: &Path, args: &RunArgs, world: World<'_>) -> Result<Task, Failure> {
    let (Some(source), Some(dest)) = (&header.origin.source, &header.origin.dest) else {
        let message = format!("{} was made with a DSN on the command line, which is not stored", shown(path));
        return Err(Failure::usage(message).hint("put the DSN into a variable, and make the plan again with env:NAME"));
    };
    let mut dest = end(dest, world)?;
    // The ACL is the plan's: what `--acl` said, and that a mirror does not take the DSN's.
    dest.acl.clone_from(&header.origin.acl);
    if let Location::S3(address) = &mut dest.location {
        address.acl.clone_from(&dest.acl);
    }
    resolve::stored(end(source, world)?, dest, args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_can_not_leave_the_directory_of_its_pair() {
        let state = tempfile::tempdir().unwrap();
        let plans = state.path().join("pairs/0123/plans");
        std::fs::create_dir_all(&plans).unwrap();
        std::fs::write(plans.join("abcd.plan"), "").unwrap();
        std::fs::write(state.path().join("pairs/0123/x.plan"), "").unwrap();
        assert_eq!(plan_file(state.path(), "0123", "ABCD").unwrap(), plans.join("abcd.plan"));
        for wrong in ["../x", "", "abce", "abcd.plan", "/etc/passwd"] {
            assert_eq!(plan_file(state.path(), "0123", wrong).unwrap_err().exit.code(), 2, "{wrong}");
        }
    }
}
