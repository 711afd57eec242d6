//! How long the mirror takes to say that no node has a blob, asked as the runtime asks.
//!
//! Nodes are asked one after the other, each over one connection of its own; nothing else happens.

use std::{io, net::SocketAddr, time::Duration};

use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
    header::HOST,
};
use hyper_util::rt::TokioIo;
use onepull_mirror::Digest;
use serde::{Deserialize, Serialize};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

/// A mirror that answers later than that has hung; its own deadline is 9.5 s.
const HUNG: Duration = Duration::from_secs(15);
/// Between two requests: a node that misses says once a second, for a while, that nothing came
/// to it, and a network that is full of that would not be idle.
const PAUSE: Duration = Duration::from_millis(50);

/// What misses took. Times are in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Misses {
    /// Nodes with an agent, all of which were asked.
    pub nodes: u32,
    /// Requests, all of them answered with 404.
    pub requests: usize,
    /// Half of them took no longer.
    pub p50: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// The longest.
    pub worst: f64,
}

/// Asks `mirror` for `count` blobs that nobody has, and times each answer.
///
/// # Errors
/// When an answer is another than 404, or does not come.
pub async fn ask(mirror: SocketAddr, salt: usize, count: usize) -> io::Result<Vec<Duration>> {
    let stream = TcpStream::connect(mirror).await?;
    stream.set_nodelay(true)?;
    let (mut client, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let mut took = Vec::with_capacity(count);
    for number in 0..count {
        let digest = Digest::sha256(format!("a blob that nobody has: {salt}, {number}").as_bytes());
        let asked = Instant::now();
        timeout(HUNG, miss(&mut client, &digest)).await??;
        took.push(asked.elapsed());
        sleep(PAUSE).await;
    }
    Ok(took)
}

async fn miss(client: &mut SendRequest<Empty<Bytes>>, digest: &Digest) -> io::Result<()> {
    let path = format!("/v2/loadtest/image/blobs/{digest}?ns=registry.example");
    let request = Request::get(path).header(HOST, "registry.example").body(Empty::new());
    let request = request.map_err(io::Error::other)?;
    let response = client.send_request(request).await.map_err(io::Error::other)?;
    let status = response.status();
    response.into_body().collect().await.map_err(io::Error::other)?;
    match status {
        StatusCode::NOT_FOUND => Ok(()),
        other => Err(io::Error::other(format!("the mirror answered {other} instead of 404"))),
    }
}

// === impl Misses ===

impl Misses {
    /// `None` without any.
    pub fn of(nodes: u32, mut took: Vec<Duration>) -> Option<Self> {
        took.sort_unstable();
        let at = |rank: usize| took.get(rank.checked_sub(1)?).map(Duration::as_secs_f64);
        // The nearest rank: the least that so many of a hundred did not exceed.
        let percentile = |percent: usize| at((took.len() * percent).div_ceil(100));
        let (p50, p99, worst) = (percentile(50)?, percentile(99)?, at(took.len())?);
        Some(Self { nodes, requests: took.len(), p50, p99, worst })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let took: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        let expected = Misses { nodes: 8, requests: 200, p50: 0.1, p99: 0.198, worst: 0.2 };
        assert_eq!(Misses::of(8, took), Some(expected));
        let one = Misses::of(1, vec![Duration::from_secs(1)]).unwrap();
        assert_eq!((one.p50, one.p99, one.worst), (1.0, 1.0, 1.0));
        assert_eq!(Misses::of(8, Vec::new()), None);
    }
}
