//! Takes away one image that nobody wants any more.

use tracing::warn;

use super::{Warmer, leases::Leases, removals::Leaving};
use crate::{
    desired::{DesiredState, UnwantedImage},
    runtime::Removal,
};

// === impl Warmer ===

impl Warmer {
    /// What becomes of it. Names that are wanted again stay.
    pub(super) async fn remove(
        &self,
        desired: &DesiredState,
        image: &UnwantedImage,
        leases: &mut Leases,
    ) -> Leaving {
        let names = names_to_remove(desired, image);
        match self.0.runtime.remove(&names, &image.digest).await {
            Ok(Removal::Gone) => {
                // An earlier run may have left one. It ends unless the image is wanted again.
                leases.note(image.digest);
                Leaving::Gone
            }
            Ok(Removal::InUse) => Leaving::InUse,
            Err(error) => {
                warn!(image = %image.names.first(), digest = %image.digest, "{error}");
                Leaving::Failed(error.to_string())
            }
        }
    }
}

/// The names in the list, and the names by digest that our pulls left, if nobody wants the image.
fn names_to_remove(desired: &DesiredState, image: &UnwantedImage) -> Vec<String> {
    let wanted = |name: &&_| desired.images.iter().any(|it| it.names.iter().any(|n| n == *name));
    let listed = image.names.iter().filter(|name| !wanted(name)).map(ToString::to_string);
    let mut names: Vec<_> = listed.collect();
    if !is_wanted(desired, image) {
        let by_digest = image.names.repositories().into_iter();
        names.extend(by_digest.map(|repository| format!("{repository}@{}", image.digest)));
    }
    names
}

fn is_wanted(desired: &DesiredState, image: &UnwantedImage) -> bool {
    desired.images.iter().any(|wanted| wanted.digest == image.digest)
}

#[cfg(test)]
mod tests {
    use onepull_mirror::Digest;

    use super::*;
    use crate::desired::{DesiredImage, ImageName, Source};

    fn name(text: &str) -> ImageName {
        text.parse().unwrap()
    }

    #[test]
    fn what_our_pulls_named_goes_with_the_image_and_what_is_wanted_stays() {
        let [old, new] = [b"old", b"new"].map(|bytes| Digest::sha256(bytes));
        let image = UnwantedImage { names: name("r.example/a:v1").into(), digest: old };
        let wanted = |text, digest| DesiredState {
            images: vec![DesiredImage { names: name(text).into(), digest, source: Source::Peers }],
            ..DesiredState::default()
        };
        let by_digest = format!("r.example/a@{old}");
        let tag = "r.example/a:v1".to_owned();
        for (wanted, expected) in [
            (wanted("r.example/a:v2", new), vec![tag.clone(), by_digest.clone()]),
            (wanted("r.example/a:v2", old), vec![tag]),
            (wanted("r.example/a:v1", new), vec![by_digest]),
            (wanted("r.example/a:v1", old), vec![]),
        ] {
            assert_eq!(names_to_remove(&wanted, &image), expected);
        }
    }
}
