//! Layers that a real containerd is made to wait for.

use onepull_mirror::{
    Digest, Reservation, Store,
    sink::{Part, Role, SinkError},
    testing::sink::SinkFixture,
};
use onepull_testbed::{
    Layout, Version,
    containerd::Options,
    layout::{Compression, Spec},
};
use tokio::time::timeout;

use crate::{
    runtime::{LIMIT, until},
    sink::{Warm, part},
    warm::Stage,
};

/// More layers than containerd has slots for downloads.
const LAYERS: usize = 4;

async fn reserve(warm: &Warm, part: &Part) -> Option<Box<dyn Reservation>> {
    timeout(LIMIT, warm.store().reserve(&part.digest, part.size)).await.unwrap()
}

pub(crate) async fn a_reserved_layer_is_busy_until_it_is_released(version: Version) {
    let warm = Warm::start(version, Options::default()).await;
    let (layer, other) = (part(b"1234", Role::Layer), part(b"5678", Role::Layer));
    let Some(reservation) = reserve(&warm, &layer).await else {
        assert_eq!(version, Version::V1_6, "its pulls would wait in a slot");
        assert_eq!(warm.node.ingests().await, [""; 0]);
        return;
    };
    let opened = warm.sink().open(&layer).await;
    assert!(matches!(opened.err(), Some(SinkError::Busy(_))));
    assert!(reserve(&warm, &layer).await.is_none(), "it is reserved");
    reservation.release().await;
    assert_eq!(warm.node.ingests().await, [""; 0]);

    drop(reserve(&warm, &layer).await.unwrap());
    let is_free = async || warm.sink().open(&layer).await.is_ok();
    until("a reservation that is dropped ends", is_free).await;

    let mut begun = warm.open(&other).await;
    begun.append(b"5".as_slice().into()).await.unwrap();
    begun.close().await;
    assert!(reserve(&warm, &other).await.is_none(), "some of it is here");
    let goes_on = async || warm.sink().open(&other).await.is_ok_and(|writer| writer.at() == 1);
    until("what is here stays", goes_on).await;
}

pub(crate) async fn a_reservation_that_its_containerd_did_not_outlive_is_over(version: Version) {
    let mut warm = Warm::start(version, Options::default()).await;
    let layer = part(b"1234", Role::Layer);
    let Some(reservation) = reserve(&warm, &layer).await else {
        assert_eq!(version, Version::V1_6);
        return;
    };
    warm.node.containerd.kill();
    warm.node.containerd.restart().await.unwrap();
    let mut writer = warm.open(&layer).await;
    writer.append(b"1".as_slice().into()).await.unwrap();
    writer.close().await;
    reservation.release().await;
    assert_eq!(warm.open(&layer).await.at(), 1, "what came since stays");
}

pub(crate) async fn a_pull_waits_for_reserved_layers_and_leaves_its_slots_to_others(
    version: Version,
) {
    let Some(stage) = Stage::set(version).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let spec = Spec { layers: vec![100_000; LAYERS], seed: 10, compression: Compression::Gzip };
    let layout = Layout::generate(&folder.path().join("image"), &spec).unwrap();
    stage.registry.push(&layout, "team/large", "v1").await.unwrap();
    let mut reserved = Vec::new();
    for blob in &layout.blobs()[2..] {
        let digest = blob.digest.to_string().parse().unwrap();
        let layer = Part { image: digest, role: Role::Layer, digest, size: blob.size };
        reserved.extend(reserve(&stage.warm, &layer).await);
    }
    let image: Digest = layout.manifest_digest().to_string().parse().unwrap();
    let repository = format!("{}/team/large", stage.registry.name());
    let large = stage.pull_of(repository, image);
    let others = async {
        let config = layout.blobs()[1].digest.to_string().parse().unwrap();
        let is_waiting = async || stage.warm.node.store.open(&config, 0).await.is_ok();
        until("the large image has begun", is_waiting).await;
        stage.pull().await.unwrap();
        assert!(version == Version::V1_6 || reserved.len() == LAYERS);
        for reservation in reserved {
            reservation.release().await;
        }
    };
    let (pulled, ()) = tokio::join!(large, others);
    pulled.unwrap();
}
