//! One thing fails, everything else happens: the rows of the error table, each with its whole
//! report.

use std::time::Duration;

use serde_json::{Value, json};

use crate::coordinator;
use crate::merging::{left_alone, merged};
use testkit::workplace::RosterText;
use testkit::{Fault, Finished, GitHub, Production, Pull, Reply, Repository, Route, Workplace};

/// A world with work for all four steps.
struct Busy {
    github: GitHub,
    production: Production,
    roster: RosterText,
}

const AGENT: &str = r#"["sleep", "600"]"#;
/// A record that no version of the program can read.
const UNREADABLE: &str = "state/coordinator/demo/sessions/ui-builder-s0/1/start.json";

impl Busy {
    fn new() -> Self {
        let github = GitHub::start(Repository::with([Pull::eligible(1), Pull::eligible(2)]));
        let production = Production::up();
        let roster = RosterText::default()
            .merging(&github, "")
            .role("ui_builder", 2, AGENT)
            .role("api_builder", 1, AGENT)
            .watching("production", &production.url(), "timeout = \"500ms\"");
        Self { github, production, roster }
    }
}

fn run(workplace: &Workplace) -> (Finished, Value) {
    let finished = coordinator(workplace).args(["reconcile", "-o", "json"]).run();
    let report = finished.json();
    (finished, report)
}

fn spawned(report: &Value) -> Value {
    let rows = report["steps"]["spawn"]["spawned"].as_array().into_iter().flatten();
    rows.map(|row| row["slot"].clone()).collect()
}

fn outcomes(report: &Value) -> Value {
    ["inventory", "spawn", "merge", "health"]
        .map(|step| report["steps"][step]["outcome"].clone())
        .into_iter()
        .collect()
}

