//! Work items: what a list says of them, what a start sends, and what the admission compares.

use serde_json::{Value, json};

use super::{
    DATE, OVER, at, item_want, job, not_found, page, platform, posts, run, sent, started, world,
};
use crate::admit::{Decision, Skip, Ticket, admit};
use crate::session_input::SessionInput;
use coordinator_core::fleet::{
    Counts, FleetName, HoldReason, ItemRun, Listing, Outcome, RoleKey, Slot, SlotRecord, State,
    Usd, WorkItem,
};
use coordinator_core::platform::{CycleId, Platform, Start};
use coordinator_github::actions::Workflow;
use coordinator_github::fake::{self, Reply};

/// The run that asks for its admission.
const OWN: u64 = 50;

fn counts(attempt: u32) -> Counts {
    Counts { attempt, ..Counts::default() }
}

fn slot() -> Slot {
    item_want("7", counts(1), 0).slot
}

/// The title of a run for task 7.
fn title(generation: u64, attempt: u32) -> String {
    format!(
        "coord demo queue-i7 g{generation} c1;role=ui_builder;attempt={attempt};limit=7201;id=7"
    )
}

/// The jobs of a run whose agent worked for ten minutes from this minute on.
fn worked(conclusion: &str, hour: u32, minute: u32) -> Value {
    let time = |minute: u32, second: u32| format!("{hour:02}:{minute:02}:{second:02}");
    json!([
        job("admit", "SUCCESS", &time(minute, 1), &time(minute, 5)),
        job("agent", conclusion, &time(minute, 9), &time(minute + 10, 0)),
    ])
}

fn skipped() -> Value {
    json!([
        job("admit", "SUCCESS", "11:40:01", "11:40:05"),
        job("agent", "SKIPPED", "11:40:05", "11:40:05")
    ])
}

async fn listed(runs: Vec<Value>, jobs_of: Vec<(u64, Value)>) -> Listing {
    let (platform, _) = platform(world(runs, jobs_of));
    platform.list().await.expect("a complete list")
}

async fn record(runs: Vec<Value>, jobs_of: Vec<(u64, Value)>) -> SlotRecord {
    listed(runs, jobs_of).await.slots.remove(&slot()).unwrap_or_default()
}

#[tokio::test]
async fn role_item_attempt_and_what_was_used_up_come_back_live_and_ended() {
    let used = ";restarts=1;reworks=2;uncounted=3;cost=0.75";
    let busy = title(2, 2).replace(";limit", &format!("{used};limit"));
    let runs = vec![
        run(2, &busy, ("in_progress", None), "11:50:00"),
        run(1, &title(1, 1), ("completed", Some("failure")), "11:20:00"),
    ];
    let record = record(runs, vec![(1, worked("FAILURE", 11, 20))]).await;
    let live = record.live.as_ref().expect("it is live");
    let cost_usd = Usd::from_dollars(0.75);
    let counts = Counts { attempt: 2, context_restarts: 1, reworks: 2, uncounted: 3, cost_usd };
    let role = RoleKey::parse("ui_builder").expect("a valid key");
    let of = ItemRun { role, item: WorkItem { id: "7".to_owned(), counts } };
    assert_eq!((live.state, live.item.as_ref()), (State::Running, Some(&of)));
    let ended: Vec<_> = record.history.iter().map(|run| (run.generation, run.outcome)).collect();
    assert_eq!(ended, [(1, Outcome::Failed)], "by its jobs, although its slot is taken");
    let attempt = record.history[0].item.as_ref().map(|of| of.item.counts.attempt);
    assert_eq!((attempt, record.generation), (Some(1), 2));
}

#[tokio::test]
async fn the_time_limit_of_an_items_session_is_the_one_in_its_title() {
    for (limit, expected) in [(600, Outcome::TimedOut), (7201, Outcome::Stopped)] {
        let title = title(1, 1).replace("limit=7201", &format!("limit={limit}"));
        let runs = vec![run(1, &title, ("completed", Some("cancelled")), "11:20:00")];
        let record = record(runs, vec![(1, worked("CANCELLED", 11, 20))]).await;
        assert_eq!(record.history[0].outcome, expected, "{limit}");
    }
}

