//! What people should know and a replica finds out while it works: each text once, until somebody takes them.

use std::sync::{Mutex, PoisonError};

/// Texts that wait to be told.
#[derive(Debug, Default)]
pub(crate) struct Notices(Mutex<Vec<String>>);

impl Notices {
    /// Tells people something, once.
    pub(crate) fn add(&self, text: String) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.contains(&text) {
            tracing::warn!("{text}");
            waiting.push(text);
        }
    }

    /// Takes what was added since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
