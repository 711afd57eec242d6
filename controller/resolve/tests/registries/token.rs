//! A registry whose token server says who may pull.

use onepull_resolve::{Credentials, Problem};
use onepull_testbed::{
    registry::{PASSWORD, USER},
    skip,
};
use serde_json::json;

use crate::{
    support::{Filled, REGISTRY, nobody, problem, resolver, secrets},
    token_server::{IDENTITY, TokenServer},
};

#[tokio::test]
async fn a_token_is_got_for_the_secret_and_used_until_it_expires() {
    if skip("a_token_is_got_for_the_secret_and_used_until_it_expires", &REGISTRY) {
        return;
    }
    let server = TokenServer::start().await;
    let filled = Filled::start(server.auth()).await;
    let host = filled.registry.name();
    let (resolver, name) = (resolver(&[&host, &server.host()]), filled.name(":v1"));
    let right = secrets(&host, &[(USER, PASSWORD)]);

    let before = server.asked();
    let resolved = resolver.resolve(&name, &right).await.unwrap();
    assert_eq!(&resolved.digest, filled.image.manifest_digest());
    assert_eq!(server.asked() - before, 1);
    assert_eq!(resolver.resolve(&name, &right).await.unwrap(), resolved);
    assert_eq!(server.asked() - before, 1, "the token was not kept");

    // What one user may see is not shown to another, token or not.
    let error = resolver.resolve(&name, &nobody()).await.unwrap_err();
    assert_eq!(problem(error), Problem::CredentialMissing);
    let wrong = secrets(&host, &[(USER, "wrong-horse")]);
    let error = resolver.resolve(&name, &wrong).await.unwrap_err();
    let refused = vec!["secret creds-0".to_owned()];
    assert_eq!(problem(error), Problem::CredentialRefused { sources: refused });
}

#[tokio::test]
async fn an_identity_token_is_exchanged() {
    if skip("an_identity_token_is_exchanged", &REGISTRY) {
        return;
    }
    let server = TokenServer::start().await;
    let filled = Filled::start(server.auth()).await;
    let host = filled.registry.name();
    let (resolver, name) = (resolver(&[&host, &server.host()]), filled.name(":v1"));
    let secret = |token: &str| {
        let mut credentials = Credentials::default();
        let json = json!({"auths": {&host: {"auth": "dTo=", "identitytoken": token}}}).to_string();
        credentials.add("sso", json.as_bytes()).unwrap();
        credentials
    };
    let resolved = resolver.resolve(&name, &secret(IDENTITY)).await.unwrap();
    assert_eq!(&resolved.digest, filled.image.manifest_digest());
    let error = resolver.resolve(&name, &secret("wrong-horse")).await.unwrap_err();
    let refused = vec!["secret sso".to_owned()];
    assert_eq!(problem(error), Problem::CredentialRefused { sources: refused });
}

#[tokio::test]
async fn a_password_is_not_sent_to_a_token_server_by_plain_http_unless_the_operator_says_so() {
    let name = "a_password_is_not_sent_to_a_token_server_by_plain_http_unless_the_operator_says_so";
    if skip(name, &REGISTRY) {
        return;
    }
    let server = TokenServer::start().await;
    let filled = Filled::start(server.auth()).await;
    let right = secrets(&filled.registry.name(), &[(USER, PASSWORD)]);
    let before = server.asked();
    let error = filled.resolver().resolve(&filled.name(":v1"), &right).await.unwrap_err();
    assert_eq!(problem(error), Problem::Unusable("wants credentials to be sent by plain HTTP"));
    assert_eq!(server.asked(), before);
}
