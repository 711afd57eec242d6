//! Whether nodes can start images without a pull. Pure.

use jiff::Timestamp;
use onepull_api::{ImageCache, NodeImageCache};
use serde::Serialize;

use crate::plugin::{
    output::Answer,
    pool::Place,
    standing::Standing,
    table::{Column, Table},
    wanted::Wanted,
    words::{count, some_age},
};

const COLUMNS: [Column; 5] = [
    Column::of("NODE"),
    Column::of("IMAGE").wide(),
    Column::of("STATE"),
    Column::right("SINCE"),
    Column::of("MESSAGE"),
];

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verdict {
    of: String,
    /// Nodes that are ready, and machines.
    nodes: usize,
    /// Of these, those that hold all images.
    nodes_warm: usize,
    not_warm: Vec<Cold>,
    /// Nodes that are not counted, and why.
    left_out: Vec<Cold>,
    #[serde(skip)]
    now: Timestamp,
}

/// A node that lacks an image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cold {
    node: String,
    image: String,
    #[serde(flatten)]
    standing: Standing,
}

// === impl Verdict ===

impl Verdict {
    /// Nothing has been looked at.
    pub(super) fn new(of: &str, now: Timestamp) -> Self {
        let of = of.to_owned();
        Self { of, nodes: 0, nodes_warm: 0, not_warm: Vec::new(), left_out: Vec::new(), now }
    }

    /// Looks at a node; of several images that it lacks, the first is told.
    pub(super) fn look(
        &mut self,
        place: &Place,
        object: Option<&NodeImageCache>,
        images: &[&Wanted],
        caches: &[&ImageCache],
    ) {
        let standings = images.iter().map(|image| (image, image.standing(place, object, caches)));
        let cold = standings.into_iter().find(|(_, standing)| !standing.is_warm());
        let cold = cold.map(|(image, standing)| Cold {
            node: place.name.clone(),
            image: image.name.clone(),
            standing,
        });
        if !place.counts() {
            self.left_out.extend(cold);
            return;
        }
        self.nodes += 1;
        match cold {
            None => self.nodes_warm += 1,
            Some(cold) => self.not_warm.push(cold),
        }
    }

    /// Whether every node that counts holds everything, and there is one.
    pub(super) fn all_warm(&self) -> bool {
        self.nodes > 0 && self.nodes == self.nodes_warm
    }

    fn sentence(&self) -> String {
        let Self { of, nodes, nodes_warm, .. } = self;
        let away = match self.left_out.len() {
            0 => String::new(),
            away => format!("; {} not ready or virtual, and not counted", count(away, "more node")),
        };
        let hold = format!("{nodes_warm} of {nodes} nodes hold {of}");
        match (nodes, self.all_warm()) {
            (0, _) => format!("no: no node that was selected is ready{away}\n"),
            (_, true) => format!("yes: {hold}; a pod that starts there pulls nothing{away}\n"),
            (_, false) => format!("no: {hold}{away}\n"),
        }
    }
}

impl Answer for Verdict {
    fn text(&self, wide: bool) -> String {
        let mut table = Table::new(&COLUMNS);
        for cold in self.not_warm.iter().chain(&self.left_out) {
            table.row(vec![
                cold.node.clone(),
                cold.image.clone(),
                cold.standing.state.to_string(),
                some_age(cold.standing.since, self.now),
                cold.standing.message.clone().unwrap_or_default(),
            ]);
        }
        match table.render(wide) {
            empty if empty.is_empty() => self.sentence(),
            rows => format!("{}\n{rows}", self.sentence()),
        }
    }
}

#[cfg(test)]
mod tests {
    use onepull_api::NodeImageState;

    use super::*;
    use crate::plugin::testing::{cache, check, later, name, node_with, place};

    fn verdict(nodes: &[(&str, NodeImageState)], away: &[&str]) -> Verdict {
        let (wanted, cache) = (Wanted::new(&name("app")), cache("models", &name("app")));
        let mut verdict = Verdict::new(&wanted.name, later(75));
        for (name, state) in nodes {
            let object = node_with(name, "app", *state);
            verdict.look(&place(name), Some(&object), &[&wanted], &[&cache]);
        }
        for name in away {
            let place = Place { ready: false, ..place(name) };
            verdict.look(&place, None, &[&wanted], &[&cache]);
        }
        verdict
    }

    #[test]
    fn all_warm_is_yes_and_who_is_away_is_not_counted() {
        let warm = verdict(&[("gpu-1", NodeImageState::Warm)], &["gpu-9"]);
        let not =
            verdict(&[("gpu-1", NodeImageState::Warm), ("gpu-2", NodeImageState::Warming)], &[]);
        let none = verdict(&[], &["gpu-9"]);
        assert_eq!([&warm, &not, &none].map(Verdict::all_warm), [true, false, false]);
        let text = [&warm, &not, &none].map(|verdict| verdict.text(false)).join("---\n");
        check("preflight", &text);
    }

    #[test]
    fn an_image_that_no_cache_names_is_not_declared() {
        let wanted = Wanted::new("nginx");
        let mut verdict = Verdict::new(&wanted.name, later(75));
        verdict.look(&place("gpu-1"), None, &[&wanted], &[]);
        let json = serde_json::to_value(&verdict).unwrap();
        assert_eq!(json["notWarm"][0]["state"], "NotDeclared");
        assert_eq!(json["of"], "docker.io/library/nginx:latest");
    }
}
