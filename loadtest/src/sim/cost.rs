//! What a claim costs its coordinator, by the number of nodes in the storm.
//!
//! Rooms of ten to five thousand members are filled as a storm fills them. Then claims of two kinds
//! are timed: of a newcomer, which leaves again afterwards, so that the room keeps its size, and of a
//! follower in mid-blob that lost its parent. Each is measured often; rounds are averaged, and the
//! median round counts, so that what else the machine does falls out.

use std::net::SocketAddr;

use onepull_mirror::{
    Digest,
    claim::{Claim, Coordinator, Intent, Progress, Stage, Verdict},
};
use serde::{Deserialize, Serialize};
use tokio::time::{Duration, Instant};

use super::{
    node::{NodeId, peer},
    page,
};
use crate::{
    machine::Machine,
    report::plot::{Line, lines},
};

/// The name and version of the format.
pub const SCHEMA: &str = "onepull.dev/loadtest-claim-cost/v1";

/// Numbers of nodes.
const SIZES: [u32; 9] = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
/// Rounds of each kind and size.
const ROUNDS: usize = 41;
/// Claims of a round.
const CLAIMS: usize = 100;
/// A blob longer than any chain.
const TOTAL: u64 = 1 << 40;
/// What a node has more than the one behind it.
const PIECE: u64 = 1 << 20;

/// The cost of claims.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClaimCost {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The command line that made it.
    pub command: String,
    /// When it was made, RFC 3339.
    pub started: String,
    /// Where it was measured.
    pub machine: Machine,
    /// By number of nodes.
    pub rows: Vec<CostRow>,
}

/// The cost of a claim among so many nodes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostRow {
    /// Members of the room.
    pub nodes: u32,
    /// A newcomer's claim.
    pub newcomer_micros: f64,
    /// The claim of a follower that lost its parent.
    pub switch_micros: f64,
    /// Members looked at for a newcomer.
    pub newcomer_looked_at: f64,
    /// Members looked at for one that lost its parent.
    pub switch_looked_at: f64,
}

/// A room in the middle of a storm.
struct Bench {
    coordinator: Coordinator,
    digest: Digest,
    nodes: NodeId,
    now: Instant,
}

/// Measures. `command` and `started` are for the report.
pub fn measure(command: String, started: String) -> ClaimCost {
    let rows = SIZES.iter().map(|nodes| CostRow::of(*nodes)).collect();
    ClaimCost { schema: SCHEMA.into(), command, started, machine: Machine::here(), rows }
}

/// The table and what one needs to read it.
pub fn render(cost: &ClaimCost) -> String {
    let mut text = String::from("nodes  newcomer us  looked at  lost its parent us  looked at\n");
    for row in &cost.rows {
        text.push_str(&format!(
            "{:>5}  {:>11.2}  {:>9.1}  {:>18.2}  {:>9.1}\n",
            row.nodes,
            row.newcomer_micros,
            row.newcomer_looked_at,
            row.switch_micros,
            row.switch_looked_at,
        ));
    }
    if let (Some(few), Some(many)) = (cost.rows.first(), cost.rows.last()) {
        text.push_str(&format!(
            "\n{} nodes / {} nodes: newcomer {:.2}x, lost its parent {:.2}x\n",
            many.nodes,
            few.nodes,
            many.newcomer_micros / few.newcomer_micros,
            many.switch_micros / few.switch_micros,
        ));
    }
    text
}

/// The page with the plot.
pub fn render_page(cost: &ClaimCost) -> String {
    let line = |label: &str, class: &str, figure: fn(&CostRow) -> f64| Line {
        label: label.into(),
        class: class.into(),
        points: cost.rows.iter().map(|row| (f64::from(row.nodes), figure(row))).collect(),
    };
    let curves = [
        line("a newcomer's claim", "onepull", |row| row.newcomer_micros),
        line("a claim after the parent was lost", "node", |row| row.switch_micros),
    ];
    let key = |line: &Line| format!("<span class=\"key {}\">{}</span>", line.class, line.label);
    let body = format!(
        "<section><h2>What a claim costs its coordinator</h2>{}{}</section>\n",
        curves.iter().map(key).collect::<String>(),
        lines("nodes", "microseconds", &curves),
    );
    page::frame("onepull: cost of a claim", &render(cost), &body, &cost.command, &cost.started)
}

