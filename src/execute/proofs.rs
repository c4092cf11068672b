//! What is known about content that is about to be sent, written down for several transfers at once.
//!
//! After a kill it is the proof of what is ours, so it is committed before the first byte goes. A commit for each of many
//! small files is a tenth of the work of a pull; one for all transfers that came as far in the same moment is none.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::manifest::{Manifest, ManifestError};
use crate::model::{Key, Side};

/// The proofs that are not committed yet.
#[derive(Debug, Default)]
pub(crate) struct Proofs(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<(Side, Key, String)>,
    /// How many were ever added, and how many of them were committed; in that order.
    added: u64,
    committed: u64,
}

impl Proofs {
    /// Writes down that what goes to `key` at `side` has this BLAKE3, in hex.
    ///
    /// # Errors
    /// [`ManifestError`]; then nothing may be sent.
    pub(crate) async fn add(
        &self,
        manifest: &Manifest,
        side: Side,
        key: &Key,
        blake3: &str,
    ) -> Result<(), ManifestError> {
        let own = {
            let mut queue = self.lock();
            queue.waiting.push((side, key.clone(), blake3.to_owned()));
            queue.added += 1;
            queue.added
        };
        // Whoever else is as far adds its own meanwhile.
        tokio::task::yield_now().await;
        let mut queue = self.lock();
        if queue.committed >= own {
            return Ok(());
        }
        for side in [Side::Source, Side::Dest] {
            let of_side = queue.waiting.iter().filter(|(of, ..)| *of == side);
            let mut known = of_side.map(|(_, key, blake3)| (key, &**blake3)).peekable();
            if known.peek().is_some() {
                manifest.sending_is(side, known)?;
            }
        }
        // Those that could not be committed stay: each that waits for one tries, and hears of it itself.
        queue.waiting.clear();
        queue.committed = queue.added;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;

    use super::*;
    use crate::manifest::{Orientation, Sending};
    use crate::model::Version;

    fn announced(keys: &[&str]) -> (Manifest, Vec<Key>) {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        let keys: Vec<Key> = keys.iter().map(|key| Key::new(*key).unwrap()).collect();
        let line = |key: &Key| Sending {
            key: key.clone(),
            size: 1,
            version: Version::new("v"),
            modified_ns: None,
            replaces: None,
            blake3: None,
            is_conditional: true,
            missed_ns: None,
            is_outdated: false,
        };
        manifest.begin_sending(Side::Dest, &keys.iter().map(line).collect::<Vec<_>>()).unwrap();
        (manifest, keys)
    }

    fn known(manifest: &Manifest) -> Vec<Option<String>> {
        manifest.sending(Side::Dest).unwrap().into_iter().map(|line| line.blake3).collect()
    }

    #[tokio::test]
    async fn transfers_that_are_as_far_share_a_commit() {
        let (manifest, keys) = announced(&["a", "b"]);
        let proofs = Proofs::default();
        let mut first = pin!(proofs.add(&manifest, Side::Dest, &keys[0], "aa"));
        let mut second = pin!(proofs.add(&manifest, Side::Dest, &keys[1], "bb"));
        let poll = |future: std::pin::Pin<&mut dyn Future<Output = _>>| {
            future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
        };
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        assert_eq!(known(&manifest), [None, None]);
        first.await.unwrap();
        assert_eq!(known(&manifest), [Some("aa".into()), Some("bb".into())]);
        second.await.unwrap();
    }

    #[tokio::test]
    async fn what_could_not_be_committed_is_told_to_each_and_committed_by_the_next() {
        let (manifest, keys) = announced(&["a", "b", "c"]);
        let proofs = Proofs::default();
        manifest.pragma("query_only", true);
        let adds = |n: usize| proofs.add(&manifest, Side::Dest, &keys[n], "ff");
        let (first, second) = tokio::join!(adds(0), adds(1));
        assert!(first.is_err() && second.is_err());
        manifest.pragma("query_only", false);
        adds(2).await.unwrap();
        assert_eq!(known(&manifest), [Some("ff".into()), Some("ff".into()), Some("ff".into())]);
    }
}
