//! Carries plans out: looks at the objects, plans, and writes what differs from the plan.
//!
//! All that must survive stands in the objects, so a controller that takes over goes on where the last
//! one stopped, and a write that failed is made by the next cycle. Cycles are some time apart: what
//! changes meanwhile is one plan, and one write for each node.

use std::{collections::BTreeSet, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use jiff::Timestamp;
use kube::Client;
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    select,
    time::{Instant, sleep},
};
use tracing::{debug, info};

use crate::{
    convert::DiskPolicy,
    metrics::{Metrics, Standing},
    planner::{Happening, History, Inputs, Limits, Node, Plan, Platform, plan},
    resolving::Resolving,
    world::{Snapshot, World},
};

mod deed;
mod deeds;
mod doing;
mod events;
mod inputs;
mod pace;

use deed::Deed;
use doing::{Doing, Done};
use events::Events;
use inputs::Nodes;
use pace::{Outcome, Pace, pace};

/// Windows and waits that nothing announces are looked at as often as this at least.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// The name under which the controller writes; fields of others are left alone.
pub const FIELD_MANAGER: &str = "onepull-controller";

/// What the operator says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy {
    /// How much of a node's disk images may take.
    pub disk: DiskPolicy,
    /// How much caches may ask of a node.
    pub limits: Limits,
}

/// The rollouts of a cluster, in the hands of one controller at a time.
pub struct Rollouts {
    policy: Policy,
    world: World,
    resolving: Resolving,
    doing: Doing,
    events: Events,
    nodes: Nodes,
    history: History,
    metrics: Metrics,
    /// Cycles in a row in which writes failed and none succeeded.
    setbacks: u32,
}

// === impl Rollouts ===

impl Rollouts {
    /// Takes the rollouts over. Nothing is known of what a controller before it thought; what it did stands
    /// in the objects.
    pub fn new(
        client: &Client,
        world: World,
        resolving: Resolving,
        policy: Policy,
        metrics: Metrics,
    ) -> Self {
        let doing = Doing::new(client.clone(), metrics.clone());
        let events = Events::new(client.clone(), metrics.clone());
        let (nodes, history) = (Nodes::default(), History::default());
        Self { policy, world, resolving, doing, events, nodes, history, metrics, setbacks: 0 }
    }

    /// Runs until it is dropped.
    ///
    /// # Cancel safety
    /// Whatever has been written by then stands; the next controller goes on from there.
    pub async fn run(mut self) {
        self.world.is_listed().await;
        self.metrics.stands(Standing::Leading);
        info!("looking after the rollouts");
        loop {
            let Pace { least, most } = self.cycle().await;
            sleep(least).await;
            self.rest(most - least).await;
        }
    }

    /// Waits for news, at most that long.
    async fn rest(&mut self, limit: Duration) {
        select! {
            () = self.world.changed() => {}
            () = self.resolving.answered() => {}
            () = sleep(limit) => {}
        }
    }

    /// Plans once and does what the plan says. Returns when to do so again.
    async fn cycle(&mut self) -> Pace {
        let (now, started) = (Timestamp::now(), Instant::now());
        let snapshot = self.world.snapshot(now);
        let nodes = self.nodes.of(&snapshot, self.policy);
        let platforms = nodes.iter().map(|node| node.platform.clone()).collect();
        let delegates = inputs::delegates(&snapshot);
        let ask_again = self.resolving.tend(&snapshot.caches, &platforms, &delegates, now);
        let (plan, deeds) = self.plan(&snapshot, nodes, &platforms, now);
        let again = [plan.again, ask_again].into_iter().flatten().min();
        let outcome = self.carry_out(deeds, now).await;
        self.events.publish(&plan.events, &snapshot.caches).await;
        self.count(&plan);
        self.metrics.cycled(started.elapsed(), outcome.failed);
        self.history = plan.history;
        self.setbacks = pace::setbacks(self.setbacks, outcome);
        pace(self.setbacks, outcome, rest_until(again, now))
    }

    fn count(&self, plan: &Plan) {
        let moves = plan.events.iter();
        let moves = moves.filter(|event| matches!(event.what, Happening::SeedMoved { .. })).count();
        self.metrics.seed_moves.inc_by(moves as u64);
        self.metrics.caches.show(&plan.caches);
    }

    fn plan(
        &mut self,
        snapshot: &Snapshot,
        nodes: Vec<Arc<Node>>,
        platforms: &BTreeSet<Platform>,
        now: Timestamp,
    ) -> (Plan, Vec<Deed>) {
        let history = std::mem::take(&mut self.history);
        let caches = inputs::caches(snapshot, &self.resolving, platforms, now);
        let inputs = Inputs { caches, nodes, limits: self.policy.limits, history };
        let (started, cpu_before) = (Instant::now(), cpu_time());
        let mut plan = plan(&inputs, now);
        let (cpu, took) = (cpu_time().saturating_sub(cpu_before), started.elapsed());
        self.metrics.planned(cpu, took);
        let questions = self.resolving.questions();
        let deeds = deeds::deeds(snapshot, &inputs, &mut plan, &questions, now);
        debug!(nodes = inputs.nodes.len(), deeds = deeds.len(), ?cpu, ?took, "planned");
        (plan, deeds)
    }

    /// Does what there is time for.
    async fn carry_out(&mut self, deeds: Vec<Deed>, now: Timestamp) -> Outcome {
        let mut outcome = Outcome { left: deeds.len(), ..Outcome::default() };
        let mut doing = pin!(self.doing.all(deeds));
        while let Some(done) = doing.next().await {
            outcome.left -= 1;
            match done {
                Done::Told(object) => self.world.note(&object, now),
                Done::Deleted(node) => self.world.forget(&node),
                Done::Other => {}
                Done::Failed => {
                    outcome.failed += 1;
                    continue;
                }
            }
            outcome.done += 1;
        }
        outcome
    }
}

fn rest_until(again: Option<Timestamp>, now: Timestamp) -> Duration {
    let until = again.map(|again| again.duration_since(now).unsigned_abs());
    until.map_or(LONGEST_REST, |until| until.min(LONGEST_REST))
}

/// Of this thread. A plan is made on one, and what others take of the machine meanwhile is not its cost.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
