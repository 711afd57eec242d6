//! A planned run: all nodes are told at once what to hold, and the load test does what a controller
//! would until each of them holds it.

use std::sync::Arc;

use onepull_agent::status::{ImageStatus, Phase};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Duration, Instant, sleep, timeout},
};

use super::controller::{Controller, Order};
use crate::{
    fleet::{Fleet, FleetError, Steered},
    progress::Progress,
    report::{Move, NodeRun, seconds},
};

/// Between two questions to a node: short beside a pull of seconds, and so long that asking sixteen nodes costs a
/// machine of two cores nothing that shows. Every 50 ms it took a tenth of it.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// How long a node may be in trouble and get no further until it has failed. It waits 30 s for a
/// source, tries again after at most 60 s, and another node may have to begin meanwhile.
const TROUBLE: Duration = Duration::from_secs(150);
/// A run that takes longer has hung, as a pull has.
const DEADLINE: Duration = Duration::from_secs(60 * 60);
/// Answers that wait for the controller; one a node is the rule.
const ANSWERS: usize = 256;

/// What a node said when it was asked.
struct Answer {
    node: usize,
    at: Instant,
    said: Result<Option<ImageStatus>, FleetError>,
}

/// A run under way.
struct Release<'a> {
    steered: &'a dyn Steered,
    names: Vec<String>,
    start: Instant,
    progress: &'a Progress,
    controller: Controller,
    nodes: Vec<Follower>,
    moves: Vec<Move>,
}

/// What is known of a node.
#[derive(Default)]
struct Follower {
    bytes: u64,
    /// Since when it gets no further, and why.
    trouble: Option<(Instant, String)>,
    done: Option<NodeRun>,
}

/// Tells all nodes at once, and follows them until each holds the image or has failed.
///
/// # Errors
/// When a node cannot be told.
pub(super) async fn release(
    fleet: &Arc<dyn Fleet>,
    steered: &dyn Steered,
    start: Instant,
    progress: &Progress,
) -> Result<(Vec<NodeRun>, Vec<Move>), FleetError> {
    let names = fleet.names();
    let (controller, count) = (Controller::new(names.len()), names.len());
    let nodes = names.iter().map(|_| Follower::default()).collect();
    let mut release =
        Release { steered, names, start, progress, controller, nodes, moves: Vec::new() };
    for node in 0..count {
        steered.tell(node, release.controller.source(node)).await?;
    }
    let (tell, mut answers) = mpsc::channel(ANSWERS);
    let mut askers = JoinSet::new();
    for node in 0..count {
        askers.spawn(ask(Arc::clone(fleet), node, tell.clone()));
    }
    drop(tell);
    let followed = async {
        while release.runs()
            && let Some(answer) = answers.recv().await
        {
            release.take(answer).await?;
        }
        Ok::<_, FleetError>(())
    };
    if let Ok(followed) = timeout(DEADLINE, followed).await {
        followed?;
    }
    Ok(release.end())
}

/// Asks a node until it holds the image or nobody listens.
async fn ask(fleet: Arc<dyn Fleet>, node: usize, tell: mpsc::Sender<Answer>) {
    let Some(steered) = fleet.steered() else { return };
    loop {
        let said = steered.hear(node).await;
        let holds = matches!(&said, Ok(Some(status)) if status.state == Phase::Held);
        let answer = Answer { node, at: Instant::now(), said };
        if tell.send(answer).await.is_err() || holds {
            return;
        }
        sleep(ASK_AGAIN).await;
    }
}

// === impl Release ===

impl Release<'_> {
    fn runs(&self) -> bool {
        self.nodes.iter().any(|node| node.done.is_none())
    }

    async fn take(&mut self, Answer { node, at, said }: Answer) -> Result<(), FleetError> {
        let order = match &said {
            Ok(Some(status)) => self.controller.hears(node, status, at),
            Ok(None) | Err(_) => None,
        };
        if let Some(order) = order {
            self.carry_out(order, at).await?;
        }
        if let Some(outcome) = self.nodes[node].sees(said, at) {
            self.finish(node, at, outcome.err());
        }
        Ok(())
    }

    async fn carry_out(&mut self, order: Order, at: Instant) -> Result<(), FleetError> {
        let Order { from, to, reason } = order;
        let moved = Move {
            seconds: seconds(at - self.start),
            from: self.names[from].clone(),
            to: self.names[to].clone(),
            reason,
        };
        tracing::warn!("{moved}");
        self.moves.push(moved);
        for node in [from, to] {
            self.steered.tell(node, self.controller.source(node)).await?;
        }
        Ok(())
    }

    fn finish(&mut self, node: usize, at: Instant, error: Option<String>) {
        if self.nodes[node].done.is_some() {
            return;
        }
        let name = self.names[node].clone();
        let run = NodeRun { name, started_seconds: 0.0, seconds: seconds(at - self.start), error };
        self.progress.node_done(node, &run);
        self.nodes[node].done = Some(run);
    }

    fn end(mut self) -> (Vec<NodeRun>, Vec<Move>) {
        let now = Instant::now();
        for node in 0..self.nodes.len() {
            let late = format!("it did not hold the image within {} s", DEADLINE.as_secs());
            self.finish(node, now, Some(late));
        }
        (self.nodes.into_iter().filter_map(|node| node.done).collect(), self.moves)
    }
}

// === impl Follower ===

impl Follower {
    /// Whether it holds the image, or has been in trouble for too long.
    fn sees(
        &mut self,
        said: Result<Option<ImageStatus>, FleetError>,
        at: Instant,
    ) -> Option<Result<(), String>> {
        let why = match said {
            Err(error) => error.chain(),
            Ok(None) => return None,
            Ok(Some(status)) => {
                let bytes = status.bytes_done.unwrap_or_default();
                if bytes > self.bytes {
                    (self.bytes, self.trouble) = (bytes, None);
                }
                match (status.state, status.error) {
                    (Phase::Held, _) => return Some(Ok(())),
                    (_, Some(error)) => error,
                    (_, None) => return None,
                }
            }
        };
        let since = self.trouble.take().map_or(at, |(since, _)| since);
        self.trouble = Some((since, why.clone()));
        (at >= since + TROUBLE).then_some(Err(why))
    }
}

#[cfg(test)]
mod tests;
