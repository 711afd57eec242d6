//! A registry that is open to everybody.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use onepull_resolve::{Platform, Problem};
use onepull_testbed::{layout::sha256, registry::Auth, skip};
use serde_json::json;

use crate::support::{Filled, REGISTRY, amd64, nobody, problem};

#[tokio::test]
async fn a_tag_is_its_manifest_with_the_sizes_of_all_its_blobs() {
    if skip("a_tag_is_its_manifest_with_the_sizes_of_all_its_blobs", &REGISTRY) {
        return;
    }
    let filled = Filled::start(Auth::Open).await;
    let resolved = filled.resolver().resolve(&filled.name(":v1"), &nobody()).await.unwrap();
    let digest = filled.image.manifest_digest();
    assert_eq!((&resolved.digest, resolved.images.len()), (digest, 1));
    assert_eq!(resolved.platforms, [amd64()]);
    let image = resolved.image_for(&amd64()).unwrap();
    assert_eq!((&image.manifest, image.compressed_bytes), (digest, filled.image.bytes()));
    let layers: u64 = filled.image.manifest().layers().iter().map(|layer| layer.size()).sum();
    assert!(image.disk_bytes.abs_diff(filled.image.bytes() + layers * 5 / 2) <= 2);
    assert_eq!(
        resolved.pinned(&filled.name(":v1")),
        filled.name(&format!("@{digest}")).to_string()
    );

    let by_digest = filled.name(&format!(":gone@{digest}"));
    assert_eq!(filled.resolver().resolve(&by_digest, &nobody()).await.unwrap(), resolved);
}

#[tokio::test]
async fn an_index_is_resolved_to_the_images_of_the_nodes_that_there_are() {
    if skip("an_index_is_resolved_to_the_images_of_the_nodes_that_there_are", &REGISTRY) {
        return;
    }
    let filled = Filled::start(Auth::Open).await;
    let (arm64, proof) = (filled.push("arm", 8).await, filled.push("proof", 9).await);
    let entry = |digest: &dyn ToString, platform: serde_json::Value| {
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1,
               "digest": digest.to_string(), "platform": platform})
    };
    let manifests = [
        entry(filled.image.manifest_digest(), json!({"os": "linux", "architecture": "amd64"})),
        entry(
            arm64.manifest_digest(),
            json!({"os": "linux", "architecture": "arm64", "variant": "v8"}),
        ),
        entry(proof.manifest_digest(), json!({"os": "unknown", "architecture": "unknown"})),
    ];
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": manifests}).to_string();
    put(&format!("{}/v2/team/app/manifests/multi", filled.registry.url()), kind, &index).await;

    let (resolver, name) = (filled.resolver(), filled.name(":multi"));
    let all = resolver.resolve(&name, &nobody()).await.unwrap();
    assert_eq!(all.digest, sha256(index.as_bytes()));
    let found = |node: &str| all.image_for(&Platform::new("linux", node, None));
    assert_eq!(&found("amd64").unwrap().manifest, filled.image.manifest_digest());
    assert_eq!(found("arm64").unwrap().compressed_bytes, arm64.bytes());
    assert_eq!((all.images.len(), found("s390x")), (2, None));

    let before = filled.registry.requests().unwrap().len();
    let node = Platform::new("linux", "arm64", None);
    let one = resolver.resolve_for(&name, &nobody(), &[node]).await.unwrap();
    assert_eq!((one.images.len(), one.platforms), (1, all.platforms.clone()));
    let missing = [Platform::new("linux", "s390x", None)];
    let none = resolver.resolve_for(&name, &nobody(), &missing).await.unwrap();
    assert_eq!((none.images.len(), none.platforms.len()), (0, 2));
    // The index twice and one manifest: others would count as pulls at Docker Hub.
    let asked = filled.registry.requests().unwrap();
    assert!(asked.len() - before <= 3, "{:?}", &asked[before..]);
}

async fn put(url: &str, kind: &str, body: &str) {
    let request = hyper::Request::put(url).header("content-type", kind);
    let request = request.body(Full::<Bytes>::from(body.to_owned())).unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    assert_eq!(client.request(request).await.unwrap().status(), 201);
}

#[tokio::test]
async fn an_image_that_is_not_there_is_not_found() {
    if skip("an_image_that_is_not_there_is_not_found", &REGISTRY) {
        return;
    }
    let filled = Filled::start(Auth::Open).await;
    let name = filled.name(":gone");
    let error = filled.resolver().resolve(&name, &nobody()).await.unwrap_err();
    assert!(!error.is_worth_retrying());
    let registry = filled.registry.name();
    let said = format!("{registry} has no image {name}: check its name and tag");
    assert_eq!(error.to_string(), said);
    assert_eq!(problem(error), Problem::NotFound);
}

#[tokio::test]
async fn a_registry_that_is_down_is_unreachable_and_worth_retrying() {
    if skip("a_registry_that_is_down_is_unreachable_and_worth_retrying", &REGISTRY) {
        return;
    }
    let mut filled = Filled::start(Auth::Open).await;
    filled.registry.kill();
    let error = filled.resolver().resolve(&filled.name(":v1"), &nobody()).await.unwrap_err();
    assert!(error.is_worth_retrying());
    let said = error.to_string();
    assert!(said.contains("the connection failed (Connection refused"), "{said}");
}
