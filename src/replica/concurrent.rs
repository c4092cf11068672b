//! Running a bounded number of futures at the same time without spawning them, so that they may borrow.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

type Running<'f, T> = (usize, Pin<Box<dyn Future<Output = T> + Send + 'f>>);

/// Runs `make(item)` for every item, at most `width` at once, and calls `done` with each item's index and result as it
/// comes. `done` says whether to go on: after a `false` no further future is begun and those under way are dropped.
///
/// Every wake-up polls all futures under way: `width` is meant to be a few dozen at most.
pub(crate) async fn each<'f, I, T, M, F>(
    width: usize,
    items: impl IntoIterator<Item = I> + Send,
    mut make: M,
    mut done: impl FnMut(usize, T) -> bool + Send,
) where
    M: FnMut(I) -> F,
    F: Future<Output = T> + Send + 'f,
{
    let mut items = items.into_iter().enumerate();
    let mut running: Vec<Running<'f, T>> = Vec::with_capacity(width);
    loop {
        while running.len() < width.max(1) {
            let Some((at, item)) = items.next() else { break };
            running.push((at, Box::pin(make(item))));
        }
        if running.is_empty() {
            return;
        }
        let (slot, value) = poll_fn(|cx| {
            for (slot, (_, future)) in running.iter_mut().enumerate() {
                if let Poll::Ready(value) = future.as_mut().poll(cx) {
                    return Poll::Ready((slot, value));
                }
            }
            Poll::Pending
        })
        .await;
        let (at, _) = running.swap_remove(slot);
        if !done(at, value) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn all_items_run_and_never_more_than_the_width() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (now, most) = (&now, &most);
        let mut results = vec![0; 20];
        let make = |n: u64| async move {
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20 - n)).await;
            now.fetch_sub(1, Ordering::Relaxed);
            n * 2
        };
        each(4, 0..20_u64, make, |at, value| {
            results[at] = value;
            true
        })
        .await;
        assert_eq!(results, (0..20).map(|n| n * 2).collect::<Vec<_>>());
        assert_eq!(most.load(Ordering::Relaxed), 4);
    }

    #[tokio::test]
    async fn it_stops_when_told() {
        let mut seen = 0;
        each(
            1,
            0..10,
            |n| async move { n },
            |_, n| {
                seen += 1;
                n < 3
            },
        )
        .await;
        assert_eq!(seen, 4);
    }
}
