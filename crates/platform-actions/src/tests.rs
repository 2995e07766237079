//! The platform on a client whose answers a function gives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::ActionsSettings;
use super::{Actions, LogText, Settings};
use coordinator_core::backoff::BackoffSettings;
use coordinator_core::fleet::{
    Counts, FleetName, Follows, Group, HoldReason, Mode, Outcome, Role, RoleKey, SessionSpec, Slot,
    State, StuckReason, Want, WorkItem,
};
use coordinator_core::platform::{CycleId, Platform, Start};
use coordinator_github::fake::{self, Journal, Reply, Sent};

mod deployed;
mod items;

const DATE: &str = "Thu, 01 Jan 2026 12:00:00 GMT";

fn at(text: &str) -> SystemTime {
    humantime::parse_rfc3339(text).expect("a time")
}

fn spec() -> SessionSpec {
    SessionSpec {
        command: vec!["claude".to_owned(), "{brief}".to_owned()],
        prompt: "do it".to_owned(),
        brief: "it".to_owned(),
        env: BTreeMap::from([("MODEL".to_owned(), "large".to_owned())]),
        time_limit: Duration::from_secs(7201),
        brief_path: "briefs/ui_builder.md".to_owned(),
        backoff: BackoffSettings {
            backoff_base: Duration::from_secs(60),
            backoff_cap: Duration::from_secs(3600),
            min_runtime: Duration::from_secs(30),
            min_interval: Duration::ZERO,
        },
        ..SessionSpec::default()
    }
}

fn role() -> Role {
    Role {
        key: RoleKey::parse("ui_builder").expect("a valid key"),
        name: "UI Builder".to_owned(),
        count: 3,
        department: String::new(),
        mode: Mode::TaskDriven,
        spec: Arc::new(spec()),
    }
}

fn slot(index: u32) -> Slot {
    Slot::of_role(&role().key, index)
}

fn want(index: u32) -> Want {
    Want {
        slot: slot(index),
        role: role().key,
        spec: role().spec,
        item: None,
        follows: Follows::Anything,
        by_hand: false,
    }
}

/// For an item of the source `queue`.
fn item_want(id: &str, counts: Counts, follows: u64) -> Want {
    let group = Group::parse("queue").expect("a valid name");
    Want {
        slot: Slot::of_item(&group, id),
        item: Some(WorkItem { id: id.to_owned(), counts }),
        follows: Follows::Generation(follows),
        by_hand: false,
        ..want(0)
    }
}

/// Where the state of the session workflow is, which each list is read with.
const STATE: &str = "/workflows/agent-session.yml";

/// A platform that may send so many requests, which `script` answers.
fn platform_with(
    max_requests: u32,
    mut script: impl FnMut(&Sent) -> Reply + Send + 'static,
) -> (Actions, Journal) {
    let (github, journal) = fake::github(move |sent| {
        if sent.url.ends_with(STATE) {
            return Reply::json(200, &json!({ "state": "active" })).with("date", DATE);
        }
        script(sent)
    });
    let settings = Settings {
        fleet: FleetName::parse("demo").expect("a valid name"),
        longest: Duration::from_secs(7201),
        time_limits: BTreeMap::from([(Group::from(&role().key), Duration::from_secs(7201))]),
        actions: ActionsSettings {
            workflow: "agent-session.yml".to_owned(),
            git_ref: "main".to_owned(),
            ticket: Duration::from_secs(300),
            start_timeout: Duration::from_secs(900),
            max_requests,
        },
    };
    (Actions::new(settings, github), journal)
}

fn platform(script: impl FnMut(&Sent) -> Reply + Send + 'static) -> (Actions, Journal) {
    platform_with(80, script)
}

fn sent(journal: &Journal) -> Vec<String> {
    let journal = journal.lock().expect("no test panics with the lock");
    journal
        .iter()
        .filter(|sent| !sent.url.ends_with(STATE))
        .map(|sent| {
            let path = sent.url.trim_start_matches("https://api.example.com");
            format!("{} {}", sent.method, path.trim_start_matches("/v3/repos/octo/demo/actions"))
        })
        .collect()
}

