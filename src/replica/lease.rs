//! The lease of a place: one small text that several hosts agree by, written by whoever changes the place at the moment.
//!
//! It lies at the place itself, as [`PATH`]: private, never listed, and neither tidied nor taken for trash. This is the
//! piece of storage and nothing else: what the text says, when a lease ends and who may take it over is the business of
//! `crate::lease`. All that is asked of a place is that of two who write at the same time one is refused.

use async_trait::async_trait;

use super::{Cause, Error};
use crate::model::{Expect, Version};

/// Where the lease lies below a replica's root or prefix.
pub const PATH: &str = ".mediasync/lease";

/// More bytes than this are not a lease of ours.
pub(super) const LONGEST: usize = 4096;

/// What a replica that can hold a lease can do.
///
/// # Contract
/// As for [`Replica`](super::Replica): `Ok` is positive proof, an `Err` of a change means that it may have happened:
/// whoever wants to know reads. Nothing here tries anything again, and nothing waits behind transfers.
#[async_trait]
pub trait Leases: Send + Sync + std::fmt::Debug {
    /// What is there now; `None` if nothing is.
    ///
    /// # Errors
    /// Anything but a clear yes or no.
    async fn read(&self) -> Result<Option<Written>, Error>;

    /// Writes `text` in one step, if what is there is what `expect` says. Returns its version. No text may be written
    /// twice: a version is a version of its text.
    ///
    /// # Errors
    /// [`Cause::Precondition`] if something else is there, [`Cause::Unsupported`] if this place can't tell: then nothing
    /// was written.
    async fn write(&self, text: &str, expect: &Expect) -> Result<Version, Error>;

    /// Takes it away, if it has this version; a place that can't delete under a condition leaves an empty text in its
    /// stead. What is gone is taken away.
    ///
    /// # Errors
    /// [`Cause::Precondition`] if another version is there.
    async fn remove(&self, version: &Version) -> Result<(), Error>;
}

/// What is written at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The text; empty after it was given back where nothing can be deleted under a condition.
    pub text: String,
    /// Which text it is: another one has another version.
    pub version: Version,
}

/// An error for a place that can't hold a lease.
pub fn none(name: &str, why: &str) -> Error {
    Error::new(Cause::Unsupported, format!("{name} can't hold a lease: {why}"))
        .hint("leave out `lease` for this job, and let one host alone run it")
}

/// The version of a text where nothing else gives one.
pub(super) fn version_of(text: &str) -> Version {
    Version::new(blake3::hash(text.as_bytes()).to_hex().as_str())
}

/// Somebody else was faster.
pub(super) fn raced(name: &str) -> Error {
    Error::new(Cause::Precondition, format!("the lease of {name} was written by somebody else"))
}
