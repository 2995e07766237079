//! What counts against a budget, and what it holds back.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use coordinator_core::budget::{Budget, Charge, Purse, Spending, WINDOW, spending};
use coordinator_core::fleet::{
    Counts, FleetName, FleetPause, Group, Hold, HoldReason, Inventory, Listing, LiveSession,
    Outcome, Role, RoleKey, Run, SessionResult, SessionSpec, Slot, SlotRecord, State, Target,
    Usage, Usd, Want, WorkItem,
};
use coordinator_core::plan::{OnInventoryFailure, Order, Policy, plan};
use coordinator_core::platform::{Damaged, Ended};
use coordinator_core::report::Access;
use proptest::prelude::*;

const HOUR: Duration = Duration::from_secs(3_600);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000)
}

fn usd(dollars: f64) -> Usd {
    Usd::from_dollars(dollars)
}

fn key(text: &str) -> RoleKey {
    RoleKey::parse(text).expect("a valid key")
}

fn slot(index: u32) -> Slot {
    Slot::of_role(&key("builder"), index)
}

fn target(slot: Slot) -> Target {
    Target { role: key("builder"), slot, item: None }
}

/// 20 dollars a day, 2 a session.
fn budget() -> Budget {
    Budget {
        per_day: Some(usd(20.0)),
        session: [(key("builder"), usd(2.0))].into(),
        ..Budget::default()
    }
}

fn live(generation: u64) -> SlotRecord {
    let live = LiveSession {
        generation: Some(generation),
        state: State::Running,
        started_at: Some(now()),
        item: None,
    };
    SlotRecord::of(Some(live), Vec::new())
}

/// A session that ended so long ago, and left this.
fn run(generation: u64, ago: Duration, usage: impl Into<Option<Usage>>) -> Run {
    Run {
        generation,
        outcome: Outcome::Succeeded,
        exit_code: Some(0),
        detail: None,
        started_at: now() - ago - HOUR / 2,
        finished_at: now() - ago,
        disrupted: false,
        stopped_by: None,
        result: usage.into().map(|usage| SessionResult { usage, ..SessionResult::default() }),
        item: None,
    }
}

/// A cost that the agent's program printed.
fn measured(dollars: f64) -> Usage {
    Usage { cost_usd: Some(usd(dollars)), measured: true, ..Usage::default() }
}

/// A cost that the agent itself wrote.
fn claimed(dollars: f64) -> Usage {
    Usage { cost_usd: Some(usd(dollars)), ..Usage::default() }
}

fn listing(slots: impl IntoIterator<Item = (Slot, SlotRecord)>) -> Listing {
    Listing { slots: slots.into_iter().collect(), ..Listing::default() }
}

fn ended(runs: impl IntoIterator<Item = (Slot, Run)>) -> Ended {
    Ended { runs: runs.into_iter().collect(), ..Ended::default() }
}

fn hold_at(budget: &Budget, spending: &Spending, now: SystemTime) -> Option<Hold> {
    Purse::new(budget, spending, now).hold(&target(slot(99)))
}

fn hold_of(listing: &Listing, ended: &Ended) -> Option<Hold> {
    hold_at(&budget(), &spending(&budget(), listing, ended), now())
}

/// Nine dollars, spent by one session so long ago.
fn nine(ago: Duration) -> Ended {
    ended([(slot(50), run(1, ago, measured(9.0)))])
}

#[test]
fn live_sessions_reserve_what_they_may_cost_and_the_one_that_does_not_fit_waits() {
    let running = |count| listing((0..count).map(|index| (slot(index), live(1))));
    assert_eq!(hold_of(&running(4), &nine(HOUR)), None, "9 + 8 + 2");
    let hold = hold_of(&running(5), &nine(HOUR)).expect("9 + 10 + 2 is more than 20");
    assert_eq!(hold.reason, HoldReason::Budget);
    assert_eq!(hold.until, Some(now() - HOUR + WINDOW), "when the nine dollars leave the window");
    assert_eq!(
        hold.detail,
        "per_day_usd = $20.00 has no room for $2.00: $9.00 spent in 24 h, $10.00 reserved for \
         live sessions"
    );
    let hold = hold_of(&running(10), &Ended::default()).expect("20 + 2");
    assert_eq!(hold.until, None, "a session must end, and nobody knows when");
}

