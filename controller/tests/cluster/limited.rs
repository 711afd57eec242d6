//! A registry that asks everybody to wait.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What it answers to whatever it is asked.
const ANSWER: &str = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 40\r\nContent-Length: 0\r\n\
    Connection: close\r\n\r\n";

/// Listens until it is dropped.
pub(crate) struct Limited {
    address: SocketAddr,
    _answering: JoinSet<()>,
}

// === impl Limited ===

impl Limited {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut answering = JoinSet::new();
        answering.spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                // A client that hangs up is its own affair.
                let _ = answer(connection).await;
            }
        });
        Self { address, _answering: answering }
    }

    /// The first part of the names of its images.
    pub(crate) fn name(&self) -> String {
        self.address.to_string()
    }
}

async fn answer(connection: TcpStream) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    let mut line = String::new();
    while connection.read_line(&mut line).await? > 2 {
        line.clear();
    }
    connection.write_all(ANSWER.as_bytes()).await
}
