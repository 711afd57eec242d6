//! What a rollout costs, and that its end is always told.

use onepull_api::{FindingVerdict, NodeReason, PreflightFinding};
use proptest::prelude::*;

use super::*;

/// A day: no rollout is meant to take longer.
const DAY: u64 = 86_400;

fn image(state: NodeImageState, done: u64) -> HeldImage {
    HeldImage {
        name: "r.example/a:v1".into(),
        digest: "sha256:1".into(),
        generation: 1,
        state,
        bytes_total: Some(1000),
        bytes_done: done,
        ..HeldImage::default()
    }
}

fn failed(reason: NodeReason) -> HeldImage {
    HeldImage { reason: Some(reason), ..image(NodeImageState::Failed, 0) }
}

fn status(image: HeldImage) -> NodeImageCacheStatus {
    NodeImageCacheStatus { observed_generation: Some(1), images: vec![image], ..Default::default() }
}

/// A node that reports, on a clock of its own.
struct Reporting {
    report: Report,
    start: Moment,
    seconds: u64,
    /// What it showed last, and since when.
    state: Option<(NodeImageState, Timestamp)>,
    writes: Vec<NodeImageCacheStatus>,
}

impl Reporting {
    fn new() -> Self {
        let wall = "2026-11-24T12:00:00Z".parse().unwrap();
        let start = Moment { now: Instant::now(), wall };
        Self { report: Report::default(), start, seconds: 0, state: None, writes: Vec::new() }
    }

    fn moment(&self) -> Moment {
        let passed = Duration::from_secs(self.seconds);
        Moment { now: self.start.now + passed, wall: self.start.wall + passed }
    }

    /// The image is like this for `seconds`; the reporter looks whenever it said it would.
    fn shows(&mut self, image: &HeldImage, seconds: u64) {
        let end = self.seconds + seconds;
        let wall = self.moment().wall;
        let since = match self.state {
            Some((state, since)) if state == image.state => since,
            _ => wall,
        };
        self.state = Some((image.state, since));
        let image = HeldImage { since: Some(Time(since)), ..image.clone() };
        loop {
            let at = self.moment();
            let verdict = self.report.decide(&status(image.clone()), at);
            let look = match verdict.write {
                Some(write) => {
                    self.writes.push(write.clone());
                    self.report.wrote(write, at.now);
                    Some(at.now)
                }
                None => verdict.look,
            };
            let Some(look) = look else { break };
            let look = (look - self.start.now).as_millis().div_ceil(1000);
            match u64::try_from(look).unwrap() {
                look if look <= end => self.seconds = look,
                _ => break,
            }
        }
        self.seconds = end;
    }

    fn last(&self) -> &HeldImage {
        &self.writes.last().unwrap().images[0]
    }
}

#[test]
fn a_rollout_is_told_when_accepted_started_at_each_quarter_and_at_its_end() {
    let mut reporting = Reporting::new();
    reporting.shows(&image(NodeImageState::Waiting, 0), 10);
    for done in (0..=1000).step_by(10) {
        reporting.shows(&image(NodeImageState::Warming, done), 3);
    }
    reporting.shows(&image(NodeImageState::Warm, 1000), DAY);
    let told: Vec<_> = reporting.writes.iter().map(|it| Stage::of(&it.images[0])).collect();
    let quarters: Vec<_> = told.iter().map(|stage| stage.quarter).collect();
    assert_eq!(quarters, [0, 0, 1, 2, 3, 4, 0]);
    assert_eq!((told[0].state, told[6].state), (NodeImageState::Waiting, NodeImageState::Warm));
    let since = reporting.last().since.clone().unwrap();
    assert_eq!(since.0, reporting.start.wall + Duration::from_secs(10 + 101 * 3));
}

#[test]
fn nothing_is_written_while_nothing_happens_and_after_a_restart_neither() {
    let mut reporting = Reporting::new();
    reporting.shows(&image(NodeImageState::Warm, 1000), DAY);
    assert_eq!(reporting.writes.len(), 1);
    let found = reporting.writes.pop();
    reporting.report = Report::found(found);
    reporting.shows(&image(NodeImageState::Warm, 1000), DAY);
    assert_eq!(reporting.writes, []);
}

#[test]
fn bytes_that_were_counted_a_moment_later_are_told_once() {
    let mut reporting = Reporting::new();
    reporting.shows(&image(NodeImageState::Warm, 1000), 2);
    let counted = HeldImage { bytes_from_upstream: 1000, ..image(NodeImageState::Warm, 1000) };
    reporting.shows(&counted, DAY);
    assert_eq!((reporting.writes.len(), reporting.last().bytes_from_upstream), (2, 1000));
}

#[test]
fn attempts_that_fail_again_are_not_told_and_another_reason_is() {
    let mut reporting = Reporting::new();
    for _ in 0..20 {
        reporting.shows(&image(NodeImageState::Warming, 0), 2);
        reporting.shows(&failed(NodeReason::RateLimited), 60);
    }
    assert_eq!(reporting.writes.len(), 2, "started, failed");
    reporting.shows(&failed(NodeReason::ImageNotFound), 1);
    assert_eq!(reporting.last().reason, Some(NodeReason::ImageNotFound));
}

