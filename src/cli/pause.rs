//! `pause` and `resume`: tells the daemon to leave a job alone, or to go on with it. Contacts nobody else.

use std::collections::BTreeSet;

use clap::Args;

use super::args::Global;
use super::client::{self, Obeyed};
use super::daemon::DaemonLock;
use super::exit::Exit;
use super::failure::Failure;
use super::meant;
use super::setup::{Setup, shown};
use super::shell;
use crate::daemon::control::{Ask, Pausing};
use crate::daemon::pauses::{self, Pauses};
use crate::daemon::state::DaemonState;

/// The end of the help of `pause`.
pub const HELP_PAUSE: &str = "\
A run under way is stopped in order. What changes meanwhile is noted, and done after resume. A
pause outlives the daemon: after a restart the job waits for resume, too. Commands of a person
are carried out.

Examples:
  mediasync pause media
  mediasync pause                            all jobs";

/// The end of the help of `resume`.
pub const HELP_RESUME: &str = "\
Without a daemon it says that the next one may go on with the job.

Examples:
  mediasync resume media
  mediasync resume                           all jobs";

/// `pause [JOB]`, `resume [JOB]`.
#[derive(Debug, Args)]
pub struct Which {
    /// Name of a job (default: all that the daemon runs)
    pub job: Option<String>,
}

/// `pause [JOB]` and `resume [JOB]`.
///
/// # Errors
/// No daemon is there, it can't be asked, it does not run this job, or the job of another configuration is meant.
pub async fn pause(args: &Which, pausing: Pausing, global: &Global, setup: &Setup) -> Result<Exit, Failure> {
    if let Some(daemon) = client::state(&setup.state_dir).await? {
        refuse_another(&daemon, args, pausing, (global, setup))?;
    }
    let job = args.job.clone();
    let ask = match pausing {
        Pausing::Pause => Ask::Pause { job },
        Pausing::Resume => Ask::Resume { job },
    };
    let (dir, output) = (&*setup.state_dir, &*setup.output);
    let before = pauses::read(dir).ok();
    match client::tell(dir, ask).await? {
        Obeyed::Yes => {}
        Obeyed::Nobody => return without_daemon(args, pausing, setup).await,
        Obeyed::NotMine => {
            let names = client::state(dir).await?.map(|state| names(state.jobs.iter().map(|job| &*job.name)));
            return Err(unknown(args.job.as_deref(), names.as_deref(), setup));
        }
    }
    let what = match &args.job {
        Some(job) => shell::word(job),
        None => match client::state(dir).await? {
            Some(state) => names(state.jobs.iter().map(|job| &*job.name)),
            None => "all jobs".to_owned(),
        },
    };
    let job = args.job.as_deref().map_or_else(String::new, |job| format!(" {}", shell::word(job)));
    let repeated = &setup.repeated;
    let was_paused = before.is_none_or(|paused| match &args.job {
        Some(job) => paused.contains(job),
        None => !paused.is_empty(),
    });
    output.say(&match pausing {
        Pausing::Resume if !was_paused => format!("{what}: not paused, so nothing is resumed"),
        Pausing::Pause => format!(
            "paused: {what}; nothing is done until mediasync resume{job}{repeated}, what changes meanwhile is noted"
        ),
        Pausing::Resume => format!("resumed: {what}; what changed meanwhile is done now"),
    });
    Ok(Exit::Done)
}

/// A daemon is found by its state directory, and another configuration may have that one, too, and jobs of the same
/// names. A person who names only the state directory means whatever runs there.
fn refuse_another(
    daemon: &DaemonState,
    args: &Which,
    pausing: Pausing,
    (global, setup): (&Global, &Setup),
) -> Result<(), Failure> {
    let by_state = global.state_dir.is_some() && global.config.is_none();
    let (Some(own), Some(its)) = (setup.config_file.as_deref().filter(|_| !by_state), daemon.config.as_deref()) else {
        return Ok(());
    };
    if meant::is_same_file(own, its) {
        return Ok(());
    }
    let (command, done) = match pausing {
        Pausing::Pause => ("pause", "paused"),
        Pausing::Resume => ("resume", "resumed"),
    };
    let (dir, own) = (shown(&setup.state_dir), shown(own));
    let job = args.job.as_deref().map_or_else(String::new, |job| format!(" {}", shell::word(job)));
    let state_dir = shell::path(&setup.state_dir.display().to_string());
    let message = format!("nothing is {done}: the daemon of {dir} runs by {its}, and this command by {own}");
    Err(Failure::usage(message)
        .hint(format!("if that daemon is meant: mediasync {command}{job} --state-dir {state_dir}"))
        .hint("if another one is meant, name its state directory, too"))
}

/// A pause that an earlier daemon left ends. Beginning one is refused: somebody who means a daemon with another state
/// would take that for done.
async fn without_daemon(args: &Which, pausing: Pausing, setup: &Setup) -> Result<Exit, Failure> {
    let paused = pauses::read(&setup.state_dir);
    let is_left = paused.is_err()
        || paused.is_ok_and(|paused| match &args.job {
            Some(job) => paused.contains(job),
            None => !paused.is_empty(),
        });
    if pausing == Pausing::Pause || !is_left {
        return Err(nobody(setup));
    }
    // None starts meanwhile.
    let _lock = DaemonLock::take(&setup.state_dir)?;
    let pauses = Pauses::load(&setup.state_dir, setup.config.jobs.iter().map(|job| job.name.clone()));
    let kept = match &args.job {
        Some(job) => {
            pauses
                .change(|paused| {
                    paused.remove(job);
                })
                .await
        }
        None => pauses.change(BTreeSet::clear).await,
    };
    kept.map_err(|error| Failure::error(format!("can't write {}: {error}", shown(&pauses.path()))))?;
    let what = args.job.as_deref().map_or_else(|| "all jobs".to_owned(), shell::word);
    setup.output.say(&format!("resumed: {what}; no daemon runs, the next one goes on"));
    Ok(Exit::Done)
}

fn names<'a>(jobs: impl Iterator<Item = &'a str>) -> String {
    jobs.map(shell::word).collect::<Vec<_>>().join(", ")
}

fn nobody(setup: &Setup) -> Failure {
    Failure::error(format!("no daemon runs with the state directory {}", shown(&setup.state_dir)))
        .hint(format!("start it: mediasync daemon{}", setup.repeated))
        .hint("a service may have another state directory and configuration: give --state-dir or --config as it does")
}

fn unknown(job: Option<&str>, runs: Option<&str>, setup: &Setup) -> Failure {
    let runs = runs.filter(|runs| !runs.is_empty()).unwrap_or("no job");
    let job = job.unwrap_or("any job");
    if setup.config.job(job).is_some() {
        return Failure::usage(format!("the daemon does not run {}; it runs {runs}", shell::word(job))).hint(
            "it runs jobs with watch, every or cron, of the configuration that it read at its start or last SIGHUP",
        );
    }
    Failure::usage(format!("no job is called {job:?}; the daemon runs {runs}"))
}
