//! How much is asked of a replica at once: a [`Gate`] bounds operations in flight and bytes a second, and
//! [`Throttled`] applies it to every operation of a replica.
//!
//! The bound on operations follows the server: it is halved when the server asks for less, at most once a second,
//! and grows by one after as many successes as it is wide. A stream of refusals is back-pressure, never a failure.
//! Repeating a refused request is the business of [`super::retry`], which stands outside this decorator, so that every
//! attempt passes the gate.

mod timetable;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

pub use timetable::{DAY, Hours, Timetable};

use super::trash;
use super::{
    Attributes, Capabilities, Cause, Connected, Contact, Content, Error, Journal, Kept, Leases, Listing, Origin,
    Pieces, Put, Replica, Room, Trash, Trashed, TrashedStream,
};
use crate::model::{Entry, Expect, Filter, Key, RunName, Version};

/// Halving again within this time would punish one burst of refusals several times.
const CALM: Duration = Duration::from_secs(1);

/// A shared bound on operations in flight and on bytes a second. Clones share it.
#[derive(Debug, Clone)]
pub struct Gate {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    width: Mutex<Width>,
    changed: Notify,
    /// Bytes a second, and the bucket; `None` for no limit.
    rate: Option<(f64, Mutex<Bucket>)>,
}

#[derive(Debug)]
struct Width {
    limit: usize,
    most: usize,
    in_flight: usize,
    successes: usize,
    halved: Option<Instant>,
}

#[derive(Debug)]
struct Bucket {
    /// Bytes that may be sent now; negative while earlier bytes are still being paid for.
    credit: f64,
    at: Instant,
}

/// The right to one operation; given back when dropped.
#[derive(Debug)]
pub struct Pass {
    shared: Arc<Shared>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.shared.width().in_flight -= 1;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    /// A panic elsewhere leaves plain numbers behind, so a poisoned lock is as good as any.
    fn width(&self) -> std::sync::MutexGuard<'_, Width> {
        self.width.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    /// At most `most` operations at once, at most `bytes_per_second` (`None`: as many as go).
    pub fn new(most: usize, bytes_per_second: Option<u64>) -> Self {
        let most = most.max(1);
        let width = Width { limit: most, most, in_flight: 0, successes: 0, halved: None };
        #[expect(clippy::cast_precision_loss, reason = "rates far below 2^53")]
        let rate = bytes_per_second.filter(|rate| *rate > 0).map(|rate| {
            let rate = rate as f64;
            (rate, Mutex::new(Bucket { credit: rate, at: Instant::now() }))
        });
        Self { shared: Arc::new(Shared { width: Mutex::new(width), changed: Notify::new(), rate }) }
    }

    /// Waits for the right to one operation.
    pub async fn enter(&self) -> Pass {
        loop {
            {
                let mut width = self.shared.width();
                if width.in_flight < width.limit {
                    width.in_flight += 1;
                    return Pass { shared: Arc::clone(&self.shared) };
                }
            }
            self.shared.changed.notified().await;
        }
    }

