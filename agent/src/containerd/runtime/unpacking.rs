//! Unpacks a layer as containerd's own pull would, so that the pull finds it done.
//!
//! A layer is a snapshot whose name follows from its content and that of all below it. A pull that meets
//! the name goes on from there, and does not unpack again.

use std::{collections::HashMap, time::Duration};

use containerd_client::{
    services::v1::{
        ApplyRequest,
        diff_client::DiffClient,
        snapshots::{
            CommitSnapshotRequest, PrepareSnapshotRequest, RemoveSnapshotRequest,
            StatSnapshotRequest, snapshots_client::SnapshotsClient,
        },
    },
    tonic::{Code, Status, transport::Channel},
    types::{Descriptor, Mount},
};
use k8s_cri::v1::{ImageFsInfoRequest, image_service_client::ImageServiceClient};
use onepull_mirror::Digest;

use crate::{
    containerd::{
        ContainerdError,
        lease::Lease,
        namespace::{answer, in_namespace},
    },
    runtime::Unpack,
};

/// The only snapshotter that is unpacked for: others take layers in their own ways, and not all of them
/// from the store.
const SNAPSHOTTER: &str = "overlayfs";

/// Where containerd keeps what that snapshotter makes.
const FOLDER: &str = "/io.containerd.snapshotter.v1.overlayfs";

/// An entry of containerd's database, and its sync to the disk.
const DEADLINE: Duration = Duration::from_secs(10);

/// A layer is unpacked at this many bytes a second at least: many small files on a slow disk. The pull
/// does it where this takes longer.
const SLOWEST: u64 = 1_000_000;

/// By this label a snapshotter knows, before it is made, what a snapshot will be named.
const NAMED: &str = "containerd.io/snapshot.ref";

/// A layer being unpacked.
struct Course<'a> {
    snapshots: SnapshotsClient<Channel>,
    channel: Channel,
    lease: Lease,
    layer: &'a Unpack,
    /// What the snapshot will be named.
    name: String,
    /// What it is named until then. Always the same, so that one that was left is found.
    key: String,
    /// The snapshot below it.
    parent: String,
}

/// Unpacks a layer, unless that has been done.
pub(super) async fn unpack(channel: Channel, layer: &Unpack) -> Result<(), ContainerdError> {
    expect_snapshotter(channel.clone()).await?;
    let mut course = Course::new(channel, layer);
    course.lease.ensure(course.channel.clone(), DEADLINE).await?;
    let Some(mounts) = course.prepare().await? else { return Ok(()) };
    let unpacked = course.fill(mounts).await;
    if unpacked.is_err() {
        course.remove().await?;
    }
    unpacked
}

/// Whether pulls unpack with [`SNAPSHOTTER`].
async fn expect_snapshotter(channel: Channel) -> Result<(), ContainerdError> {
    const STEP: &str = "tell where it unpacks images";
    let mut images = ImageServiceClient::new(channel);
    let told = answer(STEP, DEADLINE, images.image_fs_info(ImageFsInfoRequest {})).await?;
    let folders = told.image_filesystems.into_iter().filter_map(|used| used.fs_id);
    match folders.collect::<Vec<_>>().as_slice() {
        [only] if only.mountpoint.ends_with(FOLDER) => Ok(()),
        other => Err(refused(STEP, format!("not only to {FOLDER}: {other:?}"))),
    }
}

// === impl Course ===

impl<'a> Course<'a> {
    fn new(channel: Channel, layer: &'a Unpack) -> Self {
        let names = chain(&layer.diffs);
        let name = names.last().cloned().unwrap_or_default();
        let parent = names.iter().rev().nth(1).cloned().unwrap_or_default();
        Self {
            snapshots: SnapshotsClient::new(channel.clone()),
            channel,
            lease: Lease::of_snapshots(&layer.image),
            layer,
            key: format!("onepull-unpack {name}"),
            name,
            parent,
        }
    }

    /// Where to unpack to; `None` when that is done already.
    async fn prepare(&mut self) -> Result<Option<Vec<Mount>>, ContainerdError> {
        match self.try_prepare().await {
            Err(error) if error.code() == Some(Code::AlreadyExists) => {
                if self.is_there().await? {
                    return Ok(None);
                }
                // An agent that went away left it half done.
                self.remove().await?;
                self.try_prepare().await.map(Some)
            }
            prepared => prepared.map(Some),
        }
    }

