//! A report as a good rollout makes it, for tests.

use super::{
    report::{ClusterReport, NodeReport, SCHEMA, Setup},
    verdict::judge,
};
use crate::{
    machine::Machine,
    units::{ByteSize, LinkRate},
};

/// Two selected nodes, one that is not.
pub(super) fn report() -> ClusterReport {
    let node = |number: usize, lists: &[usize], upstream, peers| NodeReport {
        name: format!("node-{number}"),
        lists: lists.to_vec(),
        wanted: lists.len(),
        seeds: usize::from(upstream > 0),
        warm_seconds: (!lists.is_empty()).then_some(1.5),
        bytes_from_upstream: upstream,
        bytes_from_peers: peers,
        held_bytes: upstream + peers,
        counted_bytes: upstream + peers,
        link_bytes: 2000 + upstream + peers,
        ..NodeReport::default()
    };
    let machine = Machine {
        cores: 2,
        cpu: "a processor".into(),
        kernel: "6.1".into(),
        memory_bytes: 1 << 30,
        optimised: true,
    };
    let mut report = ClusterReport {
        schema: SCHEMA.into(),
        command: "onepull-loadtest kube".into(),
        started: "2026-01-01T00:00:00Z".into(),
        machine,
        setup: Setup {
            images: vec!["r/a:v1".into()],
            image_size: ByteSize::new(100),
            layers: 1,
            nic: LinkRate::new(200_000_000),
            registry: LinkRate::new(200_000_000),
            fault: None,
            private: None,
        },
        ready_seconds: Some(2.0),
        conditions: "Ready True: 2 nodes".into(),
        unique_bytes: 100,
        egress_bytes: 101,
        egress_images: 1.01,
        upstream: Some("1.00x".into()),
        fault: None,
        let_in: Vec::new(),
        nodes: vec![node(1, &[1], 100, 0), node(2, &[1], 0, 100), node(3, &[], 0, 0)],
        imagecaches: "NAME  IMAGES  NODES  WARM  STATE  UPSTREAM  AGE\n\
                      a     1       2      2     Ready  1.00x     5s\n"
            .into(),
        events: "REASON            MESSAGE\nRolloutComplete   2 nodes hold all images\n".into(),
        criteria: Vec::new(),
    };
    report.criteria = judge(&report);
    report
}
