//! A bucket prefix on S3 or one of its relatives.
//!
//! [`S3`] is the front door; each operation has its own file, and [`client`] is the only way to the network. What
//! servers do differently is never guessed from their names: [`probe`] tries it once on objects of our own, the answer
//! is a [`Probe`] that the caller keeps, and every operation acts on it.
//!
//! Promises beyond [`Replica`]'s: an upload counts as done only with an ETag *and* a body that the server verified
//! (a signed SHA-256, or a CRC-64 where the probe saw a wrong one refused); no version id is ever sent with a deletion;
//! a 404 counts as absence only while the bucket itself answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use tokio::sync::OnceCell;

use self::client::Wire;
use self::endpoint::identity;
use self::names::Names;
use self::providers::Provider;
use super::Trouble;
use super::admin::Block;
use super::leftovers::Leftovers;
use super::notices::Notices;
use super::shelf::Shelf;
use super::throttle::Gate;
use super::{
    Ability, Capabilities, Cause, Connected, Contact, Content, Error, Journal, Leases, Listing, Origin, Put, ReadCost,
    Replica, Restyled, Trash, WHOLE_LIMIT,
};
use crate::model::{DigestKind, Entry, Filter, Key, Namespace, Retype, Style, Version};

mod acl;
mod address;
mod admin;
mod browse;
pub mod bucket;
mod carried;
mod checkup;
mod client;
mod clock;
mod copy;
mod cors;
mod delete;
mod direct;
mod document;
mod effect;
pub mod endpoint;
mod error;
mod fetch;
mod folders;
mod hosts;
mod keep;
mod lease;
mod list;
mod metadata;
mod multipart;
mod names;
mod ops;
mod policy;
mod probe;
pub mod providers;
mod put;
mod ranges;
mod read;
mod receiver;
mod restyle;
mod resume;
mod sender;
mod session;
mod settings;
mod sign;
mod trash;
mod trial;
mod variables;

pub use address::{Addressing, Credentials, Renewal, S3Address};
pub use effect::PUBLIC_BY_BUCKET;
pub use probe::Probe;
pub use providers::Said;
pub use variables::Variables;

/// A bucket prefix.
#[derive(Debug)]
pub struct S3 {
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
    /// What kind of server it is, as far as its host or somebody says.
    provider: &'static Provider,
    /// What is never used, whatever the probe sees.
    limits: Probe,
    /// In which buckets can be copied from one another.
    service: String,
    /// The server can't copy from where the content of this run lies.
    origins_off: AtomicBool,
    /// A server refused an ACL: none is sent for the rest of the run.
    acls_off: AtomicBool,
    /// Whether it was told that ACLs have no effect here, and whether an object was asked for that.
    effect_told: AtomicBool,
    effect_asked: AtomicBool,
    /// Who owns the bucket, once it was asked; `None` inside: it was not told.
    bucket_owner: OnceCell<Option<String>>,
    /// What the bucket blocks, once it was asked.
    blocks: OnceCell<Vec<Block>>,
    /// An object that a listing showed, and whether its ACL was asked for.
    neighbour: OnceLock<String>,
    neighbour_asked: AtomicBool,
    /// A server refused to be asked for checksums.
    checksums_off: AtomicBool,
    /// Whether ETags that look like an MD5 were seen to be one.
    md5_etags: Mutex<Ability>,
    /// Bytes of an object that is copied in one request, at most.
    largest_copy: u64,
    /// For bodies that are read.
    shelf: Shelf,
    notices: Notices,
    leftovers: Leftovers,
}

impl S3 {
    /// A replica at `address`. `remembered` is what [`S3::probe`] said after an earlier run at the same address.
    ///
    /// Nothing is contacted before [`Replica::connect`].
    pub fn new(address: S3Address, remembered: Option<Probe>) -> Self {
        Self::behind(address, remembered, Gate::new(usize::MAX, None))
    }

