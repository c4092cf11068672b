//! What a decision about one key can't see: content that moved, names that look alike, keys in each other's way.
//!
//! Works on the finished plan, before the guard looks at it, and changes nothing but the plan.

use futures_util::stream::{StreamExt, iter};
use unicode_normalization::UnicodeNormalization;

use crate::examine::Examiner;
use crate::model::{
    Action, Digests, Key, Namespace, Problem, ProblemKind, Reason, Sameness, Side, Verb, Want, same_content,
};
use crate::plan::comparable;
use crate::plan::pairing::{Candidate, Origin, as_copy, twin_form};
use crate::plan_store::{Phase, PlanStore};
use crate::replica::{Ability, Cause, Error};
use crate::survey::{Findings, sent_entry};
use crate::sync::{Cycle, Observer, Sides};

/// Actions handled together; within them the hashing runs at the same time.
const PAGE: usize = 256;
/// Contents hashed at the same time.
const HASHERS: usize = 8;
/// Base records looked at for one new key.
const CANDIDATES: usize = 64;

/// Refines the plan in `findings`.
///
/// # Errors
/// The manifest or the plan store failed.
pub(crate) async fn pair_up(cycle: &Cycle<'_>, findings: &mut Findings, observer: &dyn Observer) -> Result<(), Error> {
    let sides = cycle.sides();
    let pairer = Pairer {
        examiner: Examiner {
            sides: &sides,
            manifest: cycle.manifest,
            buffers: &cycle.buffers,
            progress: &cycle.progress,
            now_ns: cycle.now_ns,
        },
        sides: &sides,
        cycle,
    };
    if !findings.lonely.is_empty() && findings.plan.counts().creates > 0 {
        pairer.twins(findings, observer).await?;
    }
    let copies = sides.dest.capabilities().copy != Ability::Missing;
    if copies && findings.base_keys > 0 && findings.plan.counts().creates > 0 {
        pairer.renames(findings).await?;
    }
    order(cycle, &mut findings.plan)
}

/// Puts deletions that make room before what needs the room, where the destination needs that.
///
/// # Errors
/// The plan store failed.
pub(crate) fn order(cycle: &Cycle<'_>, plan: &mut PlanStore) -> Result<(), Error> {
    let counts = plan.counts();
    let tree = cycle.dest.capabilities().namespace == Namespace::Tree;
    if tree && counts.deletes > 0 && counts.creates + counts.copies > 0 { make_room(plan) } else { Ok(()) }
}

struct Pairer<'a> {
    examiner: Examiner<'a>,
    sides: &'a Sides,
    cycle: &'a Cycle<'a>,
}

