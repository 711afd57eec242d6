//! The command line: what a person types, and what it means.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{config::Config, hosts::Registry, p2p::HostPort, units::LinkRate};

mod check;
mod log;
mod serve;
mod status;
mod uninstall;

/// The node agent of onepull: shares container images between the nodes of a cluster.
///
/// It serves the pulls of containerd on this node from its peers, and its peers from containerd's
/// own store. When it cannot help, containerd goes to the registry, as if it were not there.
#[derive(Debug, Parser)]
#[command(name = "onepull-agent", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent until it is told to stop (SIGTERM or Ctrl-C).
    Serve(Flags),
    /// Look at this node and say what would keep the agent from helping. Changes nothing; pulls one
    /// image that does not exist, to see whether containerd asks the mirror.
    ///
    /// The exit status is 0 when all is well or there are only warnings, 1 when there is a problem.
    Check {
        #[command(flatten)]
        flags: Flags,
        /// How to print the findings.
        #[arg(long, value_enum, default_value_t, env = "ONEPULL_OUTPUT")]
        output: Output,
    },
    /// Ask the agent that runs on this node which declared images it holds, and how far the rest is.
    Status {
        #[command(flatten)]
        flags: Flags,
        /// How to print the images.
        #[arg(long, value_enum, default_value_t, env = "ONEPULL_OUTPUT")]
        output: Output,
    },
    /// Take all that the agent left on this node off it, but the images: containerd's hosts.toml files are as they
    /// were before it came. Stop the agent first.
    Uninstall {
        #[command(flatten)]
        flags: Flags,
        /// Then go on, and be ready at --admin-listen, until told to stop: for a DaemonSet, which starts
        /// again what ends.
        #[arg(long, env = "ONEPULL_STAY")]
        stay: bool,
        /// Where the folder that has --data-dir in it is seen, if --data-dir is a mount of its own, which cannot be
        /// removed by itself: for a pod.
        #[arg(long, env = "ONEPULL_DATA_DIR_PARENT", value_name = "DIR")]
        data_dir_parent: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Table,
    /// For machines.
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The flags that all commands share, so that `check` and `uninstall` see the node as `serve` does.
#[derive(Clone, Debug, Args)]
pub(crate) struct Flags {
    /// containerd's socket.
    #[arg(
        long,
        env = "ONEPULL_CONTAINERD_SOCKET",
        value_name = "PATH",
        default_value = "/run/containerd/containerd.sock"
    )]
    pub(crate) containerd_socket: PathBuf,

    /// containerd's folder of registry hosts: the `config_path` of its CRI plugin.
    #[arg(
        long,
        env = "ONEPULL_HOSTS_DIR",
        value_name = "DIR",
        default_value = "/etc/containerd/certs.d"
    )]
    pub(crate) hosts_dir: PathBuf,

    /// Mirror this registry only: HOST[:PORT], or a URL (http://… for plain HTTP). May repeat; with
    /// none, all registries are mirrored.
    #[arg(long, env = "ONEPULL_REGISTRY", value_name = "REGISTRY", value_delimiter = ',')]
    pub(crate) registry: Vec<Registry>,

    /// Where containerd asks. Loopback only.
    #[arg(
        long,
        env = "ONEPULL_MIRROR_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:29900"
    )]
    pub(crate) mirror_listen: SocketAddr,

    /// The file with the key that all nodes of this cluster share: 64 hexadecimal digits or 32 bytes in
    /// base64, as `openssl rand -hex 32` makes them. Only who has it can join, and read from this
    /// node. It is read at the start.
    #[arg(long, env = "ONEPULL_CLUSTER_KEY_FILE", value_name = "FILE")]
    pub(crate) cluster_key_file: Option<PathBuf>,

    /// Where peers fetch blobs. [default: [::]:29901 with a cluster key or --insecure-peers, else
    /// 127.0.0.1:29901]
    #[arg(long, env = "ONEPULL_PEER_LISTEN", value_name = "ADDR")]
    pub(crate) peer_listen: Option<SocketAddr>,

    /// Where peers speak libp2p. [default: [::]:29902 with a cluster key or --insecure-peers, else
    /// 127.0.0.1:29902]
    #[arg(long, env = "ONEPULL_P2P_LISTEN", value_name = "ADDR")]
    pub(crate) p2p_listen: Option<SocketAddr>,

    /// A YAML file with the images that this node is to hold before pods want them: `images: [{ref,
    /// digest, source: Upstream|Peers}]`. It is watched.
    #[arg(long, env = "ONEPULL_DESIRED", value_name = "FILE")]
    pub(crate) desired: Option<PathBuf>,

    /// Hold what this node's NodeImageCache says (its name is that of --node-name), and report into its
    /// status. The API server is that of the pod's service account, or of KUBECONFIG; while it is
    /// away the node goes on with what it knew.
    #[arg(long, env = "ONEPULL_KUBE")]
    pub(crate) kube: bool,

    /// The namespace that onepull is installed in: there the agent finds the controllers.
    #[arg(
        long,
        env = "ONEPULL_NAMESPACE",
        value_name = "NAMESPACE",
        default_value = "onepull-system"
    )]
    pub(crate) namespace: String,

    /// A token of the agent's service account, made for the audience onepull.dev/controller: with it the
    /// controller hands out the pull secrets of what this node pulls from a registry.
    #[arg(
        long,
        env = "ONEPULL_CONTROLLER_TOKEN",
        value_name = "FILE",
        default_value = "/var/run/secrets/onepull.dev/controller/token"
    )]
    pub(crate) controller_token: PathBuf,

    /// The kubelet's file of the same flag: plugins that know the logins of a cloud's registries.
    #[arg(
        long = "image-credential-provider-config",
        env = "ONEPULL_IMAGE_CREDENTIAL_PROVIDER_CONFIG",
        value_name = "FILE",
        requires = "plugin_programs"
    )]
    pub(crate) plugin_config: Option<PathBuf>,

    /// The kubelet's folder of the same flag: where these plugins are.
    #[arg(
        long = "image-credential-provider-bin-dir",
        env = "ONEPULL_IMAGE_CREDENTIAL_PROVIDER_BIN_DIR",
        value_name = "DIR",
        requires = "plugin_config"
    )]
    pub(crate) plugin_programs: Option<PathBuf>,

    /// A registry to be asked by plain HTTP, HOST[:PORT], where this node asks in the controller's place:
    /// for an image whose login only its plugins know. May repeat.
    #[arg(long, env = "ONEPULL_PLAIN_HTTP", value_delimiter = ',', value_name = "HOST[:PORT]")]
    pub(crate) plain_http: Vec<String>,

    /// Certificates, in PEM, of authorities that registries' certificates may be signed by, beside those
    /// of the system; for the same questions. Read when the agent starts to serve.
    #[arg(long, env = "ONEPULL_REGISTRY_CA", value_name = "FILE")]
    pub(crate) registry_ca: Option<PathBuf>,

    /// Where /metrics, /status, /livez and /readyz are served, read-only.
    #[arg(long, env = "ONEPULL_ADMIN_LISTEN", value_name = "ADDR", default_value = "[::]:29903")]
    pub(crate) admin_listen: SocketAddr,

    /// The address at which peers reach this node. [default: that of the default route]
    #[arg(long, env = "ONEPULL_ADVERTISE_IP", value_name = "IP")]
    pub(crate) advertise_ip: Option<IpAddr>,

    /// A peer to join through: HOST:PORT of its libp2p listener. May repeat; a name may stand for
    /// many addresses. Peers that are not up yet are tried again.
    #[arg(long, env = "ONEPULL_BOOTSTRAP", value_name = "HOST:PORT", value_delimiter = ',')]
    pub(crate) bootstrap: Vec<HostPort>,

    /// With --kube, the service in --namespace whose EndpointSlices list the other agents, at a port named
    /// p2p. The API server is asked for them at the start, again while there is no peer, and rarely after
    /// that.
    #[arg(long, env = "ONEPULL_BOOTSTRAP_SERVICE", value_name = "SERVICE")]
    pub(crate) bootstrap_service: Option<String>,

    /// This node's name, in logs and, with --kube, in the cluster. [default: the host name]
    #[arg(long, env = "ONEPULL_NODE_NAME", value_name = "NAME")]
    pub(crate) node_name: Option<String>,

    /// This node's failure domain; peers in the same one are asked first. [default: with --kube, what the
    /// NodeImageCache says when the agent starts]
    #[arg(long, env = "ONEPULL_ZONE", value_name = "ZONE")]
    pub(crate) zone: Option<String>,

    /// What this node sends to its peers at most, for example 500Mbit; its own traffic keeps the
    /// rest of the uplink. [default: no limit]
    #[arg(long, env = "ONEPULL_UPLOAD_RATE", value_name = "RATE")]
    pub(crate) upload_rate: Option<LinkRate>,

    /// Where the agent keeps its identity and the backups of hosts.toml files.
    #[arg(long, env = "ONEPULL_DATA_DIR", value_name = "DIR", default_value = "/var/lib/onepull")]
    pub(crate) data_dir: PathBuf,

    /// Serve peers beyond this host although nothing authenticates them: everybody who reaches the
    /// peer port can then read every image on this node. Without it, and without a cluster key, they
    /// are served on loopback only.
    #[arg(long, env = "ONEPULL_INSECURE_PEERS")]
    pub(crate) insecure_peers: bool,

    /// How to write the log to standard error. ONEPULL_LOG sets what it says, for example
    /// `debug` or `onepull_mirror=debug`.
    #[arg(long, env = "ONEPULL_LOG_FORMAT", value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
}

