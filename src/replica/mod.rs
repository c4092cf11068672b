//! One side of a pair, behind one trait.
//!
//! [`Replica`] is what the engine knows of a local directory, a bucket prefix or a memory map. Its contract is
//! the prose on its methods. [`memory`] is the same contract as running code; `tests/it/s3_replica.rs` holds it for
//! buckets, on the server in the test process and on real ones. Differences between providers are [`Capabilities`],
//! never questions like "is it S3?".
//!
//! Decorators: [`retry`] repeats what is worth it, [`throttle`] bounds how much at once, [`access`] holds what is allowed.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::model::{Digest, DigestKind, Digests, Entry, Expect, Filter, Item, Key, Retype, Style, Version};

pub use crate::model::{Namespace, ReadCost, Want};
pub use arrival::Arrival;
pub use attributes::Attributes;
pub use buffers::{Buffers, Meter};
pub use cause::{Cause, Error};
pub use journal::{Journal, Upload, UploadedPart};
pub use lease::Leases;
pub use origin::Origin;
pub use parts::{PartHasher, PartHashes, part_size};
pub use room::Room;
pub(crate) use room::refuse_full;
pub use trash::{Kept, KeptAs, Trash, Trashed, TrashedStream};
pub use trouble::Trouble;

pub mod access;
pub mod admin;
mod arrival;
mod attributes;
pub mod azure;
pub mod browse;
mod buffers;
mod cause;
pub mod checkup;
pub(crate) mod concurrent;
#[cfg(test)]
pub(crate) mod fake;
pub mod fence;
mod hashes;
mod journal;
pub mod lease;
mod leftovers;
pub mod local;
pub mod memory;
pub(crate) mod multipart_md5;
mod notices;
mod object;
mod origin;
mod pages;
mod parts;
pub mod renewal;
mod requests;
pub mod retry;
mod room;
pub mod s3;
pub(crate) mod shelf;
pub mod throttle;
pub mod trash;
mod trouble;

/// Content up to this many bytes is read once, held in memory and sent in one request; larger content is read in
/// pieces: twice where that is cheap.
pub const WHOLE_LIMIT: u64 = 8 * 1024 * 1024;

/// One side of a pair.
///
/// # Contract
/// - Every method may be called concurrently.
/// - An `Err` means that nothing is known to have happened, or (for changes) that it may have happened: callers
///   look before they act again. `Ok` is positive proof: the server acknowledged with a version.
/// - Keys are relative to the replica's root or prefix, on the way in and out.
/// - Nothing below a component that begins with `.mediasync` is ever listed.
/// - Dropping a future of a changing method leaves either the old or the new content at the key, never a mixture.
#[async_trait]
pub trait Replica: Send + Sync + std::fmt::Debug {
    /// How people call it (`/data/media`, `s3://bucket/prefix`), without secrets.
    fn name(&self) -> &str;

    /// What it can do, as far as is known now.
    fn capabilities(&self) -> Capabilities;

    /// Whether `key` can exist here: length limits with the prefix counted, forbidden forms, reserved names.
    ///
    /// # Errors
    /// The reason, for people, without a final stop.
    fn accepts(&self, key: &Key) -> Result<(), String>;

    /// Makes sure that it is there and usable, and returns who it is; called once before anything else.
    ///
    /// With [`Contact::Prepare`] it may write: create its id object, probe what is not known yet. With
    /// [`Contact::Look`] it makes no changing request and `identity` may be `None`.
    ///
    /// # Errors
    /// [`Cause::Stop`] with what to do when it is missing, unreachable or refuses us.
    async fn connect(&self, contact: Contact) -> Result<Connected, Error>;

    /// Gives back what it holds open: nothing is asked of it for a while, and [`Replica::connect`] comes first then.
    fn rest(&self) {}

    /// Waits until what calls began that were dropped since is over: what a look finds then stays.
    async fn quiet(&self) {}

    /// Everything in scope, as a stream in key order (if [`Capabilities::ordered`] says so).
    ///
    /// `filter` may be used to avoid descending into what is out of scope anyway; every item outside it may still
    /// be yielded. `only` limits the listing to one key and everything below it.
    fn list(&self, only: Option<&Key>, filter: &Arc<Filter>) -> Listing;

    /// Looks at one key now: `stat` or HEAD. `Ok(None)` is proof of absence. The entry carries all digests and the
    /// recorded mtime that the replica gives without reading the content.
    ///
    /// # Errors
    /// Anything but a clear yes or no.
    async fn look_up(&self, key: &Key) -> Result<Option<Entry>, Error>;

    /// Opens content for reading, if it still has this version.
    ///
    /// Up to [`WHOLE_LIMIT`] the content is read here, with proof that it belongs to `expect` as a whole.
    ///
    /// # Errors
    /// [`Cause::Changed`] if the version is another one, [`Cause::NotFound`] if the key is gone.
    async fn open(&self, key: &Key, expect: &Version) -> Result<Content, Error>;

