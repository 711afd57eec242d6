//! What one writer has written, for the account of bytes from the registry.

use onepull_mirror::{Digest, mirror::Delivery};
use tokio::sync::mpsc;

/// Bytes that containerd has taken and that have not been told of yet; told when this is dropped.
#[derive(Debug)]
pub(super) struct Tally {
    deliveries: mpsc::Sender<Delivery>,
    digest: Digest,
    first: u64,
    reached: u64,
}

// === impl Tally ===

impl Tally {
    pub(super) fn new(deliveries: mpsc::Sender<Delivery>, digest: Digest) -> Self {
        Self { deliveries, digest, first: 0, reached: 0 }
    }

    /// The writer begins at this byte; those before are somebody else's.
    pub(super) fn begin(&mut self, at: u64) {
        (self.first, self.reached) = (at, at);
    }

    /// containerd has taken all before this byte.
    pub(super) fn reached(&mut self, at: u64) {
        self.reached = at;
    }

    /// Tells of what was written since the last time.
    pub(super) fn tell(&mut self) {
        let bytes = self.reached.saturating_sub(self.first);
        if bytes > 0 {
            let (digest, first) = (self.digest, self.first);
            // A full queue costs accuracy of a counter, never a write.
            let _ = self.deliveries.try_send(Delivery { digest, registry: None, first, bytes });
        }
        self.first = self.reached;
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_told_of_once_and_those_of_others_never() {
        let (sender, mut told) = mpsc::channel(4);
        let digest = Digest::sha256(b"x");
        let mut tally = Tally::new(sender, digest);
        tally.begin(10);
        tally.reached(15);
        tally.tell();
        tally.reached(17);
        drop(tally);
        for (first, bytes) in [(10, 5), (15, 2)] {
            let delivery = Delivery { digest, registry: None, first, bytes };
            assert_eq!(told.try_recv().ok(), Some(delivery));
        }
        assert!(told.try_recv().is_err());
    }
}
