//! Runs the agent: puts its parts together, and takes them apart in order.

use std::{future::ready, net::SocketAddr, path::PathBuf, sync::Arc};

use hyper::Request;
use onepull_mirror::{
    Metrics, Router,
    mirror::Delivery,
    server::{self, Serving},
};
use prometheus_client::registry::Registry;
use thiserror::Error;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::spawn_blocking,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use crate::{
    account::account,
    admin::Admin,
    config::Config,
    containerd::{ContainerdError, ContainerdStore, Pace},
    hosts::{self, HostsConfig, Outcome},
    listen::{ListenError, bind},
    node::{Node, StartError},
};

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
    let stop = stop_signal()?;
    std::fs::create_dir_all(&config.data_dir)
        .map_err(|source| ServeError::DataDir { path: config.data_dir.clone(), source })?;
    let (tasks, running) = (TaskTracker::new(), CancellationToken::new());
    let mut registry = Registry::default();

    let admin_listener = bind(config.admin_listen, "--admin-listen").await?;
    let socket = &config.containerd_socket;
    let store = ContainerdStore::connect(socket, Pace::default(), &tasks, running.clone()).await?;
    let (node, deliveries) = Node::start(config.node.clone(), store.clone(), &mut registry).await?;
    let metrics = node.metrics().clone();
    let keep_account = keep_account(store.clone(), deliveries, metrics.clone());
    tasks.spawn(running.clone().run_until_cancelled_owned(keep_account));

    let router = node.router().clone();
    let admin = Admin::new(registry, move || readiness(&store, &router));
    let address = config.admin_listen;
    // Ready means that containerd is pointed here, so that comes first.
    point_containerd_here(&config, node.mirror_addr()).await;
    tasks.spawn(serve_admin(admin_listener, admin.clone(), metrics, running.clone()));
    info!(node = config.node.name, mirror = %node.mirror_addr(), admin = %address, "serving");

    stop.await;
    info!("draining");
    admin.drain();
    node.stop().await;
    running.cancel();
    tasks.close();
    tasks.wait().await;
    Ok(())
}

/// What containerd held before is nobody's delivery.
async fn keep_account(
    store: Arc<ContainerdStore>,
    deliveries: mpsc::Receiver<Delivery>,
    metrics: Metrics,
) {
    store.listed().await;
    account(store, deliveries, metrics).await;
}

fn readiness(store: &ContainerdStore, router: &impl Router) -> Result<(), String> {
    if !store.is_connected() {
        return Err("containerd does not answer; its socket is set by --containerd-socket".into());
    }
    if !router.ready() {
        return Err("no peer answers yet; peers are set by --bootstrap".into());
    }
    Ok(())
}

/// Puts the mirror into hosts.toml. When that fails the agent still serves its peers.
async fn point_containerd_here(config: &Config, mirror: SocketAddr) {
    let hosts = HostsConfig { mirror, ..config.hosts() };
    match spawn_blocking(move || hosts::install(&hosts)).await {
        Ok(Ok(report)) => {
            for file in &report.files {
                match file.outcome {
                    Outcome::Refused(_) => warn!("{file}"),
                    _ => info!("{file}"),
                }
            }
        }
        Ok(Err(error)) => error!("containerd was not pointed at this mirror: {error}"),
        Err(error) => error!("containerd was not pointed at this mirror: {error}"),
    }
}

async fn serve_admin(
    listener: tokio::net::TcpListener,
    admin: Admin,
    metrics: Metrics,
    running: CancellationToken,
) {
    let serving = Serving { traffic_class: None, ..Serving::peers(metrics) };
    let answer = move |request: Request<_>| ready(admin.answer(&request));
    server::serve(listener, serving, answer, running).await;
}

/// Resolves at the first SIGTERM or Ctrl-C.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        warn!("told to stop");
    })
}
