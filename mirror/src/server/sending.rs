//! Connections that send parts of files in place of what stands in for them.

use std::{
    fs::File,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustix::{fs::sendfile, io::pread};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
    task::{JoinHandle, spawn_blocking},
};
use tokio_rustls::server::TlsStream;

use crate::{
    peer::Wire,
    stand_in::{self, Part},
    store,
};

/// Bytes of a part that are copied at a time where the kernel cannot send it.
const COPIED: usize = 64 * 1024;

/// A kind of connection, and how it sends a part of a file.
pub trait SendFile: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Whether the kernel does it, from the page cache, without a copy.
    const BY_KERNEL: bool = false;

    /// Has the kernel send at most `length` bytes of `file` from byte `start` on, as [`AsyncWrite::poll_write`]
    /// does of memory; none at the file's end.
    ///
    /// # Errors
    /// The file's and the connection's, and where the kernel cannot.
    fn poll_send_file(
        &mut self,
        _cx: &mut Context<'_>,
        _file: &File,
        _start: u64,
        _length: usize,
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

/// In a request's extensions: it is worthwhile to give its connection stand-ins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByKernel;

/// A connection that may be given stand-ins.
#[derive(Debug)]
pub(super) struct Sending<S> {
    stream: S,
    /// The reading of a part that was in the page cache when it was lent, and is not any more.
    reading: Option<JoinHandle<()>>,
}

// === impl SendFile ===

impl SendFile for TcpStream {
    const BY_KERNEL: bool = true;

    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: &File,
        start: u64,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_write_ready(cx))?;
            let send = || Ok(sendfile(&*self, file, Some(&mut { start }), length)?);
            match self.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }
}

impl<S: SendFile> SendFile for TlsStream<S> {}

impl SendFile for Box<dyn Wire> {}

// === impl Sending ===

impl<S: SendFile> Sending<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, reading: None }
    }

    /// Sends what `bytes` stand in for, from the page cache: the disk is waited for elsewhere.
    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Part { file, start } = stand_in::meant_by(bytes).ok_or(io::ErrorKind::InvalidData)?;
        let part = start..start + bytes.len() as u64;
        loop {
            match &mut self.reading {
                Some(reading) => {
                    // What went wrong shows when the part is sent.
                    let _ = ready!(Pin::new(reading).poll(cx));
                    self.reading = None;
                    break;
                }
                None if store::is_cached(&file, &part) => break,
                None => {
                    let (file, part) = (Arc::clone(&file), part.clone());
                    self.reading = Some(spawn_blocking(move || store::bring_in(&file, &part)));
                }
            }
        }
        match ready!(self.stream.poll_send_file(cx, &file, start, bytes.len())) {
            Ok(sent) if sent > 0 => Poll::Ready(Ok(sent)),
            // A file system that cannot, or a filter of system calls; an end or an error shows again.
            Ok(_) | Err(_) => self.poll_copy(cx, &file, start, bytes.len()),
        }
    }

    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        file: &File,
        start: u64,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        let mut bytes = vec![0; length.min(COPIED)];
        match pread(file, &mut bytes, start)? {
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            read => Pin::new(&mut self.stream).poll_write(cx, &bytes[..read]),
        }
    }
}