// === impl Cli ===

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// A sentence for the user: what failed, and what to do.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(flags) => {
                log::init(flags.log_format)?;
                serve::run(Config::build(flags)?).await
            }
            Command::Check { flags, output } => {
                Ok(check::run(&Config::build(flags)?, output).await)
            }
            Command::Status { flags, output } => status::run(&Config::build(flags)?, output).await,
            Command::Uninstall { flags, stay, data_dir_parent } => {
                uninstall::run(&Config::build(flags)?, stay, data_dir_parent.as_deref()).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_to_hold_is_said_by_a_file_or_by_the_cluster_and_not_by_both() {
        let serve = ["onepull-agent", "serve", "--kube", "--desired", "images.yaml"];
        let Command::Serve(flags) = Cli::try_parse_from(serve).unwrap().command else {
            unreachable!()
        };
        let error = Config::build(flags).unwrap_err().to_string();
        assert!(error.contains("--kube") && error.contains("--desired images.yaml"), "{error}");
    }

    #[test]
    fn a_service_of_the_cluster_is_asked_for_peers_only_with_the_cluster() {
        let serve = |more: &[&str]| {
            let fixed = ["onepull-agent", "serve", "--bootstrap-service", "onepull-agent"];
            let all = fixed.iter().chain(more);
            let Command::Serve(flags) = Cli::try_parse_from(all).unwrap().command else {
                unreachable!()
            };
            Config::build(flags)
        };
        assert_eq!(serve(&["--kube"]).unwrap().bootstrap_service.as_deref(), Some("onepull-agent"));
        let error = serve(&[]).unwrap_err().to_string();
        assert!(error.contains("--bootstrap-service onepull-agent"), "{error}");
    }

    #[test]
    fn an_upload_rate_is_written_as_links_are() {
        let serve = |rate| Cli::try_parse_from(["onepull-agent", "serve", "--upload-rate", rate]);
        let Command::Serve(flags) = serve("500Mbit").unwrap().command else { unreachable!() };
        assert_eq!(Config::build(flags).unwrap().node.upload, Some(62_500_000));
        let error = serve("0Mbit").unwrap_err().to_string();
        assert!(error.contains("a rate must be more than zero"), "{error}");
    }

    #[test]
    fn a_file_that_only_serve_needs_stops_no_other_command() {
        for name in ["check", "status", "uninstall"] {
            let args = ["onepull-agent", name, "--registry-ca", "/none/ca.crt"];
            let flags = match Cli::try_parse_from(args).unwrap().command {
                Command::Check { flags, .. }
                | Command::Status { flags, .. }
                | Command::Uninstall { flags, .. }
                | Command::Serve(flags) => flags,
            };
            let config = Config::build(flags).unwrap();
            assert_eq!(config.logins.registries.ca.as_deref(), Some("/none/ca.crt".as_ref()));
        }
    }

    #[test]
    fn every_flag_can_be_set_by_the_environment() {
        let command = Cli::command();
        let serve = command.find_subcommand("serve").unwrap();
        for flag in serve.get_arguments() {
            let id = flag.get_id().as_str();
            assert!(flag.get_env().is_some() || ["help", "version"].contains(&id), "{id}");
        }
    }
}