#[test]
fn each_limit_alone_makes_a_budget_and_a_price_alone_does_not() {
    let price = Budget { per_day: None, ..budget() };
    assert!(!price.is_set());
    let role = || [(key("builder"), usd(1.0))].into();
    let source = || [("issues".to_owned(), usd(1.0))].into();
    for limited in [
        Budget { per_day: Some(usd(1.0)), ..Budget::default() },
        Budget { per_role: role(), ..Budget::default() },
        Budget { per_source: source(), ..Budget::default() },
        Budget { per_item: source(), ..Budget::default() },
        Budget { sessions_per_hour: Some(1), ..Budget::default() },
    ] {
        assert!(limited.is_set(), "{limited:?}");
    }
}

#[test]
fn each_role_has_its_own_price_and_one_that_is_gone_the_highest() {
    let session = [(key("builder"), usd(2.0)), (key("tester"), usd(0.5))].into();
    let budget = Budget { session, ..budget() };
    let of = |role: &str| budget.cost(role, &run(1, HOUR, None));
    assert_eq!([of("builder"), of("tester"), of("gone")], [usd(2.0), usd(0.5), usd(2.0)]);
}

#[test]
fn a_session_of_unknown_cost_counts_as_the_most_that_it_may_cost() {
    let of = |usage: Option<Usage>| budget().cost("builder", &run(1, HOUR, usage));
    assert_eq!(of(None), usd(2.0), "it was killed, and left no result");
    assert_eq!(of(Some(Usage::default())), usd(2.0), "its model has no known price");
    assert_eq!(of(Some(measured(0.25))), usd(0.25));
    assert_eq!(of(Some(measured(2.5))), usd(2.5), "it overshot by a turn");
    assert_eq!(of(Some(claimed(0.01))), usd(2.0), "an agent's own word never lowers its cost");
    assert_eq!(of(Some(claimed(2.5))), usd(2.5));
    let of_gone_role = budget().cost("gone", &run(1, HOUR, None));
    assert_eq!(of_gone_role, usd(2.0), "the most of any role");
}

#[test]
fn the_window_is_24_hours_and_no_clock_frees_money() {
    let spent = |ago: Duration| spending(&budget(), &listing([]), &nine(ago));
    let room = |spending: &Spending, now| {
        let budget = Budget { per_day: Some(usd(10.0)), ..budget() };
        hold_at(&budget, spending, now).is_none()
    };
    assert!(!room(&spent(23 * HOUR), now()));
    assert!(room(&spent(WINDOW), now()), "it has left");
    let yesterday = now() - WINDOW;
    assert!(!room(&spent(HOUR), yesterday), "a clock that went back by a day");
    assert!(!room(&spent(23 * HOUR), yesterday), "a record of the future counts");
    let future = spending(
        &budget(),
        &listing([]),
        &ended([(slot(1), Run { finished_at: now() + 3 * HOUR, ..run(1, HOUR, measured(9.0)) })]),
    );
    assert!(!room(&future, now() + WINDOW + 2 * HOUR));
    assert!(room(&future, now() + WINDOW + 3 * HOUR), "24 h after its own time");
    let end_of_time = SystemTime::UNIX_EPOCH + Duration::from_secs(i64::MAX as u64 - 10);
    let last = Run { finished_at: end_of_time, ..run(1, HOUR, measured(9.0)) };
    let last = spending(&budget(), &listing([]), &ended([(slot(1), last)]));
    assert!(!room(&last, now() + 365 * WINDOW), "a record after all times counts always");
}

