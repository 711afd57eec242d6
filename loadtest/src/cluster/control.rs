//! The control plane: etcd and kube-apiserver in a host of the lab, and controllers beside them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use onepull_testbed::{ApiServer, Host, Lab, Process, Shape, kube::Credential, kube::Options};

use super::objects::{self, CONTROLLER, NAMESPACE};
use crate::fleet::FleetError;

/// All that is installed: the definitions, and what controllers and agents may do. Pods are made of none of
/// it, as nobody here makes any; those of the lab's own processes stand in for them.
const INSTALLED: &str = include_str!("../../../deploy/kustomize/base/onepull.yaml");

/// The ports of the first controller; each next one has the next.
const LOGINS: u16 = 29911;
const ADMIN: u16 = 29921;

/// What a machine's proxy is named by. Nothing in a lab is behind one.
const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];

/// The control plane. Fields are in the order in which they have to go.
pub(super) struct Control {
    pub(super) controllers: Vec<Process>,
    pub(super) server: ApiServer,
    host: Host,
    folder: PathBuf,
}

// === impl Control ===

impl Control {
    /// Starts etcd and kube-apiserver; `folder` is for what they are given to read.
    pub(super) async fn start(lab: &Lab, folder: &Path) -> Result<Self, FleetError> {
        let failed = "start the API server";
        let host = lab.node("control", Shape::OPEN).map_err(FleetError::setup(failed))?;
        let server = ApiServer::start_with(Options { host: Some(&host) }).await;
        let server = server.map_err(FleetError::setup(failed))?;
        Ok(Self { controllers: Vec::new(), server, host, folder: folder.to_owned() })
    }

    /// Installs onepull; its namespace is there.
    pub(super) async fn install(&self) -> Result<(), FleetError> {
        self.create("onepull", INSTALLED).await?;
        let crds = ["crd/imagecaches.onepull.dev", "crd/nodeimagecaches.onepull.dev"];
        let wait = ["wait", "--for=condition=Established", "--timeout=60s"];
        self.kubectl(&[&wait[..], &crds].concat()).await.map(drop)
    }

    /// Runs kubectl as the administrator.
    pub(super) async fn kubectl(&self, arguments: &[&str]) -> Result<String, FleetError> {
        let said = self.server.kubectl(arguments).await;
        said.map_err(FleetError::setup(format!("run kubectl {}", arguments.join(" "))))
    }

    /// Creates objects, given as YAML or JSON; `name` is that of the file.
    pub(super) async fn create(&self, name: &str, objects: &str) -> Result<(), FleetError> {
        let file = self.write(name, objects)?;
        self.kubectl(&["create", "-f", &file.to_string_lossy()]).await.map(|_| ())
    }

    /// Writes a file for kubectl.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, FleetError> {
        let file = self.folder.join(format!("{name}.yaml"));
        fs::write(&file, text).map_err(FleetError::setup(format!("write {}", file.display())))?;
        Ok(file)
    }

    /// A token of one of onepull's service accounts, bound to `pod`, for an audience other than the API
    /// server.
    pub(super) async fn token(
        &self,
        account: &str,
        pod: Option<&str>,
        audience: Option<&str>,
    ) -> Result<String, FleetError> {
        let namespace = format!("--namespace={NAMESPACE}");
        let bound = pod.map(|pod| format!("--bound-object-name={pod}"));
        let audience = audience.map(|audience| format!("--audience={audience}"));
        let mut arguments = vec!["create", "token", account, &namespace];
        arguments.extend(bound.iter().flat_map(|pod| ["--bound-object-kind=Pod", pod.as_str()]));
        arguments.extend(audience.as_deref());
        Ok(self.kubectl(&arguments).await?.trim().to_owned())
    }

    /// A kubeconfig for one of onepull's service accounts, with a token that is bound to `pod`.
    pub(super) async fn kubeconfig(
        &self,
        account: &str,
        pod: Option<&str>,
    ) -> Result<PathBuf, FleetError> {
        let token = Credential::token(self.token(account, pod, None).await?);
        let file = self.folder.join(format!("{}.kubeconfig", pod.unwrap_or(account)));
        let written = self.server.write_kubeconfig(&file, &self.server.url_in_lab(), &token);
        written.map_err(FleetError::setup(format!("write a kubeconfig for {account}")))?;
        Ok(file)
    }

    /// Starts one more controller, for a registry without TLS.
    pub(super) async fn start_controller(
        &mut self,
        program: &Path,
        registry: &str,
    ) -> Result<(), FleetError> {
        let kubeconfig = self.kubeconfig(CONTROLLER, None).await?;
        let number = self.controllers.len() + 1;
        let identity = identity(number);
        let [logins, admin] = [LOGINS, ADMIN].map(|first| port(first, number));
        let mut command = self.host.command(program);
        command.args(["serve", "--namespace", NAMESPACE, "--identity", &identity]);
        command.args(["--plain-http", registry, "--log-format", "json"]);
        // All nodes of a lab are on one disk, that of this machine, whatever else is on it.
        command.args(["--disk-reserve", "0", "--disk-budget", "100"]);
        for (flag, port) in [("--logins", logins), ("--admin-listen", admin)] {
            command.arg(flag).arg(format!("{}:{port}", self.host.ip()));
        }
        command.env("KUBECONFIG", kubeconfig);
        without_proxies(&mut command);
        let process = Process::spawn(command, self.folder.join(format!("{identity}.log")));
        self.controllers.push(process.map_err(FleetError::setup("start the controller"))?);
        let slice = objects::controllers(&identity, self.host.ip(), logins);
        self.create(&format!("{identity}.slice"), &slice.to_string()).await
    }

    /// Ends the controller that holds the lease by SIGKILL; returns its name.
    pub(super) async fn kill_leader(&mut self) -> Result<String, FleetError> {
        let namespace = format!("--namespace={NAMESPACE}");
        let holder = "jsonpath={.spec.holderIdentity}";
        let lease = ["get", "lease", "onepull-controller", &namespace, "-o", holder];
        let leader = self.kubectl(&lease).await?.trim().to_owned();
        let numbered = (1..).zip(&mut self.controllers);
        let found = numbered.into_iter().find(|(number, _)| leader == identity(*number));
        let nobody = || format!("{leader} holds it");
        let (_, process) =
            found.ok_or_else(|| FleetError::setup("find who holds the lease")(nobody()))?;
        process.kill();
        Ok(leader)
    }

    /// A client of this process, as the administrator.
    pub(super) async fn client(&self) -> Result<Client, FleetError> {
        let failed = || "reach the API server";
        let read = Kubeconfig::read_from(self.server.kubeconfig());
        let read = read.map_err(FleetError::setup(failed()))?;
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
        let config = config.map_err(FleetError::setup(failed()))?;
        Client::try_from(config).map_err(FleetError::setup(failed()))
    }
}

/// What a controller calls itself.
fn identity(number: usize) -> String {
    format!("controller-{number}")
}

fn port(first: u16, number: usize) -> u16 {
    first + u16::try_from(number - 1).unwrap_or_default()
}

fn without_proxies(command: &mut Command) {
    for name in PROXIES {
        command.env_remove(name);
    }
}
