//! What registries do on a bad day.

use std::time::Duration;

use onepull_resolve::{Platform, Problem, ResolveError, Unreachable};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{
    server::{Answer, Asked, Server, answer},
    support::{amd64, nobody, problem, resolver, secrets},
};

/// The error with a registry that always answers so.
async fn asking(answer: fn(Asked) -> Answer) -> ResolveError {
    let server = Server::start(move |asked| async move { answer(asked) }).await;
    let name = format!("{}/team/app:v1", server.host()).parse().unwrap();
    resolver(&[&server.host()]).resolve(&name, &nobody()).await.unwrap_err()
}

#[tokio::test]
async fn a_limit_tells_when_to_come_back() {
    let error = asking(|_| answer(429, &[("retry-after", "7")], "")).await;
    assert!(error.is_worth_retrying());
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert!(error.to_string().contains("may be asked again in 7 s"), "{error}");

    let error = asking(|_| answer(429, &[], "")).await;
    assert_eq!(problem(error), Problem::RateLimited { retry_after: None });
    let error = asking(|_| answer(503, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], ""));
    assert_eq!(error.await.retry_after(), Some(Duration::ZERO));
    assert_eq!(problem(asking(|_| answer(503, &[], "")).await), Problem::Failing { status: 503 });
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_hangs_is_given_up() {
    let server = Server::start(|_| std::future::pending()).await;
    let name = format!("{}/team/app:v1", server.host()).parse().unwrap();
    let error = resolver(&[&server.host()]).resolve(&name, &nobody()).await.unwrap_err();
    let said = String::new();
    assert_eq!(problem(error), Problem::Unreachable { step: Unreachable::Timeout, said });
}