    /// As [`Replica::open`], for content that was seen as `entry`: its size says beforehand whether it comes as a whole.
    ///
    /// # Errors
    /// As [`Replica::open`].
    async fn open_seen(&self, key: &Key, entry: &Entry) -> Result<Content, Error> {
        self.open(key, &entry.version).await
    }

    /// Stores content under `key`, if what is there is what `put.expect` says.
    ///
    /// The content becomes visible as a whole or not at all. Larger content is read again here, and must give the
    /// digest that `put` states; content without [`Put::parts`] was not read before, and has to agree with the digests
    /// of its own entry ([`Arrival`]). What an overwrite does not set (ACL, headers) is kept.
    ///
    /// # Errors
    /// [`Cause::Precondition`] if something else is there, [`Cause::Changed`] if the content changed while read.
    async fn put(&self, key: &Key, content: &Content, put: &Put<'_>) -> Result<Entry, Error>;

    /// Bytes of each part but the last of content of `size` bytes that is stored in parts: a power of two.
    fn part_size(&self, size: u64) -> u64 {
        part_size(size)
    }

    /// Whether something that was asked under this key got no answer since this was asked last: it may still happen, though
    /// a later attempt was answered.
    fn is_unanswered(&self, _key: &Key) -> bool {
        false
    }

    /// Copies content inside the replica, without sending it. `from` must have `from_version`.
    ///
    /// # Errors
    /// [`Cause::Precondition`] for either key; [`Cause::Unsupported`] where the server can't: send it instead.
    async fn copy(&self, from: &Key, from_version: &Version, to: &Key, put: &Put<'_>) -> Result<Entry, Error>;

    /// The service that this replica's content lies in, if another replica there may [`Replica::copy_from`] it: equal
    /// texts are one service.
    fn service(&self) -> Option<&str> {
        None
    }

    /// Whether content can be copied here from another replica of `service`, as far as is known now.
    fn reaches(&self, _service: &str) -> bool {
        false
    }

    /// Where the content of a key lies and what it carries, if it still has this version. Does not read it.
    ///
    /// # Errors
    /// As [`Replica::open`]; [`Cause::Unsupported`] without a [`Replica::service`].
    async fn origin(&self, key: &Key, _expect: &Version) -> Result<Origin, Error> {
        Err(Error::new(Cause::Unsupported, format!("{key} lies in no service")))
    }

    /// As [`Replica::origin`], for content that was seen as `entry`: where that says enough, nobody looks again.
    ///
    /// # Errors
    /// As [`Replica::origin`].
    async fn origin_seen(&self, key: &Key, entry: &Entry) -> Result<Origin, Error> {
        self.origin(key, &entry.version).await
    }

    /// Lets the service copy content here, without its bytes passing through: what lies at `origin`, with what it
    /// carries. `put` as in [`Replica::put`], with the digests that are known of it.
    ///
    /// # Errors
    /// As [`Replica::copy`]; after [`Cause::Unsupported`] nothing was changed: send the content.
    async fn copy_from(&self, origin: &Origin, to: &Key, _put: &Put<'_>) -> Result<Entry, Error> {
        Err(Error::new(Cause::Unsupported, format!("{to} can't be copied from {}", origin.service)))
    }

    /// Whether an object of this version lacks something that `style` says, or has another content type than `retype`
    /// wants. Changes nothing.
    ///
    /// # Errors
    /// [`Cause::Precondition`] if the key has another version; [`Cause::Unsupported`] where there is no such thing.
    async fn lacks(&self, key: &Key, _expect: &Version, _style: &Style, _retype: Retype) -> Result<bool, Error> {
        Err(no_styles(key, self.name()))
    }

    /// Gives an object of the version that `put` expects what `put.style` says, without its content passing through; what
    /// that says nothing of stays. Looks first, and changes nothing that is as it is to be. `put.digests` are those that
    /// are known of the content.
    ///
    /// # Errors
    /// As [`Replica::copy`]; [`Cause::Unsupported`] where there is no such thing, or where this object can't be changed before its
    /// content is or a person does something.
    async fn restyle(&self, key: &Key, _put: &Put<'_>, _retype: Retype) -> Result<Restyled, Error> {
        Err(no_styles(key, self.name()))
    }

    /// Deletes keys, each if it still has the version given. One result a key, in the same order.
    async fn delete(&self, batch: &[(Key, Version)]) -> Vec<Result<(), Error>>;

    /// Removes what an earlier run of ours left behind: temporary files, unfinished uploads that `journal` knows and
    /// that are not worth resuming. Never touches what others made. Returns how many it removed.
    ///
    /// # Errors
    /// As any request; the caller reports it and goes on.
    async fn tidy(&self, journal: &dyn Journal) -> Result<u64, Error>;

    /// How much room there is; `None` where nobody knows, as in buckets.
    ///
    /// # Errors
    /// [`Cause::Stop`] if the place can't be looked at.
    async fn room(&self) -> Result<Option<Room>, Error> {
        Ok(None)
    }

    /// Where what is deleted and replaced here can be kept; `None` for a replica without a trash, at which nothing is
    /// deleted or replaced that would have to be kept.
    fn trash(&self) -> Option<&dyn Trash> {
        None
    }

    /// Where hosts agree who changes this place; `None` where nobody may change it.
    fn leases(&self) -> Option<&dyn Leases> {
        None
    }
}

/// What came of giving an object what rules say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restyled {
    /// It has it already.
    AsRuled,
    /// It has it now, and this version.
    Done(Entry),
}

fn no_styles(key: &Key, name: &str) -> Error {
    Error::new(Cause::Unsupported, format!("{key}: headers of what is there can't be changed in {name}"))
}

/// Whether a first contact may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// No changing request: sources, dry runs, read-only remotes.
    Look,
    /// May create the id object and probe.
    Prepare,
}

