//! The last bytes of a stream, kept from the runtime for when it stands still. Pure.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Bytes kept back: one for each time that the stream gives its slot back in one pause, which outlast
/// the patience of its reader.
const MOST: usize = 128;

/// What has come of a stream and was not handed on.
#[derive(Debug, Default)]
pub(super) struct KeptBack {
    ready: VecDeque<Bytes>,
    last: Bytes,
}

// === impl KeptBack ===

impl KeptBack {
    /// Takes the next bytes. The last ones are copied, so that who receives them has its memory back.
    pub(super) fn push(&mut self, mut bytes: Bytes) {
        if let Some(kept) = bytes.len().checked_sub(MOST) {
            let last = Bytes::copy_from_slice(&bytes[kept..]);
            bytes.truncate(kept);
            self.ready.extend([std::mem::replace(&mut self.last, last), bytes]);
        } else {
            let mut all = BytesMut::from(self.last.as_ref());
            all.extend_from_slice(&bytes);
            let beyond = all.len().saturating_sub(MOST);
            self.ready.push_back(all.split_to(beyond).freeze());
            self.last = all.freeze();
        }
    }

    /// No more is to be kept back.
    pub(super) fn let_go(&mut self) {
        self.ready.push_back(std::mem::take(&mut self.last));
    }

    /// The next bytes to hand on.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        std::iter::from_fn(|| self.ready.pop_front()).find(|bytes| !bytes.is_empty())
    }

    /// One byte of those that are kept, as long as another is left.
    pub(super) fn pop_one(&mut self) -> Option<Bytes> {
        (self.last.len() > 1).then(|| self.last.split_to(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain(kept: &mut KeptBack) -> Vec<u8> {
        std::iter::from_fn(|| kept.pop()).flatten().collect()
    }

    #[test]
    fn the_last_bytes_are_handed_on_one_by_one() {
        let mut kept = KeptBack::default();
        assert_eq!(kept.pop_one(), None);
        kept.push(Bytes::from_static(b"abc"));
        assert_eq!(kept.pop(), None);
        let one = std::iter::from_fn(|| kept.pop_one()).flatten().collect::<Vec<_>>();
        assert_eq!(one, b"ab");
        kept.let_go();
        assert_eq!(drain(&mut kept), b"c");
    }

    proptest! {
        #[test]
        fn all_comes_in_order_and_the_last_bytes_late(
            pieces in proptest::collection::vec(0..3 * MOST, 1..20),
            ones in proptest::collection::vec(any::<bool>(), 20),
        ) {
            let mut numbers = (0u8..=255).cycle();
            let (mut kept, mut sent, mut came) = (KeptBack::default(), Vec::new(), Vec::new());
            for (length, one) in pieces.into_iter().zip(ones) {
                let piece: Vec<u8> = numbers.by_ref().take(length).collect();
                sent.extend_from_slice(&piece);
                kept.push(piece.into());
                came.extend(drain(&mut kept));
                prop_assert!(sent.len() - came.len() <= MOST);
                let left = sent.len() - came.len();
                if one && let Some(byte) = kept.pop_one() {
                    prop_assert!(left > 1);
                    came.extend(byte);
                }
                prop_assert!(sent.is_empty() || came.len() < sent.len());
            }
            kept.let_go();
            came.extend(drain(&mut kept));
            prop_assert_eq!(came, sent);
        }
    }
}
