//! Verification: whether one place holds what another one holds, told key by key, with how that was found out.
//!
//! The survey of a mirror whose manifest is empty: nothing is remembered, so files are hashed now and the server is asked
//! now. What the plan of such a mirror would do is what differs. What it would overwrite or only record is looked at
//! further here: read at both sides, if that was asked for. Nothing is changed anywhere, and no lock is taken.

use std::sync::atomic::Ordering::Relaxed;

use futures_util::stream::{StreamExt, iter};

use crate::examine::read;
use crate::model::{
    Action, Digest, DigestKind, Digests, Entry, Key, ReadCost, Sameness, Side, SkipReason, Verb, Want, same_content,
};
use crate::pair_up::pair_up;
use crate::plan::comparable;
use crate::plan_store::Phase;
use crate::recover::Unsettled;
use crate::replica::{Cause, Contact, Error};
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
            Self::Sample { share, seed } => {
                let mut hasher = blake3::Hasher::new();
                hasher.update(&seed.to_le_bytes()).update(key.as_str().as_bytes());
                let [a, b, c, d, ..] = *hasher.finalize().as_bytes();
                u32::from_le_bytes([a, b, c, d]) % 1_000_000 < share
            }
        }
    }
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
    /// Keys or folders that could not be looked at: nothing is known of them.
    pub problems: u64,
    /// What rules left out.
    pub skipped: Vec<(SkipReason, u64)>,
}

impl Verified {
    fn count(&mut self, finding: &Finding) {
        match finding.outcome {
            Outcome::Equal(how) => {
                *self.equal.entry(how).or_default() += 1;
                self.equal_bytes += finding.size;
            }
            Outcome::Missing => self.missing += 1,
            Outcome::Extra => self.extra += 1,
            Outcome::Different => self.different += 1,
            Outcome::CannotTell => self.cannot_tell += 1,
        }
    }
}

/// Compares both sides of a cycle whose manifest is empty and whose mode is a mirror; `found` hears of every key.
///
/// # Errors
/// A side is not there, or could not be listed completely: nothing may be concluded.
pub async fn verify(
    cycle: Cycle<'_>,
    reading: Reading,
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
    let mut findings = survey(&cycle, &[], &Unsettled::default(), &watcher).await?;
    pair_up(&cycle, &mut findings, &watcher).await?;
    refuse_nothing(&cycle, findings.source_keys + findings.dest_keys, findings.ruled_out)?;
    let mut verified = Verified::default();
    let judge = Judge { cycle: &cycle, reading, watcher: &watcher };
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
    let mut report = Report::empty();
    watcher.into_report(&mut report);
    verified.problems = report.problem_count;
    Ok(verified)
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
    watcher: &'a Watcher<'a>,
}

impl Judge<'_> {
    /// What a planned action says about its key; `None` if it is told as a problem.
    async fn judge(&self, action: Action) -> Result<Option<Finding>, Error> {
        let outcome = match (&action.verb, &action.from, &action.at) {
            (Verb::Create | Verb::Copy { .. }, ..) => Some(Outcome::Missing),
            (Verb::Delete, ..) => Some(Outcome::Extra),
            (Verb::Adopt | Verb::Touch, Some(source), Some(dest)) => {
                if self.reading.picks(&action.key) && source.size > 0 {
                    self.told(&action, self.by_reading(&action.key, source, dest).await)?
                } else {
                    Some(Outcome::Equal(self.how(source, dest, &action.digests)))
                }
            }
            (Verb::Overwrite, Some(source), Some(dest)) if source.size != dest.size => Some(Outcome::Different),
            (Verb::Overwrite, Some(source), Some(dest)) if self.reading.picks(&action.key) => {
                self.told(&action, self.by_reading(&action.key, source, dest).await)?
            }
            (Verb::Overwrite, Some(_), Some(dest)) => self.told(&action, self.unequal(&action, dest).await)?,
            // Without a base there is nothing else.
            _ => Some(Outcome::CannotTell),
        };
        Ok(outcome.map(|outcome| Finding { size: action.size, key: action.key, outcome }))
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
            ReadCost::Transfer => match self.cycle.of(Side::Dest).look_up(key).await? {
                Some(now) if now.version == dest.version => theirs.merge(&now.digests),
                Some(_) | None => {
                    let name = self.cycle.of(Side::Dest).name();
                    return Err(Error::new(
                        Cause::Precondition,
                        format!("{key}: changed at {name} while it was compared"),
                    ));
                }
            },
        }
        Ok(match ours.compare(&theirs) {
            Sameness::Different => Outcome::Different,
            Sameness::Same | Sameness::CannotTell => Outcome::CannotTell,
        })
    }

    fn cost(&self, side: Side) -> ReadCost {
        self.cycle.of(side).capabilities().read_cost
    }

    /// How the survey found out that both are equal; `all` is what it knew of both in the end.
    fn how(&self, source: &Entry, dest: &Entry, all: &Digests) -> How {
        if source.size == 0 {
            return How::Empty;
        }
        if same_content(source.size, &source.digests, dest.size, &dest.digests) == Sameness::Same {
            return How::Listed;
        }
        let listed = match (self.cost(Side::Source), self.cost(Side::Dest)) {
            (ReadCost::Cheap, ReadCost::Cheap) => return How::Read,
            (ReadCost::Cheap, ReadCost::Transfer) => &dest.digests,
            (ReadCost::Transfer, ReadCost::Cheap) => &source.digests,
            (ReadCost::Transfer, ReadCost::Transfer) => return How::LookedUp,
        };
        if listed.iter().any(|digest| is_met(digest, all)) { How::Listed } else { How::LookedUp }
    }
}

/// Whether hashing a file on this machine could meet what a listing told of the other side. What came of both is one set;
/// an ETag stands in it beside the MD5 that it was compared with, and of trusted kinds there is one in it or two.
fn is_met(listed: &Digest, all: &Digests) -> bool {
    let computed = |kind| all.iter().any(|digest| digest.kind == kind && digest.text == listed.text);
    match listed.kind {
        DigestKind::EtagMd5 => computed(DigestKind::Md5),
        DigestKind::EtagMultipart => computed(DigestKind::MultipartMd5),
        kind => all.iter().filter(|digest| digest.kind == kind).count() == 1,
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
        let ours = Digest::new(DigestKind::Blake3, "b");
        assert!(is_met(&ours, &all(&[(DigestKind::Blake3, "b"), (DigestKind::Md5, md5)])));
    }
}
