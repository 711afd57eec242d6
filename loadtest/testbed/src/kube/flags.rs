//! How etcd and kube-apiserver are started.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use super::pki::{Pair, TokenKeys};

/// Where services would be, were there any; no packet is ever sent there.
const SERVICES: &str = "10.96.0.0/16";

/// Who issues the tokens of service accounts, and whom they are for unless they say otherwise.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// The addresses and files of one API server, the same after each restart.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) folder: PathBuf,
    pub(super) etcd: SocketAddr,
    pub(super) etcd_peer: SocketAddr,
    pub(super) apiserver: SocketAddr,
    pub(super) authority: PathBuf,
    pub(super) serving: Pair,
    pub(super) kubelet_client: Pair,
    pub(super) token_keys: TokenKeys,
}

// === impl Places ===

impl Places {
    /// Its data is not synced to disk: it has to survive the end of the process, not a power cut.
    pub(super) fn etcd(&self, command: &mut Command) {
        let (client, peer) = (self.etcd_url(), format!("http://{}", self.etcd_peer));
        command.args(["--name=testbed", "--unsafe-no-fsync", "--log-level=warn"]);
        flag(command, "data-dir", self.folder.join("etcd"));
        flag(command, "listen-client-urls", &client);
        flag(command, "advertise-client-urls", &client);
        flag(command, "listen-peer-urls", &peer);
        flag(command, "initial-advertise-peer-urls", &peer);
        flag(command, "initial-cluster", format!("testbed={peer}"));
    }

    /// As clusters have it: RBAC, and nodes held to what is theirs. What would need a node, an
    /// aggregated API server or a routable address is off.
    pub(super) fn apiserver(&self, command: &mut Command) {
        let address = self.apiserver.ip().to_string();
        flag(command, "etcd-servers", self.etcd_url());
        flag(command, "bind-address", &address);
        flag(command, "advertise-address", &address);
        flag(command, "secure-port", self.apiserver.port().to_string());
        flag(command, "tls-cert-file", &self.serving.certificate);
        flag(command, "tls-private-key-file", &self.serving.key);
        flag(command, "client-ca-file", &self.authority);
        flag(command, "kubelet-client-certificate", &self.kubelet_client.certificate);
        flag(command, "kubelet-client-key", &self.kubelet_client.key);
        command.arg("--kubelet-preferred-address-types=InternalIP");
        flag(command, "service-account-issuer", ISSUER);
        flag(command, "service-account-key-file", &self.token_keys.public);
        flag(command, "service-account-signing-key-file", &self.token_keys.private);
        flag(command, "service-cluster-ip-range", SERVICES);
        command.args(["--authorization-mode=Node,RBAC", "--allow-privileged=true"]);
        command.args(["--enable-admission-plugins=NodeRestriction", "--profiling=false"]);
        command.arg("--endpoint-reconciler-type=none");
    }

    pub(super) fn log(&self, program: &str) -> PathBuf {
        self.folder.join(format!("{program}.log"))
    }

    fn etcd_url(&self) -> String {
        format!("http://{}", self.etcd)
    }
}

fn flag(command: &mut Command, name: &str, value: impl AsRef<Path>) {
    command.arg(format!("--{name}={}", value.as_ref().display()));
}
