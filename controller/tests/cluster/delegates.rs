//! Registries that let nodes in, by logins of their own, and the controller not.

use onepull_resolve::{Credentials, Login, Options as Asking, Resolver};
use onepull_testbed::{
    Registry,
    registry::{Auth, Options, PASSWORD, USER},
};
use serde_json::json;

use crate::{agents::Logins, stage::Stage};

/// The logins of all nodes for one registry.
fn logins(registry: &str) -> Logins {
    let mut credentials = Credentials::default();
    let login = Login::Password { user: USER.into(), password: PASSWORD.into() };
    credentials.add_login("plugin testbed", registry, login);
    let asking = Asking { plain_http: [registry.to_owned()].into(), ..Asking::default() };
    let resolver = Resolver::new(asking).unwrap();
    Logins { pattern: registry.to_owned(), credentials, resolver }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_controller_is_not_let_in_a_node_asks_what_a_tag_stands_for() {
    let Some(mut stage) = Stage::set("where the controller is not let in").await else { return };
    for name in ["a", "b"] {
        stage.node(name, "gpu").await;
    }
    let options = Options { auth: Auth::Basic, ..Options::default() };
    let private = Registry::start(options).await.unwrap();
    private.push(&stage.image, "team/app", "v1").await.unwrap();
    stage.plain_http.insert(private.name());
    stage.agents.log_in(logins(&private.name()));
    let _controller = stage.controller("one").await;
    let cache = |tag: &str| json!({"cacheSpec": [{"images": [format!("{}/team/app:{tag}", private.name())]}]});
    stage.cache("app", &cache("v1")).await;
    stage.wait_for("Ready", "app").await;
    let digest = stage.image.manifest_digest().to_string();
    assert_eq!(stage.digests().await, [[digest.clone()], [digest]]);

    stage.cache("gone", &cache("gone")).await;
    let degraded = stage.wait_for("Degraded", "gone").await;
    assert_eq!(degraded.reason, "ImageNotFound");
    let image = format!("{}/team/app:gone", private.name());
    let [a, b] = ["a", "b"].map(|node| {
        format!(
            "{image}: node {node}: {} has no image {image}: check its name and tag",
            private.name()
        )
    });
    assert!([a, b].contains(&degraded.message), "{}", degraded.message);
    stage
        .eventually("nobody is asked any more", async || {
            stage.told().await.iter().all(|object| object.spec.questions.is_empty())
        })
        .await;
}
