//! A rollout in a cluster of real parts: etcd and kube-apiserver, containerds with an agent each in
//! network namespaces, a registry behind a shaped link, and the controller.
//!
//! The file of a user of kube-fledged is applied by kubectl, with only its `apiVersion` changed. What
//! came of it is judged by what CRI lists, by what is on the disks, and by the counter of the
//! registry's interface. There is no kubelet: nodes are registered as a kubelet would, and agents
//! have the tokens that it would give to their pods. Needs root.

use std::{fs, path::PathBuf, time::Duration};

use onepull_testbed::Version;
use thiserror::Error;

use crate::{
    fleet::FleetError,
    machine::Machine,
    run::{RunError, make_scratch},
    units::{ByteSize, LinkRate},
};

mod api;
mod control;
mod display;
mod fault;
mod file;
mod findings;
mod objects;
mod private;
mod report;
mod rollout;
mod stage;
mod table;
#[cfg(test)]
mod testing;
mod verdict;
mod view;

use stage::Stage;

pub use fault::{Fault, Struck};
pub use private::{LetIn, Private};
pub use report::{ClusterReport, NodeReport, SCHEMA, Setup};
pub use table::render;
pub use verdict::Criterion;

/// What to roll out, and on what.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// How many nodes; of four, one is selected by no list.
    pub nodes: u32,
    /// Bytes of each image's layers together.
    pub image_size: ByteSize,
    /// Layers of each image.
    pub layers: u32,
    /// A node's link, each way.
    pub nic: LinkRate,
    /// The registry's uplink.
    pub registry: LinkRate,
    /// Which containerd.
    pub version: Version,
    /// The agent's program.
    pub agent: PathBuf,
    /// The controller's program.
    pub controller: PathBuf,
    /// What goes wrong meanwhile.
    pub fault: Option<Fault>,
    /// How seeds come by the login of a registry that wants one; without it, it is open.
    pub private: Option<Private>,
    /// How long the cache may take until it is Ready.
    pub timeout: Duration,
    /// Where images and the report go.
    pub out: PathBuf,
}

/// Why there is nothing to report.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// A part could not be started, or does not answer.
    #[error("the rollout ended early")]
    Fleet(#[from] FleetError),
    /// A folder or file could not be used.
    #[error("cannot use the output folder")]
    Output(#[from] RunError),
}

/// Rolls out, and judges. `command` and `started` are for the report.
///
/// # Errors
/// When a part of the cluster cannot be started. A rollout that was not what it was to be is reported.
///
/// # Cancel safety
/// A cancelled run stops all that it started and removes its files.
pub async fn measure(
    config: &ClusterConfig,
    command: String,
    started: String,
) -> Result<ClusterReport, ClusterError> {
    let scratch = make_scratch(&config.out)?;
    let mut stage = Box::pin(Stage::start(config, scratch.path())).await?;
    keep_file(config, &stage)?;
    let report = stage.measure(command, started).await;
    if !report.as_ref().is_ok_and(ClusterReport::succeeded) {
        stage.save_logs(&config.out.join("logs"));
    }
    Ok(report?)
}

/// The file as it is applied, for people to read beside the report.
fn keep_file(config: &ClusterConfig, stage: &Stage) -> Result<(), ClusterError> {
    let path = config.out.join("imagecache.yaml");
    let written = fs::write(&path, &stage.file.text);
    Ok(written.map_err(|source| RunError::Output { path, source })?)
}

#[allow(clippy::cast_precision_loss, reason = "a ratio for people")]
fn multiple(sent: u64, once: u64) -> f64 {
    sent as f64 / once.max(1) as f64
}

// === impl Stage ===

impl Stage {
    async fn measure(
        &mut self,
        command: String,
        started: String,
    ) -> Result<ClusterReport, FleetError> {
        self.settle().await?;
        let (sent_before, received_before) = self.traffic()?;
        let rollout = self.roll_out(sent_before).await?;
        let (_, received) = self.traffic()?;
        let received: Vec<_> =
            received.iter().zip(&received_before).map(|(now, then)| now - then).collect();
        let nodes = self.findings(&rollout, &received).await?;
        // What is sent after Ready counts as well.
        let egress_bytes = self.traffic()?.0 - sent_before;
        let unique_bytes = self.unique_bytes();
        let mut report = ClusterReport {
            schema: SCHEMA.into(),
            command,
            started,
            machine: Machine::here(),
            setup: self.setup(),
            ready_seconds: rollout.ready,
            conditions: rollout.last.conditions(),
            unique_bytes,
            egress_bytes,
            egress_images: multiple(egress_bytes, unique_bytes),
            upstream: rollout.last.status().and_then(|status| status.upstream.clone()),
            fault: rollout.struck,
            let_in: self.let_in()?,
            nodes,
            imagecaches: self.kubectl_get("imagecaches").await?,
            events: self.kubectl_get("events").await?,
            criteria: Vec::new(),
        };
        report.criteria = verdict::judge(&report);
        Ok(report)
    }

    fn setup(&self) -> Setup {
        let ClusterConfig { image_size, layers, nic, registry, fault, private, .. } = self.config;
        let images = self.images.iter().map(|image| image.named.name.clone()).collect();
        Setup { images, image_size, layers, nic, registry, fault, private }
    }

    /// What kubectl prints of the namespace's objects.
    async fn kubectl_get(&self, what: &str) -> Result<String, FleetError> {
        let namespace = format!("--namespace={}", self.file.namespace());
        self.control.kubectl(&["get", what, &namespace]).await
    }
}
