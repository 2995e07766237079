//! The cycle over platforms that misbehave in ways a real one seldom shows.

use std::cell::{Cell, RefCell};
use std::time::SystemTime;

use coordinator::cycle::{self, Cycle, Stop};
use coordinator::render::progress::Progress;
use coordinator::sources::{self, AnySource};
use coordinator::steps::StepName;
use coordinator_core::fleet::{Listing, Want};
use coordinator_core::platform::{CycleId, Platform, Start};
use coordinator_core::report::{Interrupt, Report, StepOutcome};
use coordinator_http::Client;
use coordinator_roster::Roster;

use testkit::workplace::RosterText;

/// The behaviour of the list.
#[derive(Clone, Copy)]
enum List {
    Answers,
    Panics,
    Hangs,
}

/// A platform that starts everything but the roles in `broken`, each start after a few turns of the
/// runtime.
struct Wayward {
    list: List,
    broken: &'static str,
    under_way: Cell<usize>,
    most_under_way: Cell<usize>,
    started: RefCell<Vec<String>>,
}

impl Wayward {
    fn new(list: List, broken: &'static str) -> Self {
        Self {
            list,
            broken,
            under_way: Cell::new(0),
            most_under_way: Cell::new(0),
            started: RefCell::default(),
        }
    }
}

impl Platform for Wayward {
    async fn list(&self) -> anyhow::Result<Listing> {
        match self.list {
            List::Answers => Ok(Listing::default()),
            List::Panics => panic!("a bug in the list"),
            List::Hangs => std::future::pending().await,
        }
    }

    async fn start(&self, want: &Want, _: &CycleId, _: SystemTime) -> anyhow::Result<Start> {
        self.under_way.set(self.under_way.get() + 1);
        self.most_under_way.set(self.most_under_way.get().max(self.under_way.get()));
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        self.under_way.set(self.under_way.get() - 1);
        anyhow::ensure!(want.slot.group.as_str() != self.broken, "no such program");
        self.started.borrow_mut().push(want.slot.name());
        Ok(Start::Started { generation: 1 })
    }

    async fn preview(&self, _: &Want, _: SystemTime) -> anyhow::Result<Start> {
        Ok(Start::Started { generation: 7 })
    }

    fn requests(&self) -> u64 {
        0
    }
}

