//! Starting sessions: the requests, the inputs of a run, and two coordinators at once.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Fleet, Past};
use crate::coordinator;
use testkit::actions::RunDetails;
use testkit::actions::life::Admission;
use testkit::{Fault, Route};

#[test]
fn an_empty_slot_costs_a_look_at_its_group_and_a_dispatch() {
    let fleet = Fleet::of(3);
    let cycle = fleet.cycle();
    assert_eq!(cycle.slots("spawned"), ["ui-builder-s0", "ui-builder-s1", "ui-builder-s2"]);
    assert_eq!((cycle.requests(), cycle.asked.len()), (2 + 2 * 3, 1 + 2 * 3), "{:?}", cycle.asked);
    assert_eq!(cycle.dispatches(), 3);
    assert_eq!(cycle.finished.code, Some(0), "{}", cycle.finished.stderr);
    fleet.actions(|actions, _| {
        let run = actions.of_slot("ui-builder-s1")[0];
        assert!(run.title.starts_with("coord demo ui-builder-s1 g1 c"), "{}", run.title);
        assert_eq!(run.group.as_deref(), Some("coord-demo-ui-builder-s1"));
        let task: Value = serde_json::from_str(&run.inputs["task_json"]).expect("JSON");
        assert_eq!(task["command"], json!(["claude", "-p", "{prompt}"]));
        assert!(
            task["prompt"].as_str().is_some_and(|prompt| prompt.contains("Do one useful thing.")),
            "{task}"
        );
        assert_eq!(
            (&task["time_limit_s"], run.inputs["time_limit_minutes"].as_str()),
            (&json!(7_200), "120")
        );
        assert_eq!(run.inputs["brief_ref"], "briefs/ui_builder.md");
    });
}

#[test]
fn the_ticket_ends_five_minutes_later_by_github_s_clock() {
    let fleet = Fleet::of(1);
    fleet.github.state().clock_offset = 86_400;
    fleet.cycle();
    fleet.actions(|actions, now| {
        let inputs = &actions.of_slot("ui-builder-s0")[0].inputs;
        let expires = humantime::parse_rfc3339(&inputs["expires_at"]).expect("a time");
        let left = expires.duration_since(now).expect("in the future");
        assert!(left <= Duration::from_secs(300) && left > Duration::from_secs(230), "{left:?}");
    });
}

#[test]
fn a_dry_run_shows_the_dispatches_and_makes_none() {
    let fleet = Fleet::of(2);
    fleet.live("ui-builder-s0");
    let cycle = fleet.run(&[
        "reconcile",
        "--dry-run",
        "--only",
        "spawn",
        "-o",
        "json",
        "--detailed-exitcode",
    ]);
    assert_eq!(cycle.slots("spawned"), ["ui-builder-s1"]);
    assert_eq!((cycle.dispatches(), cycle.finished.code), (0, Some(3)));
    assert_eq!(cycle.asked, ["GET runs 1", "GET group coord-demo-ui-builder-s1"]);
}

#[test]
fn a_run_that_the_list_does_not_show_yet_is_seen_in_its_group() {
    let fleet = Fleet::of(1);
    fleet.actions(|actions, now| {
        actions.index.lags = true;
        actions.add_live("demo", "ui-builder-s0", 30, now)
    });
    let cycle = fleet.cycle();
    assert_eq!(cycle.step("inventory")["running"], 0, "the list is behind");
    assert_eq!(
        (cycle.slots("already_running").len(), cycle.dispatches()),
        (1, 0),
        "{:?}",
        cycle.asked
    );
}

#[test]
fn a_group_that_cannot_be_read_holds_its_slot() {
    for fault in [
        Fault::status(500, "Server Error"),
        Fault::status(403, "Resource not accessible"),
        Fault::html(),
    ] {
        let fleet = Fleet::of(1);
        fleet.github.always(Route::Group, fault);
        let cycle = fleet.cycle();
        assert_eq!(cycle.held(), [("ui-builder-s0".to_owned(), "unknown".to_owned())]);
        assert_eq!(cycle.dispatches(), 0);
    }
}

#[test]
fn a_dispatch_that_ran_without_an_answer_is_not_repeated_and_is_live_in_the_next_cycle() {
    for fault in [
        Fault::reset().after_applying(),
        Fault::status(504, "We couldn't respond in time").after_applying(),
    ] {
        let fleet = Fleet::of(1);
        fleet.github.script(Route::Dispatch, [fault]);
        let cycle = fleet.cycle();
        assert_eq!(cycle.dispatches(), 1);
        let error = cycle.failure();
        assert!(error.contains("may") && error.contains("next cycle"), "{error}");
        let next = fleet.cycle();
        assert_eq!((next.step("inventory")["running"].as_u64(), next.dispatches()), (Some(1), 0));
    }
}

