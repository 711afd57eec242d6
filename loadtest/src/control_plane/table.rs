//! The measurement as a text table.

use super::{
    CONVERGED, CONVERGING, ControlPlane, MEMORY, PLAN_MS, PlanTimes, SPEC_WRITES, Telling,
};
use crate::units::ByteSize;

/// A line: what, what was found, its limit.
type Row = (String, String, String);

/// The table and what one needs to read it.
pub fn render(measured: &ControlPlane) -> String {
    let m = measured;
    let mut text = format!(
        "{} nodes of {}, {} images each, NodeImageCaches of {}\n\n{:<36}{:>44}  limit\n",
        m.nodes,
        kib(m.node_bytes),
        m.images,
        kib(m.node_image_cache_bytes),
        "",
        "measured",
    );
    for (what, found, limit) in limited(m).into_iter().chain(others(m)) {
        text += format!("{what:<36}{found:>44}  {limit}").trim_end();
        text += "\n";
    }
    for miss in m.misses() {
        text += format!("\nbeyond its limit: {miss}").as_str();
    }
    if !m.machine.optimised {
        text += "\nThis is an unoptimised build; a controller beside it most likely is one too.";
    }
    text + "\n"
}

fn limited(m: &ControlPlane) -> Vec<Row> {
    let row = |what: &str, found: String, limit: String| (what.to_owned(), found, limit);
    let converged = match m.nodes {
        nodes if nodes <= CONVERGING => format!("{CONVERGED:.0} s"),
        _ => String::new(),
    };
    let memory = || mib(ByteSize::new(MEMORY));
    let lists = format!("lists in {:.0} s of rest", m.rest_seconds);
    vec![
        row("all nodes warm after", seconds(m.converged_seconds), converged),
        plan("CPU time of a plan in the rollout", m.rollout.plan_cpu),
        plan("by the clock", m.rollout.plan_wall),
        plan("CPU time of a plan at rest", m.rest.plan_cpu),
        plan("by the clock", m.rest.plan_wall),
        row("memory, most", mib(m.peak_memory), memory()),
        row("memory of who takes over, most", mib(m.takeover_memory), memory()),
        row(
            "writes of a spec in a rollout, most",
            m.spec_writes.most_of_a_rollout.len().to_string(),
            SPEC_WRITES.to_string(),
        ),
        row(&lists, m.rest.lists.to_string(), "0".into()),
        row("as the API server counts", m.rest.lists_at_api_server.to_string(), "0".into()),
    ]
}

fn others(m: &ControlPlane) -> Vec<Row> {
    let rows = [
        ("plans, rollout and rest", format!("{} and {}", m.rollout.plans, m.rest.plans)),
        ("of a spec in all rollouts, mean", format!("{:.2}", m.spec_writes.mean)),
        ("of a spec in all rollouts, most", m.spec_writes.most.to_string()),
        ("that was", tellings(&m.spec_writes.most_of_a_rollout)),
        ("seeds that were replaced", m.rollout.seed_moves.to_string()),
        ("writes that failed", m.rollout.write_errors.to_string()),
        ("look with its writes, mean", format!("{:.2} s", m.rollout.reconcile_mean_seconds)),
        ("CPU of the controller, rollout", seconds(m.rollout.cpu_seconds)),
        ("CPU of the controller, rest", format!("{:.1} s", m.rest.cpu_seconds)),
        ("status writes of agents", m.status_writes.to_string()),
        ("of one, by image, most (at most 8)", format!("{:.1}", m.most_status_writes_per_image)),
        ("every node has an object after", seconds(m.joined_seconds)),
        ("first plan of who takes over after", seconds(m.takeover_seconds)),
    ];
    rows.map(|(what, found)| (what.to_owned(), found, String::new())).into()
}

/// Each as what the node was to hold of the cache then, and how much of that from the registry.
fn tellings(all: &[Telling]) -> String {
    let one = |told: &Telling| {
        format!("{} ({} upstream) at {} s", told.images, told.upstream, told.seconds)
    };
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.0} s")
}

fn plan(name: &str, times: PlanTimes) -> Row {
    let most = times.most_ms.map_or("> 1000".into(), |most| format!("<= {most:.0}"));
    let within = format!("{:.1} % in {PLAN_MS:.0} ms", 100.0 * times.within_limit);
    let found = format!("{:.1} ms, {within}, all {most} ms", times.mean_ms);
    (name.to_owned(), found, format!("{PLAN_MS:.0} ms (mean)"))
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn mib(bytes: ByteSize) -> String {
    format!("{:.1} MiB", bytes.bytes() as f64 / f64::from(1 << 20))
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn kib(bytes: ByteSize) -> String {
    format!("{:.1} KiB", bytes.bytes() as f64 / 1024.0)
}
