//! Has the agents take onepull off every node before its objects are deleted: the hook of `helm uninstall`.
//!
//! The agents' DaemonSet is told to run `onepull-agent uninstall --stay` in place of `serve`, on all nodes at once. So a
//! node's own kubelet brings it about, also where the agent was broken, and no agent is left that would undo it. A
//! node that is not there is not waited for: its pulls go past a mirror that does not answer, to the registry
//! ([ADR 23](../../docs/adr/0023-one-chart-and-agents-that-clean-up.md)). Then the controllers end, and the ImageCaches, which
//! stay, can be deleted without them.

use std::{fmt, time::Duration};

use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{Node, Pod},
};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
};
use thiserror::Error;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

mod caches;
mod change;
mod progress;

pub use caches::DEPLOYMENT;
use progress::{Progress, is_away, unfinished};

/// The agents' DaemonSet.
pub const DAEMON_SET: &str = "onepull-agent";

/// Its container.
pub const CONTAINER: &str = "agent";

/// What agents run in the end: they stay, and are ready once nothing is left on their node.
pub const ARGUMENTS: [&str; 2] = ["uninstall", "--stay"];

/// Whether a container with these arguments does that.
pub(crate) fn is_told(arguments: &[String]) -> bool {
    arguments.get(..ARGUMENTS.len()).is_some_and(|it| it == ARGUMENTS)
}

/// By what the agents' pods are found.
pub const PODS: &str = "app.kubernetes.io/name=onepull,app.kubernetes.io/component=agent";

/// Between two looks at the DaemonSet.
const LOOK: Duration = Duration::from_secs(1);

/// When no further node was done for so long, it is looked whether the others are there: a pod takes up to half a
/// minute to end, and some seconds to start.
pub const STALLED: Duration = Duration::from_secs(20);

/// More nodes than this are not looked at one by one.
const MOST_NODES: usize = 64;

/// Where, and for how long.
#[derive(Clone, Debug)]
pub struct Config {
    /// The namespace that onepull is installed in.
    pub namespace: String,
    /// For all nodes that are there.
    pub limit: Duration,
    /// How long no further node has to be done before the others are looked at; [`STALLED`].
    pub stalled: Duration,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Nodes that are done.
    pub done: usize,
    /// Nodes that are not there.
    pub away: Vec<String>,
}

/// Why onepull is still on some nodes.
#[derive(Debug, Error)]
pub enum UninstallError {
    /// The agents were not told.
    #[error("cannot tell the agents to uninstall: {0}")]
    Tell(#[source] kube::Error),
    /// Nodes that are there did not do it.
    #[error(
        "{0} not done in time; see `kubectl --namespace {1} get pods -l {PODS} -o wide`, and uninstall \
         again, or leave these nodes as they are: helm uninstall --no-hooks. They pull from their \
         registries either way"
    )]
    NotDone(Names, String),
    /// The API server does not say how far it is.
    #[error("cannot see how far the agents are: {0}")]
    Look(#[source] kube::Error),
    /// The controllers were not told to end.
    #[error("cannot end the controllers: {0}; uninstall again")]
    Controllers(#[source] kube::Error),
    /// The caches are held as before.
    #[error(
        "cannot let go of the ImageCaches: {0}; uninstall again, or helm uninstall --no-hooks and, for each \
         that is to be deleted, kubectl patch imagecache NAME --type=merge -p '{{\"metadata\":{{\"finalizers\":null}}}}'"
    )]
    Caches(#[source] kube::Error),
}

/// Names of nodes in a sentence: the first few.
#[derive(Debug)]
pub struct Names(Vec<String>);

/// Tells the agents, waits until all nodes that are there are done, and lets go of the ImageCaches.
///
/// # Errors
/// When some are not, or the API server does not answer.
pub async fn uninstall(client: Client, config: &Config) -> Result<Outcome, UninstallError> {
    let outcome = clear_nodes(&client, config).await?;
    caches::let_go(&client, &config.namespace).await?;
    Ok(outcome)
}

