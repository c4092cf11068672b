//! Buffers for bodies, used again.
//!
//! An allocator keeps memory that was freed for a while, and gives it back to the kernel only to fault it in again. A few
//! buffers of a few sizes do the same work in the memory that is really needed.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::WHOLE_LIMIT;

/// Sizes of small buffers; most files of a web site fit into the last one.
const SMALL: [usize; 5] = [8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10];
/// Buffers of each small size that are kept.
const SMALL_KEPT: usize = 128;
/// What is read at once of a large file, and a byte more.
#[expect(clippy::cast_possible_truncation, reason = "8 MiB")]
const LARGE: usize = WHOLE_LIMIT as usize + 1;
/// From here on one of the large buffers is not much more than what is asked for: steps of hashing, ranges, parts.
const HALF_FROM: usize = 2 << 20;
const LARGE_FROM: usize = HALF + 1;
/// Large buffers that are kept: as many as the bodies of all transfers may take.
const LARGE_KEPT: usize = 3;
/// A range of a large file that is fetched.
const HALF: usize = 4 << 20;
/// Buffers for ranges that are kept: as many as the bodies of all transfers may take.
const HALF_KEPT: usize = 6;

/// See the module's text. Clones share the buffers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shelf(Arc<Kept>);

#[derive(Debug, Default)]
struct Kept {
    small: [Mutex<Vec<Vec<u8>>>; SMALL.len()],
    half: Mutex<Vec<Vec<u8>>>,
    large: Mutex<Vec<Vec<u8>>>,
}

impl Kept {
    /// Where buffers of exactly this size are kept, and how many.
    fn of(&self, size: usize) -> Option<(&Mutex<Vec<Vec<u8>>>, usize)> {
        match size {
            HALF => return Some((&self.half, HALF_KEPT)),
            LARGE => return Some((&self.large, LARGE_KEPT)),
            _ => {}
        }
        let at = SMALL.iter().position(|small| *small == size)?;
        Some((&self.small[at], SMALL_KEPT))
    }
}

impl Shelf {
    /// A buffer of at least `room` bytes, whatever they are.
    pub(crate) fn take(&self, room: usize) -> Vec<u8> {
        let size = match room {
            HALF_FROM..=HALF => HALF,
            LARGE_FROM..=LARGE => LARGE,
            // Between the two, a buffer of its own: one of the large ones would hold much more than it is counted for.
            _ => SMALL.into_iter().find(|small| room <= *small).unwrap_or(room),
        };
        let used = self.0.of(size).and_then(|(kept, _)| kept.lock().unwrap_or_else(PoisonError::into_inner).pop());
        used.unwrap_or_else(|| vec![0; size])
    }

    /// The first `len` bytes of a buffer, which comes back when the last of them is dropped.
    pub(crate) fn give(&self, mut buffer: Vec<u8>, len: usize) -> Bytes {
        if self.0.of(buffer.len()).is_some() {
            return Bytes::from_owner(Lent { buffer, len, kept: Arc::clone(&self.0) });
        }
        buffer.truncate(len);
        buffer.into()
    }
}

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
        let Some((kept, most)) = self.kept.of(buffer.len()) else { return };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < most {
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_when_their_last_bytes_are_dropped() {
        let shelf = Shelf::default();
        for room in [10, SMALL[0] + 1, SMALL[4], HALF_FROM, HALF, LARGE_FROM, LARGE] {
            let mut buffer = shelf.take(room);
            buffer[..7].copy_from_slice(b"content");
            let place = buffer.as_ptr();
            let bytes = shelf.give(buffer, 7);
            assert_eq!(&bytes[..], b"content");
            let part = bytes.slice(1..3);
            drop(bytes);
            let other = shelf.take(room);
            assert_ne!(other.as_ptr(), place, "still in use");
            drop(part);
            let again = shelf.take(room);
            assert_eq!(again.as_ptr(), place);
        }
    }

    #[test]
    fn what_fits_no_size_has_a_buffer_of_its_own() {
        let shelf = Shelf::default();
        for room in [SMALL[4] + 1, HALF_FROM - 1, LARGE + 1] {
            let buffer = shelf.take(room);
            assert_eq!(buffer.len(), room);
            assert_eq!(shelf.give(buffer, 5).len(), 5);
        }
    }
}
