//! What people are told of what cannot work, in the words that they read.

use onepull_testbed::{
    Registry,
    net::free_addresses,
    registry::{Auth, Options, USER},
};
use serde_json::json;

use crate::{limited::Limited, stage::Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_refuses_is_down_or_asks_to_wait_is_named_with_what_to_do() {
    let Some(mut stage) = Stage::set("a registry that refuses").await else { return };
    stage.node("a", "gpu").await;
    let options = Options { auth: Auth::Basic, ..Options::default() };
    let private = Registry::start(options).await.unwrap();
    private.push(&stage.image, "team/app", "v1").await.unwrap();
    let limited = Limited::start().await;
    let [nobody] = free_addresses().unwrap();
    let (private, down, limited) = (private.name(), nobody.to_string(), limited.name());
    stage.plain_http.extend([private.clone(), down.clone(), limited.clone()]);
    let _controller = stage.controller("one").await;
    let (server, user) =
        (format!("--docker-server={private}"), format!("--docker-username={USER}"));
    let secret = ["create", "secret", "docker-registry", "registry-creds", &server, &user];
    stage.kubectl(&[&secret[..], &["--docker-password=wrong"]].concat()).await;
    for (name, registry) in [("refused", &private), ("down", &down), ("limited", &limited)] {
        let lists = json!([{"images": [format!("{registry}/team/app:v1")]}]);
        let spec = json!({"cacheSpec": lists, "imagePullSecrets": [{"name": "registry-creds"}]});
        stage.cache(name, &spec).await;
    }

    let refused = stage.wait_for("Degraded", "refused").await;
    let image = format!("{private}/team/app:v1");
    let words = format!(
        "{image}: {private} refused {image} to the credential of secret registry-creds: check its user, \
         its password and whether it may pull that repository",
    );
    assert_eq!((refused.reason.as_str(), refused.message), ("CredentialRefused", words));

    let unreachable = stage.wait_for("Degraded", "down").await;
    assert_eq!(unreachable.reason, "RegistryUnreachable");
    let message = unreachable.message;
    for words in [
        format!("{down} cannot be reached for {down}/team/app:v1: the connection failed").as_str(),
        "check that it runs and that network policies and proxies let the controller ask it",
    ] {
        assert!(message.contains(words), "{message}");
    }

    let waits = stage.wait_for("Degraded", "limited").await;
    let image = format!("{limited}/team/app:v1");
    let words = format!(
        "{image}: {limited} limits how often it may be asked, and refused {image} for now; it may be asked \
         again in 40 s: a pull secret of an account with a higher limit helps",
    );
    assert_eq!((waits.reason.as_str(), waits.message), ("RateLimited", words));

    let events = stage.kubectl(&["get", "events", "--no-headers"]).await;
    assert!(events.contains("CredentialRefused"), "{events}");
    assert!(!events.contains("RateLimited"), "it passes by itself: {events}");
    assert!(stage.digests().await.iter().all(Vec::is_empty), "nobody is sent to the registry");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_caches_that_disagree_on_a_tag_the_younger_is_told_of_the_older() {
    let Some(stage) = Stage::set("two caches that disagree").await else { return };
    stage.node("a", "gpu").await;
    let _controller = stage.controller("one").await;
    let spec = json!({"cacheSpec": [{"images": [stage.image("v1")]}]});
    stage.cache("first", &spec).await;
    stage.wait_for("Ready", "first").await;
    stage.push("v1", 2).await;
    stage.cache("second", &spec).await;
    let degraded = stage.wait_for("Degraded", "second").await;
    let words = format!(
        "{} on a: cache default/first is older and means another digest by this name: refresh one of them, \
         or name the image by its digest",
        stage.image("v1"),
    );
    assert_eq!((degraded.reason.as_str(), degraded.message), ("TagConflict", words));
    assert_eq!(stage.wait_for("Ready", "first").await.reason, "AllNodesWarm");
    let digest = stage.image.manifest_digest().to_string();
    assert_eq!(stage.digests().await, [[digest]], "the older keeps its image");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_larger_than_every_nodes_budget_is_refused_with_both_sizes() {
    let Some(stage) = Stage::set("an image larger than every budget").await else { return };
    stage.agents.resize_disks(4 << 20);
    for name in ["a", "b"] {
        stage.node(name, "gpu").await;
    }
    let _controller = stage.controller("one").await;
    stage.cache("models", &json!({"cacheSpec": [{"images": [stage.image("v1")]}]})).await;
    let degraded = || async {
        let degraded = stage.wait_for("Degraded", "models").await;
        (degraded.reason == "OverDiskBudget").then_some(degraded.message)
    };
    // Before its agent has told how large the disk is, that is what is wrong.
    stage.eventually("it does not fit", async || degraded().await.is_some()).await;
    let message = degraded().await.unwrap();
    for words in [
        &format!("{} on a and 1 more: it needs ", stage.image("v1")),
        " MiB on the node, and ",
        " of the room for images is left: free space there, raise the node's budget, or select other nodes",
    ] {
        assert!(message.contains(words), "{message}");
    }
    assert!(stage.digests().await.iter().all(Vec::is_empty), "no disk is filled");
    let line = stage.kubectl(&["get", "imagecaches", "--no-headers"]).await;
    assert!(line.contains("Degraded"), "{line}");
}
