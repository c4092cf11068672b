//! What a command does about a daemon that holds its pair: the daemon runs what it would run anyway, and lends the pair
//! for everything else.

use std::path::Path;
use std::time::Duration;

use super::exit::Exit;
use super::failure::Failure;
use super::human::Colour;
use super::meant;
use super::output::{Format, Output, Stream, Verbosity};
use super::resolve::{self, Task, Wish};
use super::run::Work;
use super::setup::{Setup, shown};
use super::shell;
use super::wire;
use crate::daemon::control::{Answer, Ask, How, Line};
use crate::daemon::pauses;
use crate::daemon::state::DaemonState;
use crate::sync::Approval;

/// How long a daemon may take for an answer that it has at hand.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of asking.
#[derive(Debug)]
pub enum Reached {
    /// No daemon holds the pair.
    Nobody,
    /// The pair is free for as long as this is kept.
    Lent(Line),
    /// The daemon ran it.
    Ran(Exit),
}

/// Finds out whether a daemon holds the pair of a task that is to be carried out.
///
/// # Errors
/// A daemon is there and can't be asked.
pub async fn reach(task: &Task, setup: &Setup, work: Work<'_>) -> Result<Reached, Failure> {
    if task.run != Wish::Execute || setup.is_served() {
        return Ok(Reached::Nobody);
    }
    let pair = wire::pair(&task.source, &task.dest);
    if let Some(ask) = as_it_is(task, setup, work, pair.id()) {
        let by_hand = if let Ask::Run { job, .. } = &ask { paused(job, setup) } else { None };
        let Some(mut line) = reached(setup, ask).await? else { return Ok(Reached::Nobody) };
        by_hand.inspect(|told| setup.output.say(told));
        match listen(&mut line, setup).await? {
            Heard::Exit(exit) => return Ok(Reached::Ran(exit)),
            Heard::NotMine | Heard::Done => {}
        }
    }
    lend(setup, pair.id()).await
}

/// Borrows a pair from a daemon that holds it.
///
/// # Errors
/// A daemon is there and can't be asked.
pub async fn lend(setup: &Setup, pair: &str) -> Result<Reached, Failure> {
    if setup.is_served() {
        return Ok(Reached::Nobody);
    }
    let ask = Ask::Lend { pair: pair.to_owned() };
    let Some(mut line) = reached(setup, ask).await? else { return Ok(Reached::Nobody) };
    match listen(&mut line, setup).await? {
        Heard::Done => Ok(Reached::Lent(line)),
        Heard::NotMine | Heard::Exit(_) => Ok(Reached::Nobody),
    }
}

/// Has the daemon run a job whose places can't be found here, or carry out a plan of it: it may have variables and
/// credentials that nobody else has. The name is enough where both have the same job of the same file.
///
/// # Errors
/// `failure`, which says why they can't be found, where no daemon does it; a daemon is there and can't be asked, or refuses.
pub async fn by_name((name, plan): (&str, Option<&str>), failure: Failure, setup: &Setup) -> Result<Exit, Failure> {
    let Some(job) = setup.config.job(name).filter(|_| !setup.is_served()) else { return Err(failure) };
    let (job, meant, how) = (job.name.clone(), meant::as_written(job, &setup.config), how(&setup.output));
    let by_hand = if plan.is_none() { paused(name, setup) } else { None };
    let ask = match plan.map(str::to_owned) {
        Some(plan) => Ask::Approve { job, meant, plan, how },
        None => Ask::Run { job, meant, how },
    };
    let Some(mut line) = reached(setup, ask).await? else { return Err(failure) };
    by_hand.inspect(|told| setup.output.say(told));
    match listen(&mut line, setup).await? {
        Heard::Exit(exit) => Ok(exit),
        Heard::NotMine | Heard::Done => Err(why_not(name, failure, setup).await),
    }
}

/// `failure`, and why the daemon that is there does not do it instead.
async fn why_not(name: &str, failure: Failure, setup: &Setup) -> Failure {
    let Ok(Some(daemon)) = state(&setup.state_dir).await else { return failure };
    let own = setup.config_file.as_deref();
    let hint = match daemon.config.as_deref() {
        Some(its) if own.is_none_or(|own| !meant::is_same_file(own, its)) => {
            format!("the daemon of {} has another configuration, and does not do it instead: {its}", daemon.state_dir)
        }
        _ if daemon.jobs.iter().all(|job| job.name != name) => {
            format!("the daemon of {} does not run {}, and can't do it instead", daemon.state_dir, shell::word(name))
        }
        _ => format!(
            "the daemon has this job as it was before the configuration was changed, and does not do it instead: kill -HUP {} \
             lets it read the file again",
            daemon.pid
        ),
    };
    failure.hint(hint)
}

/// What is said where a job runs that a person paused.
fn paused(job: &str, setup: &Setup) -> Option<String> {
    let paused = pauses::read(&setup.state_dir).ok()?;
    let name = shell::word(job);
    paused.contains(job).then(|| format!("{name} is paused; this run was asked for by hand, the pause stays"))
}