async fn clear_nodes(client: &Client, config: &Config) -> Result<Outcome, UninstallError> {
    let daemon_sets: Api<DaemonSet> = Api::namespaced(client.clone(), &config.namespace);
    if !tell(&daemon_sets).await.map_err(UninstallError::Tell)? {
        info!("there is no DaemonSet {DAEMON_SET}: nothing to do");
        return Ok(Outcome { done: 0, away: Vec::new() });
    }
    let (end, mut before, mut moved) = (Instant::now() + config.limit, None, Instant::now());
    loop {
        let daemon_set = daemon_sets.get(DAEMON_SET).await.map_err(UninstallError::Look)?;
        let progress = Progress::of(&daemon_set);
        if let Some(done) = progress.as_ref().and_then(Progress::all_done) {
            return Ok(Outcome { done, away: Vec::new() });
        }
        let now = Instant::now();
        if progress != before {
            info!("{}", progress.map_or_else(|| "agents are told".to_owned(), |it| it.to_string()));
            (before, moved) = (progress, now);
        }
        if now >= moved + config.stalled || now >= end {
            let rest = Rest::look(client, &config.namespace, progress).await;
            let rest = rest.map_err(UninstallError::Look)?;
            if let Some(outcome) = rest.outcome() {
                warn!("not there, and left as they are: {}", Names(outcome.away.clone()));
                return Ok(outcome);
            }
            if now >= end {
                return Err(UninstallError::NotDone(rest.names(), config.namespace.clone()));
            }
            moved = now;
        }
        sleep(LOOK).await;
    }
}

/// Whether there is a DaemonSet, which then runs something else.
async fn tell(daemon_sets: &Api<DaemonSet>) -> kube::Result<bool> {
    let Some(daemon_set) = daemon_sets.get_opt(DAEMON_SET).await? else { return Ok(false) };
    let change = Patch::Strategic(change::of(&daemon_set));
    match daemon_sets.patch(DAEMON_SET, &PatchParams::default(), &change).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        told => told.map(|_| true),
    }
}

/// The nodes that are not done.
struct Rest {
    progress: Option<Progress>,
    /// Those that are there, or were not looked at.
    there: Vec<String>,
    /// Those that are away.
    away: Vec<String>,
}

// === impl Rest ===

impl Rest {
    async fn look(
        client: &Client,
        namespace: &str,
        progress: Option<Progress>,
    ) -> kube::Result<Self> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let nodes: Api<Node> = Api::all(client.clone());
        let listed = pods.list(&ListParams::default().labels(PODS)).await?;
        let mut rest = Self { progress, there: Vec::new(), away: Vec::new() };
        for (index, name) in unfinished(&listed.items).into_iter().enumerate() {
            let look = index < MOST_NODES;
            let away = look && is_away(nodes.get_opt(&name).await?.as_ref());
            if away { rest.away.push(name) } else { rest.there.push(name) }
        }
        Ok(rest)
    }

    /// The end, when only nodes are left that are away.
    fn outcome(&self) -> Option<Outcome> {
        let progress = self.progress.filter(|_| self.there.is_empty() && !self.away.is_empty())?;
        let left = progress.wanted.checked_sub(progress.done)?;
        (left <= self.away.len()).then(|| Outcome { done: progress.done, away: self.away.clone() })
    }

    fn names(self) -> Names {
        Names(self.there)
    }
}

// === impl Names ===

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// A line of a log.
        const MOST: usize = 20;
        let (first, more) = self.0.split_at(self.0.len().min(MOST));
        match (first, more.len()) {
            ([], _) => f.write_str("agents without a pod"),
            (first, 0) => f.write_str(&first.join(", ")),
            (first, more) => write!(f, "{} and {more} more", first.join(", ")),
        }
    }
}
