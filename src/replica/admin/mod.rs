//! What a store knows beside content: who may read it, and which web pages may.
//!
//! [`Admin`] is apart from [`Replica`](super::Replica): commands for people use it, and nothing that it changes is content.
//! It does not list: which objects are meant is what a replica's listing says.

use async_trait::async_trait;

pub use acl::{Acl, Block, CANNED, Canned, Grant, Level, Permission, Who};
pub use cors::{Change, CorsFile, CorsRule, Needed, with_rule};
pub use tended::Tended;

use super::{Cause, Error};
use crate::model::Key;

mod acl;
mod cors;
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
    /// [`Cause::Unsupported`] where objects have no ACLs, with what decides there instead.
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
    /// [`Cause::Unsupported`] or [`Cause::Stop`] where no object of the
    /// place can have it, with the setting that forbids it; others concern this object.
    async fn set_acl(&self, key: &Key, canned: Canned) -> Result<(), Error>;

    /// What the place does with public ACLs, whatever objects say; empty where there is no such thing.
    ///
    /// # Errors
    /// It can't be told.
    async fn blocks(&self) -> Result<Vec<Block>, Error>;

    /// How public the container is as a whole.
    ///
    /// # Errors
    /// [`Cause::Unsupported`] where objects have ACLs of their own.
    async fn level(&self) -> Result<Level, Error> {
        Err(Error::new(Cause::Unsupported, format!("{} has ACLs of its objects, and no level as a whole", self.name())))
    }

    /// Makes the whole container public or private; refused if it was changed since it was looked at.
    ///
    /// # Errors
    /// As [`Admin::level`]; [`Cause::Stop`] where the account forbids it.
    async fn set_level(&self, _level: Level) -> Result<(), Error> {
        self.level().await.map(drop)
    }

    /// The CORS rules of the bucket, or of the whole account where the service has them there; none is no error.
    ///
    /// # Errors
    /// [`Cause::Unsupported`] where there is no such thing.
    async fn cors(&self) -> Result<Vec<CorsRule>, Error>;

    /// Replaces all rules, if they are still those that were `seen`; no rule deletes them. No server has a condition for
    /// this: they are read right before.
    ///
    /// # Errors
    /// As [`Admin::cors`]; [`Cause::Precondition`] if somebody changed them meanwhile.
    async fn set_cors(&self, rules: &[CorsRule], seen: &[CorsRule]) -> Result<(), Error>;
}

/// What was seen is not what is there.
pub(super) fn changed_meanwhile(name: &str) -> Error {
    let message = format!("somebody changed the CORS rules of {name} meanwhile; nothing was changed");
    Error::new(Cause::Precondition, message).hint("Look at what is there now, and repeat it")
}
