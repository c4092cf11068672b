//! What a decision about one key can't see: content that moved, names that look alike, keys in each other's way.
//!
//! Works on the finished plan, before the guard looks at it, and changes nothing but the plan.

use futures_util::stream::{StreamExt, iter};
use unicode_normalization::UnicodeNormalization;

use crate::examine::Examiner;
use crate::model::{
    Action, Digests, Entry, Key, Namespace, Problem, ProblemKind, ReadCost, Reason, Sameness, Side, Verb, Want,
    same_content,
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
    if findings.has_lonely() && findings.plan.counts().creates > 0 {
        pairer.twins(findings, observer).await?;
    }
    // Of a cycle over some keys the base in scope says little: content may have been under any key.
    let (known, _) = cycle.manifest.base_totals()?;
    for side in cycle.writes {
        let copies = sides.of(*side).capabilities().copy != Ability::Missing;
        if copies && known > 0 && findings.plan.counts_at(*side).creates > 0 {
            pairer.renames(findings, *side).await?;
        }
    }
    order(cycle, &mut findings.plan)
}

/// A file that is being written, or that is away and may come back, is not what it will be: nothing is done about it now.
///
/// # Errors
/// The manifest or the plan store failed.
pub(crate) fn leave_waiting(cycle: &Cycle<'_>, findings: &mut Findings) -> Result<(), Error> {
    let Some(mark) = cycle.waits else { return Ok(()) };
    if !cycle.manifest.dirty_waiting(mark)? {
        return Ok(());
    }
    let mut waiting = Vec::new();
    for action in findings.plan.iter() {
        let action = action?;
        if cycle.manifest.dirty_waits(&action.key, mark)? {
            waiting.push(action);
        }
    }
    for action in waiting {
        findings.plan.take_at(action.side, Phase::of(&action.verb), &action.key)?;
    }
    Ok(())
}

/// Puts deletions that make room before what needs the room, at sides that need that.
///
/// # Errors
/// The plan store failed.
pub(crate) fn order(cycle: &Cycle<'_>, plan: &mut PlanStore) -> Result<(), Error> {
    for side in cycle.writes {
        let counts = plan.counts_at(*side);
        let tree = cycle.of(*side).capabilities().namespace == Namespace::Tree;
        if tree && counts.deletes > 0 && counts.creates + counts.copies > 0 {
            make_room(plan, *side)?;
        }
    }
    Ok(())
}

struct Pairer<'a> {
    examiner: Examiner<'a>,
    sides: &'a Sides,
    cycle: &'a Cycle<'a>,
}

