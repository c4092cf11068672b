//! Of a job with `lease = true`, one host at a time changes something: `trash` is no exception.
//!
//! Meant is the place, however it was named: what has the lease of a job there is not changed without it.

use super::place::Place;
use crate::cli::failure::Failure;
use crate::cli::lease;
use crate::cli::output::Output;
use crate::cli::place::World;
use crate::cli::resolve;
use crate::cli::wire::Purpose;
use crate::lease::{Claim, Foreign, Hold, lies_at, while_all_held};
use crate::location::Location;
use crate::model::Side;

/// Takes the leases of places that are to be changed; each is behind a fence afterwards.
///
/// # Errors
/// Another host holds one, or a place can't hold one.
pub(super) async fn take(
    places: &mut [Place<'_>],
    purpose: Purpose,
    (world, output): (World<'_>, &Output),
) -> Result<Vec<Hold>, Failure> {
    let mut holds = Vec::new();
    if purpose == Purpose::Look {
        return Ok(holds);
    }
    for place in places {
        let Some((claim, other)) = claim(&place.canonical, world, output) else { continue };
        let manifest = place.books.between(&place.canonical, &other).map(|(manifest, _)| manifest);
        let hold = Hold::take(&place.replica, &claim, manifest).await?;
        place.replica = hold.fenced();
        holds.push(hold);
    }
    Ok(holds)
}

/// Does `work` as long as all of them are held.
pub(super) async fn while_held<T>(
    holds: &[Hold],
    output: &Output,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    while_all_held(holds, |text| output.warn(text), work).await
}

/// What the lease at a place is claimed by, and the other side of the job that has it there.
fn claim(place: &str, world: World<'_>, output: &Output) -> Option<(Claim, String)> {
    for job in world.config.jobs.iter().filter(|job| job.daemon.lease) {
        let (source, dest) = match resolve::job_ends(job, world) {
            Ok(ends) => ends,
            // Whatever is wrong with another job must not keep anybody from a backup.
            Err(failure) => {
                let (name, why) = (&job.name, &failure.message);
                output.warn(&format!("{name} has lease = true, and nobody can tell where its lease lies: {why}"));
                continue;
            }
        };
        let is_shared = |side: Side| {
            let end = if side == Side::Source { &source } else { &dest };
            !matches!(end.location, Location::Local(_))
        };
        let (at, other) = match lies_at(job.mode.writes(), is_shared) {
            Side::Source => (&source, &dest),
            Side::Dest => (&dest, &source),
        };
        if at.location.canonical() == place {
            return Some((lease::claim(job, Foreign::Watch)?, other.location.canonical()));
        }
    }
    None
}
