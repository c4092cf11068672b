//! Multipart uploads under way, written down before they exist: a killed run is cleaned up after or gone on with.

use super::Error;
use crate::model::Key;

/// A multipart upload that an earlier run or this one began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The key.
    pub key: Key,
    /// The server's time when it was intended, ns since the epoch.
    pub intended_ns: i64,
    /// Its id; `None` between intention and answer.
    pub id: Option<String>,
    /// The BLAKE3 of the content being sent, hex.
    pub blake3: String,
    /// Bytes a part.
    pub part_size: u64,
    /// What the object will carry besides its bytes, as its replica writes it down; compared by that replica only.
    pub begun_with: String,
    /// Finished parts.
    pub parts: Vec<UploadedPart>,
}

/// One finished part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadedPart {
    /// From 1.
    pub number: u32,
    /// The server's ETag of it.
    pub etag: String,
    /// BLAKE3 of the bytes sent.
    pub blake3: [u8; 32],
}

/// Where multipart uploads are written down before they exist, so that a killed run can be cleaned up or resumed.
///
/// All methods return when the line is committed. A journal that can't write must stop the run.
pub trait Journal: Send + Sync + std::fmt::Debug {
    /// The upload of a key, if one is under way.
    ///
    /// # Errors
    /// [`super::Cause::Stop`].
    fn upload(&self, key: &Key) -> Result<Option<Upload>, Error>;
    /// All uploads under way.
    ///
    /// # Errors
    /// [`super::Cause::Stop`].
    fn uploads(&self) -> Result<Vec<Upload>, Error>;
    /// Written before CreateMultipartUpload (`id` is `None`) and again with its answer. Replaces the key's line and
    /// forgets its parts.
    ///
    /// # Errors
    /// [`super::Cause::Stop`].
    fn intend(&self, upload: &Upload) -> Result<(), Error>;
    /// Written after a part was acknowledged.
    ///
    /// # Errors
    /// [`super::Cause::Stop`].
    fn part(&self, key: &Key, part: &UploadedPart) -> Result<(), Error>;
    /// All of the content arrived, and this is its BLAKE3, hex; written before it gets its name. After a kill it is the
    /// proof of what is ours.
    ///
    /// # Errors
    /// [`super::Cause::Stop`].
    fn arrived(&self, _key: &Key, _blake3: &str) -> Result<(), Error> {
        Ok(())
    }
    /// The upload was completed or aborted.
    ///
    /// # Errors
    /// [`super::Cause::Stop`].
    fn done(&self, key: &Key) -> Result<(), Error>;
}
