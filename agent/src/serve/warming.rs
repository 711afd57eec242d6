//! Starts what brings declared images to this node, where any are declared.

use std::sync::Arc;

use futures::FutureExt;
use onepull_mirror::Router;
use prometheus_client::registry::Registry;
use tokio::time::{Duration, sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Config,
    containerd::{ContainerdRuntime, ContainerdSink, ContainerdStore},
    desired::DesiredFile,
    node::Node,
    origins::Origins,
    p2p::Libp2pRouter,
    warm::{Parts, Warmer},
};

/// How long the first image waits for the first peer. Who begins without peers takes from the
/// registry what they have; the only node of a cluster waits for nobody longer than this.
const FIRST_PEER: Duration = Duration::from_secs(15);

/// Between two looks for it.
const LOOK: Duration = Duration::from_millis(200);

/// Warms what `--desired` says. To be called when the runtime asks the mirror already.
pub(super) async fn start_warming(
    config: &Config,
    node: &Node,
    store: Arc<ContainerdStore>,
    tasks: &TaskTracker,
    running: CancellationToken,
    registry: &mut Registry,
    origins: Origins,
) -> Option<Warmer> {
    let file = DesiredFile::follow(config.desired.clone()?, tasks, running.clone()).await;
    let socket = &config.containerd_socket;
    let begins = may_begin(Arc::clone(&store), node.router().clone());
    let parts = Parts {
        desired: Arc::new(file),
        runtime: Arc::new(ContainerdRuntime::new(socket)),
        sink: Arc::new(ContainerdSink::new(socket, node.deliveries())),
        store,
        warm: node.warm().clone(),
        origins,
        begins: begins.boxed(),
        tasks: tasks.clone(),
        running,
    };
    Some(Warmer::start(parts, registry))
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
