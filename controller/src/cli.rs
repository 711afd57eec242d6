//! The command line.

use std::{collections::BTreeSet, fs, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use kube::Client;
use onepull_resolve::Options;
use tracing::info;
use tracing_subscriber::EnvFilter;

use crate::{
    convert::DiskPolicy,
    planner::{Allowance, Limits},
    rollouts::Policy,
    serve::{Config, ServeError, serve},
    uninstall::{self, uninstall},
};

/// Chooses which node pulls which image from its registry, and when all others get it from there.
#[derive(Debug, Parser)]
#[command(name = "onepull-controller", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// What to log, as in RUST_LOG: `info`, or `info,onepull_controller=debug`.
    #[arg(long, global = true, env = "ONEPULL_LOG", default_value = "info")]
    log: String,
    /// How to log.
    #[arg(long, global = true, env = "ONEPULL_LOG_FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object in a line.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Looks after the ImageCaches of a cluster, as one of several: the one that holds the lease acts.
    ///
    /// It reaches the API server by its pod's service account, else by KUBECONFIG.
    Serve(Box<Serve>),
    /// Has the agents take onepull off every node; to be run before its objects are deleted, as the chart does.
    Uninstall(Uninstall),
}

#[derive(Debug, Args)]
struct Uninstall {
    /// The namespace that onepull is installed in.
    #[arg(long, env = "ONEPULL_NAMESPACE", default_value = "onepull-system")]
    namespace: String,
    /// How long to wait for nodes that are Ready.
    #[arg(long, env = "ONEPULL_UNINSTALL_SECONDS", value_name = "SECONDS", default_value_t = 180)]
    seconds: u64,
}

#[derive(Debug, Args)]
struct Serve {
    /// The namespace that onepull is installed in: its lease is there.
    #[arg(long, env = "ONEPULL_NAMESPACE", default_value = "onepull-system")]
    namespace: String,
    /// Another name for each replica: that of its pod. Default: made up at random.
    #[arg(long, env = "ONEPULL_IDENTITY")]
    identity: Option<String>,
    /// Where /metrics, /livez and /readyz are served, read-only, by every replica.
    #[arg(long, env = "ONEPULL_ADMIN_LISTEN", value_name = "ADDR", default_value = "[::]:29905")]
    admin_listen: SocketAddr,
    /// A registry to be asked by plain HTTP, HOST[:PORT]; may repeat.
    #[arg(long, env = "ONEPULL_PLAIN_HTTP", value_delimiter = ',', value_name = "HOST[:PORT]")]
    plain_http: Vec<String>,
    /// Certificates, in PEM, of authorities that registries' certificates may be signed by, beside
    /// those of the system.
    #[arg(long, env = "ONEPULL_REGISTRY_CA", value_name = "FILE")]
    registry_ca: Option<PathBuf>,
    /// Where agents ask for the logins of the pulls that they are told to make, by HTTPS.
    #[arg(long, env = "ONEPULL_LOGINS", value_name = "ADDRESS:PORT", default_value = "[::]:29911")]
    logins: SocketAddr,
    /// Per cent of a node's disk of images that declared ones may take together.
    #[arg(long, env = "ONEPULL_DISK_BUDGET", value_name = "PERCENT",
        default_value_t = DiskPolicy::default().budget_percent,
        value_parser = clap::value_parser!(u8).range(1..=100))]
    disk_budget: u8,
    /// Per cent of it that stay free, whatever is declared: below that the kubelet collects images.
    #[arg(long, env = "ONEPULL_DISK_RESERVE", value_name = "PERCENT",
        default_value_t = DiskPolicy::default().reserve_percent,
        value_parser = clap::value_parser!(u8).range(0..=99))]
    disk_reserve: u8,
    /// Most images on one node, of all caches together.
    #[arg(long, env = "ONEPULL_NODE_IMAGES", value_name = "COUNT", default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..=256))]
    node_images: u32,
    /// Most images on one node of the caches of one namespace. Default: no limit of its own.
    #[arg(long, env = "ONEPULL_NAMESPACE_IMAGES", value_name = "COUNT")]
    namespace_images: Option<u32>,
    /// Most bytes on one node's disk for the caches of one namespace. Default: no limit of its own.
    #[arg(long, env = "ONEPULL_NAMESPACE_BYTES", value_name = "BYTES")]
    namespace_bytes: Option<u64>,
}

// === impl Cli ===

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// When it cannot start; the message says what to do.
    pub async fn run(self) -> anyhow::Result<()> {
        let filter = EnvFilter::try_new(&self.log).context("--log makes no sense")?;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Text => log.init(),
            LogFormat::Json => log.json().flatten_event(true).init(),
        }
        let client = || async { Client::try_default().await.map_err(ServeError::Client) };
        match self.command {
            Command::Serve(flags) => {
                let config = flags.config()?;
                Ok(serve(client().await?, config).await?)
            }
            Command::Uninstall(flags) => {
                let outcome = uninstall(client().await?, &flags.config()).await?;
                info!("{} nodes are as they were before onepull", outcome.done);
                Ok(())
            }
        }
    }
}

// === impl Uninstall ===

impl Uninstall {
    fn config(&self) -> uninstall::Config {
        uninstall::Config {
            namespace: self.namespace.clone(),
            limit: Duration::from_secs(self.seconds),
            stalled: uninstall::STALLED,
        }
    }
}

// === impl Serve ===

impl Serve {
    fn config(self) -> anyhow::Result<Config> {
        let ca_pem = match &self.registry_ca {
            Some(file) => fs::read(file)
                .with_context(|| format!("cannot read --registry-ca {}", file.display()))?,
            None => Vec::new(),
        };
        let plain_http: BTreeSet<_> = self.plain_http.iter().cloned().collect();
        let random = || format!("onepull-controller-{:08x}", rand::random::<u32>());
        Ok(Config {
            identity: self.identity.clone().unwrap_or_else(random),
            registries: Options { plain_http, ca_pem, ..Options::default() },
            policy: self.policy(),
            logins: Some(self.logins),
            admin_listen: self.admin_listen,
            namespace: self.namespace,
        })
    }

    fn policy(&self) -> Policy {
        let images = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        Policy {
            disk: DiskPolicy {
                reserve_percent: self.disk_reserve,
                budget_percent: self.disk_budget,
            },
            limits: Limits {
                node: Allowance { images: Some(images(self.node_images)), bytes: None },
                namespace: Allowance {
                    images: self.namespace_images.map(images),
                    bytes: self.namespace_bytes,
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_make_sense() {
        Cli::command().debug_assert();
        let cli =
            Cli::try_parse_from(["onepull-controller", "serve", "--plain-http", "a:1,b"]).unwrap();
        let Command::Serve(serve) = cli.command else { unreachable!() };
        let config = serve.config().unwrap();
        assert_eq!(config.registries.plain_http.len(), 2);
        assert!(config.identity.starts_with("onepull-controller-"));
        assert_eq!(config.policy.limits.node.images, Some(256));
    }
}
