//! Can the agent listen where it wants to?

use std::{io, net::SocketAddr};

use tokio::net::TcpListener;

use super::{CheckConfig, Finding};

const NAME: &str = "ports";

pub(super) async fn check(config: &CheckConfig, agent_runs: bool) -> Vec<Finding> {
    let wanted = [
        ("--mirror-listen", config.hosts.mirror),
        ("--peer-listen", config.peer_listen),
        ("--p2p-listen", config.p2p_listen),
        ("--admin-listen", config.admin_listen),
    ];
    let mut findings = Vec::new();
    // All are held until the end, so that one address for two of them shows.
    let mut held = Vec::new();
    for (flag, address) in wanted {
        match TcpListener::bind(address).await {
            Ok(listener) => held.push(listener),
            // No other program's name can be told from here, but our agent says its own.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && agent_runs => {}
            Err(error) => findings.push(refused(flag, address, &error)),
        }
    }
    if findings.is_empty() {
        let what = if held.len() == wanted.len() { "free" } else { "held by the running agent" };
        let addresses = wanted.map(|(_, address)| address.to_string()).join(", ");
        findings.push(Finding::ok(NAME, format!("{addresses}: {what}")));
    }
    findings
}

fn refused(flag: &str, address: SocketAddr, error: &io::Error) -> Finding {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => Finding::broken(
            NAME,
            format!("{address} ({flag}) is taken by another program"),
            &format!("find it with: ss -ltnp 'sport = :{port}'; stop it, or change {flag}"),
        ),
        io::ErrorKind::AddrNotAvailable => Finding::broken(
            NAME,
            format!("{address} ({flag}) is no address of this node"),
            &format!("change {flag}"),
        ),
        _ => Finding::broken(
            NAME,
            format!("cannot listen on {address} ({flag}): {error}"),
            &format!("change {flag}, or run with the rights for it"),
        ),
    }
}
