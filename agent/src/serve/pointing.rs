//! Points containerd at the mirror when the agent starts, and keeps what became of it: a node whose
//! containerd goes past the mirror is not ready, or a rollout of such nodes would look healthy.

use std::net::SocketAddr;

use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use crate::{
    config::Config,
    hosts::{self, FileReport, HostsConfig, Outcome, Report},
};

/// Puts the mirror into hosts.toml, or says why that failed. The agent serves its peers even then.
pub(super) async fn point_containerd_here(
    config: &Config,
    mirror: SocketAddr,
) -> Result<(), String> {
    let hosts = HostsConfig { mirror, ..config.hosts() };
    let installed = match spawn_blocking(move || hosts::install(&hosts)).await {
        Ok(Ok(report)) => pointed(&report),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    installed.map_err(|reason| {
        let reason = format!("containerd was not pointed at this mirror: {reason}");
        error!("{reason}");
        reason
    })
}

/// Whether any file names the mirror now; one registry's broken file does not unready the node.
fn pointed(report: &Report) -> Result<(), String> {
    let mut refused = Vec::new();
    for file in &report.files {
        match file.outcome {
            Outcome::Refused(_) => {
                warn!("{file}");
                refused.push(file.to_string());
            }
            _ => info!("{file}"),
        }
    }
    let names_mirror = |file: &FileReport| {
        matches!(file.outcome, Outcome::Created | Outcome::Merged | Outcome::Unchanged)
    };
    if report.files.iter().any(names_mirror) { Ok(()) } else { Err(refused.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::FileError;

    fn report(outcomes: Vec<Outcome>) -> Report {
        let file = |outcome| FileReport { file: "certs.d/_default/hosts.toml".into(), outcome };
        Report { files: outcomes.into_iter().map(file).collect() }
    }

    #[test]
    fn a_node_whose_containerd_goes_past_the_mirror_is_not_ready() {
        let refused = || Outcome::Refused(FileError::NotText);
        assert_eq!(pointed(&report(vec![refused(), Outcome::Unchanged])), Ok(()));
        let reason = pointed(&report(vec![Outcome::Removed, refused()])).unwrap_err();
        assert!(reason.contains("hosts.toml: left as it is"), "{reason}");
    }
}
