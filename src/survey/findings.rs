//! What a survey found: the plan, and the numbers that the guard and people see.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use crate::model::{Key, Presence, Side, SkipReason, Verdict};
use crate::plan::{Triple, pairing};
use crate::plan_store::PlanStore;

/// What a survey found.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) plan: PlanStore,
    pub(crate) in_sync: u64,
    pub(crate) extras: u64,
    pub(crate) kept: u64,
    pub(crate) unstyled: u64,
    pub(crate) skipped: BTreeMap<SkipReason, u64>,
    /// Keys that one side has, and which, where the other one has what is no file: a link, a pipe.
    pub(crate) halves: Vec<(Key, Side)>,
    /// Conflicts that the clocks of both sides decided.
    pub(crate) by_time: u64,
    /// Keys in scope at the source.
    pub(crate) source_keys: u64,
    /// Keys at the source that a user's rule left out.
    pub(crate) ruled_out: u64,
    /// Keys at the destination, in scope.
    pub(crate) dest_keys: u64,
    /// Base records in scope and not lapsed, and their bytes.
    pub(crate) base_keys: u64,
    pub(crate) base_bytes: u64,
    /// Of these, the ones that a side has or can't be told about.
    base_at_source: u64,
    base_at_dest: u64,
    /// Hashes of the NFC forms of non-ASCII keys that only one side has, by side; of sides that are written.
    lonely_source: HashSet<u64>,
    lonely_dest: HashSet<u64>,
    pub(crate) hasher: RandomState,
}

impl Findings {
    pub(super) fn new(scratch: &Path) -> Self {
        Self {
            plan: PlanStore::new(scratch),
            in_sync: 0,
            extras: 0,
            kept: 0,
            unstyled: 0,
            skipped: BTreeMap::new(),
            halves: Vec::new(),
            by_time: 0,
            source_keys: 0,
            ruled_out: 0,
            dest_keys: 0,
            base_keys: 0,
            base_bytes: 0,
            base_at_source: 0,
            base_at_dest: 0,
            lonely_source: HashSet::new(),
            lonely_dest: HashSet::new(),
            hasher: RandomState::new(),
        }
    }

    /// Whether only `side` has a key of this NFC form (or, rarely, of another one with its hash).
    pub(crate) fn is_lonely(&self, side: Side, form: &str) -> bool {
        let lonely = match side {
            Side::Source => &self.lonely_source,
            Side::Dest => &self.lonely_dest,
        };
        lonely.contains(&self.hasher.hash_one(form))
    }

    /// Whether there is any such key.
    pub(crate) fn has_lonely(&self) -> bool {
        !self.lonely_source.is_empty() || !self.lonely_dest.is_empty()
    }

    /// Keys in scope at a side.
    pub(crate) fn keys(&self, side: Side) -> u64 {
        match side {
            Side::Source => self.source_keys,
            Side::Dest => self.dest_keys,
        }
    }

    /// Keys of the base that a side has or can't be told about.
    pub(crate) fn of_base(&self, side: Side) -> u64 {
        match side {
            Side::Source => self.base_at_source,
            Side::Dest => self.base_at_dest,
        }
    }

    /// `writes` are the sides that the run may change.
    pub(super) fn count(&mut self, triple: &Triple, scope: Verdict, writes: &[Side]) {
        let skip = |presence: &Presence| matches!(presence, Presence::Skipped(_));
        let in_scope = scope == Verdict::In && !skip(&triple.source) && !skip(&triple.dest);
        if let Verdict::Out(reason) = scope {
            // Counted where the user looks: at the source, or at the destination if only that has the key.
            if triple.source.entry().is_some() || triple.dest.entry().is_some() {
                *self.skipped.entry(reason).or_default() += 1;
            }
            if triple.source.entry().is_some() && matches!(reason, SkipReason::Excluded | SkipReason::Size) {
                self.ruled_out += 1;
            }
        }
        if !in_scope {
            for (presence, side) in [(&triple.source, Side::Source), (&triple.dest, Side::Dest)] {
                if scope == Verdict::In && presence.entry().is_some() {
                    self.halves.push((triple.key.clone(), side));
                }
            }
            return;
        }
        self.source_keys += u64::from(!matches!(triple.source, Presence::Absent));
        self.dest_keys += u64::from(!matches!(triple.dest, Presence::Absent));
        if let Some(base) = triple.base.as_ref().filter(|base| !base.lapsed) {
            self.base_keys += 1;
            self.base_bytes += base.size;
            self.base_at_source += u64::from(!matches!(triple.source, Presence::Absent));
            self.base_at_dest += u64::from(!matches!(triple.dest, Presence::Absent));
        }
        let only = match (&triple.source, &triple.dest) {
            (Presence::Absent, Presence::Present(_)) => Side::Dest,
            (Presence::Present(_), Presence::Absent) => Side::Source,
            _ => return,
        };
        if let Some(form) = pairing::twin_form(&triple.key).filter(|_| writes.contains(&only)) {
            let hash = self.hasher.hash_one(form);
            match only {
                Side::Source => self.lonely_source.insert(hash),
                Side::Dest => self.lonely_dest.insert(hash),
            };
        }
    }
}
