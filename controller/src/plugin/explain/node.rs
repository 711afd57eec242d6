//! Why a node is not warm. Pure.

use std::fmt::Write;

use jiff::Timestamp;
use onepull_api::{Disk, ImageCache, NodeImageCache, NodeImageState, Source};
use serde::Serialize;

use crate::{
    convert::{full_name, id},
    plugin::{
        advice::advice,
        output::Answer,
        pool::Place,
        progress::{Bytes, Progress},
        standing::Standing,
        wanted::Wanted,
        words::{age, percent, size},
    },
};

/// One node, and how it stands to each image that it should hold.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeExplained {
    name: String,
    ready: bool,
    agent_version: Option<String>,
    disk: Option<Disk>,
    /// What is wrong with the agent as a whole.
    problem: Option<String>,
    images: Vec<ImageOfNode>,
    /// Images that it is still to remove, and why they are still there.
    to_remove: Vec<Leaving>,
    #[serde(skip)]
    now: Timestamp,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageOfNode {
    image: String,
    /// Who wants it there now, as NAMESPACE/NAME.
    wanted_by: Vec<String>,
    #[serde(flatten)]
    standing: Standing,
    next: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    todo: Option<String>,
    /// What the node was told and reports.
    told: Option<Progress>,
}

#[derive(Debug, Serialize)]
struct Leaving {
    image: String,
    message: String,
}

// === impl NodeExplained ===

impl NodeExplained {
    /// From all that the objects say.
    pub(crate) fn of(
        place: &Place,
        object: Option<&NodeImageCache>,
        caches: &[ImageCache],
        now: Timestamp,
    ) -> Self {
        let caches: Vec<_> = caches.iter().collect();
        let mut images: Vec<ImageOfNode> = Vec::new();
        for wanted in wanted(place, object, &caches) {
            images.push(ImageOfNode::of(&wanted, place, object, &caches));
        }
        let status = object.and_then(|object| object.status.clone()).unwrap_or_default();
        Self {
            name: place.name.clone(),
            ready: place.ready,
            agent_version: status.agent_version,
            disk: status.disk,
            problem: status.problem,
            images,
            to_remove: object.map(leaving).unwrap_or_default(),
            now,
        }
    }

    fn headline(&self) -> String {
        let warm = self.images.iter().filter(|image| image.standing.is_warm()).count();
        let ready = if self.ready { "Ready" } else { "not Ready" };
        let mut line = format!("node {}: {ready}", self.name);
        match self.images.len() {
            0 => line += ", no image cache selects it",
            all => line += &format!(", {warm} of {all} images warm"),
        }
        if let Some(version) = &self.agent_version {
            line += &format!(", agent {version}");
        }
        match &self.disk {
            Some(Disk { capacity_bytes, available_bytes }) => {
                let (free, all) = (size(*available_bytes), size(*capacity_bytes));
                line += &format!(", {free} of the {all} for images free");
            }
            None => line += ", no agent has reported",
        }
        line + "\n"
    }
}

impl Answer for NodeExplained {
    fn text(&self, wide: bool) -> String {
        let mut text = self.headline();
        if let Some(problem) = &self.problem {
            let _ = writeln!(text, "The agent says: {problem}");
        }
        for image in &self.images {
            text += &image.text(wide, self.now);
        }
        for Leaving { image, message } in &self.to_remove {
            let _ = write!(text, "\n{image}\n  to be removed: {message}\n");
        }
        text
    }
}

/// The images that caches want there, in their order, then those that the node still holds for a rollout.
fn wanted(place: &Place, object: Option<&NodeImageCache>, caches: &[&ImageCache]) -> Vec<Wanted> {
    let lists = caches.iter().flat_map(|cache| &cache.spec.cache_spec);
    let lists = lists.filter(|list| place.has(&list.node_selector));
    let named = lists.flat_map(|list| &list.images).map(|name| full_name(name).to_string());
    let told = object.into_iter().flat_map(|object| &object.spec.images);
    let told = told.filter_map(|image| image.refs.first().cloned());
    let mut names: Vec<Wanted> = Vec::new();
    for name in named.chain(told) {
        let wanted = Wanted { name };
        if !names.contains(&wanted) {
            names.push(wanted);
        }
    }
    names
}

