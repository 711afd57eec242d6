//! Any messages in any order, to one coordinator: most of them no honest node would send.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use onepull_mirror::claim::{
    Advice, Claim, Intent, Parent, Progress, Stage, Verdict,
    timing::{DOUBT, LAPSE, PATIENCE, RECONSIDER, SLOW_START},
};
use proptest::{collection::vec, prelude::*};
use tokio::time::Instant;

use crate::support::{Room, at, blob, get, node, number, says};

/// Nodes that say anything; number `NODES` itself is one that only asks.
const NODES: u16 = 9;

#[derive(Clone, Debug)]
enum Event {
    Claim { id: u16, have: u64, may_lead: bool, look: bool, lost: Vec<u16> },
    Says { id: u16, have: u64, stage: Saying, free_slots: u32, may_lead: bool },
    Wait { millis: u64 },
}

#[derive(Clone, Copy, Debug)]
enum Saying {
    Leading,
    Following(u16),
    Complete,
    Gone,
}

/// What a test remembers of a node.
#[derive(Clone, Copy, Debug)]
struct Known {
    heard: Instant,
    /// Set while it has done nothing since but lead: since when.
    leads: Option<Instant>,
    grew: Option<Instant>,
    peak: u64,
    /// What it said last that it has.
    have: u64,
    /// Set while it was told "not yet" and has asked again ever since.
    waiting: Option<Instant>,
    /// The same, but it may have been silent for so long that it was forgotten, or have spoken of a parent.
    perhaps: Option<Instant>,
    /// Children it may have.
    allowed: usize,
}

struct History {
    room: Room,
    known: BTreeMap<u16, Known>,
    /// Told to leave their parents, and have not claimed since.
    moving: BTreeSet<u16>,
}

fn zone(id: u16) -> Option<&'static str> {
    [Some("a"), Some("b"), None][usize::from(id % 3)]
}

// === impl History ===

