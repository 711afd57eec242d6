//! Small HTTP requests: to an agent's admin listener, and to find out whether a server is there.

use std::{io, net::SocketAddr, time::Duration};

use http_body_util::{BodyExt, Empty};
use hyper::{Method, Request, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

/// An admin listener that works answers within milliseconds, on a loaded machine within a second.
const DEADLINE: Duration = Duration::from_secs(5);

/// The status and text that `http://address/path` answers with.
///
/// # Errors
/// When there is no answer within 5 s.
pub async fn get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let answer = timeout(DEADLINE, ask(address, Method::GET, path)).await;
    answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The status that a HEAD of `http://address/path` answers with.
///
/// # Errors
/// When there is no answer within 5 s.
pub async fn head(address: SocketAddr, path: &str) -> io::Result<u16> {
    let answer = timeout(DEADLINE, ask(address, Method::HEAD, path)).await;
    answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map(|answer| answer.0)
}

async fn ask(address: SocketAddr, method: Method, path: &str) -> io::Result<(u16, String)> {
    let stream = TcpStream::connect(address).await?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(io::Error::other)?;
    let request = Request::builder().method(method).uri(path).header(HOST, address.to_string());
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

/// The value of a metric in a text of the Prometheus or OpenMetrics format, summed over its labels;
/// `None` when there is none of that name.
pub fn metric(text: &str, name: &str) -> Option<f64> {
    let series = text.lines().filter_map(|line| value(line.strip_prefix(name)?));
    series.reduce(|sum, value| sum + value)
}

/// What follows a name: labels in braces or none, then the value.
fn value(rest: &str) -> Option<f64> {
    let rest = match rest.strip_prefix('{') {
        Some(labels) => labels.rsplit_once('}')?.1,
        None => rest,
    };
    rest.strip_prefix(' ')?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name_and_summed_over_its_labels() {
        let text = "# TYPE a gauge\na_b 1\na 2\na{x=\"y } 9\"} 3\n# EOF\n";
        assert_eq!(metric(text, "a"), Some(5.0));
        assert_eq!(metric(text, "a_b"), Some(1.0));
        assert_eq!(metric(text, "b"), None);
    }
}
