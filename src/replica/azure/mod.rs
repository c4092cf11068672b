//! A container prefix on Azure Blob Storage.
//!
//! [`Azure`] is the front door; each operation has its own file, and [`wire`] is the only way to the network. Versions
//! are ETags, which every change of a blob moves; Content-MD5 and our BLAKE3 come with listings.
//!
//! Promises beyond [`Replica`]'s: an upload counts as done only with an ETag *and* a body whose MD5 the service verified;
//! snapshots, versions and deleted blobs are neither listed nor removed; a 404 counts as absence only while the container
//! itself answers; of a shared access signature and an account key nothing is ever shown.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use self::wire::Wire;
use super::Trouble;
use super::leftovers::Leftovers;
use super::notices::Notices;
use super::object::Names;
use super::shelf::Shelf;
use super::throttle::Gate;
use super::{
    Ability, Capabilities, Cause, Connected, Contact, Content, Error, Journal, Leases, Listing, Origin, Put, ReadCost,
    Replica, Restyled, Trash,
};
use crate::model::{DigestKind, Entry, Filter, Key, Namespace, Retype, Style, Version};

mod address;
mod admin;
mod authorize;
mod blocks;
mod browse;
mod checkup;
mod copy;
mod delete;
mod error;
mod facts;
mod fetch;
mod keep;
mod lease;
mod list;
mod names;
mod ops;
mod probe;
mod put;
mod read;
mod restyle;
mod role;
mod sas;
mod sign;
mod transport;
mod trash;
mod who;
mod wire;

pub use address::{AzureAddress, BadPlace, Credentials, Identity, check_account, check_container, clean_endpoint};
pub use probe::Probe;
pub use role::Role;
pub use sas::{is_sas, tidy_sas};

/// A container prefix.
#[derive(Debug)]
pub struct Azure {
    inner: Arc<Inner>,
}

/// What all operations share.
#[derive(Debug)]
struct Inner {
    wire: Wire,
    names: Names,
    /// For people.
    name: String,
    probe: Mutex<Probe>,
    notices: Notices,
    leftovers: Leftovers,
    shelf: Shelf,
    /// In which containers can be copied from one another.
    service: String,
    /// The service can't copy from where the content of this run lies.
    origins_off: AtomicBool,
}

impl Azure {
    /// A replica at `address`. `remembered` is what [`Azure::probe`] said after an earlier run at the same address.
    ///
    /// Nothing is contacted before [`Replica::connect`].
    pub fn new(address: AzureAddress, remembered: Option<Probe>) -> Self {
        Self::behind(address, remembered, Gate::new(usize::MAX, None))
    }

