//! kube-controller-manager and kube-scheduler: with them objects become pods, and namespaces are what they are in a
//! cluster.

use anyhow::Result;

use super::server::ApiServer;
use crate::process::Process;

/// Of one API server. Dropping it ends both.
#[derive(Debug)]
pub struct ControlPlane {
    controllers: Process,
    scheduler: Process,
}

// === impl ControlPlane ===

impl ControlPlane {
    /// Starts both where the API server runs. They find their way by themselves; nothing has to wait for them.
    ///
    /// # Errors
    /// When they cannot be started.
    pub fn start(server: &ApiServer) -> Result<Self> {
        let mut controllers = server.program("kube-controller-manager")?;
        let keys = server.token_key();
        controllers.arg(format!("--service-account-private-key-file={}", keys.display()));
        controllers.arg(format!("--root-ca-file={}", server.authority().display()));
        // Nodes are few and near: what is gone is known in seconds.
        controllers.args(["--node-monitor-grace-period=20s", "--node-monitor-period=2s"]);
        let mut scheduler = server.program("kube-scheduler")?;
        for program in [&mut controllers, &mut scheduler] {
            program.args(["--leader-elect=false", "--bind-address=127.0.0.1"]);
        }
        Ok(Self {
            controllers: Process::spawn(controllers, server.log_of("kube-controller-manager"))?,
            scheduler: Process::spawn(scheduler, server.log_of("kube-scheduler"))?,
        })
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        for process in [&mut self.controllers, &mut self.scheduler] {
            if std::thread::panicking() {
                eprintln!("{} ends:\n{}", process.log().display(), process.tail());
            }
            process.kill();
        }
    }
}
