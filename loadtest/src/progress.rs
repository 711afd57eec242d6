//! The live display: a bar for each node on a terminal, a line for each finished pull elsewhere.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::{fleet::Meter, report::NodeRun};

/// With more nodes than this a bar for each would scroll off the screen: one for all is shown.
const MOST_BARS: usize = 20;

const BAR: &str = "{prefix:>12} {bar:32.cyan/blue} {bytes:>11} {bytes_per_sec:>13} {msg}";

/// The display of one run.
#[derive(Debug)]
pub struct Progress {
    title: String,
    bars: MultiProgress,
    total: ProgressBar,
    nodes: Vec<ProgressBar>,
}

// === impl Progress ===

impl Progress {
    /// Shows a run of `names`, each to receive `bytes`.
    pub fn new(title: &str, names: &[String], bytes: u64) -> Self {
        let bars = MultiProgress::new();
        let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| {
            // The template is a constant; should it ever be wrong, a plain bar will do.
            ProgressStyle::default_bar()
        });
        let shown = if names.len() > MOST_BARS { &[] } else { names };
        let nodes = shown.iter().map(|name| {
            let bar = bars.add(ProgressBar::new(bytes)).with_style(style.clone());
            bar.with_prefix(name.clone())
        });
        let nodes = nodes.collect();
        let total = bars.add(ProgressBar::new(bytes * names.len() as u64)).with_style(style);
        let total = total.with_prefix(title.to_owned());
        Self { title: title.to_owned(), bars, total, nodes }
    }

    /// Moves the bars to where the counters are.
    pub fn update(&self, meter: &Meter) {
        for (bar, received) in self.nodes.iter().zip(&meter.received) {
            bar.set_position(*received);
        }
        self.total.set_position(meter.received.iter().sum());
    }

    /// Marks a node as done or failed.
    pub fn node_done(&self, node: usize, run: &NodeRun) {
        let outcome = match &run.error {
            None => format!("done in {:.1} s", run.seconds),
            Some(error) => format!("FAILED after {:.1} s: {error}", run.seconds),
        };
        if let Some(bar) = self.nodes.get(node) {
            bar.finish_with_message(outcome.clone());
        }
        if self.bars.is_hidden() {
            tracing::info!("{}: {} {outcome}", self.title, run.name);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // The table that follows says it all; a cleared display leaves the terminal to it.
        let _ = self.bars.clear();
    }
}