impl History {
    fn new() -> Self {
        Self { room: Room::new(), known: BTreeMap::new(), moving: BTreeSet::new() }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Wait { millis } => self.room.wait(*millis),
            Event::Claim { id, have, may_lead, look, lost } => {
                let intent = if *look { Intent::Look } else { Intent::Get };
                let claim = Claim {
                    node: node(*id, zone(*id)),
                    have: *have,
                    may_lead: *may_lead,
                    intent,
                    lost: lost.iter().copied().map(at).collect(),
                    ..get(*id)
                };
                let _ = self.claim(*id, &claim);
            }
            Event::Says { id, have, stage, free_slots, may_lead } => {
                let state = match stage {
                    Saying::Leading => Stage::Leading,
                    Saying::Following(parent) => Stage::Following { parent: at(*parent) },
                    Saying::Complete => Stage::Complete,
                    Saying::Gone => Stage::Gone,
                };
                let (free_slots, may_lead) = (*free_slots, *may_lead);
                let node = node(*id, zone(*id));
                let progress = Progress { node, free_slots, may_lead, ..says(*id, *have, state) };
                self.says(*id, &progress);
            }
        }
        self.check_edges();
    }

    fn claim(&mut self, id: u16, claim: &Claim) -> Verdict {
        let before = self.room.coordinator.counters();
        let kin = self.ancestors(id);
        let verdict = self.room.claim(claim);
        let after = self.room.coordinator.counters();
        let impatient = after.impatient > before.impatient;
        if claim.intent == Intent::Look {
            assert_ne!(verdict, Verdict::Lead);
            assert_eq!(after.leads, before.leads);
        }
        let waited = self.waited(id);
        if let Verdict::Follow(parents) = &verdict {
            // Who was told to leave a parent may stay when the better one has just gone.
            let moves = self.moving.contains(&id);
            let tried_all = self.may_have_waited(id) || moves;
            self.check_parents(claim, parents, &kin, tried_all);
        }
        if claim.intent == Intent::Look {
            return verdict;
        }
        self.moving.remove(&id);
        if verdict == Verdict::Lead {
            assert!(claim.may_lead, "a node that may not lead was told to");
            if after.leads > before.leads && !impatient {
                self.check_lead(id);
            }
        }
        assert!(
            !(verdict == Verdict::NotYet && waited && claim.may_lead),
            "node {id} waited too long"
        );
        self.note_claim(id, claim, &verdict, after.leads > before.leads);
        verdict
    }

    fn says(&mut self, id: u16, progress: &Progress) {
        let leads = self.room.coordinator.counters().leads;
        let advice = self.room.coordinator.progress(progress, self.room.now);
        let granted = self.room.coordinator.counters().leads > leads;
        if advice == Advice::Move {
            assert!(matches!(progress.state, Stage::Following { .. }));
            let parent = self.room.coordinator.parent_of(&blob(), &at(id));
            let mut others = self.known.iter().filter(|(other, _)| **other != id);
            let somebody_has_some = others.any(|(_, known)| known.have > 0);
            let in_vain = parent.is_none() || somebody_has_some;
            assert!(progress.have > 0 || in_vain, "it may be next in a queue");
            self.moving.insert(id);
        }
        if granted {
            assert!(advice == Advice::Lead && progress.may_lead);
            self.check_lead(id);
        }
        if progress.state == Stage::Gone {
            self.known.remove(&id);
            return;
        }
        let now = self.room.now;
        let children = self.children(id);
        let known = self.known(id);
        known.heard = now;
        known.have = progress.have;
        known.allowed = children + progress.free_slots as usize;
        known.waiting = None;
        // Of a parent that it has lost this says nothing new.
        if !matches!(progress.state, Stage::Following { .. }) {
            known.perhaps = None;
        }
        match progress.state {
            Stage::Leading if known.leads.is_some() => {
                if progress.have > known.peak {
                    known.peak = progress.have;
                    known.grew = Some(now);
                }
            }
            _ => known.leads = None,
        }
        if granted {
            self.note_lead(id, progress.have);
        }
        self.allow_reported_edge(progress);
    }

    /// A child that says whom it follows may fill a parent beyond its slots.
    fn allow_reported_edge(&mut self, progress: &Progress) {
        if let Stage::Following { parent } = progress.state {
            let children = self.children(number(parent));
            if let Some(known) = self.known.get_mut(&number(parent)) {
                known.allowed = known.allowed.max(children);
            }
        }
    }

    fn known(&mut self, id: u16) -> &mut Known {
        let now = self.room.now;
        let fresh = Known {
            heard: now,
            leads: None,
            grew: None,
            peak: 0,
            have: 0,
            waiting: None,
            perhaps: None,
            allowed: 2,
        };
        self.known.entry(id).or_insert(fresh)
    }

    /// One that was silent for so long may have been forgotten.
    fn may_be_forgotten(&self, id: u16) -> bool {
        self.known.get(&id).is_none_or(|known| self.room.now >= known.heard + DOUBT)
    }

    fn waited(&self, id: u16) -> bool {
        let waiting = self.known.get(&id).and_then(|known| known.waiting);
        !self.may_be_forgotten(id) && waiting.is_some_and(|since| self.room.now >= since + PATIENCE)
    }

    /// Whether it may have waited for so long that parents which it has lost are tried again. It may have
    /// been remembered all the time.
    fn may_have_waited(&self, id: u16) -> bool {
        let perhaps = self.known.get(&id).and_then(|known| known.perhaps);
        perhaps.is_some_and(|since| self.room.now >= since + RECONSIDER)
    }

    fn note_claim(&mut self, id: u16, claim: &Claim, verdict: &Verdict, granted: bool) {
        let forgotten = self.may_be_forgotten(id);
        let now = self.room.now;
        let known = self.known(id);
        if forgotten {
            known.waiting = None;
            known.allowed = known.allowed.max(2);
        }
        known.heard = now;
        known.have = claim.have;
        match verdict {
            Verdict::NotYet => {
                known.waiting.get_or_insert(now);
                known.perhaps.get_or_insert(now);
            }
            _ => (known.waiting, known.perhaps) = (None, None),
        }
        if granted {
            self.note_lead(id, claim.have);
        } else if *verdict != Verdict::Lead || claim.have < known.peak {
            known.leads = None;
        } else if claim.have > known.peak {
            known.peak = claim.have;
            known.grew = Some(now);
        }
    }

    fn note_lead(&mut self, id: u16, have: u64) {
        let now = self.room.now;
        let known = self.known(id);
        (known.leads, known.grew, known.peak) = (Some(now), None, have);
    }

    /// A lead is named only while no other grows, nor was named in the last five seconds.
    fn check_lead(&self, id: u16) {
        let now = self.room.now;
        let others = self.known.iter().filter(|(other, _)| **other != id);
        for (other, known) in others.filter(|(_, known)| now < known.heard + DOUBT) {
            let Some(since) = known.leads else { continue };
            let grows = known.grew.is_some_and(|grew| now < grew + LAPSE);
            let is_new = known.grew.is_none() && now < since + SLOW_START;
            let slow = self.known.values().any(|slow| {
                slow.grew.is_none() && slow.leads.is_some_and(|since| now >= since + SLOW_START)
            });
            assert!(!grows, "{id} leads beside {other}, which grows");
            assert!(!is_new || slow, "{id} leads beside {other}, which was named just now");
        }
    }

    fn check_parents(&self, claim: &Claim, parents: &[Parent], kin: &[SocketAddr], tried: bool) {
        assert!((1..=4).contains(&parents.len()));
        let own = self.room.coordinator.parent_of(&blob(), &claim.node.endpoint);
        for parent in parents {
            let endpoint = parent.peer.endpoint;
            assert_ne!(endpoint, claim.node.endpoint, "a node is its own parent");
            assert!(tried || !claim.lost.contains(&endpoint), "a lost parent came back");
            let ahead = claim.have == 0 || parent.complete || parent.have > claim.have;
            let known = kin.contains(&endpoint) || own == Some(endpoint);
            assert!(ahead || known, "{endpoint} is not ahead");
        }
    }

    fn ancestors(&self, id: u16) -> Vec<SocketAddr> {
        let parent = |node: &SocketAddr| self.room.coordinator.parent_of(&blob(), node);
        std::iter::successors(parent(&at(id)), parent).collect()
    }

    fn children(&self, id: u16) -> usize {
        let parent = |other: u16| self.room.coordinator.parent_of(&blob(), &at(other));
        (0..=NODES).filter(|other| parent(*other) == Some(at(id))).count()
    }

    /// No rings, and nobody has more children than it takes.
    fn check_edges(&mut self) {
        for id in 0..=NODES {
            let parent = |node: &SocketAddr| self.room.coordinator.parent_of(&blob(), node);
            let line = std::iter::successors(Some(at(id)), parent).take(usize::from(NODES) + 2);
            assert!(line.count() <= usize::from(NODES) + 1, "{id} is in a ring");
            let children = self.children(id);
            let forgotten = self.may_be_forgotten(id);
            let known = self.known(id);
            if forgotten {
                known.allowed = known.allowed.max(2);
            }
            assert!(children <= known.allowed, "{id} has {children} children");
        }
    }
}

