//! The controller as a process: one of several that are ready, and one that acts.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use kube::Client;
use kube_lease_manager::{LeaseManagerBuilder, LeaseManagerError};
use onepull_admin::{Admin, ListenError, bind};
use onepull_resolve::{BadOptions, Options, Resolver};
use prometheus_client::registry::Registry;
use thiserror::Error;
use tokio::{
    select,
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::timeout,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tracing::info;

use crate::{
    logins::{self, Logins, LoginsError},
    metrics::{Metrics, Standing},
    resolving::Resolving,
    rollouts::{Policy, Rollouts},
    world::World,
};

/// The lease's name.
pub const LEASE: &str = "onepull-controller";

/// How long a lease holds without being renewed, and how long before its end it is renewed: a controller that dies
/// is replaced within 15 s. Pulls go on meanwhile.
const LEASE_SECONDS: u64 = 15;
const RENEWED_BEFORE: u64 = 5;

/// For tasks to end after a signal. Kubernetes kills after 30 s.
const DRAIN: Duration = Duration::from_secs(10);

/// What a controller is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the lease is.
    pub namespace: String,
    /// Who holds it: another one for each process.
    pub identity: String,
    /// How registries are asked.
    pub registries: Options,
    /// What the operator says.
    pub policy: Policy,
    /// Where seeds ask for the logins of their pulls; nowhere, for `None`.
    pub logins: Option<SocketAddr>,
    /// Where metrics are shown.
    pub admin_listen: SocketAddr,
}

/// Why a controller cannot run.
#[derive(Debug, Error)]
pub enum ServeError {
    /// There is no way to the API server.
    #[error("cannot reach the API server: run in a pod with a service account, or set KUBECONFIG")]
    Client(#[source] kube::Error),
    /// The lease cannot be used.
    #[error(
        "cannot use the lease {LEASE} in namespace {namespace}: may this account get, create and patch leases there?"
    )]
    Lease {
        /// Where it is.
        namespace: String,
        /// Why not.
        source: LeaseManagerError,
    },
    /// Logins cannot be handed out.
    #[error(transparent)]
    Logins(#[from] LoginsError),
    /// The admin listener could not be opened.
    #[error(transparent)]
    Admin(#[from] ListenError),
    /// The settings for registries make no sense.
    #[error(transparent)]
    Registries(#[from] BadOptions),
    /// Signals cannot be received.
    #[error("cannot receive signals")]
    Signals(#[source] io::Error),
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start. Later trouble with the API server is waited out.
pub async fn serve(client: Client, config: Config) -> Result<(), ServeError> {
    let resolver = Arc::new(Resolver::new(config.registries.clone())?);
    let logins = open_logins(&client, &config).await?;
    let (metrics, admin) = show(&config).await?;
    let lease = LeaseManagerBuilder::new(client.clone(), LEASE)
        .with_namespace(config.namespace.as_str())
        .with_identity(config.identity.as_str())
        .with_duration(LEASE_SECONDS)
        .with_grace(RENEWED_BEFORE)
        .build()
        .await
        .map_err(|source| ServeError::Lease { namespace: config.namespace.clone(), source })?;
    let (tasks, running) = (TaskTracker::new(), CancellationToken::new());
    let end = running.clone().drop_guard();
    if let Some(logins) = logins {
        tasks.spawn(logins.serve(running));
    }
    let (leads, renewing) = lease.watch().await;
    let ended = select! {
        () = while_leading(&client, &config, &resolver, &metrics, leads) => Ok(()),
        signal = terminated() => signal.map_err(ServeError::Signals),
    };
    drop(end);
    tasks.close();
    admin.drain().await;
    // The receiver is gone, so the lease is given back.
    let _ = timeout(DRAIN, async { tokio::join!(renewing, tasks.wait()) }).await;
    ended
}

async fn open_logins(client: &Client, config: &Config) -> Result<Option<Logins>, LoginsError> {
    let Some(listen) = config.logins else { return Ok(None) };
    let (namespace, identity) = (config.namespace.clone(), config.identity.clone());
    let config = logins::Config { listen, namespace, identity };
    Logins::open(client, &config).await.map(Some)
}

/// Looks after the rollouts whenever this controller holds the lease.
async fn while_leading(
    client: &Client,
    config: &Config,
    resolver: &Arc<Resolver>,
    metrics: &Metrics,
    mut leads: watch::Receiver<bool>,
) {
    while leads.wait_for(|leads| *leads).await.is_ok() {
        info!(identity = config.identity, "this controller leads");
        let (tasks, running) = (TaskTracker::new(), CancellationToken::new());
        let (resolver, client) = (Arc::clone(resolver), client.clone());
        let resolving = Resolving::new(client.clone(), resolver, tasks.clone(), running.clone());
        metrics.stands(Standing::Listing);
        let world = World::watch(&client, metrics, &tasks, &running);
        let rollouts = Rollouts::new(&client, world, resolving, config.policy, metrics.clone());
        let end = running.clone().drop_guard();
        select! {
            () = rollouts.run() => {}
            _ = leads.wait_for(|leads| !*leads) => info!("another controller leads"),
        }
        drop(end);
        metrics.stands(Standing::Waiting);
        tasks.close();
        let _ = timeout(DRAIN, tasks.wait()).await;
    }
}

/// The admin listener, until it is dropped.
struct Shown {
    admin: Admin,
    tasks: TaskTracker,
    running: CancellationToken,
    _end: DropGuard,
}

/// Shows what this controller counts, whether it leads or not.
async fn show(config: &Config) -> Result<(Metrics, Shown), ListenError> {
    let listener = bind(config.admin_listen, "--admin-listen").await?;
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let counted = metrics.clone();
    let admin = Admin::new(registry, move || counted.readiness());
    let (tasks, running) = (TaskTracker::new(), CancellationToken::new());
    tasks.spawn(onepull_admin::serve(listener, admin.clone(), running.clone()));
    Ok((metrics, Shown { admin, tasks, _end: running.clone().drop_guard(), running }))
}

// === impl Shown ===

impl Shown {
    async fn drain(&self) {
        self.admin.drain();
        self.running.cancel();
        self.tasks.close();
        let _ = timeout(DRAIN, self.tasks.wait()).await;
    }
}

async fn terminated() -> io::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}
