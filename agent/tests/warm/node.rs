//! A node with a warmer, and a runtime that pulls through the node's own mirror.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use onepull_agent::{
    desired::{Desired, DesiredImage, DesiredState, ImageName, Source},
    logins::NoLogins,
    origins::Origins,
    runtime::{Removal, Runtime, RuntimeError, Unpack},
    status::{ImageStatus, Phase},
    warm::{self, Warmer},
};
use onepull_mirror::{
    Deadlines, Digest, Metrics, Mirror, Participant, Peer, PeerService, Store,
    announce::announce,
    mirror::{DELIVERIES_WAITING, Parts},
    participant::Seat,
    router::MemoryNetwork,
    server::{Serving, serve},
    sources::Lookup,
    store::{FolderSink, FolderStore, FolderWriter},
};
use onepull_resolve::Login;
use prometheus_client::registry::Registry as MetricsRegistry;
use tokio::{net::TcpListener, sync::mpsc, sync::watch, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::image::Image;

/// A test that takes longer hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) const NAME: &str = "registry.example/team/app:v1";

/// Sends its image slowly, to as many as ask, and counts.
pub(crate) struct Registry {
    pub(crate) image: Image,
    pub(crate) sent: AtomicU64,
}

pub(crate) struct Node {
    pub(crate) store: Arc<FolderStore>,
    pub(crate) runtime: Arc<PullingRuntime>,
    pub(crate) warmer: Warmer,
    pub(crate) desired: Arc<Declared>,
    shutdown: CancellationToken,
    _deliveries: mpsc::Receiver<onepull_mirror::mirror::Delivery>,
    _folder: tempfile::TempDir,
}

/// What the test says.
pub(crate) struct Declared(watch::Sender<Arc<DesiredState>>);

/// Pulls as containerd does: from the mirror, resumed at its byte, and from the registry on 404.
pub(crate) struct PullingRuntime {
    store: Arc<FolderStore>,
    pub(crate) sink: Arc<FolderSink>,
    mirror: SocketAddr,
    registry: Arc<Registry>,
    names: Mutex<BTreeMap<String, Digest>>,
    unpacked: Mutex<Vec<Digest>>,
}

impl Declared {
    pub(crate) fn say(&self, image: &Image, source: Source) {
        let names = NAME.parse::<ImageName>().unwrap().into();
        let image = DesiredImage { names, digest: image.index.0, source };
        self.0.send_replace(Arc::new(DesiredState {
            images: vec![image],
            is_known: true,
            ..Default::default()
        }));
    }
}

impl Desired for Declared {
    fn watch(&self) -> watch::Receiver<Arc<DesiredState>> {
        self.0.subscribe()
    }
}

impl Registry {
    pub(crate) fn of(layers: &[usize]) -> Arc<Self> {
        Arc::new(Self { image: Image::new(layers), sent: AtomicU64::new(0) })
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    async fn send(&self, digest: &Digest, writer: &mut FolderWriter) {
        let (_, bytes) = self.image.all().find(|(named, _)| named == digest).unwrap();
        let from = usize::try_from(writer.written()).unwrap();
        for piece in bytes[from..].chunks(256 * 1024) {
            sleep(Duration::from_millis(20)).await;
            self.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
            writer.append(piece).await.unwrap();
        }
    }
}

impl PullingRuntime {
    fn new(store: &Arc<FolderStore>, mirror: SocketAddr, registry: &Arc<Registry>) -> Self {
        let (store, registry) = (store.clone(), registry.clone());
        let sink = Arc::new(FolderSink::new(store.clone()));
        Self { store, sink, mirror, registry, names: Mutex::default(), unpacked: Mutex::default() }
    }

    pub(crate) fn names(&self) -> BTreeMap<String, Digest> {
        self.names.lock().unwrap().clone()
    }

    /// What was unpacked before the pull.
    pub(crate) fn unpacked(&self) -> Vec<Digest> {
        self.unpacked.lock().unwrap().clone()
    }

    /// Has one blob fetched.
    pub(crate) async fn fetch(&self, kind: &str, digest: &Digest, size: u64) {
        loop {
            if self.store.stat(digest).await.unwrap().is_some_and(|it| it.complete().is_some()) {
                return;
            }
            let mut writer = self.store.write(*digest).await.unwrap().with_total(size);
            while writer.written() < size {
                if !self.take_from_mirror(kind, digest, &mut writer).await {
                    self.registry.send(digest, &mut writer).await;
                }
            }
            writer.commit().await.unwrap();
        }
    }

    /// Whether the mirror answered.
    async fn take_from_mirror(&self, kind: &str, digest: &Digest, to: &mut FolderWriter) -> bool {
        let mirror = self.mirror;
        let path = format!("/v2/team/app/{kind}/{digest}?ns=registry.example");
        let request = Request::get(format!("http://{mirror}{path}"));
        let request = match to.written() {
            0 => request,
            at => request.header("range", format!("bytes={at}-")),
        };
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        if response.status() == StatusCode::NOT_FOUND {
            return false;
        }
        let mut body = response.into_body().into_data_stream();
        while let Some(Ok(bytes)) = body.next().await {
            to.append(&bytes).await.unwrap();
        }
        true
    }

    /// As a pod's pull: the manifests first.
    pub(crate) async fn pull_image(&self) {
        let all: Vec<_> = self.registry.image.all().collect();
        for (index, (digest, bytes)) in all.into_iter().enumerate() {
            let kind = if index < 2 { "manifests" } else { "blobs" };
            self.fetch(kind, digest, bytes.len() as u64).await;
        }
    }
}

#[async_trait]
impl Runtime for PullingRuntime {
    async fn pull(
        &self,
        repository: &str,
        digest: &Digest,
        _: Option<&Login>,
    ) -> Result<(), RuntimeError> {
        self.pull_image().await;
        self.names.lock().unwrap().insert(format!("{repository}@{digest}"), *digest);
        Ok(())
    }

    async fn unpack(&self, layer: &Unpack) -> Result<(), RuntimeError> {
        assert_eq!(self.names(), BTreeMap::new(), "before the pull");
        self.unpacked.lock().unwrap().push(layer.layer);
        Ok(())
    }

    async fn find(&self, name: &str) -> Result<Option<Digest>, RuntimeError> {
        Ok(self.names.lock().unwrap().get(name).copied())
    }

    async fn tag(&self, name: &str, digest: &Digest) -> Result<(), RuntimeError> {
        self.names.lock().unwrap().insert(name.to_owned(), *digest);
        Ok(())
    }

    async fn remove(&self, names: &[String], digest: &Digest) -> Result<Removal, RuntimeError> {
        let mut all = self.names.lock().unwrap();
        all.retain(|name, of| !(of == digest && names.contains(name)));
        Ok(Removal::Gone)
    }
}

impl Node {
    pub(crate) async fn start(network: &MemoryNetwork, registry: &Arc<Registry>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(FolderStore::open_or_create(folder.path()).unwrap());
        let (mut listed, shutdown) = (MetricsRegistry::default(), CancellationToken::new());
        let (metrics, tasks) = (Metrics::register(&mut listed), TaskTracker::new());
        let deadlines = Deadlines { claim: Duration::from_secs(2), ..Deadlines::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let me = Peer { endpoint: listener.local_addr().unwrap(), zone: None };
        let router = Arc::new(network.join(me.clone()));
        let participant = Participant::new(Seat {
            me,
            router: router.clone(),
            store: store.clone(),
            tls: None,
            deadlines,
            metrics: metrics.clone(),
            tasks: tasks.clone(),
            running: shutdown.clone(),
        });
        let held = store.clone();
        let peers = PeerService::new(held, participant.clone(), metrics.clone(), None, &deadlines);
        tasks.spawn(serve_peers(listener, peers, metrics.clone(), shutdown.clone()));
        let announcing = announce(store.clone(), router.clone());
        tasks.spawn(shutdown.clone().run_until_cancelled_owned(announcing));

        let (deliveries, delivered) = mpsc::channel(DELIVERIES_WAITING);
        let mirror = Mirror::new(Parts {
            node: "test".into(),
            participant,
            store: store.clone(),
            outside: Lookup::new(router, None, deadlines, metrics.clone()),
            deadlines,
            metrics: metrics.clone(),
            deliveries,
            tasks: tasks.clone(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let runtime = Arc::new(PullingRuntime::new(&store, address, registry));
        let desired = Arc::new(Declared(watch::Sender::new(Arc::default())));
        let parts = warm::Parts {
            desired: desired.clone(),
            runtime: runtime.clone(),
            logins: Arc::new(NoLogins),
            sink: runtime.sink.clone(),
            store: store.clone(),
            warm: mirror.warm(),
            origins: Origins::default(),
            begins: std::future::ready(()).boxed(),
            tasks: tasks.clone(),
            running: shutdown.clone(),
        };
        let warmer = Warmer::start(parts, &mut listed);
        tasks.spawn(serve_runtime(listener, mirror, metrics, shutdown.clone()));
        Self { store, runtime, warmer, desired, shutdown, _deliveries: delivered, _folder: folder }
    }

    pub(crate) fn image(&self) -> ImageStatus {
        self.warmer.status().images.pop().unwrap()
    }

    /// Waits until the image is in this state.
    pub(crate) async fn is(&self, phase: Phase) {
        self.until(|image| image.state == phase).await;
    }

    /// Waits until the image's status is as described.
    pub(crate) async fn until(&self, described: impl Fn(&ImageStatus) -> bool) {
        let is = async {
            while !self.warmer.status().images.pop().is_some_and(|image| described(&image)) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(LIMIT, is).await.is_err() {
            panic!("it stays {:?}", self.warmer.status());
        }
    }

    /// Waits until a blob is complete here.
    pub(crate) async fn gets(&self, digest: &Digest) {
        let mut presence = self.store.follow(digest);
        let complete = presence.wait_for(|now| now.is_some_and(|it| it.complete().is_some()));
        tokio::time::timeout(LIMIT, complete).await.unwrap().unwrap();
    }

    /// Every blob is here, and both names.
    pub(crate) async fn assert_complete(&self, image: &Image) {
        for (digest, bytes) in image.all() {
            let presence = self.store.stat(digest).await.unwrap();
            assert_eq!(presence.and_then(|it| it.complete()), Some(bytes.len() as u64));
        }
        let digest = image.index.0;
        let by_digest = format!("registry.example/team/app@{digest}");
        let names = BTreeMap::from([(NAME.to_owned(), digest), (by_digest, digest)]);
        assert_eq!(self.runtime.names(), names);
    }
}

async fn serve_peers(
    listener: TcpListener,
    peers: PeerService,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    let answer = move |request| {
        let peers = peers.clone();
        async move { peers.answer(request).await }
    };
    serve(listener, Serving::peers(metrics, None), answer, shutdown).await;
}

async fn serve_runtime(
    listener: TcpListener,
    mirror: Mirror,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    let answer = move |request| {
        let mirror = mirror.clone();
        async move { mirror.answer(request).await }
    };
    serve(listener, Serving::runtime(metrics), answer, shutdown).await;
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
