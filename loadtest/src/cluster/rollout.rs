//! The rollout itself: the file is applied, and watched until it is Ready.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    api::Seen,
    display::Display,
    fault::{Story, Struck},
    multiple,
    stage::Stage,
    view::View,
};
use crate::{fleet::FleetError, report::seconds};

/// Between two looks: agents write at each quarter of an image, the controller twice a second.
const LOOK: Duration = Duration::from_millis(250);

/// What was seen.
pub(super) struct Rollout {
    /// When Ready was true, after `kubectl apply`; with a fault, when it was with everything back.
    pub(super) ready: Option<f64>,
    /// When each node held all that it was to hold.
    pub(super) warm: Vec<Option<f64>>,
    /// The last look.
    pub(super) last: Seen,
    /// What went wrong on purpose.
    pub(super) struck: Option<Struck>,
}

// === impl Stage ===

impl Stage {
    /// Applies the file and watches until Ready is true, as `kubectl wait` does, or the time is up.
    /// `sent` is what the registry had sent before.
    pub(super) async fn roll_out(&mut self, sent: u64) -> Result<Rollout, FleetError> {
        let objects = self.objects().await?;
        let names = self.nodes.iter().map(|node| node.name.clone());
        let mut display = Display::new(self.file.name(), names);
        let mut story = self.config.fault.map(Story::new);
        let mut rollout = Rollout::new(self.nodes.len());
        let path = self.control.write("imagecache", &self.file.text)?;
        let start = Instant::now();
        self.control.kubectl(&["apply", "-f", &path.to_string_lossy()]).await?;
        while rollout.ready.is_none() && start.elapsed() < self.config.timeout {
            let now = seconds(start.elapsed());
            match objects.look().await {
                Ok(seen) => rollout.note(self, seen, now),
                Err(error) => tracing::warn!("{}", error.chain()),
            }
            display.update(&rollout.last);
            if let Some(story) = &mut story {
                let sent = multiple(self.traffic()?.0 - sent, self.unique_bytes());
                story.goes_on(self, &objects, &rollout.last, sent, now).await?;
            }
            let is_calm =
                story.as_ref().is_none_or(|it| it.is_over() && self.all_are_warm(&rollout));
            if is_calm && rollout.last.is_ready() {
                rollout.ready = Some(now);
            }
            sleep(LOOK).await;
        }
        rollout.struck = story.and_then(|story| story.struck);
        if rollout.ready.is_some() {
            self.wait_as_people_do().await?;
        }
        Ok(rollout)
    }

    /// Ready does not wait for a node that is away; this does.
    fn all_are_warm(&self, rollout: &Rollout) -> bool {
        (0..self.nodes.len()).all(|node| self.is_warm(&rollout.last, node))
    }

    fn is_warm(&self, seen: &Seen, node: usize) -> bool {
        let view = seen.nodes.get(&self.nodes[node].name).map(View::of).unwrap_or_default();
        view.is_warm(self.wanted(node).len())
    }

    /// It is Ready already: that kubectl sees it too.
    async fn wait_as_people_do(&self) -> Result<(), FleetError> {
        let (namespace, cache) =
            (format!("--namespace={}", self.file.namespace()), self.file.name());
        let wait = ["wait", "--for=condition=Ready", "--timeout=30s", &namespace];
        let cache = format!("imagecache/{cache}");
        self.control.kubectl(&[&wait[..], &[&cache]].concat()).await.map(|_| ())
    }
}

// === impl Rollout ===

impl Rollout {
    fn new(nodes: usize) -> Self {
        Self { ready: None, warm: vec![None; nodes], last: Seen::default(), struck: None }
    }

    fn note(&mut self, stage: &Stage, seen: Seen, now: f64) {
        for index in 0..stage.nodes.len() {
            if !stage.wanted(index).is_empty() && stage.is_warm(&seen, index) {
                self.warm[index].get_or_insert(now);
            }
        }
        self.last = seen;
    }
}