impl Pairer<'_> {
    /// New keys whose content `side` already has under another key become copies there.
    async fn renames(&self, findings: &mut Findings, side: Side) -> Result<(), Error> {
        let mut after: Option<Key> = None;
        loop {
            let page = findings.plan.page(Phase::Send, after.as_ref(), PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.key.clone());
            let mut creates = Vec::new();
            for action in page {
                let create = action.verb == Verb::Create && action.side == side && action.size > 0;
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
                    Self::name_the_old_half(findings, side, from, &action.key)?;
                }
            }
        }
    }

    /// What is known of the content that an action sends. Reading it only to find a copy would be no gain where reading
    /// is a transfer: there a look-up has to do.
    async fn hashed(&self, action: Action) -> (Action, Result<Digests, Error>) {
        let from = action.side.other();
        let digests = match (sent_entry(&action), self.sides.of(from).capabilities().read_cost) {
            (Err(error), _) => Err(error),
            (Ok(entry), ReadCost::Cheap) => self.examiner.digests(from, &action.key, entry, &Want::default()).await,
            (Ok(entry), ReadCost::Transfer) => match self.sides.of(from).look_up(&action.key).await {
                Ok(Some(found)) if found.version == entry.version => Ok(found.digests),
                Ok(_) => Ok(Digests::none()),
                Err(error) => Err(error),
            },
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
            let tree = self.sides.of(action.side).capabilities().namespace == Namespace::Tree;
            if tree && (new.is_below(old.as_str()) || old.is_below(new.as_str())) {
                continue;
            }
            let deleted = findings.plan.has_at(action.side, Phase::Delete, &record.key)?;
            let origin = self.sides.of(action.side.other());
            let gone = deleted || matches!(origin.look_up(&record.key).await, Ok(None));
            candidates.push(Candidate { record, origin: if gone { Origin::Gone } else { Origin::There } });
        }
        Ok(candidates)
    }

    /// The deletion of the old key is the other half of a rename, and shown and counted as that. Each deletion is
    /// the half of one rename.
    fn name_the_old_half(findings: &mut Findings, side: Side, from: &Key, to: &Key) -> Result<(), Error> {
        if let Some(mut delete) = findings.plan.take_at(side, Phase::Delete, from)? {
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
                // One of two twins that both would have travelled is settled with the other.
                if !findings.is_lonely(action.side, &form) || !findings.plan.has(Phase::Send, &action.key)? {
                    continue;
                }
                for twin in forms(&action.key) {
                    self.twin(findings, &action, &twin, observer).await?;
                }
            }
        }
    }

    /// Whether what an action sends is what its target has under another name. A side that is cheap to read is hashed
    /// with what the other one tells.
    async fn same(&self, action: &Action, sent: &Entry, twin: &Key, found: &Entry) -> Result<Sameness, Error> {
        let (from, to) = (action.side.other(), action.side);
        let cheap = |side: Side| self.sides.of(side).capabilities().read_cost == ReadCost::Cheap;
        let (mut ours, mut theirs) = (sent.digests.clone(), found.digests.clone());
        if !cheap(from)
            && let Some(entry) = self.sides.of(from).look_up(&action.key).await?
            && entry.version == sent.version
        {
            ours.merge(&entry.digests);
        }
        if cheap(to) {
            theirs.merge(&self.examiner.digests(to, twin, found, &comparable(&ours)).await?);
        }
        if cheap(from) {
            ours.merge(&self.examiner.digests(from, &action.key, sent, &comparable(&theirs)).await?);
        }
        Ok(same_content(sent.size, &ours, found.size, &theirs))
    }

    async fn twin(
        &self,
        findings: &mut Findings,
        action: &Action,
        twin: &Key,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        let (to, from) = (self.sides.of(action.side), self.sides.of(action.side.other()));
        let found = match to.look_up(twin).await {
            Ok(Some(found)) => found,
            Err(error) if error.cause == Cause::Stop => return Err(error),
            Ok(None) | Err(_) => return Ok(()),
        };
        // A twin that the origin has too is a key of its own.
        if !matches!(from.look_up(twin).await, Ok(None)) {
            return Ok(());
        }
        findings.plan.take(Phase::Send, &action.key)?;
        findings.plan.take_at(action.side, Phase::Delete, twin)?;
        // Where both sides are written, the twin would travel too.
        findings.plan.take_at(action.side.other(), Phase::Send, twin)?;
        let sent = sent_entry(action)?;
        let same = self.same(action, sent, twin, &found).await;
        if same != Ok(Sameness::Same) {
            let message = format!(
                "{}: {} has this name in another Unicode form ({twin:?} against {:?}) with other content",
                action.key,
                to.name(),
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

/// Where a directory and a file of one name can't both exist, the deletion that makes room goes first, and copies that
/// wait for the room come after it, with what is sent.
fn make_room(plan: &mut PlanStore, side: Side) -> Result<(), Error> {
    let mut deferred = false;
    for phase in [Phase::Copy, Phase::Send] {
        each(plan, phase, side, |plan, action| {
            let mut waits = false;
            for parent in parents(&action.key) {
                if let Some(delete) = plan.take_at(side, Phase::Delete, &parent)? {
                    plan.put(Phase::MakeRoom, &delete)?;
                }
                waits |= plan.has_at(side, Phase::MakeRoom, &parent)?;
            }
            deferred |= waits && defer(plan, side, &action.key)?;
            Ok(())
        })?;
    }
    each(plan, Phase::Delete, side, |plan, action| {
        let mut blocks = false;
        for parent in parents(&action.key) {
            let copied = plan.has_at(side, Phase::Copy, &parent)?;
            if copied || plan.has_at(side, Phase::Send, &parent)? {
                blocks = true;
                deferred |= defer(plan, side, &parent)?;
            }
        }
        if blocks && let Some(delete) = plan.take(Phase::Delete, &action.key)? {
            plan.put(Phase::MakeRoom, &delete)?;
        }
        Ok(())
    })?;
    if deferred {
        each(plan, Phase::Send, side, |plan, action| without_origin(plan, side, action))?;
    }
    Ok(())
}

/// A copy that needs room is made after the deletions that give it.
fn defer(plan: &mut PlanStore, side: Side, key: &Key) -> Result<bool, Error> {
    let Some(copy) = plan.take_at(side, Phase::Copy, key)? else { return Ok(false) };
    plan.put(Phase::Send, &copy)?;
    Ok(true)
}

/// What a deferred copy would copy may itself have made room by then: it is sent, and a deletion that is its old half is
/// one like any other, which waits for nothing and is kept.
fn without_origin(plan: &mut PlanStore, side: Side, action: &Action) -> Result<(), Error> {
    let Verb::Copy { from, .. } = &action.verb else { return Ok(()) };
    let Some(mut delete) = plan.take_at(side, Phase::MakeRoom, from)? else { return Ok(()) };
    if matches!(&delete.reason, Reason::Renamed { from: new } if *new == action.key) {
        delete.reason = Reason::DeletedAtSource;
    }
    plan.put(Phase::MakeRoom, &delete)?;
    plan.take(Phase::Send, &action.key)?;
    plan.put(Phase::Send, &Action { verb: Verb::Create, reason: Reason::New, ..action.clone() })?;
    Ok(())
}

/// Calls `act` for each action of a phase that changes `side`; it may move any of them.
fn each(
    plan: &mut PlanStore,
    phase: Phase,
    side: Side,
    mut act: impl FnMut(&mut PlanStore, &Action) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut after: Option<Key> = None;
    while let Some(page) = Some(plan.page(phase, after.as_ref(), PAGE)?).filter(|page| !page.is_empty()) {
        after = page.last().map(|action| action.key.clone());
        for action in page.iter().filter(|action| action.side == side) {
            act(plan, action)?;
        }
    }
    Ok(())
}

/// The directories above a key, as keys.
fn parents(key: &Key) -> Vec<Key> {
    let text = key.as_str();
    text.match_indices('/').filter_map(|(at, _)| Key::new(&text[..at]).ok()).collect()
}