fn posts(journal: &Journal) -> usize {
    sent(journal).iter().filter(|line| line.contains("/dispatches")).count()
}

/// A run, created at this time of the day.
fn run(id: u64, title: &str, (status, conclusion): (&str, Option<&str>), time: &str) -> Value {
    let time = format!("2026-01-01T{time}Z");
    json!({
        "id": id, "node_id": format!("WFR_{id}"), "display_title": title, "status": status,
        "conclusion": conclusion, "created_at": time, "updated_at": time, "run_started_at": time,
        "html_url": format!("https://github.com/octo/demo/actions/runs/{id}"),
    })
}

fn page(total: usize, runs: &[Value]) -> Reply {
    Reply::json(200, &json!({ "total_count": total, "workflow_runs": runs })).with("date", DATE)
}

fn job(name: &str, conclusion: &str, from: &str, to: &str) -> Value {
    let time = |time| format!("2026-01-01T{time}Z");
    json!({ "name": name, "status": "COMPLETED", "conclusion": conclusion, "startedAt": time(from),
        "completedAt": time(to) })
}

fn jobs(runs: &[(u64, Value)]) -> Reply {
    let nodes: Vec<Value> = runs
        .iter()
        .map(|(id, rows)| {
            json!({ "__typename": "WorkflowRun", "id": format!("WFR_{id}"),
                "checkSuite": { "checkRuns": { "nodes": rows } } })
        })
        .collect();
    Reply::json(200, &json!({ "data": { "nodes": nodes } }))
}

fn not_found() -> Reply {
    Reply::json(404, &json!({ "message": "Not Found" })).with("date", DATE)
}

/// A list of these runs, jobs of these, and no taken group; a dispatch is accepted.
fn world(runs: Vec<Value>, jobs_of: Vec<(u64, Value)>) -> impl FnMut(&Sent) -> Reply {
    move |sent| match sent.url.as_str() {
        url if url.contains("/runs?") => page(runs.len(), &runs),
        url if url.ends_with("/graphql") => jobs(&jobs_of),
        url if url.contains("/concurrency_groups/") => not_found(),
        _ => Reply::Answer(204, Vec::new(), String::new()).with("date", DATE),
    }
}

fn started(generation: u64) -> Start {
    Start::Started { generation }
}

async fn start(platform: &Actions, index: u32) -> anyhow::Result<Start> {
    platform.start(&want(index), &CycleId("18f-1".to_owned()), SystemTime::UNIX_EPOCH).await
}

const OVER: (&str, Option<&str>) = ("completed", Some("success"));

