//! From a registry's answer to what a plan needs of it.

use std::collections::BTreeSet;

use onepull_api::ImageCache;
use onepull_resolve::Resolved as Answer;

use crate::{
    convert,
    planner::{Content, Digest, ImageRef, Platform, Resolved},
};

/// What the answer says for nodes that run these. A platform that the image has nothing for is left out.
pub(super) fn resolved(answer: &Answer, platforms: &BTreeSet<Platform>) -> Resolved {
    let content = |platform: &Platform| {
        let image = answer.image_for(&runs(platform)?)?;
        let manifest = Digest::from(image.manifest.to_string().as_str());
        let content = Content { manifest, bytes: image.compressed_bytes, disk: image.disk_bytes };
        Some((platform.clone(), content))
    };
    Resolved {
        digest: Digest::from(answer.digest.to_string().as_str()),
        platforms: platforms.iter().filter_map(content).collect(),
    }
}

/// A node's platform as registries name it. Nodes do not say their variant.
pub(super) fn runs(platform: &Platform) -> Option<onepull_resolve::Platform> {
    onepull_resolve::Platform::parse(platform.as_str())
}

/// What an image stands for in the rollout that a cache's status tells of.
pub(super) fn standing_digest(cache: &ImageCache, image: &ImageRef) -> Option<Digest> {
    let told = cache.status.as_ref()?.images.iter();
    let mut told = told.filter(|one| convert::full_name(&one.image) == *image);
    Some(Digest::from(told.find_map(|one| one.digest.as_deref())?))
}

#[cfg(test)]
mod tests {
    use onepull_api::{ImageCacheSpec, ImageCacheStatus, ImageStatus};

    use super::*;

    #[test]
    fn the_digest_of_a_rollout_under_way_is_found_whichever_way_the_name_is_written() {
        let mut cache = ImageCache::new("a", ImageCacheSpec::default());
        let image = ImageRef::from("docker.io/library/nginx:1.27");
        assert_eq!(standing_digest(&cache, &image), None);
        let status = |digest: Option<&str>| ImageStatus {
            image: "nginx:1.27".into(),
            digest: digest.map(str::to_owned),
            ..ImageStatus::default()
        };
        let told = |images| Some(ImageCacheStatus { images, ..ImageCacheStatus::default() });
        cache.status = told(vec![status(None)]);
        assert_eq!(standing_digest(&cache, &image), None, "not resolved yet");
        cache.status = told(vec![status(Some("sha256:00"))]);
        assert_eq!(standing_digest(&cache, &image), Some(Digest::from("sha256:00")));
    }
}