#[tokio::test]
async fn a_run_that_was_not_admitted_is_nothing_that_a_session_could_follow() {
    let runs = vec![run(2, &title(2, 2), OVER, "11:40:00"), run(1, &title(1, 1), OVER, "11:20:00")];
    let jobs_of = vec![(2, skipped()), (1, worked("FAILURE", 11, 20))];
    let record = record(runs.clone(), jobs_of.clone()).await;
    assert_eq!((record.live.as_ref(), record.generation, record.history.len()), (None, 1, 1));
    let (platform, _) = platform(world(runs, jobs_of));
    platform.list().await.expect("a complete list");
    let cycle = CycleId("c1".to_owned());
    let answer =
        platform.start(&item_want("7", counts(2), 1), &cycle, at("2026-01-01T12:00:00Z")).await;
    assert_eq!(answer.expect("it starts"), started(3), "its generation is not given out again");
}

#[tokio::test]
async fn a_run_whose_end_does_not_show_in_its_jobs_yet_holds_its_slot_for_a_while() {
    let admitted = json!([job("admit", "SUCCESS", "11:55:01", "11:55:05")]);
    for rows in [json!([]), admitted] {
        let over = |time: &str| vec![run(3, &title(3, 1), OVER, time)];
        let fresh = record(over("11:58:00"), vec![(3, rows.clone())]).await;
        assert!(fresh.live.is_some() && fresh.history.is_empty(), "{fresh:?}");
        let old = record(over("11:54:59"), vec![(3, rows)]).await;
        assert!(old.live.is_none(), "{old:?}");
    }
}

#[tokio::test]
async fn without_an_inventory_an_item_is_held_and_costs_no_request() {
    let (platform, journal) = platform(world(Vec::new(), Vec::new()));
    let (want, now) = (item_want("7", counts(1), 0), at("2026-01-01T12:00:00Z"));
    let Start::Held(hold) = platform.preview(&want, now).await.expect("an answer") else {
        panic!("only a list shows what it follows")
    };
    assert_eq!(hold.reason, HoldReason::Unknown);
    let answer = platform.start(&want, &CycleId("c1".to_owned()), now).await.expect("an answer");
    assert_eq!((answer, sent(&journal).len()), (Start::Held(hold), 0));
}

#[tokio::test]
async fn a_start_that_was_planned_after_an_older_session_is_superseded_and_costs_no_request() {
    let runs = vec![run(2, &title(2, 2), OVER, "11:20:00")];
    let (platform, journal) = platform(world(runs, vec![(2, worked("FAILURE", 11, 20))]));
    platform.list().await.expect("a complete list");
    for follows in [0, 1, 3] {
        let want = item_want("7", counts(2), follows);
        let answer =
            platform.start(&want, &CycleId("c1".to_owned()), at("2026-01-01T12:00:00Z")).await;
        assert_eq!(answer.expect("an answer"), Start::Superseded, "{follows}");
    }
    assert_eq!(sent(&journal).len(), 2);
}

#[tokio::test]
async fn a_session_workflow_of_before_takes_no_items_and_is_asked_once() {
    let (platform, journal) = platform(|sent| match sent.url.as_str() {
        url if url.contains("/runs?") => page(0, &[]),
        url if url.contains("/concurrency_groups/") => not_found(),
        _ => Reply::json(422, &json!({ "message": "Unexpected inputs provided: [\"item\"]" })),
    });
    platform.list().await.expect("an empty list");
    for id in ["7", "8"] {
        let want = item_want(id, counts(1), 0);
        let answer =
            platform.start(&want, &CycleId("c1".to_owned()), at("2026-01-01T12:00:00Z")).await;
        let Start::Held(hold) = answer.expect("an answer") else { panic!("it cannot start") };
        assert_eq!(hold.reason, HoldReason::Unsupported);
        assert!(
            hold.detail.contains("renew it with `coordinator init --github-actions`"),
            "{}",
            hold.detail
        );
    }
    assert_eq!((posts(&journal), sent(&journal).len()), (1, 3));
}

