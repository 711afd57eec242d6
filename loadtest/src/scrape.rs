//! Asking an agent's admin listener.

use std::{io, net::SocketAddr, time::Duration};

use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

/// An admin listener that works answers within milliseconds, on a loaded machine within a second.
const DEADLINE: Duration = Duration::from_secs(5);

/// The status and text that `http://address/path` answers with.
///
/// # Errors
/// When there is no answer within 5 s.
pub async fn get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let answer = timeout(DEADLINE, ask(address, path)).await;
    answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn ask(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let stream = TcpStream::connect(address).await?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(io::Error::other)?;
    let request = Request::get(path).header(HOST, address.to_string());
    let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok::<_, hyper::Error>((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer.map_err(io::Error::other),
        // It may end right after the last byte, before the answer was looked at.
        _ = connection => exchange.await.map_err(io::Error::other),
    }
}

/// The value of a metric without labels in a text of the Prometheus or OpenMetrics format.
pub fn metric(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let text = "# TYPE a gauge\na_b 1\na 2\na{x=\"y\"} 3\n# EOF\n";
        assert_eq!(metric(text, "a"), Some(2.0));
        assert_eq!(metric(text, "a_b"), Some(1.0));
        assert_eq!(metric(text, "b"), None);
    }
}
