//! What a plan of a large cluster costs: `cargo run --release -p onepull-controller --example plan_cost`
//! prints the milliseconds of CPU time at the dearest moments of a rollout, the best and the middle one of several
//! runs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use onepull_controller::{
    planner::{
        Cache, CacheId, Content, Digest, Disk, ImageList, ImageRef, Inputs, Node, OnDelete,
        Platform, Report, Resolution, Resolved, Share, State, Strategy, plan,
    },
    window::Gate,
};
use rustix::time::{ClockId, clock_gettime};

const NODES: usize = 5_000;
const IMAGES: usize = 20;
const RUNS: usize = 15;

fn main() {
    let now = Timestamp::UNIX_EPOCH;
    let mut inputs = Inputs { caches: caches(), nodes: nodes(), ..Inputs::default() };
    measure("fresh", &inputs, now);
    carry_out(&mut inputs, now, State::Warming);
    measure("seeds announced", &inputs, now);
    carry_out(&mut inputs, now, State::Warming);
    measure("all under way", &inputs, now);
    carry_out(&mut inputs, now, State::Warm);
    measure("all warm", &inputs, now);
    let mut taken_over = inputs.clone();
    taken_over.caches.iter_mut().for_each(|cache| cache.resolutions.clear());
    measure("taken over", &taken_over, now);
    for cache in &mut inputs.caches {
        let moved = |(name, _): (&ImageRef, _)| (name.clone(), resolution(&format!("{name}+")));
        cache.resolutions = cache.resolutions.iter().map(moved).collect();
        cache.max_parallel = Share::Percent(10);
    }
    measure("all tags moved", &inputs, now);
}

fn measure(moment: &str, inputs: &Inputs, now: Timestamp) {
    let mut runs: Vec<f64> = (0..RUNS).map(|_| once(inputs, now)).collect();
    runs.sort_by(f64::total_cmp);
    let (best, middle) = (runs[0], runs[RUNS / 2]);
    println!("{moment:<16} {best:>7.1} {middle:>7.1} ms ({NODES} nodes x {IMAGES} images)");
}

fn once(inputs: &Inputs, now: Timestamp) -> f64 {
    let start = cpu_time();
    let plan = plan(inputs, now);
    let milliseconds = cpu_time().saturating_sub(start).as_secs_f64() * 1e3;
    assert_eq!(plan.nodes.len(), NODES);
    milliseconds
}

/// Of this thread: what others take of the machine meanwhile is not a plan's cost.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// Every node is told, and answers that.
fn carry_out(inputs: &mut Inputs, now: Timestamp, state: State) {
    let plan = plan(inputs, now);
    for node in &mut inputs.nodes {
        node.holds.clone_from(&plan.nodes[&node.name].holds);
        for hold in &node.holds {
            node.reports.insert(hold.digest.clone(), report(hold.generation, state, now));
        }
    }
    inputs.history = plan.history;
}

fn report(generation: u64, state: State, since: Timestamp) -> Report {
    let complete = state == State::Warm;
    let (bytes, upstream, trouble) = (1 << 29, 0, None);
    let total = Some(bytes);
    Report { generation, state, since, complete, in_use: false, bytes, total, upstream, trouble }
}

/// Four caches, each with a quarter of the images for all nodes of the pool.
fn caches() -> Vec<Cache> {
    let names: Vec<ImageRef> = (0..IMAGES)
        .map(|image| format!("registry.example.com/inference/model-{image}:v1.2.3").as_str().into())
        .collect();
    names.chunks(IMAGES / 4).enumerate().map(|(index, names)| cache(index, names)).collect()
}

fn cache(index: usize, names: &[ImageRef]) -> Cache {
    let selector = BTreeMap::from([("node-role.kubernetes.io/gpu".into(), "true".into())]);
    Cache {
        id: CacheId::new(&format!("team-{index}"), "models"),
        created: Timestamp::UNIX_EPOCH,
        lists: vec![ImageList { images: names.to_vec(), selector }],
        strategy: Strategy::Stream,
        max_parallel: Share::ALL,
        ready_when: Share::ALL,
        gate: Gate::ALWAYS,
        on_delete: OnDelete::Keep,
        deleting: false,
        resolutions: names.iter().map(|name| (name.clone(), resolution(name.as_str()))).collect(),
    }
}

/// A digest made of the name's bytes, and two platforms.
fn resolution(name: &str) -> Resolution {
    let sum = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let digest = Digest::from(format!("sha256:{sum:016x}{sum:016x}{sum:016x}{sum:016x}").as_str());
    let content = Content { manifest: digest.clone(), bytes: 1 << 30, disk: 3 << 30 };
    let platforms = ["linux/amd64", "linux/arm64"].map(|name| (name.into(), content.clone()));
    Resolution::Resolved(Resolved { digest, platforms: platforms.into() })
}

/// Nodes with labels as clouds give them, one in ten for arm64.
fn nodes() -> Vec<Node> {
    let label = |key: String, value: String| (Arc::from(key), Arc::from(value));
    let node = |index: usize| Node {
        name: format!("ip-10-0-{}-{}.eu-central-1.compute.internal", index / 250, index % 250)
            .as_str()
            .into(),
        labels: (0..20)
            .map(|number| label(format!("cloud.example/label-{number}"), format!("{index}")))
            .chain([label("node-role.kubernetes.io/gpu".into(), "true".into())])
            .collect(),
        platform: Platform::from(if index.is_multiple_of(10) {
            "linux/arm64"
        } else {
            "linux/amd64"
        }),
        ready: true,
        virtual_node: false,
        schedulable: true,
        disk: Some(Disk { free: 1 << 40, budget: 1 << 40 }),
        holds: Vec::new(),
        removals: Vec::new(),
        reports: BTreeMap::new(),
    };
    (0..NODES).map(node).collect()
}
