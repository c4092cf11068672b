//! When a job looks though nobody saw a change: at the times of its schedule, and where a server may still do what a killed
//! or failed run asked of it.

use tokio::time::Instant;

use super::{Job, far};
use crate::daemon::runner::{Outcome, Sight};
use crate::manifest::{Dirty, ManifestError, When};
use crate::model::Key;
use crate::schedule::{Due as Slot, Schedule};

impl Job {
    /// When the schedule wants it, by the daemon's clock.
    pub(super) fn plan_slot(&mut self) {
        let Some(schedule) = &self.parts.schedule else { return };
        let (wall, now) = ((self.parts.wall)(), self.now());
        let wait = match (schedule, self.last_both_ns) {
            // The clock on the wall may be set; this one can't.
            (Schedule::Every(every), Some(last)) => {
                last.saturating_add(i64::try_from(every.as_nanos()).unwrap_or(i64::MAX)).saturating_sub(now)
            }
            _ => match schedule.due(self.last_started, wall) {
                Slot::Now(_) => 0,
                Slot::At(slot) => i64::try_from(slot.as_nanosecond() - wall.as_nanosecond()).unwrap_or(i64::MAX),
            },
        };
        let wait = wait.max(0);
        self.agenda.set_slot(Some(now.saturating_add(wait)));
        let slot = i64::try_from(wall.as_nanosecond()).unwrap_or(i64::MAX).saturating_add(wait);
        self.told(|job| job.next_ns = Some(slot));
    }

    /// When to look at the clock again, at the latest: that on the wall may be set.
    pub(super) fn nap(&self) -> Instant {
        // While the pair is closed it can't be noted, and a look by itself opens it.
        let late = self.late.values().min().filter(|_| self.held.is_some());
        let late = late.map_or_else(far, |at| self.parts.clock.at(*at));
        match &self.parts.schedule {
            Some(_) => late.min(Instant::now() + crate::schedule::LONGEST_NAP),
            None => late,
        }
    }

    /// Remembers where a server may still do something. It is no change that anybody saw, so the job is no less in sync.
    pub(super) fn remember_late(&mut self, sight: &Sight, outcome: &Outcome, now: i64) {
        self.late.retain(|key, _| !sight.scope.holds(key));
        // A job that nobody watches looks at both sides each time.
        if self.parts.rhythm.scan_ns.is_some() {
            self.late.extend(outcome.left.late.iter().map(|(key, wait)| (key.clone(), now.saturating_add(*wait))));
        }
    }

    /// Has looked at what is due of it. What becomes due while the pair is closed is looked at once it is open: after a
    /// failure that may be for changes only.
    pub(super) fn expect_late(&mut self) {
        let Some(held) = self.held.clone() else { return };
        let now = self.now();
        let due: Vec<Key> = self.late.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect();
        if due.is_empty() {
            return;
        }
        self.late.retain(|_, at| *at > now);
        let lines: Vec<Dirty> = due.into_iter().map(Dirty::itself).collect();
        let note = || -> Result<Option<i64>, ManifestError> {
            held.manifest().dirty_note(lines.iter().map(|line| (line, When::Anyway(now))), now)?;
            held.manifest().dirty_next()
        };
        match note() {
            Ok(next) => self.agenda.set_dirty(next),
            Err(_) => self.agenda.rescan(now),
        }
    }
}
