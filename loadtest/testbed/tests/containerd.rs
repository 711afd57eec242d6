//! One containerd without a network of its own: its store through the testbed's client.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use onepull_testbed::{
    Containerd, Requirement, Version, containerd::Options, layout::sha256, skip,
};

async fn conforms(version: Version) {
    let mut containerd = Containerd::start(version, Options::default()).await.unwrap();
    let mut content = containerd.content().await.unwrap();
    assert_eq!(content.list().await.unwrap(), []);

    let bytes = vec![7; 3 << 20];
    let digest = content.ingest(&bytes).await.unwrap();
    assert_eq!(digest, sha256(&bytes));
    assert_eq!(content.list().await.unwrap(), [(digest.clone(), 3 << 20)]);
    assert_eq!(std::fs::read(containerd.blob(&digest)).unwrap(), bytes);

    let before = containerd.pid();
    containerd.kill();
    assert!(containerd.cri().await.is_err(), "a killed containerd answers");
    containerd.restart().await.unwrap();
    assert_ne!(containerd.pid(), before);

    let mut content = containerd.content().await.unwrap();
    assert_eq!(content.read(&digest).await.unwrap(), bytes);
    content.delete_blob(&digest).await.unwrap();
    assert_eq!(content.list().await.unwrap(), []);
    let info = containerd.cri().await.unwrap().status().await.unwrap();
    assert!(info.contains_key("config"), "{info:?}");
}

#[tokio::test]
async fn containerd_1_6_keeps_what_is_written_over_a_kill() {
    let name = "containerd_1_6_keeps_what_is_written_over_a_kill";
    if !skip(name, &[Requirement::Root, Requirement::Containerd16]) {
        conforms(Version::V1_6).await;
    }
}

#[tokio::test]
async fn containerd_2_2_keeps_what_is_written_over_a_kill() {
    let name = "containerd_2_2_keeps_what_is_written_over_a_kill";
    if !skip(name, &[Requirement::Root, Requirement::Containerd22]) {
        conforms(Version::V2_2).await;
    }
}