#[tokio::test]
async fn what_is_no_registry_is_found_out() {
    let tls = Server::start(|_| async { answer(200, &[], "{}") }).await;
    let name = format!("{}/team/app:v1", tls.host()).parse().unwrap();
    let error = resolver(&[]).resolve(&name, &nobody()).await.unwrap_err();
    assert!(error.to_string().contains("list the registry as plain HTTP"), "{error}");

    let error = asking(|_| answer(200, &[], "<html>welcome</html>")).await;
    let why = "what is there is no manifest".to_owned();
    assert_eq!(problem(error), Problem::NotAnImage(why));
    let error = asking(|_| answer(200, &[], r#"{"schemaVersion":1,"fsLayers":[]}"#)).await;
    assert!(error.to_string().contains("manifest schema 1"), "{error}");
    let error = asking(|_| answer(401, &[("www-authenticate", "Negotiate")], "")).await;
    let why = "asks for a login of a kind that registries do not have";
    assert_eq!(problem(error), Problem::Unusable(why));
}

#[tokio::test]
async fn bytes_of_another_digest_are_refused() {
    let said = format!("sha256:{}", "0".repeat(64));
    let asked = asking(|_| {
        let said = format!("sha256:{}", "0".repeat(64));
        answer(200, &[("docker-content-digest", &said)], "{}")
    });
    let found = format!("sha256:{}", hex(b"{}"));
    let mismatch = Problem::ContentMismatch { expected: said.clone(), found };
    assert_eq!(problem(asked.await), mismatch);

    let server = Server::start(|_| async { answer(200, &[], "{}") }).await;
    let name = format!("{}/team/app@{said}", server.host()).parse().unwrap();
    let error = resolver(&[&server.host()]).resolve(&name, &nobody()).await.unwrap_err();
    assert_eq!(problem(error), mismatch);
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_body_without_an_end_is_not_read() {
    let error = asking(|_| answer(200, &[], vec![b' '; (4 << 20) + 1])).await;
    assert_eq!(problem(error), Problem::TooLarge { limit: 4 << 20 });
}

#[tokio::test]
async fn a_redirect_leaves_the_credential_behind() {
    let storage = Server::start(|_| async { answer(404, &[], "") }).await;
    let there = format!("http://{}/elsewhere", storage.host());
    let registry = Server::start(move |asked| {
        let there = there.clone();
        async move {
            match asked.headers.contains_key("authorization") {
                true => answer(307, &[("location", &there)], ""),
                false => answer(401, &[("www-authenticate", "Basic")], ""),
            }
        }
    });
    let registry = registry.await;
    let name = format!("{}/team/app:v1", registry.host()).parse().unwrap();
    let logins = secrets(&registry.host(), &[("user", "wrong-horse")]);
    let resolver = resolver(&[&registry.host(), &storage.host()]);
    let error = resolver.resolve(&name, &logins).await.unwrap_err();
    assert_eq!(problem(error), Problem::NotFound);
    let [asked] = &storage.asked()[..] else { panic!("{:?}", storage.asked()) };
    assert!(!asked.headers.contains_key("authorization"), "{asked:?}");
    assert!(!asked.headers.contains_key("referer"), "{asked:?}");
}

#[tokio::test]
async fn a_host_behind_a_redirect_cannot_ask_for_the_credential() {
    let thief = Server::start(|asked: Asked| async move {
        let host = asked.headers["host"].to_str().unwrap();
        let ask = format!("Bearer realm=\"http://{host}/token\"");
        answer(401, &[("www-authenticate", &ask)], "")
    });
    let thief = thief.await;
    let there = format!("http://{}/", thief.host());
    let registry = Server::start(move |_| {
        let there = there.clone();
        async move { answer(307, &[("location", &there)], "") }
    });
    let registry = registry.await;
    let name = format!("{}/team/app:v1", registry.host()).parse().unwrap();
    let logins = secrets(&registry.host(), &[("user", "wrong-horse")]);
    let resolver = resolver(&[&registry.host(), &thief.host()]);
    let error = resolver.resolve(&name, &logins).await.unwrap_err();
    assert_eq!(problem(error), Problem::Failing { status: 401 });
    let asked = thief.asked();
    assert!(asked.iter().all(|one| !one.headers.contains_key("authorization")), "{asked:?}");
}

#[tokio::test]
async fn a_platform_that_a_copy_left_out_is_not_offered() {
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
    let entry = |digit: &str, architecture: &str| {
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1,
               "digest": digest(digit), "platform": {"os": "linux", "architecture": architecture}})
    };
    let manifests = [entry("1", "amd64"), entry("2", "arm64")];
    let index = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
    let registry = Server::start(move |asked| {
        let index = index.clone();
        async move {
            match asked.target.ends_with("/v1") {
                true => answer(200, &[], index),
                false => answer(404, &[], ""),
            }
        }
    });
    let registry = registry.await;
    let name = format!("{}/team/app:v1", registry.host()).parse().unwrap();
    let resolver = resolver(&[&registry.host()]);
    let resolved = resolver.resolve_for(&name, &nobody(), &[amd64()]).await.unwrap();
    assert!(resolved.images.is_empty());
    assert_eq!(resolved.platforms, [Platform::new("linux", "arm64", None)]);
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let error = asking(|_| answer(302, &[("location", "/again")], "")).await;
    let why = "redirects too often, or from HTTPS to plain HTTP";
    assert_eq!(problem(error), Problem::Unusable(why));
}

#[tokio::test]
async fn a_token_server_cannot_send_a_credential_elsewhere() {
    let thief = Server::start(|_| async { answer(200, &[], r#"{"token":"t"}"#) }).await;
    let there = format!("http://{}/", thief.host());
    let tokens = Server::start(move |_| {
        let there = there.clone();
        async move { answer(307, &[("location", &there)], "") }
    });
    let tokens = tokens.await;
    let ask = format!("Bearer realm=\"http://{}/token\"", tokens.host());
    let registry = Server::start(move |_| {
        let ask = ask.clone();
        async move { answer(401, &[("www-authenticate", &ask)], "") }
    });
    let registry = registry.await;
    let name = format!("{}/team/app:v1", registry.host()).parse().unwrap();
    let mut logins = secrets(&registry.host(), &[]);
    let json =
        format!(r#"{{"auths":{{"{}":{{"identitytoken":"wrong-horse"}}}}}}"#, registry.host());
    logins.add("sso", json.as_bytes()).unwrap();
    let resolver = resolver(&[&registry.host(), &tokens.host(), &thief.host()]);
    let error = resolver.resolve(&name, &logins).await.unwrap_err();
    assert_eq!(problem(error), Problem::Failing { status: 307 });
    assert_eq!((tokens.asked().len(), thief.asked().len()), (1, 0));
}
