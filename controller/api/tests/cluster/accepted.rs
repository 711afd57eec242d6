//! Good objects pass, also the largest that the rules allow, and those of kube-fledged.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{cluster, image_cache};

async fn is_accepted(test: &str, specs: Vec<Value>) {
    let Some(cluster) = cluster(test).await else { return };
    for spec in specs {
        cluster.try_create(&image_cache("cache", &spec).to_string()).await.unwrap();
    }
}

#[tokio::test]
async fn images_are_named_as_in_pods() {
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    let images = [
        "nginx".to_owned(),
        "nginx:1.27".to_owned(),
        "team/app:V2_rc.1-b".to_owned(),
        "localhost:5000/app".to_owned(),
        "10.0.0.1:5000/team/sub/app:latest".to_owned(),
        "registry.example.com:5000/team/my__app.x-y:v2".to_owned(),
        format!("registry.example.com/app@{digest}"),
        format!("registry.example.com/app:v2@{digest}"),
    ];
    let spec = json!({ "cacheSpec": [{ "images": images }] });
    is_accepted("images_are_named_as_in_pods", vec![spec]).await;
}

#[tokio::test]
async fn every_optional_field_may_be_set() {
    let window = |start: &str, duration: &str, zone: &str| {
        json!({
            "cacheSpec": [{ "images": ["nginx"], "nodeSelector": { "tier": "" } }],
            "imagePullSecrets": [{ "name": "registry-creds" }, { "name": "other.creds" }],
            "rollout": {
                "strategy": "Staged",
                "maxParallel": "25%",
                "readyWhen": 3,
                "window": { "start": start, "duration": duration, "timeZone": zone },
            },
            "onDelete": "Remove",
        })
    };
    let specs = vec![
        window("0 22 * * MON-FRI", "8h", "Europe/Berlin"),
        window("*/15 0-6,22-23 1,15 * *", "1h30m", "America/Argentina/Buenos_Aires"),
        window("30 3 31 1-12/2 7", "168h", "UTC"),
        window("59 23 29 2 *", "1m", "Etc/GMT+5"),
    ];
    is_accepted("every_optional_field_may_be_set", specs).await;
}

/// The API server counts what the rules cost on each object, too.
#[tokio::test]
async fn the_largest_objects_that_the_rules_allow_are_not_too_expensive() {
    let name = "the_largest_objects_that_the_rules_allow_are_not_too_expensive";
    let (host, tag) = ("registry.example.com", "t".repeat(128));
    let path = "/abcdefghi".repeat(23);
    let long = |number: usize| format!("{host}{path}{number:05}:{tag}");
    let for_one_node: Vec<_> = (0..256).map(long).collect();
    assert_eq!(for_one_node[0].len(), 384);
    let list = |pool: usize| {
        let images: Vec<_> = (0..256).map(|n| format!("{host}/pool-{pool}/team/app:{n}")).collect();
        let label = |n| (format!("label-{n}"), format!("{pool}-{}", "x".repeat(50)));
        let labels: BTreeMap<_, _> = (0..16).map(label).collect();
        json!({ "images": images, "nodeSelector": labels })
    };
    let specs = vec![
        json!({ "cacheSpec": [{ "images": for_one_node }] }),
        json!({ "cacheSpec": (0..32).map(list).collect::<Vec<_>>() }),
    ];
    is_accepted(name, specs).await;
}

#[tokio::test]
async fn lists_for_different_nodes_may_together_name_more_than_one_node_may_hold() {
    let name = "lists_for_different_nodes_may_together_name_more_than_one_node_may_hold";
    let list = |pool: &str| {
        let images: Vec<_> = (0..200).map(|n| format!("r.example.com/{pool}:{n}")).collect();
        json!({ "images": images, "nodeSelector": { "pool": pool } })
    };
    is_accepted(name, vec![json!({ "cacheSpec": [list("cpu"), list("gpu")] })]).await;
}

/// As kube-fledged's own example has it, but for `apiVersion` and the comments.
const KUBE_FLEDGED: &str = r#"
apiVersion: onepull.dev/v1alpha1
kind: ImageCache
metadata:
  name: imagecache1
  labels:
    app: kubefledged
    kubefledged: imagecache
  annotations:
    kubefledged.io/refresh-imagecache: ""
spec:
  cacheSpec:
  - images:
    - ghcr.io/jitesoft/nginx:1.23.1
    nodeSelector:
      tier: frontend
  - images:
    - us.gcr.io/k8s-artifacts-prod/cassandra:v7
    - us.gcr.io/k8s-artifacts-prod/etcd:3.5.4-0
    nodeSelector:
      tier: backend
  imagePullSecrets:
  - name: myregistrykey
"#;

#[tokio::test]
async fn a_cache_of_kube_fledged_passes_when_its_api_version_is_changed() {
    let name = "a_cache_of_kube_fledged_passes_when_its_api_version_is_changed";
    let Some(cluster) = cluster(name).await else { return };
    let said = cluster.try_create(KUBE_FLEDGED).await.unwrap();
    assert_eq!(said.trim(), "imagecache.onepull.dev/imagecache1 created (server dry run)");
}

#[tokio::test]
async fn the_status_that_kube_fledged_left_in_an_exported_cache_has_to_go() {
    let name = "the_status_that_kube_fledged_left_in_an_exported_cache_has_to_go";
    let Some(cluster) = cluster(name).await else { return };
    let exported = format!("{KUBE_FLEDGED}status:\n  reason: ImagesPulledSuccessfully\n");
    let said = cluster.try_create(&exported).await.unwrap_err();
    assert!(said.contains("unknown field \"status.reason\""), "{said}");
}
