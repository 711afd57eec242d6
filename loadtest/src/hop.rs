//! One hop: how fast bytes go from a peer through the mirror to a client, and what that costs.
//!
//! Peer, mirror and client are processes of their own on loopback, with nothing to slow them down
//! but the machine; in the clear, and with the mutual TLS that a cluster key makes of it, each with
//! processes of its own. Beside them, with the same client and the same file: nginx with sendfile,
//! which neither verifies nor relays; and hashing alone, which the mirror cannot do without.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use onepull_testbed::layout::Spec;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    image::{Image, ImageError},
    key,
    machine::Machine,
    report::median,
    run::{RunError, make_scratch},
    units::ByteSize,
};

pub(crate) mod child;
pub mod client;
pub mod hash;
mod nginx;
pub mod node;
mod pair;
mod table;

use child::ChildError;
use pair::{FOUND_LIMIT, Pair};
pub use table::render;

/// The name and version of the format.
pub const SCHEMA: &str = "onepull.dev/loadtest-hop/v1";

/// The nodes' addresses: peer and mirror.
const PLAIN: [IpAddr; 2] = [loopback(1), loopback(2)];
const WITH_TLS: [IpAddr; 2] = [loopback(3), loopback(4)];

/// What to measure.
#[derive(Clone, Debug)]
pub struct HopConfig {
    /// Bytes of the blob.
    pub size: ByteSize,
    /// How often; figures are medians.
    pub repeats: u32,
    /// Where the blob and the report go.
    pub out: PathBuf,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hop {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The command line that made it.
    pub command: String,
    /// When it started, RFC 3339.
    pub started: String,
    /// Where it ran.
    pub machine: Machine,
    /// Bytes of the blob.
    pub blob_bytes: ByteSize,
    /// Peer and mirror together.
    pub onepull: Cost,
    /// The same with a cluster key.
    pub onepull_tls: Cost,
    /// nginx's one process.
    pub nginx: Cost,
    /// One thread that hashes.
    pub sha256: Cost,
    /// Throughput as a multiple of nginx's.
    pub throughput_to_nginx: f64,
    /// CPU time as a multiple of what hashing takes.
    pub cpu_to_sha256: f64,
    /// Throughput with TLS as a multiple of that without.
    pub tls_throughput_to_plain: f64,
    /// CPU time with TLS as a multiple of what hashing takes.
    pub tls_cpu_to_sha256: f64,
    /// Every repeat, in order.
    pub repeats: Vec<Repeat>,
}

/// Throughput and CPU time; a GB is 10^9 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// GB per second.
    pub gb_per_second: f64,
    /// CPU time, user and system, for each GB.
    pub cpu_seconds_per_gb: f64,
}

/// All, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repeat {
    /// Peer and mirror together.
    pub onepull: Cost,
    /// The same with a cluster key.
    pub onepull_tls: Cost,
    /// nginx's one process.
    pub nginx: Cost,
    /// One thread that hashes.
    pub sha256: Cost,
}

