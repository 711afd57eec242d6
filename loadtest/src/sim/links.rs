//! The ways of a piece: out of its sender, and into its receiver.

use super::{SimConfig, agenda::Nanos};

/// A stream, by its number.
pub(super) type StreamId = usize;

/// A sender's uplink. It sends one piece at a time, of the stream that has had least for its weight
/// (stride scheduling: Waldspurger and Weihl, 1995).
#[derive(Debug)]
pub(super) struct Uplink {
    rate: u64,
    /// When the last byte of the piece being sent has left.
    pub(super) free_at: Nanos,
    /// Whether the agenda holds the event at which the next piece is chosen.
    pub(super) wakes: bool,
    /// Streams with a piece to send.
    pub(super) ready: Vec<StreamId>,
    /// What the stream had that sent last; one that comes back begins there.
    pub(super) pass: u64,
}

/// What a piece passes on its way into a node. Each stage works on a piece while it still arrives, as
/// cut-through switches and streaming hashes do, so a stage delays pieces only when it is the slowest.
#[derive(Debug)]
pub(super) struct Intake {
    hop: Nanos,
    down_rate: u64,
    hash_rate: u64,
    disk_rate: u64,
    down_free: Nanos,
    hash_free: Nanos,
    disk_free: Nanos,
}

/// How long `bytes` take at `rate` bytes a second.
pub(super) fn time_for(bytes: u64, rate: u64) -> Nanos {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
    Nanos::try_from(nanos).unwrap_or(Nanos::MAX)
}

// === impl Uplink ===

impl Uplink {
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self { rate: bytes_per_second, free_at: 0, wakes: false, ready: Vec::new(), pass: 0 }
    }

    /// Sends a piece; says when its last byte has left.
    pub(super) fn send(&mut self, bytes: u64, now: Nanos) -> Nanos {
        self.free_at = now + time_for(bytes, self.rate);
        self.free_at
    }
}

// === impl Intake ===

impl Intake {
    pub(super) fn new(config: &SimConfig) -> Self {
        Self {
            hop: config.hop(),
            down_rate: config.nic.bytes_per_second(),
            hash_rate: config.hash_rate.bytes(),
            disk_rate: config.disk_rate.bytes(),
            down_free: 0,
            hash_free: 0,
            disk_free: 0,
        }
    }

    /// When a piece whose last byte leaves its sender at `left` can be sent on. The last piece of a
    /// blob is handed on only when it has been hashed as well.
    pub(super) fn take(&mut self, bytes: u64, left: Nanos, is_last: bool) -> Nanos {
        self.down_free = (left + self.hop).max(self.down_free + time_for(bytes, self.down_rate));
        let hash_time = time_for(bytes, self.hash_rate);
        let hash_from = if is_last { self.down_free + hash_time } else { self.down_free };
        self.hash_free = hash_from.max(self.hash_free + hash_time);
        self.disk_free = self.hash_free.max(self.disk_free + time_for(bytes, self.disk_rate));
        self.disk_free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sim::testing::config, units::ByteSize};

    const MIB: u64 = 1 << 20;

    #[test]
    fn an_idle_intake_adds_only_the_hop() {
        let config = config(2);
        let left = 1_000_000_000;
        assert_eq!(Intake::new(&config).take(MIB, left, false), left + config.hop());
    }

    #[test]
    fn the_slowest_stage_sets_the_pace() {
        let slow = SimConfig { disk_rate: ByteSize::new(MIB), ..config(2) };
        let mut intake = Intake::new(&slow);
        let first = intake.take(MIB, 0, false);
        assert_eq!(intake.take(MIB, 0, false) - first, 1_000_000_000);
    }

    #[test]
    fn the_last_piece_waits_for_its_hash() {
        let config = config(2);
        let waits =
            Intake::new(&config).take(MIB, 0, true) - Intake::new(&config).take(MIB, 0, false);
        assert_eq!(waits, time_for(MIB, config.hash_rate.bytes()));
    }
}
