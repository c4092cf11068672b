//! How much is asked of a replica at once: a [`Gate`] bounds operations in flight and bytes a second, [`Commons`] do so
//! over several gates, and [`Throttled`] applies a gate to every operation of a replica.
//!
//! A stream of refusals is back-pressure, never a failure. Repeating a refused request is the business of [`super::retry`], which stands outside this decorator, so that every
//! attempt passes the gate.

mod commons;
mod gate;
mod meter;
mod timetable;
mod turns;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use commons::Commons;
pub use gate::{Gate, Pass};
pub use meter::Rates;
pub use timetable::{DAY, Hours, Timetable};

use super::trash;
use super::{
    Attributes, Capabilities, Connected, Contact, Content, Error, Journal, Kept, Leases, Listing, Origin, Pieces, Put,
    Replica, Restyled, Room, Trash, Trashed, TrashedStream,
};
use crate::model::{Entry, Expect, Filter, Key, Retype, RunName, Style, Version};

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
    fn rest(&self) {
        self.inner.rest();
    }

    async fn quiet(&self) {
        self.inner.quiet().await;
    }

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

    fn is_unanswered(&self, key: &Key) -> bool {
        self.inner.is_unanswered(key)
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

    async fn lacks(&self, key: &Key, expect: &Version, style: &Style, retype: Retype) -> Result<bool, Error> {
        let _pass = self.gate.enter().await;
        let result = self.inner.lacks(key, expect, style, retype).await;
        self.gate.observe(&result);
        result
    }

    async fn restyle(&self, key: &Key, put: &Put<'_>, retype: Retype) -> Result<Restyled, Error> {
        let _pass = self.gate.enter().await;
        let result = self.inner.restyle(key, put, retype).await;
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
