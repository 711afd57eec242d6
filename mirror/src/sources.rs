//! The seam to the decision where a missing blob comes from.
//!
//! Today the answer is "from whoever announced it, else from the registry". Claims, which make one
//! node the lead of a storm and the others its followers, will be another implementation: a stream
//! of parents, best first, whose end means "go upstream", is all that fetching needs to know.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures::{FutureExt, StreamExt, stream, stream::BoxStream};
use tokio::time::{Instant, timeout_at};

use crate::{Digest, Peer, Router, deadlines::Deadlines, metrics::Metrics};

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
    /// Whether the last search ended by itself. One that was cut makes the next ones short.
    answered: Arc<AtomicBool>,
}

/// One search under way.
struct Search {
    found: BoxStream<'static, Peer>,
    /// Found but not yet handed out, the best last.
    waiting: Vec<Peer>,
    started: Instant,
    deadline: Instant,
    zone: Option<String>,
    metrics: Metrics,
    answered: Arc<AtomicBool>,
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
        let answered = Arc::new(AtomicBool::new(true));
        Self { router, zone, deadlines, metrics, answered }
    }
}

impl Sources for Lookup {
    fn parents(&self, digest: &Digest) -> BoxStream<'static, Peer> {
        let started = Instant::now();
        let patience = if self.answered.load(Ordering::Relaxed) {
            self.deadlines.lookup
        } else {
            self.deadlines.lookup_unanswered
        };
        let search = Search {
            found: self.router.find(digest).fuse().boxed(),
            waiting: Vec::new(),
            started,
            deadline: started + patience,
            zone: self.zone.clone(),
            metrics: self.metrics.clone(),
            answered: Arc::clone(&self.answered),
            reported: false,
        };
        stream::unfold(search, |mut search| async { Some((search.next().await?, search)) }).boxed()
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
                    self.report(false);
                }
                Ok(None) => self.report(false),
                Err(_) => self.report(true),
            }
        }
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
            self.answered.store(!cut, Ordering::Relaxed);
            self.metrics.looked_up(self.started.elapsed(), cut);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use async_trait::async_trait;
    use prometheus_client::registry::Registry;

    use super::*;

    struct Fixed(Vec<Peer>);
    struct Silent;

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
}
