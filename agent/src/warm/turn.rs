//! One blob's turn among those of its image.

use tokio::sync::watch;

use super::turns::Turns;

/// A blob's place among the [`Turns`]; given up when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    blob: usize,
    turns: &'a watch::Sender<Turns>,
    seen: watch::Receiver<Turns>,
}

// === impl Turn ===

impl<'a> Turn<'a> {
    pub(crate) fn new(blob: usize, turns: &'a watch::Sender<Turns>) -> Self {
        Self { blob, turns, seen: turns.subscribe() }
    }

    /// Bytes are here; waits until they may be received.
    ///
    /// # Cancel safety
    /// It keeps its place.
    pub(crate) async fn comes(&mut self) {
        let blob = self.blob;
        self.turns.send_if_modified(|turns| turns.come(blob));
        // Whoever has a turn has the sender as well.
        let _ = self.seen.wait_for(|turns| turns.is_on(blob)).await;
    }

    /// No more bytes come for now.
    pub(crate) fn leave(&self) {
        self.turns.send_if_modified(|turns| turns.leave(self.blob));
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::warm::turns::AT_ONCE;

    #[tokio::test]
    async fn a_turn_that_ends_lets_the_next_one_in() {
        let turns = watch::Sender::default();
        let mut all: Vec<_> = (0..=AT_ONCE).map(|blob| Turn::new(blob, &turns)).collect();
        let mut last = all.pop().unwrap();
        for turn in &mut all {
            assert_eq!(turn.comes().now_or_never(), Some(()));
        }
        assert_eq!(last.comes().now_or_never(), None);
        drop(all.remove(1));
        assert_eq!(last.comes().now_or_never(), Some(()));
    }

    #[tokio::test]
    async fn a_blob_keeps_its_turn_until_nothing_of_it_comes() {
        let turns = watch::Sender::default();
        let mut all: Vec<_> = (0..=AT_ONCE).map(|blob| Turn::new(blob, &turns)).collect();
        for turn in &mut all[1..] {
            assert_eq!(turn.comes().now_or_never(), Some(()));
        }
        assert_eq!(all[0].comes().now_or_never(), None);
        assert_eq!(all[AT_ONCE].comes().now_or_never(), Some(()));
        all[1].leave();
        assert_eq!(all[0].comes().now_or_never(), Some(()));
    }
}
