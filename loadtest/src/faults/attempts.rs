//! A pull that is tried again, as the kubelet does.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::{fleet::Fleet, report::seconds};

/// The kubelet's own: twice as long before each further attempt. A shorter one would meet a mirror
/// that still leaves the blob to the registry, as it does for 10 s after a stream broke.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);

/// The kubelet never gives up; by then it has waited for 70 s.
const MOST_ATTEMPTS: u32 = 4;

/// How far the fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing has happened yet.
    Calm,
    /// It strikes this node, if any.
    Struck(Option<usize>),
    /// It is over.
    Lifted,
}

/// What became of one node's pull.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pull {
    /// The node.
    pub node: String,
    /// Whether the fault struck it.
    pub hurt: bool,
    /// How long its attempts took together.
    pub seconds: f64,
    /// How long the last of them took: all that counts where the fault may cost an attempt.
    pub last_seconds: f64,
    /// How long it waited between them.
    pub waited_seconds: f64,
    /// How often it was tried.
    pub attempts: u32,
    /// Why each attempt failed that did.
    pub errors: Vec<String>,
    /// Whether the image is there in the end, byte for byte.
    pub succeeded: bool,
}

/// Pulls on `node` until that succeeds. After a failure a node that is struck waits until the fault
/// is lifted; every node waits for a backoff.
pub(super) async fn pull(
    fleet: Arc<dyn Fleet>,
    node: usize,
    mut stage: watch::Receiver<Stage>,
) -> Pull {
    let (mut pulling, mut waiting) = (Duration::ZERO, Duration::ZERO);
    let mut pull = Pull {
        node: fleet.names().swap_remove(node),
        hurt: false,
        seconds: 0.0,
        last_seconds: 0.0,
        waited_seconds: 0.0,
        attempts: 0,
        errors: Vec::new(),
        succeeded: false,
    };
    let mut backoff = FIRST_BACKOFF;
    while !pull.succeeded && pull.attempts < MOST_ATTEMPTS {
        let start = Instant::now();
        if pull.attempts > 0 {
            // The sender outlives the pulls; were it gone, the fault would be over too.
            let _ = stage.wait_for(|stage| *stage != Stage::Struck(Some(node))).await;
            sleep(backoff).await;
            backoff *= 2;
        }
        waiting += start.elapsed();
        let start = Instant::now();
        pull.attempts += 1;
        match fleet.pull(node).await {
            Ok(()) => pull.succeeded = true,
            Err(error) => pull.errors.push(error.chain()),
        }
        pull.last_seconds = seconds(start.elapsed());
        pulling += start.elapsed();
    }
    (pull.seconds, pull.waited_seconds) = (seconds(pulling), seconds(waiting));
    pull
}

// === impl Pull ===

impl Pull {
    /// Takes note of what its node lacks, if anything: such a pull has failed, whatever it said.
    pub(super) fn audit(&mut self, lacking: Option<&str>) {
        if let (true, Some(lacking)) = (self.succeeded, lacking) {
            self.succeeded = false;
            self.errors.push(format!("the pull reported success, but {lacking}"));
        }
    }

    /// The entry of a node whose pull had not ended when its time was up.
    pub(super) fn unfinished(node: String, after: Duration) -> Self {
        let error = format!("it had not ended after {} s", after.as_secs());
        Self {
            node,
            hurt: false,
            seconds: seconds(after),
            last_seconds: seconds(after),
            waited_seconds: 0.0,
            attempts: 1,
            errors: vec![error],
            succeeded: false,
        }
    }
}

impl fmt::Display for Pull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = if self.succeeded { "done in" } else { "FAILED after" };
        write!(f, "{} {outcome} {:.1} s, attempts: {}", self.node, self.seconds, self.attempts)?;
        self.errors.last().map_or(Ok(()), |error| write!(f, " (last failure: {error})"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::fleet::{Account, FleetError, Meter};

    /// A node that fails so many times.
    struct Failing(AtomicU32);

    #[async_trait]
    impl Fleet for Failing {
        fn names(&self) -> Vec<String> {
            vec!["node-1".into()]
        }

        async fn pull(&self, _: usize) -> Result<(), FleetError> {
            let left = self
                .0
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            left.map_or(Ok(()), |_| Err(FleetError::setup("pull")("it is broken")))
        }

        async fn findable(&self, _: usize) -> Result<(), FleetError> {
            Ok(())
        }

        fn meter(&self) -> Meter {
            Meter::default()
        }

        async fn finish(&self) -> Result<Account, FleetError> {
            Ok(Account::default())
        }
    }

    fn failing(times: u32) -> Arc<dyn Fleet> {
        Arc::new(Failing(AtomicU32::new(times)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_struck_node_tries_again_only_once_the_fault_is_lifted() {
        let (sender, stage) = watch::channel(Stage::Struck(Some(0)));
        let (pulled, ()) = tokio::join!(pull(failing(1), 0, stage), async {
            sleep(Duration::from_secs(30)).await;
            sender.send_replace(Stage::Lifted);
        });
        assert_eq!((pulled.attempts, pulled.waited_seconds, pulled.succeeded), (2, 40.0, true));
        assert_eq!(pulled.errors, ["cannot pull: it is broken"]);
    }

    #[tokio::test(start_paused = true)]
    async fn other_nodes_try_again_after_a_growing_backoff() {
        let (_sender, stage) = watch::channel(Stage::Struck(Some(1)));
        let pulled = pull(failing(2), 0, stage).await;
        assert_eq!((pulled.attempts, pulled.waited_seconds, pulled.succeeded), (3, 30.0, true));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_tries_for_ever() {
        let (_sender, stage) = watch::channel(Stage::Calm);
        let pulled = pull(failing(100), 0, stage).await;
        assert_eq!((pulled.attempts, pulled.succeeded), (MOST_ATTEMPTS, false));
    }
}
