//! A registry that knows one user, by HTTP Basic.

use onepull_resolve::Problem;
use onepull_testbed::{
    registry::{Auth, PASSWORD, USER},
    skip,
};

use crate::support::{Filled, REGISTRY, nobody, problem, secrets};

#[tokio::test]
async fn a_private_image_needs_the_right_secret() {
    if skip("a_private_image_needs_the_right_secret", &REGISTRY) {
        return;
    }
    let filled = Filled::start(Auth::Basic).await;
    let (resolver, name, host) = (filled.resolver(), filled.name(":v1"), filled.registry.name());

    let error = resolver.resolve(&name, &nobody()).await.unwrap_err();
    assert_eq!(problem(error), Problem::CredentialMissing);
    let elsewhere = secrets("other.example", &[(USER, PASSWORD)]);
    let error = resolver.resolve(&name, &elsewhere).await.unwrap_err();
    assert_eq!(problem(error), Problem::CredentialMissing);

    let wrong = secrets(&host, &[(USER, "wrong-horse"), ("nobody", PASSWORD)]);
    let error = resolver.resolve(&name, &wrong).await.unwrap_err();
    assert!(!error.is_worth_retrying());
    let both = vec!["secret creds-0".to_owned(), "secret creds-1".to_owned()];
    assert_eq!(problem(error), Problem::CredentialRefused { sources: both });

    let rotated = secrets(&host, &[(USER, "wrong-horse"), (USER, PASSWORD)]);
    let resolved = resolver.resolve(&name, &rotated).await.unwrap();
    assert_eq!(&resolved.digest, filled.image.manifest_digest());
    let error = resolver.resolve(&filled.name(":gone"), &rotated).await.unwrap_err();
    assert_eq!(problem(error), Problem::NotFound);
}
