//! How much room a replica has.

use super::{Cause, Error, Replica};

/// Room for content, as far as a replica knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that nobody uses.
    pub free: u64,
    /// Bytes of these that stay free, for others that write to the same disk.
    pub reserve: u64,
}

impl Room {
    /// Whether `bytes` more can be written. What they replace does not count: it stays until they are there.
    pub fn is_enough_for(&self, bytes: u64) -> bool {
        bytes.saturating_add(self.reserve) <= self.free
    }
}

/// Stops before anything is done that would end on a full disk.
///
/// # Errors
/// [`Cause::Stop`] with both numbers, if there is not enough room.
pub(crate) async fn refuse_full(replica: &dyn Replica, bytes: u64) -> Result<(), Error> {
    let Some(room) = replica.room().await?.filter(|room| bytes > 0 && !room.is_enough_for(bytes)) else {
        return Ok(());
    };
    let megabytes = |bytes: u64| format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000);
    let message = format!(
        "{} needed at {}, and {} are free there, of which {} are kept in reserve; nothing was changed",
        megabytes(bytes),
        replica.name(),
        megabytes(room.free),
        megabytes(room.reserve)
    );
    let hint = "free some space, take less with --only or --exclude, or set `reserve` for the job";
    Err(Error::new(Cause::Stop, message).hint(hint))
}
