//! The keys that come of the cluster key, by HKDF (RFC 5869).
//!
//! Nodes that derive differently do not know each other. So what is written here is part of the
//! protocol between versions: a change is a new cluster.

use hkdf::Hkdf;
use sha2::Sha256;

use super::{ClusterKey, LENGTH};

const SALT: &[u8] = b"onepull cluster key";
const PRE_SHARED: &[u8] = b"onepull v1: pre-shared key of the DHT";
const AUTHORITY: &[u8] = b"onepull v1: seed of the peers' authority";

/// One key for each purpose; none tells anything of another, or of the cluster key.
pub(crate) struct Derived {
    /// Of the DHT: libp2p's pre-shared key.
    pub(crate) pre_shared: [u8; LENGTH],
    /// Of the authority behind all peers' certificates: the seed of its Ed25519 key (RFC 8032).
    pub(crate) authority: [u8; LENGTH],
}

// === impl Derived ===

impl From<&ClusterKey> for Derived {
    fn from(key: &ClusterKey) -> Self {
        let keys = Hkdf::<Sha256>::new(Some(SALT), &key.0);
        let derive = |purpose| {
            let mut derived = [0; LENGTH];
            keys.expand(purpose, &mut derived).expect("HKDF gives up to 255 hashes, this is one");
            derived
        };
        Self { pre_shared: derive(PRE_SHARED), authority: derive(AUTHORITY) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: [u8; LENGTH]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Computed apart, with Python's hmac.
    #[test]
    fn the_same_key_gives_the_same_keys_in_every_version() {
        let key = ClusterKey(std::array::from_fn(|at| at.to_le_bytes()[0]));
        let Derived { pre_shared, authority } = Derived::from(&key);
        assert_eq!(
            hex(pre_shared),
            "2d884f23dfb05802bcbedc685b7b8ac5c1f287ae82451e08fb978f17940ca6d1"
        );
        assert_eq!(
            hex(authority),
            "8a83343bd9ad48ef5b4f30b1a42606571bd4bf05f437a1d084591bf3d5a53ea7"
        );
    }
}
