//! What a controller shows of itself.

use kube::api::DeleteParams;
use serde_json::json;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_shows_its_caches_and_what_it_did_and_a_replica_that_waits_shows_none() {
    let Some(stage) = Stage::set("a controller shows its caches").await else { return };
    for name in ["a", "b", "c"] {
        stage.node(name, "gpu").await;
    }
    let first = stage.controller("one").await;
    stage.cache("models", &json!({"cacheSpec": [{"images": [stage.image("v1")]}]})).await;
    stage.wait_for("Ready", "models").await;
    let second = stage.controller("two").await;
    let labels = r#"{namespace="default",name="models"}"#;
    let bytes = stage.image.bytes();
    for (name, value) in [
        (format!("onepull_imagecache_nodes_desired{labels}"), 3),
        (format!("onepull_imagecache_nodes_warm{labels}"), 3),
        (format!("onepull_imagecache_nodes_failed{labels}"), 0),
        (format!("onepull_imagecache_upstream_bytes{labels}"), bytes),
        (format!("onepull_imagecache_image_bytes{labels}"), bytes),
        (format!("onepull_imagecache_ready{labels}"), 1),
        ("onepull_controller_leads".into(), 1),
        ("onepull_controller_lists_total{resource=\"nodes\"}".into(), 1),
    ] {
        let reached = async || first.metric(&name).await == Some(value);
        stage.eventually(&format!("{name} is {value}"), reached).await;
    }
    let written = "onepull_controller_writes_total{object=\"node_spec\"}";
    assert!(first.metric(written).await >= Some(6), "three objects were made, and told");
    assert_eq!(first.page("/readyz").await, "ok\n");

    assert_eq!(second.metric("onepull_controller_leads").await, Some(0));
    assert_eq!(second.page("/readyz").await, "ok\n", "it is there to take over");
    assert!(!second.page("/metrics").await.contains("models"));

    stage.caches().delete("models", &DeleteParams::default()).await.unwrap();
    let gone = async || !first.page("/metrics").await.contains("models");
    stage.eventually("the series go with the cache", gone).await;
}
