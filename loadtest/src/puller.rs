//! The embedded puller: pulls an image over HTTP the way containerd does.
//!
//! What it copies from containerd, because onepull depends on it: the tag is resolved at the
//! registry alone (the mirror is granted `pull`, not `resolve`); everything by digest is asked of
//! the mirror first, with `?ns=`; a refused connection, 404 or 5xx goes to the next host; a body
//! that ends early is resumed at its byte, from the first host again; three such breaks without
//! progress fail the pull, and so does a reset; up to three blobs move at once. It does not unpack.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::{StreamExt, TryStreamExt, stream};
use http_body_util::{BodyExt, Limited};
use hyper::{Method, header::HeaderValue};
use oci_spec::image::ImageManifest;
use onepull_mirror::{Digest, Store, Throttle, digest::ParseDigestError, store::FolderStore};
use thiserror::Error;

mod blob;
mod host;

pub use host::{Host, HostError};

/// Blobs that move at once, as in containerd's `max_concurrent_downloads`.
const DOWNLOAD_SLOTS: usize = 3;
/// A manifest larger than this is refused, as registries do.
const MANIFEST_LIMIT: usize = 4 * 1024 * 1024;

/// Pulls images into one node's store.
pub struct Puller {
    store: Arc<FolderStore>,
    downlink: Option<Arc<Throttle>>,
    client: host::Client,
    received: Arc<Received>,
}

/// Where an image is pulled from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The node's mirror, asked first for everything by digest.
    pub mirror: Option<SocketAddr>,
    /// The registry.
    pub origin: SocketAddr,
    /// The repository's name.
    pub repository: String,
}

/// Body bytes that a puller has received so far.
#[derive(Debug, Default)]
pub struct Received {
    mirror: AtomicU64,
    origin: AtomicU64,
}

/// Why a pull failed.
#[derive(Debug, Error)]
pub enum PullError {
    /// The tag could not be resolved at the registry.
    #[error("cannot resolve tag {tag}: {reason}")]
    Resolve {
        /// The tag.
        tag: String,
        /// What the registry said.
        reason: String,
    },
    /// No host had a manifest or blob.
    #[error("no host serves {digest}: {}", .tried.join("; "))]
    Unavailable {
        /// What was asked for.
        digest: Digest,
        /// What each host said.
        tried: Vec<String>,
    },
    /// The body ended early again and again.
    #[error("{digest} ended early {breaks} times without progress, at byte {at}")]
    Broken {
        /// The blob.
        digest: Digest,
        /// How often in a row.
        breaks: u32,
        /// The byte that was never passed.
        at: u64,
    },
    /// The connection was reset, or nothing moved for too long; containerd resumes neither.
    #[error("{digest} failed at byte {at}: {reason}")]
    Aborted {
        /// The blob.
        digest: Digest,
        /// Where.
        at: u64,
        /// What happened.
        reason: String,
    },
    /// The manifest's bytes are not those of its digest, or it is not a manifest.
    #[error("manifest {digest} is not valid: {reason}")]
    Manifest {
        /// Which one.
        digest: Digest,
        /// What is wrong with it.
        reason: String,
    },
    /// The store refused the bytes, which are not those of the digest, or could not write them.
    #[error("cannot store {digest}")]
    Store {
        /// The blob.
        digest: Digest,
        /// What the store said.
        source: std::io::Error,
    },
}

// === impl Puller ===

impl Puller {
    /// A puller that fills `store`; everything that it receives passes `downlink`.
    pub fn new(store: Arc<FolderStore>, downlink: Option<Arc<Throttle>>) -> Self {
        Self { store, downlink, client: host::client(), received: Arc::default() }
    }

    /// The counters of received bytes, which go on counting.
    pub fn received(&self) -> Arc<Received> {
        Arc::clone(&self.received)
    }

