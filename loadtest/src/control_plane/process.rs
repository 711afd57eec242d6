//! A controller as a process of its own.

use std::{fs, net::SocketAddr, process::Command, time::Duration};

use anyhow::{Context, Result};
use onepull_testbed::{Process, net::free_addresses};

use super::{
    ControlPlaneConfig,
    cluster::{Cluster, NAMESPACE},
};
use crate::{hop::child, memory::status, scrape, units::ByteSize};

/// It listens before it asks anybody anything.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// A running controller. Dropping it kills it.
pub(super) struct Controller {
    process: Process,
    pub(super) admin: SocketAddr,
}

// === impl Controller ===

impl Controller {
    pub(super) async fn start(
        config: &ControlPlaneConfig,
        cluster: &Cluster,
        identity: &str,
    ) -> Result<Self> {
        let [admin, logins] = free_addresses()?;
        let log = config.out.join(format!("controller-{identity}.log"));
        // That of an earlier run; mostly there is none.
        let _ = fs::remove_file(&log);
        let mut command = Command::new(&config.controller);
        command.args(["serve", "--namespace", NAMESPACE, "--identity", identity]);
        command.args(["--admin-listen", &admin.to_string()]);
        command.args(["--logins", &logins.to_string()]);
        command.args(["--plain-http", &cluster.registry.name()]);
        command.env("KUBECONFIG", cluster.server.kubeconfig());
        let mut process = Process::spawn(command, log)?;
        let listens = async || scrape::get(admin, "/livez").await.ok();
        process.ready("the controller listened", READY_LIMIT, listens).await?;
        Ok(Self { process, admin })
    }

    /// The most memory that it has had, as the kernel says.
    pub(super) fn peak_memory(&self) -> Result<ByteSize> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.pid()))?;
        let peak = status::peak(&status).context("the controller has ended: see its log")?;
        Ok(ByteSize::new(peak))
    }

    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        child::cpu_seconds(&[self.process.pid()]).context("the controller's CPU time is unknown")
    }
}
