//! A slow link to a registry.

use std::{net::SocketAddr, sync::Arc};

use onepull_mirror::Throttle;
use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// An image of 20 MiB takes about 2 s.
const BYTES_PER_SECOND: u64 = 10_000_000;

/// Passes connections on; all answers together are slow. Ends when it is dropped.
pub(crate) struct Relay {
    address: SocketAddr,
    _task: JoinSet<()>,
}

impl Relay {
    pub(crate) async fn start(registry: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let (throttle, mut links) = (Arc::new(Throttle::new(BYTES_PER_SECOND)), JoinSet::new());
            while let Ok((client, _)) = listener.accept().await {
                links.spawn(pass(client, registry, Arc::clone(&throttle)));
            }
        });
        Self { address, _task: task }
    }

    pub(crate) fn name(&self) -> String {
        self.address.to_string()
    }
}

async fn pass(client: TcpStream, registry: SocketAddr, throttle: Arc<Throttle>) -> io::Result<()> {
    let (mut questions, mut to_client) = client.into_split();
    let (mut answers, mut to_registry) = TcpStream::connect(registry).await?.into_split();
    let there = async { copy(&mut questions, &mut to_registry).await.map(drop) };
    let back = async {
        let mut piece = vec![0; 16 * 1024];
        loop {
            let bytes = answers.read(&mut piece).await?;
            if bytes == 0 {
                return Ok(());
            }
            throttle.take(bytes).await;
            to_client.write_all(&piece[..bytes]).await?;
        }
    };
    tokio::select! { ended = there => ended, ended = back => ended }
}
