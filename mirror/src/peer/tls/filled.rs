//! Hands over as much as there is.
//!
//! TLS is decrypted in records of 16 KiB, and each would be a piece of its own in everything that
//! comes after: a hash, a write to the runtime, a wake-up. So records are put together until the
//! reader's buffer is full or nothing more has come.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose reads are as long as they can be without waiting.
#[derive(Debug)]
pub(crate) struct Filled<T>(pub(super) T);

// === impl Filled ===

impl<T: AsyncRead + Unpin> AsyncRead for Filled<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        while buffer.remaining() > 0 {
            let so_far = buffer.filled().len();
            match Pin::new(&mut self.0).poll_read(cx, buffer) {
                Poll::Ready(Ok(())) if buffer.filled().len() > so_far => {}
                Poll::Ready(Ok(())) => break,
                // What there is goes first; an error comes again.
                _ if so_far > before => break,
                nothing => return nothing,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Filled<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, buffers)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio_util::io::StreamReader;

    use super::*;

    /// A stream that gives one piece for each read, and then `end`.
    fn pieces(end: io::Error) -> impl AsyncRead + Unpin {
        let pieces = ["ab", "cd", "ef"].map(|piece| Ok(piece.as_bytes()));
        StreamReader::new(futures::stream::iter(pieces.into_iter().chain([Err(end)])))
    }

    #[tokio::test]
    async fn pieces_that_are_there_come_as_one_and_the_error_after_them() {
        let broken = || io::Error::from(io::ErrorKind::ConnectionReset);
        let mut buffer = [0; 64];
        let mut stream = Filled(pieces(broken()));
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 6);
        assert_eq!(&buffer[..6], b"abcdef");
        let mut stream = Filled(pieces(broken()));
        assert_eq!(stream.read(&mut buffer[..3]).await.unwrap(), 3, "no more than there is room");
    }

    #[tokio::test]
    async fn a_reader_does_not_wait_for_more_once_it_has_something() {
        let (mut far, near) = duplex(64);
        let mut near = Filled(near);
        let mut buffer = [0; 64];
        far.write_all(b"abc").await.unwrap();
        assert_eq!(near.read(&mut buffer).await.unwrap(), 3);
        drop(far);
        assert_eq!(near.read(&mut buffer).await.unwrap(), 0);
    }
}
