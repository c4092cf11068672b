//! `trash list`: what is kept, the oldest run first. Changes nothing and takes no lock.

use super::args::List;
use super::place::{Books, Meant, Place, named};
use super::told;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::human;
use crate::cli::output::Format;
use crate::cli::place::World;
use crate::cli::setup::Setup;
use crate::cli::wire::Purpose;
use crate::model::Side;

pub(super) async fn list(args: &List, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let mut worst = Exit::Done;
    let jobs = world.config.jobs.iter().map(|job| job.name.as_str());
    let places: Vec<&str> = match &args.place {
        Some(text) => vec![text],
        None if world.config.jobs.is_empty() => {
            return Err(Failure::usage("trash list needs a place: the configuration has no job")
                .hint("write mediasync trash list LOCATION"));
        }
        None => jobs.collect(),
    };
    for text in places {
        let job = world.config.job(text).map(|job| job.name.as_str());
        let all = match named(text, args.side, world) {
            Ok(all) => all,
            Err(failure) => {
                setup.output.failure(job, &failure);
                worst = worst.max(failure.exit);
                continue;
            }
        };
        let sides = all.len();
        for meant in all {
            let side = meant.side.filter(|_| sides > 1);
            if let Err(failure) = one(job, &meant, side, args, setup).await {
                setup.output.failure(job, &failure);
                worst = worst.max(failure.exit);
            }
        }
    }
    Ok(worst)
}

/// What one place keeps; with its `side` in each line where both sides are listed.
async fn one(job: Option<&str>, meant: &Meant, side: Option<Side>, args: &List, setup: &Setup) -> Result<(), Failure> {
    let output = &*setup.output;
    let books = Books::open(setup, &[&meant.end], Purpose::Look).await?;
    let place = Place::contact(&meant.end, &books, Purpose::Look).await?;
    let name = if side.is_some() { meant.name() } else { meant.end.location.display() };
    let (mut count, mut bytes) = (0, 0);
    let mut listing = place.listing(args.run.as_ref())?;
    while let Some(batch) = listing.next().await? {
        for kept in &batch {
            count += 1;
            bytes += kept.size;
            output.data(&match output.format() {
                Format::Json => told::trashed(job, meant, kept),
                Format::Human => told::row(kept, side, output.zone()),
            });
        }
    }
    output.say(&match count {
        0 => format!("{name}: nothing is in the trash"),
        _ => format!("{name}: {} in the trash ({})", human::files(count), human::size(bytes)),
    });
    Ok(())
}
