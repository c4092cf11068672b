//! The memory for bodies, and the count of the bytes that went by: shared by all transfers of a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The memory for bodies: one pool for all transfers of a process.
#[derive(Debug, Clone)]
pub struct Buffers {
    pool: Arc<Semaphore>,
    total: u32,
}

impl Buffers {
    /// Bytes that one permit stands for.
    const UNIT: u64 = 4096;

    /// A pool of `bytes`.
    pub fn new(bytes: u64) -> Self {
        let total = u32::try_from(bytes / Self::UNIT).unwrap_or(u32::MAX).max(1);
        Self { pool: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Waits for room for `bytes`. A body larger than the pool gets all of it, alone.
    pub async fn take(&self, bytes: u64) -> OwnedSemaphorePermit {
        let units = u32::try_from(bytes.div_ceil(Self::UNIT)).unwrap_or(u32::MAX).clamp(1, self.total);
        Arc::clone(&self.pool).acquire_many_owned(units).await.expect("the pool is never closed")
    }
}

/// Counts bytes for progress bars and summaries.
#[derive(Debug, Default)]
pub struct Meter(AtomicU64);

impl Meter {
    /// Adds sent bytes.
    pub fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
