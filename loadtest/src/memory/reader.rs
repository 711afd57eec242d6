//! A peer that takes a layer from an agent, again and again.

use std::{io, net::SocketAddr, time::Duration};

use onepull_mirror::Digest;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

/// Bytes read at a time.
const PIECE: usize = 64 * 1024;
/// What a slow reader waits after each piece: 1 MiB/s or so, so the agent's socket is always full.
const SLOWLY: Duration = Duration::from_millis(60);
/// An agent that sends nothing for this long has given the stream up.
const STALL: Duration = Duration::from_secs(30);

/// How a reader reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pace {
    /// As fast as it can.
    Fast,
    /// Slower than any link.
    Slow,
}

/// Reads `layer` from `peer` until the time has come; the bytes read.
pub(super) async fn read(
    peer: SocketAddr,
    layer: Digest,
    pace: Pace,
    until: Instant,
) -> io::Result<u64> {
    let mut bytes = 0;
    while Instant::now() < until {
        let mut stream = ask(peer, layer).await?;
        bytes += drain(&mut stream, pace, until).await?;
    }
    Ok(bytes)
}

async fn ask(peer: SocketAddr, layer: Digest) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(peer).await?;
    let request =
        format!("GET /peer/v1/blobs/{layer} HTTP/1.1\r\nHost: {peer}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    match &status {
        b"HTTP/1.1 200" => Ok(stream),
        other => Err(io::Error::other(format!("it answered {}", String::from_utf8_lossy(other)))),
    }
}

async fn drain(stream: &mut TcpStream, pace: Pace, until: Instant) -> io::Result<u64> {
    let (mut piece, mut bytes) = (vec![0; PIECE], 0);
    while Instant::now() < until {
        match timeout(STALL, stream.read(&mut piece)).await?? {
            0 => break,
            read => bytes += read as u64,
        }
        if pace == Pace::Slow {
            sleep(SLOWLY).await;
        }
    }
    Ok(bytes)
}
