//! Registries by HTTPS, with certificates of an authority of their own.

use std::sync::Arc;

use onepull_resolve::{Options, Problem, Resolver, Unreachable};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::{
    server::{Server, answer},
    support::{nobody, problem},
};

/// A certificate for 127.0.0.1, and the authority that it is from, in PEM.
fn certificate() -> (ServerConfig, String) {
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(params, ca_key);
    let own = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let own = own.signed_by(&key, &issuer).unwrap();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    (config.with_single_cert(vec![own.der().clone()], private).unwrap(), authority)
}

fn trusting(ca_pem: String) -> Resolver {
    let ca_pem = ca_pem.into_bytes();
    let options = Options { ca_pem, proxy_from_environment: false, ..Default::default() };
    Resolver::new(options).unwrap()
}

#[tokio::test]
async fn an_authority_is_trusted_when_the_operator_names_it() {
    let (config, authority) = certificate();
    let server = Server::start_tls(config, |_| async { answer(404, &[], "") }).await;
    let name = format!("{}/team/app:v1", server.host()).parse().unwrap();
    let error = trusting(authority).resolve(&name, &nobody()).await.unwrap_err();
    assert_eq!(problem(error), Problem::NotFound);

    let (_, other) = certificate();
    let error = trusting(other).resolve(&name, &nobody()).await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains("give the controller the registry's CA"), "{said}");
    let problem = problem(error);
    assert!(matches!(problem, Problem::Unreachable { step: Unreachable::Tls, .. }), "{problem:?}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn https_does_not_lead_to_plain_http() {
    let plain = Server::start(|_| async { answer(404, &[], "") }).await;
    let there = format!("http://{}/", plain.host());
    let (config, authority) = certificate();
    let server = Server::start_tls(config, move |_| {
        let there = there.clone();
        async move { answer(307, &[("location", &there)], "") }
    });
    let server = server.await;
    let name = format!("{}/team/app:v1", server.host()).parse().unwrap();
    let error = trusting(authority).resolve(&name, &nobody()).await.unwrap_err();
    let why = "redirects too often, or from HTTPS to plain HTTP";
    assert_eq!(problem(error), Problem::Unusable(why));
    assert!(plain.asked().is_empty());
}
