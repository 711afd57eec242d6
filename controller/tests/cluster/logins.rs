//! Logins go to the node that is told to pull, and to nobody else.

use std::{net::SocketAddr, sync::Arc};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt};
use onepull_api::{
    Source,
    logins::{AUDIENCE, AUTHORITIES, Login, Logins, PATH, Question, server_name},
};
use reqwest::{Client, StatusCode};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde_json::json;

use crate::{
    stage::{SYSTEM, Stage},
    tokens::AGENT,
};

/// Asks as an agent does.
struct Agent {
    client: Client,
    url: String,
}

// === impl Agent ===

impl Agent {
    /// Trusts what is in the ConfigMap, when that is there.
    async fn new(stage: &Stage, controller: SocketAddr) -> Self {
        let maps: Api<ConfigMap> = Api::namespaced(stage.client.clone(), SYSTEM);
        stage
            .eventually("the authority is published", async || {
                maps.get_opt(AUTHORITIES).await.unwrap().is_some()
            })
            .await;
        let mut roots = RootCertStore::empty();
        for pem in maps.get(AUTHORITIES).await.unwrap().data.unwrap().values() {
            let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap);
            roots.add_parsable_certificates(certificates);
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let tls = tls.with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        let name = server_name(SYSTEM);
        let client = Client::builder().tls_backend_preconfigured(tls).resolve(&name, controller);
        let url = format!("https://{name}:{}", controller.port());
        Self { client: client.no_proxy().build().unwrap(), url }
    }

    async fn ask(&self, token: Option<&str>, image: &str) -> (StatusCode, String) {
        let question = serde_json::to_vec(&Question { image: image.into() }).unwrap();
        self.post(PATH, token, question).await
    }

    async fn post(&self, path: &str, token: Option<&str>, body: Vec<u8>) -> (StatusCode, String) {
        let mut request = self.client.post(format!("{}{path}", self.url)).body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }
}

/// A stage with one cache that has a pull secret, rolled out; the seed and the other node.
async fn rolled_out(stage: &Stage) -> (String, String) {
    for name in ["a", "b"] {
        stage.node(name, "gpu").await;
    }
    let (server, user) =
        (format!("--docker-server={}", stage.registry.name()), "--docker-username=alice");
    let secret = ["create", "secret", "docker-registry", "registry-creds", &server, user];
    stage.kubectl(&[&secret[..], &["--docker-password=hunter2"]].concat()).await;
    let lists = json!([{"images": [stage.image("v1")]}]);
    let secrets = json!([{"name": "registry-creds"}]);
    stage.cache("models", &json!({"cacheSpec": lists, "imagePullSecrets": secrets})).await;
    stage.wait_for("Ready", "models").await;
    let told = stage.told().await;
    let (seeds, others): (Vec<_>, Vec<_>) =
        told.iter().partition(|object| object.spec.images[0].source == Source::Upstream);
    (seeds[0].name_any(), others[0].name_any())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_node_that_is_told_to_pull_gets_the_logins_of_the_caches_secrets() {
    let Some(stage) = Stage::set("only the seed gets logins").await else { return };
    let address = onepull_testbed::net::free_addresses::<1>().unwrap()[0];
    let _controller = stage.controller_at("one", Some(address)).await;
    let (seed, other) = rolled_out(&stage).await;
    let agent = Agent::new(&stage, address).await;
    let image = stage.image("v1");

    let token = stage.agents_token(&seed).await;
    let (status, said) = agent.ask(Some(&token), &image).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    let logins: Logins = serde_json::from_str(&said).unwrap();
    let login = Login::Password { user: "alice".into(), password: "hunter2".into() };
    assert_eq!(logins.logins, [login]);

    let refused = async |token: Option<&str>, image: &str, status: StatusCode, word: &str| {
        let (answered, said) = agent.ask(token, image).await;
        assert_eq!(answered, status, "{said}");
        assert!(said.contains(word) && !said.contains("hunter2"), "{said}");
    };
    let (forbidden, unauthorized) = (StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED);
    refused(Some(&token), &stage.image("v2"), forbidden, "is not told to pull").await;
    refused(Some(&token), "a//b", StatusCode::BAD_REQUEST, "cannot be read").await;
    let others = stage.agents_token(&other).await;
    refused(Some(&others), &image, forbidden, "is not told to pull").await;
    refused(None, &image, unauthorized, "bearer token").await;
    refused(Some("nonsense"), &image, unauthorized, "does not know this token").await;
    let pod = format!("{AGENT}-{seed}");
    let for_api = stage.token(SYSTEM, AGENT, Some(&pod), None).await;
    refused(Some(&for_api), &image, unauthorized, "does not know this token").await;
    let unbound = stage.token(SYSTEM, AGENT, None, Some(AUDIENCE)).await;
    refused(Some(&unbound), &image, forbidden, "bound to no node").await;
    stage.kubectl(&["create", "serviceaccount", AGENT]).await;
    let pod = stage.pod("default", AGENT, &seed).await;
    let tenant = stage.token("default", AGENT, Some(&pod), Some(AUDIENCE)).await;
    refused(Some(&tenant), &image, forbidden, "not an agent").await;

    let question = serde_json::to_vec(&Question { image }).unwrap();
    let (status, _) = agent.post("/v1/secrets", Some(&token), question).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = agent.post(PATH, Some(&token), vec![b' '; 10_000]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_controller_hands_out_logins_and_what_it_published_comes_back() {
    let Some(stage) = Stage::set("every controller hands out logins").await else { return };
    let [first, second] = onepull_testbed::net::free_addresses::<2>().unwrap();
    let _leads = stage.controller_at("one", Some(first)).await;
    let (seed, _) = rolled_out(&stage).await;
    let _waits = stage.controller_at("two", Some(second)).await;
    let maps: Api<ConfigMap> = Api::namespaced(stage.client.clone(), SYSTEM);
    let published = async || {
        let map = maps.get_opt(AUTHORITIES).await.unwrap().unwrap_or_default();
        map.data.unwrap_or_default().into_keys().collect::<Vec<_>>()
    };
    stage
        .eventually("both are published", async || published().await == ["one.pem", "two.pem"])
        .await;
    let token = stage.agents_token(&seed).await;
    for address in [first, second] {
        let agent = Agent::new(&stage, address).await;
        let (status, said) = agent.ask(Some(&token), &stage.image("v1")).await;
        assert_eq!(status, StatusCode::OK, "{said}");
        assert!(said.contains("hunter2"), "{said}");
    }
}