    async fn try_prepare(&mut self) -> Result<Vec<Mount>, ContainerdError> {
        let request = PrepareSnapshotRequest {
            snapshotter: SNAPSHOTTER.to_owned(),
            key: self.key.clone(),
            parent: self.parent.clone(),
            labels: self.labels(),
        };
        let request = self.lease.keeps(in_namespace(request))?;
        let prepared = self.snapshots.prepare(request);
        Ok(answer("make a place for a layer", DEADLINE, prepared).await?.mounts)
    }

    async fn is_there(&mut self) -> Result<bool, ContainerdError> {
        let request =
            StatSnapshotRequest { snapshotter: SNAPSHOTTER.to_owned(), key: self.name.clone() };
        let found = self.snapshots.stat(in_namespace(request));
        match answer("look up a layer", DEADLINE, found).await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some(Code::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Unpacks, compares, and gives the snapshot its name.
    async fn fill(&mut self, mounts: Vec<Mount>) -> Result<(), ContainerdError> {
        const STEP: &str = "unpack a layer";
        let Unpack { layer, size, media_type, diffs, .. } = self.layer;
        let descriptor = Descriptor {
            media_type: media_type.clone(),
            digest: layer.to_string(),
            size: i64::try_from(*size).unwrap_or(i64::MAX),
            ..Default::default()
        };
        let request = ApplyRequest { diff: Some(descriptor), mounts, ..Default::default() };
        let request = self.lease.keeps(in_namespace(request))?;
        let mut differ = DiffClient::new(self.channel.clone());
        let deadline = DEADLINE + Duration::from_secs(size / SLOWEST);
        let applied = answer(STEP, deadline, differ.apply(request)).await?.applied;
        let digest = applied.map(|applied| applied.digest).unwrap_or_default();
        if diffs.last().is_none_or(|diff| diff.to_string() != digest) {
            return Err(refused(STEP, format!("it is {digest}, not what its config says")));
        }
        self.commit().await
    }

    async fn commit(&mut self) -> Result<(), ContainerdError> {
        let request = CommitSnapshotRequest {
            snapshotter: SNAPSHOTTER.to_owned(),
            name: self.name.clone(),
            key: self.key.clone(),
            labels: self.labels(),
        };
        let request = self.lease.keeps(in_namespace(request))?;
        let committed = self.snapshots.commit(request);
        match answer("complete a layer", DEADLINE, committed).await {
            // A pull was sooner.
            Err(error) if error.code() == Some(Code::AlreadyExists) => self.remove().await,
            committed => committed,
        }
    }

    async fn remove(&mut self) -> Result<(), ContainerdError> {
        let request =
            RemoveSnapshotRequest { snapshotter: SNAPSHOTTER.to_owned(), key: self.key.clone() };
        let removed = self.snapshots.remove(in_namespace(request));
        match answer("drop a layer that is not complete", DEADLINE, removed).await {
            Err(error) if error.code() != Some(Code::NotFound) => Err(error),
            _ => Ok(()),
        }
    }

    fn labels(&self) -> HashMap<String, String> {
        [(NAMED.to_owned(), self.name.clone())].into()
    }
}

/// The name of each layer's snapshot, from the lowest: what is unpacked, and the name of what is below.
fn chain(diffs: &[Digest]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(diffs.len());
    for diff in diffs {
        let name = match names.last() {
            None => diff.to_string(),
            Some(below) => Digest::sha256(format!("{below} {diff}").as_bytes()).to_string(),
        };
        names.push(name);
    }
    names
}

fn refused(step: &'static str, reason: String) -> ContainerdError {
    ContainerdError::call(step, Status::failed_precondition(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the OCI image specification has it, "Layer ChainID".
    #[test]
    fn a_snapshot_is_named_after_all_layers_below_it() {
        let [a, b, c] = ["a", "b", "c"].map(|text| Digest::sha256(text.as_bytes()));
        let ab = Digest::sha256(format!("{a} {b}").as_bytes());
        let abc = Digest::sha256(format!("{ab} {c}").as_bytes());
        assert_eq!(chain(&[a, b, c]), [a, ab, abc].map(|name| name.to_string()));
        assert_eq!(chain(&[]), [""; 0]);
    }
}