fn events() -> impl Strategy<Value = Event> {
    let saying = prop_oneof![
        3 => Just(Saying::Leading),
        5 => (0..NODES).prop_map(Saying::Following),
        1 => Just(Saying::Complete),
        1 => Just(Saying::Gone),
    ];
    // In megabytes, so that a lead of some is worth a move.
    let haves = || prop_oneof![Just(0u64), (0u64..40).prop_map(|megabytes| megabytes << 20)];
    prop_oneof![
        4 => (0..NODES, haves(), prop::bool::weighted(0.8), prop::bool::weighted(0.1),
            vec(0..NODES, 0..3)).prop_map(|(id, have, may_lead, look, lost)| {
                Event::Claim { id, have, may_lead, look, lost }
            }),
        4 => (0..NODES, haves(), saying, 0u32..4, prop::bool::weighted(0.8)).prop_map(
            |(id, have, stage, free_slots, may_lead)| {
                Event::Says { id, have, stage, free_slots, may_lead }
            }),
        1 => prop_oneof![0u64..300, 0u64..4000].prop_map(|millis| Event::Wait { millis }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn whatever_is_said_no_rule_is_broken_and_all_is_forgotten(
        events in vec(events(), 0..250)
    ) {
        let mut history = History::new();
        for event in &events {
            history.apply(event);
        }
        history.room.wait(14_000);
        history.room.coordinator.expire(history.room.now);
        prop_assert_eq!(history.room.coordinator.members(), 0);
        prop_assert_eq!(history.room.coordinator.digests(), 0);
    }

    #[test]
    fn who_keeps_asking_is_told_something_within_ten_seconds(
        events in vec(events(), 0..400), slots in prop::bool::ANY, have in 0u64..50,
    ) {
        let mut history = History::new();
        let claim = Claim { have, ..get(NODES) };
        let mut asked = history.room.now;
        let mut waiting = None;
        for event in &events {
            let mut event = event.clone();
            match &mut event {
                Event::Wait { millis } => *millis %= 400,
                Event::Says { free_slots, .. } if slots => *free_slots = 0,
                _ => {}
            }
            history.apply(&event);
            if history.room.now < asked + onepull_mirror::claim::timing::ASK_AGAIN {
                continue;
            }
            asked = history.room.now;
            if history.claim(NODES, &claim) != Verdict::NotYet {
                waiting = None;
                continue;
            }
            let since = *waiting.get_or_insert(asked);
            prop_assert!(asked < since + std::time::Duration::from_secs(9));
        }
    }
}
