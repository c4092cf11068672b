//! `trash list`: what is kept, the oldest run first. Changes nothing and takes no lock.

use super::args::List;
use super::place::{Books, Place, named};
use super::told;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::human;
use crate::cli::output::Format;
use crate::cli::place::{End, World};
use crate::cli::setup::Setup;
use crate::cli::wire::Purpose;

pub(super) async fn list(args: &List, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let mut worst = Exit::Done;
    let ends: Vec<(Option<&str>, Result<End, Failure>)> = match &args.place {
        Some(text) => vec![(world.config.job(text).map(|job| job.name.as_str()), named(text, world))],
        None if world.config.jobs.is_empty() => {
            return Err(Failure::usage("trash list needs a place: the configuration has no job")
                .hint("write mediasync trash list LOCATION"));
        }
        None => world.config.jobs.iter().map(|job| (Some(job.name.as_str()), named(&job.name, world))).collect(),
    };
    for (job, end) in ends {
        let result = match end {
            Ok(end) => one(job, &end, args, setup).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = result {
            setup.output.failure(job, &failure);
            worst = worst.max(failure.exit);
        }
    }
    Ok(worst)
}

async fn one(job: Option<&str>, end: &End, args: &List, setup: &Setup) -> Result<(), Failure> {
    let output = &*setup.output;
    let books = Books::open(&setup.state_dir, &[end], Purpose::Look)?;
    let place = Place::contact(end, &books, Purpose::Look).await?;
    let name = end.location.display();
    let (mut count, mut bytes) = (0, 0);
    let mut listing = place.listing(args.run.as_ref())?;
    while let Some(batch) = listing.next().await? {
        for kept in &batch {
            count += 1;
            bytes += kept.size;
            output.data(&match output.format() {
                Format::Json => told::trashed(job, &name, kept),
                Format::Human => told::row(kept, output.zone()),
            });
        }
    }
    output.say(&match count {
        0 => format!("{name}: nothing is in the trash"),
        _ => format!("{name}: {} in the trash ({})", human::files(count), human::size(bytes)),
    });
    Ok(())
}
