//! Whether a rollout was what it was to be. Pure.

use serde::{Deserialize, Serialize};

use super::{
    fault::Fault,
    private::Private,
    report::{ClusterReport, NodeReport},
};

/// The registry sends every byte once; headers, and the controller's look at the manifests, come on top.
const EGRESS: [f64; 2] = [1.0, 1.02];

/// When a seed dies, another one begins what nobody has: at most this, and what the seed had not finished.
const EGRESS_OF_A_DEAD_SEED: f64 = 1.25;

/// How the column UPSTREAM begins when every byte was sent once.
const ONCE: &str = "1.0";

/// Something that was to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Criterion {
    /// What was to be.
    pub what: String,
    /// What was.
    pub found: String,
    /// Whether these are the same.
    pub met: bool,
}

/// Judges a report, whose own criteria it does not look at.
pub(super) fn judge(report: &ClusterReport) -> Vec<Criterion> {
    let fault = report.setup.fault.map(|fault| struck(report, fault));
    let always =
        [ready(report), selected(report), others(report), egress(report), upstream(report)];
    let private = report.setup.private.map(|_| let_in(report));
    always.into_iter().chain(fault).chain(private).collect()
}

/// That the fault came in the middle, and was told to people where there is something to be told.
fn struck(report: &ClusterReport, fault: Fault) -> Criterion {
    let moved = report.events.contains("SeedMoved");
    let Some(struck) = &report.fault else {
        return criterion("something goes wrong", "the rollout was over before".into(), false);
    };
    let (victim, seconds, share) = (&struck.victim, struck.seconds, struck.unfinished_share);
    match fault {
        Fault::Seed => criterion(
            "a seed is killed, and an event says who goes on",
            format!("{victim} after {seconds:.1} s, {share:.2} of all bytes unfinished"),
            moved,
        ),
        Fault::Controller => criterion(
            "the controller that leads is killed, and no seed is moved for it",
            format!("{victim} after {seconds:.1} s"),
            !moved,
        ),
    }
}

/// That only seeds could log in: one for each image, two where one died; and where the controller is not let
/// in, the node that asked for it.
fn let_in(report: &ClusterReport) -> Criterion {
    let second = usize::from(report.setup.fault == Some(Fault::Seed));
    let asked = usize::from(report.setup.private == Some(Private::Plugin));
    let most = 1 + second + asked;
    let each = report.let_in.iter();
    let met = !report.let_in.is_empty()
        && each.clone().all(|image| (1..=most).contains(&image.nodes.len()));
    let found = each.map(|image| format!("{} {}", image.repository, image.nodes.join(" and ")));
    criterion(
        &format!("for each image the registry lets {most} of the nodes in at most"),
        found.collect::<Vec<_>>().join("; "),
        met,
    )
}

/// What the registry may send, in images.
fn most_egress(report: &ClusterReport) -> f64 {
    match &report.fault {
        Some(struck) if struck.fault == Fault::Seed => {
            EGRESS_OF_A_DEAD_SEED + struck.unfinished_share
        }
        _ => EGRESS[1],
    }
}

fn ready(report: &ClusterReport) -> Criterion {
    let found = match report.ready_seconds {
        Some(seconds) => format!("after {seconds:.1} s"),
        None => format!("not in time: {}", report.conditions),
    };
    criterion("the ImageCache is Ready", found, report.ready_seconds.is_some())
}

/// Warm is what CRI and the disk say, not what the agent says.
fn selected(report: &ClusterReport) -> Criterion {
    let selected: Vec<_> = report.nodes.iter().filter(|node| node.wanted > 0).collect();
    let lacking: Vec<_> = selected.iter().filter(|node| !node.lacks.is_empty()).collect();
    let mut found = format!("{} of {}", selected.len() - lacking.len(), selected.len());
    for node in &lacking {
        found += &format!("; {}: {}", node.name, node.lacks.join(", "));
    }
    let met = !selected.is_empty() && lacking.is_empty();
    criterion("CRI lists every image on the nodes that its list selects, complete", found, met)
}

/// That nobody was given what was meant for others, least of all those that no list selects.
fn others(report: &ClusterReport) -> Criterion {
    let touched = |node: &&NodeReport| {
        let bytes = if node.wanted == 0 { node.held_bytes + node.counted_bytes } else { 0 };
        bytes > 0 || !node.extra.is_empty()
    };
    let unselected = report.nodes.iter().filter(|node| node.wanted == 0).count();
    let touched: Vec<_> = report.nodes.iter().filter(touched).collect();
    let mut found = format!("untouched nodes: {unselected}");
    if !touched.is_empty() {
        let each = touched.iter().map(|node| {
            let (name, extra) = (&node.name, node.extra.join(", "));
            format!(
                "{name} lists [{extra}], has {} bytes, counted {}",
                node.held_bytes, node.counted_bytes
            )
        });
        found = each.collect::<Vec<_>>().join("; ");
    }
    criterion(
        "no node holds what it is not to hold, and no blob came to those that no list selects",
        found,
        unselected > 0 && touched.is_empty(),
    )
}