impl Pairer<'_> {
    /// New keys whose content the destination already has under another key become copies.
    async fn renames(&self, findings: &mut Findings) -> Result<(), Error> {
        let mut after: Option<Key> = None;
        loop {
            let page = findings.plan.page(Phase::Send, after.as_ref(), PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.key.clone());
            let mut creates = Vec::new();
            for action in page {
                let create = action.verb == Verb::Create && action.side == Side::Dest && action.size > 0;
                if create && self.cycle.manifest.has_size(action.size)? {
                    creates.push(action);
                }
            }
            let mut hashed = iter(creates).map(|action| self.hashed(action)).buffered(HASHERS);
            while let Some((action, digests)) = hashed.next().await {
                // What can't be read now is told by the attempt to send it.
                let Ok(digests) = digests else { continue };
                let candidates = self.candidates(&action, &digests, findings).await?;
                let Some(copy) = as_copy(&action, &digests, &candidates) else { continue };
                findings.plan.take(Phase::Send, &action.key)?;
                findings.plan.add(&copy)?;
                if let Reason::Renamed { from } = &copy.reason {
                    Self::name_the_old_half(findings, from, &action.key)?;
                }
            }
        }
    }

    async fn hashed(&self, action: Action) -> (Action, Result<Digests, Error>) {
        let digests = match sent_entry(&action) {
            Ok(entry) => self.examiner.digests(Side::Source, &action.key, entry, &Want::default()).await,
            Err(error) => Err(error),
        };
        (action, digests)
    }

    async fn candidates(
        &self,
        action: &Action,
        digests: &Digests,
        findings: &Findings,
    ) -> Result<Vec<Candidate>, Error> {
        let mut candidates = Vec::new();
        for record in self.cycle.manifest.with_content(action.size, digests, CANDIDATES)? {
            // Copying from a key that is itself about to be sent or that is out of scope would be a guess.
            if record.lapsed || record.key == action.key {
                continue;
            }
            // A file can't be copied into the directory that takes its place, nor the other way round.
            let (old, new) = (&record.key, &action.key);
            let tree = self.sides.dest.capabilities().namespace == Namespace::Tree;
            if tree && (new.is_below(old.as_str()) || old.is_below(new.as_str())) {
                continue;
            }
            let deleted = findings.plan.has(Phase::Delete, &record.key)?;
            let gone = deleted || matches!(self.sides.source.look_up(&record.key).await, Ok(None));
            candidates.push(Candidate { record, origin: if gone { Origin::Gone } else { Origin::There } });
        }
        Ok(candidates)
    }

    /// The deletion of the old key is the other half of a rename, and shown and counted as that. Each deletion is
    /// the half of one rename.
    fn name_the_old_half(findings: &mut Findings, from: &Key, to: &Key) -> Result<(), Error> {
        if let Some(mut delete) = findings.plan.take(Phase::Delete, from)? {
            if delete.reason == Reason::DeletedAtSource {
                delete.reason = Reason::Renamed { from: to.clone() };
            }
            findings.plan.put(Phase::Delete, &delete)?;
        }
        Ok(())
    }

    /// Keys that are equal but for their Unicode form: a Mac's NFD name against the bucket's NFC name. With equal
    /// content nothing is sent and nothing deleted; otherwise a person has to rename one.
    async fn twins(&self, findings: &mut Findings, observer: &dyn Observer) -> Result<(), Error> {
        let mut after: Option<Key> = None;
        loop {
            let page = findings.plan.page(Phase::Send, after.as_ref(), PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.key.clone());
            for action in page.into_iter().filter(|action| action.verb == Verb::Create) {
                let Some(form) = twin_form(&action.key) else { continue };
                if !findings.is_lonely(&form) {
                    continue;
                }
                for twin in forms(&action.key) {
                    self.twin(findings, &action, &twin, observer).await?;
                }
            }
        }
    }

    async fn twin(
        &self,
        findings: &mut Findings,
        action: &Action,
        twin: &Key,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        let found = match self.sides.dest.look_up(twin).await {
            Ok(Some(found)) => found,
            Err(error) if error.cause == Cause::Stop => return Err(error),
            Ok(None) | Err(_) => return Ok(()),
        };
        // A twin that the source has too is a key of its own.
        if !matches!(self.sides.source.look_up(twin).await, Ok(None)) {
            return Ok(());
        }
        findings.plan.take(Phase::Send, &action.key)?;
        findings.plan.take(Phase::Delete, twin)?;
        let source = sent_entry(action)?;
        let want = comparable(&found.digests);
        let ours = self.examiner.digests(Side::Source, &action.key, source, &want).await;
        let same = ours.map(|ours| same_content(source.size, &ours, found.size, &found.digests));
        if same != Ok(Sameness::Same) {
            let message = format!(
                "{}: {} has this name in another Unicode form ({twin:?} against {:?}) with other content",
                action.key,
                self.sides.dest.name(),
                action.key
            );
            let problem = Problem::of(&action.key, ProblemKind::Name, message);
            observer.problem(&problem.hint("rename one of them; nothing was sent or deleted"));
        }
        Ok(())
    }
}

/// The other Unicode forms of a key.
fn forms(key: &Key) -> Vec<Key> {
    let nfc: String = key.as_str().nfc().collect();
    let nfd: String = key.as_str().nfd().collect();
    [nfc, nfd].into_iter().filter(|form| form != key.as_str()).filter_map(|form| Key::new(form).ok()).collect()
}

/// Where a directory and a file of one name can't both exist, the deletion that makes room goes first.
fn make_room(plan: &mut PlanStore) -> Result<(), Error> {
    for phase in [Phase::Copy, Phase::Send] {
        let mut after: Option<Key> = None;
        while let Some(page) = Some(plan.page(phase, after.as_ref(), PAGE)?).filter(|page| !page.is_empty()) {
            after = page.last().map(|action| action.key.clone());
            for action in page {
                for parent in parents(&action.key) {
                    if let Some(delete) = plan.take(Phase::Delete, &parent)? {
                        plan.put(Phase::MakeRoom, &delete)?;
                    }
                }
            }
        }
    }
    let mut after: Option<Key> = None;
    while let Some(page) = Some(plan.page(Phase::Delete, after.as_ref(), PAGE)?).filter(|page| !page.is_empty()) {
        after = page.last().map(|action| action.key.clone());
        for action in page {
            let mut blocks = false;
            for parent in parents(&action.key) {
                blocks |= plan.has(Phase::Send, &parent)? || plan.has(Phase::Copy, &parent)?;
            }
            if blocks && let Some(delete) = plan.take(Phase::Delete, &action.key)? {
                plan.put(Phase::MakeRoom, &delete)?;
            }
        }
    }
    Ok(())
}

/// The directories above a key, as keys.
fn parents(key: &Key) -> Vec<Key> {
    let text = key.as_str();
    text.match_indices('/').filter_map(|(at, _)| Key::new(&text[..at]).ok()).collect()
}
