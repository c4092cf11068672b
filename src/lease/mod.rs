//! The lease of a place: of several hosts that were given one configuration, one changes it at a time.
//!
//! Preconditions are what protects content; a lease only spares hosts to run into them. It is a text at the place
//! ([`crate::replica::lease`]) that names a random holder. Whoever has changes to make writes it where none is, renews
//! it while he is at it, and takes it away afterwards. A holder counts his time from before he asked ([`Lease::check`]),
//! and others from when they saw what he wrote: so his time is over first, and no two clocks are compared. A lease that
//! did not change for its whole time, by the clock of who looks, is abandoned and may be taken over.
//!
//! Every write carries the version that was seen, so that of two who try one is refused. A write without an
//! answer may have happened; reading tells, for no two texts are equal.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::clock::{Boot, Clock, Runtime};
pub(crate) use self::hold::while_held;
pub use self::hold::{Hold, lies_at, stand_by, while_all_held};
use crate::model::{Expect, Version};
use crate::replica::fence::Permit;
use crate::replica::lease::Written;
use crate::replica::{Cause, Error, Leases};

mod clock;
mod hold;
#[cfg(test)]
mod tests;

/// How long a lease is, and how it is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// It is over after this time without a renewal.
    pub ttl: Duration,
    /// It is renewed as often.
    pub renewal: Duration,
    /// Nothing is begun any more when less of it than this is left: a request takes its time to arrive.
    pub margin: Duration,
}

impl Terms {
    /// Of a lease that is over after this time.
    pub fn of(ttl: Duration) -> Self {
        Self { ttl, renewal: ttl / 3, margin: ttl / 6 }
    }

    /// How long who stands by waits until he looks again.
    pub fn again(&self) -> Duration {
        self.ttl / 6
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self::of(Duration::from_mins(1))
    }
}

/// Whoever wrote this may say what he wants: nobody is waited for longer.
const LONGEST: Duration = Duration::from_hours(1);
/// Writes that were refused or had no answer, before a take gives up.
const TRIES: usize = 8;
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// What is done about a lease that another host holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// The cycle ends with [`Cause::Leased`]; who comes again remembers what was seen. For a daemon.
    StandBy,
    /// It is watched until it changes, goes, or its time is over; then the cycle ends or goes on. For one run.
    Watch,
}

/// One host's side of the leases of a pair: terms, clock, and what it saw of others. Lives from cycle to cycle.
#[derive(Debug)]
pub struct Claim {
    terms: Terms,
    clock: Arc<dyn Clock>,
    foreign: Foreign,
    sighting: Mutex<Option<Sighting>>,
    waited: AtomicBool,
}

/// A lease of another host.
#[derive(Debug, Clone)]
struct Sighting {
    version: Version,
    /// When it was seen first.
    since: Duration,
}

/// What a lease says. Neither names nor paths: whoever can read the bucket may read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Words {
    v: u32,
    /// Random for each time that a lease is taken.
    holder: String,
    /// How often it changed hands since it was last given back.
    generation: u64,
    /// How often it was renewed.
    renewal: u64,
    /// Seconds.
    ttl: u64,
}

impl Words {
    fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|words: &Self| words.v == 1)
    }

    fn text(&self) -> String {
        serde_json::to_string(self).expect("words are plain data")
    }
}

impl Claim {
    /// With these.
    pub fn with(terms: Terms, clock: Arc<dyn Clock>, foreign: Foreign) -> Self {
        Self { terms, clock, foreign, sighting: Mutex::default(), waited: AtomicBool::new(false) }
    }

    /// Whether another host was waited for since this was last asked: what was seen of the place before is old.
    fn has_waited(&self) -> bool {
        self.waited.swap(false, Relaxed)
    }

    /// How long ago the lease of another host was seen to change for the last time, which proves that its holder lived;
    /// `None` if nobody else has it, as far as was seen.
    pub fn seen(&self) -> Option<Duration> {
        let now = self.clock.now();
        self.sighting().as_ref().map(|seen| now.saturating_sub(seen.since))
    }

    /// How long who stands by waits until he looks again.
    pub fn again(&self) -> Duration {
        self.terms.again()
    }