fn load(text: &RosterText) -> Roster {
    let workplace = text.write();
    let home = |name: &str| (name == "HOME").then(|| "/nowhere".to_owned());
    coordinator_roster::load(&workplace.roster(), &home)
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

fn cycle_of(roster: &Roster, platform: Wayward) -> Cycle<'_, Wayward, AnySource<'_>> {
    Cycle {
        roster,
        id: CycleId("c1".to_owned()),
        steps: vec![StepName::Inventory, StepName::Spawn, StepName::Merge, StepName::Health],
        sources: sources::configured(roster, &[], &[]),
        dry_run: false,
        platform: Ok(platform),
        github: Err(anyhow::anyhow!("no token")),
        probe: Client::new(),
        clock: SystemTime::now,
        progress: Progress::default(),
    }
}

async fn report_of(roster: &Roster, platform: Wayward) -> Report {
    cycle::run(&cycle_of(roster, platform), &Stop::default()).await
}

fn error(outcome: &StepOutcome) -> &str {
    outcome.error().unwrap_or_else(|| panic!("the step did not fail: {outcome:?}"))
}

fn two_agents() -> RosterText {
    RosterText::default().role("dev", 2, "[\"true\"]")
}

#[tokio::test]
async fn a_panic_in_one_step_is_that_step_s_failure_alone() {
    let report = report_of(&load(&two_agents()), Wayward::new(List::Panics, "")).await;
    assert_eq!(error(&report.inventory.outcome), "panicked: a bug in the list");
    assert_eq!(report.inventory.body.running, None, "unknown is not zero");
    assert_eq!(report.spawn.outcome, StepOutcome::Ok);
    assert_eq!(report.spawn.body.spawned.len(), 2, "each slot is looked at on its own");
}

#[tokio::test]
async fn a_list_that_never_answers_leaves_time_for_the_spawns() {
    let roster = load(&two_agents().deadline("2s"));
    let report = report_of(&roster, Wayward::new(List::Hangs, "")).await;
    assert!(error(&report.inventory.outcome).starts_with("timed out after"));
    assert_eq!(report.spawn.body.spawned.len(), 2);
}

#[tokio::test]
async fn eight_starts_are_under_way_at_once_and_never_more() {
    let roster = load(&RosterText::default().role("dev", 30, "[\"true\"]"));
    let cycle = cycle_of(&roster, Wayward::new(List::Answers, ""));
    let report = cycle::run(&cycle, &Stop::default()).await;
    assert_eq!(report.spawn.body.spawned.len(), 30);
    let platform = cycle.platform.expect("it was handed in");
    assert_eq!(platform.most_under_way.get(), 8);
}

#[tokio::test]
async fn the_report_keeps_the_order_of_the_roster() {
    let roster = load(&two_agents().role("ops", 3, "[\"true\"]"));
    let report = report_of(&roster, Wayward::new(List::Answers, "")).await;
    let names: Vec<_> =
        report.spawn.body.spawned.iter().map(|spawned| spawned.target.slot.name()).collect();
    assert_eq!(names, ["dev-s0", "dev-s1", "ops-s0", "ops-s1", "ops-s2"]);
}

#[tokio::test]
async fn after_a_failed_start_the_rest_of_that_role_is_held_and_the_next_role_starts() {
    let roster =
        load(&RosterText::default().role("dev", 20, "[\"true\"]").role("ops", 2, "[\"true\"]"));
    let report = report_of(&roster, Wayward::new(List::Answers, "dev")).await;
    let body = &report.spawn.body;
    assert!(
        body.failed.len() <= 8,
        "{} failed: the first eight were under way at once",
        body.failed.len()
    );
    assert!(body.held.iter().all(|(_, hold)| hold.reason.word() == "role_failed"));
    assert_eq!(body.failed.len() + body.held.len(), 20, "every slot that stays empty has a reason");
    assert_eq!(body.spawned.len(), 2);
}

#[tokio::test]
async fn a_signal_stops_what_has_not_begun_and_the_report_lists_what_was_done() {
    let roster = load(&RosterText::default().role("dev", 30, "[\"true\"]"));
    let stop = Stop::default();
    stop.now(Interrupt::Sigterm);
    let report = cycle::run(&cycle_of(&roster, Wayward::new(List::Answers, "")), &stop).await;
    assert_eq!(report.interrupted, Some(Interrupt::Sigterm));
    assert_eq!(error(&report.spawn.outcome), "interrupted with 30 still to start");
    assert!(report.spawn.body.spawned.is_empty());
    assert_eq!(report.spawn.body.held.len(), 30, "every slot that stays empty has a reason");
}

#[tokio::test]
async fn a_dry_run_previews_on_the_platform_and_starts_nothing() {
    let roster = load(&two_agents());
    let mut cycle = cycle_of(&roster, Wayward::new(List::Panics, ""));
    cycle.dry_run = true;
    let report = cycle::run(&cycle, &Stop::default()).await;
    let generations: Vec<_> =
        report.spawn.body.spawned.iter().map(|spawned| spawned.generation).collect();
    assert_eq!(generations, [7, 7]);
    assert!(cycle.platform.expect("it was handed in").started.borrow().is_empty());
}

#[tokio::test]
async fn an_edge_that_could_not_be_set_up_fails_its_own_step_alone() {
    let roster = load(&two_agents());
    let mut cycle = cycle_of(&roster, Wayward::new(List::Answers, ""));
    cycle.platform = Err(anyhow::anyhow!("no place for sessions"));
    let report = cycle::run(&cycle, &Stop::default()).await;
    assert_eq!(error(&report.inventory.outcome), "no place for sessions");
    assert_eq!(error(&report.spawn.outcome), "no place for sessions");
    assert_eq!(report.health.outcome, StepOutcome::NotConfigured);
}
