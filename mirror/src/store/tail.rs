//! Following a file that is being written, to the end of the blob.
//!
//! A reader sleeps until it is woken. The file is held open, so it may be renamed or removed
//! meanwhile; whether it is then the whole blob is told, not guessed.

use std::{fs::File, io, ops::Range};

use futures::{Stream, StreamExt, stream};
use tokio::{
    sync::watch,
    time::{Duration, timeout},
};

use super::{
    ByteStream,
    growth::{Growth, LINGER},
    read::{Counted, read_steps},
};

/// A blob that has not grown for this long while a reader waits is not arriving. Longer than any reader
/// waits by itself ([`crate::Deadlines::starved`]): a chain of followers whose head stands still keeps its
/// streams, until their coordinator knows somebody better.
pub const STALL: Duration = Duration::from_secs(16);

/// From the last byte to the commit: the runtime syncs the file to its disk, and a large one takes a
/// slow disk tens of seconds. Nobody lacks a byte meanwhile.
const COMMIT: Duration = Duration::from_secs(60);

/// Small growth soon after a wake-up wakes nobody. So a reader looks by itself when it has slept this
/// long: a little later than it would be woken if the growth goes on, or it would wake twice.
pub(crate) const LOOK: Duration = LINGER.saturating_add(Duration::from_millis(2));

/// One reader's way through a growing file.
struct Tail {
    at: u64,
    growth: watch::Receiver<Growth>,
    stall: Duration,
    open: Counted,
}

/// Streams a growing `file` from `offset` until it is complete, waiting as it grows.
///
/// Ends with an error when the ingest is lost, with `UnexpectedEof` when the file is shorter than
/// it was said to be, and with `TimedOut` when the reader has waited for `stall` and nothing came.
pub fn tail_file(
    file: File,
    offset: u64,
    growth: watch::Receiver<Growth>,
    stall: Duration,
) -> ByteStream {
    read_steps(file.into(), ranges(offset, growth, stall)).boxed()
}

