//! Who asks, now: credentials that a command printed are got anew when they have run out.

use std::sync::{Mutex, PoisonError};

use super::Credentials;
use crate::replica::renewal::Renewal;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Who {
    /// What they are now, and how often they were renewed.
    current: Mutex<(u64, Credentials)>,
    again: Option<Renewal<Credentials>>,
    /// One renewal at a time.
    renewing: tokio::sync::Mutex<()>,
}

impl Who {
    pub(super) fn new(credentials: Credentials, again: Option<Renewal<Credentials>>) -> Self {
        Self { current: Mutex::new((0, credentials)), again, renewing: tokio::sync::Mutex::default() }
    }

    /// The credentials, and which ones of all they are.
    pub(super) fn now(&self) -> (u64, Credentials) {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether they come from where there may be others.
    pub(super) fn can_renew(&self) -> bool {
        self.again.is_some()
    }

    /// Gets others than those of `generation`, which were refused. False if there are none. Of many refused requests one
    /// renews and the others follow.
    pub(super) async fn renew(&self, generation: u64) -> bool {
        let Some(again) = self.again.clone() else { return false };
        let _one = self.renewing.lock().await;
        let (now, known) = self.now();
        if now != generation {
            return true;
        }
        let renewed = tokio::task::spawn_blocking(move || again.now()).await;
        match renewed.unwrap_or_else(|died| Err(died.to_string())) {
            Ok(renewed) if renewed != known => {
                tracing::info!("the credentials had run out and were renewed");
                *self.current.lock().unwrap_or_else(PoisonError::into_inner) = (generation + 1, renewed);
                true
            }
            Ok(_) => false,
            Err(why) => {
                tracing::warn!("the credentials have run out: {why}");
                false
            }
        }
    }
}
