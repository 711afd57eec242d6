use onepull_api::NodeImageCache;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    convert::{self, Machine, Names},
    planner::{CacheId, Digest, ImageRef},
};

fn hex() -> impl Strategy<Value = String> {
    "[0-9a-f]{64}".prop_map(|hex| format!("sha256:{hex}"))
}

fn refs() -> impl Strategy<Value = Vec<ImageRef>> {
    let name = "[a-z]{1,8}\\.example(:[0-9]{2,5})?(/[a-z0-9]{1,9}){1,3}(:[a-zA-Z0-9]{1,9}|@sha256:[0-9a-f]{64})";
    prop::collection::vec(name.prop_map(|name| name.as_str().into()), 1..4)
}

fn a_hold() -> impl Strategy<Value = Hold> {
    let id =
        ("[a-z0-9]{1,9}", "[a-z0-9.-]{1,9}").prop_map(|(space, name)| CacheId::new(&space, &name));
    let caches = prop::collection::vec(id, 0..4);
    (hex(), refs(), any::<bool>(), 0..=i64::MAX as u64, caches).prop_map(
        |(digest, refs, upstream, generation, caches)| Hold {
            digest: digest.as_str().into(),
            refs: refs.into(),
            source: if upstream { Source::Upstream } else { Source::Peers },
            generation,
            caches: caches.into(),
        },
    )
}

fn a_removal() -> impl Strategy<Value = Removal> {
    (hex(), refs()).prop_map(|(digest, refs)| Removal { digest: digest.as_str().into(), refs })
}

fn node() -> Node {
    let object = json!({ "metadata": { "name": "gpu-1", "labels": { ZONE: "eu-1a" } } });
    let object = serde_json::from_value(object).unwrap();
    let machine = Machine::read(&object, &mut Names::default());
    convert::node(&machine, None, Default::default())
}

#[test]
fn a_plan_is_written_as_the_agent_reads_it() {
    let hold = Hold {
        digest: Digest::from("sha256:aa"),
        refs: ["r.example/app:v1".into()].into(),
        source: Source::Upstream,
        generation: 2,
        caches: [CacheId::new("team", "llm")].into(),
    };
    let removal = Removal { digest: "sha256:bb".into(), refs: vec!["r.example/app:v0".into()] };
    let plan = NodePlan { holds: vec![hold], removals: vec![removal], lacks: Vec::new() };
    let written = json!({
        "zone": "eu-1a",
        "images": [{
            "refs": ["r.example/app:v1"], "digest": "sha256:aa", "source": "Upstream",
            "generation": 2, "caches": ["team/llm"],
        }],
        "remove": [{ "refs": ["r.example/app:v0"], "digest": "sha256:bb" }],
    });
    assert_eq!(serde_json::to_value(spec(&node(), &plan, &[])).unwrap(), written);
}

proptest! {
    #[test]
    fn what_a_node_is_told_comes_back_as_it_was_planned(
        holds in prop::collection::vec(a_hold(), 0..6),
        removals in prop::collection::vec(a_removal(), 0..6),
    ) {
        let plan = NodePlan { holds, removals, lacks: Vec::new() };
        let stored = serde_json::to_string(&spec(&node(), &plan, &[])).unwrap();
        let read = serde_json::from_str(&stored).unwrap();
        let read = NodeImageCache::new("gpu-1", read);
        let told = Told::read(&read, &mut Names::default(), jiff::Timestamp::UNIX_EPOCH);
        prop_assert!(says(&told, &node(), &plan, &[]));
        let other = NodePlan { holds: Vec::new(), ..plan.clone() };
        prop_assert_eq!(says(&told, &node(), &other, &[]), plan.holds.is_empty());
        let other = NodePlan { removals: Vec::new(), ..plan.clone() };
        prop_assert_eq!(says(&told, &node(), &other, &[]), plan.removals.is_empty());
        prop_assert_eq!((told.holds, told.removals), (plan.holds, plan.removals));
    }
}
