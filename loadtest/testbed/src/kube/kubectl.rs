//! kubectl, as a person uses it.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::{process::Command, time::timeout};

/// One answer; most are there in 100 ms, and a `wait` says itself how long it waits.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// kubectl of the server's release, with a kubeconfig.
#[derive(Debug)]
pub(super) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

// === impl Kubectl ===

impl Kubectl {
    pub(super) fn new(programs: &Path, kubeconfig: &Path) -> Self {
        Self { program: programs.join("kubectl"), kubeconfig: kubeconfig.to_owned() }
    }

    /// What it printed. What it learns of the server is kept beside the kubeconfig, not in the
    /// user's home.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        command.arg("--cache-dir").arg(self.kubeconfig.with_extension("cache"));
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        let ended = timeout(ANSWER_LIMIT, command.output());
        let output = ended.await.context("kubectl did not answer in time")??;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {}", arguments.join(" "), said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
