//! One storm with one fault: from its start until the fault is lifted and every pull has ended.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::future::try_join_all;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    Fault, FaultRun, Pull, Verdict, Victim,
    attempts::{self, Stage},
    bystander::Bystander,
    eye::{Eye, Strike},
};
use crate::{
    fleet::{
        Fleet, FleetError,
        containerd::{ContainerdConfig, ContainerdFleet},
    },
    image::Image,
    report::seconds,
};

/// A storm in which nobody is done after this, and four times the undisturbed one, hangs. The
/// longest single wait by design is 15 s, and some may follow each other.
const HANGS: Duration = Duration::from_secs(60);

/// What all storms of a load test share.
#[derive(Clone, Debug)]
pub struct Storms<'a> {
    /// What fleets are made of; the parts that a fault needs are set for each.
    pub fleet: ContainerdConfig,
    /// What is pulled.
    pub image: Arc<Image>,
    /// Where stores and logs go.
    pub scratch: &'a Path,
    /// Where the agents' logs of a storm go that was not within the limits.
    pub logs: PathBuf,
    /// The last node's time in the undisturbed storms.
    pub calm_seconds: Option<f64>,
}

/// A storm under way.
struct Storm<'a> {
    fault: Fault,
    fleet: Arc<ContainerdFleet>,
    image: &'a Image,
    start: Instant,
    stage: watch::Sender<Stage>,
    pulls: JoinSet<(usize, Pull)>,
    done: BTreeMap<usize, Pull>,
}

// === impl Storms ===

impl Storms<'_> {
    /// Makes a fleet, lets it storm and the fault strike, and judges.
    ///
    /// # Errors
    /// When there was no such storm: a part of the fleet did not start, or the storm was over before
    /// the fault could strike. Failed pulls are part of the result.
    ///
    /// # Cancel safety
    /// A cancelled run stops its nodes and removes their stores.
    pub async fn run(&self, fault: Fault) -> Result<FaultRun, FleetError> {
        let fleet = Arc::new(self.fleet(fault).await?);
        let nodes = self.fleet.nodes as usize;
        warm_up(&fleet, fault).await?;
        fleet.count_registry_bytes(&(0..nodes).collect::<Vec<_>>())?;
        let bystander = match fault {
            Fault::FrozenLead => Some(Bystander::prepare(&fleet, self.scratch).await?),
            _ => None,
        };
        // What the holders of a bad byte fetched belongs to the one copy that the image is allowed.
        let before = if fault.holders() > 0 { 0 } else { fleet.meter().egress };
        let mut storm = Storm::start(fault, Arc::clone(&fleet), &self.image, nodes);
        let strike = storm.ride_out(bystander, self.limit()).await?;
        let egress_bytes = fleet.meter().egress - before;
        let lacking = fleet.finish().await?.lacking;
        let pulls = storm.into_pulls(&strike, &lacking);
        let run = self.report(fault, &fleet, strike, egress_bytes, pulls);
        if !run.verdict.is_ok() {
            fleet.save_logs(&self.logs.join(fault.as_str()));
        }
        Ok(run)
    }

    async fn fleet(&self, fault: Fault) -> Result<ContainerdFleet, FleetError> {
        let mut config = self.fleet.clone();
        let last = self.fleet.nodes.saturating_sub(1) as usize;
        config.small_disk = (fault == Fault::FullDisk).then_some(last);
        ContainerdFleet::start(&config, Arc::clone(&self.image), self.scratch).await
    }

    /// How long pulls may take before they count as hung.
    fn limit(&self) -> Duration {
        HANGS + Duration::from_secs_f64(self.calm_seconds.unwrap_or_default()) * 4
    }

    #[allow(clippy::cast_precision_loss, reason = "a ratio for people")]
    fn report(
        &self,
        fault: Fault,
        fleet: &ContainerdFleet,
        strike: Strike,
        egress_bytes: u64,
        pulls: Vec<Pull>,
    ) -> FaultRun {
        let unhurt = pulls.iter().filter(|pull| !pull.hurt);
        let last = unhurt.map(|pull| pull.last_seconds).fold(0.0, f64::max);
        let names = fleet.names();
        let mut run = FaultRun {
            fault,
            victim: (fault.victim() != Victim::Nobody).then(|| names[strike.victim].clone()),
            struck_seconds: seconds(strike.at),
            unfinished_share: strike.unfinished_share,
            egress_bytes,
            egress_images: egress_bytes as f64 / self.image.bytes() as f64,
            last_unhurt_seconds: last,
            last_ratio: self.calm_seconds.map(|calm| last / calm),
            pulls,
            small: strike.small,
            verdict: Verdict::default(),
        };
        run.verdict = Verdict::of(&run);
        run
    }
}

