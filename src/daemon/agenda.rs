//! What a job does next, and when. Pure: times come in, in nanoseconds of the daemon's clock.
//!
//! What was seen to change is looked at when it is due; the watched side as a whole at every `scan`, both sides at every
//! `list` and at every slot of a schedule. The larger look does the work of the smaller one.

use super::state::Look;

const SECOND: i64 = 1_000_000_000;
/// After a failure it waits this long, and twice as long after each further one.
const FIRST_RETRY: i64 = SECOND;
/// But never longer.
const LAST_RETRY: i64 = 60 * SECOND;
/// How long it waits for another process that works on the pair.
pub const STAND_BY: i64 = 10 * SECOND;
/// After a halt, changes are looked at again at most this often: somebody may have put right what was wrong.
const RECONSIDER: i64 = 60 * SECOND;
/// And at least this often, though nothing changed here: what was wrong may have been at the other side. Of a halt that
/// was found by looking at both sides each time is a listing: where changes go on, it comes half as often each time.
const RECONSIDER_ALL: i64 = 600 * SECOND;
/// Where not all changes are seen, the watched side is looked at this often.
const BLIND_SCAN: i64 = 5 * 60 * SECOND;
/// A rescan waits for as much quiet, and at most for so long: what overflowed is still going on.
const CALM: i64 = SECOND;
const LONGEST_STORM: i64 = 10 * SECOND;
/// What came or went without a name is told by a look at all of the watched side, at most this often.
const NAMELESS: i64 = 10 * SECOND;

/// How often all is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// The watched side, ns; `None` if no side is watched.
    pub scan_ns: Option<i64>,
    /// Both sides, ns; `None` for jobs that nobody watches: they go by their schedule.
    pub list_ns: Option<i64>,
}

