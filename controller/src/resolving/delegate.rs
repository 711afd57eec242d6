//! Nodes that can ask a registry in the controller's place.

use onepull_api::{ImageAnswer, ImageQuestion};
use onepull_resolve::{ImageRef as Reference, PlatformImage, Resolved};

use crate::convert::{Said, Told};

/// A node that is ready and has logins of its own, as its credential plugins know them.
#[derive(Clone, Copy, Debug)]
pub struct Delegate<'a> {
    told: &'a Told,
    said: &'a Said,
}

// === impl Delegate ===

impl<'a> Delegate<'a> {
    /// The node, if its agent says that it has logins.
    pub fn new(told: &'a Told) -> Option<Self> {
        let said = told.said.as_ref()?;
        (!said.logins.is_empty()).then_some(Self { told, said })
    }

    pub(super) fn name(&self) -> &'a str {
        &self.told.name
    }

    /// Whether it may have a login for an image.
    pub(super) fn may_ask_for(&self, image: &Reference) -> bool {
        self.said.logins.iter().any(|pattern| image.is_for(pattern))
    }

    /// What it is asked already.
    pub(super) fn questions(&self) -> &'a [ImageQuestion] {
        &self.told.questions
    }

    /// What it answers.
    pub(super) fn answer(&self, question: &ImageQuestion) -> Option<&'a ImageAnswer> {
        self.said.answers.iter().find(|answer| answer.is_to(question))
    }
}

/// What an answer says; `None` where there is no digest in it, or no other that makes sense.
pub(super) fn resolved(answer: &ImageAnswer) -> Option<Resolved> {
    let images = answer.images.iter().map(|image| {
        Some(PlatformImage {
            platform: onepull_resolve::Platform::parse(&image.platform)?,
            manifest: image.manifest.parse().ok()?,
            compressed_bytes: image.compressed_bytes,
            disk_bytes: image.disk_bytes,
        })
    });
    let images = images.collect::<Option<Vec<_>>>()?;
    let platforms = images.iter().map(|image| image.platform.clone()).collect();
    Some(Resolved { digest: answer.digest.as_ref()?.parse().ok()?, images, platforms })
}
