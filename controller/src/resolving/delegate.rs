//! Nodes that can ask a registry in the controller's place.

use onepull_api::{ImageAnswer, ImageQuestion, NodeImageCache};
use onepull_resolve::{ImageRef as Reference, PlatformImage, Resolved};

/// A node that is ready and has logins of its own, as its credential plugins know them.
#[derive(Clone, Copy, Debug)]
pub struct Delegate<'a> {
    name: &'a str,
    object: &'a NodeImageCache,
}

// === impl Delegate ===

impl<'a> Delegate<'a> {
    /// The node of that name, if its agent says that it has logins.
    pub fn new(name: &'a str, object: &'a NodeImageCache) -> Option<Self> {
        let has_logins = object.status.as_ref().is_some_and(|status| !status.logins.is_empty());
        has_logins.then_some(Self { name, object })
    }

    pub(super) fn name(&self) -> &'a str {
        self.name
    }

    /// Whether it may have a login for an image.
    pub(super) fn may_ask_for(&self, image: &Reference) -> bool {
        let logins = self.object.status.iter().flat_map(|status| &status.logins);
        logins.into_iter().any(|pattern| image.is_for(pattern))
    }

    /// What it is asked already.
    pub(super) fn questions(&self) -> &'a [ImageQuestion] {
        &self.object.spec.questions
    }

    /// What it answers.
    pub(super) fn answer(&self, question: &ImageQuestion) -> Option<&'a ImageAnswer> {
        let answers = self.object.status.iter().flat_map(|status| &status.answers);
        answers.into_iter().find(|answer| answer.is_to(question))
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
