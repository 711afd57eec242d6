//! A small report with fixed figures, for tests of how reports are shown.

use super::{Flow, NodeRun, REGISTRY, Report, Run, SCHEMA, Samples, Setup, Summary};
use crate::{
    arm::Arm,
    faults::{Fault, testing::fault_run},
    machine::Machine,
    model::Model,
    pattern::Pattern,
    units::{ByteSize, LinkRate},
};

#[test]
fn one_failed_pull_makes_a_failed_report() {
    let mut report = report();
    let failed: Vec<_> = report.failures().map(|(run, node)| (run.arm, &*node.name)).collect();
    assert_eq!((failed, report.succeeded()), (vec![(Arm::Direct, "node-3")], false));
    report.runs.remove(0);
    assert!(report.succeeded());
    let mut fault = fault_run(Fault::PowerOff);
    fault.verdict.missed.push("slow".into());
    report.faults.push(fault);
    assert!(report.succeeded());
    report.faults[0].verdict.lost.push("a pull".into());
    assert!(!report.succeeded());
}

const IMAGE: u64 = 10 << 20;

pub(crate) fn report() -> Report {
    let nic = LinkRate::new(80_000_000);
    let model = Model::new(IMAGE, 3, 2, nic, nic);
    let runs = vec![direct(), onepull()];
    Report {
        schema: SCHEMA.into(),
        command: "onepull-loadtest run --nodes 3 --out '<out>'".into(),
        started: "2026-01-02T03:04:05Z".into(),
        machine: Machine {
            cores: 2,
            cpu: "A CPU".into(),
            kernel: "6.1.0".into(),
            memory_bytes: 8 << 30,
            optimised: true,
        },
        setup: Setup {
            pattern: Pattern::Staged,
            store: "embedded".into(),
            nodes: 3,
            image: "generated".into(),
            image_bytes: ByteSize::new(IMAGE),
            layers: 2,
            nic,
            registry: nic,
            spegel: None,
        },
        summary: Summary::of(&runs, IMAGE, &model, Pattern::Staged),
        model,
        runs,
        faults: Vec::new(),
        late: Vec::new(),
    }
}

fn direct() -> Run {
    let names = ["node-1", "node-2", "node-3"];
    let flows = names.map(|to| Flow { from: REGISTRY.into(), to: to.into(), bytes: IMAGE });
    let mut nodes = nodes([1.25, 2.5, 2.75]);
    nodes[2].error = Some("node-3 could not pull the image: <refused>".into());
    run(Arm::Direct, 3 * IMAGE, 4.0, nodes, flows.to_vec())
}

fn onepull() -> Run {
    let flow = |from: &str, to: &str, bytes| Flow { from: from.into(), to: to.into(), bytes };
    let flows = vec![
        flow(REGISTRY, "node-1", IMAGE),
        flow("node-1", "node-2", IMAGE),
        flow("node-1", "node-3", IMAGE / 2),
        flow("node-2", "node-3", IMAGE / 2),
    ];
    run(Arm::Onepull, IMAGE, 3.0, nodes([1.25, 1.5, 1.75]), flows)
}

fn nodes(seconds: [f64; 3]) -> Vec<NodeRun> {
    let starts = [0.0, seconds[0], seconds[0]];
    let nodes = (1..).zip(seconds).zip(starts).map(|((n, seconds), started_seconds)| NodeRun {
        name: format!("node-{n}"),
        started_seconds,
        seconds,
        error: None,
    });
    nodes.collect()
}

fn run(arm: Arm, egress: u64, total: f64, nodes: Vec<NodeRun>, flows: Vec<Flow>) -> Run {
    Run {
        arm,
        repeat: 1,
        egress_bytes: egress,
        egress_wire_bytes: egress + 1000,
        total_seconds: total,
        nodes,
        moves: Vec::new(),
        flows,
        samples: Samples {
            interval_seconds: 1.0,
            egress: vec![0, egress / 2, egress],
            received: vec![
                vec![0, IMAGE, IMAGE],
                vec![0, IMAGE / 2, IMAGE],
                vec![0, IMAGE / 4, IMAGE],
            ],
        },
    }
}
