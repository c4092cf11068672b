//! Verification: whether one place holds what another one holds, told key by key, with how that was found out.
//!
//! The survey of a mirror whose manifest is empty: nothing is remembered, so files are hashed now and the server is asked
//! now. What the plan of such a mirror would do is what differs. What it would overwrite or only record is looked at
//! further here: read at both sides, if that was asked for. That a store recorded a digest with an object is no proof of
//! the bytes that it holds: it has to say something of these itself. Nothing is changed anywhere, and no lock is taken.

use std::sync::atomic::Ordering::Relaxed;

use futures_util::stream::{StreamExt, iter};

use crate::examine::read;
use crate::model::{
    Action, Digest, DigestKind, Digests, Entry, Key, Problem, ProblemKind, ReadCost, Sameness, Side, SkipReason, Verb,
    Want,
};
use crate::pair_up::pair_up;
use crate::plan::{Compare, comparable};
use crate::plan_store::{Phase, PlanStore};
use crate::recover::Unsettled;
use crate::replica::{Cause, Contact, Error, Replica};
use crate::report::{Observer, Report, Watcher};
use crate::survey::{problem_of, survey};
use crate::sync::Cycle;

/// Keys judged together.
const PAGE: usize = 256;
/// Contents read at the same time, at most.
const READERS: usize = 16;

/// Which contents are read in full at both sides, beyond what only reading can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// None: checksums and recorded digests prove enough.
    None,
    /// A part of them, chosen by a number that gives the same choice again.
    Sample {
        /// Of a million.
        share: u32,
        /// The number.
        seed: u64,
    },
    /// All.
    All,
}

impl Reading {
    /// Whether a key's content is read.
    fn picks(self, key: &Key) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Sample { share, seed } => lot(seed, key) % 1_000_000 < share,
        }
    }
}

/// The number that a key draws.
fn lot(seed: u64, key: &Key) -> u32 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(key.as_str().as_bytes());
    let [a, b, c, d, ..] = *hasher.finalize().as_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Whether what the destination has besides is a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extras {
    /// It is one.
    Differ,
    /// A copy leaves it.
    AreLeft,
}

/// How it was found out that both sides hold the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// Both are empty.
    Empty,
    /// By a checksum or digest that came with the listing.
    Listed,
    /// By a checksum or digest that the server told when it was asked for the key.
    LookedUp,
    /// Both were read.
    Read,
}

/// What was found about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Both sides hold the same.
    Equal(How),
    /// Only the source has it.
    Missing,
    /// Only the destination has it.
    Extra,
    /// The contents differ.
    Different,
    /// The sizes are equal, and nothing tells whether the contents are.
    CannotTell,
    /// The sizes are equal, and so is the digest that was recorded at a store, which says nothing itself that agrees.
    OnlyRecorded,
}

/// A key that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The key.
    pub key: Key,
    /// Bytes at the source, or at the destination where only that has it.
    pub size: u64,
    /// What was found.
    pub outcome: Outcome,
}

/// The sums of a verification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Equal files, by how that was found out.
    pub equal: std::collections::BTreeMap<How, u64>,
    /// Bytes of the equal files.
    pub equal_bytes: u64,
    /// Keys that only the source has.
    pub missing: u64,
    /// Keys that only the destination has.
    pub extra: u64,
    /// Keys whose contents differ.
    pub different: u64,
    /// Keys of equal sizes whose contents could not be compared.
    pub cannot_tell: u64,
    /// Of these, the ones with the same recorded digest.
    pub only_recorded: u64,
    /// Files that were to be read in full at both sides, of those that could be.
    pub sampled: (u64, u64),
    /// Keys or folders that could not be looked at: nothing is known of them.
    pub problems: u64,
    /// What rules left out.
    pub skipped: Vec<(SkipReason, u64)>,
}

impl Verified {
    /// Whether nothing of the source was compared, nor known to be missing or in trouble.
    fn is_void(&self) -> bool {
        self.equal.is_empty() && self.missing + self.different + self.cannot_tell + self.problems == 0
    }

