//! The testbed against itself: real containerds pull a real image, and nothing is left behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path, time::Duration};

use onepull_testbed::{
    Containerd, Host, Lab, Layout, Podman, Registry, Requirement, Shape, Version, containerd,
    deadline::eventually,
    layout::{Compression, Spec},
    registry, skip,
};

const LAB: [Requirement; 3] = [Requirement::Root, Requirement::Iproute, Requirement::Registry];
const MIB: u64 = 1 << 20;

fn image(folder: &Path, compression: Compression) -> Layout {
    let spec = Spec { layers: vec![5 * MIB, 3 * MIB, 17], seed: 7, compression };
    Layout::generate(&folder.join("image"), &spec).unwrap()
}

async fn a_node_pulls(version: Version, compression: Compression) {
    let folder = tempfile::tempdir().unwrap();
    let layout = image(folder.path(), compression);
    let lab = Lab::new().unwrap();
    let origin = lab.node("registry", Shape::OPEN).unwrap();
    let options = registry::Options { host: Some(&origin), ..Default::default() };
    let registry = Registry::start(options).await.unwrap();
    registry.push(&layout, "team/app", "v1").await.unwrap();
    registry.allow_plain_http(folder.path()).unwrap();
    let node = lab.node("node", Shape::both(400_000_000)).unwrap();
    let options = containerd::Options {
        host: Some(&node),
        hosts_dir: Some(folder.path().to_owned()),
        ..Default::default()
    };
    let containerd = Containerd::start(version, options).await.unwrap();

    let before = lab.traffic([&origin, &node]).unwrap();
    let name = format!("{}/team/app:v1", registry.name());
    containerd.cri().await.unwrap().pull(&name).await.unwrap();
    let after = lab.traffic([&origin, &node]).unwrap();

    let audit = containerd.verify_image(layout.manifest_digest()).await.unwrap();
    assert_eq!((audit.blobs, audit.bytes), (layout.blobs().len(), layout.bytes()));
    let below_the_manifest: u64 = layout.blobs()[1..].iter().map(|blob| blob.size).sum();
    // A line is logged after its answer has been sent.
    let logged =
        async || (blob_bytes_asked_by(&node, &registry) == below_the_manifest).then_some(());
    eventually("a log of each blob once", Duration::from_secs(5), logged).await.unwrap();
    let (sent, received) = (after[0].tx - before[0].tx, after[1].rx - before[1].rx);
    for counted in [sent, received] {
        assert!(counted >= layout.bytes(), "{counted} bytes counted");
        assert!(counted < layout.bytes() * 11 / 10, "{counted} bytes counted");
    }
    removed_with_its_owners(containerd, registry, [origin, node], lab);
}

fn blob_bytes_asked_by(node: &Host, registry: &Registry) -> u64 {
    let requests = registry.requests().unwrap();
    let blobs = requests
        .iter()
        .filter(|asked| asked.client == node.ip() && asked.method == "GET")
        .filter(|asked| asked.target.starts_with("/v2/team/app/blobs/"));
    blobs.map(|asked| asked.bytes).sum()
}

fn removed_with_its_owners(containerd: Containerd, registry: Registry, hosts: [Host; 2], lab: Lab) {
    let processes = [containerd.pid(), registry.pid()];
    let folder = containerd.root().parent().unwrap().to_owned();
    let names = hosts.each_ref().map(|host| host.namespace().to_owned());
    drop((containerd, registry, hosts, lab));
    for pid in processes {
        assert!(!Path::new("/proc").join(pid.to_string()).exists(), "process {pid} still runs");
    }
    for name in names {
        assert!(!Path::new("/run/netns").join(&name).exists(), "namespace {name} is left");
    }
    assert!(!folder.exists(), "{} is left", folder.display());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(&*folder.to_string_lossy()), "a mount is left: {mounts}");
}

#[tokio::test]
async fn containerd_1_6_in_a_host_pulls_from_the_registry() {
    let name = "containerd_1_6_in_a_host_pulls_from_the_registry";
    if !skip(name, &[&LAB[..], &[Requirement::Containerd16]].concat()) {
        a_node_pulls(Version::V1_6, Compression::None).await;
    }
}

#[tokio::test]
async fn containerd_2_2_in_a_host_pulls_from_the_registry() {
    let name = "containerd_2_2_in_a_host_pulls_from_the_registry";
    if !skip(name, &[&LAB[..], &[Requirement::Containerd22]].concat()) {
        a_node_pulls(Version::V2_2, Compression::Gzip).await;
    }
}

#[tokio::test]
async fn podman_in_a_host_pulls_from_the_registry_when_its_mirror_is_not_there() {
    let name = "podman_in_a_host_pulls_from_the_registry_when_its_mirror_is_not_there";
    if skip(name, &[&LAB[..], &[Requirement::Podman]].concat()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let layout = image(folder.path(), Compression::Gzip);
    let lab = Lab::new().unwrap();
    let origin = lab.node("registry", Shape::OPEN).unwrap();
    let options = registry::Options { host: Some(&origin), port: Some(80), ..Default::default() };
    let registry = Registry::start(options).await.unwrap();
    registry.push(&layout, "team/app", "v1").await.unwrap();
    let node = lab.node("node", Shape::OPEN).unwrap();
    let podman = Podman::new(Some(&node), &registry.name(), "127.0.0.1:1").unwrap();
    let image = format!("{}/team/app@{}", registry.name(), layout.manifest_digest());
    let id = podman.pull(&image).await.unwrap();
    assert_eq!(id, layout.manifest().config().digest().digest());
}
