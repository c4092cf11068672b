//! Keeping what an action takes away, right before it does.
//!
//! The action then carries the version that keeping gave: on disk, a second name of a file changes its version. What
//! could not be kept is neither deleted nor replaced.

use std::sync::atomic::Ordering::Relaxed;

use crate::manifest::{KeptLine, Record, Sending, Spent};
use crate::model::{
    Action, BaseRecord, DigestKind, Expect, Keep, Key, Marks, Reason, Replaced, RunName, Side, TrashRule, Verb, Version,
};
use crate::plan_store::{Phase, PlanStore};
use crate::replica::trash::{self, WAY_OUT};
use crate::replica::{Cause, Error, KeptAs, Trashed};

use super::{Executor, Ledger};
use crate::sync::{Cycle, Observer};

/// What goes to the trash, and under which name.
#[derive(Debug, Clone)]
pub(crate) struct Bin {
    pub(crate) rule: TrashRule,
    pub(crate) run: RunName,
}

impl Bin {
    /// Whether an action takes away content that has to be kept. The old half of a rename does not: the new one has it.
    pub(super) fn keeps(&self, action: &Action) -> bool {
        match (self.rule.keep, &action.verb, &action.reason) {
            (Keep::Seconds(_), Verb::Delete, reason) => !matches!(reason, Reason::Renamed { .. }),
            (Keep::Seconds(_), Verb::Overwrite, reason) => {
                self.rule.replaced == Replaced::All || *reason == Reason::OverwritesChange
            }
            _ => false,
        }
    }
}

/// Whether what goes is of one side only: the other one never had it.
fn is_unshared(reason: &Reason) -> bool {
    matches!(reason, Reason::Extra | Reason::OverwritesChange | Reason::DeletesChange)
}

impl Executor<'_> {
    /// Keeps what `action` takes away, if it has to be kept. What must be at the key from now on.
    ///
    /// # Errors
    /// It could not be kept: the action must not be carried out.
    pub(super) async fn keep(&self, action: &Action) -> Result<Expect, Error> {
        let Expect::Version(version) = &action.expect else { return Ok(Expect::Absent) };
        if !self.bin.keeps(action) {
            return Ok(action.expect.clone());
        }
        let replica = self.sides.of(action.side);
        let bin = replica.trash().ok_or_else(|| trash::none(replica.name()).hint(WAY_OUT))?;
        let journal = self.manifest.upload_journal(action.side);
        let kept = bin.keep(&action.key, version, &self.bin.run, &journal).await?;
        let line = KeptLine {
            run: self.bin.run.clone(),
            key: action.key.clone(),
            size: action.at.as_ref().map_or(action.size, |at| at.size),
            version: match kept.kept_as {
                KeptAs::Copy => None,
                KeptAs::Version(id) => Some(id),
            },
            wrote: None,
        };
        self.manifest.note_kept(action.side, &[line])?;
        self.progress.kept.fetch_add(1, Relaxed);
        self.progress.kept_at_source.fetch_add(u64::from(action.side == Side::Source), Relaxed);
        self.progress.kept_unshared.fetch_add(u64::from(is_unshared(&action.reason)), Relaxed);
        Ok(Expect::Version(kept.version))
    }

    /// The version that an action put in the place of what it had kept.
    pub(super) fn replaced(&self, action: &Action, record: &Record) -> Option<(Side, Key, Version)> {
        match (&action.verb, record) {
            (Verb::Overwrite, Record::Put(base)) if self.bin.keeps(action) => {
                let version = if action.side == Side::Dest { &base.dest } else { &base.source };
                Some((action.side, action.key.clone(), version.clone()))
            }
            _ => None,
        }
    }

    /// Puts back what made room for something that could not be made.
    pub(super) async fn put_back(&self, plan: &PlanStore, ledger: &mut Ledger<'_>) -> Result<(), Error> {
        if ledger.failed.is_empty() {
            return Ok(());
        }
        for action in plan.phase(Phase::MakeRoom) {
            let action = action?;
            let key = &action.key;
            let waited = |failed: &Key| failed.is_below(key.as_str()) || key.is_below(failed.as_str());
            if !self.bin.keeps(&action) || !ledger.failed.iter().any(waited) {
                continue;
            }
            let Some(line) = self.manifest.kept_of(action.side, &self.bin.run, key)? else { continue };
            let Some(bin) = self.sides.of(action.side).trash() else { continue };
            let kept_as = line.version.map_or(KeptAs::Copy, KeptAs::Version);
            let kept = Trashed { run: line.run, key: line.key, size: line.size, kept_as };
            let base = base_of(&action);
            // A run that dies before the record leaves this line, by which the next one knows what came back.
            let lines: Vec<Sending> = base.iter().map(|base| coming_back(base, action.side)).collect();
            self.manifest.begin_sending(action.side, &lines)?;
            let entry = match bin.restore(&kept, &Expect::Absent, &self.manifest.upload_journal(action.side)).await {
                Ok(entry) => entry,
                Err(error) if error.cause == Cause::Stop => return Err(error),
                // Where something stands in its place by now, it stays in the trash.
                Err(Error { cause: Cause::Precondition | Cause::NotFound, .. }) => {
                    self.manifest.is_not_sent(action.side, key)?;
                    continue;
                }
                // It may be back: the next run looks.
                Err(_) => {
                    ledger.open.insert(key.clone());
                    continue;
                }
            };
            self.manifest.forget_kept(action.side, &self.bin.run, key)?;
            self.progress.kept.fetch_sub(1, Relaxed);
            self.progress.kept_at_source.fetch_sub(u64::from(action.side == Side::Source), Relaxed);
            self.progress.kept_unshared.fetch_sub(u64::from(is_unshared(&action.reason)), Relaxed);
            ledger.undone(&action, base.map(|base| Record::Put(came_back(base, action.side, entry.version))))?;
            let spent = Spent { deletes: 1, delete_bytes: action.size, ..Spent::default() };
            self.manifest.give_back(self.book.run, spent, self.book.now_ns)?;
        }
        Ok(())
    }
}

