//! Whether containerd really asks the mirror, and what keeps it from doing so.

use std::{
    convert::Infallible,
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use onepull_agent::check::{Finding, Verdict};
use tokio::{net::TcpListener, task::JoinSet};

use crate::node::{Node, releases};

/// The words of a finding of the proof.
fn proof(findings: &[Finding]) -> Vec<(Verdict, &str)> {
    let of_proof = findings.iter().filter(|finding| finding.name == "proof");
    of_proof.map(|finding| (finding.verdict, finding.what.as_str())).collect()
}

#[tokio::test]
async fn hosts_files_that_name_another_address_are_found_and_disproven() {
    for version in releases("hosts_files_that_name_another_address_are_found_and_disproven") {
        let node = Node::healthy(version).await;
        let file = node.hosts_file("_default");
        let text = fs::read_to_string(&file).unwrap();
        let here = node.config.hosts.mirror.to_string();
        fs::write(&file, text.replace(&here, "127.0.0.1:1")).unwrap();
        let complaints = node.complaints().await;
        let seen: Vec<_> = complaints.iter().map(|(verdict, name, _)| (*verdict, *name)).collect();
        assert_eq!(seen, [(Verdict::Warning, "hosts.toml"), (Verdict::Problem, "proof")]);
    }
}

#[tokio::test]
async fn hosts_files_that_are_missing_are_found_and_disproven() {
    for version in releases("hosts_files_that_are_missing_are_found_and_disproven") {
        let node = Node::healthy(version).await;
        fs::remove_dir_all(node.config.hosts.hosts_dir.join("_default")).unwrap();
        let complaints = node.complaints().await;
        let seen: Vec<_> = complaints.iter().map(|(verdict, name, _)| (*verdict, *name)).collect();
        assert_eq!(seen, [(Verdict::Problem, "hosts.toml"), (Verdict::Problem, "proof")]);
    }
}

#[tokio::test]
async fn a_folder_of_a_registry_s_own_that_bypasses_the_mirror_is_found() {
    for version in releases("a_folder_of_a_registry_s_own_that_bypasses_the_mirror_is_found") {
        let node = Node::healthy(version).await;
        fs::create_dir(node.config.hosts.hosts_dir.join("ghcr.io")).unwrap();
        let file = node.hosts_file("ghcr.io");
        let what =
            format!("{} does not name the mirror: pulls from there go past it", file.display());
        assert_eq!(node.complaints().await, [(Verdict::Warning, "hosts.toml", what)]);
    }
}

#[tokio::test]
async fn each_named_registry_is_proven_for_itself() {
    for version in releases("each_named_registry_is_proven_for_itself") {
        let mut node = Node::healthy(version).await;
        fs::remove_dir_all(node.config.hosts.hosts_dir.join("_default")).unwrap();
        // Nothing listens at either; the first goes through the mirror all the same.
        let named = ["http://a.onepull.invalid:5000", "b.onepull.invalid"];
        node.config.hosts.registries = named.map(|name| name.parse().unwrap()).into();
        node.install();
        fs::write(node.hosts_file("b.onepull.invalid"), "").unwrap();
        let findings = node.check().await;
        let seen = proof(&findings);
        assert_eq!(seen.len(), 2, "{findings:#?}");
        let asks = "containerd asks the mirror for images of a.onepull.invalid:5000";
        assert_eq!(seen[0], (Verdict::Ok, asks));
        assert_eq!(seen[1].0, Verdict::Problem);
        assert!(seen[1].1.contains("for images of b.onepull.invalid"));
    }
}

/// Speaks as the agent does, on one of its listeners: counts probes, and tells the sum.
async fn agent(at: SocketAddr, probes: Arc<AtomicU64>, counts: bool) {
    let listener = TcpListener::bind(at).await.unwrap();
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let probes = Arc::clone(&probes);
        let answer = service_fn(move |request: Request<_>| {
            if counts && request.uri().path().contains("onepull/check") {
                probes.fetch_add(1, Ordering::Relaxed);
            }
            let sum = probes.load(Ordering::Relaxed);
            let metrics = format!("onepull_mirror_probe_requests_total {sum}\n");
            let status = if request.uri().path().starts_with("/v2") { 404 } else { 200 };
            let response = Response::builder().status(status).header("server", "onepull/0.1.0");
            let response = response.body(Full::new(Bytes::from(metrics))).unwrap();
            std::future::ready(Ok::<_, Infallible>(response))
        });
        connections.spawn(async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

#[tokio::test]
async fn a_running_agent_is_recognised_and_its_counter_is_the_proof() {
    for version in releases("a_running_agent_is_recognised_and_its_counter_is_the_proof") {
        for counts in [true, false] {
            let node = Node::healthy(version).await;
            let probes = Arc::new(AtomicU64::new(7));
            let mut listeners = JoinSet::new();
            for at in [node.config.hosts.mirror, node.config.admin_listen] {
                listeners.spawn(agent(at, Arc::clone(&probes), counts));
            }
            tokio::task::yield_now().await;
            let findings = node.check().await;
            let ports = findings.iter().find(|finding| finding.name == "ports").unwrap();
            assert!(ports.what.ends_with("held by the running agent"), "{ports:?}");
            let expected = if counts { Verdict::Ok } else { Verdict::Problem };
            assert_eq!(proof(&findings)[0].0, expected, "{findings:#?}");
        }
    }
}
