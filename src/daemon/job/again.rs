//! What could not be handled is tried again, less often each time. What somebody goes on writing waits until it is quiet.

use super::{Job, Peers, SECOND};
use crate::daemon::runner::{Failed, Outcome, Sight};
use crate::daemon::settle::{Noted, QUIET_NS};
use crate::daemon::state::Look;
use crate::manifest::{Dirty, Due, Manifest, ManifestError};
use crate::model::{Key, ProblemKind, Reach};
use crate::replica::local::watch::Sign;

/// A key that could not be handled is tried again after this time, and after twice as long each further time.
const FIRST: i64 = SECOND / 5;
const LAST: i64 = 300 * SECOND;
/// A file that changes all the time is tried for all that after so long, and as often.
const PATIENCE: i64 = 300 * SECOND;
/// Keys that are remembered. With more, all is looked at again after [`OVERFLOW`].
pub(super) const REMEMBERED: usize = 1_000;
const OVERFLOW: i64 = 300 * SECOND;

/// A key that could not be handled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Again {
    tries: u32,
    first_ns: i64,
    /// Not before this time.
    until_ns: i64,
    /// Whether it changed while it was handled: each try sends it in vain.
    is_changing: bool,
}

impl Job {
    /// Takes what was looked at out of the dirty set, and puts back what has to be looked at again.
    pub(super) fn put_back(
        &mut self,
        manifest: &Manifest,
        sight: &Sight,
        due: &Due,
        outcome: &Outcome,
    ) -> Result<(), Failed> {
        let now = self.now();
        self.remember_late(sight, outcome, now);
        let mut failing: Vec<Key> = outcome.stuck.clone();
        // What is in conflict with what another host wrote is settled by that host.
        if self.parts.peers == Peers::Hosts {
            failing.extend(outcome.conflicts.iter().map(|conflict| conflict.key.clone()));
        }
        failing.sort_unstable();
        failing.dedup();
        match sight.look {
            Look::Changes => manifest.dirty_clear(&due.dirty, due.mark)?,
            Look::Watched | Look::Both => manifest.dirty_reset(due.mark)?,
        }
        self.again.retain(|key, _| !sight.scope.holds(key) || failing.binary_search(key).is_ok());
        let mut forgotten = outcome.stuck.len() >= REMEMBERED;
        for key in failing {
            let before = self.again.get(&key).copied();
            if before.is_none() && self.again.len() >= REMEMBERED {
                forgotten = true;
                break;
            }
            let is_changing = outcome.problems.iter().any(|problem| {
                problem.kind == ProblemKind::Changed && problem.reach.as_ref() == Some(&Reach::Key(key.clone()))
            });
            let tries = before.map_or(0, |before| before.tries);
            // Trying takes its time, and may be in vain: at most a third of all time goes into it.
            let took = if is_changing { now.saturating_sub(sight.mark.now_ns()).saturating_mul(2) } else { 0 };
            let wait = FIRST.saturating_mul(1 << tries.min(20)).max(took).min(LAST);
            let first_ns = before.map_or(now, |before| before.first_ns);
            // A look that begins now may be the one that a sign meanwhile asks for; both come.
            manifest.dirty_defer([&Dirty::itself(key.clone())], due.mark, now + wait)?;
            if is_changing {
                manifest.dirty_hold(&key, now + wait)?;
            }
            self.again.insert(key, Again { tries: tries + 1, first_ns, until_ns: now + wait, is_changing });
        }
        if forgotten {
            self.agenda.later(Look::Watched, now + OVERFLOW, now);
        }
        Ok(())
    }

    /// What is told of a key that went is true no more, also while nothing can be looked at. One that comes back is looked at
    /// again, and until then it is as it was.
    pub(super) fn outdate(&mut self, signs: &[Sign]) {
        if self.left.is_empty() && self.again.is_empty() {
            return;
        }
        let before = self.gone.len();
        for sign in signs {
            match sign {
                Sign::Gone(key) => self.went(key),
                Sign::Moved { from, to } => {
                    self.went(from);
                    self.gone.remove(to);
                }
                Sign::MovedDirectory { from, to } => {
                    self.went(from);
                    self.gone.retain(|key| !key.is_below(to.as_str()));
                }
                Sign::Finished(key) | Sign::Writing(key) => {
                    self.gone.remove(key);
                }
                Sign::Below(dir) => self.gone.retain(|key| !key.is_below(dir.as_str())),
                Sign::Touched(_) | Sign::Nameless | Sign::Rescan(_) | Sign::Lost(_) => {}
            }
        }
        if self.gone.len() != before {
            self.tell_left();
        }
    }

    /// The name, and all below it: keys that begin with it stand together.
    fn went(&mut self, name: &Key) {
        let known =
            self.left.range(name..).map(|(key, _)| key).take_while(|key| key.as_str().starts_with(name.as_str()));
        let tried =
            self.again.range(name..).map(|(key, _)| key).take_while(|key| key.as_str().starts_with(name.as_str()));
        let went = known.chain(tried).filter(|key| *key == name || key.is_below(name.as_str()));
        self.gone.extend(went.cloned());
    }

    /// A file that is written all the time would be due with every write.
    pub(super) fn hold_back(
        &self,
        manifest: &Manifest,
        signs: &[Sign],
        noted: Noted,
        now: i64,
    ) -> Result<Noted, ManifestError> {
        if self.again.is_empty() {
            return Ok(noted);
        }
        for sign in signs {
            let (Sign::Finished(key) | Sign::Writing(key)) = sign else { continue };
            let Some(again) = self.again.get(key).filter(|again| again.is_changing) else { continue };
            let quiet = if now < again.first_ns + PATIENCE { now + QUIET_NS } else { now };
            manifest.dirty_hold(key, again.until_ns.max(quiet))?;
        }
        Ok(Noted { next_ns: manifest.dirty_next()?, ..noted })
    }
}
