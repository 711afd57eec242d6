//! The progress of a node's downloads, and what the coordinator advises.

use serde::{Deserialize, Serialize};

use super::{
    MOST_REPORTED, WireError, check_length,
    node::{Node, endpoint},
    read, write,
};
use crate::claim::{Advice, Progress, Stage};

/// What a node tells a coordinator at once: at most [`MOST_REPORTED`] entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report(pub Vec<Progress>);

/// The answer to a report, entry by entry in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advices(pub Vec<Advice>);

#[derive(Deserialize, Serialize)]
struct ReportMessage {
    progress: Vec<ProgressEntry>,
}

#[derive(Deserialize, Serialize)]
struct ProgressEntry {
    digest: String,
    node: Node,
    have: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    state: StageWord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    may_lead: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    patient: bool,
    free_slots: u32,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum StageWord {
    Leading,
    Queued,
    Following,
    Complete,
    Gone,
}

#[derive(Deserialize, Serialize)]
struct AdvicesMessage {
    advice: Vec<AdviceWord>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum AdviceWord {
    CarryOn,
    Lead,
    Move,
    /// What a newer coordinator may say. Advice can be left: what is under way goes on.
    #[serde(other, skip_serializing)]
    Unknown,
}

// === impl Report ===

impl Report {
    /// The body of `POST /peer/v1/progress`. What is beyond [`MOST_REPORTED`] is left out.
    pub fn to_json(&self) -> Vec<u8> {
        let entries = self.0.iter().take(MOST_REPORTED);
        write(&ReportMessage { progress: entries.map(ProgressEntry::from).collect() })
    }

    /// Reads the body of `POST /peer/v1/progress`.
    ///
    /// # Errors
    /// When it is not such a body, or of another version. One bad entry spoils the report: a node
    /// that writes one is not to be trusted with the others.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let ReportMessage { progress } = read(bytes)?;
        check_length("progress", progress.len(), 0, MOST_REPORTED)?;
        let entries = progress.into_iter().map(Progress::try_from);
        Ok(Self(entries.collect::<Result<_, _>>()?))
    }
}

impl From<&Progress> for ProgressEntry {
    fn from(progress: &Progress) -> Self {
        let (state, parent) = match progress.state {
            Stage::Leading => (StageWord::Leading, None),
            Stage::Queued => (StageWord::Queued, None),
            Stage::Following { parent } => (StageWord::Following, Some(parent.to_string())),
            Stage::Complete => (StageWord::Complete, None),
            Stage::Gone => (StageWord::Gone, None),
        };
        Self {
            digest: progress.digest.to_string(),
            node: Node::from(&progress.node),
            have: progress.have,
            total: progress.total,
            state,
            parent,
            may_lead: progress.may_lead,
            patient: progress.patient,
            free_slots: progress.free_slots,
        }
    }
}

impl TryFrom<ProgressEntry> for Progress {
    type Error = WireError;

    fn try_from(entry: ProgressEntry) -> Result<Self, WireError> {
        let state = match entry.state {
            StageWord::Leading => Stage::Leading,
            StageWord::Queued => Stage::Queued,
            StageWord::Complete => Stage::Complete,
            StageWord::Gone => Stage::Gone,
            StageWord::Following => {
                let missing = WireError::Missing { word: "following", field: "parent" };
                Stage::Following { parent: endpoint(&entry.parent.ok_or(missing)?)? }
            }
        };
        Ok(Self {
            digest: entry.digest.parse()?,
            node: entry.node.try_into()?,
            have: entry.have,
            total: entry.total,
            state,
            may_lead: entry.may_lead,
            patient: entry.patient,
            free_slots: entry.free_slots,
        })
    }
}

// === impl Advices ===

impl Advices {
    /// The body of the answer to a report.
    pub fn to_json(&self) -> Vec<u8> {
        let word = |advice: &Advice| match advice {
            Advice::CarryOn => AdviceWord::CarryOn,
            Advice::Lead => AdviceWord::Lead,
            Advice::Move => AdviceWord::Move,
        };
        write(&AdvicesMessage { advice: self.0.iter().map(word).collect() })
    }

    /// Reads the answer to a report.
    ///
    /// # Errors
    /// When it is not such an answer, or of another version.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let AdvicesMessage { advice } = read(bytes)?;
        check_length("advice", advice.len(), 0, MOST_REPORTED)?;
        let advice = advice.into_iter().map(|word| match word {
            AdviceWord::CarryOn | AdviceWord::Unknown => Advice::CarryOn,
            AdviceWord::Lead => Advice::Lead,
            AdviceWord::Move => Advice::Move,
        });
        Ok(Self(advice.collect()))
    }
}