    pub(crate) fn count(&mut self, finding: &Finding) {
        match finding.outcome {
            Outcome::Equal(how) => {
                *self.equal.entry(how).or_default() += 1;
                self.equal_bytes += finding.size;
            }
            Outcome::Missing => self.missing += 1,
            Outcome::Extra => self.extra += 1,
            Outcome::Different => self.different += 1,
            Outcome::CannotTell => self.cannot_tell += 1,
            Outcome::OnlyRecorded => {
                self.cannot_tell += 1;
                self.only_recorded += 1;
            }
        }
    }
}

/// Compares both sides of a cycle whose manifest is empty and whose mode is a mirror; `found` hears of every key.
///
/// # Errors
/// A side is not there, or could not be listed completely: nothing may be concluded. Nothing of the source was compared.
pub async fn verify(
    mut cycle: Cycle<'_>,
    (reading, extras): (Reading, Extras),
    observer: &dyn Observer,
    found: &(dyn Fn(&Finding) + Sync),
) -> Result<Verified, Error> {
    let watcher = Watcher::new(observer);
    for side in Side::BOTH {
        let connected = cycle.of(side).connect(Contact::Look).await;
        for notice in connected.map_err(|error| Error { cause: Cause::Stop, ..error })?.notices {
            watcher.notice(&notice);
        }
    }
    // What only reading can tell is read here, and is known to have been read then.
    let doubt = std::mem::replace(&mut cycle.policy.compare, Compare::Metadata);
    let mut findings = survey(&cycle, &[], &Unsettled::default(), &watcher).await?;
    pair_up(&cycle, &mut findings, &watcher).await?;
    refuse_nothing(&cycle, findings.source_keys + findings.dest_keys, findings.ruled_out)?;
    tell_nothing(&cycle, (findings.source_keys, findings.dest_keys), &watcher);
    let (at_least, sampled) = draw(&findings.plan, reading)?;
    let mut verified = Verified { sampled, ..Verified::default() };
    let judge = Judge { cycle: &cycle, reading, at_least, doubt, watcher: &watcher };
    for phase in Phase::ALL {
        let mut after: Option<Key> = None;
        loop {
            let page = findings.plan.page(phase, after.as_ref(), PAGE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            let mut judged = iter(page).map(|action| judge.judge(action)).buffered(cycle.concurrency.clamp(1, READERS));
            while let Some(finding) = judged.next().await {
                if let Some(finding) = finding? {
                    verified.count(&finding);
                    found(&finding);
                }
            }
        }
    }
    verified.skipped = findings.skipped.iter().map(|(reason, count)| (*reason, *count)).collect();
    for (key, side) in findings.halves.iter().filter(|(_, side)| *side == Side::Source || extras == Extras::Differ) {
        let (has, lacks) = (cycle.of(*side).name(), cycle.of(side.other()).name());
        let message = format!("{key}: a file in {has}, and a link or a special file in {lacks}");
        watcher.problem(
            &Problem::of(key, ProblemKind::Name, message).hint("look at it there; links are not followed here"),
        );
    }
    let mut report = Report::empty();
    watcher.into_report(&mut report);
    verified.problems = report.problem_count;
    if verified.is_void() && (verified.extra == 0 || extras == Extras::AreLeft) {
        let message = format!("nothing was compared: there is nothing at {}", cycle.source.name());
        return Err(Error::new(Cause::Usage, message)
            .hint("check the spelling; mediasync ls shows what is there. That nothing equals nothing proves nothing"));
    }
    Ok(verified)
}

/// A mistyped prefix of a bucket has nothing, and that is no error.
fn tell_nothing(cycle: &Cycle<'_>, (source, dest): (u64, u64), observer: &dyn Observer) {
    for (keys, side) in [(source, Side::Source), (dest, Side::Dest)] {
        if keys == 0 && cycle.scope.named().is_none() {
            observer.notice(&format!("nothing is at {}: check the spelling", cycle.of(side).name()));
        }
    }
}

/// Both contents, where reading them could tell more than their sizes do.
fn readable(action: &Action) -> Option<(&Entry, &Entry)> {
    let (source, dest) = (action.from.as_ref()?, action.at.as_ref()?);
    let is_candidate = matches!(action.verb, Verb::Adopt | Verb::Touch | Verb::Overwrite);
    (is_candidate && source.size == dest.size && source.size > 0).then_some((source, dest))
}

/// Of a sample, how many are read of how many, and the file that is read where the share of few would be none.
fn draw(plan: &PlanStore, reading: Reading) -> Result<(Option<Key>, (u64, u64)), Error> {
    let Reading::Sample { seed, .. } = reading else { return Ok((None, (0, 0))) };
    let (mut picked, mut of, mut least) = (0, 0, None);
    for action in plan.iter() {
        let action = action?;
        if readable(&action).is_none() {
            continue;
        }
        of += 1;
        picked += u64::from(reading.picks(&action.key));
        let drawn = (lot(seed, &action.key), action.key);
        if least.as_ref().is_none_or(|least| drawn < *least) {
            least = Some(drawn);
        }
    }
    match (picked, least) {
        (0, Some((_, key))) => Ok((Some(key), (1, of))),
        _ => Ok((None, (picked, of))),
    }
}

/// A comparison of nothing would be the best proof of all.
fn refuse_nothing(cycle: &Cycle<'_>, keys: u64, ruled_out: u64) -> Result<(), Error> {
    let message = match cycle.scope.named() {
        _ if keys > 0 => return Ok(()),
        Some(only) => format!("there is nothing called {only} at either side; nothing was compared"),
        None if ruled_out > 0 => "the rules leave out all that there is; nothing was compared".to_owned(),
        None => return Ok(()),
    };
    Err(Error::new(Cause::Usage, message).hint("look at --only, --include, --exclude and the size limits"))
}

struct Judge<'a> {
    cycle: &'a Cycle<'a>,
    reading: Reading,
    /// Read whatever the sample says.
    at_least: Option<Key>,
    /// What to do about what can't be told.
    doubt: Compare,
    watcher: &'a Watcher<'a>,
}