/// The parts of the file as they can be read.
fn ranges(
    offset: u64,
    growth: watch::Receiver<Growth>,
    stall: Duration,
) -> impl Stream<Item = io::Result<Range<u64>>> + Send {
    let tail = Tail { at: offset, growth, stall, open: Counted::new() };
    stream::unfold(Some(tail), async |tail| {
        let mut tail = tail?;
        match tail.next().await.transpose()? {
            Ok(range) => Some((Ok(range), Some(tail))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

// === impl Tail ===

impl Tail {
    /// The next part; `None` at the end of the blob.
    async fn next(&mut self) -> io::Result<Option<Range<u64>>> {
        let start = self.at;
        let reached = self.reached().await?;
        self.at = reached.min(start + self.open.chunk());
        Ok((start < self.at).then_some(start..self.at))
    }

    /// Waits until there is something after the byte reached, or the blob is complete; the bytes
    /// that are there.
    async fn reached(&mut self) -> io::Result<u64> {
        loop {
            let growth = *self.growth.borrow_and_update();
            match growth {
                Growth::Complete { size } => return Ok(size),
                Growth::Lost => return Err(lost()),
                Growth::Growing { have, .. } if have > self.at => return Ok(have),
                Growth::Growing { have, total } => {
                    let patience = if total == Some(have) { COMMIT } else { self.stall };
                    self.wait(growth, patience).await?;
                }
            }
        }
    }

    /// Waits for more than `seen`.
    async fn wait(&mut self, seen: Growth, patience: Duration) -> io::Result<()> {
        let look = LOOK.min(patience);
        if let Ok(woken) = timeout(look, self.growth.changed()).await {
            return woken.map_err(|_| lost());
        }
        if *self.growth.borrow() != seen {
            return Ok(());
        }
        match timeout(patience - look, self.growth.changed()).await {
            Ok(woken) => woken.map_err(|_| lost()),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the blob stopped arriving")),
        }
    }
}

fn lost() -> io::Error {
    io::Error::other("the blob's download was given up")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use bytes::Bytes;
    use futures::TryStreamExt;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::{Digest, store::growth::Ingests};

    const MIB: u64 = 1 << 20;
    const MS: Duration = Duration::from_millis(1);

    /// An ingest that grows when told, and the ranges that a reader of it is given.
    struct Ingest {
        ingests: Ingests,
        digest: Digest,
    }

    impl Ingest {
        fn new() -> Self {
            let (mut ingests, digest) = (Ingests::default(), Digest::sha256(b""));
            ingests.begin(digest, "unused".into());
            let mut ingest = Self { ingests, digest };
            ingest.grew(1);
            ingest
        }

        fn grew(&mut self, have: u64) {
            self.ingests.grew(&self.digest, have, None, Instant::now());
        }

        fn growth(&self) -> watch::Receiver<Growth> {
            self.ingests.get(&self.digest).unwrap().into_growth()
        }

        fn ranges(&self, offset: u64) -> stream::BoxStream<'static, io::Result<Range<u64>>> {
            ranges(offset, self.growth(), STALL).boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_passed_on_soon_and_wakes_its_reader_50_times_a_second() {
        let mut ingest = Ingest::new();
        let mut ranges = ingest.ranges(1);
        let writer = async {
            for have in 2..=1000 {
                sleep(MS).await;
                ingest.grew(have);
            }
        };
        let start = Instant::now();
        let reader = async {
            let (mut woken, mut at) = (0, 1);
            while at < 1000 {
                let range = ranges.next().await.unwrap().unwrap();
                assert_eq!(range.start, at);
                at = range.end;
                woken += 1;
                let written = start.elapsed().as_millis() + 1;
                assert!(written <= u128::from(at) + LOOK.as_millis(), "{written} {at}");
            }
            woken
        };
        let ((), woken) = tokio::join!(writer, reader);
        assert!(woken <= 51, "{woken}");
        assert!(start.elapsed() <= 1000 * MS + LOOK, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn fast_growth_is_passed_on_in_steps_without_delay() {
        let mut ingest = Ingest::new();
        let mut ranges = ingest.ranges(1);
        let start = Instant::now();
        for step in 1..=100 {
            ingest.grew(step * MIB + 1);
            let range = ranges.next().await.unwrap().unwrap();
            assert_eq!(range, (step - 1) * MIB + 1..step * MIB + 1);
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_waits_for_a_blob_that_grows_slowly_and_not_for_one_that_does_not() {
        let mut ingest = Ingest::new();
        let mut ranges = ingest.ranges(100);
        let start = Instant::now();
        for have in 2..12 {
            assert!(timeout(STALL - MS, ranges.next()).await.is_err(), "it waits for byte 100");
            ingest.grew(have);
        }
        let grown = start.elapsed();
        let error = ranges.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed() - grown, STALL);
        assert!(ranges.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_waits_does_not_count_as_a_stall() {
        let mut ingest = Ingest::new();
        let mut ranges = ingest.ranges(0);
        sleep(10 * STALL).await;
        assert_eq!(ranges.next().await.unwrap().unwrap(), 0..1);
        sleep(10 * STALL).await;
        ingest.grew(3);
        assert_eq!(ranges.next().await.unwrap().unwrap(), 1..3);
    }

    #[tokio::test(start_paused = true)]
    async fn the_commit_of_a_blob_whose_bytes_are_all_here_may_take_longer() {
        let mut ingest = Ingest::new();
        let mut ranges = ingest.ranges(5);
        ingest.ingests.grew(&ingest.digest, 5, Some(5), Instant::now());
        assert!(timeout(3 * STALL, ranges.next()).await.is_err());
        ingest.ingests.end(&ingest.digest, Growth::Complete { size: 5 });
        assert!(ranges.next().await.is_none());
    }

    #[tokio::test]
    async fn the_next_ingest_of_a_digest_is_not_mixed_into_the_last() {
        let mut ingest = Ingest::new();
        let mut ranges = ingest.ranges(1);
        ingest.ingests.begin(ingest.digest, "another".into());
        ingest.grew(MIB);
        assert!(ranges.next().await.unwrap().is_err());
        assert!(ranges.next().await.is_none());
    }

    #[tokio::test]
    async fn a_file_that_is_shorter_than_was_said_ends_with_an_error() {
        let mut ingest = Ingest::new();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"12345").unwrap();
        ingest.grew(10);
        let stream = tail_file(file, 0, ingest.growth(), STALL);
        let read: io::Result<Vec<Bytes>> = stream.try_collect().await;
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
