//! A claim and its answer.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{
    MOST_HOPS, WireError, check_length,
    node::{Node, endpoint},
    read, write,
};
use crate::claim::{Claim, Intent, MOST_LOST, MOST_PARENTS, Parent, Verdict};

/// A claim on its way to the coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// How often it was sent on, at most [`MOST_HOPS`].
    pub hops: u8,
    /// The claim.
    pub claim: Claim,
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The coordinator's verdict.
    Verdict(Verdict),
    /// [`Verdict::Lead`], and the coordinator knows of nobody that holds the blob, as
    /// [`crate::Router::knows_of_nobody`] says.
    LeadAlone,
    /// This peer knows a closer coordinator: ask there, with one hop more.
    Redirect(SocketAddr),
}

#[derive(Deserialize, Serialize)]
struct AskMessage {
    #[serde(default)]
    hops: u8,
    digest: String,
    node: Node,
    have: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    may_lead: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    patient: bool,
    intent: IntentWord,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lost: Vec<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum IntentWord {
    Get,
    Look,
}

#[derive(Deserialize, Serialize)]
struct AnswerMessage {
    verdict: VerdictWord,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parents: Vec<ParentEntry>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    alone: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum VerdictWord {
    Lead,
    Follow,
    NotYet,
    Redirect,
}

#[derive(Deserialize, Serialize)]
struct ParentEntry {
    #[serde(flatten)]
    node: Node,
    have: u64,
    #[serde(default)]
    complete: bool,
}

// === impl Ask ===

impl Ask {
    /// Whether the receiver may send it on, or must answer as well as it can.
    pub fn may_be_sent_on(&self) -> bool {
        self.hops < MOST_HOPS
    }

    /// The body of `POST /peer/v1/claims`.
    pub fn to_json(&self) -> Vec<u8> {
        let Claim { digest, node, have, may_lead, patient, intent, lost, total } = &self.claim;
        write(&AskMessage {
            hops: self.hops,
            digest: digest.to_string(),
            node: Node::from(node),
            have: *have,
            total: *total,
            may_lead: *may_lead,
            patient: *patient,
            intent: match intent {
                Intent::Get => IntentWord::Get,
                Intent::Look => IntentWord::Look,
            },
            lost: lost.iter().take(MOST_LOST).map(SocketAddr::to_string).collect(),
        })
    }

    /// Reads the body of `POST /peer/v1/claims`.
    ///
    /// # Errors
    /// When it is not such a body, or of another version.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let message: AskMessage = read(bytes)?;
        if message.hops > MOST_HOPS {
            return Err(WireError::Hops(message.hops));
        }
        check_length("lost", message.lost.len(), 0, MOST_LOST)?;
        let lost = message.lost.iter().map(|lost| endpoint(lost)).collect::<Result<_, _>>()?;
        let claim = Claim {
            digest: message.digest.parse()?,
            node: message.node.try_into()?,
            have: message.have,
            may_lead: message.may_lead,
            patient: message.patient,
            intent: match message.intent {
                IntentWord::Get => Intent::Get,
                IntentWord::Look => Intent::Look,
            },
            lost,
            total: message.total,
        };
        Ok(Self { hops: message.hops, claim })
    }
}

// === impl Answer ===

impl Answer {
    /// The body of the answer to a claim.
    pub fn to_json(&self) -> Vec<u8> {
        let word = |verdict| AnswerMessage { verdict, parents: Vec::new(), alone: false, to: None };
        write(&match self {
            Self::Verdict(Verdict::Lead) => word(VerdictWord::Lead),
            Self::LeadAlone => AnswerMessage { alone: true, ..word(VerdictWord::Lead) },
            Self::Verdict(Verdict::NotYet) => word(VerdictWord::NotYet),
            Self::Verdict(Verdict::Follow(parents)) => AnswerMessage {
                parents: parents.iter().take(MOST_PARENTS).map(ParentEntry::from).collect(),
                ..word(VerdictWord::Follow)
            },
            Self::Redirect(to) => {
                AnswerMessage { to: Some(to.to_string()), ..word(VerdictWord::Redirect) }
            }
        })
    }

    /// Reads the answer to a claim.
    ///
    /// # Errors
    /// When it is not such an answer, or of another version.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let AnswerMessage { verdict, parents, alone, to } = read(bytes)?;
        match verdict {
            VerdictWord::Lead if alone => Ok(Self::LeadAlone),
            VerdictWord::Lead => Ok(Self::Verdict(Verdict::Lead)),
            VerdictWord::NotYet => Ok(Self::Verdict(Verdict::NotYet)),
            VerdictWord::Redirect => {
                let to = to.ok_or(WireError::Missing { word: "redirect", field: "to" })?;
                Ok(Self::Redirect(endpoint(&to)?))
            }
            VerdictWord::Follow => {
                check_length("parents", parents.len(), 1, MOST_PARENTS)?;
                let parents = parents.into_iter().map(Parent::try_from);
                Ok(Self::Verdict(Verdict::Follow(parents.collect::<Result<_, _>>()?)))
            }
        }
    }
}

impl From<&Parent> for ParentEntry {
    fn from(parent: &Parent) -> Self {
        let node = Node::from(&parent.peer);
        Self { node, have: parent.have, complete: parent.complete }
    }
}

impl TryFrom<ParentEntry> for Parent {
    type Error = WireError;

    fn try_from(entry: ParentEntry) -> Result<Self, WireError> {
        let peer = entry.node.try_into()?;
        Ok(Self { peer, have: entry.have, complete: entry.complete })
    }
}