    /// Pulls the image that `tag` names and returns its digest; blobs already held are skipped.
    ///
    /// # Errors
    /// When the tag cannot be resolved, a blob cannot be had from any host, or its bytes are wrong.
    ///
    /// # Cancel safety
    /// A cancelled pull leaves complete blobs and no others.
    pub async fn pull(&self, source: &Source, tag: &str) -> Result<Digest, PullError> {
        let hosts = source.hosts();
        let digest = self.resolve(source, tag).await?;
        let manifest = self.manifest(&hosts, &source.repository, digest).await?;
        let descriptors = std::iter::once(manifest.config()).chain(manifest.layers());
        let blobs = descriptors.map(|descriptor| {
            let blob = descriptor.digest().to_string().parse();
            let invalid =
                |error: ParseDigestError| PullError::Manifest { digest, reason: error.to_string() };
            Ok((blob.map_err(invalid)?, descriptor.size()))
        });
        let mut blobs = blobs.collect::<Result<Vec<(Digest, u64)>, PullError>>()?;
        let mut seen = BTreeSet::new();
        blobs.retain(|(blob, _)| seen.insert(*blob));
        stream::iter(blobs)
            .map(|(blob, size)| self.fetch_blob(&hosts, &source.repository, blob, size))
            .buffer_unordered(DOWNLOAD_SLOTS)
            .try_collect::<()>()
            .await?;
        Ok(digest)
    }

    async fn resolve(&self, source: &Source, tag: &str) -> Result<Digest, PullError> {
        let fail = |reason: String| PullError::Resolve { tag: tag.to_owned(), reason };
        let path = format!("{}/manifests/{tag}", source.repository);
        let host = Host::Origin(source.origin);
        let response = host::ask(&self.client, &host, Method::HEAD, &path, 0).await;
        let response = response.map_err(|error| fail(error.to_string()))?;
        let digest = response.headers().get("docker-content-digest").map(HeaderValue::to_str);
        match digest {
            Some(Ok(digest)) => digest.parse().map_err(|error| fail(format!("{error}"))),
            _ => Err(fail("the answer has no Docker-Content-Digest".into())),
        }
    }

    async fn manifest(
        &self,
        hosts: &[Host],
        repository: &str,
        digest: Digest,
    ) -> Result<ImageManifest, PullError> {
        let invalid = |reason: String| PullError::Manifest { digest, reason };
        let path = format!("{repository}/manifests/{digest}");
        let (host, response) = self.first_answer(hosts, digest, &path, 0).await?;
        let body = Limited::new(response.into_body(), MANIFEST_LIMIT).collect();
        let bytes = body.await.map_err(|error| invalid(error.to_string()))?.to_bytes();
        self.received.add(host, bytes.len() as u64);
        let manifest = ImageManifest::from_reader(bytes.as_ref());
        let manifest = manifest.map_err(|error| invalid(error.to_string()))?;
        if self.holds(&digest).await {
            return Ok(manifest);
        }
        let stored = |source| PullError::Store { digest, source };
        let writer = self.store.write(digest).await.map_err(stored)?;
        let mut writer = writer.with_total(bytes.len() as u64);
        writer.append(&bytes).await.map_err(stored)?;
        writer.commit().await.map_err(stored)?;
        Ok(manifest)
    }

    async fn holds(&self, digest: &Digest) -> bool {
        matches!(self.store.stat(digest).await, Ok(Some(presence)) if presence.complete().is_some())
    }
}

// === impl Source ===

impl Source {
    /// In the order in which they are asked.
    fn hosts(&self) -> Vec<Host> {
        let mirror = self.mirror.map(|mirror| Host::Mirror { mirror, registry: self.origin });
        mirror.into_iter().chain([Host::Origin(self.origin)]).collect()
    }
}

// === impl Received ===

impl Received {
    /// From mirror and registry together.
    pub fn total(&self) -> u64 {
        self.from_mirror() + self.from_origin()
    }

    /// From the node's own mirror.
    pub fn from_mirror(&self) -> u64 {
        self.mirror.load(Ordering::Relaxed)
    }

    /// From the registry.
    pub fn from_origin(&self) -> u64 {
        self.origin.load(Ordering::Relaxed)
    }

    fn add(&self, host: &Host, bytes: u64) {
        let counter = match host {
            Host::Mirror { .. } => &self.mirror,
            Host::Origin(_) => &self.origin,
        };
        counter.fetch_add(bytes, Ordering::Relaxed);
    }
}
