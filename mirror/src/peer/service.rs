//! The peer endpoint: what this node's own store holds or is receiving, and the claims and doubts of others.

use std::sync::Arc;

use http::{Method, Request, Response};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt, Limited};
use tokio::time::{Duration, timeout};

use super::{CLAIMS, DOUBTS, PREFIX, PROGRESS};
use crate::{
    Deadlines, Store,
    claim::wire::{Ask, LARGEST_MESSAGE, Report},
    metrics::Metrics,
    participant::Participant,
    response::{self, Body, Refusal},
    throttle::Throttle,
};

mod blobs;
mod doubts;
mod uploads;

use doubts::Doubts;
use uploads::Uploads;

/// What a request's body may fail with.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Serves peers from the local store, and only from there.
#[derive(Clone)]
pub struct PeerService {
    store: Arc<dyn Store>,
    participant: Arc<Participant>,
    metrics: Metrics,
    uploads: Arc<Uploads>,
    doubts: Arc<Doubts>,
    upload: Option<Arc<Throttle>>,
    /// How long a follower waits here for its first byte.
    arrival: Duration,
    /// How long a message may take to arrive.
    answer: Duration,
}

// === impl PeerService ===

impl PeerService {
    /// Serves `store`, and claims through `participant`; all uploads together stay below `upload`.
    pub fn new(
        store: Arc<dyn Store>,
        participant: Arc<Participant>,
        metrics: Metrics,
        upload: Option<Arc<Throttle>>,
        deadlines: &Deadlines,
    ) -> Self {
        let Deadlines { arrival, answer, stall, .. } = *deadlines;
        let uploads = Uploads::new(stall);
        let doubts = Doubts::new(Arc::clone(&store), Arc::clone(&participant), metrics.clone());
        Self { store, participant, metrics, uploads, doubts, upload, arrival, answer }
    }

    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody,
        B::Error: Into<BoxError>,
    {
        self.try_answer(request).await.unwrap_or_else(Refusal::into_response)
    }

    async fn try_answer<B>(&self, request: Request<B>) -> Result<Response<Body>, Refusal>
    where
        B: HttpBody,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        match (&head.method, head.uri.path()) {
            (&Method::POST, CLAIMS) => {
                let ask = Ask::parse(&self.message(body).await?).map_err(refused)?;
                Ok(response::message(self.participant.answer(&ask).to_json()))
            }
            (&Method::POST, PROGRESS) => {
                let report = Report::parse(&self.message(body).await?).map_err(refused)?;
                Ok(response::message(self.participant.hear(&report).to_json()))
            }
            (&Method::POST, path) => {
                let digest = path.strip_prefix(DOUBTS).ok_or(Refusal::Method)?.parse()?;
                self.doubts.raise(digest);
                Ok(response::message(Vec::new()))
            }
            (&Method::GET | &Method::HEAD, path) => {
                let digest = path.strip_prefix(PREFIX).ok_or(Refusal::NotPullApi)?.parse()?;
                self.blob(digest, &head).await
            }
            _ => Err(Refusal::Method),
        }
    }

    async fn message<B>(&self, body: B) -> Result<Vec<u8>, Refusal>
    where
        B: HttpBody,
        B::Error: Into<BoxError>,
    {
        let body = Limited::new(body, LARGEST_MESSAGE).collect();
        match timeout(self.answer, body).await {
            Ok(Ok(body)) => Ok(body.to_bytes().into()),
            Ok(Err(_)) | Err(_) => Err(Refusal::Message("it is too long, or did not end".into())),
        }
    }
}

fn refused(error: impl std::fmt::Display) -> Refusal {
    Refusal::Message(error.to_string())
}
