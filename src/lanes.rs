//! Cycles of one pair beside each other: while one sends a large file, others send what was saved since.
//!
//! | a cycle that begins | looks | carries out |
//! |---|---|---|
//! | alone | while nobody changes the pair | everything |
//! | beside others | while each of them carries out a plan that is known | content that is sent, of keys that none of them has in hand |
//!
//! Deletions, moves and copies need a guard that sees the whole and an order of their own: they are left to a cycle that
//! begins alone ([`leave_to_others`]). What is in hand are the keys of a plan until their outcome is recorded. All of this
//! spares work: what keeps content safe are the preconditions, beside others as well.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::model::{Action, Key, Scope, Verb};
use crate::plan_store::{Phase, PlanStore};
use crate::replica::{Cause, Error};
use crate::survey::Findings;
use crate::sync::{Cycle, Left};

/// Cycles at the same time: a large file, a second one, and room for small ones.
const MOST: usize = 3;

/// The cycles of a pair that are under way.
#[derive(Debug, Default)]
pub struct Lanes {
    under_way: Mutex<BTreeMap<u64, State>>,
    /// How often something was not in hand any more.
    freed: AtomicU64,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// What it carries out; `None` while it looks.
    in_hand: Option<HashSet<u64>>,
    /// Whether others may begin beside it.
    is_open: bool,
    /// What its plan overwrites.
    overwrites: u64,
    /// Whether another cycle was ever under way at the same time.
    had_company: bool,
}

/// How a cycle began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Began {
    /// No other one was under way.
    Alone,
    /// Others were.
    Beside,
}

/// One of the cycles that are under way, until it is dropped.
#[derive(Debug)]
pub struct Lane {
    lanes: Arc<Lanes>,
    number: u64,
    began: Began,
}

impl Lanes {
    /// A cycle begins.
    pub fn enter(self: &Arc<Self>) -> Lane {
        let mut under_way = self.under_way();
        let number = under_way.keys().next_back().map_or(0, |last| last + 1);
        let began = if under_way.is_empty() { Began::Alone } else { Began::Beside };
        under_way.values_mut().for_each(|other| other.had_company = true);
        under_way.insert(number, State { had_company: began == Began::Beside, ..State::default() });
        drop(under_way);
        Lane { lanes: Arc::clone(self), number, began }
    }

    /// Whether none is under way.
    pub fn is_empty(&self) -> bool {
        self.under_way().is_empty()
    }

    /// Whether another cycle may begin beside those that are under way.
    pub fn has_room(&self) -> bool {
        let under_way = self.under_way();
        !under_way.is_empty() && under_way.len() < MOST && under_way.values().all(|lane| lane.is_open)
    }

    /// A number that is another one when something is not in hand any more.
    pub fn freed(&self) -> u64 {
        self.freed.load(Relaxed)
    }

    /// Waits until a cycle begins to carry out its plan, ends, or has less in hand than before.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn under_way(&self) -> MutexGuard<'_, BTreeMap<u64, State>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// How it began.
    pub fn began(&self) -> Began {
        self.began
    }

    /// From now on others may begin; they leave alone what this plan is about.
    pub(crate) fn takes(&self, plan: &PlanStore) -> Result<(), Error> {
        let mut keys = HashSet::new();
        for action in plan.iter() {
            let action = action?;
            keys.insert(hash(&action.key));
            keys.extend(other_key(&action).map(hash));
        }
        self.change(|state| {
            (state.in_hand, state.is_open) = (Some(keys), true);
            state.overwrites = plan.counts().overwrites;
        });
        Ok(())
    }