/// The report with its times, ports and paths taken out.
fn snapshot(name: &str, workplace: &Workplace, report: &Value) {
    let path = workplace.path().display().to_string();
    let text = serde_json::to_string_pretty(report).expect("a report is JSON");
    insta::with_settings!({
        omit_expression => true,
        prepend_module_to_snapshot => false,
        filters => [
            (regex::escape(&path).as_str(), "<workplace>"),
            (r"127\.0\.0\.1:\d+", "127.0.0.1:<port>"),
            (r#""(duration_ms|latency_ms)": \d+"#, "\"$1\": <ms>"),
            (r#""\d{4}-\d\d-\d\dT[0-9:.]+Z""#, "\"<time>\""),
            (r#""[0-9a-f]{40}""#, "\"<commit>\""),
        ],
    }, { insta::assert_snapshot!(name, text) });
}

#[test]
fn a_cycle_in_which_nothing_fails_does_everything() {
    let busy = Busy::new();
    let workplace = busy.roster.write();
    let (finished, report) = run(&workplace);
    assert_eq!((finished.code, &report["status"]), (Some(0), &json!("healthy")), "{report:#}");
    snapshot("cold_start", &workplace, &report);
    let (finished, report) = run(&workplace);
    assert_eq!(report["requests"], json!({"github": 1, "platform": 1, "health": 1}), "{report:#}");
    assert_eq!((finished.code, spawned(&report)), (Some(0), json!([])));
    snapshot("converged", &workplace, &report);
}

#[test]
fn when_the_inventory_fails_every_certainly_free_slot_is_filled_and_the_rest_happens() {
    let busy = Busy::new();
    let workplace = busy.roster.write();
    workplace.write(UNREADABLE, "not a record");
    let (finished, report) = run(&workplace);
    assert_eq!(outcomes(&report), json!(["failed", "ok", "ok", "ok"]), "{report:#}");
    assert_eq!(report["steps"]["inventory"]["running"], Value::Null);
    assert_eq!((merged(&report["steps"]["merge"]), finished.code), (json!([1, 2]), Some(0)));
    assert_eq!(coordinator(&workplace).args(["reconcile", "--strict"]).run().code, Some(1));
    snapshot("inventory_fails", &workplace, &report);
}

#[test]
fn with_on_inventory_failure_skip_nothing_is_spawned_after_a_failed_inventory() {
    let busy = Busy::new();
    let workplace = busy.roster.clone().platform("on_inventory_failure = \"skip\"").write();
    workplace.write(UNREADABLE, "not a record");
    let (_, report) = run(&workplace);
    assert_eq!(spawned(&report), json!([]), "{report:#}");
    assert_eq!(merged(&report["steps"]["merge"]), json!([1, 2]));
    assert_eq!(report["status"], "degraded");
}

#[test]
fn a_spawn_that_fails_stops_its_own_role_alone() {
    let busy = Busy::new();
    let roster =
        busy.roster.clone().role("tester", 1, r#"["/no/such/agent"]"#).role("writer", 1, AGENT);
    let workplace = roster.write();
    let (finished, report) = run(&workplace);
    let spawn = &report["steps"]["spawn"];
    assert_eq!(outcomes(&report), json!(["ok", "ok", "ok", "ok"]), "{report:#}");
    assert_eq!(spawn["failed"].as_array().map(Vec::len), Some(1), "{spawn:#}");
    assert!(
        spawned(&report).as_array().is_some_and(|all| all.contains(&json!("demo-writer-s0"))),
        "{spawn:#}"
    );
    assert_eq!((merged(&report["steps"]["merge"]), finished.code), (json!([1, 2]), Some(0)));
    snapshot("one_spawn_fails", &workplace, &report);
}

#[test]
fn after_a_failed_spawn_no_further_one_of_that_role_starts() {
    let workplace = RosterText::default().role("tester", 20, r#"["/no/such/agent"]"#).write();
    let finished = coordinator(&workplace).args(["reconcile", "-o", "json"]).run();
    let spawn = finished.json()["steps"]["spawn"].clone();
    let (failed, held) = (spawn["failed"].as_array(), spawn["held"].as_array());
    assert!(
        failed.is_some_and(|failed| (1..=8).contains(&failed.len())),
        "8 start at a time: {spawn:#}"
    );
    assert_eq!(failed.map_or(0, Vec::len) + held.map_or(0, Vec::len), 20, "{spawn:#}");
    assert!(held.into_iter().flatten().all(|row| row["reason"] == "role_failed"), "{spawn:#}");
    assert_eq!((finished.code, &finished.json()["status"]), (Some(1), &json!("broken")));
}

#[test]
fn when_the_list_fails_nothing_is_merged_and_the_rest_happens() {
    let busy = Busy::new();
    busy.github.always(Route::GraphQl, Fault::status(500, "Server Error"));
    let workplace = busy.roster.write();
    let (finished, report) = run(&workplace);
    assert_eq!(outcomes(&report), json!(["ok", "ok", "failed", "ok"]), "{report:#}");
    assert_eq!((finished.code, &report["status"]), (Some(1), &json!("broken")));
    assert_eq!(busy.github.merge_calls(), Vec::<u64>::new());
    snapshot("list_fails", &workplace, &report);
}

#[test]
fn a_merge_that_fails_stops_no_other() {
    let busy = Busy::new();
    busy.github
        .script(Route::Merge(1), [Fault::status(403, "Resource not accessible by integration")]);
    let workplace = busy.roster.write();
    let (finished, report) = run(&workplace);
    let merge = &report["steps"]["merge"];
    assert_eq!(
        (merged(merge), left_alone(merge)),
        (json!([2]), json!([[1, "forbidden"]])),
        "{report:#}"
    );
    assert_eq!((finished.code, &report["status"]), (Some(0), &json!("degraded")));
    snapshot("one_merge_fails", &workplace, &report);
}

#[test]
fn a_health_check_that_times_out_stops_nothing_and_breaks_the_verdict() {
    let busy = Busy::new();
    busy.production.state().reply = Reply::new(200, "").after(Duration::MAX);
    let workplace = busy.roster.write();
    let (finished, report) = run(&workplace);
    assert_eq!(outcomes(&report), json!(["ok", "ok", "ok", "ok"]), "{report:#}");
    assert_eq!(merged(&report["steps"]["merge"]), json!([1, 2]));
    assert_eq!((finished.code, &report["status"]), (Some(1), &json!("broken")));
    snapshot("health_times_out", &workplace, &report);
}

#[test]
fn an_unhealthy_production_names_what_the_base_took_within_half_an_hour() {
    let busy = Busy::new();
    busy.production.state().reply = Reply::new(503, "");
    {
        let mut state = busy.github.state();
        state.repository().commit("main", "Ancient (#70)", -3_000);
        state.repository().commit("main", "Risky (#80)", -600);
    }
    let workplace = busy.roster.write();
    let (_, report) = run(&workplace);
    let recent = report["steps"]["health"]["recent_merges"].as_array().expect("an array");
    let mut numbers: Vec<u64> = recent.iter().filter_map(|row| row["number"].as_u64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 80], "{report:#}");
}

#[test]
fn everything_may_fail_at_once_and_the_report_still_comes() {
    let busy = Busy::new();
    busy.github.always(Route::Any, Fault::never());
    busy.production.state().reply = Reply::new(200, "").after(Duration::MAX);
    let workplace = busy.roster.clone().deadline("3s").write();
    workplace.write(UNREADABLE, "not a record");
    let (finished, report) = run(&workplace);
    assert_eq!(outcomes(&report), json!(["failed", "ok", "failed", "ok"]), "{report:#}");
    assert_eq!((finished.code, &report["status"]), (Some(1), &json!("broken")));
    assert_eq!(report["steps"]["spawn"]["spawned"].as_array().map(Vec::len), Some(2), "{report:#}");
}

#[test]
fn without_a_token_the_merge_step_fails_and_the_rest_happens() {
    let busy = Busy::new();
    let workplace = busy.roster.write();
    let finished =
        coordinator(&workplace).without_env("GITHUB_TOKEN").args(["reconcile", "-o", "json"]).run();
    let report = finished.json();
    assert_eq!(outcomes(&report), json!(["ok", "ok", "failed", "ok"]), "{report:#}");
    let error = report["steps"]["merge"]["error"].as_str().unwrap_or_default();
    assert!(error.contains("GITHUB_TOKEN"), "{error}");
    assert_eq!(busy.github.journal().len(), 0);
}

#[test]
fn a_rate_limit_defers_with_a_time() {
    for (route, fault) in [
        (Route::List, Fault::graphql_rate_limit(1_800)),
        (Route::List, Fault::primary_rate_limit(403, 1_800)),
        (Route::List, Fault::primary_rate_limit(429, 1_800)),
        (Route::List, Fault::secondary_rate_limit(403, 60)),
        (Route::List, Fault::secondary_rate_limit_without_time(429)),
        (Route::Merge(1), Fault::primary_rate_limit(403, 1_800)),
        (Route::Merge(1), Fault::secondary_rate_limit(429, 60)),
        (Route::Merge(1), Fault::secondary_rate_limit_without_time(403)),
    ] {
        let told = format!("{route:?} {fault:?}");
        let busy = Busy::new();
        busy.github.always(route, fault);
        let roster = RosterText::default().merging(&busy.github, "");
        let finished =
            coordinator(&roster.write()).args(["reconcile", "--only", "merge", "-o", "json"]).run();
        let report = finished.json();
        assert_eq!(
            (finished.code, &report["status"]),
            (Some(75), &json!("degraded")),
            "{told}\n{report:#}"
        );
        assert_eq!(merged(&report["steps"]["merge"]), json!([]), "{told}");
        assert!(busy.github.merge_calls().len() <= 1, "{told}: no further request");
        assert!(busy.github.journal().len() <= 2, "{told}: {:#?}", busy.github.journal());
    }
}
