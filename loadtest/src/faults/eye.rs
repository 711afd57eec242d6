//! When a fault strikes, and whom.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    Fault, Victim,
    attempts::Stage,
    bystander::{Bystander, Small},
};
use crate::{
    fleet::{
        Fleet, FleetError,
        containerd::{ContainerdFleet, Feeds},
    },
    image::Image,
};

/// Percent of the image: with the moment that it takes to see who leads, about half.
const STRIKES_AT: u64 = 45;

/// How often the nodes' disks are looked at: a small part of the shortest sensible storm.
const POLL: Duration = Duration::from_millis(25);

/// When and where a fault struck.
pub(super) struct Strike {
    pub(super) victim: usize,
    pub(super) at: Duration,
    pub(super) unfinished_share: f64,
    pub(super) small: Option<Small>,
}

/// What decides where a fault strikes.
pub(super) struct Eye<'a> {
    pub(super) fault: Fault,
    pub(super) fleet: &'a ContainerdFleet,
    pub(super) image: &'a Image,
    pub(super) stage: &'a watch::Sender<Stage>,
    /// Nobody has half the image after this only when the pulls hang.
    pub(super) limit: Duration,
}

// === impl Eye ===

impl Eye<'_> {
    /// Waits for the half, chooses the victim and strikes.
    pub(super) async fn strike(
        &self,
        start: Instant,
        mut bystander: Option<Bystander>,
    ) -> Result<Strike, FleetError> {
        timeout(self.limit, self.half_there()).await.map_err(|_| FleetError::Late {
            what: "nobody got half of the image".into(),
            seconds: self.limit.as_secs(),
        })?;
        let feeds = self.fleet.feeds().await?;
        let victim = self.victim(&feeds);
        let unfinished_share = self.unfinished(victim);
        let at = start.elapsed();
        let takes_part =
            matches!(self.fault.victim(), Victim::Lead | Victim::Follower | Victim::Last);
        if takes_part && unfinished_share <= 0.0 {
            let reason = "the storm was over before: take a larger image or a slower --nic";
            return Err(FleetError::setup(format!("let {} strike", self.fault))(reason));
        }
        tracing::info!(
            "{}: strikes node-{} at {:.1} s, {:.0} % of the image missing",
            self.fault,
            victim + 1,
            at.as_secs_f64(),
            unfinished_share * 100.0,
        );
        self.stage.send_replace(Stage::Struck(takes_part.then_some(victim)));
        let strike = self.fleet.hurt(self.fault, victim);
        if let Some(bystander) = &mut bystander {
            // The first pull begins when containerd is frozen, the second when the agent is too.
            let (struck, ()) = tokio::join!(strike, bystander.pull(self.fleet, &feeds));
            struck?;
            bystander.pull(self.fleet, &feeds).await;
        } else {
            strike.await?;
        }
        let small = bystander.map(Bystander::into_small);
        Ok(Strike { victim, at, unfinished_share, small })
    }

    /// Returns when the victim, or where it is not chosen yet any node, has almost half the image.
    async fn half_there(&self) {
        let watched = match self.fault.victim() {
            Victim::Holder => return,
            Victim::Last => self.last()..self.last() + 1,
            Victim::Lead | Victim::Follower | Victim::Nobody => 0..self.last() + 1,
        };
        let enough = self.image.bytes() * STRIKES_AT / 100;
        while watched.clone().all(|node| self.fleet.held(node) < enough) {
            sleep(POLL).await;
        }
    }

    fn victim(&self, feeds: &Feeds) -> usize {
        match self.fault.victim() {
            Victim::Lead => feeds.lead(),
            Victim::Follower => feeds.follower(),
            Victim::Last => self.last(),
            Victim::Holder | Victim::Nobody => 0,
        }
    }

    fn last(&self) -> usize {
        self.fleet.names().len().saturating_sub(1)
    }

    #[allow(clippy::cast_precision_loss, reason = "a ratio for people")]
    fn unfinished(&self, victim: usize) -> f64 {
        match self.fault.victim() {
            Victim::Holder | Victim::Nobody => 0.0,
            _ => 1.0 - (self.fleet.held(victim) as f64 / self.image.bytes() as f64).min(1.0),
        }
    }
}
