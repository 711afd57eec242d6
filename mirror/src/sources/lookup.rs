//! Sources found by asking the router who announced the digest.

use std::{net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, stream, stream::BoxStream};
use tokio::time::{Instant, timeout_at};

use super::{Grant, Outlook, Parent, Patience, Sources, Standing, Wanted};
use crate::{Peer, Router, deadlines::Deadlines, metrics::Metrics};

/// Sources found by asking a [`Router`] who announced the digest.
pub struct Lookup {
    router: Arc<dyn Router>,
    zone: Option<String>,
    metrics: Metrics,
    patience: Patience,
}

/// One search under way.
struct Search {
    found: BoxStream<'static, Peer>,
    /// Found but not yet handed out, the best last.
    waiting: Vec<Peer>,
    started: Instant,
    grant: Grant,
    zone: Option<String>,
    metrics: Metrics,
    patience: Patience,
    reported: bool,
}

// === impl Lookup ===

impl Lookup {
    /// Searches `router`; peers in `zone` come first.
    pub fn new(
        router: Arc<dyn Router>,
        zone: Option<String>,
        deadlines: Deadlines,
        metrics: Metrics,
    ) -> Self {
        let patience = Patience::new(deadlines.lookup, deadlines.lookup_unanswered);
        Self { router, zone, metrics, patience }
    }
}

#[async_trait]
impl Sources for Lookup {
    /// Ends within the lookup deadline as long as it yields nothing.
    fn parents(&self, wanted: &Wanted) -> BoxStream<'static, Parent> {
        let started = Instant::now();
        let search = Search {
            found: self.router.find(&wanted.digest).fuse().boxed(),
            waiting: Vec::new(),
            started,
            grant: self.patience.grant(started),
            zone: self.zone.clone(),
            metrics: self.metrics.clone(),
            patience: self.patience.clone(),
            reported: false,
        };
        let found = stream::unfold(search, |mut search| async {
            let peer = search.next().await?;
            Some((Parent { peer, standing: Standing::Announced }, search))
        });
        found.boxed()
    }

    /// Who announced a blob has all of it, and no reason to pause.
    async fn outlook(&self, _: &Wanted, _: SocketAddr) -> Outlook {
        Outlook::Passed
    }
}

// === impl Search ===

impl Search {
    /// The best peer known now; waits for one only while none is.
    async fn next(&mut self) -> Option<Peer> {
        self.take_what_is_there();
        if self.waiting.is_empty() {
            match timeout_at(self.grant.deadline, self.found.next()).await {
                Ok(Some(peer)) => {
                    self.waiting.push(peer);
                    self.take_what_is_there();
                }
                Ok(None) => {}
                Err(_) => self.report(true),
            }
        }
        self.report(false);
        self.waiting.pop()
    }

    fn take_what_is_there(&mut self) {
        while let Some(Some(peer)) = self.found.next().now_or_never() {
            self.waiting.push(peer);
        }
        let zone = self.zone.as_deref();
        self.waiting.sort_by_key(|peer| zone.is_some() && peer.zone.as_deref() == zone);
    }

    /// Counts the search once, when its first answer is known.
    fn report(&mut self, cut: bool) {
        if !std::mem::replace(&mut self.reported, true) {
            if cut {
                self.patience.cut(self.grant, Instant::now());
            } else {
                self.patience.answered();
            }
            self.metrics.looked_up(self.started.elapsed(), cut);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::SocketAddr,
        sync::atomic::{AtomicU64, Ordering},
    };

    use async_trait::async_trait;
    use prometheus_client::registry::Registry;
    use tokio::time::{Duration, advance, sleep};

    use super::*;
    use crate::{Digest, sources::patience::SHORT};

    struct Fixed(Vec<Peer>);
    struct Silent;
    /// Answers after this many milliseconds.
    struct Slow(Arc<AtomicU64>);

    #[async_trait]
    impl Router for Fixed {
        fn ready(&self) -> bool {
            true
        }
        fn find(&self, _: &Digest) -> BoxStream<'static, Peer> {
            stream::iter(self.0.clone()).boxed()
        }
        async fn announce(&self, _: &Digest) {}
        async fn withdraw(&self, _: &Digest) {}
        fn closest(&self, _: &Digest) -> Vec<Peer> {
            Vec::new()
        }
    }

