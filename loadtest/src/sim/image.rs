//! The image of a simulation: layers of equal size, cut into pieces.

use onepull_mirror::Digest;

use super::SimConfig;

/// A layer.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) pieces: u32,
    piece: u64,
}

/// The layers of an image; the first ones take what is left over.
pub(super) fn layers(config: &SimConfig) -> Vec<Layer> {
    let (size, count) = (config.image_size.bytes(), u64::from(config.layers));
    let layers = (0..count).map(|number| {
        let size = size / count + u64::from(number < size % count);
        Layer::new(number, size, config.piece.bytes())
    });
    layers.collect()
}

// === impl Layer ===

impl Layer {
    fn new(number: u64, size: u64, piece: u64) -> Self {
        let digest = Digest::sha256(format!("layer {number}").as_bytes());
        let pieces = u32::try_from(size.div_ceil(piece)).unwrap_or(u32::MAX);
        Self { digest, size, pieces, piece }
    }

    /// Bytes of the first `pieces` pieces.
    pub(super) fn bytes(&self, pieces: u32) -> u64 {
        (u64::from(pieces) * self.piece).min(self.size)
    }

    /// Bytes of one piece.
    pub(super) fn piece(&self, number: u32) -> u64 {
        self.bytes(number + 1) - self.bytes(number)
    }

    pub(super) fn is_last(&self, number: u32) -> bool {
        number + 1 == self.pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sim::testing::config, units::ByteSize};

    #[test]
    fn layers_and_pieces_are_the_whole_image() {
        let config = SimConfig { image_size: ByteSize::new(10_000_001), layers: 3, ..config(2) };
        let layers = layers(&config);
        assert_eq!(layers.iter().map(|layer| layer.size).sum::<u64>(), 10_000_001);
        for layer in layers {
            let pieces = (0..layer.pieces).map(|piece| layer.piece(piece)).sum::<u64>();
            assert_eq!(pieces, layer.size);
        }
    }
}
