//! What the agent does, once the command line is understood and found to make sense.

use std::{net::SocketAddr, path::PathBuf};

use onepull_mirror::Deadlines;
use thiserror::Error;

use crate::{
    check::CheckConfig,
    cli::Flags,
    hosts::{HostsConfig, Registry},
    logins::{self, PluginFiles, Registries},
    node::NodeConfig,
    units::LinkRate,
};

mod addresses;

use addresses::{open_to_peers, peers_at, reachable_at};

const PEER_PORT: u16 = 29901;
const P2P_PORT: u16 = 29902;

/// A valid configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// How the node takes part.
    pub node: NodeConfig,
    /// The file of the cluster key; read when the agent starts.
    pub cluster_key_file: Option<PathBuf>,
    /// containerd's socket.
    pub containerd_socket: PathBuf,
    /// containerd's folder of registry hosts.
    pub hosts_dir: PathBuf,
    /// The registries to mirror; empty for all.
    pub registries: Vec<Registry>,
    /// Who says which images this node is to hold; nobody, for `None`.
    pub desired: Option<DesiredFrom>,
    /// The service whose EndpointSlices list the other agents.
    pub bootstrap_service: Option<String>,
    /// With which logins it pulls what it is told to.
    pub logins: logins::Config,
    /// Where metrics and probes are served.
    pub admin_listen: SocketAddr,
    /// Where identity and backups are kept.
    pub data_dir: PathBuf,
}

/// Who says which images a node is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DesiredFrom {
    /// A file.
    File(PathBuf),
    /// The NodeImageCache that has the node's name.
    Kube,
}

/// A configuration that makes no sense.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The mirror would be open to the network.
    #[error(
        "--mirror-listen {0} is no loopback address: the mirror asks nobody for a credential, so it \
         serves this node's container runtime only; use 127.0.0.1:PORT"
    )]
    MirrorNotLoopback(SocketAddr),
    /// Two would say what to hold.
    #[error(
        "--kube and --desired {} both say which images this node is to hold: leave one of them out",
        .0.display()
    )]
    TwoSayWhatToHold(PathBuf),
    /// Peers would be authenticated, and would not.
    #[error(
        "--cluster-key-file {} and --insecure-peers contradict each other: with the key this node \
         speaks to no peer that lacks it; leave --insecure-peers out",
        .0.display()
    )]
    InsecureWithKey(PathBuf),
    /// Nobody is to be asked for them.
    #[error(
        "--bootstrap-service {0} is a service of the cluster, which is asked with --kube only: add \
         --kube, or name peers with --bootstrap"
    )]
    ServiceWithoutKube(String),
    /// Peers would be served beyond this host without authentication.
    #[error(
        "{flag} {address} is no loopback address, and nothing authenticates peers: give all nodes \
         one key (--cluster-key-file), or say --insecure-peers if every image on this node may be \
         read by everybody who reaches it"
    )]
    PeersNotAuthenticated {
        /// The flag that says so.
        flag: &'static str,
        /// Its value.
        address: SocketAddr,
    },
}

// === impl Config ===

impl Config {
    /// Fills in defaults and checks what the flags mean together.
    ///
    /// # Errors
    /// When they do not go together.
    pub(crate) fn build(flags: Flags) -> Result<Self, ConfigError> {
        if !flags.mirror_listen.ip().is_loopback() {
            return Err(ConfigError::MirrorNotLoopback(flags.mirror_listen));
        }
        let desired = desired_from(flags.kube, flags.desired)?;
        if let (Some(service), false) = (&flags.bootstrap_service, flags.kube) {
            return Err(ConfigError::ServiceWithoutKube(service.clone()));
        }
        let open = open_to_peers(flags.cluster_key_file.as_ref(), flags.insecure_peers)?;
        let peer_listen = peers_at("--peer-listen", flags.peer_listen, PEER_PORT, open)?;
        let p2p_listen = peers_at("--p2p-listen", flags.p2p_listen, P2P_PORT, open)?;
        let node = NodeConfig {
            name: flags.node_name.unwrap_or_else(host_name),
            mirror_listen: flags.mirror_listen,
            peer_listen,
            p2p_listen,
            advertise_ip: flags.advertise_ip.unwrap_or_else(|| reachable_at(peer_listen.ip())),
            bootstrap: flags.bootstrap,
            rendezvous: None,
            zone: flags.zone,
            cluster_key: None,
            identity: Some(flags.data_dir.join("identity")),
            upload: flags.upload_rate.map(LinkRate::bytes_per_second),
            deadlines: Deadlines::default(),
        };
        Ok(Self {
            node,
            cluster_key_file: flags.cluster_key_file,
            containerd_socket: flags.containerd_socket,
            hosts_dir: flags.hosts_dir,
            registries: flags.registry,
            desired,
            bootstrap_service: flags.bootstrap_service,
            logins: logins::Config {
                namespace: flags.namespace,
                controller_token: flags.controller_token,
                plugins: plugins(flags.plugin_config, flags.plugin_programs),
                registries: Registries { plain_http: flags.plain_http, ca: flags.registry_ca },
            },
            admin_listen: flags.admin_listen,
            data_dir: flags.data_dir,
        })
    }

    /// How containerd is pointed at the mirror.
    pub fn hosts(&self) -> HostsConfig {
        HostsConfig {
            hosts_dir: self.hosts_dir.clone(),
            data_dir: self.data_dir.clone(),
            mirror: self.node.mirror_listen,
            registries: self.registries.clone(),
        }
    }

    /// What the preflight looks at.
    pub fn check(&self) -> CheckConfig {
        CheckConfig {
            node_name: self.node.name.clone(),
            hosts: self.hosts(),
            containerd_socket: self.containerd_socket.clone(),
            cluster_key_file: self.cluster_key_file.clone(),
            peer_listen: self.node.peer_listen,
            p2p_listen: self.node.p2p_listen,
            admin_listen: self.admin_listen,
            bootstrap: self.node.bootstrap.clone(),
            bootstrap_service: self.bootstrap_service.clone(),
        }
    }
}

fn desired_from(kube: bool, file: Option<PathBuf>) -> Result<Option<DesiredFrom>, ConfigError> {
    match (kube, file) {
        (true, Some(file)) => Err(ConfigError::TwoSayWhatToHold(file)),
        (true, None) => Ok(Some(DesiredFrom::Kube)),
        (false, file) => Ok(file.map(DesiredFrom::File)),
    }
}

/// clap lets nobody give one without the other.
fn plugins(config: Option<PathBuf>, programs: Option<PathBuf>) -> Option<PluginFiles> {
    Some(PluginFiles { config: config?, programs: programs? })
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
