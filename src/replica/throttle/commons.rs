//! [`Commons`]: what the jobs of one process share: operations in flight and bytes a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::meter::{Meter, Rates};
use super::turns::{Turn, Turns};

/// A bound over several [`super::Gate`]s. Members that want more than there is get the same, so that none has to wait for
/// all that another one wants. Clones share it.
#[derive(Debug, Clone)]
pub struct Commons {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    turns: Arc<Turns>,
    meter: Meter,
    members: AtomicU64,
}

/// One who shares.
#[derive(Debug, Clone)]
pub(super) struct Member {
    of: Commons,
    id: u64,
}

impl Commons {
    /// At most `most` operations at once, and so many bytes a second.
    pub fn new(most: usize, rates: Rates) -> Self {
        let shared = Shared { turns: Turns::new(most), meter: Meter::new(rates), members: AtomicU64::new(0) };
        Self { shared: Arc::new(shared) }
    }

    pub(super) fn join(&self) -> Member {
        Member { of: self.clone(), id: self.shared.members.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Member {
    pub(super) async fn enter(&self) -> Turn {
        self.of.shared.turns.take(self.id, 1).await
    }

    pub(super) async fn spend(&self, bytes: u64) {
        self.of.shared.meter.spend(self.id, bytes).await;
    }
}
