//! Do the peers answer that this node will join?

use std::{future::Future, io, time::Duration};

use futures::future::join_all;
use tokio::{net::TcpStream, time::timeout};

use super::Finding;
use crate::p2p::HostPort;

const NAME: &str = "peers";

/// Nodes of one cluster are some milliseconds apart; a lost first packet is sent again after 1 s,
/// so this is for a firewall that drops, not for a slow network.
const DEADLINE: Duration = Duration::from_secs(1);

pub(super) async fn check(bootstrap: &[HostPort], service: Option<&str>) -> Vec<Finding> {
    if bootstrap.is_empty() {
        let come = || "none named: this node waits for others to come".to_owned();
        let told =
            |service| format!("service {service} lists them; /readyz says whether one answers");
        return vec![Finding::ok(NAME, service.map_or_else(come, told))];
    }
    let results = join_all(bootstrap.iter().map(|peer| within_deadline(reach(peer)))).await;
    let reached = results.iter().filter(|result| result.is_ok()).count();
    let findings: Vec<_> = bootstrap
        .iter()
        .zip(results)
        .filter_map(|(peer, result)| Some(unreachable(peer, &result.err()?, reached)))
        .collect();
    match findings.is_empty() {
        true => vec![Finding::ok(NAME, format!("all {reached} answer"))],
        false => findings,
    }
}

async fn within_deadline(connect: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    timeout(DEADLINE, connect).await.unwrap_or_else(|elapsed| Err(elapsed.into()))
}

async fn reach(peer: &HostPort) -> io::Result<()> {
    let mut last = io::Error::other("its name has no address");
    for address in peer.resolve().await? {
        match TcpStream::connect(address).await {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// One peer that answers is enough to join; without any, this node stays alone.
fn unreachable(peer: &HostPort, error: &io::Error, reached: usize) -> Finding {
    let what = format!("{peer} cannot be reached: {error}");
    let todo = "start the agent there, or open the port between the nodes";
    match reached {
        0 => Finding::broken(NAME, what, todo),
        _ => Finding::warning(NAME, what, todo),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::check::Verdict;

    #[tokio::test]
    async fn a_peer_that_is_down_is_a_warning_until_no_other_is_up() {
        let up = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let down = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (up_at, down_at) = (up.local_addr().unwrap(), down.local_addr().unwrap());
        drop(down);
        let (up_at, down_at) = (HostPort::from(up_at), HostPort::from(down_at));
        assert_eq!(
            check(std::slice::from_ref(&up_at), None).await,
            [Finding::ok(NAME, "all 1 answer")]
        );
        let verdicts = |findings: Vec<Finding>| -> Vec<_> {
            findings.into_iter().map(|finding| finding.verdict).collect()
        };
        assert_eq!(verdicts(check(&[up_at, down_at.clone()], None).await), [Verdict::Warning]);
        assert_eq!(verdicts(check(&[down_at], None).await), [Verdict::Problem]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_answers_costs_one_deadline() {
        let started = tokio::time::Instant::now();
        let error = within_deadline(std::future::pending()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed(), DEADLINE);
    }
}