#[tokio::test]
async fn the_inventory_distinguishes_live_finished_and_skipped_runs_of_its_own_fleet() {
    let runs = vec![
        run(9, "coord demo ui-builder-s0 g3 c1", ("pending", None), "11:50:00"),
        run(8, "Deploy \u{1b}[31mby hand", ("queued", None), "11:40:00"),
        run(7, "coord other ui-builder-s1 g1 c1", ("in_progress", None), "11:30:00"),
        run(6, "coord demo ui-builder-s0 g2 c1", ("in_progress", None), "11:20:00"),
        run(5, "coord demo ui-builder-s1 g8 c1", OVER, "11:10:00"),
        run(4, "coord demo ui-builder-s1 g7 c1", OVER, "10:00:00"),
        run(3, "coord demo ui-builder-s0 g1 c1", ("completed", Some("failure")), "09:00:00"),
        run(2, "somebody's, long over", OVER, "08:00:00"),
    ];
    let skipped = json!([
        job("admit", "SUCCESS", "11:10:01", "11:10:09"),
        job("agent", "SKIPPED", "11:10:09", "11:10:09")
    ]);
    let ended = json!([
        job("admit", "SUCCESS", "10:00:01", "10:00:09"),
        job("agent", "SUCCESS", "10:00:20", "10:41:20")
    ]);
    let (platform, journal) = platform(world(runs, vec![(5, skipped), (4, ended)]));
    let listing = platform.list().await.expect("a complete list");
    let s0 = &listing.slots[&slot(0)];
    let live = s0.live.as_ref().expect("it is live");
    assert_eq!(
        (live.generation, live.state),
        (Some(2), State::Running),
        "the running one, not the pending one"
    );
    assert_eq!(s0.history.iter().map(|run| run.outcome).collect::<Vec<_>>(), [Outcome::Failed]);
    let s1 = &listing.slots[&slot(1)];
    assert_eq!((s1.live.as_ref(), s1.history.len()), (None, 1));
    let session = &s1.history[0];
    assert_eq!((session.generation, session.outcome), (7, Outcome::Succeeded));
    assert_eq!(
        (session.started_at, session.finished_at),
        (at("2026-01-01T10:00:20Z"), at("2026-01-01T10:41:20Z"))
    );
    assert_eq!(listing.unmanaged.len(), 1);
    assert_eq!(listing.unmanaged[0].session, "Deploy [31mby hand");
    assert!(listing.as_of.is_some_and(|time| time >= at("2026-01-01T12:00:00Z")));
    assert_eq!(
        sent(&journal),
        ["GET /workflows/agent-session.yml/runs?per_page=100&page=1", "POST /graphql"]
    );
    let asked =
        journal.lock().expect("no test panics with the lock")[2].body["variables"]["ids"].clone();
    assert_eq!(asked, json!(["WFR_5", "WFR_4"]), "the jobs of slots that are free alone");
    assert_eq!(platform.requests(), 3);
    assert_eq!(
        start(&platform, 1).await.expect("it starts"),
        started(9),
        "a skipped run has its generation"
    );
}

#[tokio::test]
async fn the_list_goes_back_to_where_no_live_run_can_be_and_no_further() {
    let old = |id| run(id, "coord demo ui-builder-s0 g1 c1", OVER, "00:00:00");
    let young: Vec<Value> = (100..200).rev().map(old).collect();
    let (actions, journal) = platform(move |sent| {
        if sent.url.ends_with("&page=1") {
            return page(500, &young);
        }
        if sent.url.ends_with("/graphql") {
            return jobs(&[]);
        }
        let mut ancient = old(99);
        ancient["created_at"] = json!("2025-12-31T09:59:58Z");
        page(500, &[ancient])
    });
    actions.list().await.expect("26 hours and a second are covered");
    assert_eq!(sent(&journal).iter().filter(|line| line.contains("/runs?")).count(), 2);
}

#[tokio::test]
async fn a_list_that_is_not_certainly_complete_has_failed() {
    let full =
        || (1..=100).rev().map(|id| run(id, "coord demo ui-builder-s0 g1 c1", OVER, "11:00:00"));
    let broken = |second: fn() -> Reply| {
        platform(move |sent| {
            if sent.url.ends_with("&page=1") {
                page(1001, &full().collect::<Vec<_>>())
            } else {
                second()
            }
        })
    };
    for (second, words) in [
        ((|| Reply::json(500, &json!({ "message": "Server Error" }))) as fn() -> Reply, "500"),
        (|| Reply::Reset, "reset"),
        (|| page(1001, &[]), "listed 100"),
    ] {
        let (platform, _) = broken(second);
        let error = platform.list().await.expect_err("it is not complete").to_string();
        assert!(error.contains(words), "{error}");
        assert!(platform.view.borrow().is_none());
    }
    let (platform, journal) = platform_with(1, move |_| page(1001, &full().collect::<Vec<_>>()));
    let error = platform.list().await.expect_err("the budget is used up").to_string();
    assert!(error.contains("max_requests = 1"), "{error}");
    assert_eq!(sent(&journal).len(), 1);
}