fn egress(report: &ClusterReport) -> Criterion {
    let (least, most) = (EGRESS[0], most_egress(report));
    criterion(
        &format!("the registry's interface sent the images {least:.2} to {most:.2} times"),
        format!("{:.4} times", report.egress_images),
        (least..=most).contains(&report.egress_images),
    )
}

fn upstream(report: &ClusterReport) -> Criterion {
    let shown = report.upstream.as_deref().unwrap_or_default();
    let is_shown = report.imagecaches.split_whitespace().any(|word| word == shown);
    // What a dead seed got and did not report is in no column.
    let is_once = shown.starts_with(ONCE) || report.setup.fault == Some(Fault::Seed);
    criterion(
        "kubectl get imagecaches shows UPSTREAM 1.0x",
        if shown.is_empty() { "nothing".into() } else { shown.to_owned() },
        is_once && is_shown,
    )
}

fn criterion(what: &str, found: String, met: bool) -> Criterion {
    Criterion { what: what.to_owned(), found, met }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{LetIn, testing::report};

    fn unmet(change: impl FnOnce(&mut ClusterReport)) -> Vec<String> {
        let mut report = report();
        change(&mut report);
        let unmet = judge(&report).into_iter().filter(|criterion| !criterion.met);
        unmet.map(|criterion| criterion.found).collect()
    }

    #[test]
    fn a_rollout_as_it_is_to_be_meets_all_criteria() {
        assert_eq!(unmet(|_| {}), [""; 0]);
    }

    #[test]
    fn a_cache_that_is_not_ready_says_why() {
        let found = unmet(|report| report.ready_seconds = None);
        assert_eq!(found, ["not in time: Ready True: 2 nodes"]);
    }

    #[test]
    fn an_image_that_cri_does_not_list_counts_although_the_agent_says_warm() {
        let found = unmet(|report| report.nodes[0].lacks = vec!["r/a:v1: a blob is gone".into()]);
        assert_eq!(found, ["1 of 2; node-1: r/a:v1: a blob is gone"]);
    }

    #[test]
    fn a_blob_on_a_node_that_no_list_selects_counts_and_so_does_an_image_of_another_list() {
        let found = unmet(|report| report.nodes[2].counted_bytes = 5);
        assert_eq!(found, ["node-3 lists [], has 0 bytes, counted 5"]);
        let found = unmet(|report| report.nodes[0].extra = vec!["r/b:v1".into()]);
        assert_eq!(found, ["node-1 lists [r/b:v1], has 100 bytes, counted 100"]);
        let found = unmet(|report| drop(report.nodes.pop()));
        assert_eq!(found, ["untouched nodes: 0"]);
    }

    #[test]
    fn the_registry_may_send_two_per_cent_more_and_nothing_less() {
        let found = |images| unmet(|report| report.egress_images = images);
        assert_eq!((found(1.02), found(1.0)), (vec![], vec![]));
        assert_eq!(found(1.0201), ["1.0201 times"]);
        assert_eq!(found(0.9999), ["0.9999 times"]);
    }

    #[test]
    fn a_second_node_with_a_login_counts_unless_the_first_died() {
        let image = |nodes: &[&str]| {
            let nodes = nodes.iter().map(ToString::to_string).collect();
            vec![LetIn { repository: "a".into(), nodes }]
        };
        let found = |nodes: &[&str]| {
            unmet(|report| {
                report.setup.private = Some(Private::Secret);
                report.let_in = image(nodes);
            })
        };
        assert_eq!(found(&["node-1"]), [""; 0]);
        assert_eq!(found(&[]), ["a "]);
        assert_eq!(found(&["node-1", "node-2"]), ["a node-1 and node-2"]);
    }

    #[test]
    fn the_column_has_to_be_shown() {
        assert_eq!(unmet(|report| report.upstream = Some("2.00x".into())), ["2.00x"]);
        assert_eq!(unmet(|report| report.imagecaches.clear()), ["1.00x"]);
        assert_eq!(unmet(|report| report.upstream = None), ["nothing"]);
    }
}
