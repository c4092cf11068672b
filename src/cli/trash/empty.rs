//! `trash empty`: deletes what is kept, for good.

use jiff::Timestamp;

use super::args::Empty;
use super::place::{Books, Place, named};
use super::told::{self, Outcome, Sums};
use super::{Consent, ask, leased, may_change};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::{Format, Output, Verbosity};
use crate::cli::place::{End, World};
use crate::cli::setup::Setup;
use crate::model::RunName;
use crate::replica::{KeptAs, Trashed};
use crate::sync::Stage;

pub(super) async fn empty(args: &Empty, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let output = &*setup.output;
    let all = named(&args.place, args.side, world)?;
    let (purpose, stage) = args.wish.purpose();
    if stage == Stage::Done {
        for meant in &all {
            may_change(&meant.end, Consent::Given, output).await?;
        }
        if Consent::of(args.wish.yes) == Consent::Missing {
            let places: Vec<String> = all.iter().map(|meant| meant.end.location.display()).collect();
            let places = places.join(" and of ");
            let what = match (&args.run, args.older_than) {
                (Some(run), _) => format!("what the run {run} put into the trash of {places}"),
                (None, Some(_)) => format!("what is that old in the trash of {places}"),
                (None, None) => format!("everything in the trash of {places}"),
            };
            ask(&format!("this deletes {what} for good"), "Do it?", output).await?;
        }
    }
    let ends: Vec<&End> = all.iter().map(|meant| &meant.end).collect();
    let books = Books::open(setup, &ends, purpose).await?;
    let mut places = Vec::new();
    for meant in &all {
        places.push(Place::contact(&meant.end, &books, purpose).await?);
    }
    let holds = leased::take(&mut places, purpose, (world, output)).await?;
    let work = async {
        let (mut worst, mut found) = (Exit::Done, false);
        for (meant, place) in all.iter().zip(&places) {
            let name = (all.len() > 1).then(|| meant.name());
            let sums = one(args, place, name.as_deref(), stage, output).await?;
            found |= sums != Sums::default();
            worst = worst.max(if sums.problems > 0 { Exit::Problems } else { Exit::Done });
        }
        Ok::<_, Failure>((worst, found))
    };
    let (worst, found) = leased::while_held(&holds, output, work).await?;
    match &args.run {
        // Of a run that is named something is expected; anything else may be empty already.
        Some(run) if !found && args.older_than.is_none() => {
            let places: Vec<String> = all.iter().map(|meant| meant.end.location.display()).collect();
            let message = format!("nothing of the run {run} is in the trash of {}", places.join(" or of "));
            Err(Failure::error(message).hint(format!("mediasync trash list{} shows what is", setup.repeated)))
        }
        _ => Ok(worst),
    }
}

/// Empties the trash of one place, which is named if there is another one.
async fn one(
    args: &Empty,
    place: &Place<'_>,
    name: Option<&str>,
    stage: Stage,
    output: &Output,
) -> Result<Sums, Failure> {
    let now_ns = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
    let goes = |run: &RunName| args.older_than.is_none_or(|seconds| run.is_expired(seconds, now_ns));
    let shown = place.replica.name();
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
                        Format::Json => output.data(&told::done(shown, kept, Outcome::Removed, stage)),
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
        Format::Json => output.data(&told::summary("empty", shown, &sums, stage, None)),
        Format::Human if output.verbosity() > Verbosity::Quiet => {
            output.data(&told::of(name, &told::emptied(&sums, stage)));
        }
        Format::Human => {}
    }
    if versions > 0 {
        output.say("note: the bucket's own versions stay in its history; its lifecycle rules delete them");
    }
    Ok(sums)
}
