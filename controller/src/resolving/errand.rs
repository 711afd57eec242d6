//! A question that a node asks in the controller's place, as its registry lets only nodes in.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use onepull_api::{ImageAnswer, ImageQuestion, MAX_QUESTIONS, NodeReason};
use onepull_resolve::ImageRef as Reference;

use super::{
    Asked,
    delegate::{Delegate, resolved},
    question::Failure,
};
use crate::{
    convert,
    planner::{ImageRef, Platform, Trouble, TroubleKind},
};

/// For a node's answer: its plugins have 30 s, its turn at the registry and the registry 180 s, and its
/// status is written within 10 s more.
pub(super) const LIMIT: SignedDuration = SignedDuration::from_mins(4);

/// Nodes that may keep silent before it is given up.
const MOST_SILENT: usize = 3;

/// One question for nodes.
#[derive(Debug)]
pub(super) struct Errand {
    name: String,
    /// The same, to be matched; `None` for what no registry has.
    image: Option<Reference>,
    platforms: Vec<String>,
    /// What the registry said to the controller. It stands if no node can say more.
    refusal: Failure,
    given: Option<Given>,
    /// Nodes that did not answer in time.
    silent: Vec<String>,
}

/// Who is asked, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) node: String,
    pub(super) question: ImageQuestion,
}

// === impl Errand ===

impl Errand {
    pub(super) fn new(image: &ImageRef, platforms: &BTreeSet<Platform>, refusal: Failure) -> Self {
        Self {
            name: image.to_string(),
            image: image.as_str().parse().ok(),
            platforms: platforms.iter().map(ToString::to_string).collect(),
            refusal,
            given: None,
            silent: Vec::new(),
        }
    }

    /// Whom it was given to.
    pub(super) fn given(&self) -> Option<&Given> {
        self.given.as_ref()
    }

    /// Until when an answer is waited for.
    pub(super) fn until(&self) -> Option<Timestamp> {
        self.given.as_ref().map(|given| given.question.asked.0 + LIMIT)
    }

    /// Hears the answer, if there is one. A node that is gone, or keeps silent, is not waited for.
    pub(super) fn hear(&mut self, delegates: &[Delegate<'_>], now: Timestamp) -> Option<Asked> {
        let given = self.given.as_ref()?;
        let node = delegates.iter().find(|delegate| delegate.name() == given.node);
        if let Some(answer) = node.and_then(|node| node.answer(&given.question)) {
            return Some(self.heard(&given.node, answer));
        }
        if node.is_none() {
            self.given = None;
        } else if self.until().is_some_and(|until| now >= until) {
            self.silent.extend(self.given.take().map(|given| given.node));
        }
        None
    }

    /// Gives it to a node, as nobody has it: to the one that is asked the same already, else to the one with the
    /// fewest, `given` being all that are under way. The refusal, if there is no node for it.
    pub(super) fn give(
        &mut self,
        delegates: &[Delegate<'_>],
        given: &[Given],
        now: Timestamp,
    ) -> Option<Asked> {
        let able: Vec<_> = delegates.iter().filter(|delegate| self.suits(delegate)).collect();
        if able.is_empty() || self.silent.len() >= MOST_SILENT {
            return Some(Err(self.in_vain()));
        }
        let mut load: HashMap<&str, usize> = HashMap::new();
        for given in given {
            *load.entry(&given.node).or_default() += 1;
        }
        let load = |delegate: &Delegate<'_>| load.get(delegate.name()).copied().unwrap_or(0);
        let known = given.iter().find(|given| self.is_about(&given.question)).cloned();
        let told = || able.iter().find_map(|delegate| self.told(delegate));
        let new = || {
            let free = able.iter().filter(|delegate| load(delegate) < MAX_QUESTIONS);
            let node = free.min_by_key(|delegate| (load(delegate), delegate.name()))?;
            Some(Given { node: node.name().to_owned(), question: self.question(now) })
        };
        self.given = known.or_else(told).or_else(new);
        None
    }

    fn suits(&self, delegate: &Delegate<'_>) -> bool {
        let asks = self.image.as_ref().is_some_and(|image| delegate.may_ask_for(image));
        asks && !self.silent.iter().any(|silent| silent == delegate.name())
    }

    /// What a controller before this one gave a node.
    fn told(&self, delegate: &Delegate<'_>) -> Option<Given> {
        let question = delegate.questions().iter().find(|question| self.is_about(question))?;
        Some(Given { node: delegate.name().to_owned(), question: question.clone() })
    }

    fn is_about(&self, question: &ImageQuestion) -> bool {
        question.name == self.name && question.platforms == self.platforms
    }

    /// Kubernetes writes times in whole seconds.
    fn question(&self, now: Timestamp) -> ImageQuestion {
        let asked = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let (name, platforms) = (self.name.clone(), self.platforms.clone());
        ImageQuestion { name, platforms, asked: Time(asked) }
    }

    fn heard(&self, node: &str, answer: &ImageAnswer) -> Asked {
        let failure =
            |kind, message: &str| Err(Failure::new(kind, &format!("node {node}: {message}")));
        let Some(resolved) = resolved(answer) else {
            let kind = convert::trouble_kind(answer.reason.unwrap_or(NodeReason::Unknown));
            let kind = kind.unwrap_or(TroubleKind::Unknown);
            return failure(kind, answer.message.as_deref().unwrap_or(kind.words()));
        };
        let asked_for = self.image.as_ref().and_then(Reference::digest);
        match asked_for {
            Some(digest) if *digest != resolved.digest => {
                failure(TroubleKind::ContentMismatch, TroubleKind::ContentMismatch.words())
            }
            _ => Ok(resolved),
        }
    }

    fn in_vain(&self) -> Failure {
        let Failure { trouble, wait } = self.refusal.clone();
        let trouble = match self.silent.as_slice() {
            [] => trouble,
            silent => {
                let (silent, minutes) = (silent.join(", "), LIMIT.as_mins());
                let more = format!(
                    "{trouble}; asked in its place, {silent} gave no answer in {minutes} min"
                );
                Trouble::new(trouble.kind, &more)
            }
        };
        Failure { trouble, wait }
    }
}

#[cfg(test)]
mod tests;