// === impl CostRow ===

impl CostRow {
    fn of(nodes: u32) -> Self {
        let mut bench = Bench::storm(nodes as NodeId);
        let (newcomer_micros, newcomer_looked_at) = bench.measure(Bench::newcomer);
        let (switch_micros, switch_looked_at) = bench.measure(Bench::switch);
        Self { nodes, newcomer_micros, switch_micros, newcomer_looked_at, switch_looked_at }
    }
}

// === impl Bench ===

impl Bench {
    fn storm(nodes: NodeId) -> Self {
        let digest = Digest::sha256(b"the layer that everybody wants");
        let mut bench =
            Self { coordinator: Coordinator::default(), digest, nodes, now: Instant::now() };
        for node in 0..nodes {
            bench.coordinator.claim(&bench.claim(node, 0, Vec::new()), bench.now);
        }
        for node in 0..nodes {
            bench.say(node);
        }
        bench
    }

    /// Microseconds and members looked at, a claim.
    #[allow(clippy::cast_precision_loss, reason = "averages for people")]
    fn measure(&mut self, sample: fn(&mut Self, usize) -> Duration) -> (f64, f64) {
        let before = self.coordinator.counters().looked_at;
        let mut rounds: Vec<_> = (0..ROUNDS)
            .map(|round| {
                let claims = round * CLAIMS..(round + 1) * CLAIMS;
                claims.map(|number| sample(self, number)).sum::<Duration>()
            })
            .collect();
        rounds.sort_unstable();
        let looked_at = self.coordinator.counters().looked_at - before;
        let micros = rounds[ROUNDS / 2].as_secs_f64() * 1e6 / CLAIMS as f64;
        (micros, looked_at as f64 / (ROUNDS * CLAIMS) as f64)
    }

    fn newcomer(&mut self, _: usize) -> Duration {
        let claim = self.claim(self.nodes, 0, Vec::new());
        let took = self.time(&claim);
        let progress = self.progress(self.nodes, Stage::Gone);
        self.coordinator.progress(&progress, self.now);
        took
    }

    fn switch(&mut self, number: usize) -> Duration {
        // Steps of a prime, so that neighbours in time are not neighbours in the chain.
        let node = 1 + number * 7919 % (self.nodes - 1);
        let lost = self.parent(node);
        let claim = self.claim(node, self.have(node), lost.into_iter().collect());
        let took = self.time(&claim);
        // All is as before: the parent is heard, the node is back where it was.
        for node in [node.saturating_sub(1), node] {
            self.say(node);
        }
        took
    }

    fn time(&mut self, claim: &Claim) -> Duration {
        let start = Instant::now();
        let verdict = self.coordinator.claim(claim, self.now);
        let took = start.elapsed();
        debug_assert!(matches!(verdict, Verdict::Follow(_)), "{verdict:?}");
        took
    }

    fn claim(&self, node: NodeId, have: u64, lost: Vec<SocketAddr>) -> Claim {
        Claim {
            digest: self.digest,
            node: peer(node, 1),
            have,
            may_lead: true,
            patient: false,
            intent: Intent::Get,
            lost,
            total: Some(TOTAL),
        }
    }

    /// The chain: each has a piece less than the one before it.
    fn have(&self, node: NodeId) -> u64 {
        (self.nodes - node) as u64 * PIECE
    }

    fn parent(&self, node: NodeId) -> Option<SocketAddr> {
        Some(peer(node.checked_sub(1)?, 1).endpoint)
    }

    fn say(&mut self, node: NodeId) {
        let stage = self.parent(node).map_or(Stage::Leading, |parent| Stage::Following { parent });
        let progress = self.progress(node, stage);
        self.coordinator.progress(&progress, self.now);
    }

    fn progress(&self, node: NodeId, state: Stage) -> Progress {
        Progress {
            digest: self.digest,
            node: peer(node, 1),
            have: if node < self.nodes { self.have(node) } else { 0 },
            total: Some(TOTAL),
            state,
            may_lead: true,
            patient: false,
            free_slots: 1,
        }
    }
}
