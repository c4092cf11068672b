//! [`Gate`]: a bound on operations in flight and on bytes a second.
//!
//! The bound on operations follows the server: it is halved when the server asks for less, at most once a second,
//! and grows by one after as many successes as it is wide.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::commons::{Commons, Member};
use super::meter::{Meter, Rates};
use super::turns::Turn;
use crate::replica::{Cause, Error};

/// Halving again within this time would punish one burst of refusals several times.
const CALM: Duration = Duration::from_secs(1);

/// A shared bound on operations in flight and on bytes a second. Clones share it.
#[derive(Debug, Clone)]
pub struct Gate {
    shared: Arc<Shared>,
    /// What it shares with others.
    commons: Option<Member>,
}

#[derive(Debug)]
struct Shared {
    width: Mutex<Width>,
    changed: Notify,
    meter: Meter,
}

#[derive(Debug)]
struct Width {
    limit: usize,
    most: usize,
    in_flight: usize,
    successes: usize,
    halved: Option<Instant>,
}

/// The right to one operation; given back when dropped.
#[derive(Debug)]
pub struct Pass {
    shared: Arc<Shared>,
    common: Option<Turn>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.shared.width().in_flight -= 1;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    /// A panic elsewhere leaves plain numbers behind, so a poisoned lock is as good as any.
    fn width(&self) -> std::sync::MutexGuard<'_, Width> {
        self.width.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    /// At most `most` operations at once, at most `bytes_per_second` (`None`: as many as go).
    pub fn new(most: usize, bytes_per_second: Option<u64>) -> Self {
        Self::timed(most, Rates::always(bytes_per_second))
    }

    /// As [`Gate::new`], with rates that may depend on the time.
    pub fn timed(most: usize, rates: Rates) -> Self {
        let most = most.max(1);
        let width = Width { limit: most, most, in_flight: 0, successes: 0, halved: None };
        let shared = Shared { width: Mutex::new(width), changed: Notify::new(), meter: Meter::new(rates) };
        Self { shared: Arc::new(shared), commons: None }
    }

    /// Bounds it by what is shared with others, too: as a new member of `commons`, clones of it as the same one.
    #[must_use]
    pub fn within(self, commons: &Commons) -> Self {
        Self { commons: Some(commons.join()), ..self }
    }

    /// Waits for the right to one operation.
    pub async fn enter(&self) -> Pass {
        let mut pass = self.own().await;
        // The turn comes last: nobody else waits for it while this gate is full.
        if let Some(member) = &self.commons {
            pass.common = Some(member.enter().await);
        }
        pass
    }

    async fn own(&self) -> Pass {
        loop {
            {
                let mut width = self.shared.width();
                if width.in_flight < width.limit {
                    width.in_flight += 1;
                    return Pass { shared: Arc::clone(&self.shared), common: None };
                }
            }
            self.shared.changed.notified().await;
        }
    }

    /// Waits until `bytes` may be sent or received.
    pub async fn spend(&self, bytes: u64) {
        self.shared.meter.spend(0, bytes).await;
        if let Some(member) = &self.commons {
            member.spend(bytes).await;
        }
    }

    /// The server asked for less.
    pub fn throttled(&self) {
        let mut width = self.shared.width();
        let now = Instant::now();
        if width.halved.is_some_and(|at| now.duration_since(at) < CALM) {
            return;
        }
        width.halved = Some(now);
        width.successes = 0;
        width.limit = (width.limit / 2).max(1);
    }

    /// The server did what it was asked.
    pub fn succeeded(&self) {
        let mut width = self.shared.width();
        if width.limit == width.most {
            return;
        }
        width.successes += 1;
        if width.successes >= width.limit {
            width.successes = 0;
            width.limit += 1;
            self.shared.changed.notify_one();
        }
    }

    /// Operations allowed at once now.
    pub fn limit(&self) -> usize {
        self.shared.width().limit
    }

