//! Small changes do not wait for a large file: cycles beside the one that is carried out ([`crate::lanes`]).

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};

use super::{Flow, Job, MOST, Peers, far, heard};
use crate::daemon::agenda::Next;
use crate::daemon::runner::{Failed, Held, Outcome, Sight};
use crate::daemon::state::{Look, Phase, Running};
use crate::lanes::Began;
use crate::manifest::{Dirty, Due, Manifest, ManifestError, Mark};
use crate::model::{Key, Scope};
use crate::sync::Progress;

/// A cycle beside another one.
pub(super) type Side = LocalBoxFuture<'static, Ended>;

/// How it ended.
pub(super) struct Ended {
    held: Rc<dyn Held>,
    sight: Sight,
    due: Due,
    progress: Arc<Progress>,
    started: Timestamp,
    result: Result<Outcome, Failed>,
}

/// What the cycles beside each other leave to one another.
#[derive(Default)]
pub(super) struct Crowd {
    /// Whose pair it is.
    held: Option<Rc<dyn Held>>,
    /// What those under way are about: their lines stay in the dirty set until they end.
    taken: Vec<Due>,
    /// What only a cycle that runs alone may do, and the signs that were known then.
    alone: HashMap<Key, Mark>,
    /// What another one had in hand, and how often something had been let go then ([`Lanes::freed`]).
    in_hand: HashMap<Key, u64>,
    /// What was known when it was last looked for something to do, and when to look again though nothing happens.
    looked: Option<(Mark, u64)>,
    again_ns: Option<i64>,
}

impl Job {
    /// A cycle that may do everything begins.
    pub(super) fn begin_alone(&mut self, held: &Rc<dyn Held>, due: &Due) {
        self.crowd = Crowd { held: Some(Rc::clone(held)), taken: vec![due.clone()], ..Crowd::default() };
    }

    /// It ended; others may go on.
    pub(super) fn end_alone(&mut self, due: &Due) {
        self.crowd.taken.retain(|taken| taken != due);
    }

    /// Begins a cycle over what is due beside what is carried out now.
    pub(super) fn go_beside(&mut self) {
        let now = self.now();
        let may = self.parts.peers == Peers::None
            && self.parts.rhythm.scan_ns.is_some()
            && self.lost.is_none()
            && self.agenda.has_changes(now)
            && self.lanes.has_room();
        let Some(held) = self.held.as_ref().filter(|_| may).map(Rc::clone) else { return };
        // What can't be read now is read by the next cycle, which tells.
        let Ok(Some(due)) = self.due_beside(held.manifest(), now) else { return };
        let scope = Scope::of_keys(due.dirty.iter().map(|dirty| dirty.key.clone()));
        let sight = Sight { look: Look::Changes, scope, other: self.assumed(), mark: due.mark };
        self.crowd.taken.push(due.clone());
        let (lane, progress, started) = (self.lanes.enter(), Arc::new(Progress::default()), (self.parts.wall)());
        self.parts.board.under_way(&self.parts.name, Arc::clone(&progress));
        self.sides.push(Box::pin(async move {
            let result = held.cycle(&sight, &lane, &progress).await;
            drop(lane);
            Ended { held, sight, due, progress, started, result }
        }));
    }

    /// What is due and in nobody's hands, if anything was not looked for before.
    fn due_beside(&mut self, manifest: &Manifest, now: i64) -> Result<Option<Due>, ManifestError> {
        let known = (manifest.dirty_mark(0)?, self.lanes.freed());
        let crowd = &mut self.crowd;
        if crowd.looked == Some(known) && crowd.again_ns.is_none_or(|at| now < at) {
            return Ok(None);
        }
        (crowd.looked, crowd.again_ns) = (Some(known), manifest.dirty_after(now)?);
        let taken: HashMap<&Dirty, Mark> =
            crowd.taken.iter().flat_map(|due| due.dirty.iter().map(|dirty| (dirty, due.mark))).collect();
        // What is in hand or waits for the pair alone is due as well, and does not hide the rest.
        let hidden = taken.len() + crowd.alone.len() + crowd.in_hand.len() + self.again.len();
        let mut due = manifest.dirty_due(now, MOST + hidden)?;
        let mut open = Vec::new();
        for dirty in due.dirty {
            let seen = [taken.get(&dirty), crowd.alone.get(&dirty.key)].into_iter().flatten().max();
            let is_new = seen.map_or(Ok(true), |mark| manifest.dirty_since(&dirty.key, *mark))?;
            let in_hand = crowd.in_hand.get(&dirty.key) == Some(&known.1);
            if is_new && !in_hand && !self.again.contains_key(&dirty.key) {
                open.push(dirty);
            }
        }
        open.truncate(MOST);
        due.dirty = open;
        Ok((!due.dirty.is_empty()).then_some(due))
    }