impl<S: SendFile> AsyncRead for Sending<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: SendFile> AsyncWrite for Sending<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match stand_in::is_one(bytes) {
            true => self.poll_send(cx, bytes),
            false => Pin::new(&mut self.stream).poll_write(cx, bytes),
        }
    }

    /// What comes before the first stand-in, or that alone.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match buffers.iter().position(|bytes| stand_in::is_one(bytes)) {
            Some(0) => self.poll_send(cx, &buffers[0]),
            Some(first) => Pin::new(&mut self.stream).poll_write_vectored(cx, &buffers[..first]),
            None => Pin::new(&mut self.stream).poll_write_vectored(cx, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use bytes::Bytes;
    use futures::{StreamExt, TryStreamExt, stream};
    use http::{Request, Response, header};
    use hyper::body::Incoming;
    use prometheus_client::registry::Registry;
    use rustix::fs::{Advice, fadvise};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        net::TcpListener,
    };
    use tokio_util::{sync::CancellationToken, task::TaskTracker};

    use super::*;
    use crate::{
        metrics::Metrics,
        response::streamed,
        server::{Serving, serve},
        store::{Opened, READ_CHUNK},
    };

    impl SendFile for DuplexStream {}

    /// A file of `length` bytes, and what is in it.
    fn noise(length: usize) -> (Arc<File>, Vec<u8>) {
        let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        (Arc::new(file), bytes)
    }

    fn stand_in(file: &Arc<File>, start: usize, length: usize) -> Bytes {
        let start = start as u64;
        stand_in::of(file, &(start..start + length as u64)).unwrap()
    }

    /// Both ends of a connection.
    async fn connected() -> (Sending<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Sending::new(listener.accept().await.unwrap().0), client)
    }

    #[tokio::test]
    async fn an_answer_has_the_parts_that_are_stood_in_for() {
        let (file, bytes) = noise(READ_CHUNK + 100);
        let answer = move |request: Request<Incoming>| {
            assert!(request.extensions().get::<ByKernel>().is_some());
            let frames = [stand_in(&file, 5, READ_CHUNK), "between".into(), stand_in(&file, 0, 9)];
            let response = Response::builder().header(header::CONTENT_LENGTH, READ_CHUNK + 16);
            let body = streamed(stream::iter(frames.map(Ok)).boxed());
            std::future::ready(response.body(body).unwrap())
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let metrics = Metrics::register(&mut Registry::default());
        let shutdown = CancellationToken::new();
        let served = serve(listener, Serving::peers(metrics, None), answer, shutdown.clone());
        let served = TaskTracker::new().spawn(served);
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.unwrap();
        let expected = [&bytes[5..READ_CHUNK + 5], b"between", &bytes[..9]].concat();
        assert!(read.ends_with(&expected), "{} bytes", read.len());
        shutdown.cancel();
        served.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_lent_is_what_would_be_read() {
        let (file, bytes) = noise(3 * READ_CHUNK + 17);
        let wanted = &bytes[5..bytes.len() - 1];
        let opened = Opened::file(file.try_clone().unwrap(), 5..bytes.len() as u64 - 1);
        let lent: Vec<Bytes> = opened.lent().try_collect().await.unwrap();
        if store::is_cached(&file, &(0..1)) {
            assert!(
                lent.iter().all(|part| stand_in::is_one(part)),
                "all of it is in the page cache"
            );
        } else {
            println!("it is read: this file system does not say what it has in memory");
        }
        let (mut stream, mut client) = connected().await;
        let writing = async {
            for part in &lent {
                stream.write_all(part).await.unwrap();
            }
        };
        let mut read = vec![0; wanted.len()];
        let ((), read_all) = tokio::join!(writing, client.read_exact(&mut read));
        read_all.unwrap();
        assert!(read == wanted);
    }

    #[tokio::test]
    async fn what_has_left_the_page_cache_is_read_again() {
        let (file, bytes) = noise(READ_CHUNK);
        let part = stand_in(&file, 0, bytes.len());
        file.sync_all().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        if store::is_cached(&file, &(0..bytes.len() as u64)) {
            println!("it is in memory still: this file system lets go of nothing");
        }
        let (mut stream, mut client) = connected().await;
        let mut read = vec![0; bytes.len()];
        let (written, _) = tokio::join!(stream.write_all(&part), client.read_exact(&mut read));
        written.unwrap();
        assert!(read == bytes);
    }

    #[tokio::test]
    async fn where_the_kernel_cannot_send_it_a_part_is_copied() {
        let (file, bytes) = noise(3 * COPIED + 17);
        let (stream, mut client) = duplex(1000);
        let mut stream = Sending::new(stream);
        let part = stand_in(&file, 0, bytes.len());
        let mut read = vec![0; bytes.len()];
        let (written, _) = tokio::join!(stream.write_all(&part), client.read_exact(&mut read));
        written.unwrap();
        assert!(read == bytes);
    }

    #[tokio::test]
    async fn a_part_that_its_file_does_not_have_is_an_error() {
        let (file, bytes) = noise(100);
        let (mut stream, mut client) = connected().await;
        let error = stream.write_all(&stand_in(&file, 0, bytes.len() + 1)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        drop(stream);
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, bytes);
    }

    #[tokio::test]
    async fn a_part_waits_until_its_reader_has_room() {
        let (file, bytes) = noise(READ_CHUNK);
        let part = stand_in(&file, 0, bytes.len());
        let (mut stream, mut client) = connected().await;
        // More than all buffers of the connection hold.
        let parts = 0..32;
        let writing = async {
            for _ in parts.clone() {
                stream.write_all(&part).await.unwrap();
            }
        };
        let reading = async {
            for _ in parts.clone() {
                let mut read = vec![0; bytes.len()];
                client.read_exact(&mut read).await.unwrap();
                assert!(read == bytes);
            }
        };
        tokio::join!(writing, reading);
    }
}
