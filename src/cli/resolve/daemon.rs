//! Which jobs a daemon runs: one rule for the daemon itself and for the unit that starts it.

use super::{check_jobs, jobs};
use crate::cli::failure::Failure;
use crate::cli::place::World;
use crate::config::Job;

/// What makes a job one of the daemon's.
const HINT: &str = "add watch = true, every = \"15m\" or cron = \"0 3 * * *\" to";

/// The jobs of these names; without names those that have something to do for a daemon.
///
/// # Errors
/// There is no such job, one that was named or all of them have nothing to do, or jobs stand in each other's way.
pub fn daemon_jobs<'a>(names: &[String], world: World<'a>) -> Result<Vec<&'a Job>, Failure> {
    let has_work = |job: &Job| job.daemon.watch || job.daemon.schedule.is_some();
    let jobs = jobs(names, world)?;
    if let Some(idle) = jobs.iter().find(|job| !names.is_empty() && !has_work(job)) {
        let failure = Failure::usage(format!("{} has nothing to do for a daemon", idle.name));
        return Err(failure.hint(format!("{HINT} the job")));
    }
    let with_work: Vec<_> = jobs.into_iter().filter(|job| has_work(job)).collect();
    if with_work.is_empty() {
        return Err(Failure::usage("no job has anything to do for a daemon").hint(format!("{HINT} a job")));
    }
    check_jobs(world)?;
    Ok(with_work)
}
