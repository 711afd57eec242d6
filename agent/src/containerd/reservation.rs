//! Layers that the runtime waits for before it takes a download slot (ADR 30).
//!
//! Who has a layer's file open is the only one who writes it. A pull that finds it taken looks again, at
//! the latest two seconds later, and goes on when it is free.

use std::time::Duration;

use async_trait::async_trait;
use containerd_client::{
    services::v1::{
        AbortRequest, WriteAction, WriteContentRequest, WriteContentResponse,
        content_client::ContentClient,
    },
    tonic::{Streaming, transport::Channel},
};
use futures::{FutureExt, channel::mpsc};
use onepull_mirror::{
    Digest, Reservation,
    sink::{Part, Role},
};
use tokio::time::timeout;
use tracing::debug;

use super::{
    ContainerdError,
    namespace::{answer, in_namespace},
    sink::name,
    version::Version,
};

/// The first release that takes a slot for each request, and none while it waits for a file. Those
/// before 2.0 also keep all else from their database while they look again.
pub(super) const SINCE: Version = Version(2, 1);

/// For each step: an entry in a database. Whoever waits for the reservation has a shorter one.
const DEADLINE: Duration = Duration::from_secs(2);

/// An empty file that is open. containerd closes it when the stream ends.
struct Open {
    client: ContentClient<Channel>,
    name: String,
    requests: mpsc::Sender<WriteContentRequest>,
    answers: Streaming<WriteContentResponse>,
}

/// Opens a layer of which nothing is here; `None` when something is.
///
/// # Errors
/// When it is complete, when somebody else has it open, and when containerd does not answer.
pub(super) async fn reserve(
    channel: Channel,
    layer: &Digest,
    size: u64,
) -> Result<Option<Box<dyn Reservation>>, ContainerdError> {
    const RESERVING: &str = "open a layer for later";
    let part = Part { image: *layer, role: Role::Layer, digest: *layer, size };
    let name = name(&part);
    let first = WriteContentRequest {
        action: WriteAction::Stat.into(),
        r#ref: name.clone(),
        expected: layer.to_string(),
        total: i64::try_from(size).unwrap_or(i64::MAX),
        ..Default::default()
    };
    let (mut requests, receiver) = mpsc::channel(1);
    // The channel is empty.
    let _ = requests.try_send(first);
    let mut client = ContentClient::new(channel);
    let call = client.write(in_namespace(receiver));
    let mut answers = answer(RESERVING, DEADLINE, call).await?;
    let opened = timeout(DEADLINE, answers.message()).await;
    let opened = opened.map_err(|_| ContainerdError::TimedOut { step: RESERVING })?;
    let opened = opened.map_err(|status| ContainerdError::call(RESERVING, status))?;
    let is_empty = opened.is_some_and(|opened| opened.offset == 0);
    let open = Open { client, name, requests, answers };
    Ok(is_empty.then(|| Box::new(open) as _))
}

#[async_trait]
impl Reservation for Open {
    /// Nobody else has the name before the stream ends, so what is dropped first is the empty file. A stream
    /// that has ended, with the containerd of its time perhaps, has let go already.
    async fn release(self: Box<Self>) {
        let Self { mut client, name, requests, mut answers } = *self;
        if answers.message().now_or_never().is_some() {
            return;
        }
        let request = AbortRequest { r#ref: name.clone() };
        let call = client.abort(in_namespace(request));
        if let Err(error) = answer("let go of a layer", DEADLINE, call).await {
            debug!(name, %error, "its file stays, and is free");
        }
        drop(requests);
        let ends = async { while let Ok(Some(_)) = answers.message().await {} };
        let _ = timeout(DEADLINE, ends).await;
    }
}