#[test]
fn what_cannot_be_read_holds_everything_and_a_damaged_record_counts_as_the_most() {
    let unreadable = Ended { unreadable: vec!["permission denied".to_owned()], ..Ended::default() };
    let hold = hold_of(&listing([]), &unreadable).expect("nothing is known");
    assert_eq!((hold.reason, hold.until), (HoldReason::Budget, None));
    assert!(hold.detail.ends_with("is unknown: permission denied"), "{}", hold.detail);
    let damaged = |number: u32| Damaged {
        slot: slot(number),
        at: now() - HOUR,
        why: "half a record".to_owned(),
    };
    let damaged = |count| Ended { damaged: (0..count).map(damaged).collect(), ..Ended::default() };
    assert_eq!(hold_of(&listing([]), &damaged(9)), None);
    let hold = hold_of(&listing([]), &damaged(10)).expect("20 + 2");
    assert_eq!(hold.until, Some(now() - HOUR + WINDOW));
}

#[test]
fn each_session_counts_once_wherever_it_shows() {
    let past = run(3, HOUR, measured(9.0));
    let record = SlotRecord::of(None, vec![past.clone()]);
    let both = spending(&budget(), &listing([(slot(0), record)]), &ended([(slot(0), past)]));
    let Spending::Known(charges) = both else { panic!("all is known") };
    assert_eq!(charges.iter().map(|charge| charge.usd).collect::<Vec<_>>(), [usd(9.0)]);
    // It ended between the list and the history.
    let ending = ended([(slot(0), run(1, Duration::ZERO, measured(0.5)))]);
    let Spending::Known(charges) = spending(&budget(), &listing([(slot(0), live(1))]), &ending)
    else {
        panic!("all is known")
    };
    assert_eq!(charges.len(), 1);
    assert_eq!((charges[0].usd, charges[0].ended_at), (usd(2.0), None));
}

#[test]
fn a_raised_limit_lets_the_next_cycle_start() {
    let spent =
        spending(&budget(), &listing([]), &ended([(slot(0), run(1, HOUR, measured(19.0)))]));
    assert!(hold_at(&budget(), &spent, now()).is_some());
    let raised = Budget { per_day: Some(usd(21.0)), ..budget() };
    assert_eq!(hold_at(&raised, &spent, now()), None);
}

#[test]
fn caps_of_a_role_and_of_a_source_bind_these_alone() {
    let session = [(key("builder"), usd(2.0)), (key("tester"), usd(2.0))].into();
    let budget = Budget {
        per_role: [(key("tester"), usd(3.0))].into(),
        per_source: [("issues".to_owned(), usd(1.0))].into(),
        session,
        ..Budget::default()
    };
    let charge = |role: &str| Charge {
        role: role.to_owned(),
        source: "roster".to_owned(),
        usd: usd(2.0),
        ended_at: Some(now() - HOUR),
        started_at: Some(now() - 2 * HOUR),
    };
    let purse =
        Purse::new(&budget, &Spending::Known(vec![charge("tester"), charge("builder")]), now());
    assert_eq!(purse.hold(&target(slot(0))), None);
    let tester = Target { slot: Slot::of_role(&key("tester"), 0), role: key("tester"), item: None };
    let hold = purse.hold(&tester).expect("2 + 2 is more than 3");
    assert!(hold.detail.starts_with("per_role.tester = $3.00"), "{}", hold.detail);
    let hold = purse.hold(&of_item(usd(0.0))).expect("2 is more than 1");
    assert!(hold.detail.starts_with("per_source.issues = $1.00"), "{}", hold.detail);
    // Nothing that is not capped is held where what was spent is unknown.
    let purse = Purse::new(&budget, &Spending::Unknown("gone".to_owned()), now());
    assert_eq!(purse.hold(&target(slot(0))), None);
    assert!(purse.hold(&tester).is_some());
}

