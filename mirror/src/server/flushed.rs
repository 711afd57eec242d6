//! Keeps the bytes that come before a broken body's error.
//!
//! hyper drops a connection the moment its answer's body fails, with all it has not written yet: the
//! answer's head, or tens of KiB that were counted as delivered. So the error waits here until hyper
//! has written everything before it. The connection then ends in a FIN after the last good byte, and
//! the runtime resumes from there. No time is involved: hyper flushes whenever a body has nothing to
//! give, and the flush lets the error pass.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};

use crate::response::Body;

/// Says whether an error waits for the next flush. One for a connection, whose answers come one
/// after the other; its body and its stream are polled by one task.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting(Arc<AtomicBool>);

/// A body whose error waits for a flush.
#[derive(Debug)]
pub(super) struct FlushedBody {
    body: Body,
    error: Option<io::Error>,
    waiting: Waiting,
}

/// A stream whose flush lets an error pass.
#[derive(Debug)]
pub(super) struct FlushedIo<T> {
    stream: T,
    waiting: Waiting,
}

// === impl FlushedBody ===

impl FlushedBody {
    pub(super) fn new(body: Body, waiting: Waiting) -> Self {
        Self { body, error: None, waiting }
    }
}

impl http_body::Body for FlushedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if this.error.is_none() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Err(error)) => this.error = Some(error),
                frame => return Poll::Ready(frame),
            }
            this.waiting.0.store(true, Ordering::Relaxed);
        }
        if this.waiting.0.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Poll::Ready(this.error.take().map(Err))
    }

    fn is_end_stream(&self) -> bool {
        self.error.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl FlushedIo ===

impl<T> FlushedIo<T> {
    pub(super) fn new(stream: T, waiting: Waiting) -> Self {
        Self { stream, waiting }
    }
}

impl<T: Read + Unpin> Read for FlushedIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<T: Write + Unpin> Write for FlushedIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    /// hyper flushes the stream only when its own buffers are written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        if self.waiting.0.swap(false, Ordering::Relaxed) {
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }
}
