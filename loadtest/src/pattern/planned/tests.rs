use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use onepull_agent::desired::Source;

use super::*;
use crate::fleet::{Account, Meter};

/// Nodes that hold the image a second after one of them was told to ask the registry, unless that one
/// cannot.
struct Nodes {
    told: Mutex<Vec<Source>>,
    /// Those whose pull from the registry fails.
    broken: Vec<usize>,
    /// When the others get it.
    holds: Mutex<Option<Instant>>,
}

impl Nodes {
    fn new(count: usize, broken: Vec<usize>) -> Self {
        Self { told: Mutex::new(vec![Source::Peers; count]), broken, holds: Mutex::default() }
    }

    fn told(&self) -> Vec<Source> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Steered for Nodes {
    async fn tell(&self, node: usize, source: Source) -> Result<(), FleetError> {
        self.told.lock().unwrap()[node] = source;
        if source == Source::Upstream && !self.broken.contains(&node) {
            *self.holds.lock().unwrap() = Some(Instant::now() + Duration::from_secs(1));
        }
        Ok(())
    }

    async fn hear(&self, node: usize) -> Result<Option<ImageStatus>, FleetError> {
        let source = self.told()[node];
        let held = self.holds.lock().unwrap().is_some_and(|at| Instant::now() >= at);
        let fails = source == Source::Upstream && self.broken.contains(&node);
        let state = match (held, fails) {
            (true, _) => Phase::Held,
            (false, true) => Phase::Failed,
            (false, false) => Phase::Warming,
        };
        Ok(Some(ImageStatus {
            name: "r.example/app:v1".into(),
            also: Vec::new(),
            digest: "sha256:1".into(),
            source,
            state,
            seconds: 0,
            bytes_done: None,
            bytes_total: None,
            bytes_from_peers: 0,
            bytes_from_upstream: 0,
            blobs_complete: false,
            reason: None,
            error: (state == Phase::Failed).then(|| "refused".into()),
        }))
    }
}

#[async_trait]
impl Fleet for Nodes {
    fn names(&self) -> Vec<String> {
        (1..=self.told().len()).map(|number| format!("node-{number}")).collect()
    }

    async fn pull(&self, _: usize) -> Result<(), FleetError> {
        panic!("nodes that can be told do not pull");
    }

    async fn findable(&self, _: usize) -> Result<(), FleetError> {
        panic!("nobody waits for the first node");
    }

    fn steered(&self) -> Option<&dyn Steered> {
        Some(self)
    }

    fn meter(&self) -> Meter {
        Meter::default()
    }

    async fn finish(&self) -> Result<Account, FleetError> {
        Ok(Account::default())
    }
}

async fn run(nodes: Nodes) -> (Vec<NodeRun>, Vec<Move>) {
    let fleet: Arc<dyn Fleet> = Arc::new(nodes);
    let progress = Progress::new("test", &fleet.names(), 1);
    let steered = fleet.steered().unwrap();
    release(&fleet, steered, Instant::now(), &progress).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_node_is_done_when_it_says_that_it_holds_the_image() {
    let (nodes, moves) = run(Nodes::new(3, vec![])).await;
    assert_eq!(moves, []);
    assert!(nodes.iter().all(|node| node.error.is_none()), "{nodes:?}");
    assert!(nodes.iter().all(|node| (1.0..1.1).contains(&node.seconds)), "{nodes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_have_it_from_the_registry_is_relieved_and_that_is_told() {
    let (nodes, moves) = run(Nodes::new(3, vec![0, 1])).await;
    let shown: Vec<_> = moves.iter().map(|it| (&*it.from, &*it.to, &*it.reason)).collect();
    assert_eq!(shown, [("node-1", "node-2", "refused"), ("node-2", "node-3", "refused")]);
    assert!(nodes.iter().all(|node| node.error.is_none()), "{nodes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_nobody_can_relieve_has_failed_with_its_own_words() {
    let (nodes, _) = run(Nodes::new(1, vec![0])).await;
    assert_eq!(nodes[0].error.as_deref(), Some("refused"));
    assert!(nodes[0].seconds >= TROUBLE.as_secs_f64());
}
