//! The command line: what is typed becomes work, work becomes calls of the engine, and what it tells is printed.
//!
//! [`args`] reads what is typed, [`resolve`] and [`place`] find out what is meant, [`wire`] makes the replicas, [`run`]
//! drives the engine, [`output`] prints. Nothing below this folder knows the environment or a terminal.

use std::ffi::OsString;
use std::sync::Arc;

pub mod acl;
pub mod alias;
mod anew;
pub mod approve;
pub mod args;
pub mod client;
pub mod commands;
pub mod conf;
mod consent;
pub mod cors;
pub mod cp;
pub mod daemon;
mod despite;
pub mod doctor;
pub mod exit;
pub mod failure;
mod filters;
#[cfg(test)]
mod fixtures;
pub mod forget;
pub mod human;
pub mod init;
pub mod interrupt;
pub mod json;
mod lease;
pub mod logging;
pub mod ls;
pub mod managed;
pub mod manual;
pub mod meant;
pub mod output;
pub mod ownership;
pub mod pairs;
pub mod parse;
pub mod pause;
pub mod place;
mod private;
pub mod progress;
pub mod resolve;
pub mod rules;
pub mod run;
mod send;
pub mod service;
pub mod settle;
pub mod setup;
pub mod shell;
pub mod shells;
pub mod spot;
pub mod status;
pub mod stderr;
pub mod storage;
pub mod teller;
pub mod texts;
pub mod totals;
pub mod trash;
pub mod url;
pub mod verify;
pub mod wire;

use tokio::runtime::Runtime;

use args::{Cli, Cmd};
use exit::Exit;
use failure::Failure;
use output::{Format, Output, Verbosity};
use run::Work;
use setup::Setup;

use crate::daemon::control::Pausing;

/// A variable of the environment; one that is empty is not set.
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The whole program: from its arguments to its exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match parse::parse(args) {
        Ok(cli) => cli,
        Err(error) => return output::clap(&error),
    };
    let is_daemon = matches!(cli.command, Cmd::Daemon(_));
    if is_daemon {
        daemon::become_thrifty(&env);
    }
    let runtime = runtime();
    if let (true, Ok(runtime)) = (is_daemon, &runtime) {
        daemon::outlive_hangups(runtime);
    }
    let output = Arc::new(Output::new(format(&cli.command), verbosity(&cli), output::colours(env)));
    match &cli.command {
        Cmd::Daemon(args) => daemon::start_logs(args, &cli.global, &output, &env),
        _ => logging::start(&output, cli.global.verbose),
    }
    let done = early(&cli, &output, &env).unwrap_or_else(|| {
        if let Cmd::Init(args) = &cli.command {
            return start(runtime, init::init(args, &cli.global, &output, &env));
        }
        match Setup::new(&cli.global, Arc::clone(&output), &env) {
            Ok(setup) => {
                // A daemon reads it itself, and logs that.
                let warning = setup.warning.as_deref().filter(|_| !is_daemon);
                warning.inspect(|warning| output.warn(warning));
                start(runtime, dispatch(&cli, &setup, &env))
            }
            Err(failure) => start(runtime, despite::despite(&cli, failure, &output, &env)),
        }
    });
    let exit = match done {
        Ok(exit) => exit,
        Err(failure) => {
            output.failure(None, &failure);
            failure.exit
        }
    };
    exit.max(output.finish()).code()
}

fn format(command: &Cmd) -> Format {
    let json = match command {
        Cmd::Push(args) => args.run.how.json,
        Cmd::Pull(args) => args.run.how.json,
        Cmd::Mirror(args) => args.run.how.json,
        Cmd::Sync(args) => args.run.how.json,
        Cmd::Status(args) => args.json,
        Cmd::History(args) => args.json,
        Cmd::Approve(args) => args.json,
        Cmd::Apply(args) => args.json,
        Cmd::Resolve(args) => args.json,
        Cmd::Daemon(_)
        | Cmd::Pause(_)
        | Cmd::Resume(_)
        | Cmd::Forget(_)
        | Cmd::Service(_)
        | Cmd::Url(_)
        | Cmd::Remote(_)
        | Cmd::Init(_)
        | Cmd::Completions(_)
        | Cmd::Man(_) => false,
        Cmd::Ls(args) => args.json,
        Cmd::Cp(args) => args.json,
        Cmd::PurgeJunk(args) => args.json,
        Cmd::Verify(args) => args.json,
        Cmd::Acl(args) => match &args.command {
            acl::args::Cmd::Get(args) => args.json,
            acl::args::Cmd::Set(args) => args.json,
        },
        Cmd::Cors(args) => match &args.command {
            cors::args::Cmd::Get(args) => args.json,
            cors::args::Cmd::Set(args) => args.json,
            cors::args::Cmd::Delete(args) => args.json,
        },
        Cmd::Doctor(args) => args.json,
        Cmd::Trash(args) => match &args.command {
            trash::args::Cmd::List(args) => args.json,
            trash::args::Cmd::Restore(args) => args.json,
            trash::args::Cmd::Empty(args) => args.json,
        },
        Cmd::Config(args) => match &args.command {
            conf::Cmd::Check(args) | conf::Cmd::Show(args) => args.json,
        },
        Cmd::Dsn(args) => match &args.command {
            storage::DsnCmd::Show(args) => args.json,
        },
    };
    if json { Format::Json } else { Format::Human }
}