/// What a first contact found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// Who it is: file system id and inode of a directory, the id object of a bucket prefix. `None` if nothing says.
    pub identity: Option<String>,
    /// What people should know, once a run.
    pub notices: Vec<String>,
    /// What was found out about the server, in the replica's own text: to be kept for the next run.
    pub findings: Option<String>,
}

/// What is known about one ability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ability {
    /// Seen to work.
    Proven,
    /// Not tried yet: act as if it does not.
    #[default]
    Unknown,
    /// Seen not to work.
    Missing,
}

/// What a replica can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// What reading content costs.
    pub read_cost: ReadCost,
    /// Listings come in key order.
    pub ordered: Ability,
    /// `If-None-Match: *` and `If-Match` of a put are honoured.
    pub conditional_put: Ability,
    /// A deletion's precondition is honoured; where not, the replica looks right before.
    pub conditional_delete: Ability,
    /// Content can be copied inside.
    pub copy: Ability,
    /// Whether a file and a directory of one name can both exist.
    pub namespace: Namespace,
    /// What the place itself makes of the bytes that it holds. All else that an entry tells was said by whoever stored it.
    pub states: &'static [DigestKind],
}

/// A listing under way. See [`Item`] for what it promises.
#[derive(Debug)]
pub struct Listing {
    /// Batches of items; an `Err` ends the listing and means that it is incomplete.
    pub items: mpsc::Receiver<Result<Vec<Item>, Error>>,
    /// Stops the producer when the listing is dropped.
    pub producer: Option<tokio::task::JoinHandle<()>>,
}

impl Drop for Listing {
    fn drop(&mut self) {
        if let Some(producer) = &self.producer {
            producer.abort();
        }
    }
}

/// Content opened for reading.
#[derive(Debug)]
pub enum Content {
    /// All of it, proven to be one version.
    Whole {
        /// What was opened. For a local file, the stat taken after reading.
        entry: Entry,
        /// The bytes.
        bytes: Bytes,
        /// Their BLAKE3.
        blake3: Digest,
        /// What the object carries besides; `None` where there is no such thing.
        attributes: Option<Arc<Attributes>>,
    },
    /// To be read in pieces.
    Pieces(Arc<dyn Pieces>),
}

impl Content {
    /// What was opened.
    pub fn entry(&self) -> &Entry {
        match self {
            Self::Whole { entry, .. } => entry,
            Self::Pieces(pieces) => pieces.entry(),
        }
    }

    /// What the object carries besides its bytes; `None` where there is no such thing.
    pub fn attributes(&self) -> Option<&Attributes> {
        match self {
            Self::Whole { attributes, .. } => attributes.as_deref(),
            Self::Pieces(pieces) => pieces.attributes(),
        }
    }
}

/// Large content, readable at any offset while it keeps its version.
#[async_trait]
pub trait Pieces: Send + Sync + std::fmt::Debug {
    /// What was opened.
    fn entry(&self) -> &Entry;

    /// See [`Content::attributes`].
    fn attributes(&self) -> Option<&Attributes> {
        None
    }

    /// Reads exactly `len` bytes at `offset`.
    ///
    /// # Errors
    /// [`Cause::Changed`] if the content ends earlier or is seen to have another version.
    async fn read(&self, offset: u64, len: usize) -> Result<Bytes, Error>;

    /// Proves that the content still has the version that was opened, under the same key.
    ///
    /// # Errors
    /// [`Cause::Changed`] if not.
    async fn unchanged(&self) -> Result<(), Error>;
}

/// How content is stored.
#[derive(Debug)]
pub struct Put<'a> {
    /// What must be under the key.
    pub expect: &'a Expect,
    /// Digests of the content, as far as they are known: of content that was hashed its BLAKE3.
    pub digests: &'a Digests,
    /// The source's mtime, recorded where the replica can.
    pub mtime_ns: Option<i64>,
    /// What the object carries at its source, for replicas that store such things; it wins over what is there.
    pub attributes: Option<&'a Attributes>,
    /// What header rules say; it wins over both.
    pub style: Option<&'a Style>,
    /// For content in pieces that was hashed before; without it each piece is read once, and hashed on its way.
    pub parts: Option<&'a PartHashes>,
    /// Where multipart uploads are journaled.
    pub journal: &'a dyn Journal,
    /// Every buffer for a body comes from here.
    pub buffers: &'a Buffers,
    /// Counts bytes as they are sent.
    pub meter: &'a Meter,
}