impl Judge<'_> {
    /// What a planned action says about its key; `None` if it is told as a problem.
    async fn judge(&self, action: Action) -> Result<Option<Finding>, Error> {
        let outcome = match (&action.verb, readable(&action)) {
            (Verb::Create | Verb::Copy { .. }, _) => Some(Outcome::Missing),
            (Verb::Delete, _) => Some(Outcome::Extra),
            (_, Some((source, dest))) => self.told(&action, self.same(&action, source, dest).await)?,
            (Verb::Adopt | Verb::Touch, None) if action.from.as_ref().is_some_and(|source| source.size == 0) => {
                Some(Outcome::Equal(How::Empty))
            }
            (Verb::Overwrite, None) if action.from.is_some() && action.at.is_some() => Some(Outcome::Different),
            // Without a base there is nothing else.
            _ => Some(Outcome::CannotTell),
        };
        Ok(outcome.map(|outcome| Finding { size: action.size, key: action.key, outcome }))
    }

    /// Whether contents of one size are the same.
    async fn same(&self, action: &Action, source: &Entry, dest: &Entry) -> Result<Outcome, Error> {
        let key = &action.key;
        if self.reading.picks(key) || self.at_least.as_ref() == Some(key) {
            return self.by_reading(key, source, dest).await;
        }
        let outcome = match action.verb {
            Verb::Overwrite => self.unequal(action, dest).await?,
            _ => self.proven(action, source, dest).await?,
        };
        match (outcome, self.doubt) {
            (Outcome::CannotTell | Outcome::OnlyRecorded, Compare::Download) => {
                self.by_reading(key, source, dest).await
            }
            _ => Ok(outcome),
        }
    }

    /// What can't be looked at is a problem of its key, unless nothing else can be either.
    fn told(&self, action: &Action, outcome: Result<Outcome, Error>) -> Result<Option<Outcome>, Error> {
        match outcome {
            Ok(outcome) => Ok(Some(outcome)),
            Err(error) if error.cause == Cause::Stop => Err(error),
            Err(error) => {
                self.watcher.problem(&problem_of(&action.key, &error));
                Ok(None)
            }
        }
    }

    async fn content(&self, side: Side, key: &Key, entry: &Entry, want: &Want) -> Result<Digests, Error> {
        let progress = &self.cycle.progress;
        progress.to_hash.fetch_add(1, Relaxed);
        let digests = read(self.cycle.of(side), &self.cycle.buffers, key, entry, want).await;
        progress.hashed.fetch_add(1, Relaxed);
        progress.bytes_hashed.fetch_add(entry.size, Relaxed);
        digests
    }

    async fn by_reading(&self, key: &Key, source: &Entry, dest: &Entry) -> Result<Outcome, Error> {
        let want = Want::default();
        let ours = self.content(Side::Source, key, source, &want).await?;
        let theirs = self.content(Side::Dest, key, dest, &want).await?;
        Ok(match ours.compare(&theirs) {
            Sameness::Same => Outcome::Equal(How::Read),
            Sameness::Different => Outcome::Different,
            Sameness::CannotTell => Outcome::CannotTell,
        })
    }

    /// Contents of one size that nothing has shown to be equal: whether something shows that they differ.
    async fn unequal(&self, action: &Action, dest: &Entry) -> Result<Outcome, Error> {
        let (key, ours) = (&action.key, &action.digests);
        let mut theirs = dest.digests.clone();
        match self.cost(Side::Dest) {
            ReadCost::Cheap => theirs.merge(&self.content(Side::Dest, key, dest, &comparable(ours)).await?),
            ReadCost::Transfer => theirs = self.looked_up(Side::Dest, key, dest).await?,
        }
        Ok(match ours.compare(&theirs) {
            Sameness::Different => Outcome::Different,
            Sameness::Same | Sameness::CannotTell => Outcome::CannotTell,
        })
    }

    /// Contents that some digest calls equal: whether the stores say so of the bytes that they hold.
    async fn proven(&self, action: &Action, source: &Entry, dest: &Entry) -> Result<Outcome, Error> {
        let (key, all) = (&action.key, &action.digests);
        let (near, file, far, object) = match (self.cost(Side::Source), self.cost(Side::Dest)) {
            (ReadCost::Cheap, ReadCost::Cheap) => return Ok(Outcome::Equal(How::Read)),
            (ReadCost::Transfer, ReadCost::Transfer) => return self.stated_alike(key, source, dest).await,
            (ReadCost::Cheap, ReadCost::Transfer) => (Side::Source, source, Side::Dest, dest),
            (ReadCost::Transfer, ReadCost::Cheap) => (Side::Dest, dest, Side::Source, source),
        };
        if self.stated(far, object, &object.digests).iter().any(|digest| is_met(digest, all)) {
            return Ok(Outcome::Equal(How::Listed));
        }
        let told = self.stated(far, object, all);
        // One of them is that of the file.
        let twice = |digest: &Digest| told.iter().filter(|other| other.kind == digest.kind).count() > 1;
        if told.iter().any(|digest| digest.kind.is_of_content() && twice(digest)) {
            return Ok(Outcome::Different);
        }
        if told.is_empty() {
            return Ok(Outcome::OnlyRecorded);
        }
        let ours = self.content(near, key, file, &comparable(&told)).await?;
        Ok(outcome(ours.compare(&told)))
    }

    /// Two stores: what both say themselves of what they hold.
    async fn stated_alike(&self, key: &Key, source: &Entry, dest: &Entry) -> Result<Outcome, Error> {
        let listed = |side, entry: &Entry| self.stated(side, entry, &entry.digests);
        if listed(Side::Source, source).compare(&listed(Side::Dest, dest)) == Sameness::Same {
            return Ok(Outcome::Equal(How::Listed));
        }
        let ours = self.looked_up(Side::Source, key, source).await?;
        let theirs = self.looked_up(Side::Dest, key, dest).await?;
        let stated = self.stated(Side::Source, source, &ours).compare(&self.stated(Side::Dest, dest, &theirs));
        Ok(outcome(stated))
    }

    fn stated(&self, side: Side, entry: &Entry, all: &Digests) -> Digests {
        stated(self.cycle.of(side), entry, all)
    }

    async fn looked_up(&self, side: Side, key: &Key, seen: &Entry) -> Result<Digests, Error> {
        let mut all = seen.digests.clone();
        match self.cycle.of(side).look_up(key).await? {
            Some(now) if now.version == seen.version => all.merge(&now.digests),
            Some(_) | None => {
                let name = self.cycle.of(side).name();
                return Err(Error::new(Cause::Precondition, format!("{key}: changed at {name} while it was compared")));
            }
        }
        Ok(all)
    }

    fn cost(&self, side: Side) -> ReadCost {
        self.cycle.of(side).capabilities().read_cost
    }
}

