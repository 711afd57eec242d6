//! A real containerd, and the hand that changes what it holds.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use containerd_client::{
    services::v1::{
        CreateImageRequest, Image, ListStatusesRequest, WriteAction, WriteContentRequest,
        content_client::ContentClient, images_client::ImagesClient,
    },
    tonic::Request,
    types::Descriptor,
};
use onepull_agent::containerd::{ContainerdStore, NAMESPACE, Pace};
use onepull_mirror::{
    Digest, Store,
    testing::store::{Ingest, StoreFixture},
};
use onepull_testbed::{Containerd, Requirement, Version, containerd::Options};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::ingest::Writing;

/// Everything takes milliseconds but on a loaded machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// What the tests of one release need.
pub(crate) fn requirements(version: Version) -> [Requirement; 2] {
    match version {
        Version::V1_6 => [Requirement::Root, Requirement::Containerd16],
        Version::V2_2 => [Requirement::Root, Requirement::Containerd22],
    }
}

/// A containerd and a store that follows it; both end when this is dropped.
pub(crate) struct Node {
    pub(crate) containerd: Containerd,
    pub(crate) store: Arc<ContainerdStore>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl Node {
    pub(crate) async fn start(version: Version) -> Self {
        Self::with(version, Options::default(), Pace::default()).await
    }

    pub(crate) async fn with(version: Version, options: Options<'_>, pace: Pace) -> Self {
        let containerd = Containerd::start(version, options).await.unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let socket = containerd.socket();
        let store = ContainerdStore::connect(&socket, pace, &tasks, stop.clone()).await.unwrap();
        let listed = tokio::time::timeout(LIMIT, store.listed()).await;
        listed.expect("containerd is listed");
        Self { containerd, store, tasks, stop }
    }

    /// Completes a blob without any image, as `ctr content ingest` does.
    pub(crate) async fn ingest(&self, bytes: &[u8]) -> Digest {
        let digest = self.containerd.content().await.unwrap().ingest(bytes).await.unwrap();
        digest.to_string().parse().unwrap()
    }

    pub(crate) async fn delete_blob(&self, digest: &Digest) {
        let digest = digest.to_string().parse().unwrap();
        self.containerd.content().await.unwrap().delete_blob(&digest).await.unwrap();
    }

    /// Writes `bytes` under `expected` in `namespace`, and commits them if they are all.
    pub(crate) async fn write(
        &self,
        namespace: &str,
        expected: Digest,
        total: usize,
        bytes: &[u8],
    ) {
        let write = WriteContentRequest {
            action: WriteAction::Write.into(),
            r#ref: format!("layer-{expected}"),
            total: total.try_into().unwrap(),
            expected: expected.to_string(),
            data: bytes.to_vec(),
            labels: [("containerd.io/gc.root".to_owned(), "test".to_owned())].into(),
            ..Default::default()
        };
        let commit = WriteContentRequest {
            action: WriteAction::Commit.into(),
            offset: write.total,
            data: Vec::new(),
            ..write.clone()
        };
        let mut messages = vec![write];
        messages.extend((bytes.len() == total).then_some(commit));
        let mut client = ContentClient::new(self.containerd.channel().await.unwrap());
        let request = within(namespace, futures::stream::iter(messages));
        let mut answers = client.write(request).await.unwrap().into_inner();
        while answers.message().await.unwrap().is_some() {}
    }

    /// The refs of what is being written.
    pub(crate) async fn ingests(&self) -> Vec<String> {
        let mut client = ContentClient::new(self.containerd.channel().await.unwrap());
        let request = within(NAMESPACE, ListStatusesRequest::default());
        let statuses = client.list_statuses(request).await.unwrap().into_inner().statuses;
        statuses.into_iter().map(|status| status.r#ref).collect()
    }

    /// Names the blob as an image, which is how a pull ends.
    async fn tag(&self, digest: &Digest, size: usize) {
        let target = Descriptor {
            media_type: "application/vnd.oci.image.manifest.v1+json".into(),
            digest: digest.to_string(),
            size: size.try_into().unwrap(),
            ..Default::default()
        };
        let name = format!("registry.example/{}:v1", digest.hex());
        let image = Image { name, target: Some(target), ..Default::default() };
        let request = CreateImageRequest { image: Some(image), ..Default::default() };
        let mut client = ImagesClient::new(self.containerd.channel().await.unwrap());
        client.create(within(NAMESPACE, request)).await.unwrap();
    }
}

#[async_trait]
impl StoreFixture for Node {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    async fn put(&self, bytes: Bytes) -> Digest {
        let digest = self.ingest(&bytes).await;
        self.tag(&digest, bytes.len()).await;
        digest
    }

    async fn delete(&self, digest: &Digest) {
        self.delete_blob(digest).await;
    }

    async fn begin(&self, digest: Digest, total: Option<u64>) -> Box<dyn Ingest> {
        let channel = self.containerd.channel().await.unwrap();
        Box::new(Writing::begin(channel, digest, total).await)
    }
}

/// Waits until `holds`, with a limit for a loaded machine.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let ask = async || holds().await.then_some(());
    onepull_testbed::deadline::eventually(what, LIMIT, ask).await.unwrap();
}

pub(crate) fn within<T>(namespace: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("containerd-namespace", namespace.parse().unwrap());
    request
}
