//! [`Turns`]: so many may go at once, and who waits gets its turn by how much its member had already.
//!
//! Promises: members that wait all the time get the same, measured in what they asked for, however many wait of each;
//! who was away does not make up for it. Within a member, first come, first served. A turn is given back when it is
//! dropped, also by somebody who stopped waiting for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// So many may go at once.
#[derive(Debug)]
pub(super) struct Turns {
    state: Mutex<State>,
}

/// Whoever is free goes at once: while `free` is not 0, nobody waits.
#[derive(Debug)]
struct State {
    free: usize,
    /// What the member that went last had before.
    now: u64,
    members: BTreeMap<u64, Member>,
}

#[derive(Debug, Default)]
struct Member {
    /// What it had; never less than `now` when it begins to wait.
    had: u64,
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    wants: u64,
    sender: oneshot::Sender<Turn>,
}

/// The right to go; given back when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    of: Option<Arc<Turns>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.of.take() {
            turns.pass_on();
        }
    }
}

impl Member {
    /// Takes something as `now` goes on.
    fn charge(&mut self, wants: u64, now: &mut u64) {
        *now = self.had.max(*now);
        self.had = self.had.saturating_add(wants);
    }

    /// Leaves out who does not wait any more.
    fn tidy(&mut self) {
        self.waiting.retain(|waiter| !waiter.sender.is_closed());
    }
}

impl Turns {
    pub(super) fn new(most: usize) -> Arc<Self> {
        let state = State { free: most.max(1), now: 0, members: BTreeMap::new() };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// A panic elsewhere leaves whole entries behind, so a poisoned lock is as good as any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn of a member, which counts as much as it `wants`.
    pub(super) async fn take(self: &Arc<Self>, member: u64, wants: u64) -> Turn {
        let turn = {
            let mut state = self.state();
            let State { free, now, members } = &mut *state;
            let member = members.entry(member).or_default();
            member.tidy();
            if member.waiting.is_empty() {
                member.had = member.had.max(*now);
            }
            if *free > 0 {
                *free -= 1;
                member.charge(wants, now);
                return Turn { of: Some(Arc::clone(self)) };
            }
            let (sender, receiver) = oneshot::channel();
            member.waiting.push_back(Waiter { wants, sender });
            receiver
        };
        turn.await.expect("a sender is used before it is dropped, as long as somebody waits")
    }

    /// Gives a turn that came back to who is next.
    fn pass_on(self: &Arc<Self>) {
        let mut state = self.state();
        let State { free, now, members } = &mut *state;
        loop {
            // Who waits for nothing and has no more than others is as good as new.
            members.retain(|_, member| {
                member.tidy();
                !member.waiting.is_empty() || member.had > *now
            });
            let waiting = members.values_mut().filter(|member| !member.waiting.is_empty());
            let next = waiting.min_by_key(|member| member.had);
            let found = next.and_then(|member| member.waiting.pop_front().map(|waiter| (waiter, member)));
            let Some((waiter, member)) = found else {
                *free += 1;
                return;
            };
            match waiter.sender.send(Turn { of: Some(Arc::clone(self)) }) {
                Ok(()) => {
                    member.charge(waiter.wants, now);
                    return;
                }
                // Who stopped waiting right now hands it back, and must not do so while the state is locked.
                Err(mut turn) => turn.of = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order in which members get turns, if each waits `often` times and one turn comes free at a time.
    async fn order(members: &[(u64, usize)]) -> Vec<u64> {
        let turns = Turns::new(1);
        let first = turns.take(0, 1).await;
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        for (member, often) in members.iter().copied() {
            for _ in 0..often {
                let (turns, sender) = (Arc::clone(&turns), sender.clone());
                tokio::spawn(async move {
                    let _turn = turns.take(member, 1).await;
                    sender.send(member).expect("somebody listens");
                });
            }
            tokio::task::yield_now().await;
        }
        drop((first, sender));
        let mut order = Vec::new();
        while let Some(member) = receiver.recv().await {
            order.push(member);
        }
        assert_eq!(turns.state().free, 1, "all turns came back");
        order
    }

    #[tokio::test]
    async fn members_get_the_same_however_many_wait() {
        assert_eq!(order(&[(1, 5), (2, 2), (3, 1)]).await, [1, 2, 3, 1, 2, 1, 1, 1]);
        assert_eq!(order(&[(1, 3)]).await, [1, 1, 1]);
    }

    /// Polls once: from then on it waits.
    async fn begin(waiter: &mut (impl Future<Output = Turn> + Unpin)) {
        tokio::select! { biased;
            _ = waiter => panic!("nothing is free"),
            () = std::future::ready(()) => {}
        }
    }

    #[tokio::test]
    async fn a_turn_that_nobody_waits_for_any_more_goes_to_the_next() {
        let turns = Turns::new(1);
        let first = turns.take(0, 1).await;
        let mut gone = Box::pin(turns.take(1, 1));
        let mut kept = Box::pin(turns.take(1, 1));
        let mut late = Box::pin(turns.take(2, 1));
        begin(&mut gone).await;
        begin(&mut kept).await;
        begin(&mut late).await;
        drop(gone);
        drop(first);
        let kept = kept.await;
        // It was given its turn, and went away before it took it.
        drop(kept);
        drop(late);
        assert_eq!(turns.state().free, 1);
        drop(turns.take(3, 1).await);
    }

    #[tokio::test]
    async fn what_counts_more_comes_less_often() {
        let turns = Turns::new(1);
        let first = turns.take(0, 1).await;
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        for (member, wants, often) in [(1, 30, 3), (2, 10, 9)] {
            for _ in 0..often {
                let (turns, sender) = (Arc::clone(&turns), sender.clone());
                tokio::spawn(async move {
                    let _turn = turns.take(member, wants).await;
                    sender.send(member).expect("somebody listens");
                });
            }
        }
        tokio::task::yield_now().await;
        drop((first, sender));
        let mut order = Vec::new();
        while let Some(member) = receiver.recv().await {
            order.push(member);
        }
        assert_eq!(order, [1, 2, 2, 2, 1, 2, 2, 2, 1, 2, 2, 2]);
    }

    #[tokio::test]
    async fn nothing_is_kept_of_members_that_went_away() {
        let turns = Turns::new(2);
        for member in 0..1000 {
            let held = turns.take(member, 1).await;
            drop((turns.take(member, 1).await, held));
        }
        assert!(turns.state().members.len() < 10);
    }
}
