//! Lists of runs that are long, cut, or not to be had.

use super::{Fleet, Past};
use testkit::actions::Index;
use testkit::{Fault, Route};

/// `count` sessions that are over, five minutes apart, and one that is live and older than all of
/// them.
fn busy_past(fleet: &Fleet, count: u64) {
    fleet.actions(|actions, now| {
        for number in 0..count {
            let ended = 300 * (count - number);
            let past = Past {
                slot: "ui-builder-s1",
                generation: number + 1,
                ended,
                runtime: 200,
                ..Past::default()
            };
            actions.add_past(past, now);
        }
        actions.add_live("demo", "ui-builder-s0", 300 * (count + 2), now)
    });
}

#[test]
fn every_page_is_read_down_to_the_age_at_which_nothing_can_be_live() {
    let fleet = Fleet::of(2);
    busy_past(&fleet, 250);
    let cycle = fleet.cycle();
    assert_eq!(cycle.step("inventory")["running"], 1, "the live one is on the last page");
    assert_eq!(cycle.asked[..3], ["GET runs 1", "GET runs 2", "GET runs 3"]);
    // 26 hours are far enough: the session's limit of 2, and a day in the queue.
    let fleet = Fleet::of(2);
    busy_past(&fleet, 450);
    let pages = fleet.cycle().asked.iter().filter(|asked| asked.starts_with("GET runs")).count();
    assert_eq!(pages, 4, "312 runs are younger");
}

#[test]
fn a_list_that_is_cut_off_before_its_time_is_unknown_and_never_less() {
    let capped = |settings: &str| {
        let fleet = Fleet::with(2, "", "");
        busy_past(&fleet, 250);
        fleet.actions(|actions, _| actions.index = Index { cap: Some(100), ..Index::default() });
        let text = std::fs::read_to_string(fleet.workplace.roster()).expect("it is there");
        let text = text.replace("[platform]\n", &format!("[platform]\n{settings}\n"));
        fleet.workplace.write("roster.toml", text);
        fleet.cycle()
    };
    let cycle = capped("on_inventory_failure = \"spawn\"");
    let inventory = cycle.step("inventory");
    assert_eq!(
        (&inventory["outcome"], inventory["running"].is_null()),
        (&"failed".into(), true),
        "{inventory:#}"
    );
    assert!(
        inventory["error"].as_str().is_some_and(|error| error.contains("listed 100")),
        "{inventory:#}"
    );
    assert_eq!(cycle.slots("already_running"), ["ui-builder-s0"], "its group is taken");
    assert_eq!(
        cycle.slots("spawned"),
        ["ui-builder-s1"],
        "its group is free, and its admission keeps the backoff"
    );
    let cycle = capped("on_inventory_failure = \"skip\"");
    assert_eq!((cycle.dispatches(), cycle.held().len()), (0, 2));
}

#[test]
fn a_page_that_fails_fails_the_inventory() {
    for fault in [
        Fault::status(502, "Bad Gateway"),
        Fault::reset(),
        Fault::truncated(),
        Fault::garbage(),
        Fault::html(),
        Fault::json(&serde_json::json!({"total_count": 1})),
    ] {
        let fleet = Fleet::of(2);
        busy_past(&fleet, 150);
        fleet.github.script(Route::Runs, [Fault::none(), fault]);
        let cycle = fleet.cycle();
        assert_eq!(cycle.step("inventory")["outcome"], "failed");
        assert!(cycle.step("inventory")["running"].is_null(), "unknown is not zero");
        assert!(!cycle.slots("spawned").contains(&"ui-builder-s0".to_owned()), "it is live");
    }
}

#[test]
fn jobs_that_cannot_be_read_leave_the_history_unknown() {
    let fleet = Fleet::of(1);
    fleet.past(Past::default());
    fleet
        .github
        .always(Route::GraphQl, Fault::status(403, "Resource not accessible by integration"));
    let cycle = fleet.cycle();
    assert_eq!(cycle.step("inventory")["outcome"], "failed", "{:#}", cycle.step("inventory"));
}

#[test]
fn a_list_beyond_the_budget_fails_and_names_the_key() {
    let fleet = Fleet::with(2, "max_requests = 10", "time_limit = \"4days\"");
    fleet.actions(|actions, now| {
        for number in 0..1_200 {
            let past = Past {
                slot: "ui-builder-s1",
                generation: number + 1,
                ended: 60,
                runtime: 30,
                ..Past::default()
            };
            actions.add_past(past, now);
        }
    });
    let cycle = fleet.cycle();
    let error = cycle.step("inventory")["error"].as_str().unwrap_or_default().to_owned();
    assert!(error.contains("max_requests = 10"), "{error}");
    assert!(cycle.requests() <= 10, "{:?}", cycle.asked);
}

#[test]
fn a_missing_workflow_is_reported_with_the_command_that_writes_it() {
    let fleet = Fleet::of(1);
    fleet.actions(|actions, _| actions.workflows.clear());
    let cycle = fleet.cycle();
    let error = cycle.step("inventory")["error"].as_str().unwrap_or_default().to_owned();
    assert!(error.contains("coordinator init --github-actions"), "{error}");
}

#[test]
fn without_a_token_agents_fail_and_the_report_names_the_token() {
    let fleet = Fleet::of(1);
    let program =
        crate::coordinator(&fleet.workplace).args(super::AGENTS).without_env("GITHUB_TOKEN");
    let report = program.run().json();
    for step in ["inventory", "spawn"] {
        let error = report["steps"][step]["error"].as_str().unwrap_or_default();
        assert!(error.contains("GITHUB_TOKEN"), "{report:#}");
    }
}
