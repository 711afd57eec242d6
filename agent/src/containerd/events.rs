//! containerd's events, reduced to what they mean for the list of complete blobs.

use containerd_client::{
    events::{ContentCreate, ContentDelete},
    services::v1::{SubscribeRequest, events_client::EventsClient},
    tonic::transport::Channel,
    types::Envelope,
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use onepull_mirror::Digest;
use prost_types::Any;

use super::{
    ContainerdError,
    namespace::{NAMESPACE, in_namespace},
};

const STEP: &str = "send its events";

/// What an event says about complete blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A blob is complete now. Only 2.x tells.
    Created {
        /// Which one.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// A client deleted a blob.
    Deleted {
        /// Which one.
        digest: Digest,
    },
    /// An image came, moved or went, and blobs with it; which, only a listing tells.
    Images,
}

/// Follows the events of the namespace, from about the moment of the first poll.
///
/// containerd answers the call only with its first event, so there is no telling when the
/// subscription stands: a listing soon after has to cover the gap.
pub(super) fn subscribe(
    channel: Channel,
) -> impl Stream<Item = Result<Change, ContainerdError>> + Send {
    let topic = |prefix| format!("namespace=={NAMESPACE},topic~=\"^/{prefix}/\"");
    let filters = vec![topic("content"), topic("images")];
    let call = async move {
        let mut client = EventsClient::new(channel);
        client.subscribe(in_namespace(SubscribeRequest { filters })).await
    };
    stream::once(call)
        .map_ok(|response| response.into_inner())
        .try_flatten()
        .map_err(|status| ContainerdError::call(STEP, status))
        .try_filter_map(|envelope| std::future::ready(Ok(read(envelope))))
        .fuse()
}

/// An event that cannot be read is worth a listing, which is always right.
fn read(envelope: Envelope) -> Option<Change> {
    match envelope.topic.as_str() {
        "/content/create" => Some(created(envelope.event).unwrap_or(Change::Images)),
        "/content/delete" => Some(deleted(envelope.event).unwrap_or(Change::Images)),
        topic if topic.starts_with("/images/") => Some(Change::Images),
        _ => None,
    }
}

fn created(event: Option<Any>) -> Option<Change> {
    let event: ContentCreate = qualified(event?).to_msg().ok()?;
    let digest = event.digest.parse().ok()?;
    // A size that makes no sense is left to a listing.
    let size = u64::try_from(event.size).ok()?;
    Some(Change::Created { digest, size })
}

fn deleted(event: Option<Any>) -> Option<Change> {
    let event: ContentDelete = qualified(event?).to_msg().ok()?;
    Some(Change::Deleted { digest: event.digest.parse().ok()? })
}

/// containerd writes bare type names; protobuf's rules, and its library, want a path before it.
fn qualified(event: Any) -> Any {
    Any { type_url: format!("/{}", event.type_url), value: event.value }
}

#[cfg(test)]
mod tests {
    use containerd_client::to_any;

    use super::*;

    fn envelope(topic: &str, event: Any) -> Envelope {
        Envelope { topic: topic.into(), event: Some(event), ..Default::default() }
    }

    #[test]
    fn content_events_carry_their_digest() {
        let digest = Digest::sha256(b"x");
        let create = to_any(&ContentCreate { digest: digest.to_string(), size: 7 });
        assert_eq!(
            read(envelope("/content/create", create)),
            Some(Change::Created { digest, size: 7 })
        );
        let delete = to_any(&ContentDelete { digest: digest.to_string() });
        assert_eq!(read(envelope("/content/delete", delete)), Some(Change::Deleted { digest }));
    }

    #[test]
    fn an_event_that_cannot_be_read_asks_for_a_listing() {
        let odd = to_any(&ContentDelete { digest: "md5:00".into() });
        for topic in ["/content/create", "/content/delete", "/images/update"] {
            assert_eq!(read(envelope(topic, odd.clone())), Some(Change::Images), "{topic}");
        }
        assert_eq!(read(envelope("/tasks/start", odd)), None);
    }
}