#[tokio::test]
async fn an_item_whose_id_has_no_room_in_a_title_is_held_and_says_so() {
    let (platform, journal) = platform(world(Vec::new(), Vec::new()));
    platform.list().await.expect("an empty list");
    let want = item_want(&"ü".repeat(30), counts(1), 0);
    let answer = platform.preview(&want, at("2026-01-01T12:00:00Z")).await.expect("an answer");
    let Start::Held(hold) = answer else { panic!("it cannot start") };
    assert_eq!((hold.reason, sent(&journal).len()), (HoldReason::Unsupported, 1));
    assert!(hold.detail.contains("too long for the title of a run"), "{}", hold.detail);
}

/// The ticket of a start for task 7 that was planned by this list, and the title of its run.
async fn planned(follows: u64, runs: Vec<Value>, jobs_of: Vec<(u64, Value)>) -> (Ticket, String) {
    let (platform, journal) = platform(world(runs, jobs_of));
    platform.list().await.expect("a complete list");
    let attempt = u32::try_from(follows).expect("small") + 1;
    let want = item_want("7", counts(attempt), follows);
    let now = at("2026-01-01T12:00:00Z");
    let answer = platform.start(&want, &CycleId("c1".to_owned()), now).await.expect("it starts");
    let Start::Started { generation } = answer else { panic!("{answer:?}") };
    let inputs = journal
        .lock()
        .expect("no test panics with the lock")
        .last()
        .expect("a dispatch")
        .body["inputs"]
        .clone();
    let text = |name: &str| inputs[name].as_str().expect("a text").to_owned();
    let ticket = Ticket {
        fleet: FleetName::parse("demo").expect("a valid name"),
        slot: want.slot,
        generation,
        run: OWN,
        expires_at: at(&text("expires_at")),
        input: SessionInput::read(&text("task_json")).expect("a session input"),
    };
    (ticket, format!("coord demo {} g{generation} c1{}", text("slot"), text("item")))
}

fn since(ticket: &Ticket) -> String {
    let item = ticket.input.item.as_ref().expect("it is an item's");
    humantime::format_rfc3339_seconds(item.since()).to_string()
}

/// A start after session 1, run 5, by a list whose newest run was dispatched at 11:50.
async fn second_attempt() -> (Ticket, String) {
    let runs = vec![
        run(9, "coord demo ui-builder-s0 g4 c1", ("in_progress", None), "11:50:00"),
        run(5, &title(1, 1), ("completed", Some("failure")), "11:10:00"),
    ];
    planned(1, runs, vec![(5, worked("FAILURE", 11, 10))]).await
}

/// What the admission decides where GitHub lists these runs, the newest first.
async fn decided(ticket: &Ticket, runs: Vec<Value>, jobs_of: Vec<(u64, Value)>) -> Decision {
    let (github, _) = fake::github(world(runs, jobs_of));
    admit(ticket, &Workflow::new(github, "agent-session.yml", 20)).await
}

fn own(title: &str) -> Value {
    run(OWN, title, ("in_progress", None), "11:59:50")
}

#[tokio::test]
async fn a_ticket_names_the_session_that_it_follows_and_since_when_its_list_may_lack_runs() {
    let (ticket, _) = second_attempt().await;
    let item = ticket.input.item.as_ref().expect("it is an item's");
    assert_eq!((item.follows, item.follows_run, ticket.generation), (1, Some(5), 2));
    assert_eq!(since(&ticket), "2026-01-01T11:30:00Z", "half an hour before the list");
    // A list that shows nothing new may be far behind.
    let runs = vec![run(4, "coord demo ui-builder-s0 g4 c1", OVER, "09:00:00")];
    let (ticket, _) = planned(0, runs, vec![(4, worked("SUCCESS", 9, 0))]).await;
    assert_eq!(since(&ticket), "2026-01-01T09:00:00Z");
    let (ticket, _) = planned(0, Vec::new(), Vec::new()).await;
    assert_eq!(since(&ticket), "1970-01-01T00:00:00Z");
}