    /// As [`Azure::new`]; refusals that are handled inside (pages, blocks) narrow `gate` as well.
    pub fn behind(address: AzureAddress, remembered: Option<Probe>, gate: Gate) -> Self {
        let inner = Inner {
            names: Names::new(&address.prefix),
            name: address.display(),
            service: address.service(),
            wire: Wire::new(address, gate),
            probe: Mutex::new(remembered.unwrap_or_default()),
            notices: Notices::default(),
            leftovers: Leftovers::default(),
            shelf: Shelf::default(),
            origins_off: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// What is known about the server; keep it for the next run.
    pub fn probe(&self) -> Probe {
        self.inner.probe()
    }

    /// Whether the service answers as it should.
    pub fn trouble(&self) -> Arc<Trouble> {
        Arc::clone(&self.inner.wire.counts().trouble)
    }

    /// Requests made so far, by kind.
    pub fn requests(&self) -> Vec<(&'static str, u64)> {
        self.inner.wire.counts().report()
    }

    /// Takes what people should know and was found out since the last call.
    pub fn notices(&self) -> Vec<String> {
        self.inner.notices.take()
    }
}

impl Inner {
    /// What is known about the server.
    fn probe(&self) -> Probe {
        self.probe.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One thing that is known about the server.
    fn ability(&self, which: impl FnOnce(&Probe) -> Ability) -> Ability {
        which(&self.probe.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Learns something about the server.
    fn learn(&self, change: impl FnOnce(&mut Probe)) {
        change(&mut self.probe.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The name of the blob that a key may be stored under.
    fn blob(&self, key: &Key) -> Result<String, Error> {
        match names::accepts(&self.names, key) {
            Ok(()) => Ok(self.names.object(key)),
            Err(why) => Err(Error::new(Cause::Refused, format!("{key} can't be stored in {}: {why}", self.name))),
        }
    }
}

#[async_trait]
impl Replica for Azure {
    fn name(&self) -> &str {
        &self.inner.name
    }

    fn capabilities(&self) -> Capabilities {
        let probe = self.inner.probe.lock().unwrap_or_else(PoisonError::into_inner);
        Capabilities {
            namespace: if probe.flat == Ability::Missing { Namespace::Tree } else { Namespace::Flat },
            read_cost: ReadCost::Transfer,
            ordered: probe.ordered,
            conditional_put: probe.conditional_put,
            conditional_delete: probe.conditional_delete,
            copy: probe.copy,
            states: &[DigestKind::Md5],
        }
    }

    fn accepts(&self, key: &Key) -> Result<(), String> {
        names::accepts(&self.inner.names, key)
    }

    async fn connect(&self, contact: Contact) -> Result<Connected, Error> {
        probe::connect(&self.inner, contact).await
    }

    fn list(&self, only: Option<&Key>, _filter: &Arc<Filter>) -> Listing {
        list::start(&self.inner, only)
    }

    async fn look_up(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.inner.look_up(&self.inner.names.object(key)).await
    }

    async fn open(&self, key: &Key, expect: &Version) -> Result<Content, Error> {
        read::open(&self.inner, key, expect).await
    }

    async fn open_seen(&self, key: &Key, entry: &Entry) -> Result<Content, Error> {
        if entry.size > super::WHOLE_LIMIT {
            return read::open_large(&self.inner, key, &entry.version).await;
        }
        read::open(&self.inner, key, &entry.version).await
    }

    async fn put(&self, key: &Key, content: &Content, put: &Put<'_>) -> Result<Entry, Error> {
        let blob = self.inner.blob(key)?;
        match content {
            Content::Whole { bytes, blake3, .. } => self.inner.put_whole(&blob, bytes, blake3, put).await,
            Content::Pieces(pieces) => self.inner.put_pieces(key, &blob, pieces.as_ref(), put).await,
        }
    }

    async fn copy(&self, from: &Key, from_version: &Version, to: &Key, put: &Put<'_>) -> Result<Entry, Error> {
        let target = self.inner.blob(to)?;
        self.inner.copy(&self.inner.names.object(from), from_version, &target, put).await
    }

    fn service(&self) -> Option<&str> {
        Some(&self.inner.service)
    }

    fn reaches(&self, service: &str) -> bool {
        self.inner.reaches(service)
    }

    async fn origin(&self, key: &Key, expect: &Version) -> Result<Origin, Error> {
        self.inner.origin(&self.inner.names.object(key), expect).await
    }

    async fn origin_seen(&self, key: &Key, entry: &Entry) -> Result<Origin, Error> {
        Ok(self.inner.origin_seen(&self.inner.names.object(key), entry))
    }

    async fn copy_from(&self, origin: &Origin, to: &Key, put: &Put<'_>) -> Result<Entry, Error> {
        let target = self.inner.blob(to)?;
        self.inner.copy_from(origin, &target, put).await
    }

    async fn lacks(&self, key: &Key, expect: &Version, style: &Style, retype: Retype) -> Result<bool, Error> {
        self.inner.lacks(&self.inner.names.object(key), expect, style, retype).await
    }

    async fn restyle(&self, key: &Key, put: &Put<'_>, retype: Retype) -> Result<Restyled, Error> {
        self.inner.restyle(&self.inner.blob(key)?, put, retype).await
    }

    async fn delete(&self, batch: &[(Key, Version)]) -> Vec<Result<(), Error>> {
        self.inner.delete(batch).await
    }

    async fn tidy(&self, journal: &dyn Journal) -> Result<u64, Error> {
        blocks::forget_uploads(journal)?;
        self.inner.remove_leftovers().await
    }

    fn trash(&self) -> Option<&dyn Trash> {
        Some(self)
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }
}
