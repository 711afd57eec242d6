//! Whole embedded runs: what the registry sent, counted by the registry.
#![allow(clippy::panic, clippy::unwrap_used, reason = "test code: a panic is the report")]

use std::{path::Path, sync::OnceLock};

use onepull_loadtest::{
    arm::Arm,
    pattern::Pattern,
    report::{Flow, REGISTRY, Report, SCHEMA},
    run::{ImageSource, RunConfig, StoreKind, Trials, run},
    transfers::Transfers,
    units::LinkRate,
};
use onepull_testbed::layout::Spec;
use tokio::sync::Mutex;
use tracing_subscriber::layer::SubscriberExt;

/// Runs of one process share the subscriber, so they take turns.
static TURN: Mutex<()> = Mutex::const_new(());

fn transfers() -> &'static Transfers {
    static TRANSFERS: OnceLock<Transfers> = OnceLock::new();
    TRANSFERS.get_or_init(|| {
        let transfers = Transfers::default();
        let subscriber = tracing_subscriber::registry().with(transfers.clone());
        tracing::subscriber::set_global_default(subscriber).unwrap();
        transfers
    })
}

async fn report(arm: Arm, pattern: Pattern, nodes: u32, out: &Path) -> Report {
    let _turn = TURN.lock().await;
    let rate = LinkRate::new(400_000_000);
    let image = ImageSource::Generated(Spec::even(4 << 20, 3, 1));
    let config = RunConfig {
        arms: vec![arm],
        pattern,
        store: StoreKind::Embedded,
        nodes,
        image,
        nic: rate,
        registry: rate,
        secure: false,
        spegel: None,
        trials: Trials::default(),
        repeats: 1,
        out: out.to_owned(),
    };
    run(&config, transfers(), "test".into(), "2026-01-01T00:00:00Z".into()).await.unwrap()
}

/// What every report of a run without failures has to hold.
fn check(report: &Report, nodes: usize) {
    assert_eq!(report.schema, SCHEMA);
    assert_eq!(report.failures().count(), 0);
    let [run] = report.runs.as_slice() else { panic!("one run") };
    assert_eq!(run.nodes.len(), nodes);
    let image = report.setup.image_bytes.bytes();
    for node in &run.nodes {
        let flows = run.flows.iter().filter(|flow| flow.to == node.name);
        let received: u64 = flows.map(|flow| flow.bytes).sum();
        assert_eq!(received, image, "{} received the image once: {:?}", node.name, run.flows);
    }
    let json = serde_json::to_string(report).unwrap();
    let read: Report = serde_json::from_str(&json).unwrap();
    assert_eq!((&read.runs, &read.setup), (&report.runs, &report.setup));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_sharing_the_registry_sends_the_image_to_every_node() {
    for arm in [Arm::Direct, Arm::Ideal] {
        let out = tempfile::tempdir().unwrap();
        let report = report(arm, Pattern::Staged, 3, out.path()).await;
        check(&report, 3);
        assert_eq!(report.summary[0].egress_images, 3.0);
        assert!(report.runs[0].flows.iter().all(|flow| flow.from == REGISTRY));
        let left = std::fs::read_dir(out.path()).unwrap().count();
        assert_eq!(left, 0, "images and stores are removed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_by_onepull_the_registry_sends_the_image_once() {
    for pattern in [Pattern::Staged, Pattern::Storm] {
        shared(pattern).await;
    }
}

async fn shared(pattern: Pattern) {
    let out = tempfile::tempdir().unwrap();
    let report = report(Arm::Onepull, pattern, 4, out.path()).await;
    check(&report, 4);
    let image = report.setup.image_bytes.bytes();
    let egress = report.runs[0].egress_bytes;
    assert!(egress >= image && egress * 100 <= image * 101, "{egress} of {image} bytes");
    let upstream: Vec<&Flow> =
        report.runs[0].flows.iter().filter(|flow| flow.from == REGISTRY).collect();
    if pattern == Pattern::Staged {
        assert_eq!(upstream.len(), 1, "one node pulled from the registry: {upstream:?}");
    }
}