#[test]
fn a_disk_that_was_not_known_is_told_as_soon_as_it_is() {
    let report = |disk: Option<u64>| NodeImageCacheStatus {
        observed_generation: Some(1),
        disk: disk.map(|bytes| Disk { capacity_bytes: 1000, available_bytes: bytes }),
        ..Default::default()
    };
    let at = Moment { now: Instant::now(), wall: Timestamp::UNIX_EPOCH };
    let writes = |written, current| {
        let told = Report { written: Some(report(written)), ..Report::default() };
        told.decide(&report(current), at).write.is_some()
    };
    assert!(writes(None, Some(500)));
    assert!(!writes(None, None) && !writes(Some(500), None));
    assert!(!writes(Some(500), Some(440)), "it goes along with the next write");
}

/// What a node with nothing else to say writes in an hour during which its free space is as `available`
/// says at each second, and how often it looks.
fn told_of_space(available: impl Fn(u64) -> u64) -> (Vec<(u64, u64)>, u32) {
    const HOUR: u64 = 3600;
    let status = |second| NodeImageCacheStatus {
        observed_generation: Some(1),
        disk: Some(Disk { capacity_bytes: 1600, available_bytes: available(second) }),
        ..Default::default()
    };
    let (start, wall) = (Instant::now(), Timestamp::UNIX_EPOCH);
    let mut report = Report::default();
    report.wrote(status(0), start);
    let (mut second, mut told, mut looks) = (0, Vec::new(), 0);
    while second <= HOUR {
        let now = start + Duration::from_secs(second);
        let verdict = report.decide(&status(second), Moment { now, wall });
        if let Some(write) = verdict.write {
            told.push((second, write.disk.clone().unwrap().available_bytes));
            report.wrote(write, now);
            continue;
        }
        looks += 1;
        let Some(look) = verdict.look else { break };
        second = (look - start).as_secs();
    }
    (told, looks)
}

#[test]
fn space_that_was_freed_is_told_without_another_reason_to_write() {
    let (told, looks) = told_of_space(|second| if second < 1000 { 100 } else { 1500 });
    assert_eq!(told, [(1200, 1500)]);
    assert!(looks <= 13, "an idle node looked {looks} times in an hour");
}

#[test]
fn a_quiet_node_writes_nothing_of_its_space_and_a_restless_one_seldom() {
    let (told, _) = told_of_space(|second| 700 + second / 300 % 2 * 99);
    assert_eq!(told, [], "less than a step to and fro");
    let (told, _) = told_of_space(|second| second % 1600);
    assert!(told.len() <= 12, "{told:?}");
}

fn any_image() -> impl Strategy<Value = HeldImage> {
    prop_oneof![
        4 => (0u64..1100).prop_map(|done| image(NodeImageState::Warming, done)),
        1 => Just(failed(NodeReason::RateLimited)),
        1 => Just(failed(NodeReason::RegistryUnreachable)),
        1 => Just(image(NodeImageState::Warm, 1000)),
    ]
}

proptest! {
    #[test]
    fn a_rollout_costs_at_most_its_budget_whatever_its_progress_looks_like(
        waits in 0u64..1000,
        ticks in proptest::collection::vec((0u64..1100, 0u64..60), 0..60),
        late in 0u64..1000,
    ) {
        let mut reporting = Reporting::new();
        reporting.shows(&image(NodeImageState::Waiting, 0), waits);
        for (done, seconds) in ticks {
            reporting.shows(&image(NodeImageState::Warming, done), seconds);
        }
        reporting.shows(&image(NodeImageState::Warm, 1000), 10);
        let counted = HeldImage { bytes_from_peers: late, ..image(NodeImageState::Warm, 1000) };
        reporting.shows(&counted, DAY);
        prop_assert!(reporting.writes.len() <= BUDGET as usize, "{}", reporting.writes.len());
        prop_assert_eq!(reporting.last().state, NodeImageState::Warm);
        prop_assert_eq!(reporting.last().bytes_from_peers, late);
    }

    #[test]
    fn whatever_happens_its_end_is_told_and_what_fails_on_is_told_now_and_then(
        history in proptest::collection::vec((any_image(), 0u64..100), 0..60),
        end in any_image(),
    ) {
        let mut reporting = Reporting::new();
        for (image, seconds) in &history {
            reporting.shows(image, *seconds);
        }
        reporting.shows(&end, 301);
        let (told, is) = (Stage::of(reporting.last()), Stage::of(&end));
        prop_assert_eq!(told.state, is.state);
        if end.state != NodeImageState::Warming {
            prop_assert_eq!(told, is);
        }
        let warm = history.iter().filter(|(it, _)| it.state == NodeImageState::Warm).count() + 1;
        let trickle = usize::try_from(reporting.seconds / 300).unwrap() + 1;
        prop_assert!(reporting.writes.len() <= BUDGET as usize + warm + trickle);
    }
}

#[test]
fn a_preflight_is_told_when_other_checks_fail_than_before() {
    let found = |check: &str, what: &str| {
        let (check, what, todo) = (check.to_owned(), what.to_owned(), None);
        let finding = PreflightFinding { check, verdict: FindingVerdict::Problem, what, todo };
        let preflight = Preflight { at: Time(Timestamp::UNIX_EPOCH), findings: vec![finding] };
        NodeImageCacheStatus {
            observed_generation: Some(1),
            preflight: Some(preflight),
            ..Default::default()
        }
    };
    let at = Moment { now: Instant::now(), wall: Timestamp::UNIX_EPOCH };
    let told = Report::found(Some(found("proof", "sha256:1")));
    let is_written = |current| told.decide(&current, at).write.is_some();
    assert!(!is_written(found("proof", "sha256:2")), "the same in other words");
    assert!(is_written(found("ports", "taken")));
    assert_eq!(told.preflight(), found("proof", "sha256:1").preflight, "until the next has run");
}
