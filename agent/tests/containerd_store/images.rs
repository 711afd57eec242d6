//! What every [`Runtime`] promises, of the fake and of real containerds.

use async_trait::async_trait;
use containerd_client::services::v1::{
    Container, CreateContainerRequest, DeleteContainerRequest, container,
    containers_client::ContainersClient,
};
use onepull_agent::{
    containerd::{ContainerdRuntime, NAMESPACE},
    runtime::{FakeRuntime, Removal, Runtime, RuntimeError},
};
use onepull_mirror::Digest;
use onepull_testbed::{
    Containerd, Layout, Registry, Requirement, Version,
    containerd::Options,
    layout::{Compression, Spec},
    registry, skip,
};

use crate::{plain_http, runtime::within};

/// A runtime under test, and a repository with two images that it can pull.
#[async_trait]
trait Fixture: Send + Sync {
    fn runtime(&self) -> &dyn Runtime;
    fn repository(&self) -> String;
    fn images(&self) -> [Digest; 2];
    /// Has the next pull fail.
    async fn break_next_pull(&self);
    /// Has a container of the image that has this name, or ends it.
    async fn contain(&self, name: &str, digest: &Digest, is_there: bool);
}

async fn conforms(fixture: &dyn Fixture) {
    let (runtime, repository) = (fixture.runtime(), fixture.repository());
    let [first, second] = fixture.images();
    let by_digest = |digest: &Digest| format!("{repository}@{digest}");
    let tag = format!("{repository}:v1");
    let find = async |name: &str| runtime.find(name).await.unwrap();

    assert_eq!([find(&tag).await, find(&by_digest(&first)).await], [None; 2]);
    let unpulled = runtime.tag(&tag, &first).await;
    assert!(matches!(unpulled, Err(RuntimeError::Unavailable { .. })), "{unpulled:?}");

    fixture.break_next_pull().await;
    let failed = runtime.pull(&repository, &Digest::sha256(b"nobody has this"), None).await;
    assert!(matches!(failed, Err(RuntimeError::Pull { .. })), "{failed:?}");

    runtime.pull(&repository, &first, None).await.unwrap();
    assert_eq!(find(&by_digest(&first)).await, Some(first));
    assert_eq!([find(&tag).await, find(&by_digest(&second)).await], [None; 2]);

    for _ in 0..2 {
        runtime.tag(&tag, &first).await.unwrap();
        assert_eq!(find(&tag).await, Some(first));
    }
    runtime.pull(&repository, &second, None).await.unwrap();
    assert_eq!(find(&tag).await, Some(first), "a pull by digest moves no tag");
    runtime.tag(&tag, &second).await.unwrap();
    assert_eq!(find(&tag).await, Some(second));
    assert_eq!(find(&by_digest(&first)).await, Some(first), "the old one stays");
    let other = format!("{repository}:v2");
    runtime.tag(&other, &second).await.unwrap();
    assert_eq!(find(&tag).await, Some(second));
    removes(fixture, [&tag, &other], &by_digest(&second)).await;
}

/// Names go one by one, and the image with the last.
async fn removes(fixture: &dyn Fixture, [tag, other]: [&String; 2], by_digest: &str) {
    let (runtime, [first, second]) = (fixture.runtime(), fixture.images());
    let find = async |name: &str| runtime.find(name).await.unwrap();
    let remove = async |name: &String, digest: &Digest| {
        runtime.remove(std::slice::from_ref(name), digest).await.unwrap()
    };
    assert_eq!(remove(tag, &first).await, Removal::Gone);
    assert_eq!(find(tag).await, Some(second), "it stands for another digest");

    fixture.contain(other, &second, true).await;
    assert_eq!(remove(tag, &second).await, Removal::InUse);
    assert_eq!(find(tag).await, Some(second), "a container uses the image");
    fixture.contain(other, &second, false).await;

    for _ in 0..2 {
        assert_eq!(remove(tag, &second).await, Removal::Gone);
        assert_eq!([find(tag).await, find(other).await], [None, Some(second)]);
    }
    let rest = [other.clone(), by_digest.to_owned()];
    assert_eq!(runtime.remove(&rest, &second).await.unwrap(), Removal::Gone);
    assert_eq!([find(other).await, find(by_digest).await], [None; 2]);
}

struct Real {
    runtime: ContainerdRuntime,
    registry: Registry,
    images: [Digest; 2],
    containerd: Containerd,
    _folder: tempfile::TempDir,
}

impl Real {
    async fn start(version: Version) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::start(registry::Options::default()).await.unwrap();
        let mut images = [Digest::sha256(b""); 2];
        for (seed, image) in (1..).zip(&mut images) {
            let spec = Spec { layers: vec![1000], seed, compression: Compression::Gzip };
            let layout = folder.path().join(format!("image-{seed}"));
            let layout = Layout::generate(&layout, &spec).unwrap();
            registry.push(&layout, "team/app", &format!("v{seed}")).await.unwrap();
            *image = layout.manifest_digest().to_string().parse().unwrap();
        }
        plain_http(folder.path(), &registry.name());
        let options = Options { hosts_dir: Some(folder.path().to_owned()), ..Default::default() };
        let containerd = Containerd::start(version, options).await.unwrap();
        let runtime = ContainerdRuntime::new(&containerd.socket());
        Self { runtime, registry, images, containerd, _folder: folder }
    }
}

#[async_trait]
impl Fixture for Real {
    fn runtime(&self) -> &dyn Runtime {
        &self.runtime
    }

    fn repository(&self) -> String {
        format!("{}/team/app", self.registry.name())
    }

    fn images(&self) -> [Digest; 2] {
        self.images
    }

    /// The registry does not have the image.
    async fn break_next_pull(&self) {}

    async fn contain(&self, name: &str, _: &Digest, is_there: bool) {
        const ID: &str = "a-container-of-the-test";
        let mut containers = ContainersClient::new(self.containerd.channel().await.unwrap());
        if !is_there {
            let end = DeleteContainerRequest { id: ID.to_owned() };
            containers.delete(within(NAMESPACE, end)).await.unwrap();
            return;
        }
        let runtime = container::Runtime { name: "io.containerd.runc.v2".into(), options: None };
        let container = Container {
            id: ID.to_owned(),
            image: name.to_owned(),
            runtime: Some(runtime),
            spec: Some(prost_types::Any::default()),
            ..Default::default()
        };
        let create = CreateContainerRequest { container: Some(container) };
        containers.create(within(NAMESPACE, create)).await.unwrap();
    }
}

#[async_trait]
impl Fixture for FakeRuntime {
    fn runtime(&self) -> &dyn Runtime {
        self
    }

    fn repository(&self) -> String {
        "registry.example:5000/team/app".into()
    }

    fn images(&self) -> [Digest; 2] {
        [b"1", b"2"].map(|bytes| Digest::sha256(bytes))
    }

    async fn break_next_pull(&self) {
        self.fail_pull("not found");
    }

    async fn contain(&self, _: &str, digest: &Digest, is_there: bool) {
        self.use_image(*digest, is_there);
    }
}

pub(crate) async fn it_keeps_the_promises_of_a_runtime(version: Version) {
    if !skip("it_keeps_the_promises_of_a_runtime", &[Requirement::Registry]) {
        conforms(&Real::start(version).await).await;
    }
}

#[tokio::test]
async fn the_fake_keeps_the_promises_of_a_runtime() {
    let fake = FakeRuntime::default();
    conforms(&fake).await;
    assert_eq!(fake.pulls().len(), 3);
}
