//! `verify`: whether a place holds what another one holds. Looks at both now, changes nothing, takes no lock, and reads no
//! manifest.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::args::{How as HowArgs, Pace, RunArgs};
use super::exit::Exit;
use super::failure::Failure;
use super::interrupt::or_interrupted;
use super::output::{Format, Output, Verbosity};
use super::place::{World, end};
use super::progress::Bars;
use super::resolve::{self, Aim, Made, Task};
use super::setup::Setup;
use super::teller::{About, Teller};
use super::wire::{Purpose, Session};
use crate::manifest::Manifest;
use crate::model::Side;
use crate::plan::{Mode, Styling};
use crate::sync::{Cycle, Progress, Run};
use crate::verify::{Extras, Finding, Outcome, Reading, Verified, verify as compare};

pub mod args;
mod told;

/// Keys that are named on a terminal without `-v`.
const NAMED: u64 = 100;

/// What is told of a verification.
#[derive(Debug)]
struct Told<'a> {
    job: Option<&'a str>,
    source: String,
    dest: String,
    extras: Extras,
    reading: Reading,
}

impl Told<'_> {
    fn exit(&self, verified: &Verified) -> Exit {
        let Verified { missing, extra, different, cannot_tell, problems, .. } = verified;
        let extra = if self.extras == Extras::Differ { *extra } else { 0 };
        if missing + extra + different + cannot_tell + problems == 0 { Exit::Done } else { Exit::Problems }
    }
}

/// `verify JOB | SRC DST`.
///
/// # Errors
/// A place that can't be used or can't be listed completely.
pub async fn verify(args: &args::Verify, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let output = &*setup.output;
    let (task, extras) = task(args, world)?;
    let reading = match (args.download, args.sample) {
        (true, _) => Reading::All,
        (false, Some(share)) => Reading::Sample { share, seed: args.seed.unwrap_or_else(|| fastrand::u64(..)) },
        (false, None) => Reading::None,
    };
    let (source, dest) = (task.source.location.display(), task.dest.location.display());
    let told = Told { job: task.job.as_deref(), source, dest, extras, reading };
    output.say(&format!("verify, nothing is changed: {} against {}", told.dest, told.source));
    if let Reading::Sample { seed, .. } = reading {
        output.say(&format!("the sample is that of --seed {seed}"));
    }
    for warning in task.source.warnings.iter().chain(&task.dest.warnings) {
        output.warn(warning);
    }
    // Nothing was ever remembered there: what is verified is what is there now.
    let session = Session::open(&task, &nowhere(setup), Purpose::Look)?;
    let nothing = Manifest::forgetful()?;
    let progress = Arc::new(Progress::default());
    progress.mind(session.troubles());
    let now_ns = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
    // Content is compared: what header rules say of it is no difference.
    let (manifest, styling) = (&nothing, Styling::default());
    let cycle = Cycle { manifest, styling, ..session.cycle(&task, Run::DryRun, Arc::clone(&progress), now_ns) };
    let teller = Teller { output, job: told.job, about: About::default() };
    let named = AtomicU64::new(0);
    let so_far = Mutex::new(Verified::default());
    let found = |finding: &Finding| {
        so_far.lock().unwrap_or_else(PoisonError::into_inner).count(finding);
        show(finding, &told, &named, output);
    };
    let bars = output.shows_progress().then(|| Bars::start(output, progress));
    let work = async {
        tokio::select! {
            // Nobody reads on.
            () = output.closed() => None,
            done = Box::pin(compare(cycle, (reading, extras), &teller, &found)) => Some(done),
        }
    };
    let done = or_interrupted(work).await;
    drop(bars);
    let done = done.map_err(|interrupted| {
        let sums = so_far.lock().unwrap_or_else(PoisonError::into_inner);
        match output.format() {
            Format::Json => output.data(&told::partial(&told, &sums).to_string()),
            Format::Human => output.say(&told::until_then(&told, &sums)),
        }
        // Nothing was recorded, and nothing goes on.
        Failure { hints: vec!["nothing was changed; the next verification begins anew".to_owned()], ..interrupted }
    });
    let Some(verified) = done?.transpose()? else { return Ok(Exit::Done) };
    let hidden = named.load(Relaxed).saturating_sub(limit(output));
    if hidden > 0 {
        output.say(&format!("... and {} more; -v names all", super::human::count(hidden)));
    }
    match output.format() {
        Format::Json => output.data(&told::total(&told, &verified).to_string()),
        Format::Human if output.verbosity() > Verbosity::Quiet => output.data(&told::summary(&told, &verified)),
        Format::Human => {}
    }
    if verified.only_recorded > 0 {
        let count = super::human::count(verified.only_recorded);
        output.say(&format!(
            "note: of {count} only the digest agrees that was recorded with them, by whoever stored them"
        ));
    }
    if verified.cannot_tell > 0 && reading != Reading::All {
        output.say("note: --download reads what can't be told, and everything else");
    }
    Ok(told.exit(&verified))
}

/// A place for memory that holds none.
fn nowhere(setup: &Setup) -> PathBuf {
    setup.state_dir.join("verify-remembers-nothing")
}

fn limit(output: &Output) -> u64 {
    let all = output.format() == Format::Json || output.verbosity() == Verbosity::Verbose || output.screen().is_none();
    if all { u64::MAX } else { NAMED }
}

fn show(finding: &Finding, told: &Told<'_>, named: &AtomicU64, output: &Output) {
    if matches!(finding.outcome, Outcome::Equal(_)) || named.fetch_add(1, Relaxed) >= limit(output) {
        return;
    }
    output.data(&match output.format() {
        Format::Json => told::line(told, finding).to_string(),
        Format::Human => told::row(finding),
    });
}

/// The two places, as sides of a mirror that is never carried out.
fn task(args: &args::Verify, world: World<'_>) -> Result<(Task, Extras), Failure> {
    let run = RunArgs {
        how: HowArgs { dry_run: true, ..HowArgs::default() },
        scope: args.scope.clone(),
        pace: Pace { concurrency: args.concurrency, compare: args.compare, ..Pace::default() },
        ..RunArgs::default()
    };
    let aim = Aim { mode: Mode::Mirror, writes: &[Side::Dest], made: Made::Mirrored };
    let Some(second) = &args.second else {
        let Some(job) = world.config.job(&args.first) else {
            return Err(
                resolve::unknown_job(&args.first, world).hint("two places are compared by: mediasync verify SRC DST")
            );
        };
        // Each side of a two-way job is to have what the other one has.
        let copies = matches!(job.mode, Mode::Copy | Mode::CopyAndDelete);
        let extras = if copies || args.one_way { Extras::AreLeft } else { Extras::Differ };
        return Ok((resolve::job_task_for(job, aim, &run, world)?, extras));
    };
    let extras = if args.one_way { Extras::AreLeft } else { Extras::Differ };
    let (source, dest) = (end(&args.first, world)?, end(second, world)?);
    [&args.first, second].into_iter().try_for_each(|text| resolve::refuse_a_bare_name(text, world))?;
    Ok((resolve::places(source, dest, aim, &run)?, extras))
}
