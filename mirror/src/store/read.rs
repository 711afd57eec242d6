//! Reading a blob's file in large chunks without blocking the runtime.

use std::{fs::File, io, ops::Range, path::Path, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::task::spawn_blocking;

use super::ByteStream;

/// Bytes read at a time. Large enough that a system call and a task switch cost little beside
/// hashing the bytes, small enough that a thousand streams fit in memory.
pub const READ_CHUNK: usize = 512 * 1024;

/// Streams `range` of an open file. One chunk is read ahead while the last one is being sent.
///
/// A file that ends before the range does ends the stream with `UnexpectedEof`.
pub fn read_file(file: File, range: Range<u64>) -> ByteStream {
    let file = Arc::new(file);
    let steps = stream::unfold(range.start, move |at| {
        let chunk = READ_CHUNK.min(usize::try_from(range.end - at).unwrap_or(usize::MAX));
        let next = (chunk > 0).then_some((at..at + chunk as u64, at + chunk as u64));
        std::future::ready(next)
    });
    steps
        .map(move |step| {
            let file = Arc::clone(&file);
            async move { spawn_blocking(move || read_step(&file, step)).await? }
        })
        .buffered(2)
        .boxed()
}

/// Opens `path` and returns it with its length in bytes.
///
/// # Errors
/// What the file system said.
pub async fn open_file(path: &Path) -> io::Result<(File, u64)> {
    let path = path.to_owned();
    spawn_blocking(move || {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    })
    .await?
}

/// Cuts a stream after `length` bytes.
pub(crate) fn limited(bytes: ByteStream, length: u64) -> ByteStream {
    let cut = bytes.scan(length, |left, chunk| {
        let chunk = chunk.map(|mut chunk| {
            chunk.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= chunk.len() as u64;
            chunk
        });
        let end = matches!(&chunk, Ok(chunk) if chunk.is_empty());
        std::future::ready((!end).then_some(chunk))
    });
    cut.boxed()
}

fn read_step(file: &File, step: Range<u64>) -> io::Result<Bytes> {
    let wanted = usize::try_from(step.end - step.start).unwrap_or(READ_CHUNK);
    let mut chunk = Vec::with_capacity(wanted);
    while chunk.len() < wanted {
        let at = step.start + chunk.len() as u64;
        if rustix::io::pread(file, rustix::buffer::spare_capacity(&mut chunk), at)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    chunk.truncate(wanted);
    Ok(chunk.into())
}
