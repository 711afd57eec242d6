//! Tokens as pods have them.

use kube::{Api, api::PostParams};
use onepull_api::logins::AUDIENCE;
use serde_json::json;

use crate::stage::{SYSTEM, Stage};

/// The service account of agents.
pub(crate) const AGENT: &str = "onepull-agent";

// === impl Stage ===

impl Stage {
    /// A pod of a service account on a node; nobody runs it.
    pub(crate) async fn pod(&self, namespace: &str, account: &str, node: &str) -> String {
        let name = format!("{account}-{node}");
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {
                "serviceAccountName": account, "nodeName": node,
                "containers": [{"name": "one", "image": "none"}],
            },
        });
        let pod = serde_json::from_value(pod).unwrap();
        let pods: Api<k8s_openapi::api::core::v1::Pod> =
            Api::namespaced(self.client.clone(), namespace);
        pods.create(&PostParams::default(), &pod).await.unwrap();
        name
    }

    /// The token of a pod's service account, for an audience; without one, for the API server.
    pub(crate) async fn token(
        &self,
        namespace: &str,
        account: &str,
        pod: Option<&str>,
        audience: Option<&str>,
    ) -> String {
        let mut arguments = vec!["create", "token", account, "--namespace", namespace];
        arguments.extend(audience.into_iter().flat_map(|audience| ["--audience", audience]));
        if let Some(pod) = pod {
            arguments.extend(["--bound-object-kind", "Pod", "--bound-object-name", pod]);
        }
        self.kubectl(&arguments).await.trim().to_owned()
    }

    /// The token with which the agent of a node asks a controller.
    pub(crate) async fn agents_token(&self, node: &str) -> String {
        let pod = self.pod(SYSTEM, AGENT, node).await;
        self.token(SYSTEM, AGENT, Some(&pod), Some(AUDIENCE)).await
    }
}
