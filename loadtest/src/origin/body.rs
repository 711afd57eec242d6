//! A blob's bytes on their way out: read from the file, counted, held to the uplink's rate.

use std::{
    fs::File,
    io,
    ops::Range,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use onepull_mirror::store::read_file;
use tokio::time::sleep;

use super::{Fault, Shared};

/// Bytes sent between two looks at the uplink's rate. Small, so that all connections of a slow
/// uplink get their share: at 10 Mbit/s this is 13 ms.
const SLICE: usize = 16 * 1024;

/// hyper drops what it has not written yet when a body fails. A pause makes it write first, so that
/// the peer sees all bytes up to the cut and then the end of the connection.
const FLUSHED_AFTER: Duration = Duration::from_millis(20);

/// Streams `range` of `file`.
pub(super) fn stream(
    shared: Arc<Shared>,
    file: File,
    range: Range<u64>,
    fault: Option<Fault>,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let corrupt = fault == Some(Fault::Corrupt);
    let cut = match fault {
        Some(Fault::Truncate(bytes)) if range.start + bytes < range.end => Some(bytes),
        _ => None,
    };
    let shown = range.start..cut.map_or(range.end, |bytes| range.start + bytes);
    let slices = read_file(file, shown)
        .map_ok(|chunk| stream::iter(split(chunk)).map(Ok::<_, io::Error>))
        .try_flatten();
    let sent = slices.enumerate().then(move |(index, slice)| {
        let shared = Arc::clone(&shared);
        async move {
            let slice = slice?;
            if let Some(uplink) = &shared.uplink {
                uplink.take(slice.len()).await;
            }
            shared.counters.body.fetch_add(slice.len() as u64, Ordering::Relaxed);
            Ok(if corrupt && index == 0 { flip(&slice) } else { slice })
        }
    });
    let broken = stream::iter(cut).then(|_| async {
        sleep(FLUSHED_AFTER).await;
        Err(io::Error::other("told to truncate"))
    });
    sent.chain(broken)
}

fn split(mut chunk: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || (!chunk.is_empty()).then(|| chunk.split_to(SLICE.min(chunk.len()))))
}

fn flip(slice: &Bytes) -> Bytes {
    let mut wrong = BytesMut::from(slice.as_ref());
    if let Some(first) = wrong.first_mut() {
        *first ^= 1;
    }
    wrong.freeze()
}
