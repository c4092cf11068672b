//! Buffers that are used again, and turns for reading.
//!
//! Bodies are read on blocking threads and freed on the thread that sent them. An allocator keeps memory for each of many
//! threads (measured: 380 MB for 32 threads and 24 MiB of bodies) and gives it back to the kernel only to fault it in
//! again. A few threads and a few buffers do the same work in the memory that is really needed.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::replica::WHOLE_LIMIT;

/// Reads at the same time: enough for a disk that answers out of order.
const TURNS: usize = 4;
/// Most files of a web site fit into this.
const SMALL: usize = 128 * 1024;
/// Small buffers that are kept.
const SMALL_KEPT: usize = 32;
/// What is read at once of a large file, and a byte more.
#[expect(clippy::cast_possible_truncation, reason = "8 MiB")]
const LARGE: usize = WHOLE_LIMIT as usize + 1;
/// Large buffers that are kept: as many as the bodies of all transfers may take.
const LARGE_KEPT: usize = 3;

/// See the module's text.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    turns: Arc<Semaphore>,
    kept: Arc<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    small: Mutex<Vec<Vec<u8>>>,
    large: Mutex<Vec<Vec<u8>>>,
}

impl Pool {
    pub(super) fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(TURNS)), kept: Arc::default() }
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.turns).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// A buffer of at least `room` bytes, whatever they are.
    pub(super) fn take(&self, room: usize) -> Vec<u8> {
        let (kept, size) = match room {
            ..=SMALL => (&self.kept.small, SMALL),
            // Between the two, a buffer of its own: one of the large ones would hold much more than it is counted for.
            LARGE_FROM..=LARGE => (&self.kept.large, LARGE),
            _ => return vec![0; room],
        };
        let used = kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
        used.unwrap_or_else(|| vec![0; size])
    }

    /// The first `len` bytes of a buffer, which comes back when the last of them is dropped.
    pub(super) fn give(&self, mut buffer: Vec<u8>, len: usize) -> Bytes {
        match buffer.len() {
            SMALL | LARGE => Bytes::from_owner(Lent { buffer, len, kept: Arc::clone(&self.kept) }),
            _ => {
                buffer.truncate(len);
                buffer.into()
            }
        }
    }
}

/// From here on a large buffer is not much more than what is asked for: steps of hashing, and parts.
const LARGE_FROM: usize = 2 * 1024 * 1024;

#[derive(Debug)]
struct Lent {
    buffer: Vec<u8>,
    len: usize,
    kept: Arc<Kept>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        let (kept, limit) = match buffer.len() {
            SMALL => (&self.kept.small, SMALL_KEPT),
            _ => (&self.kept.large, LARGE_KEPT),
        };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < limit {
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_when_their_last_bytes_are_dropped() {
        let pool = Pool::new();
        for room in [10, SMALL, LARGE_FROM, LARGE] {
            let mut buffer = pool.take(room);
            buffer[..7].copy_from_slice(b"content");
            let place = buffer.as_ptr();
            let bytes = pool.give(buffer, 7);
            assert_eq!(&bytes[..], b"content");
            let part = bytes.slice(1..3);
            drop(bytes);
            let other = pool.take(room);
            assert_ne!(other.as_ptr(), place, "still in use");
            drop(part);
            let again = pool.take(room);
            assert_eq!(again.as_ptr(), place);
        }
    }

    #[test]
    fn what_fits_no_class_has_a_buffer_of_its_own() {
        let pool = Pool::new();
        for room in [SMALL + 1, LARGE_FROM - 1, LARGE + 1] {
            let buffer = pool.take(room);
            assert_eq!(buffer.len(), room);
            assert_eq!(pool.give(buffer, 5).len(), 5);
        }
    }
}
