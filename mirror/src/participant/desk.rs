//! The coordinator's side: answers the claims and the progress of other nodes.

use tokio::time::Instant;

use super::Participant;
use crate::{
    Digest, Peer,
    claim::{
        Advice, Claim, Progress, Verdict,
        wire::{Advices, Answer, Ask, Report},
    },
};

impl Participant {
    /// Answers a claim, or names the node that should.
    pub(crate) fn answer(&self, ask: &Ask) -> Answer {
        let closer = self.coordinators(&ask.claim.digest).next();
        match closer.filter(|peer| !self.is_me(peer) && ask.may_be_sent_on()) {
            Some(Peer { endpoint, .. }) => Answer::Redirect(endpoint),
            None => match self.decide(&ask.claim) {
                Verdict::Lead if self.knows_of_nobody(&ask.claim.digest) => Answer::LeadAlone,
                verdict => Answer::Verdict(verdict),
            },
        }
    }

    /// Whether this node neither has anything of a blob nor knows who has.
    pub(crate) fn knows_of_nobody(&self, digest: &Digest) -> bool {
        self.router.knows_of_nobody(digest) && self.store.follow(digest).borrow().is_none()
    }

    pub(super) fn decide(&self, claim: &Claim) -> Verdict {
        let mut coordinator = self.coordinator();
        let verdict = coordinator.claim(claim, Instant::now());
        self.metrics.coordinated(coordinator.counters());
        verdict
    }

    /// Takes note of how far others are, and advises them.
    pub(crate) fn hear(&self, report: &Report) -> Advices {
        Advices(report.0.iter().map(|progress| self.note(progress)).collect())
    }

    pub(super) fn note(&self, progress: &Progress) -> Advice {
        let mut coordinator = self.coordinator();
        let advice = coordinator.progress(progress, Instant::now());
        self.metrics.coordinated(coordinator.counters());
        advice
    }
}