#[tokio::test]
async fn jobs_that_cannot_be_read_fail_the_inventory_because_they_are_the_history() {
    let runs = vec![run(1, "coord demo ui-builder-s0 g1 c1", OVER, "11:00:00")];
    let (platform, _) = platform(move |sent| {
        if sent.url.ends_with("/graphql") { Reply::json(502, &Value::Null) } else { page(1, &runs) }
    });
    assert!(platform.list().await.is_err());
}

#[tokio::test]
async fn a_start_asks_for_the_lock_and_dispatches_all_that_the_session_needs() {
    let (platform, journal) = platform(world(Vec::new(), Vec::new()));
    platform.list().await.expect("an empty list");
    assert_eq!(start(&platform, 2).await.expect("it starts"), started(1));
    assert_eq!(
        sent(&journal)[1..],
        [
            "GET /concurrency_groups/coord-demo-ui-builder-s2",
            "POST /workflows/agent-session.yml/dispatches"
        ]
    );
    let body = journal.lock().expect("no test panics with the lock")[3].body.clone();
    assert_eq!(body["ref"], "main");
    let inputs = &body["inputs"];
    let expected = json!({
        "fleet": "demo", "slot": "ui-builder-s2", "role": "ui_builder", "generation": "1",
        "cycle": "18f-1", "expires_at": inputs["expires_at"], "brief_ref": "briefs/ui_builder.md",
        "time_limit_minutes": "121",
        "task_json": inputs["task_json"],
    });
    assert_eq!(*inputs, expected);
    let expires_at = at(inputs["expires_at"].as_str().expect("a time"));
    let ticket = expires_at.duration_since(at("2026-01-01T12:00:00Z")).expect("it is later");
    assert!(
        (300..310).contains(&ticket.as_secs()),
        "by GitHub's clock, not this machine's: {ticket:?}"
    );
    let input: Value =
        serde_json::from_str(inputs["task_json"].as_str().expect("a text")).expect("JSON");
    let expected = json!({
        "version": 1, "command": ["claude", "{brief}"], "prompt": "do it", "brief": "it",
        "env": { "MODEL": "large" }, "time_limit_s": 7201, "agent": "none",
        "restraint": { "backoff_base_s": 60, "backoff_cap_s": 3600, "min_runtime_s": 30,
            "min_interval_s": 0 },
    });
    assert_eq!(input, expected);
}

#[tokio::test]
async fn a_slot_that_is_live_or_backs_off_costs_no_request() {
    let runs = vec![
        run(2, "coord demo ui-builder-s0 g2 c1", ("brand_new", None), "11:59:00"),
        run(1, "coord demo ui-builder-s1 g4 c1", ("completed", Some("failure")), "11:59:00"),
    ];
    let failed = json!([job("agent", "FAILURE", "11:59:10", "11:59:55")]);
    let (platform, journal) = platform(world(runs, vec![(1, failed)]));
    platform.list().await.expect("a complete list");
    assert_eq!(start(&platform, 0).await.expect("an answer"), Start::AlreadyRunning);
    let Start::Held(hold) = start(&platform, 1).await.expect("an answer") else {
        panic!("it backs off")
    };
    assert_eq!(hold.reason, HoldReason::Backoff);
    assert_eq!(sent(&journal).len(), 2);
}

#[tokio::test]
async fn with_an_unknown_inventory_the_lock_alone_decides() {
    let (free, journal) = platform(world(Vec::new(), Vec::new()));
    assert_eq!(start(&free, 0).await.expect("it starts"), started(1));
    assert_eq!(posts(&journal), 1);
    let group = |status: u16, body: Value| platform(move |_| Reply::json(status, &body));
    let (taken, journal) =
        group(200, json!({ "group_members": [{ "run_id": 3, "status": "pending" }] }));
    assert_eq!(start(&taken, 0).await.expect("an answer"), Start::AlreadyRunning);
    assert_eq!(posts(&journal), 0);
    for status in [403, 500] {
        let (unknown, journal) = group(status, json!({ "message": "no \u{1b}[31mway" }));
        let Start::Held(hold) = start(&unknown, 0).await.expect("an answer") else {
            panic!("it is not known")
        };
        assert_eq!(hold.reason, HoldReason::Unknown);
        assert!(hold.detail.contains("no [31mway"), "{}", hold.detail);
        assert_eq!(posts(&journal), 0);
    }
}

