//! Commands that ask a daemon although the configuration has mistakes: just then somebody wants to look at it, or to pause
//! a job.
//!
//! A daemon is asked only if it runs by that very file, or if `--state-dir` names it: a mistyped `--config` reaches no other
//! one.

use std::sync::Arc;

use super::args::{Cli, Cmd};
use super::client;
use super::dispatch;
use super::doctor;
use super::exit::Exit;
use super::failure::Failure;
use super::meant;
use super::output::Output;
use super::setup::Setup;
use crate::config::places::Env;

/// Carries out the command by what the daemon says; `failure` is why the configuration can't be used.
///
/// # Errors
/// `failure`, where there is no such daemon or the command needs the configuration.
pub(super) async fn despite(cli: &Cli, failure: Failure, output: &Arc<Output>, env: Env<'_>) -> Result<Exit, Failure> {
    if let Cmd::Doctor(args) = &cli.command
        && !args.policy
    {
        return Ok(doctor::without_config(&failure, output));
    }
    let looks = match &cli.command {
        Cmd::Status(_) => true,
        Cmd::Pause(_) | Cmd::Resume(_) => false,
        _ => return Err(failure),
    };
    let Some(setup) = Setup::without_config(&cli.global, Arc::clone(output), env) else { return Err(failure) };
    let Ok(Some(daemon)) = client::state(&setup.state_dir).await else { return Err(failure) };
    let files = setup.config_file.as_deref().zip(daemon.config.as_deref());
    let runs_by_it = files.is_some_and(|(own, its)| meant::is_same_file(own, its));
    if cli.global.state_dir.is_none() && !runs_by_it {
        return Err(failure);
    }
    output.failure(None, &failure);
    let exit = dispatch(cli, &setup, env).await?;
    // What was to be done is done; what was to be looked at is not as it should be.
    Ok(if looks { exit.max(failure.exit) } else { exit })
}
