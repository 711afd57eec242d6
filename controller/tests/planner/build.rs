//! Short ways to make inputs.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use onepull_controller::{
    planner::{
        Cache, CacheId, Content, Digest, Disk, ImageList, ImageRef, Node, OnDelete, Platform,
        Report, Resolution, Resolved, Selector, Share, State, Strategy,
    },
    window::Gate,
};

pub(crate) const GIB: u64 = 1 << 30;
pub(crate) const AMD: &str = "linux/amd64";

/// A noon in November.
pub(crate) fn noon() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

pub(crate) fn after(seconds: i64) -> Timestamp {
    noon() + SignedDuration::from_secs(seconds)
}

pub(crate) fn labels(text: &str) -> BTreeMap<Arc<str>, Arc<str>> {
    let pair = |label: &str| {
        let (key, value) = label.split_once('=').unwrap();
        (Arc::from(key), Arc::from(value))
    };
    text.split(',').filter(|label| !label.is_empty()).map(pair).collect()
}

/// A ready node of that pool, with 100 GiB for images.
pub(crate) fn node(name: &str, pool: &str) -> Node {
    Node {
        name: name.into(),
        labels: labels(&format!("pool={pool}")),
        platform: AMD.into(),
        ready: true,
        virtual_node: false,
        schedulable: true,
        disk: Some(Disk { free: 100 * GIB, budget: 100 * GIB }),
        holds: Vec::new(),
        removals: Vec::new(),
        reports: BTreeMap::new(),
    }
}

/// A digest that a person can tell from others.
pub(crate) fn digest(word: &str) -> Digest {
    let hex: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
    Digest::from(format!("sha256:{hex:0<64}").as_str())
}

/// An image of so many GiB for linux/amd64 alone; unpacked it takes twice as much more.
pub(crate) fn image(word: &str, gib: u64) -> Resolution {
    let content = Content { manifest: digest(word), bytes: gib * GIB, disk: 3 * gib * GIB };
    let platforms = BTreeMap::from([(Platform::from(AMD), content)]);
    Resolution::Resolved(Resolved { digest: digest(word), platforms })
}

/// A cache of these images for the nodes of a pool, without limits of any kind.
pub(crate) fn cache(name: &str, pool: &str, images: &[(&str, Resolution)]) -> Cache {
    let selector: Selector = match pool {
        "" => Selector::new(),
        pool => labels(&format!("pool={pool}")),
    };
    let names = images.iter().map(|(name, _)| ImageRef::from(*name)).collect();
    Cache {
        id: CacheId::new("team", name),
        created: noon(),
        lists: vec![ImageList { images: names, selector }],
        strategy: Strategy::Stream,
        max_parallel: Share::ALL,
        ready_when: Share::ALL,
        gate: Gate::ALWAYS,
        on_delete: OnDelete::Keep,
        deleting: false,
        resolutions: images.iter().map(|(name, to)| ((*name).into(), to.clone())).collect(),
    }
}

/// What an agent reports of an image in that state.
pub(crate) fn report(state: State, generation: u64, bytes: u64) -> Report {
    Report {
        generation,
        state,
        since: noon(),
        complete: state == State::Warm,
        in_use: false,
        bytes,
        total: None,
        upstream: 0,
        trouble: None,
    }
}
