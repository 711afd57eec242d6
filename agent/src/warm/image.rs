//! Brings one image to this node: by the runtime's own pull, or from peers into the runtime's store.

use std::{convert::Infallible, pin::pin, sync::Arc};

use bytes::Bytes;
use futures::future::{Either, select};
use onepull_mirror::{Digest, warm::WarmError};
use tokio::{
    sync::watch,
    time::{Duration, Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{
    Warmer,
    blob::Writing,
    contents::{Contents, Platform},
    login,
    movement::Movement,
    obstacle::Obstacle,
    plan::Plan,
    pulls::{Left, Pulls},
    source::NO_SOURCE,
    unpacking::Unpacking,
};
use crate::desired::{DesiredImage, Source};

/// Between two questions for a manifest that nobody has yet.
const PAUSE: Duration = Duration::from_millis(500);

/// Between two looks at what a pull of the runtime has brought, in memory: shorter than it takes from a layer's end to
/// that of a small image's pull.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// Where a manifest may come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// From this node's store.
    Here,
    /// From other nodes too.
    Peers,
}

// === impl Warmer ===

impl Warmer {
    /// Whether the runtime lists the image under all its names.
    pub(super) async fn holds(&self, image: &DesiredImage) -> Result<bool, Obstacle> {
        Ok(self.unlisted(image).await?.is_none())
    }

    /// The first name under which the runtime does not list the image.
    async fn unlisted(&self, image: &DesiredImage) -> Result<Option<String>, Obstacle> {
        for name in image.names.iter().map(ToString::to_string) {
            if self.0.runtime.find(&name).await? != Some(image.digest) {
                return Ok(Some(name));
            }
        }
        self.learn(image).await;
        Ok(None)
    }

    /// Returns when the runtime lists the image.
    pub(super) async fn bring(&self, image: &DesiredImage) -> Result<(), Obstacle> {
        match image.source {
            Source::Upstream => tokio::select! {
                pulled = self.pull_from_registry(image) => pulled?,
                never = self.attend(image) => match never {},
            },
            Source::Peers => {
                self.write_image(image).await?;
                self.pull(image).await?;
            }
        }
        match self.unlisted(image).await? {
            None => Ok(()),
            Some(name) => Err(Obstacle::NotListed(name)),
        }
    }

    /// The runtime fetches what is missing, and unpacks. From the second repository on there is nothing
    /// left to fetch, but its registry has its say.
    async fn pull_from_registry(&self, image: &DesiredImage) -> Result<(), Obstacle> {
        for name in image.names.one_of_each_repository() {
            login::pull(&*self.0.runtime, &*self.0.logins, name, &image.digest).await?;
        }
        self.tag(image).await
    }

    /// The runtime unpacks what peers have sent; no login leaves the seed.
    async fn pull(&self, image: &DesiredImage) -> Result<(), Obstacle> {
        for repository in image.names.repositories() {
            self.0.runtime.pull(&repository, &image.digest, None).await?;
        }
        self.tag(image).await
    }

    async fn tag(&self, image: &DesiredImage) -> Result<(), Obstacle> {
        for name in image.names.iter().filter(|name| name.has_tag()) {
            self.0.runtime.tag(&name.to_string(), &image.digest).await?;
        }
        Ok(())
    }

    /// Takes note of what an image consists of, if its manifest is here.
    pub(super) async fn learn(&self, image: &DesiredImage) {
        if !self.knows_plan(image)
            && let Ok(plan) = self.plan(image, Reach::Here).await
        {
            self.note_plan(image, plan);
        }
    }

    /// What there is to do beside a pull by the runtime: to learn of what it consists, and to keep that.
    async fn attend(&self, image: &DesiredImage) -> Infallible {
        while !self.knows_plan(image) {
            sleep(LOOK).await;
            self.learn(image).await;
        }
        self.keep_what_comes(image).await
    }

    /// Writes all of an image into the runtime's store. While the runtime pulls it by itself, it is
    /// left to the runtime.
    async fn write_image(&self, image: &DesiredImage) -> Result<(), Obstacle> {
        let mut pulls = Pulls::new(self.0.warm.asked());
        let plan = self.plan(image, Reach::Peers).await?;
        self.note_plan(image, Arc::clone(&plan));
        while !self.write(image, &plan, &mut pulls).await? {
            info!(image = %image.names.first(), "left to the runtime, which pulls it");
            Left::new(&*self.0.store, plan.digests()).completes().await;
            pulls.forget();
        }
        Ok(())
    }

    /// What the image consists of.
    async fn plan(&self, image: &DesiredImage, reach: Reach) -> Result<Arc<Plan>, Obstacle> {
        let top = self.manifest(image, image.digest, reach).await?;
        let mut manifests = vec![(image.digest, top.clone())];
        let mut contents = Contents::parse(&top);
        if let Some(Contents::Index(entries)) = &contents {
            let platform = Platform::of_this_node();
            let architecture = platform.architecture;
            let none = Obstacle::NoPlatform { index: image.digest, architecture };
            let chosen = platform.choose(entries).ok_or(none)?;
            self.0.warm.declared().choose(&image.digest, chosen);
            let manifest = self.manifest(image, chosen, reach).await?;
            contents = Contents::parse(&manifest);
            manifests.insert(0, (chosen, manifest));
        }
        match contents {
            Some(Contents::Image(config, layers)) => {
                Ok(Arc::new(Plan::new(image.digest, config, layers, manifests)))
            }
            Some(Contents::TooManyLayers(refusal)) => {
                Err(Obstacle::TooManyLayers(manifests[0].0, refusal))
            }
            _ => Err(Obstacle::NoManifest(manifests[0].0)),
        }
    }

    async fn manifest(
        &self,
        image: &DesiredImage,
        digest: Digest,
        reach: Reach,
    ) -> Result<Bytes, Obstacle> {
        if reach == Reach::Here {
            let here = self.0.warm.local_manifest(&digest).await;
            return here.ok_or(Obstacle::NeedsUpstream(digest));
        }
        let deadline = Instant::now() + NO_SOURCE;
        loop {
            match self.0.warm.manifest(digest, image.names.first().registry()).await {
                Ok(bytes) => return Ok(bytes),
                Err(WarmError::NoSource(_)) if Instant::now() < deadline => sleep(PAUSE).await,
                Err(WarmError::NoSource(_)) => return Err(Obstacle::NeedsUpstream(digest)),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether all is written; if not, the runtime pulls the image.
    async fn write(
        &self,
        image: &DesiredImage,
        plan: &Plan,
        pulls: &mut Pulls,
    ) -> Result<bool, Obstacle> {
        let written = self.written(image);
        let writing = Writing {
            sink: &*self.0.sink,
            store: &*self.0.store,
            peers: &self.0.warm,
            registry: image.names.first().registry(),
            written: &written,
            warmed: &self.0.metrics.warmed,
            turns: watch::Sender::default(),
            movement: Movement::new(Instant::now()),
            aside: CancellationToken::new(),
        };
        let steps_aside = async {
            pulls.begins(plan).await;
            writing.aside.cancel();
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            biased;
            never = steps_aside => match never {},
            is_written = self.write_and_unpack(&writing, plan) => is_written,
        }
    }

    async fn write_and_unpack(&self, writing: &Writing<'_>, plan: &Plan) -> Result<bool, Obstacle> {
        let unpacking = Unpacking {
            runtime: &*self.0.runtime,
            store: &*self.0.store,
            warm: &self.0.warm,
            plan,
        };
        match select(pin!(writing.write(plan)), pin!(unpacking.run())).await {
            Either::Left((Ok(true), unpacking)) => {
                unpacking.await;
                Ok(true)
            }
            Either::Left((left, _)) => left,
            Either::Right(((), written)) => written.await,
        }
    }
}