fn leaving(object: &NodeImageCache) -> Vec<Leaving> {
    let held = object.status.iter().flat_map(|status| &status.images);
    let removing = held.filter(|held| held.state == NodeImageState::Removing);
    let said = removing.map(|held| Leaving {
        image: held.name.clone(),
        message: held.message.clone().unwrap_or_else(|| "its turn comes".to_owned()),
    });
    said.collect()
}

// === impl ImageOfNode ===

impl ImageOfNode {
    fn of(
        wanted: &Wanted,
        place: &Place,
        object: Option<&NodeImageCache>,
        caches: &[&ImageCache],
    ) -> Self {
        let standing = wanted.standing(place, object, caches);
        let advice = advice(standing.state, &place.name);
        let theirs = caches.iter().filter(|cache| wanted.is_for(cache, place));
        Self {
            image: wanted.name.clone(),
            wanted_by: theirs.map(|cache| id(cache).to_string()).collect(),
            standing,
            next: advice.next,
            todo: advice.todo,
            told: wanted.progress(object),
        }
    }

    fn text(&self, wide: bool, now: Timestamp) -> String {
        let wanted_by = match self.wanted_by.is_empty() {
            true => "no cache any more".to_owned(),
            false => self.wanted_by.join(", "),
        };
        let mut text = format!("\n{} (for {wanted_by})\n", self.image);
        let since = self.standing.since.map(|since| format!(" for {}", age(since, now)));
        let _ = write!(text, "  {}{}", self.standing.state, since.unwrap_or_default());
        if let Some(message) = &self.standing.message {
            let _ = write!(text, ": {message}");
        }
        text.push('\n');
        if let Some(told) = &self.told {
            let _ = writeln!(text, "  {}", far(told));
            if wide {
                let _ = writeln!(text, "  digest {}", told.digest);
            }
        }
        let _ = writeln!(text, "  next: {}", self.next);
        if let Some(todo) = &self.todo {
            let _ = writeln!(text, "  you can: {todo}");
        }
        text
    }
}

/// How much of it is here, and where that came from.
fn far(told: &Progress) -> String {
    let Bytes { bytes_done, bytes_total, bytes_from_registry, bytes_from_peers } = told.bytes;
    let from = match told.source {
        Source::Upstream => "the registry",
        Source::Peers => "other nodes",
    };
    let here = match bytes_total {
        0 => "its size is not known yet".to_owned(),
        total => format!("{} % of {} is here", percent(bytes_done, total), size(total)),
    };
    let (registry, peers) = (size(bytes_from_registry), size(bytes_from_peers));
    format!(
        "told to get it from {from}: {here}; {registry} came from the registry, {peers} from other nodes"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::testing::{cache, check, desired, held, later, node, node_with, place};

    fn explain(place: &Place, object: Option<&NodeImageCache>, caches: &[ImageCache]) -> String {
        NodeExplained::of(place, object, caches, later(75)).text(false)
    }

    #[test]
    fn each_image_of_a_node_is_explained() {
        let mut object = node(
            "gpu-4",
            vec![desired("app"), desired("old")],
            vec![held("app", NodeImageState::Warming), held("gone", NodeImageState::Removing)],
        );
        let status = object.status.as_mut().unwrap();
        status.images[1].message = Some("a container uses it".into());
        status.problem = Some("containerd was not pointed at this mirror".into());
        let caches = [cache("models", "r.example/app:v1"), cache("web", "nginx")];
        let text = explain(&place("gpu-4"), Some(&object), &caches);
        let warm = node_with("gpu-1", "app", NodeImageState::Warm);
        let warm = explain(&place("gpu-1"), Some(&warm), &caches[..1]);
        check("explain-node", &format!("{text}---\n{warm}"));
    }

    #[test]
    fn a_node_without_an_agent_one_that_is_away_and_one_that_nobody_selects_are_told_apart() {
        let caches = [cache("models", "r.example/app:v1")];
        let mut silent = place("new-1");
        let no_agent = explain(&silent, None, &caches);
        silent.ready = false;
        let away = explain(&silent, None, &caches);
        silent.labels.clear();
        let unselected = explain(&silent, None, &caches);
        check("explain-node-without", &[no_agent, away, unselected].join("---\n"));
    }
}
