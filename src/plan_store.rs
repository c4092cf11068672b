//! A complete plan, on disk and in order: memory does not grow with it.
//!
//! Actions are kept by phase and key. The phases are the order of execution: what only the manifest learns, copies
//! inside the destination (before anything they copy from is overwritten), deletions that make room for a creation,
//! content that is sent or copied into that room, conflicts of which both contents are kept, all other deletions, and objects that get other headers last.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::manifest::{ManifestError, Spool, read_action, write_action};
use crate::model::{Action, Counts, Key, Side, Verb};

/// When an action is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Manifest only.
    Record = 1,
    /// Copies inside a replica.
    Copy = 2,
    /// Deletions that make room.
    MakeRoom = 3,
    /// Content is sent, or copied where something had to make room.
    Send = 4,
    /// Both contents of a key are kept: after [`Self::Send`], which may bring a copy that a killed run made half.
    KeepBoth = 5,
    /// Deletions.
    Delete = 6,
    /// Objects get what rules say: nothing waits for that.
    Restyle = 7,
}

impl Phase {
    pub(crate) const ALL: [Self; 7] =
        [Self::Record, Self::Copy, Self::MakeRoom, Self::Send, Self::KeepBoth, Self::Delete, Self::Restyle];

    /// When an action with this verb is executed, if nothing waits for it.
    pub(crate) fn of(verb: &Verb) -> Self {
        match verb {
            Verb::Adopt | Verb::Touch | Verb::Forget | Verb::Lapse => Self::Record,
            Verb::Copy { .. } => Self::Copy,
            Verb::Create | Verb::Overwrite => Self::Send,
            Verb::KeepBoth { .. } => Self::KeepBoth,
            Verb::Delete => Self::Delete,
            Verb::Restyle { .. } => Self::Restyle,
        }
    }
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct PlanStore {
    /// Reading merges what was spilled, so it needs the spool for itself.
    spool: Mutex<Spool>,
    counts: Counts,
    /// Of these, what changes the source.
    at_source: Counts,
}

impl PlanStore {
    /// An empty plan that may put files without names into `dir`.
    pub(crate) fn new(dir: &Path) -> Self {
        Self { spool: Mutex::new(Spool::new(dir)), counts: Counts::default(), at_source: Counts::default() }
    }

    /// Totals of what is in it.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Totals of what changes one side.
    pub(crate) fn counts_at(&self, side: Side) -> Counts {
        match side {
            Side::Source => self.at_source,
            Side::Dest => self.counts.without(&self.at_source),
        }
    }

    /// Adds an action in the phase of its verb.
    pub(crate) fn add(&mut self, action: &Action) -> Result<(), ManifestError> {
        self.put(Phase::of(&action.verb), action)
    }

    /// Adds an action in a phase of the caller's choice.
    pub(crate) fn put(&mut self, phase: Phase, action: &Action) -> Result<(), ManifestError> {
        self.counts.add(action);
        self.at_source.add_at(Side::Source, action);
        let mut value = Vec::with_capacity(128);
        write_action(&mut value, action);
        self.spool().insert(&place(phase, &action.key), &value)
    }

    /// Takes an action out.
    pub(crate) fn take(&mut self, phase: Phase, key: &Key) -> Result<Option<Action>, ManifestError> {
        let place = place(phase, key);
        let Some(value) = self.spool().get(&place)? else { return Ok(None) };
        self.spool().remove(&place)?;
        let action = parse(&value);
        self.counts.remove(&action);
        self.at_source.remove_at(Side::Source, &action);
        Ok(Some(action))
    }

    /// An action.
    pub(crate) fn get(&self, phase: Phase, key: &Key) -> Result<Option<Action>, ManifestError> {
        Ok(self.spool().get(&place(phase, key))?.map(|value| parse(&value)))
    }

    /// Takes out an action that changes this side.
    pub(crate) fn take_at(&mut self, side: Side, phase: Phase, key: &Key) -> Result<Option<Action>, ManifestError> {
        if self.has_at(side, phase, key)? { self.take(phase, key) } else { Ok(None) }
    }

    /// Whether there is an action that changes this side.
    pub(crate) fn has_at(&self, side: Side, phase: Phase, key: &Key) -> Result<bool, ManifestError> {
        Ok(self.get(phase, key)?.is_some_and(|action| action.side == side))
    }

    /// Whether there is an action.
    pub(crate) fn has(&self, phase: Phase, key: &Key) -> Result<bool, ManifestError> {
        Ok(self.spool().get(&place(phase, key))?.is_some())
    }

    /// The next up to `count` actions of a phase, in key order, after `after`.
    pub(crate) fn page(&self, phase: Phase, after: Option<&Key>, count: usize) -> Result<Vec<Action>, ManifestError> {
        let mut from = after.map_or_else(|| vec![phase as u8], |key| place(phase, key));
        if after.is_some() {
            // The smallest text after a key is the key with a zero byte, which no key holds.
            from.push(0);
        }
        let mut spool = self.spool();
        let rows = spool.range(&from, Some(&[phase as u8 + 1]))?;
        rows.take(count).map(|row| row.map(|(_, value)| parse(&value))).collect()
    }

    /// All actions in order of execution, read page by page.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Result<Action, ManifestError>> + '_ {
        Phase::ALL.into_iter().flat_map(|phase| self.phase(phase))
    }

    /// The actions of one phase.
    pub(crate) fn phase(&self, phase: Phase) -> PhaseIter<'_> {
        PhaseIter { store: self, phase, page: Vec::new().into_iter(), last: None }
    }

    fn spool(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Iterates over one phase without holding the store busy in between.
#[derive(Debug)]
pub(crate) struct PhaseIter<'a> {
    store: &'a PlanStore,
    phase: Phase,
    page: std::vec::IntoIter<Action>,
    last: Option<Key>,
}

impl Iterator for PhaseIter<'_> {
    type Item = Result<Action, ManifestError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0 {
            match self.store.page(self.phase, self.last.as_ref(), 1_024) {
                Ok(page) => self.page = page.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
        let action = self.page.next()?;
        self.last = Some(action.key.clone());
        Some(Ok(action))
    }
}

fn place(phase: Phase, key: &Key) -> Vec<u8> {
    let mut place = Vec::with_capacity(key.as_str().len() + 2);
    place.push(phase as u8);
    place.extend_from_slice(key.as_str().as_bytes());
    place
}

fn parse(value: &[u8]) -> Action {
    read_action(value).expect("the store holds only what it wrote")
}
