//! A name server for a lab (Debian's dnsmasq): nodes find a registry by its name, as in any network.
//!
//! Needs [`Requirement::Pods`](crate::Requirement).

use std::{net::Ipv4Addr, time::Duration};

use anyhow::Result;
use tempfile::TempDir;

use super::lab::{HUB, Lab};
use crate::process::Process;

/// It listens within 100 ms on an idle machine.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// Its last word before it answers.
const READY: &str = "read /etc/hosts";

/// Answers with what it was told, and knows no other name. Dropping it ends it.
#[derive(Debug)]
pub struct Names {
    _server: Process,
    _folder: TempDir,
}

// === impl Names ===

impl Names {
    /// Starts one in the hub of a lab.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub async fn start(lab: &Lab, known: &[(&str, Ipv4Addr)]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("onepull-names-").tempdir()?;
        let mut command = lab.command("dnsmasq");
        command.args(["--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null"]);
        command.args(["--no-resolv", "--bind-interfaces", "--user=root", "--pid-file="]);
        command.arg(format!("--listen-address={HUB}"));
        for (name, address) in known {
            // The second: it has no other address, IPv6 for example.
            command.arg(format!("--host-record={name},{address}")).arg(format!("--local=/{name}/"));
        }
        let mut server = Process::spawn(command, folder.path().join("dnsmasq.log"))?;
        let log = server.log().to_owned();
        let ready = async || std::fs::read_to_string(&log).ok()?.contains(READY).then_some(());
        server.ready("the name server started", READY_LIMIT, ready).await?;
        Ok(Self { _server: server, _folder: folder })
    }

    /// Where it is asked.
    pub fn address(&self) -> Ipv4Addr {
        HUB
    }
}
