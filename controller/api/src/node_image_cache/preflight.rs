//! What the agent's preflight found on its node.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Findings of one node: the preflight looks at about a dozen things.
pub const MAX_FINDINGS: usize = 16;

/// A sentence and a command, in each of the two texts of a finding: all of them together stay below 20 KiB.
pub const MAX_FINDING_TEXT: usize = 512;

/// The names of checks are words.
const MAX_CHECK: usize = 32;

/// What the agent's preflight found on its node, as `onepull-agent check` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Preflight {
    /// When it found this. As long as it finds the same it is not written again.
    pub at: Time,

    /// What is not as it should be; nothing when all is well. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_FINDINGS), extend("x-kubernetes-list-type" = "atomic"))]
    pub findings: Vec<PreflightFinding>,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct PreflightFinding {
    /// Which check, in one word.
    #[schemars(length(max = MAX_CHECK))]
    pub check: String,

    /// Warning: onepull does less than it could, or it could not be judged. Problem: it does not work on
    /// this node.
    pub verdict: FindingVerdict,

    /// What was seen.
    #[schemars(length(max = MAX_FINDING_TEXT))]
    pub what: String,

    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_FINDING_TEXT))]
    pub todo: Option<String>,
}

/// How bad a finding is: Warning or Problem.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema,
)]
pub enum FindingVerdict {
    /// onepull works, but does less than it could, or that could not be judged.
    Warning,
    /// onepull does not work on this node.
    Problem,
}
