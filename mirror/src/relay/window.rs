//! The last bytes of a blob that passed. Pure.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::store::Presence;

/// The last bytes of one blob.
#[derive(Debug)]
pub(super) struct Window {
    start: u64,
    end: u64,
    total: u64,
    pieces: VecDeque<Bytes>,
    closed: bool,
    _space: OwnedSemaphorePermit,
}

/// What a window has for a reader.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum View {
    /// Bytes from where it is.
    Here(Bytes),
    /// Nothing yet; more is to come.
    Soon,
    /// Nothing (any more).
    Elsewhere,
}

// === impl Window ===

impl Window {
    /// Of a blob of `total` bytes, from byte `at` on.
    pub(super) fn new(at: u64, total: u64, space: OwnedSemaphorePermit) -> Self {
        let pieces = VecDeque::new();
        Self { start: at, end: at, total, pieces, closed: false, _space: space }
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Whether byte `first` is here or has been.
    pub(super) fn is_ahead_of(&self, first: u64) -> bool {
        self.end > first
    }

    /// What has passed, once something has.
    pub(super) fn presence(&self) -> Option<Presence> {
        let (have, total) = (self.end, Some(self.total));
        (self.end > 0).then_some(Presence::Growing { have, total })
    }

    /// Takes the next bytes, and drops pieces as long as `width` bytes are left.
    pub(super) fn push(&mut self, bytes: Bytes, width: u64) {
        self.end += bytes.len() as u64;
        self.pieces.push_back(bytes);
        while let Some(first) = self.pieces.front()
            && self.end - self.start - first.len() as u64 >= width
        {
            self.start += first.len() as u64;
            self.pieces.pop_front();
        }
    }

    /// Bytes have passed that nobody is to find here.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.end += bytes as u64;
        self.start = self.end;
        self.pieces.clear();
    }

    /// No more bytes come.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// What there is for a reader at byte `at`.
    pub(super) fn at(&self, at: u64) -> View {
        if at >= self.end {
            return if self.closed { View::Elsewhere } else { View::Soon };
        }
        self.piece(at).map_or(View::Elsewhere, View::Here)
    }

    fn piece(&self, at: u64) -> Option<Bytes> {
        let mut into = usize::try_from(at.checked_sub(self.start)?).ok()?;
        let mut pieces = self.pieces.iter();
        pieces.find_map(|piece| match into.checked_sub(piece.len()) {
            Some(beyond) => {
                into = beyond;
                None
            }
            None => Some(piece.slice(into..)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use tokio::sync::Semaphore;

    use super::{super::WIDTH, *};

    fn window(at: u64, total: u64) -> Window {
        Window::new(at, total, Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap())
    }

    #[test]
    fn a_reader_is_told_whether_to_wait_here_or_to_read_elsewhere() {
        let mut window = window(10, 100);
        assert_eq!(window.presence(), Some(Presence::Growing { have: 10, total: Some(100) }));
        assert_eq!((window.at(9), window.at(10)), (View::Elsewhere, View::Soon));
        window.push(Bytes::from_static(b"abc"), WIDTH);
        assert_eq!(window.at(11), View::Here(Bytes::from_static(b"bc")));
        window.close();
        assert_eq!(window.at(12), View::Here(Bytes::from_static(b"c")));
        assert_eq!(window.at(13), View::Elsewhere);
    }

    proptest! {
        #[test]
        fn the_last_bytes_are_here_and_no_more_than_a_piece_beyond_them(
            start in 0..5u64,
            pieces in proptest::collection::vec(1..700_000usize, 1..20),
        ) {
            let all: usize = pieces.iter().sum();
            let mut window = window(start, start + all as u64);
            for (number, piece) in (0u8..).zip(&pieces) {
                window.push(Bytes::from(vec![number; *piece]), WIDTH);
            }
            let end = start + all as u64;
            prop_assert_eq!(window.end(), end);
            let kept: usize = window.pieces.iter().map(Bytes::len).sum();
            let least = usize::try_from(WIDTH).unwrap().min(all);
            prop_assert!(kept >= least && kept < least + 700_000);
            // What is read from any byte on is what was pushed there.
            let mut at = end - least as u64;
            let mut numbers = Vec::new();
            while let View::Here(bytes) = window.at(at) {
                at += bytes.len() as u64;
                numbers.push(bytes[0]);
            }
            prop_assert_eq!(at, end);
            prop_assert_eq!(usize::from(*numbers.last().unwrap()), pieces.len() - 1);
            prop_assert!(numbers.is_sorted());
        }
    }
}
