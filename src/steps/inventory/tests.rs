use std::time::Duration;

use super::*;
use crate::render::sample::{a_role, at, slot, stuck};
use coordinator_core::fleet::{LiveSession, Mode, Outcome, Run, State, StuckReason};

fn live() -> SlotRecord {
    let live =
        LiveSession { generation: Some(1), state: State::Running, started_at: None, item: None };
    SlotRecord::of(Some(live), Vec::new())
}

/// Failed after a second, at this minute.
fn failed(minute: u64) -> SlotRecord {
    SlotRecord::of(None, vec![ended(minute, Outcome::Failed)])
}

/// Ended after a second, at this minute.
fn ended(minute: u64, outcome: Outcome) -> Run {
    Run {
        generation: 1,
        outcome,
        exit_code: None,
        detail: None,
        started_at: at(minute) - Duration::from_secs(1),
        finished_at: at(minute),
        disrupted: false,
        stopped_by: None,
        result: None,
        item: None,
    }
}

fn listing(slots: impl IntoIterator<Item = (Slot, SlotRecord)>) -> Listing {
    Listing { slots: slots.into_iter().collect(), ..Listing::default() }
}

fn fleet() -> FleetName {
    FleetName::parse("demo").expect("a valid name")
}

fn roles() -> [Role; 2] {
    [a_role("dev", Mode::TaskDriven, 2), a_role("qa", Mode::TaskDriven, 0)]
}

fn of_a_role(slot: &Slot) -> bool {
    roles().iter().any(|role| slot.group == role.key)
}

#[test]
fn a_live_session_beyond_its_roles_count_is_out_of_range_even_where_a_lower_slot_is_free() {
    let listing = listing([
        (slot("dev", 0), live()),
        (slot("dev", 7), live()),
        (slot("dev", 8), failed(0)),
        (slot("qa", 0), live()),
    ]);
    let report = count(&listing, &fleet(), &roles(), of_a_role, at(0));
    assert_eq!(report.out_of_range, [slot("dev", 7), slot("qa", 0)]);
    let surplus: Vec<u32> = report.roles.iter().map(|role| role.surplus).collect();
    assert_eq!(surplus, [0, 1]);
}

#[test]
fn a_session_of_a_removed_role_is_unmanaged_and_not_out_of_range() {
    let report = count(&listing([(slot("gone", 0), live())]), &fleet(), &roles(), of_a_role, at(0));
    assert!(report.out_of_range.is_empty(), "{:?}", report.out_of_range);
    assert_eq!(report.unmanaged.len(), 1);
}

#[test]
fn stuck_sessions_are_told_in_the_order_of_their_slots_and_count_as_running() {
    let mut listing = listing([(slot("dev", 0), live()), (slot("dev", 1), live())]);
    listing.stuck = vec![
        stuck("dev", 1, StuckReason::Pending, None, "b"),
        stuck("dev", 0, StuckReason::Suspended, None, "a"),
    ];
    let report = count(&listing, &fleet(), &roles(), of_a_role, at(0));
    let slots: Vec<&Slot> = report.stuck.iter().map(|stuck| &stuck.slot).collect();
    assert_eq!(slots, [&slot("dev", 0), &slot("dev", 1)]);
    assert_eq!(report.running, Some(2));
}

#[test]
fn backoff_is_counted_by_the_clock_that_wrote_the_records() {
    let day = 24 * 60;
    for (as_of, ours, backs_off) in [
        (Some(at(100)), at(100 + day), 1),
        (Some(at(100)), at(0), 1),
        (Some(at(100 + day)), at(100), 0),
        (None, at(100), 1),
        (None, at(100 + day), 0),
    ] {
        let listing = Listing { as_of, ..listing([(slot("dev", 0), failed(100))]) };
        let body = count(&listing, &fleet(), &roles(), of_a_role, ours);
        assert_eq!(body.roles[0].backing_off, backs_off, "{as_of:?} {ours:?}");
    }
}

#[test]
fn a_slot_that_found_nothing_to_do_is_idle_and_does_not_back_off() {
    let idle = SlotRecord::of(None, vec![ended(100, Outcome::Succeeded)]);
    let listing = listing([(slot("dev", 0), idle), (slot("dev", 1), failed(100))]);
    let report = count(&listing, &fleet(), &roles(), of_a_role, at(100));
    assert_eq!((report.roles[0].idle, report.roles[0].backing_off), (1, 1));
}

#[test]
fn slots_whose_last_three_sessions_failed_are_named_as_far_as_the_roster_asks_for_them() {
    let thrice = || SlotRecord::of(None, vec![ended(0, Outcome::Failed); 3]);
    let listing = listing([
        (slot("dev", 0), thrice()),
        (slot("dev", 1), failed(0)),
        (slot("dev", 2), thrice()),
        (slot("qa", 0), thrice()),
        (slot("gone", 0), thrice()),
    ]);
    let report = count(&listing, &fleet(), &roles(), of_a_role, at(100));
    assert_eq!(report.failing, [slot("dev", 0)]);
}
