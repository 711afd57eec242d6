//! Finds groups by what they are.

use std::collections::HashMap;

use super::{Board, Group, Stage};
use crate::planner::{Content, Digest, ImageRef, Platform, Resolved};

/// The groups of each platform, by their digest.
#[derive(Default)]
pub(super) struct Catalogue<'a>(HashMap<&'a Platform, HashMap<&'a Digest, usize>>);

// === impl Catalogue ===

impl Catalogue<'_> {
    pub(super) fn group(&self, digest: &Digest, platform: &Platform) -> Option<usize> {
        self.0.get(platform)?.get(digest).copied()
    }
}

// === impl Board ===

impl<'a> Board<'a> {
    /// The group of what a line stands for on a platform, if there is such an image.
    pub(super) fn group_for(
        &mut self,
        line: usize,
        resolved: &'a Resolved,
        platform: &'a Platform,
    ) -> Option<usize> {
        let mut known = self.lines[line].groups.iter().copied();
        if let Some(group) = known.find(|group| self.groups[*group].platform == platform) {
            return Some(group);
        }
        let content = resolved.platforms.get(platform)?;
        let groups = self.catalogue.0.entry(platform).or_default();
        let group = *groups.entry(&resolved.digest).or_insert_with(|| {
            let name = self.lines[line].name;
            self.groups.push(Group::new(&resolved.digest, platform, name, content));
            self.groups.len() - 1
        });
        self.lines[line].groups.push(group);
        Some(group)
    }
}

// === impl Group ===

impl<'a> Group<'a> {
    fn new(
        digest: &'a Digest,
        platform: &'a Platform,
        name: &'a ImageRef,
        content: &'a Content,
    ) -> Self {
        Self {
            digest,
            platform,
            name,
            content,
            wanted: None,
            items: Vec::new(),
            free: 0,
            held: false,
            warm: 0,
            served: None,
            hungry: Vec::new(),
            upstream: Vec::new(),
            seed: None,
            stage: Stage::Missing,
            reachable: None,
            next_seed: None,
        }
    }
}
