//! Runs the agent: puts its parts together, and takes them apart in order.

use std::{path::PathBuf, sync::Arc};

use onepull_admin::{Admin, ListenError, bind};
use onepull_mirror::{Metrics, Router, mirror::Delivery};
use prometheus_client::registry::Registry;
use serde_json::to_string_pretty;
use thiserror::Error;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::{Duration, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    account::account,
    cluster_key::{ClusterKey, ClusterKeyError},
    config::Config,
    containerd::{ContainerdError, ContainerdStore, Pace},
    hosts::HostsConfig,
    node::{Node, NodeConfig, StartError},
    origins::Origins,
};

mod open_files;
mod pointing;
mod warming;

use pointing::{Pointed, Pointing};
use warming::{Declared, Place, Warming, rendezvous, zone};

/// How long the agent's own tasks may go on at the end. All waits together stay below the 30 s after
/// which Kubernetes kills.
const STOP: Duration = Duration::from_secs(2);

/// Why the agent cannot run.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The folder for identity and backups cannot be made.
    #[error("cannot use the data folder {path}: {source}; choose another with --data-dir")]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// containerd's socket is none, or not for us.
    #[error(transparent)]
    Containerd(#[from] ContainerdError),
    /// There is no cluster key where one should be.
    #[error(transparent)]
    ClusterKey(#[from] ClusterKeyError),
    /// The node did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The admin listener could not be opened.
    #[error(transparent)]
    Admin(#[from] ListenError),
    /// The process cannot be told to stop.
    #[error("cannot listen for signals: {0}")]
    Signals(#[from] std::io::Error),
}

/// Serves until SIGTERM or Ctrl-C, then drains.
///
/// # Errors
/// When a part cannot start. Once it runs, what fails is logged and tried again.
pub async fn run(config: Config) -> Result<(), ServeError> {
    let mut signals = Signals::listen()?;
    open_files::raise_limit();
    std::fs::create_dir_all(&config.data_dir)
        .map_err(|source| ServeError::DataDir { path: config.data_dir.clone(), source })?;
    let cluster_key = config.cluster_key_file.as_deref().map(ClusterKey::read).transpose()?;
    let (tasks, running) = (TaskTracker::new(), CancellationToken::new());
    let mut registry = Registry::default();

    let admin_listener = bind(config.admin_listen, "--admin-listen").await?;
    let socket = &config.containerd_socket;
    let store = ContainerdStore::connect(socket, Pace::default(), &tasks, running.clone()).await?;
    let declared = Declared::follow(&config, &tasks, running.clone(), &mut registry).await;
    let zone = zone(&config, declared.as_ref()).await;
    let rendezvous = rendezvous(&config, declared.as_ref());
    let joins = NodeConfig { zone, cluster_key, rendezvous, ..config.node.clone() };
    let (node, deliveries) = Node::start(joins, store.clone(), &mut registry).await?;
    let metrics = node.metrics().clone();
    let origins = Origins::default();
    let keep_account = keep_account(store.clone(), deliveries, metrics, origins.clone());
    tasks.spawn(running.clone().run_until_cancelled_owned(keep_account));

    let router = node.router().clone();
    let address = config.admin_listen;
    // Ready means that containerd is pointed here, so that comes first.
    let hosts = HostsConfig { mirror: node.mirror_addr(), ..config.hosts() };
    let pointing = Pointing::begin(hosts).await;
    let pointed = pointing.pointed();
    tasks.spawn(pointing.keep(running.clone()));
    let place = Place {
        node: &node,
        logins: &config.logins,
        socket,
        store: store.clone(),
        origins,
        pointed: pointed.clone(),
        check: config.check(),
        tasks: &tasks,
        running: running.clone(),
    };
    let warming = declared.map(|declared| declared.warm(place, &mut registry));
    let admin = Admin::new(registry, move || readiness(&pointed.borrow(), &store, &router));
    let status = move || warming.as_ref().map(Warming::status).unwrap_or_default();
    let status = move || to_string_pretty(&status()).map_err(|error| error.to_string());
    let admin = admin.with_json("/status", status);
    tasks.spawn(onepull_admin::serve(admin_listener, admin.clone(), running.clone()));
    info!(node = config.node.name, mirror = %node.mirror_addr(), admin = %address, "serving");

    signals.next().await;
    info!("draining");
    admin.drain();
    let drained = async {
        node.stop().await;
        running.cancel();
        tasks.close();
        if timeout(STOP, tasks.wait()).await.is_err() {
            warn!("some tasks did not end in time");
        }
    };
    unless_told_again(drained, &mut signals).await;
    Ok(())
}

/// Stops in order, or at once when told a second time.
async fn unless_told_again(drained: impl Future<Output = ()>, signals: &mut Signals) {
    tokio::select! {
        () = drained => {}
        () = signals.next() => warn!("told again; running answers are cut off"),
    }
}

/// What containerd held before is nobody's delivery.
async fn keep_account(
    store: Arc<ContainerdStore>,
    deliveries: mpsc::Receiver<Delivery>,
    metrics: Metrics,
    origins: Origins,
) {
    store.listed().await;
    account(store, deliveries, metrics, origins).await;
}

fn readiness(
    pointed: &Pointed,
    store: &ContainerdStore,
    router: &impl Router,
) -> Result<(), String> {
    pointed.clone()?;
    if !store.is_connected() {
        return Err("containerd does not answer; its socket is set by --containerd-socket".into());
    }
    if !router.ready() {
        return Err(
            "no peer answers yet; peers are set by --bootstrap and --bootstrap-service, and have to \
             have the same cluster key, or none like this node"
                .into(),
        );
    }
    Ok(())
}

/// What tells the process to stop: SIGTERM and Ctrl-C.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

// === impl Signals ===

impl Signals {
    /// From now on they no longer end the process by themselves.
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Resolves at the next one.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        warn!("told to stop");
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use rustix::process::{self, getpid, kill_process};

    use super::*;
    #[tokio::test]
    async fn a_second_signal_ends_the_drain() {
        let mut signals = Signals::listen().unwrap();
        kill_process(getpid(), process::Signal::TERM).unwrap();
        signals.next().await;
        let again = async {
            kill_process(getpid(), process::Signal::INT).unwrap();
            pending().await
        };
        timeout(Duration::from_secs(10), unless_told_again(again, &mut signals)).await.unwrap();
    }
}
