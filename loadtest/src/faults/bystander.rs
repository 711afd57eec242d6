//! A small image that has nothing to do with the storm, pulled on a node that is in the middle of it.

use std::{path::Path, time::Duration};

use onepull_testbed::layout::Spec;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::{
    fleet::{
        FleetError,
        containerd::{ContainerdFleet, Feeds},
    },
    image::{Image, ImageError},
    report::seconds,
};

/// Its bytes: a moment on any link here, so that waiting shows, and little beside the storm's image,
/// whose egress it is counted with.
const BYTES: u64 = 256 << 10;

/// A pull of it that takes longer has hung.
const LIMIT: Duration = Duration::from_secs(60);

/// Seeds of its copies; the image of the storm has another one as a rule, and another size.
const FIRST_SEED: u64 = 7_000_000;

/// How long the small image took, in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Small {
    /// Before the storm.
    pub alone_seconds: f64,
    /// While the lead's containerd was frozen, then its agent too.
    pub stalled_seconds: Vec<f64>,
    /// Why a pull of it failed; absent when none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The copies that the registry has, each pulled once: by tag.
pub(super) struct Bystander {
    tags: Vec<String>,
    small: Small,
}

// === impl Small ===

impl Small {
    /// How much longer it took than alone, at worst.
    pub fn added_seconds(&self) -> f64 {
        let worst = self.stalled_seconds.iter().copied().fold(self.alone_seconds, f64::max);
        worst - self.alone_seconds
    }
}

// === impl Bystander ===

impl Bystander {
    /// Pushes the images, and pulls the first one alone.
    ///
    /// # Errors
    /// When an image cannot be made, pushed or pulled.
    pub(super) async fn prepare(
        fleet: &ContainerdFleet,
        scratch: &Path,
    ) -> Result<Self, FleetError> {
        let folder = tempfile::Builder::new().prefix("small-").tempdir_in(scratch);
        let folder = folder.map_err(FleetError::setup("make a folder for a small image"))?;
        let mut tags = Vec::new();
        for (name, seed) in ["alone", "stalled", "frozen"].into_iter().zip(FIRST_SEED..) {
            let image = Image::generate(&folder.path().join(name), &Spec::even(BYTES, 1, seed));
            let image = image.map_err(|error: ImageError| FleetError::setup("make one")(error))?;
            fleet.push(&image, name).await?;
            tags.push(name.to_owned());
        }
        let alone = fleet.time_pull(0, &tags.remove(0)).await?;
        let alone_seconds = seconds(alone);
        let small = Small { alone_seconds, stalled_seconds: Vec::new(), error: None };
        Ok(Self { tags, small })
    }

    /// Pulls the next one on a follower.
    pub(super) async fn pull(&mut self, fleet: &ContainerdFleet, feeds: &Feeds) {
        if self.tags.is_empty() {
            return;
        }
        let tag = self.tags.remove(0);
        match timeout(LIMIT, fleet.time_pull(feeds.follower(), &tag)).await {
            Ok(Ok(took)) => self.small.stalled_seconds.push(seconds(took)),
            Ok(Err(error)) => self.small.error = Some(error.chain()),
            Err(_) => self.small.error = Some(format!("no end after {} s", LIMIT.as_secs())),
        }
    }

    /// What was measured.
    pub(super) fn into_small(self) -> Small {
        self.small
    }
}