/// Why there is no result.
#[derive(Debug, Error)]
pub enum HopError {
    /// The blob could not be made.
    #[error("there is no blob to send")]
    Image(#[from] ImageError),
    /// The folder could not be used.
    #[error("cannot use the output folder")]
    Output(#[from] RunError),
    /// A process did not do its part.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// There is no key for the nodes.
    #[error("cannot make a cluster key")]
    Key(#[source] io::Error),
    /// nginx is not installed, or its folder cannot be written.
    #[error("cannot run nginx: {0}")]
    Nginx(String),
    /// The mirror did not find the peer.
    #[error("the mirror did not find the peer within {} s", FOUND_LIMIT.as_secs())]
    NotFound,
}

/// The processes of a measurement.
struct Bench {
    plain: Pair,
    tls: Pair,
    nginx: nginx::Nginx,
    size: u64,
    _scratch: tempfile::TempDir,
}

/// Measures. `command` and `started` are for the report.
///
/// # Errors
/// When a process cannot be started or does not deliver the whole blob.
pub async fn measure(
    config: &HopConfig,
    command: String,
    started: String,
) -> Result<Hop, HopError> {
    let bench = Bench::start(config).await?;
    // The first round fills the page cache and does not count.
    bench.repeat().await?;
    let mut repeats = Vec::new();
    for number in 1..=config.repeats {
        let repeat = bench.repeat().await?;
        tracing::info!("{number}: {}", table::line(&repeat));
        repeats.push(repeat);
    }
    let cost = |of: fn(&Repeat) -> Cost| Cost::median(repeats.iter().map(of));
    let (onepull, onepull_tls) = (cost(|repeat| repeat.onepull), cost(|repeat| repeat.onepull_tls));
    let (nginx, sha256) = (cost(|repeat| repeat.nginx), cost(|repeat| repeat.sha256));
    Ok(Hop {
        schema: SCHEMA.into(),
        command,
        started,
        machine: Machine::here(),
        blob_bytes: config.size,
        throughput_to_nginx: onepull.gb_per_second / nginx.gb_per_second,
        cpu_to_sha256: onepull.cpu_seconds_per_gb / sha256.cpu_seconds_per_gb,
        tls_throughput_to_plain: onepull_tls.gb_per_second / onepull.gb_per_second,
        tls_cpu_to_sha256: onepull_tls.cpu_seconds_per_gb / sha256.cpu_seconds_per_gb,
        onepull,
        onepull_tls,
        nginx,
        sha256,
        repeats,
    })
}

// === impl Bench ===

impl Bench {
    async fn start(config: &HopConfig) -> Result<Self, HopError> {
        let scratch = make_scratch(&config.out)?;
        let store = scratch.path().join("peer");
        let image = Image::generate(&store, &Spec::even(config.size.bytes(), 1, 1))?;
        let largest = image.sizes.iter().max_by_key(|(_, size)| **size);
        let (digest, size) = largest.ok_or(HopError::NotFound)?;
        let path = format!("/v2/loadtest/image/blobs/{digest}?ns=registry.example");
        let key = key::write(scratch.path()).map_err(HopError::Key)?;
        let plain = Pair::start(PLAIN, &store, &scratch.path().join("plain"), &path, None).await?;
        let empty = scratch.path().join("tls");
        let tls = Pair::start(WITH_TLS, &store, &empty, &path, Some(&key)).await?;
        let nginx = nginx::Nginx::start(scratch.path(), &image.blob(digest)).await?;
        Ok(Self { plain, tls, nginx, size: *size, _scratch: scratch })
    }

    async fn repeat(&self) -> Result<Repeat, HopError> {
        let onepull = self.fetch(&self.plain.url, &self.plain.pids()).await?;
        let onepull_tls = self.fetch(&self.tls.url, &self.tls.pids()).await?;
        let nginx = self.fetch(&self.nginx.url(), &[self.nginx.pid()]).await?;
        let hashed = child::hash(self.size).await?;
        let sha256 = Cost::new(self.size, hashed.seconds, hashed.cpu_seconds);
        Ok(Repeat { onepull, onepull_tls, nginx, sha256 })
    }

    /// What a client's fetch costs the processes that serve it.
    async fn fetch(&self, url: &str, servers: &[u32]) -> Result<Cost, HopError> {
        let before = child::cpu_seconds(servers)?;
        let fetched = child::fetch(url, self.size).await?;
        Ok(Cost::new(self.size, fetched.seconds, child::cpu_seconds(servers)? - before))
    }
}

const fn loopback(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 2, last))
}

// === impl Cost ===

impl Cost {
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    fn new(bytes: u64, seconds: f64, cpu_seconds: f64) -> Self {
        let gb = bytes as f64 / 1e9;
        Self { gb_per_second: gb / seconds, cpu_seconds_per_gb: cpu_seconds / gb }
    }

    fn median(costs: impl Iterator<Item = Self>) -> Self {
        let (speeds, cpu) = costs.map(|cost| (cost.gb_per_second, cost.cpu_seconds_per_gb)).unzip();
        Self {
            gb_per_second: median(speeds).unwrap_or(f64::NAN),
            cpu_seconds_per_gb: median(cpu).unwrap_or(f64::NAN),
        }
    }
}
