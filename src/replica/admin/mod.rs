//! What a store knows beside content: who may read it, and which web pages may.
//!
//! [`Admin`] is apart from [`Replica`](super::Replica): commands for people use it, and nothing that it changes is content.
//! It does not list: which objects are meant is what a replica's listing says.

use async_trait::async_trait;

pub use acl::{Acl, Block, CANNED, Canned, Grant, Permission, Who};
pub use tended::Tended;

use super::Error;
use crate::model::Key;

mod acl;
mod tended;

/// The settings of one place in a store.
///
/// # Contract
/// - Every method may be called concurrently; those that ask change nothing.
/// - An `Err` of a changing method means that nothing is known to have happened, or that it may have happened; doing it
///   again does no harm. `Ok` means that the server acknowledged it.
/// - Content, headers, times and versions stay as they are, whatever is set.
/// - Keys are relative to the place's prefix; names of our own are refused.
#[async_trait]
pub trait Admin: Send + Sync + std::fmt::Debug {
    /// How people call the place, without secrets.
    fn name(&self) -> &str;

    /// Who may do what with one object.
    ///
    /// # Errors
    /// [`Cause::Unsupported`](super::Cause::Unsupported) where objects have no ACLs, with what decides there instead.
    async fn acl(&self, key: &Key) -> Result<Acl, Error>;

    /// Whether an object's ACL gives exactly what a canned one would give. What can't be told (who owns the bucket) is a no.
    ///
    /// # Errors
    /// As [`Admin::acl`].
    async fn has_acl(&self, key: &Key, canned: Canned) -> Result<bool, Error>;

    /// Gives an object a canned ACL, whatever it had. No server has a condition for this: it is set on the object that is
    /// there when the request arrives.
    ///
    /// # Errors
    /// [`Cause::Unsupported`](super::Cause::Unsupported) or [`Cause::Stop`](super::Cause::Stop) where no object of the
    /// place can have it, with the setting that forbids it; others concern this object.
    async fn set_acl(&self, key: &Key, canned: Canned) -> Result<(), Error>;

    /// What the place does with public ACLs, whatever objects say; empty where there is no such thing.
    ///
    /// # Errors
    /// It can't be told.
    async fn blocks(&self) -> Result<Vec<Block>, Error>;
}
