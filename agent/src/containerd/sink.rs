//! The sink seam over a real containerd: its content API, releases 1.6 to 2.2.
//!
//! A blob is written under the name that containerd's own pull of it would use. So a pull that starts
//! meanwhile waits for us, and goes on at our byte when we let go. The rest of the agent sees such a
//! blob as it sees any download: in the ingest folder (`arrivals.rs`).

use std::{collections::BTreeSet, path::Path};

use async_trait::async_trait;
use onepull_mirror::{
    Digest, Sink,
    mirror::Delivery,
    sink::{Part, SinkError, SinkWriter},
};
use tokio::sync::mpsc;

use super::{
    ContainerdError,
    lease::{Lease, leased_images},
    wire::Wire,
};

mod ending;
mod name;
mod session;
mod tally;
mod writer;

pub(super) use name::name;
use session::{Session, opening_deadline};
use tally::Tally;
use writer::Writer;

/// Writes into containerd's namespace `k8s.io`, under one lease for each image.
///
/// Nothing is remembered here: names and leases follow from the digests, so a restarted agent goes on
/// where it was.
#[derive(Debug)]
pub struct ContainerdSink {
    wire: Wire,
    deliveries: mpsc::Sender<Delivery>,
}

// === impl ContainerdSink ===

impl ContainerdSink {
    /// Writes into the containerd that listens on `socket`, from when it is first needed. What it
    /// wrote is told to `deliveries`, as the mirror tells of what it delivered, so that it does not
    /// count as the registry's.
    pub fn new(socket: &Path, deliveries: mpsc::Sender<Delivery>) -> Self {
        Self { wire: Wire::new(socket), deliveries }
    }

    async fn begin(&self, blob: &Part) -> Result<Session, ContainerdError> {
        let session = self.session(blob).await?;
        if session.at() <= blob.size {
            return Ok(session);
        }
        // Nothing that is longer can become this blob.
        session.abort().await?;
        self.session(blob).await
    }

    async fn session(&self, blob: &Part) -> Result<Session, ContainerdError> {
        let channel = self.wire.channel().await?;
        let lease = Lease::of_blobs(&blob.image);
        // Its entry waits behind a blob that containerd hashes, as the opening does.
        lease.ensure(channel.clone(), opening_deadline(blob)).await?;
        let tally = Tally::new(self.deliveries.clone(), blob.digest);
        Session::begin(channel, blob, &lease, tally).await
    }
}

#[async_trait]
impl Sink for ContainerdSink {
    async fn open(&self, blob: &Part) -> Result<Box<dyn SinkWriter>, SinkError> {
        let begun = self.begin(blob).await;
        let session = begun.map_err(|error| ending::unopened(blob.digest, error))?;
        Ok(Box::new(Writer::new(blob.digest, session)))
    }

    async fn release(&self, image: &Digest) -> Result<(), SinkError> {
        let ended = async {
            let channel = self.wire.channel().await?;
            Lease::of_snapshots(image).end(channel.clone()).await?;
            Lease::of_blobs(image).end(channel).await
        };
        ended.await.map_err(|error| ending::refused(*image, error))
    }

    async fn kept(&self) -> Result<BTreeSet<Digest>, SinkError> {
        let listed = async { leased_images(self.wire.channel().await?).await };
        listed.await.map_err(|error| SinkError::Unlisted(error.with_cause()))
    }
}
