//! The way to the API server: that of KUBECONFIG, or that of the pod which the agent runs in.

use ::kube::{Client, Config};
use tokio::time::Duration;

/// An API server in the same cluster answers a SYN at once.
const CONNECT: Duration = Duration::from_secs(5);

/// Longest silence on a connection. A watch ends by itself after 290 s and is told of earlier, so one
/// that is silent for longer is dead.
const SILENCE: Duration = Duration::from_secs(330);

/// Reads the configuration; the first question makes the connection.
///
/// # Errors
/// A sentence that says what is missing.
pub(super) async fn client() -> Result<Client, String> {
    let missing = |error: &dyn std::fmt::Display| {
        format!(
            "there is no way to the API server: run in a pod with a service account, or set \
             KUBECONFIG ({error})"
        )
    };
    let mut config = Config::infer().await.map_err(|error| missing(&error))?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    config.write_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    Client::try_from(config).map_err(|error| missing(&error))
}
