//! What is tried: whether a place answers, and what a first run would do. Nothing is changed.

use std::sync::Arc;

use super::ask::{Asker, Usual};
use super::text::{self, Kept, Plan, Target};
use crate::cli::args::{Global, How, RunArgs};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::place::End;
use crate::cli::setup::Setup;
use crate::cli::{resolve, run, spot};
use crate::config::Config;
use crate::config::places::Env;
use crate::location::Location;
use crate::replica::browse::Depth;

/// Lists what a bucket or container has first. A directory is looked at with the first run.
///
/// # Errors
/// Why it can't be listed.
pub(super) async fn reach(end: &End) -> Result<(), Failure> {
    if !matches!(end.location, Location::Local(_)) {
        spot::browse(end, "", Depth::Level)?.next().await?;
    }
    Ok(())
}

/// Shows what a first run would do. Without anybody to ask it has to work.
///
/// # Errors
/// It can't be done, and nobody takes it all the same.
pub(super) async fn first_run(
    plan: &Plan<'_>,
    text: &str,
    global: &Global,
    asker: &Asker<'_>,
    (output, env): (&Arc<Output>, Env<'_>),
) -> Result<Usual, Failure> {
    if plan.answers.reached == Usual::No {
        output.warn("the remote did not answer, so nobody knows what a first run would do");
        return Ok(Usual::Yes);
    }
    // A file that is not written yet can't be read: the DSN that it will hold is tried.
    let tried = plan.target.file().map_or_else(
        || Ok(text.to_owned()),
        |(_, dsn)| {
            let target = Target::Dsn(Kept::Inline(dsn.clone()));
            text::config(&Plan { target: &target, ..*plan })
        },
    )?;
    let config = Config::parse(&tried, plan.file).map_err(|mistakes| {
        let told: Vec<String> =
            mistakes.iter().map(|mistake| format!("{}: {}", mistake.key, mistake.message)).collect();
        Failure::usage(told.join("\n"))
    })?;
    let setup = Setup::of(global, Arc::clone(output), env, config)?;
    let world = setup.world(env);
    let job = setup.config.jobs.first().ok_or_else(|| Failure::error("the configuration has no job"))?;
    let dry = RunArgs { how: How { dry_run: true, ..How::default() }, ..RunArgs::default() };
    let tried = match resolve::job_task(job, &dry, world) {
        Ok(task) => {
            for warning in &task.dest.warnings {
                output.warn(warning);
            }
            run::preview(&task, &setup).await
        }
        Err(failure) => Err(failure),
    };
    match tried {
        Ok(preview) => {
            output.say(&format!("\nA first run, {}", preview.places));
            if let Some(readers) = preview.readers {
                output.say(&readers);
            }
            output.say(&preview.summary);
            if let Some(halt) = preview.halt {
                output.warn(&format!("it would stop and ask: {halt}"));
            }
            Ok(Usual::Yes)
        }
        Err(failure) if failure.exit == Exit::Interrupted || !asker.asks() => Err(failure),
        Err(failure) => {
            asker.complain(&failure);
            asker.yes("The first run would fail. Go on all the same? (n asks again)", Usual::No).await
        }
    }
}
