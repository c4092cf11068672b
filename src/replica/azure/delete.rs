//! Deleting, each key only if it still has the version that the plan saw. Snapshots and versions stay: a blob that has
//! snapshots is a problem, and where the account keeps versions or deleted blobs, the content stays there.

use azure_storage_blob::models::BlobClientDeleteOptions;

use super::Inner;
use super::error::Failure;
use super::facts::quoted;
use super::ops::Op;
use crate::model::{Expect, Key, Version};
use crate::replica::concurrent::each;
use crate::replica::{Ability, Error};

/// Requests at the same time.
const PARALLEL: usize = 16;

impl Inner {
    /// Deletes keys; one result each, in order.
    pub(super) async fn delete(&self, batch: &[(Key, Version)]) -> Vec<Result<(), Error>> {
        let mut results = vec![Ok(()); batch.len()];
        let one = |(key, version): &(Key, Version)| {
            let (blob, version) = (self.names.object(key), version.clone());
            async move {
                if self.ability(|probe| probe.conditional_delete) == Ability::Missing {
                    self.must_be(&blob, &Expect::Version(version.clone())).await?;
                }
                let deleted = self.send_delete(&blob, Some(&version)).await;
                deleted.map_err(|failure| self.wire.fold(&failure, Op::DeleteBlob, Some(&blob)))
            }
        };
        each(PARALLEL, batch, one, |at, result| {
            results[at] = result;
            true
        })
        .await;
        results
    }

    /// DeleteBlob; without a version only for objects of our own.
    pub(super) async fn send_delete(&self, blob: &str, version: Option<&Version>) -> Result<(), Failure> {
        let client = self.wire.blob(blob)?;
        let if_match = version.map(|version| quoted(version).into());
        let options = BlobClientDeleteOptions { if_match, ..BlobClientDeleteOptions::default() };
        self.wire.send(Op::DeleteBlob, 0, async { client.delete(Some(options)).await.map(drop) }).await
    }
}
