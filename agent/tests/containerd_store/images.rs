//! What every [`Runtime`] promises, of the fake and of real containerds.

use async_trait::async_trait;
use onepull_agent::{
    containerd::ContainerdRuntime,
    runtime::{FakeRuntime, Runtime, RuntimeError},
};
use onepull_mirror::Digest;
use onepull_testbed::{
    Containerd, Layout, Registry, Requirement, Version,
    containerd::Options,
    layout::{Compression, Spec},
    registry, skip,
};

use crate::plain_http;

/// A runtime under test, and a repository with two images that it can pull.
#[async_trait]
trait Fixture: Send + Sync {
    fn runtime(&self) -> &dyn Runtime;
    fn repository(&self) -> String;
    fn images(&self) -> [Digest; 2];
    /// Has the next pull fail.
    async fn break_next_pull(&self);
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
    let failed = runtime.pull(&repository, &Digest::sha256(b"nobody has this")).await;
    assert!(matches!(failed, Err(RuntimeError::Pull { .. })), "{failed:?}");

    runtime.pull(&repository, &first).await.unwrap();
    assert_eq!(find(&by_digest(&first)).await, Some(first));
    assert_eq!([find(&tag).await, find(&by_digest(&second)).await], [None; 2]);

    for _ in 0..2 {
        runtime.tag(&tag, &first).await.unwrap();
        assert_eq!(find(&tag).await, Some(first));
    }
    runtime.pull(&repository, &second).await.unwrap();
    assert_eq!(find(&tag).await, Some(first), "a pull by digest moves no tag");
    runtime.tag(&tag, &second).await.unwrap();
    assert_eq!(find(&tag).await, Some(second));
    assert_eq!(find(&by_digest(&first)).await, Some(first), "the old one stays");
    runtime.tag(&format!("{repository}:v2"), &second).await.unwrap();
    assert_eq!(find(&tag).await, Some(second));
}

struct Real {
    runtime: ContainerdRuntime,
    registry: Registry,
    images: [Digest; 2],
    _containerd: Containerd,
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
        Self { runtime, registry, images, _containerd: containerd, _folder: folder }
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
