//! The file of a user of kube-fledged, and what it asks for.

use std::collections::BTreeMap;

use onepull_api::{ImageCache, ImageList};

use crate::fleet::FleetError;

/// As kube-fledged's users have it: two lists with different images, each with a selector, and a
/// pull secret.
const KUBE_FLEDGED: &str = include_str!("imagecache.yaml");

/// What they have to change.
const API_VERSIONS: [&str; 2] = ["kubefledged.io/v1alpha2", "onepull.dev/v1alpha1"];

/// Where their images come from. The network of a run has no names, so there it is an address.
const REGISTRY: &str = "registry.example.com";

/// The file, and the object that it makes.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// What is given to kubectl.
    pub(super) text: String,
    pub(super) cache: ImageCache,
}

/// An image that a list names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// Which list.
    pub(super) list: usize,
    /// In full, as in the file.
    pub(super) name: String,
}

// === impl File ===

impl File {
    /// The file for onepull, with its images in `registry`.
    pub(super) fn new(registry: &str) -> Result<Self, FleetError> {
        let [before, after] = API_VERSIONS;
        let text = KUBE_FLEDGED.replace(before, after).replace(REGISTRY, registry);
        let cache = serde_saphyr::from_str(&text).map_err(FleetError::setup("read the file"))?;
        Ok(Self { text, cache })
    }

    /// The same, without the pull secrets.
    pub(super) fn without_secrets(mut self) -> Result<Self, FleetError> {
        self.cache.spec.image_pull_secrets.clear();
        let text = serde_json::to_string_pretty(&self.cache);
        self.text = text.map_err(FleetError::setup("write the file"))?;
        Ok(self)
    }

    pub(super) fn namespace(&self) -> &str {
        self.cache.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub(super) fn name(&self) -> &str {
        self.cache.metadata.name.as_deref().unwrap_or_default()
    }

    pub(super) fn lists(&self) -> &[ImageList] {
        &self.cache.spec.cache_spec
    }

    /// All images, in order.
    pub(super) fn images(&self) -> Vec<Named> {
        let lists = self.lists().iter().enumerate();
        let named = lists.flat_map(|(list, images)| {
            images.images.iter().map(move |name| Named { list, name: name.clone() })
        });
        named.collect()
    }

    /// The lists that select the node of this index. In turn: the first, both, the second, none.
    pub(super) fn lists_of(&self, node: usize) -> Vec<usize> {
        const PATTERN: [&[usize]; 4] = [&[0], &[0, 1], &[1], &[]];
        PATTERN[node % PATTERN.len()].to_vec()
    }

    /// The labels by which they do.
    pub(super) fn labels_of(&self, node: usize) -> BTreeMap<String, String> {
        let selected = self.lists_of(node).into_iter().filter_map(|list| self.lists().get(list));
        selected.flat_map(|list| list.node_selector.clone()).collect()
    }
}

// === impl Named ===

impl Named {
    /// `REGISTRY/REPOSITORY` and the tag.
    pub(super) fn parts(&self) -> (&str, &str) {
        self.name.rsplit_once(':').unwrap_or((&self.name, "latest"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_of_kube_fledged_changes_nothing_but_the_api_version() {
        let file = File::new("10.99.0.2:5000").unwrap();
        let theirs = KUBE_FLEDGED.replace(REGISTRY, "10.99.0.2:5000");
        let differ = theirs.lines().zip(file.text.lines()).filter(|(a, b)| a != b);
        let expected = ("apiVersion: kubefledged.io/v1alpha2", "apiVersion: onepull.dev/v1alpha1");
        assert_eq!(differ.collect::<Vec<_>>(), [expected]);
        assert_eq!((file.namespace(), file.name()), ("kube-fledged", "imagecache1"));
        assert_eq!(file.cache.spec.image_pull_secrets.len(), 1);
        let images = file.images();
        assert_eq!(images.iter().map(|image| image.list).collect::<Vec<_>>(), [0, 1, 1]);
        assert_eq!(images[2].parts(), ("10.99.0.2:5000/databases/etcd", "3.5.4-0"));
    }

    #[test]
    fn of_four_nodes_one_is_selected_by_each_list_one_by_both_and_one_by_none() {
        let file = File::new("r.example").unwrap();
        let selects = |list: &ImageList, node| {
            let labels = file.labels_of(node);
            list.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        let selected =
            |node| file.lists().iter().map(|list| selects(list, node)).collect::<Vec<_>>();
        let both: Vec<_> = (0..4).map(selected).collect();
        assert_eq!(both, [[true, false], [true, true], [false, true], [false, false]]);
    }
}
