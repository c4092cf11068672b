//! `trash empty`: deletes what is kept, for good.

use jiff::Timestamp;

use super::args::Empty;
use super::place::{Books, Place, named};
use super::told::{self, Outcome, Sums};
use super::{Consent, ask, may_change};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::{Format, Verbosity};
use crate::cli::place::World;
use crate::cli::setup::Setup;
use crate::model::RunName;
use crate::replica::{KeptAs, Trashed};
use crate::sync::Stage;

pub(super) async fn empty(args: &Empty, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let output = &*setup.output;
    let end = named(&args.place, world)?;
    let (purpose, stage) = args.wish.purpose();
    if stage == Stage::Done {
        let consent = Consent::of(args.wish.yes);
        may_change(&end, Consent::Given, output).await?;
        if consent == Consent::Missing {
            let what = match (&args.run, args.older_than) {
                (Some(run), _) => format!("what the run {run} put into the trash of {}", end.location.display()),
                (None, Some(_)) => format!("what is that old in the trash of {}", end.location.display()),
                (None, None) => format!("everything in the trash of {}", end.location.display()),
            };
            ask(&format!("This deletes {what} for good. Do it?"), output).await?;
        }
    }
    let books = Books::open(&setup.state_dir, &[&end], purpose)?;
    let place = Place::contact(&end, &books, purpose).await?;
    let now_ns = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
    let goes = |run: &RunName| args.older_than.is_none_or(|seconds| run.is_expired(seconds, now_ns));
    let (mut sums, mut versions) = (Sums::default(), 0_u64);
    let mut listing = place.listing(args.run.as_ref())?;
    while let Some(batch) = listing.next().await? {
        let old: Vec<Trashed> = batch.into_iter().filter(|kept| goes(&kept.run)).collect();
        versions += old.iter().filter(|kept| kept.kept_as != KeptAs::Copy).count() as u64;
        let results = match stage {
            Stage::Planned => vec![Ok(()); old.len()],
            Stage::Done => place.bin()?.discard(&old).await,
        };
        for (kept, result) in old.iter().zip(results) {
            match result {
                Ok(()) => {
                    if stage == Stage::Done {
                        place.forget(kept)?;
                    }
                    sums.add(Outcome::Removed, kept.size);
                    match output.format() {
                        Format::Json => output.data(&told::done(kept, Outcome::Removed, stage)),
                        Format::Human if stage == Stage::Planned || output.verbosity() == Verbosity::Verbose => {
                            output.data(&told::line(kept, Outcome::Removed));
                        }
                        Format::Human => {}
                    }
                }
                Err(error) => {
                    sums.problems += 1;
                    output.problem(None, &crate::survey::problem_of(&kept.key, &error));
                }
            }
        }
    }
    match output.format() {
        Format::Json => output.data(&told::summary("empty", &sums, stage, None)),
        Format::Human if output.verbosity() > Verbosity::Quiet => output.data(&told::emptied(&sums, stage)),
        Format::Human => {}
    }
    if versions > 0 {
        output.say("note: the bucket's own versions stay in its history; its lifecycle rules delete them");
    }
    Ok(if sums.problems > 0 { Exit::Problems } else { Exit::Done })
}