/// What is asked if the task is what the daemon would run by itself.
fn as_it_is(task: &Task, setup: &Setup, work: Work<'_>, pair: &str) -> Option<Ask> {
    let job = task.job.clone()?;
    let plain =
        resolve::job_task(setup.config.job(&job)?, &super::args::RunArgs::default(), setup.world(&super::env)).ok()?;
    let how = how(&setup.output);
    let meant = meant::by_places(&plain);
    match work {
        Work::Cycle if meant::by_places(task) == meant => Some(Ask::Run { job, meant, how }),
        Work::Apply(path, Approval::Given) => {
            let plan = path.file_stem()?.to_str()?.to_owned();
            let stored =
                crate::manifest::PlanFile::path(&setup.state_dir, &wire::pair(&task.source, &task.dest), &plan);
            (stored == path && !pair.is_empty()).then_some(Ask::Approve { job, meant, plan, how })
        }
        Work::Cycle | Work::Apply(..) | Work::Resolve(..) => None,
    }
}

fn how(output: &Output) -> How {
    let verbosity = match output.verbosity() {
        Verbosity::Quiet => -1,
        Verbosity::Normal => 0,
        Verbosity::Verbose => 1,
    };
    How { json: output.format() == Format::Json, verbosity, colour: output.colour() == Colour::On }
}

/// How a conversation ended.
enum Heard {
    Exit(Exit),
    Done,
    NotMine,
}

async fn reached(setup: &Setup, ask: Ask) -> Result<Option<Line>, Failure> {
    Line::ask(&setup.state_dir, ask).await.map_err(|error| unreachable(&setup.state_dir, &error))
}

/// Prints what is told until something is decided.
async fn listen(line: &mut Line, setup: &Setup) -> Result<Heard, Failure> {
    let output = &setup.output;
    let ended = |why: &str| {
        Failure::error(format!("the daemon of {} {why}", shown(&setup.state_dir)))
            .hint("what was done is recorded; run it again to do the rest")
    };
    loop {
        let answer = tokio::select! {
            answer = line.next() => answer.map_err(|error| ended(&format!("broke off: {error}")))?,
            () = super::interrupt::signalled() => return Ok(Heard::Exit(Exit::Interrupted)),
        };
        match answer {
            Some(Answer::Out { text }) => output.pass_on(Stream::Out, &text),
            Some(Answer::Err { text }) => output.pass_on(Stream::Err, &text),
            Some(Answer::Exit { code }) => return Ok(Heard::Exit(Exit::of_code(code))),
            Some(Answer::Done) => return Ok(Heard::Done),
            Some(Answer::NotMine) => return Ok(Heard::NotMine),
            Some(Answer::Refused { message, hint }) => return Err(refused(message, hint)),
            Some(Answer::State { .. }) => {}
            None => return Err(ended("ended before it answered")),
        }
    }
}

/// Asks what has one answer, at once.
///
/// # Errors
/// A daemon is there and can't be asked, does not answer, or refuses.
async fn asked(state_dir: &Path, ask: Ask) -> Result<Option<Answer>, Failure> {
    let conversation = async {
        let Some(mut line) = Line::ask(state_dir, ask).await? else { return Ok(None) };
        Ok(Some(line.next().await?))
    };
    let answer = match tokio::time::timeout(PATIENCE, conversation).await {
        Err(_) => return Err(silent(state_dir)),
        Ok(Err(error)) => return Err(unreachable(state_dir, &error)),
        Ok(Ok(None)) => return Ok(None),
        Ok(Ok(Some(answer))) => answer,
    };
    match answer {
        None => Err(silent(state_dir)),
        Some(Answer::Refused { message, hint }) => Err(refused(message, hint)),
        Some(answer) => Ok(Some(answer)),
    }
}

/// How everything stands; `None` if no daemon works with this state directory.
///
/// # Errors
/// A daemon is there and can't be asked.
pub async fn state(state_dir: &Path) -> Result<Option<DaemonState>, Failure> {
    match asked(state_dir, Ask::Status).await? {
        Some(Answer::State { state }) => Ok(Some(*state)),
        Some(_) => Err(silent(state_dir)),
        None => Ok(None),
    }
}

/// What came of telling a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obeyed {
    /// It does so.
    Yes,
    /// It has no such job.
    NotMine,
    /// There is no daemon.
    Nobody,
}

/// Tells the daemon something that it does at once.
///
/// # Errors
/// A daemon is there and can't be asked.
pub async fn tell(state_dir: &Path, ask: Ask) -> Result<Obeyed, Failure> {
    match asked(state_dir, ask).await? {
        Some(Answer::Done) => Ok(Obeyed::Yes),
        Some(Answer::NotMine) => Ok(Obeyed::NotMine),
        Some(_) => Err(silent(state_dir)),
        None => Ok(Obeyed::Nobody),
    }
}

fn unreachable(state_dir: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::error(format!("can't ask the daemon of {}: {error}", shown(state_dir)));
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            failure.hint("its socket is for the daemon's user: run this as that user or as root, or stop the daemon to work without it")
        }
        _ => failure.hint("the program and its daemon may be of different versions: restart the daemon"),
    }
}

fn silent(state_dir: &Path) -> Failure {
    Failure::error(format!("the daemon of {} does not answer", shown(state_dir)))
        .hint("its log says what it does; restart it if it hangs")
}

/// The daemon is there and can't do it now.
fn refused(message: String, hint: Option<String>) -> Failure {
    let failure = Failure { exit: Exit::Held, ..Failure::error(message) };
    hint.into_iter().fold(failure, Failure::hint)
}
