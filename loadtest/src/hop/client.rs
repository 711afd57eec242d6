//! A client that costs as little as a client can: it reads a body and throws it away.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Bytes read at a time.
const CHUNK: usize = 1024 * 1024;
/// A body that stops for this long has hung.
const STALL: Duration = Duration::from_secs(60);

/// What was fetched, from the request to the last byte.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fetched {
    /// Bytes of the body.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Fetches `http://HOST:PORT/PATH`.
///
/// # Errors
/// When the server cannot be reached, or does not answer 200.
pub fn fetch(url: &str) -> io::Result<Fetched> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let rest = url.strip_prefix("http://").and_then(|rest| rest.split_once('/'));
    let (host, path) =
        rest.ok_or_else(|| invalid(format!("{url} is not http://HOST:PORT/PATH")))?;
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(STALL))?;
    let start = Instant::now();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut reader = BufReader::with_capacity(CHUNK, stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    if line.split(' ').nth(1) != Some("200") {
        return Err(invalid(format!("{url} answered {}", line.trim())));
    }
    while line.trim() != "" {
        line.clear();
        reader.read_line(&mut line)?;
    }
    let mut bytes = 0;
    let mut chunk = vec![0; CHUNK];
    loop {
        match reader.read(&mut chunk)? {
            0 => return Ok(Fetched { bytes, seconds: start.elapsed().as_secs_f64() }),
            read => bytes += read as u64,
        }
    }
}