    /// Writes down how a cycle beside others ended. What it left, and what it could not do, is done by another one.
    pub(super) fn went_beside(&mut self, ended: Ended) {
        let Ended { held, sight, mut due, progress, started, result } = ended;
        self.parts.board.done(&self.parts.name, &progress);
        self.crowd.taken.retain(|taken| *taken != due);
        let mark = due.mark;
        let outcome = match result {
            Ok(outcome) if outcome.halt.is_none() => outcome,
            result => {
                if let Err(failed) = result {
                    tracing::debug!(job = %self.parts.name, "is tried again: {}", failed.message);
                }
                self.crowd.alone.extend(due.dirty.into_iter().map(|dirty| (dirty.key, mark)));
                return;
            }
        };
        let (freed, left) = (self.lanes.freed(), &outcome.left);
        self.crowd.in_hand.retain(|_, known| *known == freed);
        self.crowd.in_hand.extend(left.in_hand.iter().map(|key| (key.clone(), freed)));
        self.crowd.alone.extend(left.alone.iter().map(|key| (key.clone(), mark)));
        let lines: BTreeSet<Dirty> = left.in_hand.iter().chain(&left.alone).cloned().map(Dirty::itself).collect();
        due.dirty.retain(|dirty| !lines.contains(dirty));
        let now = self.now();
        let settled = self.settled(&held, &sight, &due, &outcome).and_then(|()| {
            held.manifest().dirty_defer(&lines, mark, now)?;
            self.agenda.set_dirty(held.manifest().dirty_next()?);
            Ok(())
        });
        match settled {
            Ok(()) => self.ended(Began::Beside, Look::Changes, started, mark.now_ns(), &outcome),
            Err(failed) => {
                tracing::warn!(job = %self.parts.name, "{}; everything is looked at again", failed.message);
                self.agenda.rescan(now);
            }
        }
    }

    /// When to look for something to do though nothing happens.
    pub(super) fn again_beside(&self) -> Instant {
        let now = self.now();
        // As long as nothing is due, nobody looks for what is due next.
        let next = [self.crowd.again_ns, self.agenda.changes_at()].into_iter().flatten().filter(|at| *at > now).min();
        next.map_or_else(far, |at| self.parts.clock.at(at))
    }

    /// Waits for the cycles that go on after the one that they ran beside. Further ones begin as long as nothing waits for
    /// the pair alone.
    pub(super) async fn finish_beside(&mut self) -> Flow {
        let mut ends: Option<Instant> = None;
        while !self.sides.is_empty() {
            let now = self.now();
            self.told(|job| {
                if job.phase == Phase::Idle {
                    (job.phase, job.running) = (Phase::Running, Some(Running::new(Look::Changes, now)));
                }
            });
            let is_look_wanted = matches!(self.agenda.next(now), Next::Do(Look::Watched | Look::Both));
            if ends.is_none() && self.crowd.alone.is_empty() && !is_look_wanted {
                self.go_beside();
            }
            let again = self.again_beside();
            tokio::select! {
                Some(ended) = self.sides.next() => self.went_beside(ended),
                order = self.parts.orders.recv(), if ends.is_none() => match self.obey(order) {
                    Flow::On if self.agenda.is_paused() => self.drop_sides().await,
                    Flow::On => {}
                    Flow::End => ends = Some(Instant::now() + self.parts.deadline),
                    flow @ Flow::Lend(_) => {
                        self.drop_sides().await;
                        return flow;
                    }
                },
                signs = heard(&mut self.watcher) => self.hear(&signs),
                () = self.lanes.changed() => {}
                () = sleep_until(again), if ends.is_none() => {}
                () = sleep_until(ends.unwrap_or_else(far)), if ends.is_some() => self.drop_sides().await,
            }
        }
        self.told(|job| {
            if job.phase == Phase::Running {
                job.running = None;
            }
        });
        self.rest();
        // With its handle: who keeps the pair open keeps others from it.
        self.crowd = Crowd::default();
        if ends.is_some() { Flow::End } else { Flow::On }
    }

    /// Drops what runs beside; what was done is recorded.
    pub(super) async fn drop_sides(&mut self) {
        if !self.sides.is_empty() {
            self.sides.clear();
            self.parts.board.all_done(&self.parts.name);
            if let Some(held) = self.crowd.held.clone() {
                held.interrupted().await;
            }
        }
        self.crowd = Crowd::default();
    }
}