#[tokio::test]
async fn a_run_goes_where_nothing_ran_since_its_start_was_planned() {
    let (ticket, title_of_own) = second_attempt().await;
    let followed = run(5, &title(1, 1), ("completed", Some("failure")), "11:10:00");
    let behind = run(51, &title(2, 2), ("pending", None), "11:59:55");
    let turned_away = run(40, &title(2, 2), OVER, "11:40:00");
    for runs in [
        vec![own(&title_of_own)],
        vec![own(&title_of_own), followed.clone()],
        vec![behind, own(&title_of_own), turned_away, followed],
    ] {
        let jobs_of = vec![(40, skipped()), (5, worked("FAILURE", 11, 10))];
        assert_eq!(decided(&ticket, runs, jobs_of).await, Decision::Go);
    }
    // The session that it follows may be younger than the ticket's time.
    let runs = vec![run(5, &title(1, 1), OVER, "11:40:00")];
    let jobs_of = vec![(5, worked("SUCCESS", 11, 40))];
    let (ticket, title_of_own) = planned(1, runs.clone(), jobs_of.clone()).await;
    let runs = [vec![own(&title_of_own)], runs].concat();
    assert_eq!(decided(&ticket, runs, jobs_of).await, Decision::Go);
}

#[tokio::test]
async fn a_session_since_then_supersedes_the_run_and_one_of_before_does_not() {
    let (ticket, title_of_own) = second_attempt().await;
    for (time, generation, is_superseded) in
        [("11:30:00", 2, true), ("11:45:00", 1, true), ("11:29:59", 2, false)]
    {
        let other = run(30, &title(generation, 2), ("completed", Some("failure")), time);
        let answer = decided(
            &ticket,
            vec![own(&title_of_own), other],
            vec![(30, worked("FAILURE", 11, 46))],
        )
        .await;
        let url = "https://github.com/octo/demo/actions/runs/30".to_owned();
        let superseded = Decision::Skip(Skip::Superseded { generation, url });
        assert_eq!(answer, if is_superseded { superseded } else { Decision::Go }, "{time}");
    }
}

#[tokio::test]
async fn a_list_without_the_run_itself_is_not_believed() {
    let (ticket, _) = second_attempt().await;
    for runs in [vec![], vec![run(9, "coord demo ui-builder-s0 g4 c1", OVER, "11:50:00")]] {
        assert_eq!(decided(&ticket, runs, Vec::new()).await, Decision::Skip(Skip::Behind));
    }
}

#[tokio::test]
async fn a_run_that_no_list_would_show_as_its_session_does_not_go() {
    let (ticket, title_of_own) = second_attempt().await;
    for (part, other) in [
        (";role=ui_builder;attempt=2;limit=7201;id=7", ""),
        ("attempt=2", "attempt=1"),
        ("role=ui_builder", "role=qa"),
        ("id=7", "id=8"),
        ("g2", "g3"),
        ("limit=7201", "limit=7200"),
        ("coord demo", "coord other"),
    ] {
        let wrong = title_of_own.replace(part, other);
        assert_ne!(wrong, title_of_own);
        let answer = decided(&ticket, vec![own(&wrong)], Vec::new()).await;
        assert_eq!(answer, Decision::Skip(Skip::Mislabelled), "{wrong}");
    }
}