    /// As [`S3::new`]; refusals that are handled inside (pages, parts) narrow `gate` as well.
    pub fn behind(address: S3Address, remembered: Option<Probe>, gate: Gate) -> Self {
        let provider = Provider::of(&address);
        let probe = remembered.unwrap_or_else(|| provider.guess());
        let inner = Inner {
            names: Names::new(&address.prefix),
            name: address.display(),
            service: identity(address.endpoint.as_deref(), address.region.as_deref()),
            origins_off: AtomicBool::new(false),
            provider,
            limits: address.said.limits(),
            wire: Wire::new(address, probe.region.clone(), gate),
            probe: Mutex::new(probe),
            acls_off: AtomicBool::new(false),
            effect_told: AtomicBool::new(false),
            effect_asked: AtomicBool::new(false),
            bucket_owner: OnceCell::new(),
            blocks: OnceCell::new(),
            neighbour: OnceLock::new(),
            neighbour_asked: AtomicBool::new(false),
            checksums_off: AtomicBool::new(false),
            md5_etags: Mutex::default(),
            largest_copy: copy::LARGEST,
            shelf: Shelf::default(),
            notices: Notices::default(),
            leftovers: Leftovers::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The same that copies nothing larger than this in one request, for a server that takes less than S3. Before its first use.
    #[must_use]
    pub fn copying_at_most(mut self, bytes: u64) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.largest_copy = bytes;
        }
        self
    }

    /// What is known about the server; keep it for the next run.
    pub fn probe(&self) -> Probe {
        self.inner.findings()
    }

    /// Whether the service answers as it should.
    pub fn trouble(&self) -> Arc<Trouble> {
        Arc::clone(&self.inner.wire.counts().trouble)
    }

    /// Requests made so far, by kind.
    pub fn requests(&self) -> Vec<(&'static str, u64)> {
        self.inner.wire.counts().report()
    }

    /// Takes what people should know and was found out since the last call (ACLs that a server refuses, ...).
    pub fn notices(&self) -> Vec<String> {
        self.inner.notices.take()
    }
}

