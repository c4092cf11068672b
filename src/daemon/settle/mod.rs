//! When what a watcher saw is to be looked at.
//!
//! | sign | time |
//! |---|---|
//! | finished | at once, but for [`GRACE_NS`], in which a rename right after the close comes |
//! | being written | after [`QUIET_NS`] of quiet, at most [`LONGEST_NS`] after the first sign |
//! | touched | when it is to be looked at anyway, else after a settling round |
//! | gone | after a settling round in which nothing else went, with all that was synced below it; at most [`crate::manifest::LONGEST_AWAY`] after the first that went |
//! | moved | the new name at once if the old one was never synced: a temporary file that was moved into place. Else both as if both were gone, together: so a rename is seen as one, an editor's backup as nothing, and the old name is not deleted by a look that does not see whether the new one could be made |
//! | a file where a synced directory was | together with what was below that: one look deletes this and writes the file |
//! | a name that looks temporary | after a settling round |
//! | a directory appeared | all below it at once |
//! | a name that is no UTF-8 | no key has it: everything, before long |
//!
//! So whatever an editor does to save a file, there is one look, at the final name, while the name is there; and a
//! deletion is seen only after the name was away for a settling round. Every new sign of a key says anew when, earlier
//! or later: a file that comes back after it went is looked at at once.
//!
//! All times are of one [`Clock`], so that setting the system's clock changes nothing. Signs are kept in the manifest,
//! not in memory.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::temporary::looks_temporary;
use crate::manifest::{Dirty, Manifest, ManifestError, When};
use crate::model::Key;
use crate::replica::local::watch::{Lost, Missed, Sign};

/// How long a finished file waits for the rest of its story: a rename comes microseconds after the close.
pub const GRACE_NS: i64 = 10_000_000;
/// How long nothing may happen to a file that is being written. Also the settling round.
pub const QUIET_NS: i64 = 2_000_000_000;
/// The longest that a file waits that is written all the time.
pub const LONGEST_NS: i64 = 30_000_000_000;

/// The daemon's time: ns since the epoch, from the system's clock when it began, and from then on by the clock that
/// nobody sets.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began_ns: i64,
    began: Instant,
}

impl Clock {
    /// Begins now.
    pub fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began_ns: ns(wall), began: Instant::now() }
    }

    /// When it began: no other clock of this machine has the same.
    pub fn began_ns(&self) -> i64 {
        self.began_ns
    }

    /// The time.
    pub fn now_ns(&self) -> i64 {
        self.began_ns.saturating_add(ns(self.began.elapsed()))
    }

    /// When that is, for a timer.
    pub fn at(&self, time_ns: i64) -> Instant {
        let after = u64::try_from(time_ns.saturating_sub(self.began_ns)).unwrap_or(0);
        // A time beyond reach is a year away.
        let year = Duration::from_secs(365 * 24 * 60 * 60);
        self.began + Duration::from_nanos(after).min(self.began.elapsed() + year)
    }
}

/// What signs came to besides dirty keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noted {
    /// Everything has to be looked at, and the first reason.
    pub rescan: Option<Missed>,
    /// When something came or went that has no name, if so.
    pub nameless_ns: Option<i64>,
    /// The root is lost, as the last sign about that says.
    pub lost: Option<Lost>,
    /// When something is due next, of all that waits.
    pub next_ns: Option<i64>,
}

/// Writes signs down, in one transaction.
///
/// # Errors
/// [`ManifestError`]: they are not written, and the caller has to look at everything.
pub fn note(manifest: &Manifest, signs: &[Sign], now_ns: i64) -> Result<Noted, ManifestError> {
    let mut noted = Noted::default();
    let mut lines = Vec::with_capacity(signs.len());
    for sign in signs {
        match sign {
            Sign::Rescan(why) => {
                if *why == Missed::Returned {
                    noted.lost = None;
                }
                noted.rescan.get_or_insert_with(|| why.clone());
            }
            Sign::Lost(lost) => noted.lost = Some(lost.clone()),
            Sign::Nameless => noted.nameless_ns = Some(now_ns),
            sign => settle(sign, now_ns, manifest, &mut lines)?,
        }
    }
    if !lines.is_empty() {
        manifest.dirty_note(lines.iter().map(|(dirty, when)| (dirty, *when)), now_ns)?;
    }
    noted.next_ns = manifest.dirty_next()?;
    Ok(noted)
}

/// The lines of one sign.
fn settle(sign: &Sign, now_ns: i64, manifest: &Manifest, lines: &mut Vec<(Dirty, When)>) -> Result<(), ManifestError> {
    let (soon, round) = (When::At(now_ns + GRACE_NS), When::At(now_ns + QUIET_NS));
    let away = When::Away(now_ns + QUIET_NS);
    let whole = |key: &Key| if looks_temporary(key.name()) { round } else { soon };
    // What has the name of a directory that was synced has to wait until that is known to be gone, with all below it.
    let takes_place = |key: &Key| manifest.has_base_below(key);
    let gone = |key: &Key, lines: &mut Vec<(Dirty, When)>| {
        // What was never synced is no deletion: nothing that is one waits for it.
        let when = if manifest.has_base(key)? { away } else { round };
        lines.push((Dirty::itself(key.clone()), when));
        if manifest.has_base_below(key)? {
            lines.push((Dirty::below(key.clone()), away));
        }
        Ok::<_, ManifestError>(())
    };
    match sign {
        Sign::Finished(key) => {
            let when = if takes_place(key)? { away } else { whole(key) };
            lines.push((Dirty::itself(key.clone()), when));
        }
        Sign::Writing(key) => {
            let quiet = When::Quiet { at_ns: now_ns + QUIET_NS, most_ns: LONGEST_NS };
            lines.push((Dirty::itself(key.clone()), if takes_place(key)? { away } else { quiet }));
        }
        Sign::Touched(key) => lines.push((Dirty::itself(key.clone()), When::Anyway(now_ns + QUIET_NS))),
        Sign::Gone(key) => gone(key, lines)?,
        Sign::Moved { from, to } => {
            let when = if manifest.has_base(from)? || takes_place(to)? { away } else { whole(to) };
            gone(from, lines)?;
            lines.push((Dirty::itself(to.clone()), when));
        }
        Sign::MovedDirectory { from, to } => {
            let when = if manifest.has_base_below(from)? { away } else { soon };
            gone(from, lines)?;
            // What had the name before may have been a file.
            lines.push((Dirty::itself(to.clone()), when));
            lines.push((Dirty::below(to.clone()), when));
        }
        Sign::Below(dir) => {
            lines.push((Dirty::itself(dir.clone()), soon));
            lines.push((Dirty::below(dir.clone()), soon));
        }
        Sign::Nameless | Sign::Rescan(_) | Sign::Lost(_) => {}
    }
    Ok(())
}

fn ns(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
