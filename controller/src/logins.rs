//! Hands the logins of a pull to the node that is told to make it, and to nobody else.
//!
//! Every controller answers, whether it leads or not: what it needs stands in objects. The API server
//! says whose token it is, the node's NodeImageCache whether that node pulls the image from its
//! registry now, and for whom; the secrets that those caches name are read at that moment and
//! kept nowhere. The protocol is in [`onepull_api::logins`].

use std::{net::SocketAddr, sync::Arc};

use kube::Client;
use onepull_admin::{ListenError, bind};
use thiserror::Error;
use tokio::{net::TcpListener, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::info;

mod asker;
mod authority;
mod grant;
mod https;
mod published;
mod refusal;

use asker::Reviewer;
use authority::Authority;
use grant::Granter;
use published::Published;

/// For answers under way when the process ends.
const DRAIN: Duration = Duration::from_secs(5);

/// Where logins are handed out, and who this controller is.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The namespace that onepull is installed in.
    pub namespace: String,
    /// Another one for each replica.
    pub identity: String,
}

/// Why logins cannot be handed out.
#[derive(Debug, Error)]
pub enum LoginsError {
    /// The port is taken, or not for us.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// There is no certificate.
    #[error("cannot make a certificate: {0}")]
    Certificate(String),
}

/// A listener, ready to answer.
pub struct Logins {
    listener: TcpListener,
    authority: Authority,
    published: Published,
    desk: Arc<Desk>,
}

/// What answering takes.
struct Desk {
    reviewer: Reviewer,
    granter: Granter,
}

// === impl Logins ===

impl Logins {
    /// Opens the port and makes a certificate. Its key stays in this process.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub async fn open(client: &Client, config: &Config) -> Result<Self, LoginsError> {
        let Config { listen, namespace, identity } = config;
        let listener = bind(*listen, "--logins").await?;
        let name = onepull_api::logins::server_name(namespace);
        let authority =
            Authority::new(&name).map_err(|error| LoginsError::Certificate(error.to_string()))?;
        let published = Published::new(client.clone(), namespace, identity, authority.pem());
        let desk = Desk {
            reviewer: Reviewer::new(client.clone(), namespace),
            granter: Granter::new(client.clone()),
        };
        Ok(Self { listener, authority, published, desk: Arc::new(desk) })
    }

    /// Answers until `running` is cancelled, and takes its authority back.
    pub async fn serve(self, running: CancellationToken) {
        let Self { listener, authority, published, desk } = self;
        let tasks = TaskTracker::new();
        let keeps = running.clone();
        let published = Arc::new(published);
        let keeper = Arc::clone(&published);
        tasks.spawn(async move { keeps.run_until_cancelled(keeper.keep()).await });
        if let Ok(address) = listener.local_addr() {
            info!(%address, "hands the logins of pulls to the nodes that make them");
        }
        https::serve(listener, authority.config(), desk, running, &tasks).await;
        tasks.close();
        let _ = tokio::time::timeout(DRAIN, tasks.wait()).await;
        published.withdraw().await;
    }
}