    /// Whether the lease may be taken now, as far as one look tells: one request, and nothing is written.
    ///
    /// # Errors
    /// [`Cause::Leased`] if another host holds it; else what the place says.
    pub async fn look(&self, leases: &dyn Leases, name: &str, own: &[String]) -> Result<(), Error> {
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        let found = leases.read().await?;
        if found.is_none() {
            *self.sighting() = None;
        }
        self.passed_over(leases, found, &own, name).await.map(drop)
    }

    /// A name for a holder: to be written down before [`Claim::take`] writes it at the place.
    pub fn holder() -> String {
        format!("{:032x}", fastrand::u128(..))
    }

    /// Takes the lease of the place that people call `name`, as `holder`. What `own` held is taken at once: names that
    /// were written down by processes that are gone for sure.
    ///
    /// # Errors
    /// [`Cause::Leased`] if another host holds it; else what the place says.
    pub async fn take(&self, leases: &dyn Leases, name: &str, holder: &str, own: &[String]) -> Result<Lease, Error> {
        // Most of the time nobody holds it: then this is one request.
        let own: Vec<&str> = own.iter().map(String::as_str).chain([holder]).collect();
        let mut found = None;
        let mut asked: Option<(Words, Duration)> = None;
        let mut last: Option<Error> = None;
        for n in 0..TRIES {
            if n > 0 {
                match read(leases).await {
                    Ok(there) => {
                        // Who had it a moment ago gave it back.
                        let is_gone =
                            there.is_none() && last.as_ref().is_some_and(|error| error.cause == Cause::Precondition);
                        self.waited.fetch_or(is_gone, Relaxed);
                        found = there;
                    }
                    Err(error) if is_passing(&error) => {
                        last = Some(error);
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            // An answer was lost, and it is ours.
            if let (Some((words, since)), Some(there)) = (&asked, &found)
                && words.text() == there.text
            {
                return Ok(self.held(name, words.clone(), there.version.clone(), *since));
            }
            let (expect, before) = match self.passed_over(leases, found.take(), &own, name).await? {
                None => (Expect::Absent, 0),
                Some(Open { version, generation }) => (Expect::Version(version), generation),
            };
            let words = Words {
                v: 1,
                holder: holder.to_owned(),
                generation: before + 1,
                renewal: n as u64,
                ttl: self.terms.ttl.as_secs(),
            };
            let since = self.clock.now();
            match leases.write(&words.text(), &expect).await {
                Ok(version) => return Ok(self.held(name, words, version, since)),
                Err(error) if error.cause == Cause::Precondition => last = Some(error),
                Err(error) if is_passing(&error) => {
                    (asked, last) = (Some((words, since)), Some(error));
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| leased(name)))
    }

    fn held(&self, name: &str, words: Words, version: Version, since: Duration) -> Lease {
        *self.sighting() = None;
        let state = State { words, version, until: since + self.terms.ttl, lost: false };
        Lease { terms: self.terms, clock: Arc::clone(&self.clock), name: name.to_owned(), state: Mutex::new(state) }
    }

    fn sighting(&self) -> MutexGuard<'_, Option<Sighting>> {
        self.sighting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What may be written over, if anything is there.
    async fn passed_over(
        &self,
        leases: &dyn Leases,
        found: Option<Written>,
        own: &[&str],
        name: &str,
    ) -> Result<Option<Open>, Error> {
        let mut next = found;
        let first = next.as_ref().map(|there| there.version.clone());
        loop {
            let Some(there) = next else { return Ok(None) };
            let words = Words::read(&there.text);
            let generation = words.as_ref().map_or(0, |words| words.generation);
            let is_free = there.text.is_empty() || words.as_ref().is_some_and(|words| own.contains(&&*words.holder));
            if is_free {
                *self.sighting() = None;
            }
            if is_free || self.is_abandoned(&there.version, words.as_ref()) {
                return Ok(Some(Open { version: there.version, generation }));
            }
            // Who renews it lives.
            if self.foreign == Foreign::StandBy || first.as_ref() != Some(&there.version) {
                return Err(leased(name));
            }
            self.waited.store(true, Relaxed);
            tokio::time::sleep(self.terms.renewal / 2).await;
            next = match read(leases).await {
                Err(error) if is_passing(&error) => Some(there),
                result => result?,
            };
        }
    }

    /// Whether it did not change for its whole time since it was seen first.
    fn is_abandoned(&self, version: &Version, words: Option<&Words>) -> bool {
        let ttl = words.map_or(Duration::ZERO, |words| Duration::from_secs(words.ttl)).clamp(self.terms.ttl, LONGEST);
        let now = self.clock.now();
        let mut sighting = self.sighting();
        match &*sighting {
            Some(seen) if seen.version == *version => now.saturating_sub(seen.since) >= ttl,
            Some(_) | None => {
                *sighting = Some(Sighting { version: version.clone(), since: now });
                false
            }
        }
    }
}

/// A lease that may be written over.
struct Open {
    version: Version,
    generation: u64,
}

async fn read(leases: &dyn Leases) -> Result<Option<Written>, Error> {
    leases.read().await
}

fn is_passing(error: &Error) -> bool {
    matches!(error.cause, Cause::Transient { .. })
}

fn leased(name: &str) -> Error {
    Error::new(Cause::Leased, format!("another host holds the lease of {name}: it syncs now"))
        .hint("run it again when that is done; if that host is gone, its lease ends by itself within a minute or so")
}

/// A lease that was taken. Dropped without [`Lease::give_back`] it ends by itself.
#[derive(Debug)]
pub struct Lease {
    terms: Terms,
    clock: Arc<dyn Clock>,
    name: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    words: Words,
    version: Version,
    /// By the clock of this host.
    until: Duration,
    lost: bool,
}

impl Permit for Lease {
    fn check(&self) -> Result<(), Error> {
        let state = self.state();
        let is_over = self.clock.now() + self.terms.margin >= state.until;
        if state.lost || is_over { Err(self.is_lost()) } else { Ok(()) }
    }
}

impl Lease {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_lost(&self) -> Error {
        Error::new(Cause::Stop, format!("this host lost its lease of {}; nothing more was changed", self.name))
            .hint("it was stopped for too long, or could not renew it in time: run it again")
    }

    /// How often it changed hands since it was last given back.
    pub fn generation(&self) -> u64 {
        self.state().words.generation
    }

    /// Renews it in time, for ever. Ends when that can't be done any more: it is lost, and says so.
    pub async fn keep(&self, leases: &dyn Leases) -> Error {
        loop {
            tokio::time::sleep(self.terms.renewal).await;
            if let Err(error) = self.renew(leases).await {
                self.state().lost = true;
                return error;
            }
        }
    }

    /// Renews it once, and tries as long as it is valid.
    async fn renew(&self, leases: &dyn Leases) -> Result<(), Error> {
        let (words, version) = {
            let state = self.state();
            (Words { renewal: state.words.renewal + 1, ..state.words.clone() }, state.version.clone())
        };
        let (text, expect) = (words.text(), Expect::Version(version));
        // Of several tries the first may be the one that was done.
        let since = self.clock.now();
        loop {
            // Who slept past it takes it anew, if nobody else has it.
            self.check()?;
            let left = self.state().until.saturating_sub(self.clock.now());
            let Ok(answer) = tokio::time::timeout(left, leases.write(&text, &expect)).await else { continue };
            let version = match answer {
                Ok(version) => Some(version),
                Err(error) if error.cause == Cause::Precondition => {
                    match tokio::time::timeout(left, read(leases)).await {
                        Ok(Ok(Some(there))) if there.text == text => Some(there.version),
                        Ok(Ok(_)) => return Err(self.is_lost()),
                        Ok(Err(_)) | Err(_) => None,
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "the lease was not renewed yet");
                    None
                }
            };
            if let Some(version) = version {
                let mut state = self.state();
                (state.words, state.version, state.until) = (words, version, since + self.terms.ttl);
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Takes it away, so that others need not wait. One that is lost is left to who has it.
    ///
    /// # Errors
    /// It stays until its time is over.
    pub async fn give_back(&self, leases: &dyn Leases) -> Result<(), Error> {
        if self.check().is_err() {
            return Ok(());
        }
        let version = self.state().version.clone();
        match leases.remove(&version).await {
            // Somebody else has it, or nobody: ours is gone.
            Err(error) if matches!(error.cause, Cause::Precondition | Cause::NotFound) => Ok(()),
            result => result,
        }
    }
}