#[test]
fn of_several_caps_the_one_that_frees_last_is_named_and_each_is_marked() {
    let budget = Budget { per_role: [(key("builder"), usd(10.0))].into(), ..budget() };
    let past =
        [(slot(1), run(1, 20 * HOUR, measured(9.0))), (slot(2), run(1, HOUR, measured(10.0)))];
    let purse = Purse::new(&budget, &spending(&budget, &listing([]), &ended(past)), now());
    let hold = purse.hold(&target(slot(0))).expect("neither has room");
    assert_eq!(hold.until, Some(now() + 23 * HOUR), "{}", hold.detail);
    assert!(hold.detail.starts_with("per_role.builder"), "{}", hold.detail);
    let held = Order::Hold { target: target(slot(0)), hold };
    let caps = purse.after(&[held]).caps;
    let frees: Vec<_> = caps.iter().map(|cap| (cap.is_held, cap.free_at)).collect();
    let after = |hours: u32| Some(now() + hours * HOUR);
    assert_eq!(frees, [(true, after(4)), (true, after(23))]);
}

#[test]
fn of_caps_that_free_at_once_the_widest_is_named_and_another_reason_marks_none() {
    let budget = Budget { per_role: [(key("builder"), usd(20.0))].into(), ..budget() };
    let past = ended([(slot(1), run(1, HOUR, measured(19.0)))]);
    let purse = Purse::new(&budget, &spending(&budget, &listing([]), &past), now());
    let hold = purse.hold(&target(slot(0))).expect("neither has room");
    assert!(hold.detail.starts_with("per_day_usd"), "{}", hold.detail);
    let backoff = Hold { reason: HoldReason::Backoff, ..hold };
    let held = Order::Hold { target: target(slot(0)), hold: backoff };
    assert!(purse.after(&[held]).caps.iter().all(|cap| !cap.is_held));
}

/// A work item of the source `issues` that has cost so much.
fn of_item(cost_usd: Usd) -> Target {
    let group = Group::parse("issues").expect("a valid name");
    let counts = Counts { attempt: 2, cost_usd, ..Counts::default() };
    let item = WorkItem { id: "7".to_owned(), counts };
    Target { slot: Slot::of_item(&group, "7"), role: key("builder"), item: Some(item) }
}

#[test]
fn an_item_that_has_cost_its_cap_waits_for_a_person() {
    let budget =
        Budget { per_day: None, per_item: [("issues".to_owned(), usd(5.0))].into(), ..budget() };
    let purse = Purse::new(&budget, &Spending::Known(Vec::new()), now());
    assert_eq!(purse.hold(&of_item(usd(3.0))), None);
    let hold = purse.hold(&of_item(usd(3.5))).expect("3.50 + 2 is more than 5");
    assert_eq!((hold.reason, hold.until), (HoldReason::Budget, None));
    assert!(hold.detail.contains("a person must raise it"), "{}", hold.detail);
}

#[test]
fn starts_in_an_hour_are_bounded_whatever_they_cost() {
    let budget = Budget { sessions_per_hour: Some(2), per_day: None, ..budget() };
    let started = |minutes: u64| {
        let at = now() - Duration::from_secs(60 * minutes);
        Run { started_at: at, finished_at: at, ..run(minutes, HOUR, measured(0.0)) }
    };
    let of = |minutes: &[u64]| {
        let runs = minutes.iter().map(|minutes| (slot(0), started(*minutes)));
        hold_at(&budget, &spending(&budget, &listing([]), &ended(runs)), now())
    };
    assert_eq!(of(&[61, 62, 10]), None);
    assert_eq!(of(&[60, 10]), None, "an hour ago is not within the hour");
    let hold = of(&[50, 10, 61]).expect("two in the hour");
    assert_eq!(hold.reason, HoldReason::Rate);
    assert_eq!(hold.until, Some(now() + Duration::from_secs(600)), "when the first has left");
    let hold = of(&[50, 40, 10]).expect("three in the hour");
    assert_eq!(hold.until, Some(now() + Duration::from_secs(20 * 60)));
    let unknown = Spending::Unknown("gone".to_owned());
    assert_eq!(hold_at(&budget, &unknown, now()).map(|hold| hold.reason), Some(HoldReason::Rate));
}