#[test]
fn two_coordinators_that_dispatch_one_slot_at_once_get_one_session() {
    let fleet = Fleet::of(1);
    // The other one's look at the group comes between our own look and our dispatch.
    let workplace = &fleet.workplace;
    let other = coordinator(workplace).args(super::AGENTS);
    let late = Fault::late(Duration::from_millis(400));
    fleet.github.script(Route::Group, [late.clone(), late]);
    let other = other.spawn();
    let cycle = fleet.cycle();
    let other = other.wait();
    for report in [cycle.finished.json(), other.json()] {
        assert_eq!(
            report["steps"]["spawn"]["spawned"].as_array().map(Vec::len),
            Some(1),
            "{report:#}"
        );
    }
    let runs = fleet.actions(|actions, _| {
        actions
            .of_slot("ui-builder-s0")
            .iter()
            .map(|run| (run.id, run.status.clone()))
            .collect::<Vec<_>>()
    });
    let statuses: Vec<&str> = runs.iter().map(|(_, status)| status.as_str()).collect();
    assert_eq!(statuses, ["queued", "pending"], "the second one waits for its turn");
    assert_eq!(fleet.play(runs[0].0), Admission::Go);
    // The first session ends after the second one's ticket.
    fleet.github.state().clock_offset += 600;
    fleet.actions(|actions, now| actions.end(runs[0].0, "success", now));
    assert_eq!(fleet.play(runs[1].0), Admission::Skip, "its ticket has expired");
    // A run without an admission is not a session.
    let next = fleet.run(&["sessions", "-o", "json"]).finished.json();
    assert_eq!(next["sessions"].as_array().map(Vec::len), Some(1), "{next:#}");
}

#[test]
fn a_second_run_that_starts_within_its_ticket_meets_the_slot_s_history() {
    let fleet = Fleet::of(1);
    fleet.cycle();
    let first = fleet.queued()[0];
    assert_eq!(fleet.play(first), Admission::Go);
    // Dispatched twice, by a cycle that saw nothing.
    let again = fleet.actions(|actions, now| {
        let inputs = actions.run(first).inputs.clone();
        actions.trigger("agent-session.yml", "main", inputs, now)
    });
    fleet.actions(|actions, now| actions.end(first, "failure", now));
    assert_eq!(fleet.play(again), Admission::Skip, "the session that failed holds its slot back");
}

#[test]
fn a_schedule_that_comes_twelve_hours_late_fills_each_slot_once() {
    let fleet = Fleet::of(2);
    for slot in ["ui-builder-s0", "ui-builder-s1"] {
        for generation in 1..=3 {
            let ended = 43_200 + 7_200 * (3 - generation);
            fleet.past(Past { slot, generation, ended, ..Past::default() });
        }
    }
    let cycle = fleet.cycle();
    let generations = cycle.step("spawn")["spawned"].as_array().expect("a list").clone();
    let generations: Vec<&Value> = generations.iter().map(|row| &row["generation"]).collect();
    assert_eq!(generations, [4, 4]);
    let next = fleet.cycle();
    assert_eq!((next.dispatches(), next.step("inventory")["running"].as_u64()), (0, Some(2)));
}

#[test]
fn a_server_that_gives_no_details_has_started_the_run_all_the_same() {
    let fleet = Fleet::of(1);
    fleet.actions(|actions, _| actions.run_details = RunDetails::Ignored);
    assert_eq!(fleet.cycle().slots("spawned"), ["ui-builder-s0"]);
}

#[test]
fn an_older_server_gets_a_second_dispatch_without_the_unknown_parameter() {
    for status in [400, 422] {
        let fleet = Fleet::of(2);
        fleet.actions(|actions, _| actions.run_details = RunDetails::Refused(status));
        let cycle = fleet.cycle();
        assert_eq!(cycle.slots("spawned").len(), 2);
        assert!((3..=4).contains(&cycle.dispatches()), "{:?}", cycle.asked);
        let beside_the_list = 1;
        assert_eq!(cycle.requests(), cycle.asked.len() as u64 + beside_the_list);
        assert_eq!(fleet.actions(|actions, _| actions.runs.len()), 2);
    }
}