/// What a place says of the bytes that it holds, not what somebody stored with them.
pub(crate) fn stated(replica: &dyn Replica, entry: &Entry, all: &Digests) -> Digests {
    let own = Digest::from_etag(entry.version.as_str());
    let is_own = |digest: &&Digest| digest.kind.is_of_content() || own.as_ref() == Some(digest);
    all.iter().filter(|one| replica.capabilities().states.contains(&one.kind)).filter(is_own).cloned().collect()
}

/// What is called equal by a recorded digest, after the stores were asked.
fn outcome(stated: Sameness) -> Outcome {
    match stated {
        Sameness::Same => Outcome::Equal(How::LookedUp),
        Sameness::Different => Outcome::Different,
        Sameness::CannotTell => Outcome::OnlyRecorded,
    }
}

/// Whether hashing a file on this machine could meet what a listing told of the other side. What came of both is one set;
/// an ETag stands in it beside the MD5 that it was compared with, and of trusted kinds there is one in it or two.
fn is_met(listed: &Digest, all: &Digests) -> bool {
    let computed = |kind| all.iter().any(|digest| digest.kind == kind && digest.text == listed.text);
    let one = |kind| all.iter().filter(|digest| digest.kind == kind).count() == 1;
    match listed.kind {
        // A second one was recorded with the object, and either may be the file's.
        DigestKind::EtagMd5 => computed(DigestKind::Md5) && one(DigestKind::Md5),
        DigestKind::EtagMultipart => computed(DigestKind::MultipartMd5),
        kind => one(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> Key {
        Key::new(format!("photos/{n}.jpg")).unwrap()
    }

    #[test]
    fn a_sample_has_its_share_and_comes_again_by_its_seed() {
        let picked = |seed| (0..10_000).filter(|n| Reading::Sample { share: 50_000, seed }.picks(&key(*n))).collect();
        let (one, again, other): (Vec<u32>, Vec<u32>, Vec<u32>) = (picked(1), picked(1), picked(2));
        assert!((350..650).contains(&one.len()), "{}", one.len());
        assert!(one == again && one != other);
        assert!(!Reading::None.picks(&key(1)) && Reading::All.picks(&key(1)));
        assert!((0..100).all(|n| Reading::Sample { share: 1_000_000, seed: 7 }.picks(&key(n))));
        assert!(!(0..100).any(|n| Reading::Sample { share: 0, seed: 7 }.picks(&key(n))));
    }

    #[test]
    fn what_met_an_etag_is_told_from_what_was_asked_for() {
        let md5 = "0cc175b9c0f1b6a831c399e269772661";
        let etag = Digest::new(DigestKind::EtagMd5, md5);
        let all = |kinds: &[(DigestKind, &str)]| -> Digests {
            kinds.iter().map(|(kind, text)| Digest::new(*kind, *text)).collect()
        };
        assert!(is_met(&etag, &all(&[(DigestKind::EtagMd5, md5), (DigestKind::Md5, md5)])));
        assert!(!is_met(&etag, &all(&[(DigestKind::EtagMd5, md5), (DigestKind::Blake3, "b")])));
        // What was recorded as an MD5 is that of the ETag, and the file has another one.
        let recorded = [(DigestKind::EtagMd5, md5), (DigestKind::Md5, "0f"), (DigestKind::Md5, md5)];
        assert!(!is_met(&etag, &all(&recorded)));
        let ours = Digest::new(DigestKind::Blake3, "b");
        assert!(is_met(&ours, &all(&[(DigestKind::Blake3, "b"), (DigestKind::Md5, md5)])));
    }
}