#[tokio::test]
async fn a_dispatch_without_an_answer_is_an_error_that_says_so_and_is_never_repeated() {
    for reply in [(|| Reply::Reset) as fn() -> Reply, || {
        Reply::json(502, &json!({ "message": "Bad Gateway" }))
    }] {
        let (platform, journal) =
            platform(move |sent| if sent.method == "POST" { reply() } else { not_found() });
        let error = start(&platform, 0).await.expect_err("nobody knows").to_string();
        assert!(error.contains("it may still have started"), "{error}");
        assert_eq!(posts(&journal), 1);
    }
}

#[tokio::test]
async fn a_refused_dispatch_says_what_to_do() {
    let (platform, _) = platform(|sent| {
        if sent.method == "POST" {
            Reply::json(403, &json!({ "message": "Resource not accessible" }))
        } else {
            not_found()
        }
    });
    let error = start(&platform, 0).await.expect_err("it was refused").to_string();
    assert!(error.contains("`actions: write` in octo/demo"), "{error}");
}

#[tokio::test]
async fn a_start_that_has_not_two_requests_left_is_held_and_sends_none() {
    let (platform, journal) = platform_with(3, world(Vec::new(), Vec::new()));
    assert_eq!(start(&platform, 0).await.expect("it starts"), started(1));
    let Start::Held(hold) = start(&platform, 1).await.expect("an answer") else {
        panic!("one is not enough")
    };
    assert_eq!(hold.reason, HoldReason::Quota);
    assert!(hold.detail.contains("max_requests = 3"), "{}", hold.detail);
    assert_eq!(sent(&journal).len(), 2);
}

#[tokio::test]
async fn a_slot_whose_lock_is_taken_gives_its_second_request_back() {
    let (platform, journal) = platform_with(3, |sent| {
        let taken = json!({ "group_members": [{ "run_id": 3 }] });
        if sent.url.ends_with("-s0") {
            Reply::json(200, &taken)
        } else if sent.method == "POST" {
            Reply::Answer(204, Vec::new(), String::new())
        } else {
            not_found()
        }
    });
    assert_eq!(start(&platform, 0).await.expect("an answer"), Start::AlreadyRunning);
    assert_eq!(start(&platform, 1).await.expect("it starts"), started(1));
    assert_eq!(sent(&journal).len(), 3);
}

#[tokio::test]
async fn what_github_has_left_is_kept_and_its_refusal_ends_the_spawns() {
    let (platform, journal) = platform(|sent| {
        if sent.url.contains("/runs?") {
            return page(0, &[])
                .with("x-ratelimit-remaining", "1")
                .with("x-ratelimit-reset", "1767272400");
        }
        not_found()
    });
    platform.list().await.expect("an empty list");
    let Start::RateLimited(limit) = start(&platform, 0).await.expect("an answer") else {
        panic!("one is left")
    };
    assert_eq!(limit.resets_at, Some(at("2026-01-01T13:00:00Z")));
    assert_eq!(sent(&journal).len(), 1);
}

#[tokio::test]
async fn a_rehearsal_answers_like_a_start_and_dispatches_nothing() {
    let runs = vec![run(1, "coord demo ui-builder-s0 g4 c1", ("queued", None), "11:59:00")];
    let (platform, journal) = platform(world(runs, Vec::new()));
    platform.list().await.expect("a complete list");
    let preview = async |index| {
        platform.preview(&want(index), SystemTime::UNIX_EPOCH).await.expect("an answer")
    };
    assert_eq!(preview(0).await, Start::AlreadyRunning);
    assert_eq!(preview(1).await, started(1));
    assert_eq!(
        sent(&journal).last().map(String::as_str),
        Some("GET /concurrency_groups/coord-demo-ui-builder-s1")
    );
    assert_eq!(posts(&journal), 0);
}

