//! What people see with kubectl.

use serde_json::json;

use crate::support::{cluster, image_cache};

#[tokio::test]
async fn explain_tells_of_each_field_of_a_rollout_and_its_default() {
    let name = "explain_tells_of_each_field_of_a_rollout_and_its_default";
    let Some(cluster) = cluster(name).await else { return };
    let text = cluster.kubectl(&["explain", "imagecache.spec.rollout"]).await;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "strategy <string>",
        "enum: Stream, Staged",
        "Default: Stream",
        "maxParallel <",
        "a share of the selected nodes such as 25%",
        "readyWhen <",
        "window <Object>",
    ] {
        assert!(words.contains(expected), "{text}\nlacks: {expected}");
    }
}

#[tokio::test]
async fn get_shows_how_far_a_rollout_is_and_what_the_registry_sent() {
    let name = "get_shows_how_far_a_rollout_is_and_what_the_registry_sent";
    let Some(cluster) = cluster(name).await else { return };
    cluster.create(&image_cache("shown", &json!({ "cacheSpec": [{ "images": ["nginx"] }] }))).await;
    let status = json!({ "status": {
        "counts": { "images": 1, "nodes": 8, "warm": 7 },
        "state": "RollingOut",
        "upstream": "1.00x",
    } });
    let patch = ["patch", "imagecache", "shown", "--subresource=status", "--type=merge", "-p"];
    cluster.kubectl(&[&patch[..], &[&status.to_string()]].concat()).await;
    let table = cluster.kubectl(&["get", "imagecaches", "shown"]).await;
    let rows: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "IMAGES", "NODES", "WARM", "STATE", "UPSTREAM", "AGE"]);
    assert_eq!(rows[1][..6], ["shown", "1", "8", "7", "RollingOut", "1.00x"]);
}

#[tokio::test]
async fn short_names_and_the_category_find_the_objects_and_are_nobody_elses() {
    let name = "short_names_and_the_category_find_the_objects_and_are_nobody_elses";
    let Some(cluster) = cluster(name).await else { return };
    cluster.create(&image_cache("short", &json!({ "cacheSpec": [{ "images": ["nginx"] }] }))).await;
    for asked in ["oic", "onepull", "imagecaches.onepull.dev"] {
        let found = cluster.kubectl(&["get", asked, "-o", "name"]).await;
        assert!(found.contains("imagecache.onepull.dev/short"), "{asked}: {found}");
    }
    let all = cluster.kubectl(&["api-resources", "--no-headers"]).await;
    for short in ["oic", "onic"] {
        let with = |line: &&str| line.split([' ', ',']).any(|word| word == short);
        assert_eq!(all.lines().filter(with).count(), 1, "{short}:\n{all}");
    }
}

#[tokio::test]
async fn the_defaults_are_filled_in() {
    let name = "the_defaults_are_filled_in";
    let Some(cluster) = cluster(name).await else { return };
    let nothing = json!({ "maxParallel": null, "window": null });
    let spec = json!({ "cacheSpec": [{ "images": ["nginx"] }], "rollout": nothing });
    cluster.create(&image_cache("plain", &spec)).await;
    let spec = cluster.kubectl(&["get", "imagecache", "plain", "-o", "jsonpath={.spec}"]).await;
    let expected = json!({
        "cacheSpec": [{ "images": ["nginx"] }],
        "onDelete": "Keep",
        "rollout": {
            "strategy": "Stream", "maxParallel": "100%", "readyWhen": "100%", "window": null,
        },
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&spec).unwrap(), expected);
}
