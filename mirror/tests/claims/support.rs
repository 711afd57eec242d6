//! A coordinator with a clock, and short words for what nodes say to it.

use std::net::SocketAddr;

use onepull_mirror::{
    Digest, Peer,
    claim::{Advice, Claim, Coordinator, Intent, Progress, Stage, Verdict},
};
use tokio::time::{Duration, Instant};

/// One coordinator, one digest.
pub(crate) struct Room {
    pub(crate) coordinator: Coordinator,
    pub(crate) now: Instant,
}

/// A node by its number, with a zone.
pub(crate) fn node(number: u16, zone: Option<&str>) -> Peer {
    Peer { endpoint: at(number), zone: zone.map(str::to_owned) }
}

pub(crate) fn at(number: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, (number >> 8) as u8, (number & 255) as u8], 29901))
}

pub(crate) fn number(endpoint: SocketAddr) -> u16 {
    match endpoint {
        SocketAddr::V4(v4) => u16::from_be_bytes([v4.ip().octets()[2], v4.ip().octets()[3]]),
        SocketAddr::V6(_) => unreachable!("nodes have IPv4 addresses here"),
    }
}

pub(crate) fn blob() -> Digest {
    Digest::sha256(b"the layer that everybody wants")
}

/// A GET by a node without a byte that may lead.
pub(crate) fn get(number: u16) -> Claim {
    Claim {
        digest: blob(),
        node: node(number, None),
        have: 0,
        may_lead: true,
        patient: false,
        intent: Intent::Get,
        lost: Vec::new(),
        total: Some(1 << 40),
    }
}

pub(crate) fn says(number: u16, have: u64, state: Stage) -> Progress {
    Progress {
        digest: blob(),
        node: node(number, None),
        have,
        total: Some(1 << 40),
        state,
        may_lead: true,
        patient: false,
        free_slots: 1,
    }
}

pub(crate) fn following(parent: u16) -> Stage {
    Stage::Following { parent: at(parent) }
}

/// The node that a verdict sends to, or nothing.
pub(crate) fn first(verdict: &Verdict) -> Option<u16> {
    match verdict {
        Verdict::Follow(parents) => Some(number(parents[0].peer.endpoint)),
        Verdict::Lead | Verdict::NotYet => None,
    }
}

impl Room {
    pub(crate) fn new() -> Self {
        Self { coordinator: Coordinator::default(), now: Instant::now() }
    }

    pub(crate) fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    pub(crate) fn claim(&mut self, claim: &Claim) -> Verdict {
        self.coordinator.claim(claim, self.now)
    }

    /// A GET by a node without a byte that may lead.
    pub(crate) fn get(&mut self, number: u16) -> Verdict {
        self.claim(&get(number))
    }

    /// A GET by a follower that lost its parents in mid-blob.
    pub(crate) fn get_again(&mut self, number: u16, have: u64, lost: &[u16]) -> Verdict {
        let lost = lost.iter().copied().map(at).collect();
        self.claim(&Claim { have, lost, ..get(number) })
    }

    pub(crate) fn get_in(&mut self, number: u16, zone: &str) -> Verdict {
        self.claim(&Claim { node: node(number, Some(zone)), ..get(number) })
    }

    pub(crate) fn says(&mut self, number: u16, have: u64, state: Stage) -> Advice {
        self.coordinator.progress(&says(number, have, state), self.now)
    }

    /// A chain of `length` nodes behind lead 0, a byte apart, all heard a moment ago.
    pub(crate) fn chain(length: u16) -> Self {
        let mut room = Self::new();
        for number in 0..length {
            room.get(number);
        }
        for _ in 0..2 {
            room.chain_says(0, length, u64::from(length.max(1000)));
        }
        room
    }

    /// The nodes from `first` on, each one byte behind the one before it; `most` is node 0's.
    pub(crate) fn chain_says(&mut self, first: u16, length: u16, most: u64) {
        for number in first..length {
            let stage = if number == 0 { Stage::Leading } else { following(number - 1) };
            self.says(number, most - u64::from(number), stage);
        }
    }
}
