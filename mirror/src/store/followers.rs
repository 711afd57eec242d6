//! Who wants to know what the store has of which digest.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::Presence;
use crate::Digest;

/// Entries below which nobody looks for left ones.
const FEW: usize = 64;

/// One sender for each digest that somebody follows. There are at most about twice as many as
/// digests that are followed: those that nobody follows any more go when they are met, and all of
/// them each time the number has doubled.
#[derive(Debug)]
pub(super) struct Followers {
    followed: BTreeMap<Digest, watch::Sender<Option<Presence>>>,
    sweep_at: usize,
}

// === impl Followers ===

impl Followers {
    /// Follows `digest`, of which the store has `now`.
    pub(super) fn follow(
        &mut self,
        digest: Digest,
        now: Option<Presence>,
    ) -> watch::Receiver<Option<Presence>> {
        if self.followed.len() >= self.sweep_at {
            self.followed.retain(|_, sender| sender.receiver_count() > 0);
            self.sweep_at = (2 * self.followed.len()).max(FEW);
        }
        let sender = self.followed.entry(digest).or_insert_with(|| watch::Sender::new(now));
        sender.subscribe()
    }

    /// Tells the followers of `digest` what the store has now, if that is new.
    pub(super) fn tell(&mut self, digest: &Digest, now: Option<Presence>) {
        let Some(sender) = self.followed.get(digest) else { return };
        if sender.receiver_count() == 0 {
            self.followed.remove(digest);
            return;
        }
        sender.send_if_modified(|told| std::mem::replace(told, now) != now);
    }
}

impl Default for Followers {
    fn default() -> Self {
        Self { followed: BTreeMap::new(), sweep_at: FEW }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> Digest {
        Digest::sha256(&number.to_be_bytes())
    }

    #[test]
    fn any_number_of_followers_share_one_sender() {
        let mut followers = Followers::default();
        let all: Vec<_> = (0..1000).map(|_| followers.follow(digest(1), None)).collect();
        assert_eq!(followers.followed.len(), 1);
        let now = Some(Presence::Complete { size: 7 });
        followers.tell(&digest(1), now);
        assert!(all.iter().all(|one| *one.borrow() == now));
    }

    #[test]
    fn digests_that_nobody_follows_any_more_are_dropped() {
        let mut followers = Followers::default();
        let kept: Vec<_> = (0..10).map(|number| followers.follow(digest(number), None)).collect();
        for number in 10..100_000 {
            drop(followers.follow(digest(number), None));
            assert!(followers.followed.len() <= FEW.max(2 * kept.len()));
        }
        assert!(kept.iter().all(|one| one.has_changed().is_ok()), "these are still followed");
    }

    #[test]
    fn a_follower_is_woken_by_news_only() {
        let mut followers = Followers::default();
        let one = followers.follow(digest(1), None);
        followers.tell(&digest(1), None);
        followers.tell(&digest(2), Some(Presence::Complete { size: 1 }));
        assert!(!one.has_changed().unwrap());
    }
}
