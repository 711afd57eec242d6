//! A real API server takes every object, and knows every field of it.

use std::{fs, path::Path};

use onepull_deploy::{NAMESPACE, deploy, template};
use onepull_testbed::{ApiServer, Requirement, skip};

use crate::manifests::{FULL, objects};

/// Of the Prometheus Operator, which is not there.
const FOREIGN: &str = "kind: ServiceMonitor";

/// What it says to objects that it is to check and not to keep: their names. kubectl has it check as strictly as
/// it can.
async fn tried(server: &ApiServer, file: &Path) -> anyhow::Result<String> {
    let dry = ["create", "--dry-run=server", "--validate=strict", "--output=name", "-f"];
    server.kubectl(&[&dry[..], &[&file.to_string_lossy()]].concat()).await
}

#[tokio::test]
async fn an_api_server_takes_all_that_is_rendered_and_knows_every_field() {
    let name = "an_api_server_takes_all_that_is_rendered_and_knows_every_field";
    if skip(name, &[Requirement::Helm, Requirement::Kubernetes]) {
        return;
    }
    let server = ApiServer::start().await.unwrap();
    server.kubectl(&["create", "namespace", NAMESPACE]).await.unwrap();
    let taken = tried(&server, &deploy().join("chart/crds")).await.unwrap();
    assert_eq!(taken.lines().count(), 2, "{taken}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("onepull.yaml");
    for values in [&[][..], &[FULL]] {
        let text = template(values).unwrap();
        let own = text.split("\n---\n").filter(|document| !document.contains(FOREIGN));
        let own = own.collect::<Vec<_>>().join("\n---\n");
        fs::write(&file, &own).unwrap();
        let taken = tried(&server, &file).await.unwrap();
        assert_eq!(taken.lines().count(), objects(&own).len(), "{taken}");
        fs::write(&file, own.replace("hostNetwork: true", "hostNetworks: true")).unwrap();
        let refused = tried(&server, &file).await.unwrap_err().to_string();
        assert!(refused.contains("unknown field \"spec.template.spec.hostNetworks\""), "{refused}");
    }
}
