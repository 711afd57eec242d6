//! The live display: a line for each node on a terminal, and a line for each step elsewhere.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{api::Seen, view::View};
use crate::report::megabytes;

const NODE: &str = "{prefix:>10} {bar:28.cyan/blue} {msg}";
const CACHE: &str = "{prefix:>10} {spinner} {msg}";

/// The display of one rollout.
pub(super) struct Display {
    bars: MultiProgress,
    cache: ProgressBar,
    nodes: Vec<(String, ProgressBar)>,
    /// What was told last of each node, and of the cache, where there is no terminal.
    told: Vec<String>,
}

// === impl Display ===

impl Display {
    /// Shows a rollout of the cache `name` on `nodes`, in order.
    pub(super) fn new(name: &str, nodes: impl Iterator<Item = String>) -> Self {
        let bars = MultiProgress::new();
        let line = |prefix: &str, template: &str| {
            // Templates are constants; should one ever be wrong, a plain bar will do.
            let style = ProgressStyle::with_template(template);
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            bars.add(ProgressBar::new(1)).with_style(style).with_prefix(prefix.to_owned())
        };
        let cache = line(name, CACHE);
        let nodes: Vec<_> = nodes.map(|node| (node.clone(), line(&node, NODE))).collect();
        let told = vec![String::new(); nodes.len() + 1];
        Self { cache, nodes, told, bars }
    }

    /// Shows what was seen.
    pub(super) fn update(&mut self, seen: &Seen) {
        self.cache.set_message(of_cache(seen));
        self.cache.tick();
        for (name, bar) in &self.nodes {
            let view = seen.nodes.get(name).map(View::of).unwrap_or_default();
            bar.set_length(view.total.max(1));
            bar.set_position(view.done);
            bar.set_message(of_node(&view));
        }
        if self.bars.is_hidden() {
            self.tell(seen);
        }
    }

    fn tell(&mut self, seen: &Seen) {
        let nodes = self.nodes.iter().map(|(name, _)| {
            let view = seen.nodes.get(name).map(View::of).unwrap_or_default();
            format!("{name}: {}", of_node(&view))
        });
        let lines: Vec<_> = std::iter::once(of_cache(seen)).chain(nodes).collect();
        for (before, now) in self.told.iter_mut().zip(lines) {
            if *before != now {
                tracing::info!("{now}");
                *before = now;
            }
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        // The table that follows says it all; a cleared display leaves the terminal to it.
        let _ = self.bars.clear();
    }
}

fn of_cache(seen: &Seen) -> String {
    let Some(status) = seen.status() else { return "the controller has not seen it yet".into() };
    let (counts, upstream) = (&status.counts, status.upstream.as_deref().unwrap_or("-"));
    format!(
        "{:?}: {} of {} nodes warm, upstream {upstream}",
        status.state, counts.warm, counts.nodes
    )
}

fn of_node(view: &View) -> String {
    let Some(state) = view.state else {
        return if view.told == 0 { "nothing to hold" } else { "told, and silent" }.into();
    };
    let reason = view.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!(
        "{}/{} images, {state}{reason}: {} from the registry, {} from nodes",
        view.warm,
        view.told,
        megabytes(view.from_upstream),
        megabytes(view.from_peers),
    )
}