    /// The outcome of these is recorded.
    pub(crate) fn lets_go<'k>(&self, keys: impl IntoIterator<Item = &'k Key>) {
        self.change(|state| {
            if let Some(in_hand) = &mut state.in_hand {
                let before = in_hand.len();
                keys.into_iter().for_each(|key| {
                    in_hand.remove(&hash(key));
                });
                self.lanes.freed.fetch_add((before - in_hand.len()) as u64, Relaxed);
            }
        });
    }

    /// Its plan is carried out, and nobody begins any more until it ended. Whether no other one is under way.
    pub(crate) fn is_last(&self) -> bool {
        self.change(|state| state.is_open = false);
        self.is_only()
    }

    /// Whether no other one is under way.
    pub fn is_only(&self) -> bool {
        self.lanes.under_way().len() == 1
    }

    /// Whether another cycle was ever under way at the same time.
    pub(crate) fn had_company(&self) -> bool {
        self.lanes.under_way().get(&self.number).is_some_and(|state| state.had_company)
    }

    /// What the plans of the others overwrite, as far as anybody knows: some of it may be booked.
    pub(crate) fn overwritten_beside(&self) -> u64 {
        let under_way = self.lanes.under_way();
        under_way.iter().filter(|(number, _)| **number != self.number).map(|(_, state)| state.overwrites).sum()
    }

    fn has_another_in_hand(&self, key: &Key) -> bool {
        let (under_way, key) = (self.lanes.under_way(), hash(key));
        let mut others = under_way.iter().filter(|(number, _)| **number != self.number);
        others.any(|(_, state)| state.in_hand.as_ref().is_none_or(|in_hand| in_hand.contains(&key)))
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        if let Some(state) = self.lanes.under_way().get_mut(&self.number) {
            change(state);
        }
        self.lanes.changed.notify_one();
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let state = self.lanes.under_way().remove(&self.number);
        if state.and_then(|state| state.in_hand).is_some_and(|in_hand| !in_hand.is_empty()) {
            self.lanes.freed.fetch_add(1, Relaxed);
        }
        self.lanes.changed.notify_one();
    }
}

/// The lane of a cycle that runs beside others.
pub(crate) fn beside<'c>(cycle: &Cycle<'c>) -> Option<&'c Lane> {
    cycle.lane.filter(|lane| lane.began() == Began::Beside)
}

/// Narrows the scope of a cycle that runs beside others to what it may look at: what others have in hand is not settled,
/// and of what was sent and is not recorded only one that begins alone can say whether it arrived
/// ([`crate::recover`]); to send something newer would hide that.
pub(crate) fn narrow(cycle: &Cycle<'_>, lane: &Lane) -> Result<(Scope, Left), Error> {
    let Scope::Keys(keys) = &cycle.scope else {
        return Err(Error::new(Cause::Stop, "a cycle that runs beside others is one over changed keys"));
    };
    let (mut left, mut open) = (Left::default(), Vec::new());
    for key in keys.iter().cloned() {
        let mut at = cycle.writes.iter();
        if lane.has_another_in_hand(&key) {
            left.in_hand.push(key);
        } else if at
            .try_fold(false, |found, side| Ok::<_, Error>(found || cycle.manifest.is_unaccounted(*side, &key)?))?
        {
            left.alone.push(key);
        } else {
            open.push(key);
        }
    }
    Ok((Scope::of_keys(open), left))
}

/// Takes out of the plan of a cycle that runs beside others what is left to later ones.
pub(crate) fn leave_to_others(lane: &Lane, findings: &mut Findings, left: &mut Left) -> Result<(), Error> {
    let plan = &mut findings.plan;
    let mut places: Vec<(Phase, Key)> = Vec::new();
    for phase in Phase::ALL {
        for action in plan.phase(phase) {
            let action = action?;
            let is_sent = matches!(action.verb, Verb::Create | Verb::Overwrite) && phase == Phase::Send;
            let kind = match (is_sent || phase == Phase::Record, lane.has_another_in_hand(&action.key)) {
                (true, false) => continue,
                (true, true) => &mut left.in_hand,
                (false, _) => &mut left.alone,
            };
            kind.push(action.key.clone());
            places.push((phase, action.key));
        }
    }
    // A file in whose way a directory of its name is, or the other way round, needs its room first.
    let waiting: BTreeSet<Key> = places.iter().map(|(_, key)| key.clone()).collect();
    for action in plan.phase(Phase::Send).filter(|_| !waiting.is_empty()) {
        let action = action?;
        let is_in_the_way = |key: &Key| key.is_below(action.key.as_str()) || action.key.is_below(key.as_str());
        if !waiting.contains(&action.key) && waiting.iter().any(is_in_the_way) {
            left.alone.push(action.key.clone());
            places.push((Phase::Send, action.key));
        }
    }
    for (phase, key) in &places {
        plan.take(*phase, key)?;
    }
    Ok(())
}

/// The second key that an action reads or writes.
fn other_key(action: &Action) -> Option<&Key> {
    match &action.verb {
        Verb::Copy { from, .. } => Some(from),
        Verb::KeepBoth { kept_as } => Some(kept_as),
        _ => None,
    }
}

/// Two keys with one hash only make one wait for the other.
fn hash(key: &Key) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
