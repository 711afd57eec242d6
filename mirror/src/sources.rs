//! The seam to the decision where a missing blob comes from.
//!
//! Today the answer is "from whoever announced it, else from the registry". Claims, which make one
//! node the lead of a storm and the others its followers, will be another implementation: a stream
//! of parents, best first, whose end means "go upstream", is all that fetching needs to know.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{FutureExt, StreamExt, stream, stream::BoxStream};
use tokio::time::{Duration, Instant, timeout_at};

use crate::{Digest, Peer, Router, deadlines::Deadlines, metrics::Metrics};

/// How long searches are short after one that nobody answered. Then one search again gets all its
/// time: a network that was only slow for a moment is found back, and one that is dead costs a
/// pull half a second in five.
const SHORT: Duration = Duration::from_secs(5);

/// Says which peers to stream a digest from.
pub trait Sources: Send + Sync + 'static {
    /// Peers to try, best first. The stream's end means: nobody (else), go to the registry. It ends
    /// within the lookup deadline as long as it yields nothing.
    fn parents(&self, digest: &Digest) -> BoxStream<'static, Peer>;
}

/// Sources found by asking a [`Router`] who announced the digest.
pub struct Lookup {
    router: Arc<dyn Router>,
    zone: Option<String>,
    deadlines: Deadlines,
    metrics: Metrics,
    unanswered: Unanswered,
}

/// When a search of full length was cut, unless one has been answered since. All searches share it.
#[derive(Clone, Default)]
struct Unanswered(Arc<Mutex<Option<Instant>>>);

/// One search under way.
struct Search {
    found: BoxStream<'static, Peer>,
    /// Found but not yet handed out, the best last.
    waiting: Vec<Peer>,
    started: Instant,
    deadline: Instant,
    zone: Option<String>,
    metrics: Metrics,
    unanswered: Unanswered,
    /// Whether it had all the time that a search may have.
    full: bool,
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
        Self { router, zone, deadlines, metrics, unanswered: Unanswered::default() }
    }
}

impl Sources for Lookup {
    fn parents(&self, digest: &Digest) -> BoxStream<'static, Peer> {
        let started = Instant::now();
        let full = !self.unanswered.lately(started);
        let Deadlines { lookup, lookup_unanswered, .. } = self.deadlines;
        let search = Search {
            found: self.router.find(digest).fuse().boxed(),
            waiting: Vec::new(),
            started,
            deadline: started + if full { lookup } else { lookup_unanswered },
            zone: self.zone.clone(),
            metrics: self.metrics.clone(),
            unanswered: self.unanswered.clone(),
            full,
            reported: false,
        };
        stream::unfold(search, |mut search| async { Some((search.next().await?, search)) }).boxed()
    }
}

// === impl Unanswered ===

impl Unanswered {
    fn lately(&self, now: Instant) -> bool {
        self.lock().is_some_and(|cut| now < cut + SHORT)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Search ===

impl Search {
    /// The best peer known now; waits for one only while none is.
    async fn next(&mut self) -> Option<Peer> {
        self.take_what_is_there();
        if self.waiting.is_empty() {
            match timeout_at(self.deadline, self.found.next()).await {
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
            if !cut {
                *self.unanswered.lock() = None;
            } else if self.full {
                *self.unanswered.lock() = Some(Instant::now());
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
    use tokio::time::{advance, sleep};

    use super::*;

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

    #[tokio::test]
    async fn peers_of_the_own_zone_come_first() {
        let router = Fixed(vec![peer(1, "a"), peer(2, "b"), peer(3, "b")]);
        let parents = lookup(router, Some("b")).parents(&Digest::sha256(b""));
        let zones: Vec<_> = parents.filter_map(async |peer| peer.zone).collect().await;
        assert_eq!(zones, ["b", "b", "a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_search_that_nobody_answers_is_cut_and_makes_the_next_one_short() {
        let lookup = lookup(Silent, None);
        for patience in [lookup.deadlines.lookup, lookup.deadlines.lookup_unanswered] {
            let start = Instant::now();
            assert_eq!(lookup.parents(&Digest::sha256(b"")).next().await, None);
            assert_eq!(start.elapsed().as_millis(), patience.as_millis());
        }
        assert_eq!(lookup.metrics.lookups_cut.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_moment_does_not_blind_the_node_for_longer_than_that() {
        let delay = Arc::new(AtomicU64::new(1000));
        let lookup = lookup(Slow(Arc::clone(&delay)), None);
        let found = async || lookup.parents(&Digest::sha256(b"")).next().await.is_some();
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
        let found = async || lookup.parents(&Digest::sha256(b"")).next().await.is_some();
        assert!(!found().await, "cut");
        for (milliseconds, what) in [(1, "within a short search"), (400, "within a long one")] {
            delay.store(milliseconds, Ordering::Relaxed);
            assert!(found().await, "{what}");
        }
    }
}