    #[async_trait]
    impl Router for Silent {
        fn ready(&self) -> bool {
            true
        }
        fn find(&self, _: &Digest) -> BoxStream<'static, Peer> {
            stream::pending().boxed()
        }
        async fn announce(&self, _: &Digest) {}
        async fn withdraw(&self, _: &Digest) {}
        fn closest(&self, _: &Digest) -> Vec<Peer> {
            Vec::new()
        }
    }

    #[async_trait]
    impl Router for Slow {
        fn ready(&self) -> bool {
            true
        }
        fn find(&self, _: &Digest) -> BoxStream<'static, Peer> {
            let answer = sleep(Duration::from_millis(self.0.load(Ordering::Relaxed)));
            stream::once(answer.map(|()| peer(1, "a"))).boxed()
        }
        async fn announce(&self, _: &Digest) {}
        async fn withdraw(&self, _: &Digest) {}
        fn closest(&self, _: &Digest) -> Vec<Peer> {
            Vec::new()
        }
    }

    fn lookup(router: impl Router, zone: Option<&str>) -> Lookup {
        let metrics = Metrics::register(&mut Registry::default());
        Lookup::new(Arc::new(router), zone.map(str::to_owned), Deadlines::default(), metrics)
    }

    fn peer(port: u16, zone: &str) -> Peer {
        Peer { endpoint: SocketAddr::from(([127, 0, 0, 1], port)), zone: Some(zone.into()) }
    }

    fn wanted() -> Wanted {
        Wanted::new(Digest::sha256(b""), 0, true)
    }

    #[tokio::test]
    async fn peers_of_the_own_zone_come_first() {
        let router = Fixed(vec![peer(1, "a"), peer(2, "b"), peer(3, "b")]);
        let parents = lookup(router, Some("b")).parents(&wanted());
        let zones: Vec<_> = parents.filter_map(async |parent| parent.peer.zone).collect().await;
        assert_eq!(zones, ["b", "b", "a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_search_that_nobody_answers_is_cut_and_makes_the_next_one_short() {
        let lookup = lookup(Silent, None);
        let Deadlines { lookup: long, lookup_unanswered: short, .. } = Deadlines::default();
        for patience in [long, short] {
            let start = Instant::now();
            assert_eq!(lookup.parents(&wanted()).next().await, None);
            assert_eq!(start.elapsed().as_millis(), patience.as_millis());
        }
        assert_eq!(lookup.metrics.lookups_cut.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_moment_does_not_blind_the_node_for_longer_than_that() {
        let delay = Arc::new(AtomicU64::new(1000));
        let lookup = lookup(Slow(Arc::clone(&delay)), None);
        let found = async || lookup.parents(&wanted()).next().await.is_some();
        assert!(!found().await, "cut");

        // Slower than a short search waits, as peers across a loaded link are.
        delay.store(100, Ordering::Relaxed);
        for _ in 0..2 {
            assert!(!found().await, "cut short");
            advance(SHORT / 2).await;
        }
        assert!(found().await, "and short cuts have not prolonged it");
        assert!(found().await, "an answer ends it");
    }

    #[tokio::test(start_paused = true)]
    async fn one_answer_to_a_short_search_makes_the_next_ones_long_again() {
        let delay = Arc::new(AtomicU64::new(1000));
        let lookup = lookup(Slow(Arc::clone(&delay)), None);
        let found = async || lookup.parents(&wanted()).next().await.is_some();
        assert!(!found().await, "cut");
        for (milliseconds, what) in [(1, "within a short search"), (400, "within a long one")] {
            delay.store(milliseconds, Ordering::Relaxed);
            assert!(found().await, "{what}");
        }
    }
}
