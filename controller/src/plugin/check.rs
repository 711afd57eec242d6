//! `kubectl onepull check`: the whole cluster's controllers, agents and their preflights.
//!
//! What an agent's preflight found stands in its node's NodeImageCache, so no way to the nodes is needed
//! ([ADR 25](../../../docs/adr/0025-agents-report-their-preflight.md)).

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    coordination::v1::Lease,
    core::v1::{Node, Pod},
};
use kube::ResourceExt;
use onepull_api::NodeImageCache;

use super::{
    cluster::{Cluster, Scope},
    error::AskError,
    output::Output,
    pool::{Place, selector},
};
use crate::{
    serve::LEASE,
    uninstall::{DAEMON_SET, DEPLOYMENT, PODS},
};

mod agents;
mod controllers;
mod finding;
mod health;
mod placing;
mod seen;

use health::Health;
use seen::{AgentPod, Reported, Seen};

/// The namespace that the chart's documentation installs onepull in.
const INSTALLED_IN: &str = "onepull-system";

/// Looks at what runs, and at what agents found on their nodes.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// The namespace that onepull is installed in.
    #[arg(long, value_name = "NAME", default_value = INSTALLED_IN)]
    installed_in: String,
}

// === impl Check ===

impl Check {
    /// The text to print, and whether there is no problem.
    pub(crate) async fn run(
        &self,
        cluster: &Cluster,
        output: Output,
    ) -> Result<(String, bool), AskError> {
        let health = Health::of(&self.look(cluster).await?, Timestamp::now());
        Ok((output.render(&health), health.is_well()))
    }

    async fn look(&self, cluster: &Cluster) -> Result<Seen, AskError> {
        let installed = Scope::Namespace(&self.installed_in);
        let daemon_set: Option<DaemonSet> = cluster.find(installed, DAEMON_SET).await?;
        let deployment: Option<Deployment> = cluster.find(installed, DEPLOYMENT).await?;
        let lease = match cluster.find::<Lease>(installed, LEASE).await {
            // Who may see Deployments may not always see this, and learns less.
            Err(error @ AskError::Forbidden { .. }) => Err(error.to_string()),
            lease => Ok(lease?),
        };
        let mut pods: BTreeMap<String, AgentPod> = BTreeMap::new();
        let keep = |pod: Pod| {
            let seen = AgentPod::of(&pod);
            seen.into_iter().for_each(|(node, pod)| pod.put_into(pods.entry(node)));
        };
        cluster.each(installed, Some(PODS), keep).await?;
        Ok(Seen {
            namespace: self.installed_in.clone(),
            places: places(cluster, daemon_set.as_ref()).await?,
            reported: reported(cluster).await?,
            daemon_set,
            deployment,
            lease,
            pods,
        })
    }
}

/// The nodes that the agents' node selector selects.
async fn places(cluster: &Cluster, daemon_set: Option<&DaemonSet>) -> Result<Vec<Place>, AskError> {
    let Some(daemon_set) = daemon_set else { return Ok(Vec::new()) };
    let pod = daemon_set.spec.template.spec.as_ref();
    let labels = pod.and_then(|pod| pod.node_selector.clone());
    let selector = selector(&labels.unwrap_or_default());
    let mut places = Vec::new();
    let keep = |node: Node| places.push(Place::of(&node));
    cluster.each(Scope::All, Some(&selector), keep).await?;
    Ok(places)
}

async fn reported(cluster: &Cluster) -> Result<HashMap<String, Reported>, AskError> {
    let mut reported = HashMap::new();
    let keep = |object: NodeImageCache| {
        drop(reported.insert(object.name_any(), Reported::of(object)));
    };
    cluster.each(Scope::All, None, keep).await?;
    Ok(reported)
}
