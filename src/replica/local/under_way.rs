//! What goes on in threads though its caller went away.
//!
//! A future that is dropped takes back what nobody began; a file that is being named, or a batch that is being deleted,
//! gets done. Whoever looks at the directory next, to find out what became of it, waits for that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// How many pieces of changing work are under way.
#[derive(Debug, Clone, Default)]
pub(super) struct UnderWay(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    count: Mutex<usize>,
    none_left: Notify,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Work(UnderWay);

impl UnderWay {
    /// Something begins that does not end with its caller.
    pub(super) fn begin(&self) -> Work {
        *self.count() += 1;
        Work(self.clone())
    }

    /// Waits until nothing is under way.
    pub(super) async fn quiet(&self) {
        loop {
            // Before the look: what ends in between is heard.
            let none_left = self.0.none_left.notified();
            if *self.count() == 0 {
                return;
            }
            none_left.await;
        }
    }

    fn count(&self) -> MutexGuard<'_, usize> {
        self.0.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut count = self.0.count();
        *count -= 1;
        if *count == 0 {
            self.0.0.none_left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn quiet_is_when_the_last_one_ended() {
        let under_way = UnderWay::default();
        under_way.quiet().await;
        let (first, second) = (under_way.begin(), under_way.begin());
        drop(first);
        assert!(timeout(Duration::from_secs(9), under_way.quiet()).await.is_err());
        tokio::spawn(async move {
            sleep(Duration::from_secs(1)).await;
            drop(second);
        });
        timeout(Duration::from_secs(9), under_way.quiet()).await.unwrap();
    }
}
