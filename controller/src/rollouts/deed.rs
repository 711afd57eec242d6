//! One thing to be written.

use std::sync::Arc;

use k8s_openapi::{api::core::v1, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::Resource;
use onepull_api::{ImageCacheStatus, ImageQuestion, NodeImageCache};

use crate::{
    convert::{self, Machine},
    planner::{Node, NodePlan, Source},
};

/// Something that differs from a plan, and how it is mended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Deed {
    /// A node is to be told this.
    Tell(Box<Telling>),
    /// What a node was told goes with the node.
    Delete {
        /// The node.
        node: String,
        /// Of the object that is meant; another one of that name stays.
        uid: Option<String>,
    },
    /// A cache's status is to be this.
    Report {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The status.
        status: Box<ImageCacheStatus>,
    },
    /// A cache is held back from its deletion, or let go.
    Finalizer {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// All finalizers that it is to have.
        finalizers: Vec<String>,
        /// Of the object that this was decided on.
        resource_version: Option<String>,
    },
}

/// What a node is to be told. The object is made when it is written: those of thousands of nodes at once
/// would take more than all else.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Telling {
    pub(super) machine: Arc<Machine>,
    pub(super) node: Arc<Node>,
    pub(super) plan: NodePlan,
    pub(super) questions: Vec<ImageQuestion>,
}

// === impl Deed ===

impl Deed {
    /// The lower, the sooner: what is little work goes first, then nodes that all others wait for, then
    /// nodes in the order of how much they were told before.
    pub(super) fn turn(&self) -> (bool, bool, usize) {
        let Self::Tell(telling) = self else { return (false, false, 0) };
        let Telling { node, plan, questions, .. } = &**telling;
        let seeds = plan.holds.iter().any(|hold| hold.source == Source::Upstream);
        let waited_for = seeds || !questions.is_empty();
        (true, !waited_for, node.holds.len())
    }
}

// === impl Telling ===

impl Telling {
    /// The object, which goes with the node.
    pub(super) fn object(&self) -> NodeImageCache {
        let spec = convert::spec(&self.node, &self.plan, &self.questions);
        let mut object = NodeImageCache::new(self.machine.name.as_str(), spec);
        object.metadata.owner_references = Some(vec![owner(&self.machine)]);
        object
    }
}

fn owner(machine: &Machine) -> OwnerReference {
    OwnerReference {
        api_version: v1::Node::api_version(&()).into_owned(),
        kind: v1::Node::kind(&()).into_owned(),
        name: machine.name.to_string(),
        uid: machine.uid.clone(),
        ..OwnerReference::default()
    }
}
