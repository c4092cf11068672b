//! Small files are written by few threads that go on as long as there is work.
//!
//! A hop to a thread and back for each of many small files costs as much as writing them, and every thread that ever had
//! one keeps memory of the allocator. What is written goes on to the [batch](super::batch) that makes it durable.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::batch::{Batches, Waiting, tell, told_by};
use super::root::Root;
use super::under_way::{UnderWay, Work};
use super::write::Temp;
use crate::model::{Entry, Expect, Key};
use crate::replica::Error;

/// Files written at the same time at most: enough for a disk that answers out of order.
const MOST: usize = 4;
/// One more writes for each so many that wait.
const EACH: usize = 32;

/// The files that wait to be written.
#[derive(Debug, Clone)]
pub(super) struct Writers {
    queue: Arc<Mutex<Queue>>,
    batches: Batches,
    under_way: UnderWay,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Order>,
    /// Threads at work, each of which will look for more.
    busy: usize,
}

/// A file whose content is in memory.
#[derive(Debug)]
pub(super) struct Small {
    pub(super) root: Arc<Root>,
    pub(super) key: Key,
    pub(super) bytes: Bytes,
    pub(super) expect: Expect,
    pub(super) mtime_ns: Option<i64>,
}

#[derive(Debug)]
struct Order(Small, oneshot::Sender<Result<Entry, Error>>);

impl Writers {
    pub(super) fn new(batches: Batches, under_way: UnderWay) -> Self {
        Self { queue: Arc::default(), batches, under_way }
    }

    /// Writes and publishes a file: see [`Temp::publish`]. A caller that goes away meanwhile takes it back, unless it has
    /// its name already.
    pub(super) async fn put(&self, small: Small) -> Result<Entry, Error> {
        let (answer, told) = oneshot::channel();
        let begins = {
            let mut queue = self.lock();
            queue.waiting.push_back(Order(small, answer));
            let begins = queue.busy < MOST && queue.waiting.len() > queue.busy * EACH;
            queue.busy += usize::from(begins);
            begins
        };
        if begins {
            let writer = Writer { writers: self.clone(), _work: self.under_way.begin() };
            tokio::task::spawn_blocking(move || writer.work());
        }
        told_by(told).await
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes until nothing waits.
struct Writer {
    writers: Writers,
    _work: Work,
}

impl Writer {
    fn work(&self) {
        while let Some(Order(small, answer)) = self.next() {
            // Nobody waits any more.
            if answer.is_closed() {
                continue;
            }
            match write(&small) {
                Ok(temp) => {
                    let Small { expect, mtime_ns, .. } = small;
                    self.writers.batches.add(Waiting { temp, expect, mtime_ns, answer });
                }
                Err(error) => tell(answer, Err(error)),
            }
        }
    }

    fn next(&self) -> Option<Order> {
        let mut queue = self.writers.lock();
        let next = queue.waiting.pop_front();
        if next.is_none() {
            queue.busy -= 1;
        }
        next
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // After a panic nobody else might ever look.
        if std::thread::panicking() {
            let mut queue = self.writers.lock();
            queue.busy -= 1;
            if queue.busy == 0 {
                queue.waiting.clear();
            }
        }
    }
}

fn write(small: &Small) -> Result<Temp, Error> {
    let temp = Temp::create(&small.root, &small.key, &small.expect)?;
    temp.write_sparse(&small.bytes, 0)?;
    Ok(temp)
}
