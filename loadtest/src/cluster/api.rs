//! What the API server says of the rollout.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use onepull_api::{ConditionType, ImageCache, ImageCacheStatus, NodeImageCache};
use serde_json::Value;
use tokio::time::timeout;

use super::file::File;
use crate::fleet::FleetError;

/// For one answer: an API server beside a compiler on the same cores takes a second or two.
const ANSWER: Duration = Duration::from_secs(20);

/// The objects of one rollout.
pub(super) struct Objects {
    caches: Api<ImageCache>,
    told: Api<NodeImageCache>,
    nodes: Api<Node>,
    name: String,
}

/// The objects at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The cache, once it is there.
    pub(super) cache: Option<ImageCache>,
    /// What nodes are told and report, by name.
    pub(super) nodes: BTreeMap<String, NodeImageCache>,
}

// === impl Objects ===

impl Objects {
    pub(super) fn new(client: Client, file: &File) -> Self {
        Self {
            caches: Api::namespaced(client.clone(), file.namespace()),
            told: Api::all(client.clone()),
            nodes: Api::all(client),
            name: file.name().to_owned(),
        }
    }

    /// All of them now.
    pub(super) async fn look(&self) -> Result<Seen, FleetError> {
        let parameters = ListParams::default();
        let both = async {
            tokio::try_join!(self.caches.get_opt(&self.name), self.told.list(&parameters))
        };
        let (cache, told) = answered("see how far the rollout is", both).await?;
        let nodes = told.items.into_iter().map(|object| (object.name_any(), object)).collect();
        Ok(Seen { cache, nodes })
    }

    /// Changes the status of a Node.
    pub(super) async fn mark(&self, node: &str, status: &Value) -> Result<(), FleetError> {
        let (parameters, patch) = (PatchParams::default(), Patch::Strategic(status));
        let marked = self.nodes.patch_status(node, &parameters, &patch);
        answered(&format!("change the status of {node}"), marked).await.map(|_| ())
    }
}

async fn answered<T>(
    what: &str,
    asked: impl Future<Output = kube::Result<T>>,
) -> Result<T, FleetError> {
    match timeout(ANSWER, asked).await {
        Ok(answer) => answer.map_err(FleetError::setup(what)),
        Err(_) => Err(FleetError::Late {
            what: format!("the API server let nobody {what}"),
            seconds: ANSWER.as_secs(),
        }),
    }
}

// === impl Seen ===

impl Seen {
    /// What the controller says of the cache.
    pub(super) fn status(&self) -> Option<&ImageCacheStatus> {
        self.cache.as_ref()?.status.as_ref()
    }

    /// Whether the condition Ready is true, which is what `kubectl wait` waits for.
    pub(super) fn is_ready(&self) -> bool {
        let conditions = self.status().map(|status| status.conditions.as_slice());
        let mut conditions = conditions.unwrap_or_default().iter();
        conditions.any(|one| one.type_ == ConditionType::Ready.to_string() && one.status == "True")
    }

    /// What the conditions say, for people.
    pub(super) fn conditions(&self) -> String {
        let conditions = self.status().map(|status| status.conditions.as_slice());
        let said = conditions.unwrap_or_default().iter();
        let said = said.map(|one| format!("{} {}: {}", one.type_, one.status, one.message));
        said.collect::<Vec<_>>().join("; ")
    }
}