fn wants(count: u32) -> Vec<Want> {
    let role = Role {
        key: key("builder"),
        name: "Builder".to_owned(),
        count,
        department: String::new(),
        mode: coordinator_core::fleet::Mode::Thinker,
        spec: Arc::new(SessionSpec::default()),
    };
    role.wants().collect()
}

fn policy(purse: Purse) -> Policy {
    Policy {
        max_running: Some(1_000),
        max_spawns: 1_000,
        max_concurrent: std::collections::BTreeMap::new(),
        on_inventory_failure: OnInventoryFailure::Spawn,
        pause: FleetPause::Off,
        budget: Some(purse),
        platform: Access::Granted,
    }
}

fn fleet() -> FleetName {
    FleetName::parse("demo").expect("a valid name")
}

#[test]
fn without_an_inventory_nothing_starts_under_a_budget() {
    let purse = Purse::new(&budget(), &Spending::Unknown("no list".to_owned()), now());
    let orders = plan(&fleet(), wants(2), &Inventory::Unknown, &policy(purse), now());
    let held = orders.iter().filter(
        |order| matches!(order, Order::Hold { hold, .. } if hold.reason == HoldReason::Unknown),
    );
    assert_eq!(held.count(), 2);
}

#[test]
fn the_report_has_each_cap_what_holds_and_what_overlapping_cycles_may_add() {
    let listing = listing([(slot(0), live(1))]);
    let ended = ended([(slot(1), run(1, HOUR, measured(12.5)))]);
    let purse = Purse::new(&budget(), &spending(&budget(), &listing, &ended), now());
    let policy = policy(purse.clone());
    let orders = plan(&fleet(), wants(5), &Inventory::Known(listing), &policy, now());
    let report = purse.after(&orders);
    let cap = &report.caps[0];
    assert_eq!((cap.spent, cap.reserved), (usd(12.5), usd(6.0)), "one runs, two start");
    assert!(cap.is_held);
    assert_eq!(cap.free_at, Some(now() - HOUR + WINDOW));
    assert_eq!(report.overshoot, usd(4.0));
    assert_eq!(report.cost_by_role["builder"], usd(14.5));
    assert_eq!(report.sessions_in_hour, 3, "one that runs, and two that start");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever ran: what ended and what is live and what starts fits under the cap, or nothing
    /// starts.
    #[test]
    fn admitted_sessions_never_exceed_the_cap(
        alive in 0u32..12,
        past in proptest::collection::vec((0u64..30, proptest::option::of(0.0f64..4.0)), 0..12),
        wanted in 0u32..12,
        limit in 0.5f64..40.0,
    ) {
        let budget = Budget { per_day: Some(usd(limit)), ..budget() };
        let slots = (0..alive).map(|index| (slot(index), live(1_000)));
        let runs = past.iter().zip(1u64..).map(|((hours, cost), generation)| {
            let usage = cost.map(measured);
            (slot(500), run(generation, HOUR * u32::try_from(*hours).expect("small"), usage))
        });
        let (listing, ended) = (listing(slots), ended(runs));
        let counted: f64 = past.iter().filter(|(hours, _)| *hours < 24)
            .map(|(_, cost)| cost.unwrap_or(2.0)).sum::<f64>() + 2.0 * f64::from(alive);
        let spending = spending(&budget, &listing, &ended);
        let policy = policy(Purse::new(&budget, &spending, now()));
        let (wants, inventory) = (wants(alive + wanted), Inventory::Known(listing));
        let orders = plan(&fleet(), wants, &inventory, &policy, now());
        let starts = orders.iter().filter(|order| matches!(order, Order::Start(_))).count();
        let starts = u32::try_from(starts).expect("few");
        prop_assert!(starts == 0 || counted + 2.0 * f64::from(starts) <= limit + 0.001);
        prop_assert!(starts == wanted || counted + 2.0 * f64::from(starts + 1) > limit - 0.001);
    }
}
