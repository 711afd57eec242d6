//! A node as a process of its own, over a folder.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use onepull_agent::{
    cluster_key::ClusterKey,
    node::{Node, NodeConfig},
    threads,
};
use onepull_mirror::{Deadlines, store::FolderStore};
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

/// Where a node listens, printed as one line of JSON once it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// Its mirror.
    pub mirror: SocketAddr,
    /// Its part of the DHT.
    pub p2p: SocketAddr,
}

/// Serves `store` on free ports of `ip` until standard input ends, to peers with the cluster key that
/// is in the file `key`. Does so with the threads of an agent, not with those of a load test.
///
/// # Errors
/// When the folder, the key or a port is not to be had.
pub async fn serve(
    ip: IpAddr,
    store: PathBuf,
    bootstrap: Option<SocketAddr>,
    key: Option<PathBuf>,
) -> anyhow::Result<()> {
    let run = move || threads::start()?.block_on(run(ip, &store, bootstrap, key.as_deref()));
    spawn_blocking(run).await?
}

async fn run(
    ip: IpAddr,
    store: &Path,
    bootstrap: Option<SocketAddr>,
    key: Option<&Path>,
) -> anyhow::Result<()> {
    let anywhere = SocketAddr::new(ip, 0);
    let config = NodeConfig {
        name: ip.to_string(),
        mirror_listen: anywhere,
        peer_listen: anywhere,
        p2p_listen: anywhere,
        advertise_ip: ip,
        bootstrap: bootstrap.map(Into::into).into_iter().collect(),
        rendezvous: None,
        zone: None,
        cluster_key: key.map(ClusterKey::read).transpose()?,
        identity: None,
        upload: None,
        deadlines: Deadlines::default(),
    };
    let store = FolderStore::open_or_create(store).context("cannot use the store's folder")?;
    let mut registry = Registry::default();
    let (node, _deliveries) = Node::start(config, Arc::new(store), &mut registry).await?;
    let addresses = Addresses { mirror: node.mirror_addr(), p2p: node.router().local_addr() };
    println!("{}", serde_json::to_string(&addresses)?);
    spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    node.stop().await;
    Ok(())
}