#[tokio::test]
async fn a_run_that_nobody_takes_or_approves_is_stuck() {
    let runs = vec![
        run(4, "coord demo ui-builder-s0 g1 c1", ("waiting", None), "11:59:00"),
        run(3, "coord demo ui-builder-s1 g1 c1", ("queued", None), "11:50:00"),
        run(2, "coord demo ui-builder-s2 g1 c1", ("queued", None), "11:40:00"),
        run(1, "coord demo ui-builder-s3 g1 c1", ("in_progress", None), "09:00:00"),
    ];
    let (platform, _) = platform(world(runs, Vec::new()));
    let listing = platform.list().await.expect("a complete list");
    let stuck: Vec<_> =
        listing.stuck.iter().map(|stuck| (stuck.slot.index(), stuck.reason)).collect();
    assert_eq!(stuck, [(Some(0), StuckReason::Suspended), (Some(2), StuckReason::Pending)]);
    assert!(
        listing
            .stuck
            .iter()
            .all(|stuck| stuck.detail.contains("https://github.com/octo/demo/actions/runs/"))
    );
}

/// A slot with these runs, whose jobs by REST are these.
fn logged(runs: Vec<Value>, jobs: Value) -> (Actions, Journal) {
    platform(move |sent| match sent.url.as_str() {
        url if url.contains("/runs?") => page(runs.len(), &runs),
        url if url.contains("/jobs?") => Reply::json(200, &json!({ "jobs": jobs })),
        url if url.ends_with("/logs") => {
            Reply::json(302, &Value::Null).with("location", "https://logs.example.com/7")
        }
        _ => Reply::Answer(200, Vec::new(), "all of it\n".to_owned()),
    })
}

fn job_row(name: &str, status: &str) -> Value {
    json!({ "id": 7, "name": name, "status": status, "html_url": "https://github.com/x" })
}

#[tokio::test]
async fn the_log_is_that_of_the_newest_run_of_the_slot_or_of_the_generation() {
    let runs = vec![
        run(9, "coord demo ui-builder-s1 g7 c1", OVER, "11:50:00"),
        run(8, "coord demo ui-builder-s0 g3 c1", OVER, "11:40:00"),
        run(6, "coord demo ui-builder-s0 g2 c1", OVER, "11:20:00"),
    ];
    let jobs = json!([job_row("admit", "completed"), job_row("agent", "completed")]);
    let (platform, journal) = logged(runs, jobs);
    for (generation, expected, id) in [(None, 3, 8), (Some(2), 2, 6)] {
        let log = platform.logs(&slot(0), generation).await.expect("there is one");
        assert_eq!((log.generation, log.text), (expected, LogText::Whole("all of it\n".into())));
        assert_eq!(log.url, format!("https://github.com/octo/demo/actions/runs/{id}"));
    }
    let fetched = journal.lock().expect("no test panics with the lock")[3].clone();
    assert_eq!(
        (fetched.url.as_str(), fetched.authorization.as_str()),
        ("https://logs.example.com/7", "")
    );
    for (index, generation) in [(0, Some(9)), (2, None)] {
        let error =
            platform.logs(&slot(index), generation).await.expect_err("there is none").to_string();
        assert!(error.contains("coordinator sessions"), "{error}");
    }
}

#[tokio::test]
async fn a_run_without_a_log_says_why() {
    for (status, jobs, expected) in [
        ("in_progress", json!([job_row("agent", "in_progress")]), LogText::NotYet),
        ("queued", json!([job_row("admit", "queued")]), LogText::NotYet),
        ("completed", json!([job_row("admit", "completed")]), LogText::NoAgent),
    ] {
        let (platform, journal) = logged(
            vec![run(8, "coord demo ui-builder-s0 g3 c1", (status, None), "11:40:00")],
            jobs,
        );
        assert_eq!(
            platform.logs(&slot(0), None).await.expect("an answer").text,
            expected,
            "{status}"
        );
        assert_eq!(sent(&journal).len(), 2, "no log is asked for");
    }
}