#[tokio::test]
async fn what_is_not_certain_does_not_go() {
    let (ticket, title_of_own) = second_attempt().await;
    let own = own(&title_of_own);
    // A run of before that the list still shows as live, whatever its slot's group says.
    let older = run(40, &title(2, 2), ("queued", None), "11:58:00");
    let answer = decided(&ticket, vec![own.clone(), older], Vec::new()).await;
    assert!(matches!(answer, Decision::Skip(Skip::Taken { .. })), "{answer:?}");
    // One that is over, and nothing shows how.
    let fresh = run(40, &title(2, 2), OVER, "11:58:00");
    let answer = decided(&ticket, vec![own.clone(), fresh], vec![(40, json!([]))]).await;
    assert!(matches!(answer, Decision::Skip(Skip::Unknown(_))), "{answer:?}");
    // A list that does not go back far enough.
    let (github, journal) = fake::github(move |_| {
        let others = (100..199).rev().map(|id| run(id, "coord demo qa-s0 g1 c1", OVER, "11:59:59"));
        page(9_999, &others.chain([own.clone()]).collect::<Vec<_>>())
    });
    let answer = admit(&ticket, &Workflow::new(github, "agent-session.yml", 20)).await;
    assert!(matches!(answer, Decision::Skip(Skip::Unknown(_))), "{answer:?}");
    assert_eq!(journal.lock().expect("no test panics with the lock").len(), 5);
    // A list that ends before its time.
    let (github, _) = fake::github(move |_| {
        page(7, &[run(OWN, &title_of_own, ("in_progress", None), "11:59:50")])
    });
    let answer = admit(&ticket, &Workflow::new(github, "agent-session.yml", 20)).await;
    assert!(matches!(answer, Decision::Skip(Skip::Unknown(_))), "{answer:?}");
}

#[tokio::test]
async fn jobs_or_a_list_that_cannot_be_read_start_nothing() {
    let (ticket, title_of_own) = second_attempt().await;
    let (github, _) = fake::github(move |sent| match sent.url.as_str() {
        url if url.ends_with("/graphql") => Reply::json(502, &Value::Null),
        _ => page(2, &[own(&title_of_own), run(40, &title(2, 2), OVER, "11:40:00")]),
    });
    let answer = admit(&ticket, &Workflow::new(github, "agent-session.yml", 20)).await;
    assert!(matches!(answer, Decision::Skip(Skip::Unknown(_))), "{answer:?}");
    let (github, _) = fake::github(|_| Reply::json(500, &Value::Null).with("date", DATE));
    let answer = admit(&ticket, &Workflow::new(github, "agent-session.yml", 20)).await;
    assert!(matches!(answer, Decision::Skip(Skip::Unknown(_))), "{answer:?}");
}

#[tokio::test]
async fn the_input_of_an_item_is_refused_by_what_reads_that_of_roles_alone() {
    let (ticket, _) = second_attempt().await;
    let text = serde_json::to_string(&ticket.input).expect("JSON");
    let mut input: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&input["version"], &input["item"]["id"]), (&json!(2), &json!("7")));
    assert_eq!(SessionInput::read(&text).expect("it reads back"), ticket.input);
    input["version"] = json!(1);
    let error = SessionInput::read(&input.to_string())
        .expect_err("an item goes with version 2")
        .to_string();
    assert!(error.contains("version 1, and this coordinator reads version 2"), "{error}");
}

#[test]
fn an_item_fits_its_own_slot_and_a_generation_after_the_one_that_it_follows() {
    let text = r#"{"version":2,"command":["a"],"prompt":"","time_limit_s":1,
        "restraint":{"backoff_base_s":0,"backoff_cap_s":0,"min_runtime_s":0,"min_interval_s":0},
        "item":{"role":"qa","id":"7","attempt":2,"follows":1,"since_s":18446744073709551615}}"#;
    let item = SessionInput::read(text).expect("a session input").item.expect("it has one");
    assert!(item.fits(&slot(), 2) && !item.fits(&slot(), 1));
    assert!(!item.fits(&item_want("8", counts(1), 0).slot, 2));
    assert_eq!(
        item.since(),
        std::time::SystemTime::UNIX_EPOCH,
        "an impossible time compares everything"
    );
}
