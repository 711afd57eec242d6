//! One cache as text.

use std::collections::BTreeMap;

use super::{CacheRow, ImageRow, NodeRow, OneCache};
use crate::plugin::{
    progress::Bytes,
    table::{Column, Table},
    wanted::UNSEEN,
    words::{bar, count, names, size, some_age},
};

/// Names of nodes in one sentence.
const NAMED: usize = 5;

const IMAGES: [Column; 7] = [
    Column::of("IMAGE"),
    Column::of("DIGEST").wide(),
    Column::right("SIZE"),
    Column::right("WARM"),
    Column::right("OF"),
    Column::right("FROM REGISTRY"),
    Column::right("FROM PEERS"),
];

const NODES: [Column; 10] = [
    Column::of("NODE"),
    Column::of("ZONE").wide(),
    Column::of("STATE"),
    Column::of("DONE"),
    Column::right("IMAGES"),
    Column::of("SOURCE"),
    Column::right("FROM REGISTRY"),
    Column::right("FROM PEERS"),
    Column::right("SINCE"),
    Column::of("MESSAGE").wide(),
];

/// A headline, the images, the nodes, and what is wrong or waited for.
pub(super) fn text(of: &OneCache, wide: bool) -> String {
    let mut parts = vec![headline(of), images(of).render(wide), nodes(of).render(wide)];
    if of.nodes_not_listed > 0 {
        let more = count(of.nodes_not_listed, "more node");
        parts.push(format!("and {more} that the cache selects\n"));
    }
    if !wide {
        parts.push(sentences(of));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

fn headline(of: &OneCache) -> String {
    let CacheRow { name, nodes, warm, state, upstream, message, .. } = &of.cache;
    let upstream = upstream.as_deref().unwrap_or("-");
    let nodes = count(*nodes as usize, "node");
    let line = format!("{name}: {state:?}, {warm} of {nodes} warm, upstream {upstream}\n");
    match (of.is_observed, message) {
        (false, _) => format!("{line}{UNSEEN}\n"),
        (true, Some(message)) => format!("{line}{message}\n"),
        (true, None) => line,
    }
}

fn images(of: &OneCache) -> Table {
    let mut table = Table::new(&IMAGES);
    for ImageRow { status, bytes } in &of.images {
        table.row(vec![
            status.image.clone(),
            status.digest.clone().unwrap_or_else(|| "-".to_owned()),
            status.bytes.map_or_else(|| "-".to_owned(), size),
            status.warm.to_string(),
            status.desired.to_string(),
            size(bytes.bytes_from_registry),
            size(bytes.bytes_from_peers),
        ]);
    }
    table
}

fn nodes(of: &OneCache) -> Table {
    let mut table = Table::new(&NODES);
    for row in &of.nodes {
        let bytes = row.bytes;
        table.row(vec![
            row.name.clone(),
            row.zone.clone().unwrap_or_else(|| "-".to_owned()),
            row.standing.state.to_string(),
            done(bytes, row.standing.is_warm()),
            format!("{}/{}", row.images_warm, row.images_desired),
            row.source().to_owned(),
            size(bytes.bytes_from_registry),
            size(bytes.bytes_from_peers),
            some_age(row.standing.since, of.now),
            row.standing.message.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// An image whose size is not known yet has not begun.
fn done(bytes: Bytes, is_warm: bool) -> String {
    match (bytes.bytes_total, is_warm) {
        (0, false) => bar(0, 1),
        (total, _) => bar(bytes.bytes_done, total),
    }
}

/// What is wrong or waited for, each sentence once.
fn sentences(of: &OneCache) -> String {
    let mut said: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let speaking = of.nodes.iter().filter_map(|row: &NodeRow| Some((row.sentence()?, row)));
    for (sentence, row) in speaking {
        said.entry(sentence).or_default().push(&row.name);
    }
    let of_nodes =
        said.into_iter().map(|(said, nodes)| format!("{}: {said}\n", names(&nodes, NAMED)));
    let of_images = of.images.iter().filter_map(|image| {
        Some(format!("{}: {}\n", image.status.image, image.status.message.as_ref()?))
    });
    of_images.chain(of_nodes).collect()
}