    pub(in crate::replica) fn observe<T>(&self, result: &Result<T, Error>) {
        match result {
            Ok(_) => self.succeeded(),
            Err(Error { cause: Cause::Transient { throttled: true, .. }, .. }) => self.throttled(),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::replica::throttle::{Hours, Timetable};

    #[tokio::test(start_paused = true)]
    async fn the_width_is_halved_once_a_second_and_grows_by_one_a_round() {
        let gate = Gate::new(16, None);
        for _ in 0..5 {
            gate.throttled();
        }
        assert_eq!(gate.limit(), 8);
        tokio::time::advance(CALM).await;
        gate.throttled();
        assert_eq!(gate.limit(), 4);
        for _ in 0..4 {
            gate.succeeded();
        }
        assert_eq!(gate.limit(), 5);
        for _ in 0..1000 {
            gate.succeeded();
        }
        assert_eq!(gate.limit(), 16);
    }

    #[tokio::test(start_paused = true)]
    async fn the_width_never_falls_to_nothing() {
        let gate = Gate::new(2, None);
        for _ in 0..5 {
            gate.throttled();
            tokio::time::advance(CALM).await;
        }
        assert_eq!(gate.limit(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn operations_beyond_the_width_wait_for_a_pass() {
        let gate = Gate::new(2, None);
        let (first, _second) = (gate.enter().await, gate.enter().await);
        let waiting = tokio::time::timeout(Duration::from_secs(1), gate.enter());
        assert!(waiting.await.is_err());
        let waiter = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter().await }
        });
        tokio::task::yield_now().await;
        drop(first);
        tokio::time::timeout(Duration::from_secs(1), waiter).await.expect("a pass came free").expect("no panic");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_are_paid_for_at_the_rate() {
        let gate = Gate::new(1, Some(1_000));
        let start = Instant::now();
        for _ in 0..4 {
            gate.spend(1_000).await;
        }
        // The first second's worth was saved up.
        assert_eq!(start.elapsed().as_secs(), 3);
    }

    /// A clock that begins at a minute of the day and goes with the paused time.
    fn clock(starts: u16) -> impl Fn() -> u16 + Send + Sync + 'static {
        let start = Instant::now();
        move || starts + u16::try_from(start.elapsed().as_secs() / 60).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_rate_holds_from_its_minute_on() {
        // From 08:00 on 1,000 bytes a second, before 10 and from 08:02 on no limit.
        let hours = |from, until, rate| Hours { from, until, rate };
        let table = Timetable::new(vec![hours(480, 482, Some(1_000)), hours(482, 600, None)], Some(10));
        let gate = Gate::timed(1, Rates::by(table, clock(479)));
        let start = Instant::now();
        let spent = |bytes| {
            let gate = gate.clone();
            async move {
                gate.spend(bytes).await;
                start.elapsed().as_millis()
            }
        };
        assert_eq!(spent(10 + 590).await, 59_000, "600 bytes at 10 a second, the first second saved up");
        // 10 bytes until 08:00, then 119 seconds of 1,000 and no more saved up than that second gave.
        let second = spent(10 + 119_000).await;
        assert!((178_900..=179_100).contains(&second), "{second}");
        // One second of 1,000 is left, and the rest is free.
        let third = spent(1_000_000_000).await;
        assert!((179_900..=180_100).contains(&third), "{third}");
        assert_eq!(spent(1_000_000_000).await, third);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waited_at_a_low_rate_goes_when_it_ends() {
        let table = Timetable::new(vec![Hours { from: 0, until: 1, rate: Some(10) }], None);
        let gate = Gate::timed(8, Rates::by(table, clock(0)));
        let start = Instant::now();
        futures_util::future::join_all((0..8).map(|_| gate.spend(1_000_000))).await;
        assert_eq!(start.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn operations_of_all_jobs_together_are_bounded_and_each_job_gets_its_share() {
        let commons = Commons::new(2, Rates::always(None));
        let greedy = Gate::new(32, None).within(&commons);
        let modest = Gate::new(32, None).within(&commons);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        for (name, gate, operations) in [("greedy", &greedy, 30), ("modest", &modest, 3)] {
            for _ in 0..operations {
                let (gate, now, most, sender) = (gate.clone(), Arc::clone(&now), Arc::clone(&most), sender.clone());
                tokio::spawn(async move {
                    let _pass = gate.enter().await;
                    most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    now.fetch_sub(1, Ordering::Relaxed);
                    sender.send(name).unwrap();
                });
            }
        }
        drop(sender);
        let mut done = Vec::new();
        while let Some(name) = receiver.recv().await {
            done.push(name);
        }
        assert_eq!((done.len(), most.load(Ordering::Relaxed)), (33, 2));
        // Two of the greedy one were under way when the modest one came; from then on each second one is its.
        let last = done.iter().rposition(|name| *name == "modest").unwrap();
        assert!(last < 8, "{done:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_keeps_its_own_bounds_within_the_common_ones() {
        let commons = Commons::new(8, Rates::always(Some(10_000)));
        let gate = Gate::new(1, Some(1_000)).within(&commons);
        let first = gate.enter().await;
        assert!(tokio::time::timeout(Duration::from_secs(1), gate.enter()).await.is_err());
        drop(first);
        let start = Instant::now();
        gate.spend(5_000).await;
        assert_eq!(start.elapsed().as_secs(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_leaves_nothing_taken() {
        let commons = Commons::new(1, Rates::always(None));
        let (one, other) = (Gate::new(1, None).within(&commons), Gate::new(1, None).within(&commons));
        let held = one.enter().await;
        assert!(tokio::time::timeout(Duration::from_secs(1), other.enter()).await.is_err());
        drop(held);
        drop(one.enter().await);
        drop(other.enter().await);
    }

    #[tokio::test(start_paused = true)]
    async fn bandwidth_is_shared_equally_between_jobs_that_want_it() {
        let commons = Commons::new(100, Rates::always(Some(1_000)));
        let greedy = Gate::new(32, None).within(&commons);
        let modest = Gate::new(32, None).within(&commons);
        let start = Instant::now();
        let bodies = futures_util::future::join_all((0..10).map(|_| greedy.spend(10_000)));
        let small = async {
            for _ in 0..10 {
                modest.spend(500).await;
            }
            start.elapsed().as_secs()
        };
        let ((_, all), small) = tokio::join!(async { (bodies.await, start.elapsed().as_secs()) }, small);
        // 5,000 bytes at half the rate take 10 seconds, less what was saved up; all 105,000 bytes take 104.
        assert!((8..=10).contains(&small), "{small}");
        assert_eq!(all, 104);
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_never_waits() {
        let start = Instant::now();
        Gate::new(1, None).spend(u64::MAX).await;
        assert!(start.elapsed().is_zero());
    }
}
