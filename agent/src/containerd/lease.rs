//! Leases of an image: what is made under one stays until it ends.

use std::{collections::BTreeSet, time::Duration};

use containerd_client::{
    services::v1::{
        self as api, CreateRequest, DeleteRequest, ListRequest, leases_client::LeasesClient,
    },
    tonic::{
        Code, Request, Status,
        metadata::{Ascii, MetadataValue},
        transport::Channel,
    },
};
use onepull_mirror::Digest;

use super::{
    ContainerdError,
    namespace::{answer, in_namespace},
};

/// A small entry in containerd's database, synced to its disk.
const DEADLINE: Duration = Duration::from_secs(5);

/// What a person reads in `ctr leases list`: whose the lease is, and what for.
const LABEL: &str = "onepull.dev/keeps-image";

/// Ends all leases of this node's agent, whichever images they are for; returns how many there were.
///
/// # Errors
/// When containerd does not do it. Those that it has ended are gone.
pub async fn end_leases(channel: Channel) -> Result<usize, ContainerdError> {
    let mut client = LeasesClient::new(channel);
    let leases = ours(&mut client).await?;
    for lease in &leases {
        let request = DeleteRequest { id: lease.id.clone(), sync: false };
        gone(answer("end a lease", DEADLINE, client.delete(in_namespace(request))).await)?;
    }
    Ok(leases.len())
}

/// The images that this node's agent, or one before it, has leases for.
pub(super) async fn leased_images(channel: Channel) -> Result<BTreeSet<Digest>, ContainerdError> {
    let leases = ours(&mut LeasesClient::new(channel)).await?;
    // One whose label is no digest is nobody's that this agent could name.
    Ok(leases.iter().filter_map(|lease| lease.labels.get(LABEL)?.parse().ok()).collect())
}

async fn ours(client: &mut LeasesClient<Channel>) -> Result<Vec<api::Lease>, ContainerdError> {
    let ours = ListRequest { filters: vec![format!("labels.\"{LABEL}\"")] };
    Ok(answer("list leases", DEADLINE, client.list(in_namespace(ours))).await?.leases)
}

/// What is not there has ended.
fn gone(ended: Result<(), ContainerdError>) -> Result<(), ContainerdError> {
    match ended {
        Err(error) if error.code() != Some(Code::NotFound) => Err(error),
        _ => Ok(()),
    }
}

/// A lease, whether it is there or not. Names follow from digests, so a restarted agent needs no memory.
#[derive(Debug)]
pub(super) struct Lease {
    id: String,
    image: Digest,
}

// === impl Lease ===

impl Lease {
    /// Keeps an image's blobs as long as the image is wanted.
    pub(super) fn of_blobs(image: &Digest) -> Self {
        Self { id: format!("onepull-{image}"), image: *image }
    }

    /// Keeps an image's layers, unpacked, until its pull has them.
    pub(super) fn of_snapshots(image: &Digest) -> Self {
        Self { id: format!("onepull-unpacked-{image}"), image: *image }
    }

    /// Makes it unless it is there, from an earlier run perhaps.
    pub(super) async fn ensure(
        &self,
        channel: Channel,
        deadline: Duration,
    ) -> Result<(), ContainerdError> {
        let labels = [(LABEL.to_owned(), self.image.to_string())].into();
        let request = CreateRequest { id: self.id.clone(), labels };
        let mut client = LeasesClient::new(channel);
        match answer("make a lease", deadline, client.create(in_namespace(request))).await {
            Err(error) if error.code() != Some(Code::AlreadyExists) => Err(error),
            _ => Ok(()),
        }
    }

    /// Ends it, if it is there; what it kept goes when containerd next collects.
    pub(super) async fn end(&self, channel: Channel) -> Result<(), ContainerdError> {
        let request = DeleteRequest { id: self.id.clone(), sync: false };
        let mut client = LeasesClient::new(channel);
        gone(answer("end a lease", DEADLINE, client.delete(in_namespace(request))).await)
    }

    /// Has what a request makes kept.
    pub(super) fn keeps<T>(&self, mut request: Request<T>) -> Result<Request<T>, ContainerdError> {
        let no_header = |_| {
            let refused = Status::invalid_argument(self.id.clone());
            ContainerdError::call("name a lease", refused)
        };
        let id: MetadataValue<Ascii> = self.id.parse().map_err(no_header)?;
        request.metadata_mut().insert("containerd-lease", id);
        Ok(request)
    }
}
