//! NodeImageCache: machines write it, so the schema only holds them to what was agreed.

use serde_json::{Value, json};

use crate::support::cluster;

fn node_image_cache(image: Value) -> String {
    json!({
        "apiVersion": "onepull.dev/v1alpha1",
        "kind": "NodeImageCache",
        "metadata": { "name": "node-1" },
        "spec": { "images": [image] },
    })
    .to_string()
}

#[tokio::test]
async fn a_digest_that_is_none_is_refused() {
    let Some(cluster) = cluster("a_digest_that_is_none_is_refused").await else { return };
    let image = json!({ "refs": ["r.example/app:v1"], "source": "Peers", "digest": "sha256:12" });
    let said = cluster.try_create(&node_image_cache(image)).await.unwrap_err();
    assert!(said.contains("spec.images[0].digest"), "{said}");
    let image = json!({ "refs": ["r.example/app:v1"], "source": "Peers" });
    let said = cluster.try_create(&node_image_cache(image)).await.unwrap_err();
    assert!(said.contains("spec.images[0].digest: Required value"), "{said}");
}

#[tokio::test]
async fn an_image_without_a_name_is_refused() {
    let Some(cluster) = cluster("an_image_without_a_name_is_refused").await else { return };
    let image = json!({ "refs": [], "source": "Peers" });
    let said = cluster.try_create(&node_image_cache(image)).await.unwrap_err();
    assert!(said.contains("spec.images[0].refs"), "{said}");
}

#[tokio::test]
async fn a_source_is_upstream_or_peers() {
    let Some(cluster) = cluster("a_source_is_upstream_or_peers").await else { return };
    let digest = format!("sha256:{}", "0".repeat(64));
    let image =
        |source| json!({ "refs": ["r.example/app:v1"], "source": source, "digest": digest });
    let said = cluster.try_create(&node_image_cache(image("Anywhere"))).await.unwrap_err();
    assert!(said.contains("supported values: \"Upstream\", \"Peers\""), "{said}");
    cluster.try_create(&node_image_cache(image("Upstream"))).await.unwrap();
}
