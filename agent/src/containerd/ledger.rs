//! Which bytes of a new blob came from the registry: those that we did not hand over.
//!
//! The mirror tells what it delivered and what it had to leave to the registry, the sink what it wrote
//! ahead of a pull; containerd's events tell what became complete. Pure bookkeeping; the metrics are
//! somebody else's.

use std::collections::BTreeMap;

use onepull_mirror::Digest;

/// Downloads remembered between the mirror's answer and the blob's completion. A node has at most a
/// few dozen at once, and those of failed pulls are never completed; this holds the blobs of 100
/// large images, about 1 MB.
const REMEMBERED: usize = 4096;

/// The part of a completed blob that came from a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The registry it was pulled from, as the runtime named it to the mirror; `None` when the
    /// mirror was never asked, as with an import or what was written ahead of any pull.
    pub registry: Option<String>,
    /// Bytes that did not come through us.
    pub bytes: u64,
}

/// What we did for blobs that are not complete yet.
#[derive(Debug, Default)]
pub struct Ledger {
    downloads: BTreeMap<Digest, Download>,
    /// By the time of their last use, oldest first.
    by_use: BTreeMap<u64, Digest>,
    uses: u64,
}

#[derive(Debug, Default)]
struct Download {
    registry: Option<String>,
    delivered: u64,
    used: u64,
}

// === impl Ledger ===

impl Ledger {
    /// The runtime was handed `bytes` of a blob, of `registry` if that is known.
    pub fn delivered(&mut self, digest: Digest, registry: Option<&str>, bytes: u64) {
        let download = self.touch(digest, registry);
        download.delivered = download.delivered.saturating_add(bytes);
    }

    /// The mirror left the blob, or what remains of it, to `registry`.
    pub fn missed(&mut self, digest: Digest, registry: Option<&str>) {
        self.touch(digest, registry);
    }

    /// The runtime begins at byte 0, so it has lost what was delivered before: the attempt failed.
    pub fn restarted(&mut self, digest: &Digest) {
        if let Some(download) = self.downloads.get_mut(digest) {
            download.delivered = 0;
        }
    }

    /// The blob of `size` bytes is complete in the runtime's store.
    pub fn completed(&mut self, digest: &Digest, size: u64) -> Upstream {
        match self.downloads.remove(digest) {
            Some(Download { registry, delivered, used }) => {
                self.by_use.remove(&used);
                Upstream { registry, bytes: size.saturating_sub(delivered) }
            }
            None => Upstream { registry: None, bytes: size },
        }
    }

    fn touch(&mut self, digest: Digest, registry: Option<&str>) -> &mut Download {
        self.uses += 1;
        if !self.downloads.contains_key(&digest)
            && self.downloads.len() >= REMEMBERED
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.downloads.remove(&oldest);
        }
        let download = self.downloads.entry(digest).or_default();
        self.by_use.remove(&download.used);
        self.by_use.insert(self.uses, digest);
        download.used = self.uses;
        if registry.is_some() && download.registry.as_deref() != registry {
            download.registry = registry.map(str::to_owned);
        }
        download
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: Option<&str> = Some("a.example");
    const B: Option<&str> = Some("b.example");

    fn digest(number: u32) -> Digest {
        Digest::sha256(&number.to_be_bytes())
    }

    fn upstream(registry: &str, bytes: u64) -> Upstream {
        Upstream { registry: Some(registry.into()), bytes }
    }

    #[test]
    fn what_the_mirror_did_not_deliver_came_from_the_registry() {
        let mut ledger = Ledger::default();
        ledger.delivered(digest(1), A, 60);
        ledger.delivered(digest(1), A, 30);
        ledger.missed(digest(1), A);
        ledger.missed(digest(2), B);
        assert_eq!(ledger.completed(&digest(1), 100), upstream("a.example", 10));
        assert_eq!(ledger.completed(&digest(2), 100), upstream("b.example", 100));
    }

    #[test]
    fn a_blob_that_nobody_asked_the_mirror_for_has_no_registry() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.completed(&digest(1), 9), Upstream { registry: None, bytes: 9 });
    }

    #[test]
    fn what_was_written_ahead_of_a_pull_did_not_come_from_its_registry() {
        let mut ledger = Ledger::default();
        ledger.delivered(digest(1), None, 60);
        ledger.missed(digest(1), A);
        ledger.delivered(digest(2), B, 10);
        ledger.delivered(digest(2), None, 80);
        ledger.delivered(digest(3), None, 100);
        assert_eq!(ledger.completed(&digest(1), 100), upstream("a.example", 40));
        assert_eq!(ledger.completed(&digest(2), 100), upstream("b.example", 10));
        assert_eq!(ledger.completed(&digest(3), 100), Upstream { registry: None, bytes: 0 });
    }

    #[test]
    fn a_completed_blob_is_forgotten() {
        let mut ledger = Ledger::default();
        ledger.delivered(digest(1), A, 9);
        assert_eq!(ledger.completed(&digest(1), 9), upstream("a.example", 0));
        assert_eq!(ledger.completed(&digest(1), 9), Upstream { registry: None, bytes: 9 });
        assert!(ledger.by_use.is_empty());
    }

    #[test]
    fn bytes_of_a_failed_attempt_do_not_count() {
        let mut ledger = Ledger::default();
        ledger.delivered(digest(1), A, 70);
        ledger.restarted(&digest(1));
        ledger.delivered(digest(1), A, 40);
        assert_eq!(ledger.completed(&digest(1), 100), upstream("a.example", 60));
    }

    #[test]
    fn beyond_the_bound_the_least_recently_used_is_forgotten() {
        let mut ledger = Ledger::default();
        for number in 0..4096 {
            ledger.delivered(digest(number), A, 1);
        }
        ledger.missed(digest(0), A);
        ledger.missed(digest(9999), A);
        assert_eq!(ledger.completed(&digest(0), 1), upstream("a.example", 0));
        assert_eq!(ledger.completed(&digest(1), 1), Upstream { registry: None, bytes: 1 });
    }

    proptest! {
        #[test]
        fn upstream_and_delivered_bytes_add_up(
            pieces in proptest::collection::vec((0u32..4, 1u64..100), 0..40),
        ) {
            let mut ledger = Ledger::default();
            let mut delivered = BTreeMap::<u32, u64>::new();
            for (number, bytes) in pieces {
                ledger.delivered(digest(number), A, bytes);
                *delivered.entry(number).or_default() += bytes;
            }
            prop_assert_eq!(ledger.by_use.len(), ledger.downloads.len());
            for (number, bytes) in delivered {
                prop_assert_eq!(ledger.completed(&digest(number), bytes + 7), upstream("a.example", 7));
            }
            prop_assert!(ledger.downloads.is_empty() && ledger.by_use.is_empty());
        }
    }
}
