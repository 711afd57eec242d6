//! A few requests to the admin endpoint of the agent that may run here already.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Uri, body::Bytes, header};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::time::timeout;

/// The endpoint is on this node and answers from memory.
const DEADLINE: Duration = Duration::from_secs(2);

/// An agent's metrics have some ten KiB; another program's answer is not to fill the memory.
const LARGEST_ANSWER: usize = 4 << 20;

/// How an agent signs its answers.
pub(crate) const SIGNATURE: &str = "onepull/";

/// The sum of pulls that somebody made to see whether the mirror is asked.
const PROBES: &str = "onepull_mirror_probe_requests_total";

/// Whether it is our agent that listens there.
pub(super) async fn agent_runs(admin: SocketAddr) -> bool {
    get(admin, "/livez").await.is_some_and(|(server, _)| server.starts_with(SIGNATURE))
}

/// How often the mirror of the running agent was asked for the image of the check.
pub(super) async fn probes(admin: SocketAddr) -> Option<u64> {
    let (_, body) = get(admin, "/metrics").await?;
    count(&body)
}

fn count(metrics: &str) -> Option<u64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(PROBES))?;
    line.trim().parse().ok()
}

/// The `Server` header and the body; `None` when there is no HTTP answer in time.
pub(crate) async fn get(at: SocketAddr, path: &str) -> Option<(String, String)> {
    let uri: Uri = format!("http://{}{path}", reachable(at)).parse().ok()?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let answer = async {
        let response = client.get(uri).await.ok()?;
        let server = response.headers().get(header::SERVER).and_then(|value| value.to_str().ok());
        let server = server.unwrap_or_default().to_owned();
        let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await.ok()?;
        Some((server, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    };
    timeout(DEADLINE, answer).await.ok()?
}

/// Where to connect to reach a listener: one on all addresses is on loopback too.
fn reachable(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    listen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_found_among_other_metrics() {
        let text = "# TYPE onepull_mirror_probe_requests counter\n\
                    onepull_mirror_hits_total 3\nonepull_mirror_probe_requests_total 2\n# EOF\n";
        assert_eq!(count(text), Some(2));
        assert_eq!(count("# EOF\n"), None);
    }

    #[test]
    fn a_listener_on_all_addresses_is_reached_over_loopback() {
        let reached = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(reached("[::]:29903"), "[::1]:29903");
        assert_eq!(reached("0.0.0.0:1"), "127.0.0.1:1");
        assert_eq!(reached("10.0.0.1:1"), "10.0.0.1:1");
    }
}
