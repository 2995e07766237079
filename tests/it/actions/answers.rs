//! Refusals of GitHub, and the report that follows.

use super::Fleet;
use testkit::{Fault, Route};

fn failure(change: impl FnOnce(&Fleet)) -> String {
    let fleet = Fleet::of(1);
    change(&fleet);
    let cycle = fleet.cycle();
    assert_eq!(fleet.actions(|actions, _| actions.runs.len()), 0, "nothing was started");
    cycle.failure()
}

#[test]
fn every_refusal_of_a_dispatch_names_its_remedy() {
    let scripted = |status, message: &'static str| {
        failure(|fleet| fleet.github.always(Route::Dispatch, Fault::status(status, message)))
    };
    let has = |error: String, words: &[&str]| {
        for word in words {
            assert!(error.contains(word), "{word:?} is missing in {error:?}");
        }
    };
    has(
        scripted(403, "Resource not accessible by integration"),
        &["403", "`actions: write`", "demo/app"],
    );
    has(scripted(404, "Not Found"), &["agent-session.yml", "coordinator init --github-actions"]);
    has(scripted(401, "Bad credentials"), &["expired or revoked"]);
    let disabled = failure(|fleet| {
        fleet.actions(|actions, _| actions.sessions().state = "disabled_inactivity".to_owned());
    });
    has(disabled, &["disabled workflow", "enable agent-session.yml"]);
    let no_ref = failure(|fleet| fleet.actions(|actions, _| actions.sessions().refs.clear()));
    has(no_ref, &["No ref found for: main", "correct `ref` in [platform.github-actions]"]);
    let no_trigger = failure(|fleet| fleet.actions(|actions, _| actions.sessions().inputs = None));
    has(
        no_trigger,
        &["'workflow_dispatch' trigger", "renew it with `coordinator init --github-actions`"],
    );
    let old_file = failure(|fleet| {
        fleet.actions(|actions, _| {
            if let Some(inputs) = &mut actions.sessions().inputs {
                inputs.remove("brief_ref");
            }
        });
    });
    has(old_file, &["Unexpected inputs provided", "renew it"]);
}

#[test]
fn a_failed_dispatch_holds_the_rest_of_its_role() {
    let fleet = Fleet::of(12);
    fleet
        .github
        .always(Route::Dispatch, Fault::status(403, "Resource not accessible by integration"));
    let cycle = fleet.cycle();
    let failed = cycle.slots("failed").len();
    assert!((1..=8).contains(&failed), "{failed} were under way at once");
    assert!(cycle.held().iter().all(|(_, reason)| reason == "role_failed"), "{:?}", cycle.held());
    assert_eq!(failed + cycle.held().len(), 12);
}

#[test]
fn a_rate_limit_defers_the_rest_with_its_own_exit_code() {
    for fault in [
        Fault::primary_rate_limit(403, 600),
        Fault::primary_rate_limit(429, 600),
        Fault::secondary_rate_limit(403, 60),
    ] {
        let fleet = Fleet::of(12);
        fleet.github.always(Route::Dispatch, fault);
        let cycle = fleet.cycle();
        assert_eq!(cycle.finished.code, Some(75), "{}", cycle.finished.stdout);
        assert!(cycle.held().iter().all(|(_, reason)| reason == "quota"), "{:?}", cycle.held());
        assert_eq!(cycle.held().len(), 12);
        assert!(cycle.dispatches() <= 8, "only those already in flight: {:?}", cycle.asked);
        assert!(cycle.step("spawn")["rate_limit"]["resets_at"].is_string());
        assert_eq!(cycle.finished.json()["status"], "degraded");
    }
}

#[test]
fn requests_that_the_hour_no_longer_has_are_not_sent() {
    let fleet = Fleet::of(3);
    fleet.github.state().rate_limit_remaining = 2;
    let cycle = fleet.cycle();
    assert_eq!(
        (cycle.asked.as_slice(), cycle.finished.code),
        (&["GET runs 1".to_owned()][..], Some(75))
    );
    assert_eq!(cycle.held().len(), 3);
}

#[test]
fn the_request_budget_ends_a_cycle_early_and_the_next_cycle_does_the_rest() {
    let fleet = Fleet::with(9, "max_requests = 10", "");
    let cycle = fleet.cycle();
    assert_eq!(cycle.slots("spawned").len(), 4, "{:?}", cycle.asked);
    assert!(cycle.requests() <= 10, "{:?}", cycle.asked);
    let held = cycle.step("spawn")["held"].clone();
    assert_eq!(held.as_array().map(Vec::len), Some(5), "{held:#}");
    for row in held.as_array().expect("a list") {
        let detail = row["detail"].as_str().unwrap_or_default();
        assert!(row["reason"] == "quota" && detail.contains("max_requests = 10"), "{row}");
    }
    assert_eq!(fleet.cycle().slots("spawned").len(), 4);
    assert_eq!(fleet.cycle().slots("spawned").len(), 1);
}
