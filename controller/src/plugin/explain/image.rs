//! Why an image is not warm everywhere. Pure.

use std::{collections::HashMap, fmt::Write};

use jiff::Timestamp;
use onepull_api::{ImageCache, NodeImageCache};
use serde::Serialize;

use crate::{
    convert::id,
    plugin::{
        advice::advice,
        output::Answer,
        pool::Place,
        standing::{Standing, Word},
        wanted::{UNSEEN, Wanted, is_observed},
        words::{age, count, names, size},
    },
};

/// Names of nodes in one sentence.
const NAMED: usize = 8;

/// One image, who wants it, and how the nodes that should hold it stand to it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImageExplained {
    image: String,
    caches: Vec<OfCache>,
    nodes_warm: usize,
    nodes: Vec<OfNode>,
    #[serde(skip)]
    now: Timestamp,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OfCache {
    cache: String,
    digest: Option<String>,
    bytes: Option<u64>,
    message: Option<String>,
}

#[derive(Debug, Serialize)]
struct OfNode {
    name: String,
    #[serde(flatten)]
    standing: Standing,
}

// === impl ImageExplained ===

impl ImageExplained {
    /// From all that the objects say; `places` are the nodes that any of the caches selects for it.
    pub(crate) fn of(
        wanted: &Wanted,
        places: &[Place],
        told: &HashMap<String, NodeImageCache>,
        caches: &[&ImageCache],
        now: Timestamp,
    ) -> Self {
        let nodes: Vec<_> = places
            .iter()
            .map(|place| OfNode {
                name: place.name.clone(),
                standing: wanted.standing(place, told.get(&place.name), caches),
            })
            .collect();
        Self {
            image: wanted.name.clone(),
            caches: caches.iter().map(|cache| OfCache::of(wanted, cache)).collect(),
            nodes_warm: nodes.iter().filter(|node| node.standing.is_warm()).count(),
            nodes,
            now,
        }
    }

    /// Nodes that stand to it alike, in the order of the first of each.
    fn groups(&self) -> Vec<(&Standing, Vec<&OfNode>)> {
        let mut groups: Vec<(&Standing, Vec<&OfNode>)> = Vec::new();
        let mut known: HashMap<(Word, Option<&str>), usize> = HashMap::new();
        for node in self.nodes.iter().filter(|node| !node.standing.is_warm()) {
            let key = (node.standing.state, node.standing.message.as_deref());
            let at = *known.entry(key).or_insert_with(|| {
                groups.push((&node.standing, Vec::new()));
                groups.len() - 1
            });
            groups[at].1.push(node);
        }
        groups
    }
}

impl Answer for ImageExplained {
    fn text(&self, wide: bool) -> String {
        let all = count(self.nodes.len(), "node");
        let mut text = format!("image {}: warm on {} of {all}\n", self.image, self.nodes_warm);
        for cache in &self.caches {
            text += &cache.text(wide);
        }
        for (standing, nodes) in self.groups() {
            let most = if wide { usize::MAX } else { NAMED };
            let listed: Vec<_> = nodes.iter().map(|node| &node.name).collect();
            let oldest = nodes.iter().filter_map(|node| node.standing.since).min();
            let since = oldest.map(|since| format!(" for {}", age(since, self.now)));
            let since = since.unwrap_or_default();
            let _ = write!(text, "\n{} on {}{since}", standing.state, names(&listed, most));
            if let Some(message) = &standing.message {
                let _ = write!(text, "\n  {message}");
            }
            let one = nodes.first().map_or("NODE", |node| &node.name);
            let advice = advice(standing.state, one);
            let _ = write!(text, "\n  next: {}", advice.next);
            if let Some(todo) = advice.todo {
                let _ = write!(text, "\n  you can: {todo}");
            }
            text.push('\n');
        }
        text
    }
}

// === impl OfCache ===

impl OfCache {
    fn of(wanted: &Wanted, cache: &ImageCache) -> Self {
        let status = wanted.status(cache);
        let unseen = (!is_observed(cache)).then(|| UNSEEN.to_owned());
        Self {
            cache: id(cache).to_string(),
            digest: status.and_then(|status| status.digest.clone()),
            bytes: status.and_then(|status| status.bytes),
            message: unseen.or_else(|| status.and_then(|status| status.message.clone())),
        }
    }

    fn text(&self, wide: bool) -> String {
        let size = self.bytes.map(|bytes| format!(", {}", size(bytes)));
        let size = size.unwrap_or_default();
        let digest = match self.digest.as_deref() {
            None => "its digest is not known".to_owned(),
            Some(digest) if wide => digest.to_owned(),
            Some(digest) => digest.chars().take("sha256:".len() + 12).collect(),
        };
        match &self.message {
            Some(message) => format!("  for {}: {digest}{size}: {message}\n", self.cache),
            None => format!("  for {}: {digest}{size}\n", self.cache),
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use onepull_api::NodeImageState;

    use super::*;
    use crate::plugin::testing::{cache, check, later, node, node_with, place};

    #[test]
    fn nodes_that_lack_an_image_are_grouped_by_why() {
        let places = ["gpu-1", "gpu-2", "gpu-3", "gpu-4", "gpu-5", "gpu-6"].map(place);
        let told = [
            node_with("gpu-1", "app", NodeImageState::Warm),
            node_with("gpu-2", "app", NodeImageState::Warming),
            node("gpu-3", Vec::new(), Vec::new()),
            node("gpu-5", Vec::new(), Vec::new()),
        ];
        let told = told.map(|object| (object.name_any(), object)).into();
        let cache = cache("models", "r.example/app:v1");
        let wanted = Wanted::new("r.example/app:v1");
        let answer = ImageExplained::of(&wanted, &places, &told, &[&cache], later(75));
        check("explain-image", &answer.text(false));
        let json = serde_json::to_value(&answer).unwrap();
        assert_eq!(json["nodes"][2]["state"], "WaitingForSeed");
        assert_eq!(json["nodesWarm"], 1);
    }

    #[test]
    fn an_image_that_is_not_found_says_so_for_all_nodes() {
        let mut cache = cache("models", "r.example/app:v1");
        let status = cache.status.as_mut().unwrap();
        (status.images[0].digest, status.not_warm_nodes) = (None, Vec::new());
        status.images[0].message = Some("the registry has no such image".into());
        let places = ["gpu-1", "gpu-2"].map(place);
        let told = ["gpu-1", "gpu-2"].map(|name| (name.into(), node(name, Vec::new(), Vec::new())));
        let wanted = Wanted::new("r.example/app:v1");
        let answer = ImageExplained::of(&wanted, &places, &told.into(), &[&cache], later(75));
        check("explain-image-not-found", &answer.text(false));
    }
}