/// The holders pull and can be found; then one of them gets a wrong byte.
async fn warm_up(fleet: &ContainerdFleet, fault: Fault) -> Result<(), FleetError> {
    let holders = || 0..fault.holders();
    try_join_all(holders().map(|node| fleet.pull(node))).await?;
    try_join_all(holders().map(|node| fleet.findable(node))).await?;
    match fault {
        Fault::CorruptByte => fleet.corrupt(0),
        _ => Ok(()),
    }
}

// === impl Storm ===

impl<'a> Storm<'a> {
    fn start(fault: Fault, fleet: Arc<ContainerdFleet>, image: &'a Image, nodes: usize) -> Self {
        let stage = watch::Sender::new(Stage::Calm);
        let mut pulls = JoinSet::new();
        for node in fault.holders()..nodes {
            let (fleet, stage) = (Arc::clone(&fleet), stage.subscribe());
            pulls.spawn(async move { (node, attempts::pull(fleet, node, stage).await) });
        }
        let (start, done) = (Instant::now(), BTreeMap::new());
        Self { fault, fleet, image, start, stage, pulls, done }
    }

    /// To the end of every pull, or of its time.
    async fn ride_out(
        &mut self,
        bystander: Option<Bystander>,
        limit: Duration,
    ) -> Result<Strike, FleetError> {
        let (fleet, stage) = (Arc::clone(&self.fleet), self.stage.clone());
        let (fault, image) = (self.fault, self.image);
        let eye = Eye { fault, fleet: &fleet, image, stage: &stage, limit };
        let (start, seen) = (self.start, self.stage.subscribe());
        let others = timeout(limit, self.collect(seen));
        let (strike, others) = tokio::join!(eye.strike(start, bystander), others);
        let strike = strike?;
        if others.is_err() {
            tracing::warn!("{}: unhurt nodes hang; the fault is lifted all the same", self.fault);
        }
        self.fleet.heal(self.fault, strike.victim).await?;
        self.stage.send_replace(Stage::Lifted);
        let seen = self.stage.subscribe();
        // Those that have not ended by then are reported as such.
        let _ = timeout(limit, self.collect(seen)).await;
        Ok(strike)
    }

    /// Collects pulls until all have ended but that of the node which is struck.
    async fn collect(&mut self, mut stage: watch::Receiver<Stage>) {
        loop {
            let struck = match *stage.borrow_and_update() {
                Stage::Struck(Some(node)) => usize::from(!self.done.contains_key(&node)),
                Stage::Struck(None) | Stage::Calm | Stage::Lifted => 0,
            };
            if self.pulls.len() <= struck {
                return;
            }
            tokio::select! {
                Some(joined) = self.pulls.join_next() => {
                    // A pull that panicked is missing, and so reported as unfinished.
                    if let Ok((node, pull)) = joined {
                        tracing::info!("{}: {pull}", self.fault);
                        self.done.insert(node, pull);
                    }
                }
                _ = stage.changed() => {}
            }
        }
    }

    /// All pulls, with what the audit of the nodes' stores found.
    fn into_pulls(mut self, strike: &Strike, lacking: &[Option<String>]) -> Vec<Pull> {
        let (names, after) = (self.fleet.names(), self.start.elapsed());
        let pulls = (self.fault.holders()..lacking.len()).map(|node| {
            let unfinished = || Pull::unfinished(names[node].clone(), after);
            let mut pull = self.done.remove(&node).unwrap_or_else(unfinished);
            pull.hurt = self.fault.victim() != Victim::Nobody && node == strike.victim;
            pull.audit(lacking[node].as_deref());
            pull
        });
        pulls.collect()
    }
}
