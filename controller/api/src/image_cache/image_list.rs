//! Images and the nodes that are to hold them.

use std::collections::BTreeMap;

use kube::core::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reference;
use crate::schema::rule;

/// Images for one node. Real nodes have about 50; what is much more fills disks by mistake, and the
/// node's object has to stay small.
pub const MAX_IMAGES: usize = 256;

/// Labels that a node must have; each makes the rules over all lists dearer.
const MAX_LABELS: usize = 16;

/// Images for the nodes that a selector selects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageList {
    /// Image references as in a pod: `nginx:1.27`, `registry.example.com/team/app:v2`, or by digest,
    /// `registry.example.com/team/app@sha256:…`. A tag is resolved to one digest for all nodes. At
    /// most 256, none of them twice.
    #[schemars(schema_with = "reference::list")]
    pub images: Vec<String>,

    /// The nodes that are to hold the images: those that have all of these labels. Without it, or
    /// when it is empty, all nodes. At most 16 labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = MAX_LABELS, "x-kubernetes-map-type" = "atomic"))]
    #[schemars(extend("additionalProperties" = label_value()))]
    #[schemars(extend("x-kubernetes-validations" = label_values()))]
    pub node_selector: BTreeMap<String, String>,
}

fn label_value() -> serde_json::Value {
    serde_json::json!({ "type": "string", "maxLength": 63 })
}

fn label_values() -> [Rule; 1] {
    let valid = "self.all(key, self[key].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'))";
    [rule(
        valid,
        "no node can have such a label: its value may have letters, digits, '-', '_' and '.' only, \
         and begins and ends with a letter or digit",
    )]
}
