//! The memory for bodies, and the count of the bytes that went by: shared by all transfers of a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The memory for bodies: one pool for all transfers of a process, and some room beside it that only small bodies get.
///
/// Who waits for the pool waits for all that came before. Parts of a large body hold it as long as the bandwidth makes
/// them wait; a small body must not.
#[derive(Debug, Clone)]
pub struct Buffers {
    pool: Arc<Semaphore>,
    total: u32,
    beside: Arc<Semaphore>,
}

/// Bytes up to which a body is small.
const SMALL: u64 = 256 * 1024;
/// Bytes beside the pool, for small bodies.
const BESIDE: u64 = 2 * 1024 * 1024;

impl Buffers {
    /// Bytes that one permit stands for.
    const UNIT: u64 = 4096;

    /// A pool of `bytes`, and 2 MiB beside it.
    pub fn new(bytes: u64) -> Self {
        let semaphore = |units: u32| Arc::new(Semaphore::new(units as usize));
        let total = Self::units(bytes).max(1);
        Self { pool: semaphore(total), total, beside: semaphore(Self::units(BESIDE)) }
    }

    fn units(bytes: u64) -> u32 {
        u32::try_from(bytes / Self::UNIT).unwrap_or(u32::MAX)
    }

    /// Waits for room for `bytes`. A body larger than the pool gets all of it, alone; a small one takes what comes free
    /// first, beside the pool or in it.
    pub async fn take(&self, bytes: u64) -> OwnedSemaphorePermit {
        let units = Self::units(bytes.next_multiple_of(Self::UNIT)).clamp(1, self.total);
        let of = |semaphore: &Arc<Semaphore>| Arc::clone(semaphore).acquire_many_owned(units);
        let room = if bytes > SMALL {
            of(&self.pool).await
        } else {
            tokio::select! { biased;
                room = of(&self.beside) => room,
                room = of(&self.pool) => room,
            }
        };
        room.expect("no semaphore is ever closed")
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::join_all;
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::replica::throttle::{Commons, Gate, Rates};

    const MIB: u64 = 1 << 20;

    #[tokio::test(start_paused = true)]
    async fn a_small_body_waits_for_no_large_one() {
        let buffers = Buffers::new(24 * MIB);
        let now = |bytes| timeout(Duration::from_secs(1), buffers.take(bytes));
        let held = [buffers.take(8 * MIB).await, buffers.take(8 * MIB).await, buffers.take(8 * MIB).await];
        assert!(now(SMALL + 1).await.is_err(), "it is bounded");
        let waiting = tokio::spawn({
            let buffers = buffers.clone();
            async move { buffers.take(8 * MIB).await }
        });
        tokio::task::yield_now().await;
        let mut small = Vec::new();
        for _ in 0..BESIDE / SMALL {
            small.push(now(SMALL).await.expect("there is room beside"));
        }
        assert!(now(1).await.is_err(), "small ones are bounded too");
        small.pop();
        small.push(now(SMALL).await.expect("what was given back is there again"));
        drop(held);
        drop(waiting.await.expect("no panic"));
        small.push(now(1).await.expect("there is room in the pool again"));
    }

    /// 40 MiB in parts of 8, four at a time as a store gets them, under way at 1 MiB/s.
    #[tokio::test(start_paused = true)]
    async fn a_small_body_is_through_at_once_while_a_large_one_is_under_way_at_a_low_rate() {
        let (own, common) = (Rates::always(Some(MIB)), Rates::always(None));
        for [own, common] in [[own.clone(), common.clone()], [common, own]] {
            let gate = Gate::timed(32, own).within(&Commons::new(32, common));
            let (buffers, start) = (Buffers::new(24 * MIB), Instant::now());
            let send = async |bytes| {
                let _room = buffers.take(bytes).await;
                gate.spend(bytes).await;
                start.elapsed()
            };
            let large = async {
                join_all((0..4).map(|_| send(8 * MIB))).await;
                send(8 * MIB).await
            };
            let small = async {
                tokio::time::sleep(Duration::from_secs(3)).await;
                send(10 * 1024).await
            };
            let (large, small) = tokio::join!(large, small);
            assert!(small < Duration::from_secs(4), "{small:?}");
            // 40 MiB and 10 KiB, less the first second, which was saved up.
            assert_eq!(large.as_secs(), 39, "{large:?}");
        }
    }
}
