//! From a `NodeImageCache` to what is kept of it.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use onepull_api::{DesiredImage, Disk, ImageAnswer, ImageQuestion, NodeImageCache, UnwantedImage};

use super::{Names, report};
use crate::planner::{Digest, Hold, Removal, Report, Source};

/// What a node was told, and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The node's name.
    pub name: String,
    /// Of the object; one made anew has another.
    pub uid: Option<String>,
    /// Counts the changes of what it is told.
    pub generation: Option<i64>,
    /// The zone that it was told.
    pub zone: Option<Arc<str>>,
    /// What it is to hold.
    pub holds: Vec<Hold>,
    /// What it is to remove.
    pub removals: Vec<Removal>,
    /// What it is to ask registries.
    pub questions: Vec<ImageQuestion>,
    /// What it said, if it has.
    pub said: Option<Said>,
}

/// What a node's agent reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Its file system of images.
    pub disk: Option<Disk>,
    /// What it says of each image.
    pub reports: BTreeMap<Digest, Report>,
    /// Registries that it has logins for, as patterns.
    pub logins: Vec<String>,
    /// What registries answered it.
    pub answers: Vec<ImageAnswer>,
}

// === impl Told ===

impl Told {
    /// What is kept of an object. Times that have not come yet, as an agent's clock may be wrong, count as `now`.
    pub fn read(object: &NodeImageCache, names: &mut Names, now: Timestamp) -> Self {
        let spec = &object.spec;
        Self {
            name: object.metadata.name.clone().unwrap_or_default(),
            uid: object.metadata.uid.clone(),
            generation: object.metadata.generation,
            zone: spec.zone.as_deref().map(|zone| names.text(zone)),
            holds: spec.images.iter().map(|image| hold(image, names)).collect(),
            removals: spec.remove.iter().map(|image| removal(image, names)).collect(),
            questions: spec.questions.clone(),
            said: object.status.as_ref().map(|status| Said {
                disk: status.disk.clone(),
                // Of two that say the same digest, what it says first: those that it is to hold come before
                // those that it is to remove.
                reports: status
                    .images
                    .iter()
                    .rev()
                    .map(|held| (names.digest(&held.digest), report::report(held, now)))
                    .collect(),
                logins: status.logins.clone(),
                answers: status.answers.clone(),
            }),
        }
    }
}

fn hold(written: &DesiredImage, names: &mut Names) -> Hold {
    Hold {
        digest: names.digest(&written.digest),
        refs: names.refs(&written.refs),
        source: match written.source {
            onepull_api::Source::Upstream => Source::Upstream,
            onepull_api::Source::Peers => Source::Peers,
        },
        generation: u64::try_from(written.generation).unwrap_or(0),
        caches: names.caches(&written.caches),
    }
}

fn removal(written: &UnwantedImage, names: &mut Names) -> Removal {
    Removal { digest: names.digest(&written.digest), refs: names.refs(&written.refs).to_vec() }
}
