//! Which sessions are printed, by time, role and source.

use std::sync::Arc;

use coordinator_core::backoff::BackoffSettings;
use coordinator_core::fleet::{
    Counts, Group, LocalSettings, Mode, Outcome, SessionSpec, State, Usd, WorkItem,
};

use super::*;

fn at(minute: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600 + minute * 60)
}

fn key(text: &str) -> RoleKey {
    RoleKey::parse(text).expect("a valid key")
}

fn role(text: &str, agent: Profile) -> Role {
    let spec = SessionSpec {
        agent,
        command: Vec::new(),
        prompt: String::new(),
        brief: String::new(),
        brief_path: String::new(),
        env: BTreeMap::new(),
        time_limit: Duration::ZERO,
        stall_timeout: Duration::ZERO,
        session_usd: Usd::default(),
        backoff: BackoffSettings::default(),
        local: LocalSettings { min_free_bytes: 0, retain: 0, retain_work: 0 },
        container: None,
    };
    Role {
        key: key(text),
        name: text.to_owned(),
        count: 1,
        department: String::new(),
        mode: Mode::TaskDriven,
        spec: Arc::new(spec),
    }
}

fn run(generation: u64, item: Option<ItemRun>) -> Run {
    Run {
        generation,
        outcome: Outcome::Succeeded,
        exit_code: Some(0),
        detail: None,
        started_at: at(10 * generation),
        finished_at: at(10 * generation + 5),
        disrupted: false,
        stopped_by: None,
        result: None,
        item,
    }
}

fn live(generation: u64) -> LiveSession {
    let started_at = Some(at(10 * generation));
    LiveSession { generation: Some(generation), state: State::Running, started_at, item: None }
}

fn sessions(slot: Slot, live: Option<LiveSession>, history: Vec<Run>) -> SlotSessions {
    let slots = BTreeMap::from([(slot, SlotRecord::of(live, history))]);
    SlotSessions::of(Listing { slots, ..Listing::default() }).remove(0)
}

/// An item of the source `issues`, on which a builder works.
fn item() -> (Slot, ItemRun) {
    let slot = Slot::of_item(&Group::parse("issues").expect("a valid name"), "b\u{1b}[1m-7");
    let item = WorkItem { id: "b\u{1b}[1m-7".to_owned(), counts: Counts::default() };
    (slot, ItemRun { role: key("builder"), item })
}

/// A tester that runs and ran twice, an ended session of an item, and an idle reviewer.
fn found() -> Vec<SlotSessions> {
    let (slot, item) = item();
    vec![
        sessions(Slot::of_role(&key("tester"), 0), Some(live(6)), vec![run(1, None), run(4, None)]),
        sessions(slot, None, vec![run(3, Some(item))]),
        sessions(Slot::of_role(&key("reviewer"), 0), None, vec![run(2, None)]),
    ]
}

fn names(filter: &Filter) -> Vec<String> {
    let chosen = chosen(&found(), &[role("builder", Profile::Codex)], filter, at(60));
    chosen.into_iter().map(|session| session.name).collect()
}

fn since(minutes: u64) -> Filter {
    let since = Some(Duration::from_secs(minutes * 60));
    Filter { since, ..Filter::default() }
}

#[test]
fn without_a_time_the_live_sessions_are_meant_by_the_names_of_their_slots() {
    assert_eq!(names(&Filter::default()), ["tester-s0"]);
    let slots = vec![Slot::of_role(&key("reviewer"), 0)];
    assert!(names(&Filter { slots, ..Filter::default() }).is_empty());
}

#[test]
fn sessions_that_were_live_within_the_time_come_oldest_first_and_live_ones_last() {
    let of = |minutes| names(&since(minutes));
    assert_eq!(of(15), ["tester-s0-g4", "tester-s0-g6"]);
    assert_eq!(
        of(45),
        ["tester-s0-g1", "reviewer-s0-g2", "issues/b[1m-7-g3", "tester-s0-g4", "tester-s0-g6"]
    );
}

#[test]
fn a_role_and_a_source_choose_among_the_sessions() {
    let by_role = |text| names(&Filter { role: Some(key(text)), ..since(60) });
    assert_eq!(by_role("builder"), ["issues/b[1m-7-g3"], "the role of an item is its recipe's");
    assert_eq!(by_role("reviewer"), ["reviewer-s0-g2"]);
    let by_source = |text: &str| names(&Filter { source: Some(text.to_owned()), ..since(60) });
    assert_eq!(by_source("issues"), ["issues/b[1m-7-g3"]);
    assert_eq!(by_source("roster").len(), 4);
}

#[test]
fn the_form_of_an_output_is_that_of_the_role_also_where_the_slot_is_an_items() {
    let roles = [role("builder", Profile::Codex)];
    let (slot, item) = item();
    assert_eq!(profile(&roles, &slot, Some(&item)), Some(Profile::Codex));
    assert_eq!(profile(&roles, &slot, None), None);
    assert_eq!(profile(&roles, &Slot::of_role(&key("builder"), 3), None), Some(Profile::Codex));
}

#[test]
fn a_session_that_history_and_list_both_have_is_printed_once() {
    let mut slots = found();
    let tester = Slot::of_role(&key("tester"), 0);
    let gone = Slot::of_role(&key("gone"), 0);
    let before = slots[0].history.len();
    let runs = vec![(tester.clone(), run(4, None)), (tester, run(2, None)), (gone, run(1, None))];
    add(&mut slots, runs);
    assert_eq!((slots[0].history.len(), slots.len()), (before + 1, 4));
}
