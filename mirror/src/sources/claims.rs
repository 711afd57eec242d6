//! Sources found by claiming the digest at its coordinator.
//!
//! Who is told to follow gets parents that are receiving the blob themselves; when they fail, the
//! digest is claimed again from the byte reached. Who is told to lead takes the blob from outside the
//! storm: from a node that holds all of it, else from the registry; at once, when two nodes know that
//! nobody holds it (ADR 29). Who may not lead looks outside
//! now and then while nobody of the storm has it, and goes on asking.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::time::{Duration, Instant, sleep};

use super::{Lookup, Outlook, Parent, Sources, Standing, Wanted};
use crate::{
    claim::{self, Verdict, timing::ASK_AGAIN},
    participant::{Participant, Role},
};

/// How often a node that may not lead looks outside the storm. A search asks a few peers of the whole
/// network, a claim asks one; and what is announced meanwhile is found two seconds later at most.
const LOOK_OUTSIDE: Duration = Duration::from_secs(2);

/// Claims digests before it looks for them.
pub struct Claims {
    participant: Arc<Participant>,
    outside: Arc<Lookup>,
}

/// One fetch's way through its verdicts.
struct Course {
    participant: Arc<Participant>,
    outside: Arc<Lookup>,
    wanted: Wanted,
    /// The byte reached at the last claim.
    claimed_at: Option<u64>,
    /// When a node that may not lead looked outside.
    looked: Option<Instant>,
    step: Step,
}

enum Step {
    /// The coordinator is to be asked. Next: `Following`, `Aside`, `Outside`, or again.
    Claiming,
    /// Parents to try, best first. Next: `Claiming`.
    Following(VecDeque<Parent>),
    /// Nobody of the storm is ahead, and this node may not lead it. Next: `Claiming`.
    Aside(BoxStream<'static, Parent>),
    /// Nobody of the storm is ahead of this node. The last step.
    Outside(BoxStream<'static, Parent>),
}

// === impl Claims ===

impl Claims {
    /// Claims through `participant`; what is not shared, or to be led, is looked up in `outside`.
    pub fn new(participant: Arc<Participant>, outside: Lookup) -> Self {
        Self { participant, outside: Arc::new(outside) }
    }
}

#[async_trait]
impl Sources for Claims {
    fn parents(&self, wanted: &Wanted) -> BoxStream<'static, Parent> {
        if !wanted.kept && wanted.may_lead {
            return self.outside.parents(wanted);
        }
        let course = Course {
            participant: Arc::clone(&self.participant),
            outside: Arc::clone(&self.outside),
            wanted: wanted.clone(),
            claimed_at: None,
            looked: None,
            step: Step::Claiming,
        };
        let next = |mut course: Course| async { Some((course.next().await?, course)) };
        stream::unfold(course, next).boxed()
    }

    async fn outlook(&self, wanted: &Wanted, parent: SocketAddr) -> Outlook {
        let Some(ruling) = self.participant.claim(wanted).await else { return Outlook::Unknown };
        let parents = match ruling.verdict {
            Verdict::Follow(parents) => parents,
            // It knows less than this node: it has just become the coordinator, say.
            Verdict::NotYet => return Outlook::Unknown,
            Verdict::Lead => return Outlook::Passed,
        };
        let first = parents.first().filter(|first| first.peer.endpoint == parent);
        first.map_or(Outlook::Passed, |first| Outlook::Best { have: first.have })
    }
}

// === impl Course ===

impl Course {
    async fn next(&mut self) -> Option<Parent> {
        loop {
            if self.wanted.promoted.is_cancelled() && !matches!(self.step, Step::Outside(_)) {
                self.step = Step::Outside(self.outside.parents(&self.wanted));
            }
            match &mut self.step {
                Step::Outside(found) => return found.next().await,
                Step::Following(parents) => match parents.pop_front() {
                    Some(parent) => return Some(self.follow(parent)),
                    None => self.step = Step::Claiming,
                },
                Step::Aside(found) => match found.next().await {
                    Some(parent) => return Some(self.follow(parent)),
                    None => self.step = Step::Claiming,
                },
                Step::Claiming => self.claim().await,
            }
        }
    }

    /// Others may follow this node from now on, if it keeps what comes.
    fn follow(&self, parent: Parent) -> Parent {
        if self.wanted.kept {
            let role = Role::Following(parent.peer.endpoint);
            self.participant.take_part(&self.wanted, role);
        }
        parent
    }

    /// Asks the coordinator; not at once again when its last answer was of no use.
    async fn claim(&mut self) {
        let at = self.wanted.reached();
        if self.claimed_at.replace(at) == Some(at) {
            sleep(ASK_AGAIN).await;
        }
        let ruling = self.participant.claim(&self.wanted).await;
        let is_alone = ruling.as_ref().is_some_and(|ruling| ruling.is_alone);
        match ruling.map(|ruling| ruling.verdict) {
            Some(Verdict::Follow(parents)) => {
                // Who has nothing yet waits where the coordinator thinks: at a spare parent, which may
                // have been sent behind this node meanwhile, both would wait for ever.
                let tried = if at == 0 { 1 } else { parents.len() };
                let parents = parents.into_iter().take(tried).map(Parent::from);
                self.step = Step::Following(parents.collect());
            }
            Some(Verdict::NotYet | Verdict::Lead) | None if !self.wanted.may_lead => {
                self.look_outside(Instant::now());
            }
            Some(Verdict::NotYet) => {}
            // Without a coordinator every node is on its own, as ever.
            Some(Verdict::Lead) | None => {
                self.participant.take_part(&self.wanted, Role::Leading);
                self.step = Step::Outside(match is_alone {
                    true => stream::empty().boxed(),
                    false => self.outside.parents(&self.wanted),
                });
            }
        }
    }

    fn look_outside(&mut self, now: Instant) {
        if self.looked.is_none_or(|looked| now >= looked + LOOK_OUTSIDE) {
            self.looked = Some(now);
            self.step = Step::Aside(self.outside.parents(&self.wanted));
        }
    }
}

// === impl Parent ===

impl From<claim::Parent> for Parent {
    fn from(named: claim::Parent) -> Self {
        let standing = if named.complete { Standing::Complete } else { Standing::Arriving };
        Self { peer: named.peer, standing }
    }
}
