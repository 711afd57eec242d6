//! A rollout in a cluster as text.

use super::report::{ClusterReport, NodeReport};
use crate::report::{grid, megabytes};

const HEADINGS: [&str; 7] =
    ["node", "lists", "images", "seed of", "warm s", "registry", "from nodes"];

/// The nodes, what kubectl shows, and what came of it.
pub fn render(report: &ClusterReport) -> String {
    let setup = &report.setup;
    let mut text = format!(
        "{} nodes, each a containerd and an agent; etcd, kube-apiserver and the controller; {} images of {} \
         in {} layers, node link {}, registry {}\n\n",
        report.nodes.len(),
        setup.images.len(),
        setup.image_size,
        setup.layers,
        setup.nic,
        setup.registry,
    );
    let rows = report.nodes.iter().map(cells);
    let rows: Vec<_> = std::iter::once(HEADINGS.map(str::to_owned).to_vec()).chain(rows).collect();
    text += &grid(&rows);
    text += "\nlists: those of the file that select the node. registry, from nodes: bytes that its \
             NodeImageCache tells.\n";
    text += &format!("\n$ kubectl get imagecaches\n{}", report.imagecaches);
    text += &format!("\n$ kubectl get events\n{}\n", report.events);
    for criterion in &report.criteria {
        let word = if criterion.met { "ok" } else { "FAILED" };
        text += &format!("{word:<6}  {}: {}\n", criterion.what, criterion.found);
    }
    text
}

fn cells(node: &NodeReport) -> Vec<String> {
    let count = |count: usize| if count == 0 { "-".into() } else { count.to_string() };
    let lists: Vec<_> = node.lists.iter().map(ToString::to_string).collect();
    vec![
        node.name.clone(),
        if lists.is_empty() { "-".into() } else { lists.join(" and ") },
        count(node.wanted),
        count(node.seeds),
        node.warm_seconds.map_or("-".into(), |seconds| format!("{seconds:.1}")),
        megabytes(node.bytes_from_upstream),
        megabytes(node.bytes_from_peers),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{testing, verdict::judge};

    #[test]
    fn the_table_shows_each_node_and_what_failed() {
        let mut report = testing::report();
        report.egress_images = 2.0;
        report.criteria = judge(&report);
        insta::assert_snapshot!(render(&report));
    }
}