/// Takes out of the trash of a side what runs of this pair put there and what has been kept for its time. What others put
/// there may have to stay longer. What fails waits for the next run.
pub(crate) async fn expire(cycle: &Cycle<'_>, side: Side, observer: &dyn Observer) -> Result<(), Error> {
    let (Keep::Seconds(seconds), replica) = (cycle.trash.keep, cycle.of(side)) else { return Ok(()) };
    let Some(bin) = replica.trash() else { return Ok(()) };
    let keep_ns = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
    let before = RunName::new(cycle.now_ns.saturating_sub(keep_ns), 0);
    let (mut removed, ordered) = (0, replica.capabilities().ordered);
    for run in cycle.manifest.kept_before(side, &before)? {
        if cycle.manifest.age_of_run(&run, cycle.now_ns)?.is_some_and(|age| age < keep_ns) {
            continue;
        }
        match trash::empty(bin, Some(&run), &|_| true, ordered).await {
            Ok(count) => {
                removed += count;
                cycle.manifest.forget_kept_run(side, &run)?;
            }
            Err(error) => {
                observer.notice(&format!("{error}; what is too old stays in the trash for now"));
                break;
            }
        }
    }
    if removed > 0 {
        let (name, keep) = (replica.name(), cycle.trash.keep);
        observer.notice(&format!("{name}: removed what was kept for more than {keep} from the trash: {removed}"));
    }
    Ok(())
}

/// The record of a key whose deletion is to be undone, so that the next run tries both again. An extra had none.
fn base_of(action: &Action) -> Option<BaseRecord> {
    let gone = action.at.as_ref().filter(|_| action.reason != Reason::Extra)?;
    let mut digests = action.digests.clone();
    digests.merge(&gone.digests);
    // The side that has lost the key has no version of it: any will do, since it is compared with nothing.
    let (source, dest) = (gone.version.clone(), gone.version.clone());
    Some(BaseRecord {
        key: action.key.clone(),
        size: gone.size,
        source,
        dest,
        digests,
        lapsed: false,
        marks: Marks::default(),
    })
}

/// What is put back comes to a side like content that is sent there.
fn coming_back(base: &BaseRecord, side: Side) -> Sending {
    Sending {
        key: base.key.clone(),
        size: base.size,
        version: if side == Side::Dest { base.source.clone() } else { base.dest.clone() },
        modified_ns: None,
        replaces: None,
        blake3: base.digests.get(DigestKind::Blake3).map(|digest| digest.text.to_string()),
        is_conditional: false,
        missed_ns: None,
        is_outdated: false,
    }
}

/// The record with the version that the content has since it is back.
fn came_back(base: BaseRecord, side: Side, now: Version) -> BaseRecord {
    match side {
        Side::Dest => BaseRecord { dest: now, ..base },
        Side::Source => BaseRecord { source: now, ..base },
    }
}
