//! What to write into the status, and when. Pure.
//!
//! A rollout of one image is written when the image is accepted, when it is started, at each quarter of
//! its bytes, when it first fails, and when it is warm: at most [`BUDGET`] times, whatever its progress
//! looks like. What goes on failing after that is written now and then, and so is free space. Each
//! write says all there is, so what happens to several images within a second costs one.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use onepull_api::{Disk, HeldImage, NodeImageCacheStatus, NodeImageState, Preflight};
use tokio::time::{Duration, Instant};

mod account;
mod assemble;
mod stage;
#[cfg(test)]
mod tests;

use super::preflight::says_the_same;
use account::Account;
pub(super) use assemble::{Counted, assemble};
use stage::Stage;

/// Writes for one image in one rollout.
pub(super) const BUDGET: u32 = 8;

/// Between two writes. A person who watches sees no difference, and a node that starts with 20 images
/// writes once.
const APART: Duration = Duration::from_secs(1);

/// Between two looks at what is on its way: a quarter of a large image takes longer.
const LOOK: Duration = Duration::from_secs(1);

/// Between two writes that only tell of another trouble of the agent as a whole.
const COMPLAIN: Duration = Duration::from_secs(60);

/// Parts of a disk: free space that differs by one of them from what was written is told. A plan on which
/// images fit needs it no finer, and what pods write to and fro stays below.
const PARTS: u64 = 16;

/// Between two writes that only tell of free space, and between two looks of a node with nothing else to tell:
/// who frees space for an image waits this long. If the disks of 5,000 nodes were all restless, these would
/// be 17 writes a second.
const SPACE: Duration = Duration::from_secs(300);

/// What the API server has of this node, as far as the agent knows, and what each image has cost.
#[derive(Debug, Default)]
pub(super) struct Report {
    written: Option<NodeImageCacheStatus>,
    at: Option<Instant>,
    accounts: HashMap<Rollout, Account>,
}

/// One image in one rollout.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Rollout {
    name: String,
    digest: String,
    generation: i64,
    is_removal: bool,
}

/// The same moment by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Instant,
    pub(super) wall: Timestamp,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Verdict {
    /// To be written now.
    pub(super) write: Option<NodeImageCacheStatus>,
    /// When to ask again, if nothing happens before.
    pub(super) look: Option<Instant>,
}

// === impl Report ===

impl Report {
    /// The API server has this.
    pub(super) fn found(written: Option<NodeImageCacheStatus>) -> Self {
        let images = written.iter().flat_map(|written| &written.images);
        let accounts = images.map(|image| (Rollout::of(image), Account::found(image))).collect();
        Self { written, at: None, accounts }
    }

    /// Whether `current`, whose images say since when they are in their state, is to be written, or when
    /// to ask again.
    pub(super) fn decide(&self, current: &NodeImageCacheStatus, at: Moment) -> Verdict {
        let free = self.at.map_or(at.now, |last| last + APART);
        match self.due(current, at).map(|due| due.max(free)) {
            Some(due) if due <= at.now => {
                Verdict { write: Some(self.dated(current, at.wall)), look: None }
            }
            due => Verdict { write: None, look: earliest([due, next_look(current, at.now)]) },
        }
    }

    /// What the node's preflight found, as it was written last.
    pub(super) fn preflight(&self) -> Option<Preflight> {
        self.written.as_ref()?.preflight.clone()
    }

    /// `status` has been written. Rollouts that are not in it are over.
    pub(super) fn wrote(&mut self, status: NodeImageCacheStatus, now: Instant) {
        let (mut accounts, before) = (HashMap::new(), self.before());
        for image in &status.images {
            let rollout = Rollout::of(image);
            let mut account = self.accounts.get(&rollout).copied().unwrap_or_default();
            if account.says_more(before.get(&rollout).copied(), image) {
                account.pay(image, now);
            }
            accounts.insert(rollout, account);
        }
        drop(before);
        *self = Self { written: Some(status), at: Some(now), accounts };
    }

    /// When the earliest of what is not written yet has to be.
    fn due(&self, current: &NodeImageCacheStatus, at: Moment) -> Option<Instant> {
        let now = at.now;
        let Some(written) = &self.written else { return Some(now) };
        let is_new = written.observed_generation != current.observed_generation
            || written.agent_version != current.agent_version
            || written.images.len() != current.images.len()
            || written.logins != current.logins
            || written.answers != current.answers
            || !says_the_same(written.preflight.as_ref(), current.preflight.as_ref())
            // Until the controller knows the disk it keeps to no budget there.
            || (written.disk.is_none() && current.disk.is_some());
        if is_new {
            return Some(now);
        }
        let complaint = (written.problem != current.problem)
            .then(|| self.at.map_or(now, |last| last + COMPLAIN));
        let before = self.before();
        let images = current.images.iter().map(|image| {
            let rollout = Rollout::of(image);
            let account = self.accounts.get(&rollout).copied().unwrap_or_default();
            account.due(before.get(&rollout).copied(), image, at)
        });
        let space = differs(written.disk.as_ref(), current.disk.as_ref())
            .then(|| self.at.map_or(now, |last| last + SPACE));
        earliest(images.chain([complaint, space]))
    }

    /// What was written of each rollout; of two that are one, the first.
    fn before(&self) -> HashMap<Rollout, &HeldImage> {
        let images = self.written.iter().flat_map(|written| &written.images);
        images.rev().map(|image| (Rollout::of(image), image)).collect()
    }

    /// With the time since when each image is where it is.
    fn dated(&self, current: &NodeImageCacheStatus, wall: Timestamp) -> NodeImageCacheStatus {
        let (mut status, images) = (current.clone(), self.before());
        for image in &mut status.images {
            let before = images.get(&Rollout::of(image)).copied();
            let (was, is) = (before.map(Stage::of), Stage::of(image));
            image.since = match (before, was) {
                (Some(before), Some(was)) if was == is => before.since.clone(),
                // It told of progress.
                (_, Some(was)) if was.state == is.state => None,
                _ => image.since.take(),
            };
            image.since.get_or_insert(Time(wall));
        }
        status
    }
}

// === impl Rollout ===

impl Rollout {
    fn of(image: &HeldImage) -> Self {
        let HeldImage { name, digest, generation, state, .. } = image;
        let is_removal = matches!(state, NodeImageState::Removing | NodeImageState::Removed);
        Self { name: name.clone(), digest: digest.clone(), generation: *generation, is_removal }
    }
}

/// Progress is not told, nor is space; somebody has to look.
fn next_look(current: &NodeImageCacheStatus, now: Instant) -> Option<Instant> {
    let is_moving = current.images.iter().any(|image| image.state == NodeImageState::Warming);
    let space = current.disk.is_some().then(|| now + SPACE);
    earliest([is_moving.then(|| now + LOOK), space])
}

/// Whether free space is another by a part of the disk than was written. As it is compared with that and not
/// with fixed steps, it has to come back as far before it is told again.
fn differs(written: Option<&Disk>, current: Option<&Disk>) -> bool {
    let (Some(was), Some(is)) = (written, current) else { return false };
    was.available_bytes.abs_diff(is.available_bytes) >= (is.capacity_bytes / PARTS).max(1)
}

fn earliest(instants: impl IntoIterator<Item = Option<Instant>>) -> Option<Instant> {
    instants.into_iter().flatten().min()
}
