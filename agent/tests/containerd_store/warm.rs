//! What containerd's pulls make of blobs that were written ahead of them.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use containerd_client::{
    services::v1::{
        CreateImageRequest, Image,
        images_client::ImagesClient,
        snapshots::{ListSnapshotsRequest, snapshots_client::SnapshotsClient},
    },
    types::Descriptor,
};
use futures::TryStreamExt;
use onepull_agent::{
    containerd::{ContainerdRuntime, NAMESPACE},
    runtime::{Runtime, RuntimeError, Unpack},
};
use onepull_mirror::{
    Digest, Sink, Store,
    sink::{Part, Role, SinkError},
    testing::sink::SinkFixture,
};
use onepull_testbed::{
    Layout, Registry, Requirement, Version,
    containerd::Options,
    layout::{Blob, Compression, Spec},
    registry::{self, Access},
    skip,
};
use tokio::time::timeout;

use crate::{
    plain_http,
    runtime::{LIMIT, until, within},
    sink::Warm,
};

/// Of these layers; a pull that waits shows that it has begun by fetching the second.
const LAYERS: [u64; 2] = [3 << 20, 200_000];

/// An image in a registry, and a node that has nothing of it.
pub(crate) struct Stage {
    pub(crate) warm: Warm,
    pub(crate) registry: Registry,
    layout: Layout,
    runtime: Arc<ContainerdRuntime>,
    _folder: tempfile::TempDir,
}

impl Stage {
    pub(crate) async fn set(version: Version) -> Option<Self> {
        Self::with(version, Options::default()).await
    }

    async fn with(version: Version, options: Options<'_>) -> Option<Self> {
        if skip("a pull of what was written before", &[Requirement::Registry]) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let spec = Spec { layers: LAYERS.to_vec(), seed: 9, compression: Compression::Gzip };
        let layout = Layout::generate(&folder.path().join("image"), &spec).unwrap();
        let registry = Registry::start(registry::Options::default()).await.unwrap();
        registry.push(&layout, "team/app", "v1").await.unwrap();
        plain_http(folder.path(), &registry.name());
        let hosts_dir = Some(folder.path().to_owned());
        let warm = Warm::start(version, Options { hosts_dir, ..options }).await;
        let runtime = Arc::new(ContainerdRuntime::new(&warm.node.containerd.socket()));
        Some(Self { warm, registry, layout, runtime, _folder: folder })
    }

    fn image(&self) -> Digest {
        self.layout.manifest_digest().to_string().parse().unwrap()
    }

    fn repository(&self) -> String {
        format!("{}/team/app", self.registry.name())
    }

    fn parts(&self) -> Vec<(Part, Bytes)> {
        let roles =
            [Role::Manifest, Role::Config].into_iter().chain(std::iter::repeat(Role::Layer));
        self.layout.blobs().iter().zip(roles).map(|(blob, role)| self.part(blob, role)).collect()
    }

    fn part(&self, blob: &Blob, role: Role) -> (Part, Bytes) {
        let digest = blob.digest.to_string().parse().unwrap();
        let bytes = std::fs::read(self.layout.blob(&blob.digest)).unwrap();
        (Part { image: self.image(), role, digest, size: blob.size }, bytes.into())
    }

    pub(crate) fn pull(&self) -> impl Future<Output = Result<(), RuntimeError>> + Send + use<> {
        self.pull_of(self.repository(), self.image())
    }

