//! Starts what brings declared images to this node, where any are declared.

use std::{path::Path, sync::Arc};

use futures::FutureExt;
use onepull_mirror::Router;
use prometheus_client::registry::Registry;
use tokio::{
    sync::watch,
    time::{Duration, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use super::pointing::Pointed;
use crate::{
    check::CheckConfig,
    config::{Config, DesiredFrom},
    containerd::{ContainerdRuntime, ContainerdSink, ContainerdStore},
    desired::{Desired, DesiredFile},
    kube::{Kube, PeerService, Surroundings},
    logins::{self, Lookup, NodeLogins},
    node::Node,
    origins::Origins,
    p2p::{Libp2pRouter, Rendezvous},
    status::NodeStatus,
    warm::{Parts, Warmer},
};

/// How long the first image waits for the first peer. Who begins without peers takes from the
/// registry what they have; the only node of a cluster waits for nobody longer than this.
const FIRST_PEER: Duration = Duration::from_secs(15);

/// Between two looks for it.
const LOOK: Duration = Duration::from_millis(200);

/// Who says what this node is to hold.
pub(super) enum Declared {
    File(Arc<DesiredFile>),
    Kube(Arc<Kube>),
}

/// Where images are brought to.
pub(super) struct Place<'a> {
    pub(super) node: &'a Node,
    pub(super) logins: &'a logins::Config,
    pub(super) socket: &'a Path,
    pub(super) store: Arc<ContainerdStore>,
    pub(super) origins: Origins,
    /// What may be wrong with the node as a whole.
    pub(super) pointed: watch::Receiver<Pointed>,
    /// What its preflight looks at.
    pub(super) check: CheckConfig,
    pub(super) tasks: &'a TaskTracker,
    pub(super) running: CancellationToken,
}

/// A node that brings images.
pub(super) struct Warming {
    warmer: Warmer,
    kube: Option<Arc<Kube>>,
}

/// The failure domain that the flags name, else the cluster.
pub(super) async fn zone(config: &Config, declared: Option<&Declared>) -> Option<String> {
    match (&config.node.zone, declared) {
        (None, Some(Declared::Kube(kube))) => {
            let zone = kube.zone().await;
            info!(zone, "the zone that the node's NodeImageCache says");
            zone
        }
        (zone, _) => zone.clone(),
    }
}

/// The service that lists the other agents, where one is named.
pub(super) fn rendezvous(
    config: &Config,
    declared: Option<&Declared>,
) -> Option<Arc<dyn Rendezvous>> {
    let (Some(service), Some(Declared::Kube(kube))) = (&config.bootstrap_service, declared) else {
        return None;
    };
    Some(Arc::new(PeerService::new(kube.link(), &config.logins.namespace, service)))
}

// === impl Declared ===

impl Declared {
    /// Begins to hear what is declared, where anybody declares.
    pub(super) async fn follow(
        config: &Config,
        tasks: &TaskTracker,
        running: CancellationToken,
        registry: &mut Registry,
    ) -> Option<Self> {
        Some(match config.desired.clone()? {
            DesiredFrom::File(file) => {
                Self::File(Arc::new(DesiredFile::follow(file, tasks, running).await))
            }
            DesiredFrom::Kube => {
                let (name, folder) = (&config.node.name, &config.data_dir);
                Self::Kube(Arc::new(Kube::follow(name, folder, tasks, running, registry).await))
            }
        })
    }

    /// Brings it. To be called when the runtime asks the mirror already.
    pub(super) fn warm(self, place: Place<'_>, registry: &mut Registry) -> Warming {
        let (desired, kube): (Arc<dyn Desired>, _) = match self {
            Self::File(file) => (file, None),
            Self::Kube(kube) => (Arc::clone(&kube) as _, Some(kube)),
        };
        let Place { node, logins, socket, store, origins, pointed, check, tasks, running } = place;
        let lookup = lookup(logins);
        let logins = NodeLogins::new(logins, kube.as_ref().map(|kube| kube.link()));
        let begins = may_begin(Arc::clone(&store), node.router().clone());
        let parts = Parts {
            desired,
            runtime: Arc::new(ContainerdRuntime::new(socket)),
            logins: Arc::new(logins),
            sink: Arc::new(ContainerdSink::new(socket, node.deliveries())),
            store: Arc::clone(&store) as _,
            warm: node.warm().clone(),
            origins,
            begins: begins.boxed(),
            tasks: tasks.clone(),
            running: running.clone(),
        };
        let warmer = Warmer::start(parts, registry);
        if let Some(kube) = &kube {
            let surroundings = Surroundings {
                images: Box::new(move || store.content_root()),
                problem: Box::new(move || pointed.borrow().clone().err()),
                check,
            };
            kube.report(warmer.clone(), lookup, surroundings, tasks, running);
        }
        Warming { warmer, kube }
    }
}

// === impl Warming ===

impl Warming {
    /// How far the images are, and what is wrong.
    pub(super) fn status(&self) -> NodeStatus {
        let status = self.warmer.status();
        let unreported = self.kube.as_ref().and_then(|kube| kube.unreported());
        NodeStatus { problem: status.problem.clone().or(unreported), ..status }
    }
}

/// Asks registries for the controller, where this node has logins of its own.
fn lookup(logins: &logins::Config) -> Option<Lookup> {
    let lookup = Lookup::new(logins.plugins.clone()?, logins.registries.clone());
    lookup.inspect_err(|error| warn!(%error, "no registry is asked for the controller")).ok()
}

/// Resolves when it is known what is here, and peers can be asked.
async fn may_begin(store: Arc<ContainerdStore>, router: Libp2pRouter) {
    store.listed().await;
    let joined = async {
        while !router.ready() {
            sleep(LOOK).await;
        }
    };
    let _ = timeout(FIRST_PEER, joined).await;
}
