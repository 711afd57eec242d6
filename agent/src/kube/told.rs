//! A NodeImageCache as the agent understands it. Pure.

use std::collections::HashMap;

use onepull_api::{self as api, NodeImageCache, NodeImageCacheSpec};
use onepull_mirror::{Digest, declared::MOST_DECLARED};

use crate::desired::{DesiredImage, DesiredState, ImageName, Names, Source, UnwantedImage};

/// What the node was told last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Told {
    /// The object; without one nothing is desired.
    pub(super) object: Option<NodeImageCache>,
    /// Whether the API server said so in this run.
    pub(super) is_current: bool,
    /// What its spec means.
    pub(super) order: Order,
}

/// What a spec means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// For each image of the spec, what it means, or why it means nothing.
    pub(super) images: Vec<Result<DesiredImage, String>>,
    /// For each image to be removed, the same.
    pub(super) unwanted: Vec<Result<UnwantedImage, String>>,
}

// === impl Told ===

impl Told {
    pub(super) fn new(object: Option<NodeImageCache>, is_current: bool) -> Self {
        let order = object.as_ref().map(|object| Order::read(&object.spec)).unwrap_or_default();
        Self { object, is_current, order }
    }

    /// All of it that makes sense.
    pub(super) fn state(&self) -> DesiredState {
        DesiredState {
            images: self.order.images.iter().flatten().cloned().collect(),
            unwanted: self.order.unwanted.iter().flatten().cloned().collect(),
            is_known: self.is_current,
            problem: None,
        }
    }
}

// === impl Order ===

impl Order {
    /// One image that makes no sense does not keep the others.
    pub(super) fn read(spec: &NodeImageCacheSpec) -> Self {
        let mut taken = HashMap::new();
        let images = spec.images.iter().take(MOST_DECLARED);
        let images = images.map(|image| desired(image, &mut taken)).collect();
        let unwanted = spec.remove.iter().take(MOST_DECLARED).map(unwanted).collect();
        Self { images, unwanted }
    }
}

fn desired(
    image: &api::DesiredImage,
    taken: &mut HashMap<ImageName, Digest>,
) -> Result<DesiredImage, String> {
    let digest = digest_of(&image.digest)?;
    let names = names_of(&image.refs, digest)?;
    if let Some(twice) = names.iter().find(|name| taken.get(name).is_some_and(|it| *it != digest)) {
        return Err(format!("{twice} stands for another digest further up in the spec"));
    }
    taken.extend(names.iter().map(|name| (name.clone(), digest)));
    let source = match image.source {
        api::Source::Upstream => Source::Upstream,
        api::Source::Peers => Source::Peers,
    };
    Ok(DesiredImage { names, digest, source })
}

fn unwanted(image: &api::UnwantedImage) -> Result<UnwantedImage, String> {
    let digest = digest_of(&image.digest)?;
    Ok(UnwantedImage { names: names_of(&image.refs, digest)?, digest })
}

fn digest_of(text: &str) -> Result<Digest, String> {
    text.parse().map_err(|error| format!("`{text}` is no digest: {error}"))
}

fn names_of(refs: &[String], digest: Digest) -> Result<Names, String> {
    let names = refs.iter().map(|name| name.parse::<ImageName>());
    let names = names.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    if let Some(other) = names.iter().find(|name| name.digest().is_some_and(|it| *it != digest)) {
        return Err(format!("{other} names another digest than the one beside it"));
    }
    Names::new(names).ok_or_else(|| "the image has no name".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::sha256(text.as_bytes())
    }

    fn image(refs: &[&str], of: &str) -> api::DesiredImage {
        let refs = refs.iter().map(ToString::to_string).collect();
        let digest = if of.is_empty() { String::new() } else { digest(of).to_string() };
        api::DesiredImage { refs, digest, source: api::Source::Upstream, ..Default::default() }
    }

    #[test]
    fn a_spec_is_read_in_its_order_and_what_makes_no_sense_keeps_nobody() {
        let spec = NodeImageCacheSpec {
            images: vec![
                image(&["r.example/a:v1", "r.example/a:v2"], "a"),
                image(&["r.example/b:v1"], ""),
                image(&["r.example/c:v1", "r.example/a:v2"], "c"),
                image(&[], "d"),
                image(&["Not A Name"], "e"),
                image(&["nginx"], "f"),
            ],
            remove: vec![api::UnwantedImage {
                refs: vec!["r.example/a:v0".into()],
                digest: digest("old").to_string(),
            }],
            ..Default::default()
        };
        let order = Order::read(&spec);
        let said: Vec<_> = order.images.iter().map(|it| it.as_ref().err().cloned()).collect();
        let says = |number: usize, word: &str| {
            let said = said[number].as_ref();
            assert!(said.is_some_and(|said| said.contains(word)), "{number}: {said:?}");
        };
        assert_eq!([&said[0], &said[5]], [&None; 2]);
        says(1, "`` is no digest");
        says(2, "r.example/a:v2 stands for another digest");
        says(3, "no name");
        says(4, "`Not A Name`");
        let state = Told { object: None, is_current: true, order: order.clone() }.state();
        let names = |image: &DesiredImage| image.names.iter().map(ToString::to_string).collect();
        let names: Vec<Vec<String>> = state.images.iter().map(names).collect();
        let nginx = vec!["docker.io/library/nginx:latest".to_owned()];
        assert_eq!(names, [vec!["r.example/a:v1".into(), "r.example/a:v2".into()], nginx]);
        assert_eq!(state.unwanted[0].digest, digest("old"));
    }
}