    pub(crate) fn pull_of(
        &self,
        repository: String,
        image: Digest,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send + use<> {
        let runtime = Arc::clone(&self.runtime);
        async move { timeout(LIMIT, runtime.pull(&repository, &image, None)).await.unwrap() }
    }

    /// What the registry was asked of a blob by containerd.
    fn asked_for(&self, part: &Part) -> Vec<Access> {
        let digest = part.digest.to_string();
        let asked = self.registry.requests().unwrap().into_iter();
        asked.filter(|asked| asked.method == "GET" && asked.target.contains(&digest)).collect()
    }

    /// Its layers, as they are to be unpacked.
    fn unpacks(&self) -> [Unpack; LAYERS.len()] {
        let blobs = self.layout.blobs();
        let config = std::fs::read(self.layout.blob(&blobs[1].digest)).unwrap();
        let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
        let diffs: Vec<Digest> =
            serde_json::from_value::<Vec<String>>(config["rootfs"]["diff_ids"].clone())
                .unwrap()
                .iter()
                .map(|diff| diff.parse().unwrap())
                .collect();
        let unpack = |lower: usize| Unpack {
            image: self.image(),
            layer: blobs[2 + lower].digest.to_string().parse().unwrap(),
            size: blobs[2 + lower].size,
            media_type: blobs[2 + lower].media_type.to_string(),
            diffs: diffs[..=lower].to_vec(),
        };
        std::array::from_fn(unpack)
    }

    /// What is unpacked: names, and when each was made.
    async fn snapshots(&self) -> Vec<(String, Option<prost_types::Timestamp>)> {
        let channel = self.warm.node.containerd.channel().await.unwrap();
        let list =
            ListSnapshotsRequest { snapshotter: "overlayfs".to_owned(), ..Default::default() };
        let listed = SnapshotsClient::new(channel).list(within(NAMESPACE, list)).await.unwrap();
        let listed: Vec<_> = listed.into_inner().try_collect().await.unwrap();
        let snapshots = listed.into_iter().flat_map(|listed| listed.info);
        let mut snapshots: Vec<_> = snapshots.map(|it| (it.name, it.created_at)).collect();
        snapshots.sort_by(|one, other| one.0.cmp(&other.0));
        snapshots
    }

    async fn is_here(&self, part: &Part) -> bool {
        self.warm.node.store.open(&part.digest, 0).await.is_ok()
    }
}

pub(crate) async fn a_pull_of_what_was_written_before_fetches_nothing(version: Version) {
    let Some(mut stage) = Stage::set(version).await else { return };
    let parts = stage.parts();
    for (part, bytes) in parts.iter().cloned().rev() {
        stage.warm.put(&part, bytes).await;
    }
    stage.pull().await.unwrap();
    for (part, _) in &parts {
        assert_eq!(stage.asked_for(part), [], "a {:?}", part.role);
    }
    let by_digest = format!("{}@{}", stage.repository(), stage.image());
    let by_tag = format!("{}:v1", stage.repository());
    assert_eq!(stage.runtime.find(&by_digest).await.unwrap(), Some(stage.image()));
    assert_eq!(stage.runtime.find(&by_tag).await.unwrap(), None);
    stage.runtime.tag(&by_tag, &stage.image()).await.unwrap();
    assert_eq!(stage.runtime.find(&by_tag).await.unwrap(), Some(stage.image()));
    let mut written = 0;
    while let Ok(delivery) = stage.warm.deliveries.try_recv() {
        written += delivery.bytes;
    }
    assert_eq!(written, stage.layout.bytes());
}

pub(crate) async fn an_image_stays_when_its_lease_is_released_after_its_pull(version: Version) {
    let Some(stage) = Stage::set(version).await else { return };
    let parts = stage.parts();
    for (part, bytes) in parts.iter().cloned() {
        stage.warm.put(&part, bytes).await;
    }
    stage.pull().await.unwrap();
    stage.warm.sink.release(&stage.image()).await.unwrap();
    stage.warm.collect_garbage().await;
    for (part, _) in &parts {
        assert!(stage.is_here(part).await, "a {:?}", part.role);
    }
    let by_digest = format!("{}@{}", stage.repository(), stage.image());
    assert_eq!(stage.runtime.find(&by_digest).await.unwrap(), Some(stage.image()));
}

pub(crate) async fn a_lease_keeps_layers_that_containerd_discards(version: Version) {
    let options = Options { discard_unpacked_layers: true, ..Default::default() };
    let Some(stage) = Stage::with(version, options).await else { return };
    let parts = stage.parts();
    for (part, bytes) in parts.iter().cloned() {
        stage.warm.put(&part, bytes).await;
    }
    stage.pull().await.unwrap();
    for kept in [true, false] {
        if !kept {
            stage.warm.sink.release(&stage.image()).await.unwrap();
        }
        stage.warm.collect_garbage().await;
        for (part, _) in parts.iter().filter(|(part, _)| part.role == Role::Layer) {
            assert_eq!(stage.is_here(part).await, kept);
        }
    }
    let by_digest = format!("{}@{}", stage.repository(), stage.image());
    assert_eq!(stage.runtime.find(&by_digest).await.unwrap(), Some(stage.image()));
}

/// What is unpacked ahead is what the pull would have made, and it is the image's own afterwards.
pub(crate) async fn layers_that_were_unpacked_ahead_are_not_unpacked_again(version: Version) {
    let Some(stage) = Stage::set(version).await else { return };
    for (part, bytes) in stage.parts() {
        stage.warm.put(&part, bytes).await;
    }
    let [lower, upper] = stage.unpacks();
    let early = stage.runtime.unpack(&upper).await;
    assert!(early.is_err(), "the layer below it is missing");
    let wrong = Unpack { diffs: vec![Digest::sha256(b"other")], ..lower.clone() };
    assert!(stage.runtime.unpack(&wrong).await.is_err(), "its config says otherwise");
    assert_eq!(stage.snapshots().await, []);

    for layer in [&lower, &lower, &upper] {
        stage.runtime.unpack(layer).await.unwrap();
    }
    stage.warm.collect_garbage().await;
    let unpacked = stage.snapshots().await;
    assert_eq!(unpacked.len(), LAYERS.len());
    stage.pull().await.unwrap();
    stage.warm.collect_garbage().await;
    assert_eq!(stage.snapshots().await, unpacked);
    let by_digest = format!("{}@{}", stage.repository(), stage.image());
    assert_eq!(stage.runtime.find(&by_digest).await.unwrap(), Some(stage.image()));
}

pub(crate) async fn what_was_unpacked_for_no_pull_goes_with_the_image(version: Version) {
    let Some(stage) = Stage::set(version).await else { return };
    for (part, bytes) in stage.parts() {
        stage.warm.put(&part, bytes).await;
    }
    stage.runtime.unpack(&stage.unpacks()[0]).await.unwrap();
    stage.warm.sink.release(&stage.image()).await.unwrap();
    stage.warm.collect_garbage().await;
    assert_eq!(stage.snapshots().await, []);
}

pub(crate) async fn a_pull_waits_for_a_writer_and_goes_on_at_its_byte(version: Version) {
    let Some(stage) = Stage::set(version).await else { return };
    let (asked, rest) = hand_over(&stage).await;
    let [asked] = <[Access; 1]>::try_from(asked).unwrap();
    assert_eq!((asked.status, asked.bytes), (206, rest));
}

pub(crate) async fn a_pull_in_parallel_pieces_goes_on_at_its_byte_too(version: Version) {
    let options = Options { parallel_fetch: Some(256 << 10), ..Default::default() };
    let Some(stage) = Stage::with(version, options).await else { return };
    let (asked, rest) = hand_over(&stage).await;
    // Each piece is asked for to the blob's end, and hung up on after its own.
    assert!(asked.iter().all(|asked| asked.status == 206 && asked.bytes <= rest), "{asked:?}");
}

/// Writes a part of a layer, lets a pull wait for it, and hands it over. Returns what the pull asked the
/// registry for, and how much was left.
async fn hand_over(stage: &Stage) -> (Vec<Access>, u64) {
    let (large, bytes) = stage.parts().swap_remove(2);
    let (small, _) = stage.parts().swap_remove(3);
    let mut writer = stage.warm.open(&large).await;
    writer.append(bytes.slice(..1_000_000)).await.unwrap();
    let pull = stage.warm.node.tasks.spawn(stage.pull());
    until("the pull fetches the other layer", async || !stage.asked_for(&small).is_empty()).await;
    writer.append(bytes.slice(1_000_000..2_000_000)).await.unwrap();
    assert!(!pull.is_finished());
    assert_eq!(stage.asked_for(&large), [], "it waits for us");
    writer.close().await;
    pull.await.unwrap().unwrap();
    (stage.asked_for(&large), large.size - 2_000_000)
}

pub(crate) async fn a_pull_that_waits_for_a_writer_takes_its_commit(version: Version) {
    let Some(stage) = Stage::set(version).await else { return };
    let (large, bytes) = stage.parts().swap_remove(2);
    let (small, _) = stage.parts().swap_remove(3);
    let mut writer = stage.warm.open(&large).await;
    writer.append(bytes.slice(..1_000_000)).await.unwrap();
    let pull = stage.warm.node.tasks.spawn(stage.pull());
    until("the pull fetches the other layer", async || !stage.asked_for(&small).is_empty()).await;
    writer.append(bytes.slice(1_000_000..)).await.unwrap();
    writer.commit().await.unwrap();
    pull.await.unwrap().unwrap();
    assert_eq!(stage.asked_for(&large), []);
}

/// Wrong bytes that a pull went on from fail it, and each later one, until our writer comes again.
pub(crate) async fn wrong_bytes_that_a_pull_went_on_from_are_found_by_the_next_writer(
    version: Version,
) {
    let Some(stage) = Stage::set(version).await else { return };
    let (large, _) = stage.parts().swap_remove(2);
    let mut writer = stage.warm.open(&large).await;
    writer.append(vec![0; 1_000_000].into()).await.unwrap();
    writer.close().await;
    for _ in 0..2 {
        let failed = stage.pull().await;
        assert!(matches!(failed, Err(RuntimeError::Pull { .. })), "{failed:?}");
    }
    let writer = stage.warm.open(&large).await;
    assert_eq!(writer.at(), large.size);
    let committed = writer.commit().await;
    assert!(matches!(committed, Err(SinkError::Mismatch(_))), "{committed:?}");
    stage.pull().await.unwrap();
}

/// As `ctr image import --no-unpack` leaves it: CRI lists it, and yet a pod would have to wait.
pub(crate) async fn an_image_that_nobody_unpacked_is_not_found(version: Version) {
    let Some(stage) = Stage::set(version).await else { return };
    for (part, bytes) in stage.parts() {
        stage.warm.put(&part, bytes).await;
    }
    let manifest = stage.layout.blobs().swap_remove(0);
    let target = Descriptor {
        media_type: manifest.media_type.to_string(),
        digest: manifest.digest.to_string(),
        size: manifest.size.try_into().unwrap(),
        ..Default::default()
    };
    let name = format!("{}@{}", stage.repository(), stage.image());
    let image = Image { name: name.clone(), target: Some(target), ..Default::default() };
    let create = CreateImageRequest { image: Some(image), ..Default::default() };
    let mut images = ImagesClient::new(stage.warm.node.containerd.channel().await.unwrap());
    images.create(within(NAMESPACE, create)).await.unwrap();
    let mut cri = stage.warm.node.containerd.cri().await.unwrap();
    until("CRI lists it", async || cri.image_status(&name).await.unwrap().is_some()).await;
    assert_eq!(stage.runtime.find(&name).await.unwrap(), None);
    stage.pull().await.unwrap();
    assert_eq!(stage.runtime.find(&name).await.unwrap(), Some(stage.image()));
}
