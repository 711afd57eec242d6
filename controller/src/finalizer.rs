//! What holds an ImageCache back from its deletion until its images are removed.

use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use onepull_api::ImageCache;
use serde_json::json;

/// Its name.
pub(crate) const FINALIZER: &str = "onepull.dev/images";

/// Whether it is on an object.
pub(crate) fn is_on(object: &impl ResourceExt) -> bool {
    object.finalizers().iter().any(|name| name == FINALIZER)
}

/// All finalizers of an object but this one.
pub(crate) fn others(object: &impl ResourceExt) -> Vec<String> {
    object.finalizers().iter().filter(|name| *name != FINALIZER).cloned().collect()
}

/// Gives a cache these finalizers, unless somebody has changed it since it had this version.
pub(crate) async fn write(
    client: &Client,
    (namespace, name): (&str, &str),
    finalizers: &[String],
    resource_version: Option<&str>,
) -> kube::Result<()> {
    let api: Api<ImageCache> = Api::namespaced(client.clone(), namespace);
    let metadata = json!({ "finalizers": finalizers, "resourceVersion": resource_version });
    let patch = Patch::Merge(json!({ "metadata": metadata }));
    api.patch_metadata(name, &PatchParams::default(), &patch).await.map(drop)
}
