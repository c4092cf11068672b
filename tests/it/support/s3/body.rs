//! Object bodies: a list of [`Bytes`] that is never copied, so that an object made of parts shares their memory.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use md5::{Digest as _, Md5};

/// The content of an object or part, in one or more pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Segments(Vec<Bytes>);

impl Segments {
    /// The pieces of `bodies`, one after another.
    pub(crate) fn join<'a>(bodies: impl IntoIterator<Item = &'a Self>) -> Self {
        Self(bodies.into_iter().flat_map(|body| body.0.iter().cloned()).collect())
    }

    /// Bytes in all pieces.
    pub(crate) fn len(&self) -> u64 {
        self.0.iter().map(|piece| piece.len() as u64).sum()
    }

    /// The pieces.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter()
    }

    /// All of it in one piece; copies if there are several.
    pub(crate) fn bytes(&self) -> Bytes {
        match self.0.as_slice() {
            [] => Bytes::new(),
            [one] => one.clone(),
            many => many.concat().into(),
        }
    }

    /// The bytes in `range`, which must lie inside.
    pub(crate) fn slice(&self, range: Range<u64>) -> Self {
        let mut start = 0;
        let mut pieces = Vec::new();
        for piece in &self.0 {
            let end = start + piece.len() as u64;
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                pieces.push(piece.slice(index(from - start)..index(to - start)));
            }
            start = end;
        }
        Self(pieces)
    }

    /// MD5 of all of it.
    pub(crate) fn md5(&self) -> [u8; 16] {
        let mut hash = Md5::new();
        for piece in &self.0 {
            hash.update(piece);
        }
        hash.finalize().into()
    }

    /// The body of an answer.
    pub(crate) fn stream(self) -> impl Body<Data = Bytes, Error = Infallible> + Send + Sync + 'static {
        let left = self.len();
        Stream { pieces: self.0.into(), left }
    }
}

impl From<Bytes> for Segments {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::default() } else { Self(vec![bytes]) }
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("an offset into memory")
}

struct Stream {
    pieces: VecDeque<Bytes>,
    left: u64,
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.pieces.pop_front();
        self.left -= next.as_ref().map_or(0, |piece| piece.len() as u64);
        Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A body that announces more than it gives: some bytes, then the connection breaks.
pub(crate) enum Broken {
    /// To be given.
    Given(Bytes),
    /// Given, but perhaps not sent.
    Sending,
    /// Sent.
    Sent,
}

impl Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match std::mem::replace(&mut *self, Self::Sent) {
            Self::Given(bytes) => {
                *self = Self::Sending;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Sending => {
                // hyper sends what it has when a body makes it wait, and drops it when a body fails.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Sent => Poll::Ready(Some(Err(std::io::Error::other("the answer is cut here on purpose")))),
        }
    }
}