impl Inner {
    /// What is known about the server.
    fn probe(&self) -> Probe {
        self.probe.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What to keep for the next run.
    fn findings(&self) -> Probe {
        let probe = self.probe();
        Probe { region: self.wire.learned_region().or(probe.region.clone()), ..probe }
    }

    /// One thing that is known about the server.
    fn ability(&self, which: impl Fn(&Probe) -> Ability) -> Ability {
        if which(&self.limits) == Ability::Missing {
            return Ability::Missing;
        }
        which(&self.probe.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Learns something about the server.
    fn learn(&self, change: impl FnOnce(&mut Probe)) {
        change(&mut self.probe.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The part size for content of `size` bytes.
    fn part_size(&self, size: u64) -> u64 {
        self.provider.part_size(&self.wire.address().said, size)
    }

    /// Whether ACLs are sent and asked for.
    fn uses_acls(&self) -> bool {
        !self.acls_off.load(Ordering::Relaxed) && self.ability(|probe| probe.acl) != Ability::Missing
    }

    /// See [`Replica::accepts`].
    fn accepts(&self, key: &Key) -> Result<(), String> {
        if key.as_str().contains('\\') && self.ability(|probe| probe.backslashes) == Ability::Missing {
            return Err("this server takes a backslash for a slash, and would keep it under another name".to_owned());
        }
        if let (Some(what), Ability::Missing) = (names::is_odd(key), self.ability(|probe| probe.odd_names)) {
            return Err(format!("it has {what}, and this server was not seen to keep such names apart"));
        }
        names::accepts(&self.names, key)
    }

    /// As [`Self::object`], for one that may be new. What is listed under a name with a backslash has it; what would be stored
    /// under one might be stored under another one.
    fn object_to_make(&self, key: &Key) -> Result<String, Error> {
        if key.as_str().contains('\\') && self.ability(|probe| probe.backslashes) == Ability::Unknown {
            let message = format!(
                "{key} can't be stored in {}: it is not known whether this server takes a backslash for a slash",
                self.name
            );
            return Err(Error::new(Cause::Refused, message).hint("a run of push or sync finds that out"));
        }
        self.object(key)
    }

    /// The name of the object that a key may be stored under.
    fn object(&self, key: &Key) -> Result<String, Error> {
        let accepted = match names::is_odd(key) {
            // Two keys may become one: that needs more than the benefit of the doubt.
            Some(what) if self.ability(|probe| probe.odd_names) == Ability::Unknown => {
                Err(format!("it has {what}, and it is not known whether this server keeps such names apart"))
            }
            _ => self.accepts(key),
        };
        match accepted {
            Ok(()) => Ok(self.names.object(key)),
            Err(why) => Err(Error::new(Cause::Refused, format!("{key} can't be stored in {}: {why}", self.name))),
        }
    }
}

/// Checksums of whole objects were made or checked by the server; what is in metadata was only stored.
const STATES: &[DigestKind] =
    &[DigestKind::EtagMd5, DigestKind::EtagMultipart, DigestKind::Sha256, DigestKind::Crc64Nvme];

#[async_trait]
impl Replica for S3 {
    fn name(&self) -> &str {
        &self.inner.name
    }

    fn capabilities(&self) -> Capabilities {
        let ability = |which: fn(&Probe) -> Ability| self.inner.ability(which);
        Capabilities {
            namespace: if ability(|probe| probe.flat) == Ability::Missing { Namespace::Tree } else { Namespace::Flat },
            read_cost: ReadCost::Transfer,
            ordered: ability(|probe| probe.ordered),
            conditional_put: ability(|probe| probe.conditional_put),
            conditional_delete: ability(|probe| probe.conditional_delete),
            copy: ability(|probe| probe.copy),
            states: STATES,
        }
    }

    fn accepts(&self, key: &Key) -> Result<(), String> {
        self.inner.accepts(key)
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
        if entry.size > WHOLE_LIMIT {
            return read::open_large(&self.inner, key, &entry.version).await;
        }
        read::open(&self.inner, key, &entry.version).await
    }

    async fn put(&self, key: &Key, content: &Content, put: &Put<'_>) -> Result<Entry, Error> {
        let object = self.inner.object_to_make(key)?;
        match content {
            Content::Whole { bytes, blake3, .. } => self.inner.put_whole(&object, bytes, blake3, put).await,
            Content::Pieces(pieces) => self.inner.put_pieces(key, &object, pieces.as_ref(), put).await,
        }
    }

    async fn copy(&self, from: &Key, from_version: &Version, to: &Key, put: &Put<'_>) -> Result<Entry, Error> {
        let target = self.inner.object(to)?;
        self.inner.copy(&self.inner.names.object(from), from_version, to, &target, put).await
    }

    fn part_size(&self, size: u64) -> u64 {
        self.inner.part_size(size)
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
        self.inner.origin_seen(&self.inner.names.object(key), entry).await
    }

    async fn copy_from(&self, origin: &Origin, to: &Key, put: &Put<'_>) -> Result<Entry, Error> {
        let target = self.inner.object(to)?;
        self.inner.copy_from(origin, to, &target, put).await
    }

    async fn lacks(&self, key: &Key, expect: &Version, style: &Style, retype: Retype) -> Result<bool, Error> {
        self.inner.lacks(&self.inner.names.object(key), expect, style, retype).await
    }

    async fn restyle(&self, key: &Key, put: &Put<'_>, retype: Retype) -> Result<Restyled, Error> {
        let object = self.inner.object(key)?;
        self.inner.restyle(key, &object, put, retype).await
    }

    async fn delete(&self, batch: &[(Key, Version)]) -> Vec<Result<(), Error>> {
        self.inner.delete(batch).await
    }

    async fn tidy(&self, journal: &dyn Journal) -> Result<u64, Error> {
        Ok(self.inner.tidy(journal).await? + self.inner.remove_leftovers().await?)
    }

    fn trash(&self) -> Option<&dyn Trash> {
        Some(self)
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }
}