fn verbosity(cli: &Cli) -> Verbosity {
    match (cli.global.quiet, cli.global.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, 0) => Verbosity::Normal,
        (false, _) => Verbosity::Verbose,
    }
}

/// A thread that nothing is left to read or write for ends after this time: what it had is free memory then.
const THREAD_REST: std::time::Duration = std::time::Duration::from_secs(1);

/// One thread: the work is bound by the network and the disk, and two would fight over the allocator.
fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().thread_keep_alive(THREAD_REST).build()
}

fn start(
    runtime: std::io::Result<Runtime>,
    work: impl Future<Output = Result<Exit, Failure>>,
) -> Result<Exit, Failure> {
    let runtime = runtime.map_err(|error| Failure::error(format!("can't start: {error}")))?;
    let exit = runtime.block_on(tokio::task::LocalSet::new().run_until(work));
    // After an interruption a file may still be read by a thread whose result nobody waits for.
    runtime.shutdown_background();
    exit
}

/// Commands that need no configuration, or look for its mistakes themselves.
fn early(cli: &Cli, output: &Arc<Output>, env: crate::config::places::Env<'_>) -> Option<Result<Exit, Failure>> {
    match &cli.command {
        Cmd::Config(args) if matches!(args.command, conf::Cmd::Check(_)) => Some(conf::check(&cli.global, output, env)),
        Cmd::Completions(args) => Some(Ok(shells::completions(args, output))),
        Cmd::Man(args) => Some(manual::manual(args, output)),
        _ => None,
    }
}

async fn dispatch(cli: &Cli, setup: &Setup, env: crate::config::places::Env<'_>) -> Result<Exit, Failure> {
    let world = setup.world(env);
    match &cli.command {
        Cmd::Push(args) => Ok(run::one(&resolve::push(args, world)?, setup, Work::Cycle).await),
        Cmd::Pull(args) => Ok(run::one(&resolve::pull(args, world)?, setup, Work::Cycle).await),
        Cmd::Mirror(args) => Ok(run::one(&resolve::mirror(args, world)?, setup, Work::Cycle).await),
        Cmd::Sync(args) => {
            let tasks = resolve::sync(args, world)?;
            resolve::check_jobs(world)?;
            Ok(run::all(tasks, setup).await)
        }
        Cmd::Daemon(args) => daemon::daemon(args, &cli.global, setup).await,
        Cmd::Status(args) => status::status(args, setup, world).await,
        Cmd::Pause(args) => pause::pause(args, Pausing::Pause, &cli.global, setup).await,
        Cmd::Resume(args) => pause::pause(args, Pausing::Resume, &cli.global, setup).await,
        Cmd::History(args) => status::history(args.job.as_deref(), args.limit, setup, world),
        Cmd::Approve(args) => approve::approve(args, setup, world).await,
        Cmd::Apply(args) => approve::apply(args, setup, world).await,
        Cmd::Resolve(args) => settle::settle(args, setup, world).await,
        Cmd::Forget(args) => forget::forget(args, setup, world).await,
        Cmd::Doctor(args) => doctor::doctor(args, setup, world).await,
        Cmd::Service(args) => service::service(args, cli.global.state_dir.as_deref(), setup, world),
        Cmd::Trash(args) => trash::trash(args, setup, world).await,
        Cmd::Verify(args) => verify::verify(args, setup, world).await,
        Cmd::PurgeJunk(args) => trash::purge::purge(args, setup, world).await,
        Cmd::Ls(args) => ls::ls(args, setup, world).await,
        Cmd::Cp(args) => cp::cp(args, setup, world).await,
        Cmd::Url(args) => url::url(args, setup, world).await,
        Cmd::Config(_) => conf::show(&cli.global, setup, env),
        Cmd::Init(args) => init::init(args, &cli.global, &setup.output, env).await,
        Cmd::Completions(args) => Ok(shells::completions(args, &setup.output)),
        Cmd::Man(args) => manual::manual(args, &setup.output),
        Cmd::Dsn(storage::Dsn { command: storage::DsnCmd::Show(args) }) => storage::show(args, setup, world),
        Cmd::Remote(storage::Remote { command: storage::RemoteCmd::Env(args) }) => storage::env(args, setup, world),
        Cmd::Acl(args) => acl::acl(args, setup, world).await,
        Cmd::Cors(args) => cors::cors(args, setup, world).await,
    }
}
