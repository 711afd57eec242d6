//! One fault at a time, in the middle of a storm.

use std::time::Duration;

use onepull_mirror::Deadlines;

use crate::{board::Seen, image::Image, lab::Lab};

const MIB: u64 = 1 << 20;

/// Any will do: the faults here are placed by what happens, not by time.
const SEED: u64 = 1;

/// A single layer of 4 MiB, which takes the registry 4 s.
fn image() -> Image {
    Image::with_layers(&[4 << 20])
}

fn storm(nodes: usize) -> Lab {
    Lab::new(SEED, nodes, image())
}

/// Runs until the layer's lead has `bytes` of it; its name.
fn lead_with(lab: &mut Lab, bytes: u64) -> String {
    lab.run_until("the lead is in mid-blob", |lab| lab.has(&lab.lead()) >= bytes);
    lab.lead()
}

/// Runs until a node that is not the lead has passed on half a MiB; its name.
fn relay_at_work(lab: &mut Lab) -> String {
    let relay = |lab: &Lab| {
        let (lead, mut names) = (lab.lead(), lab.names().into_iter());
        names.find(|name| *name != lead && lab.board.see(name, Seen::sent) > MIB / 2)
    };
    lab.run_until("a relay is at work", |lab| relay(lab).is_some());
    relay(lab).unwrap()
}

#[test]
fn a_storm_without_a_fault_costs_the_registry_one_image() {
    let mut lab = Lab::new(SEED, 8, Image::with_layers(&[4 << 20, 2 << 20, 1 << 20]));
    lab.finish();
    assert_eq!(lab.board.registry_bytes(), lab.image.size());
    let (answer, pause) = lab.board.longest_waits();
    let two = Duration::from_secs(2);
    assert!(answer < two && pause < two, "nobody waits for long: {answer:?} {pause:?}");
    assert!(lab.elapsed() < Duration::from_secs(6), "{:?}", lab.elapsed());
}

#[test]
fn when_the_coordinator_is_cut_off_the_others_share_on_and_it_goes_on_alone() {
    let mut lab = storm(8);
    let coordinator = lab.coordinator(&lab.image.layers[0].digest);
    let lead = lead_with(&mut lab, MIB);
    assert_ne!(lead, coordinator, "another seed is needed");
    lab.cut(&[&coordinator]);
    let had = lab.has(&coordinator);
    lab.run_for(Duration::from_secs(6));
    lab.heal(&[&coordinator]);
    lab.finish();
    assert_one_goes_on_alone(&lab, &coordinator, had);
}

#[test]
fn when_the_lead_crashes_a_follower_goes_on_from_its_byte() {
    let mut lab = storm(8);
    let lead = lead_with(&mut lab, 2 * MIB);
    let lost = lab.has(&lead) - lab.most_but(&lead);
    lab.crash(&lead);
    lab.run_for(Duration::from_secs(3));
    lab.restart(&lead);
    lab.finish();
    assert_costs_only(&lab, lost);
}

#[test]
fn when_the_lead_goes_dark_a_follower_goes_on_from_its_byte() {
    let mut lab = storm(8);
    let lead = lead_with(&mut lab, 2 * MIB);
    let lost = lab.has(&lead) - lab.most_but(&lead);
    lab.power_off(&lead);
    lab.finish();
    lab.restart(&lead);
    lab.finish();
    assert_costs_only(&lab, lost);
}

#[test]
fn when_the_lead_is_cut_off_for_good_the_others_go_on_from_their_byte() {
    let mut lab = storm(8);
    let lead = lead_with(&mut lab, 2 * MIB);
    let most = lab.most_but(&lead);
    lab.cut(&[&lead]);
    lab.finish();
    // Both go on, each with what the other takes too.
    assert_costs_only(&lab, lab.image.size() - most);
}

#[test]
fn when_a_relay_crashes_those_behind_it_go_on_from_others() {
    let mut lab = storm(8);
    let relay = relay_at_work(&mut lab);
    lab.crash(&relay);
    lab.run_for(Duration::from_secs(2));
    lab.restart(&relay);
    lab.finish();
    assert_costs_only(&lab, 0);
}

#[test]
fn when_the_pull_of_a_relay_is_given_up_those_behind_it_go_on_from_others_at_once() {
    let mut lab = storm(8);
    let relay = relay_at_work(&mut lab);
    lab.give_up(&relay);
    lab.run_until("all pulls end", |lab| lab.board.all().values().all(|seen| seen.ended.is_some()));
    lab.crash(&relay);
    lab.restart(&relay);
    lab.finish();
    assert_costs_only(&lab, 0);
    let (_, pause) = lab.board.longest_waits();
    assert!(pause < Deadlines::default().pause, "nobody waits for what does not come: {pause:?}");
}

#[test]
fn when_a_relay_goes_dark_those_behind_it_go_on_from_others() {
    let mut lab = storm(8);
    let relay = relay_at_work(&mut lab);
    lab.power_off(&relay);
    lab.finish();
    lab.restart(&relay);
    lab.finish();
    assert_costs_only(&lab, 0);
}

#[test]
fn when_a_relay_is_cut_off_for_good_it_goes_on_alone_and_those_behind_it_from_others() {
    let mut lab = storm(8);
    let relay = relay_at_work(&mut lab);
    let had = lab.has(&relay);
    lab.cut(&[&relay]);
    lab.finish();
    assert_one_goes_on_alone(&lab, &relay, had);
}

#[test]
fn who_waits_for_the_first_byte_of_a_node_that_goes_dark_goes_on_elsewhere() {
    let mut lab = Lab::new(SEED, 8, Image::with_layers(&[2 << 20; 5]));
    let dark = lab.coordinator(&lab.image.layers[4].digest);
    lab.slow_down(Duration::from_millis(15));
    lab.run_for(Duration::from_millis(300));
    let lost = lab.has(&dark).saturating_sub(lab.most_but(&dark));
    lab.power_off(&dark);
    lab.finish();
    assert_costs_only(&lab, lost);
}

/// Whoever is behind the relay here is never sent away, never promoted, and never starves.
#[test]
#[should_panic(expected = "sent nothing for")]
fn a_node_that_waits_for_ever_is_found_out() {
    let ever = Duration::from_secs(3600);
    let deadlines =
        Deadlines { stall: ever, pause: ever, starved: ever, still: ever, ..Deadlines::default() };
    let mut lab = Lab::with_deadlines(SEED, 8, image(), deadlines);
    let relay = relay_at_work(&mut lab);
    lab.cut(&[&relay]);
    lab.finish();
}

/// The registry sent the image, and no more than `lost` bytes of it twice.
fn assert_costs_only(lab: &Lab, lost: u64) {
    let (sent, bound) = (lab.board.registry_bytes(), lab.image.size() + lost);
    assert!(sent <= bound, "{sent} of {bound}\n{}", lab.board.history().join("\n"));
}

/// One island more is one lead more, from the byte that it had; the others share one image.
fn assert_one_goes_on_alone(lab: &Lab, name: &str, had: u64) {
    let alone = lab.board.see(name, |seen| seen.from_registry);
    assert!(alone <= lab.image.size() - had, "{alone} beyond {had}");
    assert_eq!(lab.board.registry_bytes() - alone, lab.image.size());
}