    /// Waits until `bytes` may be sent or received.
    pub async fn spend(&self, bytes: u64) {
        let Some((rate, bucket)) = &self.shared.rate else { return };
        let wait = {
            let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let earned = now.duration_since(bucket.at).as_secs_f64() * rate;
            // One second of silence may be made up for, not more.
            bucket.credit = (bucket.credit + earned).min(*rate);
            bucket.at = now;
            #[expect(clippy::cast_precision_loss, reason = "bodies are far below 2^53 bytes")]
            let bytes = bytes as f64;
            bucket.credit -= bytes;
            Duration::from_secs_f64((-bucket.credit / rate).max(0.0))
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// The server asked for less.
    pub fn throttled(&self) {
        let mut width = self.shared.width();
        let now = Instant::now();
        if width.halved.is_some_and(|at| now.duration_since(at) < CALM) {
            return;
        }
        width.halved = Some(now);
        width.successes = 0;
        width.limit = (width.limit / 2).max(1);
    }

    /// The server did what it was asked.
    pub fn succeeded(&self) {
        let mut width = self.shared.width();
        if width.limit == width.most {
            return;
        }
        width.successes += 1;
        if width.successes >= width.limit {
            width.successes = 0;
            width.limit += 1;
            self.shared.changed.notify_one();
        }
    }

    /// Operations allowed at once now.
    pub fn limit(&self) -> usize {
        self.shared.width().limit
    }

    fn observe<T>(&self, result: &Result<T, Error>) {
        match result {
            Ok(_) => self.succeeded(),
            Err(Error { cause: Cause::Transient { throttled: true, .. }, .. }) => self.throttled(),
            Err(_) => {}
        }
    }
}

/// A replica behind a [`Gate`].
#[derive(Debug)]
pub struct Throttled {
    inner: Arc<dyn Replica>,
    gate: Gate,
}

impl Throttled {
    /// Puts `inner` behind `gate`.
    pub fn new(inner: Arc<dyn Replica>, gate: Gate) -> Self {
        Self { inner, gate }
    }

    async fn opened(&self, result: Result<Content, Error>) -> Result<Content, Error> {
        self.gate.observe(&result);
        match result? {
            Content::Pieces(pieces) => Ok(self.metered(&pieces)),
            whole @ Content::Whole { .. } => {
                // Paid for afterwards: the next one waits.
                self.gate.spend(whole.entry().size).await;
                Ok(whole)
            }
        }
    }

    fn metered(&self, pieces: &Arc<dyn Pieces>) -> Content {
        Content::Pieces(Arc::new(MeteredPieces { inner: Arc::clone(pieces), gate: self.gate.clone() }))
    }
}

#[async_trait]
impl Replica for Throttled {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn accepts(&self, key: &Key) -> Result<(), String> {
        self.inner.accepts(key)
    }

    async fn connect(&self, contact: Contact) -> Result<Connected, Error> {
        self.inner.connect(contact).await
    }

    /// A listing has one request under way at a time and holds no pass while its pages are consumed.
    fn list(&self, only: Option<&Key>, filter: &Arc<Filter>) -> Listing {
        self.inner.list(only, filter)
    }

    async fn look_up(&self, key: &Key) -> Result<Option<Entry>, Error> {
        let _pass = self.gate.enter().await;
        let result = self.inner.look_up(key).await;
        self.gate.observe(&result);
        result
    }

    async fn open(&self, key: &Key, expect: &Version) -> Result<Content, Error> {
        let _pass = self.gate.enter().await;
        self.opened(self.inner.open(key, expect).await).await
    }

    async fn open_seen(&self, key: &Key, entry: &Entry) -> Result<Content, Error> {
        let _pass = self.gate.enter().await;
        self.opened(self.inner.open_seen(key, entry).await).await
    }

    async fn put(&self, key: &Key, content: &Content, put: &Put<'_>) -> Result<Entry, Error> {
        let _pass = self.gate.enter().await;
        let result = match content {
            Content::Whole { bytes, .. } => {
                self.gate.spend(bytes.len() as u64).await;
                self.inner.put(key, content, put).await
            }
            Content::Pieces(pieces) => self.inner.put(key, &self.metered(pieces), put).await,
        };
        self.gate.observe(&result);
        result
    }

    async fn copy(&self, from: &Key, from_version: &Version, to: &Key, put: &Put<'_>) -> Result<Entry, Error> {
        let _pass = self.gate.enter().await;
        let result = self.inner.copy(from, from_version, to, put).await;
        self.gate.observe(&result);
        result
    }

    fn part_size(&self, size: u64) -> u64 {
        self.inner.part_size(size)
    }

    fn service(&self) -> Option<&str> {
        self.inner.service()
    }

    fn reaches(&self, service: &str) -> bool {
        self.inner.reaches(service)
    }

    async fn origin(&self, key: &Key, expect: &Version) -> Result<Origin, Error> {
        let _pass = self.gate.enter().await;
        let result = self.inner.origin(key, expect).await;
        self.gate.observe(&result);
        result
    }

    async fn origin_seen(&self, key: &Key, entry: &Entry) -> Result<Origin, Error> {
        let _pass = self.gate.enter().await;
        let result = self.inner.origin_seen(key, entry).await;
        self.gate.observe(&result);
        result
    }

    async fn copy_from(&self, origin: &Origin, to: &Key, put: &Put<'_>) -> Result<Entry, Error> {
        let _pass = self.gate.enter().await;
        let result = self.inner.copy_from(origin, to, put).await;
        self.gate.observe(&result);
        result
    }

    async fn delete(&self, batch: &[(Key, Version)]) -> Vec<Result<(), Error>> {
        let _pass = self.gate.enter().await;
        let results = self.inner.delete(batch).await;
        for result in &results {
            self.gate.observe(result);
        }
        results
    }

    async fn room(&self) -> Result<Option<Room>, Error> {
        self.inner.room().await
    }

    async fn tidy(&self, journal: &dyn Journal) -> Result<u64, Error> {
        let _pass = self.gate.enter().await;
        self.inner.tidy(journal).await
    }

    fn trash(&self) -> Option<&dyn Trash> {
        self.inner.trash().map(|_| self as &dyn Trash)
    }

    /// A renewal that waited behind transfers would come too late.
    fn leases(&self) -> Option<&dyn Leases> {
        self.inner.leases()
    }
}

impl Throttled {
    fn bin(&self) -> Result<&dyn Trash, Error> {
        self.inner.trash().ok_or_else(|| trash::none(self.inner.name()))
    }
}

#[async_trait]
impl Trash for Throttled {
    async fn keep(&self, key: &Key, version: &Version, run: &RunName, journal: &dyn Journal) -> Result<Kept, Error> {
        let _pass = self.gate.enter().await;
        let result = self.bin()?.keep(key, version, run, journal).await;
        self.gate.observe(&result);
        result
    }

    /// As [`Replica::list`].
    fn trashed(&self, run: Option<&RunName>) -> TrashedStream {
        self.bin().map_or_else(|error| TrashedStream::of(Err(error)), |bin| bin.trashed(run))
    }

    async fn look_at(&self, kept: &Trashed) -> Result<Option<Entry>, Error> {
        let _pass = self.gate.enter().await;
        let result = self.bin()?.look_at(kept).await;
        self.gate.observe(&result);
        result
    }

    async fn restore(&self, kept: &Trashed, expect: &Expect, journal: &dyn Journal) -> Result<Entry, Error> {
        let _pass = self.gate.enter().await;
        let result = self.bin()?.restore(kept, expect, journal).await;
        self.gate.observe(&result);
        result
    }

    async fn discard(&self, batch: &[Trashed]) -> Vec<Result<(), Error>> {
        let _pass = self.gate.enter().await;
        let results = match self.bin() {
            Ok(bin) => bin.discard(batch).await,
            Err(error) => vec![Err(error); batch.len()],
        };
        for result in &results {
            self.gate.observe(result);
        }
        results
    }
}

/// Pieces whose bytes count against the rate.
#[derive(Debug)]
struct MeteredPieces {
    inner: Arc<dyn Pieces>,
    gate: Gate,
}

#[async_trait]
impl Pieces for MeteredPieces {
    fn entry(&self) -> &Entry {
        self.inner.entry()
    }

    fn attributes(&self) -> Option<&Attributes> {
        self.inner.attributes()
    }

    async fn read(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
        self.gate.spend(len as u64).await;
        self.inner.read(offset, len).await
    }

    async fn unchanged(&self) -> Result<(), Error> {
        self.inner.unchanged().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_width_is_halved_once_a_second_and_grows_by_one_a_round() {
        let gate = Gate::new(16, None);
        for _ in 0..5 {
            gate.throttled();
        }
        assert_eq!(gate.limit(), 8);
        tokio::time::advance(CALM).await;
        gate.throttled();
        assert_eq!(gate.limit(), 4);
        for _ in 0..4 {
            gate.succeeded();
        }
        assert_eq!(gate.limit(), 5);
        for _ in 0..1000 {
            gate.succeeded();
        }
        assert_eq!(gate.limit(), 16);
    }

    #[tokio::test(start_paused = true)]
    async fn the_width_never_falls_to_nothing() {
        let gate = Gate::new(2, None);
        for _ in 0..5 {
            gate.throttled();
            tokio::time::advance(CALM).await;
        }
        assert_eq!(gate.limit(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn operations_beyond_the_width_wait_for_a_pass() {
        let gate = Gate::new(2, None);
        let (first, _second) = (gate.enter().await, gate.enter().await);
        let waiting = tokio::time::timeout(Duration::from_secs(1), gate.enter());
        assert!(waiting.await.is_err());
        let waiter = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter().await }
        });
        tokio::task::yield_now().await;
        drop(first);
        tokio::time::timeout(Duration::from_secs(1), waiter).await.expect("a pass came free").expect("no panic");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_are_paid_for_at_the_rate() {
        let gate = Gate::new(1, Some(1_000));
        let start = Instant::now();
        for _ in 0..4 {
            gate.spend(1_000).await;
        }
        // The first second's worth was saved up.
        assert_eq!(start.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_never_waits() {
        let start = Instant::now();
        Gate::new(1, None).spend(u64::MAX).await;
        assert!(start.elapsed().is_zero());
    }
}
