//! The claimant's side: finds the coordinator and asks it.

use std::net::SocketAddr;

use tokio::time::{Duration, Instant, timeout_at};
use tracing::debug;

use super::Participant;
use crate::{
    Digest, Peer,
    claim::{
        Claim, Intent, Verdict,
        wire::{Answer, Ask, LARGEST_MESSAGE, MOST_HOPS},
    },
    peer::CLAIMS,
    sources::{Grant, Wanted},
};

/// Coordinators that one claim tries: the closest, and the one that knows the digest beside it.
const TRIED: usize = 2;

/// How long a node is new among its peers. The first peer introduces it to the others, which takes a
/// second or two; until then it takes itself for the closest to many digests that it is not closest to.
const NEW: Duration = Duration::from_secs(5);

/// What a coordinator says.
#[derive(Debug)]
pub(crate) struct Ruling {
    /// Where the blob comes from.
    pub(crate) verdict: Verdict,
    /// Neither the coordinator nor this node knows anybody who holds it: a search would find nobody.
    pub(crate) is_alone: bool,
}

impl Participant {
    /// What the coordinator of a blob says; `None` when there is none that answers in time.
    pub(crate) async fn claim(&self, wanted: &Wanted) -> Option<Ruling> {
        let claim = Claim {
            digest: wanted.digest,
            node: self.me.clone(),
            have: wanted.reached(),
            may_lead: wanted.may_lead,
            patient: wanted.patient,
            intent: if wanted.kept { Intent::Get } else { Intent::Look },
            lost: wanted.lost(),
            total: wanted.size,
        };
        let started = Instant::now();
        let mut ruling = None;
        let coordinators = self.to_ask(&claim.digest, started);
        let passes_over = self.passes_over_the_closest(&claim.digest, started);
        for (passed, coordinator) in coordinators.into_iter().enumerate() {
            let grant = self.grant(&coordinator, Instant::now());
            let insists = passed > 0 || passes_over;
            ruling = self.ask(coordinator, claim.clone(), insists, grant).await;
            if ruling.is_some() {
                break;
            }
        }
        let took = started.elapsed();
        debug!(digest = %claim.digest, have = claim.have, ?ruling, ?took, "claimed");
        self.metrics.claimed(ruling.as_ref().map(|ruling| &ruling.verdict), took);
        ruling
    }

    /// How long to wait for a coordinator: briefly after a wait that was for nothing, unless this one
    /// has just answered and only has a lot to do.
    fn grant(&self, coordinator: &Peer, now: Instant) -> Grant {
        if !self.is_silent(coordinator, now) && self.has_asked_lately(coordinator, now) {
            return self.patience.full(now);
        }
        self.patience.grant(now)
    }

    /// Whether a blob arrives anywhere, as far as its coordinator knows: then its bytes are on their way
    /// here, however many nodes they have to pass.
    pub(crate) async fn is_arriving(&self, digest: &Digest) -> bool {
        match self.claim(&Wanted::new(*digest, 0, false)).await {
            Some(Ruling { verdict: Verdict::Follow(parents), .. }) => {
                parents.iter().any(|parent| parent.have > 0)
            }
            _ => false,
        }
    }

    /// The coordinators to try. A new node asks a peer before itself: that one knows more peers, and
    /// sends it on to the closest, which may be itself after all.
    fn to_ask(&self, digest: &Digest, now: Instant) -> Vec<Peer> {
        let mut closest: Vec<_> = self.coordinators(digest).take(TRIED).collect();
        if closest.iter().any(|peer| !self.is_me(peer)) {
            let is_new = now < *self.joined.get_or_init(|| now) + NEW;
            if is_new && closest.first().is_some_and(|peer| self.is_me(peer)) {
                closest.rotate_left(1);
            }
        }
        closest
    }

    /// Follows redirects. `insists`: a closer one does not answer, so this one is not to name it.
    async fn ask(
        &self,
        coordinator: Peer,
        claim: Claim,
        insists: bool,
        grant: Grant,
    ) -> Option<Ruling> {
        let mut at = coordinator.endpoint;
        let mut asked = Ask { claim, hops: if insists { MOST_HOPS } else { 0 } };
        loop {
            if at == self.me.endpoint {
                // Two have to know of nobody, and this would be one.
                return Some(self.decide(&asked.claim).into());
            }
            match self.send(at, &asked, grant).await? {
                Answer::Verdict(verdict) => return Some(verdict.into()),
                Answer::LeadAlone => {
                    let is_alone = self.knows_of_nobody(&asked.claim.digest);
                    return Some(Ruling { verdict: Verdict::Lead, is_alone });
                }
                Answer::Redirect(closer) if asked.may_be_sent_on() => {
                    at = closer;
                    asked.hops += 1;
                }
                Answer::Redirect(_) => return None,
            }
        }
    }

    async fn send(&self, to: SocketAddr, asked: &Ask, grant: Grant) -> Option<Answer> {
        let post = self.client.post(to, CLAIMS, asked.to_json(), LARGEST_MESSAGE);
        let answer = match timeout_at(grant.deadline, post).await {
            Ok(Ok(body)) => {
                self.patience.answered();
                Answer::parse(&body).map_err(|error| error.to_string())
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                self.patience.cut(grant, Instant::now());
                Err("did not answer in time".into())
            }
        };
        if let Err(error) = &answer {
            debug!(digest = %asked.claim.digest, coordinator = %to, error, "no answer to a claim");
        }
        self.note_heard(to, answer.is_ok());
        answer.ok()
    }
}

impl From<Verdict> for Ruling {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, is_alone: false }
    }
}
