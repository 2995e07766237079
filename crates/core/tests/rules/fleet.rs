//! Wants of a role, and the sessions of a slot.

use std::sync::Arc;
use std::time::SystemTime;

use coordinator_core::fleet::{
    Counts, FleetName, Follows, HISTORY, ItemRun, Listing, LiveSession, Mode, Outcome, Role,
    RoleKey, Run, SessionSpec, Slot, SlotRecord, SlotSessions, State, Stuck, StuckReason, Want,
    WorkItem,
};

fn key() -> RoleKey {
    RoleKey::parse("ui_builder").expect("a valid key")
}

fn run(generation: u64) -> Run {
    Run {
        generation,
        outcome: Outcome::Succeeded,
        exit_code: Some(0),
        detail: None,
        started_at: SystemTime::UNIX_EPOCH,
        finished_at: SystemTime::UNIX_EPOCH,
        disrupted: false,
        stopped_by: None,
        result: None,
        item: None,
    }
}

#[test]
fn a_role_wants_as_many_slots_as_it_counts_lowest_first() {
    let role = Role {
        key: key(),
        name: "UI Builder".to_owned(),
        count: 3,
        department: String::new(),
        mode: Mode::TaskDriven,
        spec: Arc::new(SessionSpec::default()),
    };
    let slots: Vec<_> = role.wants().map(|want| want.target().slot.name()).collect();
    assert_eq!(slots, ["ui-builder-s0", "ui-builder-s1", "ui-builder-s2"]);
    assert!(role.wants().all(|want| want.role == key() && want.item_run().is_none()));
}

#[test]
fn a_want_of_an_item_says_on_what_and_with_which_recipe() {
    let item = WorkItem { id: "7".to_owned(), counts: Counts { attempt: 2, ..Counts::default() } };
    let want = Want {
        slot: Slot::of_role(&key(), 0),
        role: key(),
        spec: Arc::new(SessionSpec::default()),
        item: Some(item.clone()),
        follows: Follows::Generation(4),
        by_hand: false,
    };
    assert_eq!(want.item_run(), Some(ItemRun { role: key(), item: item.clone() }));
    assert_eq!(want.target().item, Some(item));
}

#[test]
fn a_session_follows_the_one_that_it_names_and_no_later_one() {
    assert!(Follows::Anything.allows(0) && Follows::Anything.allows(5));
    let third = Follows::Generation(3);
    assert_eq!((third.allows(2), third.allows(3), third.allows(4)), (false, true, false));
}

#[test]
fn a_slot_is_listed_with_its_history_and_with_what_keeps_its_session() {
    let slots = [0, 1].map(|index| Slot::of_role(&key(), index));
    let stuck = Stuck {
        slot: slots[1].clone(),
        reason: StuckReason::Pending,
        since: None,
        detail: "no node fits".to_owned(),
    };
    let history: Vec<Run> = (1..=10).map(run).collect();
    let records = slots.clone().map(|slot| (slot, SlotRecord::of(None, history.clone())));
    let listing =
        Listing { slots: records.into(), stuck: vec![stuck.clone()], ..Listing::default() };
    let [first, second] = &SlotSessions::of(listing)[..] else { panic!("two slots") };
    assert_eq!((&first.slot, &second.slot), (&slots[0], &slots[1]));
    assert_eq!((&first.stuck, &second.stuck), (&None, &Some(stuck)));
    assert_eq!(first.history, history);
    assert_eq!(first.recent(), &history[history.len() - HISTORY..]);
}

#[test]
fn a_slot_works_on_the_item_of_its_live_session_or_else_of_its_last() {
    let item = |id: &str| {
        let item = WorkItem { id: id.to_owned(), counts: Counts::default() };
        Some(ItemRun { role: key(), item })
    };
    let live = |item| {
        Some(LiveSession { generation: Some(3), state: State::Running, started_at: None, item })
    };
    let history = vec![Run { item: item("1"), ..run(1) }, Run { item: item("2"), ..run(2) }];
    for (live, history, expected) in [
        (None, Vec::new(), None),
        (None, history.clone(), item("2")),
        (live(None), history.clone(), item("2")),
        (live(item("3")), history, item("3")),
    ] {
        assert_eq!(SlotRecord::of(live, history).item(), expected.as_ref());
    }
}

#[test]
fn a_name_at_its_longest_is_a_name() {
    let longest = "f".repeat(16);
    assert_eq!(FleetName::parse(&longest).as_ref().map(FleetName::as_str), Ok(longest.as_str()));
    assert!(RoleKey::parse(&"r".repeat(28)).is_ok());
}
