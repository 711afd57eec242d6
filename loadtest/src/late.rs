//! Nodes that come late: what they still take from the registry, and how long they need.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::ValueEnum;
use futures::future::{join_all, try_join_all};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    fleet::{
        Fleet, FleetError,
        containerd::{ContainerdConfig, ContainerdFleet},
    },
    image::Image,
    report::seconds,
};

pub mod html;
mod outcome;
pub mod table;

use outcome::judge;
#[cfg(test)]
pub(crate) use outcome::testing;
pub use outcome::{Joiner, LateRun};

/// How often the early nodes' disks are looked at.
const POLL: Duration = Duration::from_millis(25);
/// Nobody has half an image after this only when the pulls failed.
const HALF_LIMIT: Duration = Duration::from_secs(30 * 60);

/// Who comes late, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum Late {
    /// One node, when one of the others has half the image.
    #[value(name = "50%")]
    #[serde(rename = "50%")]
    Half,
    /// One node, when all others are done.
    #[value(name = "done")]
    #[serde(rename = "done")]
    Done,
    /// As many nodes again, all at once, when the others are done and can be found.
    #[value(name = "fleet")]
    #[serde(rename = "fleet")]
    Fleet,
}

/// What all such storms of a load test share.
#[derive(Clone, Debug)]
pub struct Joins<'a> {
    /// What fleets are made of, without the late nodes.
    pub fleet: ContainerdConfig,
    /// What is pulled.
    pub image: Arc<Image>,
    /// Where stores and logs go.
    pub scratch: &'a Path,
    /// Where the agents' logs of a storm go that was not within the limits.
    pub logs: PathBuf,
    /// The last node's time in the arm `ideal`.
    pub ideal_seconds: Option<f64>,
}

// === impl Late ===

impl Late {
    /// Its name on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Half => "50%",
            Self::Done => "done",
            Self::Fleet => "fleet",
        }
    }

    /// How many come late to `early` nodes.
    pub fn joiners(self, early: u32) -> u32 {
        match self {
            Self::Half | Self::Done => 1,
            Self::Fleet => early,
        }
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl Joins ===

impl Joins<'_> {
    /// Makes a fleet, lets it storm and the late nodes join.
    ///
    /// # Errors
    /// When a part of the fleet does not start. A failed pull is part of the result.
    ///
    /// # Cancel safety
    /// A cancelled run stops its nodes and removes their stores.
    pub async fn run(&self, late: Late) -> Result<LateRun, FleetError> {
        let mut config = self.fleet.clone();
        config.late = late.joiners(config.nodes);
        let fleet = ContainerdFleet::start(&config, Arc::clone(&self.image), self.scratch).await?;
        let early: Vec<_> = (0..config.nodes as usize).collect();
        let coming: Vec<_> = (early.len()..fleet.names().len()).collect();
        let arrive = self.arrive(&fleet, late, &early, &coming);
        let (storm, arrived) = match late {
            Late::Half => {
                let (storm, arrived) = tokio::join!(storm(&fleet, &early), arrive);
                (storm, arrived?)
            }
            Late::Done | Late::Fleet => (storm(&fleet, &early).await, arrive.await?),
        };
        let lacking = fleet.finish().await?.lacking;
        let (early_share, mut joiners) = arrived;
        for (joiner, node) in joiners.iter_mut().zip(coming) {
            let lacks =
                lacking[node].as_ref().map(|lacking| format!("it reported success, but {lacking}"));
            joiner.error = joiner.error.take().or(lacks);
        }
        let run = self.report(late, early_share, joiners, storm);
        if !run.verdict.is_ok() {
            fleet.save_logs(&self.logs.join(format!("late-{late}")));
        }
        Ok(run)
    }

    /// Waits for the moment, starts the agents of the late nodes, and lets them pull at once.
    async fn arrive(
        &self,
        fleet: &ContainerdFleet,
        late: Late,
        early: &[usize],
        coming: &[usize],
    ) -> Result<(f64, Vec<Joiner>), FleetError> {
        match late {
            Late::Half => self.half_there(fleet, early).await?,
            Late::Done => {}
            Late::Fleet => {
                try_join_all(early.iter().map(|node| fleet.findable(*node))).await?;
            }
        }
        fleet.join(coming).await?;
        fleet.count_registry_bytes(coming)?;
        let early_share = self.share(fleet, early);
        let joined = join_all(coming.iter().map(|node| join(fleet, *node))).await;
        let joiners = joined.into_iter().collect::<Result<_, _>>()?;
        Ok((early_share, joiners))
    }

    async fn half_there(&self, fleet: &ContainerdFleet, early: &[usize]) -> Result<(), FleetError> {
        let wait = async {
            while self.share(fleet, early) < 0.5 {
                sleep(POLL).await;
            }
        };
        timeout(HALF_LIMIT, wait).await.map_err(|_| FleetError::Late {
            what: "nobody got half of the image".into(),
            seconds: HALF_LIMIT.as_secs(),
        })
    }

    #[allow(clippy::cast_precision_loss, reason = "a ratio for people")]
    fn share(&self, fleet: &ContainerdFleet, early: &[usize]) -> f64 {
        let held = early.iter().map(|node| fleet.held(*node)).max().unwrap_or_default();
        (held as f64 / self.image.bytes() as f64).min(1.0)
    }

    fn report(
        &self,
        late: Late,
        early_share: f64,
        joiners: Vec<Joiner>,
        lost: Vec<String>,
    ) -> LateRun {
        let last_seconds = joiners.iter().map(|joiner| joiner.seconds).fold(0.0, f64::max);
        let ideal_ratio = self.ideal_seconds.map(|ideal| last_seconds / ideal);
        let mut verdict = judge(&joiners, ideal_ratio);
        verdict.lost.extend(lost);
        LateRun { late, early_share, joiners, last_seconds, ideal_ratio, verdict }
    }
}

/// The pulls of the early nodes; what failed.
async fn storm(fleet: &ContainerdFleet, early: &[usize]) -> Vec<String> {
    let pulls = join_all(early.iter().map(|node| fleet.pull(*node))).await;
    pulls.into_iter().filter_map(|pull| Some(pull.err()?.chain())).collect()
}

async fn join(fleet: &ContainerdFleet, node: usize) -> Result<Joiner, FleetError> {
    let start = Instant::now();
    let pulled = fleet.pull(node).await;
    Ok(Joiner {
        node: fleet.names().swap_remove(node),
        seconds: seconds(start.elapsed()),
        registry_bytes: fleet.registry_bytes()?[node],
        error: pulled.err().map(|error| error.chain()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_the_flag_is_its_name_in_reports() {
        for late in Late::value_variants() {
            assert_eq!(late.to_possible_value().unwrap().get_name(), late.as_str());
            assert_eq!(serde_json::to_string(late).unwrap(), format!("{:?}", late.as_str()));
        }
    }
}
