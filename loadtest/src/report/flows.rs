//! Who served whom, as a table of bytes: senders down, receivers across.
//! Who sent nothing has no row.

use std::fmt::Write;

use super::{REGISTRY, Run, plot::escape, table::megabytes};

/// With more nodes than this the cells hold no figures, only their shade.
const MOST_FIGURES: usize = 16;

/// The matrix of a run as an HTML table.
#[allow(clippy::cast_precision_loss, reason = "a shade")]
pub(super) fn matrix(run: &Run, image_bytes: u64) -> String {
    let names: Vec<_> = run.nodes.iter().map(|node| node.name.as_str()).collect();
    let mut html = String::from(r#"<table class="flows"><thead><tr><th>from \ to</th>"#);
    for name in &names {
        let _ = write!(html, "<th>{}</th>", escape(short(name)));
    }
    html.push_str("<th>sent</th></tr></thead><tbody>");
    for from in std::iter::once(REGISTRY).chain(names.iter().copied()) {
        let sent: u64 = run.flows.iter().filter(|f| f.from == from).map(|f| f.bytes).sum();
        if sent == 0 {
            continue;
        }
        let class = if from == REGISTRY { r#" class="registry""# } else { "" };
        let _ = write!(html, "<tr{class}><th>{}</th>", escape(short(from)));
        for to in &names {
            let flows = run.flows.iter().filter(|flow| flow.from == from && flow.to == *to);
            let bytes: u64 = flows.map(|flow| flow.bytes).sum();
            let shade = (bytes as f64 / image_bytes as f64).clamp(0.0, 1.0);
            let figure = match bytes {
                0 => String::new(),
                bytes if names.len() <= MOST_FIGURES => format!("{}", bytes >> 20),
                _ => String::new(),
            };
            let title = format!("{from} to {to}: {}", megabytes(bytes));
            let title = escape(&title);
            let _ = write!(html, r#"<td style="--s:{shade:.2}" title="{title}">{figure}</td>"#);
        }
        let _ = write!(html, "<td class=sum>{}</td></tr>", sent >> 20);
    }
    html + "</tbody></table>"
}

/// `node-7` as `7`: in a matrix the place says what it is.
fn short(name: &str) -> &str {
    name.strip_prefix("node-").unwrap_or(name)
}
