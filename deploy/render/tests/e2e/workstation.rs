//! Who installs onepull: a machine in the cluster's network with this repository, Helm and kubectl.

use std::{fs, net::Ipv4Addr, path::PathBuf};

use onepull_deploy::deploy;
use onepull_testbed::{ApiServer, Host, Machine, process::run, tools};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

/// The registry has no TLS, which skopeo has to be told.
const REGISTRIES: &str = "[[registry]]\nlocation = \"registry.example\"\ninsecure = true\n";

pub(crate) struct Workstation {
    machine: Machine,
    kubeconfig: PathBuf,
    folder: TempDir,
    _host: Host,
}

// === impl Workstation ===

impl Workstation {
    pub(crate) async fn start(host: Host, server: &ApiServer, names: Ipv4Addr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::start(&host, &folder.path().join("machine")).await.unwrap();
        let write = |path: &str, text: String| {
            let file = machine.see(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            let _ = fs::remove_file(&file);
            fs::write(file, text).unwrap();
        };
        write("/etc/resolv.conf", format!("nameserver {names}\n"));
        write("/etc/containers/registries.conf.d/example.conf", REGISTRIES.to_owned());
        let kubeconfig = folder.path().join("kubeconfig");
        let admin = server.credential("admin", Some("system:masters")).unwrap();
        server.write_kubeconfig(&kubeconfig, &server.url_in_lab(), &admin).unwrap();
        Self { machine, kubeconfig, folder, _host: host }
    }

    /// What a script prints that is typed there, in this repository.
    pub(crate) async fn tries(&self, script: &str) -> anyhow::Result<String> {
        let mut shell = self.machine.command("bash");
        let helm = tools::helm_program();
        let folders = [helm.parent().unwrap(), &tools::kubernetes_folder()];
        let [helm, kubernetes] = folders.map(|folder| folder.to_string_lossy().into_owned());
        // Who enters a machine is in its root folder.
        let here = deploy().join("..").to_string_lossy().into_owned();
        let path = format!("{helm}:{kubernetes}:{here}/target/debug");
        let script = format!("PATH={path}:$PATH\ncd {here}\n{script}");
        shell.args(["-euo", "pipefail", "-c", &script]);
        shell.env("KUBECONFIG", &self.kubeconfig).env("KUBECACHEDIR", self.folder.path());
        for place in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            shell.env(place, self.folder.path());
        }
        // What `make image` builds from: these programs are there already.
        shell.env("PROFILE", "dev");
        spawn_blocking(move || run(&mut shell)).await.unwrap()
    }

    /// As [`Workstation::tries`], and it has to succeed.
    pub(crate) async fn types(&self, script: &str) -> String {
        self.tries(script).await.unwrap()
    }
}
