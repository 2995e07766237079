//! The plan of step 2, by its invariants.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use coordinator_core::backoff::BackoffSettings;
use coordinator_core::fleet::{
    Counts, FleetName, FleetPause, Follows, Group, HoldReason, Inventory, Listing, LiveSession,
    Outcome, Pause, RoleKey, Run, SessionSpec, Slot, SlotRecord, State, Want, WorkItem,
};
use coordinator_core::plan::OnInventoryFailure;
use coordinator_core::plan::{Order, Policy, plan};
use coordinator_core::report::Access;
use proptest::prelude::*;

const BACKOFF: BackoffSettings = BackoffSettings {
    backoff_base: Duration::from_secs(60),
    backoff_cap: Duration::from_secs(3600),
    min_runtime: Duration::from_secs(30),
    min_interval: Duration::ZERO,
};
const OPEN: Policy = Policy {
    budget: None,
    max_running: None,
    max_spawns: 50,
    max_concurrent: BTreeMap::new(),
    on_inventory_failure: OnInventoryFailure::Spawn,
    pause: FleetPause::Off,
    platform: Access::Granted,
};

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000)
}

fn fleet() -> FleetName {
    FleetName::parse("demo").expect("a valid name")
}

fn slot(role: &str, index: u32) -> Slot {
    Slot::of_role(&RoleKey::parse(role).expect("a valid key"), index)
}

fn spec() -> Arc<SessionSpec> {
    Arc::new(SessionSpec { backoff: BACKOFF, ..SessionSpec::default() })
}

fn want(slot: Slot, spec: &Arc<SessionSpec>) -> Want {
    let role = RoleKey::parse(slot.group.as_str()).expect("a valid key");
    Want {
        slot,
        role,
        spec: Arc::clone(spec),
        item: None,
        follows: Follows::Anything,
        by_hand: false,
    }
}

