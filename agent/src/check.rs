//! The preflight that a person runs on a node: is all set so that pulls come to the mirror?
//!
//! Each check is one small function that looks at one thing and says what it saw and what to do
//! about it. Nothing is changed, apart from one pull of an image that does not exist. Every wait
//! has a deadline, so the answer comes within a minute however sick the node is.

use std::{net::SocketAddr, path::PathBuf};

use containerd_client::tonic::transport::Channel;

use crate::{containerd, hosts::HostsConfig, p2p::HostPort};

pub(crate) mod admin;
mod cluster_key;
mod config_file;
mod config_path;
mod content;
mod finding;
mod hosts_files;
mod kept_layers;
mod peers;
mod ports;
mod process;
mod proof;
mod settings;
mod setup;
mod version;
mod witness;

pub use finding::{Finding, Verdict, exit_status, json, table};

use process::Process;
use settings::Settings;

/// What the agent on this node runs with, or will.
#[derive(Clone, Debug)]
pub struct CheckConfig {
    /// containerd's socket.
    pub containerd_socket: PathBuf,
    /// The node's name.
    pub node_name: String,
    /// How it points containerd at its mirror.
    pub hosts: HostsConfig,
    /// The file of the cluster key.
    pub cluster_key_file: Option<PathBuf>,
    /// Where peers fetch.
    pub peer_listen: SocketAddr,
    /// Where libp2p listens.
    pub p2p_listen: SocketAddr,
    /// Where metrics and health are.
    pub admin_listen: SocketAddr,
    /// The p2p listeners of other nodes.
    pub bootstrap: Vec<HostPort>,
    /// Which service lists more of them.
    pub bootstrap_service: Option<String>,
}

/// Looks at everything and says what it found, in the order in which to mend it.
pub async fn run(config: &CheckConfig) -> Vec<Finding> {
    let agent_runs = admin::agent_runs(config.admin_listen).await;
    let runtime = containerd::dial(&config.containerd_socket).await;
    let mut findings = match &runtime {
        Ok(channel) => of_runtime(config, channel).await,
        Err(error) => vec![Finding::problem("containerd", error)],
    };
    findings.extend(hosts_files::check(&config.hosts));
    findings.push(cluster_key::check(config));
    findings.extend(ports::check(config, agent_runs).await);
    findings.extend(peers::check(&config.bootstrap, config.bootstrap_service.as_deref()).await);
    if let Ok(channel) = runtime {
        findings.extend(proof::check(config, &channel, agent_runs).await);
    }
    findings
}

async fn of_runtime(config: &CheckConfig, channel: &Channel) -> Vec<Finding> {
    let socket = config.containerd_socket.display();
    let mut findings = vec![Finding::ok("containerd", format!("answers on {socket}"))];
    let (finding, release) = version::check(channel).await;
    findings.push(finding);
    match settings::told(channel).await {
        Ok(told) => {
            let process = Process::behind(&config.containerd_socket).await;
            let settings = Settings::of(&told, &process, release.version);
            findings.push(setup::check(config, &told, &process, &release, &settings));
            findings.extend(config_path::check(
                &settings,
                &config.hosts.hosts_dir,
                config.hosts.registries.is_empty(),
            ));
            findings.push(kept_layers::check(&settings));
        }
        Err(error) => findings.push(Finding::problem("cri", &error)),
    }
    findings.push(content::check(channel).await);
    findings
}
