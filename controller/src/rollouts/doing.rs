//! Writes to the API server, many at a time, each within a deadline.

use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use onepull_api::{ImageCache, ImageCacheStatus, NodeImageCache};
use serde_json::json;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::{Deed, FIELD_MANAGER, deed::Telling};
use crate::{
    finalizer,
    metrics::{Metrics, Written},
};

/// Writes under way at once: a rollout on 5,000 nodes is told within a minute, and an API server of
/// two cores has other things to do.
const AT_ONCE: usize = 16;

/// For all writes of a cycle: no more are begun after it, and the next cycle makes those that are still
/// needed. With thousands of nodes to tell, a seed that fails meanwhile is seen at once, and who is told later
/// is told of more.
const BATCH: Duration = Duration::from_secs(5);

/// For one write. The next cycle makes it again.
const LIMIT: Duration = Duration::from_secs(10);

/// The way to the API server.
pub(super) struct Doing {
    client: Client,
    metrics: Metrics,
}

/// What became of a deed.
pub(super) enum Done {
    /// The node's object, as it is now.
    Told(Box<NodeImageCache>),
    /// The node's object is gone.
    Deleted(String),
    Other,
    /// It was logged, and is to be done again.
    Failed,
}

// === impl Doing ===

impl Doing {
    pub(super) fn new(client: Client, metrics: Metrics) -> Self {
        Self { client, metrics }
    }

    /// Does as much of it as can be begun within [`BATCH`], the first of them first.
    pub(super) fn all(&self, deeds: Vec<Deed>) -> impl Stream<Item = Done> {
        batch(deeds, |deed| self.one(deed))
    }

    async fn one(&self, deed: Deed) -> Done {
        let (what, object) = (what(&deed), written(&deed));
        let written = timeout(LIMIT, self.write(deed)).await;
        self.metrics.wrote(object, matches!(written, Ok(Ok(_))));
        match written {
            Ok(Ok(done)) => done,
            // Somebody else was faster: it is gone, or changed, and the watch says how.
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => Done::Failed,
            Ok(Err(error)) => {
                warn!(%error, "cannot {what}; trying again");
                Done::Failed
            }
            Err(_) => {
                warn!("the API server takes longer than {} s to {what}", LIMIT.as_secs());
                Done::Failed
            }
        }
    }

    async fn write(&self, deed: Deed) -> kube::Result<Done> {
        match deed {
            Deed::Tell(telling) => self.tell(*telling).await,
            Deed::Delete { node, uid } => self.delete(node, uid).await,
            Deed::Report { namespace, name, status } => {
                self.report(&namespace, &name, &status).await
            }
            Deed::Finalizer { namespace, name, finalizers, resource_version } => {
                let (cache, version) = ((&*namespace, &*name), resource_version.as_deref());
                let written = finalizer::write(&self.client, cache, &finalizers, version).await;
                written.map(|()| Done::Other)
            }
        }
    }

    async fn tell(&self, telling: Telling) -> kube::Result<Done> {
        let api: Api<NodeImageCache> = Api::all(self.client.clone());
        let object = telling.object();
        let mut applied = serde_json::to_value(&object).map_err(kube::Error::SerdeError)?;
        // Said also when it is empty: a spec that loses its last field by server-side apply becomes null,
        // which the API server refuses.
        applied["spec"]["images"] = json!(object.spec.images);
        let told = api.patch(&object.name_any(), &owned(), &Patch::Apply(&applied)).await?;
        Ok(Done::Told(Box::new(told)))
    }

    async fn delete(&self, node: String, uid: Option<String>) -> kube::Result<Done> {
        let api: Api<NodeImageCache> = Api::all(self.client.clone());
        let preconditions = Some(Preconditions { uid, resource_version: None });
        let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
        match api.delete(&node, &parameters).await {
            Ok(_) => Ok(Done::Deleted(node)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Done::Deleted(node)),
            Err(error) => Err(error),
        }
    }

    async fn report(
        &self,
        namespace: &str,
        name: &str,
        status: &ImageCacheStatus,
    ) -> kube::Result<Done> {
        let api: Api<ImageCache> = Api::namespaced(self.client.clone(), namespace);
        // The spec is the user's, so nothing of it is named.
        let told = json!({
            "apiVersion": "onepull.dev/v1alpha1",
            "kind": "ImageCache",
            "metadata": { "name": name },
            "status": status,
        });
        api.patch_status(name, &owned(), &Patch::Apply(told)).await.map(|_| Done::Other)
    }
}

fn batch<T, F: Future>(all: Vec<T>, one: impl FnMut(T) -> F) -> impl Stream<Item = F::Output> {
    stream::iter(all).take_until(sleep(BATCH)).map(one).buffer_unordered(AT_ONCE)
}

fn owned() -> PatchParams {
    PatchParams::apply(FIELD_MANAGER).force()
}

fn written(deed: &Deed) -> Written {
    match deed {
        Deed::Tell(_) => Written::node_spec,
        Deed::Delete { .. } => Written::node_deleted,
        Deed::Report { .. } => Written::cache_status,
        Deed::Finalizer { .. } => Written::cache_finalizers,
    }
}

fn what(deed: &Deed) -> String {
    match deed {
        Deed::Tell(telling) => format!("tell node {} what to hold", telling.machine.name),
        Deed::Delete { node, .. } => format!("delete the NodeImageCache of node {node}"),
        Deed::Report { namespace, name, .. } => {
            format!("write the status of ImageCache {namespace}/{name}")
        }
        Deed::Finalizer { namespace, name, .. } => {
            format!("change the finalizers of ImageCache {namespace}/{name}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_cycle_begins_no_more_writes_after_a_while_and_ends_those_that_it_began() {
        let one = |number: usize| async move {
            sleep(Duration::from_secs(1)).await;
            number
        };
        let mut done: Vec<usize> = batch((0..1000).collect(), one).collect().await;
        done.sort_unstable();
        let rounds = usize::try_from(BATCH.as_secs()).unwrap();
        assert!((AT_ONCE * rounds..=AT_ONCE * (rounds + 1)).contains(&done.len()), "{done:?}");
        assert_eq!(done, (0..done.len()).collect::<Vec<_>>(), "the first first");
    }
}