/// What a job does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agenda {
    rhythm: Rhythm,
    paused: bool,
    /// What has to be looked at soon.
    wanted: Option<Wanted>,
    scan_at: i64,
    list_at: i64,
    slot_at: Option<i64>,
    dirty_at: Option<i64>,
    retry: Option<Retry>,
    halted: Option<Halted>,
    /// When something without a name came or went, as far as no look told of it.
    nameless: Option<Nameless>,
    /// Whether all changes are seen.
    sees_all: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Nameless {
    at_ns: i64,
    /// A cycle that began before does not do it.
    last_ns: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    look: Look,
    /// When it was wanted first, and last: a cycle that began before the last time does not do it.
    from_ns: i64,
    last_ns: i64,
    at_ns: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Retry {
    at_ns: i64,
    tries: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Halted {
    since_ns: i64,
    stirred: bool,
    /// What found it. A smaller look that finds nothing wrong says nothing about it.
    look: Look,
    /// How often it was looked at again.
    tries: u32,
}

impl Halted {
    /// When it is looked at again, and at what.
    fn again(&self) -> (i64, Look) {
        match (self.look, self.stirred) {
            (Look::Both, true) => {
                (self.since_ns + RECONSIDER.saturating_mul(1 << self.tries.min(10)).min(RECONSIDER_ALL), Look::Both)
            }
            (Look::Both, false) => (self.since_ns + RECONSIDER_ALL, Look::Both),
            (_, true) => (self.since_ns + RECONSIDER, Look::Watched),
            (_, false) => (self.since_ns + RECONSIDER_ALL, Look::Watched),
        }
    }

    /// The look that is taken instead of another one, so that it can end the halt.
    fn at_least(&self, look: Look) -> Look {
        if self.look == Look::Both { Look::Both } else { look }
    }
}

/// What is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A cycle.
    Do(Look),
    /// Nothing before this time; `None`: nothing by itself.
    Wait(Option<i64>),
}

impl Agenda {
    /// A job that begins: a watched one looks at both sides first.
    pub fn new(rhythm: Rhythm, now_ns: i64) -> Self {
        let begins =
            rhythm.list_ns.map(|_| Wanted { look: Look::Both, from_ns: now_ns, last_ns: now_ns, at_ns: now_ns });
        Self {
            rhythm,
            paused: false,
            wanted: begins,
            scan_at: i64::MAX,
            list_at: i64::MAX,
            slot_at: None,
            dirty_at: None,
            retry: None,
            halted: None,
            nameless: None,
            sees_all: true,
        }
    }

    /// What is next at `now_ns`.
    pub fn next(&self, now_ns: i64) -> Next {
        if self.paused {
            return Next::Wait(None);
        }
        if let Some(retry) = self.retry.filter(|retry| retry.at_ns > now_ns) {
            return Next::Wait(Some(retry.at_ns));
        }
        let wanted = |look| self.wanted.filter(|wanted| wanted.look == look).map(|wanted| wanted.at_ns);
        let changes = match self.halted {
            None => self.dirty_at.map(|at| (at, Look::Changes)),
            // Nothing of it is done by itself until all of it may be.
            Some(halted) => Some(halted.again()),
        };
        let mut all = vec![(self.list_at, Look::Both), (self.scan_at, Look::Watched)];
        all.extend(wanted(Look::Both).map(|at| (at, Look::Both)));
        all.extend(self.slot_at.map(|at| (at, Look::Both)));
        all.extend(wanted(Look::Watched).map(|at| (at, Look::Watched)));
        all.extend(self.nameless.map(|nameless| (nameless.at_ns, Look::Watched)));
        all.extend(changes);
        let due = all.iter().filter(|(at, _)| *at <= now_ns).map(|(_, look)| *look).max_by_key(|look| weight(*look));
        match due {
            Some(look) => Next::Do(self.halted.map_or(look, |halted| halted.at_least(look))),
            None => Next::Wait(all.into_iter().map(|(at, _)| at).min().filter(|at| *at < i64::MAX)),
        }
    }

    /// Whether changes are due, and nothing speaks against looking at them by themselves.
    pub fn has_changes(&self, now_ns: i64) -> bool {
        let open = !self.paused && self.halted.is_none() && self.retry.is_none_or(|retry| retry.at_ns <= now_ns);
        open && self.dirty_at.is_some_and(|at| at <= now_ns)
    }

    /// When the next of what was seen to change is due, or was.
    pub fn changes_at(&self) -> Option<i64> {
        self.dirty_at
    }

    /// A cycle that began at `began_ns` ended well, or with problems of single keys.
    pub fn finished(&mut self, look: Look, began_ns: i64, now_ns: i64) {
        (self.retry, self.halted) = (None, None);
        self.looked(look, began_ns, now_ns);
    }

    /// A guard refused a cycle that began at `began_ns`.
    pub fn halted(&mut self, look: Look, began_ns: i64, now_ns: i64) {
        self.retry = None;
        let tries = self.halted.map_or(0, |halted| halted.tries.saturating_add(1));
        self.halted = Some(Halted { since_ns: now_ns, stirred: false, look, tries });
        self.looked(look, began_ns, now_ns);
    }

    fn looked(&mut self, look: Look, began_ns: i64, now_ns: i64) {
        let after = |interval: Option<i64>| interval.map_or(i64::MAX, |interval| now_ns.saturating_add(interval));
        match look {
            Look::Changes => return,
            Look::Watched => {}
            Look::Both => self.list_at = after(self.rhythm.list_ns),
        }
        self.scan_at = after(self.scan_interval());
        // One that came during this look comes after as long a wait as the first.
        self.nameless = self.nameless.filter(|nameless| nameless.last_ns > began_ns);
        if let Some(nameless) = &mut self.nameless {
            nameless.at_ns = now_ns.saturating_add(NAMELESS);
        }
        let does = |wanted: Wanted| weight(wanted.look) <= weight(look) && wanted.last_ns <= began_ns;
        if self.wanted.is_some_and(does) {
            self.wanted = None;
        }
    }

    /// It failed; what was to be done is still to be done. Returns when it is tried again.
    pub fn failed(&mut self, look: Look, now_ns: i64) -> i64 {
        let tries = self.retry.map_or(0, |retry| retry.tries) + 1;
        let wait = FIRST_RETRY.saturating_mul(1 << (tries - 1).min(10)).min(LAST_RETRY);
        self.again(look, now_ns, Retry { at_ns: now_ns + wait, tries })
    }

    /// Others work on the pair, and are waited for so long, ns. Returns when it is tried again.
    pub fn stand_by(&mut self, look: Look, now_ns: i64, wait: i64) -> i64 {
        let tries = self.retry.map_or(0, |retry| retry.tries);
        self.again(look, now_ns, Retry { at_ns: now_ns.saturating_add(wait), tries })
    }

    fn again(&mut self, look: Look, now_ns: i64, retry: Retry) -> i64 {
        self.retry = Some(retry);
        // Changes stay in the dirty set.
        if look != Look::Changes {
            self.want(look, now_ns);
        }
        retry.at_ns
    }

    /// How often it failed in a row.
    pub fn tries(&self) -> u32 {
        self.retry.map_or(0, |retry| retry.tries)
    }

    /// All of the watched side, or both, has to be looked at as soon as possible.
    pub fn want(&mut self, look: Look, now_ns: i64) {
        let look = if self.rhythm.scan_ns.is_none() { Look::Both } else { look };
        let wider =
            self.wanted.map_or(look, |wanted| if weight(wanted.look) > weight(look) { wanted.look } else { look });
        self.wanted = Some(Wanted { look: wider, from_ns: now_ns, last_ns: now_ns, at_ns: now_ns });
    }

    /// All of the watched side, or both, has to be looked at by this time.
    pub fn later(&mut self, look: Look, at_ns: i64, now_ns: i64) {
        if self.wanted.is_none() {
            self.want(look, now_ns);
            self.wanted = self.wanted.map(|wanted| Wanted { at_ns, ..wanted });
        }
    }

    /// A person wants it now: no waiting after failures.
    pub fn now(&mut self, now_ns: i64) {
        self.retry = None;
        self.want(Look::Both, now_ns);
    }

    /// Signs were lost: everything has to be looked at, when it is quiet.
    pub fn rescan(&mut self, now_ns: i64) {
        let from_ns = self.wanted.map_or(now_ns, |wanted| wanted.from_ns);
        let look = self.wanted.map_or(Look::Watched, |wanted| wanted.look);
        let at_ns = (now_ns + CALM).min(from_ns + LONGEST_STORM);
        self.wanted = Some(Wanted { look, from_ns, last_ns: now_ns, at_ns });
    }

    /// Something came or went that has no name.
    pub fn nameless(&mut self, now_ns: i64) {
        let at_ns = self.nameless.map_or(now_ns.saturating_add(NAMELESS), |nameless| nameless.at_ns);
        self.nameless = Some(Nameless { at_ns, last_ns: now_ns });
    }

    /// Something was seen to change; the next of it is due at `next_ns`.
    pub fn dirty(&mut self, next_ns: Option<i64>, now_ns: i64) {
        self.dirty_at = next_ns;
        if let Some(halted) = &mut self.halted {
            halted.stirred = true;
        }
        // A rescan waits for quiet.
        if let Some(wanted) = &mut self.wanted
            && wanted.at_ns > now_ns
        {
            wanted.at_ns = (now_ns + CALM).min(wanted.from_ns + LONGEST_STORM);
        }
    }

    /// When the next dirty key is due, after some were done.
    pub fn set_dirty(&mut self, next_ns: Option<i64>) {
        self.dirty_at = next_ns;
    }

    /// When the schedule wants it next.
    pub fn set_slot(&mut self, slot_at: Option<i64>) {
        self.slot_at = slot_at;
    }

    /// Whether all changes are seen.
    pub fn set_sees_all(&mut self, sees_all: bool, now_ns: i64) {
        if self.sees_all != sees_all {
            self.sees_all = sees_all;
            let soon = self.scan_interval().map_or(i64::MAX, |interval| now_ns.saturating_add(interval));
            self.scan_at = self.scan_at.min(soon);
        }
    }

    /// Stops, or goes on.
    pub fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Whether a person paused it.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    fn scan_interval(&self) -> Option<i64> {
        let interval = self.rhythm.scan_ns?;
        Some(if self.sees_all { interval } else { interval.min(BLIND_SCAN) })
    }
}

fn weight(look: Look) -> u8 {
    match look {
        Look::Changes => 0,
        Look::Watched => 1,
        Look::Both => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600 * SECOND;

    fn watching() -> Agenda {
        let mut agenda = Agenda::new(Rhythm { scan_ns: Some(HOUR), list_ns: Some(24 * HOUR) }, 0);
        assert_eq!(agenda.next(0), Next::Do(Look::Both));
        agenda.finished(Look::Both, 0, 0);
        agenda
    }

    #[test]
    fn an_idle_day_is_a_listing_and_a_scan_an_hour() {
        let mut agenda = watching();
        let (mut now, mut looks) = (0, Vec::new());
        while looks.len() < 24 {
            match agenda.next(now) {
                Next::Do(look) => {
                    looks.push(look);
                    agenda.finished(look, now, now);
                }
                Next::Wait(Some(at)) => {
                    assert!(at > now);
                    now = at;
                }
                Next::Wait(None) => panic!("it stopped"),
            }
        }
        assert_eq!((now, looks.iter().filter(|look| **look == Look::Watched).count()), (24 * HOUR, 23));
    }

    #[test]
    fn changes_are_looked_at_when_they_are_due() {
        let mut agenda = watching();
        agenda.dirty(Some(500), 10);
        assert_eq!((agenda.next(10), agenda.next(500)), (Next::Wait(Some(500)), Next::Do(Look::Changes)));
        agenda.finished(Look::Changes, 600, 600);
        agenda.set_dirty(None);
        assert_eq!(agenda.next(600), Next::Wait(Some(HOUR)));
    }

    #[test]
    fn failures_wait_longer_each_time_and_forget_nothing() {
        let mut agenda = watching();
        agenda.dirty(Some(10), 5);
        let mut now = 10;
        let mut waits = Vec::new();
        for _ in 0..9 {
            assert_eq!(agenda.next(now), Next::Do(Look::Changes));
            let at = agenda.failed(Look::Changes, now);
            assert_eq!(agenda.next(now), Next::Wait(Some(at)));
            waits.push((at - now) / SECOND);
            now = at;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        agenda.finished(Look::Changes, now, now);
        assert_eq!(agenda.failed(Look::Both, now) - now, SECOND, "a success begins anew");
        assert_eq!(agenda.next(now + SECOND), Next::Do(Look::Both), "and what was wanted is wanted still");
        agenda.now(now);
        assert_eq!(agenda.next(now), Next::Do(Look::Both), "a person does not wait");
    }

    #[test]
    fn a_halt_is_reconsidered_when_something_changes_and_not_more_than_once_a_minute() {
        let mut agenda = watching();
        agenda.dirty(Some(10), 5);
        agenda.halted(Look::Changes, 10, 10);
        assert_eq!(agenda.next(20), Next::Wait(Some(10 + RECONSIDER_ALL)), "what is dirty stays so");
        agenda.dirty(Some(10), 30);
        assert_eq!(agenda.next(40), Next::Wait(Some(10 + RECONSIDER)));
        assert_eq!(agenda.next(10 + RECONSIDER), Next::Do(Look::Watched));
        agenda.finished(Look::Watched, 11 + RECONSIDER, 11 + RECONSIDER);
        agenda.dirty(Some(12 + RECONSIDER), 12 + RECONSIDER);
        assert_eq!(agenda.next(12 + RECONSIDER), Next::Do(Look::Changes));
    }

    #[test]
    fn a_halt_of_both_sides_is_ended_by_a_look_at_both_only() {
        let mut agenda = watching();
        agenda.halted(Look::Both, 10, 10);
        assert_eq!(agenda.next(30), Next::Wait(Some(10 + RECONSIDER_ALL)));
        assert_eq!(agenda.next(10 + RECONSIDER_ALL), Next::Do(Look::Both));
        agenda.dirty(Some(20), 20);
        assert_eq!(agenda.next(30), Next::Wait(Some(10 + RECONSIDER)), "somebody may have put it right");
        assert_eq!(agenda.next(10 + RECONSIDER), Next::Do(Look::Both));
        agenda.rescan(30);
        assert_eq!(agenda.next(30 + CALM), Next::Do(Look::Both), "as soon as something else wants a look");
        agenda.finished(Look::Both, 30 + CALM, 30 + CALM);
        agenda.rescan(40 + CALM);
        assert_eq!(agenda.next(40 + 2 * CALM), Next::Do(Look::Watched));
    }

    #[test]
    fn a_halt_of_both_sides_is_not_listed_again_every_minute_while_changes_go_on() {
        let mut agenda = watching();
        let (mut now, mut waits) = (0, Vec::new());
        for _ in 0..7 {
            agenda.halted(Look::Both, now, now);
            agenda.dirty(Some(now), now);
            let Next::Wait(Some(at)) = agenda.next(now) else { panic!("at once") };
            waits.push((at - now) / SECOND);
            now = at;
        }
        assert_eq!(waits, [60, 120, 240, 480, 600, 600, 600]);
        agenda.finished(Look::Both, now, now);
        agenda.halted(Look::Both, now, now);
        agenda.dirty(Some(now), now);
        assert_eq!(agenda.next(now), Next::Wait(Some(now + RECONSIDER)), "another halt begins anew");
    }

    #[test]
    fn a_storm_is_waited_out_but_not_for_ever() {
        let mut agenda = watching();
        agenda.rescan(0);
        assert_eq!(agenda.next(CALM - 1), Next::Wait(Some(CALM)));
        let mut now = 0;
        while now < LONGEST_STORM {
            agenda.rescan(now);
            agenda.dirty(Some(i64::MAX - 1), now);
            now += CALM / 2;
        }
        assert_eq!(agenda.next(LONGEST_STORM), Next::Do(Look::Watched));
    }

    #[test]
    fn what_is_lost_while_a_cycle_runs_is_looked_for_after_it() {
        let mut agenda = watching();
        agenda.rescan(100);
        agenda.finished(Look::Both, 99, 200);
        assert_eq!(agenda.next(100 + CALM), Next::Do(Look::Watched));
        agenda.finished(Look::Watched, 100 + CALM, 101 + CALM);
        assert_eq!(agenda.next(102 + CALM), Next::Wait(Some(101 + CALM + HOUR)));
    }

    #[test]
    fn what_has_no_name_is_looked_for_by_one_look_however_often_it_comes() {
        let mut agenda = watching();
        let mut looks = Vec::new();
        for now in 0..35 {
            agenda.nameless(now * SECOND);
            if let Next::Do(look) = agenda.next(now * SECOND) {
                looks.push((now, look));
                agenda.finished(look, now * SECOND, now * SECOND);
            }
        }
        assert_eq!(looks, [(10, Look::Watched), (21, Look::Watched), (32, Look::Watched)]);
        // It came while a look was under way, which may not have seen it.
        agenda.nameless(40 * SECOND);
        agenda.finished(Look::Both, 39 * SECOND, 41 * SECOND);
        assert_eq!(agenda.next(41 * SECOND), Next::Wait(Some(41 * SECOND + NAMELESS)));
        agenda.finished(Look::Both, 42 * SECOND, 43 * SECOND);
        assert_eq!(agenda.next(43 * SECOND), Next::Wait(Some(43 * SECOND + HOUR)), "any look at all does it");
    }

    #[test]
    fn the_larger_look_does_the_work_of_the_smaller_one() {
        let mut agenda = watching();
        agenda.dirty(Some(1), 1);
        agenda.want(Look::Watched, 1);
        agenda.set_slot(Some(1));
        assert_eq!(agenda.next(2), Next::Do(Look::Both));
        agenda.set_slot(None);
        agenda.finished(Look::Both, 2, 2);
        agenda.set_dirty(None);
        assert_eq!(agenda.next(3), Next::Wait(Some(2 + HOUR)));
    }

    #[test]
    fn where_not_all_is_seen_scans_come_more_often() {
        let mut agenda = watching();
        agenda.set_sees_all(false, 7);
        assert_eq!(agenda.next(8), Next::Wait(Some(7 + BLIND_SCAN)));
        agenda.finished(Look::Watched, 7 + BLIND_SCAN, 7 + BLIND_SCAN);
        assert_eq!(agenda.next(8 + BLIND_SCAN), Next::Wait(Some(7 + 2 * BLIND_SCAN)));
    }

    #[test]
    fn a_job_that_nobody_watches_goes_by_its_schedule_and_a_paused_one_does_nothing() {
        let mut agenda = Agenda::new(Rhythm { scan_ns: None, list_ns: None }, 0);
        assert_eq!(agenda.next(0), Next::Wait(None));
        agenda.set_slot(Some(50));
        assert_eq!((agenda.next(0), agenda.next(50)), (Next::Wait(Some(50)), Next::Do(Look::Both)));
        agenda.set_paused(true);
        assert_eq!(agenda.next(50), Next::Wait(None));
    }
}