fn wants(roles: &[(&str, u32)]) -> Vec<Want> {
    let spec = spec();
    let role = |&(key, count): &(&'static str, u32)| {
        (0..count).map(move |index| slot(key, index)).collect::<Vec<_>>()
    };
    let roles: Vec<(&'static str, u32)> = roles
        .iter()
        .map(|&(key, count)| (&*Box::leak(key.to_owned().into_boxed_str()), count))
        .collect();
    roles.iter().flat_map(role).map(|slot| want(slot, &spec)).collect()
}

fn live() -> SlotRecord {
    let live = LiveSession {
        generation: Some(1),
        state: State::Running,
        started_at: Some(now()),
        item: None,
    };
    SlotRecord::of(Some(live), Vec::new())
}

/// `failures` sessions that each failed after a second, the last one `ago` before now.
fn failed(failures: u64, ago: Duration) -> SlotRecord {
    let run = |generation| Run {
        generation,
        outcome: Outcome::Failed,
        exit_code: Some(1),
        detail: None,
        started_at: now() - ago - Duration::from_secs(1),
        finished_at: now() - ago,
        disrupted: false,
        stopped_by: None,
        result: None,
        item: None,
    };
    SlotRecord::of(None, (1..=failures).map(run).collect())
}

fn known(slots: impl IntoIterator<Item = (Slot, SlotRecord)>) -> Inventory {
    Inventory::Known(Listing { slots: slots.into_iter().collect(), ..Listing::default() })
}

fn starts(orders: &[Order]) -> Vec<String> {
    let start = |order: &Order| match order {
        Order::Start(want) => Some(want.slot.name()),
        Order::Hold { .. } => None,
    };
    orders.iter().filter_map(start).collect()
}

fn holds(orders: &[Order]) -> Vec<(String, HoldReason)> {
    let hold = |order: &Order| match order {
        Order::Start(_) => None,
        Order::Hold { target, hold } => Some((target.slot.name(), hold.reason)),
    };
    orders.iter().filter_map(hold).collect()
}

#[test]
fn the_deficit_is_filled_in_the_lowest_free_slots() {
    let inventory = known([(slot("dev", 1), live())]);
    let orders = plan(&fleet(), wants(&[("dev", 4)]), &inventory, &OPEN, now());
    assert_eq!(starts(&orders), ["dev-s0", "dev-s2", "dev-s3"]);
}

#[test]
fn a_session_above_the_count_drains_and_counts_as_live() {
    let inventory = known([(slot("dev", 4), live()), (slot("dev", 0), live())]);
    let orders = plan(&fleet(), wants(&[("dev", 3)]), &inventory, &OPEN, now());
    assert_eq!(starts(&orders), ["dev-s1"]);
    let surplus = known((0..5).map(|index| (slot("dev", index), live())));
    assert!(plan(&fleet(), wants(&[("dev", 2)]), &surplus, &OPEN, now()).is_empty());
}

#[test]
fn under_a_cap_the_upper_rows_win_and_the_rest_says_why() {
    let policy = Policy { max_running: Some(3), ..OPEN };
    let orders = plan(&fleet(), wants(&[("first", 2), ("second", 2)]), &known([]), &policy, now());
    assert_eq!(starts(&orders), ["first-s0", "first-s1", "second-s0"]);
    assert_eq!(holds(&orders), [("second-s1".to_owned(), HoldReason::Cap)]);
}

#[test]
fn a_live_session_of_a_removed_role_counts_against_the_cap() {
    let policy = Policy { max_running: Some(2), ..OPEN };
    let inventory = known([(slot("gone", 0), live())]);
    let orders = plan(&fleet(), wants(&[("dev", 2)]), &inventory, &policy, now());
    assert_eq!(starts(&orders), ["dev-s0"]);
}

#[test]
fn max_spawns_zero_is_the_pause_switch() {
    let policy = Policy { max_spawns: 0, ..OPEN };
    let orders = plan(&fleet(), wants(&[("dev", 1)]), &known([]), &policy, now());
    assert_eq!(holds(&orders), [("dev-s0".to_owned(), HoldReason::MaxSpawns)]);
    assert!(starts(&orders).is_empty());
}

#[test]
fn an_unknown_inventory_orders_every_slot_or_none_as_the_roster_says() {
    let orders = plan(&fleet(), wants(&[("dev", 2)]), &Inventory::Unknown, &OPEN, now());
    assert_eq!(starts(&orders), ["dev-s0", "dev-s1"]);
    let skip = Policy { on_inventory_failure: OnInventoryFailure::Skip, ..OPEN };
    let orders = plan(&fleet(), wants(&[("dev", 2)]), &Inventory::Unknown, &skip, now());
    assert!(starts(&orders).is_empty());
    assert!(holds(&orders).iter().all(|(_, reason)| *reason == HoldReason::Unknown));
}

#[test]
fn while_the_fleet_is_paused_or_that_is_unknown_nothing_starts_and_own_holds_keep_their_reason() {
    let pause = Pause { by: Some("alice".to_owned()), ..Pause::default() };
    let unknown = FleetPause::Unknown("no answer".to_owned());
    for (pause, reason) in
        [(FleetPause::On(pause), HoldReason::Paused), (unknown, HoldReason::Unknown)]
    {
        let policy = Policy { pause, max_running: Some(1), ..OPEN };
        let inventory = known([(slot("dev", 0), failed(3, Duration::from_secs(5)))]);
        let orders = plan(&fleet(), wants(&[("dev", 2)]), &inventory, &policy, now());
        assert!(starts(&orders).is_empty());
        let held = [("dev-s0".to_owned(), HoldReason::Backoff), ("dev-s1".to_owned(), reason)];
        assert_eq!(holds(&orders), held);
        let blind = plan(&fleet(), wants(&[("dev", 1)]), &Inventory::Unknown, &policy, now());
        assert_eq!(holds(&blind), [("dev-s0".to_owned(), reason)]);
    }
}

#[test]
fn what_a_person_wants_at_once_is_held_by_nothing_in_the_slots_history() {
    let by_hand = Want { by_hand: true, ..want(slot("dev", 0), &spec()) };
    let inventory = known([(slot("dev", 0), failed(3, Duration::from_secs(5)))]);
    let orders = plan(&fleet(), vec![by_hand], &inventory, &OPEN, now());
    assert_eq!(starts(&orders), ["dev-s0"]);
}

#[test]
fn a_platform_that_refuses_us_or_does_not_answer_gets_no_request_per_slot() {
    for platform in [Access::Refused, Access::NoAnswer] {
        for on_inventory_failure in [OnInventoryFailure::Spawn, OnInventoryFailure::Skip] {
            let policy = Policy { platform, on_inventory_failure, ..OPEN };
            let orders = plan(&fleet(), wants(&[("dev", 2)]), &Inventory::Unknown, &policy, now());
            assert!(starts(&orders).is_empty());
            assert!(holds(&orders).iter().all(|(_, reason)| *reason == HoldReason::Unknown));
            assert_eq!(orders.len(), 2);
        }
    }
}

#[test]
fn a_slot_in_backoff_gives_way_to_a_free_one_while_a_surplus_session_drains() {
    let recent = failed(3, Duration::from_secs(5));
    let inventory = known([(slot("dev", 0), recent), (slot("dev", 7), live())]);
    let orders = plan(&fleet(), wants(&[("dev", 3)]), &inventory, &OPEN, now());
    assert_eq!(starts(&orders), ["dev-s1", "dev-s2"]);
    assert!(holds(&orders).is_empty(), "nothing is missing, so nothing is held");
}

#[test]
fn the_platforms_clock_decides_how_long_a_slot_waits_and_ours_only_where_it_has_none() {
    let day = Duration::from_secs(86_400);
    let at = |as_of: Option<SystemTime>, ours: SystemTime| {
        let slots = [(slot("dev", 0), failed(1, Duration::from_secs(5)))].into_iter().collect();
        let inventory = Inventory::Known(Listing { slots, as_of, ..Listing::default() });
        starts(&plan(&fleet(), wants(&[("dev", 1)]), &inventory, &OPEN, ours)).len()
    };
    assert_eq!(at(Some(now()), now() + day), 0, "a clock that is ahead opens no slot");
    assert_eq!(at(Some(now()), now() - day), 0);
    assert_eq!(at(Some(now() + day), now()), 1, "nor does one that is behind keep it closed");
    assert_eq!((at(None, now()), at(None, now() + day)), (0, 1));
}

#[test]
fn a_session_that_the_platform_took_away_is_started_again_at_once() {
    let mut record = failed(3, Duration::from_secs(5));
    record.history[2].disrupted = true;
    let orders =
        plan(&fleet(), wants(&[("dev", 1)]), &known([(slot("dev", 0), record)]), &OPEN, now());
    assert_eq!(starts(&orders), ["dev-s0"]);
}

fn queue() -> Group {
    Group::parse("queue").expect("a valid name")
}

fn item(id: &str) -> Slot {
    Slot::of_item(&queue(), id)
}

fn items(ids: &[&str]) -> Vec<Want> {
    let spec = spec();
    let of_item = |id: &&str| {
        let work = WorkItem { id: (*id).to_owned(), counts: Counts::default() };
        Want { item: Some(work), ..want(item(id), &spec) }
    };
    ids.iter().map(of_item).collect()
}

#[test]
fn each_item_without_a_live_session_gets_one_until_its_source_has_enough() {
    let inventory = || known([(item("2"), live()), (item("9"), live())]);
    let starts_under = |cap: Option<u32>| {
        let max_concurrent = cap.map(|cap| (queue(), cap)).into_iter().collect();
        let orders = plan(
            &fleet(),
            items(&["1", "2", "3", "4"]),
            &inventory(),
            &Policy { max_concurrent, ..OPEN },
            now(),
        );
        let reasons = holds(&orders).into_iter().map(|(_, reason)| reason);
        assert!(reasons.into_iter().all(|reason| reason == HoldReason::Concurrency));
        assert_eq!(orders.len(), 3, "item 2 runs, and each other item has an order");
        starts(&orders)
    };
    assert_eq!(starts_under(None), ["queue-i1", "queue-i3", "queue-i4"]);
    assert_eq!(starts_under(Some(5)), ["queue-i1", "queue-i3", "queue-i4"]);
    assert_eq!(starts_under(Some(3)), ["queue-i1"], "the session of an item that is gone counts");
    assert!(starts_under(Some(2)).is_empty() && starts_under(Some(0)).is_empty());
}

#[test]
fn an_item_that_the_fleets_own_limit_holds_back_takes_no_place_of_its_source() {
    let policy =
        Policy { max_spawns: 1, max_concurrent: [(queue(), 2)].into_iter().collect(), ..OPEN };
    let orders = plan(&fleet(), items(&["1", "2", "3"]), &known([]), &policy, now());
    assert_eq!(starts(&orders), ["queue-i1"]);
    let reasons: Vec<_> = holds(&orders).into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(reasons, [HoldReason::MaxSpawns, HoldReason::MaxSpawns]);
}

#[test]
fn an_item_in_backoff_waits_and_leaves_its_place_to_the_next() {
    let policy = Policy { max_concurrent: [(queue(), 1)].into_iter().collect(), ..OPEN };
    let inventory = known([(item("1"), failed(3, Duration::from_secs(5)))]);
    let orders = plan(&fleet(), items(&["1", "2"]), &inventory, &policy, now());
    assert_eq!(holds(&orders), [("queue-i1".to_owned(), HoldReason::Backoff)]);
    assert_eq!(starts(&orders), ["queue-i2"]);
}

#[test]
fn without_an_inventory_an_item_waits_whatever_the_roster_says() {
    for on_inventory_failure in [OnInventoryFailure::Spawn, OnInventoryFailure::Skip] {
        let policy = Policy { on_inventory_failure, ..OPEN };
        let wants = [wants(&[("dev", 1)]), items(&["1"])].concat();
        let orders = plan(&fleet(), wants, &Inventory::Unknown, &policy, now());
        assert!(holds(&orders).contains(&("queue-i1".to_owned(), HoldReason::Unknown)));
    }
}

#[test]
fn a_slot_that_is_wanted_twice_is_wanted_once() {
    let wants = [wants(&[("dev", 2)]), wants(&[("qa", 1)]), wants(&[("dev", 3)])].concat();
    let orders = plan(&fleet(), wants, &known([]), &OPEN, now());
    assert_eq!(starts(&orders), ["dev-s0", "dev-s1", "dev-s2", "qa-s0"]);
}

#[derive(Debug, Clone)]
struct World {
    counts: Vec<u32>,
    slots: BTreeMap<(usize, u32), Kind>,
    policy: Policy,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Live,
    FailedJustNow(u64),
    FailedLongAgo(u64),
}

const ROLES: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

fn world() -> impl Strategy<Value = World> {
    let kind = prop_oneof![
        Just(Kind::Live),
        (1..8u64).prop_map(Kind::FailedJustNow),
        (1..8u64).prop_map(Kind::FailedLongAgo)
    ];
    let slots = prop::collection::btree_map((0..4usize, 0..8u32), kind, 0..20);
    let counts = prop::collection::vec(0..6u32, 3);
    (counts, slots, prop::option::of(0..20u32), 0..20u32).prop_map(
        |(counts, slots, max_running, max_spawns)| {
            let policy = Policy { max_running, max_spawns, ..OPEN };
            World { counts, slots, policy }
        },
    )
}

impl World {
    fn wants(&self) -> Vec<Want> {
        wants(&ROLES.into_iter().zip(self.counts.iter().copied()).collect::<Vec<_>>())
    }

    fn inventory(&self) -> Inventory {
        known(self.slots.iter().map(|(&(role, index), &kind)| {
            let record = match kind {
                Kind::Live => live(),
                Kind::FailedJustNow(times) => failed(times, Duration::ZERO),
                Kind::FailedLongAgo(times) => failed(times, Duration::from_secs(90_000)),
            };
            (slot(ROLES[role], index), record)
        }))
    }

    fn is_live(&self, role: usize, index: u32) -> bool {
        matches!(self.slots.get(&(role, index)), Some(Kind::Live))
    }

    fn live(&self) -> usize {
        self.slots.values().filter(|kind| matches!(kind, Kind::Live)).count()
    }

    fn after(&self, orders: &[Order]) -> Self {
        let mut next = self.clone();
        for order in orders {
            if let Order::Start(want) = order {
                let role = ROLES
                    .iter()
                    .position(|role| *role == want.slot.group.as_str())
                    .expect("a known role");
                next.slots.insert((role, want.slot.index().expect("a role's slot")), Kind::Live);
            }
        }
        next
    }
}

proptest! {
    #[test]
    fn a_plan_never_starts_more_than_any_limit_allows(world in world()) {
        let orders = plan(&fleet(), world.wants(), &world.inventory(), &world.policy, now());
        let started = starts(&orders).len();
        prop_assert!(started <= world.policy.max_spawns as usize);
        if let Some(cap) = world.policy.max_running {
            prop_assert!(started == 0 || world.live() + started <= cap as usize);
        }
        let after = world.after(&orders);
        for (role, &count) in world.counts.iter().enumerate() {
            let live = |world: &World| (0..8).filter(|&index| world.is_live(role, index)).count();
            prop_assert!(live(&after) <= (count as usize).max(live(&world)), "role {role}");
        }
    }

    #[test]
    fn a_plan_starts_only_free_slots_inside_the_count_and_each_once(world in world()) {
        let orders = plan(&fleet(), world.wants(), &world.inventory(), &world.policy, now());
        let mut seen = std::collections::BTreeSet::new();
        for order in &orders {
            let slot = order.target().slot;
            let role = ROLES.iter().position(|role| *role == slot.group.as_str());
            let role = role.expect("a known role");
            prop_assert!(slot.index().expect("a role's slot") < world.counts[role]);
            prop_assert!(!world.is_live(role, slot.index().expect("a role's slot")));
            prop_assert!(seen.insert(slot.clone()), "{} twice", slot.name());
        }
    }

    #[test]
    fn a_second_plan_starts_only_what_max_spawns_cut_from_the_first(world in world()) {
        let orders = plan(&fleet(), world.wants(), &world.inventory(), &world.policy, now());
        let after = world.after(&orders);
        let again = plan(&fleet(), after.wants(), &after.inventory(), &after.policy, now());
        let holds = holds(&orders);
        let cut = holds.iter().filter(|(_, reason)| *reason == HoldReason::MaxSpawns).count();
        prop_assert!(starts(&again).len() <= cut);
    }

    #[test]
    fn every_slot_that_stays_empty_has_a_reason(world in world()) {
        let orders = plan(&fleet(), world.wants(), &world.inventory(), &world.policy, now());
        for (role, &count) in world.counts.iter().enumerate() {
            let live = (0..8).filter(|&index| world.is_live(role, index)).count();
            let is_of_role = |order: &&Order| order.target().slot.group.as_str() == ROLES[role];
            let listed = orders.iter().filter(is_of_role).count();
            prop_assert_eq!(listed, (count as usize).saturating_sub(live));
        }
    }

    #[test]
    fn no_slot_in_backoff_starts(world in world()) {
        let orders = plan(&fleet(), world.wants(), &world.inventory(), &world.policy, now());
        for order in &orders {
            let slot = &order.target().slot;
            let role = ROLES.iter().position(|role| *role == slot.group.as_str());
            let key = (role.expect("a known role"), slot.index().expect("a role's slot"));
            if let (Order::Start(_), Some(kind)) = (order, world.slots.get(&key)) {
                prop_assert!(matches!(kind, Kind::FailedLongAgo(_)));
            }
        }
    }
}
